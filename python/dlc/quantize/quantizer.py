"""One model on its way: what is to be seen of it, pass by pass over the data,
and then the quantized one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from dlc.quantize import smooth
from dlc.quantize.bodies import Body, extract, find_unknown
from dlc.quantize.equalize import equalize
from dlc.quantize.graph import BLOCK_OPSET, OPSET, Graph, all_nodes, bodies_of, check_model
from dlc.quantize.inspect import expect_layers, expect_shapes, has_products, inspect
from dlc.quantize.options import Options
from dlc.quantize.pairs import Pairs
from dlc.quantize.plan import Plan
from dlc.quantize.probes import BodyProbe, ChannelProbe, GramProbe, Instrumented, Probe, RangeProbe
from dlc.quantize.products import Product, find_product
from dlc.quantize.ranges import Histogram
from dlc.quantize.weights import Weights

WIDEST = 8192  # columns of a matrix whose inputs' products are kept (256 MB)


class Quantizer:
    """`observe` sees batches, `end_pass` says that those were all, and `finish`
    gives the model. With `Options.smooth` the data is seen twice."""

    def __init__(
        self, model: onnx.ModelProto, options: Options = Options(), bodies: bool = True, inner: bool = False
    ) -> None:
        """Without `bodies`, those of If and Loop stay as they are. `inner`: the
        model is such a body itself."""
        self.options = options
        # Convolutions have no MatMulNBits.
        isBlocked = options.weight_bits == 4 or (options.block and options.format == "qdq")
        self.graph = Graph(model, BLOCK_OPSET if isBlocked else OPSET)
        self.notes: list[str] = []
        """What was asked for and isn't done everywhere."""
        names = {node.name for node in all_nodes(self.graph.graph)}
        for name in options.keep:
            if name not in names and not inner:
                raise ValueError(f"expected the name of a node that stays in float, found '{name}'")
        self.bodies: list[Body] = []
        closed = self._enter_bodies(bodies)
        self.warnings, self.layers = inspect(self.graph, options, closed)
        """What stays in float although it has weights, and how many layers do not."""
        self.warnings += [w for body in self.bodies for w in body.quantizer.warnings]
        self.layers += sum(body.quantizer.layers for body in self.bodies)
        if not inner:
            expect_shapes(self.graph)
            expect_layers(self.layers, self.warnings, options)
        if options.equalize:
            count = equalize(self.graph)
            if count or not inner:
                self.notes.append(f"equalized {count} pairs of layers")
            self.graph.refresh()
        self.sites = smooth.find_sites(self.graph) if options.smooth is not None else []
        self.passes = 2 if self.sites else 1 if options.needs_data else 0
        self.passes = max([self.passes, *(body.quantizer.passes for body in self.bodies)])
        self.notes += [note for body in self.bodies for note in body.quantizer.notes]
        self.number = 0
        self.batches = 0
        """Of this pass; `seen`, of the one before."""
        self.seen = 0
        self._compiled: Instrumented | None = None
        self.inner = inner
        self.past: list[list[Probe]] = []
        """The probes of earlier passes."""
        self._start_pass()

    def _start_pass(self) -> None:
        self.probes: list[Probe] = []
        self.batches = 0
        self._compiled = None
        if self.number >= self.passes:
            return
        watched = [BodyProbe(body) for body in self.bodies if body.quantizer.needs_data]
        if self.sites and self.number == 0:
            self.probes = [*watched, *(smooth.make_probe(site) for site in self.sites)]
            return
        self.probes += watched
        options = self.options
        self.plan = None if options.weights_only else Plan(self.graph, set(options.keep))
        if self.plan:
            self.probes += [RangeProbe(name, options.method != "minmax")
                            for name in self.plan.tensors if name not in self.plan.shared]  # fmt: skip
        products = [p for node in self.graph.graph.node
                    if (p := find_product(self.graph, node)) is not None and p.is_matrix
                    and (self.plan is None or node.name in self.plan.integer)
                    and node.name not in options.keep]  # fmt: skip
        if options.correct_bias:
            for product in {p.node.input[0]: p for p in products}.values():
                isConv = product.operator == "Conv"
                channels = product.matrix().shape[2]
                if isConv:
                    channels = product.values.shape[1] * product.groups
                axis = 1 if isConv else -1
                self.probes.append(ChannelProbe(product.node.input[0], axis, channels, mean=True))
        if options.rounding != "nearest":
            self.probes += [p for product in products if (p := self._watch(product)) is not None]

    def _watch(self, product: Product) -> GramProbe | None:
        columns = product.matrix().shape[2]
        if columns > WIDEST:
            self.notes.append(f"node '{product.node.name}' sums {columns} numbers, more than {WIDEST}: "
                              "its weights are rounded to the nearest")  # fmt: skip
            return None
        return GramProbe(product.node.input[0], product)

    @property
    def inputs(self) -> list[str]:
        return self.graph.inputs

    @property
    def needs_data(self) -> bool:
        return self.number < self.passes

    def observe(self, batch: Mapping[str, Any]) -> None:
        """Sees one batch: an array for each input."""
        if not self.needs_data:
            return
        arrays = {name: np.asarray(value) for name, value in batch.items()}
        check_batch(self.graph, {name: (a.dtype, a.shape) for name, a in arrays.items()},
                    f"batch {self.batches + 1}")  # fmt: skip
        if self._compiled is None:
            self._compiled = Instrumented(self.graph, self.probes)
        self._compiled.run(batch)
        self.batches += 1

    def end_pass(self) -> None:
        """All of the data was seen."""
        if self.sites and self.number == 0 and self.batches:
            probes = [p for p in self.probes if isinstance(p, ChannelProbe)]
            assert self.options.smooth is not None
            smooth.apply(self.graph, self.sites, probes, self.options.smooth)
        self.past.append(self.probes)
        self.seen = self.batches
        self.number += 1
        for body in self.bodies:
            if body.quantizer.needs_data:
                body.quantizer.end_pass()
        if self.number < self.passes:
            self._start_pass()

    @property
    def ranges(self) -> dict[str, Histogram]:
        """Of all tensors that may have a pair: a move's result has its operand's."""
        seen = self.past[-1] if self.past else []
        found = {p.tensor: p.histogram for p in seen if isinstance(p, RangeProbe)}
        if found and self.plan:
            found |= {name: found[other] for name, other in self.plan.shared.items()}
        return found

    def finish(self, keep: Sequence[str] = ()) -> onnx.ModelProto:
        """The quantized model; the nodes `keep` stay in float, besides those of the
        options. May be called again for others."""
        if self.needs_data:
            self.end_pass()
        if self.needs_data:
            raise ValueError("expected the data a second time, since activations are smoothed")
        seen = self.past[-1] if self.past else []
        graph = self.graph.copy()
        for body in self.bodies:
            if body.quantizer.was_seen:
                body.put(graph, body.quantizer.finish().graph)
            elif (note := f"a body of node '{body.node}' stays in float: no batch ran it") not in self.notes:
                self.notes.append(note)
        kept = {*self.options.keep, *keep}
        ranges = self.ranges
        means = {p.tensor: p.means for p in seen if isinstance(p, ChannelProbe)}
        plan = None if self.options.weights_only else Plan(graph, kept)
        weights = Weights(graph, self.options, find_grams(seen), means)
        Pairs(graph, self.options, ranges, weights).run(plan, kept)
        if not self.inner:
            check_model(graph.model)
        return graph.model

    @property
    def was_seen(self) -> bool:
        """Whether the data, if any is needed, showed all values."""
        if not self.options.needs_data:
            return True
        probes = [p for p in self.past[-1] if isinstance(p, RangeProbe)]
        return self.seen > 0 and all(p.histogram.low <= p.histogram.high for p in probes)

    def _enter_bodies(self, allowed: bool) -> dict[str, str]:
        """Makes quantizers of the bodies with something to quantize. The nodes where
        that cannot be, and why."""
        closed = {}
        for node in self.graph.graph.node:
            for index, inside in enumerate(bodies_of(node)):
                if not has_products(inside):
                    continue
                if not allowed:
                    closed[node.name] = "a budget is kept by the layers outside"
                elif self.options.needs_data and node.op_type != "If":
                    closed[node.name] = "it runs more than once, and the calibration sees nothing of it"
                elif unknown := find_unknown(self.graph, inside, self.options.needs_data):
                    closed[node.name] = unknown
                else:
                    self.bodies.append(self._enter(node, index, inside))
        self.bodies = [body for body in self.bodies if body.node not in closed]
        return closed

    def _enter(self, node: onnx.NodeProto, index: int, inside: onnx.GraphProto) -> Body:
        model, outside = extract(self.graph, inside)
        quantizer = Quantizer(model, self.options, inner=True)
        if node.op_type != "If":
            return Body(node.name, index, outside, quantizer)
        isThen = [a.name for a in node.attribute][index] == "then_branch"
        return Body(node.name, index, outside, quantizer, node.input[0], isThen)


