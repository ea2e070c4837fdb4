"""Sockets: one client in one namespace."""

from __future__ import annotations

import asyncio
from _thread import get_ident
from collections.abc import Coroutine
from typing import Any, Never, TypeVar

from ..adapter.base import Adapter, BroadcastTarget
from ..config import duration, refuse_keywords
from ..events.acks import into_callback, into_future
from ..events.handlers import Function
from ..events.interceptors import PacketMiddleware
from ..events.pending_acks import AckCallback
from ..events.reserved import check_event
from ..events.tasks import Tasks
from ..loop.results import Completion
from ..parser.packet import EVENT
from ..types import Request
from .broadcast import BroadcastOperator, Rooms, room_names
from .engine_socket import EngineSocket
from .membership import Membership
from .middleware import check
from .peer import CONNECTED, DISCONNECTED, PENDING
from .server_api import ServerApi
from .socket_emitter import Broadcasting, SocketEmitter
from .socket_host import SocketClient, SocketNamespace
from .threadsafe import ThreadsafeSocket

M = TypeVar("M", bound=PacketMiddleware)
T = TypeVar("T")

_EMIT, _JOIN, _LEAVE = (
    f"use socket.threadsafe.{call}(), or io.threadsafe for many sockets"
    for call in ("emit", "join", "leave")
)
_VOLATILE = BroadcastTarget(volatile=True)


