"""Whole networks on an emulated GPU: their answers are ONNX Runtime's."""

import pathlib
import sys

import emulated
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
from randomize import make_lstm, randomize  # noqa: E402

random = np.random.default_rng(5)


def make_perceptron():
    """Two layers and a softmax, for any number of rows."""
    weights = [(20, 72), (72,), (72, 10), (10,)]
    constants = [
        numpy_helper.from_array(random.standard_normal(shape).astype(np.float32) / 4, f"w{i}")
        for i, shape in enumerate(weights)
    ]
    nodes = [
        helper.make_node("Gemm", ["x", "w0", "w1"], ["a"]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Gemm", ["b", "w2", "w3"], ["c"]),
        helper.make_node("Softmax", ["c"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["rows", 20])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["rows", 10])
    graph = helper.make_graph(nodes, "perceptron", [x], [y], constants)
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
    )


def make_squeezenet():
    data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return randomize(onnx.load(data / "light_squeezenet.onnx"))


def check(model, inputs, driver, tmp_path, *flags):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    network, kernels = emulated.compile(model, tmp_path, driver, *flags)
    (info,) = session.get_inputs()
    driver.reset(kernels)
    held = None
    for x in inputs:
        expected = session.run(None, {info.name: x})
        for value, wanted in zip(network.run([x]), expected, strict=True):
            assert wanted.size == 0 or wanted.std() > 0.01, "the answers say nothing"
            np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-4)
        assert driver.error == ""
        held = held or driver.held
    return held


@pytest.mark.parametrize("rows", [1, 4, 130], ids="rows={}".format)
def test_perceptron_of_static_shape(rows, driver, tmp_path):
    x = random.standard_normal((rows, 20), np.float32)
    held = check(make_perceptron(), [x, -x, x], driver, tmp_path, f"--dim=rows={rows}")
    assert driver.held == held, "a later run allocates"


def test_perceptron_of_dynamic_shape(driver, tmp_path):
    inputs = [random.standard_normal((rows, 20), np.float32) for rows in (5, 0, 1, 70)]
    check(make_perceptron(), inputs, driver, tmp_path)


def test_squeezenet(driver, tmp_path):
    x = random.standard_normal((1, 3, 224, 224), np.float32)
    check(make_squeezenet(), [x], driver, tmp_path)


def test_lstm(driver, tmp_path):
    inputs = [random.standard_normal((12, batch, 20), np.float32) for batch in (1, 3)]
    check(make_lstm(), inputs, driver, tmp_path)
