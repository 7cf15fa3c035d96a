"""Products, convolutions and rows of float32 on one thread: dlc, ONNX Runtime
and OpenVINO in turns, beside what the machine can do at most. bench/README.md
is the manual."""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import json
import math
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import commandline
import engines
import numpy as np
import onnx
import run as networks
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
ENGINES = {"fp32": engines.ENGINES, "bf16": engines.ROUNDED}
TOLERANCE = {"fp32": 1e-3, "bf16": 2e-2}
"""Of the largest output. A sum of products whose operands are off by 2^-9 at most
is off by some 2^-8 of what it would be if all terms had one sign."""
READ = 1 << 28
"""Bytes that the bandwidth is measured with."""


@dataclasses.dataclass(frozen=True)
class Kernel:
    name: str
    op: str
    shape: tuple[int, ...]
    weights: tuple[int, ...] = ()
    attributes: dict[str, Any] = dataclasses.field(default_factory=dict)

    @property
    def result(self) -> tuple[int, ...]:
        if self.op == "MatMul":
            return (*self.shape[:-1], self.weights[-1])
        if self.op == "Conv":
            sizes = (
                (size + 2 * pad - kernel) // stride + 1
                for size, kernel, pad, stride in zip(
                    self.shape[2:], self.weights[2:], self.attributes["pads"],
                    self.attributes["strides"]
                )  # fmt: skip
            )
            return (self.shape[0], self.weights[0], *sizes)
        if self.op == "Transpose":
            return tuple(self.shape[axis] for axis in self.attributes["perm"])
        return self.shape

    @property
    def operations(self) -> float:
        """Of the plain form, a multiply-add being two; 0 where memory is what
        counts."""
        if self.op == "MatMul":
            return 2 * math.prod(self.shape) * self.weights[-1]
        return 2 * math.prod(self.result) * math.prod(self.weights[1:])

    @property
    def bytes(self) -> int:
        return 4 * (math.prod(self.shape) + math.prod(self.weights or (0,)) + math.prod(self.result))

    def save(self, path: pathlib.Path, random: np.random.Generator) -> np.ndarray:
        """Writes the model; returns its input."""
        constants = []
        if self.weights:
            scale = math.sqrt(max(1, math.prod(self.weights) // self.result[-1]))
            values = (random.standard_normal(self.weights) / scale).astype(np.float32)
            constants.append(numpy_helper.from_array(values, "w"))
        graph = helper.make_graph(
            [helper.make_node(self.op, ["x", *(["w"] if constants else [])], ["y"],
                              **self.attributes)],
            "kernel",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, self.shape)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, self.result)],
            constants,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        onnx.save(model, path)
        return random.standard_normal(self.shape).astype(np.float32)


def product(m: int, k: int, n: int) -> Kernel:
    return Kernel(f"product {m}x{k}x{n}", "MatMul", (m, k), (k, n))


