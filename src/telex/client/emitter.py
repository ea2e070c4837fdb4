"""Emitting with flags: ``socket.volatile``, ``socket.timeout(5)``, …"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Protocol


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
    ) -> Awaitable[Any]: ...

    async def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any: ...


class ClientEmitter:
    """Emits with flags; each modifier returns a new emitter."""

    __slots__ = ("_compress", "_socket", "_timeout", "_volatile")

    def __init__(
        self,
        socket: Emitting,
        *,
        volatile: bool = False,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._socket = socket
        self._volatile = volatile
        self._compress = compress
        self._timeout = timeout

    @property
    def volatile(self) -> ClientEmitter:
        """Drop the event if it cannot be sent at once."""
        return ClientEmitter(
            self._socket, volatile=True, compress=self._compress, timeout=self._timeout
        )

    def compress(self, compress: bool) -> ClientEmitter:
        """Whether the event may be compressed."""
        return ClientEmitter(
            self._socket, volatile=self._volatile, compress=compress, timeout=self._timeout
        )

    def binary(self, binary: bool) -> ClientEmitter:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> ClientEmitter:
        """Set the limit for the acknowledgement, in seconds."""
        return ClientEmitter(
            self._socket, volatile=self._volatile, compress=self._compress, timeout=seconds
        )

    def emit(self, event: str, *args: Any, ack: Callable[..., Any] | None = None) -> Awaitable[Any]:
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

    def send(self, *args: Any, ack: Callable[..., Any] | None = None) -> Awaitable[Any]:
        """Emit the event ``message``."""
        return self.emit("message", *args, ack=ack)

    async def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Emit an event and wait for the answer (see ``ClientSocket.emit_with_ack``)."""
        return await self._socket.emit_with_ack(event, *args, timeout=self._timeout)
