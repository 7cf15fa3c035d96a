"""A network for the tests of dlc quantize, its data, and how much it loses."""

import numpy as np
import onnxruntime as ort
from onnx import TensorProto, helper, numpy_helper


def make_network(batch="n"):
    """Convolutions (one normalized, one depthwise), a residual, pools, a
    concatenation and a product, with weights of channels of different size."""
    random = np.random.default_rng(2)
    nodes, constants = [], {}

    def constant(value):
        name = f"c{len(constants)}"
        constants[name] = np.asarray(value)
        return name

    def add(op, *inputs, **attributes):
        nodes.append(helper.make_node(op, inputs, [f"v{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def conv(x, c, m, k, group=1, **attributes):
        size = random.uniform(0.2, 2, (m, 1, 1, 1)) / np.sqrt(c // group * k * k)
        w = (random.standard_normal((m, c // group, k, k)) * size).astype(np.float32)
        bias = random.standard_normal(m).astype(np.float32) * 0.1
        return add("Conv", x, constant(w), constant(bias), group=group, pads=[k // 2] * 4,
                   **attributes)  # fmt: skip

    a = conv("x", 3, 16, 3, strides=[2, 2])
    statistics = [random.uniform(0.5, 2, 16).astype(np.float32) for _ in range(4)]
    a = add("Relu", add("BatchNormalization", a, *map(constant, statistics)))
    b = add("Relu", conv(a, 16, 16, 3, group=16))
    a = add("Relu", add("Add", a, conv(b, 16, 16, 1)))
    p = add("MaxPool", a, kernel_shape=[2, 2], strides=[2, 2])
    q = add("AveragePool", a, kernel_shape=[2, 2], strides=[2, 2])
    y = add("Flatten", add("GlobalAveragePool", add("HardSwish", add("Concat", p, q, axis=1))))
    w = random.standard_normal((10, 32)).astype(np.float32)
    y = add("Gemm", y, constant(w), constant(np.zeros(10, np.float32)), transB=1)
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, 3, 16, 16])],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, [batch, 10])],
        [numpy_helper.from_array(v, n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def make_batches(count, seed=3):
    random = np.random.default_rng(seed)
    return [{"x": random.standard_normal((1, 3, 16, 16)).astype(np.float32)} for _ in range(count)]


def run(model, feeds):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.concatenate([session.run(None, feed)[0] for feed in feeds])


def find_ratio(found, expected):
    """Signal to noise in dB."""
    return 10 * np.log10((expected**2).sum() / ((found - expected) ** 2).sum())
