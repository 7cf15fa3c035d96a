"""dlc.verify: which value is named as the first wrong one."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from dlc import verify


@pytest.fixture
def model():
    names = ["x", "a", "b", "y"]
    nodes = [
        helper.make_node(op, [source], [target], name=f"node_{target}")
        for op, source, target in zip(["Neg", "Exp", "Relu"], names, names[1:])
    ]
    graph = helper.make_graph(
        nodes,
        "graph",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ("n", 4))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ("n", 4))],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)])


def test_right_model(model, tmp_path, capsys):
    onnx.save(model, tmp_path / "m.onnx")
    np.savez(tmp_path / "x.npz", x=np.ones((2, 4), np.float32))
    assert verify.main([str(tmp_path / "m.onnx"), f"--inputs={tmp_path / 'x.npz'}"]) == 0
    assert verify.main([str(tmp_path / "m.onnx"), "--dim=n=3", "--all"]) == 0
    assert "all 3 values of 3 nodes are right" in capsys.readouterr().out


def change_reference(monkeypatch, *names):
    """Makes the reference say something else for these values."""
    true = verify.run_reference

    def run_reference(model, inputs):
        who, values = true(model, inputs)
        return who, {k: v + 1 if k in names else v for k, v in values.items()}

    monkeypatch.setattr(verify, "run_reference", run_reference)


def test_names_the_first_wrong_node(model, tmp_path, capsys, monkeypatch):
    change_reference(monkeypatch, "b", "y")
    onnx.save(model, tmp_path / "m.onnx")
    assert verify.main([str(tmp_path / "m.onnx")]) == 1
    out = capsys.readouterr().out
    assert "first wrong value: 'b' of node 'node_b' (Exp)" in out
    assert out.count("WRONG") == 2


def test_finds_what_is_wrong_only_where_fused(model, monkeypatch):
    """The values are right where all are outputs, else wrong from b on."""
    import dlc

    compile_truly = dlc.compile

    class Wrong:
        def __init__(self, compiled, names):
            self.compiled, self.names = compiled, names

        def run(self, inputs):
            outputs = self.compiled.run(inputs)
            if len(outputs) > 1:
                return outputs
            return {k: v + 1 if k in self.names else v for k, v in outputs.items()}

    monkeypatch.setattr(dlc, "compile", lambda m, **o: Wrong(compile_truly(m, **o), ("b", "y")))
    every, final, fused = verify.verify(model, {"x": np.ones((1, 4), np.float32)})
    assert not any(d.is_wrong for d in every)
    assert final[0].is_wrong
    assert fused is not None and fused.node == "node_b"


def test_uses_the_reference_evaluator_where_onnx_runtime_fails(model, monkeypatch, capsys):
    import onnxruntime

    monkeypatch.setattr(onnxruntime, "InferenceSession", None)
    who, values = verify.run_reference(model, {"x": np.ones((1, 4), np.float32)})
    assert who == "the reference evaluator"
    np.testing.assert_allclose(values["y"], np.exp(-np.ones((1, 4))), rtol=1e-6)
    assert "ONNX Runtime cannot run the model" in capsys.readouterr().err


@pytest.mark.parametrize(
    "value, reference, wrong",
    [
        (np.float32([1, 2]), np.float32([1, 2]), False),
        (np.float32([1, 2.01]), np.float32([1, 2]), True),
        (np.float32([np.nan, np.inf]), np.float32([np.nan, np.inf]), False),
        (np.float32([np.nan]), np.float32([1]), True),
        (np.float32([np.inf]), np.float32([-np.inf]), True),
        (np.float32([1]), np.float64([1]), True),
        (np.float32([1]), np.float32([[1]]), True),
        (np.int64([3]), np.int64([3]), False),
        (np.int64([3]), np.int64([4]), True),
        (np.zeros(0, np.float32), np.zeros(0, np.float32), False),
        (np.array(["a"], object), np.array(["a"], object), False),
        (np.array(["a"], object), np.array(["b"], object), True),
    ],
)
def test_compare(value, reference, wrong):
    error, excess, problem = verify.compare(value, reference)
    assert (excess > 1) == wrong
