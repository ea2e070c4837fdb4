"""Emitting to one socket with flags: ``socket.volatile``, ``socket.timeout(5)``, …"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from ..adapter.base import Target
from .operators import BroadcastOperator, Rooms


class Emitting(Protocol):
    """The socket, as its emitters see it."""

    def emit_flagged(
        self,
        event: str,
        args: tuple[Any, ...],
        ack: Callable[..., Any] | None,
        *,
        timeout: float | None,
        compress: bool,
        volatile: bool,
    ) -> Awaitable[None]: ...

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any: ...

    def operator(self, target: Target, *, compress: bool) -> BroadcastOperator: ...


class FlaggedEmitter:
    """Emits to one socket with flags; each modifier returns a new emitter.

    With a room it becomes a broadcast: ``socket.volatile.to("room").emit(…)``.
    """

    __slots__ = ("_compress", "_socket", "_target", "_timeout", "_volatile")

    def __init__(
        self,
        socket: Emitting,
        target: Target,
        *,
        volatile: bool = False,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._socket = socket
        self._target = target
        self._volatile = volatile
        self._compress = compress
        self._timeout = timeout

    def _with(
        self, *, volatile: bool | None = None, compress: bool | None = None
    ) -> FlaggedEmitter:
        return FlaggedEmitter(
            self._socket,
            self._target,
            volatile=self._volatile if volatile is None else volatile,
            compress=self._compress if compress is None else compress,
            timeout=self._timeout,
        )

    @property
    def volatile(self) -> FlaggedEmitter:
        """Drop the event if the client cannot take it at once."""
        return self._with(volatile=True)

    def compress(self, compress: bool) -> FlaggedEmitter:
        """Whether the event may be compressed."""
        return self._with(compress=compress)

    def binary(self, binary: bool) -> FlaggedEmitter:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> FlaggedEmitter:
        """Set the limit for the acknowledgement, in seconds."""
        emitter = self._with()
        emitter._timeout = seconds
        return emitter

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None
    ) -> Awaitable[None]:
        """Emit an event.

        With a limit, ``ack`` is called ``(error, *answer)``; without one, ``(*answer)``.
        """
        return self._socket.emit_flagged(
            event,
            args,
            ack,
            timeout=self._timeout,
            compress=self._compress,
            volatile=self._volatile,
        )

    def send(self, *args: Any, ack: Callable[..., Any] | None = None) -> Awaitable[None]:
        """Emit the event ``message``."""
        return self.emit("message", *args, ack=ack)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Emit an event and wait for the answer (see ``Socket.emit_with_ack``)."""
        return await self._socket.emit_with_ack(event, *args, timeout=self._timeout)

    # -- to many ------------------------------------------------------------------------

    @property
    def broadcast(self) -> BroadcastOperator:
        """To everybody in the namespace but this socket."""
        operator = self._socket.operator(self._target, compress=self._compress)
        if self._timeout is not None:
            operator = operator.timeout(self._timeout)
        return operator.volatile if self._volatile else operator

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """To everybody in these rooms but this socket."""
        return self.broadcast.to(rooms)

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """The same as ``to`` (Node: ``in``)."""
        return self.broadcast.to(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """To everybody but this socket and those in these rooms (Node: ``except``)."""
        return self.broadcast.except_(rooms)

    @property
    def local(self) -> BroadcastOperator:
        """To everybody on this server but this socket."""
        return self.broadcast.local
