"""uvicorn's HTTP protocol with doors to the fast WebSocket and to long-polling.

uvicorn stays the HTTP server, process manager, TLS terminator and reloader. Upgrade
requests of Engine.IO clients run through the ASGI application like any other, with an
``Upgrade`` in the scope: a telex server that receives it takes over the connection, so
that no task and no queue stands between it and the client. Usual requests of long-polling
are left to ``fast_polling``. All others take uvicorn's own road."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import logging
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from collections import deque
from typing import Any, Literal, NamedTuple, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.middleware.message_logger import MessageLoggerMiddleware
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ..._log import logger
from ..._logging import SESSION_IDS
from ...deadlines import Schedule, Timeout
from ...engine.tally import Tally
from ...loop.timer import LoopTimer
from ...native import core
from ...types import HeaderList, Request, Response, Scope
from ..driver import Driver, Leaving, leaving_lane
from ..farewell import ClosingTransport, Farewell
from ..host import TelexServer
from ..upgrade import EXTENSION, Accepted
from ..websocket.picows import FastWebSocket, accept
from .lazy import LazyRequest
from .pacing import Pacer
from .polling import PollingConnection, PollingServer, forwarded_host

_errors = logging.getLogger("uvicorn.error")
_errors.addFilter(SESSION_IDS)
logging.getLogger("uvicorn.access").addFilter(SESSION_IDS)
INVALID = "Invalid HTTP request received."

MAX_HEADERS = 256
MAX_HEADER_SIZE = 16 * 1024
HEADER_TIMEOUT = 10.0
"""How long the head of a request may take, in seconds."""

UNREAD_TIMEOUT = 30.0
LEAST_READ = 0.05
"""The part of what waits for a client that it must read in ``UNREAD_TIMEOUT`` seconds."""

ACCEPTS_PER_TURN = 64
"""How many new connections are served before the loop has its turn."""

_ENGINE_QUERY = re.compile(rb"[?&]EIO=")
# Possessive throughout: what does not match is told in one pass.
_USUAL_HEAD = re.compile(
    rb"GET (/[!-\"$->@-~]*+)(\?[!-\"$-~]*+) HTTP/1\.1"
    rb"((?:\r\n[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+)++)\Z"
)
# What a handshake depends on, in a head in lower case.
_TELLING = re.compile(
    rb"\n(host|connection|upgrade|sec-websocket-(?:key|version|protocol)|content-length|expect"
    rb"|transfer-encoding|x-forwarded-(?:for|host|proto)):[\t ]*+([^\r]*+)"
)
_NEEDED = {b"connection", b"host", b"sec-websocket-key", b"sec-websocket-version", b"upgrade"}
_FORWARDED = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
MOST_ADDRESSES = 64
# 16 bytes in base64.
_KEY = re.compile(rb"\n(?i:sec-websocket-key):[\t ]*+([0-9A-Za-z+/]{22}==)[\t ]*+(?:\r|\Z)")
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    426: "Upgrade Required",
    503: "Service Unavailable",
}
_PLAIN = [("content-type", "text/plain; charset=utf-8")]


RawHeaders = list[tuple[bytes, bytes]]


_native: Any = None
if core is not None:
    from ..websocket import native as _native

_ROAD = "telex_polling"
_OWN_CALL: Any = vars(TelexServer)["__call__"]


class Way(NamedTuple):
    """What stands between an HTTP server and a telex server."""

    server: TelexServer[Any] | None
    """The telex server, if it is what the HTTP server serves."""
    clear: bool
    """Whether nothing but the engine sees requests, so that they may take a faster road."""
    proxy: ProxyHeadersMiddleware | None
    """What reads the headers of proxies, as the HTTP server's own part of the way."""


