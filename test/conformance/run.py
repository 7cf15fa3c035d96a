"""Runs ONNX's backend tests through dlc.backend.

usage: run.py [--dynamic] [--update] [--junit FILE] [--report FILE] [--jobs N] [FILTER]

Prints how many tests pass and groups the others by reason. A test fails here
when its answer is wrong (unless differs.txt says why), when its process dies or
does not end, or when it is in passing.txt and does not pass; an operator that dlc lacks is no failure.
--update adds the tests that pass to passing.txt, it never takes one away.

With --dynamic every dimension of every input is of unknown size at compile
time, and passing-dynamic.txt is the list. --sample N takes N of the tests,
always the same ones. --emulate=aarch64 runs them as programs of that target
under qemu, those whose values are tensors of numbers.

Most tests are compiled with little optimisation, to save time; one in eight,
by name, and the light models are compiled as users do.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import pathlib
import re
import resource
import sys
import time
import xml.etree.ElementTree as ElementTree
import zlib

import cases
import dynamic
import emulate
import pool

import dlc
import dlc.backend

FOLDER = pathlib.Path(__file__).parent
DIFFERS = FOLDER / "differs.txt"
TIMEOUT = 240.0

PASS, NEAR, UNSUPPORTED, COMPILE, RUN, WRONG, CRASH = (
    "pass",
    "near",
    "unsupported",
    "compile error",
    "run error",
    "wrong answer",
    "crash",
)
NEVER = (RUN, WRONG, CRASH)
"""Outcomes that are failures of any test."""


NEARLY = "within two units in the last place of float16, beyond ONNX's tolerance"


@dataclasses.dataclass(frozen=True)
class Outcome:
    kind: str
    reason: str = ""
    """One line by which failures are grouped."""
    text: str = ""
    seconds: float = 0.0


def run_case(
    case: cases.Case,
    opt_level: int | None = None,
    is_dynamic: bool = False,
    target: str | None = None,
) -> Outcome:
    """Compiles and runs one test in this process."""
    start = time.monotonic()
    model = original = case.load_model()
    if is_dynamic:
        model = dynamic.make_dynamic(model)
        assert model is not None
    if opt_level is None:
        is_sample = case.name.startswith("light/") or zlib.crc32(case.name.encode()) % 8 == 0
        opt_level = 3 if is_sample else 1
    try:
        if target:
            program = emulate.Program(model, target, opt_level)
            run = program.run
        else:
            prepared = dlc.backend.prepare(model, "CPU", opt_level=opt_level)
            run = lambda inputs, expected: list(prepared.run(inputs))  # noqa: E731
        exact = [
            case.check(expected, run(inputs, expected))
            for inputs, expected in case.load_data(original)
        ]
        outcome = Outcome(PASS) if all(exact) else Outcome(NEAR, NEARLY)
    except dlc.UnsupportedError as error:
        outcome = Outcome(UNSUPPORTED, group_unsupported(error), str(error))
    except dlc.CompileError as error:
        first = next((str(d) for d in error.diagnostics if d.severity == "error"), "")
        outcome = Outcome(COMPILE, generalize(first), str(error))
    except AssertionError as error:
        outcome = Outcome(WRONG, summarize_mismatch(str(error)), str(error))
    except dlc.RunError as error:
        outcome = Outcome(RUN, f"status {error.status}: {generalize(error.message)}", str(error))
    except Exception as error:  # the package, or the test's data
        text = f"{type(error).__name__}: {error}"
        outcome = Outcome(RUN, generalize(text), text)
    return dataclasses.replace(outcome, seconds=time.monotonic() - start)


def group_unsupported(error: dlc.CompileError) -> str:
    operators = {}
    for diagnostic in error.diagnostics:
        found = re.search(
            r"operator (\S+) of opset .* is not supported: (.*)", diagnostic.text
        )
        if found and diagnostic.severity == "error":
            operators.setdefault(found[1], found[2])
    if not operators:
        return generalize(str(error))
    name, why = next(iter(operators.items()))
    if why.startswith("dlc has no lowering for it"):
        return f"operator {name}"
    return f"a form of {name}: {generalize(why)}"


def generalize(message: str) -> str:
    """A message without what differs from test to test."""
    message = next((line for line in message.splitlines() if line.strip()), "")
    message = re.sub(r"^.*?error: ", "", message)
    message = re.sub(r"(tensor|memref|vector|!\w+\.\w+)<[^ ]*>", r"\1", message)
    return re.sub(r"\d+", "N", message)[:160]


def summarize_mismatch(text: str) -> str:
    """The telling lines of what numpy says about two arrays."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = r"Mismatched|Max absolute|Output \d|nan location|inf location|.*shape|.*dtype"
    return "; ".join([line for line in lines if re.match(telling, line)] or lines)[:160]


