"""What a model takes and gives: a description of each tensor, and the memory
that a run reads and writes."""

from __future__ import annotations

import ctypes
import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from dlc import dtypes, library


@dataclasses.dataclass(frozen=True)
class TensorInfo:
    """An input or output of a model."""

    name: str
    shape: tuple[int | str | None, ...]
    """A dynamic size is its name, or None where it has none."""
    dtype: np.dtype
    """`object` for strings; types that numpy lacks are those of ml_dtypes."""
    onnx_type: int
    """onnx.TensorProto.DataType"""
    is_sequence: bool = False
    """A list of arrays, which may have different shapes; `shape` is ()."""
    is_optional: bool = False
    """Whether it may be None; `shape` is ()."""
    is_map: bool = False
    """A dict, with is_sequence a list of dicts; `dtype` is that of the values,
    and `shape` is ()."""
    has_string_keys: bool = False
    """Whether the keys of a map are strings, not integers."""

    @property
    def is_dynamic(self) -> bool:
        return any(not isinstance(size, int) for size in self.shape)


class _Argument:
    """The memory of an input that is a tensor, or of a tensor of a sequence."""

    def __init__(self, array: np.ndarray, dtype: int) -> None:
        self.shape = (ctypes.c_int64 * array.ndim)(*array.shape)
        if dtype == dtypes.STRING:
            texts = [
                text if isinstance(text, bytes) else str(text).encode() for text in array.flat
            ]
            self.memory: Any = (ctypes.c_char_p * len(texts))(*texts)
            address, size = ctypes.addressof(self.memory), ctypes.sizeof(self.memory)
        else:
            self.memory = dtypes.to_memory(array, dtype)
            address, size = self.memory.ctypes.data, self.memory.nbytes
        self.tensor = library.Tensor(address, size, self.shape)


class _DeviceArray:
    """An array in a GPU's memory, which something else owns."""

    def __init__(self, kind: str, info: TensorInfo, array: Any) -> None:
        face = array.__cuda_array_interface__
        found, shape, strides = np.dtype(face["typestr"]), face["shape"], face.get("strides")
        where = f"{kind} '{info.name}'"
        if found.itemsize != info.dtype.itemsize or found.kind not in (info.dtype.kind, "V"):
            raise TypeError(f"{where}: expected the type {info.dtype}, found {found}")
        if len(shape) != len(info.shape):
            raise ValueError(
                f"{where}: expected rank {len(info.shape)}, found the shape {list(shape)}"
            )
        dense, step = [], found.itemsize
        for size in reversed(shape):
            dense.insert(0, step)
            step *= size
        if strides and 0 not in shape and any(
            size > 1 and given != wanted for size, given, wanted in zip(shape, strides, dense)
        ):
            raise ValueError(f"{where}: expected a dense array, found the strides {list(strides)}")
        self.owner = array
        self.shape = (ctypes.c_int64 * len(shape))(*shape)
        size = math.prod(shape) * found.itemsize
        self.tensor = library.Tensor(face["data"][0] or None, size, self.shape)


class DeviceResult(_DeviceArray):
    """Such an array as an output."""

    def __init__(self, info: TensorInfo, array: Any) -> None:
        super().__init__("output", info, array)

    array = None
    is_string = False
    is_filled = False

    def release(self) -> None:
        pass

    def take(self, tensor: library.Tensor) -> Any:
        return self.owner


class _SequenceArgument:
    """The memory of an input that is a sequence or an optional value."""

    def __init__(self, info: TensorInfo, value: Any) -> None:
        if info.is_optional and value is None:
            value, count = [], -1 if info.is_sequence else 0
        else:
            if not info.is_sequence:
                value = [value]
            if isinstance(value, np.ndarray) or not isinstance(value, Sequence):
                raise TypeError(
                    f"input '{info.name}': expected a list of arrays, "
                    f"found {type(value).__name__}"
                )
            count = len(value)
        self.items = [_Argument(_check_array(info, item), info.onnx_type) for item in value]
        self.memory = (library.Item * len(self.items))(
            *(
                library.Item(item.tensor.data, item.tensor.shape, len(item.shape))
                for item in self.items
            )
        )
        self.sequence = library.Sequence(count, self.memory)
        size = ctypes.sizeof(self.sequence)
        self.tensor = library.Tensor(ctypes.addressof(self.sequence), size, None)


