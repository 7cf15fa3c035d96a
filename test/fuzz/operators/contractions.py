"""Products and convolutions."""

import numpy as np
from builder import Discard
from operators.table import makes


def matrices(b, integers=False):
    """Shapes of two operands of a MatMul."""
    m, k, n = (b.choose([1, 2, 3, 5, 8, 16, 17, 33, 40]) for _ in range(3))
    batch = [b.integer(1, 3) for _ in range(b.choose([0, 0, 1, 2]))]
    left = [1 if b.chance(0.2) else size for size in batch][b.integer(0, len(batch)) if b.chance(0.3) else 0:]
    right = batch[b.integer(0, len(batch)) if b.chance(0.4) else 0:]
    a = (k,) if b.chance(0.1) and not integers else (*left, m, k)
    c = (k,) if b.chance(0.1) and not integers else (*right, k, n)
    return a, c


@makes("MatMul")
def matmul(b, op):
    dtype = b.dtype(op)
    x = b.tensor(dtype, fits=lambda array: array.ndim >= 2 and array.size > 0)
    shape = b.array(x).shape
    if b.chance(0.5) and len(shape) >= 2:
        return b.node(op, [x, b.fresh(dtype, (shape[-1], b.size() or 1), constant=0.6)])
    a, c = matrices(b)
    return b.node(op, [b.tensor(dtype, a, reuse=0.2), b.fresh(dtype, c, constant=0.5)])


@makes("Gemm")
def gemm(b, op):
    dtype = b.dtype(op)
    m, k, n = (b.choose([1, 2, 3, 5, 8, 16, 17, 33, 40]) for _ in range(3))
    attributes = {name: b.integer(0, 1) for name in ("transA", "transB") if b.chance(0.5)}
    attributes |= {name: b.choose([0.5, 2.0, 0.0]) for name in ("alpha", "beta") if b.chance(0.3)}
    if dtype.kind in "iu":
        attributes = {k_: v for k_, v in attributes.items() if k_ not in ("alpha", "beta")}
    a = (k, m) if attributes.get("transA") else (m, k)
    c = (n, k) if attributes.get("transB") else (k, n)
    inputs = [b.tensor(dtype, a, reuse=0.4), b.fresh(dtype, c, constant=0.6)]
    version = b.version(op)
    bias = b.choose([(m, n), (n,), (1, n), (m, 1), (1, 1), (1,), ()])
    if version < 7:
        bias = (m, n) if b.chance(0.5) else (n,)
        attributes["broadcast"] = int(bias == (n,))
    elif version >= 11 and b.chance(0.3):
        return b.node(op, inputs, **attributes)
    return b.node(op, [*inputs, b.fresh(dtype, bias, constant=0.6)], **attributes)


@makes("MatMulInteger")
def matmul_integer(b, op):
    a, c = matrices(b, integers=True)
    left, right = b.choose(b.types(op, "T1")), b.choose(b.types(op, "T2"))
    inputs = [b.fresh(left, a, low=-128, high=255), b.fresh(right, c, constant=0.6, low=-128, high=255)]
    for dtype, given in ((left, 0.6), (right, 0.5)):
        if not b.chance(given):
            break
        inputs.append(b.constant(b.random_array(dtype, (), low=0, high=9), 0.6))
    return b.node(op, inputs)


def window(b, spatial, dilate=True):
    """Sizes, kernel and attributes of a sliding window that fits."""
    kernel = [b.choose([1, 2, 3, 3, 5]) for _ in range(spatial)]
    attributes = {}
    dilations = [1] * spatial
    if dilate and b.chance(0.3):
        dilations = attributes["dilations"] = [b.integer(1, 2) for _ in range(spatial)]
    if b.chance(0.5):
        attributes["strides"] = [b.integer(1, 3) for _ in range(spatial)]
    reach = [(k - 1) * d + 1 for k, d in zip(kernel, dilations)]
    style = b.choose(["none", "pads", "pads", "SAME_UPPER", "SAME_LOWER", "VALID"])
    if style == "pads":
        attributes["pads"] = [b.integer(0, min(2, k - 1)) for k in kernel * 2]
    elif style != "none":
        attributes["auto_pad"] = style
        # ONNX Runtime pads by less than nothing where a stride leaves gaps.
        if style != "VALID" and any(s > k for s, k in zip(attributes.get("strides", []), kernel)):
            attributes.pop("strides")
        if style != "VALID" and dilations != [1] * spatial:
            attributes.pop("dilations", None)
            reach = kernel
    sizes = [r + b.choose([0, 1, 2, 5, 9]) for r in reach]
    return sizes, kernel, attributes


