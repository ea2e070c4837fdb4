"""What sees a socket's events before their handlers: listeners and packet middlewares."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .._log import logger
from ..errors import ConnectError
from ..loop.cancellation import reraise_fatal
from .failures import explain
from .handlers import Handler
from .invoke import run_handler
from .recipient import Recipient

PacketMiddleware = Callable[[str, list[Any]], Any]


class Interceptors:
    """The listeners of ``on_any`` and the packet middlewares of one socket, which few have."""

    __slots__ = ("listeners", "middlewares")

    def __init__(self) -> None:
        self.listeners: list[Handler] = []
        self.middlewares: list[PacketMiddleware] = []

    async def admit(
        self, name: Any, args: list[Any], recipient: Recipient, explained: set[str]
    ) -> bool:
        """Show an event to the listeners, then ask the middlewares whether its handlers get it."""
        for listener in list(self.listeners):
            try:
                await run_handler(listener, recipient, [name, *args])
            except BaseException as error:
                logger.error("a listener failed", exc_info=reraise_fatal(error))
        for middleware in list(self.middlewares):
            try:
                result = middleware(name, args)
                if hasattr(result, "__await__"):
                    result = await result
                if result is not None and result is not True:
                    explain(middleware, result, "refuses the event", explained)
                    raise ConnectError("the event was refused by the server")
            except Exception as error:
                recipient.refused(error)
                return False
            except BaseException as error:
                logger.error("a packet middleware failed", exc_info=reraise_fatal(error))
                return False
        return True
