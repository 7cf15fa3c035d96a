"""Measures compiled models on this machine's GPU against PyTorch and, where its
package for CUDA is installed, ONNX Runtime. bench/README.md is the manual.

usage: bench/gpu [--gpu=sm_XX] [--peers=P,...] [--rounds=N] [--jobs=N] [--profile]
                 [--list] [NAME...]

Without a GPU, or without a PyTorch that can use it, it says so and measures
nothing; the status is 0 then. It is 1 where an answer is wrong.
"""

from __future__ import annotations

import argparse
import concurrent.futures
import ctypes
import dataclasses
import fnmatch
import importlib.util
import multiprocessing
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

# PyTorch as it is; with pictures in channels_last, as a CUDA graph; torch.compile.
PEERS = ("pytorch", "graph", "compile", "onnxruntime")

# Of the largest value: sums have another order, and operands are rounded.
TOLERANCES = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 5e-2, "half": 2e-2}


def skip(reason: str) -> int:
    print(f"bench/gpu: skipped: {reason}")
    return 0


def find_gpu() -> tuple[str, str] | str:
    """Name and architecture of the first GPU, or why there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return "this machine has no NVIDIA driver (libcuda.so.1)"
    count, device, number = ctypes.c_int(), ctypes.c_int(), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGetCount(ctypes.byref(count)) or not count.value:
        return "the NVIDIA driver finds no GPU"
    driver.cuDeviceGet(ctypes.byref(device), 0)
    name = ctypes.create_string_buffer(256)
    driver.cuDeviceGetName(name, 256, device)
    capability = 0
    for attribute, factor in ((75, 10), (76, 1)):
        driver.cuDeviceGetAttribute(ctypes.byref(number), attribute, device)
        capability += factor * number.value
    known = [70, 72, 75, 80, 86, 87, 89, 90, 100, 120]
    best = max((arch for arch in known if arch <= capability), default=None)
    if best is None:
        return f"{name.value.decode()} is sm_{capability}, older than sm_70"
    return name.value.decode(), f"sm_{best}"


@dataclasses.dataclass
class Work:
    """What is measured: a module of PyTorch, from which the ONNX model comes."""

    name: str
    make: Callable[[Any], Any]  # a module, given torch
    shapes: Sequence[Sequence[int]]
    kind: str
    """half: a model of float16; else one of float32 and a --precision."""
    flops: float = 0.0
    """Of a run; 0: it is bound by memory, of which `bytes` are moved."""
    bytes: float = 0.0

    @property
    def key(self) -> str:
        return f"{self.name}.{self.kind}"

    def make_module(self, torch: Any) -> tuple[Any, list[Any]]:
        """The module and its inputs, float32, the same in each process."""
        torch.manual_seed(zlib.crc32(self.name.encode()))
        module = self.make(torch).eval()
        return module, [torch.randn(*shape) for shape in self.shapes]


def make_table(torch: Any) -> list[Work]:
    nn = torch.nn

    class Product(nn.Module):
        def forward(self, a, b):
            return a @ b

    class Attention(nn.Module):
        def forward(self, q, k, v):
            if torch.onnx.is_in_onnx_export():
                scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
                return torch.softmax(scores, -1) @ v
            return nn.functional.scaled_dot_product_attention(q, k, v)

    def conv(cin, cout, size, stride=1):
        return lambda _: nn.Conv2d(cin, cout, size, stride, size // 2)

    table = [
        Work("gemm_4096", lambda _: Product(), [(4096, 4096)] * 2, kind, 2 * 4096.0**3)
        for kind in ("half", "fp16", "tf32", "fp32")
    ]
    # The layers of ResNet-50, batch 32: channels in and out, window, stride, map.
    for cin, cout, size, stride, side in (
        (3, 64, 7, 2, 224), (64, 64, 1, 1, 56), (64, 64, 3, 1, 56), (64, 256, 1, 1, 56),
        (256, 64, 1, 1, 56), (256, 128, 1, 1, 56), (128, 128, 3, 2, 56), (128, 128, 3, 1, 28),
        (128, 512, 1, 1, 28), (512, 128, 1, 1, 28), (256, 256, 3, 1, 14), (256, 1024, 1, 1, 14),
        (1024, 256, 1, 1, 14), (512, 512, 3, 1, 7), (512, 2048, 1, 1, 7), (1024, 2048, 1, 2, 14),
    ):  # fmt: skip
        out = side // stride
        table.append(Work(f"conv_{cin}_{cout}_{size}x{size}_{side}", conv(cin, cout, size, stride),
                          [(32, cin, side, side)], "half",
                          2.0 * 32 * out * out * cin * cout * size * size))  # fmt: skip
    for batch, heads, length, width in ((8, 12, 512, 64), (2, 16, 2048, 128)):
        table.append(Work(f"attention_{heads}x{length}x{width}", lambda _: Attention(),
                          [(batch, heads, length, width)] * 3, "half",
                          4.0 * batch * heads * length * length * width))  # fmt: skip
    moved = 2.0 * 4 * 8192 * 4096
    for name, module in (("softmax", nn.Softmax(-1)), ("layernorm", nn.LayerNorm(4096)),
                         ("gelu", nn.GELU())):  # fmt: skip
        table.append(Work(f"{name}_8192x4096", lambda _, module=module: module, [(8192, 4096)],
                          "fp32", bytes=moved))  # fmt: skip
    table.append(Work("depthwise_96_3x3_112", lambda _: nn.Conv2d(96, 96, 3, 1, 1, groups=96),
                      [(32, 96, 112, 112)], "fp32", bytes=2.0 * 4 * 32 * 96 * 112 * 112))
    try:
        import torchvision.models as vision
    except ImportError:
        return table
    for batch in (1, 8, 32):
        for name in ("resnet50", "vit_b_16"):
            table.append(Work(f"{name}_batch{batch}", lambda torch, n=name: make_vision(torch, n),
                              [(batch, 3, 224, 224)], "half"))  # fmt: skip
        table.append(Work(f"bert_base_batch{batch}", make_bert, [(batch, 128, 768)], "half"))
    # Products of BERT's layers at batch 8 and 32.
    for m, k, n in ((1024, 768, 768), (1024, 768, 3072), (1024, 3072, 768), (4096, 768, 768),
                    (4096, 768, 3072), (4096, 3072, 768)):  # fmt: skip
        table.append(Work(f"linear_{m}x{k}x{n}", lambda _, k=k, n=n: nn.Linear(k, n), [(m, k)],
                          "half", 2.0 * m * k * n))  # fmt: skip
    return table


def make_vision(torch: Any, name: str) -> Any:
    import torchvision

    module = getattr(torchvision.models, name)()
    for parameter in module.parameters():  # some networks begin with a last layer of zeros
        if parameter.dim() == 2 and not parameter.any():
            torch.nn.init.normal_(parameter, std=parameter.shape[1] ** -0.5)
    return module


def make_bert(torch: Any) -> Any:
    """The layers of BERT-base, which is given what its embedding gives."""
    layer = torch.nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True)
    module = torch.nn.TransformerEncoder(layer, 12, enable_nested_tensor=False)
    for parameter in module.parameters():  # the layers are copies of one
        if parameter.dim() == 2:
            torch.nn.init.xavier_uniform_(parameter)
    return module


def prepare(name: str, folder: pathlib.Path, arch: str) -> None:
    """Exports one of the table and compiles it, to files called as its key."""
    import torch

    import dlc

    torch.set_num_threads(1)
    torch.backends.mha.set_fastpath_enabled(False)  # an operator that ONNX has not
    (task,) = (task for task in make_table(torch) if task.key == name)
    module, inputs = task.make_module(torch)
    path = folder / f"{name}.onnx"
    with torch.no_grad():
        torch.onnx.export(module, tuple(inputs), str(path), opset_version=17, dynamo=False)
    if task.kind == "half":
        convert_to_half(path)
    precision = "fp32" if task.kind == "half" else task.kind
    dlc.compile_to_file(path, folder / f"{name}.so", emit=["shared"], name="network", gpus=arch,
                        precision=precision)  # fmt: skip


def convert_to_half(path: pathlib.Path) -> None:
    """Makes all floats of a model float16: PyTorch's CPU, which would have to
    run a module of float16 to export it, takes minutes for it."""
    import onnx
    from onnx import TensorProto, numpy_helper

    def convert(tensor: onnx.TensorProto) -> None:
        if tensor.data_type == TensorProto.FLOAT:
            value = numpy_helper.to_array(tensor).astype(np.float16)
            tensor.CopyFrom(numpy_helper.from_array(value, tensor.name))

    model = onnx.load(path)
    for tensor in model.graph.initializer:
        convert(tensor)
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.FLOAT16
    del model.graph.value_info[:]
    for node in model.graph.node:
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.TENSOR:
                convert(attribute.t)
            elif node.op_type == "Cast" and attribute.i == TensorProto.FLOAT:
                attribute.i = TensorProto.FLOAT16
    onnx.save(model, path)


def measure(torch: Any, runs: Sequence[Callable[[], Any]], rounds: int) -> list[float]:
    """The median time of each in milliseconds, in turns."""
    times: list[list[float]] = [[] for _ in runs]
    for run in runs:
        for _ in range(3):
            run()
    torch.cuda.synchronize()
    for _ in range(rounds):
        for run, found in zip(runs, times):
            begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
            begin.record()
            for _ in range(10):
                run()
            end.record()
            torch.cuda.synchronize()
            found.append(begin.elapsed_time(end) / 10)
    return [statistics.median(found) for found in times]


def record_graph(torch: Any, peer: Any, inputs: Sequence[Any]) -> Callable[[], Any]:
    """A run of a module as a CUDA graph."""
    side = torch.cuda.Stream()
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):
            peer(*inputs)
    torch.cuda.current_stream().wait_stream(side)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        kept = peer(*inputs)
    return lambda: (graph.replay(), kept)


def measure_copy(torch: Any, rounds: int) -> float:
    """Bytes that a second moves from memory to memory of the GPU."""
    source = torch.randn(8192, 4096, device="cuda")
    target = torch.empty_like(source)
    (time,) = measure(torch, [lambda: target.copy_(source)], rounds)
    return 2 * source.nbytes / time * 1e3


def print_profile(torch: Any, run: Callable[[], Any], runs: int = 3, count: int = 25) -> None:
    """The kernels that took most of a run's time."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as found:
        for _ in range(runs):
            run()
        torch.cuda.synchronize()
    rows = sorted(found.key_averages(), key=lambda row: -row.device_time_total)
    for row in rows[:count]:
        print(f"    {row.device_time_total / runs:9.1f} us {row.count / runs:6.1f} x {row.key[:90]}")


