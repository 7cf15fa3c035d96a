"""Casts of floats to integers, numbers that do not fit among them: one rule on
every road that a cast takes (docs/Numbers.md), which is ONNX Runtime's on x86."""

import dlc
import numpy as np
import pytest
from onnx import helper, numpy_helper

NUMBERS = [0.0, -0.0, 0.9, -0.9, -1.5, 127.5, 128, 255.9, 256, -129, 300, 32768, 65535, 65536, -70000,
           2147483520, 2147483648, 3e9, 4294967040, 4294967296, 1e10, -2147483648, -2147484000, -3e9, -1e10,
           2.0**62, 2.0**63, -(2.0**63), 1.5 * 2.0**63, 2.0**64, 1e30, -1e30, np.inf, -np.inf, np.nan]
INTEGERS = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


def expected(x, dtype):
    """The rule, in Python's integers."""
    dtype = np.dtype(dtype)
    bits = 8 * dtype.itemsize
    wide = max(bits, 32)
    low, high = -(2 ** (wide - 1)), 2 ** (wide - 1)
    if dtype.kind == "u" and bits >= 32 and x >= high:
        integer = int(x) if x < 2 * high else 0
    else:
        integer = int(x) if np.isfinite(x) and low <= int(x) < high else low
    return np.array(integer % 2**bits, np.uint64).astype(f"uint{bits}").view(dtype)


@pytest.mark.parametrize("source", ["float16", "float32", "float64"])
def test_cast(source):
    with np.errstate(over="ignore"):
        x = np.resize(np.array(NUMBERS), 2 * len(NUMBERS) + 3).astype(source)
    info = helper.make_tensor_value_info
    kind = helper.np_dtype_to_tensor_dtype(x.dtype)
    casts = {d: helper.np_dtype_to_tensor_dtype(np.dtype(d)) for d in INTEGERS}
    for road in ("static", "dynamic", "constant"):
        nodes = [helper.make_node("Cast", ["x"], [d], to=to) for d, to in casts.items()]
        inputs = [] if road == "constant" else [info("x", kind, x.shape if road == "static" else ["n"])]
        constants = [numpy_helper.from_array(x, "x")] if road == "constant" else []
        graph = helper.make_graph(nodes, "g", inputs, [info(d, to, None) for d, to in casts.items()], constants)
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
        found = dlc.compile(model).run({} if road == "constant" else {"x": x})
        for dtype in INTEGERS:
            want = np.stack([expected(float(v), dtype) for v in x])
            np.testing.assert_array_equal(found[dtype], want, f"{road} {dtype}")
