"""uvicorn's protocols get what one client has sent a portion at a time.

They take apart all that has come with one read, and inflate it: hundreds of kilobytes of the
smallest messages or requests, or of messages that compress well, would hold up every other
client for seconds. ``Pacer`` is for WebSockets, ``RequestPacer`` for HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sized
from typing import Any, cast

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

FRAMES = 64
"""How many frames of one client its host gets in a turn of the loop."""

BYTES = 1024 * 1024
"""… and how many bytes, as they may be when they have been inflated."""

RATIO = 1032
"""How many bytes a compressed one can stand for (zlib: "Maximum Compression Factor")."""

REQUEST_PORTION, BODY_PORTION = 1024, 4096
"""How many bytes of HTTP are parsed at a time: if requests begin among them, and if none does."""


class Pacer(asyncio.Protocol):
    """Stands between a transport and the host's protocol: to each of them it is the other.

    What is too much for a turn of the loop waits here, and the client is not read meanwhile.
    Nor is anything handed on while the protocol has paused reading.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._protocol: Any = None
        self._held = bytearray()
        self._left = 0  # of the frame whose beginning has been handed on
        self._factor = 1  # of the message that is being handed on
        self._wanted = True
        self._soon = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    # -- the transport, for the host's protocol ---------------------------------------------

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """This protocol gets what comes from now on."""
        self._protocol = protocol
        self._transport.set_protocol(self)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The host's protocol."""
        protocol: asyncio.BaseProtocol = self._protocol
        return protocol

    def pause_reading(self) -> None:
        """The protocol wants nothing more for now."""
        self._wanted = False
        self._read(False)

    def resume_reading(self) -> None:
        """The protocol wants more: what has waited first, in a later turn."""
        self._wanted = True
        if not self._held:
            self._read(True)
        elif not self._soon:
            self._soon = True
            self._loop.call_soon(self._go_on)

    # -- the protocol, for the transport ------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Hold what has come, and hand on a portion."""
        self._held += data
        if not self._soon:
            self._go_on()

    def eof_received(self) -> bool | None:
        """The client sends no more."""
        keep_open: bool | None = self._protocol.eof_received()
        return keep_open

    def connection_lost(self, exc: Exception | None) -> None:
        """What has waited is lost with the connection."""
        self._held.clear()
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """The client does not read as fast as it is written to."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """The client has read enough."""
        self._protocol.resume_writing()

    # -- portions -----------------------------------------------------------------------------

    def _read(self, wanted: bool) -> None:
        if not self._transport.is_closing():
            (self._transport.resume_reading if wanted else self._transport.pause_reading)()

    def _go_on(self) -> None:
        self._soon = False
        if not self._wanted:
            return
        size = self._portion()
        portion = bytes(self._held[:size])
        del self._held[:size]
        if portion:
            self._protocol.data_received(portion)
        if not portion:
            self._read(True)  # for the rest of the head of a frame
        elif self._wanted:
            if self._held:
                self._read(False)
            self.resume_reading()

    def _portion(self) -> int:
        """How many bytes may be handed on now, of those that wait."""
        held = self._held
        end = frames = cost = 0
        while end < len(held) and frames < FRAMES and cost < BYTES:
            if not self._left:
                head = held[end : end + 10]
                size = _size_of(head)
                if size is None:
                    break
                if head[0] & 8 == 0 and head[0] & 15:  # the first frame of a message
                    self._factor = RATIO if head[0] & 0x40 else 1
                self._left = size
                frames += 1
            part = min(self._left, len(held) - end)
            self._left -= part
            end += part
            cost += part * self._factor
        return end


class RequestPacer:
    """Feeds the HTTP parser of one connection while no request waits for an answer to another.

    What is more than a portion is held, and the client is not read meanwhile. So no more
    requests are parsed in a turn of the loop, or wait in uvicorn's ``pipeline``, than a portion
    holds. For uvicorn's ``FlowControl`` it is the transport.
    """

    __slots__ = ("_feed", "_loop", "_pipeline", "_soon", "_transport", "_wanted", "begun", "held")

    def __init__(
        self,
        transport: asyncio.Transport,
        loop: asyncio.AbstractEventLoop,
        feed: Callable[[bytes], None],
        pipeline: Sized,
    ) -> None:
        self._transport = transport
        self._loop = loop
        self._feed: Callable[[bytes], None] | None = feed
        self._pipeline = pipeline
        self._wanted = True
        self._soon = False
        self.begun = 0
        """How many requests have begun, for the protocol to count."""
        self.held = bytearray()
        """What has come and has not been parsed."""

    def receive(self, data: bytes) -> None:
        """Feed the parser with what has come, now or later."""
        if self._feed is None:
            return
        if len(data) <= REQUEST_PORTION and not (self.held or self._pipeline):
            self._feed(data)
            return
        self.held += data
        if not self._soon:
            self._parse()

    def pause_reading(self) -> None:
        """Feed nothing more for now: a request waits, or its body is not consumed."""
        self._wanted = False
        self._transport.pause_reading()

    def resume_reading(self) -> None:
        """Feed the parser again: what is held first, in a later turn."""
        self._wanted = True
        if self.held:
            self.go_on()
        elif not self._transport.is_closing():
            self._transport.resume_reading()

    def go_on(self) -> None:
        """Feed what is held in a later turn."""
        if self.held and not self._soon:
            self._soon = True
            self._loop.call_soon(self._parse)

    def take(self) -> bytes:
        """What is held: it is not for the parser."""
        data = bytes(self.held)
        self.held.clear()
        return data

    def stop(self) -> None:
        """Feed nothing any more."""
        self._feed = None
        self.held.clear()

    def _parse(self) -> None:
        self._soon = False
        held, portion = self.held, REQUEST_PORTION
        while held and self._feed is not None and self._wanted and not self._pipeline:
            begun = self.begun
            data = bytes(held[:portion])
            del held[:portion]
            self._feed(data)
            portion = REQUEST_PORTION if self.begun > begun else BODY_PORTION
        if self._feed is None or self._transport.is_closing():
            return
        if held:
            self._transport.pause_reading()
        elif self._wanted:
            self._transport.resume_reading()


def _size_of(head: bytearray) -> int | None:
    """The size of a frame with its head; ``None`` if too little of that has come."""
    if len(head) < 2:
        return None
    size = head[1] & 0x7F
    begin = 6 if head[1] & 0x80 else 2
    if size < 126:
        return begin + size
    extended = 2 if size == 126 else 8
    if len(head) < 2 + extended:
        return None
    return begin + extended + int.from_bytes(head[2 : 2 + extended], "big")


def pace(receive: Any) -> None:
    """Pace a connection of uvicorn that did not begin at ours (``FastHttpProtocol``).

    Its protocol for WebSockets gives applications a method of its own. With other hosts, and
    behind a middleware that replaces ``receive``, the host's own limits apply.
    """
    protocol = getattr(receive, "__self__", None)
    if not isinstance(protocol, WebSocketsSansIOProtocol):
        return
    transport = protocol.transport
    if not isinstance(transport, Pacer) and transport.get_protocol() is protocol:
        pacer = Pacer(transport)
        protocol.transport = cast("asyncio.Transport", pacer)
        pacer.set_protocol(protocol)
