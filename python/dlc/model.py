"""Compiled models and how they are run."""

from __future__ import annotations

import ctypes
import operator
import os
from collections.abc import Mapping, Sequence
from typing import Any, overload

import numpy as np

from dlc import library
from dlc.errors import Diagnostic, DlcError, RunError
from dlc import profile as profiles
from dlc.profile import Profile
from dlc.tensors import (
    DeviceResult,
    Result,
    TensorInfo,
    describe_type,
    read_infos,
    to_argument,
)


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
        self.inputs: list[TensorInfo] = read_infos(self._model.inputs, self._model.num_inputs)
        self.outputs: list[TensorInfo] = read_infos(self._model.outputs, self._model.num_outputs)

    def __repr__(self) -> str:
        def describe(infos: list[TensorInfo]) -> str:
            return ", ".join(f"{info.name}: {describe_type(info)}" for info in infos)

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

    def profile(
        self, inputs: Any, *, runs: int = 20, threads: int | None = None, capacity: int = 1 << 16
    ) -> Profile:
        """Runs the model, compiled with profile=True, and tells how long each
        node took. Nodes that are computed as one are one, "conv1+relu1".

        Args:
          inputs, threads: as for `run`.
          runs: how many are measured; one before them is not.
          capacity: events that a run has room for: one for each call of a node,
            and one for each part of it that a thread takes.

        Raises:
          RunError: the model was compiled without profile=True, or a run failed.
        """
        if isinstance(inputs, Mapping):
            inputs = self._order(inputs)
        if runs < 1:
            raise ValueError(f"expected at least 1 run, found {runs}")
        if not self._has(library.Model.options_size) or (
            self._model.options_size < ctypes.sizeof(library.RunOptions)
        ):
            raise DlcError("the model was made by a version of dlc without profiles")
        call = Call(self, inputs, keep_workspace=True, threads=threads)
        call()  # makes what is made once
        found, durations, lost = [], [], 0
        for _ in range(runs):
            room = profiles.make_room(capacity)
            call.measure(room)
            call()
            found.append(profiles.read_events(room))
            durations.append(room.duration * 1e-9)
            lost += max(0, room.count - room.capacity)
        call.take()
        return profiles.Profile(self.name, found, durations, lost)

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
        self._arguments = [to_argument(info, x) for info, x in zip(model.inputs, inputs)]
        given = outputs or [None] * len(model.outputs)
        if len(given) != len(model.outputs):
            raise ValueError(f"expected {len(model.outputs)} outputs, found {len(given)}")
        self._results = [
            Result(info) if array is None else DeviceResult(info, array)
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

    def measure(self, profile: library.Profile) -> None:
        """Runs from now on tell there how long their nodes take."""
        self._profile = profile  # keeps it alive
        self._options.profile = ctypes.pointer(profile)

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
