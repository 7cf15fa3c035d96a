"""Shapes that a model computes: what is constant in them becomes static."""

import dlc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize(
    "dividend,divisor,fmod",
    [(5, 3, 0), (-1, 3, 0), (-3, 3, 0), (-3, 3, 1), (2, 3, 1), (4, 2, 0)],
)
def test_modulo(dividend, divisor, fmod, dynamic):
    """The axis of a Slice is a remainder, as exporters of attention write."""
    constants = {"a": dividend, "b": divisor, "one": 1, "rest": -1}
    nodes = [
        helper.make_node("Constant", [], [name], value_ints=[value])
        for name, value in constants.items()
    ]
    nodes += [
        helper.make_node("Mod", ["a", "b"], ["begin"], fmod=fmod),
        helper.make_node("Add", ["begin", "one"], ["end"]),
        helper.make_node("Shape", ["x"], ["shape"]),
        helper.make_node("Slice", ["shape", "begin", "end"], ["size"]),
        helper.make_node("Concat", ["size", "rest"], ["to"], axis=0),
        helper.make_node("Reshape", ["x", "to"], ["y"]),
    ]
    check(nodes, ["n", 4, 6] if dynamic else [3, 4, 6], [None, None])


def test_modulo_of_a_dynamic_size():
    nodes = [
        helper.make_node("Constant", [], ["three"], value_ints=[3]),
        helper.make_node("Constant", [], ["ends"], value_ints=[0, 1]),
        helper.make_node("Shape", ["x"], ["n"], start=0, end=1),
        helper.make_node("Sub", ["n", "three"], ["less"]),
        helper.make_node("Sub", ["less", "three"], ["negative"]),
        helper.make_node("Mod", ["negative", "three"], ["after"]),
        helper.make_node("Constant", [], ["zeros"], value_ints=[0] * 5),
        helper.make_node("Concat", ["zeros", "after"], ["pads"], axis=0),
        helper.make_node("Pad", ["x", "pads"], ["y"]),
    ]
    for n in (1, 2, 3, 4):
        check(nodes, ["n", 4, 6], [None, None, None], n)


def check(nodes, shape, result, n=3):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, result)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    onnx.checker.check_model(model)
    x = np.random.default_rng(0).standard_normal((n, 4, 6)).astype(np.float32)
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(dlc.compile(model).run([x])[0], expected)
