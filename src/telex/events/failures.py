"""What is logged when an application's function returns what has no meaning."""

from __future__ import annotations

from typing import Any

from .._log import logger, shown


def explain(function: Any, result: Any, consequence: str, explained: set[str]) -> None:
    """Log once for each function what follows from what it has returned, and the cure."""
    name = str(getattr(function, "__qualname__", "") or type(function).__qualname__)
    if name not in explained:
        explained.add(name)
        returned = "False" if result is False else f"a {type(result).__name__}"
        logger.warning(
            "%s has returned %s, which %s: return nothing to accept, and raise ConnectError(why) in"
            " a middleware to refuse (this is logged once)",
            shown(name),
            shown(returned),
            shown(consequence),
        )
