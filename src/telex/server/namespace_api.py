"""What users can do with a namespace, with all children of a dynamic one, and with a server.

It is written once, over a registry and an operator for all sockets.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import Any, Never, Self, TypeVar, overload

from ..adapter.base import ServerEvents
from ..errors import ConfigurationError
from ..events.handlers import LIFE_CYCLE, Function, check_name, registering
from ..loop.results import Completion
from .adapter_host import RESERVED
from .broadcast import BroadcastOperator, Rooms
from .registry import Registry, check_lifecycle_name
from .remote_socket import RemoteSocket
from .threadsafe import ThreadsafeNamespace

F = TypeVar("F", bound=Callable[..., Any])


class NamespaceApi(ABC):
    """Registers handlers and middleware, emits, and reaches into rooms."""

    def __init__(self, registry: Registry, all_sockets: BroadcastOperator) -> None:
        self._registry = registry
        self._all_sockets = all_sockets

    # -- middleware and handlers ----------------------------------------------------------

    def use(self, middleware: F) -> F:
        """Register a middleware: ``middleware(socket)``, plain or async.

        Returning nothing, or ``True``, lets the socket through. Raising refuses it:
        ``ConnectError`` is sent to the client as it is, any other exception as a neutral
        message. Returning anything else refuses it, too, and is logged once.
        """
        self._registry.add_middleware(middleware)
        return middleware

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> Self: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler of ``connection`` (alias ``connect``), or of another own event.

        As a decorator, or with the handler as second argument.
        """
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Self: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""
        return self._register(event, handler, once=True)

    def _register(self, event: str, handler: Function | None, *, once: bool) -> Any:
        check_lifecycle_name(event)
        return registering(
            self, lambda each: self._registry.add_lifecycle(event, each, once=once), handler
        )

    def off(self, event: str, handler: Function | None = None) -> Self:
        """Remove a handler of an own event, or all of them."""
        self._registry.remove_lifecycle(event, handler)
        return self

    def remove_listener(self, event: str, handler: Function | None = None) -> Self:
        """Alias of ``off``."""
        return self.off(event, handler)

    def remove_all_listeners(self, event: str | None = None) -> Self:
        """Remove all handlers of an own event, or of every one."""
        for name in self.event_names() if event is None else [event]:
            self._registry.remove_lifecycle(name, None)
        return self

    def event_names(self) -> list[str]:
        """The own events that have handlers."""
        return list(self._registry.lifecycle.by_event)

    def listeners(self, event: str) -> list[Function]:
        """The handlers of an own event."""
        return self._registry.lifecycle.functions(event)

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(
        self, name: str | None = None, *, concurrent: bool = False, thread: bool = False
    ) -> Callable[[F], F]: ...
    def event(self, name: Any = None, *, concurrent: bool = False, thread: bool = False) -> Any:
        """Register a handler for an event of every socket; its first parameter is the socket.

        ``@io.event`` takes the event's name from the function, ``@io.event("name")``
        gives it. A ``concurrent`` handler does not wait for earlier events of its
        socket; with ``thread`` a plain function runs in a worker thread.
        """
        if callable(name):
            self._registry.add_event(_name_of(name), name)
            return name
        if name is not None:
            check_name(name, (*LIFE_CYCLE, "connect"))

        def decorate(function: F) -> F:
            event = _name_of(function) if name is None else name
            self._registry.add_event(event, function, concurrent=concurrent, thread=thread)
            return function

        return decorate

    def exception_handler(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Register what answers when a handler raises ``kind``: ``handler(socket, error)``.

        What it returns is the acknowledgement, if the client asked for one.
        """

        def decorate(function: F) -> F:
            self._registry.add_exception_handler(kind, function)
            return function

        return decorate

    # -- emitting ---------------------------------------------------------------------------

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None, **others: Never
    ) -> Completion:
        """Emit an event to every socket."""
        return self._all_sockets.emit(event, *args, ack=ack, **others)

    def send(self, *args: Any) -> Completion:
        """Emit the event ``message`` to every socket."""
        return self._all_sockets.send(*args)

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Emit an event to every socket and collect the answers; needs ``timeout`` before it."""
        return await self._all_sockets.emit_with_ack(event, *args)

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """Only to sockets in these rooms."""
        return self._all_sockets.to(rooms)

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """Alias of ``to`` (Node: ``in``)."""
        return self._all_sockets.to(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """Not to sockets in these rooms (Node: ``except``)."""
        return self._all_sockets.except_(rooms)

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for a client that cannot take it at once."""
        return self._all_sockets.volatile

    @property
    def local(self) -> BroadcastOperator:
        """Only to sockets of this server."""
        return self._all_sockets.local

    def compress(self, compress: bool) -> BroadcastOperator:
        """Whether the event may be compressed."""
        return self._all_sockets.compress(compress)

    def binary(self, binary: bool) -> BroadcastOperator:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self._all_sockets.binary(binary)

    def timeout(self, seconds: float) -> BroadcastOperator:
        """Set the limit for acknowledgements, in seconds."""
        return self._all_sockets.timeout(seconds)

    @property
    def threadsafe(self) -> ThreadsafeNamespace:
        """These calls for any other thread: they are handed to the event loop, in order."""
        return ThreadsafeNamespace(self, self._all_sockets)

    # -- utility methods ----------------------------------------------------------------------

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """All sockets, on all servers."""
        return await self._all_sockets.fetch_sockets()

    async def count(self) -> int:
        """How many sockets there are, on all servers."""
        return await self._all_sockets.count()

    async def clients(self) -> list[str]:
        """The ids of all sockets, on all servers."""
        return await self._all_sockets.clients()

    def sockets_join(self, rooms: Rooms, *, other_ids: bool = False) -> Awaitable[None]:
        """Make all sockets join rooms, on all servers (``other_ids``: see ``Socket.join``)."""
        return self._all_sockets.sockets_join(rooms, other_ids=other_ids)

    def sockets_leave(self, rooms: Rooms) -> Awaitable[None]:
        """Make all sockets leave rooms, on all servers."""
        return self._all_sockets.sockets_leave(rooms)

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]:
        """Disconnect all sockets, on all servers."""
        return self._all_sockets.disconnect_sockets(close)

    def server_side_emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to the other servers of the cluster, where ``on`` handles it."""
        servers = self._servers_for("server_side_emit", event)
        return servers.server_side_emit([event, *args])

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float = 5.0
    ) -> list[Any]:
        """Emit an event to the other servers and collect one answer of each."""
        servers = self._servers_for("server_side_emit_with_ack", event)
        return await servers.server_side_emit_with_ack([event, *args], timeout)

    def _servers_for(self, call: str, event: str) -> ServerEvents:
        if event in RESERVED:
            raise ValueError(f"{event!r} is a reserved event name")
        self._all_sockets.parts.runtime.here(call, f"use io.threadsafe.{call}()")
        return self._server_events()

    @abstractmethod
    def _server_events(self) -> ServerEvents:
        """What takes events to the other servers of the cluster."""


def _name_of(function: Function) -> str:
    name: str = getattr(function, "__name__", "<lambda>")
    if name == "<lambda>":
        raise ConfigurationError(f"{function!r} has no name: event(name) says which event is meant")
    return name
