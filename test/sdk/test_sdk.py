"""The installed package as others use it: plugins built out of the tree, the
tutorial of passes command by command, pkg-config, the packages of CPack."""

import os
import pathlib
import re
import shutil
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))
VENV = BUILD / "venv" / "bin"


def run(*command, status=0, **kwargs):
    done = subprocess.run(
        [str(part) for part in command], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, timeout=900, **kwargs,
    )  # fmt: skip
    assert done.returncode == status, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def prefix(tmp_path_factory):
    """An installation that was moved after it was made."""
    folder = tmp_path_factory.mktemp("install")
    run(VENV / "cmake", "--install", BUILD, "--prefix", folder / "first")
    (folder / "first").rename(folder / "moved")
    return folder / "moved"


def save(path, nodes, *shape):
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "g", [value("x", TensorProto.FLOAT, shape)], [value("y", TensorProto.FLOAT, shape)]
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


# The example, built against the installation.


@pytest.fixture(scope="module")
def plugins(prefix, tmp_path_factory):
    folder = tmp_path_factory.mktemp("plugins")
    source = folder / "source"
    shutil.copytree(ROOT / "examples" / "plugin", source)
    run(VENV / "cmake", "-S", source, "-B", folder / "build", f"-DCMAKE_PREFIX_PATH={prefix}",
        "-DCMAKE_FIND_USE_PACKAGE_REGISTRY=OFF")  # fmt: skip
    run(VENV / "cmake", "--build", folder / "build", "--parallel", "2")
    return folder / "build"


def test_the_pass_is_short():
    lines = (ROOT / "examples" / "plugin" / "hard_sigmoid.cpp").read_text().splitlines()
    assert len(lines) <= 60


def test_example_pass(prefix, plugins, tmp_path):
    model = save(tmp_path / "m.onnx", [helper.make_node("Sigmoid", ["x"], ["y"], name="s1")], 8)
    load = f"--load-plugin={plugins}/libhard_sigmoid.so"
    out = run(prefix / "bin" / "dlc", model, load, "--remarks=hard-sigmoid", "-o", tmp_path / "a.o")
    assert out == "m.onnx: node 's1': remark: made hard [hard-sigmoid]\n"
    assert run(prefix / "bin" / "dlc", model, "-o", tmp_path / "b.o") == ""
    assert (tmp_path / "a.o").read_bytes() != (tmp_path / "b.o").read_bytes()
    assert "hard-sigmoid" in run(prefix / "bin" / "dlc-opt", load, "--help")
    x = np.linspace(-5, 5, 8, dtype=np.float32)
    y = python(prefix, model, x, plugins=[f"{plugins}/libhard_sigmoid.so"])
    np.testing.assert_allclose(y, np.clip(x / 6 + 0.5, 0, 1), rtol=1e-6)


def python(prefix, model, x, **options):
    """What the installed Python package computes."""
    (package,) = prefix.rglob("dlc/__init__.py")
    program = f"""
import dlc, numpy
m = dlc.compile({str(model)!r}, **{options!r})
print(m.run([numpy.array({x.tolist()!r}, numpy.float32)])[0].tolist())"""
    environment = {**os.environ, "PYTHONPATH": str(package.parents[1])}
    environment.pop("DLC_LIBRARY", None)
    out = run(VENV / "python", "-c", program, env=environment, cwd=prefix)
    return np.array(eval(out), np.float32)


def test_example_operator_in_both_ways(prefix, plugins, tmp_path):
    node = helper.make_node(
        "ScaledTanh", ["x"], ["y"], name="t1", domain="com.example", alpha=2.0, beta=0.5
    )
    model = save(tmp_path / "m.onnx", [node], 5)
    x = np.linspace(-3, 3, 5, dtype=np.float32)
    expected = 2 * np.tanh(0.5 * x)
    y = python(prefix, model, x, plugins=[f"{plugins}/libscaled_tanh.so"])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)
    (function,) = prefix.glob("share/doc/*/examples/plugin/scaled_tanh.mlir")
    y = python(prefix, model, x, custom_ops=[str(function)])
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-6)


