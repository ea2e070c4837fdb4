"""What an Engine.IO session needs of asyncio: transports, one timer, and those who wait for it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Any, NamedTuple

from .._log import connections, logger, packets, shown
from ..deadlines import NEVER
from ..engine.client_host import PING_TIMEOUT, ClientTransport, State
from ..engine.client_session import ClientSession
from ..engine.trace import contents, told
from ..errors import ConfigurationError, ConnectError, Disconnected, TransportError
from ..loop.timer import LATE, LoopTimer
from ..wire import EncodedPacket
from .network import Network

HIGH_WATER = 64 * 1024
"""Above so many queued bytes, waiting for what was sent waits until they have left."""

_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed() -> float:
    """A clock that goes on while the machine sleeps, which that of most loops does not."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that a client lives on. Raises ``ConfigurationError`` if none is running."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "a client connects inside a running event loop: call it in an async function,"
            " or use telex.sync"
        ) from None


class EngineCallbacks(NamedTuple):
    """What a manager is told of its engine, before users are."""

    opened: Callable[[], object]
    failed: Callable[[ConnectError], object]
    closed: Callable[[str, Any], object]
    pinged: Callable[[], object]
    ponged: Callable[[float], object]


class SessionHost:
    """Runs a session on the running loop.

    ``fire(event, *args)`` fires an event of the engine for users; ``callbacks`` are called
    before that, and ``ended(reason)`` first of all. ``name`` is how logs call the engine.
    """

    def __init__(
        self,
        network: Network,
        callbacks: EngineCallbacks | None,
        *,
        fire: Callable[..., None],
        ended: Callable[[str], object],
        name: object,
    ) -> None:
        options = network.options
        self._network = network
        self._fire = fire
        self._callbacks = callbacks
        self._at_end = ended
        self._name = name
        self._loop = running_loop()
        self._tasks: set[asyncio.Task[None]] = set()
        self._drained: asyncio.Event | None = None
        self._ended = asyncio.Event()
        self._gone: Callable[[], object] | None = None
        self._verdicts: list[asyncio.Future[None]] = []
        self._error: ConnectError | None = None
        self._reason = ""
        self._logs = packets.isEnabledFor(logging.DEBUG)
        self.session = ClientSession(
            self,
            self,
            self._loop.time,
            protocol=options.revision,
            transports=options.transports,
            upgrade=options.upgrade,
            try_all=options.try_all_transports,
            websocket_first=options.remember_upgrade and network.remembered_websocket,
            cork=self._cork,
            elapsed=elapsed,
        )
        self._deadlines = _SessionDeadlines(self.session, self._loop.time)
        self._timer = LoopTimer(self._deadlines)
        self._timer.bind(self._loop)
        if self._logs:
            self.watch_packets()

    @property
    def is_stranded(self) -> bool:
        """Whether the loop on which the session lived has been closed."""
        return self._loop.is_closed()

    def watch_packets(self) -> None:
        """Show packets from now on: something listens to them, or logs them."""
        self.session.watcher = self

    def open(self) -> None:
        """Begin to connect."""
        if self._network.options.transports:
            self.session.open()
        else:
            self._loop.call_soon(self.session.open)  # it fails, after handlers were registered

    # -- waiting --------------------------------------------------------------------------

    async def wait_open(self) -> None:
        """Wait until the connection is open; raises ``ConnectError`` if it cannot be made."""
        if self.session.state is State.OPENING:
            verdict: asyncio.Future[None] = self._loop.create_future()
            self._verdicts.append(verdict)
            try:
                await verdict
            finally:
                if verdict in self._verdicts:
                    self._verdicts.remove(verdict)
        elif self.session.state is not State.OPEN:
            raise self._error or Disconnected(self._reason)

    async def wait_writable(self) -> None:
        """Wait until little is queued."""
        session = self.session
        while session.queued > HIGH_WATER and session.state is State.OPEN:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    async def wait_closed(self) -> None:
        """Wait until the connection has gone, with all its tasks."""
        await self._ended.wait()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def leave(self, gone: Callable[[], object], error: ConnectError | None) -> None:
        """Close the connection for callbacks that are not called any more.

        ``gone`` is called when all of it has gone; ``error`` is raised to what waits until
        the connection is open.
        """
        self._callbacks = None
        self._gone = gone
        self._error = error or self._error
        self.session.on_message = _discard
        self.session.close()
        self._look_whether_gone()

    def _look_whether_gone(self) -> None:
        if not self._tasks and self._ended.is_set() and self._gone is not None:
            gone, self._gone = self._gone, None
            gone()

    def _settle(self, error: ConnectError | None) -> None:
        verdicts, self._verdicts = self._verdicts, []
        for verdict in verdicts:
            if verdict.done():
                continue
            if error is None:
                verdict.set_result(None)
            else:
                verdict.set_exception(error)

    def _release_writers(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _cork(self) -> None:
        self._loop.call_soon(self.session.flush)

    # -- what the session asks for (Host) ---------------------------------------------------

    def connect(self, name: str, sid: str | None) -> ClientTransport:
        """A transport that begins to connect."""
        if name == "polling":
            from .polling import PollingTransport

            return PollingTransport(self.session, self._network, self._keep)
        from .websocket import WebSocketTransport

        return WebSocketTransport(self.session, self._network, self._keep)

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            error = task.exception()
            logger.error("a connection of %s failed", shown(self._name), exc_info=error)
        self._look_whether_gone()

    def wake(self) -> None:
        """The session's next deadline is earlier than before."""
        self._deadlines.wake(self._deadlines.rearm())

    def opened(self, handshake: dict[str, Any]) -> None:
        """The connection is open."""
        self._fire("handshake", handshake)
        if self.session.state is not State.OPEN:
            return  # a handler has closed it
        websocket = self._remember_transport()
        transport = "websocket" if websocket else "polling"
        connections.info("%s: opened over %s", shown(self._name), shown(transport))
        self._settle(None)
        if self._callbacks is not None:
            self._callbacks.opened()
        self._fire("open")

    def drained(self) -> None:
        """Nothing is queued any more."""
        self._release_writers()
        self._fire("drain")

    def failed(self, error: TransportError) -> None:
        """The session is about to end because of an error."""
        self._error = error
        self._network.remembered_websocket = False
        if self._callbacks is not None:
            self._callbacks.failed(error)
        self._fire("error", error)

    def ended(self, reason: str, details: Any) -> None:
        """The session has ended."""
        said = getattr(details, "description", None)
        why = reason if said is None else f"{reason} ({said})"
        connections.info("%s: closed, %s", shown(self._name), shown(why))
        self._reason = reason
        self._settle(self._error or ConnectError(reason))
        self._at_end(reason)
        self._release_writers()
        self._timer.stop()
        self._ended.set()
        self._look_whether_gone()
        if self._callbacks is not None:
            self._callbacks.closed(reason, details)
        self._fire("close", reason, details)

    def _remember_transport(self) -> bool:
        """Whether the session uses a WebSocket; the next one may begin with it."""
        transport = self.session.transport
        websocket = transport is not None and transport.name == "websocket"
        self._network.remembered_websocket = websocket
        return websocket

    # -- heartbeats and upgrades (SessionObserver) ------------------------------------------

    def pinged(self) -> None:
        """A ping has come, or has been sent."""
        if self._callbacks is not None:
            self._callbacks.pinged()
        self._fire("ping")

    def ponged(self, latency: float) -> None:
        """A pong has been sent, or has come."""
        if self._callbacks is not None:
            self._callbacks.ponged(latency)
        self._fire("pong", latency)

    def upgrading(self, transport: ClientTransport) -> None:
        """Polling is being paused."""
        self._fire("upgrading", transport)

    def upgraded(self, transport: ClientTransport) -> None:
        """The session goes on over a WebSocket."""
        connections.info("%s: upgraded to websocket", shown(self._name))
        self._remember_transport()
        self._fire("upgrade", transport)

    def upgrade_failed(self, error: TransportError) -> None:
        """The session goes on over polling."""
        self._fire("upgrade_error", error)

    # -- packets (PacketWatcher) ------------------------------------------------------------

    def received(self, data: str | bytes) -> None:
        """A packet has come."""
        if self._logs:
            packets.debug("%s: received %s", shown(self._name), shown(told(data)))
        self._fire("packet", data)
        self._fire("heartbeat")

    def created(self, packet: EncodedPacket) -> None:
        """A packet is about to be queued."""
        if self._logs:
            for data in contents(packet):
                packets.debug("%s: sending %s", shown(self._name), shown(told(data)))
        self._fire("packet_create", packet)

    def flushed(self) -> None:
        """A batch has been handed to the transport."""
        self._fire("flush")

    # -- a server that is overdue -------------------------------------------------------------

    def look_again(self, believe: Callable[[], object]) -> None:
        """Read what has come; then end the connection if the server is still overdue.

        ``believe`` is called afterwards in either case.
        """

        def look() -> None:
            if self.session.state is State.OPEN and self.session.heartbeat.overdue():
                self.session.end(PING_TIMEOUT)
            believe()

        self._loop.call_later(LATE / 10, look)


class _SessionDeadlines:
    """The deadlines of a session, for a timer. Most often they have moved when it is due."""

    def __init__(self, session: ClientSession, clock: Callable[[], float]) -> None:
        self._session = session
        self.clock = clock
        self.armed = NEVER
        self.wake: Callable[[float], None] = _unbound

    def rearm(self) -> float:
        """The next deadline of the session."""
        self.armed = self._session.deadline()
        return self.armed

    def tick(self, now: float) -> None:
        """Do what is due."""
        if self._session.deadline() <= now:
            self._session.tick()


def _unbound(deadline: float) -> None:
    """No timer has been bound to the deadlines yet."""


def _discard(data: str | bytes, pos: int) -> None:
    """What comes after the manager has left the connection."""
