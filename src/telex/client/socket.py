"""Client sockets: one namespace of a server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Mapping
from functools import partial
from typing import Any, ClassVar, Never, Self, TypeVar, overload

from ..config import duration, refuse_keywords
from ..errors import ConfigurationError, Disconnected, PacketError
from ..events.answering import Answering
from ..events.dispatch import Dispatch
from ..events.flags import FlaggedEmitter
from ..events.handlers import Function, Handler
from ..events.listeners import Listening
from ..events.tasks import Tasks
from ..events.threadsafe import Handed, ThreadsafeEmitter
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
from .inbox import Inbox, OwedAck, ReceivedEvent
from .joining import Membership
from .link import SocketOwner
from .manager_api import ManagerApi
from .options import Auth
from .outbox import Outbox, cure_for
from .parts import ConnectionSource, SocketParts
from .session_host import running_loop

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class ClientSocket(Listening, Answering):
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
        io: SocketOwner,
        nsp: str,
        *,
        auth: Auth,
        ack_timeout: float | None,
        retries: int | None,
    ) -> None:
        options, runtime = io.options, io.runtime
        if options.protocol == 4 and nsp == "/" and auth is not None:
            raise ConfigurationError("servers of Socket.IO 2 read query=, not auth=, in '/'")
        manager: Any = io  # which is both: what its sockets need, and what users see
        self.io: ManagerApi[ClientSocket] = manager
        self.nsp = nsp
        self._manager = io
        self._runtime = runtime
        self._exceptions: dict[type[BaseException], Handler] = {}
        self._tasks = Tasks(self)
        source = ConnectionSource(io)
        self.dispatch = Dispatch(self, source, runtime, {}, self._exceptions)
        source.dispatch = self.dispatch
        parts = SocketParts(self, self.dispatch, self._tasks)
        self.membership = Membership(
            parts, io, runtime, options, nsp, auth, partial(io.leave, self.dispatch)
        )
        self._outbox = parts.outbox = Outbox(
            self.membership, io, runtime, nsp, ack_timeout=ack_timeout, retries=retries
        )
        self._inbox = parts.inbox = Inbox(
            self.membership, self.dispatch, runtime, self.answer, limit=options.receive_limit
        )
        self._outgoing: list[Handler] | None = None
        self._nsp_name = nsp
        self._encode = runtime.parser.encode
        self.deliver = io.send

    def __repr__(self) -> str:
        state = "connected" if self.connected else "disconnected"
        return f"<ClientSocket {self.nsp!r} {state}>"

    # -- what it is -------------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The id that the server has given; ``None`` while disconnected."""
        return self.membership.id

    @property
    def connected(self) -> bool:
        """Whether the socket is connected."""
        return self.membership.joined

    @property
    def disconnected(self) -> bool:
        """The opposite of ``connected``."""
        return not self.membership.joined

    @property
    def active(self) -> bool:
        """Whether the socket is connected, or is going to connect by itself."""
        return self.membership.active

    @property
    def recovered(self) -> bool:
        """Whether the last connection went on with the session of the one before."""
        return self.membership.recovered

    @property
    def auth(self) -> Auth:
        """What is sent to join the namespace: a value, or a callable that is asked each time."""
        return self.membership.auth

    @auth.setter
    def auth(self, auth: Auth) -> None:
        self.membership.auth = auth

    @property
    def ack_timeout(self) -> float | None:
        """The limit for acknowledgements without one of their own, in seconds."""
        return self._outbox.ack_timeout

    @ack_timeout.setter
    def ack_timeout(self, seconds: float | None) -> None:
        self._outbox.ack_timeout = seconds

    # -- connecting -------------------------------------------------------------------------

    def connect(self) -> Completion:
        """Connect (JavaScript: also ``open``). Awaiting the result waits as ``await socket``."""
        self._here("connect")
        self.membership.want()
        return Completion(self, self.membership.wait_joined)

    open = connect

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self.membership.wait_joined().__await__()
        return self

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            await self.disconnect()
            raise

    async def __aexit__(self, *exc: object) -> None:
        await self.disconnect()

    def disconnect(self) -> Completion:
        """Disconnect (JavaScript: also ``close``). It does not connect again by itself.

        Awaiting the result waits until the connection has gone, unless other sockets use it.
        """
        self._here("disconnect")
        if self.membership.active:
            self.dispatch.forget_waiting()
            self.membership.leave()
        return Completion(self, self._manager.wait_closed)

    close = disconnect

    async def wait(self, timeout: float | None = None) -> str:
        """Wait until the socket is disconnected and will not connect again by itself.

        Returns the reason. Raises ``TimeoutError`` after ``timeout`` seconds.
        """
        return await self.membership.wait_left(timeout)

    # -- packets ----------------------------------------------------------------------------

    def receive_packet(self, packet: Packet) -> None:
        """Take a packet of this namespace. Raises ``PacketError`` if it is not well formed."""
        kind, _, ack_id, text, data = packet
        membership = self.membership
        if membership.deaf:
            membership.answered_late(kind)
            return
        if text is not None:
            data = self._runtime.parser.loads(text)
        if kind == EVENT:
            self._inbox.receive(ack_id, event_arguments(data))
        elif kind == ACK:
            if ack_id is not None:
                self._outbox.answered(ack_id, ack_arguments(data))
        elif kind == CONNECT:
            membership.accepted(data)
        elif kind == DISCONNECT:
            membership.disconnect_received()
        elif kind == CONNECT_ERROR:
            membership.error_received(data)
        else:
            raise PacketError(f"a packet of type {kind} from a server")

    @property
    def waits(self) -> bool:
        """Whether something is waited for that only the server can say."""
        membership = self.membership
        return self._outbox.expects_answers or (membership.active and not membership.joined)

    # -- what the dispatch asks for (Recipient) -----------------------------------------------

    def answer(self, ack_id: int, result: Any) -> None:
        """Acknowledge an event: with nothing, one value, or a tuple of several."""
        membership = self.membership
        if not membership.joined:
            return
        if isinstance(ack_id, OwedAck) and ack_id.joins != membership.joins:
            return  # the connection that asked has gone; the id may mean something else by now
        super().answer(int(ack_id), result)

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
        """Whether the server owes acknowledgements, to this socket or another of its manager."""
        return self._manager.expects_answers

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
        self._outbox.emit(event, args, ack)
        return Completion(self, self._outbox.wait_writable)

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
        self._outbox.emit(event, args, ack, timeout=timeout, compress=compress, volatile=volatile)
        return Completion(self, self._outbox.wait_writable)

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
        return await self._outbox.ask(event, args, timeout=timeout)

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
        return await self._outbox.ask(
            event, args, timeout=timeout, compress=compress, volatile=volatile
        )

    def watch_outgoing(self) -> None:
        """The first listener of ``on_any_outgoing`` has come."""
        self._outbox.show = self.show_outgoing

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
        self._runtime.here(call, cure_for(call))

    async def receive(self, timeout: float | None = None) -> ReceivedEvent:
        """The next event that no handler took: ``[name, *arguments]``.

        Raises ``Disconnected`` when the socket is disconnected and will not connect again by
        itself, ``TimeoutError`` after ``timeout`` seconds.
        """
        return await self._inbox.queue.get(timeout)

    async def __aiter__(self) -> AsyncIterator[ReceivedEvent]:
        while True:
            try:
                event = await self._inbox.queue.get()
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
        return self._tasks.start(running_loop(), coro)


class ThreadsafeClientSocket(ThreadsafeEmitter[ClientSocket, "FlaggedEmitter[ClientSocket]"]):
    """A socket of a client, for any thread: ``socket.threadsafe``."""

    __slots__ = ()

    def disconnect(self) -> Handed[None]:
        """Disconnect; waiting for the result waits until the connection has gone."""
        return self._done(self._socket.disconnect)


def _name_of(function: Any) -> str:
    name = getattr(function, "__name__", None)
    if not isinstance(name, str) or name == "<lambda>":
        raise ConfigurationError(f"name the event: {function!r} has no name of its own")
    return name
