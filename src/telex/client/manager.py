"""Managers: one connection to one server, for all namespaces; it reconnects."""

from __future__ import annotations

import asyncio
import math
from functools import partial
from typing import Any, ClassVar, Self, Unpack

from .._log import logger, shown
from ..config import read
from ..engine.client_host import FORCED_CLOSE, Details
from ..errors import ConnectError, PacketError
from ..events.dispatch import Dispatch
from ..events.handlers import Handlers
from ..events.runtime import Runtime
from ..loop.results import Completion
from ..parser.choice import choose
from ..parser.packet import CONNECT, Decoder
from ..server_url import ServerUrl, parse
from ..wire import EncodedPacket
from .backoff import Backoff
from .engine import ClientEngine
from .manager_api import ManagerApi
from .network import MAX_MESSAGE, Network
from .options import Auth, ClientKeywords, ClientOptions
from .session_host import EngineCallbacks, running_loop
from .socket import ClientSocket

MAX_ATTACHMENTS = 10_000
"""How many attachments a server's packet may have."""

_FORWARDED = frozenset(
    {"ping", "pong", "reconnect", "reconnect_attempt", "reconnect_error", "reconnect_failed"}
)
"""Events that sockets hear of, too, as they did in Socket.IO 2."""


_CURE = "use manager.threadsafe.call() (as io.threadsafe of servers), or telex.sync"


