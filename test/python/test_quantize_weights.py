"""How dlc quantize rounds and moves weights: by their definitions, and so that
networks lose less."""

import itertools

import dlc
import numpy as np
import onnx
import pytest
from dlc import quantize
from dlc.quantize import rounding, smooth
from dlc.quantize.equalize import equalize
from dlc.quantize.graph import Graph
from dlc.quantize.products import find_product
from onnx import TensorProto, helper, numpy_helper
from quantize_network import find_ratio, make_batches, make_network, run


def make_model(nodes, constants, shape, result, opset=17):
    graph = helper.make_graph(
        nodes, "g", [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info(result, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.asarray(v), n) for n, v in constants.items()],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    return onnx.shape_inference.infer_shapes(model)


def make_inputs(rows, columns, seed=0):
    """That depend on each other, as a layer's do."""
    random = np.random.default_rng(seed)
    return (random.standard_normal((rows, 8)) @ random.standard_normal((8, columns))
            + 0.3 * random.standard_normal((rows, columns)))  # fmt: skip


def gram_of(x):
    return (x.T @ x)[None].astype(np.float32)


@pytest.mark.parametrize("bits, block, columns", [(4, 0, 40), (4, 16, 300), (8, 0, 300), (4, 32, 70)])
def test_rounding_loses_less(bits, block, columns):
    matrix = np.random.default_rng(1).standard_normal((1, 12, columns)).astype(np.float32)
    gram = gram_of(make_inputs(400, columns))
    grid = rounding.make_grid(matrix, bits, block, shared=False)
    found = {method: function(matrix, grid, gram) for method, function in
             (("adaptive", rounding.round_adaptive), ("gptq", rounding.round_gptq))}  # fmt: skip
    nearest = rounding.round_nearest(matrix, grid)
    least = rounding.find_loss(matrix, nearest, grid, gram)
    for method, whole in found.items():
        assert whole.min() >= grid.low and whole.max() <= grid.high
        assert rounding.find_loss(matrix, whole, grid, gram) < 0.7 * least, method
    # Adaptive goes to one of the two neighbours.
    assert np.abs(found["adaptive"] * grid.of_columns(0, columns) - matrix).max() <= grid.scale.max()


def test_adaptive_is_nearly_the_best():
    """Of all 2^8 choices up and down."""
    matrix = np.random.default_rng(2).standard_normal((1, 4, 8)).astype(np.float32)
    grid = rounding.make_grid(matrix, 4, 0, shared=False)
    gram = gram_of(make_inputs(50, 8, seed=3))
    scale = grid.of_columns(0, 8)
    down = np.clip(np.floor(matrix / scale), grid.low, grid.high)
    up = np.minimum(down + 1, grid.high)
    total = 0.0
    for row in range(4):
        part = rounding.Grid(4, grid.scale[:, row : row + 1], 0)
        total += min(
            rounding.find_loss(matrix[:, row : row + 1],
                               np.where(choice, up, down)[:, row : row + 1], part, gram)
            for choice in itertools.product((False, True), repeat=8)
        )  # fmt: skip
    found = rounding.find_loss(matrix, rounding.round_adaptive(matrix, grid, gram), grid, gram)
    nearest = rounding.find_loss(matrix, rounding.round_nearest(matrix, grid), grid, gram)
    assert total * 0.999 <= found <= 1.6 * total < nearest / 2


def test_gptq_is_its_definition():
    """Column by column with the inverse made anew, without blocks or factors."""
    columns = rounding.WIDTH + 20
    matrix = np.random.default_rng(4).standard_normal((1, 3, columns)).astype(np.float32)
    grid = rounding.make_grid(matrix, 4, 0, shared=False)
    gram = gram_of(make_inputs(600, columns, seed=5))
    left, inverse = matrix[0].astype(np.float64), np.linalg.inv(rounding._damped(gram)[0])
    expected = np.empty((3, columns))
    for i in range(columns):
        expected[:, i] = grid.round(left[:, i], grid.scale[0, :, 0])
        error = (left[:, i] - expected[:, i] * grid.scale[0, :, 0]) / inverse[0, 0]
        left[:, i:] -= error[:, None] * inverse[0]
        inverse = (inverse - np.outer(inverse[:, 0], inverse[0]) / inverse[0, 0])[1:, 1:]
    same = rounding.round_gptq(matrix, grid, gram)[0] == expected
    assert same.mean() > 0.99


@pytest.mark.parametrize("attributes, shape, weights", [
    ({"pads": [1, 2, 0, 1], "strides": [2, 1]}, (2, 4, 9, 8), (6, 4, 3, 2)),
    ({"group": 2, "dilations": [2, 1]}, (1, 4, 9, 8), (6, 2, 3, 3)),
    ({"auto_pad": "SAME_LOWER", "strides": [2, 2]}, (1, 3, 7, 10), (5, 3, 2, 3)),
    ({"auto_pad": "VALID"}, (1, 3, 7), (5, 3, 2)),
    ({"group": 4, "pads": [1, 1, 1, 1, 1, 1]}, (1, 4, 3, 4, 5), (4, 1, 3, 3, 3)),
])  # fmt: skip
def test_columns_of_convolutions(attributes, shape, weights):
    """A convolution is the product with its columns."""
    random = np.random.default_rng(6)
    w, x = (random.standard_normal(s).astype(np.float32) for s in (weights, shape))
    model = make_model([helper.make_node("Conv", ["x", "w"], ["y"], **attributes)], {"w": w}, shape, "y")
    product = find_product(Graph(model), model.graph.node[0])
    found = product.columns(x) @ product.matrix().transpose(0, 2, 1)  # [groups, places, channels]
    expected = run(model, [{"x": x}])
    places = expected.size // (shape[0] * weights[0])
    found = found.reshape(-1, shape[0], places, weights[0] // product.groups)
    found = found.transpose(1, 0, 3, 2).reshape(expected.shape)
    np.testing.assert_allclose(found, expected, atol=1e-5)
    np.testing.assert_array_equal(product.unmatrix(product.matrix()), w)


def make_uneven():
    """Convolutions whose channels differ by factors of hundreds in between."""
    random = np.random.default_rng(7)
    size = (10.0 ** random.uniform(-1.5, 1.5, (16, 1, 1, 1))).astype(np.float32)
    c = {"a": random.standard_normal((16, 3, 3, 3)).astype(np.float32) * size,
         "b": random.standard_normal(16).astype(np.float32) * size.ravel(),
         "d": random.standard_normal((16, 1, 3, 3)).astype(np.float32),
         "p": random.standard_normal((8, 16, 1, 1)).astype(np.float32) / size.reshape(1, 16, 1, 1)}  # fmt: skip
    nodes = [helper.make_node("Conv", ["x", "a", "b"], ["0"], pads=[1] * 4),
             helper.make_node("Relu", ["0"], ["1"]),
             helper.make_node("Conv", ["1", "d"], ["2"], group=16),
             helper.make_node("MaxPool", ["2"], ["3"], kernel_shape=[2, 2]),
             helper.make_node("Conv", ["3", "p"], ["y"])]  # fmt: skip
    return make_model(nodes, c, [1, 3, 16, 16], "y")


def test_equalize():
    model = make_uneven()
    batches, feeds = make_batches(8), make_batches(16, seed=5)
    expected = run(model, feeds)
    graph = Graph(model)
    assert equalize(graph) == 2
    np.testing.assert_allclose(run(graph.model, feeds), expected, rtol=1e-4, atol=1e-4)
    plain, equal = (
        find_ratio(run(quantize.quantize(model, batches, per_channel=False, equalize=e), feeds), expected)
        for e in (False, True)
    )
    assert equal > plain + 10


def test_equalize_leaves_what_others_read():
    """A tensor that is a result, a bound that is not homogeneous, shared weights."""
    for change in ("result", "clip", "shared"):
        model = make_uneven()
        if change == "result":
            model.graph.output.append(helper.make_tensor_value_info("1", TensorProto.FLOAT, None))
        elif change == "clip":
            model.graph.node[1].CopyFrom(helper.make_node("Clip", ["0", "", "six"], ["1"]))
            model.graph.initializer.append(numpy_helper.from_array(np.float32(6), "six"))
        else:
            model.graph.node.append(helper.make_node("Reshape", ["d", "shape"], ["z"]))
            model.graph.initializer.append(numpy_helper.from_array(np.array([-1]), "shape"))
            model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
        assert equalize(Graph(model)) == (0 if change == "shared" else 1)


def make_outliers(residual):
    """A normalization with two channels a hundred times the others, and products."""
    random = np.random.default_rng(8)
    gamma = np.where(np.arange(32) % 16 == 3, 100, 1).astype(np.float32)
    c = {"g": gamma, "b": np.full(32, 0.1, np.float32), "r": np.ones((32, 32), np.float32) / 1e6} | {
        n: random.standard_normal((32, 32)).astype(np.float32) / gamma[:, None] for n in "wv"
    }
    nodes = [helper.make_node("LayerNormalization", ["x", "g", "b"], ["n"]),
             helper.make_node("MatMul", ["n", "w"], ["0"]),
             helper.make_node("MatMul", ["n", "v"], ["1"]),
             helper.make_node("Mul", ["0", "1"], ["2"])]  # fmt: skip
    if residual:
        nodes += [helper.make_node("MatMul", ["n", "r"], ["4"]) if residual == "product" else
                  helper.make_node("Tanh", ["n"], ["4"]), helper.make_node("Add", ["2", "4"], ["y"])]  # fmt: skip
    else:
        nodes += [helper.make_node("Identity", ["2"], ["y"])]
    return make_model(nodes, c, ["n", 32], "y")


@pytest.mark.parametrize("residual", ["", "product", "tanh"])
def test_smooth(residual):
    model = make_outliers(residual)
    random = np.random.default_rng(9)
    batches, feeds = ([{"x": random.standard_normal((16, 32)).astype(np.float32)} for _ in range(8)]
                      for _ in range(2))  # fmt: skip
    expected = run(model, feeds)
    graph = Graph(model)
    (site,) = smooth.find_sites(graph)
    smooth.apply(graph, [site], [type("Seen", (), {"values": np.array([300 if i % 16 == 3 else 3 for i in range(32)])})],
                 0.5)  # fmt: skip
    np.testing.assert_allclose(run(graph.model, feeds), expected, rtol=1e-4, atol=1e-4)
    # Only where something else reads the tensor is there another node.
    added = len(graph.graph.node) - len(model.graph.node)
    assert added == (1 if residual == "tanh" else 0)
    plain, better = (find_ratio(run(quantize.quantize(model, batches, **o), feeds), expected)
                     for o in ({}, {"smooth": 0.5}))  # fmt: skip
    assert better > plain + 8
    with pytest.raises(ValueError, match="expected data that can be read twice"):
        quantize.quantize(model, iter(batches), smooth=0.5)


def test_correct_bias():
    """The mean of a layer's results is that of the float model again."""
    random = np.random.default_rng(10)
    w = random.standard_normal((8, 64)).astype(np.float32)
    model = make_model([helper.make_node("Gemm", ["x", "w", "b"], ["y"], transB=1)],
                       {"w": w, "b": np.zeros(8, np.float32)}, ["n", 64], "y")  # fmt: skip
    batches = [{"x": random.uniform(0, 1, (64, 64)).astype(np.float32)} for _ in range(4)]
    expected = run(model, batches)
    options = {"weights_only": True, "weight_bits": 4}
    off, corrected = (np.abs((run(quantize.quantize(model, batches, **options, correct_bias=c), batches)
                              - expected).mean(0)).max() for c in (False, True))  # fmt: skip
    assert corrected < 1e-4 < off / 100


@pytest.mark.parametrize("options, least", [
    ({"weight_bits": 4}, 18), ({"weight_bits": 4, "block": 16}, 18),
    ({"weight_bits": 4, "block": 16, "rounding": "gptq"}, 25),
    ({"weight_bits": 4, "block": 16, "format": "nbits"}, 18),
    ({"weight_bits": 4, "block": 32, "format": "nbits", "rounding": "gptq", "correct_bias": True}, 25),
    ({"weight_bits": 8, "block": 16, "format": "nbits"}, 40),
    ({"weight_bits": 8, "block": 16}, 40), ({"weight_bits": 4, "rounding": "adaptive"}, 25),
])  # fmt: skip
def test_weights_only(options, least):
    model, batches, feeds = make_network(), make_batches(8), make_batches(32, seed=5)
    made = quantize.quantize(model, batches, weights_only=True, **options)
    expected = run(model, feeds)
    assert find_ratio(run(made, feeds), expected) >= least
    compiled = dlc.compile(made)
    found = np.concatenate([compiled.run([feed["x"]])[0] for feed in feeds])
    assert find_ratio(found, expected) >= least
    operators = {n.op_type for n in made.graph.node}
    assert ("MatMulNBits" in operators) == (options.get("format") == "nbits")
    small = TensorProto.INT4 if options["weight_bits"] == 4 else TensorProto.INT8
    assert any(c.data_type == small for c in made.graph.initializer)


@pytest.mark.parametrize("options", [{}, {"rounding": "adaptive", "correct_bias": True}])
@pytest.mark.parametrize("nodes, constants, shape", [
    ([("Gemm", ["x", "w", "b"], "y", {"alpha": 0.5, "beta": 2.0})], {"w": (8, 6), "b": (6,)}, (4, 8)),
    ([("Gemm", ["x", "w"], "y", {"transA": 1, "transB": 1})], {"w": (6, 4)}, (4, 8)),
    ([("MatMul", ["x", "w"], "0", {}), ("Add", ["0", "b"], "y", {})], {"w": (8, 6), "b": (6,)}, (2, 4, 8)),
    ([("MatMul", ["x", "w"], "y", {})], {"w": (2, 8, 6)}, (2, 4, 8)),
    ([("MatMul", ["x", "x"], "y", {})], {}, (8, 8)),
    ([("ConvTranspose", ["x", "w", "b"], "y", {"strides": [2, 2]})], {"w": (4, 6, 2, 2), "b": (6,)}, (1, 4, 5, 5)),
    ([("ConvTranspose", ["x", "w"], "y", {"group": 2})], {"w": (4, 3, 2, 2)}, (1, 4, 5, 5)),
    ([("Conv", ["x", "w"], "0", {}), ("Conv", ["x", "w"], "1", {"pads": [1, 1, 1, 1]}),
      ("GlobalAveragePool", ["1"], "2", {}), ("Add", ["0", "2"], "y", {})], {"w": (4, 4, 3, 3)}, (1, 4, 5, 5)),
])  # fmt: skip
def test_forms(nodes, constants, shape, options):
    random = np.random.default_rng(11)
    values = {n: random.standard_normal(s).astype(np.float32) for n, s in constants.items()}
    model = make_model([helper.make_node(op, i, [o], **a) for op, i, o, a in nodes], values, shape, "y")
    batches = [{"x": random.standard_normal(shape).astype(np.float32)} for _ in range(16)]
    made = quantize.quantize(model, batches, **options)
    assert "QuantizeLinear" in {n.op_type for n in made.graph.node}
    assert find_ratio(run(made, batches), run(model, batches)) > 30


@pytest.mark.parametrize("options", [{}, {"per_channel": False}, {"rounding": "gptq", "correct_bias": True}])
def test_biases_of_channels_without_weights(options):
    """Trained networks have channels that died; their biases are integers all the
    same."""
    random = np.random.default_rng(13)
    values = {"w": random.standard_normal((6, 4, 3, 3)), "b": random.standard_normal(6)}
    values["w"][1:4] *= np.array([0, 1e-12, 1e-30]).reshape(3, 1, 1, 1)
    model = make_model([helper.make_node("Conv", ["x", "w", "b"], ["y"])],
                       {n: v.astype(np.float32) for n, v in values.items()}, (1, 4, 6, 6), "y")  # fmt: skip
    batches = [{"x": random.standard_normal((1, 4, 6, 6)).astype(np.float32)} for _ in range(8)]
    made = quantize.quantize(model, batches, **options)
    assert find_ratio(run(made, batches), run(model, batches)) > 30
    assert any(c.data_type == TensorProto.INT32 and c.name == "b_quantized" for c in made.graph.initializer)


@pytest.mark.parametrize("opset", [17, 21, 23])
def test_int8_products_with_biases(opset):
    """ONNX Runtime loads them from operator set 21 on, too."""
    random = np.random.default_rng(15)
    values = {n: random.standard_normal(s).astype(np.float32) / 4 for n, s in (("v", (8, 8)), ("w", (8, 6)), ("b", (6,)))}
    nodes = [helper.make_node("MatMul", ["x", "v"], ["0"]), helper.make_node("MatMul", ["0", "w"], ["1"]),
             helper.make_node("Add", ["1", "b"], ["y"])]  # fmt: skip
    model = make_model(nodes, values, (2, 4, 8), "y")
    model.opset_import[0].version = opset
    batches = [{"x": random.standard_normal((2, 4, 8)).astype(np.float32)} for _ in range(8)]
    made = quantize.quantize(model, batches, activations="int8", correct_bias=True)
    assert find_ratio(run(made, batches), run(model, batches)) > 30
    compiled = dlc.compile(made, opt_level=1)
    found = np.concatenate([compiled.run(batch)["y"] for batch in batches])
    assert find_ratio(found, run(model, batches)) > 30


def test_values_too_large_for_squares():
    random = np.random.default_rng(14)
    model = make_model([helper.make_node("MatMul", ["x", "w"], ["y"])],
                       {"w": random.standard_normal((8, 6)).astype(np.float32)}, (4, 8), "y")  # fmt: skip
    with pytest.raises(ValueError, match=r"batch 1: tensor 'x' has values that are too large, up to 1e\+30"):
        quantize.quantize(model, [np.full((4, 8), 1e30, np.float32)], rounding="gptq")


def test_constants_elsewhere():
    """A Constant node is weights too, and what only the body of an If reads stays."""
    random = np.random.default_rng(12)
    w = numpy_helper.from_array(random.standard_normal((8, 6)).astype(np.float32))

    def body(name, operator):
        node = helper.make_node(operator, ["0", "c"], [name])
        return helper.make_graph([node], name, [], [helper.make_tensor_value_info(name, TensorProto.FLOAT, None)])

    nodes = [helper.make_node("Constant", [], ["w"], value=w), helper.make_node("MatMul", ["x", "w"], ["0"]),
             helper.make_node("ReduceMax", ["0"], ["m"], keepdims=0),
             helper.make_node("Greater", ["m", "c"], ["large"]),
             helper.make_node("If", ["large"], ["y"], then_branch=body("t", "Add"), else_branch=body("e", "Sub"))]  # fmt: skip
    model = make_model(nodes, {"c": np.float32(3)}, (4, 8), "y")
    batches = [{"x": random.standard_normal((4, 8)).astype(np.float32)} for _ in range(8)]
    made = quantize.quantize(model, batches)
    assert "QuantizeLinear" in {n.op_type for n in made.graph.node}
    assert find_ratio(run(made, batches), run(model, batches)) > 30
    assert {c.data_type for c in made.graph.initializer} >= {TensorProto.INT8}


@pytest.mark.parametrize("options, message", [
    ({"rounding": "down"}, "expected rounding of nearest, adaptive, gptq, found 'down'"),
    ({"format": "gguf"}, "expected a format of qdq, nbits, found 'gguf'"),
    ({"weight_bits": 3}, "expected weights of 4 or 8 bits, found 3"),
    ({"weight_bits": 4}, "expected weights_only with weights of 4 bits"),
    ({"weights_only": True, "block": 7}, "expected an even block of weights, found 7"),
    ({"weights_only": True, "block": 24, "format": "nbits"}, "expected blocks of 16, 32, .* found 24"),
    ({"smooth": 2.0}, "expected an exponent from 0 to 1 to smooth with, found 2.0"),
    ({"smooth": 0.5, "weights_only": True}, "expected quantized activations to smooth"),
    ({"keep": ("nothing",)}, "expected the name of a node that stays in float, found 'nothing'"),
])  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        quantize.quantize(make_network(), make_batches(1), **options)


def test_widest(monkeypatch):
    monkeypatch.setattr("dlc.quantize.quantizer.WIDEST", 10)
    quantizer = quantize.Quantizer(make_network(), quantize.Options(rounding="adaptive"))
    assert any(note.startswith("node 'v14' sums 32 numbers, more than 10:") for note in quantizer.notes)
    for batch in make_batches(2):
        quantizer.observe(batch)
    onnx.checker.check_model(quantizer.finish())
