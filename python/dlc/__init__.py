"""dlc compiles ONNX models to native code.

    import dlc
    model = dlc.compile("model.onnx")
    outputs = model.run({"input": array})    # a dict of numpy arrays

`dlc.compile` makes code for this process, `dlc.compile_to_file` writes an
object for any target, `dlc.load` takes a compiled model. `dlc.backend` is ONNX's backend interface.
"""

import importlib
from typing import Any

from dlc.errors import CompileError, Diagnostic, DlcError, RunError, UnsupportedError
from dlc.compiler import compile, compile_to_file, version
from dlc.model import Model, TensorInfo, load

__version__ = version()


def __getattr__(name: str) -> Any:
    # The backend needs onnx, which compiling does not.
    if name == "backend":
        return importlib.import_module("dlc.backend")
    raise AttributeError(f"module 'dlc' has no attribute '{name}'")


__all__ = [
    "CompileError",
    "Diagnostic",
    "DlcError",
    "Model",
    "RunError",
    "TensorInfo",
    "UnsupportedError",
    "compile",
    "compile_to_file",
    "load",
    "version",
]
