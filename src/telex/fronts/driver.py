"""Lends an engine the two things it does not have: a loop's turn and a timer."""

from __future__ import annotations

import asyncio

from ..engine.engine import Engine
from ..engine.schedule import NEVER
from ..engine.session import Session

LATE = 0.5
"""A timer that is this late (in seconds) lets what has arrived meanwhile be read first."""


class Driver:
    """Flushes what one turn of the loop has produced, and ticks the schedule.

    ``reading`` is the session whose read is being handled: its own front flushes it at
    the end of the read, in the same write as everything else.
    """

    __slots__ = ("_deadline", "_dirty", "_engine", "_timer", "loop", "reading")

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._dirty: list[Session] = []
        self._timer: asyncio.TimerHandle | None = None
        self._deadline = NEVER
        self.loop: asyncio.AbstractEventLoop | None = None
        self.reading: Session | None = None
        engine.cork = self.cork
        engine.schedule.wake = self._wake

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this loop from now on."""
        if loop is not self.loop:
            self.loop = loop
            self._timer = None
            self._dirty.clear()
            self._wake(self._engine.schedule.next_deadline())

    # -- the cork ---------------------------------------------------------------------

    def cork(self, session: Session) -> None:
        """A session has something to send: flush it at the end of this turn."""
        if session is self.reading:
            return
        if not self._dirty and self.loop is not None:
            self.loop.call_soon(self._flush)
        self._dirty.append(session)

    def _flush(self) -> None:
        dirty, self._dirty = self._dirty, []
        for session in dirty:
            session.flush()

    # -- the timer -----------------------------------------------------------------------

    def _wake(self, deadline: float) -> None:
        if self.loop is None or deadline == NEVER:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._deadline = deadline
        delay = max(0.0, deadline - self._engine.schedule.clock())
        self._timer = self.loop.call_later(delay, self._due)

    def _due(self) -> None:
        self._timer = None
        now = self._engine.schedule.clock()
        if now - self._deadline > LATE and self.loop is not None:
            # The process was held up. Clients may have answered long ago: read first.
            self._deadline = now
            self._timer = self.loop.call_later(0.01, self._due)
            return
        deadline = self._engine.schedule.tick(now)
        if self._timer is None:
            self._wake(deadline)

    def stop(self) -> None:
        """Let go of the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
