"""The basics of tests/client/servers/node_server.js on python-socketio.

    python -m tests.client.servers.python_socketio_server --port 0

Prints `PORT <n>` as soon as it listens and ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Mapping
from typing import Any

import socketio  # pyright: ignore[reportMissingTypeStubs]
from engineio import payload  # pyright: ignore[reportMissingTypeStubs]
from socketio import exceptions as _exceptions  # pyright: ignore[reportMissingTypeStubs]

from tests.apps.behaviour import Receive, Scope, Send, serve_uvicorn

exceptions: Any = _exceptions

# By default it refuses more than 16 packets at once, which any client may send.
payload.Payload.max_decode_packets = 1000

NAMESPACES = ("/", "/chat", "/news", "/guarded", "/café ☕")


def create() -> Any:
    io: Any = socketio.AsyncServer(async_mode="asgi", cors_allowed_origins="*")
    for namespace in NAMESPACES:
        equip(io, namespace)
    return io


def equip(io: Any, namespace: str) -> None:
    """Add the events to a namespace."""

    async def connect(sid: str, environ: Mapping[str, Any], auth: Any = None) -> None:
        if namespace == "/guarded" and auth != {"token": "let me in"}:
            refusal = {"code": 401, "hint": "la clé, 请"}
            raise exceptions.ConnectionRefusedError("not authorized", refusal)
        await io.save_session(sid, {"auth": auth}, namespace=namespace)

    async def echo(sid: str, *args: object) -> None:
        await io.emit("echo", args, to=sid, namespace=namespace)

    async def message(sid: str, *args: object) -> None:
        await io.send(args, to=sid, namespace=namespace)

    async def answer(_: str, *args: object) -> tuple[object, ...]:
        return args

    async def ask(sid: str, *args: object) -> None:
        async def answered(*answers: object) -> None:
            await io.emit("answered", list(answers), to=sid, namespace=namespace)

        await io.emit("question", args, to=sid, namespace=namespace, callback=answered)

    async def push(sid: str, count: int) -> None:
        for number in range(count):
            await io.emit("number", number, to=sid, namespace=namespace)

    async def who(sid: str) -> dict[str, object]:
        engine_id = io.manager.eio_sid_from_sid(sid, namespace)
        return {
            "id": sid,
            "namespace": namespace,
            "transport": io.transport(sid, namespace),
            "protocol": 4 if engine_id else None,
        }

    async def handshake(sid: str) -> dict[str, object]:
        session = await io.get_session(sid, namespace=namespace)
        return {"auth": session["auth"]}

    async def join(sid: str, room: str) -> tuple[()]:
        await io.enter_room(sid, room, namespace=namespace)
        return ()

    async def tell(_: str, rooms: list[str], *args: object) -> None:
        for room in rooms:
            await io.emit("told", args, room=room, namespace=namespace)

    async def throw_me_out(sid: str) -> None:
        await io.disconnect(sid, namespace=namespace)

    handlers = {
        "connect": connect,
        "echo": echo,
        "message": message,
        "answer": answer,
        "ask": ask,
        "push": push,
        "who": who,
        "handshake": handshake,
        "join": join,
        "tell": tell,
        "throw me out": throw_me_out,
    }
    for event, handler in handlers.items():
        io.on(event, handler, namespace=namespace)


class Application:
    """The server, and /sites, which tells its port."""

    def __init__(self) -> None:
        self._app: Any = socketio.ASGIApp(create())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] != "/sites":
            await self._app(scope, receive, send)
            return
        body = json.dumps({"main": scope["server"][1]}).encode()
        headers = [(b"content-length", str(len(body)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=0)
    asyncio.run(serve_uvicorn(Application(), parser.parse_args().port))
