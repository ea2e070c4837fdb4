"""What a socket receives: events for its handlers, and for ``receive``."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, NamedTuple, Self

from ..errors import PacketError
from ..events.acks import Ack
from ..events.dispatch import Dispatch
from ..events.inbox import weight_of
from ..events.runtime import Runtime
from .joining import Membership
from .offsets import is_offset
from .receive_queue import HEAVIEST, ReceiveQueue

Answer = Callable[[int, Any], object]


class ReceivedEvent(list[Any]):
    """An event that ``receive`` returns: ``[name, *arguments]``.

    ``ack`` answers it, if the server ``asked`` for an acknowledgement; otherwise it does
    nothing.
    """

    ack: Callable[..., None]
    asked: bool


class OwedAck(int):
    """The id of an acknowledgement that is owed over the connection on which it was asked."""

    def __new__(cls, ack_id: int, joins: int) -> Self:
        owed = super().__new__(cls, ack_id)
        owed.joins = joins
        return owed

    joins: int


class _Early(NamedTuple):
    """An event that has come before CONNECT."""

    ack_id: int | None
    event: list[Any]
    offset: str | None


class Inbox:
    """Everything that one socket receives.

    Events without a handler wait in ``queue``. Those that come before CONNECT (a recovery
    sends the missed ones so) wait until the socket has joined.
    """

    __slots__ = (
        "_answer",
        "_dispatch",
        "_early",
        "_early_weight",
        "_membership",
        "_runtime",
        "queue",
    )

    def __init__(
        self,
        membership: Membership,
        dispatch: Dispatch,
        runtime: Runtime,
        answer: Answer,
        *,
        limit: int,
    ) -> None:
        self.queue: ReceiveQueue[ReceivedEvent] = ReceiveQueue(limit)
        self._membership = membership
        self._dispatch = dispatch
        self._runtime = runtime
        self._answer = answer
        self._early: list[_Early] = []
        self._early_weight = 0
        self.queue.close(membership.reason)

    def receive(self, ack_id: int | None, event: list[Any]) -> None:
        """Take an event of the server."""
        membership = self._membership
        offset: str | None = None
        if membership.pid is not None and ack_id is None and len(event) > 1:
            last = event[-1]
            if last.__class__ is str and is_offset(last, time.time()):
                offset = event.pop()
        if membership.joined:
            self._deliver(ack_id, event, offset)
        else:
            self._early.append(_Early(ack_id, event, offset))
            self._early_weight += weight_of(event)
            if self._early_weight > HEAVIEST:
                raise PacketError("too many events before CONNECT")

    def joined(self) -> None:
        """The socket has joined: deliver the events that have come before."""
        early = self._early
        self.forget_early()
        for item in early:
            if self._membership.joined:
                self._deliver(*item)

    def forget_early(self) -> None:
        """The socket does not join over this connection: drop the events that came before."""
        self._early = []
        self._early_weight = 0

    def _deliver(self, ack_id: int | None, event: list[Any], offset: str | None) -> None:
        """Hand an event to its handlers, or keep it for ``receive``."""
        if offset is not None:
            self._membership.offset = offset
        owed = None if ack_id is None else OwedAck(ack_id, self._membership.joins)
        if self._dispatch.find(event[0]) is not None:
            self._dispatch.receive(owed, None, event)
            return
        if self._dispatch.interceptors is not None:
            self._dispatch.receive(None, None, list(event))
        received = ReceivedEvent(event)
        received.asked = owed is not None
        received.ack = Ack(self._answer_later(owed))
        self.queue.put(received, weight_of(event))

    def _answer_later(self, owed: int | None) -> Callable[[tuple[Any, ...]], None]:
        def answer(args: tuple[Any, ...]) -> None:
            if owed is not None:
                self._runtime.anywhere(self._answer, owed, args)

        return answer
