"""com.microsoft's GroupQueryAttention against ONNX Runtime, with static and
dynamic shapes: the first step, and those with a cache."""

import pathlib
import sys

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal, node_model, run_runtime  # noqa: E402

N, KV, H = 4, 2, 32
RANDOM = np.random.default_rng(5)
OUTPUTS = [(np.float32, 3), (np.float32, 4), (np.float32, 4)]


def real(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def ints(*values):
    return np.array(values, np.int32)


def inputs_of(batch, length, past=0, lengths=None, total=None, packed=False, half=H // 2):
    """The inputs 0 to 8; `lengths` of the keys that count, all of them if None."""
    q, k, v = (real(batch, length, n * H) for n in (N, KV, KV))
    cache = [real(batch, KV, past, H), real(batch, KV, past, H)] if past else [None, None]
    total = total or length + past
    lengths = ints(*(lengths or [total] * batch)) - 1
    angles = RANDOM.uniform(0, 6, (20, half)).astype(np.float32)
    qkv = [np.concatenate([q, k, v], 2), None, None] if packed else [q, k, v]
    return [*qkv, *cache, lengths, np.array(total, np.int32), np.cos(angles), np.sin(angles)]


def group_query(inputs, outputs=OUTPUTS, **attributes):
    check("GroupQueryAttention", inputs, outputs, domain="com.microsoft", opt_level=1, constants=(7, 8),
          **dict(num_heads=N, kv_num_heads=KV) | attributes)  # fmt: skip


STEPS = {"first": (2, 5), "next": (2, 1, 6, [7, 4]), "several": (1, 3, 6), "buffer": (2, 1, 9, [5, 7], 7)}


@pytest.mark.parametrize("step", STEPS)
def test_steps(step):
    group_query(inputs_of(*STEPS[step]), do_rotary=1)


@pytest.mark.parametrize("rotary", [{}, {"do_rotary": 1, "rotary_interleaved": 1}])
def test_rotary(rotary):
    group_query(inputs_of(*STEPS["next"]), **rotary)


FORMS = {
    "scale": {"scale": 0.2},
    "softcap": {"softcap": 2.0},
    "window": {"local_window_size": 3},
    "smooth": {"smooth_softmax": 1},
    "smooth in a window": {"smooth_softmax": 1, "local_window_size": 3, "softcap": 3.0},
}


@pytest.mark.parametrize("form", FORMS)
def test_attributes(form):
    group_query(inputs_of(*(STEPS["first"] if "window" in form else STEPS["next"])), **FORMS[form])


def test_inputs():
    group_query(inputs_of(2, 5, packed=True), do_rotary=1)
    group_query(inputs_of(2, 5, half=H // 4), do_rotary=1)
    group_query([*inputs_of(2, 5), None, real(1, N, 5, 5)])
    group_query([*inputs_of(2, 1, 6, [7, 4]), None, real(2, 1, 1, 7)], softcap=2.0)
    group_query([*inputs_of(2, 5), None, None, real(N)])
    places = np.array([[3], [5]], np.int64)
    group_query([*inputs_of(2, 1, 6, [7, 4]), places], do_rotary=1)


def test_norms():
    """ONNX Runtime has norms of the heads on GPUs only: its answer to normed ones is wanted."""
    inputs, weights = inputs_of(2, 5), [real(H), real(H)]
    normed = list(inputs)
    for i, weight in enumerate(weights):
        x = inputs[i].reshape(2, 5, -1, H)
        x = x / np.sqrt((x**2).mean(3, keepdims=True) + 1e-3) * weight
        normed[i] = x.reshape(inputs[i].shape).astype(np.float32)
    wanted = run_runtime("GroupQueryAttention", normed, OUTPUTS, domain="com.microsoft", num_heads=N, kv_num_heads=KV)
    group_query([*inputs, *[None] * 5, *weights], qk_norm_epsilon=1e-3, wanted=wanted)


@pytest.mark.parametrize("form", [1, 2])
def test_scores(form):
    group_query(inputs_of(1, 5), [*OUTPUTS, (np.float32, 4)], qk_output=form, softcap=2.0)


def test_half():
    inputs = [x.astype(np.float16) if x is not None and x.dtype == np.float32 else x for x in inputs_of(2, 5)]
    group_query(inputs, [(np.float16, rank) for _, rank in OUTPUTS], do_rotary=1)


def test_padding():
    """Sequences of the first step that are shorter: only their own part counts."""
    inputs = inputs_of(2, 5, lengths=[5, 3])
    attributes = dict(domain="com.microsoft", num_heads=N, kv_num_heads=KV, do_rotary=1)
    wanted = run_runtime("GroupQueryAttention", inputs, OUTPUTS, **attributes)
    model = dlc.compile(node_model("GroupQueryAttention", inputs, OUTPUTS, **attributes), opt_level=1)
    found = model.run({f"x{i}": x for i, x in enumerate(inputs) if x is not None})
    np.testing.assert_allclose(found["y0"][0], wanted[0][0], 1e-4, 1e-5)
    np.testing.assert_allclose(found["y0"][1, :3], wanted[0][1, :3], 1e-4, 1e-5)


WRONG = {
    "longer than the cache": (inputs_of(2, 1, 6, total=9), "at most the length of the past"),
    "no query": (inputs_of(2, 5, total=4, lengths=[4, 4]), "at least the length of the queries"),
    "beyond the total": (inputs_of(2, 1, 6, [8, 4], 7), "expected seqlens_k below total_sequence_length"),
    "beyond the table": (inputs_of(1, 1, 30), "expected positions inside of cos_cache"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_wrong_lengths(wrong):
    inputs, message = WRONG[wrong]
    model = dlc.compile(node_model("GroupQueryAttention", inputs, OUTPUTS, domain="com.microsoft", num_heads=N,
                                   kv_num_heads=KV, do_rotary=1), opt_level=1)  # fmt: skip
    with pytest.raises(dlc.RunError, match=message):
        model.run({f"x{i}": x for i, x in enumerate(inputs) if x is not None})


@pytest.mark.parametrize(
    "attributes, more, message",
    [
        ({"num_heads": 3}, [], "expected num_heads to be a multiple of kv_num_heads, found 3 and 2"),
        ({"k_quant_type": "PER_TENSOR"}, [], "expected no quantized cache"),
        ({"sliding_window_cache": 1}, [], "expected no sliding_window_cache"),
        ({"causal": 0, "local_window_size": 2}, [], "expected no local_window_size without causal"),
        ({}, [None, None, None, None, None, real(H)], "expected q_norm_weight and k_norm_weight both or none"),
        ({}, [None] * 7 + [ints(1)], "expected no query_seqlens"),
        ({}, [None, real(5, 5)], "expected an attention_bias of rank 4, found rank 2"),
    ],
)  # fmt: skip
def test_refusals(attributes, more, message):
    expect_refusal("GroupQueryAttention", [*inputs_of(1, 5), *more], OUTPUTS, message, domain="com.microsoft",
                   **dict(num_heads=N, kv_num_heads=KV) | attributes)  # fmt: skip
