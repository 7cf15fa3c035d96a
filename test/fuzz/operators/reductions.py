"""Reductions, scans along an axis, and normalizations."""

import numpy as np
from builder import Discard
from operators.table import makes

REDUCTIONS = """ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
ReduceProd ReduceSum ReduceSumSquare""".split()


@makes(*REDUCTIONS)
def reduce(b, op):
    # Of integers ONNX Runtime rounds each step of these.
    roots = op in ("ReduceLogSum", "ReduceLogSumExp", "ReduceL2")
    dtype = b.dtype(op, among=[t for t in b.types(op) if not roots or t.kind not in "iu"])
    positive = op == "ReduceLogSum"

    def fits(array):
        # Where a sum of integers overflows, ONNX Runtime gives the largest one.
        sums = op in ("ReduceSumSquare", "ReduceSum", "ReduceL1") and dtype.kind in "iu"
        power = 2 if op == "ReduceSumSquare" else 1
        return array.size > 0 and not (
            sums and float(np.abs(array.astype(np.float64)).max()) ** power * array.size > np.iinfo(dtype).max
        )

    x = b.tensor(dtype, low=0.5 if positive else -4, reuse=0.2 if positive else 0.7, fits=fits,
                 exact=op == "ReduceProd")  # fmt: skip
    rank = b.array(x).ndim
    attributes = {"keepdims": b.integer(0, 1)} if b.chance(0.7) else {}
    with_input = b.version(op) >= (13 if op == "ReduceSum" else 18)
    axes = b.axes(rank) if rank else []
    if b.version(op) < 11:
        axes = [a % rank for a in axes]
    if not with_input:
        if axes and b.chance(0.8):
            attributes["axes"] = axes
        return b.node(op, [x], **attributes)
    if b.chance(0.3):
        attributes["noop_with_empty_axes"] = b.integer(0, 1)
    if axes and b.chance(0.8):
        return b.node(op, [x, b.ints(*axes)], **attributes)
    return b.node(op, [x], **attributes)


@makes("ArgMax", "ArgMin")
def arg(b, op):
    x = b.tensor(b.dtype(op), exact=True, fits=lambda array: array.ndim > 0 and array.size > 0)
    rank = b.array(x).ndim
    attributes = {"keepdims": b.integer(0, 1)}
    if b.chance(0.8):
        attributes["axis"] = b.axis(rank) if b.version(op) >= 11 else b.axis(rank) % rank
    if b.version(op) >= 12 and b.chance(0.5):
        attributes["select_last_index"] = b.integer(0, 1)
    return b.node(op, [x], **attributes)


@makes("CumSum", "CumProd")
def cumulate(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0 and array.size < 2000,
                 low=-2, high=2, reuse=0.3 if op == "CumProd" else 0.7)  # fmt: skip
    axis = b.constant(np.array(b.axis(b.array(x).ndim), b.choose([np.int32, np.int64])), 0.6)
    attributes = {name: b.integer(0, 1) for name in ("exclusive", "reverse") if b.chance(0.5)}
    return b.node(op, [x, axis], **attributes)


@makes("Softmax", "LogSoftmax", "Hardmax")
def softmax(b, op):
    x = b.tensor(b.dtype(op), exact=op == "Hardmax", fits=lambda array: array.ndim > 0 and array.size > 0)
    rank = b.array(x).ndim
    attributes = {}
    if b.chance(0.7):
        attributes["axis"] = b.axis(rank) if b.version(op) >= 11 else b.axis(rank) % rank
    elif rank < 2 and b.version(op) < 13:
        attributes["axis"] = 0
    return b.node(op, [x], **attributes)


@makes("LpNormalization")
def lp_normalization(b, op):
    x = b.tensor(b.dtype(op), fits=lambda array: array.ndim > 0 and array.size > 0, low=1)
    attributes = {"p": b.integer(1, 2), "axis": b.axis(b.array(x).ndim)}
    return b.node(op, [x], **attributes)


