"""Budgets of dlc quantize: they are kept, by few layers in float, and the report
says why; and objects in one step."""

import json
import os
import pathlib
import subprocess
import xml.etree.ElementTree

import dlc
import numpy as np
import onnx
import pytest
from dlc import quantize
from dlc.quantize import mixed, report
from onnx import numpy_helper
from quantize_network import find_ratio, make_batches, make_network, run

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))


def make_hard():
    """The network with one layer that 8 bits are not enough for: a channel of
    weights that is far from the others in size, in front of a scale for all."""
    model = make_network(batch=1)
    weights = model.graph.node[3].input[1]
    constant = next(c for c in model.graph.initializer if c.name == weights)
    values = numpy_helper.to_array(constant).copy()
    values[0] *= 300
    constant.CopyFrom(numpy_helper.from_array(values, weights))
    return model


def test_min_sqnr():
    model, batches = make_hard(), make_batches(6)
    budget = quantize.Budget(min_sqnr=38.0, batches=6, times=False)
    made, found = quantize.quantize_mixed(model, batches, budget, per_channel=False)
    expected = run(model, batches)
    plain = find_ratio(run(quantize.quantize(model, batches, per_channel=False), batches), expected)
    assert find_ratio(run(made, batches), expected) >= 37.9
    assert found.sqnr >= 38 > plain and abs(found.plain_sqnr - plain) < 1
    kept = {layer.name for layer in found.layers if layer.kept}
    # The worst ones, and not all.
    assert 0 < len(kept) < len(found.layers) / 2
    order = sorted(found.layers, key=lambda layer: layer.sqnr)
    assert kept == {layer.name for layer in order[: len(kept)]}
    assert {layer.kept for layer in found.layers} == {"", "accuracy"}
    node = next(n for n in made.graph.node if n.name == order[0].name)
    producers = {o: n.op_type for n in made.graph.node for o in n.output}
    assert all(producers.get(name) != "DequantizeLinear" for name in node.input)


def test_alone_is_what_one_layer_loses():
    """The table's ratio is that of the model in which only this layer is integer."""
    model, batches = make_network(batch=1), make_batches(4)
    quantizer = quantize.Quantizer(model)
    for batch in batches:
        quantizer.observe(batch)
    quantizer.finish()
    _, found = mixed.search(quantizer, batches, quantize.Budget(min_sqnr=0.0, times=False))
    expected = run(model, batches)
    layer = next(layer for layer in found.layers if layer.operator == "Gemm")
    others = [x.name for x in found.layers if x is not layer]
    alone = find_ratio(run(quantizer.finish(others), batches), expected)
    assert abs(alone - layer.sqnr) < 0.5


def test_max_drop():
    """Of a metric of one's own, which runs the model as it likes."""
    model, batches = make_hard(), make_batches(6)
    expected = run(model, batches)

    def closeness(run_model):
        found = np.concatenate([run_model(batch)[model.graph.output[0].name] for batch in batches])
        return 1 - float(np.abs(found - expected).max() / np.abs(expected).max())

    budget = quantize.Budget(max_drop=0.01, metric=closeness, times=False)
    made, found = quantize.quantize_mixed(model, batches, budget, per_channel=False)
    assert found.float_metric > 0.9999 and found.metric >= found.float_metric - 0.01
    assert np.abs(run(made, batches) - expected).max() <= 0.0101 * np.abs(expected).max()
    assert any(layer.kept for layer in found.layers)


def call(*arguments):
    return subprocess.run([DLC, "quantize", *map(str, arguments)], capture_output=True, text=True, timeout=240)


def test_command(tmp_path):
    model, batches = make_hard(), make_batches(6)
    onnx.save(model, tmp_path / "model.onnx")
    np.save(tmp_path / "data.npy", np.concatenate([b["x"] for b in batches]))
    labels = run(model, batches).argmax(1)
    (tmp_path / "labels.txt").write_text("\n".join(map(str, labels)))
    done = call(tmp_path / "model.onnx", f"--calibrate={tmp_path / 'data.npy'}", "-o", tmp_path / "out.onnx",
                "--max-drop=0%", f"--labels={tmp_path / 'labels.txt'}", f"--svg={tmp_path / 'out.svg'}",
                f"--report={tmp_path / 'out.json'}", "--look-at=2")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("layer ") and "metric 1.0000; 1.0000 of the float model" in done.stdout
    assert " ms in these layers; " in done.stdout and "timing " in done.stderr
    found = json.loads((tmp_path / "out.json").read_text())
    assert all(layer["float_ms"] > 0 and layer["integer_ms"] > 0 for layer in found["layers"])
    picture = xml.etree.ElementTree.parse(tmp_path / "out.svg")
    assert len(picture.findall(".//{*}title")) == len(found["layers"])
    assert (run(onnx.load(tmp_path / "out.onnx"), batches).argmax(1) == labels).all()


