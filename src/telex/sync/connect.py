"""``telex.sync.connect`` and ``telex.sync.connect_engine``."""

from __future__ import annotations

from typing import Unpack, cast

from ..client.connect import connect as async_connect
from ..client.connect import connect_engine as async_connect_engine
from ..client.manager import Manager as AsyncManager
from ..client.options import ClientKeywords, EngineClientKeywords
from .engine import ClientEngine
from .loop import LoopLease
from .manager import Manager
from .socket import ClientSocket
from .work import Work


def connect(url: str, **options: Unpack[ClientKeywords]) -> ClientSocket:
    """A connected socket of the namespace that the URL's path names.

    Options and rules are those of ``telex.connect``: ``ConnectError`` says why it cannot be
    connected, after the first failure unless ``reconnection`` or ``reconnection_attempts``
    ask for more. With ``auto_connect=False`` it is not connected yet.

    Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

    - ``path="/socket.io"``: URL path that the server answers at. JavaScript: ``path``.
    - ``query={}``: Query of every request. JavaScript: ``query``.
    - ``headers={}``: Headers of every request; cookies that the server sets are kept, too.
      JavaScript: ``extraHeaders``.
    - ``transports=("polling", "websocket")``: Transports to use, in this order: ``"polling"``,
      ``"websocket"``. JavaScript: ``transports``.
    - ``upgrade=True``: Whether to go from polling to WebSocket. JavaScript: ``upgrade``.
    - ``try_all_transports=False``: Whether to try the next transport if the first cannot connect.
      JavaScript: ``tryAllTransports``.
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
    - ``ssl=None``: An ``ssl.SSLContext``; ``False`` trusts any certificate, ``None`` those that the
      system trusts. JavaScript: ``ca``, ``cert``, ``key``, ``rejectUnauthorized``.
    - ``proxy=None``: URL of a proxy, such as ``http://host:port``. JavaScript: ``agent``.
    - ``trust_env=True``: Whether, without ``proxy``, ``HTTP_PROXY``, ``HTTPS_PROXY`` and
      ``NO_PROXY`` are heeded, for servers on other machines. JavaScript: none.
    - ``protocol=5``: Revision of the protocol: 5 with Socket.IO, 4 with Engine.IO alone; one less
      for servers of Socket.IO 2. JavaScript: none.
    - ``auth=None``: Credentials for the server's middleware: a dict, or a callable, plain or async,
      that is called for each connection. JavaScript: ``auth``.
    - ``reconnection=None``: Whether to reconnect. With ``None`` it does as well, but awaiting the
      first connection raises its first failure. JavaScript: ``reconnection``.
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
    - ``ack_timeout=None``: Seconds that the server has for each acknowledgement; ``None`` for no
      limit. JavaScript: ``ackTimeout``.
    - ``retries=None``: Times that an event is sent again until it is acknowledged, one event after
      the other; ``None`` sends it once. JavaScript: ``retries``.
    - ``receive_limit=1000``: Events that may wait for ``receive()``. JavaScript: none.
    """
    home = LoopLease()
    if "auth" in options:
        options["auth"] = Work(home).auth(options["auth"])
    home.enter()
    used = False

    async def make() -> ClientSocket:
        nonlocal used
        socket = async_connect(url, **cast(ClientKeywords, {**options, "auto_connect": False}))
        manager = Manager.of(cast(AsyncManager, socket.io), home)
        used = manager.lives_in(home)
        if options.get("auto_connect", True):
            waiting = socket.connect()
            manager.stay()
            try:
                await waiting
            except BaseException:
                socket.disconnect()
                raise
        return manager.face(socket)

    try:
        return home.call(make)
    finally:
        if not used:
            home.leave()


def connect_engine(url: str, **options: Unpack[EngineClientKeywords]) -> ClientEngine:
    """An open connection to an Engine.IO server, without Socket.IO.

    A path in the URL stands for the option ``path``. Raises ``ConnectError``.

    Options, as keywords; durations are seconds, sizes bytes (docs/options.md):

    - ``path="/engine.io"``: URL path that the server answers at. JavaScript: ``path``.
    - ``query={}``: Query of every request. JavaScript: ``query``.
    - ``headers={}``: Headers of every request; cookies that the server sets are kept, too.
      JavaScript: ``extraHeaders``.
    - ``transports=("polling", "websocket")``: Transports to use, in this order: ``"polling"``,
      ``"websocket"``. JavaScript: ``transports``.
    - ``upgrade=True``: Whether to go from polling to WebSocket. JavaScript: ``upgrade``.
    - ``try_all_transports=False``: Whether to try the next transport if the first cannot connect.
      JavaScript: ``tryAllTransports``.
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
    - ``ssl=None``: An ``ssl.SSLContext``; ``False`` trusts any certificate, ``None`` those that the
      system trusts. JavaScript: ``ca``, ``cert``, ``key``, ``rejectUnauthorized``.
    - ``proxy=None``: URL of a proxy, such as ``http://host:port``. JavaScript: ``agent``.
    - ``trust_env=True``: Whether, without ``proxy``, ``HTTP_PROXY``, ``HTTPS_PROXY`` and
      ``NO_PROXY`` are heeded, for servers on other machines. JavaScript: none.
    - ``protocol=4``: Revision of the protocol: 5 with Socket.IO, 4 with Engine.IO alone; one less
      for servers of Socket.IO 2. JavaScript: none.
    """
    home = LoopLease()
    home.enter()

    async def make() -> ClientEngine:
        engine = ClientEngine(home, async_connect_engine(url, **options))
        engine.live_alone()
        await engine.opened()
        return engine

    try:
        return home.call(make)
    except BaseException:
        home.leave()
        raise
