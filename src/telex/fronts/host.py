"""What an HTTP server knows of the telex server behind it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, Generic, Protocol, TypeVar

from ..engine.engine import Engine
from ..types import Request, Scope
from .driver import Driver
from .upgrade import Upgrade


class PollingFront(Protocol):
    """What answers the requests, as far as this road has to know it."""

    engine: Engine
    driver: Driver

    @property
    def path(self) -> str:
        """The path that the engine answers at."""
        ...

    def bind(self) -> None:
        """Run on the running loop from now on."""
        ...

    @property
    def alone(self) -> bool:
        """Whether nobody else sees the requests or adds to their answers."""
        ...

    @property
    def admits_at_once(self) -> bool:
        """Whether nobody is asked about a handshake."""
        ...

    @property
    def body_timeout(self) -> float:
        """How long the body of a POST may take, in seconds."""
        ...


class Front(PollingFront, Protocol):
    """What answers the requests of a telex server, as far as the HTTP server has to know it."""

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        """Answer a request, as an ASGI application."""
        ...

    def answers_at_once(self, scope: Scope) -> bool:
        """Whether this handshake waits for nothing and is seen by nobody else."""
        ...

    def take_at_once(self, path: bytes, request: Request, upgrade: Upgrade) -> bool:
        """Answer a handshake at this path if it is such a one, without a scope."""
        ...


F = TypeVar("F", bound=Front)


class TelexServer(ABC, Generic[F]):
    """A telex server, as the HTTP server in front of it knows it."""

    def __init__(self, front: F) -> None:
        self._front = front

    async def __call__(self, scope: Scope, receive: Any, send: Any) -> None:
        await self._front(scope, receive, send)

    @property
    def front(self) -> F:
        """What answers the requests (asked by the HTTP server)."""
        return self._front

    @property
    @abstractmethod
    def per_message_deflate(self) -> bool:
        """Whether WebSockets are to be compressed, which the fast path does not do."""

    @abstractmethod
    def close_at_once(self) -> None:
        """End all connections."""
