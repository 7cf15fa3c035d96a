"""Which layers stay in float, so that a model loses no more than it may."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
import onnx

import dlc
from dlc.quantize.data import Data, can_restart, open_data
from dlc.quantize.quantizer import Quantizer
from dlc.quantize.report import Layer, Report
from dlc.quantize.simulate import Simulation, find_layers
from dlc.quantize.timing import measure_layers

SLOWER = 1.05  # times that differ by less are the same

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]
Metric = Callable[[Run], float]
"""How good a model is, more being better: it gets a function that runs it."""


@dataclasses.dataclass(frozen=True)
class Budget:
    """One of the two; and `batches`, so many, are looked at for each layer."""

    min_sqnr: float | None = None
    max_drop: float | None = None
    """Of the metric: 0.01 is one percent of accuracy."""
    metric: Metric | None = None
    batches: int = 4
    times: bool = True
    """Layers that are slower on integers stay in float, too."""

    def __post_init__(self) -> None:
        if (self.min_sqnr is None) == (self.max_drop is None):
            raise ValueError("expected either min_sqnr or max_drop")
        if (self.max_drop is None) != (self.metric is None):
            raise ValueError("expected a metric with max_drop, and only there")
        if self.max_drop is not None and not 0 <= self.max_drop < math.inf:
            raise ValueError(f"expected a drop of 0 or more, found {self.max_drop}")
        if self.min_sqnr is not None and not math.isfinite(self.min_sqnr):
            raise ValueError(f"expected a ratio in dB, found {self.min_sqnr}")
        if self.batches < 1:
            raise ValueError(f"expected at least 1 batch, found {self.batches}")


class Accuracy:
    """The share of samples whose largest number of the first output is that of
    the label."""

    def __init__(self, data: Data, inputs: list[str], labels: np.ndarray) -> None:
        self.data, self.inputs, self.labels = data, inputs, np.asarray(labels).reshape(-1)

    def __call__(self, run: Run) -> float:
        right = seen = 0
        for batch in open_data(self.data, self.inputs):
            output = next(iter(run(batch).values()))
            found = output.reshape(len(output), -1).argmax(1)
            labels = self.labels[seen : seen + len(found)]
            right, seen = right + int((labels == found[: len(labels)]).sum()), seen + len(found)
        if not seen:
            raise ValueError("expected data to measure the accuracy with, found none")
        if seen != len(self.labels):
            raise ValueError(f"expected a label for each of the {seen} samples, found {len(self.labels)} labels")
        return right / seen


class _Noise:
    """Signal and noise of each output, over batches."""

    def __init__(self) -> None:
        self.signal: dict[str, float] = {}
        self.noise: dict[str, float] = {}

    def add(self, expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
        for name, value in expected.items():
            if not np.issubdtype(np.asarray(value).dtype, np.floating):
                continue
            exact = np.asarray(value, np.float64)
            self.signal[name] = self.signal.get(name, 0.0) + float((exact**2).sum())
            noise = float(((np.asarray(found[name], np.float64) - exact) ** 2).sum())
            self.noise[name] = self.noise.get(name, 0.0) + noise

    @property
    def sqnr(self) -> float:
        """In dB, of the worst output."""
        ratios = [math.inf if not n else 10 * math.log10(max(s, 1e-300) / n)
                  for s, n in zip(self.signal.values(), self.noise.values())]  # fmt: skip
        return min(ratios, default=math.inf)


def search(
    quantizer: Quantizer,
    data: Data,
    budget: Budget,
    progress: Callable[[str], None] | None = None,
    validation: Data | None = None,
) -> tuple[onnx.ModelProto, Report]:
    """Looks at each layer alone, lets those stay in float that are slower on
    integers or, the worst for the time they save first, as many as the budget
    needs, and checks the model that results; with `validation` on that data too,
    which neither ranges nor the choice of layers were made with."""
    if quantizer.options.weights_only:
        raise ValueError("expected quantized activations for a budget, found weights_only")
    if not can_restart(data) or not (validation is None or can_restart(validation)):
        raise ValueError("expected data that can be read again: a list, a reader, or a function that gives "
                         "an iterator")  # fmt: skip
    return _Search(quantizer, data, budget, progress or (lambda line: None), validation).run()


class _Search:
    def __init__(
        self,
        quantizer: Quantizer,
        data: Data,
        budget: Budget,
        say: Callable[[str], None],
        validation: Data | None,
    ) -> None:
        self.quantizer, self.data, self.budget, self.say = quantizer, data, budget, say
        self.validation = validation
        say("looking at layers")
        self.simulation = Simulation(quantizer)
        self.names = self.simulation.layers
        self.float_metric = self._metric(set()) if budget.metric else None

    def run(self) -> tuple[onnx.ModelProto, Report]:
        alone, plain = self._measure_noise()
        full = self.quantizer.finish()
        times: dict[str, tuple[float, float]] = {}
        if self.budget.times:
            self.say(f"timing {len(self.names)} layers")
            first = next(self._batches(), {})
            times = measure_layers(self.quantizer.graph, full, self.names, first)
        layers = [Layer(node.name, node.op_type, alone[node.name].sqnr, *times.get(node.name, (None, None)))
                  for node in find_layers(self.quantizer)]  # fmt: skip
        for layer in layers:
            if layer.float_ms and layer.integer_ms and layer.integer_ms > layer.float_ms * SLOWER:
                layer.kept = "time"
        order = sorted((layer for layer in layers if not layer.kept), key=_cost)
        count = self._bisect(layers, order)
        while True:
            for i, layer in enumerate(order):
                layer.kept = "accuracy" if i < count else ""
            model = self.quantizer.finish([layer.name for layer in layers if layer.kept])
            sqnr, metric, validated = self._judge(model)
            if self._is_enough(_least(sqnr, validated), metric) or count == len(order):
                break
            # What the simulation does not show: sums that round differently.
            count = min(count + max(1, count // 8), len(order))
        if not self._is_enough(_least(sqnr, validated), metric):
            found = f"{_least(sqnr, validated):.1f} dB" if metric is None else f"a metric of {metric:.4f}"
            raise ValueError(f"the budget cannot be kept: with all {len(layers)} layers in float the model has "
                             f"{found}")  # fmt: skip
        return model, Report(layers, sqnr, plain.sqnr, metric, self.float_metric, validated)

    def _batches(self) -> Iterable[dict[str, np.ndarray]]:
        return itertools.islice(open_data(self.data, self.quantizer.inputs), self.budget.batches)

    def _measure_noise(self) -> tuple[dict[str, _Noise], _Noise]:
        alone, plain = {name: _Noise() for name in self.names}, _Noise()
        for number, batch in enumerate(self._batches()):
            exact = self.simulation.run(batch, ())
            plain.add(exact, self.simulation.run(batch, self.names))
            for i, name in enumerate(self.names):
                alone[name].add(exact, self.simulation.run(batch, [name]))
                if i % 16 == 15:
                    self.say(f"looking at layers: {i + 1} of {len(self.names)} in batch {number + 1}")
        if not plain.signal:
            raise ValueError("expected data to look at layers with, found none")
        return alone, plain

    def _bisect(self, layers: list[Layer], order: list[Layer]) -> int:
        """The fewest of `order`, from its begin, with which the budget is kept."""
        slow = {layer.name for layer in layers if layer.kept}
        low, high = 0, len(order)
        while low < high:
            middle = (low + high) // 2
            kept = slow | {layer.name for layer in order[:middle]}
            integer = set(self.names) - kept
            if self.budget.metric:
                enough = self._is_enough(math.inf, self._metric(integer))
            else:
                enough = self._is_enough(self._simulate(integer).sqnr, None)
            self.say(f"{len(kept)} of {len(self.names)} layers in float are {'' if enough else 'not '}enough")
            low, high = (low, middle) if enough else (middle + 1, high)
        return low

    def _simulate(self, integer: set[str]) -> _Noise:
        noise = _Noise()
        for batch in self._batches():
            noise.add(self.simulation.run(batch, ()), self.simulation.run(batch, integer))
        return noise

    def _metric(self, integer: set[str]) -> float:
        assert self.budget.metric is not None
        return float(self.budget.metric(lambda batch: self.simulation.run(batch, integer)))

    def _judge(self, model: onnx.ModelProto) -> tuple[float, float | None, float | None]:
        """Of the model itself, compiled: its ratio, metric, and ratio on the data of
        the validation."""
        compiled = dlc.compile(model, name="quantized")

        def run(batch: Mapping[str, Any]) -> dict[str, np.ndarray]:
            return compiled.run({name: np.asarray(batch[name]) for name in self.quantizer.inputs})

        def find_sqnr(batches: Iterable[dict[str, np.ndarray]]) -> float:
            noise = _Noise()
            for batch in batches:
                noise.add(self.simulation.run(batch, ()), run(batch))
            if not noise.signal:
                raise ValueError("expected data to check the budget with, found none")
            return noise.sqnr

        metric, validated = self.budget.metric, None
        if self.validation is not None:
            validated = find_sqnr(open_data(self.validation, self.quantizer.inputs))
        sqnr = find_sqnr(self._batches())
        return sqnr, None if metric is None else float(metric(run)), validated

    def _is_enough(self, sqnr: float, metric: float | None) -> bool:
        if self.budget.min_sqnr is not None:
            return sqnr >= self.budget.min_sqnr
        assert metric is not None and self.float_metric is not None and self.budget.max_drop is not None
        return metric >= self.float_metric - self.budget.max_drop


def _least(sqnr: float, validated: float | None) -> float:
    return sqnr if validated is None else min(sqnr, validated)


def _cost(layer: Layer) -> float:
    """Less is worse: a layer's noise, for the time that it saves on integers."""
    if not layer.float_ms or layer.integer_ms is None:
        return layer.sqnr
    saved = max(layer.float_ms - layer.integer_ms, 1e-3 * layer.float_ms)
    return layer.sqnr + 10 * math.log10(saved)
