"""Forms of special kernels, emulated: depthwise convolutions, sums that several
blocks share, and transpositions through shared memory."""

import re
import subprocess

import emulated
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_ptx import assemble

random = np.random.default_rng(5)


def make(nodes, inputs, constants, dtype=np.float32):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, shape in inputs.items()]
    y = helper.make_tensor_value_info("y", kind, None)
    constants = [numpy_helper.from_array(value.astype(dtype), n) for n, value in constants.items()]
    graph = helper.make_graph(nodes, "g", infos, [y], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def node(op, inputs, output, **attributes):
    return helper.make_node(op, inputs.split(), output.split(), **attributes)


def run(model, inputs, driver, folder, *flags, gpu="sm_80"):
    """The result, the same in both of two runs, and what is expected; the
    remarks on kernels."""
    network, kernels = emulated.compile(model, folder, driver, *flags, gpu=gpu)
    driver.reset(kernels)
    (found,) = network.run(inputs)
    (again,) = network.run(inputs)
    np.testing.assert_array_equal(found, again)
    assert driver.error == ""
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    names = [info.name for info in session.get_inputs()]
    (wanted,) = session.run(None, dict(zip(names, inputs, strict=True)))
    ptx = folder / "x.ptx"
    command = ["dlc", folder / "network.onnx", f"--gpu={gpu}", *flags, "--emit=ptx", "-o", ptx]
    done = subprocess.run(
        [*command, "--remarks=dlc-"], capture_output=True, text=True, check=True
    )
    assert all(spilled == 0 for _, spilled in assemble(ptx, gpu).values())
    return found, wanted, done.stderr


DEPTHWISE = {
    "plain": (dict(c=16, h=9, w=14), dict(pads=[1, 1, 1, 1])),
    "stride 2": (dict(c=12, h=9, w=13), dict(pads=[1, 1, 1, 1], strides=[2, 2])),
    "dilated": (dict(c=8, h=11, w=11), dict(dilations=[2, 2])),
    "odd channels": (dict(c=7, h=6, w=9), dict(pads=[1, 1, 1, 1])),
    "wide window": (dict(c=4, h=9, w=9, k=(5, 7)), dict(pads=[2, 3, 2, 3])),
    "one column": (dict(c=8, h=9, w=3), dict()),
    "one row": (dict(c=8, h=1, w=19, k=(1, 3)), dict(strides=[1, 3])),
}


@pytest.mark.parametrize(
    "name, dynamic",
    [*((name, False) for name in DEPTHWISE), ("plain", True), ("stride 2", True),
     ("odd channels", True)],
)  # fmt: skip
def test_depthwise(name, dynamic, driver, tmp_path):
    sizes, attributes = DEPTHWISE[name]
    c, k = sizes["c"], sizes.get("k", (3, 3))
    shape = (2, c, sizes["h"], sizes["w"])
    nodes = [node("Relu", "x", "r"), node("Conv", "r w b", "p", group=c, **attributes),
             node("Mul", "p b1", "q"), node("Relu", "q", "y")]  # fmt: skip
    constants = {"w": random.standard_normal((c, 1, *k)), "b": random.standard_normal(c),
                 "b1": random.standard_normal((c, 1, 1))}  # fmt: skip
    model = make(nodes, {"x": ["n", c, "h", "w"] if dynamic else shape}, constants)
    x = random.standard_normal(shape).astype(np.float32)
    found, wanted, remarks = run(model, [x], driver, tmp_path)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5)
    channels = re.search(r"depthwise convolution, \d positions of (\d) channels", remarks)[1]
    assert int(channels) == (4 if c % 4 == 0 else 1)


def test_depthwise_halves(driver, tmp_path):
    nodes = [node("Conv", "x w", "y", group=16, pads=[1, 1, 1, 1])]
    w = random.standard_normal((16, 1, 3, 3))
    model = make(nodes, {"x": (1, 16, 10, 10)}, {"w": w}, np.float16)
    x = random.standard_normal((1, 16, 10, 10)).astype(np.float16)
    found, wanted, remarks = run(model, [x], driver, tmp_path)
    np.testing.assert_allclose(found, wanted, rtol=2e-3, atol=2e-3)
    assert "4 positions of 4 channels" in remarks


# Rows, columns, terms, and the parts of a sum.
SPLIT = {
    "product": ((64, 1024, 192), 8),
    "few rows": ((12, 2048, 256), 16),
    "one row": ((1, 2048, 300), 16),
    "few columns": ((200, 1024, 9), 8),
}


