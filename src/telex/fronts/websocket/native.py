"""The fast WebSocket on sockets of our own, where the compiled part of telex is there.

``native/websocket.c`` reads, writes and takes frames apart; here is what they mean. The connection
leaves the HTTP server's event loop transport with a descriptor of its own: an idle client
then costs this object and no buffer.
"""

from __future__ import annotations

import asyncio
import os
from binascii import b2a_base64
from functools import partial
from hashlib import sha1
from weakref import finalize

from ..._log import logger
from ...engine.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from ...engine.session import TOO_BIG, Session
from ...engine.upgrade import Probe
from ...native._telex import Reactor, WebSocketConnection, configure
from ...types import HeaderList
from ...websocket import close
from ...websocket.messages import MAX_FRAGMENTS
from ...wire import EncodedPacket
from ..driver import Driver

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_HEAD = (
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: %b\r\n%b\r\n"
)


class Watch:
    """What one driver's loop watches for its WebSockets; the loop knows it while there are any."""

    __slots__ = ("_driver", "_open", "loop", "reactor")

    def __init__(self, driver: Driver, loop: asyncio.AbstractEventLoop) -> None:
        self._driver = driver
        self._open: set[NativeWebSocket] = set()
        self.loop = loop
        self.reactor = Reactor()

    def opened(self, websocket: NativeWebSocket) -> None:
        """A WebSocket has been opened."""
        self._open.add(websocket)
        if self.reactor.count > 1:
            return
        poll = partial(self.reactor.poll)
        # Only the loop holds this object: it goes when the loop is closed.
        finalize(poll, _drop, self._open).atexit = False
        # Not in the context of the client that happens to be the first.
        context = self._driver.context
        context.run(self.loop.add_reader, self.reactor.fileno(), poll)

    def closed(self, websocket: NativeWebSocket) -> None:
        """A WebSocket has been closed. When it was the last, nothing stays open."""
        self._open.discard(websocket)
        if self.reactor.count:
            return
        if not self.loop.is_closed():
            self.loop.remove_reader(self.reactor.fileno())
        if self._driver.watch is self:
            self._driver.watch = None


def _drop(websockets: set[NativeWebSocket]) -> None:
    """Close connections that nothing reads any more, because their loop is closed."""
    while websockets:
        websockets.pop().drop()


