"""What a socket needs of its client's connection, and of its namespace."""

from __future__ import annotations

from collections.abc import Awaitable, Iterator, Mapping, Sequence
from typing import Any, Protocol, TypeVar

from ..adapter.base import Adapter
from ..engine.session import Session
from ..events.failures import ExceptionHandlers
from ..events.handlers import Handler
from ..types import Request
from .broadcast import BroadcastContext, BroadcastOperator, Rooms
from .engine_socket import EngineSocket
from .server_api import ServerApi

S_co = TypeVar("S_co", covariant=True)


class SocketClient(Protocol[S_co]):
    """The connection that a socket shares with the client's other sockets (Node: ``Client``)."""

    @property
    def id(self) -> str: ...

    @property
    def sockets(self) -> Sequence[S_co]: ...

    @property
    def session(self) -> Session: ...

    @property
    def conn(self) -> EngineSocket: ...

    @property
    def request(self) -> Request: ...

    @property
    def revision(self) -> int: ...

    def disconnect(self) -> None: ...

    def departed(self, socket: object, tasks: int, size: int) -> None: ...

    def settled(self, socket: object) -> None: ...


class SocketNamespace(Protocol[S_co]):
    """The namespace that a socket belongs to."""

    @property
    def name(self) -> str: ...

    @property
    def adapter(self) -> Adapter: ...

    @property
    def parts(self) -> BroadcastContext: ...

    @property
    def ack_ids(self) -> Iterator[int]: ...

    @property
    def sockets(self) -> Mapping[str, S_co]: ...

    @property
    def events(self) -> Mapping[str, tuple[Handler, ...]]: ...

    @property
    def exceptions(self) -> ExceptionHandlers: ...

    @property
    def server(self) -> ServerApi: ...

    def unhandled(self, event: Any) -> None: ...

    def emit(self, event: str, *args: Any) -> Awaitable[None]: ...

    def send(self, *args: Any) -> Awaitable[None]: ...

    def to(self, rooms: Rooms) -> BroadcastOperator: ...

    def in_(self, rooms: Rooms) -> BroadcastOperator: ...

    def except_(self, rooms: Rooms) -> BroadcastOperator: ...
