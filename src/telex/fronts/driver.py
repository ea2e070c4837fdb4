"""Lends an engine the two things it does not have: a loop's turn and a timer."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from typing import TYPE_CHECKING, Any, Protocol

from .._log import logger
from ..deadlines import Schedule, Timeout
from ..engine.engine import Engine
from ..engine.reasons import TRANSPORT_ERROR
from ..engine.session import Session
from ..loop.tasks import start
from ..loop.timer import LoopTimer
from ..native import core

CLOSE_TIMEOUT = 10.0
"""How long a connection that is to end may stay open, in seconds.

A client has this time to read what was written, and over WebSocket to answer the close frame.
"""

FLUSHES_PER_TURN = 256
"""How many sessions are flushed before the loop has its turn."""


class Leaving(Protocol):
    """A connection that is to end, and waits for its client."""

    def hang_up(self) -> None:
        """Wait no longer: end the connection, and drop what the client has not read."""
        ...


def leaving_timeout(schedule: Schedule) -> Timeout[Leaving]:
    """The deadlines of connections that are to end."""
    return schedule.timeout(CLOSE_TIMEOUT, lambda connection: connection.hang_up())


class Cork:
    """Is told about sessions that have something to send, and wakes at the first of a turn.

    There is a compiled form, too (``native/driver.c``).
    """

    __slots__ = ("_sessions", "_wake")

    def __init__(self, wake: Callable[[], None]) -> None:
        self._sessions: list[Session] = []
        self._wake = wake

    def __call__(self, session: Session) -> None:
        if not self._sessions:
            self._wake()
        self._sessions.append(session)

    def take(self) -> list[Session]:
        """The sessions that were told; begin anew."""
        sessions, self._sessions = self._sessions, []
        return sessions


def _flush_all(sessions: list[Session], failed: Callable[[Session, Exception], None]) -> None:
    """Flush sessions; one session's trouble is not the others'."""
    for session in sessions:
        try:
            session.flush()
        except Exception as error:
            failed(session, error)


def _failed(session: Session, error: Exception) -> None:
    logger.error("a session could not be flushed", exc_info=error)
    session.end(TRANSPORT_ERROR)


if not TYPE_CHECKING and core is not None:
    Cork = core.Cork
    _flush_all = core.flush_all


class Driver:
    """Flushes what one turn of the loop has produced, and ticks the engine's schedule.

    A turn flushes so many sessions at most, new ones before those that earlier turns have
    left over: a broadcast to ten thousand clients does not keep the others waiting. What
    waits for a session keeps its order in either case.
    """

    __slots__ = (
        "_cork",
        "_left_over",
        "_timer",
        "context",
        "leaving",
        "loop",
        "max_size",
        "watch",
        "websockets",
    )

    def __init__(self, engine: Engine) -> None:
        self._cork = Cork(self._wake)
        self._left_over: deque[Session] = deque()
        self._timer = LoopTimer(engine.schedule)
        self.context = Context()
        self.loop: asyncio.AbstractEventLoop | None = None
        self.leaving = leaving_timeout(engine.schedule)
        self.websockets = 0
        """How many WebSockets have been taken from the HTTP server and have not ended."""
        self.max_size = engine.options.max_http_buffer_size
        self.watch: object = None  # of sockets of our own, see fronts/websocket/native.py
        engine.cork = self._cork

    def bind(self, loop: asyncio.AbstractEventLoop, context: Context | None = None) -> None:
        """Run on this loop from now on, in this context or the current one."""
        if loop is not self.loop:
            self.loop = loop
            self.context = copy_context() if context is None else context
            self._cork.take()
            self._left_over.clear()
            self._timer.bind(loop, self.context)

    def begin(self, coro: Coroutine[Any, Any, None]) -> asyncio.Task[None] | None:
        """Run a coroutine: its task, unless that is done already."""
        assert self.loop is not None
        task = start(self.loop, coro)
        return None if task.done() else task

    def _wake(self) -> None:
        """The first session of this turn has something to send: flush at the end of it."""
        if not self._left_over and self.loop is not None:
            self.loop.call_soon(self._flush, context=self.context.copy())

    def _flush(self) -> None:
        dirty = self._cork.take()
        left_over = self._left_over
        if left_over or len(dirty) > FLUSHES_PER_TURN:
            left_over.extend(dirty[FLUSHES_PER_TURN:])
            del dirty[FLUSHES_PER_TURN:]
            while left_over and len(dirty) < FLUSHES_PER_TURN:
                dirty.append(left_over.popleft())
            if left_over and self.loop is not None:
                self.loop.call_soon(self._flush, context=self.context.copy())
        _flush_all(dirty, _failed)

    def leave(self, connection: Leaving) -> None:
        """A connection is to end: wait for its client ``CLOSE_TIMEOUT`` seconds from now on."""
        if connection not in self.leaving:
            self.leaving.start(connection)

    def left(self, connection: Leaving) -> None:
        """A connection has ended, or its client has read everything."""
        self.leaving.stop(connection)

    def gone(self, websocket: Leaving) -> None:
        """The connection of a WebSocket has ended."""
        self.left(websocket)
        self.websockets -= 1

    def hang_up(self) -> None:
        """Wait no longer for the clients of connections that are to end."""
        for connection in list(self.leaving.deadlines):
            connection.hang_up()

    def stop(self) -> None:
        """Let go of the timer."""
        self._timer.stop()
