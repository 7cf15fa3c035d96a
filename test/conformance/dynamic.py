"""Makes the sizes of a test's inputs unknown to the compiler."""

from __future__ import annotations

import onnx


def make_dynamic(model: onnx.ModelProto) -> onnx.ModelProto | None:
    """A copy of the model in which every dimension of an input is of unknown
    size, each its own, and nothing is said about other values but the ranks of
    outputs. None where no input has a dimension: nothing would differ."""
    dynamic = onnx.ModelProto()
    dynamic.CopyFrom(model)
    graph = dynamic.graph
    initialized = {tensor.name for tensor in graph.initializer}
    initialized |= {tensor.values.name for tensor in graph.sparse_initializer}
    changes = [
        _forget_sizes(value.type) for value in graph.input if value.name not in initialized
    ]
    if not any(changes):
        return None
    del graph.value_info[:]
    for value in graph.output:
        _forget_sizes(value.type)
    return dynamic


def _forget_sizes(type: onnx.TypeProto) -> bool:
    """Whether there was a dimension."""
    kind = type.WhichOneof("value")
    if kind in ("sequence_type", "optional_type"):
        return _forget_sizes(getattr(type, kind).elem_type)
    if kind != "tensor_type" or not type.tensor_type.shape.dim:
        return False
    for dim in type.tensor_type.shape.dim:
        dim.Clear()
    return True
