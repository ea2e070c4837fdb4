"""Listening to one socket: ``on``, ``once``, ``off``, ``on_any``, …, on either side.

Written once for every socket that has a ``Dispatch``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Self, TypeVar, overload

from .._log import logger
from .dispatch import Dispatch
from .handlers import LIFE_CYCLE, Function, Handler, check_name, registering
from .invoke import call_handler

F = TypeVar("F", bound=Callable[..., Any])


class Listening:
    """Registers the handlers and the listeners of one socket.

    A socket sets ``dispatch`` and ``_outgoing`` (``None``) when it is made, and calls
    ``show_outgoing`` with what it sends while ``_outgoing`` is not ``None``. ``lifecycle_events``
    says how many arguments each event of the socket itself has.
    """

    __slots__ = ("_outgoing", "dispatch")

    lifecycle_events: ClassVar[Mapping[str, int]] = LIFE_CYCLE

    dispatch: Dispatch
    _outgoing: list[Handler] | None

    # -- events of the peer, and of the socket itself -----------------------------------

    @overload
    def on(
        self, event: str, *, concurrent: bool = False, thread: bool = False
    ) -> Callable[[F], F]: ...
    @overload
    def on(
        self, event: str, handler: Function, *, concurrent: bool = False, thread: bool = False
    ) -> Self: ...
    def on(
        self,
        event: str,
        handler: Function | None = None,
        *,
        concurrent: bool = False,
        thread: bool = False,
    ) -> Any:
        """Register a handler; as a decorator, or with the handler as second argument.

        It receives the event's arguments; what it returns is the acknowledgement. A
        ``concurrent`` handler does not wait for earlier events of the socket; with
        ``thread`` a plain function runs in a worker thread.
        """
        return self._register(event, handler, concurrent=concurrent, thread=thread)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Self: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""
        return self._register(event, handler, once=True)

    def _register(self, event: str, handler: Function | None, **options: bool) -> Any:
        handlers = self.dispatch.own_handlers()
        own = self.lifecycle_events
        check_name(event, own)

        def add(function: Function) -> None:
            made = Handler(function, checked=event not in own, **options)
            if event in own:
                made.check_lifecycle(event, own[event])
            handlers.add(event, made)

        return registering(self, add, handler)

    def off(self, event: str, handler: Function | None = None) -> Self:
        """Remove a handler, or all handlers of an event."""
        self.dispatch.own_handlers().remove(event, handler)
        return self

    remove_listener = off

    def remove_all_listeners(self, event: str | None = None) -> Self:
        """Remove all handlers of an event, or of every event."""
        if event is None:
            self.dispatch.own_handlers().clear()
        else:
            self.dispatch.own_handlers().remove(event)
        return self

    def event_names(self) -> list[str]:
        """The events that have handlers on this socket."""
        return list(self.dispatch.own_handlers().by_event)

    def listeners(self, event: str) -> list[Function]:
        """The handlers of an event on this socket."""
        return self.dispatch.own_handlers().functions(event)

    # -- every event that comes ---------------------------------------------------------

    def on_any(self, listener: F) -> F:
        """Call ``listener(event, *args)`` for every event of the peer, before its handlers.

        It sees events that a packet middleware refuses, too.
        """
        self.dispatch.own_interceptors().listeners.append(Handler(listener, checked=False))
        return listener

    def prepend_any(self, listener: F) -> F:
        """Register a listener as ``on_any`` does, ahead of those that are registered."""
        self.dispatch.own_interceptors().listeners.insert(0, Handler(listener, checked=False))
        return listener

    def off_any(self, listener: Function | None = None) -> Self:
        """Remove a listener of ``on_any``, or all of them."""
        _remove(self.dispatch.own_interceptors().listeners, listener)
        return self

    def listeners_any(self) -> list[Function]:
        """The listeners of ``on_any``."""
        return [listener.function for listener in self.dispatch.own_interceptors().listeners]

    # -- every event that goes ----------------------------------------------------------

    def on_any_outgoing(self, listener: F) -> F:
        """Call ``listener(event, *args)`` for every event sent to the peer, broadcasts too."""
        self._listen_outgoing().append(Handler(listener, checked=False))
        return listener

    def prepend_any_outgoing(self, listener: F) -> F:
        """Register a listener as ``on_any_outgoing`` does, ahead of those that are registered."""
        self._listen_outgoing().insert(0, Handler(listener, checked=False))
        return listener

    def off_any_outgoing(self, listener: Function | None = None) -> Self:
        """Remove a listener of ``on_any_outgoing``, or all of them."""
        _remove(self._listen_outgoing(), listener)
        return self

    def listeners_any_outgoing(self) -> list[Function]:
        """The listeners of ``on_any_outgoing``."""
        return [listener.function for listener in self._outgoing or ()]

    def _listen_outgoing(self) -> list[Handler]:
        if self._outgoing is None:
            self._outgoing = []
            self.watch_outgoing()
        return self._outgoing

    def watch_outgoing(self) -> None:
        """Take note of the first listener of ``on_any_outgoing``."""

    def show_outgoing(self, event: Sequence[Any]) -> None:
        """Show an event, its name and its arguments, to the listeners of ``on_any_outgoing``."""
        for listener in list(self._outgoing or ()):
            try:
                call_handler(listener, self, [*event])
            except (Exception, SystemExit) as error:
                logger.error("a listener failed", exc_info=error)


def _remove(listeners: list[Handler], function: Function | None) -> None:
    if function is None:
        listeners.clear()
        return
    for listener in listeners:
        if listener.function == function:
            listeners.remove(listener)
            return
