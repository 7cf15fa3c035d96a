"""Compiled models and how they are run."""

from __future__ import annotations

import ctypes
import dataclasses
import math
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from dlc import dtypes, library
from dlc.errors import Diagnostic, DlcError, RunError


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


class Model:
    """A model as code in this process. `dlc.compile` and `dlc.load` make it.

    Any number of threads may run one model at once.
    """

    def __init__(self, model: library.Model, owner: Any) -> None:
        """`owner` keeps the code alive."""
        self._model = model
        self._owner = owner
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
        self.passes: list[str] = getattr(owner, "passes", [])
        """The optional passes that ran, where the options name or limit passes."""
        self.diagnostics: list[Diagnostic] = getattr(owner, "diagnostics", [])
        """What the compiler said: warnings, and the remarks that were asked for."""
        self._workspaces: list[_Workspace] = []
        """Those that no run is working in."""
        self.inputs: list[TensorInfo] = _read_infos(self._model.inputs, self._model.num_inputs)
        self.outputs: list[TensorInfo] = _read_infos(self._model.outputs, self._model.num_outputs)

    def __repr__(self) -> str:
        def describe(infos: list[TensorInfo]) -> str:
            return ", ".join(f"{info.name}: {_describe_type(info)}" for info in infos)

        return f"<dlc.Model {self.name}({describe(self.inputs)}) -> ({describe(self.outputs)})>"

    @overload
    def run(
        self, inputs: Mapping[str, Any], *, threads: int | None = None
    ) -> dict[str, Any]: ...
    @overload
    def run(self, inputs: Sequence[Any], *, threads: int | None = None) -> list[Any]: ...

    def run(self, inputs: Any, *, threads: int | None = None) -> Any:
        """Runs the model.

        Args:
          inputs: numpy arrays, by name or in the model's order. Numbers and
            lists are turned into arrays of the right type; an array of another
            type is refused. A sequence is a list of arrays, an optional value
            may be None, a map is a dict of numbers or strings.
          threads: how many may work on it; without it, what the model was
            compiled for. The outputs are the same for any number.

        Returns:
          The outputs, by name or in order as the inputs were given.

        Raises:
          ValueError, TypeError: an input is missing, unknown, or of another
            rank or type than the model's.
          RunError: the run failed; a wrong size is one reason.
        """
        if isinstance(inputs, Mapping):
            results = self._run(self._order(inputs), threads)
            return dict(zip((info.name for info in self.outputs), results))
        if isinstance(inputs, np.ndarray) or not isinstance(inputs, Sequence):
            raise TypeError(f"expected a dict or list of arrays, found {type(inputs).__name__}")
        if len(inputs) != len(self.inputs):
            raise ValueError(f"expected {len(self.inputs)} inputs, found {len(inputs)}")
        return self._run(inputs, threads)

    def output_shapes(
        self, shapes: Mapping[str, Sequence[int]]
    ) -> dict[str, tuple[int | None, ...]]:
        """The shapes of the outputs, without a run.

        Args:
          shapes: the shape of each input by name; those that are fixed may be
            left out.

        Returns:
          Shapes by name. None is a size that depends on data.

        Raises:
          ValueError: an input is missing, unknown, or of another rank.
          RunError: a size is wrong.
        """
        fixed = {info.name: info.shape for info in self.inputs if not info.is_dynamic}
        given = self._order({**fixed, **shapes})
        for info, shape in zip(self.inputs, given):
            if len(shape) != len(info.shape):
                raise ValueError(
                    f"expected {len(info.shape)} sizes for '{info.name}', found {len(shape)}"
                )
        if self._model.size < library.Model.thread_workspace_size.offset:
            raise DlcError("the model was made by a version of dlc that tells no shapes")

        def describe(shapes: Sequence[Any]) -> Any:
            arrays = [(ctypes.c_int64 * len(shape))(*shape) for shape in shapes]
            return (library.Tensor * len(arrays))(*(library.Tensor(None, 0, a) for a in arrays))

        results = describe([[-1] * len(info.shape) for info in self.outputs])
        self._check(self._model.shapes, describe(given), results)
        return {
            info.name: tuple(
                size if size >= 0 else None for size in result.shape[: len(info.shape)]
            )
            for info, result in zip(self.outputs, results)
        }

    def synchronize(self, device: int = 0, stream: int = 0) -> None:
        """Waits for the asynchronous runs (see `Call`) on a GPU, or only for
        those in a stream. Does nothing in a model without code for a GPU.

        Raises:
          RunError: one of them has failed.
        """
        if self._has_device_calls() and self._model.synchronize:
            self._check(self._model.synchronize, device=device, stream=stream)

    def release(self) -> None:
        """Gives back the memory that runs worked in, and what the model keeps on
        GPUs. No run may be going on; the next one begins anew."""
        self._workspaces.clear()
        if self._has_device_calls() and self._model.release:
            self._check(self._model.release)

    def _has(self, field: Any) -> bool:
        """Whether the version of dlc that made the model knew a field."""
        return self._model.size >= field.offset + field.size

    def _has_device_calls(self) -> bool:
        return self._has(library.Model.release)

    def _check(self, function: Any, *arguments: Any, **fields: Any) -> None:
        error = ctypes.create_string_buffer(1024)
        options = library.RunOptions(
            size=ctypes.sizeof(library.RunOptions),
            error=ctypes.cast(error, ctypes.c_char_p),
            error_size=len(error),
            **fields,
        )
        status = function(*arguments, ctypes.byref(options))
        if status:
            message = error.value.decode(errors="replace")
            raise RunError(status, message or self._model.status_string(status).decode())

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

    def _run(self, inputs: Sequence[Any], threads: int | None) -> list[Any]:
        # Runs at once have one each.
        try:
            workspace = self._workspaces.pop()
        except IndexError:
            workspace = _Workspace(self)
        call = Call(self, inputs, threads=threads)
        call.use(workspace)
        call()
        results = call.take()
        self._workspaces.append(workspace)
        return results


