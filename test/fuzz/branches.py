"""Backend tests behind branches whose results have other ranks or elements.

usage: branches.py [--jobs N] [--sample N] [FILTER]

Puts an If in front of one input of each test: its other branch gives a tensor
that the nodes behind it mostly cannot take, so that what follows is imported for
both. The compiler shall say which node cannot take it, or leave that to the run,
and the branch that is right shall give what the test expects. Ends with 1 where a
process died or an answer was wrong.
"""

from __future__ import annotations

import argparse
import collections
import pathlib
import sys
import zlib
from typing import Any

import numpy as np
import onnx
from onnx import helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "conformance")]

import cases  # noqa: E402
import pool  # noqa: E402

import dlc  # noqa: E402
import dlc.backend  # noqa: E402

TIMEOUT = 120.0
PASS, REFUSED, NONE, FAILED = "pass", "refused", "no such input", "failed"
DIFFERS = ROOT / "test" / "conformance" / "differs.txt"
OPSET = 16
"""From this one on the branches of an If may be sequences and optionals."""

Change = tuple[str, Any]
CHANGES: tuple[Change, ...] = (
    ("a dimension more", lambda shape: [1, *shape]),
    ("a dimension less", lambda shape: shape[1:]),
    ("two dimensions more", lambda shape: [*shape, 2, 3]),
    ("a scalar", lambda shape: []),
    ("a larger first dimension", lambda shape: [shape[0] + 1, *shape[1:], 1]),
)


def put_branch(model: onnx.ModelProto, number: int, shape: list[int]) -> onnx.ModelProto:
    """The model with input `number` behind an If, whose condition is a new, last
    input."""
    changed = onnx.ModelProto()
    changed.CopyFrom(model)
    graph = changed.graph
    given = graph.input[number]
    name = given.name
    element = given.type.tensor_type.elem_type
    inner = f"{name}_given"
    for node in graph.node:
        rename(node, name, inner)
    for output in graph.output:
        if output.name == name:
            raise ValueError("an output is an input")
    right = helper.make_graph([helper.make_node("Identity", [name], ["right"])], "right", [],
                              [helper.make_tensor_value_info("right", element, None)])  # fmt: skip
    wrong = helper.make_graph(
        [
            helper.make_node(
                "Constant",
                [],
                ["wrong_shape"],
                value=helper.make_tensor("sizes", onnx.TensorProto.INT64, [len(shape)], shape),
            ),
            helper.make_node("ConstantOfShape", ["wrong_shape"], ["wrong_zeros"]),
            helper.make_node("Cast", ["wrong_zeros"], ["wrong"], to=element),
        ],
        "wrong",
        [],
        [helper.make_tensor_value_info("wrong", element, None)],
    )
    node = helper.make_node(
        "If", ["branch_is_right"], [inner], then_branch=right, else_branch=wrong, name="branch"
    )
    graph.node.insert(0, node)
    flatten(graph)
    graph.input.append(helper.make_tensor_value_info("branch_is_right", onnx.TensorProto.BOOL, []))
    del graph.value_info[:]
    return changed


def flatten(graph: onnx.GraphProto) -> None:
    """Makes rows of the outputs that are tensors, so that the branches' results
    have one rank at the end."""
    row = helper.make_tensor("row", onnx.TensorProto.INT64, [1], [-1])
    for output in graph.output:
        if output.type.WhichOneof("value") != "tensor_type":
            continue
        whole, shape = f"{output.name}_whole", f"{output.name}_row"
        for node in graph.node:
            for i, name in enumerate(node.output):
                if name == output.name:
                    node.output[i] = whole
            rename(node, output.name, whole)
        graph.node.append(helper.make_node("Constant", [], [shape], value=row))
        graph.node.append(helper.make_node("Reshape", [whole, shape], [output.name]))
        output.type.tensor_type.ClearField("shape")


