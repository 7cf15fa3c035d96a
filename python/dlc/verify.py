"""Finds the node whose value is wrong, and the pass that makes it so.

usage: dlc verify model.onnx [--inputs=x.npz] [--dim=name=size] ...

Compiles the model with the values of all its nodes as outputs and compares
each with ONNX Runtime's; where that cannot run the model, with those of ONNX's
reference evaluator. Then compiles the model as it is, since outputs stand in
the way of fusion, and when only that goes wrong looks for the first node that
is wrong as the last one of a model. dlc.bisect then finds the pass.
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import sys
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import numpy as np
import onnx

import dlc
from dlc import bisect

# Relative and absolute tolerance by the reference's type; other types must be
# equal.
TOLERANCES = {
    "float64": (1e-6, 1e-8),
    "float32": (1e-3, 1e-4),
    "float16": (1e-2, 1e-2),
    "bfloat16": (4e-2, 4e-2),
}

# How far a float32 value may be off where products round their operands, as a
# part of the largest one.
ROUNDED = {"tf32": 2e-2, "fp16": 2e-2, "bf16": 1e-1}


@dataclasses.dataclass(frozen=True)
class Difference:
    """How a value differs from the reference's."""

    value: str
    node: str
    operator: str
    shape: tuple[int, ...]
    dtype: str
    error: float
    """The largest absolute error, inf where the types or shapes differ."""
    excess: float
    """The largest error as a part of what is tolerated; above 1 is wrong."""
    problem: str = ""

    @property
    def is_wrong(self) -> bool:
        return not self.excess <= 1


def compare(value: Any, reference: Any, precision: str = "fp32") -> tuple[float, float, str]:
    """The error, the excess and the problem of Difference; `precision` is that of
    dlc.compile."""
    if isinstance(reference, (list, dict)):
        return _compare_parts(value, reference, precision)
    value, reference = np.asarray(value), np.asarray(reference)
    if value.shape != reference.shape:
        return np.inf, np.inf, f"shape {value.shape}, expected {reference.shape}"
    if reference.dtype.kind in "OUS":
        same = (value.astype(str) == reference.astype(str)).all()
        return (0.0, 0.0, "") if same else (np.inf, np.inf, "other strings")
    if value.dtype != reference.dtype:
        return np.inf, np.inf, f"type {value.dtype}, expected {reference.dtype}"
    if value.size == 0:
        return 0.0, 0.0, ""
    rtol, atol = TOLERANCES.get(reference.dtype.name, (0.0, 0.0))
    wide = np.complex128 if value.dtype.kind == "c" else np.float64
    a, b = value.astype(wide), reference.astype(wide)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    tolerated = atol + rtol * np.abs(b)
    if precision in ROUNDED and reference.dtype == np.float32:
        finite = np.abs(b[np.isfinite(b)])
        tolerated = np.maximum(tolerated, ROUNDED[precision] * finite.max(initial=0))
    with np.errstate(all="ignore"):
        error = np.where(same, 0.0, np.abs(a - b))
        excess = np.where(same, 0.0, error / tolerated)
    error = np.where(np.isnan(error), np.inf, error)
    excess = np.where(np.isnan(excess), np.inf, excess)
    return float(error.max()), float(excess.max()), ""


def _compare_parts(value: Any, reference: Any, precision: str) -> tuple[float, float, str]:
    """The same of sequences and maps: of their worst part."""
    if type(value) is not type(reference) or len(value) != len(reference):
        return np.inf, np.inf, f"{len(value)} parts, expected {len(reference)}"
    if isinstance(reference, dict):
        if set(value) != set(reference):
            return np.inf, np.inf, "other keys"
        pairs = [(value[key], reference[key]) for key in reference]
    else:
        pairs = list(zip(value, reference))
    worst = (0.0, 0.0, "")
    for a, b in pairs:
        # Of a map's values ONNX Runtime makes numbers of Python.
        if isinstance(b, float) and isinstance(a, float):
            a, b = np.float32(a), np.float32(b)
        worst = max(worst, compare(a, b, precision), key=lambda error: error[1])
    return worst


