"""Compiling models."""

from __future__ import annotations

import ctypes
import operator
import os
import weakref
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Union

from dlc import library
from dlc.errors import CompileError, Diagnostic, UnsupportedError
from dlc.model import Model

ModelSource = Union[str, "os.PathLike[str]", bytes, Any]
"""A path, the bytes of a model, or an onnx.ModelProto."""

Path = Union[str, "os.PathLike[str]"]

Shape = Sequence[Union[int, str, None]]
"""Sizes; None, -1 or "?" is dynamic."""


def version() -> str:
    """The version of the compiler."""
    return library.load().dlc_version().decode()


def compile(
    model: ModelSource,
    *,
    target: str | None = None,
    cpu: str | None = None,
    features: str | None = None,
    gpus: str | None = None,
    gpu_fallback: bool = False,
    embed: str = "ptx",
    name: str | None = None,
    shapes: Mapping[str, Shape] | None = None,
    dims: Mapping[str, int | tuple[int, int]] | None = None,
    opt_level: int = 3,
    conv: str = "auto",
    matmul: str = "direct",
    precision: str = "fp32",
    threads: int | None = None,
    expand_weights: str = "init",
    disabled_passes: Sequence[str] = (),
    added_passes: Sequence[str] = (),
    pass_limit: int | None = None,
    remarks: str | None = None,
    profile: bool = False,
    plugins: Sequence[Path] = (),
    plugin_options: Mapping[str, object] | None = None,
    custom_ops: Sequence[Path] = (),
    extern_ops: Sequence[str] = (),
) -> Model:
    """Compiles a model to code in this process.

    Args:
      model: a path, the bytes of an ONNX file, or an `onnx.ModelProto`.
      target: a name of `dlc --print-targets` or an LLVM triple that this
        machine can run; without it, this machine.
      cpu: as clang's -mcpu; with `target` alone, the target's usual baseline.
      features: what to add and take away, "+avx2,-fma".
      gpus: NVIDIA GPUs, "sm_80,sm_90a"; a target "nvptx" is one, too.
      gpu_fallback: whether the CPU does the work where there is no GPU.
      embed: the code for GPUs: ptx, or cubin for machine code, too, as --embed.
      name: the model's name; without it, the file's.
      shapes: shapes of inputs by name.
      dims: sizes of named dimensions, or (least, largest) of those that stay
        dynamic.
      opt_level: 0 to 3.
      conv: the form of convolutions: auto, direct, winograd or fft, as --conv.
      matmul: the form of large products with constant matrices: direct or
        strassen.
      precision: what contractions of float32 round their operands to: fp32,
        tf32, bf16 or fp16; a CPU has fp32 and bf16.
      threads: how many a run uses unless it says otherwise; 1 leaves out all
        thread code, and without it they are as many as the process has CPUs.
      expand_weights: where constants much larger than their sources are made:
        init, before the first run, or object, at compile time.
      disabled_passes: optional passes that are left out, as --disable-pass.
      added_passes: passes behind a phase, "graph:cse", as --add-passes.
      pass_limit: how many runs of optional passes there are, for bisection;
        `Model.passes` tells which they were.
      remarks: a regular expression, "" for all; passes in whose name it is
        found say what they did and missed, in `Model.diagnostics`.
      profile: whether `Model.profile` can tell how long each node takes, as
        --profile.
      plugins: shared libraries that extend the compiler, as --load-plugin. They
        stay loaded.
      plugin_options: values of their options by name, as --plugin-opt.
      custom_ops: files with operators as MLIR functions, as --custom-ops.
      extern_ops: C functions of this process for operators, as --extern-op.

    Raises:
      UnsupportedError: the model uses operators that dlc lacks.
      CompileError: anything else is wrong with the model or an argument.
    """
    options = _Options(
        target, cpu, features, name, shapes, dims, opt_level, conv, matmul, threads, expand_weights,
        disabled_passes, added_passes, pass_limit, remarks, gpus, gpu_fallback, precision,
        embed, profile,
    )  # fmt: skip
    options.set_extensions(plugins, plugin_options, custom_ops, extern_ops)
    compilation = _Compilation(_run(model, options))
    return Model(compilation.model, compilation)


