"""What ranges the values of a tensor have."""

from __future__ import annotations

from typing import Any

import numpy as np

BINS = 4096
PERCENTILE = 99.99


class Histogram:
    """Counts of values between -limit and limit. Where a value lies outside, the
    limit is doubled and pairs of bins become one, so that one pass over the
    data is enough, whatever comes."""

    def __init__(self) -> None:
        self.low, self.high = np.inf, -np.inf
        self.limit = 0.0
        self.counts = np.zeros(BINS, np.int64)

    def add(self, low: float, high: float, values: np.ndarray | None = None) -> None:
        self.low, self.high = min(self.low, low), max(self.high, high)
        if values is None or not values.size:
            return
        reach = max(abs(low), abs(high))
        if self.limit == 0 and reach > 0:
            self.limit = 2.0 ** np.ceil(np.log2(reach))
        while self.limit < reach:
            quarter = BINS // 4
            merged = self.counts.reshape(-1, 2).sum(1)
            self.counts = np.zeros(BINS, np.int64)
            self.counts[quarter : quarter + BINS // 2] = merged
            self.limit *= 2
        if self.limit:
            self.counts += np.histogram(values, BINS, (-self.limit, self.limit))[0]

    def edges(self) -> np.ndarray:
        return np.linspace(-self.limit, self.limit, BINS + 1)

    def find_range(self, method: str, levels: int, symmetric: bool) -> tuple[float, float]:
        """The range to be kept; what lies outside will saturate."""
        low, high = min(self.low, 0.0), max(self.high, 0.0)
        if method == "minmax" or not self.counts.sum():
            return low, high
        if method == "percentile":
            share = np.cumsum(self.counts) / self.counts.sum()
            edges, rest = self.edges(), (100 - PERCENTILE) / 200
            low = max(low, edges[np.searchsorted(share, rest)])
            high = min(high, edges[np.searchsorted(share, 1 - rest) + 1])
            return min(low, 0.0), max(high, 0.0)
        cost = _clipping_error if method == "mse" else _divergence
        centers = (self.edges()[1:] + self.edges()[:-1]) / 2
        # Of equally good ones the widest.
        candidates = [(low * part, high * part) for part in np.linspace(1, 0.2, 81)]
        return min(candidates, key=lambda r: cost(self.counts, centers, *r, levels, symmetric))


def _rounded(
    centers: np.ndarray, low: float, high: float, levels: int, symmetric: bool
) -> np.ndarray:
    """The values in the range `low` to `high` of so many levels."""
    if symmetric:
        high = max(-low, high)
        low = -high
    step = (high - low) / (levels - 1) or 1.0
    return np.rint(np.clip(centers, low, high) / step) * step


def _clipping_error(counts: np.ndarray, centers: np.ndarray, *how: Any) -> float:
    """The squared error of what is saturated and rounded."""
    return float((counts * (centers - _rounded(centers, *how)) ** 2).sum())


def _divergence(counts: np.ndarray, centers: np.ndarray, *how: Any) -> float:
    """Kullback and Leibler's, of the values with what saturates at the ends from
    what the levels tell of those inside: a level's count, spread over its bins
    that are not empty. Zeros, of which activation functions make many, are exact
    in any range and do not count."""
    counts = np.where(np.arange(BINS) == BINS // 2, 0, counts)
    inside = np.flatnonzero((centers >= how[0]) & (centers <= how[1]))
    if not inside.size:
        return np.inf
    first, last = inside[0], inside[-1] + 1
    kept = counts[first:last].astype(np.float64)
    if not kept.any():
        return np.inf  # all of it would saturate
    p = kept.copy()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    _, level = np.unique(_rounded(centers[first:last], *how), return_inverse=True)
    total, bins = np.bincount(level, kept), np.bincount(level, kept > 0)
    q = np.where(kept > 0, (total / np.maximum(bins, 1))[level], 0) + 1e-4
    filled = p > 0
    p, q = p[filled] / p.sum(), q[filled] / q.sum()
    return float((p * np.log(p / q)).sum())
