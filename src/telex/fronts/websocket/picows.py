"""WebSockets on picows, on connections that an HTTP server hands over.

picows takes frames apart. What it leaves to its user is done here: reserved bits, pongs to a
client that does not read, answers to close frames, and how much of one client is handled in a
turn of the loop. ``websocket/messages.py`` puts fragments together, and
``websocket/picows.py`` knows how the protocol class of picows is made.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from typing import Any

from picows import (
    WSCloseCode,
    WSFrame,
    WSListener,
    WSMsgType,
    WSTransport,
    WSUpgradeRequest,
    WSUpgradeResponse,
    WSUpgradeResponseWithListener,
)

from ..._log import logger
from ...engine.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from ...engine.session import TOO_BIG, Session
from ...engine.upgrade import Probe
from ...types import HeaderList
from ...websocket import close
from ...websocket.messages import MAX_FRAGMENTS, MessageAssembler, Violation
from ...websocket.picows import buffer_updated
from ...wire import EncodedPacket
from ..driver import Driver
from .pacing import PacedProtocol

PIECE = 64 * 1024
"""So many bytes are written at a time: what the transport cannot send of them is copied."""

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_PING, _CLOSE = WSMsgType.PING, WSMsgType.CLOSE
_DATA = frozenset((_TEXT, _BINARY, _CONTINUATION))
_EMPTY_CLOSE = b"\x88\x00"


class PicowsWebSocket(WSListener):
    """A WebSocket transport on picows.

    What is sent while a read is handled leaves in one write at its end.
    """

    __slots__ = (
        "_closed",
        "_driver",
        "_early",
        "_frames",
        "_messages",
        "_over_size",
        "_pong",
        "_socket",
        "_stuck",
        "_unsent",
        "_when_written",
        "_write",
        "frames_taken",
        "max_frame_size",
        "paused",
        "reader",
        "receiver",
        "upgrades",
        "writable",
    )

    name = "websocket"

    def __init__(self, driver: Driver, protocol: int, max_size: int) -> None:
        self.writable = True
        self.receiver: Session | Probe | None = None
        self.upgrades: Session | None = None
        self._driver = driver
        self._frames = EncodedPacket.frames3 if protocol == 3 else EncodedPacket.frames
        self.max_frame_size = max_size
        self._closed = False
        self._early: list[str | bytes] | None = []
        self._messages = MessageAssembler(max_size, MAX_FRAGMENTS)
        self._over_size: int | None = None  # picows does not tell it
        self._pong: bytes | None = None
        self._stuck = False  # the transport has enough to write
        self._unsent: deque[memoryview] = deque()
        self._when_written: Callable[[], None] | None = None
        self.reader: PacedProtocol | None = None
        self.frames_taken = 0
        self.paused = False

    # -- Transport ----------------------------------------------------------------------

    def send(self, packets: list[EncodedPacket]) -> None:
        """Write a batch of packets at once."""
        if len(packets) == 1 and packets[0].size < PIECE:
            self._write(self._frames(packets[0]))
        else:
            self._unsent.extend(memoryview(self._frames(packet)) for packet in packets)
            self._write_unsent()

    def _write_unsent(self) -> None:
        """Write what waits as far as the client takes it; the rest stays with its packet.

        A transport copies what it cannot send, so it gets one piece at a time.
        """
        unsent = self._unsent
        while unsent and not self._stuck:
            pieces = [unsent.popleft()]
            size = len(pieces[0])
            while unsent and size + len(unsent[0]) <= PIECE:
                pieces.append(unsent.popleft())
                size += len(pieces[-1])
            if size > PIECE:
                unsent.appendleft(pieces[0][PIECE:])
                pieces[0] = pieces[0][:PIECE]
            self._write(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        if unsent:
            self.writable = False
        elif self._when_written is not None:
            when_written, self._when_written = self._when_written, None
            when_written()

    def _behind_unsent(self, say: Callable[[], None]) -> None:
        """Say something, when what waits has been written."""
        self._when_written = say
        self._write_unsent()

    def close(self) -> None:
        """Send a close frame and wait for the client's."""
        self._close(close.OK)

    def pause(self) -> None:
        """Read no further until ``resume``."""
        self.paused = True
        self._socket.underlying_transport.pause_reading()

    def resume(self) -> None:
        """Read the client again."""
        self.paused = False
        if not self._closed and self.reader is not None:
            self.reader.go_on_soon()

    def _close(self, code: int, text: bytes | None = None) -> None:
        if not self._closed:
            self._closed = True
            self.writable = False
            self._write(b"")  # picows writes past what waits for the first packets
            self._driver.leave(self)
            self._behind_unsent(partial(self._socket.send_close, WSCloseCode(code), text))
            self.paused = False
            if self.reader is not None:
                self.reader.go_on_soon()  # to see the client's close frame

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self._socket.disconnect(graceful=False)

    def leave(self) -> None:
        """The connection is going to be closed, if it has not been lost already."""
        if not self._socket.is_disconnected:
            self._driver.leave(self)

    # -- picows ---------------------------------------------------------------------------

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is complete; its answer leaves with the first packets."""
        door: Any = transport.underlying_transport
        self._socket = transport
        self._write: Callable[[bytes | memoryview], None] = door.first_write

    def answer_handshake(self) -> None:
        """Do not wait for the first packets."""
        self._write(b"")

    def write_to(self, write: Callable[[bytes | memoryview], None]) -> None:
        """Where packets go from now on."""
        self._write = write

    def start(self, receiver: Session | Probe | None, upgrades: Session | None) -> None:
        """Hand everything to ``receiver`` from now on; without one, close."""
        self.receiver = receiver
        self.upgrades = upgrades
        if self._socket.is_close_frame_sent:  # what came with the request was no frame
            self._closed = True
            self.writable = False
        if receiver is None:
            self.close()
        elif isinstance(receiver, Probe):
            self._write(b"")  # the client waits for the answer before it probes
        early, self._early = self._early, None
        for data in early or ():
            self._receive(data)

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come; nearly always it is a whole text message."""
        self.frames_taken += 1
        if self._closed or transport.is_close_frame_sent:  # by us, or by picows
            if frame.msg_type == _CLOSE:
                transport.disconnect()
            return
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            self._close(close.PROTOCOL_ERROR)  # no extension has been agreed on
            return
        kind = frame.msg_type
        if kind == _TEXT and frame.fin and self._messages.fragments is None:
            try:
                data = frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                self._close(close.INVALID_TEXT)
                return
            receiver = self.receiver
            if type(receiver) is Session:
                receiver.corked = True
                try:
                    receiver.receive(data)
                except Exception:
                    logger.exception("a message could not be handled; its connection is closed")
                    self._close(close.INTERNAL_ERROR)
                if frame.last_in_buffer:
                    receiver.flush()
            else:
                self._receive(data)
                if frame.last_in_buffer:
                    self._read_ended()
            return
        self._other_frame(transport, frame, kind)

    def _receive(self, data: str | bytes) -> None:
        receiver = self.receiver
        if self._early is not None:
            self._early.append(data)
        elif isinstance(receiver, Session):
            receiver.receive(data)
        elif receiver is not None and receiver.receive(data):
            self.receiver = self.upgrades

    def _other_frame(self, transport: WSTransport, frame: WSFrame, kind: WSMsgType) -> None:
        if kind == _PING:
            self._answer_ping(frame.get_payload_as_bytes())
        elif kind == _CLOSE:
            self._read_ended()
            self._answer_close(transport, frame)
        elif kind in _DATA:
            self._take(kind, frame)
        if frame.last_in_buffer:
            self._read_ended()

    def _read_ended(self) -> None:
        """Flush what the earlier frames of this read have left to this one."""
        if isinstance(self.receiver, Session):
            self.receiver.flush()

    def _take(self, kind: WSMsgType, frame: WSFrame) -> None:
        """Take a data frame that is no whole text message."""
        try:
            data = self._messages.take(kind.value, frame.fin, frame.get_payload_as_memoryview())
        except Violation as violation:
            self._over_size = violation.size
            too_big = violation.code == close.MESSAGE_TOO_BIG
            self._close(violation.code, TOO_BIG.encode() if too_big else None)
            return
        if data is not None:
            self._receive(data)

    def _answer_close(self, transport: WSTransport, frame: WSFrame) -> None:
        """Send the client's code back, if it may send it (RFC 6455, 7.4), and hang up."""
        self._closed = True
        self.writable = False
        self.leave()
        payload = frame.get_payload_as_bytes()
        mistake = close.mistake_in(payload)
        if not payload:
            # picows would send a code that stands for none.
            say: Callable[[], None] = partial(self._write, _EMPTY_CLOSE)
        elif mistake:
            say = partial(transport.send_close, WSCloseCode(mistake))
        else:
            code: Any = frame.get_close_code()  # any number, whatever its type says
            say = partial(transport.send_close, code, frame.get_close_message())

        def answer() -> None:
            say()
            transport.disconnect()

        self._behind_unsent(answer)

    def _answer_ping(self, payload: bytes) -> None:
        """To a client that does not read, only the newest pong is owed."""
        if self.writable:
            self._write(b"")
            self._socket.send_pong(payload)
        else:
            self._pong = payload

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection has gone."""
        self._driver.gone(self)
        self._closed = True
        self.writable = False
        self._messages.fragments = None
        self._unsent.clear()
        self._when_written = self.reader = None
        handshake: Any = transport.close_handshake  # None if the connection was cut
        asked = handshake and handshake.recv_then_sent
        failed = handshake and handshake.sent and handshake.sent.code in close.VIOLATIONS
        if asked and failed:  # unless the client has called it an error itself
            failed = handshake.recv.code != handshake.sent.code
        receiver, self.receiver, self.upgrades = self.receiver, None, None
        reason = TRANSPORT_ERROR if failed else TRANSPORT_CLOSE
        if failed and handshake.sent.code == close.MESSAGE_TOO_BIG:
            reason = TOO_BIG
            if isinstance(receiver, Session):
                receiver.too_big(self._over_size, self.max_frame_size)
        self._write = _write_nothing  # let go of the connection, which refers back to us
        if receiver is not None:
            receiver.transport_ended(self, reason)

    def pause_writing(self) -> None:
        """The client does not read as fast as we write."""
        self._stuck = True
        self.writable = False

    def resume_writing(self) -> None:
        """The client has read enough."""
        self._stuck = False
        self._write_unsent()
        if self._closed or self._stuck:
            return
        self.writable = True
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self._socket.send_pong(pong)
        if self.receiver is not None:
            self.receiver.drained()


def _write_nothing(data: bytes | memoryview) -> None:
    """Where packets go when the connection has gone."""


class HandshakeBuffer:
    """The connection as picows sees it: the answer to the handshake waits here.

    It leaves in one write with the open packet. Everything else passes through.
    """

    __slots__ = ("_transport", "_websocket", "get_extra_info", "head")

    def __init__(self, transport: asyncio.Transport, websocket: PicowsWebSocket) -> None:
        self._transport = transport
        self.get_extra_info = transport.get_extra_info  # picows asks for much
        self._websocket = websocket
        self.head: bytes | None = b""

    def write(self, data: bytes) -> None:
        """Keep the answer to the handshake; pass on what comes later."""
        if self.head is None:
            self._transport.write(data)
        else:
            self.head += data

    def first_write(self, data: bytes | memoryview) -> None:
        """Write what waits together with the first packets, and get out of the way."""
        head, self.head = self.head or b"", None
        self._websocket.write_to(self._transport.write)
        self._transport.write(b"".join((head, data)))

    def close(self) -> None:
        """Close the connection when the client has read everything, if that is soon."""
        self._websocket.leave()
        self._transport.close()

    def get_write_buffer_size(self) -> int:
        """As of the transport."""
        return self._transport.get_write_buffer_size()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def accept(
    transport: asyncio.Transport,
    key: str,
    headers: HeaderList,
    listener: PicowsWebSocket,
    rest: bytes,
) -> None:
    """Finish the handshake on ``transport`` and hand it over to picows.

    ``rest`` is what the client sent behind its request.
    """

    def create(request: WSUpgradeRequest) -> Any:
        if not headers:
            return listener
        response = WSUpgradeResponse.create_101_response(headers)
        return WSUpgradeResponseWithListener(response, listener)

    protocol = PacedProtocol(listener, transport, create)
    request = (
        "GET / HTTP/1.1\r\nHost: _\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
    ).encode("latin-1")
    protocol.connection_made(HandshakeBuffer(transport, listener))
    transport.set_protocol(protocol)
    protocol.get_buffer(-1)[: len(request)] = request
    buffer_updated(protocol, len(request))
    if rest:
        listener.answer_handshake()  # picows may refuse the rest, past what waits
        protocol.hold(rest)
