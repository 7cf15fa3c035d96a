"""Assembles PTX of networks and node tests with NVIDIA's ptxas, and says what
its report and the code itself tell. bench/README.md is the manual.

usage: bench/ptx [--gpu=sm_70,sm_80,...] [--precision=P] [--nodes[=PART]] [--shapes]
                 [--kernels] [--keep=FILE] [NAME...]

The status is 0 only if all assemble and no kernel of a contraction spills.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import ctypes
import dataclasses
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import subjects

import dlc

LIBC, LIBM = (ctypes.CDLL(name) for name in ("libc.so.6", "libm.so.6"))
IN_PROGRAMS = {"atexit"}  # the part of libc that is linked to each program has it
CONFORMANCE = pathlib.Path(__file__).resolve().parents[1] / "test" / "conformance"
ARCHITECTURES = "sm_70,sm_80,sm_90a,sm_100"


@dataclasses.dataclass(frozen=True)
class Gpu:
    """What limits blocks of a multiprocessor, and a chip of the kind: for the
    estimates. Peaks are the vendor's, of dense products."""

    chip: str
    threads: int
    blocks: int
    shared: int  # bytes
    fp32: float  # TFLOP/s
    fp16: float
    tf32: float
    int8: float
    bandwidth: float  # TB/s
    processors: int
    clock: float  # GHz


GPUS = {
    "sm_70": Gpu("V100", 2048, 32, 96 << 10, 15.7, 125, 15.7, 62, 0.9, 80, 1.53),
    "sm_75": Gpu("T4", 1024, 16, 64 << 10, 8.1, 65, 8.1, 130, 0.32, 40, 1.59),
    "sm_80": Gpu("A100", 2048, 32, 164 << 10, 19.5, 312, 156, 624, 1.55, 108, 1.41),
    "sm_86": Gpu("A10", 1536, 16, 100 << 10, 31.2, 125, 62.5, 250, 0.6, 72, 1.7),
    "sm_89": Gpu("L4", 1536, 24, 100 << 10, 30.3, 121, 60, 242, 0.3, 58, 2.04),
    "sm_90a": Gpu("H100", 2048, 32, 228 << 10, 66.9, 989, 494, 1979, 3.35, 132, 1.83),
    "sm_100": Gpu("B200", 2048, 32, 228 << 10, 75, 2250, 1125, 4500, 8.0, 148, 1.85),
}
REGISTERS = 65536  # of a multiprocessor, on all of them


