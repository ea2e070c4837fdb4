"""The Socket.IO server without I/O: namespaces above, an engine below."""

from __future__ import annotations

import time
from collections.abc import Callable

from ..adapter.base import Adapter
from ..adapter.memory import InMemoryAdapter
from ..config import ServerOptions
from ..engine.engine import Engine
from ..engine.session import Session
from ..errors import ConfigurationError
from ..parser.default import DEFAULT_PARSER
from ..parser.packet import MAX_NAMESPACE, Parser
from .connection import Connection
from .namespace import Namespace
from .runtime import Runtime

ATTACHMENT_TIMEOUT = 30.0
"""How long a packet may wait for its attachments, in seconds."""

SHUTTING_DOWN = "server shutting down"


class Core:
    """Owns the engine, the connections and the namespaces."""

    def __init__(self, options: ServerOptions) -> None:
        self.options = options
        self.runtime = Runtime(_parser(options.parser))
        self.engine = Engine(options, time.monotonic, json_text=True)
        self.engine.on_session = self._session_opened
        self.namespaces: dict[str, Namespace] = {}
        self._connections: dict[Session, Connection] = {}
        schedule = self.engine.schedule
        self._connect_deadlines = schedule.lane(
            options.connect_timeout, Connection.connect_timed_out
        )
        self._attachment_deadlines = schedule.lane(
            ATTACHMENT_TIMEOUT, Connection.attachments_overdue
        )
        # One bound method for all connections, not one for each.
        self._joined = self._connect_deadlines.stop
        self._waiting = self._connection_waits
        self._closed = self._connection_closed
        self.of("/")

    def of(self, name: str) -> Namespace:
        """The namespace with this name, made when it is first asked for."""
        if not isinstance(name, str):
            raise ConfigurationError(f"the name of a namespace is text, not {name!r}")
        name = name if name.startswith("/") else "/" + name
        if "," in name or len(name) > MAX_NAMESPACE:
            raise ConfigurationError(
                f"{name[:50]!r} cannot be a namespace: it has a comma,"
                f" or more than {MAX_NAMESPACE} characters"
            )
        namespace = self.namespaces.get(name)
        if namespace is None:
            adapter = _adapter(self.options.adapter)
            namespace = self.namespaces[name] = Namespace(name, adapter, self.runtime)
        return namespace

    def _session_opened(self, session: Session) -> None:
        connection = Connection(
            session,
            self.runtime.parser.decoder(
                max_attachments=self.options.max_attachments,
                max_bytes=self.options.max_http_buffer_size,
            ),
            self.runtime,
            self.namespaces.get,
            issued=int(time.time() * 1000),
            joined=self._joined,
            waiting=self._waiting,
            closed=self._closed,
        )
        self._connections[session] = connection
        if session.protocol == 3:
            connection.connect_legacy_root()
        else:
            self._connect_deadlines.start(connection)

    def _connection_waits(self, connection: Connection, waiting: bool) -> None:
        if waiting:
            self._attachment_deadlines.start(connection)
        else:
            self._attachment_deadlines.stop(connection)

    def _connection_closed(self, connection: Connection) -> None:
        self._connections.pop(connection.session, None)
        self._connect_deadlines.stop(connection)
        self._attachment_deadlines.stop(connection)

    def close_connections(self) -> None:
        """End every connection at once."""
        self.engine.close(SHUTTING_DOWN)

    async def close(self) -> None:
        """End every connection and close the adapters."""
        self.close_connections()
        for namespace in self.namespaces.values():
            await namespace.adapter.close()


def _parser(option: object) -> Parser:
    if option == "json":
        return DEFAULT_PARSER
    if isinstance(option, str) or not hasattr(option, "decoder"):
        raise ConfigurationError(f"parser must be 'json' or a parser object, not {option!r}")
    parser: Parser = option  # type: ignore[assignment]
    return parser


def _adapter(option: Callable[[object], Adapter] | None) -> Adapter:
    return InMemoryAdapter() if option is None else option(None)
