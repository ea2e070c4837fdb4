"""Sessions: a client's connection across transports, and the upgrade between them.

A session does no I/O and knows no clock. It is given packets by its transport
(``receive``), gives packets to it (``Transport.send``), and tells the floor above what
happened through the callables that were put into ``on_message`` and ``on_close``."""

from __future__ import annotations

import logging
from collections.abc import Callable

from .._log import connections, shown
from ..ids import tag
from ..types import Request
from ..wire import EncodedPacket
from .heartbeat import Heartbeat
from .packet import (
    CLOSE,
    CLOSE_PACKET,
    MESSAGE,
    NOOP_PACKET,
    PING,
    PING_PACKET,
    PONG,
    TYPES,
)
from .payload import decode_base64
from .reasons import (
    FORCED_CLOSE,
    PARSE_ERROR,
    PING_TIMEOUT,
    SLOW_CONSUMER,
    TRANSPORT_CLOSE,
    TRANSPORT_ERROR,
)
from .session_core import CLOSED, CLOSING, OPEN, SessionCore
from .transport import Transport
from .upgrade import Probe

# What may happen in which state. Anything else is a late echo and has no effect.
_TRANSITIONS = {
    (OPEN, "close"): CLOSING,
    (OPEN, "end"): CLOSED,
    (CLOSING, "end"): CLOSED,
}

_NEVER = float("-inf")

HARD_LIMIT = 8
"""How many times ``send_buffer_limit`` may wait for a moment."""

PONG_WEIGHT = 128
"""What an answer to a ping counts beside its text: a client can ask for a million of them."""
TOO_BIG = "over max_http_buffer_size"


