"""uvicorn's HTTP protocol, with shorter roads for handshakes and long-polling.

uvicorn stays the HTTP server, process manager, TLS terminator and reloader. ``roads.py`` lists
the roads. What comes first on a connection is tried as long-polling (``polling.py``), then as a
synchronous handshake (``handshake.py``); everything else goes through uvicorn's parser. An
upgrade request of an Engine.IO client that has been parsed there runs through the ASGI
application with an ``Upgrade`` in its scope: a telex server that receives it takes over the
connection, so that no task and no queue stands between it and the client.
"""

from __future__ import annotations

import asyncio
import copy
import logging
from typing import Any, Literal, cast
from urllib.parse import unquote

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from ...deadlines import Timeout
from ...types import Response, Scope
from ..driver import Driver, Leaving
from ..host import TelexServer
from ..upgrade import EXTENSION
from .closing import ClosingTransport
from .handshake import (
    PLAIN,
    UvicornUpgrade,
    answer_synchronously,
    ask_application,
    judge,
    offered_subprotocols,
    take_handshake,
)
from .head import ENGINE_QUERY
from .pacing import Pacer, RequestPacer
from .polling import PollingConnection
from .polling_server import PollingServer
from .proxies import address, forwarded_host
from .shared import HttpConnection, shared_by

INVALID = "Invalid HTTP request received."

MAX_HEADERS = 256
MAX_HEADER_SIZE = 16 * 1024

LEAST_READ = 0.05
"""The part of what waits for a client that it must read in ``UNREAD_TIMEOUT`` seconds."""


class HeadTooLarge(Exception):
    """The head of a request is larger than ``MAX_HEADER_SIZE`` or ``MAX_HEADERS`` allow."""


