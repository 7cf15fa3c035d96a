"""Compiles whole networks with dlc, compares their answers with the reference,
and measures. bench/README.md is the manual.

usage: bench/verify [--target=TARGET | --gpu=ARCH] [--precision=TYPE] [--no-timing]
                    [--jobs=N] [--json] [--list] [NAME...]

Each model has a process of its own, so that one which crashes is a failure and
not the end. The status is 0 only if every answer is right.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import functools
import itertools
import json
import pathlib
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import objects
import subjects
from engines import bind, make_session

import dlc
from dlc.verify import ROUNDED, TOLERANCES, compare

# Of a run of both engines in turns.
SECONDS, ROUNDS = 4.0, 5


def find_errors(
    found: Sequence[Any], expected: Sequence[Any], precision: str = "fp32"
) -> dict[str, Any]:
    """The worst errors of all outputs. The relative one is of numbers above
    the absolute tolerance, where it says something; of operands that were
    rounded, of the largest number."""
    absolute = relative = largest = 0.0
    problems = [] if len(found) == len(expected) else [f"{len(found)} outputs"]
    for number, (a, b) in enumerate(zip(found, expected)):
        error, excess, problem = compare(a, b, precision)
        if not excess <= 1:
            problem = problem or f"{excess:.3g} times what is tolerated"
            problems.append(f"output {number}: {problem}")
        absolute = max(absolute, error)
        b = np.asarray(b)
        if b.dtype.kind != "f" or a.shape != b.shape or not b.size:
            continue
        atol = TOLERANCES[b.dtype.name][1]
        size = np.abs(b.astype(np.float64))
        largest = max(largest, float(size.max()))
        if precision in ROUNDED:
            part = float(np.abs(a.astype(np.float64) - b).max() / size.max())
            relative = max(relative, part)
        elif (size > atol).any():
            with np.errstate(all="ignore"):
                ratios = np.abs(a.astype(np.float64) - b)[size > atol] / size[size > atol]
            relative = max(relative, float(ratios.max()) if np.isfinite(ratios).all() else np.inf)
        if not np.isfinite(b).all() or float(size.max()) == 0:
            problems.append(f"output {number}: the reference is no number, or all of it is 0")
    return {"absolute": absolute, "relative": relative, "largest": largest,
            "problem": "; ".join(problems)}  # fmt: skip


def time_both(ours: Callable[[], None], theirs: Callable[[], None]) -> tuple[float, float]:
    """The least seconds that each takes, in turns."""
    least = [float("inf"), float("inf")]
    begin, rounds = time.monotonic(), 0
    ours(), theirs()
    while rounds < ROUNDS or time.monotonic() - begin < SECONDS:
        for i, run in enumerate((ours, theirs)):
            start = time.perf_counter()
            run()
            least[i] = min(least[i], time.perf_counter() - start)
        rounds += 1
        if rounds >= 2 and time.monotonic() - begin > 60:
            break
    return least[0], least[1]


def work(subject: subjects.Subject, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of one model, one for each size of its inputs."""
    path, target = subject.find(), options.target
    flags = [f"--precision={options.precision}"]
    flags += [f"--gpu={options.gpu}"] if options.gpu else []
    # The plain CPU has no dot products of bfloat16.
    flags += ["-mcpu=generic+bf16"] if target == "aarch64" and options.precision == "bf16" else []
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        found = objects.compile(path, folder, target, flags)
        compiled = {"compile_seconds": found.seconds, "compile_bytes": found.peak,
                    "object_bytes": found.size}  # fmt: skip
        session = make_session(path)
        model = None if target else dlc.load(objects.link_shared(found), name="network")
        rows = []
        for sizes in subject.sizes:
            row = {"name": subject.name, "sizes": dict(sizes), **compiled}
            rows.append(row)
            try:
                row.update(measure(subject, sizes, session, found, model, options))
            except Exception as error:
                row["problem"] = f"{type(error).__name__}: {error}"
        return rows


def measure(
    subject: subjects.Subject, sizes: subjects.Sizes, session: Any, found: objects.Object,
    model: dlc.Model | None, options: argparse.Namespace
) -> dict[str, Any]:  # fmt: skip
    """What one row has beside its name and the compilation."""
    names = [info.name for info in session.get_inputs()]
    if subject.data:
        values, expected = subject.data()
        inputs = dict(zip(names, values))
    else:
        inputs = subject.make_inputs(session.get_inputs(), sizes)
        expected = session.run(None, inputs)
    if model is None:
        types = [value.dtype for value in expected]
        results = objects.run_emulated(found, list(inputs.values()), types)
        return find_errors(results, expected, options.precision)
    given = [inputs[info.name] for info in model.inputs]
    # A GPU's second run of a shape is recorded as a graph, which the third starts.
    for _ in range(3 if options.gpu else 1):
        row = find_errors(model.run(given), expected, options.precision)
        if row["problem"]:
            return row
    if not options.no_timing:
        call = dlc.model.Call(model, given, threads=1, keep_workspace=True)
        ours, theirs = time_both(call, bind(session, inputs).call)
        row.update({"dlc_seconds": ours, "reference_seconds": theirs})
    return row


