"""Results that are made of one another, in every order of the outputs."""

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

import dlc


@pytest.mark.parametrize("order", list(itertools.permutations(["r", "s", "t", "v"])))
def test_results_of_one_another(order: tuple[str, ...]) -> None:
    nodes = [
        helper.make_node("Exp", ["x"], ["r"]),
        helper.make_node("ScatterND", ["r", "i", "u"], ["s"]),
        helper.make_node("ScatterND", ["s", "j", "u"], ["t"]),
        helper.make_node("ScatterND", ["r", "j", "u"], ["v"]),
    ]
    graph = helper.make_graph(
        nodes,
        "outputs",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [5, 3])],
        [
            helper.make_tensor_value_info(name, TensorProto.FLOAT, [5, 3])
            for name in order
        ],
        [
            helper.make_tensor("i", TensorProto.INT64, [1, 1], [2]),
            helper.make_tensor("j", TensorProto.INT64, [1, 1], [0]),
            helper.make_tensor("u", TensorProto.FLOAT, [1, 3], [7, 8, 9]),
        ],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)])
    x = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})
    results = dlc.compile(model).run({"x": x})
    for name, value in zip(order, expected):
        np.testing.assert_allclose(results[name], value, rtol=1e-6)
