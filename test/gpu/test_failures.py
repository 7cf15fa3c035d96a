"""What is left after a failure of any call of the driver or of malloc, of a
kernel, and after a release in the middle of runs: a status, a message, no
leak, and a right next run."""

import contextlib
import ctypes
import subprocess
import threading

import emulated
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_driver import DEVICE, DEVICE_MEMORY, X
from test_streams import make_model

import dlc
from dlc.model import Call

OUT_OF_MEMORY, MEMORY = 2, 6


def make(nodes, rows=4, constants=()):
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 8])
    graph = helper.make_graph(nodes, "g", [x], [y], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def make_loop():
    """y = 4x, and again until an element that the host reads is large enough: 16x."""
    def info(name, kind, shape):
        return helper.make_tensor_value_info(name, kind, shape)

    body = helper.make_graph(
        [helper.make_node("Mul", ["a", "four"], ["b"]),
         helper.make_node("ReduceMax", ["b"], ["most"], keepdims=0),
         helper.make_node("Less", ["most", "limit"], ["again"])],
        "body",
        [info("i", TensorProto.INT64, []), info("c", TensorProto.BOOL, []),
         info("a", TensorProto.FLOAT, [4, 8])],
        [info("again", TensorProto.BOOL, []), info("b", TensorProto.FLOAT, [4, 8])],
    )  # fmt: skip
    constants = [numpy_helper.from_array(np.float32(4), "four"),
                 numpy_helper.from_array(np.float32(31 * 16), "limit")]  # fmt: skip
    return make([helper.make_node("Loop", ["", "", "x"], ["y"], body=body)], constants=constants)


def make_host(rows=4):
    """y = 16x, on its way by strings."""
    weight = numpy_helper.from_array(np.eye(8, dtype=np.float32) * 4, "w")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["a"]),
        helper.make_node("Cast", ["a"], ["s"], to=TensorProto.STRING),
        helper.make_node("Cast", ["s"], ["b"], to=TensorProto.FLOAT),
        helper.make_node("MatMul", ["b", "w"], ["y"]),
    ]
    return make(nodes, rows, [weight])


MODELS = {
    "static": lambda: make_model(4),
    "dynamic": make_model,
    "loop": make_loop,
    "host": make_host,
    "dynamic host": lambda: make_host("rows"),
}
STATIC = [kind for kind in MODELS if "dynamic" not in kind]


@pytest.fixture(scope="module")
def compiled(driver, tmp_path_factory):
    """A function that gives a model which no test has opened, its kernels and
    what its memory is taken from."""
    made = {}

    def load(kind):
        if kind not in made:
            folder = tmp_path_factory.mktemp("model")
            guard = folder / "guard.o"
            source = emulated.HERE / "guard_malloc.c"
            subprocess.run(["cc", "-c", "-O1", "-fPIC", source, "-o", guard], check=True)
            # What dlc frees itself is not the model's.
            wraps = [guard, "-Wl,--wrap=malloc,--wrap=free"] if kind in STATIC else []
            emulated.compile(MODELS[kind](), folder, driver, "--disable-pass=dlc-multiply-out",
                             link=wraps)  # fmt: skip
            made[kind] = folder
        library = tmp_path_factory.mktemp("copy") / "network.so"
        library.write_bytes((made[kind] / "network.so").read_bytes())
        network = dlc.load(library, name="network")
        return network, made[kind] / "network.kernels.so", ctypes.CDLL(str(library))

    return load


def check(call):
    np.testing.assert_array_equal(call.take()[0], 16 * X)


def scenario(network, x, stream, calls):
    """Runs of all kinds, whose results are checked; `x` is on the device. What
    they write to stays in `calls`."""
    for _ in range(3):
        np.testing.assert_array_equal(network.run([X])[0], 16 * X)
    for _ in range(2):
        for call in (Call(network, [x], stream=stream, asynchronous=True),
                     Call(network, [X], asynchronous=True)):  # fmt: skip
            calls.append(call)
            call()
    network.synchronize()
    for call in calls:
        check(call)
    network.release()


# What cannot be given back of a session does not make a run wrong. (cuMemFree
# frees memory of sessions, too, and the weights.)
SILENT = {"cuStreamDestroy", "cuEventDestroy", "cuGraphDestroy", "cuGraphExecDestroy"}
LOST = {*SILENT, "cuMemFree", "cuModuleUnload", "cuDevicePrimaryCtxRelease"}


