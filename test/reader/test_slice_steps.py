"""Steps of a Slice of a shape that an `int` does not hold."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

INT64 = TensorProto.INT64
SIZES = (3, 4, 5)


@pytest.mark.parametrize("begin, step", [(0, 2**63 - 1), (0, 2**32), (-1, -(2**63)), (0, 2)])
def test_slice_of_a_shape_with_a_huge_step(begin, step):
    end = 2**63 - 1 if step > 0 else -(2**63)
    numbers = {"begin": begin, "end": end, "axis": 0, "step": step}
    weights = [numpy_helper.from_array(np.array([v]), name) for name, v in numbers.items()]
    nodes = [
        helper.make_node("Shape", ["x"], ["s"]),
        helper.make_node("Slice", ["s", *numbers], ["y"]),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["a", "b", "c"])]
    outputs = [helper.make_tensor_value_info("y", INT64, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    found = dlc.compile(model, opt_level=0).run({"x": np.zeros(SIZES, np.float32)})["y"]
    np.testing.assert_array_equal(found, np.array(SIZES)[slice(begin, None, step)])
