"""Class-based namespaces."""

from __future__ import annotations

from typing import Any

from ..errors import ConfigurationError
from .registry import Registry


class NamespaceHandlers:
    """Handlers as methods: ``on_<event>(self, socket, *args)``.

    ::

        class Chat(NamespaceHandlers):
            def on_connection(self, socket): ...
            async def on_message(self, socket, text): ...

        io.register("/chat", Chat())

    Only methods that the class declares are handlers; what a client sends is compared
    with their names and never looked up on the object.
    """


def register(registry: Registry, handlers: object) -> None:
    """Register every ``on_<event>`` method of an object."""
    if isinstance(handlers, type):
        raise ConfigurationError(f"register an object, not the class: {handlers.__name__}()")
    kind = type(handlers)
    found: list[tuple[str, Any]] = [
        (name.removeprefix("on_"), getattr(handlers, name))
        for name in dir(kind)
        if name.startswith("on_") and callable(getattr(kind, name))
    ]
    if not found:
        raise ConfigurationError(f"{type(handlers).__name__} has no method on_<event>")
    for event, method in found:
        registry.add_event(event, method)
