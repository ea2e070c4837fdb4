"""Listening to a blocking socket: ``on``, ``once``, ``off``, ``on_any``, …"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Self, TypeVar, overload

from ..client.socket import ClientSocket as AsyncSocket
from .loop import LoopLease
from .work import Function, Work, original

F = TypeVar("F", bound=Callable[..., Any])


class BlockingListening:
    """Registers handlers and listeners.

    Plain functions run one after the other in a thread of the socket, so that they may
    call what blocks; coroutine functions run on the event loop.
    """

    _home: LoopLease
    _work: Work
    _socket: AsyncSocket

    # -- events of the server, and of the socket itself ---------------------------------

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
        ``concurrent`` handler does not wait for earlier events of the socket: it runs in a
        thread of its own. ``thread`` changes nothing: no plain function runs on the loop.
        """

        def register(function: F) -> F:
            given, thread_ = self._given(function, concurrent=concurrent, thread=thread)
            self._home.ask(
                lambda: self._socket.on(event, given, concurrent=concurrent, thread=thread_)
            )
            return function

        if handler is None:
            return register
        register(handler)
        return self

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Self: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""

        def register(function: F) -> F:
            given = self._work.handler(function)
            self._home.ask(lambda: self._socket.once(event, given))
            return function

        if handler is None:
            return register
        register(handler)
        return self

    def _given(self, function: Function, *, concurrent: bool, thread: bool) -> tuple[Any, bool]:
        """What to register, and whether to ask for a thread: a coroutine has none."""
        given = self._work.handler(function, concurrent=concurrent)
        return given, thread and given is function

    def off(self, event: str, handler: Function | None = None) -> Self:
        """Remove a handler, or all handlers of an event."""
        self._home.ask(lambda: self._socket.off(event, handler))
        return self

    remove_listener = off

    def remove_all_listeners(self, event: str | None = None) -> Self:
        """Remove all handlers of an event, or of every event."""
        self._home.ask(lambda: self._socket.remove_all_listeners(event))
        return self

    def event_names(self) -> list[str]:
        """The events that have handlers on this socket."""
        return self._home.ask(self._socket.event_names)

    def listeners(self, event: str) -> list[Function]:
        """The handlers of an event on this socket."""
        return [original(each) for each in self._home.ask(lambda: self._socket.listeners(event))]

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(
        self, name: str | None = None, *, concurrent: bool = False, thread: bool = False
    ) -> Callable[[F], F]: ...
    def event(self, name: Any = None, *, concurrent: bool = False, thread: bool = False) -> Any:
        """Register a handler under its own name, or under a given one, as a decorator."""
        event = None if callable(name) else name

        def register(function: F) -> F:
            given, thread_ = self._given(function, concurrent=concurrent, thread=thread)
            self._home.ask(
                lambda: self._socket.event(event, concurrent=concurrent, thread=thread_)(given)
            )
            return function

        return register(name) if callable(name) else register

    def exception_handler(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Register ``handler(exception)`` for what handlers raise, as a decorator.

        What it returns is the acknowledgement.
        """

        def register(function: F) -> F:
            given = self._work.handler(function)
            self._home.ask(lambda: self._socket.exception_handler(kind)(given))
            return function

        return register

    # -- every event that comes ---------------------------------------------------------

    def on_any(self, listener: F) -> F:
        """Call ``listener(event, *args)`` for every event of the server, before its handlers."""
        given = self._work.handler(listener)
        self._home.ask(lambda: self._socket.on_any(given))
        return listener

    def prepend_any(self, listener: F) -> F:
        """Call a listener like those of ``on_any``, but before those that are there."""
        given = self._work.handler(listener)
        self._home.ask(lambda: self._socket.prepend_any(given))
        return listener

    def off_any(self, listener: Function | None = None) -> Self:
        """Remove a listener of ``on_any``, or all of them."""
        self._home.ask(lambda: self._socket.off_any(listener))
        return self

    def listeners_any(self) -> list[Function]:
        """The listeners of ``on_any``."""
        return [original(each) for each in self._home.ask(self._socket.listeners_any)]

    # -- every event that goes ----------------------------------------------------------

    def on_any_outgoing(self, listener: F) -> F:
        """Call ``listener(event, *args)`` for every event sent to the server."""
        given = self._work.listener(listener)
        self._home.ask(lambda: self._socket.on_any_outgoing(given))
        return listener

    def prepend_any_outgoing(self, listener: F) -> F:
        """Call a listener like those of ``on_any_outgoing``, but before those that are there."""
        given = self._work.listener(listener)
        self._home.ask(lambda: self._socket.prepend_any_outgoing(given))
        return listener

    def off_any_outgoing(self, listener: Function | None = None) -> Self:
        """Remove a listener of ``on_any_outgoing``, or all of them."""
        self._home.ask(lambda: self._socket.off_any_outgoing(listener))
        return self

    def listeners_any_outgoing(self) -> list[Function]:
        """The listeners of ``on_any_outgoing``."""
        return [original(each) for each in self._home.ask(self._socket.listeners_any_outgoing)]
