"""Mathematical functions of float32: the largest error in units in the last
place against float64, and elements a second beside ONNX Runtime's, in turns on
one thread. bench/README.md is the manual."""

from __future__ import annotations

import argparse
import dataclasses
import json
import pathlib
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import engines
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from scipy import special

import dlc

ALLOWED = 2.0
"""Units in the last place."""
ROW = 128
ELEMENTS = 1 << 18


def gelu(x: np.ndarray) -> np.ndarray:
    return 0.5 * x * special.erfc(-x / np.sqrt(2))


def softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    e = np.exp(x - x.max(axis, keepdims=True))
    return e / e.sum(axis, keepdims=True)


def log_softmax(x: np.ndarray, axis: int = -1) -> np.ndarray:
    """In parts that keep the digits of what is near 0."""
    top = x.max(axis, keepdims=True)
    rest = np.where(x == top, 0, np.exp(x - top)).sum(axis, keepdims=True)
    return x - top - np.log1p(rest + ((x == top).sum(axis, keepdims=True) - 1))


def normalize(x: np.ndarray, axis: int = -1) -> np.ndarray:
    centered = x - x.mean(axis, keepdims=True)
    return centered / np.sqrt((centered**2).mean(axis, keepdims=True) + 1e-5)


def normalize_scale(x: np.ndarray, axis: int = -1) -> np.ndarray:
    return x / np.sqrt((x**2).mean(axis, keepdims=True) + 1e-5)


@dataclasses.dataclass(frozen=True)
class Function:
    op: str
    reference: Callable[..., np.ndarray]
    low: float = -8.0
    """What is timed is from here to `high`; errors are sought everywhere."""
    high: float = 8.0
    kind: str = "each"
    """each: of one number; pair: of two; rows: of ROW numbers."""
    shape: tuple[int, ...] = ()
    """Of rows with a shape of their own."""
    axis: int = -1
    is_bounded: bool = True
    """Whether the error may be at most ALLOWED; that of a sum that cancels has
    no bound."""


FUNCTIONS = {
    "exp": Function("Exp", np.exp),
    "log": Function("Log", np.log, 1e-3, 8.0),
    "tanh": Function("Tanh", np.tanh),
    "erf": Function("Erf", special.erf, -3.0, 3.0),
    "sigmoid": Function("Sigmoid", special.expit),
    "gelu": Function("Gelu", gelu),
    "sin": Function("Sin", np.sin),
    "cos": Function("Cos", np.cos),
    "pow": Function("Pow", np.power, 0.1, 4.0, "pair"),
    "softmax": Function("Softmax", softmax, kind="rows"),
}
SHAPES = [((1024, 1024), -1), ((12, 128, 128), -1), ((64, 1000), -1), ((64, 77), -1),
          ((1, 200000), -1), ((64, 128, 100), 1), ((8, 21, 64, 64), 1)]  # fmt: skip
NORMALIZED = [((128, 768), -1), ((512, 1024), -1), ((1, 200000), -1)]
for _op, _name, _reference, _shapes in [
    ("Softmax", "softmax", softmax, SHAPES),
    ("LogSoftmax", "logsoftmax", log_softmax, SHAPES),
    ("LayerNormalization", "layernorm", normalize, NORMALIZED),
    ("RMSNormalization", "rmsnorm", normalize_scale, NORMALIZED),
]:
    for _shape, _axis in _shapes:
        _at = "" if _axis == -1 else f"@{_axis}"
        FUNCTIONS[f"{_name}-{'x'.join(map(str, _shape))}{_at}"] = Function(
            _op, _reference, kind="rows", shape=_shape, axis=_axis,
            is_bounded=_shapes is SHAPES,
        )  # fmt: skip


def make_model(function: Function, count: int | str = "n") -> onnx.ModelProto:
    if function.shape:
        return make_rows_model(function)
    shape = [count, ROW] if function.kind == "rows" else [count]
    names = ["x", "e"] if function.kind == "pair" else ["x"]
    graph = helper.make_graph(
        [helper.make_node(function.op, names, ["y"])], "function",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in names],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def make_rows_model(function: Function) -> onnx.ModelProto:
    """One op on all of a shape. Normalisations have a factor a column, of 1."""
    size = function.shape[function.axis]
    weights = []
    if "Normalization" in function.op:
        weights = [numpy_helper.from_array(np.ones(size, np.float32), "scale")]
    graph = helper.make_graph(
        [helper.make_node(function.op, ["x", *(w.name for w in weights)], ["y"], axis=function.axis)],
        "function",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, function.shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, function.shape)],
        weights,
    )  # fmt: skip
    opset = 23 if function.op == "RMSNormalization" else 20
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10
    )


