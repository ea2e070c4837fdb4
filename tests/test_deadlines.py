"""The schedule: deadlines of many sessions, without a timer for each."""

from __future__ import annotations

from collections.abc import Callable

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telex.deadlines import CROWD, NEVER, SLACK, Schedule, Timeout
from tests.support.doubles import VirtualClock


class Alarm:
    """Takes the calls of `wake`, as the owner of the only timer does."""

    def __init__(self) -> None:
        self.calls: list[float] = []

    def __call__(self, deadline: float) -> None:
        self.calls.append(deadline)


def make(
    *delays: float,
) -> tuple[VirtualClock, Schedule, list[Timeout[str]], list[tuple[float, str]]]:
    """A schedule with lanes that note when which key has expired."""
    clock = VirtualClock()
    schedule = Schedule(clock)
    expired: list[tuple[float, str]] = []

    def note(key: str) -> None:
        expired.append((clock.now, key))

    return clock, schedule, [schedule.timeout(delay, note) for delay in delays], expired


class TestCrowd:
    def test_the_deadlines_of_a_crowd_are_dealt_with_together(self) -> None:
        clock, schedule, (lane,), expired = make(10)
        for number in range(CROWD + 1):
            lane.start(str(number))
            clock.advance(0.001)
        late = 10 * (1 + SLACK)
        assert schedule.next_deadline() == pytest.approx(late)
        schedule.tick(clock.advance(late - clock.now))
        assert len(expired) == CROWD + 1

    def test_the_last_of_a_crowd_are_on_time(self) -> None:
        _, schedule, (lane,), _ = make(10)
        for number in range(CROWD + 1):
            lane.start(str(number))
        lane.stop("0")
        assert schedule.next_deadline() == 10

    def test_a_tick_of_another_lane_deals_with_what_is_due(self) -> None:
        clock, schedule, (lane, other), expired = make(10, 10)
        for number in range(CROWD + 1):
            lane.start(str(number))
        other.start("other")
        assert schedule.next_deadline() == 10
        schedule.tick(clock.advance(10))
        assert len(expired) == CROWD + 2


class TestLane:
    def test_expires_in_the_order_in_which_deadlines_were_set(self) -> None:
        clock, schedule, (lane,), expired = make(10)
        lane.start("a")
        clock.advance(1)
        lane.start("b")
        assert schedule.tick(clock.advance(8)) == 10
        assert expired == []
        assert schedule.tick(clock.advance(1)) == 11
        assert expired == [(10, "a")]
        assert schedule.tick(clock.advance(100)) == NEVER
        assert expired == [(10, "a"), (110, "b")]

    def test_setting_a_deadline_anew_moves_it(self) -> None:
        clock, schedule, (lane,), expired = make(10)
        lane.start("a")
        lane.start("b")
        clock.advance(5)
        lane.start("a")
        assert len(lane) == 2
        schedule.tick(clock.advance(5))
        assert expired == [(10, "b")]
        schedule.tick(clock.advance(5))
        assert expired == [(10, "b"), (15, "a")]

    def test_stopping(self) -> None:
        clock, schedule, (lane,), expired = make(10)
        lane.start("a")
        assert "a" in lane
        lane.stop("a")
        lane.stop("a")
        assert "a" not in lane
        assert schedule.tick(clock.advance(100)) == NEVER
        assert expired == []

    def test_expired_deadlines_are_gone(self) -> None:
        clock, schedule, (lane,), _ = make(10)
        lane.start("a")
        schedule.tick(clock.advance(10))
        assert schedule.pending() == len(lane) == 0


