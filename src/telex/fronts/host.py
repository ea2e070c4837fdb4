"""What an HTTP server knows of the telex server behind it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from ..engine.engine import Engine
from ..types import Receive, Request, Scope, Send
from .driver import Driver
from .upgrade import Upgrade


class PollingFront(Protocol):
    """What answers the requests of long-polling, as far as the HTTP server has to know it."""

    engine: Engine
    driver: Driver

    targets: frozenset[bytes]
    """The paths of plain requests to the engine, as they go over the wire."""

    def bind(self) -> None:
        """Run on the running loop from now on."""
        ...

    @property
    def is_unobserved(self) -> bool:
        """Whether no middleware sees the requests, and no hook adds to their answers."""
        ...

    @property
    def admits_synchronously(self) -> bool:
        """Whether no function of the user takes part in a handshake."""
        ...

    @property
    def body_timeout(self) -> float:
        """How long the body of a POST may take, in seconds."""
        ...


class Front(PollingFront, Protocol):
    """What answers the requests of a telex server, as far as the HTTP server has to know it."""

    close_at_once: Callable[[], None]
    """Ends all connections."""

    @property
    def per_message_deflate(self) -> bool:
        """Whether WebSockets are to be compressed, which only the host's own do."""
        ...

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request, as an ASGI application."""
        ...

    def is_synchronous_handshake(self, scope: Scope) -> bool:
        """Whether this is a handshake of the engine without functions of the user."""
        ...

    def take_synchronously(self, path: bytes, request: Request, upgrade: Upgrade) -> bool:
        """Answer a handshake at this path, without a scope; ``False`` if it is none of those."""
        ...


F = TypeVar("F", bound=Front)


class TelexServer(Generic[F]):
    """A telex server, as the HTTP server in front of it knows it."""

    front: F
    """All that the HTTP server in front may ask and tell."""

    def __init__(self, front: F) -> None:
        self.front = front

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self.front(scope, receive, send)
