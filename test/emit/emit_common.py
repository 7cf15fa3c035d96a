"""What the tests of --emit=onnx share: writing a model, running two of them."""

import os
import pathlib
import subprocess
from collections import Counter

import numpy as np
import onnx
import onnxruntime
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))
DLC = os.environ.get("DLC", str(BUILD / "bin" / "dlc"))
NO_PASSES = "--pass-pipeline=simplify:"


def emit(model, folder, *flags):
    """The model that dlc writes of `model`, a message or a file."""
    path = pathlib.Path(folder, "in.onnx")
    if isinstance(model, onnx.ModelProto):
        onnx.save(model, path)
    else:
        path = model
    out = pathlib.Path(folder, "out.onnx")
    status, err = run(path, "--emit=onnx", "-o", out, *flags)
    assert status == 0, err
    onnx.checker.check_model(out, full_check=True)
    return onnx.load(out)


def run(*arguments):
    done = subprocess.run([DLC, *map(str, arguments)], capture_output=True, text=True, timeout=300)
    return done.returncode, done.stderr


def run_remarks(model, passes, folder, *flags):
    """The remarks of these passes, without the file's name."""
    path = pathlib.Path(folder, "in.onnx")
    onnx.save(model, path)
    status, err = run(path, "--emit=onnx", "-o", pathlib.Path(folder, "out.onnx"), f"--remarks={passes}$", *flags)
    assert status == 0, err
    return [line.removeprefix("in.onnx: ") for line in err.splitlines()]


def count(model):
    """The operators of all nodes."""
    return Counter(node.op_type for node in model.graph.node)


def evaluate(model, inputs):
    """ONNX Runtime's outputs, without its own optimisations."""
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return session.run(None, inputs)


def make_model(nodes, inputs, outputs, constants=(), opset=17):
    """A model of float32; `constants` are arrays by name."""
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in inputs.items()],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, s) for n, s in outputs.items()],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in dict(constants).items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def check_same(before, after, tolerance=1e-4):
    """Runs both on random inputs."""
    rng = np.random.default_rng(1)
    inputs = {}
    for value in before.graph.input:
        shape = [d.dim_value or 2 for d in value.type.tensor_type.shape.dim]
        inputs[value.name] = rng.standard_normal(shape).astype(np.float32)
    for x, y in zip(evaluate(before, inputs), evaluate(after, inputs), strict=True):
        np.testing.assert_allclose(x, y, rtol=tolerance, atol=tolerance)
