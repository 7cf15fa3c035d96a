"""Builds random models node by node.

Every node is run as soon as it is made, by a reference: so each value is
known, and what is made next can depend on its shape and its content.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import onnx
import reference
from onnx import defs, helper, numpy_helper

SIZES = [1, 1, 2, 2, 3, 3, 4, 5, 7, 8, 9, 16, 17, 33]
MOST_ELEMENTS = 3000


class Discard(Exception):
    """What was to be made cannot be: no reference runs it, or nothing fits."""


@dataclasses.dataclass
class Value:
    name: str
    array: Any
    """An array, a list of arrays, or None."""
    exact: bool
    """Whether every implementation computes just this: what is not exact must
    not be rounded, compared or sorted."""
    source: str
    """input, constant or node"""
    keeps_shape: bool = False
    """Whether an input's shape is static though others are dynamic."""
    optional: bool = False

    @property
    def is_tensor(self) -> bool:
        return isinstance(self.array, np.ndarray) and not self.optional


# The operators whose results depend on how they are computed.
INEXACT = set(
    """Acos Acosh Asin Asinh Atan Atanh Attention BatchNormalization BlackmanWindow
    CausalConvWithState Celu Cos Cosh DFT DeformConv Det Div Elu Erf Exp GRU Gelu GridSample
    GroupNormalization HammingWindow HannWindow HardSigmoid HardSwish InstanceNormalization LRN
    LSTM LayerNormalization LinearAttention Log LogSoftmax LpNormalization LpPool GlobalLpPool Mean
    MeanVarianceNormalization MelWeightMatrix Mish NegativeLogLikelihoodLoss Pow RMSNormalization
    RNN Reciprocal ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMean Resize RoiAlign
    RotaryEmbedding STFT Selu Sigmoid Sin Sinh Softmax SoftmaxCrossEntropyLoss Softplus Softsign
    Sqrt SwiGLU Swish Tan Tanh Upsample AffineGrid AveragePool GlobalAveragePool Normalizer Scaler
    DynamicQuantizeLinear DequantizeLinear FlexAttention
    ReduceProd CumProd""".split()
)