@dataclasses.dataclass
class Kernel:
    name: str
    registers: int
    shared: int
    spills: int
    threads: int
    body: str  # PTX

    def count(self, pattern: str) -> int:
        return len(re.findall(pattern, self.body))

    @property
    def is_contraction(self) -> bool:
        return bool(self.shared) and (self.count(r"mma\.sync") or self.count(r"fma\.rn") >= 16)

    def blocks(self, gpu: Gpu) -> int:
        """That a multiprocessor has at once."""
        registers = -(-self.registers // 8) * 8 * self.threads
        limits = [gpu.blocks, gpu.threads // self.threads, REGISTERS // registers]
        if self.shared:
            limits.append(gpu.shared // (self.shared + 1024))
        return min(limits)


def find_ptxas() -> pathlib.Path:
    """The one that scripts/requirements.txt names: newer ones lack sm_70."""
    (found,) = pathlib.Path(sys.prefix).glob(
        "lib/python3*/site-packages/nvidia/cuda_nvcc/bin/ptxas"
    )
    return found


def assemble(ptx: pathlib.Path, arch: str) -> list[Kernel]:
    """The kernels; RuntimeError where ptxas refuses them."""
    text = ptx.read_text()
    bodies = {
        part.split("(")[0]: part for part in re.split(r"\.entry ", text)[1:]
    }
    if not bodies:
        return []
    command = [find_ptxas(), "-v", f"-arch={arch}", ptx, "-o", ptx.with_suffix(".cubin")]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(done.stderr.strip().splitlines()[0])
    kernels = []
    for part in done.stderr.split("Compiling entry function '")[1:]:
        name = part.split("'")[0]
        shared = re.search(r"(\d+) bytes smem", part) or re.search(
            rf"// {re.escape(name)}: (\d+) bytes of shared memory at a launch", text)
        threads = re.search(r"\.(?:maxntid|reqntid) (\d+)", bodies[name])
        kernels.append(Kernel(
            name, int(re.search(r"Used (\d+) registers", part)[1]),
            int(shared[1]) if shared else 0,
            sum(map(int, re.findall(r"(\d+) bytes spill", part))),
            int(threads[1]) if threads else 256, bodies[name],
        ))  # fmt: skip
    return kernels


def compile_model(model, arch: str, folder: pathlib.Path, **options):
    """Its kernels."""
    ptx = folder / "x.ptx"
    try:
        dlc.compile_to_file(model, ptx, emit=["ptx"], gpus=arch, **options)
    except dlc.CompileError as error:
        raise RuntimeError(str(error).strip().splitlines()[0]) from None
    return assemble(ptx, arch)


def compile_object(model, archs: list[str], folder: pathlib.Path, **options):
    """The kernels for each architecture that an object has, which needs nothing
    but the system's libraries."""
    made = folder / "x.o"
    try:
        dlc.compile_to_file(model, made, emit=["obj"], gpus=",".join(archs), **options)
    except dlc.CompileError as error:
        raise RuntimeError(str(error).strip().splitlines()[0]) from None
    listed = subprocess.run(["nm", "-u", made], check=True, capture_output=True, text=True)
    for name in listed.stdout.split()[1::2]:
        if name not in IN_PROGRAMS and not any(hasattr(lib, name) for lib in (LIBC, LIBM)):
            raise RuntimeError(f"the object needs {name}, which libc and libm have not")
    images = re.findall(rb"// Generated by LLVM NVPTX Back-End[^\0]*", made.read_bytes())
    found = {}
    for image in images:
        arch = re.search(rb"\.target (\w+)", image)[1].decode()
        ptx = folder / f"{arch}.ptx"
        ptx.write_bytes(image)
        found[arch] = assemble(ptx, arch)
    return found


def summarise_kernels(name: str, arch: str, kernels: list[Kernel], describes: bool) -> dict:
    contractions = [kernel for kernel in kernels if kernel.is_contraction]
    return {
        "name": name,
        "arch": arch,
        "kernels": len(kernels),
        "contractions": len(contractions),
        "registers": max((kernel.registers for kernel in contractions), default=0),
        "spills": {kernel.name: kernel.spills for kernel in contractions if kernel.spills},
        "described": [describe_tile(kernel, arch) for kernel in contractions if describes],
    }


def run_model(task) -> list[dict]:
    """What is told of a model for each architecture, as a line of JSON has it.
    A network is compiled for one after the other, a node as one object."""
    name, model, archs, is_node, options, describes = task
    with tempfile.TemporaryDirectory() as path:
        folder = pathlib.Path(path)
        if is_node:
            try:
                found = compile_object(model, archs, folder, **options)
            except RuntimeError as error:
                return [{"name": name, "arch": arch, "error": str(error)} for arch in archs]
            return [summarise_kernels(name, arch, found.get(arch, []), describes) for arch in archs]
        records = []
        for arch in archs:
            try:
                kernels = compile_model(model, arch, folder, **options)
                records.append(summarise_kernels(name, arch, kernels, describes))
            except RuntimeError as error:
                records.append({"name": name, "arch": arch, "error": str(error)})
        return records


def list_nodes(part: str, options):
    """Tests of nodes that pass on a CPU."""
    sys.path.insert(0, str(CONFORMANCE))
    import cases

    passing = set((CONFORMANCE / "passing.txt").read_text().split())
    for case in cases.load_cases(("node",)):
        if case.name in passing and part in case.name:
            model = case.load_model().SerializeToString()
            yield case.name, model, {"opt_level": 1, **options}


def find_loop(text: str) -> str:
    """The shortest of the loops that have most multiply-adds."""
    labels = {match[1]: match.end() for match in re.finditer(r"(\$L__BB\w+):", text)}
    best, most = "", 0
    for branch in re.finditer(r"bra(?:\.uni)?\s+(\$L__BB\w+);", text):
        begin = labels.get(branch[1], len(text))
        body = text[begin : branch.end()]
        number = len(re.findall(r"mma\.sync|fma\.rn", body))
        if number > most or (number == most and len(body) < len(best)):
            best, most = body, number
    return best


def describe_tile(kernel: Kernel, arch: str) -> str:
    """Instructions of the kernel's loop by kind, occupancy, and the estimate."""
    gpu = GPUS[arch]
    blocks = kernel.blocks(gpu)
    body = find_loop(kernel.body)
    kinds = {
        "mma": r"mma\.sync", "ldmatrix": r"ldmatrix", "cp.async": r"cp\.async\.c[ag]",
        "fma": r"fma\.rn\.f32", "ld.shared": r"ld\.shared", "st.shared": r"st\.shared",
        "ld.global": r"ld\.global",
    }  # fmt: skip
    counts = ", ".join(
        f"{len(re.findall(pattern, body))} {name}"
        for name, pattern in kinds.items() if re.search(pattern, body)
    )  # fmt: skip
    lines = sum(1 for line in body.splitlines() if line.strip().endswith(";"))
    occupancy = 100 * blocks * kernel.threads // gpu.threads
    return (f"{kernel.name:14} {kernel.registers:4} registers, {kernel.shared:6} bytes shared, "
            f"{kernel.spills} spilled, {blocks} blocks ({occupancy} %); a step: {lines} "
            f"instructions ({counts}); {estimate(body, lines, kernel, gpu)}")  # fmt: skip


def estimate(body: str, lines: int, kernel: Kernel, gpu: Gpu) -> str:
    """Of a step of the loop: its operations by the vendor's peak, by the bytes
    that are brought to shared memory, which come from the second-level cache,
    and by the instructions that the four schedulers issue. Latencies are not
    in it."""
    mma = re.findall(r"mma\.sync\.aligned\.m(\d+)n(\d+)k(\d+)", body)
    flops = 2 * kernel.threads * len(re.findall(r"fma\.rn\.f32", body))
    peak = gpu.fp32
    if mma:
        m, n, k = map(int, mma[0])
        each = m * n * k * (4 if (m, n, k) == (8, 8, 4) else 1)
        flops = 2 * len(mma) * each * kernel.threads // 32
        is_int = re.search(r"mma\.sync.*\.s32", body)
        peak = gpu.tf32 if "tf32" in body else gpu.int8 if is_int else gpu.fp16
    words = sum(
        int(vector or 1) * int(bits) // 8
        for vector, bits in re.findall(
            r"ld\.global(?:\.\w+)*?(?:\.v(\d))?\.[bfsu](\d+)", body
        )
    )
    size = kernel.threads * (16 * len(re.findall(r"cp\.async\.c[ag]", body)) + words)
    cycles = lines * kernel.threads / 32 / 4
    bounds = {"peak": peak, "issue": flops / cycles * gpu.processors * gpu.clock / 1e3}
    if size:
        bounds["cache"] = flops / size * gpu.bandwidth * 4
    by = min(bounds, key=bounds.get)
    return f"estimate {bounds[by]:.0f} of {peak:.0f} TFLOP/s (by {by})"


def list_shapes():
    """Single products, convolutions and attentions, which the notes tell of."""
    import numpy as np
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    def make(op, inputs, constants=(), kind=TensorProto.FLOAT, **attributes):
        infos = [helper.make_tensor_value_info(f"x{i}", kind, s) for i, s in enumerate(inputs)]
        dtype = helper.tensor_dtype_to_np_dtype(kind)
        random = np.random.default_rng(0)
        weights = [numpy_helper.from_array(random.random(s).astype(dtype), f"w{i}")
                   for i, s in enumerate(constants)]  # fmt: skip
        names = [x.name for x in (*infos, *weights)]
        y = TensorProto.INT32 if op == "MatMulInteger" else kind
        graph = helper.make_graph(
            [helper.make_node(op, names, ["y"], **attributes)], "shape", infos,
            [helper.make_tensor_value_info("y", y, None)], weights,
        )  # fmt: skip
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
        return onnx.shape_inference.infer_shapes(model).SerializeToString()

    half, large = TensorProto.FLOAT16, (4096, 4096)
    product = make("MatMul", [large, large])
    convolution = make("Conv", [(32, 256, 14, 14)], [(256, 256, 3, 3)], pads=[1, 1, 1, 1])
    attention = make("Attention", [(8, 12, 512, 64)] * 3)
    yield "product, float16", make("MatMul", [large, large], kind=half), {}
    for precision in ("fp16", "bf16", "tf32", "fp32"):
        yield f"product, {precision}", product, {"precision": precision}
    yield "product, bytes", make("MatMulInteger", [large, large], kind=TensorProto.INT8), {}
    yield "product of 32 rows, fp16", make("MatMul", [(32, 4096), large]), {"precision": "fp16"}
    for precision in ("fp16", "tf32", "fp32"):
        yield f"convolution, {precision}", convolution, {"precision": precision}
    yield "depthwise", make("Conv", [(8, 96, 56, 56)], [(96, 1, 3, 3)], group=96,
                            pads=[1, 1, 1, 1]), {}  # fmt: skip
    yield "attention, float16", make("Attention", [(8, 12, 512, 64)] * 3, kind=half), {}
    for precision in ("bf16", "tf32", "fp32"):
        yield f"attention, {precision}", attention, {"precision": precision}


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/ptx", description=__doc__.split("\n\n")[0])
    parser.add_argument("--gpu", default=ARCHITECTURES)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--nodes", nargs="?", const="", metavar="PART",
                        help="ONNX's node tests instead of networks")  # fmt: skip
    parser.add_argument("--shapes", action="store_true",
                        help="single products, convolutions and attentions instead")  # fmt: skip
    parser.add_argument("--kernels", action="store_true",
                        help="describe each kernel of a contraction")  # fmt: skip
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--keep", type=pathlib.Path, metavar="FILE",
                        help="add results to this file, and do not run again what it has")  # fmt: skip
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    flags = {"precision": options.precision}
    if options.nodes is not None:
        models = list(list_nodes(options.nodes, flags))
    elif options.shapes:
        models = list(list_shapes())
    else:
        table = [s for s in subjects.TABLE.values() if not options.names or s.name in options.names]
        models = [(s.name, str(s.find()), flags) for s in table]
    archs, is_node = options.gpu.split(","), options.nodes is not None
    records = read_records(options.keep)
    describes = options.kernels or options.shapes
    tasks = [(name, model, archs, is_node, flags, describes) for name, model, flags in models
             if any((name, arch) not in records for arch in archs)]  # fmt: skip
    with (
        concurrent.futures.ProcessPoolExecutor(options.jobs) as pool,
        open(options.keep or os.devnull, "a") as keep,
    ):
        for done, found in enumerate(pool.map(run_model, tasks, chunksize=1)):
            if done % 100 == 0 and is_node:
                print(f"{done} of {len(tasks)}", file=sys.stderr, flush=True)
            for record in found:
                records[record["name"], record["arch"]] = record
                print(json.dumps(record), file=keep, flush=True)
                if "error" in record or is_node:
                    continue
                print("{name:24} {arch:7} {kernels:4} kernels, {contractions:3} of contractions "
                      "with at most {registers} registers".format(**record), flush=True)  # fmt: skip
                for line in record["described"]:
                    print("  " + line)
    return summarise(records, [name for name, _, _ in models], archs)


def read_records(path: pathlib.Path | None) -> dict[tuple[str, str], dict]:
    """What an earlier run kept, without its failures."""
    if not path or not path.exists():
        return {}
    records = [json.loads(line) for line in path.read_text().splitlines()]
    return {(r["name"], r["arch"]): r for r in records if "error" not in r}


def summarise(records, names: list[str], archs: list[str]) -> int:
    """Prints failures and totals; the exit status."""
    failed = False
    for arch in archs:
        found = [records[name, arch] for name in names]
        good = [record for record in found if "error" not in record]
        for record in found:
            if "error" in record:
                print(f"{record['name']} {arch}: {record['error']}")
            for kernel, spills in record.get("spills", {}).items():
                print(f"{record['name']} {arch}: {kernel} spills {spills} bytes")
        failed |= len(good) < len(found) or any(record["spills"] for record in good)
        # What has no kernel shows nothing: all of it is the host's.
        on_device = sum(record["kernels"] > 0 for record in good)
        print(f"{arch}: {len(good)} of {len(found)} models assemble, {on_device} of them have "
              f"kernels, {sum(record['kernels'] for record in good)} in all")  # fmt: skip
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
