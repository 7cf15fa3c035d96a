"""Sequences and optional values."""

import numpy as np
from builder import Discard
from operators.table import makes


def sequence(b, op=None, least=0):
    """A sequence there is, or a new one of a few tensors."""
    found = [v.name for v in b.all_values() if isinstance(v.array, list) and len(v.array) >= least]
    if found and b.chance(0.8):
        return b.choose(found)
    dtype = b.choose([np.float32, np.int64])
    count, rank = b.integer(max(least, 1), 3), b.integer(1, 3)
    return b.node("SequenceConstruct", [b.tensor(dtype, rank=rank, reuse=0.5) for _ in range(count)])[0]


@makes("SequenceConstruct")
def construct(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.dtype != object)
    return b.node(op, [x] + [b.tensor(b.array(x).dtype) for _ in range(b.integer(0, 2))])


@makes("SequenceEmpty")
def empty(b, op):
    (s,) = b.node(op, [], dtype=1)
    return b.node("SequenceInsert", [s, b.tensor(np.float32)])


@makes("SequenceAt")
def at(b, op):
    s = sequence(b, least=1)
    count = len(b.array(s))
    return b.node(op, [s, b.constant(np.array(b.integer(-count, count - 1)), 0.5)])


@makes("SequenceInsert")
def insert(b, op):
    s = sequence(b)
    items = b.array(s)
    dtype = items[0].dtype if items else np.dtype(np.float32)
    inputs = [s, b.tensor(dtype, rank=items[0].ndim if items else 1)]
    if b.chance(0.6):
        inputs.append(b.constant(np.array(b.integer(-len(items), len(items))), 0.5))
    return b.node(op, inputs)


@makes("SequenceErase")
def erase(b, op):
    s = sequence(b, least=2)
    count = len(b.array(s))
    return b.node(op, [s] + ([b.constant(np.array(b.integer(-count, count - 1)), 0.5)] if b.chance(0.6) else []))


@makes("SequenceLength")
def length(b, op):
    return b.node(op, [sequence(b)])


@makes("SplitToSequence")
def split(b, op):
    x = b.tensor(b.dtype(op, among=[np.float32, np.int64, np.float64]),
                 fits=lambda array: array.ndim > 0 and array.size > 0)  # fmt: skip
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    axis = b.axis(array.ndim)
    size = array.shape[axis]
    style = b.integer(0, 2)
    if style == 0:
        return b.node(op, [x], axis=axis, keepdims=b.integer(0, 1))
    if style == 1:
        return b.node(op, [x, b.constant(np.array(b.integer(1, size)), 0.6)], axis=axis)
    first = b.integer(0, size)
    return b.node(op, [x, b.ints(first, size - first)], axis=axis)


@makes("ConcatFromSequence")
def concat(b, op):
    x = b.tensor(b.choose([np.float32, np.int64]), fits=lambda array: 0 < array.ndim < 4)
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    axis = b.integer(0, array.ndim - 1)
    shape = list(array.shape)
    if b.chance(0.4):
        (s,) = b.node("SequenceConstruct", [x, b.tensor(array.dtype, shape, reuse=0.3)])
        return b.node(op, [s], axis=b.integer(-array.ndim - 1, array.ndim), new_axis=1)
    shape[axis] = b.size()
    (s,) = b.node("SequenceConstruct", [x, b.tensor(array.dtype, shape, reuse=0.3)])
    return b.node(op, [s], axis=axis - (array.ndim if b.chance(0.3) else 0))


@makes("Optional", "OptionalHasElement", "OptionalGetElement")
def optional(b, op):
    x = b.tensor(b.choose([np.float32, np.int64]))
    if op == "OptionalGetElement" and b.version(op) >= 18 and b.chance(0.3):
        return b.node(op, [x])
    if op == "OptionalHasElement" and b.version(op) >= 18 and b.chance(0.3):
        return b.node(op, [x])
    found = [v.name for v in b.all_values() if v.optional]
    o = b.choose(found) if found and b.chance(0.7) else b.node("Optional", [x])[0]
    return b.node("OptionalHasElement" if op == "OptionalHasElement" else "OptionalGetElement", [o])
