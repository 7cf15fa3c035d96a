"""Sparse initializers and constants become dense ones when a model is read."""

import dlc
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

info = helper.make_tensor_value_info
TYPES = ["FLOAT", "DOUBLE", "FLOAT16", "BFLOAT16", "INT8", "UINT8", "INT16", "UINT16", "INT32", "UINT32",
         "INT64", "UINT64", "BOOL", "INT4", "UINT4", "FLOAT8E4M3FN", "FLOAT8E5M2"]


def sparse(dense, name, kind=None, flat=True):
    """The sparse form of an array, with indices of one form or the other."""
    places = np.flatnonzero(dense)
    values = helper.make_tensor(name, kind or helper.np_dtype_to_tensor_dtype(dense.dtype),
                                [len(places)], dense.ravel()[places].tolist())
    indices = places if flat else np.stack(np.unravel_index(places, dense.shape), 1)
    return helper.make_sparse_tensor(values, numpy_helper.from_array(indices.astype(np.int64), "i"), dense.shape)


def model(nodes, outputs, inputs=(), initializers=()):
    graph = helper.make_graph(nodes, "g", list(inputs), outputs, sparse_initializer=list(initializers))
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)


def run(*args, feeds=None, **more):
    return dlc.compile(model(*args, **more)).run(feeds or {})


@pytest.mark.parametrize("flat", [True, False])
def test_types(flat):
    dense = np.zeros((3, 5), "f")
    dense[0, 1], dense[1, 4], dense[2, 0] = 1, 3, 2
    initializers = [sparse(dense.astype(bool) if t == "BOOL" else dense, t, getattr(TensorProto, t), flat)
                    for t in TYPES]
    nodes = [helper.make_node("Cast", [t], ["y" + t], to=TensorProto.FLOAT) for t in TYPES]
    found = run(nodes, [info("y" + t, 1, [3, 5]) for t in TYPES], initializers=initializers)
    for t in TYPES:
        np.testing.assert_array_equal(found["y" + t], dense.astype(bool) if t == "BOOL" else dense, t)


@pytest.mark.parametrize("flat", [True, False])
def test_large_weights(flat, tmp_path):
    """So many that values and indices are no longer read with the message."""
    random = np.random.default_rng(0)
    w = (random.normal(size=(64, 96)) * (random.uniform(size=(64, 96)) < 0.2)).astype("f")
    x = random.normal(size=(4, 64)).astype("f")
    made = model([helper.make_node("MatMul", ["x", "w"], ["y"])], [info("y", 1, None)],
                 [info("x", 1, ["n", 64])], [sparse(w, "w", flat=flat)])
    onnx.save(made, tmp_path / "model.onnx")
    found = dlc.compile(str(tmp_path / "model.onnx")).run({"x": x})["y"]
    np.testing.assert_allclose(found, x @ w, rtol=1e-4, atol=1e-5)


def test_constants_and_subgraphs():
    w = np.float32([[0, 2], [3, 0]])

    def branch(name, **attributes):
        node = helper.make_node("Constant", [], [name], sparse_value=sparse(w * 2, "v"))
        return helper.make_graph([node] if name == "p" else [helper.make_node("Neg", ["w"], [name])], name, [],
                                 [info(name, 1, [2, 2])], **attributes)

    nodes = [helper.make_node("Constant", [], ["w"], sparse_value=sparse(w, "v", flat=False)),
             helper.make_node("If", ["c"], ["y"], then_branch=branch("p"), else_branch=branch("q"))]
    compiled = dlc.compile(model(nodes, [info("y", 1, [2, 2])], [info("c", 9, [])]))
    np.testing.assert_array_equal(compiled.run({"c": np.array(True)})["y"], w * 2)
    np.testing.assert_array_equal(compiled.run({"c": np.array(False)})["y"], -w)


def test_no_values():
    found = run([helper.make_node("Neg", ["w"], ["y"])], [info("y", 1, [2, 3])],
                initializers=[sparse(np.zeros((2, 3), "f"), "w")])
    np.testing.assert_array_equal(found["y"], np.zeros((2, 3)))


def tensor(values, indices, dims, kind=TensorProto.FLOAT):
    values = helper.make_tensor("w", kind, np.shape(values), np.ravel(values).tolist())
    return helper.make_sparse_tensor(values, numpy_helper.from_array(np.array(indices), "i"), dims)


@pytest.mark.parametrize("made, message", [
    (tensor([1, 2], np.int64([0, 6]), [2, 3]), "expected indices inside its shape, found one outside for value 1"),
    (tensor([1], np.int64([-1]), [2, 3]), "found one outside for value 0"),
    (tensor([1], np.int64([[1, 3]]), [2, 3]), "found one outside for value 0"),
    (tensor([1, 2], np.int64([4, 4]), [2, 3]), "expected indices in ascending order, found a smaller or equal one "
     "for value 1"),
    (tensor([1, 2], np.int64([[1, 0], [0, 2]]), [2, 3]), "expected indices in ascending order"),
    (tensor([1, 2], np.int64([0]), [2, 3]), r"expected indices of shape \[2\] or \[2, 2\], found \[1\]"),
    (tensor([1], np.int64([[0, 0, 0]]), [2, 3]), r"expected indices of shape \[1\] or \[1, 2\], found \[1, 3\]"),
    (tensor([1], np.int32([0]), [2, 3]), "expected indices of type int64"),
    (tensor([[1]], np.int64([0]), [2, 3]), "expected values of rank 1, found rank 2"),
    (tensor([1], np.int64([0]), []), "expected a rank of 1 or more"),
    (tensor([1], np.int64([0]), [2, -3]), "expected sizes of at least 0"),
    (tensor([1], np.int64([0]), [2**20, 2**20]), "expected a dense form of at most 4 GiB"),
    (tensor([1], np.int64([0]), [2, 3], TensorProto.FLOAT8E8M0), "expected a type that has a zero"),
])
@pytest.mark.parametrize("place", ["initializer", "constant"])
def test_errors(made, message, place):
    if place == "initializer":
        nodes, initializers = [helper.make_node("Identity", ["w"], ["y"])], [made]
    else:
        nodes, initializers = [helper.make_node("Constant", [], ["y"], name="w", sparse_value=made)], []
    kind = made.values.data_type
    with pytest.raises(dlc.DlcError, match="'w'.*sparse tensor .*" + message):
        dlc.compile(model(nodes, [info("y", kind, None)], initializers=initializers))
