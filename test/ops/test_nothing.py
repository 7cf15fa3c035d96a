"""Tensors of no element of which dynamic dimensions are part."""

import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from onenode import check  # noqa: E402

MOST = 2**63 - 1


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


@pytest.mark.parametrize("repeats", [(0, 1), (1, 0), (0, 0), (2, 0)])
def test_tile_to_nothing(repeats):
    check("Tile", [floats(2, 3), ints(*repeats)], [("float32", 2)], constants=[1])


@pytest.mark.parametrize("start", [2, 3, MOST])
def test_slice_that_starts_behind_the_end(start):
    x = [floats(2, 2), ints(start), ints(7), ints(1)]
    check("Slice", x, [("float32", 2)], constants=[1, 3], fixed=[0, 2])


def test_concat_of_nothing():
    x = [floats(3, 0, 1), floats(3, 0, 2)]
    check("Concat", x, [("float32", 3)], constants=[1], axis=-1)
    check("Concat", x[::-1], [("float32", 3)], constants=[0], axis=-1)
