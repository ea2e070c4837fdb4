"""Connection state recovery: what a client has missed while it was away.

Every event that is sent is numbered; its *offset* travels as an extra last argument, and
the client gives the last one back when it returns. What was sent is kept for as long as
a client may be away, and a little longer: as long as it can take to notice that it has
gone. So whatever is not kept any more has certainly been received.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from ..ids import new_id
from ..types import Clock
from ..wire import EncodedPacket
from .base import Target

MAX_PACKETS = 20_000
MAX_BYTES = 32 * 1024 * 1024
MAX_SESSIONS = 20_000

_OFFSET = re.compile(r"([0-9]{1,20})-([0-9]{1,16})\Z", re.ASCII)


class Sent(NamedTuple):
    """A packet that was sent: its number, when, whom it was for."""

    number: int
    at: float
    packet: EncodedPacket
    target: Target


class Session(NamedTuple):
    """What is kept of a socket that has gone."""

    sid: str
    rooms: frozenset[str]
    data: Any
    since: int
    at: float
    moves: tuple[tuple[int, str, bool], ...]


class Kept(NamedTuple):
    """What a socket may come back to."""

    rooms: Iterable[str]
    data: Any
    since: int


class Recovered(NamedTuple):
    """A session that comes back, with the packets that it has missed, in order."""

    session: Session
    packets: list[EncodedPacket]


class RecoveryLog:
    """The sent packets and the lost sessions of one namespace. All durations in seconds.

    ``max_disconnection`` is how long a client may be away, ``detection`` how long it can
    take to notice. Numbers of an earlier life of the server have another epoch and are
    never mistaken for ours.
    """

    def __init__(
        self, clock: Clock, *, epoch: int, max_disconnection: float, detection: float
    ) -> None:
        self._clock = clock
        self._epoch = epoch
        self._max_disconnection = max_disconnection
        self._retention = max_disconnection + detection
        self._number = 0
        self._forgotten = 0
        self._bytes = 0
        self._sent: deque[Sent] = deque()
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._moves: dict[str, OrderedDict[tuple[int, str], bool]] = {}
        self._live: dict[str, Callable[[], object]] = {}

    # -- sending --------------------------------------------------------------------------

    def next_offset(self, *, kept: bool = True) -> str:
        """The offset of the next event; one that is not ``kept`` shares the last number."""
        if kept:
            self._number += 1
        return f"{self._epoch}-{self._number}"

    def keep(self, packet: EncodedPacket, target: Target) -> None:
        """Keep the event whose offset has just been taken."""
        self._sent.append(Sent(self._number, self._clock(), packet, target))
        self._bytes += packet.size
        self._prune()

    def _prune(self) -> None:
        """Drop what every client has received, and what is too much."""
        oldest = self._clock() - self._retention
        while self._sent:
            first = self._sent[0]
            expired = first.at < oldest
            if not expired and len(self._sent) <= MAX_PACKETS and self._bytes <= MAX_BYTES:
                return
            self._sent.popleft()
            self._bytes -= first.packet.size
            if not expired:
                self._forgotten = first.number  # somebody may still have needed it

    # -- membership -----------------------------------------------------------------------

    def moved(self, sid: str, room: str, *, joined: bool) -> None:
        """A socket has joined or left a room: decides what it was meant to receive."""
        moves = self._moves.setdefault(sid, OrderedDict())
        move = (self._number, room)
        if move in moves:
            del moves[move]  # it is back where it was, and nothing was sent meanwhile
        else:
            moves[move] = joined
        first = self._sent[0].number if self._sent else self._number + 1
        while moves and next(iter(moves))[0] < first:
            moves.popitem(last=False)

    def forget(self, sid: str) -> None:
        """A socket has gone: where it was does not matter any more."""
        self._moves.pop(sid, None)

    # -- sessions -------------------------------------------------------------------------

    @property
    def number(self) -> int:
        """The number of the last event."""
        return self._number

    def begin(self, pid: str, cut: Callable[[], object], recovered: Session | None) -> int:
        """A socket has been accepted; the number after which it receives.

        ``cut`` ends its connection, should its client come back on another one first.
        """
        self._live[pid] = cut
        if recovered is None:
            return self._number
        # Its rooms are the old ones.
        self._moves[recovered.sid] = OrderedDict(
            ((number, room), joined) for number, room, joined in recovered.moves
        )
        return recovered.since

    def end(self, pid: str, sid: str, kept: Kept | None) -> None:
        """A socket has gone; ``kept`` is what it may come back to."""
        self._live.pop(pid, None)
        moved = self._moves.pop(sid, None)
        if kept is not None:
            moves = tuple(
                [(number, room, joined) for (number, room), joined in (moved or {}).items()]
            )
            rooms = frozenset(kept.rooms)
            session = Session(sid, rooms, kept.data, kept.since, self._clock(), moves)
            self._sessions[pid] = session
            self.expire()

    def expire(self) -> None:
        """Forget the sessions of clients that have been away too long, and too many."""
        oldest = self._clock() - self._max_disconnection
        while self._sessions:
            pid, session = next(iter(self._sessions.items()))
            if session.at >= oldest and len(self._sessions) <= MAX_SESSIONS:
                break
            del self._sessions[pid]
        self._prune()

    def restore(self, pid: object, offset: object) -> Recovered | None:
        """The session with this secret id, if it can be recovered without a gap.

        It is given out once. ``offset`` is the last one that the client has seen,
        ``None`` if it has seen none.
        """
        if not isinstance(pid, str):
            return None
        cut = self._live.get(pid)
        if cut is not None:
            cut()  # the old connection is dead and has not noticed yet
        self.expire()
        session = self._sessions.pop(pid, None)
        if session is None:
            return None
        seen = self._seen(offset)
        if seen is None or seen < self._forgotten or seen > self._number:
            return None
        return Recovered(session, self._missed(session, max(seen, session.since)))

    def _seen(self, offset: object) -> int | None:
        """The number in an offset; 0 if the client has seen none, ``None`` if it is not ours."""
        if offset is None:
            return 0
        match = _OFFSET.match(offset) if isinstance(offset, str) else None
        if match is None or int(match[1]) != self._epoch:
            return None
        return int(match[2])

    def _missed(self, session: Session, seen: int) -> list[EncodedPacket]:
        """What was meant for the session since, judged by its rooms at each moment."""
        rooms = set(session.rooms)
        moves = list(session.moves)
        missed: list[EncodedPacket] = []
        for sent in reversed(self._sent):
            if sent.number <= seen:
                break
            while moves and moves[-1][0] >= sent.number:  # it happened after this packet
                _, room, joined = moves.pop()
                (rooms.discard if joined else rooms.add)(room)
            target = sent.target
            meant = target.rooms is None or not target.rooms.isdisjoint(rooms)
            if meant and target.excluded.isdisjoint(rooms):
                missed.append(sent.packet)
        missed.reverse()
        return missed

    @staticmethod
    def new_pid() -> str:
        """A secret id for a socket."""
        return new_id()