def rename(node: onnx.NodeProto, name: str, to: str) -> None:
    for i, used in enumerate(node.input):
        if used == name:
            node.input[i] = to
    for attribute in node.attribute:
        if attribute.HasField("g"):
            for inner in attribute.g.node:
                rename(inner, name, to)
            for output in attribute.g.output:
                if output.name == name:
                    raise ValueError("a branch gives an input")


def candidates(model: onnx.ModelProto) -> list[int]:
    """Inputs that are tensors of a known rank, of elements that Cast can make."""
    initialized = {tensor.name for tensor in model.graph.initializer}
    found = []
    for i, value in enumerate(model.graph.input):
        if value.name in initialized or value.type.WhichOneof("value") != "tensor_type":
            continue
        tensor = value.type.tensor_type
        name = onnx.TensorProto.DataType.Name(tensor.elem_type)
        if tensor.HasField("shape") and not name.startswith("COMPLEX"):
            found.append(i)
    return found


def to_row(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else np.asarray(value).reshape(-1)


def check_case(case: cases.Case) -> tuple[str, str]:
    model = case.load_model()
    choices = candidates(model)
    if not choices or not any(o.domain == "" and o.version >= OPSET for o in model.opset_import):
        return NONE, ""
    pick = zlib.crc32(case.name.encode())
    number = choices[pick % len(choices)]
    shape = [d.dim_value for d in model.graph.input[number].type.tensor_type.shape.dim]
    fitting = [change for change in CHANGES if shape or "first" not in change[0]]
    what, change = fitting[pick // 7 % len(fitting)]
    if not shape and not change(shape):
        what, change = CHANGES[0]
    try:
        changed = put_branch(model, number, change(shape))
    except ValueError as error:
        return NONE, str(error)
    try:
        compiled = dlc.compile(changed, opt_level=1)
    except dlc.CompileError as error:
        text = str(error)
        # Or of an output, of which ONNX's own inference takes too little.
        named = any(word in text for word in ("node '", "output '", "ONNX"))
        return (REFUSED if named else FAILED), f"{what}: {text}"
    for inputs, expected in case.load_data(model):
        try:
            outputs = compiled.run([*inputs, np.array(True)])
        except Exception as error:
            return FAILED, f"{what}: {error}"
        try:
            case.check([to_row(value) for value in expected], list(outputs))
        except AssertionError as error:
            return FAILED, f"{what}: {str(error).strip().splitlines()[0]}"
        try:
            compiled.run([*inputs, np.array(False)])
        except dlc.RunError:
            pass
    return PASS, what


def choose_cases(pattern: str, sample: int | None) -> list[cases.Case]:
    """The node tests whose answers are known, or so many of them, always the
    same ones."""
    differs = {line.split()[0] for line in DIFFERS.read_text().splitlines() if line[:1] not in ("", "#")}
    chosen = [
        case for case in cases.load_cases(("node",)) if pattern in case.name and case.name not in differs
    ]
    return sorted(chosen, key=lambda case: zlib.crc32(case.name.encode()))[:sample]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--sample", type=int, help="of so many tests")
    parser.add_argument("filter", nargs="?", default="")
    arguments = parser.parse_args()
    chosen = choose_cases(arguments.filter, arguments.sample)
    dlc.version()  # loads the library before the fork
    kinds: collections.Counter[str] = collections.Counter()
    refused: dict[str, list[str]] = collections.defaultdict(list)
    died = lambda why: (FAILED, why)  # noqa: E731
    for i, (kind, why) in pool.run(lambda i: check_case(chosen[i]), len(chosen), arguments.jobs, TIMEOUT, died):
        kinds[kind] += 1
        if kind == FAILED:
            print(f"{chosen[i].name}: {why}", flush=True)
        elif kind == REFUSED:
            refused[why[:160]].append(chosen[i].name)
    for why, names in sorted(refused.items(), key=lambda item: -len(item[1])):
        print(f"{len(names):5}  {names[0]}: {why}")
    print(", ".join(f"{count} {kind}" for kind, count in kinds.most_common()))
    return 1 if kinds[FAILED] else 0


if __name__ == "__main__":
    sys.exit(main())
