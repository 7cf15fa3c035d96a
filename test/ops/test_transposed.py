"""ConvTranspose with strides, by phases, against float64."""

import sys
from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.insert(0, str(Path(__file__).parents[2] / "python"))
import dlc  # noqa: E402


def transpose(x, w, strides, pads, more, group):
    """What each element of x adds, in float64; padded by `more` at the end."""
    spatial = x.ndim - 2
    share = w.shape[1]
    sizes = [(n - 1) * s + k + m for n, s, k, m in zip(x.shape[2:], strides, w.shape[2:], more)]
    y = np.zeros((x.shape[0], share * group, *sizes))
    parts = x.reshape(x.shape[0], group, -1, *x.shape[2:]).astype(np.float64)
    weights = w.reshape(group, -1, *w.shape[1:]).astype(np.float64)
    for tap in np.ndindex(*w.shape[2:]):
        added = np.einsum("ngc...,gcm->ngm...", parts, weights[(..., *tap)])
        places = tuple(slice(t, t + (n - 1) * s + 1, s)
                       for t, n, s in zip(tap, x.shape[2:], strides))  # fmt: skip
        y[(slice(None), slice(None), *places)] += added.reshape(x.shape[0], -1, *x.shape[2:])
    cut = tuple(slice(low, size - high)
                for low, high, size in zip(pads[:spatial], pads[spatial:], sizes))  # fmt: skip
    return y[(slice(None), slice(None), *cut)]


@pytest.mark.parametrize(
    "shape, out, kernel, strides, pads, more, group",
    [
        ((1, 5, 7, 9), 6, (4, 4), (2, 2), (1, 1, 1, 1), (0, 0), 1),
        ((2, 5, 7, 9), 6, (3, 3), (2, 2), (1, 1, 1, 1), (1, 1), 1),
        ((1, 6, 7, 9), 4, (3, 3), (2, 2), (0, 1, 1, 0), (0, 0), 2),
        ((1, 6, 7, 9), 4, (5, 3), (3, 2), (2, 0, 1, 1), (2, 1), 2),
        ((1, 6, 7, 9), 4, (2, 3), (3, 1), (0, 0, 0, 0), (1, 0), 1),
        ((1, 6, 7, 9), 6, (3, 3), (2, 2), (1, 1, 1, 1), (0, 0), 6),
        ((3, 6, 11), 4, (4,), (2,), (1, 1), (0,), 1),
        ((1, 4, 4, 5, 3), 6, (3, 4, 2), (2, 2, 2), (1, 1, 0, 0, 1, 0), (1, 0, 1), 1),
        ((1, 3, 1, 1), 2, (1, 1), (2, 2), (0, 0, 0, 0), (1, 1), 1),
    ],
)
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_strides(shape, out, kernel, strides, pads, more, group, is_dynamic):
    rng = np.random.default_rng(0)
    w = rng.standard_normal((shape[1], out // group, *kernel)).astype("float32")
    x = rng.standard_normal(shape).astype("float32")
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], strides=strides, pads=pads,
                            output_padding=more, group=group)  # fmt: skip
    declared = ["n", shape[1], *"abc"[: len(kernel)]] if is_dynamic else shape
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, declared)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(w, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    expected = transpose(x, w, strides, pads, more, group)
    found = dlc.compile(model.SerializeToString(), conv="direct").run([x])[0]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    # Of unknown sizes phases may have Winograd's form, whose errors are parts of
    # the largest number.
    chosen = dlc.compile(model.SerializeToString()).run([x])[0]
    assert np.abs(chosen - expected).max() < 1e-5 * np.abs(expected).max()