def way_to(app: Any) -> Way:
    """What stands between an HTTP server and the telex server that it serves, if it does.

    The types decide, not what objects say of themselves: an object that hands on its
    attributes to a server within it sees the requests of that server.
    """
    proxies: list[ProxyHeadersMiddleware] = []
    clear = True
    while type(app) in (ProxyHeadersMiddleware, MessageLoggerMiddleware):
        if type(app) is ProxyHeadersMiddleware:
            proxies.append(app)
        else:
            clear = False  # each request is logged
        app = app.app
    proxy = proxies[0] if proxies else None
    if not issubclass(type(app), TelexServer):
        return Way(None, False, proxy)
    kinds: tuple[type, ...] = type(app).__mro__
    overrides = any(vars(kind).get("__call__", _OWN_CALL) is not _OWN_CALL for kind in kinds)
    clear = clear and len(proxies) < 2 and not overrides
    return Way(app, clear, proxy)


class UvicornUpgrade:
    """A request for a WebSocket that waits for a verdict.

    ``mistake`` is how its WebSocket part is refused, if it is wrong; otherwise ``key`` is
    what the client wants to have confirmed.
    """

    __slots__ = ("_decided", "_key", "_packed", "_protocol", "mistake")

    def __init__(
        self,
        protocol: FastHttpProtocol,
        key: bytes,
        mistake: Response | None = None,
        packed: LazyRequest | None = None,
    ) -> None:
        self._protocol: FastHttpProtocol | None = protocol
        self._key = key
        self._packed = packed
        self._decided = False
        self.mistake = mistake

    def _settle(self) -> asyncio.Transport:
        """Take the connection over, and let go of everything that belonged to HTTP."""
        self._decided = True
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            raise AssertionError("an upgrade is decided once")
        return protocol.hand_over()

    @property
    def gone(self) -> bool:
        """Whether the client has not waited for the verdict."""
        return self._protocol is None or self._protocol.transport.is_closing()

    def request(self, scope: Scope) -> Request:
        """The request as it is going to be kept."""
        return Request(scope) if self._packed is None else self._packed.seen_as(scope)

    def accept(self, driver: Driver, revision: int, max_size: int, headers: HeaderList) -> Accepted:
        """Answer with 101; the connection belongs to the returned transport."""
        key = self._key
        rest = b"" if self._protocol is None else self._protocol.rest
        if self._protocol is not None:
            self._protocol.taken_by(driver)
        transport = self._settle()
        if _native is not None:
            websocket: Accepted | None = _native.accept(
                driver, transport, key, headers, revision, max_size, rest
            )
            if websocket is not None:
                return websocket
        picows = FastWebSocket(driver, revision, max_size)
        accept(transport, key.decode("latin-1"), headers, picows, rest)
        return picows

    def refuse(self, response: Response) -> None:
        """Answer with a refusal and close the connection."""
        if self._protocol is None:
            raise AssertionError("an upgrade is decided once")
        leaving = self._protocol.leaving
        transport = self._settle()
        lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Refused')}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines += [f"content-length: {len(response.body)}", "connection: close", "", ""]
        transport.write("\r\n".join(lines).encode("latin-1") + response.body)
        Farewell(transport, leaving)

    def leave(self, request: Request) -> None:
        """The upgrade has served: kept in a scope, it would keep the HTTP side alive."""
        if isinstance(request, LazyRequest):
            request.drop_query()
            return
        scope = request.scope
        scope["extensions"] = {}
        request.pack(scope)

    @property
    def decided(self) -> bool:
        """Whether a telex server has taken or refused the connection."""
        return self._decided


