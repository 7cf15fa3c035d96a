"""Quantized networks: made by ONNX Runtime's quantizer from the networks of
bench/models, compared with their definition, and measured.

usage: bench/quantized [--form=FORM]... [--no-timing] [--kernels] [NAME...]

A form is FORMAT-TYPES-SCALES: qdq or qoperator, or dlc, a QDQ file of dlc
quantize; u8s8 or s8s8; tensor or channel. bench/README.md is the manual.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import definition
import numpy as np
import objects
import onnx
import subjects
from engines import bind, make_session
from forms import FORMS, OWN_FORMS, make_quantized

import dlc

NAMES = ("resnet50", "mobilenet_v2")
SECONDS, ROUNDS = 4.0, 5


def time_all(runs: Sequence[Callable[[], None]]) -> list[float]:
    """The least seconds that each takes, in turns."""
    least = [float("inf")] * len(runs)
    for run in runs:
        run()
    begin, rounds = time.monotonic(), 0
    while rounds < ROUNDS or time.monotonic() - begin < SECONDS:
        for i, run in enumerate(runs):
            start = time.perf_counter()
            run()
            least[i] = min(least[i], time.perf_counter() - start)
        rounds += 1
    return least


def compile_model(path: pathlib.Path, folder: pathlib.Path) -> dlc.Model:
    folder.mkdir()
    return dlc.load(objects.link_shared(objects.compile(path, folder)), name="network")


@dataclasses.dataclass
class Shares:
    """Of the numbers that a network rounds to integers."""

    equal: float
    near: float  # no more than one step off
    worst: str  # the tensor with the least share of equal numbers


def compare(
    model: onnx.ModelProto, inputs: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]
) -> Shares:
    """Each rounded tensor with what the definition makes of those before it that
    were found, so that one number that a tie moved is counted once."""
    counts: dict[str, tuple[int, int, int]] = {}

    def replace(name: str, value: np.ndarray) -> np.ndarray:
        if name not in found:
            return value
        steps = np.abs(found[name].astype(np.int64) - value.astype(np.int64))
        counts[name] = (int((steps == 0).sum()), int((steps <= 1).sum()), steps.size)
        return found[name]

    definition.run(model, inputs, replace)
    equal, near, size = (sum(column) for column in zip(*counts.values()))
    worst = min(counts, key=lambda name: counts[name][0] / max(counts[name][2], 1))
    return Shares(equal / size, near / size, worst)


def measure(
    path: pathlib.Path, subject: subjects.Subject, inputs: dict[str, np.ndarray], folder: pathlib.Path
) -> list[str]:
    """The columns of the times."""
    session = make_session(path)
    models = [compile_model(path, folder / "int8"), compile_model(subject.find(), folder / "float")]
    given = [inputs[info.name] for info in models[0].inputs]
    ours, float_ours = (
        dlc.model.Call(model, given, threads=1, keep_workspace=True) for model in models
    )
    times = time_all([ours, bind(session, inputs).call, float_ours])
    return [*(f"{seconds * 1e3:9.2f}" for seconds in times),
            f"{times[0] / times[1]:7.2f}", f"{times[0] / times[2]:7.2f}"]  # fmt: skip


def verify(name: str, form: str, timing: bool, detail: bool) -> bool:
    """Prints the row of one network in one form; true if it is right."""
    subject = subjects.TABLE[name]
    path = make_quantized(subject, form)
    model = onnx.load(path)
    inputs = subject.make_inputs(make_session(path).get_inputs(), subject.sizes[0])
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        exposed = folder / "exposed.onnx"
        rounded = definition.expose(path, exposed)
        session = make_session(exposed)
        outputs = [info.name for info in session.get_outputs()]
        compiled = compile_model(exposed, folder / "exposed")
        results = {
            "dlc": compiled.run([inputs[info.name] for info in compiled.inputs]),
            "ORT": session.run(None, inputs),
        }
        shares = {
            engine: compare(model, inputs, {n: v for n, v in zip(outputs, values) if n in rounded})
            for engine, values in results.items()
        }
        row = [name.ljust(14), form.ljust(24)]
        row += [f"{s.equal:9.4%}  {s.near:9.4%}" for s in shares.values()]
        if timing:
            row += measure(path, subject, inputs, folder)
    print("  ".join(row), flush=True)
    if detail:
        for engine, s in shares.items():
            print(f"  {engine}: fewest equal in {s.worst}")
    return shares["dlc"].near >= 0.999


# The products of bytes that AArch64 has: none, sdot and udot, usdot and smmla.
ARMS = {"plain": "", "dotprod": "+dotprod", "i8mm": "+dotprod,+i8mm"}


def verify_arms(name: str, form: str) -> bool:
    """Prints a row for each kind of AArch64: whether its objects, run by the
    emulator, give the bits that this machine's gives."""
    subject = subjects.TABLE[name]
    path = make_quantized(subject, form)
    inputs = subject.make_inputs(make_session(path).get_inputs(), subject.sizes[0])
    right = True
    with tempfile.TemporaryDirectory() as directory:
        folder = pathlib.Path(directory)
        compiled = compile_model(path, folder / "here")
        given = [inputs[info.name] for info in compiled.inputs]
        expected = compiled.run(given)
        for arm, features in ARMS.items():
            place = folder / arm
            place.mkdir()
            flags = ["--threads=1", *([f"-mattr={features}"] if features else [])]
            found = objects.compile(path, place, "aarch64", flags)
            begin = time.monotonic()
            results = objects.run_emulated(found, given, [y.dtype for y in expected])
            same = [a.tobytes() == b.tobytes() for a, b in zip(results, expected)]
            furthest = max(float(np.abs(a.astype(float) - b.astype(float)).max())
                           for a, b in zip(results, expected))  # fmt: skip
            right &= all(same)
            print(f"{name:14}  {form:24}  {arm:8}  {'equal' if all(same) else 'DIFFERENT'}  furthest {furthest:g}"
                  f"  {time.monotonic() - begin:.0f} s emulated", flush=True)  # fmt: skip
    return right


