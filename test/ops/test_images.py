"""Resize, sampling and transposed convolutions against ONNX Runtime."""

import itertools
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check  # noqa: E402

RNG = np.random.default_rng(2)


def array(*shape):
    return RNG.standard_normal(shape).astype("float32")


TRANSFORMS = ["half_pixel", "asymmetric", "pytorch_half_pixel", "half_pixel_symmetric"]


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("scales", [(2, 3), (0.5, 0.75), (1, 1.6)])
def test_resize_scales(mode, transform, scales):
    check(
        "Resize",
        [array(1, 2, 6, 8), None, np.array([1, 1, *scales], "float32")],
        [("float32", 4)],
        constants=(2,),
        mode=mode,
        coordinate_transformation_mode=transform,
    )


@pytest.mark.parametrize("mode", ["nearest", "linear", "cubic"])
@pytest.mark.parametrize("antialias", [0, 1])
@pytest.mark.parametrize("constants", [(), (3,)])
def test_resize_sizes(mode, antialias, constants):
    if antialias and mode == "nearest":
        pytest.skip("antialiasing needs a filter")
    check(
        "Resize",
        [array(1, 2, 9, 8), None, None, np.array([1, 2, 4, 12])],
        [("float32", 4)],
        constants=constants,
        # ONNX's shape inference wants to know how many sizes there are.
        fixed=(3,),
        mode=mode,
        antialias=antialias,
        # ONNX Runtime leaves out what is outside when it antialiases.
        reference=bool(antialias),
    )


@pytest.mark.parametrize("nearest", ["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
def test_resize_nearest(nearest):
    check(
        "Resize",
        [array(1, 1, 5, 7), None, np.array([1, 1, 1.5, 0.6], "float32")],
        [("float32", 4)],
        constants=(2,),
        nearest_mode=nearest,
    )


GRID = list(
    itertools.product(
        ["linear", "nearest", "cubic"], ["zeros", "border", "reflection"], [0, 1]
    )
)


@pytest.mark.parametrize("mode,padding,corners", GRID)
def test_grid_sample(mode, padding, corners):
    check(
        "GridSample",
        [array(2, 3, 5, 6), (RNG.random((2, 4, 3, 2)) * 3 - 1.5).astype("float32")],
        [("float32", 4)],
        mode=mode,
        padding_mode=padding,
        align_corners=corners,
    )


@pytest.mark.parametrize("ratio", [0, 2])
@pytest.mark.parametrize("transform", ["half_pixel", "output_half_pixel"])
def test_roi_align(ratio, transform):
    rois = np.array([[0, 0, 9, 9], [1.5, 2, 7, 6], [3, 3, 3, 3]], "float32")
    check(
        "RoiAlign",
        [array(2, 3, 10, 10), rois, np.array([0, 1, 0])],
        [("float32", 4)],
        output_height=3,
        output_width=4,
        sampling_ratio=ratio,
        spatial_scale=0.8,
        coordinate_transformation_mode=transform,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"strides": [2, 3]},
        {"strides": [2, 2], "pads": [1, 0, 2, 1]},
        {"strides": [3, 2], "output_padding": [2, 1]},
        {"dilations": [2, 1]},
        {"group": 2},
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
        {"strides": [2, 2], "auto_pad": "SAME_LOWER"},
    ],
)
def test_conv_transpose(attributes):
    group = attributes.get("group", 1)
    weights = array(4, 6 // group, 3, 3)
    bias = array(6)
    for constants in ((1, 2),):
        check(
            "ConvTranspose",
            [array(2, 4, 5, 6), weights, bias],
            [("float32", 4)],
            constants=constants,
            **attributes,
        )


# Windows that touch and don't overlap, and near misses.
@pytest.mark.parametrize(
    "sizes, kernel, attributes",
    [
        ([7], [3], {}),
        ([6, 9], [2, 2], {}),
        ([3, 4], [3, 2], {}),
        ([3, 2, 5], [2, 3, 2], {}),
        ([3, 5], [1, 1], {}),
        ([3, 5], [2, 2], {"auto_pad": "VALID"}),
        ([3, 5], [2, 2], {"pads": [1, 0, 0, 1]}),
        ([3, 5], [2, 2], {"output_padding": [1, 1]}),
        ([3, 5], [2, 2], {"group": 2}),
        ([3, 5], [2, 2], {"auto_pad": "SAME_UPPER"}),
        ([3, 5], [2, 2], {"output_shape": [7, 9]}),
        ([3, 5], [2, 2], {"strides": [3, 2]}),
    ],
)
def test_conv_transpose_of_tiles(sizes, kernel, attributes):
    attributes = {"strides": kernel, **attributes}
    check(
        "ConvTranspose",
        [array(2, 4, *sizes), array(4, 5, *kernel), array(5 * attributes.get("group", 1))],
        [("float32", 2 + len(sizes))],
        constants=(1, 2),
        **attributes,
    )


@pytest.mark.parametrize("order", [0, 1])
def test_max_pool_indices(order):
    check(
        "MaxPool",
        [array(2, 3, 7, 8)],
        [("float32", 4), ("int64", 4)],
        kernel_shape=[3, 2],
        strides=[2, 2],
        pads=[1, 0, 1, 1],
        storage_order=order,
    )


@pytest.mark.parametrize(
    "equation,shapes",
    [
        ("ij,jk->ik", [(2, 3), (3, 4)]),
        ("bij,bjk->bik", [(2, 3, 4), (2, 4, 5)]),
        ("ii->i", [(4, 4)]),
        ("ii", [(4, 4)]),
        ("...ij->...ji", [(2, 3, 4)]),
        ("bhid,bhjd->bhij", [(2, 3, 4, 5), (2, 3, 6, 5)]),
        ("i,j->ij", [(3,), (4,)]),
        ("ij,ij->", [(3, 4), (3, 4)]),
        ("abc,cd,de->abe", [(2, 3, 4), (4, 5), (5, 6)]),
        ("...a,a...->...", [(2, 3), (3, 2)]),
    ],
)
def test_einsum(equation, shapes):
    check("Einsum", [array(*s) for s in shapes], [("float32", None)], equation=equation)