COLUMNS: list[tuple[str, Callable[[dict[str, Any]], str]]] = [
    ("model", lambda row: row["name"]),
    ("sizes", lambda row: describe(row["sizes"])),
    ("abs error", lambda row: f"{row['absolute']:.1e}"),
    ("rel error", lambda row: f"{row['relative']:.1e}"),
    ("largest", lambda row: f"{row['largest']:.3g}"),
    ("compile s", lambda row: f"{row['compile_seconds']:.1f}"),
    ("peak MB", lambda row: f"{row['compile_bytes'] / 1e6:.0f}"),
    ("object MB", lambda row: f"{row['object_bytes'] / 1e6:.1f}"),
    ("dlc ms", lambda row: f"{row['dlc_seconds'] * 1e3:.2f}"),
    ("ORT ms", lambda row: f"{row['reference_seconds'] * 1e3:.2f}"),
    ("dlc/ORT", lambda row: f"{row['dlc_seconds'] / row['reference_seconds']:.2f}"),
    ("", lambda row: "FAILED" if row["problem"] else "ok"),
]
WIDTHS = (20, 22, 9, 9, 8, 9, 7, 9, 9, 9, 7, 0)


def describe(sizes: dict[str, Any]) -> str:
    texts = (f"{name}={'x'.join(map(str, size)) if isinstance(size, list) else size}"
             for name, size in sizes.items())  # fmt: skip
    return " ".join(texts).replace("sequence=", "seq=").replace("batch=", "n=")


def print_line(cells: Sequence[str]) -> None:
    line = (cell.ljust(width) if i < 2 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(cells, WIDTHS)))  # fmt: skip
    print("  ".join(line).rstrip(), flush=True)


def print_row(row: dict[str, Any]) -> None:
    cells = []
    for _, show in COLUMNS:
        try:
            cells.append(show(row))
        except KeyError:
            cells.append("-")
    print_line(cells)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/verify", description="compare whole networks with the reference, and measure"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; without one, all")
    parser.add_argument("--target", choices=[*objects.CROSS], help="run under an emulator")
    parser.add_argument("--gpu", metavar="ARCH", help="compare on this machine's GPU, by its code"
                        " for an architecture: sm_90a")  # fmt: skip
    parser.add_argument("--precision", choices=["fp32", *ROUNDED], default="fp32",
                        help="what operands of contractions are rounded to; a CPU has bf16")  # fmt: skip
    parser.add_argument("--no-timing", action="store_true", help="compare only")
    parser.add_argument("--jobs", type=int, default=1, help="models at once; above 1 no timing")
    parser.add_argument("--json", action="store_true", help="print rows of JSON")
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in subjects.TABLE]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}; --list has their names")
    if options.gpu and options.target:
        parser.error("an emulator of --target has no GPU")
    if options.precision not in ("fp32", "bf16") and not options.gpu:
        parser.error(f"--precision={options.precision} is for --gpu")
    if options.jobs < 1:
        parser.error("--jobs is at least 1")
    options.no_timing |= options.jobs > 1 or bool(options.gpu)  # bench/gpu measures
    return options


def run_worker(name: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows that a process of its own makes."""
    command = [sys.executable, __file__, "--worker", name]
    command += [f"--target={options.target}"] if options.target else []
    command += [f"--gpu={options.gpu}"] if options.gpu else []
    command += [f"--precision={options.precision}"]
    command += ["--no-timing"] if options.no_timing else []
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        return [{"name": name, "sizes": {}, "problem": f"the run ended with status {done.returncode}"}]


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.worker:
        try:
            rows = work(subjects.TABLE[options.worker], options)
        except objects.CompileFailure as error:
            rows = [{"name": options.worker, "sizes": {}, "problem": f"dlc: {error}"}]
        except Exception:
            rows = [{"name": options.worker, "sizes": {}, "problem": traceback.format_exc()}]
        json.dump(rows, sys.stdout)
        return 0
    default = subjects.EMULATED[options.target] if options.target else subjects.TABLE
    names = options.names or list(default)
    if options.list:
        print("\n".join(names))
        return 0
    if not options.json:
        print_line([title for title, _ in COLUMNS])
    rows = []
    # Threads that wait for processes.
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for row in itertools.chain.from_iterable(
            pool.map(functools.partial(run_worker, options=options), names)
        ):
            rows.append(row)
            if options.json:
                print(json.dumps({"target": options.target, **row}), flush=True)
            else:
                print_row(row)
    failed = [row for row in rows if row["problem"]]
    if not options.json:
        for row in failed:
            print(f"\n{row['name']} {describe(row['sizes'])}: {row['problem']}")
        print(f"\n{len(rows) - len(failed)} right, {len(failed)} wrong")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
