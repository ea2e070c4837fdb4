"""The end of an HTTP connection: an answer that closes it still has to reach the client.

Both classes close as RFC 9112, 9.6 asks (a *lingering close*): first the writing side, then,
when the client has gone or ``CLOSE_TIMEOUT`` is over, the rest.
"""

from __future__ import annotations

import asyncio
from typing import Any

from ...deadlines import Timeout
from ..driver import Leaving


def _end_writing(transport: asyncio.Transport) -> None:
    """Close the writing side, and read on until the client has gone."""
    try:
        transport.write_eof()
    except OSError:  # it has gone already, and the loop has not seen it yet
        transport.abort()
    else:
        transport.resume_reading()


class LingeringClose(asyncio.Protocol):
    """The protocol of a connection whose last answer has been written.

    The client may still be sending: if the connection were closed now, those bytes would reset
    it, and the answer would be lost. So the writing side is closed, what the client still sends
    is dropped, and the client has ``CLOSE_TIMEOUT`` seconds to close the connection.
    """

    __slots__ = ("_leaving", "_transport")

    def __init__(self, transport: asyncio.Transport, leaving: Timeout[Leaving]) -> None:
        self._transport = transport
        self._leaving = leaving
        transport.set_protocol(self)
        leaving.start(self)
        if transport.is_closing():
            return
        if transport.can_write_eof():
            _end_writing(transport)
        else:  # TLS
            transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        self._leaving.stop(self)

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self._transport.abort()


class ClosingTransport:
    """A transport whose connection ends some time after it was closed, whatever the client does.

    If the client may still be sending, the writing side is closed, and the client is read until
    it goes; the protocol drops what comes once this is ``closed``. All other methods and
    attributes are the transport's.
    """

    __slots__ = ("_leaving", "closed", "complete", "transport", "write")

    def __init__(self, transport: asyncio.Transport, leaving: Timeout[Leaving]) -> None:
        self.transport = transport
        self.write = transport.write
        self.complete = True
        """Whether the whole request of the client has come."""
        self.closed = False
        self._leaving = leaving

    def close(self) -> None:
        """Close when the client has read everything, if that is soon."""
        if self.closed:
            return
        self.closed = True
        transport = self.transport
        self._leaving.start(self)
        if self.complete or transport.is_closing():
            transport.close()
            return
        if transport.can_write_eof():
            _end_writing(transport)
        else:
            transport.resume_reading()

    def is_closing(self) -> bool:
        """Whether nothing more can be written."""
        return self.closed or self.transport.is_closing()

    def answered(self) -> None:
        """A request has been answered; if that was early, its body has to come soon."""
        if not (self.complete or self.closed):
            self._leaving.start(self)

    def message_complete(self) -> None:
        """The whole request of the client has come."""
        self.complete = True
        if not self.closed:
            self._leaving.stop(self)

    def lost(self) -> None:
        """The connection has ended."""
        self.closed = True
        self._leaving.stop(self)

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self.transport.abort()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)
