"""Convolutions of images, or batches, of no element, and of no channel, against
float64: a sum of nothing is 0, to which a bias is added. ONNX Runtime refuses
results of no element, and leaves integers of no channel as they were."""

import itertools
import sys
from pathlib import Path

import dlc
import numpy as np
import onnx
import pytest
from onnx import helper

sys.path.insert(0, str(Path(__file__).parent))
from convolved import convolve, convolve_transposed  # noqa: E402

OUT = 4

# Batch, channels and one size a side.
EMPTY = {
    "no channel": (2, 0, 4),
    "no image": (0, OUT, 4),
    "no element": (2, OUT, 0),
    "neither": (1, 0, 0),
}

ATTRIBUTES = [
    {},
    {"pads": 1},
    {"strides": 2, "pads": 1},
    {"dilations": 2, "pads": 2},
    {"auto_pad": "SAME_UPPER"},
    {"auto_pad": "SAME_LOWER", "strides": 2},
    {"auto_pad": "VALID"},
]
# Of transposed ones only.
TRANSPOSED = [
    {"strides": 2, "output_padding": 1},
    {"strides": 2, "output_shape": 4},
    {"output_shape": 4, "auto_pad": "SAME_UPPER"},
    {"strides": 3},
]


def expand(attributes, spatial):
    """The same number along each dimension."""
    counts = {"pads": 2 * spatial}
    return {
        name: [value] * counts.get(name, spatial) if isinstance(value, int) else value
        for name, value in attributes.items()
    }


def images(spatial):
    """Every shape of EMPTY, and those with one empty side of several."""
    for n, c, size in EMPTY.values():
        yield n, c, *[size] * spatial
        if size == 0 and spatial > 1:
            yield n, c, *[4] * (spatial - 1), 0
            yield n, c, 0, *[4] * (spatial - 1)


def make_model(cases, dynamic, has_constants):
    """A model of a node for each case, whose inputs are those of the run or
    constants but for the image."""
    nodes, arguments, constants, results = [], [], [], []
    for i, (op, inputs, _, output, attributes) in enumerate(cases):
        names = [f"x{i}_{k}" for k in range(len(inputs))]
        nodes.append(helper.make_node(op, names, [f"y{i}"], **attributes))
        for k, (name, x) in enumerate(zip(names, inputs)):
            if k and (has_constants or x.ndim == 0):
                constants.append(onnx.numpy_helper.from_array(x, name))
                continue
            shape = [f"{name}_{d}" for d in range(x.ndim)] if dynamic else x.shape
            kind = helper.np_dtype_to_tensor_dtype(x.dtype)
            arguments.append(helper.make_tensor_value_info(name, kind, shape))
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(output))
        results.append(helper.make_tensor_value_info(f"y{i}", kind, [None] * inputs[0].ndim))
    graph = helper.make_graph(nodes, "g", arguments, results, constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)


def check(cases):
    """Static shapes with constant weights, and dynamic ones with weights of the
    run."""
    for has_constants in (False, True):
        model = make_model(cases, not has_constants, has_constants)
        names = {argument.name for argument in model.graph.input}
        feeds = {f"x{i}_{k}": x for i, case in enumerate(cases) for k, x in enumerate(case[1])}
        feeds = {name: x for name, x in feeds.items() if name in names}
        found = dlc.compile(model, opt_level=1).run(feeds)
        for i, (op, inputs, expected, output, attributes) in enumerate(cases):
            y, what = found[f"y{i}"], (op, inputs[0].shape, attributes)
            assert y.dtype == output, what
            assert y.shape == expected.shape, what
            assert np.allclose(y, expected, rtol=1e-5, atol=1e-5), what


def check_refused(case):
    _, inputs, expected, _, _ = case
    assert expected is None
    for dynamic in (False, True):
        model = make_model([case], dynamic, has_constants=True)
        with pytest.raises(dlc.DlcError, match="no smaller than the window|of 0 or more elements a side"):
            dlc.compile(model, opt_level=1).run([inputs[0]])


def floats(*shape):
    return np.random.default_rng(1).standard_normal(shape).astype(np.float32)


def integers(*shape, low=0, high=255):
    return np.random.default_rng(2).integers(low, high, shape).astype(np.uint8)


