"""com.microsoft's mixtures of experts against ONNX Runtime, or against their
definition where it has none, with static and dynamic shapes."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal  # noqa: E402

RANDOM = np.random.default_rng(11)
F32, F16 = np.float32, np.float16
TOKENS, WIDTH, INNER, EXPERTS = 7, 32, 16, 5


def real(*shape):
    return (RANDOM.standard_normal(shape) / 2).astype(F32)


def layers(wide, dtype=F32, bias=True):
    return [
        real(EXPERTS, wide, WIDTH).astype(dtype),
        real(EXPERTS, wide).astype(dtype) if bias else None,
        real(EXPERTS, WIDTH, INNER).astype(dtype),
        real(EXPERTS, WIDTH).astype(dtype) if bias else None,
    ]


def run(op, inputs, **how):
    check(op, inputs, [(inputs[0].dtype, inputs[0].ndim)], domain="com.microsoft", opt_level=1, **how)


@pytest.mark.parametrize("activation", ["relu", "gelu", "silu", "identity"])
@pytest.mark.parametrize("k, normalize", [(1, 0), (2, 1), (4, 0)])
def test_moe(activation, k, normalize):
    inputs = [real(TOKENS, WIDTH), real(TOKENS, EXPERTS), *layers(INNER, bias=k < 4)]
    run("MoE", inputs, activation_type=activation, k=k, normalize_routing_weights=normalize)


@pytest.mark.parametrize("limit", [{}, {"swiglu_limit": 0.75}])
def test_swiglu(limit):
    inputs = [real(2, 3, WIDTH), real(6, EXPERTS), *layers(2 * INNER)]
    how = {"activation_alpha": 1.702, "activation_beta": 1.0, "swiglu_fusion": 1, "k": 2} | limit
    run("MoE", inputs, activation_type="swiglu", **how)


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def define(x, router, weights, k, act, third=None, normalizes=False):
    """By the definition, in float64; `weights` are without a bias."""
    odds = np.exp(router.astype(np.float64))
    odds /= odds.sum(1, keepdims=True)
    y = np.zeros(x.shape)
    for token, row in enumerate(x.astype(np.float64)):
        chosen = np.argsort(-odds[token])[:k]
        if normalizes:
            odds[token] /= odds[token, chosen].sum()
        for expert in chosen:
            hidden = weights[0][expert].astype(np.float64) @ row
            linear = third[expert].astype(np.float64) @ row if third is not None else None
            y[token] += odds[token, expert] * (weights[1][expert].astype(np.float64) @ act(hidden, linear))
    return y.astype(F32)


def test_swiglu_in_halves_and_apart():
    """ONNX Runtime has these on GPUs only."""
    x, router = real(TOKENS, WIDTH), real(TOKENS, EXPERTS)
    gate, linear, down = real(EXPERTS, INNER, WIDTH), real(EXPERTS, INNER, WIDTH), real(EXPERTS, WIDTH, INNER)
    wanted = [define(x, router, [gate, down], 2, lambda h, l: h * sigmoid(h) * l, linear)]
    how = {"activation_type": "swiglu", "k": 2, "wanted": wanted}
    run("MoE", [x, router, np.concatenate([gate, linear], 1), None, down], swiglu_fusion=2, **how)
    run("MoE", [x, router, gate, None, down, None, linear], swiglu_fusion=0, **how)


def test_gated_silu():
    x, router = real(TOKENS, WIDTH), real(TOKENS, EXPERTS)
    gate, linear, down = real(EXPERTS, INNER, WIDTH), real(EXPERTS, INNER, WIDTH), real(EXPERTS, WIDTH, INNER)
    wanted = [define(x, router, [gate, down], 2, lambda h, l: h * sigmoid(h) * l, linear)]
    run("MoE", [x, router, gate, None, down, None, linear], activation_type="silu", k=2, wanted=wanted)


def test_half():
    inputs = [real(TOKENS, WIDTH).astype(F16), real(TOKENS, EXPERTS).astype(F16), *layers(INNER, F16)]
    run("MoE", inputs, activation_type="relu", k=2)


def test_nobody_and_ties():
    """Experts that no token chooses, and odds that are equal."""
    router = np.zeros((TOKENS, EXPERTS), F32)
    run("MoE", [real(TOKENS, WIDTH), router, *layers(INNER)], activation_type="relu", k=2)


def pack(numbers, bits):
    per = 8 // bits
    parts = numbers.reshape(*numbers.shape[:-1], -1, per).astype(np.uint8)
    return sum(parts[..., i] << (bits * i) for i in range(per)).astype(np.uint8)


def quantized(rows, columns, bits, block):
    q = RANDOM.integers(0, 2**bits, (EXPERTS, rows, columns))
    scales = RANDOM.uniform(0.2, 2, (EXPERTS, rows, columns // block) if block else (EXPERTS, rows)) / 2**bits
    return pack(q, bits), scales.astype(F32)


@pytest.mark.parametrize("bits, block", [(4, 0), (4, 16), (8, 0)])
def test_quantized(bits, block):
    first, second = quantized(INNER * 2, WIDTH, bits, block), quantized(WIDTH, INNER, bits, block)
    inputs = [real(TOKENS, WIDTH), real(TOKENS, EXPERTS), *first, real(EXPERTS, INNER * 2), *second, real(EXPERTS, WIDTH)]
    how = {"block_size": block} if block else {}
    run("QMoE", inputs, activation_type="swiglu", swiglu_fusion=1, k=2, expert_weight_bits=bits,
        normalize_routing_weights=1, activation_alpha=1.702, activation_beta=1.0,
        constants=(2, 3, 5, 6), **how)  # fmt: skip


def test_blocks_of_bytes():
    """ONNX Runtime rounds the tokens to 8 bits for these."""
    first, second = quantized(INNER * 2, WIDTH, 8, 16), quantized(WIDTH, INNER, 8, 16)
    x, router = real(TOKENS, WIDTH), real(TOKENS, EXPERTS)
    weights = [(q.astype(np.float64) - 128) * np.repeat(s, 16, -1) for q, s in (first, second)]
    swiglu = lambda h, _: h[0::2] * sigmoid(h[0::2]) * h[1::2]  # noqa: E731
    wanted = define(x, router, weights, 2, swiglu, normalizes=True)
    run("QMoE", [x, router, *first, None, *second], activation_type="swiglu", swiglu_fusion=1, k=2,
        expert_weight_bits=8, block_size=16, constants=(2, 3, 5, 6), wanted=[wanted])  # fmt: skip


def test_zero_points():
    bits, block = 4, 16
    first, second = quantized(INNER * 2, WIDTH, bits, block), quantized(WIDTH, INNER, bits, block)
    zeros = [
        pack(RANDOM.integers(0, 16, (EXPERTS, INNER * 2, WIDTH // block)), bits),
        pack(np.pad(RANDOM.integers(0, 16, (EXPERTS, WIDTH, INNER // block)), ((0, 0), (0, 0), (0, 1))), bits),
    ]
    inputs = [real(TOKENS, WIDTH), real(TOKENS, EXPERTS), *first, None, *second, None, None, None, None, *zeros]
    run("QMoE", inputs, activation_type="swiglu", swiglu_fusion=1, k=2, expert_weight_bits=bits,
        block_size=block, constants=(2, 3, 5, 6, 11, 12))  # fmt: skip


@pytest.mark.parametrize(
    "op, attributes, message",
    [
        ("MoE", {"activation_type": "tanh"}, "expected the activation_type relu, gelu, silu, swiglu or identity"),
        ("MoE", {"use_sparse_mixer": 1}, "expected no use_sparse_mixer"),
        ("MoE", {"activation_type": "swiglu"}, "expected weights of a third layer for swiglu_fusion 0"),
        ("MoE", {"activation_type": "swiglu", "swiglu_fusion": 3}, "expected a swiglu_fusion of 0, 1 or 2, found 3"),
        ("MoE", {"k": 0}, "expected k of 1 or more, found 0"),
        ("QMoE", {"quant_type": "fp4"}, "expected the quant_type int, found 'fp4'"),
        ("QMoE", {"block_size": 12}, "expected a block_size that is a power of 2 of at least 16, found 12"),
        ("QMoE", {"expert_weight_bits": 3}, "expected weights of 2, 4 or 8 bits, found 3"),
    ],
)
def test_refusals(op, attributes, message):
    inputs = [real(TOKENS, WIDTH), real(TOKENS, EXPERTS), *layers(INNER)]
    expect_refusal(op, inputs, [(F32, 2)], message, domain="com.microsoft", **attributes)


def test_wrong_shapes():
    inputs = [real(TOKENS, WIDTH), real(TOKENS, EXPERTS), *layers(INNER)]
    inputs[4] = real(EXPERTS, WIDTH, INNER + 1)
    expect_refusal("MoE", inputs, [(F32, 2)], "expected a column for each input of fc2", domain="com.microsoft")