def read_passing(path: pathlib.Path) -> set[str]:
    return set(path.read_text().split()) if path.exists() else set()


def choose_sample(chosen: list[cases.Case], count: int) -> list[cases.Case]:
    """The tests whose names have the least checksums, in their order."""
    rank = lambda case: zlib.crc32(case.name.encode()[::-1])  # noqa: E731
    sample = {case.name for case in sorted(chosen, key=rank)[:count]}
    return [case for case in chosen if case.name in sample]


def read_differing() -> set[str]:
    lines = DIFFERS.read_text().splitlines()
    return {line.split()[0] for line in lines if line.strip() and not line.startswith("#")}


def find_failures(outcomes: dict[str, Outcome], listed: set[str]) -> dict[str, Outcome]:
    differing = read_differing()
    return {
        name: outcome
        for name, outcome in sorted(outcomes.items())
        if (outcome.kind in NEVER and not (outcome.kind == WRONG and name in differing))
        or (outcome.kind != PASS and name in listed)
    }


def group_rest(outcomes: dict[str, Outcome]) -> list[tuple[str, list[str]]]:
    """Titles with the names of the tests that do not pass, most first."""
    groups: dict[str, list[str]] = collections.defaultdict(list)
    for name, outcome in sorted(outcomes.items()):
        if outcome.kind != PASS:
            groups[f"{outcome.kind}: {outcome.reason}"].append(name)
    return sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))


def write_junit(path: str, outcomes: dict[str, Outcome], failures: dict[str, Outcome]) -> None:
    """What passes and what fails by name; the rest a group each, skipped."""
    suite = ElementTree.Element("testsuite", name="conformance")

    def add(name: str, seconds: float = 0.0) -> ElementTree.Element:
        return ElementTree.SubElement(suite, "testcase", name=name, time=f"{seconds:.3f}")

    for name, outcome in sorted(outcomes.items()):
        if name in failures:
            element = ElementTree.SubElement(
                add(name, outcome.seconds),
                "failure",
                message=f"{outcome.kind}: {outcome.reason}",
            )
            element.text = re.sub(r"[^\x20-\x7e\n]", "?", outcome.text)
        elif outcome.kind == PASS:
            add(name, outcome.seconds)
    rest = {name: outcome for name, outcome in outcomes.items() if name not in failures}
    for title, names in group_rest(rest):
        element = ElementTree.SubElement(add(f"{len(names)} tests, {title}"), "skipped")
        element.set("message", " ".join(names))
    ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)


def write_report(path: str, outcomes: dict[str, Outcome]) -> None:
    with open(path, "w") as file:
        for title, names in group_rest(outcomes):
            file.write(f"{len(names):5} {title}\n")
            for name in names:
                file.write(f"        {name}\n")
            text = outcomes[names[0]].text.strip()
            file.write("".join(f"            | {line}\n" for line in text.splitlines()[:12]))


