"""Weights as integers: to the nearest, or so that what a layer computes changes
least. Matrices are [groups, rows, columns]; a row's numbers are multiplied by an
input and summed. `gram` is X^T X of the inputs X, [groups, columns, columns].
"""

from __future__ import annotations

import dataclasses

import numpy as np

WIDTH = 128  # columns that are rounded before the others learn of it
SWEEPS = 4
DAMPING = 0.01  # of the mean of the gram matrix' diagonal
# A scale whose inverse, and whose product with another one, are normal numbers:
# some engines take others for 0.
SMALLEST = np.float32(2.0**-100)


@dataclasses.dataclass
class Grid:
    """The integers that weights become: `low` to `high`, with a scale for each
    row and each block of columns (zero: for each row)."""

    bits: int
    scale: np.ndarray
    """[groups, rows, blocks]"""
    block: int

    @property
    def low(self) -> int:
        # Engines' 8-bit products want -127; 4 bits need all they have.
        return -127 if self.bits == 8 else -(2 ** (self.bits - 1))

    @property
    def high(self) -> int:
        return 2 ** (self.bits - 1) - 1

    def of_columns(self, first: int, last: int) -> np.ndarray:
        """The scale of each of some columns: [groups, rows, last - first]."""
        index = np.arange(first, last) // self.block if self.block else [0] * (last - first)
        return self.scale[:, :, index]

    def round(self, values: np.ndarray, scale: np.ndarray) -> np.ndarray:
        return np.clip(np.rint(values / scale), self.low, self.high)


def make_grid(
    matrix: np.ndarray, bits: int, block: int, shared: bool, least: np.ndarray | float = 0.0
) -> Grid:
    """The scales for the largest weights; with 4 bits those of least squared
    error, since there the largest cost the others too much. `shared`: one scale.
    None is below `least`, which is one number or one for each row."""
    groups, rows, columns = matrix.shape
    width = block or columns
    missing = -columns % width
    blocks = np.pad(matrix, ((0, 0), (0, 0), (0, missing))).reshape(groups, rows, -1, width)
    largest = np.abs(blocks).max(3, initial=0)
    if shared:
        largest = np.full_like(largest, largest.max(initial=0))
    top = 2 ** (bits - 1) - 1
    scale = np.where(largest > 0, largest / np.float32(top), 1).astype(np.float32)
    if bits < 8 and not shared:
        low = -(top + 1)
        best = np.full(scale.shape, np.inf)
        chosen = scale.copy()
        for part in np.linspace(0.6, 1.15, 34):
            tried = (scale * np.float32(part))[..., None]
            rounded = np.clip(np.rint(blocks / tried), low, top) * tried
            error = ((rounded - blocks) ** 2).sum(3)
            chosen = np.where(error < best, tried[..., 0], chosen)
            best = np.minimum(error, best)
        scale = chosen.astype(np.float32)
    if shared or np.size(least) == 1:
        least = np.max(least, initial=0)
    else:
        least = np.reshape(least, (groups, rows, 1))
    scale = np.maximum(scale, np.maximum(least, SMALLEST)).astype(np.float32)
    return Grid(bits, scale, block)


def round_nearest(matrix: np.ndarray, grid: Grid) -> np.ndarray:
    return grid.round(matrix, grid.of_columns(0, matrix.shape[2])).astype(np.int8)


def round_gptq(matrix: np.ndarray, grid: Grid, gram: np.ndarray) -> np.ndarray:
    """Column by column: the error of one is made good by those that are not yet
    rounded (Frantar et al., "GPTQ", 2022)."""
    left = matrix.astype(np.float64)
    found = np.empty(matrix.shape, np.int8)
    columns = matrix.shape[2]
    # The upper triangle T of the inverse, T^T T = H^-1.
    factor = np.linalg.cholesky(np.linalg.inv(_damped(gram))).transpose(0, 2, 1)
    for first in range(0, columns, WIDTH):
        last = min(first + WIDTH, columns)
        scale = grid.of_columns(first, last)
        errors = np.empty((*matrix.shape[:2], last - first))
        for i in range(first, last):
            rounded = grid.round(left[:, :, i], scale[:, :, i - first])
            found[:, :, i] = rounded
            error = left[:, :, i] - rounded * scale[:, :, i - first]
            error /= factor[:, i, i][:, None]
            left[:, :, i + 1 : last] -= error[:, :, None] * factor[:, None, i, i + 1 : last]
            errors[:, :, i - first] = error
        left[:, :, last:] -= errors @ factor[:, first:last, last:]
    return found


def round_adaptive(matrix: np.ndarray, grid: Grid, gram: np.ndarray) -> np.ndarray:
    """Each weight up or down so that tr(D H D^T) is least, with D what rounding
    changes: the objective of Nagel et al., "Up or Down?", 2020, which is
    quadratic, by descent along one weight after the other instead of a gradient
    on a soft choice. It begins at the nearest and at what `round_gptq` finds, and
    takes the better for each row: never worse than to the nearest."""
    scale = grid.of_columns(0, matrix.shape[2]).astype(np.float64)
    down = np.clip(np.floor(matrix / scale), grid.low, grid.high)
    up = np.clip(down + 1, grid.low, grid.high)
    hessian = _damped(gram)
    found = []
    for start in (round_nearest(matrix, grid), round_gptq(matrix, grid, gram)):
        chosen = np.clip(start, down, up)
        _descend(chosen, matrix, scale, down, up, hessian)
        error = chosen * scale - matrix
        found.append((chosen, ((error @ hessian) * error).sum(2, keepdims=True)))
    (first, loss), (second, other) = found
    return np.where(loss <= other, first, second).astype(np.int8)


def _descend(
    chosen: np.ndarray, matrix: np.ndarray, scale: np.ndarray, down: np.ndarray, up: np.ndarray,
    hessian: np.ndarray,
) -> None:  # fmt: skip
    """Moves `chosen` to the other of `down` and `up` wherever that is better."""
    error = chosen * scale - matrix
    columns = matrix.shape[2]
    for _ in range(SWEEPS):
        changed = 0
        for first in range(0, columns, WIDTH):
            last = min(first + WIDTH, columns)
            near = hessian[:, first:last, first:last]
            slope = error @ hessian[:, :, first:last]
            for i in range(first, last):
                other = np.where(chosen[:, :, i] == up[:, :, i], down[:, :, i], up[:, :, i])
                step = (other - chosen[:, :, i]) * scale[:, :, i]
                gain = 2 * step * slope[:, :, i - first] + step**2 * hessian[:, i, i][:, None]
                step = np.where(gain < 0, step, 0)
                chosen[:, :, i] = np.where(gain < 0, other, chosen[:, :, i])
                error[:, :, i] += step
                slope += step[:, :, None] * near[:, None, i - first]
                changed += np.count_nonzero(step)
        if not changed:
            break


def find_loss(matrix: np.ndarray, rounded: np.ndarray, grid: Grid, gram: np.ndarray) -> float:
    """The squared change of what the layer computes."""
    error = rounded * grid.of_columns(0, matrix.shape[2]).astype(np.float64) - matrix
    return float(((error @ gram) * error).sum())


def _damped(gram: np.ndarray) -> np.ndarray:
    """Positive definite in float64: inputs that were never seen count a little."""
    columns = gram.shape[1]
    mean = np.einsum("gii->g", gram).astype(np.float64) / columns
    mean = np.where(mean > 0, mean, 1)
    return gram.astype(np.float64) + (DAMPING * mean)[:, None, None] * np.eye(columns)
