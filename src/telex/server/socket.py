"""Sockets: one client in one namespace."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable, Mapping
from collections.abc import Set as AbstractSet
from typing import Any, Protocol, TypeVar, overload

from ..adapter.base import Adapter, Target
from ..engine.session import Session
from ..errors import AckTimeout, Disconnected, EncodeError, PacketError
from ..parser.packet import (
    ACK,
    DISCONNECT,
    EVENT,
    ack_arguments,
    event_arguments,
)
from ..types import Request
from ..wire import EncodedPacket
from .acks import Ack, as_answer
from .engine_socket import EngineSocket
from .handlers import Function, Handler, Handlers, MissingArguments
from .handshake import Handshake
from .operators import BroadcastOperator, Rooms, check_event, room_names
from .runtime import Runtime, logger

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")

HIGH_WATER = 64 * 1024
"""Above so many queued bytes an awaited ``emit`` waits until the client has read."""

PENDING, CONNECTED, DISCONNECTED = "pending", "connected", "disconnected"

Settle = Callable[["list[Any] | None", "Exception | None"], None]


class SocketClient(Protocol):
    """The connection that a socket shares with the client's other sockets."""

    @property
    def session(self) -> Session: ...

    @property
    def conn(self) -> EngineSocket: ...

    @property
    def request(self) -> Request: ...

    def disconnect(self) -> None: ...


class SocketNamespace(Protocol):
    """The namespace that a socket belongs to."""

    @property
    def name(self) -> str: ...

    @property
    def adapter(self) -> Adapter: ...

    @property
    def sockets(self) -> Mapping[str, Socket]: ...

    @property
    def events(self) -> Mapping[str, tuple[Handler, ...]]: ...

    def emit(self, event: str, *args: Any) -> Awaitable[None]: ...

    def send(self, *args: Any) -> Awaitable[None]: ...

    def to(self, rooms: Rooms) -> BroadcastOperator: ...

    def in_(self, rooms: Rooms) -> BroadcastOperator: ...

    def except_(self, rooms: Rooms) -> BroadcastOperator: ...


