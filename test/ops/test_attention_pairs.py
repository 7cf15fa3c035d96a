"""Attention whose operands are bfloat16, of float32 with --precision=bf16 or of
tensors of that type, on CPUs with dot products of pairs: against float64
arithmetic on rounded operands, in the forms of test_attention_tiles.py."""

import pathlib
import shutil
import subprocess
import sys

import ml_dtypes
import numpy as np
import onnx
import onnx.parser
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "bench"), str(ROOT / "test/ops")]
import dlc  # noqa: E402
import objects  # noqa: E402
from attended import attend  # noqa: E402
from test_attention_tiles import CASES as ALL  # noqa: E402
from test_attention_tiles import Case, model_of  # noqa: E402

native = pytest.mark.skipif(
    "avx512_bf16" not in pathlib.Path("/proc/cpuinfo").read_text(),
    reason="needs a CPU with AVX512-BF16",
)
CASES = {name: case for name, case in ALL.items() if case.dtype == np.float32} | {
    "odd depth": Case(20, 70, depth=13, columns=9),
    "depth 1": Case(20, 70, depth=1, columns=1),
    "depth 80": Case(33, 65, depth=80),
    "depth 40": Case(130, 31, depth=40, columns=72),
    "depth 128": Case(66, 200, depth=128, columns=100),
    "197 patches": Case(197, 197, depth=64, heads=3),
    "8 queries": Case(8, 300, depth=24),
}
WEIGHT = 2.0**-8
"""The largest error of a rounded weight, relative to it."""


def rounded(x):
    return x.astype(ml_dtypes.bfloat16).astype(np.float64) if x.dtype != bool else x


def is_paired(case):
    """Few rows stay float32."""
    return case.q.shape[2] * case.q.shape[1] // case.k.shape[1] >= 8 and case.q.shape[3] > 1


def check(y, case, name="", error=WEIGHT, rounds=None):
    """Each weight of a sum is off by its rounding, and all else by float32's."""
    rounds = is_paired(case) if rounds is None else rounds
    turn = rounded if rounds else lambda x: x
    q, k, v = (turn(x).astype(np.float64) for x in (case.q, case.k, case.v))
    extra = case.extra[:1]
    expected = attend(0.25 * q, k, v, *extra, cap=case.cap, causal=case.causal)
    sizes = attend(0.25 * q, k, np.abs(v), *extra, cap=case.cap, causal=case.causal)
    assert y.shape == expected.shape, name
    if not expected.size:
        return
    bound = (error if rounds else 0) * sizes + 1e-5 * np.abs(expected).max()
    found = np.abs(y.astype(np.float64) - expected)
    assert (found <= bound).all(), (name, (found / bound).max())


@native
def test_static():
    model = dlc.compile(model_of(CASES.values()), precision="bf16")
    found = model.run([x for case in CASES.values() for x in case.inputs])
    for (name, case), y in zip(CASES.items(), found, strict=True):
        check(y, case, name)


@native
@pytest.mark.parametrize("dynamic", ["n", "bm", "bmn"])
def test_dynamic(dynamic):
    """One object for all sizes; of unknown rows there may be many."""
    few = ("odd", "causal", "groups", "depth 40")
    for name, case in CASES.items():
        if name in (few if dynamic != "bmn" else CASES.keys() - {"causal, mask", "depth 1"}):
            y = dlc.compile(case.model(dynamic), precision="bf16").run(case.inputs)[0]
            check(y, case, name, rounds=is_paired(case) or "m" in dynamic)


@native
def test_depth_of_one():
    """Scores are float32; weights and values are rounded as those of any contraction."""
    case = Case(200, 300, depth=1, columns=64)
    y = dlc.compile(case.model(), precision="bf16").run(case.inputs)[0]
    q, k, v = (x.astype(np.float64) for x in case.inputs)
    sizes = attend(0.25 * q, k, np.abs(v))
    # Each factor is off by half of a WEIGHT.
    assert (np.abs(y - case.expected()) <= 1.01 * WEIGHT * sizes).all()


