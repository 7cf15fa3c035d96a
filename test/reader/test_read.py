"""What is in a file is in the text of `--to=onnx`; and files are read on the
way to the import that ONNX's own tools have trouble with."""

import pathlib
from importlib.util import module_from_spec, spec_from_file_location

import numpy
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

_spec = spec_from_file_location(
    "reader_common", pathlib.Path(__file__).with_name("common.py"))
common = module_from_spec(_spec)
_spec.loader.exec_module(common)
matmul, model, read, run, save = (common.matmul, common.model, common.read,
                                  common.run, common.save)
value, weights = common.value, common.weights
node = helper.make_node


def tensor_of(kind, count, raw):
    """A tensor of `count` ones (or small numbers) of an element type."""
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    if kind == TensorProto.STRING:
        return helper.make_tensor("w", kind, [count], [b"s"] * count)
    values = (numpy.arange(count) % 2).astype(dtype)
    if raw:
        return numpy_helper.from_array(values, "w")
    return helper.make_tensor("w", kind, [count], values.astype(dtype).tolist())


TYPES = {
    "FLOAT": "f32", "UINT8": "ui8", "INT8": "i8", "UINT16": "ui16",
    "INT16": "i16", "INT32": "i32", "INT64": "i64", "STRING": "!onnx.string",
    "BOOL": "i1", "FLOAT16": "f16", "DOUBLE": "f64", "UINT32": "ui32",
    "UINT64": "ui64", "COMPLEX64": "complex<f32>", "COMPLEX128": "complex<f64>",
    "BFLOAT16": "bf16", "FLOAT8E4M3FN": "f8E4M3FN", "FLOAT8E4M3FNUZ": "f8E4M3FNUZ",
    "FLOAT8E5M2": "f8E5M2", "FLOAT8E5M2FNUZ": "f8E5M2FNUZ", "UINT4": "ui4",
    "INT4": "i4", "FLOAT4E2M1": "f4E2M1FN", "FLOAT8E8M0": "f8E8M0FNU",
    "UINT2": "ui2", "INT2": "i2",
}


@pytest.mark.parametrize("raw", [True, False])
@pytest.mark.parametrize("count", [0, 3, 5000])
@pytest.mark.parametrize("kind", TYPES)
def test_element_types(kind, count, raw, tmp_path):
    number = getattr(TensorProto, kind)
    try:
        tensor = tensor_of(number, count, raw)
    except (ValueError, TypeError, RuntimeError) as reason:
        pytest.skip(f"onnx cannot make this tensor: {reason}")
    made = model([], [], [value("w", (count,), number)], [tensor])
    text = read(save(made, tmp_path), "--to=onnx")
    assert 'onnx.initializer "w" = dense' in text
    assert f": tensor<{count}x{TYPES[kind]}>" in text
    if count == 3 and TYPES[kind] in ("i4", "ui4", "i8", "ui8", "i64", "ui2", "i2"):
        assert "dense<[0, 1, 0]>" in text
    if count == 3 and kind == "BOOL":
        assert "dense<[false, true, false]>" in text
    if count == 3 and kind in ("FLOAT", "BFLOAT16", "FLOAT4E2M1", "FLOAT8E4M3FN"):
        assert "dense<[0.000000e+00, 1.000000e+00, 0.000000e+00]>" in text


def test_large_values_are_resources(tmp_path):
    """The tests of whole models see to it that their bytes are right."""
    made = model([node("MatMul", ["x", "w/1"], ["y"])], [value("x", (2, 50))],
                 [value("y", (2, 70))], [weights("w/1", (50, 70))])
    text = read(save(made, tmp_path), "--to=onnx")
    assert 'onnx.initializer "w/1" = dense_resource<' in text
    assert "tensor<50x70xf32>" in text


