"""An installation: the generated pages, the compiler, the packages for CMake
and Python. It lies in a folder that is moved after it was made."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))

MAIN = """
#include "net.h"
#include <stdio.h>
int main(void) {
  float x[6] = {1, -2, 3, -4, 5, -6}, y[6];
  net_inputs in = {x};
  net_outputs out = {y};
  int status = net_run(&in, &out, NULL);
  for (int i = 0; i < 6; ++i)
    printf("%g ", y[i]);
  return status;
}
"""

# The compiler as a library.
EMBEDDER = """
#include <dlc/dlc-c.h>
#include <stdio.h>
int main(int argc, char **argv) {
  (void)argc;
  dlc_compilation *c = dlc_compile_file(argv[1], NULL);
  float x[6] = {1, -2, 3, -4, 5, -6}, y[6];
  dlc_tensor in = {x, sizeof x, NULL}, out = {y, sizeof y, NULL};
  int status = dlc_compilation_model(c)->run(&in, &out, NULL);
  for (int i = 0; i < 6; ++i)
    printf("%g ", y[i]);
  dlc_compilation_free(c);
  return status;
}
"""

PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(app LANGUAGES C)
set(CMAKE_C_STANDARD 99)
find_package(dlc 0.1 REQUIRED)
dlc_add_model(network model.onnx NAME net OPTIONS -O2)
add_executable(app main.c)
target_link_libraries(app PRIVATE network)
"""

LIBRARY_PROJECT = """
cmake_minimum_required(VERSION 3.20)
project(embedder LANGUAGES C CXX)
find_package(dlc REQUIRED COMPONENTS Library)
add_executable(embedder main.c)
target_link_libraries(embedder PRIVATE dlc::dlc)
"""


def run(*command, **kwargs):
    kwargs.setdefault("env", {"PATH": os.environ["PATH"], "HOME": tempfile.gettempdir()})
    done = subprocess.run(
        [str(part) for part in command], capture_output=True, text=True, timeout=300, **kwargs
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    if not (BUILD / "build.ninja").exists():
        pytest.skip("the build folder was not made by Ninja")
    run("cmake", "--build", BUILD, "--target", "docs")
    folder = tmp_path_factory.mktemp("install")
    run("cmake", "--install", BUILD, "--prefix", folder / "first")
    (folder / "first").rename(folder / "moved")
    return folder / "moved"


@pytest.fixture
def model(tmp_path):
    """y = Relu(-x)"""
    nodes = [helper.make_node("Mul", ["x", "m"], ["n"]), helper.make_node("Relu", ["n"], ["y"])]
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, (2, 3))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (2, 3))],
        [numpy_helper.from_array(np.float32([-1]), "m")],
    )
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)]),
        tmp_path / "model.onnx",
    )
    return tmp_path / "model.onnx"


def test_pages(prefix):
    (folder,) = prefix.glob("share/doc/*")
    assert not (folder / "parts").exists()
    dialect = (folder / "Dialect.md").read_text()
    assert "#### `dlc.conv`" in dialect and "## 'onnx' Dialect" in dialect
    passes = (folder / "Passes.md").read_text()
    for phase in ["simplify", "import", "graph", "tensor", "buffer", "llvm"]:
        assert f"## The phase {phase}\n" in passes
    assert "### `-dlc-fuse-epilogue`" in passes
    operators = (folder / "OnnxOperators.md").read_text()
    names = run(prefix / "bin" / "dlc", "--print-supported-ops").split()
    known = set(names) - {"ai.onnx.SimplifiedLayerNormalization"}  # ONNX Runtime's own
    assert operators.count("| lowered |") == len([name for name in known if name.startswith("ai.onnx.")])
    assert operators.count("\n- ") == len([name for name in names if name.startswith("com.microsoft.")])
    assert "| [Conv](https://onnx.ai/onnx/operators/onnx__Conv.html) | 1, 11, 22 | lowered | " in operators
    for written in ["CommandLine.md", "CInterface.md", "Layout.md", "README.md"]:
        assert (folder / written).exists()


