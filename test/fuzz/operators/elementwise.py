"""Operators that work on each element."""

import numpy as np
from operators.table import makes

# Where the argument has to lie, and where rounding before it would matter.
RANGES = {
    "Acos": (-1, 1), "Asin": (-1, 1), "Atanh": (-0.9, 0.9), "Acosh": (1, 5), "Log": (0.125, 9),
    "Sqrt": (0, 9), "Reciprocal": (0.25, 4), "Tan": (-1, 1), "Det": (-2, 2),
}  # fmt: skip
JUMPS = {"Ceil", "Floor", "Round", "Sign", "Hardmax"}


@makes(*"""Abs Acos Acosh Asin Asinh Atan Atanh BitwiseNot Ceil Cos Cosh Erf Exp Floor HardSwish
Identity IsNaN Log Mish Neg Not Reciprocal Relu Round Sigmoid Sign Sin Sinh Softplus Softsign Sqrt
Tan Tanh""".split())  # fmt: skip
def unary(b, op):
    constraint = next(iter({p.type_str for p in b.schema(op).inputs}))
    dtype = b.dtype(op, constraint) if not constraint.startswith("tensor(") else np.dtype(bool)
    low, high = RANGES.get(op, (-4, 4))
    if op == "Abs" and dtype.kind == "i":
        low, high = -100, 100
    x = b.tensor(dtype, exact=op in JUMPS, reuse=0.3 if op in RANGES else 0.8, low=low, high=high,
                 fine=op in RANGES and b.chance(0.5))  # fmt: skip
    return b.node(op, [x])


@makes("Celu", "Elu", "Selu", "HardSigmoid", "LeakyRelu", "ThresholdedRelu", "Shrink", "Gelu", "Swish")
def parametric(b, op):
    x = b.tensor(b.dtype(op), exact=op in ("ThresholdedRelu", "Shrink"))
    attributes = {}
    for name in b.schema(op).attributes:
        if name == "approximate":
            attributes[name] = b.choose(["none", "tanh"])
        elif b.chance(0.6):
            # A fraction becomes the type of x first, says the function body.
            attributes[name] = b.choose([0.125, 0.5, 1.0, 1.5] if b.array(x).dtype.kind == "f" else [1.0, 2.0])
    return b.node(op, [x], **attributes)


@makes("IsInf")
def is_inf(b, op):
    dtype = b.dtype(op, "T1")
    x = b.random_array(dtype, b.shape())
    if x.size and dtype.itemsize > 1:
        x.flat[0], x.flat[-1] = np.inf, -np.inf
    attributes = {} if dtype.itemsize == 1 else {
        name: b.integer(0, 1) for name in ("detect_negative", "detect_positive") if b.chance(0.5)
    }  # fmt: skip
    return b.node(op, [b.add(x, "input")], **attributes)


def broadcast_shapes(b, count=2):
    """Shapes that broadcast to one."""
    shape = b.shape()
    shapes = []
    for _ in range(count):
        start = b.integer(0, len(shape)) if b.chance(0.3) else 0
        shapes.append(tuple(1 if b.chance(0.15) else size for size in shape[start:]))
    return shapes


def broadcast_partner(b, shape):
    start = b.integer(0, len(shape)) if b.chance(0.3) else 0
    return tuple(1 if b.chance(0.15) else size for size in shape[start:])


BINARY = """Add And BitShift BitwiseAnd BitwiseOr BitwiseXor Div Equal Greater GreaterOrEqual Less
LessOrEqual Mod Mul Or PRelu Pow Sub Xor""".split()
COMPARISONS = {"Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"}


@makes(*BINARY)
def binary(b, op):
    schema = b.schema(op)
    parameter = schema.inputs[0].type_str
    dtype = b.dtype(op, parameter)
    if op == "PRelu" and b.version(op) < 7:
        return slope_per_channel(b, dtype)
    exact = op in COMPARISONS or op == "Mod"
    unsigned = {"BitShift": (0, 7)}
    x = b.tensor(dtype, exact=exact, low=0 if op == "Pow" and dtype.kind == "f" else -4)
    shape = b.array(x).shape
    if b.version(op) < 7:
        return old_binary(b, op, x, dtype)
    other = broadcast_partner(b, shape)
    second = dtype
    if op == "Pow" and schema.inputs[1].type_str != parameter:
        second = b.dtype(op, "T1")
    how = {"reuse": 0.4, "exact": exact}
    if op in ("Div", "Mod"):
        how["fits"] = lambda array: bool(np.all(array.astype(np.float64) != 0))
        how.update(low=1, high=5)
    if op == "BitShift":
        how.update(low=0, high=7, fits=lambda array: bool(np.all(array < 8)))
    if op == "Pow":
        how.update(low=0, high=3, reuse=0, constant=0.5)
    y = b.tensor(second, other, **how)
    del unsigned
    attributes = {}
    if op == "BitShift":
        attributes["direction"] = b.choose(["LEFT", "RIGHT"])
    if op == "Mod" and (dtype.kind not in "iu" or b.chance(0.5)):
        attributes["fmod"] = 1
    pair = [x, y]
    if b.chance(0.3) and op not in ("Div", "Mod", "Pow", "BitShift", "PRelu"):
        pair.reverse()
    return b.node(op, pair, **attributes)


