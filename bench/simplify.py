"""bench/simplify: the nodes that are left of a model, and whether it still says
the same, beside other tools that simplify ONNX files."""

from __future__ import annotations

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
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


def count(graph: onnx.GraphProto) -> int:
    """Nodes, those of subgraphs too; a Constant is a weight."""
    inner = (a.g for n in graph.node for a in n.attribute if a.HasField("g"))
    return sum(n.op_type != "Constant" for n in graph.node) + sum(map(count, inner))


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


def in_child(tool: str, path: str) -> tuple[int, int] | None:
    """Nodes and bytes; None where the tool fails, which may end a process."""
    done = subprocess.run(
        [sys.executable, __file__, "--tool", tool, path], capture_output=True, text=True
    )
    try:
        return tuple(json.loads(done.stdout.splitlines()[-1]))
    except (IndexError, ValueError):
        return None


def run_session(path: str) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def compare(subject: subjects.Subject, before: str, after: str) -> float:
    """The largest difference of outputs, at all sizes of the subject."""
    original, simplified = run_session(before), run_session(after)
    worst = 0.0
    for sizes in subject.sizes:
        inputs = subject.make_inputs(original.get_inputs(), sizes)
        for x, y in zip(original.run(None, inputs), simplified.run(None, inputs), strict=True):
            if x.size:
                scale = max(1.0, float(np.abs(x.astype(np.float64)).max()))
                worst = max(worst, float(np.abs(x.astype(np.float64) - y).max()) / scale)
    return worst


def measure(subject: subjects.Subject, opset: int, with_peers: bool) -> dict[str, object]:
    path = str(subject.find())
    with tempfile.TemporaryDirectory() as folder:
        out = str(pathlib.Path(folder, "out.onnx"))
        subprocess.run([DLC, path, "--emit=onnx", f"--opset={opset}", "-o", out], check=True)
        onnx.checker.check_model(out, full_check=True)
        error = compare(subject, path, out)
        after = onnx.load(out)
    peers = {tool: in_child(tool, path) for tool in TOOLS} if with_peers else {}
    return {
        "before": count(onnx.load(path).graph),
        "after": count(after.graph),
        "bytes": after.ByteSize(),
        "error": error,
        **peers,
    }


def main() -> int:
    parser = argparse.ArgumentParser(prog="bench/simplify", description=__doc__)
    parser.add_argument("--opset", type=int, default=23, help="operator set to write")
    parser.add_argument("--no-peers", action="store_true", help="only dlc")
    parser.add_argument("--tool", choices=TOOLS, help=argparse.SUPPRESS)
    parser.add_argument("names", nargs="*", metavar="NAME")
    options = parser.parse_args()
    if options.tool:
        (path,) = options.names
        with tempfile.TemporaryDirectory() as folder:
            model = TOOLS[options.tool](path, str(pathlib.Path(folder, "peer.onnx")))
            print(json.dumps([count(model.graph), model.ByteSize()]))
        return 0
    names = options.names or list(subjects.TABLE)
    if unknown := set(names) - set(subjects.TABLE):
        parser.error(f"unknown models: {', '.join(sorted(unknown))}")
    columns = ["original", "dlc", *(TOOLS if not options.no_peers else ())]
    print(f"{'nodes':22}" + "".join(f"{c:>13}" for c in columns) + f"{'dlc MB':>9}{'error':>10}")
    more, fewer, wrong = [], [], []
    for name in names:
        row = measure(subjects.TABLE[name], options.opset, not options.no_peers)
        peers = [row[tool] for tool in TOOLS if tool in row]
        cells = [row["before"], row["after"], *(p[0] if p else "failed" for p in peers)]
        print(f"{name:22}" + "".join(f"{c:>13}" for c in cells)
              + f"{row['bytes'] / 1e6:>9.2f}{row['error']:>10.1e}", flush=True)  # fmt: skip
        best = min((p[0] for p in peers if p), default=None)
        if best is not None:
            more += [name] if row["after"] > best else []
            fewer += [name] if row["after"] < best else []
        if not row["error"] <= TOLERANCE:
            wrong.append(name)
    print(f"fewer nodes than the best other tool: {len(fewer)} of {len(names)}; "
          f"more: {', '.join(more) or 'none'}; wrong: {', '.join(wrong) or 'none'}")  # fmt: skip
    return bool(more or wrong)


if __name__ == "__main__":
    sys.exit(main())
