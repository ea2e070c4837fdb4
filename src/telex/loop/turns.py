"""Fairness: long work, and new connections, in turns of the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic, Protocol, TypeVar

from .._log import logger
from .results import DONE
from .tasks import T

DISCONNECTS_PER_TURN = 128
"""How many clients are sent away before the loop has its turn."""


def in_turns(items: Iterable[T], do: Callable[[T], object], most: int) -> Awaitable[None]:
    """Do something with every item, with so many at most in one turn of the running loop.

    The first are done at once; without a running loop, all are. The result is done when all
    are, whether it is awaited or not. An error goes to the loop and keeps no other item back.
    """
    waiting = deque(items)
    try:
        loop = asyncio.get_running_loop()
    except RuntimeError:
        for item in waiting:
            do(item)
        return DONE
    turns = _Turns(loop, waiting, do, most)
    turns.some()
    if not waiting:
        return DONE
    turns.done = loop.create_future()
    return turns.done


class _Turns(Generic[T]):
    __slots__ = ("_do", "_loop", "_most", "_waiting", "done")

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        waiting: deque[T],
        do: Callable[[T], object],
        most: int,
    ) -> None:
        self._loop = loop
        self._waiting = waiting
        self._do = do
        self._most = most
        self.done: asyncio.Future[None] | None = None

    def some(self) -> None:
        waiting = self._waiting
        for _ in range(min(self._most, len(waiting))):
            item = waiting.popleft()
            try:
                self._do(item)
            except Exception as error:
                context = {"message": f"{item!r} has failed in its turn", "exception": error}
                self._loop.call_exception_handler(context)
        if waiting:
            self._loop.call_soon(self.some)
        elif self.done is not None and not self.done.done():
            self.done.set_result(None)


class Newcomer(Protocol):
    """A new connection that has sent something."""

    @property
    def transport(self) -> asyncio.Transport: ...

    def first_bytes(self, data: bytes) -> None:
        """Serve what the client has sent first."""
        ...


N = TypeVar("N", bound=Newcomer)


class Admission(Generic[N]):
    """Serves new connections, so many at most in one turn of the loop.

    When thousands come at once, the loop goes on with all other work in between. A connection
    that waits is not read.
    """

    __slots__ = ("_loop", "_most", "_served", "_waiting")

    def __init__(self, loop: asyncio.AbstractEventLoop, most: int) -> None:
        self._loop = loop
        self._most = most
        self._served = 0
        self._waiting: deque[tuple[N, bytes]] = deque()

    def admit_in_turn(self, newcomer: N, data: bytes) -> None:
        """Serve a connection that has sent ``data``, in this turn of the loop or a later one."""
        if self._served >= self._most:
            newcomer.transport.pause_reading()
            self._waiting.append((newcomer, data))
            return
        if not self._served:
            self._loop.call_soon(self._next_turn)
        self._served += 1
        newcomer.first_bytes(data)

    def _next_turn(self) -> None:
        self._served = 0
        while self._waiting and self._served < self._most:
            newcomer, data = self._waiting.popleft()
            if newcomer.transport.is_closing():
                continue
            if not self._served:
                self._loop.call_soon(self._next_turn)
            self._served += 1
            newcomer.transport.resume_reading()
            try:
                newcomer.first_bytes(data)
            except Exception:  # as the loop would for one that has not waited
                logger.exception("a connection could not be served")
                newcomer.transport.abort()
