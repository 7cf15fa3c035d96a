"""Tensors of no element of which dynamic dimensions are part."""

import sys
from pathlib import Path

import dlc
import numpy as np
import onnx
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check  # noqa: E402

MOST = 2**63 - 1


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("repeats", [(0, 1), (1, 0), (0, 0), (2, 0)])
def test_tile_to_nothing(repeats):
    check("Tile", [floats(2, 3), ints(*repeats)], [("float32", 2)], constants=[1])


@pytest.mark.parametrize("start", [2, 3, MOST])
def test_slice_that_starts_behind_the_end(start):
    x = [floats(2, 2), ints(start), ints(7), ints(1)]
    check("Slice", x, [("float32", 2)], constants=[1, 3], fixed=[0, 2])


def test_concat_of_nothing():
    x = [floats(3, 0, 1), floats(3, 0, 2)]
    check("Concat", x, [("float32", 3)], constants=[1], axis=-1)
    check("Concat", x[::-1], [("float32", 3)], constants=[0], axis=-1)


@pytest.mark.parametrize(("n", "h", "w"), [(0, None, None), (None, 0, 1), (1, 0, 9), (0, 5, 5), (2, 1, 0)])
@pytest.mark.parametrize("strides", [1, 2])
@pytest.mark.parametrize("conv", ["auto", "winograd", "fft"])
def test_convolutions_of_images_known_to_have_no_element(n, h, w, strides, conv):
    """No kernel is chosen for nothing; with a border, nothing becomes zeros."""
    weights = onnx.numpy_helper.from_array(floats(32, 16, 3, 3), "w")
    bias = onnx.numpy_helper.from_array(floats(32), "b")
    nodes = [
        onnx.helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 2, 1, 2], strides=[strides] * 2),
        onnx.helper.make_node("Relu", ["c"], ["y"]),
    ]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n", 16, "h", "w"])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [weights, bias])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=9)
    dims = {name: size for name, size in zip("nhw", (n, h, w)) if size is not None}
    # Of sizes that are not known, others that have no element either.
    image = np.zeros([1 if n is None else n, 16, 4 if h is None else h, 3 if w is None else w], np.float32)
    (result,) = dlc.compile(model, dims=dims, conv=conv).run([image])
    height, width = ((image.shape[2] + 2 - 3) // strides + 1, (image.shape[3] + 4 - 3) // strides + 1)
    assert result.shape == (image.shape[0], 32, height, width)
    assert np.array_equal(result, np.broadcast_to(floats(32)[:, None, None], result.shape))


def test_a_scale_of_weights_of_no_channel():
    """The scale becomes part of the weights, which have no element."""
    weights = onnx.numpy_helper.from_array(floats(0, 4, 3, 3), "w")
    scale = onnx.numpy_helper.from_array(floats(1, 4, 1, 1), "s")
    nodes = [
        onnx.helper.make_node("ConvTranspose", ["x", "w"], ["c"]),
        onnx.helper.make_node("Mul", ["c", "s"], ["y"]),
    ]
    x = onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1, None, 5, 5])
    y = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [None] * 4)
    graph = onnx.helper.make_graph(nodes, "g", [x], [y], [weights, scale])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 21)], ir_version=9)
    (result,) = dlc.compile(model).run([floats(1, 0, 5, 5)])
    assert np.array_equal(result, np.zeros((1, 4, 7, 7), np.float32))
