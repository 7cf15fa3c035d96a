"""Gradient of the training domain, against differences of the function in
ONNX's reference evaluator."""

import math

import dlc
import numpy as np
import pytest
from onnx import TensorProto, helper, parser
from onnx.reference import ReferenceEvaluator
from onnx.reference.op_run import OpRun

DOMAIN = "ai.onnx.preview.training"
HEADER = f'<ir_version: 10, opset_import: ["": 21, "{DOMAIN}": 1]>'


def declare(name, shape):
    return f"double[{','.join(map(str, shape))}] {name}" if len(shape) else f"double {name}"


def make(body, inputs, xs, y="y", given=None, dynamic=False, more=""):
    """The outputs are y and the derivatives for `xs` at `given`, which are
    the values themselves where nothing else is said."""
    shown = [(name, [f"{name}{i}" for i in range(np.ndim(value))] if dynamic else np.shape(value))
             for name, value in inputs.items()]  # fmt: skip
    names = ", ".join(f'"{x}"' for x in xs)
    outputs = [f"d{x}" for x in xs]
    zs = [name for name, value in inputs.items() if name not in xs and name not in (given or [])]
    text = ", ".join(f'"{z}"' for z in zs)
    zs_text = f", zs = [{text}]" if zs else ""
    arguments = ", ".join((given or list(xs)) + zs)
    return parser.parse_model(
        f"{HEADER} g ({', '.join(declare(*s) for s in shown)}) => ({y}, {', '.join(outputs)}) {{ {body} "
        f"{', '.join(outputs)} = {DOMAIN}.Gradient <xs = [{names}]{zs_text}, y = \"{y}\"> ({arguments}) {more} }}"
    )


class Erf(OpRun):
    """The evaluator's computes in float32."""

    op_domain = ""

    def _run(self, x):
        return (np.vectorize(math.erf)(x),)


def forward(body, inputs, y="y"):
    text = ", ".join(declare(name, np.shape(value)) for name, value in inputs.items())
    model = parser.parse_model(f"{HEADER} g ({text}) => ({y}) {{ {body} }}")
    evaluator = ReferenceEvaluator(model, new_ops=[Erf])
    return lambda values: evaluator.run(None, values)[0]


def differences(function, inputs, x, step=1e-5):
    """Of the sum of the results, in the middle."""
    result = np.zeros(np.shape(inputs[x]))
    for at in np.ndindex(result.shape):
        ends = []
        for sign in (1, -1):
            moved = np.array(inputs[x])
            moved[at] += sign * step
            ends.append(function(inputs | {x: moved}).sum())
        result[at] = (ends[0] - ends[1]) / (2 * step)
    return result


def array(*shape, seed=0):
    """Away from 0, where some functions have corners."""
    random = np.random.default_rng([seed, *shape])
    return random.uniform(0.2, 1.5, shape)


A, B, V = array(2, 3), array(2, 3, seed=1), array(3, seed=2)
UNARY = """Abs Cos Erf Exp Identity LeakyRelu Log LogSoftmax Neg Reciprocal Relu Sigmoid Sin Softmax Softplus Sqrt
    Tanh Transpose Flatten""".split()
CASES = {op: (f"z = {op}(a) y = Mul(z, z)", {"a": A - (0.8 if op in ("Abs", "Relu", "LeakyRelu") else 0)}, ["a"])
         for op in UNARY}  # fmt: skip
for op in ("Add", "Sub", "Mul", "Div", "Pow"):
    CASES[op] = (f"y = {op}(a, b)", {"a": A, "b": B}, ["a", "b"])
    CASES[op + " of a row"] = (f"y = {op}(a, b)", {"a": A, "b": V}, ["a", "b"])
    CASES[op + " of a column"] = (f"y = {op}(b, a)", {"a": A, "b": array(4, 2, 1)}, ["b", "a"])
    CASES[op + " of a scalar"] = (f"y = {op}(a, b)", {"a": A, "b": np.array(0.7)}, ["a", "b"])
