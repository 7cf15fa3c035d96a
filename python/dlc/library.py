"""libdlc.so as ctypes sees it: include/dlc/dlc-c.h and include/dlc/Model.h."""

from __future__ import annotations

import ctypes
import functools
import os
import pathlib
from ctypes import CFUNCTYPE, POINTER, Structure, c_char_p, c_int, c_int32, c_int64
from ctypes import c_size_t, c_void_p

COMPILED, UNSUPPORTED, FAILED, OPTIONS = range(4)
SEVERITIES = ("note", "warning", "error", "remark")
OUTPUT_KINDS = ("obj", "header", "asm", "llvm-ir", "shared", "ptx", "emulation")
ABI_VERSION = 1
WORKSPACE_ALIGNMENT = 64


class NamedSizes(Structure):
    _fields_ = [("name", c_char_p), ("sizes", POINTER(c_int64)), ("rank", c_int32)]


class OutputFile(Structure):
    _fields_ = [("kind", c_int32), ("path", c_char_p)]


class CompileOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("target", c_char_p),
        ("cpu", c_char_p),
        ("features", c_char_p),
        ("name", c_char_p),
        ("shapes", POINTER(NamedSizes)),
        ("num_shapes", c_size_t),
        ("dims", POINTER(NamedSizes)),
        ("num_dims", c_size_t),
        ("opt_level", c_int32),
        ("conv", c_char_p),
        ("outputs", POINTER(OutputFile)),
        ("num_outputs", c_size_t),
        ("disabled_passes", POINTER(c_char_p)),
        ("num_disabled_passes", c_size_t),
        ("added_passes", POINTER(c_char_p)),
        ("num_added_passes", c_size_t),
        ("pass_limit", POINTER(c_int64)),
        ("remarks", c_char_p),
        ("threads", c_int32),
        ("expand_weights", c_char_p),
        ("plugins", POINTER(c_char_p)),
        ("num_plugins", c_size_t),
        ("plugin_options", POINTER(c_char_p)),
        ("num_plugin_options", c_size_t),
        ("custom_ops", POINTER(c_char_p)),
        ("num_custom_ops", c_size_t),
        ("extern_ops", POINTER(c_char_p)),
        ("num_extern_ops", c_size_t),
        ("gpus", c_char_p),
        ("gpu_fallback", c_int32),
        ("precision", c_char_p),
        ("embed", c_char_p),
        ("profile", c_int32),
        ("matmul", c_char_p),
    ]


class ProfileEvent(Structure):
    _fields_ = [
        ("node", c_int32),
        ("thread", c_int32),
        ("is_part", c_int32),
        ("reserved", c_int32),
        ("begin", c_int64),
        ("end", c_int64),
    ]


class Profile(Structure):
    _fields_ = [
        ("events", POINTER(ProfileEvent)),
        ("capacity", c_size_t),
        ("count", c_size_t),
        ("duration", c_int64),
        ("names", POINTER(c_char_p)),
        ("num_nodes", c_int32),
    ]


class RunOptions(Structure):
    _fields_ = [
        ("size", c_size_t),
        ("workspace", c_void_p),
        ("workspace_size", c_size_t),
        ("error", c_char_p),
        ("error_size", c_size_t),
        ("threads", c_int32),
        ("parallel_for", c_void_p),
        ("parallel_context", c_void_p),
        ("state", c_void_p),
        ("state_size", c_size_t),
        ("device", c_int32),
        ("asynchronous", c_int32),
        ("stream", c_void_p),
        ("workspace_needed", POINTER(c_size_t)),
        ("profile", POINTER(Profile)),
    ]


class Tensor(Structure):
    _fields_ = [("data", c_void_p), ("capacity", c_size_t), ("shape", POINTER(c_int64))]


class Item(Structure):
    _fields_ = [("data", c_void_p), ("shape", POINTER(c_int64)), ("rank", c_int32)]


class Sequence(Structure):
    _fields_ = [("count", c_int64), ("items", POINTER(Item))]


