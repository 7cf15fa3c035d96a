"""What differs where a person reads: the status line of long work, and large
constants that are left out of the IR."""

import os
import pathlib
import pty
import subprocess
import threading
import time

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))
CLEAR = b"\r\x1b[K"


@pytest.fixture
def model(tmp_path):
    weights = np.linspace(-1, 1, 5000, dtype=np.float32).reshape(50, 100)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
        "g",
        [value("x", TensorProto.FLOAT, (2, 50))],
        [value("y", TensorProto.FLOAT, (2, 100))],
        [numpy_helper.from_array(weights, "w")],
    )
    path = tmp_path / "model.onnx"
    opsets = [helper.make_opsetid("", 21)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=9), path)
    return path


def run_on_terminal(arguments, stream, stdin=None, before=None):
    """Runs dlc with one stream on a pseudo-terminal; what came there, and the
    status. `before` runs beside it, with the process."""
    main, other = pty.openpty()
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, stream: other}
    process = subprocess.Popen([DLC, *map(str, arguments)], stdin=stdin, **streams)
    os.close(other)
    if before:
        threading.Thread(target=before, args=(process,)).start()
    text = b""
    while True:
        try:
            part = os.read(main, 65536)
        except OSError:  # the other end is closed
            break
        if not part:
            break
        text += part
    os.close(main)
    for kind in ("stdout", "stderr"):
        if kind != stream:
            getattr(process, kind).read()
            getattr(process, kind).close()
    return text, process.wait(timeout=60)


def feed_slowly(path, seconds):
    def feed(process):
        time.sleep(seconds)
        process.stdin.write(path.read_bytes())
        process.stdin.close()

    return feed


def test_status_line_of_long_work(model, tmp_path):
    text, status = run_on_terminal(
        ["-", "-o", tmp_path / "x.o"], "stderr", subprocess.PIPE, feed_slowly(model, 1.6)
    )
    assert status == 0
    # It says what is being done, and is gone in the end.
    assert text.startswith(CLEAR + b"dlc: -: read"), text
    assert text.endswith(CLEAR) and b"\n" not in text


def test_no_status_line_of_short_work(model, tmp_path):
    assert run_on_terminal([model, "-o", tmp_path / "x.o"], "stderr") == (b"", 0)


def test_status_line_makes_way_for_errors(model):
    broken = model.with_name("broken.onnx")
    broken.write_bytes(b"no model")
    text, status = run_on_terminal(
        ["-", "-o", "x.o"], "stderr", subprocess.PIPE, feed_slowly(broken, 1.6)
    )
    assert status == 1
    line, _, error = text.rpartition(CLEAR)
    assert line.startswith(CLEAR + b"dlc: -: read")
    assert error.count(b"\n") == 1 and b"error: " in error


def test_no_status_line_elsewhere(model, tmp_path):
    process = subprocess.Popen(
        [DLC, "-", "-o", tmp_path / "x.o"], stdin=subprocess.PIPE, stderr=subprocess.PIPE
    )
    feed_slowly(model, 1.6)(process)
    assert process.stderr.read() == b"" and process.wait() == 0


def test_verbose_has_no_status_line(model, tmp_path):
    text, status = run_on_terminal(
        ["-", "-v", "-o", tmp_path / "x.o"], "stderr", subprocess.PIPE, feed_slowly(model, 1.6)
    )
    assert status == 0 and b"\x1b[K" not in text and b"dlc: read -: 1 node" in text


def test_large_constants_are_elided_on_a_terminal(model):
    text, status = run_on_terminal([model, "--to=graph"], "stdout")
    assert status == 0 and b"dlc.matmul" in text and len(text) < 3000
    whole = subprocess.run([DLC, model, "--to=graph"], capture_output=True, check=True).stdout
    assert b"dlc.matmul" in whole and len(whole) > 20000


def test_large_constants_are_elided_in_the_ir_of_a_pass(model):
    arguments = [model, "--to=graph", "--print-ir-after=dlc-fold-scale", "-o", os.devnull]
    text, status = run_on_terminal(arguments, "stderr")
    assert status == 0 and b"dlc.matmul" in text and len(text) < 3000
    whole = subprocess.run([DLC, *arguments], capture_output=True, check=True).stderr
    assert b"dlc.matmul" in whole and len(whole) > 20000
