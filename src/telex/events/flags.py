"""Emitting to one socket with flags: ``socket.volatile``, ``socket.timeout(5)``, …"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Generic, Never, Protocol, Self, TypeVar

from ..config import duration, refuse_keywords


class Emitting(Protocol):
    """A socket, as its emitters see it."""

    def emit_flagged(
        self,
        event: str,
        args: tuple[Any, ...],
        ack: Callable[..., Any] | None,
        *,
        timeout: float | None,
        compress: bool,
        volatile: bool,
    ) -> Awaitable[None]:
        """Emit; with a limit ``ack`` is called ``(error, *answer)``, else ``(*answer)``."""
        ...

    async def ask_flagged(
        self,
        event: str,
        args: tuple[Any, ...],
        *,
        timeout: float | None,
        compress: bool,
        volatile: bool,
    ) -> Any:
        """Emit, and wait for the answer."""
        ...


E = TypeVar("E", bound=Emitting)


class FlaggedEmitter(Generic[E]):
    """Emits to one socket with flags; each modifier returns a new emitter."""

    __slots__ = ("_compress", "_socket", "_timeout", "_volatile")

    def __init__(
        self,
        socket: E,
        *,
        volatile: bool = False,
        compress: bool = True,
        timeout: float | None = None,
    ) -> None:
        self._socket = socket
        self._volatile = volatile
        self._compress = compress
        self._timeout = timeout

    def _copy(self) -> Self:
        return self.__class__(
            self._socket, volatile=self._volatile, compress=self._compress, timeout=self._timeout
        )

    @property
    def volatile(self) -> Self:
        """Drop the event if the peer cannot take it at once."""
        emitter = self._copy()
        emitter._volatile = True
        return emitter

    def compress(self, compress: bool) -> Self:
        """Whether the event may be compressed."""
        emitter = self._copy()
        emitter._compress = compress
        return emitter

    def binary(self, binary: bool) -> Self:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> Self:
        """Set the limit for the acknowledgement, in seconds."""
        duration("timeout", seconds)
        emitter = self._copy()
        emitter._timeout = seconds
        return emitter

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None, **others: Never
    ) -> Awaitable[None]:
        """Emit an event.

        With a limit, ``ack`` is called ``(error, *answer)``; without one, ``(*answer)``.
        """
        if others:
            refuse_keywords(others)
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
        return await self._socket.ask_flagged(
            event, args, timeout=self._timeout, compress=self._compress, volatile=self._volatile
        )
