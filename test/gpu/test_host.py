"""What functions of the host compute in a model for a GPU: strings, sequences,
trees, functions of the program. They get copies of what is on the GPU, and the
GPU gets copies of what they make."""

import re
import subprocess
import sys

import emulated
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_nodes import CONFORMANCE, PASSING, cases

from dlc.model import Call

sys.path.insert(0, str(CONFORMANCE))
random = np.random.default_rng(3)
node, info = helper.make_node, helper.make_tensor_value_info

# Every node test that has such a function, by its name.
HOST = re.compile("string|sequence|optional|label_encoder|tfidf|tree_ensemble|regex|_seq|"
                  "strnorm|array_feature")  # fmt: skip
NODES = [c for c in cases.load_cases(("node",)) if c.name in PASSING and HOST.search(c.name)]


@pytest.mark.parametrize("case", NODES, ids=lambda case: case.name)
def test_node(case, driver, tmp_path):
    model = case.load_model()
    network, kernels = emulated.compile(model, tmp_path, driver, "-O1")
    driver.reset(kernels)
    before = driver.held
    for inputs, expected in case.load_data(model):
        case.check(expected, list(network.run(inputs)))
    network.release()
    assert driver.error == "" and driver.held == before


def make(nodes, inputs, outputs, constants=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(constants))
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("ai.onnx.ml", 3)]
    opsets += [helper.make_opsetid(domain, 1) for domain in domains]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def constant(name, value):
    return numpy_helper.from_array(np.asarray(value), name)


def remarks(folder):
    command = ["dlc", folder / "network.onnx", "--gpu=sm_80", "--to=llvm", "-o", "/dev/null"]
    done = subprocess.run([*command, "--remarks=dlc-place-on-device"], capture_output=True,
                          text=True, check=True)  # fmt: skip
    return done.stderr


@pytest.mark.parametrize("flags", [[], ["--gpu-fallback"]], ids=str)
@pytest.mark.parametrize("rows", [5, "rows"])
def test_words_to_vectors(rows, flags, driver, tmp_path):
    """Text in, a table of the host, products on the GPU."""
    words = ["a", "bird", "can", "fly"]
    table = random.standard_normal((5, 16)).astype(np.float32)
    weight = random.standard_normal((16, 16)).astype(np.float32)
    nodes = [
        node("LabelEncoder", ["words"], ["ids"], domain="ai.onnx.ml", keys_strings=words,
             values_int64s=[0, 1, 2, 3], default_int64=4),
        node("Gather", ["table", "ids"], ["vectors"]),
        node("MatMul", ["vectors", "weight"], ["hidden"]),
        node("Relu", ["hidden"], ["y"]),
    ]  # fmt: skip
    model = make(nodes, [info("words", TensorProto.STRING, [rows])],
                 [info("y", TensorProto.FLOAT, [rows, 16])],
                 [constant("table", table), constant("weight", weight)])  # fmt: skip
    network, kernels = emulated.compile(model, tmp_path, driver, *flags)
    driver.reset(kernels)
    text = np.array(["fly", "bird", "", "a", "birds"], object)
    (y,) = network.run([text])
    expected = np.maximum(table[[3, 1, 4, 0, 4]] @ weight, 0)
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)
    # The numbers of words go over in one piece, where kernels want them.
    assert sum("cuMemcpyHtoDAsync" in call for call in driver.calls) == 2, driver.calls
    assert any("Launch" in call for call in driver.calls) and driver.error == ""
    if flags:
        driver.reset(devices=0)
        network.release()
        np.testing.assert_allclose(network.run([text])[0], expected, rtol=1e-5, atol=1e-5)


def test_numbers_to_text_and_back(driver, tmp_path):
    """A loop of the host on what the GPU has computed."""
    weight = np.eye(8, dtype=np.float32) * 3
    nodes = [
        node("MatMul", ["x", "w"], ["a"]),
        node("Cast", ["a"], ["text"], to=TensorProto.STRING),
        node("StringConcat", ["text", "zero"], ["longer"]),
        node("Cast", ["longer"], ["b"], to=TensorProto.FLOAT),
        node("MatMul", ["b", "w"], ["y"]),
    ]
    model = make(nodes, [info("x", TensorProto.FLOAT, ["n", 8])],
                 [info("y", TensorProto.FLOAT, ["n", 8]),
                  info("longer", TensorProto.STRING, ["n", 8])],
                 [constant("w", weight), constant("zero", np.array(["0"], object))])  # fmt: skip
    network, kernels = emulated.compile(model, tmp_path, driver)
    x = random.integers(1, 99, (40, 8)).astype(np.float32) + np.float32(0.5)
    driver.reset(kernels)
    for value in (x, emulated.DeviceArray(driver, x)):
        y, text = network.run([value])
        np.testing.assert_array_equal(y, 9 * x)
        assert text[0, 0] == f"{3 * x[0, 0]}0"
    # Copies of whole buffers, not of elements.
    assert sum("cuMemcpyDtoHAsync" in call for call in driver.calls) <= 6, driver.calls
    assert driver.error == ""
    found = remarks(tmp_path)
    assert "the host waits for the GPU and copies a buffer from it" in found
    assert "an element" not in found


