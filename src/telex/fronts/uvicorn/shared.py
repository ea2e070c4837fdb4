"""What all connections of one uvicorn server share."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from uvicorn.config import Config

from ..._logging import SESSION_IDS
from ...deadlines import Schedule, Timeout
from ...engine.tally import Tally
from ...loop.timer import LoopTimer
from ...loop.turns import Admission
from ...types import Scope
from ...websocket import picows
from ..driver import Driver, Leaving, leaving_timeout
from .polling_server import PollingServer
from .roads import way_to

ERRORS = logging.getLogger("uvicorn.error")
ERRORS.addFilter(SESSION_IDS)
logging.getLogger("uvicorn.access").addFilter(SESSION_IDS)

HEADER_TIMEOUT = 10.0
"""How long the head of a request may take, in seconds."""

UNREAD_TIMEOUT = 30.0
"""How often a client that does not read is looked at, in seconds."""

ACCEPTS_PER_TURN = 64
"""How many new connections are served before the loop has its turn."""

MOST_ADDRESSES = 64


class HttpConnection(Protocol):
    """A connection whose deadlines are kept here."""

    @property
    def transport(self) -> asyncio.Transport: ...

    def head_timed_out(self) -> None:
        """The head of a request has taken ``HEADER_TIMEOUT`` seconds."""
        ...

    def unread_for_long(self) -> None:
        """What was written has waited ``UNREAD_TIMEOUT`` seconds for the client."""
        ...

    def first_bytes(self, data: bytes) -> None:
        """Serve what the client has sent first."""
        ...


class Shared:
    """The way to the telex server, deadlines, logged notes, and the admission of connections."""

    __slots__ = (
        "_bases",
        "_timer",
        "admission",
        "drivers",
        "heads",
        "leaving",
        "notes",
        "polling",
        "unread",
        "takes_websockets",
        "way",
    )

    def __init__(self, app: Any, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        problem = picows.problem()
        if problem is not None:
            ERRORS.warning("%s; uvicorn serves WebSockets meanwhile", problem)
        self.takes_websockets = problem is None
        """Whether WebSockets are taken from uvicorn at all."""
        self.way = way_to(app, config)
        self.admission: Admission[HttpConnection] = Admission(loop, ACCEPTS_PER_TURN)
        self.drivers: set[Driver] = set()
        self._bases: dict[Any, Scope] = {}
        schedule = Schedule(loop.time)
        self.heads: Timeout[HttpConnection] = schedule.timeout(
            HEADER_TIMEOUT, lambda connection: connection.head_timed_out()
        )
        self.notes = Tally(schedule, ERRORS)
        self.leaving: Timeout[Leaving] = leaving_timeout(schedule)
        self.unread: Timeout[HttpConnection] = schedule.timeout(
            UNREAD_TIMEOUT, lambda connection: connection.unread_for_long()
        )
        self.polling: PollingServer | None = None
        """What serves long-polling, once a client has asked for it."""
        self._timer = LoopTimer(schedule)
        self._timer.bind(loop)

    def base_of(self, server: Any, config: Config) -> Scope:
        """What the scopes of all handshakes at one address of the server have in common."""
        base = self._bases.get(server)
        if base is None:
            if len(self._bases) > MOST_ADDRESSES:
                self._bases.clear()
            base = self._bases[server] = {
                "type": "websocket",
                "asgi": {"version": config.asgi_version, "spec_version": "2.4"},
                "http_version": "1.1",
                "server": server,
                "root_path": config.root_path,
                "method": "GET",
                "state": {},
            }
        return base

    @property
    def websockets(self) -> int:
        """How many WebSockets telex servers have taken from this HTTP server."""
        return sum([driver.websockets for driver in self.drivers])

    def stop(self) -> None:
        """Let go of the timers."""
        self.notes.flush()
        self._timer.stop()
        if self.polling is not None:
            self.polling.stop()


def shared_by(
    server_state: Any, app: Any, config: Config, loop: asyncio.AbstractEventLoop
) -> Shared:
    """What the connections of this server share; made with the first of them."""
    attributes: dict[str, Any] = server_state.__dict__
    shared: Shared | None = attributes.get("telex")
    if shared is None:
        shared = attributes["telex"] = Shared(app, config, loop)
    return shared


def hang_up(server_state: Any) -> None:
    """Wait no longer for the clients of connections that are to end."""
    shared: Shared | None = server_state.__dict__.get("telex")
    if shared is not None:
        for connection in list(shared.leaving.deadlines):
            connection.hang_up()


def stop(server_state: Any) -> None:
    """End what is still open; let go of what the connections of a server have shared."""
    hang_up(server_state)
    for connection in list(server_state.connections):
        connection.transport.abort()
    shared: Shared | None = server_state.__dict__.get("telex")
    if shared is not None:
        shared.stop()
