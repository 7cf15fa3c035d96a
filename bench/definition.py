"""What ONNX defines a quantized network to compute, in float64.

Integers, their scales and zero points are real numbers here, so that nothing
rounds but QuantizeLinear and its kin. Products of matrices are sums of whole
numbers, which are exact. Operators without a row of their own are those of
ONNX's reference evaluator, on float64.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

Array = np.ndarray
Operator = Callable[..., Any]
OPERATORS: dict[str, Operator] = {}
INTEGERS = (TensorProto.UINT8, TensorProto.INT8)


def operator(function: Operator) -> Operator:
    OPERATORS[function.__name__] = function
    return function


def _along(parameter: Array, rank: int, axis: int) -> Array:
    """One number for each index of `axis`, to be broadcast."""
    if parameter.size == 1:
        return parameter.reshape(())
    shape = [1] * rank
    shape[axis] = -1
    return parameter.reshape(shape)


def _real(x: Array, scale: Array, zero: Array | None, axis: int = 0) -> Array:
    y = x.astype(np.float64)
    if zero is not None:
        y -= _along(zero, x.ndim, axis).astype(np.float64)
    return y * _along(scale, x.ndim, axis).astype(np.float64)


def _round(x: Array, scale: Array, zero: Array | None, axis: int = 0) -> Array:
    zero = np.uint8(0) if zero is None else zero
    info = np.iinfo(zero.dtype)
    y = np.rint(x / _along(scale, x.ndim, axis).astype(np.float64))
    return np.clip(y + _along(np.asarray(zero), x.ndim, axis), info.min, info.max).astype(zero.dtype)


@operator
def QuantizeLinear(x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1) -> Array:
    return _round(x, scale, zero, axis)


@operator
def DequantizeLinear(x: Array, scale: Array, zero: Array | None = None, *, axis: int = 1) -> Array:
    return _real(x, scale, zero, axis)


@operator
def Conv(
    x: Array, w: Array, bias: Array | None = None, *, group: int = 1, strides: Any = None,
    dilations: Any = None, pads: Any = None, kernel_shape: Any = None, auto_pad: str = "NOTSET",
) -> Array:  # fmt: skip
    assert x.ndim == 4 and auto_pad in ("NOTSET", "VALID"), "expected a convolution of images"
    pads, strides, dilations = pads or [0] * 4, strides or [1, 1], dilations or [1, 1]
    x = np.pad(x, ((0, 0), (0, 0), (pads[0], pads[2]), (pads[1], pads[3])))
    n, c, h, width = x.shape
    m, per_group, kh, kw = w.shape
    oh = (h - (kh - 1) * dilations[0] - 1) // strides[0] + 1
    ow = (width - (kw - 1) * dilations[1] - 1) // strides[1] + 1
    xs = x.reshape(n, group, per_group, h, width)
    ws = w.reshape(group, m // group, per_group, kh, kw)
    y = np.zeros((n, group, m // group, oh * ow))
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilations[0], j * dilations[1]
            part = xs[..., top : top + (oh - 1) * strides[0] + 1 : strides[0],
                      left : left + (ow - 1) * strides[1] + 1 : strides[1]]  # fmt: skip
            y += ws[..., i, j] @ part.reshape(n, group, per_group, oh * ow)
    y = y.reshape(n, m, oh, ow)
    return y if bias is None else y + bias.reshape(-1, 1, 1)


@operator
def QLinearConv(
    x: Array, xs: Array, xz: Array, w: Array, ws: Array, wz: Array, ys: Array, yz: Array,
    bias: Array | None = None, **attributes: Any,
) -> Array:  # fmt: skip
    sums = Conv(_real(x, np.ones(()), xz), _real(w, np.ones(()), wz), bias, **attributes)
    factor = np.float64(xs) * ws.astype(np.float64)
    return _round(sums * _along(factor, 4, 1), ys, yz)


@operator
def QLinearMatMul(
    a: Array, sa: Array, za: Array, b: Array, sb: Array, zb: Array, ys: Array, yz: Array
) -> Array:  # fmt: skip
    return _round(_real(a, sa, za, -2) @ _real(b, sb, zb, -1), ys, yz)


@operator
def QGemm(
    a: Array, sa: Array, za: Array, b: Array, sb: Array, zb: Array, c: Array | None = None,
    ys: Array | None = None, yz: Array | None = None, *, alpha: float = 1, transA: int = 0,
    transB: int = 0,
) -> Array:  # fmt: skip
    left, right = _real(a, np.ones(()), za), _real(b, np.ones(()), zb, 0 if transB else 1)
    sums = (left.T if transA else left) @ (right.T if transB else right)
    y = (sums if c is None else sums + c) * (np.float64(alpha) * np.float64(sa) * sb.astype(np.float64))
    return y if ys is None else _round(y, ys, yz)


@operator
def MatMul(a: Array, b: Array) -> Array:
    return a @ b


@operator
def Add(a: Array, b: Array) -> Array:
    return a + b


@operator
def GatherElements(x: Array, indices: Array, *, axis: int = 0) -> Array:
    """The evaluator's own fails where the indices' other sizes are smaller."""
    axis %= x.ndim
    parts = tuple(slice(None) if i == axis else slice(n) for i, n in enumerate(indices.shape))
    return np.take_along_axis(x[parts], indices % x.shape[axis], axis)


@operator
def BatchNormalization(
    x: Array, scale: Array, bias: Array, mean: Array, variance: Array, *, epsilon: float = 1e-5,
    momentum: float = 0.9, training_mode: int = 0,
) -> Array:  # fmt: skip
    """Of an inference: the evaluator takes one with a momentum for a training."""
    assert not training_mode, "expected an inference"

    def along(parameter: Array) -> Array:
        return parameter.reshape(-1, *[1] * (x.ndim - 2))

    return along(scale) * (x - along(mean)) / np.sqrt(along(variance) + epsilon) + along(bias)


def _quantized(function: Operator) -> Operator:
    """`function` of real numbers between integers."""

    def apply(*inputs: Any, **attributes: Any) -> Array:
        count = len(inputs) - 2
        reals = [_real(*inputs[i : i + 3]) for i in range(0, count, 3)]
        return _round(function(*reals, **attributes), *inputs[count:])

    return apply


def _average(x: Array, *, channels_last: int = 0) -> Array:
    return x.mean((1, 2) if channels_last else tuple(range(2, x.ndim)), keepdims=True)


OPERATORS |= {
    "QLinearAdd": _quantized(Add),
    "QLinearMul": _quantized(lambda a, b: a * b),
    "QLinearSigmoid": _quantized(lambda x: 1 / (1 + np.exp(-x))),
    "QLinearLeakyRelu": _quantized(lambda x, alpha=0.01: np.where(x < 0, alpha * x, x)),
    "QLinearGlobalAveragePool": _quantized(_average),
}


@operator
def QLinearAveragePool(
    x: Array, xs: Array, xz: Array | None, ys: Array, yz: Array | None = None, *, channels_last: int = 0,
    **attributes: Any,
) -> Array:  # fmt: skip
    assert not channels_last, "expected an image's channels first"
    node = helper.make_node("AveragePool", ["x"], ["y"], **attributes)
    (average,) = _evaluate(node, [_real(x, xs, xz)], [helper.make_opsetid("", 19)])
    return _round(average, ys, yz)


@operator
def QLinearSoftmax(
    x: Array, xs: Array, xz: Array, ys: Array, yz: Array, *, axis: int = -1, opset: int = 13
) -> Array:
    real = _real(x, xs, xz)
    shape = real.shape
    if opset < 13:  # one row of all that is behind the axis
        real, axis = real.reshape(int(np.prod(shape[: axis % x.ndim])), -1), -1
    powers = np.exp(real - real.max(axis, keepdims=True))
    return _round((powers / powers.sum(axis, keepdims=True)).reshape(shape), ys, yz)


@operator
def QLinearConcat(ys: Array, yz: Array, *inputs: Any, axis: int) -> Array:
    parts = [_real(*inputs[i : i + 3]) for i in range(0, len(inputs), 3)]
    return _round(np.concatenate(parts, axis), ys, yz)


def _widen(value: Any) -> Any:
    is_float = getattr(value, "dtype", None) == np.float32
    return np.asarray(value, np.float64) if is_float else value


def _evaluate(node: onnx.NodeProto, inputs: list[Any], opsets: Any) -> list[Any]:
    """One node by ONNX's reference evaluator."""
    names = [name for name in node.input if name]
    graph = helper.make_graph(
        [node], "node", [onnx.ValueInfoProto(name=n) for n in dict.fromkeys(names)],
        [onnx.ValueInfoProto(name=n) for n in node.output],
    )  # fmt: skip
    evaluator = ReferenceEvaluator(helper.make_model(graph, opset_imports=opsets))
    feeds = {name: value for name, value in zip(node.input, inputs) if name}
    return [_widen(value) for value in evaluator.run(None, feeds)]


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    found = {a.name: helper.get_attribute_value(a) for a in node.attribute}
    return {n: v.decode() if isinstance(v, bytes) else v for n, v in found.items()}


