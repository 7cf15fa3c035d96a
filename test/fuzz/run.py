"""The differential fuzzer: random models in dlc and in ONNX Runtime.

usage: run.py [--seed N] [--count N] [--jobs N] [--report FILE] [--shrink] [--only SEED]

Model number i is made of seed N + i and nothing else. Prints what failed and
groups the rest by reason; ends with 1 where a process died, an answer was wrong,
or a run or a compilation ended with an error that is no documented refusal.
With --shrink each failure is cut down and printed as ONNX's text.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import time
import traceback

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "fuzz"), str(ROOT / "test" / "conformance")]

import compare  # noqa: E402
import generate  # noqa: E402
import pool  # noqa: E402
import shrink  # noqa: E402
from builder import Discard  # noqa: E402
from compare import CRASH, NONE, Outcome  # noqa: E402

import dlc  # noqa: E402

TIMEOUT = 120.0


def run_seed(seed: int, opt_level: int | None) -> Outcome:
    if opt_level is None:
        opt_level = 3 if seed % 8 == 0 else 1
    try:
        example = generate.make_example(seed)
    except Discard as error:
        return Outcome(NONE, compare.generalize(str(error)))
    except Exception:  # a mistake in the generator
        return Outcome(NONE, "generator: " + traceback.format_exc(limit=-2).replace("\n", " "))
    return compare.check(example, opt_level)


def does_generate(seed: int) -> Outcome:
    """Whether the reference lives through it, where a process died."""
    try:
        generate.make_example(seed)
    except Discard as error:
        return Outcome(NONE, compare.generalize(str(error)))
    return Outcome(compare.PASS)


def blame(seed: int, why: str) -> Outcome:
    died = lambda reason: Outcome(NONE, f"the reference died: {reason}")  # noqa: E731
    (_, outcome), = pool.run(lambda i: does_generate(seed), 1, 1, TIMEOUT, died)
    return Outcome(CRASH, compare.generalize(why), why) if outcome.kind == compare.PASS else outcome


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first model")
    parser.add_argument("--count", type=int, default=100, help="how many models")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--opt-level", type=int, help="instead of the usual mixture")
    parser.add_argument("--report", help="write every failure with its model there")
    parser.add_argument("--shrink", action="store_true", help="cut failures down")
    parser.add_argument("--only", type=int, help="one seed, in this process")
    arguments = parser.parse_args()
    if arguments.only is not None:
        return show(arguments.only, arguments.opt_level, arguments.shrink)

    dlc.version()  # loads the library before the fork
    start = last = time.monotonic()
    outcomes: dict[int, Outcome] = {}
    work = lambda i: run_seed(arguments.seed + i, arguments.opt_level)  # noqa: E731
    results = pool.run(work, arguments.count, arguments.jobs, TIMEOUT, lambda why: Outcome(CRASH, why))
    for i, outcome in results:
        seed = arguments.seed + i
        if outcome.kind == CRASH:
            outcome = blame(seed, outcome.reason)
        outcomes[seed] = outcome
        if outcome.is_failure:
            print(f"{seed}: {outcome.kind}: {outcome.reason} [{outcome.operators}]", flush=True)
        if time.monotonic() - last > 15:
            last = time.monotonic()
            print(f"{len(outcomes)} of {arguments.count} models done", flush=True)
    print_summary(outcomes, time.monotonic() - start)
    failures = [seed for seed, outcome in sorted(outcomes.items()) if outcome.is_failure]
    if arguments.report:
        write_report(arguments.report, outcomes, failures, arguments)
    return 1 if failures else 0


def print_summary(outcomes: dict[int, Outcome], seconds: float) -> None:
    groups = collections.defaultdict(list)
    for seed, outcome in sorted(outcomes.items()):
        if outcome.kind != compare.PASS:
            groups[outcome.kind, outcome.reason].append(seed)
    for (kind, reason), seeds in sorted(groups.items(), key=lambda group: -len(group[1])):
        print(f"{len(seeds):5}  {kind}: {reason} (seed {seeds[0]})")
    kinds = collections.Counter(outcome.kind for outcome in outcomes.values())
    made = len(outcomes) - kinds[NONE]
    rest = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common() if kind != compare.PASS)
    print(f"{made} models in {seconds:.0f} s: {kinds[compare.PASS]} pass" + (f"; {rest}" if rest else ""))


def write_report(
    path: str, outcomes: dict[int, Outcome], failures: list[int], arguments: argparse.Namespace
) -> None:
    with open(path, "w") as file:
        for seed in failures:
            outcome = outcomes[seed]
            file.write(f"seed {seed}: {outcome.kind}: {outcome.reason}\n{outcome.text}\n")
            if arguments.shrink:
                example, text = shrink.shrink(generate.make_example(seed), outcome, TIMEOUT)
                file.write(f"{shrink.to_text(example)}\n{text}\n")
            file.write("\n")
            file.flush()


def show(seed: int, opt_level: int | None, cut: bool) -> int:
    """One seed, with its model as text."""
    example = generate.make_example(seed)
    print(shrink.to_text(example), flush=True)
    outcome = run_seed(seed, opt_level)
    print(f"{outcome.kind}: {outcome.reason}\n{outcome.text}")
    if cut and outcome.is_failure:
        example, text = shrink.shrink(example, outcome, TIMEOUT)
        print(f"{shrink.to_text(example)}\n{text}")
    return int(outcome.is_failure)


if __name__ == "__main__":
    sys.exit(main())
