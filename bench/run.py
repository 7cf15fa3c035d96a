"""Runs whole networks with dlc and other engines in turns, in one process, and
writes a table. bench/README.md is the manual.

Each model has a process of its own. The status is 0 only if dlc's outputs are
those of ONNX Runtime, or, of an 8-bit network, those of ONNX's definition.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

import commandline
import definition
import engines
import forms
import numpy as np
import onnx
import subjects
import table

from dlc.verify import compare

ROUNDS, SECONDS = 20, 3.0
INT8 = ("resnet50", "mobilenet_v2", "bert_base", "ppocr_det", "ppocr_rec")
PAUSE, MOST_PAUSES, IDLE = 0.02, 50, 0.02
"""Seconds at a time that the engines' threads are given to fall asleep, how
often, and the share of a CPU below which they do."""


def settle() -> None:
    """Waits until idle threads of the engine before have stopped to spin (those
    of ONNX Runtime do for some 35 ms) on CPUs that the next one has a right
    to."""
    for _ in range(MOST_PAUSES):
        before = time.process_time()
        time.sleep(PAUSE)
        if time.process_time() - before < IDLE * PAUSE:
            return


Clock = Callable[[], float]


def time_in_turns(runs: Sequence[engines.Run], rounds: int, clock: Clock) -> list[list[float]]:
    """Seconds of each run in each round. A first run in a round, that isn't
    counted, brings an engine's threads and caches back."""
    seconds: list[list[float]] = [[] for _ in runs]
    for run in runs:
        run.call()
    begin = time.monotonic()
    while len(seconds[0]) < rounds or time.monotonic() - begin < SECONDS:
        for run, found in zip(runs, seconds):
            settle()
            run.call()
            start = clock()
            run.call()
            found.append(clock() - start)
    return seconds


