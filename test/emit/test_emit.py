"""--emit=onnx: what is written is what was read, in the operator set and with
the files that are asked for."""

import importlib.util
import os
import pathlib
import subprocess
import sys

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

HERE = pathlib.Path(__file__).resolve().parent
sys.path += [str(HERE), str(HERE.parent / "conformance")]

import cases  # noqa: E402
from emit_common import DLC, NO_PASSES, check_same, count, emit, evaluate, make_model, run  # noqa: E402

node = helper.make_node


def text(message):
    copy = type(message)()
    copy.CopyFrom(message)
    return copy.SerializeToString(deterministic=True)


def tensor(message):
    value = list(message.string_data) or numpy_helper.to_array(message).tobytes()
    return message.name, message.data_type, list(message.dims), value, message.doc_string


def attribute(message):
    kind = onnx.AttributeProto
    value = {
        kind.TENSOR: lambda: tensor(message.t),
        kind.TENSORS: lambda: list(map(tensor, message.tensors)),
        kind.GRAPH: lambda: graph(message.g),
        kind.GRAPHS: lambda: list(map(graph, message.graphs)),
    }.get(message.type, lambda: text(message))()
    return message.name, message.type, value


def a_node(message):
    return (
        message.op_type, message.domain, message.name, message.overload, message.doc_string,
        list(message.input), list(message.output), sorted(map(attribute, message.attribute)),
        list(map(text, message.metadata_props)),
    )  # fmt: skip


def graph(message):
    return {
        "name": message.name,
        "doc": message.doc_string,
        "node": list(map(a_node, message.node)),
        "initializer": sorted(map(tensor, message.initializer)),
        "sparse": list(map(text, message.sparse_initializer)),
        "input": list(map(text, message.input)),
        "output": list(map(text, message.output)),
        "value_info": sorted(map(text, message.value_info)),
        "metadata": list(map(text, message.metadata_props)),
    }


def function(message):
    return (message.name, message.domain, list(message.input), list(message.output),
            list(message.attribute), list(map(a_node, message.node)),
            imports(message.opset_import))  # fmt: skip


def imports(messages):
    return {message.domain: message.version for message in messages}


def check_equal(before, after):
    assert graph(before.graph) == graph(after.graph)
    assert list(map(function, before.functions)) == list(map(function, after.functions))
    assert imports(before.opset_import) == imports(after.opset_import)
    for field in ("producer_name", "producer_version", "domain", "doc_string", "model_version"):
        assert getattr(before, field) == getattr(after, field)
    assert list(map(text, before.metadata_props)) == list(map(text, after.metadata_props))
    assert after.ir_version <= before.ir_version


# Every so many of the cases; DLC_EVERY=1 takes all of them, in ten minutes.
EVERY = int(os.environ.get("DLC_EVERY", "60"))
CASES = [c for c in cases.load_cases(("node", "simple", "pytorch-operator"))][::EVERY]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_round_trip(case, tmp_path):
    before = case.load_model()
    onnx.save(before, tmp_path / "in.onnx")
    status, err = run(tmp_path / "in.onnx", "--emit=onnx", NO_PASSES, "-o", tmp_path / "out.onnx")
    assert status == 0, err
    check_equal(before, onnx.load(tmp_path / "out.onnx"))


def documented_model():
    """Everything that a person can write on a model."""
    value = helper.make_tensor_value_info
    inner = node("Relu", ["x"], ["a"], name="first", doc_string="a node")
    inner.metadata_props.add(key="layer", value="1")
    main = helper.make_graph(
        [inner, node("Scale", ["a"], ["b"], domain="mine", k=2.0), node("Exp", ["b"], ["y"])],
        "the graph",
        [value("x", TensorProto.FLOAT, ["batch", 0, None, 4])],
        [value("y", TensorProto.FLOAT, ["batch", 0, None, 4], doc_string="the output")],
        doc_string="a graph",
        value_info=[value("a", TensorProto.FLOAT, ["batch", "?", None, 4], doc_string="inner")],
    )
    scale = helper.make_function(
        "mine", "Scale", ["u"], ["v"],
        [node("Constant", [], ["c"]), node("Mul", ["u", "c"], ["v"])],
        [helper.make_opsetid("", 21)], attributes=["k"],
    )  # fmt: skip
    reference = scale.node[0].attribute.add(name="value_float", type=onnx.AttributeProto.FLOAT)
    reference.ref_attr_name = "k"
    model = helper.make_model(
        main, functions=[scale], ir_version=10, producer_name="test", producer_version="1",
        doc_string="a model", model_version=7,
        opset_imports=[helper.make_opsetid("", 21), helper.make_opsetid("mine", 1)],
    )  # fmt: skip
    helper.set_model_props(model, {"author": "someone"})
    return model


