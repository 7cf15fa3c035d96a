"""Cross-layer equalisation (Nagel et al., "Data-Free Quantization", 2019): the
channels between two convolutions are scaled so that both layers' weights have
the same range there. What the network computes stays as it is."""

from __future__ import annotations

import numpy as np
import onnx

from dlc.quantize.graph import Graph
from dlc.quantize.products import Product, find_product

# f(s x) = s f(x) for s > 0, each channel by itself.
HOMOGENEOUS = ("Relu", "LeakyRelu", "MaxPool", "AveragePool", "GlobalAveragePool", "GlobalMaxPool",
               "Dropout", "Identity")  # fmt: skip
ROUNDS = 10


def equalize(graph: Graph) -> int:
    """How many pairs of layers there are; changes their weights."""
    pairs = [pair for node in graph.graph.node if (pair := _find_pair(graph, node)) is not None]
    for _ in range(ROUNDS):
        furthest = max([_equalize_pair(graph, *pair) for pair in pairs], default=0.0)
        if furthest < 0.01:
            break
    return len(pairs)


def _find_pair(graph: Graph, node: onnx.NodeProto) -> tuple[onnx.NodeProto, onnx.NodeProto] | None:
    """Two layers with nothing but homogeneous functions between them."""
    if _find_layer(graph, node) is None:
        return None
    name = node.output[0]
    while True:
        readers = graph.readers.get(name, [])
        if len(readers) != 1 or name in graph.results:
            return None
        reader = readers[0]
        if reader.op_type in HOMOGENEOUS and len(reader.output) == 1:
            name = reader.output[0]
            continue
        second = _find_layer(graph, reader)
        if second is None or reader.input[0] != name:
            return None
        first = _find_layer(graph, node)
        if first is None or len(_rows(first)) != len(_columns(second)):
            return None
        return node, reader


def _find_layer(graph: Graph, node: onnx.NodeProto) -> Product | None:
    """A convolution or Gemm whose weights and bias nothing else reads."""
    product = find_product(graph, node)
    if product is None or product.operator not in ("Conv", "Gemm") or not product.is_matrix:
        return None
    isShared = any(len(graph.readers[n]) != 1 for n in node.input[1:] if n)
    hasBias = all(graph.value(n) is not None for n in node.input[2:] if n)
    return None if isShared or not hasBias else product


def _rows(product: Product) -> np.ndarray:
    """The largest weight of each channel of the result."""
    return np.abs(product.matrix()).max(2, initial=0).reshape(-1)


def _columns(product: Product) -> np.ndarray:
    """The largest weight of each channel of the input."""
    if product.operator == "Gemm":
        return np.abs(product.matrix()).max((0, 1), initial=0)
    channels = product.values.shape[1]
    blocks = np.abs(product.matrix()).reshape(product.groups, -1, channels, _kernel(product))
    return blocks.max((1, 3), initial=0).reshape(-1)


def _kernel(product: Product) -> int:
    return int(np.prod(product.values.shape[2:]))


def _equalize_pair(graph: Graph, first: onnx.NodeProto, second: onnx.NodeProto) -> float:
    """How far the largest factor is from 1."""
    a, b = find_product(graph, first), find_product(graph, second)
    assert a is not None and b is not None
    rows, columns = _rows(a).astype(np.float64), _columns(b).astype(np.float64)
    usable = (rows > 0) & (columns > 0)
    # The first layer's channels are divided by it, the second's multiplied.
    factor = np.where(usable, np.sqrt(rows / np.where(usable, columns, 1)), 1)
    # Powers of two round nothing; ranges are then equal to within sqrt(2).
    factor = 2.0 ** np.rint(np.log2(factor))
    matrix = a.matrix() / factor.reshape(a.matrix().shape[0], -1, 1)
    graph.replace(a.weights, a.unmatrix(matrix.astype(np.float32)))
    bias = first.input[2] if len(first.input) > 2 else ""
    if bias:
        values = graph.value(bias)
        assert values is not None
        shape = np.broadcast_to(values, factor.shape) if values.size == 1 else values
        graph.replace(bias, (shape / factor).astype(np.float32))
    if b.operator == "Gemm":
        scaled = b.matrix() * factor
    else:
        groups, outputs, summed = b.matrix().shape
        shape = (groups, outputs, b.values.shape[1], _kernel(b))
        scaled = b.matrix().reshape(shape) * factor.reshape(groups, 1, -1, 1)
        scaled = scaled.reshape(groups, outputs, summed)
    graph.replace(b.weights, b.unmatrix(scaled.astype(np.float32)))
    return float(np.abs(np.log2(factor)).max(initial=0))