def make_arguments(function: Function, step: int) -> list[np.ndarray]:
    """Every step-th float; pairs and rows of random numbers instead."""
    random = np.random.default_rng(0)
    count = (1 << 32) // step
    if function.kind == "pair":
        bases = np.exp(random.uniform(-20, 20, count)).astype(np.float32)
        return [bases, random.uniform(-4, 4, count).astype(np.float32)]
    if function.shape:
        each = list(function.shape)
        each[function.axis] = 1
        times = max(1, count // 16 // int(np.prod(function.shape)))
        scales = np.exp(random.uniform(-3, 4, [times, *each]))
        return [(random.standard_normal([times, *function.shape]) * scales).astype(np.float32)]
    if function.kind == "rows":
        scales = np.exp(random.uniform(-3, 4, (count // ROW, 1)))
        return [(random.standard_normal((count // ROW, ROW)) * scales).astype(np.float32)]
    bits = np.arange(0, 1 << 32, step, dtype=np.uint64).astype(np.uint32)
    special_bits = [0, 0x80000000, 1, 0x80000001, 0x7F800000, 0xFF800000, 0x7FC00000, 0x3F800000]
    return [np.concatenate([bits, np.array(special_bits, np.uint32)]).view(np.float32)]


def find_errors(y: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """In units in the last place of the exact result, rounded to float32."""
    with np.errstate(all="ignore"):
        rounded = exact.astype(np.float32)
        unit = np.spacing(np.abs(rounded)).astype(np.float64)
        errors = np.abs(y.astype(np.float64) - exact) / unit
    equal = (y == rounded) | (np.isnan(y) & np.isnan(exact))
    return np.where(equal & ~np.isfinite(rounded), 0.0, np.where(np.isnan(errors), np.inf, errors))


def measure_error(
    function: Function, run: Callable[[list[np.ndarray]], np.ndarray], step: int
) -> dict[str, Any]:
    """The largest error, and where it is."""
    worst: dict[str, Any] = {"ulp": 0.0, "at": ""}
    arguments = make_arguments(function, step)
    chunk = 1 << (15 if function.kind == "rows" else 20)
    if function.shape:
        chunk = 1
    for begin in range(0, len(arguments[0]), chunk):
        part = [x[begin : begin + chunk] for x in arguments]
        given = {"axis": function.axis} if function.shape else {}
        if function.shape:
            part = [x[0] for x in part]
        with np.errstate(all="ignore"):
            exact = function.reference(*(x.astype(np.float64) for x in part), **given)
        errors = find_errors(run(part), exact)
        i = np.unravel_index(int(np.argmax(errors)), errors.shape)
        if errors[i] > worst["ulp"]:
            worst = {"ulp": float(errors[i]), "at": ", ".join(f"{x[i]:.9g}" for x in part)}
    return worst


def align(values: np.ndarray) -> np.ndarray:
    """A copy that begins with a line of the cache, as what engines allocate does."""
    memory = np.empty(values.nbytes + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    copy = memory[begin : begin + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


def measure_rates(function: Function, folder: pathlib.Path, rounds: int) -> dict[str, float]:
    """Elements a nanosecond of the fastest run."""
    random = np.random.default_rng(1)
    shape = (ELEMENTS // ROW, ROW) if function.kind == "rows" else (ELEMENTS,)
    shape = function.shape or shape
    names = ["x", "e"] if function.kind == "pair" else ["x"]
    inputs = {name: align(random.uniform(function.low, function.high, shape).astype(np.float32))
              for name in names}  # fmt: skip
    path = folder / f"{function.op}.onnx"
    proto = make_model(function, shape[0])
    onnx.save(proto, path)
    model = dlc.compile(proto, threads=1)
    calls = {
        "dlc": dlc.model.Call(model, list(inputs.values()), keep_workspace=True, threads=1),
        "ONNX Runtime": engines.bind(engines.make_session(path), inputs).call,
    }
    least = {name: float("inf") for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            start = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - start)
    return {name: np.prod(shape) / seconds * 1e-9 for name, seconds in least.items()}


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/functions", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(FUNCTIONS))
    parser.add_argument("--step", type=int, default=997, help="every so many floats (default: 997)")
    parser.add_argument("--rounds", type=int, default=50, help="0: no rates (default: 50)")
    parser.add_argument("--json", type=pathlib.Path, metavar="FILE")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in FUNCTIONS:
            parser.error(f"expected one of {', '.join(FUNCTIONS)}, found '{name}'")
    if options.step < 1:
        parser.error(f"expected --step of at least 1, found {options.step}")
    import tempfile

    rows = []
    print("function                  error, ulp: dlc   at                            ORT  "
          "elements/ns: dlc, ORT   ratio")
    with tempfile.TemporaryDirectory() as folder:
        for name in options.names or FUNCTIONS:
            function = FUNCTIONS[name]
            proto = make_model(function)
            model = dlc.compile(proto, threads=1)
            row = {"name": name,
                   **measure_error(function, lambda x: model.run(x)[0], options.step)}  # fmt: skip
            session = engines.make_session(proto.SerializeToString())
            feeds = [info.name for info in session.get_inputs()]
            row["ORT"] = measure_error(
                function, lambda x: session.run(None, dict(zip(feeds, x)))[0], options.step
            )
            if options.rounds:
                row["rates"] = measure_rates(function, pathlib.Path(folder), options.rounds)
            rows.append(row)
            rates = row.get("rates", {})
            ratio = rates["dlc"] / rates["ONNX Runtime"] if rates else float("nan")
            print(f"{name:25} {row['ulp']:15.3f}   {row['at']:22} {row['ORT']['ulp']:10.3f} "
                  f"{rates.get('dlc', 0):17.3f} "
                  f"{rates.get('ONNX Runtime', 0):10.3f} {ratio:8.2f}", flush=True)  # fmt: skip
    if options.json:
        options.json.write_text(json.dumps(rows, indent=2))
    beyond = [row["name"] for row in rows if FUNCTIONS[row["name"]].is_bounded and not row["ulp"] <= ALLOWED]
    if beyond:
        print(f"beyond {ALLOWED:g} units in the last place: {', '.join(beyond)}")
    return bool(beyond)


if __name__ == "__main__":
    sys.exit(main())
