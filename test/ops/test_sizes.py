"""Sizes at the edge: huge, negative, or in a list of dynamic length."""

import sys
from pathlib import Path

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check, node_model  # noqa: E402

LEAST, MOST = -(2**63), 2**63 - 1


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("size", [3, 9, 2**31 - 1, MOST])
def test_lrn_whose_window_covers_all_channels(size):
    x = floats(2, 4, 3, 3)
    model = node_model("LRN", [x], [("float32", 4)], size=size, alpha=0.5)
    sums = np.square(x).sum(1, keepdims=True)
    if size == 3:
        padded = np.pad(np.square(x), [(0, 0), (1, 1), (0, 0), (0, 0)])
        sums = padded[:, :-2] + padded[:, 1:-1] + padded[:, 2:]
    want = x / (1 + 0.5 / size * sums) ** 0.75
    np.testing.assert_allclose(dlc.compile(model).run([x])[0], want, rtol=1e-5)


@pytest.mark.parametrize(
    "start, limit, delta, count",
    [(LEAST, MOST, 2**55, 512), (MOST, LEAST, -(2**55), 512), (5, -9, MOST, 0), (0, 3, MOST, 1)],
)
def test_range_of_huge_numbers(start, limit, delta, count):
    inputs = [np.array(value) for value in (start, limit, delta)]
    model = node_model("Range", inputs, [("int64", 1)], constants=range(3))
    want = [start + i * delta for i in range(count)]
    assert dlc.compile(model, opt_level=0).run({})["y0"].tolist() == want


def test_pad_that_takes_more_than_there_is():
    pads = ints(0, LEAST, 0, 0)
    with pytest.raises(dlc.DlcError, match="leave a size of 0 or more"):
        dlc.compile(node_model("Pad", [floats(2, 3), pads], [("float32", 2)], constants=[1]))
    model = node_model("Pad", [floats(2, 3), pads], [("float32", 2)], True, constants=[1])
    with pytest.raises(dlc.DlcError, match="leave a size of 0 or more"):
        dlc.compile(model).run({"x0": floats(2, 3)})


@pytest.mark.parametrize(
    "op, inputs, message",
    [
        ("Expand", [floats(2, 3), ints(-1, 2, 3)], "sizes of 0 or more, found -1"),
        ("Expand", [floats(2, 3), ints(LEAST, 2, 3)], "sizes of 0 or more, found -1407"),
        ("Expand", [floats(2, 3), ints(MOST, 2, 3)], "fewer than 2\\^46 elements"),
        ("TopK", [floats(2, 3), ints(-1)], "k of 0 or more, found -1"),
        ("TopK", [floats(2, 3), ints(LEAST)], "k of 0 or more, found -1407"),
        ("OneHot", [ints(1), ints(MOST), floats(2)], "fewer than 2\\^46 elements"),
        ("OneHot", [ints(1), ints(LEAST), floats(2)], "non-negative"),
    ],
)
def test_refused(op, inputs, message):
    outputs = [("float32", None)] + [("int64", None)] * (op == "TopK")
    model = node_model(op, inputs, outputs, constants=range(1, len(inputs)))
    with pytest.raises(dlc.DlcError, match="node 'y0'.*" + message):
        dlc.compile(model)


@pytest.mark.parametrize(
    "scale, message", [(np.inf, "finite scales above 0, found INF"), (1e30, "than 2\\^46 elements")]
)
def test_refused_scale(scale, message):
    x = [floats(1, 1, 4, 4), None, np.array([1, 1, scale, 1], np.float32)]
    model = node_model("Resize", x, [("float32", None)], constants=[2])
    with pytest.raises(dlc.DlcError, match="node 'y0'.*" + message):
        dlc.compile(model)


@pytest.mark.parametrize(
    "op, inputs, outputs",
    [
        ("Slice", [floats(4, 5), ints(1, 0), ints(3, 9), ints(0, 1)], 1),
        ("Pad", [floats(2, 3), ints(1, 0, 0, 2)], 1),
        ("Tile", [floats(2, 3), ints(2, 1)], 1),
        ("Split", [floats(5, 2), ints(2, 3)], 2),
        ("Reshape", [floats(2, 3), ints(3, -1)], 1),
    ],
)
def test_list_of_dynamic_length(op, inputs, outputs):
    fixed = [3] if op == "Slice" else []
    check(op, inputs, [("float32", 2)] * outputs, fixed=fixed, constants=fixed)
    # A list of another length ends the run.
    model = node_model(op, inputs, [("float32", 2)] * outputs, True, fixed, fixed)
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if i not in fixed}
    feeds["x1"] = np.append(feeds["x1"], 1)
    with pytest.raises(dlc.DlcError, match="expected a list of . elements"):
        dlc.compile(model, opt_level=0).run(feeds)
