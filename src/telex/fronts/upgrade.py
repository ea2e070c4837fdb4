"""The WebSocket handshake that the HTTP server hands to the ASGI application."""

from __future__ import annotations

from typing import Protocol

from ..engine.session import Session
from ..engine.transport import Transport
from ..engine.upgrade import Probe
from ..types import HeaderList, Request, Response, Scope
from .driver import Driver

EXTENSION = "telex.upgrade"
"""Name of the scope extension that carries an ``Upgrade``."""


class Accepted(Transport, Protocol):
    """The transport of a WebSocket that has been accepted."""

    def start(self, receiver: Session | Probe | None, upgrades: Session | None) -> None:
        """Hand everything to ``receiver`` from now on; without one, close."""
        ...


class Upgrade(Protocol):
    """A request for a WebSocket that waits for a verdict.

    ``mistake`` is how its WebSocket part is refused, if it is wrong.
    """

    @property
    def mistake(self) -> Response | None: ...

    @property
    def gone(self) -> bool:
        """Whether the client has not waited for the verdict."""
        ...

    def request(self, scope: Scope) -> Request:
        """The request as it is going to be kept."""
        ...

    def accept(self, driver: Driver, revision: int, max_size: int, headers: HeaderList) -> Accepted:
        """Answer with 101; the connection belongs to the returned transport."""
        ...

    def refuse(self, response: Response) -> None:
        """Answer with a refusal and close the connection."""
        ...

    def release(self, request: Request) -> None:
        """Take the upgrade out of the request, which outlives it."""
        ...
