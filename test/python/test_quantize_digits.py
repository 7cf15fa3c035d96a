"""Digits, read by networks that are trained here: what float, int8, mixed and
4-bit networks get right."""

import dlc
import numpy as np
import onnx
import pytest
from dlc import quantize
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

IMAGES, LABELS = load_digits(return_X_y=True)
IMAGES = (IMAGES / 16).astype(np.float32)
TRAINED = np.arange(len(LABELS)) % 4 != 0
SHOWN = 200  # of the trained ones, to the quantizer


def make_model(nodes, constants, shape):
    graph = helper.make_graph(
        nodes, "digits", [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", *shape])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 10])],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def train_mlp():
    trained = MLPClassifier((48, 32), random_state=0, max_iter=60, learning_rate_init=0.005)
    import warnings

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it may not have converged
        trained.fit(IMAGES[TRAINED], LABELS[TRAINED])
    nodes, constants, x = [], {}, "x"
    for i, (w, b) in enumerate(zip(trained.coefs_, trained.intercepts_)):
        constants |= {f"w{i}": w.astype(np.float32), f"b{i}": b.astype(np.float32)}
        last = i == len(trained.coefs_) - 1
        nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["y" if last else f"g{i}"]))
        if not last:
            nodes.append(helper.make_node("Relu", [f"g{i}"], [f"r{i}"]))
            x = f"r{i}"
    return make_model(nodes, constants, [64]), IMAGES


def windows(x):
    """3 x 3 with a border of zeros: [n, h, w, 9 c]"""
    padded = np.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
    n, h, w, c = x.shape
    return np.stack([padded[:, i : i + h, j : j + w] for i in range(3) for j in range(3)], 3).reshape(n, h, w, 9 * c)


def spread(slopes, c):
    """The transpose of `windows`."""
    n, h, w, _ = slopes.shape
    parts = slopes.reshape(n, h, w, 9, c)
    padded = np.zeros((n, h + 2, w + 2, c))
    for k in range(9):
        padded[:, k // 3 : k // 3 + h, k % 3 : k % 3 + w] += parts[..., k, :]
    return padded[:, 1:-1, 1:-1]


def train_cnn():
    """Two convolutions with a maximum of 2 x 2 behind each, and a product, by
    Adam's method."""
    random = np.random.default_rng(0)
    p = {"a": random.standard_normal((9, 12)) * 0.3, "ab": np.zeros(12),
         "c": random.standard_normal((108, 24)) * 0.1, "cb": np.zeros(24),
         "d": random.standard_normal((96, 10)) * 0.1, "db": np.zeros(10)}  # fmt: skip
    moments = {k: (np.zeros_like(v), np.zeros_like(v)) for k, v in p.items()}
    x_all, y_all = IMAGES[TRAINED].reshape(-1, 8, 8, 1), LABELS[TRAINED]
    step = 0

    def pool(x):
        n, h, w, c = x.shape
        blocks = x.reshape(n, h // 2, 2, w // 2, 2, c)
        most = blocks.max((2, 4), keepdims=True)
        return most.reshape(n, h // 2, w // 2, c), blocks == most

    for _ in range(12):
        order = random.permutation(len(x_all))
        for part in np.array_split(order, len(order) // 64):
            u = windows(x_all[part])
            h1 = np.maximum(u @ p["a"] + p["ab"], 0)
            p1, m1 = pool(h1)
            v = windows(p1)
            h2 = np.maximum(v @ p["c"] + p["cb"], 0)
            p2, m2 = pool(h2)
            flat = p2.reshape(len(part), -1)
            z = flat @ p["d"] + p["db"]
            e = np.exp(z - z.max(1, keepdims=True))
            g = (e / e.sum(1, keepdims=True) - np.eye(10)[y_all[part]]) / len(part)
            slopes = {"d": flat.T @ g, "db": g.sum(0)}
            g = (g @ p["d"].T).reshape(p2.shape)
            g = (g[:, :, None, :, None] * m2).reshape(h2.shape) * (h2 > 0)
            slopes |= {"c": v.reshape(-1, 108).T @ g.reshape(-1, 24), "cb": g.sum((0, 1, 2))}
            g = spread(g @ p["c"].T, 12)
            g = (g[:, :, None, :, None] * m1).reshape(h1.shape) * (h1 > 0)
            slopes |= {"a": u.reshape(-1, 9).T @ g.reshape(-1, 12), "ab": g.sum((0, 1, 2))}
            step += 1
            for k, slope in slopes.items():
                first, second = moments[k]
                first += 0.1 * (slope - first)
                second += 0.001 * (slope**2 - second)
                p[k] -= 0.004 * (first / (1 - 0.9**step)) / (np.sqrt(second / (1 - 0.999**step)) + 1e-8)
    turned = {k: np.ascontiguousarray(v.astype(np.float32)) for k, v in p.items()}
    turned["a"] = np.ascontiguousarray(turned["a"].reshape(3, 3, 1, 12).transpose(3, 2, 0, 1))
    turned["c"] = np.ascontiguousarray(turned["c"].reshape(3, 3, 12, 24).transpose(3, 2, 0, 1))
    # ONNX flattens channels first.
    turned["d"] = np.ascontiguousarray(turned["d"].reshape(2, 2, 24, 10).transpose(2, 0, 1, 3).reshape(96, 10))
    nodes = [helper.make_node("Conv", ["x", "a", "ab"], ["0"], pads=[1] * 4), helper.make_node("Relu", ["0"], ["1"]),
             helper.make_node("MaxPool", ["1"], ["2"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Conv", ["2", "c", "cb"], ["3"], pads=[1] * 4), helper.make_node("Relu", ["3"], ["4"]),
             helper.make_node("MaxPool", ["4"], ["5"], kernel_shape=[2, 2], strides=[2, 2]),
             helper.make_node("Flatten", ["5"], ["6"]), helper.make_node("Gemm", ["6", "d", "db"], ["y"])]  # fmt: skip
    return make_model(nodes, turned, [1, 8, 8]), IMAGES.reshape(-1, 1, 8, 8)


def find_accuracy(model, images):
    found = dlc.compile(model).run([images[~TRAINED]])[0]
    return float((found.argmax(1) == LABELS[~TRAINED]).mean())


@pytest.mark.parametrize("train", [train_mlp, train_cnn])
def test_accuracy(train):
    model, images = train()
    onnx.checker.check_model(model)
    batches = list(images[TRAINED][:SHOWN].reshape(4, SHOWN // 4, *images.shape[1:]))
    exact = find_accuracy(model, images)
    assert exact > 0.95

    held = {"x": images[TRAINED][SHOWN:]}
    labels = LABELS[TRAINED][SHOWN:]
    metric = quantize.Accuracy([held], ["x"], labels)
    mixed, report = quantize.quantize_mixed(model, batches, quantize.Budget(max_drop=0.0, metric=metric, times=False))
    assert report.metric >= report.float_metric  # on what it was judged by
    found = {"float": exact, "int8": find_accuracy(quantize.quantize(model, batches), images),
             "mixed": find_accuracy(mixed, images)}  # fmt: skip
    for rounding in ("nearest", "gptq", "adaptive"):
        small = quantize.quantize(model, batches, weights_only=True, weight_bits=4, rounding=rounding)
        found[f"int4 {rounding}"] = find_accuracy(small, images)
    print(train.__name__, {name: f"{share:.4f}" for name, share in found.items()})
    assert found["int8"] >= exact - 0.01 and found["mixed"] >= exact - 0.005
    assert found["int4 nearest"] >= exact - 0.04
    assert min(found["int4 gptq"], found["int4 adaptive"]) >= exact - 0.015
