"""The operators of classical models, of the domain ai.onnx.ml."""

import numpy as np
from builder import Discard
from operators.table import makes

ML = "ai.onnx.ml"
WORDS = ["", "a", "bc", "Äh", "a bc", "x,y", "12"]
TRANSFORMS = ["NONE", "NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO"]
MODES = ["BRANCH_LEQ", "BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_GTE", "BRANCH_EQ", "BRANCH_NEQ"]


def rows(b, dtype=np.float32, least=1):
    """A matrix of rows of features."""
    fits = lambda array: array.size > 0 and array.shape[1] >= least  # noqa: E731
    return b.tensor(dtype, rank=2, fits=fits, shape=None, reuse=0.5)


def numbers(b, count, low=-2.0, high=2.0):
    return [b.real(low, high) for _ in range(count)]


def labels(b, count):
    """The attribute that has the names of classes."""
    if b.chance(0.5):
        return {"classlabels_strings": [f"class {i}" for i in range(count)]}
    return {"ints": [int(i) for i in b.random.permutation(20)[:count]]}


@makes("ArrayFeatureExtractor", domain=ML)
def extract(b, op):
    x = b.tensor(b.choose([np.float32, np.int64, np.float64, object]), fits=lambda a: a.ndim > 0 and a.size > 0)
    if b.array(x).ndim == 0:
        raise Discard("a scalar")
    size = b.array(x).shape[-1]
    return b.node(op, [x, b.ints(*b.random.integers(0, size, b.integer(1, 4)).tolist())], domain=ML)


@makes("Binarizer", domain=ML)
def binarize(b, op):
    x = b.tensor(b.choose([np.float32, np.float32, np.int64]), exact=True)
    return b.node(op, [x], domain=ML, threshold=b.integer(-2, 2) + 0.0625)


@makes("Imputer", domain=ML)
def impute(b, op):
    dtype = b.choose([np.float32, np.int64])
    x = rows(b, dtype)
    count = b.choose([1, b.array(x).shape[1]])
    if dtype == np.float32:
        how = {"imputed_value_floats": numbers(b, count), "replaced_value_float": b.choose([0.0, 1.0, float("nan")])}
    else:
        how = {"imputed_value_int64s": [b.integer(-5, 5) for _ in range(count)], "replaced_value_int64": 1}
    return b.node(op, [x], domain=ML, **how)


@makes("LabelEncoder", domain=ML)
def encode(b, op):
    keys, values = b.choose(["int64s", "strings", "floats"]), b.choose(["int64s", "strings", "floats"])
    dtype = {"int64s": np.int64, "strings": object, "floats": np.float32}
    x = b.tensor(dtype[keys], exact=True)
    count = b.integer(1, 5)
    known = {
        "int64s": [int(i) for i in b.random.permutation(9)[:count] - 4],
        "strings": [WORDS[i] for i in b.random.permutation(len(WORDS))[:count]],
        "floats": [float(i) / 2 for i in b.random.permutation(9)[:count] - 4],
    }
    new = {
        "int64s": [b.integer(-9, 9) for _ in range(count)],
        "strings": [b.choose(WORDS) for _ in range(count)],
        "floats": numbers(b, count),
    }
    otherwise = {"int64s": ("default_int64", -3), "strings": ("default_string", "?"), "floats": ("default_float", 0.5)}
    how = {f"keys_{keys}": known[keys], f"values_{values}": new[values]}
    if b.chance(0.6):
        how[otherwise[values][0]] = otherwise[values][1]
    return b.node(op, [x], domain=ML, **how)


@makes("CategoryMapper", domain=ML)
def map_categories(b, op):
    count = b.integer(1, 5)
    how = {
        "cats_strings": [WORDS[i] for i in b.random.permutation(len(WORDS))[:count]],
        "cats_int64s": [int(i) for i in b.random.permutation(9)[:count] - 4],
        "default_string": "?",
        "default_int64": -7,
    }
    return b.node(op, [b.tensor(b.choose([object, np.int64]))], domain=ML, **how)


