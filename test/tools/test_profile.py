"""dlc --profile: the time of each node, from C, from Python, on each target."""

import json
import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))
RUNS = {
    "x86_64": ("cc", []),
    "aarch64": ("aarch64-linux-gnu-gcc", ["qemu-aarch64-static"]),
    "armv7": ("arm-linux-gnueabihf-gcc", ["qemu-arm-static"]),
    "riscv64": ("riscv64-linux-gnu-gcc", ["qemu-riscv64-static"]),
}
# Three runs; the second one has room for one event only. All but the first
# unit of threads' work is done by another thread than that of the run.
MAIN = """
#include "net.h"
#include <pthread.h>
#include <stdio.h>
static float x[64 * 64], y[64 * 64], s[64 * 64];
struct job { void (*body)(void *data, int32_t index); void *data; };
static void *second(void *job) {
  ((struct job *)job)->body(((struct job *)job)->data, 1);
  return NULL;
}
static void parallel_for(void *context, void (*body)(void *, int32_t), void *data, int32_t count) {
  struct job job = {body, data};
  pthread_t thread;
  (void)context;
  pthread_create(&thread, NULL, second, &job);
  pthread_join(thread, NULL);
  for (int32_t i = 0; i < count; ++i)
    if (i != 1) body(data, i);
}
int main(void) {
  net_inputs in = {x};
  net_outputs out = {y, s};
  dlc_profile_event events[100];
  for (int run = 0; run < 3; ++run) {
    dlc_profile profile = {events, run == 1 ? 1 : 100, 0, 0, NULL, 0};
    char error[100] = "";
    dlc_options options = {0};
    options.size = sizeof options;
    options.profile = &profile;
    options.threads = 2;
    options.parallel_for = parallel_for;
    options.error = error;
    options.error_size = sizeof error;
    int status = net_run(&in, &out, &options);
    if (status) return puts(error), status;
    printf("run %zu of %zu, %d\\n", profile.count, profile.capacity, (int)profile.num_nodes);
    for (size_t i = 0; i < profile.count && i < profile.capacity; ++i)
      printf("%s %d %d %d\\n", profile.names[events[i].node], (int)events[i].thread,
             (int)events[i].is_part,
             0 <= events[i].begin && events[i].begin <= events[i].end &&
             events[i].end <= profile.duration);
  }
  return 0;
}
"""


