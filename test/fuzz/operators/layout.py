"""Operators that move elements, and that make tensors of sizes."""

import numpy as np
from builder import Discard, to_element_type
from onnx import numpy_helper
from operators.table import makes


def factor(b, count, parts):
    """Sizes whose product is `count`."""
    sizes = [1] * parts
    rest = count
    for prime in (2, 2, 2, 3, 3, 5, 7, 11, 17):
        while rest % prime == 0 and rest and b.chance(0.8):
            sizes[b.integer(0, parts - 1)] *= prime
            rest //= prime
    sizes[b.integer(0, parts - 1)] *= rest
    return sizes


@makes("Reshape")
def reshape(b, op):
    x = b.tensor(b.dtype(op))
    array = b.array(x)
    sizes = factor(b, array.size, b.integer(1, 5)) if array.size else [0]
    attributes = {}
    if array.size and b.chance(0.4):
        sizes[b.integer(0, len(sizes) - 1)] = -1
    if array.size == 0:
        if b.version(op) < 14:
            raise Discard("0 copies a size")
        attributes["allowzero"] = 1
    elif b.chance(0.2) and -1 not in sizes:
        sizes = [0, -1] if array.ndim and array.shape[0] else sizes
    return b.node(op, [x, b.ints(*sizes)], **attributes)


@makes("Transpose")
def transpose(b, op):
    x = b.tensor(b.dtype(op))
    rank = b.array(x).ndim
    attributes = {"perm": [int(i) for i in b.random.permutation(rank)]} if rank and b.chance(0.8) else {}
    return b.node(op, [x], **attributes)


@makes("Squeeze")
def squeeze(b, op):
    dtype = b.dtype(op)
    shape = list(b.shape(most=4))
    for _ in range(b.integer(1, 2)):
        shape.insert(b.integer(0, len(shape)), 1)
    x = b.tensor(dtype, shape, reuse=0.2)
    ones = [i for i, size in enumerate(shape) if size == 1]
    chosen = [i for i in ones if b.chance(0.6)] or ones[:1]
    if b.version(op) < 11:
        return b.node(op, [x], axes=chosen)
    chosen = [i - (len(shape) if b.chance(0.3) else 0) for i in chosen]
    if b.version(op) < 13:
        return b.node(op, [x], **({"axes": chosen} if b.chance(0.8) else {}))
    return b.node(op, [x, b.ints(*chosen)] if b.chance(0.8) else [x])


@makes("Unsqueeze")
def unsqueeze(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim < 5)
    rank = b.array(x).ndim
    count = b.integer(1, 6 - rank) if rank < 5 else 1
    chosen = [int(a) for a in b.random.permutation(rank + count)[:count]]
    if b.version(op) < 11:
        return b.node(op, [x], axes=sorted(chosen))
    chosen = [a - (rank + count if b.chance(0.3) else 0) for a in chosen]
    if b.version(op) < 13:
        return b.node(op, [x], axes=chosen)
    return b.node(op, [x, b.ints(*chosen)])


@makes("Flatten")
def flatten(b, op):
    x = b.tensor(b.dtype(op))
    rank = b.array(x).ndim
    low = -rank if b.version(op) >= 11 else 0
    return b.node(op, [x], **({"axis": b.integer(low, rank)} if b.chance(0.8) else {}))


@makes("Concat")
def concat(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0, shape=None)
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    axis = b.integer(0, array.ndim - 1)
    inputs = [x]
    for _ in range(b.integer(0, 3)):
        shape = list(array.shape)
        shape[axis] = b.size()
        inputs.append(b.tensor(array.dtype, shape, reuse=0.3))
    if b.chance(0.2):
        inputs.append(x)
    if b.version(op) >= 11 and b.chance(0.3):
        axis -= array.ndim
    return b.node(op, inputs, axis=axis)


