"""Compositions in 16-bit floats: computed in f32 inside and rounded once, so
that no step overflows, vanishes or rounds on its own."""

import dlc
import ml_dtypes
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper

TYPES = {"float16": (np.float16, TensorProto.FLOAT16), "bfloat16": (ml_dtypes.bfloat16, TensorProto.BFLOAT16)}

large = np.full((1, 2, 8, 8), 2000)
small = np.full((1, 2, 8, 8), 0.001)
mixed = np.linspace(-3, 3, 128).reshape(1, 2, 8, 8)
tails = np.float32([-8.4, -8, -7.6, -5, -3.7, -1, 0, 1, 3, 8, 300])
channels = np.float32([0.5, 3])

# Operator, inputs, attributes.
CASES = {
    "GlobalAveragePool": ([large], {}),
    "GlobalLpPool": ([large], {"p": 2}),
    "LpPool": ([large], {"kernel_shape": [4, 4], "p": 2}),
    "AveragePool": ([large], {"kernel_shape": [8, 8]}),
    "ReduceMean": ([large], {}),
    "ReduceL1": ([mixed], {}),
    "ReduceL2": ([large], {}),
    "ReduceSumSquare": ([small], {}),
    "ReduceLogSum": ([large], {}),
    "ReduceLogSumExp": ([mixed], {}),
    "LpNormalization": ([large], {"axis": 1}),
    "LRN": ([large], {"size": 3}),
    "BatchNormalization": ([large, channels, channels, channels * 100, channels * 0.1], {}),
    "InstanceNormalization": ([mixed * 9000, channels, channels], {}),
    "LayerNormalization": ([mixed * 9000, np.linspace(-1, 1, 8)], {}),
    "MeanVarianceNormalization": ([mixed * 9000], {}),
    "Sum": ([tails * 200, tails * 200, -tails * 200], {}),
    "Mean": ([tails * 200, tails * 200], {}),
    "Pow": ([tails / 8, np.float32(3)], {}),
    "Gemm": ([np.full((2, 64), 60), np.full((64, 3), 60), np.full((3,), -1.5)], {"alpha": 1e-3}),
    "Conv": ([large, np.full((3, 2, 5, 5), 1), np.full((3,), -60000)], {}),
    "Einsum": ([np.full((4, 64), 60), np.full((64, 4), 60), np.full((4,), 1e-3)], {"equation": "ij,jk,k->ik"}),
    **{op: ([tails], {}) for op in ("Softplus", "Mish", "Gelu", "Elu", "Selu", "Celu", "HardSwish",
                                    "HardSigmoid", "Softsign", "LeakyRelu", "ThresholdedRelu", "Shrink")},
}


def model(type, dynamic, opset, cases):
    """All cases in one graph, the first inputs of dynamic shape if asked."""
    nodes, infos, outputs = [], [], []
    for op, (inputs, attributes) in cases.items():
        names = [f"{op}_{i}" for i in range(len(inputs))]
        nodes.append(helper.make_node(op, names, [op], **attributes))
        outputs.append(helper.make_tensor_value_info(op, type, None))
        for i, (name, x) in enumerate(zip(names, map(np.asarray, inputs))):
            shape = [f"{name}_{k}" for k in range(x.ndim)] if dynamic and i == 0 else x.shape
            infos.append(helper.make_tensor_value_info(name, type, shape))
    graph = helper.make_graph(nodes, "g", infos, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=10)


@pytest.mark.parametrize("type", TYPES)
def test_rounds_once(type):
    dtype, kind = TYPES[type]
    # ONNX has no Shrink of bfloat16.
    cases = {op: case for op, case in CASES.items() if type == "float16" or op != "Shrink"}
    feeds = {f"{op}_{i}": np.asarray(x).astype(dtype)
             for op, (inputs, _) in cases.items() for i, x in enumerate(inputs)}
    session = ort.InferenceSession(model(TensorProto.FLOAT, False, 21, cases).SerializeToString(),
                                   providers=["CPUExecutionProvider"])
    results = session.run(None, {name: x.astype(np.float32) for name, x in feeds.items()})
    exact = dict(zip(cases, results))
    for dynamic in (False, True):
        found = dlc.compile(model(kind, dynamic, 22, cases)).run(feeds)
        for op in cases:
            want = exact[op].astype(dtype)
            assert found[op].dtype == dtype
            assert np.isfinite(want).all() and np.any(want != 0), op
            # A unit in the last place, for what f32 itself is off.
            np.testing.assert_allclose(found[op].astype(np.float32), want.astype(np.float32),
                                       rtol=float(ml_dtypes.finfo(dtype).eps), atol=1e-7, err_msg=op)
