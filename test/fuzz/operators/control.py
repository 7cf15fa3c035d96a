"""Control flow: subgraphs are random, too."""

import builder
import numpy as np
from builder import Builder, Discard
from onnx import helper
from operators.sequences import sequence
from operators.table import makes

DEEPEST = 4


def grow(b, count):
    """Adds a few nodes of any kind to a subgraph."""
    import generate

    for _ in range(count):
        generate.add_node(b, nested=b.depth < DEEPEST)


def to_graph(child, name, inputs, outputs):
    constants = [v for v in child.values.values() if v.source == "constant"]
    return helper.make_graph(
        child.nodes,
        name,
        inputs,
        [builder.to_value_info(n, child.array(n)) for n in outputs],
        [builder.to_tensor(v.name, v.array) for v in constants],
    )


def results(child):
    """Tensors that nodes of the subgraph itself made."""
    return [v for v in child.values.values() if v.source == "node" and v.is_tensor]


def result(child, dtype=None):
    """A value of the type, that a node of the subgraph made."""
    found = results(child)
    if not found:
        return child.node("Identity", [child.tensor(dtype or np.float32)])[0]
    value = found[-1] if child.chance(0.7) else child.choose(found)
    if dtype is None or value.array.dtype == dtype:
        return value.name
    if dtype == object or value.array.dtype == object or not value.exact:
        return child.node("Identity", [child.tensor(dtype)])[0]
    return child.node("Identity", [child.tensor(dtype, value.array.shape)])[0]


def like(child, array):
    """A value of another subgraph's type and rank."""
    if isinstance(array, list):
        items = [child.tensor(array[0].dtype, rank=array[0].ndim) for _ in range(child.integer(1, 2))]
        return child.node("SequenceConstruct", items)[0]
    output = result(child, array.dtype)
    if child.array(output).ndim == array.ndim:
        return output
    return child.node("Identity", [child.fresh(array.dtype, child.shape(array.ndim))])[0]


@makes("If")
def if_(b, op):
    condition = b.tensor(bool, (), reuse=0.6)
    branches = []
    arrays = []
    count = b.choose([1, 1, 2])
    for name in ("then", "else"):
        child = Builder(None, b.opset, b)
        grow(child, b.integer(1, 3))
        outputs = []
        for i in range(count):
            if arrays:
                output = like(child, arrays[i])
            elif b.opset >= 13 and b.chance(0.15):
                output = child.node("Identity" if b.opset >= 14 else "SequenceInsert", grown_sequence(child))[0]
            else:
                output = result(child)
            # ONNX Runtime gives nothing for an output that stands twice.
            if output in outputs:
                raise Discard("the same output twice")
            outputs.append(output)
        arrays = arrays or [child.array(n) for n in outputs]
        branches.append(to_graph(child, name, [], outputs))
    return b.node(op, [condition], count, then_branch=branches[0], else_branch=branches[1])


def grown_sequence(child):
    """The inputs of a node that gives a sequence on."""
    s = sequence(child, least=1)
    return [s] if child.opset >= 14 else [s, child.tensor(child.array(s)[0].dtype, rank=child.array(s)[0].ndim)]


def update(child, state):
    """A new value of the state, of its type and shape."""
    array = child.array(state)
    if isinstance(array, list):
        item = child.tensor(array[0].dtype, rank=array[0].ndim, reuse=0.8)
        where = [child.constant(np.array(child.integer(-1, 1)), 0.8)] if child.chance(0.3) else []
        return child.node("SequenceInsert", [state, item, *where])[0]
    if array.dtype.kind in "fiu":
        op = child.choose(["Add", "Sub", "Max"] if array.dtype.itemsize > 1 and array.dtype not in (np.uint16, np.int16) else ["Identity"])
        if op == "Max" and child.opset < 12 and array.dtype.kind != "f":
            op = "Add"
        if op == "Identity":
            return child.node(op, [state])[0]
        shape = array.shape if child.opset < 7 or child.chance(0.5) else ()
        return child.node(op, [state, child.tensor(array.dtype, shape, reuse=0.4)])[0]
    return child.node("Identity", [state])[0]


