"""``telex.connect`` and ``telex.connect_engine``."""

from __future__ import annotations

import asyncio
from typing import Any, Unpack, cast
from weakref import WeakKeyDictionary, WeakSet

from ..config import read
from ..events.runtime import Runtime
from ..parser.choice import choose
from ..server_url import parse
from .engine import ClientEngine
from .manager import Manager
from .network import Network
from .options import ClientKeywords, ClientOptions, EngineClientKeywords, EngineClientOptions
from .session_host import running_loop
from .socket import ClientSocket

_OWN = ("auth", "ack_timeout", "retries", "force_new", "multiplex", "auto_connect")
"""Options in which the sockets of one connection may differ."""

_managers: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Manager]] = WeakKeyDictionary()
"""A manager knows its loop: were it kept here, neither would ever be freed."""


def connect(url: str, **options: Unpack[ClientKeywords]) -> ClientSocket:
    """A socket of the namespace that the URL's path names (JavaScript: ``io``).

    It begins to connect at once, unless ``auto_connect`` is off. ``await`` it, or use it in
    ``async with``, to wait until it is connected; ``ConnectError`` says why it cannot be.
    Sockets of several namespaces of one server share a connection if they are made with
    the same options, unless ``force_new`` or ``multiplex=False`` forbid it.

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
    chosen = read(ClientOptions, options)
    target = parse(url)
    nsp = target.path if target.path.startswith("/") else "/"
    server = target._replace(path="")
    shared = {name: value for name, value in options.items() if name not in _OWN}
    if chosen.force_new or not chosen.multiplex or not _has_loop():
        manager = Manager(server, **cast(ClientKeywords, {**options, "auto_connect": False}))
    else:
        manager = _shared(server, nsp, shared)
    socket = manager.socket(
        nsp,
        auth=chosen.auth,
        ack_timeout=chosen.ack_timeout,
        retries=chosen.retries,
    )
    if chosen.auto_connect:
        socket.connect()
    return socket


def _has_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _shared(server: Any, nsp: str, shared: dict[str, Any]) -> Manager:
    """The manager of this server on this loop, as long as it has no socket of ``nsp``."""
    options = read(ClientOptions, {**shared, "auto_connect": False})
    loop = asyncio.get_running_loop()
    known = _managers.setdefault(loop, WeakSet())
    for manager in list(known):
        same = manager.target == server and manager.options == options
        if same and nsp not in manager.sockets:
            return manager
    manager = Manager(server, **cast(ClientKeywords, {**shared, "auto_connect": False}))
    known.add(manager)
    return manager


def connect_engine(url: str, **options: Unpack[EngineClientKeywords]) -> ClientEngine:
    """A connection to an Engine.IO server, without Socket.IO.

    It begins to connect at once; ``await`` it, or use it in ``async with``, to wait until
    it is open. A path in the URL stands for the option ``path``.

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
    target = parse(url)
    if target.path.strip("/") and "path" not in options:
        options["path"] = target.path
    chosen = read(EngineClientOptions, options)
    running_loop()
    engine = ClientEngine(Network(target._replace(path=""), chosen), Runtime(choose("json")))
    engine.open()
    return engine
