"""Pools whose sizes, and with ceil_mode or SAME whose padding, are known at
run time only, and windows that do not fit."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

SIZES = [(7, 7), (8, 5), (6, 9), (11, 12), (5, 6)]


def make_model(op, outputs, sizes, **attributes):
    node = helper.make_node(op, ["x"], outputs, **attributes)
    types = {"y": TensorProto.FLOAT, "indices": TensorProto.INT64}
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", 3, *sizes])],
        [helper.make_tensor_value_info(name, types[name], None) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


@pytest.mark.parametrize("pads", [[1, 0, 1, 1], "SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize("ceil_mode", [0, 1])
@pytest.mark.parametrize("kernel, strides", [((3, 3), (2, 2)), ((2, 3), (2, 1)), ((3, 2), (3, 2))])
@pytest.mark.parametrize(
    "op, outputs, attributes",
    [
        ("MaxPool", ["y"], {}),
        ("MaxPool", ["y", "indices"], {}),
        ("AveragePool", ["y"], {}),
        ("AveragePool", ["y"], {"count_include_pad": 1}),
        ("LpPool", ["y"], {}),
    ],
)
def test_dynamic_sizes(op, outputs, attributes, kernel, strides, ceil_mode, pads):
    window = dict(kernel_shape=kernel, strides=strides, ceil_mode=ceil_mode, **attributes)
    window.update(auto_pad=pads) if isinstance(pads, str) else window.update(pads=pads)
    model = make_model(op, outputs, ["h", "w"], **window)
    compiled = dlc.compile(model, opt_level=1)
    reference = ort.InferenceSession(model.SerializeToString())
    for sizes in SIZES:
        # Negative, so that padding with zeros would be seen.
        x = np.random.default_rng(1).uniform(-4, -1, (2, 3, *sizes)).astype(np.float32)
        got = compiled.run({"x": x})
        for name, expected in zip(outputs, reference.run(outputs, {"x": x})):
            np.testing.assert_allclose(got[name], expected, 1e-5, 1e-5, err_msg=f"{name} {sizes}")


def pool_same(op, x, kernel, strides, dilations, is_upper, include_pad):
    """As ONNX's operators say: as many windows as strides begin in the image, and
    padding, if any, that they need with their dilations."""
    places = []
    for size, k, stride, dilation in zip(x.shape[2:], kernel, strides, dilations, strict=True):
        outputs = -(-size // stride)
        total = max(0, (outputs - 1) * stride + (k - 1) * dilation + 1 - size)
        low = total // 2 if is_upper else total - total // 2
        taps = [[i * stride + j * dilation - low for j in range(k)] for i in range(outputs)]
        places.append([[tap for tap in window if 0 <= tap < size] for window in taps])
    y = np.zeros((*x.shape[:2], *map(len, places)))
    for at in np.ndindex(*y.shape[2:]):
        chosen = [places[axis][i] for axis, i in enumerate(at)]
        window = x[:, :, chosen[0]][:, :, :, chosen[1]]
        count = np.prod(kernel) if include_pad else max(1, window[0, 0].size)
        y[:, :, *at] = window.max((2, 3)) if op == "MaxPool" else window.sum((2, 3)) / count
    return y


@pytest.mark.parametrize(
    "kernel, strides, dilations",
    [
        ((2, 3), (2, 2), (1, 2)),
        ((2, 3), (2, 2), (2, 1)),
        ((3, 3), (1, 4), (2, 2)),
        ((1, 2), (4, 5), (1, 1)),  # gaps between windows
    ],
)
@pytest.mark.parametrize("auto_pad", ["SAME_UPPER", "SAME_LOWER"])
@pytest.mark.parametrize(
    "op, attributes",
    [("MaxPool", {}), ("AveragePool", {}), ("AveragePool", {"count_include_pad": 1})],
)
def test_same(op, attributes, auto_pad, kernel, strides, dilations):
    """ONNX Runtime pads as if there were no dilations, and cuts the image where
    strides are larger than the window."""
    window = dict(kernel_shape=kernel, strides=strides, dilations=dilations, auto_pad=auto_pad)
    compiled = dlc.compile(make_model(op, ["y"], ["h", "w"], **window, **attributes), opt_level=1)
    for sizes in SIZES:
        x = np.random.default_rng(1).uniform(-4, -1, (2, 3, *sizes)).astype(np.float32)
        expected = pool_same(
            op, x, kernel, strides, dilations, auto_pad == "SAME_UPPER", bool(attributes)
        )
        models = [compiled]
        if sizes in SIZES[:2]:
            model = make_model(op, ["y"], sizes, **window, **attributes)
            models.append(dlc.compile(model, opt_level=1))
        for model in models:
            y = model.run({"x": x})["y"]
            assert y.shape == expected.shape
            np.testing.assert_allclose(y, expected, 1e-5, err_msg=str(sizes))


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool", "LpPool"])
@pytest.mark.parametrize(
    "sizes, kernel, strides, floor, ceil",
    [
        ((5, 1), (2, 2), (2, 2), (2, 0), (3, 1)),
        ((5, 1), (2, 2), (3, 3), (2, 0), (2, 1)),
        ((5, 1), (2, 4), (3, 3), (2, 0), (2, 0)),
        ((1, 6), (2, 2), (9, 9), (0, 1), (1, 1)),
        ((4, 2), (2, 3), (1, 1), (3, 0), (3, 0)),
        ((4, 2), (2, 5), (1, 2), None, (3, 0)),
        ((4, 2), (2, 5), (1, 1), None, None),
    ],
)
def test_windows_that_do_not_fit(op, sizes, kernel, strides, floor, ceil):
    """(size - kernel) / stride + 1, rounded, is 0 or less; or 1, if up."""
    x = np.ones((2, 3, *sizes), np.float32)
    for ceil_mode, expected in enumerate([floor, ceil]):
        window = dict(kernel_shape=kernel, strides=strides, ceil_mode=ceil_mode)
        for given in (sizes, ["h", "w"]):

            def run(model=make_model(op, ["y"], given, **window)):
                return dlc.compile(model, opt_level=1).run({"x": x})["y"]

            if expected:
                y = run()
                assert y.shape == (2, 3, *expected)
                assert np.isfinite(y).all()
            else:
                with pytest.raises((dlc.CompileError, dlc.RunError), match="no smaller than"):
                    run()
