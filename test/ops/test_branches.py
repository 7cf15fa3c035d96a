"""An If whose branches differ in rank, as exporters write squeezes: what
follows is compiled for each."""

import subprocess

import dlc
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import parser

HEADER = '<ir_version: 9, opset_import: ["" : 20]>\n'
# Squeezes x where its last dimension is 1.
SQUEEZE = """
  last = Constant<value_ints = [-1]>()
  one = Constant<value_ints = [1]>()
  shape = Shape(x)
  size = Gather(shape, last)
  is_one = Equal(size, one)
  s = If(is_one)<
    then_branch = g () => (float[?, ?] t) { t = Squeeze(x, last) },
    else_branch = h () => (float[?, ?, ?] e) { e = Identity(x) }
  >
"""


def parse(text: str) -> onnx.ModelProto:
    return parser.parse_model(HEADER + text)


def check(model: onnx.ModelProto, *inputs: np.ndarray) -> None:
    compiled = dlc.compile(model)
    session = ort.InferenceSession(model.SerializeToString())
    for x in inputs:
        expected = session.run(None, {"x": x})
        for found, value in zip(compiled.run([x]), expected, strict=True):
            np.testing.assert_allclose(found, value, rtol=1e-5)


def random(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


def test_both_ranks():
    model = parse(f"""g (float[a, b, c] x) => (float[d] y, float z) {{ {SQUEEZE}
      flat = Flatten<axis = 1>(s)
      y = ReduceSum<keepdims = 0>(flat, last)
      z = ReduceMax<keepdims = 0>(s)
    }}""")
    check(model, random(3, 2, 1), random(3, 2, 5), random(1, 1, 1))


def test_two_in_a_row():
    model = parse(f"""g (float[a, b, c] x) => (float y) {{ {SQUEEZE}
      size2 = Gather(shape, one)
      is_two = Equal(size2, one)
      u = If(is_two)<
        then_branch = g2 () => (float[?] t2) {{ t2 = Reshape(s, last) }},
        else_branch = h2 () => (float[?, ?, ?] e2) {{ e2 = Sin(s) }}
      >
      v = Cos(u)
      y = ReduceSum<keepdims = 0>(v)
    }}""")
    check(model, random(3, 2, 1), random(3, 1, 5), random(3, 1, 1), random(2, 2, 2))


def test_in_a_loop():
    model = parse(f"""g (float[a, b, c] x) => (float y, float[n] ys) {{
      three = Constant<value_int = 3>()
      zero = Constant<value_float = 0.0>()
      y, ys = Loop(three, , zero)<body = body (int64 i, bool go, float before) => (bool goes, float after, float out) {{
        {SQUEEZE}
        sum = ReduceSum<keepdims = 0>(s)
        after = Add(before, sum)
        out = Identity(after)
        goes = Identity(go)
      }}>
    }}""")
    check(model, random(3, 2, 1), random(3, 2, 5))


def test_a_branch_that_cannot_go_on_fails_in_the_run():
    """ONNX Runtime fails there too, and only there."""
    model = parse(f"""g (float[a, b, c] x) => (float[d, e] y) {{ {SQUEEZE}
      y = Gemm<transB = 1>(s, s)
    }}""")
    check(model, random(3, 2, 1))
    compiled = dlc.compile(model)
    with pytest.raises(dlc.RunError, match="expected the condition of its then_branch: in the other, .*"
                       "node .y.: expected matrices") as info:
        compiled.run([random(3, 2, 5)])
    assert info.value.status == 3
    # The next run is none the worse for it.
    x = random(2, 4, 1)
    np.testing.assert_allclose(compiled.run([x])[0], x[:, :, 0] @ x[:, :, 0].T, rtol=1e-5)


def test_what_is_not_supported_fails_the_compilation():
    model = parse(f"""g (float[a, b, c] x) => (float[d, e] y) {{ {SQUEEZE}
      y = NotThere(s)
    }}""")
    with pytest.raises(dlc.CompileError, match="(?s)behind its then_branch.*NotThere.* is not supported"):
        dlc.compile(model)


def test_no_branch_can_go_on():
    model = parse(f"""g (float[a, b, c] x) => (float[d, e] y) {{ {SQUEEZE}
      rows = Constant<value_ints = [7, 0]>()
      y = Transpose<perm = [3, 2, 1, 0]>(s)
    }}""")
    with pytest.raises(dlc.CompileError, match="(?s)behind its then_branch, .*behind its else_branch, "):
        dlc.compile(model)


def test_results_of_other_ranks():
    model = parse(f"""g (float[a, b, c] x) => (y) {{ {SQUEEZE}
      y = Exp(s)
    }}""")
    with pytest.raises(dlc.CompileError, match="expected branches whose results have one rank and type, "
                       "found 'tensor<.x.xf32>' and 'tensor<.x.x.xf32>'"):
        dlc.compile(model)


@pytest.mark.parametrize("condition", [
    "Not(equal)", "And(equal, less)", "Or(no, less)", "Xor(less, no)", "Not(greater)",
    "LessOrEqual(two, rank)", "GreaterOrEqual(rank, two)", "Not(Less(rank, two))",
])
def test_conditions_on_ranks_are_known(condition, tmp_path):
    """The branch that is not taken is no part of the program."""
    negate = condition == "Not(equal)"
    if condition.startswith("Not(Less"):
        condition = "Not(below)"
    taken, other = "y2 = Transpose<perm = [1, 0]>(x)", "y2 = Flatten(x)"
    if negate:
        taken, other = other, taken
    model = parse(f"""g (float[a, b] x) => (float[b, a] y) {{
      two = Constant<value_int = 2>()
      shape = Shape(x)
      rank = Size(shape)
      three = Constant<value_int = 3>()
      equal = Equal(rank, two)
      no = Equal(rank, three)
      less = Less(rank, three)
      below = Less(rank, two)
      greater = Greater(rank, two)
      condition = {condition}
      y = If(condition)<
        then_branch = g2 () => (float[?, ?] y2) {{ {taken} }},
        else_branch = h2 () => (float[?, ?] y2) {{ {other} }}
      >
    }}""")
    x = random(3, 2)
    np.testing.assert_array_equal(dlc.compile(model).run([x])[0], x.T)
    onnx.save(model, tmp_path / "model.onnx")
    done = subprocess.run(["dlc", tmp_path / "model.onnx", "--to=import", "-o", "-"], stdout=subprocess.PIPE,
                          text=True, check=True)
    assert "dlc.transpose" in done.stdout and "scf.if" not in done.stdout


def test_ranks_that_differ_leave_a_known_branch():
    """What follows the outer node is imported for each of the inner one's branches."""
    model = onnx.parser.parse_model("""
        <ir_version: 8, opset_import: ["" : 17]>
        main (float[n] x, bool c) => (float[m] y, int64[k] s) {
          known = Constant <value = bool {1}> ()
          a = If (known) <
            then_branch = g1 () => (float[] outer) {
              inner = If (c) <
                then_branch = g2 () => (float[] scalar) { scalar = Constant <value_float = 2.0> () },
                else_branch = g3 () => (float[] row) { row = Constant <value_floats = [3.0]> () }>
              outer = Neg (inner)
            },
            else_branch = g4 () => (float[] other) { other = Constant <value_float = 5.0> () }>
          y = Mul (x, a)
          s = Shape (a)
        }""")
    compiled = dlc.compile(model, opt_level=1)
    x = np.array([1, 2, 3], np.float32)
    for condition, factor, shape in ((True, -2, []), (False, -3, [1])):
        y, s = compiled.run([x, np.array(condition)])
        np.testing.assert_array_equal(y, x * factor)
        assert s.tolist() == shape


def check_wrong_branch(node, result, message, x, wanted):
    """`node` takes what one branch gives, and not what the other does: the
    compiler says so in the run, and lives."""
    model = onnx.parser.parse_model(f"""
        <ir_version: 8, opset_import: ["" : 18]>
        main (float[n,k] x, bool c) => ({result} y) {{
          shape = Constant <value_ints = [-1]> ()
          a = If (c) <
            then_branch = g1 () => (float[] kept) {{ kept = Identity (x) }},
            else_branch = g2 () => (float[] flat) {{ flat = Reshape (x, shape) }}>
          {node}
        }}""")
    model.graph.node[-1].name = "taker"
    compiled = dlc.compile(model, opt_level=1)
    (y,) = compiled.run([x, np.array(True)])
    np.testing.assert_allclose(y, wanted, rtol=1e-6)
    with pytest.raises(dlc.RunError) as caught:
        compiled.run([x, np.array(False)])
    assert "node 'taker'" in str(caught.value) and message in str(caught.value)


@pytest.mark.parametrize(
    "node, result, message, wanted",
    [
        ("y = Concat <axis = 0> (a, x)", "float[m,k]", "expected operands of one rank and type",
         lambda x: np.concatenate([x, x])),
        ("y = Concat <axis = 1> (a, a)", "float[n,m]", "expected an axis in [-1, 1), found 1",
         lambda x: np.concatenate([x, x], 1)),
        ("y = Transpose <perm = [1, 0]> (a)", "float[k,n]", "expected a permutation of 1 dimensions", np.transpose),
        ("y = Softmax <axis = 1> (a)", "float[n,k]", "expected an axis in [-1, 1), found 1",
         lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
        ("y = ArgMax <axis = 1, keepdims = 0> (a)", "int64[n]", "expected an axis in [-1, 1), found 1",
         lambda x: x.argmax(1)),
        ("y = Gemm (a, x)", "float[n,k]", "expected matrices, found ranks 1 and 2",
         lambda x: x @ x),
        ("d = Shape <start = 1> (a) zero = Constant <value_ints = [0]> () one = Constant <value_ints = [1]> () "
         "y = Range (zero, d, one)", "int64[k]", "expected a scalar, or a tensor of one element",
         lambda x: np.arange(x.shape[1])),
        ("y = Trilu (a)", "float[n,k]", "rank 2", np.triu),
    ],
)  # fmt: skip
def test_branches_that_nodes_cannot_take(node, result, message, wanted):
    x = np.arange(9, dtype=np.float32).reshape(3, 3) / 4
    check_wrong_branch(node, result, message, x, wanted(x))