# The peak of vpdpbusd, or of tdpbusd where the process may use AMX's tiles: sums
# that do not wait for each other.
PEAK = r"""
#include <immintrin.h>
#include <stdint.h>
void peak(int64_t rounds, int32_t *out) {
  __m512i s[12], x = _mm512_set1_epi8(1), y = _mm512_set1_epi8(2);
  for (int i = 0; i < 12; i++) s[i] = _mm512_set1_epi32(i);
  for (int64_t r = 0; r < rounds; r++)
    for (int i = 0; i < 12; i++) {
      s[i] = _mm512_dpbusd_epi32(s[i], x, y);
      __asm__ volatile("" : "+v"(s[i]));
    }
  for (int i = 1; i < 12; i++) s[0] = _mm512_add_epi32(s[0], s[i]);
  _mm512_storeu_si512(out, s[0]);
}
/* 0 where there are tiles for this process. */
#include <sys/syscall.h>
#include <unistd.h>
__attribute__((target("amx-int8"))) int32_t peak_tiles(int64_t rounds) {
  uint8_t shape[64] = {1};
  if (syscall(SYS_arch_prctl, 0x1023, 18)) return 1;
  for (int i = 0; i < 8; i++) shape[16 + 2 * i] = 64, shape[48 + i] = 16;
  _tile_loadconfig(shape);
  for (int64_t r = 0; r < rounds; r++) {
    _tile_dpbusd(0, 4, 6);
    _tile_dpbusd(1, 4, 7);
    _tile_dpbusd(2, 5, 6);
    _tile_dpbusd(3, 5, 7);
  }
  _tile_release();
  return 0;
}
void read_all(const char *data, int64_t size, int32_t *out) {
  __m512i s[8];
  for (int i = 0; i < 8; i++) s[i] = _mm512_setzero_si512();
  for (int64_t at = 0; at + 512 <= size; at += 512)
    for (int i = 0; i < 8; i++)
      s[i] = _mm512_or_si512(s[i], _mm512_loadu_si512(data + at + 64 * i));
  for (int i = 1; i < 8; i++) s[0] = _mm512_or_si512(s[0], s[i]);
  _mm512_storeu_si512(out, s[0]);
}
"""


