"""One client that sends more than anybody can want: it costs little, and others are served."""

from __future__ import annotations

import asyncio
import gc
import re
import threading
import time
import weakref
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from telex import Ack, Disconnected, Server, Socket
from telex.events import inbox
from telex.server import connection
from telex.server.legacy import LegacyConnection
from tests.rules.clients import PollingClient, WebSocketClient
from tests.support.raw import TEXT, frame

T = TypeVar("T")


async def listening(io: Server) -> int:
    await io.listen(port=0)
    assert io.port is not None
    return io.port


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(function, *args)


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def joined(port: int, **options: Any) -> WebSocketClient:
    client = WebSocketClient(port, **options)
    client.connect()
    return client


def alive(kind: type) -> int:
    """How many objects of a class there are."""
    return sum(type(item) is kind for item in gc.get_objects())


@pytest.mark.parametrize("kind", ["plain", "async", "none"])
async def test_ack_ids_without_end(kind: str) -> None:
    """V-14: what a handler does not answer is not remembered."""
    io = Server()

    @io.event("plain")
    def plain(_: Socket, number: int, ack: Ack) -> None:
        return None

    @io.event("async")
    async def later(_: Socket, number: int, ack: Ack) -> None:
        await asyncio.sleep(0)

    @io.event
    def last(_: Socket) -> str:
        return "seen"

    def flood(client: WebSocketClient, first: int, count: int) -> None:
        numbers = range(first, first + count)
        client.send(*(f'42{number}["{kind}",{number}]' for number in numbers), '420["last"]')
        assert client.text() == '430["seen"]'

    port = await listening(io)
    client = await in_thread(joined, port)
    await in_thread(flood, client, 1, 500)
    gc.collect()
    before = len(gc.get_objects())
    await in_thread(flood, client, 1000, 10_000)
    gc.collect()
    assert alive(Ack) == 0
    assert len(gc.get_objects()) - before < 1000
    client.websocket.connection.close()
    await io.close()


@pytest.mark.parametrize("transport", ["websocket", "polling"])
async def test_others_are_served_meanwhile(transport: str) -> None:
    """V-62: what one client has sent at once is not handled at once."""
    io = Server()
    noise = 0
    heard: list[int] = []

    @io.event
    def make_noise(_: Socket) -> None:
        nonlocal noise
        noise += 1

    @io.event
    def echo(socket: Socket, value: str) -> None:
        heard.append(noise)
        socket.emit("echo", value)

    port = await listening(io)
    total = 400_000 if transport == "websocket" else 50_000  # a tenth of a second at least
    honest = await in_thread(joined, port)

    def flood() -> None:
        if transport == "websocket":
            with joined(port) as client:
                client.websocket.send(frame(TEXT, '42["make_noise"]') * total)
                client.send('42["echo","still here"]')
                assert client.text() == '42["echo","still here"]'
        else:
            with PollingClient(port) as client:
                client.connect()
                client.say(*['42["make_noise"]'] * total)

    flooding = asyncio.create_task(in_thread(flood))
    await until(lambda: noise)
    while noise < total:
        assert await in_thread(honest.echoes)
    await flooding
    assert any(0 < number < total for number in heard)
    honest.websocket.connection.close()
    await io.close()


