"""Ports where no Socket.IO server answers: refusing, silent, a proxy."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager, suppress
from urllib.parse import urlsplit


@contextmanager
def refusing_port() -> Generator[int]:
    """A port that refuses connections; nobody else can get it meanwhile."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield bound.getsockname()[1]


@contextmanager
def silent_port() -> Generator[int]:
    """A port that takes connections and never says a word."""
    with socket.create_server(("127.0.0.1", 0), backlog=64) as listening:
        yield listening.getsockname()[1]


class ForwardProxy:
    """An HTTP proxy: takes requests with whole URLs, and CONNECT."""

    def __init__(self) -> None:
        self.url = ""
        self.methods: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection of a client."""
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
                await self._forward(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _forward(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        method, target, rest = head.split(b" ", 2)
        self.methods.add(method.decode())
        if method == b"CONNECT":
            host, _, port = target.decode().rpartition(":")
            path = ""
        else:
            parts = urlsplit(target.decode())
            host, port, path = parts.hostname or "", str(parts.port), f"{parts.path}?{parts.query}"
        if host.endswith(".test"):  # names that only the proxy knows
            host = "127.0.0.1"
        upstream, to_server = await asyncio.open_connection(host, int(port))
        if method == b"CONNECT":
            writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            # One request for each connection: the next one has a URL of its own.
            if b"\r\nupgrade:" not in rest.lower():
                rest = rest.replace(b"\r\n", b"\r\nConnection: close\r\n", 1)
            to_server.write(b" ".join([method, path.encode(), rest]))
        try:
            back = asyncio.create_task(_copy(reader, to_server))
            try:
                await _copy(upstream, writer)
            finally:
                back.cancel()
                await asyncio.wait([back])
        finally:
            to_server.close()

    async def close(self) -> None:
        """End all connections."""
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def forward_proxy() -> AsyncGenerator[ForwardProxy]:
    """A proxy that listens."""
    proxy = ForwardProxy()
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    proxy.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield proxy
    finally:
        server.close()
        await proxy.close()
        await server.wait_closed()
