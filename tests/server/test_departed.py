"""Joining and leaving in a loop is bounded: what goes on for sockets that have left is counted."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable

import pytest

from telex import Socket
from telex.events.concurrent import CONCURRENT_LIMIT
from telex.events.inbox import WAITING_LIMIT
from tests.server.scenes import Client, Scene, settle

MANY = 3 * CONCURRENT_LIMIT


class Gate:
    """What a middleware or a handler waits at; it counts those that wait."""

    def __init__(self) -> None:
        self.waiting = 0
        self.most = 0
        self._open = asyncio.Event()

    async def wait(self, *_: object) -> None:
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        try:
            await self._open.wait()
        finally:
            self.waiting -= 1

    def open(self) -> None:
        self._open.set()


@pytest.fixture
async def gate() -> AsyncIterator[Gate]:
    gate = Gate()
    yield gate
    gate.open()
    await settle()


async def churn(client: Client, times: int, *said: str) -> int:
    """Join, say something and leave again, as long as the client is read; how often it did."""
    for number in range(times):
        if client.transport.paused:
            return number
        client.say("0", *said, "1")
        await asyncio.sleep(0)
    return times


def middleware(scene: Scene, gate: Gate) -> None:
    scene.root.use(gate.wait)


def connection(scene: Scene, gate: Gate) -> None:
    scene.root.on("connection")(gate.wait)


def disconnect(scene: Scene, gate: Gate) -> None:
    @scene.root.on("connection")
    def connected(socket: Socket) -> None:
        socket.on("disconnect", gate.wait)


def event(scene: Scene, gate: Gate) -> None:
    @scene.root.event
    async def x(socket: Socket) -> None:
        await gate.wait()


def concurrent(scene: Scene, gate: Gate) -> None:
    @scene.root.event(concurrent=True)
    async def x(socket: Socket) -> None:
        await gate.wait()


def failing(scene: Scene, gate: Gate) -> None:
    @scene.root.event
    def x(socket: Socket) -> None:
        raise ValueError("no")

    @scene.root.exception_handler(ValueError)
    async def explain(socket: Socket, error: BaseException) -> None:
        await gate.wait()


@pytest.mark.parametrize(
    "register", [middleware, connection, disconnect, event, concurrent, failing]
)
async def test_the_client_is_read_no_further(
    register: Callable[[Scene, Gate], None], gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    register(scene, gate)
    client = scene.client()
    said = () if register in (middleware, connection, disconnect) else ('2["x"]',)
    assert await churn(client, MANY, *said) == CONCURRENT_LIMIT
    assert gate.most == CONCURRENT_LIMIT
    messages = [each.getMessage() for each in caplog.records if each.name == "telex"]
    assert [message for message in messages if "joins and leaves" in message] == messages[-1:]
    other = scene.client()
    assert not other.transport.paused

    gate.open()
    await settle()
    assert not client.transport.paused
    assert scene.core.runtime.tasks == set()
    assert client.connected
    client.say("0")
    await settle()
    assert str(client.heard()[-1]).startswith("0{")


async def test_what_ends_soon_is_not_held_against_it() -> None:
    scene = Scene()

    async def soon(socket: Socket) -> None:
        await asyncio.sleep(0)

    scene.root.on("connection")(soon)
    client = scene.client()
    assert await churn(client, MANY) == MANY
    assert not client.transport.paused


async def test_refusals_are_not_counted() -> None:
    scene = Scene()

    @scene.root.use
    async def refuse(socket: Socket) -> bool:
        await asyncio.sleep(0)
        return False

    client = scene.client()
    for _ in range(MANY):
        client.say("0")
        await settle()
        assert str(client.heard()[-1]).startswith("4{")
        assert not client.transport.paused


async def test_the_events_that_they_leave_behind_are_weighed(gate: Gate) -> None:
    scene = Scene()
    event(scene, gate)
    client = scene.client()
    text = '2["x","' + "x" * (WAITING_LIMIT // 4) + '"]'
    assert await churn(client, MANY, '2["x"]', text) == 4
    gate.open()
    await settle()
    assert not client.transport.paused


async def test_a_cancelled_task_is_not_counted_for_ever(gate: Gate) -> None:
    scene = Scene()
    connection(scene, gate)
    client = scene.client()
    assert await churn(client, MANY) == CONCURRENT_LIMIT
    for task in list(scene.core.runtime.tasks)[:3]:
        task.cancel()
    await settle()
    assert not client.transport.paused
    assert await churn(client, MANY) == 3


async def test_a_connection_that_ends_forgets_them(
    gate: Gate, caplog: pytest.LogCaptureFixture
) -> None:
    scene = Scene()
    connection(scene, gate)
    client = scene.client()
    with caplog.at_level(logging.CRITICAL, "telex"):
        await churn(client, MANY)
    client.session.transport_ended(client.transport, "transport close")
    gate.open()
    await settle()
    assert scene.core.runtime.tasks == set()
