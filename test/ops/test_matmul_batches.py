"""Batch dimensions of matrices that broadcast in the run only."""

import dlc
import numpy as np
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

FLOAT = TensorProto.FLOAT


def ints(*values):
    return np.array(values, np.int64)


def floats(*shape):
    return np.arange(np.prod(shape), dtype=np.float32).reshape(shape)


BATCHES = [
    ((2,), (1,)),
    ((1,), (2,)),
    ((2,), (2,)),
    ((1,), (1,)),
    ((0,), (1,)),
    ((3,), (2, 1)),
    ((2, 1), (1, 3)),
    ((1, 3), (2, 3)),
    ((), (2, 3)),
]


def matmul_model(dtype, left, right, transposed, fixed):
    code = helper.np_dtype_to_tensor_dtype(np.dtype(dtype))

    def value(name, batch, matrix):
        dims = [f"{name}{i}" if size != fixed else size for i, size in enumerate(batch)]
        return helper.make_tensor_value_info(name, code, [*dims, *matrix])

    rank, rhs, nodes = len(right) + 2, "z", []
    if transposed:
        order = [*range(rank - 2), rank - 1, rank - 2]
        nodes, rhs = [helper.make_node("Transpose", ["z"], ["t"], perm=order)], "t"
    op = "MatMulInteger" if dtype == "uint8" else "MatMul"
    nodes.append(helper.make_node(op, ["x", rhs], ["y"], name="culprit"))
    inputs = [value("x", left, (5, 3)), value("z", right, (4, 3) if transposed else (3, 4))]
    kind = TensorProto.INT32 if dtype == "uint8" else code
    outputs = [helper.make_tensor_value_info("y", kind, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=9)


@pytest.mark.parametrize(
    "dtype, transposed, fixed",
    [
        ("float32", False, None),
        ("float32", True, None),
        ("float32", False, 2),
        ("float64", False, None),
        ("int32", False, None),
        ("uint8", False, None),
    ],
)
def test_matmul_broadcasts_in_the_run(dtype, transposed, fixed):
    random = np.random.default_rng(0)
    compiled = {}
    for left, right in BATCHES if dtype == "float32" else BATCHES[:4]:
        model = matmul_model(dtype, left, right, transposed, fixed)
        x = random.integers(0, 9, (*left, 5, 3)).astype(dtype)
        z = random.integers(0, 9, (*right, *((4, 3) if transposed else (3, 4)))).astype(dtype)
        key = model.SerializeToString()
        if key not in compiled:
            compiled[key] = dlc.compile(model, opt_level=0)
        wide = np.int32 if dtype == "uint8" else dtype
        columns = np.swapaxes(z, -1, -2) if transposed else z
        want = np.matmul(x.astype(wide), columns.astype(wide))
        got = compiled[key].run({"x": x, "z": z})["y"]
        assert got.shape == want.shape
        np.testing.assert_array_equal(got, want, err_msg=f"{left} {right}")


def test_matmul_whose_batches_do_not_broadcast():
    model = dlc.compile(matmul_model("float32", (2,), (3,), False, None), opt_level=0)
    with pytest.raises(dlc.DlcError, match="culprit.*batch dimensions that broadcast"):
        model.run({"x": floats(2, 5, 3), "z": floats(3, 3, 4)})


def test_matmul_of_parts_that_broadcast():
    """An operand that is part of another value, and a result that is used on."""
    nodes = [
        helper.make_node("Slice", ["x", "one", "four", "two"], ["part"]),
        helper.make_node("MatMul", ["part", "z"], ["m"]),
        helper.make_node("Add", ["m", "z"], ["y"]),
    ]
    weights = [
        numpy_helper.from_array(ints(value), name)
        for name, value in (("one", 1), ("four", 4), ("two", 2))
    ]
    inputs = [
        helper.make_tensor_value_info("x", FLOAT, ["a", 3, 5]),
        helper.make_tensor_value_info("z", FLOAT, ["b", 3, 3]),
    ]
    outputs = [helper.make_tensor_value_info("y", FLOAT, None)]
    graph = helper.make_graph(nodes, "g", inputs, outputs, weights)
    opsets = [helper.make_opsetid("", 20)]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9)
    compiled = dlc.compile(model, opt_level=0)
    session = ort.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    for a, b in ((1, 3), (3, 1), (2, 2)):
        feeds = {"x": floats(a, 3, 5), "z": floats(b, 3, 3)}
        np.testing.assert_array_equal(
            compiled.run(feeds)["y"], session.run(None, feeds)[0], err_msg=f"{a} {b}"
        )
