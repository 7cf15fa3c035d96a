"""Numbers of 64 bits that a run reads, on a target whose sizes have 32: what
lies outside is clamped like any other end of a slice, or refused, never cut."""

import pathlib
import shutil
import sys

import numpy as np
import onnx
import onnx.parser
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "bench"))
import objects  # noqa: E402

TARGET = "armv7"
pytestmark = pytest.mark.skipif(
    not all(map(shutil.which, objects.CROSS[TARGET][:2])),
    reason=f"needs {' and '.join(objects.CROSS[TARGET][:2])}",
)

LOW, HIGH = -(2**63), 2**63 - 1
VALUES = np.arange(6, dtype=np.float32)


@pytest.fixture(scope="module")
def build(tmp_path_factory):
    """Compiles a model in ONNX's text, once for all tests."""
    found = {}

    def compile(graph):
        if graph not in found:
            folder = tmp_path_factory.mktemp("model")
            text = f'<ir_version: 9, opset_import: ["" : 19]> agraph {graph}'
            onnx.save(onnx.parser.parse_model(text), folder / "model.onnx")
            found[graph] = objects.compile(folder / "model.onnx", folder, TARGET)
        return found[graph]

    return compile


SLICE = """(float[n] x, int64[1] start, int64[1] end, int64[1] step) => (float[m] y)
  { y = Slice (x, start, end, zero, step) } """.replace("{ y", "<int64[1] zero = {0}> { y")


@pytest.mark.parametrize(
    "start, end, step",
    [
        (1, HIGH, 1),
        (LOW, 4, 1),
        (LOW, HIGH, 2),
        (HIGH, LOW, -1),
        (2**32 + 1, 2**33, 1),  # cut to 32 bits: 1 and 0
        (-(2**32) - 1, 2**32 + 3, 1),
        (0, 2**31, 1),
        (0, 2**30 + 5, HIGH),
        (5, -(2**31) - 1, -2),
    ],
)
def test_slice(build, start, end, step):
    inputs = [VALUES, *(np.array([bound]) for bound in (start, end, step))]
    (y,) = objects.run_emulated(build(SLICE), inputs, [np.dtype(np.float32)])
    np.testing.assert_array_equal(y, VALUES[start:end:step])


def test_slice_with_constant_ends(build):
    graph = f"""(float[n] x) => (float[m] y) <int64[1] start = {{-{2**40}}}, int64[1] end = {{{HIGH}}}>
      {{ y = Slice (x, start, end) }}"""
    (y,) = objects.run_emulated(build(graph), [VALUES], [np.dtype(np.float32)])
    np.testing.assert_array_equal(y, VALUES)


@pytest.mark.parametrize(
    "graph, inputs",
    [
        ("(float[n] x, int64[k] i) => (float[k] y) { y = Gather (x, i) }",
         [VALUES, np.array([2**32])]),
        ("(float[n] x, int64[k] i) => (float[k] y) { y = GatherElements (x, i) }",
         [VALUES, np.array([2**32 + 2])]),
        ("(float[n] x, int64[k,1] i, float[k] u) => (float[n] y) { y = ScatterND (x, i, u) }",
         [VALUES, np.array([[-(2**32)]]), VALUES[:1]]),
        ("(float[n] x, int64[1] k) => (float[m] y, int64[m] i) { y, i = TopK (x, k) }",
         [VALUES, np.array([2**32 + 2])]),
        ("(float[1] x, int64[1] shape) => (float[m] y) { y = Expand (x, shape) }",
         [VALUES[:1], np.array([2**32 + 2])]),
        ("(float[n] x, int64[1] r) => (float[m] y) { y = Tile (x, r) }",
         [VALUES, np.array([2**32 + 1])]),
        ("(int64[1] shape) => (float[m] y) { y = ConstantOfShape (shape) }",
         [np.array([2**32 + 3])]),
        ("(int64 a, int64 b, int64 c) => (int64[m] y) { y = Range (a, b, c) }",
         [np.array(0), np.array(2**32 + 4), np.array(1)]),
        ("(float[n] x, int64[2] p) => (float[m] y) { y = Pad (x, p) }",
         [VALUES, np.array([0, 2**32 + 1])]),
        ("(float[n] x, int64[2] s) => (float[a, b] y) { y = Reshape (x, s) }",
         [VALUES, np.array([2**32 + 2, 3])]),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused(build, graph, inputs):
    count = graph.split("=>")[1].split(")")[0].count("[")
    with pytest.raises(RuntimeError, match="status 1: .*(expected|memory)"):
        objects.run_emulated(build(graph), inputs, [np.dtype(np.float32)] * count)
