"""The rooms of one process."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import TYPE_CHECKING, Any

from ..loop.results import DONE
from ..loop.turns import DISCONNECTS_PER_TURN, in_turns
from ..native import core
from ..wire import EncodedPacket
from .base import AdapterHost, Answers, BroadcastTarget, Peer, SessionLog, Sessions

_NOBODY: dict[str, Peer] = {}


class _RoomsOf(AbstractSet[str]):
    """The rooms of one socket: reads the adapter whenever it is asked."""

    __slots__ = ("_adapter", "_sid")

    def __init__(self, adapter: InMemoryAdapter, sid: str) -> None:
        self._adapter = adapter
        self._sid = sid

    def __contains__(self, room: object) -> bool:
        return room in self._adapter.members_rooms(self._sid)

    def __iter__(self) -> Iterator[str]:
        return iter(self._adapter.members_rooms(self._sid))

    def __len__(self) -> int:
        return len(self._adapter.members_rooms(self._sid))

    @classmethod
    def _from_iterable(cls, it: Iterable[Any]) -> AbstractSet[Any]:  # for |, & and -
        return frozenset(it)

    def __repr__(self) -> str:
        return f"{{{', '.join(map(repr, self))}}}"


def _deliver_all(peers: list[Peer], packet: EncodedPacket) -> None:
    """Queue a packet for every one of these."""
    for peer in peers:
        peer.deliver(packet)


if not TYPE_CHECKING and core is not None:
    _deliver_all = core.deliver_all


class InMemoryAdapter:
    """Rooms of a single process.

    A room maps socket ids to sockets, so that a broadcast needs no look-up per
    recipient. The room that each socket has of its own is implied by its presence and
    takes no memory; only a socket that has *left* that room is remembered.
    """

    def __init__(self, host: AdapterHost) -> None:
        self.sessions: Sessions | None = host.recovery
        self._log: SessionLog | None = host.recovery
        self._encode = host.encode
        self._ack_ids = host.ack_ids
        self._peers: dict[str, Peer] = {}
        self._rooms: dict[str, dict[str, Peer]] = {}
        self._joined: dict[str, dict[str, None]] = {}
        self._left_own_room: set[str] = set()

    # -- membership -----------------------------------------------------------------

    def add(self, peer: Peer) -> None:
        """A socket has been accepted: it is in the room of its own id."""
        self._peers[peer.id] = peer

    def remove(self, sid: str) -> None:
        """A socket has gone: it leaves all its rooms. Costs as much as it had rooms."""
        if self._peers.pop(sid, None) is None:
            return
        if self._log is not None:
            self._log.forget(sid)
        self._left_own_room.discard(sid)
        for room in self._joined.pop(sid, ()):
            self._forget(sid, room)

    def join(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Add a socket to rooms; one that has gone joins nothing."""
        peer = self._peers.get(sid)
        if peer is not None:
            for room in rooms:
                if room == sid:
                    if sid not in self._left_own_room:
                        continue
                    self._left_own_room.discard(sid)
                else:
                    joined = self._joined.setdefault(sid, {})
                    if room in joined:
                        continue
                    joined[room] = None
                    self._rooms.setdefault(room, {})[sid] = peer
                if self._log is not None:
                    self._log.moved(sid, room, joined=True)
        return DONE

    def leave(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Take a socket out of rooms."""
        joined = self._joined.get(sid, {})
        for room in rooms:
            if room in joined:
                del joined[room]
                self._forget(sid, room)
            elif room == sid and sid in self._peers and sid not in self._left_own_room:
                self._left_own_room.add(sid)
            else:
                continue
            if self._log is not None:
                self._log.moved(sid, room, joined=False)
        return DONE

    def _forget(self, sid: str, room: str) -> None:
        members = self._rooms[room]
        del members[sid]
        if not members:
            del self._rooms[room]

    # -- queries ----------------------------------------------------------------------

    def rooms_of(self, sid: str) -> AbstractSet[str]:
        """The rooms of a socket as a live set, its own first, then as they were joined."""
        return _RoomsOf(self, sid)

    def members_rooms(self, sid: str) -> list[str]:
        """The rooms of a socket at this moment."""
        if sid not in self._peers:
            return []
        own = () if sid in self._left_own_room else (sid,)
        return [*own, *self._joined.get(sid, ())]

    def rooms(self) -> dict[str, set[str]]:
        """Every room with the ids of its members, the sockets' own rooms included."""
        rooms = {room: set(members) for room, members in self._rooms.items()}
        for sid in self._peers:
            if sid not in self._left_own_room:
                rooms.setdefault(sid, set()).add(sid)
        return rooms

    def _members(self, room: str) -> dict[str, Peer]:
        members = self._rooms.get(room, _NOBODY)
        owner = self._peers.get(room)
        if owner is None or room in self._left_own_room:
            return members
        return {**members, room: owner}

    def peers(self, target: BroadcastTarget) -> list[Peer]:
        """The sockets that a target reaches, each once, in the order in which they joined."""
        rooms = target.rooms
        if rooms is None:
            members = self._peers
        elif len(rooms) == 1:
            (room,) = rooms
            members = self._members(room)
        else:
            members = dict[str, Peer]()
            for room in rooms:
                members |= self._members(room)
        if not target.excluded:
            return list(members.values())
        excluded: set[str] = set()
        for room in target.excluded:
            excluded.update(self._rooms.get(room, ()))
            if room in self._peers and room not in self._left_own_room:
                excluded.add(room)
        return [peer for sid, peer in members.items() if sid not in excluded]

    # -- broadcast --------------------------------------------------------------------

    def broadcast(self, event: list[Any], target: BroadcastTarget) -> Awaitable[None]:
        """Emit an event to every socket that the target reaches; encoded once."""
        sessions = self.sessions
        packet = self._encode(event) if sessions is None else sessions.encode(event, target)
        packet.event = event
        packet.compress = target.compress
        if target.volatile:
            for peer in self.peers(target):
                peer.deliver_volatile(packet)
        else:
            _deliver_all(self.peers(target), packet)
        return DONE

    def broadcast_with_ack(
        self, event: list[Any], target: BroadcastTarget, timeout: float, answers: Answers
    ) -> Callable[[], None]:
        """As ``broadcast``; every recipient's answer goes to ``answers``."""
        ack_id = next(self._ack_ids)
        packet = self._encode(event, ack_id)
        packet.event = event
        packet.compress = target.compress
        peers = self.peers(target)
        answers.asked(1)
        answers.counted(len(peers))
        settle = answers.settle
        for peer in peers:
            peer.expect(ack_id, settle)
            peer.deliver(packet)

        def stop() -> None:
            for peer in peers:
                peer.forget(ack_id)

        return stop

    # -- utility methods ----------------------------------------------------------------

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        """Descriptions of the sockets that the target reaches."""
        return [peer.describe() for peer in self.peers(target)]

    async def count(self, target: BroadcastTarget) -> int:
        """How many sockets the target reaches."""
        return len(self.peers(target))

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Add the sockets that the target reaches to rooms."""
        names = tuple(rooms)
        for peer in self.peers(target):
            self.join(peer.id, names)
        return DONE

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Take the sockets that the target reaches out of rooms."""
        names = tuple(rooms)
        for peer in self.peers(target):
            self.leave(peer.id, names)
        return DONE

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the target reaches, so many in a turn of the loop."""
        peers = self.peers(target)
        for peer in peers[DISCONNECTS_PER_TURN:]:
            peer.silence()
        return in_turns(peers, lambda peer: peer.disconnect(close), DISCONNECTS_PER_TURN)

    # -- other servers: there are none ----------------------------------------------------

    def server_side_emit(self, event: list[Any]) -> Awaitable[None]:
        """A single process has no other servers."""
        return DONE

    async def server_side_emit_with_ack(self, event: list[Any], timeout: float) -> list[Any]:
        """A single process has no other servers: there is no answer."""
        return []

    async def server_count(self) -> int:
        """A single process is one server."""
        return 1

    def start(self) -> Awaitable[None]:
        """Nothing to begin."""
        return DONE

    async def close(self) -> None:
        """Nothing to let go of."""
