"""Passes: leaving them out, adding them, and finding the wrong one."""

import importlib.util
import pathlib
import shutil
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlc
from dlc import bisect, verify

_spec = importlib.util.spec_from_file_location(
    "verify_common", pathlib.Path(__file__).with_name("common.py")
)
common = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(common)
run = common.run


@pytest.fixture
def net(tmp_path):
    path = tmp_path / "net.onnx"
    onnx.save(common.make_net(1), path)
    return path


def list_optional_passes():
    with pytest.raises(dlc.CompileError) as error:
        dlc.compile(common.make_net(1), disabled_passes=["nothing"])
    head, _, names = str(error.value).partition("these can be: ")
    assert "no pass of the pipeline is named 'nothing'" in head
    return names.split(", ")


OPTIONAL = list_optional_passes()


def check(batch, **options):
    model = common.make_net(batch)
    x = np.random.default_rng(0).uniform(-1, 1, (2, 3, 8, 8)).astype(np.float32)
    _, expected = verify.run_reference(model, {"x": x})
    compiled = dlc.compile(model, **options)
    _, excess, problem = verify.compare(compiled.run({"x": x})["y"], expected["y"])
    assert excess <= 1, problem
    return compiled


@pytest.mark.parametrize("name", OPTIONAL)
def test_each_optional_pass_can_be_left_out(name):
    compiled = check(2, disabled_passes=[name])
    assert not any(ran.endswith(":" + name) for ran in compiled.passes)
    assert len({ran.partition(":")[2] for ran in compiled.passes}) == len(OPTIONAL) - 1


@pytest.mark.parametrize("batch", [2, "batch"])
def test_all_optional_passes_can_be_left_out(batch):
    assert check(batch, disabled_passes=OPTIONAL).passes == []
    assert check(batch, pass_limit=0).passes == []


def test_pass_limit():
    every = check(2, pass_limit=1000).passes
    assert every[0] == "simplify:dlc-constants-to-initializers"
    assert check(2, pass_limit=5).passes == every[:5]


def test_command_line(net, tmp_path):
    out = tmp_path / "net.o"
    flags = ["--disable-pass=cse", "--disable-pass=dlc-fuse-epilogue", "-o", out]
    assert run(net, *flags) == (0, "", "")
    status, _, err = run(net, "--disable-pass=nobody")
    assert status == 1 and "no pass of the pipeline is named 'nobody'" in err and "cse" in err
    status, _, err = run(net, "--disable-pass=one-shot-bufferize")
    assert status == 1 and "the pass 'one-shot-bufferize' cannot be disabled" in err
    assert "bufferize" not in err.partition("these can be")[2]
    status, _, err = run(net, "--add-passes=graph:nobody")
    assert status == 1 and "'nobody' does not refer to a registered pass" in err
    status, _, err = run(net, "--add-passes=nowhere:cse")
    assert status == 1 and "expected one of the phases" in err and "'nowhere'" in err
    status, _, err = run(net, "--print-ir-after=nobody")
    assert status == 1 and "is named 'nobody'" in err


@pytest.mark.parametrize("form", ["direct", "winograd"])
def test_verify_a_form_of_convolutions(net, form):
    status, out, err = run("verify", net, f"--conv={form}")
    assert status == 0, out + err
    status, _, err = run("verify", net, "--conv=fastest")
    assert status == 1 and "winograd" in err


def test_verify_of_rounded_products(net):
    """Errors that are too large otherwise are not there."""
    status, out, err = run("verify", net, "--precision=bf16", "--all")
    assert status == 0, out + err
    value, reference = np.float32([1, 95]), np.float32([3, 100])
    assert verify.compare(value, reference)[1] > 1
    assert verify.compare(value, reference, "bf16")[1] == pytest.approx(0.5)
    assert verify.compare(np.float32([1, 89]), reference, "bf16")[1] > 1
    assert verify.compare(np.float32([1, np.nan]), reference, "bf16")[1] > 1
    assert verify.compare(np.float64([1, 95]), np.float64([3, 100]), "bf16")[1] > 1
    status, _, err = run("verify", net, "--precision=fp8")
    assert status == 2 and "fp8" in err


