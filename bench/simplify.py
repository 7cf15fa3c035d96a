"""bench/simplify: the nodes, multiply-adds and bytes that are left of a model,
beside other tools that simplify ONNX files; whether ONNX Runtime says the same
of it, and how fast."""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable

import numpy as np
import onnx
import onnxruntime

BENCH = pathlib.Path(__file__).resolve().parent
DLC = os.environ.get("DLC", str(BENCH.parent / "build" / "bin" / "dlc"))
sys.path.append(str(BENCH))

import subjects  # noqa: E402

# Differences to the original's outputs, relative to the largest of them.
TOLERANCE = 1e-4
# ONNX Runtime keeps its layout of convolutions through AveragePool of sets up to
# 18 only; what has one is written in that, or the comparison is of that.
OPSETS = dict.fromkeys(
    ("densenet121", "inception_v3", "random_densenet121", "random_inception_v1",
     "random_inception_v2", "random_shufflenet"), 18)  # fmt: skip
# How much slower than the original a file may seem, which is measured with noise.
SLOWER = 1.03
SECONDS = 3.0
ROUNDS = 20


class Silero(subjects.Subject):
    """The voice detector; its sampling rate is an input."""

    def make_inputs(self, infos, sizes):
        rate = next(info.name for info in infos if info.type == "tensor(int64)")
        others = [info for info in infos if info.name != rate]
        return {**super().make_inputs(others, sizes), rate: np.array(sizes["rate"], np.int64)}


def find_silero() -> pathlib.Path:
    spec = importlib.util.find_spec("silero_vad")
    return pathlib.Path(spec.submodule_search_locations[0], "data", "silero_vad.onnx")


SILERO_SIZES = [
    {"input": [n, 64 + samples], "state": [2, n, 128], "rate": rate}
    for n, samples, rate in ((1, 512, 16000), (2, 512, 16000))
] + [{"input": [1, 288], "state": [2, 1, 128], "rate": 8000}]
TABLE = {
    name: subject for name, subject in subjects.TABLE.items() if not name.startswith("light_")
} | {"silero": Silero("silero", find_silero, SILERO_SIZES)}


@dataclasses.dataclass
class Size:
    nodes: int
    macs: int
    size: int


def count(graph: onnx.GraphProto) -> int:
    """Nodes, those of subgraphs too; a Constant is a weight."""
    inner = (a.g for n in graph.node for a in n.attribute if a.HasField("g"))
    return sum(n.op_type != "Constant" for n in graph.node) + sum(map(count, inner))


def measure_size(path: str, subject: subjects.Subject) -> Size:
    """Multiply-adds are what `dlc info` counts at the subject's first sizes."""
    model = onnx.load(path)
    nodes, size = count(model.graph), model.ByteSize()
    sizes = subject.sizes[0]
    weights = {tensor.name for tensor in model.graph.initializer}
    for value in model.graph.input:
        dims = value.type.tensor_type.shape.dim
        shape = sizes.get(value.name) or [
            dim.dim_value or sizes.get(dim.dim_param) for dim in dims
        ]
        for dim, known in zip(dims, shape, strict=True):
            if known and value.name not in weights:
                dim.dim_value = known
    del model.graph.value_info[:]
    # Up to 3 the inference looks at no initializer that is not an input.
    model.ir_version = max(model.ir_version, 4)
    with tempfile.NamedTemporaryFile(suffix=".onnx") as file:
        onnx.save(onnx.shape_inference.infer_shapes(model, data_prop=True), file.name)
        done = subprocess.run([DLC, "info", "--json", file.name], check=True, capture_output=True)
    operators = json.loads(done.stdout)["operators"]
    return Size(nodes, sum(op.get("macs", 0) for op in operators), size)


def by_onnxsim(path: str, out: str) -> onnx.ModelProto:
    import onnxsim

    return onnxsim.simplify(onnx.load(path))[0]


def by_onnxslim(path: str, out: str) -> onnx.ModelProto:
    import onnxslim

    return onnxslim.slim(onnx.load(path))


