"""com.microsoft's attention operators against ONNX Runtime, with static and
dynamic shapes."""

import pathlib
import sys

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal, node_model, run_runtime  # noqa: E402

B, S, P, N, H, V = 2, 4, 3, 2, 8, 6
D = N * H
RANDOM = np.random.default_rng(5)


def real(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int32)


def f32(*ranks):
    return [(np.float32, rank) for rank in ranks]


MASKS = {
    "none": None,
    "lengths": ints(3, 2),
    "ranges": ints(4, 3, 1, 0),
    "keys": ints([1, 1, 0, 1], [0, 1, 1, 1]),
    "all": (RANDOM.random((B, S, S)) < 0.7).astype(np.int32) | np.eye(S, dtype=np.int32),
}


def attention(mask=None, past=None, scores=None, values=D, **attributes):
    inputs = [real(B, S, 5), real(5, 2 * D + values), real(2 * D + values), mask, past, scores]
    check("Attention", inputs, f32(3) if past is None else f32(3, 5), constants=(1, 2), domain="com.microsoft",
          num_heads=N, opt_level=1, **attributes)  # fmt: skip


@pytest.mark.parametrize("unidirectional", [0, 1])
@pytest.mark.parametrize("mask", MASKS)
def test_attention(mask, unidirectional):
    attention(MASKS[mask], unidirectional=unidirectional)


def test_attention_forms():
    attention(values=N * V, qkv_hidden_sizes=[D, D, N * V])
    attention(scale=0.3)
    attention(MASKS["keys"], mask_filter_value=-1.0)
    attention(scores=real(1, N, S, S))
    attention(MASKS["keys"], scores=real(B, 1, S, S))
    attention(past=real(2, B, N, P, H), unidirectional=1)
    attention(ints([1] * 7, [0, 0, 1, 1, 1, 0, 1]), past=real(2, B, N, P, H))


def multihead(query, key, value, *rest, outputs=f32(3), **attributes):
    check("MultiHeadAttention", [query, key, value, *rest], outputs, domain="com.microsoft", num_heads=N,
          opt_level=1, **attributes)  # fmt: skip


L = 5


@pytest.mark.parametrize("mask", [None, ints(3, 5), ints([1, 1, 0, 1, 1], [0, 1, 1, 1, 0])])
@pytest.mark.parametrize("bias", [None, real(2 * D + N * V)])
def test_multihead(mask, bias):
    multihead(real(B, S, D), real(B, L, D), real(B, L, N * V), bias, mask)


def test_multihead_packings():
    """ONNX Runtime has packed ones on GPUs only: its answer to the parts is wanted."""
    q, k, v = real(B, S, N, H), real(B, S, N, H), real(B, S, N, H)
    bias = real(3 * D)
    parts = [x.reshape(B, S, D) for x in (q, k, v)]
    wanted = run_runtime("MultiHeadAttention", [*parts, bias], f32(3), domain="com.microsoft", num_heads=N)
    multihead(np.stack([q, k, v], 3), None, None, bias, wanted=wanted)
    wanted = run_runtime("MultiHeadAttention", parts, f32(3), domain="com.microsoft", num_heads=N)
    multihead(parts[0], np.stack([k, v], 3), None, wanted=wanted)
    multihead(parts[0], k.swapaxes(1, 2), v.swapaxes(1, 2))


def test_multihead_with_past():
    outputs = f32(3, 4, 4)
    q, k, v = real(B, S, D), real(B, S, D), real(B, S, D)
    past = [real(B, N, P, H), real(B, N, P, H)]
    multihead(q, k, v, None, None, None, *past, outputs=outputs)
    multihead(q, k, v, real(3 * D), ints([1] * 7, [0, 0, 1, 1, 1, 0, 1]), real(1, N, S, P + S), *past,
              outputs=outputs, unidirectional=1)  # fmt: skip


def test_multihead_scores():
    q, k, v = real(B, S, D), real(B, L, D), real(B, L, D)
    multihead(q, k, v, None, None, real(B, 1, S, L), scale=0.2, outputs=f32(3, 4, 4, 4))
    multihead(q, k, v, real(3 * D), ints(3, 5), outputs=f32(3, 4, 4, 4))


@pytest.mark.parametrize(
    "op, inputs, attributes, message",
    [
        ("Attention", [real(B, S, 5), real(5, 3 * D)], {"num_heads": 0}, "expected num_heads of 1 or more, found 0"),
        ("Attention", [real(B, S, 5), real(5, 3 * D)], {"do_rotary": 1}, "expected neither do_rotary nor"),
        ("Attention", [real(B, 5), real(5, 3 * D)], {}, "expected input 0 of rank 3, found rank 2"),
        ("Attention", [real(B, S, 5), real(5, 3 * D)], {"num_heads": 3}, "a multiple of the 3 heads"),
        ("Attention", [real(B, S, 5), real(5, 3 * D)], {"qkv_hidden_sizes": [4, 8, 4]}, "expected three qkv_hidden"),
        ("MultiHeadAttention", [real(B, S, D)], {}, "expected input 0 of rank 5, found rank 3"),
        ("MultiHeadAttention", [real(B, S, D), real(B, L, D), real(B, S, D)], {}, "key and value of one length"),
        ("MultiHeadAttention", [real(B, S, D), real(B, L, N, 2, H), None, real(D)], {}, "expected no bias with packed"),
        ("MultiHeadAttention", [real(B, S, D), real(B, N, L, H), real(B, N, L, H), real(D)], {},
         "expected no bias with keys and values of rank 4"),
        ("MultiHeadAttention", [real(B, S, D)] * 3 + [None] * 3 + [real(B, N, P, H)], {}, "both or none"),
        ("MultiHeadAttention", [real(B, S, D)] * 3 + [None] * 5 + [ints(1)], {}, "which buffers of beams need"),
    ],
)  # fmt: skip
def test_refusals(op, inputs, attributes, message):
    expect_refusal(op, inputs, f32(3), message, domain="com.microsoft", **{"num_heads": N} | attributes)


def test_wrong_mask():
    inputs = [real(B, S, 5), real(5, 3 * D), None, ints(1, 2, 3)]
    model = dlc.compile(node_model("Attention", inputs, f32(3), domain="com.microsoft", num_heads=N), opt_level=1)
    with pytest.raises(dlc.RunError, match="one or two numbers for each batch"):
        model.run({f"x{i}": x for i, x in enumerate(inputs) if x is not None})
