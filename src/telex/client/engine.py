"""An Engine.IO connection as users see it, and what its session needs of asyncio."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Generator
from typing import Any, ClassVar, Self

from .._log import connections, logger, packets, shown
from ..engine.client_session import (
    CLOSED,
    NEVER,
    OPENED,
    OPENING,
    PING_TIMEOUT,
    ClientSession,
    ClientTransport,
)
from ..engine.packet import message
from ..engine.trace import contents, told
from ..errors import ConfigurationError, ConnectError, Disconnected
from ..events.emitter import Events
from ..events.handlers import Handlers
from ..events.runtime import Runtime
from ..events.threadsafe import Threadsafe
from ..loop.results import Completion
from ..types import Buffer
from .network import Network
from .receive_queue import ReceiveQueue

LATE = 0.5
"""A timer that is this late (in seconds) lets what has arrived meanwhile be read first."""

HIGH_WATER = 64 * 1024
"""Above so many queued bytes whoever awaits what was sent waits until they have left."""

_WATCHED = frozenset({"packet", "packet_create", "heartbeat", "flush"})


_CURE = "use engine.threadsafe.call() (as io.threadsafe of servers), or telex.sync"

_CLOCK = getattr(time, "CLOCK_BOOTTIME", getattr(time, "CLOCK_MONOTONIC", None))


def elapsed() -> float:
    """A clock that goes on while the machine sleeps, which that of most loops does not."""
    return time.monotonic() if _CLOCK is None else time.clock_gettime(_CLOCK)


def running_loop() -> asyncio.AbstractEventLoop:
    """The loop that a client lives on."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise ConfigurationError(
            "a client connects inside a running event loop: call it in an async function,"
            " or use telex.sync"
        ) from None