def by_onnxruntime(path: str, out: str) -> onnx.ModelProto:
    """Its level `basic`: the next one makes operators that are not standard."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = out
    options.log_severity_level = 4
    onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return onnx.load(out)


TOOLS: dict[str, Callable[[str, str], onnx.ModelProto]] = {
    "onnxsim": by_onnxsim,
    "onnxslim": by_onnxslim,
    "ONNX Runtime": by_onnxruntime,
}


def in_child(tool: str, path: str, out: str, subject: subjects.Subject) -> Size | None:
    """None where the tool fails, which may end a process."""
    done = subprocess.run(
        [sys.executable, __file__, "--tool", tool, path, out], capture_output=True, text=True
    )
    return measure_size(out, subject) if done.returncode == 0 else None


def run_session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(subject: subjects.Subject, before: str, after: str) -> tuple[float, float]:
    """The largest difference of outputs at all sizes of the subject; and the time
    of the first size in parts of the original's, of minima taken in turns."""
    original, simplified = run_session(before), run_session(after)
    worst = 0.0
    for sizes in subject.sizes:
        inputs = subject.make_inputs(original.get_inputs(), sizes)
        for x, y in zip(original.run(None, inputs), simplified.run(None, inputs), strict=True):
            if x.size:
                scale = max(1.0, float(np.abs(x.astype(np.float64)).max()))
                error = float(np.abs(x.astype(np.float64) - y).max()) / scale
                worst = error if np.isnan(error) else max(worst, error)
    inputs = subject.make_inputs(original.get_inputs(), subject.sizes[0])
    times: list[list[float]] = [[], []]
    end = time.monotonic() + SECONDS
    while time.monotonic() < end or len(times[0]) < ROUNDS:
        # Whoever is first after the other one finds its caches full.
        pairs = list(zip((original, simplified), times, strict=True))
        for session, all_of_it in pairs if len(times[0]) % 2 else reversed(pairs):
            start = time.process_time()
            session.run(None, inputs)
            all_of_it.append(time.process_time() - start)
    return worst, min(times[1]) / min(times[0])


@dataclasses.dataclass
class Row:
    before: Size
    after: Size
    error: float
    time: float
    peers: dict[str, Size | None]

    def best(self) -> int | None:
        return min((peer.nodes for peer in self.peers.values() if peer), default=None)

    def beside(self, read: Callable[[Size], int]) -> list[str]:
        """dlc's millions of something, and the fewest of another tool."""
        least = min((read(peer) for peer in self.peers.values() if peer), default=None)
        return [f"{read(self.after) / 1e6:.2f}", "" if least is None else f"{least / 1e6:.2f}"]


def measure(subject: subjects.Subject, opset: int, with_peers: bool) -> Row:
    path = str(subject.find())
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder, "out.onnx"))
        peers = {
            tool: in_child(tool, path, str(pathlib.Path(folder, "peer.onnx")), subject)
            for tool in TOOLS
        } if with_peers else {}  # fmt: skip
        opset = min(opset, OPSETS.get(subject.name, opset))
        subprocess.run([DLC, path, "--emit=onnx", f"--opset={opset}", "-o", out], check=True)
        onnx.checker.check_model(out, full_check=True)
        sizes = [measure_size(model, subject) for model in (path, out)]
        return Row(*sizes, *compare(subject, path, out), peers)


def write_line(cells: list[str]) -> None:
    print(f"{cells[0]:20}" + "".join(f"{c:>13}" for c in cells[1:]), flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/simplify", description=__doc__)
    parser.add_argument("--opset", type=int, default=23, help="operator set to write")
    parser.add_argument("--no-peers", action="store_true", help="only dlc")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.tool:
        path, out = options.names
        onnx.save(TOOLS[options.tool](path, out), out)
        return 0
    names = options.names or list(TABLE)
    if unknown := set(names) - set(TABLE):
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    rows: dict[str, Row] = {}
    tools = list(TOOLS) if not options.no_peers else []
    write_line(["nodes", "original", "dlc", *tools, "error", "time", "MMACs", "least other", "MB", "least other"])
    for name in names:
        row = rows[name] = measure(TABLE[name], options.opset, not options.no_peers)
        sizes = [row.before, row.after, *row.peers.values()]
        write_line([name, *(str(s.nodes) if s else "fails" for s in sizes),
                    f"{row.error:.1e}", f"{row.time:.3f}",
                    *row.beside(lambda s: s.macs), *row.beside(lambda s: s.size)])  # fmt: skip
    for title, read in (("MMACs", lambda s: f"{s.macs / 1e6:.1f}"),
                        ("MB", lambda s: f"{s.size / 1e6:.2f}")):  # fmt: skip
        print()
        write_line([title, "original", "dlc", *tools])
        for name, row in rows.items():
            sizes = [row.before, row.after, *row.peers.values()]
            write_line([name, *(read(s) if s else "fails" for s in sizes)])
    known = {name: row for name, row in rows.items() if row.best() is not None}
    fewer = [name for name, row in known.items() if row.after.nodes < row.best()]
    bad = {
        "more nodes": [name for name, row in known.items() if row.after.nodes > row.best()],
        "other values": [name for name, row in rows.items() if not row.error <= TOLERANCE],
        "slower": [name for name, row in rows.items() if row.time > SLOWER],
    }
    print(f"\nfewer nodes than the best other tool: {len(fewer)} of {len(known)}; "
          + "; ".join(f"{what}: {', '.join(which) or 'none'}" for what, which in bad.items()))  # fmt: skip
    return any(bad.values())


if __name__ == "__main__":
    sys.exit(main())
