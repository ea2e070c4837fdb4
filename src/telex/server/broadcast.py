"""Broadcast operators: the recipients of an emit, named in a chain, immutable."""

from __future__ import annotations

import asyncio
from _thread import get_ident
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, NamedTuple, Never

from ..adapter.base import Broadcasts, BroadcastTarget
from ..config import duration, refuse_keywords
from ..errors import AckTimeout, ConfigurationError
from ..events.acks import AckCollector, call
from ..events.reserved import check_event
from ..events.runtime import Runtime
from ..loop.results import DONE, Completion, at_once
from ..parser.packet import EVENT
from ..wire import EncodedPacket
from .remote_socket import RemoteSocket

Rooms = str | Iterable[str]


def room_names(rooms: Rooms) -> tuple[str, ...]:
    """One room or several, as a tuple."""
    if isinstance(rooms, str):
        return (rooms,)
    given: Any = rooms
    names: tuple[Any, ...] = tuple(given) if hasattr(given, "__iter__") else (given,)
    for name in names:
        if not isinstance(name, str):
            raise TypeError(f"the name of a room is text, not {name!r}: use str()")
    return names


def _no_id(name: str) -> bool:
    return False


class BroadcastContext(NamedTuple):
    """What every operator of a namespace needs."""

    nsp: str
    adapter: Broadcasts
    runtime: Runtime
    is_id: Callable[[str], bool] = _no_id

    def check_rooms(self, names: Iterable[str], own: str | None) -> None:
        """Refuse rooms named like the id of another socket than the one with the id ``own``."""
        for name in names:
            if name != own and self.is_id(name):
                raise ConfigurationError(
                    "a room is named like the id of another socket, and who joins it receives"
                    " what is meant for that one alone: choose another name, or pass"
                    " other_ids=True if this is meant"
                )

    def encode_plain(self, event: list[Any]) -> EncodedPacket:
        """Encode an event without an offset."""
        return self.runtime.parser.encode(EVENT, self.nsp, event)


