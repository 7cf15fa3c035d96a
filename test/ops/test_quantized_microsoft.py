"""com.microsoft's quantized operators against ONNX Runtime, with static and
dynamic shapes."""

import pathlib
import re
import shutil
import sys
import tempfile

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

HERE = pathlib.Path(__file__).resolve()
sys.path[:0] = [str(HERE.parent), str(HERE.parents[2] / "bench")]
import objects  # noqa: E402
from onenode import check, run_runtime  # noqa: E402
from quantmodels import make_model, whole  # noqa: E402


def evaluate(model, feeds):
    return ort.InferenceSession(model.SerializeToString()).run(None, feeds)


def shape_of(x, dynamic, name):
    """The shape, or a name for each dimension."""
    return [f"{name}{i}" for i in range(x.ndim)] if dynamic else x.shape


def quantized_inputs(random, dtype, *shapes):
    """Values, scale and zero point of each."""
    for i, shape in enumerate(shapes):
        yield from (whole(random, dtype, shape), np.float32(0.02 + 0.01 * i), whole(random, dtype, ()))


MICROSOFT = {
    "QLinearAdd": ([(2, 3, 4, 5), (3, 1, 5)], {}),
    "QLinearMul": ([(2, 3, 4, 5), (2, 3, 4, 5)], {}),
    "QLinearSigmoid": ([(3, 50)], {}),
    "QLinearLeakyRelu": ([(3, 50)], {"alpha": 0.2}),
    "QLinearSoftmax": ([(4, 9)], {"axis": -1, "opset": 13}),
    "QLinearSoftmax of all behind": ([(3, 4, 5)], {"axis": 1, "opset": 11}),
    "QLinearAveragePool": ([(1, 3, 8, 9)], {"kernel_shape": [3, 3], "strides": [2, 2],
                                            "pads": [1, 1, 1, 1]}),  # fmt: skip
    "QLinearGlobalAveragePool": ([(2, 5, 6, 7)], {"channels_last": 0}),
}


@pytest.mark.parametrize("form", MICROSOFT)
def test_zero_point_of_another_type(form):
    """Of the result, whose type is that of the inputs."""
    shapes, attributes = MICROSOFT[form]
    values = list(quantized_inputs(np.random.default_rng(6), np.int8, *shapes))
    values += [np.float32(0.03), np.uint8(0)]
    names = [f"i{i}" for i in range(len(values))]
    tensors = range(0, len(values) - 2, 3)
    model = make_model(
        [helper.make_node(form.split()[0], names, ["y"], domain="com.microsoft", **attributes)],
        [(names[i], np.int8, values[i].shape) for i in tensors],
        {names[i]: v for i, v in enumerate(values) if i not in tensors}, domains=["com.microsoft"],
    )  # fmt: skip
    with pytest.raises(dlc.DlcError, match=f"expected input {len(values) - 1} of type 'i8', found 'ui8'"):
        dlc.compile(model)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("dtype", [np.uint8, np.int8])
@pytest.mark.parametrize("form", MICROSOFT)
def test_microsoft(form, dtype, dynamic):
    shapes, attributes = MICROSOFT[form]
    op = form.split()[0]
    random = np.random.default_rng(6)
    values = list(quantized_inputs(random, dtype, *shapes))
    zero = dtype(np.iinfo(dtype).min) if op == "QLinearSoftmax" else whole(random, dtype, ())
    values += [np.float32(1 / 256 if op == "QLinearSoftmax" else 0.03), zero]
    names = [f"i{i}" for i in range(len(values))]
    tensors = [i for i in range(0, len(values) - 2, 3)]
    model = make_model(
        [helper.make_node(op, names, ["y"], domain="com.microsoft", **attributes)],
        [(names[i], dtype, shape_of(values[i], dynamic, names[i])) for i in tensors],
        {names[i]: v for i, v in enumerate(values) if i not in tensors}, domains=["com.microsoft"],
    )  # fmt: skip
    feeds = {names[i]: values[i] for i in tensors}
    expected = ort.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    found = dlc.compile(model, opt_level=1).run(feeds)["y"]
    difference = np.abs(found.astype(int) - expected.astype(int))
    # ONNX Runtime folds the scales, which moves ties.
    assert found.dtype == expected.dtype and found.shape == expected.shape
    assert difference.max() <= 1 and (difference == 0).mean() > 0.9


