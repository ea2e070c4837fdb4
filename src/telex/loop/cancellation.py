"""Telling the cancellation of a task from other errors."""

from __future__ import annotations

import asyncio


def cancelled_from_outside() -> bool:
    """Whether the running task itself is being cancelled.

    A ``CancelledError`` can also come out of something that the task awaits; then it is
    an error like any other.
    """
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def reraise_fatal(error: BaseException) -> BaseException:
    """The error, unless it ends the running task itself or the program; then it is raised."""
    if isinstance(error, asyncio.CancelledError):
        if cancelled_from_outside():
            raise error
    elif not isinstance(error, (Exception, SystemExit)):
        raise error
    return error