class Session(SessionCore):
    """The server's end of an Engine.IO connection (Node: ``engine.Socket``).

    ``protocol`` is the revision, 4 or 3, fixed at the handshake. After construction the
    owner sets ``on_message`` and ``on_close``; ``opened`` starts the heartbeat.

    ``send`` only queues. What was queued leaves in one piece when ``flush`` is called:
    by the front at the end of a read, or by whoever drains the *cork*, a callable that
    is told once about every session that has something to say. A front that flushes at
    the end of a read sets ``corked`` for as long as the read lasts.

    ``confirmed`` is when the last ping was sent that the client has answered: whatever was
    sent before has arrived.
    """

    __slots__ = (
        "_close_reason",
        "_ended",
        "_heartbeat",
        "_late_pongs",
        "_pauses",
        "_pinged",
        "_volatile_waits",
        "__weakref__",
        "confirmed",
        "id",
        "on_close",
        "on_upgrade",
        "probe",
        "protocol",
        "request",
    )

    def __init__(
        self,
        sid: str,
        protocol: int,
        request: Request,
        transport: Transport,
        heartbeat: Heartbeat,
        *,
        cork: Callable[[Session], None],
        ended: Callable[[Session], None],
        send_buffer_limit: int,
        volatile_waits: bool = False,
    ) -> None:
        super().__init__()
        self.id = sid
        self.protocol = protocol
        self.request = request
        self.transport = transport
        self.probe: Probe | None = None
        self.on_message = _ignore_message
        self.on_close: Callable[[Session, str], None] = _ignore_close
        self.on_upgrade: Callable[[], None] | None = None
        self._cork = cork
        self._ended = ended
        self._heartbeat = heartbeat
        self._limit = send_buffer_limit
        self._volatile_waits = volatile_waits
        self._binary_prefix = 1 if protocol == 3 else 0
        self._pauses = 0
        self._pinged = self.confirmed = _NEVER
        self._late_pongs = 0
        self._close_reason = FORCED_CLOSE

    def __repr__(self) -> str:
        return f"<Session revision={self.protocol} {self.transport.name} {self.state}>"

    def opened(self) -> None:
        """Start the heartbeat."""
        heartbeat = self._heartbeat
        (heartbeat.ping if self.protocol == 4 else heartbeat.silence).start(self)

    # -- from the client ------------------------------------------------------------

    def _receive_unusual(self, data: str | bytes) -> None:
        if self.state is not OPEN:
            if self.state is CLOSING and data == CLOSE:
                self._left(self._close_reason)
            return
        if self.observer is not None:
            self.observer.received(data, self._binary_prefix)
        if self._awaiting_pong and not self._ping_extended:
            # A busy uplink can hold back the pong: the first other packet buys time, once.
            self._ping_extended = True
            self._heartbeat.pong.start(self)
        if not isinstance(data, str):
            if not self._binary_prefix or self._check_type(data):
                self.on_message(data, self._binary_prefix)
        elif data[:1] == MESSAGE:
            self.on_message(data, 1)
        else:
            self._control(data)

    def _check_type(self, data: bytes) -> bool:
        if data[:1] == b"\x04":
            return True
        self.end(PARSE_ERROR)
        return False

    def _control(self, data: str) -> None:
        kind = data[:1]
        if kind == "b":
            self._receive_base64(data)
        elif not kind or kind not in TYPES:
            self.end(PARSE_ERROR)
        elif kind == CLOSE:
            self._left(TRANSPORT_CLOSE)
        elif kind == PONG and self.protocol == 4:
            if self._late_pongs:
                self._late_pongs -= 1  # it answers an earlier ping
            elif self._awaiting_pong:
                self.confirmed = self._pinged
            if self._awaiting_pong:  # others would let a flood postpone the next ping
                self._awaiting_pong = False
                self._heartbeat.pong.stop(self)
                self._heartbeat.ping.start(self)
        elif kind == PING and self.protocol == 3:
            self._heartbeat.silence.start(self)
            pong = EncodedPacket(b"3" + data[1:].encode())
            pong.size += PONG_WEIGHT
            self.send(pong)
        elif kind in (PING, PONG):
            self.end(TRANSPORT_ERROR)  # invalid heartbeat direction
        # OPEN, UPGRADE (only a probe can be answered with it) and NOOP mean nothing here.

    def _left(self, reason: str) -> None:
        """The client has said that it goes: its poll is released, not told the same."""
        if self.transport.name == "polling" and self.transport.writable:
            self.transport.send([NOOP_PACKET])
        self.end(reason)

    def _receive_base64(self, data: str) -> None:
        """A client without binary WebSockets writes binary messages as text."""
        skip = self._binary_prefix
        if skip and data[1:2] != MESSAGE:
            self.end(PARSE_ERROR)
            return
        self.on_message(b"\x04"[:skip] + decode_base64(data[1 + skip :]), skip)

    def transport_ended(self, transport: Transport, reason: str) -> None:
        """A transport has gone; only the present one takes the session with it."""
        if transport is self.transport:
            self.end(reason)

    def pause(self) -> None:
        """Stop reading the client; its silence is not held against it meanwhile."""
        if self.state is OPEN:
            self._pauses += 1
            if self._pauses == 1:
                self._heartbeat.forget(self)
                self._heartbeat.pause.start(self)
                if self._awaiting_pong:
                    self._awaiting_pong = False
                    self._late_pongs += 1
                self.transport.pause()

    def resume(self) -> None:
        """Read the client again."""
        if self._pauses and self.state is OPEN:
            self._pauses -= 1
            if not self._pauses:
                self._heartbeat.pause.stop(self)
                self.opened()
                self.transport.resume()

    def note(self, kind: str, text: str = "") -> None:
        """Log what has happened to the client; ``text`` may quote it."""
        self._heartbeat.notes.note(kind, f"{text} ({self.name})" if text else self.name)

    @property
    def name(self) -> str:
        """What the session is called in logs; its id is a credential."""
        client = self.request.client
        return f"connection {tag(self.id)} from {client[0] if client else 'nowhere'}"

    def too_big(self, size: int | None, limit: int) -> str:
        """A message was larger than ``max_http_buffer_size``: log it; the reason of the end."""
        came = f"more than {limit}" if size is None else str(size)
        self.note(TOO_BIG, f"{came} bytes came, {limit} are allowed")
        return TOO_BIG

    @property
    def paused(self) -> bool:
        """Whether the client is not read at present."""
        return self._pauses > 0 and self.state is OPEN

    # -- to the client --------------------------------------------------------------

    def _make_room(self) -> bool:
        if self.transport.writable:
            self.flush()
        elif self.queued > HARD_LIMIT * self._limit:
            self._end_slow(f"{HARD_LIMIT} times {self._limit} are allowed for a moment")
            return False
        elif not self._behind:
            self._behind = True
            self._heartbeat.overflow.start(self)
        return True

    def overflow_timed_out(self) -> None:
        """The client has not read what waited for it."""
        if self.queued > self._limit:
            self._end_slow(f"{self._limit} are allowed")
        self._behind = False

    def _end_slow(self, allowed: str) -> None:
        self.note("over send_buffer_limit", f"{self.queued} bytes wait for the client, {allowed}")
        self.end(SLOW_CONSUMER)

    def send_volatile(self, packet: EncodedPacket) -> None:
        """Send a packet if the client can take it now, drop it otherwise.

        With ``slow_consumer="drop_volatile"`` it may wait while there is room for it.
        """
        if self.transport.writable or (self._volatile_waits and self.queued < self._limit):
            self.send(packet)

    def _flushed(self, last: EncodedPacket) -> None:
        if self._behind:
            self._behind = False
            self._heartbeat.overflow.stop(self)
        if self.on_drain is not None:
            self.on_drain()
        if self._drain_callbacks is not None:
            self._call_drained()
        if self.state is not CLOSING:
            return
        if self.transport.name == "polling" and last is not CLOSE_PACKET:
            self._put(CLOSE_PACKET)  # with the next poll, see close
        else:
            self.end(self._close_reason)

    def when_drained(self, callback: Callable[[], object]) -> None:
        """Call back once, when the queue has been handed over or the session has ended."""
        if self._drain_callbacks is None:
            self._drain_callbacks = []
        self._drain_callbacks.append(callback)

    def _call_drained(self) -> None:
        callbacks, self._drain_callbacks = self._drain_callbacks, None
        for callback in callbacks or ():
            callback()

    def drained(self) -> None:
        """The transport has become writable: send what has waited for it."""
        self.flush()

    def release_poll(self) -> None:
        """Answer a pending poll, so that the client can stop polling and upgrade."""
        if self.transport.writable and not self.waiting:
            self.transport.send([NOOP_PACKET])

    # -- life ---------------------------------------------------------------------------

    def close(self, reason: str = FORCED_CLOSE, *, discard: bool = False) -> None:
        """End the session politely: what is queued is still sent, unless ``discard``."""
        if not self._move("close"):
            return
        self._close_reason = reason
        if discard:
            self._drop()
        if not self.waiting:
            if self.transport.name != "polling":
                self.end(reason)
                return
            # Never behind other packets: Socket.IO 4 clients handle those a moment later,
            # yet the close packet at once, and would miss why they are disconnected.
            self._put(CLOSE_PACKET)
        self._heartbeat.forget(self)
        self._heartbeat.close.start(self)
        self.flush()

    def end(self, reason: str) -> None:
        """End the session now. ``on_close`` is called exactly once, whatever happens."""
        if not self._move("end"):
            return
        if connections.isEnabledFor(logging.INFO):
            connections.info("%s: closed, %s", shown(self.name), shown(reason))
        self._heartbeat.forget(self)
        self._drop()
        if self.probe is not None:
            self.probe.abandon()
        self.transport.close()
        self._ended(self)
        on_close, self.on_close = self.on_close, _ignore_close
        self.on_message = _ignore_message  # the owner refers back to the session
        on_close(self, reason)
        self._call_drained()

    def _move(self, step: str) -> bool:
        state = _TRANSITIONS.get((self.state, step))
        if state is None:
            return False
        self.state = state
        return True

    # -- deadlines ------------------------------------------------------------------------

    def send_ping(self) -> None:
        """It is time for the next ping (revision 4)."""
        self._awaiting_pong = True
        self._ping_extended = False
        self._pinged = self._heartbeat.clock()
        self._heartbeat.pong.start(self)
        self.send(PING_PACKET)

    def ping_timed_out(self) -> None:
        """The client has not shown that it lives, or its handlers have been busy for too long."""
        heartbeat = self._heartbeat
        if self._pauses:
            text = f"its handlers have kept it from being read for {heartbeat.pause.delay:g} s"
            self.note("handlers too busy", text)
        else:
            late = heartbeat.pong if self.protocol == 4 else heartbeat.silence
            self.note("ping_timeout", f"nothing came within {late.delay:g} s")
        self.end(PING_TIMEOUT)

    def close_timed_out(self) -> None:
        """The client has not fetched the end of the session."""
        self.end(self._close_reason)

    # -- upgrade ----------------------------------------------------------------------------

    def start_probe(self, transport: Transport) -> Probe | None:
        """A client opens a second transport; ``None`` if the session cannot upgrade.

        The probe receives what comes over the new transport until it has succeeded.
        """
        if self.state is not OPEN or self.probe is not None or self.transport.name != "polling":
            return None
        self.probe = Probe(transport, self._heartbeat, self.release_poll, self._probe_ended)
        return self.probe

    def _probe_ended(self, transport: Transport, upgraded: bool) -> None:
        self.probe = None
        if not upgraded:
            return
        if self.state is CLOSED:
            transport.close()
            return
        previous, self.transport = self.transport, transport
        if self._pauses:
            previous.resume()
            transport.pause()
        if previous.writable:
            previous.send([NOOP_PACKET])
        previous.close()
        if connections.isEnabledFor(logging.INFO):
            connections.info("%s: upgraded to %s", shown(self.name), shown(transport.name))
        if self.on_upgrade is not None:
            self.on_upgrade()
        if self.waiting == [CLOSE_PACKET]:  # over WebSocket, the end needs no packet
            self.end(self._close_reason)
        self.flush()


def _ignore_message(data: str | bytes, pos: int) -> None:
    """A session whose owner does not listen."""


def _ignore_close(session: Session, reason: str) -> None:
    """A session whose owner does not listen."""
