"""What passes of the phase simplify tell of nodes, and why they leave others."""

import pathlib
import sys

import numpy as np
import pytest
from onnx import TensorProto, helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import make_model, run_remarks  # noqa: E402

F = np.float32

def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def weights(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(F)


X = {"x": [2, 4]}
IMAGE = {"x": [1, 4, 6, 6]}


def constant_branches():
    """An If whose condition the run knows."""
    def branch(name, op):
        inner = [node(op, ["x"], [name], name=name)]
        if op == "Add":
            inner = [node("Add", ["c", "c"], [name + "s"], name="constant"), node("Add", ["x", name + "s"], [name], name=name)]
        return helper.make_graph(inner, name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

    return [node("ReduceSum", ["x"], ["s"], keepdims=0), node("Greater", ["s", "c"], ["q"]),
            node("If", ["q"], ["y"], name="if", then_branch=branch("a", "Neg"), else_branch=branch("b", "Relu"))]  # fmt: skip


def loop(inner):
    """A Loop of as many rounds as an input says."""
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [*inner, node("Identity", ["go"], ["more"]), node("Add", ["state", "z"], ["next"], name="add")], "body",
        [info("round", TensorProto.INT64, []), info("go", TensorProto.BOOL, []), info("state", TensorProto.FLOAT, None)],
        [info("more", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, None)],
    )  # fmt: skip
    return [node("ReduceMax", ["x"], ["m"], keepdims=0), node("Cast", ["m"], ["n"], to=TensorProto.INT64),
            node("Loop", ["n", "", "x"], ["y"], name="loop", body=body)]  # fmt: skip


W = {"w": weights(4, 4), "v": weights(4, 4, seed=1)}
P = [0, 2, 3, 1]
CASES = {
    "two products": ("merge-parallel", X, W,
        [node("MatMul", ["x", "w"], ["a"], name="q"), node("MatMul", ["x", "v"], ["b"], name="k"),
         node("Exp", ["a"], ["ae"]), node("Sub", ["ae", "b"], ["y"])],
        "'q': remark: left as it is: with a Split behind it, one node in place of 2 is no fewer"),
    "other forms": ("merge-parallel", IMAGE, {"w": weights(4, 4, 1, 1), "v": weights(4, 4, 3, 3)},
        [node("Conv", ["x", "w"], ["a"], name="q"), node("Conv", ["x", "v"], ["b"], name="k", pads=[1] * 4),
         node("Add", ["a", "b"], ["ab"]), node("Exp", ["a"], ["ae"]), node("Exp", ["b"], ["be"]), node("Sub", ["ae", "be"], ["s"]), node("Mul", ["ab", "s"], ["y"])],
        "'k': remark: left as it is: 'q' has its input, too, but another form"),
    "weights of the run": ("merge-parallel", X, W,
        [node("Transpose", ["x"], ["t"], perm=[1, 0]), node("MatMul", ["x", "t"], ["a"], name="q"),
         node("MatMul", ["x", "w"], ["b"], name="k"), node("MatMul", ["a", "b"], ["y"])],
        "'q': remark: left as it is: 'k' has its input, too, but its weights are no matrix or kernel of constants"),
    "an order that a node needs": ("cancel-transposes", IMAGE, {},
        [node("Transpose", ["x"], ["t"], name="t", perm=P), node("Softmax", ["t"], ["s"], axis=-1, name="s"),
         node("Flatten", ["s"], ["y"], name="f", axis=3)],
        "'t': remark: left as it is: "),
    "an operator of an order": ("cancel-transposes", IMAGE, {},
        [node("Transpose", ["x"], ["t"], name="t", perm=P), node("Flatten", ["t"], ["y"], name="f", axis=2)],
        "'t': remark: left as it is: 'f' (Flatten) needs the axes in this order"),
    "transposes elsewhere": ("cancel-transposes", IMAGE, {},
        [node("Transpose", ["x"], ["t"], name="t", perm=P), node("Relu", ["t"], ["y"], name="r")],
        "'t': remark: left as it is: around what reads it, others would be needed in its place"),
    "an output": ("cancel-transposes", IMAGE, {},
        [node("Transpose", ["x"], ["y"], name="t", perm=P)],
        "'t': remark: left as it is: the graph gives it back"),
    "a condition of the run": ("hoist-invariants", X, {"c": np.float32(1)}, constant_branches(),
        "'if': remark: left as it is: its condition is not a constant"),
    "what only a branch computes": ("hoist-invariants", X, {"c": np.float32(1)}, constant_branches(),
        "'a': remark: left as it is: only a branch computes it"),
    "what may fail": ("hoist-invariants", X, {"i": np.array([9])},
        loop([node("Gather", ["x", "i"], ["g"], name="gather"), node("ReduceSum", ["g"], ["z"], keepdims=0)]),
        "'gather': remark: left as it is: it may fail, and the loop may not run at all"),
    "what differs": ("hoist-invariants", X, {}, loop([node("RandomNormalLike", ["x"], ["z"], name="random")]),
        "'random': remark: left as it is: each run of it gives other numbers"),
    "one step": ("recognize-recurrence", {"x": [2, 3, 4], "h": [2, 4]}, {**W, "i": np.array(0)},
        [node("Gather", ["x", "i"], ["x0"], axis=1), node("MatMul", ["x0", "w"], ["a"]),
         node("MatMul", ["h", "v"], ["b"]), node("Add", ["a", "b"], ["ab"]), node("Tanh", ["ab"], ["y"], name="step")],
        "'step': remark: left as it is: a step of RNN, but no other step is in front of or behind it"),
    "other numbers": ("recognize-activations", X, {"three": F(3), "low": F(0), "high": F(6), "c": F(0.2)},
        [node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "low", "high"], ["b"]), node("Mul", ["x", "b"], ["d"]),
         node("Mul", ["d", "c"], ["y"], name="swish")],
        "'swish': remark: left as it is: the numbers are not those of an activation"),
    "an older set": ("recognize-activations", X, {},
        [node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"], name="swish")],
        "'swish': remark: left as it is: the operator set that is written has no such activation"),
    "a threshold": ("recognize-activations", X, {"one": F(1), "t": F(2)},
        [node("Exp", ["x"], ["e"]), node("Add", ["e", "one"], ["p"]), node("Log", ["p"], ["l"]),
         node("Greater", ["x", "t"], ["g"]), node("Where", ["g", "x", "l"], ["y"], name="where")],
        "'where': remark: left as it is: below that threshold, a softplus is not yet its argument"),
    "a large constant": ("fold-constants", {"x": [2048, 512]}, {"c": weights(1, 1), "s": np.array([2048, 512])},
        [node("Expand", ["c", "s"], ["e"], name="expand"), node("Cos", ["e"], ["f"]), node("Add", ["x", "f"], ["y"])],
        "'expand': remark: left as it is: its result is more than twice as large as its operands"),
    "a power": ("reduce-strength", X, {"c": F(3)}, [node("Pow", ["x", "c"], ["y"], name="pow")],
        "'pow': remark: left as it is: no operator has that power"),
    "a square": ("reduce-strength", X, {"c": F(2)}, [node("Pow", ["x", "c"], ["y"], name="pow")],
        "'pow': remark: is Mul"),
    "other transposes": ("sink-node-transposes", {"x": [3, 3, 3]}, {},
        [node("Transpose", ["x"], ["a"], perm=[0, 2, 1]), node("Transpose", ["x"], ["b"], perm=[1, 0, 2]),
         node("Sub", ["a", "b"], ["y"], name="sub")],
        "'sub': remark: left as it is: its operands are transposed in different ways"),
    "a cast that rounds": ("remove-identities", X, {},
        [node("Cast", ["x"], ["h"], to=10), node("Cast", ["h"], ["y"], to=1, name="cast")],
        "'cast': remark: left as it is: the Cast in front of it rounds"),
    "training": ("remove-identities", X, {"r": F(0.5), "t": np.array(True)},
        [node("Dropout", ["x", "r", "t"], ["y"], name="drop")],
        "'drop': remark: left as it is: it may be run for training"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_remark(case, tmp_path):
    name, inputs, constants, nodes, expected = CASES[case]
    outputs = {"y": None}
    lines = run_remarks(make_model(nodes, inputs, outputs, constants, opset=18), f"dlc-{name}", tmp_path)
    assert any(line.startswith("node " + expected) for line in lines), lines
    assert len(lines) == len(set(lines))
