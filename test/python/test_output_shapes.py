"""Model.output_shapes: what dlc_model.shapes tells, against runs."""

import ctypes
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

import dlc
from dlc import library

INT64 = TensorProto.INT64


def make_model(nodes, inputs, outputs, initializers=()):
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs],
        [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


node = helper.make_node
FLOATS = [("y", TensorProto.FLOAT)]
IMAGE = [("x", ("n", 3, "h", "w"))]

CASES = {
    "elementwise": make_model([node("Relu", ["x"], ["y"])], [("x", ("n", "m"))], FLOATS),
    "convolution": make_model(
        [node("Conv", ["x", "k"], ["y"], strides=[2, 3], pads=[1, 0, 2, 1], dilations=[1, 2])],
        IMAGE, FLOATS, [("k", np.ones((4, 3, 3, 2), np.float32))],
    ),
    "pooling": make_model(
        [node("MaxPool", ["x"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
        IMAGE, FLOATS,
    ),
    "global pooling": make_model([node("GlobalAveragePool", ["x"], ["y"])], IMAGE, FLOATS),
    "flatten": make_model([node("Flatten", ["x"], ["y"], axis=2)], IMAGE, FLOATS),
    "product": make_model(
        [node("MatMul", ["a", "b"], ["y"])], [("a", ("k", "n", 5)), ("b", (5, "m"))], FLOATS
    ),
    "concatenation": make_model(
        [node("Concat", ["a", "b", "a"], ["y"], axis=1)], [("a", (2, "n")), ("b", (2, "m"))], FLOATS
    ),
    "broadcast": make_model(
        [node("Add", ["a", "b"], ["y"])], [("a", ("n", 1)), ("b", (1, "m"))], FLOATS
    ),
    "slice": make_model(
        [node("Slice", ["x", "from", "to", "axes", "steps"], ["y"])], [("x", ("n", "m"))], FLOATS,
        [("from", [1, -1]), ("to", [2**62, -(2**62)]), ("axes", [0, 1]), ("steps", [2, -3])],
    ),
    "shape arithmetic": make_model(
        [
            node("Shape", ["x"], ["s"]),
            node("Gather", ["s", "first"], ["n"]),
            node("Concat", ["n", "minus"], ["to"], axis=0),
            node("Reshape", ["x", "to"], ["y"]),
        ],
        IMAGE, FLOATS, [("first", [0]), ("minus", [-1])],
    ),
    "sizes of another input": make_model(
        [
            node("Shape", ["z"], ["n"]),
            node("Concat", ["n", "minus"], ["to"], axis=0),
            node("Reshape", ["x", "to"], ["y"]),
        ],
        [("x", ("n", "h", 6)), ("z", ("k",))], FLOATS, [("minus", [-1])],
    ),
    "upsampling": make_model(
        [node("Resize", ["x", "", "scales"], ["y"])], IMAGE, FLOATS,
        [("scales", np.float32([1, 1, 2, 1.5]))],
    ),
    "tile and pad": make_model(
        [node("Tile", ["x", "times"], ["t"]), node("Pad", ["t", "pads"], ["y"])],
        [("x", ("n", "m"))], FLOATS, [("times", [2, 3]), ("pads", [1, 0, 0, 2])],
    ),
    "reduction": make_model(
        [node("ReduceMax", ["x", "axis"], ["y"], keepdims=0)], IMAGE, FLOATS, [("axis", [2])]
    ),
    "several outputs": make_model(
        [node("Transpose", ["x"], ["y"]), node("Shape", ["x"], ["z"]), node("Size", ["x"], ["k"])],
        [("x", ("n", "m"))], [*FLOATS, ("z", INT64), ("k", INT64)],
    ),
}
SIZES = [{"n": 2, "m": 3, "k": 4, "h": 9, "w": 11}, {"n": 1, "m": 7, "k": 1, "h": 16, "w": 13}]


@pytest.mark.parametrize("name", CASES)
def test_agrees_with_a_run(name):
    model = dlc.compile(CASES[name])
    for sizes in SIZES:
        shapes = {
            info.name: tuple(sizes.get(size, size) for size in info.shape) for info in model.inputs
        }
        expected = model.run({key: np.ones(shape, np.float32) for key, shape in shapes.items()})
        told = model.output_shapes(shapes)
        assert told == {key: value.shape for key, value in expected.items()}


def test_sizes_that_depend_on_data():
    model = dlc.compile(
        make_model(
            [node("NonZero", ["x"], ["z"]), node("Neg", ["x"], ["y"])],
            [("x", ("n", "m"))], [("z", INT64), *FLOATS],
        )
    )
    assert model.output_shapes({"x": (4, 5)}) == {"z": (2, None), "y": (4, 5)}


def test_static_models():
    model = dlc.compile(make_model([node("Neg", ["x"], ["y"])], [("x", (2, 3))], FLOATS))
    assert model.output_shapes({}) == {"y": (2, 3)}
    assert model.output_shapes({"x": (2, 3)}) == {"y": (2, 3)}
    with pytest.raises(dlc.RunError, match="dimension 1 is 4, expected 3"):
        model.output_shapes({"x": (2, 4)})


def test_wrong_shapes():
    model = dlc.compile(CASES["product"])
    with pytest.raises(dlc.RunError, match="dimension 0 is 4, expected 5"):
        model.output_shapes({"a": (1, 2, 5), "b": (4, 2)})
    with pytest.raises(dlc.RunError, match="dimension 0 is -1, expected at least 0"):
        model.output_shapes({"a": (-1, 2, 5), "b": (5, 2)})
    with pytest.raises(ValueError, match="expected 3 sizes for 'a', found 2"):
        model.output_shapes({"a": (2, 5), "b": (5, 2)})
    with pytest.raises(ValueError, match="'b'.* missing"):
        model.output_shapes({"a": (1, 2, 5)})
    with pytest.raises(ValueError, match="'c'.* unknown"):
        model.output_shapes({"a": (1, 2, 5), "b": (5, 2), "c": (1,)})


def test_empty_inputs():
    """Nothing is divided by their sizes."""
    model = dlc.compile(CASES["shape arithmetic"])
    assert model.output_shapes({"x": (2, 3, 0, 4)}) == {"y": (2, 0)}
    for name in ["convolution", "flatten", "upsampling", "reduction"]:
        model = dlc.compile(CASES[name])
        assert len(model.output_shapes({"x": (0, 3, 9, 9)})["y"]) > 0


PROGRAM = """
#include "net.h"
#include <stdio.h>
int main(void) {
  net_inputs in = {0};
  net_outputs out = {0};
  int status;
  in.n = 2, in.h = 9, in.w = 11;
  status = net_shapes(&in, &out, NULL);
  printf("%d: %d %d %d %d", status, (int)out.y_shape[0], (int)out.y_shape[1],
         (int)out.y_shape[2], (int)out.y_shape[3]);
  return out.y != NULL;
}
"""


def test_from_c(tmp_path):
    dlc.compile_to_file(CASES["convolution"], tmp_path / "net.o", name="net")
    (tmp_path / "main.c").write_text(PROGRAM)
    warnings = ["-Wall", "-Wextra", "-pedantic", "-Werror", "-std=c99"]
    command = ["cc", *warnings, "main.c", "net.o", "-lm", "-lpthread", "-o", "app"]
    subprocess.run(command, cwd=tmp_path, check=True)
    told = subprocess.run(["./app"], cwd=tmp_path, check=True, capture_output=True, text=True)
    expected = dlc.compile(CASES["convolution"]).run({"x": np.ones((2, 3, 9, 11), np.float32)})
    assert told.stdout == "0: " + " ".join(map(str, expected["y"].shape))


def test_static_headers_have_no_call(tmp_path):
    model = make_model([node("Neg", ["x"], ["y"])], [("x", (2, 3))], FLOATS)
    dlc.compile_to_file(model, tmp_path / "net.o", name="net")
    assert "net_shapes" not in (tmp_path / "net.h").read_text()
    assert ctypes.sizeof(library.Model) == dlc.compile(model)._model.size
