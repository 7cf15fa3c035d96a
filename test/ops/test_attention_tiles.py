"""Attention of a CPU, whose scores stay in a thread's scratch memory: against
float64 in many forms, and no memory for queries by keys."""

import pathlib
import shutil
import subprocess
import sys

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "python"), str(ROOT / "bench"), str(ROOT / "test/ops")]
import dlc  # noqa: E402
import objects  # noqa: E402
from attended import attend  # noqa: E402
from cpus import UNITS, skip_unless_runs  # noqa: E402

# Errors relative to the largest value: the scores' own rounding and the sums'.
TOLERANCE = {np.float32: 3e-6, np.float64: 1e-14, np.float16: 2e-3}
LOW, NONE = np.finfo(np.float32).min, -np.inf


class Case:
    """`heads` heads of `rows` queries and `keys` keys, `group` heads to one of
    keys. `mask` is None, "float", "bool", "keys" (one number a key), "heads"
    (a number for each score), "late" (the last keys only), "none" (a row of no
    key)."""

    def __init__(self, rows, keys, depth=16, columns=None, heads=2, group=1, batch=1, mask=None,
                 causal=False, cap=0.0, dtype=np.float32):  # fmt: skip
        rng = np.random.default_rng(rows * 1000 + keys)
        self.mask, self.causal, self.cap, self.dtype = mask, causal, cap, dtype
        self.q = rng.standard_normal((batch, heads * group, rows, depth)).astype(dtype)
        self.k = rng.standard_normal((batch, heads, keys, depth)).astype(dtype)
        self.v = rng.standard_normal((batch, heads, keys, columns or depth)).astype(dtype)
        self.extra = []
        if mask in ("bool", "none"):
            allowed = rng.random((rows, keys)) < 0.6
            allowed[:, 0] = True
            if mask == "none":
                allowed[rows // 2] = False
            self.extra = [allowed]
        elif mask == "late":
            allowed = np.zeros((rows, keys), bool)
            allowed[:, -3:] = True
            self.extra = [allowed]
        elif mask:
            shape = {"float": (rows, keys), "keys": (batch, 1, 1, keys),
                     "heads": (batch, heads * group, rows, keys)}[mask]  # fmt: skip
            self.extra = [(2 * rng.standard_normal(shape)).astype(dtype)]

    @property
    def inputs(self):
        return [self.q, self.k, self.v, *self.extra]

    def model(self, dynamic=()):
        """`dynamic` are the dimensions, of all inputs, that the run tells."""
        return model_of([self], dynamic)

    def parts(self, prefix, dynamic):
        """The node, its inputs and its result, with names of their own."""
        names = [prefix + name for name in "qkvm"[: len(self.inputs)]]
        infos = []
        for name, value in zip(names, self.inputs, strict=True):
            axes = {"q": "bhmd", "k": "bgnd", "v": "bgnc", "m": "bhmn"[4 - value.ndim :]}[name[-1]]
            shape = [
                prefix + axis if axis in dynamic and (name[-1] != "m" or size > 1) else size
                for axis, size in zip(axes, value.shape, strict=True)
            ]
            kind = helper.np_dtype_to_tensor_dtype(value.dtype)
            infos.append(helper.make_tensor_value_info(name, kind, shape))
        node = helper.make_node(
            "Attention", names, [prefix + "y"], scale=0.25, is_causal=int(self.causal),
            softcap=self.cap,
        )  # fmt: skip
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        sizes = [f"{prefix}y{i}" for i in range(4)]
        return node, infos, helper.make_tensor_value_info(prefix + "y", kind, sizes)

    def expected(self):
        q, k, v = (x.astype(np.float64) for x in (self.q, self.k, self.v))
        return attend(0.25 * q, k, v, *self.extra[:1], cap=self.cap, causal=self.causal)

    def check(self, y, name=""):
        expected = self.expected()
        assert y.shape == expected.shape, name
        if expected.size:
            error = np.abs(y.astype(np.float64) - expected).max()
            assert error <= TOLERANCE[self.dtype] * np.abs(expected).max(), name


def model_of(cases, dynamic=()):
    """Each case beside the others: one model is compiled faster than many."""
    parts = [case.parts(f"c{i}_", dynamic) for i, case in enumerate(cases)]
    graph = helper.make_graph(
        [node for node, _, _ in parts],
        "g",
        [info for _, infos, _ in parts for info in infos],
        [result for _, _, result in parts],
    )
    return helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 23)], ir_version=10
    ).SerializeToString()


def check_all(cases, model):
    results = model.run([x for case in cases.values() for x in case.inputs])
    for (name, case), y in zip(cases.items(), results, strict=True):
        case.check(y, name)