def conv(shape, group, kernel, **attributes):
    spatial = len(shape) - 2
    x, w, bias = floats(*shape), floats(OUT, shape[1] // group, *[kernel] * spatial), floats(OUT)
    expected = convolve(x, w, bias, group=group, **attributes)
    return "Conv", [x, w, bias], expected, "float32", {"group": group, **attributes}


def conv_transpose(shape, group, kernel, **attributes):
    spatial = len(shape) - 2
    x, w, bias = floats(*shape), floats(shape[1], OUT // group, *[kernel] * spatial), floats(OUT)
    expected = convolve_transposed(x, w, bias, group=group, **attributes)
    return "ConvTranspose", [x, w, bias], expected, "float32", {"group": group, **attributes}


def conv_integer(shape, group, kernel, **attributes):
    spatial = len(shape) - 2
    x, w = integers(*shape), integers(OUT, shape[1] // group, *[kernel] * spatial)
    inputs = [x, w, np.uint8(7).reshape(()), np.uint8(100).reshape(())]
    expected = convolve(x - 7.0, w - 100.0, group=group, **attributes)
    return "ConvInteger", inputs, expected, "int32", {"group": group, **attributes}


def qlinear_conv(shape, group, kernel, **attributes):
    spatial = len(shape) - 2
    scales = [np.float32(s).reshape(()) for s in (0.5, 0.25, 32)]
    zeros = [np.uint8(z).reshape(()) for z in (7, 100, 9)]
    bias = np.array([-3000, -20, 300, 20000], np.int32)
    x, w = integers(*shape), integers(OUT, shape[1] // group, *[kernel] * spatial)
    sums = convolve(x - 7.0, w - 100.0, bias, group=group, **attributes)
    expected = None if sums is None else np.clip(np.rint(sums * 0.125 / 32) + 9, 0, 255)
    inputs = [x, scales[0], zeros[0], w, scales[1], zeros[1], scales[2], zeros[2], bias]
    return "QLinearConv", inputs, expected, "uint8", {"group": group, **attributes}


@pytest.mark.parametrize("make", [conv, conv_transpose, conv_integer, qlinear_conv])
@pytest.mark.parametrize("spatial, group, kernel", [(1, 4, 1), (2, 2, 3), (3, 1, 3)])
def test_empty(make, spatial, group, kernel):
    """Every image, and all attributes in turns, those that give a result: two for
    each of the small lines, one for each other image."""
    attributes = itertools.cycle(ATTRIBUTES + TRANSPOSED * (make is conv_transpose))
    cases = []
    for shape in images(spatial):
        tried = (make(shape, group, kernel, **expand(next(attributes), spatial)) for _ in ATTRIBUTES)
        cases += itertools.islice((case for case in tried if case[2] is not None), 2 if spatial == 1 else 1)
    for first in range(0, len(cases), 4):
        check(cases[first : first + 4])


@pytest.mark.parametrize("case", [
    conv((1, 4, 0), 1, 3),
    conv((1, 4, 4, 0), 2, 3, dilations=[2, 2]),
    conv_integer((1, 4, 0, 4), 1, 3),
    conv_transpose((1, 4, 0), 1, 1, strides=[2]),
    conv_transpose((1, 4, 0, 4), 1, 3, pads=[2, 0, 1, 0]),
])  # fmt: skip
def test_refused(case):
    check_refused(case)


@pytest.mark.parametrize("op", ["Conv", "ConvTranspose"])
@pytest.mark.parametrize("spatial, shape", [(1, (2, 0, 4)), (2, (1, 4, 0, 4)), (2, (0, 4, 4, 4)), (2, (1, 0, 4, 4))])
def test_quantized_pairs(op, spatial, shape):
    """QuantizeLinear and DequantizeLinear around a convolution of float32."""
    pads, channels = [1] * 2 * spatial, shape[1]
    w = integers(*((OUT, channels) if op == "Conv" else (channels, OUT)), *[3] * spatial)
    bias = np.arange(OUT, dtype=np.float32)
    constants = {"sx": np.float32(0.5), "zx": np.uint8(7), "sw": np.float32(0.25), "zw": np.uint8(100),
                 "sy": np.float32(0.5), "zy": np.uint8(9), "w": w, "bias": bias}  # fmt: skip
    nodes = [
        helper.make_node("QuantizeLinear", ["x", "sx", "zx"], ["xq"]),
        helper.make_node("DequantizeLinear", ["xq", "sx", "zx"], ["xd"]),
        helper.make_node("DequantizeLinear", ["w", "sw", "zw"], ["wd"]),
        helper.make_node(op, ["xd", "wd", "bias"], ["c"], pads=pads),
        helper.make_node("QuantizeLinear", ["c", "sy", "zy"], ["q"]),
        helper.make_node("DequantizeLinear", ["q", "sy", "zy"], ["y"]),
    ]
    for sizes in (shape, [f"d{i}" for i in range(spatial + 2)]):
        graph = helper.make_graph(
            nodes, "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, sizes)],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, None)],
            [onnx.numpy_helper.from_array(np.asarray(v), k) for k, v in constants.items()])  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=9)
        compute = convolve if op == "Conv" else convolve_transposed
        sums = compute(np.zeros(shape), (w - 100.0) * 0.25, bias, pads=pads)
        expected = (np.clip(np.rint(sums / 0.5) + 9, 0, 255) - 9) * 0.5
        (found,) = dlc.compile(model).run([np.zeros(shape, np.float32)])
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)