def find_problem(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> str:
    """What is wrong with outputs, or nothing."""
    if len(outputs) != len(expected):
        return f"{len(outputs)} outputs"
    for number, (found, wanted) in enumerate(zip(outputs, expected)):
        _, excess, problem = compare(found, wanted)
        if not excess <= 1:
            return f"output {number}: {problem or f'{excess:.3g} times what is tolerated'}"
    return ""


def find_noise(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> list[float]:
    """The root of the mean square of what each output is off by."""
    return [float(np.sqrt(np.mean((a.astype(np.float64) - b.astype(np.float64)) ** 2)))
            for a, b in zip(outputs, expected)]  # fmt: skip


def make_check(
    path: pathlib.Path, inputs: dict[str, np.ndarray], exact: Sequence[np.ndarray]
) -> Callable[[Sequence[np.ndarray]], str]:
    """A check of an 8-bit network's outputs. It may not be further from ONNX's
    definition than the definition is from the float network: a tie that rounds
    the other way moves what comes behind it, so engines that are right differ,
    and bench/quantized judges layer by layer."""
    defined = definition.run(onnx.load(path), inputs)
    allowed = find_noise(defined, exact)

    def find(outputs: Sequence[np.ndarray]) -> str:
        for number, (noise, most) in enumerate(zip(find_noise(outputs, defined), allowed)):
            if not noise <= most:
                return f"output {number} is {noise / most:.3g} times as far from the definition as that from float"
        return ""

    return find


def find_error(outputs: Sequence[np.ndarray], expected: Sequence[np.ndarray]) -> float:
    """The largest difference, relative to the largest number of its output."""
    return max(
        float(np.abs(a.astype(np.float64) - b).max(initial=0) / max(np.abs(b).max(initial=0), 1e-30))
        for a, b in zip(outputs, expected, strict=True)
    )


def make_rounded_check(
    path: pathlib.Path, inputs: dict[str, np.ndarray], exact: Sequence[np.ndarray]
) -> Callable[[Sequence[np.ndarray]], str]:
    """A check of outputs with rounded operands: no further from float32 than
    twice what ONNX Runtime is when told to round them. It cannot be told to do
    so in recurrences, so that four times the rounding of one number is too."""
    session = engines.make_session(engines.round_operands(onnx.load(path)))
    allowed = max(2 * find_error(session.run(None, inputs), exact), 4 * 2.0**-9)

    def find(outputs: Sequence[np.ndarray]) -> str:
        error = find_error(outputs, exact)
        return "" if error <= allowed else f"{error:.2g} of the largest output off, {allowed:.2g} is tolerated"

    return find


def work(name: str, form: str, precision: str, threads: Sequence[int], rounds: int,
         clock: Clock) -> list[dict[str, Any]]:  # fmt: skip
    """The rows of one model: one for each size of its inputs and number of
    threads. A model whose shapes are not known has two of each: engines that
    were told the shapes, and such as take any. With a form, the network is of
    8 bits, and dlc runs the float one as well; so it does where it rounds."""
    subject = subjects.TABLE[name]
    source = subject.find()
    path = forms.make_quantized(subject, form) if form else source
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        made = []
        for engine in engines.ROUNDED if precision == "bf16" else engines.ENGINES:
            try:
                made.append(engine(path, pathlib.Path(folder)))
            except ImportError:
                print(f"{engine.name} is not installed", file=sys.stderr)
        if form or precision == "bf16":
            made.append(engines.DlcFloat(source, pathlib.Path(folder)))
        session = engines.make_session(source)
        for sizes in subject.sizes:
            if subject.data:
                values, expected = subject.data()
                inputs = dict(zip([info.name for info in session.get_inputs()], values))
            else:
                inputs = subject.make_inputs(session.get_inputs(), sizes)
                expected = session.run(None, inputs)
            if form:
                find = make_check(path, inputs, expected)
            elif precision == "bf16":
                find = make_rounded_check(path, inputs, expected)
            else:
                find = lambda outputs: find_problem(outputs, expected)  # noqa: E731
            dims = [size for info in session.get_inputs() for size in info.shape]
            is_dynamic = not all(isinstance(size, int) for size in dims)
            for fixed in (True, False) if is_dynamic else (False,):
                given = {"form": form} if form else {}
                given |= {"shapes": "given" if fixed else "any"} if is_dynamic else {}
                for count in threads:
                    row = measure(made, inputs, find, count, rounds, fixed, clock, expected)
                    rows.append({"name": name, "sizes": {**given, **sizes}, "threads": count, **row})
    return rows


def measure(made: Sequence[Any], inputs: dict[str, np.ndarray], find: Callable[[Sequence[np.ndarray]], str],
            threads: int, rounds: int, fixed: bool, clock: Clock,
            expected: Sequence[np.ndarray]) -> dict[str, Any]:  # fmt: skip
    runs, names, problems, errors = [], [], {}, {}
    for engine in made:
        try:
            run = engine.prepare(inputs, threads, fixed)
            run.call()
            outputs = run.outputs()
            # The float network is no other's answer.
            problem = "" if engine.name == engines.DlcFloat.name else find(outputs)
            if engine.name == engines.Dlc.name:
                errors["error"] = find_error(outputs, expected)
        except Exception as error:
            problems[engine.name] = f"{type(error).__name__}: {error}"
            continue
        if problem:
            problems[engine.name] = problem
        runs.append(run)
        names.append(engine.name)
    times = time_in_turns(runs, rounds, clock)
    return {
        "median": {n: statistics.median(t) for n, t in zip(names, times)},
        "minimum": {n: min(t) for n, t in zip(names, times)},
        "rounds": len(times[0]),
        "load": os.getloadavg()[0],
        "problems": problems,
        **errors,
    }


def run_worker(name: str, form: str, options: argparse.Namespace) -> list[dict[str, Any]]:
    command = [sys.executable, __file__, "--worker", "--rounds", str(options.rounds),
               *([f"--form={form}"] if form else []), *(["--processor-time"] if options.processor_time else []),
               f"--precision={options.precision}",
               "--threads", ",".join(map(str, options.threads)), name]  # fmt: skip
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True)
    try:
        return json.loads(done.stdout)
    except ValueError:
        problem = f"the run ended with status {done.returncode}"
        return [{"name": name, "sizes": {}, "threads": 0, "problems": {"dlc": problem}}]


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="bench/run", description="measure dlc against ONNX Runtime and OpenVINO, in turns"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; without one, all")
    parser.add_argument("--models", type=commandline.model_names, default=[], metavar="NAME,...", help="the same")
    parser.add_argument("--threads", type=commandline.thread_counts, default=[1], metavar="N,...",
                        help="numbers of threads (default: 1)")  # fmt: skip
    parser.add_argument("--dtype", type=commandline.data_type, choices=("float32", "int8"), default="float32",
                        help="of the networks; f32 is float32 (default: float32)")  # fmt: skip
    parser.add_argument("--form", action="append", choices=forms.FORMS,
                        help=f"of 8-bit networks (default: {' and '.join(forms.FORMS[:2])})")  # fmt: skip
    parser.add_argument("--precision", choices=("fp32", "bf16"), default="fp32",
                        help="bf16: dlc and OpenVINO round operands of contractions to bfloat16 (default: fp32)")  # fmt: skip
    parser.add_argument("--rounds", type=commandline.positive, default=ROUNDS, help=f"at least (default: {ROUNDS})")
    parser.add_argument("--processor-time", action="store_true",
                        help="measure that, not the clock's, where other work runs beside; one thread")  # fmt: skip
    parser.add_argument("--list", action="store_true", help="print the names")
    parser.add_argument("--markdown", type=commandline.output_file, metavar="FILE", help="write the table")
    parser.add_argument("--json", type=commandline.output_file, metavar="FILE", help="write the figures")
    parser.add_argument("--svg", type=commandline.output_file, metavar="FILE", help="write a chart")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    options.names += options.models
    unknown = [name for name in options.names if name not in subjects.TABLE]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}; --list has their names")
    if options.form and options.dtype != "int8" and not options.worker:
        parser.error("--form is for --dtype=int8")
    if options.precision != "fp32" and options.dtype == "int8":
        parser.error("--precision is for networks of float32")
    if options.processor_time and options.threads != [1]:
        parser.error("--processor-time is for one thread")
    return options


