"""``telex.connect`` and ``telex.connect_engine``."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary, WeakSet

from ..config import read
from ..events.runtime import Runtime
from ..parser.choice import choose
from ..server_url import parse
from .engine import ClientEngine
from .manager import Manager
from .network import Network
from .options import ClientOptions, EngineClientOptions
from .session_host import running_loop
from .socket import ClientSocket

_OWN = ("auth", "ack_timeout", "retries", "force_new", "multiplex", "auto_connect")
"""Options in which the sockets of one connection may differ."""

_managers: WeakKeyDictionary[asyncio.AbstractEventLoop, WeakSet[Manager]] = WeakKeyDictionary()
"""A manager knows its loop: were it kept here, neither would ever be freed."""


def connect(url: str, **options: Any) -> ClientSocket:
    """A socket of the namespace that the URL's path names (JavaScript: ``io``).

    It begins to connect at once, unless ``auto_connect`` is off. ``await`` it, or use it in
    ``async with``, to wait until it is connected; ``ConnectError`` says why it cannot be.
    Sockets of several namespaces of one server share a connection if they are made with
    the same options, unless ``force_new`` or ``multiplex=False`` forbid it.
    """
    chosen = read(ClientOptions, options)
    target = parse(url)
    nsp = target.path if target.path.startswith("/") else "/"
    server = target._replace(path="")
    shared = {name: value for name, value in options.items() if name not in _OWN}
    if chosen.force_new or not chosen.multiplex or not _has_loop():
        manager = Manager(server, **{**options, "auto_connect": False})
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
    manager = Manager(server, **{**shared, "auto_connect": False})
    known.add(manager)
    return manager


def connect_engine(url: str, **options: Any) -> ClientEngine:
    """A connection to an Engine.IO server, without Socket.IO.

    It begins to connect at once; ``await`` it, or use it in ``async with``, to wait until
    it is open. A path in the URL stands for the option ``path``.
    """
    target = parse(url)
    if target.path.strip("/"):
        options.setdefault("path", target.path)
    chosen = read(EngineClientOptions, options)
    running_loop()
    engine = ClientEngine(Network(target._replace(path=""), chosen), Runtime(choose("json")))
    engine.open()
    return engine
