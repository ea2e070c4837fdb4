"""``telex.sync.connect`` and ``telex.sync.connect_engine``."""

from __future__ import annotations

from typing import Any

from ..client.connect import connect as async_connect
from ..client.connect import connect_engine as async_connect_engine
from .engine import ClientEngine
from .loop import LoopLease
from .manager import Manager
from .socket import ClientSocket
from .work import Work


def connect(url: str, **options: Any) -> ClientSocket:
    """A connected socket of the namespace that the URL's path names.

    Options and rules are those of ``telex.connect``: ``ConnectError`` says why it cannot be
    connected, after the first failure unless ``reconnection`` or ``reconnection_attempts``
    ask for more. With ``auto_connect=False`` it is not connected yet.
    """
    home = LoopLease()
    if "auth" in options:
        options["auth"] = Work(home).auth(options["auth"])
    home.enter()
    used = False

    async def make() -> ClientSocket:
        nonlocal used
        socket = async_connect(url, **{**options, "auto_connect": False})
        manager = Manager.of(socket.io, home)
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


def connect_engine(url: str, **options: Any) -> ClientEngine:
    """An open connection to an Engine.IO server, without Socket.IO.

    A path in the URL stands for the option ``path``. Raises ``ConnectError``.
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
