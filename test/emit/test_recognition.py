"""What exporters scatter collapses to one operator, with the same values: a
table of the forms."""

import math
import pathlib
import subprocess
import sys

import numpy as np
import pytest
from onnx import helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import DLC, check_same, count, emit, make_model  # noqa: E402

node = helper.make_node
F = np.float32


def weights(*shape, seed=0):
    return (np.random.default_rng(seed + sum(shape)).standard_normal(shape) * 0.3).astype(F)


def scalars(**values):
    return {name: F(value) for name, value in values.items()}


def gelu_erf(order):
    """x / 2 * (1 + erf(x / sqrt 2)) in three orders, and with a product."""
    constants = scalars(root=math.sqrt(2), half=0.5, one=1, inverse=1 / math.sqrt(2))
    scaled = node("Mul" if order == "product" else "Div",
                  ["x", "inverse" if order == "product" else "root"], ["a"])  # fmt: skip
    gate = [scaled, node("Erf", ["a"], ["b"]), node("Add", ["b", "one"], ["c"])]
    last = {
        "half first": [node("Mul", ["x", "half"], ["d"]), node("Mul", ["d", "c"], ["y"])],
        "half last": [node("Mul", ["x", "c"], ["d"]), node("Mul", ["d", "half"], ["y"])],
        "half in gate": [node("Mul", ["half", "c"], ["d"]), node("Mul", ["x", "d"], ["y"])],
        "product": [node("Mul", ["x", "c"], ["d"]), node("Mul", ["d", "half"], ["y"])],
    }
    return gate + last[order], constants


def gelu_tanh(form):
    constants = scalars(k=0.044715, s=math.sqrt(2 / math.pi), half=0.5, one=1, three=3)
    if form == "power":
        inner = [node("Pow", ["x", "three"], ["a"]), node("Mul", ["a", "k"], ["b"]),
                 node("Add", ["x", "b"], ["c"]), node("Mul", ["c", "s"], ["d"])]  # fmt: skip
    else:
        inner = [node("Mul", ["x", "x"], ["a"]), node("Mul", ["a", "k"], ["b"]),
                 node("Add", ["b", "one"], ["c"]), node("Mul", ["x", "c"], ["e"]),
                 node("Mul", ["e", "s"], ["d"])]  # fmt: skip
    rest = [node("Tanh", ["d"], ["f"]), node("Add", ["f", "one"], ["g"]),
            node("Mul", ["x", "g"], ["h"]), node("Mul", ["h", "half"], ["y"])]  # fmt: skip
    return inner + rest, constants


def relu6_gate(hard):
    constants = scalars(three=3, zero=0, six=6)
    nodes = [node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["b"])]
    if hard == "HardSigmoid":
        return [*nodes, node("Div", ["b", "six"], ["y"])], constants
    return [*nodes, node("Mul", ["x", "b"], ["c"]), node("Div", ["c", "six"], ["y"])], constants


ACTIVATIONS = {
    "gelu, half first": ("Gelu", gelu_erf("half first")),
    "gelu, half last": ("Gelu", gelu_erf("half last")),
    "gelu, half in the gate": ("Gelu", gelu_erf("half in gate")),
    "gelu, a product": ("Gelu", gelu_erf("product")),
    "gelu, tanh of a power": ("Gelu", gelu_tanh("power")),
    "gelu, tanh of products": ("Gelu", gelu_tanh("products")),
    "hard swish": ("HardSwish", relu6_gate("HardSwish")),
    "hard sigmoid": ("HardSigmoid", relu6_gate("HardSigmoid")),
    "mish": ("Mish", ([node("Softplus", ["x"], ["a"]), node("Tanh", ["a"], ["b"]),
                       node("Mul", ["x", "b"], ["y"])], {})),
    "softplus": ("Softplus", ([node("Exp", ["x"], ["a"]), node("Add", ["a", "one"], ["b"]),
                               node("Log", ["b"], ["y"])], scalars(one=1))),
    "swish": ("Swish", ([node("Sigmoid", ["x"], ["a"]), node("Mul", ["x", "a"], ["y"])], {})),
    "sigmoid": ("Sigmoid", ([node("Neg", ["x"], ["a"]), node("Exp", ["a"], ["b"]),
                             node("Add", ["b", "one"], ["c"]), node("Div", ["one", "c"], ["y"])],
                            scalars(one=1))),
}  # fmt: skip


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activation(name, tmp_path):
    expected, (nodes, constants) = ACTIVATIONS[name]
    model = make_model(nodes, {"x": [2, 5]}, {"y": [2, 5]}, constants)
    opset = 24 if expected == "Swish" else 21
    after = emit(model, tmp_path, f"--opset={opset}")
    assert count(after) == {expected: 1}
    check_same(model, after)


