"""What a message leaves behind, and what it needs while it passes: counted, not timed.

Servers without network, so that every object is telex's; the last test goes over a real socket.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import msgspec
import pytest

from benchmarks.micro.world import World
from telex import Server, Socket
from telex.wire import EncodedPacket

TIMES = 500
ROUNDS = 3
"""A connection's beginning leaves what goes later, and other threads of the process leave what is
theirs; what an event leaves, it leaves every time: the round that leaves least counts."""

SLACK = 50
"""Blocks that caches of the interpreter may take or give back, whatever was done how often."""

MOST_OBJECTS_OF_A_CLIENT = 25
MOST_BYTES_OF_A_CLIENT = 4096
MOST_BYTES_OF_AN_EVENT = 8192
MOST_BYTES_OF_A_RECIPIENT = 400


class Order(msgspec.Struct):
    """A typed argument."""

    number: int
    name: str


@pytest.fixture(autouse=True)
def collected_by_hand() -> Iterator[None]:
    """Cycles stay until a test looks for them."""
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.fixture
def world() -> World:
    made = World()

    @made.root.event
    def untyped(socket: Socket, value: Any) -> Any:
        return value

    @made.root.event
    def typed(socket: Socket, order: Order) -> Order:
        return order

    @made.root.event
    def binary(socket: Socket, blob: bytes) -> bytes:
        return blob

    @made.root.event
    def room(socket: Socket, name: str) -> None:
        socket.join(name)
        socket.to(name).emit("news", name)
        socket.leave(name)

    return made


EVENTS: dict[str, list[str | bytes]] = {
    "plain": ['42["untyped",{"number":1,"name":"a"}]'],
    "acknowledged": ['427["untyped",{"number":1,"name":"a"}]'],
    "typed": ['427["typed",{"number":1,"name":"a"}]'],
    "binary": ['451-7["binary",{"_placeholder":true,"num":0}]', bytes(1000)],
    "room": ['42["room","r"]'],
    "unknown": ['427["unknown",1]'],
    "heartbeat": ["3"],
}


@pytest.fixture(autouse=True)
def _what_is_there_stays() -> Iterator[None]:
    """Only what a test makes is collected: the rest of the process is large."""
    gc.freeze()
    yield
    gc.unfreeze()


class Residue:
    """What is left of work that was done many times."""

    def __init__(self, work: Callable[[], object]) -> None:
        for _ in range(SLACK):
            work()
        cycles: list[int] = []
        left: list[int] = []
        for _ in range(ROUNDS):
            gc.collect()
            blocks = sys.getallocatedblocks()
            for _ in range(TIMES):
                work()
            cycles.append(gc.collect())
            left.append(sys.getallocatedblocks() - blocks)
        self.cycles = min(cycles)
        self.blocks = min(left, key=abs)


def peak(work: Callable[[], object]) -> int:
    """The bytes that work needs at once, beside what was there before."""
    for _ in range(3):
        work()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        tracemalloc.reset_peak()
        work()
        return tracemalloc.get_traced_memory()[1] - before
    finally:
        tracemalloc.stop()


class TestAnEvent:
    @pytest.fixture(params=EVENTS)
    def event(self, request: pytest.FixtureRequest, world: World) -> Callable[[], object]:
        """One event, from its arrival to the frames of what it has caused."""
        clients = [world.client(["r"]), world.client(["r"])]
        messages = EVENTS[request.param]

        def event() -> None:
            for message in messages:
                clients[0].receive(message)
            world.flush()

        return event

    def test_leaves_nothing_behind(self, event: Callable[[], object]) -> None:
        residue = Residue(event)
        assert residue.cycles == 0, "the garbage collector has to clear up"
        assert abs(residue.blocks) <= SLACK

    def test_needs_little_while_it_passes(self, event: Callable[[], object]) -> None:
        assert peak(event) <= MOST_BYTES_OF_AN_EVENT

    async def test_of_an_async_handler_leaves_nothing_behind(self, world: World) -> None:
        loop = asyncio.get_running_loop()
        loop.set_debug(False)  # it would keep where every task was made
        world.core.runtime.bind(loop)

        @world.root.event
        async def later(socket: Socket, value: Any) -> Any:
            await asyncio.sleep(0)
            return value

        client = world.client()

        async def some(count: int) -> None:
            for _ in range(count):
                client.receive('427["later",1]')
                while world.core.runtime.tasks:
                    await asyncio.sleep(0)
                world.flush()

        await some(SLACK)
        left: list[int] = []
        for _ in range(ROUNDS):
            gc.collect()
            blocks = sys.getallocatedblocks()
            await some(TIMES)
            assert gc.collect() == 0
            left.append(sys.getallocatedblocks() - blocks)
        assert min(map(abs, left)) <= SLACK, left


class TestABroadcast:
    @pytest.mark.parametrize("target", ["everybody", "room", "except"])
    def test_leaves_nothing_behind(self, world: World, target: str) -> None:
        for number in range(20):
            world.client(["even"] if number % 2 == 0 else [])
        operator: Any = {
            "everybody": world.root,
            "room": world.root.to("even"),
            "except": world.root.except_("even"),
        }[target]

        def broadcast() -> None:
            operator.emit("news", {"number": 1})
            world.flush()

        residue = Residue(broadcast)
        assert residue.cycles == 0
        assert abs(residue.blocks) <= SLACK

    def test_shares_its_payload_among_the_recipients(self, world: World) -> None:
        payload = "x" * 20_000
        needs: list[int] = []
        for _ in range(2):
            for _ in range(100):
                world.client()

            def broadcast() -> None:
                world.root.emit("news", payload)
                world.flush()

            needs.append(peak(broadcast))
        few, many = needs
        assert (many - few) / 100 <= MOST_BYTES_OF_A_RECIPIENT


class TestAClient:
    def test_takes_few_objects_and_bytes(self, world: World) -> None:
        world.client().end("transport close")  # loads what is loaded on first use
        kept = [world.client() for _ in range(10)]
        gc.collect()
        tracemalloc.start()
        objects, (size, _) = len(gc.get_objects()), tracemalloc.get_traced_memory()
        kept += [world.client() for _ in range(100)]
        gc.collect()
        objects, size = (
            len(gc.get_objects()) - objects,
            tracemalloc.get_traced_memory()[0] - size,
        )
        tracemalloc.stop()
        assert len(kept) == 110
        assert objects / 100 <= MOST_OBJECTS_OF_A_CLIENT
        assert size / 100 <= MOST_BYTES_OF_A_CLIENT

    @pytest.mark.parametrize("rooms", [[], ["a", "b"]])
    def test_leaves_nothing_behind_when_it_goes(self, world: World, rooms: list[str]) -> None:
        def visit() -> None:
            world.client(rooms).end("transport close")

        assert abs(Residue(visit).blocks) <= SLACK
        assert not world.root.sockets
        assert not world.core.engine.sessions


@pytest.fixture
async def io() -> AsyncIterator[Server]:
    io = Server()

    @io.event
    def echo(socket: Socket, value: Any) -> Any:
        return value

    @io.event
    def order(socket: Socket, order: Order) -> Order:
        return order

    @io.event
    def several(socket: Socket) -> tuple[int, ...]:
        return 1, 2

    @io.event
    def fail(socket: Socket) -> None:
        raise ValueError("private")

    @io.event
    async def later(socket: Socket, value: Any) -> Any:
        await asyncio.sleep(0)
        return value

    @io.event
    async def fail_later(socket: Socket) -> None:
        raise ValueError("private")

    @io.event
    def say(socket: Socket, value: Any) -> None:
        socket.emit("said", value)

    @io.event
    def large(socket: Socket) -> str:
        return "x" * 100_000

    @io.event
    def beyond(socket: Socket) -> Any:
        return {"key": [2**70]}

    @io.of("/chat").event("echo")
    def echo_there(socket: Socket, value: Any) -> Any:
        return value

    await io.listen(port=0)
    yield io
    await io.close()


LONG_ORDER = '{"number":1,"name":"' + "n" * 200 + '"}'
FAILED = '{"error":{"type":"HandlerError","message":"the handler failed"}}'
OVER_A_SOCKET = {
    '427["echo",1]': ["437[1]"],
    '42["echo",1]': [],
    '4271234567890["echo","é"]': ['4371234567890["é"]'],
    '42/chat,7["echo",1]': ["43/chat,7[1]"],
    '427["order",{"number":1,"name":"a"}]': ['437[{"number":1,"name":"a"}]'],
    f'427["order",{LONG_ORDER}]': [f"437[{LONG_ORDER}]"],
    '427["order",{"number":"1","name":"a"}]': [
        (
            '437[{"error":{"type":"ValidationError",'
            '"message":"order.number: Expected `int`, got `str`"}}]'
        )
    ],
    '427["several"]': ["437[1,2]"],
    '427["fail"]': [f"437[{FAILED}]"],
    '427["later",1]': ["437[1]"],
    '427["fail_later"]': [f"437[{FAILED}]"],
    '427["say",1]': ['42["said",1]', "437[]"],
    '427["large"]': ['437["' + "x" * 100_000 + '"]'],
    '427["beyond"]': ['437[{"key":[1180591620717411303424]}]'],
    '427["unknown"]': [],
    '427["echo","\\ud800"]': ['437["\\ud800"]'],
    "43123[1]": [],
    "3": [],
}


@pytest.mark.parametrize("event", OVER_A_SOCKET)
async def test_events_over_a_socket_leave_nothing_behind(
    io: Server, event: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("telex"), "disabled", True)  # records would be kept
    asyncio.get_running_loop().set_debug(False)  # it would keep where every task was made
    reader, writer = await asyncio.open_connection("127.0.0.1", io.port)
    writer.write(
        b"GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\n"
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    await reader.readuntil(b"\r\n\r\n")
    await reader.readuntil(b"}")
    for joining in (b"40", b"40/chat,"):
        await _say(writer, joining)
        await reader.readuntil(b"}")
    end = b"\x81\x06430[0]"  # the answer to what is asked last
    answers = b"".join(EncodedPacket(text.encode()).frames() for text in OVER_A_SOCKET[event])

    async def some(count: int) -> None:
        for _ in range(count):
            await _say(writer, event.encode())
            assert await reader.readexactly(len(answers)) == answers
        await _say(writer, b'420["echo",0]')
        assert await reader.readexactly(len(end)) == end

    left: list[int] = []
    for _ in range(ROUNDS):
        gc.collect()
        blocks = sys.getallocatedblocks()
        await some(TIMES)
        gc.collect()
        left.append(sys.getallocatedblocks() - blocks)
    writer.close()
    await writer.wait_closed()
    assert min(map(abs, left)) <= SLACK, left


async def _say(writer: asyncio.StreamWriter, text: bytes) -> None:
    """One text frame of a client; the mask is zero."""
    size = len(text)
    head = bytes((0x81, 0x80 | size)) if size < 126 else b"\x81\xfe" + size.to_bytes(2, "big")
    writer.write(head + bytes(4) + text)
    await writer.drain()
