"""One client that stops reading, and many that are sent away, while others are served."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from telex import Server, Socket
from telex.adapter import memory
from telex.engine.session import HARD_LIMIT
from telex.server import core

OTHERS = 1000
NEWS = 20
LIMIT = 100_000

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
CLOSE = b"\x88\x02\x03\xe8"
JOIN = b"\x81\x82\x00\x00\x00\x0040"  # masked with zeros: the text "40"


async def join(port: int, sock: socket.socket | None = None) -> tuple[StreamReader, StreamWriter]:
    if sock is None:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
    else:
        await asyncio.get_running_loop().sock_connect(sock, ("127.0.0.1", port))
        reader, writer = await asyncio.open_connection(sock=sock)
    writer.write(REQUEST)
    await reader.readuntil(b"\r\n\r\n")
    writer.write(JOIN)
    await reader.readuntil(b'40{"sid":"')
    return reader, writer


async def count_news(reader: StreamReader) -> int:
    for _ in range(NEWS):
        await reader.readuntil(b'["news",')
    return NEWS


async def test_a_thousand_others_get_everything() -> None:
    asyncio.get_running_loop().set_debug(False)  # the clients are many, and here, too
    io = Server(send_buffer_limit=LIMIT)
    reasons: list[str] = []

    @io.event
    def disconnect(client: Socket, reason: str) -> None:
        reasons.append(reason)

    await io.listen(port=0)
    assert io.port is not None
    deaf_socket = socket.socket()
    deaf_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    deaf_socket.setblocking(False)
    _, deaf_writer = await join(io.port, deaf_socket)
    deaf_writer.transport.pause_reading()  # type: ignore[attr-defined]
    [deaf] = io.sockets.sockets.values()
    others: list[tuple[StreamReader, StreamWriter]] = []
    while len(others) < OTHERS:
        others += await asyncio.gather(*[join(io.port) for _ in range(50)])
    counts = [asyncio.create_task(count_news(reader)) for reader, _ in others]

    most = 0
    number = 0
    while not reasons or number < NEWS:
        if number < NEWS:
            io.emit("news", number)
        for _ in range(20):
            deaf.emit("much", "x" * 10_000)
        most = max(most, deaf.client.session.queued)
        number += 1
        await asyncio.sleep(0)

    assert reasons == ["slow consumer"]
    assert most <= HARD_LIMIT * LIMIT + 21 * 10_100
    assert await asyncio.gather(*counts) == [NEWS] * OTHERS
    assert len(io.sockets.sockets) == OTHERS
    for _, writer in others:
        writer.close()
    deaf_writer.close()
    await io.close()


class Crowd:
    """Some are in a room, some are not; what they are told comes until they have gone."""

    def __init__(self) -> None:
        self.io = Server()
        self.left: list[str] = []
        self.clients: list[tuple[StreamReader, StreamWriter]] = []

        @self.io.event
        def disconnect(client: Socket, reason: str) -> None:
            self.left.append(reason)
            self.io.emit("left")

    async def come(self, count: int, room: str | None = None) -> None:
        before = set(self.io.sockets.sockets)
        assert self.io.port is not None
        self.clients += [await join(self.io.port) for _ in range(count)]
        for sid in set(self.io.sockets.sockets) - before:
            if room is not None:
                self.io.in_(sid).sockets_join(room)

    async def heard(self, count: int) -> list[bytes]:
        """What each of the first hears until its connection closes."""
        heard: list[bytes] = []
        for reader, writer in self.clients[:count]:
            said = await reader.readuntil(CLOSE)
            writer.write(b"\x88\x80\x00\x00\x00\x00")
            heard.append(said + await reader.read())
        return heard


@pytest.fixture
async def crowd(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Crowd]:
    monkeypatch.setattr(memory, "DISCONNECTS_PER_TURN", 4)
    monkeypatch.setattr(core, "DISCONNECTS_PER_TURN", 4)
    crowd = Crowd()
    await crowd.io.listen(port=0)
    yield crowd
    for _, writer in crowd.clients:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    await crowd.io.close()


class TestManyAreSentAway:
    async def test_those_of_a_room_hear_nothing_that_is_said_later(self, crowd: Crowd) -> None:
        io = crowd.io
        await crowd.come(30, "guests")
        io.emit("before")
        io.in_("guests").disconnect_sockets(close=True)
        io.emit("after")
        io.volatile.emit("after")
        await crowd.come(3, "guests")
        for heard in await crowd.heard(30):
            said, _, rest = heard.partition(b"\x81\x0241")  # an id may hold "41", too
            assert b'42["before"]' in said
            assert b"after" not in heard
            assert rest == CLOSE
        assert len(io.sockets.sockets) == 3
        assert crowd.left == ["server namespace disconnect"] * 30

    async def test_awaiting_waits_until_all_have_been_told(self, crowd: Crowd) -> None:
        io = crowd.io
        await crowd.come(30)
        await io.disconnect_sockets()
        assert not io.sockets.sockets
        assert len(crowd.left) == 30
        assert io.engine.clients_count == 30  # their connections stay

    async def test_the_server_closes_meanwhile(self, crowd: Crowd) -> None:
        io = crowd.io
        await crowd.come(30)
        io.disconnect_sockets(close=True)
        await io.close()
        assert not io.sockets.sockets
        assert len(crowd.left) == 30
        assert set(crowd.left) <= {"server namespace disconnect", "server shutting down"}

    @pytest.mark.parametrize("how", ["disconnect", "close the connections", "close the server"])
    async def test_only_some_in_a_turn_of_the_loop(self, crowd: Crowd, how: str) -> None:
        io = crowd.io
        await crowd.come(30)
        loop = asyncio.get_running_loop()
        turn = 0
        turns: list[int] = []

        def next_turn() -> None:
            nonlocal turn
            turn += 1
            ticking.append(loop.call_soon(next_turn))

        @io.event
        def disconnect(client: Socket, reason: str) -> None:
            turns.append(turn)

        ticking = [loop.call_soon(next_turn)]
        if how == "close the server":
            await io.front.close_connections(0.0)
        else:
            await io.disconnect_sockets(close=how == "close the connections")
        ticking[-1].cancel()
        assert len(turns) == 30
        assert max(Counter(turns).values()) <= 4
