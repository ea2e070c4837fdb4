"""The server that the client's tests talk to; tests/client/servers/node_server.js in Python.

    python -m tests.apps.counterpart --port 0

One process has several servers, the sites, each on a port of its own. Prints `PORT <n>`, the port
of the site `main`; GET /sites there tells the ports of all. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import re
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, TypeAlias

from telex import (
    Ack,
    ConnectError,
    EngineServer,
    EngineSocket,
    Namespace,
    ParentNamespace,
    Request,
    Server,
    Socket,
)
from tests.apps.behaviour import announce, stop_requested

Scope: TypeAlias = MutableMapping[str, Any]
Message: TypeAlias = MutableMapping[str, Any]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
Send: TypeAlias = Callable[[Message], Awaitable[None]]

QUICK: Mapping[str, Any] = {"ping_interval": 0.15, "ping_timeout": 1.0}
COOKIES = [
    [
        "node=a; Path=/; HttpOnly",
        "stage=first; Path=/",
        "far=x; Path=/far/away",
        "tls=only; Path=/; Secure",
        "gone=1",
    ],
    ["stage=later; Path=/", "gone=; Max-Age=0"],
]


def allow(request: Request) -> bool | str:
    return request.headers.get("x-token") == "let me in" or "not with this token"


SITES: Mapping[str, Mapping[str, Any]] = {
    "main": {},
    "quick": QUICK,
    "strict": {"ping_interval": 0.1, "ping_timeout": 0.2},
    "small": {"max_http_buffer_size": 2000},
    "elsewhere": {"path": "/real/time"},
    "polling only": {"transports": ("polling",)},
    "websocket only": {"transports": ("websocket",)},
    "no upgrades": {"allow_upgrades": False},
    "refusing": {"allow_request": allow},
    "msgpack": {"parser": "msgpack"},
    "recovery": {"connection_state_recovery": {"max_disconnection_duration": 5.0}},
    "brief recovery": {"connection_state_recovery": {"max_disconnection_duration": 0.05}},
}


class Memory:
    """What the whole process remembers, by the name that a test has given to it."""

    def __init__(self) -> None:
        self.notes: dict[str, list[Any]] = {}
        self.requests: dict[str, list[Any]] = {}
        self._fates: dict[str, asyncio.Future[str]] = {}

    def begin(self, socket_id: str) -> None:
        """A socket has come, perhaps back from a lost connection."""
        self._fates.pop(socket_id, None)

    def fate_of(self, socket_id: str) -> asyncio.Future[str]:
        if socket_id not in self._fates:
            self._fates[socket_id] = asyncio.get_running_loop().create_future()
        return self._fates[socket_id]


def equip(io: Server, namespace: Namespace | ParentNamespace, memory: Memory) -> None:
    """Add the events of the suite to a namespace."""

    @namespace.on("connection")
    def connection(socket: Socket) -> None:
        memory.begin(socket.id)

        @socket.on("echo")
        def echo(*args: object) -> None:
            socket.emit("echo", *args)

        @socket.on("message")
        def message(*args: object) -> None:
            socket.send(*args)

        @socket.on("ask")
        def ask(*args: object) -> None:
            def answered(*answers: object) -> None:
                socket.emit("answered", list(answers))

            socket.emit("question", *args, ack=answered)

        @socket.on("push")
        def push(count: int) -> None:
            for number in range(count):
                socket.emit("number", number)

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            memory.fate_of(socket.id).set_result(reason)

    @namespace.event
    def answer(_: Socket, *args: object) -> tuple[object, ...]:
        return args

    @namespace.event("answer later", concurrent=True)
    async def answer_later(_: Socket, milliseconds: float, *args: object) -> tuple[object, ...]:
        await asyncio.sleep(milliseconds / 1000)
        return args

    @namespace.event("keep silent")
    def keep_silent(_: Socket, ack: Ack | None = None) -> None:
        """Whoever wants an answer gets none."""

    @namespace.event("answer twice")
    def answer_twice(_: Socket, ack: Ack) -> None:
        ack("once")
        ack("twice")

    @namespace.event("send large")
    def send_large(_: Socket, size: int) -> tuple[str, bytes]:
        return "é" * size, b"b" * size

    @namespace.event
    def who(socket: Socket) -> dict[str, object]:
        return {
            "id": socket.id,
            "namespace": socket.nsp.name,
            "transport": socket.conn.transport.name,
            "protocol": socket.conn.protocol,
        }

    @namespace.event
    def handshake(socket: Socket) -> dict[str, object]:
        known = socket.handshake
        return {
            "auth": known.auth,
            "query": dict(known.query),
            "headers": dict(known.headers),
        }

    @namespace.event
    def note(_: Socket, name: str, value: object) -> None:
        memory.notes.setdefault(name, []).append(value)

    @namespace.event
    def notes(_: Socket, name: str) -> list[Any]:
        return memory.notes.get(name, [])

    @namespace.event
    def stubborn(_: Socket, name: str, times: int, value: object, ack: Ack) -> None:
        noted = memory.notes.setdefault(name, [])
        noted.append(value)
        if noted.count(value) >= times:
            ack(value)

    @namespace.event
    def requests(_: Socket, visit: str) -> list[Any]:
        return memory.requests.get(visit, [])

    @namespace.event("fate of", concurrent=True)
    async def fate_of(_: Socket, socket_id: str) -> str:
        return await asyncio.shield(memory.fate_of(socket_id))

    @namespace.event("sockets in")
    def sockets_in(_: Socket, name: str) -> list[str]:
        return list(io.of(name).sockets)

    @namespace.event
    async def join(socket: Socket, room: str) -> tuple[()]:
        await socket.join(room)
        return ()

    @namespace.event
    async def leave(socket: Socket, room: str) -> tuple[()]:
        await socket.leave(room)
        return ()

    @namespace.event
    def tell(socket: Socket, rooms: list[str], *args: object) -> None:
        if rooms:
            socket.nsp.to(rooms).emit("told", *args)
        else:
            socket.nsp.emit("told", *args)

    @namespace.event("throw me out")
    def throw_me_out(socket: Socket) -> None:
        socket.disconnect()

    @namespace.event("close my connection")
    def close_my_connection(socket: Socket) -> None:
        socket.disconnect(close=True)

    @namespace.event("close the transport")
    def close_the_transport(socket: Socket) -> None:
        socket.conn.close()

    @namespace.event("send nonsense")
    def send_nonsense(socket: Socket) -> None:
        socket.conn.send("nonsense")


def given(socket: Socket) -> Mapping[str, Any]:
    auth: Mapping[str, Any] = socket.handshake.auth or socket.handshake.query
    return auth


def remember(io: Server, memory: Memory) -> None:
    """Requests that say who they belong to are kept, and are given cookies."""

    @io.engine.on("headers")
    def headers(headers: list[tuple[str, str]], request: Request) -> None:
        visit = request.query.get("visit")
        if visit is None:
            return
        seen = memory.requests.setdefault(visit, [])
        headers.extend(("set-cookie", cookie) for cookie in COOKIES[min(len(seen), 1)])
        seen.append(
            {
                "method": request.scope.get("method", "GET"),
                "transport": request.query.get("transport"),
                "first": "sid" not in request.query,
                "length": int(request.headers.get("content-length") or 0),
                "headers": dict(request.headers),
                "query": dict(request.query),
            }
        )


def create(app: Any, options: Mapping[str, Any], memory: Memory) -> Server:
    io = Server(app, **options)
    for name in ("/", "/chat", "/news", "/guarded", "/slow", "/greeting", "/café ☕"):
        equip(io, io.of(name), memory)
    equip(io, io.of(re.compile(r"/room-\d+")), memory)
    remember(io, memory)

    @io.of("/guarded").use
    def guard(socket: Socket) -> None:
        if given(socket).get("token") != "let me in":
            raise ConnectError("not authorized", data={"code": 401, "hint": "la clé, 请"})

    @io.of("/closed").use
    def close(_: Socket) -> None:
        raise ConnectError("closed for today")

    @io.of("/slow").use
    async def slow(_: Socket) -> None:
        await asyncio.sleep(0.1)

    @io.of("/greeting").on("connection")
    def greet(socket: Socket) -> None:
        def answered(answer: object) -> None:
            socket.emit("answered", [answer])

        socket.emit("welcome", "to", "/greeting")
        socket.emit("question", 1, ack=answered)

    @io.of("/thrown-out").on("connection")
    def throw_out(socket: Socket) -> None:
        socket.emit("welcome", "/thrown-out")
        socket.disconnect()

    @io.of("/cut-off").on("connection")
    def cut_off(socket: Socket) -> None:
        socket.emit("welcome", "/cut-off")
        socket.disconnect(close=True)

    return io


def create_engine(memory: Memory) -> EngineServer:
    engine = EngineServer(**QUICK)

    @engine.on("connection")
    def connection(socket: EngineSocket) -> None:
        @socket.on("message")
        def message(data: str | bytes) -> None:
            if isinstance(data, str) and data.startswith("note "):
                _, name, value = data.split(" ")
                memory.notes.setdefault(name, []).append(value)
            elif data == "close me":
                socket.close()
            elif data == "who am I":
                socket.send(json.dumps([socket.id, socket.transport.name]))
            elif data == "push":
                for number in range(100):
                    socket.send(str(number))
            else:
                socket.send(data)

    return engine


class Directory:
    """The application behind the site `main`: tells the ports of all."""

    def __init__(self) -> None:
        self.ports: dict[str, int | None] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        assert scope["type"] == "http", scope
        known = scope["path"] == "/sites"
        body = json.dumps(self.ports if known else {"error": "nothing here"}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        status = 200 if known else 404
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})


async def serve(port: int, only: str | None) -> None:
    stop = stop_requested()
    memory = Memory()
    directory = Directory()
    servers: dict[str, Server | EngineServer] = {
        site: create(directory if site == "main" else None, options, memory)
        for site, options in SITES.items()
        if only in (None, site)
    }
    if only is None:
        servers["engine"] = create_engine(memory)
    first = only or "main"
    await asyncio.gather(
        *(server.listen(port=port if site == first else 0) for site, server in servers.items())
    )
    directory.ports = {site: server.port for site, server in servers.items()}
    announced = servers[first].port
    assert announced is not None
    announce(announced)
    await stop.wait()
    await asyncio.gather(*(server.close() for server in servers.values()))


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--only", choices=SITES)
    options = parser.parse_args()
    asyncio.run(serve(options.port, options.only))


if __name__ == "__main__":
    main()