@makes("Split")
def split(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0)
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    version = b.version(op)
    axis = b.integer(0, array.ndim - 1)
    size, parts = array.shape[axis], b.integer(1, 4)
    attributes = {"axis": axis - (array.ndim if version >= 11 and b.chance(0.3) else 0)}
    if b.chance(0.5):
        cuts = sorted(b.integer(0, size) for _ in range(parts - 1))
        sizes = np.diff([0, *cuts, size]).tolist()
        if version < 13:
            return b.node(op, [x], parts, split=sizes, **attributes)
        return b.node(op, [x, b.ints(*sizes)], parts, **attributes)
    if version < 18:
        if size % parts:
            raise Discard("not equal parts")
        return b.node(op, [x], parts, **attributes)
    if size == 0 or -(-size // parts) * (parts - 1) > size:
        raise Discard("too many parts")
    return b.node(op, [x], parts, num_outputs=parts, **attributes)


@makes("Slice")
def slice_(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0)
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    axes = [a % array.ndim for a in b.axes(array.ndim)]
    old = b.version(op) < 10
    starts, ends, steps = [], [], []
    for axis in axes:
        size = array.shape[axis]
        step = 1 if old or b.chance(0.5) else b.choose([1, 2, 3, -1, -2])
        low, high = sorted([b.integer(0, size + 1), b.integer(0, size + 1)])
        start, end = (low, high) if step > 0 else (high, low - 1)
        if step < 0 and end < 0:
            end = -size - 5
        elif b.chance(0.2):
            end = 2**31 - 1 if step > 0 else -(2**31)
        if b.chance(0.3) and 0 < start < size:
            start -= size
        starts.append(start), ends.append(end), steps.append(step)
    if old:
        attributes = {} if axes == list(range(len(axes))) else {"axes": axes}
        return b.node(op, [x], starts=starts, ends=ends, **attributes)
    dtype = b.choose([np.int64, np.int64, np.int32])
    inputs = [x, b.ints(*starts, dtype=dtype), b.ints(*ends, dtype=dtype)]
    has_steps = any(step != 1 for step in steps)
    if has_steps or axes != list(range(len(axes))) or b.chance(0.5):
        inputs.append(b.ints(*[a - (array.ndim if b.chance(0.2) else 0) for a in axes], dtype=dtype))
        if has_steps or b.chance(0.5):
            inputs.append(b.ints(*steps, dtype=dtype))
    return b.node(op, inputs)


@makes("Pad")
def pad(b, op):
    version = b.version(op)
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0 and array.size > 0)
    array = b.array(x)
    if array.ndim == 0:
        raise Discard("a scalar")
    modes = ["constant", "constant", "edge", "reflect"] + ["wrap"] * (version >= 19)
    mode = b.choose(modes)
    axes = list(range(array.ndim))
    if version >= 18 and b.chance(0.3):
        axes = [a % array.ndim for a in b.axes(array.ndim)]
    most = [max(0, array.shape[a] - 1) if mode == "reflect" else 3 for a in axes]
    if mode == "wrap":
        most = [array.shape[a] for a in axes]
    pads = [b.integer(0, min(3, m)) for m in most] + [b.integer(0, min(3, m)) for m in most]
    if mode == "constant" and b.chance(0.2):
        pads[0] = -min(1, array.shape[axes[0]])
    if version < 11:
        value = {"value": 1.5} if b.chance(0.5) else {}
        return b.node(op, [x], pads=pads, mode=mode, **value)
    inputs = [x, b.ints(*pads)]
    inputs.append(b.constant(np.ones((), array.dtype)) if mode == "constant" and b.chance(0.5)
                  and array.dtype != object else "")  # fmt: skip
    if mode == "constant" and array.dtype == object:
        inputs[-1] = b.constant(np.array("", object))  # the evaluator's default is the text of a number
    if axes != list(range(array.ndim)):
        inputs.append(b.ints(*axes))
    return b.node(op, inputs, mode=mode)


@makes("Tile")
def tile(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0 and array.size < 2000)
    repeats = [b.choose([1, 1, 2, 3] + [0] * b.chance(0.1)) for _ in b.array(x).shape]
    if not repeats:
        raise Discard("a scalar")
    return b.node(op, [x, b.ints(*repeats)])


