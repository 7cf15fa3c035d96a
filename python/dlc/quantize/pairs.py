"""Puts QuantizeLinear and DequantizeLinear into a graph."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import helper

from dlc.quantize.graph import BLOCK_OPSET, Graph
from dlc.quantize.options import Options
from dlc.quantize.plan import Plan
from dlc.quantize.products import PRODUCTS, Product, find_product
from dlc.quantize.ranges import Histogram
from dlc.quantize.rounding import SMALLEST
from dlc.quantize.weights import Weights


LARGEST_BIAS = 2.0**30  # of its integers, with room for what is corrected


class Pairs:
    """Rewrites `graph`; `ranges` has what was seen of its tensors."""

    def __init__(
        self, graph: Graph, options: Options, ranges: Mapping[str, Histogram], weights: Weights
    ) -> None:
        self.graph, self.options, self.ranges, self.weights = graph, options, ranges, weights
        self.nodes: list[onnx.NodeProto] = []
        self.scales: dict[str, np.float32] = {}  # of activations
        self.replaced: dict[str, str] = {}
        self.parameters: dict[str, tuple[str, str, np.float32]] = {}

    def run(self, plan: Plan | None, keep: set[str]) -> None:
        """Without a plan only weights are quantized. The nodes `keep` are not touched."""
        wanted = set(plan.tensors) if plan else set()
        for name in self.graph.inputs:
            self.add_pair(name, plan, wanted)
        for node in list(self.graph.graph.node):
            isInteger = plan is None or plan.reads_integers(node)
            if node.op_type in PRODUCTS and isInteger and node.name not in keep:
                self._quantize_weights(node)
            elif node.op_type == "Add" and plan is not None:
                self._shape_bias(node, plan)
            self.nodes.append(node)
            if isInteger:
                for i, name in enumerate(node.input):
                    node.input[i] = self.replaced.get(name, name)
            for name in node.output:
                self.add_pair(name, plan, wanted)
        self.graph.set_nodes(self.nodes)

    def _find_parameters(self, name: str) -> tuple[str, str, np.float32]:
        if name in self.parameters:
            return self.parameters[name]
        options = self.options
        dtype = np.dtype(options.activations)
        info = np.iinfo(dtype)
        histogram = self.ranges.get(name)
        if histogram is None or histogram.low > histogram.high:
            raise ValueError(f"no batch showed the values of tensor '{name}'")
        low, high = histogram.find_range(options.method, 256, options.symmetric)
        steps, reach = (127, max(-low, high)) if options.symmetric else (255, high - low)
        exact = max(reach / steps, float(SMALLEST)) if reach else 1.0
        zero = int(np.rint(info.min - low / exact))
        if options.symmetric:
            zero = 0 if info.min else 128
        scale = np.float32(exact)
        self.parameters[name] = (
            self.graph.add_constant(name + "_scale", np.asarray(scale, np.float32)),
            self.graph.add_constant(name + "_zero", np.asarray(zero, dtype)),
            scale,
        )
        return self.parameters[name]

    def add_pair(self, name: str, plan: Plan | None, wanted: set[str]) -> None:
        if plan is None or name not in wanted:
            return
        scale, zero, value = self._find_parameters(plan.shared.get(name, name))
        whole = self.graph.new_name(name + "_quantized")
        real = self.graph.new_name(name + "_dequantized")
        self.nodes += [helper.make_node("QuantizeLinear", [name, scale, zero], [whole], whole),
                       helper.make_node("DequantizeLinear", [whole, scale, zero], [real], real)]  # fmt: skip
        self.replaced[name] = real
        self.scales[real] = value

    def _shape_bias(self, node: onnx.NodeProto, plan: Plan) -> None:
        """Of a product of integers: ONNX Runtime makes a Gemm of a MatMul of three
        dimensions and the Add of a vector, and from operator set 21 on fails on its
        own QuantizeLinear where the operands are int8. A matrix of one row it leaves
        alone."""
        if self.options.activations != "int8" or self.graph.opset < BLOCK_OPSET:
            return
        for i, name in enumerate(node.input):
            value, other = self.graph.value(name), node.input[1 - i]
            product, found = self.graph.producers.get(other), self.graph.types.get(other)
            if (value is not None and value.ndim == 1 and product is not None and product.op_type == "MatMul"
                    and product.name in plan.integer and found is not None and len(found.shape.dim) > 2):  # fmt: skip
                node.input[i] = self.graph.add_constant(name + "_row", value[None])

    def _quantize_weights(self, node: onnx.NodeProto) -> None:
        product = find_product(self.graph, node)
        if product is None:
            return
        x = self.replaced.get(node.input[0])
        bias = None if x is None else self._find_bias(product)
        least: np.ndarray | float = 0.0
        if bias is not None and bias.size == product.channels:
            # Weights of next to nothing get a scale with which the bias has 32 bits.
            least = np.abs(bias.astype(np.float64)) / (float(self.scales[x]) * LARGEST_BIAS)
        nodes, scale = self.weights.quantize(product, least)
        self.nodes += nodes
        if bias is not None:
            self._quantize_bias(node, self.scales[x] * scale)

    def _find_bias(self, product: Product) -> np.ndarray | None:
        """A constant vector that is added as it is."""
        node, attributes = product.node, product.attributes
        isScaled = node.op_type == "Gemm" and (
            attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1
        )
        if len(node.input) < 3 or isScaled:
            return None
        values = self.graph.value(node.input[2])
        return values if values is not None and values.ndim == 1 else None

    def _quantize_bias(self, node: onnx.NodeProto, scale: np.ndarray) -> None:
        values = self.graph.value(node.input[2])  # perhaps corrected by now
        if values is None or values.size < scale.size:
            return
        with np.errstate(divide="ignore"):
            whole = np.rint(values.astype(np.float64) / scale)
        if not np.abs(whole).max(initial=0) < 2**31:
            return
        stored = self.graph.add_constant(node.input[2] + "_quantized", whole.astype(np.int32))
        self.graph.add_constant(stored + "_scale", np.asarray(scale, np.float32))
        self.graph.add_constant(stored + "_zero", np.zeros(np.shape(scale), np.int32))
        real = self.graph.new_name(stored + "_dequantized")
        inputs = [stored, stored + "_scale", stored + "_zero"]
        self.nodes.append(helper.make_node("DequantizeLinear", inputs, [real], real, axis=0))
        node.input[2] = real
