"""dlc quantize in the bodies of If and Loop."""

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from dlc import quantize
from dlc.quantize import command
from dlc.quantize.graph import all_nodes
from onnx import TensorProto, helper, numpy_helper
from quantize_network import find_ratio

RANDOM = np.random.default_rng(21)


def add(op, inputs, output, **attributes):
    return helper.make_node(op, inputs, [output], output + " node", **attributes)


def real(name, shape=("n", 8)):
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)


def weights(name, *shape):
    value = RANDOM.standard_normal(shape) / np.sqrt(np.prod(shape[1:]))
    return numpy_helper.from_array(value.astype(np.float32), name)


def make_model(nodes, constants, inputs=(), opset=17):
    graph = helper.make_graph(nodes, "g", [real("x"), *inputs], [real("y")], list(constants))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def flag(name):
    return helper.make_tensor_value_info(name, TensorProto.BOOL, [])


def make_if():
    """Products before, in both branches, and in a branch of one; two share weights."""
    deep = helper.make_graph([add("MatMul", ["h", "w"], "d1"), add("MatMul", ["q", "inside"], "d2"),
                              add("Add", ["d1", "d2"], "d3")], "deep", [], [real("d3")])  # fmt: skip
    flat = helper.make_graph([add("MatMul", ["q", "w"], "f1")], "flat", [], [real("f1")])
    then = helper.make_graph([add("Relu", ["h"], "q"), add("If", ["k"], "i", then_branch=deep, else_branch=flat),
                              add("MatMul", ["i", "inside"], "t1")], "then", [], [real("t1")], [weights("inside", 8, 8)])  # fmt: skip
    other = helper.make_graph([add("MatMul", ["h", "w"], "e1")], "else", [], [real("e1")])
    nodes = [add("MatMul", ["x", "v"], "h"), add("If", ["c"], "y", then_branch=then, else_branch=other)]
    return make_model(nodes, [weights("v", 8, 8), weights("w", 8, 8)], [flag("c"), flag("k")])


def make_loop():
    body = helper.make_graph(
        [add("MatMul", ["s", "w"], "s1"), add("Add", ["s1", "h"], "s2"), add("Tanh", ["s2"], "s3"),
         add("Identity", ["go"], "on")], "body",
        [helper.make_tensor_value_info("i", TensorProto.INT64, []), flag("go"), real("s")], [flag("on"), real("s3")],
    )  # fmt: skip
    nodes = [add("MatMul", ["x", "v"], "h"), add("Loop", ["times", "", "h"], "y", body=body)]
    return make_model(nodes, [weights("v", 8, 8), weights("w", 8, 8), numpy_helper.from_array(np.int64(3), "times")])


def make_batches(count=8, **flags):
    batches = [{"x": RANDOM.standard_normal((4, 8)).astype(np.float32), "c": np.array(i % 3 != 2), "k": np.array(i % 2 == 0)}
               for i in range(count)]  # fmt: skip
    return [batch | {name: np.array(value) for name, value in flags.items()} for batch in batches]


def run(model, batches):
    session = ort.InferenceSession(model.SerializeToString())
    return np.concatenate([session.run(None, batch)[0] for batch in batches])


def expect_like(made, model, batches, least):
    """In ONNX Runtime and in dlc."""
    wanted, compiled = run(model, batches), dlc.compile(made, opt_level=1)
    assert find_ratio(run(made, batches), wanted) > least
    assert find_ratio(np.concatenate([compiled.run(batch)["y"] for batch in batches]), wanted) > least


def count(model, operator):
    return sum(node.op_type == operator for node in all_nodes(model.graph))


