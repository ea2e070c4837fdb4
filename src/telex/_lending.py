"""A task for coroutines that may not need one: see ``native/lender.c``, which lends it."""

from __future__ import annotations

import asyncio
import sys
import weakref
from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, Literal

from ._aio import make_task, start
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


class _Cancelled(Box):
    """In a box whose task was cancelled before its first step: begins what it has first.

    A task that is cancelled by what it runs cancels what that waits for next; where that cannot
    be cancelled, what it runs is told in the step after.
    """

    __slots__ = ("_box", "_error")

    def __init__(self, box: Box, coro: Coroutine[Any, Any, Any]) -> None:
        self.coro = coro
        self._box = box
        self._error: BaseException | None = None

    def send(self, value: Any) -> Any:
        return self.throw()

    def throw(self, *error: Any) -> Any:
        if self._error is not None:
            self._box.coro = self.coro
            return self.coro.throw(self._error)
        (cancelled,) = error
        try:
            waits_for = self.coro.send(None)
        except StopIteration:
            raise cancelled from None
        future = getattr(waits_for, "_asyncio_future_blocking", None) is True
        if future and waits_for.cancel(*cancelled.args):
            self._box.coro = self.coro
        else:
            self._error = cancelled
        return waits_for


@coroutine
def rest(coro: Coroutine[Any, Any, Any], yielded: Any) -> Generator[Any, Any, Any]:
    """What is left of a coroutine that has been begun elsewhere, and has ``yielded`` there."""
    step: Any
    while True:
        try:
            sent = yield yielded
        except GeneratorExit:
            coro.close()
            raise
        except BaseException as error:
            step = coro.throw
            sent = error
        else:
            step = coro.send
        yielded = None
        try:
            yielded = step(sent)
        except StopIteration as done:
            return done.value
        finally:
            sent = None  # an error's traceback knows this frame


async def ended(value: Any, error: BaseException | None) -> Any:
    """What has come of a coroutine, once more."""
    if error is not None:
        try:
            raise error
        finally:
            error = None
    return value


Loan = tuple[
    "asyncio.Task[Any]",
    Callable[[], None],
    Context,
    Box,
    tuple[tuple[Any, Any], ...],
    str,
    Any,
]
"""A task, its first step, its context, what the task runs; what is in the context, the task's
name, and what ``add`` and ``remove`` are called with."""

if sys.version_info >= (3, 12):
    _add = _tasks._register_eager_task
    _remove = _tasks._unregister_eager_task

    def _key(task: asyncio.Task[Any]) -> Any:
        return task

else:
    _add = _tasks._all_tasks.data.add
    _remove = _tasks._all_tasks.data.discard

    def _key(task: asyncio.Task[Any]) -> Any:
        return weakref.ref(task, _remove)  # with a callback, it is nobody else's


def spare(loop: asyncio.AbstractEventLoop) -> Loan:
    """A task to be lent. Nobody hears of it before it has something to do."""
    box = Box()
    task, step, context = make_task(loop, box)
    _tasks._unregister_task(task)
    silent: Any = task
    silent._log_destroy_pending = False
    base = tuple(context.items())
    return task, step, context, box, base, task.get_name(), _key(task)


def keep(
    task: asyncio.Task[Any],
    step: Callable[[], None],
    context: Context,
    box: Box,
    coro: Coroutine[Any, Any, Any],
) -> None:
    """The task that was lent runs ``coro`` from now on."""
    kept: Any = task
    kept._log_destroy_pending = True
    box.coro = _Cancelled(box, coro) if kept._must_cancel else coro
    _tasks._register_task(task)
    context.run(step)


def lend(lender: Any, coro: Coroutine[Any, Any, Any]) -> asyncio.Task[Any] | Literal[False] | None:
    """Run ``coro``, which raises nothing, up to its first suspension, while no task is running.

    The result is its task, if it has suspended, and ``False`` if nothing has been done.
    """
    if lender is None:
        return False
    try:
        begun = lender.begin(coro)
    except asyncio.CancelledError:
        return None
    if begun is None:
        return None
    if not begun:
        return False
    suspended, value, error, task, step, context, box = begun
    work: Any = rest(coro, value) if suspended else ended(value, error)
    keep(task, step, context, box, work)
    kept: asyncio.Task[Any] = task
    return None if kept.done() else kept


def begin(
    lender: Any, loop: asyncio.AbstractEventLoop, coro: Coroutine[Any, Any, Any]
) -> asyncio.Task[Any] | None:
    """The same beside a task that may be running, and with a task of its own if none is lent."""
    current = asyncio.current_task(loop) if lender is not None else None
    if current is not None:
        _tasks._leave_task(loop, current)
    try:
        task = lend(lender, coro)
        if task is False:
            task = start(loop, coro)
            return None if task.done() else task
        return task
    finally:
        if current is not None:
            _tasks._enter_task(loop, current)


def lender(loop: asyncio.AbstractEventLoop, context: Context) -> object:
    """What lends tasks on a loop; ``None`` without the compiled part.

    They have the variables of ``context``, whoever needs them.
    """
    if core is None:
        return None
    context = context.copy()  # one that nobody is in

    def make(loop: asyncio.AbstractEventLoop) -> Loan:
        return context.run(spare, loop)

    return core.Lender(loop, make, _tasks._enter_task, _tasks._leave_task, _add, _remove)
