"""Sessions: packets, heartbeat, buffer, close, and the upgrade between transports."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from telex.config import EngineOptions
from telex.deadlines import Schedule
from telex.engine.heartbeat import OVERFLOW_TIMEOUT, PAUSE_TIMEOUT, Heartbeat
from telex.engine.packet import message
from telex.engine.session import HARD_LIMIT, Session
from telex.engine.session_core import CLOSED, CLOSING, OPEN
from telex.wire import EncodedPacket
from tests.engine.scenes import Scene
from tests.support.doubles import RecordingTransport, VirtualClock, poll, post, request


class TestMessages:
    @pytest.mark.parametrize("query", ["EIO=4", "EIO=3"])
    def test_text(self, query: str) -> None:
        scene = Scene()
        session, _ = scene.open_websocket(query)
        session.receive("4hello")
        session.receive("4")
        assert scene.messages == ["hello", ""]

    def test_binary_of_revision_4_is_bare(self) -> None:
        scene = Scene()
        session, _ = scene.open_websocket()
        session.receive(b"\x04a")
        session.receive(b"")
        assert scene.messages == [b"\x04a", b""]

    def test_binary_of_revision_3_has_a_type(self) -> None:
        scene = Scene()
        session, _ = scene.open_websocket("EIO=3")
        session.receive(b"\x04a")
        assert scene.messages == [b"a"]

    @pytest.mark.parametrize("data", [b"", b"a", b"\x02"])
    def test_binary_of_revision_3_without_one(self, data: bytes) -> None:
        scene = Scene()
        session, _ = scene.open_websocket("EIO=3")
        session.receive(data)
        assert scene.reasons == ["parse error"]

    @pytest.mark.parametrize("data", ["", "x", "7", "٤a", " 4", "\x1e"])
    def test_unknown_types(self, data: str) -> None:
        scene = Scene()
        session, _ = scene.open_websocket()
        session.receive(data)
        assert scene.reasons == ["parse error"]

    @pytest.mark.parametrize("data", ["0", '0{"sid":"x"}', "5", "6", "6x"])
    def test_packets_that_mean_nothing_here(self, data: str) -> None:
        scene = Scene()
        session, transport = scene.open_websocket()
        session.receive(data)
        assert (session.state, transport.messages, scene.messages) == (OPEN, [], [])

    def test_close_packet(self) -> None:
        scene = Scene()
        session, transport = scene.open_websocket()
        session.receive("1")
        assert (scene.reasons, transport.closes) == (["transport close"], 1)

    def test_nothing_is_received_after_the_end(self) -> None:
        scene = Scene()
        session, _ = scene.open_websocket()
        session.end("transport close")
        session.receive("4late")
        session.receive("x")
        assert (scene.messages, scene.reasons) == ([], ["transport close"])

    def test_an_owner_need_not_listen(self) -> None:
        scene = Scene()
        scene.engine.on_session = lambda session: None
        session, _ = scene.open_websocket()
        session.receive("4a")
        session.end("transport close")
        assert session.state is CLOSED


class TestHeartbeatOfRevision4:
    def test_server_pings(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session, transport = scene.open_websocket()
        for _ in range(3):
            scene.pass_time(24.9)
            assert transport.take() == []
            scene.pass_time(0.1)
            assert transport.take() == ["2"]
            session.receive("3")
        assert scene.deadlines == 1

    def test_client_that_does_not_answer(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        _, transport = scene.open_websocket()
        scene.pass_time(44.9)
        assert scene.reasons == []
        scene.pass_time(0.1)
        assert (scene.reasons, transport.closes) == (["ping timeout"], 1)
        assert scene.deadlines == 0

    def test_over_polling(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session = scene.open_polling()
        poll(session)
        waiting = poll(session)
        scene.pass_time(25)
        assert waiting.only.body == b"2"
        post(session, b"3")
        waiting = poll(session)
        scene.pass_time(45)
        assert scene.reasons == ["ping timeout"]

    def test_another_packet_buys_time_once(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session, _ = scene.open_websocket()
        scene.pass_time(40)
        session.receive("4a")
        scene.pass_time(19)
        assert scene.reasons == []
        session.receive("4b")
        scene.pass_time(1)
        assert scene.reasons == ["ping timeout"]

    def test_pongs_that_nobody_asked_for_change_nothing(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session, transport = scene.open_websocket()
        for _ in range(24):
            scene.pass_time(1)
            session.receive("3")
        assert scene.deadlines == 1
        scene.pass_time(1)
        assert transport.take() == ["2"]

    @pytest.mark.parametrize("data", ["2", "2probe"])
    def test_pings_have_the_wrong_direction(self, data: str) -> None:
        scene = Scene()
        session, _ = scene.open_websocket()
        session.receive(data)
        assert scene.reasons == ["transport error"]


class TestHeartbeatOfRevision3:
    def test_client_pings(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session, transport = scene.open_websocket("EIO=3")
        for text in ("", "probe", "é"):
            scene.pass_time(44)
            session.receive("2" + text)
            assert transport.take() == ["3" + text]
        assert scene.deadlines == 1

    def test_client_that_is_silent(self) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session, _ = scene.open_websocket("EIO=3")
        scene.pass_time(44.9)
        session.receive("4only pings count")
        scene.pass_time(0.1)
        assert scene.reasons == ["ping timeout"]

    def test_pongs_have_the_wrong_direction(self) -> None:
        scene = Scene()
        session, _ = scene.open_websocket("EIO=3")
        session.receive("3")
        assert scene.reasons == ["transport error"]


class CorkedScene:
    """A session whose sends wait until the cork is pulled."""

    def __init__(self, *, limit: int = 1000, volatile_waits: bool = False) -> None:
        self.clock = VirtualClock()
        self.schedule = Schedule(self.clock)
        self.corked: list[Session] = []
        self.transport = RecordingTransport()
        self.reasons: list[str] = []
        self.session = Session(
            "abc",
            4,
            request(),
            self.transport,
            Heartbeat(self.schedule, ping_interval=25, ping_timeout=20, upgrade_timeout=10),
            cork=self.corked.append,
            ended=lambda session: None,
            send_buffer_limit=limit,
            volatile_waits=volatile_waits,
        )
        self.session.on_close = lambda session, reason: self.reasons.append(reason)


class TestBuffer:
    def test_everything_leaves_in_one_batch(self) -> None:
        scene = CorkedScene()
        for text in "abc":
            scene.session.send(message(text))
        assert scene.corked == [scene.session]
        assert scene.transport.batches == []
        scene.session.flush()
        assert [len(batch) for batch in scene.transport.batches] == [3]
        scene.session.send(message("d"))
        assert len(scene.corked) == 2

    def test_flushing_nothing_writes_nothing(self) -> None:
        scene = CorkedScene()
        scene.session.flush()
        assert scene.transport.batches == []

    def test_waits_until_the_transport_is_writable(self) -> None:
        scene = CorkedScene()
        scene.transport.writable = False
        scene.session.send(message("a"))
        scene.session.flush()
        assert scene.session.queued == 2
        scene.transport.writable = True
        scene.session.drained()
        assert scene.transport.take() == ["4a"]
        assert scene.session.queued == 0

    def test_a_client_that_does_not_read_is_disconnected(self) -> None:
        scene = CorkedScene(limit=100)
        scene.transport.writable = False
        for _ in range(10):  # 21 bytes each: the limit is passed
            scene.session.send(message("x" * 20))
            scene.session.flush()
        assert scene.session.state is OPEN  # for a moment
        scene.schedule.tick(scene.clock.advance(OVERFLOW_TIMEOUT))
        assert scene.reasons == ["slow consumer"]
        assert scene.transport.closes == 1

    def test_a_client_that_reads_in_time_stays(self) -> None:
        scene = CorkedScene(limit=100)
        scene.transport.writable = False
        for _ in range(10):
            scene.session.send(message("x" * 20))
        scene.transport.writable = True
        scene.session.drained()
        scene.schedule.tick(scene.clock.advance(OVERFLOW_TIMEOUT))
        assert scene.reasons == []
        assert sum(map(len, scene.transport.batches)) == 10

    def test_what_waits_is_bounded_at_every_moment(self) -> None:
        scene = CorkedScene(limit=100)
        scene.transport.writable = False
        sent = 0
        while scene.session.state is OPEN and sent < 1000:
            scene.session.send(message("x" * 20))
            sent += 1
        assert scene.reasons == ["slow consumer"]
        assert 100 * HARD_LIMIT <= 21 * sent <= 100 * HARD_LIMIT + 2 * 21

    def test_a_client_that_reads_is_not(self) -> None:
        scene = CorkedScene(limit=100)
        for _ in range(100):
            scene.session.send(message("x" * 20))
        scene.session.flush()
        assert scene.reasons == []
        assert len(scene.transport.messages) == 100

    def test_volatile_packets(self) -> None:
        scene = CorkedScene()
        scene.session.send_volatile(message("a"))
        scene.session.flush()
        scene.transport.writable = False
        scene.session.send_volatile(message("b"))
        scene.transport.writable = True
        scene.session.flush()
        assert scene.transport.messages == ["4a"]

    def test_volatile_packets_may_wait_while_there_is_room(self) -> None:
        scene = CorkedScene(limit=10, volatile_waits=True)
        scene.transport.writable = False
        for _ in range(10):
            scene.session.send_volatile(message("xxxx"))
        assert scene.session.state is OPEN
        scene.transport.writable = True
        scene.session.flush()
        assert scene.transport.messages == ["4xxxx"] * 2

    def test_drained_callbacks(self) -> None:
        scene = CorkedScene()
        calls: list[str] = []
        scene.session.on_drain = lambda: calls.append("drain")
        scene.session.when_drained(lambda: calls.append("once"))
        for text in "ab":
            scene.session.send(message(text))
            scene.session.flush()
        assert calls == ["drain", "once", "drain"]

    def test_drained_callbacks_at_the_end(self) -> None:
        scene = CorkedScene()
        calls: list[str] = []
        scene.transport.writable = False
        scene.session.send(message("a"))
        scene.session.when_drained(lambda: calls.append("once"))
        scene.session.end("transport close")
        assert calls == ["once"]

    def test_sending_from_a_drained_callback(self) -> None:
        scene = CorkedScene()
        scene.session.when_drained(lambda: scene.session.send(message("b")))
        scene.session.send(message("a"))
        scene.session.flush()
        assert len(scene.corked) == 2
        scene.session.flush()
        assert scene.transport.messages == ["4a", "4b"]


AFTER_THE_END: list[Callable[[Session], object]] = [
    lambda session: session.close("again"),
    lambda session: session.end("again"),
    lambda session: session.receive("4a"),
    lambda session: session.receive("1"),
    lambda session: session.send(message("a")),
    lambda session: session.flush(),
    lambda session: session.drained(),
    lambda session: session.transport_ended(session.transport, "again"),
    lambda session: session.release_poll(),
    lambda session: session.pause(),
    lambda session: session.resume(),
]


class TestClose:
    def test_what_is_queued_is_still_sent(self) -> None:
        scene = CorkedScene()
        scene.session.send(message("a"))
        scene.session.close("forced close")
        assert scene.transport.messages == ["4a"]
        assert (scene.reasons, scene.transport.closes) == (["forced close"], 1)

    def test_waits_for_a_client_that_reads_slowly(self) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.transport.writable = False
        scene.session.send(message("a"))
        scene.session.close("forced close")
        assert (scene.session.state, scene.reasons) == (CLOSING, [])
        scene.session.send(message("too late"))
        scene.transport.writable = True
        scene.session.drained()
        assert scene.transport.messages == ["4a"]
        assert scene.reasons == ["forced close"]
        assert scene.schedule.pending() == 0

    def test_but_not_for_ever(self) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.transport.writable = False
        scene.session.send(message("a"))
        scene.session.close("server shutting down")
        scene.schedule.tick(scene.clock.advance(29))
        assert scene.reasons == []
        scene.schedule.tick(scene.clock.advance(1))
        assert scene.reasons == ["server shutting down"]

    @pytest.mark.parametrize("seconds", [5, 24, 26, 44])
    def test_nobody_is_pinged_any_more(self, seconds: float) -> None:
        scene = Scene(ping_interval=25, ping_timeout=20)
        session = scene.open_polling()
        poll(session)
        scene.pass_time(seconds)
        session.close("server shutting down")
        scene.pass_time(100)
        assert scene.reasons == ["server shutting down"]

    def test_discarding(self) -> None:
        scene = CorkedScene()
        scene.session.send(message("a"))
        scene.session.close(discard=True)
        assert scene.transport.messages == []
        assert scene.reasons == ["forced close"]

    @pytest.mark.parametrize("act", AFTER_THE_END)
    def test_after_the_end_nothing_has_an_effect(self, act: Callable[[Session], object]) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.session.end("transport close")
        scene.transport.writable = False
        act(scene.session)
        assert scene.session.start_probe(RecordingTransport()) is None
        assert scene.reasons == ["transport close"]
        assert scene.transport.batches == []
        assert scene.transport.closes == 1
        assert scene.schedule.pending() == 0

    def test_closing_from_within_its_own_end(self) -> None:
        scene = CorkedScene()

        def again(session: Session, reason: str) -> None:
            scene.reasons.append(reason)
            session.end("again")
            session.close("again")

        scene.session.on_close = again
        scene.session.end("transport close")
        assert scene.reasons == ["transport close"]

    def test_the_transport_that_ends_takes_the_session_with_it(self) -> None:
        scene = CorkedScene()
        scene.session.transport_ended(RecordingTransport(), "transport close")
        assert scene.session.state is OPEN
        scene.session.transport_ended(scene.transport, "transport error")
        assert scene.reasons == ["transport error"]


class TestPause:
    def test_reading_stops_and_goes_on(self) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.session.pause()
        scene.session.pause()
        assert (scene.session.paused, scene.transport.paused) == (True, True)
        scene.session.resume()
        assert scene.session.paused
        scene.session.resume()
        assert (scene.session.paused, scene.transport.paused) == (False, False)
        scene.session.resume()
        assert not scene.session.paused

    def test_silence_is_not_held_against_the_client(self) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.schedule.tick(scene.clock.advance(25))
        scene.session.pause()
        scene.schedule.tick(scene.clock.advance(PAUSE_TIMEOUT - 1))
        assert scene.reasons == []
        scene.session.resume()
        scene.schedule.tick(scene.clock.advance(25))
        scene.session.flush()
        assert scene.transport.messages.count("2") == 2
        scene.schedule.tick(scene.clock.advance(20))
        assert scene.reasons == ["ping timeout"]

    def test_but_not_for_ever(self) -> None:
        scene = CorkedScene()
        scene.session.opened()
        scene.session.pause()
        scene.schedule.tick(scene.clock.advance(PAUSE_TIMEOUT))
        assert scene.reasons == ["ping timeout"]
        assert scene.schedule.pending() == 0

    def test_the_upgrade_takes_the_pause_along(self) -> None:
        scene = Scene()
        session = scene.open_polling()
        transport = RecordingTransport()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        session.pause()
        probe.receive("5")
        assert transport.paused
        session.resume()
        assert not transport.paused


class TestUpgrade:
    def start(self) -> tuple[Scene, Session, RecordingTransport]:
        scene = Scene(upgrade_timeout=10)
        session = scene.open_polling()
        poll(session)
        return scene, session, RecordingTransport()

    def test_goes_as_the_protocol_says(self) -> None:
        scene, session, transport = self.start()
        upgrades: list[str] = []
        session.on_upgrade = lambda: upgrades.append(session.transport.name)
        waiting = poll(session)
        probe = session.start_probe(transport)
        assert probe is not None
        assert probe.receive("2probe") is False
        assert transport.take() == ["3probe"]
        assert waiting.only.body == b"6"
        session.send(message("queued"))
        assert probe.receive("5") is True
        assert transport.take() == ["4queued"]
        assert upgrades == ["websocket"]
        assert session.transport is transport
        session.receive("4over websocket")
        assert scene.messages == ["over websocket"]
        assert scene.deadlines == 1

    def test_a_probe_that_was_read_late_is_not_closed_before_its_answer_can_count(self) -> None:
        """A process that was held up for longer than the limit reads before it ticks."""
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        scene.clock.now += 11
        probe.receive("2probe")
        scene.engine.schedule.tick(scene.clock.now)
        assert not transport.closes
        assert probe.receive("5") is True
        assert session.transport is transport

    def test_a_client_cannot_probe_for_ever(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        for _ in range(2):
            scene.pass_time(6)
            probe.receive("2probe")
        closes = [transport.closes]
        scene.pass_time(6)
        closes.append(transport.closes)
        assert closes == [0, 1]

    def test_polls_are_released_again_and_again(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        for _ in range(3):
            waiting = poll(session)
            assert waiting.all == []
            scene.pass_time(0.1)
            assert waiting.only.body == b"6"

    def test_packets_during_the_probe_go_over_polling(self) -> None:
        _, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        waiting = poll(session)
        session.send(message("a"))
        assert waiting.only.body == b"4a"
        assert transport.take() == ["3probe"]

    def test_a_poll_that_is_pending_at_the_upgrade_is_released(self) -> None:
        _, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        waiting = poll(session)
        probe.receive("5")
        assert waiting.only.body == b"6"

    def test_without_a_probe(self) -> None:
        _, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        waiting = poll(session)
        assert probe.receive("5") is True
        assert waiting.only.body == b"6"
        session.send(message("a"))
        session.flush()
        assert transport.take() == ["4a"]

    @pytest.mark.parametrize("data", ["4a", "", "3probe", "2prob", "2", b"2probe", "1"])
    def test_anything_else_closes_the_new_transport(self, data: str | bytes) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        assert probe.receive(data) is False
        assert (transport.closes, transport.messages) == (1, [])
        assert session.state is OPEN
        assert session.transport.name == "polling"
        assert scene.messages == []
        assert session.start_probe(RecordingTransport()) is not None

    def test_silence_closes_the_new_transport(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        scene.pass_time(10)
        assert transport.closes == 1
        assert session.state is OPEN
        assert scene.deadlines == 1

    def test_only_one_at_a_time(self) -> None:
        _, session, transport = self.start()
        assert session.start_probe(transport) is not None
        assert session.start_probe(RecordingTransport()) is None

    def test_not_twice(self) -> None:
        _, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        probe.receive("5")
        assert session.start_probe(RecordingTransport()) is None

    def test_not_for_sessions_over_websocket(self) -> None:
        session, _ = Scene().open_websocket()
        assert session.start_probe(RecordingTransport()) is None

    def test_the_late_end_of_one_attempt_leaves_the_next_alone(self) -> None:
        scene, session, first = self.start()
        old = session.start_probe(first)
        assert old is not None
        old.receive("garbage")
        second = RecordingTransport()
        new = session.start_probe(second)
        assert new is not None
        old.transport_ended(first, "transport close")
        old.abandon()
        assert session.probe is new
        assert first.closes == 1
        assert session.start_probe(RecordingTransport()) is None
        session.end("transport close")
        assert second.closes == 1
        assert scene.deadlines == 0

    def test_the_old_transport_can_end_afterwards(self) -> None:
        scene, session, transport = self.start()
        old = session.transport
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        probe.receive("5")
        session.transport_ended(old, "transport close")
        assert session.state is OPEN
        session.transport_ended(transport, "transport close")
        assert scene.reasons == ["transport close"]

    def test_the_end_of_the_session_ends_the_attempt(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        session.end("ping timeout")
        assert transport.closes == 1
        assert scene.deadlines == 0

    def test_a_session_that_closes_may_end_over_websocket(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        transport.take()
        session.send(message("bye"))
        session.close()
        probe.receive("5")
        assert transport.messages == ["4bye"]
        assert scene.reasons == ["forced close"]
        assert transport.closes == 1
        assert scene.deadlines == 0

    def test_over_websocket_the_end_needs_no_packet(self) -> None:
        scene, session, transport = self.start()
        probe = session.start_probe(transport)
        assert probe is not None
        probe.receive("2probe")
        transport.take()
        session.close()
        probe.receive("5")
        assert transport.messages == []
        assert scene.reasons == ["forced close"]
        assert transport.closes == 1


class TestObserver:
    def test_sees_what_comes_and_goes(self) -> None:
        class Notes:
            def __init__(self) -> None:
                self.seen: list[tuple[str, object]] = []

            def received(self, data: str | bytes, binary_prefix: int) -> None:
                self.seen.append(("received", data[binary_prefix:] if binary_prefix else data))

            def created(self, packet: EncodedPacket) -> None:
                self.seen.append(("created", packet.messages()))

        scene = Scene()
        session, _ = scene.open_websocket()
        notes = session.observer = Notes()
        session.receive("4a")
        session.send(message("b"))
        session.end("transport close")
        session.send(message("c"))
        assert notes.seen == [("received", "4a"), ("created", ["4b"])]


def test_a_session_shows_itself_without_its_id() -> None:
    session, _ = Scene().open_websocket()
    assert session.id not in repr(session)
    assert "websocket" in repr(session)


def test_options_reach_the_session() -> None:
    scene = Scene(send_buffer_limit=10)
    assert EngineOptions().send_buffer_limit == 1024 * 1024
    session, transport = scene.open_websocket()
    transport.writable = False
    session.send(message("x" * 100))
    session.send(message("x"))
    assert scene.reasons == ["slow consumer"]
