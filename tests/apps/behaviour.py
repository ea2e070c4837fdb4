"""The application of the behaviour suite, served by any kind of host.

    python tests/apps/behaviour.py --host-kind hypercorn --port 0

Prints `PORT <n>` as soon as it listens and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import socket as sockets
import threading
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, TypeAlias

from telex import Ack, AckTimeout, ConnectError, Server, Socket

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Application: TypeAlias = Callable[[Scope, Receive, Send], Awaitable[None]]

Fate: TypeAlias = tuple[str, list[str]]


class Fates:
    """How sockets ended: the reason, and their rooms while they were disconnecting."""

    def __init__(self) -> None:
        self._fates: dict[str, asyncio.Future[Fate]] = {}

    def _of(self, socket_id: str) -> asyncio.Future[Fate]:
        if socket_id not in self._fates:
            self._fates[socket_id] = asyncio.get_running_loop().create_future()
        return self._fates[socket_id]

    async def of(self, socket_id: str) -> Fate:
        """The fate of a socket; waits until it is known."""
        return await asyncio.shield(self._of(socket_id))

    def record(self, socket_id: str, reason: str, rooms: list[str]) -> None:
        if self._of(socket_id).done():
            # Clients of Socket.IO 1 and 2 come back to a namespace under the same id.
            del self._fates[socket_id]
        self._of(socket_id).set_result((reason, rooms))


def equip(io: Server, name: str, fates: Fates) -> None:
    """Add the events of the suite to a namespace."""
    namespace = io.of(name)

    @namespace.on("connection")
    async def connection(socket: Socket) -> None:
        numbers: list[int] = []
        rooms: list[str] = []
        socket.emit("welcome", name)

        @socket.on("echo")
        def echo(*args: object) -> None:
            socket.emit("echo", *args)

        @socket.on("answer")
        async def answer(*args: object) -> tuple[object, ...]:
            return args

        @socket.on("answer by function")
        def answer_by_function(*args: object, ack: Ack) -> None:
            ack(*args)

        @socket.on("quote")
        async def quote(text: str) -> None:
            await socket.emit("quoted", f"{socket.nsp.name} 说: «{text}» 🙂")

        @socket.on("ask")
        async def ask(*args: object) -> None:
            answer: object = await socket.emit_with_ack("question", *args, timeout=5)
            socket.emit("answered", answer if isinstance(answer, tuple) else [answer])

        @socket.on("ask by callback")
        def ask_by_callback(*args: object) -> None:
            def answered(*answers: object) -> None:
                socket.emit("answered", list(answers))

            socket.emit("question", *args, ack=answered)

        @socket.on("ask in vain")
        async def ask_in_vain() -> None:
            try:
                await socket.emit_with_ack("question", timeout=0.2)
            except AckTimeout as error:
                socket.emit("unanswered", isinstance(error, TimeoutError))

        @socket.on("push")
        def push(count: int) -> None:
            for number in range(count):
                socket.emit("number", number)

        @socket.on("number")
        async def number(number: int) -> None:
            # Were two handlers of a socket ever run side by side, the order would be lost here.
            await asyncio.sleep(0.001 if number % 2 else 0)
            numbers.append(number)

        @socket.on("numbers")
        def all_numbers() -> list[int]:
            return numbers

        @socket.on("disconnecting")
        def disconnecting(_: str) -> None:
            rooms.extend(sorted(room for room in socket.rooms if room != socket.id))

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            fates.record(socket.id, reason, rooms)

    @namespace.event
    def who(socket: Socket) -> dict[str, object]:
        return {
            "id": socket.id,
            "namespace": socket.nsp.name,
            "transport": socket.conn.transport.name,
            "protocol": socket.conn.protocol,
        }

    @namespace.event("sockets in")
    def sockets_in(_: Socket, other: str) -> list[str]:
        return list(io.of(other).sockets)

    @namespace.event
    async def join(socket: Socket, room: str) -> bool:
        await socket.join(room)
        return room in socket.rooms

    @namespace.event
    def leave(socket: Socket, room: str) -> bool:
        socket.leave(room)
        return room not in socket.rooms

    @namespace.event("tell room")
    def tell_room(_: Socket, room: str, *args: object) -> None:
        namespace.to(room).emit("told", *args)

    @namespace.event("tell others")
    def tell_others(socket: Socket, room: str, *args: object) -> None:
        socket.to(room).emit("told", *args)

    @namespace.event("tell room except")
    def tell_room_except(_: Socket, room: str, excepted: str, *args: object) -> None:
        namespace.to(room).except_(excepted).emit("told", *args)

    @namespace.event("tell all")
    def tell_all(_: Socket, *args: object) -> None:
        namespace.emit("told", *args)

    @namespace.event
    def broadcast(socket: Socket, *args: object) -> None:
        socket.broadcast.emit("told", *args)

    @namespace.event("throw me out")
    def throw_me_out(socket: Socket) -> None:
        socket.disconnect()

    @namespace.event("close my connection")
    def close_my_connection(socket: Socket) -> None:
        socket.disconnect(close=True)

    @namespace.event("fate of")
    async def fate_of(_: Socket, socket_id: str) -> Fate:
        return await fates.of(socket_id)


def create(app: Application | None = None, **options: Any) -> Server:
    io = Server(app, cors={"origins": "*"}, **options)
    fates = Fates()
    for name in ("/", "/chat", "/guarded"):
        equip(io, name, fates)

    @io.of("/guarded").use
    async def guard(socket: Socket) -> None:
        handshake = socket.handshake
        if (handshake.auth.get("token") or handshake.query.get("token")) != "let me in":
            raise ConnectError("not authorized", data={"code": 401, "hint": "la clé, 请"})

    @io.of("/closed").use
    def close(_: Socket) -> None:
        raise ConnectError("closed for today")

    @io.of("/thrown-out").on("connection")
    def throw_out(socket: Socket) -> None:
        socket.emit("welcome", "/thrown-out")
        socket.disconnect()

    @io.of("/cut-off").on("connection")
    async def cut_off(socket: Socket) -> None:
        socket.emit("welcome", "/cut-off")
        socket.disconnect(close=True)

    return io


class Neighbour:
    """Another ASGI application: answers GET /hello, echoes on WebSocket /echo."""

    def __init__(self) -> None:
        self.started = False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.lifespan(receive, send)
        elif scope["type"] == "websocket":
            await self.echo(scope, receive, send)
        else:
            found = scope["path"] == "/hello" and self.started
            body = b"hello from the neighbour" if found else b"nothing here"
            headers = [(b"content-length", str(len(body)).encode())]
            status = 200 if found else 404
            await send({"type": "http.response.start", "status": status, "headers": headers})
            await send({"type": "http.response.body", "body": body})

    async def lifespan(self, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            self.started = message["type"] == "lifespan.startup"
            await send({"type": f"{message['type']}.complete"})
            if not self.started:
                return

    async def echo(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        if scope["path"] != "/echo":
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "text": f"neighbour: {message['text']}"})


def announce(port: int) -> None:
    print(f"PORT {port}", flush=True)


def stop_requested() -> asyncio.Event:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    return stop


def listening(port: int) -> sockets.socket:
    listener = sockets.create_server(("127.0.0.1", port))
    listener.setblocking(False)
    return listener


async def serve_fast(io: Server, port: int) -> None:
    """As `io.listen` serves: uvicorn with the fast WebSocket path."""
    stop = stop_requested()
    await io.listen(port=port, host="127.0.0.1")
    assert io.port is not None
    announce(io.port)
    await stop.wait()
    await io.close()


def run(io: Server, port: int) -> None:
    """As a script that ends with `io.run()`."""
    # uvicorn raises the signal that has stopped it again when it ends.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if port == 0:
        with listening(0) as listener:
            port = listener.getsockname()[1]

    def announce_when_open() -> None:
        while True:
            try:
                sockets.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                time.sleep(0.01)
            else:
                announce(port)
                return

    threading.Thread(target=announce_when_open, daemon=True).start()
    io.run(port=port)


async def serve_uvicorn(app: Application, port: int, *, root_path: str = "") -> None:
    """As any ASGI application under uvicorn."""
    import uvicorn

    # uvicorn raises the signals it has caught again when it ends; these handlers take them.
    stop_requested()
    config = uvicorn.Config(
        app,
        ws="websockets-sansio",
        lifespan="on",
        log_level="warning",
        root_path=root_path,
        timeout_graceful_shutdown=1,
    )
    server = uvicorn.Server(config)
    with listening(port) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        while not server.started and not serving.done():
            await asyncio.sleep(0.005)
        if server.started:
            announce(listener.getsockname()[1])
        await serving


async def serve_hypercorn(io: Server, port: int) -> None:
    """As any ASGI application under hypercorn."""
    from hypercorn.asyncio import serve  # pyright: ignore[reportUnknownVariableType]
    from hypercorn.config import Config

    stop = stop_requested()

    async def stopped() -> None:
        await stop.wait()
        # From Python 3.12 on, hypercorn would wait for all connections to end by themselves.
        await io.close()

    config = Config()
    with listening(port) as listener:
        config.bind = [f"fd://{os.dup(listener.fileno())}"]  # which hypercorn closes itself
        announce(listener.getsockname()[1])
        hosted: Any = io
        await serve(hosted, config, shutdown_trigger=stopped, mode="asgi")


def in_starlette(io: Server) -> Application:
    from starlette.applications import Starlette
    from starlette.responses import PlainTextResponse
    from starlette.routing import Mount, Route

    def home(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello from starlette")

    return Starlette(routes=[Route("/", home), Mount("/rt", io)], lifespan=io.lifespan)


def in_fastapi(io: Server) -> Application:
    from fastapi import FastAPI

    api = FastAPI(lifespan=io.lifespan)

    @api.get("/")
    def home() -> str:
        return "hello from fastapi"

    api.mount("/rt", io)
    return api


def main() -> None:
    parser = argparse.ArgumentParser()
    kinds = ["fast", "run", "uvicorn", "hypercorn", "starlette", "fastapi"]
    parser.add_argument("--host-kind", choices=kinds, default="fast")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--neighbour", action="store_true", help="pass other paths to another app")
    parser.add_argument("--root-path", default="", help="the prefix a proxy has taken off")
    parser.add_argument("--heartbeat", type=float, nargs=2, default=(25.0, 20.0))
    options = parser.parse_args()

    ping_interval, ping_timeout = options.heartbeat
    io = create(
        Neighbour() if options.neighbour else None,
        ping_interval=ping_interval,
        ping_timeout=ping_timeout,
    )
    match options.host_kind:
        case "fast":
            asyncio.run(serve_fast(io, options.port))
        case "run":
            run(io, options.port)
        case "uvicorn":
            asyncio.run(serve_uvicorn(io, options.port, root_path=options.root_path))
        case "hypercorn":
            asyncio.run(serve_hypercorn(io, options.port))
        case "starlette":
            asyncio.run(serve_uvicorn(in_starlette(io), options.port))
        case _:
            asyncio.run(serve_uvicorn(in_fastapi(io), options.port))


if __name__ == "__main__":
    main()
