"""A balancer of the tests' own: every new connection goes to the next server."""

from __future__ import annotations

import asyncio
import itertools
import re
from contextlib import suppress
from typing import Self

_COOKIE = re.compile(rb"\r\ncookie:[^\r]*\bnode=(\d+)", re.IGNORECASE)


class Balancer:
    """Distributes connections over servers on this machine, without any stickiness.

    With `cookie`, the first answer of a connection names the server in a cookie, and connections
    whose first request brings the cookie go there again.
    """

    def __init__(self, ports: list[int], *, cookie: bool = False) -> None:
        self._ports = ports
        self._cookie = cookie
        self._turn = itertools.cycle(range(len(ports)))
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.url = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        opened = [writer]
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            known = _COOKIE.search(head) if self._cookie else None
            number = int(known[1]) if known else next(self._turn)
            lower, server = await asyncio.open_connection("127.0.0.1", self._ports[number])
            opened.append(server)
            server.write(head)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, server))
                group.create_task(self._answer(lower, writer, number))
        except* (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            for each in opened:
                each.close()
            for each in opened:
                with suppress(OSError):
                    await each.wait_closed()

    async def _answer(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, number: int
    ) -> None:
        if self._cookie:
            head = await reader.readuntil(b"\r\n\r\n")
            cookie = f"\r\nSet-Cookie: node={number}; Path=/\r\n\r\n"
            writer.write(head.removesuffix(b"\r\n\r\n") + cookie.encode())
        await _pump(reader, writer)


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()
