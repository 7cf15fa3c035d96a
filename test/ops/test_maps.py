"""Maps: ZipMap, DictVectorizer and CastMap, against ONNX Runtime where its
Python interface takes the types, which a map to strings is not."""

import dlc
import dlc.backend
import numpy as np
import onnxruntime as ort
import pytest
from dlc import verify
from onnx import TensorProto, helper

FLOAT, INT64, STRING, DOUBLE = (
    TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING, TensorProto.DOUBLE,
)  # fmt: skip


def tensor(name, dtype, shape):
    return helper.make_tensor_value_info(name, dtype, shape)


def map_type(key, value):
    return helper.make_map_type_proto(key, helper.make_tensor_type_proto(value, []))


def make(op, given, result, **attributes):
    node = helper.make_node(op, ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph([node], "g", [given], [result])
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("ai.onnx.ml", 3)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def zip_map(columns, **labels):
    key = INT64 if "classlabels_int64s" in labels else STRING
    maps = helper.make_sequence_type_proto(map_type(key, FLOAT))
    return make("ZipMap", tensor("x", FLOAT, columns), helper.make_value_info("y", maps), **labels)


def from_map(op, key, value, result, **attributes):
    given = helper.make_value_info("x", map_type(key, value))
    return make(op, given, tensor("y", result, [1, None]), **attributes)


def reference(model, x):
    return ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]


LABELS = [{"classlabels_strings": ["b", "", "é"]}, {"classlabels_int64s": [7, -(2**40), 0]}]


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize("shape", [["n", 3], ["n", "m"], [4, 3], ["m"]])
def test_zip_map(labels, shape):
    model = zip_map(shape, **labels)
    compiled = dlc.compile(model)
    info = compiled.outputs[0]
    assert info.is_map and info.is_sequence and info.has_string_keys == ("classlabels_strings" in labels)
    for rows in (4, 1, 0):
        x = np.random.default_rng(0).random((rows, 3)).astype(np.float32)
        if len(shape) == 1:
            x = x[0] if rows else np.ones(3, np.float32)
        elif rows != shape[0] and shape[0] == 4:
            continue
        found = compiled.run([x])[0]
        if rows:
            assert found == reference(model, x)
        else:
            assert found == ([] if x.ndim == 2 else reference(model, x))


def test_zip_map_of_other_columns():
    labels = {"classlabels_int64s": [1, 2]}
    with pytest.raises(dlc.CompileError, match="expected X of 2 columns, one for each class label"):
        dlc.compile(zip_map(["n", 3], **labels))
    compiled = dlc.compile(zip_map(["n", "m"], **labels))
    with pytest.raises(dlc.RunError, match="expected X of 2 columns, one for each class label"):
        compiled.run([np.ones((2, 3), np.float32)])
    assert compiled.run([np.ones((1, 2), np.float32)])[0] == [{1: 1.0, 2: 1.0}]


VALUES = {
    INT64: [5, -(2**50), 7],
    FLOAT: [0.5, -2.25, 7.0],
    DOUBLE: [1 / 3, -1e300, 7.0],
    STRING: ["x", "", "é"],
}


@pytest.mark.parametrize(
    ("key", "value"), [(s, v) for s in (INT64, STRING) for v in VALUES if s != v]
)
def test_dict_vectorizer(key, value):
    keys, vocabulary = ([9, -4, 2**40], [-4, 3, 9]) if key == INT64 else (["a", "é", ""], ["é", "b", "a"])
    name = "int64_vocabulary" if key == INT64 else "string_vocabulary"
    model = from_map("DictVectorizer", key, value, value, **{name: vocabulary})
    compiled = dlc.compile(model)
    assert compiled.inputs[0].is_map
    x = dict(zip(keys, VALUES[value]))
    nothing = "" if value == STRING else 0
    for given in (x, {}, {keys[1]: VALUES[value][1]}):
        found = compiled.run({"x": given})["y"]
        assert found.shape == (1, 3)
        assert found[0].tolist() == [given.get(word, nothing) for word in vocabulary] or value == FLOAT
    if value == FLOAT:
        np.testing.assert_array_equal(compiled.run([x])[0], reference(model, x))
    # In any order.
    backwards = dict(reversed(x.items()))
    np.testing.assert_array_equal(compiled.run([backwards])[0], compiled.run([x])[0])


