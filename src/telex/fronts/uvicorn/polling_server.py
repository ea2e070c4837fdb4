"""What all long-polling connections of one uvicorn server share: requests read, answers written."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from ...deadlines import Schedule, Timeout
from ...engine.polling import DONE, TEXT, PollingTransport
from ...engine.session import Session
from ...engine.tally import Tally
from ...ids import new_id
from ...loop.timer import LoopTimer
from ...types import HeaderList, Request, Response, Scope
from ..host import PollingFront
from .head import LazyScope, RawHeaders, parse_headers
from .polling_requests import PollingRequest, RequestReader, encode_headers
from .proxies import address

ERRORS = logging.getLogger("uvicorn.error")
ACCESS = logging.getLogger("uvicorn.access")


class IdleConnection(Protocol):
    """A connection that waits for the next request of its client."""

    def idle_timed_out(self) -> None:
        """The client has asked for nothing for the time that uvicorn keeps connections."""
        ...


class Opened(NamedTuple):
    """A new session, its transport, and the header lines of its first answer only."""

    session: Session
    polling: PollingTransport
    lines: bytes


class PollingServer:
    """What the connections of one server share.

    ``go_back`` gives a connection, and what has come on it, to the HTTP server.
    ``close_at_once`` ends all sessions.
    """

    def __init__(
        self,
        front: PollingFront,
        config: Config,
        state: ServerState,
        app_state: dict[str, Any],
        *,
        proxy: ProxyHeadersMiddleware | None,
        loop: asyncio.AbstractEventLoop,
        go_back: Callable[[asyncio.Transport, bytes], None],
        close_at_once: Callable[[], None],
    ) -> None:
        self.front = front
        self.requests = RequestReader(front, config, app_state, proxy)
        self.options = front.engine.options
        self.state: Any = state
        self.loop = loop
        self.go_back = go_back
        self.stopping = False
        self.logs = ACCESS.hasHandlers()
        schedule = Schedule(loop.time)
        self.idle: Timeout[IdleConnection] = schedule.timeout(
            config.timeout_keep_alive, lambda connection: connection.idle_timed_out()
        )
        self.notes = Tally(schedule, ERRORS)
        self._timer = LoopTimer(schedule)
        self._timer.bind(loop)
        self._engine = front.engine
        self._close_at_once = close_at_once
        self._root_path = config.root_path
        self._app_state = app_state
        self._base: Scope | None = None
        self._default: RawHeaders | None = None
        self._text = self._done = b""

    def shutdown(self) -> None:
        """The server stops: every answer from now on says so."""
        self.stopping = True
        self._close_at_once()

    def stop(self) -> None:
        """Let go of the timer."""
        self.notes.flush()
        self._timer.stop()

    def open(self, asked: PollingRequest, transport: asyncio.Transport) -> Opened:
        """Open a session. Its open packet is the answer to this very request."""
        front, engine, requests = self.front, self._engine, self.requests
        if front.driver.loop is not self.loop:
            front.bind()
        head = asked.head
        scope = requests.scope(
            transport, head.method, head.path, head.query[1:], parse_headers(head.lines)
        )
        request = Request(scope)
        if self._base is None:
            same = ("type", "http_version", "server", "root_path", "method")
            self._base = {key: scope[key] for key in same}
            self._base.update(asgi=requests.asgi, state={})
        if not self._app_state and scope["server"] == self._base["server"]:
            request.pack(LazyScope(self._base, scope))
        sid = new_id()
        lines = encode_headers(engine.cookie_headers(sid))
        session, polling = engine.open_polling(request, sid)
        request.pack(request.scope)  # without the query, which is decoded again when it is read
        return Opened(session, polling, lines)

    def answer(
        self, response: Response, lines: bytes, *, last: bool, head_only: bool = False
    ) -> bytes:
        """The bytes of an answer; ``last`` says that its connection ends with it.

        The first lines of the commonest answers are kept for as long as they have the same date.
        """
        status, headers, body, _ = response
        default = self.state.default_headers
        if default is not self._default:
            self._default = default
            self._text = _started(200, default, TEXT)
            self._done = _started(200, default, DONE.headers)
        if headers is TEXT:
            start = self._text
        elif headers is DONE.headers:
            start = self._done
        else:
            start = _started(status, default, headers)
        if last or head_only:
            return b"%b%bcontent-length: %d\r\n%b\r\n%b" % (
                start,
                lines,
                len(body),
                b"connection: close\r\n" if last else b"",
                b"" if head_only else body,
            )
        return b"%b%bcontent-length: %d\r\n\r\n%b" % (start, lines, len(body), body)

    def log_line(self, asked: PollingRequest, transport: asyncio.Transport) -> tuple[str, str, str]:
        """What the HTTP server's access log says of a request."""
        head = asked.head
        client = asked.facts.client or address(transport, "peername")
        target = quote(self._root_path + head.path.decode()) + head.query.decode()
        return f"{client[0]}:{client[1]}" if client else "", head.method.decode(), target


def _started(status: int, default: RawHeaders, headers: HeaderList) -> bytes:
    first = b"".join([b"%b: %b\r\n" % item for item in default])
    return STATUS_LINE[status] + first + encode_headers(headers)
