"""What waits for ``receive()``: the pull style of receiving."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

from .._log import logger
from ..errors import Disconnected

T = TypeVar("T")

HEAVIEST = 64 * 1024 * 1024
"""How many bytes may wait, unless a single item has more."""


class ReceiveQueue(Generic[T]):
    """A queue that is bounded, in number and weight, and can be closed.

    Past a limit the oldest items are dropped; the next call of ``get`` says so in the log.
    """

    __slots__ = ("_dropped", "_items", "_limit", "_reason", "_waiting", "_weight")

    def __init__(self, limit: int) -> None:
        self._items: deque[tuple[T, int]] = deque()
        self._weight = 0
        self._limit = limit
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._reason: str | None = None
        self._dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def put(self, item: T, weight: int) -> None:
        """Something has come; it takes ``weight`` bytes, about."""
        self._items.append((item, weight))
        self._weight += weight
        while len(self._items) > self._limit or (self._weight > HEAVIEST and len(self._items) > 1):
            self._pop()
            self._dropped += 1
        self._wake()

    def _pop(self) -> T:
        item, weight = self._items.popleft()
        self._weight -= weight
        return item

    async def get(self, timeout: float | None = None) -> T:
        """The oldest item.

        Raises ``Disconnected`` when nothing waits and nothing will come, ``TimeoutError``
        after ``timeout`` seconds.
        """
        if self._dropped:
            logger.warning(
                "more than %d events, or %d bytes of them, waited for receive(): the oldest %d"
                " were dropped (option receive_limit)",
                self._limit,
                HEAVIEST,
                self._dropped,
            )
            self._dropped = 0
        if not self._items:
            async with asyncio.timeout(timeout):
                await self._wait()
        return self._pop()

    async def _wait(self) -> None:
        loop = asyncio.get_running_loop()
        while not self._items:
            if self._reason is not None:
                raise Disconnected(self._reason)
            turn: asyncio.Future[None] = loop.create_future()
            self._waiting.append(turn)
            try:
                await turn
            except asyncio.CancelledError:
                if turn in self._waiting:
                    self._waiting.remove(turn)
                elif self._items:
                    self._wake()  # it was this call's turn: the next one's now
                raise

    def _wake(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def close(self, reason: str) -> None:
        """Nothing will come any more."""
        self._reason = reason
        waiting, self._waiting = self._waiting, deque()
        for turn in waiting:
            if not turn.done():
                turn.set_result(None)

    def reopen(self) -> None:
        """Something may come again."""
        self._reason = None
