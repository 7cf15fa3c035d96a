"""com.microsoft's embeddings and rotary positions against ONNX Runtime, with
static and dynamic shapes."""

import pathlib
import sys

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal, node_model  # noqa: E402

RANDOM = np.random.default_rng(5)
B, S, D = 2, 4, 8


def real(*shape):
    return RANDOM.standard_normal(shape).astype(np.float32)


def ids(most, shape=(B, S)):
    return RANDOM.integers(0, most, shape).astype(np.int32)


def tables(segments=True):
    return [ids(9), ids(2) if segments else None, real(9, D), real(6, D), real(2, D) if segments else None,
            real(D), real(D)]  # fmt: skip


OUTPUTS = [(np.float32, 3), (np.int32, 1), (np.float32, 3)]


@pytest.mark.parametrize("segments", [True, False])
def test_embed(segments):
    how = dict(domain="com.microsoft", opt_level=1, fixed=range(2, 7))  # ONNX Runtime wants to know them
    check("EmbedLayerNormalization", tables(segments), OUTPUTS[:2], **how)
    check("EmbedLayerNormalization", [*tables(segments), ids(2)], OUTPUTS, epsilon=1e-3, **how)
    check("EmbedLayerNormalization", [*tables(segments), None, ids(6, (1, S))], OUTPUTS, **how)


@pytest.mark.parametrize("segments", [True, False])
def test_quantized_embed(segments):
    words, kinds, *rest = tables(segments)
    quantized = [None if x is None else RANDOM.integers(0, 255, x.shape).astype(np.uint8) for x in rest]
    scales = [None if x is None else np.array(0.01, np.float32) for x in rest]
    zeros = [None if x is None else np.array(120, np.uint8) for x in rest]
    inputs = [words, kinds, *quantized, ids(2), *scales, *zeros]
    check("QEmbedLayerNormalization", inputs, OUTPUTS[:2], domain="com.microsoft", epsilon=1e-5, opt_level=1,
          constants=range(8, 18), fixed=range(2, 7))  # fmt: skip


def rotate(x, positions, pairs, **attributes):
    angles = RANDOM.uniform(0, 6, (12, pairs)).astype(np.float32)
    check("RotaryEmbedding", [x, np.array(positions, np.int64), np.cos(angles), np.sin(angles)],
          [(np.float32, x.ndim)], domain="com.microsoft", opt_level=1, **attributes)  # fmt: skip


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary(interleaved):
    places = [[3, 2, 9, 0], [1, 2, 3, 4]]
    rotate(real(B, S, 3 * D), places, D // 2, interleaved=interleaved)
    rotate(real(B, 3, S, D), [5], D // 2, interleaved=interleaved)
    rotate(real(B, S, 3 * D), places, D // 4, interleaved=interleaved, num_heads=3, rotary_embedding_dim=D // 2)


def test_indices_outside():
    inputs = tables()
    model = dlc.compile(node_model("EmbedLayerNormalization", inputs, OUTPUTS, domain="com.microsoft"), opt_level=1)
    inputs[0] = inputs[0] + np.int32(8)
    with pytest.raises(dlc.RunError, match="expected indices inside"):
        model.run({f"x{i}": x for i, x in enumerate(inputs)})


@pytest.mark.parametrize(
    "op, inputs, attributes, message",
    [
        ("EmbedLayerNormalization", [ids(9), ids(2), real(9, D), real(6, D), None, real(D), real(D)], {},
         "expected segment_ids and their table both or none"),
        ("EmbedLayerNormalization", [ids(9), None, real(9, D), real(3, D), None, real(D), real(D)], {},
         "expected a range within dimension 0 of size 3, found 0 to 3"),
        ("EmbedLayerNormalization", [ids(9, (S,)), None, real(9, D), real(3, D), None, real(D), real(D)], {},
         "expected input_ids and tables of rank 2"),
        ("RotaryEmbedding", [real(S, D), ids(9), real(9, 4), real(9, 4)], {}, "of rank 3 or 4, found rank 2"),
        ("RotaryEmbedding", [real(B, S, D), ids(9), real(9, 3), real(9, 3)], {}, "a hidden size of whole heads"),
        ("RotaryEmbedding", [real(B, S, D), ids(9), real(9), real(9)], {}, "expected cos_cache of rank 2"),
        ("RotaryEmbedding", [real(B, S, D), ids(9), real(9, 4), real(9, 4)], {"rotary_embedding_dim": 8},
         "expected num_heads with rotary_embedding_dim"),
    ],
)  # fmt: skip
def test_refusals(op, inputs, attributes, message):
    outputs = OUTPUTS if "Embed" in op[:5] else OUTPUTS[:1]
    expect_refusal(op, inputs, outputs, message, domain="com.microsoft", **attributes)
