"""Passes make nothing that the element type, the operator set or ONNX Runtime
cannot take, where the model could."""

import pathlib
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import check_same, count, emit, evaluate, make_model, run  # noqa: E402

node = helper.make_node
F, H, D = np.float32, np.float16, np.float64


def typed(nodes, constants, dtype, shape=(2, 3, 8, 8), opset=17):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_tensor_value_info("y", kind, shape)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pair(op, first, second):
    return [node(op, ["x", "a"], ["b"]), node(op, ["b", "c"], ["y"])], {"a": first, "c": second}


@pytest.mark.parametrize("nodes, constants, value", [
    (*pair("Mul", H(1000), H(1000)), H(1e-3)),
    (*pair("Mul", F(1e30), F(1e30)), F(1e-30)),
    (*pair("Mul", F(1e-30), F(1e-30)), F(1e30)),
    (*pair("Div", H(300), H(300)), H(60000)),
    # Not quite 1.
    ([node("Mul", ["x", "a"], ["y"])], {"a": H(1.002)}, H(3)),
    ([node("Div", ["a", "x"], ["y"])], {"a": H(1.002)}, H(3)),
])  # fmt: skip
def test_numbers_that_a_type_lacks(nodes, constants, value, tmp_path):
    model = typed(nodes, constants, value.dtype, (4,))
    inputs = {"x": np.full(4, value)}
    want, found = evaluate(model, inputs)[0], evaluate(emit(model, tmp_path), inputs)[0]
    # A digit less than a number as near to 1 changes.
    tolerance = np.finfo(value.dtype).eps * (0.9 if len(nodes) == 1 else 4)
    np.testing.assert_allclose(want, found, rtol=tolerance)


def test_text_of_bools(tmp_path):
    cast = [node("Cast", ["x"], ["a"], to=TensorProto.INT32), node("Cast", ["a"], ["y"], to=TensorProto.STRING)]
    model = typed(cast, {}, np.bool_, (2,))
    model.graph.output[0].type.tensor_type.elem_type = TensorProto.STRING
    assert count(emit(model, tmp_path)) == {"Cast": 2}


MISH = [node("Exp", ["x"], ["e"]), node("Add", ["e", "one"], ["a"]), node("Log", ["a"], ["l"]),
        node("Tanh", ["l"], ["t"]), node("Mul", ["x", "t"], ["y"])]  # fmt: skip
HARD = [node("Add", ["x", "three"], ["a"]), node("Clip", ["a", "zero", "six"], ["b"]),
        node("Mul", ["x", "b"], ["c"]), node("Div", ["c", "six"], ["y"])]  # fmt: skip


def normalization(axes):
    return [
        node("ReduceMean", ["x"], ["m"], axes=axes), node("Sub", ["x", "m"], ["d"]),
        node("Mul", ["d", "d"], ["q"]), node("ReduceMean", ["q"], ["v"], axes=axes),
        node("Add", ["v", "eps"], ["r"]), node("Sqrt", ["r"], ["s"]), node("Div", ["d", "s"], ["n"]),
        node("Mul", ["n", "g"], ["h"]), node("Add", ["h", "k"], ["y"]),
    ]  # fmt: skip


def scattered(nodes, dtype, opset=17):
    numbers = {"one": 1, "three": 3, "zero": 0, "six": 6, "eps": 1e-5}
    used = {name for n in nodes for name in n.input}
    constants = {name: dtype(v) for name, v in numbers.items() if name in used}
    gain = (8,) if list(nodes[0].attribute) and nodes[0].attribute[0].ints == [-1] else (3, 1, 1)
    constants |= {n: np.linspace(0.5, 2, gain[0]).astype(dtype).reshape(gain) for n in "gk" if n in used}
    return typed(nodes, constants, dtype, opset=opset)


