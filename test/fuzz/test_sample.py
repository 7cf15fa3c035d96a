"""The first models of the fuzzers (run.py, branches.py and interface.py), as a
sample of what they make."""

import pathlib
import sys

import compare
import pytest
import run

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "conformance"))
import branches  # noqa: E402
import interface  # noqa: E402
import pool  # noqa: E402

COUNT = 60


@pytest.mark.parametrize("seed", range(COUNT))
def test_model(seed):
    outcome = run.run_seed(seed, opt_level=1)
    if outcome.kind == compare.NONE:
        pytest.skip(outcome.reason)
    assert not outcome.is_failure, f"{outcome.kind}: {outcome.text}"


def test_interface():
    """In processes of their own: what is wrong here kills one."""
    results = pool.run(lambda seed: interface.check_seed(seed, 25), 12, 1, 60.0, lambda why: f"died: {why}")
    problems = dict(results)
    assert not {seed: what for seed, what in problems.items() if what not in ("", "-")}
    assert list(problems.values()).count("") >= 6


def test_branches():
    chosen = branches.choose_cases("", 40)
    results = pool.run(
        lambda i: branches.check_case(chosen[i]), len(chosen), 1, 60.0, lambda why: (branches.FAILED, why)
    )
    outcomes = {chosen[i].name: outcome for i, outcome in results}
    assert not {name: why for name, (kind, why) in outcomes.items() if kind == branches.FAILED}
    assert [kind for kind, _ in outcomes.values()].count(branches.PASS) >= 20
