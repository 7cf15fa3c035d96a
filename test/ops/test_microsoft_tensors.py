"""com.microsoft's copies of ONNX's operators and its own on indices against ONNX
Runtime, with static and dynamic shapes."""

import pathlib
import sys

import dlc
import numpy as np
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from onenode import check, expect_refusal, node_model  # noqa: E402

RANDOM = np.random.default_rng(5)
F32, I64 = np.float32, np.int64


def real(*shape):
    return RANDOM.standard_normal(shape).astype(F32)


def same(op, inputs, *ranks, **how):
    outputs = [(i.dtype if isinstance(i, np.ndarray) else i, rank) for i, rank in ranks]
    check(op, inputs, outputs, domain="com.microsoft", opt_level=1, **how)


def test_copies():
    x = real(3, 5)
    same("Trilu", [x, np.array(1)], (x, 2), upper=0)
    same("GatherND", [x, np.array([[0, 4], [2, 1]])], (x, 1))
    same("Pad", [x, np.array([[1, 0, 2, 1]]), np.array([2], F32)], (x, 2), constants=(1,))
    same("Range", [np.array(2.0, F32), np.array(9.5, F32)], (x, 1))
    same("Range", [np.array([2], np.int64), np.array([9], np.int64), np.array([3], np.int64)], (I64, 1))
    same("ExpandDims", [x, np.array(-1, np.int32)], (x, 3), constants=(1,))
    same("SampleOp", [x], (x, 2))
    grid = RANDOM.uniform(-1.2, 1.2, (2, 4, 3, 2)).astype(F32)
    for mode in ("bilinear", "bicubic", "nearest"):
        same("GridSample", [real(2, 3, 5, 6), grid], (x, 4), mode=mode, padding_mode="border")


def test_unique():
    x = np.array([3, 1, 3, 0, 1, 7], F32)
    same("Unique", [x], (x, 1), (I64, 1), (I64, 1))


@pytest.mark.parametrize("dim", [1, -1])
def test_unfold(dim):
    x = real(2, 7, 9)
    same("UnfoldTensor", [x], (x, 4), dim=dim, size=3, step=2)


def test_repeated_words():
    ids = np.array([[1, 2, 3, 1, 2], [4, 4, 4, 0, 4]], I64)
    same("NGramRepeatBlock", [ids, real(2, 6)], (F32, 2), ngram_size=3)
    same("NGramRepeatBlock", [ids, real(2, 6)], (F32, 2), ngram_size=2)


def test_complex():
    """ONNX Runtime has them on GPUs only; numpy's answer is wanted."""
    a, b = real(3, 4, 2), real(1, 4, 2)
    x, y = a[..., 0] + 1j * a[..., 1], b[..., 0] + 1j * b[..., 1]
    for op, product in (("ComplexMul", x * y), ("ComplexMulConj", x * y.conj())):
        same(op, [a, b], (a, 3), wanted=[np.stack([product.real, product.imag], 2)])

@pytest.mark.parametrize("mode", ["bilinear", "nearest"])
@pytest.mark.parametrize("size", [(3, 4), (1, 5), (4, 1)])
def test_crops(mode, size):
    boxes = np.array([[0, 0, 1, 1], [0.25, 0.1, 0.75, 0.9], [-0.2, 0.3, 1.4, 0.2], [0.5, 0.5, 0.5, 0.5]], F32)
    images, size = np.array([0, 1, 1, 0], np.int32), np.array(size, np.int32)
    same("CropAndResize", [real(2, 3, 6, 5), boxes, images, size], (F32, 4), mode=mode, extrapolation_value=-3.0)
    same("CropAndResize", [real(2, 3, 6, 5), boxes, images, size], (F32, 4), mode=mode, constants=(3,))


def test_crops_of_other_images():
    model = node_model("CropAndResize", [real(2, 1, 4, 4), real(1, 4), np.array([0], np.int32), np.array([2, 2], np.int32)],
                       [(F32, 4)], domain="com.microsoft")  # fmt: skip
    feeds = {"x0": real(2, 1, 4, 4), "x1": real(1, 4), "x2": np.array([2], np.int32), "x3": np.array([2, 2], np.int32)}
    with pytest.raises(dlc.RunError, match="expected indices"):
        dlc.compile(model).run(feeds)


def test_transforms_of_real_numbers():
    """ONNX Runtime has them on GPUs only; numpy's answer is wanted."""
    for shape in ((8,), (2, 3, 10)):
        x = real(*shape)
        z = np.fft.rfft(x)
        parts = np.stack([z.real, z.imag], -1).astype(F32)
        how = {"onesided": 1, "normalized": 0, "signal_ndim": 1}
        same("Rfft", [x], (F32, len(shape) + 1), wanted=[parts], **how)
        same("Irfft", [parts], (F32, len(shape)), wanted=[x], **how)


@pytest.mark.parametrize(
    "op, inputs, attributes, message",
    [
        ("ExpandDims", [real(3), np.array(0, np.int32)], {}, "expected a constant axis"),
        ("UnfoldTensor", [real(3)], {"size": 0}, "expected size and step of 1 or more, found 0 and 1"),
        ("ComplexMul", [real(3), real(3)], {}, "expected a last dimension of size 2"),
        ("Rfft", [real(3)], {"onesided": 0}, "expected a transform of one dimension"),
        ("Irfft", [real(3, 3)], {}, "expected a last dimension of size 2"),
        ("CropAndResize", [real(1, 1, 2, 2), real(1, 4), np.array([0], np.int32), np.array([2, 2], np.int32)],
         {"mode": "cubic"}, "expected the mode bilinear or nearest, found 'cubic'"),
        ("NGramRepeatBlock", [np.array([[1]]), real(1, 3)], {"ngram_size": 0}, "expected ngram_size of 1 or more"),
    ],
)  # fmt: skip
def test_refusals(op, inputs, attributes, message):
    expect_refusal(op, inputs, [(F32, 2)], message, domain="com.microsoft", **attributes)
