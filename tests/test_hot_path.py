"""What a message costs, in calls: exact where timings on a shared machine are noise.

A real server, real connections, the fast WebSocket path; only functions of telex count.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
from collections.abc import AsyncIterator, Callable, Coroutine, Generator
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect

from telex import Ack, Server, Socket, native
from telex.events.dispatch import LONG
from tests.support.calls import EAGER, Calls, counted_calls

COMPILED = native.core is not None
MOST_CALLS_OF_AN_EVENT = 4 if COMPILED else 23  # checking an annotated argument takes four
MOST_CALLS_OF_A_COROUTINE = 7 if EAGER else 13
"""… more than the same event takes of a plain function."""
MOST_CALLS_OF_A_SUSPENSION = 15 if COMPILED else 9  # its answer is written in Python
"""… more than a coroutine that waits for nothing."""
MOST_CALLS_OF_AN_UNUSUAL_EVENT = 22 if COMPILED else 35
MOST_CALLS_OF_A_RECIPIENT = 0 if COMPILED else 6
MOST_CALLS_OF_A_POLL_AND_A_POST = 45 if COMPILED else 56
ATTEMPTS = 3
"""Writes are counted so often: on a busy machine the kernel may repeat a segment."""
MOST_CALLS_OF_A_HANDSHAKE = 90
MOST_CALLS_OF_A_CONNECT = 45
MOST_CALLS_OF_A_FAREWELL = 40

LONG_TEXT = "x" * LONG

Reply = Callable[[str], bool]


class Order(msgspec.Struct):
    """A typed argument."""

    number: int
    note: str = ""


class Dated(msgspec.Struct):
    """An answer that is more than plain values."""

    at: datetime


class Awaitable(msgspec.Struct):
    """A struct that is no answer, but the way to one."""

    number: int

    def __await__(self) -> Generator[None, None, int]:
        yield
        return self.number


def add_typed_handlers(server: Server) -> None:
    """Handlers that take an order."""

    @server.event
    def order(socket: Socket, order: Order) -> Order:
        return Order(order.number, "" if len(order.note) < LONG else order.note)

    @server.event
    def big(socket: Socket, order: Order) -> Order:
        return Order(2**70)

    @server.event
    def moment(socket: Socket, order: Order) -> Dated:
        return Dated(datetime.fromtimestamp(order.number, UTC))

    @server.event
    def awaitable(socket: Socket, order: Order) -> Awaitable:
        return Awaitable(order.number)

    @server.event
    def fails(socket: Socket, order: Order) -> None:
        raise RuntimeError("no")


@pytest.fixture
async def io() -> AsyncIterator[Server]:
    server = Server()
    add_typed_handlers(server)

    @server.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("plain")
        def plain(number: int) -> str:
            return f"got {number}"

        @socket.on("async")
        async def later(number: int) -> str:
            await asyncio.sleep(0)
            return f"got {number}"

        @socket.on("at once")
        async def at_once(number: int) -> str:
            return f"got {number}"

        @socket.on("untyped")
        def untyped(number: Any) -> Any:
            return number

        @socket.on("twice")
        def first(number: Any) -> str:
            return f"got {number}"

        @socket.on("twice")
        def second(number: Any) -> None:
            """Has nothing to say."""

        @socket.on("acked")
        def acked(number: Any, ack: Ack) -> None:
            ack(f"got {number}")

        @socket.on("guarded")
        def guard(number: Any) -> str:
            @socket.use
            async def allow(event: str, args: list[Any]) -> None:
                """Whatever it is."""

            return f"got {number}"

        @socket.on("join")
        def join(room: str) -> None:
            socket.join(room)

    @server.event
    def shared(socket: Socket, number: int) -> str:
        return f"got {number}"

    await server.listen(port=0)
    yield server
    await server.close()


class Clients:
    """Socket.IO clients over WebSocket, as short as can be."""

    def __init__(self, port: int | None, stack: AsyncExitStack) -> None:
        self._uri = f"ws://127.0.0.1:{port}/socket.io/?EIO=4&transport=websocket"
        self._stack = stack
        self.all: list[ClientConnection] = []

    async def add(self, count: int) -> None:
        """Connect so many more to the namespace `/`."""
        for _ in range(count):
            opening = connect(self._uri, compression=None, ping_interval=None)
            client = await self._stack.enter_async_context(opening)
            assert str(await client.recv()).startswith("0{")
            await client.send("40")
            assert str(await client.recv()).startswith("40{")
            self.all.append(client)

    async def ask(self, question: str, answer: str) -> Calls:
        """Let one client ask, and count until it has its answer."""
        client = self.all[0]
        with counted_calls() as calls:
            await client.send(question)
            received = await client.recv()
        assert received == answer
        return calls

    async def hear(self, message: str, emit: Callable[[], object]) -> Calls:
        """Count from an emit until every client has the message."""
        with counted_calls() as calls:
            emit()
            received = await asyncio.gather(*[client.recv() for client in self.all])
        assert received == [message] * len(self.all)
        return calls


@pytest.fixture
async def clients(io: Server) -> AsyncIterator[Clients]:
    async with AsyncExitStack() as stack:
        yield Clients(io.port, stack)


class TestOneEvent:
    @pytest.mark.parametrize("event", ["plain", "shared", "untyped"])
    async def test_with_acknowledgement(self, clients: Clients, event: str) -> None:
        await clients.add(1)
        value = "1" if event == "untyped" else '"got 1"'
        answer = f"437[{value}]"
        await clients.ask(f'427["{event}",1]', answer)  # nothing is new the second time
        calls = await clients.ask(f'427["{event}",1]', answer)
        assert not any("asgi" in name for name in calls.names), "not the fast path"
        assert len(calls) <= MOST_CALLS_OF_AN_EVENT, calls
        assert calls.tasks == [], calls

    async def test_of_a_typed_handler(self, clients: Clients) -> None:
        await clients.add(1)
        question = f'427["order",{{"number":1,"note":"{LONG_TEXT}"}}]'
        answer = f'437[{{"number":1,"note":"{LONG_TEXT}"}}]'
        await clients.ask(question, answer)
        calls = await clients.ask(question, answer)
        assert not any("fit" in name or "loads" in name for name in calls.names), calls
        assert len(calls) <= MOST_CALLS_OF_AN_EVENT + 2, calls  # taking the answer apart

    @pytest.mark.parametrize(
        ("question", "answer"),
        [
            (f'["order",{{"number":"1","note":"{LONG_TEXT}"}}]', "ValidationError"),
            (f'["order",{{"note":"{LONG_TEXT}"}}]', "ValidationError"),
            (f'["order",{{"number":1}},"{LONG_TEXT}"]', '[{"number":1,"note":""}]'),
            (f'[ "order",{{"number":2,"more":"{LONG_TEXT}"}}]', '[{"number":2,"note":""}]'),
            (f'["\\u006frder",{{"number":2,"x":"{LONG_TEXT}"}}]', '[{"number":2,"note":""}]'),
            (f'["order",{{"number":3,"x":["\\ud800","{LONG_TEXT}"]}}]', '[{"number":3,"note":""}]'),
            (f'["order",{{"number":4,"note":"\\ud800","x":"{LONG_TEXT}"}}]', "[]"),
            (f'["big",{{"number":5,"note":"{LONG_TEXT}"}}]', f'[{{"number":{2**70},"note":""}}]'),
            (f'["moment",{{"number":6,"note":"{LONG_TEXT}"}}]', "1970-01-01T00:00:06.000Z"),
            (f'["awaitable",{{"number":7,"note":"{LONG_TEXT}"}}]', "[7]"),
            (f'["fails",{{"number":8,"note":"{LONG_TEXT}"}}]', "HandlerError"),
        ],
    )
    async def test_of_a_typed_handler_that_is_unusual(
        self, clients: Clients, question: str, answer: str
    ) -> None:
        await clients.add(1)
        client = clients.all[0]
        await client.send(f"427{question}")
        received = str(await client.recv())
        assert received.startswith("437[")
        assert answer in received or answer == "[]"

    async def test_of_an_async_handler_takes_one_task(self, clients: Clients) -> None:
        await clients.add(1)
        costs: dict[str, Calls] = {}
        for _ in range(2):
            for event in ("plain", "at once", "async"):
                costs[event] = await clients.ask(f'427["{event}",1]', '437["got 1"]')
        plain, at_once, suspended = costs.values()
        assert len(at_once.tasks) == 1, at_once
        assert len(at_once.callbacks) == (0 if EAGER else 2), at_once
        assert len(at_once) - len(plain) <= MOST_CALLS_OF_A_COROUTINE, at_once
        assert len(suspended.tasks) <= 1, suspended
        assert len(suspended.callbacks) == (1 if EAGER else 2), suspended
        assert len(suspended) - len(at_once) <= MOST_CALLS_OF_A_SUSPENSION, suspended

    @pytest.mark.parametrize("event", ["twice", "acked", "guarded"])
    async def test_that_is_not_as_usual(self, clients: Clients, event: str) -> None:
        """It is decoded once, and takes one task at most."""
        await clients.add(1)
        answer = '437["got 1"]'
        for _ in range(2):
            await clients.ask(f'427["{event}",1]', answer)
        calls = await clients.ask(f'427["{event}",1]', answer)
        if COMPILED:
            assert not any("loads" in name or "Decoder" in name for name in calls.names), calls
        assert len(calls.tasks) <= 1, calls
        assert len(calls) <= MOST_CALLS_OF_AN_UNUSUAL_EVENT, calls

    async def test_many_events_of_one_read_leave_in_one_write(self, clients: Clients) -> None:
        await clients.add(1)
        client = clients.all[0]
        count = 20
        writes: list[int] = []
        for _ in range(ATTEMPTS):
            before = segments(client)
            async with asyncio.timeout(30):
                client.transport.writelines(
                    [_masked(f'42{number}["plain",{number}]') for number in range(count)]
                )
                for number in range(count):
                    assert await client.recv() == f'43{number}["got {number}"]'
            writes.append(segments(client) - before)
        assert min(writes) == 1, writes


class TestLongPolling:
    async def test_one_event_with_acknowledgement(self, io: Server) -> None:
        target = "/socket.io/?EIO=4&transport=polling"
        async with AsyncExitStack() as stack:
            polls, posts = [await _http(io.port, stack) for _ in range(2)]
            opened = await polls(f"GET {target}")
            target += f"&sid={json.loads(opened[1:])['sid']}"
            await posts(f"POST {target}", "40")
            await polls(f"GET {target}")
            for attempt in range(2):
                with counted_calls() as calls:
                    assert await posts(f"POST {target}", '427["untyped",1]') == "ok"
                    assert await polls(f"GET {target}") == "437[1]"
                if attempt:
                    assert len(calls) <= MOST_CALLS_OF_A_POLL_AND_A_POST, calls
                    assert calls.tasks == [], calls
                    assert "fronts/asgi/app.py:AsgiFront.__call__" not in calls.names, calls


class TestBroadcast:
    """The marginal costs of a recipient: half of the clients are taken off the other half."""

    @pytest.mark.parametrize("target", ["everybody", "room", "except"])
    async def test_one_recipient(self, io: Server, clients: Clients, target: str) -> None:
        operator = {
            "everybody": io.local,
            "room": io.to("room"),
            "except": io.to("room").except_("nobody"),
        }[target]
        costs: list[Calls] = []
        for _ in range(2):
            await clients.add(50)
            await self.join_all(io)
            costs.append(await clients.hear('42["news",1]', lambda: operator.emit("news", 1)))
        some, all_of_them = costs
        assert (len(all_of_them) - len(some)) / 50 <= MOST_CALLS_OF_A_RECIPIENT, all_of_them
        assert all_of_them.tasks == [], all_of_them

    @staticmethod
    async def join_all(io: Server) -> None:
        for member in io.sockets.sockets.values():
            await member.join("room")

    async def test_several_broadcasts_leave_in_one_write(
        self, io: Server, clients: Clients
    ) -> None:
        await clients.add(10)
        writes: list[int] = []
        for _ in range(ATTEMPTS):
            before = sum(map(segments, clients.all))
            for number in range(5):
                io.emit("news", number)
            for number in range(5):
                received = await asyncio.gather(*[client.recv() for client in clients.all])
                assert received == [f'42["news",{number}]'] * 10
            writes.append(sum(map(segments, clients.all)) - before)
        assert min(writes) == 10, writes


def segments(client: ClientConnection) -> int:
    """How many TCP segments with data a client has got: one for each write of the server."""
    tcp: socket.socket = client.transport.get_extra_info("socket")
    info = tcp.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 160)
    (received,) = struct.unpack_from("=I", info, 152)  # tcpi_data_segs_in
    return int(received)


async def _http(port: int | None, stack: AsyncExitStack) -> Callable[..., Coroutine[Any, Any, str]]:
    """A connection: takes the line and the body of a request, gives the body of the answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    stack.callback(writer.close)

    async def ask(line: str, body: str | None = None) -> str:
        length = "" if body is None else f"Content-Length: {len(body)}\r\n"
        writer.write(f"{line} HTTP/1.1\r\nHost: here\r\n{length}\r\n{body or ''}".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 200"), head
        size = int(head.partition("content-length: ")[2].partition("\r\n")[0])
        return (await reader.readexactly(size)).decode()

    return ask


def _masked(text: str) -> bytes:
    """A text frame of a client; the mask is zero."""
    data = text.encode()
    assert len(data) < 126
    return bytes((0x81, 0x80 | len(data), 0, 0, 0, 0)) + data


class TestOneClient:
    """A client that comes, joins and goes; it is a socket, so that nothing else runs."""

    async def test_few_calls(self) -> None:
        io = Server()
        await io.listen(port=0)
        assert io.port is not None
        kept = await open_client(io.port)  # loads what is loaded on first use
        again = await open_client(io.port)
        await say(again, b"\x81\x82\0\0\0\x0040", b'40{"sid"')
        with counted_calls() as calls:
            client = await open_client(io.port)
        assert any("take_synchronously" in name for name in calls.names), calls
        assert len(calls) <= MOST_CALLS_OF_A_HANDSHAKE, str(calls)
        assert calls.tasks == [], calls
        with counted_calls() as calls:
            await say(client, b"\x81\x82\0\0\0\x0040", b'40{"sid"')
        assert len(calls) <= MOST_CALLS_OF_A_CONNECT, calls
        assert calls.tasks == [], calls
        connected = io.sockets.sockets  # a property would count
        with counted_calls() as calls:
            client.close()
            while len(connected) == 2:
                await asyncio.sleep(0)
        assert len(calls) <= MOST_CALLS_OF_A_FAREWELL, str(calls)
        kept.close()
        again.close()
        await io.close()


async def open_client(port: int) -> socket.socket:
    """A WebSocket that has been told its session."""
    client = socket.socket()
    client.setblocking(False)
    await asyncio.get_running_loop().sock_connect(client, ("127.0.0.1", port))
    request = (
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: here\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n"
    )
    await say(client, request, b'0{"sid"')
    return client


async def say(client: socket.socket, what: bytes, answer: bytes) -> None:
    """Say something, and wait for the answer."""
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, what)
    received = b""
    async with asyncio.timeout(30):
        while answer not in received:
            received += await loop.sock_recv(client, 65536)