@pytest.mark.parametrize("kind", ["UINT4", "INT4", "UINT2", "INT2"])
def test_packed_values(kind, tmp_path):
    bits = int(kind[-1])
    low = -(1 << bits - 1) if kind[0] == "I" else 0
    values = [low + i % (1 << bits) for i in range(33)]
    tensor = helper.make_tensor("w", getattr(TensorProto, kind), [33], values)
    made = model([], [], [value("w", (33,), getattr(TensorProto, kind))], [tensor])
    text = read(save(made, tmp_path), "--to=onnx")
    assert f"dense<{values}> : tensor<33x" in text


def test_external_data(tmp_path):
    made = model([node("MatMul", ["x", "w"], ["y"])], [value("x", (2, 2))],
                 [value("y", (2, 3))], [weights("w", (2, 3))])
    (tmp_path / "weights").mkdir()
    data = bytes(100) + made.graph.initializer[0].raw_data + bytes(4)
    (tmp_path / "weights" / "w.bin").write_bytes(data)
    tensor = made.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.data_location = TensorProto.EXTERNAL
    for key, item in [("location", "weights/w.bin"), ("offset", "100"), ("length", "24")]:
        tensor.external_data.add(key=key, value=item)
    path = tmp_path / "m.onnx"
    path.write_bytes(made.SerializeToString())
    assert ("dense<[[0.000000e+00, 1.000000e+00, 2.000000e+00], "
            "[3.000000e+00, 4.000000e+00, 5.000000e+00]]>") in read(path, "--to=onnx")
    read(path, "--to=import")


def test_metadata_survives(tmp_path):
    made = matmul(opset=12, ir_version=7)
    made.producer_name, made.domain, made.model_version = "me", "my.domain", 7
    made.doc_string = "what it does"
    helper.set_model_props(made, {"author": "someone"})
    made.graph.doc_string = "the graph"
    made.graph.node[0].doc_string = "the node"
    text = read(save(made, tmp_path), "--to=onnx")
    for part in ['onnx.producer_name = "me"', 'onnx.domain = "my.domain"',
                 "onnx.model_version = 7", 'onnx.doc_string = "what it does"',
                 'onnx.metadata = {author = "someone"}', 'doc_string = "the graph"',
                 'doc_string = "the node"', "ai.onnx = 12"]:
        assert part in text, text


def test_dimension_names(tmp_path):
    made = model([node("Relu", ["x"], ["y"])], [value("x", ("batch", "?", -1, 3))],
                 [value("y", ("batch", None, None, 3))])
    text = read(save(made, tmp_path), "--to=onnx")
    assert 'tensor<?x?x?x3xf32> {dim_names = ["batch", "", "", ""], type_proto' in text


def test_unsorted_nodes_are_sorted(tmp_path):
    made = model([node("Neg", ["a"], ["y"], name="last"),
                  node("Relu", ["x"], ["a"], name="first")], [value("x")], [value("y")])
    text = read(save(made, tmp_path), "--to=onnx")
    assert text.index('"Relu"') < text.index('"Neg"')


def test_absent_inputs_and_outputs(tmp_path):
    made = model([node("Clip", ["x", "", "w"], ["y"]),
                  node("Dropout", ["y"], ["", "mask"])], [value("x")],
                 [value("mask", (2, 3), TensorProto.BOOL)], [weights("w", ())])
    text = read(save(made, tmp_path), "--to=onnx")
    assert "none" in text and '"" : none, "mask" : tensor<2x3xi1>' in text


def test_default_of_an_input(tmp_path):
    made = matmul()
    made.graph.input.insert(0, value("w", (3, 4)))
    text = read(save(made, tmp_path), "--to=onnx")
    assert 'onnx.initializer "w" {input = 0 : i64}' in text


def function(name, nodes, opset=18, **fields):
    return helper.make_function("my", name, ["a"], ["b"], nodes,
                                [helper.make_opsetid("", opset)], **fields)


