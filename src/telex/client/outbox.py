"""What a socket has emitted and not got rid of: buffered packets, acknowledgements, retries."""

from __future__ import annotations

import asyncio
from _thread import get_ident
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple, Protocol

from .._log import logger
from ..errors import Disconnected, EncodeError
from ..events.acks import into_callback, into_future
from ..events.handlers import Function
from ..events.pending_acks import AckCallback, PendingAcks
from ..events.reserved import check_event
from ..events.runtime import Runtime
from ..parser.packet import EVENT
from ..wire import EncodedPacket
from .joining import Membership
from .link import SendingLink
from .session_host import running_loop


class Outgoing(NamedTuple):
    """An event that waits for the connection."""

    packet: EncodedPacket
    event: list[Any]
    ack_id: int | None


class Retried:
    """One emit of a socket with ``retries``: tried until it is acknowledged."""

    __slots__ = ("args", "compress", "event", "ids", "settle", "timeout", "tries")

    def __init__(
        self,
        event: str,
        args: tuple[Any, ...],
        settle: AckCallback | None,
        timeout: float | None,
        *,
        compress: bool,
    ) -> None:
        self.event = event
        self.args = args
        self.settle = settle
        self.timeout = timeout
        self.compress = compress
        self.tries = 0
        self.ids: list[int] = []


class Retrying(Protocol):
    """What sends the tries of a retry queue."""

    @property
    def connected(self) -> bool: ...

    def emit_try(self, item: Retried, settle: AckCallback) -> int:
        """Emit once more; the id under which the acknowledgement will come."""
        ...

    def forget(self, ack_id: int) -> object:
        """An acknowledgement is not waited for any more."""
        ...


class RetryQueue:
    """Emits one after the other, each again until it is acknowledged or given up.

    A try ends with the acknowledgement or after its timeout. A connection that is lost
    costs no try: the emit is repeated over the next one. An answer to an earlier try that
    comes late counts, too.
    """

    __slots__ = ("_pending", "_queue", "_retries", "_socket")

    def __init__(self, retries: int, socket: Retrying) -> None:
        self._retries = retries
        self._socket = socket
        self._queue: deque[Retried] = deque()
        self._pending = False

    def __len__(self) -> int:
        return len(self._queue)

    def add(self, item: Retried) -> None:
        """Queue an emit."""
        self._queue.append(item)
        self.drain()

    def drain(self) -> None:
        """Try the first one, unless that is under way or there is no connection."""
        if not self._queue or self._pending or not self._socket.connected:
            return
        item = self._queue[0]
        self._pending = True
        item.tries += 1

        def settle(args: list[Any] | None, error: Exception | None) -> None:
            self._answered(item, args, error)

        try:
            item.ids.append(self._socket.emit_try(item, settle))
        except EncodeError as error:  # it could be sent once, but has been changed since
            logger.error("an event cannot be sent any more", exc_info=error)
            self._pending = False
            self._remove(item)
            if item.settle is not None:
                item.settle(None, error)
            self.drain()

    def _answered(self, item: Retried, args: list[Any] | None, error: Exception | None) -> None:
        if not self._queue or self._queue[0] is not item:
            return
        if isinstance(error, Disconnected):
            if self._pending:
                self._pending = False
                item.tries -= 1
            return
        self._pending = False
        if error is not None and item.tries <= self._retries:
            self.drain()
            return
        self._remove(item)
        if item.settle is not None:
            item.settle(args, error)
        self.drain()

    def _remove(self, item: Retried) -> None:
        self._queue.remove(item)
        for ack_id in item.ids:
            self._socket.forget(ack_id)

    def cancel(self, settle: AckCallback) -> None:
        """Give up the emit that ``settle`` belongs to; it is not called."""
        for item in list(self._queue):
            if item.settle is settle:
                if item is self._queue[0]:
                    self._pending = False
                self._remove(item)
        self.drain()

    def fail(self, error: Exception) -> None:
        """The socket does not connect again by itself: fail the emits that are waited for."""
        self._pending = False
        for item in list(self._queue):
            if item.settle is not None:
                self._remove(item)
                item.settle(None, error)