# The tutorial.


def blocks(page):
    """The code blocks of a page: language, word behind it, text."""
    return re.findall(r"^```(\w+) ?([^\n]*)\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)


def test_tutorial(prefix, tmp_path):
    """Files are written, commands run in one shell each with what the ones
    before exported, and each line of a text is in the output before it."""
    (page,) = prefix.glob("share/doc/*/PassTutorial.md")
    environment = {**os.environ, "DLC": str(prefix), "PATH": f"{VENV}:{os.environ['PATH']}"}
    setup, out, commands = "", "", 0
    for language, word, text in blocks(page.read_text()):
        if language == "text":
            position = 0
            for line in text.splitlines():
                assert line in out[position:], f"{line!r} is not in:\n{out}"
                position = out.index(line, position) + len(line)
        elif language == "sh":
            exports = "".join(line + "\n" for line in text.splitlines() if line.startswith("export "))
            script = f"set -e\n{setup}{text}"
            out = run("bash", "-c", script, status=word == "fails", cwd=tmp_path, env=environment)
            setup += exports
            commands += len(text.splitlines())
        else:
            (tmp_path / word).write_text(text)
    assert commands >= 12


# Without CMake, and packages.


def test_pkg_config(prefix, tmp_path):
    (folder,) = prefix.rglob("pkgconfig")
    environment = {**os.environ, "PKG_CONFIG_PATH": str(folder)}
    flags = run("pkg-config", "--cflags", "--libs", "dlc", env=environment).split()
    assert run("pkg-config", "--modversion", "dlc", env=environment).strip() == "0.1.0"
    (tmp_path / "main.c").write_text(
        "#include <dlc/dlc-c.h>\n#include <stdio.h>\n"
        "int main(void) { puts(dlc_version()); return 0; }\n"
    )
    (library,) = {path.parent for path in prefix.rglob("libdlc.so")}
    run("cc", "main.c", *flags, f"-Wl,-rpath,{library}", "-o", "app", cwd=tmp_path)
    assert run(tmp_path / "app") == "0.1.0\n"


@pytest.fixture(scope="module")
def packages(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packages")
    run(VENV / "cpack", "--config", BUILD / "CPackConfig.cmake", "-G", "TGZ;DEB", "-B", folder)
    return folder


def check_runs(program, tmp_path):
    assert "dlc version 0.1.0" in run(program, "--version")
    model = save(tmp_path / "m.onnx", [helper.make_node("Relu", ["x"], ["y"])], 3)
    assert run(program, model, "-o", tmp_path / "m.o") == "" and (tmp_path / "m.h").exists()


def test_archive(packages, tmp_path):
    (archive,) = packages.glob("*.tar.gz")
    run("tar", "-xzf", archive, "-C", tmp_path)
    (folder,) = [path for path in tmp_path.iterdir() if path.is_dir()]
    assert folder.name == archive.name.removesuffix(".tar.gz")
    check_runs(folder / "bin" / "dlc", tmp_path)
    assert list(folder.rglob("dlcConfig.cmake")) and list(folder.rglob("dlc/Plugin.h"))


def test_debian_package(packages, tmp_path):
    (package,) = packages.glob("*.deb")
    assert package.name == "dlc_0.1.0_amd64.deb"
    fields = run("dpkg-deb", "--field", package)
    for name in re.search(r"^Depends: (.*)$", fields, re.MULTILINE)[1].split(", "):
        assert "install ok installed" in run("dpkg-query", "-W", "-f", "${Status}", name)
    run("dpkg-deb", "-x", package, tmp_path)
    check_runs(tmp_path / "usr" / "bin" / "dlc", tmp_path)
    assert (tmp_path / "usr/lib/python3/dist-packages/dlc/__init__.py").exists()
