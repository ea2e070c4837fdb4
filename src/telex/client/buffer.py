"""What a socket has emitted and not got rid of: buffered packets, acknowledgements, retries."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from .._log import logger
from ..errors import AckTimeout, Disconnected, EncodeError
from ..wire import EncodedPacket

Settle = Callable[["list[Any] | None", "Exception | None"], None]


class Outgoing(NamedTuple):
    """An event that waits for the connection."""

    packet: EncodedPacket
    event: list[Any]
    ack_id: int | None


class Expected:
    """An acknowledgement that is waited for.

    ``strict`` ones fail when the connection goes; the others, plain callbacks, are then
    forgotten, as in JavaScript.
    """

    __slots__ = ("settle", "strict", "timer")

    def __init__(self, settle: Settle, *, strict: bool) -> None:
        self.settle = settle
        self.strict = strict
        self.timer: asyncio.TimerHandle | None = None


class Acks:
    """The acknowledgements that a socket waits for."""

    __slots__ = ("_expected", "_next")

    def __init__(self) -> None:
        self._expected: dict[int, Expected] = {}
        self._next = 0

    def __len__(self) -> int:
        return len(self._expected)

    def next_id(self) -> int:
        """An id that has not been used."""
        self._next += 1
        return self._next - 1

    def expect(
        self,
        ack_id: int,
        settle: Settle,
        *,
        strict: bool,
        timeout: float | None,
        expired: Callable[[int], None] | None,
    ) -> None:
        """Wait for an acknowledgement.

        After ``timeout`` seconds ``settle`` is called with ``AckTimeout``, and ``expired``
        with the id before that. Without ``expired`` a late answer still counts, until the
        id is forgotten.
        """
        expected = Expected(settle, strict=strict)
        if timeout is not None:

            def expire() -> None:
                if expired is not None and self._expected.pop(ack_id, None) is not None:
                    expired(ack_id)
                settle(None, AckTimeout(f"no acknowledgement within {timeout} s"))

            expected.timer = asyncio.get_running_loop().call_later(timeout, expire)
        self._expected[ack_id] = expected

    def settle(self, ack_id: int, args: list[Any]) -> None:
        """An answer has come; one that nobody waits for is ignored."""
        expected = self.forget(ack_id)
        if expected is not None:
            expected.settle(args, None)

    def forget(self, ack_id: int | None) -> Expected | None:
        """An answer is not waited for any more."""
        expected = self._expected.pop(ack_id, None) if ack_id is not None else None
        if expected is not None and expected.timer is not None:
            expected.timer.cancel()
        return expected

    def lost(self, reason: str, waiting: set[int | None]) -> None:
        """The connection has gone; what is still ``waiting`` to be sent is not lost."""
        for ack_id in [known for known in self._expected if known not in waiting]:
            expected = self.forget(ack_id)
            if expected is not None and expected.strict:
                expected.settle(None, Disconnected(reason))

    def strict(self) -> set[int]:
        """The ids of those that must not wait for ever."""
        return {ack_id for ack_id, expected in self._expected.items() if expected.strict}


class Retried:
    """One emit of a socket with ``retries``: tried until it is acknowledged."""

    __slots__ = ("args", "compress", "event", "ids", "settle", "timeout", "tries")

    def __init__(
        self,
        event: str,
        args: tuple[Any, ...],
        settle: Settle | None,
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

    def emit_try(self, item: Retried, settle: Settle) -> int:
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

    def cancel(self, settle: Settle) -> None:
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