def centred(axes, shape, *, power=True):
    constants = {"ax": np.array(axes), **scalars(two=2, e=1e-5)}
    square = node("Pow", ["d", "two"], ["q"]) if power else node("Mul", ["d", "d"], ["q"])
    nodes = [node("ReduceMean", ["x", "ax"], ["m"]), node("Sub", ["x", "m"], ["d"]), square,
             node("ReduceMean", ["q", "ax"], ["v"]), node("Add", ["v", "e"], ["w"]),
             node("Sqrt", ["w"], ["s"]), node("Div", ["d", "s"], ["n"])]  # fmt: skip
    return nodes, constants


@pytest.mark.parametrize("power", [True, False])
def test_layer_normalization(power, tmp_path):
    nodes, constants = centred([-1], (2, 3, 8), power=power)
    nodes += [node("Mul", ["n", "g"], ["k"]), node("Add", ["k", "b"], ["y"])]
    constants |= {"g": weights(8), "b": weights(8, seed=1)}
    model = make_model(nodes, {"x": [2, 3, 8]}, {"y": [2, 3, 8]}, constants, opset=18)
    after = emit(model, tmp_path)
    assert count(after) == {"LayerNormalization": 1}
    check_same(model, after)


@pytest.mark.parametrize("form", ["moments", "another mean"])
def test_layer_normalization_of_tensorflow(form, tmp_path):
    """x * g + (bias - mean * g), and the near miss with the mean of all."""
    nodes, constants = centred([-1], (2, 3, 8), power=False)
    nodes = nodes[:-1] + [
        node("Reciprocal", ["s"], ["r"]), node("Mul", ["r", "g"], ["rg"]),
        node("Mul", ["x", "rg"], ["xg"]), node("ReduceMean", ["x", "all"], ["ma"]),
        node("Mul", ["m" if form == "moments" else "ma", "rg"], ["mg"]),
        node("Sub", ["b", "mg"], ["c"]), node("Add", ["xg", "c"], ["y"])]  # fmt: skip
    constants |= {"g": weights(8), "b": weights(8, seed=1), "all": np.array([1, 2])}
    model = make_model(nodes, {"x": [2, 3, 8]}, {"y": [2, 3, 8]}, constants, opset=18)
    after = emit(model, tmp_path)
    if form == "moments":
        assert count(after) == {"LayerNormalization": 1}
    else:
        assert "LayerNormalization" not in count(after)
    check_same(model, after)


def test_instance_normalization(tmp_path):
    nodes, constants = centred([2, 3], (2, 3, 4, 5))
    nodes += [node("Mul", ["n", "g"], ["k"]), node("Add", ["k", "b"], ["y"])]
    constants |= {"g": weights(3, 1, 1), "b": weights(3, 1, 1, seed=1)}
    model = make_model(nodes, {"x": [2, 3, 4, 5]}, {"y": [2, 3, 4, 5]}, constants, opset=18)
    after = emit(model, tmp_path)
    assert count(after) == {"InstanceNormalization": 1}
    check_same(model, after)


def test_rms_normalization(tmp_path):
    nodes = [node("Pow", ["x", "two"], ["q"]), node("ReduceMean", ["q", "ax"], ["v"]),
             node("Add", ["v", "e"], ["w"]), node("Sqrt", ["w"], ["s"]),
             node("Reciprocal", ["s"], ["r"]), node("Mul", ["x", "r"], ["n"]),
             node("Mul", ["g", "n"], ["y"])]  # fmt: skip
    constants = {"ax": np.array([-1]), "g": weights(8), **scalars(two=2, e=1e-6)}
    model = make_model(nodes, {"x": [2, 3, 8]}, {"y": [2, 3, 8]}, constants, opset=18)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after) == {"RMSNormalization": 1}
    check_same(model, after)
    # The operator is newer than what is asked for.
    assert "RMSNormalization" not in count(emit(model, tmp_path, "--opset=21"))


