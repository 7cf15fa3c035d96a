"""The host part of a model for a GPU: what it asks of the driver, in which
order, and what it does when the driver fails."""

import subprocess
import sys
import threading

import emulated
import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper
from test_ptx import find_ptxas

import dlc

OUT_OF_MEMORY, LAUNCH_FAILED, INVALID_PTX = 2, 719, 218
NO_DEVICE, DEVICE, DEVICE_MEMORY = 11, 12, 13
X = np.arange(32, dtype=np.float32).reshape(4, 8)


def make_model(rows="rows"):
    """y = relu(x) @ w + x"""
    weight = numpy_helper.from_array(np.eye(8, dtype=np.float32) * 2, "w")
    nodes = [
        helper.make_node("Relu", ["x"], ["a"]),
        helper.make_node("MatMul", ["a", "w"], ["b"]),
        helper.make_node("Add", ["b", "x"], ["y"]),
    ]
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, 8])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, 8])
    graph = helper.make_graph(nodes, "g", [x], [y], [weight])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.fixture(scope="module")
def compiled(driver, tmp_path_factory):
    """A function that gives a model which no test has opened: a copy of its
    library, whose state is its own."""
    made = {}

    def load(*flags, model=None, gpu="sm_80", rows="rows"):
        key = (*flags, gpu, rows)
        if key not in made:
            folder = tmp_path_factory.mktemp("model")
            emulated.compile(make_model(rows), folder, driver, *flags, gpu=gpu)
            made[key] = folder
        folder = tmp_path_factory.mktemp("copy")
        library = folder / "network.so"
        library.write_bytes((made[key] / "network.so").read_bytes())
        return dlc.load(library, name="network"), made[key] / "network.kernels.so"

    return load


def run_fails(network, x=X):
    """The status and message of a run that fails."""
    with pytest.raises(dlc.RunError) as info:
        network.run([x])
    return info.value.status, str(info.value)


def test_calls_of_a_static_model(compiled, driver):
    network, kernels = compiled(rows=4)
    driver.reset(kernels)
    before = driver.held
    for _ in range(2):
        (y,) = network.run([X])
        np.testing.assert_array_equal(y, 3 * X)
    assert driver.error == ""
    # The code and the weights once; in each run input, launches, output.
    calls = [call.split()[0] for call in driver.calls]
    launches = sum(call == "cuLaunchKernel" for call in calls) // 2
    assert 1 <= launches < 3, "a graph would be made"
    run = ["cuMemcpyHtoDAsync", *["cuLaunchKernel"] * launches,
           "cuMemcpyDtoHAsync", "cuStreamSynchronize"]  # fmt: skip
    order = [call for call in calls if call != "cuMemAlloc"]
    assert order == ["cuModuleLoadDataEx", "cuMemcpyHtoDAsync", "cuStreamSynchronize", *run, *run]
    assert [c for c in driver.calls if "Memcpy" in c][1:3] == [
        "cuMemcpyHtoDAsync 128", "cuMemcpyDtoHAsync 128"]  # fmt: skip
    first, second = "\n".join(driver.calls).split("cuMemcpyDtoHAsync", 1)
    assert "cuMemAlloc" in first and "cuMemAlloc" not in second
    assert driver.held > before


def test_empty_tensors(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels)
    (y,) = network.run([np.zeros((0, 8), np.float32)])
    assert y.shape == (0, 8) and driver.error == ""
    assert not any("Launch" in call for call in driver.calls)


