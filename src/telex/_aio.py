"""The only base module that knows asyncio: starting coroutines, light awaitables."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine, Generator
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")

if sys.version_info >= (3, 12):

    def start(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``coro`` up to its first suspension now, the rest as a task."""
        return asyncio.Task(coro, loop=loop, eager_start=True)

else:

    def start(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``coro`` as a task (stepping it outside one would break ``asyncio.timeout``)."""
        return loop.create_task(coro)


def discard(coro: Any) -> None:
    """Close a coroutine that nobody will begin, so that Python does not warn about it.

    One that has begun is left alone, and so is anything else that can be awaited.
    """
    if coro.__class__ is CoroutineType and getcoroutinestate(coro) == CORO_CREATED:
        coro.close()


def cancelled_from_outside() -> bool:
    """Whether the running task itself is being cancelled.

    A ``CancelledError`` can also come out of something that the task awaits; then it is
    an error like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def harmless(error: BaseException) -> BaseException:
    """The error, unless it ends the running task itself or the program; then it is raised."""
    if isinstance(error, asyncio.CancelledError):
        if cancelled_from_outside():
            raise error
    elif not isinstance(error, (Exception, SystemExit)):
        raise error
    return error


class Done:
    """An awaitable that is already done: what a call returns when nothing is left to wait for.

    It is no coroutine, so leaving it unawaited is not an error.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, None]:
        return
        yield


DONE = Done()
