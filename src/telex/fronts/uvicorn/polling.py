"""Long-polling without the machinery of an HTTP server.

A request of long-polling that has nothing odd in it, and that is seen by nobody but the
engine, is served at once, and its answer is one write. Whatever is not as usual goes to
the HTTP server, on the same connection and in order: this road refuses nobody, it leaves
that to those who know how."""

from __future__ import annotations

import asyncio
import copy
import logging
import re
from collections.abc import Callable, Generator
from contextlib import suppress
from typing import Any, NamedTuple
from urllib.parse import quote

import httptools
from uvicorn.config import Config
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.httptools_impl import STATUS_LINE
from uvicorn.server import ServerState

from ..._log import logger
from ...deadlines import Schedule, Timeout
from ...engine.cors import CorsPolicy
from ...engine.handshake import Refused, check_page
from ...engine.polling import BAD_REQUEST, DONE, TEXT, PollingTransport
from ...engine.reasons import TRANSPORT_ERROR
from ...engine.session import Session
from ...engine.tally import Tally
from ...ids import new_id
from ...loop.timer import LoopTimer
from ...types import FORWARDED_HOST, HeaderList, Request, Response, Scope, parse_query
from ..asgi import bundle, compression
from ..farewell import Farewell
from ..host import PollingFront
from .lazy import LazyScope

_errors = logging.getLogger("uvicorn.error")
_access = logging.getLogger("uvicorn.access")

SHARED = 64 * 1024
"""Bodies from this size on are written as they are: a broadcast's is that of all who poll."""
LONGEST_HEAD = 8 * 1024
MOST_HEADERS = 64
REMEMBERED = 1024 * 1024
"""Bytes of header lines that are remembered: clients send the same ones again and again."""
PAUSE = 0.05
"""The time between two looks at a session that is not read at present, in seconds."""

# Possessive throughout: what does not match is told in one pass.
_REQUEST = re.compile(rb"(GET|POST) (/[!-\"$->@-~]*+)\?([!-\"$-~]*+) HTTP/1\.1\r\n")
_LINES = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++")
_UNUSUAL = frozenset(
    (b"content-encoding", b"expect", b"proxy-connection", b"transfer-encoding", b"upgrade")
)
_CONNECTIONS = frozenset((b"keep-alive", b"close"))
_ONCE = frozenset((b"connection", b"content-length", b"content-type", b"host"))
_REVISIONS = {3: "3", 4: "4"}
_JSONP = "3&j"
_TIMED_OUT = Response(408, [("connection", "close")], b"")
_PLAIN = [("content-type", "text/plain; charset=utf-8")]
_INVALID = Response(400, _PLAIN, b"Invalid HTTP request received.")
_FAILED = Response(500, _PLAIN, b"Internal Server Error")

RawHeaders = list[tuple[bytes, bytes]]


class _Head:
    """What the header lines of a request say, and those of its answer."""

    __slots__ = ("binary", "client", "close", "gzip", "length", "lines")

    def __init__(self, request: Request, cors: CorsPolicy) -> None:
        get = request.headers.get
        self.length = int(get("content-length", "-1"))
        kind = get("content-type", "").partition(";")[0].strip().lower()
        self.binary = kind == "application/octet-stream"
        self.gzip = bundle.accepts_gzip(request)
        self.close = get("connection", "").lower() == "close"
        self.lines = _encoded(cors.headers(request))
        self.client: tuple[str, int] | None = None
        """Whom a proxy has named."""