@pytest.mark.parametrize("options, least", [
    ({}, 28), ({"smooth": 0.5}, 28), ({"rounding": "adaptive", "correct_bias": True}, 28),
    ({"method": "mse", "activations": "int8", "equalize": True}, 28), ({"weights_only": True}, 35),
    ({"weights_only": True, "weight_bits": 4, "block": 4}, 15), ({"weights_only": True, "rounding": "gptq"}, 35),
    ({"weights_only": True, "weight_bits": 4, "format": "nbits"}, 12),
])  # fmt: skip
def test_branches(options, least):
    model, batches = make_if(), make_batches()
    made = quantize.quantize(model, batches, **options)
    expect_like(made, model, batches, least)
    integer = "MatMulNBits" if options.get("format") else "DequantizeLinear"
    pairs = count(made, "QuantizeLinear")
    assert count(made, integer) - pairs == 6  # a weight for each product
    assert bool(pairs) != options.get("weights_only", False)
    if integer == "MatMulNBits":
        # Both branches read the same weights.
        assert sum(c.name.startswith("w_quantized") for c in made.graph.initializer) == 2


def test_branches_that_did_not_run(capsys, tmp_path):
    model, batches = make_if(), make_batches(c=True, k=False)
    for options in ({}, {"weights_only": True, "rounding": "gptq"}):
        lines = []
        made = quantize.quantize(model, batches, lines.append, **options)
        assert "a body of node 'y node' stays in float: no batch ran it" in lines
        expect_like(made, model, batches, 28)
    onnx.save(model, tmp_path / "model.onnx")
    (tmp_path / "data").mkdir()
    for i, batch in enumerate(batches):
        np.savez(tmp_path / "data" / f"{i}.npz", **batch)
    arguments = [tmp_path / "model.onnx", f"--calibrate={tmp_path / 'data'}", "-o", tmp_path / "out.onnx"]
    assert command.main(list(map(str, arguments))) == 0
    assert "a body of node 'y node' stays in float: no batch ran it" in capsys.readouterr().err


@pytest.mark.parametrize("options", [{"method": "mse"}, {"smooth": 0.5, "rounding": "adaptive"}])
def test_resume(options, tmp_path):
    model, batches = make_if(), make_batches()
    state = quantize.State(tmp_path / "out.onnx", "print")
    wanted = quantize.quantize(model, batches, **options)
    for number in range(2 if "smooth" in options else 1):
        first = quantize.Quantizer(model, quantize.Options(**options))
        for _ in range(number):
            for batch in batches:
                first.observe(batch)
            first.end_pass()
        for batch in batches[:5]:
            first.observe(batch)
        state.save(first)
        second = quantize.Quantizer(model, quantize.Options(**options))
        quantize.calibrate(second, batches, state)
        assert second.finish().SerializeToString() == wanted.SerializeToString()


@pytest.mark.parametrize("options", [{"weight_bits": 4, "format": "nbits"}, {"weight_bits": 4, "block": 4}, {}])
def test_loops(options):
    """Weights need no data."""
    model = make_loop()
    made = quantize.quantize(model, weights_only=True, **options)
    expect_like(made, model, [{"x": batch["x"]} for batch in make_batches()], 12 if options else 35)
    assert count(made, "MatMulNBits" if "format" in options else "DequantizeLinear") == 2


def test_warnings():
    where = "node 's1 node' (MatMul) stays in float: what is in a body of node 'y node' (Loop) is not looked into: "
    assert quantize.Quantizer(make_loop()).warnings == [
        where + "it runs more than once, and the calibration sees nothing of it"
    ]
    assert quantize.Quantizer(make_loop(), quantize.Options(weights_only=True)).warnings == []
    assert quantize.Quantizer(make_if()).warnings == []
    (warning,) = quantize.Quantizer(make_if(), bodies=False).warnings
    assert warning.endswith("node 'y node' (If) is not looked into: a budget is kept by the layers outside")
    unknown = make_if()
    unknown.graph.node[0].domain = "own"
    unknown.opset_import.append(helper.make_opsetid("own", 1))
    with pytest.raises(ValueError, match="is not looked into: the type of tensor 'h' is not known"):
        quantize.Quantizer(unknown)


