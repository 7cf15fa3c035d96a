"""One object for several CPUs: which code runs, what is shared, what is said."""

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
LLVM = "/usr/lib/llvm-22/bin"
X86 = "x86-64-v3,x86-64-v4,znver4"
ARM = "generic,generic+dotprod,generic+dotprod+i8mm"
MAIN = """
#include "net.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
static float x[24 * 40], y[24 * 48], q[24 * 48];
static void *run(void *status) {
  char error[200] = "";
  dlc_options options = {0};
  net_inputs in = {x};
  net_outputs out = {y, q};
  options.size = sizeof options;
  options.error = error;
  options.error_size = sizeof error;
  options.threads = 1;
  *(int *)status = net_run(&in, &out, &options);
  if (*(int *)status) fprintf(stderr, "%s\\n", error);
  return NULL;
}
int main(int argc, char **argv) {
  pthread_t threads[4];
  int status[4], worst = 0;
  (void)argv;
  /* With no room for the tiles of AMX, which Linux does not give then. */
  if (getenv("SMALL_STACK")) {
    static char small[6144];
    stack_t stack = {.ss_sp = small, .ss_size = sizeof small};
    if (sigaltstack(&stack, NULL)) return 101;
  }
  if (fread(x, 1, sizeof x, stdin) != sizeof x) return 100;
  /* Those that come first choose at once. */
  for (int i = 0; i < argc; ++i) pthread_create(&threads[i], NULL, run, &status[i]);
  for (int i = 0; i < argc; ++i) {
    pthread_join(threads[i], NULL);
    worst |= status[i];
  }
  if (!worst) { fwrite(y, 1, sizeof y, stdout); fwrite(q, 1, sizeof q, stdout); }
  return worst;
}
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A product in float and one of integers, whose packing depends on the CPU."""
    random = np.random.default_rng(0)
    w = random.uniform(-1, 1, (40, 48)).astype(np.float32)
    v = random.integers(-100, 100, (40, 48)).astype(np.int8)
    constants = {"w": w, "v": v, "s": np.array(0.01, np.float32), "z": np.array(0, np.int8)}
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("QuantizeLinear", ["x", "s", "z"], ["i"]),
        helper.make_node("MatMulInteger", ["i", "v"], ["p"]),
        helper.make_node("Cast", ["p"], ["q"], to=TensorProto.FLOAT),
    ]
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (24, 40))],
        [helper.make_tensor_value_info(n, TensorProto.FLOAT, (24, 48)) for n in "yq"],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )  # fmt: skip
    path = tmp_path_factory.mktemp("cpus") / "net.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]), path)
    x = random.uniform(-1, 1, (24, 40)).astype(np.float32)
    i = np.clip(np.rint(x / np.float32(0.01)), -128, 127).astype(np.int64)
    return path, x, x.astype(np.float64) @ w, (i @ v.astype(np.int64)).astype(np.float32)


def build(model, folder, cpus, *flags, compiler="cc", static=()):
    if not shutil.which(compiler):
        pytest.skip(f"no {compiler}")
    done = subprocess.run([DLC, model[0], f"-mcpu={cpus}", "-o", folder / "net.o", *flags],
                          check=True, capture_output=True, text=True)  # fmt: skip
    (folder / "main.c").write_text(MAIN)
    subprocess.run([compiler, *static, "main.c", "net.o", "-o", "main", "-lm", "-lpthread"],
                   cwd=folder, check=True)  # fmt: skip
    return done.stderr


def run(model, command, **environment):
    return subprocess.run(command, input=model[1].tobytes(), capture_output=True,
                          env={**os.environ, **environment})  # fmt: skip


