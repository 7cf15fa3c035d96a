"""The Python package: compile, run, errors."""

import threading

import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlc
import dlc.backend


def make_model(nodes, inputs, outputs, opset=21, **kwargs):
    """A model of one graph; inputs and outputs are (name, type, shape)."""
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info(*value) for value in inputs],
        [helper.make_tensor_value_info(*value) for value in outputs],
        **kwargs,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])


def make_unary(op, dtype=TensorProto.FLOAT, shape=("n", 3), out_dtype=None, **attributes):
    node = helper.make_node(op, ["x"], ["y"], **attributes)
    return make_model([node], [("x", dtype, shape)], [("y", out_dtype or dtype, shape)])


@pytest.fixture(scope="module")
def relu():
    return dlc.compile(make_unary("Relu"))


X = np.array([[-1, 2, -3], [4, -5, 6]], np.float32)


def test_describes_its_tensors(relu):
    assert [info.name for info in relu.inputs] == ["x"]
    assert relu.inputs[0].shape == ("n", 3)
    assert relu.inputs[0].dtype == np.float32
    assert relu.inputs[0].is_dynamic
    assert relu.outputs[0].name == "y"
    assert "x: float32[n, 3]" in repr(relu)


def test_runs_by_name_and_by_order(relu):
    expected = np.maximum(X, 0)
    np.testing.assert_array_equal(relu.run({"x": X})["y"], expected)
    np.testing.assert_array_equal(relu.run([X])[0], expected)
    np.testing.assert_array_equal(relu.run([X.tolist()])[0], expected)


def test_loads_a_shared_library(tmp_path):
    path = tmp_path / "clip.so"
    dlc.compile_to_file(make_unary("Relu"), path, emit=("shared",), name="clip")
    loaded = dlc.load(path)
    np.testing.assert_array_equal(loaded.run([X])[0], np.maximum(X, 0))
    assert loaded.name == "clip" and loaded.inputs[0].shape == ("n", 3)
    with pytest.raises(ValueError, match="no model of the name 'other'"):
        dlc.load(path, name="other")


@pytest.mark.parametrize("shape", [("n", 3), (2, 3)])
def test_repeats_a_call(shape):
    x = X.copy()
    call = dlc.model.Call(dlc.compile(make_unary("Relu", shape=shape)), [x], keep_workspace=True)
    call()
    x += 1
    call()
    np.testing.assert_array_equal(call.take()[0], np.maximum(X + 1, 0))


def test_dynamic_sizes(relu):
    for n in (0, 1, 7, 100):
        x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
        y = relu.run([x])[0]
        assert y.shape == (n, 3)
        np.testing.assert_array_equal(y, np.maximum(x, 0))


def test_layouts_of_numpy(relu):
    for x in (np.asfortranarray(X), X[::-1], np.stack([X, X], -1)[..., 0], X.astype(">f4").astype("f4")):
        np.testing.assert_array_equal(relu.run([x])[0], np.maximum(x, 0))


def test_keeps_results_of_earlier_runs(relu):
    first = relu.run([X])[0]
    relu.run([-X])
    np.testing.assert_array_equal(first, np.maximum(X, 0))


def test_fixed_shapes_and_dims():
    fixed = dlc.compile(make_unary("Relu"), shapes={"x": (2, 3)})
    assert fixed.inputs[0].shape == (2, 3)
    np.testing.assert_array_equal(fixed.run([X])[0], np.maximum(X, 0))
    named = dlc.compile(make_unary("Relu"), dims={"n": 2})
    assert named.inputs[0].shape == (2, 3)
    np.testing.assert_array_equal(named.run([X])[0], np.maximum(X, 0))


def test_scalars():
    model = dlc.compile(make_unary("Neg", shape=()))
    result = model.run([np.float32(2.5)])[0]
    assert result.shape == () and result == np.float32(-2.5)
    assert model.run([1])[0] == -1


@pytest.mark.parametrize(
    "onnx_type, dtype",
    [
        (TensorProto.FLOAT, np.float32),
        (TensorProto.DOUBLE, np.float64),
        (TensorProto.FLOAT16, np.float16),
        (TensorProto.BFLOAT16, ml_dtypes.bfloat16),
        (TensorProto.INT8, np.int8),
        (TensorProto.INT16, np.int16),
        (TensorProto.INT32, np.int32),
        (TensorProto.INT64, np.int64),
        (TensorProto.UINT8, np.uint8),
        (TensorProto.UINT16, np.uint16),
        (TensorProto.UINT32, np.uint32),
        (TensorProto.UINT64, np.uint64),
    ],
)
def test_element_types(onnx_type, dtype):
    node = helper.make_node("Add", ["a", "b"], ["c"])
    values = [(name, onnx_type, (4,)) for name in "abc"]
    model = dlc.compile(make_model([node], values[:2], values[2:]))
    assert model.inputs[0].dtype == dtype
    a, b = np.array([1, 2, 3, 100], dtype), np.array([4, 0, 7, 20], dtype)
    result = model.run([a, b])[0]
    assert result.dtype == dtype
    np.testing.assert_array_equal(result.astype(np.float64), (a + b).astype(np.float64))


