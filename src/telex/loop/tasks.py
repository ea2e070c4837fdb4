"""Starting coroutines."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Coroutine
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, TypeVar

T = TypeVar("T")


if sys.version_info >= (3, 12):

    def start(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``coro`` as a task, up to its first suspension now.

        A loop that is not running begins it later, and one that has a task factory when that does.
        """
        if loop.get_task_factory() is None:
            return asyncio.Task(coro, loop=loop, eager_start=True)
        return loop.create_task(coro)

else:

    def start(loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Run ``coro`` as a task, which begins in the loop's next turn: 3.11 has no other kind."""
        return loop.create_task(coro)


def discard(coro: Any) -> None:
    """Close a coroutine that is not going to begin, so that Python does not warn about it.

    One that has begun is left alone, and so is anything else that can be awaited.
    """
    if coro.__class__ is CoroutineType and getcoroutinestate(coro) == CORO_CREATED:
        coro.close()
