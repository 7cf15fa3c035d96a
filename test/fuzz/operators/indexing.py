"""Gathers, scatters, selections and sorting."""

import numpy as np
from builder import Discard
from operators.table import makes


def some(b, op, constraint="T", **how):
    x = b.tensor(b.dtype(op, constraint), fits=lambda array: array.ndim > 0 and array.size > 0, **how)
    if b.array(x).ndim == 0:
        raise Discard("a scalar")
    return x, b.array(x).shape


def indices(b, size, shape, dtype=None, negative=True):
    array = b.random.integers(-size if negative else 0, size, shape)
    return b.constant(np.asarray(array, dtype or b.choose([np.int32, np.int64])), 0.3)


@makes("Gather")
def gather(b, op):
    x, shape = some(b, op)
    axis = b.axis(len(shape))
    index = indices(b, shape[axis], b.shape(most=2), negative=b.version(op) >= 11)
    return b.node(op, [x, index], **({"axis": axis} if axis % len(shape) or b.chance(0.5) else {}))


@makes("GatherElements")
def gather_elements(b, op):
    x, shape = some(b, op)
    axis = b.axis(len(shape))
    chosen = [b.integer(1, 2 * size) if i == axis % len(shape) else b.integer(1, size) for i, size in enumerate(shape)]
    return b.node(op, [x, indices(b, shape[axis], chosen)], axis=axis)


def tuples(b, shape, batch, least=1):
    """The shape of a list of index tuples, and one."""
    depth = b.integer(least, len(shape) - batch)
    outer = [*shape[:batch], *b.shape(most=2)]
    parts = [b.random.integers(-shape[batch + i], shape[batch + i], outer) for i in range(depth)]
    return depth, np.stack(parts, -1).astype(np.int64)


@makes("GatherND")
def gather_nd(b, op):
    x, shape = some(b, op)
    batch = b.integer(0, min(2, len(shape) - 1)) if b.version(op) >= 12 and b.chance(0.4) else 0
    _, index = tuples(b, shape, batch)
    return b.node(op, [x, b.constant(index, 0.3)], **({"batch_dims": batch} if batch else {}))


def reduction(b, op, dtype):
    """How updates are combined."""
    version = b.version(op)
    kinds = ["none"] + ["add", "mul"] * (version >= 16) + ["max", "min"] * (version >= 18)
    if dtype.kind not in "iuf":
        kinds = ["none"]
    return b.choose(kinds)


@makes("ScatterElements", "Scatter")
def scatter_elements(b, op):
    x, shape = some(b, op)
    dtype = b.array(x).dtype
    axis = b.axis(len(shape)) if op == "ScatterElements" else b.axis(len(shape)) % len(shape)
    kind = reduction(b, op, dtype) if op == "ScatterElements" else "none"
    size = shape[axis]
    chosen = [b.integer(1, s) for s in shape]
    if kind == "none":
        index = np.argsort(b.random.random([*chosen[: axis % len(shape)], size, *chosen[axis % len(shape) + 1:]]), axis)
        index = np.take(index, range(chosen[axis]), axis)
    else:
        index = b.random.integers(-size, size, chosen)
    attributes = {"axis": axis} | ({"reduction": kind} if kind != "none" else {})
    updates = b.fresh(dtype, chosen, low=-2, high=2)
    return b.node(op, [x, b.constant(index.astype(b.choose([np.int32, np.int64])), 0.3), updates], **attributes)


@makes("ScatterND")
def scatter_nd(b, op):
    x, shape = some(b, op)
    dtype = b.array(x).dtype
    kind = reduction(b, op, dtype)
    depth = b.integer(1, len(shape))
    places = int(np.prod(shape[:depth]))
    count = b.integer(1, min(places, 6))
    flat = b.random.permutation(places)[:count] if kind == "none" else b.random.integers(0, places, count)
    index = np.stack(np.unravel_index(flat, shape[:depth]), -1)
    updates = b.fresh(dtype, (count, *shape[depth:]), low=-2, high=2)
    return b.node(op, [x, b.constant(index, 0.3), updates], **({"reduction": kind} if kind != "none" else {}))


@makes("OneHot")
def one_hot(b, op):
    depth = b.integer(1, 6)
    kind = b.choose([np.int64, np.int32, np.float32])
    index = b.constant(b.random.integers(-depth, depth, b.shape(most=3)).astype(kind), 0.2)
    values = b.fresh(b.dtype(op, "T3"), (2,), constant=0.6)
    rank = b.array(index).ndim
    size = b.constant(np.array(depth if b.chance(0.5) else [depth], b.choose([np.int64, np.int32, np.float32])), 0.6)
    return b.node(op, [index, size, values], axis=b.integer(-rank - 1, rank))


