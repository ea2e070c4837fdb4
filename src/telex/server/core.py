"""The Socket.IO server without I/O: namespaces above, an engine below."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cache, partial
from secrets import token_hex
from typing import Any

from .._log import logger
from ..adapter.base import Adapter, AdapterHost
from ..adapter.memory import InMemoryAdapter
from ..adapter.recovery import RecoveryMemory
from ..config import ServerOptions
from ..engine.engine import Engine, end
from ..engine.session import Session
from ..errors import ConfigurationError
from ..events.invoke import call_handler
from ..events.runtime import Runtime
from ..loop.results import DONE
from ..loop.turns import DISCONNECTS_PER_TURN, in_turns
from ..parser.choice import choose
from ..parser.packet import MAX_NAMESPACE
from ..types import Clock
from .adapter_host import NamespaceHost
from .connection import Connection, Shared
from .dynamic import ParentNamespace
from .engine_socket import EngineSocket
from .legacy import LegacyConnection
from .namespace import Namespace
from .registry import Registry

ATTACHMENT_TIMEOUT = 30.0
"""How long a packet may wait for its attachments, in seconds."""

GRACE = 10.0
"""How long handlers may go on when the server closes, in seconds."""

DRAIN_STEP = 0.05
"""Time between two groups of clients that are sent away, in seconds."""

SHUTTING_DOWN = "server shutting down"


MAX_EMPTY = 1000
"""How many dynamic namespaces that clients have asked for may be empty."""


class Core:
    """Owns the engine, the connections and the namespaces. ``clock`` gives seconds."""

    def __init__(self, options: ServerOptions, clock: Clock = time.monotonic) -> None:
        self.options = options
        self.runtime = Runtime(choose(options.parser))
        self.engine = Engine(options, clock, json_text=True)
        self.engine.on_session = self._session_opened
        self.namespaces: dict[str, Namespace] = {}
        self._parents: list[ParentNamespace] = []
        self._asked_for: set[Namespace] = set()
        self._empty: OrderedDict[Namespace, ParentNamespace] = OrderedDict()
        self._dynamic_limit_explained = False
        self._adapter: Callable[[AdapterHost], Adapter] = options.adapter or InMemoryAdapter
        self._server_id = cache(partial(token_hex, 8))  # not before the process has forked
        self._started = False
        self._ending: dict[str, asyncio.Task[None]] = {}
        # A client that says something else than pong buys the time for a pong once.
        detection = options.ping_interval + 2 * options.ping_timeout
        away = options.recovery.max_disconnection_duration
        self._recovery_memory = RecoveryMemory(clock, away, detection)
        self.opened: list[Callable[[EngineSocket], object]] = []
        self._connections: dict[Session, Connection] = {}
        schedule = self.engine.schedule
        self._connect_deadlines = schedule.timeout(
            options.connect_timeout, Connection.connect_timed_out
        )
        self._attachment_deadlines = schedule.timeout(
            ATTACHMENT_TIMEOUT, Connection.attachments_overdue
        )
        self._shared = Shared(
            self.runtime,
            self.find,
            options.id_source,
            options.handshake_extra,
            joined=self._connect_deadlines.stop,
            waiting=self._connection_waits,
            closed=self._connection_closed,
        )
        if options.id_source == "engine":
            logger.warning(
                "id_source='engine' shows session ids to other clients: whoever knows one can"
                " take over the session"
            )
        self._legacy_ids_explained = False
        self._root = self._make("/", Registry())

    # -- life ------------------------------------------------------------------------------

    def start(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this loop from now on, with the adapters of all namespaces."""
        self.runtime.bind(loop)
        if not self._started:
            self._started = True
            for namespace in list(self.namespaces.values()):
                self._start(namespace.name, namespace.adapter)

    def _start(self, name: str, adapter: Adapter) -> None:
        if not self._started:
            return
        ending = self._ending.get(name)
        if ending is not None:
            self.runtime.watch(_start_after(ending, adapter), "the start of an adapter")
            return
        begun = adapter.start()
        if begun is not DONE:
            self.runtime.watch(begun, "the start of an adapter")

    def _end(self, name: str, adapter: Adapter) -> None:
        """Close an adapter whose namespace goes on, or may be made again: that one starts later."""
        task = self.runtime.start(adapter.close())
        if not task.done():
            self._ending[name] = task
            task.add_done_callback(partial(_forget, self._ending, name))

    # -- namespaces -----------------------------------------------------------------------

    def dynamic(self, pattern: object) -> ParentNamespace:
        """Namespaces that are made when clients ask for names that match."""
        parent = ParentNamespace(f"/_{len(self._parents)}", pattern, self.runtime)
        self._parents.append(parent)
        return parent

    def of(self, name: str) -> Namespace:
        """The namespace with this name, made when it is first asked for."""
        if not isinstance(name, str):
            raise ConfigurationError(f"the name of a namespace is text, not {name!r}")
        name = name if name.startswith("/") else "/" + name
        if not _is_possible(name):
            raise ConfigurationError(
                f"{name[:50]!r} cannot be a namespace: it has a comma, a control character,"
                f" or more than {MAX_NAMESPACE} characters"
            )
        namespace = self.namespaces.get(name)
        if namespace is not None:
            return namespace
        for parent in self._parents:
            if parent.expression is not None and parent.expression.search(name):
                self.runtime.here("of", "use io.threadsafe.of()")
                return self._make_child(parent, name)
        self.runtime.here("of", "use io.threadsafe.of()")
        return self._make(name, Registry())

    def _make(
        self, name: str, registry: Registry, emptied: Callable[[Namespace], None] | None = None
    ) -> Namespace:
        host = NamespaceHost(
            name,
            self.runtime,
            registry,
            self.engine.schedule,
            self._server_id,
            self._recovery_memory if self.options.recovery.enabled else None,
            epoch=time.time_ns() // 1_000_000,
        )
        namespace = Namespace(
            host,
            self._adapter,
            self.runtime,
            registry,
            emptied=emptied,
            skip_middlewares=self.options.recovery.skip_middlewares,
        )
        self._start(name, namespace.adapter)
        self.namespaces[name] = namespace
        if name != "/":
            for handler in self._root.registry.take_lifecycle("new_namespace"):
                result = call_handler(handler, None, [namespace])
                if handler.is_async:
                    self.runtime.watch(result, "handler of 'new_namespace'")
        return namespace

    def _make_child(self, parent: ParentNamespace, name: str) -> Namespace:
        def emptied(child: Namespace) -> None:
            # A name that no client was let into leaves nothing behind, whatever the option.
            if self.options.cleanup_empty_child_namespaces or not child.ever_joined:
                self._remove_child(parent, child)
            elif child in self._asked_for:
                self._child_emptied(parent, child)

        child = self._make(name, parent.registry.child(), emptied)
        parent.children.add(child)
        return child

    def _remove_child(self, parent: ParentNamespace, child: Namespace) -> None:
        parent.forget(child)
        self._asked_for.discard(child)
        self._empty.pop(child, None)
        if self.namespaces.get(child.name) is child:
            del self.namespaces[child.name]
            self._end(child.name, child.adapter)

    def _child_emptied(self, parent: ParentNamespace, child: Namespace) -> None:
        """Keep an empty namespace for those who come back, and drop the one empty for longest."""
        self._empty[child] = parent
        self._empty.move_to_end(child)
        if len(self._empty) > MAX_EMPTY:
            self._drop_empty()

    def _drop_empty(self) -> bool:
        """Remove the namespace that has been empty for longest; whether there was one."""
        while self._empty:
            child, parent = self._empty.popitem(last=False)
            if child.empty:
                self._remove_child(parent, child)
                return True
        return False

    def _make_for_client(self, parent: ParentNamespace, name: str) -> Namespace | None:
        limit = self.options.max_dynamic_namespaces
        if len(self._asked_for) >= limit and not self._drop_empty():
            if not self._dynamic_limit_explained:
                self._dynamic_limit_explained = True
                logger.warning(
                    "a client has asked for one more than %d dynamic namespaces that are in use,"
                    " and is refused, as others will be without a word: see the option"
                    " max_dynamic_namespaces",
                    limit,
                )
            return None
        child = self._make_child(parent, name)
        self._asked_for.add(child)
        return child

    def find(self, name: str, auth: Any) -> Namespace | Awaitable[Namespace | None] | None:
        """The namespace that a client asks for, or a dynamic one made for it."""
        namespace = self.namespaces.get(name)
        if namespace is not None or not self._parents or not _is_possible(name):
            return namespace
        return self._find_dynamic(name, auth)

    async def _find_dynamic(self, name: str, auth: Any) -> Namespace | None:
        for parent in list(self._parents):
            if await parent.matches(name, auth):
                # Another client may have asked for the same name meanwhile.
                return self.namespaces.get(name) or self._make_for_client(parent, name)
        return None

    # -- connections ------------------------------------------------------------------------

    def adopt(self, conn: EngineSocket) -> None:
        """Speak Socket.IO on a connection of another engine."""
        self._session_opened(conn.session, conn)

    def use_adapter(self, make: Callable[[AdapterHost], Adapter]) -> None:
        """Give every namespace another adapter; only before the first connection."""
        if self._connections:
            raise ConfigurationError("the adapter can be set before the first connection only")
        self._adapter = make
        for namespace in self.namespaces.values():
            before = namespace.use_adapter(make)
            if self._started:
                self._end(namespace.name, before)
            self._start(namespace.name, namespace.adapter)

    def _session_opened(self, session: Session, conn: EngineSocket | None = None) -> None:
        options = self.options
        decoder = self.runtime.parser.decoder(
            max_attachments=options.max_attachments, max_bytes=options.max_http_buffer_size
        )
        issued = time.time_ns() // 1_000_000
        kind = LegacyConnection if session.protocol == 3 else Connection
        connection = kind(session, decoder, self._shared, issued, conn)
        self._connections[session] = connection
        for handler in self.opened:
            handler(connection.conn)
        if isinstance(connection, LegacyConnection):
            self._explain_legacy_ids()
            connection.join_root()
        else:
            self._connect_deadlines.start(connection)

    def _explain_legacy_ids(self) -> None:
        """Said once, and only of ids that are told to clients of Socket.IO 1 and 2."""
        if self._legacy_ids_explained or self.options.id_source != "random":
            return
        self._legacy_ids_explained = True
        logger.warning(
            "a client of Socket.IO 1 or 2 has connected: its socket.id is the id of its session,"
            " with which others can act for it while it uses long-polling: do not show it to other"
            " users, or set id_source='random_for_all'"
        )

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
        """End every connection at once; newcomers are refused from now on."""
        self.engine.close(SHUTTING_DOWN)

    async def close(self, drain: float = 0.0) -> None:
        """End every connection, spread over ``drain`` seconds; let handlers finish.

        Handlers that are still running after ``GRACE`` seconds are cancelled.
        """
        self.runtime.here("close", "use io.threadsafe.call(io.close)")
        await end_all(self.engine, SHUTTING_DOWN, drain)
        self.close_connections()
        mine = asyncio.current_task()
        running = {task for task in self.runtime.tasks if task is not mine}
        if running:
            _, late = await asyncio.wait(running, timeout=GRACE)
            for task in late:
                logger.warning("a handler has not finished within %s s: it is cancelled", GRACE)
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=GRACE)
        self._started = False
        for namespace in list(self.namespaces.values()):
            await namespace.adapter.close()


async def _start_after(ending: asyncio.Task[None], adapter: Adapter) -> None:
    await asyncio.wait([ending], timeout=GRACE)
    await adapter.start()


def _forget(ending: dict[str, asyncio.Task[None]], name: str, task: asyncio.Task[None]) -> None:
    if ending.get(name) is task:
        del ending[name]


async def end_all(engine: Engine, reason: str, drain: float) -> None:
    """End every session, spread over ``drain`` seconds; newcomers are refused."""

    def end_one(session: Session) -> None:
        end(session, reason)

    engine.closing = True
    sessions = list(engine.sessions.values())
    steps = max(1, min(len(sessions), round(drain / DRAIN_STEP)))
    for step in range(steps):
        await in_turns(sessions[step::steps], end_one, DISCONNECTS_PER_TURN)
        if drain > 0 and sessions:
            await asyncio.sleep(drain / steps)


def _is_possible(name: str) -> bool:
    """Whether this can be the name of a namespace."""
    possible = "," not in name and name.isprintable() and len(name) <= MAX_NAMESPACE
    return possible and name.startswith("/")
