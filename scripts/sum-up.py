"""Adds up the results of the test suites for scripts/test.

usage: sum-up.py RESULTS [--filtered] SUITE...

Reads RESULTS/SUITE.xml (JUnit XML) and RESULTS/SUITE.status (the exit status
of its command), prints a table of the suites, names every failed and skipped
test, and closes with "N passed, N failed, N skipped". A suite whose result is
missing or unreadable, that ran no test, or whose command failed though all of
its tests passed, counts as a failure itself. With --filtered a suite may be
empty, but not all of them.
"""

import pathlib
import sys
import xml.etree.ElementTree as ElementTree


def read_suite(results: pathlib.Path, suite: str, filtered: bool):
    """The passed, failed and skipped tests of one suite, each by name; what
    failed and what was skipped comes with the reason's first line."""
    passed, failed, skipped = [], [], []
    status = int((results / f"{suite}.status").read_text())
    file = results / f"{suite}.xml"
    if filtered and not status and not file.exists():
        return [], [], []
    try:
        cases = list(ElementTree.parse(file).iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return [], [(suite, f"no readable result (exit status {status}): {error}")], []
    for case in cases:
        name = "/".join(part for part in (case.get("classname"), case.get("name")) if part)
        problems = case.findall("failure") + case.findall("error")
        excuse = case.find("skipped")
        if problems:
            failed.append((name, reason(problems[0])))
        elif excuse is not None:
            skipped.append((name, reason(excuse)))
        else:
            passed.append(name)
    if not cases and not filtered:
        failed.append((suite, "the suite ran no test"))
    # pytest ends with 5 when a filter leaves nothing.
    elif status and not failed and not (filtered and not cases):
        failed.append((suite, f"every test passed, but the command's exit status is {status}"))
    return passed, failed, skipped


def reason(element: ElementTree.Element) -> str:
    """The first line of what a suite says about a test, short."""
    text = element.get("message") or element.text or ""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[0][:160] if lines else ""


def main(arguments) -> int:
    results = pathlib.Path(arguments[0])
    filtered = "--filtered" in arguments
    suites = [name for name in arguments[1:] if name != "--filtered"]
    found = {suite: read_suite(results, suite, filtered) for suite in suites}
    passed, failed, skipped = (
        sum(len(parts[i]) for parts in found.values()) for i in range(3)
    )
    print("\n==== Results")
    for title, index in (("skipped", 2), ("failed", 1)):
        for suite, parts in found.items():
            for name, why in parts[index]:
                print(f"{title}: {suite}: {name}" + (f" ({why})" if why else ""))
    width = max(len(suite) for suite in suites)
    for suite, parts in found.items():
        counts = ", ".join(
            f"{len(part):5} {title}"
            for part, title in zip(parts, ("passed", "failed", "skipped"))
        )
        print(f"{suite:{width}}  {counts}")
    if not passed and not failed:
        print("error: no test ran" + (", the filter matches none" if filtered else ""))
        failed = 1
    closing = f"{passed} passed, {failed} failed"
    print(closing + (f", {skipped} skipped" if skipped else ""), flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
