"""Quantizes a model: writes one with QuantizeLinear and DequantizeLinear that
any engine runs, or an object.

usage: dlc quantize model.onnx --calibrate=DIR|file.npz -o model.int8.onnx

Runs the compiled model on the calibration data, sees what values its tensors
take, and puts a pair around every operator that has an integer form; weights
get a scale for each channel, biases the product of both. Interrupted, it keeps
what it has seen beside the output, and goes on from there when called again.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import hashlib
import json
import pathlib
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator, Sequence

import onnx
import onnx.shape_inference

import dlc
from dlc.quantize.checks import OBJECTS, check_compiling, check_flags, compile_as_asked, open_files, read_labels
from dlc.quantize.calibrate import State, calibrate
from dlc.quantize.files import Batches
from dlc.quantize.graph import save_model
from dlc.quantize.mixed import Accuracy, Budget, search
from dlc.quantize.options import FORMATS, METHODS, ROUNDINGS, Options
from dlc.quantize.quantizer import Quantizer
from dlc.quantize.report import Report


def main(arguments: Sequence[str] | None = None) -> int:
    flags = _parse(arguments)
    try:
        with _ended_as_interrupted():
            _run(flags)
        return 0
    except KeyboardInterrupt:
        print("dlc: interrupted; the same command goes on from where it was", file=sys.stderr)
        return 130
    except dlc.DlcError as error:
        print(error, file=sys.stderr)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        print(f"dlc: error: {flags.model}: {str(error).strip().splitlines()[0]}", file=sys.stderr)
    except (ValueError, OSError) as error:
        print(f"dlc: error: {error}", file=sys.stderr)
    return 1


@contextlib.contextmanager
def _ended_as_interrupted() -> Iterator[None]:
    """Ended from outside, the command keeps what it has seen, as by Ctrl-C."""
    if threading.current_thread() is not threading.main_thread():
        yield  # others cannot change what signals do
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="dlc quantize", description=__doc__.split("\n\n")[0])
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("-o", dest="output", required=True, type=pathlib.Path, metavar="FILE",
                        help="model.int8.onnx, or model.o or model.so, compiled at once")  # fmt: skip
    data = parser.add_argument_group("data")
    data.add_argument("--calibrate", type=pathlib.Path, metavar="DIR|FILE",
                      help="a folder of npz or npy files, each a batch, or one whose first axis "
                      "is cut into batches")  # fmt: skip
    data.add_argument("--batches", type=int, help="use so many of the data")
    form = parser.add_argument_group("numbers")
    form.add_argument("--method", choices=METHODS, default="minmax", help="how ranges are found")
    form.add_argument("--activations", choices=("uint8", "int8"), default="uint8")
    form.add_argument("--symmetric", action="store_true", help="no zero points")
    form.add_argument("--per-tensor", action="store_true", help="one scale for all channels")
    form.add_argument("--weights-only", action="store_true", help="activations stay in float")
    form.add_argument("--bits", type=int, choices=(4, 8), default=8, help="of weights")
    form.add_argument("--block", type=int, default=0, help="so many weights share a scale; 32 with nbits")
    form.add_argument("--format", choices=FORMATS, default="qdq",
                      help="nbits: MatMulNBits of com.microsoft where it fits")  # fmt: skip
    better = parser.add_argument_group("accuracy")
    better.add_argument("--rounding", choices=ROUNDINGS, default="nearest", help="of weights")
    better.add_argument("--equalize", action="store_true", help="the channels between convolutions")
    better.add_argument("--smooth", type=float, nargs="?", const=0.5, metavar="EXPONENT",
                        help="move outliers of activations into weights (SmoothQuant)")  # fmt: skip
    better.add_argument("--correct-bias", action="store_true", help="by what rounding changes in the mean")
    better.add_argument("--keep", action="append", default=[], metavar="NODE", help="stays in float")
    mixed = parser.add_argument_group("budget")
    mixed.add_argument("--min-sqnr", type=_decibels, metavar="DB", help="30dB: at the worst output")
    mixed.add_argument("--max-drop", type=_share, metavar="SHARE", help="1%%: of the accuracy on --labels")
    mixed.add_argument("--labels", type=pathlib.Path, metavar="FILE",
                       help="a label for each sample of the data (of --validate where given): npy, or text with one a line")  # fmt: skip
    mixed.add_argument("--validate", type=pathlib.Path, metavar="DIR|FILE",
                       help="other data, on which the budget is checked; --labels are those of its samples")  # fmt: skip
    mixed.add_argument("--look-at", type=int, default=4, metavar="N", help="so many batches for each layer")
    mixed.add_argument("--no-times", action="store_true", help="do not measure layers")
    mixed.add_argument("--report", type=pathlib.Path, metavar="FILE", help="the table as .json or text")
    mixed.add_argument("--svg", type=pathlib.Path, metavar="FILE", help="the table as a picture")
    target = parser.add_argument_group("an object")
    target.add_argument("-target", "--target", help="as of dlc")
    target.add_argument("-mcpu", "--mcpu", help="as of dlc")
    target.add_argument("-mattr", "--mattr", help="as of dlc")
    target.add_argument("--threads", type=int, help="as of dlc")
    target.add_argument("--name", help="as of dlc")
    return parser.parse_args(arguments)


def _decibels(text: str) -> float:
    return _read_number(text, text[:-2] if text.lower().endswith("db") else text, "30dB")


def _share(text: str) -> float:
    if text.endswith("%"):
        return _read_number(text, text[:-1], "1%") / 100
    share = _read_number(text, text, "1%")
    if share >= 1:
        # One who writes 1 does not mean all of it.
        raise argparse.ArgumentTypeError(f"expected such as 1% or 0.01, found '{text}'")
    return share


def _read_number(text: str, number: str, example: str) -> float:
    try:
        return float(number)
    except ValueError:
        raise argparse.ArgumentTypeError(f"expected such as {example}, found '{text}'") from None


def _run(flags: argparse.Namespace) -> None:
    check_flags(flags)
    budget = flags.min_sqnr is not None or flags.max_drop is not None
    options = Options(
        method=flags.method, activations=flags.activations, symmetric=flags.symmetric,
        per_channel=not flags.per_tensor, weights_only=flags.weights_only, weight_bits=flags.bits,
        block=flags.block, format=flags.format, rounding=flags.rounding, equalize=flags.equalize,
        smooth=flags.smooth, correct_bias=flags.correct_bias, keep=tuple(flags.keep),
    )  # fmt: skip
    if options.needs_data and flags.calibrate is None:
        without = "--weights-only, which needs none but for --rounding and --correct-bias"
        raise ValueError(f"expected --calibrate=DIR or a file, or {without}")
    check_compiling(flags)
    model = _load(flags.model)
    quantizer = Quantizer(model, options, bodies=not budget)
    del model  # the quantizer has a copy
    for warning in quantizer.warnings:
        _say(f"dlc: warning: {flags.model}: {warning}")
    for note in quantizer.notes:
        _say(note)
    if not options.needs_data:
        _write(quantizer.finish(), flags)
        return
    batches = _open(flags.calibrate, quantizer, flags.batches)
    validation = _open(flags.validate, quantizer, None) if flags.validate else None
    limits = _make_budget(flags, quantizer, validation or batches) if budget else None
    key = json.dumps([dataclasses.asdict(options), str(flags.calibrate), flags.batches,
                      batches.describe()])
    state = State(flags.output, _hash(flags.model, key))
    calibrate(quantizer, batches, state, _say)
    if limits:
        try:
            made, report = search(quantizer, batches, limits, _say, validation)
        except KeyboardInterrupt:
            state.save(quantizer)
            raise
        _show(report, flags)
    else:
        told = len(quantizer.notes)
        made = quantizer.finish()
        for note in quantizer.notes[told:]:
            _say(note)
    _write(made, flags)
    state.path.unlink(missing_ok=True)


def _hash(path: pathlib.Path, key: str) -> str:
    made = hashlib.sha256(key.encode())
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            made.update(part)
    return made.hexdigest()


def _open(path: pathlib.Path, quantizer: Quantizer, limit: int | None) -> Batches:
    return open_files(path, quantizer.graph, limit)


def _load(path: pathlib.Path) -> onnx.ModelProto:
    from google.protobuf.message import DecodeError

    try:
        return onnx.load(path)
    except DecodeError:
        raise ValueError(f"expected an ONNX model, found '{path}'") from None


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _make_budget(flags: argparse.Namespace, quantizer: Quantizer, batches: Batches) -> Budget:
    metric = None
    if flags.labels is not None:
        metric = Accuracy(batches, quantizer.inputs, read_labels(flags.labels, batches, quantizer.graph))
    return Budget(flags.min_sqnr, flags.max_drop, metric, flags.look_at, not flags.no_times)


def _show(report: Report, flags: argparse.Namespace) -> None:
    print(report.to_text())
    if flags.report:
        text = report.to_json() if flags.report.suffix == ".json" else report.to_text()
        flags.report.write_text(text + "\n")
    if flags.svg:
        flags.svg.write_text(report.to_svg())


def _write(model: onnx.ModelProto, flags: argparse.Namespace) -> None:
    if flags.output.suffix not in OBJECTS:
        save_model(model, flags.output)
        return
    with tempfile.TemporaryDirectory() as folder:
        # The object is named after the output, as dlc does it after the model.
        path = pathlib.Path(folder, flags.output.stem + ".onnx")
        save_model(model, path)
        compile_as_asked(path, flags.output, flags)
