"""Spectra and windows."""

import numpy as np
from operators.table import makes


@makes("DFT")
def dft(b, op):
    dtype = b.dtype(op, "T1", among=[np.float32, np.float64])
    length, parts = b.choose([1, 2, 3, 4, 5, 8, 16]), b.integer(1, 2)
    rank = b.choose([3, 3, 4])
    shape = [b.integer(1, 3) for _ in range(rank - 1)] + [parts]
    axis = b.integer(1, rank - 2)
    shape[axis] = length
    inputs = [b.fresh(dtype, shape)]
    attributes = {}
    if b.chance(0.3):
        inputs.append(b.constant(np.array(b.choose([4, 6, 8])), 0.7))
    if b.version(op) >= 20:
        if axis != rank - 2 or b.chance(0.5):
            inputs += [""] * (2 - len(inputs)) + [b.constant(np.array(axis), 0.7)]
    else:
        attributes["axis"] = axis
    if parts == 2 and b.chance(0.4):
        attributes["inverse"] = 1
    elif b.chance(0.4) and parts == 1:
        attributes["onesided"] = 1
    return b.node(op, inputs, **attributes)


@makes("STFT")
def stft(b, op):
    dtype = b.dtype(op, "T1", among=[np.float32, np.float64])
    frame = b.choose([4, 8, 16])
    signal = b.fresh(dtype, (b.integer(1, 2), frame + b.integer(0, 20), 1))
    step = b.constant(np.array(b.integer(1, 6)), 0.8)
    inputs = [signal, step]
    if b.chance(0.5):
        inputs.append(b.fresh(dtype, (frame,), constant=0.8, low=0, high=1))
        if b.chance(0.5):
            inputs.append(b.constant(np.array(frame)))
    else:
        inputs += ["", b.constant(np.array(frame))]
    return b.node(op, inputs, onesided=b.integer(0, 1))


@makes("HannWindow", "HammingWindow", "BlackmanWindow")
def window(b, op):
    size = b.constant(np.array(b.integer(2, 20), b.choose([np.int32, np.int64])), 0.5)
    return b.node(op, [size], **({"periodic": b.integer(0, 1)} if b.chance(0.6) else {}))


@makes("MelWeightMatrix")
def mel(b, op):
    inputs = [b.constant(np.array(n), 0.7) for n in (b.integer(2, 8), b.choose([16, 32, 64]), 8192)]
    inputs += [b.constant(np.array(f, np.float32), 0.7) for f in (0.0, 4000.0)]
    return b.node(op, inputs)
