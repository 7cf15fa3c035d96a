"""dlc quantize finds what is wrong before it looks at the data, and says what
stays in float."""

import pathlib

import numpy as np
import onnx
import pytest
from dlc import quantize
from dlc.quantize import command
from dlc.quantize.calibrate import Pace
from onnx import TensorProto, helper, numpy_helper
from quantize_network import find_ratio, make_batches, make_network, run


def make_model(nodes, constants, shape=(1, 4), output=(1, 4), kind=TensorProto.FLOAT, opset=17):
    values = [helper.make_tensor_value_info("x", kind, shape), helper.make_tensor_value_info("y", kind, output)]
    graph = helper.make_graph(nodes, "g", values[:1], values[1:],
                              [numpy_helper.from_array(v, n) for n, v in constants.items()])  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def make_weights(dtype=np.float32):
    return np.random.default_rng(0).standard_normal((4, 4)).astype(dtype)


def product(x, weights, y, name=""):
    return helper.make_node("MatMul", [x, weights], [y], name or y)


def make_lstm(with_product):
    random = np.random.default_rng(1)
    constants = {"w": random.standard_normal((1, 16, 4)).astype(np.float32),
                 "r": random.standard_normal((1, 16, 4)).astype(np.float32), "v": make_weights()}  # fmt: skip
    nodes = [helper.make_node("LSTM", ["x", "w", "r"], ["", "h"], "lstm", hidden_size=4),
             product("h", "v", "y") if with_product else helper.make_node("Neg", ["h"], ["y"])]  # fmt: skip
    return make_model(nodes, constants, [3, 1, 4], [1, 1, 4])


@pytest.mark.parametrize("make, message", [
    (lambda: make_lstm(True), "node 'lstm' (LSTM) stays in float: LSTM has no integer form"),
])  # fmt: skip
def test_warnings(make, message, tmp_path, capsys):
    """The rest of the model is quantized all the same."""
    onnx.save(make(), tmp_path / "model.onnx")
    shape = [d.dim_value for d in make().graph.input[0].type.tensor_type.shape.dim]
    (tmp_path / "data").mkdir()
    np.save(tmp_path / "data" / "0.npy", np.ones(shape, np.float32))
    arguments = [tmp_path / "model.onnx", f"--calibrate={tmp_path / 'data'}", "-o", tmp_path / "out.onnx"]
    assert command.main(list(map(str, arguments))) == 0
    assert f"dlc: warning: {tmp_path / 'model.onnx'}: {message}\n" in capsys.readouterr().err
    assert "QuantizeLinear" in [n.op_type for n in onnx.load(tmp_path / "out.onnx").graph.node]


def test_many_layers_are_one_warning():
    nodes = [product("x", "v", "h0"), helper.make_node("Cast", ["h0"], ["c0"], to=TensorProto.FLOAT16)]
    nodes += [product(f"c{i}", "w", f"c{i + 1}", f"half{i}") for i in range(5)]
    nodes += [helper.make_node("Cast", ["c5"], ["y"], to=TensorProto.FLOAT)]
    model = make_model(nodes, {"v": make_weights(), "w": make_weights(np.float16)})
    assert quantize.Quantizer(model).warnings == [
        "node 'half0' (MatMul), node 'half1' (MatMul), node 'half2' (MatMul) and 2 more stay in float: "
        "the type of tensors is float16, not float32"]  # fmt: skip


@pytest.mark.parametrize("kind, dtype", [(TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)])
def test_models_of_other_floats(kind, dtype):
    model = make_model([product("x", "w", "y")], {"w": make_weights(dtype)}, kind=kind)
    with pytest.raises(ValueError, match="expected a Conv, .* or MatMul of float32 to quantize, found none; "
                       "node 'y' .* stays in float: the type of tensors is (float16|double), not float32"):  # fmt: skip
        quantize.Quantizer(model)


def test_bfloat16():
    weights = helper.make_tensor("w", TensorProto.BFLOAT16, [4, 4], np.zeros(16))
    model = make_model([product("x", "w", "y")], {}, kind=TensorProto.BFLOAT16)
    model.graph.initializer.append(weights)
    with pytest.raises(ValueError, match="found none; .* is bfloat16, not float32"):
        quantize.Quantizer(model)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite(value):
    weights = make_weights()
    weights[2, 1] = value
    model = make_model([product("x", "w", "h"), product("h", "v", "y")], {"w": weights, "v": make_weights()})
    with pytest.raises(ValueError, match=rf"expected finite weights, found {value} in 'w' at \[2, 1\], which "
                       r"node 'h' \(MatMul\) reads; --keep=h leaves it in float"):  # fmt: skip
        quantize.Quantizer(model)
    assert quantize.Quantizer(model, quantize.Options(keep=("h",))).warnings == []


