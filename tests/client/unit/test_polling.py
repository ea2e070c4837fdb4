"""Long-polling with servers that answer too much, or close what they think is idle."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

import telex
from telex.client import network, polling
from tests.client.unit.scripted import Scripted, Talk, let_in
from tests.features.scripts import Calls, until

POLLING: dict[str, Any] = {"transports": ("polling",)}


async def test_an_answer_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is not kept until memory is used up."""
    monkeypatch.setattr(polling, "MAX_BODY", 10_000)

    def answer(talk: Talk, packet: str) -> None:
        let_in(talk, packet)
        if packet[:1] == "2" and talk.number == 0:
            talk.say('2["big","' + "x" * 20_000 + '"]')

    async with Scripted(answer) as server:
        async with server.connect(**POLLING) as socket:
            reasons = Calls()
            socket.on("disconnect", reasons)
            socket.emit("more")
            reason, details = await reasons.next()
            assert reason == "transport error"
            assert "larger than 10000 bytes" in str(details)


class Impatient:
    """An HTTP server that closes a connection whose next request comes late.

    So it looks when a request crosses the server's closing of an idle connection.
    """

    def __init__(self) -> None:
        self.posts: list[bytes] = []
        self.late = 0
        self._server: asyncio.Server | None = None
        self._answers: asyncio.Queue[bytes] = asyncio.Queue()

    async def start(self) -> str:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        opened: dict[str, Any] = {
            "sid": "abc",
            "upgrades": [],
            "pingInterval": 25000,
            "pingTimeout": 20000,
            "maxPayload": 100000,
        }
        self._answers.put_nowait(b"0" + json.dumps(opened).encode())
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    def stop(self) -> None:
        assert self._server is not None
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        last = loop.time()
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                if loop.time() - last > network.KEEP_ALIVE + 0.1:
                    self.late += 1
                    return
                length = 0
                if b"content-length:" in head:
                    length = int(head.split(b"content-length:")[1].split(b"\r\n")[0])
                if head.startswith(b"post"):
                    self.posts.append(await reader.readexactly(length))
                    if self.posts[-1] == b"1":
                        self._answers.put_nowait(b"6")
                    body = b"ok"
                else:
                    body = await self._answers.get()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
                last = loop.time()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


async def test_an_idle_connection_is_not_used_again() -> None:
    server = Impatient()
    url = await server.start()
    async with telex.connect_engine(url, **POLLING) as engine:
        engine.send("first")
        await until(lambda: server.posts)
        await asyncio.sleep(network.KEEP_ALIVE + 0.6)
        engine.send("second")
        await until(lambda: len(server.posts) == 2)
    assert server.posts == [b"4first", b"4second", b"1"]
    assert not server.late
    server.stop()
