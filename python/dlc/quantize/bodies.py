"""Bodies of If, Loop and Scan as models of their own: what they read from outside
are inputs. Each has a quantizer, and goes back into its node when that is done."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

import onnx
from onnx import numpy_helper

from dlc.quantize.graph import Graph, bodies_of, read_names

if TYPE_CHECKING:
    from dlc.quantize.quantizer import Quantizer

Digest = tuple[int, tuple[int, ...], bytes]


@dataclasses.dataclass
class Body:
    """The number `index` of the bodies of `node`, and its quantizer."""

    node: str
    index: int
    outside: list[str]
    """The tensors, not constants, that it reads from outside."""
    quantizer: Quantizer
    condition: str = ""
    """Of an If: the tensor that says whether it runs, and the value for which."""
    value: bool = False

    def observe(self, condition: object, outside: Mapping[str, object]) -> None:
        if bool(condition) == self.value:
            self.quantizer.observe(outside)

    def put(self, graph: Graph, body: onnx.GraphProto) -> None:
        """Writes `body`, quantized, into its node of `graph`. What is new has names
        that `graph` does not have; weights of MatMulNBits, which two bodies may
        read, are stored there once."""
        taken = {*graph.used, *(n for node in graph.graph.node for b in bodies_of(node) for n in _all_names(b))}
        node = next(n for n in graph.graph.node if n.name == self.node)
        old = list(bodies_of(node))[self.index]
        taken -= _own_names(old)
        names: dict[str, str] = {}

        def rename(name: str) -> str:
            made, count = name, 1
            while made in taken:
                count += 1
                made = f"{name}_{count}"
            taken.add(made)
            return made

        outer = _find_digests(graph, body)
        stored = {digest: name for name, digest in outer.items()}
        shared = {name for n in body.node if n.op_type == "MatMulNBits" for name in n.input}
        kept = []
        for constant in body.initializer:
            digest = _digest(constant)
            if outer.get(constant.name) == digest:
                continue
            if constant.name in shared and digest not in stored:
                moved = graph.graph.initializer.add()
                moved.CopyFrom(constant)
                moved.name = stored[digest] = rename(constant.name)
            if constant.name in shared:
                names[constant.name] = stored[digest]
                continue
            # ONNX Runtime wants what DequantizeLinear reads in the same graph.
            names[constant.name] = rename(constant.name)
            kept.append(constant)
            constant.name = names[constant.name]
        for inner in body.node:
            for name in inner.output:
                if name:
                    names[name] = rename(name)
        made = onnx.GraphProto(name=old.name, input=old.input, output=old.output, initializer=kept, node=body.node)
        _rename(made, names)
        old.CopyFrom(made)
        graph.refresh()


def extract(graph: Graph, body: onnx.GraphProto) -> tuple[onnx.ModelProto, list[str]]:
    """The body as a model, and the tensors, not constants, that it reads from
    outside."""
    model = onnx.ModelProto(ir_version=graph.model.ir_version, opset_import=graph.model.opset_import, graph=body)
    tensors = []
    for name in _find_outside(body):
        if name in graph.constants:
            model.graph.initializer.append(graph.constants[name])
            continue
        tensors.append(name)
        info = model.graph.input.add(name=name)
        info.type.tensor_type.CopyFrom(graph.types[name])
    return model, tensors


def find_unknown(graph: Graph, body: onnx.GraphProto, with_rank: bool) -> str:
    """What is not known of a tensor that the body reads from outside; empty, if it
    is a model of its own."""
    for name in _find_outside(body):
        found = graph.types.get(name)
        if name in graph.constants or (found is not None and found.elem_type
                                       and (found.HasField("shape") or not with_rank)):  # fmt: skip
            continue
        what = "rank" if found is not None and found.elem_type else "type"
        return f"the {what} of tensor '{name}' is not known"
    return ""


def _find_outside(body: onnx.GraphProto) -> list[str]:
    defined = set(_all_names(body))
    read = dict.fromkeys([*read_names(body), *(o.name for o in body.output)])
    return [name for name in read if name and name not in defined]


def _own_names(body: onnx.GraphProto) -> set[str]:
    """What is defined in it, but not in bodies inside."""
    return {*(i.name for i in body.input), *(c.name for c in body.initializer),
            *(o for node in body.node for o in node.output)}  # fmt: skip


def _all_names(body: onnx.GraphProto) -> Iterator[str]:
    yield from _own_names(body)
    for node in body.node:
        for inner in bodies_of(node):
            yield from _all_names(inner)


def _find_digests(graph: Graph, body: onnx.GraphProto) -> dict[str, Digest]:
    """Of the graph's constants that may be those of the body."""
    # Inputs may have other values than their defaults.
    given = {i.name for i in graph.graph.input}
    forms = {(c.data_type, *c.dims) for c in body.initializer}
    return {c.name: _digest(c) for c in graph.graph.initializer
            if (c.data_type, *c.dims) in forms and c.name not in given}  # fmt: skip


def _digest(tensor: onnx.TensorProto) -> Digest:
    """The same for equal constants, whatever their names are."""
    value = numpy_helper.to_array(tensor)
    content = value.tobytes() if value.dtype != object else tensor.SerializeToString(deterministic=True)
    return tensor.data_type, tuple(tensor.dims), hashlib.sha256(content).digest()


def _rename(graph: onnx.GraphProto, names: Mapping[str, str]) -> None:
    for node in graph.node:
        node.input[:] = [names.get(n, n) for n in node.input]
        node.output[:] = [names.get(n, n) for n in node.output]
        for inner in bodies_of(node):
            _rename(inner, names)
            for output in inner.output:
                output.name = names.get(output.name, output.name)
