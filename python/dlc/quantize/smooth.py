"""SmoothQuant (Xiao et al., 2022): a product's input channels are divided by
what the weights' rows are multiplied by, so that outliers of the activations
become ones of the weights, which have finer scales."""

from __future__ import annotations

import dataclasses

import numpy as np
import onnx
from onnx import helper

from dlc.quantize.graph import Graph
from dlc.quantize.probes import ChannelProbe
from dlc.quantize.products import Product, find_product


@dataclasses.dataclass
class Site:
    """A tensor, and the products that read it as their left operand."""

    tensor: str
    products: list[Product]


def find_sites(graph: Graph) -> list[Site]:
    sites: dict[str, Site] = {}
    for node in graph.graph.node:
        product = find_product(graph, node)
        if product is None or product.operator == "Conv" or not product.is_matrix:
            continue
        if not graph.is_real(node.input[0]) or any(
            r is not node and find_product(graph, r) is None for r in graph.readers[product.weights]
        ):
            continue
        sites.setdefault(node.input[0], Site(node.input[0], [])).products.append(product)
    return list(sites.values())


def make_probe(site: Site) -> ChannelProbe:
    columns = site.products[0].matrix().shape[2]
    return ChannelProbe(site.tensor, -1, columns, mean=False)


def smooth(graph: Graph, site: Site, largest: np.ndarray, exponent: float) -> None:
    """Puts the factors into the weights, and their inverse before them: into a
    LayerNormalization or a Mul by a constant that only these products read,
    else into a Mul of its own."""
    products = [p for node in graph.readers[site.tensor]
                if (p := find_product(graph, node)) is not None and node.input[0] == site.tensor
                and p.operator != "Conv" and p.is_matrix]  # fmt: skip
    weights = np.max([np.abs(p.matrix()).max((0, 1)) for p in products], 0)
    usable = (largest > 0) & (weights > 0)
    factor = np.where(usable, largest, 1) ** exponent / np.where(usable, weights, 1) ** (1 - exponent)
    # A common factor changes nothing; powers of two round nothing.
    factor = 2.0 ** np.rint(np.log2(factor / np.exp(np.log(factor).mean())))
    if (factor == 1).all():
        return
    for product in products:
        scaled = product.unmatrix((product.matrix() * factor).astype(np.float32))
        # Another product may read the same weights with other inputs.
        product.node.input[1] = graph.add_constant(product.weights + "_smoothed", scaled)
    inverse = (1 / factor).astype(np.float32)
    if len(products) == len(graph.readers[site.tensor]) and _absorb(graph, site.tensor, inverse):
        return
    scale = graph.add_constant(site.tensor + "_smoothing", inverse)
    result = graph.new_name(site.tensor + "_smoothed")
    for product in products:
        product.node.input[0] = result
    mul = helper.make_node("Mul", [site.tensor, scale], [result], result)
    readers = {p.node.name for p in products}
    place = next(i for i, node in enumerate(graph.graph.node) if node.name in readers)
    graph.graph.node.insert(place, mul)


def _absorb(graph: Graph, tensor: str, inverse: np.ndarray) -> bool:
    producer = graph.producers.get(tensor)
    if producer is None or tensor in graph.results or not _can_absorb(graph, producer, inverse):
        return False
    if producer.op_type == "Add":
        # A decomposed LayerNormalization ends in Mul and Add.
        for i, name in enumerate(producer.input):
            if name in graph.constants:
                _scale(graph, producer, i, inverse)
            else:
                _absorb(graph, name, inverse)
        return True
    for i, name in enumerate(producer.input):
        if i and producer.op_type == "LayerNormalization" or name in graph.constants:
            _scale(graph, producer, i, inverse)
    return True


def _can_absorb(graph: Graph, producer: onnx.NodeProto, inverse: np.ndarray) -> bool:
    constants = [n for n in producer.input if n in graph.constants]
    if any((v := graph.value(n)) is None or v.shape != inverse.shape for n in constants):
        return False
    if producer.op_type == "LayerNormalization":
        return len(producer.output) == 1 and len(constants) == len(producer.input) - 1
    if producer.op_type == "Mul":
        return len(constants) == 1
    if producer.op_type == "Add" and len(constants) == 1:
        other = next(n for n in producer.input if n not in graph.constants)
        before = graph.producers.get(other)
        return (before is not None and before.op_type == "Mul" and other not in graph.results
                and len(graph.readers[other]) == 1 and _can_absorb(graph, before, inverse))  # fmt: skip
    return False


def _scale(graph: Graph, node: onnx.NodeProto, operand: int, inverse: np.ndarray) -> None:
    value = graph.value(node.input[operand])
    assert value is not None
    node.input[operand] = graph.add_constant(node.input[operand] + "_smoothed", value * inverse)


def apply(graph: Graph, sites: list[Site], probes: list[ChannelProbe], exponent: float) -> None:
    for site, probe in zip(sites, probes):
        smooth(graph, site, probe.values, exponent)
    graph.drop_unread()
    graph.refresh()
