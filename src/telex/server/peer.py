"""Delivering packets to one client of a namespace, and waiting for its acknowledgements."""

from __future__ import annotations

import asyncio
from enum import StrEnum
from typing import Any

from ..adapter.base import Sessions
from ..errors import Disconnected, PacketError
from ..events.answering import Answering, Deliver
from ..events.listeners import Listening
from ..events.pending_acks import AckCallback, PendingAcks
from ..events.runtime import Runtime
from ..loop.results import Completion
from ..parser.packet import CONNECT_ERROR, ack_arguments
from ..wire import EncodedPacket
from .socket_host import SocketClient, SocketNamespace

HIGH_WATER = 64 * 1024
"""Above so many queued bytes an awaited ``emit`` waits until the client has read."""


class SocketState(StrEnum):
    """Whether a client is in a namespace."""

    PENDING = "pending"
    """The middlewares have not decided yet."""
    CONNECTED = "connected"
    DISCONNECTED = "disconnected"


# Names of the module, because the state is compared for every packet.
PENDING: SocketState = SocketState.PENDING
CONNECTED: SocketState = SocketState.CONNECTED
DISCONNECTED: SocketState = SocketState.DISCONNECTED


class SocketPeer(Listening, Answering):
    """A socket as its adapter sees it: what packets go to, and acknowledgements come from.

    ``deliver`` is what a packet is given to; it is exchanged when the state changes, or what has
    to be done with packets.
    """

    __slots__ = (
        "_acks",
        "_early",
        "_encode",
        "_log",
        "_nsp_name",
        "_runtime",
        "_sent",
        "_session",
        "client",
        "deliver",
        "id",
        "nsp",
        "state",
    )

    deliver: Deliver
    state: SocketState

    def __init__(
        self, sid: str, nsp: SocketNamespace[Any], client: SocketClient[Any], runtime: Runtime
    ) -> None:
        self.id = sid
        self.nsp = nsp
        self.client = client
        self.state = PENDING
        self.deliver = self._deliver_later
        self._outgoing = None
        self._session = client.session
        self._runtime = runtime
        self._encode = runtime.parser.encode
        self._nsp_name = nsp.name
        self._log: Sessions | None = nsp.adapter.sessions if client.revision == 5 else None
        self._early: list[tuple[EncodedPacket, bool]] | None = None
        self._acks: PendingAcks | None = None
        self._sent: Completion | None = None

    # -- delivering ---------------------------------------------------------------------

    def _deliver_later(self, packet: EncodedPacket) -> None:
        """Keep a packet that is emitted before the socket is accepted, until it is."""
        self._wait_for_acceptance(packet, needs_offset=False)

    def _wait_for_acceptance(self, packet: EncodedPacket, *, needs_offset: bool) -> None:
        if self._early is None:
            self._early = []
        self._early.append((packet, needs_offset))

    def _deliver_now(self) -> None:
        """Send packets at once from now on, those first that have waited for acceptance."""
        if self._outgoing is not None:
            self.deliver = self._deliver_watched
        elif self._log is None and self.nsp.adapter.sessions is not None:
            self.deliver = self._deliver_readable
        else:
            self.deliver = self._session.send
        early, self._early = self._early, None
        for packet, needs_offset in early or ():
            if needs_offset and packet.event is not None and self._log is not None:
                event = packet.event
                packet = self._log.encode(event, self.id, compress=packet.compress)
                packet.event = event
            self.deliver(packet)

    def _deliver_watched(self, packet: EncodedPacket) -> None:
        """Show a packet to the outgoing listeners, then send it."""
        self._show(packet)
        self._session.send(self._readable(packet))

    def _deliver_readable(self, packet: EncodedPacket) -> None:
        self._session.send(self._readable(packet))

    def _readable(self, packet: EncodedPacket) -> EncodedPacket:
        """Take the offset off for clients of Socket.IO 1 and 2: they know of none."""
        if self._log is None:
            return packet.without_offset(self.nsp.parts.encode_plain)
        return packet

    def _show(self, packet: EncodedPacket) -> None:
        if packet.event is not None:
            self.show_outgoing(packet.event)

    def watch_outgoing(self) -> None:
        """Show packets to the listeners of ``on_any_outgoing`` from now on."""
        if self.state is CONNECTED and self.deliver is not drop_packet:
            self.deliver = self._deliver_watched

    def deliver_volatile(self, packet: EncodedPacket) -> None:
        """Send a packet if the client can take it now, drop it otherwise."""
        if self.state is not CONNECTED or self.deliver is drop_packet:
            return
        if self._outgoing is not None:
            self._show(packet)
        self._session.send_volatile(self._readable(packet))

    async def wait_writable(self) -> None:
        """Wait until the client has taken enough of what is queued for it."""
        session = self._session
        if session.queued > HIGH_WATER:
            session.flush()
        while session.queued > HIGH_WATER and self.state is CONNECTED:
            drained = asyncio.Event()
            session.when_drained(drained.set)
            await drained.wait()

    def _remember_sent(self) -> Completion:
        self._sent = Completion(self, self.wait_writable)
        return self._sent

    def silence(self) -> None:
        """Send nothing any more: the socket is one of many that are going to be disconnected."""
        self.deliver = drop_packet

    # -- acknowledgements of the client -------------------------------------------------

    def expect(self, ack_id: int, settle: AckCallback, timeout: float | None = None) -> None:
        """Call ``settle`` with the client's answer to ``ack_id``, or with what came instead.

        That is ``AckTimeout`` after ``timeout`` seconds, or ``Disconnected``.
        """
        if self.state is DISCONNECTED:
            settle(None, Disconnected("the socket is not connected"))
            return
        if self._acks is None:
            self._acks = PendingAcks(self._runtime)
        self._acks.expect(ack_id, settle, timeout=timeout)
        self.dispatch.read_on()

    def forget(self, ack_id: int) -> None:
        """Wait no more for the answer to ``ack_id``."""
        if self._acks is not None:
            self._acks.forget(ack_id)

    @property
    def expects_answers(self) -> bool:
        """Whether the client owes acknowledgements."""
        return self._acks is not None and len(self._acks) > 0

    def receive_ack(self, ack_id: int | None, text: str | None, data: Any) -> None:
        """Handle an ACK packet; an id that no acknowledgement is expected for is ignored."""
        if text is not None:
            data = self._runtime.parser.loads(text)
        elif data is None and ack_id is None:
            return
        args = ack_arguments(data)
        if self._acks is not None and ack_id is not None:
            self._acks.settle(ack_id, args)

    # -- what the client emits ----------------------------------------------------------

    def refused(self, error: Exception) -> None:
        """Report a refused event; clients of Socket.IO 1 and 2 are told, too."""
        self.dispatch.fire("error", error)
        if self.client.revision == 4:
            data = getattr(error, "data", None)
            answer = str(error) if data is None else data
            self.deliver(self._encode(CONNECT_ERROR, self.nsp.name, answer))

    def unhandled(self, event: Any) -> None:
        """Tell the namespace of an event without a handler, which may have one elsewhere."""
        self.nsp.unhandled(event)

    def decode_failed(self, error: PacketError) -> None:
        """Report what cannot be decoded, before the connection is closed."""
        self.dispatch.fire("error", error)


def drop_packet(packet: EncodedPacket) -> None:
    """Take what is emitted to a socket that has left."""
