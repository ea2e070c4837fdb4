"""A fault, met by our client and by JavaScript's, each through a proxy of its own."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, TypeAlias

import telex
from telex import Server
from tests.client.faults import javascript
from tests.features.scripts import Page, Site, until
from tests.support.proxy import Fault, Proxy

Log: TypeAlias = list[list[Any]]
Act: TypeAlias = tuple[str, int, bool]

QUICK: dict[str, Any] = {"reconnection_delay": 0.02, "randomization_factor": 0}

SAY: Act = ("say", 50_000, False)
"""The client asks the server for this much text."""
TAKE: Act = ("take", 50_000, True)
"""The client sends this much text."""


@dataclass(frozen=True)
class Scene:
    """What happens, and when it is over.

    `settled`: the faults have happened and the client has had an answer since; `upgrade`: the
    same, and an upgrade has succeeded or failed; otherwise: the event of this name has come.
    """

    name: str
    faults: Sequence[Fault]
    transports: Sequence[str]
    act: Act | None = None
    end: Literal["settled", "upgrade", "reconnect_failed", "disconnect"] = "settled"
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])

    def __str__(self) -> str:
        return self.name

    def prepare(self, proxy: Proxy) -> None:
        """Let the faults happen at this proxy."""
        for fault in self.faults:
            proxy.add(replace(fault, fired=asyncio.Event()))

    @property
    def all_options(self) -> dict[str, Any]:
        """The options of the client."""
        return {**QUICK, "transports": tuple(self.transports), **self.options}


@dataclass
class Outcome:
    """What a client has said: the events of the socket, its manager, and its first upgrade."""

    socket: Log
    manager: Log
    upgrade: Log


def server(**options: Any) -> Server:
    """A server that says, takes and echoes."""
    io = Server(**options)

    @io.event
    def say(socket: telex.Socket, size: int) -> None:
        socket.emit("said", "x" * size)

    @io.event
    def take(socket: telex.Socket, text: str) -> None:
        pass

    @io.event
    def echo(socket: telex.Socket, value: Any) -> Any:
        return value

    return io


async def _fired(proxy: Proxy) -> None:
    """Wait until all faults have happened."""
    await until(lambda: all(_over(fault) for fault in proxy.faults))


def _over(fault: Fault) -> bool:
    return fault.fired.is_set() and (math.isinf(fault.times) or not fault.times)


def upgraded(socket: telex.ClientSocket) -> bool:
    """Whether a socket's connection is a WebSocket."""
    engine = socket.io.engine
    return (
        engine is not None
        and engine.transport is not None
        and (engine.transport.name == "websocket")
    )


async def in_javascript(site: Site, scene: Scene, target: int) -> Outcome:
    """What the JavaScript client says."""
    async with await Proxy.start(target) as proxy:
        scene.prepare(proxy)
        page = site.page_at(proxy.url)
        await javascript.start(page, scene.all_options, scene.act)
        await _javascript_end(page, scene, proxy)
        log, managed, upgrades = await page.run("return [page.log, page.managed, page.upgrades]")
        await page.close()
        return Outcome(log, managed, _first(upgrades))


def _first(upgrades: Log) -> Log:
    """What is said of the first upgrade."""
    ends = [number for number, entry in enumerate(upgrades, 1) if entry[0] != "upgrading"]
    return upgrades[: ends[0]] if ends else []


async def _javascript_end(page: Page, scene: Scene, proxy: Proxy) -> None:
    if scene.end not in ("settled", "upgrade"):
        await page.run(f"await page.until('{scene.end}')")
        return
    await _fired(proxy)
    if scene.end == "upgrade":
        await page.run("await page.until_upgrade()")
    await page.run("return page.settle()")


def _number(value: object) -> int | None:
    return value if isinstance(value, int) and value > 0 else None


class Listening:
    """Takes down what a socket of ours says."""

    def __init__(self, socket: telex.ClientSocket, act: Act | None = None) -> None:
        self.socket = socket
        self.log: Log = []
        self.managed: Log = []
        self.upgrades: Log = []
        self.gave_up = False
        socket.on("connect", lambda: self.add("connect"))
        socket.on("connect_error", self._connect_error)
        socket.on("disconnect", self._disconnect)
        # Sockets hear of it, too, after all that has come before.
        socket.on("reconnect_failed", lambda: setattr(self, "gave_up", True))
        socket.on_any(self._any)
        manager = socket.io
        manager.on("open", self._open)
        manager.on("close", self._close)
        manager.on("error", self._error)
        manager.on("reconnect_attempt", partial(self.manage, "reconnect_attempt"))
        manager.on("reconnect_error", self._reconnect_error)
        manager.on("reconnect_failed", partial(self.manage, "reconnect_failed"))
        manager.on("reconnect", partial(self.manage, "reconnect"))
        if act is not None:
            name, size, text = act
            socket.once("connect", lambda: socket.emit(name, "x" * size if text else size))

    def add(self, *entry: object) -> None:
        self.log.append(list(entry))

    def manage(self, *entry: object) -> None:
        self.managed.append(list(entry))

    def _connect_error(self, error: telex.ConnectError) -> None:
        self.add("connect_error", error.message, _number(error.description))

    def _disconnect(self, reason: str, details: object = None) -> None:
        self.add("disconnect", reason)

    def _any(self, name: str, *args: Any) -> None:
        self.add("event", name, len(args[0]))

    def _open(self) -> None:
        self.manage("open")
        engine = self.socket.io.engine
        assert engine is not None
        engine.on("upgrading", partial(self._upgrade, "upgrading"))
        engine.on("upgrade", partial(self._upgrade, "upgrade"))
        engine.on("upgrade_error", self._upgrade_error)

    def _close(self, reason: str, details: object = None) -> None:
        self.manage("close", reason)

    def _error(self, error: telex.ConnectError) -> None:
        self.manage("error", error.message)

    def _reconnect_error(self, error: telex.ConnectError) -> None:
        self.manage("reconnect_error", error.message)

    def _upgrade(self, event: str, to: Any) -> None:
        self.upgrades.append([event, to.name])

    def _upgrade_error(self, error: object) -> None:
        self.upgrades.append(["upgrade_error"])

    def has(self, name: str) -> bool:
        """Whether such an event has come."""
        if name == "reconnect_failed":
            return self.gave_up
        return any(entry[0] == name for entry in self.log)

    @property
    def upgraded(self) -> bool:
        """Whether an upgrade has succeeded or failed."""
        return any(entry[0] != "upgrading" for entry in self.upgrades)

    async def settle(self) -> None:
        """Wait until the server answers."""
        async with asyncio.timeout(20):
            while True:
                try:
                    await self.socket.emit_with_ack("echo", "settled", timeout=2)
                    return
                except (telex.AckTimeout, telex.Disconnected):
                    await asyncio.sleep(0.005)


async def in_python(scene: Scene, target: int) -> Outcome:
    """What our client says."""
    async with await Proxy.start(target) as proxy:
        scene.prepare(proxy)
        socket = telex.connect(proxy.url, force_new=True, **scene.all_options)
        listening = Listening(socket, scene.act)
        if scene.end in ("settled", "upgrade"):
            await _fired(proxy)
            if scene.end == "upgrade":
                await until(lambda: listening.upgraded)
            await listening.settle()
        else:
            await until(lambda: listening.has(scene.end))
        outcome = Outcome(
            list(listening.log), list(listening.managed), _first(list(listening.upgrades))
        )
        await socket.disconnect()
        return outcome
