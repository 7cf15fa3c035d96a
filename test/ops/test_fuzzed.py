"""What the fuzzer found, cut down: each failed once."""

import sys
from pathlib import Path

import dlc
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, parser

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check, node_model  # noqa: E402


def run_runtime(model, feeds):
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, feeds)


@pytest.mark.parametrize("dtype", ["float16", "float64", "float32"])
def test_old_clip_and_pad_of_any_type(dtype):
    """Their bounds were attributes, of which the converter makes float32."""
    x = np.array([[-2, 0.5], [3, 4]], dtype)
    for model, wanted in (
        (node_model("Clip", [x], [(dtype, 2)], opset=6, min=-1.0, max=3.5), np.clip(x, -1, 3.5)),
        (node_model("Clip", [x], [(dtype, 2)], opset=6, max=3.5), np.minimum(x, 3.5)),
        (
            node_model("Pad", [x], [(dtype, 2)], opset=6, pads=[0, 1, 0, 0], value=2.0),
            np.pad(x, ((0, 0), (1, 0)), constant_values=2),
        ),
    ):
        (found,) = dlc.compile(model).run([x])
        assert found.dtype == dtype
        np.testing.assert_array_equal(found, wanted)


def test_quantized_convolution_in_a_loop():
    """Constants that are taken out of a loop stood before what they use."""
    model = parser.parse_model("""
      <ir_version: 8, opset_import: ["" : 13]>
      g (uint8[1,3,6,6] x, int64 n) => (uint8[k,a,b,c,d] y)
      <uint8[2,3,3,1] w = {1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9}, float s = {0.05}, uint8 z = {3},
       bool yes = {1}>
      {
        y = Loop (n, yes) <body = b (int64 i, bool go) => (bool on, uint8[a,b,c,d] q) {
          on = Identity (go)
          q = QLinearConv (x, s, z, w, s, z, s, z)
        }>
      }""")
    x = np.arange(108, dtype=np.uint8).reshape(1, 3, 6, 6)
    feeds = {"x": x, "n": np.array(2)}
    np.testing.assert_array_equal(
        dlc.compile(model).run(feeds)["y"], run_runtime(model, feeds)[0]
    )


@pytest.mark.parametrize("dtype", ["int32", "int64"])
def test_logarithm_of_a_sum_of_integers(dtype):
    x = np.array([[3, 5, 13], [1, 2, 5]], dtype)
    model = node_model("ReduceLogSum", [x], [(dtype, 2)], opset=13, axes=[1])
    (found,) = dlc.compile(model).run([x])
    np.testing.assert_array_equal(found, np.log(x.sum(1, keepdims=True)).astype(dtype))


def test_erf_of_integers():
    x = np.array([-5, -1, 0, 1, 5], np.int64)
    (found,) = dlc.compile(node_model("Erf", [x], [("int64", 1)], opset=9)).run([x])
    np.testing.assert_array_equal(found, [-1, 0, 0, 0, 1])


def test_statistics_of_a_layer_normalization_of_doubles():
    x = np.arange(6, dtype=np.float64).reshape(2, 3)
    outputs = [("float64", 2), ("float32", 2), ("float32", 2)]
    check("LayerNormalization", [x, np.ones(3)], outputs, constants=(1,))


def test_softplus_far_below_zero():
    x = np.array([-80, -40, -20, -17, -10, -1, 0, 1, 30, 100], np.float32)
    (found,) = dlc.compile(node_model("Softplus", [x], [("float32", 1)])).run([x])
    np.testing.assert_allclose(found, np.logaddexp(0, x.astype(np.float64)), rtol=3e-7)


def test_complex_constants():
    values = np.array([[1 + 2j, 3, -1j], [4, 5j, 6 - 1j]], np.complex64)
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["c"], value=onnx.numpy_helper.from_array(values)),
            helper.make_node("Concat", ["c", "w"], ["both"], axis=0),
            helper.make_node("Trilu", ["both"], ["y"]),
        ],
        "g", [], [helper.make_tensor_value_info("y", TensorProto.COMPLEX64, [4, 3])],
        [onnx.numpy_helper.from_array(values, "w")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    (found,) = dlc.compile(model).run([])
    np.testing.assert_array_equal(found, np.triu(np.concatenate([values, values])))


@pytest.mark.parametrize("kind", ["FLOAT8E5M2FNUZ", "FLOAT8E4M3FN", "FLOAT8E8M0", "INT4"])
def test_rows_of_small_types_in_a_cache(kind):
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind))
    past = np.full((1, 4, 2), 1, np.float32).astype(dtype)
    update = np.full((1, 2, 2), 2, np.float32).astype(dtype)
    graph = helper.make_graph(
        [helper.make_node("TensorScatter", ["past", "update", "at"], ["y"])],
        "g",
        [
            helper.make_tensor_value_info("past", getattr(TensorProto, kind), [1, 4, 2]),
            helper.make_tensor_value_info("update", getattr(TensorProto, kind), [1, 2, 2]),
            helper.make_tensor_value_info("at", TensorProto.INT64, [1]),
        ],
        [helper.make_tensor_value_info("y", getattr(TensorProto, kind), [1, 4, 2])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    (found,) = dlc.compile(model).run([past, update, np.array([1])])
    wanted = past.copy()
    wanted[:, 1:3] = update
    np.testing.assert_array_equal(found.astype(np.float32), wanted.astype(np.float32))


def test_no_element_in_a_sequence():
    """A table of weights without a byte was no symbol."""
    graph = helper.make_graph(
        [
            helper.make_node("SequenceConstruct", ["w"], ["s"]),
            helper.make_node("SequenceInsert", ["s", "x"], ["t"]),
            helper.make_node("SequenceAt", ["t", "i"], ["y"]),
        ],
        "g",
        [
            helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 1]),
            helper.make_tensor_value_info("i", TensorProto.INT64, []),
        ],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [None, None])],
        [onnx.numpy_helper.from_array(np.zeros((3, 0), np.float32), "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    compiled = dlc.compile(model)
    x = np.ones((2, 1), np.float32)
    np.testing.assert_array_equal(compiled.run([x, np.array(0)])[0], np.zeros((3, 0)))
    np.testing.assert_array_equal(compiled.run([x, np.array(1)])[0], x)


def test_shrink_of_what_has_no_sign():
    x = np.array([0, 1, 2, 200], np.uint8)
    check("Shrink", [x], [("uint8", 1)], opset=9, lambd=1.0, bias=1.0)


def test_pad_of_no_rows():
    x = np.ones((1, 3), np.float32)
    check("Pad", [x, np.array([-1, 0, 0, 2])], [("float32", 2)], constants=(1,), opset=13)


def test_a_scalar_of_few_bits():
    dtype = helper.tensor_dtype_to_np_dtype(TensorProto.UINT4)
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT)], "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT4, [])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 25)], ir_version=10)
    assert dlc.compile(model, opt_level=1).run([np.array(9).astype(dtype)])[0] == 9


