"""The first version of Scan, which has a batch in front, against ONNX Runtime."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT


def info(name, shape, dtype=FLOAT):
    return helper.make_tensor_value_info(name, dtype, shape)


def model(batch, steps=5, directions=(0,), lengths="", more=()):
    """Running sums of rows; `more` are nodes behind it."""
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "x"], ["t"]),
            helper.make_node("Identity", ["t"], ["y"]),
        ],
        "body",
        [info("s", [2]), info("x", [2])],
        [info("t", [2]), info("y", [2])],
    )
    node = helper.make_node(
        "Scan",
        [lengths, "first", "rows"],
        ["last", "sums"],
        body=body,
        num_scan_inputs=1,
        directions=directions,
    )
    inputs = [info("first", [batch, 2]), info("rows", [batch, steps, 2])]
    if lengths:
        inputs.insert(0, info(lengths, [batch], TensorProto.INT64))
    outputs = [info("last", [batch, 2]), info("sums", [batch, steps, 2])]
    outputs += [helper.make_empty_tensor_value_info(node.output[0]) for node in more]
    graph = helper.make_graph([node, *more], "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 8)], ir_version=3)


def check(made, batch, steps, lengths=None):
    random = np.random.default_rng(0)
    feeds = {
        "first": random.normal(size=(batch, 2)).astype(np.float32),
        "rows": random.normal(size=(batch, steps, 2)).astype(np.float32),
    }
    if lengths is not None:
        feeds["n"] = np.array(lengths, np.int64)
    expected = ort.InferenceSession(made.SerializeToString()).run(None, feeds)
    for found, want in zip(dlc.compile(made).run(feeds).values(), expected):
        np.testing.assert_allclose(found, want, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("directions", [(0,), (1,)])
@pytest.mark.parametrize("batch,steps", [(3, 5), (1, 1), ("b", 5), ("b", "t")])
def test_rows_of_a_batch(batch, steps, directions):
    made = model(batch, steps, directions)
    check(made, 3 if batch == "b" else batch, 4 if steps == "t" else steps)


@pytest.mark.parametrize("directions", [(0,), (1,)])
@pytest.mark.parametrize("batch,steps", [(3, 5), ("b", "t")])
def test_lengths_of_rows(batch, steps, directions):
    """Behind the end of a row there are zeros."""
    check(model(batch, steps, directions, "n"), 3, 5, [2, 5, 1])


def test_other_operators_of_the_set():
    """The whole model is raised, Scan or not."""
    more = [helper.make_node("Softmax", ["sums"], ["p"], axis=1), helper.make_node("TopK", ["sums"], ["v", "i"], k=1)]
    check(model("b", "t", more=more), 3, 5)


def test_batches_of_other_sizes():
    compiled = dlc.compile(model("b", "t", lengths="n"))
    first, rows = np.zeros((2, 2), np.float32), np.zeros((2, 5, 2), np.float32)
    with pytest.raises(dlc.RunError, match="input 'rows'"):
        compiled.run({"first": first, "rows": rows[:1], "n": np.array([5, 5])})
    with pytest.raises(dlc.RunError):
        compiled.run({"first": first, "rows": rows, "n": np.array([5, 6])})
    empty = compiled.run({"first": first[:0], "rows": rows[:0], "n": np.zeros(0, np.int64)})
    assert empty["last"].shape == (0, 2) and len(empty["sums"]) == 0
