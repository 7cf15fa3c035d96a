"""The functions of mathematics that kernels call, compiled for the CPU, against
numpy's and Python's in double precision."""

import ctypes
import itertools
import math
import pathlib
import subprocess

import numpy as np
import pytest

SOURCE = pathlib.Path(__file__).resolve().parents[2] / "lib" / "Runtime" / "rt" / "device_math.c"
random = np.random.default_rng(2)


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    path = tmp_path_factory.mktemp("math") / "math.so"
    # -Bsymbolic: they call each other, not libm's.
    flags = ["-O1", "-ffreestanding", "-fno-math-errno", "-ffp-contract=off"]
    subprocess.run(
        ["clang-22", *flags, "-shared", "-fPIC", "-Wl,-Bsymbolic", SOURCE, "-o", path], check=True
    )
    return ctypes.CDLL(str(path))


def between(low, high, count=1000):
    return random.uniform(low, high, count)


SPECIAL = [0.0, -0.0, 1, -1, 2, 0.5, np.inf, -np.inf, np.nan, 1e-310, 1e308, -1e308]
ALL = np.concatenate([between(-5, 5), between(-700, 700), between(-1e-3, 1e-3), SPECIAL])
POSITIVE = np.concatenate([10.0 ** between(-300, 300), between(0.5, 2), SPECIAL])
UNIT = np.concatenate([between(-1, 1), [1, -1, 0, -0.0, 1.5, np.nan, 1 - 1e-16]])
# The last is near a multiple of pi / 2 as no other number is.
ANGLES = np.concatenate([ALL, between(-1e6, 1e6), between(-1e18, 1e18),
                         10.0 ** between(0, 308), [math.pi, 6381956970095103 * 2.0**797]])  # fmt: skip


def round_away(x):
    return math.copysign(math.floor(abs(x) + 0.5), x) if math.isfinite(x) else x


FUNCTIONS = {
    "exp": (np.exp, ALL), "exp2": (np.exp2, ALL), "expm1": (np.expm1, ALL),
    "log": (np.log, POSITIVE), "log2": (np.log2, POSITIVE), "log10": (np.log10, POSITIVE),
    "log1p": (np.log1p, np.concatenate([UNIT, POSITIVE])),
    "sin": (np.sin, ANGLES), "cos": (np.cos, ANGLES), "tan": (np.tan, between(-1.5, 1.5)),
    "asin": (np.arcsin, UNIT), "acos": (np.arccos, UNIT), "atan": (np.arctan, ALL),
    "sinh": (np.sinh, ALL), "cosh": (np.cosh, ALL), "tanh": (np.tanh, ALL),
    "asinh": (np.arcsinh, ALL), "acosh": (np.arccosh, np.concatenate([between(1, 9), SPECIAL])),
    "atanh": (np.arctanh, UNIT), "cbrt": (np.cbrt, ALL),
    "erf": (np.vectorize(math.erf), ALL), "erfc": (np.vectorize(math.erfc), between(-5, 26)),
    "round": (np.vectorize(round_away), np.concatenate([between(-9, 9), [0.5, 1.5, -2.5, np.inf]])),
}  # fmt: skip
TOLERANCE = {"erfc": 2e-13, "pow": 1e-13}
PAIRS = {"pow": np.power, "atan2": np.arctan2, "fmod": np.fmod}


def compare(name, found, wanted):
    finite = np.isfinite(wanted)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_array_equal(found[~finite], wanted[~finite])
    numbers = ~np.isnan(wanted)
    np.testing.assert_array_equal(np.signbit(found[numbers]), np.signbit(wanted[numbers]))
    # Numbers below the smallest normal one have fewer bits.
    np.testing.assert_allclose(
        found[finite], wanted[finite], rtol=TOLERANCE.get(name, 3e-15), atol=1e-322
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_function(name, library):
    reference, inputs = FUNCTIONS[name]
    with np.errstate(all="ignore"):
        wanted = reference(inputs)
    function = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double]
    compare(name, np.array([function(x) for x in inputs]), wanted)
    in_float = getattr(library, name + "f")
    in_float.restype, in_float.argtypes = ctypes.c_float, [ctypes.c_float]
    with np.errstate(all="ignore"):
        x = between(-0.9, 0.9, 100).astype(np.float32) + (1 if name.startswith(("log", "acosh")) else 0)
        wanted = reference(x.astype(np.float64))
    numbers = ~np.isnan(wanted)
    found = np.array([in_float(v) for v in x[numbers]])
    np.testing.assert_allclose(found, wanted[numbers], rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("name", PAIRS)
def test_function_of_two(name, library):
    special = [*SPECIAL, 3.0, -2.0, -3.0]
    pairs = [*itertools.product(special, special), *zip(between(-5, 5), between(-30, 30)),
             *zip(between(0, 5), between(-30, 30))]  # fmt: skip
    x, y = np.array(pairs).T
    with np.errstate(all="ignore"):
        wanted = PAIRS[name](x, y)
    function = getattr(library, name)
    function.restype, function.argtypes = ctypes.c_double, [ctypes.c_double] * 2
    compare(name, np.array([function(a, b) for a, b in pairs]), wanted)
