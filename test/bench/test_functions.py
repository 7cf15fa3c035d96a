"""Mathematical functions are within two units in the last place."""

import pathlib
import sys

import numpy as np
import pytest

import dlc

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import functions  # noqa: E402

STEP = 49999


@pytest.mark.parametrize("name", ["exp", "log", "tanh", "erf", "sin", "cos", "pow"])
def test_every_float(name):
    function = functions.FUNCTIONS[name]
    model = dlc.compile(functions.make_model(function), threads=1)
    worst = functions.measure_error(function, lambda x: model.run(x)[0], STEP)
    assert worst["ulp"] <= functions.ALLOWED, worst


@pytest.mark.parametrize("name", ["sigmoid", "gelu", "softmax"])
def test_absolute_errors(name):
    """Of what cancels, or is rounded before a power is taken of it."""
    function = functions.FUNCTIONS[name]
    model = dlc.compile(functions.make_model(function), threads=1)
    x = functions.make_arguments(function, STEP)[0]
    x = x[np.isfinite(x)] if x.ndim == 1 else x
    exact = function.reference(x.astype(np.float64))
    error = np.abs(model.run([x])[0] - exact) / np.maximum(1, np.abs(exact))
    assert error.max() <= 5e-7


def test_errors_are_seen():
    one = np.array([1.0])
    assert functions.find_errors(np.float32([1]), one) == [0]
    assert functions.find_errors(np.float32([1 + 2**-22]), one) == [2]
    assert functions.find_errors(np.float32([np.nan]), one) == [np.inf]
    assert functions.find_errors(np.float32([np.inf]), np.array([1e39])) == [0]
