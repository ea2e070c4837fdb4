"""``io.threadsafe``: what any thread may call on a server, its namespaces and its sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from ..events.threadsafe import Handed, Threadsafe, ThreadsafeEmitter, copied
from .broadcast import BroadcastOperator, Rooms, room_names
from .remote_socket import RemoteSocket
from .socket_emitter import BroadcastEmitting, Broadcasting, SocketEmitter


class ThreadsafeOperator(Threadsafe):
    """Emits to many sockets from any thread (see ``BroadcastOperator``).

    ::

        io.threadsafe.to("room").emit("news", 1)

    What returns an answer waits for it. The rest takes effect in order and waits for nothing:
    ``result()`` of what is returned waits.
    """

    __slots__ = ("_operator",)

    def __init__(self, operator: BroadcastOperator) -> None:
        super().__init__(operator.parts.runtime)
        self._operator = operator

    def to(self, rooms: Rooms) -> ThreadsafeOperator:
        """Only to sockets in one of these rooms (added to those named before)."""
        return ThreadsafeOperator(self._operator.to(rooms))

    def in_(self, rooms: Rooms) -> ThreadsafeOperator:
        """Alias of ``to`` (Node: ``in``)."""
        return self.to(rooms)

    def except_(self, rooms: Rooms) -> ThreadsafeOperator:
        """Not to sockets in any of these rooms (Node: ``except``)."""
        return ThreadsafeOperator(self._operator.except_(rooms))

    @property
    def volatile(self) -> ThreadsafeOperator:
        """Drop the event for a client that cannot take it at once."""
        return ThreadsafeOperator(self._operator.volatile)

    @property
    def local(self) -> ThreadsafeOperator:
        """Only to sockets of this server."""
        return ThreadsafeOperator(self._operator.local)

    def compress(self, compress: bool) -> ThreadsafeOperator:
        """Whether the event may be compressed."""
        return ThreadsafeOperator(self._operator.compress(compress))

    def binary(self, binary: bool) -> ThreadsafeOperator:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> ThreadsafeOperator:
        """Set the limit for acknowledgements, in seconds."""
        return ThreadsafeOperator(self._operator.timeout(seconds))

    def emit(self, event: str, *args: Any, ack: Callable[..., Any] | None = None) -> Handed[None]:
        """Emit an event to the sockets that were chosen; ``ack`` is called on the event loop.

        Raises ``EncodeError`` if the arguments cannot be sent, ``ValueError`` if the name is
        reserved, ``ConfigurationError`` if the server has ended.
        """
        return self._done(partial(self._operator.emit, ack=ack), *self._checked(event, args))

    def send(self, *args: Any) -> Handed[None]:
        """Emit the event ``message``."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Emit an event and wait for the answers; needs ``timeout``.

        Raises ``AckTimeout`` if some do not answer in time.
        """
        return self._wait(self._operator.emit_with_ack, *self._checked(event, args))

    def fetch_sockets(self) -> list[RemoteSocket]:
        """The sockets that were chosen, on all servers: their ids, rooms, handshakes, data."""
        return self._wait(self._operator.fetch_sockets)

    def clients(self) -> list[str]:
        """The ids of the sockets that were chosen, on all servers."""
        return self._wait(self._operator.clients)

    def sockets_join(self, rooms: Rooms, *, other_ids: bool = False) -> Handed[None]:
        """Make the sockets that were chosen join rooms, on all servers."""
        join = partial(self._operator.sockets_join, other_ids=other_ids)
        return self._done(join, room_names(rooms))

    def sockets_leave(self, rooms: Rooms) -> Handed[None]:
        """Make the sockets that were chosen leave rooms, on all servers."""
        return self._done(self._operator.sockets_leave, room_names(rooms))

    def disconnect_sockets(self, close: bool = False) -> Handed[None]:
        """Disconnect the sockets that were chosen, on all servers."""
        return self._done(self._operator.disconnect_sockets, close)


class ServerSide(Protocol):
    """A namespace, or a server, as the other servers of a cluster are told by it."""

    def server_side_emit(self, event: str, *args: Any) -> Awaitable[None]: ...

    async def server_side_emit_with_ack(
        self, event: str, *args: Any, timeout: float = 5.0
    ) -> list[Any]: ...


class ThreadsafeNamespace(ThreadsafeOperator):
    """A namespace, for any thread: ``io.of("/chat").threadsafe``."""

    __slots__ = ("_nsp",)

    def __init__(self, nsp: ServerSide, all_sockets: BroadcastOperator) -> None:
        super().__init__(all_sockets)
        self._nsp = nsp

    def server_side_emit(self, event: str, *args: Any) -> Handed[None]:
        """Emit an event to the other servers of the cluster."""
        return self._done(self._nsp.server_side_emit, event, *map(copied, args))

    def server_side_emit_with_ack(self, event: str, *args: Any, timeout: float = 5.0) -> list[Any]:
        """Emit an event to the other servers and wait for one answer of each."""
        ask = partial(self._nsp.server_side_emit_with_ack, timeout=timeout)
        return self._wait(ask, event, *map(copied, args))


class ServerSocket(BroadcastEmitting, Protocol):
    """A socket of a server, as other threads use it."""

    def join(self, rooms: Rooms, *, other_ids: bool = False) -> Awaitable[None]: ...

    def leave(self, rooms: Rooms) -> Awaitable[None]: ...

    def disconnect(self, close: bool = False) -> Awaitable[None]: ...


class ThreadsafeSocket(
    ThreadsafeEmitter[ServerSocket, SocketEmitter], Broadcasting[ThreadsafeOperator]
):
    """A socket of a server, for any thread: ``socket.threadsafe``."""

    __slots__ = ()

    @property
    def broadcast(self) -> ThreadsafeOperator:
        """To every socket in the namespace but this one."""
        return ThreadsafeOperator(self._emitter.broadcast)

    def join(self, rooms: Rooms, *, other_ids: bool = False) -> Handed[None]:
        """Join a room or several (``other_ids``: see ``Socket.join``)."""
        return self._done(partial(self._socket.join, other_ids=other_ids), room_names(rooms))

    def leave(self, rooms: Rooms) -> Handed[None]:
        """Leave a room or several."""
        return self._done(self._socket.leave, room_names(rooms))

    def disconnect(self, close: bool = False) -> Handed[None]:
        """Disconnect this socket; with ``close``, the whole connection of its client."""
        return self._done(self._socket.disconnect, close)