CASES = {
    "one tile": Case(64, 100),
    "rest of rows": Case(70, 33, depth=10),
    "odd": Case(37, 129, depth=20, columns=7, batch=3),
    "tiles of keys": Case(65, 1500, depth=8, columns=24),
    "few rows": Case(3, 50, heads=3),
    "one query": Case(1, 2000, depth=64),
    "few rows, tiles": Case(5, 1700, columns=12, mask="float"),
    "one key": Case(9, 1),
    "float mask": Case(40, 70, mask="float"),
    "mask of keys": Case(40, 70, mask="keys", batch=2),
    "mask of heads": Case(20, 70, mask="heads", batch=2),
    "bool mask": Case(72, 90, mask="bool"),
    "row without keys": Case(40, 90, mask="none"),
    "last keys": Case(70, 1300, mask="late"),
    "few rows, last keys": Case(2, 1300, mask="late"),
    "causal": Case(100, 100, causal=True),
    "causal, fewer keys": Case(70, 40, causal=True),
    "causal, more keys": Case(40, 90, causal=True),
    "causal tiles": Case(1200, 1200, depth=8, heads=1, causal=True),
    "causal, few rows": Case(6, 50, causal=True),
    "causal, mask": Case(50, 50, causal=True, mask="float"),
    "softcap": Case(40, 60, cap=2.5),
    "softcap, mask": Case(40, 60, cap=2.5, mask="float"),
    "groups": Case(30, 60, group=3),
    "groups, one query": Case(1, 500, group=4),
    "groups, causal": Case(70, 70, group=2, causal=True),
    "one head": Case(1, 4100, depth=64, heads=1),
    "one head, few rows": Case(3, 1300, depth=20, columns=9, heads=1, mask="float"),
    "one head, group": Case(2, 1100, heads=1, group=6, mask="bool"),
    "one head, causal": Case(7, 1030, heads=1, causal=True),
    "one head, cap": Case(1, 1025, heads=1, cap=2.5, batch=2),
    "double": Case(40, 60, dtype=np.float64),
    "double, tiles": Case(10, 1500, dtype=np.float64, mask="bool"),
    "half": Case(40, 60, dtype=np.float16),
}


@pytest.mark.parametrize("cpu", UNITS)
def test_static(cpu):
    skip_unless_runs(cpu)
    check_all(CASES, dlc.compile(model_of(CASES.values()), cpu=cpu))


@pytest.mark.parametrize("dynamic", ["n", "bm", "bmn"])
def test_dynamic(dynamic):
    """One object for all sizes of the dimensions that it does not know."""
    alike = {}
    for name, case in CASES.items():
        if case.dtype == np.float32 and name != "causal, mask":
            alike.setdefault(case.model(dynamic), []).append((name, case))
    model = dlc.compile(model_of([cases[0][1] for cases in alike.values()], dynamic))
    for turn in range(max(map(len, alike.values()))):
        check_all(dict(cases[turn % len(cases)] for cases in alike.values()), model)


@pytest.mark.parametrize("rows", [1, 40])
@pytest.mark.parametrize("dynamic", [False, True])
def test_where(rows, dynamic):
    """Scores hidden by Where, as exporters write it: the condition is of i1."""
    keys, rng = 50, np.random.default_rng(4)
    q, k, v = (rng.standard_normal((2, 3, n, 24)).astype(np.float32) for n in (rows, keys, keys))
    allowed = rng.random((2, 1, rows, keys)) < 0.7
    allowed[..., 0] = True
    model = onnx.parser.parse_model("""<ir_version: 9, opset_import: ["" : 19]>
      agraph (float[2,3,M,24] q, float[2,3,N,24] k, float[2,3,N,24] v, bool[2,1,M,N] m)
      => (float[a,b,c,d] y) <float low = {-3.4028235e38}>
      { kt = Transpose <perm = [0, 1, 3, 2]> (k)
        s = MatMul (q, kt)
        h = Where (m, s, low)
        p = Softmax <axis = -1> (h)
        y = MatMul (p, v) }""".replace("M,", "m," if dynamic else f"{rows},")
        .replace("N", "n" if dynamic else str(keys)))  # fmt: skip
    y = dlc.compile(model.SerializeToString()).run([q, k, v, allowed])[0]
    scores = np.where(allowed, q.astype(np.float64) @ k.swapaxes(-1, -2), -np.inf)
    weights = np.exp(scores - scores.max(-1, keepdims=True))
    expected = weights / weights.sum(-1, keepdims=True) @ v
    assert np.abs(y - expected).max() < 3e-6 * np.abs(expected).max()


@pytest.mark.parametrize("empty", ["b", "m", "n"])
@pytest.mark.parametrize("dynamic", [False, True])
def test_empty(empty, dynamic):
    sizes = {"batch": 2, "rows": 12, "keys": 20}
    case = Case(**{**sizes, {"b": "batch", "m": "rows", "n": "keys"}[empty]: 0})
    source = Case(**sizes).model("bmn") if dynamic else case.model()
    case.check(dlc.compile(source).run(case.inputs)[0])


