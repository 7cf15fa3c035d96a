"""Files that are broken: each gives one clear error at the right place, exit
status 1, and neither a crash nor output."""

import numpy
import onnx
import pytest
from onnx import TensorProto, helper

from importlib.util import module_from_spec, spec_from_file_location
import os
import pathlib

_spec = spec_from_file_location(
    "reader_common", pathlib.Path(__file__).with_name("common.py"))
common = module_from_spec(_spec)
_spec.loader.exec_module(common)
matmul, model, run, save = common.matmul, common.model, common.run, common.save
value, weights = common.value, common.weights
node = helper.make_node

CASES = {}


def case(expected, to="import"):
    """Registers a function that makes a bad file in a folder; `expected` are
    parts of the error that it gives on the way to phase `to`."""
    expected = [expected] if isinstance(expected, str) else expected

    def register(function):
        CASES[function.__name__] = (function, expected, to)
        return function
    return register


def raw(folder, data):
    path = pathlib.Path(folder) / "model.onnx"
    path.write_bytes(data)
    return path


# Files that are no complete protobuf message.

@case("cannot read", "onnx")
def missing_file(folder):
    return pathlib.Path(folder) / "missing.onnx"


@case("cannot read", "onnx")
def a_folder(folder):
    return folder


@case("found an empty file", "onnx")
def empty(folder):
    return raw(folder, b"")


@case("expected an ONNX model, found a text", "onnx")
def text(folder):
    return raw(folder, b"hello, this is no model\n" * 100)