class PollingRequest(NamedTuple):
    """A request that can be served at once."""

    method: bytes
    path: bytes
    query_string: bytes
    query: dict[str, str]
    lines: bytes
    head: _Head
    session: Session | None
    polling: PollingTransport | None
    body: int
    """Where its body begins."""


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
        self.options = front.engine.options
        self.state: Any = state
        self.loop = loop
        self.go_back = go_back
        self.stopping = False
        self.logs = _access.hasHandlers()
        schedule = Schedule(loop.time)
        self.idle: Timeout[PollingConnection] = schedule.timeout(
            config.timeout_keep_alive, PollingConnection.idle_timed_out
        )
        self.notes = Tally(schedule, _errors)
        self._timer = LoopTimer(schedule)
        self._timer.bind(loop)
        self._engine = front.engine
        self._close_at_once = close_at_once
        self._root_path = config.root_path
        self._app_state = app_state
        self._scheme = "https" if config.is_ssl else "http"
        self.asgi_application = {"version": config.asgi_version, "spec_version": "2.3"}
        self._base: Scope | None = None
        self._trusted: Any = None
        self._proxy: Any = None
        if proxy is not None:
            self._trusted = proxy.trusted_hosts
            self._proxy = copy.copy(proxy)
            self._proxy.app = _nobody
        self._path = ""
        self._paths: frozenset[bytes] = frozenset()
        self._cors = self._engine.cors
        self._heads: dict[object, _Head | None] = {}
        self._remembered = 0
        self._default: RawHeaders | None = None
        self._text = self._done = b""

    def shutdown(self) -> None:
        """The server stops: whoever is answered from now on is told so."""
        self.stopping = True
        self._close_at_once()

    def stop(self) -> None:
        """Let go of the timer."""
        self.notes.flush()
        self._timer.stop()

    # -- requests -----------------------------------------------------------------------

    def read(self, data: bytes, transport: asyncio.Transport) -> PollingRequest | None:
        """The request that ``data`` begins with, if it can be served at once."""
        line = _REQUEST.match(data)
        front = self.front
        if line is None or not front.alone:
            return None
        method, path, query_string = line.groups()
        if front.path != self._path:
            self._path = front.path
            self._paths = frozenset((self._path.encode(), self._path.encode() + b"/"))
        if path not in self._paths or "polling" not in self.options.transports:
            return None
        query = parse_query(query_string.decode("latin-1"))
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
            or not front.admits_at_once
            or not (revision == "4" or (revision == "3" and self.options.allow_eio3))
        ):
            return None
        start = line.end()
        end = data.find(b"\r\n\r\n", start - 2, LONGEST_HEAD)
        if end < 0:
            return None
        lines = data[start : end + 2]
        # What has to be known of a page depends on whether a script of it asks.
        kind = _JSONP if revision == "3" and "j" in query else revision
        head = self._heads.get((lines, kind)) if engine.cors is self._cors else None
        if head is None:
            head = self._head(lines, kind, transport)
            if head is None:
                return None
        if method == b"GET":
            if head.length >= 0:
                return None
        elif not 0 <= head.length <= self.options.max_http_buffer_size:
            return None
        return PollingRequest(
            method, path, query_string, query, lines, head, session, polling, end + 4
        )

    def _head(self, lines: bytes, kind: str, transport: asyncio.Transport) -> _Head | None:
        """What header lines say; ``None`` if this is no road for them."""
        if self._engine.cors is not self._cors:
            self._cors = self._engine.cors
            self._forget()
        key: object = (lines, kind)
        head = self._heads.get(key)
        if head is not None:
            return head
        proxied = False
        if key in self._heads:  # a proxy speaks for a client: is it to be believed?
            proxied = True
            proxy = _address(transport.get_extra_info("peername"))
            key = (lines, kind, proxy is not None and proxy[0] in self._trusted)
            head = self._heads.get(key)
            if head is not None:
                return head
        if _LINES.fullmatch(lines) is None:
            return None
        headers = _parsed(lines)
        if not _usual(headers):
            return None
        if not proxied and self._proxy is not None and _forwarded(headers):
            self._remember(key, None, len(lines))
            return self._head(lines, kind, transport)
        query = b"EIO=" + kind.encode()
        request = Request(self._scope(transport, b"GET", b"/", query, headers))
        if "msie" in request.headers.get("user-agent", "").lower():
            return None
        if self._cors.asks and (kind == _JSONP or "origin" in request.headers):
            return None
        try:
            check_page(request, self._cors)
        except Refused:
            return None
        head = _Head(request, self._cors)
        if request.client != _address(transport.get_extra_info("peername")):
            head.client = request.client
        self._remember(key, head, len(lines))
        return head

    def _remember(self, key: object, head: _Head | None, size: int) -> None:
        self._remembered += size + 500  # the objects
        if self._remembered > REMEMBERED:
            self._forget()
        self._heads[key] = head

    def _forget(self) -> None:
        self._heads.clear()
        self._remembered = 0

    def _scope(
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
            "asgi": dict(self.asgi_application),
            "http_version": "1.1",
            "server": _address(transport.get_extra_info("sockname")),
            "client": _address(transport.get_extra_info("peername")),
            "scheme": self._scheme,
            "root_path": self._root_path,
            "headers": headers,
            "state": self._app_state.copy(),
            "method": method.decode(),
            "path": self._root_path + path.decode(),
            "raw_path": self._root_path.encode("ascii") + path,
            "query_string": query_string,
        }
        if self._proxy is not None and _forwarded(headers):
            extensions = forwarded_host(self._proxy, scope["client"], headers)
            if extensions:
                scope["extensions"] = extensions
            run = self._proxy(scope, _nobody, _nobody)
            with suppress(StopIteration):
                run.send(None)
        return scope

    def open(self, asked: PollingRequest, connection: PollingConnection) -> None:
        """Open a session. Its open packet is the answer to this very request."""
        front, engine = self.front, self._engine
        if front.driver.loop is not self.loop:
            front.bind()
        scope = self._scope(
            connection.transport,
            asked.method,
            asked.path,
            asked.query_string,
            _parsed(asked.lines),
        )
        request = Request(scope)
        if self._base is None:
            same = ("type", "http_version", "server", "root_path", "method")
            self._base = {key: scope[key] for key in same}
            self._base.update(asgi=self.asgi_application, state={})
        if not self._app_state and scope["server"] == self._base["server"]:
            request.pack(LazyScope(self._base, scope))
        sid = new_id()
        connection.more = _encoded(engine.cookie_headers(sid))
        session, polling = engine.open_polling(request, sid)
        connection.poll(session, polling, asked.query.get("j"))
        session.flush()
        request.pack(request.scope)  # without the query, which is made again when it is wanted

    # -- answers ------------------------------------------------------------------------

    def answer(
        self, response: Response, lines: bytes, *, last: bool, head_only: bool = False
    ) -> bytes:
        """The bytes of an answer; ``last`` says that its connection ends with it.

        The first lines of the usual answers are kept for as long as they have the same date.
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
        client = asked.head.client or _address(transport.get_extra_info("peername"))
        path = quote(self._root_path + asked.path.decode())
        target = f"{path}?{asked.query_string.decode()}"
        return f"{client[0]}:{client[1]}" if client else "", asked.method.decode(), target


class PollingConnection(asyncio.Protocol):
    """A connection on which a client polls, one request after the other.

    It is what polls are answered with: ``PollingTransport`` calls it with the response.
    """

    __slots__ = (
        "_body",
        "_deaf",
        "_gzip",
        "_head",
        "_jsonp",
        "_line",
        "_packing",
        "_patience",
        "_polling",
        "_rest",
        "_road",
        "_session",
        "_steps",
        "_stuck",
        "more",
        "transport",
    )

    def __init__(self, road: PollingServer, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.more = b""
        """Lines of the next answer only."""
        self._road = road
        self._head: _Head | None = None  # of the request that has not been answered yet
        self._gzip = False
        self._packing = False
        self._jsonp = False
        self._line: tuple[str, str, str] | None = None
        self._session: Session | None = None
        self._polling: PollingTransport | None = None
        self._body: bytearray | None = None
        self._patience: asyncio.TimerHandle | None = None
        self._steps: Generator[None, None, Response] | None = None
        self._rest = b""
        self._deaf = False  # nothing is read
        self._stuck = False  # the client has not read the last answer

    def begin(self, asked: PollingRequest, data: bytes) -> None:
        """Take the connection over, with a request that has come."""
        self._road.state.connections.add(self)
        self.transport.set_protocol(self)
        self.transport.set_write_buffer_limits(1)  # say so when more than a byte has to wait
        self._serve(asked, data)

    # -- the connection -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Serve a request, or leave it to the HTTP server."""
        if self._head is not None or self._stuck:
            self._more_received(data)
            return
        road = self._road
        asked = road.read(data, self.transport)
        if asked is not None:
            self._serve(asked, data)
        else:
            road.idle.stop(self)
            road.state.connections.discard(self)
            self.transport.set_write_buffer_limits()
            road.go_back(self.transport, data)

    def _hold(self, data: bytes) -> None:
        """The client does not wait for its answer: it is read no further meanwhile."""
        self._keep(data)
        self._judge_rest()

    def _keep(self, data: bytes) -> None:
        self._rest += data
        self._listen_not()

    def _judge_rest(self) -> None:
        """Refuse what is held, if no HTTP server would take it, before its turn comes."""
        if not _proper(self._rest):
            self._road.notes.note(_INVALID.body.decode())
            self.transport.write(self._road.answer(_INVALID, b"", last=True))
            self._linger()

    def _listen_not(self) -> None:
        self._deaf = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Listen again, and serve what has been held."""
        if self._head is not None or self._stuck or self.transport.is_closing():
            return
        data, self._rest = self._rest, b""
        self._deaf = False
        self.transport.resume_reading()
        if data:
            self.data_received(data)

    def pause_writing(self) -> None:
        """The client does not read its answer: it is not listened to either."""
        self._stuck = True
        self._listen_not()

    def resume_writing(self) -> None:
        """The client has read."""
        self._stuck = False
        if self._polling is not None and self._head is None:
            self._polling.read(self)
            self._session = self._polling = None
        if not self.transport.is_closing():
            self._road.front.driver.left(self)
            self._road.idle.start(self)
        self._go_on()

    def eof_received(self) -> None:
        """The client says no more: what it does not read soon is dropped."""
        self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        road = self._road
        road.idle.stop(self)
        road.front.driver.left(self)
        road.state.connections.discard(self)
        head, self._head = self._head, None
        session, polling = self._session, self._polling
        if session is None or polling is None or self._steps is not None:
            return  # what has been posted is still handed on
        self._session = self._polling = None
        if head is None or self._packing:
            polling.cut(session)
        elif self._body is not None:
            self._end_body()
            polling.abort_post(session)
        else:
            polling.abort(session, self)

    def leave(self) -> None:
        """The connection is to end: the client has a moment to read."""
        self._road.front.driver.leave(self)

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self.transport.abort()

    def _close(self) -> None:
        """Close the connection when the client has read everything, if that is soon."""
        self.leave()
        self.transport.close()

    def _linger(self) -> None:
        """Close the connection, though the client may have more to say."""
        self.connection_lost(None)
        Farewell(self.transport, self._road.front.driver.leaving)

    def idle_timed_out(self) -> None:
        """Nothing has been answered for a while: has the client asked for anything?"""
        if self._head is None and not self._stuck:
            self._close()

    def shutdown(self) -> None:
        """The server stops (called by uvicorn)."""
        self._road.shutdown()
        if self._head is None:
            self._close()

    # -- requests -----------------------------------------------------------------------

    def _serve(self, asked: PollingRequest, data: bytes) -> None:
        """Serve a request; ``data`` begins with it."""
        head = self._head = asked.head
        if self._road.logs:
            self._line = self._road.log_line(asked, self.transport)
        session, polling = asked.session, asked.polling
        try:
            end = asked.body + max(head.length, 0)
            if len(data) > end:
                self._keep(data[end:])
            if asked.method == b"POST":
                self._post(asked, data[asked.body : end])
            else:
                self._gzip = head.gzip
                if session is None or polling is None:
                    self._road.open(asked, self)
                else:
                    self.poll(session, polling, asked.query.get("j"))
            if self._rest and self._head is head:  # not answered yet, and may never be
                self._judge_rest()
        except Exception:
            self._fail()

    def poll(self, session: Session, polling: PollingTransport, jsonp: str | None) -> None:
        """A poll of this session: its answer comes now or later."""
        self._session = session
        self._polling = polling
        polling.poll(session, self, jsonp)

    def _post(self, asked: PollingRequest, body: bytes) -> None:
        session, polling = asked.session, asked.polling
        if session is None or polling is None:
            raise AssertionError("only a session has something to say")
        if not polling.start_post(session):
            self(BAD_REQUEST)
            return
        self._session = session
        self._polling = polling
        self._jsonp = "j" in asked.query
        if len(body) < asked.head.length:
            self._body = bytearray(body)
            road = self._road
            self._patience = road.loop.call_later(road.front.body_timeout, self._body_timed_out)
        else:
            self._take_body(body)

    def _more_received(self, data: bytes) -> None:
        """The client says more before it has been answered."""
        head, body = self._head, self._body
        if head is None or body is None:
            self._hold(data)
            return
        body += data
        if len(body) < head.length:
            return
        if len(body) > head.length:
            self._hold(bytes(body[head.length :]))
            if self._head is not head:
                return
        self._end_body()
        try:
            self._take_body(bytes(body[: head.length]))
        except Exception:
            self._fail()

    def _end_body(self) -> None:
        """Nothing more is to come of the body."""
        self._body = None
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _body_timed_out(self) -> None:
        head, session, polling = self._head, self._session, self._polling
        self._end_body()
        if head is None or session is None or polling is None:
            raise AssertionError("who has gone is not waited for")
        self._session = self._polling = None
        polling.abort_post(session)
        answer = self._road.answer(_TIMED_OUT, head.lines, last=False)
        self._finish(408, answer, last=True, more=True)

    def _take_body(self, body: bytes) -> None:
        head, session, polling = self._head, self._session, self._polling
        if head is None or session is None or polling is None:
            raise AssertionError("a body belongs to a request")
        self._steps = polling.post(session, body, binary=head.binary, jsonp=self._jsonp)
        self._step()

    def _step(self) -> None:
        """Hand on what was posted; the answers to it leave together."""
        steps, session = self._steps, self._session
        if steps is None or session is None:
            raise AssertionError("there is something to hand on")
        session.corked = True
        try:
            next(steps)
        except StopIteration as done:
            self._steps = None
            self(done.value)
        except Exception:
            self._steps = None
            self._fail()
        try:
            session.flush()
        except Exception:
            logger.exception("a session could not be flushed")
            session.end(TRANSPORT_ERROR)
        if self._steps is None:
            return
        if session.paused:
            self._road.loop.call_later(PAUSE, self._step)
        else:
            self._road.loop.call_soon(self._step)

    # -- answers ------------------------------------------------------------------------

    def __call__(self, response: Response) -> None:
        """Answer the request."""
        if self._gzip:
            self._gzip = False
            threshold = self._road.options.http_compression
            if threshold and response.compress and len(response.body) >= threshold:
                self._packing = True
                tasks = self._road.state.tasks
                packing = self._road.loop.create_task(self._answer_packed(response))
                tasks.add(packing)
                packing.add_done_callback(tasks.discard)
                return
        self._packing = False
        head = self._head
        if head is None:  # the client has not waited
            self._session = self._polling = None
            return
        road = self._road
        lines = head.lines + self.more if self.more else head.lines
        last = head.close or road.stopping
        if len(response.body) < SHARED:
            self._finish(response.status, road.answer(response, lines, last=last), last=last)
        else:
            answer = road.answer(response, lines, last=last, head_only=True)
            self._finish(response.status, answer, response.body, last=last)

    def _finish(
        self, status: int, answer: bytes, body: bytes = b"", *, last: bool, more: bool = False
    ) -> None:
        """Write an answer; ``more`` says that the client may not have said everything."""
        road = self._road
        self._head = None
        self.more = b""
        if self._line is not None:
            _access.info('%s - "%s %s HTTP/%s" %d', *self._line, "1.1", status)
            self._line = None
        self.transport.write(answer)
        if body:
            self.transport.write(body)
        road.state.total_requests += 1
        session, polling = self._session, self._polling
        if not self._stuck:
            self._session = self._polling = None
        elif session is None or polling is None:
            self.leave()
        else:
            polling.reading(session, self)
        if more:
            self._linger()
            return
        if last:
            if self._polling is None:
                self.leave()
            # Otherwise the client still reads, and its session says when that has to end.
            self.transport.close()
            return
        road.idle.start(self)
        if self._deaf:
            road.loop.call_soon(self._go_on)

    def _fail(self) -> None:
        """A request could not be served."""
        _errors.exception("Exception in ASGI application\n")
        self._session = self._polling = None
        self._gzip = self._packing = False
        if self._head is None:
            self._close()
        else:
            self._finish(500, self._road.answer(_FAILED, b"", last=True), last=True)

    async def _answer_packed(self, response: Response) -> None:
        """Answer with a body that is compressed."""
        packed = await compression.packed(response._replace(headers=[]))
        self.more += _encoded(packed.headers)
        self(response._replace(body=packed.body))


def _started(status: int, default: RawHeaders, headers: HeaderList) -> bytes:
    first = b"".join([b"%b: %b\r\n" % item for item in default])
    return STATUS_LINE[status] + first + _encoded(headers)


def _encoded(headers: HeaderList) -> bytes:
    return "".join([f"{name.lower()}: {value}\r\n" for name, value in headers]).encode("latin-1")


def _parsed(lines: bytes) -> RawHeaders:
    """Header lines as the HTTP server would give them."""
    headers: RawHeaders = []
    for line in lines.splitlines():
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" 	")))
    return headers


def _usual(headers: RawHeaders) -> bool:
    """Whether nothing in the headers asks for more than an answer to this request."""
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
    return len(headers) <= MOST_HEADERS and b"host" in seen and len(seen) == len(set(seen))


def _forwarded(headers: RawHeaders) -> bool:
    """Whether a proxy says for whom it asks."""
    return any(b"forwarded" in name for name, _ in headers)


def forwarded_host(
    proxy: ProxyHeadersMiddleware | None, peer: tuple[str, int] | None, headers: RawHeaders
) -> dict[str, str]:
    """The scope extension with the host that a proxy was asked for, if the proxy is trusted.

    Each proxy adds to the header: the first entry is what the client has asked for.
    """
    if proxy is None:
        return {}
    hosts = [value for name, value in headers if name == b"x-forwarded-host"]
    if not hosts or (peer[0] if peer else None) not in proxy.trusted_hosts:
        return {}
    return {FORWARDED_HOST: hosts[0].partition(b",")[0].strip().decode("latin-1")}


def _address(name: Any) -> Any:
    """Host and port of an Internet address; ``None`` for other kinds of sockets."""
    kind = name.__class__
    return (str(name[0]), int(name[1])) if kind is tuple else None


class _Upgrades:
    """Whether requests ask for a WebSocket."""

    websocket = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come (called by httptools)."""
        if name.lower() == b"upgrade" and value.lower() == b"websocket":
            self.websocket = True


def _proper(data: bytes) -> bool:
    """Whether requests may wait behind another one; an upgrade may not."""
    upgrades = _Upgrades()
    try:
        httptools.HttpRequestParser(upgrades).feed_data(data)
    except httptools.HttpParserUpgrade:
        return not upgrades.websocket
    except httptools.HttpParserError:
        return False
    return True


async def _nobody(*_: Any) -> None:
    """The application behind the middleware that is asked alone."""
