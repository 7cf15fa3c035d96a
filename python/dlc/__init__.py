"""dlc compiles ONNX models to native code.

    import dlc
    model = dlc.compile("model.onnx")
    outputs = model.run({"input": array})    # a dict of numpy arrays

`dlc.compile` makes code for this process, `dlc.compile_to_file` writes an
object for any target, `dlc.load` takes a compiled model. `dlc.backend` is ONNX's backend interface.
"""

from dlc.errors import CompileError, Diagnostic, DlcError, RunError, UnsupportedError
from dlc.compiler import compile, compile_to_file, version
from dlc.model import Model, TensorInfo, load

__version__ = version()

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
