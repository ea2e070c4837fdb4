"""After a server has closed there is as much as before it was started: descriptors, deadlines."""

from __future__ import annotations

import asyncio
import gc
import os
from typing import Any

import pytest

from telex import Server, Socket
from tests.rules.clients import PollingClient, WebSocketClient, start_upgrade, upgrade
from tests.support.raw import BINARY, Connection, WebSocket, frame


def descriptors() -> set[str]:
    """What this process has open; a number that is used again for something else is new."""
    found: set[str] = set()
    for number in os.listdir("/proc/self/fd"):
        try:
            found.add(f"{number} {os.readlink(f'/proc/self/fd/{number}')}")
        except FileNotFoundError:  # the one that lists the directory
            pass
    return found


def visit(port: int) -> list[Connection]:
    """Clients in every state that a client can be in; their connections."""
    connections: list[Connection] = []

    def keep(websocket: WebSocket) -> None:
        connections.append(websocket.connection)

    keep(WebSocketClient(port).websocket)  # it has joined nothing
    joined = WebSocketClient(port)
    joined.connect()
    joined.send('42["work"]', '421["work"]')
    keep(joined.websocket)
    waiting = WebSocketClient(port)
    waiting.connect()
    waiting.send('452-["x",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]')
    waiting.websocket.send(frame(BINARY, b"half of it"))
    keep(waiting.websocket)
    asked = WebSocketClient(port)
    asked.send("40/slow,")
    keep(asked.websocket)
    old = WebSocketClient(port, 3)
    old.connect()
    keep(old.websocket)
    polling = PollingClient(port)
    polling.connect()
    connections.append(polling.waiting())
    quiet = PollingClient(port)
    quiet.connect()
    PollingClient(port)  # it never comes back
    for step in (start_upgrade, upgrade):
        upgrading = PollingClient(port)
        upgrading.connect()
        keep(step(upgrading).websocket)
    connections.append(Connection(port))  # it says nothing at all
    half = Connection(port)
    half.send(b"POST /socket.io/?EIO=4&transport=polling&sid=")
    connections.append(half)
    return connections


@pytest.mark.parametrize("first", ["server", "clients"])
async def test_nothing_is_left(first: str) -> None:
    """Whoever ends first, the server or its clients."""
    before = descriptors()
    io = Server(allow_eio3=True)
    schedule = io._core.engine.schedule
    at_rest = schedule.pending()

    @io.event
    async def work(socket: Socket) -> None:
        socket.timeout(1000).emit("question", ack=print)
        await asyncio.sleep(0.2)

    @io.of("/slow").use
    async def slow(_: Socket) -> None:
        await asyncio.sleep(0.2)

    await io.listen(port=0)
    assert io.port is not None
    connections = await asyncio.to_thread(visit, io.port)
    assert schedule.pending() > at_rest
    if first == "clients":
        for connection in connections:
            connection.close()
    await io.close()
    for connection in connections:
        connection.close()
    assert schedule.pending() == at_rest
    assert io.engine.clients_count == 0
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert not [timer for timer in timers if "telex" in repr(timer)]
    async with asyncio.timeout(10):
        while descriptors() - before:  # what is shut down is closed a turn of the loop later
            gc.collect()
            await asyncio.sleep(0.01)