class Sent:
    """What ``emit``, ``join`` and ``leave`` return: may be awaited, may be chained."""

    __slots__ = ("_socket",)

    def __init__(self, socket: Socket) -> None:
        self._socket = socket

    def __await__(self) -> Generator[Any, None, None]:
        return self._socket.wait_writable().__await__()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Socket:
    """One client in one namespace.

    Made by the server; handlers receive it. Users may set attributes of their own.
    Methods take effect when they are called; awaiting what they return is optional.
    """

    id: str

    def __init__(
        self,
        sid: str,
        nsp: SocketNamespace,
        client: SocketClient,
        handshake: Handshake,
        runtime: Runtime,
        closed: Callable[[Socket], None],
    ) -> None:
        self.id = sid
        self.nsp = nsp
        self.client = client
        self.handshake = handshake
        self.data: dict[str, Any] = {}
        self.recovered = False
        self.deliver: Callable[[EncodedPacket], object] = self._deliver_later
        self._session = client.session
        self._runtime = runtime
        self._encode = runtime.parser.encode
        self._loads = runtime.parser.loads
        self._closed = closed
        self.state = PENDING  # until the middlewares have let it in
        self._handlers: Handlers | None = None
        self._events = nsp.events
        self._early: list[EncodedPacket] | None = None
        self._early_rooms: list[str] = []
        self._last_rooms: AbstractSet[str] = frozenset()
        self._busy = False
        self._inbox: deque[tuple[int | None, list[Any]] | _Closing] | None = None
        self._acks: dict[int, Settle] = {}
        self._next_ack = 0
        self._sent: Sent | None = None
        self._spawned: set[asyncio.Task[Any]] | None = None

    def __repr__(self) -> str:
        return f"<Socket {self.id} of {self.nsp.name!r} {self.state}>"

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
    def remote_address(self) -> str | None:
        """The client's address, as far as the host server knows it."""
        return self.client.conn.remote_address

    @property
    def rooms(self) -> AbstractSet[str]:
        """The rooms that the socket is in, its own included."""
        if self.state is CONNECTED:
            return self.nsp.adapter.rooms_of(self.id)
        if self.state is PENDING:
            return frozenset(self._early_rooms)
        return self._last_rooms

    # -- emitting -----------------------------------------------------------------------

    def emit(self, event: str, *args: Any, ack: Function | None = None) -> Sent:
        """Emit an event to this client.

        ``ack`` is called with the client's answer. Awaiting the result waits until the
        client has taken enough of what is queued for it. Raises ``EncodeError`` if the
        arguments cannot be sent, ``ValueError`` if the name is reserved.
        """
        check_event(event)
        ack_id = None if ack is None else self._expect(_calls_back(self._runtime, ack))
        self.deliver(self._encode_event([event, *args], ack_id))
        return self._sent_by_me()

    def emit_expecting(
        self, event: str, args: tuple[Any, ...], ack: Function, seconds: float
    ) -> Sent:
        """Emit with ``ack(error, *answer)`` and a limit in seconds (see ``timeout``)."""
        check_event(event)
        settle = _calls_back(self._runtime, ack, error_first=True)
        ack_id = self._expect(settle, seconds)
        self.deliver(self._encode_event([event, *args], ack_id))
        return self._sent_by_me()

    def send(self, *args: Any, ack: Function | None = None) -> Sent:
        """Emit the event ``message``."""
        return self.emit("message", *args, ack=ack)

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Emit an event and wait for the answer: one value, a tuple of several, or ``None``.

        Raises ``AckTimeout`` after ``timeout`` seconds, ``Disconnected`` if the client
        leaves first.
        """
        check_event(event)
        if self.state is DISCONNECTED:
            raise Disconnected("the socket is not connected")
        answer: asyncio.Future[Any] = self._runtime.loop.create_future()

        def settle(args: list[Any] | None, error: Exception | None) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(as_answer(args or []))

        ack_id = self._expect(settle, timeout)
        self.deliver(self._encode_event([event, *args], ack_id))
        try:
            return await answer
        finally:
            self._acks.pop(ack_id, None)

    def timeout(self, seconds: float) -> TimeoutEmitter:
        """Emit with a limit for the acknowledgement.

        ``socket.timeout(5).emit("event", ack=callback)`` calls ``callback(error, *answer)``.
        """
        return TimeoutEmitter(self, seconds)

    def _encode_event(self, event: list[Any], ack_id: int | None) -> EncodedPacket:
        try:
            return self._encode(EVENT, self.nsp.name, event, ack_id)
        except BaseException:
            if ack_id is not None:
                self._acks.pop(ack_id, None)
            raise

    def _expect(self, settle: Settle, timeout: float | None = None) -> int:
        """Register an acknowledgement that is to come; its id."""
        ack_id = self._next_ack
        self._next_ack += 1
        if timeout is None:
            self._acks[ack_id] = settle
            return ack_id

        def expire() -> None:
            if self._acks.pop(ack_id, None) is not None:
                settle(None, AckTimeout(f"no acknowledgement within {timeout} s"))

        timer = self._runtime.call_later(timeout, expire)

        def settle_in_time(args: list[Any] | None, error: Exception | None) -> None:
            timer.cancel()
            settle(args, error)

        self._acks[ack_id] = settle_in_time
        return ack_id

    def _deliver_later(self, packet: EncodedPacket) -> None:
        """What is emitted before the socket has been accepted is sent when it is."""
        if self._early is None:
            self._early = []
        self._early.append(packet)

    @property
    def writable(self) -> bool:
        """Whether an event would leave at once."""
        return self._session.transport.writable and self.state is CONNECTED

    def _sent_by_me(self) -> Sent:
        if self._sent is None:
            self._sent = Sent(self)
        return self._sent

    async def wait_writable(self) -> None:
        """Wait until the client has taken enough of what is queued for it."""
        session = self._session
        if session.queued > HIGH_WATER:
            session.flush()
        while session.queued > HIGH_WATER and self.state is CONNECTED:
            drained = asyncio.Event()
            session.when_drained(drained.set)
            await drained.wait()

    # -- rooms --------------------------------------------------------------------------

    def join(self, rooms: Rooms) -> Sent:
        """Join a room or several."""
        names = room_names(rooms)
        if self.state is PENDING:
            self._early_rooms.extend(name for name in names if name not in self._early_rooms)
        elif self.state is CONNECTED:
            self.nsp.adapter.join(self.id, names)
        return self._sent_by_me()

    def leave(self, rooms: Rooms) -> Sent:
        """Leave a room or several."""
        names = room_names(rooms)
        if self.state is PENDING:
            self._early_rooms = [name for name in self._early_rooms if name not in names]
        else:
            self.nsp.adapter.leave(self.id, names)
        return self._sent_by_me()

    # -- broadcasting ---------------------------------------------------------------------

    @property
    def broadcast(self) -> BroadcastOperator:
        """To everybody in the namespace but this socket."""
        return self._operator(Target(excluded=frozenset((self.id,))))

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """To everybody in these rooms but this socket."""
        return self._operator(Target(frozenset(room_names(rooms)), excluded=frozenset((self.id,))))

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """The same as ``to`` (Node: ``in``)."""
        return self.to(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """To everybody but this socket and those in these rooms (Node: ``except``)."""
        return self._operator(Target(excluded=frozenset((self.id, *room_names(rooms)))))

    @property
    def local(self) -> BroadcastOperator:
        """To everybody on this server but this socket."""
        return self._operator(Target(excluded=frozenset((self.id,)), local=True))

    def _operator(self, target: Target) -> BroadcastOperator:
        return BroadcastOperator(self.nsp.adapter, self._runtime.parser, self.nsp.name, target)

    # -- handlers -------------------------------------------------------------------------

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> Socket: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler; as a decorator, or with the handler as second argument.

        It receives the event's arguments; what it returns is the acknowledgement.
        """
        return self._register(event, handler, once=False)

    @overload
    def once(self, event: str) -> Callable[[F], F]: ...
    @overload
    def once(self, event: str, handler: Function) -> Socket: ...
    def once(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler for the next such event only."""
        return self._register(event, handler, once=True)

    def off(self, event: str, handler: Function | None = None) -> Socket:
        """Remove a handler, or all handlers of an event."""
        if self._handlers is not None:
            self._handlers.remove(event, handler)
        return self

    remove_listener = off

    def remove_all_listeners(self, event: str | None = None) -> Socket:
        """Remove all handlers of an event, or of every event."""
        if self._handlers is not None:
            if event is None:
                self._handlers.clear()
            else:
                self._handlers.remove(event)
        return self

    def event_names(self) -> list[str]:
        """The events that have handlers on this socket."""
        return list(self._handlers.by_event) if self._handlers else []

    def listeners(self, event: str) -> list[Function]:
        """The handlers of an event on this socket."""
        found = self._handlers.by_event.get(event, ()) if self._handlers else ()
        return [handler.function for handler in found]

    def _register(self, event: str, handler: Function | None, *, once: bool) -> Any:
        if self._handlers is None:
            self._handlers = Handlers()
        if handler is not None:
            self._handlers.add(event, Handler(handler, once=once))
            return self
        handlers = self._handlers

        def decorate(function: F) -> F:
            handlers.add(event, Handler(function, once=once))
            return function

        return decorate

    def spawn(self, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run a coroutine as a task that is cancelled when the socket disconnects."""
        task: asyncio.Task[T] = self._runtime.loop.create_task(coro)
        if self.state is DISCONNECTED:
            task.cancel()
            return task
        if self._spawned is None:
            self._spawned = set()
        self._spawned.add(task)
        task.add_done_callback(self._spawn_done)
        return task

    def _spawn_done(self, task: asyncio.Task[Any]) -> None:
        if self._spawned is not None:
            self._spawned.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of %r failed", self, exc_info=task.exception())

    # -- events of the client ----------------------------------------------------------------

    def receive_event(self, ack_id: int | None, text: str | None, data: Any) -> None:
        """Handle an EVENT packet, or queue it behind the handler that is running.

        Raises ``PacketError`` if its payload is not an event's.
        """
        if text is not None:
            data = self._loads(text)
        event_arguments(data)
        if self._busy:
            self._queue((ack_id, data))
            return
        name = data[0]
        handlers = self._events.get(name) if self._handlers is None else self._find(name)
        if handlers is None:
            return
        handler = handlers[0]
        if handler.plain and len(handlers) == 1:
            del data[0]
            if len(data) != handler.limit:
                if len(data) < handler.required:
                    self._failed(name, ack_id, handler.missing(data))
                    return
                data = data[: handler.limit]
            try:
                if handler.with_socket:
                    result = handler.function(self, *data)
                else:
                    result = handler.function(*data)
            except (Exception, SystemExit) as error:
                self._failed(name, ack_id, error)
            else:
                if ack_id is not None:
                    self._answer(ack_id, result)
            return
        self._busy = True
        self._runtime.start(self._work((ack_id, data)))

    def _find(self, event: Any) -> tuple[Handler, ...] | None:
        own = self._handlers.by_event.get(event) if self._handlers is not None else None
        shared = self._events.get(event)
        if own is None or shared is None:
            return own or shared
        return shared + own

    def _queue(self, item: tuple[int | None, list[Any]] | _Closing) -> None:
        if self._inbox is None:
            self._inbox = deque()
        self._inbox.append(item)

    async def _work(self, item: tuple[int | None, list[Any]] | _Closing) -> None:
        """Handle one event after the other until none is waiting."""
        try:
            while True:
                if isinstance(item, _Closing):
                    await self._fire_closing(item.reason)
                else:
                    await self._handle(*item)
                if not self._inbox:
                    return
                item = self._inbox.popleft()
        finally:
            self._busy = False

    async def _handle(self, ack_id: int | None, data: list[Any]) -> None:
        event = data[0]
        answer: Any = None
        handlers = self._find(event) or ()
        by_hand = False
        for handler in handlers:
            if handler.once and not self._use_up(event, handler):
                continue
            try:
                args = handler.fit(data[1:])
                if handler.ack is not None:
                    by_hand = True
                    result = self._call_with_ack(handler, args, ack_id)
                elif handler.with_socket:
                    result = handler.function(self, *args)
                else:
                    result = handler.function(*args)
                if handler.is_async:
                    result = await result
            except (Exception, SystemExit) as error:
                self._failed(event, None if by_hand else ack_id, error)
                return
            if answer is None and handler.ack is None:
                answer = result
        if ack_id is not None and handlers and (answer is not None or not by_hand):
            self._answer(ack_id, answer)

    def _use_up(self, event: str, handler: Handler) -> bool:
        return self._handlers is not None and self._handlers.discard(event, handler)

    def _call_with_ack(self, handler: Handler, args: list[Any], ack_id: int | None) -> Any:
        """Call a handler that answers through its ``telex.Ack`` parameter."""
        if handler.with_socket:
            args = [self, *args]
        if ack_id is None:
            options: dict[str, Any] = {str(handler.ack): None} if handler.ack_required else {}
        else:
            options = {str(handler.ack): Ack(lambda answer: self._answer(ack_id, answer))}
        return handler.function(*args, **options)

    def _answer(self, ack_id: int, result: Any) -> None:
        """Send the acknowledgement of an event: nothing, one value, or a tuple of several."""
        if result is None:
            args: list[Any] = []
        else:
            args = list(result) if result.__class__ is tuple else [result]
        try:
            packet = self._encode(ACK, self.nsp.name, args, ack_id)
        except EncodeError as error:
            self._failed("acknowledgement", ack_id, error)
            return
        self.deliver(packet)

    def _failed(self, event: Any, ack_id: int | None, error: BaseException) -> None:
        """A handler failed: log it, tell ``error`` handlers, answer nothing private."""
        if isinstance(error, MissingArguments):
            logger.warning("event %.100r of %r: %s", event, self, error)
            answer = {"type": "ValidationError", "message": str(error)}
        else:
            logger.error("handler of %.100r failed", event, exc_info=error)
            answer = {"type": "HandlerError", "message": "the handler failed"}
        self._fire("error", error)
        if ack_id is not None:
            self._answer(ack_id, {"error": answer})

    def receive_ack(self, ack_id: int | None, text: str | None, data: Any) -> None:
        """Handle an ACK packet; an id that nobody waits for is ignored."""
        if text is not None:
            data = self._runtime.parser.loads(text)
        elif data is None and ack_id is None:
            return
        args = ack_arguments([] if data is None else data)
        settle = None if ack_id is None else self._acks.pop(ack_id, None)
        if settle is not None:
            settle(args, None)

    # -- life -------------------------------------------------------------------------------

    def accepted(self, packet: EncodedPacket) -> None:
        """The namespace has let the socket in; ``packet`` tells the client."""
        self.state = CONNECTED
        session = self._session
        session.send(packet)
        self.deliver = session.send
        for early in self._early or ():
            session.send(early)
        self._early = None
        if self._early_rooms:
            self.nsp.adapter.join(self.id, self._early_rooms)
            self._early_rooms = []

    def refused(self, packet: EncodedPacket) -> None:
        """The namespace has not let the socket in; ``packet`` tells the client."""
        self._session.send(packet)
        self.closed("refused")

    def greet(self, handlers: Iterable[Handler]) -> None:
        """Run the handlers of ``connection``; the client's events wait until they are done."""
        self._busy = True
        pending = list(handlers)
        while pending:
            handler = pending.pop(0)
            try:
                result = handler.function(self) if handler.limit != 0 else handler.function()
            except (Exception, SystemExit) as error:
                self._connection_failed(error)
                break
            if handler.is_async:
                self._runtime.start(self._greet_async(result, pending))
                return
        self._resume()

    async def _greet_async(self, first: Awaitable[Any], rest: list[Handler]) -> None:
        try:
            await first
            for handler in rest:
                result = handler.function(self) if handler.limit != 0 else handler.function()
                if handler.is_async:
                    await result
        except (Exception, SystemExit) as error:
            self._connection_failed(error)
        self._resume()

    def _connection_failed(self, error: BaseException) -> None:
        logger.error("a connection handler failed; its socket is disconnected", exc_info=error)
        self.disconnect()

    def _resume(self) -> None:
        if self._inbox:
            self._runtime.start(self._work(self._inbox.popleft()))
        else:
            self._busy = False

    def disconnect(self, close: bool = False) -> Socket:
        """Disconnect this socket; with ``close``, the whole connection of its client."""
        if close:
            self.client.disconnect()
        elif self.state is not DISCONNECTED:
            self._session.send(self._encode(DISCONNECT, self.nsp.name))
            self.closed("server namespace disconnect")
        return self

    def closed(self, reason: str) -> None:
        """The socket has left, for this reason. Told once; later calls have no effect.

        Events that had arrived before are still handled; then the handlers of
        ``disconnecting`` see the rooms as they were, then those of ``disconnect`` run.
        """
        if self.state is DISCONNECTED:
            return
        was_connected = self.state is CONNECTED
        self._last_rooms = self.nsp.adapter.rooms_of(self.id) if was_connected else frozenset()
        self.state = DISCONNECTED
        self.deliver = _drop
        self._early = None
        self._closed(self)
        acks, self._acks = self._acks, {}
        for settle in acks.values():
            settle(None, Disconnected(reason))
        for task in list(self._spawned or ()):
            task.cancel()
        if not was_connected:
            return
        if self._busy:
            self._queue(_Closing(reason))
        elif self._find("disconnecting") or self._find("disconnect"):
            self._busy = True
            self._runtime.start(self._work(_Closing(reason)))
        else:
            self._last_rooms = frozenset()

    async def _fire_closing(self, reason: str) -> None:
        for event in ("disconnecting", "disconnect"):
            for handler in self._find(event) or ():
                if handler.once and not self._use_up(event, handler):
                    continue
                args = (self, reason) if handler.with_socket else (reason,)
                try:
                    result = handler.function(*args[: _most(handler)])
                    if handler.is_async:
                        await result
                except (Exception, SystemExit) as error:
                    logger.error("handler of %r failed", event, exc_info=error)
            self._last_rooms = frozenset()

    def _fire(self, event: str, *args: Any) -> None:
        """Call the handlers of an event of our own, outside the queue."""
        for handler in self._find(event) or ():
            if handler.once and not self._use_up(event, handler):
                continue
            arguments = (self, *args) if handler.with_socket else args
            try:
                result = handler.function(*arguments[: _most(handler)])
            except (Exception, SystemExit) as error:
                logger.error("handler of %r failed", event, exc_info=error)
                continue
            if handler.is_async:
                self._runtime.start(_logged(result, event))

    def decode_failed(self, error: PacketError) -> None:
        """The client sent what cannot be decoded; the connection is about to be closed."""
        self._fire("error", error)


class TimeoutEmitter:
    """Emits with a limit for the acknowledgement: ``socket.timeout(seconds)``."""

    __slots__ = ("_seconds", "_socket")

    def __init__(self, socket: Socket, seconds: float) -> None:
        self._socket = socket
        self._seconds = seconds

    def emit(self, event: str, *args: Any, ack: Function | None = None) -> Sent:
        """Emit; ``ack(error, *answer)`` is called with ``None`` or the error that ended it."""
        socket = self._socket
        if ack is None:
            return socket.emit(event, *args)
        return socket.emit_expecting(event, args, ack, self._seconds)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """As ``Socket.emit_with_ack``, with this limit."""
        return await self._socket.emit_with_ack(event, *args, timeout=self._seconds)


class _Closing:
    """Stands in the queue of a socket for its end."""

    __slots__ = ("reason",)

    def __init__(self, reason: str) -> None:
        self.reason = reason


def _most(handler: Handler) -> int | None:
    """How many positional arguments a handler takes, the socket included."""
    return None if handler.limit is None else handler.limit + handler.with_socket


def _drop(packet: EncodedPacket) -> None:
    """What is emitted to a socket that has left goes nowhere."""


def _calls_back(runtime: Runtime, function: Function, *, error_first: bool = False) -> Settle:
    """An acknowledgement callback as something to settle; failures in it are logged."""
    handler = Handler(function)

    def settle(args: list[Any] | None, error: Exception | None) -> None:
        if error_first:
            arguments = [error, *(args or [])]
        elif error is None:
            arguments = args or []
        else:
            return  # a plain callback has no place for an error
        try:
            result = function(*handler.fit(arguments))
        except (Exception, SystemExit) as failure:
            logger.error("an acknowledgement callback failed", exc_info=failure)
            return
        if handler.is_async:
            runtime.start(_logged(result, "acknowledgement"))

    return settle


async def _logged(coro: Awaitable[Any], event: str) -> None:
    try:
        await coro
    except (Exception, SystemExit) as error:
        logger.error("handler of %r failed", event, exc_info=error)
