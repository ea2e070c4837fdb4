"""An Engine.IO connection as users see it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator
from typing import Any, ClassVar, Self

from ..engine.client_host import ClientTransport
from ..engine.packet import message
from ..errors import Disconnected
from ..events.emitter import Events
from ..events.handlers import Handlers
from ..events.runtime import Runtime
from ..events.threadsafe import Threadsafe
from ..loop.results import Completion
from ..types import Buffer
from .network import Network
from .receive_queue import ReceiveQueue
from .session_host import EngineCallbacks, SessionHost, running_loop

_WATCHED = frozenset({"packet", "packet_create", "heartbeat", "flush"})


_CURE = "use engine.threadsafe.call() (as io.threadsafe of servers), or telex.sync"


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
        callbacks: EngineCallbacks | None = None,
        *,
        receive_limit: int = 1000,
    ) -> None:
        runtime.bind(running_loop())
        self._network = network
        self._runtime = runtime
        self._handlers = Handlers()
        self._messages: ReceiveQueue[str | bytes] = ReceiveQueue(receive_limit)
        self.host = SessionHost(
            network, callbacks, fire=self._fire_event, ended=self._messages.close, name=self
        )
        self.session = self.host.session
        self.session.on_message = self._message

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
        return self.session.state.value

    @property
    def transport(self) -> ClientTransport | None:
        """The present transport; its ``name`` is ``polling`` or ``websocket``."""
        return self.session.transport

    # -- life -----------------------------------------------------------------------------

    def open(self) -> None:
        """Begin to connect."""
        self.host.open()

    def close(self) -> Completion:
        """Close the connection; what is queued is still sent. May be awaited."""
        self._runtime.here("close", _CURE)
        self.session.close()
        return Completion(self, self.host.wait_closed)

    async def wait_closed(self) -> None:
        """Wait until the connection has gone, with all its tasks."""
        await self.host.wait_closed()

    def __await__(self) -> Generator[Any, None, Self]:
        yield from self.host.wait_open().__await__()
        return self

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
        return Completion(self, self.host.wait_writable)

    async def receive(self, timeout: float | None = None) -> str | bytes:
        """The next message that no handler took.

        Raises ``Disconnected`` when the connection has ended, ``TimeoutError`` after
        ``timeout`` seconds.
        """
        return await self._messages.get(timeout)

    async def __aiter__(self) -> AsyncIterator[str | bytes]:
        while True:
            try:
                data = await self._messages.get()
            except Disconnected:
                return
            yield data

    def _message(self, data: str | bytes, pos: int) -> None:
        data = data[pos:] if pos else data
        if "message" in self._handlers.by_event:
            self.fire("message", data)
        else:
            self._messages.put(data, len(data))

    def _fire_event(self, event: str, *args: Any) -> None:
        if self._handlers.by_event:
            self.fire(event, *args)

    def listened(self, event: str) -> None:
        """Packets are shown only while a handler is registered for them."""
        if event in _WATCHED:
            self.host.watch_packets()