@pytest.mark.parametrize(
    "call, code, status, words",
    [
        ("cuInit", 999, DEVICE, "cuInit: CUDA_ERROR_UNKNOWN (a failure)"),
        ("cuDeviceGetCount", 999, DEVICE, "cuDeviceGetCount"),
        ("cuDeviceGet", 999, DEVICE, "cuDeviceGet"),
        ("cuDeviceGetAttribute", 999, DEVICE, "cuDeviceGetAttribute"),
        ("cuDevicePrimaryCtxRetain", OUT_OF_MEMORY, DEVICE_MEMORY, "cuDevicePrimaryCtxRetain"),
        ("cuCtxPushCurrent", 999, DEVICE, "cuCtxPushCurrent"),
        ("cuModuleLoadDataEx", INVALID_PTX, DEVICE, "cuModuleLoadDataEx"),
        ("cuModuleGetFunction", 999, DEVICE, "cuModuleGetFunction"),
        ("cuStreamCreate", 999, DEVICE, "cuStreamCreate"),
        ("cuEventCreate", 999, DEVICE, "cuEventCreate"),
        ("cuMemAlloc", OUT_OF_MEMORY, DEVICE_MEMORY,
         "cuMemAlloc: CUDA_ERROR_OUT_OF_MEMORY (out of memory)"),
        ("cuMemcpyHtoDAsync", 999, DEVICE, "cuMemcpyHtoDAsync"),
        ("cuStreamSynchronize", 999, DEVICE, "cuStreamSynchronize"),
    ],
)  # fmt: skip
def test_failure_while_opening_leaves_nothing(call, code, status, words, compiled, driver):
    network, kernels = compiled(rows=4)
    driver.reset(kernels)
    before = driver.held
    driver.fail(call, 0, code)
    found, message = run_fails(network)
    assert found == status and f"network: {words}" in message
    # A model that is open stays open; a failure while it opens leaves nothing.
    if call not in ("cuStreamCreate", "cuEventCreate"):
        assert driver.held == before
    # The next run tries again.
    (y,) = network.run([X])
    np.testing.assert_array_equal(y, 3 * X)
    assert driver.error == ""


@pytest.mark.parametrize(
    "call, code, status",
    [
        ("cuLaunchKernel", LAUNCH_FAILED, DEVICE),
        ("cuMemcpyHtoDAsync", 999, DEVICE),
        ("cuMemcpyDtoHAsync", 999, DEVICE),
        ("cuStreamSynchronize", LAUNCH_FAILED, DEVICE),
        ("cuCtxPushCurrent", 999, DEVICE),
    ],
)
def test_failure_in_a_run_leaks_nothing(call, code, status, compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels)
    x = np.ones((2000, 8), np.float32)
    for value in (X, x, X, x):
        network.run([value])
    held = driver.held
    driver.fail(call, 0, code)
    # Of a shape that no graph was made for.
    found, message = run_fails(network, x[1:])
    assert found == status and call in message
    assert driver.held <= held
    for value in (X, x):
        np.testing.assert_array_equal(network.run([value])[0], 3 * value)
    assert driver.held <= held and driver.error == ""


def test_out_of_memory_in_a_run(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels)
    network.run([X])
    held = driver.held
    driver.reset(kernels, memory=1)
    status, message = run_fails(network, np.ones((2000, 8), np.float32))
    assert status == DEVICE_MEMORY and "CUDA_ERROR_OUT_OF_MEMORY" in message
    assert driver.held <= held
    driver.reset(kernels)
    np.testing.assert_array_equal(network.run([X])[0], 3 * X)
    assert driver.error == ""


def test_kept_memory_is_given_back_where_it_runs_out(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels)
    x = np.ones((1500, 8), np.float32)
    network.run([x[:1000]])
    buffers = [c for c in driver.calls if c.startswith("cuMemAlloc 32")]
    assert len(buffers) >= 2
    # Room for one more than there are, but not for as many again.
    driver.reset(kernels, memory=driver.in_use + x.nbytes + 512)
    np.testing.assert_array_equal(network.run([x])[0], 3 * x)
    assert driver.error == ""


def test_no_device(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels, devices=0)
    before = driver.held
    status, message = run_fails(network)
    assert status == NO_DEVICE and "network: the NVIDIA driver finds no GPU" in message
    assert driver.held == before


def test_older_device(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels, capability=75)
    before = driver.held
    status, message = run_fails(network)
    assert status == NO_DEVICE and "but this GPU is sm_75" in message
    assert driver.held == before


@pytest.mark.parametrize(
    "capability, chosen", [(75, "sm_75"), (80, "sm_80"), (86, "sm_80"), (90, "sm_90a"),
                           (100, "sm_80")]
)  # fmt: skip
def test_best_image(capability, chosen, compiled, driver):
    network, kernels = compiled(gpu="sm_90a,sm_75,sm_80")
    driver.reset(kernels, capability=capability)
    network.run([X])
    assert driver.calls[0] == f"cuModuleLoadDataEx {chosen}"


