"""What exporters of five origins write for one operator collapses to it: the
table of forms. Attention's are in test_recognition.py."""

import pathlib
import sys

import numpy as np
import pytest
from onnx import helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import check_same, count, emit, make_model  # noqa: E402

node = helper.make_node
F = np.float32
C = 4
PICTURE = [1, C, 8, 8]


def weights(*shape, seed=0):
    return (np.random.default_rng(seed + sum(shape)).standard_normal(shape) * 0.3).astype(F)


def positive(*shape, seed=0):
    return np.abs(weights(*shape, seed=seed)) + F(0.5)


class Graph:
    """Nodes that are written one after the other, and their constants."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def __call__(self, op, *inputs, **attributes):
        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        result = f"t{len(self.nodes)}"
        self.nodes.append(node(op, names, [result], **attributes))
        return result

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def model(self, y, x_shape, y_shape):
        last = next(n for n in self.nodes if y in n.output)
        last.output[0] = "y"
        return make_model(self.nodes, {"x": x_shape}, {"y": y_shape}, self.constants, opset=18)


def batch_norm(g, x, channels=C, seed=0):
    return g("BatchNormalization", x, weights(channels, seed=seed), weights(channels, seed=seed + 1),
             weights(channels, seed=seed + 2), positive(channels, seed=seed + 3))  # fmt: skip


def conv(g, x, size, *, bias=False, seed=0, group=1, stride=1, pads=None):
    operands = [weights(C, C // group, size, size, seed=seed)] + ([weights(C, seed=seed)] if bias else [])
    return g("Conv", x, *operands, group=group, strides=[stride] * 2,
             pads=[size // 2] * 4 if pads is None else pads)  # fmt: skip


def repvgg_of_torch(g):
    """Three branches, each with its normalisation."""
    a, b = batch_norm(g, conv(g, "x", 3)), batch_norm(g, conv(g, "x", 1), seed=10)
    return g("Relu", g("Add", g("Add", a, b), batch_norm(g, "x", seed=20)))


def repvgg_of_tensorflow(g):
    """Pads of their own, normalisations as products and sums, the sum of all."""
    padded = g("Pad", "x", np.array([0, 0, 1, 1, 0, 0, 1, 1]))
    a = g("Add", g("Mul", conv(g, padded, 3, pads=[0] * 4), weights(1, C, 1, 1)), weights(1, C, 1, 1, seed=3))
    b = g("Add", g("Mul", conv(g, "x", 1), weights(1, C, 1, 1, seed=4)), weights(1, C, 1, 1, seed=5))
    c = g("Add", g("Mul", "x", weights(1, C, 1, 1, seed=6)), weights(1, C, 1, 1, seed=7))
    return g("Relu", g("Sum", a, b, c))


def repvgg_of_paddle(g):
    """The identity first, biases behind convolutions."""
    a = batch_norm(g, g("Add", conv(g, "x", 3), weights(1, C, 1, 1)))
    b = batch_norm(g, g("Add", conv(g, "x", 1), weights(1, C, 1, 1, seed=2)), seed=10)
    return g("Relu", g("Add", batch_norm(g, "x", seed=20), g("Add", a, b)))


def repvgg_of_mobileone(g):
    """Depthwise, with several branches of each kind."""
    total = batch_norm(g, "x", seed=20)
    for i, size in enumerate((3, 3, 3, 1)):
        total = g("Add", total, batch_norm(g, conv(g, "x", size, group=C, seed=i), seed=10 * i))
    return g("Relu", total)


def repvgg_of_diverse_branches(g):
    """A mean of the neighbourhood as one of them, and windows of two forms."""
    a = batch_norm(g, conv(g, "x", 3))
    b = batch_norm(g, g("Conv", "x", weights(C, C, 1, 3), pads=[0, 1, 0, 1]), seed=5)
    c = batch_norm(g, g("Conv", "x", weights(C, C, 3, 1), pads=[1, 0, 1, 0]), seed=15)
    return g("Relu", g("Add", g("Add", c, b), g("Add", a, "x")))


REPVGG = {
    "torch": repvgg_of_torch,
    "tensorflow": repvgg_of_tensorflow,
    "paddle": repvgg_of_paddle,
    "mobileone": repvgg_of_mobileone,
    "diverse branches": repvgg_of_diverse_branches,
}


@pytest.mark.parametrize("origin", REPVGG)
def test_repvgg(origin, tmp_path):
    g = Graph()
    model = g.model(REPVGG[origin](g), PICTURE, PICTURE)
    after = emit(model, tmp_path)
    assert count(after) == {"Conv": 1, "Relu": 1}
    check_same(model, after)


def bn_of_torch(g, x):
    """(x - mean) / sqrt(var + e) * g + b, with reshaped vectors."""
    axes = np.array([1, 2])
    mean, scale, bias = (g("Unsqueeze", weights(C, seed=i), axes) for i in range(3))
    deviation = g("Sqrt", g("Add", g("Unsqueeze", positive(C), axes), F(1e-5)))
    return g("Add", g("Mul", g("Div", g("Sub", x, mean), deviation), scale), bias)


def bn_of_tensorflow(g, x):
    """x * k + (b - mean * k), with k = rsqrt(var + e) * g."""
    k = g("Mul", g("Reciprocal", g("Sqrt", g("Add", positive(C, 1, 1), F(1e-3)))), weights(C, 1, 1))
    shift = g("Sub", weights(C, 1, 1, seed=1), g("Mul", weights(C, 1, 1, seed=2), k))
    return g("Add", g("Mul", x, k), shift)


def bn_of_keras(g, x):
    """In the channels-last layout, between transposes."""
    t = g("Transpose", x, perm=[0, 2, 3, 1])
    t = g("Sub", t, weights(C))
    t = g("Mul", t, g("Mul", g("Reciprocal", g("Sqrt", g("Add", positive(C), F(1e-3)))), weights(C, seed=1)))
    return g("Transpose", g("Add", t, weights(C, seed=2)), perm=[0, 3, 1, 2])


def bn_of_paddle(g, x):
    """Vectors of rank 4 that a Reshape makes, a power for the root."""
    shape = np.array([1, C, 1, 1])
    mean, scale, bias = (g("Reshape", weights(C, seed=i), shape) for i in range(3))
    inverse = g("Pow", g("Add", g("Reshape", positive(C), shape), F(1e-5)), F(-0.5))
    return g("Add", bias, g("Mul", g("Mul", g("Sub", x, mean), inverse), scale))


def bn_of_caffe(g, x):
    """A normalisation without scale, and a scale layer behind it."""
    ones, zeros = np.ones(C, F), np.zeros(C, F)
    n = g("BatchNormalization", x, ones, zeros, weights(C), positive(C))
    return g("Add", g("Mul", n, g("Unsqueeze", weights(C, seed=1), np.array([1, 2]))),
             g("Unsqueeze", weights(C, seed=2), np.array([1, 2])))  # fmt: skip


BATCH_NORM = {
    "torch": bn_of_torch,
    "tensorflow": bn_of_tensorflow,
    "keras": bn_of_keras,
    "paddle": bn_of_paddle,
    "caffe": bn_of_caffe,
}


@pytest.mark.parametrize("where", ["alone", "behind", "in front"])
@pytest.mark.parametrize("origin", BATCH_NORM)
def test_batch_norm(origin, where, tmp_path):
    g = Graph()
    x = conv(g, "x", 3, bias=True) if where == "behind" else "x"
    y = BATCH_NORM[origin](g, x)
    if where == "in front":
        # Padding is 0 behind the normalisation: without a pad, all goes into weights.
        y = conv(g, y, 3, pads=[0] * 4)
    model = g.model(y, PICTURE, [1, C, 6, 6] if where == "in front" else PICTURE)
    after = emit(model, tmp_path)
    assert count(after) == {"BatchNormalization" if where == "alone" else "Conv": 1}
    check_same(model, after)


LAST = np.array([-1])


def ln_of_torch(g):
    d = g("Sub", "x", g("ReduceMean", "x", LAST))
    v = g("ReduceMean", g("Pow", d, F(2)), LAST)
    n = g("Div", d, g("Sqrt", g("Add", v, F(1e-5))))
    return g("Add", g("Mul", n, weights(8)), weights(8, seed=1))


def ln_of_onnxscript(g):
    """A product for the square, a reciprocal for the quotient, casts that are none."""
    d = g("Sub", "x", g("ReduceMean", "x", LAST))
    v = g("ReduceMean", g("Mul", d, d), LAST)
    r = g("Reciprocal", g("Sqrt", g("Add", v, F(1e-5))))
    n = g("Cast", g("Mul", d, r), to=1)
    return g("Add", g("Mul", weights(8), n), weights(8, seed=1))


def ln_of_tensorflow(g):
    """Moments, and the formula of batch normalisation."""
    m = g("ReduceMean", "x", LAST)
    d = g("Sub", "x", m)
    v = g("ReduceMean", g("Mul", d, d), LAST)
    k = g("Mul", g("Reciprocal", g("Sqrt", g("Add", v, F(1e-6)))), weights(8))
    return g("Add", g("Mul", "x", k), g("Sub", weights(8, seed=1), g("Mul", m, k)))


def ln_of_paddle(g):
    """Two differences, a power for the root, the bias first."""
    d, e = (g("Sub", "x", g("ReduceMean", "x", LAST)) for _ in range(2))
    v = g("ReduceMean", g("Pow", e, F(2)), LAST)
    n = g("Div", d, g("Pow", g("Add", v, F(1e-5)), F(0.5)))
    return g("Add", weights(8, seed=1), g("Mul", n, weights(8)))


def ln_of_jax(g):
    """The mean of squares less the square of the mean, a reciprocal root."""
    m = g("ReduceMean", "x", LAST)
    v = g("Max", F(0), g("Sub", g("ReduceMean", g("Mul", "x", "x"), LAST), g("Mul", m, m)))
    k = g("Mul", g("Reciprocal", g("Sqrt", g("Add", v, F(1e-6)))), weights(8))
    return g("Add", g("Mul", g("Sub", "x", m), k), weights(8, seed=1))


LAYER_NORM = {
    "torch": ln_of_torch,
    "onnxscript": ln_of_onnxscript,
    "tensorflow": ln_of_tensorflow,
    "paddle": ln_of_paddle,
    "jax": ln_of_jax,
}


@pytest.mark.parametrize("sizes", [[2, 3, 8], ["b", "s", 8]])
@pytest.mark.parametrize("origin", LAYER_NORM)
def test_layer_norm(origin, sizes, tmp_path):
    g = Graph()
    model = g.model(LAYER_NORM[origin](g), sizes, sizes)
    after = emit(model, tmp_path)
    assert count(after) == {"LayerNormalization": 1}
    check_same(model, after)
