"""How a model is to be quantized."""

from __future__ import annotations

import dataclasses
from typing import Any

METHODS = ("minmax", "percentile", "entropy", "mse")
ROUNDINGS = ("nearest", "adaptive", "gptq")
FORMATS = ("qdq", "nbits")


@dataclasses.dataclass(frozen=True)
class Options:
    method: str = "minmax"
    """How the range of an activation follows from the values that were seen."""
    activations: str = "uint8"
    """uint8 or int8."""
    symmetric: bool = False
    """Zero points of activations are 0 (128 of uint8)."""
    per_channel: bool = True
    weights_only: bool = False
    weight_bits: int = 8
    """8 or, with `weights_only`, 4."""
    block: int = 0
    """How many weights along the sum of a product share a scale, with
    `weights_only`; 0: those of a channel, or 32 with the format nbits."""
    format: str = "qdq"
    """With `weights_only`: DequantizeLinear, or com.microsoft's MatMulNBits of
    the products that it can do."""
    rounding: str = "nearest"
    """adaptive: up or down so that the products change least, by what the layer's
    inputs were seen to be; gptq: a column's error is made good by the next ones."""
    equalize: bool = False
    """Channels between two convolutions get ranges of one size."""
    smooth: float | None = None
    """SmoothQuant's exponent: how much of the outliers among a product's input
    channels moves into its weights."""
    correct_bias: bool = False
    """What rounded weights change in the mean is taken from the bias."""
    keep: tuple[str, ...] = ()
    """Nodes that stay in float."""

    def __post_init__(self) -> None:
        if self.format == "nbits" and not self.block:
            object.__setattr__(self, "block", 32)  # MatMulNBits has no other scales
        _expect("a method", METHODS, self.method)
        _expect("rounding", ROUNDINGS, self.rounding)
        _expect("a format", FORMATS, self.format)
        if self.activations not in ("uint8", "int8"):
            raise ValueError(f"expected uint8 or int8 activations, found '{self.activations}'")
        if self.weight_bits not in (4, 8):
            raise ValueError(f"expected weights of 4 or 8 bits, found {self.weight_bits}")
        if self.block < 0 or self.block % 2:
            raise ValueError(f"expected an even block of weights, found {self.block}")
        if self.smooth is not None and not 0 <= self.smooth <= 1:
            raise ValueError(f"expected an exponent from 0 to 1 to smooth with, found {self.smooth}")
        for value, name in ((self.weight_bits == 4, "weights of 4 bits"),
                            (self.block, "blocks of weights"),
                            (self.format != "qdq", "the format nbits")):  # fmt: skip
            if value and not self.weights_only:
                raise ValueError(f"expected weights_only with {name}: no engine has a product of "
                                 "them and 8-bit activations")  # fmt: skip
        if self.smooth is not None and self.weights_only:
            raise ValueError("expected quantized activations to smooth, found weights_only")
        if self.format == "nbits" and not (16 <= self.block <= 256 and not self.block & (self.block - 1)):
            raise ValueError("expected blocks of 16, 32, 64, 128 or 256 weights for the format "
                             f"nbits, found {self.block}")  # fmt: skip

    @property
    def needs_data(self) -> bool:
        return not self.weights_only or self.rounding != "nearest" or self.correct_bias


def _expect(what: str, choices: tuple[str, ...], found: Any) -> None:
    if found not in choices:
        raise ValueError(f"expected {what} of {', '.join(choices)}, found '{found}'")
