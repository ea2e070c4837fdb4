"""Who waits for a connection, or for an answer, hears how it ends; what is over is over."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Any

import pytest

import telex
from telex import ConnectError, EncodeError
from telex.server_url import parse
from tests.client.ports import refusing_port, silent_port
from tests.client.unit.scripted import BRISK, Scripted, Talk, let_in
from tests.features.scripts import Calls, until


def url(port: int) -> str:
    return f"http://127.0.0.1:{port}"


async def test_without_reconnection_a_failure_is_final() -> None:
    """Whoever awaits later hears of it; another attempt may be made by hand."""
    with refusing_port() as port:
        socket = telex.connect(url(port), force_new=True, reconnection=False)
        errors = Calls()
        socket.on("connect_error", errors)
        await errors.next()
        assert not socket.active
        with pytest.raises(ConnectError, match="xhr poll error"):
            await socket
        with pytest.raises(telex.Disconnected):
            await socket.receive()
        socket.connect()
        await errors.next()
        assert not socket.active


async def test_an_error_is_told_once() -> None:
    """Whoever awaits again means another attempt."""
    with refusing_port() as port:
        socket = telex.connect(url(port), force_new=True)
        errors = Calls()
        socket.on("connect_error", errors)
        for _ in range(2):
            with pytest.raises(ConnectError):
                async with socket:
                    pass
        await until(lambda: len(errors.all) == 2)


async def test_an_error_of_old_does_not_come_back() -> None:
    async with Scripted() as server:
        with refusing_port() as port:
            socket = telex.connect(url(port), force_new=True, **BRISK)
            errors = Calls()
            socket.on("connect_error", errors)
            await errors.next()
            manager: Any = socket.io
            manager._network.target = parse(server.url)
        await until(lambda: socket.connected)
        await socket.disconnect()
        async with socket:
            assert socket.connected


async def test_who_stops_waiting_leaves_nothing_behind() -> None:
    """Nor does the next failure end what nobody waits for."""
    with refusing_port() as port:
        socket = telex.connect(url(port), force_new=True, reconnection=True, **BRISK)
        engine = telex.connect_engine("http://127.0.0.1:1", path="/x", transports=("polling",))
        for _ in range(5):
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(socket, 0.001)
            with contextlib.suppress(TimeoutError, ConnectError):
                await asyncio.wait_for(engine, 0.001)
            with pytest.raises(TimeoutError):
                await socket.wait(timeout=0.001)
        membership = socket.membership
        assert (membership._verdicts, membership._ends, engine.host._verdicts) == ([], [], [])
        assert socket.active
        await engine.close()
        await socket.disconnect()


async def test_a_manager_that_is_not_answered_says_so() -> None:
    with silent_port() as port:
        manager = telex.Manager(url(port), timeout=0.05, reconnection=False, auto_connect=False)
        with pytest.raises(ConnectError, match="timeout"):
            await manager.open()
        await manager.close()


@pytest.mark.parametrize("moment", ["error", "close"])
async def test_opening_again_in_a_handler_of_the_manager(moment: str) -> None:
    """There is one attempt more, not two."""

    def answer(talk: Talk, packet: str) -> None:
        if talk.number == 0:
            talk.end()
        else:
            let_in(talk, packet)

    async with Scripted(answer) as server:
        with refusing_port() as port:
            manager = telex.Manager(
                server.url if moment == "close" else url(port), auto_connect=False, **BRISK
            )
            attempts = Calls()
            manager.on("reconnect_attempt", attempts)

            def again() -> None:
                manager._network.target = parse(server.url)
                manager.open()

            manager.once(moment, again)
            socket = manager.socket("/")
            socket.connect()
            if moment == "error":
                await until(lambda: server.talks)
                server.talks[0].end()
                await until(lambda: len(server.talks) > 1)
            await until(lambda: socket.connected)
            await asyncio.sleep(0.1)
        assert len(server.talks) == 2
        assert len(attempts.all) == (1 if moment == "error" else 0)
        await manager.close()


class TestRetries:
    async def test_none(self) -> None:
        """As in JavaScript: emits do not wait for each other."""
        async with Scripted() as server:
            async with server.connect(retries=0) as socket:
                for number in range(3):
                    socket.emit("e", number)
                await until(lambda: len(server.talks[0].heard) == 4)
                assert server.talks[0].heard[1:] == [f'2["e",{n}]' for n in range(3)]

    async def test_what_cannot_be_sent_any_more(self, caplog: pytest.LogCaptureFixture) -> None:
        """It does not hold up the rest, or the connection."""

        def answer(talk: Talk, packet: str) -> None:
            let_in(talk, packet)
            if packet[:1] == "2":
                talk.say(f"3{packet[1]}[]")

        async with Scripted(answer) as server:
            socket = server.connect(retries=2, auto_connect=False)
            changed: list[Any] = []
            told = Calls()
            socket.emit("bad", changed, ack=told)
            socket.emit("good", ack=told)
            changed.append(object())
            with caplog.at_level(logging.CRITICAL, "telex"):
                await socket.connect()
                assert isinstance((await told.next())[0], EncodeError)
                assert await told.next() == (None,)
            await socket.disconnect()


async def test_what_nobody_waits_for_any_more_is_not_sent() -> None:
    async with Scripted() as server:
        socket = server.connect(auto_connect=False)
        asked = asyncio.ensure_future(socket.emit_with_ack("never"))
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.wait([asked])
        socket.emit("e")
        await socket.connect()
        await until(lambda: len(server.talks[0].heard) > 1)
        assert server.talks[0].heard == ["0", '2["e"]']
        await socket.disconnect()


async def test_an_answer_that_fails_while_it_is_encoded(caplog: pytest.LogCaptureFixture) -> None:
    """The server hears of it, and its next event has its turn."""

    class Model:
        def model_dump(self) -> Any:
            raise KeyError("private")

    async def later() -> Model:
        await asyncio.sleep(0)
        return Model()

    async with Scripted() as server:
        async with server.connect() as socket:
            socket.on("x", later)
            socket.on("next", lambda: "next")
            (talk,) = server.talks
            with caplog.at_level(logging.CRITICAL, "telex"):
                talk.say('27["x"]', '28["next"]')
                await until(lambda: len(talk.heard) > 2)
            assert talk.heard[1:] == [
                '37[{"error":{"type":"HandlerError","message":"the handler failed"}}]',
                '38["next"]',
            ]
