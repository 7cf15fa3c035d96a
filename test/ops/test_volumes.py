"""3-D convolutions by transforms of their height and width against float64: sums
over the window's depth beside the channels."""

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

# As of maps (test_winograd.py), relative to the largest output.
TOLERANCE = 2e-5
KNOWN = {"n": 2, "d": 5, "h": 9, "w": 11}


def make_model(sizes, window, pads, group=1, strides=(1, 1, 1), dilations=(1, 1, 1)):
    """Conv, a residual addition and Relu."""
    n, c, d, h, w, o = sizes
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((o, c // group, *window)) / np.sqrt(c / group * np.prod(window))
    bias = rng.standard_normal(o)
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads, group=group, strides=strides,
                         dilations=dilations),
        helper.make_node("Add", ["y", "r"], ["s"]),
        helper.make_node("Relu", ["s"], ["z"]),
    ]  # fmt: skip
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, c, d, h, w]),
        helper.make_tensor_value_info("r", TensorProto.FLOAT, [n, o, None, None, None]),
    ]
    initializers = [
        numpy_helper.from_array(weights.astype("float32"), "w"),
        numpy_helper.from_array(bias.astype("float32"), "b"),
    ]
    output = helper.make_tensor_value_info("z", TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), initializers


def convolve(x, initializers, pads, group, strides, dilations):
    w, b = (numpy_helper.to_array(i).astype(np.float64) for i in initializers)
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), *zip(pads[:3], pads[3:])))
    span = [(k - 1) * d + 1 for k, d in zip(w.shape[2:], dilations)]
    windows = np.lib.stride_tricks.sliding_window_view(x, span, axis=(2, 3, 4))
    s, d = strides, dilations
    windows = windows[:, :, :: s[0], :: s[1], :: s[2], :: d[0], :: d[1], :: d[2]]
    parts = zip(np.split(windows, group, axis=1), np.split(w, group))
    sums = [np.einsum("ncdhwzyx,oczyx->nodhw", a, c, optimize=True) for a, c in parts]
    return np.concatenate(sums, axis=1) + b[:, None, None, None]


def check(form, sizes, window, pads, group=1, strides=(1, 1, 1), dilations=(1, 1, 1), fits=True, **options):
    model, initializers = make_model(sizes, window, pads, group, strides, dilations)
    rng = np.random.default_rng(1)
    x = rng.standard_normal([KNOWN.get(size, size) for size in sizes[:5]]).astype("float32")
    plain = convolve(x, initializers, pads, group, strides, dilations)
    r = rng.standard_normal(plain.shape).astype("float32")
    expected = np.maximum(plain + r, 0)
    compiled = dlc.compile(model, conv=form, remarks="dlc-lower-contract", **options)
    name = "Fourier's form" if form.startswith("fft") else "Winograd's form"
    assert (name in str(compiled.diagnostics)) == fits
    for threads in (1, 2):
        found = compiled.run({"x": x, "r": r}, threads=threads)["z"]
        assert found.shape == expected.shape
        assert np.abs(found - expected).max() <= TOLERANCE * max(np.abs(expected).max(initial=0), 1)


@pytest.mark.parametrize(
    "cpu, form",
    [
        ("x86-64-v3", "winograd"),
        ("x86-64-v4", "winograd"),
        ("x86-64-v4", "winograd-6x6"),
        ("x86-64-v3", "winograd-4x5x5"),
        ("x86-64-v4", "fft-8x16"),
    ],
)
@pytest.mark.parametrize(
    "sizes, window, pads",
    [
        ((1, 16, 8, 12, 12, 32), (3, 3, 3), (1, 1, 1, 1, 1, 1)),
        ((1, 1, 3, 3, 3, 1), (3, 3, 3), (0, 0, 0, 0, 0, 0)),  # one output
        ((2, 20, 5, 9, 7, 33), (3, 3, 3), (1, 1, 1, 1, 1, 1)),
        ((3, 7, 4, 6, 17, 130), (2, 3, 3), (1, 2, 0, 0, 1, 3)),
        ((1, 40, 4, 7, 9, 200), (3, 3, 3), (1, 1, 1, 1, 1, 1)),  # panels of columns
        ((1, 12, 5, 9, 10, 24), (1, 3, 3), (0, 1, 1, 0, 1, 1)),  # no depth
        ((1, 12, 1, 9, 10, 24), (3, 3, 3), (1, 1, 1, 1, 1, 1)),  # one picture
    ],
)
def test_shapes(cpu, form, sizes, window, pads):
    skip_unless_runs(cpu)
    check(form, sizes, window, pads, cpu=cpu)


