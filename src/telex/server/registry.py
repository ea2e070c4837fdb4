"""What users have registered with a namespace: middleware and handlers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from .._log import logger, shown
from ..errors import ConfigurationError
from ..events.handlers import LIFE_CYCLE, Function, Handler, Handlers, check_name
from .middleware import Middleware, check

F = TypeVar("F", bound=Callable[..., Any])

CONNECTION = "connection"
_ALIASES = {"connect": CONNECTION}
_LIFECYCLE = frozenset({CONNECTION, "new_namespace"})


def check_lifecycle_name(event: Any) -> None:
    """Refuse what ``on`` of a server or a namespace would never hear of."""
    if isinstance(event, str) and event in LIFE_CYCLE:
        raise ConfigurationError(
            f"{event!r} is an event of sockets: use event({event!r}), whose handler gets the"
            f" socket, or socket.on({event!r})"
        )
    check_name(event, _ALIASES)


class Registry:
    """Middleware, handlers of the namespace's own events, handlers that sockets share.

    What is registered also goes to ``children``: the registries of the namespaces that
    a dynamic namespace has made.
    """

    __slots__ = ("children", "events", "exceptions", "middlewares", "lifecycle")

    def __init__(self) -> None:
        self.middlewares: list[Middleware] = []
        self.lifecycle = Handlers()
        self.events = Handlers()
        self.exceptions: dict[type[BaseException], Handler] = {}
        self.children: dict[Registry, None] = {}

    def child(self) -> Registry:
        """A registry that begins with what is here and receives what will come."""
        child = Registry()
        child.middlewares.extend(self.middlewares)
        child.lifecycle.by_event.update(self.lifecycle.by_event)
        child.events.by_event.update(self.events.by_event)
        child.exceptions.update(self.exceptions)
        self.children[child] = None
        return child

    def add_middleware(self, middleware: Middleware) -> None:
        """Register a middleware."""
        check(middleware, "(socket)", 1)
        self.middlewares.append(middleware)
        for child in self.children:
            child.add_middleware(middleware)

    def add_lifecycle(self, event: str, function: Function, *, once: bool) -> None:
        """Register a handler of the namespace's own events."""
        name = _ALIASES.get(event, event)
        handler = Handler(function, once=once, checked=False)
        if name in _LIFECYCLE:
            handler.check_lifecycle(name, 1)
        self.lifecycle.add(name, handler)
        for child in self.children:
            child.add_lifecycle(event, function, once=once)

    def remove_lifecycle(self, event: str, function: Function | None) -> None:
        """Remove a handler of the namespace's own events, or all of them."""
        self.lifecycle.remove(_ALIASES.get(event, event), function)
        for child in self.children:
            child.remove_lifecycle(event, function)

    def add_event(
        self, event: str, function: Function, *, concurrent: bool = False, thread: bool = False
    ) -> None:
        """Register a handler for an event of every socket; it receives the socket first."""
        if _ALIASES.get(event, event) == CONNECTION:
            if concurrent or thread:
                raise ConfigurationError(
                    f"handlers of {event!r} are neither concurrent nor in a thread: let"
                    " socket.spawn() do what lasts"
                )
            self.add_lifecycle(event, function, once=False)
            return
        check_name(event)
        handler = Handler(
            function,
            with_socket=True,
            concurrent=concurrent,
            thread=thread,
            checked=event not in LIFE_CYCLE,
        )
        if event in LIFE_CYCLE:
            handler.check_lifecycle(event, 1 + LIFE_CYCLE[event])
        elif event in self.events.by_event:
            logger.warning(
                "'%s' has a second handler, %s beside %s: both run for every event, one after the"
                " other, and the first answer counts; off() or another name is for one only",
                shown(event),
                shown(handler.name),
                shown(self.events.by_event[event][0].name),
            )
        self.events.add(event, handler)
        for child in self.children:
            child.events.add(event, handler)

    def add_exception_handler(self, kind: type[BaseException], function: Function) -> None:
        """Register what answers when a handler raises ``kind``."""
        given: Any = kind
        if not (isinstance(given, type) and issubclass(given, BaseException)):
            raise ConfigurationError(f"an exception handler is for an exception type, not {kind!r}")
        self.exceptions[kind] = Handler(function, with_socket=True, checked=False)
        for child in self.children:
            child.exceptions[kind] = self.exceptions[kind]

    def take_lifecycle(self, event: str) -> tuple[Handler, ...]:
        """The handlers of an own event that happens now; those for once are used up."""
        handlers = self.lifecycle.by_event.get(event, ())
        for handler in handlers:
            if handler.once:
                self.lifecycle.discard(event, handler)
        return handlers