def test_booleans():
    node = helper.make_node("And", ["a", "b"], ["c"])
    values = [(name, TensorProto.BOOL, (4,)) for name in "abc"]
    model = dlc.compile(make_model([node], values[:2], values[2:]))
    a, b = np.array([0, 0, 1, 1], bool), np.array([0, 1, 0, 1], bool)
    result = model.run([a, b])[0]
    assert result.dtype == bool
    np.testing.assert_array_equal(result, a & b)


@pytest.mark.parametrize(
    "name, low, high",
    [("int4", -8, 7), ("uint4", 0, 15), ("int2", -2, 1), ("uint2", 0, 3)],
)
def test_small_integers_round_trip(name, low, high):
    from dlc import dtypes

    number = TensorProto.DataType.Value(name.upper())
    values = np.arange(low, high + 1).astype(dtypes.to_numpy(number))
    memory = dtypes.to_memory(values, number)
    assert memory.dtype == np.uint8 and memory.max() == high - low
    back = dtypes.from_memory(memory, number)
    assert back.dtype == values.dtype
    np.testing.assert_array_equal(back.astype(int), np.arange(low, high + 1))


@pytest.mark.parametrize("number", range(1, 27))
def test_every_element_type_has_a_numpy_type(number):
    from dlc import dtypes

    dtype = dtypes.to_numpy(number)
    assert dtype == np.dtype(object) or dtype == helper.tensor_dtype_to_np_dtype(number)


def test_refuses_wrong_inputs(relu):
    with pytest.raises(TypeError, match="input 'x': expected the type float32, found float64"):
        relu.run([X.astype(np.float64)])
    with pytest.raises(ValueError, match=r"input 'x': expected rank 2, found the shape \[3\]"):
        relu.run([X[0]])
    with pytest.raises(ValueError, match="expected 1 inputs, found 2"):
        relu.run([X, X])
    with pytest.raises(ValueError, match=r"\['x'\] are missing, \['z'\] are unknown"):
        relu.run({"z": X})
    with pytest.raises(TypeError, match="expected a dict or list of arrays"):
        relu.run(X)
    with pytest.raises(TypeError, match="input 'x'"):
        relu.run([["a", "b"]])


def test_a_wrong_size_is_a_run_error(relu):
    with pytest.raises(dlc.RunError, match="dimension 1 is 4, expected 3") as error:
        relu.run([np.zeros((2, 4), np.float32)])
    assert error.value.status == 3
    assert "input 'x'" in error.value.message


def test_equal_names_of_dimensions_must_agree():
    node = helper.make_node("Add", ["a", "b"], ["c"])
    values = [(name, TensorProto.FLOAT, ("n",)) for name in "abc"]
    model = dlc.compile(make_model([node], values[:2], values[2:]))
    with pytest.raises(dlc.RunError, match="dimension 0 is 3"):
        model.run([np.zeros(2, np.float32), np.zeros(3, np.float32)])


def test_names_all_unsupported_operators():
    nodes = [
        helper.make_node("Nonesuch", ["x"], ["t"], name="first", domain="com.example"),
        helper.make_node("Relu", ["t"], ["u"]),
        helper.make_node("Neither", ["u"], ["y"], name="second", domain="com.example"),
    ]
    model = make_model(
        nodes,
        [("x", TensorProto.FLOAT, (2,))],
        [("y", TensorProto.FLOAT, (2,))],
        value_info=[
            helper.make_tensor_value_info("t", TensorProto.FLOAT, (2,)),
            helper.make_tensor_value_info("u", TensorProto.FLOAT, (2,)),
        ],
    )
    model.opset_import.append(helper.make_opsetid("com.example", 1))
    with pytest.raises(dlc.UnsupportedError) as error:
        dlc.compile(model)
    texts = [d.text for d in error.value.diagnostics if d.severity == "error"]
    assert len(texts) == 2
    assert "node 'first'" in texts[0] and "com.example.Nonesuch" in texts[0]
    assert "node 'second'" in texts[1] and "com.example.Neither" in texts[1]


def test_wrong_models_and_arguments(tmp_path):
    with pytest.raises(dlc.CompileError, match="no such file|No such file|cannot") as error:
        dlc.compile(tmp_path / "missing.onnx")
    assert not isinstance(error.value, dlc.UnsupportedError)
    with pytest.raises(dlc.CompileError):
        dlc.compile(b"no model")
    with pytest.raises(TypeError, match="expected a path, bytes or an onnx.ModelProto"):
        dlc.compile(3)
    with pytest.raises(dlc.CompileError, match="nonesuch"):
        dlc.compile(make_unary("Relu"), target="nonesuch")
    with pytest.raises(dlc.CompileError, match="optimisation level of 0 to 3, found 9"):
        dlc.compile(make_unary("Relu"), opt_level=9)
    with pytest.raises(dlc.CompileError, match="cannot run code for aarch64|cannot run code for x86"):
        other = "x86_64" if "aarch64" in dlc.compile(make_unary("Relu")).target else "aarch64"
        dlc.compile(make_unary("Relu"), target=other)


