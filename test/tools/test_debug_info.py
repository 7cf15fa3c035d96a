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
    listing = f"{target}.nodes"
    assert {("layer/product", listing, "1"), ("layer/activation", listing, "2"),
            ("sum", listing, "3")} <= set(entries)
    assert any(name.startswith("layer/product+layer/activation") for name, _, _ in entries)
    assert "the graph" not in text
    # No folder of this machine: the same model gives the same bytes anywhere.
    assert str(model.parent).encode() not in output.read_bytes()
    lines = tool("llvm-dwarfdump", "--debug-line", output)
    assert {"1", "2", "3"} <= set(re.findall(r"^0x\w+\s+(\d+)", lines, re.M))
    # What reads symbols only finds the nodes, too.
    assert "layer/product+layer/activation" in tool("llvm-nm", output)


def test_listing(model):
    output = compile_to(model, "listed.o", "-g", "-target=x86_64")
    assert output.with_suffix(".nodes").read_text().splitlines() == [
        "layer/product: MatMul(x, w) -> h tensor<8x7xf32>",
        "layer/activation: Relu(h) -> y tensor<8x7xf32>",
        "sum: CumSum(x, axis) -> s tensor<8x5xf32>",
    ]
    compile_to(model, "unlisted.o", "-target=x86_64")
    assert not output.with_name("unlisted.nodes").exists()


def repeat(tmp_path, names):
    """Layers of equal shapes, which share one kernel."""
    nodes, tensors, x = [], [], "x"
    for name in names:
        nodes.append(helper.make_node("MatMul", [x, f"{name} w"], [f"{name} h"], name=name))
        nodes.append(helper.make_node("Relu", [f"{name} h"], [f"{name} y"], name="r"))
        tensors.append(numpy_helper.from_array(np.ones((64, 64), np.float32), f"{name} w"))
        x = f"{name} y"
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (64, 64))],
        [helper.make_tensor_value_info(x, TensorProto.FLOAT, (64, 64))], tensors,
    )  # fmt: skip
    path = tmp_path / "layers.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


def test_shared_kernels(tmp_path):
    """A symbol that stands for several nodes says so; odd names are no syntax."""
    output = compile_to(repeat(tmp_path, ['a@b"\\\n', "c"]), "layers.o", "-g", "-target=x86_64")
    assert "a_b___+r (2 places)" in tool("llvm-nm", output)
    assembly = compile_to(tmp_path / "layers.onnx", "layers.s", "-g", "--emit=asm",
                          "-target=x86_64")  # fmt: skip
    again = tmp_path / "again.o"
    tool("clang", "--target=x86_64-linux-gnu", "-c", assembly, "-o", again)
    assert "a_b___+r (2 places)" in tool("llvm-nm", again)


@pytest.mark.parametrize("target", TARGETS)
def test_functions_of_the_interface(tmp_path, target):
    """What makes weights, and what tells sizes, is found by its name, although
    it has code of one node only."""
    weights = numpy_helper.from_array(np.ones((32, 32, 3, 3), np.float32), "w")
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], name="conv", pads=[1, 1, 2, 2])],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 32, "h", "w"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 32, "i", "j"])],
        [weights],
    )
    path = tmp_path / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    output = compile_to(path, "net.o", "-g", f"-target={target}", "--conv=winograd")
    assert re.search(r"NET_STATE_SIZE [1-9]", output.with_suffix(".h").read_text())
    names = tool("llvm-nm", output)
    assert re.search(r" t net_expand$", names, re.MULTILINE)
    assert re.search(r" t net_sizes$", names, re.MULTILINE)
    assert re.search(r" t conv$", names, re.MULTILINE)


@pytest.mark.skipif(not shutil.which("gdb"), reason="no gdb")
def test_gdb(tmp_path):
    """Breakpoints at nodes; where a shared kernel was called from."""
    model = repeat(tmp_path, ["first", "second", "third"])
    compile_to(model, "layers.o", "-g", "-O1", "--threads=1")
    (tmp_path / "main.c").write_text("""
        #include "layers.h"
        static float x[4096], y[4096];
        int main(void) {
          layers_inputs in = {x};
          layers_outputs out = {y};
          return layers_run(&in, &out, NULL);
        }""")
    subprocess.run(["cc", "main.c", "layers.o", "-o", "main", "-lm", "-lpthread"], cwd=tmp_path,
                   check=True)  # fmt: skip
    commands = ["break 'second'", "run", "list 3,3", "backtrace", "kill"]
    output = subprocess.run(
        ["gdb", "-q", "-nx", "-batch", *[part for c in commands for part in ("-ex", c)], "main"],
        cwd=tmp_path, capture_output=True, text=True, stdin=subprocess.DEVNULL,
    ).stdout  # fmt: skip
    if "Breakpoint 1, " not in output and "ptrace" in output:
        pytest.skip("this machine lets no program be debugged")
    assert re.search(r"#0 .*second.* at layers\.nodes:3\n#1 .*layers_main", output), output
    assert "second: MatMul(first y, second w) -> second h tensor<64x64xf32>" in output


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O3"])
def test_code_is_the_same(model, level):
    """Looking does not change what is looked at."""

    def code(*flags):
        output = compile_to(model, "code.o", "-target=x86_64", level, *flags)
        dump = tool("llvm-objdump", "-d", "--no-show-raw-insn", output)
        # But for the names of functions.
        return re.sub(r"<[^>]*>|section .*:", "", dump[dump.index("Disassembly") :])

    assert code() == code("-g")


def test_a_stream_has_no_list(model):
    done = subprocess.run([DLC, model, "-g", "-o", "-"], capture_output=True, check=True)
    assert done.stdout.startswith(b"\x7fELF")
    assert done.stderr.startswith(b"dlc: warning: -g: the list of nodes")
    assert not model.with_name("-.nodes").exists()
    plain = subprocess.run([DLC, model, "-o", "-"], capture_output=True, check=True)
    assert plain.stderr == b""


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
    for frame in ["layer/product\nnet.nodes:1:0", "layer/activation\nnet.nodes:2:0",
                  "sum\nnet.nodes:3:0"]:
        assert frame in found


def test_same_bytes_again(model):
    first = compile_to(model, "same.o", "-g").read_bytes()
    assert compile_to(model, "same.o", "-g").read_bytes() == first


def test_text_has_lines_of_its_own(model):
    """IR that was written as text is debugged as text."""
    text = compile_to(model, "net.mlir", "--to=llvm")
    output = model.with_name("text.o")
    subprocess.run([DLC, str(text), "-g", "-o", str(output)], check=True)
    dump = tool("llvm-dwarfdump", "--debug-info", "--debug-line", output)
    assert "net.mlir" in dump
    assert max(map(int, re.findall(r"^0x\w+\s+(\d+)", dump, re.M))) > 10
