"""Finds the pass of the compiler that makes a value wrong.

The compiler's passes either translate, so that nothing can be compiled without
them, or only improve the code. The model is compiled with the first n of the
latter for a bisected n: where n - 1 give the right value and n a wrong one, the
n-th is the culprit. When the value is wrong without any of them, it is a pass
that translates, or LLVM's optimisation, which is tried at lower levels.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import dlc


@dataclasses.dataclass(frozen=True)
class Culprit:
    """What makes a value wrong."""

    kind: str
    """pass: an optional pass. llvm: LLVM's optimisation. required: the import
    of an operator, or a pass that cannot be left out."""
    name: str = ""
    """The pass, or the lowest level (-O1) at which LLVM makes it wrong."""
    phase: str = ""
    position: int = 0
    """Its place, from 1, among the optional passes that run."""
    total: int = 0

    def __str__(self) -> str:
        if self.kind == "pass":
            return (
                f"first wrong pass: {self.name} of the phase {self.phase}, "
                f"number {self.position} of the {self.total} optional passes that run"
            )
        if self.kind == "llvm":
            return f"no optional pass is wrong: LLVM's optimisation is, from {self.name} on"
        return (
            "no optional pass is wrong: the operator's import is, or a pass that cannot be "
            "left out; --to=import, tensor, buffer and llvm show the IR behind each phase"
        )


def find_culprit(
    model: Any, is_wrong: Callable[[dlc.Model], bool], *, opt_level: int = 3, **options: Any
) -> Culprit:
    """Which pass makes `is_wrong` true of the compiled model.

    Args:
      model: what dlc.compile takes, for which `is_wrong` is true.
      options: further arguments of dlc.compile.
    """

    def compile(limit: int, level: int = opt_level) -> dlc.Model:
        return dlc.compile(model, opt_level=level, pass_limit=limit, **options)

    if is_wrong(compile(0)):
        for level in range(opt_level):
            if not is_wrong(compile(0, level)):
                continue
            if level == 0:
                return Culprit("required")
            return Culprit("llvm", f"-O{level}")
        return Culprit("llvm", f"-O{opt_level}") if opt_level else Culprit("required")
    passes = compile(2**31 - 1).passes
    right, wrong = 0, len(passes)
    while wrong - right > 1:
        middle = (right + wrong) // 2
        if is_wrong(compile(middle)):
            wrong = middle
        else:
            right = middle
    phase, _, name = passes[wrong - 1].partition(":")
    return Culprit("pass", name, phase, wrong, len(passes))