class NativeWebSocket(WebSocketConnection):
    """A WebSocket transport on a socket of its own.

    What is sent while a read is handled leaves in one write at its end.
    """

    __slots__ = (
        "_closed",
        "_driver",
        "_pong",
        "_reason",
        "_rest",
        "_watch",
        "receiver",
        "upgrades",
    )

    name = "websocket"

    def __init__(self, driver: Driver, watch: Watch, rest: bytes) -> None:
        self.receiver: Session | Probe | None = None
        self.upgrades: Session | None = None
        self._driver = driver
        self._watch = watch
        self._rest: bytes | None = rest
        self._closed = False
        self._reason = TRANSPORT_CLOSE
        self._pong: bytes | None = None

    # -- Transport ----------------------------------------------------------------------

    def close(self) -> None:
        """Send a close frame and wait for the client's."""
        self._close(close.OK)

    def _close(self, code: int, text: bytes = b"") -> None:
        if self._closed:
            return
        self._closed = True
        self.writable = False
        self.discard_input = True
        if code in close.VIOLATIONS:
            self._reason = TRANSPORT_ERROR
        self.write(bytes((0x88, 2 + len(text))) + code.to_bytes(2, "big") + text)
        self.resume()  # to see the client's close frame
        self._driver.leave(self)

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self._hang_up(drop=True)

    def _hang_up(self, *, drop: bool = False) -> None:
        if self.finish(drop=drop):
            self._watch.closed(self)
            self._watch.loop.call_soon(self._gone)
        elif not drop:  # it waits for the client to read
            self._driver.leave(self)

    def drop(self) -> None:
        """Close the connection without a word, because its loop is closed."""
        self.finish(drop=True)
        self._closed = True
        self._driver.gone(self)

    # -- the connection -------------------------------------------------------------------

    def start(self, receiver: Session | Probe | None, upgrades: Session | None) -> None:
        """Hand everything to ``receiver`` from now on; without one, close."""
        self.receiver = receiver
        self.upgrades = upgrades
        if receiver is None:
            self.close()
        elif isinstance(receiver, Session):
            self.session = receiver
        else:
            self.write(b"")  # the client waits for the answer before it probes
        if self._rest:
            self.feed(self._rest)
        self._rest = None

    def on_message(self, data: str | bytes) -> None:
        """A message for a probe."""
        receiver = self.receiver
        if isinstance(receiver, Probe) and receiver.receive(data):
            self.receiver = self.session = self.upgrades

    def on_ping(self, payload: bytes) -> None:
        """Answer; to a client that does not read, only the newest pong is owed."""
        if self.writable:
            self.write(bytes((0x8A, len(payload))) + payload)
        else:
            self._pong = payload

    def on_close(self, payload: bytes) -> None:
        """Send the client's code back, if it may send it (RFC 6455, 7.4), and hang up."""
        if not self._closed:
            if isinstance(self.receiver, Session):
                self.receiver.flush()
            self._closed = True
            self.writable = False
            mistake = close.mistake_in(payload)
            if mistake:
                self._reason = TRANSPORT_ERROR
                payload = mistake.to_bytes(2, "big")
            self.write(bytes((0x88, len(payload))) + payload)
        self._hang_up()

    def on_violation(self, code: int, size: int) -> None:
        """The client has broken the protocol; nobody waits for its close frame."""
        receiver = self.receiver
        if isinstance(receiver, Session) and self._rest is None:
            receiver.flush()  # what came before is answered
        self._close(code, TOO_BIG.encode() if code == close.MESSAGE_TOO_BIG else b"")
        if isinstance(receiver, Session) and code == close.MESSAGE_TOO_BIG:
            self._reason = receiver.too_big(size, self._driver.max_size)
        self._tell()

    def on_error(self, error: Exception) -> None:
        """A message could not be handled."""
        logger.error("a message could not be handled; its connection is closed", exc_info=error)
        self._close(close.INTERNAL_ERROR)

    def on_writable(self) -> None:
        """The client has read enough."""
        if self._closed:
            return
        self.writable = True
        if self._pong is not None:
            pong, self._pong = self._pong, None
            self.on_ping(pong)
        if self.receiver is not None:
            self.receiver.drained()

    def on_lost(self) -> None:
        """The connection has gone."""
        self._watch.closed(self)
        self._gone()

    def _gone(self) -> None:
        self._driver.gone(self)
        self._closed = True
        self.writable = False
        self._tell()

    def _tell(self) -> None:
        receiver, self.receiver, self.upgrades, self.session = self.receiver, None, None, None
        if receiver is not None:
            receiver.transport_ended(self, self._reason)


configure("websocket", WebSocket=NativeWebSocket, Packet=EncodedPacket, max_fragments=MAX_FRAGMENTS)


class _Nobody(asyncio.Protocol):
    """Where a transport's events go when its connection has another descriptor."""


_NOBODY = _Nobody()


def accept(
    driver: Driver,
    transport: asyncio.Transport,
    key: bytes,
    headers: HeaderList,
    revision: int,
    max_size: int,
    rest: bytes,
) -> NativeWebSocket | None:
    """Finish a handshake and take the connection over; ``None`` if that is not possible here.

    ``rest`` is what the client sent behind its request.
    """
    loop = driver.loop
    sock = transport.get_extra_info("socket")
    if (
        loop is None
        or sock is None
        or transport.get_extra_info("sslcontext") is not None
        or transport.get_write_buffer_size()
    ):
        return None
    watch = driver.watch
    if not isinstance(watch, Watch) or watch.loop is not loop:
        watch = driver.watch = Watch(driver, loop)
    answer = b2a_base64(sha1(key + _GUID).digest(), newline=False)
    lines = b""
    if headers:
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers]).encode("latin-1")
    head = _HEAD % (answer, lines)
    frames = EncodedPacket.frames3 if revision == 3 else None
    websocket = NativeWebSocket(driver, watch, rest)
    try:
        fd = os.dup(sock.fileno())
    except OSError:  # no descriptor is free: the connection stays where it is
        return None
    try:
        websocket.open(watch.reactor, fd, head, frames, max_size)
    except BaseException:
        os.close(fd)
        raise
    watch.opened(websocket)
    transport.set_protocol(_NOBODY)
    transport.abort()
    return websocket