def print_summary(outcomes: dict[str, Outcome], seconds: float) -> None:
    for group in cases.GROUPS:
        kinds = collections.Counter(
            outcome.kind for name, outcome in outcomes.items() if name.startswith(group + "/")
        )
        if kinds:
            rest = ", ".join(f"{n} {kind}" for kind, n in kinds.most_common() if kind != PASS)
            print(f"{group}: {kinds[PASS]} of {kinds.total()} pass" + (f"; {rest}" if rest else ""))
    nearly = [name for name, outcome in outcomes.items() if outcome.reason == NEARLY]
    if nearly:
        print(f"{len(nearly):5}  do not pass, {NEARLY}: {' '.join(sorted(nearly))}")
    for title, names in group_rest(outcomes):
        print(f"{len(names):5}  {title}")
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = used.ru_utime + used.ru_stime
    mean = processor / max(len(outcomes), 1)
    print(f"{len(outcomes)} tests in {seconds:.0f} s, {processor:.0f} s of the processor, {mean:.3f} s a test", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--update", action="store_true", help="add to passing.txt")
    parser.add_argument("--dynamic", action="store_true", help="make all sizes unknown")
    parser.add_argument("--emulate", metavar="TARGET", help="run under an emulator")
    parser.add_argument("--sample", type=int, help="so many of the tests only")
    parser.add_argument("--junit", help="write JUnit XML there")
    parser.add_argument("--report", help="write every failure with its message there")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--opt-level", type=int, help="instead of the usual mixture")
    parser.add_argument("--slowest", type=int, default=0, help="print so many times")
    parser.add_argument("--names", help="a file with the names of the tests")
    parser.add_argument("filter", nargs="?", default="", help="part of the tests' names")
    arguments = parser.parse_args()

    start = time.monotonic()
    everything = cases.load_cases()
    chosen = [case for case in everything if arguments.filter in case.name]
    if arguments.names:
        names = set(pathlib.Path(arguments.names).read_text().split())
        chosen = [case for case in chosen if case.name in names]
    if arguments.dynamic:
        chosen = [case for case in chosen if dynamic.make_dynamic(case.load_model())]
    if arguments.emulate:
        chosen = [case for case in chosen if emulate.can_run(case)]
    if arguments.sample is not None:
        chosen = choose_sample(chosen, arguments.sample)
    if not chosen:
        return 0
    path = FOLDER / ("passing-dynamic.txt" if arguments.dynamic else "passing.txt")
    listed = read_passing(path)
    for name in sorted(listed - {case.name for case in everything}):
        print(f"{path.name} lists {name}, which the onnx package does not have")
    dlc.version()  # loads the library before the fork
    print(f"{len(chosen)} tests loaded in {time.monotonic() - start:.0f} s", flush=True)

    outcomes: dict[str, Outcome] = {}
    how = (arguments.opt_level, arguments.dynamic, arguments.emulate)
    work = lambda i: run_case(chosen[i], *how)  # noqa: E731
    results = pool.run(
        work, len(chosen), arguments.jobs, TIMEOUT, lambda why: Outcome(CRASH, generalize(why), why)
    )
    last = time.monotonic()
    for i, outcome in results:
        outcomes[chosen[i].name] = outcome
        if outcome.kind in NEVER:
            print(f"{outcome.kind}: {chosen[i].name}: {outcome.reason}", flush=True)
        if time.monotonic() - last > 15:
            last = time.monotonic()
            print(f"{len(outcomes)} of {len(chosen)} tests done", flush=True)

    failures = find_failures(outcomes, listed)
    print_summary(outcomes, time.monotonic() - start)
    slowest = sorted(outcomes, key=lambda name: -outcomes[name].seconds)
    for name in slowest[: arguments.slowest]:
        print(f"{outcomes[name].seconds:7.2f} s  {name}")
    if arguments.junit:
        write_junit(arguments.junit, outcomes, failures)
    if arguments.report:
        write_report(arguments.report, outcomes)
    if arguments.update:
        passing = {name for name, outcome in outcomes.items() if outcome.kind == PASS}
        path.write_text("".join(f"{name}\n" for name in sorted(listed | passing)))
        print(f"{path.name}: {len(passing - listed)} added")
    for name, outcome in failures.items():
        listing = f"listed in {path.name}, " if name in listed else ""
        print(f"failed: {name}: {listing}{outcome.kind}: {outcome.reason}")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
