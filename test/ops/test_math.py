"""Math functions of f32 on all exponents, against numpy's in float64."""

import math
import pathlib

import dlc
import numpy as np
import pytest
from onnx import helper

# An operator, its definition in float64, and how many units in the last place
# it may be off.
FUNCTIONS = {
    "Exp": (np.exp, 2),
    "Log": (np.log, 2),
    "Sqrt": (np.sqrt, 0.5),
    "Tanh": (np.tanh, 2),
    "Erf": (np.vectorize(math.erf), 2),
    "Sigmoid": (lambda x: 1 / (1 + np.exp(-x)), 2),
    "Gelu": (np.vectorize(lambda x: 0.5 * x * math.erfc(-x * math.sqrt(0.5))), 2),
    "Sinh": (np.sinh, 4),
    "Cosh": (np.cosh, 4),
    "Tan": (np.tan, 4),
    "Asinh": (np.arcsinh, 4),
    "Acosh": (np.arccosh, 4),
    "Atanh": (np.arctanh, 4),
    "Sin": (np.sin, 2),
    "Cos": (np.cos, 2),
    "Asin": (np.arcsin, 2),
    "Acos": (np.arccos, 2),
    "Atan": (np.arctan, 2),
}


def every_exponent(mantissas=48):
    """Both signs of every exponent with some mantissas: subnormal numbers,
    zeros, infinities and NaNs are among them."""
    random = np.random.default_rng(5)
    some = random.integers(0, 1 << 23, (256, mantissas), dtype=np.uint32)
    some[:, :3] = 0, 1, (1 << 23) - 1
    some[255, 1:] |= 1 << 22  # quiet ones
    bits = (np.arange(256, dtype=np.uint32)[:, None] << np.uint32(23)) | some
    both = np.stack([bits, bits | np.uint32(1 << 31)])
    return both.ravel().view(np.float32)


def units(found, expected):
    """The distance of a float32 from a float64, in the last place of the
    float32 that is nearest to it."""
    nearest = expected.astype(np.float32)
    space = np.spacing(np.abs(nearest))
    far = np.abs(found.astype(np.float64) - expected) / space
    far[np.isinf(nearest) & (found == nearest)] = 0
    far[np.isnan(expected)] = np.where(np.isnan(found[np.isnan(expected)]), 0, np.inf)
    far[np.isnan(far)] = np.inf
    far[(nearest == 0) & (np.signbit(nearest) != np.signbit(found))] = np.inf
    return far


@pytest.fixture(scope="module")
def results():
    """What every function gives for the whole sample."""
    x = every_exponent()
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node(op, ["x"], [op]) for op in FUNCTIONS],
            "g",
            [info("x", 1, x.shape)],
            [info(op, 1, x.shape) for op in FUNCTIONS],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    return x, dlc.compile(model).run({"x": x})


@pytest.mark.parametrize("op", FUNCTIONS)
def test_function(results, op):
    x, found = results
    reference, most = FUNCTIONS[op]
    with np.errstate(all="ignore"):
        expected = reference(x.astype(np.float64))
        far = units(found[op], expected)
    worst = np.argmax(far)
    assert far[worst] <= most, (op, x[worst], found[op][worst], expected[worst], far[worst])


def test_pow():
    x = every_exponent(8)
    y = np.resize(np.float32([0, 1, -1, 0.5, 2, 3, -2.5, 1e-40, np.inf, -np.inf, np.nan]), x.size)
    info = helper.make_tensor_value_info
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Pow", ["x", "y"], ["z"])],
            "g",
            [info("x", 1, x.shape), info("y", 1, y.shape)],
            [info("z", 1, x.shape)],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )
    found = dlc.compile(model).run({"x": x, "y": y})["z"]
    with np.errstate(all="ignore"):
        far = units(found, np.power(x.astype(np.float64), y.astype(np.float64)))
    worst = np.argmax(far)
    assert far[worst] <= 2, (x[worst], y[worst], found[worst], far[worst])


def rows(shape, axis, seed=6):
    """Rows along `axis` of many scales, some far from zero."""
    random = np.random.default_rng(seed)
    each = [1 if i == axis % len(shape) else size for i, size in enumerate(shape)]
    x = random.standard_normal(shape) * np.exp(random.uniform(-3, 4, each))
    return (x + random.choice([0, 0, -300, 1e6], each)).astype(np.float32)