@makes("Loop")
def loop(b, op):
    # The shape of what no turn makes is not known.
    trips = b.integer(1, 4)
    child = Builder(None, b.opset, b)
    states = [b.tensor(b.choose([np.float32, np.int64]), fits=lambda a: a.size < 500) for _ in range(b.integer(0, 2))]
    if b.opset >= 13 and b.chance(0.25):
        states.append(sequence(b, least=1))
    scans = b.integer(0 if states else 1, 2)
    names = [child.add(np.array(0, np.int64), "argument"), child.add(np.array(True), "argument")]
    inner = [child.add(b.array(s), "argument", exact=b.get(s).exact) for s in states]
    arguments = [
        builder.to_value_info(names[0], np.zeros((), np.int64), ()),
        builder.to_value_info(names[1], np.zeros((), bool), ()),
    ] + [builder.to_value_info(n, child.array(n)) for n in inner]
    grow(child, b.integer(1, 3))
    if b.chance(0.3):
        limit = child.constant(np.array(b.integer(0, 3), np.int64))
        keep = child.node("Less" if b.opset >= 9 else "Equal", [names[0], limit])[0]
    else:
        keep = child.node("Identity", [names[1]])[0]
    outputs = [keep] + [update(child, n) for n in inner]
    for _ in range(scans):
        made = [v.name for v in results(child) if v.name not in outputs]
        outputs.append(b.choose(made) if made else child.node("Identity", [names[0]])[0])
    for n in outputs[1 + len(inner):]:
        if child.array(n).dtype.kind not in "fiub":
            raise Discard("a scan output of another kind")
        if not child.array(n).size:
            raise Discard("ONNX Runtime concatenates what is empty otherwise")
    if len(set(outputs)) < len(outputs):
        raise Discard("the same output twice")
    body = to_graph(child, "body", arguments, outputs)
    count = b.constant(np.array(trips), 0.5)
    return b.node(op, [count, "" if b.chance(0.4) else b.constant(np.array(True), 0.5), *states],
                  len(states) + scans, body=body)  # fmt: skip


@makes("Scan")
def scan(b, op):
    version = b.version(op)
    length = b.integer(1, 4)
    child = Builder(None, b.opset, b)
    batch = (b.integer(1, 2),) if version < 9 else ()
    states = [b.fresh(np.float32, batch + b.shape(most=2)) for _ in range(b.integer(0, 1))]
    count = b.integer(1, 2)
    inputs, inner, axes = [], [], []
    for s in states:
        array = b.array(s)[0] if batch else b.array(s)
        inner.append(child.add(array, "argument"))
    for _ in range(count):
        shape = list(b.shape(most=3))
        axis = b.integer(0, len(shape)) if version >= 9 and b.chance(0.4) else 0
        item = b.random_array(np.float32, shape)
        if 0 in shape:
            raise Discard("empty")
        full = [*shape[:axis], length, *shape[axis:]]
        inputs.append(b.fresh(np.float32, batch + tuple(full)))
        axes.append(axis)
        inner.append(child.add(item, "argument"))
    arguments = [builder.to_value_info(n, child.array(n), child.array(n).shape) for n in inner]
    # All iterations have to give the same shape, which is known in all of this.
    outputs = [update(child, n) for n in inner[: len(states)]]
    made = []
    for n in inner[len(states):]:
        made.append(child.node(b.choose(["Neg", "Abs", "Exp", "Sigmoid"]), [n])[0])
        if b.chance(0.5):
            made.append(child.node("Mul", [made[-1], child.tensor(np.float32, (), reuse=0.3)])[0])
    if version >= 9 and b.chance(0.5):
        # Where an iteration makes another shape, the reference refuses the node.
        grow(child, b.integer(1, 2))
        made += [v.name for v in results(child) if v.name not in outputs + made
                 and v.array.dtype.kind in "fiub" and v.array.size]  # fmt: skip
    outputs += made[-b.integer(1, len(made)):]
    body = to_graph(child, "body", arguments, outputs)
    attributes = {"num_scan_inputs": count, "body": body}
    if version >= 9:
        if any(axes):
            attributes["scan_input_axes"] = axes
        if b.chance(0.3):
            attributes["scan_input_directions"] = [b.integer(0, 1) for _ in range(count)]
        if b.chance(0.3):
            attributes["scan_output_directions"] = [b.integer(0, 1) for _ in outputs[len(states):]]
        return b.node(op, states + inputs, len(outputs), exact=False, **attributes)
    lengths = ""  # which dlc says it does not support
    if b.chance(0.3):
        attributes["directions"] = [b.integer(0, 1) for _ in range(count)]
    return b.node(op, [lengths, *states, *inputs], len(outputs), exact=False, **attributes)


@makes("SequenceMap")
def sequence_map(b, op):
    s = sequence(b, least=1)
    items = b.array(s)
    child = Builder(None, b.opset, b)
    x = child.add(items[0], "argument")
    if items[0].dtype.kind not in "fi":
        raise Discard("no numbers")
    (y,) = child.node(b.choose(["Neg", "Abs"]), [x])
    body = to_graph(child, "body", [builder.to_value_info(x, items[0])], [y])
    return b.node(op, [s], body=body)
