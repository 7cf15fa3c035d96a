"""Pools behind convolutions whose map is larger than a cache: both go through it
in blocks of lines, so that no run holds the map."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

CHANNELS, COLUMNS = 8, 64


def make_model(x_shape, window, conv, pool, float_type=np.float32, relu_behind=False, used=False):
    """Conv, Relu and a pool, perhaps with steps behind it."""
    rng = np.random.default_rng(0)
    spatial = len(x_shape) - 2
    weights = rng.normal(size=[COLUMNS, CHANNELS // conv.get("group", 1), *[window] * spatial])
    weights /= np.sqrt(weights[0].size)
    bias, scale = rng.normal(size=COLUMNS), rng.normal(size=[COLUMNS, *[1] * spatial])
    op, attributes = pool
    nodes = [
        helper.make_node("Conv", ["x", "w", "b"], ["c"], **conv),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node(op, ["r"], ["p"], **attributes),
    ]
    outputs = ["p"]
    if relu_behind:
        nodes += [
            helper.make_node("Mul", ["p", "s"], ["m"]),
            helper.make_node("Relu", ["m"], ["y"]),
        ]
        outputs = ["y"]
    if used:
        nodes.append(helper.make_node("Neg", ["r"], ["z"]))
        outputs.append("z")
    element = TensorProto.FLOAT16 if float_type == np.float16 else TensorProto.FLOAT
    constants = {"w": weights, "b": bias, "s": scale}
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", element, x_shape)],
        [helper.make_tensor_value_info(name, element, None) for name in outputs],
        [numpy_helper.from_array(v.astype(float_type), n) for n, v in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)


def check(model, shape, map_bytes, tolerance=2e-5, in_blocks=True, reference=None, **options):
    compiled = dlc.compile(model, opt_level=1, **options)
    if map_bytes:
        assert (compiled.workspace_size < map_bytes) == in_blocks
    dtype = np.float32 if reference is None else np.float16
    x = np.random.default_rng(1).normal(size=shape).astype(dtype)
    got = compiled.run({"x": x}, threads=1)
    session = ort.InferenceSession((reference or model).SerializeToString())
    for name, expected in zip(got, session.run(list(got), {"x": x.astype(np.float32)})):
        assert got[name].shape == expected.shape
        np.testing.assert_allclose(got[name], expected, tolerance, 5 * tolerance, err_msg=name)
    # The blocks are the same for any number of threads.
    for name, value in compiled.run({"x": x}, threads=3).items():
        np.testing.assert_array_equal(value, got[name])


POOLS = {
    "even": ("MaxPool", dict(kernel_shape=[2, 2], strides=[2, 2])),
    "overlapping": ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2])),
    "border": ("MaxPool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "uneven border": ("MaxPool", dict(kernel_shape=[4, 3], strides=[2, 1], pads=[3, 0, 1, 2])),
    "ceil": ("MaxPool", dict(kernel_shape=[3, 2], strides=[3, 2], ceil_mode=1)),
    "dilated": (
        "MaxPool",
        dict(kernel_shape=[2, 2], strides=[2, 2], dilations=[2, 3], pads=[1, 0, 1, 1]),
    ),
    "average": ("AveragePool", dict(kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1])),
    "norm": ("LpPool", dict(kernel_shape=[2, 2], strides=[2, 2])),
}


@pytest.mark.parametrize("form", ["direct", "winograd"])
@pytest.mark.parametrize("pool", POOLS)
def test_pools(pool, form):
    shape = [1, CHANNELS, 190, 110]
    model = make_model(shape, 3, dict(pads=[1, 1, 1, 1]), POOLS[pool], relu_behind=True)
    # A norm's powers are a step between the convolution and the pool.
    check(model, shape, 4 * COLUMNS * 190 * 110 if pool != "norm" else 0, conv=form)


@pytest.mark.parametrize(
    "window, conv",
    [
        (1, {}),
        (3, dict(strides=[2, 2])),
        (5, dict(pads=[2, 2, 2, 2], dilations=[1, 1])),
        (3, dict(group=2)),
        (3, dict(dilations=[2, 2])),
    ],
    ids=["pointwise", "strided", "large", "groups", "dilated"],
)
def test_convolutions(window, conv):
    shape = [2, CHANNELS, 150, 140]
    check(make_model(shape, window, conv, POOLS["border"]), shape, 0)


def test_volume():
    shape = [1, CHANNELS, 40, 30, 30]
    pool = ("MaxPool", dict(kernel_shape=[2, 3, 2], strides=[2, 2, 2], pads=[1, 1, 0, 0, 0, 0]))
    check(make_model(shape, 3, dict(pads=[1] * 6), pool), shape, 4 * COLUMNS * 40 * 30 * 30)


def test_half():
    shape = [1, CHANNELS, 150, 140]
    models = [
        make_model(shape, 3, {}, POOLS["overlapping"], float_type)
        for float_type in (np.float16, np.float32)
    ]
    check(models[0], shape, 0, tolerance=6e-3, reference=models[1])


def test_map_that_others_read():
    shape = [1, CHANNELS, 190, 110]
    model = make_model(shape, 3, {}, POOLS["even"], used=True)
    check(model, shape, 0)


def test_sizes_that_the_run_knows():
    model = make_model(["n", CHANNELS, "h", "w"], 3, {}, POOLS["border"])
    for shape in ([1, CHANNELS, 190, 110], [2, CHANNELS, 7, 9]):
        check(model, shape, 0)