async def test_waiting_events_of_a_client_that_owes_an_answer(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """It is read on, because the answer may come behind them; past the hard limit it is not."""
    io = Server()
    reasons: list[str] = []
    outcome: list[str] = []
    handled: list[int] = []

    @io.event
    async def ask(socket: Socket) -> None:
        try:
            await socket.emit_with_ack("question")
        except Disconnected as error:
            outcome.append(str(error))

    @io.event
    def piece(_: Socket, number: int, text: str) -> None:
        handled.append(number)

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        reasons.append(reason)

    port = await listening(io)
    client = await in_thread(joined, port)
    [socket] = io.sockets.sockets.values()
    events = socket.dispatch
    text = "x" * 50_000
    await in_thread(client.send, '42["ask"]')
    assert (await in_thread(client.text)).endswith('["question"]')
    sent = most = 0
    while not reasons:
        assert sent * len(text) < 4 * inbox.HARD_LIMIT, "it is never disconnected"
        if socket.connected and events.load[1] > 2 * inbox.WAITING_LIMIT:
            assert not socket.conn.session.paused
        most = max(most, events.load[1])
        await in_thread(client.send, f'42["piece",{sent},"{text}"]')
        sent += 1
    assert inbox.HARD_LIMIT - 2 * len(text) < most <= inbox.HARD_LIMIT + 2 * len(text)
    assert reasons == ["forced close"]
    assert outcome == ["the other side has disconnected: forced close"]
    assert handled == list(range(len(handled))), "what had come before is handled in order"
    assert events.load[1] == 0
    assert caplog.text.count("too many events") == 1
    assert await in_thread(client.websocket.close_code) == 1000
    client.websocket.connection.close()
    await io.close()


@pytest.mark.parametrize("flood", ["3", '42["event"]', '427["event"]'])
async def test_pings_come_during_a_flood(flood: str) -> None:
    """V-23: neither later, because something comes all the time, nor more often."""
    interval = 0.2
    io = Server(ping_interval=interval)

    @io.event
    def event(_: Socket) -> None:
        return None

    def attack(port: int) -> None:
        begin = time.monotonic()  # before the first ping begins to be due
        with joined(port) as client:
            over = threading.Event()

            def send() -> None:
                while not over.wait(0.001):
                    client.websocket.send(frame(TEXT, flood) * 20)

            sending = threading.Thread(target=send)
            sending.start()
            pings = 0
            try:
                while pings < 5:
                    if client.text() == "2":
                        pings += 1
                        client.send("3")
            finally:
                over.set()
                sending.join()
            assert pings <= (time.monotonic() - begin) / interval

    port = await listening(io)
    await in_thread(attack, port)
    await io.close()


@pytest.mark.parametrize("kind", ["static", "regular expression", "async function"])
async def test_namespaces_of_one_connection(kind: str) -> None:
    """V-52: one connection joins 100 at most; whoever asks for more loses it."""
    io = Server(cleanup_empty_child_namespaces=True)
    gone: list[str] = []

    def note(_: Socket, reason: str) -> None:
        gone.append(reason)

    if kind == "static":
        for number in range(connection.MAX_NAMESPACES + 10):
            io.of(f"/x{number}").event("disconnect")(note)
    else:

        async def matches(name: str, auth: object) -> bool:
            await asyncio.sleep(0)
            return name.startswith("/x")

        parent = io.of(re.compile("^/x") if kind == "regular expression" else matches)
        parent.event("disconnect")(note)
    before = len(io._core.namespaces)

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            for number in range(connection.MAX_NAMESPACES):
                client.connect(f"/x{number}")
            client.send("41/x0,")
            client.connect("/x0")
            client.send(f"40/x{connection.MAX_NAMESPACES},")
            assert client.websocket.close_code() == 1000
        with WebSocketClient(port) as client:
            client.send(*(f"40/x{number}," for number in range(connection.MAX_NAMESPACES + 1)))
            with pytest.raises(AssertionError, match=r"instead of a message|connection ended"):
                while True:
                    client.text()

    port = await listening(io)
    await in_thread(attack, port)
    await until(lambda: not io.engine.clients_count)
    await until(lambda: len(io._core.namespaces) == before)
    assert set(gone) == {"client namespace disconnect", "forced server close"}
    await io.close()


async def test_namespaces_of_an_old_client() -> None:
    """Those that wait for the main namespace to let it in are bounded, too."""
    io = Server(allow_eio3=True)
    let_in = asyncio.Event()
    count = connection.MAX_NAMESPACES + 50
    for number in range(count):
        io.of(f"/x{number}")

    @io.use
    async def slow(_: Socket) -> None:
        await let_in.wait()

    port = await listening(io)
    client = await in_thread(lambda: WebSocketClient(port, 3))
    await in_thread(client.send, *(f"40/x{number}," for number in range(count)))
    [link] = io._core._connections.values()
    assert isinstance(link, LegacyConnection)
    await until(lambda: len(link._waiting or ()) == connection.MAX_NAMESPACES)
    asyncio.get_running_loop().call_soon(let_in.set)
    await until(lambda: not io.engine.clients_count)
    client.websocket.connection.close()
    await io.close()


async def never_answered(io: Server, clients: list[WebSocketClient]) -> list[weakref.ref[Socket]]:
    """Ask clients that do not answer: in time first, then until they leave; their sockets."""
    sockets = list(io.sockets.sockets.values())
    outcomes: list[Any] = []

    def settled(*outcome: Any) -> None:
        outcomes.append(outcome)

    for _ in range(20):
        for socket in sockets:
            socket.timeout(0.05).emit("question", ack=settled)
        io.timeout(0.05).emit("question", ack=settled)
    await until(lambda: len(outcomes) == 20 * (len(clients) + 1))
    assert not any(socket._acks for socket in sockets)

    asking = [
        asyncio.create_task(socket.emit_with_ack("question", timeout=limit))
        for socket in sockets
        for limit in (None, None, 1000)
    ]
    for socket in sockets:
        socket.emit("question", ack=settled)
    await asyncio.sleep(0)
    assert all(len(socket._acks or ()) == 4 for socket in sockets)
    for client in clients:
        client.websocket.connection.close()
    for task in asking:
        with pytest.raises(Disconnected):
            await task
    await until(lambda: not io.engine.clients_count)
    assert not any(socket._acks for socket in sockets)
    return [weakref.ref(socket) for socket in sockets]


async def test_clients_that_never_answer(caplog: pytest.LogCaptureFixture) -> None:
    """V-13: nothing is kept of what was expected from them, whether they stay or leave."""
    io = Server()
    port = await listening(io)
    sockets = await never_answered(io, [await in_thread(joined, port) for _ in range(20)])
    loop: Any = asyncio.get_running_loop()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]
    assert not [timer for timer in timers if "telex.server" in repr(timer)]

    def collected() -> bool:
        gc.collect()
        return not any(socket() for socket in sockets)

    await until(collected)
    await io.close()
    assert not [record for record in caplog.records if record.name == "telex"]