@native
@pytest.mark.parametrize("empty", ["b", "m", "n"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_empty(empty, dynamic):
    sizes = {"batch": 2, "rows": 12, "keys": 20}
    case = Case(**{**sizes, {"b": "batch", "m": "rows", "n": "keys"}[empty]: 0})
    source = Case(**sizes).model("bmn") if dynamic else case.model()
    check(dlc.compile(source, precision="bf16").run(case.inputs)[0], case, rounds=False)


@native
def test_threads_change_nothing():
    case = Case(200, 300, heads=3)
    model = dlc.compile(case.model(), precision="bf16", threads=2)
    once, *others = (model.run(case.inputs, threads=n)[0] for n in (1, 2, 3, 4))
    for other in others:
        assert (once == other).all()


@native
@pytest.mark.parametrize("transposed", ["q", "k", "v", "qkv"])
def test_layouts(transposed):
    """Operands that lie the other way round."""
    case = Case(37, 67, depth=22, columns=17, mask="float")
    sizes = {"q": "37,22", "k": "67,22", "v": "67,17"}
    turns, inputs = [], []
    for name, value in zip("qkv", (case.q, case.k, case.v), strict=True):
        if name in transposed:
            sizes[name] = ",".join(reversed(sizes[name].split(",")))
            turns.append(f"{name}t = Transpose <perm = [0, 1, 3, 2]> ({name})")
            inputs.append(np.ascontiguousarray(value.swapaxes(-1, -2)))
        else:
            turns.append(f"{name}t = Identity ({name})")
            inputs.append(value)
    model = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 19]>
      agraph (float[1,2,{sizes["q"]}] q, float[1,2,{sizes["k"]}] k, float[1,2,{sizes["v"]}] v,
              float[37,67] m) => (float[a,b,c,d] y) <float quarter = {{0.25}}>
      {{ {chr(10).join(turns)}
        kc = Transpose <perm = [0, 1, 3, 2]> (kt)
        p = MatMul (qt, kc)
        r = Mul (p, quarter)
        s = Add (r, m)
        w = Softmax <axis = -1> (s)
        y = MatMul (w, vt) }}""")
    y = dlc.compile(model.SerializeToString(), precision="bf16").run([*inputs, *case.extra])[0]
    check(y, case)


@native
def test_tensors_of_bfloat16():
    """Without a flag; the result is rounded too, and scores aren't."""
    for name in ("one tile", "odd", "tiles of keys", "causal"):
        case = CASES[name]
        model = onnx.load_from_string(case.model())
        for info in [*model.graph.input, *model.graph.output]:
            info.type.tensor_type.elem_type = onnx.TensorProto.BFLOAT16
        given = [x.astype(ml_dtypes.bfloat16) for x in case.inputs]
        y = dlc.compile(model.SerializeToString()).run(given)[0]
        assert y.dtype == ml_dtypes.bfloat16
        check(y, case, name, error=WEIGHT + 2.0**-8)


def remarks(model, tmp_path, *flags):
    (tmp_path / "m.onnx").write_bytes(model)
    command = [objects.DLC, tmp_path / "m.onnx", "--remarks=contract", "-o", tmp_path / "m.o", *flags]
    return subprocess.run(command, check=True, capture_output=True, text=True).stderr


@pytest.mark.parametrize("rows, group, pairs", [(40, 1, True), (2, 4, True), (3, 2, False)])
def test_kernel(tmp_path, rows, group, pairs):
    """Some rows pay for the layout of pairs, a few don't; both products are dot
    products."""
    flags = ["-target=x86_64", "-mcpu=znver4", "--precision=bf16"]
    text = remarks(Case(rows, 100, group=group).model(), tmp_path, *flags)
    assert ("pairs of bfloat16" in text) == pairs
    assert text.count("vdpbf16ps") == text.count("register-tiled product") * pairs
    assert ("vdpbf16ps" in text) == pairs
    assert "one element after the other" not in text


def test_no_scores_in_memory(tmp_path):
    (tmp_path / "m.onnx").write_bytes(Case(256, 512, depth=64).model())
    command = [objects.DLC, tmp_path / "m.onnx", "-target=x86_64", "-mcpu=znver4",
               "--precision=bf16", "--to=buffer", "-o", "-"]  # fmt: skip
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "dlc.attention" in text and "256x512" not in text


@pytest.mark.skipif(
    not all(map(shutil.which, objects.CROSS["aarch64"][:2])),
    reason=f"needs {' and '.join(objects.CROSS['aarch64'][:2])}",
)
@pytest.mark.parametrize(
    "name", ["odd", "odd depth", "tiles of keys", "bool mask", "causal", "groups", "197 patches"]
)
def test_aarch64(tmp_path, name):
    """bfmmla, and bfdot for a last row."""
    case = CASES[name]
    onnx.save(onnx.load_from_string(case.model()), tmp_path / "m.onnx")
    flags = ["-mcpu=generic+bf16", "--precision=bf16", "--remarks=contract"]
    made = objects.compile(tmp_path / "m.onnx", tmp_path, "aarch64", flags)
    assert "bfmmla" in made.messages
    (y,) = objects.run_emulated(made, case.inputs, [np.float32])
    check(y.reshape(case.expected().shape), case, name)