@pytest.mark.parametrize("kind", ["FLOAT6E2M3", "FLOAT6E3M2"])
def test_inputs_of_6_bits(kind):
    values = np.array([-7.5, -0.25, 0, 0.25, 1.25, 7.5], np.float32)
    small = values.astype(helper.tensor_dtype_to_np_dtype(getattr(TensorProto, kind)))
    graph = helper.make_graph(
        [helper.make_node("Cast", ["x"], ["y"], to=TensorProto.FLOAT),
         helper.make_node("Cast", ["y"], ["z"], to=getattr(TensorProto, kind))],
        "g",
        [helper.make_tensor_value_info("x", getattr(TensorProto, kind), [6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [6]),
         helper.make_tensor_value_info("z", getattr(TensorProto, kind), [6])],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 28)], ir_version=13)
    compiled = dlc.compile(model, opt_level=1)
    y, z = compiled.run([small])
    np.testing.assert_array_equal(y, small.astype(np.float32))
    np.testing.assert_array_equal(z.astype(np.float32), y)


def test_a_map_of_a_map():
    """Only what the first puts into its sequence says the rank of the items."""
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        main (int64[n] x) => (int64[m] y) {
          s = SequenceConstruct (x, x)
          a = SequenceMap (s) <body = first (int64[] u) => (int64[] v) { v = Neg (u) }>
          b = SequenceMap (a) <body = second (int64[] w) => (int64[] z) { z = Abs (w) }>
          one = Constant <value_int = 1> ()
          y = SequenceAt (b, one)
        }""")
    (y,) = dlc.compile(model, opt_level=1).run([np.array([3, -4])])
    np.testing.assert_array_equal(y, [3, 4])


def test_sums_of_columns_of_one_that_is_chosen():
    """An operand of the sum is read at a constant 0 along a dimension of size 1."""
    x = np.array([[1, 5, 2], [7, 0, 7], [1, 1, 4]], np.float32)
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 13]>
        main (float[n, 3] x) => (float[m, 3] y) {
          h = Hardmax <axis = 1> (x)
          axes = Constant <value_ints = [0]> ()
          y = ReduceSum (h, axes)
        }""")
    (y,) = dlc.compile(model, opt_level=1).run([x])
    np.testing.assert_array_equal(y, [[1, 1, 1]])


def test_the_last_column_of_bytes():
    """A vector of one byte was stored as four, over the row behind it."""
    random = np.random.default_rng(1)
    a, b = (random.integers(-128, 128, shape).astype(np.int8) for shape in ((2, 2, 3, 8), (2, 8, 17)))
    parameters = {"as": 0.066, "az": -2, "bs": 0.156, "bz": 7, "ys": 0.165, "yz": 0}
    constants = [
        onnx.numpy_helper.from_array(np.array(value, np.float32 if name.endswith("s") else np.int8), name)
        for name, value in parameters.items()
    ]
    graph = helper.make_graph(
        [helper.make_node("QLinearMatMul", ["a", "as", "az", "b", "bs", "bz", "ys", "yz"], ["y"])],
        "g",
        [helper.make_tensor_value_info("a", TensorProto.INT8, a.shape),
         helper.make_tensor_value_info("b", TensorProto.INT8, b.shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT8, [2, 2, 3, 17])],
        constants,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    feeds = {"a": a, "b": b}
    found = dlc.compile(model).run(feeds)["y"]
    np.testing.assert_array_equal(found, run_runtime(model, feeds)[0])


def test_pad_of_strings():
    x = np.array([["a", "bc"]], object)
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        main (string[n, m] x) => (string[k, l] y) {
          pads = Constant <value_ints = [0, 1, 1, 0]> ()
          y = Pad (x, pads)
        }""")
    (y,) = dlc.compile(model, opt_level=1).run([x])
    assert y.tolist() == [["", "a", "bc"], ["", "", ""]]


def test_booleans_of_numbers_in_strings():
    x = np.array(["3.5", "0", "-2", "0.0"], object)
    model = parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        main (string[n] x) => (bool[n] y) { y = Cast <to = 9> (x) }""")
    (y,) = dlc.compile(model, opt_level=1).run([x])
    assert y.tolist() == [True, False, True, False]
