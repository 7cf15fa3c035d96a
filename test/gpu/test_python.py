"""Models for a GPU compiled in this process."""

import numpy as np
import pytest
from test_driver import NO_DEVICE, X, make_model

import dlc


def test_fallback_in_this_process(driver):
    driver.reset(devices=0)
    network = dlc.compile(make_model(), target="nvptx", gpu_fallback=True, remarks="map-kernels")
    np.testing.assert_array_equal(network.run([X])[0], 3 * X)
    assert any("elements a thread" in str(remark) for remark in network.diagnostics)


def test_no_device_in_this_process(driver):
    driver.reset(devices=0)
    with pytest.raises(dlc.RunError) as info:
        dlc.compile(make_model(), gpus="sm_80,sm_75").run([X])
    assert info.value.status == NO_DEVICE


def test_files(tmp_path):
    kinds = ["obj", "header", "ptx", "emulation"]
    paths = dlc.compile_to_file(make_model(), tmp_path / "x.o", emit=kinds, gpus="sm_80")
    assert [path.rsplit("/", 1)[1] for path in paths] == ["x.o", "x.h", "x.ptx", "x.emulation.o"]
    assert ".target sm_80" in (tmp_path / "x.ptx").read_text()


def test_fallback_without_a_gpu():
    with pytest.raises(dlc.CompileError, match="expected a GPU for a fallback to the CPU"):
        dlc.compile(make_model(), gpu_fallback=True)
