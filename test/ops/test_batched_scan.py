"""The first version of Scan, which has a batch in front, against ONNX Runtime."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

FLOAT = TensorProto.FLOAT


def model(batch, directions=(0,), lengths="", opset=8):
    info = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Add", ["s", "x"], ["t"]),
            helper.make_node("Identity", ["t"], ["y"]),
        ],
        "body",
        [info("s", FLOAT, [2]), info("x", FLOAT, [2])],
        [info("t", FLOAT, [2]), info("y", FLOAT, [2])],
    )
    node = helper.make_node(
        "Scan",
        [lengths, "first", "rows"],
        ["last", "sums"],
        body=body,
        num_scan_inputs=1,
        directions=directions,
    )
    inputs = [info("first", FLOAT, [batch, 2]), info("rows", FLOAT, [batch, 5, 2])]
    if lengths:
        inputs.insert(0, info(lengths, TensorProto.INT64, [batch]))
    graph = helper.make_graph(
        [node],
        "g",
        inputs,
        [info("last", FLOAT, [batch, 2]), info("sums", FLOAT, [batch, 5, 2])],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=3)


@pytest.mark.parametrize("directions", [(0,), (1,)])
def test_rows_of_a_batch(directions):
    made = model(3, directions)
    random = np.random.default_rng(0)
    feeds = {
        "first": random.normal(size=(3, 2)).astype(np.float32),
        "rows": random.normal(size=(3, 5, 2)).astype(np.float32),
    }
    expected = ort.InferenceSession(made.SerializeToString()).run(None, feeds)
    for found, want in zip(dlc.compile(made).run(feeds).values(), expected):
        np.testing.assert_allclose(found, want, rtol=1e-6)


def test_what_is_refused():
    with pytest.raises(dlc.CompileError, match="expected no sequence_lens"):
        dlc.compile(model(3, lengths="n"))
    with pytest.raises(dlc.CompileError, match="expected a batch whose size is known"):
        dlc.compile(model("n"))