@makes("MeanVarianceNormalization")
def mean_variance(b, op):
    x = b.tensor(b.dtype(op), b.shape(rank=4), reuse=0.4, fits=lambda array: array.size > 0)
    attributes = {"axes": b.choose([[0, 2, 3], [0, 1, 2, 3], [1], [2, 3]])} if b.chance(0.6) else {}
    return b.node(op, [x], **attributes)


def positive(array):
    return array.size > 0


@makes("LayerNormalization", "RMSNormalization")
def layer_normalization(b, op):
    # As GroupNormalization.
    dtype = b.dtype(op, "T", among=[np.float32, np.float16])
    x = b.tensor(dtype, fits=lambda array: array.ndim > 0 and array.size > 0)
    shape = b.array(x).shape
    if not shape:
        raise Discard("a scalar")
    axis = b.axis(len(shape))
    attributes = {"axis": axis}
    if b.chance(0.4):
        attributes["epsilon"] = 0.001
    scale = b.fresh(b.dtype(op, "V") if op == "RMSNormalization" and b.chance(0.3) else dtype,
                    shape[axis:], constant=0.7)  # fmt: skip
    if op == "RMSNormalization":
        return b.node(op, [x, scale], **attributes)
    inputs = [x, scale] + ([b.fresh(dtype, shape[axis:], constant=0.7)] if b.chance(0.6) else [])
    return b.node(op, inputs, b.choose([1, 1, 2, 3]), **attributes)


def channels(b, op, least=3):
    shape = b.shape(least=least)
    if 0 in shape:
        raise Discard("empty")
    return shape


@makes("InstanceNormalization")
def instance_normalization(b, op):
    dtype, shape = b.dtype(op), channels(b, op)
    inputs = [b.tensor(dtype, shape, reuse=0.4)] + [b.fresh(dtype, shape[1:2], constant=0.8) for _ in range(2)]
    return b.node(op, inputs, **({"epsilon": 0.01} if b.chance(0.5) else {}))


@makes("GroupNormalization")
def group_normalization(b, op):
    # Of doubles it computes in float32, says the function body.
    dtype = b.dtype(op, among=[np.float32, np.float16])
    groups = b.integer(1, 4)
    shape = (b.integer(1, 3), groups * b.integer(1, 4), *(b.integer(1, 5) for _ in range(b.integer(1, 2))))
    count = shape[1] if b.version(op) >= 21 else groups
    inputs = [b.tensor(dtype, shape, reuse=0.2)] + [b.fresh(dtype, (count,), constant=0.8) for _ in range(2)]
    return b.node(op, inputs, num_groups=groups, **({"epsilon": 0.01} if b.chance(0.5) else {}))


@makes("BatchNormalization")
def batch_normalization(b, op):
    version = b.version(op)
    dtype = b.dtype(op)
    spatial = 1
    shape = channels(b, op, 2)
    attributes = {"epsilon": 0.01} if b.chance(0.5) else {}
    if version < 9 and b.chance(0.3):
        spatial = attributes["spatial"] = 0
    if version < 7:
        attributes["is_test"] = 1
    parameters = shape[1:2] if spatial else shape[1:]
    types = [dtype] * 4
    if version >= 14:
        scale = b.dtype(op, "T1") if version >= 15 else dtype
        mean = b.dtype(op, "T2" if version >= 15 else "U")
        types = [scale, scale, mean, mean] if b.chance(0.3) else types
    inputs = [b.tensor(dtype, shape, reuse=0.4)]
    inputs += [b.fresh(t, parameters, constant=0.8, low=1 if i == 3 else -4) for i, t in enumerate(types)]
    outputs = 1
    if version >= 14 and b.chance(0.2) and len(set(types)) == 1:
        attributes["training_mode"], outputs = 1, 3
    return b.node(op, inputs, outputs, **attributes)


@makes("LRN")
def lrn(b, op):
    attributes = {"size": b.choose([1, 3, 5, 2])}
    for name, value in (("alpha", 0.01), ("beta", 0.5), ("bias", 2.0)):
        if b.chance(0.5):
            attributes[name] = value
    return b.node(op, [b.tensor(b.dtype(op), channels(b, op), reuse=0.4)], **attributes)
