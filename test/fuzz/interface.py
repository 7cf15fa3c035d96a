"""Fuzzes the C interface: random models are run with wrong shapes, sizes and
pointers, every buffer flush with a page that nothing may touch.

usage: interface.py [--seed N] [--count N] [--jobs N] [--calls N]

A call returns a status, with a message where that is not DLC_OK; it never
reads or writes outside of its buffers. An input that would be larger than its
buffer is never taken. Ends with 1 where one of this does not hold.
"""

from __future__ import annotations

import argparse
import ctypes
import mmap
import pathlib
import sys
from typing import Any

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "test" / "fuzz"), str(ROOT / "test" / "conformance")]

import generate  # noqa: E402
import pool  # noqa: E402
from builder import Discard  # noqa: E402

import dlc  # noqa: E402
from dlc import dtypes, library  # noqa: E402

TIMEOUT = 60.0
LIBC = ctypes.CDLL(None, use_errno=True)
SIZES = [-(2**63), -(2**32), -2, -1, 0, 1, 2, 3, 5, 64, 1000, 2**31, 2**32, 2**47, 2**61, 2**62, 2**63 - 1]


class Guarded:
    """Bytes that end where a page begins that cannot be touched."""

    def __init__(self, content: bytes) -> None:
        pages = -(-len(content) // mmap.PAGESIZE) + 1
        self.memory = mmap.mmap(-1, pages * mmap.PAGESIZE)
        begin = ctypes.addressof(ctypes.c_char.from_buffer(self.memory))
        end = begin + (pages - 1) * mmap.PAGESIZE
        if LIBC.mprotect(ctypes.c_void_p(end), mmap.PAGESIZE, 0):
            raise OSError(ctypes.get_errno(), "mprotect")
        self.address = end - len(content)
        ctypes.memmove(self.address, content, len(content))


class Call:
    """The arguments of one run, right at first."""

    def __init__(self, model: Any, feeds: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
        self.model = model
        self.struct = model._model
        self.tensors = [self.describe(info, feeds[info.name]) for info in model.inputs]
        self.results = [self.describe(info, np.zeros_like(expected[info.name])) for info in model.outputs]
        self.workspace: Guarded | None = None
        self.workspace_size = 0

    def describe(self, info: Any, array: np.ndarray) -> dict[str, Any]:
        memory = dtypes.to_memory(array, info.onnx_type).tobytes()
        shape = np.array(array.shape, np.int64)
        return {
            "data": Guarded(memory),
            "capacity": len(memory),
            "shape": list(shape),
            "item": max(1, array.dtype.itemsize),
        }

    def run(self) -> tuple[int, str]:
        keep = []

        def convert(tensors: list[dict[str, Any]]) -> Any:
            array = (library.Tensor * max(1, len(tensors)))()
            for i, tensor in enumerate(tensors):
                shape = None
                if tensor["shape"] is not None:
                    held = Guarded(np.array(tensor["shape"], np.int64).tobytes())
                    keep.append(held)
                    shape = ctypes.cast(held.address, ctypes.POINTER(ctypes.c_int64))
                data = tensor["data"].address if tensor["data"] else None
                array[i] = library.Tensor(data, tensor["capacity"], shape)
            return array

        error = ctypes.create_string_buffer(400)
        options = library.RunOptions(size=ctypes.sizeof(library.RunOptions), threads=1)
        options.error, options.error_size = ctypes.cast(error, ctypes.c_char_p), len(error)
        if self.workspace:
            options.workspace, options.workspace_size = self.workspace.address, self.workspace_size
        inputs, outputs = convert(self.tensors), convert(self.results)
        status = self.struct.run(inputs, outputs, ctypes.byref(options))
        self.found = [
            ctypes.string_at(t["data"].address, t["capacity"]) if t["data"] else b"" for t in self.results
        ]
        return status, error.value.decode(errors="replace")


def spoil(random: np.random.Generator, call: Call) -> str:
    """Makes one thing wrong, or two; says what."""
    described = []
    for _ in range(int(random.integers(1, 3))):
        kind = ["inputs", "outputs"][int(random.random() < 0.3)]
        tensors = call.tensors if kind == "inputs" else call.results
        if not tensors:
            continue
        i = int(random.integers(len(tensors)))
        tensor = tensors[i]
        what = ["data", "shape", "dim", "dim", "dim", "dims", "capacity", "workspace"][int(random.integers(8))]
        if what == "data":
            tensor["data"] = None
        elif what == "shape":
            tensor["shape"] = None
        elif what in ("dim", "dims") and tensor["shape"]:
            for d in range(len(tensor["shape"])) if what == "dims" else [int(random.integers(len(tensor["shape"])))]:
                tensor["shape"][d] = int(random.choice(np.array(SIZES, object)))
        elif what == "capacity":
            tensor["capacity"] = int(random.integers(0, tensor["capacity"] + 1))
        elif what == "workspace":
            call.workspace_size = int(random.integers(0, call.model.workspace_size + 65))
            call.workspace = Guarded(bytes(call.workspace_size // 64 * 64))
            call.workspace_size = call.workspace_size // 64 * 64
        described.append(f"{kind}[{i}].{what} = {tensor.get(what, tensor['shape'])}")
    return "; ".join(described)


def is_too_large(call: Call) -> bool:
    """Whether an input cannot have so many elements."""
    for tensor in call.tensors:
        if tensor["shape"] is None or not tensor["data"]:
            continue
        if any(size < 0 for size in tensor["shape"]):
            return True
        elements = 1
        for size in tensor["shape"]:
            elements *= int(size)
        if elements * tensor["item"] > tensor["capacity"]:
            return True
    return False


def check_seed(seed: int, calls: int) -> str:
    """What is wrong, "" for nothing, "-" for no model."""
    try:
        example = generate.make_example(seed)
        values = [*example.feeds.values(), *example.expected.values()]
        if any(not isinstance(v, np.ndarray) or v.dtype.kind in "OUS" for v in values):
            return "-"
        model = dlc.compile(example.model, opt_level=1)
    except (Discard, dlc.CompileError):
        return "-"
    random = np.random.default_rng(seed)
    call = Call(model, example.feeds, example.expected)
    status, message = call.run()
    if status:
        return f"a right run ended with {status}: {message}"
    taken = 0
    for _ in range(calls):
        call = Call(model, example.feeds, example.expected)
        what = spoil(random, call)
        print(what, flush=True)  # what a process was at when it died
        status, message = call.run()
        if status and not message:
            return f"{what}: status {status} without a message"
        if not status and is_too_large(call):
            return f"{what}: taken"
        taken += not status
    # A change may be harmless, but not every one.
    return "no wrong call was refused" if taken == calls and model.inputs else ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=0, help="of the first model")
    parser.add_argument("--count", type=int, default=100, help="how many models")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--calls", type=int, default=40, help="wrong ones of each model")
    arguments = parser.parse_args()
    dlc.version()  # loads the library before the fork
    work = lambda i: check_seed(arguments.seed + i, arguments.calls)  # noqa: E731
    failures = models = 0
    for i, problem in pool.run(work, arguments.count, arguments.jobs, TIMEOUT, lambda why: f"died: {why}"):
        models += problem != "-"
        if problem not in ("", "-"):
            failures += 1
            print(f"{arguments.seed + i}: {problem}", flush=True)
    print(f"{models} models, {models * arguments.calls} wrong calls, {failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
