"""Cancelled waiting, failing handlers, several event loops: the connection does not notice."""

from __future__ import annotations

import asyncio
import gc
import logging
import threading
from typing import Any

import pytest

import telex
from telex.options import TransportName
from tests.client.faults.census import census, settled
from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import QUICK
from tests.features.scripts import Calls
from tests.support.proxy import Fault

TRANSPORTS = pytest.mark.parametrize("transports", [("polling",), ("websocket",)], ids=str)


async def cancelled(task: asyncio.Future[Any]) -> None:
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@TRANSPORTS
async def test_an_answer_that_nobody_waits_for_any_more(
    there: Elsewhere, transports: tuple[TransportName, ...]
) -> None:
    """The late answer goes to nobody; later ones go where they belong."""
    async with telex.connect(there.url, force_new=True, transports=transports) as socket:
        reasons = Calls()
        socket.on("disconnect", reasons)
        for steps in range(12):
            asked = asyncio.ensure_future(socket.emit_with_ack("echo", "late"))
            for _ in range(steps):
                await asyncio.sleep(0)
            if asked.done():
                assert await asked == "late"
            else:
                await cancelled(asked)
        answers = [socket.emit_with_ack("echo", number) for number in range(5)]
        assert await asyncio.gather(*answers) == list(range(5))
        assert not reasons.all


@TRANSPORTS
async def test_an_event_that_nobody_waits_for_any_more(
    there: Elsewhere, transports: tuple[TransportName, ...]
) -> None:
    """An event that comes as its receiver gives up goes to the next one."""
    async with telex.connect(there.url, force_new=True, transports=transports) as socket:
        waiting: list[asyncio.Future[Any]] = []

        def give_up(*args: Any) -> None:
            for task in waiting:
                task.cancel()

        socket.on_any(give_up)
        for size in range(1, 6):
            task = asyncio.ensure_future(socket.receive())
            waiting[:] = [task]
            await asyncio.sleep(0)
            socket.emit("say", size)
            await asyncio.wait([task])
            waiting.clear()
            if task.cancelled():
                assert await socket.receive(timeout=10) == ["said", "x" * size]
            else:
                assert await task == ["said", "x" * size]
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.01)
        socket.emit("say", 7)
        assert await socket.receive(timeout=10) == ["said", "x" * 7]


async def test_a_connection_that_nobody_waits_for_any_more(there: Elsewhere) -> None:
    """Awaiting a socket only looks on: who stops looking stops nothing."""
    fault = await there.add(Fault("handshake answer", "silence"))
    socket = telex.connect(there.url, force_new=True, timeout=0.3, reconnection=True, **QUICK)

    async def wait() -> None:
        await socket

    looking = [asyncio.create_task(wait()) for _ in range(3)]
    await there.fired(fault)
    await cancelled(looking[0])
    await asyncio.gather(*looking[1:])
    assert socket.connected
    await socket.disconnect()


async def test_disconnecting_that_nobody_waits_for_any_more(there: Elsewhere) -> None:
    """It goes on."""
    before = census(there.proxy.port)
    for steps in range(8):
        socket = telex.connect(there.url, force_new=True)
        await socket

        async def leave(socket: telex.ClientSocket = socket) -> None:
            await socket.disconnect()

        leaving = asyncio.create_task(leave())
        for _ in range(steps):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.wait([leaving])
        if steps:
            assert not socket.connected
        else:
            await socket.disconnect()  # it had not begun
    await settled(there.proxy.port, before)


