"""Loops that exporters write out step by step become RNN, LSTM and GRU."""

import pathlib
import sys

import numpy as np
import pytest
from onnx import helper, numpy_helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import check_same, count, emit, make_model  # noqa: E402

node = helper.make_node
F = np.float32
T, B, I, H = 4, 2, 3, 5  # noqa: E741


def weights(*shape, seed=0):
    return (np.random.default_rng(seed + sum(shape)).standard_normal(shape) * 0.5).astype(F)


def sums(kind, t, x, h, constants, layer=""):
    """What the gates of a step are made of, torch's and TensorFlow's way."""
    gates = {"LSTM": 4, "GRU": 3, "RNN": 1}[kind.split()[0]]
    size = H if layer else I
    constants |= {"w" + layer: weights(gates * H, size), "r" + layer: weights(gates * H, H, seed=1),
                  "b" + layer: weights(gates * H), "d" + layer: weights(gates * H, seed=1)}  # fmt: skip
    if "joined" in kind:
        constants["k"] = np.concatenate([constants["w"].T, constants["r"].T])
        return [node("Concat", [x, h], [f"j{t}"], axis=1), node("MatMul", [f"j{t}", "k"], [f"m{t}"]),
                node("Add", [f"m{t}", "b"], [f"s{t}"])]  # fmt: skip
    nodes = [node("Gemm", [x, "w" + layer, "b" + layer], [f"gi{t}"], transB=1),
             node("Gemm", [h, "r" + layer, "d" + layer], [f"gh{t}"], transB=1)]  # fmt: skip
    return nodes + ([node("Add", [f"gi{t}", f"gh{t}"], [f"s{t}"])] if gates != 3 else [])


def step(kind, t, x, h, c, constants, layer=""):
    """Nodes that make h<t> (and c<t>)."""
    nodes = sums(kind, t, x, h, constants, layer)
    if kind.startswith("RNN"):
        return [*nodes, node("Relu" if "relu" in kind else "Tanh", [f"s{t}"], [f"h{t}"])]
    if kind.startswith("LSTM"):
        constants["cut"] = np.array([H] * 4)
        i, f, g, o = "ifgo"
        if "keras" in kind:
            i, f, o, g = "ifgo"
        names = {"i": i, "f": f, "g": g, "o": o}
        return [*nodes, node("Split", [f"s{t}", "cut"], [f"{n}{t}" for n in "ifgo"], axis=1),
                node("Sigmoid", [names["i"] + str(t)], [f"I{t}"]),
                node("Sigmoid", [names["f"] + str(t)], [f"F{t}"]),
                node("Tanh", [names["g"] + str(t)], [f"G{t}"]),
                node("Sigmoid", [names["o"] + str(t)], [f"O{t}"]),
                node("Mul", [f"F{t}", c], [f"fc{t}"]), node("Mul", [f"I{t}", f"G{t}"], [f"ig{t}"]),
                node("Add", [f"fc{t}", f"ig{t}"], [f"c{t}"]), node("Tanh", [f"c{t}"], [f"tc{t}"]),
                node("Mul", [f"O{t}", f"tc{t}"], [f"h{t}"])]  # fmt: skip
    constants |= {"cut": np.array([H] * 3), "one": F(1)}
    nodes += [node("Split", [f"gi{t}", "cut"], [f"ir{t}", f"iz{t}", f"in{t}"], axis=1),
              node("Split", [f"gh{t}", "cut"], [f"hr{t}", f"hz{t}", f"hn{t}"], axis=1),
              node("Add", [f"ir{t}", f"hr{t}"], [f"ar{t}"]), node("Sigmoid", [f"ar{t}"], [f"R{t}"]),
              node("Add", [f"iz{t}", f"hz{t}"], [f"az{t}"]), node("Sigmoid", [f"az{t}"], [f"Z{t}"]),
              node("Mul", [f"R{t}", f"hn{t}"], [f"rn{t}"]), node("Add", [f"in{t}", f"rn{t}"], [f"an{t}"]),
              node("Tanh", [f"an{t}"], [f"N{t}"])]  # fmt: skip
    if "mixed" in kind:
        return [*nodes, node("Sub", ["one", f"Z{t}"], [f"u{t}"]), node("Mul", [f"u{t}", f"N{t}"], [f"un{t}"]),
                node("Mul", [f"Z{t}", h], [f"zh{t}"]), node("Add", [f"un{t}", f"zh{t}"], [f"h{t}"])]  # fmt: skip
    return [*nodes, node("Sub", [h, f"N{t}"], [f"u{t}"]), node("Mul", [f"Z{t}", f"u{t}"], [f"zu{t}"]),
            node("Add", [f"N{t}", f"zu{t}"], [f"h{t}"])]  # fmt: skip