class Builder:
    """A graph that grows. The builder of a subgraph has an `outer` one."""

    def __init__(self, seed: Any, opset: int, outer: Builder | None = None) -> None:
        self.outer = outer
        self.random = outer.random if outer else np.random.default_rng(seed)
        self.opset = opset
        self.counter: Iterable[int] = outer.counter if outer else itertools.count()
        self.values: dict[str, Value] = {}
        self.nodes: list[onnx.NodeProto] = []
        self.depth: int = outer.depth + 1 if outer else 0
        self.control: float = outer.control if outer else 0.04
        """How likely a node has subgraphs."""
        self.classical: float = outer.classical if outer else 0.0
        """How likely it is one of ai.onnx.ml."""

    # Choices.

    def chance(self, probability: float) -> bool:
        return bool(self.random.random() < probability)

    def integer(self, low: int, high: int) -> int:
        """Of low to high, both included."""
        return int(self.random.integers(low, high + 1))

    def choose(self, options: Iterable[Any]) -> Any:
        options = list(options)
        if not options:
            raise Discard("nothing to choose from")
        return options[self.integer(0, len(options) - 1)]

    def real(self, low: float, high: float) -> float:
        return float(np.float32(self.random.uniform(low, high)))

    def size(self) -> int:
        return 0 if self.chance(0.02) else self.choose(SIZES)

    def shape(self, rank: int | None = None, most: int = 5, least: int = 0) -> tuple[int, ...]:
        if rank is None:
            rank = self.choose([r for r in (0, 1, 1, 2, 2, 3, 3, 4, 4, 5) if least <= r <= most])
        sizes = [self.size() for _ in range(rank)]
        while np.prod(sizes, dtype=np.int64) > MOST_ELEMENTS:
            sizes[int(np.argmax(sizes))] = self.choose([1, 2, 3])
        if rank == 1 and self.chance(0.05):
            sizes[0] = self.integer(1000, 70000)
        return tuple(sizes)

    def axis(self, rank: int) -> int:
        if rank == 0:
            raise Discard("no axis")
        return self.integer(-rank, rank - 1)

    def axes(self, rank: int, least: int = 1) -> list[int]:
        count = self.integer(min(least, rank), rank)
        chosen = self.random.permutation(rank)[:count]
        return [int(a) - (rank if self.chance(0.3) else 0) for a in chosen]

    # Schemas.

    def version(self, op: str, domain: str = "") -> int:
        return self.schema(op, domain).since_version

    def schema(self, op: str, domain: str = "") -> Any:
        try:
            version = reference.ml_version(self.opset) if domain == "ai.onnx.ml" else 1
            return defs.get_schema(op, version if domain else self.opset, domain)
        except defs.SchemaError as error:
            raise Discard(f"{op} is not in operator set {self.opset}") from error

    def types(self, op: str, constraint: str = "T", domain: str = "") -> list[np.dtype]:
        """The element types that a type parameter of the operator may be."""
        schema = self.schema(op, domain)
        for parameter in schema.type_constraints:
            if parameter.type_param_str == constraint:
                return to_dtypes(parameter.allowed_type_strs)
        raise Discard(f"{op} has no type parameter {constraint}")

    def dtype(self, op: str, constraint: str = "T", among: Iterable[Any] | None = None) -> np.dtype:
        """A type the operator can have; the usual ones more often."""
        types = self.types(op, constraint)
        if among is not None:
            wanted = [np.dtype(t) for t in among]
            types = [t for t in types if t in wanted]
        usual = [t for t in types if t in (np.float32, np.int64, np.float16, np.float64)]
        return self.choose(usual if usual and self.chance(0.5) else types)

    # Values.

    def all_values(self) -> list[Value]:
        outer = self.outer.all_values() if self.outer else []
        return outer + list(self.values.values())

    def get(self, name: str) -> Value:
        scope: Builder | None = self
        while scope is not None:
            if name in scope.values:
                return scope.values[name]
            scope = scope.outer
        raise KeyError(name)

    def array(self, name: str) -> Any:
        return self.get(name).array

    def name(self) -> str:
        return f"v{next(self.counter)}"

    def add(self, array: Any, source: str, keeps_shape: bool = False, exact: bool = True) -> str:
        # What is no node's result belongs to the outermost graph.
        scope = self
        while scope.outer is not None and source == "input":
            scope = scope.outer
        name = self.name()
        scope.values[name] = Value(name, array, exact, source, keeps_shape)
        return name

    def constant(self, array: Any, chance: float = 1.0) -> str:
        """A value whose content matters, a constant or, now and then, an input."""
        array = np.asarray(array)
        return self.add(array, "constant" if self.chance(chance) else "input", keeps_shape=True)

    def ints(self, *values: int, chance: float = 0.6, dtype: Any = np.int64) -> str:
        return self.constant(np.array(values, dtype), chance)

    def fresh(self, dtype: Any, shape: Sequence[int], constant: float = 0.25, **how: Any) -> str:
        array = self.random_array(dtype, shape, **how)
        return self.add(array, "constant" if self.chance(constant) else "input", exact=is_exact(array))

    def random_array(
        self, dtype: Any, shape: Sequence[int], low: float = -4, high: float = 4, fine: bool = False
    ) -> np.ndarray:
        """Floats are multiples of 1/8, unless they shall be `fine`."""
        dtype = np.dtype(dtype)
        if dtype == object:
            words = np.array(["", "a", "bc", "Äh", "a bc", "x,y", "12"], object)
            return np.array(words[self.random.integers(0, len(words), shape)], object).reshape(shape)
        if dtype == bool:
            return np.array(self.random.integers(0, 2, shape), bool)
        if dtype.kind in "iu":
            info = np.iinfo(dtype)
            return np.array(
                self.random.integers(max(int(low), int(info.min)), min(int(high), int(info.max)),
                                     shape, endpoint=True)
            ).astype(dtype)  # fmt: skip
        if dtype.name in ("int4", "uint4", "int2", "uint2"):
            least, most = {"int4": (-8, 7), "uint4": (0, 15), "int2": (-2, 1), "uint2": (0, 3)}[dtype.name]
            return np.array(self.random.integers(least, most, shape, endpoint=True)).astype(dtype)
        numbers = self.random.uniform(low, high, shape)
        if not fine:
            numbers = np.round(numbers * 8) / 8
        if dtype.kind == "c":
            numbers = numbers + 1j * np.round(self.random.uniform(low, high, shape) * 8) / 8
        return np.asarray(numbers).astype(dtype)

    def tensor(
        self,
        dtype: Any,
        shape: Sequence[int] | None = None,
        rank: int | None = None,
        exact: bool = False,
        fits: Callable[[np.ndarray], bool] = lambda array: True,
        reuse: float = 0.7,
        **how: Any,
    ) -> str:
        """A value there is, or a new one; `exact` as Value.exact."""
        dtype = np.dtype(dtype)
        if self.chance(reuse):
            found = [
                value.name
                for value in self.all_values()
                if value.is_tensor
                and value.array.dtype == dtype
                and (shape is None or value.array.shape == tuple(shape))
                and (rank is None or value.array.ndim == rank)
                and (value.exact or not exact)
                and value.array.size <= 100_000
                and fits(value.array)
            ]
            # The newest most of all, so that nodes make a chain.
            if found:
                return found[-1] if self.chance(0.5) else self.choose(found)
        if shape is None:
            shape = self.shape(rank)
        name = self.fresh(dtype, shape, **how)
        if not fits(self.array(name)):
            raise Discard("no value fits")
        return name

    # Nodes.

    def node(
        self,
        op: str,
        inputs: Sequence[str],
        outputs: int = 1,
        domain: str = "",
        omit: Sequence[int] = (),
        exact: bool | None = None,
        **attributes: Any,
    ) -> list[str]:
        """Adds a node and runs it. Names of outputs in `omit` are empty."""
        if self.schema(op, domain).deprecated:
            raise Discard(f"{op} is deprecated")
        inputs = list(inputs)
        while inputs and not inputs[-1]:
            inputs.pop()
        names = ["" if i in omit else self.name() for i in range(outputs)]
        node = helper.make_node(op, inputs, names, domain=domain, **attributes)
        used = list(dict.fromkeys(name for name in inputs + captured(node) if name))
        sources = [self.get(name) for name in used]
        arrays = {value.name: value.array for value in sources}
        constants = {value.name for value in sources if value.source == "constant"}
        try:
            optional = {value.name for value in sources if value.optional}
            results = reference.run_node(node, arrays, constants, self.opset, optional)
        except reference.NoReference as error:
            raise Discard(str(error)) from error
        self.nodes.append(node)
        if exact is None:
            exact = op not in INEXACT and all(value.exact for value in sources)
        if op == "Optional":
            results = [self.array(inputs[0])]
        for name, array in zip((n for n in names if n), results):
            if isinstance(array, np.ndarray) and array.size > 400_000:
                self.nodes.pop()
                raise Discard("too large")
            self.values[name] = Value(
                name, array, exact and is_exact(array), "node", optional=op == "Optional"
            )
        return names


