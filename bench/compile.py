"""Compiles whole networks: processor time and peak memory of dlc, sizes of the
object and of its code, the memory that a run works in. bench/README.md is the
manual."""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any

import commandline
import objects
import onnx
import subjects

COLUMNS = (("model", "s"), ("weights MB", ".1f"), ("s", ".2f"), ("peak MB", ".0f"),
           ("object MB", ".1f"), ("of weights", ".2f"), ("code KB", ".0f"), ("memory MB", ".2f"),
           ("of live", ".3f"))  # fmt: skip
WIDTHS = (20, *(max(10, len(title)) for title, _ in COLUMNS[1:]))
MEMORY = re.compile(r"working memory of ([0-9,]+) bytes; at a time live ([0-9,]+)")

NOTE = """
s is processor time. "of live" compares the memory of a run with the largest sum
of tensors that live at a time, where their sizes are known (bench/README.md)."""


def count_weights(model: onnx.ModelProto) -> int:
    """Bytes of the numbers in a model, those of its subgraphs not counted."""
    constants = [a.t for node in model.graph.node if node.op_type == "Constant"
                 for a in node.attribute if a.name == "value"]  # fmt: skip
    total = 0
    for tensor in [*model.graph.initializer, *constants]:
        size = onnx.helper.tensor_dtype_to_np_dtype(tensor.data_type).itemsize
        for extent in tensor.dims:
            size *= extent
        total += size
    return total


def count_code(path: pathlib.Path) -> int:
    """Bytes of an object's sections of instructions."""
    text = subprocess.run(["size", "-A", "-d", path], check=True, capture_output=True, text=True)
    rows = [line.split() for line in text.stdout.splitlines()]
    return sum(int(row[1]) for row in rows if row and row[0].startswith(".text"))


def measure(name: str, flags: Sequence[str]) -> dict[str, Any]:
    path = subjects.TABLE[name].find()
    with tempfile.TemporaryDirectory() as folder:
        made = objects.compile(path, pathlib.Path(folder), flags=["--report", *flags])
        model = onnx.load(path, load_external_data=False)
        weights = count_weights(model)
        arena, live = (int(x.replace(",", "")) for x in MEMORY.search(made.messages).groups())
        dims = [d for x in model.graph.input for d in x.type.tensor_type.shape.dim]
        is_dynamic = not all(d.dim_value > 0 for d in dims)
        return {
            "model": name, "weights MB": weights / 1e6, "s": made.seconds,
            "peak MB": made.peak / 1e6, "object MB": made.size / 1e6,
            "of weights": made.size / weights, "code KB": count_code(made.path) / 1e3,
            "memory MB": arena / 1e6, "of live": math.nan if is_dynamic else arena / max(live, 1),
        }  # fmt: skip


def format_cells(row: dict[str, Any]) -> list[str]:
    return ["-" if row[t] != row[t] else format(row[t], form) for t, form in COLUMNS]


def format_line(cells: Sequence[str]) -> str:
    first, *rest = cells
    return "  ".join([first.ljust(WIDTHS[0]), *(c.rjust(w) for c, w in zip(rest, WIDTHS[1:]))])


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(
        prog="bench/compile", description="measure compile time, memory and sizes of objects"
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help="models; without one, all")
    parser.add_argument("--flag", action="append", default=[], help="for dlc; may be given again")
    parser.add_argument("--markdown", type=commandline.output_file, metavar="FILE", help="write the table")
    parser.add_argument("--json", type=commandline.output_file, metavar="FILE", help="write the figures")
    options = parser.parse_args(arguments)
    unknown = [name for name in options.names if name not in subjects.TABLE]
    if unknown:
        parser.error(f"no model is called {', '.join(unknown)}; bench/run --list has their names")
    names = options.names or [n for n in subjects.TABLE if not n.startswith(("light_", "random_"))]
    titles = [title for title, _ in COLUMNS]
    print(format_line(titles), flush=True)
    rows, failed = [], False
    for name in names:
        try:
            row = measure(name, options.flag)
        except objects.CompileFailure as failure:
            print(f"{name}: {failure}", file=sys.stderr)
            failed = True
            continue
        rows.append(row)
        print(format_line(format_cells(row)), flush=True)
    print(NOTE)
    if options.markdown:
        lines = ["| " + " | ".join(titles) + " |", "|" + "---|" * len(titles)]
        lines += ["| " + " | ".join(format_cells(row)) + " |" for row in rows]
        options.markdown.write_text("\n".join(lines) + "\n")
    if options.json:
        options.json.write_text(json.dumps(rows, indent=1))
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
