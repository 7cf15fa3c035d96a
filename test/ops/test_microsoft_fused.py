"""com.microsoft's fused operators against ONNX Runtime, or against their parts
where it has them on GPUs only; with static and dynamic shapes."""

import pathlib
import sys

import numpy as np
import pytest
from scipy.special import erf

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal, run_runtime  # noqa: E402

RANDOM = np.random.default_rng(5)


def real(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def fused(op, inputs, rank, outputs=1, **how):
    check(op, inputs, [(np.float32, rank)] * outputs, domain="com.microsoft", opt_level=1, **how)


ACTIVATIONS = {
    "Relu": None,
    "Sigmoid": None,
    "Tanh": None,
    "LeakyRelu": [0.2],
    "Clip": [-0.5, 0.75],
    "HardSigmoid": [0.3, 0.4],
}


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_conv(activation):
    parameters = {"activation_params": ACTIVATIONS[activation]} if ACTIVATIONS[activation] else {}
    inputs = [real(2, 3, 7, 6), real(4, 3, 3, 3), real(4), real(2, 4, 7, 6)]
    fused("FusedConv", inputs[: 4 if activation == "Relu" else 3], 4, activation=activation, pads=[1] * 4,
          constants=(1,), **parameters)  # fmt: skip


def test_conv_channels_last():
    x, w, b = real(2, 5, 6, 7), real(4, 5, 3, 3), real(4)
    (wanted,) = run_runtime("Conv", [x, w, b], [(np.float32, 4)], pads=[1, 0, 1, 1], strides=[1, 2])
    wanted = np.moveaxis(wanted, 1, -1)
    last = [np.moveaxis(a, 1, -1).copy() for a in (x, w)]
    window = dict(pads=[1, 0, 1, 1], strides=[1, 2], constants=(1,))
    fused("NhwcConv", [*last, b], 4, wanted=[wanted], **window)
    fused("NhwcFusedConv", [last[0], w, b, real(*wanted.shape) * 0], 4, wanted=[np.maximum(wanted, 0)],
          activation="Relu", **window)  # fmt: skip


@pytest.mark.parametrize("dtype", [np.int8, np.uint8])
def test_max_pool(dtype):
    x = RANDOM.integers(0, 100, (2, 7, 6, 3)).astype(dtype)
    check("NhwcMaxPool", [x], [(dtype, 4)], domain="com.microsoft", kernel_shape=[3, 2], strides=[2, 1],
          pads=[1, 0, 1, 1], opt_level=1)  # fmt: skip


@pytest.mark.parametrize("activation", ["Relu", "LeakyRelu", "Elu", "HardSigmoid", "Softsign"])
def test_gemm(activation):
    parameters = {"LeakyRelu": dict(activation_alpha=0.3), "Elu": dict(activation_alpha=0.7),
                  "HardSigmoid": dict(activation_alpha=0.3, activation_beta=0.4)}.get(activation, {})  # fmt: skip
    fused("FusedGemm", [real(3, 5), real(4, 5), real(4)], 2, transB=1, alpha=0.5, activation=activation, **parameters)


def gelu(x):
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def test_parts():
    """What ONNX Runtime has no CPU kernel for."""
    x, y, bias = real(2, 3, 8), real(2, 3, 8), real(8)
    a, b = real(2, 3, 4), real(4, 5)
    fused("BiasAdd", [x, bias, y], 3, wanted=[x + bias + y])
    sums = x + bias
    fused("BiasSplitGelu", [x, bias], 3, wanted=[(sums[..., :4] * gelu(sums[..., 4:])).astype(np.float32)])
    fused("BiasDropout", [x, bias, y], 3, wanted=[x + bias + y])
    fused("FusedMatMulActivation", [a, b], 3, activation="Relu", wanted=[np.maximum(a @ b, 0)])
    exponents = np.exp(x + y[:1])
    fused("BiasSoftmax", [x, y[:1]], 3, axis=1, is_inner_broadcast=0,
          wanted=[exponents / exponents.sum((1, 2), keepdims=True)])  # fmt: skip


@pytest.mark.parametrize("channels_last", [0, 1])
def test_group_norm(channels_last):
    x, gamma, beta, bias = real(2, 4, 5, 6), real(6), real(6), real(6)
    skips = [real(2, 4, 5, 6), real(2, 6)]

    def norm(x):
        parts = x.reshape(2, 4, 5, 3, 2)
        parts = parts - parts.mean((1, 2, 4), keepdims=True)
        y = (parts / np.sqrt((parts**2).mean((1, 2, 4), keepdims=True) + 1e-3)).reshape(x.shape) * gamma + beta
        return y / (1 + np.exp(-y))

    def layout(x):
        return x if channels_last or x.ndim == 2 else np.moveaxis(x, -1, 1).copy()

    how = dict(groups=3, activation=1, epsilon=1e-3, channels_last=channels_last)
    fused("GroupNorm", [layout(x), gamma, beta], 4, wanted=[layout(norm(x))], **how)
    for skip in skips:
        sums = x + bias + (skip if skip.ndim == 4 else skip[:, None, None])
        fused("SkipGroupNorm", [layout(x), gamma, beta, layout(skip), bias], 4, 2,
              wanted=[layout(norm(sums)), layout(sums)], **how)  # fmt: skip


@pytest.mark.parametrize(
    "op, inputs, attributes, message",
    [
        ("FusedConv", [real(1, 2, 5, 5), real(3, 2, 3, 3), None, real(1, 3, 5, 5)], {}, "expected input 3 of the shape"),
        ("FusedGemm", [real(3, 4), real(4, 5)], {"activation": "Sine"}, "unknown activation function 'sine'"),
        ("BiasSplitGelu", [real(2, 3, 5), real(5)], {}, "expected an even number of channels"),
        ("BiasDropout", [real(2, 3), real(3), None, None, np.array(True)], {}, "training_mode to be a constant false"),
        ("GroupNorm", [real(2, 4, 4, 6), real(6), real(6)], {"groups": 4}, "expected groups that divide the channels"),
        ("GroupNorm", [real(2, 4, 4, 6), real(6), real(6)], {"groups": 2, "activation": 2}, "activation = 0 or 1"),
    ],
)  # fmt: skip
def test_refusals(op, inputs, attributes, message):
    expect_refusal(op, inputs, [(np.float32, inputs[0].ndim)], message, domain="com.microsoft", **attributes)