def work(torch: Any, task: Work, folder: pathlib.Path, options: argparse.Namespace) -> bool:
    """Measures one; whether the answer is right."""
    import dlc
    from dlc.model import Call

    module, inputs = task.make_module(torch)
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    half = task.kind == "half"
    # A stream that all share and events see: 0, the default one, is to dlc one of its own.
    with torch.no_grad(), torch.cuda.stream(torch.cuda.Stream()):
        peer = module.cuda()
        here = [x.cuda() for x in inputs]
        expected = peer(*here).double()
        network = dlc.load(folder / f"{task.key}.so", name="network")
        given = [x.half() for x in here] if half else here
        result = torch.empty(expected.shape, device="cuda", dtype=given[0].dtype)
        stream = torch.cuda.current_stream().cuda_stream
        call = Call(network, given, outputs=[result], stream=stream, asynchronous=True)
        error = 0.0
        for _ in range(3):  # at once, recorded as a graph, and by the graph
            result.fill_(float("nan"))
            call()
            network.synchronize()
            found = result.double()
            off = float((found - expected).abs().max() / expected.abs().max())
            error = max(error, off) if off == off else float("inf")
        right = error <= TOLERANCES[task.kind]
        tf32 = task.kind == "tf32"
        torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = tf32
        dtype = {"half": torch.float16, "fp16": torch.float16, "bf16": torch.bfloat16}.get(
            task.kind, torch.float32
        )
        peer = peer.to(dtype)
        theirs = [x.to(dtype) for x in here]
        runs: dict[str, Callable[[], Any]] = {"dlc": call}
        if "pytorch" in options.peers:
            runs["pytorch"] = lambda peer=peer, theirs=theirs: peer(*theirs)
        if "graph" in options.peers:
            if len(task.shapes[0]) == 4 and not task.name.startswith("attention"):
                peer = peer.to(memory_format=torch.channels_last)
                theirs = [x.to(memory_format=torch.channels_last) for x in theirs]
            runs["graph"] = record_graph(torch, peer, theirs)
        if "compile" in options.peers:
            compiled = torch.compile(peer)
            runs["compile"] = lambda: compiled(*theirs)
        if "onnxruntime" in options.peers:
            try:
                runs["onnxruntime"] = make_onnxruntime(folder / f"{task.key}.onnx", given, result)
            except Exception as error:
                skip_peer(task, "onnxruntime", error)
        for name in [name for name in runs if name in ("compile", "onnxruntime")]:
            try:
                runs[name]()
            except Exception as error:  # of the peer's own kinds
                skip_peer(task, name, error)
                del runs[name]
        times = dict(zip(runs, measure(torch, list(runs.values()), options.rounds)))
    rate = ""
    if task.flops:
        rate = f"{task.flops / times['dlc'] / 1e9:8.1f} TFLOP/s"
    elif task.bytes:
        share = task.bytes / times["dlc"] * 1e3 / options.copy
        rate = f"{task.bytes / times['dlc'] / 1e6:8.1f} GB/s, {share:.2f} of a copy's"
    best = min((times[peer] for peer in times if peer != "dlc"), default=0.0)
    shown = " ".join(f"{times[run]:10.4f}" if run in times else f"{'-':>10}"
                     for run in ("dlc", *options.peers))  # fmt: skip
    print(f"{task.name:26} {task.kind:5} {error:9.2e} {shown} {times['dlc'] / best if best else 0:6.2f}"
          f" {rate}{'' if right else '  WRONG'}", flush=True)  # fmt: skip
    if options.profile:
        print_profile(torch, call)
        if "pytorch" in options.peers:
            print("    PyTorch:")
            print_profile(torch, runs["pytorch"], count=8)
    network.release()
    return right


