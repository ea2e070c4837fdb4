"""The HTTP server's own WebSockets, for those that do not take the fast path."""

from __future__ import annotations

from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol


class HostWebSocket(WebSocketsSansIOProtocol):
    """uvicorn's, but a client that says no more is not waited for without end."""

    def eof_received(self) -> None:
        self.transport.close()
