"""dlc quantize: what it writes is standard, loses no more than ONNX Runtime's
quantizer, can be interrupted, and says what is wrong with its data."""

import os
import pathlib
import re
import signal
import subprocess

import dlc
import numpy as np
import onnx
import pytest
from dlc import quantize
from dlc.quantize import ranges
from onnx import TensorProto, numpy_helper
from quantize_network import find_ratio, make_batches, make_network, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))


def quantize_by_ort(model, batches, folder):
    from onnxruntime import quantization as q

    class Reader(q.CalibrationDataReader):
        left = list(batches)

        def get_next(self):
            return self.left.pop() if self.left else None

    onnx.save(model, folder / "float.onnx")
    q.shape_inference.quant_pre_process(str(folder / "float.onnx"), str(folder / "prepared.onnx"),
                                        skip_symbolic_shape=True)  # fmt: skip
    q.quantize_static(str(folder / "prepared.onnx"), str(folder / "ort.onnx"), Reader(),
                      per_channel=True, activation_type=q.QuantType.QUInt8,
                      weight_type=q.QuantType.QInt8)  # fmt: skip
    return onnx.load(folder / "ort.onnx")


def test_loses_no_more_than_ort(tmp_path):
    model, batches, feeds = make_network(), make_batches(8), make_batches(64, seed=5)
    expected = run(model, feeds)
    theirs = find_ratio(run(quantize_by_ort(model, batches, tmp_path), feeds), expected)
    ours = quantize.quantize(model, batches)
    assert find_ratio(run(ours, feeds), expected) >= theirs - 0.2
    # dlc runs it as ONNX Runtime does.
    compiled = dlc.compile(ours)
    found = np.concatenate([compiled.run([feed["x"]])[0] for feed in feeds])
    assert find_ratio(found, expected) >= theirs - 0.2


@pytest.mark.parametrize("options, least", [
    ({"method": "percentile"}, 25), ({"method": "mse"}, 25), ({"method": "entropy"}, 20),
    ({"activations": "int8"}, 25), ({"symmetric": True}, 20),
    ({"activations": "int8", "symmetric": True}, 20), ({"per_channel": False}, 20),
    ({"weights_only": True}, 35),
])  # fmt: skip
def test_options(options, least):
    model, feeds = make_network(), make_batches(32, seed=5)
    batches = [] if "weights_only" in options else make_batches(8)
    quantized = quantize.quantize(model, batches, **options)
    assert find_ratio(run(quantized, feeds), run(model, feeds)) >= least
    operators = [n.op_type for n in quantized.graph.node]
    assert "BatchNormalization" not in operators
    assert ("QuantizeLinear" in operators) != ("weights_only" in options)
    stored = [c for c in quantized.graph.initializer if c.data_type == TensorProto.INT8]
    scales = [numpy_helper.to_array(c).size for c in quantized.graph.initializer
              if c.name.endswith("quantized_scale")]  # fmt: skip
    assert len(stored) >= 4 and (max(scales) > 1) == options.get("per_channel", True)


def test_histogram_grows():
    """The counts are those of all values, in whatever order they come."""
    random = np.random.default_rng(1)
    values = [random.standard_normal(1000) * scale for scale in (0.01, 3, 0.5, 40)]
    histogram = ranges.Histogram()
    for part in values:
        histogram.add(part.min(), part.max(), part)
    every = np.concatenate(values)
    np.testing.assert_array_equal(
        histogram.counts, np.histogram(every, ranges.BINS, (-histogram.limit, histogram.limit))[0]
    )
    assert histogram.find_range("minmax", 256, False) == (every.min(), every.max())
    low, high = histogram.find_range("percentile", 256, False)
    assert every.min() <= low < np.percentile(every, 0.1) and high <= every.max()


def test_entropy_of_values_far_from_zero():
    """A range in which none of them lie tells nothing of them."""
    for values in (np.full(1000, 5.0), np.random.default_rng(1).normal(20, 0.5, 10000)):
        histogram = ranges.Histogram()
        histogram.add(values.min(), values.max(), values)
        assert histogram.find_range("entropy", 256, False)[1] >= 0.95 * np.median(values)


