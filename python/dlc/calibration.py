"""What values the tensors of a model take: batches of inputs, one at a time,
and the ranges that are seen in runs of compiled code."""

from __future__ import annotations

import pathlib
import zipfile
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

METHODS = ("minmax", "percentile", "entropy", "mse")
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
        candidates = [(low * part, high * part) for part in np.linspace(0.2, 1, 81)]
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
    p = kept.copy()
    p[0] += counts[:first].sum()
    p[-1] += counts[last:].sum()
    _, level = np.unique(_rounded(centers[first:last], *how), return_inverse=True)
    total, bins = np.bincount(level, kept), np.bincount(level, kept > 0)
    q = np.where(kept > 0, (total / np.maximum(bins, 1))[level], 0) + 1e-4
    filled = p > 0
    p, q = p[filled] / p.sum(), q[filled] / q.sum()
    return float((p * np.log(p / q)).sum())


class Batches:
    """The inputs of a model from files: a folder of npz or npy files, each a
    batch, or one file whose first axis is cut into batches. Files are read as
    they are needed: one batch is in memory."""

    def __init__(
        self, path: pathlib.Path, inputs: Sequence[str], batch: int | None, limit: int | None
    ) -> None:
        self.inputs, self.batch = list(inputs), batch or 1
        self.path = path
        if path.is_dir():
            self.files = sorted(p for p in path.iterdir() if p.suffix in (".npz", ".npy"))
            if not self.files:
                raise ValueError(f"expected npz or npy files in '{path}', found none")
        elif path.suffix in (".npz", ".npy") and path.exists():
            self.files = []
        else:
            raise ValueError(f"expected a folder, an npz or an npy file, found '{path}'")
        count = len(self.files) if self.files else self._count_in_file()
        self.count = min(count, limit or count)
        if not self.count:
            raise ValueError(f"expected {self.batch} samples or more in '{path}', found fewer")

    def __len__(self) -> int:
        return self.count

    def read_from(self, first: int) -> Iterator[dict[str, np.ndarray]]:
        if self.files:
            for path in self.files[first : self.count]:
                yield self._load(path)
            return
        readers = self._open()
        try:
            for number in range(self.count):
                batch = {name: reader.take(self.batch) for name, reader in readers.items()}
                if number >= first:
                    yield batch
        finally:
            for reader in readers.values():
                reader.file.close()

    def _names(self, found: Sequence[str], path: pathlib.Path) -> None:
        missing = [name for name in self.inputs if name not in found]
        if missing:
            raise ValueError(
                f"expected an array '{missing[0]}' in '{path}', found {', '.join(found) or 'none'}"
            )

    def _load(self, path: pathlib.Path) -> dict[str, np.ndarray]:
        loaded = np.load(path, allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            self._names(self.inputs[:1] if len(self.inputs) == 1 else [], path)
            return {self.inputs[0]: loaded}
        with loaded:
            self._names(loaded.files, path)
            return {name: loaded[name] for name in self.inputs}

    def _open(self) -> dict[str, _ArrayReader]:
        if self.path.suffix == ".npy":
            self._names(self.inputs[:1] if len(self.inputs) == 1 else [], self.path)
            return {self.inputs[0]: _ArrayReader(open(self.path, "rb"), self.path)}
        archive = zipfile.ZipFile(self.path)
        self._names([n[:-4] for n in archive.namelist() if n.endswith(".npy")], self.path)
        return {name: _ArrayReader(archive.open(name + ".npy"), self.path) for name in self.inputs}

    def _count_in_file(self) -> int:
        readers = self._open()
        lengths = {name: reader.shape[0] for name, reader in readers.items()}
        for reader in readers.values():
            reader.file.close()
        if len(set(lengths.values())) != 1:
            raise ValueError(
                f"expected arrays of one length in '{self.path}', found "
                + ", ".join(f"{n} of '{name}'" for name, n in lengths.items())
            )
        return next(iter(lengths.values())) // self.batch


class _ArrayReader:
    """Slices along the first axis of a npy file, in order."""

    def __init__(self, file: Any, path: pathlib.Path) -> None:
        self.file, self.path = file, path
        version = np.lib.format.read_magic(file)
        read = {1: np.lib.format.read_array_header_1_0, 2: np.lib.format.read_array_header_2_0}
        self.shape, fortran, self.dtype = read[version[0]](file)
        if fortran or not self.shape or self.dtype.hasobject:
            raise ValueError(f"expected arrays of numbers in C order in '{path}'")

    def take(self, count: int) -> np.ndarray:
        shape = (count, *self.shape[1:])
        size = int(np.prod(shape)) * self.dtype.itemsize
        data = self.file.read(size)
        if len(data) != size:
            raise ValueError(f"'{self.path}' ends before its arrays do")
        return np.frombuffer(data, self.dtype).reshape(shape)
