"""Runs one-node models in dlc and in ONNX Runtime and compares."""

import dlc
import numpy as np
import onnx
import onnxruntime as ort
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
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)


def check(op, inputs, outputs, constants=(), fixed=(), reference=False, **attributes):
    """Compares with ONNX Runtime (or ONNX's reference evaluator), with static
    and with dynamic shapes."""
    for dynamic in (False, True):
        model = node_model(op, inputs, outputs, dynamic, constants, fixed, **attributes)
        feeds = {
            f"x{i}": x for i, x in enumerate(inputs) if x is not None and i not in constants
        }
        if reference:
            expected = ReferenceEvaluator(model).run(None, feeds)
        else:
            session = ort.InferenceSession(
                model.SerializeToString(), providers=["CPUExecutionProvider"]
            )
            expected = session.run(None, feeds)
        found = dlc.compile(model).run(feeds)
        for i, want in enumerate(expected):
            got = found[f"y{i}"]
            assert got.shape == want.shape, f"dynamic={dynamic}"
            assert got.dtype == want.dtype
            relative, absolute = TOLERANCE.get(want.dtype.name, (0, 0))
            np.testing.assert_allclose(
                got, want, rtol=relative, atol=absolute, err_msg=f"dynamic={dynamic}"
            )