def expose_values(model: onnx.ModelProto, names: Sequence[str] | None = None) -> onnx.ModelProto:
    """A copy of the model whose outputs are the values of all its nodes, or
    those of `names`. Values inside whose type is no tensor, or unknown, stay there."""
    inferred = onnx.shape_inference.infer_shapes(model, data_prop=True)
    known = {value.name: value for value in inferred.graph.value_info}
    known.update({value.name: value for value in inferred.graph.output})
    if names is None:
        names = [name for node in model.graph.node for name in node.output if name]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    for name in names:
        info = known.get(name)
        if info is not None and info.type.tensor_type.elem_type:
            exposed.graph.output.append(info)
    # Outputs of other types stay outputs.
    exposed.graph.output.extend(
        value for value in model.graph.output
        if value.name in names and not value.type.tensor_type.elem_type
    )
    return exposed


def make_inputs(
    model: onnx.ModelProto,
    dims: Mapping[str, int],
    seed: int = 0,
    shapes: Mapping[str, Sequence[int]] = MappingProxyType({}),
) -> dict[str, Any]:
    """Random inputs: floats in [-1, 1), integers 0 and 1. Dynamic dimensions
    have the size of `dims`, else 3, which is neither broadcast nor a multiple
    of a vector."""
    random = np.random.default_rng(seed)
    constants = {tensor.name for tensor in model.graph.initializer}
    inputs = {}
    for info in model.graph.input:
        if info.name in constants:
            continue
        tensor = info.type.tensor_type
        if not tensor.elem_type:
            raise ValueError(f"input '{info.name}' is no tensor; give its value with --inputs")
        shape = [
            dim.dim_value if dim.HasField("dim_value") else dims.get(dim.dim_param, 3)
            for dim in tensor.shape.dim
        ]
        if info.name in shapes:
            shape = list(shapes[info.name])
        dtype = onnx.helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        if tensor.elem_type == onnx.TensorProto.STRING:
            inputs[info.name] = np.full(shape, "text", object)
        elif np.dtype(dtype).kind in "iub":
            inputs[info.name] = random.integers(0, 2, shape).astype(dtype)
        else:
            inputs[info.name] = random.uniform(-1, 1, shape).astype(dtype)
    return inputs


