"""The one timer: always at the next deadline, and patient when the process was held up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from telex.deadlines import Schedule, Timeout
from telex.loop.timer import LATE, LoopTimer
from tests.support.loops import VirtualLoop


class Scene:
    """A schedule with one lane of 10 seconds, and a timer on a loop."""

    def __init__(self, loop: VirtualLoop, *, bound: bool = True) -> None:
        self.clock = loop.clock
        self.schedule = Schedule(self.clock)
        self.expired: list[tuple[str, float]] = []
        self.lane: Timeout[str] = self.schedule.timeout(10, self._note)
        self.loop = loop
        self.timer = LoopTimer(self.schedule)
        if bound:
            self.timer.bind(self.loop)

    def _note(self, key: str) -> None:
        self.expired.append((key, self.clock.now - 1000))
        if key == "bad":
            raise RuntimeError(key)


class TestDeadlines:
    def test_one_timer_for_all(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        assert scene.loop.timers == 0
        for number in range(100):
            scene.lane.start(str(number))
        assert scene.loop.timers == 1
        scene.loop.advance(10)
        assert len(scene.expired) == 100
        assert scene.loop.timers == 0

    def test_goes_on_to_the_next(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.loop.advance(4)
        scene.lane.start("b")
        assert scene.loop.timers == 1
        scene.loop.advance(100)
        assert scene.expired == [("a", 10), ("b", 14)]

    def test_an_earlier_deadline_comes_first(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        fast: Timeout[str] = scene.schedule.timeout(1, scene._note)
        scene.lane.start("slow")
        fast.start("fast")
        assert scene.loop.timers == 1
        scene.loop.advance(100)
        assert scene.expired == [("fast", 1), ("slow", 10)]

    def test_a_deadline_that_could_not_be_set_stops_no_other(self, loop: VirtualLoop) -> None:
        """In asyncio's debug mode, `call_later` of another thread raises: the timer goes on."""
        scene = Scene(loop)
        fast: Timeout[str] = scene.schedule.timeout(1, scene._note)
        loop.set_debug(True)
        scene.lane.start("slow")
        with pytest.raises(RuntimeError, match="thread"):
            loop.run_until_complete(asyncio.to_thread(fast.start, "other"))
        assert scene.loop.timers == 1
        fast.start("fast")
        assert scene.loop.timers == 1
        scene.loop.advance(100)
        assert scene.expired == [("other", 1), ("fast", 1), ("slow", 10)]

    def test_deadlines_that_were_set_before_there_was_a_loop(self, loop: VirtualLoop) -> None:
        scene = Scene(loop, bound=False)
        scene.lane.start("a")
        scene.timer.bind(scene.loop)
        scene.loop.advance(10)
        assert scene.expired == [("a", 10)]

    def test_a_failure_stops_nothing(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("bad")
        scene.lane.start("good")
        scene.loop.advance(1)
        scene.lane.start("later")
        scene.loop.advance(100)
        assert loop.failures == ["bad"]
        loop.failures.clear()
        assert [key for key, _ in scene.expired] == ["bad", "good", "later"]


class TestLate:
    def test_what_has_arrived_meanwhile_is_read_first(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.lane.start("b")
        scene.loop.sleep(10 + LATE + 0.1)
        assert scene.expired == []
        scene.lane.start("a")  # the answer was there already
        scene.loop.advance(0.01)
        assert [key for key, _ in scene.expired] == ["b"]
        assert scene.loop.timers == 1

    def test_a_little_late_is_on_time(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.loop.sleep(10 + LATE - 0.1)
        assert [key for key, _ in scene.expired] == ["a"]

    def test_a_loop_that_is_always_late_is_not_waited_for(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.loop.sleep(10 + LATE + 0.1)
        scene.loop.sleep(LATE + 0.1)
        assert [key for key, _ in scene.expired] == ["a"]


class TestLife:
    def test_stopping(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.timer.stop()
        scene.timer.stop()
        assert scene.loop.timers == 0

    def test_starting_again_after_a_stop(self, loop: VirtualLoop) -> None:
        # A server that is closed may listen again, in the same loop.
        scene = Scene(loop)
        scene.lane.start("a")
        scene.lane.stop("a")
        scene.timer.stop()
        scene.loop.advance(5)
        scene.lane.start("b")
        scene.loop.advance(10)
        assert scene.expired == [("b", 15)]

    def test_moving_to_another_loop(
        self, loop: VirtualLoop, make_loop: Callable[[], VirtualLoop]
    ) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        scene.lane.stop("a")
        other = make_loop()
        scene.timer.bind(other)
        scene.clock.advance(5)
        scene.lane.start("b")
        other.advance(10)
        assert scene.expired == [("b", 15)]

    def test_moving_takes_the_deadlines_along(
        self, loop: VirtualLoop, make_loop: Callable[[], VirtualLoop]
    ) -> None:
        scene = Scene(loop)
        scene.lane.start("a")
        other = make_loop()
        scene.timer.bind(other)
        other.advance(10)
        assert scene.expired == [("a", 10)]
