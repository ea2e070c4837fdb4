"""The only base module that knows asyncio: starting coroutines, light awaitables."""

from __future__ import annotations

import asyncio
import sys
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Generator, Iterable
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, Generic, TypeVar

T = TypeVar("T")

FAREWELLS = 128
"""How many clients are sent away before the loop has its turn."""


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
        """Run ``coro`` as a task, which begins in the loop's next turn: there are no others yet."""
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


class All:
    """An awaitable that waits for several. Leaving it unawaited is not an error."""

    __slots__ = ("_results",)

    def __init__(self, results: Iterable[Awaitable[object]]) -> None:
        self._results = list(results)

    def __await__(self) -> Generator[Any, None, None]:
        for result in self._results:
            yield from result.__await__()


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
