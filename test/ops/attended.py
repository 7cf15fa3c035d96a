"""Attention in float64, for the tests of kernels that have its scores inside."""

import numpy as np


def attend(q, k, v, extra=None, cap=0.0, causal=False):
    """Of q, with its scale, [batch, heads, rows, depth], k and v [batch, heads of
    keys, keys, ...], and a bias or a boolean mask; `cap` bounds the scores before
    the bias is added, and a row of no key gives 0."""
    k, v = (np.repeat(x, q.shape[1] // k.shape[1], 1) for x in (k, v))
    scores = q @ k.swapaxes(-1, -2)
    if cap:
        scores = cap * np.tanh(scores / cap)
    if extra is not None and extra.dtype != bool:
        scores = scores + extra
    if extra is not None and extra.dtype == bool:
        scores = np.where(extra, scores, -np.inf)
    if causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    if not scores.shape[-1]:
        return scores @ v
    most = scores.max(-1, keepdims=True)
    weights = np.exp(scores - np.where(np.isinf(most), 0, most))
    total = weights.sum(-1, keepdims=True)
    return weights / np.where(total == 0, 1, total) @ v
