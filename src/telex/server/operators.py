"""Broadcast operators: whom an emit is for, said in a chain, kept immutable."""

from __future__ import annotations

from collections.abc import Awaitable, Iterable
from typing import Any

from ..adapter.base import Adapter, Target
from ..parser.packet import EVENT, RESERVED_EVENTS, Parser

Rooms = str | Iterable[str]


def room_names(rooms: Rooms) -> tuple[str, ...]:
    """One room or several, as a tuple."""
    names = (rooms,) if isinstance(rooms, str) else tuple(rooms)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the name of a room is text, not {name!r}: use str()")
    return names


def check_event(event: str) -> None:
    """Names of the life cycle cannot be emitted."""
    if type(event) is not str:
        raise TypeError(f"the name of an event is text, not {event!r}")
    if event in RESERVED_EVENTS:
        raise ValueError(f"{event!r} is a reserved event name")


class BroadcastOperator:
    """Emits to many sockets. Every modifier returns a new operator.

    ::

        io.to("room").except_("muted").emit("news", 1)
    """

    __slots__ = ("_adapter", "_nsp", "_parser", "_target")

    def __init__(self, adapter: Adapter, parser: Parser, nsp: str, target: Target) -> None:
        self._adapter = adapter
        self._parser = parser
        self._nsp = nsp
        self._target = target

    def _with(
        self,
        *,
        rooms: frozenset[str] | None = None,
        excluded: frozenset[str] = frozenset(),
        volatile: bool = False,
        local: bool = False,
    ) -> BroadcastOperator:
        old = self._target
        target = Target(
            old.rooms if rooms is None else (old.rooms or frozenset()) | rooms,
            old.excluded | excluded,
            volatile=old.volatile or volatile,
            local=old.local or local,
        )
        return BroadcastOperator(self._adapter, self._parser, self._nsp, target)

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """Only to sockets in one of these rooms (added to those named before).

        An empty list reaches nobody.
        """
        return self._with(rooms=frozenset(room_names(rooms)))

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """The same as ``to`` (Node: ``in``)."""
        return self.to(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """Not to sockets in any of these rooms (Node: ``except``)."""
        return self._with(excluded=frozenset(room_names(rooms)))

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for a client that cannot take it at once."""
        return self._with(volatile=True)

    @property
    def local(self) -> BroadcastOperator:
        """Only to sockets of this server."""
        return self._with(local=True)

    def emit(self, event: str, *args: Any) -> Awaitable[None]:
        """Emit an event to the sockets that were chosen.

        Takes effect at once; ``EncodeError`` if the arguments cannot be sent, and then
        nobody receives anything.
        """
        check_event(event)
        packet = self._parser.encode(EVENT, self._nsp, [event, *args])
        return self._adapter.broadcast(packet, self._target)

    def send(self, *args: Any) -> Awaitable[None]:
        """Emit the event ``message``."""
        return self.emit("message", *args)
