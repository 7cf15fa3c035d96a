"""Equivalent transforms make fewer or cheaper nodes with the same values, and
leave alone what would not be the same or not be cheaper."""

import pathlib
import sys

import numpy as np
import pytest
from onnx import helper

sys.path.append(str(pathlib.Path(__file__).parent))

import dlc  # noqa: E402
from emit_common import check_same, count, emit, evaluate, make_model  # noqa: E402

node = helper.make_node
F = np.float32
I = np.int64  # noqa: E741


def weights(*shape, seed=0):
    return (np.random.default_rng(seed + sum(shape)).standard_normal(shape) * 0.3).astype(F)


def positive(*shape):
    return np.abs(weights(*shape)) + F(0.5)


def norm(x, y, channels, *, rising=True):
    parts = {f"{y}_{p}": weights(channels, seed=i) for i, p in enumerate("sbmv")}
    parts[f"{y}_v"] = positive(channels)
    if rising:
        parts[f"{y}_s"] = positive(channels)
    return node("BatchNormalization", [x, *parts], [y]), parts


N, BN = norm("c", "n", 6)
FALLING, BF = norm("c", "n", 6, rising=False)
BEHIND, BB = norm("c", "y", 6)
MATRIX, BM = norm("c", "y", 4)
PICTURE, WIDE = [1, 3, 8, 8], [1, 6, 8, 8]
CONV = node("Conv", ["x", "w"], ["c"], pads=[1] * 4)
W = {"w": weights(6, 3, 3, 3)}
ONE = {"u": weights(5, 6, 1, 1), "t": weights(5)}
NHWC, NCHW = [0, 2, 3, 1], [0, 3, 1, 2]


def transpose(x, y, perm):
    return node("Transpose", [x], [y], perm=perm)


def slices(*orders):
    """Every other element of both axes, from these on, by one slice each."""
    constants = {"e": np.array([1 << 40] * 2), "a": np.array([2, 3]), "p": np.array([2, 2])}
    nodes = []
    for i, order in enumerate(orders):
        constants[f"b{i}"] = np.array(order)
        nodes.append(node("Slice", ["x", f"b{i}", "e", "a", "p"], [f"s{i}"]))
    return nodes, constants


FOCUS, FOCUS_PARTS = slices((0, 0), (1, 0), (0, 1), (1, 1))
JOIN = node("Concat", ["s0", "s1", "s2", "s3"], ["s"], axis=1)
EVEN, EVEN_PARTS = slices((0, 0))
ODD, ODD_PARTS = slices((1, 1))
QUANT = {"k": np.array(0.1, F), "z": np.array(3, np.uint8), "o": np.array(0.2, F)}


def quantized(*between, step="k", zero="z"):
    """Transposed as numbers between two products of bytes."""
    return [node("QuantizeLinear", ["x", "k", zero], ["q"]),
            node("DequantizeLinear", ["q", "k", zero], ["d"]), *between,
            node("QuantizeLinear", ["m", step, zero], ["r"]),
            node("DequantizeLinear", ["r", step, zero], ["y"])]  # fmt: skip


def parts(step):
    """Split, turned round and joined, each with a pair around it."""
    nodes = [node("QuantizeLinear", ["x", "k", "z"], ["q"]), node("DequantizeLinear", ["q", "k", "z"], ["d"]),
             node("Split", ["d", "sizes"], ["a", "b"], axis=1)]  # fmt: skip
    for name in "ab":
        nodes += [node("QuantizeLinear", [name, step if name == "b" else "k", "z"], [name + "q"]),
                  node("DequantizeLinear", [name + "q", step if name == "b" else "k", "z"], [name + "d"])]
    return nodes + [node("Concat", ["bd", "ad"], ["m"], axis=1),
                    node("QuantizeLinear", ["m", "k", "z"], ["r"]),
                    node("DequantizeLinear", ["r", "k", "z"], ["y"])]  # fmt: skip


