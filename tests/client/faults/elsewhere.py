"""A server and a proxy that share nothing with the client's event loop: they have their own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from typing import Any, Self, TypeVar

from telex import Server
from tests.support.proxy import Fault, Proxy

T = TypeVar("T")


class Elsewhere:
    """An event loop in a thread of its own; `proxy` stands in front of `io`."""

    io: Server
    proxy: Proxy

    def __init__(self) -> None:
        self.loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self.loop.run_forever, name="elsewhere", daemon=True)

    @classmethod
    def start(cls, io: Server) -> Self:
        """Serve; returns when the proxy listens."""
        self = cls()
        self._thread.start()
        self.run(self._start(io))
        return self

    async def _start(self, io: Server) -> None:
        self.io = io
        await io.listen(port=0)
        assert io.port is not None
        self.proxy = await Proxy.start(io.port)

    @property
    def url(self) -> str:
        return self.proxy.url

    def run(self, what: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there, for those who have no loop."""
        return asyncio.run_coroutine_threadsafe(what, self.loop).result(20)

    async def do(self, what: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine that runs there."""
        async with asyncio.timeout(20):
            return await asyncio.wrap_future(asyncio.run_coroutine_threadsafe(what, self.loop))

    async def call(self, what: Callable[[], T]) -> T:
        """The result of a function that is called there."""

        async def call() -> T:
            return what()

        return await self.do(call())

    async def add(self, fault: Fault) -> Fault:
        """Let something happen at the proxy."""
        return await self.call(lambda: self.proxy.add(fault))

    async def fired(self, fault: Fault) -> None:
        """Wait until it has happened."""
        await self.do(_wait(fault.fired))

    async def mend(self) -> None:
        """Nothing more happens, and nobody is connected."""

        async def mend() -> None:
            self.proxy.faults.clear()
            self.proxy.pace = None
            if not self.proxy.listening:
                await self.proxy.admit()
            self.proxy.cut()

        await self.do(mend())

    def close(self) -> None:
        """End the server, the proxy and the loop."""
        try:
            self.run(self.proxy.close())
            self.run(self.io.close())
            self.run(self.loop.shutdown_default_executor())
        finally:
            self.loop.call_soon_threadsafe(self.loop.stop)
            self._thread.join()
            self.loop.close()


async def _wait(event: asyncio.Event) -> None:
    await event.wait()
