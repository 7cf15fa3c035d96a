"""Axes, bounds, steps, pads and sizes that are known at run time only, against
ONNX Runtime and ONNX's reference evaluator."""

import sys
from pathlib import Path

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check, node_model  # noqa: E402

RNG = np.random.default_rng(2)
REDUCTIONS = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


def array(shape, dtype="float32"):
    return np.array(RNG.random(shape) * 8 + 1, dtype)


def ints(*values):
    return np.array(values, np.int64)


def fails(op, inputs, outputs, message, **attributes):
    """The run ends with the message, whether or not the shapes are static."""
    for dynamic in (False, True):
        model = node_model(op, inputs, outputs, dynamic, **attributes)
        with pytest.raises(dlc.RunError, match=message):
            dlc.compile(model).run(
                {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
            )


@pytest.mark.parametrize(
    "kind,axes,keepdims",
    [(kind, (-1, 0), i % 2) for i, kind in enumerate(REDUCTIONS)]
    + [("Sum", axes, keepdims) for axes in [(1,), (2, 0, 1), ()] for keepdims in (0, 1)],
)
def test_reduce(kind, axes, keepdims):
    rank = 3 if keepdims else 3 - (len(axes) or 3)
    check(
        f"Reduce{kind}",
        [array((3, 4, 5)), ints(*axes)],
        [("float32", rank)],
        fixed=(1,),
        keepdims=keepdims,
    )


@pytest.mark.parametrize("noop", [0, 1])
@pytest.mark.parametrize("axes", [(), (0,), (1, -1)])
def test_reduce_over_a_number_of_axes_known_at_run_time(axes, noop):
    check(
        "ReduceSum",
        [array((3, 4, 5), "int64"), ints(*axes)],
        [("int64", 3)],
        noop_with_empty_axes=noop,
    )


@pytest.mark.parametrize("shape", [(0, 4), (3, 0), (0, 0)])
@pytest.mark.parametrize("kind", ["Sum", "Prod"])
def test_reduce_of_nothing(kind, shape):
    for axis in (0, 1):
        check(
            f"Reduce{kind}",
            [array(shape), ints(axis)],
            [("float32", 2)],
            fixed=(1,),
            reference=True,
        )


@pytest.mark.parametrize("axes", [(3,), (-4,), (1, 1), (0, -2)])
def test_axes_that_are_none(axes):
    message = "different axes of the operand"
    fails("ReduceMax", [array((2, 3)), ints(*axes)], [("float32", 2)], message)
    fails("Squeeze", [array((1, 1)), ints(*axes)], [("float32", 2 - len(axes))], message)


@pytest.mark.parametrize("axes", [(1,), (-2, 0), (0, 3), ()])
def test_squeeze(axes):
    shape = [1 if i in [a % 4 for a in axes] else i + 2 for i in range(4)]
    check("Squeeze", [array(shape), ints(*axes)], [("float32", 4 - len(axes))], fixed=(1,))


@pytest.mark.parametrize("axes", [(3,), (-4,), (0, -4), (1, 1)])
def test_unsqueeze_at_axes_that_are_none(axes):
    outputs = [("float32", 2 + len(axes))]
    fails("Unsqueeze", [array((2, 3)), ints(*axes)], outputs, "different axes of the operand")


def test_squeeze_of_a_size_other_than_1():
    inputs, outputs = [array((2, 3)), ints(1)], [("float32", 1)]
    fails("Squeeze", inputs, outputs, "expected size 1 in the squeezed dimensions")


def test_a_number_of_axes_that_does_not_give_the_rank():
    message = "axes that give the result's rank"
    model = node_model("ReduceSum", [array((2, 3)), ints(1)], [("float32", 1)], True, keepdims=0)
    for axes in (ints(), ints(0, 1)):
        with pytest.raises(dlc.RunError, match=message):
            dlc.compile(model).run([array((2, 3)), axes])


@pytest.mark.parametrize("axes", [(0,), (-1, 1), (3, 1, -4), ()])
@pytest.mark.parametrize("shape", [(3, 4), (0, 2), ()])
def test_unsqueeze(axes, shape):
    rank = len(shape) + len(axes)
    if any(not -rank <= axis < rank for axis in axes) or len({a % rank for a in axes}) < len(axes):
        return
    check("Unsqueeze", [array(shape), ints(*axes)], [("float32", rank)], fixed=(1,))


BOUNDS = [
    ((1, 0), (3, 4), (0, 2), (1, 1)),
    ((-2, 1), (100, -1), (-1, 0), (1, 2)),
    ((20, -1), (0, -100), (1, 2), (-2, -1)),
    ((3, 3), (3, 1), (0, 1), (1, 3)),
    ((-100, 2), (2, -100), (1, 0), (3, -1)),
]


@pytest.mark.parametrize(
    "bounds,dtype,constants",
    [(bounds, "float32", ()) for bounds in BOUNDS]
    + [(BOUNDS[1], "uint8", ()), (BOUNDS[2], "bool", ())]
    + [(BOUNDS[1], "float32", constants) for constants in [(1, 2), (3,), (4,)]],
)
def test_slice(bounds, dtype, constants):
    starts, ends, axes, steps = bounds
    inputs = [array((4, 5, 6), dtype), ints(*starts), ints(*ends), ints(*axes), ints(*steps)]
    check("Slice", inputs, [(dtype, 3)], constants=constants, fixed=(1, 2, 3, 4))


def test_slice_with_axes_and_no_steps():
    check("Slice", [array((4, 5, 6)), ints(1), ints(3), ints(-1)], [("float32", 3)], fixed=(1, 2, 3))


@pytest.mark.parametrize("step", [-1, -2, 1])
def test_slice_of_nothing(step):
    inputs = [array((0, 3)), ints(10), ints(-10), ints(0), ints(step)]
    for constants in ((), (3, 4), (1, 2, 3, 4)):
        check("Slice", inputs, [("float32", 2)], constants=constants, fixed=(1, 2, 3, 4))


def test_slice_with_a_step_of_0():
    inputs = [array((4,)), ints(0), ints(4), ints(0), ints(0)]
    model = node_model("Slice", inputs, [("float32", 1)], False)
    with pytest.raises(dlc.RunError, match="steps other than 0"):
        dlc.compile(model).run(inputs)


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect"])
@pytest.mark.parametrize("pads,axes", [((1, 2, 0, 1), (2, 0)), ((2, 1), (-2,))])
def test_pad(mode, pads, axes):
    inputs = [array((3, 4, 5)), ints(*pads), None, ints(*axes)]
    for constants in ((), (1,)) if mode == "constant" else ((),):
        check("Pad", inputs, [("float32", 3)], constants=constants, fixed=(1, 3), mode=mode)


def test_pad_that_takes_away():
    inputs = [array((3, 4)), ints(-1, 2, 1, -3)]
    check("Pad", inputs, [("float32", 2)], fixed=(1,))


def test_pad_that_takes_too_much_away():
    inputs = [array((3, 4)), ints(0, -3, 0, -2)]
    model = node_model("Pad", inputs, [("float32", 2)], False)
    with pytest.raises(dlc.RunError, match="leave a size of 0 or more"):
        dlc.compile(model).run(inputs)


@pytest.mark.parametrize("sizes", [(2, 3, 1), (0, 6, 0)])
def test_split(sizes):
    outputs = [("float32", 2)] * 3
    check("Split", [array((2, 6)), ints(*sizes)], outputs, fixed=(1,), axis=1, opset=18)


@pytest.mark.parametrize("sizes", [(2, 3), (-1, 7), (7, -1), (4, 3)])
def test_split_into_sizes_that_do_not_fit(sizes):
    inputs = [array((6,)), ints(*sizes)]
    model = node_model("Split", inputs, [("float32", 1)] * 2, False)
    with pytest.raises(dlc.RunError, match="sizes of parts that sum"):
        dlc.compile(model).run(inputs)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_mod_of_floats(dtype):
    x = np.array([5.5, -5.5, 5.5, -5.5, 0, -0.0, 4, -4, np.inf, 3, -3], dtype)
    y = np.array([2, 2, -2, -2, -3, 3, -2, 2, 2, np.inf, np.inf], dtype)
    model = node_model("Mod", [x, y], [(dtype, 1)], opset=13)
    found = dlc.compile(model).run([x, y])[0]
    with np.errstate(invalid="ignore"):
        expected = np.mod(x, y)
    np.testing.assert_array_equal(found, expected)
    zeros = expected == 0
    np.testing.assert_array_equal(np.signbit(found[zeros]), np.signbit(expected[zeros]))


def test_dropout_in_training():
    x = np.ones((50, 40), np.float32)
    outputs = [("float32", 2), ("bool", 2)]
    inputs = [x, np.float32(0.25), np.array(True)]
    model = dlc.compile(node_model("Dropout", inputs, outputs, seed=3))
    y, mask = model.run(inputs)
    np.testing.assert_allclose(y[mask], 4 / 3, rtol=1e-6)
    assert not y[~mask].any()
    assert 0.7 < mask.mean() < 0.8
    for inputs in ([x, np.float32(0), np.array(True)], [x, np.float32(0.5), np.array(False)]):
        y, mask = model.run(inputs)
        np.testing.assert_array_equal(y, x)
        assert mask.all()
    y, mask = model.run([x, np.float32(1), np.array(True)])
    assert not y.any() and not mask.any()


@pytest.mark.parametrize("axis", [0, 1, -1])
def test_hardmax_of_dynamic_sizes(axis):
    x = RNG.integers(0, 5, (3, 4, 5)).astype(np.float32)
    check("Hardmax", [x], [("float32", 3)], axis=axis)
