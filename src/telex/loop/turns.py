"""Long work in turns of the loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Iterable
from typing import Generic

from .results import DONE
from .tasks import T

DISCONNECTS_PER_TURN = 128
"""How many clients are sent away before the loop has its turn."""


def in_turns(items: Iterable[T], do: Callable[[T], object], most: int) -> Awaitable[None]:
    """Do something with every item, with so many at most in one turn of the running loop.

    The first are done at once; without a running loop, all are. The result is done when all
    are, whether it is awaited or not. An error goes to the loop and keeps no others back.
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