def test_other_models():
    lstm = make_lstm(False)
    with pytest.raises(ValueError, match="found none; node 'lstm' .* LSTM has no integer form"):
        quantize.Quantizer(lstm)
    moved = make_model([helper.make_node("MatMul", ["x", "x"], ["y"], "m")], {}, [4, 4], [4, 4])
    with pytest.raises(ValueError, match="with constant weights to quantize, found none; .*its weights are no con"):
        quantize.Quantizer(moved, quantize.Options(weights_only=True))
    network, batches = make_network(), make_batches(1)
    with pytest.raises(ValueError, match=r"expected a model of floats, found node '.*' \(QuantizeLinear\)"):
        quantize.Quantizer(quantize.quantize(network, batches))
    custom = make_model([helper.make_node("Odd", ["x"], ["h"], domain="odd"), product("h", "v", "k"),
                         product("x", "v", "z"), helper.make_node("Add", ["k", "z"], ["y"])],
                        {"v": make_weights()})  # fmt: skip
    custom.opset_import.append(helper.make_opsetid("odd", 1))
    assert quantize.Quantizer(custom).warnings == [
        "node 'k' (MatMul) stays in float: the type of tensor 'h' is not known"]  # fmt: skip


def test_no_inputs(tmp_path, capsys):
    nodes = [product("w", "w", "y")]
    model = make_model(nodes, {"w": make_weights()}, output=(4, 4))
    del model.graph.input[:]
    onnx.save(model, tmp_path / "model.onnx")
    np.save(tmp_path / "data.npy", np.zeros(4))
    arguments = [tmp_path / "model.onnx", f"--calibrate={tmp_path / 'data.npy'}", "-o", tmp_path / "out.onnx"]
    assert command.main(list(map(str, arguments))) == 1
    assert "expected a model with inputs for the data in" in capsys.readouterr().err


def test_outputs_without_a_shape():
    model = make_network(batch=1)
    expected = run(model, make_batches(2))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    made = quantize.quantize(model, make_batches(2))
    assert find_ratio(run(made, make_batches(2)), expected) > 15
    model = make_model([helper.make_node("Odd", ["x"], ["h"], domain="odd"), product("x", "v", "z"),
                        helper.make_node("Add", ["h", "z"], ["y"])], {"v": make_weights()})  # fmt: skip
    model.opset_import.append(helper.make_opsetid("odd", 1))
    model.graph.output[0].type.tensor_type.ClearField("shape")
    with pytest.raises(ValueError, match="expected a shape of the output 'y', found none, and none follows"):
        quantize.Quantizer(model)


def test_functions_of_the_model():
    """Are looked into."""
    model = make_model([helper.make_node("Layer", ["x", "w"], ["y"], domain="own")], {"w": make_weights()})
    model.opset_import.append(helper.make_opsetid("own", 1))
    model.functions.append(helper.make_function(
        "own", "Layer", ["a", "b"], ["c"], [product("a", "b", "c")], [helper.make_opsetid("", 17)]))  # fmt: skip
    made = quantize.quantize(model, [np.ones((1, 4), np.float32)])
    assert [n.op_type for n in made.graph.node].count("DequantizeLinear") == 2


