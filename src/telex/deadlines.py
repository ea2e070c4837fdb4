"""One schedule for all sessions instead of a timer for each.

A *timeout* holds deadlines that are all the same delay away when they are set, so they
expire in the order in which they were set, and setting, moving or cancelling one costs
the same however many there are. The owner of the only real timer (a front) asks for
``next_deadline`` and calls ``tick``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from .types import Clock

K = TypeVar("K")

NEVER = float("inf")

CROWD = 50
SLACK = 0.01
"""In a timeout with more than ``CROWD`` deadlines each may come late, by this part of its delay:
many are then dealt with at once, where each would have cost a turn of the loop."""


class Timeout(Generic[K]):
    """Deadlines with one delay in common; ``expired(key)`` is called when one passes."""

    __slots__ = ("_expired", "_schedule", "deadlines", "delay")

    def __init__(self, schedule: Schedule, delay: float, expired: Callable[[K], None]) -> None:
        self.delay = delay
        self._schedule = schedule
        self._expired = expired
        self.deadlines: dict[K, float] = {}
        """The earliest comes first. Code that forgets a key in many timeouts removes it itself."""

    def start(self, key: K) -> None:
        """Set the deadline of ``key``, or set it anew."""
        schedule = self._schedule
        deadline = schedule.clock() + self.delay
        deadlines = self.deadlines
        if key in deadlines:
            del deadlines[key]
        deadlines[key] = deadline
        if deadline < schedule.armed:
            armed, schedule.armed = schedule.armed, deadline
            try:
                schedule.wake(deadline)
            except BaseException:
                schedule.armed = armed  # the next deadline wakes
                raise

    def stop(self, key: K) -> None:
        """Cancel the deadline of ``key``, if it has one."""
        self.deadlines.pop(key, None)

    def __contains__(self, key: K) -> bool:
        return key in self.deadlines

    def __len__(self) -> int:
        return len(self.deadlines)

    def first(self) -> float:
        """The earliest deadline."""
        return next(iter(self.deadlines.values()), NEVER)

    def latest(self) -> float:
        """When the earliest deadline should be dealt with."""
        slack = SLACK * self.delay if len(self.deadlines) > CROWD else 0.0
        return self.first() + slack

    def tick(self, now: float) -> None:
        """Expire what is due. What is set meanwhile is due at a later tick."""
        deadlines = self.deadlines
        due: list[K] = []
        for key, deadline in deadlines.items():
            if deadline > now:
                break
            due.append(key)
        for key in due:
            if deadlines.get(key, NEVER) <= now:
                del deadlines[key]
                self._expired(key)


class Schedule:
    """All timeouts of one server.

    ``clock`` gives the time in seconds, from any origin; it must not go back. ``wake``
    is called with a deadline that is earlier than all those known before; the front
    puts a function there that arms its timer.
    """

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.armed = NEVER
        self.wake: Callable[[float], None] = _nobody
        self._timeouts: list[Timeout[Any]] = []

    def timeout(self, delay: float, expired: Callable[[K], None]) -> Timeout[K]:
        """A new timeout: ``expired(key)`` is called ``delay`` seconds after ``start(key)``."""
        timeout = Timeout(self, delay, expired)
        self._timeouts.append(timeout)
        return timeout

    def remove(self, timeout: Timeout[Any]) -> None:
        """Forget a timeout whose owner has gone."""
        self._timeouts.remove(timeout)

    def next_deadline(self) -> float:
        """When ``tick`` should be called next; infinity if nothing is waiting."""
        return min([timeout.latest() for timeout in self._timeouts], default=NEVER)

    def tick(self, now: float) -> float:
        """Expire what is due and return the next deadline."""
        self.armed = now  # what is set during the tick is found afterwards, without a wake
        for timeout in list(self._timeouts):
            timeout.tick(now)
        return self.rearm()

    def rearm(self) -> float:
        """Find the next deadline; ``wake`` is called for earlier ones only."""
        self.armed = self.next_deadline()
        return self.armed

    def pending(self) -> int:
        """How many deadlines are set."""
        return sum(map(len, self._timeouts))


def _nobody(deadline: float) -> None:
    """Nobody waits for deadlines yet."""
