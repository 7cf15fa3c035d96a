"""What goes wrong."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True)
class Diagnostic:
    """One message of the compiler."""

    severity: str
    """error, warning, note or remark"""
    text: str
    """The message with the file and the node that it is about."""

    def __str__(self) -> str:
        return self.text


class DlcError(Exception):
    """The base of dlc's exceptions."""


class CompileError(DlcError):
    """A model could not be compiled.

    `diagnostics` holds everything that the compiler said, in order; there is
    one error for every node that is wrong.
    """

    def __init__(self, diagnostics: list[Diagnostic]) -> None:
        super().__init__("\n".join(str(diagnostic) for diagnostic in diagnostics))
        self.diagnostics = diagnostics


class UnsupportedError(CompileError):
    """All that is wrong with a model is that dlc lacks operators it uses."""


class RunError(DlcError):
    """A run of a compiled model failed.

    `status` is a number of `enum dlc_status` in include/dlc/Model.h, and
    `message` says what was expected and what was found.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(f"{message} (status {status})")
        self.status = status
        self.message = message
