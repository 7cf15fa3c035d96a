"""Rotary embedding of halves, or of pairs, that exporters turn one by one."""

import pathlib
import sys

import numpy as np
import pytest
from onnx import helper, numpy_helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import count, emit, evaluate  # noqa: E402

F = np.float32
HEADS, LENGTH, DEPTH, MOST = 3, 5, 8, 16
HALF = DEPTH // 2
ANGLES = np.arange(MOST)[:, None] / 10 ** np.linspace(0, 2, HALF)
CONSTANTS = {
    "i0": np.array([0]), "i1": np.array([1]), "i2": np.array([2]), "i4": np.array([4]),
    "last": np.array([-1]), "end": np.array([1 << 62]), "halves": np.array([HALF, HALF]),
    "both": np.array([0, 1]), "s0": np.array(0), "s1": np.array(1),
    "flat": np.array([0, 0, 0, DEPTH]), "pairs": np.array([0, 0, 0, HALF, 2]), "ones": np.array([1, 1]),
}  # fmt: skip


def node(op, inputs, outputs, **attributes):
    return helper.make_node(op, inputs, outputs, **attributes)


def parts(form):
    """The nodes for x1 and x2."""
    if form in ("split", "negated"):
        return [node("Split", ["x", "halves"], ["x1", "x2"], axis=3)]
    if form == "slices":
        return [node("Slice", ["x", "i0", "i4", "last"], ["x1"]),
                node("Slice", ["x", "i4", "end", "last"], ["x2"])]  # fmt: skip
    if form == "pairs":
        return [node("Slice", ["x", "i0", "end", "last", "i2"], ["x1"]),
                node("Slice", ["x", "i1", "end", "last", "i2"], ["x2"])]  # fmt: skip
    nodes = [node("Reshape", ["x", "pairs"], ["xp"])]
    if form == "gathered pairs":
        return nodes + [node("Gather", ["xp", "s0"], ["x1"], axis=-1), node("Gather", ["xp", "s1"], ["x2"], axis=-1)]
    return nodes + [node("Split", ["xp", "ones"], ["xa", "xb"], axis=-1),
                    node("Squeeze", ["xa", "last"], ["x1"]), node("Squeeze", ["xb", "last"], ["x2"])]  # fmt: skip


def tables(kind, length, batch, angles=ANGLES):
    """The nodes for cos and sin, their constants, and more inputs."""
    nodes, constants, inputs = [], {}, {}
    for name in ("cos", "sin"):
        table = getattr(np, name)(angles).astype(F)
        if kind == "constant":
            constants[name] = table[:LENGTH]
        elif kind == "constant of four":
            constants[name] = table[None, None, :LENGTH]
        elif kind == "input":
            inputs[name] = (F, [length, HALF])
        elif kind == "input of four":
            inputs[name] = (F, [batch, 1, length, HALF])
        elif kind == "of each head":
            constants[name] = np.stack([np.roll(table[:LENGTH], i) for i in range(HEADS)])
        elif kind == "gathered":
            constants[name + "_all"] = table
            inputs["positions"] = (np.int64, [batch, length])
            nodes += [node("Gather", [name + "_all", "positions"], [name + "3"]),
                      node("Unsqueeze", [name + "3", "i1"], [name])]  # fmt: skip
        elif kind == "sliced":
            constants[name + "_all"] = table
            constants["i3"] = np.array([2])
            nodes += [node("Shape", ["x"], [name + "_shape"]),
                      node("Gather", [name + "_shape", "i3"], [name + "_n"]),
                      node("Slice", [name + "_all", "i0", name + "_n", "i0"], [name + "2"]),
                      node("Unsqueeze", [name + "2", "both"], [name])]  # fmt: skip
    return nodes, constants, inputs


def make(form, kind, batch, length, change=None, element=F):
    nodes, constants, inputs = tables(kind, length, batch)
    x1, x2 = ("x2", "x1") if change == "other halves" else ("x1", "x2")
    nodes += parts(form)
    if form == "negated":
        nodes += [node("Neg", ["x2"], ["n"]), node("Mul", ["n", "sin"], ["p"])]
    else:
        nodes += [node("Mul", [x2, "sin"], ["p"])]
    nodes += [node("Mul", ["cos", x1], ["o"]), node("Add" if form == "negated" else "Sub", ["o", "p"], ["a"]),
              node("Mul", [x2, "sin" if change == "other tables" else "cos"], ["q"]), node("Mul", [x1, "sin"], ["r"]),
              node("Add", ["r", "q"], ["b"])]  # fmt: skip
    if form.endswith("pairs"):
        nodes += [node("Unsqueeze", ["a", "last"], ["au"]), node("Unsqueeze", ["b", "last"], ["bu"]),
                  node("Concat", ["au", "bu"], ["ab"], axis=-1), node("Reshape", ["ab", "flat"], ["y"])]  # fmt: skip
    else:
        nodes.append(node("Concat", ["b", "a"] if change == "turned" else ["a", "b"], ["y"], axis=-1))
    outputs = ["y"] + (["o"] if change == "product is an output" else [])
    return build(nodes, constants, inputs, outputs, batch, length, element)


