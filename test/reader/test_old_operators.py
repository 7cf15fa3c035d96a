"""Operators of old operator sets that ONNX's converter refuses or gets wrong,
against what numpy makes of their definitions."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper

info = helper.make_tensor_value_info


def run(nodes, feeds, outputs, opset, dims=None):
    """Compiles and runs nodes; dims are the shapes of inputs that are dynamic."""
    inputs = [info(n, helper.np_dtype_to_tensor_dtype(x.dtype), (dims or {}).get(n, x.shape))
              for n, x in feeds.items()]
    graph = helper.make_graph(nodes, "g", inputs, [info(n, kind, None) for n, kind in outputs.items()])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)
    return dlc.compile(model).run(feeds)


ARITHMETIC = {"Add": np.add, "Sub": np.subtract, "Mul": np.multiply, "Div": np.divide, "Pow": np.power}
COMPARISONS = {"Equal": np.equal, "Greater": np.greater, "Less": np.less}
LOGIC = {"And": np.logical_and, "Or": np.logical_or, "Xor": np.logical_xor}


@pytest.mark.parametrize("dynamic", [False, True])
def test_broadcast_from_an_axis(dynamic):
    """All operators, with B at every axis, in one model; a Relu in front, so
    that shapes have to be inferred."""
    random = np.random.default_rng(1)
    nodes = [helper.make_node("Relu", ["a0"], ["a"])]
    feeds = {"a0": random.uniform(1, 3, (2, 3, 4, 5)).astype("f")}
    feeds["i"] = random.integers(0, 3, (2, 3, 4, 5)).astype(np.int32)
    feeds["t"] = random.integers(0, 2, (2, 3, 4, 5)) > 0
    outputs, expected = {}, {}
    for axis, shape in [(0, (2,)), (1, (3,)), (1, (3, 4)), (-2, (4,)), (3, (5,)), (0, (2, 3, 4, 5)), (None, (4, 5))]:
        wide = (1,) * (4 - len(shape)) + shape
        if axis is not None:
            wide = (1,) * (axis % 4) + shape + (1,) * (4 - axis % 4 - len(shape))
        place = f"{axis}_{len(shape)}".replace("-", "m")
        b = random.uniform(1, 3, shape).astype("f")
        feeds |= {f"b{place}": b, f"j{place}": b.astype(np.int32), f"u{place}": b > 2}
        for op, function in (ARITHMETIC | COMPARISONS | LOGIC).items():
            x, y, kind = ("a", "b", TensorProto.BOOL)
            if op in ARITHMETIC:
                kind = TensorProto.FLOAT
            elif op in LOGIC:
                x, y = "t", "u"
            elif op == "Equal":
                x, y = "i", "j"
            name = f"{op}_{place}"
            attributes = {} if axis is None else {"axis": axis}
            nodes.append(helper.make_node(op, [x, y + place], [name], broadcast=1, **attributes))
            outputs[name] = kind
            left = feeds["a0" if x == "a" else x]
            expected[name] = function(left, feeds[y + place].reshape(wide))
    dims = {n: [f"{n}{i}" for i in range(x.ndim)] for n, x in feeds.items() if n in "a0it"}
    found = run(nodes, feeds, outputs, 6, dims if dynamic else None)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, err_msg=name)


def test_gemm_of_opset_6_with_dynamic_shapes():
    feeds = {"a": np.ones((2, 3), "f"), "b": np.ones((3, 4), "f"), "c": np.arange(4, dtype="f")}
    found = run([helper.make_node("Gemm", ["a", "b", "c"], ["y"], broadcast=1)], feeds,
                {"y": TensorProto.FLOAT}, 6, {"a": ["n", 3]})
    np.testing.assert_allclose(found["y"], feeds["a"] @ feeds["b"] + feeds["c"])


@pytest.mark.parametrize("attributes, shape, message", [
    ({"axis": 2}, (3, 4), "expected an axis of A from which B, of rank 2, fits into rank 3, found 2"),
    ({"axis": -4}, (3,), "found -4"),
])
def test_axis_that_does_not_fit(attributes, shape, message):
    feeds = {"a": np.ones((2, 3, 4), "f"), "b": np.ones(shape, "f")}
    with pytest.raises(dlc.DlcError, match=message):
        run([helper.make_node("Add", ["a", "b"], ["y"], broadcast=1, **attributes)], feeds,
            {"y": TensorProto.FLOAT}, 6)


def test_axis_of_an_unknown_rank():
    nodes = [helper.make_node("Reshape", ["x", "s"], ["a"]),
             helper.make_node("Add", ["a", "b"], ["y"], broadcast=1, axis=1)]
    feeds = {"x": np.ones((2, 3), "f"), "s": np.array([2, 3]), "b": np.ones(3, "f")}
    with pytest.raises(dlc.DlcError, match="expected operands of known ranks with an axis"):
        run(nodes, feeds, {"y": TensorProto.FLOAT}, 6, {"s": ["n"]})


@pytest.mark.parametrize("opset", [6, 7, 8])
@pytest.mark.parametrize("dims", [None, {"x": ["n", 2, 3, 2]}])
def test_batch_normalization_of_elements(opset, dims):
    random = np.random.default_rng(2)
    x = random.normal(size=(4, 2, 3, 2)).astype("f")
    scale, bias, mean = (random.normal(size=(2, 3, 2)).astype("f") for _ in range(3))
    variance = random.uniform(0.5, 2, (2, 3, 2)).astype("f")
    attributes = {"is_test": 1} if opset == 6 else {}
    names = ["x", "scale", "bias", "mean", "variance"]
    found = run([helper.make_node("BatchNormalization", names, ["y"], spatial=0, **attributes)],
                dict(zip(names, (x, scale, bias, mean, variance))), {"y": TensorProto.FLOAT}, opset, dims)
    expected = (x - mean) / np.sqrt(variance + 1e-5) * scale + bias
    np.testing.assert_allclose(found["y"], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("opset, kind", [(6, 1), (7, 1), (7, 10), (9, 11), (10, 9), (11, 9)])
@pytest.mark.parametrize("dims", [None, {"x": ["n", "m"]}])
def test_mask_of_a_dropout(opset, kind, dims):
    dtype = helper.tensor_dtype_to_np_dtype(1 if kind == 9 else kind)
    x = np.array([[0, 1, np.nan], [-2, np.inf, 3]], dtype)
    attributes = {"is_test": 1} if opset == 6 else {}
    found = run([helper.make_node("Dropout", ["x"], ["y", "mask"], ratio=0.3, **attributes)], {"x": x},
                {"y": helper.np_dtype_to_tensor_dtype(x.dtype), "mask": kind}, opset, dims)
    np.testing.assert_array_equal(found["y"], x)
    assert found["mask"].dtype == helper.tensor_dtype_to_np_dtype(kind)
    np.testing.assert_array_equal(found["mask"], np.ones_like(found["mask"]))


@pytest.mark.parametrize("opset", [9, 13, 21])
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_mean_variance_normalization_of_any_type(opset, dtype):
    """ONNX's function body of it is one of float32."""
    x = np.random.default_rng(3).normal(size=(2, 3, 4, 5)).astype(dtype)
    found = run([helper.make_node("MeanVarianceNormalization", ["x"], ["y"])], {"x": x},
                {"y": helper.np_dtype_to_tensor_dtype(x.dtype)}, opset)["y"]
    wide = x.astype(np.float64)
    centred = wide - wide.mean((0, 2, 3), keepdims=True)
    expected = centred / np.sqrt((centred**2).mean((0, 2, 3), keepdims=True))
    assert found.dtype == x.dtype
    np.testing.assert_allclose(found, expected, atol={"float16": 2e-3}.get(dtype, 1e-5))


@pytest.mark.parametrize("op,gates", [("RNN", 1), ("GRU", 3), ("LSTM", 4)])
def test_recurrent_operators_of_set_6(op, gates):
    """They say with an attribute whether there is a first output."""
    random = np.random.default_rng(0)
    feeds = {
        "x": random.standard_normal((3, 2, 4)).astype("f"),
        "w": random.standard_normal((1, gates * 5, 4)).astype("f"),
        "r": random.standard_normal((1, gates * 5, 5)).astype("f"),
    }
    found = []
    for opset, attributes in [(6, {"output_sequence": 1}), (14, {})]:
        node = helper.make_node(op, ["x", "w", "r"], ["y", "last"], hidden_size=5, **attributes)
        found.append(run([node], feeds, {"y": TensorProto.FLOAT, "last": TensorProto.FLOAT}, opset))
    assert found[0]["y"].shape == (3, 1, 2, 5)
    for name in ("y", "last"):
        np.testing.assert_array_equal(found[0][name], found[1][name])
