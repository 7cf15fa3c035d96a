"""Softmax and normalisations as one kernel, a row a block, emulated."""

import re
import subprocess

import emulated
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

random = np.random.default_rng(11)


def make(nodes, shape, constants=(), type=TensorProto.FLOAT):
    x = helper.make_tensor_value_info("x", type, shape)
    y = helper.make_tensor_value_info("y", type, None)
    constants = [numpy_helper.from_array(value, name) for name, value in constants]
    graph = helper.make_graph(nodes, "g", [x], [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), [output], **attributes)


SCALE = ("s", random.standard_normal(96).astype(np.float32))
BIAS = ("t", random.standard_normal(96).astype(np.float32))
WEIGHT = random.standard_normal((3, 1)).astype(np.float32)
NETWORKS = {
    "softmax": make([node("Softmax", "x", "y")], [3, 40, 96]),
    "few terms": make([node("Softmax", "x", "y")], [300, 5]),
    "log softmax": make([node("LogSoftmax", "x", "y")], [128, 1000]),
    "layer norm": make([node("LayerNormalization", "x s t", "y")], [2, 64, 96], [SCALE, BIAS]),
    "both": make([node("Softmax", "x", "a"), node("LayerNormalization", "a s t", "b"),
                  node("Softmax", "b", "y")], [70, 96], [SCALE, BIAS]),
    "gated layer norm": make([node("Sigmoid", "x", "a"), node("Mul", "x a", "b"),
                              node("LayerNormalization", "b s t", "y")], [70, 96], [SCALE, BIAS]),
    "rms norm": make([node("Mul", "x x", "a"), node("ReduceMean", "a", "b", axes=[-1]),
                      node("Sqrt", "b", "c"), node("Div", "x c", "d"), node("Mul", "d s", "y")],
                     [129, 96], [SCALE]),
    "channels": make([node("Mul", "x w", "a"), node("LayerNormalization", "a s", "y", axis=1)],
                     [65, 3, 96], [("w", WEIGHT), ("s", np.tile(SCALE[1], (3, 1)))]),
    "last threads idle": make([node("Softmax", "x", "y")], [64, 5000]),
    "too long for registers": make([node("Softmax", "x", "y")], [64, 41000]),
    "too long and odd": make([node("Softmax", "x", "y")], [64, 41001]),
    "l2": make([node("LpNormalization", "x", "y", axis=-1, p=2)], [100, 33]),
}  # fmt: skip


def forget(model):
    """The model with sizes that are not known, but for the last ones of
    operands with weights."""
    model = onnx.ModelProto.FromString(model.SerializeToString())
    dims = model.graph.input[0].type.tensor_type.shape.dim
    for i, dim in enumerate(dims[:-1] if model.graph.initializer else dims):
        dim.dim_param = f"d{i}"
    del model.graph.value_info[:]
    model.graph.output[0].type.tensor_type.ClearField("shape")
    return onnx.shape_inference.infer_shapes(model)


@pytest.mark.parametrize("name", ["softmax", "log softmax", "layer norm"])
def test_dynamic(name, driver, tmp_path):
    model = forget(NETWORKS[name])
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    shape = [d.dim_value for d in NETWORKS[name].graph.input[0].type.tensor_type.shape.dim]
    for rows in (1, 5, 40):
        x = random.standard_normal((rows, *shape[1:])).astype(np.float32) * 3
        (wanted,) = session.run(None, {"x": x})
        (found,) = network.run([x])
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    (found,) = network.run([np.zeros((0, *shape[1:]), np.float32)])
    assert found.shape == (0, *shape[1:])
    assert driver.error == ""
    launches = [call for call in driver.calls if "Launch" in call]
    assert len(launches) == 3 and all("rows_0" in launch for launch in launches)


@pytest.mark.parametrize("name", NETWORKS)
def test_rows(name, driver, tmp_path):
    model = NETWORKS[name]
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    x = random.standard_normal(network.inputs[0].shape).astype(np.float32) * 3
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (wanted,) = session.run(None, {"x": x})
    for _ in range(2):
        (found,) = network.run([x])
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)
    assert driver.error == ""
    launches = [call for call in driver.calls if "Launch" in call]
    # Where a step would overwrite sums of other rows, it is a kernel of its own.
    assert "rows_0" in launches[0]
    assert len(launches) == 2 if name != "both" else len(launches) <= 7