def run_reference(model: onnx.ModelProto, inputs: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    """Every output of the model by name, and who made it."""
    names = [value.name for value in model.graph.output]
    try:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return "ONNX Runtime", dict(zip(names, session.run(names, dict(inputs))))
    except Exception as error:  # it has many kinds of its own
        print(f"ONNX Runtime cannot run the model: {str(error).splitlines()[0]}", file=sys.stderr)
    from onnx.reference import ReferenceEvaluator

    try:
        values = ReferenceEvaluator(model).run(names, dict(inputs))
    except Exception as error:
        raise ValueError(
            f"no reference: ONNX's evaluator cannot run the model either: {error}; sizes of "
            "inputs can be given with --dim and --shape, values with --inputs"
        ) from error
    return "the reference evaluator", dict(zip(names, values))


def verify(
    model: onnx.ModelProto, inputs: Mapping[str, Any], **options: Any
) -> tuple[list[Difference], list[Difference], Difference | None]:
    """Compares dlc with the reference; `options` are those of dlc.compile.

    Returns:
      The differences of all values, in the order of the nodes; those of the
      outputs of the model compiled as it is; and, when only the latter are
      wrong, the first value that is wrong as the only output of a model.
    """
    compiled = dlc.compile(model, **options)  # the errors of dlc come first
    exposed = expose_values(model)
    _, expected = run_reference(exposed, inputs)
    precision = options.get("precision", "fp32")
    every = _differ(model, dlc.compile(exposed, **options).run(inputs), expected, precision)
    outputs = [value.name for value in model.graph.output if value.name in expected]
    whole = compiled.run(inputs)
    final = _differ(model, {name: whole[name] for name in outputs}, expected, precision)
    if any(d.is_wrong for d in every) or not any(d.is_wrong for d in final):
        return every, final, None
    # Only fused code is wrong: bisect, the wrong output being the last.
    names = [d.value for d in every]
    low, high, found = 0, names.index(next(d.value for d in final if d.is_wrong)), None
    while low <= high:
        middle = (low + high) // 2
        alone = dlc.compile(expose_values(model, [names[middle]]), **options).run(inputs)
        difference = _differ(model, alone, expected, precision)[0]
        if difference.is_wrong:
            found, high = difference, middle - 1
        else:
            low = middle + 1
    return every, final, found


def _differ(
    model: onnx.ModelProto,
    values: Mapping[str, Any],
    expected: Mapping[str, Any],
    precision: str = "fp32",
) -> list[Difference]:
    producers = {name: node for node in model.graph.node for name in node.output}
    differences = []
    for name, value in values.items():
        node = producers.get(name, onnx.NodeProto())
        error, excess, problem = compare(value, expected[name], precision)
        reference = expected[name]
        if isinstance(reference, (list, dict)):
            kind = "sequence" if isinstance(reference, list) else "map"
            differences.append(
                Difference(
                    name, node.name, node.op_type, (len(reference),), kind, error, excess, problem
                )
            )
            continue
        reference = np.asarray(reference)
        differences.append(
            Difference(
                name, node.name, node.op_type, reference.shape, str(reference.dtype),
                error, excess, problem,
            )
        )  # fmt: skip
    return differences


def print_table(differences: Sequence[Difference]) -> None:
    rows = [("operator", "value", "type", "shape", "max error", "of tolerance", "")]
    for d in differences:
        shape = "x".join(map(str, d.shape)) or "scalar"
        verdict = ("WRONG " + d.problem).strip() if d.is_wrong else ""
        rows.append(
            (d.operator, d.value, d.dtype, shape, f"{d.error:.2e}", f"{d.excess:.2g}", verdict)
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    for row in rows:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())


def find_culprit(
    model: onnx.ModelProto,
    inputs: Mapping[str, Any],
    wrong: Difference,
    is_alone: bool,
    **options: Any,
) -> bisect.Culprit:
    """Which pass makes a value wrong: in the model with all values as outputs,
    or, when `is_alone`, in that with this one only."""
    exposed = expose_values(model, [wrong.value] if is_alone else None)
    _, expected = run_reference(expose_values(model, [wrong.value]), inputs)

    def is_wrong(compiled: dlc.Model) -> bool:
        value = {wrong.value: compiled.run(inputs)[wrong.value]}
        precision = options.get("precision", "fp32")
        return _differ(model, value, expected, precision)[0].is_wrong

    return bisect.find_culprit(exposed, is_wrong, **options)


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """What `load` reads."""
    parser.add_argument("model", metavar="model.onnx")
    parser.add_argument("--inputs", metavar="x.npz",
                        help="an array for each input; without it, random ones")  # fmt: skip
    parser.add_argument("--dim", action="append", default=[], metavar="name=size",
                        help="size of a named dimension of random inputs")  # fmt: skip
    parser.add_argument("--shape", action="append", default=[], metavar="input:2x3",
                        help="shape of a random input")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of random inputs")


def add_compile_arguments(parser: argparse.ArgumentParser) -> None:
    """What `read_compile_options` reads."""
    parser.add_argument("-O", dest="opt_level", type=int, default=3, choices=range(4),
                        help="optimisation level")  # fmt: skip
    parser.add_argument("-mcpu", dest="cpu", help="the processor to compile for, as of dlc")
    parser.add_argument("--conv", default="auto", metavar="FORM",
                        help="form of convolutions, as of dlc")  # fmt: skip
    parser.add_argument("--matmul", default="direct", metavar="FORM",
                        help="form of products, as of dlc")  # fmt: skip
    parser.add_argument("--precision", default="fp32", choices=["fp32", "bf16"],
                        help="what products round their operands to")  # fmt: skip
    parser.add_argument("--expand-weights", default="init", choices=["init", "object"],
                        help="where large constants are made")  # fmt: skip
    parser.add_argument("--disable-pass", action="append", default=[], metavar="pass",
                        help="leave out an optional pass")  # fmt: skip
    parser.add_argument("--add-passes", action="append", default=[], metavar="phase:pipeline",
                        help="run passes behind those of a phase")  # fmt: skip
    parser.add_argument("--load-plugin", action="append", default=[], metavar="file",
                        help="load a plugin, a shared library")  # fmt: skip
    parser.add_argument("--plugin-opt", action="append", default=[], metavar="name=value",
                        help="set an option of a plugin")  # fmt: skip
    parser.add_argument("--custom-ops", action="append", default=[], metavar="ops.mlir",
                        help="operators as MLIR functions")  # fmt: skip


def read_compile_options(options: argparse.Namespace) -> dict[str, Any]:
    """The arguments for dlc.compile."""
    return dict(
        name=os.path.basename(options.model),  # for errors
        opt_level=options.opt_level,
        cpu=options.cpu,
        conv=options.conv,
        matmul=options.matmul,
        precision=options.precision,
        expand_weights=options.expand_weights,
        disabled_passes=options.disable_pass,
        added_passes=options.add_passes,
        plugins=options.load_plugin,
        plugin_options=_read_settings(options.plugin_opt),
        custom_ops=options.custom_ops,
    )


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="dlc verify", description="compare every value of a model with ONNX Runtime's"
    )
    add_input_arguments(parser)
    add_compile_arguments(parser)
    parser.add_argument("--all", action="store_true", help="print every value, not the worst only")
    return parser.parse_args(arguments)


