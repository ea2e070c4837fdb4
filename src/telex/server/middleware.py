"""Middleware: functions that see a socket before it is let in."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable, Iterable
from typing import Any

from .._log import logger
from ..errors import ConfigurationError, ConnectError
from ..events.failures import explain
from ..events.signature import check_defaults, name_of, signature_of
from ..loop.cancellation import reraise_fatal

Middleware = Callable[[Any], Any]

TIMEOUT = 30.0
"""How long all middlewares together may take for one socket, in seconds."""

NEUTRAL = "the connection was refused by the server"


async def admit(
    middlewares: Iterable[Middleware], socket: Any, explained: set[str]
) -> ConnectError | None:
    """Run the middlewares in order; the refusal, if one of them refuses.

    ``ConnectError`` is told to the client as it is. Any other exception is logged, and
    the client hears nothing of it; nor of what a middleware returns, which refuses, too,
    and is ``explained`` once for each middleware.
    """
    try:
        async with asyncio.timeout(TIMEOUT):
            for middleware in middlewares:
                result = middleware(socket)
                if inspect.isawaitable(result):
                    result = await result
                if result is not None and result is not True:
                    explain(middleware, result, "refuses the socket", explained)
                    return ConnectError(NEUTRAL)
    except ConnectError as refusal:
        return refusal
    except TimeoutError:
        logger.error("the middlewares took longer than %s s: the socket is refused", TIMEOUT)
    except BaseException as error:
        logger.error("a middleware failed: the socket is refused", exc_info=reraise_fatal(error))
    else:
        return None
    return ConnectError(NEUTRAL)


def check(middleware: Any, takes: str, parameters: int) -> None:
    """Refuse what cannot be a middleware when it is registered, not at the first client."""
    if not callable(middleware):
        raise ConfigurationError(f"a middleware must be callable, not {middleware!r}")
    try:
        signature = signature_of(middleware)
        signature.bind(*range(parameters))
    except ValueError:  # some builtins have no signature
        return
    except TypeError:
        raise ConfigurationError(
            f"a middleware takes {takes}: it returns to accept and raises to refuse, there is no"
            f" next(); {name_of(middleware)} takes something else"
        ) from None
    if len(signature.parameters) > parameters:
        check_defaults(middleware, signature)
