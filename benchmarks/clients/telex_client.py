"""The comparison's client on telex.

python -m benchmarks.clients.telex_client URL [--uvloop]
"""

import asyncio
import sys

import telex
from benchmarks.clients.work import Echo, serve


async def main(url: str) -> None:
    """One connection for each transport, and a crowd that stays."""
    sockets = {
        name: await telex.connect(url, transports=(name,), force_new=True)
        for name in ("websocket", "polling")
    }
    others: list[telex.ClientSocket] = []

    def echo(transport: str) -> Echo:
        socket = sockets[transport]
        return lambda: socket.emit_with_ack("echo", "hello world")

    async def crowd(number: int) -> None:
        for _ in range(number):
            socket = telex.connect(url, transports=("websocket",), force_new=True)
            others.append(socket)
            await socket

    await serve(echo, crowd)
    for socket in (*sockets.values(), *others):
        await socket.disconnect()


if __name__ == "__main__":
    if "--uvloop" in sys.argv:
        import uvloop

        uvloop.run(main(sys.argv[1]))
    else:
        asyncio.run(main(sys.argv[1]))