@makes("Normalizer", domain=ML)
def normalize(b, op):
    return b.node(op, [rows(b, b.choose([np.float32, np.float64]))], domain=ML, norm=b.choose(["MAX", "L1", "L2"]))


@makes("Scaler", domain=ML)
def scale(b, op):
    x = rows(b, b.choose([np.float32, np.int64, np.float64]))
    count = b.choose([1, b.array(x).shape[1]])
    return b.node(op, [x], domain=ML, offset=numbers(b, count), scale=numbers(b, count))


@makes("OneHotEncoder", domain=ML)
def one_hot(b, op):
    dtype = b.choose([np.int64, object, np.float32])
    if dtype == object:
        how = {"cats_strings": WORDS[:5]}
    else:
        how = {"cats_int64s": [-2, -1, 0, 1, 2]}
    return b.node(op, [b.tensor(dtype, exact=True, fits=lambda a: a.size < 500)], domain=ML, zeros=1, **how)


@makes("FeatureVectorizer", domain=ML)
def join(b, op):
    first = rows(b)
    others = [b.fresh(np.float32, (b.array(first).shape[0], b.integer(1, 4))) for _ in range(b.integer(0, 2))]
    inputs = [first, *others]
    return b.node(op, inputs, domain=ML, inputdimensions=[b.array(n).shape[1] for n in inputs])


@makes("LinearRegressor", domain=ML)
def regress(b, op):
    x, targets = rows(b), b.integer(1, 3)
    count = b.array(x).shape[1]
    how = {"intercepts": numbers(b, targets)} if b.chance(0.7) else {}
    return b.node(op, [x], domain=ML, exact=False, coefficients=numbers(b, targets * count), targets=targets, **how)


@makes("LinearClassifier", domain=ML)
def classify(b, op):
    x, classes = rows(b, b.choose([np.float32, np.float32, np.float64, np.int64])), b.integer(2, 4)
    names = labels(b, classes)
    if "ints" in names:
        names = {"classlabels_ints": names["ints"]}
    return b.node(op, [x], 2, domain=ML, exact=False, coefficients=numbers(b, classes * b.array(x).shape[1]),
                  intercepts=numbers(b, classes), post_transform=b.choose(TRANSFORMS), **names)  # fmt: skip


def kernel(b):
    kind = b.choose(["LINEAR", "POLY", "RBF", "SIGMOID"])
    return {"kernel_type": kind, "kernel_params": [b.real(0.05, 0.2), b.real(-0.5, 0.5), float(b.integer(1, 3))]}


@makes("SVMRegressor", domain=ML)
def support_regress(b, op):
    x, supports = rows(b), b.integer(1, 5)
    return b.node(op, [x], domain=ML, exact=False, n_supports=supports, rho=numbers(b, 1),
                  coefficients=numbers(b, supports), one_class=b.choose([0, 0, 0, 1]),
                  support_vectors=numbers(b, supports * b.array(x).shape[1]), **kernel(b))  # fmt: skip


@makes("SVMClassifier", domain=ML)
def support_classify(b, op):
    x, classes = rows(b), b.integer(2, 4)
    each = [b.integer(1, 3) for _ in range(classes)]
    pairs = classes * (classes - 1) // 2
    names = labels(b, classes)
    how = {"classlabels_ints": names["ints"]} if "ints" in names else names
    if b.chance(0.5):
        how |= {"prob_a": numbers(b, pairs, -2, -0.5), "prob_b": numbers(b, pairs)}
    return b.node(op, [x], 2, domain=ML, exact=False, vectors_per_class=each, rho=numbers(b, pairs),
                  coefficients=numbers(b, sum(each) * (classes - 1)),
                  support_vectors=numbers(b, sum(each) * b.array(x).shape[1]), **kernel(b), **how)  # fmt: skip


