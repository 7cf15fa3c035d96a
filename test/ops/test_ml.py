"""ai.onnx.ml against ONNX Runtime, on static, dynamic and empty inputs."""

import itertools

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

ORT_TYPES = {
    "tensor(int64)": TensorProto.INT64,
    "tensor(string)": TensorProto.STRING,
    "tensor(float)": TensorProto.FLOAT,
    "tensor(double)": TensorProto.DOUBLE,
}
RANDOM = np.random.default_rng(7)


def make(op, inputs, outputs, dynamic=False, version=3, **attributes):
    """`outputs` are pairs of an element type and a rank."""
    names = [f"x{i}" for i in range(len(inputs))]
    results = [f"y{i}" for i in range(len(outputs))]
    node = helper.make_node(op, names, results, domain="ai.onnx.ml", **attributes)
    arguments = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(x.dtype),
            [f"{name}_{i}" for i in range(x.ndim)] if dynamic else x.shape,
        )
        for name, x in zip(names, inputs)
    ]
    values = [
        helper.make_tensor_value_info(name, dtype, [None] * rank)
        for name, (dtype, rank) in zip(results, outputs)
    ]
    graph = helper.make_graph([node], "g", arguments, values)
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", version)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def check(op, inputs, outputs, rtol=1e-5, atol=1e-6, static=False, **options):
    """Of dynamic shapes, and of static ones too where these make a difference."""
    for dynamic in (False, True) if static else (True,):
        model = make(op, inputs, outputs, dynamic, **options)
        feeds = {f"x{i}": x for i, x in enumerate(inputs)}
        expected = ort.InferenceSession(model.SerializeToString()).run(None, feeds)
        found = dlc.compile(model).run(feeds)
        for got, want in zip(found.values(), expected):
            assert got.shape == want.shape
            if want.dtype.kind in "OU":
                assert got.tolist() == want.tolist()
            else:
                assert got.dtype == want.dtype
                np.testing.assert_allclose(got, want, rtol=rtol, atol=atol)


def features(rows=9, columns=4, dtype=np.float32):
    return (RANDOM.normal(size=(rows, columns)) * 3).astype(dtype)


FLOAT, INT64, STRING = TensorProto.FLOAT, TensorProto.INT64, TensorProto.STRING


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_scaler(dtype):
    x = features(dtype=dtype)
    scale = {"offset": [1.0, 2.0, 3.0, 4.0], "scale": [0.5, 1.5, 2.5, -1.0]}
    check("Scaler", [x], [(FLOAT, 2)], static=True, **scale)
    check("Scaler", [x[:0]], [(FLOAT, 2)], **scale)
    check("Scaler", [x], [(FLOAT, 2)], offset=[1.0], scale=[2.0])


@pytest.mark.parametrize("norm", ["MAX", "L1", "L2"])
def test_normalizer(norm):
    x = np.abs(features())
    x[3] = 0
    check("Normalizer", [x], [(FLOAT, 2)], norm=norm)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64, np.int32])
def test_binarizer(dtype):
    if dtype in (np.float32,):  # ONNX Runtime has no other
        check("Binarizer", [features(dtype=dtype)], [(FLOAT, 2)], threshold=0.5)
    x = features(dtype=dtype)
    model = make("Binarizer", [x], [(helper.np_dtype_to_tensor_dtype(x.dtype), 2)], threshold=0.5)
    np.testing.assert_array_equal(dlc.compile(model).run([x])[0], (x > 0.5).astype(dtype))


@pytest.mark.parametrize("shape", [(5,), (3, 5), (2, 3, 5), (0, 5)])
@pytest.mark.parametrize("dtype", [np.float32, np.int64, object])
def test_array_feature_extractor(shape, dtype):
    x = np.arange(np.prod(shape)).reshape(shape)
    x = x.astype(str).astype(object) if dtype is object else x.astype(dtype)
    kind = STRING if dtype is object else helper.np_dtype_to_tensor_dtype(x.dtype)
    check("ArrayFeatureExtractor", [x, np.array([[4, 0, 4]])], [(kind, max(len(shape), 2))])


def test_features_outside():
    model = make("ArrayFeatureExtractor", [features(), np.array([0])], [(FLOAT, 2)])
    with pytest.raises(dlc.RunError, match="expected indices of features of X"):
        dlc.compile(model).run([features(), np.array([4])])