@makes("Expand")
def expand(b, op):
    shape = b.shape()
    start = b.integer(0, len(shape))
    source = tuple(1 if b.chance(0.4) else size for size in shape[start:])
    x = b.tensor(b.dtype(op), source, reuse=0.3)
    target = [1 if size == 1 or b.chance(0.1) and i >= start and source[i - start] == size else size
              for i, size in enumerate(shape)]  # fmt: skip
    if not target:
        raise Discard("a scalar")
    return b.node(op, [x, b.ints(*target)])


@makes("Shape")
def shape_(b, op):
    x = b.tensor(b.dtype(op))
    attributes = {}
    if b.version(op) >= 15:
        for name in ("start", "end"):
            if b.chance(0.4):
                attributes[name] = b.integer(-3, 5)
    return b.node(op, [x], **attributes)


@makes("Size")
def size(b, op):
    return b.node(op, [b.tensor(b.dtype(op))])


@makes("DepthToSpace", "SpaceToDepth")
def depth(b, op):
    block = b.integer(1, 3)
    n, c, h, w = b.integer(1, 2), b.integer(1, 3), b.integer(1, 4), b.integer(1, 4)
    attributes = {"blocksize": block}
    if op == "DepthToSpace":
        shape = (n, c * block * block, h, w)
        if b.version(op) >= 11 and b.chance(0.6):
            attributes["mode"] = b.choose(["DCR", "CRD"])
    else:
        shape = (n, c, h * block, w * block)
    return b.node(op, [b.tensor(b.dtype(op), shape, reuse=0.3)], **attributes)


def some_tensor(b, dtype, shape):
    return b.random_array(dtype, shape)


@makes("ConstantOfShape")
def constant_of_shape(b, op):
    sizes = b.shape(least=1)
    dtype = b.choose(b.types(op, "T2"))
    attributes = {}
    if b.chance(0.8):
        attributes["value"] = numpy_helper.from_array(some_tensor(b, dtype, (1,)), "value")
    return b.node(op, [b.ints(*sizes)], **attributes)


@makes("Constant")
def constant(b, op):
    version = b.version(op)
    kind = b.choose(["value"] + ["value_float", "value_floats", "value_int", "value_ints"] * (version >= 12))
    if kind == "value":
        dtype = b.choose(b.types(op, "T"))
        return b.node(op, [], value=numpy_helper.from_array(some_tensor(b, dtype, b.shape()), "value"))
    number = {"value_float": 1.5, "value_floats": [0.5, -2.0], "value_int": 3, "value_ints": [1, 2, 5]}
    return b.node(op, [], **{kind: number[kind]})


@makes("EyeLike")
def eye_like(b, op):
    x = b.tensor(b.dtype(op, "T1"), rank=2)
    attributes = {}
    if b.chance(0.5):
        attributes["k"] = b.integer(-2, 2)
    if b.chance(0.5):
        attributes["dtype"] = to_element_type(np.zeros(0, b.dtype(op, "T2")))
    return b.node(op, [x], **attributes)


@makes("Range")
def range_(b, op):
    dtype = b.dtype(op)
    start, step = b.integer(-5, 5), b.choose([1, 2, 3, -1, -2])
    count = b.integer(0, 20)
    numbers = [start, start + step * count, step]
    return b.node(op, [b.constant(np.array(n, dtype), 0.5) for n in numbers])


@makes("Trilu")
def trilu(b, op):
    # ONNX does not say what takes the place of a string.
    x = b.tensor(b.dtype(op, among=[t for t in b.types(op) if t != object]),
                 fits=lambda array: array.ndim >= 2)  # fmt: skip
    if b.array(x).ndim < 2:
        raise Discard("no matrix")
    inputs = [x] + ([b.constant(np.array(b.integer(-3, 3)), 0.5)] if b.chance(0.6) else [])
    return b.node(op, inputs, **({"upper": b.integer(0, 1)} if b.chance(0.7) else {}))


