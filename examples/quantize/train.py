"""Trains a network for digits: usage: train.py FOLDER

Writes digits.onnx, calibration.npy, validation.npy with labels.txt, and
test.bin: images of 64 floats, each followed by its label as a float.
"""

import pathlib
import sys
import warnings

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from sklearn.datasets import load_digits
from sklearn.neural_network import MLPClassifier

folder = pathlib.Path(sys.argv[1])
images, labels = load_digits(return_X_y=True)
images = (images / 16).astype(np.float32)
part = np.arange(len(labels)) % 4  # 0: tests, 1: validation, others: training

network = MLPClassifier((48, 32), random_state=0, max_iter=60, learning_rate_init=0.005)
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it may not have converged
    network.fit(images[part > 1], labels[part > 1])

nodes, constants, x = [], [], "x"
for i, (weights, bias) in enumerate(zip(network.coefs_, network.intercepts_)):
    last = i + 1 == len(network.coefs_)
    for name, value in ((f"w{i}", weights), (f"b{i}", bias)):
        constants.append(numpy_helper.from_array(value.astype(np.float32), name))
    nodes.append(helper.make_node("Gemm", [x, f"w{i}", f"b{i}"], ["y" if last else f"g{i}"], f"layer{i}"))
    if not last:
        nodes.append(helper.make_node("Relu", [f"g{i}"], [f"r{i}"]))
        x = f"r{i}"
graph = helper.make_graph(
    nodes, "digits", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 64])],
    [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 10])], constants,
)  # fmt: skip
onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "digits.onnx")

np.save(folder / "calibration.npy", images[part > 1][:100])
np.save(folder / "validation.npy", images[part == 1])
(folder / "labels.txt").write_text("\n".join(map(str, labels[part == 1])))
rows = np.concatenate([images, labels[:, None].astype(np.float32)], 1)
rows[part == 0].tofile(folder / "test.bin")
