"""Quantizes a model: writes one with QuantizeLinear and DequantizeLinear that
any engine runs.

usage: dlc quantize model.onnx --calibrate=DIR|file.npz -o model.int8.onnx

Runs the compiled model on the calibration data, sees what values its tensors
take, and puts a pair around every operator that has an integer form; weights
get a scale for each channel, biases the product of both. Interrupted, it keeps
what it has seen beside the output, and goes on from there when called again.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import pathlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
import onnx.version_converter
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc.calibration import METHODS, Batches, Histogram

OPSET = 13  # the first with a scale for each channel
# Operators whose integer form dlc and other engines have, and whether the
# second input may be weights; by the axis of the channels of these.
PRODUCTS = {"Conv": 0, "ConvTranspose": 1, "Gemm": 0, "MatMul": -1}
OTHERS = ("Add", "Mul", "Concat", "AveragePool", "GlobalAveragePool", "Resize", "Sigmoid",
          "HardSwish", "HardSigmoid", "LeakyRelu", "ReduceMean")  # fmt: skip
# The result has the operand's numbers, and so its scale.
MOVES = ("MaxPool", "Reshape", "Flatten", "Transpose", "Squeeze", "Unsqueeze", "Slice",
         "GlobalMaxPool", "DepthToSpace", "SpaceToDepth")  # fmt: skip
BOUNDS = ("Relu", "Clip")


@dataclasses.dataclass(frozen=True)
class Options:
    method: str = "minmax"
    activations: str = "uint8"
    """uint8 or int8."""
    symmetric: bool = False
    """Zero points of activations are 0 (128 of uint8)."""
    per_channel: bool = True
    weights_only: bool = False

    def __post_init__(self) -> None:
        if self.method not in METHODS:
            raise ValueError(f"expected a method of {', '.join(METHODS)}, found '{self.method}'")
        if self.activations not in ("uint8", "int8"):
            raise ValueError(f"expected uint8 or int8 activations, found '{self.activations}'")


class Quantizer:
    """One model on its way. `observe` sees batches, `finish` writes the pairs."""

    def __init__(self, model: onnx.ModelProto, options: Options = Options()) -> None:
        self.options = options
        self.model = onnx.ModelProto()
        self.model.CopyFrom(model)
        main = next((o.version for o in model.opset_import if o.domain in ("", "ai.onnx")), 0)
        if main < OPSET:
            self.model = onnx.version_converter.convert_version(self.model, OPSET)
        fold_batch_norms(self.model)
        graph = self.model.graph
        self.constants = {c.name: c for c in graph.initializer}
        self.readers: dict[str, list[onnx.NodeProto]] = {}
        for node in graph.node:
            for name in node.input:
                self.readers.setdefault(name, []).append(node)
        self.results = {o.name for o in graph.output}
        self.inputs = [i.name for i in graph.input if i.name not in self.constants]
        self.shared: dict[str, str] = {}
        """A tensor with the scale of another one."""
        self.histograms = {name: Histogram() for name in self._choose_tensors()}
        self._compiled: dlc.Model | None = None

    def _is_real(self, name: str) -> bool:
        return self._types.get(name) == TensorProto.FLOAT

    def _choose_tensors(self) -> list[str]:
        if self.options.weights_only:
            return []
        inferred = onnx.shape_inference.infer_shapes(self.model).graph
        self._types = {v.name: v.type.tensor_type.elem_type
                       for v in (*inferred.input, *inferred.output, *inferred.value_info)}  # fmt: skip
        chosen: dict[str, None] = {}
        for node in self.model.graph.node:
            if node.op_type in PRODUCTS or node.op_type in OTHERS:
                names = node.input[:2] if node.op_type in PRODUCTS else node.input
                if node.op_type == "Resize":
                    names = node.input[:1]
                for name in names:
                    if name not in self.constants and self._is_real(name):
                        chosen[name] = None
            elif node.op_type not in (*MOVES, *BOUNDS) or not node.input:
                continue
            result = node.output[0]
            if node.op_type in MOVES and node.input[0] in {*chosen, *self.shared}:
                self.shared[result] = self.shared.get(node.input[0], node.input[0])
                continue
            # A bound is a part of the operator before it.
            following = self.readers.get(result, [])
            isBounded = len(following) == 1 and following[0].op_type in BOUNDS
            isResult = result in self.results
            if not isBounded and not isResult and following and self._is_real(result):
                if node.op_type not in BOUNDS or node.input[0] not in chosen:
                    chosen[result] = None
        return [name for name in chosen if name not in self.shared]

    def _compile(self) -> dlc.Model:
        """The model with what is to be seen of each tensor as outputs."""
        model = onnx.ModelProto()
        model.CopyFrom(self.model)
        del model.graph.output[:]
        for i, name in enumerate(self.histograms):
            outputs = [f"low {i}", f"high {i}"]
            for operator, output in zip(("ReduceMin", "ReduceMax"), outputs):
                model.graph.node.append(helper.make_node(operator, [name], [output], keepdims=0))
            if self.options.method != "minmax":
                model.graph.node.append(helper.make_node("Identity", [name], [f"all {i}"]))
                outputs.append(f"all {i}")
            for output in outputs:
                model.graph.output.append(helper.make_empty_tensor_value_info(output))
        return dlc.compile(model, name="calibration")

    def observe(self, batch: Mapping[str, Any]) -> None:
        """Sees one batch: an array for each input."""
        if not self.histograms:
            return
        if self._compiled is None:
            self._compiled = self._compile()
        found = self._compiled.run({name: batch[name] for name in self.inputs})
        for i, (name, histogram) in enumerate(self.histograms.items()):
            low, high = float(found[f"low {i}"]), float(found[f"high {i}"])
            if not np.isfinite(low) or not np.isfinite(high):
                raise ValueError(f"tensor '{name}' has values that are not finite: {low}, {high}")
            histogram.add(low, high, found.get(f"all {i}"))

    def finish(self) -> onnx.ModelProto:
        """The quantized model."""
        return _Rewriter(self).run()


class _Rewriter:
    """Puts pairs into the graph of a quantizer."""

    def __init__(self, quantizer: Quantizer) -> None:
        self.q, self.options = quantizer, quantizer.options
        self.graph = quantizer.model.graph
        self.nodes: list[onnx.NodeProto] = []
        self.scales: dict[str, np.float32] = {}  # of activations
        self.replaced: dict[str, str] = {}
        self.weights: dict[tuple[str, int], tuple[str, np.ndarray]] = {}
        self.used = {n for node in self.graph.node for n in (*node.input, *node.output)}
        self.used |= {*self.q.constants, *self.q.inputs}

    def name(self, stem: str) -> str:
        name, count = stem, 1
        while name in self.used:
            count += 1
            name = f"{stem}_{count}"
        self.used.add(name)
        return name

    def constant(self, stem: str, value: np.ndarray) -> str:
        name = self.name(stem)
        self.graph.initializer.append(numpy_helper.from_array(value, name))
        return name

    def run(self) -> onnx.ModelProto:
        nodes = list(self.graph.node)
        parameters = {name: self._find_parameters(name) for name in self.q.histograms}
        for name in self.q.inputs:
            self._add_pair(name, parameters)
        for node in nodes:
            self.nodes.append(node)
            if node.op_type in PRODUCTS and len(node.input) > 1:
                self._quantize_weights(node)
            for i, name in enumerate(node.input):
                node.input[i] = self.replaced.get(name, name)
            for name in node.output:
                self._add_pair(name, parameters)
        del self.graph.node[:]
        self.graph.node.extend(self.nodes)
        needed = {n for node in self.graph.node for n in node.input} | self.q.results
        kept = [c for c in self.graph.initializer if c.name in needed]
        del self.graph.initializer[:]
        self.graph.initializer.extend(kept)
        onnx.checker.check_model(self.q.model)
        return self.q.model

    def _find_parameters(self, name: str) -> tuple[str, str, np.float32]:
        options = self.options
        dtype = np.dtype(options.activations)
        info = np.iinfo(dtype)
        histogram = self.q.histograms[name]
        if histogram.low > histogram.high:
            raise ValueError(f"no batch showed the values of tensor '{name}'")
        low, high = histogram.find_range(options.method, 256, options.symmetric)
        if options.symmetric:
            scale, zero = max(-low, high) / 127, 0 if info.min else 128
        else:
            scale = (high - low) / 255
            zero = int(np.rint(info.min - low / scale)) if scale else info.min
        scale = np.float32(scale) or np.float32(1)
        return (self.constant(name + "_scale", np.asarray(scale, np.float32)),
                self.constant(name + "_zero", np.asarray(zero, dtype)), scale)  # fmt: skip

    def _add_pair(self, name: str, parameters: Mapping[str, Any]) -> None:
        found = parameters.get(self.q.shared.get(name, name))
        if found is None or name in self.q.results:
            return
        scale, zero, value = found
        whole, real = self.name(name + "_quantized"), self.name(name + "_dequantized")
        self.nodes += [helper.make_node("QuantizeLinear", [name, scale, zero], [whole], whole),
                       helper.make_node("DequantizeLinear", [whole, scale, zero], [real], real)]  # fmt: skip
        self.replaced[name] = real
        self.scales[real] = value

    def _quantize_weights(self, node: onnx.NodeProto) -> None:
        name = node.input[1]
        constant = self.q.constants.get(name)
        if constant is None or constant.data_type != TensorProto.FLOAT:
            return
        values = numpy_helper.to_array(constant)
        if values.ndim < 2 or not np.isfinite(values).all():
            return
        axis = PRODUCTS[node.op_type] % values.ndim
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        if node.op_type == "Gemm" and not attributes.get("transB", 0):
            axis = 1
        isGrouped = node.op_type == "ConvTranspose" and attributes.get("group", 1) > 1
        perChannel = self.options.per_channel and not isGrouped
        if (name, axis) not in self.weights:
            self.weights[name, axis] = self._store_weights(name, values, axis, perChannel)
        real, scale = self.weights[name, axis]
        self.nodes.insert(len(self.nodes) - 1, self._dequantize(real, axis))
        # One DequantizeLinear for each node: engines fuse those of one reader.
        node.input[1] = self.nodes[-2].output[0]
        x = self.replaced.get(node.input[0])
        isScaled = node.op_type == "Gemm" and (
            attributes.get("alpha", 1.0) != 1 or attributes.get("beta", 1.0) != 1
        )
        if x is not None and len(node.input) > 2 and node.input[2] and not isScaled:
            self._quantize_bias(node, self.scales[x] * scale)

    def _store_weights(
        self, name: str, values: np.ndarray, axis: int, perChannel: bool
    ) -> tuple[str, np.ndarray]:
        others = tuple(i for i in range(values.ndim) if i != axis)
        largest = np.abs(values).max(others if perChannel else None)
        scale = np.asarray(np.where(largest > 0, largest / np.float32(127), 1), np.float32)
        shape = [1] * values.ndim
        if perChannel:
            shape[axis] = -1
        whole = np.clip(np.rint(values / scale.reshape(shape)), -127, 127).astype(np.int8)
        stored = self.constant(name + "_quantized", whole)
        self.constant(stored + "_scale", scale)
        self.constant(stored + "_zero", np.zeros(scale.shape, np.int8))
        return stored, scale

    def _dequantize(self, stored: str, axis: int) -> onnx.NodeProto:
        real = self.name(stored + "_dequantized")
        inputs = [stored, stored + "_scale", stored + "_zero"]
        return helper.make_node("DequantizeLinear", inputs, [real], real, axis=axis)

    def _quantize_bias(self, node: onnx.NodeProto, scale: np.ndarray) -> None:
        constant = self.q.constants.get(node.input[2])
        if constant is None or constant.data_type != TensorProto.FLOAT:
            return
        values = numpy_helper.to_array(constant)
        whole = np.rint(values.astype(np.float64) / scale)
        if values.ndim != 1 or np.abs(whole).max(initial=0) >= 2**31:
            return
        stored = self.constant(node.input[2] + "_quantized", whole.astype(np.int32))
        self.constant(stored + "_scale", np.asarray(scale, np.float32))
        self.constant(stored + "_zero", np.zeros(np.shape(scale), np.int32))
        self.nodes.insert(len(self.nodes) - 1, self._dequantize(stored, 0))
        node.input[2] = self.nodes[-2].output[0]


def fold_batch_norms(model: onnx.ModelProto) -> None:
    """Conv, then BatchNormalization of constants -> Conv."""
    graph = model.graph
    constants = {c.name: c for c in graph.initializer}
    readers: dict[str, int] = {}
    for name in (n for node in graph.node for n in node.input):
        readers[name] = readers.get(name, 0) + 1
    producers = {o: node for node in graph.node for o in node.output}
    results = {o.name for o in graph.output}
    for norm in [n for n in graph.node if n.op_type == "BatchNormalization"]:
        conv = producers.get(norm.input[0])
        if (conv is None or conv.op_type != "Conv" or readers[norm.input[0]] != 1
                or norm.input[0] in results or len(norm.output) != 1
                or any(n not in constants for n in (*norm.input[1:], *conv.input[1:]))):  # fmt: skip
            continue
        epsilon = next((a.f for a in norm.attribute if a.name == "epsilon"), 1e-5)
        gamma, beta, mean, variance = (
            numpy_helper.to_array(constants[n]).astype(np.float64) for n in norm.input[1:]
        )
        weights = numpy_helper.to_array(constants[conv.input[1]])
        bias = numpy_helper.to_array(constants[conv.input[2]]) if len(conv.input) > 2 else 0.0
        factor = gamma / np.sqrt(variance + epsilon)
        column = factor.reshape(-1, *[1] * (weights.ndim - 1))
        folded = {"weights": weights * column, "bias": (bias - mean) * factor + beta}
        names = [f"{norm.output[0]}_{part}" for part in folded]
        for name, value in zip(names, folded.values()):
            graph.initializer.append(numpy_helper.from_array(value.astype(weights.dtype), name))
        conv.input[:] = [conv.input[0], *names]
        conv.output[0] = norm.output[0]
        graph.node.remove(norm)


def quantize(
    model: onnx.ModelProto | str | pathlib.Path,
    batches: Iterable[Mapping[str, Any]] = (),
    **options: Any,
) -> onnx.ModelProto:
    """The quantized model; `batches` are dicts of arrays, `options` those of
    `Options`. One batch at a time is held."""
    if not isinstance(model, onnx.ModelProto):
        model = onnx.load(model)
    quantizer = Quantizer(model, Options(**options))
    for batch in batches:
        quantizer.observe(batch)
    return quantizer.finish()


#===----------------------------------------------------------------------===#
# The command
#===----------------------------------------------------------------------===#


class State:
    """What an interrupted calibration has seen, beside the output."""

    def __init__(self, output: pathlib.Path, fingerprint: str) -> None:
        self.path = output.with_name(output.name + ".calibration.npz")
        self.fingerprint = fingerprint

    def load(self, quantizer: Quantizer) -> int:
        """How many batches were seen; 0 where the state is of something else."""
        if not self.path.exists():
            return 0
        with np.load(self.path, allow_pickle=False) as saved:
            if str(saved["fingerprint"]) != self.fingerprint:
                return 0
            for i, histogram in enumerate(quantizer.histograms.values()):
                histogram.low, histogram.high, histogram.limit = map(float, saved["ranges"][i])
                histogram.counts = saved["counts"][i].astype(np.int64)
            return int(saved["batches"])

    def save(self, quantizer: Quantizer, batches: int) -> None:
        histograms = list(quantizer.histograms.values())
        part = self.path.with_suffix(".part")
        with open(part, "wb") as file:
            np.savez_compressed(
                file, fingerprint=self.fingerprint, batches=batches,
                ranges=np.array([[h.low, h.high, h.limit] for h in histograms]),
                counts=np.array([h.counts for h in histograms]),
            )  # fmt: skip
        part.replace(self.path)


def _check_batch(quantizer: Quantizer, batch: Mapping[str, np.ndarray], number: int) -> None:
    for info in quantizer.model.graph.input:
        if info.name not in batch:
            continue
        tensor = info.type.tensor_type
        expected = helper.tensor_dtype_to_np_dtype(tensor.elem_type)
        sizes = [d.dim_value if d.WhichOneof("value") == "dim_value" else None
                 for d in tensor.shape.dim]  # fmt: skip
        array = batch[info.name]
        fits = len(sizes) == array.ndim and all(
            size in (None, found) for size, found in zip(sizes, array.shape)
        )
        if array.dtype != expected or not fits:
            shape = "x".join("?" if s is None else str(s) for s in sizes)
            raise ValueError(
                f"expected '{info.name}' of {expected} {shape} in batch {number + 1}, found "
                f"{array.dtype} {'x'.join(map(str, array.shape))}"
            )


def _calibrate(quantizer: Quantizer, batches: Batches, state: State) -> None:
    done = first = state.load(quantizer)
    begin = shown = time.monotonic()
    source: Iterator[dict[str, np.ndarray]] = batches.read_from(first)
    try:
        for batch in source:
            _check_batch(quantizer, batch, done)
            quantizer.observe(batch)
            done += 1
            now = time.monotonic()
            if now - shown > 1 or done == len(batches):
                left = (now - begin) / (done - first) * (len(batches) - done)
                print(f"calibrating: {done} of {len(batches)} batches, {left:.0f} s left",
                      file=sys.stderr)  # fmt: skip
                shown = now
    except KeyboardInterrupt:
        state.save(quantizer, done)
        print(f"dlc: interrupted after {done} of {len(batches)} batches; the same command goes on "
              f"from '{state.path}'", file=sys.stderr)  # fmt: skip
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="dlc quantize", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("-o", dest="output", required=True, type=pathlib.Path)
    parser.add_argument("--calibrate", type=pathlib.Path, metavar="DIR|FILE",
                        help="a folder of npz or npy files, each a batch, or one whose first axis "
                        "is cut into batches")  # fmt: skip
    parser.add_argument("--method", choices=METHODS, default="minmax")
    parser.add_argument("--activations", choices=("uint8", "int8"), default="uint8")
    parser.add_argument("--symmetric", action="store_true", help="no zero points")
    parser.add_argument("--per-tensor", action="store_true", help="one scale for all channels")
    parser.add_argument("--weights-only", action="store_true", help="activations stay in float")
    parser.add_argument("--batches", type=int, help="use so many of the data")
    flags = parser.parse_args(arguments)
    try:
        options = Options(flags.method, flags.activations, flags.symmetric, not flags.per_tensor,
                          flags.weights_only)  # fmt: skip
        data = flags.model.read_bytes()
        quantizer = Quantizer(onnx.load(flags.model), options)
        if not flags.weights_only:
            if flags.calibrate is None:
                raise ValueError("expected --calibrate=DIR or a file, or --weights-only")
            first = next(i for i in quantizer.model.graph.input if i.name in quantizer.inputs)
            dims = first.type.tensor_type.shape.dim
            batch = dims[0].dim_value if dims else 1
            batches = Batches(flags.calibrate, quantizer.inputs, batch, flags.batches)
            key = json.dumps([dataclasses.asdict(options), str(flags.calibrate), flags.batches])
            state = State(flags.output, hashlib.sha256(data + key.encode()).hexdigest())
            _calibrate(quantizer, batches, state)
            state.path.unlink(missing_ok=True)
        onnx.save(quantizer.finish(), flags.output)
        return 0
    except KeyboardInterrupt:
        return 130
    except dlc.DlcError as error:
        print(error, file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"dlc: error: {error}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
