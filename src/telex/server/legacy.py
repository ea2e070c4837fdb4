"""Connections of clients of Socket.IO 1 and 2, which join namespaces in their own way.

They are in ``/`` without asking, name what they send to a namespace's handshake in a query, and
are told less. Where their ids come from, see ``Socket``.
"""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

from ..engine.session_core import OPEN
from ..errors import PacketError
from ..parser.packet import DISCONNECT
from .connection import MAX_NAMESPACES, Connection
from .peer import CONNECTED
from .socket import Socket


class LegacyConnection(Connection):
    """A client of Socket.IO 1 or 2: namespaces wait until ``/`` has let it in."""

    __slots__ = ("_waiting",)

    revision = 4

    _waiting: list[tuple[str, dict[str, Any]]] | None

    def join_root(self) -> None:
        """Join ``/``, for which such clients do not ask."""
        self._waiting = None
        self._connect("/", {})

    def _receive_connect(self, nsp: str, socket: Socket | None, payload: Any) -> None:
        name, _, query = nsp.partition("?")
        if name.startswith("//"):
            raise PacketError("a namespace begins with one slash")
        if name == "/" or name in self._sockets:
            return
        auth: dict[str, Any] = dict(parse_qsl(query, keep_blank_values=True))
        root = self._sockets.get("/")
        if root is not None and root.state is CONNECTED:
            self._connect(name, auth)
        elif root is not None:
            self._waiting = self._waiting or []
            if len(self._waiting) < MAX_NAMESPACES:
                self._waiting.append((name, auth))

    def _receive_unexpected(self, kind: int, socket: Socket | None) -> None:
        if kind != DISCONNECT:  # which such clients send for namespaces that were refused
            super()._receive_unexpected(kind, socket)

    def _socket_accepted(self, socket: Socket) -> None:
        super()._socket_accepted(socket)
        if self._waiting is None or socket.nsp.name != "/":
            return
        waiting, self._waiting = self._waiting, None
        for name, auth in waiting:
            if name not in self._sockets and self.session.state is OPEN:
                self._connect(name, auth)

    def _socket_id(self, namespace: str) -> str:
        """Derive an id from the session's, which such clients take for their own."""
        if self._shared.id_source == "random_for_all":
            return super()._socket_id(namespace)
        return self._engine_id(namespace)
