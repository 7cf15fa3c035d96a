"""What bench/gpu says of peers that it cannot measure."""

import pathlib
import sys
import types

import pytest

sys.path.append(str(pathlib.Path(__file__).resolve().parents[2] / "bench"))

import gpu  # noqa: E402


@pytest.fixture
def packages(monkeypatch):
    """Sets what can be imported."""

    def set_packages(**modules):
        for name in ("onnxruntime", "triton"):
            monkeypatch.setitem(sys.modules, name, modules.get(name))
        monkeypatch.setattr(
            gpu.importlib.util, "find_spec", lambda name: modules.get(name)
        )

    return set_packages


def make_onnxruntime(*providers):
    return types.SimpleNamespace(
        __version__="1.0", get_available_providers=lambda: list(providers)
    )


def test_onnxruntime_needs_its_package_for_cuda(packages):
    packages()
    assert gpu.find_missing("onnxruntime") == "no Python package onnxruntime-gpu"
    packages(onnxruntime=make_onnxruntime("CPUExecutionProvider"))
    assert "onnxruntime 1.0 has no CUDA" in gpu.find_missing("onnxruntime")
    packages(onnxruntime=make_onnxruntime("CUDAExecutionProvider"))
    assert gpu.find_missing("onnxruntime") == ""


def test_torch_compile_needs_triton_and_a_compiler(packages, monkeypatch):
    packages()
    assert "triton" in gpu.find_missing("compile")
    packages(triton=types.SimpleNamespace())
    monkeypatch.setattr(gpu.shutil, "which", lambda name: None)
    assert "C compiler" in gpu.find_missing("compile")
    monkeypatch.setattr(gpu.shutil, "which", lambda name: name if name == "gcc" else None)
    assert gpu.find_missing("compile") == ""


def test_pytorch_itself_is_never_skipped(packages):
    packages()
    assert gpu.find_missing("pytorch") == gpu.find_missing("graph") == ""


def test_a_peer_that_fails_is_named_with_the_reason(capsys):
    task = gpu.Work("gemm", lambda torch: None, [(2, 2)], "half")
    gpu.skip_peer(task, "compile", RuntimeError("no compiler\nand more"))
    assert capsys.readouterr().out.split() == (
        "gemm half compile skipped: RuntimeError: no compiler".split()
    )