@makes("CenterCropPad")
def center_crop_pad(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0)
    rank = b.array(x).ndim
    if not rank:
        raise Discard("a scalar")
    axes = [a % rank for a in b.axes(rank)]
    if b.chance(0.5):
        axes = list(range(rank))
        return b.node(op, [x, b.ints(*[b.integer(1, 8) for _ in axes])])
    return b.node(op, [x, b.ints(*[b.integer(1, 8) for _ in axes])], axes=axes)


@makes("ReverseSequence")
def reverse_sequence(b, op):
    x = b.tensor(b.dtype(op), b.shape(rank=b.integer(2, 4)), reuse=0.3)
    shape = b.array(x).shape
    batch = b.integer(0, 1)
    if 0 in shape:
        raise Discard("empty")
    lengths = [b.integer(1, shape[1 - batch]) for _ in range(shape[batch])]
    return b.node(op, [x, b.ints(*lengths)], batch_axis=batch, time_axis=1 - batch)


@makes("Resize")
def resize(b, op):
    version = b.version(op)
    rank = b.choose([4, 4, 3, 5, 2])
    mode = b.choose(["nearest", "nearest", "linear"] + ["cubic"] * (version >= 11 and rank == 4))
    if mode == "linear" and rank == 2:
        rank = 3
    shape = tuple(b.integer(1, 3) if i < 2 and rank > 2 else b.integer(1, 7) for i in range(rank))
    dtype = b.dtype(op, "T" if version < 11 else "T1", among=[np.float32, np.float64, np.int32, np.uint8])
    if mode != "nearest":
        dtype = np.dtype(np.float32)
    x = b.tensor(dtype, shape, reuse=0.3, exact=True)
    scaled = [1.0 if i < rank - 2 else b.choose([0.5, 0.6, 1.0, 1.5, 2.0, 3.0, 2.5]) for i in range(rank)]
    scales = b.constant(np.array(scaled, np.float32), 0.6)
    attributes = {"mode": mode}
    if any(int(np.floor(s * f)) < 1 for s, f in zip(shape, scaled)):
        raise Discard("nothing left")
    if version < 11:
        return b.node(op, [x, scales], **attributes)
    modes = ["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]
    attributes["coordinate_transformation_mode"] = b.choose(modes + ["half_pixel_symmetric"] * (version >= 19))
    if mode == "nearest":
        attributes["nearest_mode"] = b.choose(["round_prefer_floor", "round_prefer_ceil", "floor", "ceil"])
    if mode == "cubic":
        attributes["cubic_coeff_a"] = b.choose([-0.75, -0.5])
        attributes["exclude_outside"] = b.integer(0, 1)
    if version >= 18 and mode != "nearest" and b.chance(0.2):
        attributes["antialias"] = 1
    roi = "" if version >= 13 else b.constant(np.zeros(0, np.float32))
    if b.chance(0.5):
        sizes = [size if i < rank - 2 else b.integer(1, 12) for i, size in enumerate(shape)]
        empty = "" if version >= 13 else b.constant(np.zeros(0, np.float32))
        return b.node(op, [x, roi, empty, b.ints(*sizes)], **attributes)
    return b.node(op, [x, roi, scales], **attributes)


@makes("Upsample")
def upsample(b, op):
    version = b.version(op)
    mode = b.choose(["nearest", "linear"])
    shape = (b.integer(1, 2), b.integer(1, 3), b.integer(1, 6), b.integer(1, 6))
    x = b.tensor(np.float32, shape, reuse=0.3, exact=True)
    scales = [1.0, 1.0, b.choose([1.0, 1.5, 2.0, 3.0]), b.choose([1.0, 1.5, 2.0])]
    if version < 7:
        return b.node(op, [x], mode=b.choose(["nearest", "bilinear"]), height_scale=scales[2], width_scale=scales[3])
    if version < 9:
        return b.node(op, [x], mode=mode, scales=scales)
    return b.node(op, [x, b.constant(np.array(scales, np.float32), 0.6)], mode=mode)
