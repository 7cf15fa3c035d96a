"""Runs nodes in ONNX Runtime, and where that cannot or is known to be wrong,
in ONNX's reference evaluator."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np
import onnx
import onnxruntime
from onnx import helper
from onnx.reference import ReferenceEvaluator

onnxruntime.set_default_logger_severity(4)

# Where ONNX's evaluator does not do what ONNX says.
WRONG_IN_EVALUATOR = {
    "RNN": "leaves out lengths, clipping and directions",
    "GRU": "as RNN",
    "LSTM": "as RNN",
    "StringNormalizer": "drops empty strings",
    "Erf": "computes in float32",
    "Gelu": "as Erf",
    "LRN": "takes the number of images for that of channels",
}


class NoReference(Exception):
    pass


def run_node(
    node: onnx.NodeProto, arrays: Mapping[str, Any], constants: Collection[str], opset: int,
    optional: Collection[str] = (),
) -> list[Any]:
    """The results of a node by ONNX's rules, of outputs that have a name."""
    import builder

    narrow = {a.dtype for a in arrays.values() if is_narrow(a)}
    if narrow and node.op_type not in SAME_BITS and len(narrow) == 1:
        return run_widened(node, arrays, constants, opset, optional, narrow.pop())
    opset = SAME_MEANING.get((node.op_type, opset), opset)
    if opset < 7 and node.op_type in ("Dropout", "Upsample"):
        return run_node(rename_attributes(node), arrays, constants, 7, optional)
    if opset < 7 and any(attribute.name == "broadcast" for attribute in node.attribute):
        return run_old_broadcast(node, arrays, constants)
    graph = helper.make_graph(
        [node],
        "g",
        [
            builder.to_value_info(name, array, getattr(array, "shape", None), name in optional)
            for name, array in arrays.items()
            if name not in constants
        ],
        [onnx.ValueInfoProto(name=name) for name in node.output if name],
        [builder.to_tensor(name, arrays[name]) for name in arrays if name in constants],
    )
    model = make_model(graph, opset)
    try:
        model = onnx.shape_inference.infer_shapes(
            model, check_type=True, strict_mode=True, data_prop=True
        )
    except Exception as error:
        raise NoReference(f"invalid: {first_line(error)}") from error
    feeds = {name: array for name, array in arrays.items() if name not in constants}
    return run_model(model, feeds)


# Operator sets that no reference knows an operator in, and others in which it
# means the same.
SAME_MEANING = {
    ("AveragePool", 6): 7,
    ("GRU", 6): 7,
    ("LSTM", 6): 7,
    ("RNN", 6): 7,
    ("GlobalLpPool", 22): 21,
    ("MaxRoiPool", 22): 21,
}

# What does not compute with the numbers of type bfloat16, or depends on it.
SAME_BITS = set(
    """BitCast Cast CastLike DequantizeLinear EyeLike Identity If IsInf IsNaN Loop OneHot Optional
    QuantizeLinear Reshape Scan Shape Size Transpose Where Dropout BatchNormalization
    LayerNormalization RMSNormalization""".split()
)


def is_narrow(array: Any) -> bool:
    return isinstance(array, np.ndarray) and array.dtype.name == "bfloat16"


def run_widened(
    node: onnx.NodeProto, arrays: Mapping[str, Any], constants: Collection[str], opset: int,
    optional: Collection[str], narrow: np.dtype,
) -> list[Any]:
    """In float32, rounded once: the evaluator rounds after each addition, and
    ONNX Runtime has no bfloat16."""
    wide = {n: a.astype(np.float32) if is_narrow(a) else a for n, a in arrays.items()}
    results = run_node(node, wide, constants, opset, optional)
    return [
        r.astype(narrow) if isinstance(r, np.ndarray) and r.dtype == np.float32 else r
        for r in results
    ]


def run_old_broadcast(
    node: onnx.NodeProto, arrays: Mapping[str, Any], constants: Collection[str]
) -> list[Any]:
    """Up to operator set 6 the second operand lay in the first from an axis on,
    which neither reference knows; numpy's rule does it after a reshape."""
    newer = onnx.NodeProto()
    newer.CopyFrom(node)
    del newer.attribute[:]
    attributes = {a.name: onnx.helper.get_attribute_value(a) for a in node.attribute}
    newer.attribute.extend(a for a in node.attribute if a.name not in ("broadcast", "axis"))
    if "axis" in attributes and node.op_type != "Gemm":
        a, b = (arrays[name] for name in node.input)
        behind = a.ndim - attributes["axis"] - b.ndim
        arrays = dict(arrays) | {node.input[1]: b.reshape(b.shape + (1,) * behind)}
    return run_node(newer, arrays, constants, 7)


def rename_attributes(node: onnx.NodeProto) -> onnx.NodeProto:
    """A Dropout or an Upsample of operator set 6 as one of set 7."""
    attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    attributes.pop("is_test", None)
    if node.op_type == "Upsample":
        attributes["scales"] = [1.0, 1.0, attributes.pop("height_scale"), attributes.pop("width_scale")]
        attributes["mode"] = "nearest" if attributes["mode"] == b"nearest" else "linear"
    return helper.make_node(node.op_type, node.input, node.output, **attributes)


