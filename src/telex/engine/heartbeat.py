"""The deadlines of all sessions: heartbeat, upgrade, close.

Revision 4: the server sends a ping every ``ping_interval`` and expects the pong within
``ping_timeout``. Revision 3: the client pings; the server expects a ping within the sum
of both.
"""

from __future__ import annotations

from typing import Protocol

from ..deadlines import Schedule, Timeout
from .tally import Tally

CLOSE_TIMEOUT = 30.0
"""How long a closing session waits for a poll, or for its client to read, in seconds."""

OVERFLOW_TIMEOUT = 2.0
"""How long more than ``send_buffer_limit`` may wait for a client, in seconds."""

PAUSE_TIMEOUT = 300.0
"""How long a session may go unread because its handlers are busy, in seconds."""

NOOP_INTERVAL = 0.1
"""How often a pending poll is released while the client upgrades, in seconds."""


class Beating(Protocol):
    """What a session does when one of its deadlines passes."""

    def send_ping(self) -> None: ...
    def ping_timed_out(self) -> None: ...
    def close_timed_out(self) -> None: ...
    def overflow_timed_out(self) -> None: ...


class Probing(Protocol):
    """What a probe does when one of its deadlines passes."""

    def release_poll(self) -> None: ...
    def timed_out(self) -> None: ...


class Heartbeat:
    """One timeout for each kind of deadline (in seconds), and the log of those that have passed."""

    __slots__ = (
        "_of_sessions",
        "clock",
        "close",
        "notes",
        "noop",
        "overflow",
        "pause",
        "ping",
        "pong",
        "silence",
        "upgrade",
    )

    def __init__(
        self,
        schedule: Schedule,
        *,
        ping_interval: float,
        ping_timeout: float,
        upgrade_timeout: float,
    ) -> None:
        self.clock = schedule.clock
        self.notes = Tally(schedule)
        self.ping: Timeout[Beating] = schedule.timeout(ping_interval, lambda s: s.send_ping())
        self.pong: Timeout[Beating] = schedule.timeout(ping_timeout, lambda s: s.ping_timed_out())
        self.silence: Timeout[Beating] = schedule.timeout(
            ping_interval + ping_timeout, lambda s: s.ping_timed_out()
        )
        self.overflow: Timeout[Beating] = schedule.timeout(
            OVERFLOW_TIMEOUT, lambda s: s.overflow_timed_out()
        )
        self.pause: Timeout[Beating] = schedule.timeout(PAUSE_TIMEOUT, lambda s: s.ping_timed_out())
        self.close: Timeout[Beating] = schedule.timeout(
            CLOSE_TIMEOUT, lambda s: s.close_timed_out()
        )
        self.upgrade: Timeout[Probing] = schedule.timeout(upgrade_timeout, lambda p: p.timed_out())
        self.noop: Timeout[Probing] = schedule.timeout(NOOP_INTERVAL, lambda p: p.release_poll())
        timeouts = (self.ping, self.pong, self.silence, self.close, self.pause, self.overflow)
        self._of_sessions = tuple([timeout.deadlines for timeout in timeouts])

    def forget(self, session: Beating) -> None:
        """Cancel every deadline of a session."""
        for deadlines in self._of_sessions:
            if deadlines:
                deadlines.pop(session, None)