@pytest.mark.parametrize("arguments, message", [
    (["--batches=-3"], "expected --batches of 1 or more, found -3"),
    (["--batches=0"], "expected --batches of 1 or more, found 0"),
    (["-o", "out.txt"], "expected an output .onnx, .o or .so, found 'out.txt'"),
    (["-o", "none/out.onnx"], "expected a folder to write 'none/out.onnx' to, found none at 'none'"),
    (["-o", "folder.onnx"], "expected a file to write, found the folder 'folder.onnx'"),
    (["-o", "model.onnx"], "'model.onnx' would replace the model"),
    (["--min-sqnr=9dB", "--svg=none/a.svg"], "expected a folder to write 'none/a.svg' to, found none"),
    (["-o", "out.o", "-target=z80"], "z80"),
    (["-o", "out.o", "--threads=-1"], "-1"),
    (["--min-sqnr=9dB", "--look-at=0"], "expected at least 1 batch, found 0"),
    (["--min-sqnr=9dB", "--max-drop=1%", "--labels=right.txt"], "expected either min_sqnr or max_drop"),
    (["--max-drop=1%", "--labels=many.txt"],
     "expected a label for each of the 4 samples in 'data.npy', found 9 labels in 'many.txt'"),
    (["--max-drop=1%", "--labels=large.txt"], "expected labels from 0 to 9 in 'large.txt', as the model's first output "
     "has 10 numbers a sample, found 10"),
    (["--max-drop=1%", "--labels=junk.npy"], "expected arrays in 'junk.npy', found a damaged file"),
    (["--max-drop=1%", "--labels=none.txt"], "No such file or directory: 'none.txt'"),
    (["--min-sqnr=9dB", "--validate=wrong.npy"], "expected 'x' of float32 1x3x16x16 in 'wrong.npy', found float32 1x7"),
    (["--validate=data.npy"], "expected --min-sqnr or --max-drop with --labels, --validate, --report or --svg"),
    (["--weights-only", "--format=nbits", "--block=512"], "expected blocks of 16, 32, 64, 128 or 256 weights"),
])  # fmt: skip
def test_wrong_calls(arguments, message, tmp_path, monkeypatch, capsys):
    """All are found without a look at a number of the data."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(command, "calibrate", lambda *_: pytest.fail("calibrated before the error"))
    onnx.save(make_network(batch=1), "model.onnx")
    np.save("data.npy", np.concatenate([b["x"] for b in make_batches(4)]))
    np.save("wrong.npy", np.zeros((2, 7), np.float32))
    pathlib.Path("folder.onnx").mkdir()
    pathlib.Path("junk.npy").write_text("no labels")
    for name, labels in (("right", "1 2 3 4"), ("many", "1 " * 9), ("large", "1 2 10 4")):
        pathlib.Path(name + ".txt").write_text(labels)
    assert command.main(["model.onnx", "--calibrate=data.npy", "-o", "out.onnx", *arguments]) == 1
    assert message in capsys.readouterr().err
    assert not pathlib.Path("out.onnx").exists()


@pytest.mark.parametrize("flag, message", [
    ("--min-sqnr=loud", "expected such as 30dB, found 'loud'"), ("--max-drop=few%", "expected such as 1%, found 'few%'"),
    ("--max-drop=1", "expected such as 1% or 0.01, found '1'"),
])  # fmt: skip
def test_wrong_budgets(flag, message, capsys):
    with pytest.raises(SystemExit):
        command.main(["model.onnx", "-o", "out.onnx", flag])
    assert message in capsys.readouterr().err


def test_wrong_file_of_many(tmp_path, monkeypatch, capsys):
    """The last file's shape is an error before the first is calibrated with, and
    has its name; files that are not used may be wrong."""
    monkeypatch.chdir(tmp_path)
    onnx.save(make_network(), "model.onnx")
    pathlib.Path("data").mkdir()
    for i in range(3):
        np.savez(f"data/{i}.npz", x=make_batches(1)[0]["x"])
    np.savez("data/3.npz", x=np.zeros((1, 3, 8, 8), np.float32))
    call = ["model.onnx", "--calibrate=data", "-o", "out.onnx"]
    assert command.main(call) == 1
    found = capsys.readouterr().err
    assert "'data/3.npz', found float32 1x3x8x8" in found and "calibrating" not in found
    assert command.main([*call, "--batches=3"]) == 0


def test_labels_of_samples_that_fill_no_batch(tmp_path, monkeypatch):
    """Are not wrong."""
    monkeypatch.chdir(tmp_path)
    onnx.save(make_network(batch=2), "model.onnx")
    np.save("data.npy", np.concatenate([b["x"] for b in make_batches(5)]))
    pathlib.Path("labels.txt").write_text("1\n" * 5)
    assert command.main(["model.onnx", "--calibrate=data.npy", "-o", "out.onnx", "--max-drop=100%", "--no-times",
                         "--labels=labels.txt"]) == 0  # fmt: skip


def test_validation(tmp_path, monkeypatch, capsys):
    """The budget is kept on the other data, too, though it is harder."""
    monkeypatch.chdir(tmp_path)
    model = make_network(batch=1)
    onnx.save(model, "model.onnx")
    np.save("data.npy", np.concatenate([b["x"] for b in make_batches(4)]))
    harder = [{"x": b["x"] * 2} for b in make_batches(4, seed=9)]
    np.save("other.npy", np.concatenate([b["x"] for b in harder]))
    call = ["model.onnx", "--calibrate=data.npy", "-o", "out.onnx", "--min-sqnr=26dB", "--no-times"]

    def find(name):
        return find_ratio(run(onnx.load(name), harder), run(model, harder))

    assert command.main(call) == 0
    assert find("out.onnx") < 26
    assert command.main([*call, "--validate=other.npy"]) == 0
    assert find("out.onnx") >= 25.9
    assert " dB on the data of the validation" in capsys.readouterr().out


def test_blocks_of_nbits():
    assert quantize.Options(weights_only=True, format="nbits").block == 32


def test_time_left():
    """The first batch of a pass, which compiles, says nothing of the others."""
    pace = Pace()
    pace.count(100.0)
    assert pace.seconds is None
    pace.count(101.0)
    pace.count(103.0)
    assert pace.seconds == 1.5
    pace.pause()
    pace.count(900.0)
    pace.count(901.5)
    assert pace.seconds == 1.5


def test_interrupted_search(tmp_path, monkeypatch):
    """Keeps what the calibration has seen."""
    monkeypatch.chdir(tmp_path)
    onnx.save(make_network(batch=1), "model.onnx")
    np.save("data.npy", np.concatenate([b["x"] for b in make_batches(4)]))
    call = ["model.onnx", "--calibrate=data.npy", "-o", "out.onnx", "--min-sqnr=1dB", "--no-times"]
    search = command.search

    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(command, "search", interrupt)
    assert command.main(call) == 130
    monkeypatch.setattr(command, "search", search)
    monkeypatch.setattr(quantize.Quantizer, "observe", lambda *_: pytest.fail("seen again"))
    assert command.main(call) == 0
    assert not list(tmp_path.glob("*.calibration.npz"))
