"""Namespaces: sockets that share handlers, rooms and middleware."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar, overload

from ..adapter.base import Adapter, Target
from ..errors import ConfigurationError
from ..parser.packet import CONNECT, CONNECT_ERROR
from .handlers import Function, Handler, Handlers
from .middleware import Middleware, admit
from .operators import BroadcastOperator, Rooms
from .runtime import Runtime
from .socket import PENDING, Socket

F = TypeVar("F", bound=Callable[..., Any])

_CONNECTION = ("connection", "connect")


class Namespace:
    """A pool of sockets under one name, reached through ``io.of(name)``."""

    def __init__(self, name: str, adapter: Adapter, runtime: Runtime) -> None:
        self.name = name
        self.adapter = adapter
        self._runtime = runtime
        self._sockets: dict[str, Socket] = {}
        self._middlewares: list[Middleware] = []
        self._own_events = Handlers()
        self._events = Handlers()
        everybody = Target()
        self._everybody = BroadcastOperator(adapter, runtime.parser, name, everybody)

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r} with {len(self._sockets)} sockets>"

    # -- sockets ----------------------------------------------------------------------

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The connected sockets of this server by id."""
        return self._sockets

    @property
    def connected(self) -> Mapping[str, Socket]:
        """The same as ``sockets``, under its name of Socket.IO 2."""
        return self._sockets

    @property
    def events(self) -> Mapping[str, tuple[Handler, ...]]:
        """Handlers that all sockets of the namespace share, by event."""
        return self._events.by_event

    def use(self, middleware: F) -> F:
        """Register a middleware: ``middleware(socket)``, plain or async.

        Returning lets the socket through. Raising refuses it: ``ConnectError`` is sent
        to the client as it is, any other exception as a neutral message.
        """
        if not callable(middleware):
            raise ConfigurationError(f"a middleware must be callable, not {middleware!r}")
        self._middlewares.append(middleware)
        return middleware

    # -- handlers -----------------------------------------------------------------------

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> Namespace: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler of the namespace's own events (``connection``).

        As a decorator, or with the handler as second argument.
        """
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Namespace: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""
        return self._register(event, handler, once=True)

    def _register(self, event: str, handler: Function | None, *, once: bool) -> Any:
        event = "connection" if event in _CONNECTION else event
        if handler is not None:
            self._own_events.add(event, Handler(handler, once=once))
            return self

        def decorate(function: F) -> F:
            self._own_events.add(event, Handler(function, once=once))
            return function

        return decorate

    def off(self, event: str, handler: Function | None = None) -> Namespace:
        """Remove a handler of the namespace's own events, or all of them."""
        self._own_events.remove("connection" if event in _CONNECTION else event, handler)
        return self

    remove_listener = off

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(self, name: str) -> Callable[[F], F]: ...
    def event(self, name: Any) -> Any:
        """Register a handler for an event of every socket; its first parameter is the socket.

        ``@io.event`` takes the event's name from the function, ``@io.event("name")``
        gives it.
        """
        if not isinstance(name, str):
            return self._add_event(name.__name__, name)

        def decorate(function: F) -> F:
            return self._add_event(name, function)

        return decorate

    def _add_event(self, name: str, function: F) -> F:
        if name in _CONNECTION:
            self._own_events.add("connection", Handler(function))
        else:
            self._events.add(name, Handler(function, with_socket=True))
        return function

    # -- operators ------------------------------------------------------------------------

    def emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to everybody in the namespace."""
        return self._everybody.emit(event, *args)

    def send(self, *args: Any) -> Awaitable[None]:
        """Emit the event ``message`` to everybody in the namespace."""
        return self._everybody.send(*args)

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """Only to sockets in these rooms."""
        return self._everybody.to(rooms)

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """The same as ``to`` (Node: ``in``)."""
        return self._everybody.in_(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """Not to sockets in these rooms (Node: ``except``)."""
        return self._everybody.except_(rooms)

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for a client that cannot take it at once."""
        return self._everybody.volatile

    @property
    def local(self) -> BroadcastOperator:
        """Only to sockets of this server."""
        return self._everybody.local

    # -- admission --------------------------------------------------------------------------

    def admit(
        self, socket: Socket, revision: int, accepted: Callable[[], None] | None = None
    ) -> None:
        """Let a new socket in, after the middlewares.

        ``revision`` is the protocol's; ``accepted`` is called when the client has been told.
        """
        if self._middlewares:
            self._runtime.start(self._admit_later(socket, revision, accepted))
        else:
            self._accept(socket, revision, accepted)

    async def _admit_later(
        self, socket: Socket, revision: int, accepted: Callable[[], None] | None
    ) -> None:
        refusal = await admit(tuple(self._middlewares), socket)
        if socket.state is not PENDING:
            return  # the client has gone meanwhile
        if refusal is None:
            self._accept(socket, revision, accepted)
        elif revision == 5:
            answer: dict[str, Any] = {"message": refusal.message}
            if refusal.data is not None:
                answer["data"] = refusal.data
            socket.refused(self._runtime.parser.encode(CONNECT_ERROR, self.name, answer))
        else:
            data = refusal.message if refusal.data is None else refusal.data
            socket.refused(self._runtime.parser.encode(CONNECT_ERROR, self.name, data))

    def _accept(self, socket: Socket, revision: int, accepted: Callable[[], None] | None) -> None:
        self._sockets[socket.id] = socket
        self.adapter.add(socket)
        answer = {"sid": socket.id} if revision == 5 else None
        socket.accepted(self._runtime.parser.encode(CONNECT, self.name, answer))
        if accepted is not None:
            accepted()
        handlers = self._own_events.by_event.get("connection", ())
        if handlers:
            for handler in handlers:
                if handler.once:
                    self._own_events.discard("connection", handler)
            socket.greet(handlers)

    def remove(self, socket: Socket) -> None:
        """A socket has gone."""
        if self._sockets.get(socket.id) is socket:
            del self._sockets[socket.id]
            self.adapter.remove(socket.id)
