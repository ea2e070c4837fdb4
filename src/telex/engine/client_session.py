"""A client's Engine.IO session: states, handshake, heartbeat, upgrade, write buffer.

Nothing here reads, writes or waits: transports call ``receive``, ``drained``, ``failed``
and ``closed``; the owner of the timer asks for ``deadline`` and calls ``tick``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import PacketError, TransportError
from ..types import Clock
from ..wire import EncodedPacket
from .client_heartbeat import NEVER, ClientHeartbeat
from .client_host import (
    FORCED_CLOSE,
    PING_TIMEOUT,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
    ClientTransport,
    Details,
    Host,
    PacketWatcher,
    SessionObserver,
    State,
)
from .open_packet import read_open_packet
from .packet import CLOSE, MESSAGE, OPEN, PING, PONG, TYPES
from .payload import decode_base64, fitting

CLOSE_TIMEOUT = 3.0
"""How long a session that closes may take to send what is queued, in seconds."""

_PING_PACKET = EncodedPacket(b"2")
_PONG_PACKET = EncodedPacket(b"3")
_PROBE_PACKET = EncodedPacket(b"2probe")
_UPGRADE_PACKET = EncodedPacket(b"5")


class ClientSession:
    """One connection to an Engine.IO server."""

    __slots__ = (
        "_buffer",
        "_clock",
        "_close_due",
        "_host",
        "_max_payload",
        "_observer",
        "_transports",
        "_websocket_first",
        "_probe",
        "_sent",
        "_try_all",
        "_upgrade",
        "cork",
        "corked",
        "id",
        "on_message",
        "protocol",
        "queued",
        "state",
        "transport",
        "upgrading",
        "watcher",
        "heartbeat",
    )

    def __init__(
        self,
        host: Host,
        observer: SessionObserver,
        clock: Clock,
        *,
        protocol: int,
        transports: tuple[str, ...],
        upgrade: bool = True,
        try_all: bool = False,
        websocket_first: bool = False,
        cork: Callable[[], object],
        elapsed: Clock | None = None,
    ) -> None:
        self.id: str | None = None
        self.protocol = protocol
        self.state = State.OPENING
        self.transport: ClientTransport | None = None
        self.on_message: Callable[[str | bytes, int], object] = _ignore
        self.heartbeat = ClientHeartbeat(protocol, clock, elapsed or clock)
        self.queued = 0
        self.upgrading = False
        self.watcher: PacketWatcher | None = None
        self.cork = cork
        self.corked = False
        self._host = host
        self._observer = observer
        self._clock = clock
        self._transports = list(transports)
        self._upgrade = upgrade
        self._try_all = try_all
        self._websocket_first = websocket_first
        self._probe: ClientTransport | None = None
        self._buffer: list[EncodedPacket] = []
        self._sent = 0
        self._max_payload = 0
        self._close_due = NEVER

    # -- opening ------------------------------------------------------------------------

    def open(self) -> None:
        """Connect over the first transport; ``Host.opened`` or ``Host.ended`` is called later."""
        if not self._transports:
            self._end_with(TransportError("No transports available"))
            return
        websocket_first = self._websocket_first and "websocket" in self._transports
        self.transport = self._host.connect(
            "websocket" if websocket_first else self._transports[0], None
        )

    def _handshake(self, data: str) -> None:
        if self.state is not State.OPENING:
            return
        try:
            opened = read_open_packet(data)
        except PacketError as error:
            self._protocol_error(str(error))
            return
        self.id = opened.sid
        self._max_payload = opened.max_payload
        heartbeat = self.heartbeat
        heartbeat.interval, heartbeat.timeout = opened.ping_interval, opened.ping_timeout
        self.state = State.OPEN
        heartbeat.restart()
        self._host.wake()
        self._host.opened(opened.data)
        if self.state is not State.OPEN:
            return
        self.flush()
        transport = self.transport
        probes = (
            self._upgrade and "websocket" in opened.upgrades and "websocket" in self._transports
        )
        if probes and transport is not None and transport.name == "polling":
            self._probe = self._host.connect("websocket", self.id)

    # -- from the server ----------------------------------------------------------------

    def receive(self, transport: ClientTransport, data: str | bytes) -> None:
        """Take a packet: a WebSocket message, or an item of a polling payload.

        After the last packet of one read, the caller calls ``flush``, unless it is corked.
        What ``on_message`` raises passes; a mistake of the server ends the session instead.
        """
        if transport is not self.transport:
            if transport is self._probe:
                self._probe_answered(data)
            return
        if self.state is State.CLOSED:
            return
        if self.watcher is not None:
            self.watcher.received(data)
        if self.heartbeat.pong_expected:
            self.heartbeat.heard()
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
            self._protocol_error("a binary packet is no message")

    def _control(self, data: str) -> None:
        kind = data[:1]
        if kind == OPEN:
            self._handshake(data[1:])
        elif kind == PING and self.protocol == 4:
            self.send(_PONG_PACKET)
            self.heartbeat.restart()
            self._observer.pinged()
            self._observer.ponged(0.0)
        elif kind == PONG and self.protocol == 3:
            latency = self.heartbeat.pong_received()
            self._host.wake()  # the next ping is earlier than this pong had to be
            self._observer.ponged(latency)
        elif kind == CLOSE:
            self.end(TRANSPORT_CLOSE, Details("transport closed by the server"))
        elif kind == "b":
            skip = 2 if self.protocol == 3 else 1
            self.on_message(decode_base64(data[skip:]), 0)
        elif not kind or kind not in TYPES:
            self._protocol_error(f"unknown packet type {kind!r}")
        # Heartbeats in the wrong direction, NOOP and UPGRADE mean nothing here.

    def _protocol_error(self, what: str) -> None:
        """The server has sent what the protocol forbids."""
        self._end_with(TransportError("server error", what))

    def failed(self, transport: ClientTransport, error: TransportError) -> None:
        """A transport could not connect, or has broken. The caller does nothing more with it."""
        if transport is self._probe:
            self._probe_failed(error)
        elif transport is self.transport and self.state is not State.CLOSED:
            if self.state is State.OPENING and self._try_all and len(self._transports) > 1:
                self._transports.remove(transport.name)
                transport.abandon()
                self._websocket_first = False
                self.open()
            else:
                self._end_with(error)

    def _end_with(self, error: TransportError) -> None:
        self._host.failed(error)
        self.end(TRANSPORT_ERROR, error)

    def closed(self, transport: ClientTransport, details: Details) -> None:
        """The server has closed a transport. The caller does nothing more with it."""
        if transport is self._probe:
            self._probe_failed(TransportError("probe error", details.description))
        elif transport is self.transport:
            if self.state is State.OPENING:
                what = "the connection was closed before the server's open packet"
                self.failed(transport, TransportError("websocket error", what, details.context))
            else:
                self.end(TRANSPORT_CLOSE, details)

    # -- to the server --------------------------------------------------------------------

    def send(self, packet: EncodedPacket) -> None:
        """Queue a packet; it is dropped if the session closes or has ended.

        The first one calls ``cork``, whose owner calls ``flush`` at the end of the turn.
        """
        if self.state is State.CLOSED or self.state is State.CLOSING:
            return
        if self.watcher is not None:
            self.watcher.created(packet)
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
        """Hand what is queued to the transport, now or when it is writable again."""
        self.corked = False
        transport = self.transport
        if self._buffer and transport is not None and transport.writable and not self.upgrading:
            if self.state is State.OPENING or self.state is State.CLOSED:
                return
            packets = self._batch(transport)
            self._sent = len(packets)
            transport.send(packets)
            if self.watcher is not None:
                self.watcher.flushed()
            if transport.writable:
                self._transport_free()
        elif self.state is State.CLOSING and not self._buffer:
            self._try_to_close()

    def _batch(self, transport: ClientTransport) -> list[EncodedPacket]:
        """What goes next: over polling no more than the server takes in one request."""
        buffer, limit = self._buffer, self._max_payload
        if transport.name != "polling" or not limit or len(buffer) < 2:
            self._buffer, self.queued = [], 0
            return buffer
        count = fitting(buffer, limit, self.protocol)
        packets, self._buffer = buffer[:count], buffer[count:]
        self.queued -= sum(packet.size for packet in packets)
        return packets

    def drained(self, transport: ClientTransport) -> None:
        """A transport has become writable: what is queued follows at once."""
        if transport is self.transport:
            self._transport_free()

    def _transport_free(self) -> None:
        """The transport has taken what it was given."""
        self._sent = 0
        if self._buffer:
            self.flush()
        else:
            self._host.drained()
            if self.state is State.CLOSING:
                self._try_to_close()

    @property
    def writable(self) -> bool:
        """Whether a packet that is sent now would leave at once."""
        transport = self.transport
        return transport is not None and transport.writable and not self.upgrading

    # -- closing ----------------------------------------------------------------------------

    def close(self) -> None:
        """End the session when what is queued has been sent, or after ``CLOSE_TIMEOUT``."""
        if self.state is State.OPENING:
            self.end(FORCED_CLOSE)
        elif self.state is State.OPEN:
            self.state = State.CLOSING
            self._close_due = self._clock() + CLOSE_TIMEOUT
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
        """End the session now; ``Host.ended`` is called once, with this reason.

        A ``polite`` end closes the transport, so that the server hears of it; any other
        abandons it. What is queued is dropped.
        """
        if self.state is State.CLOSED:
            return
        polite = (
            polite and reason in (FORCED_CLOSE, TRANSPORT_CLOSE) and self.state is not State.OPENING
        )
        self.state = State.CLOSED
        self._close_due = NEVER
        self.heartbeat.stop()
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
        self._host.ended(reason, details)
        self.on_message = _ignore

    # -- heartbeat ----------------------------------------------------------------------------

    def deadline(self) -> float:
        """When ``tick`` should be called next; infinity if nothing is waiting."""
        return min(self.heartbeat.due, self._close_due)

    def tick(self) -> None:
        """Do what is due; the caller asks for ``deadline`` again afterwards."""
        now = self._clock()
        if self._close_due <= now:
            self.end(FORCED_CLOSE, polite=False)
        elif self.heartbeat.due <= now:
            self._heartbeat_is_due()

    def _heartbeat_is_due(self) -> None:
        heartbeat = self.heartbeat
        if heartbeat.held:
            # The server's pings wait unread; it must not think that the client is dead.
            self._write_now(_PONG_PACKET if self.protocol == 4 else _PING_PACKET)
            heartbeat.restart()
        elif self.protocol == 4 or heartbeat.pong_expected:
            self.end(PING_TIMEOUT)
        else:
            heartbeat.ping_sent()
            self.send(_PING_PACKET)
            self._observer.pinged()

    def _write_now(self, packet: EncodedPacket) -> None:
        if self.state is State.OPEN:
            self.send(packet)
            self.flush()

    def hold(self) -> None:
        """Read no further until ``release``; the server still gets signs of life."""
        if not self.heartbeat.held and self.state is State.OPEN and self.transport is not None:
            self.heartbeat.held = True
            self.heartbeat.pong_expected = False
            self.heartbeat.restart()
            self._host.wake()
            self.transport.hold()

    def release(self) -> None:
        """Read again."""
        if self.heartbeat.held:
            self.heartbeat.held = False
            if self.transport is not None:
                self.heartbeat.restart()
                self.transport.release()

    # -- upgrade --------------------------------------------------------------------------------

    def opened(self, transport: ClientTransport) -> None:
        """A WebSocket is open: one that is to take the session over sends its probe."""
        if transport is self._probe and self.state is State.OPEN:
            transport.send([_PROBE_PACKET])

    def _probe_answered(self, data: str | bytes) -> None:
        probe, transport = self._probe, self.transport
        if probe is None or transport is None or self.upgrading:
            return
        if data != "3probe":
            self._probe_failed(TransportError("probe error", f"the answer was {data[:40]!r}"))
            return
        self.upgrading = True
        self._observer.upgrading(probe)
        transport.pause(self._switch)

    def _switch(self) -> None:
        """Polling has stopped: go on over the new transport."""
        probe, old = self._probe, self.transport
        if probe is None or old is None or self.state is State.CLOSED:
            return
        self._probe = None
        self.transport = probe
        old.abandon()
        if self.heartbeat.held:
            probe.hold()
        probe.send([_UPGRADE_PACKET])
        self._sent = 0
        self.upgrading = False
        self._observer.upgraded(probe)
        self._transport_free()

    def _probe_failed(self, error: TransportError) -> None:
        probe, self._probe = self._probe, None
        if probe is not None:
            probe.abandon()
        self._observer.upgrade_failed(error)
        if self.upgrading:
            self.upgrading = False
            if self.transport is not None:
                self.transport.unpause()
                if self.transport.writable:
                    self._transport_free()
                    return
        self.flush()


def _ignore(data: str | bytes, pos: int) -> None:
    """A message that comes before ``on_message`` was set, or after the end."""
