"""Context variables: what is set for the requests of one client is not seen by others' handlers."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import pytest
from websockets.asyncio.client import ClientConnection, connect

from telex import Server, Socket
from telex.fronts.uvicorn import serve

CLIENT: ContextVar[str] = ContextVar("CLIENT", default="nobody")
STARTED: ContextVar[str] = ContextVar("STARTED", default="no")

EVENTS = ("plain", "at once", "later", "guarded")
SETTING = ("set", "set at once", "set later")


def make_server() -> Server:
    server = Server(ping_interval=0.2, ping_timeout=2)

    def seen() -> list[str]:
        return [CLIENT.get(), STARTED.get()]

    @server.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("guarded")
        def guarded() -> list[str]:
            @socket.use
            async def allow(event: str, args: list[Any]) -> None:
                """Whatever it is."""

            return seen()

    @server.event("plain")
    def plain(socket: Socket) -> list[str]:
        return seen()

    @server.event("at once")
    async def at_once(socket: Socket) -> list[str]:
        return seen()

    @server.event("later")
    async def later(socket: Socket) -> list[str]:
        before = seen()
        await asyncio.sleep(0)
        assert seen() == before
        return before

    @server.event("set")
    def set_it(socket: Socket) -> list[str]:
        CLIENT.set("another")
        return seen()

    @server.event("set at once")
    async def set_at_once(socket: Socket) -> list[str]:
        return set_it(socket)

    @server.event("set later")
    async def set_later(socket: Socket) -> list[str]:
        await asyncio.sleep(0)
        return set_it(socket)

    @server.event("disconnect")
    def disconnect(socket: Socket, reason: str) -> None:
        set_it(socket)

    return server


@asynccontextmanager
async def mounted(server: Server, **options: Any) -> AsyncGenerator[int]:
    """The server in an application that says in a context variable whose request it is."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            CLIENT.set(scope["query_string"].decode().rpartition("=")[2])
        await server(scope, receive, send)

    listening = await serve.listen(app, host="127.0.0.1", port=0, lifespan="off", **options)
    try:
        yield listening.port
    finally:
        await server.close()
        await listening.stop()


@asynccontextmanager
async def client(port: int, name: str) -> AsyncGenerator[ClientConnection]:
    uri = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket&name={name}"
    async with connect(uri, compression=None, ping_interval=None) as connection:
        assert str(await connection.recv()).startswith("0{")
        await connection.send("40")
        while (text := str(await connection.recv())) == "2":
            await connection.send("3")
        assert text.startswith("40{")
        yield connection


async def ask(connection: ClientConnection, event: str) -> list[str]:
    await connection.send(f'427["{event}"]')
    while True:
        text = str(await connection.recv())
        if text == "2":
            await connection.send("3")
            continue
        assert text.startswith("437["), text
        (seen,) = json.loads(text[3:])
        return list(seen)


async def test_beside_the_application() -> None:
    """What serves a connection that the application has handed over is in no other's context."""
    STARTED.set("yes")
    server = make_server()
    async with mounted(server) as port, client(port, "ana") as ana, client(port, "ben") as ben:
        for _ in range(2):
            for event in EVENTS:
                for connection, name in ((ana, "ana"), (ben, "ben")):
                    client_seen, started = await ask(connection, event)
                    assert client_seen in {"nobody", name}, event
                    assert started == "yes"


@pytest.mark.parametrize("event", EVENTS)
async def test_within_the_application(event: str) -> None:
    """Where it reads a client for us, what it has set for that client is there."""
    STARTED.set("yes")
    server = make_server()
    async with (
        mounted(server, http="httptools") as port,
        client(port, "ana") as ana,
        client(port, "ben") as ben,
    ):
        for _ in range(2):
            assert await ask(ana, event) == ["ana", "yes"]
            assert await ask(ben, event) == ["ben", "yes"]


async def test_what_is_set_before_listening() -> None:
    server = make_server()
    STARTED.set("later")
    await server.listen(port=0)
    try:
        assert server.port is not None
        async with client(server.port, "ana") as ana:
            for event in EVENTS:
                assert await ask(ana, event) == ["nobody", "later"], event
    finally:
        await server.close()


@pytest.mark.parametrize("setting", [*SETTING, "disconnect", "time out"])
async def test_what_a_handler_sets(setting: str) -> None:
    """It is gone, at the latest, when another client is served."""
    server = make_server()
    await server.listen(port=0)
    try:
        assert server.port is not None
        async with client(server.port, "ana") as ana, client(server.port, "ben") as ben:
            if setting in SETTING:
                assert await ask(ana, setting) == ["another", "no"]
            elif setting == "disconnect":
                await ana.close()
            else:
                while server.engine.clients_count > 1:  # ben answers pings, ana does not
                    await ask(ben, "plain")
                    await asyncio.sleep(0.01)
            for event in EVENTS:
                assert await ask(ben, event) == ["nobody", "no"], event
    finally:
        await server.close()
