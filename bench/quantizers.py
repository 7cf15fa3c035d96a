"""What quantizers lose: dlc quantize, ONNX Runtime's and onnx-neural-compressor,
with the same calibration data and the same type of file (QDQ, uint8 activations,
int8 weights with a scale a channel), against the float network.

usage: bench/quantizers [--samples=N] [--with="OPTIONS of dlc quantize"]... [NAME...]
"""

from __future__ import annotations

import argparse
import pathlib
import resource
import shlex
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
import onnx.version_converter
import subjects
from engines import make_session
from realdata import REAL

import dlc
import dlc.quantize.command

BENCH = pathlib.Path(__file__).resolve().parent
NAMES = ("resnet50", "mobilenet_v2", "bert_base", "ppocr_det", "ppocr_rec", "magika")
OPSET = 13

Feeds = list[dict[str, np.ndarray]]


def make_feeds(name: str, count: int, seed: int) -> Feeds:
    """Real inputs of trained networks, random ones of those with random weights."""
    if name in REAL:
        return list(REAL[name](count, seed))
    subject = subjects.TABLE[name]
    inputs = subject.make_inputs(make_session(subject.find()).get_inputs(), subject.sizes[0])
    random = np.random.default_rng(seed)
    return [{key: random.permuted(x) if np.issubdtype(x.dtype, np.integer)
             else random.standard_normal(x.shape, np.float32) for key, x in inputs.items()}
            for _ in range(count)]  # fmt: skip


def prepare(name: str, feeds: Feeds, folder: pathlib.Path) -> pathlib.Path:
    """The float network of fixed shapes and an operator set with channels' scales."""
    model = onnx.load(subjects.TABLE[name].find())
    if model.opset_import[0].version < OPSET:
        model = onnx.version_converter.convert_version(model, OPSET)
    for info in model.graph.input:
        if info.name in feeds[0]:
            for dim, size in zip(info.type.tensor_type.shape.dim, feeds[0][info.name].shape):
                dim.dim_value = size
    path = folder / "float.onnx"
    onnx.save(model, path)
    return path


def quantize_by_dlc(options: str) -> Callable[[pathlib.Path, Feeds, pathlib.Path], None]:
    def run(source: pathlib.Path, feeds: Feeds, output: pathlib.Path) -> None:
        data = output.with_suffix(".data")
        data.mkdir()
        for i, feed in enumerate(feeds):
            np.savez(data / f"{i:04}.npz", **feed)
        arguments = [str(source), f"--calibrate={data}", "-o", str(output), *shlex.split(options)]
        if dlc.quantize.command.main(arguments):
            raise RuntimeError("dlc quantize failed")

    return run


def quantize_by_ort(source: pathlib.Path, feeds: Feeds, output: pathlib.Path) -> None:
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        left = iter(feeds)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    prepared = output.with_suffix(".prepared.onnx")
    q.shape_inference.quant_pre_process(str(source), str(prepared), skip_symbolic_shape=True)
    q.quantize_static(str(prepared), str(output), Reader(), quant_format=q.QuantFormat.QDQ, per_channel=True,
                      activation_type=q.QuantType.QUInt8, weight_type=q.QuantType.QInt8)  # fmt: skip


def quantize_by_compressor(source: pathlib.Path, feeds: Feeds, output: pathlib.Path) -> None:
    folder = subjects.networks.CACHE / "compressor-venv"
    listed = BENCH / "quantizers-requirements.txt"
    mark = folder / "installed.txt"
    if not mark.exists() or mark.read_text() != listed.read_text():
        venv.create(folder, with_pip=True, clear=True)
        subprocess.run([folder / "bin/pip", "install", "-q", "--no-deps", "-r", listed], check=True)
        mark.write_text(listed.read_text())
    data = output.with_suffix(".npz")
    np.savez(data, **{name: np.stack([feed[name] for feed in feeds]) for name in feeds[0]})
    command = [folder / "bin/python", BENCH / "neural_compressor.py", source, data, output]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode:
        raise RuntimeError(" | ".join(done.stdout.strip().splitlines()[-3:]))