def slope_per_channel(b, dtype):
    shape = b.shape(least=2)
    slope = (1,) if b.chance(0.4) else (shape[1],)
    return b.node("PRelu", [b.tensor(dtype, shape), b.fresh(dtype, slope, constant=0.9)])


def old_binary(b, op, x, dtype):
    """Up to operator set 6, B lay in A from an axis on."""
    shape = b.array(x).shape
    how = {"low": 1, "high": 3} if op in ("Div", "Pow") else {}
    if not shape or b.chance(0.4):
        return b.node(op, [x, b.fresh(dtype, shape, **how)])
    axis = b.integer(0, len(shape) - 1)
    end = b.integer(axis + 1, len(shape))
    attributes = {"broadcast": 1}
    if end < len(shape) or b.chance(0.5):
        attributes["axis"] = axis
    else:
        end = len(shape)
    return b.node(op, [x, b.fresh(dtype, shape[axis:end], **how)], **attributes)


@makes("Max", "Min", "Sum", "Mean")
def variadic(b, op):
    dtype = b.dtype(op)
    x = b.tensor(dtype)
    shape = b.array(x).shape
    if b.version(op) < 8:
        others = [shape] * b.integer(0, 3)
    else:
        others = [broadcast_partner(b, shape) for _ in range(b.integer(0, 3))]
    return b.node(op, [x] + [b.tensor(dtype, other, reuse=0.4) for other in others])


@makes("Where")
def where(b, op):
    dtype = b.dtype(op)
    x = b.tensor(dtype)
    shape = b.array(x).shape
    condition = b.tensor(bool, broadcast_partner(b, shape), reuse=0.5)
    y = b.tensor(dtype, broadcast_partner(b, shape), reuse=0.4)
    return b.node(op, [condition] + ([x, y] if b.chance(0.5) else [y, x]))


@makes("Clip")
def clip(b, op):
    dtype = b.dtype(op)
    x = b.tensor(dtype)
    low, high = sorted([b.integer(0, 3), b.integer(0, 4)])
    if b.version(op) < 11:
        attributes = {}
        if b.chance(0.7):
            attributes["min"] = float(low) - 1
        if b.chance(0.7):
            attributes["max"] = float(high)
        return b.node(op, [x], **attributes)
    bounds = [
        b.constant(np.array(value, dtype), 0.5) if b.chance(0.7) else "" for value in (low, high)
    ]
    return b.node(op, [x, *bounds])


def cast_source(b, source, target):
    """A value whose conversion every implementation does alike."""
    if source == object:
        texts = np.array(["1", "-2", "3.5", "0", "7"], object)
        if target.kind in "iu":
            texts = np.array(["1", "2", "0", "17"], object)
        shape = b.shape()
        chosen = np.array(texts[b.random.integers(0, len(texts), shape)], object)
        return b.add(chosen.reshape(shape), "input")
    low = 0 if target.kind == "u" or target.name.startswith("uint") else -4
    fits = lambda x: bool(np.all(x.astype(np.float64) >= low))  # noqa: E731
    return b.tensor(source, exact=True, low=low, fits=fits)


@makes("Cast")
def cast(b, op):
    source, target = b.dtype(op, "T1"), b.dtype(op, "T2")
    if target == object:
        source = b.choose([t for t in b.types(op, "T1") if t.kind in "iub"])
    if source.kind == "c" or target.kind == "c":
        source = np.dtype(np.float32)
    x = cast_source(b, source, target)
    attributes = {}
    if b.version(op) >= 19 and target.name.startswith("float8") and b.chance(0.5):
        attributes["saturate"] = b.integer(0, 1)
    from builder import to_element_type

    return b.node(op, [x], to=to_element_type(np.zeros(0, target)), **attributes)


@makes("CastLike")
def cast_like(b, op):
    source, target = b.dtype(op, "T1"), b.dtype(op, "T2")
    if target == object:
        source = np.dtype(np.int64)
    return b.node(op, [cast_source(b, source, target), b.tensor(target)])


@makes("BitCast")
def bit_cast(b, op):
    source = b.choose([t for t in b.types(op, "T1") if t.kind in "iuf"])
    same = [t for t in b.types(op, "T2") if t.itemsize == source.itemsize and t.kind in "iu"]
    from builder import to_element_type

    return b.node(op, [b.tensor(source, exact=True)], to=to_element_type(np.zeros(0, b.choose(same))))


@makes("Dropout")
def dropout(b, op):
    x = b.tensor(b.dtype(op))
    version = b.version(op)
    # Before 12 ONNX does not say what the mask of inference is.
    outputs = b.integer(1, 2) if version >= 12 else 1
    if version < 12:
        attributes = {"ratio": 0.5} if b.chance(0.5) else {}
        if version < 7:
            attributes["is_test"] = 1
        return b.node(op, [x], outputs, **attributes)
    inputs = [x]
    if b.chance(0.5):
        inputs.append(b.constant(np.array(0.25, b.dtype(op, "T1"))))
        if b.chance(0.5):
            inputs.append(b.constant(np.array(False), 0.5))
    return b.node(op, inputs, outputs)
