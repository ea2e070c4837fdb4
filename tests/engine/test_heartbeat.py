"""The lanes of sessions and probes: which deadline calls what, and after how long."""

from __future__ import annotations

from telex.deadlines import Schedule
from telex.engine.heartbeat import (
    CLOSE_TIMEOUT,
    NOOP_INTERVAL,
    OVERFLOW_TIMEOUT,
    PAUSE_TIMEOUT,
    Heartbeat,
)
from tests.support.doubles import VirtualClock


class Notes:
    """A session and a probe that note what they are told."""

    def __init__(self, clock: VirtualClock) -> None:
        self.clock = clock
        self.all: list[tuple[str, float]] = []

    def _note(self, what: str) -> None:
        self.all.append((what, round(self.clock.now, 3)))

    def send_ping(self) -> None:
        self._note("ping")

    def ping_timed_out(self) -> None:
        self._note("ping timeout")

    def close_timed_out(self) -> None:
        self._note("close timeout")

    def overflow_timed_out(self) -> None:
        self._note("overflow")

    def release_poll(self) -> None:
        self._note("noop")

    def timed_out(self) -> None:
        self._note("upgrade timeout")


def make() -> tuple[VirtualClock, Schedule, Heartbeat, Notes]:
    clock = VirtualClock()
    schedule = Schedule(clock)
    heartbeat = Heartbeat(schedule, ping_interval=25, ping_timeout=20, upgrade_timeout=10)
    return clock, schedule, heartbeat, Notes(clock)


def pass_time(clock: VirtualClock, schedule: Schedule, until: float) -> None:
    """Tick at every deadline, as the owner of the timer does."""
    while (deadline := schedule.next_deadline()) <= until:
        clock.now = deadline
        schedule.tick(deadline)
    clock.now = until


class TestLanes:
    def test_each_calls_its_own_after_its_own_time(self) -> None:
        clock, schedule, heartbeat, notes = make()
        heartbeat.ping.start(notes)
        heartbeat.pong.start(notes)
        heartbeat.silence.start(notes)
        heartbeat.pause.start(notes)
        heartbeat.overflow.start(notes)
        heartbeat.close.start(notes)
        heartbeat.upgrade.start(notes)
        heartbeat.noop.start(notes)
        pass_time(clock, schedule, 1000)
        assert sorted(notes.all, key=lambda note: note[1]) == [
            ("noop", NOOP_INTERVAL),
            ("overflow", OVERFLOW_TIMEOUT),
            ("upgrade timeout", 10),
            ("ping timeout", 20),
            ("ping", 25),
            ("close timeout", CLOSE_TIMEOUT),
            ("ping timeout", 45),
            ("ping timeout", PAUSE_TIMEOUT),
        ]

    def test_forgetting_a_session_leaves_others_alone(self) -> None:
        clock, schedule, heartbeat, notes = make()
        other = Notes(clock)
        for session in (notes, other):
            heartbeat.ping.start(session)
            heartbeat.pong.start(session)
            heartbeat.silence.start(session)
            heartbeat.pause.start(session)
            heartbeat.overflow.start(session)
            heartbeat.close.start(session)
        heartbeat.forget(notes)
        assert schedule.pending() == 6
        pass_time(clock, schedule, 1000)
        assert notes.all == []
        assert len(other.all) == 6
