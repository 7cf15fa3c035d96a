"""Models that dlc.quantize takes apart and writes."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from dlc.quantize import graph as graphs


@pytest.mark.parametrize("most", [graphs.MOST_BYTES, 100])
def test_save_parts(most, tmp_path, monkeypatch):
    """Written in parts, or beside the file where it would be too large for one."""
    monkeypatch.setattr(graphs, "MOST_BYTES", most)
    weights = np.random.default_rng(0).standard_normal((40, 300)).astype(np.float32)
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["p", "b"], ["y"])], "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 40])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 300])],
            [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(np.float32(2), "b")], doc_string="a doc",
        ), producer_name="here", opset_imports=[helper.make_opsetid("", 17)], ir_version=8)  # fmt: skip
    shell, constants = graphs.take_apart(model)
    assert [c.name for c in shell.graph.initializer] == ["b"] and [c.name for c in constants] == ["w"]
    graphs.save_parts(shell, constants, tmp_path / "model.onnx")
    read = onnx.load(tmp_path / "model.onnx")
    for whole in (read, model):
        found = sorted(whole.graph.initializer, key=lambda c: c.name)
        values = {c.name: numpy_helper.to_array(c) for c in found}
        np.testing.assert_array_equal(values["w"], weights)
        del whole.graph.initializer[:]
    assert read == model
