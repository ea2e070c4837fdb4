"""One client that stops reading, while a thousand others are served."""

from __future__ import annotations

import asyncio
import socket
from asyncio import StreamReader, StreamWriter

from telex import Server, Socket
from telex.engine.session import HARD_LIMIT

OTHERS = 1000
NEWS = 20
LIMIT = 100_000

REQUEST = (
    b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
    b"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
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
    others = [await join(io.port) for _ in range(OTHERS)]
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
