"""Gathers, scatters, scans and selections against ONNX Runtime."""

import sys
from pathlib import Path

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check  # noqa: E402

RNG = np.random.default_rng(1)
TYPES = ["float32", "float64", "int32", "int64", "uint8", "int8"]


def array(shape, dtype="float32"):
    return (RNG.standard_normal(shape) * 20).astype(dtype)


def ints(low, high, shape, dtype="int64"):
    return RNG.integers(low, high, shape).astype(dtype)


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("axis", [0, 1, -1])
def test_gather_elements(dtype, axis):
    x = array((3, 4, 5), dtype)
    size = x.shape[axis]
    check("GatherElements", [x, ints(-size, size, (2, 3, 4))], [(dtype, 3)], axis=axis)


def test_gather_elements_of_nothing():
    check("GatherElements", [array((3, 4)), ints(0, 1, (0, 4))], [("float32", 2)])


@pytest.mark.parametrize("batch,depth", [(0, 1), (0, 3), (1, 2), (2, 1)])
def test_gather_nd(batch, depth):
    # The last dimension of the indices is part of their type: constant here.
    x = array((2, 3, 4))
    indices = ints(0, 2, (*x.shape[:batch], 5, depth))
    check("GatherND", [x, indices], [("float32", None)], constants=(1,), batch_dims=batch)


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
@pytest.mark.parametrize("dtype", ["float32", "int32", "int64"])
@pytest.mark.parametrize("axis", [0, -1])
def test_scatter_elements(reduction, dtype, axis):
    x = array((4, 5), dtype)
    if reduction == "none":
        indices = np.argsort(RNG.random((4, 5)), axis=axis)[:2, :3]
    else:
        indices = ints(-4, 4, (2, 3))
    check(
        "ScatterElements",
        [x, indices, array((2, 3), dtype)],
        [(dtype, 2)],
        axis=axis,
        reduction=reduction,
        opset=18,
    )


@pytest.mark.parametrize("reduction", ["none", "add", "mul", "max", "min"])
def test_scatter_nd(reduction):
    indices = np.array([[3], [0], [1]] if reduction == "none" else [[3], [0], [3]])
    check(
        "ScatterND",
        [array((4, 5)), indices, array((3, 5))],
        [("float32", 2)],
        constants=(1,),
        reduction=reduction,
        opset=18,
    )


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("exclusive,reverse", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_cumsum(axis, exclusive, reverse):
    for constants in ((), (1,)):
        check(
            "CumSum",
            [array((3, 4, 2)), np.array(axis)],
            [("float32", 3)],
            constants=constants,
            exclusive=exclusive,
            reverse=reverse,
        )


@pytest.mark.parametrize("axis", [-2, 0, 2])
def test_one_hot(axis):
    check(
        "OneHot",
        [ints(-5, 5, (3, 4)), np.array(5), np.array([2, 7], "float32")],
        [("float32", 3)],
        axis=axis,
    )


@pytest.mark.parametrize("upper", [0, 1])
@pytest.mark.parametrize("k", [None, 0, 2, -3])
def test_trilu(upper, k):
    inputs = [array((2, 4, 5), "int64")] + ([] if k is None else [np.array(k)])
    check("Trilu", inputs, [("int64", 3)], upper=upper)


@pytest.mark.parametrize("dtype", ["float32", "bool", "int64"])
def test_nonzero(dtype):
    for shape in [(3, 4, 2), (0, 3), (1,)]:
        check("NonZero", [ints(0, 2, shape).astype(dtype)], [("int64", 2)])


@pytest.mark.parametrize("kind", ["strings", "complex"])
@pytest.mark.parametrize("shape", [(3, 4), (5,), (), (0, 2)])
def test_nonzero_of_other_types(kind, shape):
    """ONNX Runtime has none; numpy's nonzero is the definition."""
    if kind == "strings":
        x, element = np.array(["", "a", "é"], object)[ints(0, 3, shape)], TensorProto.STRING
    else:
        x, element = (ints(-1, 2, shape) * 1j + ints(0, 2, shape)).astype(np.complex64), TensorProto.COMPLEX64
    x = np.array(x, dtype=x.dtype if kind == "complex" else object)
    graph = helper.make_graph(
        [helper.make_node("NonZero", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", element, [None] * len(shape))],
        [helper.make_tensor_value_info("y", TensorProto.INT64, [len(shape), None])],
    )
    found = dlc.compile(helper.make_model(graph, ir_version=10)).run([x])[0]
    expected = np.stack(np.nonzero(np.atleast_1d(x != "" if kind == "strings" else x)))
    np.testing.assert_array_equal(found, expected if shape else np.zeros((0, expected.shape[1])))


@pytest.mark.parametrize("axis", [None, 0, -1])
def test_compress(axis):
    attributes = {} if axis is None else {"axis": axis}
    check(
        "Compress",
        [array((4, 3)), np.array([True, False, True])],
        [("float32", 1 if axis is None else 2)],
        **attributes,
    )


@pytest.mark.parametrize("axis", [0, -1])
@pytest.mark.parametrize("largest", [0, 1])
@pytest.mark.parametrize("k", [0, 1, 3, 4])
def test_top_k(axis, largest, k):
    x = ints(-3, 3, (4, 6, 4)).astype("float32")
    for constants in ((), (1,)):
        check(
            "TopK",
            [x, np.array([k])],
            [("float32", 3), ("int64", 3)],
            constants=constants,
            axis=axis,
            largest=largest,
        )


def test_top_k_long():
    check("TopK", [array((2, 3001)), np.array([100])], [("float32", 2), ("int64", 2)])


@pytest.mark.parametrize("is_sorted", [0, 1])
@pytest.mark.parametrize("axis", [None, 0, 1])
def test_unique(is_sorted, axis):
    attributes = {} if axis is None else {"axis": axis}
    check(
        "Unique",
        [ints(0, 2, (6, 3)).astype("float32")],
        [("float32", 1 if axis is None else 2), ("int64", 1), ("int64", 1), ("int64", 1)],
        sorted=is_sorted,
        **attributes,
    )


@pytest.mark.parametrize("centre", [0, 1])
def test_non_max_suppression(centre):
    boxes = RNG.random((2, 30, 4)).astype("float32")
    scores = RNG.random((2, 3, 30)).astype("float32")
    check(
        "NonMaxSuppression",
        [boxes, scores, np.array([7]), np.array([0.3], "float32"), np.array([0.2], "float32")],
        [("int64", 2)],
        center_point_box=centre,
    )


@pytest.mark.parametrize("time", [0, 1])
def test_reverse_sequence(time):
    check(
        "ReverseSequence",
        [array((4, 4, 2)), np.array([1, 4, 0, 3])],
        [("float32", 3)],
        time_axis=time,
        batch_axis=1 - time,
    )
