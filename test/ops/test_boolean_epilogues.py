"""Booleans that the epilogue of a product reads or writes: a byte each."""

import pathlib
import sys

import numpy as np
import onnx.parser
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "python"))
import dlc  # noqa: E402
from cpus import UNITS, skip_unless_runs  # noqa: E402


@pytest.mark.parametrize("cpu", UNITS)
@pytest.mark.parametrize("rows, columns", [(1, 50), (37, 50), (8, 64), (5, 7)])
def test_booleans(cpu, rows, columns):
    skip_unless_runs(cpu)
    model = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 19]>
      agraph (float[{rows},20] a, float[20,{columns}] b, bool[{rows},{columns}] m)
      => (float[r,c] y, bool[r,c] z) <float low = {{-7}}, float zero = {{0}}>
      {{ p = MatMul (a, b)
         y = Where (m, p, low)
         n = Neg (a)
         o = MatMul (n, b)
         z = Greater (o, zero) }}""")
    rng = np.random.default_rng(rows)
    a, b = (rng.standard_normal(s).astype(np.float32) for s in ((rows, 20), (20, columns)))
    m = rng.random((rows, columns)) < 0.5
    y, z = dlc.compile(model.SerializeToString(), cpu=cpu).run([a, b, m])
    product = a.astype(np.float64) @ b
    np.testing.assert_allclose(y, np.where(m, product, -7), rtol=1e-4, atol=1e-5)
    certain = np.abs(product) > 1e-4
    assert (z == (product < 0))[certain].all()