@case("truncated or corrupted", "onnx")
def truncated(folder):
    data = matmul().SerializeToString()
    return raw(folder, data[:len(data) // 2])


@case("truncated or corrupted", "onnx")
def truncated_weights(folder):
    made = matmul()
    made.graph.initializer[0].CopyFrom(weights("w", (300, 400)))
    return raw(folder, made.SerializeToString()[:100_000])


@case("malformed", "onnx")
def corrupted(folder):
    data = bytearray(matmul().SerializeToString())
    data[0] = 7
    return raw(folder, bytes(data))


@case("nested", "onnx")
def nested_too_deep(folder):
    def field(number, content):
        size, length = len(content), bytearray()
        while size >= 128:
            length.append(size & 127 | 128)
            size >>= 7
        return bytes([number << 3 | 2]) + bytes(length) + bytes([size]) + content

    graph = field(2, b"innermost" * 200)
    for _ in range(300):  # a graph in an attribute of a node of a graph
        graph = field(1, field(5, field(6, graph)))
    return raw(folder, b"\x08\x0a" + field(7, graph))


@case("has no graph", "onnx")
def no_graph(folder):
    made = matmul()
    made.ClearField("graph")
    return save(made, folder)


@case("has no ir_version", "onnx")
def no_ir_version(folder):
    made = matmul()
    made.ClearField("ir_version")
    return save(made, folder)


@case("expected an IR version from 3 to", "onnx")
def future_ir_version(folder):
    return save(matmul(ir_version=99), folder)


# Operator sets.

@case("imports no operator set", "onnx")
def no_opset(folder):
    made = matmul()
    del made.opset_import[:]
    return save(made, folder)


@case(["expected a version from 1 to", "found 999"], "onnx")
def future_opset(folder):
    return save(matmul(opset=999), folder)


@case("is imported in two versions", "onnx")
def opset_twice(folder):
    made = matmul()
    made.opset_import.append(helper.make_opsetid("ai.onnx", 17))
    return save(made, folder)


# Graphs.

@case(["is on a cycle", "'Add' node"], "onnx")
def cycle(folder):
    return save(model([node("Add", ["x", "b"], ["a"], name="first"),
                       node("Relu", ["a"], ["b"], name="second")],
                      [value("x")], [value("b")]), folder)


@case(["uses the value 'nowhere'", "lost"], "onnx")
def undefined_input(folder):
    return save(model([node("Relu", ["nowhere"], ["y"], name="lost")],
                      [value("x")], [value("y")]), folder)


@case("uses the value 'inner'", "onnx")
def undefined_in_subgraph(folder):
    graph = helper.make_graph([node("Relu", ["inner"], ["a"])], "g", [], [value("a")])
    other = helper.make_graph([node("Constant", [], ["b"], value_float=1.0)], "h", [],
                              [value("b")])
    return save(model([node("If", ["c"], ["y"], then_branch=graph, else_branch=other)],
                      [value("c", (), TensorProto.BOOL)], [value("y")]), folder)


@case("graph output 'z' is not the output of any node", "onnx")
def undefined_output(folder):
    made = matmul()
    made.graph.output[0].name = "z"
    return save(made, folder)


@case("value 'y' is defined a second time", "onnx")
def output_twice(folder):
    made = matmul()
    made.graph.node.append(node("Neg", ["x"], ["y"], name="again"))
    return save(made, folder)


@case("value 'x' is defined a second time", "onnx")
def input_twice(folder):
    made = matmul()
    made.graph.input.append(value("x"))
    return save(made, folder)


@case("initializer 'w' is defined a second time", "onnx")
def initializer_twice(folder):
    made = matmul()
    made.graph.initializer.append(weights("w"))
    return save(made, folder)


@case("expected an operator", "onnx")
def no_operator(folder):
    return save(model([node("", ["x"], ["y"])], [value("x")], [value("y")]), folder)


@case("expected a type", "onnx")
def input_without_type(folder):
    made = matmul()
    made.graph.input[0].ClearField("type")
    return save(made, folder)


@case("type that ONNX does not know", "onnx")
def unknown_type(folder):
    made = matmul()
    made.graph.input[0].type.tensor_type.elem_type = 77
    return save(made, folder)


# Tensors.

@case(["shape [3, 4]", "expected 48 bytes of data, found 40"], "onnx")
def too_few_bytes(folder):
    made = matmul()
    tensor = made.graph.initializer[0]
    tensor.raw_data = tensor.raw_data[:40]
    return save(made, folder)


@case("expected 48 bytes of data, found 4000", "onnx")
def too_many_bytes(folder):
    made = matmul()
    made.graph.initializer[0].raw_data = bytes(4000)
    return save(made, folder)


@case("expected 48 bytes of data, found 44", "onnx")
def too_few_floats(folder):
    made = matmul()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 11)
    return save(made, folder)


@case("expected sizes of at least 0 whose product is below 2^63", "onnx")
def huge_dims(folder):
    made = matmul()
    made.graph.initializer[0].dims[:] = [1 << 40, 1 << 40]
    return save(made, folder)


@case("too large", "onnx")
def huge_bytes(folder):
    made = matmul()
    made.graph.initializer[0].dims[:] = [1 << 61, 2]
    return save(made, folder)


@case("expected sizes of at least 0", "onnx")
def negative_dims(folder):
    made = matmul()
    made.graph.initializer[0].dims[:] = [-3, -4]
    return save(made, folder)


@case("unknown data type 55", "onnx")
def unknown_data_type(folder):
    made = matmul()
    made.graph.initializer[0].data_type = 55
    return save(made, folder)


@case("values in several fields", "onnx")
def two_fields(folder):
    made = matmul()
    made.graph.initializer[0].float_data.extend([1.0] * 12)
    return save(made, folder)


@case(["in field 4, or in several fields"], "onnx")
def floats_of_an_int(folder):
    made = matmul()
    tensor = made.graph.initializer[0]
    tensor.CopyFrom(TensorProto(name="w", data_type=TensorProto.INT64, dims=[1000]))
    tensor.float_data.extend([1.0] * 1000)
    return save(made, folder)


@case("expected 2 strings, found 1", "onnx")
def too_few_strings(folder):
    made = matmul()
    made.graph.initializer[0].CopyFrom(TensorProto(
        name="w", data_type=TensorProto.STRING, dims=[2], string_data=[b"a"]))
    return save(made, folder)


@case("Constant", "onnx")
def bad_tensor_in_attribute(folder):
    tensor = weights("t")
    tensor.raw_data = b"123"
    return save(model([node("Constant", [], ["y"], name="Constant7", value=tensor)],
                      [], [value("y", (3, 4))]), folder)


# External data.

def external(folder, location="w.bin", offset=None, length=None, data=bytes(48)):
    made = matmul()
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    entries = {"location": location, "offset": offset, "length": length}
    for key, item in entries.items():
        if item is not None:
            tensor.external_data.add(key=key, value=str(item))
    if data is not None:
        (pathlib.Path(folder) / "w.bin").write_bytes(data)
    return raw(folder, made.SerializeToString())


@case(["cannot read the external data", "w.bin", "expected a regular file"], "onnx")
def external_pipe(folder):
    path = external(folder, data=None)
    os.mkfifo(pathlib.Path(folder) / "w.bin")
    return path


@case(["cannot read the external data", "w.bin"], "onnx")
def external_missing(folder):
    return external(folder, data=None)


@case("expected 48 bytes at offset 16 of 'w.bin', which has 48 bytes", "onnx")
def external_beyond_end(folder):
    return external(folder, offset=16, length=48)


@case("which has 48 bytes", "onnx")
def external_offset_overflow(folder):
    return external(folder, offset=2**64 - 8, length=48)


@case("expected 48 bytes of data, found 12", "onnx")
def external_too_short(folder):
    return external(folder, length=12)


@case("expected a number as its offset", "onnx")
def external_bad_number(folder):
    return external(folder, offset="-4")


@case("expected a file below the model's folder", "onnx")
def external_escapes(folder):
    return external(folder, location="a/../../w.bin")


@case("expected a file below the model's folder", "onnx")
def external_absolute(folder):
    return external(folder, location="/etc/hostname")


@case("expected a location, found none", "onnx")
def external_nowhere(folder):
    return external(folder, location=None)


# Nodes against their schemas.

@case(["conv", "'Conv' node", "pads"])
def wrong_attribute_type(folder):
    bad = node("Conv", ["x", "w"], ["y"], name="conv")
    bad.attribute.append(helper.make_attribute("pads", 1.5))
    return save(model([bad], [value("x", (1, 3, 8, 8))], [value("y", (1, 4, 6, 6))],
                      [weights("w", (4, 3, 3, 3))]), folder)


@case("attribute 'value' expected a value of type tensor, found none", "onnx")
def attribute_without_value(folder):
    bad = node("Constant", [], ["y"])
    bad.attribute.add(name="value", type=onnx.AttributeProto.TENSOR, i=3)
    return save(model([bad], [], [value("y", ())]), folder)


@case(["'Relu' node", "alpha"])
def unknown_attribute(folder):
    return save(model([node("Relu", ["x"], ["y"], name="r", alpha=1.0)],
                      [value("x")], [value("y")]), folder)


@case("has the attribute 'axis' twice", "onnx")
def attribute_twice(folder):
    bad = node("Concat", ["x", "x"], ["y"], axis=0)
    bad.attribute.append(helper.make_attribute("axis", 1))
    return save(model([bad], [value("x")], [value("y", (4, 3))]), folder)


@case(["'Relu' node", "2"])
def too_many_inputs(folder):
    return save(model([node("Relu", ["x", "x"], ["y"], name="r")],
                      [value("x")], [value("y")]), folder)


@case("no opset import for domain 'custom'")
def domain_not_imported(folder):
    return save(model([node("Op", ["x"], ["y"], domain="custom")],
                      [value("x")], [value("y")]), folder)


# Shapes and types.

@case(["'MatMul' node", "inconsistent", "ncompatible dimensions"])
def wrong_shapes(folder):
    made = matmul()
    made.graph.initializer[0].CopyFrom(weights("w", (5, 4)))
    return save(made, folder)


@case(["'Add' node", "inconsistent"])
def wrong_types(folder):
    return save(model([node("Add", ["x", "i"], ["y"], name="sum")],
                      [value("x"), value("i", (2, 3), TensorProto.INT64)],
                      [value("y")]), folder)


@case("declared with the shape [2, 5], but the graph computes [2, 4]")
def wrong_output_shape(folder):
    made = matmul()
    made.graph.output[0].CopyFrom(value("y", (2, 5)))
    return save(made, folder)


# Functions.

def function(name, nodes, domain="my"):
    return helper.make_function(domain, name, ["a"], ["b"], nodes,
                                [helper.make_opsetid("", 18), helper.make_opsetid("my", 1)])


@case("ycle detected in model-local function", "onnx")
def recursive_functions(folder):
    return save(model([node("F", ["x"], ["y"], domain="my")], [value("x")], [value("y")],
                      functions=[function("F", [node("G", ["a"], ["b"], domain="my")]),
                                 function("G", [node("F", ["a"], ["b"], domain="my")])],
                      domains=["my"]), folder)


@case("multiple local functions", "onnx")
def function_twice(folder):
    one = function("F", [node("Relu", ["a"], ["b"])])
    return save(model([node("F", ["x"], ["y"], domain="my")], [value("x")], [value("y")],
                      functions=[one, one], domains=["my"]), folder)


@case("expand to more than")
def function_bomb(folder):
    functions = [function("F0", [node("Relu", ["a"], ["b"])])]
    for i in range(1, 60):
        functions.append(function(f"F{i}", [
            node(f"F{i - 1}", ["a"], ["c"], domain="my"),
            node(f"F{i - 1}", ["c"], ["b"], domain="my")]))
    return save(model([node("F59", ["x"], ["y"], domain="my")], [value("x")], [value("y")],
                      functions=functions, domains=["my"]), folder)


@case("has the output 'b', which nothing defines", "onnx")
def function_without_output(folder):
    return save(model([node("F", ["x"], ["y"], domain="my")], [value("x")], [value("y")],
                      functions=[function("F", [node("Relu", ["a"], ["c"])])],
                      domains=["my"]), folder)


@pytest.mark.parametrize("name", CASES)
def test_bad_file(name, tmp_path):
    make, expected, to = CASES[name]
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    out, err, status = run(path, f"--to={to}")
    assert status == 1, (status, err)
    assert out == ""
    errors = [line for line in err.splitlines() if "error:" in line]
    assert len(errors) == 1, err
    for part in expected:
        assert part in err, err
    assert sorted(tmp_path.iterdir()) == before


@pytest.mark.parametrize("name", CASES)
def test_bad_file_is_not_compiled(name, tmp_path):
    """The same through all of the compiler, to an object and a header."""
    make, _, _ = CASES[name]
    path = make(tmp_path)
    before = sorted(tmp_path.iterdir())
    out, err, status = run(path, "-o", str(tmp_path / "out.o"))
    assert status == 1, (status, err)
    assert out == ""
    assert len([line for line in err.splitlines() if "error:" in line]) == 1, err
    assert sorted(tmp_path.iterdir()) == before


def test_all_errors_at_once(tmp_path):
    """Every broken node is reported, not only the first."""
    made = model([node("Relu", ["x", "x"], ["a"], name="one"),
                  node("Neg", ["gone"], ["b"], name="two"),
                  node("Add", ["a", "b"], ["y"], name="three", axis=1)],
                 [value("x")], [value("y")])
    out, err, status = run(save(made, tmp_path), "--to=import")
    assert status == 1 and out == ""
    for name in ["one", "two", "three"]:
        assert name in err, err


def test_all_unsupported_at_once(tmp_path):
    """Whatever they lack, and without errors that only follow from them."""
    made = model([node("NoSuchOp", ["x"], ["h"], name="a"),
                  node("Zork", ["x"], ["z"], name="b", domain="my.domain"),
                  node("Relu", ["h"], ["y"])],
                 [value("x")], [value("y"), value("z")])
    made.opset_import.append(helper.make_opsetid("my.domain", 3))
    out, err, status = run(save(made, tmp_path), "-o", str(tmp_path / "out.o"))
    assert status == 1 and out == ""
    first, second = err.splitlines()
    assert "node 'a': error: operator NoSuchOp of opset 18 on ('tensor<2x3xf32>')" in first
    assert "is not supported: ONNX has no such operator" in first
    assert "node 'b': error: operator my.domain.Zork of opset 3 on" in second
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_random_bytes_never_crash(tmp_path):
    """Flips bytes of a model: it is read or refused, nothing else."""
    data = bytearray(matmul().SerializeToString())
    random = numpy.random.RandomState(0)
    path = tmp_path / "model.onnx"
    for _ in range(60):
        broken = bytearray(data)
        for at in random.randint(0, len(data), size=3):
            broken[at] = random.randint(256)
        path.write_bytes(bytes(broken))
        _, err, status = run(path, "--to=onnx")
        assert status in (0, 1), (status, err)
        assert (status == 1) == ("error:" in err), err
