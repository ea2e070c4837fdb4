"""The seams between sockets, adapters, and the namespaces that own them.

A namespace makes its adapter with an ``AdapterHost`` and calls the five Protocols that ``Adapter``
joins. What comes from other servers enters through the ``AdapterHost``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator
from collections.abc import Set as AbstractSet
from typing import Any, NamedTuple, Protocol

from ..deadlines import Schedule
from ..events.pending_acks import AckCallback
from ..wire import EncodedPacket

NEVER = float("-inf")


class Peer(Protocol):
    """A recipient, as an adapter sees it: the server's Socket."""

    id: str

    @property
    def deliver(self) -> Callable[[EncodedPacket], object]:
        """Queue an encoded packet for the client."""
        ...

    @property
    def deliver_volatile(self) -> Callable[[EncodedPacket], object]:
        """Send a packet if the client can take it now, drop it otherwise."""
        ...

    def expect(self, ack_id: int, settle: AckCallback) -> None:
        """Call ``settle`` with the client's answer, or with why there will be none."""
        ...

    def forget(self, ack_id: int) -> None:
        """An answer is not waited for any more."""
        ...

    def describe(self) -> dict[str, Any]:
        """``id``, ``handshake``, ``rooms`` and ``data``, as other servers see them."""
        ...

    def silence(self) -> None:
        """Queue nothing any more: the socket is going to be disconnected."""
        ...

    def disconnect(self, close: bool = False) -> object:
        """Disconnect the socket; with ``close``, its whole connection."""
        ...


class BroadcastTarget:
    """Whom a broadcast is for, and how it travels (Node: ``BroadcastOptions``). Immutable.

    No ``rooms`` means everybody in the namespace. ``excluded`` holds rooms and socket ids.
    A ``volatile`` event is dropped for clients that cannot take it at once, a ``local`` one
    stays on this server, and ``compress`` says whether it may be compressed.
    """

    __slots__ = ("compress", "excluded", "local", "rooms", "volatile")

    def __init__(
        self,
        rooms: frozenset[str] | None = None,
        excluded: frozenset[str] = frozenset(),
        *,
        volatile: bool = False,
        local: bool = False,
        compress: bool = True,
    ) -> None:
        self.rooms = rooms
        self.excluded = excluded
        self.volatile = volatile
        self.local = local
        self.compress = compress


class Answers(Protocol):
    """Collects the answers to one broadcast.

    ``asked`` is called before ``counted`` for the same servers. All answers have come when every
    server that was asked has counted its recipients, and every recipient has settled.
    """

    def asked(self, servers: int) -> None:
        """So many more servers are asked."""
        ...

    def counted(self, recipients: int) -> None:
        """One of the servers that were asked has so many recipients."""
        ...

    @property
    def settle(self) -> AckCallback:
        """Takes the answer of one recipient, or the error that stands for it."""
        ...


class Kept(NamedTuple):
    """What a socket may come back to.

    ``confirmed`` is when the last ping was sent that the client has answered.
    """

    rooms: Iterable[str]
    data: Any
    confirmed: float = NEVER


class Restored(Protocol):
    """A session whose client has come back: the socket that is made for it goes on with this."""

    @property
    def sid(self) -> str: ...

    @property
    def rooms(self) -> frozenset[str]: ...

    @property
    def data(self) -> Any: ...

    def complete(self) -> bool:
        """Whether everything that the client may have missed is still kept."""
        ...

    def hold(self, cut: Callable[[], object]) -> None:
        """The client waits for the middlewares; ``cut`` ends its connection."""
        ...

    def begin(self, cut: Callable[[], object]) -> None:
        """The socket has been accepted; ``cut`` ends its connection."""
        ...

    def missed(self) -> list[EncodedPacket]:
        """What was meant for the socket while its client was away, in order."""
        ...

    def give_back(self) -> None:
        """The client was not accepted: it may try again, in the time it has left."""
        ...


class Sessions(Protocol):
    """Connection state recovery: what is kept of sockets that have gone.

    A session has a secret id, ``pid``. The client that presents it takes the session over, even
    from a connection that lives: ``cut`` ends that.
    """

    def encode(
        self, event: list[Any], target: BroadcastTarget | str, *, compress: bool = True
    ) -> EncodedPacket:
        """Encode an event with its offset, and keep it for those who come back.

        ``target`` is the id of a socket if the event is sent to that one directly. Volatile
        events are not kept.
        """
        ...

    def begin(self, pid: str, sid: str, cut: Callable[[], object]) -> None:
        """A new socket has been accepted: what is sent from now on is meant for it."""
        ...

    def persist_session(self, pid: str, sid: str, kept: Kept | None) -> None:
        """A socket has gone; ``kept`` is what its client may come back to, if it may."""
        ...

    def restore_session(
        self, pid: object, offset: object
    ) -> Restored | Awaitable[Restored | None] | None:
        """The session with this secret id, if it can be recovered without a gap.

        It is given out once. ``offset`` is the last one that the client has seen, ``None`` if it
        has seen none. Where the session is kept elsewhere, the result has to be awaited.
        """
        ...

    def awaits(self, sid: str) -> bool:
        """Whether a client that is away may come back to this socket id."""
        ...


