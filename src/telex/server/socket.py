"""Sockets: one client in one namespace."""

from __future__ import annotations

import asyncio
import logging
from _thread import get_ident
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Never, Protocol, TypeVar

from .._log import connections, logger, shown
from ..adapter.base import Adapter, BroadcastTarget, Kept, Restored, Sessions
from ..config import duration, refuse_keywords
from ..engine.reasons import TRANSPORT_CLOSE
from ..engine.session import Session
from ..engine.session_core import OPEN
from ..errors import AckTimeout, Disconnected, PacketError
from ..events.acks import into_callback, into_future
from ..events.dispatch import Dispatch
from ..events.failures import ExceptionHandlers
from ..events.handlers import Function, Handler
from ..events.interceptors import PacketMiddleware
from ..events.listeners import Listening
from ..events.pending_acks import AckCallback
from ..events.reserved import check_event
from ..events.runtime import Runtime
from ..events.tasks import Tasks
from ..ids import tag
from ..loop.results import Completion
from ..parser.packet import ACK, CONNECT_ERROR, DISCONNECT, EVENT, ack_arguments
from ..types import Request
from ..wire import EncodedPacket
from .broadcast import BroadcastContext, BroadcastOperator, Rooms, room_names
from .engine_socket import EngineSocket
from .handshake import Handshake
from .middleware import check
from .server_api import ServerApi
from .socket_emitter import Broadcasting, SocketEmitter
from .threadsafe import ThreadsafeSocket

M = TypeVar("M", bound=PacketMiddleware)
T = TypeVar("T")

HIGH_WATER = 64 * 1024
"""Above so many queued bytes an awaited ``emit`` waits until the client has read."""

RECOVERABLE = frozenset(
    {
        "transport error",
        "over max_http_buffer_size",
        "transport close",
        "forced close",
        "forced server close",
        "ping timeout",
        "server shutting down",
    }
)
"""The reasons after which a client may come back to its session."""

REFUSED = "refused"
"""The reason of a socket that the middlewares have not let in."""

_NO_ROOMS: AbstractSet[str] = frozenset()
_EMIT, _JOIN, _LEAVE, _DISCONNECT = (
    f"use socket.threadsafe.{call}(), or io.threadsafe for many sockets"
    for call in ("emit", "join", "leave", "disconnect")
)
_VOLATILE = BroadcastTarget(volatile=True)
PENDING, CONNECTED, DISCONNECTED = "pending", "connected", "disconnected"


class SocketClient(Protocol):
    """The connection that a socket shares with the client's other sockets (Node: ``Client``)."""

    @property
    def id(self) -> str: ...

    @property
    def sockets(self) -> list[Socket]: ...

    @property
    def session(self) -> Session: ...

    @property
    def conn(self) -> EngineSocket: ...

    @property
    def request(self) -> Request: ...

    @property
    def revision(self) -> int: ...

    def disconnect(self) -> None: ...

    def departed(self, socket: Socket, tasks: int, size: int) -> None: ...

    def settled(self, socket: Socket) -> None: ...


class SocketNamespace(Protocol):
    """The namespace that a socket belongs to."""

    @property
    def name(self) -> str: ...

    @property
    def adapter(self) -> Adapter: ...

    @property
    def parts(self) -> BroadcastContext: ...

    @property
    def ack_ids(self) -> Iterator[int]: ...

    @property
    def sockets(self) -> Mapping[str, Socket]: ...

    @property
    def events(self) -> Mapping[str, tuple[Handler, ...]]: ...

    @property
    def exceptions(self) -> ExceptionHandlers: ...

    @property
    def server(self) -> ServerApi: ...

    def unhandled(self, event: Any) -> None: ...

    def emit(self, event: str, *args: Any) -> Awaitable[None]: ...

    def send(self, *args: Any) -> Awaitable[None]: ...

    def to(self, rooms: Rooms) -> BroadcastOperator: ...

    def in_(self, rooms: Rooms) -> BroadcastOperator: ...

    def except_(self, rooms: Rooms) -> BroadcastOperator: ...


