"""Connection state recovery: what a client has missed while it was away.

Every event that is sent is numbered; its *offset* travels as an extra last argument, and
the client gives the last one back when it returns. What was sent is kept for as long as
a client may be away, and for as long as it can take to notice that it has gone, unless it
becomes too much. A client that may have missed something that is not kept any more begins
a new session.
"""

from __future__ import annotations

import re
from collections import OrderedDict, deque
from collections.abc import Callable
from sys import getsizeof
from typing import Any, NamedTuple

from ..types import Clock
from ..wire import EncodedPacket
from .base import NEVER, BroadcastTarget, Kept

MAX_BYTES = 32 * 1024 * 1024
"""How much memory the packets that one server keeps may take, in all its namespaces."""

MAX_PACKETS = 20_000
"""How many packets one namespace keeps."""

MAX_SESSIONS = 20_000
"""How many lost sessions one server keeps, in all its namespaces."""

MAX_MOVES = 100
"""How many joins and leaves of one socket are remembered."""

_ENTRY = 240
_PACKET = 320
_OFFSET = re.compile(r"([0-9]{1,20})-([0-9]{1,16})\Z", re.ASCII)


class Sent:
    """A packet that was sent: its number, when, whom it was for.

    ``target`` is the id of a socket if the packet was sent to that one directly. ``size`` is
    the memory that all of it takes. What is sent again is made when it is first needed, and
    shared by all clients that have missed it.
    """

    __slots__ = ("at", "attachments", "compress", "number", "packet", "size", "target", "text")

    def __init__(
        self,
        number: int,
        at: float,
        packet: EncodedPacket,
        target: BroadcastTarget | str,
        *,
        compress: bool,
    ) -> None:
        self.number = number
        self.at = at
        self.text = packet.text
        self.attachments = packet.attachments
        self.target = target
        self.compress = compress
        self.packet: EncodedPacket | None = None
        self.size = _ENTRY + getsizeof(self.text) + _size_of_all(self.attachments)
        if isinstance(target, BroadcastTarget):
            self.size += getsizeof(target) + _size_of_all(target.excluded)
            if target.rooms is not None:
                self.size += _size_of_all(target.rooms)

    def meant_for(self, sid: str, rooms: set[str]) -> bool:
        """Whether a socket that was in these rooms was to receive it."""
        target = self.target
        if not isinstance(target, BroadcastTarget):
            return target == sid
        meant = target.rooms is None or not target.rooms.isdisjoint(rooms)
        return meant and target.excluded.isdisjoint(rooms)


def _size_of_all(items: tuple[bytes, ...] | frozenset[str]) -> int:
    return getsizeof(items) + sum(map(getsizeof, items))


class StoredSession(NamedTuple):
    """What is kept of a socket that has gone.

    The client has received everything up to number ``since``, and whatever was sent before
    the time ``confirmed``. It was lost at the time ``at``. ``moves`` are the joins and leaves
    ``(number, room, joined)`` after number ``known``.
    """

    sid: str
    rooms: frozenset[str]
    data: Any
    since: int
    confirmed: float
    at: float
    moves: tuple[tuple[int, str, bool], ...]
    known: int


class _Live(NamedTuple):
    """A socket that is there, or waits for the middlewares; ``cut`` ends its connection."""

    cut: Callable[[], object]
    began: float
    since: int
    confirmed: float


class _Moves:
    """The joins and leaves of a socket that is there, after number ``known``."""

    __slots__ = ("known", "made")

    def __init__(self) -> None:
        self.made: dict[tuple[int, str], bool] = {}
        self.known = 0


class RecoveryMemory:
    """What the logs of one server share; the oldest packets and sessions of all go first.

    ``max_disconnection`` is how long a client may be away, ``detection`` how long it usually
    takes to notice that it has gone. Packets are kept for both, in seconds.
    """

    def __init__(self, clock: Clock, max_disconnection: float, detection: float) -> None:
        self.clock = clock
        self.bytes = 0
        self.sessions: OrderedDict[tuple[RecoveryLog, str], float] = OrderedDict()
        self._max_disconnection = max_disconnection
        self._retention = max_disconnection + detection
        self._order: deque[RecoveryLog] = deque()

    def added(self, log: RecoveryLog) -> None:
        """A log keeps one more packet."""
        self._order.append(log)
        self.prune()

    def too_late(self, at: float) -> bool:
        """Whether a client that was lost at this time has been away for too long."""
        return at < self.clock() - self._max_disconnection

    def prune(self) -> None:
        """Forget what has been kept for long enough, and what is too much."""
        oldest = self.clock() - self._retention
        order, sessions = self._order, self.sessions
        while order and (order[0].oldest() < oldest or self.bytes > MAX_BYTES):
            order.popleft().forget_first()
        while sessions:
            log, pid = first = next(iter(sessions))
            if not self.too_late(sessions[first]) and len(sessions) <= MAX_SESSIONS:
                break
            log.drop(pid)