def test_threads_change_nothing():
    case = Case(200, 300, heads=3)
    model = dlc.compile(case.model(), threads=2)
    (once,), (twice,), (thrice,) = (model.run(case.inputs, threads=n) for n in (1, 2, 3))
    assert (once == twice).all() and (once == thrice).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
@pytest.mark.parametrize("dynamic", ["", "n", "bn"])
def test_parts_of_keys(dynamic, dtype):
    """One query of a few heads: threads share its keys, and what they make is
    put together in one order."""
    sizes = (0, 1, 15, 16, 17, 300, 4096, 5001) if dynamic else (5001,)
    case = Case(1, 5001, depth=32, columns=40, heads=2, group=2, mask="heads", dtype=dtype)
    model = dlc.compile(case.model(dynamic), threads=4)
    for keys in sizes:
        case = Case(1, keys, depth=32, columns=40, heads=2, group=2, mask="heads", dtype=dtype)
        once, *others = (model.run(case.inputs, threads=n)[0] for n in (1, 2, 3, 4))
        case.check(once, f"{keys} keys")
        assert all((once == other).all() for other in others)


@pytest.mark.parametrize("threads", [1, 2, 3, 4])
def test_parts_for_any_threads(threads):
    """Also with an object for fewer threads."""
    case = Case(1, 4097, heads=1, mask="float")
    (y,) = dlc.compile(case.model("n"), threads=threads).run(case.inputs)
    case.check(y)
    (other,) = dlc.compile(case.model("n")).run(case.inputs)
    assert (y == other).all()


@pytest.mark.parametrize("low", [LOW, NONE])
@pytest.mark.parametrize("first, end", [(0, 1), (2000, 2001), (700, 1900), (0, 3000), (9, 9)])
def test_parts_of_masked_keys(low, first, end):
    """A cache whose end, or beginning, a mask hides: parts without a key, or
    without one that counts, add nothing. A row of none is as in one part."""
    case = Case(2, 3000, heads=1, mask="float")
    i = np.arange(3000)
    hidden = (i < first) | (i >= end)
    case.extra = [np.where(hidden, low, case.extra[0]).astype(np.float32)]
    for dynamic in ("", "n"):
        (y,) = dlc.compile(case.model(dynamic)).run(case.inputs)
        if first < end:
            case.check(y)
        elif low == LOW:
            assert np.abs(y - case.v.mean(2, keepdims=True)).max() < 1e-6
        else:
            assert (y == 0).all()


@pytest.mark.parametrize("name, keys", [("one tile", 512), ("tiles", 4096)])
def test_no_scores_in_memory(name, keys):
    """Beside the scores of a tile a run needs nothing, and reads and writes the
    operands alone: one kernel."""
    case = Case(1024, keys, depth=64, heads=4)
    model = dlc.compile(case.model(), threads=1)
    scores = 4 * 1024 * keys * 4
    assert model.workspace_size < scores / 30
    assert model.workspace_size < 64 * min(keys, 1024) * 4 + 64 * 64 * 4 * 2 + 4096


