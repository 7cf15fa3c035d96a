"""What of a model cannot become integers, said before any data is read."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np
import onnx
from onnx import TensorProto

from dlc.quantize.graph import Graph, all_nodes, bodies_of
from dlc.quantize.options import Options
from dlc.quantize.products import PRODUCTS

# Operators with weights, but without an integer form.
OTHERS = ("LSTM", "GRU", "RNN", "Einsum", "DeformConv")
QUANTIZED = ("QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "MatMulInteger", "ConvInteger",
             "QLinearConv", "QLinearMatMul")  # fmt: skip
NO_FORM = "{} has no integer form"
LISTED = 3  # nodes that a warning names


def inspect(graph: Graph, options: Options, closed: Mapping[str, str]) -> tuple[list[str], int]:
    """A warning for each reason why layers stay in float, and how many layers do
    not. `closed` are nodes whose bodies stay as they are, and why. Wrong models
    are errors."""
    _expect_float_model(graph)
    found: dict[str, list[str]] = {}
    count = 0
    for node in graph.graph.node:
        if node.domain not in ("", "ai.onnx") or node.name in options.keep:
            continue
        reason = _find_reason(graph, node, options) if node.op_type in PRODUCTS else None
        if node.op_type in OTHERS:
            reason = NO_FORM.format(node.op_type)
        if reason:
            found.setdefault(reason, []).append(_describe(node))
        elif node.op_type in PRODUCTS:
            count += 1
        for body in bodies_of(node):
            where = f"what is in a body of {_describe(node)} is not looked into: {closed.get(node.name)}"
            isEntered = has_products(body) and node.name not in closed
            for inner in [] if isEntered else all_nodes(body):  # those entered tell of themselves
                if inner.op_type in (*PRODUCTS, *OTHERS) and inner.domain in ("", "ai.onnx"):
                    reason = where if node.name in closed else NO_FORM.format(inner.op_type)
                    found.setdefault(reason, []).append(_describe(inner))
    warnings = [f"{_join(nodes)} {'stays' if len(nodes) == 1 else 'stay'} in float: {reason}"
                for reason, nodes in found.items()]  # fmt: skip
    return warnings, count


def has_products(body: onnx.GraphProto) -> bool:
    return any(node.op_type in PRODUCTS for node in all_nodes(body))


def expect_layers(count: int, warnings: Sequence[str], options: Options) -> None:
    """Models of nothing but what stays in float are errors."""
    if not count and not options.keep:
        what = "Conv, ConvTranspose, Gemm or MatMul of float32"
        weights = " with constant weights" if options.weights_only else ""
        raise ValueError("; ".join([f"expected a {what}{weights} to quantize, found none", *warnings]))


def _find_reason(graph: Graph, node: onnx.NodeProto, options: Options) -> str | None:
    for name in node.input[:2]:
        constant = graph.constants.get(name)
        if constant is None and options.weights_only and name == node.input[1]:
            return "its weights are no constants"
        kind = constant.data_type if constant else getattr(graph.types.get(name), "elem_type", 0)
        if not kind:
            return f"the type of tensor '{name}' is not known"
        if kind != TensorProto.FLOAT:
            return f"the type of tensor{'s' if not constant else ''} is {_type_name(kind)}, not float32"
        value = graph.value(name)
        if value is not None and value.ndim < 2:
            return "weights of less than two dimensions"
        if value is not None and not np.isfinite(value).all():
            at = np.argwhere(~np.isfinite(value))[0]
            raise ValueError(f"expected finite weights, found {value[tuple(at)]} in '{name}' at "
                             f"{at.tolist()}, which {_describe(node)} reads; --keep={node.name} leaves it "
                             "in float")  # fmt: skip
    return None


def _type_name(kind: int) -> str:
    return str(TensorProto.DataType.Name(kind)).lower()


def _expect_float_model(graph: Graph) -> None:
    for node in graph.graph.node:
        if node.op_type in QUANTIZED:
            raise ValueError(f"expected a model of floats, found {_describe(node)}: it is quantized already")


def expect_shapes(graph: Graph) -> None:
    """ONNX wants one of each result, if only a rank."""
    for output in graph.graph.output:
        if output.type.HasField("tensor_type") and not output.type.tensor_type.HasField("shape"):
            raise ValueError(f"expected a shape of the output '{output.name}', found none, and none follows "
                             "from the model; name its dimensions in the file")  # fmt: skip


def _describe(node: onnx.NodeProto) -> str:
    return f"node '{node.name or next(iter(node.output), '')}' ({node.op_type})"


def _join(nodes: Iterable[str]) -> str:
    named = list(nodes)
    more = len(named) - LISTED
    return ", ".join(named[:LISTED]) + (f" and {more} more" if more > 0 else "")