class RecoveryLog:
    """The sent packets and the lost sessions of one namespace. All durations in seconds.

    Numbers of an earlier life of the server have another epoch and are never mistaken for
    ours. ``memory`` is shared with the server's other logs; ``encode`` makes a packet of an
    event.
    """

    def __init__(
        self, memory: RecoveryMemory, encode: Callable[[list[Any]], EncodedPacket], *, epoch: int
    ) -> None:
        self._encode = encode
        self._clock = memory.clock
        self._epoch = epoch
        self._memory = memory
        self._number = 0
        self._forgotten = 0
        self._forgotten_at = NEVER
        self._dropped = 0
        self._sent: deque[Sent] = deque()
        self._sessions: dict[str, StoredSession] = {}
        self._away: set[str] = set()
        self._moves: dict[str, _Moves] = {}
        self._live: dict[str, _Live] = {}

    # -- sending --------------------------------------------------------------------------

    def encode(
        self, event: list[Any], target: BroadcastTarget | str, *, compress: bool = True
    ) -> EncodedPacket:
        """Encode an event with its offset, and keep it for those who come back.

        ``target`` is the id of a socket if the event is sent to that one directly. Volatile
        events are not kept.
        """
        kept = True
        if isinstance(target, BroadcastTarget):
            kept, compress = not target.volatile, target.compress
        packet = self._encode([*event, self.next_offset(kept=kept)])
        if kept:
            self.keep(packet, target, compress=compress)
        packet.has_offset()
        packet.compress = compress
        return packet

    def next_offset(self, *, kept: bool = True) -> str:
        """The offset of the next event; one that is not ``kept`` shares the last number."""
        if kept:
            self._number += 1
        return f"{self._epoch}-{self._number}"

    def keep(
        self, packet: EncodedPacket, target: BroadcastTarget | str, *, compress: bool = True
    ) -> None:
        """Keep the event whose offset has just been taken.

        ``target`` is the id of a socket if the event is sent to that one directly.
        """
        sent = Sent(self._number, self._clock(), packet, target, compress=compress)
        self._sent.append(sent)
        self._memory.bytes += sent.size
        self._memory.added(self)
        if len(self._sent) > MAX_PACKETS:
            self._forget()
            self._dropped += 1  # its place among the packets of all logs is passed over

    def oldest(self) -> float:
        """When the packet was sent that is to be forgotten next."""
        return NEVER if self._dropped or not self._sent else self._sent[0].at

    def forget_first(self) -> None:
        """The log's first place among the packets of all logs goes, with its packet."""
        if self._dropped:
            self._dropped -= 1
        else:
            self._forget()

    def _forget(self) -> None:
        first = self._sent.popleft()
        self._memory.bytes -= first.size
        self._forgotten = first.number
        self._forgotten_at = first.at

    def _again(self, sent: Sent) -> EncodedPacket:
        if sent.packet is None:
            sent.packet = EncodedPacket(sent.text, sent.attachments)
            sent.packet.compress = sent.compress
            # A transport builds its own form of it, or two; they stay.
            more = _PACKET + 2 * sent.packet.size
            sent.size += more
            self._memory.bytes += more
        return sent.packet

    # -- membership -----------------------------------------------------------------------

    def moved(self, sid: str, room: str, *, joined: bool) -> None:
        """A socket has joined or left a room: decides what it was meant to receive."""
        moves = self._moves.get(sid)
        if moves is None:
            moves = self._moves[sid] = _Moves()
        made = moves.made
        move = (self._number, room)
        if move in made:
            del made[move]  # it is back where it was, and nothing was sent meanwhile
        else:
            made[move] = joined
        first = self._sent[0].number if self._sent else self._number + 1
        while made:
            number, _ = oldest = next(iter(made))
            if number >= first:
                if len(made) <= MAX_MOVES:
                    break
                moves.known = number
            del made[oldest]

    def forget(self, sid: str) -> None:
        """A socket has gone: where it was does not matter any more."""
        self._moves.pop(sid, None)

    # -- sessions -------------------------------------------------------------------------

    def awaits(self, sid: str) -> bool:
        """Whether a client that is away may come back to this socket id."""
        return sid in self._away

    def hold(self, pid: str, cut: Callable[[], object]) -> None:
        """A client has come back and waits for the middlewares; ``cut`` ends its connection."""
        self._live[pid] = _Live(cut, 0.0, 0, NEVER)

    def begin(
        self,
        pid: str,
        sid: str,
        cut: Callable[[], object],
        stored: StoredSession | None = None,
    ) -> None:
        """A socket has been accepted: what is sent from now on is meant for it.

        ``cut`` ends its connection, should its client come back on another one first. With
        a session that was stored it is in the rooms of that again.
        """
        now = self._clock()
        if stored is None:
            self._live[pid] = _Live(cut, now, self._number, NEVER)
            return
        self._away.discard(sid)
        self._live[pid] = _Live(cut, now, stored.since, stored.confirmed)
        moves = self._moves[sid] = _Moves()
        moves.made = {(number, room): joined for number, room, joined in stored.moves}
        moves.known = stored.known

    def persist_session(self, pid: str, sid: str, kept: Kept | None) -> None:
        """A socket has gone; ``kept`` is what its client may come back to, if it may."""
        live = self._live.pop(pid, None)
        moves = self._moves.pop(sid, None) or _Moves()
        self._away.discard(sid)
        if kept is None or live is None:
            return
        # What was answered before the socket had been accepted says nothing about what
        # was sent to it.
        confirmed = kept.confirmed if kept.confirmed > live.began else live.confirmed
        made = tuple([(number, room, joined) for (number, room), joined in moves.made.items()])
        rooms, now = frozenset(kept.rooms), self._clock()
        self._store(
            pid,
            StoredSession(
                sid, rooms, kept.data, live.since, confirmed, now, made, known=moves.known
            ),
        )

    def give_back(self, pid: str, stored: StoredSession) -> None:
        """A client that came back was not accepted: it may try again, in the time it has left."""
        self._live.pop(pid, None)
        self._store(pid, stored)

    def _store(self, pid: str, stored: StoredSession) -> None:
        self._sessions[pid] = stored
        self._away.add(stored.sid)
        self._memory.sessions[self, pid] = stored.at
        self._memory.prune()

    def _take(self, pid: str) -> StoredSession | None:
        stored = self._sessions.pop(pid, None)
        if stored is not None:
            del self._memory.sessions[self, pid]
        return stored

    def drop(self, pid: str) -> None:
        """Forget a session: its client has been away for too long, or there are too many."""
        stored = self._take(pid)
        if stored is not None:
            self._away.discard(stored.sid)

    def restore(self, pid: object, offset: object) -> StoredSession | None:
        """The session with this secret id, if it can be recovered without a gap.

        It is given out once. ``offset`` is the last one that the client has seen,
        ``None`` if it has seen none. The client that presents the id takes it over, even
        from a connection that lives: that is cut.
        """
        if not isinstance(pid, str):
            return None
        live = self._live.get(pid)
        if live is not None:
            live.cut()  # nearly always the old connection, which is dead and has not noticed yet
        self._memory.prune()
        stored = self._take(pid)
        if stored is None:
            return None
        seen = self._seen(offset)
        if seen is not None and seen <= self._number and not self._memory.too_late(stored.at):
            stored = stored._replace(since=max(seen, stored.since))
            if self.complete(stored):
                return stored
        self._away.discard(stored.sid)
        return None

    def restore_session(self, pid: object, offset: object) -> RestoredSession | None:
        """As ``restore``, with the log that the session belongs to."""
        stored = self.restore(pid, offset)
        if stored is None or not isinstance(pid, str):
            return None
        return RestoredSession(self, pid, stored)

    def complete(self, stored: StoredSession) -> bool:
        """Whether everything that its client may have missed is still kept."""
        kept = stored.since >= self._forgotten or stored.confirmed > self._forgotten_at
        return kept and stored.since >= stored.known

    def _seen(self, offset: object) -> int | None:
        """The number in an offset; 0 if the client has seen none, ``None`` if it is not ours."""
        if offset is None:
            return 0
        match = _OFFSET.match(offset) if isinstance(offset, str) else None
        if match is None or int(match[1]) != self._epoch:
            return None
        return int(match[2])

    def missed(self, stored: StoredSession) -> list[EncodedPacket]:
        """What was meant for the session since, in order, judged by its rooms at each moment."""
        rooms = set(stored.rooms)
        moves = list(stored.moves)
        missed: list[Sent] = []
        for sent in reversed(self._sent):
            if sent.number <= stored.since:
                break
            while moves and moves[-1][0] >= sent.number:  # it happened after this packet
                _, room, joined = moves.pop()
                (rooms.discard if joined else rooms.add)(room)
            if sent.meant_for(stored.sid, rooms):
                missed.append(sent)
        return [self._again(sent) for sent in reversed(missed)]


class RestoredSession:
    """A session that its client has come back to."""

    __slots__ = ("_log", "_pid", "_stored", "data", "rooms", "sid")

    def __init__(self, log: RecoveryLog, pid: str, stored: StoredSession) -> None:
        self._log = log
        self._pid = pid
        self._stored = stored
        self.sid = stored.sid
        self.rooms = stored.rooms
        self.data = stored.data

    def complete(self) -> bool:
        """Whether everything that the client may have missed is still kept."""
        return self._log.complete(self._stored)

    def hold(self, cut: Callable[[], object]) -> None:
        """The client waits for the middlewares; ``cut`` ends its connection."""
        self._log.hold(self._pid, cut)

    def begin(self, cut: Callable[[], object]) -> None:
        """The socket has been accepted; ``cut`` ends its connection."""
        self._log.begin(self._pid, self.sid, cut, self._stored)

    def missed(self) -> list[EncodedPacket]:
        """What was meant for the socket while its client was away, in order."""
        return self._log.missed(self._stored)

    def give_back(self) -> None:
        """The client was not accepted: it may try again, in the time it has left."""
        self._log.give_back(self._pid, self._stored)