def test_group_normalization(tmp_path):
    nodes = [node("Reshape", ["x", "split"], ["a"]),
             node("InstanceNormalization", ["a", "ones", "zeros"], ["b"], epsilon=1e-5),
             node("Reshape", ["b", "whole"], ["c"]), node("Mul", ["c", "g"], ["d"]),
             node("Add", ["d", "h"], ["y"])]  # fmt: skip
    constants = {"split": np.array([0, 2, -1]), "whole": np.array([2, 4, 3, 3]),
                 "ones": np.ones(2, F), "zeros": np.zeros(2, F),
                 "g": weights(4, 1, 1), "h": weights(4, 1, 1, seed=1)}  # fmt: skip
    model = make_model(nodes, {"x": [2, 4, 3, 3]}, {"y": [2, 4, 3, 3]}, constants)
    after = emit(model, tmp_path)
    assert count(after) == {"GroupNormalization": 1}
    check_same(model, after)


def test_scattered_batch_normalization(tmp_path):
    """Of a convolution it becomes a part; alone it is the operator."""
    nodes = [node("Sub", ["c", "m"], ["d"]), node("Div", ["d", "s"], ["e"]),
             node("Mul", ["e", "g"], ["f"]), node("Add", ["f", "b"], ["y"])]  # fmt: skip
    constants = {n: weights(4, 1, 1, seed=i) for i, n in enumerate("mgb")}
    constants["s"] = np.abs(weights(4, 1, 1, seed=9)) + F(1)
    alone = make_model(nodes, {"c": [2, 4, 6, 6]}, {"y": [2, 4, 6, 6]}, constants)
    after = emit(alone, tmp_path)
    assert count(after) == {"BatchNormalization": 1}
    check_same(alone, after)
    conv = node("Conv", ["x", "w"], ["c"], pads=[1] * 4)
    model = make_model([conv, *nodes], {"x": [2, 3, 6, 6]}, {"y": [2, 4, 6, 6]},
                       {**constants, "w": weights(4, 3, 3, 3)})  # fmt: skip
    after = emit(model, tmp_path)
    assert count(after) == {"Conv": 1}
    check_same(model, after)


def batch_norm(x, y, channels, constants):
    names = [f"{y}.{part}" for part in ("scale", "bias", "mean", "var")]
    for i, name in enumerate(names):
        constants[name] = weights(channels, seed=i)
    constants[names[3]] = np.abs(constants[names[3]]) + F(0.5)
    return node("BatchNormalization", [x, *names], [y])


def test_repvgg(tmp_path):
    """A window, a smaller one and the identity, each normalised, are one."""
    constants = {"w3": weights(4, 4, 3, 3), "w1": weights(4, 4, 1, 1)}
    nodes = [node("Conv", ["x", "w3"], ["a"], pads=[1] * 4), batch_norm("a", "a1", 4, constants),
             node("Conv", ["x", "w1"], ["b"]), batch_norm("b", "b1", 4, constants),
             batch_norm("x", "c1", 4, constants), node("Add", ["a1", "b1"], ["d"]),
             node("Add", ["d", "c1"], ["e"]), node("Relu", ["e"], ["y"])]  # fmt: skip
    model = make_model(nodes, {"x": [1, 4, 8, 8]}, {"y": [1, 4, 8, 8]}, constants)
    after = emit(model, tmp_path)
    assert count(after) == {"Conv": 1, "Relu": 1}
    check_same(model, after)


B, S, H, D = 2, 5, 3, 4


def split(x, y, perm, shape):
    return [node("Reshape", [x, shape], [y + "r"]), node("Transpose", [y + "r"], [y], perm=perm)]


