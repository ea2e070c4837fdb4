"""The client's end of the heartbeat. From revision 4 on the server pings, before the client."""

from __future__ import annotations

from ..types import Clock

NEVER = float("inf")


class ClientHeartbeat:
    """When the server has to have been heard of, or is to hear of the client.

    ``due`` is the deadline, ``interval`` and ``timeout`` are what the server's open packet
    has told, in seconds. ``held``: the server is not read, so its pings cannot be answered
    when they come; the client gives a sign of life of its own accord.
    """

    __slots__ = (
        "_clock",
        "_elapsed",
        "_overdue_at",
        "_pinged_at",
        "_protocol",
        "due",
        "held",
        "interval",
        "pong_expected",
        "timeout",
    )

    def __init__(self, protocol: int, clock: Clock, elapsed: Clock) -> None:
        self.interval = 0.0
        self.timeout = 0.0
        self.due = NEVER
        self.held = False
        self.pong_expected = False
        self._protocol = protocol
        self._clock = clock
        self._elapsed = elapsed
        self._overdue_at = NEVER
        self._pinged_at = 0.0

    def restart(self) -> None:
        """Set the next deadline, seen from now."""
        now = self._clock()
        if self.held:
            # Whenever the server's ping comes, it wants an answer within the timeout.
            self.due = now + min(self.interval, self.timeout) / 2
        elif self._protocol == 3:
            self.due = now + self.interval
        else:
            longest = self.interval + self.timeout
            self.due = now + longest
            self._overdue_at = self._elapsed() + longest

    def stop(self) -> None:
        """There is no deadline any more."""
        self.due = NEVER
        self.pong_expected = False

    def ping_sent(self) -> None:
        """Revision 3: a ping leaves; its pong is waited for."""
        self.pong_expected = True
        self._pinged_at = self._clock()
        self.due = self._pinged_at + self.timeout

    def heard(self) -> None:
        """Revision 3: anything that comes before a pong shows that the server lives."""
        self.due = self._clock() + self.interval + self.timeout

    def pong_received(self) -> float:
        """Revision 3: the latency of the ping, in seconds."""
        self.pong_expected = False
        self.restart()
        return self._clock() - self._pinged_at

    def overdue(self) -> bool:
        """Whether the server's ping should have come already by a clock that never stops.

        It should, after a machine has slept: what is sent now would reach no one.
        """
        if self._protocol == 3 or self.held:
            return False
        return self._overdue_at <= self._elapsed()
