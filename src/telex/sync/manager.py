"""Blocking managers: one connection to one server, for all namespaces."""

from __future__ import annotations

import asyncio
from typing import Any, Self, Unpack
from weakref import WeakValueDictionary

from ..client.manager import Manager as AsyncManager
from ..client.options import Auth, ClientKeywords
from ..client.socket import ClientSocket as AsyncSocket
from .engine import ClientEngine
from .loop import LoopLease
from .manager_api import ManagerApi
from .socket import ClientSocket
from .work import Work

_faces: WeakValueDictionary[int, Manager] = WeakValueDictionary()
"""By the ``id`` of an async manager, which its face keeps alive."""


class Manager(ManagerApi[ClientSocket]):
    """The connection to one server, for programs that block (see ``telex.Manager``)."""

    def __init__(self, url: str, **options: Unpack[ClientKeywords]) -> None:
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
        home = LoopLease()
        work = Work(home)
        if "auth" in options:
            options["auth"] = work.auth(options["auth"])
        home.enter()
        try:
            manager = home.ask(lambda: AsyncManager(url, **options))
        except BaseException:
            home.leave()
            raise
        self._live(home, work, manager)

    def _live(self, home: LoopLease, work: Work, manager: AsyncManager) -> None:
        self._home = home
        self._work = work
        self._manager = self._events = manager
        self._sockets: dict[str, ClientSocket] = {}
        self._engine: ClientEngine | None = None
        self._staying: asyncio.Task[None] | None = None
        home.close = self._farewell
        _faces[id(manager)] = self

    @classmethod
    def of(cls, manager: AsyncManager, home: LoopLease) -> Manager:
        """The face of a manager; a new one lives in ``home``."""
        face = _faces.get(id(manager))
        if face is None:
            face = cls.__new__(cls)
            face._live(home, Work(home), manager)
        return face

    def lives_in(self, home: LoopLease) -> bool:
        """Whether this is where the manager lives."""
        return self._home is home

    def __repr__(self) -> str:
        return f"<telex.sync.Manager {self._manager.target.authority} {self.ready_state}>"

    # -- what it is -------------------------------------------------------------------------

    @property
    def engine(self) -> ClientEngine | None:
        """The present connection."""
        engine = self._manager.engine
        if engine is None:
            return None
        if self._engine is None or not self._engine.is_face_of(engine):
            self._engine = ClientEngine(self._home, engine)
        return self._engine

    # -- namespaces -------------------------------------------------------------------------

    def socket(
        self,
        nsp: str = "/",
        *,
        auth: Auth = None,
        ack_timeout: float | None = None,
        retries: int | None = None,
    ) -> ClientSocket:
        given = self._work.auth(auth)

        def make() -> ClientSocket:
            made = self._manager.socket(nsp, auth=given, ack_timeout=ack_timeout, retries=retries)
            if made.active:
                self.stay()
            return self.face(made)

        self._home.enter()
        return self._home.ask(make)

    def face(self, socket: AsyncSocket) -> ClientSocket:
        """The face of a socket."""
        face = self._sockets.get(socket.nsp)
        if face is None:
            face = self._sockets[socket.nsp] = ClientSocket(self, self._home, socket)
        return face

    # -- the connection ---------------------------------------------------------------------

    def open(self) -> Self:
        self._home.enter()

        def begin() -> Any:
            waiting = self._manager.open()
            self.stay()
            return waiting

        self._home.hand_over(begin)
        return self

    def close(self) -> Self:
        if self._home.on_loop:
            self._manager.close()
        elif self._home.is_entered:
            self._home.call(self._leave)
        return self

    async def _leave(self) -> None:
        await self._manager.close()
        self.settle()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        if self._home.is_here:  # and not in a child process that leaves the block, too
            self.close()

    # -- staying at home as long as the connection is in use --------------------------------

    def _in_use(self) -> bool:
        return self._manager.in_use or self._manager.will_retry

    def settle(self) -> None:
        if not self._in_use() and not self._manager.runtime.tasks:
            self._home.leave()

    def stay(self) -> None:
        self._home.enter()
        loop = asyncio.get_running_loop()
        staying = self._staying
        if staying is None or staying.done() or staying.get_loop() is not loop:
            self._staying = loop.create_task(self._stay())

    async def _stay(self) -> None:
        manager = self._manager
        while True:
            while self._in_use():
                await self._something_ends()
            await manager.wait_closed()
            while manager.runtime.tasks:
                await asyncio.wait(set(manager.runtime.tasks))
            if not self._in_use():
                self._home.leave()
                return

    async def _something_ends(self) -> None:
        manager = self._manager
        active = [socket for socket in manager.sockets.values() if socket.active]
        if active:
            await active[0].wait()
            return
        ended = asyncio.Event()
        for event in ("close", "error"):
            manager.on(event, ended.set)
        try:
            await ended.wait()
        finally:
            for event in ("close", "error"):
                manager.off(event, ended.set)

    async def _farewell(self) -> None:
        """The program ends."""
        await self._manager.close()
        while self._manager.runtime.tasks:
            await asyncio.wait(set(self._manager.runtime.tasks))
