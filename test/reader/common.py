"""What the tests of the reader share: small models, and runs of dlc on them."""

import os
import pathlib
import subprocess

import numpy
import onnx
from onnx import TensorProto, helper, numpy_helper

ROOT = pathlib.Path(__file__).resolve().parents[2]
DLC = os.environ.get("DLC", str(ROOT / "build" / "bin" / "dlc"))


def run(path, *flags):
    """Runs dlc on a file; standard output, standard error and the status."""
    result = subprocess.run([DLC, str(path), *flags], capture_output=True,
                            timeout=120)
    return (result.stdout.decode(errors="replace"),
            result.stderr.decode(errors="replace"), result.returncode)


def read(path, *flags):
    """The text of a model that must be read without an error."""
    out, err, status = run(path, *flags)
    assert status == 0 and "error:" not in err, err
    return out


def value(name, shape=(2, 3), kind=TensorProto.FLOAT):
    return helper.make_tensor_value_info(name, kind, shape)


def weights(name, shape=(3, 4), dtype=numpy.float32):
    count = int(numpy.prod(shape))
    return numpy_helper.from_array(
        numpy.arange(count).reshape(shape).astype(dtype), name)


def model(nodes, inputs, outputs, initializers=(), opset=18, functions=(),
          domains=(), ir_version=10, **graph):
    """A model without any check."""
    body = helper.make_graph(list(nodes), "test", list(inputs), list(outputs),
                             list(initializers), **graph)
    imports = [helper.make_opsetid("", opset)]
    imports += [helper.make_opsetid(domain, 1) for domain in domains]
    made = helper.make_model(body, opset_imports=imports,
                             functions=list(functions))
    made.ir_version = ir_version
    return made


def matmul(**changes):
    """y = x @ w, x being [2, 3] and w [3, 4]."""
    return model([helper.make_node("MatMul", ["x", "w"], ["y"], name="mm")],
                 [value("x")], [value("y", (2, 4))], [weights("w")], **changes)


def save(made, folder, name="model.onnx"):
    path = pathlib.Path(folder) / name
    onnx.save(made, str(path))
    return path
