"""What only the run can know to be wrong ends it with a status and a message
that names the node: no wild access, no answer that is not one."""

import dlc
import numpy as np
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

SHAPE, MEMORY, VALUE = 3, 6, 8
FLOAT, INT64 = TensorProto.FLOAT, TensorProto.INT64


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(1, 1 + np.prod(shape), dtype=np.float32).reshape(shape)


def compile_node(op, feeds, constants, attributes):
    """A model of one node named "culprit" all of whose sizes are dynamic."""
    inputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            # Those that are read as sizes have a fixed length.
            value.shape if name == "sizes" else [f"{name}{i}" for i in range(value.ndim)],
        )
        for name, value in feeds.items()
    ]
    names = [*feeds, *constants]
    node = helper.make_node(op, names, ["y"], name="culprit", **attributes)
    output = helper.make_tensor_value_info("y", INT64 if op == "Range" else FLOAT, None)
    weights = [numpy_helper.from_array(value, name) for name, value in constants.items()]
    graph = helper.make_graph([node], "g", inputs, [output], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    return dlc.compile(model, opt_level=1)


OUTSIDE = "expected indices inside the operand"
HUGE = 2**62


@pytest.mark.parametrize(
    "op, feeds, attributes, status, message",
    [
        ("Gather", {"x": floats(4, 3), "i": ints(0, 4)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(-5)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(3)}, {"axis": 1}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(0, 3), "i": ints(0)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(HUGE)}, {}, VALUE, OUTSIDE),
        ("Gather", {"x": floats(4, 3), "i": ints(-(2**63))}, {}, VALUE, OUTSIDE),
        ("GatherElements", {"x": floats(4), "i": ints(9)}, {}, VALUE, OUTSIDE),
        ("GatherND", {"x": floats(4), "i": ints(0, 9)}, {"fixed": True}, VALUE, OUTSIDE),
        ("ScatterElements", {"x": floats(4), "i": ints(7), "u": floats(1)}, {}, VALUE, OUTSIDE),
        ("ScatterElements", {"x": floats(4), "i": ints(-7), "u": floats(1)}, {}, VALUE, OUTSIDE),
        ("Reshape", {"x": floats(4, 3), "sizes": ints(5, 2)}, {}, VALUE, "as many elements"),
        ("Reshape", {"x": floats(4, 3), "sizes": ints(-1, -1)}, {}, VALUE, "as many elements"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(3, 5)}, {}, VALUE, "broadcasts"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(-1, 5)}, {}, VALUE, "broadcasts"),
        ("Expand", {"x": floats(4, 1), "sizes": ints(4, 2**61)}, {}, MEMORY, "out of memory"),
        ("Tile", {"x": floats(4), "sizes": ints(-1)}, {}, VALUE, "repeats of 0 or more"),
        ("Tile", {"x": floats(4), "sizes": ints(HUGE)}, {}, MEMORY, "out of memory"),
        ("Pad", {"x": floats(4), "sizes": ints(HUGE, HUGE)}, {}, MEMORY, "out of memory"),
        ("Pad", {"x": floats(4), "sizes": ints(-3, -3)}, {}, VALUE, "size of 0 or more"),
        ("ConstantOfShape", {"sizes": ints(-1, 2)}, {}, VALUE, "negative size"),
        ("ConstantOfShape", {"sizes": ints(2**40, 2**40)}, {}, MEMORY, "out of memory"),
        ("MatMul", {"x": floats(2, 3), "z": floats(4, 4)}, {}, SHAPE, "as many columns"),
        ("Add", {"x": floats(4, 3), "z": floats(2, 3)}, {}, SHAPE, "broadcast"),
        ("Concat", {"x": floats(2, 3), "z": floats(2, 4)}, {"axis": 0}, SHAPE, "equal sizes"),
        ("Concat", {"x": floats(2, 4), "z": floats(2, 3)}, {"axis": 0}, SHAPE, "equal sizes"),
        ("Conv", {"x": floats(1, 4, 5, 5)}, {}, SHAPE, "as many channels"),
        ("Conv", {"x": floats(1, 2, 5, 5)}, {}, SHAPE, "as many channels"),
    ],
)
def test_refused(op, feeds, attributes, status, message):
    attributes = dict(attributes)
    if attributes.pop("fixed", False):
        feeds = {"x": feeds["x"], "sizes": feeds["i"].reshape(-1, 1)}
    constants = {"w": floats(4, 3, 3, 3)} if op == "Conv" else {}
    with pytest.raises(dlc.RunError) as error:
        compile_node(op, feeds, constants, attributes).run(feeds)
    assert f"(status {status})" in str(error.value)
    assert message in str(error.value)
    if status != MEMORY and "negative size" not in message:
        assert "node 'culprit'" in str(error.value)