class ClientEngine(Events):
    """One Engine.IO connection (JavaScript: ``engine.io-client``'s ``Socket``).

    Events: ``open()``, ``handshake(data)``, ``message(data)``, ``close(reason, details)``,
    ``error(error)``, ``upgrading(transport)``, ``upgrade(transport)``,
    ``upgrade_error(error)``, ``ping()``, ``pong(latency)``, ``packet(data)``,
    ``packet_create(packet)``, ``heartbeat()``, ``flush()``, ``drain()``.
    Messages without a handler wait for ``receive``.
    """

    known_events: ClassVar[frozenset[str]] = frozenset(
        {
            "open",
            "handshake",
            "message",
            "close",
            "error",
            "upgrading",
            "upgrade",
            "upgrade_error",
            "ping",
            "pong",
            "packet",
            "packet_create",
            "heartbeat",
            "flush",
            "drain",
        }
    )

    def __init__(
        self,
        network: Network,
        runtime: Runtime,
        observer: Callable[[str, tuple[Any, ...]], None] | None = None,
        *,
        receive_limit: int = 1000,
    ) -> None:
        options = network.options
        self._network = network
        self._runtime = runtime
        self._handlers = Handlers()
        self._observer = observer
        self._loop = running_loop()
        runtime.bind(self._loop)
        self._tasks: set[asyncio.Task[None]] = set()
        self._timer: asyncio.TimerHandle | None = None
        self._postponed = False
        self._drained: asyncio.Event | None = None
        self._ended = asyncio.Event()
        self._error: ConnectError | None = None
        self._reason = ""
        self._gone: Callable[[], object] | None = None
        self._opened: list[asyncio.Future[None]] = []
        self._mail: ReceiveQueue[str | bytes] = ReceiveQueue(receive_limit)
        self.session = ClientSession(
            self,
            self._loop.time,
            protocol=options.revision,
            transports=options.transports,
            upgrade=options.upgrade,
            try_all=options.try_all_transports,
            prior=options.remember_upgrade and network.remembered_websocket,
            cork=self._cork,
            elapsed=elapsed,
        )
        self.session.on_message = self._message
        self._logs = packets.isEnabledFor(logging.DEBUG)
        self.session.watched = self._logs

    def __repr__(self) -> str:
        return f"<ClientEngine {self._network.target.authority} {self.ready_state}>"

    # -- what it is -----------------------------------------------------------------------

    @property
    def id(self) -> str | None:
        """The session id; ``None`` while there is no session."""
        return self.session.id

    @property
    def protocol(self) -> int:
        """The revision of Engine.IO."""
        return self.session.protocol

    @property
    def ready_state(self) -> str:
        """``opening``, ``open``, ``closing`` or ``closed``."""
        return self.session.state

    @property
    def transport(self) -> ClientTransport | None:
        """The present transport; its ``name`` is ``polling`` or ``websocket``."""
        return self.session.transport

    @property
    def is_stranded(self) -> bool:
        """Whether the loop on which it lived has been closed."""
        return self._loop.is_closed()

    # -- life -----------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to connect."""
        if self._network.options.transports:
            self.session.open()
        else:
            self._loop.call_soon(self.session.open)  # it fails: somebody may want to hear it

    def close(self) -> Completion:
        """Close the connection; what is queued is still sent. May be awaited."""
        self._runtime.here("close", _CURE)
        self.session.close()
        return Completion(self, self.wait_closed)

    def leave(self, gone: Callable[[], object], error: ConnectError | None = None) -> None:
        """The observer wants to hear no more, but that everything has gone.

        ``error`` is why, for those who wait until the connection is open.
        """
        self._observer = None
        self._gone = gone
        self._error = error or self._error
        self.session.on_message = _ignore
        self.session.close()
        self._look_around()

    def _look_around(self) -> None:
        if not self._tasks and self._ended.is_set() and self._gone is not None:
            gone, self._gone = self._gone, None
            gone()

    async def wait_closed(self) -> None:
        """Wait until the connection has gone, with all that belongs to it."""
        await self._ended.wait()
        while self._tasks:
            await asyncio.wait(set(self._tasks))

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self._open().__await__()
        return self

    async def _open(self) -> None:
        """Wait until the connection is open; raises ``ConnectError`` if it cannot be made."""
        if self.session.state is OPENING:
            verdict: asyncio.Future[None] = self._loop.create_future()
            self._opened.append(verdict)
            try:
                await verdict
            finally:
                if verdict in self._opened:
                    self._opened.remove(verdict)
        elif self.session.state is not OPENED:
            raise self._error or Disconnected(self._reason)

    async def __aenter__(self) -> Self:
        try:
            return await self
        except BaseException:
            await self.close()
            raise

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- messages -------------------------------------------------------------------------

    @property
    def threadsafe(self) -> Threadsafe:
        """For any other thread: ``threadsafe.call(function, *args)`` runs on the event loop."""
        return Threadsafe(self._runtime)

    def send(self, data: str | Buffer) -> Completion:
        """Send a message. Awaiting the result waits until little is queued."""
        self._runtime.here("send", _CURE)
        self.session.send(message(data))
        return Completion(self, self.wait_writable)

    async def wait_writable(self) -> None:
        """Wait until little is queued."""
        session = self.session
        while session.queued > HIGH_WATER and session.state is OPENED:
            if self._drained is None:
                self._drained = asyncio.Event()
            await self._drained.wait()

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message that no handler took.

        Raises ``Disconnected`` when the connection has ended, ``TimeoutError`` after
        ``timeout`` seconds.
        """
        return await self._mail.get(timeout)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                data = await self._mail.get()
            except Disconnected:
                return
            yield data

    def _message(self, data: str | bytes, pos: int) -> None:
        data = data[pos:] if pos else data
        if "message" in self._handlers.by_event:
            self.fire("message", data)
        else:
            self._mail.put(data, len(data))

    def listened(self, event: str) -> None:
        """Packets are shown only if somebody looks."""
        if event in _WATCHED:
            self.session.watched = True

    def _log_packet(self, event: str, packet: Any) -> None:
        if event == "packet":
            packets.debug("%s: received %s", shown(self), shown(told(packet)))
        else:
            for data in contents(packet):
                packets.debug("%s: sending %s", shown(self), shown(told(data)))

    # -- what the session asks for ----------------------------------------------------------

    def connect(self, name: str, sid: str | None) -> ClientTransport:
        """A transport that begins to connect."""
        if name == "polling":
            from .polling import PollingTransport

            return PollingTransport(self.session, self._network, self._keep)
        from .websocket import WebSocketTransport

        return WebSocketTransport(self.session, self._network, self._keep)

    def happened(self, event: str, *args: Any) -> None:
        """The session has something to tell."""
        if event == "drain":
            self._let_go_on()
        elif self._logs and event in ("packet", "packet_create"):
            self._log_packet(event, args[0])
        elif event == "open":
            transport = "websocket" if self._is_websocket() else "polling"
            connections.info("%s: opened over %s", shown(self), shown(transport))
            self._network.remembered_websocket = self._is_websocket()
            self._settle(None)
        elif event == "upgrade":
            connections.info("%s: upgraded to websocket", shown(self))
            self._network.remembered_websocket = self._is_websocket()
        elif event == "error":
            self._error = args[0]
            self._network.remembered_websocket = False
        elif event == "close":
            reason, details = args
            said = getattr(details, "description", None)
            why = reason if said is None else f"{reason} ({said})"
            connections.info("%s: closed, %s", shown(self), shown(why))
            self._closed(args[0])
        if self._observer is not None:
            self._observer(event, args)
        if self._handlers.by_event:
            self.fire(event, *args)

    def _is_websocket(self) -> bool:
        transport = self.session.transport
        return transport is not None and transport.name == "websocket"

    def _closed(self, reason: str) -> None:
        self._reason = reason
        self._settle(self._error or ConnectError(reason))
        self._mail.close(reason)
        self._let_go_on()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._ended.set()
        self._look_around()

    def _settle(self, error: ConnectError | None) -> None:
        waiting, self._opened = self._opened, []
        for verdict in waiting:
            if verdict.done():
                continue
            if error is None:
                verdict.set_result(None)
            else:
                verdict.set_exception(error)

    def _let_go_on(self) -> None:
        if self._drained is not None:
            self._drained.set()
            self._drained = None

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._task_done)

    def _task_done(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and task.exception() is not None:
            logger.error("a connection of %s failed", shown(self), exc_info=task.exception())
        self._look_around()

    def _cork(self) -> None:
        self._loop.call_soon(self.session.flush)

    # -- the timer --------------------------------------------------------------------------

    def look_again(self, believe: Callable[[], object]) -> None:
        """The server is overdue: end the connection, unless it is heard of in this moment."""

        def look() -> None:
            if self.session.state is OPENED and self.session.overdue():
                self.session.end(PING_TIMEOUT)
            believe()

        self._loop.call_later(LATE / 10, look)

    def wake(self) -> None:
        """The session's next deadline is earlier than before."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        deadline = self.session.deadline()
        if deadline != NEVER:
            self._timer = self._loop.call_at(deadline, self._tick)

    def _tick(self) -> None:
        """Most often the deadline has moved meanwhile."""
        now = self._loop.time()
        deadline = self.session.deadline()
        self._timer = None
        if self.session.state is CLOSED:
            return
        if deadline <= now:
            if now - deadline > LATE and not self._postponed:
                # The process was held up: what has come meanwhile may change everything.
                self._postponed = True
                self._timer = self._loop.call_later(LATE / 10, self._tick)
                return
            self.session.tick()
        self._postponed = False
        self.wake()


def _ignore(data: str | bytes, pos: int) -> None:
    """What comes after everybody has left."""
