"""Connection state recovery: a client that comes back has missed nothing, or begins anew."""

from __future__ import annotations

from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from telex.adapter import recovery
from telex.adapter.base import Target
from telex.adapter.memory import InMemoryAdapter
from telex.adapter.recovery import Kept, RecoveryLog
from telex.wire import EncodedPacket
from tests.support.doubles import RecordingPeer, VirtualClock

MAX_DISCONNECTION, DETECTION = 120.0, 45.0


def make(clock: VirtualClock | None = None) -> RecoveryLog:
    return RecoveryLog(
        clock or VirtualClock(),
        epoch=7,
        max_disconnection=MAX_DISCONNECTION,
        detection=DETECTION,
    )


def emit(log: RecoveryLog, target: Target | None = None) -> tuple[str, EncodedPacket]:
    offset = log.next_offset()
    packet = EncodedPacket(offset.encode())
    log.keep(packet, target or Target())
    return offset, packet


def lose(log: RecoveryLog, pid: str = "pid", *, rooms: tuple[str, ...] = ("a",)) -> None:
    """A socket comes and goes."""
    since = log.begin(pid, lambda: None, None)
    log.end(pid, "a", Kept(rooms, {"user": 1}, since))


def cut_nothing() -> None:
    """The connection is gone already."""


class TestRestore:
    def test_gives_back_what_was_kept(self) -> None:
        log = make()
        seen, _ = emit(log)
        since = log.begin("pid", cut_nothing, None)
        _, missed = emit(log)
        log.end("pid", "a", Kept(("a", "x"), {"user": 1}, since))
        _, more = emit(log)
        recovered = log.restore("pid", seen)
        assert recovered is not None
        assert recovered.packets == [missed, more]
        session = recovered.session
        assert session.rooms == {"a", "x"}
        assert (session.sid, session.data) == ("a", {"user": 1})

    def test_without_an_offset_everything_was_missed(self) -> None:
        log = make()
        emit(log)
        since = log.begin("pid", cut_nothing, None)
        _, missed = emit(log)
        log.end("pid", "a", Kept(("a",), None, since))
        recovered = log.restore("pid", None)
        assert recovered is not None
        assert recovered.packets == [missed]

    def test_is_possible_once(self) -> None:
        log = make()
        lose(log)
        assert log.restore("pid", None) is not None
        assert log.restore("pid", None) is None

    @pytest.mark.parametrize("pid", ["other", None, 5, b"pid", ["pid"], {}])
    def test_of_an_unknown_session(self, pid: object) -> None:
        log = make()
        lose(log)
        assert log.restore(pid, None) is None

    @pytest.mark.parametrize(
        "offset",
        [
            "",
            "x",
            "7",
            "7-",
            "-1",
            "8-0",
            "7-1",
            "7-99",
            "7-0\n",
            " 7-0",
            "7-٠",
            0,
            b"7-0",
            ["7-0"],
        ],
    )
    def test_with_an_offset_that_is_not_ours(self, offset: Any) -> None:
        log = make()
        lose(log)
        assert log.restore("pid", offset) is None

    def test_too_late(self) -> None:
        clock = VirtualClock()
        log = make(clock)
        lose(log)
        clock.advance(MAX_DISCONNECTION)
        assert log.restore("pid", None) is not None
        lose(log)
        clock.advance(MAX_DISCONNECTION + 0.1)
        assert log.restore("pid", None) is None

    def test_of_one_who_was_sent_away(self) -> None:
        log = make()
        log.begin("pid", cut_nothing, None)
        log.end("pid", "a", None)
        assert log.restore("pid", None) is None

    def test_cuts_the_connection_that_has_not_noticed_yet(self) -> None:
        log = make()
        cuts: list[int] = []

        def cut() -> None:
            cuts.append(1)
            log.end("pid", "a", Kept(("a",), None, since))

        since = log.begin("pid", cut, None)
        assert log.restore("pid", None) is not None
        assert cuts == [1]