@pytest.mark.parametrize(
    "name, precision",
    [*((name, "fp32") for name in SPLIT), ("product", "fp16"), ("few rows", "tf32")],
)
def test_split_sums(name, precision, driver, tmp_path):
    (rows, terms, columns), parts = SPLIT[name]
    nodes = [node("Gemm", "x w b", "p"), node("Relu", "p", "q"), node("Add", "q z", "y")]
    constants = {"w": random.standard_normal((terms, columns)),
                 "b": random.standard_normal(columns)}  # fmt: skip
    model = make(nodes, {"x": (rows, terms), "z": (rows, columns)}, constants)
    inputs = [random.standard_normal(shape).astype(np.float32)
              for shape in ((rows, terms), (rows, columns))]  # fmt: skip
    found, wanted, remarks = run(model, inputs, driver, tmp_path, f"--precision={precision}")
    tolerance = 2e-6 if precision == "fp32" else 2e-3
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance * wanted.max())
    assert f"split into {parts} parts" in remarks


def test_split_convolution(driver, tmp_path):
    nodes = [node("Conv", "x w b", "p", pads=[1, 1, 1, 1]), node("Relu", "p", "y")]
    constants = {"w": random.standard_normal((32, 256, 3, 3)), "b": random.standard_normal(32)}
    model = make(nodes, {"x": (1, 256, 7, 7)}, constants)
    x = random.standard_normal((1, 256, 7, 7)).astype(np.float32)
    found, wanted, remarks = run(model, [x], driver, tmp_path)
    np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * wanted.max())
    assert "split into 8 parts" in remarks


def test_split_quantized(driver, tmp_path):
    """Integers are exact, however they are split."""
    infos = [helper.make_tensor_value_info("x", TensorProto.UINT8, (20, 1024))]
    y = helper.make_tensor_value_info("y", TensorProto.INT32, (20, 64))
    w = random.integers(-128, 128, (1024, 64)).astype(np.int8)
    nodes = [node("MatMulInteger", "x w", "y")]
    graph = helper.make_graph(nodes, "g", infos, [y], [numpy_helper.from_array(w, "w")])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    x = random.integers(0, 256, (20, 1024)).astype(np.uint8)
    found, wanted, remarks = run(model, [x], driver, tmp_path)
    np.testing.assert_array_equal(found, wanted)
    assert "split into" in remarks and "tensor cores, int8" in remarks


# Shape, order, and how it is used: alone, or with a tensor in the new order.
TRANSPOSED = {
    "channels last": ((2, 40, 9, 11), (0, 2, 3, 1), np.float32),
    "channels first": ((2, 9, 11, 40), (0, 3, 1, 2), np.float32),
    "halves": ((1, 96, 13, 7), (0, 2, 3, 1), np.float16),
    "matrix": ((70, 33), (1, 0), np.float32),
    "heads": ((2, 24, 3, 16), (0, 2, 3, 1), np.float32),
    "all": ((9, 10, 11, 12), (3, 2, 1, 0), np.float32),
    "bytes": ((3, 65, 130), (0, 2, 1), np.int8),
    "doubles": ((33, 34), (1, 0), np.float64),
}


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", TRANSPOSED)
def test_transposition(name, dynamic, driver, tmp_path):
    shape, order, dtype = TRANSPOSED[name]
    sizes = [f"d{i}" if dynamic else size for i, size in enumerate(shape)]
    constants, inputs = {}, {"x": sizes}
    arrays = [(100 * random.standard_normal(shape)).astype(dtype)]
    nodes = [helper.make_node("Transpose", ["x"], ["y"], perm=order)]
    if dtype == np.float32:
        # With what is not turned: one a row of the output, and all of it.
        turned = tuple(shape[i] for i in order)
        arrays.append(random.standard_normal(turned).astype(dtype))
        inputs["z"] = [sizes[i] for i in order]
        constants["c"] = random.standard_normal((*turned[:-1], 1))
        nodes = [helper.make_node("Transpose", ["x"], ["t"], perm=order),
                 node("Relu", "t", "r"), node("Add", "r z", "s"),
                 node("Mul", "s c", "y")]  # fmt: skip
    model = make(nodes, inputs, constants, dtype)
    found, wanted, remarks = run(model, arrays, driver, tmp_path)
    np.testing.assert_array_equal(found, wanted)
    assert "a block, transposed" in remarks
