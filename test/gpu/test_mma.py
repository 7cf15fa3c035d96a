"""Contractions on tensor cores, emulated instruction by instruction, against
float64 of the rounded operands: the layouts, sizes and types that kernels have,
for each generation of instructions."""

import subprocess

import emulated
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_ptx import assemble

random = np.random.default_rng(3)


def cut_tf32(x):
    """As the instruction takes an operand."""
    return (x.astype(np.float32).view(np.uint32) & np.uint32(0xFFFFE000)).view(np.float32)


def round_constant(precision, x):
    """As the compiler does: of tf32 to nearest, ties away from zero."""
    if precision != "tf32":
        return ROUND[precision](x)
    return cut_tf32((x.view(np.uint32) + np.uint32(0x1000)).view(np.float32))


ROUND = {
    "fp16": lambda x: x.astype(np.float16),
    "bf16": lambda x: x.astype(ml_dtypes.bfloat16),
    "tf32": cut_tf32,
    "fp32": lambda x: x,
}
PRECISIONS = [("fp16", "sm_70"), ("fp16", "sm_75"), ("fp16", "sm_80"), ("bf16", "sm_80"),
              ("tf32", "sm_80"), ("tf32", "sm_90a")]  # fmt: skip


class Case:
    """Operands, and the ONNX nodes that multiply them."""

    def __init__(self, name, a, b, constant=True, transpose=False, conv=None, dtype=np.float32):
        self.name, self.constant, self.transpose, self.conv = name, constant, transpose, conv
        self.a = random.standard_normal(a).astype(dtype)
        self.b = random.standard_normal(b).astype(dtype)
        self.dtype = dtype

    def nodes(self, i):
        """c = relu(a b + 0.5); a constant after the product tells the
        epilogue apart."""
        kind = TensorProto.FLOAT16 if self.dtype == np.float16 else TensorProto.FLOAT
        half = numpy_helper.from_array(np.array(0.5, self.dtype), f"half{i}")
        a, b = f"a{i}", f"b{i}"
        inputs = [helper.make_tensor_value_info(a, kind, self.a.shape)]
        constants = [half]
        if self.constant:
            constants.append(numpy_helper.from_array(self.b, b))
        else:
            inputs.append(helper.make_tensor_value_info(b, kind, self.b.shape))
        nodes = []
        if self.transpose:
            order = [*range(self.b.ndim - 2), self.b.ndim - 1, self.b.ndim - 2]
            nodes.append(helper.make_node("Transpose", [b], [f"t{i}"], perm=order))
            b = f"t{i}"
        if self.conv is not None:
            nodes.append(helper.make_node("Conv", [a, b], [f"p{i}"], **self.conv))
        else:
            nodes.append(helper.make_node("MatMul", [a, b], [f"p{i}"]))
        nodes.append(helper.make_node("Add", [f"p{i}", f"half{i}"], [f"s{i}"]))
        nodes.append(helper.make_node("Relu", [f"s{i}"], [f"c{i}"]))
        outputs = [helper.make_tensor_value_info(f"c{i}", kind, self.expected("fp32").shape)]
        return nodes, inputs, outputs, constants

    def expected(self, precision):
        a = ROUND[precision](self.a).astype(np.float64)
        b = round_constant(precision, self.b) if self.constant else ROUND[precision](self.b)
        b = b.astype(np.float64)
        if self.conv is not None:
            product = convolve(a, b, **self.conv)
        else:
            product = a @ (b.swapaxes(-1, -2) if self.transpose else b)
        return np.maximum(product + 0.5, 0)


def convolve(x, w, pads=(0, 0, 0, 0), strides=(1, 1)):
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwij,ocij->nohw", windows[:, :, :: strides[0], :: strides[1]], w)


def make_cases():
    yield Case("plain", (64, 32), (32, 64))
    yield Case("many tiles", (150, 200), (200, 136))
    yield Case("large tiles", (1536, 48), (48, 1536))
    yield Case("odd", (67, 51), (51, 45))
    yield Case("few rows", (13, 100), (100, 200))
    yield Case("few columns", (200, 100), (100, 9))
    yield Case("given", (70, 64), (64, 72), constant=False)
    yield Case("transposed", (70, 64), (72, 64), constant=False, transpose=True)
    yield Case("batch", (3, 33, 40), (3, 40, 24), constant=False)
    yield Case("scores", (2, 3, 40, 32), (2, 3, 48, 32), constant=False, transpose=True)
    yield Case("conv", (1, 32, 10, 12), (40, 32, 3, 3), conv={"pads": [1, 1, 1, 1]})
    yield Case("strided conv", (2, 6, 13, 15), (24, 6, 3, 3), conv={"strides": [2, 2]})
    yield Case("1x1 conv", (2, 64, 9, 9), (48, 64, 1, 1), conv={})


