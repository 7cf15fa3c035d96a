"""dlc info: the table and the JSON."""

import json
import os
import pathlib
import subprocess

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))


def run(*arguments, cwd=None):
    result = subprocess.run([DLC, *map(str, arguments)], capture_output=True, text=True, cwd=cwd)
    return result.returncode, result.stdout, result.stderr


def info(path, *flags):
    status, out, err = run("info", "--json", path, *flags)
    assert status == 0 and err == "", err
    return json.loads(out)


def weights(name, *shape):
    return numpy_helper.from_array(np.ones(shape, np.float32), name)


def save(path, nodes, inputs, outputs, initializers=(), functions=(), domains=()):
    graph = helper.make_graph(nodes, "g", inputs, outputs, list(initializers))
    imports = [helper.make_opsetid("", 21)] + [helper.make_opsetid(d, 1) for d in domains]
    model = helper.make_model(
        graph, opset_imports=imports, functions=list(functions), producer_name="the test"
    )
    helper.set_model_props(model, {"author": "nobody"})
    onnx.save(model, path)
    return path


def value(name, shape, kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


@pytest.fixture
def net(tmp_path):
    nodes = [
        helper.make_node("Conv", ["x", "w"], ["c"], pads=[1, 1, 1, 1]),
        helper.make_node("Relu", ["c"], ["r"]),
        helper.make_node("Conv", ["r", "v"], ["d"]),
        helper.make_node("Strange", ["d"], ["y"], domain="odd"),
    ]
    return save(
        tmp_path / "net.onnx",
        nodes,
        [value("x", ("batch", 3, 8, 8))],
        [value("y", None)],
        [weights("w", 4, 3, 3, 3), weights("v", 5, 4, 1, 1)],
        domains=["odd"],
    )


def test_json(net):
    found = info(net, "--dim=batch=2")
    assert found["opsets"] == {"ai.onnx": 21, "odd": 1}
    assert found["producer"] == "the test" and found["graph"] == "g"
    assert found["metadata"] == {"author": "nobody"}
    assert found["inputs"] == [{"name": "x", "type": "float32[2,3,8,8]"}]
    assert found["parameters"] == [
        {"type": "float32", "tensors": 2, "elements": 128, "bytes": 512}
    ]
    by_name = {op["name"]: op for op in found["operators"]}
    macs = 2 * 8 * 8 * (4 * 27 + 5 * 4)
    assert by_name["Conv"] == {
        "domain": "ai.onnx", "name": "Conv", "nodes": 2, "supported": True,
        "macs": macs, "nodes_of_dynamic_macs": 0,
    }  # fmt: skip
    assert by_name["Strange"]["domain"] == "odd" and not by_name["Strange"]["supported"]
    assert "macs" not in by_name["Relu"]


def test_table(net):
    status, out, err = run("info", net, "--shape=x:1x3x8x8")
    assert status == 0 and err == ""
    lines = [line.split() for line in out.splitlines()]
    assert ["x", "float32[1,3,8,8]"] in lines
    assert ["Conv", "2", "8,192"] in lines
    assert ["odd::Strange", "1", "not", "supported"] in lines
    assert ["total", "4", "8,192"] in lines
    assert "float32: 128 in 2 tensors, 512 bytes" in out
    assert "  author: nobody" in out


def test_dynamic_macs_are_said_to_be_so(net):
    conv = next(op for op in info(net)["operators"] if op["name"] == "Conv")
    assert conv["macs"] == 0 and conv["nodes_of_dynamic_macs"] == 2
    assert "dynamic" in run("info", net)[1]


@pytest.mark.parametrize(
    "op, shapes, attributes, macs",
    [
        ("MatMul", [(5, 2, 3), (3, 4)], {}, 5 * 2 * 3 * 4),
        ("Gemm", [(3, 2), (4, 3)], {"transA": 1, "transB": 1}, 2 * 3 * 4),
        ("ConvTranspose", [(1, 2, 5, 5), (2, 3, 3, 3)], {}, 5 * 5 * 2 * 3 * 9),
        ("Einsum", [(2, 3), (3, 4)], {"equation": "ij, jk -> ik"}, 2 * 3 * 4),
        ("LSTM", [(7, 2, 3), (1, 20, 3), (1, 20, 5)], {"hidden_size": 5}, 14 * (60 + 100)),
        ("GRU", [(7, 2, 3), (1, 15, 3), (1, 15, 5)], {"hidden_size": 5}, 14 * (45 + 75)),
    ],
)
def test_macs(op, shapes, attributes, macs, tmp_path):
    inputs = [value(f"x{i}", shape) for i, shape in enumerate(shapes)]
    node = helper.make_node(op, [i.name for i in inputs], ["y"], **attributes)
    path = save(tmp_path / "m.onnx", [node], inputs, [value("y", None)])
    assert info(path)["operators"][0]["macs"] == macs


def test_functions_and_subgraphs(tmp_path):
    function = helper.make_function(
        "my", "Twice", ["a"], ["b"], [helper.make_node("Add", ["a", "a"], ["b"])],
        [helper.make_opsetid("", 21)],
    )  # fmt: skip
    branches = {
        name: helper.make_graph([helper.make_node(op, ["x"], ["z"])], name, [], [value("z", (2,))])
        for name, op in (("then_branch", "Neg"), ("else_branch", "Abs"))
    }
    nodes = [
        helper.make_node("If", ["c"], ["i"], **branches),
        helper.make_node("Twice", ["i"], ["y"], domain="my"),
    ]
    path = save(
        tmp_path / "m.onnx", nodes, [value("c", (), TensorProto.BOOL), value("x", (2,))],
        [value("y", (2,))], functions=[function], domains=["my"],
    )  # fmt: skip
    found = info(path)
    assert found["functions"] == [{"domain": "my", "name": "Twice", "nodes": 1}]
    assert {op["name"] for op in found["operators"]} == {"If", "Twice", "Neg", "Abs", "Add"}
    assert all(op["supported"] for op in found["operators"])


def test_errors(net, tmp_path):
    assert run("info")[0] == 1
    for flags, message in [
        ([tmp_path / "none.onnx"], "cannot read"),
        ([net, "--dim=nobody=3"], "no dimension is named 'nobody'"),
        ([net, "--shape=z:1x2"], "no input is named 'z'"),
        ([net, "--dim=batch"], "expected --dim=name=size"),
    ]:
        status, out, err = run("info", *flags)
        assert status == 1 and out == "" and message in err


def test_a_file_named_info_is_a_model_too(net, tmp_path):
    (tmp_path / "info").write_bytes(net.read_bytes())
    status, out, err = run("./info", "--to=onnx", cwd=tmp_path)
    assert status == 0 and "onnx.graph" in out