def convolution(b):
    spatial = b.choose([1, 2, 2, 2, 3])
    sizes, kernel, attributes = window(b, spatial)
    group = b.choose([1, 1, 1, 2, 3])
    inner, outer = b.choose([1, 2, 3, 8]), b.choose([1, 2, 3, 8])
    if b.chance(0.2):
        inner = 1  # depthwise
    if group > 1:
        attributes["group"] = group
    if b.chance(0.5):
        attributes["kernel_shape"] = kernel
    image = (b.integer(1, 2), inner * group, *sizes)
    return image, (outer * group, inner, *kernel), attributes


@makes("Conv")
def conv(b, op):
    dtype = b.dtype(op)
    image, weights, attributes = convolution(b)
    inputs = [b.tensor(dtype, image, reuse=0.3), b.fresh(dtype, weights, constant=0.7, low=-1, high=1)]
    if b.chance(0.5):
        inputs.append(b.fresh(dtype, weights[:1], constant=0.7))
    return b.node(op, inputs, **attributes)


@makes("ConvTranspose")
def conv_transpose(b, op):
    dtype = b.dtype(op)
    spatial = b.choose([1, 2, 2, 3])
    kernel = [b.choose([1, 2, 3]) for _ in range(spatial)]
    attributes = {}
    strides = [b.integer(1, 3) for _ in range(spatial)]
    if b.chance(0.6):
        attributes["strides"] = strides
    else:
        strides = [1] * spatial
    if b.chance(0.2):
        attributes["dilations"] = [b.integer(1, 2) for _ in range(spatial)]
    if b.chance(0.4):
        attributes["pads"] = [b.integer(0, k - 1) for k in kernel * 2]
    elif b.chance(0.2) and "dilations" not in attributes:
        attributes["auto_pad"] = b.choose(["SAME_UPPER", "SAME_LOWER", "VALID"])
    if attributes.get("auto_pad", "VALID") != "VALID" and any(k < s for k, s in zip(kernel, strides)):
        raise Discard("a negative padding, which each engine halves in its own way")
    if b.chance(0.2) and max(strides) > 1 and "auto_pad" not in attributes:
        attributes["output_padding"] = [b.integer(0, s - 1) for s in strides]
    group = b.choose([1, 1, 2])
    if group > 1:
        attributes["group"] = group
    inner, outer = b.integer(1, 4), b.integer(1, 4)
    inputs = [
        b.tensor(dtype, (b.integer(1, 2), inner * group, *(b.integer(1, 6) for _ in kernel)), reuse=0.2),
        b.fresh(dtype, (inner * group, outer, *kernel), constant=0.7),
    ]
    if b.chance(0.4):
        inputs.append(b.fresh(dtype, (outer * group,), constant=0.7))
    return b.node(op, inputs, **attributes)


@makes("ConvInteger")
def conv_integer(b, op):
    image, weights, attributes = convolution(b)
    x, w = b.choose(b.types(op, "T1")), b.choose(b.types(op, "T2"))
    inputs = [b.fresh(x, image, low=-128, high=255), b.fresh(w, weights, constant=0.7, low=-128, high=255)]
    if b.chance(0.6):
        inputs.append(b.constant(b.random_array(x, (), low=0, high=9), 0.6))
        if b.chance(0.5):
            inputs.append(b.constant(b.random_array(w, (), low=0, high=9), 0.6))
    return b.node(op, inputs, **attributes)


