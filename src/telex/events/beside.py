"""What runs beside a socket's queue: the tasks of its concurrent handlers, within a limit."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from typing import Any

CONCURRENT_LIMIT = 256
"""How many tasks one socket may have beside its queue before its client is read no further."""

Begin = Callable[[], Coroutine[Any, Any, None]]


class Beside:
    """Counts the tasks that run, and keeps what waits until one of them has ended.

    Each task begins with what waits when it has done its own, so that what waits never takes
    more tasks, or a deeper stack.
    """

    __slots__ = ("_waiting", "running", "weight")

    def __init__(self) -> None:
        self.running = 0
        self.weight = 0
        self._waiting: deque[tuple[Begin, int]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether what comes has to wait."""
        return self.running >= CONCURRENT_LIMIT

    def wait(self, begin: Begin, weight: int) -> None:
        """Keep what is to be begun when a task has ended."""
        self._waiting.append((begin, weight))
        self.weight += weight

    def next(self) -> Begin | None:
        """What has waited longest; ``None``: a task is not needed any more."""
        if not self._waiting:
            self.running -= 1
            return None
        begin, weight = self._waiting.popleft()
        self.weight -= weight
        return begin

    def clear(self) -> None:
        """Forget what waits."""
        self._waiting.clear()
        self.weight = 0
