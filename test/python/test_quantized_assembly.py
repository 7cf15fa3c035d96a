"""The innermost loops of quantized operators, as they are in the objects of
different CPUs: the instructions that they should be made of, in registers."""

import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))
sys.path.insert(0, str(ROOT / "test" / "Cpu" / "Inputs"))
import inner_loop  # noqa: E402

RANDOM = np.random.default_rng(0)


def make(nodes, inputs, output, **constants):
    infos = [helper.make_tensor_value_info(name, kind, shape) for name, kind, shape in [*inputs, output]]
    graph = helper.make_graph(nodes, "g", infos[:-1], infos[-1:],
                              [c if isinstance(c, onnx.TensorProto) else numpy_helper.from_array(c, n)
                               for n, c in constants.items()])  # fmt: skip
    opsets = [helper.make_opsetid("", 21), helper.make_opsetid("com.microsoft", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def make_depthwise(kind):
    dtype = np.uint8 if kind == TensorProto.UINT8 else np.int8
    scale, zero = np.float32(0.1), dtype(3)
    weights = RANDOM.integers(-127, 128, (64, 1, 3, 3)).astype(np.int8)
    node = helper.make_node("QLinearConv", ["x", "s", "z", "w", "ws", "wz", "s", "z"], ["y"], group=64, pads=[1] * 4)
    return make([node], [("x", kind, [1, 64, 28, 28])], ("y", kind, [1, 64, 28, 28]), s=scale, z=zero, w=weights,
                ws=np.float32(0.01), wz=np.int8(0))  # fmt: skip


def make_gemm(kind):
    dtype = np.uint8 if kind == TensorProto.UINT8 else np.int8
    scale, zero = np.float32(0.1), dtype(3)
    node = helper.make_node("QLinearMatMul", ["x", "s", "z", "w", "ws", "wz", "ys", "z"], ["y"])
    return make([node], [("x", kind, [256, 256])], ("y", kind, [256, 256]), s=scale, z=zero,
                w=RANDOM.integers(-127, 128, (256, 256)).astype(np.int8), ws=np.float32(0.01), wz=np.int8(0),
                ys=np.float32(1))  # fmt: skip


def make_blocks(bits, rows):
    blocks = 512 // 32
    node = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft", K=512, N=512, bits=bits,
                            block_size=32)  # fmt: skip
    return make([node], [("x", TensorProto.FLOAT, [rows, 512])], ("y", TensorProto.FLOAT, [rows, 512]),
                b=RANDOM.integers(0, 256, (512, blocks, 4 * bits), np.uint8),
                s=RANDOM.uniform(0.01, 0.02, 512 * blocks).astype(np.float32))  # fmt: skip


def make_float8(kind):
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"])
    return make([node], [("x", kind, [4096])], ("y", TensorProto.FLOAT, [4096]), s=np.float32(0.5))


CPUS = {"avx2": ("x86_64", "x86-64-v3"), "avx-vnni": ("x86_64", "alderlake"), "avx512-vnni": ("x86_64", "znver4"),
        "neon": ("aarch64", "generic"), "dotprod": ("aarch64", "neoverse-n1"), "i8mm": ("aarch64", "neoverse-v1")}  # fmt: skip


def assemble(model, cpu, folder):
    onnx.save(model, folder / "model.onnx")
    target, name = CPUS[cpu]
    subprocess.run([DLC, folder / "model.onnx", f"-target={target}", f"-mcpu={name}", "--threads=1", "--emit=asm",
                    "-o", folder / "model.s"], check=True)  # fmt: skip
    return (folder / "model.s").read_text()


def look(text, regex):
    count, body = inner_loop.hottest(text.splitlines(), regex)
    return count, [line for line in body if "rsp" in line or ", [sp" in line], body


def count_spills(stack):
    """Vectors on the stack; addresses may be there."""
    return sum("mm" in line or line.split()[1][:1] in "qvd" for line in stack)


U8, S8, E4M3, E5M2 = TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2
DPBUSD, USDOT, SDOT = r"(\{vex\}\s+)?vpdpbusd", r"usdot", r"sdot"
DEPTHWISE = {"avx2": ("vpmaddwd", 63), "avx-vnni": (r"(\{vex\}\s+)?vpdpwssd", 56), "avx512-vnni": ("vpdpwssd", 112),
             "neon": ("smlal", 112), "dotprod": ("smlal", 112), "i8mm": ("smlal", 112)}  # fmt: skip
SIGNED_DEPTHWISE = {**DEPTHWISE, "avx2": ("vpmulld", 56), "avx-vnni": ("vpmulld", 56)}
GEMM = {"avx2": ("vpmaddwd", 16), "avx-vnni": (DPBUSD, 48), "avx512-vnni": (DPBUSD, 48), "neon": ("smlal", 40),
        "dotprod": (SDOT, 48), "i8mm": (r"u?smmla", 24)}  # fmt: skip
# Without dot products, or with sdot only for bytes that may be above 127,
# weights are floats in registers.
INT4 = {"avx2": ("vfmadd", 16), "avx-vnni": (DPBUSD, 12), "avx512-vnni": (DPBUSD, 24), "neon": ("fmla", 32),
        "dotprod": (SDOT, 24), "i8mm": (USDOT, 24)}  # fmt: skip
INT8 = {"avx2": ("vfmadd", 8), "avx-vnni": (DPBUSD, 6), "avx512-vnni": (DPBUSD, 12), "neon": ("fmla", 16),
        "dotprod": ("fmla", 16), "i8mm": (USDOT, 12)}  # fmt: skip
# Without dot products floats that were unpacked before, else digits of two rows.
MANY4 = {"avx2": ("vfmadd", 12), "avx-vnni": (DPBUSD, 12), "avx512-vnni": (DPBUSD, 24), "neon": ("fmla", 24),
         "dotprod": (SDOT, 24), "i8mm": (USDOT, 24)}  # fmt: skip
MANY8 = {"avx2": ("vfmadd", 12), "avx-vnni": (DPBUSD, 6), "avx512-vnni": (DPBUSD, 12), "neon": ("fmla", 24),
         "dotprod": ("fmla", 24), "i8mm": (USDOT, 12)}  # fmt: skip


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("name, make_model, expected", [
    ("depthwise", lambda: make_depthwise(U8), DEPTHWISE), ("s8 depthwise", lambda: make_depthwise(S8), SIGNED_DEPTHWISE),
    ("u8 product", lambda: make_gemm(U8), GEMM),
    ("s8 product", lambda: make_gemm(S8), GEMM), ("4 bits, a row", lambda: make_blocks(4, 1), INT4),
    ("8 bits, a row", lambda: make_blocks(8, 1), INT8), ("4 bits, 32 rows", lambda: make_blocks(4, 32), MANY4),
    ("8 bits, 32 rows", lambda: make_blocks(8, 32), MANY8),
])  # fmt: skip
def test_loops(name, make_model, expected, cpu, tmp_path):
    text = assemble(make_model(), cpu, tmp_path)
    regex, least = expected[cpu]
    count, stack, body = look(text, regex)
    assert count >= least, f"{name}: {count} in\n" + "\n".join(body)
    # Constants and a sum or two of 16 registers may lie there, no whole tile.
    assert count_spills(stack) <= len(body) / 25, "\n".join(stack)
    # Its sums of two products saturate at 16 bits.
    assert "vpmaddubsw" not in text


@pytest.mark.parametrize("cpu", CPUS)
@pytest.mark.parametrize("kind", [E4M3, E5M2], ids=["E4M3", "E5M2"])
def test_float8(kind, cpu, tmp_path):
    """Becomes float32 in vectors, without a look into a table in memory."""
    text = assemble(make_float8(kind), cpu, tmp_path)
    bodies = [body for _, body in inner_loop.blocks(text.splitlines())]
    vector = re.compile(r"v?f?mul(ps)?\s.*([xyz]mm|v\d+\.4s|z\d+\.s)")
    body = max(bodies, key=lambda body: sum(bool(vector.match(line)) for line in body))
    assert sum(bool(vector.match(line)) for line in body) >= 2, "\n".join(body)
    assert not any(re.match(r"call|bl\s|v?p?gather|movzbl|ldrb", line) for line in body)
