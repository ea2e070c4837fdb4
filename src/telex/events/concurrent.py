"""The tasks of a socket's concurrent handlers, which do not wait for its earlier events."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Coroutine
from functools import partial
from typing import Any

from .runtime import Runtime

CONCURRENT_LIMIT = 256
"""How many tasks of concurrent handlers one socket may have before its peer is read no further."""

Begin = Callable[[], Coroutine[Any, Any, None]]


class ConcurrentTasks:
    """Runs a task for each concurrent handler, and keeps what comes when there are too many.

    A task that has ended takes what has waited longest, so that what waits never takes more
    tasks, or a deeper stack.
    """

    __slots__ = ("_runtime", "_waiting", "running", "weight")

    def __init__(self, runtime: Runtime) -> None:
        self.running = 0
        self.weight = 0
        self._runtime = runtime
        self._waiting: deque[tuple[Begin, int]] = deque()

    @property
    def is_full(self) -> bool:
        """Whether there are as many tasks as there may be."""
        return self.running >= CONCURRENT_LIMIT

    def start(self, begin: Begin, freed: Callable[[], None]) -> None:
        """Run ``begin`` in a task of its own; ``freed`` is called when there is one task less."""
        self.running += 1
        self._runtime.start(self._work(begin, freed))

    def wait(self, begin: Begin, weight: int) -> None:
        """Keep ``begin`` until a task has ended."""
        self._waiting.append((begin, weight))
        self.weight += weight

    def clear(self) -> None:
        """Drop what waits for a task."""
        self._waiting.clear()
        self.weight = 0

    async def _work(self, begin: Begin | None, freed: Callable[[], None]) -> None:
        try:
            while begin is not None:
                await begin()
                begin = self._next()
        except BaseException:  # the task has been cancelled, or the program ends
            self._runtime.resume_later(partial(self._replace, freed))
            raise
        freed()

    def _replace(self, freed: Callable[[], None]) -> None:
        """Let another task take the place of one that was cancelled."""
        begin = self._next()
        if begin is None:
            freed()
        else:
            self._runtime.start(self._work(begin, freed))

    def _next(self) -> Begin | None:
        """Take what has waited longest; without it, one task less is running."""
        if not self._waiting:
            self.running -= 1
            return None
        begin, weight = self._waiting.popleft()
        self.weight -= weight
        return begin
