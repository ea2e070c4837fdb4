"""Rooms in one process: membership, broadcasts, and a model that says what is right."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from telex.adapter.base import BroadcastTarget
from telex.adapter.memory import InMemoryAdapter
from telex.adapter.recovery import RecoveryLog, RecoveryMemory
from telex.loop.turns import DISCONNECTS_PER_TURN
from tests.support.doubles import RecordingAnswers, RecordingHost, RecordingPeer, VirtualClock
from tests.support.examples import examples

EVENT = ["x"]


def make(*sids: str) -> tuple[InMemoryAdapter, dict[str, RecordingPeer]]:
    adapter = InMemoryAdapter(RecordingHost())
    peers = {sid: RecordingPeer(sid) for sid in sids}
    for peer in peers.values():
        adapter.add(peer)
    return adapter, peers


def target(
    rooms: Iterable[str] | None = None, excluded: Iterable[str] = (), **flags: bool
) -> BroadcastTarget:
    return BroadcastTarget(
        None if rooms is None else frozenset(rooms), frozenset(excluded), **flags
    )


def ids(adapter: InMemoryAdapter, of: BroadcastTarget) -> list[str]:
    return [peer.id for peer in adapter.peers(of)]


class TestMembership:
    def test_everybody_is_in_a_room_of_their_own(self) -> None:
        adapter, _ = make("a", "b")
        assert adapter.rooms_of("a") == {"a"}
        assert ids(adapter, target(["a"])) == ["a"]
        assert adapter.rooms() == {"a": {"a"}, "b": {"b"}}

    def test_join_and_leave(self) -> None:
        adapter, _ = make("a")
        adapter.join("a", ["x", "y", "x"])
        assert adapter.rooms_of("a") == {"a", "x", "y"}
        adapter.leave("a", ["x", "unknown"])
        assert adapter.rooms_of("a") == {"a", "y"}
        assert adapter.rooms() == {"a": {"a"}, "y": {"a"}}

    def test_leaving_the_own_room(self) -> None:
        adapter, _ = make("a")
        adapter.leave("a", ["a"])
        assert adapter.rooms_of("a") == set()
        assert ids(adapter, target(["a"])) == []
        assert ids(adapter, target()) == ["a"]
        adapter.join("a", ["a"])
        assert ids(adapter, target(["a"])) == ["a"]

    def test_joining_the_room_of_somebody_else(self) -> None:
        adapter, _ = make("a", "b")
        adapter.join("a", ["b"])
        assert sorted(ids(adapter, target(["b"]))) == ["a", "b"]
        adapter.remove("b")
        assert ids(adapter, target(["b"])) == ["a"]
        assert adapter.rooms() == {"a": {"a"}, "b": {"a"}}

    def test_nobody_who_has_gone_joins_anything(self) -> None:
        adapter, _ = make("a")
        adapter.remove("a")
        adapter.remove("a")
        adapter.join("a", ["x"])
        adapter.leave("a", ["a", "x"])
        assert adapter.rooms() == {}
        assert adapter.rooms_of("a") == set()
        assert ids(adapter, target()) == []

    def test_nothing_is_left_of_those_who_have_gone(self) -> None:
        adapter, peers = make("a")
        adapter.join("a", ["x", "y"])
        adapter.leave("a", ["a", "x"])
        adapter.remove("a")
        adapter.add(peers["a"])
        assert adapter.rooms() == {"a": {"a"}}

    async def test_calls_may_be_awaited(self) -> None:
        adapter, _ = make("a")
        done: list[Awaitable[None]] = [
            adapter.join("a", ["x"]),
            adapter.leave("a", ["x"]),
            adapter.broadcast(EVENT, target()),
            adapter.join_all(target(), ["x"]),
            adapter.leave_all(target(), ["x"]),
            adapter.disconnect_all(target(), close=False),
            adapter.server_side_emit(["x"]),
            adapter.start(),
        ]
        for each in done:
            await each
        await adapter.close()

    def test_moves_are_told(self) -> None:
        moves: list[tuple[str, str, bool]] = []

        class Log(RecoveryLog):
            def moved(self, sid: str, room: str, *, joined: bool) -> None:
                moves.append((sid, room, joined))

        log = Log(RecoveryMemory(VirtualClock(), 1.0, 1.0), RecordingHost().encode, epoch=1)
        adapter = InMemoryAdapter(RecordingHost(recovery=log))
        adapter.add(RecordingPeer("a"))
        adapter.join("a", ["x", "x", "y"])
        adapter.leave("a", ["x", "z"])
        adapter.join("a", ["a"])
        adapter.leave("a", ["a", "a"])
        adapter.join("a", ["a", "a"])
        adapter.remove("a")
        assert moves == [
            *(("a", "x", True), ("a", "y", True), ("a", "x", False)),
            *(("a", "a", False), ("a", "a", True)),
        ]


class TestTargets:
    def test_everybody(self) -> None:
        adapter, _ = make("a", "b")
        assert ids(adapter, target()) == ["a", "b"]

    def test_no_rooms_are_nobody(self) -> None:
        adapter, _ = make("a")
        assert ids(adapter, target([])) == []
        assert ids(adapter, target(["unknown"])) == []

    def test_several_rooms_reach_each_once(self) -> None:
        adapter, _ = make("a", "b", "c")
        adapter.join("a", ["x", "y"])
        adapter.join("b", ["y"])
        assert sorted(ids(adapter, target(["x", "y", "b"]))) == ["a", "b"]

    def test_excluded_rooms_and_sockets(self) -> None:
        adapter, _ = make("a", "b", "c", "d")
        adapter.join("a", ["x"])
        adapter.join("b", ["x", "muted"])
        assert ids(adapter, target(["x"], ["muted"])) == ["a"]
        assert ids(adapter, target(None, ["muted", "c"])) == ["a", "d"]
        assert ids(adapter, target(["x"], ["x"])) == []
        assert ids(adapter, target(None, ["unknown"])) == ["a", "b", "c", "d"]


class TestBroadcast:
    def test_everybody_gets_the_same_packet(self) -> None:
        adapter, peers = make("a", "b")
        adapter.broadcast(EVENT, target())
        assert [packet.text for packet in peers["a"].received] == [b'42["x"]']
        assert peers["a"].received[0] is peers["b"].received[0]

    def test_volatile_packets_are_for_those_who_can_take_them(self) -> None:
        adapter, peers = make("a", "b")
        peers["a"].writable = False
        adapter.broadcast(EVENT, target(volatile=True))
        assert [len(peer.received) for peer in peers.values()] == [0, 1]

    def test_leaving_meanwhile_changes_nothing(self) -> None:
        adapter, peers = make("a", "b", "c")
        for sid in peers:
            adapter.join(sid, ["x"])

        def leave() -> None:
            adapter.leave("b", ["x"])
            adapter.remove("c")

        peers["a"].on_delivery = leave
        adapter.broadcast(EVENT, target(["x"]))
        assert [len(peer.received) for peer in peers.values()] == [1, 1, 1]
        adapter.broadcast(EVENT, target(["x"]))
        assert [len(peer.received) for peer in peers.values()] == [2, 1, 1]

    def test_joining_meanwhile_is_too_late(self) -> None:
        adapter, peers = make("a")
        late = RecordingPeer("late")
        peers["a"].on_delivery = lambda: adapter.add(late)
        adapter.broadcast(EVENT, target())
        assert late.received == []


class TestAcknowledgements:
    def test_are_expected_from_everybody(self) -> None:
        adapter, peers = make("a", "b", "c")
        answers = RecordingAnswers()
        stop = adapter.broadcast_with_ack(EVENT, target(None, ["c"]), 5.0, answers)
        assert (answers.servers, answers.counts) == (1, [2])
        assert [list(peer.expected) for peer in peers.values()] == [[7], [7], []]
        assert [len(peer.received) for peer in peers.values()] == [1, 1, 0]
        assert peers["a"].received[0].text == b'427["x"]'
        peers["a"].expected[7](["yes"], None)
        assert answers.settled == [(["yes"], None)]
        stop()
        assert peers["b"].expected == {}

    def test_are_expected_before_anybody_can_answer(self) -> None:
        adapter, peers = make("a")
        answers = RecordingAnswers()

        def answer() -> None:
            assert answers.counts == [1]
            peers["a"].expected[7]([], None)

        peers["a"].on_delivery = answer
        adapter.broadcast_with_ack(EVENT, target(), 5.0, answers)
        assert answers.settled == [([], None)]

    def test_of_nobody(self) -> None:
        adapter, _ = make()
        answers = RecordingAnswers()
        adapter.broadcast_with_ack(EVENT, target(), 5.0, answers)
        assert answers.counts == [0]


class TestUtilityMethods:
    async def test_fetch(self) -> None:
        adapter, _ = make("a", "b")
        adapter.join("b", ["x"])
        assert await adapter.fetch(target(["x"])) == [{"id": "b"}]
        assert await adapter.count(target()) == 2

    def test_join_and_leave_all(self) -> None:
        adapter, _ = make("a", "b")
        adapter.join_all(target(["a"]), iter(["x", "y"]))
        adapter.join_all(target(), iter(["z"]))
        assert adapter.rooms_of("a") == {"a", "x", "y", "z"}
        assert adapter.rooms_of("b") == {"b", "z"}
        adapter.leave_all(target(["x"]), iter(["y", "z"]))
        assert adapter.rooms_of("a") == {"a", "x"}
        assert adapter.rooms_of("b") == {"b", "z"}

    @pytest.mark.parametrize("close", [True, False])
    def test_disconnect_all(self, close: bool) -> None:
        adapter, peers = make("a", "b")
        adapter.disconnect_all(target(["b"]), close=close)
        assert [peer.disconnects for peer in peers.values()] == [[], [close]]

    async def test_a_crowd_is_disconnected_in_turns(self) -> None:
        names = [str(number) for number in range(2 * DISCONNECTS_PER_TURN + 5)]
        adapter, peers = make(*names)
        result = adapter.disconnect_all(target(), close=True)
        adapter.add(late := RecordingPeer("late"))
        gone = [peer for peer in peers.values() if peer.disconnects]
        assert len(gone) == DISCONNECTS_PER_TURN
        assert [peer.silent for peer in peers.values()] == [
            peer not in gone for peer in peers.values()
        ]
        await result
        assert [peer.disconnects for peer in peers.values()] == [[True]] * len(names)
        assert not late.disconnects
        assert not late.silent

    async def test_there_are_no_other_servers(self) -> None:
        adapter, _ = make("a")
        assert await adapter.server_side_emit_with_ack(["x"], 5.0) == []
        assert await adapter.server_count() == 1


class AdapterMachine(RuleBasedStateMachine):
    """Against a dictionary of sets: the rooms of every socket."""

    SIDS = ("a", "b", "c", "d")
    NAMES = st.sampled_from(["a", "b", "x", "y", "z"])  # rooms of others' own, too
    ROOMS = st.lists(NAMES, max_size=3)
    SID = st.sampled_from(SIDS)

    def __init__(self) -> None:
        super().__init__()
        self.adapter = InMemoryAdapter(RecordingHost())
        self.model: dict[str, set[str]] = {}
        self.peers = {sid: RecordingPeer(sid) for sid in self.SIDS}

    @rule(sid=SID)
    def connect(self, sid: str) -> None:
        if sid not in self.model:
            self.peers[sid] = RecordingPeer(sid)
            self.adapter.add(self.peers[sid])
            self.model[sid] = {sid}

    @rule(sid=SID)
    def disconnect(self, sid: str) -> None:
        self.adapter.remove(sid)
        self.model.pop(sid, None)

    @rule(sid=SID, rooms=ROOMS)
    def join(self, sid: str, rooms: list[str]) -> None:
        self.adapter.join(sid, rooms)
        if sid in self.model:
            self.model[sid] |= set(rooms)

    @rule(sid=SID, rooms=ROOMS)
    def leave(self, sid: str, rooms: list[str]) -> None:
        self.adapter.leave(sid, rooms)
        if sid in self.model:
            self.model[sid] -= set(rooms)

    @rule(rooms=st.one_of(st.none(), ROOMS), excluded=ROOMS, joining=ROOMS, leaving=ROOMS)
    def move_many(
        self, rooms: list[str] | None, excluded: list[str], joining: list[str], leaving: list[str]
    ) -> None:
        of = target(rooms, excluded)
        for sid in self.reached(rooms, excluded):
            self.model[sid] |= set(joining)
        self.adapter.join_all(of, joining)
        for sid in self.reached(rooms, excluded):
            self.model[sid] -= set(leaving)
        self.adapter.leave_all(of, leaving)

    @rule(
        rooms=st.one_of(st.none(), ROOMS),
        excluded=ROOMS,
        volatile=st.booleans(),
        busy=SID,
        leaver=SID,
        gone=SID,
        left=ROOMS,
    )
    def broadcast(
        self,
        rooms: list[str] | None,
        excluded: list[str],
        volatile: bool,
        busy: str,
        leaver: str,
        gone: str,
        left: list[str],
    ) -> None:
        """While it runs, the first to receive it makes another leave rooms and a third go."""
        expected = self.reached(rooms, excluded)
        if volatile:
            expected.discard(busy)
        acted: list[str] = []

        def act() -> None:
            if not acted:
                acted.append("once")
                self.leave(leaver, left)
                self.disconnect(gone)

        for peer in self.peers.values():
            peer.received.clear()
            peer.writable = peer.id != busy
            peer.on_delivery = act
        self.adapter.broadcast(EVENT, target(rooms, excluded, volatile=volatile))
        for peer in self.peers.values():
            texts = [packet.text for packet in peer.received]
            assert texts == ([b'42["x"]'] if peer.id in expected else [])

    def reached(self, rooms: list[str] | None, excluded: list[str]) -> set[str]:
        return {
            sid
            for sid, own in self.model.items()
            if (rooms is None or own & set(rooms)) and not own & set(excluded)
        }

    @invariant()
    def memberships_agree(self) -> None:
        for sid in self.SIDS:
            assert self.adapter.rooms_of(sid) == self.model.get(sid, set())

    @invariant()
    def rooms_agree(self) -> None:
        rooms: dict[str, set[str]] = {}
        for sid, own in self.model.items():
            for room in own:
                rooms.setdefault(room, set()).add(sid)
        assert self.adapter.rooms() == rooms

    @invariant()
    def everybody_is_reached_once(self) -> None:
        assert sorted(ids(self.adapter, target())) == sorted(self.model)


AdapterMachine.TestCase.settings = settings(max_examples=examples(40), stateful_step_count=40)
TestAdapterMachine = AdapterMachine.TestCase
