"""Quantizes with onnx-neural-compressor, in the environment that has it.

usage: neural_compressor.py model.onnx data.npz output.onnx
"""

import sys

import numpy as np
from onnx_neural_compressor import data_reader
from onnx_neural_compressor.quantization import QuantFormat, QuantType, config, quantize


class Reader(data_reader.CalibrationDataReader):
    def __init__(self, arrays):
        self.arrays = arrays
        self.rewind()

    def rewind(self):
        count = len(next(iter(self.arrays.values())))
        self.left = iter([{name: x[i] for name, x in self.arrays.items()} for i in range(count)])

    def get_next(self):
        return next(self.left, None)


model, data, output = sys.argv[1:]
quantize(model, output, config.StaticQuantConfig(
    calibration_data_reader=Reader(dict(np.load(data))), quant_format=QuantFormat.QDQ,
    activation_type=QuantType.QUInt8, weight_type=QuantType.QInt8, per_channel=True,
))  # fmt: skip