class Socket(Membership, Broadcasting[BroadcastOperator]):
    """One client in one namespace.

    Made by the server; handlers receive it. Users may set attributes of their own.
    Methods take effect when they are called; awaiting what they return is optional.

    ``id`` names it to other clients, and is the room that it is always in. A client of Socket.IO 1
    or 2 takes its id from the engine's handshake, so that ``id`` is (or ends with) its
    session id: a client that knows it can act for the client while it uses long-polling. Do not
    show it to other clients, unless the server has ``id_source="random_for_all"``: then ``id`` is
    random, and such a client knows another one (its session id) as its own.
    """

    __slots__ = ("__dict__", "__weakref__")

    nsp: SocketNamespace[Socket]
    client: SocketClient[Socket]

    @property
    def conn(self) -> EngineSocket:
        """The underlying connection."""
        return self.client.conn

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self.client.request

    @property
    def server(self) -> ServerApi:
        """The server."""
        server: ServerApi = self._runtime.server
        return server

    @property
    def adapter(self) -> Adapter:
        """The adapter of the namespace."""
        return self.nsp.adapter

    @property
    def remote_address(self) -> str | None:
        """The client's address, as far as the host server knows it."""
        return self.client.conn.remote_address

    # -- emitting -----------------------------------------------------------------------

    def emit(
        self, event: str, *args: Any, ack: Function | None = None, **others: Never
    ) -> Completion:
        """Emit an event to this client.

        ``ack`` is called with the client's answer. Awaiting the result waits until the
        client has taken enough of what is queued for it. Raises ``EncodeError`` if the
        arguments cannot be sent, ``ValueError`` if the name is reserved.
        """
        if others:
            refuse_keywords(others)
        if ack is not None:
            return self.emit_flagged(event, args, ack, timeout=None, compress=True, volatile=False)
        check_event(event)
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("emit", _EMIT)
        if self._log is None:
            packet = self._encode(EVENT, self.nsp.name, [event, *args])
        elif self.state is PENDING:
            self._emit_when_accepted([event, *args], compress=True)
            return self._sent or self._remember_sent()
        else:
            packet = self._log.encode([event, *args], self.id)
        if self._outgoing is not None:
            packet.event = [event, *args]
        self.deliver(packet)
        return self._sent or self._remember_sent()

    def emit_flagged(
        self,
        event: str,
        args: tuple[Any, ...],
        ack: Function | None,
        *,
        timeout: float | None,
        compress: bool,
        volatile: bool,
    ) -> Completion:
        """Emit with flags (see ``FlaggedEmitter``)."""
        settle = None
        if ack is not None:
            settle = into_callback(self._runtime, ack, error_first=timeout is not None)
        self._emit(event, args, settle, timeout, compress=compress, volatile=volatile)
        return self._sent or self._remember_sent()

    def _emit(
        self,
        event: str,
        args: tuple[Any, ...],
        settle: AckCallback | None,
        timeout: float | None,
        *,
        compress: bool,
        volatile: bool,
    ) -> int | None:
        """Emit, and let ``settle`` take the answer; the id under which it will come."""
        check_event(event)
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("emit", _EMIT)
        ack_id = None
        if settle is not None:
            ack_id = next(self.nsp.ack_ids)
            packet = self._encode(EVENT, self.nsp.name, [event, *args], ack_id)
        elif self._log is None:
            packet = self.nsp.parts.encode_plain([event, *args])
        elif volatile:
            packet = self._log.encode([event, *args], _VOLATILE)
        elif self.state is PENDING:
            self._emit_when_accepted([event, *args], compress=compress)
            return None
        else:
            packet = self._log.encode([event, *args], self.id, compress=compress)
        packet.compress = compress
        if self._outgoing is not None:
            packet.event = [event, *args]
        if settle is not None and ack_id is not None:
            self.expect(ack_id, settle, timeout)
        if volatile:
            self.deliver_volatile(packet)
        else:
            self.deliver(packet)
        return ack_id

    def _emit_when_accepted(self, event: list[Any], *, compress: bool) -> None:
        """Keep an event until it can have an offset, which comes after those of what was missed."""
        packet = self.nsp.parts.encode_plain(event)
        packet.event = event
        packet.compress = compress
        self._wait_for_acceptance(packet, needs_offset=True)

    def send(self, *args: Any, ack: Function | None = None) -> Completion:
        """Emit the event ``message``."""
        return self.emit("message", *args, ack=ack)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Emit an event and wait for the answer: one value, a tuple of several, or ``None``.

        Raises ``AckTimeout`` after ``timeout`` seconds, ``Disconnected`` if the client
        leaves first.
        """
        if timeout is not None:
            duration("timeout", timeout)
        return await self.ask_flagged(event, args, timeout=timeout, compress=True, volatile=False)

    async def ask_flagged(
        self,
        event: str,
        args: tuple[Any, ...],
        *,
        timeout: float | None,
        compress: bool,
        volatile: bool,
    ) -> Any:
        """Emit with flags, and wait for the answer (see ``FlaggedEmitter``)."""
        answer: asyncio.Future[Any] = self._runtime.loop.create_future()
        settle = into_future(answer)
        ack_id = self._emit(event, args, settle, timeout, compress=compress, volatile=volatile)
        try:
            return await answer
        except asyncio.CancelledError:
            if ack_id is not None:
                self.forget(ack_id)
            raise

    @property
    def volatile(self) -> SocketEmitter:
        """Drop the event if the client cannot take it at once."""
        return SocketEmitter(self, volatile=True)

    def compress(self, compress: bool) -> SocketEmitter:
        """Whether the event may be compressed (it may, unless this says ``False``)."""
        return SocketEmitter(self, compress=compress)

    def binary(self, binary: bool) -> SocketEmitter:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return SocketEmitter(self)

    def timeout(self, seconds: float) -> SocketEmitter:
        """Emit with a limit for the acknowledgement.

        ``socket.timeout(5).emit("event", ack=callback)`` calls ``callback(error, *answer)``.
        """
        return SocketEmitter(self).timeout(seconds)

    # -- rooms, broadcasting ------------------------------------------------------------

    def join(self, rooms: Rooms, *, other_ids: bool = False) -> Completion:
        """Join a room or several.

        A room named like the id of another socket is refused (``ConfigurationError``), since
        who is in it receives what is sent to that socket alone; ``other_ids`` allows it.
        """
        names = room_names(rooms)
        if not other_ids:
            self.nsp.parts.check_rooms(names, self.id)
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("join", _JOIN)
        if self.state is PENDING:
            self._early_rooms = [*(self._early_rooms or ()), *names]
        elif self.state is CONNECTED:
            self.nsp.adapter.join(self.id, names)
        return self._sent or Completion(self, self.wait_writable)

    def leave(self, rooms: Rooms) -> Completion:
        """Leave a room or several."""
        names = room_names(rooms)
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("leave", _LEAVE)
        if self.state is PENDING:
            self._early_rooms = [n for n in self._early_rooms or () if n not in names]
        elif self.state is CONNECTED:
            self.nsp.adapter.leave(self.id, names)
        return self._sent or Completion(self, self.wait_writable)

    @property
    def broadcast(self) -> BroadcastOperator:
        """To every socket in the namespace but this one."""
        target = BroadcastTarget(excluded=frozenset((self.id,)))
        return BroadcastOperator(self.nsp.parts, target)

    # -- middleware, tasks, threads -----------------------------------------------------

    def use(self, middleware: M) -> M:
        """Register a packet middleware: ``middleware(event, args)``, plain or async.

        Raising keeps the event from its handlers and fires ``error``, and so does returning
        anything but ``None`` or ``True``. ``args`` is the list of arguments; it may be
        changed in place.
        """
        check(middleware, "(event, args)", 2)
        self.dispatch.own_interceptors().middlewares.append(middleware)
        return middleware

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task that is cancelled when the socket disconnects."""
        self._runtime.here("spawn", "use io.threadsafe.call(socket.spawn, coroutine)")
        if self._tasks is None:
            self._tasks = Tasks(self)
        task = self._tasks.start(self._runtime.loop, coro)
        if self.state is DISCONNECTED:
            task.cancel()
        return task

    @property
    def threadsafe(self) -> ThreadsafeSocket:
        """These calls for any other thread, such as that of a ``thread=True`` handler.

        ``socket.threadsafe.emit_with_ack("event", timeout=5)`` waits for the answer there.
        """
        return ThreadsafeSocket(self._runtime, self, SocketEmitter(self))
