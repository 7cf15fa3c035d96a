"""Pools whose sizes, and with ceil_mode or SAME whose padding, are known at
run time only."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

SIZES = [(7, 7), (8, 5), (6, 9), (11, 12), (5, 6)]


def make_model(op, outputs, sizes, **attributes):
    node = helper.make_node(op, ["x"], outputs, **attributes)
    types = {"y": TensorProto.FLOAT, "indices": TensorProto.INT64}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *sizes])],
        [helper.make_tensor_value_info(name, types[name], None) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.mark.parametrize("pads", [[1, 0, 1, 1], "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("kernel, strides", [((3, 3), (2, 2)), ((2, 3), (2, 1)), ((3, 2), (3, 2))])
@pytest.mark.parametrize(
    "op, outputs, attributes",
    [
        ("MaxPool", ["y"], {}),
        ("MaxPool", ["y", "indices"], {}),
        ("AveragePool", ["y"], {}),
        ("AveragePool", ["y"], {"count_include_pad": 1}),
        ("LpPool", ["y"], {}),
    ],
)
def test_dynamic_sizes(op, outputs, attributes, kernel, strides, ceil_mode, pads):
    window = dict(kernel_shape=kernel, strides=strides, ceil_mode=ceil_mode, **attributes)
    window.update(auto_pad=pads) if isinstance(pads, str) else window.update(pads=pads)
    model = make_model(op, outputs, ["h", "w"], **window)
    compiled = dlc.compile(model, opt_level=1)
    reference = ort.InferenceSession(model.SerializeToString())
    for sizes in SIZES:
        # Negative, so that padding with zeros would be seen.
        x = np.random.default_rng(1).uniform(-4, -1, (2, 3, *sizes)).astype(np.float32)
        got = compiled.run({"x": x})
        for name, expected in zip(outputs, reference.run(outputs, {"x": x})):
            np.testing.assert_allclose(got[name], expected, 1e-5, 1e-5, err_msg=f"{name} {sizes}")


@pytest.mark.parametrize("dilations", [(1, 2), (2, 1)])
@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
def test_same_with_dilations_as_with_static_sizes(op, dilations):
    window = dict(
        kernel_shape=(2, 3), strides=(2, 2), dilations=dilations, auto_pad="SAME_UPPER"
    )
    compiled = dlc.compile(make_model(op, ["y"], ["h", "w"], **window), opt_level=1)
    for sizes in SIZES:
        x = np.random.default_rng(1).uniform(-4, -1, (2, 3, *sizes)).astype(np.float32)
        static = dlc.compile(make_model(op, ["y"], sizes, **window), dims={"n": 2}, opt_level=1)
        np.testing.assert_allclose(compiled.run({"x": x})["y"], static.run({"x": x})["y"], 1e-6)
