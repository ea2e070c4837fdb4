"""What a socket needs of the manager that owns its connection."""

from __future__ import annotations

from typing import Protocol

from ..events.dispatch import Dispatch
from ..events.runtime import Runtime
from ..wire import EncodedPacket
from .engine import ClientEngine
from .options import ClientOptions


class SendingLink(Protocol):
    """The connection, as what is sent sees it."""

    @property
    def engine(self) -> ClientEngine | None: ...

    def send(self, packet: EncodedPacket) -> None:
        """Send a packet; without a connection it is dropped."""
        ...

    def read_on(self) -> None:
        """Read, although handlers are behind: an answer of the server is waited for."""
        ...


class ManagerLink(SendingLink, Protocol):
    """The manager, as the membership of a socket sees it.

    ``root_joined``: a server of Socket.IO 2 has let this connection into ``/``.
    """

    root_joined: bool

    @property
    def ready_state(self) -> str: ...

    @property
    def reconnecting(self) -> bool: ...

    @property
    def reconnection(self) -> bool: ...

    def open(self) -> object: ...

    async def wait_closed(self) -> None: ...


class HoldingLink(Protocol):
    """The connection, as the dispatch of a socket sees it: it is read no faster than handlers work.

    While any dispatch holds it, it is not read.
    """

    @property
    def engine(self) -> ClientEngine | None: ...

    def hold(self, dispatch: Dispatch) -> None: ...

    def release(self, dispatch: Dispatch) -> None: ...


class SocketOwner(ManagerLink, HoldingLink, Protocol):
    """The manager, as its sockets see it."""

    @property
    def options(self) -> ClientOptions: ...

    @property
    def runtime(self) -> Runtime: ...

    @property
    def expects_answers(self) -> bool: ...

    def leave(self, dispatch: Dispatch) -> None:
        """The socket of this dispatch needs the connection no more."""
        ...