class FastHttpProtocol(HttpToolsProtocol):
    """HTTP by uvicorn, until a shorter road takes the connection over."""

    _unread = 0
    _upgrade_task: asyncio.Task[None] | None = None
    _complete = False
    _head_size = 0
    _heads: Timeout[HttpConnection]
    _server: TelexServer[Any] | None = None
    _closing: ClosingTransport | None = None
    _pacer: RequestPacer
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
        shared = self._shared = shared_by(
            self.server_state, self.application, self.config, self.loop
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
        self._pacer = RequestPacer(transport, self.loop, self._feed, self.pipeline)
        self.flow = FlowControl(cast("asyncio.Transport", self._pacer))
        self.server, self.client, self.scheme = self._addresses()

    def _addresses(self) -> tuple[Any, Any, Literal["http", "https"]]:
        """The server's address, the client's, and how they speak."""
        transport = self.transport
        scheme: Literal["http", "https"] = "http"
        if transport.get_extra_info("sslcontext") is not None:
            scheme = "https"
        return address(transport, "sockname"), address(transport, "peername"), scheme

    def connection_lost(self, exc: Exception | None) -> None:
        self._heads.stop(self)
        if self._upgrade_task is not None:
            self._upgrade_task.cancel()
        if self._closing is not None:
            self._closing.lost()
            self._pacer.stop()
            self._shared.unread.stop(self)
            super().connection_lost(exc)
        else:
            self.connections.discard(self)

    @property
    def application(self) -> Any:
        """The ASGI application that the server serves."""
        return vars(self.config)["loaded_app"]

    # -- the head of a request -------------------------------------------------------------

    def head_timed_out(self) -> None:
        """Close: the client takes too long for the head of its request.

        A head that is held back here is not late.
        """
        if self._is_http and self._pacer.held:
            self._heads.start(self)
        else:
            self.transport.close()

    def eof_received(self) -> None:
        """The client sends no more: what it does not read soon is dropped."""
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
        self._pacer.begun += 1
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
            self._shared.admission.admit_in_turn(self, data)
        elif self._closing is not None and self._closing.closed:
            return  # nothing more is answered
        elif not (self._at_rest and self._polls(data)):
            self._pacer.receive(data)

    def first_bytes(self, data: bytes) -> None:
        """Serve what a new connection has sent first."""
        if not self._polls(data):
            self.serve(data)

    def serve(self, data: bytes) -> None:
        """Serve what is no usual request of long-polling, on a connection without a parser yet."""
        if not take_handshake(self, self._shared, data):
            self._become_http()
            self._pacer.receive(data)

    def _feed(self, data: bytes) -> None:
        """Let uvicorn's parser have a portion of what the client has sent."""
        if self._closing is None or self._closing.closed:
            return  # nothing more is answered
        self._unset_keepalive_if_required()
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :] + self._pacer.take()
            if self._should_upgrade():
                self._pacer.stop()
                self.rest = rest
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
        self._pacer.stop()
        super().connection_lost(None)  # what the client sends from now on is dropped

    def _unsupported_upgrade_warning(self) -> None:
        """uvicorn's: an upgrade that is not for a WebSocket; served as if it had not been asked."""
        self._shared.notes.note("Unsupported upgrade request.", level=logging.WARNING)

    def shutdown(self) -> None:
        """The server stops: clients that keep connections open are told so."""
        if self._shared.polling is not None:
            self._shared.polling.stopping = True
        server = self._server
        if server is not None:
            server.front.close_at_once()
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
        self._pacer.go_on()

    @property
    def _at_rest(self) -> bool:
        """Whether every request that has come is answered."""
        if not self._complete or self._upgrade_task is not None or self._pacer.held:
            return False
        cycle: Any = self.cycle  # None before the first request
        answered = cycle is None or cycle.response_complete
        stuck = self.pipeline or self.flow.write_paused or self.transport.is_closing()
        return answered and not stuck

    def _polls(self, data: bytes) -> bool:
        """Hand the connection over to long-polling, if it begins with a usual request of it."""
        if b"transport=polling" not in data:
            return False
        polling, transport = self._polling_server(), self.transport
        request = None if polling is None else polling.requests.read(data, transport)
        if polling is None or request is None:
            return False
        if self._is_http:
            self._unset_keepalive_if_required()
        self.hand_over()
        PollingConnection(polling, transport).begin(request, data)
        return True

    def _polling_server(self) -> PollingServer | None:
        """What serves long-polling; ``None`` if uvicorn is to see every request."""
        shared = self._shared
        server = shared.way.server
        if server is None or not shared.way.polling:
            return None
        if shared.polling is not None:
            return shared.polling
        config, state, app_state, loop = (
            self.config,
            self.server_state,
            self.app_state,
            self.loop,
        )

        def go_back(transport: asyncio.Transport, data: bytes) -> None:
            protocol = FastHttpProtocol(config, state, app_state, loop)
            protocol.connection_made(transport)
            transport.set_protocol(protocol)
            protocol.serve(data)

        shared.polling = PollingServer(
            server.front,
            config,
            state,
            app_state,
            proxy=shared.way.proxy,
            loop=loop,
            go_back=go_back,
            close_at_once=server.front.close_at_once,
        )
        return shared.polling

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
        deflates = server and server.front.per_message_deflate
        if not self._shared.takes_websockets or deflates or ENGINE_QUERY.search(self.url) is None:
            self._leave_to_host()
            return
        upgrade = UvicornUpgrade(self, *judge(self.parser.get_method(), self.headers))
        scope = self._websocket_scope(upgrade)
        if server and self._shared.way.clear and server.front.is_synchronous_handshake(scope):
            answer_synchronously(self.application, upgrade, scope)
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
            return Response(400, PLAIN, b"a WebSocket is opened with HTTP/1.1")
        limit = self._limit()
        if limit is None or max(len(self.connections), len(self.tasks)) < limit:
            return None
        self.logger.warning("Exceeded concurrency limit.")
        return Response(503, PLAIN, b"Service Unavailable")

    def _leave_to_host(self) -> None:
        """Let uvicorn's WebSocket protocol have the connection, and what came with the request."""
        server = self._server
        if server is not None and ENGINE_QUERY.search(self.url) is not None:
            self.config = copy.copy(self.config)
            # More than a message may have need not be inflated.
            self.config.ws_max_size = server.front.engine.options.max_http_buffer_size
        pacer = Pacer(self.transport)
        self.transport = cast("asyncio.Transport", pacer)
        super().handle_websocket_upgrade()
        if self.rest and not pacer.is_closing():
            pacer.data_received(self.rest)

    async def _run_upgrade(self, upgrade: UvicornUpgrade, scope: Scope) -> None:
        await ask_application(self.application, upgrade, scope)
        self._upgrade_task = None
        if not upgrade.decided and not self.transport.is_closing():
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
            "subprotocols": offered_subprotocols(self.headers),
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
        """Let go of the connection; the caller reads and writes on it from now on."""
        transport = self.transport if self._closing is None else self._closing.transport
        if self._upgrade_task is not None and not transport.is_closing():
            transport.resume_reading()
        self._upgrade_task = None
        if self._is_http:
            self._pacer.stop()
        self._heads.stop(self)
        self.connections.discard(self)
        self.parser: Any = None  # it refers back to this protocol
        return transport
