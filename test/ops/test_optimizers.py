"""ai.onnx.preview.training against ONNX's reference evaluator, and Dropout's
numbers."""

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

OPSETS = [helper.make_opsetid("", 22), helper.make_opsetid("ai.onnx.preview.training", 1)]


def model(op, groups, count, shape, dtype=TensorProto.FLOAT, results=2, **attributes):
    names = [f"{chr(97 + g)}{i}" for g in range(groups) for i in range(count)]
    outputs = [f"o{i}" for i in range(results * count)]
    info = helper.make_tensor_value_info
    node = helper.make_node(
        op, ["r", "t", *names], outputs, domain="ai.onnx.preview.training", **attributes
    )
    graph = helper.make_graph(
        [node],
        "g",
        [info("r", dtype, []), info("t", TensorProto.INT64, [])]
        + [info(name, dtype, shape) for name in names],
        [info(name, dtype, shape) for name in outputs],
    )
    return helper.make_model(graph, opset_imports=OPSETS, ir_version=10), names


CASES = [
    ("Adagrad", 3, 2, {"norm_coefficient": 0.01, "epsilon": 1e-5, "decay_factor": 0.1}),
    ("Adam", 4, 3, {"alpha": 0.95, "beta": 0.1, "epsilon": 1e-7, "norm_coefficient": 0.01,
                    "norm_coefficient_post": 0.02}),
    ("Momentum", 3, 2, {"alpha": 0.9, "beta": 0.5, "mode": "standard", "norm_coefficient": 0.1}),
    ("Momentum", 3, 2, {"alpha": 0.9, "beta": 0.5, "mode": "nesterov", "norm_coefficient": 0.1}),
]  # fmt: skip


@pytest.mark.parametrize(("op", "groups", "results", "attributes"), CASES)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("updates", [0, 3])
def test_a_step(op, groups, results, attributes, dtype, updates):
    kind = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))
    made, names = model(op, groups, 2, ["n", 2], kind, results, **attributes)
    random = np.random.default_rng(1)
    feeds = {"r": np.array(0.1, dtype), "t": np.array(updates)}
    feeds |= {name: np.abs(random.normal(size=(3, 2))).astype(dtype) for name in names}
    expected = ReferenceEvaluator(made).run(None, feeds)
    for found, want in zip(dlc.compile(made).run(feeds).values(), expected):
        np.testing.assert_allclose(found, want, rtol=1e-5 if dtype == np.float32 else 1e-6)


def test_steps_that_are_refused():
    made, _ = model("Momentum", 3, 1, [2], alpha=0.9, beta=0.5, mode="x", norm_coefficient=0.1)
    with pytest.raises(dlc.CompileError, match="expected the mode standard or nesterov, found 'x'"):
        dlc.compile(made)
    made, _ = model("Adagrad", 4, 1, [2])
    with pytest.raises(dlc.CompileError, match="expected 3 tensors for each that is optimized"):
        dlc.compile(made)


@pytest.mark.parametrize("seed", [0, 7, 2**31])
def test_the_numbers_of_a_dropout_with_a_seed(seed):
    """Those of numpy, whatever the shape: more than one round of the generator."""
    info = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Dropout", ["x", "r", "t"], ["y", "m"], seed=seed)],
        "g",
        [info("x", TensorProto.FLOAT, ["a", "b"]), info("r", TensorProto.FLOAT, []),
         info("t", TensorProto.BOOL, [])],
        [info("y", TensorProto.FLOAT, ["a", "b"]), info("m", TensorProto.BOOL, ["a", "b"])],
    )  # fmt: skip
    made = dlc.compile(helper.make_model(graph, opset_imports=OPSETS[:1], ir_version=10))
    for shape in [(3, 5), (40, 30), (0, 2)]:
        wanted = np.random.RandomState(seed).uniform(0, 1, shape) >= np.float32(0.3)
        x = np.ones(shape, np.float32)
        y, mask = made.run([x, np.float32(0.3), np.bool_(True)])
        np.testing.assert_array_equal(mask, wanted)
        np.testing.assert_allclose(y, wanted / 0.7, rtol=1e-6)
