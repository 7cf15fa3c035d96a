"""Which nodes of a graph compute on integers, and which tensors get a pair for
them."""

from __future__ import annotations

import onnx

from dlc.quantize.graph import Graph
from dlc.quantize.products import PRODUCTS

# Operators whose integer form dlc and other engines have, beside products.
OTHERS = ("Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Resize", "Sigmoid",
          "HardSwish", "HardSigmoid", "LeakyRelu", "ReduceMean")  # fmt: skip
# The result has the operand's numbers, and so its scale.
MOVES = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice",
         "GlobalMaxPool", "DepthToSpace", "SpaceToDepth")  # fmt: skip
# A part of the operator before it.
BOUNDS = ("Relu", "Clip")


class Plan:
    """Products compute on integers unless they are kept. Other operators do only
    between those: where their operands are integers anyway and another operator
    reads their result as such. What comes out of float functions, goes into them
    or out of the model loses nothing."""

    def __init__(self, graph: Graph, keep: set[str]) -> None:
        self.graph, self.keep = graph, keep
        self.integer: set[str] = set()
        """Names of nodes."""
        self.shared: dict[str, str] = {}
        """A tensor with the scale of another one."""
        self.reachable = self._find_reachable()
        wanted: set[str] = set()
        for node in reversed(graph.graph.node):
            if self._is_integer(node, wanted):
                self.integer.add(node.name)
                wanted.update(self.operands(node))
        self.tensors: list[str] = []
        """Those with a pair, in the graph's order."""
        for name in [*graph.inputs, *(o for node in graph.graph.node for o in node.output)]:
            if name not in wanted:
                continue
            self.tensors.append(name)
            producer = graph.producers.get(name)
            if (producer is not None and producer.name in self.integer
                    and producer.op_type in MOVES):  # fmt: skip
                self.shared[name] = self.shared.get(producer.input[0], producer.input[0])

    def _find_reachable(self) -> set[str]:
        """Tensors that are integers before they are numbers: inputs of the model,
        which can be, products, and what other operators make of such."""
        found = {name for name in self.graph.inputs if self.graph.is_real(name)}
        for node in self.graph.graph.node:
            if node.name in self.keep or not node.output or node.domain not in ("", "ai.onnx"):
                continue
            if node.op_type in PRODUCTS and all(self._can_be_integer(n) for n in node.input[:2]):
                found.add(node.output[0])
            elif node.op_type in (*OTHERS, *MOVES, *BOUNDS):
                operands = self.operands(node)
                # A product's bias or factor is a part of it.
                isEpilogue = node.op_type in ("Add", "Mul") and self._follows_product(node)
                if operands and (isEpilogue or found.issuperset(operands)):
                    found.add(node.output[0])
        return found

    def _follows_product(self, node: onnx.NodeProto) -> bool:
        """Whether it adds a constant to a product that nothing else reads, or
        multiplies it by one."""
        operands = self.operands(node)
        if len(operands) != 1 or len(node.input) != 2 or len(self.graph.readers[operands[0]]) != 1:
            return False
        producer = self.graph.producers.get(operands[0])
        return producer is not None and producer.op_type in PRODUCTS

    def _is_integer(self, node: onnx.NodeProto, wanted: set[str]) -> bool:
        if node.name in self.keep or node.domain not in ("", "ai.onnx"):
            return False
        if not node.input or not node.output:
            return False
        if node.op_type in PRODUCTS:
            # Both, or there is no integer product.
            return all(self._can_be_integer(name) for name in node.input[:2])
        if node.op_type not in (*OTHERS, *MOVES) or node.output[0] not in wanted:
            return False
        if node.output[0] in self.graph.results:
            return False
        if node.op_type in ("Add", "Mul") and self._follows_product(node):
            return False
        operands = self.operands(node)
        return bool(operands) and self.reachable.issuperset(operands)

    def _can_be_integer(self, name: str) -> bool:
        if name in self.graph.constants:
            value = self.graph.value(name)
            return value is not None and value.ndim >= 2
        return self.graph.is_real(name)

    def operands(self, node: onnx.NodeProto) -> list[str]:
        """The tensors that an integer node reads as such."""
        names = list(node.input)
        if node.op_type in PRODUCTS:
            names = names[:2]
        elif node.op_type in (*MOVES, *BOUNDS) or node.op_type in ("Resize", "ReduceMean"):
            names = names[:1]
        return [n for n in names if n not in self.graph.constants and self.graph.is_real(n)]

    def reads_integers(self, node: onnx.NodeProto) -> bool:
        return node.name in self.integer or (node.op_type in BOUNDS and node.name not in self.keep)
