"""What is computed at compile time of constants that are too large to be
copied into the code that computes it."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

RNG = np.random.default_rng(11)
TYPES = ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT8", "UINT16", "INT64", "BOOL", "INT4"]


def make_constant(kind, shape):
    kind = getattr(TensorProto, kind)
    values = RNG.integers(0, 2 if kind == TensorProto.BOOL else 7, shape)
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), "w")


def run(nodes, constants, kind, rank):
    output = helper.make_tensor_value_info("y", kind, [None] * rank)
    graph = helper.make_graph(nodes, "g", [], [output], constants)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    (expected,) = ReferenceEvaluator(model).run(None, {})
    np.testing.assert_array_equal(dlc.compile(model).run({})["y"], expected)


@pytest.mark.parametrize("kind", TYPES)
def test_a_type(kind):
    """Elements of whole bytes and, in INT4, of less."""
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("Cast", ["t"], ["y"], to=TensorProto.FLOAT),
    ]
    run(nodes, [make_constant(kind, (500, 402))], TensorProto.FLOAT, 2)


def test_one_constant_twice_and_a_small_one():
    nodes = [
        helper.make_node("Transpose", ["w"], ["t"], perm=[1, 0]),
        helper.make_node("MatMul", ["w", "t"], ["m"]),
        helper.make_node("Add", ["m", "b"], ["y"]),
    ]
    small = numpy_helper.from_array(np.arange(180, dtype=np.float32), "b")
    run(nodes, [make_constant("FLOAT", (180, 200)), small], TensorProto.FLOAT, 2)


def test_a_result_that_is_a_constant():
    run([helper.make_node("Identity", ["w"], ["y"])], [make_constant("FLOAT", (300, 200))],
        TensorProto.FLOAT, 2)  # fmt: skip
