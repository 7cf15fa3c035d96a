"""Runs tests as programs of another processor, under an emulator."""

from __future__ import annotations

import pathlib
import sys
import tempfile
from typing import Any

import cases
import numpy as np
import onnx

import dlc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import objects  # noqa: E402


def can_run(case: cases.Case) -> bool:
    """Whether the program that reads and writes tensors as files serves: it
    has no strings, no sequences and no types of less than a byte."""
    model = case.load_model()
    values = [
        value for data in case.load_data(model) for values in data for value in values
    ]  # fmt: skip
    initialized = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in initialized]
    return (
        all(isinstance(value, np.ndarray) and _is_whole(value.dtype) for value in values)
        and max(len(inputs), len(model.graph.output)) <= 16
        and all(i.type.WhichOneof("value") == "tensor_type" for i in inputs)
        and all(i.type.WhichOneof("value") == "tensor_type" for i in model.graph.output)
    )


def _is_whole(dtype: np.dtype) -> bool:
    small = ("int4", "uint4", "int2", "uint2", "float4_e2m1fn")
    return dtype.kind in "fiub" or dtype.kind == "V" and dtype.name not in small


class Program:
    """A model as a program of the target."""

    def __init__(self, model: onnx.ModelProto, target: str, opt_level: int) -> None:
        self.folder = tempfile.TemporaryDirectory()
        path = pathlib.Path(self.folder.name, "network.o")
        dlc.compile_to_file(model, path, target=target, name="network", opt_level=opt_level)
        self.object = objects.Object(path, target, 0.0, 0, "")

    def run(self, inputs: list[Any], expected: list[Any]) -> list[np.ndarray]:
        """The outputs; their types are the expected ones."""
        types = [value.dtype for value in expected]
        return objects.run_emulated(self.object, inputs, types)
