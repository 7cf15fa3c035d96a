"""Transposes: of all permutations, sizes around those of the blocks, and types of
all widths, for several vector units; sizes that only the run knows, with threads."""

import itertools
import pathlib
import shutil
import sys

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import objects  # noqa: E402

TYPES = {
    np.float32: TensorProto.FLOAT, np.float64: TensorProto.DOUBLE, np.int8: TensorProto.INT8,
    np.uint16: TensorProto.UINT16, np.float16: TensorProto.FLOAT16, np.bool_: TensorProto.BOOL,
    ml_dtypes.bfloat16: TensorProto.BFLOAT16, np.int64: TensorProto.INT64,
    ml_dtypes.float8_e4m3fn: TensorProto.FLOAT8E4M3FN, np.complex64: TensorProto.COMPLEX64,
}  # fmt: skip
UNITS = ["native", "x86-64-v4", "x86-64-v3", "x86-64-v2"]


def make(cases, dtype):
    """One model of many transposes: (sizes, which may be names, and a permutation)."""
    nodes, inputs, outputs = [], [], []
    for i, (sizes, permutation) in enumerate(cases):
        nodes.append(helper.make_node("Transpose", [f"x{i}"], [f"y{i}"], perm=permutation))
        inputs.append(helper.make_tensor_value_info(f"x{i}", TYPES[dtype], sizes))
        outputs.append(helper.make_tensor_value_info(
            f"y{i}", TYPES[dtype], [sizes[p] for p in permutation]))  # fmt: skip
    graph = helper.make_graph(nodes, "transposes", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def fill(sizes, dtype, random):
    if dtype == np.bool_:
        return random.integers(0, 2, sizes).astype(bool)
    return random.integers(-100, 100, sizes).astype(np.int8).astype(dtype)


def check(model, xs, permutations, threads=1):
    for found, x, permutation in zip(model.run(xs, threads=threads), xs, permutations, strict=True):
        wanted = x.transpose(permutation)
        assert found.dtype == wanted.dtype
        assert np.array_equal(found, wanted), (x.shape, permutation)


def compile_for(model, unit):
    options = {} if unit == "native" else {"cpu": unit}
    try:
        return dlc.compile(model, **options)
    except dlc.CompileError as error:
        if "lacks an instruction set" in str(error):
            pytest.skip(f"this machine is no {unit}")
        raise


@pytest.mark.parametrize("unit", UNITS)
@pytest.mark.parametrize("dtype", TYPES)
def test_matrices(dtype, unit):
    sizes = [1, 3, 8, 15, 16, 33, 65, 130]
    cases = [(pair, (1, 0)) for pair in itertools.product(sizes, sizes)]
    random = np.random.default_rng(0)
    model = compile_for(make(cases, dtype), unit)
    check(model, [fill(s, dtype, random) for s, _ in cases], [p for _, p in cases])


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.float16])
def test_permutations(dtype):
    cases = [((2, 19, 5, 35), p) for p in itertools.permutations(range(4))]
    cases += [((1, 19, 1, 35), p) for p in itertools.permutations(range(4))]
    cases += [((3, 2, 17, 2, 3), p) for p in itertools.permutations(range(5))]
    cases += [((66, 7, 9), p) for p in itertools.permutations(range(3))]
    random = np.random.default_rng(1)
    model = dlc.compile(make(cases, dtype))
    check(model, [fill(s, dtype, random) for s, _ in cases], [p for _, p in cases])


@pytest.mark.parametrize("dtype", [np.float32, np.int8, np.bool_])
def test_dynamic(dtype):
    """Below, at and beyond a block, none at all, and no plane that threads share."""
    cases = [(("n", "r", "c"), (0, 2, 1)), (("n", 40, "c"), (2, 0, 1)), (("n", "r", 40), (2, 1, 0))]
    model = dlc.compile(make(cases, dtype))
    random = np.random.default_rng(2)
    for n, r, c in [(2, 3, 5), (1, 16, 16), (3, 64, 64), (2, 65, 33), (0, 4, 4), (2, 0, 7), (1, 700, 300)]:
        known = {"n": n, "r": r, "c": c}
        xs = [fill([known.get(s, s) for s in sizes], dtype, random) for sizes, _ in cases]
        for threads in (1, 2, 3):
            check(model, xs, [p for _, p in cases], threads)


@pytest.mark.parametrize("dtype", [np.float32, np.int8])
def test_threads(dtype):
    cases = [((1, 256, 56, 56), (0, 2, 3, 1)), ((1000, 1024), (1, 0)), ((12, 128, 64), (0, 2, 1))]
    random = np.random.default_rng(3)
    model = dlc.compile(make(cases, dtype))
    xs = [fill(s, dtype, random) for s, _ in cases]
    for threads in (1, 2, 5):
        check(model, xs, [p for _, p in cases], threads)


@pytest.mark.parametrize("perm", [(0, 2, 3, 1), (0, 3, 1, 2)])
def test_in_a_border(perm):
    """Into, and out of, a tensor that is padded in place."""
    shape = [1, 24, 18, 40]
    graph = helper.make_graph(
        [helper.make_node("Transpose", ["x"], ["t"], perm=perm),
         helper.make_node("Pad", ["t", "pads"], ["p"]),
         helper.make_node("Slice", ["p", "from", "to"], ["s"]),
         helper.make_node("Transpose", ["s"], ["y"], perm=np.argsort(perm).tolist())],
        "border", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("p", TensorProto.FLOAT, None),
         helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [onnx.numpy_helper.from_array(np.array([0, 1, 2, 0, 0, 3, 1, 0]), "pads"),
         onnx.numpy_helper.from_array(np.array([0, 0, 1, 0]), "from"),
         onnx.numpy_helper.from_array(np.array([9, 99, 99, 99]), "to")])  # fmt: skip
    model = dlc.compile(helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10))  # fmt: skip
    x = np.random.default_rng(4).standard_normal(shape, np.float32)
    padded = np.pad(x.transpose(perm), [(0, 0), (1, 3), (2, 1), (0, 0)])
    found = model.run([x])
    assert np.array_equal(found[0], padded)
    assert np.array_equal(found[1], padded[:, :, 1:].transpose(np.argsort(perm)))


@pytest.mark.parametrize("target", ["aarch64", "armv7", "riscv64"])
def test_emulated(tmp_path, target):
    if not all(map(shutil.which, objects.CROSS[target][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS[target][:2])}")
    random = np.random.default_rng(5)
    for dtype in (np.float32, np.int8, np.float64):
        cases = [((33, 19), (1, 0)), ((2, 17, 5, 7), (0, 2, 3, 1)), ((3, 5), (1, 0))]
        onnx.save(make(cases, dtype), tmp_path / "m.onnx")
        xs = [fill(s, dtype, random) for s, _ in cases]
        made = objects.compile(tmp_path / "m.onnx", tmp_path, target)
        found = objects.run_emulated(made, xs, [np.dtype(dtype)] * len(cases))
        for y, x, (_, permutation) in zip(found, xs, cases, strict=True):
            wanted = x.transpose(permutation)
            assert np.array_equal(y.reshape(wanted.shape), wanted), (x.shape, permutation)
