"""The load of a soak: steady clients, churn, slow ones and garbage, on every transport."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import random
import struct
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager, suppress
from typing import Any

import telex
from telex.options import TransportName

TRANSPORTS: tuple[tuple[TransportName, ...], ...] = (
    ("websocket",),
    ("polling",),
    ("polling", "websocket"),
)
GIVE_UP = 20.0
"""How long one visit may take, in seconds."""

GARBAGE = (
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    b"GET /socket.io/?EIO=4&transport=polling&sid=unknown HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /socket.io/?EIO=9&transport=polling HTTP/1.1\r\nHost: x\r\n\r\n",
    b"POST /socket.io/?EIO=4&transport=polling HTTP/1.1\r\nHost: x\r\nContent-Length: 90\r\n\r\n42",
    b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n",
    b"\x00" * 50,
)
NONSENSE = ("43", "9", "42", '42["e"', "451-[]", "0" * 100, "40/unknown,", '42["\x00"]' * 3)


def frame(text: str) -> bytes:
    """A masked WebSocket frame with text."""
    data = text.encode()
    size = len(data)
    head = bytes((0x81, 0x80 | size)) if size < 126 else struct.pack(">BBH", 0x81, 0xFE, size)
    mask = os.urandom(4)
    return head + mask + bytes(byte ^ mask[at % 4] for at, byte in enumerate(data))


class RawWebSocket:
    """A WebSocket by hand: it can be cut, left unread, and fed with nonsense."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def open(self, port: int) -> None:
        """Shake hands, up to the server's open packet."""
        key = base64.b64encode(os.urandom(16)).decode()
        self._writer.write(
            (
                "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\n"
                f"Host: 127.0.0.1:{port}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: {key}\r\n\r\n"
            ).encode()
        )
        await self._reader.readuntil(b"\r\n\r\n")
        await self.receive()

    def say(self, *texts: str) -> None:
        """Send text messages."""
        self._writer.write(b"".join(map(frame, texts)))

    async def receive(self) -> str | bytes:
        """The next message; pings are answered."""
        while True:
            first, size = await self._reader.readexactly(2)
            if size == 126:
                (size,) = struct.unpack(">H", await self._reader.readexactly(2))
            elif size == 127:
                (size,) = struct.unpack(">Q", await self._reader.readexactly(8))
            data = await self._reader.readexactly(size)
            if first != 0x81:
                return data
            text = data.decode()
            if text != "2":
                return text
            self.say("3")


@asynccontextmanager
async def connection(
    port: int,
) -> AsyncGenerator[tuple[asyncio.StreamReader, asyncio.StreamWriter], None]:
    """A TCP connection, which is cut without a word in the end."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()
        with suppress(OSError):
            await writer.wait_closed()


@asynccontextmanager
async def raw_websocket(port: int) -> AsyncGenerator[RawWebSocket, None]:
    """A WebSocket by hand, which is cut in the end."""
    async with connection(port) as (reader, writer):
        raw = RawWebSocket(reader, writer)
        await raw.open(port)
        yield raw


class Load:
    """All clients of one server. ``errors`` counts what went wrong for those who behave."""

    def __init__(self, port: int, *, steady: int, per_second: float) -> None:
        self._port = port
        self._steady = steady
        self._pause = 1 / per_second
        self._tasks: set[asyncio.Task[None]] = set()
        self.visits = 0
        self.recovered = 0
        self.errors: list[str] = []

    async def run(self) -> None:
        """Go on until cancelled."""
        sockets = [await self._connect(number) for number in range(self._steady)]
        try:
            while True:
                await asyncio.sleep(self._pause * random.uniform(0.5, 1.5))
                self._start(self._visit())
                if self.visits % 4 == 0:
                    self._start(self._use(random.choice(sockets)))
        finally:
            for task in self._tasks:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)
            for socket in sockets:
                await socket.disconnect()

    def _start(self, work: Any) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _connect(self, number: int) -> telex.ClientSocket:
        socket = telex.connect(
            f"http://127.0.0.1:{self._port}",
            force_new=True,
            transports=TRANSPORTS[number % len(TRANSPORTS)],
            reconnection=True,
        )
        socket.on_any(_ignore)
        await socket
        socket.emit("enter", f"room {number % 20}")
        return socket

    async def _use(self, socket: telex.ClientSocket) -> None:
        try:
            answer = await socket.emit_with_ack("echo", 1, {"a": [2]}, b"three", timeout=GIVE_UP)
            assert answer == (1, {"a": [2]}, b"three"), answer
        except (telex.TelexError, AssertionError) as error:
            self.errors.append(repr(error))

    async def _visit(self) -> None:
        self.visits += 1
        kinds = (
            *(self._polite, self._rude, self._rude, self._slow, self._nonsense, self._garbage),
            self._many_namespaces,
        )
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            async with asyncio.timeout(GIVE_UP):
                await random.choice(kinds)()

    async def _polite(self) -> None:
        socket = await self._connect(random.randrange(60))
        await self._use(socket)
        await socket.disconnect()

    async def _rude(self) -> None:
        """Comes, is cut, and perhaps comes back to its session."""
        auth: dict[str, str] = {}
        for _ in range(random.randint(1, 3)):
            async with raw_websocket(self._port) as raw:
                await self._stay(raw, auth)

    async def _stay(self, raw: RawWebSocket, auth: dict[str, str]) -> None:
        raw.say("40" + json.dumps(auth))
        while True:
            said = await raw.receive()
            if isinstance(said, str) and said.startswith("40"):
                break
        pid = json.loads(said[2:]).get("pid")
        self.recovered += pid is not None and pid == auth.get("pid")
        raw.say(*(f'42["enter","room {random.randrange(20)}"]' for _ in range(5)))
        for _ in range(3):
            said = await raw.receive()
            if pid is not None and isinstance(said, str) and said.startswith("42["):
                auth["pid"], auth["offset"] = pid, json.loads(said[2:])[-1]
        raw.say(f'42["leave","room {random.randrange(20)}"]')

    async def _slow(self) -> None:
        """Asks for much and reads nothing for a while."""
        async with raw_websocket(self._port) as raw:
            raw.say("40", '42["enter","room 1"]', *['42["flood"]'] * 10)
            await asyncio.sleep(random.uniform(1, 8))

    async def _many_namespaces(self) -> None:
        async with raw_websocket(self._port) as raw:
            for _ in range(20):
                raw.say(f"40/game-{random.randrange(1_000_000)},")
                await raw.receive()

    async def _nonsense(self) -> None:
        async with raw_websocket(self._port) as raw:
            raw.say("40")
            await raw.receive()
            raw.say(random.choice(NONSENSE))
            await asyncio.sleep(0.2)

    async def _garbage(self) -> None:
        async with connection(self._port) as (_, writer):
            writer.write(random.choice(GARBAGE))
            await asyncio.sleep(0.2)


def _ignore(*event: object) -> None:
    """What comes is of no interest."""
