"""Times of every form of many convolutions, in turns in one process, and what
the form that dlc chooses loses against the fastest. Channels are innermost
outside as inside, so that nothing but the convolution is measured, and one
thread. bench/README.md is the manual."""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import re
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import commandline
import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

import dlc

PASS = "dlc-choose-convolution"


@dataclasses.dataclass(frozen=True)
class Shape:
    """A convolution of [1, channels, *size]. Pads keep the size at stride 1."""

    size: tuple[int, ...]
    channels: int
    out: int
    kernel: tuple[int, ...]
    stride: int = 1
    dilation: int = 1
    group: int = 1
    transposed: bool = False

    @property
    def name(self) -> str:
        def times(sizes: Sequence[int]) -> str:
            return "x".join(map(str, sizes))

        name = f"{times(self.kernel)} on {times(self.size)} {self.channels}->{self.out}"
        if self.group > 1:
            depthwise = self.group == self.channels == self.out
            name += " depthwise" if depthwise else f" in {self.group} groups"
        name += f" stride {self.stride}" * (self.stride > 1)
        name += f" dilation {self.dilation}" * (self.dilation > 1)
        return name + " transposed" * self.transposed

    @property
    def pads(self) -> list[int]:
        around = [(k - 1) * self.dilation for k in self.kernel]
        if self.transposed:
            around = [k - self.stride for k in self.kernel]
        return [a // 2 for a in around] + [a - a // 2 for a in around]

    @property
    def operations(self) -> int:
        """A multiply-add being two."""
        sizes = self.size if self.transposed else [-(-s // self.stride) for s in self.size]
        return (2 * math.prod(sizes) * math.prod(self.kernel) * self.channels
                * self.out // self.group)  # fmt: skip

    def make(self, random: np.random.Generator) -> tuple[bytes, np.ndarray]:
        """The model and an input."""
        spatial = len(self.size)
        first, last = (self.channels, self.out) if self.transposed else (self.out, self.channels)
        shape = (first, last // self.group, *self.kernel)
        scale = math.sqrt(self.channels // self.group * math.prod(self.kernel))
        weights = (random.standard_normal(shape) / scale).astype(np.float32)
        attributes = {"pads": self.pads, "strides": [self.stride] * spatial,
                      "dilations": [self.dilation] * spatial, "group": self.group}  # fmt: skip
        nodes = [
            helper.make_node("Transpose", ["x"], ["a"], perm=[0, spatial + 1, *range(1, spatial + 1)]),
            helper.make_node("ConvTranspose" if self.transposed else "Conv", ["a", "w"], ["b"],
                             **attributes),
            helper.make_node("Transpose", ["b"], ["y"], perm=[0, *range(2, spatial + 2), 1]),
        ]  # fmt: skip
        x = (1, *self.size, self.channels)
        graph = helper.make_graph(
            nodes,
            "convolution",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
            [numpy_helper.from_array(weights, "w")],
        )
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        return model.SerializeToString(), random.standard_normal(x).astype(np.float32)


def make_shapes() -> list[Shape]:
    def plain(sizes: Sequence[int], pairs: Sequence[tuple[int, int]], *kernels: int,
              **more: Any) -> list[Shape]:  # fmt: skip
        return [Shape((s, s), c, o, (k, k), **more)
                for k in kernels for s, (c, o) in zip(sizes, pairs)]  # fmt: skip

    same = [(c, c) for c in (8, 16, 32, 64, 128, 256, 512)]
    shapes = plain((56, 14), ((64, 256), (1024, 256)), 1)
    shapes += plain((112, 112, 112, 56, 28, 14, 7), same, 3, 5, 7)
    shapes += plain((56, 56, 28, 28, 14, 14, 7, 7),
                    ((32, 32), (256, 256), (64, 64), (256, 256), (64, 64), (512, 512), (128, 128),
                     (256, 256)), 3, 5)  # fmt: skip
    shapes += plain((56, 28, 28, 14), ((64, 64), (32, 32), (128, 128), (128, 128)), 2, 4, 6, 8)
    shapes += plain((112, 56, 28, 14), ((16, 16), (64, 64), (96, 96), (128, 128)), 9, 11)
    shapes += plain((224, 112), ((3, 32), (3, 64)), 3, 5, 7, 9, 11)
    shapes += plain((224, 112, 56, 28, 14), ((3, 64), (32, 64), (64, 128), (128, 256), (256, 512)),
                    3, 5, 7, stride=2)  # fmt: skip
    shapes += plain((56, 28), ((64, 64), (128, 128)), 3, 5, dilation=2)
    shapes += plain((28,), ((256, 256),), 3, dilation=4)
    shapes += [Shape((s, s), c, c, kernel)
               for s, c in ((35, 64), (17, 160), (8, 384), (56, 64))
               for kernel in ((1, 3), (3, 1), (1, 5), (1, 7), (7, 1))]  # fmt: skip
    for size, channels in ((112, 32), (56, 96), (28, 192), (14, 384), (7, 768)):
        for kernel in (3, 5, 7, 9, 11, 13, 31):
            more = {"group": channels}
            shapes += plain((size,), ((channels, channels),), kernel, **more)
            if kernel <= 7:
                shapes += plain((size,), ((channels, channels),), kernel, stride=2, **more)
    shapes += plain((56, 28, 14), ((128, 128), (256, 256), (512, 512)), 3, group=32)
    shapes += plain((28, 28), ((64, 64), (96, 96)), 3, 5, group=4)
    shapes += plain((56, 28, 14), ((64, 32), (128, 64), (256, 128)), 2, 3, 4, stride=2,
                    transposed=True)  # fmt: skip
    for length, channels, taps, group in ((1000, 64, 3, 1), (1000, 256, 5, 1), (500, 512, 10, 1),
                                          (4000, 32, 15, 1), (4000, 32, 31, 1), (1000, 64, 63, 1),
                                          (16000, 16, 127, 1), (500, 256, 128, 16),
                                          (16000, 64, 31, 64), (16000, 64, 127, 64),
                                          (1000, 256, 15, 256), (400, 512, 7, 1)):  # fmt: skip
        shapes.append(Shape((length,), channels, channels, (taps,), group=group))
    shapes.append(Shape((16000,), 1, 80, (251,)))
    shapes += [Shape((s,) * 3, c, c, (k,) * 3)
               for s, c in ((28, 16), (14, 64)) for k in (3, 5)]  # fmt: skip
    shapes += [Shape((frames, s, s), c, c, kernel)
               for frames, s, c in ((16, 56, 64), (8, 28, 128), (4, 14, 256), (2, 7, 512))
               for kernel in ((3, 3, 3), (1, 3, 3), (3, 1, 1))]  # fmt: skip
    shapes += [Shape((s,) * 3, c, o, (3, 3, 3)) for s, c, o in ((64, 16, 32), (32, 32, 64))]
    return shapes


SHAPES = make_shapes()


def list_forms(model: bytes) -> tuple[str, dict[str, float]]:
    """What dlc chooses, and the cycles that it expects of each form; none but
    the direct one where it sees no other."""
    cycles, chosen = {"direct": 0.0}, "direct"
    for diagnostic in dlc.compile(model, threads=1, remarks=PASS).diagnostics:
        text = str(diagnostic)
        if found := re.search(r"cycles: (.*?)(?: \[|$)", text):
            cycles = {form: float(count) for form, count in
                      (part.split(" ") for part in found[1].split(", "))}  # fmt: skip
        if found := re.search(r"remark: (fft|winograd)-(\d+x\d+)", text):
            chosen = f"{found[1]}-{found[2]}"
    return chosen, cycles


def prepare(model: bytes, x: np.ndarray, form: str) -> tuple[Callable[[], Any], np.ndarray]:
    compiled = dlc.compile(model, conv=form, threads=1)
    y = compiled.run([x])[0]
    return dlc.model.Call(compiled, [x], threads=1, keep_workspace=True), y


def time_in_turns(calls: dict[str, Callable[[], Any]], seconds: float) -> dict[str, float]:
    """The least processor time of each."""
    least = dict.fromkeys(calls, math.inf)
    end, rounds = time.monotonic() + seconds, 0
    while rounds < 5 or time.monotonic() < end:
        for name, call in calls.items():
            call()
            start = time.process_time()
            call()
            least[name] = min(least[name], time.process_time() - start)
        rounds += 1
    return least


def measure(shape: Shape, seconds: float, most: int) -> dict[str, Any]:
    model, x = shape.make(np.random.default_rng(0))
    chosen, cycles = list_forms(model)
    # Those that can't be the best by any doubt of the model are left out.
    least = min(cycles.values())
    forms = sorted((form for form, count in cycles.items() if count <= 2 * least),
                   key=lambda form: cycles[form])[:most]  # fmt: skip
    forms = list(dict.fromkeys(["direct", chosen, *forms]))
    calls, errors, expected = {}, {}, None
    for form in forms:
        calls[form], y = prepare(model, x, form)
        expected = y.astype(np.float64) if expected is None else expected
        errors[form] = float(np.abs(y - expected).max() / np.abs(expected).max())
    # Many forms in turns drive each other out of the caches: two steps.
    times = time_in_turns(calls, seconds)
    best = min(times, key=lambda form: times[form])
    if best != chosen:
        again = time_in_turns({form: calls[form] for form in (best, chosen)}, 2 * seconds)
        times.update({form: min(times[form], t) for form, t in again.items()})
    best = min(times, key=lambda form: times[form])
    return {"name": shape.name, "chosen": chosen, "best": best,
            "loss": times[chosen] / times[best] - 1, "seconds": times, "cycles": cycles,
            "operations": shape.operations, "difference": errors}  # fmt: skip


def format_row(row: dict[str, Any]) -> str:
    direct, own = row["seconds"]["direct"], row["seconds"][row["chosen"]]
    return (f"{row['name']:46} {direct * 1e6:9.1f} {row['operations'] / direct * 1e-9:7.1f}  "
            f"{row['chosen']:13} {own * 1e6:9.1f} {direct / own:5.2f}  {row['best']:13} "
            f"{100 * row['loss']:5.1f} %  {row['difference'][row['chosen']]:.1e}")  # fmt: skip


def summarize(rows: Sequence[dict[str, Any]]) -> str:
    near = sum(row["loss"] <= 0.05 for row in rows)
    mean = statistics.geometric_mean(1 + row["loss"] for row in rows) - 1
    return (f"{len(rows)} shapes: the choice is within 5 % of the best on {near} "
            f"({100 * near / len(rows):.1f} %), {100 * mean:.2f} % slower in the geometric mean")  # fmt: skip


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="bench/convolutions", description=__doc__)
    parser.add_argument("words", nargs="*", metavar="WORD", help="only shapes with it in the name")
    parser.add_argument("--seconds", type=float, default=0.3, help="a shape (default: 0.3)")
    parser.add_argument("--forms", type=commandline.positive, default=5, metavar="N",
                        help="measure the N that dlc expects to be fastest, the chosen and the "
                        "direct one (default: 5)")  # fmt: skip
    parser.add_argument("--json", type=commandline.output_file, metavar="FILE")
    parser.add_argument("--list", action="store_true", help="print the shapes and end")
    options = parser.parse_args(arguments)
    chosen = [s for s in SHAPES if not options.words or any(w in s.name for w in options.words)]
    if not chosen:
        parser.error(f"no shape has {' or '.join(map(repr, options.words))} in its name; --list")
    if options.list:
        print("\n".join(shape.name for shape in chosen))
        return 0
    print(f"{'convolution':46} {'direct us':>9} {'GFLOP/s':>7}  {'chosen':13} {'us':>9} {'ratio':>5}  "
          f"{'best':13} {'loss':>7}  difference")  # fmt: skip
    rows = []
    for shape in chosen:
        rows.append(measure(shape, options.seconds, options.forms))
        print(format_row(rows[-1]), flush=True)
        if options.json:
            options.json.write_text(json.dumps(rows, indent=1))
    print(summarize(rows))
    wrong = [row["name"] for row in rows if max(row["difference"].values()) > 1e-4]
    if wrong:
        print(f"forms differ: {', '.join(wrong)}")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