def test_feature_vectorizer():
    inputs = [features(3, 2), features(3, 3), features(3, 1)]
    check("FeatureVectorizer", inputs, [(FLOAT, 2)], inputdimensions=[2, 3, 1])
    model = make("FeatureVectorizer", inputs, [(FLOAT, 2)], inputdimensions=[3, 1, 1])
    want = np.concatenate([inputs[0], np.zeros((3, 1)), inputs[1][:, :1], inputs[2]], axis=1)
    np.testing.assert_array_equal(dlc.compile(model).run(inputs)[0], want.astype(np.float32))


def test_imputer():
    x = features()
    x[1, 2] = x[3, 0] = np.nan
    options = {"replaced_value_float": float("nan")}
    check("Imputer", [x], [(FLOAT, 2)], imputed_value_floats=[7.0], **options)
    check("Imputer", [x], [(FLOAT, 2)], imputed_value_floats=[1.0, 2.0, 3.0, 4.0], **options)
    numbers = np.array([[1, 2], [2, 3]])
    check("Imputer", [numbers], [(INT64, 2)], imputed_value_int64s=[8, 9], replaced_value_int64=2)


def test_one_hot_encoder():
    numbers = np.array([[1, 5], [3, 2], [7, 1]])
    check("OneHotEncoder", [numbers], [(FLOAT, 3)], cats_int64s=[5, 1, 2], zeros=1)
    texts = np.array(["b", "é", "a"], object)
    check("OneHotEncoder", [texts], [(FLOAT, 2)], cats_strings=["a", "é"], zeros=1)
    model = make("OneHotEncoder", [texts], [(FLOAT, 2)], cats_strings=["a", "é"], zeros=0)
    with pytest.raises(dlc.RunError, match="expected categories that the encoder knows"):
        dlc.compile(model).run([texts])
    check("OneHotEncoder", [numbers.astype(np.float32)], [(FLOAT, 3)], cats_int64s=[5, 1], zeros=1)


LABELS = {
    "strings": (STRING, ["a", "é", "", "zz"], ["zz", "q", "a"]),
    "int64s": (INT64, [5, -1, 2**40, 0], [0, 2**40, 7]),
    "floats": (FLOAT, [0.5, -1.25, 3.0, float("nan")], [np.nan, 0.5, 0.25]),
}


@pytest.mark.parametrize(("keys", "values"), list(itertools.product(LABELS, LABELS)))
def test_label_encoder(keys, values):
    key_type, key_list, asked = LABELS[keys]
    value_type, value_list, _ = LABELS[values]
    x = np.array([asked, asked[::-1]], helper.tensor_dtype_to_np_dtype(key_type))
    default = {"strings": "none", "int64s": 9, "floats": 1.5}[values]
    options = {
        f"keys_{keys}": key_list,
        f"values_{values}": value_list,
        {"strings": "default_string", "int64s": "default_int64", "floats": "default_float"}[
            values
        ]: default,
    }
    check("LabelEncoder", [x], [(value_type, 2)], version=4, **options)
    check("LabelEncoder", [x[:0]], [(value_type, 2)], version=4, **options)


def test_label_encoder_of_tensors():
    tensor = onnx.numpy_helper.from_array
    x = np.array([1, 3, 9], np.int64)
    model = make(
        "LabelEncoder",
        [x],
        [(TensorProto.DOUBLE, 1)],
        version=4,
        keys_tensor=tensor(np.array([3, 1])),
        values_tensor=tensor(np.array([0.5, 1 / 3])),
        default_tensor=tensor(np.array([7.0])),
    )
    np.testing.assert_array_equal(dlc.compile(model).run([x])[0], [1 / 3, 0.5, 7.0])


def test_category_mapper():
    options = {"cats_strings": ["a", "b"], "cats_int64s": [4, 2]}
    check("CategoryMapper", [np.array(["b", "c"], object)], [(INT64, 1)], **options)
    check("CategoryMapper", [np.array([[4], [3]])], [(STRING, 2)], default_string="?", **options)


TRANSFORMS = ["NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"]


