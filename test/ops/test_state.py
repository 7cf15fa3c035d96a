"""Constants that are made before the first run (--expand-weights): the same
bits as those in the object, objects of the size of the model, control flow,
and other targets."""

import ctypes
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "python"))
import dlc  # noqa: E402


def make_weights(o, c, seed=0):
    return np.random.default_rng(seed).standard_normal((o, c, 3, 3)).astype("float32") / 30


def make_model(nodes, shapes, outputs, weights):
    inputs = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        if shape is not None
        else helper.make_tensor_value_info(name, TensorProto.BOOL, [])
        for name, shape in shapes.items()
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs]
    initializers = [numpy_helper.from_array(value, name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
    return onnx.shape_inference.infer_shapes(model)


def conv(x, w, y):
    return helper.make_node("Conv", [x, w], [y], pads=[1, 1, 1, 1])


def two_layers(n=1):
    return make_model(
        [conv("x", "w", "h"), helper.make_node("Relu", ["h"], ["r"]), conv("r", "v", "y")],
        {"x": [n, 40, 14, 14]},
        ["y"],
        {"w": make_weights(200, 40), "v": make_weights(24, 200, 1)},
    )


def images(*shape, seed=5):
    return np.random.default_rng(seed).standard_normal(shape).astype("float32")


def state_size(model):
    return model._model.state_size


def reference(x, w):
    """The convolution with pads of 1, in float64."""
    x = np.pad(x.astype(np.float64), ((0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), axis=(2, 3))
    return np.einsum("nchwyx,ocyx->nohw", windows, w.astype(np.float64), optimize=True)


@pytest.mark.parametrize("n", [1, "n"])
def test_the_same_bits_as_in_the_object(n):
    model = two_layers(n).SerializeToString()
    init = dlc.compile(model, conv="winograd")
    embedded = dlc.compile(model, conv="winograd", expand_weights="object")
    assert state_size(init) > 4 * 36 * 40 * 200
    assert state_size(embedded) == 0
    x = images(3 if n == "n" else 1, 40, 14, 14)
    result = init.run({"x": x})["y"]
    np.testing.assert_array_equal(result, embedded.run({"x": x})["y"])
    w, v = make_weights(200, 40), make_weights(24, 200, 1)
    expected = reference(np.maximum(reference(x, w), 0), v)
    assert np.abs(result - expected).max() < 2e-5 * np.abs(expected).max()


def test_sizes_of_objects(tmp_path):
    source = tmp_path / "two.onnx"
    onnx.save(two_layers(), source)
    sizes = {}
    for place in "init", "object":
        output = tmp_path / f"{place}.o"
        dlc.compile_to_file(str(source), output, conv="winograd", expand_weights=place)
        sizes[place] = output.stat().st_size
    assert sizes["init"] < 1.3 * source.stat().st_size
    assert sizes["object"] > 2.5 * source.stat().st_size


def test_equal_constants_share_one_place():
    w = make_weights(64, 64)
    nodes = [conv("x", "w", "h"), conv("h", "v", "y")]
    shapes = {"x": [1, 64, 14, 14]}
    equal = make_model(nodes, shapes, ["y"], {"w": w, "v": w.copy()})
    other = make_model(nodes, shapes, ["y"], {"w": w, "v": make_weights(64, 64, 1)})
    one, two = (
        dlc.compile(model.SerializeToString(), conv="winograd") for model in (equal, other)
    )
    assert state_size(two) - 64 == 2 * (state_size(one) - 64)
    x = images(1, 64, 14, 14)
    expected = reference(reference(x, w), w)
    assert np.abs(one.run({"x": x})["y"] - expected).max() < 2e-5 * np.abs(expected).max()


def test_branches_and_loops():
    """The weights of subgraphs are transformed once, for all iterations."""
    w, v = make_weights(64, 64), make_weights(64, 64, 1)

    def body(name, nodes, inputs, outputs, weights):
        return helper.make_graph(
            nodes, name, inputs, outputs,
            [numpy_helper.from_array(value, key) for key, value in weights.items()],
        )  # fmt: skip

    image = [1, 64, 14, 14]
    info = helper.make_tensor_value_info
    then = body("then", [conv("x", "w", "a")], [], [info("a", TensorProto.FLOAT, image)], {"w": w})
    other = body("else", [helper.make_node("Neg", ["x"], ["b"])], [],
                 [info("b", TensorProto.FLOAT, image)], {})  # fmt: skip
    loop = body(
        "loop",
        [helper.make_node("Identity", ["go_in"], ["go_out"]), conv("s", "v", "t")],
        [info("i", TensorProto.INT64, []), info("go_in", TensorProto.BOOL, []),
         info("s", TensorProto.FLOAT, image)],
        [info("go_out", TensorProto.BOOL, []), info("t", TensorProto.FLOAT, image)],
        {"v": v},
    )  # fmt: skip
    nodes = [
        helper.make_node("If", ["c"], ["h"], then_branch=then, else_branch=other),
        helper.make_node("Loop", ["count", "", "h"], ["y"], body=loop),
    ]
    model = make_model(nodes, {"x": image, "c": None}, ["y"], {"count": np.array(2, np.int64)})
    compiled = dlc.compile(model.SerializeToString(), conv="winograd")
    assert state_size(compiled) >= 2 * 4 * 16 * 64 * 64
    x = images(*image)
    for c in False, True:
        h = reference(x, w) if c else -x
        expected = reference(reference(h, v), v)
        result = compiled.run({"x": x, "c": np.array(c)})["y"]
        assert np.abs(result - expected).max() < 2e-5 * np.abs(expected).max()


def test_repeated_constants():
    """What a broadcast repeats is not in the object either."""
    w = np.arange(256, dtype="float32").reshape(1, 256)
    nodes = [
        helper.make_node("Expand", ["w", "shape"], ["e"]),
        helper.make_node("MatMul", ["x", "e"], ["y"]),
    ]
    model = make_model(
        nodes, {"x": [3, 512]}, ["y"], {"w": w, "shape": np.array([512, 256], np.int64)}
    )
    compiled = dlc.compile(model.SerializeToString())
    assert state_size(compiled) >= 4 * 512 * 256
    x = images(3, 512)
    expected = x.astype(np.float64).sum(axis=1, keepdims=True) * w
    np.testing.assert_allclose(compiled.run({"x": x})["y"], expected, rtol=1e-4, atol=1e-2)


def test_model_that_is_freed():
    """The JIT frees the state with the code: no run of these needs much."""
    model = two_layers().SerializeToString()
    peak = []
    for _ in range(3):
        compiled = dlc.compile(model, conv="winograd")
        compiled.run({"x": images(1, 40, 14, 14)})
        del compiled
        peak.append(int(Path("/proc/self/statm").read_text().split()[1]))
    assert peak[2] - peak[1] < 500  # pages; the state has 1,000


@pytest.mark.skipif(not shutil.which("qemu-aarch64-static"), reason="needs QEMU for aarch64")
def test_other_target(tmp_path):
    """An aarch64 object fills its state under QEMU."""
    sys.path.insert(0, str(ROOT / "bench"))
    import objects

    source = tmp_path / "two.onnx"
    onnx.save(two_layers(), source)
    x = images(1, 40, 14, 14)
    found = objects.compile(source, tmp_path, "aarch64", ["--conv=winograd"])
    assert "NETWORK_STATE_SIZE 0" not in (tmp_path / "network.h").read_text()
    (result,) = objects.run_emulated(found, [x], [np.float32])
    expected = dlc.compile(str(source), conv="direct").run([x])[0]
    assert np.abs(result - expected).max() < 2e-5 * np.abs(expected).max()


def aligned(size):
    memory = np.zeros(size + 64, np.uint8)
    begin = -memory.ctypes.data % 64
    return memory[begin : begin + size]


@pytest.mark.parametrize("forms", [("winograd-2x6", "winograd-6x2"), ("winograd-4x5", "winograd-5x4")])
def test_states_of_other_forms(forms):
    """The same weights in as many bytes, but other ones."""
    proto = two_layers().SerializeToString()
    models = [dlc.compile(proto, conv=form, name="net") for form in forms]
    again = dlc.compile(proto, conv=forms[0], name="net")
    size = state_size(models[0])
    assert state_size(models[1]) == state_size(again) == size
    state = aligned(size)

    def prepare(model):
        call = dlc.model.Call(model, [images(1, 40, 14, 14)])
        call._options.state, call._options.state_size = state.ctypes.data, size
        return call

    made, other, same = map(prepare, (*models, again))
    assert models[0]._model.init(ctypes.byref(made._options)) == 0
    made()
    same()
    (expected,) = made.take()
    np.testing.assert_array_equal(same.take()[0], expected)
    with pytest.raises(dlc.RunError, match="the state was not made by this model's init"):
        other()


def test_wrong_place():
    with pytest.raises(dlc.CompileError, match="init or in the object, found 'file'"):
        dlc.compile(two_layers().SerializeToString(), expand_weights="file")
    done = subprocess.run(
        ["dlc", "--expand-weights=file", "x.onnx"], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert "expected --expand-weights=init or object, found 'file'" in done.stderr