def test_recurrences_in_branches():
    """Without products beside them, and with."""
    def branch(name, *first):
        nodes = [*first, add("LSTM", ["3d", "p", "r"], name + "s", hidden_size=8),
                 add("Squeeze", [name + "s", "axes"], name)]  # fmt: skip
        return helper.make_graph(nodes, name, [], [real(name, None)])

    nodes = [add("MatMul", ["x", "w"], "h"), add("Unsqueeze", ["h", "one"], "3d"),
             add("If", ["c"], "y", then_branch=branch("t"), else_branch=branch("e", add("MatMul", ["h", "w"], "unused")))]  # fmt: skip
    constants = [weights("w", 8, 8), weights("p", 1, 32, 8), weights("r", 1, 32, 8),
                 numpy_helper.from_array(np.array([1]), "axes"), numpy_helper.from_array(np.array([0]), "one")]  # fmt: skip
    warnings = quantize.Quantizer(make_model(nodes, constants, [flag("c")])).warnings
    assert warnings == [f"node '{name}s node' (LSTM) stays in float: LSTM has no integer form" for name in "te"]


def test_budget():
    model, batches = make_if(), make_batches()
    made, _ = quantize.quantize_mixed(model, batches, quantize.Budget(min_sqnr=25, times=False))
    assert count(made, "QuantizeLinear") == 1
    expect_like(made, model, batches, 25)


def test_keep_in_a_branch():
    made = quantize.quantize(make_if(), make_batches(), keep=("d1 node",))
    (kept,) = [n for n in all_nodes(made.graph) if n.name == "d1 node"]
    assert list(kept.input) == ["h", "w"]


@pytest.mark.parametrize("options", [{"equalize": True}, {"smooth": 1.0}, {"correct_bias": True}])
def test_what_a_branch_reads_stays(options):
    """Weights and biases that move outside are not those inside."""
    def branch(name, op):
        nodes = [add("Gemm", ["x", "w", "b"], name + "1"), add(op, [name + "1", "a"], name)]
        return helper.make_graph(nodes, name, [], [real(name)])

    nodes = [add("Gemm", ["x", "w", "b"], "0"), add("Relu", ["0"], "1"), add("Gemm", ["1", "u", "d"], "2"),
             add("If", ["c"], "3", then_branch=branch("t", "Add"), else_branch=branch("e", "Sub")),
             add("Add", ["2", "3"], "y")]  # fmt: skip
    constants = [weights("w", 8, 8), weights("u", 8, 8), weights("b", 8), weights("a", 8), weights("d", 8)]
    scaled = numpy_helper.to_array(constants[0]) * np.float32(2.0) ** RANDOM.integers(-4, 5, 8)
    constants[0].CopyFrom(numpy_helper.from_array(scaled.astype(np.float32), "w"))
    model, batches = make_model(nodes, constants, [flag("c")]), [{k: b[k] for k in "xc"} for b in make_batches()]
    # The bodies stay in float, and the outside alone is moved.
    quantizer = quantize.Quantizer(model, quantize.Options(**options), bodies=False)
    quantize.calibrate(quantizer, batches)
    expect_like(quantizer.finish(), model, batches, 28)
    expect_like(quantize.quantize(model, batches, **options), model, batches, 28)


def test_a_convolution_that_a_branch_reads():
    """It has no BatchNormalization put into it."""
    image = (1, 3, 6, 6)
    def branch(name, op):
        return helper.make_graph([add(op, ["h"], name)], name, [], [real(name, image)])

    statistics = [numpy_helper.from_array(RANDOM.uniform(0.5, 2, 3).astype(np.float32), name) for name in "sbmv"]
    nodes = [add("Conv", ["x", "w"], "h"), add("BatchNormalization", ["h", *"sbmv"], "n"),
             add("If", ["c"], "f", then_branch=branch("t", "Relu"), else_branch=branch("e", "Neg")),
             add("Add", ["n", "f"], "y")]  # fmt: skip
    graph = helper.make_graph(nodes, "g", [real("x", image), flag("c")], [real("y", image)],
                              [weights("w", 3, 3, 1, 1), *statistics])  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    batches = [{"x": RANDOM.standard_normal(image).astype(np.float32), "c": np.array(i % 2 == 0)} for i in range(6)]
    expect_like(quantize.quantize(model, batches), model, batches, 28)