CASES |= {
    "MatMul": ("z = MatMul(a, b) y = Mul(z, z)", {"a": array(2, 3), "b": array(3, 4)}, ["a", "b"]),
    "MatMul of batches": ("z = MatMul(a, b) y = Mul(z, z)", {"a": array(2, 1, 2, 3), "b": array(5, 3, 2)}, ["a", "b"]),
    "MatMul of a vector": ("z = MatMul(a, b) y = Mul(z, z)", {"a": array(3), "b": array(2, 3, 2)}, ["a", "b"]),
    "MatMul by a vector": ("z = MatMul(a, b) y = Mul(z, z)", {"a": array(4, 2, 3), "b": array(3)}, ["a", "b"]),
    "MatMul of vectors": ("z = MatMul(a, b) y = Mul(z, z)", {"a": array(3), "b": V}, ["a", "b"]),
    "Sum": ("z = Sum(a, b, b) y = Mul(z, z)", {"a": A, "b": V}, ["a", "b"]),
    "a used twice": ("z = Mul(a, b) w = Add(z, a) y = Mul(w, z)", {"a": A, "b": V}, ["a", "b"]),
    "without a way": ("z = Floor(a) y = Mul(z, b)", {"a": A, "b": B}, ["a", "b"]),
    "with a constant": ("y = Mul(a, b)", {"a": A, "b": B}, ["a"]),
    "Where": ("m = Constant <value_float = 0.8> () n = CastLike(m, a) c = Less(a, n) y = Where(c, a, b)", {"a": A, "b": V}, ["a", "b"]),
    "Expand": ("s = Constant <value_ints = [4, 2, 3]> () z = Expand(a, s) y = Mul(z, z)", {"a": array(2, 1)}, ["a"]),
    "Reshape": ("s = Constant <value_ints = [3, -1]> () z = Reshape(a, s) y = Mul(z, z)", {"a": A}, ["a"]),
    "Squeeze": ("s = Constant <value_ints = [0, 2]> () z = Squeeze(a, s) y = Mul(z, z)", {"a": array(1, 3, 1)}, ["a"]),
    "Unsqueeze": ("s = Constant <value_ints = [1]> () z = Unsqueeze(a, s) y = Mul(z, z)", {"a": A}, ["a"]),
    "Transpose by perm": ("z = Transpose <perm = [2, 0, 1]> (a) y = Mul(z, b)", {"a": array(2, 3, 4), "b": array(4, 2, 3)}, ["a", "b"]),
    "a small network": (
        "h = Gemm(x, w, b) r = Relu(h) s = Gemm <transB = 1> (r, v) p = LogSoftmax(s) m = Mul(p, t) n = ReduceSum <keepdims = 0> (m) y = Neg(n)",
        {"x": array(4, 3), "w": array(3, 5) - 0.8, "b": array(5), "v": array(2, 5), "t": array(4, 2)}, ["w", "b", "v"]),
}  # fmt: skip
for ta in (0, 1):
    for tb in (0, 1):
        inputs = {"a": array(*((3, 2) if ta else (2, 3))), "b": array(*((4, 3) if tb else (3, 4))), "c": array(1, 4)}
        CASES[f"Gemm {ta}{tb}"] = (
            f"z = Gemm <alpha = 0.5, beta = 2.0, transA = {ta}, transB = {tb}> (a, b, c) y = Mul(z, z)", inputs, ["a", "b", "c"],
        )  # fmt: skip
for op in ("ReduceSum", "ReduceMean"):
    for keep in (0, 1):
        CASES[f"{op} {keep}"] = (f"s = Constant <value_ints = [-2]> () z = {op} <keepdims = {keep}> (a, s) y = Mul(z, z)", {"a": array(2, 3, 4)}, ["a"])
        CASES[f"{op} of all {keep}"] = (f"z = {op} <keepdims = {keep}> (a) y = Mul(z, z)", {"a": A}, ["a"])


DYNAMIC = """Add of a column|Div of a row|Pow of a scalar|Softmax|MatMul of batches|MatMul of a vector|MatMul by a vector
Expand|Reshape|Squeeze|ReduceMean 0|ReduceSum of all 1|Gemm 01|a small network""".replace("\n", "|").split("|")


@pytest.mark.parametrize("name,dynamic", [(name, False) for name in CASES] + [(name, True) for name in DYNAMIC])
def test_derivative(name, dynamic):
    body, inputs, xs = CASES[name]
    function = forward(body, inputs)
    found = dlc.compile(make(body, inputs, xs, dynamic=dynamic), opt_level=1).run(inputs)
    np.testing.assert_allclose(found["y"], function(inputs), rtol=1e-10)
    for x in xs:
        np.testing.assert_allclose(found[f"d{x}"], differences(function, inputs, x), rtol=1e-6, atol=1e-8)


