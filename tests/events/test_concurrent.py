"""Concurrent handlers are bounded: their tasks are counted, and the client is read no further."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator

import pytest

from telex import Socket
from telex.events import inbox, runtime
from telex.events.concurrent import CONCURRENT_LIMIT
from tests.server.scenes import Scene, note, returns, settle

MANY = 3 * CONCURRENT_LIMIT


class Hall:
    """A server with one client, whose concurrent handlers wait for a gate."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.gate = asyncio.Event()
        self.log = self.scene.log
        self.running = 0
        self.most = 0
        self.scene.root.event("slow", concurrent=True)(self.slow)
        self.client, self.socket = self.scene.joined()

    async def slow(self, socket: Socket, number: int) -> int:
        self.running += 1
        self.most = max(self.most, self.running)
        try:
            await self.gate.wait()
        finally:
            self.running -= 1
        self.log.append(number)
        return number

    def say(self, count: int, first: int = 0) -> None:
        self.client.say(*[f'2{n}["slow",{n}]' for n in range(first, first + count)])

    def paused(self) -> bool:
        """Whether the client is not read at present."""
        return self.client.transport.paused


@pytest.fixture
async def hall() -> AsyncIterator[Hall]:
    hall = Hall()
    yield hall
    hall.gate.set()
    await settle()


class TestLimit:
    async def test_the_client_is_read_no_further(
        self, hall: Hall, caplog: pytest.LogCaptureFixture
    ) -> None:
        hall.say(CONCURRENT_LIMIT - 1)
        await settle()
        assert not hall.paused()
        hall.say(1, CONCURRENT_LIMIT - 1)
        await settle()
        assert hall.paused()
        assert hall.running == CONCURRENT_LIMIT
        (message,) = [each.getMessage() for each in caplog.records if each.name == "telex"]
        assert "read no further" in message

    async def test_what_has_come_already_waits_for_a_task(self, hall: Hall) -> None:
        hall.say(MANY)
        await settle()
        assert hall.most == CONCURRENT_LIMIT
        hall.gate.set()
        await settle()
        assert hall.most == CONCURRENT_LIMIT
        assert sorted(hall.log) == list(range(MANY))
        assert not hall.paused()
        assert len(hall.client.heard()) == MANY
        assert hall.scene.core.runtime.tasks == set()

    async def test_those_that_do_not_wait_are_not_counted(self, hall: Hall) -> None:
        hall.scene.root.event("quick", concurrent=True)(returns(1))
        for _ in range(MANY):
            hall.client.say('2["quick"]')
            await asyncio.sleep(0)
            assert not hall.paused()

    async def test_other_clients_are_not_concerned(self, hall: Hall) -> None:
        hall.say(MANY)
        other, _ = hall.scene.joined()
        other.say('27["slow",7]')
        await settle()
        assert hall.running == CONCURRENT_LIMIT + 1

    async def test_one_that_ends_makes_room_for_one(self, hall: Hall) -> None:
        gates = [asyncio.Event() for _ in range(MANY)]

        @hall.scene.root.event("own", concurrent=True)
        async def own(socket: Socket, number: int) -> None:
            hall.log.append(number)
            await gates[number].wait()

        hall.client.say(*[f'2["own",{n}]' for n in range(CONCURRENT_LIMIT + 2)])
        await settle()
        assert hall.log == list(range(CONCURRENT_LIMIT))
        gates[5].set()
        await settle()
        assert hall.log[-1] == CONCURRENT_LIMIT
        assert hall.paused()
        gates[CONCURRENT_LIMIT].set()
        gates[6].set()
        await settle()
        assert not hall.paused()
        for gate in gates:
            gate.set()
        await settle()

    async def test_events_in_turn_are_still_handled(self, hall: Hall) -> None:
        hall.scene.root.event("x")(note(hall.log, "x"))
        hall.say(MANY)
        hall.client.say('2["x"]')
        await settle()
        assert hall.log == ["x"]

    async def test_a_client_that_owes_an_answer_is_read_on(self, hall: Hall) -> None:
        hall.say(CONCURRENT_LIMIT)
        await settle()
        task = asyncio.ensure_future(hall.socket.emit_with_ack("question"))
        await settle()
        assert not hall.paused()
        hall.client.say('30["answer"]')
        assert await task == "answer"

    async def test_but_not_without_end(self, hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
        task = asyncio.ensure_future(hall.socket.emit_with_ack("question"))
        await settle()
        hall.say(CONCURRENT_LIMIT)
        text = '2["slow","' + "x" * 500_000 + '"]'
        with caplog.at_level(logging.CRITICAL, "telex"):
            sent = 0
            while hall.client.connected:
                hall.client.say(text)
                sent += 1
                assert sent * len(text) <= 5 * inbox.WAITING_LIMIT
        assert hall.client.reasons == ["forced close"]
        await asyncio.gather(task, return_exceptions=True)

    async def test_what_waits_is_handled_when_the_client_has_left(self, hall: Hall) -> None:
        hall.say(MANY)
        await settle()
        hall.client.session.transport_ended(hall.client.transport, "transport close")
        hall.gate.set()
        await settle()
        assert sorted(hall.log) == list(range(MANY))


class TestCancelled:
    async def test_a_task_makes_room_for_the_next(
        self, hall: Hall, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(runtime, "RESUME_AFTER", 0)
        hall.say(CONCURRENT_LIMIT + 1)
        await settle()
        next(iter(hall.scene.core.runtime.tasks)).cancel()
        await settle()
        assert hall.running == CONCURRENT_LIMIT
        assert hall.paused()
        hall.gate.set()
        await settle()
        assert len(hall.log) == CONCURRENT_LIMIT
        assert not hall.paused()


class TestFailures:
    """What answers failures runs beside the queue, too, and is as bounded."""

    async def test_of_exception_handlers(self, hall: Hall) -> None:
        @hall.scene.root.exception_handler(ValueError)
        async def explain(socket: Socket, error: BaseException) -> str:
            await hall.slow(socket, 0)
            return "explained"

        await self.flood(hall)
        assert len(hall.client.heard()) == MANY

    async def test_of_error_handlers(self, hall: Hall, caplog: pytest.LogCaptureFixture) -> None:
        @hall.scene.root.event
        async def error(socket: Socket, failure: BaseException) -> None:
            await hall.slow(socket, 0)

        with caplog.at_level(logging.CRITICAL, "telex"):
            await self.flood(hall)

    async def flood(self, hall: Hall) -> None:
        @hall.scene.root.event
        def fail(socket: Socket) -> None:
            raise ValueError("no")

        hall.client.say(*[f'2{number}["fail"]' for number in range(MANY)])
        await settle()
        assert hall.most == CONCURRENT_LIMIT
        assert hall.paused()
        hall.gate.set()
        await settle()
        assert len(hall.log) == MANY
        assert not hall.paused()