def save(path, nodes, inputs, outputs, constants):
    graph = helper.make_graph(
        nodes, "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    return path


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A product with a fused activation, and a node that no one fuses, whose
    name is no plain text."""
    return save(
        tmp_path_factory.mktemp("profile") / "net.onnx",
        [
            helper.make_node("MatMul", ["x", "w"], ["h"], name="layer/product"),
            helper.make_node("Relu", ["h"], ["y"], name="layer/activation"),
            helper.make_node("CumSum", ["x", "axis"], ["s"], name='"sum"\n'),
        ],
        [("x", (64, 64))],
        [("y", (64, 64)), ("s", (64, 64))],
        {"w": np.ones((64, 64), np.float32), "axis": np.array(0)},
    )


def build(model, folder, target, *flags):
    compiler, emulator = RUNS[target]
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    (folder / "main.c").write_text(MAIN)
    subprocess.run([DLC, model, f"-target={target}", "-o", folder / "net.o", *flags], check=True)
    static = ["-static"] if emulator else []
    subprocess.run([compiler, *static, "-Wall", "main.c", "net.o", "-o", "main", "-lm", "-lpthread"],
                   cwd=folder, check=True)  # fmt: skip
    return [*emulator, str(folder / "main")]


@pytest.mark.parametrize("target", RUNS)
def test_c_interface_and_files(model, tmp_path, target):
    program = build(model, tmp_path, target, "--profile")
    prefix = str(tmp_path) + "/p_"
    text = subprocess.run(program, env={**os.environ, "DLC_PROFILE": prefix}, check=True,
                          capture_output=True, text=True).stdout  # fmt: skip
    runs = [part.replace('"sum"\n', "sum").splitlines() for part in text.split("run ")[1:]]
    product = "layer/product+layer/activation"
    for lines in (runs[0], runs[2]):
        assert {f"{product} 0 0 1", "sum 0 0 1"} <= set(lines)
        # The product was computed by another thread, and said to be.
        assert f"{product} 1 1 1" in lines
    assert runs[1][0].split()[2] == "1," and len(runs[1]) == 2 and len(runs[0]) > 3

    table = (tmp_path / "p_net.txt").read_text()
    assert re.match(r"net: 3 runs of [\d.]+ ms, [\d.]+ % of it in nodes\n", table)
    rows = re.findall(r"^ +([\d.]+) +([\d.]+) +1\.0 +([\d.]+)  (\S+)", table, re.M)
    assert {name for *_, name in rows} == {product, '"sum"', "(no"}
    times = [float(time) for time, *_ in rows]
    assert times == sorted(times, reverse=True)
    assert all(0 <= float(share) <= 100 for _, share, *_ in rows)

    trace = json.loads((tmp_path / "p_net.json").read_text())
    whole = [event for event in trace if event["name"] == "net"]
    assert [event["args"]["run"] for event in whole] == [1, 2, 3]
    assert [event["args"]["lost"] > 0 for event in whole] == [False, True, False]
    assert {event["name"] for event in trace} == {"net", product, '"sum"\n', "(no node)"}
    assert {event["tid"] for event in trace} == {0, 1}
    for run in whole:
        inner = [e for e in trace if run["ts"] <= e["ts"] <= run["ts"] + run["dur"]]
        assert all(e["ts"] + e["dur"] <= run["ts"] + run["dur"] + 0.002 for e in inner)


def test_no_files_unasked(model, tmp_path):
    program = build(model, tmp_path, "x86_64", "--profile")
    before = sorted(tmp_path.iterdir())
    for value in ({}, {"DLC_PROFILE": ""}):
        subprocess.run(program, env={**os.environ, **value}, check=True, stdout=subprocess.DEVNULL,
                       cwd=tmp_path)  # fmt: skip
    assert sorted(tmp_path.iterdir()) == before


def test_file_that_cannot_be_written(model, tmp_path):
    """Is told, once for several runs, which are none the worse."""
    program = build(model, tmp_path, "x86_64", "--profile")
    done = subprocess.run(program, env={**os.environ, "DLC_PROFILE": "/nonexistent/x"},
                          capture_output=True, text=True, check=True)  # fmt: skip
    assert done.stderr.count("/nonexistent/xnet.json: No such file or directory") == 1


def test_plain_object_has_none_of_it(model, tmp_path):
    program = build(model, tmp_path, "x86_64")
    symbols = subprocess.run(["nm", "net.o"], cwd=tmp_path, check=True, capture_output=True,
                             text=True).stdout  # fmt: skip
    assert not re.search("clock_gettime|getenv|fopen|profile|node_", symbols)
    done = subprocess.run(program, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (
        2, "net: compiled without --profile, which dlc_options.profile needs\n"
    )  # fmt: skip


@pytest.mark.parametrize("flags, message", [
    (["--gpu=sm_80"], "expected a CPU alone for --profile, found sm_80: NVIDIA's Nsight Systems "
                      "measures the kernels of GPUs"),
    (["-target=aarch64-unknown-none-elf", "--threads=1"],
     "expected a target with Linux for --profile, found aarch64-unknown-none-elf"),
])  # fmt: skip
def test_refused(model, tmp_path, flags, message):
    done = subprocess.run([DLC, model, "--profile", "-o", tmp_path / "net.o", *flags],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1 and f"error: {message}" in done.stderr


def test_python(model):
    x = np.random.default_rng(0).uniform(-1, 1, (64, 64)).astype(np.float32)
    compiled = dlc.compile(model, profile=True)
    y, s = compiled.run([x])
    np.testing.assert_allclose(y, np.maximum(x @ np.ones((64, 64), np.float32), 0), atol=1e-4)
    np.testing.assert_allclose(s, np.cumsum(x, 0), atol=1e-4)
    profile = compiled.profile({"x": x}, runs=3, threads=1)
    assert {row.node for row in profile.rows()} == {
        "layer/product+layer/activation", '"sum"\n', "(no node)"
    }  # fmt: skip
    assert len(profile.runs) == len(profile.durations) == 3
    for events, duration in zip(profile.runs, profile.durations):
        nodes = [event for event in events if not event.is_part]
        assert 0 < sum(event.time for event in nodes) <= duration
    assert "fastest of 3 runs" in profile.table() and "2 more" in profile.table(1)
    assert len([e for e in json.loads(profile.trace()) if e["name"] == compiled.name]) == 3
    assert "&quot;" not in profile.svg() or "<svg" in profile.svg()
    lossy = compiled.profile([x], runs=2, threads=1, capacity=1)
    assert lossy.lost > 0 and "had no room" in lossy.table()
    with pytest.raises(dlc.RunError, match="compiled without --profile"):
        dlc.compile(model).profile([x])


def test_loops(tmp_path):
    """A node in a loop is measured at each turn."""
    body = helper.make_graph(
        [
            helper.make_node("MatMul", ["v", "w"], ["m"], name="inner"),
            helper.make_node("Tanh", ["m"], ["t"], name="tanh"),
            helper.make_node("Identity", ["c"], ["d"]),
        ],
        "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, ()),
         helper.make_tensor_value_info("c", TensorProto.BOOL, ()),
         helper.make_tensor_value_info("v", TensorProto.FLOAT, (8, 8))],
        [helper.make_tensor_value_info("d", TensorProto.BOOL, ()),
         helper.make_tensor_value_info("t", TensorProto.FLOAT, (8, 8))],
    )  # fmt: skip
    path = save(tmp_path / "loop.onnx",
                [helper.make_node("Loop", ["n", "", "x"], ["y"], name="outer", body=body)],
                [("x", (8, 8))], [("y", (8, 8))],
                {"w": np.eye(8, dtype=np.float32), "n": np.array(5)})  # fmt: skip
    x = np.random.default_rng(0).uniform(-1, 1, (8, 8)).astype(np.float32)
    profile = dlc.compile(path, profile=True).profile([x], runs=2)
    inner = next(row for row in profile.rows() if row.node.startswith("inner"))
    assert inner.calls == 5


def test_command(model, tmp_path):
    trace, picture = tmp_path / "t.json", tmp_path / "t.svg"
    flags = ["--runs=2", "--threads=1", "--precision=bf16", f"--trace={trace}", f"--draw={picture}"]
    done = subprocess.run([DLC, "profile", model, *flags], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "layer/product+layer/activation" in done.stdout
    assert json.loads(trace.read_text())
    assert picture.read_text().startswith("<svg") and "layer/product" in picture.read_text()
    wrong = subprocess.run([DLC, "profile", model, "--runs=0"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "expected --runs of at least 1, found 0" in wrong.stderr
    missing = subprocess.run([DLC, "profile", tmp_path / "no.onnx"], capture_output=True, text=True)
    assert missing.returncode == 1 and "dlc: error: cannot read" in missing.stderr