def describe_machine() -> str:
    """The processor and the versions, a line."""
    model = "an unknown processor"
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    versions = ", ".join(f"{e.name} {e.version()}" for e in engines.ENGINES[1:])
    return f"{os.cpu_count()} CPUs ({model}), {platform.system()}; {versions}"


def main(arguments: Sequence[str] | None = None) -> int:
    options = parse(arguments)
    if options.worker:
        (name,) = options.names
        try:
            (form,) = options.form or [""]
            rows = work(name, form, options.precision, options.threads, options.rounds,
                        time.process_time if options.processor_time else time.perf_counter)  # fmt: skip
        except Exception:
            rows = [{"name": name, "sizes": {}, "threads": 0,
                     "problems": {"dlc": traceback.format_exc()}}]  # fmt: skip
        json.dump(rows, sys.stdout)
        return 0
    if options.list:
        print("\n".join(subjects.TABLE))
        return 0
    int8 = options.dtype == "int8"
    names = options.names or (
        INT8 if int8 else [n for n in subjects.TABLE if not n.startswith(("light_", "random_"))]
    )
    rows = []
    dtype = options.precision if options.precision != "fp32" else options.dtype
    print(table.format_head(dtype), flush=True)
    for name in names:
        for form in (options.form or forms.FORMS[:2]) if int8 else [""]:
            for row in run_worker(name, form, options):
                rows.append(row)
                print(table.format_row(row, dtype), flush=True)
    for threads in options.threads:
        for peers in (table.PEERS,) if dtype == "float32" else (table.PEERS, (table.FLOAT,)):
            ratios = [table.find_ratio(row, peers=peers) for row in rows if row["threads"] == threads]
            ratios = [ratio for ratio in ratios if ratio]
            if ratios:
                mean = math.exp(statistics.fmean(map(math.log, ratios)))
                behind = f" of {table.FLOAT}" if peers == (table.FLOAT,) else ""
                print(f"\n{threads} thread{'s' * (threads > 1)}: geometric mean{behind} {mean:.3f}, "
                      f"worst {max(ratios):.2f}, of {len(ratios)}")  # fmt: skip
    busy = max((row.get("load", 0) for row in rows), default=0)
    if busy > os.cpu_count() + 0.5 and not options.processor_time:
        print(f"\nOther work ran beside this (load {busy:.1f}): the figures are no use.")
    problems = [(row, e, text) for row in rows for e, text in row["problems"].items()]
    for row, engine, text in problems:
        print(f"\n{row['name']}, {engine}: {text}")
    if options.markdown:
        options.markdown.write_text(table.make_markdown(rows, describe_machine(), dtype))
    if options.json:
        options.json.write_text(json.dumps({"machine": describe_machine(), "rows": rows}, indent=1))
    if options.svg:
        options.svg.write_text(table.make_svg(rows))
    return 1 if any(engine == "dlc" for _, engine, _ in problems) else 0


if __name__ == "__main__":
    sys.exit(main())