def build_peak(folder: pathlib.Path) -> Any:
    import ctypes
    import subprocess

    source, library = folder / "peak.c", folder / "peak.so"
    source.write_text(PEAK)
    subprocess.run(["clang-22", "-O2", "-march=znver4", "-shared", "-fPIC", source, "-o", library],
                   check=True)  # fmt: skip
    return ctypes.CDLL(str(library))


def make_reader(folder: pathlib.Path, size: int) -> Callable[[], None]:
    """A run of nothing but reading so many bytes, in order."""
    import ctypes

    function, data = build_peak(folder).read_all, np.ones(size, np.uint8)
    out = (ctypes.c_int32 * 16)()
    return lambda: function(data.ctypes.data_as(ctypes.c_void_p), ctypes.c_int64(size), out)


def make_peak(folder: pathlib.Path) -> tuple[Callable[[], None], float]:
    """A run of nothing but dot products, and how many products it does."""
    import ctypes

    library = build_peak(folder)
    if library.peak_tiles(ctypes.c_int64(1)) == 0:
        rounds = 100_000
        return lambda: library.peak_tiles(ctypes.c_int64(rounds)), rounds * 4 * 16 * 16 * 64.0
    function = library.peak
    out = (ctypes.c_int32 * 16)()
    rounds = 2_000_000
    return lambda: function(ctypes.c_int64(rounds), out), rounds * 12 * 64.0


