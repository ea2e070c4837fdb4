"""Sockets that may live on another server, from ``fetch_sockets``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Protocol, Self

from ..errors import AckTimeout


class SocketOperator(Protocol):
    """A broadcast operator whose target is one socket."""

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None
    ) -> Awaitable[None]: ...

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]: ...

    def timeout(self, seconds: float) -> Self: ...

    def sockets_join(
        self, rooms: str | Iterable[str], *, other_ids: bool = False
    ) -> Awaitable[None]: ...

    def sockets_leave(self, rooms: str | Iterable[str]) -> Awaitable[None]: ...

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]: ...


class RemoteSocket:
    """A socket that may live on another server, from ``fetch_sockets``.

    ``handshake``, ``rooms`` and ``data`` are what they were at that moment.
    """

    def __init__(self, operator: SocketOperator, description: dict[str, Any]) -> None:
        self.id: str = description["id"]
        self.handshake: dict[str, Any] = description["handshake"]
        self.rooms: set[str] = set(description["rooms"])
        self.data: Any = description["data"]
        self._operator = operator

    def __repr__(self) -> str:
        return f"<RemoteSocket {self.id}>"

    def emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to this socket."""
        return self._operator.emit(event, *args)

    def send(self, *args: Any) -> Awaitable[None]:
        """Emit the event ``message``."""
        return self._operator.emit("message", *args)

    def timeout(self, seconds: float) -> RemoteTimeout:
        """Emit with a limit for the acknowledgement, in seconds."""
        return RemoteTimeout(self._operator.timeout(seconds))

    async def emit_with_ack(self, event: str, *args: Any, timeout: float) -> Any:
        """Emit an event and wait for the answer; ``AckTimeout`` if none comes in time."""
        return await self.timeout(timeout).emit_with_ack(event, *args)

    def join(self, rooms: str | Iterable[str], *, other_ids: bool = False) -> Awaitable[None]:
        """Join rooms (``other_ids``: see ``Socket.join``)."""
        return self._operator.sockets_join(rooms, other_ids=other_ids)

    def leave(self, rooms: str | Iterable[str]) -> Awaitable[None]:
        """Leave rooms."""
        return self._operator.sockets_leave(rooms)

    def disconnect(self, close: bool = False) -> Awaitable[None]:
        """Disconnect this socket; with ``close``, its whole connection."""
        return self._operator.disconnect_sockets(close)


class RemoteTimeout:
    """Emits to one socket with a limit for the acknowledgement."""

    __slots__ = ("_operator",)

    def __init__(self, operator: SocketOperator) -> None:
        self._operator = operator

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None
    ) -> Awaitable[None]:
        """Emit; ``ack(error, *answer)`` is called with ``None`` or the error that ended it."""
        if ack is None:
            return self._operator.emit(event, *args)
        callback = ack

        def one(error: AckTimeout | None, responses: list[Any]) -> Any:
            return callback(error, *responses)

        return self._operator.emit(event, *args, ack=one)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Emit and wait for the answer: one value, or ``None``."""
        answers = await self._operator.emit_with_ack(event, *args)
        return answers[0] if answers else None
