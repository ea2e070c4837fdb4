"""Blocking sockets: one namespace of a server."""

from __future__ import annotations

import asyncio
import concurrent.futures
from collections import deque
from collections.abc import Coroutine, Iterator
from typing import Any, Never, Self, TypeVar

from ..client.inbox import ReceivedEvent
from ..client.socket import ClientSocket as AsyncSocket
from ..config import refuse_keywords
from ..errors import Disconnected
from .emitter import BlockingEmitter
from .listening import BlockingListening
from .loop import LoopLease
from .manager_api import ManagerApi
from .work import Function, Work, original

T = TypeVar("T")


class ClientSocket(BlockingListening):
    """One namespace of a server, for programs that block (see ``telex.ClientSocket``).

    It may be used from many threads at once. Its handlers run one after the other in a
    thread of their own; what they call may block. An async handler runs on the event loop
    and must not wait for this socket.
    """

    def __init__(self, io: ManagerApi[ClientSocket], home: LoopLease, socket: AsyncSocket) -> None:
        self.io = io
        self._home = home
        self._socket = socket
        self._work = Work(home)
        self._kept: deque[ReceivedEvent] = deque()

    def __repr__(self) -> str:
        state = "connected" if self.connected else "disconnected"
        return f"<telex.sync.ClientSocket {self.nsp!r} {state}>"

    # -- what it is -----------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The id that the server has given; ``None`` while disconnected."""
        return self._socket.id if self._home.is_here else None

    @property
    def nsp(self) -> str:
        """The name of the namespace."""
        return self._socket.nsp

    @property
    def connected(self) -> bool:
        """Whether the socket is connected."""
        return self._home.is_here and self._socket.connected

    @property
    def disconnected(self) -> bool:
        """The opposite of ``connected``."""
        return not self.connected

    @property
    def active(self) -> bool:
        """Whether the socket is connected, or is going to connect by itself."""
        return self._home.is_here and self._socket.active

    @property
    def recovered(self) -> bool:
        """Whether the last connection went on with the session of the one before."""
        return self._socket.recovered

    @property
    def auth(self) -> Any:
        """What is sent to join the namespace: a value, or a callable that is asked each time."""
        return original(self._socket.auth)

    @auth.setter
    def auth(self, auth: Any) -> None:
        self._socket.auth = self._work.auth(auth)

    @property
    def ack_timeout(self) -> float | None:
        """The limit for acknowledgements without one of their own, in seconds."""
        return self._socket.ack_timeout

    @ack_timeout.setter
    def ack_timeout(self, seconds: float | None) -> None:
        self._socket.ack_timeout = seconds

    # -- connecting -----------------------------------------------------------------------

    def connect(self) -> Self:
        """Connect, and wait until that is done; raises ``ConnectError``.

        In an async handler it only begins.
        """
        self._home.enter()

        def begin() -> Any:
            waiting = self._socket.connect()
            self.io.stay()
            return waiting

        self._home.hand_over(begin)
        return self

    open = connect

    def disconnect(self) -> Self:
        """Disconnect, and wait until the connection has gone, unless other sockets use it."""
        if self._home.on_loop:
            self._socket.disconnect()
        elif self._home.is_entered:
            self._home.call(self._leave)
        return self

    close = disconnect

    async def _leave(self) -> None:
        await self._socket.disconnect()
        self.io.settle()

    def wait(self, timeout: float | None = None) -> str:
        """Wait until the socket is disconnected and will not come back by itself.

        Returns the reason. Raises ``TimeoutError`` after ``timeout`` seconds.
        """
        return self._home.call(lambda: self._socket.wait(timeout))

    def __enter__(self) -> Self:
        try:
            return self.connect()
        except BaseException:
            self._home.soon(self._socket.disconnect)
            raise

    def __exit__(self, *exc: object) -> None:
        if self._home.is_here:  # and not in a child process that leaves the block, too
            self.disconnect()

    # -- emitting -------------------------------------------------------------------------

    def emit(self, event: str, *args: Any, ack: Function | None = None, **others: Never) -> None:
        """Emit an event, and wait while much is queued before it.

        Without a connection it is kept, and sent with the next one. ``ack`` is called with
        the server's answer; with ``ack_timeout`` or ``retries`` as ``ack(error, *answer)``.
        """
        if others:
            refuse_keywords(others)
        given = self._work.callback(ack)
        self._home.hand_over(lambda: self._socket.emit(event, *args, ack=given))

    def send(self, *args: Any, ack: Function | None = None) -> None:
        """Emit the event ``message``."""
        self.emit("message", *args, ack=ack)

    def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Emit an event and wait for the answer: one value, a tuple of several, or ``None``.

        Raises ``AckTimeout`` after ``timeout`` (or ``ack_timeout``) seconds, ``Disconnected``
        if the connection goes first. Without a connection the event waits for the next one.
        """
        return self._home.call(lambda: self._socket.emit_with_ack(event, *args, timeout=timeout))

    @property
    def volatile(self) -> BlockingEmitter:
        """Drop the event if it cannot be sent at once."""
        return BlockingEmitter(self._home, self._work, self._socket.volatile)

    def compress(self, compress: bool) -> BlockingEmitter:
        """Whether the event may be compressed."""
        return BlockingEmitter(self._home, self._work, self._socket.compress(compress))

    def binary(self, binary: bool) -> BlockingEmitter:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return BlockingEmitter(self._home, self._work, self._socket.binary(binary))

    def timeout(self, seconds: float) -> BlockingEmitter:
        """Emit with a limit for the acknowledgement, in seconds.

        ``socket.timeout(5).emit("event", ack=callback)`` calls ``callback(error, *answer)``.
        """
        return BlockingEmitter(self._home, self._work, self._socket.timeout(seconds))

    # -- receiving ------------------------------------------------------------------------

    def receive(self, timeout: float | None = None) -> ReceivedEvent:
        """The next event that no handler took: ``[name, *arguments]``.

        Raises ``Disconnected`` when the socket is disconnected and will not come back by
        itself, ``TimeoutError`` after ``timeout`` seconds.
        """
        return self._home.call(lambda: self._receive(timeout), keep=self._kept.append)

    async def _receive(self, timeout: float | None) -> ReceivedEvent:
        if self._kept:
            return self._kept.popleft()
        return self._work.received(await self._socket.receive(timeout))

    def __iter__(self) -> Iterator[ReceivedEvent]:
        while True:
            try:
                event = self.receive()
            except Disconnected:
                return
            yield event

    # -- tasks ----------------------------------------------------------------------------

    def spawn(self, coro: Coroutine[Any, Any, T]) -> concurrent.futures.Future[T]:
        """Run a coroutine on the event loop; it ends when the socket is disconnected for good."""
        future: concurrent.futures.Future[T] = concurrent.futures.Future()

        def settle(task: asyncio.Task[T]) -> None:
            if task.cancelled():
                future.cancel()
                future.set_running_or_notify_cancel()
            elif (error := task.exception()) is not None:
                future.set_exception(error)
            else:
                future.set_result(task.result())

        self._home.ask(lambda: self._socket.spawn(coro).add_done_callback(settle))
        return future
