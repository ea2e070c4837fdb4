"""The comparison's client on python-socketio."""

import asyncio
import sys
from typing import Any

import socketio

from benchmarks.clients.work import Echo, serve


async def connected(url: str, transport: str) -> Any:
    """A client of its own connection."""
    client: Any = socketio.AsyncClient()
    await client.connect(url, transports=[transport])
    return client


async def main(url: str) -> None:
    """One connection for each transport, and a crowd that stays."""
    clients = {name: await connected(url, name) for name in ("websocket", "polling")}
    others: list[Any] = []

    def echo(transport: str) -> Echo:
        client = clients[transport]
        return lambda: client.call("echo", "hello world")

    async def crowd(number: int) -> None:
        for _ in range(number):
            client = await connected(url, "websocket")
            others.append(client)

    await serve(echo, crowd)
    for client in (*clients.values(), *others):
        await client.disconnect()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
