"""The float model with a switch for each layer: whether it sees its operands as
integers would have them. Compiled once, it tells what any choice of layers does
to the outputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper

import dlc
from dlc.quantize.pairs import Pairs
from dlc.quantize.plan import MOVES, Plan
from dlc.quantize.probes import ChannelProbe
from dlc.quantize.products import find_product
from dlc.quantize.quantizer import Quantizer, find_grams
from dlc.quantize.weights import Weights

SWITCHES = "dlc switches"


def find_layers(quantizer: Quantizer) -> list[onnx.NodeProto]:
    """The nodes that may compute on integers or stay in float."""
    plan = Plan(quantizer.graph, set(quantizer.options.keep))
    return [node for node in quantizer.graph.graph.node
            if node.name in plan.integer and node.op_type not in MOVES]  # fmt: skip


class Simulation:
    def __init__(self, quantizer: Quantizer) -> None:
        self.layers = [node.name for node in find_layers(quantizer)]
        self.inputs = quantizer.inputs
        self.model = dlc.compile(_build(quantizer, self.layers), name="simulation")
        self.outputs = [o.name for o in quantizer.graph.graph.output]

    def run(self, batch: Mapping[str, np.ndarray], integer: Iterable[str]) -> dict[str, np.ndarray]:
        """The outputs when these layers compute on integers."""
        chosen = set(integer)
        switches = np.array([name in chosen for name in self.layers])
        inputs = {name: np.asarray(batch[name]) for name in self.inputs}
        return self.model.run({**inputs, SWITCHES: switches})


def _build(quantizer: Quantizer, layers: list[str]) -> onnx.ModelProto:
    graph = quantizer.graph.copy()
    options = dataclasses.replace(quantizer.options, correct_bias=False)
    plan = Plan(graph, set(options.keep))
    seen = quantizer.past[-1]
    means = {p.tensor: p.means for p in seen if isinstance(p, ChannelProbe)}
    weights = Weights(graph, options, find_grams(seen), means)
    pairs = Pairs(graph, options, quantizer.ranges, weights)
    wanted = set(plan.tensors)
    graph.graph.input.append(helper.make_tensor_value_info(SWITCHES, TensorProto.BOOL, [len(layers)]))
    nodes = pairs.nodes
    for name in graph.inputs:
        pairs.add_pair(name, plan, wanted)
    for node in list(graph.graph.node):
        if node.name in layers:
            number = layers.index(node.name)
            index = graph.add_constant(f"{SWITCHES} {number}", np.array(number))
            switch = graph.new_name(f"{SWITCHES} of {number}")
            nodes.append(helper.make_node("Gather", [SWITCHES, index], [switch], axis=0))
            floats = list(node.input)
            product = find_product(graph, node)
            if product is not None:
                nodes += weights.quantize(product)[0]
            for i, name in enumerate(floats):
                real = pairs.replaced.get(name, node.input[i])
                if real != name and name in {*plan.operands(node), floats[1] if product else name}:
                    node.input[i] = graph.new_name(f"{name} of {number}")
                    nodes.append(helper.make_node("Where", [switch, real, name], [node.input[i]]))
        nodes.append(node)
        for name in node.output:
            pairs.add_pair(name, plan, wanted)
    graph.set_nodes(nodes)
    return graph.model
