"""The public servers: the core below, the fronts below, joined here."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from typing import Any, overload

from .adapter.base import Adapter, AdapterHost, BroadcastTarget
from .config import Origins, ServerOptions, read
from .engine_server import EngineApi, EngineServer, Hosted, asgi_application
from .errors import ConfigurationError
from .fronts.asgi.app import App, AsgiFront
from .server.broadcast import BroadcastOperator
from .server.class_based import NamespaceHandlers, register
from .server.core import Core
from .server.dynamic import ParentNamespace
from .server.engine_socket import EngineSocket
from .server.namespace import Namespace
from .server.namespace_api import NamespaceApi
from .server.threadsafe import ThreadsafeNamespace


class ThreadsafeServer(ThreadsafeNamespace):
    """A server, for any thread: ``io.threadsafe``."""

    __slots__ = ("_io",)

    def __init__(self, io: Server, everybody: BroadcastOperator) -> None:
        super().__init__(io, everybody)
        self._io = io

    def of(self, name: str) -> ThreadsafeNamespace:
        """The namespace with this name, made when it is first asked for."""
        return self.call(self._io.of, name).result().threadsafe


class Server(NamespaceApi, Hosted):
    """A Socket.IO server, and an ASGI 3 application.

    ::

        io = Server()

        @io.on("connection")
        async def connection(socket):
            @socket.on("chat")
            def chat(message):
                io.emit("chat", message)

        io.run(port=3000)

    ``app`` is another ASGI application that gets everything outside the path, or a port
    number for ``run`` and ``listen``. Options: see ``ServerOptions``.
    """

    def __init__(self, app: App | int | None = None, **options: Any) -> None:
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
        front.on_shutdown = self.close_connections
        engine = EngineApi(self._core.engine, front, self._core.opened)
        Hosted.__init__(self, front, engine, app if isinstance(app, int) else 3000)
        everybody = BroadcastOperator(self._root.parts, BroadcastTarget())
        NamespaceApi.__init__(self, self._root.registry, everybody)

    def __repr__(self) -> str:
        return f"<Server {self.path!r} with {self.engine.clients_count} connections>"

    # -- what it is ---------------------------------------------------------------------

    @property
    def path(self) -> str:
        """The path that the engine answers at; may be set before the first connection."""
        return self._front.path

    @path.setter
    def path(self, path: str) -> None:
        self._before_the_first_connection("path")
        self._front.path = read(ServerOptions, {"path": path}).path

    @property
    def serve_client(self) -> bool:
        """Whether the JavaScript client is served; may be set before the first connection."""
        return self._front.serve_client

    @serve_client.setter
    def serve_client(self, serve_client: bool) -> None:
        self._before_the_first_connection("serve_client")
        self._front.serve_client = bool(serve_client)

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
        self._everybody = BroadcastOperator(self._root.parts, BroadcastTarget())

    def _server_events(self) -> Adapter:
        return self._root.adapter

    @property
    def server(self) -> Server:
        """The server itself, as namespaces and sockets name it."""
        return self

    @property
    def origins(self) -> Origins:
        """Which origins may connect; may be set before the first connection."""
        return self._front.engine.origins

    @origins.setter
    def origins(self, origins: Origins) -> None:
        self._front.engine.allow_origins(origins)

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
        return ThreadsafeServer(self, self._everybody)

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
        self._front.bind()
        self._core.adopt(conn)
        return self

    # -- running ------------------------------------------------------------------------

    @asynccontextmanager
    async def lifespan(self, app: object = None) -> AsyncGenerator[Mapping[str, Any]]:
        """For ``FastAPI(lifespan=io.lifespan)``: closes the server with the application."""
        self._front.bind()
        self._core.start(asyncio.get_running_loop())
        try:
            yield {}
        finally:
            await self.close()

    def close_at_once(self) -> None:
        """End all connections; sockets see the reason ``server shutting down``."""
        self._core.close_connections()

    async def close_connections(self, drain: float = 0.0) -> None:
        """End all connections, and let handlers and adapters finish."""
        await self._core.close(drain)
        await self._front.hang_up()

    async def close(self, drain: float = 0.0) -> None:
        """End all connections, let handlers finish, and stop listening.

        Newcomers are refused at once; the disconnections are spread over ``drain``
        seconds, so that the clients do not all come back in the same moment.
        """
        await self.close_connections(drain)
        await self._stop_listening()
