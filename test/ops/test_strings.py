"""Strings: operators on them, their casts, and their way in and out."""

import sys
from pathlib import Path

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

sys.path.insert(0, str(Path(__file__).parent))
from onenode import node_model  # noqa: E402

WORDS = ["apple", "", "Zürich", "ΑΒΓ", "日本語", "a b", "apple"]


def text(values, shape=None):
    array = np.array(values, dtype=object)
    return array if shape is None else array.reshape(shape)


def run(op, inputs, outputs, dynamic, **options):
    model = node_model(op, inputs, outputs, dynamic, **options)
    constants = options.get("constants", ())
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constants}
    return model, feeds, dlc.compile(model).run(feeds)


def check(op, inputs, outputs, expected=None, shapes=(False, True), **options):
    """Compares with what is expected, else with ONNX Runtime, static and dynamic."""
    for dynamic in shapes:
        model, feeds, found = run(op, inputs, outputs, dynamic, **options)
        if expected is None:
            wanted = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
        else:
            wanted = expected
        for got, want in zip(found.values(), wanted):
            assert got.shape == want.shape, f"dynamic={dynamic}"
            if want.dtype.kind in "fiub":
                np.testing.assert_array_equal(got, want)
            else:
                assert got.tolist() == want.tolist(), f"dynamic={dynamic}"


@pytest.mark.parametrize("shapes", [((7,), (7,)), ((7, 1), (1, 7)), ((7,), ()), ((0,), (1,))])
def test_concat_and_equal(shapes):
    x, y = (
        text((WORDS * 7)[: int(np.prod(shape))], shape) if shape else text("-é")
        for shape in shapes
    )
    joined = np.add(*np.broadcast_arrays(x, y)) if x.size else text([], (0,))
    check("StringConcat", [x, y], [("object", joined.ndim)], [joined])
    equal = np.equal(*np.broadcast_arrays(x, y)).astype(bool)
    check("Equal", [x, y], [("bool", equal.ndim)], [equal])


@pytest.mark.parametrize(
    "options",
    [{}, {"maxsplit": 1}, {"delimiter": "--"}, {"delimiter": "-", "maxsplit": 2}, {"maxsplit": 0}],
)
def test_split(options):
    values = ["a-b--c", "  a b\u00a0c\u2003 d  ", "", "--", "a", "x--y--z-é- "]
    split = [
        value.split(options.get("delimiter") or None, options.get("maxsplit", -1))
        for value in values
    ]
    width = max(map(len, split))
    parts = text([list(row) + [""] * (width - len(row)) for row in split])
    counts = np.array([len(row) for row in split])
    check(
        "StringSplit", [text(values)], [("object", 2), ("int64", 1)], [parts, counts], **options
    )


def test_split_of_nothing():
    empty = text([], (2, 0))
    check(
        "StringSplit",
        [empty],
        [("object", 3), ("int64", 2)],
        [text([], (2, 0, 0)), np.zeros((2, 0), np.int64)],
    )


@pytest.mark.parametrize("action", ["NONE", "LOWER", "UPPER"])
@pytest.mark.parametrize("sensitive", [0, 1])
def test_normalizer(action, sensitive):
    values = ["Monday", "ÀÉÿ", "ДОМ", "straße", "monday", "Ġő", "\U0001f600"]
    stopwords = ["monday", "дом"]
    change = {"NONE": str, "LOWER": str.lower, "UPPER": str.upper}[action]
    stops = {word if sensitive else word.lower() for word in stopwords}
    kept = [v for v in values if (v if sensitive else v.lower()) not in stops]
    # A letter stays one letter.
    want = [change(v) if len(change(v)) == len(v) else change(v).replace("SS", "ß") for v in kept]
    for shape in [(-1,), (1, -1)]:
        check(
            "StringNormalizer",
            [text(values).reshape(shape)],
            [("object", len(shape))],
            [text(want).reshape(shape)],
            # ONNX's inference asks for a first dimension that is known.
            shapes=(False, True) if len(shape) == 1 else (False,),
            case_change_action=action,
            is_case_sensitive=sensitive,
            stopwords=stopwords,
        )


def test_normalizer_that_keeps_nothing():
    check(
        "StringNormalizer",
        [text(["a", "A"])],
        [("object", 1)],
        [text([""])],
        is_case_sensitive=0,
        stopwords=["a"],
    )


