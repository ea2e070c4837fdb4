"""What a socket has emitted and not got rid of: buffered packets, acknowledgements, retries."""

from __future__ import annotations

from collections import deque
from typing import Any, NamedTuple, Protocol

from .._log import logger
from ..errors import Disconnected, EncodeError
from ..events.pending_acks import AckCallback
from ..wire import EncodedPacket


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
    """The socket, as its retry queue sees it."""

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
        """Nobody waits any more for the emit that ``settle`` belongs to."""
        for item in list(self._queue):
            if item.settle is settle:
                if item is self._queue[0]:
                    self._pending = False
                self._remove(item)
        self.drain()

    def fail(self, error: Exception) -> None:
        """The socket is not going to connect again by itself: whoever waits is told."""
        self._pending = False
        for item in list(self._queue):
            if item.settle is not None:
                self._remove(item)
                item.settle(None, error)
