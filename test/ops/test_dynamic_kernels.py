"""Convolutions and others whose sizes or lists only the run knows, against
ONNX Runtime and ONNX's evaluator."""

import sys
from pathlib import Path

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check, node_model  # noqa: E402

RNG = np.random.default_rng(7)


def floats(*shape, dtype=np.float32):
    return RNG.standard_normal(shape).astype(dtype)


def ints(*values):
    return np.array(values, np.int64)


def check_dynamic(op, inputs, output, **attributes):
    """All sizes dynamic, those of weights too."""
    check(op, inputs, [output], **attributes)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"kernel_shape": [3, 2]},
        {"pads": [1, 0, 2, 1], "strides": [2, 1], "dilations": [1, 2]},
        {"auto_pad": "SAME_UPPER", "strides": [2, 2]},
        {"auto_pad": "SAME_LOWER"},
    ],
)
@pytest.mark.parametrize("group", [1, 2])
def test_conv(attributes, group):
    inputs = [floats(2, 4, 7, 8), floats(6, 4 // group, 3, 2), floats(6)]
    check_dynamic("Conv", inputs, ("float32", 4), group=group, **attributes)


def test_conv_of_one_dimension():
    check_dynamic("Conv", [floats(2, 3, 9), floats(5, 3, 4)], ("float32", 3), pads=[2, 1])


@pytest.mark.parametrize("zeros", [0, 1, 2])
def test_conv_integer(zeros):
    inputs = [RNG.integers(0, 255, (1, 4, 6, 5), np.uint8), RNG.integers(0, 255, (6, 2, 3, 3), np.uint8)]
    inputs += [np.array(7, np.uint8), np.array(3, np.uint8)][:zeros]
    check_dynamic("ConvInteger", inputs, ("int32", 4), group=2, pads=[1, 1, 1, 1])


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"kernel_shape": [3, 2]},
        {"strides": [2, 3], "output_padding": [1, 2]},
        {"pads": [1, 0, 1, 1], "dilations": [2, 1]},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ],
)
@pytest.mark.parametrize("group", [1, 2])
def test_conv_transpose(attributes, group):
    inputs = [floats(2, 4, 5, 4), floats(4, 3, 3, 2), floats(3 * group)]
    check_dynamic("ConvTranspose", inputs, ("float32", 4), group=group, **attributes)


def test_deform_conv():
    inputs = [floats(1, 4, 5, 5), floats(6, 2, 2, 2), floats(1, 8, 4, 4), floats(6)]
    check_dynamic("DeformConv", inputs, ("float32", 4), group=2, opset=22, reference=True)


@pytest.mark.parametrize("x,w", [((1, 3, 5, 5), (2, 2, 3, 3)), ((1, 2, 2, 5), (2, 2, 4, 3))])
def test_weights_that_do_not_fit(x, w):
    model = dlc.compile(node_model("Conv", [floats(*x), floats(*w)], [("float32", 4)], True))
    with pytest.raises(dlc.RunError, match="input channels of 1 groups|no smaller than the window"):
        model.run([floats(*x), floats(*w)])


def test_weights_of_another_kernel_shape():
    inputs = [floats(1, 2, 5, 5), floats(2, 2, 3, 3)]
    model = node_model("Conv", inputs, [("float32", 4)], True, kernel_shape=[2, 2])
    with pytest.raises(dlc.RunError, match="weights of the kernel_shape"):
        dlc.compile(model).run(inputs)


def test_group_normalization_of_dynamic_channels():
    inputs = [floats(2, 6, 3), floats(6), floats(6)]
    check_dynamic("GroupNormalization", inputs, ("float32", 3), num_groups=3, opset=21, reference=True)


@pytest.mark.parametrize("bounds", [((1,), (4,), (-1,), (2,)), ((4, 0), (-9, 3), (1, 0), (-1, 2)), ((), (), (), ())])
def test_slice_along_axes_that_the_run_counts(bounds):
    inputs = [floats(4, 5), *(np.array(b, np.int64) for b in bounds)]
    check_dynamic("Slice", inputs, ("float32", 2))


def test_slice_without_axes():
    check_dynamic("Slice", [floats(4, 5), ints(1), ints(3)], ("float32", 2))


def test_slice_of_too_many_axes():
    inputs = [floats(4), ints(1, 1), ints(3, 3)]
    model = dlc.compile(node_model("Slice", inputs, [("float32", 1)], True))
    with pytest.raises(dlc.RunError, match="no more starts than dimensions"):
        model.run(inputs)


@pytest.mark.parametrize("axes,pads", [((1,), (2, 1)), ((-1, 0), (0, 1, 2, 3))])
def test_pad_along_axes_that_the_run_counts(axes, pads):
    inputs = [floats(3, 4), ints(*pads), None, ints(*axes)]
    check_dynamic("Pad", inputs, ("float32", 2))


def test_gather_nd_of_a_rank_that_the_result_gives():
    inputs = [floats(2, 3, 4), RNG.integers(0, 2, (5, 2))]
    check_dynamic("GatherND", inputs, ("float32", 2))


def test_scatter_nd_of_a_rank_that_the_updates_give():
    inputs = [floats(4, 5), ints(3, 0, 1).reshape(3, 1), floats(3, 5)]
    check_dynamic("ScatterND", inputs, ("float32", 2), opset=18)


def test_indices_of_another_rank():
    inputs = [floats(4, 5), ints(3, 0, 1).reshape(3, 1)]
    model = dlc.compile(node_model("GatherND", inputs, [("float32", 1)], True))
    with pytest.raises(dlc.RunError, match="indices that give the result's rank"):
        model.run(inputs)


def test_resize_to_sizes_of_unknown_number():
    inputs = [floats(1, 2, 4, 5), None, None, ints(1, 2, 7, 3)]
    check_dynamic("Resize", inputs, ("float32", 4), mode="linear", reference=True)