def captured(node: onnx.NodeProto) -> list[str]:
    """Names of outer values that the subgraphs of a node use."""
    names = []
    for attribute in node.attribute:
        if attribute.HasField("g"):
            graph = attribute.g
            own = {value.name for value in graph.input}
            own |= {tensor.name for tensor in graph.initializer}
            own |= {name for inner in graph.node for name in inner.output}
            for inner in graph.node:
                names += [n for n in [*inner.input, *captured(inner)] if n and n not in own]
            names += [v.name for v in graph.output if v.name not in own]
    return names


def is_exact(array: Any) -> bool:
    """Whether the numbers are few enough bits that sums and products of some of
    them are exact."""
    if isinstance(array, list):
        return all(is_exact(item) for item in array)
    if array is None or array.dtype == object or array.dtype.kind in "iub" or array.size == 0:
        return True
    if array.dtype.kind == "c":
        return is_exact(array.real) and is_exact(array.imag)
    try:
        wide = array.astype(np.float64)
    except (TypeError, ValueError):
        return False
    if array.dtype.itemsize == 1:
        return True
    limit = 64 if array.dtype.itemsize == 2 else 2**12
    return bool(np.all(np.abs(wide) <= limit) and np.all(wide * 64 == np.round(wide * 64)))


def to_dtypes(types: Iterable[str]) -> list[np.dtype]:
    found = []
    for text in types:
        if not text.startswith("tensor("):
            continue
        name = text[len("tensor(") : -1]
        name = {"float": "FLOAT", "double": "DOUBLE"}.get(name, name.upper())
        found.append(np.dtype(helper.tensor_dtype_to_np_dtype(getattr(onnx.TensorProto, name))))
    return sorted(set(found), key=str)


def to_value_info(
    name: str, array: Any, shape: Sequence[Any] | None = None, optional: bool = False
) -> onnx.ValueInfoProto:
    """The declaration of a value; without a shape, of none."""
    if optional:
        inner = to_value_info(name, array, shape).type
        return helper.make_value_info(name, helper.make_optional_type_proto(inner))
    if isinstance(array, list):
        element = array[0] if array else np.zeros((), np.float32)
        inner = helper.make_tensor_type_proto(to_element_type(element), None)
        return helper.make_value_info(name, helper.make_sequence_type_proto(inner))
    return helper.make_tensor_value_info(name, to_element_type(array), shape)


def to_element_type(array: np.ndarray) -> int:
    if array.dtype.kind in "OUS":
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def to_tensor(name: str, array: np.ndarray) -> onnx.TensorProto:
    return numpy_helper.from_array(array, name)