def _read_settings(settings: list[str]) -> dict[str, str]:
    """The values of --plugin-opt by name."""
    for setting in settings:
        if "=" not in setting:
            raise ValueError(f"expected --plugin-opt=name=value, found '{setting}'")
    return {name: value for name, _, value in (text.partition("=") for text in settings)}


def load(options: argparse.Namespace) -> tuple[onnx.ModelProto, dict[str, Any]]:
    """The model and its inputs."""
    try:
        model = onnx.load(options.model)
    except Exception as error:  # protobuf and files have their own
        raise ValueError(f"cannot read '{options.model}': {error}") from error
    dims = {}
    for dim in options.dim:
        name, _, size = dim.rpartition("=")
        if not name or not size.isdigit():
            raise ValueError(f"expected --dim=name=size, found '{dim}'")
        dims[name] = int(size)
    known = {dim.dim_param for info in model.graph.input for dim in info.type.tensor_type.shape.dim}
    for name in dims:
        if name not in known:
            raise ValueError(f"no dimension of an input is named '{name}'")
    shapes = {}
    for shape in options.shape:
        name, _, sizes = shape.rpartition(":")
        parts = sizes.split("x") if sizes else []
        if not name or not all(part.isdigit() for part in parts):
            raise ValueError(f"expected --shape=input:2x3, found '{shape}'")
        if name not in [info.name for info in model.graph.input]:
            raise ValueError(f"no input is named '{name}'")
        shapes[name] = [int(part) for part in parts]
    if not options.inputs:
        return model, make_inputs(model, dims, options.seed, shapes)
    try:
        inputs = dict(np.load(options.inputs))
    except Exception as error:
        raise ValueError(f"cannot read '{options.inputs}': {error}") from error
    constants = {tensor.name for tensor in model.graph.initializer}
    wanted = [info.name for info in model.graph.input if info.name not in constants]
    if sorted(wanted) != sorted(inputs):
        raise ValueError(
            f"expected arrays named {', '.join(wanted)} in '{options.inputs}', "
            f"found {', '.join(inputs) or 'none'}"
        )
    for info in model.graph.input:
        expected = onnx.helper.tensor_dtype_to_np_dtype(info.type.tensor_type.elem_type)
        if info.name in inputs and inputs[info.name].dtype != expected:
            raise ValueError(
                f"expected '{info.name}' of type {expected} in '{options.inputs}', "
                f"found {inputs[info.name].dtype}"
            )
    return model, inputs


def main(arguments: Sequence[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        how = read_compile_options(options)
        model, inputs = load(options)
        return _report(model, inputs, options.all, how)
    except dlc.DlcError as error:
        print(error, file=sys.stderr)
    except ValueError as error:
        print(f"dlc: error: {error}", file=sys.stderr)
    return 1


def _report(
    model: onnx.ModelProto, inputs: dict[str, Any], print_all: bool, how: dict[str, Any]
) -> int:
    every, final, fused = verify(model, inputs, **how)
    worst = sorted(every, key=lambda d: -d.excess)[:10]
    print_table(every if print_all else [d for d in every if d.is_wrong or d in worst])
    wrong = next((d for d in every if d.is_wrong), None)
    if wrong is not None:
        print(f"first wrong value: '{wrong.value}' of node '{wrong.node}' ({wrong.operator})")
    elif any(d.is_wrong for d in final):
        print("every value is right by itself, but the model as a whole is not:")
        print_table(final)
        if fused is not None:
            print(f"first wrong where fused: '{fused.value}' of node '{fused.node}' "
                  f"({fused.operator})")  # fmt: skip
    else:
        print(f"all {len(every)} values of {len(model.graph.node)} nodes are right; the worst "
              f"error takes {max((d.excess for d in every), default=0):.2g} of its tolerance")  # fmt: skip
        return 0
    culprit = wrong or fused
    if culprit is not None:
        print(find_culprit(model, inputs, culprit, wrong is None, **how))
    return 1


if __name__ == "__main__":
    sys.exit(main())
