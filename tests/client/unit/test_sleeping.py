"""A machine that slept, a process that was held up: what is emitted then is not lost."""

from __future__ import annotations

import asyncio

import pytest

from telex.client import session_host
from tests.client.unit.scripted import Scripted, let_in
from tests.features.scripts import Calls, until


async def test_the_server_has_gone_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock of the machine says so; what is emitted goes over the next connection."""
    awake = session_host.elapsed()
    slept = [0.0]
    monkeypatch.setattr(session_host, "elapsed", lambda: awake + slept[0])
    async with Scripted() as server:
        socket = server.connect()
        await socket
        reasons = Calls()
        socket.on("disconnect", reasons)
        socket.emit("e", 1)
        await until(lambda: server.talks[0].heard == ["0", '2["e",1]'])
        slept[0] = 3600
        socket.volatile.emit("dropped")
        socket.emit("e", 2)
        socket.emit("e", 3)
        assert (await reasons.next())[0] == "ping timeout"
        slept[0] = 0
        await until(lambda: len(server.talks) == 2 and len(server.talks[1].heard) == 3)
        assert server.talks[0].heard == ["0", '2["e",1]']
        assert server.talks[1].heard == ["0", '2["e",2]', '2["e",3]']
        await socket.disconnect()


async def test_the_server_has_waited(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its ping was there, unread: the connection goes on, and nothing is out of order."""
    awake = session_host.elapsed()
    slept = [0.0]
    monkeypatch.setattr(session_host, "elapsed", lambda: awake + slept[0])
    async with Scripted(let_in) as server:
        socket = server.connect()
        await socket
        reasons = Calls()
        socket.on("disconnect", reasons)
        slept[0] = 3600
        socket.emit("e", 1)
        slept[0] = 0  # as if a ping had been read
        socket.emit("e", 2)
        await until(lambda: len(server.talks[0].heard) == 3)
        socket.emit("e", 3)
        await until(lambda: len(server.talks[0].heard) == 4)
        assert server.talks[0].heard == ["0", '2["e",1]', '2["e",2]', '2["e",3]']
        await asyncio.sleep(0)
        assert not reasons.all
        await socket.disconnect()
