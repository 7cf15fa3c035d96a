"""The work of the phase simplify grows as the graph does: rewrites are counted,
not timed."""

import pathlib
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import helper

sys.path.append(str(pathlib.Path(__file__).parent))

from emit_common import DLC, make_model  # noqa: E402

node = helper.make_node


def chain(blocks):
    """Convolution, scale, a reshape that is none, Identity, activation."""
    constants = {"w": np.full((4, 4, 1, 1), 0.1, np.float32), "s": np.full((4, 1, 1), 2, np.float32)}
    nodes, x = [], "x"
    for i in range(blocks):
        nodes += [node("Conv", [x, "w"], [f"a{i}"]), node("Mul", [f"a{i}", "s"], [f"b{i}"]),
                  node("Identity", [f"b{i}"], [f"c{i}"]), node("Sigmoid", [f"c{i}"], [f"d{i}"]),
                  node("Mul", [f"c{i}", f"d{i}"], [f"e{i}"])]  # fmt: skip
        x = f"e{i}"
    nodes.append(node("Relu", [x], ["y"]))
    return make_model(nodes, {"x": [1, 4, 2, 2]}, {"y": [1, 4, 2, 2]}, constants)


def branches(blocks):
    """Many users of one tensor, equal ones among them, summed up."""
    nodes, total = [], "x"
    for i in range(blocks):
        nodes += [node("Transpose", ["x"], [f"a{i}"], perm=[0, 1, 3, 2]),
                  node("LeakyRelu", [f"a{i}"], [f"b{i}"], alpha=0.001 * i),
                  node("Identity", [f"b{i}"], [f"c{i}"]),
                  node("Transpose", [f"c{i}"], [f"d{i}"], perm=[0, 1, 3, 2]),
                  node("Add", [total, f"d{i}"], [f"e{i}"])]  # fmt: skip
        total = f"e{i}"
    nodes.append(node("Relu", [total], ["y"]))
    return make_model(nodes, {"x": [1, 4, 2, 2]}, {"y": [1, 4, 2, 2]})


def attentions(blocks):
    """Layers of unknown sizes, with a mask of one number a token."""
    blocks //= 3  # of 14 nodes each
    constants = {w: np.full((8, 8), 0.1, np.float32) for w in "abc"} | {
        "s": np.array([0, -1, 2, 4]), "j": np.array([0, 0, 8]), "axes": np.array([1, 2])}  # fmt: skip
    nodes, x = [node("Unsqueeze", ["m", "axes"], ["mask"])], "x"
    for i in range(blocks):
        for w, p, perm in (("a", "q", [0, 2, 1, 3]), ("b", "k", [0, 2, 3, 1]), ("c", "v", [0, 2, 1, 3])):
            nodes += [node("MatMul", [x, w], [f"{p}p{i}"]), node("Reshape", [f"{p}p{i}", "s"], [f"{p}r{i}"]),
                      node("Transpose", [f"{p}r{i}"], [f"{p}{i}"], perm=perm)]  # fmt: skip
        nodes += [node("MatMul", [f"q{i}", f"k{i}"], [f"s{i}"]), node("Add", [f"s{i}", "mask"], [f"t{i}"]),
                  node("Softmax", [f"t{i}"], [f"u{i}"]), node("MatMul", [f"u{i}", f"v{i}"], [f"o{i}"]),
                  node("Transpose", [f"o{i}"], [f"w{i}"], perm=[0, 2, 1, 3]),
                  node("Reshape", [f"w{i}", "j"], [f"x{i}"])]  # fmt: skip
        x = f"x{i}"
    nodes.append(node("Relu", [x], ["y"]))
    return make_model(nodes, {"x": ["b", "s", 8], "m": ["b", "s"]}, {"y": ["b", "s", 8]}, constants)


def count_remarks(model, tmp_path):
    path = tmp_path / "in.onnx"
    onnx.save(model, path)
    # The evaluation of constants is the work of other phases.
    done = subprocess.run(
        [DLC, path, "--emit=onnx", "-o", tmp_path / "out.onnx", "--opset=24", "--remarks",
         "--disable-pass=dlc-fold-constants"],
        capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return len(re.findall(r"remark: .*\[dlc-", done.stderr))


@pytest.mark.parametrize("make", [chain, branches, attentions])
def test_rewrites(make, tmp_path):
    """Of 20,000 nodes ten times as many as of 2,000; within a time limit that
    work of another order would not keep."""
    few, many = (count_remarks(make(n), tmp_path) for n in (400, 4000))
    assert few >= 400
    assert many <= 10.1 * few