@pytest.mark.parametrize("nodes, absent", [
    (MISH, "Mish"), (MISH[:3] + [node("Identity", ["l"], ["y"])], "Softplus"), (HARD, "HardSwish"),
    (normalization([2, 3]), "InstanceNormalization"),
])  # fmt: skip
def test_float64_that_onnxruntime_lacks(nodes, absent, tmp_path):
    assert count(emit(scattered(nodes, F), tmp_path))[absent] == 1
    model = scattered(nodes, D)
    after = emit(model, tmp_path)
    assert absent not in count(after)
    inputs = {"x": np.random.default_rng(0).standard_normal((2, 3, 8, 8))}
    np.testing.assert_allclose(evaluate(model, inputs)[0], evaluate(after, inputs)[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("nodes, made, first", [
    (MISH, "Mish", 18), (HARD, "HardSwish", 14), (normalization([-1]), "LayerNormalization", 17),
])  # fmt: skip
def test_operators_that_a_set_lacks(nodes, made, first, tmp_path):
    model = scattered(nodes, F, opset=13)
    for opset in (first - 1, first):
        after = emit(model, tmp_path, f"--opset={opset}")
        assert (made in count(after)) == (opset == first)
        check_same(model, after)


SIZES = {"axes": np.array([1]), "sizes": np.array([3, 5]), "from": np.array([1]), "to": np.array([6]),
         "step": np.array([1]), "low": F(-0.5), "high": F(0.5)}  # fmt: skip


@pytest.mark.parametrize("nodes, opset, attributes", [
    ([node("ReduceMax", ["x", "axes"], ["y"])], 17, {"axes"}),
    ([node("ReduceSum", ["x", "axes"], ["y"])], 12, {"axes"}),
    ([node("Unsqueeze", ["x", "axes"], ["y"])], 11, {"axes"}),
    ([node("Split", ["x", "sizes"], ["y", "z"], axis=1)], 11, {"axis", "split"}),
    ([node("Split", ["x"], ["y", "z"], axis=1, num_outputs=2)], 17, {"axis"}),
    ([node("Slice", ["x", "from", "to", "axes", "step"], ["y"])], 9, {"starts", "ends", "axes"}),
    ([node("Clip", ["x", "low", "high"], ["y"])], 9, {"min", "max"}),
])  # fmt: skip
def test_inputs_that_were_attributes(nodes, opset, attributes, tmp_path):
    model = make_model(nodes, {"x": [2, 8]}, {"y": None}, {n: SIZES[n] for n in nodes[0].input[1:]}, opset=18)
    after = emit(model, tmp_path, f"--opset={opset}")
    assert attributes <= {a.name for a in after.graph.node[0].attribute}
    assert len(after.graph.node[0].input) == 1 and not after.graph.initializer
    check_same(model, after)


def test_value_of_a_pad_that_has_none(tmp_path):
    pad = node("Pad", ["x"], ["y"], mode="edge", pads=[0, 1, 0, 1], value=1.5)
    model = make_model([pad], {"x": [2, 4]}, {"y": [2, 6]}, opset=10)
    check_same(model, emit(model, tmp_path))


def test_steps_that_are_no_attribute(tmp_path):
    constants = SIZES | {"step": np.array([2])}
    slice_ = node("Slice", ["x", "from", "to", "axes", "step"], ["y"])
    model = make_model([slice_], {"x": [2, 8]}, {"y": None}, {n: constants[n] for n in slice_.input[1:]}, opset=18)
    onnx.save(model, tmp_path / "in.onnx")
    status, err = run(tmp_path / "in.onnx", "--emit=onnx", "--opset=9", "-o", tmp_path / "out.onnx")
    assert status == 1 and "operator set 9: Slice (input 'steps')" in err


ACTIVATIONS = [("PRelu", D, 16), ("PRelu", D, 9), ("PRelu", np.int32, 9), ("LeakyRelu", D, 16), ("Elu", D, 17), ("Selu", D, 13),
               ("Softplus", D, 13), ("Softsign", D, 17), ("ThresholdedRelu", D, 13), ("Mish", D, 18),
               ("HardSwish", D, 14), ("HardSigmoid", D, 13), ("Relu", np.int64, 14)]  # fmt: skip


@pytest.mark.parametrize("op, dtype, own", ACTIVATIONS)
@pytest.mark.parametrize("asked", [None, 21])
def test_activations_without_a_kernel(op, dtype, own, asked, tmp_path):
    """ONNX Runtime takes their definition from ONNX's functions, up to set 18."""
    slope = {"s": np.array([2, 3, -4], dtype)} if op == "PRelu" else {}
    model = typed([node(op, ["x", *slope], ["y"])], slope, dtype, (2, 3), opset=own)
    after = emit(model, tmp_path, *([f"--opset={asked}"] if asked else []))
    assert count(after) == {op: 1} and after.opset_import[0].version == (asked or 18)
    if not asked:
        x = np.array([[-3, 2, -2], [1, -1, 0]], dtype)
        model.opset_import[0].version = 18
        np.testing.assert_allclose(evaluate(after, {"x": x})[0], evaluate(model, {"x": x})[0], rtol=1e-12)


@pytest.mark.parametrize("own, written", [(11, 18), (18, 18), (19, 21), (21, 21), (22, 22)])
def test_average_pools_of_a_faster_set(own, written, tmp_path):
    """ONNX Runtime 1.32 takes 10 % longer for those of set 19."""
    model = typed([node("AveragePool", ["x"], ["y"], kernel_shape=[3, 3], pads=[1] * 4)], {}, F, opset=own)
    after = emit(model, tmp_path)
    assert after.opset_import[0].version == written
    check_same(model, after)


@pytest.mark.parametrize("own, asked", [(24, None), (25, None), (17, 24), (17, 25), (17, 28)])
def test_swish_of_the_set_that_runs_it(own, asked, tmp_path):
    """ONNX Runtime 1.32 runs Swish, a function, in set 24 only."""
    model = typed([node("Sigmoid", ["x"], ["s"]), node("Mul", ["x", "s"], ["y"])], {}, F, opset=own)
    model.ir_version = 10
    after = emit(model, tmp_path, *([f"--opset={asked}"] if asked else []))
    assert count(after)["Swish"] == ((asked or own) == 24)
    check_same(model, after)