def check(model, done):
    assert done.returncode == 0, done.stderr
    y, q = np.frombuffer(done.stdout, np.float32).reshape(2, 24, 48)
    np.testing.assert_allclose(y, model[2], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(q, model[3])


@pytest.fixture(scope="module")
def x86(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("x86")
    return folder, build(model, folder, X86, "-target=x86_64", "--report")


def has(feature):
    return feature in pathlib.Path("/proc/cpuinfo").read_text()


def test_code_for_each(x86):
    """The dot product that a CPU has is in its code, and not in others'."""
    text = subprocess.run([f"{LLVM}/llvm-objdump", "-d", "--no-show-raw-insn", x86[0] / "net.o"],
                          check=True, capture_output=True, text=True).stdout  # fmt: skip
    used = {cpu: set() for cpu in X86.split(",")}
    cpu = None
    for line in text.splitlines():
        if head := re.match(r"^[0-9a-f]+ <(.*)>:", line):
            cpu = next((c for c in used if head[1].endswith("." + c)), None)
        elif cpu and (word := re.match(r"^\s+[0-9a-f]+:\s+(\S+)", line)):
            used[cpu] |= {word[1], "zmm"} if "%zmm" in line else {word[1]}
    assert "vpdpbusd" in used["znver4"] and "zmm" in used["znver4"]
    assert "vpdpbusd" not in used["x86-64-v4"] and "zmm" in used["x86-64-v4"]
    assert "vpdpbusd" not in used["x86-64-v3"] and "zmm" not in used["x86-64-v3"]
    assert all(any(op.startswith("vfmadd") for op in ops) for ops in used.values())


def test_report(x86, model):
    """What the packing allows is there once."""
    code, weights = re.findall(r"^(?:code|weights) of (.*)$", x86[1], re.M)
    assert re.fullmatch(r"[\d,]+ bytes for znver4, [\d,]+ for x86-64-v4, [\d,]+ for x86-64-v3, "
                        r"[\d,]+ of the runtime", code)  # fmt: skip
    found = re.fullmatch(r"([\d,]+) bytes for znver4, ([\d,]+) more for x86-64-v4, "
                         r"([\d,]+) more for x86-64-v3", weights)  # fmt: skip
    first, second, third = (int(part.replace(",", "")) for part in found.groups())
    # The float matrix is packed alike for 512 bits, and alike is not repeated.
    assert first >= 40 * 48 * 5 and second < 40 * 48 * 4 and third > 0


@pytest.mark.parametrize("cpu, feature", [("x86-64-v3", "avx2"), ("x86-64-v4", "avx512vl"),
                                          ("znver4", "avx512_vnni")])  # fmt: skip
def test_forced(model, x86, cpu, feature):
    if not has(feature):
        pytest.skip(f"this machine has no {feature}")
    done = run(model, [x86[0] / "main"], DLC_CPU=cpu)
    if done.returncode == 7 and b"this CPU lacks" in done.stderr:
        pytest.skip(done.stderr.decode())
    check(model, done)


def test_chosen(model, x86):
    check(model, run(model, [x86[0] / "main", "2", "3", "4"]))
    check(model, run(model, [x86[0] / "main"], DLC_CPU=""))


@pytest.mark.parametrize("cpus", ["sapphirerapids", "sapphirerapids,x86-64-v3"])
def test_tiles(model, tmp_path, cpus):
    """An object asks Linux for AMX's tiles; where it may not have them, that is
    as if the CPU had none."""
    build(model, tmp_path, cpus, "-target=x86_64")
    if has("amx_int8"):
        check(model, run(model, [tmp_path / "main"], DLC_CPU="sapphirerapids" if "," in cpus else ""))
    done = run(model, [tmp_path / "main"], SMALL_STACK="1")
    if "," in cpus:
        check(model, done)
    elif has("amx_int8"):
        assert done.returncode == 7
        assert b"sapphirerapids, but this CPU lacks amx-" in done.stderr


def test_unknown_choice(model, x86):
    done = run(model, [x86[0] / "main"], DLC_CPU="z80")
    assert done.returncode == 7
    assert done.stderr == (b"net: DLC_CPU is 'z80', expected one of znver4, x86-64-v4, "
                           b"x86-64-v3\n")  # fmt: skip


def test_profile_and_debug_information(model, tmp_path):
    build(model, tmp_path, "x86-64-v3,x86-64-v4", "-target=x86_64", "--profile", "-g")
    check(model, run(model, [tmp_path / "main"], DLC_PROFILE=f"{tmp_path}/p_"))
    assert "net: 1 runs" in (tmp_path / "p_net.txt").read_text()
    subprocess.run([f"{LLVM}/llvm-dwarfdump", "--verify", tmp_path / "net.o"], check=True,
                   stdout=subprocess.DEVNULL)  # fmt: skip


@pytest.mark.parametrize("cpu, expected", [
    ("cortex-a53", "generic"),
    ("neoverse-n1", "generic+dotprod"),
    ("max", "generic+dotprod+i8mm"),
])  # fmt: skip
def test_aarch64(model, tmp_path, cpu, expected):
    if not shutil.which("qemu-aarch64-static"):
        pytest.skip("no qemu-aarch64-static")
    build(model, tmp_path, ARM, "-target=aarch64", compiler="aarch64-linux-gnu-gcc",
          static=["-static"])  # fmt: skip
    emulated = ["qemu-aarch64-static", "-cpu", cpu, tmp_path / "main"]
    check(model, run(model, emulated))
    # What is better than that does not run.
    labels = ARM.split(",")
    for label in labels:
        done = run(model, emulated, DLC_CPU=label)
        if labels.index(label) <= labels.index(expected):
            check(model, done)
        else:
            assert done.returncode == 7 and b"but this CPU lacks" in done.stderr


def test_no_cpu_fits(model, tmp_path):
    if not shutil.which("qemu-aarch64-static"):
        pytest.skip("no qemu-aarch64-static")
    build(model, tmp_path, "generic+dotprod,generic+dotprod+i8mm", "-target=aarch64",
          compiler="aarch64-linux-gnu-gcc", static=["-static"])  # fmt: skip
    done = run(model, ["qemu-aarch64-static", "-cpu", "cortex-a53", tmp_path / "main"])
    assert done.returncode == 7
    assert done.stderr == (
        b"net: compiled for aarch64-unknown-linux-gnu generic+dotprod+i8mm,generic+dotprod, "
        b"but this CPU lacks dotprod\n"
    )


def test_one_cpu_has_no_choice(model, tmp_path):
    subprocess.run([DLC, model[0], "-mcpu=x86-64-v3", "-target=x86_64", "-o", tmp_path / "net.o"],
                   check=True)  # fmt: skip
    symbols = subprocess.run(["nm", tmp_path / "net.o"], check=True, capture_output=True, text=True)
    assert not re.search("choose|getenv|variants", symbols.stdout)


@pytest.mark.parametrize("flags, message", [
    (["-mcpu=x86-64-v3,z80"], "unknown CPU 'z80' for target x86_64"),
    (["-mcpu=x86-64-v3,cortex-a53"], "unknown CPU 'cortex-a53' for target x86_64: it is one of "
     "aarch64, and an object is for one architecture"),
    (["-mcpu=x86-64-v3,x86-64-v3"], "expected different CPUs for -mcpu, found 'x86-64-v3' twice"),
    (["-mcpu=x86-64-v3,"], "expected a CPU between the commas of -mcpu=x86-64-v3,"),
    (["-mcpu=x86-64-v3+dotprod"], "unknown feature 'dotprod' for target x86_64"),
    (["-mcpu=x86-64-v3,x86-64-v4", "--gpu=sm_80"], "expected one CPU beside a GPU, found 2"),
    (["-mcpu=x86-64-v3,x86-64-v4", "--to=llvm"], "expected one CPU for --to=llvm, found 2"),
])  # fmt: skip
def test_errors(model, tmp_path, flags, message):
    done = subprocess.run([DLC, model[0], "-target=x86_64", "-o", tmp_path / "net.o", *flags],
                          capture_output=True, text=True)  # fmt: skip
    assert done.returncode == 1 and f"error: {message}" in done.stderr, done.stderr


def test_python(model, tmp_path):
    dlc.compile_to_file(model[0], tmp_path / "net.so", emit=["shared"], cpu=X86)
    y, q = dlc.load(tmp_path / "net.so").run([model[1]])
    np.testing.assert_allclose(y, model[2], rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(q, model[3])
    with pytest.raises(dlc.CompileError, match="expected one CPU for code in this process"):
        dlc.compile(model[0], cpu=X86)