def test_keeps_names_functions_and_metadata(tmp_path):
    model = documented_model()
    check_equal(model, emit(model, tmp_path, NO_PASSES))
    after = emit(model, tmp_path)
    assert [n.name for n in after.graph.node][0] == "first"
    assert [f.name for f in after.functions] == ["Scale"]
    assert {p.key: p.value for p in after.metadata_props} == {"author": "someone"}
    assert after.doc_string == "a model" and after.graph.node[0].doc_string == "a node"


def test_subgraphs(tmp_path):
    """Branches with equal names, values of the graph around them, a constant
    that both have."""
    value = helper.make_tensor_value_info

    def branch(op):
        return helper.make_graph([node(op, ["x"], ["r"])], op, [], [value("r", TensorProto.FLOAT, [4])])

    main = helper.make_graph(
        [node("If", ["c"], ["y"], then_branch=branch("Exp"), else_branch=branch("Neg"))],
        "g",
        [value("c", TensorProto.BOOL, []), value("x", TensorProto.FLOAT, [4])],
        [value("y", TensorProto.FLOAT, [4])],
    )
    model = helper.make_model(main, opset_imports=[helper.make_opsetid("", 21)], ir_version=8)
    check_equal(model, emit(model, tmp_path, NO_PASSES))
    assert count(emit(model, tmp_path)) == {"If": 1}


def test_a_loop_that_gives_what_is_around_it(tmp_path):
    """Exp does not depend on the loop, but is one of its outputs, under its own name."""
    value = helper.make_tensor_value_info
    body = helper.make_graph(
        [node("Identity", ["c"], ["d"]), node("Neg", ["s"], ["t"]), node("Exp", ["x"], ["e"])], "b",
        [value("i", TensorProto.INT64, []), value("c", TensorProto.BOOL, []), value("s", TensorProto.FLOAT, [4])],
        [value("d", TensorProto.BOOL, []), value("t", TensorProto.FLOAT, [4]), value("e", TensorProto.FLOAT, [4])],
    )  # fmt: skip
    loop = node("Loop", ["n", "", "x"], ["y", "z"], body=body)
    model = make_model([loop], {"x": [4]}, {"y": [4], "z": [3, 4]}, {"n": np.array(3)})
    after = emit(model, tmp_path)
    assert count(after) == {"Exp": 1, "Loop": 1}
    check_same(model, after)


def test_outputs_that_are_one_value(tmp_path):
    """An output is an input, and two are one: a node stands between them."""
    nodes = [node("Identity", ["x"], ["a"]), node("Relu", ["x"], ["b"]), node("Relu", ["x"], ["c"])]
    model = make_model(nodes, {"x": [3]}, {"a": [3], "b": [3], "c": [3]})
    after = emit(model, tmp_path)
    assert count(after) == {"Relu": 1, "Identity": 2}
    assert [o.name for o in after.graph.output] == ["a", "b", "c"]
    check_same(model, after)


def test_inputs_with_default_values(tmp_path):
    """Weights, and one that is 1: callers may replace them."""
    nodes = [node("Conv", ["x", "w"], ["a"]), node("Mul", ["a", "one"], ["y"])]
    defaults = {"w": np.ones((2, 1, 3, 3), np.float32), "one": np.float32(1)}
    inputs = {"x": [1, 1, 4, 4], "w": [2, 1, 3, 3], "one": []}
    model = make_model(nodes, inputs, {"y": [1, 2, 2, 2]}, defaults)
    after = emit(model, tmp_path)
    assert [i.name for i in after.graph.input] == list(inputs)
    assert {i.name for i in after.graph.initializer} == set(defaults)
    given = {n: np.full(s, 3, np.float32) for n, s in inputs.items()}
    for values in (given, {"x": given["x"]}):
        np.testing.assert_array_equal(evaluate(model, values)[0], evaluate(after, values)[0])


def opset_of(model):
    return next(i.version for i in model.opset_import if not i.domain)