@pytest.mark.parametrize(
    "op, feeds, expected",
    [
        ("Gather", {"x": floats(4, 3), "i": ints(-4, 3)}, floats(4, 3)[[0, 3]]),
        ("Gather", {"x": floats(0, 3), "i": np.zeros(0, np.int64)}, floats(0, 3)),
        ("Expand", {"x": floats(4, 1), "sizes": ints(1, 5)}, np.tile(floats(4, 1), 5)),
        ("Expand", {"x": floats(4, 1), "sizes": ints(4, 0)}, floats(4, 0)),
        ("Tile", {"x": floats(4), "sizes": ints(0)}, floats(0)),
        ("Pad", {"x": floats(4), "sizes": ints(-2, 1)}, np.array([3, 4, 0], np.float32)),
    ],
)
def test_at_the_edge(op, feeds, expected):
    result = compile_node(op, feeds, {}, {}).run(feeds)["y"]
    np.testing.assert_array_equal(result, expected)
    assert result.shape == expected.shape


def test_constant_index_outside_is_found_by_the_compiler():
    index = helper.make_tensor_value_info
    node = helper.make_node("Gather", ["x", "i"], ["y"], name="culprit")
    graph = helper.make_graph(
        [node], "g", [index("x", FLOAT, [4, 3])], [index("y", FLOAT, [1, 3])],
        [numpy_helper.from_array(ints(4), "i")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    with pytest.raises(dlc.CompileError, match="culprit.*expected an index .*found 4"):
        dlc.compile(model)


def model_of(op, feeds, attributes, domain="", opset=21, result=FLOAT, fixed=()):
    """A model of one node all of whose inputs are the graph's, of dynamic
    sizes but those of `fixed` inputs; None is an absent input."""
    inputs = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(value.dtype),
            value.shape if name in fixed else [f"{name}{i}" for i in range(value.ndim)],
        )
        for name, value in feeds.items()
        if value is not None
    ]
    names = ["" if value is None else name for name, value in feeds.items()]
    # Some operators insist on a second output.
    results = ["y"]
    if not domain and onnx.defs.get_schema(op, opset, domain).min_output == 2:
        results.append("second")
    node = helper.make_node(op, names, results, name="culprit", domain=domain, **attributes)
    output = helper.make_tensor_value_info("y", result, None)
    graph = helper.make_graph([node], "g", inputs, [output])
    opsets = [helper.make_opsetid("", opset)]
    if domain:
        opsets.append(helper.make_opsetid(domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def reference_of(model, feeds):
    """What ONNX Runtime says, or ONNX's reference where that lacks the operator."""
    try:
        session = onnxruntime.InferenceSession(model.SerializeToString())
    except Exception:
        return ReferenceEvaluator(model).run(None, feeds)[0]
    return session.run(None, feeds)[0]


def bytes_of(*values):
    return np.array(values, np.uint8)


def int32s(*values):
    return np.array(values, np.int32)


def scalar(value):
    return np.array(value, np.float32)


def recurrent(gates, **others):
    """Inputs of 3 steps of 2 sequences of 3 elements, 4 hidden."""
    feeds = {
        "X": floats(3, 2, 3) / 20,
        "W": floats(1, gates * 4, 3) / 50,
        "R": floats(1, gates * 4, 4) / 70,
        "B": floats(1, gates * 8) / 90,
        "lens": int32s(3, 2),
        "h": floats(1, 2, 4) / 10,
    }
    if gates == 4:
        feeds |= {"c": floats(1, 2, 4) / 9, "P": floats(1, 12) / 30}
    return feeds | others


HIDDEN = {"hidden_size": 4}
IMAGE = floats(1, 3, 4, 4) / 10
PER_CHANNEL = {"s": floats(3), "b": floats(3)}
BATCH_NORM = {"x": IMAGE, **PER_CHANNEL, "m": floats(3), "v": floats(3)}
KERNEL = {"kernel_shape": [3, 3]}
FOUR_PLACES = np.array([[[[0, 3], [9, 15]]]], np.int64)
UNPOOL = {"kernel_shape": [2, 2], "strides": [2, 2]}
ROIS = np.array([[0, 0, 2, 2], [1, 1, 3, 3]], np.float32)
BOXES = np.array([[[0, 0, 1, 1], [0, 0, 1, 1.1], [2, 2, 3, 3]]], np.float32)
NMS = {
    "boxes": BOXES,
    "scores": floats(1, 1, 3) / 4,
    "most": ints(2),
    "iou": np.array([0.5], np.float32),
}


@pytest.mark.parametrize(
    "op, good, bad, attributes, status, message",
    [
        # What is wrong: `bad` in place of the inputs of `good`.
        ("LSTM", recurrent(4), {"h": floats(1, 9, 9)}, HIDDEN, SHAPE, "initial_h of the shape"),
        ("LSTM", recurrent(4), {"h": floats(1, 1, 4)}, HIDDEN, SHAPE, "initial_h of the shape"),
        ("LSTM", recurrent(4), {"h": floats(1, 2, 2)}, HIDDEN, SHAPE, "initial_h of the shape"),
        ("LSTM", recurrent(4), {"h": floats(2, 2, 4)}, HIDDEN, SHAPE, "initial_h of the shape"),
        ("LSTM", recurrent(4), {"c": floats(1, 9, 9)}, HIDDEN, SHAPE, "initial_c of the shape"),
        ("LSTM", recurrent(4), {"P": floats(1, 11)}, HIDDEN, SHAPE, "P of the shape"),
        ("LSTM", recurrent(4), {"B": floats(1, 31)}, HIDDEN, SHAPE, "B of the shape"),
        ("LSTM", recurrent(4), {"W": floats(1, 15, 3)}, HIDDEN, SHAPE, "W of the shape"),
        ("LSTM", recurrent(4), {"R": floats(1, 16, 3)}, HIDDEN, SHAPE, "R of the shape"),
        ("LSTM", recurrent(4), {"lens": int32s(3)}, HIDDEN, SHAPE, "sequence_lens of the shape"),
        ("LSTM", recurrent(4), {"lens": int32s(4, 1)}, HIDDEN, VALUE, "sequence_lens from 0"),
        ("LSTM", recurrent(4), {"lens": int32s(-1, 1)}, HIDDEN, VALUE, "sequence_lens from 0"),
        ("GRU", recurrent(3), {"h": floats(1, 9, 9)}, HIDDEN, SHAPE, "initial_h of the shape"),
        ("GRU", recurrent(3), {"W": floats(0, 12, 3)}, HIDDEN, SHAPE, "W of the shape"),
        ("RNN", recurrent(1), {"h": floats(1, 2, 5)}, HIDDEN, SHAPE, "initial_h of the shape"),
        (
            "ScatterND",
            {"x": floats(4, 3), "sizes": ints(1, 2).reshape(2, 1), "u": floats(2, 3)},
            {"u": floats(1, 3)}, {}, SHAPE, "updates of the shape",
        ),
        (
            "ScatterND",
            {"x": floats(4, 3), "sizes": ints(1, 2).reshape(2, 1), "u": floats(2, 3)},
            {"u": floats(2, 1)}, {}, SHAPE, "updates of the shape",
        ),
        (
            "ScatterElements", {"x": floats(4), "i": ints(1, 2), "u": floats(2)},
            {"u": floats(1)}, {}, SHAPE, "updates of the shape",
        ),
        (
            "ScatterElements",
            {"x": floats(3, 2), "i": ints(1, 2).reshape(1, 2), "u": floats(1, 2)},
            {"i": np.zeros((1, 3), np.int64), "u": floats(1, 3)}, {}, SHAPE,
            "no larger in the other dimensions",
        ),
        (
            "GatherElements", {"x": floats(3, 2), "i": np.zeros((5, 2), np.int64)},
            {"i": np.zeros((2, 5), np.int64)}, {}, SHAPE, "no larger in the other dimensions",
        ),
        (
            "GatherND", {"x": floats(2, 3), "sizes": ints(1, 2).reshape(2, 1)},
            {"x": floats(1, 3)}, {"batch_dims": 1}, SHAPE, "batch dimensions",
        ),
        (
            "Einsum", {"x": floats(2, 3), "z": floats(3, 2)},
            {"z": floats(2, 2)}, {"equation": "ij,jk->ik"}, SHAPE, "share a subscript",
        ),
        ("Einsum", {"x": floats(3, 3)}, {"x": floats(3, 2)}, {"equation": "ii->i"}, SHAPE,
         "a subscript is repeated"),
        (
            "ReverseSequence", {"x": floats(3, 2), "l": ints(3, 0)},
            {"l": ints(4, 1)}, {}, VALUE, "sequence_lens from 0",
        ),
        (
            "ReverseSequence", {"x": floats(3, 2), "l": ints(3, 1)},
            {"l": ints(1)}, {}, SHAPE, "sequence_lens of the shape",
        ),
        (
            "OneHot", {"i": ints(0, 2), "depth": ints(3), "v": floats(2)},
            {"depth": ints(-3)}, {}, VALUE, "a depth of 0 or more",
        ),
        (
            "OneHot", {"i": ints(0, 2), "depth": ints(3), "v": floats(2)},
            {"v": floats(1)}, {}, SHAPE, "values of the shape",
        ),
        ("CumSum", {"x": floats(4), "axis": ints(0)}, {"axis": ints()}, {}, SHAPE, "one element"),
        (
            "Gemm", {"a": floats(2, 3), "b": floats(3, 2), "c": floats(2, 2)},
            {"a": floats(1, 3), "c": floats(2, 2)}, {}, SHAPE, "C that broadcasts",
        ),
        ("PRelu", {"x": -floats(2, 3), "s": floats(3)}, {"x": -floats(2, 1)}, {}, SHAPE,
         "slope that broadcasts"),
        (
            "LayerNormalization", {"x": floats(2, 3), "s": floats(3)},
            {"x": floats(2, 1)}, {}, SHAPE, "Scale that broadcasts",
        ),
        ("BatchNormalization", BATCH_NORM, {"s": floats(1)}, {}, SHAPE, "scale of the shape"),
        ("BatchNormalization", BATCH_NORM, {"v": floats(1)}, {}, SHAPE, "var of the shape"),
        (
            "InstanceNormalization", {"x": IMAGE, **PER_CHANNEL},
            {"b": floats(1)}, {}, SHAPE, "B of the shape",
        ),
        ("MaxPool", {"x": IMAGE}, {"x": floats(1, 3, 4, 1)}, KERNEL, SHAPE, "than the window"),
        ("AveragePool", {"x": IMAGE}, {"x": floats(1, 3, 1, 4)}, KERNEL, SHAPE,
         "than the window"),
        (
            "MaxUnpool", {"x": floats(1, 1, 2, 2), "i": FOUR_PLACES},
            {"i": FOUR_PLACES[:, :, :1]}, UNPOOL, SHAPE, "I of the shape",
        ),
        (
            "MaxUnpool", {"x": floats(1, 1, 2, 2), "i": FOUR_PLACES},
            {"i": FOUR_PLACES + 1}, UNPOOL, VALUE, "indices inside the result",
        ),
        (
            "Col2Im", {"x": floats(1, 4, 4), "sizes": ints(4, 4), "sizes2": ints(2, 2)},
            {"x": floats(1, 4, 3)}, {"strides": [2, 2]}, SHAPE, "positions of the block",
        ),
        (
            "Col2Im", {"x": floats(1, 4, 4), "sizes": ints(4, 4), "sizes2": ints(2, 2)},
            {"sizes2": ints(5, 2)}, {"strides": [2, 2]}, VALUE, "than the block",
        ),
        (
            "AffineGrid", {"t": floats(1, 2, 3), "sizes": ints(1, 1, 2, 2)},
            {"t": floats(1, 2, 2)}, {}, SHAPE, "theta of the shape",
        ),
        ("Det", {"x": floats(2, 2, 2) ** 2}, {"x": floats(2, 2, 1)}, {}, SHAPE,
         "square matrices"),
        (
            "GridSample", {"x": IMAGE, "g": floats(1, 2, 2, 2) / 9 - 0.5},
            {"g": floats(2, 2, 2, 2)}, {}, SHAPE, "grid of the shape",
        ),
        (
            "GridSample", {"x": IMAGE, "g": floats(1, 2, 2, 2) / 9 - 0.5},
            {"x": floats(1, 3, 0, 4)}, {}, SHAPE, "not empty",
        ),
        (
            "RoiAlign", {"x": IMAGE, "r": ROIS, "b": ints(0, 0)},
            {"b": ints(0)}, {}, SHAPE, "batch_indices of the shape",
        ),
        (
            "RoiAlign", {"x": IMAGE, "r": ROIS, "b": ints(0, 0)},
            {"b": ints(0, 1)}, {}, VALUE, "batch_indices inside the batch",
        ),
        (
            "MaxRoiPool", {"x": IMAGE, "r": floats(1, 5) - 1},
            {"r": floats(1, 5)}, {"pooled_shape": [2, 2]}, VALUE, "regions of images",
        ),
        (
            "NonMaxSuppression", NMS, {"scores": floats(1, 1, 2)}, {}, SHAPE,
            "scores of the shape",
        ),
        ("NonMaxSuppression", NMS, {"boxes": BOXES[:, :, :3]}, {}, SHAPE, "boxes of the shape"),
        ("Resize", {"x": floats(2, 3), "": None, "sizes": floats(2)},
         {"sizes": -floats(2)}, {}, VALUE, "scales above 0"),
        ("Resize", {"x": floats(2, 3), "": None, "sizes": floats(2)},
         {"sizes": np.array([1, np.nan], np.float32)}, {}, VALUE, "scales above 0"),
        ("Resize", {"x": floats(2, 3), "": None, "sizes": floats(2)},
         {"sizes": np.zeros(2, np.float32)}, {}, VALUE, "scales above 0"),
        ("Pad", {"x": floats(4), "sizes": ints(3, 3)}, {"sizes": ints(4, 0)},
         {"mode": "reflect"}, VALUE, "smaller than the reflected dimension"),
        ("Pad", {"x": floats(4), "sizes": ints(5, 1)}, {"x": floats(0)},
         {"mode": "edge"}, VALUE, "not empty"),
        (
            "QuantizeLinear", {"x": floats(2, 3), "s": floats(3)},
            {"x": floats(2, 1)}, {}, SHAPE, "a scale or zero point",
        ),
        (
            "DequantizeLinear", {"x": np.ones((2, 5), np.uint8), "s": floats(2, 3)},
            {"s": floats(2, 2)}, {"block_size": 2}, SHAPE, "each block",
        ),
        (
            "MatMulInteger", {"a": bytes_of(1, 2).reshape(1, 2), "b": bytes_of(3, 4).reshape(2, 1),
                              "za": bytes_of(1), "zb": bytes_of(2)},
            {"zb": bytes_of(1, 2)}, {}, SHAPE, "a zero point",
        ),
        ("ArgMax", {"x": floats(2, 3)}, {"x": floats(0, 3)}, {}, SHAPE, "not empty"),
        ("Range", {"a": np.array(0), "b": np.array(5), "c": np.array(2)}, {"c": np.array(0)},
         {}, VALUE, "a delta other than 0"),
        ("Range", {"a": scalar(0), "b": scalar(5), "c": scalar(2)}, {"c": scalar(0)},
         {}, VALUE, "a delta other than 0"),
        ("ConstantOfShape", {"sizes": ints(0, 3)}, {"sizes": ints(0, HUGE)}, {}, MEMORY,
         "out of memory"),
        ("Expand", {"x": floats(0, 1), "sizes": ints(0, 3)}, {"sizes": ints(0, HUGE)}, {}, MEMORY,
         "out of memory"),
        ("Reshape", {"x": floats(2, 2), "sizes": ints(4, 1)}, {"sizes": ints(-2, -2)}, {}, VALUE,
         "as many elements"),
        ("Reshape", {"x": floats(0, 2), "sizes": ints(4, 0)},
         {"sizes": ints(2**32, 2**32)}, {"allowzero": 1}, VALUE, "as many elements"),
        ("DFT", {"x": floats(1, 4, 1)}, {"x": floats(1, 4, 3)}, {}, SHAPE, "1 or 2"),
        (
            "STFT", {"x": floats(1, 8, 1), "step": np.array(2), "w": np.ones(4, np.float32)},
            {"step": np.array(0)}, {}, VALUE, "frame_step of 1 or more",
        ),
        (
            "STFT", {"x": floats(1, 8, 1), "step": np.array(2), "w": np.ones(4, np.float32)},
            {"x": floats(1, 3, 1)}, {}, SHAPE, "no shorter than a frame",
        ),
        (
            "STFT", {"x": floats(1, 8, 1), "step": np.array(2), "w": np.ones(4, np.float32)},
            {"w": floats(0)}, {}, SHAPE, "a frame that is not empty",
        ),
    ],
)  # fmt: skip
def test_inputs_that_do_not_fit(op, good, bad, attributes, status, message):
    result = {
        "NonMaxSuppression": INT64, "ArgMax": INT64, "QuantizeLinear": TensorProto.UINT8,
        "MatMulInteger": TensorProto.INT32,
    }.get(op, FLOAT)  # fmt: skip
    if op == "Range" and good["a"].dtype == np.int64:
        result = INT64
    opset = 20 if op in ("AffineGrid", "DFT") else 21
    fixed = [name for name in good if name.startswith("sizes")]
    model = model_of(op, good, attributes, opset=opset, result=result, fixed=fixed)
    compiled = dlc.compile(model, opt_level=1)
    feeds = {name: value for name, value in good.items() if value is not None}
    expected = reference_of(model, feeds)
    found = compiled.run(feeds)["y"]
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=2e-5, atol=2e-5)
    with pytest.raises(dlc.RunError) as error:
        compiled.run(feeds | bad)
    assert message in str(error.value)
    assert f"(status {status})" in str(error.value)


FIXED = {
    # Models of which some inputs are of a fixed shape or are in another domain.
    "Conv window": (
        "Conv", {"x": IMAGE, "w": floats(2, 3, 3, 3) / 40}, {"x": floats(1, 3, 1, 4)},
        {}, SHAPE, "than the window",
    ),
    "Conv bias": (
        "Conv", {"x": IMAGE, "w": floats(2, 3, 3, 3) / 40, "b": floats(2)}, {"b": floats(1)},
        {}, SHAPE, "B of the shape",
    ),
    "ConvTranspose bias": (
        "ConvTranspose", {"x": IMAGE, "w": floats(3, 2, 3, 3) / 40, "b": floats(2)},
        {"b": floats(1)}, {}, SHAPE, "B of the shape",
    ),
    "DeformConv offset": (
        "DeformConv",
        {"x": IMAGE, "w": floats(2, 3, 2, 2) / 40, "o": floats(1, 8, 3, 3) / 80},
        {"o": floats(1, 8, 2, 2)}, {}, SHAPE, "offset of the shape",
    ),
    "DeformConv mask": (
        "DeformConv",
        {"x": IMAGE, "w": floats(2, 3, 2, 2) / 40, "o": floats(1, 8, 3, 3) / 80,
         "b": floats(2), "m": floats(1, 4, 3, 3) / 40},
        {"m": floats(1, 3, 3, 3)}, {}, SHAPE, "mask of the shape",
    ),
    "TensorScatter update": (
        "TensorScatter", {"x": floats(2, 4, 3), "u": -floats(2, 1, 3), "i": ints(0, 3)},
        {"u": floats(1, 1, 3)}, {}, SHAPE, "update of the shape",
    ),
    "TensorScatter index": (
        "TensorScatter", {"x": floats(2, 4, 3), "u": -floats(2, 1, 3), "i": ints(0, 3)},
        {"i": ints(0, 4)}, {}, VALUE, "write_indices inside the cache",
    ),
    # Operators that are expanded into function bodies, which would broadcast.
    "Attention values": (
        "Attention", {"q": floats(1, 2, 3, 4), "k": floats(1, 2, 5, 4), "v": floats(1, 2, 5, 4)},
        {"v": floats(1, 2, 1, 4)}, {}, SHAPE, "V of the shape",
    ),
    "Attention of rank 3": (
        "Attention", {"q": floats(1, 3, 8), "k": floats(1, 5, 4), "v": floats(1, 5, 4)},
        {"k": floats(1, 5, 1), "v": floats(1, 5, 1)}, {"q_num_heads": 2, "kv_num_heads": 1}, SHAPE,
        "K of the shape",
    ),
    "RotaryEmbedding cache": (
        "RotaryEmbedding",
        {"x": floats(1, 2, 3, 4), "c": floats(5, 2), "s": floats(5, 2),
         "p": ints(0, 1, 4).reshape(1, 3)},
        {"s": floats(5, 1)}, {}, SHAPE, "sin_cache of the shape",
    ),
    "RotaryEmbedding positions": (
        "RotaryEmbedding",
        {"x": floats(1, 2, 3, 4), "c": floats(5, 2), "s": floats(5, 2),
         "p": ints(0, 1, 4).reshape(1, 3)},
        {"p": ints(0, 1, 5).reshape(1, 3)}, {}, VALUE, OUTSIDE,
    ),
    "RotaryEmbedding of rank 3": (
        "RotaryEmbedding",
        {"x": floats(1, 3, 8), "c": floats(1, 3, 2), "s": floats(1, 3, 2)},
        {"c": floats(1, 3, 1)}, {"num_heads": 2}, SHAPE, "cos_cache of the shape",
    ),
    "LinearAttention keys": (
        "LinearAttention",
        {"q": floats(1, 2, 4) / 9, "k": floats(1, 2, 2) / 5, "v": floats(1, 2, 3)},
        {"k": floats(1, 2, 1)}, {"q_num_heads": 2, "kv_num_heads": 1, "update_rule": "linear"},
        SHAPE, "key of the shape",
    ),
    "LinearAttention state": (
        "LinearAttention",
        {"q": floats(1, 2, 4) / 9, "k": floats(1, 2, 2) / 5, "v": floats(1, 2, 3),
         "s": floats(1, 1, 2, 3)},
        {"s": floats(1, 1, 2, 1)},
        {"q_num_heads": 2, "kv_num_heads": 1, "update_rule": "linear"},
        SHAPE, "past_state of the shape",
    ),
    "CausalConvWithState bias": (
        "CausalConvWithState",
        {"x": floats(1, 2, 5), "w": floats(2, 1, 3) / 9, "b": floats(2)}, {"b": floats(1)}, {},
        SHAPE, "bias of the shape",
    ),
    "CausalConvWithState state": (
        "CausalConvWithState",
        {"x": floats(1, 2, 5), "w": floats(2, 1, 3) / 9, "b": floats(2), "s": floats(1, 2, 2)},
        {"s": floats(1, 2, 1)}, {}, SHAPE, "past_state of the shape",
    ),
    "SwiGLU": (
        "SwiGLU", {"a": floats(2, 3) / 9, "b": floats(2, 3)}, {"b": floats(2, 1)}, {}, SHAPE,
        "B of the shape",
    ),
    "loss targets": (
        "NegativeLogLikelihoodLoss", {"x": floats(2, 3, 2), "t": ints(0, 1, 2, 0).reshape(2, 2)},
        {"t": ints(0, 1).reshape(2, 1)}, {}, SHAPE, "target of the shape",
    ),
    "loss weights": (
        "SoftmaxCrossEntropyLoss",
        {"x": floats(2, 3, 2), "t": ints(0, 1, 2, 0).reshape(2, 2), "weights": floats(3)},
        {"weights": floats(4)}, {}, SHAPE, "weights of the shape",
    ),
    "SkipLayerNormalization": (
        "com.microsoft.SkipLayerNormalization",
        {"x": floats(1, 2, 4), "skip": floats(1, 2, 4) ** 2, "g": floats(4)},
        {"g": floats(1)}, {}, SHAPE, "input 2 of the shape",
    ),
    "BiasGelu": (
        "com.microsoft.BiasGelu", {"x": floats(2, 4) / 5, "b": floats(4) / 9},
        {"b": floats(1)}, {}, SHAPE, "input 1 of the shape",
    ),
    "QLinearConv bias": (
        "QLinearConv",
        {"x": np.full((1, 1, 3, 3), 9, np.uint8), "xs": scalar(0.5), "xz": np.array(3, np.uint8),
         "w": np.full((2, 1, 2, 2), 5, np.uint8), "ws": scalar(0.25),
         "wz": np.array(1, np.uint8), "ys": scalar(0.5), "yz": np.array(2, np.uint8),
         "b": int32s(4, 5)},
        {"b": int32s(4)}, {}, SHAPE, "B of the shape",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FIXED)
def test_inputs_that_do_not_fit_weights(name):
    op, good, bad, attributes, status, message = FIXED[name]
    domain, _, op = op.rpartition(".")
    opset = {
        "TensorScatter": 24, "Attention": 23, "RotaryEmbedding": 23, "LinearAttention": 27,
        "CausalConvWithState": 27, "SwiGLU": 28,
    }.get(op, 21)  # fmt: skip
    result = TensorProto.UINT8 if op == "QLinearConv" else FLOAT
    model = model_of(op, good, attributes, domain, opset, result, fixed=["w"])
    expected = reference_of(model, good)
    compiled = dlc.compile(model, opt_level=1)
    np.testing.assert_allclose(compiled.run(good)["y"], expected, rtol=2e-5, atol=2e-5)
    with pytest.raises(dlc.RunError) as error:
        compiled.run(good | bad)
    assert message in str(error.value)
    assert f"(status {status})" in str(error.value)


def from_text(text):
    return onnx.parser.parse_model('<ir_version: 10, opset_import: ["": 21]>' + text)


@pytest.mark.parametrize(
    "text, good, bad, status, message",
    [
        (
            """g (float[n] x) => (float[k, 4] y) {
                s = Constant <value_ints = [-1, 4]> ()
                y = Reshape (x, s)
            }""",
            {"x": floats(8)}, {"x": floats(6)}, SHAPE, "as many elements",
        ),
        (
            """g (float[n, 3] x) => (float[a, b] y) {
                s = Shape (x)
                two = Constant <value_ints = [2]> ()
                half = Div (s, two)
                end = Slice (s, one, two)
                start = Slice (half, zero, one)
                all = Concat <axis = 0> (start, two, end)
                z = Reshape (x, all)
                last = Constant <value_ints = [2]> ()
                y = ReduceSum <keepdims = 0> (z, last)
            }""".replace("s = Shape", """one = Constant <value_ints = [1]> ()
                zero = Constant <value_ints = [0]> ()
                s = Shape"""),
            {"x": floats(4, 3)}, {"x": floats(5, 3)}, SHAPE, "as many elements",
        ),
        (
            """g (float[n] a, float[m] b) => (float[k] y) {
                y = Scan <num_scan_inputs = 2,
                          body = h (float p, float q) => (float r) { r = Add (p, q) }> (a, b)
            }""",
            {"a": floats(3), "b": floats(3)}, {"b": floats(2)}, SHAPE, "of one length",
        ),
        (
            """g (bool[n] c, float[2] x) => (float[2] y) {
                y = If <then_branch = t () => (float[2] p) { p = Neg (x) },
                        else_branch = e () => (float[2] q) { q = Abs (x) }> (c)
            }""",
            {"c": np.array([True]), "x": floats(2)}, {"c": np.array([], bool)}, SHAPE,
            "a condition of one element",
        ),
        (
            """g (float[n, 3, m] x) => (float[a, b] y) {
                y = Squeeze (x)
            }""",
            {"x": floats(1, 3, 2)}, {"x": floats(2, 3, 2)}, SHAPE, "the result's rank",
        ),
        (
            """g (float[n, 3, m] x) => (float[a, b] y) {
                y = Squeeze (x)
            }""",
            {"x": floats(2, 3, 1)}, {"x": floats(1, 3, 1)}, SHAPE, "the result's rank",
        ),
    ],
)  # fmt: skip
def test_graphs_that_do_not_fit(text, good, bad, status, message):
    model = from_text(text)
    compiled = dlc.compile(model, opt_level=1)
    expected = reference_of(model, good)
    np.testing.assert_allclose(compiled.run(good)["y"], expected, rtol=1e-6)
    with pytest.raises(dlc.RunError) as error:
        compiled.run(good | bad)
    assert message in str(error.value)
    assert f"(status {status})" in str(error.value)


@pytest.mark.parametrize(
    "node, shape, message",
    [
        ("Squeeze (x)", "n, 3, m", "expected axes, a static shape or a result of known rank"),
        ("MaxPool <kernel_shape = [3, 3]> (x)", "1, 1, 1, 4", "no smaller than the window"),
        ('Pad <mode = "reflect"> (x, pads)', "2", "smaller than the reflected dimension"),
        ("ScatterElements (x, pads, x)", "4", "expected updates of the shape"),
        ("LSTM <hidden_size = 4> (x, x, x)", "1, 12, 4", "expected W of the shape"),
    ],
)
def test_static_shapes_are_refused_by_the_compiler(node, shape, message):
    model = from_text(
        f"g (float[{shape}] x) => (float y)"
        "{ pads = Constant <value_ints = [2, 0]> ()" + f" y = {node} }}"
    )
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(dlc.CompileError, match=message):
        dlc.compile(model)
