"""An ONNX graph that is being rewritten."""

from __future__ import annotations

import copy
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.checker
import onnx.inliner
import onnx.shape_inference
import onnx.version_converter
from onnx import TensorProto, helper, numpy_helper

OPSET = 13  # the first with a scale for each channel
BLOCK_OPSET = 21  # the first with blocks and 4 bits
LIGHT = 1024  # bytes of a constant whose numbers shapes may follow from
MOST_BYTES = 2**31 - 2**20  # of a file of protobuf


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    return {a.name: helper.get_attribute_value(a) for a in node.attribute}


def bodies_of(node: onnx.NodeProto) -> Iterator[onnx.GraphProto]:
    """Of If, Loop and Scan."""
    for attribute in node.attribute:
        if attribute.type == onnx.AttributeProto.GRAPH:
            yield attribute.g
        yield from attribute.graphs


def read_names(graph: onnx.GraphProto) -> Iterator[str]:
    """The names that nodes read, those in bodies of If and Loop too."""
    for node in graph.node:
        yield from node.input
        for body in bodies_of(node):
            yield from read_names(body)
            yield from (o.name for o in body.output)


def all_nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Those in bodies of If and Loop too."""
    for node in graph.node:
        yield node
        for body in bodies_of(node):
            yield from all_nodes(body)


def lighten(model: onnx.ModelProto) -> onnx.ModelProto:
    """A copy whose large constants are inputs: what the types of tensors, and
    whether the file is valid, follow from."""
    made = onnx.ModelProto(ir_version=model.ir_version)
    for field in ("opset_import", "functions"):
        getattr(made, field).extend(getattr(model, field))
    graph = model.graph
    made.graph.name = graph.name or "graph"
    for field in ("node", "input", "output", "value_info", "sparse_initializer"):
        getattr(made.graph, field).extend(getattr(graph, field))
    given = {i.name for i in graph.input}
    for constant in graph.initializer:
        if constant.ByteSize() <= LIGHT:
            made.graph.initializer.append(constant)
        elif constant.name not in given:
            made.graph.input.append(helper.make_tensor_value_info(
                constant.name, constant.data_type, list(constant.dims)))  # fmt: skip
    return made


def check_model(model: onnx.ModelProto) -> None:
    onnx.checker.check_model(lighten(model))


def save_model(model: onnx.ModelProto, path: pathlib.Path) -> None:
    """With the tensors in a file of their own where one file cannot hold them."""
    if model.ByteSize() < MOST_BYTES:
        onnx.save(model, path)
    else:
        copied = onnx.ModelProto()
        copied.CopyFrom(model)
        onnx.save(copied, path, save_as_external_data=True, location=path.name + ".data")


def take_apart(model: onnx.ModelProto) -> tuple[onnx.ModelProto, list[onnx.TensorProto]]:
    """A copy without the large constants of the main graph, and these, not copied."""
    made = onnx.ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy_field(value, made, field.name)
    made.graph.SetInParent()
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy_field(value, made.graph, field.name)
    made.graph.initializer.extend(c for c in model.graph.initializer if c.ByteSize() <= LIGHT)
    return made, [c for c in model.graph.initializer if c.ByteSize() > LIGHT]


def _copy_field(value: Any, made: Any, name: str) -> None:
    if hasattr(value, "extend"):
        getattr(made, name).extend(value)
    elif hasattr(value, "CopyFrom"):
        getattr(made, name).CopyFrom(value)
    else:
        setattr(made, name, value)


def save_parts(model: onnx.ModelProto, constants: Sequence[onnx.TensorProto], path: pathlib.Path) -> None:
    """Saves a model with further constants, one after the other, so that they are
    never in memory as bytes together."""
    if model.ByteSize() + sum(c.ByteSize() for c in constants) >= MOST_BYTES:
        model.graph.initializer.extend(constants)
        save_model(model, path)
        return
    # Repeated parts of one message, here the graph, are merged by who reads them.
    with open(path, "wb") as file:
        file.write(model.SerializeToString())
        for constant in constants:
            size = constant.ByteSize()
            head = _tag(onnx.GraphProto, "initializer") + _varint(size)
            file.write(_tag(onnx.ModelProto, "graph") + _varint(len(head) + size) + head)
            file.write(constant.SerializeToString())


def _tag(message: Any, field: str) -> bytes:
    """What stands before a part with a length in the format of protobuf."""
    return _varint(message.DESCRIPTOR.fields_by_name[field].number << 3 | 2)


def _varint(number: int) -> bytes:
    made = bytearray()
    while number > 127:
        made.append(number & 127 | 128)
        number >>= 7
    return bytes([*made, number])


class Graph:
    """A copy of a model's main graph, with its constants as initializers."""

    def __init__(self, model: onnx.ModelProto, opset: int = OPSET) -> None:
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        if self.model.functions:
            self.model = onnx.inliner.inline_local_functions(self.model)
        if self.opset < opset:
            self.model = onnx.version_converter.convert_version(self.model, opset)
        # Before IR version 4 each initializer is an input, too.
        self.model.ir_version = max(self.model.ir_version, 10 if opset >= BLOCK_OPSET else 7)
        self.graph = self.model.graph
        _lift_constants(self.graph)
        fold_batch_norms(self.graph)
        _name_nodes(self.graph)
        self.refresh()
        for output in self.graph.output:
            tensor, found = output.type.tensor_type, self.types.get(output.name)
            if found is not None and found.HasField("shape") and not tensor.HasField("shape"):
                tensor.CopyFrom(found)

    @property
    def opset(self) -> int:
        return next((o.version for o in self.model.opset_import if o.domain in ("", "ai.onnx")), 0)

    def copy(self) -> Graph:
        made = copy.copy(self)
        made.model = onnx.ModelProto()
        made.model.CopyFrom(self.model)
        made.graph = made.model.graph
        made.refresh()
        return made

    def refresh(self) -> None:
        """After nodes have changed."""
        graph = self.graph
        self.constants = {c.name: c for c in graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            inner_names = (name for body in bodies_of(node) for name in read_names(body))
            for name in [*node.input, *dict.fromkeys(inner_names)]:
                self.readers.setdefault(name, []).append(node)
        self.producers = {o: node for node in graph.node for o in node.output}
        self.results = {o.name for o in graph.output}
        """What bodies of If and Loop read counts as a result: it stays as it is."""
        direct = {n for node in graph.node for n in node.input}
        inner = set(read_names(graph)) - direct
        for node in graph.node:
            for body in bodies_of(node):
                inner |= set(read_names(body))
        self.results |= inner
        self.inputs = [i.name for i in graph.input if i.name not in self.constants]
        self.used = {n for node in graph.node for n in (*node.input, *node.output)}
        self.used |= {*self.constants, *self.inputs, *inner}
        inferred = onnx.shape_inference.infer_shapes(lighten(self.model)).graph
        self.types = {v.name: v.type.tensor_type
                      for v in (*inferred.input, *inferred.output, *inferred.value_info)
                      if v.name not in self.constants}  # fmt: skip

    def is_real(self, name: str) -> bool:
        found = self.types.get(name)
        return found is not None and found.elem_type == TensorProto.FLOAT

    def value(self, name: str) -> np.ndarray | None:
        """The numbers of a constant of float32."""
        constant = self.constants.get(name)
        if constant is None or constant.data_type != TensorProto.FLOAT:
            return None
        return numpy_helper.to_array(constant)

    def replace(self, name: str, value: np.ndarray) -> None:
        self.constants[name].CopyFrom(numpy_helper.from_array(value, name))

    def new_name(self, stem: str) -> str:
        name, count = stem, 1
        while name in self.used:
            count += 1
            name = f"{stem}_{count}"
        self.used.add(name)
        return name

    def add_constant(self, stem: str, value: np.ndarray) -> str:
        name = self.new_name(stem)
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        self.constants[name] = self.graph.initializer[-1]
        return name

    def set_nodes(self, nodes: list[onnx.NodeProto]) -> None:
        del self.graph.node[:]
        self.graph.node.extend(nodes)
        self.drop_unread()

    def drop_unread(self) -> None:
        needed = {*read_names(self.graph), *(o.name for o in self.graph.output)}
        dropped = {c.name for c in self.graph.initializer} - needed
        for tensors in (self.graph.initializer, self.graph.input):  # it may be both
            kept = [x for x in tensors if x.name not in dropped]
            del tensors[:]
            tensors.extend(kept)


def _name_nodes(graph: onnx.GraphProto) -> None:
    """Each node has a name of its own, so that reports and options can say it."""
    seen: set[str] = set()
    for node in graph.node:
        name = node.name or (node.output[0] if node.output else node.op_type)
        stem, count = name, 1
        while name in seen:
            count += 1
            name = f"{stem}_{count}"
        node.name = name
        seen.add(name)


def _lift_constants(graph: onnx.GraphProto) -> None:
    """Constant nodes, and an Identity or a Transpose of a constant."""
    results = {o.name for o in graph.output}
    constants = {c.name: c for c in graph.initializer}
    left = []
    for node in graph.node:
        value = None
        attributes = attributes_of(node)
        if node.op_type == "Constant" and isinstance(attributes.get("value"), TensorProto):
            value = numpy_helper.to_array(attributes["value"])
        elif node.op_type in ("Identity", "Transpose") and node.input[0] in constants:
            value = numpy_helper.to_array(constants[node.input[0]])
            if node.op_type == "Transpose":
                value = np.ascontiguousarray(value.transpose(attributes.get("perm")))
        if value is None or node.output[0] in results:
            left.append(node)
            continue
        graph.initializer.append(numpy_helper.from_array(value, node.output[0]))
        constants[node.output[0]] = graph.initializer[-1]
    del graph.node[:]
    graph.node.extend(left)


def fold_batch_norms(graph: onnx.GraphProto) -> None:
    """Conv, then BatchNormalization of constants -> Conv."""
    constants = {c.name: c for c in graph.initializer}
    readers: dict[str, int] = {}
    for name in read_names(graph):
        readers[name] = readers.get(name, 0) + 1
    producers = {o: node for node in graph.node for o in node.output}
    results = {o.name for o in graph.output}
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = producers.get(norm.input[0])
        if (conv is None or conv.op_type != "Conv" or readers[norm.input[0]] != 1
                or norm.input[0] in results or len(norm.output) != 1
                or any(n not in constants for n in (*norm.input[1:], *conv.input[1:]))):  # fmt: skip
            continue
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        gamma, beta, mean, variance = (
            numpy_helper.to_array(constants[n]).astype(np.float64) for n in norm.input[1:]
        )
        weights = numpy_helper.to_array(constants[conv.input[1]])
        bias = numpy_helper.to_array(constants[conv.input[2]]) if len(conv.input) > 2 else 0.0
        factor = gamma / np.sqrt(variance + epsilon)
        column = factor.reshape(-1, *[1] * (weights.ndim - 1))
        folded = {"weights": weights * column, "bias": (bias - mean) * factor + beta}
        names = [f"{norm.output[0]}_{part}" for part in folded]
        for name, value in zip(names, folded.values()):
            graph.initializer.append(numpy_helper.from_array(value.astype(weights.dtype), name))
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)