def test_reads_files_and_writes_them(tmp_path):
    path = tmp_path / "my net.onnx"
    onnx.save(make_unary("Relu"), path)
    assert dlc.compile(path).name == "my_net"
    assert dlc.compile(str(path), name="other").name == "other"
    files = dlc.compile_to_file(path, tmp_path / "net.o", target="aarch64")
    assert files == [str(tmp_path / "net.o"), str(tmp_path / "net.h")]
    assert (tmp_path / "net.o").read_bytes()[:4] == b"\x7fELF"
    assert "my_net_run" in (tmp_path / "net.h").read_text()
    with pytest.raises(ValueError, match="expected one of obj"):
        dlc.compile_to_file(path, tmp_path / "net.o", emit=["exe"])


def test_two_models_at_once():
    relu, neg = dlc.compile(make_unary("Relu")), dlc.compile(make_unary("Neg"))
    np.testing.assert_array_equal(relu.run([X])[0], np.maximum(X, 0))
    np.testing.assert_array_equal(neg.run([X])[0], -X)
    del relu
    np.testing.assert_array_equal(neg.run([X])[0], -X)


def test_threads_share_a_model_and_compile():
    shared = dlc.compile(make_unary("Exp"))
    problems = []

    def work(seed):
        try:
            own = dlc.compile(make_unary("Neg"))
            for i in range(20):
                x = np.random.default_rng(seed * 100 + i).random((i, 3), np.float32)
                np.testing.assert_allclose(shared.run([x])[0], np.exp(x), rtol=1e-5)
                np.testing.assert_array_equal(own.run([x])[0], -x)
        except Exception as error:
            problems.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems


def test_memory_of_runs_is_kept():
    """What a run worked in serves the next one, as large as the largest needed."""
    nodes = [helper.make_node("Transpose", ["x"], ["t"]),
             helper.make_node("MatMul", ["x", "t"], ["p"]),
             helper.make_node("Exp", ["p"], ["s"]),
             helper.make_node("MatMul", ["s", "x"], ["y"])]  # fmt: skip
    proto = make_model(nodes, [("x", TensorProto.FLOAT, ["n", 3])],
                       [("y", TensorProto.FLOAT, ["n", 3])])  # fmt: skip
    model = dlc.compile(proto)

    def run(n):
        x = np.random.default_rng(n).standard_normal((n, 3)).astype(np.float32)
        expected = np.exp(x @ x.T) @ x
        np.testing.assert_allclose(model.run([x])[0], expected, rtol=1e-4, atol=1e-5)
        (workspace,) = model._workspaces
        return workspace.size

    small = run(5)
    large = run(200)
    assert large >= small + 4 * 200 * 200
    assert run(200) == run(5) == run(0) == large
    model.release()
    assert not model._workspaces and run(5) == small
    with pytest.raises(dlc.RunError):
        model.run([np.zeros((2, 4), np.float32)])
    assert run(200) == large


def test_weights_are_constants():
    weight = np.arange(6, dtype=np.float32).reshape(3, 2)
    model = make_model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [("x", TensorProto.FLOAT, ("n", 3))],
        [("y", TensorProto.FLOAT, ("n", 2))],
        initializer=[onnx.numpy_helper.from_array(weight, "w")],
    )
    compiled = dlc.compile(model)
    assert [info.name for info in compiled.inputs] == ["x"]
    np.testing.assert_allclose(compiled.run([X])[0], X @ weight, rtol=1e-6)


def test_backend():
    model = make_unary("Relu")
    assert dlc.backend.supports_device("CPU")
    assert not dlc.backend.supports_device("CUDA")
    assert dlc.backend.is_compatible(model)
    prepared = dlc.backend.prepare(model, "CPU")
    outputs = prepared.run([X])
    np.testing.assert_array_equal(outputs[0], np.maximum(X, 0))
    np.testing.assert_array_equal(outputs.y, np.maximum(X, 0))
    np.testing.assert_array_equal(dlc.backend.run_model(model, [X])[0], np.maximum(X, 0))
    with pytest.raises(ValueError, match="expected the device CPU, found CUDA"):
        dlc.backend.prepare(model, "CUDA")


def test_backend_runs_nodes():
    node = helper.make_node("Add", ["a", "b"], ["c"])
    result = dlc.backend.run_node(node, [X, X])
    np.testing.assert_array_equal(result[0], X + X)
    result = dlc.backend.run_node(node, {"a": X, "b": X}, outputs_info=[(X.dtype, X.shape)])
    np.testing.assert_array_equal(result.c, X + X)


def test_backend_runs_nodes_of_other_domains():
    node = helper.make_node("FusedMatMul", ["a", "b"], ["c"], domain="com.microsoft", transB=1)
    result = dlc.backend.run_node(node, [X, X], outputs_info=[(X.dtype, (2, 2))])
    np.testing.assert_allclose(result.c, X @ X.T)