PATTERNS = [
    "",
    "a*",
    "(ab|c)+",
    r"\w+@\w+\.com",
    "[^a-cé]*",
    "(?i)HeLLo|ÄB",
    "a{2,3}b?",
    r"\d{3}-\d{4}",
    ".",
    "(?s).*",
    r"\bfoo\b.*",
    "^x$",
    r"(?P<year>\d+)(?:-)\x{e9}",
    "[[:alpha:]]+",
    "日.{1,2}",
    r"\Qa.b\E",
    "(a|b)*?c",
]
TEXTS = [
    "", "a", "aaa", "aab", "ababc", "me@site.com", "xyz", "é", "HELLO", "äb", "ÄB", "555-1234",
    "\n", "foo bar", "foobar", "x", "2024-é", "Abc", "日本", "日本語", "a.b", "abbc", "axb",
]  # fmt: skip


@pytest.mark.parametrize("pattern", PATTERNS)
def test_regular_expressions(pattern):
    model = node_model("RegexFullMatch", [text(TEXTS)], [("bool", 1)], True, pattern=pattern)
    want = ort.InferenceSession(model.SerializeToString()).run(None, {"x0": text(TEXTS)})[0]
    found = dlc.compile(model).run([text(TEXTS)])[0]
    assert dict(zip(TEXTS, found.tolist())) == dict(zip(TEXTS, want.tolist()))


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(a", "a '(' without a ')'"),
        ("a)", "a ')' without a '('"),
        ("[a", "a '[' without a ']'"),
        ("*a", "nothing to repeat in front of '*'"),
        ("a**", "a repetition of a repetition"),
        ("a{3,2}", "a repetition expects rising counts up to 1000"),
        (r"\pL", "classes by Unicode property are not supported"),
        (r"\y", r"the unknown escape '\y'"),
        ("a\\", r"a '\' at the end"),
        ("(?x)", "a group with the unknown flag 'x'"),
        ("(?P<a", "a group expects a name"),
        ("[[:x:]]", "the unknown class '[:x:]'"),
        ("[b-a]", "a range whose end is before its begin"),
        (r"\xg1", r"'\x' expects two digits"),
        ("(" * 300 + ")" * 300, "groups nested too deeply"),
        ("(a|b)*a(a|b){20}", "more than 10000 states"),
    ],
)
def test_patterns_that_are_refused(pattern, message):
    model = node_model("RegexFullMatch", [text(["a"])], [("bool", 1)], pattern=pattern)
    with pytest.raises(dlc.CompileError) as error:
        dlc.compile(model)
    assert message in str(error.value)


NUMBERS = {
    "float32": [0.1, -1.5, 1e20, 3.4e38, 1.17549435e-38, 16777216, np.nan, np.inf, -np.inf, -0.0],
    "float64": [0.1, 1 / 3, 1e300, -2.5e-308, 123456789.125],
    "int64": [0, -(2**63), 2**63 - 1],
    "uint64": [0, 2**64 - 1],
    "int8": [-128, 127],
    "uint8": [255],
    "bool": [True, False],
}


@pytest.mark.parametrize("dtype", NUMBERS)
def test_numbers_as_strings_and_back(dtype):
    numbers = np.array(NUMBERS[dtype], dtype)
    model = node_model("Cast", [numbers], [("object", 1)], to=TensorProto.STRING)
    strings = dlc.compile(model).run([numbers])[0]
    if dtype == "bool":
        assert strings.tolist() == ["True", "False"]
        return
    onnx_type = helper.np_dtype_to_tensor_dtype(numbers.dtype)
    back = node_model("Cast", [strings], [(dtype, 1)], to=onnx_type)
    np.testing.assert_array_equal(dlc.compile(back).run([strings])[0], numbers)


@pytest.mark.parametrize("value", ["", "x", "1x", "9" * 30])
def test_strings_that_are_no_numbers(value):
    model = dlc.compile(node_model("Cast", [text(["1"])], [("int64", 1)], to=TensorProto.INT64))
    with pytest.raises(dlc.RunError) as error:
        model.run([text([value])])
    assert error.value.status == 8 and "that is a whole number" in error.value.message
    model = dlc.compile(node_model("Cast", [text(["1"])], [("float32", 1)], to=TensorProto.FLOAT))
    if value != "9" * 30:
        with pytest.raises(dlc.RunError, match="expected a string that is a number"):
            model.run([text([value])])


