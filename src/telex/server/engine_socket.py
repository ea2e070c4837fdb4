"""The engine's end of a connection, as users see it."""

from __future__ import annotations

from _thread import get_ident
from collections.abc import Callable
from typing import Any, ClassVar

from ..engine.packet import TYPES, message
from ..engine.session import Session
from ..engine.session_core import OPEN
from ..engine.trace import contents
from ..engine.transport import PacketObserver
from ..events.emitter import Events
from ..events.handlers import Handlers
from ..events.runtime import Runtime
from ..types import Buffer, Request, TransportView
from ..wire import EncodedPacket

_NAMES = ("open", "close", "ping", "pong", "message", "upgrade", "noop")


class EngineSocket(Events):
    """One client's connection, whatever transport it uses (Node: ``engine.Socket``).

    Events: ``message(data)`` with text or bytes, ``upgrade(transport_name)``,
    ``drain()``, ``close(reason)``, ``packet({"type", "data"})`` for each that comes and
    ``packet_create`` for each that goes. With Socket.IO above it, ``message`` belongs to
    Socket.IO and is not fired here.
    """

    known_events: ClassVar[frozenset[str]] = frozenset(
        {"message", "upgrade", "drain", "close", "packet", "packet_create"}
    )

    def __init__(self, session: Session, runtime: Runtime) -> None:
        self._session = session
        self._runtime = runtime
        self._handlers = Handlers()

    def __repr__(self) -> str:
        return f"<EngineSocket {self._session!r}>"

    @property
    def session(self) -> Session:
        """What keeps the connection, below everything that users see."""
        return self._session

    @property
    def id(self) -> str:
        """The session id. It is a credential: do not show it to other clients."""
        return self._session.id

    @property
    def protocol(self) -> int:
        """The revision of Engine.IO: 4, or 3 for old clients."""
        return self._session.protocol

    @property
    def request(self) -> Request:
        """The request that opened the connection."""
        return self._session.request

    @property
    def transport(self) -> TransportView:
        """The present transport; its ``name`` is ``polling`` or ``websocket``."""
        return self._session.transport

    @property
    def ready_state(self) -> str:
        """``open``, ``closing`` or ``closed``."""
        return self._session.state

    @property
    def remote_address(self) -> str | None:
        """The client's address, as far as the host server knows it."""
        client = self._session.request.client
        return client[0] if client else None

    def send(self, data: str | Buffer) -> None:
        """Send a message. It is dropped if the connection is closing."""
        if get_ident() != self._runtime.thread:
            self._runtime.elsewhere("send", "use io.threadsafe.call(engine_socket.send, data)")
        self._session.send(message(data))

    def close(self, *, discard: bool = False) -> None:
        """Close the connection; what is queued is still sent, unless ``discard``."""
        self._runtime.here("close", "use io.threadsafe.call(engine_socket.close)")
        self._session.close(discard=discard)

    def listened(self, event: str) -> None:
        """What few look at is shown only to those who do."""
        if event == "upgrade":
            self._session.on_upgrade = self._upgraded
        elif event == "drain":
            self._session.on_drain = self._drained
        elif event in ("packet", "packet_create"):
            self._session.observer = _Observer(self.fire, self._session.observer)

    def _drained(self) -> None:
        self.fire("drain")

    def _upgraded(self) -> None:
        self.fire("upgrade", self._session.transport.name)

    # -- from the session -------------------------------------------------------------

    def received(self, data: str | bytes, pos: int) -> None:
        """A message has come; it begins at ``pos``."""
        self.fire("message", data[pos:] if pos else data)

    def closed(self, session: Session, reason: str) -> None:
        """The session has ended."""
        self.fire("close", reason)

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._session.state is OPEN


class _Observer:
    """Turns what a session sees into events."""

    __slots__ = ("_fire", "_log")

    def __init__(self, fire: Callable[..., None], log: PacketObserver | None) -> None:
        self._fire = fire
        self._log = log.log if isinstance(log, _Observer) else log

    @property
    def log(self) -> PacketObserver | None:
        """What logs the packets, too."""
        return self._log

    def received(self, data: str | bytes, binary_prefix: int) -> None:
        """A packet has come."""
        if self._log is not None:
            self._log.received(data, binary_prefix)
        self._fire("packet", _describe(data, binary_prefix))

    def created(self, packet: EncodedPacket) -> None:
        """A packet is about to be sent."""
        if self._log is not None:
            self._log.created(packet)
        for data in contents(packet):
            self._fire("packet_create", _describe(data, 0))


def _describe(data: str | bytes, binary_prefix: int) -> dict[str, Any]:
    if isinstance(data, bytes):
        return {"type": "message", "data": data[binary_prefix:]}
    kind = int(data[0]) if data[:1] in TYPES and data else -1
    name = _NAMES[kind] if kind >= 0 else "error"
    return {"type": name, "data": data[1:] or None}
