"""The backend tests of the onnx package: models, inputs, expected outputs.

The package makes its node tests when they are loaded; the others are folders
of models and tensors. The names here begin with the group: node/test_abs,
simple/test_shrink, light/squeezenet.
"""

from __future__ import annotations

import dataclasses
import pathlib
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper
from onnx.backend.test.case.test_case import TestCase
from onnx.backend.test.loader import load_model_tests
from onnx.backend.test.runner import Runner

# The folder that the paths of the light models begin in.
PACKAGES = pathlib.Path(onnx.__file__).parents[1]
GROUPS = ("node", "simple", "pytorch-operator", "pytorch-converted", "light")


@dataclasses.dataclass(frozen=True)
class Case:
    """One test; the model and the data are read when they are asked for."""

    name: str
    test: TestCase

    def load_model(self) -> onnx.ModelProto:
        return self.test.model or onnx.load(self._path())

    def load_data(self, model: onnx.ModelProto) -> Iterator[tuple[list[Any], list[Any]]]:
        """Pairs of inputs and expected outputs."""
        if self.test.data_sets is not None:
            for inputs, outputs in self.test.data_sets:
                yield list(map(_to_array, inputs)), list(map(_to_array, outputs))
        elif self.test.model_dir is not None:
            for folder in sorted(pathlib.Path(self.test.model_dir).glob("test_data_set*")):
                yield (
                    _read(folder, "input", model.graph.input),
                    _read(folder, "output", model.graph.output),
                )
        else:
            yield self._make_light_data(model)

    def check(self, expected: list[Any], outputs: list[Any]) -> bool:
        """Raises AssertionError as ONNX's own runner does. False where an
        answer in float16 is right to two units in the last place only: the
        expected ones are rounded after each step, so some are that far off."""
        expected = [_to_objects(value) for value in expected]
        expected, outputs = _flatten(expected, outputs)
        rtol, atol = self.test.rtol, self.test.atol
        try:
            Runner.assert_similar_outputs(expected, outputs, rtol, atol)
            return True
        except AssertionError:
            if not any(getattr(value, "dtype", None) == np.float16 for value in expected):
                raise
        Runner.assert_similar_outputs(expected, outputs, max(rtol, 2**-9), atol)
        return False

    def _path(self) -> pathlib.Path:
        if self.test.model_dir is not None:
            return pathlib.Path(self.test.model_dir, "model.onnx")
        return PACKAGES / self.test.url

    def _make_light_data(self, model: onnx.ModelProto) -> tuple[list[Any], list[Any]]:
        """What ONNX's runner gives to the light models, and the answers that
        lie beside them."""
        initialized = {tensor.name for tensor in model.graph.initializer}
        inputs = [
            Runner.generate_dummy_data(value)
            for value in model.graph.input
            if value.name not in initialized
        ]
        path = self._path()
        outputs = [
            _read_value(path.with_name(f"{path.stem}_output_{i}.pb"), value)
            for i, value in enumerate(model.graph.output)
        ]
        return inputs, outputs


def load_cases(groups: tuple[str, ...] = GROUPS) -> list[Case]:
    """All tests, sorted by name within their group."""
    cases = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # numpy's, about the tests' own sums
        for group in groups:
            tests = load_model_tests(kind="real" if group == "light" else group)
            for test in sorted(tests, key=lambda test: test.name):
                name = test.model_name if group == "light" else test.name
                cases.append(Case(f"{group}/{name}", test))
    return cases


def _flatten(expected: list[Any], outputs: list[Any]) -> tuple[list[Any], list[Any]]:
    """The items of sequences in their place: ONNX's runner cannot compare those
    of different ranks."""
    flat: tuple[list[Any], list[Any]] = ([], [])
    assert len(expected) == len(outputs), f"expected {len(expected)} values, found {len(outputs)}"
    for value, output in zip(expected, outputs):
        assert isinstance(value, list) == isinstance(output, list), (
            f"expected a {type(value).__name__}, found a {type(output).__name__}"
        )
        inner = _flatten(value, output) if isinstance(value, list) else ([value], [output])
        flat[0].extend(inner[0])
        flat[1].extend(inner[1])
    return flat


def _to_array(value: Any) -> Any:
    return numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value


def _to_objects(value: Any) -> Any:
    """Strings as objects, which is how a backend gives them."""
    if isinstance(value, np.ndarray) and value.dtype.kind in "US":
        return value.astype(object)
    return value


def _read(folder: pathlib.Path, what: str, infos: Any) -> list[Any]:
    count = len(list(folder.glob(f"{what}_*.pb")))
    return [_read_value(folder / f"{what}_{i}.pb", infos[i]) for i in range(count)]


def _read_value(path: pathlib.Path, info: onnx.ValueInfoProto) -> Any:
    data = path.read_bytes()
    kind = info.type.WhichOneof("value")
    if kind == "sequence_type":
        return numpy_helper.to_list(onnx.SequenceProto.FromString(data))
    if kind == "optional_type":
        return numpy_helper.to_optional(onnx.OptionalProto.FromString(data))
    return numpy_helper.to_array(onnx.TensorProto.FromString(data))