class _MapArgument:
    """The memory of an input that is a map."""

    def __init__(self, info: TensorInfo, value: Any) -> None:
        if not isinstance(value, Mapping):
            raise TypeError(f"input '{info.name}': expected a dict, found {type(value).__name__}")
        expected = (str, bytes) if info.has_string_keys else (int, np.integer)
        for key in value:
            if not isinstance(key, expected) or isinstance(key, bool):
                raise TypeError(
                    f"input '{info.name}': expected keys that are "
                    f"{'strings' if info.has_string_keys else 'integers'}, found {key!r}"
                )
        names = np.empty(len(value), object if info.has_string_keys else np.int64)
        names[:] = list(value)
        self.keys = _Argument(names, dtypes.STRING if info.has_string_keys else dtypes.INT64)
        values = np.empty(len(value), object) if info.onnx_type == dtypes.STRING else None
        if values is None:
            values = _to_array(info, list(value.values()))
        else:
            values[:] = list(value.values())
        if values.ndim != 1:
            raise TypeError(f"input '{info.name}': expected values that are numbers or strings")
        self.values = _Argument(_check_array(info, values), info.onnx_type)
        self.map = library.Map(len(value), self.keys.tensor.data, self.values.tensor.data)
        size = ctypes.sizeof(self.map)
        self.tensor = library.Tensor(ctypes.addressof(self.map), size, None)


class Result:
    """The memory of an output: an array where the shape is known, else what
    the run allocates."""

    def __init__(self, info: TensorInfo) -> None:
        self.info = info
        self.dtype = info.onnx_type
        self.shape = (ctypes.c_int64 * len(info.shape))()
        self.array: np.ndarray | None = None
        self.sequence: library.Sequence | library.Maps | None = None
        is_tensor = not (info.is_sequence or info.is_optional)
        self.is_string = is_tensor and self.dtype == dtypes.STRING
        if not is_tensor:
            self.sequence = library.Maps() if info.is_map else library.Sequence()
            size = ctypes.sizeof(self.sequence)
            self.tensor = library.Tensor(ctypes.addressof(self.sequence), size, None)
        elif info.is_dynamic:
            self.tensor = library.Tensor(None, 0, self.shape)
        else:
            self.array = _make_aligned(info.shape, _memory_type(self.dtype))
            self.tensor = library.Tensor(self.array.ctypes.data, self.array.nbytes, self.shape)

    def release(self) -> None:
        """Frees what a run has allocated, before the next one or at the end."""
        free = library.load().dlc_free
        if self.sequence is not None:
            if self.sequence.items:
                free(ctypes.cast(self.sequence.items, ctypes.c_void_p))
            self.sequence.items = None
        elif self.is_string and self.array is not None and self.array.size:
            if self.is_filled:
                free(int(self.array.flat[0]))

    is_filled = False
    """Whether a run has written strings to the array."""

    def take(self, tensor: library.Tensor) -> Any:
        """The values after a run."""
        if self.sequence is not None:
            take = self._take_maps if self.info.is_map else self._take_sequence
            values = take(self.sequence)
            self.release()
            return values
        memory = self.array
        if memory is None:
            memory = _copy_memory(tensor.data, tuple(self.shape), self.dtype)
        values = _to_values(memory, self.dtype)
        if self.array is None and tensor.data:
            library.load().dlc_free(tensor.data)
        elif self.array is not None:
            self.release()
        return values

    def _take_maps(self, maps: library.Maps) -> list[dict[Any, Any]]:
        key = dtypes.STRING if self.info.has_string_keys else dtypes.INT64
        result = []
        for item in maps.items[: maps.count] if maps.count else []:
            parts = ((item.keys, key), (item.values, self.dtype))
            keys, values = (
                _to_values(_copy_memory(address, (item.count,), dtype), dtype).tolist()
                for address, dtype in parts
            )
            result.append(dict(zip(keys, values)))
        return result

    def _take_sequence(self, sequence: library.Sequence) -> Any:
        if sequence.count < 0:
            return None
        values = []
        for i in range(sequence.count):
            item = sequence.items[i]
            shape = tuple(item.shape[d] for d in range(item.rank))
            values.append(_to_values(_copy_memory(item.data, shape, self.dtype), self.dtype))
        if self.info.is_sequence:
            return values
        return values[0] if values else None