@pytest.mark.parametrize("own, asked, written", [
    (17, None, 21), (22, None, 22), (17, 28, 28), (21, 18, 18), (28, 21, 21),
])  # fmt: skip
def test_opset(own, asked, written, tmp_path):
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]}, opset=own)
    after = emit(model, tmp_path, *([f"--opset={asked}"] if asked else []))
    assert opset_of(after) == written
    # Nothing in the file needs more.
    assert after.ir_version == 3


def test_opset_that_cannot_express(tmp_path):
    nodes = [node("Swish", ["x"], ["a"]), node("RMSNormalization", ["a", "w"], ["b"]),
             node("Swish", ["b"], ["y"], alpha=2.0)]  # fmt: skip
    model = make_model(nodes, {"x": [2, 4]}, {"y": [2, 4]}, {"w": np.ones(4, np.float32)}, opset=24)
    onnx.save(model, tmp_path / "in.onnx")
    status, err = run(tmp_path / "in.onnx", "--emit=onnx", "--opset=21", "-o", tmp_path / "out.onnx")
    assert status == 1 and err.count("\n") == 1
    assert ("cannot be expressed in operator set 21: RMSNormalization (since 23), "
            "Swish (since 24)") in err  # fmt: skip
    assert not (tmp_path / "out.onnx").exists()


def test_opset_without_a_type(tmp_path):
    graph = helper.make_graph(
        [node("Relu", ["x"], ["y"]), node("Cos", ["x"], ["z"])], "g",
        [helper.make_tensor_value_info("x", TensorProto.BFLOAT16, [3])],
        [helper.make_tensor_value_info(n, TensorProto.BFLOAT16, [3]) for n in "yz"],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 22)], ir_version=8)
    onnx.save(model, tmp_path / "in.onnx")
    status, err = run(tmp_path / "in.onnx", "--emit=onnx", "--opset=21", "-o", tmp_path / "out.onnx")
    assert status == 1
    assert "cannot be expressed in operator set 21: Cos (type tensor(bfloat16))" in err


def test_external_data(tmp_path):
    weights = np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32)
    model = make_model([node("MatMul", ["x", "w"], ["y"])], {"x": [2, 64]}, {"y": [2, 64]}, {"w": weights})
    after = emit(model, tmp_path, "--external-data")
    assert (tmp_path / "out.onnx.data").stat().st_size == weights.nbytes
    assert (tmp_path / "out.onnx").stat().st_size < 1000
    check_same(model, after)


@pytest.mark.parametrize("flags, opset", [([], 21), (["--opset=24"], 24)])
def test_prints_the_pipeline_of_a_file(flags, opset):
    command = [DLC, "--emit=onnx", *flags, "--print-pipeline"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.splitlines()
    assert len(lines) == 1 and lines[0].startswith("simplify: ")
    assert f"dlc-recognize-attention{{opset={opset}}}" in lines[0]


@pytest.mark.parametrize("flags, message", [
    (["--emit=onnx"], "expected an output file, -o, for --emit=onnx"),
    (["--emit=onnx,obj", "-o", "o"], "expected --emit=onnx alone, found onnx,obj"),
    (["--emit=onnx", "--to=graph", "-o", "o"], "expected --emit=onnx or --to=graph, found both"),
    (["--opset=21", "-o", "o"], "expected --emit=onnx for --opset"),
    (["--external-data", "-o", "o"], "expected --emit=onnx for --external-data"),
    (["--emit=onnx", "--opset=99", "-o", "o"], "expected --opset=1 to 28, found '99'"),
])  # fmt: skip
def test_flags(flags, message, tmp_path):
    model = make_model([node("Relu", ["x"], ["y"])], {"x": [3]}, {"y": [3]})
    onnx.save(model, tmp_path / "in.onnx")
    status, err = run(tmp_path / "in.onnx", *flags)
    assert status == 1 and message in err


@pytest.mark.parametrize("package, file", [
    ("magika", "standard_v3_3/model.onnx"),
    ("rapidocr_onnxruntime", "ch_ppocr_mobile_v2.0_cls_infer.onnx"),
])  # fmt: skip
def test_trained_models(package, file, tmp_path):
    """Fewer nodes; the values are compared by bench/simplify, at full length."""
    spec = importlib.util.find_spec(package)
    path = pathlib.Path(spec.submodule_search_locations[0], "models", file)
    before = onnx.load(path)
    after = emit(path, tmp_path)
    assert sum(count(after).values()) < 0.9 * sum(count(before).values())
