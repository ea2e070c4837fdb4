"""A pipeline of HTTP requests is taken apart a portion at a time: others are served in between."""

from __future__ import annotations

import asyncio
import json
import re
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any

import pytest

from telex import Server, Socket
from telex.fronts.uvicorn import polling
from telex.fronts.uvicorn.pacing import REQUEST_PORTION
from telex.fronts.uvicorn.polling_requests import RequestReader
from telex.fronts.uvicorn.protocol import FastHttpProtocol
from tests.fronts.wires import Wire, call, get, hosting, post, upgrade
from tests.support.raw import frame

TINY = b"GET /elsewhere HTTP/1.1\r\nHost: here\r\n\r\n"
MANY = 64 * 1024
TARGET = "/socket.io/?EIO=4&transport=polling"


class Turns:
    """Counts the turns of the running loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.now = 0
        self._next()

    def _next(self) -> None:
        self.now += 1
        self._handle = self._loop.call_soon(self._next)

    def stop(self) -> None:
        self._handle.cancel()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    """A connection to a server that echoes."""
    io = Server()

    @io.event
    def connection(socket: Socket) -> None:
        @socket.on("echo")
        def echo(value: Any) -> Any:
            return value

    await io.listen(port=0)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(io.close)
        assert io.port is not None
        yield await call(io.port, stack)


async def test_few_requests_are_parsed_in_a_turn_and_few_wait(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = Turns()
    parsed: Counter[int] = Counter()
    waiting: list[int] = []
    begin = FastHttpProtocol.on_message_begin

    def note(protocol: FastHttpProtocol) -> None:
        parsed[turns.now] += 1
        waiting.append(len(protocol.pipeline))
        begin(protocol)

    monkeypatch.setattr(FastHttpProtocol, "on_message_begin", note)
    count = MANY // len(TINY)
    sending = asyncio.ensure_future(wire.send(TINY * count))
    for _ in range(count):
        assert (await wire.answer()).startswith(b"HTTP/1.1 404")
    await sending
    turns.stop()
    portion = REQUEST_PORTION // len(TINY) + 1
    assert parsed.total() == count
    assert max(parsed.values()) <= portion
    assert max(waiting) <= portion


async def test_what_waits_behind_a_post_is_looked_at_once(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []
    read, proper = RequestReader.read, vars(polling)["_proper"]

    def note_read(reader: RequestReader, data: bytes, transport: asyncio.Transport) -> Any:
        looked.append(len(data))
        return read(reader, data, transport)

    def note_proper(data: bytes) -> bool:
        looked.append(len(data))
        return bool(proper(data))

    answer = await wire.ask(get(TARGET))
    found = re.search(rb'"sid":"([^"]+)', answer)
    assert found is not None
    posted = post(f"{TARGET}&sid={found[1].decode()}", "3")
    monkeypatch.setattr(RequestReader, "read", note_read)
    monkeypatch.setattr(polling, "_proper", note_proper)
    count = MANY // len(posted)
    sending = asyncio.ensure_future(wire.send(posted * count))
    for _ in range(count):
        assert (await wire.answer()).endswith(b"ok")
    await sending
    assert sum(looked) <= 3 * MANY


async def test_frames_behind_a_parsed_upgrade_request_are_kept(wire: Wire) -> None:
    assert b"404" in await wire.ask(TINY)  # the parser has the connection from now on
    events = [f"42{number}" + json.dumps(["echo", number]) for number in range(300)]
    frames = b"".join([frame(1, text) for text in ["40", *events]])
    assert len(frames) > 2 * REQUEST_PORTION
    await wire.send(upgrade(TARGET.replace("polling", "websocket")) + frames)
    assert b" 101 " in await wire.answer()
    await wire.until(b"43299[299]")


async def test_a_large_body_comes_whole() -> None:
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            return
        body = b""
        more = True
        while more:
            message = await receive()
            body += message["body"]
            more = message["more_body"]
        sizes.append(len(body))
        assert body == b"x" * len(body)
        headers = [(b"content-length", b"2")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b"ok"})

    async with hosting(app) as connect:
        wire = await connect()
        await wire.send(post("/", "x" * 500_000) + post("/", "x" * 10))
        assert (await wire.answer()).endswith(b"ok")
        assert (await wire.answer()).endswith(b"ok")
    assert sizes == [500_000, 10]
