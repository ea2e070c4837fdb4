"""docs/from-python-socketio.md: one script of a JavaScript client, and what each server does."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import pytest
import socketio
from socketio.exceptions import TimeoutError as AnswerTimeout

from telex import Disconnected, Server, Socket
from tests.docs.hosting import hosted
from tests.features.scripts import Page, Site


class Both(NamedTuple):
    """A page of each server."""

    socketio: Page
    telex: Page

    async def run(self, script: str) -> tuple[Any, Any]:
        """What a script finds at python-socketio and at telex."""
        return await self.socketio.run(script), await self.telex.run(script)


def socketio_application() -> Any:
    sio: Any = socketio.AsyncServer(async_mode="asgi")

    async def connect(sid: str, environ: Any, auth: Any) -> None:
        if auth and auth.get("broken"):
            raise RuntimeError("a mistake of the application")

    async def late(sid: str) -> None:
        await asyncio.sleep(0.05)
        await sio.emit("late", to=sid)

    async def early(sid: str) -> None:
        await sio.emit("early", to=sid)

    async def fail(sid: str) -> None:
        raise RuntimeError("a mistake of the application")

    async def ask(sid: str) -> None:
        try:
            await sio.call("question", to=sid, timeout=0.3)
        except AnswerTimeout:
            await sio.emit("outcome", "timeout")

    for handler in (connect, late, early, fail, ask):
        sio.on(handler.__name__, handler)
    return sio


def telex_application() -> Server:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        if socket.handshake.auth.get("broken"):
            raise RuntimeError("a mistake of the application")

    @io.event
    async def late(socket: Socket) -> None:
        await asyncio.sleep(0.05)
        socket.emit("late")

    @io.event
    async def early(socket: Socket) -> None:
        socket.emit("early")

    @io.event
    async def fail(socket: Socket) -> None:
        raise RuntimeError("a mistake of the application")

    @io.event
    async def ask(socket: Socket) -> None:
        try:
            await socket.emit_with_ack("question", timeout=60)
        except Disconnected:
            io.emit("outcome", "disconnected")

    return io


@pytest.fixture
async def both(site: Site) -> AsyncIterator[Both]:
    sio = socketio_application()
    async with hosted(socketio.ASGIApp(sio), site) as page:
        yield Both(page, await site.page(telex_application()))
    await sio.shutdown()


async def test_order(both: Both) -> None:
    """An event behind one whose handler waits."""
    assert await both.run("""
        const socket = await connect();
        const heard = [];
        socket.onAny((event) => heard.push(event));
        socket.emit("late");
        socket.emit("early");
        while (heard.length < 2) await sleep(2);
        return heard;
    """) == (["early", "late"], ["late", "early"])


async def test_a_handler_that_fails(both: Both) -> None:
    neutral = {"error": {"type": "HandlerError", "message": "the handler failed"}}
    assert await both.run("""
        const socket = await connect();
        const answer = socket.timeout(300).emitWithAck("fail");
        return await answer.catch((error) => error.message);
    """) == ("operation has timed out", neutral)


async def test_a_connection_handler_that_fails(both: Both) -> None:
    assert await both.run("""
        const socket = open("/", { auth: { broken: true } });
        const end = once(socket, "disconnect");
        const nothing = sleep(300).then(() => ["nothing"]);
        return (await Promise.race([end, nothing]))[0];
    """) == ("nothing", "io server disconnect")


async def test_an_answer_of_a_client_that_leaves(both: Both) -> None:
    assert await both.run("""
        const ana = await connect();
        const ben = await connect();
        const outcome = once(ana, "outcome");
        const question = once(ben, "question");
        ben.emit("ask");
        await question;
        ben.disconnect();
        return (await outcome)[0];
    """) == ("timeout", "disconnected")


async def test_clients_of_2x(both: Both) -> None:
    assert await both.run("""
        return (await request("/socket.io/?EIO=3&transport=polling")).status;
    """) == (400, 200)
