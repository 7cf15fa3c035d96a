"""A Jetson's object: a host of AArch64, run under its emulator, with a GPU."""

import subprocess
import sys

import emulated
import numpy as np
import onnx
import pytest
from test_ptx import assemble
from test_streams import make_model

sys.path.insert(0, str(emulated.HERE.parents[1] / "bench"))
import objects  # noqa: E402

CC = objects.CROSS["aarch64"][0]


@pytest.mark.parametrize("rows", [4, "rows"])
def test_host_of_aarch64(rows, tmp_path, monkeypatch):
    model = tmp_path / "network.onnx"
    onnx.save(make_model(rows), model)
    flags = ["--gpu=sm_72,sm_87", "--emit=obj,header,emulation"]
    found = objects.compile(model, tmp_path, "aarch64", flags)
    names = subprocess.run(["nm", "-u", found.path], check=True, capture_output=True, text=True)
    assert {"dlopen", "dlsym"} <= set(names.stdout.split())
    flags = [CC, "-O1", "-shared", "-fPIC"]
    driver, kernels = tmp_path / "libcuda.so.1", tmp_path / "kernels.so"
    here, emulation = emulated.HERE, tmp_path / "network.emulation.o"
    subprocess.run([*flags, here / "fake_cuda.c", "-o", driver, "-lpthread"], check=True)
    subprocess.run([*flags, here / "emulator.c", here / "emulator_warp.c", emulation,
                    "-o", kernels, "-lm"], check=True)  # fmt: skip
    x = np.random.default_rng(0).standard_normal((4, 8)).astype(np.float32)
    # Without a driver there is none.
    with pytest.raises(RuntimeError, match="libcuda.so.1 is not there"):
        objects.run_emulated(found, [x], [x.dtype])
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("FAKE_CUDA_KERNELS", str(kernels))
    monkeypatch.setenv("FAKE_CUDA_CAPABILITY", "87")
    (y,) = objects.run_emulated(found, [x], [x.dtype])
    np.testing.assert_array_equal(y, 16 * x)
    # What its GPU gets is code that ptxas takes.
    ptx = tmp_path / "x.ptx"
    subprocess.run(["dlc", model, "--gpu=sm_87", "--emit=ptx", "-o", ptx], check=True)
    assert assemble(ptx, "sm_87")