def attention(origin):
    """Between products for queries, keys and values and the one that follows,
    as the exporters of five origins write it."""
    constants = {n: weights(H * D, H * D, seed=i) for i, n in enumerate("abcd")}
    constants |= {"s4": np.array([B, S, H, D]), "s3": np.array([B, S, H * D]),
                  "s0": np.array([0, -1, H, D]), "s0j": np.array([0, 0, -1]),
                  "sm": np.array([-1, H * D]), **scalars(root=2, inv=0.5, quarter=math.sqrt(0.5)),
                  "mask": np.triu(np.full((1, 1, S, S), -1e4, F), 1)}  # fmt: skip
    nodes = [node("MatMul", ["x", w], [p]) for w, p in zip("abc", ("q3", "k3", "v3"))]
    shape = {"tf2onnx": "s4", "paddle2onnx": "s0"}.get(origin, "s4")
    nodes += split("q3", "q", [0, 2, 1, 3], shape) + split("v3", "v", [0, 2, 1, 3], shape)
    if origin in ("torch", "transformers"):
        nodes += split("k3", "kt", [0, 2, 3, 1], shape)
    else:
        nodes += split("k3", "k", [0, 2, 1, 3], shape)
        nodes += [node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2])]
    if origin == "torch":  # half of the scale on either side
        nodes += [node("Mul", ["q", "quarter"], ["qs"]), node("Mul", ["kt", "quarter"], ["ks"]),
                  node("MatMul", ["qs", "ks"], ["sc"])]  # fmt: skip
    elif origin == "paddle2onnx":  # queries
        nodes += [node("Mul", ["q", "inv"], ["qs"]), node("MatMul", ["qs", "kt"], ["sc"])]
    elif origin == "gpt2":
        nodes += [node("MatMul", ["q", "kt"], ["s"]), node("Mul", ["s", "inv"], ["sc"])]
    else:
        nodes += [node("MatMul", ["q", "kt"], ["s"]), node("Div", ["s", "root"], ["sc"])]
    masked = "sc"
    if origin in ("transformers", "tf2onnx", "gpt2"):
        nodes += [node("Add", ["sc", "mask"], ["ms"])]
        masked = "ms"
    nodes += [node("Softmax", [masked], ["p"], axis=-1), node("MatMul", ["p", "v"], ["o"]),
              node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3])]  # fmt: skip
    if origin == "gpt2":  # the product that follows is one of matrices
        nodes += [node("Reshape", ["ot", "sm"], ["j"]), node("Gemm", ["j", "d"], ["z"]),
                  node("Reshape", ["z", "s3"], ["y"])]  # fmt: skip
    else:
        nodes += [node("Reshape", ["ot", "s0j" if origin == "paddle2onnx" else "s3"], ["j"]),
                  node("MatMul", ["j", "d"], ["y"])]  # fmt: skip
    return make_model(nodes, {"x": [B, S, H * D]}, {"y": [B, S, H * D]}, constants)


@pytest.mark.parametrize("origin", ["torch", "transformers", "tf2onnx", "paddle2onnx", "gpt2"])
def test_attention(origin, tmp_path):
    model = attention(origin)
    after = emit(model, tmp_path, "--opset=23")
    # One product makes queries, keys and values.
    assert count(after) == {"MatMul": 2, "Split": 1, "Attention": 1}
    check_same(model, after)
    assert "Attention" not in count(emit(model, tmp_path, "--opset=22"))


@pytest.mark.parametrize("form", ["keys", "queries and keys", "chosen", "chosen and added"])
def test_masks_of_unknown_sizes(form, tmp_path):
    """Made of one number a token, as transformers, tf2onnx and torch do it."""
    constants = {n: weights(H * D, H * D, seed=i) for i, n in enumerate("abc")}
    constants |= {"s0": np.array([0, -1, H, D]), "s0j": np.array([0, 0, H * D]),
                  "twelve": np.array([1, 2]), "three": np.array([1, 3]), "last": np.array([2]),
                  **scalars(one=1, low=-1e4, lowest=np.finfo(F).min, zero=0)}  # fmt: skip
    nodes = [node("MatMul", ["x", w], [p]) for w, p in zip("abc", ("q3", "k3", "v3"))]
    for name, perm in (("q", [0, 2, 1, 3]), ("v", [0, 2, 1, 3]), ("k", [0, 2, 3, 1])):
        nodes += split(name + "3", name, perm, "s0")
    nodes += [node("MatMul", ["q", "k"], ["s"]), node("Unsqueeze", ["m", "twelve"], ["keys"])]
    if form == "queries and keys":
        nodes += [node("Unsqueeze", ["m", "three"], ["queries"]),
                  node("Mul", ["keys", "queries"], ["pairs"])]  # fmt: skip
    pairs = "pairs" if form == "queries and keys" else "keys"
    if form.startswith("chosen"):
        nodes += [node("Less", ["keys", "zero"], ["hidden"]),
                  node("Where", ["hidden", "lowest", "s"], ["w"])]  # fmt: skip
    else:
        nodes += [node("Sub", ["one", pairs], ["off"]), node("Mul", ["off", "low"], ["bias"]),
                  node("Add", ["s", "bias"], ["w"])]  # fmt: skip
    if form == "chosen and added":
        nodes += [node("Unsqueeze", ["m", "three"], ["queries"]),
                  node("Mul", ["keys", "queries"], ["pairs"]), node("Add", ["pairs", "w"], ["ww"])]  # fmt: skip
    nodes += [node("Softmax", ["ww" if form == "chosen and added" else "w"], ["p"], axis=-1),
              node("MatMul", ["p", "v"], ["o"]), node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
              node("Reshape", ["ot", "s0j"], ["y"])]  # fmt: skip
    model = make_model(nodes, {"x": ["b", "s", H * D], "m": ["b", "s"]}, {"y": ["b", "s", H * D]},
                       constants)  # fmt: skip
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["Attention"] == 1 and count(after)["Softmax"] == 0
    check_same(model, after)


