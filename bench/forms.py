"""8-bit files of networks, made by ONNX Runtime's quantizer or dlc's, and kept."""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
import onnx
import onnx.version_converter
import subjects
from engines import make_session

from dlc import quantize
from dlc.quantize.graph import Graph

FORMS = ("qdq-u8s8-channel", "qdq-s8s8-channel", "qdq-u8s8-tensor", "qoperator-u8s8-channel",
         "qoperator-s8s8-tensor")  # fmt: skip
"""The container, the types of activations and weights, and for what there is a scale."""
OWN_FORMS = ("dlc-u8s8-channel", "dlc-s8s8-channel")
"""QDQ files of dlc quantize."""

CALIBRATION = 2  # random inputs
OPSET = 13  # of the quantized files, at least


def make_quantized(subject: subjects.Subject, form: str) -> pathlib.Path:
    """The path of a quantized network; makes it if it is not there."""
    source = subject.find()
    path = subjects.networks.CACHE / "quantized" / f"{source.stem}-{form}.onnx"
    if path.exists() and form not in OWN_FORMS:
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    made = path.with_suffix(".part")
    if form in OWN_FORMS:
        kind = "uint8" if "u8s8" in form else "int8"
        onnx.save(quantize.quantize(source, _make_data(subject), activations=kind), made)
    else:
        _quantize_by_peer(source, _make_data(subject), form, made)
    made.rename(path)
    return path


def _make_data(subject: subjects.Subject) -> list[dict[str, np.ndarray]]:
    infos = make_session(subject.find()).get_inputs()
    inputs = subject.make_inputs(infos, subject.sizes[0])
    random = np.random.default_rng(1)
    return [
        {
            name: random.integers(0, subject.limits[name], x.shape, x.dtype)
            if name in subject.limits
            else random.standard_normal(x.shape, np.float32)
            for name, x in inputs.items()
        }
        for _ in range(CALIBRATION)
    ]


def _quantize_by_peer(
    source: pathlib.Path, data: list[dict[str, np.ndarray]], form: str, made: pathlib.Path
) -> None:
    from onnxruntime import quantization as q

    container, types, scales = form.split("-")

    class Reader(q.CalibrationDataReader):
        def get_next(self) -> dict[str, np.ndarray] | None:
            return data.pop() if data else None

    with tempfile.TemporaryDirectory() as folder:
        prepared = pathlib.Path(folder) / "prepared.onnx"
        # Scales of channels came with opset 13.
        model = onnx.load(source)
        if model.opset_import[0].version < OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        # In this form it looks for biases among initializers only, which its own
        # preparation does not make of all constants.
        isOperators = container == "qoperator"
        if isOperators:
            model = Graph(model).model
        q.shape_inference.quant_pre_process(model, str(prepared), skip_symbolic_shape=True,
                                            skip_optimization=isOperators)  # fmt: skip
        q.quantize_static(
            str(prepared), str(made), Reader(),
            quant_format=q.QuantFormat.QDQ if container == "qdq" else q.QuantFormat.QOperator,
            activation_type=q.QuantType.QUInt8 if types[:2] == "u8" else q.QuantType.QInt8,
            weight_type=q.QuantType.QInt8, per_channel=scales == "channel",
        )  # fmt: skip
