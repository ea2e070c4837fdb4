"""A task for coroutines that may not need one: see ``native/lender.c``, which lends it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Generator
from contextvars import Context, copy_context
from typing import Any

from ._aio import make_task
from .native import core

_tasks: Any = asyncio.tasks


class Box(Coroutine[Any, Any, Any]):
    """What a task runs that is there to be lent: nothing, until it is given a coroutine."""

    __slots__ = ("coro",)

    coro: Coroutine[Any, Any, Any]

    def send(self, value: Any) -> Any:
        return self.coro.send(value)

    def throw(self, *error: Any) -> Any:
        return self.coro.throw(*error)

    def close(self) -> None:
        self.coro.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self.coro.__await__()


class Rest(Awaitable[Any]):
    """What is left of a coroutine that has been begun elsewhere, and has ``yielded`` there."""

    __slots__ = ("_coro", "_yielded")

    def __init__(self, coro: Coroutine[Any, Any, Any], yielded: Any) -> None:
        self._coro = coro
        self._yielded = yielded

    def __await__(self) -> Generator[Any, Any, Any]:
        coro, yielded = self._coro, self._yielded
        while True:
            try:
                sent = yield yielded
            except GeneratorExit:
                coro.close()
                raise
            except BaseException as error:
                step: Any = coro.throw
                sent = error
            else:
                step = coro.send
            try:
                yielded = step(sent)
            except StopIteration as done:
                return done.value


Loan = tuple["asyncio.Task[Any]", Callable[[], None], Context, Context, Box, str]
"""A task, its first step, its context, what that was, what the task runs, its name."""


def spare(loop: asyncio.AbstractEventLoop) -> Loan:
    """A task to be lent. Nobody hears of it before it has something to do."""
    box = Box()
    task, step, context = make_task(loop, box)
    _tasks._unregister_task(task)
    silent: Any = task
    silent._log_destroy_pending = False
    return task, step, context, copy_context(), box, task.get_name()


def settle(
    task: asyncio.Task[Any],
    step: Callable[[], None],
    context: Context,
    box: Box,
    value: Any,
    error: BaseException | None,
) -> None:
    """Somebody knows a task that was lent: it ends as the coroutine has."""
    box.coro = _ended(value, error)
    _tasks._register_task(task)
    context.run(step)
    if task.done() and not task.cancelled():
        task.exception()  # it has been reported


async def _ended(value: Any, error: BaseException | None) -> Any:
    if error is not None:
        raise error
    return value


def keep(
    task: asyncio.Task[Any],
    step: Callable[[], None],
    context: Context,
    box: Box,
    coro: Coroutine[Any, Any, Any],
) -> None:
    """The task that was lent runs ``coro`` from now on."""
    box.coro = coro
    _tasks._register_task(task)
    context.run(step)


def lender(loop: asyncio.AbstractEventLoop) -> object:
    """What lends tasks on a loop; ``None`` without the compiled part."""
    if core is None:
        return None
    return core.Lender(loop, spare, settle, _tasks._enter_task, _tasks._leave_task)
