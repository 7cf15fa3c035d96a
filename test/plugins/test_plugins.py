"""Plugins: what they add, in dlc, dlc-opt and the Python package, and the one
clear error of each that is wrong."""

import os
import pathlib
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

import dlc

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("DLC_BUILD_DIR", ROOT / "build"))


def plugin(name):
    return BUILD / "lib" / f"libdlc-test-{name}.so"


EVERYTHING = plugin("Everything")


def run(*arguments, tool="dlc", text=None):
    done = subprocess.run(
        [BUILD / "bin" / tool, *map(str, arguments)],
        capture_output=True, text=True, timeout=120, input=text,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def save(path, nodes, inputs, outputs):
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def value(name, *shape):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


@pytest.fixture
def model(tmp_path):
    """y = Tanh(x)"""
    node = helper.make_node("Tanh", ["x"], ["y"], name="tanh1")
    return save(tmp_path / "model.onnx", [node], [value("x", 2, 3)], [value("y", 2, 3)])


def scale_model(path, *shape, **attributes):
    """y = Relu(Scale(x))"""
    nodes = [
        helper.make_node("Scale", ["x"], ["h"], name="s1", domain="com.example", **attributes),
        helper.make_node("Relu", ["h"], ["y"], name="act"),
    ]
    return save(path / "scale.onnx", nodes, [value("x", *shape)], [value("y", *shape)])


# What a plugin adds.


def notes(out):
    line = next(line for line in out.splitlines() if "every.notes" in line)
    return line.partition("every.notes = [")[2].partition("]")[0]


def test_passes_run_at_their_points(model):
    for phase, expected in [
        ("import", '"after-import"'),
        ("graph", '"after-import", "graph-early", "graph-late"'),
        ("tensor", '"after-import", "graph-early", "graph-late", "tensor"'),
    ]:
        status, out, err = run(model, f"--load-plugin={EVERYTHING}", f"--to={phase}")
        assert (status, err) == (0, "") and notes(out) == expected


def test_passes_are_in_the_pipeline_and_can_be_disabled(model):
    load = f"--load-plugin={EVERYTHING}"
    status, out, _ = run(load, "--print-pipeline")
    graph = next(line for line in out.splitlines() if line.startswith("graph:"))
    assert status == 0 and graph.index("point=graph-early") < graph.index("dlc-sink-transposes")
    assert graph.index("dlc-fold-scale") < graph.index("point=graph-late")
    tensor = next(line for line in out.splitlines() if line.startswith("tensor:"))
    assert tensor.index("dlc-lower-to-linalg") < tensor.index("point=tensor")
    assert tensor.index("point=tensor") < tensor.index("dlc-pack-contract")
    status, out, err = run(model, load, "--to=graph", "--disable-pass=every-note")
    assert (status, err) == (0, "") and "every.notes" not in out


def test_options(model):
    load = f"--load-plugin={EVERYTHING}"
    _, out, _ = run(model, load, "--to=import", "--plugin-opt=repeat=2")
    assert notes(out) == '"after-import", "after-import"'
    _, out, _ = run(model, load, "--to=import", "--plugin-opt=every.notes=false")
    assert "every.notes" not in out


def test_an_operator_with_attribute_and_option(tmp_path):
    x = np.float32([[1, -2, 3]])
    for shape in [(1, 3), ("n", 3)]:
        path = scale_model(tmp_path, *shape, factor=2.0)
        compiled = dlc.compile(path, plugins=[EVERYTHING], plugin_options={"shift": 0.5})
        np.testing.assert_allclose(compiled.run([x])[0], np.maximum(2 * x + 0.5, 0))
    assert dlc.compile(path, plugins=[str(EVERYTHING)]).run([x])[0].tolist() == [[2, 0, 6]]
    with pytest.raises(dlc.UnsupportedError, match="com.example.Scale"):
        dlc.compile(path)


def test_an_operator_changes_the_object(tmp_path):
    path = scale_model(tmp_path, 1, 3, factor=2.0)
    load = f"--load-plugin={EVERYTHING}"
    assert run(path, "-o", tmp_path / "none.o")[0] == 1
    assert run(path, load, "-o", tmp_path / "a.o") == (0, "", "")
    assert run(path, load, "--plugin-opt=shift=3", "-o", tmp_path / "b.o") == (0, "", "")
    assert (tmp_path / "a.o").read_bytes() != (tmp_path / "b.o").read_bytes()


def test_lists(model):
    load = f"--load-plugin={EVERYTHING}"
    status, out, err = run(load, "--print-plugins")
    assert (status, err) == (0, "")
    for line in [
        f"every 1.5 ({EVERYTHING})",
        "  passes at graph-early: builtin.module(every-note{point=graph-early})",
        "  pass every-note",
        "  operator com.example.Scale",
        "  dialect every",
        "  target every: a chip of the plugin's",
        "  option shift=number (0.00): what Scale adds",
    ]:
        assert line in out.splitlines(), out
    assert "com.example.Scale\n" in run(load, "--print-supported-ops")[1]
    assert "a chip of the plugin's" in run(load, "--print-targets")[1]


def test_info_knows_the_operators(tmp_path):
    path = scale_model(tmp_path, 1, 3)
    assert "not supported" in run("info", path)[1]
    assert "not supported" not in run("info", path, f"--load-plugin={EVERYTHING}")[1]


def test_a_target(model, tmp_path):
    load = f"--load-plugin={EVERYTHING}"
    assert run(model, load, "-target=everychip", "-o", tmp_path / "x.o") == (0, "", "")
    status, _, err = run(model, "-target=every")
    assert status == 1 and "unknown target 'every'" in err


def test_a_dialect(tmp_path):
    text = 'module { func.func @f() { "every.thing"() : () -> () return } }'
    status, out, err = run(f"--load-plugin={EVERYTHING}", tool="dlc-opt", text=text)
    assert (status, err) == (0, "") and '"every.thing"' in out
    status, _, err = run(tool="dlc-opt", text=text)
    assert status == 1 and "every" in err


def test_dlc_opt_has_the_passes_and_operators(tmp_path):
    load = f"--load-plugin={EVERYTHING}"
    status, out, err = run(load, "--every-note=point=here", tool="dlc-opt", text="module {}")
    assert (status, err) == (0, "") and notes(out) == '"here"'
    (tmp_path / "flags").write_text(f"{load} --pass-pipeline=builtin.module(every-note)")
    assert run(f"@{tmp_path / 'flags'}", tool="dlc-opt", text="module {}")[0] == 0
    path = scale_model(tmp_path, 1, 3, factor=2.0)
    text = run(path, "--to=onnx")[1]
    status, out, err = run(
        load, "--plugin-opt=shift=7", "--dlc-import-onnx", tool="dlc-opt", text=text
    )
    assert (status, err) == (0, "") and "dense<7.000000e+00>" in out
    assert "Scale" in run("--dlc-import-onnx", tool="dlc-opt", text=text)[2]


# MLIR's own plugins.


def test_a_pass_plugin_of_mlir(model):
    load = f"--load-plugin={plugin('BreakPass')}"
    status, out, err = run(model, load, "--add-passes=graph:test-break", "--to=graph")
    assert (status, err) == (0, "") and "dlc.erf" in out
    assert "dlc.erf" not in run(model, load, "--to=graph")[1]
    text = "func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> { %0 = dlc.tanh %x : tensor<2xf32> return %0 : tensor<2xf32> }"
    status, out, err = run(load, "--test-break", tool="dlc-opt", text=text)
    assert (status, err) == (0, "") and "dlc.erf" in out


def test_a_dialect_plugin_of_mlir():
    text = 'module { func.func @f() { "plain.thing"() : () -> () return } }'
    load = f"--load-plugin={plugin('PlainDialect')}"
    status, out, err = run(load, tool="dlc-opt", text=text)
    assert (status, err) == (0, "") and '"plain.thing"' in out


# What is wrong.


def check_refused(expected, *arguments, tool="dlc", text=None):
    status, out, err = run(*arguments, tool=tool, text=text)
    assert (status, out) == (1, "") and err.count("\n") == 1, err
    assert expected in err, err


@pytest.mark.parametrize(
    "name, expected",
    [
        ("OtherVersion", "was built for dlc 9.9.9 (plugin interface 7), and this is dlc 0.1.0 "
                         "(plugin interface 1); build it again"),
        ("OtherLlvm", "was built for LLVM 21.0.0, and this is LLVM 22"),
        ("OtherMlir", "was built for version 99 of MLIR's plugin interface"),
        ("NoPlugin", "is no plugin: it has neither dlcGetPluginInfo"),
        ("Nowhere", "libdlc-test-Nowhere.so': No such file or directory"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("tool", ["dlc", "dlc-opt"])
def test_what_cannot_be_loaded(model, name, expected, tool):
    arguments = [model] if tool == "dlc" else []
    check_refused(expected, *arguments, f"--load-plugin={plugin(name)}", tool=tool, text="module {}")


def test_files_of_other_kinds(model, tmp_path):
    text = tmp_path / "text.so"
    text.write_text("no library")
    check_refused("expected a shared library for this machine", model, f"--load-plugin={text}")
    empty = tmp_path / "empty.so"
    empty.write_text("")
    check_refused("expected a shared library for this machine", model, f"--load-plugin={empty}")
    program = BUILD / "bin" / "dlc-opt"
    status, _, err = run(model, f"--load-plugin={program}")
    assert status == 1 and err.count("\n") == 1
    half = tmp_path / "half.so"
    half.write_bytes(EVERYTHING.read_bytes()[:5000])
    status, _, err = run(model, f"--load-plugin={half}")
    assert status == 1 and err.count("\n") == 1 and "cannot load the plugin" in err


def test_another_mlir_is_not_loaded(model, tmp_path):
    """A second one would end the process."""
    other = tmp_path / "other.so"
    library = EVERYTHING.read_bytes()
    assert b"libMLIR.so.22.1" in library
    other.write_bytes(library.replace(b"libMLIR.so.22.1", b"libMLIR.so.21.1"))
    check_refused(
        "it was built with libMLIR.so.21.1, and dlc with libMLIR.so.22.1",
        model, f"--load-plugin={other}",
    )  # fmt: skip


def test_names_that_are_taken(model):
    status, _, err = run(model, f"--load-plugin={plugin('Clashing')}")
    assert status == 1 and err.count("\n") == 1
    for expected in [
        "the plugin 'clashing' in '",
        "a pass is named 'cse' already",
        "has no name for the command line",
        "expected an operator of the plugin's own domain, found 'Relu'",
        "the operator 'com.microsoft.Gelu' has a lowering already",
        "in the name of an option, found 'a=b'",
        "an option is named 'twice' already",
        "a target is named 'aarch64' already",
    ]:
        assert expected in err, err
    # The same again, in one process.
    for _ in range(2):
        with pytest.raises(dlc.CompileError, match="a pass is named 'cse' already"):
            dlc.compile(model, plugins=[plugin("Clashing")])


def test_wrong_options(model):
    load = f"--load-plugin={EVERYTHING}"
    for flag, expected in [
        ("repeat", "expected --plugin-opt=name=value, found 'repeat'"),
        ("nobody=1", "no plugin has an option 'nobody'; there are: every.shift, every.notes"),
        ("other.repeat=1", "no plugin has an option 'other.repeat'"),
        ("repeat=x", "expected an integer for the option 'repeat' of the plugin 'every', found 'x'"),
        ("shift=x", "expected a number for the option 'shift'"),
        ("notes=1", "expected a bool for the option 'notes'"),
    ]:
        check_refused(expected, model, load, f"--plugin-opt={flag}")
    check_refused("expected one value for the option 'every.repeat', found two", model, load,
                  "--plugin-opt=repeat=1", "--plugin-opt=every.repeat=2")  # fmt: skip
    check_refused("there are: none", model, "--plugin-opt=repeat=1")
    check_refused("is given twice", model, load, load)


def test_a_pass_that_fails(model):
    load = f"--load-plugin={EVERYTHING}"
    check_refused(
        "model.onnx: node 'tanh1': error: expected no tanh [every-misbehave of plugin 'every']",
        model, load, "--plugin-opt=misbehave=error",
    )  # fmt: skip
    check_refused("a pass failed without a message [every-misbehave of plugin 'every']",
                  model, load, "--plugin-opt=misbehave=silent")  # fmt: skip
    with pytest.raises(dlc.CompileError, match="every-misbehave of plugin 'every'"):
        dlc.compile(model, plugins=[EVERYTHING], plugin_options={"misbehave": "error"})


def test_a_pass_that_makes_invalid_ir(model):
    status, _, err = run(model, f"--load-plugin={EVERYTHING}", "--plugin-opt=misbehave=invalid")
    assert status == 1 and "[every-misbehave of plugin 'every']" in err


def test_a_pass_that_leaves_nothing(model):
    check_refused("expected a function @main [@main is gone since every-misbehave of plugin 'every']",
                  model, f"--load-plugin={EVERYTHING}", "--plugin-opt=misbehave=rename")  # fmt: skip


def test_a_pass_with_an_unregistered_dialect(model):
    status, _, err = run(model, f"--load-plugin={EVERYTHING}", "--plugin-opt=misbehave=unregistered")
    assert status == 1 and err.count("error:") == 1
    assert "nobody.tanh" in err and "[every-misbehave of plugin 'every']" in err


def test_a_pass_that_ends_the_program(model):
    check_refused("the plugin gave up [every-misbehave of plugin 'every']",
                  model, f"--load-plugin={EVERYTHING}", "--plugin-opt=misbehave=fatal")  # fmt: skip


def test_errors_of_an_operator_name_the_plugin(tmp_path):
    path = scale_model(tmp_path, 1, 3)
    check_refused(
        "scale.onnx: node 's1': error: expected the attribute 'factor', found none "
        "[plugin 'every']",
        path, f"--load-plugin={EVERYTHING}",
    )  # fmt: skip


def test_wrong_types_in_python(model):
    with pytest.raises(TypeError, match="expected a list of paths"):
        dlc.compile(model, plugins=EVERYTHING)