def test_sizes_through_positions(tmp_path):
    """Positions are cut from a table and counted by the run, and the mask is made
    of them: the sizes are the input's all the way, for both ways to attention."""
    constants = {n: weights(H * D, H * D, seed=i) for i, n in enumerate("abc")}
    constants |= {"table": weights(1, 32, H * D), "s0": np.array([0, -1, H, D]), "i0": np.array(0),
                  "i1": np.array(1), "none": np.array([0]), "one": np.array([1]), "two": np.array([0, 1, 3]),
                  "three": np.array([0, 1, 2]), "s0j": np.array([0, 0, H * D]),
                  **scalars(low=-1e4, zero=0, half=0.5)}  # fmt: skip
    nodes = [node("Shape", ["x"], ["length"], start=1, end=2), node("Squeeze", ["length"], ["n"]),
             node("Slice", ["table", "none", "length", "one"], ["positions"]),
             node("Add", ["x", "positions"], ["e"]), node("Range", ["i0", "n", "i1"], ["r"]),
             node("Unsqueeze", ["r", "two"], ["rows"]), node("Unsqueeze", ["r", "three"], ["columns"]),
             node("LessOrEqual", ["columns", "rows"], ["seen"]), node("Where", ["seen", "zero", "low"], ["mask"])]  # fmt: skip
    nodes += [node("MatMul", ["e", w], [p]) for w, p in zip("abc", ("q3", "k3", "v3"))]
    for name, perm in (("q", [0, 2, 1, 3]), ("v", [0, 2, 1, 3]), ("k", [0, 2, 3, 1])):
        nodes += split(name + "3", name, perm, "s0")
    nodes += [node("MatMul", ["q", "k"], ["s"]), node("Mul", ["s", "half"], ["d"]),
              node("Add", ["d", "mask"], ["w"]), node("Softmax", ["w"], ["p"], axis=-1),
              node("MatMul", ["p", "v"], ["o"]), node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
              node("Reshape", ["ot", "s0j"], ["y"])]  # fmt: skip
    model = make_model(nodes, {"x": ["b", "s", H * D]}, {"y": ["b", "s", H * D]}, constants)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["Attention"] == 1
    check_same(model, after)
    done = subprocess.run([DLC, tmp_path / "in.onnx", "-target=sm_80", "--to=tensor"],
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stdout.count("dlc.attention") == 1


@pytest.mark.parametrize("axis", [-1, 2])
def test_attention_of_paddle(axis, tmp_path):
    """As paddle2onnx writes that of PP-OCR: one product, parts of a leading axis,
    sizes as int32, and the Softmax of set 11, which flattens. A Softmax over two
    axes is another one."""
    constants = {"w": weights(H * D, 3 * H * D), "n0": np.array([0]), "i1": np.array([1]),
                 "i2": np.array([2]), "i3": np.array([3]), "hd": np.array([3, H, D]),
                 "width": np.array([H * D], np.int32), "inv": F([0.5])}  # fmt: skip
    nodes = [node("MatMul", ["x", "w"], ["m"]), node("Shape", ["x"], ["s64"]),
             node("Cast", ["s64"], ["s32"], to=6), node("Slice", ["s32", "i1", "i2"], ["n"]),
             node("Cast", ["n"], ["length"], to=7),
             node("Concat", ["n0", "length", "hd"], ["five"], axis=0),
             node("Reshape", ["m", "five"], ["r"]), node("Transpose", ["r"], ["t"], perm=[2, 0, 3, 1, 4])]  # fmt: skip
    for name, begin, end in (("q", "n0", "i1"), ("k", "i1", "i2"), ("v", "i2", "i3")):
        nodes += [node("Slice", ["t", begin, end, "n0"], [name + "s"]),
                  node("Squeeze", [name + "s"], [name], axes=[0])]  # fmt: skip
    nodes += [node("Mul", ["q", "inv"], ["qi"]), node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]),
              node("MatMul", ["qi", "kt"], ["sc"]), node("Softmax", ["sc"], ["p"], axis=3 if axis == -1 else 2),
              node("MatMul", ["p", "v"], ["o"]), node("Transpose", ["o"], ["ot"], perm=[0, 2, 1, 3]),
              node("Cast", ["width"], ["w64"], to=7),
              node("Concat", ["n0", "length", "w64"], ["three"], axis=0),
              node("Reshape", ["ot", "three"], ["y"])]  # fmt: skip
    model = make_model(nodes, {"x": ["b", "s", H * D]}, {"y": ["b", "s", H * D]}, constants, opset=11)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["Attention"] == (axis == -1)
    assert count(after)["Softmax"] == (axis != -1)
    check_same(model, after)


