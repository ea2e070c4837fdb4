"""Client sockets: one namespace of a server."""

from __future__ import annotations

import asyncio
import time
from _thread import get_ident
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from inspect import isawaitable
from typing import Any, ClassVar, Never, Protocol, Self, TypeVar, overload
from urllib.parse import urlencode

from .._log import logger, shown
from ..config import duration, refuse_keywords
from ..engine.client_host import Details
from ..errors import (
    ConfigurationError,
    ConnectError,
    Disconnected,
    EncodeError,
    PacketError,
    TransportError,
)
from ..events.acks import Ack, into_callback, into_future
from ..events.dispatch import Dispatch
from ..events.flags import FlaggedEmitter
from ..events.handlers import Function, Handler
from ..events.inbox import weight_of
from ..events.listeners import Listening
from ..events.pending_acks import AckCallback, Acks
from ..events.reserved import check_event
from ..events.runtime import Runtime
from ..events.tasks import Tasks
from ..events.threadsafe import Handed, ThreadsafeEmitter
from ..loop.cancellation import reraise_fatal
from ..loop.results import Completion
from ..parser.packet import (
    ACK,
    CONNECT,
    CONNECT_ERROR,
    DISCONNECT,
    EVENT,
    Packet,
    ack_arguments,
    event_arguments,
)
from ..wire import EncodedPacket
from .engine import ClientEngine
from .offsets import is_offset
from .options import Auth, ClientOptions
from .outbox import Outgoing, Retried, RetryQueue
from .receive_queue import HEAVIEST, ReceiveQueue
from .session_host import running_loop

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

IO_CLIENT_DISCONNECT = "io client disconnect"
IO_SERVER_DISCONNECT = "io server disconnect"

_RETURN = 0.25
"""How long a server of Socket.IO 2 may take to let us into ``/`` again, in seconds."""

_OLD_SERVER = (
    "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they"
    " are not compatible: connect with protocol=4"
)


class Connection(Protocol):
    """The manager, as its sockets see it."""

    @property
    def options(self) -> ClientOptions: ...

    @property
    def runtime(self) -> Runtime: ...

    @property
    def engine(self) -> ClientEngine | None: ...

    @property
    def ready_state(self) -> str: ...

    @property
    def reconnecting(self) -> bool: ...

    @property
    def expects_answers(self) -> bool: ...

    @property
    def greeted(self) -> bool: ...

    def greet(self) -> None: ...

    def read_on(self) -> None: ...

    def open(self) -> object: ...

    def leave(self, socket: ClientSocket) -> None: ...

    def send(self, packet: EncodedPacket) -> None: ...

    def hold(self, socket: ClientSocket) -> None: ...

    def release(self, socket: ClientSocket) -> None: ...

    async def wait_closed(self) -> None: ...


class ReceivedEvent(list[Any]):
    """An event for those who ask: ``[name, *arguments]``.

    ``ack`` answers it, if the server ``asked`` for an acknowledgement; otherwise it does
    nothing.
    """

    ack: Callable[..., None]
    asked: bool


