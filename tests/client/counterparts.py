"""The servers that the client meets, and the clients of a test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import urllib.request
from pathlib import Path
from typing import Any, Literal, TypeAlias, get_args
from uuid import uuid4

import telex
from telex import ClientEngine, ClientSocket, Manager
from telex.options import TransportName
from tests.support.node import node
from tests.support.servers import ROOT, ServerProcess

Kind: TypeAlias = Literal["socket.io-2", "socket.io-3", "socket.io-4", "telex", "python-socketio"]
Transport: TypeAlias = Literal["polling", "websocket", "upgrade"]

KINDS: tuple[Kind, ...] = get_args(Kind)
MODERN: tuple[Kind, ...] = ("socket.io-3", "socket.io-4", "telex")
"""Servers of protocol 5 that do everything tests/client/servers/node_server.js says."""

TRANSPORTS: dict[Transport, tuple[TransportName, ...]] = {
    "polling": ("polling",),
    "websocket": ("websocket",),
    "upgrade": ("polling", "websocket"),
}

BRISK: dict[str, Any] = {"reconnection_delay": 0.02, "reconnection_delay_max": 0.1}
"""Options of a client that comes back soon."""

NODE_SERVER = Path(__file__).with_name("servers") / "node_server.js"


def command(kind: Kind) -> list[str]:
    """The program that serves."""
    if kind.startswith("socket.io"):
        return [node(), str(NODE_SERVER), kind[-1]]
    python = [sys.executable, "-X", "dev", "-m"]
    if kind == "telex":
        return [*python, "tests.apps.counterpart"]
    return [*python, "tests.client.servers.python_socketio_server"]


class Counterpart:
    """A server process with all its sites."""

    def __init__(self, kind: Kind, *, port: int = 0, only: str | None = None) -> None:
        self.kind: Kind = kind
        self._arguments = [] if only is None else ["--only", only]
        self._start(port)
        self.port = self.process.port
        self._sites = {only or "main": self.port}
        if only is None:
            with urllib.request.urlopen(f"{self.process.url}/sites", timeout=10) as answer:
                self._sites = json.load(answer)

    def _start(self, port: int) -> None:
        environment = {"PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT / "src")}
        arguments = [*command(self.kind), "--port", str(port), *self._arguments]
        self.process = ServerProcess(arguments, env=environment)

    @property
    def protocol(self) -> Literal[4, 5]:
        return 4 if self.kind == "socket.io-2" else 5

    def url(self, site: str = "main", namespace: str = "/") -> str:
        """Where the client connects to."""
        origin = f"http://127.0.0.1:{self._sites[site]}"
        return origin if namespace == "/" else origin + namespace

    async def die(self) -> None:
        """End at once, as in a crash: all connections are cut without a farewell."""
        await asyncio.to_thread(self.process.kill)

    async def come_back(self) -> None:
        """Start again on the same port, remembering nothing."""
        await asyncio.to_thread(self.start_again)

    def start_again(self) -> None:
        self._start(self.port)

    def stop(self) -> None:
        if self.process.running:
            if self.kind == "python-socketio":
                self.process.kill()  # what it logs is not ours to judge
            else:
                self.process.stop()


class Counterparts:
    """One server of each kind, started when it is first needed."""

    def __init__(self) -> None:
        self._running: dict[Kind, Counterpart] = {}

    def __getitem__(self, kind: Kind) -> Counterpart:
        if kind not in self._running:
            self._running[kind] = Counterpart(kind)
        return self._running[kind]

    def stop(self) -> None:
        for counterpart in self._running.values():
            counterpart.stop()


class Clients:
    """The clients of one test; in the end they are closed, and nothing of them is left."""

    def __init__(self) -> None:
        self._sockets: list[ClientSocket] = []
        self._managers: list[Manager] = []
        self._tasks = asyncio.all_tasks()

    def make(
        self, server: Counterpart, namespace: str = "/", *, site: str = "main", **options: Any
    ) -> ClientSocket:
        """A socket on a connection of its own, as `telex.connect` makes it."""
        given: dict[str, Any] = {"force_new": True, "protocol": server.protocol, **options}
        return self.keep(telex.connect(server.url(site, namespace), **given))

    async def connect(
        self, server: Counterpart, namespace: str = "/", *, site: str = "main", **options: Any
    ) -> ClientSocket:
        """The same, connected."""
        return await self.make(server, namespace, site=site, **options)

    def manager(self, server: Counterpart, *, site: str = "main", **options: Any) -> Manager:
        given: dict[str, Any] = {"protocol": server.protocol, **options}
        manager = telex.Manager(server.url(site), **given)
        self._managers.append(manager)
        return manager

    def keep(self, socket: ClientSocket) -> ClientSocket:
        self._sockets.append(socket)
        return socket

    async def close(self) -> None:
        """Close all of them.

        Raises:
            AssertionError: a task of theirs is left.
        """
        for socket in self._sockets:
            await socket.disconnect()
        for manager in self._managers:
            await manager.close()
        left = asyncio.all_tasks() - self._tasks - {asyncio.current_task()}
        if left:  # they may be about to end
            _, left = await asyncio.wait(left, timeout=1)
        for task in left:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        assert not left, f"tasks left behind: {left}"


class Scene:
    """A server, and clients that reach it in one way."""

    def __init__(self, server: Counterpart, transport: Transport, clients: Clients) -> None:
        self.server = server
        self.transport: Transport = transport
        self._clients = clients
        self._options: dict[str, Any] = {"transports": TRANSPORTS[transport]}

    def make(self, namespace: str = "/", **options: Any) -> ClientSocket:
        """A socket that is connecting."""
        return self._clients.make(self.server, namespace, **{**self._options, **options})

    async def connect(self, namespace: str = "/", **options: Any) -> ClientSocket:
        """A socket that is connected."""
        return await self.make(namespace, **options)

    def manager(self, **options: Any) -> Manager:
        return self._clients.manager(self.server, **{**self._options, **options})


def new_name() -> str:
    """A name that no other test uses, for what servers remember; not one that reads as a number."""
    return f"n{uuid4().hex[:12]}"


def engine_of(socket: ClientSocket) -> ClientEngine:
    """The connection below a socket."""
    engine: ClientEngine | None = socket.io.engine
    assert engine is not None, f"{socket} has no connection"
    return engine


def transport_of(socket: ClientSocket) -> str | None:
    """The name of the transport below a socket."""
    transport = engine_of(socket).transport
    return None if transport is None else transport.name


async def upgraded(socket: ClientSocket) -> None:
    """Wait until the connection runs over WebSocket."""
    async with asyncio.timeout(10):
        while transport_of(socket) != "websocket":
            await asyncio.sleep(0.002)