class SessionLog(Sessions, Protocol):
    """Sessions in this server's memory, which have to know where its sockets are."""

    def moved(self, sid: str, room: str, *, joined: bool) -> None:
        """A socket has joined a room that it was not in, or left one that it was in."""
        ...

    def forget(self, sid: str) -> None:
        """A socket has gone: where it was does not matter any more."""
        ...


class AdapterHost(Protocol):
    """What a namespace gives its adapter."""

    @property
    def name(self) -> str:
        """The name of the namespace."""
        ...

    @property
    def server_id(self) -> str:
        """The id of this server in its cluster: 16 hexadecimal digits, for all namespaces."""
        ...

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the server runs on; ``ConfigurationError`` before it runs."""
        ...

    @property
    def schedule(self) -> Schedule:
        """The server's deadlines, in seconds of its clock."""
        ...

    @property
    def encode(self) -> Callable[..., EncodedPacket]:
        """``encode(event, ack_id=None)``: the event in the namespace's name and format."""
        ...

    @property
    def ack_ids(self) -> Iterator[int]:
        """Ids for acknowledgements that sockets of this server are asked for."""
        ...

    @property
    def recovery(self) -> SessionLog | None:
        """Sessions in memory, for adapters that keep them nowhere else; ``None``: not wanted."""
        ...

    def server_event(self, event: list[Any], reply: Callable[[Any], object] | None) -> None:
        """Another server has emitted an event to this one; ``reply`` takes the answer, once."""
        ...


class Rooms(Protocol):
    """The sockets of this server and their rooms. Every socket is in a room named by its id."""

    def add(self, peer: Peer) -> None:
        """A socket has been accepted."""
        ...

    def remove(self, sid: str) -> None:
        """A socket has gone: it leaves all its rooms."""
        ...

    def join(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Add a socket to rooms."""
        ...

    def leave(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Take a socket out of rooms."""
        ...

    def rooms_of(self, sid: str) -> AbstractSet[str]:
        """The rooms of a socket, its own included."""
        ...

    def rooms(self) -> dict[str, set[str]]:
        """Every room with the ids of its members, the sockets' own rooms included."""
        ...


class Broadcasts(Protocol):
    """What reaches many sockets, on all servers unless the target is ``local``."""

    def broadcast(self, event: list[Any], target: BroadcastTarget) -> Awaitable[None]:
        """Emit an event to every socket that the target reaches."""
        ...

    def broadcast_with_ack(
        self, event: list[Any], target: BroadcastTarget, timeout: float, answers: Answers
    ) -> Callable[[], None]:
        """As ``broadcast``, with an acknowledgement of every recipient.

        Every server numbers it for its own sockets. Nothing is answered after ``timeout``
        seconds; calling the result stops waiting.
        """
        ...

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        """Descriptions of the sockets that the target reaches."""
        ...

    async def count(self, target: BroadcastTarget) -> int:
        """How many sockets the target reaches."""
        ...

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Add the sockets that the target reaches to rooms."""
        ...

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Take the sockets that the target reaches out of rooms."""
        ...

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the target reaches.

        Nothing that is sent later reaches them. A crowd goes in several turns of the loop;
        the result is done when all of this server have gone.
        """
        ...


class ServerEvents(Protocol):
    """What servers of a cluster say to each other."""

    def server_side_emit(self, event: list[Any]) -> Awaitable[None]:
        """Emit an event to the other servers of the cluster."""
        ...

    async def server_side_emit_with_ack(self, event: list[Any], timeout: float) -> list[Any]:
        """Emit an event to the other servers and collect one answer of each.

        Raises ``ClusterTimeout`` if some do not answer within ``timeout`` seconds.
        """
        ...

    async def server_count(self) -> int:
        """How many servers the cluster has, this one included."""
        ...


class Life(Protocol):
    """When an adapter may begin, and when it has to end."""

    def start(self) -> Awaitable[None]:
        """The server runs: its loop is known. Called once, also for namespaces made later."""
        ...

    async def close(self) -> None:
        """The server, or the namespace, ends: let go of whatever the adapter holds."""
        ...


class Adapter(Rooms, Broadcasts, ServerEvents, Life, Protocol):
    """The rooms of one namespace, and its way to other servers.

    What changes sockets or reaches them takes effect at once on this server; awaiting
    the result waits until the cluster has taken it. ``sessions`` is ``None`` if the server does
    without connection state recovery.
    """

    sessions: Sessions | None
