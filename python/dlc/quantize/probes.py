"""What is measured in a run of the compiled model: a probe adds nodes to the
graph and sums up what they answer, batch by batch."""

from __future__ import annotations

import abc
import pathlib
import tempfile
from collections.abc import Mapping, Sequence

import numpy as np
import onnx
from onnx import helper, numpy_helper

import dlc
from dlc.quantize.bodies import Body
from dlc.quantize.graph import Graph, save_parts, take_apart
from dlc.quantize.products import Product
from dlc.quantize.ranges import Histogram


class Probe(abc.ABC):
    """Of the tensor `tensor`. What it keeps are arrays, so that it can be saved."""

    def __init__(self, tensor: str) -> None:
        self.tensor = tensor

    @abc.abstractmethod
    def attach(self, graph: onnx.GraphProto, stem: str, opset: int) -> Sequence[str]:
        """Adds nodes; the names of what `add` wants to see."""

    @abc.abstractmethod
    def add(self, found: Sequence[np.ndarray]) -> None: ...

    @abc.abstractmethod
    def save(self) -> list[np.ndarray]: ...

    @abc.abstractmethod
    def load(self, arrays: Sequence[np.ndarray]) -> None: ...


class RangeProbe(Probe):
    """The smallest and the largest value, and how often which occurs."""

    def __init__(self, tensor: str, whole: bool) -> None:
        super().__init__(tensor)
        self.whole, self.histogram = whole, Histogram()

    def attach(self, graph: onnx.GraphProto, stem: str, opset: int) -> Sequence[str]:
        outputs = [f"{stem} low", f"{stem} high"]
        for operator, output in zip(("ReduceMin", "ReduceMax"), outputs):
            graph.node.append(helper.make_node(operator, [self.tensor], [output], keepdims=0))
        return [*outputs, self.tensor] if self.whole else outputs

    def add(self, found: Sequence[np.ndarray]) -> None:
        low, high = float(found[0]), float(found[1])
        if (low, high) == (np.inf, -np.inf):
            return  # of no values
        if not np.isfinite(low) or not np.isfinite(high):
            raise ValueError(f"tensor '{self.tensor}' has values that are not finite: {low}, {high}")
        self.histogram.add(low, high, found[2] if self.whole else None)

    def save(self) -> list[np.ndarray]:
        h = self.histogram
        return [np.array([h.low, h.high, h.limit]), h.counts]

    def load(self, arrays: Sequence[np.ndarray]) -> None:
        h = self.histogram
        h.low, h.high, h.limit = map(float, arrays[0])
        h.counts = arrays[1].astype(np.int64)


class ChannelProbe(Probe):
    """The largest number without its sign, or the sum, of each channel: `axis` is
    1 or -1, and there are `channels` of them."""

    def __init__(self, tensor: str, axis: int, channels: int, mean: bool) -> None:
        super().__init__(tensor)
        self.axis, self.mean = axis, mean
        self.values, self.count = np.zeros(channels), 0

    def attach(self, graph: onnx.GraphProto, stem: str, opset: int) -> Sequence[str]:
        # [before, channels, after] whatever the rank is.
        shape = [0, len(self.values), -1] if self.axis == 1 else [-1, len(self.values), 1]
        sizes = [f"{stem} shape", f"{stem} axes"]
        graph.initializer.append(numpy_helper.from_array(np.array(shape), sizes[0]))
        graph.initializer.append(numpy_helper.from_array(np.array([0, 2]), sizes[1]))
        flat, output = f"{stem} flat", f"{stem} channels"
        graph.node.append(helper.make_node("Reshape", [self.tensor, sizes[0]], [flat]))
        if self.mean:
            graph.node.append(helper.make_node("ReduceSum", [flat, sizes[1]], [output], keepdims=0))
            count = f"{stem} count"
            graph.node.append(helper.make_node("Size", [flat], [count]))
            return [output, count]
        graph.node.append(helper.make_node("Abs", [flat], [f"{stem} sizes"]))
        # The axes became an input in version 18.
        given = {} if opset >= 18 else {"axes": [0, 2]}
        reduced = [f"{stem} sizes", *(sizes[1:] if opset >= 18 else [])]
        graph.node.append(helper.make_node("ReduceMax", reduced, [output], keepdims=0, **given))
        return [output]

    def add(self, found: Sequence[np.ndarray]) -> None:
        values = found[0].reshape(-1).astype(np.float64)
        if not np.isfinite(values).all():
            raise ValueError(f"tensor '{self.tensor}' has values that are not finite")
        if self.mean:
            self.values += values
            self.count += int(found[1]) // len(self.values)
        else:
            self.values = np.maximum(self.values, values)

    @property
    def means(self) -> np.ndarray:
        return self.values / max(self.count, 1)

    def save(self) -> list[np.ndarray]:
        return [self.values, np.array(self.count)]

    def load(self, arrays: Sequence[np.ndarray]) -> None:
        self.values, self.count = arrays[0], int(arrays[1])


