"""Emitting with flags, blocking: ``socket.volatile``, ``socket.timeout(5)``, …"""

from __future__ import annotations

from typing import Any, Never

from ..client.socket import ClientSocket as AsyncSocket
from ..config import refuse_keywords
from ..events.flags import FlaggedEmitter
from .loop import LoopLease
from .work import Function, Work


class BlockingEmitter:
    """Emits with flags; each modifier returns a new emitter."""

    __slots__ = ("_emitter", "_home", "_work")

    def __init__(self, home: LoopLease, work: Work, emitter: FlaggedEmitter[AsyncSocket]) -> None:
        self._home = home
        self._work = work
        self._emitter = emitter

    @property
    def volatile(self) -> BlockingEmitter:
        """Drop the event if it cannot be sent at once."""
        return BlockingEmitter(self._home, self._work, self._emitter.volatile)

    def compress(self, compress: bool) -> BlockingEmitter:
        """Whether the event may be compressed."""
        return BlockingEmitter(self._home, self._work, self._emitter.compress(compress))

    def binary(self, binary: bool) -> BlockingEmitter:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> BlockingEmitter:
        """Set the limit for the acknowledgement, in seconds."""
        return BlockingEmitter(self._home, self._work, self._emitter.timeout(seconds))

    def emit(self, event: str, *args: Any, ack: Function | None = None, **others: Never) -> None:
        """Emit an event (see ``ClientSocket.emit``).

        With a limit, ``ack`` is called ``(error, *answer)``; without one, ``(*answer)``.
        """
        if others:
            refuse_keywords(others)
        given = self._work.callback(ack)
        self._home.hand_over(lambda: self._emitter.emit(event, *args, ack=given))

    def send(self, *args: Any, ack: Function | None = None) -> None:
        """Emit the event ``message``."""
        self.emit("message", *args, ack=ack)

    def emit_with_ack(self, event: str, *args: Any) -> Any:
        """Emit an event and wait for the answer (see ``ClientSocket.emit_with_ack``)."""
        return self._home.call(lambda: self._emitter.emit_with_ack(event, *args))
