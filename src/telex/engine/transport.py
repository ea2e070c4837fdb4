"""What a session needs of the transport that carries it."""

from __future__ import annotations

from typing import Protocol

from ..wire import EncodedPacket


class Transport(Protocol):
    """A way to the client, filled in by a front.

    ``send`` is only called while ``writable``; when a transport becomes writable again
    it calls ``drained`` of its receiver. ``close`` ends it politely and is called once.
    """

    name: str

    @property
    def writable(self) -> bool: ...

    def send(self, packets: list[EncodedPacket]) -> None: ...

    def close(self) -> None: ...

    def pause(self) -> None:
        """Read no further until ``resume``."""
        ...

    def resume(self) -> None: ...


class PacketObserver(Protocol):
    """Sees every packet of a session."""

    def received(self, data: str | bytes, binary_prefix: int) -> None:
        """A packet has come; binary messages may begin with a type byte."""
        ...

    def created(self, packet: EncodedPacket) -> None:
        """A packet is about to be sent."""
        ...
