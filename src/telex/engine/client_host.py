"""What a client's session stands between: its transports, its host, and those who observe it."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple, Protocol

from ..errors import TransportError
from ..wire import EncodedPacket

TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
FORCED_CLOSE = "forced close"


class State(StrEnum):
    """The states of a client's session, in their order; ``CLOSING`` may be passed over."""

    OPENING = "opening"
    OPEN = "open"
    CLOSING = "closing"
    CLOSED = "closed"


class Details(NamedTuple):
    """Why a connection has ended, beside the reason."""

    description: Any = None
    context: Any = None


class ClientTransport(Protocol):
    """A connection to the server.

    ``send`` is called only while ``writable``. ``pause`` calls back when nothing is under
    way in either direction any more (polling); ``hold`` and ``release`` stop and continue
    reading. ``close`` sends a close packet or frame first, ``abandon`` does not.
    """

    @property
    def name(self) -> str: ...

    @property
    def writable(self) -> bool: ...

    def send(self, packets: list[EncodedPacket]) -> None: ...

    def pause(self, paused: Callable[[], None]) -> None: ...

    def unpause(self) -> None: ...

    def hold(self) -> None: ...

    def release(self) -> None: ...

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class Host(Protocol):
    """What a session asks of its owner, and tells it of its life."""

    def connect(self, name: str, sid: str | None) -> ClientTransport:
        """A transport that begins to connect; ``sid`` if it is to take a session over."""
        ...

    def wake(self) -> None:
        """``deadline`` is earlier than before."""
        ...

    def opened(self, handshake: dict[str, Any]) -> None:
        """The server's open packet has come."""
        ...

    def drained(self) -> None:
        """The transport has taken all that was queued."""
        ...

    def failed(self, error: TransportError) -> None:
        """The session is about to end because of an error."""
        ...

    def ended(self, reason: str, details: Any) -> None:
        """The session has ended; called once."""
        ...


class SessionObserver(Protocol):
    """Sees what a session does beside its life: heartbeats and upgrades."""

    def pinged(self) -> None:
        """A ping has come from the server, or (revision 3) has been sent to it."""
        ...

    def ponged(self, latency: float) -> None:
        """The pong of a ping has been sent, or has come after ``latency`` seconds."""
        ...

    def upgrading(self, transport: ClientTransport) -> None:
        """The server has answered the probe; polling is being paused."""
        ...

    def upgraded(self, transport: ClientTransport) -> None:
        """The session goes on over another transport."""
        ...

    def upgrade_failed(self, error: TransportError) -> None:
        """The other transport cannot be used; the session goes on as before."""
        ...


class PacketWatcher(Protocol):
    """Sees every packet of a session."""

    def received(self, data: str | bytes) -> None:
        """A packet has come."""
        ...

    def created(self, packet: EncodedPacket) -> None:
        """A packet is about to be queued."""
        ...

    def flushed(self) -> None:
        """A batch of packets has been handed to the transport."""
        ...
