"""Makes random models and keeps what they shall compute."""

from __future__ import annotations

import collections
import dataclasses
from typing import Any

import builder
import onnx
import reference
from builder import Builder, Discard
from onnx import helper
from operators import TABLE

# Where only parts of the code differ, the newest sets count most; those beyond
# what ONNX Runtime has are checked by the evaluator, which is slower.
OPSETS = [7, 8, 9, 10, 11, 11, 12, 13, 13, 14, 15, 16, 17, 17, 18, 18, 19, 20, 21, 21, 22, 23, 24, 26, 28]
CONTROL = ["If", "Loop", "Scan", "SequenceMap"]


@dataclasses.dataclass
class Example:
    """A model with inputs and what it shall make of them."""

    model: onnx.ModelProto
    feeds: dict[str, Any]
    expected: dict[str, Any]
    values: dict[str, Any]
    """Every value of the outermost graph."""
    inexact: set[str]


def add_node(b: Builder, nested: bool = True, attempts: int = 30) -> None:
    names = [key for key in TABLE if not key[0]]
    classical = [key for key in TABLE if key[0]]
    for _ in range(attempts):
        if nested and b.chance(b.control):
            domain, name = "", b.choose([*CONTROL, "If", "Loop", "Loop"])
        else:
            domain, name = b.choose(classical if b.chance(b.classical) else names)
        if name in CONTROL and not nested:
            continue
        count = len(b.nodes)
        try:
            TABLE[domain, name](b, name)
            return
        except Discard:
            del b.nodes[count:]
            known = {o for node in b.nodes for o in node.output}
            for value in [v for v in b.values.values() if v.source == "node"]:
                if value.name not in known:
                    del b.values[value.name]


def make_example(seed: int, opset: int | None = None) -> Example:
    b = Builder(seed, 0)
    b.opset = opset or b.choose(OPSETS)
    if b.chance(0.2):
        b.control = 0.35
    elif b.chance(0.15):
        b.classical = 0.6
    for _ in range(b.choose([1, 1, 2, 2, 3, 4, 5, 6, 8, 10, 12])):
        add_node(b)
    return finish(b)


def make_single(seed: Any, domain: str, name: str, opset: int) -> Example:
    """A model of one node of the operator, and what it needs."""
    b = Builder(seed, opset)
    TABLE[domain, name](b, name)
    return finish(b)


def finish(b: Builder, dynamic: bool | None = None) -> Example:
    """The builder's nodes as a model."""
    if not b.nodes:
        raise Discard("no node")
    used = {n for node in b.nodes for n in [*node.input, *builder.captured(node)] if n}
    uses = collections.Counter(n for node in b.nodes for n in [*node.input, *builder.captured(node)])
    made = [v for v in b.values.values() if v.source == "node" and v.array is not None and not v.optional]
    outputs = [v for v in made if v.name not in uses or b.chance(0.2)]
    outputs = [v for v in outputs if v.is_tensor or isinstance(v.array, list) and v.array]
    if not outputs:
        raise Discard("no output")
    inputs = [v for v in b.values.values() if v.name in used and v.source == "input"]
    constants = [v for v in b.values.values() if v.name in used and v.source == "constant"]
    if dynamic is None:
        dynamic = b.chance(0.5)
    by_name = b.chance(0.5)

    def declare(value: builder.Value) -> onnx.ValueInfoProto:
        shape: list[Any] = list(value.array.shape)
        if dynamic and not value.keeps_shape:
            # Equal sizes may have one name, for they are equal.
            shape = [
                size if b.chance(0.2) else f"size{size}" if by_name else f"{value.name}_{i}"
                for i, size in enumerate(shape)
            ]
        return builder.to_value_info(value.name, value.array, shape)

    nodes = list(b.nodes)
    as_nodes = set()
    for value in constants:
        if b.chance(0.3) and value.array.dtype.kind in "fiub" and b.opset >= 9:
            as_nodes.add(value.name)
            tensor = builder.to_tensor(value.name + "_value", value.array)
            nodes.insert(0, helper.make_node("Constant", [], [value.name], value=tensor))
    graph = helper.make_graph(
        nodes,
        "fuzz",
        [declare(v) for v in inputs],
        [builder.to_value_info(v.name, v.array, declare_output(b, v, dynamic)) for v in outputs],
        [builder.to_tensor(v.name, v.array) for v in constants if v.name not in as_nodes],
    )
    model = reference.make_model(graph, b.opset)
    try:
        onnx.checker.check_model(model)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True, data_prop=True)
    except Exception as error:
        raise Discard(f"invalid: {reference.first_line(error)}") from error
    return Example(
        model,
        {v.name: v.array for v in inputs},
        {v.name: v.array for v in outputs},
        {v.name: v.array for v in b.values.values()},
        {v.name for v in b.values.values() if not v.exact},
    )


def declare_output(b: Builder, value: builder.Value, dynamic: bool) -> list[Any] | None:
    if not value.is_tensor:
        return None
    if not dynamic and b.chance(0.5):
        return list(value.array.shape)
    return [None] * value.array.ndim