class GramProbe(Probe):
    """X^T X of the columns that the weights of a product are multiplied by."""

    def __init__(self, tensor: str, product: Product) -> None:
        super().__init__(tensor)
        self.product = product
        groups, _, columns = product.matrix().shape
        self.gram = np.zeros((groups, columns, columns), np.float32)

    def attach(self, graph: onnx.GraphProto, stem: str, opset: int) -> Sequence[str]:
        return [self.tensor]

    def add(self, found: Sequence[np.ndarray]) -> None:
        columns = self.product.columns(found[0])
        with np.errstate(over="ignore", invalid="ignore"):
            self.gram += columns.transpose(0, 2, 1) @ columns
        if not np.isfinite(self.gram).all():
            raise ValueError(f"tensor '{self.tensor}' has values that are too large, up to "
                             f"{np.abs(found[0]).max():g}, to sum their products in float32")  # fmt: skip

    def save(self) -> list[np.ndarray]:
        return [self.gram]

    def load(self, arrays: Sequence[np.ndarray]) -> None:
        self.gram = arrays[0]


class BodyProbe(Probe):
    """Lets the quantizer of a body see what it reads in a run that it is a part
    of."""

    def __init__(self, body: Body) -> None:
        super().__init__(body.condition)
        self.body, self.probes = body, list(body.quantizer.probes)

    def attach(self, graph: onnx.GraphProto, stem: str, opset: int) -> Sequence[str]:
        return [self.tensor, *self.body.outside]

    def add(self, found: Sequence[np.ndarray]) -> None:
        self.body.observe(found[0], dict(zip(self.body.outside, found[1:])))

    def save(self) -> list[np.ndarray]:
        """Of an earlier pass the probes of then."""
        arrays = [array for probe in self.probes for array in probe.save()]
        return [np.array(self.body.quantizer.batches), *arrays]

    def load(self, arrays: Sequence[np.ndarray]) -> None:
        self.body.quantizer.batches = int(arrays[0])
        first = 1
        for probe in self.probes:
            count = len(probe.save())
            probe.load(arrays[first : first + count])
            first += count


class Instrumented:
    """The compiled model with what probes want to see as its outputs."""

    def __init__(self, graph: Graph, probes: Sequence[Probe]) -> None:
        self.inputs, self.probes = graph.inputs, list(probes)
        model, constants = take_apart(graph.model)
        g = model.graph
        del g.output[:]
        names: dict[str, str] = {}
        self.wanted = []
        for i, probe in enumerate(self.probes):
            shown = []
            for name in probe.attach(g, f"probe {i}", graph.opset):
                # An output of its own: a tensor may be an input too.
                if name not in names:
                    names[name] = f"shown {len(names)}"
                    g.node.append(helper.make_node("Identity", [name], [names[name]]))
                    g.output.append(helper.make_empty_tensor_value_info(names[name]))
                shown.append(names[name])
            self.wanted.append(shown)
        # Of a file, weights are mapped; of a message, the compiler has copies.
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "calibration.onnx")
            save_parts(model, constants, path)
            del model, g, constants
            # Its kernels are those of -O3, which takes a fifth longer to compile.
            self.model = dlc.compile(path, name="calibration", opt_level=2)

    def run(self, batch: Mapping[str, np.ndarray]) -> None:
        found = self.model.run({name: batch[name] for name in self.inputs})
        for probe, names in zip(self.probes, self.wanted):
            probe.add([found[name] for name in names])
