"""The one timer behind all the deadlines of a server, or of a connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Protocol

from ..deadlines import NEVER
from ..types import Clock

LATE = 0.5
"""A timer that is this late (in seconds) lets what has arrived meanwhile be read first."""


class Deadlines(Protocol):
    """What a timer ticks: a ``Schedule``, or anything else that has deadlines.

    ``clock`` gives the time in seconds. The timer puts a function into ``wake`` that is to be
    called with each deadline that is earlier than ``armed``, the one that it waits for.
    """

    @property
    def clock(self) -> Clock: ...

    armed: float
    wake: Callable[[float], None]

    def rearm(self) -> float:
        """The next deadline, from now on in ``armed``; infinity if there is none."""
        ...

    def tick(self, now: float) -> object:
        """Do what is due."""
        ...


class LoopTimer:
    """Ticks a schedule on a loop, once ``bind`` has named the loop."""

    __slots__ = ("_context", "_deadline", "_loop", "_postponed", "_schedule", "_timer")

    def __init__(self, schedule: Deadlines) -> None:
        self._schedule = schedule
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = NEVER
        self._postponed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        schedule.wake = self._wake

    def bind(self, loop: asyncio.AbstractEventLoop, context: Context | None = None) -> None:
        """Tick on this loop from now on, in this context or the current one."""
        self._loop = loop
        self._context = copy_context() if context is None else context
        self._timer = None
        self._wake(self._schedule.rearm())

    def _wake(self, deadline: float) -> None:
        if self._loop is None or deadline == NEVER:
            return
        delay = max(0.0, deadline - self._schedule.clock())
        timer = self._loop.call_later(delay, self._due, context=self._context.copy())
        if self._timer is not None:
            self._timer.cancel()
        self._timer = timer
        self._deadline = deadline

    def _due(self) -> None:
        self._timer = None
        now = self._schedule.clock()
        if now - self._deadline > LATE and not self._postponed and self._loop is not None:
            # The process was held up. Clients may have answered long ago: read first, once.
            self._postponed = True
            self._timer = self._loop.call_later(0.01, self._due, context=self._context.copy())
            return
        self._postponed = False
        try:
            self._schedule.tick(now)
        finally:
            if self._timer is None:
                self._wake(self._schedule.rearm())

    def stop(self) -> None:
        """Let go of the timer; the next deadline that is set starts it again."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._schedule.armed = NEVER