def test_object(tmp_path):
    """One step gives what two give."""
    onnx.save(make_network(batch=1), tmp_path / "net.onnx")
    batches = make_batches(4)
    np.save(tmp_path / "data.npy", np.concatenate([b["x"] for b in batches]))
    data = f"--calibrate={tmp_path / 'data.npy'}"
    done = call(tmp_path / "net.onnx", data, "-o", tmp_path / "net.so")
    assert done.returncode == 0, done.stderr
    model = dlc.load(tmp_path / "net.so", name="net")
    expected = dlc.compile(quantize.quantize(make_network(batch=1), batches)).run([batches[0]["x"]])[0]
    np.testing.assert_array_equal(model.run([batches[0]["x"]])[0], expected)
    done = call(tmp_path / "net.onnx", data, "-o", tmp_path / "arm.o", "-target=aarch64", "--threads=1")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "arm.o").read_bytes()[18:20] == b"\xb7\x00" and (tmp_path / "arm.h").exists()
    done = call(tmp_path / "net.onnx", data, "-o", tmp_path / "net.int8.onnx", "-target=aarch64")
    assert done.returncode == 1 and "expected an output .o or .so to compile to, found" in done.stderr


@pytest.mark.parametrize("arguments, message", [
    (["--min-sqnr=900dB", "--no-times"], "the budget cannot be kept: with all 8 layers in float the model has "),
    (["--max-drop=1%"], "expected --max-drop and --labels together"),
    (["--svg=a.svg"], "expected --min-sqnr or --max-drop with --labels, --validate, --report or --svg"),
    (["--max-drop=1%", "--labels=words.txt"], "expected an integer a line in 'words.txt', found 'cat'"),
    (["--max-drop=1%", "--labels=few.txt"], "expected a label for each of the 4 samples in 'data.npy', found 2 labels in 'few.txt'"),
    (["--max-drop=1%", "--labels=float.npy"], "expected a list of integers in 'float.npy', found float64 of rank 1"),
    (["--min-sqnr=nandB"], "expected a ratio in dB, found nan"),
    (["--min-sqnr=20dB", "--weights-only"], "expected quantized activations for a budget, found --weights-only"),
    (["--keep=none"], "expected the name of a node that stays in float, found 'none'"),
])  # fmt: skip
def test_wrong_budgets(arguments, message, tmp_path, monkeypatch, capsys):
    from dlc.quantize.command import main

    monkeypatch.chdir(tmp_path)
    onnx.save(make_network(batch=1), "model.onnx")
    np.save("data.npy", np.concatenate([b["x"] for b in make_batches(4)]))
    pathlib.Path("words.txt").write_text("1\ncat\n")
    pathlib.Path("few.txt").write_text("1\n2\n")
    np.save("float.npy", np.zeros(4))
    assert main(["model.onnx", "--calibrate=data.npy", "-o", "out.onnx", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not pathlib.Path("out.onnx").exists()


def test_wrong_models(tmp_path, capsys):
    from dlc.quantize.command import main

    (tmp_path / "text.onnx").write_text("no model")
    assert main([str(tmp_path / "text.onnx"), "--weights-only", "-o", str(tmp_path / "out.onnx")]) == 1
    assert "dlc: error: expected an ONNX model, found '" in capsys.readouterr().err
    with pytest.raises(ValueError, match="expected data that can be read again"):
        quantize.quantize_mixed(make_network(), iter(make_batches(2)), quantize.Budget(min_sqnr=1.0))
    for wrong, message in (({}, "expected either min_sqnr or max_drop"),
                           ({"max_drop": 0.1}, "expected a metric with max_drop"),
                           ({"min_sqnr": 3.0, "batches": 0}, "expected at least 1 batch, found 0"),
                           ({"max_drop": -1.0, "metric": len}, "expected a drop of 0 or more, found -1.0")):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            quantize.Budget(**wrong)


def test_report():
    layers = [report.Layer("a<b", "Conv", 40.0, 1.0, 0.5), report.Layer("c", "Gemm", 12.0, 2.0, 3.0, "time"),
              report.Layer("d", "Add", 9.0, None, None, "accuracy")]  # fmt: skip
    text = report.Report(layers, 30.0, 8.0).to_text()
    assert [line.split()[-1] for line in text.splitlines()[1:4]] == ["int8", "time", "accuracy"]
    assert "2 of 3 layers stay in float" in text and "2.50 ms in these layers; 3.00 ms in float" in text
    picture = report.Report(layers, 30.0, 8.0).to_svg()
    assert "a&lt;b" in picture and "1.000 → 0.500 ms" in picture
    xml.etree.ElementTree.fromstring(picture)
