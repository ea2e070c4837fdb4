"""Events of an object of ours, outside any socket's queue: ``on``, ``once``, ``off``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, ClassVar, Self, TypeVar, overload

from .._log import logger, shown
from ..errors import ConfigurationError
from .handlers import Function, Handler, Handlers
from .invoke import call_handler
from .runtime import Runtime

F = TypeVar("F", bound=Callable[..., Any])


class Events:
    """Registers handlers for a fixed set of events, and calls them when one is fired.

    Plain handlers run at once; coroutines become tasks. What they raise is
    logged.
    """

    known_events: ClassVar[frozenset[str]] = frozenset()

    _runtime: Runtime
    _handlers: Handlers

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> Self: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler; as a decorator, or with the handler as second argument."""
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Self: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""
        return self._register(event, handler, once=True)

    def off(self, event: str, handler: Function | None = None) -> Self:
        """Remove a handler, or all handlers of an event."""
        self._handlers.remove(event, handler)
        return self

    remove_listener = off

    def _register(self, event: str, handler: Function | None, *, once: bool) -> Any:
        if event not in self.known_events:
            raise ConfigurationError(
                f"{type(self).__name__} has no event {event!r}: there are"
                f" {', '.join(sorted(self.known_events))}"
            )
        if handler is not None:
            self._handlers.add(event, Handler(handler, once=once, checked=False))
            self.listened(event)
            return self

        def decorate(function: F) -> F:
            self._handlers.add(event, Handler(function, once=once, checked=False))
            self.listened(event)
            return function

        return decorate

    def listened(self, event: str) -> None:
        """A handler for an event has been registered."""

    def fire(self, event: str, *args: Any) -> None:
        """Call the handlers of an event."""
        for handler in self._handlers.by_event.get(event, ()):
            if handler.once:
                self._handlers.discard(event, handler)
            try:
                result = call_handler(handler, self, [*args])
            except Exception:
                logger.exception(
                    "handler of the event '%s' of %s failed", shown(event), shown(self)
                )
                continue
            if inspect.iscoroutine(result):
                self._runtime.watch(result, f"handler of the event {event!r} of {self!r}")