@pytest.mark.parametrize("form", ["winograd", "winograd-5x6x7", "fft-16x16"])
@pytest.mark.parametrize(
    "sizes",
    [
        ("n", 12, 6, 10, 9, 18),
        (2, 12, "d", 10, 9, 18),
        (1, 12, 6, "h", "w", 18),
        ("n", 16, "d", "h", "w", 32),
    ],
)
@pytest.mark.parametrize("strides", [(1, 1, 1), (2, 1, 1)])
def test_dynamic_sizes(form, sizes, strides):
    check(form, sizes, (3, 3, 3), (1, 1, 1, 1, 1, 1), strides=strides)


@pytest.mark.parametrize("form", ["winograd", "winograd-4x5"])
@pytest.mark.parametrize(
    "window, pads, options",
    [
        ((3, 3, 3), (1, 1, 1, 1, 1, 1), {"strides": (2, 1, 1)}),
        ((4, 3, 3), (1, 1, 1, 1, 1, 1), {"strides": (3, 1, 1), "dilations": (2, 1, 1)}),
        ((3, 3, 3), (2, 2, 3, 2, 2, 3), {"dilations": (2, 2, 3)}),
        ((3, 3, 3), (1, 1, 1, 1, 1, 1), {"group": 2}),
        ((3, 3, 3), (1, 2, 2, 1, 2, 2), {"group": 5, "dilations": (1, 2, 2), "strides": (2, 1, 1)}),
    ],
)
def test_strides_dilations_and_groups(form, window, pads, options):
    check(form, (2, 20, 7, 11, 13, 30), window, pads, **options)


@pytest.mark.parametrize(
    "form, window, options",
    [
        ("winograd", (3, 3, 3), {"strides": (1, 2, 1)}),
        ("winograd", (3, 3, 3), {"group": 20}),
        ("fft", (3, 3, 3), {"group": 20}),  # channel by channel
        ("fft", (3, 3, 3), {"dilations": (1, 2, 2)}),
        ("winograd", (3, 1, 1), {}),
        ("winograd", (1, 9, 3), {}),
    ],
)
def test_without_such_a_form(form, window, options):
    check(form, (1, 20, 6, 11, 13, 20), window, (1, 1, 1, 1, 1, 1), fits=False, **options)


@pytest.mark.parametrize("empty", ["n", "d", "h"])
def test_empty(empty):
    model, initializers = make_model(("n", 12, "d", "h", "w", 18), (3, 3, 3), (1, 1, 1, 1, 1, 1))
    x = np.ones([0 if size == empty else KNOWN[size] for size in "ndhw"][:1] + [12] +
                [0 if size == empty else KNOWN[size] for size in "dhw"], np.float32)  # fmt: skip
    plain = convolve(x, initializers, (1,) * 6, 1, (1, 1, 1), (1, 1, 1)) if empty == "n" else None
    shape = (x.shape[0], 18, *x.shape[2:]) if plain is None else plain.shape
    (found,) = dlc.compile(model, conv="winograd").run([x, np.ones(shape, np.float32)])
    assert found.shape == shape


def test_auto_takes_winograd_where_it_pays():
    model, _ = make_model((1, 64, 8, 28, 28, 64), (3, 3, 3), (1, 1, 1, 1, 1, 1))
    compiled = dlc.compile(model, remarks="dlc-choose-convolution")
    assert "Winograd's form" in str(compiled.diagnostics)


@pytest.mark.parametrize("window, dilations", [((7, 1), (1, 2)), ((1, 7), (3, 1))])
def test_dilated_windows_of_one(window, dilations):
    """A dilation of one element is none, and stores nothing behind a line."""
    rng = np.random.default_rng(3)
    w = rng.standard_normal((16, 8, *window)).astype(np.float32)
    x = rng.standard_normal((2, 8, 15, 17)).astype(np.float32)
    node = helper.make_node("Conv", ["x", "w"], ["y"], dilations=dilations)
    graph = helper.make_graph(
        [node], "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 8, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w")])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    windows = np.lib.stride_tricks.sliding_window_view(x.astype(np.float64), window, axis=(2, 3))
    expected = np.einsum("nchwyx,ocyx->nohw", windows, w.astype(np.float64), optimize=True)
    (found,) = dlc.compile(model, conv="winograd").run([x])
    assert np.abs(found - expected).max() < TOLERANCE * np.abs(expected).max()
