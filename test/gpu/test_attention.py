"""Attention whose scores stay in the kernel, emulated, against float64."""

import re
import subprocess

import emulated
import numpy as np
import onnx
import pytest
from attended import attend
from onnx import helper
from test_mma import ROUND
from test_ptx import assemble

random = np.random.default_rng(17)


class Case:
    """Heads of `rows` queries and `keys` keys with vectors of `depth` and
    `columns` elements, `group` heads of queries to one of keys."""

    def __init__(self, name, rows, keys, depth, columns=None, heads=2, group=1, mask=None,
                 causal=False, cap=0.0, dynamic=False, dtype=np.float32):  # fmt: skip
        self.name, self.mask, self.causal, self.cap = name, mask, causal, cap
        self.dynamic, self.dtype, self.scale = dynamic, dtype, 0.3
        columns = columns or depth
        self.q = random.standard_normal((1, heads * group, rows, depth)).astype(dtype)
        self.k = random.standard_normal((1, heads, keys, depth)).astype(dtype)
        self.v = random.standard_normal((1, heads, keys, columns)).astype(dtype)
        self.extra = []
        if mask == "bool":
            allowed = random.random((rows, keys)) < 0.6
            allowed[:, 0] = True
            self.extra = [allowed]
        elif mask == "float":
            self.extra = [(2 * random.standard_normal((1, 1, rows, keys))).astype(dtype)]
        elif mask == "late":  # the first tiles have no key
            allowed = np.zeros((rows, keys), bool)
            allowed[:, -3:] = True
            self.extra = [allowed]

    @property
    def inputs(self):
        return [self.q, self.k, self.v, *self.extra]

    def make(self, i):
        names = [f"{n}{i}" for n in "qkvm"[: len(self.inputs)]]
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(value.dtype),
                [f"{name}_{d}" if self.dynamic and d >= value.ndim - 2 and n else s
                 for d, s in enumerate(value.shape)]
                if name[0] != "m" else (["r", "c"] if self.dynamic else value.shape),
            )
            for n, (name, value) in enumerate(zip(names, self.inputs, strict=True))
        ]  # fmt: skip
        attributes = {"scale": self.scale}
        if self.causal:
            attributes["is_causal"] = 1
        if self.cap:
            attributes["softcap"] = self.cap
        node = helper.make_node("Attention", names, [f"y{i}"], **attributes)
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        return node, infos, helper.make_tensor_value_info(f"y{i}", kind, None)

    def expected(self, precision):
        # The scale is a factor of both operands, before they are rounded.
        factor = self.dtype(np.sqrt(self.scale))
        q, k, v = (ROUND[precision](x).astype(np.float64)
                   for x in (self.q * factor, self.k * factor, self.v))  # fmt: skip
        return attend(q, k, v, *self.extra[:1], cap=self.cap, causal=self.causal)


CASES = [
    Case("one tile", 64, 64, 64),
    Case("several tiles", 130, 200, 32),
    Case("odd", 37, 77, 20, 12),
    Case("odd depth", 33, 90, 25, 19),
    Case("long vectors", 70, 70, 128),
    Case("few rows", 5, 100, 64),
    Case("one key", 40, 1, 16),
    Case("float mask", 50, 84, 32, mask="float"),
    Case("bool mask", 50, 83, 32, mask="bool"),
    Case("late keys", 50, 150, 32, mask="late"),
    Case("causal", 70, 70, 32, causal=True),
    Case("groups", 40, 70, 32, group=3, causal=True),
    Case("capped", 40, 70, 32, cap=2.0),
]
DYNAMIC = [
    Case("dynamic", 70, 90, 32, dynamic=True),
]
HALVES = [
    Case("halves", 70, 90, 64, dtype=np.float16),
    Case("halves masked", 70, 90, 64, mask="bool", dtype=np.float16),
]
WIDE = [
    Case("wide vectors", 40, 70, 160, 200),
    Case("doubles", 40, 70, 48, 80, dtype=np.float64),
]


def make_model(table):
    parts = [case.make(i) for i, case in enumerate(table)]
    graph = helper.make_graph(
        [node for node, _, _ in parts], "g", [x for _, infos, _ in parts for x in infos],
        [y for _, _, y in parts],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 24)], ir_version=11)
    return onnx.shape_inference.infer_shapes(model)


def check(table, driver, folder, precision, tolerance, *flags, gpu):
    """Compares results; returns the forms of the kernels."""
    network, kernels = emulated.compile(make_model(table), folder, driver, *flags, gpu=gpu)
    driver.reset(kernels, capability=int(gpu[3:5]))
    results = network.run([x for case in table for x in case.inputs])
    assert driver.error == ""
    compare(table, results, precision, tolerance)
    ptx = folder / "x.ptx"
    command = ["dlc", folder / "network.onnx", f"--gpu={gpu}", *flags, "--emit=ptx", "-o", ptx]
    done = subprocess.run([*command, "--remarks=dlc-"], capture_output=True, text=True, check=True)
    assert {name: spilled for name, (_, spilled) in assemble(ptx, gpu).items() if spilled} == {}
    forms = re.findall(r"kernel: (attention.*?) \[", done.stderr)
    assert len(forms) == len(table), done.stderr
    return forms


def compare(table, results, precision, tolerance):
    wrong = []
    for case, result in zip(table, results, strict=True):
        expected = case.expected(precision)
        assert np.isfinite(expected).all()
        error = np.abs(result.astype(np.float64) - expected).max() / np.abs(expected).max()
        if not error <= tolerance:
            wrong.append(f"{case.name}: {error}")
    assert not wrong, "\n".join(wrong)


def test_exact(driver, tmp_path):
    table = [*CASES, *DYNAMIC, *WIDE]
    forms = check(table, driver, tmp_path, "fp32", 2e-6, gpu="sm_80")
    assert not any("tensor cores" in form for form in forms)


@pytest.mark.parametrize(
    "precision, gpu, count",
    [("fp16", "sm_70", 5), ("fp16", "sm_75", 4), ("fp16", "sm_80", None), ("bf16", "sm_80", 4),
     ("tf32", "sm_90a", None)],
)  # fmt: skip
def test_tensor_cores(precision, gpu, count, driver, tmp_path):
    table = CASES[:count]
    # The weights are rounded, too.
    tolerance = 4e-3 if precision == "bf16" else 1e-3
    flag = f"--precision={precision}"
    forms = check(table, driver, tmp_path, precision, tolerance, flag, gpu=gpu)
    # tf32 of 128 elements has no place in shared memory.
    assert sum("tensor cores" in form for form in forms) >= len(table) - (precision == "tf32")


@pytest.mark.parametrize("table, tolerance", [([*CASES, *DYNAMIC, *WIDE], 2e-6), (HALVES, 2e-3)])
def test_fallback(table, tolerance, driver, tmp_path):
    """A CPU does it in steps, in the same object."""
    flags = ["--gpu-fallback"]
    forms = check(table, driver, tmp_path, "fp32", tolerance, *flags, gpu="sm_80")
    assert len(forms) == len(table)
    network, _ = emulated.compile(make_model(table), tmp_path, driver, *flags, name="again")
    driver.reset(devices=0)
    results = network.run([x for case in table for x in case.inputs])
    compare(table, results, "fp32", tolerance)
    assert not any("Launch" in call for call in driver.calls)


@pytest.mark.parametrize("gpu", ["sm_70", "sm_80"])
def test_halves(gpu, driver, tmp_path):
    forms = check(HALVES, driver, tmp_path, "fp32", 2e-3, gpu=gpu)
    assert all("tensor cores, fp16" in form for form in forms)
