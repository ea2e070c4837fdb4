"""Pieces of JavaScript with a real socket.io-client, run against a server of the test's own loop.

>>> io = Server()
>>> page = await site.page(io)
>>> await page.run("const socket = await connect(); return socket.connected")
True
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, Literal, TypeAlias

from telex import EngineServer, Server
from tests.clients.javascript import from_json, to_json
from tests.support.node import NodeProgram

DRIVER = Path(__file__).with_name("driver.js")

Client: TypeAlias = Literal["1", "2", "3", "4", "msgpack"]


class Calls:
    """A handler that keeps what it is called with."""

    def __init__(self) -> None:
        self.all: list[tuple[Any, ...]] = []
        self._queue: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

    def __call__(self, *args: Any) -> None:
        self.all.append(args)
        self._queue.put_nowait(args)

    @property
    def first(self) -> list[Any]:
        """The first argument of every call."""
        return [args[0] for args in self.all]

    async def next(self) -> tuple[Any, ...]:
        """The arguments of the next call; waits for it."""
        async with asyncio.timeout(10):
            return await self._queue.get()


class Pending:
    """A piece of JavaScript that has begun; awaiting it gives its result."""

    def __init__(self, page: Page, number: int) -> None:
        self._page = page
        self._number = number

    def __await__(self) -> Generator[Any, None, Any]:
        return self._page.run("return await page.pending[n]", n=self._number).__await__()


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has happened on the server."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


class Page:
    """A place where JavaScript runs: what one piece leaves in `page` is there for the next.

    See driver.js for what the pieces can use besides `io`.
    """

    def __init__(self, program: NodeProgram, name: str, url: str) -> None:
        self._program = program
        self._name = name
        self.url = url

    async def run(self, code: str, *, timeout: float = 10.0, **values: object) -> Any:
        """Run the body of an async function; what it returns.

        `values` are variables of the piece.
        """
        request = {"page": self._name, "url": self.url, "code": code, "values": to_json(values)}
        answer = await asyncio.to_thread(self._program.request, request, timeout=timeout)
        return from_json(answer)

    async def begin(self, code: str) -> Pending:
        """Begin with a piece; awaiting what this returns gives its result.

        It has run up to its first `await` when this returns, so what it listens to is heard.
        """
        number = await self.run(
            f"""
            page.pending ??= [];
            const pending = (async () => {{ {code} }})();
            pending.catch(() => {{}});
            return page.pending.push(pending) - 1;
            """
        )
        return Pending(self, number)

    async def close(self) -> None:
        """Close all sockets."""
        await asyncio.to_thread(self._program.request, {"page": self._name})


class Programs:
    """One Node process for each client, started when it is first needed."""

    def __init__(self) -> None:
        self._programs: dict[Client, NodeProgram] = {}
        self._pages = 0

    def page(self, client: Client, url: str) -> Page:
        program = self._programs.get(client)
        if program is None or not program.running:
            program = self._programs[client] = NodeProgram(DRIVER, client)
        self._pages += 1
        return Page(program, f"page {self._pages}", url)

    def close(self) -> None:
        for program in self._programs.values():
            program.close()


class Site:
    """The servers of one test, and the pages that know their addresses."""

    def __init__(self, programs: Programs) -> None:
        self._programs = programs
        self._servers: list[Server | EngineServer] = []
        self._pages: list[Page] = []

    async def serve(self, io: Server, **options: Any) -> str:
        """Serve on a free port until the test ends; the address."""
        self._servers.append(io)
        await io.listen(port=0, **options)
        return f"http://127.0.0.1:{io.port}"

    def page_at(self, url: str, client: Client = "4") -> Page:
        """A page for any address."""
        page = self._programs.page(client, url)
        self._pages.append(page)
        return page

    async def page(self, io: Server, client: Client = "4", **options: Any) -> Page:
        """Serve, and open a page for it."""
        return self.page_at(await self.serve(io, **options), client)

    async def close(self) -> None:
        """Close what the test has left open, and see that nothing is left."""
        for page in self._pages:
            await page.close()
        for server in self._servers:
            await server.close()
