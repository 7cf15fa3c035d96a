"""What only the run can know to be wrong ends it with a status and a message
that names the node: no wild access, no answer that is not one."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

SHAPE, MEMORY, VALUE = 3, 6, 8
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def compile_node(op, feeds, constants, attributes):
    """A model of one node named "culprit" all of whose sizes are dynamic."""
    inputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            # Those that are read as sizes have a fixed length.
            value.shape if name == "sizes" else [f"{name}{i}" for i in range(value.ndim)],
        )
        for name, value in feeds.items()
    ]
    names = [*feeds, *constants]
    node = helper.make_node(op, names, ["y"], name="culprit", **attributes)
    output = helper.make_tensor_value_info("y", INT64 if op == "Range" else FLOAT, None)
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([node], "g", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return dlc.compile(model, opt_level=1)


OUTSIDE = "expected indices inside the operand"
HUGE = 2**62


@pytest.mark.parametrize(
    "op, feeds, attributes, status, message",
    [
        ("Gather", {"x": floats(4, 3), "i": ints(0, 4)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(-5)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(3)}, {"axis": 1}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(0, 3), "i": ints(0)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(HUGE)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(-(2**63))}, {}, VALUE, OUTSIDE),
        ("GatherElements", {"x": floats(4), "i": ints(9)}, {}, VALUE, OUTSIDE),
        ("GatherND", {"x": floats(4), "i": ints(0, 9)}, {"fixed": True}, VALUE, OUTSIDE),
        ("ScatterElements", {"x": floats(4), "i": ints(7), "u": floats(1)}, {}, VALUE, OUTSIDE),
        ("ScatterElements", {"x": floats(4), "i": ints(-7), "u": floats(1)}, {}, VALUE, OUTSIDE),
        ("Reshape", {"x": floats(4, 3), "sizes": ints(5, 2)}, {}, VALUE, "as many elements"),
        ("Reshape", {"x": floats(4, 3), "sizes": ints(-1, -1)}, {}, VALUE, "as many elements"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(3, 5)}, {}, VALUE, "broadcasts"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(-1, 5)}, {}, VALUE, "broadcasts"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(4, 2**61)}, {}, MEMORY, "out of memory"),
        ("Tile", {"x": floats(4), "sizes": ints(-1)}, {}, VALUE, "negative size"),
        ("Tile", {"x": floats(4), "sizes": ints(HUGE)}, {}, MEMORY, "out of memory"),
        ("Pad", {"x": floats(4), "sizes": ints(HUGE, HUGE)}, {}, MEMORY, "out of memory"),
        ("Pad", {"x": floats(4), "sizes": ints(-3, -3)}, {}, VALUE, "size of 0 or more"),
        ("ConstantOfShape", {"sizes": ints(-1, 2)}, {}, VALUE, "negative size"),
        ("ConstantOfShape", {"sizes": ints(2**40, 2**40)}, {}, MEMORY, "out of memory"),
        ("MatMul", {"x": floats(2, 3), "z": floats(4, 4)}, {}, SHAPE, "as many columns"),
        ("Add", {"x": floats(4, 3), "z": floats(2, 3)}, {}, SHAPE, "broadcast"),
        ("Concat", {"x": floats(2, 3), "z": floats(2, 4)}, {"axis": 0}, SHAPE, "equal sizes"),
        ("Concat", {"x": floats(2, 4), "z": floats(2, 3)}, {"axis": 0}, SHAPE, "equal sizes"),
        ("Conv", {"x": floats(1, 4, 5, 5)}, {}, SHAPE, "as many channels"),
        ("Conv", {"x": floats(1, 2, 5, 5)}, {}, SHAPE, "as many channels"),
    ],
)
def test_refused(op, feeds, attributes, status, message):
    attributes = dict(attributes)
    if attributes.pop("fixed", False):
        feeds = {"x": feeds["x"], "sizes": feeds["i"].reshape(-1, 1)}
    constants = {"w": floats(4, 3, 3, 3)} if op == "Conv" else {}
    with pytest.raises(dlc.RunError) as error:
        compile_node(op, feeds, constants, attributes).run(feeds)
    assert f"(status {status})" in str(error.value)
    assert message in str(error.value)
    if status != MEMORY and "negative size" not in message:
        assert "node 'culprit'" in str(error.value)


@pytest.mark.parametrize(
    "op, feeds, expected",
    [
        ("Gather", {"x": floats(4, 3), "i": ints(-4, 3)}, floats(4, 3)[[0, 3]]),
        ("Gather", {"x": floats(0, 3), "i": np.zeros(0, np.int64)}, floats(0, 3)),
        ("Expand", {"x": floats(4, 1), "sizes": ints(1, 5)}, np.tile(floats(4, 1), 5)),
        ("Expand", {"x": floats(4, 1), "sizes": ints(4, 0)}, floats(4, 0)),
        ("Tile", {"x": floats(4), "sizes": ints(0)}, floats(0)),
        ("Pad", {"x": floats(4), "sizes": ints(-2, 1)}, np.array([3, 4, 0], np.float32)),
    ],
)
def test_at_the_edge(op, feeds, expected):
    result = compile_node(op, feeds, {}, {}).run(feeds)["y"]
    np.testing.assert_array_equal(result, expected)
    assert result.shape == expected.shape


def test_constant_index_outside_is_found_by_the_compiler():
    index = helper.make_tensor_value_info
    node = helper.make_node("Gather", ["x", "i"], ["y"], name="culprit")
    graph = helper.make_graph(
        [node], "g", [index("x", FLOAT, [4, 3])], [index("y", FLOAT, [1, 3])],
        [numpy_helper.from_array(ints(4), "i")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    with pytest.raises(dlc.CompileError, match="culprit.*expected an index .*found 4"):
        dlc.compile(model)
