"""com.microsoft's operators of linear algebra, with static and dynamic shapes."""

import pathlib
import sys

import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal  # noqa: E402

RANDOM = np.random.default_rng(5)


def real(*shape, dtype=np.float32):
    return RANDOM.standard_normal(shape).astype(dtype)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_inverse(dtype):
    matrices = real(2, 3, 4, 4, dtype=dtype) + np.eye(4, dtype=dtype)[::-1] * 3
    check("Inverse", [matrices], [(dtype, 4)], domain="com.microsoft", opt_level=1)


@pytest.mark.parametrize("columns", [(), (3,)])
def test_solve(columns):
    """scikit-learn's converter writes it, and ONNX Runtime has no kernel: numpy's is wanted."""
    a, b = real(5, 5, dtype=np.float64), real(5, *columns, dtype=np.float64)
    outputs = [(np.float64, b.ndim)]
    check("Solve", [a, b], outputs, domain="com.microsoft", opt_level=1, wanted=[np.linalg.solve(a, b)])
    check("Solve", [a, b], outputs, domain="com.microsoft", opt_level=1, wanted=[np.linalg.solve(a.T, b)],
          transposed=1)  # fmt: skip


@pytest.mark.parametrize("metric", ["euclidean", "sqeuclidean"])
def test_distances(metric):
    check("CDist", [real(4, 6), real(5, 6)], [(np.float32, 2)], domain="com.microsoft", opt_level=1, metric=metric)


def test_other_distances():
    a, b = real(4, 6), real(5, 6)
    difference = np.abs(a[:, None] - b[None])
    how = dict(domain="com.microsoft", opt_level=1)
    check("CDist", [a, b], [(np.float32, 2)], wanted=[difference.sum(2)], metric="cityblock", **how)
    check("CDist", [a, b], [(np.float32, 2)], wanted=[difference.max(2)], metric="chebyshev", **how)


@pytest.mark.parametrize(
    "op, inputs, attributes, message",
    [
        ("Inverse", [real(3)], {}, "expected rank 2 or more, found 1"),
        ("Inverse", [real(3, 4)], {}, "expected square matrices, found 3 and 4"),
        ("Solve", [real(3, 3), real(4, 3)], {}, "expected as many rows in both, found 3 and 4"),
        ("Solve", [real(3, 3, 3), real(3)], {}, "expected a matrix, and a vector or matrix, found ranks 3 and 1"),
        ("CDist", [real(3, 3), real(3, 3)], {"metric": "cosine"}, "found 'cosine'"),
        ("CDist", [real(3, 3), real(3, 4)], {}, "expected rows of one length, found 3 and 4"),
    ],
)  # fmt: skip
def test_refusals(op, inputs, attributes, message):
    expect_refusal(op, inputs, [(np.float32, inputs[0].ndim)], message, domain="com.microsoft", **attributes)


@pytest.mark.parametrize("kind", [0, 1])
@pytest.mark.parametrize("dtype", [np.float32, np.float16])
def test_bits_of_bitsandbytes(kind, dtype):
    n, k, block = 5, 19, 16  # the last block is not full
    b = RANDOM.integers(0, 256, (n * k + 1) // 2).astype(np.uint8)
    largest = RANDOM.uniform(0.5, 2, -(-n * k // block)).astype(dtype)
    x = RANDOM.standard_normal((2, 3, k)).astype(dtype)
    how = {"K": k, "N": n, "block_size": block, "quant_type": kind}
    check("MatMulBnb4", [x, b, largest], [(dtype, 3)], constants=(1, 2), domain="com.microsoft", **how)
