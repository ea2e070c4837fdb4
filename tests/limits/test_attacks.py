"""Floods and traps by one client: counts, sizes and outcomes; honest clients are served after."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from typing import Any

import pytest

from telex import AckTimeout, Server, Socket
from telex.events import inbox
from tests.rules.clients import PollingClient, WebSocketClient
from tests.support.raw import BINARY, TEXT, frame


class House:
    """A server that echoes, and one honest client of it."""

    def __init__(self, **options: Any) -> None:
        self.io = Server(**options)
        self.gone: list[str] = []

        @self.io.event
        def echo(socket: Socket, *args: Any) -> None:
            socket.emit("echo", *args)

        @self.io.event
        def disconnect(_: Socket, reason: str) -> None:
            self.gone.append(reason)

    async def run(self, attack: Callable[[int], None]) -> None:
        """Let somebody attack; an honest client must be served before and after."""
        await self.io.listen(port=0)
        assert self.io.port is not None
        try:
            await asyncio.to_thread(self._visit, self.io.port, attack)
        finally:
            await self.io.close()

    def _visit(self, port: int, attack: Callable[[int], None]) -> None:
        with WebSocketClient(port) as honest:
            honest.connect()
            attack(port)
            assert honest.echoes()


async def test_giant_ack_id() -> None:
    """V-03: 16 digits at most."""
    house = House()

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            client.connect()
            client.send("42" + "2" * 999_990)
            assert client.websocket.close_code() == 1000

    await house.run(attack)
    assert house.gone[0] == "forced close"


async def test_pings_nobody_asked_for() -> None:
    """V-23: pongs set no timer and move none."""
    house = House()
    pending: list[int] = []

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            client.connect()
            schedule = house.io._core.engine.schedule
            pending.append(schedule.pending())
            for _ in range(20):
                client.websocket.send(frame(TEXT, "3") * 1000)
            assert client.echoes()
            pending.append(schedule.pending())

    await house.run(attack)
    assert pending[0] == pending[1]


async def test_answers_nobody_waits_for(caplog: pytest.LogCaptureFixture) -> None:
    """V-13: unknown ids are ignored without a word; a timeout forgets what was expected."""
    house = House()

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            client.connect()
            client.send(*(f"43{number}[1]" for number in range(10_000)))
            assert client.echoes()

    with caplog.at_level(logging.INFO, "telex"):
        await house.run(attack)
    assert not [record for record in caplog.records if record.name == "telex"]


async def test_only_the_one_who_was_asked_can_answer() -> None:
    """V-13: ids of others are foreign; after a timeout nothing is kept."""
    house = House()
    answers: list[Any] = []

    @house.io.event
    async def ask(socket: Socket) -> None:
        try:
            answers.append(await house.io.timeout(0.3).emit_with_ack("question"))
        except AckTimeout as error:
            answers.append(error.responses)

    def attack(port: int) -> None:
        with WebSocketClient(port) as asker, WebSocketClient(port) as other:
            asker.connect()
            asker.send('42["ask"]')
            question = asker.text()
            match = re.fullmatch(r'42(\d+)\["question"\]', question)
            assert match is not None, question
            other.connect()
            other.send(f'43{match[1]}["forged"]', f'43{match[1]}["again"]')
            assert other.echoes()
            asker.send(f'43{match[1]}["mine"]', f'43{match[1]}["twice"]', '42["echo",1]')
            assert asker.text() == '42["echo",1]'

    io = house.io
    await io.listen(port=0)
    assert io.port is not None
    await asyncio.to_thread(attack, io.port)
    await io.close()
    assert answers == [["mine"]]


async def test_namespaces_without_end() -> None:
    """V-52: names that nobody knows create nothing, and one connection joins 100 at most."""
    house = House()
    before = len(house.io._core.namespaces)

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            for number in range(2000):
                client.send(f"40/x{number},")
                expected = f'44/x{number},{{"message":"Invalid namespace"}}'
                assert client.text() == expected

    await house.run(attack)
    assert len(house.io._core.namespaces) == before


async def test_dynamic_namespaces_that_refuse() -> None:
    """V-52: whoever is refused leaves no namespace behind."""
    house = House()
    before = len(house.io._core.namespaces)

    @house.io.of(re.compile(r"^/x\d+$")).use
    def refuse(_: Socket) -> None:
        raise ValueError("nobody comes in")

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            for number in range(500):
                client.send(f"40/x{number},")
                assert client.text().startswith(f"44/x{number},")

    await house.run(attack)
    assert len(house.io._core.namespaces) == before


@pytest.mark.parametrize("second", ["40", '42["echo",1]'])
async def test_packets_before_the_middleware_has_answered(second: str) -> None:
    """V-53, V-63: a second CONNECT, or an event before the answer, ends the connection."""
    house = House()
    connections: list[Socket] = []
    house.io.on("connection", connections.append)

    @house.io.use
    async def slow(_: Socket) -> None:
        await asyncio.sleep(0.05)

    def attack(port: int) -> None:
        client = PollingClient(port)
        client.say("40", second)
        assert client.packets() == ["1"]
        assert client.gone()

    await house.run(attack)
    assert len(connections) == 1, "only the honest client's"


async def test_joining_after_leaving() -> None:
    """V-64: no room keeps somebody who has left."""
    house = House()
    go_on = asyncio.Event()
    joined: list[Socket] = []

    @house.io.event
    async def late(socket: Socket) -> None:
        await go_on.wait()
        socket.join("room")
        joined.append(socket)

    def attack(port: int) -> None:
        with WebSocketClient(port) as client:
            client.connect()
            client.send('42["late"]', "41")
        with WebSocketClient(port) as client:
            client.connect()
            assert client.echoes()

    loop = asyncio.get_running_loop()
    await house.io.listen(port=0)
    assert house.io.port is not None
    await asyncio.to_thread(attack, house.io.port)
    loop.call_soon(go_on.set)
    while not joined:
        await asyncio.sleep(0.01)
    assert "room" not in house.io.sockets.adapter.rooms()
    await house.io.close()


POISON = [
    "1e400",
    "18446744073709551616",
    "-9223372036854775809",
    '"\\ud800"',
    '"\\udc00\\ud800"',
    "[" * 5000 + "]" * 5000,
    '{"a":' * 20_000 + "1" + "}" * 20_000,
    "NaN",
]


async def test_values_that_poison_nobody() -> None:
    """V-09, S-41 to S-49: whatever one says in a room, the others hear the next one."""
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("room")

    @io.event
    def say(socket: Socket, *args: Any) -> None:
        io.to("room").emit("said", *args)

    def attack(port: int) -> None:
        polling = PollingClient(port)
        polling.connect()
        with WebSocketClient(port) as friend:
            friend.connect()
            for poison in POISON:
                with WebSocketClient(port) as attacker:
                    attacker.connect()
                    attacker.send(f'42["say",{poison}]')
                    attacker.send('42["say","more"]')
                    attacker.websocket.connection.half_close()
                    attacker.websocket.connection.read_to_end()
                friend.send('42["say","fine"]')
                heard = friend.text()
                while heard != '42["said","fine"]':
                    assert "Infinity" not in heard
                    assert "NaN" not in heard
                    heard = friend.text()
                packets: list[str] = []
                while '42["said","fine"]' not in packets:
                    packets += polling.packets()
                assert not any("Infinity" in packet for packet in packets)

    await io.listen(port=0)
    assert io.port is not None
    await asyncio.to_thread(attack, io.port)
    await io.close()


async def test_events_that_wait_for_a_slow_handler(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are bounded: reading pauses and goes on, in order; an answer is read meanwhile."""
    monkeypatch.setattr(inbox, "WAITING_LONG", 0.0)
    io = Server()
    go_on = asyncio.Event()
    seen: list[int] = []
    answers: list[Any] = []

    @io.event
    async def work(socket: Socket, number: int, _: str) -> None:
        if not seen:
            await go_on.wait()
            answers.append(await socket.emit_with_ack("question", timeout=10))
        seen.append(number)

    await io.listen(port=0)
    assert io.port is not None
    client = await asyncio.to_thread(WebSocketClient, io.port)
    await asyncio.to_thread(client.connect)
    [socket] = io.sockets.sockets.values()
    count = 120
    text = "x" * 20_000
    messages = [f'42["work",{number},"{text}"]' for number in range(count)]
    sending = asyncio.create_task(asyncio.to_thread(client.send, *messages))
    session: Any = socket.conn.session
    while not session.paused:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.1)
    waiting = socket.dispatch.load[1]
    assert inbox.WAITING_LIMIT < waiting < inbox.HARD_LIMIT
    go_on.set()
    question = await asyncio.to_thread(client.text)
    await asyncio.to_thread(client.send, f'43{question[2]}["answer"]')
    await sending
    while len(seen) < count:
        await asyncio.sleep(0.01)
    assert seen == list(range(count))
    assert answers == ["answer"]
    assert not session.paused
    assert any("wait for the handler of 'work'" in r.getMessage() for r in caplog.records)
    client.websocket.connection.close()
    await io.close()


async def test_attachments_that_never_come() -> None:
    """V-07: what has come for a packet is bounded, and so is the wait for the rest."""
    house = House(max_http_buffer_size=100_000)
    io = house.io
    await io.listen(port=0)
    assert io.port is not None

    def begin(port: int, size: int, count: int) -> WebSocketClient:
        client = WebSocketClient(port)
        client.connect()
        client.send('4510-["x",{"_placeholder":true,"num":0}]')
        client.websocket.send(*(frame(BINARY, b"x" * size) for _ in range(count)))
        return client

    greedy = await asyncio.to_thread(begin, io.port, 30_000, 5)
    assert await asyncio.to_thread(greedy.websocket.close_code) == 1000
    slow = await asyncio.to_thread(begin, io.port, 1, 9)
    while not len(io._core._attachment_deadlines):
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.05)
    schedule = io._core.engine.schedule
    io._core._attachment_deadlines.tick(schedule.clock() + 31)
    assert await asyncio.to_thread(slow.websocket.close_code) == 1000
    assert house.gone == ["forced close", "forced server close"]
    for client in (greedy, slow):
        client.websocket.connection.close()
    await io.close()
