"""Bounds of dimensions that stay dynamic: --dim=seq=1..512."""

import os
import pathlib
import subprocess

import dlc
import numpy as np
import onnx
import pytest
from onnx import parser

BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", pathlib.Path(__file__).resolve().parents[2] / "build"))
MODEL = parser.parse_model(
    '<ir_version: 8, opset_import: ["": 17]> g (float[batch,seq] x, float[seq,4] w) => (float[batch,4] y) { y = MatMul(x, w) }'
)


def run(model, batch, seq):
    feeds = {"x": np.ones((batch, seq), np.float32), "w": np.ones((seq, 4), np.float32)}
    return model.run(feeds)["y"]


def test_sizes_within_and_outside():
    model = dlc.compile(MODEL, dims={"seq": (2, 512)})
    for seq in (2, 100, 512):
        np.testing.assert_array_equal(run(model, 3, seq), np.full((3, 4), seq, np.float32))
    for seq, message in [(1, "dimension 1 is 1, expected at least 2"), (513, "dimension 1 is 513, expected at most 512")]:
        with pytest.raises(dlc.RunError, match=message) as error:
            run(model, 3, seq)
        assert error.value.status == 3
    assert run(model, 0, 2).shape == (0, 4)
    assert run(dlc.compile(MODEL, dims={"seq": (0, 5), "batch": 2}), 2, 0).tolist() == [[0.0] * 4] * 2


@pytest.mark.parametrize("bounds", [(3, 2), (-1, 2), (1, 2, 3), ()])
def test_wrong_bounds(bounds):
    with pytest.raises(dlc.CompileError, match="expected one size of at least 0 for each dimension, or the least"):
        dlc.compile(MODEL, dims={"seq": bounds})


def test_unknown_name():
    with pytest.raises(dlc.CompileError, match="no dimension is named 'nope'; the model has 'batch', 'seq'"):
        dlc.compile(MODEL, dims={"nope": (1, 2)})


@pytest.mark.parametrize("flag", ["seq=..5", "seq=1..", "seq=5..4", "seq=-1..4", "=1..2", "seq=a..b"])
def test_wrong_flag(tmp_path, flag):
    onnx.save(MODEL, tmp_path / "m.onnx")
    done = subprocess.run([BUILD / "bin" / "dlc", "m.onnx", f"--dim={flag}"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 1
    assert f"expected --dim=name=size, or --dim=name=least..largest, found '{flag}'" in done.stderr


def test_header(tmp_path):
    onnx.save(MODEL, tmp_path / "m.onnx")
    subprocess.run([BUILD / "bin" / "dlc", "m.onnx", "--dim=seq=1..512", "-o", "m.o"], cwd=tmp_path, check=True)
    assert "dimension 1 of x, at least 1, at most 512 */" in (tmp_path / "m.h").read_text()
    twice = [BUILD / "bin" / "dlc", "m.onnx", "--dim=seq=1..512", "--dim=seq=3"]
    assert "expected one --dim for 'seq', found two" in subprocess.run(twice, cwd=tmp_path, capture_output=True, text=True).stderr