def test_other_values_than_the_names():
    """dY/dH where H is what is given, not what the graph makes of X."""
    body = "h = Exp(x) z = Mul(h, h) y = Mul(z, w)"
    inputs = {"x": A, "w": B, "other": array(2, 3, seed=5)}
    model = make(body, inputs, ["h", "w"], given=["other", "w"])
    found = dlc.compile(model).run(inputs)
    other, w = inputs["other"], inputs["w"]
    np.testing.assert_allclose(found["y"], np.exp(A) ** 2 * B)
    np.testing.assert_allclose(found["dh"], 2 * other * w)
    np.testing.assert_allclose(found["dw"], other**2)


def test_values_that_stand_elsewhere():
    """At a = b = w, where w is a factor, too."""
    model = make("z = Mul(a, w) y = Mul(z, b)", {"a": A, "b": B, "w": array(2, 3, seed=5)}, ["a", "b"], given=["w", "w"])
    found = dlc.compile(model).run({"a": A, "b": B, "w": A})
    np.testing.assert_allclose(found["da"], A**2)
    np.testing.assert_allclose(found["db"], A**2)


def test_many_nodes():
    body = " ".join(f"z{i + 1} = Sin(z{i})" for i in range(300))
    found = dlc.compile(make(f"z0 = Identity(a) {body} y = Identity(z300)", {"a": A}, ["a"]), opt_level=0).run({"a": A})
    slope, value = np.ones_like(A), A
    for _ in range(300):
        slope, value = slope * np.cos(value), np.sin(value)
    np.testing.assert_allclose(found["da"], slope)


def test_second_derivative():
    """The derivative of a derivative, as ONNX's page has it."""
    more = f'e = {DOMAIN}.Gradient <xs = ["a"], y = "da"> (a)'
    model = make("z = Mul(a, a) u = Mul(z, a) t = Tanh(a) y = Add(u, t)", {"a": A}, ["a"], more=more)
    model.graph.output.append(helper.make_tensor_value_info("e", TensorProto.DOUBLE, A.shape))
    found = dlc.compile(model).run({"a": A})
    t = np.tanh(A)
    np.testing.assert_allclose(found["da"], 3 * A**2 + 1 - t**2)
    np.testing.assert_allclose(found["e"], 6 * A - 2 * t * (1 - t**2))


def test_in_a_branch():
    then = f't () => (float[n] m) {{ m = {DOMAIN}.Gradient <xs = ["a"], y = "z"> (a) }}'
    otherwise = "e () => (float[n] o) { o = Identity(a) }"
    text = f"""{HEADER} g (float[n] a, bool c) => (float[n] y) {{
        z = Mul(a, a)
        y = If (c) <then_branch = {then}, else_branch = {otherwise}>
    }}"""
    compiled = dlc.compile(parser.parse_model(text))
    a = np.array([1, 2, 3], np.float32)
    np.testing.assert_array_equal(compiled.run({"a": a, "c": np.array(True)})["y"], 2 * a)
    np.testing.assert_array_equal(compiled.run({"a": a, "c": np.array(False)})["y"], a)


def test_what_is_refused():
    inputs = {"a": A, "b": B}
    with pytest.raises(dlc.CompileError, match=r"found node 'z' \(Mod\): dlc has no derivative of Mod"):
        dlc.compile(make("z = Mod <fmod = 1> (a, b) y = Mul(z, z)", inputs, ["a", "b"]))
    wrong = make("y = Mul(a, b)", inputs, ["a", "b"])
    wrong.graph.node[-1].input.pop()
    with pytest.raises(dlc.CompileError, match="expected an input for each of xs and zs"):
        dlc.compile(wrong)
    wrong = make("y = Mul(a, b)", inputs, ["a", "b"])
    wrong.graph.node[-1].attribute[-1].s = b"nope"
    with pytest.raises(dlc.CompileError, match="expected y to be a value that a node in front of it makes, found 'nope'"):
        dlc.compile(wrong)
