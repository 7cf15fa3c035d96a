"""Measures compiled models on this machine's GPU against PyTorch and, where its
package for CUDA is installed, ONNX Runtime. bench/README.md is the manual.

usage: bench/gpu [--gpu=sm_XX] [--rounds=N] [--list] [NAME...]

Without a GPU, or without a PyTorch that can use it, it says so and measures
nothing; the status is 0 then. It is 1 where an answer is wrong.
"""

from __future__ import annotations

import argparse
import ctypes
import dataclasses
import pathlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

# Of the largest value: sums have another order, and operands are rounded.
TOLERANCES = {"fp32": 1e-3, "tf32": 2e-2, "fp16": 2e-2, "bf16": 5e-2}


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
    module: Callable[[Any], Any]  # given torch
    shapes: Sequence[Sequence[int]]
    precision: str
    flops: float = 0.0
    """Of a run; 0: it is bound by memory, of which `bytes` are moved."""
    bytes: float = 0.0


def make_table(torch: Any) -> list[Work]:
    nn = torch.nn

    class Product(nn.Module):
        def forward(self, a, b):
            return a @ b

    class Attention(nn.Module):
        def forward(self, q, k, v):
            scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
            return torch.softmax(scores, -1) @ v

    def conv(cin, cout, size, stride=1):
        return lambda _: nn.Conv2d(cin, cout, size, stride, size // 2)

    table = [
        Work("gemm_4096", lambda _: Product(), [(4096, 4096)] * 2, p, 2 * 4096.0**3)
        for p in ("fp16", "tf32", "fp32")
    ]
    # The layers of ResNet-50, batch 32: channels in and out, window, stride, map.
    for cin, cout, size, stride, side in (
        (64, 64, 3, 1, 56), (64, 256, 1, 1, 56), (128, 128, 3, 1, 28), (256, 256, 3, 1, 14),
        (512, 512, 3, 1, 7), (1024, 2048, 1, 2, 14),
    ):  # fmt: skip
        out = side // stride
        table.append(Work(f"conv_{cin}_{cout}_{size}x{size}_{side}", conv(cin, cout, size, stride),
                          [(32, cin, side, side)], "fp16",
                          2.0 * 32 * out * out * cin * cout * size * size))  # fmt: skip
    table.append(Work("attention_12x512x64", lambda _: Attention(), [(8, 12, 512, 64)] * 3, "fp16",
                      4.0 * 8 * 12 * 512 * 512 * 64))  # fmt: skip
    moved = 2.0 * 4 * 8192 * 4096
    table.append(Work("softmax_8192x4096", lambda _: nn.Softmax(-1), [(8192, 4096)], "fp32",
                      bytes=moved))  # fmt: skip
    table.append(Work("layernorm_8192x4096", lambda _: nn.LayerNorm(4096), [(8192, 4096)], "fp32",
                      bytes=moved))  # fmt: skip
    try:
        import torchvision.models as vision
    except ImportError:
        return table
    for batch in (1, 8, 32):
        for name in ("resnet50", "vit_b_16"):
            table.append(Work(f"{name}_batch{batch}", lambda _, n=name: getattr(vision, n)(),
                              [(batch, 3, 224, 224)], "fp16"))  # fmt: skip
        layer = nn.TransformerEncoderLayer(768, 12, 3072, 0.0, "gelu", batch_first=True)
        table.append(Work(f"bert_base_batch{batch}",
                          lambda _, layer=layer: nn.TransformerEncoder(
                              layer, 12, enable_nested_tensor=False),
                          [(batch, 128, 768)], "fp16"))  # fmt: skip
    return table


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


def work(torch: Any, task: Work, arch: str, rounds: int) -> bool:
    """Measures one; whether the answer is right."""
    import dlc
    from dlc.model import Call

    torch.manual_seed(0)
    module = task.module(torch).eval()
    inputs = [torch.randn(*shape) for shape in task.shapes]
    with tempfile.TemporaryDirectory() as folder, torch.no_grad():
        path = pathlib.Path(folder) / "x.onnx"
        torch.onnx.export(module, tuple(inputs), str(path), opset_version=17, dynamo=False)
        expected = module(*inputs).double()
        network = dlc.compile(str(path), gpus=arch, precision=task.precision)
        here = [x.cuda() for x in inputs]
        result = torch.empty(expected.shape, device="cuda")
        stream = torch.cuda.current_stream().cuda_stream
        call = Call(network, here, outputs=[result], stream=stream, asynchronous=True)
        call()
        network.synchronize()
        error = float((result.cpu().double() - expected).abs().max() / expected.abs().max())
        right = error <= TOLERANCES[task.precision]
        torch.backends.cuda.matmul.allow_tf32 = task.precision == "tf32"
        torch.backends.cudnn.allow_tf32 = task.precision == "tf32"
        dtype = {"fp16": torch.float16, "bf16": torch.bfloat16}.get(task.precision, torch.float32)
        peer = module.cuda().to(dtype)
        theirs = [x.to(dtype) for x in here]
        compiled = torch.compile(peer)
        runs: list[Callable[[], Any]] = [call, lambda: peer(*theirs), lambda: compiled(*theirs)]
        runs += make_onnxruntime(path, here, result)
        times = measure(torch, runs, rounds)
    rate = ""
    if task.flops:
        rate = f"{task.flops / times[0] / 1e9:8.1f} TFLOP/s"
    elif task.bytes:
        rate = f"{task.bytes / times[0] / 1e6:8.1f} GB/s"
    shown = " ".join(f"{time:10.4f}" for time in times)
    print(f"{task.name:26} {task.precision:5} {error:9.2e} {shown} {rate}"
          f"{'' if right else '  WRONG'}", flush=True)  # fmt: skip
    network.release()
    return right


def make_onnxruntime(path: pathlib.Path, inputs: Sequence[Any], result: Any):
    """A run of ONNX Runtime on the same memory, or none."""
    try:
        import onnxruntime
    except ImportError:
        return []
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        return []
    session = onnxruntime.InferenceSession(str(path), providers=["CUDAExecutionProvider"])
    binding = session.io_binding()
    for info, x in zip(session.get_inputs(), inputs):
        binding.bind_input(info.name, "cuda", 0, np.float32, tuple(x.shape), x.data_ptr())
    (info,) = session.get_outputs()
    binding.bind_output(info.name, "cuda", 0, np.float32, tuple(result.shape), result.data_ptr())
    return [lambda: session.run_with_iobinding(binding)]


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/gpu", description=__doc__.split("\n\n")[0])
    parser.add_argument("--gpu", help="architecture to compile for, instead of the GPU's")
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--list", action="store_true", help="names of what can be measured")
    parser.add_argument("names", nargs="*")
    options = parser.parse_args()
    try:
        import torch
    except ImportError:
        torch = None
    if not options.list:
        found = find_gpu()
        if isinstance(found, str):
            return skip(found)
        if torch is None or not torch.cuda.is_available():
            return skip("no PyTorch that can use the GPU: set DLC_BENCH_PYTHON to a Python with one")
    elif torch is None:
        return skip("no PyTorch: set DLC_BENCH_PYTHON to a Python with one")
    table = make_table(torch)
    unknown = [name for name in options.names if name not in {task.name for task in table}]
    if unknown:
        parser.error(f"unknown names {unknown}; bench/gpu --list shows those that are known")
    if options.list:
        print("\n".join(dict.fromkeys(task.name for task in table)))
        return 0
    name, arch = found
    print(f"{name}, code for {options.gpu or arch}; medians in ms: dlc, PyTorch, torch.compile"
          ", ONNX Runtime where it is there; error relative to the largest value")  # fmt: skip
    wrong = 0
    for task in table:
        if not options.names or task.name in options.names:
            wrong += not work(torch, task, options.gpu or arch, options.rounds)
    return int(wrong > 0)


if __name__ == "__main__":
    sys.exit(main())
