"""Convolutions in Fourier's form against float64: windows and tiles of many
sizes, groups, lines, channel by channel, sizes that only the run knows."""

import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[2] / "python"))
import dlc  # noqa: E402
from cpus import UNITS, skip_unless_runs  # noqa: E402

# The direct form's error is about the same.
TOLERANCE = 2e-6


def make_model(shape, out, window, pads, group=1, residual=False):
    rng = np.random.default_rng(0)
    channels = shape[1] // group
    weights = rng.standard_normal((out, channels, *window)) / np.sqrt(channels * np.prod(window))
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads, group=group)]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    if residual:
        nodes += [
            helper.make_node("Add", ["y", "r"], ["s"]),
            helper.make_node("Relu", ["s"], ["z"]),
        ]
        r = [shape[0], out, *shape[2:]]
        inputs.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, r))
    initializers = [
        numpy_helper.from_array(weights.astype("float32"), "w"),
        numpy_helper.from_array(rng.standard_normal(out).astype("float32"), "b"),
    ]
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return model.SerializeToString(), initializers


def convolve(x, initializers, pads, group):
    """In float64, whatever the number of dimensions."""
    w, b = (numpy_helper.to_array(i).astype(np.float64) for i in initializers)
    spatial = w.ndim - 2
    around = [(0, 0), (0, 0), *zip(pads[:spatial], pads[spatial:])]
    x = np.pad(x.astype(np.float64), around)
    axes = tuple(range(2, 2 + spatial))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=axes)
    windows = windows.reshape(len(x), group, -1, *windows.shape[2:])
    w = w.reshape(group, -1, *w.shape[1:])
    y, k = "yx"[:spatial], "vu"[:spatial]
    result = np.einsum(f"ngc{y}{k},goc{k}->ngo{y}", windows, w, optimize=True)
    result = result.reshape(len(x), -1, *result.shape[3:])
    return result + b.reshape(-1, *[1] * spatial)


def check(found, expected):
    assert found.shape == expected.shape
    assert np.isfinite(found).all()
    assert np.abs(found - expected).max() / np.abs(expected).max() < TOLERANCE


def run(form, model, *inputs, **options):
    compiled = dlc.compile(model, conv=form, remarks="dlc-lower-contract", **options)
    assert "Fourier's form" in str(compiled.diagnostics)
    return compiled.run(list(inputs))[0]


@pytest.mark.parametrize("cpu", UNITS)
@pytest.mark.parametrize(
    "form, shape, out, window, pads, group",
    [
        ("fft-16x16", (1, 5, 20, 23), 7, (7, 7), (3, 3, 3, 3), 1),
        ("fft-8x16", (2, 33, 13, 9), 70, (3, 5), (0, 1, 2, 3), 1),
        ("fft-32x8", (1, 16, 30, 11), 16, (9, 4), (4, 2, 4, 1), 1),
        ("fft-8x8", (1, 3, 7, 7), 130, (7, 7), (0, 0, 0, 0), 1),  # one output
        ("fft-1x16", (1, 6, 10, 30), 9, (1, 7), (0, 3, 0, 3), 1),
        ("fft-16x1", (1, 6, 30, 10), 9, (7, 1), (3, 0, 3, 0), 3),
        ("fft-16x16", (2, 12, 14, 15), 18, (5, 6), (2, 2, 2, 3), 3),
        ("fft", (1, 4, 60), 6, (31,), (15, 15), 1),
        ("fft-1x64", (3, 8, 77), 20, (20,), (0, 7), 4),
        ("fft-16x16", (2, 24, 19, 21), 24, (9, 9), (4, 4, 4, 4), 24),
        ("fft-16x32", (1, 5, 17, 40), 5, (3, 11), (1, 0, 0, 9), 5),
        ("fft-64x64", (1, 3, 35, 40), 3, (31, 31), (15, 15, 15, 15), 3),
        ("fft-1x32", (2, 20, 50), 20, (15,), (7, 7), 20),
    ],
)
def test_shapes(cpu, form, shape, out, window, pads, group):
    skip_unless_runs(cpu)
    model, initializers = make_model(shape, out, window, pads, group)
    x = np.random.default_rng(1).standard_normal(shape).astype("float32")
    check(run(form, model, x, cpu=cpu), convolve(x, initializers, pads, group))


@pytest.mark.parametrize("group", [1, 6])
def test_epilogue_and_threads(group):
    pads = (4, 4, 4, 4)
    model, initializers = make_model((1, 6, 60, 62), 6, (9, 9), pads, group, residual=True)
    rng = np.random.default_rng(2)
    x, r = (rng.standard_normal((1, 6, 60, 62)).astype("float32") for _ in range(2))
    expected = np.maximum(convolve(x, initializers, pads, group) + r, 0)
    found = run("fft-16x16", model, x, r)
    check(found, expected)
    # The number of threads changes no bit.
    alone = dlc.compile(model, conv="fft-16x16", threads=1).run([x, r])[0]
    np.testing.assert_array_equal(alone, found)


@pytest.mark.parametrize("group", [1, 8])
def test_unknown_sizes(group):
    pads = (3, 3, 3, 3)
    model, initializers = make_model(("n", 8, "h", "w"), 8, (7, 7), pads, group)
    compiled = dlc.compile(model, conv="fft-16x16")
    for n, h, w in ((1, 9, 30), (3, 21, 8), (2, 1, 1)):
        x = np.random.default_rng(3).standard_normal((n, 8, h, w)).astype("float32")
        check(compiled.run([x])[0], convolve(x, initializers, pads, group))
    assert compiled.run([np.zeros((0, 8, 9, 9), "float32")])[0].shape == (0, 8, 9, 9)


def test_weights_in_the_object():
    pads = (3, 3, 3, 3)
    model, initializers = make_model((1, 8, 12, 12), 8, (7, 7), pads)
    x = np.random.default_rng(4).standard_normal((1, 8, 12, 12)).astype("float32")
    check(run("fft-16x16", model, x, expand_weights="object"),
          convolve(x, initializers, pads, 1))  # fmt: skip


@pytest.mark.parametrize("form", ["fft-16", "fft-0x8", "winograd-4x4x4x4", "auto-4x4", "fft-"])
def test_unknown_form(form):
    model, _ = make_model((1, 4, 8, 8), 6, (3, 3), (1, 1, 1, 1))
    with pytest.raises(dlc.CompileError, match=f"winograd or fft, .*found '{form}'"):
        dlc.compile(model, conv=form)


def test_a_size_without_the_form_stays_direct():
    pads = (3, 3, 3, 3)
    model, initializers = make_model((1, 4, 12, 12), 4, (7, 7), pads)
    x = np.random.default_rng(5).standard_normal((1, 4, 12, 12)).astype("float32")
    for form in ("fft-4x4", "fft-12x16", "fft-64x64", "winograd-3x3"):
        compiled = dlc.compile(model, conv=form, remarks="dlc-lower-contract")
        assert "'s form" not in str(compiled.diagnostics)
        assert f"warning: no convolution has the form '{form}'" in str(compiled.diagnostics)
        check(compiled.run([x])[0], convolve(x, initializers, pads, 1))