@pytest.mark.parametrize(
    "capability, chosen", [(75, "sm_75"), (80, "cubin"), (86, "cubin"), (90, "cubin"),
                           (100, "sm_75")]
)  # fmt: skip
def test_machine_code(capability, chosen, compiled, driver, monkeypatch):
    monkeypatch.setenv("DLC_PTXAS", str(find_ptxas()))
    gpu = "sm_80,sm_90a" if chosen == "cubin" else "sm_75,sm_80"
    network, kernels = compiled("--embed=cubin", gpu=gpu)
    driver.reset(kernels, capability=capability)
    np.testing.assert_array_equal(network.run([X])[0], 3 * X)
    # A cubin of sm_75 runs on 7.5, too.
    assert driver.calls[0].split()[1] == ("cubin" if capability == 75 else chosen)


def test_no_assembler(driver, tmp_path, monkeypatch):
    monkeypatch.setenv("DLC_PTXAS", str(tmp_path / "none"))
    with pytest.raises(emulated.Failure, match="--embed=cubin needs ptxas, and DLC_PTXAS names "
                       "no program"):  # fmt: skip
        emulated.compile(make_model(), tmp_path, driver, "--embed=cubin")
    monkeypatch.setenv("DLC_PTXAS", "/bin/false")
    with pytest.raises(emulated.Failure, match="/bin/false could not assemble the kernels for sm_80"):
        emulated.compile(make_model(), tmp_path, driver, "--embed=cubin")


@pytest.mark.parametrize("rows", [4, "rows"])
@pytest.mark.parametrize("reason", [{"devices": 0}, {"capability": 70}], ids=str)
def test_fallback(rows, reason, compiled, driver):
    network, kernels = compiled("--gpu-fallback", rows=rows)
    driver.reset(kernels, **reason)
    (y,) = network.run([X])
    np.testing.assert_array_equal(y, 3 * X)
    assert not any("Launch" in call for call in driver.calls)
    # And the GPU where there is one.
    driver.reset(kernels)
    (y,) = network.run([X])
    np.testing.assert_array_equal(y, 3 * X)
    assert any("Launch" in call for call in driver.calls)


def test_other_failures_do_not_fall_back(compiled, driver):
    network, kernels = compiled("--gpu-fallback")
    driver.reset(kernels)
    driver.fail("cuMemAlloc", 0, OUT_OF_MEMORY)
    assert run_fails(network)[0] == DEVICE_MEMORY


def test_threads_at_once(compiled, driver):
    network, kernels = compiled()
    driver.reset(kernels)
    wrong = []

    def work(number):
        x = np.full((number + 1, 8), number, np.float32)
        for _ in range(20):
            (y,) = network.run([x])
            if not np.array_equal(y, 3 * x):
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == [] and driver.error == ""
    assert sum("cuModuleLoadDataEx" in call for call in driver.calls) == 1


def test_no_driver(driver, tmp_path):
    """In a process of its own, which has no library of that name."""
    emulated.compile(make_model(), tmp_path, driver, name="bare")
    script = f"""
import ctypes, numpy, dlc
try:
    ctypes.CDLL("libcuda.so.1")
except OSError:
    network = dlc.load({str(tmp_path / "bare.so")!r}, name="bare")
    try:
        network.run([numpy.ones((2, 8), numpy.float32)])
    except dlc.RunError as error:
        print(error.status, error)
else:
    print("there is a driver")
"""
    found = subprocess.run(
        [sys.executable, "-c", script], check=True, capture_output=True, text=True
    ).stdout
    if "there is a driver" in found:
        pytest.skip("this machine has a driver")
    assert found.startswith(f"{NO_DEVICE} bare: no NVIDIA driver: libcuda.so.1 is not there")


def test_undefined_symbols(compiled, tmp_path, driver):
    emulated.compile(make_model(), tmp_path, driver, "--gpu-fallback", "--threads=1", name="symbols")
    text = subprocess.run(
        ["nm", "-u", tmp_path / "symbols.o"], check=True, capture_output=True, text=True
    ).stdout
    allowed = {"malloc", "free", "memcpy", "memset", "memmove", "dlopen", "dlsym",
               "posix_memalign", "pthread_mutex_lock", "pthread_mutex_unlock"}  # fmt: skip
    assert {line.split()[-1] for line in text.splitlines()} <= allowed