class BroadcastOperator:
    """Emits to many sockets. Every modifier returns a new operator.

    ::

        io.to("room").except_("muted").emit("news", 1)
    """

    __slots__ = ("_target", "_timeout", "parts")

    def __init__(
        self,
        parts: BroadcastContext,
        target: BroadcastTarget,
        *,
        timeout: float | None = None,
    ) -> None:
        self.parts = parts
        self._target = target
        self._timeout = timeout

    def _here(self, call: str) -> None:
        self.parts.runtime.here(call, f"use io.threadsafe.{call}()")

    def _with_target(
        self,
        *,
        rooms: frozenset[str] | None = None,
        excluded: frozenset[str] | None = None,
        volatile: bool | None = None,
        local: bool | None = None,
        compress: bool | None = None,
    ) -> BroadcastOperator:
        old = self._target
        target = BroadcastTarget(
            old.rooms if rooms is None else rooms,
            old.excluded if excluded is None else excluded,
            volatile=old.volatile if volatile is None else volatile,
            local=old.local if local is None else local,
            compress=old.compress if compress is None else compress,
        )
        return BroadcastOperator(self.parts, target, timeout=self._timeout)

    # -- modifiers ----------------------------------------------------------------------

    def to(self, rooms: Rooms) -> BroadcastOperator:
        """Only to sockets in one of these rooms (added to those named before).

        An empty list reaches no socket.
        """
        named = frozenset(room_names(rooms))
        before = self._target.rooms
        return self._with_target(rooms=named if before is None else named | before)

    def in_(self, rooms: Rooms) -> BroadcastOperator:
        """Alias of ``to`` (Node: ``in``)."""
        return self.to(rooms)

    def except_(self, rooms: Rooms) -> BroadcastOperator:
        """Not to sockets in any of these rooms (Node: ``except``)."""
        return self._with_target(excluded=self._target.excluded.union(room_names(rooms)))

    @property
    def volatile(self) -> BroadcastOperator:
        """Drop the event for a client that cannot take it at once."""
        return self._with_target(volatile=True)

    @property
    def local(self) -> BroadcastOperator:
        """Only to sockets of this server."""
        return self._with_target(local=True)

    def compress(self, compress: bool) -> BroadcastOperator:
        """Whether the event may be compressed (it may, unless this says ``False``)."""
        return self._with_target(compress=compress)

    def binary(self, binary: bool) -> BroadcastOperator:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> BroadcastOperator:
        """Set the limit for acknowledgements, in seconds."""
        duration("timeout", seconds)
        return BroadcastOperator(self.parts, self._target, timeout=seconds)

    # -- emitting -----------------------------------------------------------------------

    def emit(
        self, event: str, *args: Any, ack: Callable[..., Any] | None = None, **others: Never
    ) -> Completion:
        """Emit an event to the sockets that were chosen.

        Takes effect at once; ``EncodeError`` if the arguments cannot be sent, and then
        no client receives anything. ``ack`` is called ``(error, responses)`` when all have
        answered, or with ``AckTimeout`` and the answers that came.
        """
        if others:
            refuse_keywords(others)
        check_event(event)
        runtime = self.parts.runtime
        if get_ident() != runtime.thread:
            runtime.elsewhere("emit", "use io.threadsafe.emit()")
        if ack is not None:
            self._emit_expecting(event, args, ack)
            return Completion(self, at_once)
        taken = self.parts.adapter.broadcast([event, *args], self._target)
        return Completion(self, at_once if taken is DONE else lambda: taken)

    def send(self, *args: Any) -> Completion:
        """Emit the event ``message``."""
        return self.emit("message", *args)

    async def emit_with_ack(self, event: str, *args: Any) -> list[Any]:
        """Emit an event and collect the answers; needs ``timeout``.

        Raises ``AckTimeout`` if some do not answer in time; its ``responses`` are the
        answers that came. A client that leaves meanwhile is not waited for.
        """
        check_event(event)
        self._here("emit_with_ack")
        answer: asyncio.Future[list[Any]] = self.parts.runtime.loop.create_future()

        def done(error: AckTimeout | None, responses: list[Any]) -> None:
            if answer.done():
                return
            if error is not None:
                answer.set_exception(error)
            else:
                answer.set_result(responses)

        stop = self._collect([event, *args], done)
        try:
            return await answer
        finally:
            stop()

    def _emit_expecting(self, event: str, args: tuple[Any, ...], ack: Callable[..., Any]) -> None:
        runtime = self.parts.runtime
        stops: list[Callable[[], None]] = []

        def done(error: AckTimeout | None, responses: list[Any]) -> None:
            for stop in stops:
                stop()
            call(runtime, ack, error, responses)

        stops.append(self._collect([event, *args], done))

    def _collect(
        self, event: list[Any], done: Callable[[AckTimeout | None, list[Any]], None]
    ) -> Callable[[], None]:
        if self._timeout is None:
            raise ConfigurationError(
                "acknowledgements of a broadcast need a limit: io.timeout(5).emit_with_ack(…)"
            )
        parts = self.parts
        collected = AckCollector(parts.runtime, self._timeout, done)
        try:
            stop = parts.adapter.broadcast_with_ack(event, self._target, self._timeout, collected)
        except BaseException:
            collected.abandon()
            raise

        def stop_waiting() -> None:
            if not collected.complete:
                stop()

        return stop_waiting

    # -- utility methods ----------------------------------------------------------------

    async def fetch_sockets(self) -> list[RemoteSocket]:
        """The sockets that were chosen, on all servers."""
        self._here("fetch_sockets")
        found = await self.parts.adapter.fetch(self._target)
        return [RemoteSocket(self._only(each["id"]), each) for each in found]

    def _only(self, sid: str) -> BroadcastOperator:
        return BroadcastOperator(self.parts, BroadcastTarget(frozenset((sid,))))

    async def clients(self) -> list[str]:
        """The ids of the sockets that were chosen, on all servers."""
        self._here("clients")
        return [description["id"] for description in await self.parts.adapter.fetch(self._target)]

    async def count(self) -> int:
        """How many sockets were chosen, on all servers."""
        self._here("count")
        return await self.parts.adapter.count(self._target)

    def sockets_join(self, rooms: Rooms, *, other_ids: bool = False) -> Awaitable[None]:
        """Make the sockets that were chosen join rooms, on all servers.

        A room named like the id of another socket is refused, unless ``other_ids``: see
        ``Socket.join``.
        """
        self._here("sockets_join")
        names = room_names(rooms)
        if not other_ids:
            chosen = self._target.rooms
            own = next(iter(chosen)) if chosen is not None and len(chosen) == 1 else None
            self.parts.check_rooms(names, own)
        return self.parts.adapter.join_all(self._target, names)

    def sockets_leave(self, rooms: Rooms) -> Awaitable[None]:
        """Make the sockets that were chosen leave rooms, on all servers."""
        self._here("sockets_leave")
        return self.parts.adapter.leave_all(self._target, room_names(rooms))

    def disconnect_sockets(self, close: bool = False) -> Awaitable[None]:
        """Disconnect the sockets that were chosen, on all servers.

        Nothing that is sent later reaches them. A crowd goes in several turns of the loop;
        awaiting the result waits until all have gone.
        """
        self._here("disconnect_sockets")
        return self.parts.adapter.disconnect_all(self._target, close=close)
