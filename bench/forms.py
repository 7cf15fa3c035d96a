"""8-bit files of networks, made by ONNX Runtime's quantizer and kept."""

from __future__ import annotations

import pathlib
import tempfile

import numpy as np
import onnx
import onnx.version_converter
import subjects
from engines import make_session

FORMS = ("qdq-u8s8-channel", "qdq-s8s8-channel", "qdq-u8s8-tensor", "qoperator-u8s8-channel",
         "qoperator-s8s8-tensor")  # fmt: skip
"""The container, the types of activations and weights, and for what there is a scale."""

CALIBRATION = 2  # random inputs
OPSET = 13  # of the quantized files, at least


def make_quantized(subject: subjects.Subject, form: str) -> pathlib.Path:
    """The path of a quantized network; makes it if it is not there."""
    from onnxruntime import quantization as q

    source = subject.find()
    path = subjects.networks.CACHE / "quantized" / f"{source.stem}-{form}.onnx"
    if path.exists():
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    container, types, scales = form.split("-")

    class Reader(q.CalibrationDataReader):
        def __init__(self) -> None:
            infos = make_session(source).get_inputs()
            inputs = subject.make_inputs(infos, subject.sizes[0])
            random = np.random.default_rng(1)
            self.left = [
                {
                    name: random.integers(0, subject.limits[name], x.shape, x.dtype)
                    if name in subject.limits
                    else random.standard_normal(x.shape, np.float32)
                    for name, x in inputs.items()
                }
                for _ in range(CALIBRATION)
            ]

        def get_next(self) -> dict[str, np.ndarray] | None:
            return self.left.pop() if self.left else None

    with tempfile.TemporaryDirectory() as folder:
        prepared = pathlib.Path(folder) / "prepared.onnx"
        # Scales of channels came with opset 13.
        model = onnx.load(source)
        if model.opset_import[0].version < OPSET:
            model = onnx.version_converter.convert_version(model, OPSET)
        q.shape_inference.quant_pre_process(model, str(prepared), skip_symbolic_shape=True)
        made = path.with_suffix(".part")
        q.quantize_static(
            str(prepared), str(made), Reader(),
            quant_format=q.QuantFormat.QDQ if container == "qdq" else q.QuantFormat.QOperator,
            activation_type=q.QuantType.QUInt8 if types[:2] == "u8" else q.QuantType.QInt8,
            weight_type=q.QuantType.QInt8, per_channel=scales == "channel",
        )  # fmt: skip
        made.rename(path)
    return path