@pytest.mark.parametrize("transform", TRANSFORMS)
def test_linear_regressor(transform):
    options = {"coefficients": list(RANDOM.normal(size=12)), "intercepts": [0.5, 0.0, -1.0]}
    if transform == "PROBIT":  # of probabilities
        options = {"coefficients": [0.02] * 12, "intercepts": [0.5, 0.4, 0.6]}
    rtol = 1e-3 if transform == "PROBIT" else 1e-5
    check("LinearRegressor", [features()], [(FLOAT, 2)], rtol, 1e-5, targets=3,
          post_transform=transform, **options)  # fmt: skip


@pytest.mark.parametrize("transform", TRANSFORMS[:4])
@pytest.mark.parametrize(("classes", "kind"), [(2, "strings"), (3, "ints")])
def test_linear_classifier(transform, classes, kind):
    for scores in (2, 1) if classes == 2 else (3,):
        labels = [4, 7, 1][:classes] if kind == "ints" else ["x", "yé", "z"][:classes]
        check(
            "LinearClassifier",
            [features()],
            [(INT64 if kind == "ints" else STRING, 1), (FLOAT, 2)],
            coefficients=list(RANDOM.normal(size=4 * scores)),
            intercepts=list(RANDOM.normal(size=scores)),
            post_transform=transform,
            **{f"classlabels_{kind}": labels},
        )


KERNELS = {"LINEAR": [0.0, 0.0, 0.0], "POLY": [0.5, 1.0, 3.0], "RBF": [0.3, 0.0, 0.0],
           "SIGMOID": [0.1, 0.2, 0.0]}  # fmt: skip


@pytest.mark.parametrize(("kernel", "one_class"), [(k, k == "RBF") for k in KERNELS])
def test_svm_regressor(kernel, one_class):
    check(
        "SVMRegressor",
        [features()],
        [(FLOAT, 2)],
        rtol=1e-4,
        coefficients=list(RANDOM.normal(size=5)),
        support_vectors=list(RANDOM.normal(size=20)),
        n_supports=5,
        rho=[0.3],
        kernel_type=kernel,
        kernel_params=KERNELS[kernel],
        one_class=int(one_class),
    )


@pytest.mark.parametrize(
    ("kernel", "classes", "probabilities", "transform"),
    [
        ("LINEAR", 2, False, "NONE"),
        ("POLY", 3, False, "NONE"),
        ("RBF", 2, True, "NONE"),
        ("SIGMOID", 3, True, "LOGISTIC"),
        ("RBF", 2, False, "LOGISTIC"),
        ("RBF", 3, False, "SOFTMAX"),
    ],
)
def test_svm_classifier(kernel, classes, probabilities, transform):
    pairs = classes * (classes - 1) // 2
    options = {}
    if probabilities:
        options = {"prob_a": [-1.5] * pairs, "prob_b": [0.2] * pairs}
    check(
        "SVMClassifier",
        [features()],
        [(STRING, 1), (FLOAT, 2)],
        rtol=1e-3,
        atol=1e-5,
        classlabels_strings=["a", "b", "c"][:classes],
        vectors_per_class=[3, 2, 4][:classes],
        coefficients=list(RANDOM.normal(size=(classes - 1) * sum([3, 2, 4][:classes]))),
        support_vectors=list(RANDOM.normal(size=4 * sum([3, 2, 4][:classes]))),
        rho=list(RANDOM.normal(size=pairs)),
        kernel_type=kernel,
        kernel_params=KERNELS[kernel],
        post_transform=transform,
        **options,
    )


def test_linear_svm_classifier():
    for weights in (RANDOM.normal(size=8), np.abs(RANDOM.normal(size=8))):
        check(
            "SVMClassifier",
            [features()],
            [(INT64, 1), (FLOAT, 2)],
            rtol=1e-4,
            classlabels_ints=[3, 5],
            coefficients=list(weights),
            rho=[0.1],
            kernel_params=[0.0, 0.0, 0.0],
        )


#
# Trees
#

MODES = ["LEQ", "LT", "GTE", "GT", "EQ", "NEQ"]


