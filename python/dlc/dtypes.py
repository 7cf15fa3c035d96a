"""Element types: ONNX's numbers, numpy's types, and the bytes in between."""

from __future__ import annotations

import functools

import numpy as np

INT64, STRING = 7, 8
SEQUENCE, OPTIONAL, MAP, STRING_KEYS = 0x100, 0x200, 0x400, 0x800
"""Added to an element type: a value that is no tensor."""

_NUMPY = {
    1: "float32",
    2: "uint8",
    3: "int8",
    4: "uint16",
    5: "int16",
    6: "int32",
    7: "int64",
    STRING: "object",
    9: "bool",
    10: "float16",
    11: "float64",
    12: "uint32",
    13: "uint64",
    14: "complex64",
    15: "complex128",
}
# What numpy itself lacks, under the names of the package ml_dtypes.
_ML_DTYPES = {
    16: "bfloat16",
    17: "float8_e4m3fn",
    18: "float8_e4m3fnuz",
    19: "float8_e5m2",
    20: "float8_e5m2fnuz",
    21: "uint4",
    22: "int4",
    23: "float4_e2m1fn",
    24: "float8_e8m0fnu",
    25: "uint2",
    26: "int2",
    27: "float6_e2m3fn",
    28: "float6_e3m2fn",
}
# Types of which one element has fewer bits than the byte that holds it.
_MASKS = {21: 0x0F, 22: 0x0F, 23: 0x0F, 25: 0x03, 26: 0x03, 27: 0x3F, 28: 0x3F}
_SIGN_BITS = {22: 0x08, 26: 0x02}


@functools.lru_cache(maxsize=None)
def to_numpy(dtype: int) -> np.dtype:
    """The numpy type of an element type of ONNX."""
    if dtype in _NUMPY:
        return np.dtype(_NUMPY[dtype])
    name = _ML_DTYPES.get(dtype)
    if name is None:
        raise TypeError(f"numpy has no type for the element type {dtype}")
    try:
        import ml_dtypes
    except ImportError:
        raise TypeError(f"the type {name} needs the package ml_dtypes") from None
    return np.dtype(getattr(ml_dtypes, name))


def get_name(dtype: int) -> str:
    """The name of an element type, as numpy and ml_dtypes spell it."""
    if dtype == STRING:
        return "string"
    return _NUMPY.get(dtype) or _ML_DTYPES.get(dtype) or f"type {dtype}"


def to_memory(array: np.ndarray, dtype: int) -> np.ndarray:
    """The dense array that a compiled model reads."""
    array = np.asarray(array, order="C")
    if dtype in _MASKS:
        # Of rank 0, numpy gives a number that is no array.
        return np.asarray(array.view(np.uint8) & np.uint8(_MASKS[dtype]))
    return array


def from_memory(memory: np.ndarray, dtype: int) -> np.ndarray:
    """Turns the bytes that a model wrote, as `memory_type` says, to values."""
    if dtype in _SIGN_BITS:
        sign = np.uint8(_SIGN_BITS[dtype])
        # Two's complement of few bits: flip the sign bit and take it off.
        values = (memory ^ sign).astype(np.int8) - np.int8(sign)
        return values.astype(to_numpy(dtype))
    return memory.view(to_numpy(dtype))


def memory_type(dtype: int) -> np.dtype:
    """The numpy type of what a model reads and writes."""
    return np.dtype(np.uint8) if dtype in _MASKS else to_numpy(dtype)
