"""Dense blocks: concatenations of all that layers before made, which grow in one
tensor; and what is like them but must not."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

import dlc


def make(axis, channels, shape, layers, late=False, double=False):
    """Each layer reads the concatenation of all parts before, along `axis`, of which
    it makes `channels` more by a product. `late`: the first one is read at the end."""
    rank, nodes, constants = len(shape), [], []
    random = np.random.default_rng(0)
    parts, size, first = ["x"], shape[axis], None
    to_last = [i for i in range(rank) if i != axis] + [axis]
    back = np.argsort(to_last).tolist()
    for layer in range(layers):
        weights = random.standard_normal((size, channels)).astype(np.float32) / 4
        constants.append(onnx.numpy_helper.from_array(weights, f"w{layer}"))
        whole = "x" if layer == 0 else f"c{layer}"
        if layer:
            nodes.append(helper.make_node("Concat", parts, [whole], axis=axis))
            first = first or whole
        nodes += [
            helper.make_node("Relu", [whole], [f"r{layer}"]),
            helper.make_node("Transpose", [f"r{layer}"], [f"t{layer}"], perm=to_last),
            helper.make_node("MatMul", [f"t{layer}", f"w{layer}"], [f"m{layer}"]),
            helper.make_node("Transpose", [f"m{layer}"], [f"p{layer}"], perm=back),
        ]
        parts = [*parts, f"p{layer}"]
        size += channels
    nodes.append(helper.make_node("Concat", parts, ["y"], axis=axis))
    outputs = ["y"]
    if double:  # another one that goes on from the same parts
        nodes.append(helper.make_node("Concat", [*parts, "p0"], ["z"], axis=axis))
        outputs.append("z")
    if late:
        nodes.append(helper.make_node("Abs", [first], ["late"]))
        outputs.append("late")
    return nodes, constants, outputs


def check(shape, nodes, constants, outputs, dynamic=()):
    names = [f"d{i}" if i in dynamic else n for i, n in enumerate(shape)]
    graph = helper.make_graph(
        nodes, "block", [helper.make_tensor_value_info("x", TensorProto.FLOAT, names)],
        [helper.make_tensor_value_info(y, TensorProto.FLOAT, None) for y in outputs], constants)  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = dlc.compile(model)
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    for threads in (1, 2):
        for found, wanted in zip(
            compiled.run([x], threads=threads), session.run(None, {"x": x}), strict=True
        ):
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("double", [False, True])
@pytest.mark.parametrize("axis", [0, 1, 2, 3])
def test_axes(axis, late, double):
    shape = [3, 5, 7, 9]
    check(shape, *make(axis, 4, shape, 5, late, double))


@pytest.mark.parametrize("axis", [1, 3])
def test_dynamic(axis):
    shape = [2, 6, 5, 8]
    check(shape, *make(axis, 16, shape, 4), dynamic={0, 2})


def test_convolutions():
    """As DenseNet has it: normalised, 1x1, 3x3 with a border; the parts have other uses."""
    random, nodes, constants, parts, size = np.random.default_rng(0), [], [], ["x"], 16
    for layer in range(6):
        for name, value in (("s", [size]), ("b", [size]), ("v", [24, size, 1, 1]), ("w", [8, 24, 3, 3])):
            array = random.standard_normal(value).astype(np.float32) / 4
            constants.append(onnx.numpy_helper.from_array(array, f"{name}{layer}"))
        constants.append(onnx.numpy_helper.from_array(np.ones(size, np.float32), f"o{layer}"))
        nodes += [
            helper.make_node("Concat", parts, [f"c{layer}"], axis=1),
            helper.make_node("BatchNormalization", [f"c{layer}", f"s{layer}", f"b{layer}", f"b{layer}", f"o{layer}"],
                             [f"n{layer}"]),
            helper.make_node("Relu", [f"n{layer}"], [f"r{layer}"]),
            helper.make_node("Conv", [f"r{layer}", f"v{layer}"], [f"k{layer}"]),
            helper.make_node("Conv", [f"k{layer}", f"w{layer}"], [f"p{layer}"], pads=[1, 1, 1, 1]),
        ]  # fmt: skip
        parts = [*parts, f"p{layer}"]
        size += 8
    nodes.append(helper.make_node("Concat", parts, ["y"], axis=1))
    nodes.append(helper.make_node("Add", ["p0", "p3"], ["z"]))
    check([1, 16, 14, 13], nodes, constants, ["y", "z"])
    check([1, 16, 14, 13], nodes, constants, ["y", "z"], dynamic={2, 3})