class _Workspace:
    """The memory that runs of a model work in; it grows to what they need."""

    def __init__(self, model: Model) -> None:
        self.size = -1
        struct = model._model
        self.each = 0
        """Bytes for each thread beyond the first."""
        if model._has(library.Model.thread_workspace_size):
            self.each = struct.thread_workspace_size
        self.is_told = False
        """Whether a run says what it needs."""
        if model._has(library.Model.options_size):
            field = library.RunOptions.workspace_needed
            self.is_told = struct.options_size >= field.offset + field.size

    def grow(self, size: int) -> None:
        if size <= self.size:
            return
        alignment = library.WORKSPACE_ALIGNMENT
        self.memory = np.empty(size + alignment, np.uint8)
        self.address = -(-self.memory.ctypes.data // alignment) * alignment
        self.size = size


class Call:
    """A run with all its buffers, to be repeated without a copy: for
    measurements. Inputs are in the model's order; with `keep_workspace` the
    runs share one workspace, else each allocates its own. `threads` is as for
    `Model.run`.

    Of a model for a GPU, `device` is the number of the GPU and `stream` a
    CUstream of it (torch: `stream.cuda_stream`). Inputs may be arrays in the
    GPU's memory, all objects with `__cuda_array_interface__`, and so may be
    `outputs`, the arrays to write to, where given; None among them is an output
    in the host's memory. With `asynchronous` a call may return before the GPU
    is done: `Model.synchronize` waits, and until then nothing may touch the
    arrays."""

    def __init__(
        self,
        model: Model,
        inputs: Sequence[Any],
        keep_workspace: bool = False,
        threads: int | None = None,
        outputs: Sequence[Any] | None = None,
        device: int = 0,
        stream: int = 0,
        asynchronous: bool = False,
    ) -> None:
        self._model = model
        struct = model._model
        self._arguments = [_to_argument(info, x) for info, x in zip(model.inputs, inputs)]
        given = outputs or [None] * len(model.outputs)
        if len(given) != len(model.outputs):
            raise ValueError(f"expected {len(model.outputs)} outputs, found {len(given)}")
        self._results = [
            _Result(info) if array is None else _DeviceResult(info, array)
            for info, array in zip(model.outputs, given)
        ]
        self._given = (library.Tensor * len(self._arguments))(*(x.tensor for x in self._arguments))
        self._taken = (library.Tensor * len(self._results))(*(y.tensor for y in self._results))
        self._error = ctypes.create_string_buffer(1024)
        self._options = library.RunOptions(
            size=ctypes.sizeof(library.RunOptions),
            error=ctypes.cast(self._error, ctypes.c_char_p),
            error_size=len(self._error),
            device=device,
            stream=stream,
            asynchronous=asynchronous,
        )
        if threads is not None:
            if operator.index(threads) < 1:
                raise ValueError(f"expected at least 1 thread, found {threads}")
            self._options.threads = min(operator.index(threads), 2**31 - 1)
        self._needed = ctypes.c_size_t(0)
        self._workspace: _Workspace | None = None
        if keep_workspace:
            self.use(_Workspace(model))
        self._run = struct.run
        self._pointer = ctypes.byref(self._options)

    def use(self, workspace: _Workspace) -> None:
        """Runs in this memory from now on."""
        self._workspace = workspace
        threads = self._options.threads or os.cpu_count() or 1
        workspace.grow(self._model.workspace_size + (threads - 1) * workspace.each)
        if workspace.is_told:
            self._options.workspace_needed = ctypes.pointer(self._needed)

    def __call__(self) -> None:
        """Runs once."""
        if self._workspace:
            self._options.workspace = self._workspace.address
            self._options.workspace_size = self._workspace.size
        for result, tensor in zip(self._results, self._taken):
            result.release()
            result.is_filled = False
            if result.is_string and result.array is None and tensor.data:
                library.load().dlc_free(tensor.data)
                tensor.data = None
        status = self._run(self._given, self._taken, self._pointer)
        if status:
            message = self._error.value.decode(errors="replace")
            raise RunError(status, message or self._model._model.status_string(status).decode())
        if self._workspace:
            self._workspace.grow(self._needed.value)
        for result in self._results:
            result.is_filled = True

    def take(self) -> list[Any]:
        """The outputs of the last run, in order; the end of the call."""
        return [result.take(tensor) for result, tensor in zip(self._results, self._taken)]


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


class _DeviceResult(_DeviceArray):
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


class _Result:
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
            self.array = np.empty(info.shape, _memory_type(self.dtype))
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


def load(path: str | os.PathLike[str], name: str | None = None) -> Model:
    """A model from a shared library, as `--emit=shared` writes it or the
    linker makes it from an object.

    Args:
      name: the model's name; without it, the file's.
    """
    shared = ctypes.CDLL(os.path.abspath(path))
    name = name or os.path.splitext(os.path.basename(path))[0]
    try:
        describe = getattr(shared, f"{name}_model")
    except AttributeError:
        raise ValueError(f"{os.fspath(path)} has no model of the name '{name}'; "
                         "give that which it was compiled with as name=") from None  # fmt: skip
    describe.restype = ctypes.POINTER(library.Model)
    return Model(describe().contents, shared)


def _to_argument(
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


def _describe_type(info: TensorInfo) -> str:
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


def _read_infos(infos: Any, count: int) -> list[TensorInfo]:
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
