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


def make_bert(layers=2, tokens=24, width=64, heads=4):
    """The encoder of BERT: attention, GELU, residual layers and their norms."""
    constants, nodes = [], []

    def weight(*shape):
        name = f"w{len(constants)}"
        value = (random.standard_normal(shape) / np.sqrt(shape[0])).astype(np.float32)
        constants.append(numpy_helper.from_array(value, name))
        return name

    def constant(value):
        name = f"w{len(constants)}"
        constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(op, *inputs, **attributes):
        name = f"v{len(nodes)}"
        nodes.append(helper.make_node(op, list(inputs), [name], **attributes))
        return name

    def dense(x, rows, columns):
        return add("Add", add("MatMul", x, weight(rows, columns)), weight(columns))

    def split(x):
        x = add("Reshape", x, constant(np.array([1, tokens, heads, width // heads])))
        return add("Transpose", x, perm=[0, 2, 1, 3])

    def norm(x):
        scale, bias = constant(np.ones(width, np.float32)), weight(width)
        return add("LayerNormalization", x, scale, bias, axis=-1)

    x = "x"
    for _ in range(layers):
        q, k, v = (split(dense(x, width, width)) for _ in range(3))
        scores = add("MatMul", q, add("Transpose", k, perm=[0, 1, 3, 2]))
        scores = add("Div", scores, constant(np.float32(np.sqrt(width // heads))))
        y = add("MatMul", add("Softmax", scores, axis=-1), v)
        y = add("Transpose", y, perm=[0, 2, 1, 3])
        y = add("Reshape", y, constant(np.array([1, tokens, width])))
        x = norm(add("Add", dense(y, width, width), x))
        y = dense(x, width, 4 * width)
        gelu = add("Erf", add("Div", y, constant(np.float32(np.sqrt(2)))))
        y = add("Mul", add("Mul", y, add("Add", gelu, constant(np.float32(1)))),
                constant(np.float32(0.5)))  # fmt: skip
        x = norm(add("Add", dense(y, 4 * width, width), x))
    info = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, tokens, width])
    result = helper.make_tensor_value_info(x, TensorProto.FLOAT, [1, tokens, width])
    graph = helper.make_graph(nodes, "bert", [info], [result], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def check(model, inputs, driver, tmp_path, *flags, rtol=1e-3, atol=1e-4):
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
            np.testing.assert_allclose(value, wanted, rtol=rtol, atol=atol)
        assert driver.error == ""
        held = held or driver.in_use
    return held


@pytest.mark.parametrize("rows", [1, 4, 130], ids="rows={}".format)
def test_perceptron_of_static_shape(rows, driver, tmp_path):
    x = random.standard_normal((rows, 20), np.float32)
    held = check(make_perceptron(), [x, -x, x], driver, tmp_path, f"--dim=rows={rows}")
    assert driver.in_use == held, "a later run allocates"


def test_perceptron_of_dynamic_shape(driver, tmp_path):
    inputs = [random.standard_normal((rows, 20), np.float32) for rows in (5, 0, 1, 70)]
    check(make_perceptron(), inputs, driver, tmp_path)


def test_squeezenet(driver, tmp_path):
    x = random.standard_normal((1, 3, 224, 224), np.float32)
    check(make_squeezenet(), [x], driver, tmp_path)


def test_squeezenet_in_halves(driver, tmp_path):
    """Products of rounded operands, sums in float32."""
    x = random.standard_normal((1, 3, 224, 224), np.float32)
    flags = ("--precision=fp16",)
    check(make_squeezenet(), [x], driver, tmp_path, *flags, rtol=2e-2, atol=2e-3)


@pytest.mark.parametrize("precision, rtol", [("fp32", 1e-3), ("tf32", 2e-2), ("bf16", 1e-1)])
def test_bert(precision, rtol, driver, tmp_path):
    inputs = [random.standard_normal((1, 24, 64), np.float32) for _ in range(3)]
    flags = (f"--precision={precision}",)
    check(make_bert(), inputs, driver, tmp_path, *flags, rtol=rtol, atol=rtol)


def test_lstm(driver, tmp_path):
    inputs = [random.standard_normal((12, batch, 20), np.float32) for batch in (1, 3)]
    check(make_lstm(), inputs, driver, tmp_path)