def ml_version(opset: int) -> int:
    """The version of ai.onnx.ml that came with the operator set."""
    return 1 + sum(opset >= first for first in (9, 15, 19, 21))


def make_model(graph: onnx.GraphProto, opset: int) -> onnx.ModelProto:
    imports = [helper.make_opsetid("", opset)]
    domains = {node.domain for node in graph.node} - {""}
    imports += [helper.make_opsetid(d, ml_version(opset) if d == "ai.onnx.ml" else 1) for d in sorted(domains)]
    version = 3 if opset < 8 else 4 if opset < 9 else 8 if opset < 19 else 10 if opset < 25 else 13
    return helper.make_model(graph, opset_imports=imports, ir_version=max(version, 4))


def run_model(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    reasons = []
    plain = all(is_plain(array) for array in feeds.values())
    if any(is_strings(value) for value in [*feeds.values(), *model.graph.initializer]):
        # It reads outside where a negative index takes a string.
        plain &= not any(node.op_type == "Gather" for node in all_nodes(model.graph))
    if plain and not any(map(is_wrong_in_runtime, all_nodes(model.graph))):
        try:
            return run_runtime(model, feeds)
        except Exception as error:  # it has many kinds of its own
            reasons.append(f"ONNX Runtime: {first_line(error)}")
    wrong = next(filter(None, (is_wrong_in_evaluator(n, model) for n in all_nodes(model.graph))), "")
    if wrong:
        raise NoReference("; ".join([*reasons, f"evaluator: {wrong}"]))
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            results = ReferenceEvaluator(model).run(None, dict(feeds))
    except Exception as error:
        reasons.append(f"evaluator: {first_line(error)}")
        raise NoReference("; ".join(reasons)) from error
    return check_types(model, results)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those of the subgraphs, too."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.HasField("g"):
                yield from all_nodes(attribute.g)


def is_wrong_in_runtime(node: onnx.NodeProto) -> str:
    """Why ONNX Runtime cannot be trusted with a node."""
    if node.op_type == "CenterCropPad":
        return "crops from another place where a size is odd"
    if node.op_type == "StringSplit":
        return "makes no part of an empty string, which split() makes one of"
    values = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    if node.op_type == "Resize" and values.get("coordinate_transformation_mode") == b"align_corners":
        if not (len(node.input) > 3 and node.input[3]):  # scales
            return "rounds the size of the result before it aligns the corners"
    return ""


def is_wrong_in_evaluator(node: onnx.NodeProto, model: onnx.ModelProto) -> str:
    """Why the evaluator cannot be trusted with a node."""
    opset = model.opset_import[0].version
    if node.op_type == "AveragePool" and opset < 7:
        return "counts the padding, which ONNX began to allow later"
    if node.op_type == "Loop" and len(node.output) > len(node.input) - 2:
        return "joins the elements of an output along a dimension that they have"
    if node.op_type == "Loop" and not node.input[1]:
        return "does not begin a loop without a condition"
    if node.op_type in ("Hardmax", "LogSoftmax", "Softmax") and opset < 13:
        return "does not flatten"
    if node.op_type == "Unique" and any(a.name == "sorted" and not a.i for a in node.attribute):
        return "sorts where there is one output, and takes along axis 0"
    if node.op_type == "BatchNormalization" and any(a.name == "spatial" for a in node.attribute):
        return "does not know spatial = 0"
    return WRONG_IN_EVALUATOR.get(node.op_type, "")


def run_runtime(model: onnx.ModelProto, feeds: Mapping[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return [to_array(value) for value in session.run(None, dict(feeds))]


def to_array(value: Any) -> Any:
    return value if isinstance(value, list) or value is None else np.asarray(value)


def check_types(model: onnx.ModelProto, results: list[Any]) -> list[Any]:
    """The evaluator at times makes arrays of another type than ONNX says."""
    checked = []
    for info, result in zip(model.graph.output, results):
        if isinstance(result, list) or result is None:
            checked.append(result)
            continue
        array = np.asarray(result)
        element = info.type.tensor_type.elem_type
        if element:
            wanted = np.dtype(helper.tensor_dtype_to_np_dtype(element))
            if element == onnx.TensorProto.STRING:
                array = array.astype(object)
            elif array.dtype != wanted:
                raise NoReference(f"evaluator: {array.dtype} instead of {wanted}")
        checked.append(array)
    return checked


def is_plain(array: Any) -> bool:
    """Whether ONNX Runtime's Python interface takes the type."""
    if isinstance(array, list):
        return all(is_plain(item) for item in array)
    return array is not None and (array.dtype.kind in "fiubO" and array.dtype.isbuiltin == 1)


def is_strings(value: Any) -> bool:
    if isinstance(value, onnx.TensorProto):
        return value.data_type == onnx.TensorProto.STRING
    return isinstance(value, np.ndarray) and value.dtype == object


def first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
