"""The compiler holds no more than a few copies of a model's weights."""

import pathlib
import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import objects  # noqa: E402

WIDTH, LAYERS, CONVOLUTIONS = 4096, 6, 24


def make_model():
    """500 MB of weights: matrices, half of them transposed, which have to be
    packed, and filters of 3 x 3. The names are of different lengths, so that
    some lie in the file where their elements are not aligned."""
    random = np.random.default_rng(1)
    nodes, weights, value = [], [], "x"

    def add(op, name, shape, **attributes):
        nonlocal value
        weight = random.standard_normal(shape, np.float32) * np.float32(0.02)
        weights.append(numpy_helper.from_array(weight, name))
        nodes.append(helper.make_node(op, [value, name], [f"{name}.y"], **attributes))
        value = f"{name}.y"

    for i in range(CONVOLUTIONS):
        add("Conv", "c" * (i + 1), (512, 512, 3, 3) if i else (512, 3, 3, 3), pads=[1, 1, 1, 1])
    nodes.append(helper.make_node("Flatten", [value], ["flat"]))
    value = "flat"
    add("Gemm", "first", (512 * 16, 1024))
    for i in range(LAYERS):
        shape = (1024 if i == 0 else WIDTH, WIDTH)
        add("Gemm", "g" * (i + 1), shape[::-1] if i % 2 else shape, transB=i % 2)
    output = helper.make_tensor_value_info(value, TensorProto.FLOAT, [1, WIDTH])
    image = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 4, 4])
    graph = helper.make_graph(nodes, "large", [image], [output], weights)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def test_three_times_the_size_of_the_model(tmp_path):
    path = tmp_path / "large.onnx"
    onnx.save(make_model(), path)
    size = path.stat().st_size
    assert size > 500e6
    found = objects.compile(path, tmp_path)
    assert found.peak <= 3 * size, f"{found.peak / size:.2f} times the size of the model"