def make_kernel(kind: str, signed: bool) -> tuple[onnx.ModelProto, float]:
    """A requantized product of 1024 x 1024 x 1024 or a 3x3 convolution, and how
    many products of numbers it has."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)
    dtype = np.int8 if signed else np.uint8
    element = TensorProto.INT8 if signed else TensorProto.UINT8
    zero = dtype(3 if signed else 128)

    def constant(name: str, value: Any) -> onnx.TensorProto:
        return numpy_helper.from_array(np.asarray(value), name)

    scales = [constant("s", np.float32(0.02)), constant("z", zero)]
    if kind == "gemm":
        shape, weights = [1024, 1024], (1024, 1024)
        inputs = ["x", "s", "z", "w", "ws", "wz", "ys", "z"]
        node = helper.make_node("QLinearMatMul", inputs, ["y"])
        products = 1024.0**3
    else:
        shape, weights = [1, 256, 28, 28], (256, 256, 3, 3)
        inputs = ["x", "s", "z", "w", "ws", "wz", "ys", "z"]
        node = helper.make_node("QLinearConv", inputs, ["y"], pads=[1, 1, 1, 1])
        products = 28.0**2 * 256 * 256 * 9
    scales += [constant("w", random.integers(-127, 128, weights, np.int8)),
               constant("ws", np.float32(0.01)), constant("wz", np.int8(0)),
               constant("ys", np.float32(1))]  # fmt: skip
    graph = helper.make_graph(
        [node], "g", [helper.make_tensor_value_info("x", element, shape)],
        [helper.make_tensor_value_info("y", element, None)], scales,
    )  # fmt: skip
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), products


def measure_kernels() -> None:
    """Single operators in percent of the machine's dot products, which run in
    turns with them."""
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        peak, peak_products = make_peak(folder)
        for kind in ("gemm", "conv"):
            for signed in (False, True):
                model, products = make_kernel(kind, signed)
                path = folder / f"{kind}{signed}.onnx"
                onnx.save(model, path)
                compiled = compile_model(path, folder / f"{kind}{signed}")
                session = make_session(path)
                info = session.get_inputs()[0]
                x = np.random.default_rng(1).integers(
                    *((-128, 128) if signed else (0, 256)), info.shape
                ).astype(np.int8 if signed else np.uint8)  # fmt: skip
                same = (compiled.run([x])[0] == session.run(None, {"x": x})[0]).mean()
                ours, theirs, least = time_all([
                    dlc.model.Call(compiled, [x], threads=1, keep_workspace=True), bind(session, {"x": x}).call, peak,
                ])  # fmt: skip
                share = products / ours / (peak_products / least)
                print(f"{kind:5} {'s8s8' if signed else 'u8s8'}  dlc {ours * 1e3:7.2f} ms  "
                      f"ORT {theirs * 1e3:7.2f} ms  {share:6.1%} of the peak, "
                      f"{peak_products / least / 1e9:.0f} G/s  equal to ORT {same:.2%}",
                      flush=True)  # fmt: skip


def measure_blocks(size: int = 4096, block: int = 32) -> None:
    """Products with a square matrix in 4 and 8 bits, against f32's."""
    from onnx import TensorProto, helper, numpy_helper

    random = np.random.default_rng(0)

    def save(folder: pathlib.Path, node: onnx.NodeProto, rows: int, **constants: np.ndarray) -> pathlib.Path:
        graph = helper.make_graph(
            [node], "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, [rows, size])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, [rows, size])],
            [numpy_helper.from_array(value, name) for name, value in constants.items()],
        )  # fmt: skip
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid("com.microsoft", 1)]
        folder.mkdir()
        onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), folder / "model.onnx")
        return folder / "model.onnx"

    with tempfile.TemporaryDirectory() as name:
        for rows, bits in ((1, 4), (1, 8), (16, 4), (64, 4), (128, 4), (512, 4), (64, 2), (64, 8)):
            folder = pathlib.Path(name, f"{rows}x{bits}")
            folder.mkdir()
            x = random.standard_normal((rows, size), np.float32)
            blocks = size // block
            node = helper.make_node("MatMulNBits", ["x", "b", "s"], ["y"], domain="com.microsoft",
                                    K=size, N=size, bits=bits, block_size=block)  # fmt: skip
            packed = save(folder / "packed", node, rows,
                          b=random.integers(0, 256, (size, blocks, block * bits // 8), np.uint8),
                          s=random.uniform(0.01, 0.02, size * blocks).astype(np.float32))  # fmt: skip
            real = save(folder / "real", helper.make_node("MatMul", ["x", "w"], ["y"]), rows,
                        w=random.standard_normal((size, size), np.float32))  # fmt: skip
            calls = [dlc.model.Call(compile_model(path, path.parent / "object"), [x], threads=1,
                                    keep_workspace=True) for path in (packed, real)]  # fmt: skip
            amount = size * (size * bits // 8 + blocks * 4)
            ours, float_ours, theirs, read = time_all(
                [*calls, bind(make_session(packed), {"x": x}).call, make_reader(folder, amount)]
            )
            print(f"int{bits} {rows:3} x {size} x {size}  dlc {ours * 1e3:7.2f} ms  dlc f32 "
                  f"{float_ours * 1e3:7.2f} ms  ORT {theirs * 1e3:7.2f} ms  {amount / ours / 1e9:6.1f} GB/s of weights, "
                  f"{read / ours:6.1%} of reading", flush=True)  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/quantized", description=__doc__.split("\n\n")[0])
    parser.add_argument("names", nargs="*", metavar="NAME", help="networks; without one, "
                        + " and ".join(NAMES))  # fmt: skip
    parser.add_argument("--form", action="append", choices=(*FORMS, *OWN_FORMS))
    parser.add_argument("--no-timing", action="store_true", help="compare only")
    parser.add_argument("--detail", action="store_true", help="name the worst tensors")
    parser.add_argument("--arm", action="store_true", help="run AArch64's objects under an emulator and compare bits")
    parser.add_argument("--kernels", action="store_true", help="measure single operators")
    options = parser.parse_args(arguments)
    if options.kernels:
        measure_kernels()
        measure_blocks()
        return 0
    if options.arm:
        rows = [verify_arms(name, form) for name in options.names or NAMES for form in options.form or FORMS[:2]]
        return 0 if all(rows) else 1
    print("  ".join(["network".ljust(14), "form".ljust(24), "dlc equal", "  <= 1 qu", "ORT equal", "  <= 1 qu",
                     "   dlc ms", "   ORT ms", " float ms", "   /ORT", " /float"]))  # fmt: skip
    right = [verify(name, form, not options.no_timing, options.detail)
             for name in options.names or NAMES
             for form in options.form or FORMS]  # fmt: skip
    return 0 if all(right) else 1


if __name__ == "__main__":
    sys.exit(main())
