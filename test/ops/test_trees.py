"""Random ensembles of trees, of every form that the kernel for sorted trees
takes and some that it does not, against a walk in Python."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper

ROWS = (0, 1, 2, 3, 4, 7, 8, 9, 63, 64, 65, 130)
FEATURES = 5


class Ensemble:
    """Trees whose nodes are (mode, feature, value, missing, yes, no) or, for
    leaves, a list of weights by target."""

    def __init__(self, rng, trees, depth, targets, modes, missing=False, full=False):
        self.targets = targets
        self.trees = []
        for _ in range(trees):
            nodes = []
            self.grow(nodes, rng, depth, modes, missing, full)
            self.trees.append(nodes)

    def grow(self, nodes, rng, depth, modes, missing, full):
        at = len(nodes)
        nodes.append(None)
        if depth == 0 or rng.random() < 0.15:
            count = self.targets if full else rng.integers(0 if self.targets > 1 else 1, self.targets + 1)
            chosen = range(self.targets) if full else rng.permutation(self.targets)[:count]
            nodes[at] = [(int(t), float(np.float32(rng.normal()))) for t in chosen]
            return at
        # Values that rows have, too.
        value = float(rng.choice([-1, -0.5, 0, 0.5, 1, np.inf, -np.inf], p=[0.19] * 5 + [0.03, 0.02]))
        yes = self.grow(nodes, rng, depth - 1, modes, missing, full)
        no = self.grow(nodes, rng, depth - 1, modes, missing, full)
        is_missing = int(missing and rng.random() < 0.5)
        nodes[at] = (str(rng.choice(modes)), int(rng.integers(FEATURES)), value, is_missing, yes, no)
        return at

    def model(self, dtype, aggregate="SUM"):
        lists = {name: [] for name in ("treeids", "nodeids", "modes", "featureids", "values",
                                       "missing_value_tracks_true", "truenodeids", "falsenodeids")}  # fmt: skip
        weights = {name: [] for name in ("treeids", "nodeids", "ids", "weights")}
        for tree, nodes in enumerate(self.trees):
            for number, node in enumerate(nodes):
                is_leaf = isinstance(node, list)
                mode, feature, value, missing, yes, no = ("LEAF", 0, 0.0, 0, 0, 0) if is_leaf else node
                row = (tree, number, mode, feature, value, missing, yes, no)
                for column, item in zip(lists.values(), row):
                    column.append(item)
                for target, weight in node if is_leaf else ():
                    for column, item in zip(weights.values(), (tree, number, target, weight)):
                        column.append(item)
        node = helper.make_node(
            "TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", n_targets=self.targets,
            aggregate_function=aggregate,
            **{f"nodes_{name}": values for name, values in lists.items()},
            **{f"target_{name}": values for name, values in weights.items()},
        )  # fmt: skip
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            [node], "g", [info("x", dtype, ["n", FEATURES])],
            [info("y", TensorProto.FLOAT, ["n", self.targets])],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 19), helper.make_opsetid("ai.onnx.ml", 3)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def walk(self, row):
        answers = {
            "BRANCH_LEQ": np.less_equal, "BRANCH_LT": np.less, "BRANCH_GTE": np.greater_equal,
            "BRANCH_GT": np.greater, "BRANCH_EQ": np.equal, "BRANCH_NEQ": np.not_equal,
        }  # fmt: skip
        sums = np.zeros(self.targets)
        for nodes in self.trees:
            node = nodes[0]
            while not isinstance(node, list):
                mode, feature, value, missing, yes, no = node
                is_true = answers[mode](row[feature], value) or (missing and np.isnan(row[feature]))
                node = nodes[yes if is_true else no]
            for target, weight in node:
                sums[target] += weight
        return sums


def make_rows(rng, count, dtype, with_nan):
    values = [-1, -0.5, 0, -0.0, 0.5, 1, np.inf, -np.inf, 0.25, -3e38, 3e38]
    x = np.where(rng.random((count, FEATURES)) < 0.5, rng.choice(values, (count, FEATURES)),
                 rng.normal(size=(count, FEATURES)))  # fmt: skip
    x = x.astype(dtype)
    # Next to the values that nodes ask for.
    x = np.where(rng.random(x.shape) < 0.1, np.nextafter(x, dtype(0)), x)
    if with_nan:
        x[rng.random(x.shape) < 0.15] = np.nan
    return x


SORTED = ["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT"]
FORMS = {
    "at most": {"modes": SORTED[:1]},
    "below": {"modes": SORTED[1:2]},
    "at least": {"modes": SORTED[2:3]},
    "above": {"modes": SORTED[3:]},
    "sorted": {"modes": SORTED},
    "missing": {"modes": SORTED, "missing": True},
    "missing at most": {"modes": SORTED[:1], "missing": True},
    "any": {"modes": [*SORTED, "BRANCH_EQ", "BRANCH_NEQ"], "missing": True},
    "full": {"modes": SORTED[:1], "targets": 3, "full": True},
    "some targets": {"modes": SORTED[:1], "targets": 4},
    "deep": {"modes": SORTED[:1], "depth": 14, "trees": 3},
    "one": {"modes": SORTED[:1], "trees": 1, "depth": 1},
    "leaves": {"modes": SORTED[:1], "trees": 5, "depth": 0},
}


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("form", FORMS)
def test_random_trees(form, dtype):
    options = {"trees": 19, "depth": 6, "targets": 1, **FORMS[form]}
    rng = np.random.default_rng(len(form))
    ensemble = Ensemble(rng, **options)
    compiled = dlc.compile(ensemble.model(helper.np_dtype_to_tensor_dtype(np.dtype(dtype))))
    for count in ROWS:
        x = make_rows(rng, count, dtype, with_nan=True)
        expected = np.array([ensemble.walk(row) for row in x]).reshape(count, ensemble.targets)
        found = compiled.run([x])[0]
        np.testing.assert_allclose(found, expected, rtol=1e-6, atol=1e-6)
        # A tail or a thread more changes no bit.
        np.testing.assert_array_equal(compiled.run([x], threads=1)[0], found)
        for row in range(0, count, 9):
            np.testing.assert_array_equal(compiled.run([x[row : row + 1]])[0][0], found[row])


@pytest.mark.parametrize("threads", [1, None])
def test_many_rows_on_threads(threads):
    rng = np.random.default_rng(0)
    ensemble = Ensemble(rng, 10, 5, 2, SORTED[:1])
    compiled = dlc.compile(ensemble.model(TensorProto.FLOAT), threads=threads)
    x = make_rows(rng, 3000, np.float32, with_nan=False)
    alone = compiled.run([x], threads=1)[0]
    for count in (2, 3, 8):
        np.testing.assert_array_equal(compiled.run([x], threads=count)[0], alone)
    expected = np.array([ensemble.walk(row) for row in x[::50]])
    np.testing.assert_allclose(alone[::50], expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("aggregate", ["AVERAGE", "MIN", "MAX"])
def test_aggregates(aggregate):
    rng = np.random.default_rng(3)
    ensemble = Ensemble(rng, 7, 3, 1, SORTED[:1])
    x = make_rows(rng, 20, np.float32, with_nan=True)
    found = dlc.compile(ensemble.model(TensorProto.FLOAT, aggregate)).run([x])[0]
    parts = []
    for tree in ensemble.trees:
        one = Ensemble(rng, 0, 0, 1, SORTED)
        one.trees = [tree]
        parts.append([one.walk(row) for row in x])
    expected = {"AVERAGE": np.mean, "MIN": np.min, "MAX": np.max}[aggregate](parts, axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)