class Manager(ManagerApi[ClientSocket]):
    """The connection to one server, shared by the sockets of its namespaces.

    Events: ``open()``, ``close(reason, details)``, ``error(error)``, ``ping()``,
    ``packet(packet)``, ``reconnect(attempt)``, ``reconnect_attempt(attempt)``,
    ``reconnect_error(error)``, ``reconnect_failed()``, with servers of Socket.IO 2 also
    ``pong(latency)``.
    """

    known_events: ClassVar[frozenset[str]] = _FORWARDED | {"open", "close", "error", "packet"}

    def __init__(self, url: str | ServerUrl, **options: Unpack[ClientKeywords]) -> None:
        """Make a manager; it connects when its first socket does.

        Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

        - ``path="/socket.io"``: URL path that the server answers at. JavaScript: ``path``.
        - ``query={}``: Query of every request. JavaScript: ``query``.
        - ``headers={}``: Headers of every request; cookies that the server sets are kept, too.
          JavaScript: ``extraHeaders``.
        - ``transports=("polling", "websocket")``: Transports to use, in this order: ``"polling"``,
          ``"websocket"``. JavaScript: ``transports``.
        - ``upgrade=True``: Whether to go from polling to WebSocket. JavaScript: ``upgrade``.
        - ``try_all_transports=False``: Whether to try the next transport if the first cannot
          connect. JavaScript: ``tryAllTransports``.
        - ``remember_upgrade=False``: Whether to begin with WebSocket once an upgrade has succeeded.
          JavaScript: ``rememberUpgrade``.
        - ``add_trailing_slash=True``: Whether ``path`` is sent with a slash at its end. JavaScript:
          ``addTrailingSlash``.
        - ``timestamp_requests=None``: Whether requests have a stamp against caches; ``None``: over
          polling only. JavaScript: ``timestampRequests``.
        - ``timestamp_param="t"``: Name of that stamp in the query. JavaScript: ``timestampParam``.
        - ``request_timeout=None``: Seconds that one HTTP request may take; ``None`` for no limit.
          JavaScript: ``requestTimeout``.
        - ``transport_options={}``: Headers and query of single transports, by name. JavaScript:
          ``transportOptions``.
        - ``ssl=None``: An ``ssl.SSLContext``; ``False`` trusts any certificate, ``None`` those that
          the system trusts. JavaScript: ``ca``, ``cert``, ``key``, ``rejectUnauthorized``.
        - ``proxy=None``: URL of a proxy, such as ``http://host:port``. JavaScript: ``agent``.
        - ``trust_env=True``: Whether, without ``proxy``, ``HTTP_PROXY``, ``HTTPS_PROXY`` and
          ``NO_PROXY`` are heeded, for servers on other machines. JavaScript: none.
        - ``protocol=5``: Revision of the protocol: 5 with Socket.IO, 4 with Engine.IO alone; one
          less for servers of Socket.IO 2. JavaScript: none.
        - ``auth=None``: Credentials for the server's middleware: a dict, or a callable, plain or
          async, that is called for each connection. JavaScript: ``auth``.
        - ``reconnection=None``: Whether to reconnect. With ``None`` it does as well, but awaiting
          the first connection raises its first failure. JavaScript: ``reconnection``.
        - ``reconnection_attempts=None``: Attempts before giving up: a whole number; ``None`` or
          ``math.inf`` for no end. JavaScript: ``reconnectionAttempts``.
        - ``reconnection_delay=1.0``: Seconds before the first attempt to reconnect; they double.
          JavaScript: ``reconnectionDelay``.
        - ``reconnection_delay_max=5.0``: Seconds before an attempt at most. JavaScript:
          ``reconnectionDelayMax``.
        - ``randomization_factor=0.5``: How much the delays vary, from 0 to 1. JavaScript:
          ``randomizationFactor``.
        - ``timeout=20.0``: Seconds that an attempt to connect may take; ``None`` for no limit.
          JavaScript: ``timeout``.
        - ``auto_connect=True``: Whether sockets connect as soon as they are made. JavaScript:
          ``autoConnect``.
        - ``force_new=False``: Whether the connection is shared with no other socket. JavaScript:
          ``forceNew``.
        - ``multiplex=True``: Whether it may be shared with sockets of other namespaces. JavaScript:
          ``multiplex``.
        - ``parser="json"``: Wire format, the same as the server's: ``"json"``, ``"msgpack"`` or a
          parser object. JavaScript: ``parser``.
        - ``ack_timeout=None``: Seconds that the server has for each acknowledgement; ``None`` for
          no limit. JavaScript: ``ackTimeout``.
        - ``retries=None``: Times that an event is sent again until it is acknowledged, one event
          after the other; ``None`` sends it once. JavaScript: ``retries``.
        - ``receive_limit=1000``: Events that may wait for ``receive()``. JavaScript: none.
        """
        self.options = read(ClientOptions, options)
        self.target = url if isinstance(url, ServerUrl) else parse(url)
        self.sockets: dict[str, ClientSocket] = {}
        self.engine: ClientEngine | None = None
        self.reconnection = self.options.reconnection is not False
        attempts = self.options.reconnection_attempts
        self.reconnection_attempts = math.inf if attempts is None else attempts
        self.timeout = self.options.timeout
        self.ready_state = "closed"
        self.runtime = Runtime(choose(self.options.parser))
        self._network = Network(self.target, self.options)
        self._handlers = Handlers()
        self._runtime = self.runtime
        delays = self.options.reconnection_delay, self.options.reconnection_delay_max
        self._backoff = Backoff(*delays, self.options.randomization_factor)
        self._decoder: Decoder | None = None
        self._leaving: set[ClientEngine] = set()
        self._reconnecting = False
        self._stopped = False
        self._retry: asyncio.TimerHandle | None = None
        self._connect_timer: asyncio.TimerHandle | None = None
        self._held: set[Dispatch] = set()
        self.root_joined = False

    def __repr__(self) -> str:
        return f"<Manager {self.target.authority} {self.ready_state}>"

    @property
    def in_use(self) -> bool:
        """Whether a socket uses the connection, or may yet."""
        return self.ready_state != "closed" or any(s.active for s in self.sockets.values())

    # -- namespaces -------------------------------------------------------------------------

    def socket(
        self,
        nsp: str = "/",
        *,
        auth: Auth = None,
        ack_timeout: float | None = None,
        retries: int | None = None,
    ) -> ClientSocket:
        if not nsp.startswith("/"):
            nsp = f"/{nsp}"
        socket = self.sockets.get(nsp)
        if socket is None:
            options = self.options
            socket = ClientSocket(
                self,
                nsp,
                auth=options.auth if auth is None else auth,
                ack_timeout=options.ack_timeout if ack_timeout is None else ack_timeout,
                retries=options.retries if retries is None else retries,
            )
            self.sockets[nsp] = socket
        if self.options.auto_connect:
            socket.connect()
        return socket

    # -- connecting -------------------------------------------------------------------------

    def open(self) -> Completion:
        self._open()
        return Completion(self, self._wait_open)

    async def _wait_open(self) -> None:
        if self.engine is not None:
            await self.engine

    def _open(self) -> None:
        self.runtime.here("open", _CURE)
        loop = running_loop()
        if self.engine is not None and self.engine.host.is_stranded:
            self.engine, self.ready_state = None, "closed"  # its loop has been closed
            self._leaving.clear()
            for socket in self.sockets.values():
                socket.membership.loop_closed()
        if self.ready_state != "closed":
            return
        _cancel(self._retry)
        self.ready_state = "opening"
        self._stopped = False
        callbacks = EngineCallbacks(
            self._opened,
            self._engine_failed,
            self._engine_closed,
            partial(self._tell, "ping"),
            partial(self._tell, "pong"),
        )
        engine = ClientEngine(self._network, self.runtime, callbacks)
        self.engine = engine
        self._leaving.add(engine)
        if self.timeout is not None:
            self._connect_timer = loop.call_later(self.timeout, self._timed_out)
        engine.open()

    def _timed_out(self) -> None:
        self._connect_timer = None
        if self.ready_state == "opening":
            self._open_failed(ConnectError("timeout"))

    def _engine_failed(self, error: ConnectError) -> None:
        if self.ready_state == "opening":
            self._open_failed(error)
        else:
            self._tell_error(error)

    def _engine_closed(self, reason: str, details: Any) -> None:
        if self.ready_state == "opening":  # no error: closed before it was open
            self._open_failed(ConnectError(reason))
        elif self.ready_state == "open":
            self._closed(reason, details)

    def _opened(self) -> None:
        engine = self.engine
        if engine is None:
            return
        _cancel(self._connect_timer)
        self.ready_state = "open"
        self.root_joined = False
        self._decoder = self.runtime.parser.decoder(
            max_attachments=MAX_ATTACHMENTS, max_bytes=MAX_MESSAGE
        )
        engine.session.on_message = self._message
        self.fire("open")
        for socket in list(self.sockets.values()):
            if socket.active:
                socket.membership.opened()
        if self._reconnecting:
            attempt = self._backoff.attempts
            self._reconnecting = False
            self._backoff.reset()
            self._tell("reconnect", attempt)

    def _open_failed(self, error: ConnectError) -> None:
        self._drop_engine(error)
        self.ready_state = "closed"
        again = self._reconnecting
        self._tell_error(error)
        if self.ready_state == "closed" and not self._stopped:
            self._reconnecting = False
            self._reconnect()
        if again:
            self._tell("reconnect_error", error)

    def _tell_error(self, error: ConnectError) -> None:
        self.fire("error", error)
        for socket in list(self.sockets.values()):
            if socket.active:
                socket.membership.connection_failed(error)

    def _drop_engine(self, error: ConnectError | None = None) -> None:
        """Have nothing to do any more with the engine of this moment."""
        _cancel(self._connect_timer)
        engine, self.engine = self.engine, None
        self._decoder = None
        if engine is not None:
            engine.host.leave(lambda: self._leaving.discard(engine), error)

    # -- reconnecting -----------------------------------------------------------------------

    def _reconnect(self) -> None:
        """Make another attempt a little later, or give up."""
        if self._reconnecting or self._stopped or self.ready_state != "closed":
            return  # or a handler has done it already
        if not self.reconnection or self._backoff.attempts >= self.reconnection_attempts:
            self._backoff.reset()
            if self.reconnection:
                self._tell("reconnect_failed")
            for socket in list(self.sockets.values()):
                socket.membership.gave_up()
            return
        self._reconnecting = True
        self._retry = running_loop().call_later(self._backoff.next(), self._try_again)

    def _try_again(self) -> None:
        self._retry = None
        if self._stopped:
            return
        self._tell("reconnect_attempt", self._backoff.attempts)
        if not self._stopped:
            self._open()

    @property
    def will_retry(self) -> bool:
        """Whether another attempt to connect is going to be made."""
        return self._reconnecting and not self._stopped

    # -- closing ----------------------------------------------------------------------------

    def _closed(self, reason: str, details: Any) -> None:
        self._drop_engine()
        self._backoff.reset()
        self.ready_state = "closed"
        self._held.clear()
        self.fire("close", reason, details)
        for socket in list(self.sockets.values()):
            socket.membership.connection_lost(reason, details)
        self._reconnect()

    def leave(self, dispatch: Dispatch) -> None:
        """A socket needs the connection no more; without any that does, it is closed."""
        self.release(dispatch)
        if not any(socket.active for socket in self.sockets.values()):
            self._close()

    def _close(self) -> None:
        self._stopped = True
        self._reconnecting = False
        _cancel(self._retry)
        if self.ready_state == "open":
            self._closed(FORCED_CLOSE, None)
        elif self.ready_state == "opening":
            self._drop_engine()
            self.ready_state = "closed"
            self._backoff.reset()
            self.fire("close", FORCED_CLOSE, None)
        else:
            self._backoff.reset()

    def close(self) -> Completion:
        self.runtime.here("close", _CURE)
        for socket in list(self.sockets.values()):
            socket.disconnect()
        self._close()
        return Completion(self, self.wait_closed)

    async def wait_closed(self) -> None:
        """Wait until the connections that are being closed have gone."""
        for engine in list(self._leaving):
            if engine is not self.engine:
                await engine.host.wait_closed()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()

    # -- packets ----------------------------------------------------------------------------

    def _message(self, data: str | bytes, pos: int) -> None:
        decoder = self._decoder
        if decoder is None:
            return
        try:
            packet = decoder.receive(data, pos)
            if packet is None:
                return
            if "packet" in self._handlers.by_event:
                self.fire("packet", packet)
            socket = self.sockets.get(packet[1])
            if socket is not None:
                socket.receive_packet(packet)
            elif packet[0] == CONNECT:
                self.root_joined = True  # Socket.IO 2, which lets each client into `/`
        except Exception as error:
            if isinstance(error, PacketError):
                logger.warning("%s sent what cannot be decoded: %s", shown(self), shown(error))
            else:
                logger.exception("a packet of %s cannot be handled", shown(self))
            if decoder is self._decoder:
                self._closed("parse error", Details(str(error), error))

    def send(self, packet: EncodedPacket) -> None:
        """Send a packet over the connection."""
        if self.engine is not None:
            self.engine.session.send(packet)

    # -- reading no faster than handlers work -----------------------------------------------

    def hold(self, dispatch: Dispatch) -> None:
        """A socket's handlers are behind: read no further until ``release``."""
        self._held.add(dispatch)
        if self.engine is not None:
            self.engine.session.hold()

    @property
    def expects_answers(self) -> bool:
        """Whether a socket waits for what only the server can say."""
        return any(socket.waits for socket in self.sockets.values())

    def read_on(self) -> None:
        """Something is waited for that only the server can say."""
        for dispatch in list(self._held):
            dispatch.read_on()

    def release(self, dispatch: Dispatch) -> None:
        """A socket's handlers have caught up."""
        self._held.discard(dispatch)
        if not self._held and self.engine is not None:
            self.engine.session.release()

    # -- events -----------------------------------------------------------------------------

    def _tell(self, event: str, *args: Any) -> None:
        """Fire an event here and, as Socket.IO 2 did, on the sockets."""
        self.fire(event, *args)
        for socket in list(self.sockets.values()):
            if socket.active:
                socket.dispatch.lifecycle(event, *args)
                if event == "reconnect_attempt":
                    socket.dispatch.lifecycle("reconnecting", *args)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    """Cancel a timer that may have been started; one that has fired is left alone."""
    if timer is not None:
        timer.cancel()
