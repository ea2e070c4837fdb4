"""The public servers: the core below, the fronts below, joined here."""

from __future__ import annotations

import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, Unpack, overload

from .adapter.base import Adapter, AdapterHost, BroadcastTarget
from .config import Origins, ServerOptions, read
from .engine_server import EngineServer, Hosted, asgi_application
from .errors import ConfigurationError
from .fronts.asgi.app import AsgiFront
from .options import ServerKeywords
from .server.broadcast import BroadcastOperator
from .server.class_based import NamespaceHandlers, register
from .server.core import Core
from .server.dynamic import ParentNamespace
from .server.engine_api import EngineApi
from .server.engine_socket import EngineSocket
from .server.namespace import Namespace
from .server.server_api import ServerApi
from .server.threadsafe import ThreadsafeNamespace
from .types import App


class ThreadsafeServer(ThreadsafeNamespace):
    """A server, for any thread: ``io.threadsafe``."""

    __slots__ = ("_io",)

    def __init__(self, io: Server, everybody: BroadcastOperator) -> None:
        super().__init__(io, everybody)
        self._io = io

    def of(self, name: str) -> ThreadsafeNamespace:
        """The namespace with this name, made when it is first asked for."""
        return self.call(self._io.of, name).result().threadsafe


class Server(ServerApi, Hosted):
    """A Socket.IO server, and an ASGI 3 application.

    ::

        io = Server()

        @io.on("connection")
        async def connection(socket):
            @socket.on("chat")
            def chat(message):
                io.emit("chat", message)

        io.run(port=3000)
    """

    def __init__(self, app: App | int | None = None, **options: Unpack[ServerKeywords]) -> None:
        """Make a server.

        ``app`` is another ASGI application that gets everything outside the path, or a port
        number for ``run`` and ``listen``.

        Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

        - ``path="/socket.io"``: URL path that clients connect to. Node: ``path``.
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
        - ``serve_client=True``: Whether the JavaScript client is served below ``path``. Node:
          ``serveClient``.
        - ``adapter=None``: ``callable(host)`` that makes the adapter of a namespace; ``None`` keeps
          rooms in memory. Node: ``adapter``.
        - ``parser="json"``: Wire format, the same as the clients': ``"json"``, ``"msgpack"`` or a
          parser object. Node: ``parser``.
        - ``connect_timeout=45.0``: Seconds that a client has to join its first namespace. Node:
          ``connectTimeout``.
        - ``max_attachments=10``: Binary attachments that one packet of a client may have. Node:
          ``maxAttachments``.
        - ``cleanup_empty_child_namespaces=False``: Whether dynamic namespaces are removed when they
          are empty. Node: ``cleanupEmptyChildNamespaces``.
        - ``max_dynamic_namespaces=10_000``: Dynamic namespaces that may exist at a time. Node:
          none.
        - ``connection_state_recovery=False``: Whether a client that was cut off returns to its
          rooms and gets what it missed, or the parts of this option. Node:
          ``connectionStateRecovery``.
        - ``handshake_extra=None``: ``callable(request)`` that makes ``socket.handshake.extra``.
          Node: none.
        - ``id_source="random"``: Ids of sockets: ``"random"``, but made from the session's id for
          clients of Socket.IO 1 and 2; ``"random_for_all"`` for these, too; ``"engine"``: made from
          it for all. Node: none.
        """
        self._options = read(ServerOptions, options)
        self._core = Core(self._options)
        self._core.runtime.server = self
        self._root = self._core.of("/")
        front = AsgiFront(
            self._core.engine,
            other=None if app is None or isinstance(app, int) else asgi_application(app),
            serve_client=self._options.serve_client,
        )
        front.on_bind = self._core.start
        front.close_at_once = self._core.close_connections
        front.close_connections = self._close_connections
        engine = EngineApi(self._core.engine, front, self._core.opened)
        Hosted.__init__(self, front, engine, app if isinstance(app, int) else 3000)
        everybody = BroadcastOperator(self._root.parts, BroadcastTarget())
        ServerApi.__init__(self, self._root.registry, everybody)

    def __repr__(self) -> str:
        return f"<Server {self.path!r} with {self.engine.clients_count} connections>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path that the engine answers at; may be set before the first connection."""
        return self.front.path

    @path.setter
    def path(self, path: str) -> None:
        self._before_the_first_connection("path")
        self.front.path = read(ServerOptions, {"path": path}).path

    @property
    def serve_client(self) -> bool:
        """Whether the JavaScript client is served; may be set before the first connection."""
        return self.front.serve_client

    @serve_client.setter
    def serve_client(self, serve_client: bool) -> None:
        self._before_the_first_connection("serve_client")
        self.front.serve_client = bool(serve_client)

    def _before_the_first_connection(self, what: str) -> None:
        if self.engine.clients_count:
            raise ConfigurationError(f"{what} can be set before the first connection only")

    @property
    def adapter(self) -> Adapter:
        """The adapter of ``/``; set ``callable(host) -> adapter`` to use another.

        Only before the first connection: every namespace gets a new one.
        """
        return self._root.adapter

    @adapter.setter
    def adapter(self, make: Callable[[AdapterHost], Adapter]) -> None:
        if not callable(make):
            raise ConfigurationError("adapter must be callable(host) -> adapter")
        self._core.use_adapter(make)
        self._all_sockets = BroadcastOperator(self._root.parts, BroadcastTarget())

    def _server_events(self) -> Adapter:
        return self._root.adapter

    @property
    def server(self) -> Server:
        """The server itself, as namespaces and sockets name it."""
        return self

    @property
    def origins(self) -> Origins:
        """Which origins may connect; may be set before the first connection."""
        return self.front.engine.origins

    @origins.setter
    def origins(self, origins: Origins) -> None:
        self.front.engine.allow_origins(origins)

    @property
    def sockets(self) -> Namespace:
        """The namespace ``/``."""
        return self._root

    @overload
    def of(self, name: str) -> Namespace: ...
    @overload
    def of(
        self, name: re.Pattern[str] | Callable[[str, Any], bool | Awaitable[bool]]
    ) -> ParentNamespace: ...
    def of(self, name: Any) -> Namespace | ParentNamespace:
        """The namespace with this name, made when it is first asked for.

        A compiled regular expression, or ``callable(name, auth) -> bool`` (plain or
        async), makes namespaces when clients ask for names that match.
        """
        if isinstance(name, str):
            return self._core.of(name)
        return self._core.dynamic(name)

    @property
    def threadsafe(self) -> ThreadsafeServer:
        """The same calls for any other thread: they are handed to the event loop, in order.

        ::

            io.threadsafe.to("room").emit("news", 1)
        """
        return ThreadsafeServer(self, self._all_sockets)

    def register(self, name: str, handlers: NamespaceHandlers) -> Namespace:
        """Register every ``on_<event>`` method of an object with a namespace."""
        namespace = self._core.of(name)
        register(namespace.registry, handlers)
        return namespace

    def bind(self, engine: EngineServer) -> Server:
        """Speak Socket.IO on the connections of another engine."""
        engine.on("connection", self.on_connection)
        return self

    def on_connection(self, conn: EngineSocket) -> Server:
        """Speak Socket.IO on one connection of another engine (Node: ``onconnection``)."""
        self.front.bind()
        self._core.adopt(conn)
        return self

    # -- running ------------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[Mapping[str, object]]:
        """For ``FastAPI(lifespan=io.lifespan)``: closes the server with the application."""
        self.front.reopen()
        try:
            yield {}
        finally:
            await self.close()

    async def _close_connections(self, drain: float) -> None:
        """End all connections, and let handlers and adapters finish."""
        await self._core.close(drain)
        await self.front.hang_up()

    async def close(self, drain: float = 0.0) -> None:
        """End all connections, let handlers finish, and stop listening.

        Newcomers are refused at once; the disconnections are spread over ``drain``
        seconds, so that the clients do not all come back in the same moment.
        """
        await self._close_connections(drain)
        await self._stop_listening()
