"""Arithmetic on shapes and small constants, which is evaluated while compiling,
gives what the element type says: it wraps, and a condition is `x != 0`."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

KINDS = ["int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"]
INT64, BOOL = TensorProto.INT64, TensorProto.BOOL

SIZES = (3, 4, 5)
SIGNED = [2**20 + 3, -7, 5, 0, 200, -1, 2**31 - 1, -(2**31), 40000, 1]
OTHERS = [2**20 + 1, 3, 7, 5, 2, 100, 2**31 - 1, 9, 3, 2**15]


class Graph:
    """Builds one graph twice: in `kind`, and in int64 where each result is cast
    to `kind` and back (which is exact where no quotient overflows)."""

    def __init__(self, kind, emulated):
        self.kind, self.emulated = kind, emulated
        self.code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        self.nodes, self.weights, self.outputs = [], [], []

    def node(self, op, *inputs, **attributes):
        name = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(op, inputs, [name], name=name, **attributes))
        return name

    def constant(self, values, dtype=np.int64):
        name = f"c{len(self.weights)}"
        self.weights.append(numpy_helper.from_array(np.array(values, dtype), name))
        return name

    def number(self, values):
        """A constant of the type."""
        values = np.array(values).astype(np.int64).astype(self.kind)
        return self.constant(values, np.int64 if self.emulated else self.kind)

    def cast(self, value):
        value = self.node("Cast", value, to=self.code)
        return self.node("Cast", value, to=INT64) if self.emulated else value

    def op(self, op, *inputs, **attributes):
        value = self.node(op, *inputs, **attributes)
        return self.cast(value) if self.emulated else value

    def product(self, a, count, **attributes):
        """ONNX Runtime's ReduceProd does not wrap, but its Mul does."""
        if not self.emulated:
            return self.node("ReduceProd", a, **attributes)
        if "noop_with_empty_axes" in attributes:
            return a
        at = (lambda i: [i]) if attributes["keepdims"] else (lambda i: i)
        result = self.node("Gather", a, self.constant(at(0)))
        for i in range(1, count):
            result = self.op("Mul", result, self.node("Gather", a, self.constant(at(i))))
        return result

    def give(self, value):
        """An output, as int64."""
        self.outputs.append(self.node("Cast", value, to=INT64))

    def model(self, inputs):
        outputs = [helper.make_tensor_value_info(name, INT64, None) for name in self.outputs]
        graph = helper.make_graph(self.nodes, "g", inputs, outputs, self.weights)
        return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


def arithmetic(g, a, c, count):
    """On `count` numbers and others, which are positive."""
    for op in ("Add", "Sub", "Mul"):
        g.give(g.op(op, a, c))
    # An int64 does not tell the order of those above 2^63.
    if g.kind != "uint64":
        for op in ("Max", "Min", "Div", "Mod"):
            g.give(g.op(op, a, c))
        g.give(g.op("Mod", a, c, fmod=1))
    g.give(g.op("Mul", g.op("Add", a, a), g.op("Sub", a, c)))
    if not g.kind.startswith("u"):
        g.give(g.op("Neg", g.op("Sub", a, c)))
    # Conditions, and back.
    for value in (a, g.op("Sub", a, c), g.op("Sub", a, a)):
        truth = g.node("Cast", value, to=BOOL)
        g.give(truth)
        g.give(g.node("Where", truth, g.node("Cast", a, to=INT64), g.constant([-9])))
    for other in (c, g.number([-1]), g.number([0])):
        g.give(g.node("Equal", g.op("Sub", a, c), other))
    for kind in KINDS:
        code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
        g.give(g.node("Cast", a, to=code))
        g.give(g.node("Cast", g.op("Sub", a, c), to=code))
    if g.kind in ("int32", "int64", "uint32", "uint64"):
        g.give(g.product(a, count, keepdims=1))
        g.give(g.product(a, count, keepdims=0))
        g.give(g.product(a, 1, noop_with_empty_axes=1))


def compare(build, kind, inputs, feeds):
    models = []
    for emulated in (False, True):
        g = Graph(kind, emulated)
        build(g)
        models.append(g.model(inputs))
    providers = ["CPUExecutionProvider"]
    session = ort.InferenceSession(models[1].SerializeToString(), providers=providers)
    expected = session.run(None, feeds)
    found = dlc.compile(models[0], opt_level=0).run(feeds)
    producer = {node.output[0]: node for node in models[0].graph.node}
    for (name, got), want in zip(found.items(), expected, strict=True):
        from_node = producer[producer[name].input[0]]
        np.testing.assert_array_equal(got, want, err_msg=f"{from_node.op_type}: {name}")


@pytest.mark.parametrize("kind", KINDS)
def test_constants(kind):
    width = 8 * np.dtype(kind).itemsize
    positive = [max(value % 2 ** (width - 1), 1) for value in OTHERS]
    compare(
        lambda g: arithmetic(g, g.number(SIGNED), g.number(positive), len(SIGNED)), kind, [], {}
    )


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("kind", KINDS)
def test_shapes(kind, dynamic):
    most = int(np.iinfo(kind).max)

    def build(g):
        sizes = g.cast(g.node("Shape", "x"))
        for factor in (7, most // 2):
            arithmetic(g, sizes, g.number([factor]), 3)
            product = g.op("Mul", sizes, g.number([factor]))
            arithmetic(g, product, g.number([4]), 3)
        count = g.cast(g.node("Size", "x"))
        arithmetic(g, g.op("Reshape", count, g.constant([1])), g.number([61]), 1)

    shape = ["a", "b", "c"] if dynamic else SIZES
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)]
    compare(build, kind, inputs, {"x": np.zeros(SIZES, np.float32)})


@pytest.mark.parametrize("sizes", [(2, 2), (1, 0), (0, 3)])
def test_condition_of_a_size(sizes):
    def branch(op, name):
        output = helper.make_tensor_value_info(name, TensorProto.FLOAT, None)
        return helper.make_graph([helper.make_node(op, ["x"], [name])], op, [], [output])

    branches = {"then_branch": branch("Relu", "t"), "else_branch": branch("Neg", "e")}
    nodes = [
        helper.make_node("Size", ["x"], ["s"]),
        helper.make_node("Cast", ["s"], ["b"], to=BOOL),
        helper.make_node("If", ["b"], ["y"], **branches),
        helper.make_node("Cast", ["b"], ["z"], to=INT64),
    ]
    inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["n", "m"])]
    outputs = [
        helper.make_tensor_value_info("y", TensorProto.FLOAT, None),
        helper.make_tensor_value_info("z", INT64, None),
    ]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    x = np.ones(sizes, np.float32)
    found = dlc.compile(model, opt_level=0).run({"x": x})
    np.testing.assert_array_equal(found["y"], x)
    assert found["z"] == bool(x.size)