class ClientSocket(Listening):
    """One namespace of a server.

    Events: ``connect()``, ``connect_error(error)``, ``disconnect(reason, details)``, what the
    server emits, and ``error(exception)`` when a handler of ours fails. As in Socket.IO 2,
    ``reconnect(attempt)``, ``reconnect_attempt(attempt)``, ``reconnect_error(error)``,
    ``reconnect_failed()``, ``ping()`` and ``pong(latency)`` of the connection are fired here,
    too. Methods take effect when they are called; awaiting what they return is optional.
    """

    lifecycle_events: ClassVar[Mapping[str, int]] = {
        "connect": 0,
        "connect_error": 1,
        "disconnect": 2,
        "error": 1,
        "ping": 0,
        "pong": 1,
        "reconnect": 1,
        "reconnect_attempt": 1,
        "reconnect_error": 1,
        "reconnect_failed": 0,
        "reconnecting": 1,
    }

    def __init__(
        self,
        io: Connection,
        nsp: str,
        *,
        auth: Auth,
        ack_timeout: float | None,
        retries: int | None,
    ) -> None:
        if io.options.protocol == 4 and nsp == "/" and auth is not None:
            raise ConfigurationError("servers of Socket.IO 2 read query=, not auth=, in '/'")
        self.io: Any = io
        self.nsp = nsp
        self.auth = auth
        self.id: str | None = None
        self.connected = False
        self.recovered = False
        self.active = False
        self.ack_timeout = ack_timeout
        self._manager = io
        self._runtime = io.runtime
        self._encode = io.runtime.parser.encode
        self._loads = io.runtime.parser.loads
        self._exceptions: dict[type[BaseException], Handler] = {}
        self.dispatch = Dispatch(self, _Throttle(self), io.runtime, {}, self._exceptions)
        self._outgoing: list[Handler] | None = None
        self._acks = Acks()
        self._retries = RetryQueue(retries, self) if retries else None
        self._buffer: list[Outgoing] = []
        self._early_weight = 0
        self._early: list[tuple[int | None, list[Any], str | None]] = []
        self._mail: ReceiveQueue[ReceivedEvent] = ReceiveQueue(io.options.receive_limit)
        self._tasks: Tasks | None = None
        self._pid: str | None = None
        self._offset: str | None = None
        self._reason = "not connected"
        self._fetching: asyncio.Task[Any] | None = None
        self._verdicts: list[asyncio.Future[None]] = []
        self._ends: list[asyncio.Future[None]] = []
        self._ever_connected = False
        self._joins = 0
        self._asking: object = None
        self._asked: ClientEngine | None = None
        self._left: ClientEngine | None = None
        self._doubting = False
        self._unwanted = False
        self._last_error: ConnectError | None = None
        self._mail.close(self._reason)

    def __repr__(self) -> str:
        state = "connected" if self.connected else "disconnected"
        return f"<ClientSocket {self.nsp!r} {state}>"

    @property
    def disconnected(self) -> bool:
        """The opposite of ``connected``."""
        return not self.connected

    # -- connecting -------------------------------------------------------------------------

    def connect(self) -> Completion:
        """Connect (JavaScript: also ``open``). Awaiting the result waits as ``await socket``."""
        self._here("connect")
        if not self.connected and not self.active:
            running_loop()
            self.active = True
            self._last_error = None
            self._mail.reopen()
            if not self._manager.reconnecting:
                self._manager.open()
            if self._manager.ready_state == "open":
                self.opened()
        return Completion(self, self._wait_connected)

    open = connect

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._wait_connected().__await__()
        return self

    async def _wait_connected(self) -> None:
        """Wait for the verdict: connected, or ``ConnectError``."""
        if not self.connected and not self.active:
            error, self._last_error = self._last_error, None
            if error is not None:
                raise error  # once: who awaits again means another attempt
            self.connect()
        if not self.connected:
            verdict: asyncio.Future[None] = running_loop().create_future()
            self._verdicts.append(verdict)
            try:
                await verdict
            except ConnectError:
                await self._manager.wait_closed()
                raise
            finally:
                if verdict in self._verdicts:
                    self._verdicts.remove(verdict)

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            await self.disconnect()
            raise

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect()

    def _settle(self, error: Exception | None) -> None:
        verdicts, self._verdicts = self._verdicts, []
        for verdict in verdicts:
            if verdict.done():
                continue
            self._last_error = None
            if error is None:
                verdict.set_result(None)
            else:
                verdict.set_exception(error)

    def opened(self) -> None:
        """The connection to the server is open: join the namespace."""
        self._manager.read_on()
        if self._manager.options.protocol == 4 and self.nsp == "/":
            self._join_root()
            return
        if self._asked is not None and self._asked is self._manager.engine:
            return  # the answer to the earlier request comes first
        self._unwanted = False
        self._asking = asking = object()
        if callable(self.auth):
            self._stop_fetching()
            self._fetching = self._runtime.start(self._ask_and_join(self.auth, asking))
        else:
            self._join(self.auth)

    def _stop_fetching(self) -> None:
        fetching, self._fetching = self._fetching, None
        if fetching is not None and fetching is not asyncio.current_task():
            fetching.cancel()

    async def _ask_and_join(self, auth: Callable[[], Any], asking: object) -> None:
        try:
            found = auth()
            if isawaitable(found):
                found = await found
        except BaseException as error:
            logger.error(
                "the auth callable of %s failed", shown(self), exc_info=reraise_fatal(error)
            )
            if asking is self._asking:
                refusal = ConnectError(f"the auth callable failed: {type(error).__name__}")
                refusal.__cause__ = error
                self._refused(refusal)
            return
        if asking is self._asking:
            self._join(found)

    def _join_root(self) -> None:
        """Socket.IO 2: everybody is in ``/`` from the beginning, unless they have left."""
        engine = self._manager.engine
        if self._left is engine:
            self._manager.send(self._encode(CONNECT, self.nsp))  # often without an answer
            self._runtime.loop.call_later(_RETURN, self._claim_root, engine)
        elif self._manager.greeted:
            self._runtime.loop.call_soon(self._claim_root, engine)

    def _claim_root(self, engine: ClientEngine | None) -> None:
        if self.active and engine is self._manager.engine:
            self._connect_answered(None)

    def _join(self, auth: Any) -> None:
        try:
            packet = self._connect_packet(auth)
        except (EncodeError, TypeError, ValueError) as error:
            self._refused(ConnectError(f"auth must be a dict that can be sent: {error}"))
        else:
            self._asked = self._manager.engine
            self._manager.send(packet)

    def _connect_packet(self, auth: Any) -> EncodedPacket:
        if self._manager.options.protocol == 4:  # Socket.IO 2 reads a query
            query = urlencode(auth) if auth else ""
            return self._encode(CONNECT, f"{self.nsp}?{query}" if query else self.nsp)
        data: dict[str, Any] = {}
        if self._pid is not None:
            data["pid"] = self._pid
            if self._offset is not None:
                data["offset"] = self._offset
        if auth is not None:
            data.update(auth)
        return self._encode(CONNECT, self.nsp, data or None)

    def _joined(self, sid: str | None, pid: Any) -> None:
        """The server has let us in."""
        self.id = sid
        self.recovered = pid is not None and pid == self._pid
        self._pid = pid if isinstance(pid, str) else None
        if not self.recovered:
            self._offset = None
        self.connected = True
        self._ever_connected = True
        self._last_error = None
        self._joins += 1
        early, self._early = self._early, []
        self._early_weight = 0
        for ack_id, event, offset in early:
            if self.connected:
                self._deliver(ack_id, event, offset)
        self._send_waiting()
        if self._retries is not None:
            self._retries.drain()
        if self.connected:
            self.dispatch.lifecycle("connect")
        if self.connected:
            self._settle(None)

    def _send_waiting(self) -> None:
        """Send what has been emitted while there was no connection."""
        waiting, self._buffer = self._buffer, []
        for item in waiting:
            if self.connected:
                self._send(item.packet, item.event)
            else:
                self._buffer.append(item)

    # -- the end of a connection ------------------------------------------------------------

    def connection_failed(self, error: ConnectError) -> None:
        """The connection could not be made, or has an error."""
        if self.connected:
            return
        self._last_error = error
        if self._verdicts and not self._patient():
            self._give_up(error)
        self.dispatch.lifecycle("connect_error", error)

    def _patient(self) -> bool:
        """Whether whoever awaits the connection waits through failed attempts."""
        return self._manager.options.patient or self._ever_connected

    def gave_up(self) -> None:
        """The manager makes no further attempt."""
        if self.active and not self.connected:
            self._give_up(self._last_error or ConnectError("the attempts are used up"))

    def _give_up(self, error: Exception) -> None:
        """Whoever waits for the connection is told; nothing goes on behind their back."""
        self._leave(IO_CLIENT_DISCONNECT, error)

    def _refused(self, error: ConnectError) -> None:
        """The server has refused us; there is no use in trying again."""
        self._last_error = error
        self._leave(IO_SERVER_DISCONNECT, error)
        self.dispatch.lifecycle("connect_error", error)

    def connection_lost(self, reason: str, details: object) -> None:
        """The connection has gone; the manager may make another."""
        self._asked = None
        self._unplug(reason)
        if not self.io.reconnection:
            self.active = False
            self._finish(reason, Disconnected(reason))
        elif self._verdicts and not self._patient():
            error = ConnectError(reason)
            if isinstance(details, (Details, TransportError)):
                error.description, error.context = details.description, details.context
            self._give_up(error)
        self.dispatch.lifecycle("disconnect", reason, details)

    def _unplug(self, reason: str) -> None:
        """Be disconnected; ``disconnect`` is told when the rest has been settled."""
        self.connected = False
        self.id = None
        self._left = self._manager.engine
        self._early.clear()
        self._early_weight = 0
        self._asking = None
        self._acks.lost(reason, {item.ack_id for item in self._buffer})
        self.dispatch.read_on()

    def _leave(self, reason: str, error: Exception) -> None:
        """Need the connection no more."""
        self.active = False
        self._unwanted = self._asked is not None and self._asked is self._manager.engine
        self._early.clear()
        self._early_weight = 0
        self._asking = None
        self._finish(reason, error)
        self._manager.leave(self)

    def _finish(self, reason: str, error: Exception) -> None:
        """Not going to connect again by itself: nobody waits for ever."""
        self._reason = reason
        self._stop_fetching()
        self._mail.close(reason)
        self._settle(error)
        ends, self._ends = self._ends, []
        for end in ends:
            if not end.done():
                end.set_result(None)
        gone = Disconnected(reason)
        lost = self._acks.strict()
        self._buffer = [item for item in self._buffer if item.ack_id not in lost]
        self._acks.lost(reason, {item.ack_id for item in self._buffer})
        if self._retries is not None:
            self._retries.fail(gone)
        if self._tasks is not None:
            self._tasks.cancel()

    def disconnect(self) -> Completion:
        """Disconnect (JavaScript: also ``close``). It does not connect again by itself.

        Awaiting the result waits until the connection has gone, unless other sockets use it.
        """
        self._here("disconnect")
        if self.active:
            connected = self.connected
            self.dispatch.forget_waiting()
            if connected:
                self._manager.send(self._encode(DISCONNECT, self.nsp))
                self._unplug(IO_CLIENT_DISCONNECT)
            self._leave(IO_CLIENT_DISCONNECT, Disconnected(IO_CLIENT_DISCONNECT))
            if connected:
                self.dispatch.lifecycle("disconnect", IO_CLIENT_DISCONNECT, None)
        return Completion(self, self._manager.wait_closed)

    close = disconnect

    async def wait(self, timeout: float | None = None) -> str:
        """Wait until the socket is disconnected and will not come back by itself.

        Returns the reason. Raises ``TimeoutError`` after ``timeout`` seconds.
        """
        if self.active:
            end: asyncio.Future[None] = running_loop().create_future()
            self._ends.append(end)
            try:
                async with asyncio.timeout(timeout):
                    await end
            finally:
                if end in self._ends:
                    self._ends.remove(end)
        return self._reason

    # -- packets ----------------------------------------------------------------------------

    def receive_packet(self, packet: Packet) -> None:
        """Take a packet of this namespace. Raises ``PacketError`` if it is not well formed."""
        kind, _, ack_id, text, data = packet
        if kind in (CONNECT, CONNECT_ERROR):
            self._asked = None
        if not self.active or self._unwanted:
            self._refuse(kind)
            return
        if text is not None:
            data = self._loads(text)
        if kind == EVENT:
            self._event(ack_id, event_arguments(data))
        elif kind == ACK:
            if ack_id is not None:
                self._acks.settle(ack_id, ack_arguments(data))
        elif kind == CONNECT:
            self._connect_answered(data)
        elif kind == DISCONNECT:
            self._asked = None
            self._unplug(IO_SERVER_DISCONNECT)
            self._leave(IO_SERVER_DISCONNECT, Disconnected(IO_SERVER_DISCONNECT))
            self.dispatch.lifecycle("disconnect", IO_SERVER_DISCONNECT, None)
        elif kind == CONNECT_ERROR:
            self._error_packet(data)
        else:
            raise PacketError(f"a packet of type {kind} from a server")

    def _refuse(self, kind: int) -> None:
        """The namespace was left before the server had let us in: leave it now."""
        if self._unwanted and kind in (CONNECT, CONNECT_ERROR):
            self._unwanted = False
            if kind == CONNECT:
                self._manager.send(self._encode(DISCONNECT, self.nsp))
                self._left = self._manager.engine
            if self.active:
                self.opened()
        elif kind == CONNECT:
            self._manager.greet()

    def _connect_answered(self, data: Any) -> None:
        if self.connected:
            return
        if self._manager.options.protocol == 4:
            engine = self._manager.engine
            sid = None if engine is None else engine.id
            self._joined(sid if self.nsp == "/" or sid is None else f"{self.nsp}#{sid}", None)
            return
        answer: dict[str, Any] = data if data.__class__ is dict else {}
        sid = answer.get("sid")
        if isinstance(sid, str):
            self._joined(sid, answer.get("pid"))
        else:
            self._refused(ConnectError(_OLD_SERVER))

    def _error_packet(self, data: Any) -> None:
        error = _connect_error(data, self._manager.options.protocol)
        if self.connected:  # Socket.IO 2: a packet middleware has refused an event
            self.dispatch.lifecycle("error", error)
        else:
            self._refused(error)

    def _event(self, ack_id: int | None, event: list[Any]) -> None:
        offset: str | None = None
        if self._pid is not None and ack_id is None and len(event) > 1:
            last = event[-1]
            if last.__class__ is str and is_offset(last, time.time()):
                offset = event.pop()
        if self.connected:
            self._deliver(ack_id, event, offset)
        else:
            self._early.append((ack_id, event, offset))
            self._early_weight += weight_of(event)
            if self._early_weight > HEAVIEST:
                raise PacketError("too many events before CONNECT")

    def _deliver(self, ack_id: int | None, event: list[Any], offset: str | None) -> None:
        if offset is not None:
            self._offset = offset
        self._take(None if ack_id is None else _Owed(ack_id, self._joins), event)

    def _take(self, ack_id: int | None, event: list[Any]) -> None:
        """Hand an event to its handlers, or keep it for those who ask."""
        if self.dispatch.find(event[0]) is None:
            if self.dispatch.interceptors is not None:
                self.dispatch.receive(None, None, list(event))
            received = ReceivedEvent(event)
            received.asked = ack_id is not None
            received.ack = Ack(self._answer_later(ack_id))
            self._mail.put(received, weight_of(event))
        else:
            self.dispatch.receive(ack_id, None, event)

    def _answer_later(self, ack_id: int | None) -> Callable[[tuple[Any, ...]], None]:
        def answer(args: tuple[Any, ...]) -> None:
            if ack_id is not None:
                self._runtime.anywhere(self.answer, ack_id, args)

        return answer

    # -- what the dispatch asks for ---------------------------------------------------------

    def answer(self, ack_id: int, result: Any) -> None:
        """Acknowledge an event: with nothing, one value, or a tuple of several."""
        if not self.connected or (isinstance(ack_id, _Owed) and ack_id.joins != self._joins):
            return  # whoever asked has gone; the id may mean something else by now
        if result is None:
            args: list[Any] = []
        else:
            args = list(result) if result.__class__ is tuple else [result]
        try:
            packet = self._encode(ACK, self.nsp, args, int(ack_id))
        except Exception as error:  # from the user's own `model_dump`, say
            text = "what a handler of %s has returned cannot be sent as the acknowledgement"
            logger.error(text, shown(self), exc_info=error)
            self.dispatch.fire("error", error)
            failure = {"type": "HandlerError", "message": "the handler failed"}
            packet = self._encode(ACK, self.nsp, [{"error": failure}], int(ack_id))
        self._manager.send(packet)

    def refused(self, error: Exception) -> None:
        """A packet middleware has kept an event from its handlers."""
        self.dispatch.fire("error", error)

    def unhandled(self, event: Any) -> None:
        """Nothing to do: such events wait for ``receive``."""

    def left(self) -> None:
        """Nothing to do: a client socket lives on."""

    def settled(self) -> None:
        """Nothing to do: a client socket lives on."""

    @property
    def expects_answers(self) -> bool:
        """Whether the server owes acknowledgements, to this socket or its neighbours."""
        return self._manager.expects_answers

    @property
    def waits(self) -> bool:
        """Whether something is waited for that only the server can say."""
        return len(self._acks) > 0 or (self.active and not self.connected)

    # -- emitting ---------------------------------------------------------------------------

    def emit(
        self, event: str, *args: Any, ack: Function | None = None, **others: Never
    ) -> Completion:
        """Emit an event. Without a connection it is kept, and sent with the next one.

        ``ack`` is called with the server's answer; with ``ack_timeout`` or ``retries`` as
        ``ack(error, *answer)``. Awaiting the result waits until little is queued.
        """
        if others:
            refuse_keywords(others)
        self.emit_flagged(event, args, ack, timeout=None, compress=True, volatile=False)
        return Completion(self, self._wait_writable)

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
        strict = timeout is not None or self.ack_timeout is not None or self._retries is not None
        if ack is not None:
            settle = into_callback(self._runtime, ack, error_first=strict)
        self._emit(event, args, settle, timeout, strict, compress=compress, volatile=volatile)
        return Completion(self, self._wait_writable)

    def _emit(
        self,
        event: str,
        args: tuple[Any, ...],
        settle: AckCallback | None,
        timeout: float | None,
        strict: bool,
        *,
        compress: bool = True,
        volatile: bool = False,
    ) -> int | None:
        check_event(event)
        self._here("emit")
        self._runtime.bind(running_loop())
        if timeout is None:
            timeout = self.ack_timeout
        if self._retries is not None and not volatile:
            self._encode(EVENT, self.nsp, [event, *args])  # what cannot be sent fails here
            self._retries.add(Retried(event, args, settle, timeout, compress=compress))
            return None
        alive = self._alive()
        if volatile and not (alive and self._writable()):
            if settle is not None:
                settle(None, Disconnected("a volatile event was dropped"))
            return None
        payload = [event, *args]
        ack_id = None if settle is None else self._acks.next_id()
        packet = self._encode(EVENT, self.nsp, payload, ack_id)
        packet.compress = compress
        if settle is not None and ack_id is not None:
            self._acks.expect(
                ack_id, settle, strict=strict, timeout=timeout, expired=self._unbuffer
            )
            self._manager.read_on()
        if alive:
            self._send(packet, payload)
        else:
            self._buffer.append(Outgoing(packet, payload, ack_id))
            self._doubt()
        return ack_id

    def emit_try(self, item: Retried, settle: AckCallback) -> int:
        """One try of a socket with ``retries``."""
        ack_id = self._acks.next_id()
        payload = [item.event, *item.args]
        packet = self._encode(EVENT, self.nsp, payload, ack_id)
        packet.compress = item.compress
        self._acks.expect(ack_id, settle, strict=True, timeout=item.timeout, expired=None)
        self._manager.read_on()
        self._send(packet, payload)
        return ack_id

    def _send(self, packet: EncodedPacket, event: list[Any]) -> None:
        if self._outgoing is not None:
            self.show_outgoing(event)
        self._manager.send(packet)

    def forget(self, ack_id: int) -> None:
        """An acknowledgement is not waited for any more."""
        self._acks.forget(ack_id)

    def _alive(self) -> bool:
        """Whether what is sent now has a chance to arrive."""
        engine = self._manager.engine
        if engine is None or not self.connected or self._doubting:
            return False
        return not engine.session.heartbeat.overdue()

    def _doubt(self) -> None:
        """The server is overdue: look again when what has come meanwhile has been read."""
        engine = self._manager.engine
        if self.connected and engine is not None and not self._doubting:
            self._doubting = True
            engine.host.look_again(self._believe)

    def _believe(self) -> None:
        self._doubting = False
        if self.connected:
            self._send_waiting()

    def _writable(self) -> bool:
        engine = self._manager.engine
        return engine is not None and engine.session.writable

    def _unbuffer(self, ack_id: int) -> None:
        """Nobody waits for an acknowledgement any more: the event need not be sent."""
        self._buffer = [item for item in self._buffer if item.ack_id != ack_id]

    async def _wait_writable(self) -> None:
        engine = self._manager.engine
        if engine is not None and self.connected:
            await engine.host.wait_writable()

    def send(self, *args: Any, ack: Function | None = None) -> Completion:
        """Emit the event ``message``."""
        return self.emit("message", *args, ack=ack)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Emit an event and wait for the answer: one value, a tuple of several, or ``None``.

        Raises ``AckTimeout`` after ``timeout`` (or ``ack_timeout``) seconds, ``Disconnected``
        if the connection goes first. Without a connection the event waits for the next one.
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
        """Emit with flags, and wait for the answer."""
        answer: asyncio.Future[Any] = running_loop().create_future()
        settle = into_future(answer)
        ack_id = self._emit(
            event, args, settle, timeout, strict=True, compress=compress, volatile=volatile
        )
        try:
            return await answer
        except asyncio.CancelledError:
            if ack_id is not None:
                self._acks.forget(ack_id)
                self._unbuffer(ack_id)
            elif self._retries is not None:
                self._retries.cancel(settle)
            raise

    @property
    def volatile(self) -> FlaggedEmitter[ClientSocket]:
        """Drop the event if it cannot be sent at once."""
        return FlaggedEmitter(self, volatile=True)

    def compress(self, compress: bool) -> FlaggedEmitter[ClientSocket]:
        """Whether the event may be compressed."""
        return FlaggedEmitter(self, compress=compress)

    def binary(self, binary: bool) -> FlaggedEmitter[ClientSocket]:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return FlaggedEmitter(self)

    def timeout(self, seconds: float) -> FlaggedEmitter[ClientSocket]:
        """Emit with a limit for the acknowledgement, in seconds.

        ``socket.timeout(5).emit("event", ack=callback)`` calls ``callback(error, *answer)``.
        """
        return FlaggedEmitter(self, timeout=seconds)

    # -- receiving --------------------------------------------------------------------------

    @property
    def threadsafe(self) -> ThreadsafeClientSocket:
        """The same calls for any other thread, such as that of a ``thread=True`` handler.

        ``socket.threadsafe.emit_with_ack("event", timeout=5)`` waits for the answer there.
        """
        return ThreadsafeClientSocket(self._runtime, self, FlaggedEmitter(self))

    def _here(self, call: str) -> None:
        if get_ident() != self._runtime.thread:
            cure = f"use socket.threadsafe.{call}() (as io.threadsafe of servers), or telex.sync"
            self._runtime.elsewhere(call, cure)

    async def receive(self, timeout: float | None = None) -> ReceivedEvent:
        """The next event that no handler took: ``[name, *arguments]``.

        Raises ``Disconnected`` when the socket is disconnected and will not come back by
        itself, ``TimeoutError`` after ``timeout`` seconds.
        """
        return await self._mail.get(timeout)

    async def __aiter__(self) -> AsyncIterator[ReceivedEvent]:
        while True:
            try:
                event = await self._mail.get()
            except Disconnected:
                return
            yield event

    # -- handlers ---------------------------------------------------------------------------

    @overload
    def event(self, name: F) -> F: ...
    @overload
    def event(
        self, name: str | None = None, *, concurrent: bool = False, thread: bool = False
    ) -> Callable[[F], F]: ...
    def event(self, name: Any = None, *, concurrent: bool = False, thread: bool = False) -> Any:
        """Register a handler under its own name, or under a given one, as a decorator."""
        if callable(name):
            self.on(_name_of(name), name)
            return name

        def decorate(function: F) -> F:
            event = _name_of(function) if name is None else name
            self.on(event, function, concurrent=concurrent, thread=thread)
            return function

        return decorate

    def exception_handler(self, kind: type[BaseException]) -> Callable[[F], F]:
        """Register ``handler(exception)`` for what handlers raise, as a decorator.

        What it returns is the acknowledgement.
        """

        def decorate(function: F) -> F:
            self._exceptions[kind] = Handler(function, checked=False)
            return function

        return decorate

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task that ends when the socket is disconnected for good."""
        if self._tasks is None:
            self._tasks = Tasks(self)
        return self._tasks.start(running_loop(), coro)


class ThreadsafeClientSocket(ThreadsafeEmitter[ClientSocket, "FlaggedEmitter[ClientSocket]"]):
    """A socket of a client, for any thread: ``socket.threadsafe``."""

    __slots__ = ()

    def disconnect(self) -> Handed[None]:
        """Disconnect; waiting for the result waits until the connection has gone."""
        return self._done(self._socket.disconnect)


class _Owed(int):
    """The id of an acknowledgement that we owe over the connection on which it was asked."""

    def __new__(cls, ack_id: int, joins: int) -> Self:
        owed = super().__new__(cls, ack_id)
        owed.joins = joins
        return owed

    joins: int


class _Throttle:
    """What a dispatch sees of the connection: it can be held up."""

    __slots__ = ("_socket",)

    def __init__(self, socket: ClientSocket) -> None:
        self._socket = socket

    def pause(self) -> None:
        """The handlers are behind."""
        self._socket.io.hold(self._socket)

    def resume(self) -> None:
        """The handlers have caught up."""
        self._socket.io.release(self._socket)

    def end(self, reason: str) -> None:
        """Too much waits for the handlers."""
        engine = self._socket.io.engine
        if engine is not None:
            engine.session.end(reason)


def _connect_error(data: Any, protocol: int) -> ConnectError:
    """What a refusal says. Socket.IO 2 sends either a message or data."""
    answer: dict[str, Any] = data if data.__class__ is dict else {}
    if "message" in answer and (protocol == 5 or answer.keys() <= {"message", "data"}):
        return ConnectError(str(answer["message"]), answer.get("data"))
    if isinstance(data, str):
        return ConnectError(data, None if protocol == 5 else data)
    return ConnectError("the server has refused the connection", data)


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ConfigurationError(f"name the event: {function!r} has no name of its own")
    return name
