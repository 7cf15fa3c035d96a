"""Gives random weights to a model whose weights are all the same number, as
the light models of the onnx package have them, so that its answers say
something: in those a wrong transposition is as right as a right one."""

from __future__ import annotations

import math
import zlib

import numpy as np
import onnx
from onnx import helper, numpy_helper


def randomize(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy with random weights, whose outputs are what the last Softmax is
    given: its results would be 0 and 1."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph = copy.graph
    shapes = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    users = {name: node for node in graph.node for name in node.input}
    # Normalisation makes up for what a Relu takes away.
    gain = 1 if any(node.op_type == "BatchNormalization" for node in graph.node) else 2
    sizes = {
        tensor.name: list(tensor.dims)
        for tensor in graph.initializer
        if tensor.data_type == onnx.TensorProto.FLOAT
    }
    for node in list(graph.node):
        if node.op_type == "ConstantOfShape" and node.input[0] in shapes:
            sizes[node.output[0]] = shapes[node.input[0]].tolist()
            graph.node.remove(node)
    kept = [tensor for tensor in graph.initializer if tensor.name not in sizes]
    del graph.initializer[:]
    graph.initializer.extend(kept)
    for name, shape in sizes.items():
        if name in users:
            weight = _weight(name, shape, users[name], gain)
            graph.initializer.append(numpy_helper.from_array(weight, name))
    _drop_softmax(graph)
    used = {name for node in graph.node for name in node.input}
    _keep(graph.initializer, used)
    _keep(graph.input, used)
    return copy


def _weight(name: str, shape: list[int], user: onnx.NodeProto, gain: float) -> np.ndarray:
    random = np.random.default_rng(zlib.crc32(name.encode()))
    position = list(user.input).index(name)
    if user.op_type == "BatchNormalization" and position in (1, 4):  # scale, variance
        return random.uniform(0.5, 1.5, shape).astype(np.float32)
    normal = random.standard_normal(shape, np.float32)
    if user.op_type in ("Conv", "Gemm", "MatMul") and len(shape) >= 2:
        transposed = any(a.name == "transB" and a.i for a in user.attribute)
        inputs = shape[0] if user.op_type != "Conv" and not transposed else math.prod(shape[1:])
        return normal * np.float32(math.sqrt(gain / inputs))
    return normal * np.float32(0.1)


def _drop_softmax(graph: onnx.GraphProto) -> None:
    makers = {name: node for node in graph.node for name in node.output}
    for output in graph.output:
        node = makers[output.name]
        while node.op_type in ("Softmax", "Reshape", "Flatten"):
            if node.op_type == "Softmax":
                node.op_type = "Identity"
                del node.attribute[:]
            node = makers[node.input[0]]


def _keep(items: object, used: set[str]) -> None:
    kept = [item for item in items if item.name in used]
    del items[:]
    items.extend(kept)


def make_lstm(hidden: int = 48, layers: int = 2, steps: int = 12) -> onnx.ModelProto:
    """A stack of LSTM layers, the first in both directions, of any batch."""
    random = np.random.default_rng(5)
    nodes, weights, name, width = [], [], "x", 20
    for layer in range(layers):
        directions = 2 if layer == 0 else 1
        shapes = {
            "w": (directions, 4 * hidden, width),
            "r": (directions, 4 * hidden, hidden),
            "b": (directions, 8 * hidden),
        }
        for key, shape in shapes.items():
            value = (random.standard_normal(shape) * 0.2).astype(np.float32)
            weights.append(numpy_helper.from_array(value, f"{key}{layer}"))
        nodes.append(
            helper.make_node(
                "LSTM", [name, *(f"{key}{layer}" for key in shapes)], [f"y{layer}", f"h{layer}"],
                hidden_size=hidden, direction="bidirectional" if directions == 2 else "forward",
            )
        )  # fmt: skip
        width = directions * hidden
        name = f"x{layer + 1}"
        nodes.append(helper.make_node("Transpose", [f"y{layer}"], [f"t{layer}"], perm=[0, 2, 1, 3]))
        nodes.append(helper.make_node("Reshape", [f"t{layer}", f"to{layer}"], [name]))
        weights.append(numpy_helper.from_array(np.array([0, 0, width]), f"to{layer}"))
    graph = helper.make_graph(
        nodes, "lstm",
        [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [steps, "batch", 20])],
        [
            helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [steps, "batch", width]),
            helper.make_tensor_value_info("h0", onnx.TensorProto.FLOAT, [2, "batch", hidden]),
        ],
        weights,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