HALVES = [
    Case("large tiles of halves", (1536, 168), (168, 1536), dtype=np.float16),
    Case("halves", (70, 96), (96, 80), dtype=np.float16),
    Case("odd halves", (37, 50), (50, 41), dtype=np.float16),
    Case("given halves", (40, 64), (64, 64), constant=False, dtype=np.float16),
    Case("scores of halves", (2, 40, 64), (2, 48, 64), False, True, dtype=np.float16),
    Case("conv of halves", (1, 64, 8, 8), (48, 64, 3, 3), conv={}, dtype=np.float16),
]


def run(table, driver, folder, *flags, gpu):
    parts = [case.nodes(i) for i, case in enumerate(table)]
    nodes, inputs, outputs, constants = ([x for part in parts for x in part[i]] for i in range(4))
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.checker.check_model(model)
    network, kernels = emulated.compile(model, folder, driver, *flags, gpu=gpu)
    driver.reset(kernels, capability=int(gpu[3:5]))
    given = [x for case in table for x in ((case.a,) if case.constant else (case.a, case.b))]
    results = network.run(given)
    assert driver.error == ""
    return results


def compare(table, results, precision, tolerance):
    wrong = []
    for case, result in zip(table, results, strict=True):
        expected = case.expected(precision)
        error = np.abs(result.astype(np.float64) - expected).max() / np.abs(expected).max()
        if not error <= tolerance:
            wrong.append(f"{case.name}: {error}")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("precision, gpu", PRECISIONS)
def test_precision(precision, gpu, driver, tmp_path):
    table = list(make_cases())
    results = run(table, driver, tmp_path, f"--precision={precision}", gpu=gpu)
    # Of the rounded operands: the order of sums of float32 differs.
    compare(table, results, precision, 2e-6)


@pytest.mark.parametrize("gpu", ["sm_70", "sm_75", "sm_80"])
def test_halves(gpu, driver, tmp_path):
    results = run(HALVES, driver, tmp_path, gpu=gpu)
    compare(HALVES, results, "fp16", 6e-4)
    # Four stages of a tile of 128 x 256.
    asked = [call for call in driver.calls if call.startswith("cuFuncSetAttribute")]
    assert [call.split()[-1] for call in asked] == (["98304"] if gpu == "sm_80" else [])


@pytest.mark.parametrize("gpu", ["sm_75", "sm_80"])
def test_bytes(gpu, driver, tmp_path):
    """Exact, for all signs of operands and layouts of B."""
    inputs, nodes, outputs, constants, given, wanted = [], [], [], [], [], []
    kinds = {np.int8: TensorProto.INT8, np.uint8: TensorProto.UINT8}
    shapes = [((70, 64), (64, 48)), ((33, 100), (100, 31)), ((2, 24, 96), (96, 160)),
              ((1536, 64), (64, 1536)), ((12, 200), (200, 130))]  # fmt: skip
    cases = [(a, b, shape, constant) for a in kinds for b in kinds
             for shape in shapes[: 5 if a is b else 2] for constant in (True, False)]  # fmt: skip
    for i, (a, b, (left, right), constant) in enumerate(cases):
        x = random.integers(np.iinfo(a).min, np.iinfo(a).max + 1, left).astype(a)
        y = random.integers(np.iinfo(b).min, np.iinfo(b).max + 1, right).astype(b)
        inputs.append(helper.make_tensor_value_info(f"x{i}", kinds[a], left))
        given.append(x)
        if constant:
            constants.append(numpy_helper.from_array(y, f"y{i}"))
        else:
            inputs.append(helper.make_tensor_value_info(f"y{i}", kinds[b], right))
            given.append(y)
        nodes.append(helper.make_node("MatMulInteger", [f"x{i}", f"y{i}"], [f"z{i}"]))
        product = x.astype(np.int32) @ y.astype(np.int32)
        outputs.append(helper.make_tensor_value_info(f"z{i}", TensorProto.INT32, product.shape))
        wanted.append(product)
    graph = helper.make_graph(nodes, "g", inputs, outputs, constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    network, kernels = emulated.compile(model, tmp_path, driver, gpu=gpu)
    driver.reset(kernels, capability=int(gpu[3:5]))
    for found, product in zip(network.run(given), wanted, strict=True):
        np.testing.assert_array_equal(found, product)
    assert driver.error == ""
    ptx = tmp_path / "x.ptx"
    subprocess.run(["dlc", tmp_path / "network.onnx", f"--gpu={gpu}", "--emit=ptx", "-o", ptx],
                   check=True)  # fmt: skip
    assert "mma.sync" in ptx.read_text()
    assert all(spilled == 0 for _, spilled in assemble(ptx, gpu).values())
