"""ONNX's backend interface (onnx.backend.base), made of dlc.

    import dlc.backend
    prepared = dlc.backend.prepare(onnx.load("model.onnx"), "CPU")
    outputs = prepared.run([array])

Operators that dlc lacks raise dlc.UnsupportedError.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx.backend.base import Backend, BackendRep, Device, DeviceType, namedtupledict

import dlc


class DlcBackendRep(BackendRep):
    """A compiled model. `run` takes the inputs in order, or by name."""

    def __init__(self, model: dlc.Model) -> None:
        self.model = model

    def run(self, inputs: Any, **kwargs: Any) -> tuple[np.ndarray, ...]:
        if isinstance(inputs, np.ndarray):
            inputs = [inputs]
        outputs = self.model.run(inputs)
        if isinstance(outputs, dict):
            outputs = list(outputs.values())
        names = [info.name for info in self.model.outputs]
        return namedtupledict("Outputs", names)(*outputs)


class DlcBackend(Backend):
    """Compiles for this machine's CPU."""

    @classmethod
    def is_compatible(cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any) -> bool:
        """Whether dlc has every operator of the model. This compiles it."""
        if not cls.supports_device(device):
            return False
        try:
            dlc.compile(model, **kwargs)
        except dlc.UnsupportedError:
            return False
        except dlc.CompileError:
            pass  # prepare() says what is wrong with it
        return True

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any
    ) -> DlcBackendRep:
        """Compiles a model; `kwargs` are arguments of dlc.compile."""
        if not cls.supports_device(device):
            raise ValueError(f"expected the device CPU, found {device}")
        return DlcBackendRep(dlc.compile(model, **kwargs))

    @classmethod
    def run_model(
        cls, model: onnx.ModelProto, inputs: Any, device: str = "CPU", **kwargs: Any
    ) -> tuple[np.ndarray, ...]:
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Sequence[tuple[np.dtype, tuple[int, ...]]] | None = None,
        **kwargs: Any,
    ) -> tuple[np.ndarray, ...]:
        """Runs one node. `inputs` are in the node's order, without those that
        are absent, or a dict. `opset` is the version of the node's operator
        set; without it, the newest. The types of operators that ONNX does not
        know have to be given with `outputs_info`."""
        opsets = _find_opsets(node, kwargs.pop("opset", None))
        names = [name for name in node.input if name]
        values = [inputs[name] for name in names] if isinstance(inputs, dict) else inputs
        arrays = dict(zip(names, map(np.asarray, values)))
        graph = onnx.helper.make_graph(
            [node],
            "node",
            [_to_value_info(name, array.dtype, array.shape) for name, array in arrays.items()],
            [onnx.ValueInfoProto(name=name) for name in node.output if name],
        )
        if outputs_info is not None:
            del graph.output[:]
            graph.output.extend(
                _to_value_info(name, np.dtype(dtype), shape)
                for name, (dtype, shape) in zip(filter(None, node.output), outputs_info)
            )
        model = onnx.helper.make_model(graph, opset_imports=opsets)
        model = onnx.shape_inference.infer_shapes(model, data_prop=True)
        return cls.prepare(model, device, **kwargs).run(list(arrays.values()))

    @classmethod
    def supports_device(cls, device: str) -> bool:
        return Device(device).type == DeviceType.CPU


def _find_opsets(node: onnx.NodeProto, version: int | None) -> list[onnx.OperatorSetIdProto]:
    """The operator sets of a model with that node; `version` is its own's."""
    newest = onnx.defs.onnx_opset_version()
    if node.domain in ("", "ai.onnx"):
        return [onnx.helper.make_opsetid("", version or newest)]
    if version is None:
        known = [s.since_version for s in onnx.defs.get_all_schemas() if s.domain == node.domain]
        version = max(known, default=1)
    return [
        onnx.helper.make_opsetid("", newest),
        onnx.helper.make_opsetid(node.domain, version),
    ]


def _to_value_info(
    name: str, dtype: np.dtype, shape: tuple[int, ...]
) -> onnx.ValueInfoProto:
    return onnx.helper.make_tensor_value_info(
        name, onnx.helper.np_dtype_to_tensor_dtype(dtype), shape
    )


is_compatible = DlcBackend.is_compatible
prepare = DlcBackend.prepare
run_model = DlcBackend.run_model
run_node = DlcBackend.run_node
supports_device = DlcBackend.supports_device
