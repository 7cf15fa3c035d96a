"""Tensors without elements whose other dimension is so long that a loop over
it would not end: a run asks first whether there is anything to do."""

import dlc
import numpy as np
import pytest
from onnx import parser

LONG = 2**46

# A node, its inputs, its outputs, and the shapes of the latter.
CASES = {
    "Relu": ("y = Relu(x)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "Add": ("y = Add(x, x)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "Transpose": ("y = Transpose(x)", "float[a,b] x", "float[c,d] y", [(0, LONG)]),
    "ReduceSum": ("y = ReduceSum <keepdims = 0> (x)", "float[a,b] x", "float y", [()]),
    "ArgMax": ("y = ArgMax (x)", "float[a,b] x", "int64[c,d] y", [(1, 0)]),
    "CumSum": ("k = Constant <value_int = 0> () y = CumSum(x, k)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "MatMul": ("w = Transpose(x) v = MatMul(w, x) y = MatMul(x, v)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "Cast": ("y = Cast <to = 8> (x)", "float[a,b] x", "string[c,d] y", [(LONG, 0)]),
    "Equal": ("y = Equal(x, x)", "string[a,b] x", "bool[c,d] y", [(LONG, 0)]),
    "NonZero": ("y = NonZero(x)", "float[a,b] x", "int64[2,c] y", [(2, 0)]),
    "Unique": ("y = Unique(x)", "float[a,b] x", "float[c] y", [(0,)]),
    "TopK": ("k = Constant <value_ints = [0]> () y, i = TopK(x, k)", "float[a,b] x", "float[c,d] y, int64[e,f] i", [(LONG, 0)] * 2),
    "Gather": ("i = Shape <start = 2> (x) y = Gather <axis = 1> (x, i)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "ScatterElements": ("i = Cast <to = 7> (x) y = ScatterElements(x, i, x)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "Concat": ("y = Concat <axis = 1> (x, x)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
    "Split": ("y, z = Split <num_outputs = 2> (x)", "float[a,b] x", "float[c,d] y, float[e,f] z", [(LONG // 2, 0)] * 2),
    "Pad": ("p = Constant <value_ints = [1, 0, 0, 0]> () y = Pad(x, p)", "float[a,b] x", "float[c,d] y", [(LONG + 1, 0)]),
    "MaxPool": ("i = Constant <value_ints = [2]> () w = Unsqueeze(x, i) y = MaxPool <kernel_shape = [1]> (w)", "float[a,b] x", "float[c,d,e] y", [(LONG, 0, 1)]),
    "ConcatFromSequence": ("s = SequenceConstruct(x, x) y = ConcatFromSequence <axis = 1> (s)", "float[a,b] x", "float[c,d] y", [(LONG, 0)]),
}  # fmt: skip


@pytest.mark.parametrize("threads", [1, 4])
@pytest.mark.parametrize("name", CASES)
def test_run(name, threads):
    body, inputs, outputs, shapes = CASES[name]
    text = f'<ir_version: 10, opset_import: ["": 21]> g ({inputs}) => ({outputs}) {{ {body} }}'
    model = dlc.compile(parser.parse_model(text), opt_level=1)
    given = np.empty((LONG, 0), model.inputs[0].dtype)
    assert [y.shape for y in model.run([given], threads=threads)] == shapes
