"""Engine.IO on its own, and what both servers share."""

from __future__ import annotations

import inspect
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack, overload

from ._log import logger
from .config import EngineOptions, read
from .engine.engine import Engine
from .engine.session import Session
from .errors import ConfigurationError
from .events.handlers import Function, Handler, Handlers, registering
from .events.runtime import Runtime
from .events.threadsafe import Threadsafe
from .fronts.asgi.app import AsgiFront
from .fronts.host import TelexServer
from .options import EngineKeywords, ListenKeywords, RunKeywords
from .parser.default import DEFAULT_PARSER
from .server.core import end_all
from .server.engine_api import EngineApi
from .server.engine_socket import EngineSocket
from .types import App

if TYPE_CHECKING:
    from .fronts.uvicorn.serve import Listening

F = TypeVar("F", bound=Callable[..., Any])


class Hosted(TelexServer[AsgiFront]):
    """An ASGI application that can also serve itself: what both servers share."""

    def __init__(self, front: AsgiFront, engine: EngineApi, port: int = 3000) -> None:
        super().__init__(front)
        front.pace = _pace
        self._port = port
        self._listening: Listening | None = None
        self.engine = engine

    @property
    def port(self) -> int | None:
        """The port of ``listen``, once it has started."""
        return self._listening.port if self._listening else None

    def attach(self, app: App) -> Self:
        """Let another ASGI application have everything outside the path."""
        self.front.other = asgi_application(app)
        return self

    async def listen(
        self, port: int | None = None, host: str = "127.0.0.1", **options: Unpack[ListenKeywords]
    ) -> None:
        """Serve in the running loop; returns when connections are accepted.

        Port 0 takes a free one: ``port`` tells which.

        Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

        - ``loop``: Event loop: ``"auto"`` (uvloop if it is installed), ``"asyncio"``, ``"uvloop"``.
        - ``http``: HTTP protocol; another one than telex's own makes messages dearer.
        - ``ws``: WebSocket protocol for what telex's own does not serve.
        - ``ws_max_size``: Bytes of the largest message there; ``max_http_buffer_size`` if left out.
        - ``ws_max_queue``: Messages that may wait there; 32 if left out.
        - ``ws_ping_interval``: Seconds between two pings there; 20 if left out.
        - ``ws_ping_timeout``: Seconds for the answer to such a ping; 20 if left out.
        - ``ws_per_message_deflate``: Whether messages are compressed there; ``True`` if left out.
        - ``lifespan``: Whether the application hears of start and end; ``"auto"`` if left out.
        - ``log_config``: Configuration of logging; ``listen`` has none unless it is given.
        - ``log_level``: Level of uvicorn's loggers.
        - ``access_log``: Whether requests are logged; ``run``: ``True``, ``listen``: ``False`` if
          left out.
        - ``use_colors``: Whether the log has colours; on terminals if left out.
        - ``proxy_headers``: Whether ``X-Forwarded-…`` of trusted proxies are believed; ``True`` if
          left out.
        - ``forwarded_allow_ips``: Addresses of trusted proxies; ``"127.0.0.1"`` if left out.
        - ``server_header``: Whether answers name the server; ``False`` if left out.
        - ``date_header``: Whether answers have a date; ``True`` if left out.
        - ``headers``: Headers of every answer.
        - ``root_path``: Path below which a proxy serves the application.
        - ``backlog``: Connections that may wait to be accepted; 4096 if left out.
        - ``limit_concurrency``: Connections at a time, beyond which clients are refused with 503;
          no limit if left out.
        - ``limit_max_requests``: Requests after which the process ends; no limit if left out.
        - ``limit_max_requests_jitter``: Random requests on top of that; 0 if left out.
        - ``timeout_keep_alive``: Seconds for which an idle connection is kept; 5 if left out.
        - ``callback_notify``: Async function to call once every ``timeout_notify`` seconds.
        - ``timeout_notify``: Seconds between two such calls; 30 if left out.
        - ``timeout_graceful_shutdown``: Seconds that open requests may take at the end; 10 if left
          out.
        - ``ssl_keyfile``: File with the private key for TLS.
        - ``ssl_certfile``: File with the certificate for TLS.
        - ``ssl_keyfile_password``: Password of the private key.
        - ``ssl_version``: Version of TLS (``ssl.PROTOCOL_…``).
        - ``ssl_cert_reqs``: Whether clients need a certificate (``ssl.CERT_…``); not if left out.
        - ``ssl_ca_certs``: File with the authorities that sign certificates of clients.
        - ``ssl_ciphers``: Ciphers for TLS, as OpenSSL names them.
        """
        if self._listening is not None:
            raise ConfigurationError(f"the server is listening already, on port {self.port}")
        from .fronts.uvicorn import serve  # other hosts need no uvicorn

        self.front.reopen()
        self._listening = await serve.listen(
            self, host=host, port=self._port if port is None else port, **self._hosting(options)
        )

    def run(
        self, port: int | None = None, host: str = "127.0.0.1", **options: Unpack[RunKeywords]
    ) -> None:
        """Serve until the process is told to stop (blocking).

        Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

        - ``loop``: Event loop: ``"auto"`` (uvloop if it is installed), ``"asyncio"``, ``"uvloop"``.
        - ``http``: HTTP protocol; another one than telex's own makes messages dearer.
        - ``ws``: WebSocket protocol for what telex's own does not serve.
        - ``ws_max_size``: Bytes of the largest message there; ``max_http_buffer_size`` if left out.
        - ``ws_max_queue``: Messages that may wait there; 32 if left out.
        - ``ws_ping_interval``: Seconds between two pings there; 20 if left out.
        - ``ws_ping_timeout``: Seconds for the answer to such a ping; 20 if left out.
        - ``ws_per_message_deflate``: Whether messages are compressed there; ``True`` if left out.
        - ``lifespan``: Whether the application hears of start and end; ``"auto"`` if left out.
        - ``log_config``: Configuration of logging; ``listen`` has none unless it is given.
        - ``log_level``: Level of uvicorn's loggers.
        - ``access_log``: Whether requests are logged; ``run``: ``True``, ``listen``: ``False`` if
          left out.
        - ``use_colors``: Whether the log has colours; on terminals if left out.
        - ``proxy_headers``: Whether ``X-Forwarded-…`` of trusted proxies are believed; ``True`` if
          left out.
        - ``forwarded_allow_ips``: Addresses of trusted proxies; ``"127.0.0.1"`` if left out.
        - ``server_header``: Whether answers name the server; ``False`` if left out.
        - ``date_header``: Whether answers have a date; ``True`` if left out.
        - ``headers``: Headers of every answer.
        - ``root_path``: Path below which a proxy serves the application.
        - ``backlog``: Connections that may wait to be accepted; 4096 if left out.
        - ``limit_concurrency``: Connections at a time, beyond which clients are refused with 503;
          no limit if left out.
        - ``limit_max_requests``: Requests after which the process ends; no limit if left out.
        - ``limit_max_requests_jitter``: Random requests on top of that; 0 if left out.
        - ``timeout_keep_alive``: Seconds for which an idle connection is kept; 5 if left out.
        - ``callback_notify``: Async function to call once every ``timeout_notify`` seconds.
        - ``timeout_notify``: Seconds between two such calls; 30 if left out.
        - ``timeout_graceful_shutdown``: Seconds that open requests may take at the end; 10 if left
          out.
        - ``ssl_keyfile``: File with the private key for TLS.
        - ``ssl_certfile``: File with the certificate for TLS.
        - ``ssl_keyfile_password``: Password of the private key.
        - ``ssl_version``: Version of TLS (``ssl.PROTOCOL_…``).
        - ``ssl_cert_reqs``: Whether clients need a certificate (``ssl.CERT_…``); not if left out.
        - ``ssl_ca_certs``: File with the authorities that sign certificates of clients.
        - ``ssl_ciphers``: Ciphers for TLS, as OpenSSL names them.
        - ``drain``: Seconds over which the disconnections are spread at the end; 0 if left out.
        - ``workers``: Processes; more than one need ``import_string``; 1 if left out.
        - ``reload``: Whether to start anew when a file changes; needs ``import_string``.
        - ``import_string``: Where other processes find the application: ``"module:name"``.
        - ``reload_dirs``: Folders that ``reload`` watches; the working folder if left out.
        - ``reload_delay``: Seconds between two looks of ``reload``; 0.25 if left out.
        - ``reload_includes``: Patterns of files that ``reload`` watches; ``*.py`` if left out.
        - ``reload_excludes``: Patterns of files that ``reload`` does not watch.
        - ``uds``: Path of a Unix socket to listen on, in place of host and port.
        - ``fd``: File descriptor of a socket to listen on, in place of host and port.
        - ``env_file``: File with environment variables.
        - ``timeout_worker_healthcheck``: Seconds that a worker has to answer; 5 if left out.
        """
        from .fronts.uvicorn import serve  # other hosts need no uvicorn

        serve.run(
            self, host=host, port=self._port if port is None else port, **self._hosting(options)
        )

    def _hosting(self, options: Mapping[str, object]) -> dict[str, Any]:
        """The options of the host; its own WebSockets, where they are used, know our limit."""
        return {"ws_max_size": self.front.engine.options.max_http_buffer_size, **options}

    async def _stop_listening(self) -> None:
        listening, self._listening = self._listening, None
        if listening is not None:
            await listening.stop()
        self.front.driver.stop()


