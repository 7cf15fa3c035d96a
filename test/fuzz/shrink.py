"""Cuts a model that fails down to a small one that fails in the same way."""

from __future__ import annotations

import builder
import compare
import numpy as np
import onnx
import pool
from compare import CRASH, Outcome
from generate import Example
from onnx import helper, printer


def check_apart(example: Example, timeout: float, opt_level: int = 1) -> Outcome:
    """The outcome, found in a process of its own."""
    crashed = lambda why: Outcome(CRASH, compare.generalize(why), why)  # noqa: E731
    ((_, outcome),) = pool.run(lambda i: compare.check(example, opt_level), 1, 1, timeout, crashed)
    return outcome


def shrink(example: Example, outcome: Outcome, timeout: float) -> tuple[Example, str]:
    """The smallest example found, and what is wrong with it."""
    text = outcome.text
    for opt_level in (1, 3):
        first = check_apart(example, timeout, opt_level)
        if first.kind == outcome.kind:
            break
    else:
        return example, text

    def still_fails(candidate: Example) -> bool:
        nonlocal text
        try:
            onnx.checker.check_model(candidate.model)
            found = check_apart(candidate, timeout, opt_level)
        except Exception:
            return False
        if found.kind != outcome.kind:
            return False
        text = found.text
        return True

    nodes = list(example.model.graph.node)
    kept = nodes
    # One node alone is what most failures are.
    for node in nodes:
        if node.op_type != "Constant" and still_fails(candidate := take(example, [node])):
            example, kept = candidate, [node]
            break
    else:
        size = max(1, len(kept) // 2)
        while size:
            for start in range(0, len(kept), size):
                fewer = kept[:start] + kept[start + size :]
                if fewer and still_fails(candidate := take(example, fewer)):
                    example, kept = candidate, fewer
                    break
            else:
                size //= 2
    for change in (make_static, make_all_inputs):
        if still_fails(candidate := change(example)):
            example = candidate
    return example, text


def take(example: Example, nodes: list[onnx.NodeProto]) -> Example:
    """A model of some of the nodes; values that none of them makes are inputs."""
    old = example.model
    produced = {name for node in nodes for name in node.output if name}
    used = list(dict.fromkeys(n for v in nodes for n in [*v.input, *builder.captured(v)] if n))
    constants = {t.name: t for t in old.graph.initializer}
    inputs = {i.name: i for i in old.graph.input}
    needed = [name for name in used if name not in produced and name not in constants]
    leaves = [name for name in produced if name not in used or name in example.expected]
    leaves = [n for n in leaves if example.values.get(n) is not None]
    is_dynamic = any(d.dim_param for i in old.graph.input for d in i.type.tensor_type.shape.dim)

    def declare(name: str) -> onnx.ValueInfoProto:
        if name in inputs:
            return inputs[name]
        array = example.values[name]
        shape = None
        if isinstance(array, np.ndarray):
            shape = [f"{name}_{i}" if is_dynamic else n for i, n in enumerate(array.shape)]
        return builder.to_value_info(name, array, shape)

    graph = helper.make_graph(
        nodes,
        "fuzz",
        [declare(name) for name in needed],
        [builder.to_value_info(n, example.values[n], rank_only(example.values[n])) for n in leaves],
        [constants[name] for name in used if name in constants],
    )
    model = helper.make_model(graph, opset_imports=old.opset_import, ir_version=old.ir_version)
    feeds = {name: example.values[name] for name in needed}
    expected = {name: example.values[name] for name in leaves}
    return Example(model, feeds, expected, example.values, example.inexact)


def rank_only(array: object) -> list[None] | None:
    return [None] * array.ndim if isinstance(array, np.ndarray) else None


def make_static(example: Example) -> Example:
    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    for info in model.graph.input:
        array = example.feeds[info.name]
        if isinstance(array, np.ndarray):
            info.CopyFrom(builder.to_value_info(info.name, array, array.shape))
    return Example(model, example.feeds, example.expected, example.values, example.inexact)


def make_all_inputs(example: Example) -> Example:
    """Constants as inputs."""
    model = onnx.ModelProto()
    model.CopyFrom(example.model)
    feeds = dict(example.feeds)
    for tensor in model.graph.initializer:
        feeds[tensor.name] = onnx.numpy_helper.to_array(tensor)
        model.graph.input.append(
            builder.to_value_info(tensor.name, feeds[tensor.name], feeds[tensor.name].shape)
        )
    del model.graph.initializer[:]
    return Example(model, feeds, example.expected, example.values, example.inexact)


def to_text(example: Example) -> str:
    lines = [printer.to_text(example.model)]
    for name, array in example.feeds.items():
        shown = np.array2string(np.asarray(array), separator=", ", threshold=80) if not isinstance(array, list) else str(array)[:500]
        lines.append(f"{name} = {shown[:1500]}")
    return "\n".join(lines)