class Map(Structure):
    _fields_ = [("count", c_int64), ("keys", c_void_p), ("values", c_void_p)]


class Maps(Structure):
    _fields_ = [("count", c_int64), ("items", POINTER(Map))]


class TensorInfo(Structure):
    _fields_ = [
        ("name", c_char_p),
        ("c_name", c_char_p),
        ("dtype", c_int32),
        ("rank", c_int32),
        ("dims", POINTER(c_int64)),
        ("dim_names", POINTER(c_char_p)),
    ]


class Model(Structure):
    _fields_ = [
        ("abi_version", c_int32),
        ("size", c_int32),
        ("name", c_char_p),
        ("target", c_char_p),
        ("workspace_size", c_size_t),
        ("num_inputs", c_int32),
        ("num_outputs", c_int32),
        ("inputs", POINTER(TensorInfo)),
        ("outputs", POINTER(TensorInfo)),
        ("run", CFUNCTYPE(c_int, POINTER(Tensor), POINTER(Tensor), POINTER(RunOptions))),
        ("status_string", CFUNCTYPE(c_char_p, c_int)),
        ("shapes", CFUNCTYPE(c_int, POINTER(Tensor), POINTER(Tensor), POINTER(RunOptions))),
        ("thread_workspace_size", c_size_t),
        ("state_size", c_size_t),
        ("init", CFUNCTYPE(c_int, POINTER(RunOptions))),
        ("synchronize", CFUNCTYPE(c_int, POINTER(RunOptions))),
        ("release", CFUNCTYPE(c_int, POINTER(RunOptions))),
        ("options_size", c_size_t),
    ]


_FUNCTIONS = {
    "dlc_compile_file": (c_void_p, [c_char_p, POINTER(CompileOptions)]),
    "dlc_compile_bytes": (c_void_p, [c_char_p, c_size_t, POINTER(CompileOptions)]),
    "dlc_compilation_free": (None, [c_void_p]),
    "dlc_compilation_status": (c_int, [c_void_p]),
    "dlc_compilation_model": (POINTER(Model), [c_void_p]),
    "dlc_compilation_num_diagnostics": (c_size_t, [c_void_p]),
    "dlc_compilation_diagnostic": (c_char_p, [c_void_p, c_size_t]),
    "dlc_compilation_severity": (c_int, [c_void_p, c_size_t]),
    "dlc_compilation_num_passes": (c_size_t, [c_void_p]),
    "dlc_compilation_pass": (c_char_p, [c_void_p, c_size_t]),
    "dlc_free": (None, [c_void_p]),
    "dlc_version": (c_char_p, []),
}


def find_library() -> pathlib.Path:
    """The libdlc.so of the environment variable DLC_LIBRARY, else one beside
    this package, of the build folder of a checkout, or of an installation."""
    given = os.environ.get("DLC_LIBRARY")
    if given:
        return pathlib.Path(given)
    package = pathlib.Path(__file__).resolve().parent
    folders = [package, package.parents[1] / "build" / "lib"]
    # <prefix>/lib/python3/dist-packages/dlc, and <prefix>/lib/<triple>/libdlc.so.
    for parent in list(package.parents)[1:4]:
        folders += [parent, *sorted(parent.glob("*-linux-gnu*"))]
    for folder in folders:
        if (folder / "libdlc.so").exists():
            return folder / "libdlc.so"
    raise ImportError(
        "libdlc.so was not found: build dlc with scripts/setup, or set "
        f"DLC_LIBRARY to its path. Looked in {', '.join(map(str, folders[:2]))}"
    )


@functools.lru_cache(maxsize=None)
def load() -> ctypes.CDLL:
    """The library with the types of its functions, loaded at the first call."""
    path = find_library()
    try:
        library = ctypes.CDLL(str(path))
    except OSError as error:
        raise ImportError(f"{path} cannot be loaded: {error}") from error
    for name, (result, arguments) in _FUNCTIONS.items():
        function = getattr(library, name)
        function.restype = result
        function.argtypes = arguments
    return library
