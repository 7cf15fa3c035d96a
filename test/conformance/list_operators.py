"""Writes docs/OnnxOperators.md: every operator of ONNX, with its versions, the
types of the tests that pass, and how many of them do.

usage: list_operators.py SUPPORTED OUTPUT      (SUPPORTED: what dlc --print-supported-ops prints)
"""

from __future__ import annotations

import collections
import pathlib
import sys

import onnx
from onnx import defs

import cases

FOLDER = pathlib.Path(__file__).parent
sys.path.insert(0, str(FOLDER.parent / "fuzz"))
import test_versions  # noqa: E402
import versions  # noqa: E402

OLDEST = versions.OLDEST
DOMAINS = {
    "": "ai.onnx",
    "ai.onnx.ml": "ai.onnx.ml",
    "ai.onnx.preview": "ai.onnx.preview",
    "ai.onnx.preview.training": "ai.onnx.preview.training",
}
# What the reader rewrites before the import sees it.
REWRITTEN = {("ai.onnx.preview.training", "Gradient")}


def find_operators() -> dict[tuple[str, str], list[defs.OpSchema]]:
    """The schemas of each operator that the newest set still has, oldest first."""
    schemas = collections.defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        if schema.domain in DOMAINS:
            schemas[schema.domain, schema.name].append(schema)
    for history in schemas.values():
        history.sort(key=lambda schema: schema.since_version)
    return dict(schemas)


def versions_of(history: list[defs.OpSchema], domain: str) -> list[str]:
    """From the one that operator set 6 has on."""
    oldest = OLDEST if domain == "" else 1
    numbers = [s.since_version for s in history if not s.deprecated]
    before = [v for v in numbers if v <= oldest][-1:]
    return [str(v) for v in before + [v for v in numbers if v > oldest]]


def element_of(kind: onnx.TypeProto) -> str:
    """The element type of a tensor, also in a sequence or an optional."""
    which = kind.WhichOneof("value")
    if which in ("sequence_type", "optional_type"):
        return element_of(getattr(kind, which).elem_type)
    if which != "tensor_type":
        return ""
    return onnx.TensorProto.DataType.Name(kind.tensor_type.elem_type).lower()


class State:
    def __init__(self) -> None:
        self.tests = self.passing = 0
        self.types: set[str] = set()


def measure(passing: set[str]) -> dict[tuple[str, str], State]:
    """What the package's tests of each operator say."""
    states: dict[tuple[str, str], State] = collections.defaultdict(State)
    for case in cases.load_cases():
        if case.name.split("/")[0] not in ("node", "simple"):
            continue
        graph = case.load_model().graph
        known = {value.name: element_of(value.type) for value in [*graph.input, *graph.value_info, *graph.output]}
        for key in {(node.domain, node.op_type) for node in graph.node}:
            state = states[key]
            state.tests += 1
            if case.name not in passing:
                continue
            state.passing += 1
            for node in graph.node:
                if (node.domain, node.op_type) == key:
                    state.types |= {known.get(name, "") for name in [*node.input, *node.output]} - {""}
    return states


def state_of(domain: str, name: str, history: list[defs.OpSchema], supported: set[str]) -> str:
    if f"{DOMAINS[domain]}.{name}" in supported:
        return "lowered"
    if (domain, name) in REWRITTEN:
        return "rewritten"
    newest = history[-1]
    if newest.has_function or newest.has_context_dependent_function:
        return "expanded"
    return "refused"


def link(domain: str, name: str) -> str:
    folder = DOMAINS[domain].replace(".", "") if domain else ""
    return f"[{name}](https://onnx.ai/onnx/operators/onnx_{folder}_{name}.html)"


def write_page(supported: set[str], passing: set[str]) -> str:
    operators, states = find_operators(), measure(passing)
    lines = [
        "# The operators of ONNX",
        "",
        f"What dlc does with each operator of onnx {onnx.__version__}. *Lowered*: by code of its own; *expanded*: into the operators of the",
        "function body that ONNX gives; *rewritten*: by the reader. Older models are raised to the newest set first, so every version",
        f"from operator set {OLDEST} on is taken: `test/fuzz/test_versions.py` runs a generated model of each version of ai.onnx that stands",
        "here and compares it with ONNX Runtime, or ONNX's evaluator, on the unconverted file. *Types* are those of the tensors in the tests that",
        "pass, *tests* how many of the package's tests that have the operator pass (`test/conformance`).",
        "",
        "Not compared: "
        + ", ".join(f"{name} ({why})" for name, why in sorted(test_versions.UNCHECKED.items()))
        + ".",
    ]
    for domain, title in DOMAINS.items():
        lines += ["", f"## {title}", "", "| operator | versions | state | tests | types |", "|---|---|---|---|---|"]
        for (where, name), history in sorted(operators.items()):
            if where != domain:
                continue
            state = states.get((domain, name), State())
            tests = f"{state.passing} of {state.tests}" if state.tests else ""
            lines.append(
                f"| {link(domain, name)} | {', '.join(versions_of(history, domain))} | "
                f"{state_of(domain, name, history, supported)} | {tests} | {', '.join(sorted(state.types))} |"
            )
    others = sorted(name for name in supported if not any(name.startswith(f"{t}.") for t in DOMAINS.values()))
    lines += ["", "## com.microsoft", "", "See [MicrosoftOperators.md](MicrosoftOperators.md).", ""]
    lines += [f"- {name.rsplit('.', 1)[1]}" for name in others if name.startswith("com.microsoft.")]
    return "\n".join(lines) + "\n"


def main() -> None:
    supported = set(pathlib.Path(sys.argv[1]).read_text().split())
    passing = set((FOLDER / "passing.txt").read_text().split())
    pathlib.Path(sys.argv[2]).write_text(write_page(supported, passing))


if __name__ == "__main__":
    main()
