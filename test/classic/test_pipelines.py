"""Pipelines of scikit-learn, converted by skl2onnx and compiled, answer as
scikit-learn does: the same labels, and numbers within 1e-5.

The inputs are float32, rounded before the training, as what converters are
made for; float64 for those of DOUBLES, whose sums are too large for 1e-5.
Trees behind a scaler are left out: scikit-learn scales in float64, and a
converted scaler in float32 moves a few values to the other side of a threshold.
So are pipelines for which ONNX Runtime gives the same other answer as dlc, by
the converter's doing: neighbours weighted by distance, and isotonic calibration.
"""

import pathlib
import sys

import dlc
import numpy as np
import onnx
import pytest
from skl2onnx import to_onnx
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType, Int64TensorType, StringTensorType
from sklearn.preprocessing import LabelBinarizer, LabelEncoder
from sklearn.svm import LinearSVC

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from pipelines import ARRAYS, DOUBLES, FRAMES  # noqa: E402

# ONNX Runtime and dlc know more, skl2onnx less.
OPSET = {"": 19, "ai.onnx.ml": 3}
# Of numbers far from 1.
RTOL = 1e-5


def train(name, dtype):
    (x, y), make = ARRAYS[name]
    order = np.random.default_rng(1).permutation(len(x))
    x, y = x[order].astype(dtype), y[order]
    rows = len(x) * 2 // 3
    model = make().fit(x[:rows], y[:rows])
    return model, x[rows:]


@pytest.fixture(autouse=True)
def ints_for_bools(monkeypatch):
    """skl2onnx gives protobuf, which refuses them, bools for integers."""
    make_attribute = onnx.helper.make_attribute

    def make(key, value, *arguments, **options):
        if isinstance(value, (list, tuple, np.ndarray)) and any(isinstance(x, (bool, np.bool_)) for x in value):
            value = [int(x) for x in value]
        return make_attribute(key, value, *arguments, **options)

    monkeypatch.setattr(onnx.helper, "make_attribute", make)


def convert(model, types, zipmap=False):
    last = model.steps[-1][1] if hasattr(model, "steps") else model
    options = {id(last): {"zipmap": zipmap}} if hasattr(last, "classes_") else None
    if isinstance(last, LinearSVC):  # it has no such option
        options = {id(last): {"nocl": True}}
    return to_onnx(model, initial_types=types, options=options, target_opset=OPSET)


def expected_outputs(model, x):
    """What the model's outputs stand for: labels and probabilities, numbers,
    or what a transformer makes of x."""
    if not hasattr(model, "predict"):
        return [model.transform(x)]
    labels = model.predict(x)
    if hasattr(model, "fit_predict") and hasattr(model, "decision_function"):
        return [labels, model.decision_function(x)]  # outliers
    if hasattr(model, "predict_proba"):
        return [labels, model.predict_proba(x)]
    if hasattr(model, "decision_function"):
        return [labels, model.decision_function(x)]
    if hasattr(model, "fit_predict"):
        return [labels, model.transform(x)]  # distances to the middles of clusters
    return [labels]


def compare(found, expected):
    found, expected = np.asarray(found), np.asarray(expected)
    if expected.ndim == 1 and found.ndim == 2 and found.shape[1] == 2 and expected.dtype.kind == "f":
        found = found[:, 0]  # of two classes, how near to the second and to the first
    if expected.dtype.kind in "OUSi":
        np.testing.assert_array_equal(found.reshape(expected.shape), expected)
    else:
        np.testing.assert_allclose(found.reshape(expected.shape), expected, rtol=RTOL, atol=1e-5)


def check(model, onnx_model, feeds, rows, smallest=0):
    """Compares for batches of many rows, of one and of none."""
    compiled = dlc.compile(onnx_model)
    expected = expected_outputs(model, rows)
    for count in (len(rows), 1, 0)[: 3 - smallest]:
        found = compiled.run({name: value[:count] for name, value in feeds.items()})
        for value, wanted in zip(found.values(), expected):
            compare(value, wanted[:count])
    return compiled


def dtype_of(name):
    return np.float64 if name in DOUBLES else np.float32


def input_type(name):
    return DoubleTensorType if name in DOUBLES else FloatTensorType


@pytest.mark.parametrize("name", ARRAYS)
def test_array(name):
    model, x = train(name, dtype_of(name))
    types = [("x", input_type(name)([None, x.shape[1]]))]
    check(model, convert(model, types), {"x": x}, x)


@pytest.mark.parametrize("name", ["standard_logistic", "standard_logistic_names", "random_forest_binary_names",
                                  "gradient_boosting", "mlp_tanh_binary"])  # fmt: skip
def test_maps(name):
    """With the converter's default a row's probabilities are a map."""
    model, x = train(name, dtype_of(name))
    onnx_model = convert(model, [("x", input_type(name)([None, x.shape[1]]))], zipmap=True)
    assert "ZipMap" in [node.op_type for node in onnx_model.graph.node]
    compiled = dlc.compile(onnx_model)
    classes, expected = list(model.classes_), model.predict_proba(x)
    for count in (len(x), 1, 0):
        labels, maps = compiled.run([x[:count]])
        np.testing.assert_array_equal(labels, model.predict(x[:count]) if count else labels)
        assert len(maps) == count
        for row, wanted in zip(maps, expected):
            assert list(row) == classes
            np.testing.assert_allclose(list(row.values()), wanted, rtol=RTOL, atol=1e-5)


@pytest.mark.parametrize("name", FRAMES)
def test_frame(name):
    load, kinds, make = FRAMES[name]
    x, y = load()
    order = np.random.default_rng(2).permutation(len(x))
    x, y = x[order], y[order]
    rows = len(x) * 2 // 3
    model, rest = make().fit(x[:rows], y[:rows]), x[rows:]
    columns = {"f": (FloatTensorType, np.float32), "i": (Int64TensorType, np.int64), "O": (StringTensorType, object)}
    types, feeds = [], {}
    for i, kind in enumerate(kinds):
        tensor_type, dtype = columns[kind]
        types.append((f"column{i}", tensor_type([None, 1])))
        feeds[f"column{i}"] = rest[:, i : i + 1].astype(dtype)
    # Of no texts ONNX's StringNormalizer makes one that is empty.
    check(model, convert(model, types), feeds, rest, smallest=int(name.startswith("text")))


def test_label_encoder():
    labels = np.array(["one", "two", "three", "two", "émile"], object)
    model = LabelEncoder().fit(labels)
    onnx_model = to_onnx(model, initial_types=[("x", StringTensorType([None]))], target_opset=OPSET)
    np.testing.assert_array_equal(dlc.compile(onnx_model).run([labels])[0], model.transform(labels))


@pytest.mark.parametrize("labels", [[3, 9, 4, 9, 3], [1, 7, 7, 1]], ids=["many", "two"])
def test_label_binarizer(labels):
    labels = np.array(labels)
    model = LabelBinarizer().fit(labels)
    onnx_model = to_onnx(model, initial_types=[("x", Int64TensorType([None]))], target_opset=OPSET)
    found = dlc.compile(onnx_model).run([labels])[0]
    np.testing.assert_array_equal(found, model.transform(labels))