def packed(order, batch_first):
    """Queries, keys and values of one product, as torch's MultiheadAttention
    takes them apart: a transpose, a cut, an axis moved, one element each."""
    constants = {"w": weights(H * D, 3 * H * D), "b": weights(3 * H * D), "d": weights(H * D, H * D),
                 "e": weights(H * D), "cut": np.array([S, B, 3, H * D]), "zero": np.array([0]),
                 "three": np.array([3]), "flat": np.array([S, B * H, D]), "four": np.array([B, H, S, D]),
                 "matrix": np.array([S * B, H * D]), "whole": np.array([S, B, H * D]),
                 **{f"i{i}": np.array(i) for i in range(3)}, "half": F(0.5)}  # fmt: skip
    nodes = [node("Transpose", ["x"], ["xs"], perm=[1, 0, 2])] if batch_first else []
    nodes += [node("MatMul", ["xs" if batch_first else "x", "w"], ["m"]), node("Add", ["b", "m"], ["p"]),
              node("Reshape", ["p", "cut"], ["c"]), node("Unsqueeze", ["c", "zero"], ["u"]),
              node("Transpose", ["u"], ["t"], perm=[3, 1, 2, 0, 4]),
              node("Squeeze", ["t", "three"], ["parts"])]  # fmt: skip
    for name, i in zip("qkv", order):
        nodes += [node("Gather", ["parts", f"i{i}"], [name + "g"], axis=0),
                  node("Reshape", [name + "g", "flat"], [name + "f"]),
                  node("Transpose", [name + "f"], [name + "h"], perm=[1, 0, 2]),
                  node("Reshape", [name + "h", "four"], [name])]  # fmt: skip
    nodes += [node("Transpose", ["k"], ["kt"], perm=[0, 1, 3, 2]), node("MatMul", ["q", "kt"], ["s"]),
              node("Mul", ["s", "half"], ["sc"]), node("Softmax", ["sc"], ["a"], axis=-1),
              node("MatMul", ["a", "v"], ["o"]), node("Transpose", ["o"], ["os"], perm=[2, 0, 1, 3]),
              node("Reshape", ["os", "matrix"], ["om"]), node("Gemm", ["om", "d", "e"], ["z"], transB=1),
              node("Reshape", ["z", "whole"], ["y" if not batch_first else "ys"])]  # fmt: skip
    nodes += [node("Transpose", ["ys"], ["y"], perm=[1, 0, 2])] if batch_first else []
    shape = [B, S, H * D] if batch_first else [S, B, H * D]
    return make_model(nodes, {"x": shape}, {"y": shape}, constants)


@pytest.mark.parametrize("batch_first", [True, False])
def test_packed_attention(batch_first, tmp_path):
    model = packed((0, 1, 2), batch_first)
    after = emit(model, tmp_path, "--opset=23")
    left = {"MatMul": 2, "Add": 2, "Split": 1, "Attention": 1}
    if not batch_first:
        left["Transpose"] = 2
    assert count(after) == left
    check_same(model, after)


def test_packed_attention_of_another_order(tmp_path):
    model = packed((2, 0, 1), True)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["Attention"] == 1 and count(after)["Gather"] == 3
    check_same(model, after)