@makes("DeformConv")
def deform_conv(b, op):
    dtype = b.dtype(op, among=[np.float32, np.float64])
    sizes, kernel, attributes = window(b, 2)
    attributes.pop("auto_pad", None)
    attributes["kernel_shape"] = kernel
    dilations, strides = attributes.get("dilations", [1, 1]), attributes.get("strides", [1, 1])
    pads = attributes.get("pads", [0] * 4)
    out = [(s + pads[i] + pads[i + 2] - dilations[i] * (kernel[i] - 1) - 1) // strides[i] + 1
           for i, s in enumerate(sizes)]  # fmt: skip
    n, c, m = b.integer(1, 2), b.integer(1, 3), b.integer(1, 3)
    taps = kernel[0] * kernel[1]
    inputs = [
        b.fresh(dtype, (n, c, *sizes)), b.fresh(dtype, (m, c, *kernel), constant=0.7),
        b.fresh(dtype, (n, 2 * taps, *out), low=-1, high=1),
    ]  # fmt: skip
    if b.chance(0.6):
        inputs.append(b.fresh(dtype, (m,), constant=0.7))
        if b.chance(0.5):
            inputs.append(b.fresh(dtype, (n, taps, *out), low=0, high=1))
    return b.node(op, inputs, **attributes)


@makes("Einsum")
def einsum(b, op):
    equation = b.choose([
        "ij,jk->ik", "bij,bjk->bik", "ij->ji", "ii->i", "ij->", "i,j->ij", "bhid,bhjd->bhij",
        "...ij,...jk->...ik", "abc,cd,bd->a", "ij,ij->i", "ijk->kj", "ii,ij->j", "ij,kj", "...i->...",
    ])  # fmt: skip
    sizes = {letter: b.integer(1, 6) for letter in "abcdhijk"}
    dots = [b.integer(1, 3) for _ in range(b.integer(0, 2))]
    dtype = b.dtype(op, among=[np.float32, np.float64, np.int32, np.int64])
    inputs = []
    for term in equation.split("->")[0].split(","):
        shape = [sizes[letter] for letter in term.replace("...", "")]
        inputs.append(b.tensor(dtype, (*dots, *shape) if "..." in term else shape, reuse=0.3))
    return b.node(op, inputs, equation=equation)


@makes("Det")
def det(b, op):
    size = b.integer(1, 5)
    x = b.tensor(b.dtype(op), (*b.shape(most=2), size, size), reuse=0.2, low=-2, high=2)
    return b.node(op, [x])


@makes("CausalConvWithState")
def causal_conv(b, op):
    dtype = b.dtype(op, among=[np.float32, np.float16])
    n, c, length, k = b.integer(1, 2), b.integer(1, 4), b.integer(1, 6), b.integer(1, 4)
    inputs = [b.fresh(dtype, (n, c, length)), b.fresh(dtype, (c, 1, k), constant=0.7)]
    if b.chance(0.6):
        inputs.append(b.fresh(dtype, (c,), constant=0.7) if b.chance(0.5) else "")
        if b.chance(0.5):
            inputs.append(b.fresh(dtype, (n, c, k - 1)))
    attributes = {"activation": b.choose(["none", "silu", "swish"])} if b.chance(0.6) else {}
    return b.node(op, inputs, 2, **attributes)


def scale(b):
    return b.real(0.01, 0.3)


@makes("QLinearMatMul")
def qlinear_matmul(b, op):
    a, c = matrices(b, integers=True)
    types = [t for t in b.types(op, "T1") if t in (np.int8, np.uint8)]
    kinds = [b.choose(types)] * 3 if b.chance(0.7) else [b.choose(types) for _ in range(3)]
    inputs = []
    for shape, kind in ((a, kinds[0]), (c, kinds[1]), (None, kinds[2])):
        if shape:
            inputs.append(b.fresh(kind, shape, constant=0.3, low=-128, high=255))
        inputs.append(b.constant(np.array(scale(b), np.float32)))
        inputs.append(b.constant(b.random_array(kind, (), low=-5, high=9)))
    return b.node(op, inputs)


@makes("QLinearConv")
def qlinear_conv(b, op):
    image, weights, attributes = convolution(b)
    kinds = [b.choose([np.int8, np.uint8])] * 3
    inputs = []
    for shape, kind, constant in ((image, kinds[0], 0.1), (weights, kinds[1], 1.0), (None, kinds[2], 1)):
        if shape:
            inputs.append(b.fresh(kind, shape, constant=constant, low=-128, high=255))
        inputs.append(b.constant(np.array(scale(b), np.float32)))
        inputs.append(b.constant(b.random_array(kind, (), low=-5, high=9)))
    if b.chance(0.5):
        inputs.append(b.constant(b.random_array(np.int32, weights[:1], low=-500, high=500)))
    if 0 in image:
        raise Discard("empty")
    return b.node(op, inputs, **attributes)
