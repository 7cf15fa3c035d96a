"""Stored conditions: every value but 0 is true."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper

BOOL, INT64 = TensorProto.BOOL, TensorProto.INT64


@pytest.mark.parametrize("count", [3, 100])
@pytest.mark.parametrize("raw", [False, True])
def test_stored_bools_other_than_1(count, raw):
    tensor = TensorProto(data_type=BOOL, dims=[count], name="w")
    if raw:
        tensor.raw_data = bytes([0, 2] + [255] * (count - 2))
    else:
        tensor.int32_data.extend([0, 2] + [256] * (count - 2))
    nodes = [
        helper.make_node("Cast", ["w"], ["y"], to=INT64),
        helper.make_node("And", ["w", "x"], ["a"]),
        helper.make_node("Cast", ["a"], ["z"], to=INT64),
    ]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", BOOL, ["n"])],
        [helper.make_tensor_value_info(name, INT64, None) for name in "yz"],
        [tensor],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    found = dlc.compile(model, opt_level=0).run({"x": np.ones(count, bool)})
    for values in found.values():
        assert values.tolist() == [0] + [1] * (count - 1)
