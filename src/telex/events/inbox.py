"""The inbox of a socket: what waits for its handlers, in order, and how much that may be."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.msgpack import Ext

from .._log import logger, shown
from .concurrent import CONCURRENT_LIMIT, Begin, ConcurrentTasks
from .recipient import Recipient, Source
from .runtime import Runtime

WAITING_LIMIT = 1024 * 1024
"""How many bytes of events may wait for a handler before the peer is read no further."""

HARD_LIMIT = 4 * WAITING_LIMIT
"""How many bytes of events may wait before the peer is disconnected."""

ITEM_WEIGHT = 256
"""About how many bytes an event that waits takes beside its text."""

WAITING_LONG = 10.0
"""After so many seconds of waiting, the event that is waited for is named in a warning."""


class PeerEvent(Struct):
    """An event of the peer: ``data`` is its name and its arguments."""

    ack_id: int | None
    data: list[Any]


class LifecycleEvent(Struct):
    """An event of the socket itself, such as ``connect`` of a client."""

    name: str
    args: tuple[Any, ...]


class Departure(Struct):
    """The peer has left, for this reason: ``disconnecting`` and ``disconnect`` are due."""

    reason: str

    @property
    def name(self) -> str:
        """The event whose handlers run last."""
        return "disconnect"


Item = PeerEvent | LifecycleEvent | Departure


class Inbox:
    """What a socket has received and its handlers have not begun with.

    Beyond ``WAITING_LIMIT`` bytes, or with ``CONCURRENT_LIMIT`` tasks of concurrent handlers, the
    peer is not read, unless it owes an acknowledgement that a handler may be waiting for. Beyond
    ``HARD_LIMIT`` bytes it is disconnected.
    """

    __slots__ = (
        "_paused",
        "_recipient",
        "_runtime",
        "_since",
        "_source",
        "_tasks",
        "_weight",
        "items",
    )

    def __init__(self, recipient: Recipient, source: Source, runtime: Runtime) -> None:
        self.items: deque[tuple[Item, int]] = deque()
        self._weight = 0
        self._recipient = recipient
        self._source = source
        self._runtime = runtime
        self._tasks: ConcurrentTasks | None = None
        self._paused = False
        self._since: float | None = None

    @property
    def tasks(self) -> int:
        """How many tasks of concurrent handlers are running."""
        return 0 if self._tasks is None else self._tasks.running

    @property
    def weight(self) -> int:
        """About how many bytes of events wait, for the running handler or for a task."""
        return self._weight if self._tasks is None else self._weight + self._tasks.weight

    # -- events that wait for the running handler ---------------------------------------

    def put(self, item: Item, weight: int, running: Any) -> None:
        """Keep an item of so many bytes until the handler of the event ``running`` has finished."""
        weight += ITEM_WEIGHT
        self.items.append((item, weight))
        self._weight += weight
        now = self._runtime.loop.time()
        if self._since is None:
            self._since = now
        elif now - self._since > WAITING_LONG:
            self._since = now
            self._warn(running)
        if self._weight <= WAITING_LIMIT and self._tasks is None:
            return
        if not isinstance(item, Departure):
            within = self._is_within_limit(running)
            if within and self._weight > WAITING_LIMIT and not self._recipient.expects_answers:
                self._pause()

    def take(self) -> Item:
        """Take the item that has waited longest."""
        item, weight = self.items.popleft()
        self._weight -= weight
        if not self.items:
            self._since = None
        if self._paused:
            self.read_on_if_possible()
        return item

    @property
    def last(self) -> Item | None:
        """The item that has come last."""
        return self.items[-1][0] if self.items else None

    def clear(self) -> None:
        """Drop all that waits."""
        self._keep([])

    def drop_peer_events(self) -> None:
        """Drop the peer's events; those of the socket itself have their turn."""
        self._keep([item for item in self.items if not isinstance(item[0], PeerEvent)])

    def _keep(self, kept: list[tuple[Item, int]]) -> None:
        self.items.clear()
        self.items.extend(kept)
        self._weight = sum(weight for _, weight in kept)
        if not kept:
            self._since = None
        if self._tasks is not None:
            self._tasks.clear()

    def _warn(self, running: Any) -> None:
        logger.warning(
            "%d events of %s wait for the handler of '%s': let socket.spawn() do what"
            " lasts, or register it with concurrent=True",
            len(self.items),
            shown(self._recipient),
            shown(running),
        )

    # -- concurrent handlers ------------------------------------------------------------

    def start_concurrent(
        self,
        begin: Begin,
        freed: Callable[[], None],
        name: Any,
        data: list[Any] | None,
        size: int,
    ) -> None:
        """Run ``begin``, of the event ``name``, in a task, or keep it until there are fewer tasks.

        It holds ``data`` meanwhile, whose ``size`` is known unless it is negative. ``freed`` is
        called when there is one task less.
        """
        tasks = self._tasks
        if tasks is None:
            tasks = self._tasks = ConcurrentTasks(self._runtime)
        if tasks.is_full:
            tasks.wait(begin, ITEM_WEIGHT + (weight_of(data) if size < 0 else size))
            self._is_within_limit(name)
        else:
            tasks.start(begin, freed)
        if tasks.is_full and not self._paused and not self._recipient.expects_answers:
            self._pause()
            self._explain_pause(name)

    def _explain_pause(self, name: Any) -> None:
        explained = self._runtime.explained
        if f"concurrent {name}" not in explained:
            explained.add(f"concurrent {name}")
            logger.warning(
                "%s has %d tasks of handlers that do not wait for each other, %s the last:"
                " it is read no further until one has ended (this is logged once)",
                shown(self._recipient),
                CONCURRENT_LIMIT,
                shown(name),
            )

    # -- reading the peer ---------------------------------------------------------------

    def read_on(self) -> None:
        """Read the peer again, because something that it has to send is awaited."""
        if self._paused:
            self._paused = False
            self._source.resume()

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._source.pause()

    def read_on_if_possible(self) -> None:
        """Read the peer again, if few enough of its events are here."""
        if self._paused and self._weight < WAITING_LIMIT // 2:
            tasks = self._tasks
            if tasks is None or not tasks.is_full:
                self.read_on()

    def _is_within_limit(self, name: Any) -> bool:
        """Whether what waits is within ``HARD_LIMIT``; otherwise the connection is ended."""
        weight = self.weight
        if weight <= HARD_LIMIT:
            return True
        logger.error(
            "too many events of %s wait for the handler of '%s' (%d bytes, %d are allowed):"
            " it is disconnected",
            shown(self._recipient),
            shown(name),
            weight,
            HARD_LIMIT,
        )
        self._source.end("forced close")
        return False


def weight_of(value: Any) -> int:
    """About how many bytes a decoded payload takes."""
    kind = value.__class__
    if kind is list or kind is tuple:
        return 8 + sum(map(weight_of, value))
    if kind is dict:  # whose keys can be anything in msgpack, arrays (tuples) among them
        return 16 + sum(map(weight_of, value)) + sum(map(weight_of, value.values()))
    if kind is str or kind is bytes:
        return 8 + len(value)
    if kind is Ext:
        return 8 + len(value.data)
    return 8