class Deliver(Protocol):
    """Queues a packet for a client."""

    def __call__(self, packet: EncodedPacket, /) -> object: ...


class Socket(Listening, Broadcasting[BroadcastOperator]):
    """One client in one namespace.

    Made by the server; handlers receive it. Users may set attributes of their own.
    Methods take effect when they are called; awaiting what they return is optional.

    ``id`` names it to others, and is the room that it is always in. A client of Socket.IO 1
    or 2 takes its id from the engine's handshake, so that ``id`` is (or ends with) its
    session id: whoever knows it can act for the client while it uses long-polling. Do not
    show it to others, unless the server has ``id_source="random_for_all"``: then ``id`` is
    random, and such a client knows another one (its session id) as its own.
    """

    __slots__ = (
        "__dict__",
        "__weakref__",
        "_acks",
        "_closed",
        "_data",
        "_early",
        "_early_rooms",
        "_encode",
        "_last_rooms",
        "_log",
        "_pid",
        "_returned",
        "_runtime",
        "_sent",
        "_session",
        "_tasks",
        "client",
        "deliver",
        "handshake",
        "id",
        "nsp",
        "recovered",
        "state",
    )

    deliver: Deliver

    def __init__(
        self,
        sid: str,
        nsp: SocketNamespace,
        client: SocketClient,
        handshake: Handshake,
        runtime: Runtime,
        closed: Callable[[Socket], None],
        pid: str | None = None,
    ) -> None:
        self.id = sid
        self.nsp = nsp
        self.client = client
        self.handshake = handshake
        self.recovered = False
        self.state = PENDING  # until the middlewares have let it in
        self.deliver = self._deliver_later
        self.dispatch = Dispatch(self, client.session, runtime, nsp.events, nsp.exceptions)
        self._session = client.session
        self._runtime = runtime
        self._encode = runtime.parser.encode
        self._closed = closed
        self._data: Any = None
        self._early: list[tuple[EncodedPacket, bool]] | None = None
        self._early_rooms: list[str] | None = None
        self._last_rooms: AbstractSet[str] = _NO_ROOMS
        self._acks: dict[int, AckCallback] | None = None
        self._sent: Completion | None = None
        self._outgoing = None
        self._tasks: Tasks | None = None
        self._log: Sessions | None = nsp.adapter.sessions if client.revision == 5 else None
        self._pid = pid
        self._returned: Restored | None = None

    def __repr__(self) -> str:
        name = self.id
        if name.endswith(self._session.id):  # a credential, which has no place in a log
            name = f"of connection {tag(self._session.id)}"
        return f"<Socket {name} of {self.nsp.name!r} {self.state}>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def connected(self) -> bool:
        """Whether the client has been accepted and has not left."""
        return self.state is CONNECTED

    @property
    def disconnected(self) -> bool:
        """The opposite of ``connected``."""
        return self.state is not CONNECTED

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

    @property
    def data(self) -> Any:
        """Data of the user's, an empty dict at first; ``fetch_sockets`` shows it to others."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    @property
    def rooms(self) -> AbstractSet[str]:
        """The rooms that the socket is in, its own first: a live set."""
        if self.state is CONNECTED:
            return self.nsp.adapter.rooms_of(self.id)
        if self.state is PENDING:
            return dict.fromkeys(self._early_rooms or ()).keys()
        return self._last_rooms

    def describe(self) -> dict[str, Any]:
        """The form in which other servers see the socket."""
        return {
            "id": self.id,
            "handshake": self.handshake.to_dict(),
            "rooms": list(self.rooms),
            "data": self.data,
        }

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
            self._expect(ack_id, settle, timeout)
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

    def _remember_sent(self) -> Completion:
        self._sent = Completion(self, self.wait_writable)
        return self._sent

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

    def _deliver_later(self, packet: EncodedPacket) -> None:
        """What is emitted before the socket has been accepted is sent when it is."""
        self._wait_for_acceptance(packet, needs_offset=False)

    def _wait_for_acceptance(self, packet: EncodedPacket, *, needs_offset: bool) -> None:
        if self._early is None:
            self._early = []
        self._early.append((packet, needs_offset))

    def _deliver_early(self) -> None:
        early, self._early = self._early, None
        for packet, needs_offset in early or ():
            if needs_offset and packet.event is not None and self._log is not None:
                event = packet.event
                packet = self._log.encode(event, self.id, compress=packet.compress)
                packet.event = event
            self.deliver(packet)

    def _deliver_watched(self, packet: EncodedPacket) -> None:
        """Show a packet to the outgoing listeners, then send it."""
        self._show(packet)
        self._session.send(self._readable(packet))

    def _deliver_readable(self, packet: EncodedPacket) -> None:
        self._session.send(self._readable(packet))

    def _readable(self, packet: EncodedPacket) -> EncodedPacket:
        """Clients of Socket.IO 1 and 2 cannot recover: the offset would be an argument to them."""
        if self._log is None:
            return packet.without_offset(self.nsp.parts.encode_plain)
        return packet

    def _show(self, packet: EncodedPacket) -> None:
        if packet.event is not None:
            self.show_outgoing(packet.event)

    def watch_outgoing(self) -> None:
        """The first listener of ``on_any_outgoing`` has come."""
        if self.state is CONNECTED and self.deliver is not _drop:
            self.deliver = self._deliver_watched

    def deliver_volatile(self, packet: EncodedPacket) -> None:
        """Send a packet if the client can take it now, drop it otherwise."""
        if self.state is not CONNECTED or self.deliver is _drop:
            return
        if self._outgoing is not None:
            self._show(packet)
        self._session.send_volatile(self._readable(packet))

    async def wait_writable(self) -> None:
        """Wait until the client has taken enough of what is queued for it."""
        session = self._session
        if session.queued > HIGH_WATER:
            session.flush()
        while session.queued > HIGH_WATER and self.state is CONNECTED:
            drained = asyncio.Event()
            session.when_drained(drained.set)
            await drained.wait()

    # -- acknowledgements -----------------------------------------------------------------

    def expect(self, ack_id: int, settle: AckCallback) -> None:
        """Call ``settle`` with the client's answer to ``ack_id``, or with ``Disconnected``."""
        if self.state is DISCONNECTED:
            settle(None, Disconnected("the socket is not connected"))
            return
        if self._acks is None:
            self._acks = {}
        self._acks[ack_id] = settle
        self.dispatch.read_on()

    def forget(self, ack_id: int) -> None:
        """An answer is not waited for any more."""
        if self._acks is not None:
            self._acks.pop(ack_id, None)

    @property
    def expects_answers(self) -> bool:
        """Whether the client owes acknowledgements."""
        return bool(self._acks)

    def _expect(self, ack_id: int, settle: AckCallback, timeout: float | None) -> None:
        if timeout is None:
            self.expect(ack_id, settle)
            return

        def expire() -> None:
            if self._acks is not None and self._acks.pop(ack_id, None) is not None:
                settle(None, AckTimeout(f"no acknowledgement within {timeout} s"))

        timer = self._runtime.call_later(timeout, expire)

        def settle_in_time(args: list[Any] | None, error: Exception | None) -> None:
            timer.cancel()
            settle(args, error)

        self.expect(ack_id, settle_in_time)

    def receive_ack(self, ack_id: int | None, text: str | None, data: Any) -> None:
        """Handle an ACK packet; an id that nobody waits for is ignored."""
        if text is not None:
            data = self._runtime.parser.loads(text)
        elif data is None and ack_id is None:
            return
        args = ack_arguments(data)
        settle = self._acks.pop(ack_id, None) if self._acks and ack_id is not None else None
        if settle is not None:
            settle(args, None)

    def answer(self, ack_id: int, result: Any) -> None:
        """Acknowledge an event: with nothing, one value, or a tuple of several."""
        if result is None:
            args: list[Any] = []
        else:
            args = list(result) if result.__class__ is tuple else [result]
        try:
            packet = self._encode(ACK, self.nsp.name, args, ack_id)
        except Exception as error:  # from the user's own `model_dump`, say
            text = "what a handler of %s has returned cannot be sent as the acknowledgement"
            logger.error(text, shown(self), exc_info=error)
            self.dispatch.fire("error", error)
            failure = {"type": "HandlerError", "message": "the handler failed"}
            packet = self._encode(ACK, self.nsp.name, [{"error": failure}], ack_id)
        self.deliver(packet)

    # -- rooms --------------------------------------------------------------------------

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
    def threadsafe(self) -> ThreadsafeSocket:
        """The same calls for any other thread, such as that of a ``thread=True`` handler.

        ``socket.threadsafe.emit_with_ack("event", timeout=5)`` waits for the answer there.
        """
        return ThreadsafeSocket(self._runtime, self, SocketEmitter(self))

    # -- broadcasting ---------------------------------------------------------------------

    @property
    def broadcast(self) -> BroadcastOperator:
        """To everybody in the namespace but this socket."""
        target = BroadcastTarget(excluded=frozenset((self.id,)))
        return BroadcastOperator(self.nsp.parts, target)

    # -- packet middleware, tasks -----------------------------------------------------

    def use(self, middleware: M) -> M:
        """Register a packet middleware: ``middleware(event, args)``, plain or async.

        Raising keeps the event from its handlers and fires ``error``, and so does returning
        anything but ``None`` or ``True``. ``args`` is the list of arguments; it may be
        changed in place.
        """
        check(middleware, "(event, args)", 2)
        self.dispatch.own_interceptors().middlewares.append(middleware)
        return middleware

    def refused(self, error: Exception) -> None:
        """A packet middleware has refused an event; clients of Socket.IO 1 and 2 are told."""
        self.dispatch.fire("error", error)
        if self.client.revision == 4:
            data = getattr(error, "data", None)
            answer = str(error) if data is None else data
            self.deliver(self._encode(CONNECT_ERROR, self.nsp.name, answer))

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task that is cancelled when the socket disconnects."""
        self._runtime.here("spawn", "use io.threadsafe.call(socket.spawn, coroutine)")
        if self._tasks is None:
            self._tasks = Tasks(self)
        task = self._tasks.start(self._runtime.loop, coro)
        if self.state is DISCONNECTED:
            task.cancel()
        return task

    # -- life -------------------------------------------------------------------------------

    def accepted(self, packet: EncodedPacket) -> None:
        """The namespace has let the socket in; ``packet`` tells the client."""
        self.state = CONNECTED
        session = self._session
        if self._log is not None and self._pid is not None:
            self._begin(self._log, self._pid)
        session.send(packet)
        if self.state is not CONNECTED:
            return  # what was missed was too much at once: the session has ended
        if self._outgoing is not None:
            self.deliver = self._deliver_watched
        elif self._log is None and self.nsp.adapter.sessions is not None:
            self.deliver = self._deliver_readable
        else:
            self.deliver = session.send
        self._deliver_early()
        if self._early_rooms:
            self.nsp.adapter.join(self.id, self._early_rooms)
            self._early_rooms = None

    def _begin(self, log: Sessions, pid: str) -> None:
        """From now on, what is sent is kept for this socket; one that is back gets its own."""
        returned, self._returned = self._returned, None
        if returned is None:
            log.begin(pid, self.id, self._cut)
            return
        adapter, wanted = self.nsp.adapter, self._early_rooms or []
        adapter.join(self.id, returned.rooms - {self.id})
        if self.id not in returned.rooms:
            adapter.leave(self.id, (self.id,))
        returned.begin(self._cut)
        adapter.leave(self.id, returned.rooms.difference(wanted, (self.id,)))
        # Socket.IO, connection state recovery: what was missed comes before CONNECT.
        for missed in returned.missed():
            self._session.send(missed)

    def restore(self, returned: Restored) -> None:
        """The client has come back in time: the socket begins where the old one ended."""
        self.recovered = True
        self._returned = returned
        self._data = returned.data
        self._early_rooms = [room for room in returned.rooms if room != self.id]
        returned.hold(self._cut)

    def outdated(self) -> bool:
        """Whether something was forgotten, while the middlewares ran, that the client has missed.

        Its connection is cut then: it begins a new session with the next one.
        """
        returned = self._returned
        if returned is None or returned.complete():
            return False
        self._returned = None
        self._cut()
        return True

    def _cut(self) -> None:
        """The client is back on another connection: this one is dead."""
        self._session.end(TRANSPORT_CLOSE)

    @property
    def pid(self) -> str | None:
        """The secret with which the client may come back, if recovery is on."""
        return self._pid

    def rejected(self, packet: EncodedPacket) -> None:
        """The namespace has not let the socket in; ``packet`` tells the client."""
        self._session.send(packet)
        self.closed(REFUSED)

    def run_connection_handlers(self, handlers: Iterable[Handler]) -> None:
        """Run the handlers of ``connection``; the client's events wait until they are done."""
        self.dispatch.run_connection_handlers(handlers, self._connection_failed)

    def _connection_failed(self, error: BaseException | None) -> None:
        if error is not None:
            logger.error("a connection handler failed; its socket is disconnected", exc_info=error)
        self.disconnect()

    def disconnect(self, close: bool = False) -> Completion:
        """Disconnect this socket; with ``close``, the whole connection of its client."""
        self._runtime.here("disconnect", _DISCONNECT)
        if close:
            self.client.disconnect()
        elif self.state is not DISCONNECTED:
            self._session.send(self._encode(DISCONNECT, self.nsp.name))
            self.closed("server namespace disconnect")
        return self._sent or self._remember_sent()

    def silence(self) -> None:
        """Send nothing any more: the socket is one of many that are going to be disconnected."""
        self.deliver = _drop

    def closed(self, reason: str) -> None:
        """The socket has left, for this reason. Told once; later calls have no effect.

        Events that had arrived before are still handled; then the handlers of
        ``disconnecting`` see the rooms as they were, then those of ``disconnect`` run.
        """
        if self.state is DISCONNECTED:
            return
        was_connected = self.state is CONNECTED
        if was_connected and connections.isEnabledFor(logging.INFO):
            connections.info("%s: left, %s", shown(self), shown(reason))
        if was_connected:
            self._last_rooms = dict.fromkeys(self.nsp.adapter.rooms_of(self.id)).keys()
        if self._log is not None and self._pid is not None:
            self._keep(self._log, self._pid, reason)
        self.state = DISCONNECTED
        self.deliver = _drop
        self._early = None
        self._closed(self)
        acks, self._acks = self._acks, None
        for settle in (acks or {}).values():
            settle(None, Disconnected(reason))
        if self._tasks is not None:
            self._tasks.cancel()
        dispatch = self.dispatch
        if was_connected:
            dispatch.leave(reason)
        if self._session.state is not OPEN:
            return
        # The client stays, and may come back as another socket: what still runs is counted.
        tasks, size = dispatch.load
        if not was_connected and reason != REFUSED:
            tasks = 1  # a middleware has not decided yet
        if tasks:
            self.client.departed(self, tasks, size)

    def _keep(self, log: Sessions, pid: str, reason: str) -> None:
        """Let the client come back, if it has not left on purpose and was not sent away."""
        kept = None
        if reason in RECOVERABLE and self.state is CONNECTED and self.deliver is not _drop:
            kept = Kept(self._last_rooms, self._data, self._session.confirmed)
        elif self._returned is not None and (reason in RECOVERABLE or reason == REFUSED):
            self._returned.give_back()
            return
        log.persist_session(pid, self.id, kept)

    def unhandled(self, event: Any) -> None:
        """Nobody listens to an event that has come: is somebody in the wrong place?"""
        self.nsp.unhandled(event)

    def left(self) -> None:
        """The handlers of ``disconnecting`` have run: the rooms are gone."""
        self._last_rooms = _NO_ROOMS
        self.dispatch = self.dispatch.retired()

    def settled(self) -> None:
        """Neither a handler nor a middleware of the socket runs any more."""
        if self.state is DISCONNECTED:
            self.client.settled(self)

    def decode_failed(self, error: PacketError) -> None:
        """The client sent what cannot be decoded; the connection is about to be closed."""
        self.dispatch.fire("error", error)


def _drop(packet: EncodedPacket) -> None:
    """What is emitted to a socket that has left goes nowhere."""