def test_every_pass_has_a_page(prefix):
    """Those that run and are dlc's own."""
    (page,) = prefix.glob("share/doc/*/Passes.md")
    text = page.read_text()
    pipeline = run(prefix / "bin" / "dlc", "--print-pipeline")
    names = {name for name in pipeline.replace("(", ",").replace("{", ",").replace(")", ",")
             .split(",") if name.startswith("dlc-")}
    assert len(names) > 10
    for name in names:
        assert f"### `-{name.strip()}`" in text


def test_compiles_and_links(prefix, model, tmp_path):
    run(prefix / "bin" / "dlc", model, "-o", tmp_path / "net.o", "--name=net", cwd=tmp_path)
    (tmp_path / "main.c").write_text(MAIN)
    run("cc", "-std=c99", "main.c", "net.o", "-lm", "-lpthread", "-o", "app", cwd=tmp_path)
    assert run(tmp_path / "app") == "0 2 0 4 0 6 "


def test_tools_name_their_version(prefix):
    assert "dlc version" in run(prefix / "bin" / "dlc", "--version")
    assert "dlc-fuse-epilogue" in run(prefix / "bin" / "dlc-opt", "--help")


def configure(prefix, source):
    run("cmake", "-S", source, "-B", source / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")
    run("cmake", "--build", source / "build")


def test_cmake_package(prefix, model, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(PROJECT)
    (tmp_path / "main.c").write_text(MAIN)
    configure(prefix, tmp_path)
    assert run(tmp_path / "build" / "app") == "0 2 0 4 0 6 "
    # A changed model is compiled again.
    made = onnx.load(model)
    made.graph.node[1].op_type = "Abs"
    onnx.save(made, model)
    run("cmake", "--build", tmp_path / "build")
    assert run(tmp_path / "build" / "app") == "1 2 3 4 5 6 "


def test_cmake_package_of_the_library(prefix, model, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(LIBRARY_PROJECT)
    (tmp_path / "main.c").write_text(EMBEDDER)
    configure(prefix, tmp_path)
    assert run(tmp_path / "build" / "embedder", model) == "0 2 0 4 0 6 "


def test_cmake_package_refuses_other_versions(prefix, tmp_path):
    (tmp_path / "CMakeLists.txt").write_text(PROJECT.replace("dlc 0.1 ", "dlc 9.9 "))
    done = subprocess.run(
        ["cmake", "-S", tmp_path, "-B", tmp_path / "build", f"-DCMAKE_PREFIX_PATH={prefix}"],
        capture_output=True, text=True,
    )
    assert done.returncode != 0 and "dlc" in done.stderr


def test_python_package(prefix, model):
    (package,) = prefix.rglob("dlc/__init__.py")
    program = (
        "import dlc, numpy; m = dlc.compile('model.onnx');"
        "print(m.run([numpy.float32([[1, -2, 3], [-4, 5, -6]])])[0].tolist(), dlc.__file__)"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(package.parents[1])}
    out = run(sys.executable, "-c", program, cwd=model.parent, env=environment)
    assert out == f"[[0.0, 2.0, 0.0], [4.0, 0.0, 6.0]] {package}\n"


def test_nothing_points_into_the_checkout(prefix):
    """But for what a debugger shows."""
    for path in [*prefix.rglob("*.cmake"), *prefix.rglob("*.h")]:
        text = path.read_text()
        assert str(ROOT) not in text, path
    readelf = shutil.which("readelf")
    if readelf:
        for path in [prefix / "bin" / "dlc", *prefix.rglob("libdlc.so")]:
            paths = [line for line in run(readelf, "-d", path).splitlines() if "PATH" in line]
            assert paths and not any(str(ROOT) in line for line in paths)
