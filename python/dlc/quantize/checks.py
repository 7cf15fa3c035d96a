"""What can be wrong with a call of dlc quantize besides its model and options,
found before the work begins."""

from __future__ import annotations

import argparse
import os
import pathlib
import tempfile

import numpy as np
import onnx
from onnx import TensorProto, helper

import dlc
from dlc.quantize.files import Batches, reading
from dlc.quantize.graph import Graph
from dlc.quantize.quantizer import check_batch

# What the end of -o asks for, besides a model. Beside an object or a library
# stands its header.
OBJECTS = {".o": ("obj", "header"), ".so": ("shared", "header")}


def check_flags(flags: argparse.Namespace) -> None:
    """Those that need no model to be found wrong."""
    kind = flags.output.suffix
    compiling = (flags.target, flags.mcpu, flags.mattr, flags.threads, flags.name)
    if kind not in OBJECTS and any(x is not None for x in compiling):
        raise ValueError(f"expected an output .o or .so to compile to, found '{flags.output}'")
    if kind not in (".onnx", *OBJECTS):
        raise ValueError(f"expected an output .onnx, .o or .so, found '{flags.output}'")
    if flags.batches is not None and flags.batches < 1:
        raise ValueError(f"expected --batches of 1 or more, found {flags.batches}")
    budget = flags.min_sqnr is not None or flags.max_drop is not None
    if not budget and (flags.report or flags.svg or flags.labels or flags.validate):
        raise ValueError("expected --min-sqnr or --max-drop with --labels, --validate, --report or --svg")
    if (flags.max_drop is None) != (flags.labels is None):
        raise ValueError("expected --max-drop and --labels together")
    if budget and flags.weights_only:
        raise ValueError("expected quantized activations for a budget, found --weights-only")
    for path in filter(None, (flags.output, flags.report, flags.svg)):
        _check_writable(path, flags.model)


def _check_writable(path: pathlib.Path, model: pathlib.Path) -> None:
    folder = path.parent
    if not folder.is_dir():
        raise ValueError(f"expected a folder to write '{path}' to, found none at '{folder}'")
    if path.is_dir():
        raise ValueError(f"expected a file to write, found the folder '{path}'")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise ValueError(f"no permission to write '{path}'")
    if path.exists() and model.exists() and path.samefile(model):
        raise ValueError(f"'{path}' would replace the model")


def check_compiling(flags: argparse.Namespace) -> None:
    """Whether the flags compile and link a model of one node."""
    if flags.output.suffix not in OBJECTS:
        return
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1]) for name in "xy"]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "g", values[:1], values[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7)
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, flags.output.stem + ".onnx")
        onnx.save(model, path)
        compile_as_asked(path, path.with_suffix(flags.output.suffix), flags)


def compile_as_asked(model: pathlib.Path, output: pathlib.Path, flags: argparse.Namespace) -> None:
    dlc.compile_to_file(model, output, emit=OBJECTS[flags.output.suffix], target=flags.target,
                        cpu=flags.mcpu, features=flags.mattr, threads=flags.threads,
                        name=flags.name)  # fmt: skip


def open_files(path: pathlib.Path, graph: Graph, limit: int | None = None) -> Batches:
    """Types and shapes of all arrays are checked: only the begins of the files
    are read."""
    inputs = [i for i in graph.graph.input if i.name in graph.inputs]
    if not inputs:
        raise ValueError(f"expected a model with inputs for the data in '{path}', found none")
    dims = inputs[0].type.tensor_type.shape.dim
    batches = Batches(path, graph.inputs, dims[0].dim_value if dims else 1, limit)
    for where, headers in batches.headers():
        check_batch(graph, {name: (h.dtype, h.shape) for name, h in headers.items()}, where)
    return batches


def read_labels(path: pathlib.Path, batches: Batches, graph: Graph) -> np.ndarray:
    """One for each sample of the batches that are used."""
    if path.suffix == ".npy":
        with reading(path):
            labels = np.load(path, allow_pickle=False)
        if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
            raise ValueError(f"expected a list of integers in '{path}', found {labels.dtype} of rank {labels.ndim}")
    else:
        words = path.read_text().split()
        wrong = next((w for w in words if not w.lstrip("-").isdigit()), None)
        if wrong is not None:
            raise ValueError(f"expected an integer a line in '{path}', found '{wrong}'")
        labels = np.array([int(w) for w in words], np.int64)
    sizes = [_count_rows(headers) for _, headers in batches.headers()]
    used = sum(sizes) if batches.files else batches.batch * len(batches)
    # Of one file all samples may have a label, those that are not used too.
    if len(labels) != used and not batches.rows == len(labels):
        raise ValueError(f"expected a label for each of the {used} samples in '{batches.path}', found "
                         f"{len(labels)} labels in '{path}'")  # fmt: skip
    labels = labels[:used]
    classes = _count_classes(graph)
    wrong = next((x for x in labels if x < 0 or x >= classes), None) if classes else None
    if wrong is not None:
        raise ValueError(f"expected labels from 0 to {classes - 1} in '{path}', as the model's first output "
                         f"has {classes} numbers a sample, found {wrong}")  # fmt: skip
    return labels


def _count_rows(headers: dict) -> int:
    shape = next(iter(headers.values())).shape
    return shape[0] if shape else 1


def _count_classes(graph: Graph) -> int:
    """Of the first output; 0 where its shape is not known."""
    dims = graph.graph.output[0].type.tensor_type.shape.dim[1:]
    sizes = [d.dim_value if d.WhichOneof("value") == "dim_value" else 0 for d in dims]
    return int(np.prod(sizes)) if sizes else 0