def grow_trees(b, features):
    """The nodes of a few random trees, and (tree, node) of each leaf."""
    nodes = {key: [] for key in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids",
                                 "missing_value_tracks_true")}  # fmt: skip
    leaves = []
    # Usually all nodes compare in one way.
    usual = b.choose(MODES)

    def add(tree, depth, counter):
        number = counter[0]
        counter[0] += 1
        at = len(nodes["treeids"])
        is_leaf = depth == 0 or (number and b.chance(0.25))
        mode = "LEAF" if is_leaf else usual if b.chance(0.9) else b.choose(MODES)
        # Beside the multiples of 1/8 that inputs are, but where they shall be equal.
        value = b.integer(-24, 24) / 8 + (0 if mode in ("BRANCH_EQ", "BRANCH_NEQ") else 0.0625)
        for key, entry in (("treeids", tree), ("nodeids", number), ("featureids", b.integer(0, features - 1)),
                           ("values", 0.0 if is_leaf else value), ("modes", mode), ("truenodeids", 0),
                           ("falsenodeids", 0), ("missing_value_tracks_true", b.integer(0, 1))):  # fmt: skip
            nodes[key].append(entry)
        if is_leaf:
            leaves.append((tree, number))
            return number
        nodes["truenodeids"][at] = add(tree, depth - 1, counter)
        nodes["falsenodeids"][at] = add(tree, depth - 1, counter)
        return number

    for tree in range(b.choose([1, 2, 3, 8])):
        add(tree, b.integer(1, 4), [0])
    return {f"nodes_{key}": entries for key, entries in nodes.items()}, leaves


def weigh(b, leaves, ids, prefix, always=()):
    """The weights of leaves, for one of the ids or for some, or for these."""
    found = {key: [] for key in ("treeids", "nodeids", "ids", "weights")}
    for tree, node in leaves:
        for which in always or sorted(set(b.integer(0, ids - 1) for _ in range(b.choose([1, 1, 2])))):
            for key, entry in (("treeids", tree), ("nodeids", node), ("ids", which), ("weights", b.real(-1, 1))):
                found[key].append(entry)
    return {f"{prefix}_{key}": entries for key, entries in found.items()}


@makes("TreeEnsembleRegressor", domain=ML)
def tree_regress(b, op):
    x, targets = b.tensor(np.float32, rank=2, exact=True, fits=lambda a: a.size > 0), b.integer(1, 3)
    nodes, leaves = grow_trees(b, b.array(x).shape[1])
    how = {"base_values": numbers(b, targets)} if b.chance(0.5) else {}
    if b.chance(0.5):
        how["aggregate_function"] = b.choose(["SUM", "AVERAGE", "MIN", "MAX"])
    # ONNX Runtime makes 0 of a target without a weight in a row, whatever its base value.
    weights = weigh(b, leaves, targets, "target", range(targets) if "base_values" in how else ())
    return b.node(op, [x], domain=ML, exact=False, n_targets=targets, **nodes, **weights, **how)


@makes("TreeEnsembleClassifier", domain=ML)
def tree_classify(b, op):
    x = b.tensor(np.float32, rank=2, exact=True, fits=lambda a: a.size > 0)
    classes = b.integer(3, 4)  # of two classes test/classic has the real ones
    nodes, leaves = grow_trees(b, b.array(x).shape[1])
    names = labels(b, classes)
    how = {"classlabels_int64s": names["ints"]} if "ints" in names else names
    # What a class gets that a row has met no weight of is ONNX Runtime's own.
    weights = weigh(b, leaves, classes, "class", range(classes))
    if b.chance(0.3):
        how["base_values"] = numbers(b, classes)
    return b.node(op, [x], 2, domain=ML, exact=False, post_transform=b.choose(TRANSFORMS), **nodes,
                  **weights, **how)  # fmt: skip
