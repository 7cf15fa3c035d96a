"""Operators of one's own as MLIR functions: --custom-ops."""

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
EXAMPLE = ROOT / "examples" / "plugin" / "scaled_tanh.mlir"

IDENTITY = "affine_map<(d0) -> (d0)>"

# A sum of a vector and a bias, of one size; the type and the operation vary.
ADD = """
func.func {visibility} @"{name}"(%x: tensor<?x{type}>, %y: tensor<?x{type}>) -> tensor<?x{type}> {attributes} {{
  %c0 = arith.constant 0 : index
  %size = tensor.dim %x, %c0 : tensor<?x{type}>
  %empty = tensor.empty(%size) : tensor<?x{type}>
  %z = linalg.generic {{indexing_maps = [{map}, {map}, {map}], iterator_types = ["parallel"]}}
      ins(%x, %y : tensor<?x{type}>, tensor<?x{type}>) outs(%empty : tensor<?x{type}>) {{
  ^bb0(%a: {type}, %b: {type}, %out: {type}):
    %sum = {operation} %a, %b : {type}
    linalg.yield %sum : {type}
  }} -> tensor<?x{type}>
  return %z : tensor<?x{type}>
}}
"""


def add(name="com.example::Add", type="f32", operation="arith.addf", attributes="", visibility=""):
    return ADD.format(name=name, type=type, operation=operation, map=IDENTITY,
                      attributes=attributes, visibility=visibility)  # fmt: skip


def run(*arguments):
    done = subprocess.run(
        [BUILD / "bin" / "dlc", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    return done.returncode, done.stdout, done.stderr


def make(path, op, inputs, outputs=None, relu=True, **attributes):
    """y = Relu(op(inputs)); `inputs` are shapes, or (type, shape)."""
    typed = [shape if isinstance(shape, tuple) and shape and isinstance(shape[0], int) and
             isinstance(shape[-1], (list, tuple)) else (TensorProto.FLOAT, shape)
             for shape in inputs]  # fmt: skip
    names = [f"x{i}" for i in range(len(typed))]
    nodes = [helper.make_node(op, names, ["h"], name="s1", domain="com.example", **attributes)]
    if relu:
        nodes.append(helper.make_node("Relu", ["h"], ["y"], name="act"))
    else:
        nodes[0].output[0] = "y"
    values = [helper.make_tensor_value_info(n, *t) for n, t in zip(names, typed)]
    shape = outputs if outputs is not None else typed[0][1]
    graph = helper.make_graph(
        nodes, "g", values, [helper.make_tensor_value_info("y", typed[0][0], shape)]
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), path)
    return path


@pytest.fixture
def place(tmp_path):
    def write(text):
        (tmp_path / "ops.mlir").write_text(text)
        return tmp_path / "ops.mlir"

    write.model = tmp_path / "model.onnx"
    return write


@pytest.mark.parametrize("shape", [[2, 3], ["n", 3], ["n", "m"], [0, 3], [5], ["n"]])
@pytest.mark.parametrize("attributes", [{}, {"alpha": 2.0}, {"alpha": -1.5, "beta": 0.5}])
def test_the_example(place, shape, attributes):
    model = make(place.model, "ScaledTanh", [shape], **attributes)
    compiled = dlc.compile(model, custom_ops=[EXAMPLE])
    sizes = {"n": 4, "m": 7}
    x = np.random.default_rng(0).normal(size=[sizes.get(s, s) for s in shape]).astype(np.float32)
    tanh = np.tanh(np.float32(attributes.get("beta", 1)) * x)
    expected = np.maximum(np.float32(attributes.get("alpha", 1)) * tanh, 0)
    np.testing.assert_allclose(compiled.run([x])[0], expected, rtol=1e-5, atol=1e-6)


def test_known_sizes_stay_known_and_the_function_is_fused(place):
    model = make(place.model, "ScaledTanh", [[2, 3]], alpha=2.0)
    text = run(model, f"--custom-ops={EXAMPLE}", "--to=import")[1]
    assert "tensor<?" not in text and "dlc.max" in text
    text = run(model, f"--custom-ops={EXAMPLE}", "--to=tensor")[1]
    assert text.count("linalg.generic") == 1 and "arith.maximumf" in text


def test_what_is_constant_is_evaluated(place):
    graph = helper.make_graph(
        [
            helper.make_node("Constant", [], ["c"], value_floats=[0.5, -1.0]),
            helper.make_node("ScaledTanh", ["c"], ["t"], domain="com.example"),
            helper.make_node("Add", ["x", "t"], ["y"]),
        ],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2])],
    )
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), place.model)
    assert "math.tanh" not in run(place.model, f"--custom-ops={EXAMPLE}", "--to=tensor")[1]
    y = dlc.compile(place.model, custom_ops=[EXAMPLE]).run([np.zeros(2, np.float32)])[0]
    np.testing.assert_allclose(y, np.tanh([0.5, -1.0]), rtol=1e-6)


