"""The comparison's server on telex.

    python telex_server.py [--handlers plain|async] [--front fast|asgi]

`--front asgi` serves the same application as any ASGI host would, without the fast WebSocket path.
"""

import argparse
import asyncio
import socket
from typing import Any

import uvicorn

from telex import Server, Socket


def plain_handlers(io: Server) -> None:
    """The handlers as functions."""

    @io.event
    def echo(socket: Socket, argument: Any) -> Any:
        return argument

    @io.event
    def bcast(socket: Socket, payload: Any) -> None:
        io.emit("msg", payload)


def async_handlers(io: Server) -> None:
    """The handlers as coroutines."""

    @io.event
    async def echo(socket: Socket, argument: Any) -> Any:
        return argument

    @io.event
    async def bcast(socket: Socket, payload: Any) -> None:
        await io.emit("msg", payload)


def serve_fast(io: Server) -> None:
    """Serve as an application does: with `io.run()`."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]

    async def announce() -> None:
        print(f"PORT {port}", flush=True)

    io.run(
        port=port,
        access_log=False,
        log_level="warning",
        callback_notify=announce,  # uvicorn calls it when it has begun to listen
        timeout_notify=3600,
    )


async def serve_asgi(io: Server) -> None:
    """Serve under uvicorn with its fastest parts."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    config = uvicorn.Config(
        io, ws="websockets-sansio", http="httptools", access_log=False, log_level="warning"
    )
    print(f"PORT {listener.getsockname()[1]}", flush=True)
    await uvicorn.Server(config).serve([listener])


def main() -> None:
    """Serve on a free port until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--handlers", choices=["plain", "async"], default="plain")
    parser.add_argument("--front", choices=["fast", "asgi"], default="fast")
    arguments = parser.parse_args()
    io = Server()
    (plain_handlers if arguments.handlers == "plain" else async_handlers)(io)
    if arguments.front == "fast":
        serve_fast(io)
        return
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve_asgi(io))
    else:
        uvloop.run(serve_asgi(io))


if __name__ == "__main__":
    main()
