"""The seams between sockets, adapters and the namespaces that own them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Protocol

from ..wire import EncodedPacket


class Peer(Protocol):
    """A recipient, as an adapter sees it: the server's Socket."""

    id: str

    @property
    def deliver(self) -> Callable[[EncodedPacket], object]:
        """Queue an encoded packet for the client."""
        ...

    @property
    def writable(self) -> bool:
        """Whether a packet would leave at once (volatile packets are dropped otherwise)."""
        ...


class Target:
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
    """The rooms of one namespace. Every socket is in a room named by its id."""

    def add(self, peer: Peer) -> None:
        """A socket has been accepted."""
        ...

    def remove(self, sid: str) -> None:
        """A socket has gone: it leaves all its rooms."""
        ...

    def join(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Add a socket to rooms at once; awaiting waits until the cluster knows."""
        ...

    def leave(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        """Take a socket out of rooms at once; awaiting waits until the cluster knows."""
        ...

    def rooms_of(self, sid: str) -> AbstractSet[str]:
        """The rooms of a socket, its own included."""
        ...

    def peers(self, target: Target) -> list[Peer]:
        """The sockets of this server that a target reaches, each once."""
        ...

    def broadcast(self, packet: EncodedPacket, target: Target) -> Awaitable[None]:
        """Queue a packet for every socket that the target reaches."""
        ...

    async def close(self) -> None:
        """Let go of whatever the adapter holds."""
        ...
