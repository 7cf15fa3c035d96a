"""Runs one-node models in dlc and in ONNX Runtime and compares."""

import re

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator

# Tolerances by element type: (relative, absolute).
TOLERANCE = {"float16": (1e-2, 1e-3), "float32": (1e-4, 1e-5), "float64": (1e-7, 1e-9)}


def node_model(op, inputs, outputs, dynamic=False, constants=(), fixed=(), opset=20, **attributes):
    """A model of one node.

    `inputs` are arrays (None: absent), `outputs` pairs of dtype and rank (None: any).
    Inputs whose index is in `constants` are initializers; those in `fixed`
    keep their shape when the others are dynamic.
    """
    names = [f"x{i}" if x is not None else "" for i, x in enumerate(inputs)]
    results = [f"y{i}" for i in range(len(outputs))]
    node = helper.make_node(op, names, results, **attributes)
    arguments, initializers = [], []
    for i, x in enumerate(inputs):
        if x is None:
            continue
        if i in constants:
            initializers.append(onnx.numpy_helper.from_array(x, names[i]))
            continue
        shape = [f"d{i}_{k}" for k in range(x.ndim)] if dynamic and i not in fixed else x.shape
        arguments.append(
            helper.make_tensor_value_info(names[i], helper.np_dtype_to_tensor_dtype(x.dtype), shape)
        )
    values = [
        helper.make_tensor_value_info(
            name,
            helper.np_dtype_to_tensor_dtype(np.dtype(dtype)),
            [f"{name}_{k}" for k in range(rank)] if rank is not None else None,
        )
        for name, (dtype, rank) in zip(results, outputs)
    ]
    graph = helper.make_graph([node], "g", arguments, values, initializers)
    opsets = [helper.make_opsetid("", opset)]
    if node.domain:
        opsets.append(helper.make_opsetid(node.domain, 1))
    return helper.make_model(graph, opset_imports=opsets, ir_version=9)


def evaluate(model, feeds):
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return session.run(None, feeds)


def run_runtime(op, inputs, outputs, **attributes):
    """ONNX Runtime's results of a node whose inputs are all given at run time."""
    feeds = {f"x{i}": x for i, x in enumerate(inputs) if x is not None}
    return evaluate(node_model(op, inputs, outputs, **attributes), feeds)


def check(op, inputs, outputs, constants=(), fixed=(), reference=False, opt_level=3, wanted=None,
          **attributes):  # fmt: skip
    """Compares with ONNX Runtime (or ONNX's reference evaluator, or what is
    wanted), with static and with dynamic shapes."""
    for dynamic in (False, True):
        model = node_model(op, inputs, outputs, dynamic, constants, fixed, **attributes)
        feeds = {
            f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constants
        }
        if wanted is not None:
            expected = wanted
        elif reference:
            expected = ReferenceEvaluator(model).run(None, feeds)
        else:
            expected = evaluate(model, feeds)
        found = dlc.compile(model, opt_level=opt_level).run(feeds)
        for i, want in enumerate(expected):
            got = found[f"y{i}"]
            assert got.shape == want.shape, f"dynamic={dynamic}"
            assert got.dtype == want.dtype
            relative, absolute = TOLERANCE.get(want.dtype.name, (0, 0))
            np.testing.assert_allclose(
                got, want, rtol=relative, atol=absolute, err_msg=f"dynamic={dynamic}"
            )


def expect_refusal(op, inputs, outputs, message, **attributes):
    """The compiler refuses the node with this message."""
    with pytest.raises(dlc.CompileError, match=re.escape(message)):
        dlc.compile(node_model(op, inputs, outputs, **attributes))
