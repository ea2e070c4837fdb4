"""Connections: one client's session, with a socket in each namespace it has joined."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

from .._log import connections, shown
from ..adapter.base import Restored
from ..engine.session import Session
from ..engine.session_core import OPEN
from ..errors import PacketError
from ..events.runtime import Runtime
from ..ids import new_id
from ..parser.packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, Decoder, connect_payload
from ..types import Request
from .compiled_dispatch import fast_dispatch_of
from .departed import Departed
from .engine_socket import EngineSocket
from .handshake import Handshake, HandshakeExtra
from .namespace import Namespace
from .peer import CONNECTED
from .socket import Socket

Lookup = Callable[[str, Any], "Namespace | Awaitable[Namespace | None] | None"]

MAX_NAMESPACES = 100
"""How many namespaces one connection may join."""

_NO_JOINS: frozenset[str] = frozenset()


class Shared(NamedTuple):
    """What all connections of one server have in common.

    ``namespaces`` finds the one that a client asks for. ``joined`` is told that a client
    is in a namespace, ``waiting`` whether a packet waits for its attachments, ``closed``
    that the connection has ended.
    """

    runtime: Runtime
    namespaces: Lookup
    id_source: str
    handshake_extra: HandshakeExtra | None
    joined: Callable[[Connection], None]
    waiting: Callable[[Connection, bool], None]
    closed: Callable[[Connection], None]


class Connection:
    """One client (Node: ``Client``): a session, a decoder, and its sockets by namespace.

    It reads every packet of the client. A client that breaks the protocol loses the whole
    connection; no other is affected. ``issued`` is when it was opened, in milliseconds since
    1970.
    """

    revision = 5
    """The revision of the Socket.IO protocol."""

    __slots__ = (
        "_pending_joins",
        "_conn",
        "_decoder",
        "_departed",
        "_issued",
        "_runtime",
        "_shared",
        "_sockets",
        "session",
    )

    def __init__(
        self,
        session: Session,
        decoder: Decoder,
        shared: Shared,
        issued: int,
        conn: EngineSocket | None = None,
    ) -> None:
        self.session = session
        self._decoder = decoder
        self._shared = shared
        self._runtime = shared.runtime
        self._issued = issued
        self._sockets: dict[str, Socket] = {}
        self._conn = conn
        self._pending_joins = _NO_JOINS
        self._departed: Departed | None = None
        session.on_message = self.receive
        session.on_close = self._session_closed

    def __repr__(self) -> str:
        return f"<Connection {self.session!r} in {list(self._sockets)}>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def id(self) -> str:
        """The session id. It is a credential: do not show it to other clients."""
        return self.session.id

    @property
    def conn(self) -> EngineSocket:
        """The engine's end of the connection."""
        if self._conn is None:
            self._conn = EngineSocket(self.session, self._runtime)
        return self._conn

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self.session.request

    @property
    def sockets(self) -> list[Socket]:
        """The client's sockets, one for each namespace it has joined."""
        return list(self._sockets.values())

    # -- from the client --------------------------------------------------------------------

    def receive(self, data: str | bytes, pos: int) -> None:
        """Take a message of the session; the packet begins at ``pos``."""
        try:
            packet = self._decoder.receive(data, pos)
            if packet is None:
                if type(data) is str:
                    self._await_attachments()
                return
            kind, nsp, ack_id, text, payload = packet
            socket = self._sockets.get(nsp)
            if socket is not None and kind == EVENT and socket.state is CONNECTED:
                socket.dispatch.receive(ack_id, text, payload)
            elif socket is not None and kind == ACK and socket.state is CONNECTED:
                socket.receive_ack(ack_id, text, payload)
            else:
                self._receive_other(kind, nsp, socket, text, payload)
        except PacketError as error:
            self._decode_failed(error)
            return
        if type(data) is not str:
            self._shared.waiting(self, False)
            self._choose_dispatch()

    def _choose_dispatch(self) -> None:
        """Tell the session which dispatches take events in C: none, while attachments are due."""
        session, sockets = self.session, self._sockets
        if not sockets or self._decoder.waiting_for is not None:
            session.fast_dispatch = session.fast_dispatches = None
            return
        parser = self._runtime.parser
        session.fast_dispatch = fast_dispatch_of(parser, sockets.get("/"))
        others = {name: fast_dispatch_of(parser, sockets[name]) for name in sockets if name != "/"}
        session.fast_dispatches = others or None

    def _await_attachments(self) -> None:
        """A packet waits for its attachments: only for a namespace that has been joined."""
        nsp = self._decoder.waiting_for
        if nsp is None:
            return
        socket = self._sockets.get(nsp)
        if socket is None or socket.state is not CONNECTED:
            self._violated("a packet for a namespace that has not been joined")
        else:
            self._shared.waiting(self, True)
            self._choose_dispatch()

    def _receive_other(
        self, kind: int, nsp: str, socket: Socket | None, text: str | None, payload: Any
    ) -> None:
        if kind == CONNECT:
            data = self._runtime.parser.loads(text) if text is not None else payload
            # null is no payload: only a packet without JSON has none.
            self._receive_connect(nsp, socket, [] if data is None and text else data)
        elif kind == DISCONNECT and socket is not None and text is None and payload is None:
            socket.closed("client namespace disconnect")
        else:
            self._receive_unexpected(kind, socket)

    def _receive_connect(self, nsp: str, socket: Socket | None, payload: Any) -> None:
        if socket is not None:
            self._violated("a second CONNECT for a namespace")
        else:
            self._connect(nsp, connect_payload(payload))

    def _receive_unexpected(self, kind: int, socket: Socket | None) -> None:
        """End the connection of a client that has sent what it cannot send at this time."""
        if kind == CONNECT_ERROR:
            raise PacketError("a client cannot send CONNECT_ERROR")
        elif socket is None or kind != DISCONNECT:
            self._violated("a packet for a namespace that has not been joined")
        else:
            raise PacketError("invalid payload: DISCONNECT carries nothing")

    # -- joining a namespace ------------------------------------------------------------------

    def _connect(self, name: str, auth: dict[str, Any]) -> None:
        if name in self._pending_joins:
            self._violated("a second CONNECT for a namespace")
            return
        if len(self._sockets) + len(self._pending_joins) >= MAX_NAMESPACES:
            self._violated(f"more than {MAX_NAMESPACES} namespaces on one connection")
            return
        namespace = self._shared.namespaces(name, auth)
        if namespace is None or isinstance(namespace, Namespace):
            self._join(name, namespace, auth)
        else:
            self._pending_joins = self._pending_joins | {name}
            self._runtime.start(self._join_later(name, namespace, auth), held=namespace)

    async def _join_later(
        self, name: str, found: Awaitable[Namespace | None], auth: dict[str, Any]
    ) -> None:
        try:
            namespace = await found
        finally:
            self._pending_joins = self._pending_joins - {name}
        if self.session.state is OPEN and name not in self._sockets:
            self._join(name, namespace, auth)
        elif namespace is not None:
            namespace.check_empty()  # it may have been made for this client alone

    def _join(self, name: str, namespace: Namespace | None, auth: dict[str, Any]) -> None:
        if namespace is None:
            message = "Invalid namespace"
            self.session.note("refused, there is no such namespace", name)
            data = {"message": message} if self.revision == 5 else message
            self.session.send(self._runtime.parser.encode(CONNECT_ERROR, name, data))
            return
        sessions = namespace.adapter.sessions if self.revision == 5 else None
        if sessions is None:
            self._admit(name, namespace, auth, None, None)
            return
        auth = dict(auth)
        pid: Any = auth.pop("pid", None)
        offset = auth.pop("offset", None)
        if pid is None:
            self._admit(name, namespace, auth, new_id(), None)
            return
        restored = sessions.restore_session(pid, offset)
        if isinstance(restored, Awaitable):
            self._pending_joins = self._pending_joins | {name}
            later = self._admit_later(name, namespace, auth, pid, restored)
            self._runtime.start(later, held=restored)
        else:
            self._admit(name, namespace, auth, new_id() if restored is None else pid, restored)

    async def _admit_later(
        self,
        name: str,
        namespace: Namespace,
        auth: dict[str, Any],
        pid: Any,
        found: Awaitable[Restored | None],
    ) -> None:
        """Admit the client when it is known whether it has a session to come back to."""
        restored: Restored | None = None
        with namespace.keeping():
            try:
                restored = await found
            finally:
                self._pending_joins = self._pending_joins - {name}
            if self.session.state is OPEN:
                self._admit(name, namespace, auth, new_id() if restored is None else pid, restored)
            elif restored is not None:
                restored.give_back()

    def _admit(
        self,
        name: str,
        namespace: Namespace,
        auth: dict[str, Any],
        pid: str | None,
        returned: Restored | None,
    ) -> None:
        sid = self._socket_id(name) if returned is None else returned.sid
        query = auth if self.revision == 4 else None
        handshake = Handshake(
            self.session.request, auth, self._issued, self._shared.handshake_extra, query
        )
        socket = Socket(sid, namespace, self, handshake, self._runtime, self._socket_closed, pid)
        if returned is not None:
            socket.restore(returned)
        self._sockets[name] = socket
        namespace.admit(socket, self.revision, self._socket_accepted)

    def _socket_accepted(self, socket: Socket) -> None:
        if connections.isEnabledFor(logging.INFO):
            connections.info("%s: joined as %s", shown(self.session.name), shown(socket))
        self._shared.joined(self)
        self._choose_dispatch()

    def _socket_id(self, namespace: str) -> str:
        """Make the id of a new socket."""
        return self._engine_id(namespace) if self._shared.id_source == "engine" else new_id()

    def _engine_id(self, namespace: str) -> str:
        """The id that names the session, and so can act for the client over polling."""
        return self.session.id if namespace == "/" else f"{namespace}#{self.session.id}"

    # -- leaving ----------------------------------------------------------------------------------

    def departed(self, socket: object, tasks: int, size: int) -> None:
        """A socket has left; its tasks go on, and ``size`` bytes of its events wait for them."""
        if self._departed is None:
            self._departed = Departed(self.session, self._runtime)
        self._departed.add(socket, tasks, size)

    def settled(self, socket: object) -> None:
        """Nothing of a socket that has left runs any more."""
        if self._departed is not None:
            self._departed.settled(socket)

    def _socket_closed(self, socket: Socket) -> None:
        name = socket.nsp.name
        if self._sockets.get(name) is socket:
            del self._sockets[name]
            if self._decoder.waiting_for == name:
                self._decoder.drop()
                self._shared.waiting(self, False)
            self._choose_dispatch()
            if isinstance(socket.nsp, Namespace):
                socket.nsp.remove(socket)

    def disconnect(self) -> None:
        """Disconnect every socket, then close the session."""
        for socket in list(self._sockets.values()):
            socket.disconnect()
        self.session.close()

    def _decode_failed(self, error: PacketError) -> None:
        self.session.note("closing a connection", shown(error))
        for socket in list(self._sockets.values()):
            socket.decode_failed(error)
        self._decoder.drop()
        self._end("forced close")

    def _violated(self, what: str) -> None:
        self.session.note("closing a connection", what)
        self._decoder.drop()
        self._end("forced server close")

    def attachments_overdue(self) -> None:
        """The attachments of a packet did not come in time."""
        self._violated("the attachments of a packet did not come in time")

    def connect_timed_out(self) -> None:
        """The client has not joined any namespace in time."""
        if not any(socket.state is CONNECTED for socket in self._sockets.values()):
            self.session.note("connect_timeout", "no namespace has been joined in time")
            self._end("forced server close")

    def _end(self, reason: str) -> None:
        if self.session.state is OPEN:
            self._close_sockets(reason)
            self.session.close(reason)

    def _session_closed(self, session: Session, reason: str) -> None:
        if self._decoder.waiting_for is not None:
            self._decoder.drop()
        self._close_sockets(reason)
        if self._conn is not None:
            self._conn.closed(session, reason)
        self._shared.closed(self)

    def _close_sockets(self, reason: str) -> None:
        for socket in list(self._sockets.values()):
            socket.closed(reason)
