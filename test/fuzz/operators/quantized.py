"""Quantization."""

import numpy as np
from builder import Discard, to_element_type
from operators.table import makes


def spread(b, op, shape):
    """The shape of scales, and attributes that say so."""
    version = b.version(op)
    styles = ["tensor"] + ["axis"] * (version >= 13) + ["block"] * (version >= 21)
    style = b.choose(styles)
    if not shape or style == "tensor":
        return (), {}
    axis = b.integer(0, len(shape) - 1)
    given = axis - (len(shape) if b.chance(0.3) else 0)
    if style == "axis":
        return (shape[axis],), {"axis": given}
    block = b.choose([d for d in range(1, shape[axis] + 1) if shape[axis] % d == 0] or [1])
    blocks = list(shape)
    blocks[axis] = -(-shape[axis] // block)
    return tuple(blocks), {"axis": given, "block_size": block}


def scales(b, dtype, shape):
    # Powers of two, so that all round the same numbers.
    return b.constant((2.0 ** b.random.integers(-4, 1, shape)).astype(dtype), 0.7)


def zero_point(b, dtype, shape):
    if dtype.kind in "iu" and dtype.itemsize < 4:
        return b.random_array(dtype, shape, low=-3, high=6)
    return np.zeros(shape, dtype)


@makes("QuantizeLinear")
def quantize(b, op):
    source = b.dtype(op, "T1", among=[np.float32, np.float16])
    constraint = "T2" if b.version(op) < 23 else "T3"
    target = b.choose(b.types(op, constraint))
    x = b.tensor(source, exact=True, fits=lambda array: array.size > 0)
    shape, attributes = spread(b, op, b.array(x).shape)
    dtype = source if b.version(op) >= 19 else np.float32
    inputs = [x, scales(b, dtype, shape)]
    if b.version(op) >= 21 and b.chance(0.3):
        attributes["output_dtype"] = to_element_type(np.zeros(0, target))
    elif target != np.uint8 or b.chance(0.7):
        inputs.append(b.constant(zero_point(b, target, shape), 0.7))
    return b.node(op, inputs, **attributes)


@makes("DequantizeLinear")
def dequantize(b, op):
    constraint = "T" if b.version(op) < 19 else "T1"
    source = b.choose(b.types(op, constraint))
    x = b.tensor(source, reuse=0.5, fits=lambda array: array.size > 0, low=-9, high=9)
    shape, attributes = spread(b, op, b.array(x).shape)
    target = np.float32 if b.version(op) < 19 or b.chance(0.7) else np.float16
    inputs = [x, scales(b, target, shape)]
    if source not in (np.int32,) and b.chance(0.6):
        inputs.append(b.constant(zero_point(b, source, shape), 0.7))
    return b.node(op, inputs, **attributes)


@makes("DynamicQuantizeLinear")
def dynamic_quantize(b, op):
    x = b.tensor(np.float32, fits=lambda array: array.size > 0, fine=True, exact=True)
    if not b.array(x).any():
        raise Discard("all zero")
    return b.node(op, [x], 3)
