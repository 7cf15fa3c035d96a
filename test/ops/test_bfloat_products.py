"""Contractions of float32 with --precision=bf16, and those of bfloat16 tensors,
on CPUs with dot products of that type: against float64 arithmetic on operands
rounded to bfloat16."""

import dataclasses
import pathlib
import re
import shutil
import subprocess
import sys
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

import dlc

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "bench"))
import objects  # noqa: E402

native = pytest.mark.skipif(
    "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(),
    reason="needs a CPU with AVX512-BF16",
)
emulated = pytest.mark.skipif(
    not shutil.which("qemu-aarch64-static"), reason="needs QEMU for aarch64"
)
EPSILON = 2.0**-23


def rounded(x: np.ndarray) -> np.ndarray:
    return x.astype(ml_dtypes.bfloat16).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class Case:
    """Nodes that compute y from the operands `a` and `b` of the first of them,
    a contraction, and other inputs. Sizes of -1 are unknown to the compiler."""

    nodes: list[Any]
    a: tuple[int, ...]
    b: tuple[int, ...]
    given: tuple[int, ...] = ()
    """The shape of `a` in the run, if it isn't known."""
    constant: bool = True
    others: dict[str, tuple[int, ...]] = dataclasses.field(default_factory=dict)
    is_rounded: bool = True
    shape_b: tuple[int, ...] = ()
    """What the compiler knows of that of `b`, if it isn't all."""


def node(op, *inputs, output="y", **attributes):
    return helper.make_node(op, list(inputs), [output], **attributes)


def product(a, b, **more):
    return Case([node("MatMul", "a", "b")], a, b, **more)


def convolution(a, b, attributes, **more):
    return Case([node("Conv", "a", "b", **attributes)], a, b, **more)


def gemm(a, b, attributes, **more):
    return Case([node("Gemm", "a", "b", **attributes)], a, b, **more)


RELU = [node("MatMul", "a", "b", output="p"), node("Add", "p", "c", output="s"), node("Relu", "s")]
RESIDUAL = [node("Conv", "a", "b", "c", output="p"), node("Add", "p", "r", output="s"), node("Relu", "s")]

CASES = {
    "square": product((64, 64), (64, 64)),
    "odd": product((33, 67), (67, 95)),
    "odd_columns": product((13, 30), (30, 33)),
    "narrow": product((40, 64), (64, 17)),
    "wide": product((5, 48), (48, 1000)),
    "long": product((9, 1999), (1999, 66)),
    "two": product((24, 2), (2, 64)),
    "row": product((1, 300), (300, 130)),
    "odd_row": product((1, 301), (301, 130)),
    "rows": product((3, 301), (301, 64)),
    "vector": product((300,), (300, 130)),
    "batched": product((3, 20, 35), (35, 70)),
    "batches": product((3, 130, 35), (3, 35, 70)),
    "broadcast": product((2, 3, 40, 64), (3, 64, 64)),
    "run": product((160, 96), (96, 160), constant=False),
    "odd_run": product((161, 97), (97, 163), constant=False),
    "batches_run": product((2, 3, 128, 65), (2, 3, 65, 128), constant=False),
    "broadcast_run": product((2, 1, 128, 66), (3, 66, 129), constant=False),
    "few_rows_run": product((2, 64), (64, 64), constant=False, is_rounded=False),
    "dynamic_rows_run": product((-1, 64), (64, 64), given=(90, 64), constant=False, is_rounded=False),
    "dynamic_run": product((-1, 64), (64, 64), given=(90, 64), shape_b=(64, -1), constant=False, is_rounded=False),
    "one_column": product((40, 64), (64, 1), is_rounded=False),
    "one_term": product((24, 1), (1, 64), is_rounded=False),
    "dynamic_rows": product((-1, 65), (65, 100), given=(37, 65)),
    "dynamic_no_rows": product((-1, 65), (65, 100), given=(0, 65)),
    "dynamic_batches": product((-1, -1, 64), (64, 70), given=(3, 19, 64)),
    "no_rows": product((0, 64), (64, 64)),
    "no_terms": product((20, 0), (0, 64), is_rounded=False),
    "transposed_b": gemm((70, 66), (130, 66), {"transB": 1}),
    "transposed_b_run": gemm((170, 66), (130, 66), {"transB": 1}, constant=False),
    "transposed_a": gemm((66, 70), (66, 130), {"transA": 1}),
    "transposed": gemm((67, 70), (130, 67), {"transA": 1, "transB": 1, "alpha": 0.5}),
    "epilogue": Case(RELU, (50, 70), (70, 90), others={"c": (90,)}),
    "conv_1x1": convolution((1, 40, 9, 11), (70, 40, 1, 1), {}),
    "conv_3x3": convolution((2, 32, 9, 11), (40, 32, 3, 3), {"pads": [1, 1, 1, 1]}),
    "conv_odd": convolution((1, 35, 9, 11), (40, 35, 3, 3), {"pads": [1, 0, 2, 1]}),
    "conv_stride": convolution((1, 32, 15, 13), (40, 32, 3, 3), {"strides": [2, 2], "pads": [1, 1, 1, 1]}),
    "conv_dilation": convolution((1, 33, 15, 13), (40, 33, 3, 3), {"dilations": [2, 2]}),
    "conv_3_channels": convolution((1, 3, 30, 32), (64, 3, 7, 7), {"strides": [2, 2], "pads": [3, 3, 3, 3]}),
    "conv_groups": convolution((1, 64, 9, 11), (128, 16, 3, 3), {"group": 4, "pads": [1, 1, 1, 1]}),
    "conv_depthwise": convolution((1, 64, 9, 11), (64, 1, 3, 3), {"group": 64}, is_rounded=False),
    "conv_1d": convolution((2, 40, 50), (64, 40, 5), {"pads": [2, 2]}),
    "conv_3d": convolution((1, 20, 5, 6, 7), (48, 20, 3, 3, 3), {"pads": [1] * 6}),
    "conv_dynamic": convolution((-1, 32, -1, -1), (40, 32, 3, 3), {"pads": [1, 1, 1, 1]}, given=(2, 32, 7, 10)),
    "conv_residual": Case(RESIDUAL, (1, 40, 9, 11), (64, 40, 1, 1), others={"c": (64,), "r": (1, 64, 9, 11)}),
}  # fmt: skip


