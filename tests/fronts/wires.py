"""Connections on which tests say anything, in their own loop, and the requests they say."""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

from telex.fronts.uvicorn import serve
from telex.types import App
from tests.support.raw import HeaderLines, request, upgrade_request

_SID = re.compile(rb'"sid\\?":\\?"([^"\\]+)')


class Wire:
    """A client's connection."""

    def __init__(self, client: socket.socket) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._client, data)

    async def _more(self) -> None:
        async with asyncio.timeout(30):
            data = await self._loop.sock_recv(self._client, 65536)
        assert data, bytes(self._read)
        self._read += data

    async def answer(self) -> bytes:
        """The bytes of the next answer."""
        while b"\r\n\r\n" not in self._read:
            await self._more()
        head = bytes(self._read.partition(b"\r\n\r\n")[0])
        length = re.search(rb"(?mi)^content-length: (\d+)\r?$", head)
        size = len(head) + 4 + (int(length[1]) if length else 0)
        while len(self._read) < size:
            await self._more()
        answer = bytes(self._read[:size])
        del self._read[:size]
        return answer

    async def ended(self) -> bool:
        """Wait until the server has closed the connection: whether that was all."""
        async with asyncio.timeout(30):
            while data := await self._loop.sock_recv(self._client, 65536):
                self._read += data
        return not self._read

    async def until(self, end: bytes) -> bytes:
        """What comes until this has come."""
        while end not in self._read:
            await self._more()
        data = bytes(self._read)
        self._read.clear()
        return data

    async def ask(self, data: bytes) -> bytes:
        """The bytes of the answer to a request."""
        await self.send(data)
        return await self.answer()


@asynccontextmanager
async def hosting(app: App, **options: Any) -> AsyncGenerator[Callable[[], Awaitable[Wire]]]:
    """Serve an application in the running loop; what is yielded makes connections to it."""
    async with AsyncExitStack() as stack:
        listening = await serve.listen(app, host="127.0.0.1", port=0, **options)
        stack.push_async_callback(listening.stop)

        async def connect() -> Wire:
            return await call(listening.port, stack)

        yield connect


async def call(port: int, stack: AsyncExitStack) -> Wire:
    """A connection to a server on this machine, which ends with the stack."""
    client = socket.socket()
    stack.callback(client.close)
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    return Wire(client)


def _lines(lines: tuple[str, ...]) -> HeaderLines:
    pairs = [line.partition(": ") for line in lines]
    return [(name, value) for name, _, value in pairs]


def get(target: str, *lines: str) -> bytes:
    return request("GET", target, _lines(lines), host="here")


def post(target: str, body: str, *lines: str) -> bytes:
    return request("POST", target, _lines(lines), body.encode(), host="here")


def upgrade(target: str, *lines: str) -> bytes:
    return upgrade_request(target, _lines(lines)).replace(b"127.0.0.1", b"here", 1)


async def visit(connect: Callable[[], Awaitable[Wire]], *lines: str) -> list[int]:
    """Asks in every way that a client can; the status of each answer."""
    target = "/socket.io/?EIO=4&transport=polling"
    polling = await connect()
    answers = [await polling.ask(get(target, *lines))]
    found = _SID.search(answers[0])
    sid = "" if found is None else f"&sid={found[1].decode()}"
    answers.append(await polling.ask(post(target + sid, "40", *lines)))
    answers.append(await polling.ask(get(target + sid, *lines)))
    websocket = target.replace("polling", "websocket")
    answers.append(await (await connect()).ask(upgrade(websocket + sid, *lines)))
    jsonp = target.replace("4", "3") + "&j=0"
    answers.append(await (await connect()).ask(get(jsonp, *lines)))
    answers.append(await (await connect()).ask(upgrade(websocket, *lines)))
    answers.append(await (await connect()).ask(upgrade(websocket.replace("4", "3"), *lines)))
    return [int(answer.split()[1]) for answer in answers]
