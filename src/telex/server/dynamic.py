"""Dynamic namespaces: made when a client first asks for a name that matches."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from collections.abc import Set as AbstractSet
from itertools import count
from typing import Any

from .._log import logger
from ..adapter.base import BroadcastTarget, Moved, Peer
from ..errors import ConfigurationError
from ..events.pending_acks import AckCallback
from ..events.runtime import Runtime
from ..loop.results import DONE, all_of
from ..parser.packet import EVENT
from ..wire import EncodedPacket
from .broadcast import BroadcastContext, BroadcastOperator
from .namespace import Namespace
from .namespace_api import NamespaceApi
from .registry import Registry

Matcher = Callable[[str, Any], "bool | Awaitable[bool]"]


class ParentNamespace(NamespaceApi):
    r"""All namespaces whose name matches: ``io.of(re.compile(r"\A/game-[0-9]+\Z"))``.

    What is registered here holds for each of them, those that exist and those to come;
    what is emitted here reaches the sockets of all of them. ``children`` are those that
    exist.
    """

    def __init__(self, name: str, pattern: Any, runtime: Runtime) -> None:
        self.name = name
        self.expression: re.Pattern[str] | None = None
        self._matcher: Matcher
        if isinstance(pattern, re.Pattern):
            self.expression = pattern
            self._matcher = self._is_named
        elif callable(pattern):
            matcher: Any = pattern
            self._matcher = matcher
        else:
            raise ConfigurationError(
                "io.of() takes a name, a compiled regular expression, or a function"
                " (name, auth) -> bool"
            )
        self.children: set[Namespace] = set()
        parts = BroadcastContext(
            name, _Children(self.children, runtime), runtime, count(), is_id=self._is_id
        )
        super().__init__(Registry(), BroadcastOperator(parts, BroadcastTarget()))

    def __repr__(self) -> str:
        return f"<ParentNamespace {self.name!r} of {len(self.children)}>"

    def _is_named(self, name: str, auth: Any) -> bool:
        return self.expression is not None and self.expression.search(name) is not None

    def _is_id(self, name: str) -> bool:
        return any(child.is_id(name) for child in self.children)

    def forget(self, child: Namespace) -> None:
        """A child is no more."""
        self.children.discard(child)
        self._registry.children.pop(child.registry, None)

    async def matches(self, name: str, auth: Any) -> bool:
        """Whether a client may have a namespace of this name."""
        try:
            verdict = self._matcher(name, auth)
            if inspect.isawaitable(verdict):
                verdict = await verdict
        except Exception:
            logger.exception("the function of a dynamic namespace failed: the name is refused")
            return False
        return bool(verdict)


class _Children:
    """The adapter of a parent: passes everything on to those of its children."""

    def __init__(self, children: set[Namespace], runtime: Runtime) -> None:
        self.moved: Moved | None = None
        self._children = children
        self._runtime = runtime

    def broadcast(self, packet: EncodedPacket, target: BroadcastTarget) -> Awaitable[None]:
        for child in list(self._children):
            child.adapter.broadcast(self._for(child, packet, target), target)
        return DONE

    def _for(
        self,
        child: Namespace,
        packet: EncodedPacket,
        target: BroadcastTarget,
        ack_id: int | None = None,
    ) -> EncodedPacket:
        """The same event in the child's own name, which also keeps it for those who come back."""
        if ack_id is None:
            encoded = child.parts.encode_kept(packet.event or [], target, compress=packet.compress)
        else:
            encoded = self._runtime.parser.encode(EVENT, child.name, packet.event, ack_id)
            encoded.compress = packet.compress
        encoded.event = packet.event
        return encoded

    def broadcast_with_ack(
        self,
        packet: EncodedPacket,
        target: BroadcastTarget,
        ack_id: int,
        counted: Callable[[int], None],
        settle: AckCallback,
    ) -> Callable[[], None]:
        stops: list[Callable[[], None]] = []
        counts: list[int] = []
        for child in list(self._children):
            number = next(child.parts.ack_ids)
            encoded = self._for(child, packet, target, number)
            adapter = child.adapter
            stops.append(adapter.broadcast_with_ack(encoded, target, number, counts.append, settle))
        counted(sum(counts))

        def stop() -> None:
            for each in stops:
                each()

        return stop

    def peers(self, target: BroadcastTarget) -> list[Peer]:
        return [peer for child in self._children for peer in child.adapter.peers(target)]

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        raise ConfigurationError("fetch_sockets() of a dynamic namespace: ask one of its children")

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        names = tuple(rooms)
        for child in list(self._children):
            child.adapter.join_all(target, names)
        return DONE

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        names = tuple(rooms)
        for child in list(self._children):
            child.adapter.leave_all(target, names)
        return DONE

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        return all_of(
            [child.adapter.disconnect_all(target, close=close) for child in list(self._children)]
        )

    def server_side_emit(self, event: list[Any]) -> Awaitable[None]:
        raise ConfigurationError("a dynamic namespace has no name that other servers know")

    async def server_side_emit_with_ack(self, event: list[Any], timeout: float) -> list[Any]:
        raise ConfigurationError("a dynamic namespace has no name that other servers know")

    # A parent has no sockets of its own.

    def add(self, peer: Peer) -> None:
        raise AssertionError("a parent namespace has no sockets")

    def remove(self, sid: str) -> None:
        raise AssertionError("a parent namespace has no sockets")

    def join(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        raise AssertionError("a parent namespace has no sockets")

    def leave(self, sid: str, rooms: Iterable[str]) -> Awaitable[None]:
        raise AssertionError("a parent namespace has no sockets")

    def rooms_of(self, sid: str) -> AbstractSet[str]:
        return frozenset()

    def rooms(self) -> dict[str, set[str]]:
        return {}

    async def close(self) -> None:
        """Nothing to let go of."""
