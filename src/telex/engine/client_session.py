"""A client's Engine.IO session: states, handshake, heartbeat, upgrade, write buffer.

Nothing here reads, writes or waits: transports call ``receive``, ``drained``, ``failed``
and ``closed``; the owner of the timer asks for ``deadline`` and calls ``tick``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from ..codec import json
from ..errors import TransportError
from ..types import Clock
from ..wire import EncodedPacket
from .packet import CLOSE, MESSAGE, OPEN, PING, PONG, TYPES
from .payload import decode_base64

NEVER = float("inf")

OPENING, OPENED, CLOSING, CLOSED = "opening", "open", "closing", "closed"

TRANSPORT_CLOSE = "transport close"
TRANSPORT_ERROR = "transport error"
PING_TIMEOUT = "ping timeout"
FORCED_CLOSE = "forced close"

CLOSE_TIMEOUT = 3.0
"""How long a session that closes may take to send what is queued, in seconds."""

_LONGEST = 10 * 365 * 86400.0
"""A heartbeat that comes even later, in seconds, is a mistake."""

_PING_PACKET = EncodedPacket(b"2")
_PONG_PACKET = EncodedPacket(b"3")
_PROBE_PACKET = EncodedPacket(b"2probe")
_UPGRADE_PACKET = EncodedPacket(b"5")


class Details(NamedTuple):
    """Why a connection has ended, beside the reason."""

    description: Any = None
    context: Any = None


class ClientTransport(Protocol):
    """A connection to the server.

    ``send`` is called only while ``writable``. ``pause`` calls back when nothing is under
    way in either direction any more (polling); ``hold`` and ``release`` stop and continue
    reading. ``close`` says goodbye, ``abandon`` does not.
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
    """What a session asks of its owner."""

    def connect(self, name: str, sid: str | None) -> ClientTransport:
        """A transport that begins to connect; ``sid`` if it is to take a session over."""
        ...

    def happened(self, event: str, *args: Any) -> None:
        """Something that users may listen to."""
        ...

    def wake(self) -> None:
        """``deadline`` is earlier than before."""
        ...


