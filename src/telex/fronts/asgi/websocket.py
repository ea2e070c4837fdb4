"""A WebSocket given by an ASGI host, as a transport."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from ...engine.reasons import TRANSPORT_CLOSE, TRANSPORT_ERROR
from ...engine.session import TOO_BIG, Session
from ...engine.upgrade import Probe
from ...wire import EncodedPacket
from ..driver import Driver

Message = MutableMapping[str, Any]


MESSAGE_TOO_BIG = 1009

MESSAGES, BYTES = 64, 1024 * 1024
"""How much of one client is handled in a turn of the loop: whichever of both is reached first."""


class AsgiWebSocket:
    """Writes one batch at a time: not writable while the host holds it back."""

    __slots__ = (
        "_begin",
        "_close_code",
        "_closed",
        "_driver",
        "_hung_up",
        "_prefix",
        "_readable",
        "_reading",
        "_send",
        "_writer",
        "receiver",
    )

    name = "websocket"

    def __init__(
        self,
        send: Callable[[Message], Awaitable[None]],
        driver: Driver,
        protocol: int,
    ) -> None:
        # Engine.IO 3: binary messages begin with their packet type.
        self._prefix = b"\x04" if protocol == 3 else b""
        self._send = send
        self._begin = driver.begin
        self._driver = driver
        self._hung_up = False
        self._reading: asyncio.Task[Any] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._readable = asyncio.Event()
        self._readable.set()
        self._closed = False
        self._close_code: int | None = None
        self.receiver: Session | Probe | None = None

    # -- Transport ------------------------------------------------------------------------

    @property
    def writable(self) -> bool:
        """Whether the host has taken everything."""
        return self._writer is None and not self._closed

    def send(self, packets: list[EncodedPacket]) -> None:
        """Write a batch."""
        messages: list[Message] = []
        for packet in packets:
            for data in packet.messages():
                if isinstance(data, str):
                    messages.append({"type": "websocket.send", "text": data})
                else:
                    messages.append({"type": "websocket.send", "bytes": self._prefix + data})
        self._start(messages)

    def close(self, code: int = 1000) -> None:
        """Send a close frame after what is being written."""
        if self._closed:
            return
        self._closed = True
        self._readable.set()
        self._close_code = code
        if self._writer is None:
            self._start([])
        self._driver.leave(self)

    def hang_up(self) -> None:
        """Wait no longer for the client: the host closes the connection of a call that returns."""
        self._hung_up = True
        for task in (self._writer, self._reading):
            if task is not None:
                task.cancel()

    def pause(self) -> None:
        """Take nothing more from the host until ``resume``."""
        self._readable.clear()

    def resume(self) -> None:
        """Read the client again."""
        self._readable.set()

    def _start(self, messages: list[Message]) -> None:
        self._writer = self._begin(self._write(messages))

    async def _write(self, messages: list[Message]) -> None:
        try:
            for message in messages:
                await self._send(message)
            if self._close_code is not None:
                reason = TOO_BIG if self._close_code == MESSAGE_TOO_BIG else ""
                close = {"type": "websocket.close", "code": self._close_code, "reason": reason}
                await self._send(close)
        except Exception:  # the host's way to say that the client has gone; read() notices
            self._closed = True
        if self._writer is not None:  # the host has held it back
            self._writer = None
            if self.receiver is not None and not self._closed:
                self.receiver.drained()

    # -- reading --------------------------------------------------------------------------

    async def read(
        self,
        receive: Callable[[], Awaitable[Message]],
        receiver: Session | Probe | None,
        session: Session | None,
        limit: int,
    ) -> None:
        """Hand every message to ``receiver`` until the client has gone.

        A probe that succeeds makes way for the ``session`` that it belongs to.
        """
        self.receiver = receiver
        self._reading = task = asyncio.current_task()
        if receiver is None:
            self.close()
        reason = TRANSPORT_ERROR
        try:
            reason = await self._read(receive, session, limit)
        except asyncio.CancelledError:
            if not self._hung_up or task is None:
                raise
            task.uncancel()
        finally:  # also when the host cancels us
            self._closed = True
            self._reading = None
            self._driver.left(self)
            if self.receiver is not None:
                self.receiver.transport_ended(self, reason)

    async def _read(
        self, receive: Callable[[], Awaitable[Message]], session: Session | None, limit: int
    ) -> str:
        """Read to the end; the reason with which the session ends."""
        reason = TRANSPORT_CLOSE
        messages = size = 0
        while True:
            if messages >= MESSAGES or size >= BYTES:
                messages = size = 0
                await asyncio.sleep(0)  # what has come is there already: nothing else would wait
            await self._readable.wait()
            message = await receive()
            if message["type"] != "websocket.receive":
                if message.get("code") == MESSAGE_TOO_BIG and not self._closed:
                    # The host, which has a limit of its own, or the client: it does not say which.
                    reason = TRANSPORT_ERROR
                break
            messages += 1
            if self._closed or self.receiver is None:
                continue
            text = message.get("text")
            data: str | bytes = message["bytes"] if text is None else text
            size += len(data)
            if _size(data) > limit:
                if isinstance(self.receiver, Session):
                    reason = self.receiver.too_big(_size(data), limit)
                else:
                    reason = TOO_BIG
                self.close(MESSAGE_TOO_BIG)
                continue  # until the close frame has been sent and answered
            if isinstance(self.receiver, Session):
                self.receiver.receive(data)
            elif self.receiver.receive(data):
                self.receiver = session
        return reason


def _size(data: str | bytes) -> int:
    if isinstance(data, bytes) or data.isascii():
        return len(data)
    return len(data.encode())