class TestLimits:
    """What is kept is bounded; who may have missed something begins anew."""

    def test_of_packets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_PACKETS", 3)
        log = make()
        offsets = [emit(log)[0] for _ in range(2)]
        lose(log, "early")
        lose(log, "late")
        offsets += [emit(log)[0] for _ in range(3)]
        assert log.restore("early", offsets[0]) is None
        recovered = log.restore("late", offsets[1])
        assert recovered is not None
        assert len(recovered.packets) == 3

    def test_of_bytes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_BYTES", 10)
        log = make()
        lose(log)
        for _ in range(5):
            emit(log)
        assert log.restore("pid", None) is None

    def test_of_sessions(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_SESSIONS", 2)
        log = make()
        for pid in ("first", "second", "third"):
            lose(log, pid)
        assert [log.restore(pid, None) is not None for pid in ("first", "second", "third")] == [
            False,
            True,
            True,
        ]

    def test_packets_that_everybody_has_received_are_dropped(self) -> None:
        clock = VirtualClock()
        log = make(clock)
        emit(log)
        clock.advance(MAX_DISCONNECTION + DETECTION + 1)
        offset, _ = emit(log)
        assert len(vars(log)["_sent"]) == 1
        lose(log)
        recovered = log.restore("pid", offset)
        assert recovered is not None
        assert recovered.packets == []

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("emits", [False, True])
    def test_a_socket_that_moves_all_the_time(self, emits: bool) -> None:
        log = make()
        log.begin("pid", cut_nothing, None)
        for number in range(100_000):
            for room in "xy":
                log.moved("a", room, joined=number % 2 == 0)
            if emits and number % 10 == 0:
                emit(log)
        moves: dict[str, list[object]] = vars(log)["_moves"]
        assert len(moves["a"]) <= 4 * len(vars(log)["_sent"])


class Visitor:
    """A client, what it is owed, and what it has seen."""

    def __init__(self, sid: str) -> None:
        self.sid = sid
        self.pid: str | None = None
        self.since = 0
        self.linked = False  # packets reach the client
        self.known = False  # the server has a socket for it
        self.rooms: set[str] = set()  # kept while the server has none
        self.left_at = 0.0
        self.owed: list[str] = []
        self.seen = 0


class RecoveryMachine(RuleBasedStateMachine):
    """Clients lose their connections at any moment, and come back to exactly what they missed."""

    SID = st.sampled_from(["a", "b", "c"])
    ROOMS = st.lists(st.sampled_from(["x", "y"]), max_size=2)
    TARGETS = st.lists(st.sampled_from(["x", "y", "a", "b"]), max_size=2)

    def __init__(self) -> None:
        super().__init__()
        self.clock = VirtualClock()
        self.log = make(self.clock)
        self.adapter = InMemoryAdapter(self.log.moved)
        self.visitors = {sid: Visitor(sid) for sid in "abc"}
        self.count = 0

    def rooms_of(self, visitor: Visitor) -> set[str]:
        return set(self.adapter.rooms_of(visitor.sid)) if visitor.known else visitor.rooms

    # -- coming and going -------------------------------------------------------------------

    @rule(sid=SID)
    def begin_anew(self, sid: str) -> None:
        visitor = self.visitors[sid]
        if visitor.pid is not None:
            return
        self.count += 1
        visitor.pid = f"pid{self.count}"
        visitor.linked = visitor.known = True
        visitor.owed, visitor.seen = [], 0
        self.adapter.add(RecordingPeer(sid))
        visitor.since = self.log.begin(visitor.pid, lambda: self.notice(sid), None)

    @rule(sid=SID)
    def lose_the_link(self, sid: str) -> None:
        """The client has gone, and the server does not know."""
        self.visitors[sid].linked = False

    @rule(sid=SID)
    def notice(self, sid: str) -> None:
        """The server learns that the client has gone."""
        visitor = self.visitors[sid]
        if visitor.known and visitor.pid is not None:
            visitor.linked = False
            visitor.rooms = self.rooms_of(visitor)
            visitor.known = False
            visitor.left_at = self.clock.now
            rooms = list(visitor.rooms)
            self.log.end(visitor.pid, sid, Kept(rooms, sid, visitor.since))
            self.adapter.remove(sid)

    @precondition(lambda self: any(v.pid and not v.linked for v in self.visitors.values()))
    @rule(data=st.data())
    def come_back(self, data: st.DataObject) -> None:
        away = [sid for sid, v in self.visitors.items() if v.pid and not v.linked]
        visitor = self.visitors[data.draw(st.sampled_from(away))]
        pid = visitor.pid
        assert pid is not None
        offset = visitor.owed[visitor.seen - 1] if visitor.seen else None
        recovered = self.log.restore(pid, offset)
        assert not visitor.known, "the old connection is cut"
        if self.clock.now - visitor.left_at > MAX_DISCONNECTION:
            assert recovered is None
            visitor.pid = None
            return
        assert recovered is not None
        texts = [(packet.text or b"").decode() for packet in recovered.packets]
        assert texts == visitor.owed[visitor.seen :]
        assert recovered.session.rooms == visitor.rooms
        assert recovered.session.data == visitor.sid
        visitor.seen = len(visitor.owed)
        visitor.linked = visitor.known = True
        sid = visitor.sid
        self.adapter.add(RecordingPeer(sid))
        self.adapter.join(sid, visitor.rooms - {sid})
        visitor.since = self.log.begin(pid, lambda: self.notice(sid), recovered.session)

    # -- what happens meanwhile -------------------------------------------------------------

    @rule(sid=SID, rooms=ROOMS)
    def join(self, sid: str, rooms: list[str]) -> None:
        self.adapter.join(sid, rooms)

    @rule(sid=SID, rooms=ROOMS)
    def leave(self, sid: str, rooms: list[str]) -> None:
        self.adapter.leave(sid, rooms)

    @rule(rooms=st.one_of(st.none(), TARGETS), excluded=TARGETS)
    def emit(self, rooms: list[str] | None, excluded: list[str]) -> None:
        target = Target(None if rooms is None else frozenset(rooms), frozenset(excluded))
        offset, _ = emit(self.log, target)
        for visitor in self.visitors.values():
            own = self.rooms_of(visitor)
            meant = visitor.pid is not None and (rooms is None or own & set(rooms))
            if meant and not own & set(excluded):
                visitor.owed.append(offset)
                if visitor.linked:
                    assert visitor.seen == len(visitor.owed) - 1
                    visitor.seen += 1

    @rule(seconds=st.sampled_from([1.0, 10.0, 50.0]))
    def wait(self, seconds: float) -> None:
        self.clock.advance(seconds)
        for sid, visitor in self.visitors.items():
            if visitor.pid and not visitor.linked and visitor.known and seconds > DETECTION:
                self.notice(sid)

    @invariant()
    def nobody_is_forgotten_and_nothing_is_hoarded(self) -> None:
        known = {visitor.pid for visitor in self.visitors.values() if visitor.known}
        assert set(vars(self.log)["_live"]) == known
        assert len(vars(self.log)["_sessions"]) <= len(self.visitors)


RecoveryMachine.TestCase.settings = settings(max_examples=100, stateful_step_count=50)
TestRecoveryMachine = RecoveryMachine.TestCase