def test_function_is_read(tmp_path):
    attribute = node("Constant", [], ["k"])
    reference = attribute.attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "alpha"
    made = model([node("F", ["x"], ["y"], domain="my", alpha=2.0)], [value("x")],
                 [value("y")], domains=["my"],
                 functions=[function("F", [attribute, node("Mul", ["a", "k"], ["b"])],
                                     attributes=["alpha"])])
    path = save(made, tmp_path)
    text = read(path, "--to=onnx")
    assert 'onnx.function @"my::F" "my" "F"' in text
    assert '#onnx.ref<"alpha", "float">' in text
    assert 'onnx.node "F" in "my"(%x) {alpha = 2.000000e+00 : f32}' in text
    text = read(path, "--to=import")
    assert '"my"' not in text and "tensor<2x3xf32>" in text


def test_function_of_an_older_opset_is_converted(tmp_path):
    # Clip of opset 10 has its limits as attributes.
    made = model([node("F", ["x"], ["y"], domain="my")], [value("x")], [value("y")],
                 domains=["my"], opset=18,
                 functions=[function("F", [node("Clip", ["a"], ["b"], max=1.0)], opset=10)])
    assert "tensor<2x3xf32>" in read(save(made, tmp_path), "--to=import")


@pytest.mark.parametrize("opset", [7, 9, 11, 13, 17])
def test_old_opsets_are_raised(opset, tmp_path):
    made = matmul(opset=opset, ir_version=4)
    made.graph.node[0].output[0] = "a"
    made.graph.node.append(node("Relu", ["a"], ["y"], name="r"))
    assert "tensor<2x4xf32>" in read(save(made, tmp_path), "--to=import")


def test_ir_version_3(tmp_path):
    made = matmul(opset=8, ir_version=3)
    made.graph.input.append(value("w", (3, 4)))
    assert "tensor<2x4xf32>" in read(save(made, tmp_path), "--to=import")


def test_shapes_are_given(tmp_path):
    made = matmul()
    made.graph.input[0].CopyFrom(value("x", ("n", 3)))
    made.graph.output[0].CopyFrom(value("y", ("n", 4)))
    path = save(made, tmp_path)
    assert "tensor<?x4xf32>" in read(path, "--to=import")
    assert "tensor<5x4xf32>" in read(path, "--to=import", "--dim=n=5")
    assert "tensor<6x4xf32>" in read(path, "--to=import", "--shape=x:6x3")
    for flag, message in [("--dim=m=5", "no dimension is named 'm'; the model has 'n'"),
                          ("--shape=z:1", "no input is named 'z'; the model has 'x'"),
                          ("--shape=x:1x2x3", "'x': error: expected a shape of rank 2")]:
        _, err, status = run(path, "--to=import", flag)
        assert status == 1 and message in err, err


def test_fixed_shape_is_changed(tmp_path):
    made = matmul()
    path = save(made, tmp_path)
    assert "tensor<7x4xf32>" in read(path, "--to=import", "--shape=x:7x3")


def test_stale_value_info_does_not_matter(tmp_path):
    made = matmul()
    made.graph.node[0].output[0] = "a"
    made.graph.node.append(node("Relu", ["a"], ["y"]))
    made.graph.value_info.append(value("a", (9, 9)))
    assert "9x9" not in read(save(made, tmp_path), "--to=import")


def test_converted_function_does_not_copy_constants(tmp_path):
    # The inliner left a second Constant with the same name beside the body.
    made = model([node("Constant", [], ["k"], value=weights("k", ())),
                  node("F", ["k"], ["z"], domain="my"), node("Add", ["x", "z"], ["y"])],
                 [value("x")], [value("y")], domains=["my"], opset=18,
                 functions=[function("F", [node("Clip", ["a"], ["b"], max=1.0)], opset=10)])
    text = read(save(made, tmp_path), "--to=import")
    assert text.count("dense<0.000000e+00> : tensor<f32>") <= 1


def test_deprecated_operator_is_converted(tmp_path):
    # GroupNormalization-18 had one scale a group; the checker refuses it.
    made = model([node("GroupNormalization", ["x", "s", "b"], ["y"], num_groups=2)],
                 [value("x", (2, 4, 5))], [value("y", (2, 4, 5))],
                 [weights("s", (2,)), weights("b", (2,))], opset=18)
    assert "tensor<2x4x5xf32>" in read(save(made, tmp_path), "--to=import")
