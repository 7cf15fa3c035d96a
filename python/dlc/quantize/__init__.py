"""Quantizes a model: writes one with QuantizeLinear and DequantizeLinear that
any engine runs.

    model = dlc.quantize.quantize("model.onnx", batches)

`batches` is any iterable of inputs, or one of the readers here. The steps:
what a graph's nodes become (plan.py), what is seen of its tensors (probes.py,
quantizer.py), how weights are rounded (rounding.py), and the pairs (pairs.py).
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import onnx

from dlc.quantize.calibrate import State, calibrate
from dlc.quantize.checks import open_files
from dlc.quantize.command import main
from dlc.quantize.data import Data, prefetch
from dlc.quantize.files import Batches
from dlc.quantize.images import Images, Preprocessing
from dlc.quantize.mixed import Accuracy, Budget, search
from dlc.quantize.options import Options
from dlc.quantize.quantizer import Quantizer
from dlc.quantize.report import Report
from dlc.quantize.tables import Csv
from dlc.quantize.tfrecord import TFRecord

__all__ = ["Accuracy", "Batches", "Budget", "Csv", "Data", "Images", "Options", "Preprocessing", "Quantizer",
           "Report", "State", "TFRecord", "main", "prefetch", "quantize", "quantize_mixed"]  # fmt: skip


def quantize(
    model: onnx.ModelProto | str | pathlib.Path,
    batches: Data = (),
    progress: Callable[[str], None] | None = None,
    **options: Any,
) -> onnx.ModelProto:
    """The quantized model. `batches` gives dicts of arrays, lists of them, or
    arrays; or it is a function that does, or the path of a folder or file of
    arrays, as the command reads it; two are in memory. `options` are those of
    `Options`. `progress` is called with a line to show about once a second."""
    quantizer = _start(model, options)
    calibrate(quantizer, _open(batches, quantizer), progress=progress)
    told = len(quantizer.notes)
    made = quantizer.finish()
    for note in quantizer.notes[told:] if progress else []:
        progress(note)
    return made


def quantize_mixed(
    model: onnx.ModelProto | str | pathlib.Path,
    batches: Data,
    budget: Budget,
    progress: Callable[[str], None] | None = None,
    validation: Data | None = None,
    **options: Any,
) -> tuple[onnx.ModelProto, Report]:
    """The quantized model with those layers in float that the budget needs, and
    what is known of each layer. The budget is kept on the data `validation`, too."""
    quantizer = _start(model, options, bodies=False)
    batches, validation = _open(batches, quantizer), _open(validation, quantizer)
    calibrate(quantizer, batches, progress=progress)
    return search(quantizer, batches, budget, progress, validation)


def _open(data: Data | None, quantizer: Quantizer) -> Data | None:
    return open_files(pathlib.Path(data), quantizer.graph) if isinstance(data, (str, pathlib.Path)) else data


def _start(
    model: onnx.ModelProto | str | pathlib.Path, options: dict[str, Any], bodies: bool = True
) -> Quantizer:
    if not isinstance(model, onnx.ModelProto):
        model = onnx.load(model)
    return Quantizer(model, Options(**options), bodies)