@makes("TopK")
def top_k(b, op):
    x, shape = some(b, op, exact=True)
    axis = b.axis(len(shape))
    version = b.version(op)
    k = b.integer(0 if version > 1 else 1, shape[axis])
    if version < 11:
        axis %= len(shape)
    # Equal values come in the order of their indices, which only some say.
    array = b.array(x)
    if len(np.unique(array.astype(np.float64))) < array.size:
        array = b.random.permutation(array.size).reshape(shape).astype(array.dtype)
        x = b.add(array, "input")
        if len(np.unique(array.astype(np.float64))) < array.size:
            raise Discard("equal values")
    if version < 10:
        return b.node(op, [x], 2, axis=axis, k=k)
    attributes = {"axis": axis}
    if version >= 11:
        attributes |= {"largest": b.integer(0, 1)} if b.chance(0.6) else {}
    return b.node(op, [x, b.ints(k)], 2, **attributes)


@makes("NonZero")
def non_zero(b, op):
    x = b.tensor(b.dtype(op), exact=True, low=-1, high=1, reuse=0.5, fits=lambda array: array.ndim > 0)
    return b.node(op, [x])


@makes("Compress")
def compress(b, op):
    x, shape = some(b, op)
    if b.chance(0.4):
        flags = b.random.integers(0, 2, b.integer(1, int(np.prod(shape)))).astype(bool)
        return b.node(op, [x, b.constant(flags, 0.2)])
    axis = b.axis(len(shape))
    if b.version(op) < 11:
        axis %= len(shape)
    flags = b.random.integers(0, 2, b.integer(1, shape[axis])).astype(bool)
    return b.node(op, [x, b.constant(flags, 0.2)], axis=axis)


@makes("Unique")
def unique(b, op):
    x, shape = some(b, op, exact=True, low=-1, high=1, reuse=0.4)
    attributes = {} if b.chance(0.4) else {"axis": b.axis(len(shape))}
    if b.chance(0.6):
        attributes["sorted"] = b.integer(0, 1)
    return b.node(op, [x], b.integer(1, 4), **attributes)


@makes("NonMaxSuppression")
def non_max_suppression(b, op):
    batches, classes, boxes = b.integer(1, 2), b.integer(1, 2), b.integer(1, 20)
    corners = np.sort(b.random.random((batches, boxes, 2, 2)), axis=2).reshape(batches, boxes, 4)
    scores = b.random.permutation(batches * classes * boxes).reshape(batches, classes, boxes)
    inputs = [
        b.add(corners.astype(np.float32), "input", exact=False),
        b.add((scores / scores.size).astype(np.float32), "input", exact=False),
        b.ints(b.integer(0, 5)),
    ]
    if b.chance(0.7):
        inputs.append(b.constant(np.array([b.real(0.1, 0.9)], np.float32), 0.6))
        if b.chance(0.5):
            inputs.append(b.constant(np.array([0.31], np.float32), 0.6))
    return b.node(op, inputs, center_point_box=b.integer(0, 1), exact=True)


@makes("TensorScatter")
def tensor_scatter(b, op):
    batch, heads, most, width = b.integer(1, 3), b.integer(1, 2), b.integer(2, 8), b.integer(1, 4)
    dtype = b.dtype(op)
    new = b.integer(1, most)
    mode = b.choose(["linear", "circular"])
    inputs = [b.fresh(dtype, (batch, heads, most, width)), b.fresh(dtype, (batch, heads, new, width))]
    if b.chance(0.8):
        limit = most - new if mode == "linear" else most - 1
        inputs.append(b.ints(*[b.integer(0, limit) for _ in range(batch)], chance=0.2))
    return b.node(op, inputs, mode=mode, **({"axis": -2} if b.chance(0.5) else {}))


@makes("ArrayFeatureExtractor", domain="ai.onnx.ml")
def array_feature_extractor(b, op):
    dtype = b.choose([np.float32, np.float64, np.int64, np.int32, object])
    x = b.tensor(dtype, fits=lambda array: array.ndim > 0 and array.size > 0)
    if b.array(x).ndim == 0:
        raise Discard("a scalar")
    size = b.array(x).shape[-1]
    return b.node(op, [x, b.ints(*[b.integer(0, size - 1) for _ in range(b.integer(1, 4))])], domain="ai.onnx.ml")