def test_memory_passes(tmp_path):
    """The IR has one kernel, which reads q, k and v as they are and writes y."""
    (tmp_path / "m.onnx").write_bytes(Case(256, 256, depth=64).model())
    command = [objects.DLC, tmp_path / "m.onnx", "--to=buffer", "-o", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    main = text[text.index("func.func @main") :]
    main = main[: main.index("\n  }")]
    (call,) = [line for line in main.splitlines() if "call @kernel_" in line]
    # Beside them the scratch memory.
    assert call.count("memref<1x2x256x64xf32") == 4 and call.count("memref<") == 5
    assert "256x256" not in text


@pytest.mark.skipif(
    not all(map(shutil.which, objects.CROSS["aarch64"][:2])),
    reason=f"needs {' and '.join(objects.CROSS['aarch64'][:2])}",
)
@pytest.mark.parametrize(
    "name", ["odd", "tiles of keys", "few rows, tiles", "bool mask", "causal", "groups"]
)
def test_aarch64(tmp_path, name):
    case = CASES[name]
    onnx.save(onnx.load_from_string(case.model()), tmp_path / "m.onnx")
    made = objects.compile(tmp_path / "m.onnx", tmp_path, "aarch64")
    (y,) = objects.run_emulated(made, case.inputs, [np.dtype(case.dtype)])
    case.check(y.reshape(case.expected().shape))


@pytest.fixture(scope="module")
def masked():
    """Attention of 70 queries, or 3, and 300 keys, or 1,500, with a mask that the
    run has: added to the scores, or a choice."""
    models = {}

    def compile_once(rows, keys, is_choice):
        if (rows, keys, is_choice) not in models:
            hide = "Where (m, s, low)" if is_choice else "Add (s, m)"
            model = onnx.parser.parse_model(f"""<ir_version: 9, opset_import: ["" : 19]>
              agraph (float[1,4,{rows},16] q, float[1,2,{keys},16] k, float[1,2,{keys},16] v,
                      {"bool" if is_choice else "float"}[1,1,{rows},{keys}] m)
              => (float[a,b,c,d] y) <float low = {{-3.4028235e38}}, int64[1] two = {{2}},
                 int64[5] all = {{1, 2, 2, {keys}, 16}}, int64[4] heads = {{1, 4, {keys}, 16}}>
              {{ ku = Unsqueeze (k, two)
                ke = Expand (ku, all)
                kr = Reshape (ke, heads)
                vu = Unsqueeze (v, two)
                ve = Expand (vu, all)
                vr = Reshape (ve, heads)
                kt = Transpose <perm = [0, 1, 3, 2]> (kr)
                s = MatMul (q, kt)
                h = {hide}
                p = Softmax <axis = -1> (h)
                y = MatMul (p, vr) }}""")
            models[rows, keys, is_choice] = dlc.compile(model.SerializeToString())
        return models[rows, keys, is_choice]

    return compile_once


@pytest.mark.parametrize("rows, keys", [(70, 300), (70, 1500), (3, 1500)])
@pytest.mark.parametrize("low", [LOW, NONE, "choice"])
def test_keys_hidden_at_run_time(masked, rows, keys, low):
    """Keys that a mask hides from all of a tile are not computed, and what is
    left has its own softmax: also where a row has no key, and each of its weights
    is the same, or none is a number."""
    is_choice, number = low == "choice", LOW if low == "choice" else low
    i, j = np.arange(rows)[:, None], np.arange(keys)[None]
    forms = {
        "none": j >= 0,
        "causal": j <= i + keys - rows,
        "few": j <= i,
        "padded": j < keys // 3,
        "padded in front": j > keys // 3,
        "padded on both sides": (j > keys // 3) & (j < keys // 2),
        "window": (j <= i + keys - rows) & (j > i + keys - rows - 40),
        "window of one": j == i + keys - rows,
        "window, rows of none": (j > i) & (j < i + 9) & (i % 5 != 0),
        "first rows of none": (j >= keys // 2) & (i >= rows // 2),
        "last": j == keys - 1,
        "one": j == keys // 2,
        "a row of none": (j < 20) & (i != 1),
        "nothing": j < 0,
    }
    rng = np.random.default_rng(7)
    q, k, v = (rng.standard_normal(shape).astype(np.float32)
               for shape in [(1, 4, rows, 16), (1, 2, keys, 16), (1, 2, keys, 16)])  # fmt: skip
    for name, sees in forms.items():
        sees = np.broadcast_to(sees, (1, 1, rows, keys))
        mask = sees if is_choice else np.where(sees, 0, number).astype(np.float32)
        y = masked(rows, keys, is_choice).run([q, k, v, np.ascontiguousarray(mask)])[0]
        kr, vr = (np.repeat(x, 2, 1).astype(np.float64) for x in (k, v))
        scores = q.astype(np.float64) @ kr.swapaxes(-1, -2)
        scores = np.where(sees, scores, float(number))
        with np.errstate(invalid="ignore"):
            weights = np.exp(scores - scores.max(-1, keepdims=True))
        expected = weights / weights.sum(-1, keepdims=True) @ vr
        assert (np.isnan(y) == np.isnan(expected)).all(), name
        error = np.nan_to_num(np.abs(y - expected)).max()
        assert error <= 3e-6 * np.nan_to_num(np.abs(expected)).max(), name


def test_groups_are_not_repeated(tmp_path):
    """Keys and values of a group are read where they lie, whoever repeats them."""
    (tmp_path / "m.onnx").write_bytes(Case(30, 60, group=3).model())
    command = [objects.DLC, tmp_path / "m.onnx", "--to=tensor", "-o", "-"]
    text = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert "dlc.attention" in text and "x3x60x16" not in text and "6x60x16" not in text


@pytest.mark.parametrize("cpu, keys", [("skylake", 256), ("znver3", 512), ("znver5", 1024)])
def test_tile_of_cache(tmp_path, cpu, keys):
    (tmp_path / "m.onnx").write_bytes(Case(64, 1024).model())
    command = [objects.DLC, tmp_path / "m.onnx", "-target=x86_64", f"-mcpu={cpu}",
               "--remarks=contract", "-o", tmp_path / "m.o"]  # fmt: skip
    made = subprocess.run(command, check=True, capture_output=True, text=True)
    assert f"64 queries by {keys} keys" in made.stderr
