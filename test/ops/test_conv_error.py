"""What the default forms of convolutions may cost: a stack of them with hard
ranges against float64. Every form but the direct one rounds sums that are
larger than its results."""

import dlc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

# Of the largest output. README.md promises it of whole models.
ALLOWED = 1e-3
# Of the direct form's own error.
GROWTH = 4
CHANNELS, SIZE = 32, 40
# Windows of a layer each, for which the default takes Winograd's and Fourier's
# forms.
WINDOWS = [3, 3, 5, 3, 7, 3, 5, 3, 9, 3]


def make_weights(ranges, random):
    """Layers as batch normalisations folded into them leave them: `ranges` says
    how far the scales of channels, and the sums that cancel, are apart."""
    before = np.ones(CHANNELS)
    for window in WINDOWS:
        scales = 10.0 ** random.uniform(-ranges, ranges, CHANNELS)
        w = random.standard_normal((CHANNELS, CHANNELS, window, window))
        # All of one sign but for a part that is small beside it.
        w = w * 0.1 + random.choice([-1, 1], (CHANNELS, CHANNELS, 1, 1))
        w *= scales[:, None, None, None] / before[None, :, None, None]
        w /= np.sqrt(CHANNELS) * window
        before = scales
        yield w.astype(np.float32), (random.standard_normal(CHANNELS) * scales).astype(np.float32)


def make_model(weights):
    nodes, initializers, last = [], [], "x"
    for i, (w, b) in enumerate(weights):
        initializers += [numpy_helper.from_array(w, f"w{i}"), numpy_helper.from_array(b, f"b{i}")]
        pad = w.shape[2] // 2
        nodes += [
            helper.make_node("Conv", [last, f"w{i}", f"b{i}"], [f"c{i}"], pads=[pad] * 4),
            helper.make_node("LeakyRelu", [f"c{i}"], [f"r{i}"], alpha=0.125),
        ]
        last = f"r{i}"
    x, y = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, CHANNELS, SIZE, SIZE])
        for name in ("x", last)
    )
    graph = helper.make_graph(nodes, "stack", [x], [y], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    onnx.checker.check_model(model)
    return model


def run_exactly(x, weights):
    x = x[0].astype(np.float64)
    for w, b in weights:
        pad = w.shape[2] // 2
        padded = np.pad(x, ((0, 0), (pad, pad), (pad, pad)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, w.shape[2:], axis=(1, 2))
        columns = windows.transpose(1, 2, 0, 3, 4).reshape(SIZE * SIZE, -1)
        sums = columns @ w.reshape(CHANNELS, -1).T.astype(np.float64) + b
        x = np.maximum(sums, sums / 8).T.reshape(CHANNELS, SIZE, SIZE)
    return x[None]


@pytest.mark.parametrize("ranges", [0, 2], ids=["alike", "apart"])
@pytest.mark.parametrize("outlier", [1, 1e3], ids=["even", "outlier"])
def test_default_forms(ranges, outlier):
    random = np.random.default_rng(3)
    weights = list(make_weights(ranges, random))
    model = make_model(weights)
    x = random.standard_normal((1, CHANNELS, SIZE, SIZE)).astype(np.float32)
    x[0, :, SIZE // 2, SIZE // 3] *= outlier
    expected = run_exactly(x, weights)
    found, direct = (dlc.compile(model, conv=form).run([x])[0] for form in ("auto", "direct"))
    assert not np.array_equal(found, direct), "no other form was taken"
    # Each channel by its own largest number, since they may be far apart.
    largest = np.abs(expected).max((0, 2, 3), keepdims=True)
    error, least = (np.abs((y - expected) / largest).max() for y in (found, direct))
    assert error <= ALLOWED
    # Much less, in fact: the choice allows no form that rounds far worse.
    assert error <= GROWTH * least