def row_model(op, shape, declared=None, **attributes):
    info = helper.make_tensor_value_info
    return helper.make_model(
        helper.make_graph(
            [helper.make_node(op, ["x"], ["y"], **attributes)],
            "g",
            [info("x", 1, declared or shape)],
            [info("y", 1, declared or shape)],
        ),
        opset_imports=[helper.make_opsetid("", 21)],
        ir_version=10,
    )


def exact_softmax(op, x, axis):
    x = x.astype(np.float64)
    top = x.max(axis, keepdims=True)
    e = np.exp(x - top)
    if op == "Softmax":
        return e / e.sum(axis, keepdims=True)
    # In these parts where one number is nearly all of the sum.
    rest = np.where(x == top, 0, e).sum(axis, keepdims=True)
    y = x - top - np.log1p(rest + ((x == top).sum(axis, keepdims=True) - 1))
    return np.where(np.abs(y) < 1e-46, 0, y)  # not -0


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize(
    "shape, axis",
    [
        ((16, 128), -1),
        ((3, 1000), -1),
        ((200, 7), -1),
        ((9, 77), -1),
        ((2, 5, 3, 100), -1),
        ((1, 70000), -1),
        ((70000, 2), 0),
        ((3, 128, 100), 1),
        ((2, 21, 5, 17), 1),
        ((6, 1), -1),
    ],
    ids=str,
)
@pytest.mark.parametrize("sizes", ["static", "dynamic"])
def test_softmax(op, shape, axis, sizes):
    """Within two units along every axis, however long."""
    x = rows(shape, axis)
    declared = [f"d{i}" for i in range(len(shape))] if sizes == "dynamic" else None
    model = dlc.compile(row_model(op, shape, declared, axis=axis), threads=1 if axis < 0 else None)
    found = model.run({"x": x})["y"]
    with np.errstate(all="ignore"):
        far = units(found, exact_softmax(op, x, axis))
    assert far.max() <= 2


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v2", "x86-64-v3", "native"])
def test_softmax_of_other_vectors(op, cpu):
    """Lengths around those of vectors, with the instructions of older CPUs."""
    for length in (1, 3, 8, 15, 16, 17, 31, 33, 64, 79, 130):
        x = rows((5, length), -1, seed=length)
        model = dlc.compile(row_model(op, x.shape, axis=-1), target="x86_64", cpu=cpu)
        with np.errstate(all="ignore"):
            far = units(model.run({"x": x})["y"], exact_softmax(op, x, -1))
        assert far.max() <= 2, length


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
@pytest.mark.parametrize("axis", [0, 1])
def test_softmax_of_no_numbers(op, axis):
    """Infinities and NaN."""
    x = np.array(rows((16, 128), 1))
    x[0, 1::2] = -np.inf
    x[1, 3] = np.nan
    x[2, 5] = np.inf
    x[3, :] = -np.inf
    x[4, 0], x[4, 1:] = 3.4e38, -3.4e38
    x = np.ascontiguousarray(np.moveaxis(x, 1, axis))
    found = dlc.compile(row_model(op, x.shape, axis=axis)).run({"x": x})["y"]
    with np.errstate(all="ignore"):
        exact = exact_softmax(op, x, axis)
        exact = np.where(np.isnan(exact_softmax("Softmax", x, axis)), np.nan, exact)
        far = units(found, exact)
    assert far.max() <= 2


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax", "Exp"])
@pytest.mark.parametrize("cpu", ["x86-64", "x86-64-v3", "x86-64-v4", "native"])
@pytest.mark.parametrize("top", [0, 3.5, -7e4])
def test_exponentials_around_zero(op, cpu, top):
    """Powers that are subnormal, just no longer, and far below: masked scores."""
    if cpu == "x86-64-v4" and "avx512bw" not in pathlib.Path("/proc/cpuinfo").read_text():
        pytest.skip("no AVX-512")
    below = np.concatenate([np.linspace(80, 380, 3001), 10 ** np.linspace(2.6, 38.5, 400)])
    x = np.tile(np.float32(top) - np.float32(below), (3, 1))
    x[:, 17] = top
    x[2, ::3] = -np.inf
    if op == "Exp":
        model, exact = row_model(op, x.shape), np.exp(x.astype(np.float64))
    else:
        model, exact = row_model(op, x.shape, axis=-1), exact_softmax(op, x, -1)
    found = dlc.compile(model, target="x86_64", cpu=cpu).run({"x": x})["y"]
    with np.errstate(all="ignore"):
        far = units(found, exact)
    assert far.max() <= 2