def grow(trees, depth, modes, prefix, targets, positive=False):
    """Attributes of random trees of the old form; leaves have weights of each target."""
    lists = {
        key: []
        for key in (
            "treeids", "nodeids", "featureids", "truenodeids", "falsenodeids", "modes", "values",
            "missing_value_tracks_true",
        )
    }  # fmt: skip
    weights = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}

    def add(tree, level, ids):
        here = next(ids)
        is_leaf = level == depth or (level > 1 and RANDOM.random() < 0.2)
        at = len(lists["nodeids"])
        row = {
            "treeids": tree, "nodeids": here, "featureids": int(RANDOM.integers(4)),
            "truenodeids": 0, "falsenodeids": 0,
            "modes": "LEAF" if is_leaf else "BRANCH_" + RANDOM.choice(modes),
            "values": float(np.float32(np.round(RANDOM.normal() * 2))),
            "missing_value_tracks_true": int(RANDOM.integers(2)),
        }  # fmt: skip
        for key, value in row.items():
            lists[key].append(value)
        if is_leaf:
            for target in targets:
                weight = RANDOM.random() / trees if positive else RANDOM.normal()
                for key, value in zip(weights, (tree, here, target, float(weight))):
                    weights[key].append(value)
        else:
            lists["truenodeids"][at] = add(tree, level + 1, ids)
            lists["falsenodeids"][at] = add(tree, level + 1, ids)
        return here

    for tree in range(trees):
        add(tree, 0, itertools.count())
    return {
        **{f"nodes_{key}": value for key, value in lists.items()},
        **{f"{prefix}_{key}": value for key, value in weights.items()},
    }


def tree_inputs(dtype=np.float32):
    x = np.round(features(40)).astype(dtype)
    if dtype in (np.float32, np.float64):
        x[::7, 1] = np.nan
    return [x]


@pytest.mark.parametrize(
    ("aggregate", "targets", "modes"),
    [
        ("SUM", 1, ["LEQ"]),
        ("SUM", 3, MODES),
        ("AVERAGE", 1, MODES),
        ("MIN", 3, ["LT"]),
        ("MAX", 1, ["LEQ"]),
    ],
)
def test_tree_regressor(aggregate, targets, modes):
    options = grow(5, 4, modes, "target", range(targets))
    options["aggregate_function"] = aggregate
    options["n_targets"] = targets
    check("TreeEnsembleRegressor", tree_inputs(), [(FLOAT, 2)], static=True, **options)
    options["base_values"] = [0.5, 1.0, -2.0][:targets]
    check("TreeEnsembleRegressor", tree_inputs(), [(FLOAT, 2)], **options)


@pytest.mark.parametrize("dtype", [np.float64, np.int64, np.int32])
def test_types_of_tree_inputs(dtype):
    options = grow(3, 3, ["LEQ"], "target", [0])
    inputs = tree_inputs(dtype)
    if dtype == np.float64:
        check("TreeEnsembleRegressor", inputs, [(FLOAT, 2)], n_targets=1, **options)
        return
    # ONNX Runtime has no integers.
    numbers = [inputs[0].astype(np.float32)]
    found, expected = (
        dlc.compile(make("TreeEnsembleRegressor", x, [(FLOAT, 2)], n_targets=1, **options)).run(x)
        for x in (inputs, numbers)
    )
    np.testing.assert_array_equal(found[0], expected[0])


def test_trees_of_no_rows():
    options = grow(3, 3, ["LEQ"], "target", [0])
    check("TreeEnsembleRegressor", [features(0)], [(FLOAT, 2)], n_targets=1, **options)
    model = make("TreeEnsembleRegressor", [features()], [(FLOAT, 2)], True, n_targets=1, **options)
    with pytest.raises(dlc.RunError, match="expected X of . features or more"):
        dlc.compile(model).run([features(2, 0)])


@pytest.mark.parametrize(
    ("transform", "targets", "positive", "base"),
    [
        ("NONE", [0], True, False),
        ("NONE", [1], False, False),
        ("NONE", [0, 1, 2], False, True),
        ("LOGISTIC", [0], False, True),
        ("LOGISTIC", [0], True, False),
        ("LOGISTIC", [1], True, True),
        ("SOFTMAX", [0, 1, 2], True, False),
    ],
)
def test_tree_classifier(transform, targets, positive, base):
    options = grow(6, 4, ["LEQ"], "class", targets, positive)
    classes = 3 if len(targets) == 3 else 2
    if base:
        options["base_values"] = [0.1, 0.2, 0.3] if classes == 3 else [0.25]
    kind, labels = ("strings", ["no", "yes", "é"]) if positive else ("int64s", [4, 2, 9])
    check(
        "TreeEnsembleClassifier",
        tree_inputs(),
        [(INT64 if kind == "int64s" else STRING, 1), (FLOAT, 2)],
        post_transform=transform,
        **{f"classlabels_{kind}": labels[:classes]},
        **options,
    )