def find_grams(probes: Sequence[Probe]) -> dict[tuple[str, int], np.ndarray]:
    """Nodes that share weights are rounded by what all of them see."""
    grams: dict[tuple[str, int], np.ndarray] = {}
    for probe in probes:
        if isinstance(probe, GramProbe):
            key = probe.product.key
            grams[key] = grams[key] + probe.gram if key in grams else probe.gram
    return grams


def check_batch(
    graph: Graph, batch: Mapping[str, tuple[np.dtype, Sequence[int]]], where: str
) -> None:
    """A batch, of which types and shapes are given, has an array for each input."""
    for info in graph.graph.input:
        if info.name in graph.constants:
            continue
        if info.name not in batch:
            found = ", ".join(batch) or "none"
            raise ValueError(f"expected an array '{info.name}' in {where}, found {found}")
        tensor = info.type.tensor_type
        expected = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        sizes = [d.dim_value if d.WhichOneof("value") == "dim_value" else None
                 for d in tensor.shape.dim]  # fmt: skip
        dtype, given = batch[info.name]
        fits = not tensor.HasField("shape") or len(sizes) == len(given) and all(
            size in (None, found) for size, found in zip(sizes, given)
        )
        if dtype != expected or not fits:
            shape = "x".join("?" if s is None else str(s) for s in sizes)
            raise ValueError(
                f"expected '{info.name}' of {expected} {shape} in {where}, found "
                f"{dtype} {'x'.join(map(str, given))}"
            )
