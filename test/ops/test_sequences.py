"""Sequences and optional values: known while compiling, carried by loops, as
inputs and as outputs."""

import dlc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

FLOAT = TensorProto.FLOAT


def tensor(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def sequence(name, shape=None, dtype=FLOAT):
    element = helper.make_tensor_type_proto(dtype, shape)
    return helper.make_value_info(name, helper.make_sequence_type_proto(element))


def optional(name, shape=None, is_sequence=False, dtype=FLOAT):
    element = helper.make_tensor_type_proto(dtype, shape)
    if is_sequence:
        element = helper.make_sequence_type_proto(element)
    return helper.make_value_info(name, helper.make_optional_type_proto(element))


def make(nodes, inputs, outputs, constants=()):
    tensors = [onnx.numpy_helper.from_array(np.array(v), k) for k, v in dict(constants).items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, tensors)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def same(found, expected):
    if expected is None or found is None:
        assert found is expected
    elif isinstance(expected, list):
        assert isinstance(found, list) and len(found) == len(expected)
        for x, y in zip(found, expected):
            same(x, y)
    else:
        assert found.shape == np.shape(expected)
        if expected.dtype == object:
            assert found.tolist() == expected.tolist()
        else:
            np.testing.assert_array_equal(found, expected)


def compare(model, feeds):
    """With ONNX's reference evaluator."""
    expected = ReferenceEvaluator(model).run(None, feeds)
    found = dlc.compile(model).run(feeds)
    for x, y in zip(found.values(), expected):
        same(x, list(y) if isinstance(y, (list, tuple)) else y)


def ramp(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


node = helper.make_node


def test_known_sequences_are_resolved():
    """No run-time object is left where all positions are known."""
    nodes = [
        node("SequenceConstruct", ["a", "b"], ["s"]),
        node("SequenceInsert", ["s", "a", "zero"], ["t"]),
        node("SequenceErase", ["t", "last"], ["u"]),
        node("SequenceAt", ["u", "last"], ["y"]),
        node("SequenceLength", ["u"], ["n"]),
        node("ConcatFromSequence", ["u"], ["z"], axis=0),
    ]
    model = make(
        nodes,
        [tensor("a", [2, "n"]), tensor("b", [3, "n"])],
        [tensor("y", [2, "n"]), tensor("n", [], TensorProto.INT64), tensor("z", [4, "n"])],
        {"zero": np.int64(0), "last": np.int64(-1)},
    )
    compare(model, {"a": ramp(2, 5), "b": ramp(3, 5)})
    compare(model, {"a": ramp(2, 0), "b": ramp(3, 0)})


@pytest.mark.parametrize("position", [0, 1, -1, 2, -2])
def test_sequences_in_and_out(position):
    nodes = [
        node("SequenceInsert", ["s", "x", "p"], ["t"]),
        node("SequenceErase", ["s", "p2"], ["u"]),
        node("SequenceLength", ["t"], ["n"]),
        node("SequenceAt", ["s", "p2"], ["y"]),
    ]
    model = make(
        nodes,
        [
            sequence("s", ["a", "b"]),
            tensor("x", ["c"]),
            tensor("p", [], TensorProto.INT64),
            tensor("p2", [], TensorProto.INT64),
        ],
        [sequence("t"), sequence("u"), tensor("n", [], TensorProto.INT64), tensor("y", None)],
    )
    given, at = [ramp(2, 3), ramp(0, 4)], min(position, 1)
    t, u, n, y = dlc.compile(model).run([given, ramp(5), np.int64(position), np.int64(at)])
    grown, less = list(given), list(given)
    grown.insert(position, ramp(5))
    del less[at]
    same([t, u, y], [grown, less, given[at]])
    assert n == 3


@pytest.mark.parametrize("dtype", [TensorProto.STRING, TensorProto.BOOL, TensorProto.DOUBLE])
def test_types(dtype):
    model = make([node("Identity", ["s"], ["t"])], [sequence("s", None, dtype)], [
        sequence("t", None, dtype)
    ])  # fmt: skip
    array = np.array([["a", "é"]], object) if dtype == TensorProto.STRING else np.ones((1, 2))
    array = array.astype(helper.tensor_dtype_to_np_dtype(dtype))
    compiled = dlc.compile(model)
    assert compiled.inputs[0].is_sequence and not compiled.outputs[0].is_optional
    for value in ([], [array], [array, array[:, :0], array[0, 0:1].reshape(())]):
        same(compiled.run([value])[0], value)


@pytest.mark.parametrize("split", [None, 2, [1, 0, 4], "dynamic", "dynamic list"])
@pytest.mark.parametrize("is_dynamic", [False, True])
def test_split_and_concat(split, is_dynamic):
    given = {2: np.int64(2), "dynamic": np.int64(3), "dynamic list": np.array([2, 3])}
    value = None if split is None else given.get(split) if not isinstance(split, list) else split
    is_input = isinstance(split, str)
    nodes = [
        node("SplitToSequence", ["x", "n"] if split is not None else ["x"], ["s"], axis=1),
        node("ConcatFromSequence", ["s"], ["y"], axis=1),
    ]
    inputs = [tensor("x", ["a", "b"] if is_dynamic else [2, 5])]
    feeds, constants = {"x": ramp(2, 5)}, {}
    if is_input:
        inputs.append(tensor("n", ["k"] if np.ndim(value) else [], TensorProto.INT64))
        feeds["n"] = value
    elif split is not None:
        constants["n"] = np.array(value, np.int64)
    model = make(nodes, inputs, [sequence("s"), tensor("y", [None, None])], constants)
    compare(model, feeds)


@pytest.mark.parametrize("is_dynamic", [False, True])
def test_split_without_the_axis(is_dynamic):
    nodes = [
        node("SplitToSequence", ["x"], ["s"], axis=0, keepdims=0),
        node("ConcatFromSequence", ["s"], ["y"], axis=-1, new_axis=1),
    ]
    inputs = [tensor("x", ["a", "b"] if is_dynamic else [3, 4])]
    compare(make(nodes, inputs, [sequence("s"), tensor("y", [4, 3])]), {"x": ramp(3, 4)})


def test_a_loop_that_collects():
    """Tensors whose size changes from turn to turn."""
    body = helper.make_graph(
        [
            node("Identity", ["c"], ["c_out"]),
            node("Unsqueeze", ["i", "axis"], ["end"]),
            node("Slice", ["x", "begin", "end"], ["part"]),
            node("SequenceInsert", ["s", "part"], ["s_out"]),
        ],
        "body",
        [tensor("i", [], TensorProto.INT64), tensor("c", [], TensorProto.BOOL), sequence("s")],
        [tensor("c_out", [], TensorProto.BOOL), sequence("s_out")],
    )
    nodes = [
        node("SequenceEmpty", [], ["e"]),
        node("Loop", ["n", "", "e"], ["t"], body=body),
        node("SequenceLength", ["t"], ["k"]),
    ]
    model = make(
        nodes,
        [tensor("x", ["w"]), tensor("n", [], TensorProto.INT64)],
        [sequence("t"), tensor("k", [], TensorProto.INT64)],
        {"axis": np.array([0]), "begin": np.array([0])},
    )
    compiled = dlc.compile(model)
    for n in (0, 1, 40):
        x = ramp(100)
        parts, count = compiled.run([x, np.int64(n)])
        same(parts, [x[:i] for i in range(n)])
        assert count == n


def test_a_choice_of_sequences():
    branch = lambda name, nodes: helper.make_graph(nodes, name, [], [sequence("r")])  # noqa: E731
    model = make(
        [
            node(
                "If",
                ["c"],
                ["t"],
                then_branch=branch("a", [node("SequenceConstruct", ["x", "x"], ["r"])]),
                else_branch=branch("b", [node("SequenceInsert", ["s", "x"], ["r"])]),
            )
        ],
        [tensor("c", [], TensorProto.BOOL), tensor("x", ["n"]), sequence("s", ["m"])],
        [sequence("t")],
    )
    for c in (True, False):
        compare(model, {"c": np.bool_(c), "x": ramp(3), "s": [ramp(2)]})


@pytest.mark.parametrize("value", [None, ramp(2, 3), ramp(0, 3)])
def test_optional_tensors(value):
    nodes = [
        node("OptionalHasElement", ["o"], ["has"]),
        node("Identity", ["o"], ["p"]),
    ]
    model = make(
        nodes, [optional("o", ["n", 3])], [tensor("has", [], TensorProto.BOOL), optional("p")]
    )
    compiled = dlc.compile(model)
    assert compiled.inputs[0].is_optional and not compiled.inputs[0].is_sequence
    has, out = compiled.run([value])
    assert has == (value is not None)
    same(out, value)


@pytest.mark.parametrize("value", [None, [], [ramp(2), ramp(3)]])
def test_optional_sequences(value):
    nodes = [node("OptionalHasElement", ["o"], ["has"]), node("Identity", ["o"], ["p"])]
    model = make(
        nodes,
        [optional("o", ["n"], is_sequence=True)],
        [tensor("has", [], TensorProto.BOOL), optional("p", ["n"], is_sequence=True)],
    )
    has, out = dlc.compile(model).run([value])
    assert has == (value is not None)
    same(out, value)


def test_elements_of_optionals():
    nodes = [node("OptionalGetElement", ["o"], ["x"]), node("Neg", ["x"], ["y"])]
    model = dlc.compile(make(nodes, [optional("o", ["n", 2])], [tensor("y", ["n", 2])]))
    same(model.run([ramp(3, 2)])[0], -ramp(3, 2))
    with pytest.raises(dlc.RunError, match="expected an optional that has an element") as error:
        model.run([None])
    assert error.value.status == 8
    for bad in (ramp(3), ramp(3, 3)):
        with pytest.raises(dlc.RunError, match="expected a sequence of tensors") as error:
            model.run([bad])
        assert error.value.status == 3


def at_model(shape=("n",)):
    return make(
        [node("SequenceAt", ["s", "p"], ["y"])],
        [sequence("s", shape), tensor("p", [], TensorProto.INT64)],
        [tensor("y", shape)],
    )


def test_positions_outside():
    model = dlc.compile(at_model())
    for p in (2, -3):
        with pytest.raises(dlc.RunError, match="expected a position in the sequence") as error:
            model.run([[ramp(1), ramp(2)], np.int64(p)])
        assert error.value.status == 8
    known = make(
        [node("SequenceConstruct", ["x"], ["s"]), node("SequenceAt", ["s", "p"], ["y"])],
        [tensor("x", [1])],
        [tensor("y", [1])],
        {"p": np.int64(1)},
    )
    with pytest.raises(dlc.CompileError, match="expected a position in the sequence of 1, found 1"):
        dlc.compile(known)


def test_ranks_that_nobody_knows():
    model = make(
        [node("SequenceAt", ["s", "p"], ["y"])],
        [sequence("s"), tensor("p", [], TensorProto.INT64)],
        [tensor("y", None)],
    )
    with pytest.raises(dlc.CompileError, match="a sequence of tensors of a known rank"):
        dlc.compile(model)


def test_arguments_of_other_types():
    model = dlc.compile(at_model())
    with pytest.raises(TypeError, match="expected a list of arrays, found ndarray"):
        model.run([ramp(1), np.int64(0)])
    with pytest.raises(TypeError, match="expected the type float32, found float64"):
        model.run([[np.ones(1)], np.int64(0)])


@pytest.mark.parametrize(
    ("op", "inputs", "options", "message"),
    [
        ("ConcatFromSequence", ["e"], {"axis": 0}, "expected a sequence that is not empty"),
        ("SequenceErase", ["e"], {}, "expected a sequence that is not empty"),
    ],
)
def test_what_is_refused(op, inputs, options, message):
    is_tensor = op == "ConcatFromSequence"
    model = make(
        [node("SequenceEmpty", [], ["e"]), node(op, inputs, ["y"], **options)],
        [tensor("x", [4])],
        [tensor("y", [None]) if is_tensor else sequence("y")],
    )
    compiled = None
    with pytest.raises((dlc.CompileError, dlc.RunError)) as error:
        compiled = dlc.compile(model)
        compiled.run([ramp(4)])
    assert message in str(error.value)


def test_a_result_that_does_not_fit():
    model = make(
        [node("ConcatFromSequence", ["s"], ["y"], axis=0)],
        [sequence("s", ["a", "b"])],
        [tensor("y", ["c", "d"])],
    )
    compiled = dlc.compile(model)
    same(compiled.run([[ramp(2, 3), ramp(1, 3)]])[0], np.concatenate([ramp(2, 3), ramp(1, 3)]))
    with pytest.raises(dlc.RunError, match="expected tensors of one size, which is 3, found 4"):
        compiled.run([[ramp(2, 3), ramp(1, 4)]])
    with pytest.raises(dlc.RunError, match="expected a sequence that is not empty"):
        compiled.run([[]])
    with pytest.raises(dlc.RunError, match="expected a sequence of tensors of the rank 2, found 1"):
        compiled.run([[ramp(2)]])


@pytest.mark.parametrize(
    ("split", "message"),
    [
        (np.int64(0), "expected a split of 1 or more"),
        (np.array([1, 1]), "expected lengths whose sum is the size of the axis"),
        (np.array([5, -1]), "expected lengths whose sum is the size of the axis"),
    ],
)
def test_splits_that_do_not_fit(split, message):
    model = make(
        [node("SplitToSequence", ["x", "n"], ["y"])],
        [tensor("x", [4]), tensor("n", ["k"] * split.ndim, TensorProto.INT64)],
        [sequence("y")],
    )
    with pytest.raises(dlc.RunError, match=message) as error:
        dlc.compile(model).run([ramp(4), split])
    assert error.value.status == 8