class EngineServer(Hosted):
    """Engine.IO on its own: the transports without Socket.IO (Node: ``engine.io``).

    ::

        engine = EngineServer()

        @engine.on("connection")
        def connection(socket):
            @socket.on("message")
            def message(data):
                socket.send(data)

    It is an ASGI application.
    """

    def __init__(self, app: App | None = None, **options: Unpack[EngineKeywords]) -> None:
        """Make a server; ``app`` is another ASGI application for what is outside the path.

        Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

        - ``path="/engine.io"``: URL path that clients connect to. Node: ``path``.
        - ``transports=("polling", "websocket")``: Transports that clients may use: ``"polling"``,
          ``"websocket"``. Node: ``transports``.
        - ``allow_upgrades=True``: Whether clients are offered to go from polling to WebSocket.
          Node: ``allowUpgrades``.
        - ``allow_eio3=True``: Whether clients of Socket.IO 1 and 2 may connect. Node: ``allowEIO3``
          (there off).
        - ``ping_interval=25.0``: Seconds from one heartbeat to the next. Node: ``pingInterval``.
        - ``ping_timeout=20.0``: Seconds that a client has to answer a heartbeat. Node:
          ``pingTimeout``.
        - ``upgrade_timeout=10.0``: Seconds that an upgrade to WebSocket may take. Node:
          ``upgradeTimeout``.
        - ``max_http_buffer_size=1_000_000``: Bytes of the largest message or request body of a
          client. Node: ``maxHttpBufferSize``.
        - ``origins=None``: Pages that may connect: ``None`` (same origin only), ``"*"``, origins,
          compiled regular expressions, or a plain ``callable(origin, request) -> bool``. Node:
          ``cors.origin``.
        - ``cors=None``: The whole CORS policy, in place of ``origins``. Node: ``cors``.
        - ``cookie=False``: Session cookie for balancers: ``True``, its name, or its attributes.
          Node: ``cookie``.
        - ``allow_request=None``: ``callable(request)``, plain or async: ``True`` admits a
          handshake, ``False`` or a text for the client refuses it. Node: ``allowRequest``.
        - ``handle_protocols=None``: Plain ``callable(protocols, request)`` that chooses a WebSocket
          subprotocol; ``None`` takes the client's first. Node: ``handleProtocols`` of ``ws``.
        - ``http_compression=1024``: Bytes from which answers to polls are compressed, or ``False``.
          Node: ``httpCompression``.
        - ``per_message_deflate=False``: Whether WebSocket messages are compressed. Node:
          ``perMessageDeflate``.
        - ``send_buffer_limit=1_048_576``: Bytes that may wait for a client that does not read.
          Node: none.
        - ``slow_consumer="disconnect"``: What happens beyond ``send_buffer_limit``: the client is
          disconnected after two seconds, or loses volatile messages first. Node: none.
        """
        self._options = read(EngineOptions, options)
        self._engine = Engine(self._options, time.monotonic, json_text=False)
        self._engine.on_session = self._session_opened
        self._runtime = Runtime(DEFAULT_PARSER)
        self._handlers = Handlers()
        front = AsgiFront(self._engine, other=None if app is None else asgi_application(app))
        front.on_bind = self._runtime.bind
        front.close_connections = self._close_connections
        self._opened: list[Callable[[EngineSocket], Any]] = []
        super().__init__(front, EngineApi(self._engine, front, self._opened))

    @property
    def clients_count(self) -> int:
        """How many connections are open."""
        return self.engine.clients_count

    @property
    def path(self) -> str:
        """The path that the engine answers at."""
        return self._options.path

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> EngineServer: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler: ``connection`` receives an engine socket.

        The other events are those of ``engine``: ``connection_error``, ``initial_headers``
        and ``headers``.
        """
        if event != "connection":
            if handler is None:
                return self.engine.on(event)
            self.engine.on(event, handler)
            return self
        add = self._handlers.add
        return registering(self, lambda each: add(event, Handler(each, checked=False)), handler)

    def _session_opened(self, session: Session) -> None:
        socket = EngineSocket(session, self._runtime)
        session.on_message = socket.received
        session.on_close = socket.closed
        handlers = self._handlers.by_event.get("connection", ())
        for function in [*[handler.function for handler in handlers], *self._opened]:
            try:
                result = function(socket)
            except Exception:
                logger.exception("a connection handler failed; its connection is closed")
                session.close()
                return
            if inspect.isawaitable(result):
                self._runtime.start(_or_close(result, session), held=result)

    @property
    def threadsafe(self) -> Threadsafe:
        """For any other thread: ``threadsafe.call(function, *args)`` runs on the event loop."""
        return Threadsafe(self._runtime)

    async def _close_connections(self, drain: float) -> None:
        """End all connections, spread over ``drain`` seconds."""
        self._runtime.here("close", "use engine.threadsafe.call(engine.close), as of io.threadsafe")
        await end_all(self._engine, "forced close", drain)
        self.front.close_at_once()
        await self.front.hang_up()

    async def close(self, drain: float = 0.0) -> None:
        """End all connections, spread over ``drain`` seconds, and stop listening."""
        await self._close_connections(drain)
        await self._stop_listening()


def is_wsgi(app: Any) -> bool:
    """Whether this is an application of the older kind: Flask's, or a Django ``wsgi.py``."""
    try:
        parameters = list(inspect.signature(app).parameters)
    except ValueError:  # some compiled callables have no signature
        parameters = []
    return hasattr(app, "wsgi_app") or parameters[:2] == ["environ", "start_response"]


def _pace(receive: Any) -> None:
    """Pace a WebSocket of uvicorn; other hosts are not imported, nor known."""
    kinds = type(getattr(receive, "__self__", None)).__mro__
    if any(kind.__module__.startswith("uvicorn.") for kind in kinds):
        from .fronts.uvicorn.pacing import pace

        pace(receive)


def asgi_application(app: Any) -> App:
    """Refuse what cannot be an ASGI application, and say what would help."""
    if isinstance(app, int):
        raise ConfigurationError("a port is for listen(port=…) or run(port=…)")
    given: Any = app  # callable() would let type checkers forget what app is
    if not callable(given):
        raise ConfigurationError(f"app must be an ASGI application, not {app!r}")
    if is_wsgi(app):
        raise ConfigurationError(
            "app is a WSGI application: wrap it, for example in a2wsgi.WSGIMiddleware(app)"
        )
    asgi: App = app
    return asgi


async def _or_close(result: Awaitable[Any], session: Session) -> None:
    try:
        await result
    except Exception:
        logger.exception("a connection handler failed; its connection is closed")
        session.close()