class TestReentrance:
    """Callbacks set, move and stop deadlines while the schedule ticks."""

    def scene(
        self, act: Callable[[Timeout[str], str], None]
    ) -> tuple[VirtualClock, Schedule, Timeout[str], list[str]]:
        clock = VirtualClock()
        schedule = Schedule(clock)
        expired: list[str] = []

        def expire(key: str) -> None:
            expired.append(key)
            act(lane, key)

        lane = schedule.timeout(10, expire)
        return clock, schedule, lane, expired

    def test_setting_the_same_deadline(self) -> None:
        clock, schedule, lane, expired = self.scene(lambda lane, key: lane.start(key))
        lane.start("a")
        assert schedule.tick(clock.advance(35)) == 45
        assert expired == ["a"]

    def test_stopping_another_that_is_due(self) -> None:
        clock, schedule, lane, expired = self.scene(lambda lane, key: lane.stop("b"))
        for key in "abc":
            lane.start(key)
        schedule.tick(clock.advance(10))
        assert expired == ["a", "c"]

    def test_moving_another_that_is_due(self) -> None:
        clock, schedule, lane, expired = self.scene(lambda lane, key: lane.start("b"))
        for key in "ab":
            lane.start(key)
        assert schedule.tick(clock.advance(10)) == 20
        assert expired == ["a"]

    def test_a_failure_harms_no_other_deadline(self) -> None:
        def fail(lane: Timeout[str], key: str) -> None:
            raise RuntimeError(key)

        clock, schedule, lane, expired = self.scene(fail)
        lane.start("a")
        lane.start("b")
        for key in "ab":
            with pytest.raises(RuntimeError, match=key):
                schedule.tick(clock.advance(10))
            schedule.rearm()
        assert expired == ["a", "b"]


class TestWake:
    def test_only_earlier_deadlines_wake(self) -> None:
        clock, schedule, (slow, fast), _ = make(10, 1)
        alarm = schedule.wake = Alarm()
        slow.start("a")
        slow.start("b")
        clock.advance(5)
        fast.start("c")
        fast.start("d")
        assert alarm.calls == [10, 6]

    def test_what_is_set_during_a_tick_is_found_by_it(self) -> None:
        clock = VirtualClock()
        schedule = Schedule(clock)
        alarm = schedule.wake = Alarm()
        second: Timeout[str] = schedule.timeout(1, lambda key: None)
        first: Timeout[str] = schedule.timeout(10, second.start)
        first.start("a")
        alarm.calls.clear()
        assert schedule.tick(clock.advance(10)) == 11
        assert alarm.calls == []
        second.start("b")
        assert alarm.calls == []

    def test_nobody_has_to_listen(self) -> None:
        _, schedule, (lane,), _ = make(1)
        lane.start("a")
        assert schedule.next_deadline() == 1


class ScheduleMachine(RuleBasedStateMachine):
    """Against a dictionary of deadlines and a timer that keeps its promises."""

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.schedule = Schedule(self.clock)
        self.timer = NEVER
        self.schedule.wake = self.arm
        self.expired: list[tuple[int, int]] = []
        self.lanes = [self.make_lane(lane, delay) for lane, delay in enumerate((0.1, 10, 25))]
        self.model: dict[tuple[int, int], float] = {}

    def make_lane(self, number: int, delay: float) -> Timeout[int]:
        return self.schedule.timeout(delay, lambda key: self.expired.append((number, key)))

    def arm(self, deadline: float) -> None:
        assert deadline < self.timer, "wake is only called for what is earlier"
        self.timer = deadline

    @rule(lane=st.integers(0, 2), key=st.integers(0, 3))
    def start(self, lane: int, key: int) -> None:
        self.lanes[lane].start(key)
        self.model[lane, key] = self.clock.now + self.lanes[lane].delay

    @rule(lane=st.integers(0, 2), key=st.integers(0, 3))
    def stop(self, lane: int, key: int) -> None:
        self.lanes[lane].stop(key)
        self.model.pop((lane, key), None)

    @rule(seconds=st.sampled_from([0.0, 0.05, 1.0, 9.95, 30.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)

    @precondition(lambda self: self.timer <= self.clock.now)
    @rule()
    def ring(self) -> None:
        self.expired.clear()
        due = {key for key, deadline in self.model.items() if deadline <= self.clock.now}
        self.timer = self.schedule.tick(self.clock.now)
        assert set(self.expired) == due
        assert len(self.expired) == len(due)
        for key in due:
            del self.model[key]

    @invariant()
    def deadlines_agree(self) -> None:
        assert self.schedule.pending() == len(self.model)
        assert self.schedule.next_deadline() == min(self.model.values(), default=NEVER)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        assert self.timer <= min(self.model.values(), default=NEVER)


TestScheduleMachine = ScheduleMachine.TestCase
