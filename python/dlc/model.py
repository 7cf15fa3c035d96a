"""Compiled models and how they are run."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import weakref
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from dlc import dtypes, library
from dlc.errors import RunError


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

    @property
    def is_dynamic(self) -> bool:
        return any(not isinstance(size, int) for size in self.shape)


class Model:
    """A model as code in this process. `dlc.compile` makes it.

    Any number of threads may run one model at once.
    """

    def __init__(self, handle: int) -> None:
        """Takes over the handle of a compilation."""
        loaded = library.load()
        self._finalizer = weakref.finalize(self, loaded.dlc_compilation_free, handle)
        self._model: library.Model = loaded.dlc_compilation_model(handle).contents
        if self._model.abi_version != library.ABI_VERSION:
            raise ImportError(
                f"libdlc.so makes models of ABI version {self._model.abi_version}, "
                f"this package reads version {library.ABI_VERSION}"
            )
        self.name: str = self._model.name.decode()
        self.target: str = self._model.target.decode()
        """LLVM triple and CPU."""
        self.workspace_size: int = self._model.workspace_size
        """Bytes of working memory that a run needs."""
        self.passes: list[str] = [
            loaded.dlc_compilation_pass(handle, i).decode()
            for i in range(loaded.dlc_compilation_num_passes(handle))
        ]
        """The optional passes that ran, where the options name or limit passes."""
        self.inputs: list[TensorInfo] = _read_infos(self._model.inputs, self._model.num_inputs)
        self.outputs: list[TensorInfo] = _read_infos(self._model.outputs, self._model.num_outputs)

    def __repr__(self) -> str:
        def describe(infos: list[TensorInfo]) -> str:
            return ", ".join(
                f"{info.name}: {dtypes.get_name(info.onnx_type)}"
                f"[{', '.join('?' if size is None else str(size) for size in info.shape)}]"
                for info in infos
            )

        return f"<dlc.Model {self.name}({describe(self.inputs)}) -> ({describe(self.outputs)})>"

    @overload
    def run(self, inputs: Mapping[str, Any]) -> dict[str, np.ndarray]: ...
    @overload
    def run(self, inputs: Sequence[Any]) -> list[np.ndarray]: ...

    def run(self, inputs: Any) -> Any:
        """Runs the model.

        Args:
          inputs: numpy arrays, by name or in the model's order. Numbers and
            lists are turned into arrays of the right type; an array of another
            type is refused.

        Returns:
          The outputs, by name or in order as the inputs were given.

        Raises:
          ValueError, TypeError: an input is missing, unknown, or of another
            rank or type than the model's.
          RunError: the run failed; a wrong size is one reason.
        """
        if isinstance(inputs, Mapping):
            return dict(zip((info.name for info in self.outputs), self._run(self._order(inputs))))
        if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence):
            raise TypeError(f"expected a dict or list of arrays, found {type(inputs).__name__}")
        if len(inputs) != len(self.inputs):
            raise ValueError(f"expected {len(self.inputs)} inputs, found {len(inputs)}")
        return self._run(inputs)

    def _order(self, inputs: Mapping[str, Any]) -> list[Any]:
        names = [info.name for info in self.inputs]
        missing = [name for name in names if name not in inputs]
        unknown = [name for name in inputs if name not in names]
        if missing or unknown:
            raise ValueError(
                f"expected the inputs {names}"
                + (f", {missing} are missing" if missing else "")
                + (f", {unknown} are unknown" if unknown else "")
            )
        return [inputs[name] for name in names]

    def _run(self, inputs: Sequence[Any]) -> list[np.ndarray]:
        arguments = [_to_argument(info, value) for info, value in zip(self.inputs, inputs)]
        results = [_Result(info) for info in self.outputs]
        given = (library.Tensor * len(arguments))(*(argument.tensor for argument in arguments))
        taken = (library.Tensor * len(results))(*(result.tensor for result in results))
        error = ctypes.create_string_buffer(1024)
        options = library.RunOptions(
            size=ctypes.sizeof(library.RunOptions),
            error=ctypes.cast(error, ctypes.c_char_p),
            error_size=len(error),
        )
        status = self._model.run(given, taken, ctypes.byref(options))
        if status:
            message = error.value.decode(errors="replace")
            raise RunError(status, message or self._model.status_string(status).decode())
        return [result.take(tensor) for result, tensor in zip(results, taken)]


class _Argument:
    """The memory of an input."""

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


class _Result:
    """The memory of an output: an array where the shape is known, else what
    the run allocates."""

    def __init__(self, info: TensorInfo) -> None:
        self.dtype = info.onnx_type
        self.shape = (ctypes.c_int64 * len(info.shape))()
        self.array: np.ndarray | None = None
        self.is_string = self.dtype == dtypes.STRING
        self.item = np.dtype(np.uintp) if self.is_string else dtypes.memory_type(self.dtype)
        if info.is_dynamic:
            self.tensor = library.Tensor(None, 0, self.shape)
        else:
            self.array = np.empty(info.shape, self.item)
            self.tensor = library.Tensor(self.array.ctypes.data, self.array.nbytes, self.shape)

    def take(self, tensor: library.Tensor) -> np.ndarray:
        """The values after a run."""
        memory = self.array
        if memory is None:
            shape = tuple(self.shape)
            size = math.prod(shape) * self.item.itemsize
            memory = np.empty(shape, self.item)
            if tensor.data:
                ctypes.memmove(memory.ctypes.data, tensor.data, size)
                library.load().dlc_free(tensor.data)
        if self.is_string:
            texts = np.empty(memory.shape, object)
            for i, address in enumerate(memory.flat):
                texts.flat[i] = ctypes.string_at(int(address)).decode()
            return texts
        return dtypes.from_memory(memory, self.dtype)


def _to_argument(info: TensorInfo, value: Any) -> _Argument:
    """Checks what has to be right before the address is given away; sizes are
    checked by the run."""
    if info.onnx_type == dtypes.STRING:
        array = np.asarray(value)
        if array.dtype.kind not in "OUS":
            raise TypeError(f"input '{info.name}': expected strings, found {array.dtype}")
    else:
        array = value if isinstance(value, (np.ndarray, np.generic)) else _to_array(info, value)
        array = np.asarray(array)
        if array.dtype != info.dtype:
            raise TypeError(
                f"input '{info.name}': expected the type {info.dtype}, found {array.dtype}"
            )
        if not array.dtype.isnative:
            array = array.astype(array.dtype.newbyteorder("="))
    if array.ndim != len(info.shape):
        raise ValueError(
            f"input '{info.name}': expected rank {len(info.shape)}, "
            f"found the shape {list(array.shape)}"
        )
    return _Argument(array, info.onnx_type)


def _to_array(info: TensorInfo, value: Any) -> np.ndarray:
    try:
        return np.asarray(value, dtype=info.dtype)
    except (TypeError, ValueError) as error:
        raise TypeError(f"input '{info.name}': {error}") from None


def _read_infos(infos: Any, count: int) -> list[TensorInfo]:
    return [_read_info(infos[i]) for i in range(count)]


def _read_info(info: library.TensorInfo) -> TensorInfo:
    shape: list[int | str | None] = []
    for d in range(info.rank):
        size: int | str | None = info.dims[d]
        if size == -1:
            size = (info.dim_names[d].decode() or None) if info.dim_names else None
        shape.append(size)
    return TensorInfo(
        info.name.decode(), tuple(shape), dtypes.to_numpy(info.dtype), info.dtype
    )