def test_moving_strings():
    x = text((WORDS * 2)[:12], (3, 4))
    check("Transpose", [x], [("object", 2)], [x.T])
    index = np.array([2, 0], np.int64)
    check("Gather", [x, index], [("object", 2)], [x[[2, 0]]])
    check("Concat", [x, x], [("object", 2)], [np.concatenate([x, x], 1)], axis=1)
    where = np.array([[True], [False], [True]])
    check("Where", [where, x, x[:, ::-1]], [("object", 2)], [np.where(where, x, x[:, ::-1])])
    shape = np.array([2, 6], np.int64)
    check("Reshape", [x, shape], [("object", 2)], [x.reshape(2, 6)], constants=(1,))


def test_distinct_strings():
    x = text(WORDS)
    values, first, inverse, counts = np.unique(
        np.array([w.encode() for w in WORDS]), True, True, True
    )
    want = [text([v.decode() for v in values]), first, inverse, counts]
    check("Unique", [x], [("object", 1)] + [("int64", 1)] * 3, want)


def test_constants():
    constant = helper.make_node("Constant", [], ["c"], value_strings=["x", "é"])
    concat = helper.make_node("StringConcat", ["a", "c"], ["y"])
    graph = helper.make_graph(
        [constant, concat],
        "g",
        [],
        [helper.make_tensor_value_info("y", TensorProto.STRING, [2, 2])],
        [onnx.numpy_helper.from_array(text([["1"], [""]]), "a")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    assert dlc.compile(model).run([])[0].tolist() == [["1x", "1é"], ["x", "é"]]


def test_types_of_inputs():
    model = dlc.compile(node_model("Identity", [text(["a"])], [("object", 1)]))
    assert model.inputs[0].dtype == np.dtype(object)
    with pytest.raises(TypeError, match="expected strings, found int64"):
        model.run([np.array([1])])


TFIDF = {
    "ngram_counts": [0, 3],
    "ngram_indexes": [0, 4, 1, 3, 2],
    "pool_int64s": [2, 3, 5, 5, 6, 7, 8],
    "weights": [2.0, 0.5, 3.0, 1.0, 4.0],
}


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize(("shortest", "longest", "skips"), [(1, 1, 0), (1, 2, 0), (2, 2, 3)])
@pytest.mark.parametrize("dtype", ["int32", "int64", "object"])
def test_tfidf(mode, shortest, longest, skips, dtype):
    numbers = np.array([[1, 1, 3, 3, 3, 7], [8, 6, 7, 5, 6, 8], [5, 0, 6, 2, 3, 5]])
    options = dict(TFIDF)
    rows = numbers.astype(dtype)
    if dtype == "object":
        rows = text([[str(x) for x in row] for row in numbers])
        options["pool_strings"] = [str(x) for x in options.pop("pool_int64s")]
    for x in (rows, rows[1]):
        check(
            "TfIdfVectorizer",
            [x],
            [("float32", x.ndim)],
            mode=mode,
            min_gram_length=shortest,
            max_gram_length=longest,
            max_skip_count=skips,
            **options,
        )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"mode": "X"}, "expected the mode TF, IDF or TFIDF, found 'X'"),
        ({"ngram_counts": [0, 30]}, "expected a pool of the type of X"),
        ({"weights": [1.0]}, "expected a weight for each n-gram, found 1"),
        ({"min_gram_length": 3}, "expected min_gram_length of 1 or more"),
    ],
)
def test_tfidf_that_is_refused(changes, message):
    options = dict(TFIDF, mode="TFIDF", min_gram_length=1, max_gram_length=2, max_skip_count=0)
    model = node_model(
        "TfIdfVectorizer", [np.array([1, 2])], [("float32", 1)], **{**options, **changes}
    )
    with pytest.raises(dlc.CompileError) as error:
        dlc.compile(model)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("op", "options", "message"),
    [
        ("StringNormalizer", {"case_change_action": "X"}, "case_change_action NONE, LOWER"),
    ],
)
def test_attributes_that_are_refused(op, options, message):
    with pytest.raises(dlc.CompileError, match=message):
        dlc.compile(node_model(op, [text(["a"])], [("object", 1)], **options))


def test_reference_of_the_reference():
    """The reference evaluator agrees on what ONNX Runtime does not have."""
    x = text(["a b", "c"])
    model = node_model("StringSplit", [x], [("object", 2), ("int64", 1)])
    parts, counts = ReferenceEvaluator(model).run(None, {"x0": x})
    found = dlc.compile(model).run([x])
    assert found[0].tolist() == parts.tolist() and found[1].tolist() == counts.tolist()