@TRANSPORTS
async def test_handlers_that_fail(
    there: Elsewhere, transports: tuple[TransportName, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Each failure is an `error` event and a line of the log; nothing else happens."""
    caplog.set_level(logging.WARNING, "telex")
    socket = telex.connect(there.url, force_new=True, transports=transports, auto_connect=False)
    errors, reasons = Calls(), Calls()
    socket.on("error", errors)
    socket.on("disconnect", reasons)

    def fail(*args: Any) -> None:
        raise RuntimeError("plain")

    async def fail_later(*args: Any) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("later")

    async def failed() -> str:
        [error] = await errors.next()
        return str(error)

    socket.on("connect", fail)
    socket.connect()
    await socket
    assert await failed() == "plain"
    socket.on("said", fail)
    socket.emit("say", 1)
    assert await failed() == "plain"
    socket.off("said", fail)
    socket.on("said", fail_later)
    socket.emit("say", 1)
    assert await failed() == "later"
    assert await socket.emit_with_ack("echo", "still here") == "still here"
    assert not reasons.all
    socket.on("disconnect", fail)
    await socket.disconnect()
    assert await failed() == "plain"
    assert [str(error) for error in _logged(caplog)] == ["plain", "plain", "later", "plain"]


@TRANSPORTS
async def test_callbacks_that_fail(
    there: Elsewhere, transports: tuple[TransportName, ...], caplog: pytest.LogCaptureFixture
) -> None:
    """Of acknowledgements and of those who hear everything: a line of the log."""
    caplog.set_level(logging.WARNING, "telex")
    async with telex.connect(there.url, force_new=True, transports=transports) as socket:
        reasons, said = Calls(), Calls()
        socket.on("disconnect", reasons)
        socket.on("said", said)

        def fail(*args: Any) -> None:
            raise RuntimeError(str(len(args)))

        socket.emit("echo", 1, ack=fail)
        socket.timeout(10).emit("echo", 1, ack=fail)
        assert await socket.emit_with_ack("echo", 2) == 2
        socket.on_any(fail)
        socket.on_any_outgoing(fail)
        socket.emit("say", 1)
        await said.next()
        assert await socket.emit_with_ack("echo", 3) == 3
        assert not reasons.all
    assert {str(error) for error in _logged(caplog)} == {"1", "2"}


def _logged(caplog: pytest.LogCaptureFixture) -> list[BaseException]:
    """What was logged with its traceback."""
    found = [record.exc_info[1] for record in caplog.records if record.exc_info]
    return [error for error in found if error is not None]


async def test_a_failing_error_handler(there: Elsewhere) -> None:
    """It is not called for itself."""
    calls = Calls()
    async with telex.connect(there.url, force_new=True) as socket:

        def fail(*args: Any) -> None:
            calls(*args)
            raise RuntimeError("again")

        socket.on("error", fail)
        socket.on("said", fail)
        socket.emit("say", 1)
        await calls.next()
        await calls.next()
        assert await socket.emit_with_ack("echo", 1) == 1
        assert len(calls.all) == 2


async def test_two_event_loops(there: Elsewhere) -> None:
    """Two threads with a loop each: managers are not shared, and each ends on its own."""
    url = there.url
    meeting = threading.Barrier(2)
    managers: list[object] = []
    answers: list[int] = []
    before = census(there.proxy.port)

    async def client(number: int) -> None:
        async with telex.connect(url, **QUICK) as socket:
            managers.append(socket.io)
            await asyncio.to_thread(meeting.wait, 20)
            answers.append(await socket.emit_with_ack("echo", number))
            await asyncio.to_thread(meeting.wait, 20)
            if number:  # the other one has gone
                await asyncio.to_thread(meeting.wait, 20)
                answers.append(await socket.emit_with_ack("echo", number))
        if not number:
            await asyncio.to_thread(meeting.wait, 20)

    runs = [asyncio.to_thread(asyncio.run, client(number)) for number in range(2)]
    await asyncio.gather(*runs)
    first, second = managers
    assert first is not second
    assert sorted(answers) == [0, 1, 1]
    await settled(there.proxy.port, before)


@pytest.mark.parametrize("politely", [True, False])
def test_one_event_loop_after_the_other(shared: Elsewhere, politely: bool) -> None:
    """Each has a connection of its own, and is forgotten when it has ended."""
    managers: list[int] = []

    async def client() -> None:
        socket = await telex.connect(shared.url)
        managers.append(id(socket.io))
        assert telex.connect(f"{shared.url}/other", auto_connect=False).io is socket.io
        assert await socket.emit_with_ack("echo", 1) == 1
        if politely:
            await socket.disconnect()

    def loops() -> int:
        gc.collect()
        return sum(isinstance(item, asyncio.BaseEventLoop) for item in gc.get_objects())

    asyncio.run(client())
    before = loops()
    for _ in range(4):
        asyncio.run(client())
    assert loops() <= before
