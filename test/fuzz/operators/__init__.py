"""What makes a valid node of each operator: a table of functions by name.

A function takes the builder and the operator's name, and adds a node of the
version that the builder's operator set has.
"""

from operators.table import TABLE
from operators import (  # noqa: F401
    attention, classical, contractions, control, elementwise, indexing, layout, learning, pooling,
    quantized, reductions, sequences, signals, texts,
)  # fmt: skip

__all__ = ["TABLE"]
