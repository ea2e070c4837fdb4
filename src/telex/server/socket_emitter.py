"""Emitting to one socket with flags: ``socket.volatile``, ``socket.timeout(5)``, …"""

from __future__ import annotations

from typing import Generic, Protocol, Self, TypeVar

from ..events.flags import Emitting, FlaggedEmitter
from .broadcast import BroadcastOperator, Rooms


class BroadcastEmitting(Emitting, Protocol):
    """A socket that broadcasts, too."""

    @property
    def broadcast(self) -> BroadcastOperator: ...


class Operator(Protocol):
    """Chooses sockets to emit to."""

    def to(self, rooms: Rooms) -> Self: ...

    def except_(self, rooms: Rooms) -> Self: ...

    @property
    def local(self) -> Self: ...


Op = TypeVar("Op", bound=Operator)


class Broadcasting(Generic[Op]):
    """What chooses the recipients of a broadcast, on a socket: it is never one of them."""

    __slots__ = ()

    @property
    def broadcast(self) -> Op:
        """To every socket in the namespace but this one."""
        raise NotImplementedError

    def to(self, rooms: Rooms) -> Op:
        """To every socket in these rooms but this one."""
        return self.broadcast.to(rooms)

    def in_(self, rooms: Rooms) -> Op:
        """Alias of ``to`` (Node: ``in``)."""
        return self.broadcast.to(rooms)

    def except_(self, rooms: Rooms) -> Op:
        """To every socket but this one and those in these rooms (Node: ``except``)."""
        return self.broadcast.except_(rooms)

    @property
    def local(self) -> Op:
        """To every socket of this server but this one."""
        return self.broadcast.local


class SocketEmitter(FlaggedEmitter[BroadcastEmitting], Broadcasting[BroadcastOperator]):
    """An emitter that becomes a broadcast with a room: ``socket.volatile.to("a").emit(…)``."""

    __slots__ = ()

    @property
    def broadcast(self) -> BroadcastOperator:
        """To every socket in the namespace but this one."""
        operator = self._socket.broadcast
        if not self._compress:
            operator = operator.compress(False)
        if self._timeout is not None:
            operator = operator.timeout(self._timeout)
        return operator.volatile if self._volatile else operator