def test_an_object_links_as_any_other(place, tmp_path):
    model = make(place.model, "ScaledTanh", [["n", 3]])
    out = tmp_path / "m.o"
    assert run(model, f"--custom-ops={EXAMPLE}", "-o", out) == (0, "", "")
    symbols = subprocess.run(["nm", "-u", out], capture_output=True, text=True).stdout.split()
    assert not [name for name in symbols if "example" in name]


def test_functions_for_several_types(place):
    ops = place(
        add(type="f64", attributes='attributes {dlc.op = "com.example::Add"}', name="f64")
        + add(type="i32", operation="arith.addi", name="i32",
              attributes='attributes {dlc.op = "com.example::Add"}')
        + add()
    )  # fmt: skip
    for kind, dtype in [(TensorProto.FLOAT, np.float32), (TensorProto.DOUBLE, np.float64),
                        (TensorProto.INT32, np.int32)]:  # fmt: skip
        make(place.model, "Add", [(kind, ["n"]), (kind, ["n"])], relu=False)
        x = np.arange(5).astype(dtype)
        y = dlc.compile(place.model, custom_ops=[ops]).run([x, x + 1])[0]
        assert y.dtype == dtype and y.tolist() == (2 * x + 1).tolist()


def test_functions_for_values_of_attributes(place):
    ops = place(
        add(name="a", attributes='attributes {dlc.op = "com.example::Mix", dlc.when = {mode = "sum"}}')
        + add(name="b", operation="arith.mulf",
              attributes='attributes {dlc.op = "com.example::Mix", dlc.when = {mode = "product"}}')
    )  # fmt: skip
    x = np.float32([2, 3])
    for mode, expected in [("sum", [4, 6]), ("product", [4, 9])]:
        make(place.model, "Mix", [[2], [2]], mode=mode)
        assert dlc.compile(place.model, custom_ops=[ops]).run([x, x])[0].tolist() == expected
    make(place.model, "Mix", [[2], [2]], mode="other")
    with pytest.raises(dlc.CompileError) as caught:
        dlc.compile(place.model, custom_ops=[ops])
    assert '@a expects the attribute \'mode\' to be "sum", found "other"; @b' in str(caught.value)


