"""Convolutions and products with constant weights, seen as matrices: what all
methods that look at weights share."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx

from dlc.quantize.graph import Graph, attributes_of

# Operators whose second input may be weights, and the axis of their results'
# channels in these.
PRODUCTS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": -1}


@dataclasses.dataclass
class Product:
    """A node with constant weights of float32."""

    node: onnx.NodeProto
    weights: str
    values: np.ndarray
    axis: int
    """That of the result's channels."""

    @property
    def operator(self) -> str:
        return str(self.node.op_type)

    @property
    def attributes(self) -> dict:
        return attributes_of(self.node)

    @property
    def groups(self) -> int:
        return int(self.attributes.get("group", 1)) if "Conv" in self.operator else 1

    @property
    def channels(self) -> int:
        """Of the result."""
        size = int(self.values.shape[self.axis])
        return size * self.groups if self.operator == "ConvTranspose" else size

    @property
    def is_matrix(self) -> bool:
        """Whether `matrix` and `columns` know this form."""
        if self.operator == "Gemm":
            return not self.attributes.get("transA", 0)
        return self.operator == "Conv" or (self.operator == "MatMul" and self.values.ndim == 2)

    @property
    def key(self) -> tuple[str, int]:
        """Nodes with the same weights and channels share what is stored."""
        return self.weights, self.axis

    def matrix(self, values: np.ndarray | None = None) -> np.ndarray:
        """[groups, channels of the result in a group, numbers that are summed]"""
        values = self.values if values is None else values
        if self.operator == "Conv":
            return values.reshape(self.groups, values.shape[0] // self.groups, -1)
        return (values if self.axis == 0 else values.T)[None]

    def unmatrix(self, matrix: np.ndarray) -> np.ndarray:
        """The weights that `matrix` was made of."""
        if self.operator == "Conv":
            return matrix.reshape(self.values.shape)
        return np.ascontiguousarray(matrix[0] if self.axis == 0 else matrix[0].T)

    def columns(self, x: np.ndarray) -> np.ndarray:
        """What the rows of `matrix` are multiplied by, of an input: [groups,
        samples, numbers that are summed]."""
        if self.operator != "Conv":
            return x.reshape(1, -1, x.shape[-1])
        kernel = self.values.shape[2:]
        rank, attributes = len(kernel), self.attributes
        strides = attributes.get("strides", [1] * rank)
        dilations = attributes.get("dilations", [1] * rank)
        reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
        pads = _find_pads(attributes, x.shape[2:], reach, strides)
        x = np.pad(x, [(0, 0), (0, 0), *pads])
        windows = np.lib.stride_tricks.sliding_window_view(x, reach, tuple(range(2, 2 + rank)))
        windows = windows[(slice(None), slice(None), *(slice(None, None, s) for s in strides),
                           *(slice(None, None, d) for d in dilations))]  # fmt: skip
        n, c = x.shape[:2]
        places = windows.shape[2 : 2 + rank]
        split = windows.reshape(n, self.groups, c // self.groups, *places, *kernel)
        axes = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
        return split.transpose(axes).reshape(
            self.groups, n * int(np.prod(places)), c // self.groups * int(np.prod(kernel))
        )


def _find_pads(
    attributes: dict, sizes: tuple[int, ...], reach: list[int], strides: list[int]
) -> list[tuple[int, int]]:
    how = attributes.get("auto_pad", b"NOTSET")
    how = how.decode() if isinstance(how, bytes) else how
    rank = len(sizes)
    if how in ("SAME_UPPER", "SAME_LOWER"):
        pads = []
        for size, r, s in zip(sizes, reach, strides):
            total = max((-(-size // s) - 1) * s + r - size, 0)
            small, large = total // 2, total - total // 2
            pads.append((small, large) if how == "SAME_UPPER" else (large, small))
        return pads
    given = [0] * (2 * rank) if how == "VALID" else attributes.get("pads", [0] * (2 * rank))
    return list(zip(given[:rank], given[rank:]))


def find_product(graph: Graph, node: onnx.NodeProto) -> Product | None:
    """None for a node whose weights aren't constants that can be rounded."""
    if node.op_type not in PRODUCTS or node.domain not in ("", "ai.onnx") or len(node.input) < 2:
        return None
    values = graph.value(node.input[1])
    if values is None or values.ndim < 2 or not np.isfinite(values).all():
        return None
    axis = PRODUCTS[node.op_type] % values.ndim
    if node.op_type == "Gemm" and not attributes_of(node).get("transB", 0):
        axis = 1
    return Product(node, node.input[1], values, axis)


def find_bias(graph: Graph, product: Product) -> str | None:
    """The constant of one dimension that is added to the product, with one reader."""
    node, channels = product.node, product.values.shape[product.axis]
    name = node.input[2] if len(node.input) > 2 else ""
    if product.operator == "MatMul":
        following = graph.readers.get(node.output[0], [])
        if len(following) != 1 or following[0].op_type != "Add":
            return None
        name = next((n for n in following[0].input if n in graph.constants), "")
    value = graph.value(name)
    attributes = product.attributes
    isScaled = product.operator == "Gemm" and attributes.get("beta", 1.0) != 1
    if value is None or value.shape != (channels,) or isScaled or len(graph.readers[name]) != 1:
        return None
    return name
