"""What bench/verify runs: models and their inputs, in one table."""

from __future__ import annotations

import dataclasses
import importlib.util
import pathlib
import subprocess
import sys
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

BENCH = pathlib.Path(__file__).resolve().parent
sys.path += [str(BENCH / "models"), str(BENCH.parent / "test" / "conformance")]

import networks  # noqa: E402
import randomize  # noqa: E402

Sizes = Mapping[str, Any]
"""Sizes of dynamic dimensions by their names, and whole shapes by the names of
inputs."""


@dataclasses.dataclass(frozen=True)
class Subject:
    """A model with what it is run on."""

    name: str
    find: Callable[[], pathlib.Path]
    """The path of the model; makes it if it is not there."""
    sizes: Sequence[Sizes] = ({},)
    """A run each, all with one object."""
    limits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    """Inputs that are whole numbers: from 0 to below this."""
    data: Callable[[], tuple[list[Any], list[Any]]] | None = None
    """Inputs and expected outputs where they come with the model; without it
    inputs are random and ONNX Runtime says what is expected."""

    def make_inputs(self, infos: Sequence[Any], sizes: Sizes) -> dict[str, np.ndarray]:
        """Random inputs as a session of ONNX Runtime describes them."""
        random = np.random.default_rng(zlib.crc32(self.name.encode()))
        inputs = {}
        for info in infos:
            shape = sizes.get(info.name) or [sizes.get(size, size) for size in info.shape]
            if info.name in self.limits:
                dtype = {"tensor(int64)": np.int64, "tensor(int32)": np.int32}[info.type]
                inputs[info.name] = random.integers(0, self.limits[info.name], shape, dtype)
            else:
                inputs[info.name] = random.standard_normal(shape, np.float32)
        return inputs


def _exported(network: networks.Network) -> Subject:
    def find() -> pathlib.Path:
        if not network.path.exists():
            subprocess.run([BENCH / "models" / "export", network.name], check=True,
                           stdout=subprocess.DEVNULL)  # fmt: skip
        return network.path

    return Subject(network.name, find, network.sizes, network.limits)


def _light(name: str) -> Subject:
    """A model that lies in the onnx package, with its expected output. Each of
    its weights is one number, repeated."""
    import onnx

    path = pathlib.Path(onnx.__file__).parent / f"backend/test/data/light/light_{name}.onnx"

    def data() -> tuple[list[Any], list[Any]]:
        import cases

        (case,) = (c for c in cases.load_cases(("light",)) if c.name == f"light/{name}")
        return next(iter(case.load_data(case.load_model())))

    return Subject(f"light_{name}", lambda: path, data=data)


def _randomized(name: str) -> Subject:
    """The same with random weights."""
    import onnx

    def find() -> pathlib.Path:
        path = networks.CACHE / "models" / f"random_{name}.onnx"
        model = randomize.randomize(onnx.load(_light(name).find()))
        path.parent.mkdir(parents=True, exist_ok=True)
        onnx.save(model, path)
        return path

    return Subject(f"random_{name}", find)


def _packaged(
    name: str, package: str, file: str, sizes: Sequence[Sizes], limits: Mapping[str, int] = {}
) -> Subject:
    """A trained model that lies in a Python package."""

    def find() -> pathlib.Path:
        spec = importlib.util.find_spec(package)
        if spec is None:
            raise FileNotFoundError(f"the Python package {package} is not installed")
        return pathlib.Path(spec.submodule_search_locations[0], "models", file)

    return Subject(name, find, sizes, limits)


LIGHT = ("bvlc_alexnet", "densenet121", "inception_v1", "inception_v2", "resnet50",
         "shufflenet", "squeezenet", "vgg19", "zfnet512")  # fmt: skip

TABLE = {
    subject.name: subject
    for subject in (
        *map(_exported, networks.TABLE.values()),
        _packaged("magika", "magika", "standard_v3_3/model.onnx",
                  ({"bytes": [1, 2048]}, {"bytes": [3, 2048]}), {"bytes": 257}),
        _packaged("ppocr_det", "rapidocr_onnxruntime", "ch_PP-OCRv4_det_infer.onnx",
                  ({"x": [1, 3, 320, 480]}, {"x": [1, 3, 736, 544]})),
        _packaged("ppocr_rec", "rapidocr_onnxruntime", "ch_PP-OCRv4_rec_infer.onnx",
                  ({"x": [1, 3, 48, 320]}, {"x": [2, 3, 48, 504]})),
        _packaged("ppocr_cls", "rapidocr_onnxruntime", "ch_ppocr_mobile_v2.0_cls_infer.onnx",
                  ({"x": [1, 3, 48, 192]}, {"x": [6, 3, 48, 160]})),
        *map(_light, LIGHT),
        *map(_randomized, LIGHT),
    )
}  # fmt: skip

# What is run where nothing else is asked for: all on this machine, and what an
# emulator runs in seconds elsewhere.
EMULATED = {
    "aarch64": ("squeezenet1_1", "mobilenet_v2", "lstm"),
    "armv7": ("squeezenet1_1", "mobilenet_v2", "lstm"),
    "riscv64": ("squeezenet1_1",),
}