@pytest.mark.parametrize("form", ["DENSE", "SPARSE"])
@pytest.mark.parametrize(("to", "dtype"), [("TO_FLOAT", FLOAT), ("TO_INT64", INT64), ("TO_STRING", STRING)])
def test_cast_map(form, to, dtype):
    options = {"cast_to": to, "map_form": form, "max_map": 5}
    model = from_map("CastMap", INT64, FLOAT, dtype, **options)
    compiled = dlc.compile(model)
    for x in ({3: 1.5, 0: -2.75, 9: 3e6}, {1: 0.1}):
        found, expected = compiled.run([x])[0], reference(model, x)
        assert found.tolist() == expected.tolist()
    texts = dlc.compile(from_map("CastMap", INT64, STRING, dtype, **options))
    found = texts.run([{2: "4", 0: "-7"}])[0].tolist()
    values = {"TO_FLOAT": (-7.0, 4.0, 0.0), "TO_INT64": (-7, 4, 0), "TO_STRING": ("-7", "4", "0.f")}
    first, second, none = values[to]
    assert found == [[first, second]] if form == "DENSE" else [[first, none, second, none, none]]


def test_cast_map_of_negative_keys():
    sparse = dlc.compile(from_map("CastMap", INT64, FLOAT, FLOAT, map_form="SPARSE", max_map=3))
    with pytest.raises(dlc.RunError, match="expected keys of 0 or more"):
        sparse.run([{-1: 1.0}])
    dense = dlc.compile(from_map("CastMap", INT64, FLOAT, FLOAT))
    assert dense.run([{5: 2.0, -1: 1.0}])[0].tolist() == [[1.0, 2.0]]


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (from_map("CastMap", INT64, FLOAT, FLOAT, map_form="LOOSE"), "a map_form of DENSE or SPARSE"),
        (from_map("CastMap", INT64, FLOAT, FLOAT, map_form="SPARSE", max_map=0), "a max_map of 1 or more"),
        (from_map("DictVectorizer", INT64, FLOAT, FLOAT), "either a string_vocabulary or an int64_vocabulary"),
        (from_map("DictVectorizer", INT64, FLOAT, FLOAT, string_vocabulary=["a"]), "expected keys of the type of X"),
        (zip_map(["n", 2], classlabels_strings=["a", "b"], classlabels_int64s=[1, 2]), "either classlabels_strings or classlabels_int64s"),
    ],
)
def test_what_is_refused(model, message):
    with pytest.raises(dlc.CompileError, match=message):
        dlc.compile(model)


def test_inputs_of_other_types():
    compiled = dlc.compile(from_map("DictVectorizer", STRING, FLOAT, FLOAT, string_vocabulary=["a"]))
    for given, message in [
        ([1.0], "input 'x': expected a dict, found list"),
        ({1: 1.0}, "expected keys that are strings, found 1"),
        ({"a": "b"}, "input 'x': could not convert"),
        ({"a": [1.0, 2.0]}, "expected values that are numbers or strings"),
    ]:
        with pytest.raises(TypeError, match=message):
            compiled.run([given])
    numbers = dlc.compile(from_map("DictVectorizer", INT64, FLOAT, FLOAT, int64_vocabulary=[1]))
    with pytest.raises(TypeError, match="expected keys that are integers, found 'a'"):
        numbers.run([{"a": 1.0}])
    assert "map from int64 to float32" in repr(numbers)


def test_repeated_calls_free_what_they_made():
    from dlc.model import Call

    call = Call(dlc.compile(zip_map(["n", 3], **LABELS[0])), [np.ones((2, 3), np.float32)])
    for _ in range(3):
        call()
    assert call.take()[0] == [{"b": 1.0, "": 1.0, "é": 1.0}] * 2


def test_backend_and_verify():
    x = np.random.default_rng(0).random((2, 3)).astype(np.float32)
    model = zip_map(["n", 3], **LABELS[0])
    assert dlc.backend.run_model(model, [x])[0] == reference(model, x)
    every, final, found = verify.verify(model, {"x": x})
    assert len(every) == len(final) == 1 and not final[0].is_wrong and found is None
    assert verify.compare([{"a": 1.0}], [{"a": 1.5}])[1] > 1
    assert verify.compare([{"a": 1.0}], [{"b": 1.0}])[2] == "other keys"
    assert verify.compare([{"a": 1.0}], [])[2] == "1 parts, expected 0"
    vectorizer = from_map("DictVectorizer", STRING, FLOAT, FLOAT, string_vocabulary=["a", "b"])
    assert not verify.verify(vectorizer, {"x": {"a": 2.0}})[1][0].is_wrong
