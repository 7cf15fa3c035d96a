"""Whole networks, compiled to objects for every target, linked into a C program
and run, under an emulator where the target is another one: their answers are
ONNX Runtime's."""

import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnxruntime
import pytest

import dlc

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import objects  # noqa: E402
from randomize import make_lstm, randomize  # noqa: E402

TARGETS = [None, *objects.CROSS]


def make_squeezenet():
    data = pathlib.Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
    return randomize(onnx.load(data / "light_squeezenet.onnx"))


@pytest.fixture(scope="module", params=[make_squeezenet, make_lstm], ids=["squeezenet", "lstm"])
def network(request, tmp_path_factory):
    """The path of a model, runs of it, each with inputs and what they make."""
    model = request.param()
    path = tmp_path_factory.mktemp("model") / "network.onnx"
    onnx.save(model, path)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    shapes = {"data_0": [(1, 3, 224, 224)], "x": [(12, 1, 20), (12, 3, 20)]}
    random = np.random.default_rng(3)
    (info,) = session.get_inputs()
    inputs = [random.standard_normal(shape, np.float32) for shape in shapes[info.name]]
    return path, [(x, session.run(None, {info.name: x})) for x in inputs]


@pytest.mark.parametrize("target", TARGETS, ids=[target or "host" for target in TARGETS])
def test_answers_are_onnx_runtimes(network, target, tmp_path):
    path, runs = network
    if target and not all(map(shutil.which, objects.CROSS[target][:2])):
        pytest.skip(f"needs {' and '.join(objects.CROSS[target][:2])}")
    found = objects.compile(path, tmp_path, target)
    for x, expected in runs:
        if target:
            outputs = objects.run_emulated(found, [x], [value.dtype for value in expected])
        else:
            outputs = dlc.load(objects.link_shared(found), name="network").run([x])
        for value, wanted in zip(outputs, expected, strict=True):
            assert wanted.std() > 0.01, "the answers say nothing"
            np.testing.assert_allclose(value, wanted, rtol=1e-3, atol=1e-4)
