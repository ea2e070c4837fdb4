"""Events of a manager or an engine, handled beside the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

from ..events.emitter import Events
from .loop import LoopLease
from .work import Function, Work

F = TypeVar("F", bound=Callable[..., Any])


class BlockingEvents:
    """Registers handlers; plain ones run one after the other, in a thread beside the loop."""

    _home: LoopLease
    _work: Work
    _events: Events

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> Self: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler; as a decorator, or with the handler as second argument."""

        def register(function: F) -> F:
            given = self._work.handler(function)
            self._home.ask(lambda: self._events.on(event, given))
            return function

        return _registering(self, register, handler)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Self: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""

        def register(function: F) -> F:
            given = self._work.handler(function)
            self._home.ask(lambda: self._events.once(event, given))
            return function

        return _registering(self, register, handler)

    def off(self, event: str, handler: Function | None = None) -> Self:
        """Remove a handler, or all handlers of an event."""
        self._home.ask(lambda: self._events.off(event, handler))
        return self

    remove_listener = off


def _registering(owner: Any, register: Function, handler: Function | None) -> Any:
    if handler is None:
        return register
    register(handler)
    return owner