class FastHttpProtocol(HttpToolsProtocol):
    """HTTP by uvicorn; WebSockets of Engine.IO by picows."""

    _unread = 0
    _upgrade_task: asyncio.Task[None] | None = None
    _complete = False
    _head_size = 0
    _heads: Timeout[FastHttpProtocol]
    _server: TelexServer[Any] | None = None
    _closing: ClosingTransport | None = None
    leaving: Timeout[Leaving]
    _is_http = False
    rest = b""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        # What uvicorn sets up for a connection is made when it is needed, see _become_http.
        self.config = config
        self.server_state = server_state
        self.app_state = app_state
        self.loop = _loop or asyncio.get_event_loop()
        self.connections = server_state.connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        self.connections.add(self)
        self.transport = transport
        shared = self._shared = _shared(
            self.server_state, self._application, self.config, self.loop
        )
        self._server = shared.way.server
        self._heads = shared.heads
        self.leaving = shared.leaving
        shared.heads.start(self)

    def _become_http(self) -> None:
        """Let uvicorn have the connection."""
        transport, self._is_http = self.transport, True
        super().__init__(self.config, self.server_state, self.app_state, self.loop)
        self._closing = closing = ClosingTransport(transport, self.leaving)
        self.transport = cast("asyncio.Transport", closing)
        self.flow = FlowControl(transport)
        self.server, self.client, self.scheme = self._addresses()

    def _addresses(self) -> tuple[Any, Any, Literal["http", "https"]]:
        """The server's address, the client's, and how they speak."""
        ask = self.transport.get_extra_info
        secure = ask("sslcontext") is not None
        return _address(ask("sockname")), _address(ask("peername")), "https" if secure else "http"

    def connection_lost(self, exc: Exception | None) -> None:
        self._heads.stop(self)
        if self._upgrade_task is not None:
            self._upgrade_task.cancel()
        if self._closing is not None:
            self._closing.lost()
            self._shared.unread.stop(self)
            super().connection_lost(exc)
        else:
            self.connections.discard(self)

    @property
    def _application(self) -> Any:
        return vars(self.config)["loaded_app"]

    # -- the head of a request -------------------------------------------------------------

    def head_timed_out(self) -> None:
        """The client takes too long for the head of its request."""
        self.transport.close()

    def eof_received(self) -> None:
        """The client says no more: what it does not read soon is dropped."""
        self.transport.close()

    def pause_writing(self) -> None:
        """The client does not read: it is waited for as long as it reads something."""
        self._unread = self.transport.get_write_buffer_size()
        self._shared.unread.start(self)
        if self._is_http:
            super().pause_writing()

    def resume_writing(self) -> None:
        self._shared.unread.stop(self)
        if self._is_http:
            super().resume_writing()

    def unread_for_long(self) -> None:
        """The client has had time to read what was written."""
        unread = self.transport.get_write_buffer_size()
        if unread > self._unread * (1 - LEAST_READ):
            self.transport.abort()
        else:
            self._unread = unread
            self._shared.unread.start(self)

    def on_message_begin(self) -> None:
        self._head_size = 0
        self._complete = False
        if self._closing is not None:
            self._closing.complete = False
        if self not in self._heads:
            self._heads.start(self)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        self._grow(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        self._grow(len(name) + len(value) + 4)
        super().on_header(name, value.strip(b" \t"))  # RFC 9112, 5: not part of the value

    def _grow(self, size: int) -> None:
        self._head_size += size
        headers = self.headers
        if self._head_size > MAX_HEADER_SIZE or (headers and len(headers) > MAX_HEADERS):
            raise HeadTooLarge

    def on_headers_complete(self) -> None:
        self._heads.stop(self)
        self.limit_concurrency = self._limit()
        extensions = forwarded_host(self._shared.way.proxy, self.client, self.headers)
        if extensions:
            scope: Any = self.scope
            scope["extensions"] = extensions
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """As uvicorn's, but nothing behind an upgrade request is lost, and heads are bounded."""
        if not self._is_http:
            self._shared.greet(self, data)
        elif self._closing is not None and self._closing.closed:
            return  # nothing more is answered
        elif not (self._at_rest and self._polls(data)):
            self._receive(data)

    def first_bytes(self, data: bytes) -> None:
        """What a new connection has said first: it is its turn now."""
        if not self._polls(data):
            self.serve(data)

    def serve(self, data: bytes) -> None:
        """A connection begins with what is no usual request of long-polling."""
        if not self._taken_at_once(data):
            self._become_http()
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            if self._should_upgrade():
                self.rest = data[upgrade.args[0] :]
                self.handle_websocket_upgrade()
            else:
                self._unsupported_upgrade_warning()
        except httptools.HttpParserError as error:
            self._refuse_request(error)

    def _refuse_request(self, error: Exception) -> None:
        self._heads.stop(self)
        if isinstance(error.__context__, HeadTooLarge):
            limits = f"{MAX_HEADER_SIZE} bytes and {MAX_HEADERS} lines are allowed"
            self._shared.notes.note("refused with 431, the head of the request", limits)
            self.transport.write(
                b"HTTP/1.1 431 Request Header Fields Too Large\r\n"
                b"content-length: 0\r\nconnection: close\r\n\r\n"
            )
            self.transport.close()
        else:
            self._shared.notes.note(INVALID)
            self.send_400_response(INVALID)
        super().connection_lost(None)  # whatever the client says from now on

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn's: an upgrade that is not for a WebSocket; served as if it had not been asked."""
        self._shared.notes.note("Unsupported upgrade request.", level=logging.WARNING)

    def shutdown(self) -> None:
        """The server stops: clients that keep connections open for ever are told so."""
        road: PollingServer | None = vars(self.server_state).get(_ROAD)
        if road is not None:
            road.stopping = True
        server = self._server
        if server is not None:
            server.close_at_once()
        if self._is_http:
            super().shutdown()
        else:
            self.transport.close()

    # -- long-polling --------------------------------------------------------------------

    def on_message_complete(self) -> None:
        self._complete = True
        if self._closing is not None:
            self._closing.message_complete()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """A request has been answered, perhaps before its body has come."""
        begun = self not in self._heads and self.cycle.response_complete
        if begun and self._closing is not None:
            self._closing.answered()
        super().on_response_complete()

    @property
    def _at_rest(self) -> bool:
        """Whether every request that has come is answered."""
        if not self._complete or self._upgrade_task is not None:
            return False
        cycle: Any = self.cycle  # None before the first request
        answered = cycle is None or cycle.response_complete
        stuck = self.pipeline or self.flow.write_paused or self.transport.is_closing()
        return answered and not stuck

    def _polls(self, data: bytes) -> bool:
        """Leave the connection to long-polling, if that is what is asked for."""
        if b"transport=polling" not in data:
            return False
        road, transport = self._road(), self.transport
        asked = None if road is None else road.read(data, transport)
        if road is None or asked is None:
            return False
        if self._is_http:
            self._unset_keepalive_if_required()
        self.hand_over()
        PollingConnection(road, transport).begin(asked, data)
        return True

    def _road(self) -> PollingServer | None:
        """The road of all connections of this server; ``None`` if uvicorn is to see everything."""
        attributes = vars(self.server_state)
        if _ROAD not in attributes:
            attributes[_ROAD] = self._open_road()
        road: PollingServer | None = attributes[_ROAD]
        return road

    def _open_road(self) -> PollingServer | None:
        config, state, app_state, loop = (
            self.config,
            self.server_state,
            self.app_state,
            self.loop,
        )
        server, clear, proxy = self._shared.way
        if server is None or not clear or config.limit_concurrency is not None:
            return None

        def go_back(transport: asyncio.Transport, data: bytes) -> None:
            protocol = FastHttpProtocol(config, state, app_state, loop)
            protocol.connection_made(transport)
            transport.set_protocol(protocol)
            protocol.serve(data)

        return PollingServer(
            server.front,
            config,
            state,
            app_state,
            proxy=proxy,
            loop=loop,
            go_back=go_back,
            close_at_once=server.close_at_once,
        )

    # -- upgrades ------------------------------------------------------------------------

    def handle_websocket_upgrade(self) -> None:
        cycle: Any = self.cycle  # None before the first request
        if cycle is not None and not cycle.response_complete:
            # An earlier request on this connection has not been answered yet.
            self._refuse_request(httptools.HttpParserError())
            return
        refusal = self._refused_upgrade()
        if refusal is not None:
            UvicornUpgrade(self, b"").refuse(refusal)
            return
        server = self._server
        if _ENGINE_QUERY.search(self.url) is None or (server and server.per_message_deflate):
            self._leave_to_host()
            return
        upgrade = UvicornUpgrade(self, *_judged(self.parser.get_method(), self.headers))
        scope = self._websocket_scope(upgrade)
        if server is not None and self._shared.way.clear and server.front.answers_at_once(scope):
            self._answer_at_once(upgrade, scope)
            return
        self.transport.pause_reading()
        self._upgrade_task = self.loop.create_task(self._run_upgrade(upgrade, scope))

    def _limit(self) -> int | None:
        """``limit_concurrency`` without the WebSockets that are no connections of uvicorn's."""
        limit = self.config.limit_concurrency
        return None if limit is None else max(0, limit - self._shared.websockets)

    def _refused_upgrade(self) -> Response | None:
        """How a handshake is refused that no application is asked about."""
        if self.parser.get_http_version() != "1.1":  # RFC 6455, 4.2.1
            return Response(400, _PLAIN, b"a WebSocket is opened with HTTP/1.1")
        limit = self._limit()
        if limit is None or max(len(self.connections), len(self.tasks)) < limit:
            return None
        self.logger.warning("Exceeded concurrency limit.")
        return Response(503, _PLAIN, b"Service Unavailable")

    def _taken_at_once(self, data: bytes) -> bool:
        """Take a handshake that has come in one piece, has nothing odd, and needs no HTTP server.

        Whatever is not as usual is left to uvicorn's parser, which judges it.
        """
        shared = self._shared
        server = shared.way.server
        end = data.find(b"\r\n\r\n")
        if server is None or not shared.at_once or not 0 < end <= MAX_HEADER_SIZE:
            return False
        head = _USUAL_HEAD.match(data, 0, end)
        if head is None or _ENGINE_QUERY.search(head[2]) is None:
            return False
        lines = head[3].lower()
        if lines.count(b"\n") > MAX_HEADERS:
            return False
        telling = _TELLING.findall(lines)
        told = dict(telling)
        if len(told) != len(telling) or not _asks_for_websocket(told):
            return False
        key = _KEY.search(data, head.start(3), end)
        if key is None:
            return False
        ask = self.transport.get_extra_info
        base = shared.base_of(_address(ask("sockname")), self.config)
        scheme = "ws" if ask("sslcontext") is None else "wss"
        foreign = b"\norigin:" in lines
        request = LazyRequest(base, data[4:end], _address(ask("peername")), scheme, foreign)
        self.rest = data[end + 4 :]
        if shared.direct and not self.app_state and _FORWARDED.isdisjoint(told):
            upgrade = UvicornUpgrade(self, key[1])
            taken = self._taken_directly(server, head[1], request, upgrade)
        else:
            # In a scope of its own there is what the applications of this server share.
            scope = request.unpacked()
            extensions = forwarded_host(shared.way.proxy, scope["client"], scope["headers"])
            packs = not (self.app_state or extensions)
            upgrade = UvicornUpgrade(self, key[1], packed=request if packs else None)
            scope["state"] = self.app_state.copy()
            scope["extensions"] = {EXTENSION: upgrade, **extensions}
            taken = server.front.answers_at_once(scope)
            if taken:
                self._answer_at_once(upgrade, scope)
        if not taken:
            self.rest = b""
        return taken

    def _taken_directly(
        self, server: TelexServer[Any], path: bytes, request: Request, upgrade: UvicornUpgrade
    ) -> bool:
        """Let the server take a handshake that nobody else wants to see."""
        try:
            if not server.front.take_at_once(path, request, upgrade):
                return False
        except Exception:
            self._failed(upgrade)
        if not upgrade.decided and not self.transport.is_closing():
            raise AssertionError("who takes at once has answered")
        return True

    def _failed(self, upgrade: UvicornUpgrade) -> None:
        """The application has raised something."""
        _errors.exception("Exception in ASGI application\n")
        if not upgrade.decided and not self.transport.is_closing():
            upgrade.refuse(Response(500, [], b""))

    def _answer_at_once(self, upgrade: UvicornUpgrade, scope: Scope) -> None:
        """Nobody else sees the request and nothing is waited for: it needs no task."""
        run = self._run_upgrade(upgrade, scope)
        with contextlib.suppress(StopIteration):
            run.send(None)
            raise AssertionError("a handshake without hooks waits for nothing")

    def _leave_to_host(self) -> None:
        """Let uvicorn's WebSocket protocol have the connection, and what came with the request."""
        server = self._server
        if server is not None and _ENGINE_QUERY.search(self.url) is not None:
            self.config = copy.copy(self.config)
            # More than a message may have need not be inflated.
            self.config.ws_max_size = server.front.engine.options.max_http_buffer_size
        pacer = Pacer(self.transport)
        self.transport = cast("asyncio.Transport", pacer)
        super().handle_websocket_upgrade()
        if self.rest and not pacer.is_closing():
            pacer.data_received(self.rest)

    async def _run_upgrade(self, upgrade: UvicornUpgrade, scope: Scope) -> None:
        try:
            await self._application(scope, _nothing_to_receive, _nothing_to_send)
        except _NotOurs:
            pass
        except asyncio.CancelledError:
            raise
        except Exception:
            self._failed(upgrade)
        self._upgrade_task = None
        if not upgrade.decided and not self.transport.is_closing():
            if not self._is_http:
                raise AssertionError("who answers at once has answered")
            self.transport.resume_reading()
            self._leave_to_host()

    def _websocket_scope(self, upgrade: UvicornUpgrade) -> dict[str, Any]:
        raw_path, _, query = self.url.partition(b"?")
        path = unquote(raw_path.decode("latin-1"))
        return {
            **self.scope,
            "type": "websocket",
            "asgi": {"version": self.asgi_version, "spec_version": "2.4"},
            "scheme": "wss" if self.scheme == "https" else "ws",
            "path": self.root_path + path,
            "raw_path": self.root_path.encode("ascii") + raw_path,
            "query_string": query,
            "headers": self.headers,
            "subprotocols": _offered(self.headers),
            "state": self.app_state.copy(),
            "extensions": {
                EXTENSION: upgrade,
                **forwarded_host(self._shared.way.proxy, self.client, self.headers),
            },
        }

    def taken_by(self, driver: Driver) -> None:
        """A telex server takes the connection for a WebSocket: count it."""
        driver.websockets += 1
        self._shared.drivers.add(driver)

    def hand_over(self) -> asyncio.Transport:
        """Let go of the connection: somebody else speaks on it from now on."""
        transport = self.transport if self._closing is None else self._closing.transport
        if self._upgrade_task is not None and not transport.is_closing():
            transport.resume_reading()
        self._upgrade_task = None
        self._heads.stop(self)
        self.connections.discard(self)
        self.parser: Any = None  # it refers back to this protocol
        return transport


class _Shared:
    """What all connections of one server share: its telex server, the deadlines of heads.

    New connections have their turn: when thousands come at once, so many are served before
    the loop goes on with everybody else.
    """

    __slots__ = (
        "_bases",
        "_greeted",
        "_loop",
        "_timer",
        "_waiting",
        "at_once",
        "direct",
        "drivers",
        "heads",
        "leaving",
        "notes",
        "unread",
        "way",
    )

    def __init__(self, app: Any, config: Config, loop: asyncio.AbstractEventLoop) -> None:
        way = self.way = way_to(app)
        self.at_once = (
            way.server is not None
            and way.clear
            and not way.server.per_message_deflate
            and config.limit_concurrency is None
        )
        """Whether usual handshakes need no HTTP server."""
        self.direct = not config.root_path
        """Whether such a handshake needs no scope either."""
        self.drivers: set[Driver] = set()
        self._bases: dict[Any, Scope] = {}
        self._loop = loop
        self._greeted = 0
        self._waiting: deque[tuple[FastHttpProtocol, bytes]] = deque()
        schedule = Schedule(loop.time)
        self.heads: Timeout[FastHttpProtocol] = schedule.timeout(
            HEADER_TIMEOUT, FastHttpProtocol.head_timed_out
        )
        self.notes = Tally(schedule, _errors)
        self.leaving = leaving_lane(schedule)
        self.unread: Timeout[FastHttpProtocol] = schedule.timeout(
            UNREAD_TIMEOUT, FastHttpProtocol.unread_for_long
        )
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

    def greet(self, protocol: FastHttpProtocol, data: bytes) -> None:
        """A new connection has said something: serve it in this turn of the loop, or later."""
        if self._greeted >= ACCEPTS_PER_TURN:
            protocol.transport.pause_reading()
            self._waiting.append((protocol, data))
            return
        if not self._greeted:
            self._loop.call_soon(self._turned)
        self._greeted += 1
        protocol.first_bytes(data)

    def _turned(self) -> None:
        self._greeted = 0
        while self._waiting and self._greeted < ACCEPTS_PER_TURN:
            protocol, data = self._waiting.popleft()
            if protocol.transport.is_closing():
                continue
            if not self._greeted:
                self._loop.call_soon(self._turned)
            self._greeted += 1
            protocol.transport.resume_reading()
            try:
                protocol.first_bytes(data)
            except Exception:  # as the loop would for one that has not waited
                logger.exception("a connection could not be served")
                protocol.transport.abort()

    @property
    def websockets(self) -> int:
        """How many WebSockets telex servers have taken from this HTTP server."""
        return sum([driver.websockets for driver in self.drivers])

    def stop(self) -> None:
        """Let go of the timer."""
        self.notes.flush()
        self._timer.stop()


def _shared(
    server_state: Any, app: Any, config: Config, loop: asyncio.AbstractEventLoop
) -> _Shared:
    attributes: dict[str, Any] = server_state.__dict__
    shared: _Shared | None = attributes.get("telex")
    if shared is None:
        shared = attributes["telex"] = _Shared(app, config, loop)
    return shared


def hang_up(server_state: Any) -> None:
    """Wait no longer for the clients of connections that are to end."""
    shared: _Shared | None = server_state.__dict__.get("telex")
    if shared is not None:
        for connection in list(shared.leaving.deadlines):
            connection.hang_up()


def stop(server_state: Any) -> None:
    """End what is still open; let go of what the connections of a server have shared."""
    hang_up(server_state)
    for connection in list(server_state.connections):
        connection.transport.abort()
    shared: _Shared | None = server_state.__dict__.get("telex")
    if shared is not None:
        shared.stop()
    road: PollingServer | None = server_state.__dict__.get(_ROAD)
    if road is not None:
        road.stop()


class HeadTooLarge(Exception):
    """The head of a request is larger than anybody needs."""


class _NotOurs(Exception):
    """The request has reached an application that speaks plain ASGI."""


async def _nothing_to_receive() -> Any:
    raise _NotOurs


async def _nothing_to_send(message: Any) -> None:
    raise _NotOurs


def _address(name: Any) -> Any:
    """Host and port of an Internet address; ``None`` for other kinds of sockets."""
    kind = name.__class__
    return (str(name[0]), int(name[1])) if kind is tuple else None


def _judged(method: bytes, headers: RawHeaders) -> tuple[bytes, Response | None]:
    """The key of a request for a WebSocket, and what is wrong with it (RFC 6455, 4.2.1)."""
    keys: list[bytes] = []
    versions: list[bytes] = []
    hosts = 0
    for name, value in headers:
        if name == b"sec-websocket-key":
            keys.append(value)
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"host":
            hosts += 1
    key = keys[0] if len(keys) == 1 else b""
    if method != b"GET":
        return key, Response(400, _PLAIN, b"a WebSocket is opened with GET")
    if hosts != 1:
        return key, Response(400, _PLAIN, b"a request has exactly one Host header")
    if versions != [b"13"]:
        more = ("sec-websocket-version", "13")
        return key, Response(426, [*_PLAIN, more], b"the WebSocket version must be 13")
    if not _is_key(key):
        return key, Response(400, _PLAIN, b"Sec-WebSocket-Key must be 16 bytes in base64")
    return key, None


def _offered(headers: RawHeaders) -> list[str]:
    """The subprotocols that a client offers, as hosts give them to applications."""
    lists = [value for name, value in headers if name == b"sec-websocket-protocol"]
    names = b",".join(lists).decode("latin-1").split(",") if lists else []
    return [name.strip() for name in names]


def _asks_for_websocket(told: dict[bytes, bytes]) -> bool:
    """Whether a head says what a request for a WebSocket has to say, and nothing unusual."""
    connection = told.get(b"connection", b"")
    return (
        told.get(b"upgrade") == b"websocket"
        and told.get(b"sec-websocket-version") == b"13"
        and b"host" in told
        and (connection == b"upgrade" or b"upgrade" in connection.replace(b" ", b"").split(b","))
        and (len(told) == len(_NEEDED) or told.keys() <= _NEEDED | _FORWARDED)
    )


def _is_key(key: bytes) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except (Base64Error, ValueError):
        return False
