"""A fixed sample of 300 of ONNX's node tests on an emulated GPU; the PTX of some
is assembled, too (bench/ptx --nodes does that with all)."""

import pathlib
import subprocess
import sys
import zlib

import emulated
import onnx
import pytest
from test_ptx import assemble

CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "conformance"
sys.path.insert(0, str(CONFORMANCE))
import cases  # noqa: E402

COUNT, ONE_IN = 300, 10
PASSING = set((CONFORMANCE / "passing.txt").read_text().split())
SAMPLE = sorted(
    (case for case in cases.load_cases(("node",)) if case.name in PASSING),
    key=lambda case: zlib.crc32(case.name.encode()),
)[:COUNT]


@pytest.mark.parametrize("case", SAMPLE, ids=lambda case: case.name)
def test_node(case, driver, tmp_path):
    model = case.load_model()
    network, kernels = emulated.compile(model, tmp_path, driver, "-O1")
    driver.reset(kernels)
    for inputs, expected in case.load_data(model):
        case.check(expected, list(network.run(inputs)))
        assert driver.error == ""
    if zlib.crc32(case.name.encode()) % ONE_IN:
        return
    onnx.save(model, tmp_path / "x.onnx")
    for arch in ("sm_70", "sm_90a"):
        ptx = tmp_path / "x.ptx"
        command = ["dlc", "-O1", tmp_path / "x.onnx", f"--gpu={arch}", "--emit=ptx", "-o", ptx]
        subprocess.run(command, check=True)
        assert ".entry" not in ptx.read_text() or assemble(ptx, arch)
