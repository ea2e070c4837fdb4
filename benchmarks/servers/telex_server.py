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


async def serve_fast(io: Server) -> None:
    """Serve as `io.run()` does, which blocks and has no place to print the port."""
    await io.listen(port=0)
    print(f"PORT {io.port}", flush=True)
    await asyncio.Event().wait()


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
    serve = serve_fast if arguments.front == "fast" else serve_asgi
    try:
        import uvloop
    except ImportError:
        asyncio.run(serve(io))
    else:
        uvloop.run(serve(io))


if __name__ == "__main__":
    main()
