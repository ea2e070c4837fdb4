"""What passes a session: a packet in, a packet out. Every message goes through here.

There is a compiled form, too (``native/session_core.c``), which is used where it is there."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from ..native import core
from ..wire import EncodedPacket
from .packet import MESSAGE
from .transport import PacketObserver, Transport

OPEN, CLOSING, CLOSED = "open", "closing", "closed"


class SessionCore:
    """The part of a session that packets pass.

    What is not usual is left to the session: ``_receive_unusual``, ``_control``,
    ``_check_type``, ``_make_room``, ``_flushed``. Where there is a compiled part,
    ``fast_dispatch`` takes events of the namespace ``/``, and ``fast_dispatches`` has what
    takes those of others.
    """

    __slots__ = (
        "_awaiting_pong",
        "_behind",
        "_binary_prefix",
        "_buffer",
        "_cork",
        "_drain_callbacks",
        "_limit",
        "_ping_extended",
        "corked",
        "fast_dispatch",
        "fast_dispatches",
        "observer",
        "on_drain",
        "on_message",
        "queued",
        "state",
        "transport",
    )

    def __init__(self) -> None:
        self.state = OPEN
        self.transport: Transport
        self.observer: PacketObserver | None = None
        self.on_message: Callable[[str | bytes, int], None]
        self.on_drain: Callable[[], None] | None = None
        self.fast_dispatch: object = None
        self.fast_dispatches: dict[str, object] | None = None
        self.queued = 0
        self.corked = False
        self._buffer: list[EncodedPacket] = []
        self._cork: Callable[[Any], None]
        self._limit = 0
        self._drain_callbacks: list[Callable[[], object]] | None = None
        self._binary_prefix = 0
        self._awaiting_pong = False
        self._ping_extended = False
        self._behind = False

    # -- from the client ------------------------------------------------------------

    def receive(self, data: str | bytes) -> None:
        """Take one packet: a WebSocket message, or an item of a polling payload.

        Binary messages of revision 3 begin with their type byte. Packets that come when
        the session is not open are dropped.
        """
        if self.state is not OPEN or self.observer is not None or self._awaiting_pong:
            self._receive_unusual(data)
        elif isinstance(data, str):
            if data[:1] == MESSAGE:
                self.on_message(data, 1)
            else:
                self._control(data)
        elif not self._binary_prefix:
            self.on_message(data, 0)
        elif self._check_type(data):
            self.on_message(data, 1)

    def _receive_unusual(self, data: str | bytes) -> None:
        """The session is not open, is observed, or waits for a pong."""
        raise NotImplementedError

    def _control(self, data: str) -> None:
        """A packet that is no message."""
        raise NotImplementedError

    def _check_type(self, data: bytes) -> bool:
        """Whether a binary message of revision 3 begins as it must; if not, all is over."""
        raise NotImplementedError

    # -- to the client --------------------------------------------------------------

    def send(self, packet: EncodedPacket) -> None:
        """Queue a packet. It is dropped if the session is not open any more.

        When more than ``send_buffer_limit`` bytes wait for a client, it has a moment to
        read (a burst of ours is not its fault); then, or past ``HARD_LIMIT`` times the
        limit, it is disconnected.
        """
        if self.state is not OPEN:
            return
        if self.observer is not None:
            self.observer.created(packet)
        if self.queued > self._limit and not self._make_room():
            return
        self._buffer.append(packet)  # as _put does, without a call
        self.queued += packet.size
        if not self.corked:
            self.corked = True
            try:
                self._cork(self)
            except BaseException:
                self.corked = False  # the next packet tells the cork again
                raise

    def _make_room(self) -> bool:
        """More than the limit waits: whether one more packet may wait, too."""
        raise NotImplementedError

    def flush(self) -> None:
        """Hand what is queued to the transport, if it can take it."""
        self.corked = False
        if self._buffer and self.transport.writable:
            packets, self._buffer = self._buffer, []
            self.queued = 0
            self.transport.send(packets)
            if (
                self._behind
                or self.on_drain is not None
                or self._drain_callbacks is not None
                or self.state is not OPEN
            ):
                self._flushed(packets[-1])

    def _flushed(self, last: EncodedPacket) -> None:
        """A batch has been handed over, and a callback waits for that."""
        raise NotImplementedError

    # -- what waits -----------------------------------------------------------------

    @property
    def waiting(self) -> list[EncodedPacket]:
        """The packets that wait, in their order."""
        return self._buffer[:]

    def _put(self, packet: EncodedPacket) -> None:
        """Queue a packet, whatever the state."""
        self._buffer.append(packet)
        self.queued += packet.size

    def _drop(self) -> None:
        """Forget what is queued."""
        self._buffer.clear()


if not TYPE_CHECKING and core is not None:
    core.configure("session", SessionCore=SessionCore, open=OPEN)
    SessionCore = core.SessionCore