def test_batches_without_samples():
    """They say nothing of ranges, unlike values that are not finite."""
    model, batches = make_network(), make_batches(2)
    nothing = {"x": batches[0]["x"][:0]}
    expected = quantize.quantize(model, batches)
    assert quantize.quantize(model, [nothing, *batches]).SerializeToString() == expected.SerializeToString()
    with pytest.raises(ValueError, match="no batch showed the values of tensor 'x'"):
        quantize.quantize(model, [nothing])


@pytest.mark.parametrize("options", [{}, {"symmetric": True}, {"activations": "int8"}])
def test_values_of_next_to_nothing(options):
    """No scale is subnormal, which engines take for 0."""
    quantized = quantize.quantize(make_network(), [{"x": b["x"] * np.float32(1e-38)} for b in make_batches(2)], **options)
    scales = [numpy_helper.to_array(c) for c in quantized.graph.initializer if c.name.endswith("_scale")]
    assert min(s.min() for s in scales) > np.finfo(np.float32).tiny
    found = run(quantized, make_batches(2))
    assert np.isfinite(found).all()


def call(*arguments, **options):
    return subprocess.run([DLC, "quantize", *map(str, arguments)], capture_output=True, text=True,
                          timeout=240, **options)  # fmt: skip


def save_data(folder, batches):
    folder.mkdir()
    for i, batch in enumerate(batches):
        np.savez(folder / f"{i:04}.npz", **batch)
    return folder


@pytest.mark.parametrize("form", ["folder", "npz", "npy"])
def test_command(form, tmp_path):
    batches = make_batches(6)
    data = tmp_path / f"data.{form}"
    every = np.concatenate([b["x"] for b in batches])
    if form == "folder":
        save_data(data, batches)
    elif form == "npz":
        np.savez(data, x=every)
    else:
        np.save(data, every)
    model = make_network(batch=1)
    onnx.save(model, tmp_path / "model.onnx")
    done = call(tmp_path / "model.onnx", f"--calibrate={data}", "-o", tmp_path / "out.onnx")
    assert done.returncode == 0, done.stderr
    assert "calibrating: 6 of 6 batches, 0 s left" in done.stderr
    expected = quantize.quantize(model, batches)
    assert onnx.load(tmp_path / "out.onnx").SerializeToString() == expected.SerializeToString()
    assert not list(tmp_path.glob("*.calibration.npz"))


def test_resume(tmp_path):
    """What was seen before an interruption counts, and is not seen again."""
    model, batches = make_network(), make_batches(6)
    options = quantize.Options(method="mse")
    first = quantize.Quantizer(model, options)
    state = quantize.State(tmp_path / "out.onnx", "print")
    for batch in batches[:4]:
        first.observe(batch)
    state.save(first)
    second = quantize.Quantizer(model, options)
    assert quantize.State(tmp_path / "out.onnx", "another").load(second) == 0
    assert state.load(second) == second.batches == 4
    for batch in batches[4:]:
        second.observe(batch)
    expected = quantize.quantize(model, batches, method="mse")
    assert second.finish().SerializeToString() == expected.SerializeToString()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals(number, tmp_path):
    """End the command between two batches, and it goes on behind the last one."""
    onnx.save(make_network(batch=1), tmp_path / "model.onnx")
    # Zeros that take no place on the disk.
    np.lib.format.open_memmap(tmp_path / "data.npy", "w+", np.float32, (100000, 3, 16, 16))
    command = [DLC, "quantize", "model.onnx", "--calibrate=data.npy", "-o", "out.onnx", "--method=entropy"]
    process = subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, text=True)
    line = process.stderr.readline()  # about once a second
    process.send_signal(number)
    rest = process.communicate()[1]
    assert line.startswith("calibrating: ") and process.returncode == 130
    assert "dlc: interrupted; the same command goes on from where it was" in rest
    with np.load(tmp_path / "out.onnx.calibration.npz") as state:
        assert 0 < state["batches"] < 100000


