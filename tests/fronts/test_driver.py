"""The driver: one write per connection and turn, one timer for all sessions."""

from __future__ import annotations

import logging
from collections.abc import Callable

import pytest

from telex.config import EngineOptions
from telex.engine.engine import Engine
from telex.engine.packet import message
from telex.engine.session import Session
from telex.engine.session_core import OPEN
from telex.fronts.driver import FLUSHES_PER_TURN, Driver
from telex.wire import EncodedPacket
from tests.support.doubles import RecordingTransport, VirtualClock, request
from tests.support.loops import VirtualLoop


class BrokenTransport(RecordingTransport):
    """A transport that cannot send."""

    def send(self, packets: list[EncodedPacket]) -> None:
        raise RuntimeError("broken")


class Scene:
    """An engine whose sessions are flushed and ticked by a driver."""

    def __init__(self, loop: VirtualLoop) -> None:
        self.clock = loop.clock
        self.engine = Engine(EngineOptions(), self.clock, json_text=True)
        self.driver = Driver(self.engine)
        self.loop = loop
        self.driver.bind(self.loop)
        self.reasons: list[str] = []

    def settle(self) -> None:
        """Turn until nothing is left to be called."""
        while self.loop.callbacks:
            self.loop.turn()

    def open(
        self, transport: RecordingTransport | None = None
    ) -> tuple[Session, RecordingTransport]:
        transport = transport or RecordingTransport()
        asked = request("EIO=4&transport=websocket")
        session = self.engine.open(asked, transport, f"sid{len(self.engine.sessions)}")
        session.on_close = lambda ended, reason: self.reasons.append(reason)
        return session, transport


