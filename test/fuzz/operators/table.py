"""The table that the files beside this fill."""

from collections.abc import Callable
from typing import Any

TABLE: dict[tuple[str, str], Callable[[Any, str], Any]] = {}
"""By domain and name."""


def makes(*names: str, domain: str = "") -> Callable[..., Any]:
    """Registers a function for operators."""

    def register(function: Callable[[Any, str], Any]) -> Callable[[Any, str], Any]:
        for name in names:
            TABLE[domain, name] = function
        return function

    return register
