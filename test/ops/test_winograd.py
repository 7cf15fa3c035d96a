"""Convolutions in Winograd's form against float64, over odd sizes, windows and
vector units, with residual additions and activations in the epilogue."""

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

# Errors of the transforms in f32, relative to the largest output; the direct
# form has some 1e-6.
TOLERANCE = 2e-5


def make_model(n, c, h, w, o, window, pads, residual=False, strides=(1, 1),
               dilations=(1, 1)):  # fmt: skip
    rng = np.random.default_rng(0)
    weights = rng.standard_normal((o, c, *window)) / np.sqrt(c * np.prod(window))
    bias = rng.standard_normal(o)
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["y"], pads=pads, strides=strides,
                              dilations=dilations)]  # fmt: skip
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, [n, c, h, w])]
    if residual:
        nodes += [
            helper.make_node("Add", ["y", "r"], ["s"]),
            helper.make_node("Relu", ["s"], ["z"]),
        ]
        inputs.append(helper.make_tensor_value_info("r", TensorProto.FLOAT, [n, o, h, w]))
    initializers = [
        numpy_helper.from_array(weights.astype("float32"), "w"),
        numpy_helper.from_array(bias.astype("float32"), "b"),
    ]
    output = helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, None)
    graph = helper.make_graph(nodes, "g", inputs, [output], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return onnx.shape_inference.infer_shapes(model).SerializeToString(), initializers


def convolve(x, initializers, pads):
    w, b = (numpy_helper.to_array(i).astype(np.float64) for i in initializers)
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    windows = np.lib.stride_tricks.sliding_window_view(x, w.shape[2:], axis=(2, 3))
    return np.einsum("nchwyx,ocyx->nohw", windows, w, optimize=True) + b[:, None, None]


def check(values, expected):
    assert values.shape == expected.shape
    assert np.isfinite(values).all()
    error = np.abs(values - expected).max() / np.abs(expected).max()
    assert error < TOLERANCE


@pytest.mark.parametrize("cpu", UNITS)
@pytest.mark.parametrize(
    "sizes, window, pads",
    [
        ((1, 16, 8, 8, 16), (3, 3), (1, 1, 1, 1)),
        ((1, 1, 3, 3, 1), (3, 3), (0, 0, 0, 0)),  # one output
        ((1, 3, 30, 33, 20), (3, 3), (0, 1, 1, 0)),
        ((2, 20, 9, 7, 33), (3, 3), (1, 1, 1, 1)),
        ((3, 7, 13, 29, 130), (3, 3), (2, 0, 1, 3)),
        ((1, 40, 14, 14, 200), (3, 3), (1, 1, 1, 1)),  # panels of columns
        ((1, 5, 11, 12, 9), (5, 5), (2, 2, 2, 2)),
        ((1, 5, 11, 12, 9), (2, 2), (0, 0, 1, 1)),
        ((1, 6, 9, 15, 10), (1, 7), (0, 3, 0, 3)),
        ((1, 6, 15, 9, 10), (7, 1), (3, 0, 3, 0)),
        ((1, 6, 15, 9, 10), (3, 2), (1, 0, 0, 1)),
        ((1, 4, 10, 10, 6), (8, 8), (1, 1, 1, 1)),  # one output a tile
        ((1, 4, 10, 10, 6), (9, 9), (4, 4, 4, 4)),  # no such form
    ],
)
def test_shapes(cpu, sizes, window, pads):
    skip_unless_runs(cpu)
    model, initializers = make_model(*sizes, window, pads)
    x = np.random.default_rng(1).standard_normal(sizes[:4]).astype("float32")
    result = dlc.compile(model, cpu=cpu, conv="winograd").run({"x": x})
    check(result["y"], convolve(x, initializers, pads))


@pytest.mark.parametrize("cpu", UNITS)
@pytest.mark.parametrize(
    "form, sizes, window",
    [
        ("6x6x12", (1, 32, 26, 20, 64), (3, 3)),  # two panels, a last block of fewer tiles
        ("6x6", (2, 20, 13, 11, 35), (3, 3)),  # masks, rests of tiles
        ("5x6x7", (1, 16, 25, 19, 32), (3, 3)),
        ("4x6x8", (1, 33, 17, 31, 96), (3, 3)),
        ("6x5", (1, 3, 7, 7, 5), (3, 3)),
        ("4x4", (1, 6, 14, 9, 40), (5, 5)),
        ("2x6", (1, 6, 14, 9, 40), (7, 3)),
        ("4x4x12", (1, 16, 28, 28, 48), (3, 3)),  # a tile that registers hold
    ],
)
def test_tiles(cpu, form, sizes, window):
    """Tiles whose transforms go by columns and by lines, and blocks of them."""
    skip_unless_runs(cpu)
    pads = (window[0] // 2, window[1] // 2) * 2
    model, initializers = make_model(*sizes, window, pads, residual=True)
    rng = np.random.default_rng(6)
    x = rng.standard_normal(sizes[:4]).astype("float32")
    r = rng.standard_normal((sizes[0], sizes[4], *sizes[2:4])).astype("float32")
    compiled = dlc.compile(model, cpu=cpu, conv=f"winograd-{form}", remarks="dlc-lower-contract")
    assert f"{form[0]}x{form[2]} outputs" in str(compiled.diagnostics)
    expected = np.maximum(convolve(x, initializers, pads) + r.astype(np.float64), 0)
    for threads in (1, 2):
        check(compiled.run({"x": x, "r": r}, threads=threads)["z"], expected)


@pytest.mark.parametrize("form", ["winograd", "winograd-6x6", "winograd-4x4x5", "auto"])
@pytest.mark.parametrize(
    "sizes, window, pads, dilations",
    [
        ((1, 16, 24, 24, 32), (3, 3), (2, 2, 2, 2), (2, 2)),
        ((2, 20, 13, 11, 35), (3, 3), (2, 3, 2, 3), (2, 3)),  # phases of several sizes
        ((1, 8, 9, 17, 16), (3, 3), (4, 0, 4, 0), (4, 1)),
        ((1, 8, 6, 7, 16), (3, 3), (8, 8, 8, 8), (8, 8)),  # phases without outputs
        (("n", 12, 15, 14, 18), (3, 3), (2, 2, 2, 2), (2, 2)),
        ((1, 12, "h", "w", 18), (3, 3), (2, 3, 2, 3), (2, 3)),
        ((1, 9, 14, 21, 24), (5, 5), (4, 4, 4, 4), (2, 2)),
    ],
)
def test_dilations(form, sizes, window, pads, dilations):
    model, initializers = make_model(*sizes, window, pads, dilations=dilations)
    shape = [{"n": 2, "h": 13, "w": 11}.get(size, size) for size in sizes[:4]]
    x = np.random.default_rng(7).standard_normal(shape).astype("float32")
    w, b = (numpy_helper.to_array(i) for i in initializers)
    wide = np.zeros((*w.shape[:2], *((k - 1) * d + 1 for k, d in zip(window, dilations))))
    wide[:, :, :: dilations[0], :: dilations[1]] = w
    expected = convolve(x, [numpy_helper.from_array(wide), initializers[1]], pads)
    compiled = dlc.compile(model, conv=form, remarks="dlc-lower-contract")
    fits = form != "winograd-6x6" or window == (3, 3)  # tiles of at most 8 x 8 inputs
    if form != "auto":
        assert ("Winograd's form" in str(compiled.diagnostics)) == fits
    for threads in (1, 2):
        check(compiled.run({"x": x}, threads=threads)["y"], expected)


@pytest.mark.parametrize("sizes", [(1, 24, 17, 19, 70), (2, 16, 12, 12, 16)])
def test_epilogue(sizes):
    model, initializers = make_model(*sizes, (3, 3), (1, 1, 1, 1), residual=True)
    rng = np.random.default_rng(2)
    x = rng.standard_normal(sizes[:4]).astype("float32")
    r = rng.standard_normal((sizes[0], sizes[4], *sizes[2:4])).astype("float32")
    result = dlc.compile(model, conv="winograd").run({"x": x, "r": r})
    expected = convolve(x, initializers, (1, 1, 1, 1)) + r.astype(np.float64)
    check(result["z"], np.maximum(expected, 0))


def test_dynamic_batch():
    model, initializers = make_model("n", 12, 10, 9, 18, (3, 3), (1, 1, 1, 1))
    compiled = dlc.compile(model, conv="winograd")
    for n in (1, 3, 0):
        x = np.random.default_rng(3).standard_normal((n, 12, 10, 9)).astype("float32")
        result = compiled.run({"x": x})["y"]
        if n:
            check(result, convolve(x, initializers, (1, 1, 1, 1)))
        else:
            assert result.shape == (0, 18, 10, 9)


@pytest.mark.parametrize(
    "sizes, window, pads, stride, is_gathered",
    [
        ((1, 3, 32, 40, 16), (7, 7), (3, 3, 3, 3), 2, True),
        ((2, 3, 16, 14, 9), (5, 6), (2, 2, 2, 3), 2, True),
        ((1, 5, 12, 12, 7), (5, 5), (0, 0, 0, 0), 2, True),
        ((1, 3, 24, 36, 10), (11, 11), (2, 5, 5, 2), 4, True),
        ((1, 1, 27, 18, 4), (9, 8), (1, 0, 1, 1), 3, True),
        ((1, 3, 16, 16, 8), (6, 6), (2, 2, 2, 2), 2, True),
        (("n", 3, 16, 16, 8), (7, 7), (3, 3, 3, 3), 2, True),
        ((1, 3, 15, 16, 8), (7, 7), (3, 3, 3, 3), 2, False),
        ((1, 3, 16, 16, 8), (3, 3), (1, 1, 1, 1), 2, False),
        ((1, 3, 16, 16, 8), (4, 4), (1, 1, 1, 1), 2, False),
    ],
)
@pytest.mark.parametrize("form", ["auto", "winograd", "direct"])
def test_strides(sizes, window, pads, stride, is_gathered, form):
    """Squares in the channels leave no strides, so that the form is possible."""
    model, initializers = make_model(*sizes, window, pads, strides=(stride, stride))
    compiled = dlc.compile(model, conv=form, remarks="space-to-depth")
    assert ("takes squares" in str(compiled.diagnostics)) == (is_gathered and form != "direct")
    shape = [2 if size == "n" else size for size in sizes[:4]]
    x = np.random.default_rng(5).standard_normal(shape).astype("float32")
    check(compiled.run({"x": x})["y"], convolve(x, initializers, pads)[:, :, ::stride, ::stride])


def test_dynamic_sizes_stay_direct():
    model, initializers = make_model(1, 4, "h", "w", 6, (3, 3), (1, 1, 1, 1))
    x = np.random.default_rng(4).standard_normal((1, 4, 9, 6)).astype("float32")
    result = dlc.compile(model, conv="winograd").run({"x": x})["y"]
    check(result, convolve(x, initializers, (1, 1, 1, 1)))


def test_unknown_form():
    model, _ = make_model(1, 4, 8, 8, 6, (3, 3), (1, 1, 1, 1))
    with pytest.raises(dlc.CompileError, match="auto, direct, winograd or fft, .*found 'fast'"):
        dlc.compile(model, conv="fast")
