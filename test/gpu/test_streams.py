"""The caller's stream, device and memory, asynchronous runs and graphs."""

import threading

import emulated
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_driver import NO_DEVICE, X, run_fails
from test_driver import make_model as make_small_model

import dlc
from dlc.model import Call

OPTIONS = 2


def make_model(rows="rows", layers=4):
    """y = 2^layers x, by products, each a launch or more."""
    weight = numpy_helper.from_array(np.eye(8, dtype=np.float32) * 2, "w")
    names = ["x", *(f"h{i}" for i in range(1, layers)), "y"]
    nodes = [
        helper.make_node("MatMul", [a, "w"], [b]) for a, b in zip(names, names[1:], strict=False)
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 8])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


def make_reshape():
    """The host reads the input `shape`."""
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("Reshape", ["a", "shape"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 8])
    shape = helper.make_tensor_value_info("shape", TensorProto.INT64, [2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["a", "b"])
    graph = helper.make_graph(nodes, "g", [x, shape], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


MODELS = {
    "static": lambda: make_model(4),
    "dynamic": make_model,
    "reshape": make_reshape,
    "small": make_small_model,
}


@pytest.fixture(scope="module")
def compiled(driver, tmp_path_factory):
    """A function that gives a model which no test has opened."""
    made = {}

    def load(kind, *flags):
        key = (kind, *flags)
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            # The products are to stay several launches.
            emulated.compile(MODELS[kind](), folder, driver, "--disable-pass=dlc-multiply-out",
                             *flags)  # fmt: skip
            made[key] = folder
        library = tmp_path_factory.mktemp("copy") / "network.so"
        library.write_bytes((made[key] / "network.so").read_bytes())
        return dlc.load(library, name="network"), made[key] / "network.kernels.so"

    return load


def names(driver):
    return [call.split()[0] for call in driver.calls]


@pytest.mark.parametrize("kind", ["static", "dynamic"])
def test_a_graph_from_the_second_run_on(kind, compiled, driver):
    network, kernels = compiled(kind)
    driver.reset(kernels)
    launches = []
    for factor in range(1, 6):
        np.testing.assert_array_equal(network.run([factor * X])[0], 16 * factor * X)
        launches.append((names(driver).count("cuLaunchKernel"),
                         names(driver).count("cuGraphLaunch")))  # fmt: skip
    first = launches[0][0]
    assert first >= 3
    assert launches == [(first, 0), *((2 * first, n) for n in range(1, 5))]
    assert names(driver).count("cuGraphInstantiate") == 1
    network.release()
    assert driver.error == ""


def test_graphs_of_many_shapes(compiled, driver):
    network, kernels = compiled("dynamic")
    driver.reset(kernels)
    before = driver.held
    for _ in range(3):
        for rows in range(12):
            x = np.full((rows, 8), rows + 1, np.float32)
            np.testing.assert_array_equal(network.run([x])[0], 16 * x)
    # One shape after the other comes back, and then one stays.
    for _ in range(3):
        network.run([X])
    assert names(driver)[-4:].count("cuGraphLaunch") == 1
    assert driver.error == ""
    network.release()
    assert driver.held == before


def test_graphs_go_with_the_memory_they_use(compiled, driver):
    network, kernels = compiled("dynamic")
    driver.reset(kernels)
    x = np.ones((1500, 8), np.float32)
    for _ in range(3):
        network.run([x[:1000]])
    driver.reset(kernels, memory=driver.in_use + 2 * x.nbytes)
    np.testing.assert_array_equal(network.run([x])[0], 16 * x)
    driver.reset(kernels)
    for _ in range(3):
        np.testing.assert_array_equal(network.run([x[:1000]])[0], 16 * x[:1000])
    assert driver.error == ""
    network.release()


def test_no_graph_where_the_host_reads(compiled, driver):
    network, kernels = compiled("reshape")
    driver.reset(kernels)
    for shape in ([8, 4], [2, 16], [2, 16], [32, 1]):
        (y,) = network.run([X, np.array(shape)])
        np.testing.assert_array_equal(y, X.reshape(shape))
    assert "cuStreamBeginCapture" not in names(driver)


@pytest.mark.parametrize("kind", ["static", "dynamic", "small"])
@pytest.mark.parametrize("offset", [0, 4])
def test_memory_of_the_device(kind, offset, compiled, driver):
    network, kernels = compiled(kind)
    driver.reset(kernels)
    before = driver.held
    factor = 3 if kind == "small" else 16
    x = emulated.DeviceArray(driver, X, offset=offset)
    y = emulated.DeviceArray(driver, np.zeros_like(X), offset=offset)
    call = Call(network, [x], outputs=[y])
    for _ in range(3):
        call()
        np.testing.assert_array_equal(y.read(), factor * X)
    # What begins at a multiple of 16 bytes is used as it is.
    assert ("cuMemcpyDtoDAsync" in names(driver)) == (offset != 0)
    assert not any("toH" in name for name in names(driver))
    assert names(driver).count("cuMemcpyHtoDAsync") == 1, "only the weights"
    # One of each kind.
    (result,) = network.run([x])
    np.testing.assert_array_equal(result, factor * X)
    Call(network, [2 * X], outputs=[y])()
    np.testing.assert_array_equal(y.read(), 2 * factor * X)
    assert driver.error == ""
    network.release()
    assert driver.held == before + 2


def test_the_host_reads_what_is_on_the_device(compiled, driver):
    network, kernels = compiled("reshape")
    driver.reset(kernels)
    shape = emulated.DeviceArray(driver, np.array([16, 2]))
    (y,) = network.run([X, shape])
    np.testing.assert_array_equal(y, X.reshape(16, 2))
    assert driver.error == ""


def test_arrays_on_the_device_are_checked(compiled, driver):
    network, kernels = compiled("static")
    driver.reset(kernels)
    with pytest.raises(TypeError, match="input 'x': expected the type float32, found int64"):
        network.run([emulated.DeviceArray(driver, X.astype(np.int64))])
    with pytest.raises(ValueError, match=r"input 'x': expected rank 2, found the shape \[32\]"):
        network.run([emulated.DeviceArray(driver, X.ravel())])
    with pytest.raises(ValueError, match="expected 1 outputs, found 2"):
        Call(network, [X], outputs=[None, None])
    small = emulated.DeviceArray(driver, X[:2])
    with pytest.raises(dlc.RunError, match="output 'y' .*needs 128 bytes, its capacity is 64"):
        Call(network, [X], outputs=[small])()


def test_devices(compiled, driver):
    network, kernels = compiled("static")
    driver.reset(kernels, devices=3)
    before = driver.held
    for device in (2, 0, 2, 2):
        call = Call(network, [X], device=device)
        call()
        np.testing.assert_array_equal(call.take()[0], 16 * X)
    assert sum("cuModuleLoadDataEx" in call for call in driver.calls) == 2
    there = emulated.DeviceArray(driver, X, device=1)
    with pytest.raises(dlc.RunError, match="input 'x': expected memory of the host or of device 0, "
                       "found device 1") as info:  # fmt: skip
        network.run([there])
    assert info.value.status == OPTIONS
    with pytest.raises(dlc.RunError, match="expected a device below 3, the number of GPUs, "
                       "found 3") as info:  # fmt: skip
        Call(network, [X], device=3)()
    assert info.value.status == OPTIONS
    with pytest.raises(dlc.RunError, match="expected a device of 0 or more"):
        Call(network, [X], device=-1)()
    assert driver.error == ""
    network.release()
    assert driver.held == before + 1


@pytest.mark.parametrize("own_stream", [True, False])
def test_asynchronous_runs(own_stream, compiled, driver):
    network, kernels = compiled("static")
    driver.reset(kernels)
    before = driver.held
    stream = 0 if own_stream else driver.stream()
    calls = []
    for factor in range(1, 5):
        call = Call(network, [factor * X], stream=stream, asynchronous=True)
        call._results[0].array.fill(0)
        calls.append(call)
        call()
    # No run waits. In one stream all share memory and a graph.
    assert "cuStreamSynchronize" not in names(driver)[names(driver).index("cuLaunchKernel") :]
    assert names(driver).count("cuGraphLaunch") == (0 if own_stream else 3)
    assert not calls[-1]._results[0].array.any()
    network.synchronize(stream=stream)
    for factor, call in enumerate(calls, 1):
        np.testing.assert_array_equal(call.take()[0], 16 * factor * X)
    # Those that have ended are used again.
    for i in range(8):
        if i == 4:
            held = driver.held
        Call(network, [X], asynchronous=True)()
        network.synchronize()
    assert driver.held <= held
    Call(network, [X], asynchronous=True)()
    network.release()
    assert driver.held == before + (not own_stream) and driver.error == ""


def test_waiting_for_another_stream(compiled, driver):
    network, kernels = compiled("static")
    driver.reset(kernels)
    one, other = driver.stream(), driver.stream()
    call = Call(network, [X], stream=one, asynchronous=True)
    call._results[0].array.fill(0)
    call()
    network.synchronize(stream=other)
    assert not call._results[0].array.any()
    network.synchronize(stream=one)
    np.testing.assert_array_equal(call.take()[0], 16 * X)
    network.release()


def test_a_stream_that_is_captured(compiled, driver):
    network, kernels = compiled("static")
    driver.reset(kernels)
    stream = driver.stream()
    driver.library.fake_cuda_capture(emulated.ctypes.c_void_p(stream), 1)
    with pytest.raises(dlc.RunError, match="expected a stream that is not captured") as info:
        Call(network, [X], stream=stream)()
    assert info.value.status == OPTIONS
    driver.library.fake_cuda_capture(emulated.ctypes.c_void_p(stream), 0)
    Call(network, [X], stream=stream)()
    network.release()
    assert driver.error == ""


def test_no_fallback_for_what_is_a_gpus(compiled, driver):
    network, kernels = compiled("static", "--gpu-fallback")
    driver.reset(kernels, capability=70)
    np.testing.assert_array_equal(network.run([X])[0], 16 * X)
    x = emulated.DeviceArray(driver, X)
    assert run_fails(network, x)[0] == NO_DEVICE
    with pytest.raises(dlc.RunError) as info:
        Call(network, [X], stream=driver.stream())()
    assert info.value.status == NO_DEVICE
    # It does nothing where there is nothing to wait for.
    network.synchronize()
    network.release()


def test_threads_with_streams(compiled, driver):
    network, kernels = compiled("dynamic")
    driver.reset(kernels, devices=2)
    wrong = []

    def work(number):
        stream = driver.stream(number % 2)
        for rows in (3, 3, 3, 5, 3, 4):
            x = np.full((rows, 8), number, np.float32)
            call = Call(network, [x], device=number % 2, stream=stream, asynchronous=True)
            call()
            network.synchronize(number % 2, stream)
            if not np.array_equal(call.take()[0], 16 * x):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and driver.error == ""
    network.release()
