"""How sockets, connections and servers end, and what is left of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from fastapi import FastAPI

from telex import Server, Socket
from telex.fronts.uvicorn.serve import listen
from tests.features.scripts import Calls, Site

BOTH = pytest.mark.parametrize("transport", ["polling", "websocket"])


def reasons(io: Server) -> Calls:
    """Every reason with which a socket leaves."""
    gone = Calls()

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        gone(reason)

    return gone


@BOTH
@pytest.mark.parametrize(
    ("act", "expected"),
    [
        ("socket.disconnect()", "client namespace disconnect"),
        ("socket.io.engine.close()", "transport close"),
        ("socket.io.engine.write('2not json')", "forced close"),
        ("socket.io.engine.write('2/unknown,[\"x\"]')", "forced server close"),
        ('socket.io.engine.write(\'4{"message":"x"}\')', "forced close"),
        ("socket.io.engine.transport.send([{ type: 'message', data: '' }])", "forced close"),
    ],
)
async def test_why_a_socket_has_left(site: Site, transport: str, act: str, expected: str) -> None:
    """The reasons of Socket.IO, whatever the transport."""
    io = Server()
    gone = reasons(io)
    page = await site.page(io)
    await page.run(
        "const socket = await connect('/', { transports: [transport] });" + act, transport=transport
    )
    [reason] = await gone.next()
    assert reason == expected


@BOTH
async def test_the_server_ends_it(site: Site, transport: str) -> None:
    io = Server()
    gone = reasons(io)
    page = await site.page(io)
    for act, there, here in (
        ("namespace", "io server disconnect", "server namespace disconnect"),
        ("connection", "io server disconnect", "server namespace disconnect"),
        ("engine", "transport close", "forced close"),
    ):
        await page.run(
            """
            page.socket = await connect("/", { transports: [transport] });
            page.ended = once(page.socket, "disconnect");
            """,
            transport=transport,
        )
        [socket] = io.sockets.sockets.values()
        if act == "engine":
            socket.conn.close()
        else:
            socket.disconnect(close=act == "connection")
        assert await page.run("return (await page.ended)[0]") == there
        assert await gone.next() == (here,)


async def test_an_engine_packet_that_cannot_be_read(site: Site) -> None:
    io = Server()
    gone = reasons(io)
    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        socket.io.engine.transport.ws.send("xyz");
    """)
    assert await gone.next() == ("parse error",)


async def test_a_packet_that_a_client_cannot_read(site: Site) -> None:
    """The client ends the connection, for the reason `parse error`, and may come back."""
    io = Server()
    gone = reasons(io)
    page = await site.page(io)
    await page.run("page.socket = await connect(); page.gone = once(page.socket, 'disconnect')")
    [socket] = io.sockets.sockets.values()
    socket.conn.send("not a packet")
    assert await page.run("return (await page.gone)[0]") == "parse error"
    assert await gone.next() == ("transport close",)


async def test_a_client_that_does_not_answer_pings(site: Site) -> None:
    io = Server(ping_interval=0.05, ping_timeout=0.05)
    gone = reasons(io)
    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        const { engine } = socket.io;
        engine.clearTimeoutFn(engine._pingTimeoutTimer); // it would notice the silence, too
        engine.transport.ws.onmessage = () => {};
    """)
    assert await gone.next() == ("ping timeout",)


@BOTH
async def test_closing_the_server(site: Site, transport: str) -> None:
    """Every socket hears of it, the port is free again, and closing twice is no error."""
    io = Server()
    gone = reasons(io)
    url = await site.serve(io)
    page = site.page_at(url)
    await page.run(
        """
        page.sockets = [];
        for (let i = 0; i < 3; i++) {
          page.sockets.push(await connect("/", { transports: [transport] }));
        }
        page.ended = Promise.all(page.sockets.map((socket) => once(socket, "disconnect")));
        """,
        transport=transport,
    )
    port = io.port
    await io.close()
    assert gone.all == [("server shutting down",)] * 3
    ended = await page.run("return (await page.ended).map(([reason]) => reason)")
    assert set(ended) <= {"transport close", "transport error"}
    assert io.engine.clients_count == 0
    await io.close()
    other = Server()
    await other.listen(port=port)
    assert await page.run("return (await connect()).connected")
    await other.close()
    await io.listen(port=port)
    assert await page.run("return (await connect()).connected")


async def test_draining(site: Site) -> None:
    """Newcomers are refused, the disconnections are spread, handlers may finish."""
    io = Server()
    gone = reasons(io)
    finished = Calls()

    @io.event
    async def work(_: Socket) -> None:
        await asyncio.sleep(0.05)
        finished()

    page = await site.page(io)
    await page.run("""
        for (let i = 0; i < 10; i++) {
          const socket = await connect();
          if (i === 0) socket.emit("work");
        }
    """)
    closing = asyncio.create_task(io.close(drain=1.5))
    await gone.next()
    refused = await page.run("""
        const [error] = await once(open("/", { transports: ["polling"] }), "connect_error");
        const [other] = await once(open(), "connect_error");
        return [error.description, other.message];
    """)
    assert refused == [503, "websocket error"]
    assert 0 < len(gone.all) < 10
    await closing
    assert gone.all == [("server shutting down",)] * 10
    assert finished.all == [()]


async def test_nothing_is_left(site: Site) -> None:
    """No task, thread, timer or socket, whatever was going on."""
    before = asyncio.all_tasks()
    threads = threading.active_count()
    io = Server(cleanup_empty_child_namespaces=True, connection_state_recovery=True)

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        socket.spawn(asyncio.sleep(60))
        socket.timeout(60).emit("never answered", ack=Calls())

        @socket.on("wait", concurrent=True)
        async def wait() -> None:
            await asyncio.sleep(0.05)

    page = await site.page(io)
    await page.run("""
        for (const transports of [["websocket"], ["polling"], ["polling", "websocket"]]) {
          const socket = await connect("/", { transports });
          socket.emit("wait");
        }
        open("/nowhere", { transports: ["polling"] });
    """)
    threads = max(threads, threading.active_count())
    await io.close()
    assert asyncio.all_tasks() <= before | {asyncio.current_task()}
    assert threading.active_count() <= threads
    assert not io.sockets.sockets
    assert not io.sockets.adapter.rooms()
    assert io.port is None
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert [timer for timer in timers if "telex" in repr(timer)] == []


async def test_the_lifespan_of_fastapi(site: Site) -> None:
    """`FastAPI(lifespan=io.lifespan)`, alone and composed with one's own."""
    io = Server()
    gone = reasons(io)
    order: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
        async with io.lifespan(app):
            order.append("started")
            yield
            order.append("stopping")
        order.append("stopped")

    api = FastAPI(lifespan=lifespan)

    @api.get("/hello")
    def hello() -> dict[str, int]:
        return {"clients": io.engine.clients_count}

    api.mount("/", io)
    listening = await listen(api, host="127.0.0.1", port=0)
    page = site.page_at(f"http://127.0.0.1:{listening.port}")
    assert (
        await page.run("""
        page.socket = await connect();
        return (await request("/hello")).text;
    """)
        == '{"clients":1}'
    )
    await listening.stop()
    assert gone.all == [("server shutting down",)]
    assert order == ["started", "stopping", "stopped"]
