"""CausalConvWithState against a sum over its taps in numpy."""

import dlc
import numpy as np
import pytest
from onnx import parser

RANDOM = np.random.default_rng(0)


def compile_model(shapes, activation="none", dynamic=False):
    declared = ", ".join(
        f"float[{','.join(f'{name}{i}' if dynamic else str(size) for i, size in enumerate(shape))}] {name}"
        for name, shape in shapes.items()
    )
    given = ", ".join(name if name in shapes else "" for name in "xwbp")
    text = f"""<ir_version: 13, opset_import: ["": 27]> g ({declared}) => (float[?,?,?] y, float[?,?,?] s) {{
        y, s = CausalConvWithState <activation = "{activation}"> ({given}) }}"""
    return dlc.compile(parser.parse_model(text), opt_level=1)


def reference(x, w, b=None, p=None, activation="none"):
    k = w.shape[2]
    padded = np.concatenate([np.zeros((*x.shape[:2], k - 1), np.float32) if p is None else p, x], axis=2)
    y = sum(padded[:, :, j : j + x.shape[2]].astype(np.float64) * w[:, 0, j, None] for j in range(k))
    y = y if b is None else y + b[:, None]
    return y if activation == "none" else y / (1 + np.exp(-y)), padded[:, :, x.shape[2] :]


@pytest.mark.parametrize("dynamic", [False, True])
@pytest.mark.parametrize("batch,channels,length,taps", [(2, 5, 7, 4), (1, 3, 2, 4), (2, 2, 30, 20), (1, 4, 3, 1), (0, 3, 5, 2), (2, 3, 0, 3)])
@pytest.mark.parametrize("more", ["", "b", "p", "bp"])
def test_numbers(batch, channels, length, taps, more, dynamic):
    shapes = {"x": (batch, channels, length), "w": (channels, 1, taps)}
    shapes |= {"b": (channels,)} if "b" in more else {}
    shapes |= {"p": (batch, channels, taps - 1)} if "p" in more else {}
    feeds = {name: RANDOM.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}
    activation = "silu" if more == "b" else "none"
    found = compile_model(shapes, activation, dynamic).run(feeds)
    y, state = reference(**feeds, activation=activation)
    np.testing.assert_allclose(found["y"], y, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found["s"], state)


def test_wrong_shapes():
    model = compile_model({"x": (1, 3, 5), "w": (3, 1, 2), "b": (3,), "p": (1, 3, 1)}, dynamic=True)
    right = {"x": (1, 3, 5), "w": (3, 1, 2), "b": (3,), "p": (1, 3, 1)}
    for name, shape in [("w", (4, 1, 2)), ("w", (3, 2, 2)), ("w", (3, 1, 0)), ("b", (2,)), ("p", (1, 3, 2)), ("p", (2, 3, 1))]:
        with pytest.raises(dlc.RunError, match="expected"):
            model.run({n: np.zeros(s, np.float32) for n, s in (right | {name: shape}).items()})
    for shapes in ({"x": (1, 3, 5), "w": (3, 1, 2), "p": (1, 3, 2)}, {"x": (1, 3, 5), "w": (4, 1, 2)}):
        with pytest.raises(dlc.CompileError, match="CausalConvWithState.*mismatch"):
            compile_model(shapes)
    with pytest.raises(dlc.CompileError, match="unsupported activation value 'relu'"):
        compile_model({"x": (1, 3, 5), "w": (3, 1, 2)}, "relu")