def test_trees_of_two_classes():
    """With weights of both the larger sum wins. (ONNX Runtime's labels differ: they are
    0 and 1 by the sign of the second.)"""
    options = grow(6, 4, ["LEQ"], "class", [0, 1], True)
    x = tree_inputs()
    model = make("TreeEnsembleClassifier", x, [(STRING, 1), (FLOAT, 2)],
                 classlabels_strings=["a", "b"], **options)  # fmt: skip
    labels, scores = dlc.compile(model).run(x)
    wanted = ort.InferenceSession(model.SerializeToString()).run(None, {"x0": x[0]})
    np.testing.assert_allclose(scores, wanted[1], rtol=1e-5)
    assert labels.tolist() == [["a", "b"][i] for i in np.argmax(scores, 1)]


def new_trees(dtype, transform=0, aggregate=1):
    """Two trees, one of which is a leaf, with a question for membership."""
    tensor = lambda values, t=dtype: onnx.numpy_helper.from_array(np.array(values, t))  # noqa: E731
    return {
        "tree_roots": [0, 4],
        "nodes_featureids": [0, 2, 1, 3, 0],
        "nodes_splits": tensor([0.5, 0, 1.5, -1, 0]),
        "nodes_modes": tensor([0, 6, 3, 5, 0], np.uint8),
        "nodes_truenodeids": [1, 0, 2, 3, 5],
        "nodes_trueleafs": [0, 1, 1, 1, 1],
        "nodes_falsenodeids": [2, 1, 3, 4, 5],
        "nodes_falseleafs": [0, 1, 0, 1, 1],
        "nodes_missing_value_tracks_true": [0, 1, 0, 0, 0],
        "leaf_targetids": [0, 1, 0, 1, 0, 1],
        "leaf_weights": tensor([1.25, -2.5, 3.0, 4.5, -5.0, 0.75]),
        "membership_values": tensor([1.0, -2.0, 3.0, np.nan]),
        "n_targets": 2,
        "post_transform": transform,
        "aggregate_function": aggregate,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_tree_ensemble(dtype):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    inputs = tree_inputs(dtype)
    check("TreeEnsemble", inputs, [(kind, 2)], static=True, version=5, **new_trees(dtype))
    # The numbers of ONNX; ONNX Runtime takes those of its own.
    run = lambda transform: dlc.compile(  # noqa: E731
        make("TreeEnsemble", inputs, [(kind, 2)], version=5, **new_trees(dtype, transform))
    ).run(inputs)[0]
    scores = run(0)
    power = np.exp(scores - scores.max(1, keepdims=True))
    np.testing.assert_allclose(run(1), power / power.sum(1, keepdims=True), rtol=1e-5)
    np.testing.assert_allclose(run(2), 1 / (1 + np.exp(-scores)), rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"nodes_modes": ["BRANCH_X"]}, "expected a mode of trees, found 'BRANCH_X'"),
        ({"nodes_values": [1.0, 2.0]}, "expected lists nodes_* of one length"),
        ({"nodes_modes": ["BRANCH_LEQ"]}, "children that are nodes of their tree"),
        ({"target_ids": [5]}, "expected weights of targets in [0, 1), found 5"),
        ({"target_nodeids": [9]}, "expected weights of nodes that there are"),
        ({"aggregate_function": "X"}, "expected the aggregate_function SUM"),
    ],
)
def test_trees_that_are_refused(changes, message):
    options = {
        "nodes_treeids": [0], "nodes_nodeids": [0], "nodes_featureids": [0],
        "nodes_truenodeids": [0], "nodes_falsenodeids": [0], "nodes_modes": ["LEAF"],
        "nodes_values": [0.0], "target_treeids": [0], "target_nodeids": [0], "target_ids": [0],
        "target_weights": [1.0], "n_targets": 1,
    }  # fmt: skip
    model = make("TreeEnsembleRegressor", [features()], [(FLOAT, 2)], **{**options, **changes})
    with pytest.raises(dlc.CompileError) as error:
        dlc.compile(model)
    assert message in str(error.value)