class ClientSession:
    """One connection to an Engine.IO server."""

    __slots__ = (
        "_beat",
        "_buffer",
        "_clock",
        "_close_by",
        "_elapsed",
        "_expecting",
        "_held",
        "_host",
        "_max_payload",
        "_names",
        "_overdue",
        "_pinged",
        "_prior",
        "_probe",
        "_sent",
        "_try_all",
        "_upgrade",
        "cork",
        "corked",
        "id",
        "on_message",
        "ping_interval",
        "ping_timeout",
        "protocol",
        "queued",
        "state",
        "transport",
        "upgrading",
        "watched",
    )

    def __init__(
        self,
        host: Host,
        clock: Clock,
        *,
        protocol: int,
        transports: tuple[str, ...],
        upgrade: bool = True,
        try_all: bool = False,
        prior: bool = False,
        cork: Callable[[], object],
        elapsed: Clock | None = None,
    ) -> None:
        self.id: str | None = None
        self.protocol = protocol
        self.state = OPENING
        self.transport: ClientTransport | None = None
        self.on_message: Callable[[str | bytes, int], object] = _ignore
        self.ping_interval = 0.0
        self.ping_timeout = 0.0
        self.queued = 0
        self.upgrading = False
        self.watched = False
        self.cork = cork
        self.corked = False
        self._host = host
        self._clock = clock
        self._elapsed = elapsed or clock
        self._names = list(transports)
        self._upgrade = upgrade
        self._try_all = try_all
        self._prior = prior
        self._probe: ClientTransport | None = None
        self._buffer: list[EncodedPacket] = []
        self._sent = 0
        self._max_payload = 0
        self._beat = NEVER
        self._overdue = NEVER
        self._close_by = NEVER
        self._expecting = False
        self._pinged = 0.0
        self._held = False

    # -- opening ------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to connect."""
        if not self._names:
            self._end_with(TransportError("No transports available"))
            return
        prior = self._prior and "websocket" in self._names
        self.transport = self._host.connect("websocket" if prior else self._names[0], None)

    def _handshake(self, data: str) -> None:
        if self.state is not OPENING:
            return
        try:
            opened: Any = json.loads(data)
            self.id = str(opened["sid"])
            self.ping_interval = _seconds(opened["pingInterval"])
            self.ping_timeout = _seconds(opened["pingTimeout"])
            self._max_payload = int(opened.get("maxPayload") or 0)
            upgrades = [str(name) for name in opened["upgrades"]]
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            self._mistake(f"the server's open packet cannot be read: {error!r}")
            return
        self.state = OPENED
        self._host.happened("handshake", opened)
        self._set_beat(earlier=True)
        self._host.happened("open")
        if self.state is not OPENED:
            return
        self.flush()
        transport = self.transport
        probes = self._upgrade and "websocket" in upgrades and "websocket" in self._names
        if probes and transport is not None and transport.name == "polling":
            self._probe = self._host.connect("websocket", self.id)

    # -- from the server ----------------------------------------------------------------

    def receive(self, transport: ClientTransport, data: str | bytes) -> None:
        """Take a packet: a WebSocket message, or an item of a polling payload."""
        if transport is not self.transport:
            if transport is self._probe:
                self._probe_answered(data)
            return
        if self.state is CLOSED:
            return
        if self.watched:
            self._host.happened("packet", data)
            self._host.happened("heartbeat")
        if self._expecting:
            # Revision 3: whatever comes shows that the server lives.
            self._beat = self._clock() + self.ping_interval + self.ping_timeout
        if isinstance(data, str):
            if data[:1] == MESSAGE:
                self.on_message(data, 1)
            else:
                self._control(data)
        elif self.protocol == 4:
            self.on_message(data, 0)
        elif data[:1] == b"\x04":
            self.on_message(data, 1)
        else:
            self._mistake("a binary packet is no message")

    def _control(self, data: str) -> None:
        kind = data[:1]
        if kind == OPEN:
            self._handshake(data[1:])
        elif kind == PING and self.protocol == 4:
            self.send(_PONG_PACKET)
            self._set_beat(earlier=False)
            self._host.happened("ping")
            self._host.happened("pong", 0.0)
        elif kind == PONG and self.protocol == 3:
            self._expecting = False
            self._set_beat(earlier=True)  # the next ping is earlier than this pong had to be
            self._host.happened("pong", self._clock() - self._pinged)
        elif kind == CLOSE:
            self.end(TRANSPORT_CLOSE, Details("transport closed by the server"))
        elif kind == "b":
            skip = 2 if self.protocol == 3 else 1
            self.on_message(decode_base64(data[skip:]), 0)
        elif not kind or kind not in TYPES:
            self._mistake(f"unknown packet type {kind!r}")
        # Heartbeats in the wrong direction, NOOP and UPGRADE mean nothing here.

    def _mistake(self, what: str) -> None:
        """The server has sent what the protocol forbids."""
        self._end_with(TransportError("server error", what))

    def failed(self, transport: ClientTransport, error: TransportError) -> None:
        """A transport could not connect, or has broken."""
        if transport is self._probe:
            self._probe_failed(error)
        elif transport is self.transport and self.state is not CLOSED:
            if self.state is OPENING and self._try_all and len(self._names) > 1:
                self._names.remove(transport.name)
                transport.abandon()
                self._prior = False
                self.open()
            else:
                self._end_with(error)

    def _end_with(self, error: TransportError) -> None:
        self._host.happened("error", error)
        self.end(TRANSPORT_ERROR, error)

    def closed(self, transport: ClientTransport, details: Details) -> None:
        """The server has closed a transport."""
        if transport is self._probe:
            self._probe_failed(TransportError("probe error", details.description))
        elif transport is self.transport:
            if self.state is OPENING:
                what = "the connection was closed before the server's open packet"
                self.failed(transport, TransportError("websocket error", what, details.context))
            else:
                self.end(TRANSPORT_CLOSE, details)

    # -- to the server --------------------------------------------------------------------

    def send(self, packet: EncodedPacket) -> None:
        """Queue a packet; it is dropped if the session closes or has ended."""
        if self.state is CLOSED or self.state is CLOSING:
            return
        if self.watched:
            self._host.happened("packet_create", packet)
        self._buffer.append(packet)
        self.queued += packet.size
        if not self.corked:
            self.corked = True
            try:
                self.cork()
            except BaseException:
                self.corked = False  # the next packet tells the cork again
                raise

    def flush(self) -> None:
        """Hand what is queued to the transport, if it can take it."""
        self.corked = False
        transport = self.transport
        if self._buffer and transport is not None and transport.writable and not self.upgrading:
            if self.state is OPENING or self.state is CLOSED:
                return
            packets = self._batch(transport)
            self._sent = len(packets)
            transport.send(packets)
            if self.watched:
                self._host.happened("flush")
            if transport.writable:
                self._taken()
        elif self.state is CLOSING and not self._buffer:
            self._try_to_close()

    def _batch(self, transport: ClientTransport) -> list[EncodedPacket]:
        """What goes next: over polling no more than the server takes in one request."""
        buffer, limit = self._buffer, self._max_payload
        if transport.name != "polling" or not limit or len(buffer) < 2:
            self._buffer, self.queued = [], 0
            return buffer
        size = count = 0
        for packet in buffer:
            size += _polling_size(packet, self.protocol)
            if count and size > limit:
                break
            count += 1
        packets, self._buffer = buffer[:count], buffer[count:]
        self.queued -= sum(packet.size for packet in packets)
        return packets

    def drained(self, transport: ClientTransport) -> None:
        """A transport has become writable."""
        if transport is self.transport:
            self._taken()

    def _taken(self) -> None:
        """The transport has taken what it was given."""
        self._sent = 0
        if self._buffer:
            self.flush()
        else:
            self._host.happened("drain")
            if self.state is CLOSING:
                self._try_to_close()

    @property
    def writable(self) -> bool:
        """Whether a packet that is sent now would leave at once."""
        transport = self.transport
        return transport is not None and transport.writable and not self.upgrading

    # -- closing ----------------------------------------------------------------------------

    def close(self) -> None:
        """End the session politely: what is queued is still sent."""
        if self.state is OPENING:
            self.end(FORCED_CLOSE)
        elif self.state is OPENED:
            self.state = CLOSING
            self._close_by = self._clock() + CLOSE_TIMEOUT
            self._host.wake()
            self._try_to_close()

    def _try_to_close(self) -> None:
        transport = self.transport
        if transport is None or self.upgrading or self._sent:
            return
        if not self._buffer:
            self.end(FORCED_CLOSE)
        elif transport.writable and not self.corked:
            self.flush()

    def end(self, reason: str, details: Any = None, *, polite: bool = True) -> None:
        """End the session now, for this reason; told once.

        A ``polite`` end says goodbye to a server that may still listen.
        """
        if self.state is CLOSED:
            return
        polite = polite and reason in (FORCED_CLOSE, TRANSPORT_CLOSE) and self.state is not OPENING
        self.state = CLOSED
        self._beat = self._close_by = NEVER
        self._expecting = False
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.abandon()
        transport, self.transport = self.transport, None
        if transport is not None:
            if polite:
                transport.close()
            else:
                transport.abandon()
        self._buffer.clear()
        self.queued = self._sent = 0
        self.id = None
        self._host.happened("close", reason, details)
        self.on_message = _ignore

    # -- heartbeat ----------------------------------------------------------------------------

    def _set_beat(self, *, earlier: bool) -> None:
        """The next deadline of the heartbeat, seen from now; perhaps ``earlier`` than the last."""
        now = self._clock()
        if self._held:
            # Whenever the server's ping comes, it wants an answer within ping_timeout.
            self._beat = now + min(self.ping_interval, self.ping_timeout) / 2
        elif self.protocol == 3:
            self._beat = now + self.ping_interval
        else:
            patience = self.ping_interval + self.ping_timeout
            self._beat = now + patience
            self._overdue = self._elapsed() + patience
        if earlier:
            self._host.wake()

    def deadline(self) -> float:
        """When ``tick`` should be called next; infinity if nothing is waiting."""
        return min(self._beat, self._close_by)

    def overdue(self) -> bool:
        """Whether the server's sign of life should have come long ago.

        So it is after a machine has slept: what is sent now would go nowhere.
        """
        if self.protocol == 3 or self._held:
            return False
        return self._overdue <= self._elapsed()

    def tick(self) -> None:
        """Do what is due."""
        now = self._clock()
        if self._close_by <= now:
            self.end(FORCED_CLOSE, polite=False)
        elif self._beat <= now:
            if self._held:
                # The server's pings wait unread; it must not think that we are dead.
                self._write_now(_PONG_PACKET if self.protocol == 4 else _PING_PACKET)
                self._set_beat(earlier=False)
            elif self.protocol == 4 or self._expecting:
                self.end(PING_TIMEOUT)
            else:
                self._expecting = True
                self._pinged = now
                self._beat = now + self.ping_timeout
                self.send(_PING_PACKET)
                self._host.happened("ping")

    def _write_now(self, packet: EncodedPacket) -> None:
        if self.state is OPENED:
            self.send(packet)
            self.flush()

    def hold(self) -> None:
        """Read no further until ``release``; the server still hears that we live."""
        if not self._held and self.state is OPENED and self.transport is not None:
            self._held = True
            self._expecting = False
            self._set_beat(earlier=True)
            self.transport.hold()

    def release(self) -> None:
        """Read again."""
        if self._held:
            self._held = False
            if self.transport is not None:
                self._set_beat(earlier=False)
                self.transport.release()

    # -- upgrade --------------------------------------------------------------------------------

    def opened(self, transport: ClientTransport) -> None:
        """A WebSocket is open: if it is to take the session over, try it first."""
        if transport is self._probe and self.state is OPENED:
            transport.send([_PROBE_PACKET])

    def _probe_answered(self, data: str | bytes) -> None:
        probe, transport = self._probe, self.transport
        if probe is None or transport is None or self.upgrading:
            return
        if data != "3probe":
            self._probe_failed(TransportError("probe error", f"the answer was {data[:40]!r}"))
            return
        self.upgrading = True
        self._host.happened("upgrading", probe)
        transport.pause(self._move)

    def _move(self) -> None:
        """Polling has stopped: go on over the new transport."""
        probe, old = self._probe, self.transport
        if probe is None or old is None or self.state is CLOSED:
            return
        self._probe = None
        self.transport = probe
        old.abandon()
        if self._held:
            probe.hold()
        probe.send([_UPGRADE_PACKET])
        self._sent = 0
        self.upgrading = False
        self._host.happened("upgrade", probe)
        self._taken()

    def _probe_failed(self, error: TransportError) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.abandon()
        self._host.happened("upgrade_error", error)
        if self.upgrading:
            self.upgrading = False
            if self.transport is not None:
                self.transport.unpause()
                if self.transport.writable:
                    self._taken()
                    return
        self.flush()


def _seconds(milliseconds: Any) -> float:
    """A duration of the open packet. Raises ``ValueError`` if it is none."""
    seconds = float(milliseconds) / 1000
    if not 0 < seconds < _LONGEST:
        raise ValueError(f"{milliseconds!r} is no duration in milliseconds")
    return seconds


def _polling_size(packet: EncodedPacket, protocol: int) -> int:
    """How many bytes a packet adds to a payload, or a few more."""
    if protocol == 4 and packet.text is not None and not packet.attachments:
        return len(packet.text) + 1
    size = 16 if packet.text is None else len(packet.text) + 16
    return size + sum(16 + (len(data) + 2) // 3 * 4 for data in packet.attachments)


def _ignore(data: str | bytes, pos: int) -> None:
    """A session whose owner does not listen."""
