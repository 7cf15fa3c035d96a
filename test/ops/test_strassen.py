"""--matmul=strassen: seven products of quarters, against float64."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "python"))
import dlc  # noqa: E402


def make_model(nodes, shape, weights):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return onnx.shape_inference.infer_shapes(model).SerializeToString()


def numbers(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize(
    "lead,m,k,n", [((), 256, 512, 768), ((1,), 258, 514, 770), ((1, 1), 512, 390, 1024)]
)
def test_layers(lead, m, k, n):
    w, v = numbers(k, n), numbers(n, k, seed=1)
    bias, scale = numbers(n, seed=2), numbers(m, 1, seed=3)
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["p"]),
        helper.make_node("Add", ["p", "bias"], ["q"]),
        helper.make_node("Mul", ["q", "scale"], ["r"]),
        helper.make_node("Relu", ["r"], ["s"]),
        helper.make_node("MatMul", ["s", "v"], ["t"]),
        helper.make_node("Add", ["x", "t"], ["y"]),
    ]
    weights = {"w": w, "v": v, "bias": bias, "scale": scale}
    compiled = dlc.compile(make_model(nodes, [*lead, m, k], weights), matmul="strassen", remarks="strassen")
    done = [d.text for d in compiled.diagnostics if "seven products" in d.text]
    assert len(done) == 2
    x = numbers(*lead, m, k, seed=4)
    wide = [a.astype(np.float64) for a in (x, w, v, bias, scale)]
    hidden = np.maximum((wide[0] @ wide[1] + wide[3]) * wide[4], 0)
    expected = wide[0] + hidden @ wide[2]
    found = compiled.run({"x": x})["y"]
    assert np.abs(found - expected).max() <= 2e-5 * np.abs(expected).max()
    same = compiled.run({"x": x}, threads=2)["y"]
    np.testing.assert_array_equal(found, same)


def test_unknown_form():
    model = make_model([helper.make_node("Relu", ["x"], ["y"])], [2], {})
    with pytest.raises(dlc.CompileError, match="expected direct or strassen products, found 'fast'"):
        dlc.compile(model, matmul="fast")
