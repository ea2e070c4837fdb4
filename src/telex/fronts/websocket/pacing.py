"""picows gets what one client has sent a portion at a time.

It takes apart whatever lies in its buffer: a client with hundreds of kilobytes of the smallest
frames would hold up all others.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from picows import WSUpgradeRequest

from ...websocket.picows import PicowsProtocol, buffer_updated, get_buffer, init_server

FRAMES, BYTES = 64, 256 * 1024
"""How much of one client is handled in a turn of the loop: whichever of both is reached first."""

PORTION, LARGEST_PORTION = 1024, 8192
"""Reads up to this size go straight to picows; of larger ones, so much at a time, and more, up to
the other, within a large frame."""


class PacedListener(Protocol):
    """What takes the frames of one connection."""

    frames_taken: int
    max_frame_size: int
    paused: bool
    reader: PacedProtocol | None

    def leave(self) -> None:
        """The connection is going to be closed."""
        ...


class PacedProtocol(PicowsProtocol):  # type: ignore[misc]  # picows has no types for it
    """picows' protocol, which gets no more of what has come than a turn of the loop may bring.

    A client that has sent more is not read until everything has been handled.
    """

    __slots__ = ("_going_on", "_held", "_listener", "_loop", "_wire")

    def __init__(
        self,
        listener: PacedListener,
        transport: asyncio.Transport,
        make_listener: Callable[[WSUpgradeRequest], Any],
    ) -> None:
        init_server(self, make_listener, listener.max_frame_size)
        self._listener = listener
        self._wire = transport
        self._loop = asyncio.get_running_loop()
        self._held = bytearray()
        self._going_on = False
        listener.reader = self

    def buffer_updated(self, size: int) -> None:
        """So many bytes have been read into the buffer."""
        if size <= PORTION and not self._held:
            buffer_updated(self, size)
        else:
            self.hold(get_buffer(self, -1)[:size])

    def eof_received(self) -> bool:
        """The client sends no more: what it does not read soon is dropped."""
        wire = self._wire
        # Without TLS, and with nothing to be sent, the transport closes at once.
        if wire.get_write_buffer_size() or wire.get_extra_info("sslcontext") is not None:
            self._listener.leave()
        return False

    def hold(self, data: bytes | memoryview) -> None:
        """Bytes have come that may be too many for this turn."""
        self._held += data
        if not self._going_on:
            self._go_on()

    def go_on_soon(self) -> None:
        """The client is read again in the next turn, after what it has sent already."""
        if not self._going_on:
            self._going_on = True
            self._loop.call_soon(self._go_on)

    def _go_on(self) -> None:
        self._going_on = False
        listener, held = self._listener, self._held
        if not held:
            if not (listener.paused or self._wire.is_closing()):
                self._wire.resume_reading()
            return
        last = listener.frames_taken + FRAMES
        done, most, portion = 0, min(len(held), BYTES), PORTION
        while done < most and listener.frames_taken < last and not listener.paused:
            taken = listener.frames_taken
            buffer = get_buffer(self, -1)
            size = min(len(buffer), portion, most - done)
            buffer[:size] = held[done : done + size]
            done += size
            buffer_updated(self, size)
            portion = PORTION if listener.frames_taken > taken else LARGEST_PORTION
        del held[:done]
        if not self._wire.is_closing():  # uvloop would read again in this turn
            self._wire.pause_reading()
        if not listener.paused:
            self.go_on_soon()

    def connection_lost(self, exc: Exception | None) -> None:
        """What has not been handled is lost with the connection."""
        self._held = bytearray()
        PicowsProtocol.connection_lost(self, exc)
