"""Weights as integers in a file: the constants, and the nodes that read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from dlc.quantize import rounding
from dlc.quantize.graph import Graph
from dlc.quantize.options import Options
from dlc.quantize.products import Product, find_bias
from dlc.quantize.rounding import Grid

MICROSOFT = "com.microsoft"


class Weights:
    """Stores the weights of products, each once. `grams` has what their inputs
    were seen to be, by the product's key, `means` the inputs' means."""

    def __init__(
        self,
        graph: Graph,
        options: Options,
        grams: Mapping[tuple[str, int], np.ndarray],
        means: Mapping[str, np.ndarray],
    ) -> None:
        self.graph, self.options, self.grams, self.means = graph, options, grams, means
        self.stored: dict[tuple[str, int], tuple[list[str], np.ndarray, np.ndarray]] = {}

    def quantize(self, product: Product, least: np.ndarray | float = 0.0) -> tuple[list[onnx.NodeProto], np.ndarray]:
        """The nodes to be put before the product's, which reads their result, and
        the scale of each channel, none below `least`. A product becomes a
        MatMulNBits where that is wanted and possible."""
        if self.options.format == "nbits" and self._make_nbits(product):
            return [], np.empty(0, np.float32)
        if product.key not in self.stored:
            self.stored[product.key] = self._store(product, least)
        inputs, scale, real = self.stored[product.key]
        if self.options.correct_bias:
            self._correct_bias(product, product.values - real)
        name = self.graph.new_name(inputs[0] + "_dequantized")
        attributes: dict[str, Any] = {"axis": product.axis}
        if scale.ndim > 1:
            attributes = {"axis": 1 - product.axis, "block_size": self.options.block}
        # One for each node: engines fuse those of one reader.
        product.node.input[1] = name
        return [helper.make_node("DequantizeLinear", inputs, [name], name, **attributes)], scale

    def _store(
        self, product: Product, least: np.ndarray | float
    ) -> tuple[list[str], np.ndarray, np.ndarray]:
        """The names of the integers, scales and zeros; the scales; and what the
        integers stand for."""
        options = self.options
        isGrouped = product.operator == "ConvTranspose" and product.groups > 1
        # ONNX Runtime has no channels in a stack of matrices.
        isStack = product.operator == "MatMul" and product.values.ndim > 2
        shared = not options.per_channel or isGrouped or isStack
        if product.is_matrix:
            block = options.block if product.operator in ("MatMul", "Gemm") else 0
            whole, grid, matrix = self._round(product, block, shared, least)
            integers = product.unmatrix(whole)
            scales = product.unmatrix(grid.scale) if block else grid.scale.reshape(-1)
            real = product.unmatrix(matrix).astype(np.float32)
        else:
            # ConvTranspose and products of stacks: to the nearest.
            turned = np.moveaxis(product.values, product.axis, 0)
            matrix = turned.reshape(1, turned.shape[0], -1)
            grid = rounding.make_grid(matrix, options.weight_bits, 0, shared, least)
            whole = rounding.round_nearest(matrix, grid)
            integers = np.ascontiguousarray(
                np.moveaxis(whole.reshape(turned.shape), 0, product.axis)
            )
            scales = grid.scale.reshape(-1)
            shape = [1] * product.values.ndim
            shape[product.axis] = -1
            real = integers * scales.reshape(shape)
        if shared:
            scales = scales.reshape(-1)[0]
        stored = self._add_integers(product.weights + "_quantized", integers)
        scale = self.graph.add_constant(stored + "_scale", np.asarray(scales, np.float32))
        zero = self._add_integers(stored + "_zero", np.zeros(np.shape(scales), np.int8))
        return [stored, scale, zero], np.asarray(scales, np.float32), real

    def _round(
        self, product: Product, block: int, shared: bool, least: np.ndarray | float = 0.0
    ) -> tuple[np.ndarray, Grid, np.ndarray]:
        matrix = product.matrix()
        grid = rounding.make_grid(matrix, self.options.weight_bits, block, shared, least)
        gram = self.grams.get(product.key)
        if gram is None:
            whole = rounding.round_nearest(matrix, grid)
        elif self.options.rounding == "gptq":
            whole = rounding.round_gptq(matrix, grid, gram)
        else:
            whole = rounding.round_adaptive(matrix, grid, gram)
        return whole, grid, whole * grid.of_columns(0, matrix.shape[2])

    def _add_integers(self, stem: str, values: np.ndarray) -> str:
        if self.options.weight_bits == 8:
            return self.graph.add_constant(stem, values)
        name = self.graph.new_name(stem)
        flat = values.reshape(-1)
        pairs = np.append(flat, np.zeros(flat.size % 2, np.int8)).reshape(-1, 2).astype(np.uint8) & 15
        packed = (pairs[:, 0] | pairs[:, 1] << 4).astype(np.uint8)
        tensor = helper.make_tensor(name, TensorProto.INT4, values.shape, packed.tobytes(), raw=True)
        self.graph.graph.initializer.append(tensor)
        self.graph.constants[name] = self.graph.graph.initializer[-1]
        return name

    def _correct_bias(self, product: Product, lost: np.ndarray) -> None:
        means, name = self.means.get(product.node.input[0]), find_bias(self.graph, product)
        if means is None or name is None or not product.is_matrix:
            return
        matrix = product.matrix(lost)
        groups = matrix.shape[0]
        kernel = matrix.shape[2] * groups // len(means)
        shift = (matrix * np.repeat(means, kernel).reshape(groups, 1, -1)).sum(2).reshape(-1)
        attributes = product.attributes
        if product.operator == "Gemm":
            shift = shift * attributes.get("alpha", 1.0)
        value = self.graph.value(name)
        assert value is not None
        self.graph.replace(name, (value + shift).astype(np.float32))

    def _make_nbits(self, product: Product) -> bool:
        """MatMul and Gemm -> MatMulNBits, whose blocks lie one after the other
        for each channel, two numbers in a byte."""
        node, options = product.node, self.options
        attributes = product.attributes
        if product.operator not in ("MatMul", "Gemm") or not product.is_matrix:
            return False
        if attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1:
            return False
        bias = node.input[2] if len(node.input) > 2 else ""
        if bias:
            value = self.graph.value(bias)
            if value is None or value.shape != (product.values.shape[product.axis],):
                return False
        if (key := product.key) not in self.stored:
            whole, grid, matrix = self._round(product, options.block, shared=False)
            _, rows, columns = whole.shape
            missing = -columns % options.block
            bits = options.weight_bits
            levels = np.pad(whole[0], ((0, 0), (0, missing))).astype(np.int16) + 2 ** (bits - 1)
            levels = levels.astype(np.uint8).reshape(rows, -1, options.block)
            if bits == 4:
                levels = levels[..., 0::2] | levels[..., 1::2] << 4
            stored = self.graph.add_constant(product.weights + "_quantized", levels)
            scale = self.graph.add_constant(stored + "_scale", grid.scale.reshape(-1))
            self.stored[key] = [stored, scale], grid.scale, product.unmatrix(matrix)
        (stored, scale), _, real = self.stored[key]
        if options.correct_bias:
            self._correct_bias(product, product.values - real)
        _, rows, columns = product.matrix().shape
        inputs = [node.input[0], stored, scale, *(["", "", bias] if bias else [])]
        made = helper.make_node("MatMulNBits", inputs, list(node.output), node.name, domain=MICROSOFT,
                                K=columns, N=rows, bits=options.weight_bits,
                                block_size=options.block)  # fmt: skip
        node.CopyFrom(made)
        opsets = self.graph.model.opset_import
        if all(o.domain != MICROSOFT for o in opsets):
            opsets.append(helper.make_opsetid(MICROSOFT, 1))
        return True