def _memory_type(dtype: int) -> np.dtype:
    return np.dtype(np.uintp) if dtype == dtypes.STRING else dtypes.memory_type(dtype)


def _make_aligned(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An array that no vector in it straddles two lines of a cache: NumPy's
    begin at any multiple of 16."""
    alignment = library.WORKSPACE_ALIGNMENT
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + alignment, np.uint8)
    begin = -memory.ctypes.data % alignment
    return memory[begin : begin + size].view(dtype).reshape(shape)


def _copy_memory(address: int | None, shape: tuple[int, ...], dtype: int) -> np.ndarray:
    memory = np.empty(shape, _memory_type(dtype))
    if address and memory.nbytes:
        ctypes.memmove(memory.ctypes.data, address, memory.nbytes)
    return memory


def _to_values(memory: np.ndarray, dtype: int) -> np.ndarray:
    if dtype != dtypes.STRING:
        return dtypes.from_memory(memory, dtype)
    texts = np.empty(memory.shape, object)
    for i, address in enumerate(memory.flat):
        texts.flat[i] = ctypes.string_at(int(address)).decode(errors="surrogateescape")
    return texts


def to_argument(
    info: TensorInfo, value: Any
) -> _Argument | _SequenceArgument | _MapArgument | _DeviceArray:
    """Checks what has to be right before the address is given away; sizes are
    checked by the run."""
    if info.is_map:
        return _MapArgument(info, value)
    if info.is_sequence or info.is_optional:
        return _SequenceArgument(info, value)
    if hasattr(value, "__cuda_array_interface__"):
        return _DeviceArray("input", info, value)
    array = _check_array(info, value)
    if array.ndim != len(info.shape):
        raise ValueError(
            f"input '{info.name}': expected rank {len(info.shape)}, "
            f"found the shape {list(array.shape)}"
        )
    return _Argument(array, info.onnx_type)


def _check_array(info: TensorInfo, value: Any) -> np.ndarray:
    """An array of the input's element type."""
    if info.onnx_type == dtypes.STRING:
        array = np.asarray(value)
        if array.dtype.kind not in "OUS" and array.size:
            raise TypeError(f"input '{info.name}': expected strings, found {array.dtype}")
        return array
    array = value if isinstance(value, (np.ndarray, np.generic)) else _to_array(info, value)
    array = np.asarray(array)
    if array.dtype != info.dtype:
        raise TypeError(
            f"input '{info.name}': expected the type {info.dtype}, found {array.dtype}"
        )
    if not array.dtype.isnative:
        array = array.astype(array.dtype.newbyteorder("="))
    return array


def describe_type(info: TensorInfo) -> str:
    name = dtypes.get_name(info.onnx_type)
    if info.is_map:
        keys = "string" if info.has_string_keys else "int64"
        return ("sequence of maps from " if info.is_sequence else "map from ") + f"{keys} to {name}"
    if info.is_sequence or info.is_optional:
        optional = "optional " if info.is_optional else ""
        return optional + ("sequence of " if info.is_sequence else "") + name
    return f"{name}[{', '.join('?' if size is None else str(size) for size in info.shape)}]"


def _to_array(info: TensorInfo, value: Any) -> np.ndarray:
    try:
        return np.asarray(value, dtype=info.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"input '{info.name}': {error}") from None


def read_infos(infos: Any, count: int) -> list[TensorInfo]:
    return [_read_info(infos[i]) for i in range(count)]


def _read_info(info: library.TensorInfo) -> TensorInfo:
    shape: list[int | str | None] = []
    for d in range(info.rank):
        size: int | str | None = info.dims[d]
        if size == -1:
            size = (info.dim_names[d].decode() or None) if info.dim_names else None
        shape.append(size)
    dtype = info.dtype & 0xFF
    return TensorInfo(
        info.name.decode(),
        tuple(shape),
        dtypes.to_numpy(dtype),
        dtype,
        is_sequence=bool(info.dtype & dtypes.SEQUENCE),
        is_optional=bool(info.dtype & dtypes.OPTIONAL),
        is_map=bool(info.dtype & dtypes.MAP),
        has_string_keys=bool(info.dtype & dtypes.STRING_KEYS),
    )