def run(
    model: onnx.ModelProto,
    inputs: Mapping[str, Array],
    replace: Callable[[str, Array], Array] = lambda name, value: value,
) -> list[Array]:
    """The outputs of a model. What `replace` makes of the name and the value of
    a tensor is what the nodes behind it read."""
    values: dict[str, Any] = {"": None}
    values |= {c.name: _widen(numpy_helper.to_array(c)) for c in model.graph.initializer}
    values |= {name: _widen(x) for name, x in inputs.items()}
    last_use = {name: i for i, node in enumerate(model.graph.node) for name in node.input}
    last_use |= {o.name: len(model.graph.node) for o in model.graph.output}
    for i, node in enumerate(model.graph.node):
        operands = [values[name] for name in node.input]
        if function := OPERATORS.get(node.op_type):
            results = [function(*operands, **_attributes(node))]
        else:
            results = _evaluate(node, operands, model.opset_import)
        for name, value in zip(node.output, results):
            values[name] = replace(name, value)
        for name in node.input:
            if name and last_use[name] == i:
                del values[name]
                last_use[name] = -1
    return [values[o.name] for o in model.graph.output]


def find_quantized(model: onnx.ModelProto) -> list[str]:
    """The names of all tensors that nodes round to integers."""
    return [node.output[0] for node in model.graph.node
            if node.op_type.startswith("QLinear") or node.op_type in ("QuantizeLinear", "QGemm")]  # fmt: skip


def expose(path: pathlib.Path, out: pathlib.Path) -> list[str]:
    """Writes the model with all tensors of integers as outputs; their names."""
    model = onnx.load(path)
    names = find_quantized(model)
    known = {o.name for o in model.graph.output}
    inferred = onnx.shape_inference.infer_shapes(model)
    infos = {v.name: v for v in inferred.graph.value_info}
    constants = {c.name: c.data_type for c in model.graph.initializer}
    for node in model.graph.node:
        name = node.output[0]
        if name in names and name not in known:
            # Of com.microsoft's operators a zero point tells the type.
            kinds = [kind for n in node.input if (kind := constants.get(n)) in INTEGERS]
            made = helper.make_tensor_value_info(name, kinds[-1] if kinds else TensorProto.UINT8, None)
            found = infos.get(name)
            model.graph.output.append(found if found and found.type.tensor_type.elem_type else made)
    onnx.save(model, out)
    return names
