"""Residual blocks whose sums lie where their residuals were: every kernel reads
an element of the residual before it, or another thread, writes there."""

import sys
from pathlib import Path

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "bench"))
import objects  # noqa: E402
from cpus import UNITS, skip_unless_runs  # noqa: E402

BLOCKS = 2
GEMM, WINOGRAD, FOURIER = "register-tiled product", "Winograd's form", "Fourier's form"
DEPTHWISE, DOT = "channel by channel", "dot products"


class Network:
    """The nodes and constants of a model that grows."""

    def __init__(self):
        self.nodes, self.constants, self.rng = [], [], np.random.default_rng(0)

    def add(self, op, *inputs, **attributes):
        name = f"{op}{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value, dtype=np.float32):
        name = f"c{len(self.constants)}"
        self.constants.append(numpy_helper.from_array(np.asarray(value, dtype), name))
        return name

    def normal(self, *shape):
        return self.constant(self.rng.normal(size=shape) / np.sqrt(np.prod(shape[1:])))

    def model(self, shape, output):
        value = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "g",
            [value("x", TensorProto.FLOAT, shape)],
            [value(output, TensorProto.FLOAT, None)],
            self.constants,
        )
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


def convolutions(shape, window, pads=None, group=1, **attributes):
    net, channels = Network(), shape[1]
    pads = [w // 2 for w in window] * 2 if pads is None else pads

    def convolve(x):
        weights = net.normal(channels, channels // group, *window)
        bias = net.normal(channels)
        return net.add("Conv", x, weights, bias, pads=pads, group=group, **attributes)

    x = net.add("Relu", convolve("x"))
    for _ in range(BLOCKS):
        y = convolve(net.add("Relu", convolve(x)))
        x = net.add("Relu", net.add("Add", y, x))
    return net.model(shape, convolve(x))


def products(shape, inner=96):
    net, columns = Network(), shape[-1]
    x = net.add("Tanh", "x")
    for _ in range(BLOCKS):
        h = net.add("Relu", net.add("MatMul", x, net.normal(columns, inner)))
        x = net.add("Tanh", net.add("Add", x, net.add("MatMul", h, net.normal(inner, columns))))
    return net.model(shape, net.add("Softmax", x, axis=-1))


def heads(shape):
    """The residual has another shape than the product that it is added to."""
    net, (rows, columns) = Network(), shape[-2:]
    flat = net.constant([rows, columns], np.int64)
    whole = net.constant([1, rows, columns], np.int64)
    x = net.add("Tanh", "x")
    for _ in range(BLOCKS):
        h = net.add("Relu", net.add("MatMul", x, net.normal(columns, columns)))
        y = net.add("Gemm", net.add("Reshape", h, flat), net.normal(columns, columns))
        x = net.add("Tanh", net.add("Add", net.add("Reshape", y, whole), x))
    return net.model(shape, net.add("Softmax", x, axis=-1))


def dots(columns):
    """Products of a row by a matrix of the run, of rows by rows."""
    net = Network()
    x = net.add("Tanh", "x")
    for _ in range(BLOCKS):
        matrix = net.add("Softmax", net.add("Mul", net.normal(columns, 1), x), axis=-1)
        row = net.add("Relu", net.add("MatMul", x, net.normal(columns, columns)))
        x = net.add("Tanh", net.add("Add", net.add("Gemm", row, matrix, transB=1), x))
    return net.model([1, columns], net.add("Softmax", x, axis=-1))


# A model, the form of convolutions, the kernel.
CASES = {
    "product": (lambda: products([37, 64]), "auto", GEMM),
    "batches": (lambda: products([2, 3, 19, 40]), "auto", GEMM),
    "row": (lambda: products([1, 272]), "auto", GEMM),
    "reshaped": (lambda: heads([1, 50, 64]), "auto", GEMM),
    "dots": (lambda: dots(90), "auto", DOT),
    "pointwise": (lambda: convolutions([2, 40, 9, 11], [1, 1]), "auto", GEMM),
    "direct": (lambda: convolutions([1, 24, 15, 13], [3, 3]), "direct", GEMM),
    "line": (lambda: convolutions([2, 20, 61], [5]), "direct", GEMM),
    "volume": (lambda: convolutions([1, 8, 6, 7, 5], [3, 3, 3]), "direct", GEMM),
    "uneven": (lambda: convolutions([1, 16, 14, 9], [4, 3], pads=[0, 2, 3, 0]), "direct", GEMM),
    "dilated": (
        lambda: convolutions([1, 16, 17, 9], [3, 3], pads=[2] * 4, dilations=[2, 2]),
        "direct",
        GEMM,
    ),
    "groups": (lambda: convolutions([1, 24, 12, 12], [3, 3], group=3), "direct", GEMM),
    "depthwise": (lambda: convolutions([1, 35, 13, 18], [5, 5], group=35), "direct", DEPTHWISE),
    "winograd": (lambda: convolutions([2, 16, 15, 13], [3, 3]), "winograd", WINOGRAD),
    "winograd 5x5": (lambda: convolutions([1, 16, 14, 9], [5, 5]), "winograd", WINOGRAD),
    "fourier": (lambda: convolutions([1, 8, 21, 30], [9, 9]), "fft-16x16", FOURIER),
}  # fmt: skip


def expect(model, x):
    session = ort.InferenceSession(model.SerializeToString())
    return session.run(None, {"x": x})[0]


def make_input(model):
    shape = [d.dim_value for d in model.graph.input[0].type.tensor_type.shape.dim]
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("cpu", ["x86-64", *UNITS])
@pytest.mark.parametrize("case", CASES)
def test_kernels(case, cpu):
    if cpu in UNITS:
        skip_unless_runs(cpu)
    make, form, kernel = CASES[case]
    model = make()
    x = make_input(model)
    options = dict(cpu=cpu, conv=form)
    compiled = dlc.compile(model, remarks="dlc-lower-contract|dlc-reuse-operands", **options)
    messages = str(compiled.diagnostics)
    assert messages.count("written where an operand of its epilogue was") == BLOCKS
    assert kernel in messages
    found = compiled.run([x], threads=1)[0]
    np.testing.assert_allclose(found, expect(model, x), rtol=2e-4, atol=2e-4)
    for threads in (2, 3):
        np.testing.assert_array_equal(compiled.run([x], threads=threads)[0], found)


@pytest.mark.parametrize("target", ["aarch64", "armv7"])
@pytest.mark.parametrize("case", CASES)
def test_arm(case, target, tmp_path):
    make, form, _ = CASES[case]
    model = make()
    x = make_input(model)
    onnx.save(model, tmp_path / "model.onnx")
    flags = [f"--conv={form}", "--remarks=dlc-reuse-operands"]
    made = objects.compile(tmp_path / "model.onnx", tmp_path, target, flags)
    assert made.messages.count("written where an operand of its epilogue was") == BLOCKS
    found = objects.run_emulated(made, [x], [np.float32])[0]
    np.testing.assert_allclose(found, expect(model, x), rtol=2e-4, atol=2e-4)
