"""Recurrent layers and losses."""

import numpy as np
from builder import Discard
from operators.table import makes

GATES = {"RNN": 1, "GRU": 3, "LSTM": 4}
ACTIVATIONS = ["Tanh", "Sigmoid", "Relu", "Softsign", "HardSigmoid", "Elu", "LeakyRelu", "Affine"]


@makes(*GATES)
def recurrent(b, op):
    dtype = b.dtype(op, among=[np.float32, np.float64])
    gates, hidden, inner = GATES[op], b.choose([1, 2, 4, 5]), b.integer(1, 4)
    length, batch = b.integer(1, 5), b.integer(1, 3)
    direction = b.choose(["forward", "forward", "reverse", "bidirectional"])
    ways = 2 if direction == "bidirectional" else 1
    attributes = {"hidden_size": hidden}
    if direction != "forward" or b.chance(0.3):
        attributes["direction"] = direction
    layout = b.version(op) >= 14 and b.chance(0.2)
    if layout:
        attributes["layout"] = 1
    order = (batch, length) if layout else (length, batch)
    weights = {"constant": 0.8, "low": -1, "high": 1, "fine": True}
    inputs = [
        b.tensor(dtype, (*order, inner), reuse=0.4, low=-1, high=1),
        b.fresh(dtype, (ways, gates * hidden, inner), **weights),
        b.fresh(dtype, (ways, gates * hidden, hidden), **weights),
        b.fresh(dtype, (ways, 2 * gates * hidden), **weights) if b.chance(0.7) else "",
    ]
    inputs.append(
        b.constant(b.random.integers(1, length + 1, batch).astype(np.int32), 0.2) if b.chance(0.4) else ""
    )
    state = (batch, ways, hidden) if layout else (ways, batch, hidden)
    inputs.append(b.fresh(dtype, state, low=-1, high=1) if b.chance(0.5) else "")
    if op == "LSTM":
        inputs.append(b.fresh(dtype, state, low=-1, high=1) if b.chance(0.5) else "")
        inputs.append(b.fresh(dtype, (ways, 3 * hidden), **weights) if b.chance(0.3) else "")
        if b.chance(0.2):
            attributes["input_forget"] = 1
    if op == "GRU" and b.chance(0.5):
        attributes["linear_before_reset"] = 1
    if b.chance(0.2):
        attributes["clip"] = 0.75
    if b.chance(0.4):
        count = {"RNN": 1, "GRU": 2, "LSTM": 3}[op] * ways
        attributes["activations"] = [b.choose(ACTIVATIONS) for _ in range(count)]
        if any(a in ("Affine",) for a in attributes["activations"]):
            attributes["activations"] = ["Tanh"] * count
    outputs = 3 if op == "LSTM" else 2
    omit = [i for i in range(outputs) if b.chance(0.2)]
    if len(omit) == outputs:
        omit = []
    return [n for n in b.node(op, inputs, outputs, omit=omit, **attributes) if n]


@makes("NegativeLogLikelihoodLoss", "SoftmaxCrossEntropyLoss")
def loss(b, op):
    dtype = b.dtype(op, among=[np.float32, np.float64])
    shape = (b.integer(1, 4), b.integer(1, 5), *(b.integer(1, 3) for _ in range(b.integer(0, 2))))
    labels = b.random.integers(0, shape[1], (shape[0], *shape[2:]))
    inputs = [b.tensor(dtype, shape, reuse=0.3), b.constant(labels.astype(b.choose([np.int32, np.int64])), 0.2)]
    if b.chance(0.5):
        inputs.append(b.fresh(dtype, (shape[1],), low=0.5, high=2))
    attributes = {"reduction": b.choose(["none", "mean", "sum"])} if b.chance(0.8) else {}
    if b.chance(0.3):
        attributes["ignore_index"] = 0
        if not labels.any():
            raise Discard("nothing is left to take the mean of")
    outputs = 2 if op == "SoftmaxCrossEntropyLoss" and b.chance(0.5) else 1
    return b.node(op, inputs, outputs, **attributes)