def test_verify_names_the_file_in_errors(tmp_path):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Zork", ["x"], ["y"], name="z", domain="my.domain")],
        "g",
        [value("x", TensorProto.FLOAT, [2])],
        [value("y", TensorProto.FLOAT, [2])],
    )
    imports = [helper.make_opsetid("", 18), helper.make_opsetid("my.domain", 1)]
    path = tmp_path / "odd.onnx"
    onnx.save(helper.make_model(graph, opset_imports=imports), path)
    status, _, err = run("verify", path)
    assert status == 1 and "odd.onnx: node 'z': error: operator my.domain.Zork" in err


def test_disabled_passes_do_nothing(net):
    """The IR has the scale that dlc-fold-scale folds into the weights."""
    flags = ["--to=graph", "--pass-pipeline=simplify:"]  # which folds it as well
    folded = run(net, *flags)[1]
    plain = run(net, *flags, "--disable-pass=dlc-fold-scale")[1]
    main = [text.partition("dialect_resources")[0] for text in (folded, plain)]
    assert "fused" not in main[0]
    assert main[0].count("dlc.mul") == 1 and main[1].count("dlc.mul") == 1
    assert main[0].index("dlc.mul") < main[0].index("dlc.conv")
    assert main[1].index("dlc.mul") > main[1].index("dlc.conv")


def test_names_the_planted_pass_and_the_node(net):
    broken = [f"--load-plugin={common.BREAK_PASS}", "--add-passes=graph:test-break"]
    status, out, err = run("verify", net, *broken)
    assert status == 1 and err == ""
    assert "first wrong value: 'f' of node 'tanh1' (Tanh)" in out
    assert "first wrong pass: test-break of the phase graph" in out
    # What is disabled does no harm.
    status, out, _ = run("verify", net, *broken, "--disable-pass=test-break")
    assert status == 0 and "all 10 values of 10 nodes are right" in out


class Fake:
    """Stands for dlc.compile: four passes, and a fault from a step on."""

    def __init__(self, monkeypatch, is_wrong):
        def compile(model, opt_level, pass_limit):
            class Compiled:
                passes = ["graph:a", "graph:b", "tensor:c", "tensor:a"][:pass_limit]
                wrong = is_wrong(pass_limit, opt_level)

            return Compiled

        monkeypatch.setattr(dlc, "compile", compile)

    def find(self):
        return bisect.find_culprit(None, lambda compiled: compiled.wrong)


def test_bisection(monkeypatch):
    for n, name, phase in [(1, "a", "graph"), (3, "c", "tensor"), (4, "a", "tensor")]:
        culprit = Fake(monkeypatch, lambda limit, level: limit >= n).find()
        assert culprit == bisect.Culprit("pass", name, phase, n, 4)
    culprit = Fake(monkeypatch, lambda limit, level: level >= 2).find()
    assert str(culprit) == "no optional pass is wrong: LLVM's optimisation is, from -O2 on"
    assert Fake(monkeypatch, lambda limit, level: True).find().kind == "required"


def test_what_is_missing_is_named(net, tmp_path):
    """An installation with a Python without packages, and one without any."""
    (tmp_path / "bin").mkdir()
    shutil.copy(common.DLC, tmp_path / "bin" / "dlc")
    python = tmp_path / "bin" / "python3"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S "$@"\n')
    python.chmod(0o755)

    def run_copy(**environment):
        import subprocess

        result = subprocess.run(
            [tmp_path / "bin" / "dlc", "verify", net],
            capture_output=True, text=True, env=environment,
        )  # fmt: skip
        return result.returncode, result.stderr

    status, err = run_copy(PATH="/nowhere")
    assert status == 1 and "verify needs python3, which is not in PATH" in err
    status, err = run_copy(PATH=str(tmp_path / "bin"))
    assert status == 1 and "the Python package dlc is not installed beside" in err
    package = tmp_path / "lib" / "python3" / "dist-packages" / "dlc"
    shutil.copytree(common.ROOT / "python" / "dlc", package)
    status, err = run_copy(PATH=str(tmp_path / "bin"))
    assert status == 1 and "missing: numpy, onnx, onnxruntime" in err and "pip install" in err


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--dim=n"], "expected --dim=name=size, found 'n'"),
        (["--inputs=none.npz"], "cannot read 'none.npz'"),
        (["--disable-pass=nobody"], "no pass of the pipeline is named 'nobody'"),
    ],
)
def test_errors_of_verify(net, flags, message):
    status, out, err = run("verify", net, *flags)
    assert status == 1 and message in err and "Traceback" not in err


def test_verify_of_no_model(tmp_path):
    status, _, err = run("verify", tmp_path / "none.onnx")
    assert status == 1 and "cannot read" in err and "Traceback" not in err
