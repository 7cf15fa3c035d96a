"""The PTX of networks is assembled by NVIDIA's ptxas, for every architecture,
and its report read."""

import pathlib
import re
import subprocess
import sys

import onnx
import pytest
from onnx import TensorProto, helper
from test_networks import make_lstm, make_perceptron, make_squeezenet

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import ptx  # noqa: E402

ARCHITECTURES = ["sm_70", "sm_75", "sm_80", "sm_86", "sm_89", "sm_90a", "sm_100"]
MODELS = {"perceptron": make_perceptron, "squeezenet": make_squeezenet, "lstm": make_lstm}


def find_ptxas() -> pathlib.Path:
    """The one that scripts/requirements.txt names, whatever the machine has:
    newer ones do not know all architectures."""
    (found,) = pathlib.Path(sys.prefix).glob(
        "lib/python3*/site-packages/nvidia/cuda_nvcc/bin/ptxas"
    )
    return found


def assemble(path: pathlib.Path, arch: str) -> dict[str, tuple[int, int]]:
    """For each kernel its registers and the bytes that it spills."""
    done = subprocess.run(
        [find_ptxas(), "-v", f"-arch={arch}", path, "-o", path.with_suffix(".cubin")],
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
    path = tmp_path / "network.ptx"
    subprocess.run(["dlc", model, f"--gpu={arch}", "--emit=ptx", "-o", path], check=True)
    text = path.read_text()
    kernels = assemble(path, arch)
    assert len(kernels) == text.count(".entry") > 0
    for name, (registers, spilled) in kernels.items():
        assert spilled == 0, f"{name} spills {spilled} bytes"
        # All 256 threads of a block must fit.
        assert registers <= 65536 // 256, f"{name} has {registers} registers"


def make_product(dtype):
    shape = [1536, 1536]
    nodes = [helper.make_node("MatMul", ["a", "b"], ["c"])]
    infos = [helper.make_tensor_value_info(name, dtype, shape) for name in "abc"]
    graph = helper.make_graph(nodes, "g", infos[:2], infos[2:])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)


@pytest.mark.parametrize(
    "dtype, precision, arch, counts",
    [
        # 64 x 64 of a warp are 4 x 8 products of 16 x 8, in two steps of 16 terms; four
        # fragments of A and of B a step; two copies of A and four of B.
        (TensorProto.FLOAT16, "fp32", "sm_80", {"mma.sync": 64, "ldmatrix": 16, "cp.async.cg": 6}),
        (TensorProto.FLOAT16, "fp32", "sm_90a", {"mma.sync": 64, "ldmatrix": 16, "cp.async.cg": 6}),
        (TensorProto.FLOAT16, "fp32", "sm_75", {"mma.sync": 64, "ldmatrix": 12}),
        (TensorProto.FLOAT16, "fp32", "sm_70", {"mma.sync": 64, "ldmatrix": 0}),
        # Columns of four bytes are no work for ldmatrix; nothing is rounded.
        (TensorProto.FLOAT, "tf32", "sm_80", {"mma.sync": 64, "ldmatrix": 8, "cp.async.cg": 6,
                                              "ld.shared.b32": 32, "cvt.rna": 0}),
        (TensorProto.FLOAT, "fp16", "sm_80", {"mma.sync": 32, "ldmatrix": 12, "cp.async.cg": 0,
                                              "ld.global.nc.v4|ld.global.v4": 8}),
        (TensorProto.FLOAT, "fp32", "sm_80", {"mma.sync": 0, "fma.rn.f32": 512,
                                              "ld.shared.v4": 32, "ld.shared.b32": 0}),
    ],
)  # fmt: skip
def test_inner_loop(dtype, precision, arch, counts, tmp_path):
    onnx.save(make_product(dtype), tmp_path / "x.onnx")
    path = tmp_path / "x.ptx"
    command = ["dlc", tmp_path / "x.onnx", f"--gpu={arch}", f"--precision={precision}"]
    subprocess.run([*command, "--emit=ptx", "-o", path], check=True)
    loop = ptx.find_loop(path.read_text())
    found = {name: len(re.findall(name, loop)) for name in counts}
    assert found == counts
    assert all(spilled == 0 for _, spilled in assemble(path, arch).values())


def emit(model, arch, folder, *flags):
    onnx.save(model, folder / "x.onnx")
    path = folder / "x.ptx"
    command = ["dlc", folder / "x.onnx", f"--gpu={arch}", *flags, "--emit=ptx", "-o", path]
    subprocess.run(command, check=True)
    return path


@pytest.mark.parametrize(
    "dtype, precision, arch, counts",
    [
        # Four times 16 keys and as many columns of 16, each in four steps of 16 terms;
        # a fragment of K or V each, those of the weights are in registers; 64 rows of
        # 128 bytes of both; 32 weights a thread and how far the sums of its two rows
        # are scaled. tf32 has twice the bytes and instructions, and fragments of weights.
        (TensorProto.FLOAT16, "fp32", "sm_80", {"mma.sync": 64, "ldmatrix": 32, "cp.async.cg": 8,
                                                "ex2.approx": 34, "st.global": 0}),
        (TensorProto.FLOAT16, "fp32", "sm_90a", {"mma.sync": 64, "ldmatrix": 32,
                                                 "cp.async.cg": 8}),
        (TensorProto.FLOAT16, "fp32", "sm_75", {"mma.sync": 128, "ldmatrix": 32}),
        (TensorProto.FLOAT16, "fp32", "sm_70", {"mma.sync": 128, "ldmatrix": 0}),
        (TensorProto.FLOAT, "tf32", "sm_80", {"mma.sync": 128, "ldmatrix": 40, "cp.async.cg": 16}),
    ],
)  # fmt: skip
def test_attention_loop(dtype, precision, arch, counts, tmp_path):
    # So many rows that their sums are inverted by an op of their own.
    infos = [helper.make_tensor_value_info(name, dtype, [8, 12, 512, 64]) for name in "qkvy"]
    node = helper.make_node("Attention", ["q", "k", "v"], ["y"])
    graph = helper.make_graph([node], "g", infos[:3], infos[3:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    path = emit(model, arch, tmp_path, f"--precision={precision}")
    loop = ptx.find_loop(path.read_text())
    assert {name: len(re.findall(name, loop)) for name in counts} == counts
    assert all(spilled == 0 for _, spilled in assemble(path, arch).values())


def test_wide_stores(tmp_path):
    """The 128 results of a thread, of two bytes, go by 16 bytes."""
    text = emit(make_product(TensorProto.FLOAT16), "sm_80", tmp_path).read_text()
    stores = re.findall(r"st\.global\S*", text)
    assert stores == ["st.global.v4.b32"] * 16


def test_bfloat16_by_instruction(tmp_path):
    path = emit(make_product(TensorProto.FLOAT), "sm_80", tmp_path, "--precision=bf16")
    # Two times four loads of four elements, before the loop and in it.
    assert path.read_text().count("cvt.rn.bf16x2.f32") == 32
