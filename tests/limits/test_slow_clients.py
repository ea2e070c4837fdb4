"""A client that does not read: what waits for it is bounded, and nobody else notices."""

from __future__ import annotations

import asyncio
import socket as sockets
import tracemalloc
from typing import Literal

import pytest

from telex import Server, Socket
from telex.engine.session import HARD_LIMIT
from tests.rules.clients import PollingClient, WebSocketClient

LIMIT = 64 * 1024
PIECE = "x" * 30_000
OTHERS = 50


def stuck(port: int, buffer: int = 4096) -> WebSocketClient:
    """A client in `/` that will read little more."""
    client = WebSocketClient(port)
    inner: sockets.socket = client.websocket.connection._socket
    inner.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, buffer)
    client.connect()
    return client


async def test_one_of_many_stops_reading() -> None:
    """It is disconnected once; what waits for it stays below the limit; all others get all."""
    io = Server(send_buffer_limit=LIMIT)
    gone: list[tuple[str, str]] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("room")

    @io.event
    def disconnect(socket: Socket, reason: str) -> None:
        gone.append((socket.id, reason))

    await io.listen(port=0)
    port = io.port
    assert port is not None
    victim = await asyncio.to_thread(stuck, port)
    [mute] = io.sockets.sockets.values()

    def join() -> list[WebSocketClient]:
        clients = [WebSocketClient(port) for _ in range(OTHERS)]
        for client in clients:
            client.connect()
        return clients

    others = await asyncio.to_thread(join)

    def hear(number: int) -> None:
        for client in others:
            assert client.text() == f'42["news",{number},"{PIECE}"]'

    session = mute.conn.session
    most = number = 0
    while mute.connected:
        assert number < 1000, "the client is never disconnected"
        io.to("room").emit("news", number, PIECE)
        most = max(most, session.queued)
        await asyncio.to_thread(hear, number)
        number += 1
    assert gone == [(mute.id, "slow consumer")]
    assert LIMIT < most <= HARD_LIMIT * LIMIT + len(PIECE) + 100
    assert session.queued == 0 or session.state == "closed"
    assert io.engine.clients_count == OTHERS
    io.to("room").emit("news", number, PIECE)
    await asyncio.to_thread(hear, number)
    for client in (victim, *others):
        client.websocket.connection.close()
    await io.close()


async def test_awaiting_an_emit_waits_for_the_client() -> None:
    """Nothing is lost, little waits, and `drain` tells when it has been taken."""
    io = Server(send_buffer_limit=LIMIT)
    sent = 0
    drains = 0
    most = 0
    count = 400

    @io.event
    async def feed(socket: Socket) -> None:
        nonlocal sent, most

        @socket.conn.on("drain")
        def drain() -> None:
            nonlocal drains
            drains += 1

        for number in range(count):
            await socket.emit("piece", number, PIECE)
            most = max(most, socket.conn.session.queued)
            sent += 1

    await io.listen(port=0)
    assert io.port is not None
    client = await asyncio.to_thread(stuck, io.port, 128 * 1024)
    await asyncio.to_thread(client.send, '42["feed"]')
    before = -1
    while sent != before or not sent:
        before = sent
        await asyncio.sleep(0.2)
    assert sent < count
    for number in range(count):
        assert await asyncio.to_thread(client.text) == f'42["piece",{number},"{PIECE}"]'
    while sent < count:
        await asyncio.sleep(0.01)
    assert most <= LIMIT + len(PIECE) + 100
    assert drains > 0
    client.websocket.connection.close()
    await io.close()


@pytest.mark.parametrize("policy", ["disconnect", "drop_volatile"])
async def test_volatile_events_of_a_client_that_does_not_poll(
    policy: Literal["disconnect", "drop_volatile"],
) -> None:
    """Between two polls they are dropped, or wait while there is room for them."""
    io = Server(send_buffer_limit=LIMIT, slow_consumer=policy)
    await io.listen(port=0)
    assert io.port is not None
    client = await asyncio.to_thread(PollingClient, io.port)
    await asyncio.to_thread(client.connect)
    [socket] = io.sockets.sockets.values()
    for number in range(10):
        socket.volatile.emit("tick", number, PIECE)
    waiting = 0 if policy == "disconnect" else 3
    socket.emit("real")
    expected = [f'42["tick",{number},"{PIECE}"]' for number in range(waiting)]
    assert await asyncio.to_thread(client.packets) == [*expected, '42["real"]']
    assert socket.connected
    await asyncio.to_thread(client.__exit__)
    await io.close()


async def test_volatile_events_of_a_client_that_stops_reading() -> None:
    """They are dropped, nothing piles up, and the client may stay; what it reads is whole."""
    io = Server(send_buffer_limit=LIMIT)
    gone: list[str] = []

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        gone.append(reason)

    await io.listen(port=0)
    assert io.port is not None
    client = await asyncio.to_thread(stuck, io.port, 64 * 1024)
    [socket] = io.sockets.sockets.values()
    session = socket.conn.session
    count = 1000
    most = 0
    tracemalloc.start()
    try:
        for number in range(count):
            io.volatile.emit("tick", number, PIECE)
            socket.volatile.emit("own tick", number, PIECE)
            most = max(most, session.queued)
            await asyncio.sleep(0)
        held = tracemalloc.get_traced_memory()[0]
    finally:
        tracemalloc.stop()
    assert most <= 2 * (len(PIECE) + 100), "no more than one turn of the loop has emitted"
    assert held < 100 * len(PIECE)
    assert socket.connected
    socket.emit("real")
    heard: list[str] = []
    while not heard or heard[-1] != '42["real"]':
        heard.append(await asyncio.to_thread(client.text))
    assert 2 < len(heard) < count
    for event in ("tick", "own tick"):
        begin = f'42["{event}",'
        mine = [text for text in heard if text.startswith(begin)]
        numbers = [int(text.removeprefix(begin).partition(",")[0]) for text in mine]
        assert numbers == sorted(set(numbers))
        assert mine == [f'{begin}{number},"{PIECE}"]' for number in numbers]
    while not socket.conn.transport.writable:
        await asyncio.sleep(0.01)
    io.volatile.emit("tick", count)
    assert await asyncio.to_thread(client.text) == f'42["tick",{count}]'
    assert gone == []
    client.websocket.connection.close()
    await io.close()


async def test_a_client_that_polls_rarely() -> None:
    """It gets everything that fits between two polls, and ends past the limit."""
    io = Server(send_buffer_limit=LIMIT)
    gone: list[str] = []

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        gone.append(reason)

    await io.listen(port=0)
    assert io.port is not None
    client = await asyncio.to_thread(PollingClient, io.port)
    await asyncio.to_thread(client.connect)
    [socket] = io.sockets.sockets.values()
    for turn in range(20):
        socket.emit("piece", turn, PIECE)
        socket.emit("piece", turn, "last")
        packets = await asyncio.to_thread(client.packets)
        assert packets == [f'42["piece",{turn},"{PIECE}"]', f'42["piece",{turn},"last"]']
    for _ in range(HARD_LIMIT * LIMIT // len(PIECE) + 2):
        socket.emit("piece", PIECE)
    async with asyncio.timeout(5):
        while not gone:
            await asyncio.sleep(0)
    assert gone == ["slow consumer"]
    assert await asyncio.to_thread(client.gone)
    await io.close()
