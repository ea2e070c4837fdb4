"""Connection state recovery: a client that comes back has missed nothing, or begins anew."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from telex.adapter import recovery
from telex.adapter.base import BroadcastTarget, Kept
from telex.adapter.recovery import RecoveryLog, RecoveryMemory
from telex.parser.default import DEFAULT_PARSER
from telex.parser.packet import EVENT
from telex.wire import EncodedPacket
from tests.support.doubles import VirtualClock

MAX_DISCONNECTION, RETENTION = 120.0, 185.0


def make(clock: VirtualClock | None = None, memory: RecoveryMemory | None = None) -> RecoveryLog:
    return RecoveryLog(memory or shared(clock or VirtualClock()), encode, epoch=7)


def encode(event: list[Any]) -> EncodedPacket:
    return DEFAULT_PARSER.encode(EVENT, "/", event)


def shared(clock: VirtualClock) -> RecoveryMemory:
    return RecoveryMemory(clock, MAX_DISCONNECTION, RETENTION - MAX_DISCONNECTION)


def emit(log: RecoveryLog, target: BroadcastTarget | None = None) -> tuple[str, EncodedPacket]:
    offset = log.next_offset()
    packet = EncodedPacket(offset.encode())
    log.keep(packet, target or BroadcastTarget())
    return offset, packet


def lose(log: RecoveryLog, pid: str = "pid", *, rooms: tuple[str, ...] = ("a",)) -> None:
    """A socket comes and goes."""
    log.begin(pid, "a", cut_nothing, None)
    log.persist_session(pid, "a", Kept(rooms, {"user": 1}))


def missed(log: RecoveryLog, offset: object, pid: str = "pid") -> list[bytes | None] | None:
    """The packets that a client gets that comes back, unless it begins anew."""
    stored = log.restore(pid, offset)
    return None if stored is None else [packet.text for packet in log.missed(stored)]


def cut_nothing() -> None:
    """The connection is gone already."""


class TestRestore:
    def test_gives_back_what_was_kept(self) -> None:
        log = make()
        seen, _ = emit(log)
        log.begin("pid", "a", cut_nothing, None)
        _, one = emit(log)
        log.persist_session("pid", "a", Kept(("a", "x"), {"user": 1}))
        _, more = emit(log)
        stored = log.restore("pid", seen)
        assert stored is not None
        assert [packet.text for packet in log.missed(stored)] == [one.text, more.text]
        assert stored.rooms == {"a", "x"}
        assert (stored.sid, stored.data) == ("a", {"user": 1})

    def test_what_is_sent_while_it_is_let_in_was_missed_too(self) -> None:
        log = make()
        lose(log)
        stored = log.restore("pid", None)
        assert stored is not None
        _, packet = emit(log)
        assert [each.text for each in log.missed(stored)] == [packet.text]

    def test_without_an_offset_everything_was_missed(self) -> None:
        log = make()
        emit(log)
        log.begin("pid", "a", cut_nothing, None)
        _, packet = emit(log)
        log.persist_session("pid", "a", Kept(("a",), None))
        assert missed(log, None) == [packet.text]

    def test_what_was_sent_to_the_socket_itself_needs_no_room(self) -> None:
        log = make()
        log.begin("pid", "a", cut_nothing, None)
        log.persist_session("pid", "a", Kept((), None))
        offset = log.next_offset()
        log.keep(EncodedPacket(offset.encode()), "a")
        log.next_offset()
        log.keep(EncodedPacket(b"other"), "b")
        assert missed(log, None) == [offset.encode()]

    def test_of_one_who_was_not_let_in(self) -> None:
        """The client may try again, in the time that it has left."""
        clock = VirtualClock()
        log = make(clock)
        lose(log)
        for _ in range(3):
            assert log.awaits("a")
            stored = log.restore("pid", None)
            assert stored is not None
            log.hold("pid", cut_nothing)
            clock.advance(MAX_DISCONNECTION / 3)
            log.give_back("pid", stored)
        clock.advance(1)
        assert log.restore("pid", None) is None
        assert not log.awaits("a")

    def test_one_who_was_not_let_in_does_not_outlive_those_before(self) -> None:
        clock = VirtualClock()
        log = make(clock)
        lose(log)
        stored = log.restore("pid", None)
        assert stored is not None
        clock.advance(100)
        lose(log, "later")
        log.give_back("pid", stored)
        clock.advance(100)
        assert log.restore("pid", None) is None

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
        log.begin("pid", "a", cut_nothing, None)
        log.persist_session("pid", "a", None)
        assert log.restore("pid", None) is None

    def test_cuts_the_connection_that_has_not_noticed_yet(self) -> None:
        log = make()
        cuts: list[int] = []

        def cut() -> None:
            cuts.append(1)
            log.persist_session("pid", "a", Kept(("a",), None))

        log.begin("pid", "a", cut, None)
        assert log.restore("pid", None) is not None
        assert cuts == [1]


class TestLimits:
    """What is kept is bounded; who may have missed something begins anew."""

    def test_of_packets(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_PACKETS", 3)
        log = make()
        offsets = [emit(log)[0]]
        lose(log, "early")
        offsets += [emit(log)[0]]
        lose(log, "late")
        offsets += [emit(log)[0] for _ in range(3)]
        assert log.restore("early", offsets[0]) is None
        assert missed(log, offsets[1], "late") == [each.encode() for each in offsets[2:]]

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

    def test_packets_that_are_too_old(self) -> None:
        """Who may have missed one begins anew; who has answered a later ping has received it."""
        clock = VirtualClock()
        log = make(clock)
        for pid in ("silent", "answering", "reading"):
            log.begin(pid, "a", cut_nothing, None)
        offset, _ = emit(log)
        clock.advance(RETENTION + 1)
        log.persist_session("silent", "a", Kept(("a",), None, confirmed=0.0))
        log.persist_session("answering", "a", Kept(("a",), None, confirmed=clock.now - 50))
        log.persist_session("reading", "a", Kept(("a",), None))
        _, packet = emit(log)
        assert len(vars(log)["_sent"]) == 1
        assert missed(log, None, "silent") is None
        assert missed(log, None, "answering") == [packet.text]
        assert missed(log, offset, "reading") == [packet.text]

    def test_an_answer_from_before_the_return_confirms_nothing(self) -> None:
        """The ping was sent while the middlewares had not let the client in yet."""
        clock = VirtualClock()
        log = make(clock)
        lose(log)
        emit(log)
        stored = log.restore("pid", None)
        assert stored is not None
        answered = clock.advance(10)
        log.begin("pid", "a", cut_nothing, stored)
        log.persist_session("pid", "a", Kept(("a",), None, answered))
        clock.advance(MAX_DISCONNECTION)
        for _ in range(2):  # the second is kept, the one from before is not
            clock.advance(RETENTION - MAX_DISCONNECTION)
            emit(log)
        assert log.restore("pid", None) is None

    def test_of_what_is_forgotten_while_it_is_let_in(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_PACKETS", 2)
        log = make()
        lose(log)
        stored = log.restore("pid", None)
        assert stored is not None
        for _ in range(2):
            emit(log)
        assert log.complete(stored)
        emit(log)
        assert not log.complete(stored)

    def test_of_all_namespaces_together(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The oldest packets go first, whichever namespace they belong to."""
        clock = VirtualClock()
        memory = shared(clock)
        quiet, busy = make(memory=memory), make(memory=memory)
        emit(quiet)
        monkeypatch.setattr(recovery, "MAX_BYTES", 10.5 * memory.bytes)
        lose(quiet)
        emit(quiet)
        for _ in range(8):
            emit(busy)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [2, 8]
        emit(busy)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [1, 9]
        assert missed(quiet, None) == [b"7-2"]
        for _ in range(3):
            emit(busy)
        lose(quiet)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [0, 10]
        clock.advance(RETENTION + 1)
        emit(quiet)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [1, 0]

    def test_the_number_of_packets_is_that_of_one_namespace(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recovery, "MAX_PACKETS", 3)
        clock = VirtualClock()
        memory = shared(clock)
        quiet, busy = make(memory=memory), make(memory=memory)
        emit(quiet)
        for _ in range(20):
            emit(busy)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [1, 3]
        clock.advance(RETENTION + 1)
        emit(busy)
        assert [len(vars(log)["_sent"]) for log in (quiet, busy)] == [0, 1]

    def test_sessions_of_quiet_namespaces_go_too(self, monkeypatch: pytest.MonkeyPatch) -> None:
        clock = VirtualClock()
        memory = shared(clock)
        quiet, busy = make(memory=memory), make(memory=memory)
        lose(quiet)
        clock.advance(MAX_DISCONNECTION + 1)
        lose(busy, "first")
        assert [len(vars(log)["_sessions"]) for log in (quiet, busy)] == [0, 1]
        assert not quiet.awaits("a")
        monkeypatch.setattr(recovery, "MAX_SESSIONS", 2)
        lose(quiet)
        assert busy.restore("first", None) is not None
        lose(busy, "first")
        lose(busy, "second")
        assert [list(vars(log)["_sessions"]) for log in (quiet, busy)] == [[], ["first", "second"]]

    @pytest.mark.parametrize("replayed", [False, True])
    @pytest.mark.parametrize(
        "event",
        [
            ["e", 1],
            ["event", {f"key {number}": [number, "text"] for number in range(50)}],
            ["event", "x" * 3000],
            ["event", b"y" * 3000, b"z"],
        ],
        ids=["tiny", "structured", "text", "binary"],
    )
    def test_what_is_counted_is_what_is_held(
        self, event: list[Any], replayed: bool, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(recovery, "MAX_BYTES", 500_000)
        log = make()
        tracemalloc.start()
        try:
            packet: EncodedPacket | None = None
            before, _ = tracemalloc.get_traced_memory()
            for number in range(3000):
                log.begin("pid", "a", cut_nothing, None)
                each = [bytes(bytearray(v)) if isinstance(v, bytes) else v for v in event]
                packet = DEFAULT_PARSER.encode(EVENT, "/", [*each, log.next_offset()])
                packet.event = each
                log.keep(packet, BroadcastTarget(frozenset((f"room {number}",))))
                packet.frames()
                log.persist_session("pid", "a", Kept((f"room {number}",), None))
                stored = log.restore("pid", None)
                assert stored is not None
                if replayed:
                    for again in log.missed(stored):
                        again.frames()
                        again.messages()
            packet = None
            gc.collect()  # it empties the lists of free tuples, too
            held = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        assert held <= 1.1 * recovery.MAX_BYTES
        assert held >= 0.4 * recovery.MAX_BYTES, "it counts more than it holds"

    @pytest.mark.timeout(60)
    @pytest.mark.parametrize("emits", [False, True])
    def test_a_socket_that_moves_all_the_time(self, emits: bool) -> None:
        log = make()
        log.begin("pid", "a", cut_nothing, None)
        for number in range(100_000):
            for room in "xy":
                log.moved("a", room, joined=number % 2 == 0)
            if emits and number % 10 == 0:
                emit(log)
        assert len(vars(log)["_moves"]["a"].made) <= recovery.MAX_MOVES

    def test_more_moves_than_are_remembered(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(recovery, "MAX_MOVES", 2)
        log = make()
        log.begin("pid", "a", cut_nothing, None)
        offsets: list[str] = []
        for number in range(4):
            offsets.append(emit(log, BroadcastTarget(frozenset(("x",))))[0])
            log.moved("a", "x", joined=number % 2 == 0)
        log.persist_session("pid", "a", Kept((), None))
        stored = log.restore("pid", offsets[1])
        assert stored is not None
        assert [packet.text for packet in log.missed(stored)] == [b"7-4"]
        log.begin("pid", "a", cut_nothing, stored._replace(since=0))
        log.persist_session("pid", "a", Kept((), None))
        assert log.restore("pid", offsets[0]) is None
