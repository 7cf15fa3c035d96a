"""What the tests of verify and of passes share."""

import os
import pathlib
import subprocess

import numpy as np
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))
DLC = os.environ.get("DLC", str(BUILD / "bin" / "dlc"))
BREAK_PASS = BUILD / "lib" / "libdlc-test-BreakPass.so"


def run(*arguments, **environment):
    result = subprocess.run(
        [DLC, *map(str, arguments)], capture_output=True, text=True,
        env={**os.environ, **environment},
    )  # fmt: skip
    return result.returncode, result.stdout, result.stderr


def weights(name, *shape):
    values = np.random.default_rng(len(name)).uniform(-0.3, 0.3, shape)
    return numpy_helper.from_array(values.astype(np.float32), name)


def make_net(batch):
    """Convolution with a scale and a sum, tanh, a product: every optional pass
    finds something to do."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w1"], ["a"], name="conv1", pads=[1] * 4),
        node("Mul", ["a", "scale"], ["b"], name="scale1"),
        node("Relu", ["b"], ["c"], name="relu1"),
        node("Conv", ["c", "w2"], ["d"], name="conv2", pads=[1] * 4),
        node("Add", ["d", "c"], ["e"], name="add1"),
        node("Tanh", ["e"], ["f"], name="tanh1"),
        node("GlobalAveragePool", ["f"], ["g"], name="pool1"),
        node("Flatten", ["g"], ["h"], name="flat1"),
        node("Concat", ["h", "h"], ["i"], name="cat1", axis=1),
        node("MatMul", ["i", "w3"], ["y"], name="fc1"),
    ]
    graph = helper.make_graph(
        nodes,
        "net",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (batch, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (batch, 40))],
        [
            weights("w1", 16, 3, 3, 3), weights("scale", 1, 16, 1, 1),
            weights("w2", 16, 16, 3, 3), weights("w3", 32, 40),
        ],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])
