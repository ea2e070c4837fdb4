"""The handlers that one socket's events find: those of its namespace, and its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from .handlers import Handler, Handlers
from .interceptors import Interceptors


class SocketHandlers:
    """Finds the handlers of an event: those that all sockets of a namespace share come first.

    ``handlers`` and ``interceptors`` are the socket's own, made on first need.
    """

    __slots__ = ("_shared", "handlers", "interceptors")

    def __init__(self, shared: Mapping[str, tuple[Handler, ...]]) -> None:
        self.handlers: Handlers | None = None
        self.interceptors: Interceptors | None = None
        self._shared = shared

    def own_handlers(self) -> Handlers:
        """The socket's own handlers."""
        if self.handlers is None:
            self.handlers = Handlers()
        return self.handlers

    def own_interceptors(self) -> Interceptors:
        """The socket's listeners of every event, and its packet middlewares."""
        if self.interceptors is None:
            self.interceptors = Interceptors()
        return self.interceptors

    def find(self, event: Any) -> tuple[Handler, ...] | None:
        """The handlers of an event: the namespace's, then the socket's own."""
        own = self.handlers.by_event.get(event) if self.handlers is not None else None
        shared = self._shared.get(event)
        if own is None or shared is None:
            return own or shared
        return shared + own

    def due(self, event: str) -> Iterator[Handler]:
        """The handlers of an event that happens now; those for once are used up."""
        for handler in self.find(event) or ():
            if not handler.once or self.use_up(event, handler):
                yield handler

    def use_up(self, event: str, handler: Handler) -> bool:
        """Remove a handler for once, which is going to be called; whether it was still there."""
        return self.handlers is not None and self.handlers.discard(event, handler)
