"""Every version of every operator since operator set 6, and models of it."""

from __future__ import annotations

from collections.abc import Iterator

import generate
from builder import Discard
from onnx import defs
from operators import TABLE

OLDEST = 6
ATTEMPTS = 40


def find_versions() -> list[tuple[str, int]]:
    """Operators with the first operator set, from OLDEST on, of each version
    that is not deprecated."""
    versions: dict[str, set[tuple[int, bool]]] = {}
    for schema in defs.get_all_schemas_with_history():
        if schema.domain == "":
            versions.setdefault(schema.name, set()).add((schema.since_version, schema.deprecated))
    found = []
    for name, history in sorted(versions.items()):
        before = [entry for entry in sorted(history) if entry[0] <= OLDEST][-1:]
        after = [entry for entry in sorted(history) if entry[0] > OLDEST]
        found += [(name, max(v, OLDEST)) for v, deprecated in before + after if not deprecated]
    return found


def is_known(name: str) -> bool:
    return ("", name) in TABLE


def make_examples(name: str, opset: int, count: int) -> Iterator[generate.Example]:
    """Models of a node of the operator, in that operator set."""
    for seed in range(ATTEMPTS):
        if not count:
            return
        try:
            yield generate.make_single([seed, opset, *name.encode()], "", name, opset)
            count -= 1
        except Discard:
            continue
