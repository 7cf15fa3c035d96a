"""What share of the machine's peak a network's contractions reach, each in its
place in the network. bench/README.md is the manual."""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence

import commandline
import engines
import kernels
import objects
import onnx
import run as networks
import simplify
import subjects

import dlc
from dlc.profile import Event

OPERATORS = ("Conv", "ConvTranspose", "MatMul", "Gemm")


def count_operations(path: pathlib.Path, subject: subjects.Subject) -> float:
    """Of the plain forms, a multiply-add being two, where all shapes follow
    from the file, simplified; else 0."""
    with tempfile.TemporaryDirectory() as folder:
        simple = pathlib.Path(folder) / "simple.onnx"
        subprocess.run([objects.DLC, path, "--emit=onnx", "-o", simple], check=True, capture_output=True)
        return 2 * simplify.measure_size(str(simple), subject).macs


def find_fastest(runs: Sequence[Sequence[Event]]) -> list[tuple[str, float]]:
    """Each call of a kernel with its least time of all runs."""
    calls = [[event for event in run if not event.is_part] for run in runs]
    return [(same[0].node, min(event.time for event in same)) for same in zip(*calls, strict=True)]


def find_contractions(calls: Sequence[tuple[str, float]], names: set[str]) -> list[tuple[str, float]]:
    """The calls that compute contractions. What puts a border around an input
    has the name of one too, and takes less."""
    found: dict[str, tuple[str, float]] = {}
    for node, time in calls:
        first = next((part for part in node.split("+") if part in names), None)
        if first and time > found.get(first, ("", 0.0))[1]:
            found[first] = (node, time)
    return list(found.values())


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/contractions", description=__doc__)
    parser.add_argument("names", nargs="+", metavar="NAME", help="models of static shapes (bench/run --list)")
    parser.add_argument("--precision", choices=kernels.ENGINES, default="fp32")
    parser.add_argument("--conv", choices=("auto", "direct"), default="direct",
                        help="auto: with Winograd's forms, which compute less (default: direct)")  # fmt: skip
    parser.add_argument("--runs", type=commandline.positive, default=100, help="of which the least time of each call counts")
    parser.add_argument("--rows", type=int, default=0, metavar="N", help="print the N slowest as well")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in subjects.TABLE]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}; bench/run --list has their names")
    with tempfile.TemporaryDirectory() as folder:
        machine = kernels.measure_machine(pathlib.Path(folder), options.precision, rounds=20)
    print(f"{networks.describe_machine()}\none thread: {machine.operations * 1e-9:.1f} GFLOP/s")
    for name in options.names:
        subject = subjects.TABLE[name]
        path = subject.find()
        session = engines.make_session(path)
        inputs = subject.make_inputs(session.get_inputs(), subject.sizes[0])
        model = dlc.compile(str(path), profile=True, precision=options.precision, conv=options.conv)
        profile = model.profile(inputs, runs=options.runs, threads=1)
        graph = onnx.load(path).graph
        if any(node.op_type in ("LSTM", "GRU", "RNN", "Loop", "Scan") for node in graph.node):
            parser.error(f"{name} has recurrences, whose products are no calls of their own")
        names = {node.name for node in graph.node if node.op_type in OPERATORS}
        calls = find_contractions(find_fastest(profile.runs), names)
        seconds = sum(time for _, time in calls)
        operations = count_operations(path, subject)
        if not operations:
            parser.error(f"{name} has shapes that its file does not tell")
        share = operations / machine.operations / seconds
        print(f"{name}: {len(calls)} contractions {1e3 * seconds:.2f} ms of a run of "
              f"{1e3 * min(profile.durations):.2f} ms, {100 * share:.1f} % of the peak")  # fmt: skip
        for node, time in sorted(calls, key=lambda call: -call[1])[: options.rows]:
            print(f"{1e3 * time:9.4f} ms  {node}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
