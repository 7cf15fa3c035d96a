"""Means, normalisations and softmax of one row, with any number of dimensions of
size 1 in front of it, against float64."""

import itertools

import dlc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

RANDOM = np.random.default_rng(11)
LENGTHS = {"short": 8, "odd": 33}
LEADS = ([1], [1, 1], [1, 1, 1], [1, 1, 1, 1], [1, 2, 1], [2, 1])
CHAINS = (
    ["mean", "Relu"],
    ["normalise", "product", "normalise"],
    ["softmax", "normalise", "Relu"],
    ["product", "mean", "softmax"],
    ["normalise", "normalise", "product", "mean", "normalise"],
)
EPSILON = 1e-2


def make_model(chain, shape):
    """The model, and what it makes of its input in float64."""
    nodes, weights, name = [], [], "x"
    x = RANDOM.standard_normal(shape).astype(np.float32)
    value, length = x.astype(np.float64), shape[-1]

    def constant(values):
        weights.append(numpy_helper.from_array(values, f"w{len(weights)}"))
        return weights[-1].name

    for i, op in enumerate(chain):
        given, name = name, f"v{i}"
        if op == "mean":
            axes = constant(np.array([-1]))
            nodes.append(helper.make_node("ReduceMean", [given, axes], [f"m{i}"]))
            nodes.append(helper.make_node("Sub", [given, f"m{i}"], [name]))
            value = value - value.mean(-1, keepdims=True)
        elif op == "normalise":
            scale = RANDOM.uniform(0.5, 1.5, length).astype(np.float32)
            nodes.append(helper.make_node("LayerNormalization", [given, constant(scale)], [name],
                                          epsilon=EPSILON))  # fmt: skip
            value = value - value.mean(-1, keepdims=True)
            value = value / np.sqrt((value**2).mean(-1, keepdims=True) + EPSILON) * scale
        elif op == "softmax":
            nodes.append(helper.make_node("Softmax", [given], [name]))
            value = np.exp(value - value.max(-1, keepdims=True))
            value /= value.sum(-1, keepdims=True)
        elif op == "product":
            w = (RANDOM.standard_normal((length, length)) / np.sqrt(length)).astype(np.float32)
            nodes.append(helper.make_node("MatMul", [given, constant(w)], [name]))
            value = value @ w.astype(np.float64)
        else:
            nodes.append(helper.make_node(op, [given], [name]))
            value = np.maximum(value, 0)
    graph = helper.make_graph(
        nodes, "rows", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)], weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model), x, value


@pytest.mark.parametrize("length", LENGTHS.values(), ids=LENGTHS)
@pytest.mark.parametrize("chain", CHAINS, ids="-".join)
def test_steps_of_one_row(chain, length):
    for lead, threads in itertools.product(LEADS, (None, 1)):
        model, x, expected = make_model(chain, [*lead, length])
        (found,) = dlc.compile(model, threads=threads).run([x])
        assert found.shape == expected.shape
        error = np.abs(found - expected).max() / np.abs(expected).max()
        assert error < 2e-6, f"{lead}: {error}"
