"""The engines that bench/run compares: each makes a function that runs a model
once on given inputs, without copies, and one that gives its outputs. With
`fixed` the engine is told the shapes of the inputs before it compiles the
model; else what it has compiled takes any."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import objects
import onnx
from onnx import TensorProto

import dlc


@dataclasses.dataclass(frozen=True)
class Run:
    """A model that is ready to run."""

    call: Callable[[], Any]
    outputs: Callable[[], list[np.ndarray]]
    """Of the last call."""


class Dlc:
    name = "dlc"
    flags: tuple[str, ...] = ()

    def __init__(self, path: pathlib.Path, folder: pathlib.Path):
        self.path = path
        self.folder = folder
        self.models: dict[tuple[str, ...], dlc.Model] = {}

    @staticmethod
    def version() -> str:
        return "this tree"

    def _load(self, flags: tuple[str, ...]) -> dlc.Model:
        if flags not in self.models:
            folder = self.folder / str(len(self.models))
            folder.mkdir()
            made = objects.compile(self.path, folder, flags=self.flags + flags)
            self.models[flags] = dlc.load(objects.link_shared(made), name="network")
        return self.models[flags]

    def prepare(self, inputs: dict[str, np.ndarray], threads: int, fixed: bool) -> Run:
        flags = tuple(f"--shape={name}:{'x'.join(map(str, value.shape))}"
                      for name, value in inputs.items()) if fixed else ()  # fmt: skip
        model = self._load(flags)
        given = [inputs[info.name] for info in model.inputs]
        call = dlc.model.Call(model, given, threads=threads, keep_workspace=True)
        return Run(call, lambda: model.run(given))


class DlcRounded(Dlc):
    """Contractions with operands of bfloat16."""

    flags = ("--precision=bf16",)


class DlcFloat(Dlc):
    """dlc's own time for the float network that a quantized one was made of, or
    without rounding."""

    name = "dlc float32"

    def __init__(self, path: pathlib.Path, folder: pathlib.Path):
        super().__init__(path, folder / "float")
        self.folder.mkdir()


def make_session(
    model: pathlib.Path | bytes,
    threads: int = 1,
    optimize: bool = True,
    sizes: Mapping[str, int] = {},
) -> Any:
    """A session of ONNX Runtime that says nothing. `sizes` are those of dynamic
    dimensions by their names."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    for name, size in sizes.items():
        options.add_free_dimension_override_by_name(name, size)
    if not optimize:
        options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    source = model if isinstance(model, bytes) else str(model)
    return onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])


def round_operands(model: onnx.ModelProto) -> bytes:
    """The model with operands of contractions cast to bfloat16 and back: what a
    permission to round them means, for ONNX Runtime."""
    nodes: list[onnx.NodeProto] = []
    rounded: dict[str, str] = {}
    for node in model.graph.node:
        if node.op_type in ("Conv", "MatMul", "Gemm"):
            for i in (0, 1):
                name = node.input[i]
                if name not in rounded:
                    middle, rounded[name] = f"{name}/bfloat16", f"{name}/rounded"
                    for source, result, to in ((name, middle, TensorProto.BFLOAT16),
                                               (middle, rounded[name], TensorProto.FLOAT)):  # fmt: skip
                        nodes.append(onnx.helper.make_node("Cast", [source], [result], to=to))
                node.input[i] = rounded[name]
        nodes.append(node)
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return model.SerializeToString()


def bind(session: Any, inputs: dict[str, np.ndarray]) -> Run:
    """A run of ONNX Runtime without copies."""
    binding = session.io_binding()
    for name, value in inputs.items():
        binding.bind_cpu_input(name, value)
    for info in session.get_outputs():
        binding.bind_output(info.name)
    return Run(
        lambda: session.run_with_iobinding(binding),
        lambda: [np.asarray(value) for value in binding.copy_outputs_to_cpu()],
    )


class OnnxRuntime:
    name = "ONNX Runtime"

    def __init__(self, path: pathlib.Path, folder: pathlib.Path):
        self.path = path

    @staticmethod
    def version() -> str:
        import onnxruntime

        return onnxruntime.__version__

    def prepare(self, inputs: dict[str, np.ndarray], threads: int, fixed: bool) -> Run:
        found: dict[str, set[int]] = {}
        for info in make_session(self.path).get_inputs() if fixed else ():
            for name, size in zip(info.shape, inputs[info.name].shape):
                if isinstance(name, str):
                    found.setdefault(name, set()).add(size)
        # Some files call every dimension that they do not know "?".
        sizes = {name: size for name, (size, *others) in found.items() if not others}
        return bind(make_session(self.path, threads, sizes=sizes), inputs)


class OpenVino:
    name = "OpenVINO"
    precision = "f32"

    def __init__(self, path: pathlib.Path, folder: pathlib.Path):
        import openvino

        self.core = openvino.Core()
        self.path = path

    @staticmethod
    def version() -> str:
        import openvino

        return openvino.__version__.split("-")[0]

    def prepare(self, inputs: dict[str, np.ndarray], threads: int, fixed: bool) -> Run:
        import openvino

        model = self.core.read_model(str(self.path))
        if fixed:
            model.reshape({name: list(value.shape) for name, value in inputs.items()})
        # It would compute in bf16 where the machine can.
        compiled = self.core.compile_model(
            model,
            "CPU",
            {"INFERENCE_PRECISION_HINT": self.precision, "INFERENCE_NUM_THREADS": threads,
             "NUM_STREAMS": 1, "PERFORMANCE_HINT": "LATENCY"},
        )  # fmt: skip
        request = compiled.create_infer_request()
        for name, value in inputs.items():
            request.set_tensor(name, openvino.Tensor(value, shared_memory=True))
        return Run(
            request.infer,
            lambda: [request.get_output_tensor(i).data.copy() for i in range(len(model.outputs))],
        )


class OpenVinoRounded(OpenVino):
    precision = "bf16"


ENGINES = (Dlc, OnnxRuntime, OpenVino)
ROUNDED = (DlcRounded, OnnxRuntime, OpenVinoRounded)
"""Those of --precision=bf16; ONNX Runtime computes in float32 still."""