def make_model(case, element, constant_values):
    """The model, with its constants as they are given."""
    inputs = [("a", case.a)] + ([] if case.constant else [("b", case.shape_b or case.b)])
    infos = [
        helper.make_tensor_value_info(name, element, [n if n >= 0 else f"{name}{i}" for i, n in enumerate(shape)])
        for name, shape in [*inputs, *case.others.items()]
    ]  # fmt: skip
    constants = [numpy_helper.from_array(v, k) for k, v in constant_values.items()]
    output = helper.make_tensor_value_info("y", element, None)
    graph = helper.make_graph(case.nodes, "g", infos, [output], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def make_values(case):
    random = np.random.default_rng(0)
    shapes = {"a": case.given or case.a, "b": case.b, **case.others}
    return {k: random.standard_normal(shape, np.float32) for k, shape in shapes.items()}


def compute(case, values):
    """y in float64."""
    wide = {k: v.astype(np.float64) for k, v in values.items()}
    constants = {"b": wide.pop("b")} if case.constant else {}
    model = make_model(case, TensorProto.DOUBLE, constants)
    return ReferenceEvaluator(model).run(None, wide)[0]


def check(case, values, found):
    operands = {**values, "a": rounded(values["a"]), "b": rounded(values["b"])}
    exact, expected = compute(case, values), compute(case, operands)
    wanted = expected if case.is_rounded else exact
    assert found.shape == wanted.shape and found.dtype == np.float32
    if not found.size:
        return
    # Each sum by the sum of its terms' sizes.
    sizes = compute(case, {k: np.abs(v) for k, v in operands.items()})
    assert (np.abs(found - wanted) <= 16 * EPSILON * sizes + 1e-30).all()
    other = exact if case.is_rounded else expected
    if case.b[0]:
        assert np.abs(found - other).max() > 1e-4 * np.abs(other).max()


@native
@pytest.mark.parametrize("name", CASES)
def test_native(name):
    case = CASES[name]
    values = make_values(case)
    model = make_model(case, TensorProto.FLOAT, {"b": values["b"]} if case.constant else {})
    given = {k: v for k, v in values.items() if k != "b" or not case.constant}
    compiled = dlc.compile(model, precision="bf16", conv="direct")
    found = compiled.run([given[info.name] for info in compiled.inputs])[0]
    check(case, values, found)


@emulated
@pytest.mark.parametrize(
    "name",
    ["odd", "odd_columns", "wide", "odd_row", "odd_run", "batches", "transposed", "dynamic_rows",
     "conv_odd", "conv_3_channels", "conv_groups", "conv_residual"],
)  # fmt: skip
def test_emulated(name, tmp_path):
    """AArch64's bfmmla, and bfdot for a last row."""
    case = CASES[name]
    values = make_values(case)
    model = make_model(case, TensorProto.FLOAT, {"b": values["b"]} if case.constant else {})
    onnx.save(model, tmp_path / "m.onnx")
    made = objects.compile(
        tmp_path / "m.onnx", tmp_path, "aarch64", ["-mcpu=generic+bf16", "--precision=bf16", "--conv=direct"]
    )  # fmt: skip
    given = [v for k, v in values.items() if k != "b" or not case.constant]
    (found,) = objects.run_emulated(made, given, [np.float32])
    check(case, values, found)


def make_chain(element=TensorProto.FLOAT):
    """Two products, of which the second alone reads what the first makes."""
    random = np.random.default_rng(1)
    dtype = helper.tensor_dtype_to_np_dtype(element)
    v, w = (random.standard_normal(n).astype(np.float32).astype(dtype) for n in [(64, 130), (130, 66)])
    nodes = [
        node("MatMul", "x", "v", output="p"),
        node("Relu", "p", output="q"),
        node("MatMul", "q", "w"),
    ]
    x, y = (helper.make_tensor_value_info(n, element, [40, c]) for n, c in [("x", 64), ("y", 66)])
    graph = helper.make_graph(
        nodes, "g", [x], [y], [numpy_helper.from_array(v, "v"), numpy_helper.from_array(w, "w")]
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    return model, random.standard_normal((40, 64)).astype(np.float32).astype(dtype), v, w


def print_ir(model, tmp_path, phase, *flags):
    onnx.save(model, tmp_path / "m.onnx")
    command = [objects.DLC, tmp_path / "m.onnx", f"--to={phase}", "-o", "-", *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True)


@native
def test_chain():
    model, x, v, w = make_chain()
    found = dlc.compile(model, precision="bf16").run([x])[0]
    between = np.maximum(rounded(x).astype(np.float64) @ rounded(v), 0)
    expected = rounded(between.astype(np.float32)).astype(np.float64) @ rounded(w)
    # A sum that lies between two numbers may be rounded to either.
    assert np.abs(found - expected).max() < 2e-3 * np.abs(expected).max()
    assert np.abs(found - np.maximum(x @ v, 0) @ w).max() > 1e-4 * np.abs(expected).max()


def test_stored_between(tmp_path):
    """What products alone read lies in memory as bfloat16, rounded where it is
    made, and so do the weights."""
    model, *_ = make_chain()
    text = print_ir(model, tmp_path, "tensor", "-target=x86_64", "-mcpu=znver4", "--precision=bf16").stdout
    assert "tensor<40x130xbf16>, tensor<" in text and "tensor<40x130xf32>" not in text
    assert not re.search(r"dense_resource<.*> : tensor<.*xf32>", text)
    assert text.count("linalg.generic") == 1  # the input


@native
def test_special_numbers():
    """Infinities and NaN as in float32; subnormal numbers are zeros, and what
    is beyond the largest bfloat16 is infinite."""
    w = 2.0**120
    model = make_model(CASES["rows"], TensorProto.FLOAT, {"b": np.full((301, 64), w, np.float32)})
    x = np.zeros((3, 301), np.float32)
    x[0, 0], x[1, 300], x[2, 0] = np.inf, np.nan, 2.0**-127
    found = dlc.compile(model, precision="bf16").run([x])[0]
    assert (found[0] == np.inf).all() and np.isnan(found[1]).all() and (found[2] == 0).all()
    x[0, 0], x[1, 300], x[2, 0] = -np.inf, np.finfo(np.float32).max, 2.0**-126
    found = dlc.compile(model, precision="bf16").run([x])[0]
    assert (found[0] == -np.inf).all() and (found[1] == np.inf).all() and (found[2] == 2.0**-126 * w).all()


@native
def test_tensors_of_bfloat16(tmp_path):
    """A model of bfloat16 takes the kernels without a flag: its numbers are
    what they multiply."""
    model, x, v, w = make_chain(TensorProto.BFLOAT16)
    found = dlc.compile(model).run([x])[0]
    x, v, w = (value.astype(np.float64) for value in (x, v, w))
    between = np.maximum(rounded((x @ v).astype(np.float32)), 0).astype(np.float64)
    expected = between @ w
    assert found.dtype == ml_dtypes.bfloat16
    assert np.abs(found.astype(np.float64) - expected).max() < 2.0**-8 * np.abs(expected).max()
    onnx.save(model, tmp_path / "m.onnx")
    for cpu, instruction in [("znver4", "vdpbf16ps"), ("sapphirerapids", "tdpbf16ps")]:
        flags = ["--remarks=dlc-lower-contract", "-target=x86_64", f"-mcpu={cpu}"]
        made = objects.compile(tmp_path / "m.onnx", tmp_path, flags=flags)
        assert made.messages.count(instruction) == 2


@native
@pytest.mark.parametrize("op, gates", [("LSTM", 4), ("GRU", 3), ("RNN", 1)])
def test_recurrent(op, gates):
    """Steps multiply by weights of half the size; errors of rounding alone."""
    random = np.random.default_rng(2)
    w, r = (random.standard_normal((1, gates * 64, n)).astype(np.float32) / 8 for n in (48, 64))
    x = random.standard_normal((9, 1, 48)).astype(np.float32)
    infos = [helper.make_tensor_value_info(n, TensorProto.FLOAT, None) for n in ("y", "h")]
    graph = helper.make_graph(
        [helper.make_node(op, ["x", "w", "r"], ["y", "h"], hidden_size=64)], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [9, 1, 48])], infos,
        [numpy_helper.from_array(w, "w"), numpy_helper.from_array(r, "r")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    exact = dlc.compile(model).run([x])[0]
    found = dlc.compile(model, precision="bf16").run([x])[0]
    error = np.abs(found - exact).max()
    assert 1e-5 < error < 1e-2


def test_no_instruction(tmp_path):
    """A CPU without dot products of bfloat16 says so once, and computes in
    float32."""
    model, *_ = make_chain()
    for flags in (["-target=x86_64", "-mcpu=x86-64-v4"], ["-target=aarch64"], ["-target=armv7"], ["-target=riscv64"]):
        done = print_ir(model, tmp_path, "tensor", "--precision=bf16", *flags)
        assert done.stderr.count("contractions stay float32 with --precision=bf16: ") == 1
        assert "has no dot products of bfloat16" in done.stderr
        assert "bf16" not in done.stdout


@native
def test_several_cpus(tmp_path):
    """Each CPU of an object has its weights as its kernels take them, those
    with equal kernels the same ones."""
    model, x, v, w = make_chain()
    onnx.save(model, tmp_path / "m.onnx")
    sizes = {}
    for cpus in ("x86-64-v4", "cooperlake", "x86-64-v4,cooperlake", "cooperlake,znver4"):
        (tmp_path / cpus).mkdir()
        made = objects.compile(tmp_path / "m.onnx", tmp_path / cpus, flags=[f"-mcpu={cpus}", "--precision=bf16"])
        assert ("x86-64-v4 has no dot products" in made.messages) == ("v4" in cpus.replace("znver4", ""))
        loaded = dlc.load(objects.link_shared(made), name="network")
        exact = np.maximum(x @ v, 0) @ w
        error = np.abs(loaded.run([x])[0] - exact).max() / np.abs(exact).max()
        assert error < 1e-5 if cpus == "x86-64-v4" else 1e-4 < error < 2e-2
        sections = subprocess.run(["size", "-A", made.path], check=True, capture_output=True, text=True).stdout
        sizes[cpus] = int(re.search(r"\.rodata\.dlc +(\d+)", sections)[1])
    assert sizes["x86-64-v4"] > 1.7 * sizes["cooperlake"]
    assert sizes["cooperlake,znver4"] == sizes["cooperlake"]
    assert sizes["x86-64-v4,cooperlake"] <= sizes["x86-64-v4"] + sizes["cooperlake"]
