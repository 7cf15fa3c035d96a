"""How long a layer takes in float and on integers: each by itself, compiled for
this machine, in turns on one thread."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

import dlc
from dlc.quantize.graph import Graph
from dlc.quantize.plan import BOUNDS

SECONDS = 0.1  # for a layer


def measure_layers(
    graph: Graph, quantized: onnx.ModelProto, layers: list[str], batch: Mapping[str, np.ndarray]
) -> dict[str, tuple[float, float]]:
    """Milliseconds in float and on integers, of layers whose shapes follow from
    the batch's. Layers of one form are measured once."""
    whole = Graph(quantized, 1)
    shapes = _find_shapes(graph.model, batch)
    nodes = {node.name: node for node in graph.graph.node}
    integers = {node.name: node for node in whole.graph.node}
    found: dict[str, tuple[float, float]] = {}
    known: dict[Any, tuple[float, float]] = {}
    for name in layers:
        node = nodes[name]
        if name not in integers:
            continue
        key = _key(graph, node, shapes)
        if key is None:
            continue
        if key not in known:
            ours = _cut(graph, node, shapes)
            theirs = _cut(whole, integers[name], shapes)
            if ours is None or theirs is None:
                continue
            known[key] = _measure(ours, theirs)
        found[name] = known[key]
    return found


def _find_shapes(model: onnx.ModelProto, batch: Mapping[str, np.ndarray]) -> dict[str, list[int]]:
    fixed = onnx.ModelProto()
    fixed.CopyFrom(model)
    for info in fixed.graph.input:
        if info.name in batch:
            del info.type.tensor_type.shape.dim[:]
            for size in batch[info.name].shape:
                info.type.tensor_type.shape.dim.add().dim_value = size
    del fixed.graph.value_info[:]
    inferred = onnx.shape_inference.infer_shapes(fixed, data_prop=True).graph
    found = {}
    for info in (*inferred.input, *inferred.value_info, *inferred.output):
        dims = info.type.tensor_type.shape.dim
        if info.type.tensor_type.HasField("shape") and all(d.HasField("dim_value") for d in dims):
            found[info.name] = [d.dim_value for d in dims]
    return found


def _key(graph: Graph, node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> Any:
    sizes: list[tuple[int, ...]] = []
    for name in node.input:
        if name in graph.constants:
            sizes.append((-1, *graph.constants[name].dims))
        elif name and name not in shapes:
            return None
        else:
            sizes.append(tuple(shapes.get(name, ())))
    attributes = tuple(sorted(a.SerializeToString() for a in node.attribute))
    return node.op_type, tuple(sizes), attributes, bool(_find_bound(graph, node))


def _find_bound(graph: Graph, node: onnx.NodeProto) -> onnx.NodeProto | None:
    following = graph.readers.get(node.output[0], [])
    if len(following) == 1 and following[0].op_type in BOUNDS:
        return following[0]
    return None


def _cut(graph: Graph, node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> onnx.ModelProto | None:
    """A model of the node, with what dequantizes its operands and quantizes its
    result."""
    nodes, inputs = [], []
    for name in dict.fromkeys(node.input):
        if not name or name in graph.constants:
            continue
        producer = graph.producers.get(name)
        source, kind = name, TensorProto.FLOAT
        if producer is not None and producer.op_type == "DequantizeLinear":
            nodes.append(producer)
            source = producer.input[0]
            if source in graph.constants:
                continue
            kind = graph.constants[producer.input[2]].data_type
            name = graph.producers[source].input[0]
        if name not in shapes:
            return None
        inputs.append(helper.make_tensor_value_info(source, kind, shapes[name]))
    nodes.append(node)
    last = node
    if bound := _find_bound(graph, node):
        nodes.append(bound)
        last = bound
    result, kind = last.output[0], TensorProto.FLOAT
    readers = graph.readers.get(result, [])
    if readers and all(r.op_type == "QuantizeLinear" for r in readers):
        nodes.append(readers[0])
        result = readers[0].output[0]
        kind = graph.constants[readers[0].input[2]].data_type
    read = {n for made in nodes for n in made.input}
    constants = [c for name, c in graph.constants.items() if name in read]
    outputs = [helper.make_tensor_value_info(result, kind, None)]
    made = helper.make_graph(nodes, "layer", inputs, outputs, constants)
    return helper.make_model(made, opset_imports=graph.model.opset_import,
                             ir_version=graph.model.ir_version)  # fmt: skip


def _measure(*models: onnx.ModelProto) -> tuple[float, float]:
    random = np.random.default_rng(0)
    calls = []
    for model in models:
        compiled = dlc.compile(model, threads=1)
        inputs = []
        for info in compiled.inputs:
            values = random.integers(0, 100, info.shape).astype(info.dtype)
            inputs.append(values)
        calls.append(dlc.model.Call(compiled, inputs, threads=1, keep_workspace=True))
        calls[-1]()
    least = [np.inf] * len(calls)
    end = time.perf_counter() + SECONDS
    while time.perf_counter() < end:
        for i, call in enumerate(calls):
            begin = time.perf_counter()
            call()
            least[i] = min(least[i], time.perf_counter() - begin)
    return least[0] * 1e3, least[1] * 1e3
