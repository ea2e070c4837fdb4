"""Namespaces: sockets that share handlers, rooms and middleware."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

from .._log import logger, shown
from ..adapter.base import Adapter, AdapterHost, BroadcastTarget
from ..errors import ConfigurationError
from ..events.failures import ExceptionHandlers
from ..events.handlers import Handler
from ..events.runtime import Runtime
from ..parser.packet import CONNECT, CONNECT_ERROR
from .adapter_host import NamespaceHost
from .broadcast import BroadcastContext, BroadcastOperator
from .middleware import admit
from .namespace_api import NamespaceApi
from .peer import PENDING
from .registry import CONNECTION, Registry
from .server_api import ServerApi
from .socket import Socket


class Namespace(NamespaceApi):
    """A pool of sockets under one name, reached through ``io.of(name)``.

    ``make_adapter`` is given ``host``. ``emptied`` is called when its last socket has left, or was
    not let in. Sockets that come back to their session pass the middlewares again, unless
    ``skip_middlewares``.
    """

    def __init__(
        self,
        host: NamespaceHost,
        make_adapter: Callable[[AdapterHost], Adapter],
        runtime: Runtime,
        registry: Registry,
        emptied: Callable[[Namespace], None] | None = None,
        skip_middlewares: bool = False,
    ) -> None:
        self.name = host.name
        self.ack_ids = host.ack_ids
        self._host = host
        self._sockets: dict[str, Socket] = {}
        self.adapter: Adapter
        self.parts: BroadcastContext
        self.ever_joined = False
        self._runtime = runtime
        self._emptied = emptied
        self._skip_middlewares = skip_middlewares
        self._pending = 0
        self._explained: set[object] = {CONNECTION, "new_namespace"}
        super().__init__(registry, self._operator(make_adapter(host)))

    def __repr__(self) -> str:
        return f"<Namespace {self.name!r} with {len(self._sockets)} sockets>"

    @property
    def registry(self) -> Registry:
        """What has been registered here."""
        return self._registry

    @property
    def server(self) -> ServerApi:
        """The server."""
        server: ServerApi = self._runtime.server
        return server

    def use_adapter(self, make: Callable[[AdapterHost], Adapter]) -> Adapter:
        """Replace the adapter; only before the first socket. Returns the one before."""
        before = self.adapter
        self._all_sockets = self._operator(make(self._host))
        return before

    def _operator(self, adapter: Adapter) -> BroadcastOperator:
        """Use this adapter from now on: the operator for all sockets."""
        if self._host.recovery is not None and getattr(adapter, "sessions", None) is None:
            raise ConfigurationError(
                f"connection_state_recovery keeps sessions in the adapter, and {adapter!r} keeps"
                " none: derive it from InMemoryAdapter, or fill its attribute `sessions`"
            )
        self.adapter = adapter
        is_id = partial(_is_id, self._sockets, adapter)
        self.parts = BroadcastContext(self.name, adapter, self._runtime, is_id)
        return BroadcastOperator(self.parts, BroadcastTarget())

    def _server_events(self) -> Adapter:
        return self.adapter

    def is_id(self, name: str) -> bool:
        """Whether a name is the id of a socket that is here, or may come back."""
        return self.parts.is_id(name)

    @property
    def sockets(self) -> Mapping[str, Socket]:
        """The connected sockets of this server by id."""
        return self._sockets

    @property
    def connected(self) -> Mapping[str, Socket]:
        """Alias of ``sockets``, from Socket.IO 2."""
        return self._sockets

    @property
    def events(self) -> Mapping[str, tuple[Handler, ...]]:
        """Handlers that all sockets of the namespace share, by event."""
        return self._registry.events.by_event

    @property
    def exceptions(self) -> ExceptionHandlers:
        """What answers when a handler raises."""
        return self._registry.exceptions

    def unhandled(self, event: object) -> None:
        """No socket listens to an event: who meant to has perhaps asked the namespace."""
        if event in self._registry.lifecycle.by_event and event not in self._explained:
            self._explained.add(event)
            logger.warning(
                "clients send '%s' to %s, and its handlers are not called: on() is for events of"
                " the server; register handlers for clients with event(), or with socket.on()",
                shown(event),
                shown(self),
            )

    # -- admission --------------------------------------------------------------------------

    def admit(self, socket: Socket, revision: int, accepted: Callable[[Socket], None]) -> None:
        """Let a new socket in, after the middlewares.

        ``revision`` is the protocol's; ``accepted`` is called when the client has been told.
        """
        skipped = socket.recovered and self._skip_middlewares
        if self._registry.middlewares and not skipped:
            self._pending += 1
            self._runtime.start(self._admit_later(socket, revision, accepted))
        else:
            self._accept(socket, revision, accepted)

    async def _admit_later(
        self, socket: Socket, revision: int, accepted: Callable[[Socket], None]
    ) -> None:
        try:
            refusal = await admit(
                tuple(self._registry.middlewares), socket, self._runtime.explained
            )
        finally:
            self._pending -= 1
            socket.settled()
        if socket.state is not PENDING:
            self.check_empty()  # the client has gone meanwhile
        elif refusal is None:
            self._accept(socket, revision, accepted)
        else:
            data: Any = refusal.message
            if revision == 5:
                data = {"message": refusal.message}
                if refusal.data is not None:
                    data["data"] = refusal.data
            elif refusal.data is not None:
                data = refusal.data
            socket.client.session.note("refused by a middleware", f"{self.name}: {refusal.message}")
            socket.rejected(self._runtime.parser.encode(CONNECT_ERROR, self.name, data))
            self.check_empty()

    def _accept(self, socket: Socket, revision: int, accepted: Callable[[Socket], None]) -> None:
        if socket.outdated():
            self.check_empty()
            return
        self.ever_joined = True
        self._sockets[socket.id] = socket
        self.adapter.add(socket)
        answer: dict[str, str] | None = {"sid": socket.id} if revision == 5 else None
        if answer is not None and socket.pid is not None:
            answer["pid"] = socket.pid
        socket.accepted(self._runtime.parser.encode(CONNECT, self.name, answer))
        if not socket.connected:  # what it had missed was more than its client may be sent
            return
        handlers = self._registry.take_lifecycle(CONNECTION)
        if handlers:
            socket.run_connection_handlers(handlers)
        accepted(socket)

    def remove(self, socket: Socket) -> None:
        """A socket has gone."""
        if self._sockets.get(socket.id) is socket:
            del self._sockets[socket.id]
            self.adapter.remove(socket.id)
            self.check_empty()

    @contextmanager
    def keeping(self) -> Generator[None]:
        """Keep the namespace while a client is about to be let in."""
        self._pending += 1
        try:
            yield
        finally:
            self._pending -= 1
            self.check_empty()

    @property
    def empty(self) -> bool:
        """Whether no socket is here, or waits to be let in."""
        return not self._sockets and not self._pending

    def check_empty(self) -> None:
        """Call ``emptied`` if no socket is in the namespace, or about to be."""
        if self._emptied is not None and self.empty:
            self._emptied(self)


def _is_id(sockets: Mapping[str, Socket], adapter: Adapter, name: str) -> bool:
    # Without the namespace, which would belong to a reference cycle.
    if name in sockets:
        return True
    return adapter.sessions is not None and adapter.sessions.awaits(name)