# What it is: nodes, constants, the shapes of x and y, and what is left.
CASES = {
    # Scales and shifts.
    "norm of groups in front of a conv": (
        [norm("x", "n", 6)[0], node("Conv", ["n", "w"], ["y"], group=3)],
        {**norm("x", "n", 6)[1], "w": weights(6, 2, 3, 3)}, WIDE, [1, 6, 6, 6], {"Conv": 1}),
    "depthwise, a scale in front, padded": (
        [node("Mul", ["x", "k"], ["n"]), node("Conv", ["n", "w"], ["y"], group=6, pads=[1] * 4)],
        {"k": weights(6, 1, 1), "w": weights(12, 1, 3, 3)}, WIDE, [1, 12, 8, 8], {"Conv": 1}),
    "norm in front of a padded conv stays": (
        [norm("x", "n", 3)[0], node("Conv", ["n", "w"], ["y"], pads=[1] * 4)],
        {**norm("x", "n", 3)[1], **W}, PICTURE, WIDE, {"BatchNormalization": 1, "Conv": 1}),
    "scale in front of a transposed conv": (
        [node("Mul", ["x", "k"], ["n"]), node("ConvTranspose", ["n", "w"], ["y"])],
        {"k": weights(3, 1, 1), "w": weights(3, 6, 3, 3)}, PICTURE, [1, 6, 10, 10],
        {"ConvTranspose": 1}),
    "shift in front of a transposed conv stays": (
        [node("Add", ["x", "k"], ["n"]), node("ConvTranspose", ["n", "w"], ["y"])],
        {"k": weights(3, 1, 1), "w": weights(3, 6, 3, 3)}, PICTURE, [1, 6, 10, 10],
        {"Add": 1, "ConvTranspose": 1}),
    "norm behind a transposed conv of groups": (
        [node("ConvTranspose", ["x", "w"], ["c"], group=2), norm("c", "y", 6)[0]],
        {**norm("c", "y", 6)[1], "w": weights(4, 3, 3, 3)}, [1, 4, 8, 8], [1, 6, 10, 10],
        {"ConvTranspose": 1}),
    "norm in front of a product": (
        [norm("x", "n", 6)[0], node("Gemm", ["n", "w", "b"], ["y"], transB=1)],
        {**norm("x", "n", 6)[1], "w": weights(4, 6), "b": weights(4)}, [3, 6], [3, 4],
        {"Gemm": 1}),
    "norm in front of a product without a bias": (
        [norm("x", "n", 6)[0], node("MatMul", ["n", "w"], ["y"])],
        {**norm("x", "n", 6)[1], "w": weights(6, 4)}, [3, 6], [3, 4], {"Gemm": 1}),
    "norm behind a product": (
        [node("MatMul", ["x", "w"], ["c"]), MATRIX], {**BM, "w": weights(6, 4)},
        [3, 6], [3, 4], {"Gemm": 1}),
    "a factor of a bias that is not there": (
        [node("Gemm", ["x", "w"], ["c"], alpha=2.0, beta=0.5), node("Add", ["c", "b"], ["y"])],
        {"w": weights(6, 4), "b": weights(4)}, [3, 6], [3, 4], {"Gemm": 1}),
    "scale behind a product and its bias": (
        [node("MatMul", ["x", "w"], ["c"]), node("Add", ["c", "b"], ["d"]),
         node("Mul", ["d", "k"], ["y"])],
        {"w": weights(6, 4), "b": weights(4), "k": weights(4)}, [2, 3, 6], [2, 3, 4],
        {"MatMul": 1, "Add": 1}),
    "scale through relu": (
        [CONV, node("Relu", ["c"], ["r"]), node("Mul", ["r", "k"], ["y"])],
        {**W, "k": positive(6, 1, 1)}, PICTURE, WIDE, {"Conv": 1, "Relu": 1}),
    "scale below 0 behind relu stays": (
        [CONV, node("Relu", ["c"], ["r"]), node("Mul", ["r", "k"], ["y"])],
        {**W, "k": weights(6, 1, 1)}, PICTURE, WIDE, {"Conv": 1, "Relu": 1, "Mul": 1}),
    "shift behind relu stays": (
        [CONV, node("Relu", ["c"], ["r"]), node("Add", ["r", "k"], ["y"])],
        {**W, "k": weights(6, 1, 1)}, PICTURE, WIDE, {"Conv": 1, "Relu": 1, "Add": 1}),
    "norm through a pool": (
        [node("Conv", ["x", "w"], ["c0"], pads=[1] * 4),
         node("MaxPool", ["c0"], ["c"], kernel_shape=[3, 3], pads=[1] * 4), BEHIND],
        {**BB, **W}, PICTURE, WIDE, {"Conv": 1, "MaxPool": 1}),
    "norm through a mean": (
        [node("Conv", ["x", "w"], ["c0"], pads=[1] * 4),
         node("AveragePool", ["c0"], ["c"], kernel_shape=[3, 3], pads=[1] * 4), BEHIND],
        {**BB, **W}, PICTURE, WIDE, {"Conv": 1, "AveragePool": 1}),
    "norm behind a mean with its padding stays": (
        [node("Conv", ["x", "w"], ["c0"], pads=[1] * 4),
         node("AveragePool", ["c0"], ["c"], kernel_shape=[3, 3], pads=[1] * 4,
              count_include_pad=1), BEHIND],
        {**BB, **W}, PICTURE, WIDE, {"Conv": 1, "AveragePool": 1, "BatchNormalization": 1}),
    "norm into a join": (
        [node("Conv", ["x", "w"], ["c0"], pads=[1] * 4),
         node("Conv", ["x", "v"], ["c1"], pads=[0, 1, 0, 1]),
         node("Concat", ["c0", "c1"], ["c"], axis=1), norm("c", "n", 8)[0],
         node("Relu", ["n"], ["y"])],
        {**norm("c", "n", 8)[1], **W, "v": weights(2, 3, 1, 3)}, PICTURE, [1, 8, 8, 8],
        {"Conv": 2, "Concat": 1, "Relu": 1}),
    "norm behind a join with the input stays": (
        [node("Conv", ["x", "w"], ["c0"], pads=[1] * 4),
         node("Concat", ["c0", "x"], ["c"], axis=1), norm("c", "y", 9)[0]],
        {**norm("c", "y", 9)[1], **W}, PICTURE, [1, 9, 8, 8],
        {"Conv": 1, "Concat": 1, "BatchNormalization": 1}),
    # Products of constants.
    "products of constants": (
        [node("MatMul", ["x", "u"], ["a"]), node("Add", ["a", "b"], ["c"]),
         node("MatMul", ["c", "v"], ["d"]), node("Add", ["d", "e"], ["y"])],
        {"u": weights(6, 6), "b": weights(6), "v": weights(6, 4), "e": weights(4)},
        [2, 3, 6], [2, 3, 4], {"MatMul": 1, "Add": 1}),
    "two layers without an activation": (
        [node("Gemm", ["x", "u", "b"], ["a"], transB=1), node("Gemm", ["a", "v"], ["y"])],
        {"u": weights(6, 6), "b": weights(6), "v": weights(6, 4, seed=3)}, [3, 6], [3, 4],
        {"Gemm": 1}),
    "matrices of low rank stay": (
        [node("MatMul", ["x", "u"], ["a"]), node("MatMul", ["a", "v"], ["y"])],
        {"u": weights(6, 2), "v": weights(2, 6)}, [2, 3, 6], [2, 3, 6], {"MatMul": 2}),
    "convs of one element": (
        [node("Conv", ["x", "w", "b"], ["a"]), node("Conv", ["a", "u", "t"], ["y"])],
        {"w": weights(6, 3, 1, 1), "b": weights(6), **ONE}, PICTURE, [1, 5, 8, 8], {"Conv": 1}),
    "a conv behind a window stays": (
        [CONV, node("Conv", ["c", "u"], ["y"])], {**W, "u": ONE["u"]}, PICTURE, [1, 5, 8, 8],
        {"Conv": 2}),
    # Strides.
    "steps behind a conv": (
        [CONV, *[node("Slice", ["c", *s.input[1:]], ["y"]) for s in EVEN]], {**W, **EVEN_PARTS},
        PICTURE, [1, 6, 4, 4], {"Conv": 1}),
    "steps from 1 on stay": (
        [CONV, *[node("Slice", ["c", *s.input[1:]], ["y"]) for s in ODD]], {**W, **ODD_PARTS},
        PICTURE, [1, 6, 4, 4], {"Conv": 1, "Slice": 1}),
    "steps in front of a conv": (
        [*EVEN, node("Conv", ["s0", "w"], ["y"])], {"w": weights(6, 3, 1, 1), **EVEN_PARTS},
        [1, 3, 9, 8], [1, 6, 5, 4], {"Conv": 1}),
    "steps in front of a window stay": (
        [*EVEN, node("Conv", ["s0", "w"], ["y"])], {**W, **EVEN_PARTS}, [1, 3, 9, 8],
        [1, 6, 3, 2], {"Slice": 1, "Conv": 1}),
    "a pool of one element": (
        [node("MaxPool", ["x"], ["s"], kernel_shape=[1, 1], strides=[2, 2]),
         node("Conv", ["s", "w"], ["y"])], {"w": weights(6, 3, 1, 1)}, [1, 3, 9, 8], [1, 6, 5, 4],
        {"Conv": 1}),
    "focus": (
        [*FOCUS, JOIN, node("Conv", ["s", "w"], ["y"], pads=[1] * 4)],
        {**FOCUS_PARTS, "w": weights(6, 12, 3, 3)}, PICTURE, [1, 6, 4, 4], {"Conv": 1}),
    "space to depth": (
        [node("SpaceToDepth", ["x"], ["s"], blocksize=2),
         node("Conv", ["s", "w"], ["y"], pads=[0, 1, 0, 1], strides=[1, 2])],
        {"w": weights(6, 12, 3, 3)}, PICTURE, [1, 6, 2, 2], {"Conv": 1}),
    "focus on an odd picture stays": (
        [*FOCUS[:1], node("Concat", ["s0", "s0", "s0", "s0"], ["s"], axis=1),
         node("Conv", ["s", "w"], ["y"], pads=[1] * 4)],
        {**EVEN_PARTS, "w": weights(6, 12, 3, 3)}, [1, 3, 9, 9], [1, 6, 5, 5],
        {"Slice": 1, "Concat": 1, "Conv": 1}),
    "pad with zeros in front of a pool of what is not negative": (
        [node("Relu", ["x"], ["r"]), node("Pad", ["r", "a"], ["p"]),
         node("MaxPool", ["p"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
        {"a": np.array([0, 0, 0, 0, 0, 0, 1, 1])}, PICTURE, [1, 3, 4, 4],
        {"Relu": 1, "MaxPool": 1}),
    "pad with zeros in front of a pool stays": (
        [node("Pad", ["x", "a"], ["p"]),
         node("MaxPool", ["p"], ["y"], kernel_shape=[3, 3], strides=[2, 2])],
        {"a": np.array([0, 0, 0, 0, 0, 0, 1, 1])}, PICTURE, [1, 3, 4, 4], {"Pad": 1, "MaxPool": 1}),
    # Joins.
    "split of a join": (
        [node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["b"]),
         node("Concat", ["a", "b"], ["c"], axis=1),
         node("Split", ["c", "s"], ["d", "e"], axis=-3), node("Mul", ["d", "e"], ["y"])],
        {"s": np.array([3, 3])}, PICTURE, PICTURE, {"Relu": 1, "Neg": 1, "Mul": 1}),
    "split of a join in other places stays": (
        [node("Relu", ["x"], ["a"]), node("Neg", ["x"], ["b"]),
         node("Concat", ["a", "b"], ["c"], axis=1),
         node("Split", ["c", "s"], ["d", "e"], axis=1), node("Mul", ["d", "e"], ["y"])],
        {"s": np.array([1, 5])}, PICTURE, [1, 5, 8, 8],
        {"Relu": 1, "Neg": 1, "Concat": 1, "Split": 1, "Mul": 1}),
    # Products and convolutions.
    "product between transposes": (
        [transpose("x", "a", NHWC), node("MatMul", ["a", "w"], ["b"]),
         node("Add", ["b", "t"], ["c"]), transpose("c", "y", NCHW)],
        {"w": weights(3, 6), "t": weights(6)}, PICTURE, WIDE, {"Conv": 1}),
    "product behind a transpose stays": (
        [transpose("x", "a", NHWC), node("MatMul", ["a", "w"], ["y"])], {"w": weights(3, 6)},
        PICTURE, [1, 8, 8, 6], {"Transpose": 1, "MatMul": 1}),
    "conv of a mean": (
        [node("GlobalAveragePool", ["x"], ["a"]), node("Conv", ["a", "u", "t"], ["b"]),
         node("Flatten", ["b"], ["y"])], ONE, WIDE, [1, 5], {"ReduceMean": 1, "Gemm": 1}),
    # Transposes.
    "a region of constants, a join and a mean": (
        [transpose("x", "a", NHWC), node("Mul", ["a", "k"], ["b"]), node("Sigmoid", ["b"], ["c"]),
         node("Concat", ["b", "c"], ["d"], axis=3), node("Softmax", ["d"], ["e"], axis=3),
         node("Pad", ["e", "p"], ["f"]), transpose("f", "y", NCHW)],
        {"k": weights(8, 3), "p": np.array([0, 1, 0, 0, 0, 0, 2, 0])}, PICTURE, [1, 6, 9, 10],
        {"Mul": 1, "Sigmoid": 1, "Concat": 1, "Softmax": 1, "Pad": 1}),
    "a region with two ways out": (
        [transpose("x", "a", NHWC), node("Exp", ["a"], ["b"]), node("ReduceMax", ["b", "n"], ["c"]),
         node("Sub", ["b", "c"], ["d"]), node("Split", ["d", "s"], ["e", "f"], axis=3),
         transpose("e", "g", NCHW), transpose("f", "h", NCHW),
         node("Concat", ["h", "g"], ["y"], axis=1)],
        {"n": np.array([-1]), "s": np.array([1, 2])}, PICTURE, PICTURE,
        {"Exp": 1, "ReduceMax": 1, "Sub": 1, "Split": 1, "Concat": 1}),
    "a region that is used as it is": (
        [transpose("x", "a", NHWC), node("Exp", ["a"], ["b"]), node("ReduceMax", ["b", "n"], ["c"]),
         node("Sub", ["b", "c"], ["y"])], {"n": np.array([-1])}, PICTURE, [1, 8, 8, 3],
        {"Transpose": 1, "Exp": 1, "ReduceMax": 1, "Sub": 1}),
    # Quantization.
    "bytes that are moved": (
        quantized(transpose("d", "m", [1, 0])), QUANT, [2, 3], [3, 2],
        {"QuantizeLinear": 1, "Transpose": 1, "DequantizeLinear": 1}),
    "another step stays": (
        quantized(transpose("d", "m", [1, 0]), step="o"), QUANT, [2, 3], [3, 2],
        {"QuantizeLinear": 2, "Transpose": 1, "DequantizeLinear": 2}),
    "bytes that are padded and chosen": (
        quantized(node("Pad", ["d", "p"], ["f"]), node("MaxPool", ["f"], ["m"], kernel_shape=[2, 2])),
        QUANT | {"p": np.array([0, 0, 1, 1, 0, 0, 1, 1])}, [1, 2, 4, 4], [1, 2, 5, 5],
        {"QuantizeLinear": 1, "Pad": 1, "MaxPool": 1, "DequantizeLinear": 1}),
    "a pad with 1 stays": (
        quantized(node("Pad", ["d", "p", "i"], ["m"])),
        QUANT | {"p": np.array([0, 1, 0, 1]), "i": F(1)}, [2, 3], [2, 5],
        {"QuantizeLinear": 2, "Pad": 1, "DequantizeLinear": 2}),
    "relu above the lowest byte": (
        quantized(node("Relu", ["d"], ["m"]), zero="z0"), QUANT | {"z0": np.array(0, np.uint8)}, [2, 3],
        [2, 3], {"QuantizeLinear": 1, "DequantizeLinear": 1}),
    "relu above others stays": (
        quantized(node("Relu", ["d"], ["m"])), QUANT, [2, 3], [2, 3],
        {"QuantizeLinear": 2, "Relu": 1, "DequantizeLinear": 2}),
    "bytes that are split and joined": (
        parts("k"), QUANT | {"sizes": np.array([2, 1])}, [2, 3], [2, 3],
        {"QuantizeLinear": 1, "Split": 1, "Concat": 1, "DequantizeLinear": 1}),
    "parts of another step stay": (
        parts("o"), QUANT | {"sizes": np.array([2, 1])}, [2, 3], [2, 3],
        {"QuantizeLinear": 4, "Split": 1, "Concat": 1, "DequantizeLinear": 4}),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_transform(name, tmp_path):
    nodes, constants, x, y, left = CASES[name]
    model = make_model(nodes, {"x": x}, {"y": y}, constants, opset=18)
    after = emit(model, tmp_path)
    assert count(after) == left
    check_same(model, after)


@pytest.mark.parametrize("tree", [
    [node("Sum", ["c", "z", "d"], ["y"])],
    [node("Add", ["c", "z"], ["s"]), node("Add", ["s", "d"], ["y"])],
])  # fmt: skip
@pytest.mark.parametrize("batch, convs", [(1, 1), (4, 2)])
def test_branches_of_a_larger_sum(tree, batch, convs, tmp_path):
    """What is added for each of a batch makes the sum larger than its branches."""
    nodes = [CONV, node("Conv", ["x", "v"], ["d"], pads=[1] * 4), *tree]
    inputs = {"x": PICTURE, "z": [batch, *WIDE[1:]]}
    model = make_model(nodes, inputs, {"y": [batch, *WIDE[1:]]}, {**W, "v": weights(6, 3, 3, 3, seed=1)})
    after = emit(model, tmp_path)
    assert count(after)["Conv"] == convs
    check_same(model, after)


@pytest.mark.parametrize(
    "mode, scales, first",
    [("nearest", 2, "Conv"), ("linear", 2, "Conv"), ("cubic", 2, "Resize"),
     ("nearest", 0.5, "Resize")],
)  # fmt: skip
def test_conv_in_front_of_resize(mode, scales, first, tmp_path):
    """On fewer elements, where each of the larger picture is a mean of them."""
    nodes = [node("Resize", ["x", "", "s"], ["r"], mode=mode), node("Conv", ["r", "w", "b"], ["y"])]
    constants = {"s": np.array([1, 1, scales, scales], F), "w": weights(8, 16, 1, 1),
                 "b": weights(8)}  # fmt: skip
    size = int(8 * scales)
    model = make_model(nodes, {"x": [1, 16, 8, 8]}, {"y": [1, 8, size, size]}, constants)
    after = emit(model, tmp_path)
    assert [n.op_type for n in after.graph.node][0] == first
    assert count(after) == {"Resize": 1, "Conv": 1}
    check_same(model, after)


POOLS = {
    "halves": {"strides": [2, 2]},
    "keeps": {"pads": [1] * 4},
    "counts zeros": {"pads": [1] * 4, "count_include_pad": 1},
    "counts zeros, halves": {"pads": [1] * 4, "count_include_pad": 1, "strides": [2, 2]},
    "same": {"auto_pad": "SAME_UPPER", "count_include_pad": 1},
    "ceil": {"strides": [2, 2], "ceil_mode": 1},
    "ceil, counts zeros": {"strides": [3, 2], "ceil_mode": 1, "count_include_pad": 1},
    "valid": {"auto_pad": "VALID", "strides": [1, 2]},
}


@pytest.mark.parametrize("bias", [False, True], ids=["", "bias"])
@pytest.mark.parametrize("channels, group", [((16, 6), 1), ((6, 16), 1), ((12, 8), 4)])
@pytest.mark.parametrize("pool", POOLS)
@pytest.mark.parametrize("order", ["conv first", "pool first"])
def test_pool_and_pointwise_convolution(order, pool, channels, group, bias, tmp_path):
    """The cheaper one runs first, where zeros that are counted do not need a bias of their own."""
    w = ["w", "b"] if bias else ["w"]
    kernel = {"kernel_shape": [3, 3], **POOLS[pool]}
    if order == "conv first":
        nodes = [node("Conv", ["x", *w], ["m"], group=group), node("AveragePool", ["m"], ["y"], **kernel)]
    else:
        nodes = [node("AveragePool", ["x"], ["m"], **kernel), node("Conv", ["m", *w], ["y"], group=group)]
    cin, cout = channels
    constants = {"w": weights(cout, cin // group, 1, 1), "b": weights(cout)}
    model = make_model(nodes, {"x": [2, cin, 9, 8]}, {"y": [2, cout, "h", "w"]}, constants, opset=18)
    after = emit(model, tmp_path)
    check_same(model, after)
    ops = [n.op_type for n in after.graph.node]
    if order == "pool first" and bias:  # an object has the sum behind the pool
        x = np.random.default_rng(2).standard_normal([2, cin, 9, 8]).astype(F)
        (found,), (expected,) = dlc.compile(model).run([x]), evaluate(model, {"x": x})
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)
    assert len(ops) == 2
    is_free = not bias or pool == "keeps"
    if pool in ("keeps", "counts zeros") and is_free:  # nothing but the channels counts
        assert ops == (["Conv", "AveragePool"] if cin > cout else ["AveragePool", "Conv"])
    elif pool == "halves" and (channels, group) == ((6, 16), 1):
        assert ops == ["AveragePool", "Conv"]
    elif pool == "counts zeros":
        assert ops == (["Conv", "AveragePool"] if order == "conv first" else ["AveragePool", "Conv"])


@pytest.mark.parametrize("shape", [[2, 8, 9], [1, 8, 4, 5, 6], [1, 8, 0, 4], [2, 8, "h", "w"]], ids=str)
@pytest.mark.parametrize("mean", ["GlobalAveragePool", "ReduceMean", "AveragePool"])
def test_mean_in_front_of_convolution(mean, shape, tmp_path):
    n = len(shape) - 2
    constants = {"w": weights(16, 8, *[1] * n), "b": weights(16), "axes": np.arange(-n, 0)}
    inputs = {"ReduceMean": ["m", "axes"]}.get(mean, ["m"])
    size = {"kernel_shape": [2] * n, "strides": [2] * n} if mean == "AveragePool" else {}
    if mean == "AveragePool" and 0 in shape:
        pytest.skip("no window fits")
    nodes = [node("Conv", ["x", "w", "b"], ["m"]), node(mean, inputs, ["y"], **size)]
    model = make_model(nodes, {"x": shape}, {"y": [shape[0], 16, *"abc"[:n]]}, constants, opset=18)
    after = emit(model, tmp_path)
    assert [x.op_type for x in after.graph.node] == [mean, "Conv"]
    if 0 not in shape:
        check_same(model, after)


def rotary(form, tables, batch):
    """x * cos + rotated x * sin, for x of [2, 3, 5, 8]."""
    angles = np.arange(5)[:, None] / 10 ** np.linspace(0, 2, 4)
    both = np.concatenate([angles, angles if tables != "others" else angles + 1], 1)
    if form == "pairs":
        both = both.reshape(5, 2, 4).swapaxes(1, 2).reshape(5, 8)
    constants = {"low": np.array([0]), "mid": np.array([4]), "high": np.array([1 << 62]),
                 "last": np.array([-1]), "halves": np.array([4, 4]), "one": np.array([1])}  # fmt: skip
    constants |= {"next": np.array([-1]), "two": np.array([2]), "flat": np.array([0, 0, 0, 8]),
                  "flat3": np.array([0, 0, 8])}  # fmt: skip
    nodes = []
    if tables.startswith("computed"):
        # Not a constant: it depends on the input.
        constants["all"] = np.array([0, 1, 2, 3] if tables == "computed" else [1, 3])
        constants["f"] = angles.astype(F)[None]
        constants["zero"] = np.zeros((5, 4) if tables == "computed" else (5, 1), F)
        nodes += [node("ReduceMean", ["x", "all"], ["m"], keepdims=0),
                  node("Mul", ["m", "zero"], ["mz"])]  # fmt: skip
        if tables == "computed for each":
            constants |= {"columns": np.array([-1]), "row": np.zeros(5, F)}
            nodes[-1:] = [node("Mul", ["m", "row"], ["mr"]), node("Unsqueeze", ["mr", "columns"], ["mz"])]
        nodes.append(node("Add", ["f", "mz"], ["g"]))
        if form == "pairs":
            nodes += [node("Unsqueeze", ["g", "next"], ["gu"]),
                      node("Concat", ["gu", "gu"], ["gg"], axis=-1),
                      node("Reshape", ["gg", "flat3"], ["e"])]  # fmt: skip
        else:
            nodes += [node("Concat", ["g", "g"], ["e"], axis=-1)]
        for name in ("cos", "sin"):
            nodes += [node(name.title(), ["e"], [name + "3"]),
                      node("Unsqueeze", [name + "3", "one"], [name])]  # fmt: skip
    else:
        constants |= {"cos": np.cos(both)[None, None].astype(F), "sin": np.sin(both).astype(F)}
    if form == "pairs":
        nodes += [node("Slice", ["x", "low", "high", "last", "two"], ["a"]),
                  node("Slice", ["x", "one", "high", "last", "two"], ["b"])]  # fmt: skip
    elif form == "slices":
        nodes += [node("Slice", ["x", "low", "mid", "last"], ["a"]),
                  node("Slice", ["x", "mid", "high", "last"], ["b"])]  # fmt: skip
    else:
        nodes.append(node("Split", ["x", "halves"], ["a", "b"], axis=3))
    nodes.append(node("Neg", ["b"], ["n"]))
    if form == "pairs":
        nodes += [node("Unsqueeze", ["n", "next"], ["nu"]), node("Unsqueeze", ["a", "next"], ["au"]),
                  node("Concat", ["nu", "au"], ["nr"], axis=-1),
                  node("Reshape", ["nr", "flat"], ["r"])]  # fmt: skip
    else:
        nodes.append(node("Concat", ["n", "a"], ["r"], axis=-1))
    nodes += [node("Mul", ["x", "cos"], ["c"]), node("Mul", ["r", "sin"], ["s"]),
              node("Add", ["c", "s"], ["y"])]  # fmt: skip
    return make_model(nodes, {"x": [batch, 3, 5, 8]}, {"y": [batch, 3, 5, 8]}, constants, opset=18)


@pytest.mark.parametrize("form", ["slices", "split", "pairs"])
@pytest.mark.parametrize("tables", ["constant", "computed", "computed for each", "others"])
@pytest.mark.parametrize("batch", [2, "b"])
def test_rotary_embedding(form, tables, batch, tmp_path):
    model = rotary(form, tables, batch)
    after = emit(model, tmp_path, "--opset=23")
    assert count(after)["RotaryEmbedding"] == (tables != "others")
    assert count(after)["Neg"] == (tables == "others")
    check_same(model, after)
    assert "RotaryEmbedding" not in count(emit(model, tmp_path, "--opset=22"))