def test_a_sequence_in_a_loop(driver, tmp_path):
    """What the host makes in each turn does not pile up on the GPU."""
    body = helper.make_graph(
        [node("SequenceAt", ["parts", "i"], ["part"]), node("MatMul", ["part", "w"], ["product"]),
         node("Add", ["sum", "product"], ["next"]), node("Identity", ["c"], ["again"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []),
         info("sum", TensorProto.FLOAT, [2, 8])],
        [info("again", TensorProto.BOOL, []), info("next", TensorProto.FLOAT, [2, 8])],
    )  # fmt: skip
    nodes = [
        node("Relu", ["x"], ["a"]),
        node("SplitToSequence", ["a", "two"], ["parts"], axis=0),
        node("SequenceLength", ["parts"], ["n"]),
        node("Loop", ["n", "", "start"], ["y"], body=body),
    ]
    weight = random.standard_normal((8, 8)).astype(np.float32)
    model = make(nodes, [info("x", TensorProto.FLOAT, ["rows", 8])],
                 [info("y", TensorProto.FLOAT, [2, 8])],
                 [constant("w", weight), constant("two", np.int64(2)),
                  constant("start", np.zeros((2, 8), np.float32))])  # fmt: skip
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    held = []
    for rows in (4, 60):
        x = random.standard_normal((rows, 8)).astype(np.float32)
        (y,) = network.run([x])
        expected = np.maximum(x, 0).reshape(-1, 2, 8).sum(0) @ weight
        np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)
        held.append(driver.held)
    assert held[1] <= held[0] + 2 and driver.error == ""


SCALE = """
#include "network.h"
int acme_scale(const dlc_tensor *inputs, dlc_tensor *outputs, const char *attributes) {
  const float *x = inputs[0].data;
  float *y = outputs[0].data;
  (void)attributes;
  for (int64_t i = 0; i < inputs[0].shape[0] * inputs[0].shape[1]; ++i)
    y[i] = x[i] < 0 ? x[i] : 2 * x[i];
  return x[0] > 1000 ? 40 : DLC_OK;
}
"""


@pytest.mark.parametrize("is_last", [False, True])
def test_a_function_of_the_program(is_last, driver, tmp_path):
    weight = random.standard_normal((8, 8)).astype(np.float32)
    nodes = [node("MatMul", ["x", "w"], ["a"]),
             node("Scale", ["a"], ["y" if is_last else "b"], domain="com.acme")]  # fmt: skip
    if not is_last:
        nodes.append(node("MatMul", ["b", "w"], ["y"]))
    model = make(nodes, [info("x", TensorProto.FLOAT, [6, 8])],
                 [info("y", TensorProto.FLOAT, [6, 8])], [constant("w", weight)],
                 ["com.acme"])  # fmt: skip
    source = tmp_path / "scale.c"
    source.write_text(SCALE)
    network, kernels = emulated.compile(model, tmp_path, driver,
                                        "--extern-op=com.acme::Scale=acme_scale:[n,8]->f32[n,8]",
                                        link=["-fPIC", source], needs=["acme_scale"])  # fmt: skip
    driver.reset(kernels)
    x = random.standard_normal((6, 8)).astype(np.float32)
    a = x @ weight
    expected = np.where(a < 0, a, 2 * a)
    if not is_last:
        expected = expected @ weight
    near = {"rtol": 1e-4, "atol": 1e-4}
    np.testing.assert_allclose(network.run([x])[0], expected, **near)
    result = emulated.DeviceArray(driver, np.zeros_like(x))
    Call(network, [emulated.DeviceArray(driver, x)], outputs=[result])()
    np.testing.assert_allclose(result.read(), expected, **near)
    call = Call(network, [x], asynchronous=True)
    call()
    network.synchronize()
    np.testing.assert_allclose(call.take()[0], expected, **near)
    assert driver.error == ""
    # Its status is the run's.
    large = x.copy()
    large[0] = weight[:, 0] * 1e4
    with pytest.raises(Exception, match="the function 'acme_scale' returned an error"):
        network.run([large])
    network.release()


@pytest.mark.parametrize("threads", [1, 3])
def test_trees(threads, driver, tmp_path):
    """Threads share what the host computes."""
    from skl2onnx import to_onnx
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    x = random.standard_normal((600, 6)).astype(np.float32)
    made = make_pipeline(StandardScaler(), RandomForestRegressor(30, random_state=0))
    made.fit(x, x[:, 0] * x[:, 1])
    model = to_onnx(made, initial_types=[("x", FloatTensorType([None, 6]))],
                    target_opset={"": 19, "ai.onnx.ml": 3})  # fmt: skip
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    expected = onnxruntime.InferenceSession(model.SerializeToString()).run(None, {"x": x})
    (y,) = network.run([x], threads=threads)
    np.testing.assert_allclose(y, expected[0], rtol=1e-5, atol=1e-5)
    assert any("Launch" in call for call in driver.calls) and driver.error == ""


def test_more_buffers_than_a_launch_has(driver, tmp_path):
    inputs = [info(f"x{i}", TensorProto.FLOAT, [4]) for i in range(520)]
    model = make([node("Sum", [x.name for x in inputs], ["s"]), node("Exp", ["s"], ["y"])],
                 inputs, [info("y", TensorProto.FLOAT, [4])])  # fmt: skip
    network, kernels = emulated.compile(model, tmp_path, driver)
    driver.reset(kernels)
    x = random.standard_normal((520, 4)).astype(np.float32) / 100
    (y,) = network.run(list(x))
    np.testing.assert_allclose(y, np.exp(x.astype(np.float64).sum(0)), rtol=1e-5)
    assert driver.error == ""
