"""The requests of long-polling: which of them are served without an HTTP server.

What header lines say (may this origin ask, is a proxy to be believed, what is a browser told)
is worked out once and remembered, because clients send the same lines again and again.
"""

from __future__ import annotations

import asyncio
import copy
from contextlib import suppress
from typing import Any, NamedTuple

from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ...engine.cors import CorsPolicy
from ...engine.handshake import Refused, check_page
from ...engine.polling import PollingTransport
from ...engine.session import Session
from ...types import HeaderList, Request, parse_query
from ..asgi import bundle
from ..host import PollingFront
from .head import RawHeaders, RequestHead, are_well_formed, parse_headers, scan
from .proxies import address, are_forwarded, forwarded_host

REMEMBERED = 1024 * 1024
"""Bytes of header lines that are remembered."""

_UNUSUAL = frozenset(
    (b"content-encoding", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_CONNECTIONS = frozenset((b"keep-alive", b"close"))
_ONCE = frozenset((b"connection", b"content-length", b"content-type", b"host"))
_REVISIONS = {3: "3", 4: "4"}
_JSONP = "3&j"


class HeaderFacts:
    """What the header lines of a request say, and those of its answer."""

    __slots__ = ("answer_lines", "binary", "client", "close", "gzip", "length")

    def __init__(self, request: Request, cors: CorsPolicy) -> None:
        get = request.headers.get
        self.length = int(get("content-length", "-1"))
        kind = get("content-type", "").partition(";")[0].strip().lower()
        self.binary = kind == "application/octet-stream"
        self.gzip = bundle.accepts_gzip(request)
        self.close = get("connection", "").lower() == "close"
        self.answer_lines = encode_headers(cors.headers(request))
        self.client: tuple[str, int] | None = None
        """The client that a trusted proxy has named."""


class PollingRequest(NamedTuple):
    """A request that is served without an HTTP server."""

    head: RequestHead
    query: dict[str, str]
    facts: HeaderFacts
    session: Session | None
    """Its session; ``None`` for a handshake."""
    polling: PollingTransport | None


class RequestReader:
    """Reads the requests of long-polling that come to one server."""

    def __init__(
        self,
        front: PollingFront,
        config: Config,
        app_state: dict[str, Any],
        proxy: ProxyHeadersMiddleware | None,
    ) -> None:
        self._front = front
        self._engine = front.engine
        self._options = front.engine.options
        self._root_path = config.root_path
        self._app_state = app_state
        self._scheme = "https" if config.is_ssl else "http"
        self.asgi = {"version": config.asgi_version, "spec_version": "2.3"}
        self._trusted: Any = None
        self._proxy: Any = None
        if proxy is not None:
            self._trusted = proxy.trusted_hosts
            self._proxy = copy.copy(proxy)
            self._proxy.app = _no_application
        self._cors = self._engine.cors
        self._facts: dict[object, HeaderFacts | None] = {}
        self._remembered = 0

    def read(self, data: bytes, transport: asyncio.Transport) -> PollingRequest | None:
        """The request that ``data`` begins with; ``None`` if it is for the HTTP server."""
        front = self._front
        head = scan(data)
        if head is None or head.path not in front.targets or not front.is_unobserved:
            return None
        if "polling" not in self._options.transports:
            return None
        method = head.method
        query = parse_query(head.query[1:].decode("latin-1"))
        if query.get("transport") != "polling":
            return None
        engine = self._engine
        revision = query.get("EIO", "")
        sid = query.get("sid")
        session: Session | None = None
        polling: Any = None
        if sid:
            session = engine.sessions.get(sid)
            if session is None or _REVISIONS[session.protocol] != revision:
                return None
            polling = session.transport
            if not isinstance(polling, PollingTransport):
                return None
        elif (
            method != b"GET"
            or engine.closing
            or not front.admits_synchronously
            or not (revision == "4" or (revision == "3" and self._options.allow_eio3))
        ):
            return None
        # What has to be known of a page depends on whether a script of it asks.
        kind = _JSONP if revision == "3" and "j" in query else revision
        facts = self._facts.get((head.lines, kind)) if engine.cors is self._cors else None
        if facts is None:
            facts = self._facts_of(head.lines, kind, transport)
            if facts is None:
                return None
        if method == b"GET":
            if facts.length >= 0:
                return None
        elif not 0 <= facts.length <= self._options.max_http_buffer_size:
            return None
        return PollingRequest(head, query, facts, session, polling)

    def _facts_of(
        self, lines: bytes, kind: str, transport: asyncio.Transport
    ) -> HeaderFacts | None:
        """What header lines say; ``None`` if their request is for the HTTP server."""
        if self._engine.cors is not self._cors:
            self._cors = self._engine.cors
            self._forget()
        key: object = (lines, kind)
        facts = self._facts.get(key)
        if facts is not None:
            return facts
        proxied = False
        if key in self._facts:  # a proxy speaks for a client: is it to be believed?
            proxied = True
            proxy = address(transport, "peername")
            key = (lines, kind, proxy is not None and proxy[0] in self._trusted)
            facts = self._facts.get(key)
            if facts is not None:
                return facts
        if not are_well_formed(lines):
            return None
        headers = parse_headers(lines)
        if not _ask_only_for_an_answer(headers):
            return None
        if not proxied and self._proxy is not None and are_forwarded(headers):
            self._remember(key, None, len(lines))
            return self._facts_of(lines, kind, transport)
        query = b"EIO=" + kind.encode()
        request = Request(self.scope(transport, b"GET", b"/", query, headers))
        if "msie" in request.headers.get("user-agent", "").lower():
            return None
        if self._cors.asks and (kind == _JSONP or "origin" in request.headers):
            return None
        try:
            check_page(request, self._cors)
        except Refused:
            return None
        facts = HeaderFacts(request, self._cors)
        if request.client != address(transport, "peername"):
            facts.client = request.client
        self._remember(key, facts, len(lines))
        return facts

    def _remember(self, key: object, facts: HeaderFacts | None, size: int) -> None:
        self._remembered += size + 500  # the objects
        if self._remembered > REMEMBERED:
            self._forget()
        self._facts[key] = facts

    def _forget(self) -> None:
        self._facts.clear()
        self._remembered = 0

    def scope(
        self,
        transport: asyncio.Transport,
        method: bytes,
        path: bytes,
        query_string: bytes,
        headers: RawHeaders,
    ) -> dict[str, Any]:
        """The scope that the application would see."""
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": dict(self.asgi),
            "http_version": "1.1",
            "server": address(transport, "sockname"),
            "client": address(transport, "peername"),
            "scheme": self._scheme,
            "root_path": self._root_path,
            "headers": headers,
            "state": self._app_state.copy(),
            "method": method.decode(),
            "path": self._root_path + path.decode(),
            "raw_path": self._root_path.encode("ascii") + path,
            "query_string": query_string,
        }
        if self._proxy is not None and are_forwarded(headers):
            extensions = forwarded_host(self._proxy, scope["client"], headers)
            if extensions:
                scope["extensions"] = extensions
            run = self._proxy(scope, _no_application, _no_application)
            with suppress(StopIteration):
                run.send(None)
        return scope


def encode_headers(headers: HeaderList) -> bytes:
    """Header lines as they go over the wire, each with its end."""
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")


def _ask_only_for_an_answer(headers: RawHeaders) -> bool:
    """Whether no header changes what its request means, or where its body ends."""
    seen: list[bytes] = []
    for name, value in headers:
        if name in _ONCE:
            seen.append(name)
            if name == b"content-length" and not (value.isdigit() and len(value) < 16):
                return False
            if name == b"connection" and value.lower() not in _CONNECTIONS:
                return False
        elif name in _UNUSUAL:
            return False
    return b"host" in seen and len(seen) == len(set(seen))


async def _no_application(*_: Any) -> None:
    """The application behind a middleware that is run for its effect on the scope."""
