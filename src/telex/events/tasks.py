"""Tasks that end with their socket: ``socket.spawn(coroutine)``."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from .._log import logger, shown

T = TypeVar("T")


class Tasks:
    """The tasks of one owner; a failure is logged with the owner's name."""

    __slots__ = ("_owner", "_running")

    def __init__(self, owner: object) -> None:
        self._owner = owner
        self._running: set[asyncio.Task[Any]] = set()

    def start(
        self, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]
    ) -> asyncio.Task[T]:
        """Run a coroutine as a task."""
        task = loop.create_task(coro)
        self._running.add(task)
        task.add_done_callback(self._done)
        return task

    def cancel(self) -> None:
        """The owner has ended, and its tasks with it."""
        for task in list(self._running):
            task.cancel()

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a task of %s failed", shown(self._owner), exc_info=task.exception())