class TestCork:
    def test_everything_of_one_turn_leaves_in_one_write(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        sessions = [scene.open() for _ in range(3)]
        for number in range(5):
            for session, _ in sessions:
                session.send(message(str(number)))
        assert all(transport.batches == [] for _, transport in sessions)
        assert scene.loop.callbacks == 1
        scene.loop.turn()
        for _, transport in sessions:
            assert [len(batch) for batch in transport.batches] == [6]  # the open packet, too
            assert transport.take()[1:] == ["40", "41", "42", "43", "44"]
        assert scene.loop.callbacks == 0

    def test_the_next_turn_is_another_write(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        session, transport = scene.open()
        scene.loop.turn()
        transport.take()
        for number in range(2):
            session.send(message(str(number)))
            scene.loop.turn()
        assert transport.messages == ["40", "41"]
        assert len(transport.batches) == 2

    def test_what_is_sent_while_flushing_leaves_in_the_next_turn(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        first, first_transport = scene.open()
        second, second_transport = scene.open()
        scene.loop.turn()
        first_transport.take()
        second_transport.take()
        second.on_drain = lambda: first.send(message("from the other"))
        first.send(message("a"))
        second.send(message("b"))
        scene.loop.turn()
        assert (first_transport.take(), second_transport.take()) == (["4a"], ["4b"])
        scene.loop.turn()
        assert first_transport.messages == ["4from the other"]

    def test_a_read_flushes_on_its_own(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        session, transport = scene.open()
        scene.loop.turn()
        transport.take()
        session.corked = True  # as a front does for as long as a read lasts
        session.send(message("a"))
        session.send(message("b"))
        assert scene.loop.callbacks == 0
        session.flush()
        assert [len(batch) for batch in transport.batches] == [2]

    def test_sessions_that_have_ended_write_nothing(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        session, transport = scene.open()
        session.end("transport close")
        scene.loop.turn()
        assert transport.batches == []

    def test_one_session_s_trouble_is_not_the_others(
        self, loop: VirtualLoop, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene(loop)
        before, _ = scene.open()
        scene.open(BrokenTransport())
        after, transport = scene.open()
        with caplog.at_level(logging.ERROR, "telex"):
            scene.loop.turn()
        assert scene.reasons == ["transport error"]
        assert (before.state, after.state) == (OPEN, OPEN)
        assert len(transport.messages) == 1
        assert "could not be flushed" in caplog.text
        after.send(message("a"))
        scene.loop.turn()
        assert transport.messages[1:] == ["4a"]


class TestManySessions:
    def test_a_turn_flushes_so_many(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        transports = [scene.open()[1] for _ in range(2 * FLUSHES_PER_TURN + 1)]
        for turn in range(3):
            assert scene.loop.callbacks == 1
            scene.loop.turn()
            flushed = [transport for transport in transports if transport.batches]
            assert flushed == transports[: (turn + 1) * FLUSHES_PER_TURN]
        assert scene.loop.callbacks == 0

    def test_others_do_not_wait_for_a_crowd(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        crowd = [scene.open() for _ in range(3 * FLUSHES_PER_TURN)]
        other, other_transport = scene.open()
        for _ in range(4):
            scene.loop.turn()
        for session, transport in crowd:
            transport.take()
            session.send(message("news"))
        other_transport.take()
        scene.loop.turn()
        other.send(message("mine"))
        scene.loop.turn()
        assert other_transport.take() == ["4mine"]
        assert not crowd[-1][1].batches[1:]
        scene.settle()
        assert all(transport.take() == ["4news"] for _, transport in crowd)

    def test_order_is_kept_whoever_flushes(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        sessions = [scene.open() for _ in range(2 * FLUSHES_PER_TURN)]
        scene.settle()
        for number in range(3):
            for session, _ in sessions:
                session.send(message(str(number)))
        last, last_transport = sessions[-1]
        scene.loop.turn()
        last_transport.take()
        last.send(message("3"))
        last.flush()  # as the end of a read does
        assert last_transport.take() == ["40", "41", "42", "43"]
        last.send(message("4"))
        scene.settle()
        assert last_transport.take() == ["44"]

    def test_nothing_is_left_over_on_another_loop(
        self, make_loop: Callable[[], VirtualLoop]
    ) -> None:
        scene = Scene(make_loop())
        for _ in range(2 * FLUSHES_PER_TURN):
            scene.open()
        scene.loop.turn()
        other = make_loop()
        scene.driver.bind(other)
        _, transport = scene.open()
        other.turn()
        assert transport.take()


class TestTimer:
    def test_one_timer_however_many_sessions(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        transports = [scene.open()[1] for _ in range(50)]
        assert scene.loop.timers == 1
        scene.loop.turn()
        for transport in transports:
            transport.take()
        scene.loop.advance(25)
        scene.loop.turn()
        assert all(transport.take() == ["2"] for transport in transports)
        assert scene.loop.timers == 1
        scene.loop.advance(20)
        assert scene.reasons == ["ping timeout"] * 50
        assert scene.loop.timers == 0

    def test_pongs_that_came_while_the_process_was_held_up_count(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        session, _ = scene.open()
        scene.loop.advance(25)
        scene.loop.turn()
        scene.loop.sleep(21)
        assert session.state is OPEN
        session.receive("3")
        scene.loop.advance(0.02)
        assert scene.reasons == []

    def test_stopping(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.open()
        scene.driver.stop()
        assert scene.loop.timers == 0


class TestLoops:
    def test_without_a_loop_nothing_leaves(self) -> None:
        engine = Engine(EngineOptions(), VirtualClock(), json_text=True)
        Driver(engine)
        transport = RecordingTransport()
        engine.open(request("EIO=4&transport=websocket"), transport, "abc")
        assert transport.batches == []

    def test_binding_again_to_the_same_loop_changes_nothing(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        _, transport = scene.open()
        scene.driver.bind(scene.loop)
        assert scene.loop.timers == 1
        scene.loop.turn()
        assert len(transport.messages) == 1

    def test_a_server_that_serves_again_beats_again(self, loop: VirtualLoop) -> None:
        scene = Scene(loop)
        scene.open()
        scene.engine.close("server shutting down")
        scene.driver.stop()
        scene.loop.turn()
        scene.clock.advance(5)
        scene.engine.closing = False
        scene.driver.bind(scene.loop)
        _, transport = scene.open()
        scene.loop.turn()
        transport.take()
        scene.loop.advance(25)
        scene.loop.turn()
        assert transport.messages == ["2"]
