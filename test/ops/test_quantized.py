"""Quantized operators: products of integers of every sign, zero point and form
against exact numpy, on several vector units and emulated targets; what lies
between dequantize and quantize against float64; wrong parameters."""

import math
import pathlib
import re
import shutil
import subprocess
import sys

import dlc
import ml_dtypes
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2] / "bench")]
import definition  # noqa: E402
import objects  # noqa: E402
from quantmodels import Graph, make_model, whole  # noqa: E402

# (cpu, features, what /proc/cpuinfo calls what they need)
UNITS = {
    "amx": ("sapphirerapids", None, "amx_int8"),
    "vnni": ("x86-64-v4", "+avx512vnni", "avx512_vnni"),
    "vbmi": ("x86-64-v4", "+avx512vnni,+avx512vbmi", "avx512vbmi"),
    "avx512": ("x86-64-v4", None, "avx512bw"),
    "avxvnni": ("x86-64-v3", "+avxvnni", "avx_vnni"),
    "avx2": ("x86-64-v3", None, "avx2"),
    "ssse3": ("x86-64-v2", None, "ssse3"),
    "sse": ("x86-64", None, "sse2"),
}
KINDS = [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8), (np.int8, np.uint8)]


def compile_for(model, unit, **options):
    cpu, features, flag = UNITS[unit]
    if flag not in pathlib.Path("/proc/cpuinfo").read_text().split():
        pytest.skip(f"this machine has no {flag}")
    return dlc.compile(model, cpu=cpu, features=features, **options)


def requantize(sums, factor, zero):
    """As ONNX defines it, in float32."""
    y = np.rint(sums.astype(np.float32) * np.float32(factor)) + float(zero)
    info = np.iinfo(zero.dtype)
    return np.clip(y, info.min, info.max).astype(zero.dtype)


