"""dlc --remarks: what passes say about nodes."""

import os
import pathlib
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))

FUSED = "node 'act': remark: fused into the epilogue of 'mm' [dlc-fuse-epilogue]"
UNFUSED = "node 'other': remark: not fused into the epilogue of 'shared': others read it too"
KERNEL = "node 'mm': remark: kernel: "


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A product whose activation fuses, and one that two nodes read."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="mm"),
        helper.make_node("Relu", ["h"], ["y"], name="act"),
        helper.make_node("MatMul", ["x", "v"], ["s"], name="shared"),
        helper.make_node("ReduceMax", ["s"], ["m"], name="max", keepdims=0),
        helper.make_node("Abs", ["s"], ["z"], name="other"),
    ]
    weights = np.arange(12, dtype=np.float32).reshape(3, 4)
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 4)),
            helper.make_tensor_value_info("m", TensorProto.FLOAT, ()),
            helper.make_tensor_value_info("z", TensorProto.FLOAT, (2, 4)),
        ],
        [numpy_helper.from_array(weights, "w"), numpy_helper.from_array(-weights, "v")],
    )
    path = tmp_path_factory.mktemp("remarks") / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def run(model, *flags):
    """The remarks of a compilation, without the file's name."""
    output = model.with_suffix(".o")
    command = [DLC, *flags, str(model), "-o", str(output)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0 and done.stdout == "", done.stderr
    assert output.exists()
    lines = done.stderr.splitlines()
    assert all(line.startswith(f"{model.name}: ") for line in lines), lines
    return [line[len(f"{model.name}: ") :] for line in lines]


def test_says_nothing_unasked(model):
    assert run(model) == []


@pytest.mark.parametrize("flag", ["--remarks", "--remarks=", "--remarks=."])
def test_all_remarks(model, flag):
    remarks = run(model, flag)
    assert FUSED in remarks
    assert any(line.startswith(UNFUSED) for line in remarks)
    assert any(line.startswith(KERNEL) for line in remarks)
    assert all(": remark: " in line and line.endswith("]") for line in remarks)
    # Patterns are tried again and again; each thing is said once.
    assert len(remarks) == len(set(remarks))


@pytest.mark.parametrize("regex", ["epilogue", "dlc-fuse-epilogue", "^dlc-fuse", "logue$", "x|fuse"])
def test_regular_expression_is_searched_for(model, regex):
    remarks = run(model, f"--remarks={regex}")
    assert FUSED in remarks
    assert all(line.endswith("[dlc-fuse-epilogue]") for line in remarks)


def test_no_pass_matches(model):
    assert run(model, "--remarks=nonesuch") == []


def test_wrong_regular_expression(model, tmp_path):
    command = [DLC, "--remarks=(", str(model), "-o", str(tmp_path / "x.o")]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == (
        "dlc: error: '(' is no regular expression: parentheses not balanced\n"
    )
    assert not list(tmp_path.iterdir())


def test_python(model):
    compiled = dlc.compile(model, remarks="epilogue")
    texts = [str(entry) for entry in compiled.diagnostics if entry.severity == "remark"]
    assert f"{model.name}: {FUSED}" in texts
    assert dlc.compile(model).diagnostics == []
    with pytest.raises(dlc.CompileError, match="is no regular expression"):
        dlc.compile(model, remarks="(")


def test_what_stays_in_float(tmp_path):
    """Products and functions of 8-bit tensors that aren't computed on them."""
    nodes = [
        helper.make_node("DequantizeLinear", ["x", "s"], ["d"], name="first"),
        helper.make_node("DequantizeLinear", ["w", "s"], ["e"], name="weights"),
        helper.make_node("MatMul", ["d", "e"], ["p"], name="integers"),
        helper.make_node("MatMul", ["d", "v"], ["q"], name="floats"),
        helper.make_node("Mul", ["d", "d"], ["m"], name="square"),
        helper.make_node("QuantizeLinear", ["m", "s"], ["y"], name="last"),
        helper.make_node("Tanh", ["d"], ["t"], name="tanh"),
        helper.make_node("QuantizeLinear", ["t", "s"], ["z"], name="table"),
        helper.make_node("Softmax", ["d"], ["f"], name="softmax"),
        helper.make_node("QuantizeLinear", ["f", "s"], ["g"], name="rows"),
    ]
    outputs = [("p", TensorProto.FLOAT), ("q", TensorProto.FLOAT), ("y", TensorProto.UINT8),
               ("z", TensorProto.UINT8), ("g", TensorProto.UINT8)]  # fmt: skip
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, (4, 4))],
        [helper.make_tensor_value_info(name, dtype, (4, 4)) for name, dtype in outputs],
        [
            numpy_helper.from_array(np.float32(0.1), "s"),
            numpy_helper.from_array(np.ones((4, 4), np.int8), "w"),
            numpy_helper.from_array(np.ones((4, 4), np.float32), "v"),
        ],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    fold, table = "[dlc-fold-quantization]", "[dlc-tabulate-functions]"
    remarks = run(path, "--remarks=dlc-fold-q|dlc-tab")
    assert f"node 'integers': remark: a product of integers {fold}" in remarks
    assert (
        "node 'floats': remark: a product in float: its right operand is not dequantized " + fold
        in remarks
    )
    assert any(r.startswith("node 'softmax': remark: softmax in float: its definition") for r in remarks)
    assert f"node 'table': remark: a table of 256 in place of 1 ops {table}" in remarks
    assert any(r.startswith("node 'square': remark: 'dlc.mul' computes in float") for r in remarks)


@pytest.mark.parametrize("scale, said", [(2, "resize: sums of integers"),
                                         (1.5, "resize: sums of floats that read bytes: its weights are no multiples")])
def test_linear_resize_says_what_it_sums(scale, said, tmp_path):
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["real"]),
             helper.make_node("Resize", ["real", "", "scales"], ["y"], name="larger", mode="linear")]  # fmt: skip
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.UINT8, [1, 4, 6, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", "c", "h", "w"])],
        [numpy_helper.from_array(value, name) for name, value in (
            ("s", np.float32(0.1)), ("z", np.uint8(3)), ("scales", np.array([1, 1, scale, 2], np.float32)))],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    assert any(r.startswith(f"node 'larger': remark: {said}") for r in run(path, "--remarks=dlc-import-onnx"))


def test_simplification_says_why_not(tmp_path):
    """A scale behind Relu folds where it is above 0, and says so where not."""
    node = helper.make_node
    nodes = [
        node("Conv", ["x", "w"], ["a"], name="first"), node("Mul", ["a", "s"], ["b"], name="scale"),
        node("Relu", ["b"], ["c"], name="relu"), node("Mul", ["c", "s"], ["y"], name="falling"),
    ]  # fmt: skip
    parts = {"w": np.ones((2, 3, 3, 3), np.float32), "s": np.array([[[1]], [[-1]]], np.float32)}
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 8, 8))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 2, 6, 6))],
        [numpy_helper.from_array(v, n) for n, v in parts.items()],
    )  # fmt: skip
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    affine = "[dlc-fold-affine]"
    assert run(path, "--remarks=fold-affine") == [
        f"node 'scale': remark: folded into the weights of 'first' {affine}",
        f"node 'falling': remark: left as it is: it does not commute {affine}",
    ]