def find_sqnr(expected: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> float:
    """In dB, of all outputs that are floats together, each by its own size."""
    ratios = []
    for output in range(len(expected[0])):
        exact = np.concatenate([x[output].reshape(-1) for x in expected]).astype(np.float64)
        noisy = np.concatenate([x[output].reshape(-1) for x in found]).astype(np.float64)
        ratios.append(10 * np.log10((exact**2).sum() / max(((noisy - exact) ** 2).sum(), 1e-300)))
    return float(min(ratios))


def find_agreement(expected: list[list[np.ndarray]], found: list[list[np.ndarray]]) -> float:
    """The share of rows of the first output with the largest number in the same place."""
    same = [a[0].argmax(-1) == b[0].argmax(-1) for a, b in zip(expected, found)]
    return float(np.mean([s.mean() for s in same]))


def run_ort(path: pathlib.Path, feeds: Feeds) -> list[list[np.ndarray]]:
    session = make_session(path, threads=2)
    return [session.run(None, feed) for feed in feeds]


def run_dlc(path: pathlib.Path, feeds: Feeds) -> list[list[np.ndarray]]:
    model = dlc.compile(path)
    return [model.run([feed[info.name] for info in model.inputs]) for feed in feeds]


def compare(name: str, samples: int, variants: Sequence[str]) -> bool:
    """Prints a row a quantizer; whether dlc's first one loses the least."""
    calibration, feeds = make_feeds(name, samples, 1), make_feeds(name, samples, 2)
    quantizers = {f"dlc {options}".strip(): quantize_by_dlc(options) for options in variants}
    quantizers |= {"ONNX Runtime": quantize_by_ort, "neural-compressor": quantize_by_compressor}
    ratios = {}
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        source = prepare(name, calibration, folder)
        expected = run_ort(source, feeds)
        for i, (label, quantizer) in enumerate(quantizers.items()):
            output = folder / f"{i}.onnx"
            begin = time.monotonic()
            try:
                quantizer(source, calibration, output)
            except Exception as error:  # noqa: BLE001 - another program's, to be shown
                print(f"{name:14}  {label:40}  failed: {str(error)[-160:]}", flush=True)
                continue
            seconds = time.monotonic() - begin
            found, ours = run_ort(output, feeds), run_dlc(output, feeds)
            ratios[label] = find_sqnr(expected, found)
            print(f"{name:14}  {label:40}  {ratios[label]:8.2f}  {find_sqnr(expected, ours):8.2f}  "
                  f"{find_agreement(expected, found):7.2%}  {seconds:7.1f}", flush=True)  # fmt: skip
    first = next(iter(quantizers))
    return first in ratios and ratios[first] >= max(ratios.values()) - 0.05


def make_stream(name: str, samples: int) -> Iterator[dict[str, np.ndarray]]:
    """One after the other, so that the data take no memory of note."""
    (first,) = make_feeds(name, 1, 0)
    random = np.random.default_rng(0)
    for _ in range(samples):
        yield {key: random.permuted(x) if np.issubdtype(x.dtype, np.integer)
               else random.standard_normal(x.shape, np.float32) for key, x in first.items()}  # fmt: skip


def calibrate_by(engine: str, name: str, samples: int) -> None:
    """In this process: the seconds of the clock and of the processor, the peak of memory."""
    from onnxruntime.quantization.calibrate import CalibrationDataReader, CalibrationMethod, create_calibrator

    from dlc import quantize

    class Reader(CalibrationDataReader):
        left = make_stream(name, samples)

        def get_next(self) -> dict[str, np.ndarray] | None:
            return next(self.left, None)

    with tempfile.TemporaryDirectory() as folder:
        source = prepare(name, make_feeds(name, 1, 0), pathlib.Path(folder))
        begin, processor = time.monotonic(), time.process_time()
        if engine == "dlc":
            quantizer = quantize.Quantizer(onnx.load(source))
            for batch in quantize.prefetch(make_stream(name, samples)):
                quantizer.observe(batch)
            quantizer.end_pass()
        else:
            augmented = str(pathlib.Path(folder, "augmented.onnx"))
            calibrator = create_calibrator(source, None, augmented, calibrate_method=CalibrationMethod.MinMax)
            calibrator.collect_data(Reader())
            calibrator.compute_data()
        seconds, spent = time.monotonic() - begin, time.process_time() - processor
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"{name:14}  {engine:14}  {samples} samples  {seconds:7.1f} s  {spent:7.1f} s of processors  "
          f"{peak:6.0f} MB at most", flush=True)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/quantizers", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"networks; without one {', '.join(NAMES)}")
    parser.add_argument("--samples", type=int, default=16, help="for the calibration, and as many others to look at")
    parser.add_argument("--with", dest="variants", action="append", default=[], metavar="OPTIONS",
                        help="of dlc quantize, a row for each")  # fmt: skip
    parser.add_argument("--calibration", action="store_true", help="measure the calibration alone, of --samples")
    parser.add_argument("--by", choices=("dlc", "ORT"), help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.by:
        calibrate_by(options.by, options.names[0], options.samples)
        return 0
    if options.calibration:
        for name in options.names or ["resnet50"]:
            for engine in ("dlc", "ORT"):
                # A process for each, for its memory.
                command = [sys.executable, __file__, f"--by={engine}", f"--samples={options.samples}", name]
                subprocess.run(command, check=True)
        return 0
    print("  ".join(["network".ljust(14), "quantizer".ljust(40), "SQNR, ORT", "dlc", "agree", "seconds"]))
    right = [compare(name, options.samples, ["", *options.variants]) for name in options.names or NAMES]
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
