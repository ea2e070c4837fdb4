"""Dynamic namespaces: made when a client first asks for a name that matches."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from .._log import logger
from ..adapter.base import Answers, BroadcastTarget, ServerEvents
from ..errors import ConfigurationError
from ..events.runtime import Runtime
from ..loop.results import all_of
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

    def __init__(self, name: str, pattern: object, runtime: Runtime) -> None:
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
        parts = BroadcastContext(name, _Children(self.children), runtime, is_id=self._is_id)
        super().__init__(Registry(), BroadcastOperator(parts, BroadcastTarget()))

    def __repr__(self) -> str:
        return f"<ParentNamespace {self.name!r} of {len(self.children)}>"

    def _is_named(self, name: str, auth: Any) -> bool:
        return self.expression is not None and self.expression.search(name) is not None

    def _is_id(self, name: str) -> bool:
        return any(child.is_id(name) for child in self.children)

    def _server_events(self) -> ServerEvents:
        raise ConfigurationError("a dynamic namespace has no name that other servers know")

    def forget(self, child: Namespace) -> None:
        """A child is no more."""
        self.children.discard(child)
        self._registry.children.pop(child.registry, None)

    @property
    def registry(self) -> Registry:
        """What has been registered here."""
        return self._registry

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
    """The adapter of a parent: passes broadcasts on to the adapters of its children.

    Each child's adapter makes the packet, in the child's own name.
    """

    def __init__(self, children: set[Namespace]) -> None:
        self._children = children

    def broadcast(self, event: list[Any], target: BroadcastTarget) -> Awaitable[None]:
        return all_of([each.adapter.broadcast(event, target) for each in list(self._children)])

    def broadcast_with_ack(
        self, event: list[Any], target: BroadcastTarget, timeout: float, answers: Answers
    ) -> Callable[[], None]:
        answers.asked(1)  # not complete before every child has asked
        stops = [
            each.adapter.broadcast_with_ack(event, target, timeout, answers)
            for each in list(self._children)
        ]
        answers.counted(0)

        def stop() -> None:
            for each in stops:
                each()

        return stop

    async def fetch(self, target: BroadcastTarget) -> list[dict[str, Any]]:
        raise ConfigurationError("fetch_sockets() of a dynamic namespace: ask one of its children")

    async def count(self, target: BroadcastTarget) -> int:
        return sum([await each.adapter.count(target) for each in list(self._children)])

    def join_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        names = tuple(rooms)
        return all_of([each.adapter.join_all(target, names) for each in list(self._children)])

    def leave_all(self, target: BroadcastTarget, rooms: Iterable[str]) -> Awaitable[None]:
        names = tuple(rooms)
        return all_of([each.adapter.leave_all(target, names) for each in list(self._children)])

    def disconnect_all(self, target: BroadcastTarget, *, close: bool) -> Awaitable[None]:
        return all_of(
            [each.adapter.disconnect_all(target, close=close) for each in list(self._children)]
        )
