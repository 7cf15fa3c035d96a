"""com.microsoft.Tokenizer against ONNX Runtime."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

TEXTS = ["hello world foo_bar", "", "a bb  ccc", "émile ça va", "123 456,789", "---", "abcabab xxxx"]


def make(rank, **attributes):
    node = helper.make_node("Tokenizer", ["x"], ["y"], domain="com.microsoft", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.STRING, [None] * rank)],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [None] * (rank + 1))],
    )
    opsets = [helper.make_opsetid("", 19), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


@pytest.mark.parametrize("mark", [0, 1])
@pytest.mark.parametrize("pattern", ["[a-zA-Z0-9_]+", "a|ab|abc", r"\w+", "[^ ]+", "x*", "é."])
def test_tokens(pattern, mark):
    for least in (1, 2):
        model = make(1, mark=mark, mincharnum=least, pad_value="#", tokenexp=pattern)
        session, compiled = ort.InferenceSession(model.SerializeToString()), dlc.compile(model)
        # Some, one that is empty, and none that has a token.
        for texts in (TEXTS, [""], ["--", "!"], TEXTS[3:4]):
            x = np.array(texts, object)
            np.testing.assert_array_equal(compiled.run([x])[0], session.run(None, {"x": x})[0])


def test_rows():
    model = make(2, mark=0, mincharnum=1, pad_value="", tokenexp="[a-z]+")
    x = np.array([["a b", "c"], ["", "d e f"]], object)
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"x": x})[0]
    np.testing.assert_array_equal(dlc.compile(model).run([x])[0], expected)


@pytest.mark.parametrize(
    ("rank", "attributes", "message"),
    [
        (1, {"separators": [" "]}, "expected a tokenexp and no separators"),
        (1, {"tokenexp": "a", "mincharnum": 0}, "expected a mincharnum of 1 or more, found 0"),
        (1, {"tokenexp": "["}, "expected a tokenexp of RE2, found '\\['"),
        (1, {"tokenexp": r"\bab"}, "a token does not know what stands around it"),
        (3, {"tokenexp": "a"}, "expected X of strings and of rank 1 or 2"),
    ],
)
def test_what_is_refused(rank, attributes, message):
    with pytest.raises(dlc.CompileError, match=message):
        dlc.compile(make(rank, **attributes))