def convolution(size: int, channels: int, out: int, kernel: int, stride: int = 1,
                group: int = 1) -> Kernel:  # fmt: skip
    name = f"conv {kernel}x{kernel} {size}x{size} {channels}->{out}"
    name += f" stride {stride}" * (stride > 1) + " depthwise" * (group > 1)
    return Kernel(name, "Conv", (1, channels, size, size), (out, channels // group, kernel, kernel),
                  {"pads": [kernel // 2] * 4, "strides": [stride] * 2, "group": group})  # fmt: skip


def rows(op: str, *shape: int, **attributes: Any) -> Kernel:
    return Kernel(f"{op} {'x'.join(map(str, shape))}", op, shape, (), attributes)


def transpose(*shape: int, perm: Sequence[int]) -> Kernel:
    name = f"Transpose {'x'.join(map(str, shape))} by {''.join(map(str, perm))}"
    return Kernel(name, "Transpose", shape, (), {"perm": list(perm)})


KERNELS = [
    product(1024, 1024, 1024), product(512, 512, 512), product(128, 768, 768),
    product(128, 768, 3072), product(128, 3072, 768), product(197, 768, 2304), product(31, 77, 93),
    product(1, 4096, 4096), product(1, 1024, 1000),
    convolution(56, 64, 64, 3), convolution(56, 256, 256, 3), convolution(28, 128, 128, 3),
    convolution(14, 256, 256, 3), convolution(7, 512, 512, 3), convolution(28, 64, 64, 5),
    convolution(224, 3, 64, 7, 2), convolution(56, 64, 128, 3, 2), convolution(56, 64, 256, 1),
    convolution(14, 1024, 256, 1), convolution(7, 512, 2048, 1),
    convolution(112, 32, 32, 3, 1, 32), convolution(56, 144, 144, 3, 2, 144),
    convolution(14, 576, 576, 5, 1, 576),
    rows("Softmax", 1536, 128), rows("Softmax", 128, 4096), rows("Softmax", 100, 1000),
    transpose(1, 256, 56, 56, perm=[0, 2, 3, 1]), transpose(1, 56, 56, 256, perm=[0, 3, 1, 2]),
    transpose(1000, 1024, perm=[1, 0]), transpose(12, 128, 64, perm=[0, 2, 1]),
]  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Machine:
    operations: float
    """A second, of one thread, in the precision that is measured."""
    bandwidth: float
    """Bytes read a second."""


def measure_machine(folder: pathlib.Path, precision: str, rounds: int = 5) -> Machine:
    library = folder / "peak.so"
    subprocess.run(["cc", "-O3", "-march=native", "-ffp-contract=fast", "-shared", "-fPIC",
                    str(HERE / "peak.c"), "-o", str(library)], check=True)  # fmt: skip
    peak = ctypes.CDLL(str(library))
    peak.peak_operations.restype = peak.read_bandwidth.restype = ctypes.c_double
    peak.peak_pair_operations.restype = ctypes.c_double
    peak.read_bandwidth.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    memory = np.ones(READ // 4 + 16, np.float32)
    aligned = -(-memory.ctypes.data // 64) * 64
    operations = peak.peak_pair_operations if precision == "bf16" else peak.peak_operations
    return Machine(operations(rounds), peak.read_bandwidth(aligned, READ, rounds))


def find_roof(kernel: Kernel, machine: Machine, precision: str) -> float:
    """Seconds that the plain form takes at least: what it computes, or the
    weights, which are read once. Rows are bound by reading and writing."""
    size = 2 if precision == "bf16" else 4
    if not kernel.weights:
        return kernel.bytes / machine.bandwidth
    memory = 0.0
    if math.prod(kernel.shape[:-1]) == 1:
        memory = size * math.prod(kernel.weights) / machine.bandwidth
    return max(kernel.operations / machine.operations, memory)


def measure(kernel: Kernel, machine: Machine, precision: str, rounds: int,
            folder: pathlib.Path) -> dict[str, Any]:  # fmt: skip
    path = folder / "kernel.onnx"
    x = kernel.save(path, np.random.default_rng(0))
    runs, names, expected = [], [], None
    row: dict[str, Any] = {"name": kernel.name, "seconds": {}, "error": 0.0}
    for i, engine in enumerate(ENGINES[precision]):
        own = folder / str(i)
        own.mkdir()
        one = engine(path, own).prepare({"x": x}, 1, True)
        one.call()
        y = one.outputs()[0].astype(np.float64)
        if expected is None:
            expected = y
        row["error"] = max(row["error"], float(np.abs(y - expected).max() / np.abs(expected).max()))
        runs.append(one)
        names.append(engine.name)
    seconds = networks.time_in_turns(runs, rounds, time.process_time)
    for name, found in zip(names, seconds):
        row["seconds"][name] = {"median": statistics.median(found), "minimum": min(found)}
    row["roof"] = find_roof(kernel, machine, precision)
    return row


def format_row(row: dict[str, Any]) -> str:
    """Microseconds of the fastest run, and the part of the roof, of each engine."""
    cells = [f"{row['name']:38}"]
    for engine in engines.ENGINES:
        least = row["seconds"][engine.name]["minimum"]
        cells.append(f"{least * 1e6:9.1f} {100 * row['roof'] / least:5.1f} %")
    own = row["seconds"]["dlc"]["minimum"]
    best = min(s["minimum"] for name, s in row["seconds"].items() if name != "dlc")
    return "  ".join([*cells, f"{own / best:6.2f}  {row['error']:8.1e}"])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/kernels", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only kernels with it in the name")
    parser.add_argument("--rounds", type=commandline.positive, default=20, help="at least (default: 20)")
    parser.add_argument("--precision", choices=ENGINES, default="fp32",
                        help="bf16: of dlc and OpenVINO, beside the peak of that type; without softmax")  # fmt: skip
    parser.add_argument("--json", type=commandline.output_file, metavar="FILE")
    parser.add_argument("--list", action="store_true", help="print the kernels and end")
    options = parser.parse_args(arguments)
    chosen = [k for k in KERNELS if not options.words or any(w in k.name for w in options.words)]
    if options.precision == "bf16":
        chosen = [k for k in chosen if k.weights]
    if not chosen:
        parser.error(f"no kernel has {' or '.join(map(repr, options.words))} in its name; --list")
    if options.list:
        print("\n".join(kernel.name for kernel in chosen))
        return 0
    found = []
    with tempfile.TemporaryDirectory() as folder:
        machine = measure_machine(pathlib.Path(folder), options.precision)
        if not machine.operations:
            parser.error("this machine has no dot products of bfloat16")
        print(f"{networks.describe_machine()}\none thread: {machine.operations * 1e-9:.1f} GFLOP/s, "
              f"{machine.bandwidth * 1e-9:.1f} GB/s read")  # fmt: skip
        heads = "".join(f"  {engine.name + ', us, roof':>17}" for engine in engines.ENGINES)
        print(f"{'kernel':38}{heads}  {'dlc/best':>6}  difference")
        for kernel in chosen:
            with tempfile.TemporaryDirectory(dir=folder) as own:
                found.append(measure(kernel, machine, options.precision, options.rounds,
                                     pathlib.Path(own)))  # fmt: skip
            print(format_row(found[-1]), flush=True)
    if options.json:
        options.json.write_text(json.dumps({"machine": dataclasses.asdict(machine), "rows": found},
                                           indent=2))  # fmt: skip
    wrong = [row["name"] for row in found if row["error"] > TOLERANCE[options.precision]]
    if wrong:
        print(f"the outputs differ: {', '.join(wrong)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
