"""The comparison's server on telex.

    python -m benchmarks.servers.telex_server [--handlers plain|async] [--front fast|asgi]
                                              [--parser json|msgpack] [--ping-interval SECONDS]

`--front asgi` serves the same application as any ASGI host would, without the fast WebSocket path.
"""

import argparse
import asyncio
import socket
from typing import Any

import msgspec
import uvicorn

from benchmarks.servers.watch import Watch
from telex import ConnectError, Server, Socket


class Item(msgspec.Struct):
    """A line of an order."""

    name: str
    count: int
    price: float
    tags: list[str]


class Order(msgspec.Struct):
    """What the shape `typed` sends: about a kilobyte."""

    id: int
    customer: str
    paid: bool
    items: list[Item]
    note: str


def plain_handlers(io: Server) -> None:
    """The handlers as functions."""

    @io.event
    def echo(socket: Socket, argument: Any) -> Any:
        return argument

    @io.event
    def typed(socket: Socket, order: Order) -> Order:
        return order

    @io.event
    def binary(socket: Socket, blob: bytes) -> bytes:
        return blob

    @io.event
    def bcast(socket: Socket, payload: Any) -> None:
        io.emit("msg", payload)

    @io.event
    def room(socket: Socket, rooms: Any, payload: Any) -> None:
        io.to(rooms).emit("msg", payload)


def async_handlers(io: Server) -> None:
    """The handlers as coroutines."""

    @io.event
    async def echo(socket: Socket, argument: Any) -> Any:
        return argument

    @io.event
    async def typed(socket: Socket, order: Order) -> Order:
        return order

    @io.event
    async def binary(socket: Socket, blob: bytes) -> bytes:
        return blob

    @io.event
    async def bcast(socket: Socket, payload: Any) -> None:
        await io.emit("msg", payload)

    @io.event
    async def room(socket: Socket, rooms: Any, payload: Any) -> None:
        await io.to(rooms).emit("msg", payload)


def add_namespace(io: Server, name: str) -> None:
    """One of the namespaces that only exist when somebody wants many."""
    namespace = io.of(name)

    @namespace.event
    def bcast(socket: Socket, payload: Any) -> None:
        namespace.emit("msg", payload)


def add_waiting(io: Server) -> None:
    """Handlers that wait for something: for a turn of the loop."""

    @io.of("/waiting").event
    async def echo(socket: Socket, argument: Any) -> Any:
        await asyncio.sleep(0)
        return argument


def add_guarded(io: Server) -> None:
    """Events that pass a middleware."""
    guarded = io.of("/guarded")

    def guard(event: str, args: list[Any]) -> None:
        if event != "echo":
            raise ConnectError("what is it?")

    @guarded.on("connection")
    def connection(socket: Socket) -> None:
        socket.use(guard)

    @guarded.event
    def echo(socket: Socket, argument: Any) -> Any:
        return argument


def add_crowd(io: Server) -> None:
    """A crowd authenticates and joins a room."""
    crowd = io.of("/crowd")

    @crowd.use
    def authenticate(socket: Socket) -> None:
        if (socket.handshake.auth or {}).get("token") != "secret":
            raise ConnectError("who is it?")

    @crowd.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("crowd")

    @crowd.event
    def kick(socket: Socket) -> None:
        crowd.disconnect_sockets(close=True)


def common_handlers(io: Server) -> None:
    """What is the same for both kinds of handlers."""
    watch = Watch()
    made: list[str] = []

    @io.event
    def join(socket: Socket, rooms: list[str]) -> int:
        socket.join(rooms)
        return len(rooms)

    @io.event
    async def ask(socket: Socket, payload: Any) -> int:
        return len(await io.timeout(60).emit_with_ack("msg", payload))

    @io.event
    def setup(socket: Socket, wanted: dict[str, int]) -> bool:
        socket.join([f"held{number}" for number in range(wanted.get("rooms", 0))])
        while len(made) < wanted.get("namespaces", 0):
            made.append(f"/n{len(made)}")
            add_namespace(io, made[-1])
        return True

    @io.event("watch")
    def start_watch(socket: Socket) -> bool:
        watch.start()
        return True

    @io.event
    def watched(socket: Socket) -> float:
        return watch.stop()


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
    parser.add_argument("--parser", choices=["json", "msgpack"], default="json")
    parser.add_argument("--ping-interval", type=float, default=25)
    arguments = parser.parse_args()
    io = Server(parser=arguments.parser, ping_interval=arguments.ping_interval)
    (plain_handlers if arguments.handlers == "plain" else async_handlers)(io)
    common_handlers(io)
    add_waiting(io)
    add_guarded(io)
    add_crowd(io)
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
