"""The PTX of networks is assembled by NVIDIA's ptxas, for every architecture,
and its report read."""

import pathlib
import re
import subprocess
import sys

import onnx
import pytest
from test_networks import make_lstm, make_perceptron, make_squeezenet

ARCHITECTURES = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100"]
MODELS = {"perceptron": make_perceptron, "squeezenet": make_squeezenet, "lstm": make_lstm}


def find_ptxas() -> pathlib.Path:
    """The one that scripts/requirements.txt names, whatever the machine has:
    newer ones do not know all architectures."""
    (found,) = pathlib.Path(sys.prefix).glob(
        "lib/python3*/site-packages/nvidia/cuda_nvcc/bin/ptxas"
    )
    return found


def assemble(ptx: pathlib.Path, arch: str) -> dict[str, tuple[int, int]]:
    """For each kernel its registers and the bytes that it spills."""
    done = subprocess.run(
        [find_ptxas(), "-v", f"-arch={arch}", ptx, "-o", ptx.with_suffix(".cubin")],
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    kernels = {}
    for part in done.stderr.split("Compiling entry function '")[1:]:
        spilled = sum(map(int, re.findall(r"(\d+) bytes spill", part)))
        kernels[part.split("'")[0]] = (int(re.search(r"Used (\d+) registers", part)[1]), spilled)
    return kernels


@pytest.fixture(scope="module", params=MODELS)
def model(request, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / f"{request.param}.onnx"
    onnx.save(MODELS[request.param](), path)
    return path


@pytest.mark.parametrize("arch", ARCHITECTURES)
def test_assembles_without_spills(arch, model, tmp_path):
    ptx = tmp_path / "network.ptx"
    subprocess.run(["dlc", model, f"--gpu={arch}", "--emit=ptx", "-o", ptx], check=True)
    text = ptx.read_text()
    kernels = assemble(ptx, arch)
    assert len(kernels) == text.count(".entry") > 0
    for name, (registers, spilled) in kernels.items():
        assert spilled == 0, f"{name} spills {spilled} bytes"
        # All 256 threads of a block must fit.
        assert registers <= 65536 // 256, f"{name} has {registers} registers"