@pytest.mark.parametrize("arrays, message", [
    ({"x": np.zeros((1, 3, 8, 16), np.float32)},
     "expected 'x' of float32 ?x3x16x16 in 'data/0000.npz', found float32 1x3x8x16"),
    ({"x": np.zeros((1, 3, 16, 16), np.float64)},
     "expected 'x' of float32 ?x3x16x16 in 'data/0000.npz', found float64 1x3x16x16"),
    ({"z": np.zeros((1, 3, 16, 16), np.float32)}, "expected an array 'x' in 'data/0000.npz', found z"),
    ({"x": np.full((1, 3, 16, 16), np.nan, np.float32)}, "'data/0000.npz': tensor 'x' has values that are not finite"),
    ({}, "expected npz or npy files in "),
])  # fmt: skip
def test_wrong_data(arrays, message, tmp_path):
    onnx.save(make_network(), tmp_path / "model.onnx")
    save_data(tmp_path / "data", [arrays] if arrays else [])
    done = call("model.onnx", "--calibrate=data", "-o", "out.onnx", cwd=tmp_path)
    assert done.returncode == 1 and re.search(r"dlc: error: .*" + re.escape(message), done.stderr)
    assert not (tmp_path / "out.onnx").exists()


def test_damaged_files(tmp_path):
    """Of data and of a state: their names, and nothing is written."""
    onnx.save(make_network(), tmp_path / "model.onnx")
    arguments = (tmp_path / "model.onnx", f"--calibrate={tmp_path / 'data.npz'}", "-o", tmp_path / "out.onnx")
    (tmp_path / "data.npz").write_bytes(b"PK no archive")
    done = call(*arguments)
    assert done.returncode == 1 and f"expected arrays in '{tmp_path / 'data.npz'}'" in done.stderr
    np.savez(tmp_path / "data.npz", **make_batches(1)[0])
    state = tmp_path / "out.onnx.calibration.npz"
    state.write_bytes(b"PK no archive")
    done = call(*arguments)
    message = f"expected what an interrupted calibration has seen in '{state}', found a damaged file or another one"
    assert done.returncode == 1 and message in done.stderr
    np.savez(state, other=1)
    done = call(*arguments)
    assert done.returncode == 1 and message in done.stderr
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.parametrize("version", [3, 8])
def test_initializers_that_are_inputs(version, tmp_path):
    """As all are before IR version 4: what becomes an integer is no input then."""
    model = make_network(batch=1)
    for constant in list(model.graph.initializer):
        model.graph.input.append(onnx.helper.make_tensor_value_info(
            constant.name, constant.data_type, constant.dims))  # fmt: skip
    model.ir_version = version
    if version == 3:
        del model.opset_import[:]
        model.opset_import.append(onnx.helper.make_opsetid("", 8))
        swish = next(n for n in model.graph.node if n.op_type == "HardSwish")
        swish.op_type = "Tanh"
    batches = make_batches(2)
    made = quantize.quantize(model, batches)
    wanted, found = run(model, batches), run(made, batches)
    assert find_ratio(wanted, found) > 15


def test_wrong_calls(tmp_path):
    onnx.save(make_network(), tmp_path / "model.onnx")
    done = call(tmp_path / "model.onnx", "-o", tmp_path / "out.onnx")
    assert done.returncode == 1 and "expected --calibrate=DIR or a file" in done.stderr
    done = call(tmp_path / "model.onnx", "--calibrate=none", "-o", tmp_path / "out.onnx")
    assert done.returncode == 1 and "expected a folder, an npz or an npy file, found 'none'" in done.stderr
    with pytest.raises(ValueError, match="expected a method of minmax, percentile, entropy, mse"):
        quantize.quantize(make_network(), method="best")
    with pytest.raises(ValueError, match="expected uint8 or int8 activations, found 'int4'"):
        quantize.quantize(make_network(), activations="int4")
    with pytest.raises(ValueError, match="no batch showed the values of tensor 'x'"):
        quantize.quantize(make_network())