def convolve(x, w, group, strides, pads, dilations):
    """The exact sums of a convolution, in int64."""
    x = np.pad(x.astype(np.int64), ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    n, c, h, width = x.shape
    m, per_group, kh, kw = w.shape
    oh = (h - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (width - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    y = np.zeros((n, m, oh, ow), np.int64)
    xs = x.reshape(n, group, per_group, h, width)
    ws = w.astype(np.int64).reshape(group, m // group, per_group, kh, kw)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilations[0], j * dilations[1]
            part = xs[..., top : top + (oh - 1) * strides[0] + 1 : strides[0],
                      left : left + (ow - 1) * strides[1] + 1 : strides[1]]  # fmt: skip
            y += np.einsum("ngchw,gmc->ngmhw", part, ws[..., i, j]).reshape(y.shape)
    return y


# n, c, h, w, m, kernel, group, strides, pads, dilations
CONVOLUTIONS = {
    "1x1": (1, 24, 5, 7, 40, (1, 1), 1, (1, 1), (0, 0, 0, 0), (1, 1)),
    "1x1 stride": (1, 17, 6, 7, 20, (1, 1), 1, (2, 2), (0, 0, 0, 0), (1, 1)),
    "3x3": (2, 16, 7, 9, 70, (3, 3), 1, (1, 1), (1, 1, 1, 1), (1, 1)),
    "first": (1, 3, 15, 13, 32, (7, 7), 1, (2, 2), (3, 3, 3, 3), (1, 1)),
    "dilated": (1, 6, 11, 10, 12, (3, 3), 1, (1, 1), (2, 1, 0, 2), (2, 2)),
    "grouped": (1, 18, 6, 6, 24, (3, 3), 3, (1, 1), (1, 1, 1, 1), (1, 1)),
    "depthwise": (1, 37, 9, 8, 37, (3, 3), 37, (1, 1), (1, 1, 1, 1), (1, 1)),
    "depthwise stride": (2, 20, 9, 8, 40, (3, 3), 20, (2, 2), (1, 1, 1, 1), (1, 1)),
    "one channel": (1, 1, 6, 6, 5, (3, 3), 1, (1, 1), (1, 1, 1, 1), (1, 1)),
}


def make_convolutions(kind, asymmetric):
    """One model of all convolutions, its constants and its inputs."""
    random = np.random.default_rng(5)
    a, b = kind
    nodes, inputs, constants, feeds, expected = [], [], {}, {}, {}
    for number, (n, c, h, w, m, kernel, group, strides, pads, dilations) in enumerate(
        CONVOLUTIONS.values()
    ):
        s = str(number)
        x, weights = whole(random, a, (n, c, h, w)), whole(random, b, (m, c // group, *kernel))
        xz = whole(random, a, ())
        wz = whole(random, b, (m,)) if asymmetric else np.full(m, 128 if b == np.uint8 else 0, b)
        ws = random.uniform(0.001, 0.003, m).astype(np.float32)
        bias = random.integers(-10000, 10000, m).astype(np.int32)
        xs, ys, yz = np.float32(0.5), np.float32(0.6), whole(random, a, ())
        constants |= {"xs" + s: xs, "xz" + s: xz, "w" + s: weights, "ws" + s: ws, "wz" + s: wz,
                      "ys" + s: ys, "yz" + s: yz, "b" + s: bias}  # fmt: skip
        names = [k + s for k in ("x", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b")]
        nodes.append(helper.make_node("QLinearConv", names, ["y" + s], group=group,
                                      strides=strides, pads=pads, dilations=dilations))  # fmt: skip
        inputs.append(("x" + s, a, (n, c, h, w)))
        feeds["x" + s] = x
        sums = convolve(x.astype(np.int64) - int(xz),
                        weights.astype(np.int64) - wz.astype(np.int64)[:, None, None, None],
                        group, strides, pads, dilations)  # fmt: skip
        column = (slice(None), None, None)
        expected["y" + s] = requantize(sums + bias[column], ((xs * ws) / ys)[column], yz)
    return make_model(nodes, inputs, constants, list(expected)), feeds, expected


def assert_equal(found, expected, names):
    wrong = [f"{name}: {(found[y] != want).mean():.2%} wrong" for name, (y, want) in
             zip(names, expected.items()) if not np.array_equal(found[y], want)]  # fmt: skip
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize(
    "unit, kind, asymmetric",
    [
        *(("amx", kind, True) for kind in KINDS),
        *(("vnni", kind, True) for kind in KINDS),
        ("vnni", KINDS[1], False),
        ("avx512", KINDS[1], False),
        ("avxvnni", KINDS[0], False),
        ("avx2", KINDS[0], False),
        ("avx2", KINDS[1], True),
        ("sse", KINDS[3], False),
    ],
)
def test_convolutions(unit, kind, asymmetric):
    model, feeds, expected = make_convolutions(kind, asymmetric)
    found = compile_for(model, unit, opt_level=1).run(feeds)
    assert_equal(found, expected, CONVOLUTIONS)


EMULATED = [
    ("aarch64", "", KINDS[0]),
    ("aarch64", "+dotprod", KINDS[0]),
    ("aarch64", "+dotprod,+i8mm", KINDS[0]),
    ("armv7", "", KINDS[0]),
    ("riscv64", "", KINDS[1]),
]


@pytest.mark.parametrize("target, features, kind", EMULATED)
def test_convolutions_emulated(target, features, kind, tmp_path):
    if not all(map(shutil.which, objects.CROSS[target][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS[target][:2])}")
    model, feeds, expected = make_convolutions(kind, False)
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    flags = ["-O1", *([f"-mattr={features}"] if features else [])]
    made = objects.compile(path, tmp_path, target, flags)
    outputs = objects.run_emulated(made, list(feeds.values()), [v.dtype for v in expected.values()])
    assert_equal(dict(zip(expected, outputs)), expected, CONVOLUTIONS)


@pytest.mark.parametrize("a, b", [(np.uint8, np.int8), (np.int8, np.int8), (np.uint8, np.uint8)])
def test_small_matrices_emulated(a, b, tmp_path):
    """smmla, usmmla and ummla: odd numbers of rows, sums that fill no eight, and
    panels of one to four vectors."""
    if not all(map(shutil.which, objects.CROSS["aarch64"][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS['aarch64'][:2])}")
    random = np.random.default_rng(4)
    nodes, constants, infos, feeds, expected = [], [], [[], []], [], []
    kinds = [helper.np_dtype_to_tensor_dtype(np.dtype(t)) for t in (a, b, np.int32)]
    for i, (m, k, n) in enumerate([(1, 16, 16), (2, 8, 5), (3, 4, 16), (10, 7, 33), (11, 12, 24), (17, 64, 17),
                                   (20, 3, 64), (13, 100, 40)]):  # fmt: skip
        left, right = (random.integers(np.iinfo(t).min, np.iinfo(t).max + 1, shape).astype(t)
                       for t, shape in ((a, (m, k)), (b, (k, n))))  # fmt: skip
        nodes.append(helper.make_node("MatMulInteger", [f"x{i}", f"w{i}"], [f"y{i}"]))
        constants.append(numpy_helper.from_array(right, f"w{i}"))
        infos[0].append(helper.make_tensor_value_info(f"x{i}", kinds[0], [m, k]))
        infos[1].append(helper.make_tensor_value_info(f"y{i}", kinds[2], [m, n]))
        feeds.append(left)
        expected.append(left.astype(np.int32) @ right.astype(np.int32))
    graph = helper.make_graph(nodes, "g", *infos, constants)
    path = tmp_path / "network.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), path)
    made = objects.compile(path, tmp_path, "aarch64", ["--threads=1", "-mattr=+dotprod,+i8mm"])
    assert b"mmla" in subprocess.run(["llvm-objdump-22", "-d", "--mattr=+i8mm,+dotprod", made.path],
                                     capture_output=True, check=True).stdout  # fmt: skip
    for i, found in enumerate(objects.run_emulated(made, feeds, [np.dtype(np.int32)] * len(feeds))):
        np.testing.assert_array_equal(found, expected[i], str(i))


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("unit, kind", [("amx", KINDS[0]), ("amx", KINDS[1]), ("vnni", KINDS[0]), ("vnni", KINDS[1]),
                                        ("avx2", KINDS[2])])  # fmt: skip
def test_products(unit, kind, dynamic):
    """MatMulInteger with constant and other right operands, batches, vectors,
    zero points of one number, one a column and one a row."""
    random = np.random.default_rng(2)
    a, b = kind
    # Shapes, those of the zero points, and whether the right one is constant.
    table = [
        ((1, 9), (9, 33), (), (), True), ((7, 16), (16, 5), (), (5,), True),
        ((9, 7), (7, 20), (), (20,), False), ((9, 6), (6, 4), (9,), (), False),
        ((2, 8, 13), (13, 35), (1,), (1,), True), ((2, 9, 8), (2, 8, 20), (), (), False),
        ((4,), (4, 6), (), (), False), ((5, 4), (4,), None, None, True),
        ((0, 4), (4, 3), (), (), True), ((3, 0), (0, 5), (), (), False),
    ]  # fmt: skip
    nodes, inputs, constants, feeds, expected = [], [], {}, {}, {}
    for s, (left, right, left_zero, right_zero, fixed) in enumerate(table):
        p, q = whole(random, a, left), whole(random, b, right)
        names = [f"x{s}", f"w{s}"]
        feeds[names[0]] = p
        if fixed:
            constants[names[1]] = q
        else:
            feeds[names[1]] = q
        for name in names:
            if name in feeds:
                shape = feeds[name].shape
                if dynamic:
                    shape = [f"{name}_{i}" for i in range(len(shape))]
                inputs.append((name, feeds[name].dtype, shape))
        p, q = p.astype(np.int64), q.astype(np.int64)
        if left_zero is not None:
            names += [f"xz{s}", f"wz{s}"]
            constants |= {names[2]: whole(random, a, left_zero),
                          names[3]: whole(random, b, right_zero)}  # fmt: skip
            zero = constants[names[2]].astype(np.int64)
            p = p - (zero[:, None] if left_zero == (9,) else zero)
            q = q - constants[names[3]].astype(np.int64)
        nodes.append(helper.make_node("MatMulInteger", names, [f"y{s}"]))
        expected[f"y{s}"] = np.matmul(p, q).astype(np.int32)
    model = make_model(nodes, inputs, constants, list(expected))
    assert_equal(compile_for(model, unit, opt_level=1).run(feeds), expected, table)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("kind, low, high", [("int4", -8, 7), ("uint4", 0, 15), ("int2", -2, 1), ("uint2", 0, 3)])
def test_products_of_fewer_bits(kind, low, high, dynamic):
    """With 8-bit activations, as ONNX Runtime's quantizer writes them, and as
    activations; scales are powers of two, so float sums are exact."""
    random = np.random.default_rng(8)
    dtype = np.dtype(getattr(ml_dtypes, kind))

    def draw(shape):
        return random.integers(low, high + 1, shape).astype(np.int32).astype(dtype)

    g = Graph()
    image = g.pair("x", 2.0**-4, np.uint8(120))
    steps = g.constant(np.exp2(random.integers(-4, 0, 24)).astype(np.float32))
    w = g.add("DequantizeLinear", g.constant(draw((24, 8, 3, 3))), steps, g.constant(draw(24)), axis=0)
    y = g.pair(g.add("Conv", image, w, pads=[1, 1, 1, 1]), 2.0**-1, np.uint8(128))
    small = g.pair(y, 2.0**3, draw(()))
    w = g.add("DequantizeLinear", g.constant(draw((7, 10))), *g.parameters(0.25, draw(())))
    g.nodes.append(helper.make_node("MatMul", [small, w], ["y"]))
    x = random.normal(0, 3, (2, 8, 5, 7)).astype(np.float32)
    shape = ["n", 8, "h", 7] if dynamic else x.shape
    model = make_model(g.nodes, [("x", np.float32, shape)], g.constants, opset=25)
    model.ir_version = 13
    expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
    np.testing.assert_array_equal(dlc.compile(model, opt_level=1).run({"x": x})["y"], expected)


#===----------------------------------------------------------------------===#
# Between dequantize and quantize
#===----------------------------------------------------------------------===#


def make_residual_network(dtype):
    """Convolutions with biases, bounds, a residual, pools, a concatenation,
    a table function and a Gemm between pairs."""
    random = np.random.default_rng(8)
    zero = (lambda n: np.uint8(n)) if dtype == np.uint8 else (lambda n: np.int8(n - 128))
    g = Graph()

    def conv(x, x_scale, c, m, k, group=1, **attributes):
        scale = random.uniform(0.004, 0.008, (m, 1, 1, 1)).astype(np.float32)
        w = g.weights(random.standard_normal((m, c // group, k, k)) * 0.2, scale)
        bias_scale = np.float32(x_scale) * scale.reshape(-1)
        bias = g.add("DequantizeLinear", g.constant(random.integers(-3000, 3000, m, np.int32)),
                     g.constant(bias_scale), g.constant(np.zeros(m, np.int32)), axis=0)  # fmt: skip
        return g.add("Conv", x, w, bias, group=group, pads=[k // 2] * 4, **attributes)

    x = g.pair("x", 0.03, zero(120))
    a = g.add("Relu", conv(x, 0.03, 3, 16, 3, strides=[2, 2]))
    a = g.pair(a, 0.02, zero(0))
    b = g.add("Clip", conv(a, 0.02, 16, 16, 3, group=16), g.constant(np.float32(0)),
              g.constant(np.float32(3)))  # fmt: skip
    b = g.pair(b, 0.0235, zero(0))
    b = g.pair(conv(b, 0.0235, 16, 16, 1), 0.05, zero(130))
    s = g.pair(g.add("Relu", g.add("Add", a, b)), 0.0413, zero(0))
    p = g.pair(g.add("MaxPool", s, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4), 0.0413, zero(0))
    h = g.pair(g.add("HardSwish", g.add("MaxPool", b, kernel_shape=[1, 1], strides=[2, 2])), 0.03,
               zero(20))  # fmt: skip
    c = g.pair(g.add("Concat", p, h, axis=1), 0.0413, zero(10))
    m = g.pair(g.add("AveragePool", c, kernel_shape=[2, 2], strides=[2, 2]), 0.0413, zero(10))
    m = g.pair(g.add("GlobalAveragePool", m), 0.03, zero(10))
    f = g.pair(g.add("Flatten", m), 0.03, zero(10))
    w = g.weights(random.standard_normal((10, 32)) * 0.2,
                  random.uniform(0.004, 0.006, (10, 1)).astype(np.float32))  # fmt: skip
    y = g.pair(g.add("Gemm", f, w, transB=1), 0.02, zero(128))
    model = make_model(g.nodes, [("x", np.float32, ["n", 3, 16, 16])], g.constants, [y])
    return model, {i.name: numpy_helper.to_array(i) for i in model.graph.initializer}


@pytest.mark.parametrize("unit, dtype", [("amx", np.int8), ("vnni", np.uint8), ("avx2", np.int8)])
def test_network_is_its_definition(unit, dtype):
    model, constants = make_residual_network(dtype)
    compiled = compile_for(model, unit)
    (y,) = (o.name for o in model.graph.output)
    random = np.random.default_rng(4)
    for n in (1, 5):
        x = random.standard_normal((n, 3, 16, 16)).astype(np.float32)
        expected = ReferenceEvaluator(model).run(None, {"x": x})[0]
        found = compiled.run({"x": x})[y]
        assert len(np.unique(expected)) > 5
        assert (np.abs(found - expected) <= 0.02 * 1.001).mean() >= 0.999
        # Averages of four are ties, which the reference's float32 moves.
        exact = definition.run(model, {"x": x})[0]
        assert (np.abs(found - exact) <= 0.02 * 0.001).mean() > 0.9
    assert compiled.run({"x": np.zeros((0, 3, 16, 16), np.float32)})[y].shape == (0, 10)


def test_signed_is_unsigned():
    """What only dlc sees has the sign that products take: both networks are one."""
    networks = [make_residual_network(dtype)[0] for dtype in (np.uint8, np.int8)]
    x = np.random.default_rng(5).standard_normal((2, 3, 16, 16)).astype(np.float32)
    for unit in ("vnni", "avx2"):
        first, second = (compile_for(model, unit).run({"x": x}) for model in networks)
        for a, b in zip(first.values(), second.values()):
            assert np.array_equal(a, b)


def test_definition_is_the_reference():
    """What bench/quantized judges large networks by, against ONNX's evaluator."""
    model, _ = make_residual_network(np.int8)
    x = np.random.default_rng(4).standard_normal((2, 3, 16, 16)).astype(np.float32)
    names = definition.find_quantized(model)
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    expected = ReferenceEvaluator(model).run(None, {"x": x})
    found = dict(zip((o.name for o in model.graph.output), expected))
    compared = []

    def replace(name, value):
        if name in names:
            compared.append((value == found[name]).mean())
            assert np.abs(value.astype(int) - found[name].astype(int)).max() <= 1
            return found[name]
        return value

    definition.run(model, {"x": x}, replace)
    # Scales of two digits make ties, which float32 rounds by chance.
    assert len(compared) == len(names) and np.mean(compared) > 0.98


def test_rounding_and_saturation():
    """Every tie, both ends, infinities: as ONNX defines them."""
    x = np.array([-1e30, -300.5, -128.5, -2.5, -1.5, -0.5, -0.0, 0.5, 1.5, 2.5, 126.5, 127.5, 254.5,
                  255.5, 1e30, np.inf, -np.inf], np.float32)  # fmt: skip
    for dtype, zeros in [(np.uint8, (0, 7, 255)), (np.int8, (-128, 0, 3)), (np.uint16, (9,)),
                         (np.int16, (0, -5))]:  # fmt: skip
        for zero in zeros:
            g = Graph()
            y = g.add("QuantizeLinear", "x", *g.parameters(1, dtype(zero)))
            model = make_model(g.nodes, [("x", np.float32, x.shape)], g.constants, [y])
            info = np.iinfo(dtype)
            expected = np.clip(np.rint(x.astype(np.float64)) + zero, info.min, info.max)
            found = dlc.compile(model, opt_level=1).run({"x": x})[y]
            assert found.dtype == dtype
            np.testing.assert_array_equal(found, expected)


def make_ties(scale, random):
    """Every half step of 8 bits with its neighbours, and numbers far outside."""
    ties = (np.arange(-260, 261, dtype=np.float64) + 0.5) * np.float64(scale)
    bits = ties.astype(np.float32).view(np.int32)[:, None] + np.arange(-3, 4)
    far = np.array([0, -0.0, np.inf, -np.inf, 3e38, -3e38, 1e-45, -1e-39, 1e-38], np.float32)
    return np.concatenate([bits.astype(np.int32).view(np.float32).reshape(-1), far,
                           (random.standard_normal(2000) * 100 * scale).astype(np.float32)])  # fmt: skip


@pytest.mark.parametrize("unit", ["vnni", "avx2", "sse"])
def test_a_quotient_has_the_bits_of_a_division(unit):
    """Where the machine has fused multiply-adds, scales are divided by with them;
    the largest and smallest mantissas are the hard ones."""
    random = np.random.default_rng(3)
    scales = [*random.uniform(1e-4, 4, 12), 1, 0.5, 1 + 2**-23, 2 - 2**-23, 1 - 2**-24, 2**-50, 2**40, 2**-100, 1 / 3, 0.1]
    x = [make_ties(np.float32(scale), random) for scale in scales]
    size = max(map(len, x))
    x = np.stack([np.resize(v, size) for v in x])
    g = Graph()
    ys = []
    for i, scale in enumerate(scales):
        row = g.add("Gather", "x", g.constant(np.array(i)), axis=0)
        ys.append(g.add("QuantizeLinear", row, g.constant(np.float32(scale)), g.constant(np.uint8(3 * i))))
    model = make_model(g.nodes, [("x", np.float32, x.shape)], g.constants, ys)
    found = compile_for(model, unit).run({"x": x})
    for i, scale in enumerate(scales):
        with np.errstate(over="ignore"):
            quotients = x[i] / np.float32(scale)
        expected = np.clip(np.rint(quotients.astype(np.float64)) + 3 * i, 0, 255)
        np.testing.assert_array_equal(found[ys[i]], expected, err_msg=f"scale {scale!r}")


def make_chains(dtype, dynamic=False):
    """A hard swish as exporters write it, with a pair behind each step: of all
    bytes, and behind convolutions, whose epilogues it becomes."""
    random = np.random.default_rng(6)
    zero = dtype(3)
    g = Graph()

    def swish(x):
        x = g.pair(g.add("Mul", x, g.constant(np.float32([1.1]))), 0.11, dtype(100))
        x = g.pair(g.add("Add", x, g.constant(np.float32([[0.7]]))), 0.09, dtype(60))
        gate = g.pair(g.add("HardSigmoid", x, alpha=1 / 6, beta=0.5), 0.004, dtype(2))
        x = g.pair(g.add("Mul", x, gate), 0.05, dtype(50))
        return g.add("QuantizeLinear", x, *g.parameters(0.047, dtype(9)))

    bytes_ = g.add("DequantizeLinear", "x", *g.parameters(0.1, dtype(90)))
    plain = swish(bytes_)
    w = g.weights(random.standard_normal((48, 12, 1, 1)) * 0.3, np.float32(0.01))
    conv = g.pair(g.add("Conv", bytes_, w), 0.2, zero)
    w = g.weights(random.standard_normal((12, 1, 3, 3)) * 0.3, np.float32(0.01))
    depthwise = g.pair(g.add("Conv", bytes_, w, group=12, pads=[1] * 4), 0.2, zero)
    shape = ["n", 12, "h", "w"] if dynamic else [1, 12, 7, 13]
    outputs = [plain, swish(conv), swish(depthwise)]
    model = make_model(g.nodes, [("x", dtype, shape)], g.constants, outputs)
    x = whole(random, dtype, (1, 12, 7, 13))
    x.reshape(-1)[:256] = np.arange(256).astype(np.uint8).view(dtype)
    return model, x, ReferenceEvaluator(model).run(None, {"x": x})


def assert_chains(found, expected):
    np.testing.assert_array_equal(found[0], expected[0])
    # The reference's sums are of floats, in which a tie may fall the other way.
    for sums, definition in zip(found[1:], expected[1:], strict=True):
        assert (sums == definition).mean() > 0.99 and len(np.unique(definition)) > 20


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("unit", ["vbmi", "vnni", "avx2", "ssse3", "sse"])
def test_chains_of_pairs(unit, dtype, dynamic):
    model, x, expected = make_chains(dtype, dynamic)
    assert_chains(list(compile_for(model, unit).run({"x": x}).values()), expected)


@pytest.mark.parametrize("target", ["aarch64", "armv7", "riscv64"])
def test_chains_of_pairs_emulated(target, tmp_path):
    if not all(map(shutil.which, objects.CROSS[target][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS[target][:2])}")
    model, x, expected = make_chains(np.uint8)
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    made = objects.compile(path, tmp_path, target)
    assert_chains(objects.run_emulated(made, [x], [v.dtype for v in expected]), expected)


FORMATS = {  # the operator set that has the type
    "INT2": 25, "UINT2": 25, "INT4": 21, "UINT4": 21, "INT8": 21, "UINT8": 21, "INT16": 21,
    "UINT16": 21, "FLOAT8E4M3FN": 21, "FLOAT8E4M3FNUZ": 21, "FLOAT8E5M2": 21,
    "FLOAT8E5M2FNUZ": 21, "FLOAT4E2M1": 23,
}  # fmt: skip


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_formats(name, dynamic):
    """One scale, one for each row, one for each block: to the format and back.
    ONNX Runtime knows few of these types; ONNX's evaluator says what they are."""
    random = np.random.default_rng(3)
    x = (random.standard_normal((6, 10)) * 2).astype(np.float32)
    dtype = helper.tensor_dtype_to_np_dtype(getattr(TensorProto, name))
    forms = {"tensor": ((), {}), "axis": ((6,), {"axis": 0}),
             "block": ((6, 3), {"axis": 1, "block_size": 4})}  # fmt: skip
    nodes, constants, reals = [], {}, []
    for form, (shape, attributes) in forms.items():
        constants["s" + form] = random.uniform(0.1, 0.5, shape).astype(np.float32)
        zeros = random.integers(0, 2, shape) if "INT" in name else np.zeros(shape)
        constants["z" + form] = zeros.astype(dtype)
        parameters = ["s" + form, "z" + form]
        reals.append("y" + form)
        nodes += [helper.make_node("QuantizeLinear", ["x", *parameters], ["q" + form], **attributes),
                  helper.make_node("DequantizeLinear", ["q" + form, *parameters], ["y" + form],
                                   **attributes)]  # fmt: skip
    shape = ["a", "b"] if dynamic else x.shape
    model = make_model(nodes, [("x", np.float32, shape)], constants, reals, opset=FORMATS[name])
    model.ir_version = 13
    expected = ReferenceEvaluator(model).run(None, {"x": x})
    found = dlc.compile(model, opt_level=1).run({"x": x})
    for real, value in zip(reals, expected):
        assert len(np.unique(value)) > 2
        np.testing.assert_allclose(found[real], value, 1e-6, 1e-6, err_msg=real)


def longs(*values):
    return np.array(values, np.int64)


# What lies between DequantizeLinear and QuantizeLinear: the op, further
# operands, attributes.
ON_BYTES = {
    "Relu": ([], {}), "LeakyRelu": ([], {}), "Sigmoid": ([], {}), "HardSwish": ([], {}),
    "Clip": ([np.float32(-1), np.float32(2)], {}),
    "MaxPool": ([], {"kernel_shape": [3, 3], "pads": [1] * 4}),
    "AveragePool": ([], {"kernel_shape": [3, 2], "strides": [2, 2], "pads": [1] * 4}),
    "GlobalAveragePool": ([], {}), "GlobalMaxPool": ([], {}),
    "ReduceMean": ([longs(1, 3)], {}), "ReduceSum": ([longs(2)], {}), "ReduceMin": ([longs(3)], {}),
    "Resize": ([np.zeros(0, np.float32), np.array([1, 1, 2, 1.5], np.float32)], {"mode": "nearest"}),
    "linear Resize": ([np.zeros(0, np.float32), np.array([1, 1, 2, 0.5], np.float32)], {"mode": "linear"}),
    "Pad": ([longs(0, 0, 1, 2, 0, 0, 2, 1)], {}),
    "Reshape": ([longs(8, -1)], {}), "Transpose": ([], {"perm": [0, 3, 1, 2]}),
    "Slice": ([longs(1), longs(5), longs(1)], {}), "DepthToSpace": ([], {"blocksize": 2}),
}  # fmt: skip


@pytest.mark.parametrize("op", [*ON_BYTES, "Add", "Mul", "Concat"])
def test_bytes_in_memory(op, tmp_path):
    """No operator needs a tensor of floats larger than a table, a channel's sums
    or the counts of a window, and each is its definition."""
    random = np.random.default_rng(3)
    feeds = {n: whole(random, np.uint8, (1, 8, 12, 14)) for n in ("a", "b")}
    g = Graph()
    scale, zero = g.parameters(0.0313, np.uint8(117))
    a = g.add("DequantizeLinear", "a", scale, zero)
    extras, attributes = ON_BYTES.get(op, ([], {"axis": 1} if op == "Concat" else {}))
    if op in ON_BYTES:
        del feeds["b"]
        extras = [g.constant(x) if x.size else "" for x in map(np.asarray, extras)]
    else:
        extras = [g.add("DequantizeLinear", "b", *g.parameters(0.0271, np.uint8(99)))]
    y = g.add("QuantizeLinear", g.add(op.split()[-1], a, *extras, **attributes), *g.parameters(0.0377, np.uint8(60)))
    inputs = [(n, np.uint8, x.shape) for n, x in feeds.items()]
    model = make_model(g.nodes, inputs, g.constants, [y])
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    text = objects.print_ir(path, "buffer")
    sizes = [math.prod(int(n) for n in re.findall(r"(\d+)x", shape))
             for shape in re.findall(r"memref<((?:\d+x)+)f32", text)]  # fmt: skip
    assert "memref<" in text and max(sizes, default=0) <= 256, sizes
    found = dlc.compile(model, opt_level=1).run(feeds)[y]
    expected = definition.run(model, feeds)[0]
    steps = np.abs(found.astype(int) - expected.astype(int))
    assert len(np.unique(expected)) > 2
    assert steps.max() <= 1 and (steps == 0).mean() >= 0.999


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("scales, transform", [
    ((1, 1, 2, 2), "half_pixel"), ((1, 1, 4, 0.5), "pytorch_half_pixel"), ((1, 1, 0.25, 8), "asymmetric"),
    ((1, 2, 64, 64), "half_pixel"), ((1, 1, 2, 4), "half_pixel_symmetric"), ((1, 1, 1, 1), "half_pixel"),
    ((1, 1, 2, 2), "align_corners"), ((1, 1, 1.5, 0.75), "half_pixel"),
])  # fmt: skip
def test_linear_resize(scales, transform, dtype, dynamic):
    """Where the scales are powers of 2 no sum is rounded before its result is."""
    x = whole(np.random.default_rng(2), dtype, (1, 3, 5, 8))
    zero = np.array(117 if dtype == np.uint8 else -9, dtype)
    how = dict(mode="linear", coordinate_transformation_mode=transform)
    constants = {"s": np.float32(0.037), "z": zero, "scales": np.array(scales, np.float32)}
    nodes = [helper.make_node("DequantizeLinear", ["x", "s", "z"], ["real"]),
             helper.make_node("Resize", ["real", "", "scales"], ["large"], **how),
             helper.make_node("QuantizeLinear", ["large", "s", "z"], ["y"])]  # fmt: skip
    model = make_model(nodes, [("x", dtype, [1, 3, "h", "w"] if dynamic else x.shape)], constants)
    found = dlc.compile(model, opt_level=1).run({"x": x})["y"]
    plain = make_model([helper.make_node("Resize", ["x", "", "scales"], ["y"], **how)], [("x", np.float64, x.shape)],
                       {"scales": constants["scales"]}, opset=19)  # fmt: skip
    exact = ReferenceEvaluator(plain).run(None, {"x": x.astype(np.float64) - float(zero)})[0]
    info = np.iinfo(dtype)
    expected = np.clip(np.rint(exact) + float(zero), info.min, info.max)
    isTie = np.abs(np.abs(exact % 1 - 0.5)) < 1e-4
    isExact = transform != "align_corners" and all(np.log2(scale) % 1 == 0 for scale in scales)
    wrong = np.abs(found.astype(int) - expected)
    assert wrong.max() <= (not isExact) and not wrong[~isTie].any()


#===----------------------------------------------------------------------===#
# Wrong parameters
#===----------------------------------------------------------------------===#


def expect_error(node, inputs, constants, message, **options):
    node.name = "culprit"
    model = make_model([node], inputs, constants, list(node.output), **options)
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


def test_axis_of_a_vector():
    """A vector has one axis only, whatever a file's default says: biases that
    onnx-neural-compressor writes have a scale for each element and no axis."""
    random = np.random.default_rng(4)
    node = helper.make_node("DequantizeLinear", ["x", "s", "z"], ["y"])
    constants = {"s": random.uniform(1, 2, 6).astype(np.float32), "z": np.zeros(6, np.int32)}
    model = make_model([node], [("x", np.int32, (6,))], constants)
    x = random.integers(-1000, 1000, 6, np.int32)
    np.testing.assert_array_equal(dlc.compile(model, opt_level=0).run([x])[0], x.astype(np.float32) * constants["s"])
    expect_error(node, [("x", np.int32, (5,))], constants, "expected a scale or zero point")


@pytest.mark.parametrize("scale", [0.0, np.nan, np.inf])
def test_wrong_scales(scale):
    message = f"of finite numbers other than 0, found {scale:g} at element 1"
    for kind in (np.float32, np.float16, ml_dtypes.bfloat16):
        scales = {"s": np.array([1, scale, 1], kind), "z": np.zeros(3, np.uint8)}
        for op, dtype in (("QuantizeLinear", kind), ("DequantizeLinear", np.uint8)):
            node = helper.make_node(op, ["x", "s", "z"], ["y"], axis=0)
            expect_error(node, [("x", dtype, (3, 2))], scales, message)
    one = {n: np.float32(0.5) for n in ("xs", "ws", "ys")}
    one |= {"xz": np.uint8(0), "wz": np.int8(0), "yz": np.uint8(0), "w": np.ones((4, 3), np.int8)}
    names = ["x", "xs", "xz", "w", "ws", "wz", "ys", "yz"]
    for name in ("xs", "ws", "ys"):
        node = helper.make_node("QLinearMatMul", names, ["y"])
        constants = one | {name: np.float32(scale)}
        expect_error(node, [("x", np.uint8, (2, 4))], constants,
                     f"of finite numbers other than 0, found {scale:g} at element 0")  # fmt: skip


def test_wrong_zero_points():
    add = ["a", "as", "az", "b", "bs", "bz", "ys", "yz"]
    constants = {n: np.float32(0.5) for n in ("as", "bs", "ys")}
    constants |= {"az": np.uint8(0), "bz": np.int8(0), "yz": np.uint8(0)}
    node = helper.make_node("QLinearAdd", add, ["y"], domain="com.microsoft")
    inputs = [("a", np.uint8, (2, 4)), ("b", np.uint8, (2, 4))]
    expect_error(node, inputs, constants, "of type 'ui8', found 'i8'", domains=["com.microsoft"])
    constants |= {"bz": np.uint8(0), "yz": np.int32(0)}
    node = helper.make_node("QLinearAdd", add, ["y"], domain="com.microsoft")
    expect_error(node, inputs, constants, "of type 'ui8', found 'i32'", domains=["com.microsoft"])


def test_zero_points_that_are_zero_have_a_shape():
    """Nothing is subtracted for them."""
    names = ["a", "s", "az", "b", "s", "bz", "s", "yz"]
    constants = {"b": np.ones((12, 20), np.int8), "s": np.float32(0.5), "az": np.zeros(7, np.uint8),
                 "bz": np.int8(0), "yz": np.uint8(0)}  # fmt: skip
    expect_error(helper.make_node("QLinearMatMul", names, ["y"]), [("a", np.uint8, (5, 12))], constants,
                 "expected a zero point that broadcasts to the shape [5, 12], found [7, 1]")  # fmt: skip


def test_wrong_blocks():
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], axis=1, block_size=4)
    scales = {"s": np.ones((2, 3), np.float32)}
    expect_error(node, [("x", np.int8, (2, 8))], scales,
                 "expected 2 scales along axis 1, one for each block of 4 of 8 elements, found 3")  # fmt: skip
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], axis=1, block_size=-1)
    expect_error(node, [("x", np.int8, (2, 8))], scales, "expected a block_size of 0 or more")
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], axis=5, block_size=4)
    expect_error(node, [("x", np.int8, (2, 8))], scales, r"expected an axis in [-2, 2), found 5")
    node = helper.make_node("DequantizeLinear", ["x", "s"], ["y"], axis=2)
    expect_error(node, [("x", np.int8, (2, 8))], {"s": np.ones(3, np.float32)},
                 "expected an axis in [-2, 2), or a scale of one element, found 2")  # fmt: skip


@pytest.mark.parametrize("op", ["QLinearConv", "ConvInteger"])
@pytest.mark.parametrize("which, shape, message", [
    ("xz", (2,), "expected a zero point of one element"), ("wz", (5, 5), "expected a zero point, or one for each filter"),
])  # fmt: skip
def test_wrong_shapes_of_zero_points(op, which, shape, message):
    constants = {"w": np.ones((3, 2, 3, 3), np.int8), "xz": np.uint8(1), "wz": np.int8(1)}
    constants[which] = np.ones(shape, constants[which].dtype)
    names = ["x", "w", "xz", "wz"]
    if op == "QLinearConv":
        constants["s"] = np.float32(0.5)
        constants["yz"] = np.uint8(1)
        names = ["x", "s", "xz", "w", "s", "wz", "s", "yz"]
    expect_error(helper.make_node(op, names, ["y"]), [("x", np.uint8, (1, 2, 5, 5))], constants, message)


def test_a_wrong_pair_is_one_error():
    """The dequantizer with its quantizer's scales adds nothing; another one does."""
    q = helper.make_node("QuantizeLinear", ["x", "s"], ["q"], name="first", axis=1, block_size=4)
    pair = [q] + [helper.make_node("DequantizeLinear", ["q", s], [y], name=name, axis=1, block_size=4)
                  for s, y, name in (("s", "y", "second"), ("t", "z", "third"))]  # fmt: skip
    scales = {"s": np.ones((2, 3), np.float32), "t": np.ones((2, 4), np.float32)}
    with pytest.raises(dlc.CompileError) as caught:
        dlc.compile(make_model(pair, [("x", np.float32, (2, 8))], scales, ["y", "z"]), opt_level=0)
    lines = str(caught.value).splitlines()
    assert [re.search("node '(.*?)'", line)[1] for line in lines if " error: " in line] == ["first", "third"]


def test_wrong_attributes():
    values = {"xs": np.float32(1), "xz": np.uint8(0), "ys": np.float32(1), "yz": np.uint8(0)}
    node = helper.make_node("QLinearConcat", ["xs", "xz", "x"], ["y"], domain="com.microsoft", axis=0)
    expect_error(node, [("x", np.uint8, (2, 8))], values,
                 "expected two inputs and three for each tensor, found 3", domains=["com.microsoft"])  # fmt: skip