@pytest.mark.parametrize("dynamic", [False, True])
def test_microsoft_concat(dynamic):
    random = np.random.default_rng(6)
    values = [np.float32(0.03), np.uint8(7), *quantized_inputs(random, np.uint8, (2, 3), (2, 5))]
    names = [f"i{i}" for i in range(len(values))]
    model = make_model(
        [helper.make_node("QLinearConcat", names, ["y"], domain="com.microsoft", axis=1)],
        [(names[i], np.uint8, shape_of(values[i], dynamic, names[i])) for i in (2, 5)],
        {n: v for n, v in zip(names, values) if n not in ("i2", "i5")}, domains=["com.microsoft"],
    )  # fmt: skip
    feeds = {"i2": values[2], "i5": values[5]}
    expected = ort.InferenceSession(model.SerializeToString()).run(None, feeds)[0]
    found = dlc.compile(model, opt_level=1).run(feeds)["y"]
    assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("quantized", [False, True])
def test_microsoft_gemm(quantized, dynamic):
    random = np.random.default_rng(9)
    a, b = whole(random, np.uint8, (5, 12)), whole(random, np.int8, (20, 12))
    constants = {"as": np.float32(0.02), "az": np.uint8(100), "b": b,
                 "bs": random.uniform(0.01, 0.02, 20).astype(np.float32),
                 "bz": np.zeros(20, np.int8), "c": random.integers(-900, 900, 20, np.int32)}  # fmt: skip
    inputs = ["a", "as", "az", "b", "bs", "bz", "c"]
    if quantized:
        constants |= {"ys": np.float32(0.3), "yz": np.uint8(120)}
        inputs += ["ys", "yz"]
    node = helper.make_node("QGemm", inputs, ["y"], domain="com.microsoft", transB=1, alpha=1.5)
    model = make_model([node], [("a", np.uint8, shape_of(a, dynamic, "a"))], constants, domains=["com.microsoft"])
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"a": a})[0]
    found = dlc.compile(model, opt_level=1).run({"a": a})["y"]
    assert found.dtype == expected.dtype
    if quantized:
        assert np.abs(found.astype(int) - expected.astype(int)).max() <= 1
    else:
        np.testing.assert_allclose(found, expected, 1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("op", ["MatMulIntegerToFloat", "DynamicQuantizeMatMul"])
def test_microsoft_dynamic(op, dynamic):
    random = np.random.default_rng(9)
    b = whole(random, np.int8, (12, 20))
    constants = {"b": b, "bs": np.float32(0.02), "bz": np.int8(4),
                 "bias": random.standard_normal(20).astype(np.float32)}  # fmt: skip
    if op == "MatMulIntegerToFloat":
        a = whole(random, np.uint8, (5, 12))
        constants |= {"as": np.float32(0.03), "az": np.uint8(100)}
        inputs = ["a", "b", "as", "bs", "az", "bz", "bias"]
    else:
        a = random.standard_normal((5, 12)).astype(np.float32)
        inputs = ["a", "b", "bs", "bz", "bias"]
    node = helper.make_node(op, inputs, ["y"], domain="com.microsoft")
    model = make_model([node], [("a", a.dtype, shape_of(a, dynamic, "a"))], constants, domains=["com.microsoft"])
    expected = ort.InferenceSession(model.SerializeToString()).run(None, {"a": a})[0]
    np.testing.assert_allclose(
        dlc.compile(model, opt_level=1).run({"a": a})["y"], expected, 1e-4, 1e-4
    )


def run_both(node, values, tensors, dynamic=False):
    """What ONNX Runtime and dlc make of a node, whose inputs are named; those in `tensors` are given at run time."""
    model = make_model(
        [node], [(n, values[n].dtype, shape_of(values[n], dynamic, n)) for n in tensors],
        {n: v for n, v in values.items() if n not in tensors}, domains=["com.microsoft"],
    )  # fmt: skip
    feeds = {n: values[n] for n in tensors}
    return evaluate(model, feeds)[0], dlc.compile(model, opt_level=1).run(feeds)["y"]


def make_microsoft(op, values, **attributes):
    return helper.make_node(op, list(values), ["y"], domain="com.microsoft", **attributes)


@pytest.mark.parametrize("dynamic", [False, True])
def test_microsoft_where(dynamic):
    random = np.random.default_rng(6)
    names = ["x", "xs", "xz", "y0", "ys", "yz"]
    values = {"c": random.integers(0, 2, (4, 5)).astype(bool)}
    values |= dict(zip(names, quantized_inputs(random, np.uint8, (3, 4, 5), (1, 5))))
    values |= {"zs": np.float32(0.03), "zz": np.uint8(9)}
    wanted, found = run_both(make_microsoft("QLinearWhere", values), values, ["c", "x", "y0"], dynamic)
    assert found.shape == wanted.shape and np.abs(found.astype(int) - wanted.astype(int)).max() <= 1


@pytest.mark.parametrize("channels_last", [0, 1])
def test_microsoft_conv(channels_last):
    random = np.random.default_rng(6)
    shape = (2, 7, 6, 4) if channels_last else (2, 4, 7, 6)
    values = {"x": whole(random, np.uint8, shape), "xs": np.float32(0.02), "xz": np.uint8(100),
              "w": whole(random, np.int8, (5, 4, 3, 3)), "ws": random.uniform(0.01, 0.02, 5).astype(np.float32),
              "wz": np.zeros(5, np.int8), "ys": np.float32(0.3), "yz": np.uint8(120),
              "b": random.integers(-900, 900, 5, np.int32)}  # fmt: skip
    node = make_microsoft("QLinearConv", values, channels_last=channels_last, pads=[1] * 4)
    wanted, found = run_both(node, values, ["x"])
    assert found.shape == wanted.shape and np.abs(found.astype(int) - wanted.astype(int)).max() <= 1


def test_microsoft_integers():
    """ONNX Runtime has no kernel for the first two; numpy's answer is wanted."""
    random = np.random.default_rng(6)
    outputs = [(np.int32, 3)]
    a, b = whole(random, np.int8, (2, 3, 4)), whole(random, np.int8, (4,))
    az, bz = np.int8(3), np.int8(-5)
    product = (a.astype(np.int32) - az) * (b.astype(np.int32) - bz)
    check("MulInteger", [a, np.array(az), b, np.array(bz)], outputs, domain="com.microsoft", wanted=[product],
          opt_level=1)  # fmt: skip
    x, scale, zero = a, np.array(0.1, np.float32), np.array(np.int8(3))
    mean = (np.float32(0.1) * (x.astype(np.float32) - 3)).mean(1, keepdims=True) / np.float32(0.05) - 4
    check("QLinearReduceMean", [x, scale, zero, np.array(0.05, np.float32), np.array(np.int8(-4))], [(np.int8, 3)],
          domain="com.microsoft", axes=[1], keepdims=1, opt_level=1,
          wanted=[np.clip(np.rint(mean), -128, 127).astype(np.int8)])  # fmt: skip
    check("MatMulInteger16", [a.astype(np.int16) * 100, a.astype(np.int16).swapaxes(1, 2).copy()], outputs,
          domain="com.microsoft", opt_level=1)  # fmt: skip


@pytest.mark.parametrize("per_channel", [False, True])
def test_microsoft_lstm(per_channel):
    """As an LSTM of the real weights: ONNX Runtime also rounds what goes in to 8 bits."""
    random = np.random.default_rng(6)
    x = random.standard_normal((5, 2, 6)).astype(np.float32)
    shape = (1, 16) if per_channel else (1,)
    values = {"x": x, "w": whole(random, np.int8, (1, 6, 16)), "r": whole(random, np.int8, (1, 4, 16)),
              "b": random.standard_normal((1, 32)).astype(np.float32)}  # fmt: skip
    scales = [random.uniform(0.002, 0.006, shape).astype(np.float32) for _ in range(2)]
    # Of channels, ONNX Runtime takes none but 0.
    zeros = [np.full(shape, 0 if per_channel else z, np.int8) for z in (3, -2)]
    inputs = [x, values["w"], values["r"], values["b"], *[None] * 4, scales[0], zeros[0], scales[1], zeros[1]]

    def widen(w, scale, zero):
        lift = (lambda p: p[:, None]) if per_channel else (lambda p: p[:, None, None])
        return ((w.astype(np.float32) - lift(zero)) * lift(scale)).swapaxes(1, 2).copy()

    outputs, how = [(np.float32, 4), (np.float32, 3), (np.float32, 3)], dict(hidden_size=4)
    plain = [x, widen(values["w"], scales[0], zeros[0]), widen(values["r"], scales[1], zeros[1]), values["b"]]
    wanted = run_runtime("LSTM", plain, outputs, **how)
    check("DynamicQuantizeLSTM", inputs, outputs, domain="com.microsoft", opt_level=1, constants=(1, 2, 8, 9, 10, 11),
          wanted=wanted, **how)  # fmt: skip
    rounded = run_runtime("DynamicQuantizeLSTM", inputs, outputs, domain="com.microsoft", **how)
    np.testing.assert_allclose(wanted[0], rounded[0], atol=0.02)



#===----------------------------------------------------------------------===#
# Weights in blocks
#===----------------------------------------------------------------------===#


def make_blocks(random, n, k, bits, block, zeros):
    """The weights of a MatMulNBits: its inputs behind the first, by name."""
    blocks = -(-k // block)
    constants = {"b": whole(random, np.uint8, (n, blocks, block * bits // 8)),
                 "s": random.uniform(0.01, 0.02, n * blocks).astype(np.float32)}  # fmt: skip
    if zeros == "packed":
        constants["z"] = whole(random, np.uint8, n * -(-blocks * bits // 8))
    elif zeros == "float":
        constants["z"] = random.uniform(0, 2**bits, n * blocks).astype(np.float32)
    return constants


# The input's shape but for K, then K, N, bits, block, zero points, bias.
PRODUCTS = [
    ((1,), 64, 40, 4, 32, None, False), ((3,), 100, 37, 4, 16, "packed", True),
    ((6,), 128, 130, 8, 32, "packed", False), ((2,), 128, 33, 2, 64, "packed", True),
    ((2, 5), 200, 64, 4, 64, "float", False), ((1,), 128, 33, 8, 128, None, True),
    ((4,), 32, 70, 2, 16, None, False), ((37,), 100, 70, 4, 1024, "packed", False),
    ((11,), 3000, 70, 4, 32, "packed", False), ((17,), 2600, 33, 8, 512, "packed", True),
]  # fmt: skip


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("lead, k, n, bits, block, zeros, bias", PRODUCTS)
def test_matmul_nbits(lead, k, n, bits, block, zeros, bias, dynamic):
    random = np.random.default_rng(7)
    constants = make_blocks(random, n, k, bits, block, zeros)
    names = ["a", *constants]
    if bias:
        names += [""] * (5 - len(names)) + ["bias"]
        constants["bias"] = random.standard_normal(n).astype(np.float32)
    node = helper.make_node("MatMulNBits", names, ["y"], domain="com.microsoft", K=k, N=n,
                            bits=bits, block_size=block)  # fmt: skip
    a = random.standard_normal((*lead, k)).astype(np.float32)
    shape = [*shape_of(a, dynamic, "d")[:-1], k]
    model = make_model([node], [("a", np.float32, shape)], constants, domains=["com.microsoft"])
    expected = evaluate(model, {"a": a})[0]
    for threads in (1, 2):
        found = dlc.compile(model, opt_level=1).run({"a": a}, threads=threads)["y"]
        np.testing.assert_allclose(found, expected, 1e-4, 1e-4 * np.abs(expected).max())


def make_rows(random, rows, k):
    """Of many sizes: by blocks, all 0, near the smallest and largest numbers."""
    a = random.standard_normal((rows, k)) * 10.0 ** random.uniform(-3, 3, (rows, k))
    for row, factor in zip(range(rows), (1, 1, 0, 1e-38, 1e30, 1e-20)):
        a[row] *= factor
    a[:, :16] *= 1e-6
    return a.astype(np.float32)


@pytest.mark.parametrize("bits, block, zeros", [(4, 32, None), (4, 16, "packed"), (8, 256, None), (2, 128, "float"),
                                                (8, 512, "packed"), (4, 256, "float")])  # fmt: skip
def test_matmul_nbits_rounds_as_float32(bits, block, zeros):
    """Rows, one or more, as whole numbers in digits: against float64, no worse than
    float32's rounding of each product."""
    random, k, n = np.random.default_rng(8), 1000, 70
    constants = make_blocks(random, n, k, bits, block, zeros)
    node = helper.make_node("MatMulNBits", ["a", *constants], ["y"], domain="com.microsoft", K=k, N=n,
                            bits=bits, block_size=block)  # fmt: skip
    blocks = -(-k // block)

    def unpack(x, count):
        x = x.reshape(n, -1)[..., None] >> np.arange(0, 8, bits, dtype=np.uint8) & (2**bits - 1)
        return x.reshape(n, -1)[:, :count].astype(np.float64)

    zero = {"float": lambda: constants["z"].reshape(n, blocks).astype(np.float64),
            "packed": lambda: unpack(constants["z"], blocks), None: lambda: 2.0 ** (bits - 1)}[zeros]()  # fmt: skip
    q = unpack(constants["b"], blocks * block)
    scales = constants["s"].reshape(n, blocks).astype(np.float64)
    w = (q - np.repeat(np.broadcast_to(zero, scales.shape), block, 1)) * np.repeat(scales, block, 1)
    size = ((q + np.repeat(np.broadcast_to(zero, scales.shape), block, 1)) * np.repeat(scales, block, 1))[:, :k]
    w = w[:, :k]
    for shape in ([1, k], [8, k], [19, k], ["m", k]):
        model = make_model([node], [("a", np.float32, shape)], constants, domains=["com.microsoft"])
        compiled = dlc.compile(model, opt_level=1)
        for rows in (1, 3, 8, 9, 20) if shape[0] == "m" else shape[:1]:
            a = make_rows(random, rows, k)
            found = compiled.run({"a": a})["y"]
            exact = a.astype(np.float64)
            bound = 1e-6 * np.abs(exact) @ size.T + 1e-44 * k
            assert (np.abs(found - exact @ w.T) <= bound).all(), (shape, rows)
            a[0, 3], a[-1, 5] = (np.nan, np.nan) if rows == 1 else (np.inf, np.nan)
            found = compiled.run({"a": a})["y"]
            assert not np.isfinite(found[[0, -1]]).any()
            assert (np.abs(found - exact @ w.T)[1:-1] <= bound[1:-1]).all()


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("features", ["+dotprod", "+dotprod,+i8mm"])
def test_matmul_nbits_arm_dots(features, bits, tmp_path):
    if not all(map(shutil.which, objects.CROSS["aarch64"][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS['aarch64'][:2])}")
    random = np.random.default_rng(9)
    constants = make_blocks(random, 70, 96, bits, 32, "packed")
    node = helper.make_node("MatMulNBits", ["a", *constants], ["y"], domain="com.microsoft", K=96, N=70,
                            bits=bits, block_size=32)  # fmt: skip
    a = random.standard_normal((3, 96)).astype(np.float32)
    model = make_model([node], [("a", np.float32, a.shape)], constants, domains=["com.microsoft"])
    onnx.save(model, tmp_path / "network.onnx")
    made = objects.compile(tmp_path / "network.onnx", tmp_path, "aarch64", ["-O1", f"-mattr={features}"])
    (found,) = objects.run_emulated(made, [a], [np.float32])
    expected = evaluate(model, {"a": a})[0]
    np.testing.assert_allclose(found, expected, 1e-5, 1e-5 * np.abs(expected).max())


@pytest.mark.parametrize("target", ["aarch64", "armv7"])
def test_matmul_nbits_emulated(target, tmp_path):
    if not all(map(shutil.which, objects.CROSS[target][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS[target][:2])}")
    random = np.random.default_rng(7)
    node = helper.make_node("MatMulNBits", ["a", "b", "s", "z"], ["y"], domain="com.microsoft",
                            K=96, N=70, bits=4, block_size=32)  # fmt: skip
    constants = make_blocks(random, 70, 96, 4, 32, "packed")
    a = random.standard_normal((5, 96)).astype(np.float32)
    model = make_model([node], [("a", np.float32, a.shape)], constants, domains=["com.microsoft"])
    path = tmp_path / "network.onnx"
    onnx.save(model, path)
    made = objects.compile(path, tmp_path, target, ["-O1"])
    (found,) = objects.run_emulated(made, [a], [np.float32])
    expected = evaluate(model, {"a": a})[0]
    np.testing.assert_allclose(found, expected, 1e-4, 1e-4 * np.abs(expected).max())


def test_matmul_nbits_stays_packed():
    """The object holds the weights in their bits."""
    random = np.random.default_rng(7)
    node = helper.make_node("MatMulNBits", ["a", "b", "s"], ["y"], domain="com.microsoft", K=512,
                            N=512, bits=4, block_size=32)  # fmt: skip
    constants = make_blocks(random, 512, 512, 4, 32, None)
    model = make_model([node], [("a", np.float32, (1, 512))], constants, domains=["com.microsoft"])
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "network.onnx"
        onnx.save(model, path)
        made = objects.compile(path, pathlib.Path(folder))
        assert made.size < 512 * 512 * 4 / 4


def test_matmul_nbits_by_group():
    """Each k has a block of its own choice; ONNX Runtime knows that in one form
    only, so numpy says what is expected."""
    random = np.random.default_rng(7)
    constants = make_blocks(random, 20, 64, 4, 16, "packed")
    constants["g"] = random.permutation(np.arange(64) // 16).astype(np.int32)
    node = helper.make_node("MatMulNBits", ["a", "b", "s", "z", "g"], ["y"],
                            domain="com.microsoft", K=64, N=20, bits=4, block_size=16)  # fmt: skip
    a = random.standard_normal((3, 64)).astype(np.float32)
    model = make_model([node], [("a", np.float32, a.shape)], constants, domains=["com.microsoft"])

    def unpack(x):
        return np.stack([x & 15, x >> 4], -1).reshape(20, -1).astype(np.float64)

    group = constants["g"]
    scales = constants["s"].reshape(20, 4)[:, group]
    weights = (unpack(constants["b"]) - unpack(constants["z"].reshape(20, 2))[:, group]) * scales
    found = dlc.compile(model, opt_level=1).run({"a": a})["y"]
    np.testing.assert_allclose(found, a @ weights.T, 1e-5, 1e-5)


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("form", ["uint8", "uint8 8 bits", "uint4", "int4"])
def test_gather_block_quantized(form, dynamic):
    random = np.random.default_rng(7)
    rows, size, block = 11, 64, 16
    bits = 8 if "8 bits" in form else 4
    indices = random.integers(0, rows, (2, 3))
    constants = {"s": random.uniform(0.01, 0.02, (rows, size // block)).astype(np.float32)}
    if form.startswith("uint8"):
        constants["d"] = whole(random, np.uint8, (rows, size * bits // 8))
        constants["z"] = whole(random, np.uint8, (rows, size // block * bits // 8))
    else:
        import ml_dtypes

        dtype = getattr(ml_dtypes, form)
        low = -8 if form == "int4" else 0
        constants["d"] = random.integers(low, low + 16, (rows, size)).astype(dtype)
        constants["z"] = random.integers(low, low + 16, (rows, size // block)).astype(dtype)
    for names in (["d", "i", "s", "z"], ["d", "i", "s"]):
        node = helper.make_node("GatherBlockQuantized", names, ["y"], domain="com.microsoft",
                                gather_axis=0, quantize_axis=1, block_size=block, bits=bits)  # fmt: skip
        used = {n: v for n, v in constants.items() if n in names}
        model = make_model([node], [("i", np.int64, shape_of(indices, dynamic, "i"))], used,
                           domains=["com.microsoft"])  # fmt: skip
        expected = evaluate(model, {"i": indices})[0]
        found = dlc.compile(model, opt_level=1).run({"i": indices})["y"]
        np.testing.assert_allclose(found, expected, 1e-6, 1e-6)


#===----------------------------------------------------------------------===#
# QAttention
#===----------------------------------------------------------------------===#

MASKS = {
    None: None,
    "ends": np.array([4, 2], np.int32),
    "ends and beginnings": np.array([4, 3, 1, 0], np.int32),
    "each": np.array([[1, 1, 1, 0], [1, 0, 1, 1]], np.int32),
    "each pair": np.array([[[1, 1, 0, 1]] * 4, [[1, 0, 1, 1]] * 4], np.int32),
}


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("mask, causal, past", [
    *((mask, False, 0) for mask in MASKS), (None, True, 0), (None, True, 3), ("each", True, 0),
])  # fmt: skip
def test_qattention(mask, causal, past, dynamic):
    random = np.random.default_rng(7)
    heads, size, width = 2, 8, 12
    x = whole(random, np.uint8, (2, 4, width))
    columns = 3 * heads * size
    constants = {"w": whole(random, np.int8, (width, columns)),
                 "bias": random.standard_normal(columns).astype(np.float32),
                 "xs": np.float32(0.01),
                 "ws": random.uniform(0.005, 0.01, columns).astype(np.float32),
                 "xz": np.uint8(120), "wz": np.zeros(columns, np.int8)}  # fmt: skip
    inputs, feeds = [("x", np.uint8, shape_of(x, dynamic, "x"))], {"x": x}
    names = ["x", "w", "bias", "xs", "ws", "mask" if mask else "", "xz", "wz"]
    if mask:
        feeds["mask"] = MASKS[mask]
        inputs.append(("mask", np.int32, shape_of(MASKS[mask], dynamic, "m")))
    outputs = ["y"]
    if past:
        feeds["past"] = random.standard_normal((2, 2, heads, past, size)).astype(np.float32)
        inputs.append(("past", np.float32, [2, *shape_of(feeds["past"], dynamic, "p")[1:]]))
        names.append("past")
        outputs.append("present")
    node = helper.make_node("QAttention", names, outputs, domain="com.microsoft",
                            num_heads=heads, unidirectional=int(causal))  # fmt: skip
    model = make_model([node], inputs, constants, outputs, domains=["com.microsoft"])
    expected = evaluate(model, feeds)
    found = dlc.compile(model, opt_level=1).run(feeds)
    for name, value in zip(outputs, expected):
        np.testing.assert_allclose(found[name], value, 1e-4, 1e-5)


#===----------------------------------------------------------------------===#
# Wrong nodes
#===----------------------------------------------------------------------===#


@pytest.mark.parametrize("change, message", [
    ({"bits": 3}, "expected bits of 2, 4 or 8, found 3"),
    ({"block_size": 24}, "expected a block_size that is a power of 2 of at least 16, found 24"),
    ({"N": 0}, "expected K and N of 1 or more, found 64 and 0"),
    ({"N": 21}, "of 21 x 32 elements"),
    ({"K": 60}, "an input whose last dimension is K"),
])  # fmt: skip
def test_wrong_products(change, message):
    constants = make_blocks(np.random.default_rng(7), 20, 64, 4, 32, None)
    attributes = {"K": 64, "N": 20, "bits": 4, "block_size": 32} | change
    node = helper.make_node("MatMulNBits", ["a", "b", "s"], ["y"], name="culprit",
                            domain="com.microsoft", **attributes)  # fmt: skip
    model = make_model([node], [("a", np.float32, (3, 64))], constants, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("name, value, message", [
    ("z", np.zeros(20, np.int8), "expected zero points packed in ui8, or real ones, found 'i8'"),
    ("s", np.ones(40, np.int64), "of floats, found 'i64'"),
])  # fmt: skip
def test_wrong_parameters_of_products(name, value, message):
    constants = make_blocks(np.random.default_rng(7), 20, 64, 4, 32, "packed") | {name: value}
    node = helper.make_node("MatMulNBits", ["a", "b", "s", "z"], ["y"], name="culprit", domain="com.microsoft",
                            K=64, N=20, bits=4, block_size=32)  # fmt: skip
    model = make_model([node], [("a", np.float32, (3, 64))], constants, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("name, value, message", [
    ("as", np.float16(0.5), "expected input 1 of type 'f32', found 'f16'"),
    ("bs", np.ones(20), "expected input 4 of type 'f32', found 'f64'"),
    ("ys", np.float16(0.5), "expected input 7 of type 'f32', found 'f16'"),
    ("c", np.zeros(20, np.float32), "expected input 6 of type 'i32', found 'f32'"),
])  # fmt: skip
def test_wrong_types_of_gemm(name, value, message):
    constants = {"as": np.float32(0.5), "az": np.uint8(1), "b": np.ones((12, 20), np.int8), "bs": np.float32(0.5),
                 "bz": np.int8(0), "c": np.zeros(20, np.int32), "ys": np.float32(1), "yz": np.uint8(1)}  # fmt: skip
    node = helper.make_node("QGemm", ["a", *constants], ["y"], name="culprit", domain="com.microsoft")
    model = make_model([node], [("a", np.uint8, (5, 12))], constants | {name: value}, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("op, number", [("MatMulIntegerToFloat", 3), ("DynamicQuantizeMatMul", 2)])
def test_wrong_types_of_dynamic_products(op, number):
    message = f"expected input {number} of type 'f32', found 'f64'"
    constants = {"b": np.ones((12, 20), np.int8), "as": np.float32(0.5), "bs": np.ones(20)}
    names, dtype = (["a", "b", "as", "bs"], np.uint8) if op == "MatMulIntegerToFloat" else (["a", "b", "bs"], np.float32)
    node = helper.make_node(op, names, ["y"], name="culprit", domain="com.microsoft")
    model = make_model([node], [("a", dtype, (5, 12))], {n: constants[n] for n in names[1:]}, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("name, value, message", [
    ("ws", np.array([np.nan], np.float32), "expected input 8 of finite numbers other than 0, found nan"),
    ("rz", np.zeros(1, np.uint8), "expected input 11 of type 'i8', found 'ui8'"),
])  # fmt: skip
def test_wrong_parameters_of_lstm(name, value, message):
    constants = {n: np.ones((1, 4, 16), np.int8) for n in "wr"}
    constants |= {n: np.full(1, 0.1, np.float32) for n in ("ws", "rs")} | {n: np.zeros(1, np.int8) for n in ("wz", "rz")}
    node = helper.make_node("DynamicQuantizeLSTM", ["x", "w", "r", *[""] * 5, "ws", "wz", "rs", "rz"], ["y"],
                            name="culprit", domain="com.microsoft", hidden_size=4)  # fmt: skip
    model = make_model([node], [("x", np.float32, (3, 1, 4))], constants | {name: value}, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("attributes, shape, message", [
    ({"block_size": 24}, (4, 4), "expected a block_size that is a power of 2"),
    ({"quantize_axis": 0}, (4, 4), "expected blocks along another axis than the gathered 0"),
    ({}, (4,), "expected scales of the data's rank 2, found rank 1"),
    ({}, (4, 3), "expected a scale for each block of 16 of 64 elements along axis 1, found 3"),
    ({"bits": 5}, (4, 4), "expected bits of 2, 4 or 8, found 5"),
])  # fmt: skip
def test_wrong_gathers(attributes, shape, message):
    attributes = {"gather_axis": 0, "quantize_axis": 1, "block_size": 16, "bits": 4} | attributes
    node = helper.make_node("GatherBlockQuantized", ["d", "i", "s"], ["y"], name="culprit",
                            domain="com.microsoft", **attributes)  # fmt: skip
    constants = {"d": np.zeros((4, 32), np.uint8), "s": np.ones(shape, np.float32)}
    model = make_model([node], [("i", np.int64, (2,))], constants, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)


@pytest.mark.parametrize("change, message", [
    ({"num_heads": 5}, "expected weights of 3 times num_heads = 5 times a size columns"),
    ({"do_rotary": 1}, "expected neither do_rotary nor past_present_share_buffer"),
])  # fmt: skip
def test_wrong_attention(change, message):
    constants = {"w": np.zeros((12, 48), np.int8), "bias": np.zeros(48, np.float32),
                 "s": np.float32(0.1)}  # fmt: skip
    node = helper.make_node("QAttention", ["x", "w", "bias", "s", "s"], ["y"], name="culprit",
                            domain="com.microsoft", **({"num_heads": 2} | change))  # fmt: skip
    model = make_model([node], [("x", np.uint8, (2, 4, 12))], constants, domains=["com.microsoft"])
    with pytest.raises(dlc.CompileError, match=f"'culprit'.*{re.escape(message)}"):
        dlc.compile(model, opt_level=0)