def compile_to_file(
    model: ModelSource,
    output: str | os.PathLike[str],
    *,
    emit: Sequence[str] = ("obj", "header"),
    target: str | None = None,
    cpu: str | None = None,
    features: str | None = None,
    gpus: str | None = None,
    gpu_fallback: bool = False,
    embed: str = "ptx",
    name: str | None = None,
    shapes: Mapping[str, Shape] | None = None,
    dims: Mapping[str, int | tuple[int, int]] | None = None,
    opt_level: int = 3,
    conv: str = "auto",
    matmul: str = "direct",
    precision: str = "fp32",
    threads: int | None = None,
    expand_weights: str = "init",
    disabled_passes: Sequence[str] = (),
    added_passes: Sequence[str] = (),
    pass_limit: int | None = None,
    profile: bool = False,
    plugins: Sequence[Path] = (),
    plugin_options: Mapping[str, object] | None = None,
    custom_ops: Sequence[Path] = (),
    extern_ops: Sequence[str] = (),
) -> list[str]:
    """Compiles a model to files, as the command `dlc` does.

    Args:
      output: the file of the first kind of `emit`; the others stand beside it
        with their own endings.
      emit: obj, header, asm, llvm-ir, shared, ptx, emulation.

    The other arguments are those of `compile`; any target will do.

    Returns:
      The paths of the files.
    """
    endings = {"obj": ".o", "header": ".h", "asm": ".s", "llvm-ir": ".ll", "shared": ".so",
               "ptx": ".ptx", "emulation": ".emulation.o"}  # fmt: skip
    paths: list[str] = []
    if isinstance(emit, str):
        raise TypeError(f"expected a list of kinds of files, found the text {emit!r}")
    for kind in emit:
        if kind not in endings:
            raise ValueError(f"expected one of {', '.join(endings)}, found {kind!r}")
        path = os.fspath(output)
        paths.append(os.path.splitext(path)[0] + endings[kind] if paths else path)
    if not paths:
        raise ValueError("expected at least one kind of file to emit")
    options = _Options(
        target, cpu, features, name, shapes, dims, opt_level, conv, matmul, threads, expand_weights,
        disabled_passes, added_passes, pass_limit, None, gpus, gpu_fallback, precision,
        embed, profile,
    )  # fmt: skip
    options.set_extensions(plugins, plugin_options, custom_ops, extern_ops)
    options.set_outputs(list(zip(emit, paths)))
    library.load().dlc_compilation_free(_run(model, options))
    return paths


class _Compilation:
    """What a model's code lives in; freed with this."""

    def __init__(self, handle: int) -> None:
        loaded = library.load()
        self.model: library.Model = loaded.dlc_compilation_model(handle).contents
        self.passes: list[str] = [
            loaded.dlc_compilation_pass(handle, i).decode()
            for i in range(loaded.dlc_compilation_num_passes(handle))
        ]
        self.diagnostics = list(_read_diagnostics(handle))
        weakref.finalize(self, loaded.dlc_compilation_free, handle)


