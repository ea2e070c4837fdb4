"""The seams between sockets, adapters and the namespaces that own them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any, Protocol

from ..events.pending_acks import AckCallback
from ..wire import EncodedPacket


class Moved(Protocol):
    """Called when a socket joins or leaves a room."""

    def __call__(self, sid: str, room: str, *, joined: bool) -> None: ...


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
    """Whom a broadcast is for (Node: ``BroadcastOptions``). Immutable.

    No ``rooms`` means everybody in the namespace. ``excluded`` holds rooms and socket ids.
    """

    __slots__ = ("excluded", "local", "rooms", "volatile")

    def __init__(
        self,
        rooms: frozenset[str] | None = None,
        excluded: frozenset[str] = frozenset(),
        *,
        volatile: bool = False,
        local: bool = False,
    ) -> None:
        self.rooms = rooms
        self.excluded = excluded
        self.volatile = volatile
        self.local = local


class Adapter(Protocol):
    """The rooms of one namespace. Every socket is in a room named by its id.

    What changes sockets or reaches them takes effect at once on this server; awaiting
    the result waits until the cluster has taken it.

    The namespace sets ``moved`` if it has to know who joins and leaves rooms (connection
    state recovery has to). The adapter calls it for every socket of this server, when that
    joins a room that it was not in, or leaves one that it was in; not for ``add`` and
    ``remove``.
    """

    moved: Moved | None

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

    def peers(self, target: BroadcastTarget) -> list[Peer]:
        """The sockets of this server that a target reaches, each once."""
        ...

    def broadcast(self, packet: EncodedPacket, target: BroadcastTarget) -> Awaitable[None]:
        """Queue a packet for every socket that the target reaches."""
        ...

    def broadcast_with_ack(
        self,
        packet: EncodedPacket,
        target: BroadcastTarget,
        ack_id: int,
        counted: Callable[[int], None],
        settle: AckCallback,
    ) -> Callable[[], None]:
        """As ``broadcast``, for a packet with ``ack_id``.

        ``counted(n)`` is called once for each server with the number of its recipients,
        ``settle`` once for each recipient. Calling the result stops waiting.
        """
        ...

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        """Descriptions of the sockets that the target reaches, cluster-wide."""
        ...

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Add the sockets that the target reaches to rooms, cluster-wide."""
        ...

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        """Take the sockets that the target reaches out of rooms, cluster-wide."""
        ...

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        """Disconnect the sockets that the target reaches, cluster-wide.

        Nothing that is sent later reaches them. A crowd goes in several turns of the loop;
        the result is done when all of this server have gone.
        """
        ...

    def server_side_emit(self, event: list[Any]) -> Awaitable[None]:
        """Emit an event to the other servers of the cluster."""
        ...

    async def server_side_emit_with_ack(self, event: list[Any], timeout: float) -> list[Any]:
        """Emit an event to the other servers and collect one answer of each."""
        ...

    async def close(self) -> None:
        """Let go of whatever the adapter holds."""
        ...
