"""dlc -g: the DWARF that names nodes."""

import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))
LLVM = "/usr/lib/llvm-22/bin"
TARGETS = ["x86_64", "aarch64", "armv7", "riscv64"]
X = np.linspace(-1, 1, 40, dtype=np.float32).reshape(8, 5)
W = np.linspace(-1, 1, 35, dtype=np.float32).reshape(5, 7)


def tool(name, *arguments):
    program = shutil.which(name) or f"{LLVM}/{name}"
    return subprocess.run(
        [program, *map(str, arguments)], capture_output=True, text=True, check=True
    ).stdout


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A product with a fused activation, and a node that no one fuses."""
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["h"], name="layer/product"),
        helper.make_node("Relu", ["h"], ["y"], name="layer/activation"),
        helper.make_node("CumSum", ["x", "axis"], ["s"], name="sum"),
    ]
    graph = helper.make_graph(
        nodes,
        "the graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, X.shape)],
        [
            helper.make_tensor_value_info("y", TensorProto.FLOAT, (8, 7)),
            helper.make_tensor_value_info("s", TensorProto.FLOAT, X.shape),
        ],
        [numpy_helper.from_array(W, "w"), numpy_helper.from_array(np.array(0), "axis")],
    )
    path = tmp_path_factory.mktemp("debug") / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def compile_to(model, name, *flags):
    output = model.with_name(name)
    subprocess.run([DLC, str(model), "-o", str(output), *flags], check=True)
    return output


@pytest.mark.parametrize("target", TARGETS)
def test_names_and_lines(model, target):
    output = compile_to(model, f"{target}.o", "-g", f"-target={target}")
    assert "No errors." in tool("llvm-dwarfdump", "--verify", output)
    text = tool("llvm-dwarfdump", output)
    entries = re.findall(r'DW_AT_name\s+\("([^"]*)"\)\n\s+DW_AT_decl_file\s+\("([^"]*)"\)\n'
                         r"\s+DW_AT_decl_line\s+\((\d+)\)", text)
    assert {("layer/product", "net.onnx", "1"), ("layer/activation", "net.onnx", "2"),
            ("sum", "net.onnx", "3")} <= set(entries)
    assert any(name.startswith("layer/product+layer/activation") for name, _, _ in entries)
    assert "the graph" not in text
    # No folder of this machine: the same model gives the same bytes anywhere.
    assert str(model.parent).encode() not in output.read_bytes()
    lines = tool("llvm-dwarfdump", "--debug-line", output)
    assert {"1", "2", "3"} <= set(re.findall(r"^0x\w+\s+(\d+)", lines, re.M))


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O3"])
def test_code_is_the_same(model, level):
    """Looking does not change what is looked at."""

    def code(*flags):
        output = compile_to(model, "code.o", "-target=x86_64", level, *flags)
        dump = tool("llvm-objdump", "-d", "--no-show-raw-insn", output)
        return dump[dump.index("Disassembly") :]

    assert code() == code("-g")


def test_no_debug_information_unasked(model):
    output = compile_to(model, "plain.o")
    assert ".debug_" not in tool("llvm-readelf", "-S", output)


def test_symbolizer_and_results(model):
    """Addresses have nodes, and weights are where they should be."""
    output = compile_to(model, "net.so", "-g", "--emit=shared")
    y, s = dlc.load(output).run([X])
    np.testing.assert_allclose(y, np.maximum(X @ W, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(s, np.cumsum(X, 0), rtol=1e-5, atol=1e-5)
    symbols = tool("llvm-objdump", "-d", "--no-show-raw-insn", output)
    addresses = re.findall(r"^\s+([0-9a-f]+):", symbols, re.M)
    found = tool("llvm-symbolizer", f"--obj={output}", *[f"0x{address}" for address in addresses])
    for frame in ["layer/product\nnet.onnx:1:0", "layer/activation\nnet.onnx:2:0",
                  "sum\nnet.onnx:3:0"]:
        assert frame in found


def test_same_bytes_again(model):
    first = compile_to(model, "first.o", "-g").read_bytes()
    assert compile_to(model, "second.o", "-g").read_bytes() == first


def test_text_has_lines_of_its_own(model):
    """IR that was written as text is debugged as text."""
    text = compile_to(model, "net.mlir", "--to=llvm")
    output = model.with_name("text.o")
    subprocess.run([DLC, str(text), "-g", "-o", str(output)], check=True)
    dump = tool("llvm-dwarfdump", "--debug-info", "--debug-line", output)
    assert "net.mlir" in dump
    assert max(map(int, re.findall(r"^0x\w+\s+(\d+)", dump, re.M))) > 10