def unrolled(kind, *, out="stack", zeros=False, batch_first=True, order=range(T), leak=False):
    """A model of x (and the first state h) to the states or the last of them."""
    constants = {f"at{t}": np.array(t) for t in range(T)}
    axis = 1 if batch_first else 0
    constants |= {"axis": np.array([axis]), "rows": np.array([B, H])}
    nodes = []
    if zeros:
        constants |= {"h": np.zeros((B, H), F)}
    constants["c"] = np.zeros((B, H), F) if zeros else weights(B, H)
    h, c = "h", "c"
    for t in order:
        nodes.append(node("Gather", ["x", f"at{t}"], [f"x{t}"], axis=axis))
        nodes += step(kind, t, f"x{t}", h, c, constants)
        h, c = f"h{t}", f"c{t}"
    if out == "stack":
        nodes += [node("Unsqueeze", [f"h{t}", "axis"], [f"q{t}"]) for t in order]
        nodes.append(node("Concat", [f"q{t}" for t in order], ["y"], axis=axis))
    elif out == "some":
        nodes.append(node("Sub", [h, "h1"], ["y"]))
    else:
        nodes.append(node("Neg", [h], ["y"]))
    if leak:
        nodes[-1].output[0] = "y0"
        nodes.append(node("Add", ["y0", "c1"], ["y"]))
    x = [B, T, I] if batch_first else [T, B, I]
    y = ([B, T, H] if batch_first else [T, B, H]) if out == "stack" else [B, H]
    inputs = {"x": x} if zeros else {"x": x, "h": [B, H]}
    return make_model(nodes, inputs, {"y": y}, constants, opset=18)


KINDS = ["RNN", "RNN relu", "RNN joined", "LSTM", "LSTM keras", "LSTM joined", "GRU", "GRU mixed"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("options", [
    {}, {"batch_first": False}, {"zeros": True}, {"out": "last"}, {"out": "some"},
    {"out": "last", "order": range(T - 1, -1, -1)},
    {"out": "some", "order": range(T - 1, -1, -1), "batch_first": False},
], ids=str)  # fmt: skip
def test_steps(kind, options, tmp_path):
    model = unrolled(kind, **options)
    after = emit(model, tmp_path)
    assert count(after)[kind.split()[0]] == 1
    assert not {"Sigmoid", "Gemm", "MatMul"} & set(count(after))
    check_same(model, after)


@pytest.mark.parametrize(
    "kind, options",
    [("RNN", {"order": range(T - 1)}), ("LSTM", {"order": [0, 2, 1, 3]}),
     ("GRU", {"order": range(1, T)}), ("LSTM", {"out": "last", "leak": True})],
)  # fmt: skip
def test_steps_that_stay(kind, options, tmp_path):
    """Not all of the sequence, another order, a cell state that is wanted."""
    options = {"out": "last", **options}
    model = unrolled(kind, **options)
    after = emit(model, tmp_path)
    assert not {"RNN", "LSTM", "GRU"} & set(count(after))
    check_same(model, after)


@pytest.mark.parametrize("kind", ["RNN", "LSTM"])
def test_one_state_for_all_of_a_batch(kind, tmp_path):
    """The operators want one for each; the first step stays, or all do."""
    model = unrolled(kind, out="last")
    for tensor in model.graph.initializer:
        if tensor.name == "c":
            tensor.CopyFrom(numpy_helper.from_array(weights(1, H), "c"))
    model.graph.input[1].type.tensor_type.shape.dim[0].dim_value = 1
    after = emit(model, tmp_path)
    assert "MatMul" in count(after) or "Gemm" in count(after)
    check_same(model, after)


def test_two_layers(tmp_path):
    constants = {f"at{t}": np.array(t) for t in range(T)} | {"h": weights(B, H), "c": weights(B, H)}
    nodes, h, c, g, d = [], "h", "c", "h", "c"
    for t in range(T):
        nodes.append(node("Gather", ["x", f"at{t}"], [f"x{t}"], axis=0))
        nodes += step("LSTM", t, f"x{t}", h, c, constants)
        h, c = f"h{t}", f"c{t}"
        nodes += step("LSTM", f"{t}u", h, g, d, constants, "u")
        g, d = f"h{t}u", f"c{t}u"
    nodes.append(node("Neg", [g], ["y"]))
    model = make_model(nodes, {"x": [T, B, I]}, {"y": [B, H]}, constants, opset=18)
    after = emit(model, tmp_path)
    assert count(after) == {"LSTM": 2, "Squeeze": 2, "Neg": 1}
    check_same(model, after)