def skip_peer(task: Work, peer: str, error: Exception) -> None:
    lines = str(error).strip().splitlines() or [""]
    print(f"{task.name:26} {task.kind:5} {peer} skipped: {type(error).__name__}: {lines[0]}",
          flush=True)  # fmt: skip


def find_missing(peer: str) -> str:
    """Why a peer cannot be measured on this machine; empty if it can."""
    if peer == "onnxruntime":
        try:
            import onnxruntime
        except ImportError:
            return "no Python package onnxruntime-gpu"
        if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
            return f"onnxruntime {onnxruntime.__version__} has no CUDA: install onnxruntime-gpu"
    if peer == "compile":
        if importlib.util.find_spec("triton") is None:
            return "torch.compile needs the Python package triton"
        compilers = [os.environ.get("CC"), "cc", "gcc", "clang"]
        if not any(shutil.which(name) for name in compilers if name):
            return "torch.compile needs a C compiler, for triton"
    return ""


def make_onnxruntime(path: pathlib.Path, inputs: Sequence[Any], result: Any) -> Callable[[], Any]:
    """A run of ONNX Runtime on the same memory."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CUDAExecutionProvider"])
    binding = session.io_binding()
    dtype = np.float16 if result.element_size() == 2 else np.float32
    for info, x in zip(session.get_inputs(), inputs):
        binding.bind_input(info.name, "cuda", 0, dtype, tuple(x.shape), x.data_ptr())
    if "CUDAExecutionProvider" not in session.get_providers():  # it goes on without
        raise RuntimeError("its provider for CUDA does not load")
    (info,) = session.get_outputs()
    binding.bind_output(info.name, "cuda", 0, dtype, tuple(result.shape), result.data_ptr())
    return lambda: session.run_with_iobinding(binding)


def prepare_all(
    tasks: Sequence[Work], folder: pathlib.Path, arch: str, jobs: int
) -> Iterator[tuple[Work, str]]:
    """Each of the tasks as soon as its files are there, and what went wrong."""
    context = multiprocessing.get_context("spawn")  # this process may use the GPU
    with concurrent.futures.ProcessPoolExecutor(jobs, context) as pool:
        futures = [pool.submit(prepare, task.key, folder, arch) for task in tasks]
        for task, future in zip(tasks, futures):
            error = future.exception()
            yield task, f"{type(error).__name__}: {error}" if error else ""


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/gpu", description=__doc__.split("\n\n")[0])
    parser.add_argument("--gpu", help="architecture to compile for, instead of the GPU's")
    parser.add_argument("--peers", default=",".join(PEERS), metavar="P,...",
                        help=f"what else is measured: {', '.join(PEERS)} (torch.compile takes"
                        " a minute a network)")  # fmt: skip
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="compilations at once")
    parser.add_argument("--profile", action="store_true", help="the time of each kernel, too")
    parser.add_argument("--prepare", action="store_true",
                        help="export and compile only: needs PyTorch and --gpu, but no GPU")
    parser.add_argument("--list", action="store_true", help="names of what can be measured")
    parser.add_argument("names", nargs="*", metavar="NAME", help="with * and ? as in a shell")
    options = parser.parse_args()
    options.peers = [peer for peer in options.peers.split(",") if peer]
    if not set(options.peers) <= set(PEERS):
        parser.error(f"--peers: expected some of {', '.join(PEERS)}")
    try:
        import torch
    except ImportError:
        torch = None
    found: tuple[str, str] | str = ("", "")
    if not options.list and not options.prepare:
        found = find_gpu()
        if isinstance(found, str):
            return skip(found)
        if torch is None or not torch.cuda.is_available():
            return skip("no PyTorch that can use the GPU: set DLC_BENCH_PYTHON to a Python with one")
    elif torch is None:
        return skip("no PyTorch: set DLC_BENCH_PYTHON to a Python with one")
    table = make_table(torch)
    for name in options.names:
        if not any(fnmatch.fnmatch(task.name, name) for task in table):
            parser.error(f"unknown name {name!r}; bench/gpu --list shows those that are known")
    table = [task for task in table if not options.names
             or any(fnmatch.fnmatch(task.name, name) for name in options.names)]  # fmt: skip
    if options.list:
        print("\n".join(dict.fromkeys(task.name for task in table)))
        return 0
    name, arch = found
    arch = options.gpu or arch
    if not arch:
        parser.error("--prepare needs --gpu")
    if not options.prepare:
        for peer in list(options.peers):
            if missing := find_missing(peer):
                print(f"{peer} skipped: {missing}")
                options.peers.remove(peer)
        options.copy = measure_copy(torch, options.rounds)
        print(f"{name}, code for {arch}; a copy moves {options.copy / 1e9:.0f} GB/s; medians in ms:"
              f" dlc, {', '.join(options.peers)}, and dlc's part of the best peer's; error relative"
              " to the largest value")  # fmt: skip
    wrong = 0
    with tempfile.TemporaryDirectory() as text:
        folder = pathlib.Path(text)
        for task, problem in prepare_all(table, folder, arch, options.jobs):
            if problem:
                print(f"{task.name:26} {task.kind:5} {problem}", flush=True)
                wrong += 1
            elif not options.prepare:
                wrong += not work(torch, task, folder, options)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