class Outbox:
    """Everything that one socket emits.

    ``ack_timeout`` is the limit for acknowledgements without one of their own, in seconds.
    ``show`` is called with the events that are sent, while it is not ``None``.
    """

    __slots__ = (
        "_acks",
        "_buffer",
        "_doubting",
        "_encode",
        "_link",
        "_membership",
        "_nsp",
        "_retries",
        "_runtime",
        "ack_timeout",
        "show",
    )

    def __init__(
        self,
        membership: Membership,
        link: SendingLink,
        runtime: Runtime,
        nsp: str,
        *,
        ack_timeout: float | None,
        retries: int | None,
    ) -> None:
        self.ack_timeout = ack_timeout
        self.show: Callable[[Sequence[Any]], None] | None = None
        self._membership = membership
        self._link = link
        self._runtime = runtime
        self._nsp = nsp
        self._encode = runtime.parser.encode
        self._acks = PendingAcks(runtime)
        self._retries = RetryQueue(retries, self) if retries else None
        self._buffer: list[Outgoing] = []
        self._doubting = False

    @property
    def connected(self) -> bool:
        """Whether the socket is connected."""
        return self._membership.joined

    @property
    def expects_answers(self) -> bool:
        """Whether acknowledgements are waited for."""
        return len(self._acks) > 0

    # -- emitting ---------------------------------------------------------------------------

    def emit(
        self,
        event: str,
        args: tuple[Any, ...],
        ack: Function | None,
        *,
        timeout: float | None = None,
        compress: bool = True,
        volatile: bool = False,
    ) -> None:
        """Emit an event; ``ack`` is called with the answer."""
        settle = None
        strict = timeout is not None or self.ack_timeout is not None or self._retries is not None
        if ack is not None:
            settle = into_callback(self._runtime, ack, error_first=strict)
        self._emit(event, args, settle, timeout, strict, compress=compress, volatile=volatile)

    async def ask(
        self,
        event: str,
        args: tuple[Any, ...],
        *,
        timeout: float | None = None,
        compress: bool = True,
        volatile: bool = False,
    ) -> Any:
        """Emit an event and wait for the answer."""
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

    def _emit(
        self,
        event: str,
        args: tuple[Any, ...],
        settle: AckCallback | None,
        timeout: float | None,
        strict: bool,
        *,
        compress: bool,
        volatile: bool,
    ) -> int | None:
        check_event(event)
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("emit", cure_for("emit"))
        self._runtime.bind(running_loop())
        if timeout is None:
            timeout = self.ack_timeout
        if self._retries is not None and not volatile:
            self._encode(EVENT, self._nsp, [event, *args])  # what cannot be sent fails here
            self._retries.add(Retried(event, args, settle, timeout, compress=compress))
            return None
        alive = self._alive()
        if volatile and not (alive and self._writable()):
            if settle is not None:
                settle(None, Disconnected("a volatile event was dropped"))
            return None
        payload = [event, *args]
        ack_id = None if settle is None else self._acks.next_id()
        packet = self._encode(EVENT, self._nsp, payload, ack_id)
        packet.compress = compress
        if settle is not None and ack_id is not None:
            self._acks.expect(
                ack_id, settle, strict=strict, timeout=timeout, expired=self._unbuffer
            )
            self._link.read_on()
        if alive:
            self._send(packet, payload)
        else:
            self._buffer.append(Outgoing(packet, payload, ack_id))
            self._doubt()
        return ack_id

    def emit_try(self, item: Retried, settle: AckCallback) -> int:
        """Emit an event of the retry queue once."""
        ack_id = self._acks.next_id()
        payload = [item.event, *item.args]
        packet = self._encode(EVENT, self._nsp, payload, ack_id)
        packet.compress = item.compress
        self._acks.expect(ack_id, settle, strict=True, timeout=item.timeout, expired=None)
        self._link.read_on()
        self._send(packet, payload)
        return ack_id

    def _send(self, packet: EncodedPacket, event: list[Any]) -> None:
        if self.show is not None:
            self.show(event)
        self._link.send(packet)

    def _unbuffer(self, ack_id: int) -> None:
        """An acknowledgement is not waited for any more: its event need not be sent."""
        self._buffer = [item for item in self._buffer if item.ack_id != ack_id]

    # -- the connection -----------------------------------------------------------------------

    def _alive(self) -> bool:
        """Whether what is sent now has a chance to arrive."""
        engine = self._link.engine
        if engine is None or not self._membership.joined or self._doubting:
            return False
        return not engine.session.heartbeat.overdue()

    def _doubt(self) -> None:
        """The server is overdue: look again when what has come meanwhile has been read."""
        engine = self._link.engine
        if self._membership.joined and engine is not None and not self._doubting:
            self._doubting = True
            engine.host.look_again(self._believe)

    def _believe(self) -> None:
        self._doubting = False
        if self._membership.joined:
            self._send_buffer()

    def _writable(self) -> bool:
        engine = self._link.engine
        return engine is not None and engine.session.writable

    async def wait_writable(self) -> None:
        """Wait until little is queued."""
        engine = self._link.engine
        if engine is not None and self._membership.joined:
            await engine.host.wait_writable()

    def joined(self) -> None:
        """The socket is connected: send what has been emitted before."""
        self._send_buffer()
        if self._retries is not None:
            self._retries.drain()

    def _send_buffer(self) -> None:
        waiting, self._buffer = self._buffer, []
        for item in waiting:
            if self._membership.joined:
                self._send(item.packet, item.event)
            else:
                self._buffer.append(item)

    # -- acknowledgements -----------------------------------------------------------------

    def answered(self, ack_id: int, args: list[Any]) -> None:
        """An acknowledgement has come."""
        self._acks.settle(ack_id, args)

    def forget(self, ack_id: int) -> None:
        """An acknowledgement is not waited for any more."""
        self._acks.forget(ack_id)

    def dropped(self, reason: str) -> None:
        """The connection has gone, and with it the answers to what has been sent."""
        self._acks.lost(reason, {item.ack_id for item in self._buffer})

    def finished(self, reason: str) -> None:
        """The socket is not going to connect again by itself: what must not wait fails."""
        lost = self._acks.strict()
        self._buffer = [item for item in self._buffer if item.ack_id not in lost]
        self.dropped(reason)
        if self._retries is not None:
            self._retries.fail(Disconnected(reason))


def cure_for(call: str) -> str:
    """What other threads call instead."""
    return f"use socket.threadsafe.{call}() (as io.threadsafe of servers), or telex.sync"
