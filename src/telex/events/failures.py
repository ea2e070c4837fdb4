"""What the peer is told, and what is logged, when handlers fail or return what has no meaning."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .._log import logger, shown
from .handlers import Handler
from .parameters import InvalidArguments

ExceptionHandlers = Mapping[type[BaseException], Handler]

HANDLER_FAILED = {"error": {"type": "HandlerError", "message": "the handler failed"}}
"""The acknowledgement of an event whose handler has raised: it tells the peer nothing private."""


def exception_handler(handlers: ExceptionHandlers, error: BaseException) -> Handler | None:
    """Find the handler that is registered for an error, or for the nearest of its base classes."""
    return next((handlers[kind] for kind in type(error).__mro__ if kind in handlers), None)


def log_failure(event: Any, socket: object, error: BaseException) -> dict[str, Any]:
    """Log why the handler of an event has failed; return the acknowledgement that says so."""
    if isinstance(error, InvalidArguments):
        logger.warning("event '%s' of %s: %s", shown(event), shown(socket), shown(error))
        return {"error": {"type": "ValidationError", "message": str(error)}}
    log_error(event, error)
    return HANDLER_FAILED


def log_error(event: Any, error: BaseException) -> None:
    """Log what the handler of an event has raised."""
    logger.error("handler of '%s' failed", shown(event), exc_info=error)


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