def test_unsigned_integers(place):
    ops = place("""
func.func @"com.example::Widen"(%x: tensor<?xui8>) -> tensor<?xf32> {
  %0 = dlc.cast %x : tensor<?xui8> to tensor<?xf32>
  return %0 : tensor<?xf32>
}""")
    graph = helper.make_graph(
        [helper.make_node("Widen", ["x"], ["y"], domain="com.example")], "g",
        [helper.make_tensor_value_info("x", TensorProto.UINT8, ["n"])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n"])],
    )  # fmt: skip
    imports = [helper.make_opsetid("", 21), helper.make_opsetid("com.example", 1)]
    onnx.save(helper.make_model(graph, opset_imports=imports, ir_version=9), place.model)
    x = np.uint8([0, 127, 128, 255])
    assert dlc.compile(place.model, custom_ops=[ops]).run([x])[0].tolist() == x.tolist()


ATTRIBUTES = """
func.func @"com.example::Poly"(%x: tensor<f32>,
    %list: tensor<?xf32> {dlc.attribute = "list"},
    %ints: tensor<2xi64> {dlc.attribute = "ints"},
    %flag: i1 {dlc.attribute = "flag", dlc.default = false},
    %n: index {dlc.attribute = "n", dlc.default = 1 : index}) -> tensor<f32> {
  %c0 = arith.constant 0 : index
  %c1 = arith.constant 1 : index
  %size = tensor.dim %list, %c0 : tensor<?xf32>
  %start = tensor.extract %x[] : tensor<f32>
  %sum = scf.for %i = %c0 to %size step %c1 iter_args(%s = %start) -> (f32) {
    %element = tensor.extract %list[%i] : tensor<?xf32>
    %next = arith.addf %s, %element : f32
    scf.yield %next : f32
  }
  %int = tensor.extract %ints[%c1] : tensor<2xi64>
  %float = arith.sitofp %int : i64 to f32
  %n64 = arith.index_cast %n : index to i64
  %nf = arith.sitofp %n64 : i64 to f32
  %zero = arith.constant 0.0 : f32
  %chosen = arith.select %flag, %float, %zero : f32
  %a = arith.addf %sum, %chosen : f32
  %b = arith.mulf %a, %nf : f32
  %y = tensor.from_elements %b : tensor<f32>
  return %y : tensor<f32>
}
"""


def test_attributes_of_every_kind(place):
    ops = place(ATTRIBUTES)
    x = np.float32(1)
    make(place.model, "Poly", [[]], list=[0.5, 0.25], ints=[3, 7])
    assert dlc.compile(place.model, custom_ops=[ops]).run([x])[0] == 1.75
    make(place.model, "Poly", [[]], list=[0.5], ints=[3, 7], flag=1, n=3)
    assert dlc.compile(place.model, custom_ops=[ops]).run([x])[0] == 3 * 8.5
    for attributes, expected in [
        (dict(ints=[3, 7]), "expects the attribute 'list' as tensor<?xf32>, found none"),
        (dict(list=[1.0], ints=[3]), "expects the attribute 'ints' as tensor<2xi64>, found"),
        (dict(list=[1.0], ints=[3, 7], flag=2), "expects the attribute 'flag' as i1, found 2"),
        (dict(list=[1.0], ints=[3, 7], n=1.5), "expects the attribute 'n' as index, found 1.5"),
    ]:
        make(place.model, "Poly", [[]], **attributes)
        with pytest.raises(dlc.CompileError) as caught:
            dlc.compile(place.model, custom_ops=[ops])
        assert "node 's1'" in str(caught.value) and expected in str(caught.value)


def test_functions_call_functions(place):
    ops = place(
        add(name="helper", visibility="private")
        + """
func.func @"com.example::Thrice"(%x: tensor<?xf32>) -> tensor<?xf32> {
  %0 = call @helper(%x, %x) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  %1 = call @helper(%0, %x) : (tensor<?xf32>, tensor<?xf32>) -> tensor<?xf32>
  return %1 : tensor<?xf32>
}"""
    )
    make(place.model, "Thrice", [[2]])
    assert dlc.compile(place.model, custom_ops=[ops]).run([np.float32([1, -1])])[0].tolist() == [3, 0]


def test_sizes_that_must_be_equal(place):
    ops = place(add())
    make(place.model, "Add", [[2], [3]])
    with pytest.raises(dlc.CompileError, match="node 's1'"):
        dlc.compile(place.model, custom_ops=[ops])
    make(place.model, "Add", [["n"], ["m"]])
    compiled = dlc.compile(place.model, custom_ops=[ops])
    x = np.float32([1, 2])
    assert compiled.run([x, x])[0].tolist() == [2, 4]
    with pytest.raises(dlc.RunError, match="expected equal sizes"):
        compiled.run([x, np.float32([1, 2, 3])])


def test_fixed_sizes_are_checked_in_the_run(place):
    ops = place("""
func.func @"com.example::Pair"(%x: tensor<2xf32>) -> tensor<2xf32> {
  %0 = dlc.neg %x : tensor<2xf32>
  return %0 : tensor<2xf32>
}""")
    make(place.model, "Pair", [["n"]], [2])
    compiled = dlc.compile(place.model, custom_ops=[ops])
    assert compiled.run([np.float32([-1, 2])])[0].tolist() == [1, 0]
    with pytest.raises(dlc.RunError, match="expected 2 in dimension 0 of input 0"):
        compiled.run([np.float32([1, 2, 3])])


def check(model, ops, expected):
    status, out, err = run(model, f"--custom-ops={ops}", "-o", os.devnull)
    assert (status, out) == (1, "") and err.count("\n") == 1, err
    assert expected in err, err


def test_nodes_that_no_function_fits(place):
    ops = place(add())
    make(place.model, "Add", [[2]])
    check(place.model, ops, "node 's1': error: operator com.example.Add: no function of")
    check(place.model, ops, "@com.example::Add takes 2 inputs, found 1")
    make(place.model, "Add", [[2, 2], [2, 2]])
    check(place.model, ops, "expects tensor<?xf32> for input 0, found tensor<2x2xf32>")
    make(place.model, "Sub", [[2], [2]])
    check(place.model, ops, "operator com.example.Sub of opset 1")


@pytest.mark.parametrize(
    "text, expected",
    [
        ("", "expected operators, functions named 'domain::Name', in"),
        ("func.func @f() {", "error: "),
        ('func.func @f() { "nobody.op"() : () -> () return }',
         "operation being parsed with an unregistered dialect\n"),
        ("func.func @f() { nobody.op return }", "Dialect `nobody' not found for custom op 'nobody.op'"),
        ("func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> { return %x : tensor<2xf32> }",
         "expected a name of the form 'domain::Name', or 'private' for a function that others call, found 'f'"),
        ('func.func private @"a::B"(tensor<2xf32>) -> tensor<2xf32>', "expected a body for the operator 'a::B'"),
        ('func.func @"ai.onnx::Relu"() { return }', "expected an operator that dlc lacks"),
        ('func.func @"com.microsoft::Gelu"() { return }', "found 'com.microsoft::Gelu'"),
        ('func.func @"a::B"(%x: f32) { return }',
         "argument 0 of 'a::B': expected a tensor of known rank, or dlc.attribute"),
        ('func.func @"a::B"(%x: tensor<*xf32>) { return }', "expected a tensor of known rank"),
        ('func.func @"a::B"(%x: f32 {dlc.attribute = 1 : i32}) { return }',
         "argument 0 of 'a::B': expected dlc.attribute to name an attribute"),
        ('func.func @"a::B"(%x: tensor<*xf32> {dlc.attribute = "x"}) { return }',
         "expected dlc.attribute to name an attribute"),
        ('func.func @"a::B"(%x: f32 {dlc.attribute = "x", dlc.default = 1 : i32}) { return }',
         "expected a dlc.default of type 'f32', found 1 : i32"),
        ('func.func @"a::B"(%x: tensor<2xf32>) -> f32 { %0 = arith.constant 0.0 : f32 return %0 : f32 }',
         "'a::B': expected tensors of known rank as results, found 'f32'"),
        ('func.func @"a::B"() attributes {dlc.when = 1 : i32} { return }',
         "expected a dictionary of attributes as dlc.when"),
        ("memref.global @g : memref<2xf32>", "expected functions in a file of operators, found 'memref.global'"),
        ('func.func @"a::B"(%x: tensor<2xf32>) -> tensor<2xf32> { %0 = call @"a::B"(%x) : (tensor<2xf32>) -> tensor<2xf32> return %0 : tensor<2xf32> }',
         "expected a call of a function of this file that has a body and does not call itself"),
    ],
)  # fmt: skip
def test_wrong_files(place, text, expected):
    make(place.model, "Add", [[2], [2]])
    check(place.model, place(text), expected)


def test_files_that_are_not_there_or_clash(place):
    make(place.model, "Add", [[2], [2]])
    check(place.model, "nowhere.mlir",
          "dlc: error: cannot read the operators in 'nowhere.mlir': No such file or directory")  # fmt: skip
    ops = place(add())
    status, _, err = run(place.model, f"--custom-ops={ops}", f"--custom-ops={ops}")
    assert status == 1 and "the operator 'com.example::Add' of" in err and "already" in err