def make_at_once(form, kind, batch, length, angles):
    """x * cos + turned x * sin."""
    nodes, constants, inputs = tables(kind, length, batch, angles)
    nodes += [*parts(form), node("Neg", ["x2"], ["n"])]
    if form == "pairs":
        nodes += [node("Unsqueeze", ["n", "last"], ["nu"]), node("Unsqueeze", ["x1", "last"], ["xu"]),
                  node("Concat", ["nu", "xu"], ["nx"], axis=-1), node("Reshape", ["nx", "flat"], ["t"])]  # fmt: skip
    else:
        nodes.append(node("Concat", ["n", "x1"], ["t"], axis=-1))
    nodes += [node("Mul", ["t", "sin"], ["p"]), node("Mul", ["x", "cos"], ["q"]), node("Add", ["q", "p"], ["y"])]
    return build(nodes, constants, inputs, ["y"], batch, length)


def build(nodes, constants, inputs, outputs, batch, length, element=F):
    def kind_of(dtype):
        return helper.np_dtype_to_tensor_dtype(np.dtype(element if dtype == F else dtype))

    constants = CONSTANTS | constants
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(n, kind_of(t), s)
         for n, (t, s) in {"x": (F, [batch, HEADS, length, DEPTH]), **inputs}.items()],
        [helper.make_tensor_value_info(n, kind_of(F), None) for n in outputs],
        [numpy_helper.from_array(v.astype(element) if v.dtype == F else v, n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)


def check(before, after, tolerance=1e-5):
    rng = np.random.default_rng(1)
    known = {"b": 2, "n": LENGTH}
    inputs = {}
    for value in before.graph.input:
        kind = value.type.tensor_type
        shape = [d.dim_value or known[d.dim_param] for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        inputs[value.name] = (rng.integers(0, MOST, shape) if dtype == np.int64
                              else rng.standard_normal(shape)).astype(dtype)  # fmt: skip
    for x, y in zip(evaluate(before, inputs), evaluate(after, inputs), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)


KINDS = ["constant", "constant of four", "input", "input of four", "gathered", "sliced"]
OTHER_FORMS = ["slices", "negated", "gathered pairs", "squeezed pairs"]


@pytest.mark.parametrize(
    "form, kind", [(f, k) for f in ("split", "pairs") for k in KINDS] + [(f, "input") for f in OTHER_FORMS]
)
@pytest.mark.parametrize("batch, length", [(1, "n"), (2, LENGTH), ("b", LENGTH), ("b", "n")])
def test_halves_one_by_one(form, kind, batch, length, tmp_path):
    if kind.startswith("constant") and length != LENGTH:
        pytest.skip("a constant has one length")
    model = make(form, kind, batch, length)
    after = emit(model, tmp_path, "--opset=23")
    found = count(after)
    assert found["RotaryEmbedding"] == 1 and not found["Mul"] + found["Split"] + found["Sub"], found
    # One of a table each, and where there is one for a batch, what repeats it.
    most = {"constant": 1, "constant of four": 1, "gathered": 3, "sliced": 7}.get(kind, 3)
    repeated = 0 if batch == 1 else 2 if batch == 2 else 4
    assert len(after.graph.node) <= most + repeated, found
    check(model, after)


@pytest.mark.parametrize("change", ["other halves", "other tables", "turned", "product is an output"])
def test_halves_that_stay(change, tmp_path):
    model = make("split", "constant", 2, LENGTH, change)
    after = emit(model, tmp_path, "--opset=23")
    assert not count(after)["RotaryEmbedding"]
    check(model, after)


def test_table_of_each_head(tmp_path):
    model = make("split", "of each head", 2, LENGTH)
    after = emit(model, tmp_path, "--opset=23")
    assert not count(after)["RotaryEmbedding"]
    check(model, after)


@pytest.mark.parametrize("element, is_rotary", [(np.float16, True), (np.float64, False)])
def test_types(element, is_rotary, tmp_path):
    """The operator is one of numbers up to float32."""
    model = make("split", "constant", 2, LENGTH, element=element)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["RotaryEmbedding"] == is_rotary
    check(model, after, 1e-2 if element == np.float16 else 1e-12)


@pytest.mark.parametrize("form", ["split", "pairs"])
@pytest.mark.parametrize("kind", ["constant", "gathered", "sliced"])
@pytest.mark.parametrize("batch", [1, 2, "b"])
@pytest.mark.parametrize("isSame", [True, False])
def test_rows_of_a_table_of_all_positions(form, kind, batch, isSame, tmp_path):
    """Each number is in a row twice, or is not."""
    order = np.arange(DEPTH) % HALF if form == "split" else np.arange(DEPTH) // 2
    if not isSame:
        order[1] = HALF - 1
    length = LENGTH if kind == "constant" else "n"
    model = make_at_once(form, kind, batch, length, ANGLES[:, order])
    after = emit(model, tmp_path, "--opset=23")
    found = count(after)
    assert found["RotaryEmbedding"] == isSame and (found["Mul"] + found["Neg"] > 0) != isSame, found
    check(model, after)
