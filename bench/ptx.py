"""Assembles PTX of networks and node tests with NVIDIA's ptxas, and says what
its report and the code itself tell. bench/README.md is the manual.

usage: bench/ptx [--gpu=sm_70,sm_80,...] [--precision=P] [--nodes[=PART]]
                 [--kernels] [--keep=FILE] [NAME...]

The status is 0 only if all assemble and no kernel of a contraction spills.
"""

from __future__ import annotations

import argparse
import concurrent.futures
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
    bandwidth: float  # TB/s


GPUS = {
    "sm_70": Gpu("V100", 2048, 32, 96 << 10, 15.7, 125, 15.7, 0.9),
    "sm_75": Gpu("T4", 1024, 16, 64 << 10, 8.1, 65, 8.1, 0.32),
    "sm_80": Gpu("A100", 2048, 32, 164 << 10, 19.5, 312, 156, 1.55),
    "sm_86": Gpu("A10", 1536, 16, 100 << 10, 31.2, 125, 62.5, 0.6),
    "sm_89": Gpu("L4", 1536, 24, 100 << 10, 30.3, 121, 60, 0.3),
    "sm_90a": Gpu("H100", 2048, 32, 228 << 10, 66.9, 989, 494, 3.35),
    "sm_100": Gpu("B200", 2048, 32, 228 << 10, 75, 2250, 1125, 8.0),
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
        shared = re.search(r"(\d+) bytes smem", part)
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


def run_model(task) -> dict:
    """What is told of a model for an architecture, as a line of JSON has it."""
    name, model, arch, options, describes = task
    record = {"name": name, "arch": arch}
    with tempfile.TemporaryDirectory() as folder:
        try:
            kernels = compile_model(model, arch, pathlib.Path(folder), **options)
        except RuntimeError as error:
            return {**record, "error": str(error)}
    contractions = [kernel for kernel in kernels if kernel.is_contraction]
    return {
        **record,
        "kernels": len(kernels),
        "contractions": len(contractions),
        "registers": max((kernel.registers for kernel in contractions), default=0),
        "spills": {kernel.name: kernel.spills for kernel in contractions if kernel.spills},
        "described": [describe_tile(kernel, arch) for kernel in contractions if describes],
    }


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
    # Of a step of the loop: multiply-adds of a thread's share, bytes from L2.
    mma = len(re.findall(r"mma\.sync", body))
    shape = re.search(r"mma\.sync\.aligned\.m(\d+)n(\d+)k(\d+)", body)
    estimate = ""
    if mma and shape and blocks:
        m, n, k = map(int, shape.groups())
        each = m * n * k * (4 if (m, n, k) == (8, 8, 4) else 1)
        flops = 2 * mma * each * kernel.threads // 32
        stages = 3 if "cp.async" in body else 2
        size = kernel.shared / stages
        peak = gpu.tf32 if "tf32" in body else gpu.fp16
        intensity = flops / size
        bound = min(peak, intensity * gpu.bandwidth * 4)
        estimate = f"{intensity:.0f} FLOP/byte, estimate {bound:.0f} of {peak:.0f} TFLOP/s"
    return (f"{kernel.name:14} {kernel.registers:4} registers, {kernel.shared:6} bytes shared, "
            f"{kernel.spills} spilled, {blocks} blocks ({occupancy} %); a step: {lines} "
            f"instructions ({counts}); {estimate}")  # fmt: skip


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/ptx", description=__doc__.split("\n\n")[0])
    parser.add_argument("--gpu", default=ARCHITECTURES)
    parser.add_argument("--precision", default="fp32")
    parser.add_argument("--nodes", nargs="?", const="", metavar="PART",
                        help="ONNX's node tests instead of networks")  # fmt: skip
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
    else:
        table = [s for s in subjects.TABLE.values() if not options.names or s.name in options.names]
        models = [(s.name, str(s.find()), flags) for s in table]
    tasks = [(name, model, arch, flags, options.kernels)
             for name, model, flags in models for arch in options.gpu.split(",")]  # fmt: skip
    records = read_records(options.keep)
    tasks = [task for task in tasks if (task[0], task[2]) not in records]
    with (
        concurrent.futures.ProcessPoolExecutor(options.jobs) as pool,
        open(options.keep or os.devnull, "a") as keep,
    ):
        for done, record in enumerate(pool.map(run_model, tasks, chunksize=1)):
            records[record["name"], record["arch"]] = record
            print(json.dumps(record), file=keep, flush=True)
            if done % 100 == 0 and options.nodes is not None:
                print(f"{done} of {len(tasks)}", file=sys.stderr, flush=True)
            if "error" not in record and options.nodes is None:
                print("{name:24} {arch:7} {kernels:4} kernels, {contractions:3} of contractions "
                      "with at most {registers} registers".format(**record), flush=True)  # fmt: skip
                for line in record["described"]:
                    print("  " + line)
    return summarise(records, [name for name, _, _ in models], options.gpu.split(","))


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