@pytest.mark.parametrize("length", [7, 96, 1032])
@pytest.mark.parametrize("type", ["float16", "bfloat16", "double", "int8", "int32", "int64"])
@pytest.mark.parametrize("op", ["ReduceMax", "ReduceSum", "Softmax"])
def test_types(op, type, length, driver, tmp_path):
    code = getattr(TensorProto, type.upper())
    dtype = onnx.helper.tensor_dtype_to_np_dtype(code)
    is_integer = type.startswith("int")
    if (op == "Softmax" and is_integer) or (op == "ReduceSum" and type == "int8"):
        pytest.skip("ONNX has no such type for it")
    attributes = {"axes": [-1], "keepdims": 0} if op == "ReduceMax" else {"axis": -1}
    nodes = [node("Mul", "x x", "a")]
    constants = []
    if op == "ReduceSum":
        nodes.append(node(op, "a i", "y", keepdims=0))
        constants.append(("i", np.array([-1], np.int64)))
    else:
        nodes.append(node(op, "a", "y", **attributes))
    model = make(nodes, [66, length], constants, code)
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    x = random.integers(-5, 6, (66, length)).astype(dtype)
    a = (x * x).astype(np.float64)
    if op == "Softmax":
        wanted = np.exp(a - a.max(-1, keepdims=True))
        wanted /= wanted.sum(-1, keepdims=True)
    else:
        wanted = a.max(-1) if op == "ReduceMax" else a.sum(-1)
    (found,) = network.run([x])
    exact = is_integer or op == "ReduceMax"
    tolerance = 0 if exact else {"double": 1e-14, "float16": 1e-3, "bfloat16": 8e-3}[type]
    least = 6e-8 if type == "float16" else 0  # the least number but 0
    np.testing.assert_allclose(found.astype(np.float64), wanted, rtol=tolerance, atol=least)
    assert driver.error == ""


@pytest.mark.parametrize("type", ["float", "int64"])
@pytest.mark.parametrize(
    "shape, axes, parts",
    [([1, 1 << 17], [0, 1], 64), ([3, 99999], [1], 41), ([40000, 7], [0], 625),
     ([2, 40, 50, 60], [1, 2, 3], 40), ([5, 2**16 + 1], [1], 1)],
)  # fmt: skip
def test_few_results(shape, axes, parts, type, driver, tmp_path):
    nodes = [node("ReduceSum", "x i", "y", keepdims=0)]
    constants = [("i", np.array(axes, np.int64))]
    model = make(nodes, shape, constants, getattr(TensorProto, type.upper()))
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    x = random.integers(-1000, 1000, shape).astype(onnx.helper.tensor_dtype_to_np_dtype(
        getattr(TensorProto, type.upper())))  # fmt: skip
    found = [network.run([x])[0] for _ in range(2)]
    np.testing.assert_array_equal(found[0], found[1])
    wanted = x.sum(tuple(axes), dtype=np.float64)
    np.testing.assert_allclose(found[0], wanted, rtol=1e-5 if type == "float" else 0, atol=1)
    assert driver.error == ""
    done = subprocess.run(
        ["dlc", tmp_path / "network.onnx", "--gpu=sm_80", "--emit=ptx", "-o", tmp_path / "x.ptx",
         "--remarks=split-reductions"], capture_output=True, text=True, check=True)  # fmt: skip
    remarks = re.findall(r"a reduction became (\d+) parts", done.stderr)
    assert remarks == ([str(parts)] if parts > 1 else [])


def test_one_remark(tmp_path):
    onnx.save(NETWORKS["softmax"], tmp_path / "x.onnx")
    command = ["dlc", tmp_path / "x.onnx", "--gpu=sm_80", "--emit=ptx", "-o", tmp_path / "x.ptx"]
    done = subprocess.run([*command, "--remarks=rows"], capture_output=True, text=True, check=True)
    assert re.search(r"remark: 6 kernels on rows became one \[dlc-fuse-rows\]", done.stderr)
