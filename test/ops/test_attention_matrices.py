"""Attention of bfloat16 by products of tiles, on CPUs that have them (AMX): against
float64, in what test_attention_pairs.py, whose tests take this form too there,
has not: blocks of rows and keys, their ends, hidden keys."""

import pathlib
import subprocess
import sys

import numpy as np
import onnx.parser
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "bench"), str(ROOT / "test/ops")]
import dlc  # noqa: E402
import objects  # noqa: E402
from test_attention_pairs import check, remarks  # noqa: E402
from test_attention_tiles import Case, model_of  # noqa: E402

native = pytest.mark.skipif(
    "amx_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(),
    reason="needs a CPU with AMX-BF16",
)
# Blocks have 32 rows, steps 32 keys, elements or columns; keys come 512 at a time,
# and are laid out for 256 rows.
CASES = {
    f"{rows} x {keys}": Case(rows, keys, depth=depth, columns=columns, heads=1)
    for rows, keys, depth, columns in (
        (8, 1, 2, 1), (15, 16, 31, 15), (16, 17, 32, 16), (17, 31, 33, 17), (31, 32, 64, 31),
        (32, 33, 65, 32), (33, 48, 63, 33), (63, 512, 96, 48), (64, 513, 100, 64),
        (65, 1024, 127, 65), (257, 40, 256, 255), (520, 530, 8, 300),
    )
} | {
    "causal, tiles of keys": Case(600, 600, depth=40, heads=2, causal=True),
    "causal, fewer rows": Case(40, 1100, depth=24, heads=2, causal=True),
    "causal groups": Case(70, 70, depth=20, group=5, causal=True),
    "groups in parts": Case(300, 90, depth=20, heads=1, group=4, mask="heads"),
    "few rows of a group": Case(2, 600, depth=64, heads=9, group=8, mask="bool"),
    "late keys": Case(45, 700, depth=16, mask="late", batch=2),
    "windows": Case(49, 49, depth=32, heads=4, batch=8, mask="heads"),
}  # fmt: skip


@native
@pytest.mark.parametrize("dynamic", ["", "n", "mn", "bmn"])
def test_blocks(dynamic):
    if not dynamic:
        model = dlc.compile(model_of(CASES.values()), precision="bf16")
        found = model.run([x for case in CASES.values() for x in case.inputs])
        for (name, case), y in zip(CASES.items(), found, strict=True):
            check(y, case, name)
        return
    for name, case in CASES.items():
        y = dlc.compile(case.model(dynamic), precision="bf16").run(case.inputs)[0]
        check(y, case, name)


@native
@pytest.mark.parametrize("name", ["causal, tiles of keys", "groups in parts", "520 x 530"])
def test_threads_change_nothing(name):
    case = CASES[name]
    model = dlc.compile(case.model("bmn"), precision="bf16", threads=3)
    once, *others = (model.run(case.inputs, threads=n)[0] for n in (1, 2, 3))
    for other in others:
        assert (once.view(np.int32) == other.view(np.int32)).all()


@native
@pytest.mark.parametrize("kind", ["causal", "bool"])
def test_hidden_keys_count_for_nothing(kind):
    """Their weights are 0, not small: values there are as large as can be."""
    case = Case(70, 100, depth=16, columns=20, causal=kind == "causal",
                mask="bool" if kind == "bool" else None)  # fmt: skip
    plain = dlc.compile(case.model(), precision="bf16")
    first = plain.run(case.inputs)[0]
    if kind == "bool":
        case.extra[0][:, 50:] = False
        first = plain.run(case.inputs)[0]
        case.v[:, :, 50:] = 3e38
        assert (plain.run(case.inputs)[0] == first).all()
    else:
        case.v[:, :, 69:] = 3e38
        assert (plain.run(case.inputs)[0][:, :, :69] == first[:, :, :69]).all()


@native
@pytest.mark.parametrize("dynamic", [False, True])
def test_mask_that_lies_otherwise(dynamic):
    """Booleans, and numbers, whose keys are not side by side."""
    rows, keys, rng = 37, 67, np.random.default_rng(2)
    q, k, v = (rng.standard_normal((2, n, 24)).astype(np.float32) for n in (rows, keys, keys))
    shown, added = rng.random((keys, rows)) < 0.7, rng.standard_normal((keys, rows)).astype("f")
    shown[0] = True
    m, n = ("m", "n") if dynamic else (rows, keys)
    model = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 19]>
      agraph (float[2,{m},24] q, float[2,{n},24] k, float[2,{n},24] v, bool[{n},{m}] s,
              float[{n},{m}] a) => (float[x,y,z] r) <float low = {{-3.4028235e38}}>
      {{ kt = Transpose <perm = [0, 2, 1]> (k)
        p = MatMul (q, kt)
        at = Transpose <perm = [1, 0]> (a)
        pa = Add (p, at)
        st = Transpose <perm = [1, 0]> (s)
        h = Where (st, pa, low)
        w = Softmax <axis = -1> (h)
        r = MatMul (w, v) }}""")
    y = dlc.compile(model.SerializeToString(), precision="bf16").run([q, k, v, shown, added])[0]
    case = Case.__new__(Case)
    case.q, case.k, case.v = (4 * q)[None], k[None], v[None]  # what it is compared with scales
    case.extra = [np.where(shown, added, -np.inf).T]
    case.cap, case.causal = 0.0, False
    check(y[None], case)


@pytest.mark.parametrize("rows, group, cpu, tiles", [
    (40, 1, "sapphirerapids", True), (8, 1, "emeraldrapids", True), (2, 4, "sapphirerapids", True),
    (3, 2, "sapphirerapids", False), (1, 1, "sapphirerapids", False), (40, 1, "znver4", False),
    (40, 1, "cooperlake", False),
])  # fmt: skip
def test_kernel(tmp_path, rows, group, cpu, tiles):
    flags = ["-target=x86_64", f"-mcpu={cpu}", "--precision=bf16"]
    text = remarks(Case(rows, 100, group=group, causal=True).model(), tmp_path, *flags)
    assert ("tiles of bfloat16 (amx, tdpbf16ps)" in text) == tiles
    assert not (tiles and "register-tiled" in text)


def test_several_cpus(tmp_path):
    """Each of an object's CPUs has its form."""
    text = remarks(Case(40, 100).model(), tmp_path, "-target=x86_64",
                   "-mcpu=x86-64-v3,znver4,sapphirerapids", "--precision=bf16")  # fmt: skip
    assert "tiles of bfloat16 (amx, tdpbf16ps)" in text and "pairs of bfloat16" in text