class _Options:
    """dlc_compile_options with all that it points to."""

    def __init__(
        self,
        target: str | None,
        cpu: str | None,
        features: str | None,
        name: str | None,
        shapes: Mapping[str, Shape] | None,
        dims: Mapping[str, int | tuple[int, int]] | None,
        opt_level: int,
        conv: str,
        matmul: str,
        threads: int | None,
        expand_weights: str,
        disabled_passes: Sequence[str],
        added_passes: Sequence[str],
        pass_limit: int | None,
        remarks: str | None,
        gpus: str | None,
        gpu_fallback: bool,
        precision: str,
        embed: str,
        profile: bool,
    ) -> None:
        self.struct = library.CompileOptions(
            size=ctypes.sizeof(library.CompileOptions),
            opt_level=opt_level,
            gpu_fallback=gpu_fallback,
            profile=profile,
        )
        for field, text in (
            ("target", target),
            ("cpu", cpu),
            ("features", features),
            ("name", name),
            ("conv", conv),
            ("matmul", matmul),
            ("expand_weights", expand_weights),
            ("remarks", remarks),
            ("gpus", gpus),
            ("precision", precision),
            ("embed", embed),
        ):
            if text is not None:
                setattr(self.struct, field, text.encode())
        self.struct.shapes, self.struct.num_shapes = _to_named_sizes(
            {key: [_to_size(size) for size in shape] for key, shape in (shapes or {}).items()}
        )
        self.struct.dims, self.struct.num_dims = _to_named_sizes(
            {key: _to_bounds(size) for key, size in (dims or {}).items()}
        )
        self.struct.disabled_passes, self.struct.num_disabled_passes = _to_texts(disabled_passes)
        self.struct.added_passes, self.struct.num_added_passes = _to_texts(added_passes)
        if threads is not None:
            self.struct.threads = _to_threads(threads)
        if pass_limit is not None:
            self.struct.pass_limit = ctypes.pointer(ctypes.c_int64(pass_limit))

    def set_extensions(
        self,
        plugins: Sequence[Path],
        plugin_options: Mapping[str, object] | None,
        custom_ops: Sequence[Path],
        extern_ops: Sequence[str],
    ) -> None:
        settings = [f"{key}={_to_setting(x)}" for key, x in (plugin_options or {}).items()]
        self.struct.plugins, self.struct.num_plugins = _to_paths(plugins)
        self.struct.plugin_options, self.struct.num_plugin_options = _to_texts(settings)
        self.struct.custom_ops, self.struct.num_custom_ops = _to_paths(custom_ops)
        self.struct.extern_ops, self.struct.num_extern_ops = _to_texts(extern_ops)

    def set_outputs(self, outputs: list[tuple[str, str]]) -> None:
        files = (library.OutputFile * len(outputs))()
        for file, (kind, path) in zip(files, outputs):
            file.kind = library.OUTPUT_KINDS.index(kind)
            file.path = os.fsencode(path)
        self.struct.outputs, self.struct.num_outputs = files, len(files)


def _to_threads(threads: int) -> int:
    if operator.index(threads) < 1:
        raise ValueError(f"expected at least 1 thread, found {threads}")
    return min(operator.index(threads), 2**31 - 1)


def _to_texts(texts: Sequence[str]) -> tuple[Any, int]:
    if isinstance(texts, str):
        raise TypeError(f"expected a list of texts, found the text {texts!r}")
    return (ctypes.c_char_p * len(texts))(*(text.encode() for text in texts)), len(texts)


def _to_paths(paths: Sequence[Path]) -> tuple[Any, int]:
    if isinstance(paths, (str, bytes, os.PathLike)):
        raise TypeError(f"expected a list of paths, found {paths!r}")
    return (ctypes.c_char_p * len(paths))(*(os.fsencode(path) for path in paths)), len(paths)


def _to_setting(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _to_size(size: int | str | None) -> int:
    return -1 if size is None or size == "?" else int(size)


def _to_bounds(size: int | tuple[int, int]) -> list[int]:
    return [operator.index(bound) for bound in (size if isinstance(size, tuple) else (size,))]


def _to_named_sizes(sizes: dict[str, list[int]]) -> tuple[Any, int]:
    array = (library.NamedSizes * len(sizes))()
    for entry, (name, values) in zip(array, sizes.items()):
        entry.name = name.encode()
        entry.sizes = (ctypes.c_int64 * len(values))(*values)
        entry.rank = len(values)
    return array, len(array)


def _run(model: ModelSource, options: _Options) -> int:
    """The handle of a compilation that succeeded."""
    loaded = library.load()
    pointer = ctypes.byref(options.struct)
    if isinstance(model, (str, os.PathLike)):
        handle = loaded.dlc_compile_file(os.fsencode(model), pointer)
    else:
        if hasattr(model, "SerializeToString"):
            model = model.SerializeToString()
        if not isinstance(model, (bytes, bytearray, memoryview)):
            raise TypeError(
                f"expected a path, bytes or an onnx.ModelProto, found {type(model).__name__}"
            )
        model = bytes(model)
        handle = loaded.dlc_compile_bytes(model, len(model), pointer)
    status = loaded.dlc_compilation_status(handle)
    if status == library.COMPILED:
        return handle
    diagnostics = list(_read_diagnostics(handle))
    loaded.dlc_compilation_free(handle)
    raise (UnsupportedError if status == library.UNSUPPORTED else CompileError)(diagnostics)


def _read_diagnostics(handle: int) -> Iterator[Diagnostic]:
    loaded = library.load()
    for i in range(loaded.dlc_compilation_num_diagnostics(handle)):
        yield Diagnostic(
            library.SEVERITIES[loaded.dlc_compilation_severity(handle, i)],
            loaded.dlc_compilation_diagnostic(handle, i).decode(errors="replace"),
        )
