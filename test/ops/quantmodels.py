"""Models of quantized operators, for the tests of them."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper


def whole(random, dtype, shape):
    info = np.iinfo(dtype)
    return random.integers(info.min, info.max + 1, shape).astype(dtype)


def make_model(nodes, inputs, constants, outputs=("y",), domains=(), opset=21):
    """`inputs` are (name, dtype, shape); `constants` arrays by name."""
    arguments = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), shape)
        for name, dtype, shape in inputs
    ]
    results = [helper.make_tensor_value_info(name, TensorProto.UNDEFINED, None) for name in outputs]
    for result in results:
        result.ClearField("type")
    graph = helper.make_graph(
        nodes, "g", arguments, results,
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    imports = [helper.make_opsetid("", opset), *(helper.make_opsetid(d, 1) for d in domains)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


class Graph:
    """A graph with QDQ pairs."""

    def __init__(self):
        self.nodes, self.constants = [], {}

    def add(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], **attributes))
        return name

    def constant(self, value):
        name = f"c{len(self.constants)}"
        self.constants[name] = np.asarray(value)
        return name

    def parameters(self, scale, zero):
        return self.constant(np.float32(scale)), self.constant(zero)

    def pair(self, x, scale, zero):
        p = self.parameters(scale, zero)
        return self.add("DequantizeLinear", self.add("QuantizeLinear", x, *p), *p)

    def weights(self, values, scale, axis=0):
        q = np.clip(np.rint(values / scale), -127, 127).astype(np.int8)
        shape = np.shape(scale)
        s = np.reshape(scale, -1).astype(np.float32) if shape else np.float32(scale)
        zero = np.zeros(np.shape(s), np.int8)
        return self.add("DequantizeLinear", self.constant(q), self.constant(s),
                        self.constant(zero), axis=axis)  # fmt: skip
