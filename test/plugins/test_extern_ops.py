"""Operators that the program around the model computes: --extern-op."""

import ctypes
import json
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
SOURCE = ROOT / "test" / "plugins" / "Extern.c"
FLOAT, UINT8, INT64 = TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT64
AFFINE = "com.example::Affine=test_affine"
SHAPES = ":[n,c],[c]->[n,c]"


@pytest.fixture(scope="module", autouse=True)
def functions():
    """The functions are symbols of this process."""
    return ctypes.CDLL(str(BUILD / "lib" / "libdlc-test-Extern.so"), ctypes.RTLD_GLOBAL)


def run(*arguments):
    done = subprocess.run(
        [BUILD / "bin" / "dlc", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def save(path, nodes, inputs, outputs, infos=()):
    """Values are (name, type, shape)."""
    graph = helper.make_graph(
        nodes, "g", *[[helper.make_tensor_value_info(*v) for v in vs] for vs in (inputs, outputs)],
        value_info=[helper.make_tensor_value_info(*v) for v in infos],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


def affine(path, n, c, infos=(), **attributes):
    """y = Relu(Affine(Neg(x), bias))"""
    nodes = [
        helper.make_node("Neg", ["x"], ["m"]),
        helper.make_node("Affine", ["m", "bias"], ["h"], name="a1", domain="com.example", **attributes),
        helper.make_node("Relu", ["h"], ["y"]),
    ]
    return save(path, nodes, [("x", FLOAT, [n, c]), ("bias", FLOAT, [c])], [("y", FLOAT, [n, c])], infos)


@pytest.fixture
def path(tmp_path):
    return tmp_path / "model.onnx"


@pytest.mark.parametrize("n, c", [(2, 3), ("n", 3), ("n", "c"), (0, 3), (1, 1)])
def test_in_this_process(path, n, c):
    affine(path, n, c, factor=2.0)
    model = dlc.compile(path, extern_ops=[AFFINE + SHAPES])
    shape = [size if isinstance(size, int) else 4 for size in (n, c)]
    x = np.random.default_rng(0).normal(size=shape).astype(np.float32)
    bias = np.arange(shape[1], dtype=np.float32)
    y = model.run({"x": x, "bias": bias})["y"]
    np.testing.assert_allclose(y, np.maximum(2 * -x + bias, 0), rtol=1e-6)


def test_sizes_that_the_model_declares(path):
    affine(path, 2, 3, [("h", FLOAT, [2, 3])])
    x, bias = np.ones((2, 3), np.float32), np.float32([1, 2, 3])
    y = dlc.compile(path, extern_ops=[AFFINE]).run([x, bias])[0]
    assert y.tolist() == [[0, 1, 2]] * 2


MAIN = """
#include "model.h"
#include <stdio.h>
int main(void) {
  float x[6] = {1, -2, 3, -4, 5, -6}, bias[3] = {0, 1, 2}, y[6];
  model_inputs in = {x, bias};
  model_outputs out = {y};
  dlc_extern_op function = test_affine_of_the_program;
  (void)function;
  int status = model_run(&in, &out, NULL);
  for (int i = 0; i < 6; ++i)
    printf("%g ", y[i]);
  return status;
}
"""


def test_a_program_links_the_function(path, tmp_path):
    affine(path, 2, 3)
    assert run(path, f"--extern-op={AFFINE}{SHAPES}", "-o", tmp_path / "model.o") == (0, "", "")
    symbols = subprocess.run(["nm", "-u", tmp_path / "model.o"], capture_output=True, text=True)
    assert "test_affine" in symbols.stdout.split()
    main = MAIN.replace("test_affine_of_the_program", "test_affine")
    main = main.replace("int main", "int test_affine(const dlc_tensor *, dlc_tensor *, const char *);\nint main")
    (tmp_path / "main.c").write_text(main)
    done = subprocess.run(
        ["cc", "-std=c99", "-Wall", "-Werror", f"-I{ROOT}/include", "main.c", SOURCE, "model.o",
         "-lm", "-lpthread", "-o", "app"], cwd=tmp_path, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    out = subprocess.run([tmp_path / "app"], capture_output=True, text=True)
    assert (out.returncode, out.stdout) == (0, "0 3 0 4 0 8 ")


def test_every_target_calls_it(path, tmp_path):
    affine(path, 2, 3)
    for target in ["aarch64", "armv7", "riscv64"]:
        flags = [f"-target={target}", f"--extern-op={AFFINE}{SHAPES}", "--emit=asm"]
        assert run(path, *flags, "-o", tmp_path / "m.s") == (0, "", "")
        assert "test_affine" in (tmp_path / "m.s").read_text()


def test_several_results_of_other_types(path):
    node = helper.make_node("Ends", ["x"], ["ends", "rows"], domain="com.example")
    save(path, [node], [("x", UINT8, ["n", "c"])],
         [("ends", UINT8, ["n", 2]), ("rows", INT64, ["n"])])  # fmt: skip
    model = dlc.compile(path, extern_ops=["com.example::Ends=test_ends:u8[n,c]->[n,2],i64[n]"])
    x = np.uint8([[1, 2, 255], [4, 5, 6]])
    ends, rows = model.run([x])
    assert ends.dtype == np.uint8 and ends.tolist() == [[1, 255], [4, 6]]
    assert rows.dtype == np.int64 and rows.tolist() == [0, 1]
    # A result that nobody wants is still computed.
    node.output.pop()
    save(path, [node], [("x", UINT8, ["n", "c"])], [("ends", UINT8, ["n", 2])])
    model = dlc.compile(path, extern_ops=["com.example::Ends=test_ends:u8[n,c]->[n,2],i64[n]"])
    assert model.run([x])[0].tolist() == [[1, 255], [4, 6]]


def test_parts_of_larger_tensors(path):
    """Inputs and results that are no dense part of a buffer are copied."""
    nodes = [
        helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0]),
        helper.make_node("Split", ["x"], ["l", "r"], axis=1, num_outputs=2),
        helper.make_node("Affine", ["l", "b"], ["p"], domain="com.example"),
        helper.make_node("Affine", ["r", "b"], ["q"], domain="com.example", factor=10.0),
        helper.make_node("Concat", ["q", "p"], ["y"], axis=1),
    ]
    for n in [3, "n"]:
        save(path, nodes, [("x", FLOAT, [n, 4])], [("y", FLOAT, [n, 4])])
        model = dlc.compile(path, extern_ops=[AFFINE + SHAPES])
        x = np.arange(12, dtype=np.float32).reshape(3, 4)
        expected = np.concatenate([10 * x[:, 2:] + [1, 2], x[:, :2] + [1, 2]], axis=1)
        np.testing.assert_array_equal(model.run([x])[0], expected)


def test_constants_are_no_reason_to_call_it_at_compile_time(path):
    nodes = [
        helper.make_node("Constant", [], ["m"], value=helper.make_tensor("m", FLOAT, [1, 2], [1, 2])),
        helper.make_node("Constant", [], ["b"], value_floats=[1.0, 2.0]),
        helper.make_node("Affine", ["m", "b"], ["h"], domain="com.example"),
        helper.make_node("Add", ["x", "h"], ["y"]),
    ]
    save(path, nodes, [("x", FLOAT, [1, 2])], [("y", FLOAT, [1, 2])])
    model = dlc.compile(path, extern_ops=[AFFINE + SHAPES])
    assert model.run([np.float32([[1, 1]])])[0].tolist() == [[3, 5]]


def test_in_a_loop(path):
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [helper.make_node("Affine", ["a", "bias"], ["b"], domain="com.example", factor=2.0),
         helper.make_node("Identity", ["go"], ["on"])],
        "body",
        [value("i", INT64, []), value("go", TensorProto.BOOL, []), value("a", FLOAT, [1, 2])],
        [value("on", TensorProto.BOOL, []), value("b", FLOAT, [1, 2])],
    )  # fmt: skip
    node = helper.make_node("Loop", ["k", "", "x"], ["y"], body=body)
    save(path, [node], [("k", INT64, []), ("x", FLOAT, [1, 2]), ("bias", FLOAT, [2])],
         [("y", FLOAT, [1, 2])])  # fmt: skip
    model = dlc.compile(path, extern_ops=[AFFINE + SHAPES])
    x, bias = np.float32([[1, 2]]), np.float32([1, 0])
    assert model.run([np.int64(3), x, bias])[0].tolist() == [[15, 16]]
    # No memory of the stack is used up by it.
    model.run([np.int64(200_000), x, 0 * bias])


def test_attributes(path):
    given = dict(number=0.5, integer=-3, text='a "b"', floats=[1.5, 2.0], ints=[1, 2], texts=["x", "y"])
    node = helper.make_node("Show", ["x"], ["y"], domain="com.example", **given)
    save(path, [node], [("x", FLOAT, [1])], [("y", UINT8, [200])])
    model = dlc.compile(path, extern_ops=["com.example::Show=test_attributes:[n]->u8[200]"])
    text = model.run([np.zeros(1, np.float32)])[0].tobytes().rstrip(b"\0")
    assert json.loads(text) == given
    node = helper.make_node("Show", ["x"], ["y"], name="s1", domain="com.example",
                            t=helper.make_tensor("t", FLOAT, [1], [1]))  # fmt: skip
    save(path, [node], [("x", FLOAT, [1])], [("y", UINT8, [200])])
    with pytest.raises(dlc.CompileError, match="node 's1': error: expected numbers, texts and lists"):
        dlc.compile(path, extern_ops=["com.example::Show=test_attributes:[n]->u8[200]"])


def test_a_function_that_fails_ends_the_run(path):
    node = helper.make_node("Positive", ["x"], ["y"], name="p1", domain="com.example")
    save(path, [node], [("x", FLOAT, ["n"])], [("y", FLOAT, ["n"])])
    model = dlc.compile(path, extern_ops=["com.example::Positive=test_positive:[n]->[n]"])
    assert model.run([np.float32([1, 2])])[0].tolist() == [1, 2]
    with pytest.raises(dlc.RunError, match="the function 'test_positive' returned an error") as caught:
        model.run([np.float32([1, -2])])
    assert caught.value.status == 8


def test_sizes_are_checked(path):
    nodes = [helper.make_node("Affine", ["x", "bias"], ["y"], name="a1", domain="com.example")]
    save(path, nodes, [("x", FLOAT, ["n", "c"]), ("bias", FLOAT, ["d"])], [("y", FLOAT, None)])
    model = dlc.compile(path, extern_ops=[AFFINE + SHAPES])
    with pytest.raises(dlc.RunError, match="expected size c in dimension 0 of input 1"):
        model.run([np.ones((2, 3), np.float32), np.ones(2, np.float32)])


def check(path, flag, expected):
    status, out, err = run(path, f"--extern-op={flag}", "-o", os.devnull)
    assert (status, out) == (1, "") and err.count("\n") == 1, err
    assert expected in err, err


def test_nodes_that_do_not_fit(path):
    affine(path, 2, 3)
    node = "model.onnx: node 'a1': error: "
    check(path, AFFINE, node + "expected the model to declare the sizes of output 0")
    check(path, AFFINE, "give them: --extern-op=com.example::Affine=test_affine:[n,c]->[n,c]")
    check(path, AFFINE + ":[n,c]->[n,c]", node + "expected 1 inputs for 'com.example::Affine=test_affine', found 2")
    check(path, AFFINE + ":[n],[c]->[n]", node + "expected a tensor of rank 1 for input 0")
    check(path, AFFINE + ":f64[n,c],[c]->[n,c]", "expected a tensor of rank 2 and type f64 for input 0")
    check(path, AFFINE + ":[n,c],[n]->[n,c]", node + "expected size n in dimension 0 of input 1")
    check(path, AFFINE + ":[n,4],[c]->[n,c]", node + "expected size 4 in dimension 1 of input 0")
    node = helper.make_node("Affine", ["x"], ["y", "z"], name="a1", domain="com.example")
    save(path, [node], [("x", FLOAT, [2])], [("y", FLOAT, [2]), ("z", FLOAT, [2])])
    check(path, AFFINE + ":[n]->[n]", "expected at most 1 outputs")


@pytest.mark.parametrize(
    "flag, expected",
    [
        ("", "expected domain::Name=symbol"),
        ("Affine=test_affine", "expected domain::Name=symbol"),
        ("com.example::Affine", "expected domain::Name=symbol"),
        ("com.example::Affine=a-b", "the symbol is the name of a C function"),
        ("ai.onnx::Relu=f", "expected an operator that dlc has no lowering of its own for"),
        ("com.microsoft::Gelu=f", "expected an operator that dlc has no lowering of its own for"),
        (AFFINE + ":", "expected shapes such as [n,c],[c]->f32[n,2], found ''"),
        (AFFINE + ":[n]", "expected shapes such as"),
        (AFFINE + ":[n]->", "expected shapes such as"),
        (AFFINE + ":[n]->n", "found '[n]->n'"),
        (AFFINE + ":[n]->[n", "expected shapes such as"),
        (AFFINE + ":[n]->x8[n]", "expected shapes such as"),
        (AFFINE + ":[n][n]->[n]", "expected shapes such as"),
        (AFFINE + ":[-1]->[1]", "expected shapes such as"),
        (AFFINE + ":[n]->[m]", "expected a size of an input, found 'm'"),
    ],
)
def test_wrong_flags(path, flag, expected):
    affine(path, 2, 3)
    check(path, flag, expected)


def test_a_function_that_is_nowhere(path):
    affine(path, 2, 3)
    with pytest.raises(dlc.CompileError, match="nowhere_to_be_found"):
        dlc.compile(path, extern_ops=["com.example::Affine=nowhere_to_be_found" + SHAPES])


def test_decoder_of_images():
    """ONNX's own operators that dlc has no lowering for, too."""
    levels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
    stream = np.frombuffer(b"P6 5 4 255\n" + levels.tobytes(), np.uint8)
    node = helper.make_node("ImageDecoder", ["x"], ["y"], pixel_format="RGB", name="i1")
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", UINT8, ["n"])],
        [helper.make_tensor_value_info("y", UINT8, [4, 5, 3])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)
    with pytest.raises(dlc.UnsupportedError, match="ImageDecoder.*--extern-op can name a C function"):
        dlc.compile(model)
    decoder = "ai.onnx::ImageDecoder=test_decode_ppm"
    with pytest.raises(dlc.CompileError, match="expected the model to declare the sizes of output 0"):
        dlc.compile(model, extern_ops=[decoder])
    decoder += ":[n]->u8[4,5,3]"
    found = dlc.compile(model, extern_ops=[decoder]).run([stream])[0]
    np.testing.assert_array_equal(found, levels)
    with pytest.raises(dlc.RunError):
        dlc.compile(model, extern_ops=[decoder]).run([stream[:-1]])
