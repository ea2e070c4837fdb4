"""Handlers that are behind: the server is read no further, and nothing goes wrong meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

import telex
from telex.options import TransportName
from tests.features.scripts import Calls, until

TRANSPORTS = pytest.mark.parametrize("transports", [("polling",), ("websocket",)], ids=str)


def flooding(**options: Any) -> tuple[telex.Server, Calls]:
    """A server that sends more than may wait for a handler, and what it hears of the ends."""
    io, reasons = telex.Server(**options), Calls()

    @io.on("connection")
    def connection(socket: telex.Socket) -> None:
        socket.on("disconnect", reasons)

        @socket.on("flood")
        def flood() -> None:
            for number in range(30):
                socket.emit("big", number, "x" * 60_000)

        @socket.on("ask")
        def ask() -> int:
            return 5

    for nsp, answer in (("/other", 6), ("/new", 7)):
        io.of(nsp).on("connection", _answering(answer))
    return io, reasons


def _answering(answer: int) -> Callable[[telex.Socket], None]:
    def connection(socket: telex.Socket) -> None:
        socket.on("ask", lambda: answer)

    return connection


def held(socket: telex.ClientSocket) -> bool:
    manager: Any = socket.io
    return bool(manager._held)


@TRANSPORTS
async def test_the_server_goes_on_believing_in_us(transports: tuple[TransportName, ...]) -> None:
    """Its pings are not read, yet it hears of us in time, whenever they come."""
    io, reasons = flooding(ping_interval=1, ping_timeout=0.8)
    await io.listen(0)
    gate, numbers = asyncio.Event(), Calls()
    async with telex.connect(
        f"http://127.0.0.1:{io.port}", force_new=True, transports=transports
    ) as socket:

        @socket.on("big")
        async def big(number: int) -> None:
            await gate.wait()
            numbers(number)

        await asyncio.sleep(0.8)  # shortly before its next ping
        socket.emit("flood")
        await until(lambda: held(socket))
        await asyncio.sleep(2)
        assert not reasons.all
        gate.set()
        await until(lambda: len(numbers.all) == 30)
        assert numbers.first == list(range(30))
        assert not held(socket)
    await io.close()


@pytest.mark.parametrize("nsp", ["/", "/other", "/new"])
async def test_a_handler_that_is_behind_may_ask(nsp: str) -> None:
    """What it waits for is read, for its own socket or another of the connection."""
    io, _ = flooding()
    await io.listen(0)
    async with telex.connect(f"http://127.0.0.1:{io.port}", force_new=True) as socket:
        asked = socket if nsp == "/" else socket.io.socket(nsp)
        if nsp == "/other":
            await asked.connect()
        answers = Calls()

        @socket.on("big")
        async def big(number: int) -> None:
            if number == 0:
                await until(lambda: held(socket))
                await asked.connect()
                answers(await asked.emit_with_ack("ask"))

        socket.emit("flood")
        assert await answers.next() == ({"/": 5, "/other": 6, "/new": 7}[nsp],)
        await socket.io.close()
    await io.close()


async def test_a_connection_that_ends_while_it_is_held() -> None:
    """The next one is held, too, if the handlers are still behind."""
    io, _ = flooding()
    await io.listen(0)
    gate = asyncio.Event()
    socket = telex.connect(f"http://127.0.0.1:{io.port}", force_new=True, reconnection_delay=0.02)

    @socket.on("big")
    async def big() -> None:
        await gate.wait()

    await socket
    first = socket.id
    socket.emit("flood")
    await until(lambda: held(socket))
    engine = socket.io.engine
    assert engine is not None
    engine.session.end("transport close")
    await until(lambda: socket.connected and socket.id != first)
    assert not held(socket)
    socket.emit("flood")
    await until(lambda: held(socket))
    gate.set()
    await until(lambda: not held(socket))
    await socket.disconnect()
    await io.close()