def give_back(network, driver, stream):
    with contextlib.suppress(dlc.RunError):
        network.synchronize()
    network.release()
    # What failed to wait for a stream has not waited.
    driver.library.fake_cuda_forget(ctypes.c_void_p(stream))


@pytest.mark.parametrize("kind", MODELS)
def test_a_failure_of_each_call(kind, compiled, driver):
    """Every call that a scenario makes fails once."""
    network, kernels, _ = compiled(kind)
    stream, x = driver.stream(), emulated.DeviceArray(driver, X, offset=4)
    driver.reset(kernels)
    scenario(network, x, stream, [])
    assert driver.error == ""
    counts = driver.counts
    fewest = 25 if "host" not in kind and kind != "loop" else 20
    assert len(counts) >= fewest and sum(counts.values()) > 60, counts
    for name, count in counts.items():
        for number in range(count):
            code = OUT_OF_MEMORY if name == "cuMemAlloc" else 999
            driver.reset(kernels)
            before = driver.held
            driver.fail(name, number, code)
            where = f"{name} {number}"
            calls = []
            try:
                scenario(network, x, stream, calls)
                # Runs that go on, and those that find memory to give back.
                assert name in (*SILENT, "cuMemFree", "cuCtxPopCurrent", "cuMemAlloc"), where
            except dlc.RunError as error:
                assert name not in SILENT and name in str(error), where
                assert error.status in (DEVICE, DEVICE_MEMORY)
                give_back(network, driver, stream)
            assert driver.error == "", where
            assert driver.held - before == (name in LOST), where
    scenario(network, x, stream, [])


@pytest.mark.parametrize("kind", STATIC)
def test_a_failure_of_each_malloc(kind, compiled, driver):
    """Blocks of the model are guarded, so that a wrong access ends the test."""
    network, kernels, guard = compiled(kind)
    stream, x = driver.stream(), emulated.DeviceArray(driver, X, offset=4)
    driver.reset(kernels)
    guard.guard_fail(-1)
    scenario(network, x, stream, [])
    count = guard.guard_calls()
    assert count >= 3 and guard.guard_live() == 0
    failures = 0
    for number in range(count):
        before = driver.held
        guard.guard_fail(number)
        calls = []
        try:
            scenario(network, x, stream, calls)
        except dlc.RunError as error:
            assert error.status == MEMORY and "memory" in str(error), number
            failures += 1
            give_back(network, driver, stream)
        assert driver.error == "" and driver.held == before, number
        assert guard.guard_live() == 0, number
    # Without the entry for a graph a run goes on.
    # Without an entry for a graph a run goes on.
    assert failures > count / 2
    guard.guard_fail(-1)
    scenario(network, x, stream, [])


@pytest.mark.parametrize("kind", MODELS)
def test_a_kernel_that_fails(kind, compiled, driver):
    """The context is of no use then, until all of it has been given back."""
    network, kernels, _ = compiled(kind)
    before, launches, device = driver.held, 0, 3  # which no other model holds

    def synchronize():
        network.synchronize(device)

    for after in range(1000):
        driver.reset(kernels, devices=4)
        driver.break_launch(after)
        call = Call(network, [X], asynchronous=True, device=device)
        failed = []
        for step in (call, synchronize, call, network.release):
            try:
                step()
            except dlc.RunError as error:
                assert error.status == DEVICE and "CUDA_ERROR_LAUNCH_FAILED" in str(error)
                failed.append(step)
        assert driver.error == "" and driver.held == before, after
        if not failed:
            break
        # In the run itself, or where it is waited for, and from then on.
        assert failed[-1] == network.release and (call in failed or synchronize in failed)
        call()
        synchronize()
        check(call)
        network.release()
        launches += 1
    assert launches >= 2


@pytest.mark.parametrize("kind", ["static", "dynamic", "host"])
def test_a_release_in_the_middle_of_runs(kind, compiled, driver):
    network, kernels, _ = compiled(kind)
    driver.reset(kernels)
    before, wrong = driver.held, []

    def work(is_asynchronous):
        for _ in range(200):
            call = Call(network, [X], asynchronous=is_asynchronous)
            call()
            if is_asynchronous:
                network.synchronize()
            if not np.array_equal(call.take()[0], 16 * X):
                wrong.append(call)

    threads = [threading.Thread(target=work, args=(i % 2 == 0,)) for i in range(4)]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        network.release()
    for thread in threads:
        thread.join()
    network.release()
    assert wrong == [] and driver.error == "" and driver.held == before
