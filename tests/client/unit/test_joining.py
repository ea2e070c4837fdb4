"""From the connection to the namespace and back: what may come in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import telex
from telex import ConnectError, Disconnected
from tests.client.unit.scripted import Scripted, Talk, offset
from tests.features.scripts import Calls, until

WEBSOCKET: dict[str, Any] = {"transports": ("websocket",)}


async def test_missed_events_of_a_recovery_that_breaks_off_are_asked_for_again() -> None:
    """Only what has reached the handlers counts as received."""
    last = [offset(number) for number in range(3)]

    def answer(talk: Talk, packet: str) -> None:
        if talk.number == 0:
            talk.say('0{"sid":"a","pid":"p"}', f'2["e",0,"{last[0]}"]')
            return
        talk.say(f'2["e",1,"{last[1]}"]', f'2["e",2,"{last[2]}"]')
        if talk.number == 1:
            talk.end()
        else:
            talk.say('0{"sid":"a","pid":"p"}')

    async with Scripted(answer) as server:
        socket = server.connect(**WEBSOCKET)
        events = Calls()
        socket.on("e", events)
        await socket
        await events.next()
        server.talks[0].end()
        await until(lambda: len(server.talks) > 2 and socket.connected)
        assert events.first == [0, 1, 2]
        assert [last[0] in talk.heard[0] for talk in server.talks[1:]] == [True, True]
        await socket.disconnect()


async def test_an_answer_stays_with_the_connection_on_which_it_was_asked_for() -> None:
    """The next connection may use the same id for something else."""

    def answer(talk: Talk, packet: str) -> None:
        if packet[:1] == "0":
            talk.say(f'0{{"sid":"{talk.number}"}}', f'20["question",{talk.number}]')

    async with Scripted(answer) as server:
        socket = server.connect(**WEBSOCKET)
        gate, answered = asyncio.Event(), Calls()

        @socket.on("question")
        async def question(number: int) -> str:
            await (gate.wait() if number == 0 else asyncio.sleep(0))
            answered(number)
            return f"answer {number}"

        await socket
        server.talks[0].end()
        await until(lambda: len(server.talks) > 1 and socket.connected)
        gate.set()
        await until(lambda: len(server.talks[1].heard) > 1)
        assert answered.first == [0, 1]
        assert server.talks[1].heard == ["0", '30["answer 1"]']
        await socket.disconnect()


@pytest.mark.parametrize("again", [False, True])
async def test_a_namespace_that_is_left_before_the_server_answers(again: bool) -> None:
    """It is left on the server, too; who wants in again gets in."""
    io, gate = telex.Server(), asyncio.Event()
    left, joined = Calls(), Calls()
    namespace = io.of("/b")

    @namespace.use
    async def wait(socket: telex.Socket) -> None:
        joined(socket)
        await gate.wait()

    @namespace.on("connection")
    def connection(socket: telex.Socket) -> None:
        socket.on("disconnect", left)

    await io.listen(0)
    async with telex.connect(f"http://127.0.0.1:{io.port}", force_new=True) as root:
        reasons = Calls()
        root.on("disconnect", reasons)
        socket = root.io.socket("/b")
        socket.connect()
        await joined.next()
        socket.disconnect()
        if again:
            socket.connect()
        gate.set()
        assert await left.next() == ("client namespace disconnect",)
        if again:
            await socket
        await until(lambda: len(namespace.sockets) == again)
        assert socket.connected is socket.active is again
        assert not reasons.all
        await root.io.close()
    await io.close()


async def test_a_server_that_never_lets_in_is_a_failure_for_who_waits() -> None:
    async with Scripted(lambda talk, packet: talk.end()) as server:
        with pytest.raises(ConnectError, match="transport close"):
            await server.connect()
        assert len(server.talks) == 1


class TestAuth:
    async def test_a_failure_that_comes_late_harms_nobody(self) -> None:
        gate, asked = asyncio.Event(), Calls()

        async def auth() -> dict[str, int]:
            asked(len(asked.all))
            if len(asked.all) == 1:
                await gate.wait()
                raise RuntimeError("too late")
            return {"token": 2}

        async with Scripted() as server:
            socket = server.connect(auth=auth, **WEBSOCKET)
            await asked.next()
            await until(lambda: server.talks)
            server.talks[0].end()
            await until(lambda: socket.connected)
            gate.set()
            await asyncio.sleep(0.02)
            assert socket.connected
            assert socket.active
            assert server.talks[1].heard == ['0{"token":2}']
            await socket.disconnect()

    async def test_cancelled_from_within_is_a_failure(self) -> None:
        async def auth() -> None:
            raise asyncio.CancelledError

        async with Scripted() as server:
            with pytest.raises(ConnectError, match="auth callable failed: CancelledError"):
                await server.connect(auth=auth)

    async def test_asked_twice_joins_once(self) -> None:
        """Left and joined again while the callable is being waited for."""
        gates = [asyncio.Event(), asyncio.Event()]
        asked = Calls()

        async def auth() -> dict[str, int]:
            number = len(asked.all)
            asked(number)
            await gates[number].wait()
            return {"number": number}

        def answer(talk: Talk, packet: str) -> None:
            if packet[:1] == "0":
                talk.say('0{"sid":"root"}' if packet == "0" else '0/x,{"sid":"x"}')

        async with Scripted(answer) as server:
            async with server.connect() as root:
                socket = root.io.socket("/x", auth=auth)
                socket.connect()
                await asked.next()
                socket.disconnect()
                socket.connect()
                await asked.next()
                for gate in gates:
                    gate.set()
                await socket
                await root.emit("end")
                await until(lambda: '2["end"]' in server.talks[0].heard)
                assert server.talks[0].heard == ["0", '0/x,{"number":1}', '2["end"]']
                await root.io.close()


async def test_disconnecting_in_a_handler_of_a_missed_event() -> None:
    """Nothing follows: neither further events nor ``connect``."""

    def answer(talk: Talk, packet: str) -> None:
        talk.say('2["e",1]', '2["e",2]', '0{"sid":"a"}')

    async with Scripted(answer) as server:
        socket = server.connect(**WEBSOCKET)
        log = Calls()
        socket.on("connect", lambda: log("connect"))
        socket.on("disconnect", lambda: log("disconnect"))

        @socket.on("e")
        def leave(number: int) -> None:
            log(number)
            socket.disconnect()

        with pytest.raises(Disconnected):
            await socket
        await until(lambda: len(log.all) > 1)
        await asyncio.sleep(0.02)
        assert log.first == [1, "disconnect"]


async def test_buffered_events_leave_before_those_of_connect_handlers() -> None:
    async with Scripted() as server:
        socket = server.connect()
        socket.on("connect", lambda: socket.emit("second"))
        socket.emit("first")
        await socket
        await until(lambda: len(server.talks[0].heard) == 3)
        assert server.talks[0].heard == ["0", '2["first"]', '2["second"]']
        await socket.disconnect()


async def test_connecting_again_in_a_disconnect_handler() -> None:
    """As JavaScript's documentation has it for ``io server disconnect``."""

    def answer(talk: Talk, packet: str) -> None:
        talk.say('0{"sid":"a"}')
        if talk.number == 0:
            talk.say("1")

    async with Scripted(answer) as server:
        socket = server.connect()
        reasons = Calls()

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            reasons(reason)
            socket.connect()

        await reasons.next()
        await socket
        assert len(server.talks) == 2
        socket.off("disconnect")
        await socket.disconnect()


@pytest.mark.parametrize("end", ["lost", "disconnected", "left"])
@pytest.mark.parametrize("again", [False, True])
async def test_leaving_in_the_callback_of_an_answer_that_will_not_come(
    end: str, again: bool
) -> None:
    """It is called while the socket is being disconnected, and may change its mind."""
    async with Scripted() as server:
        socket = server.connect(**WEBSOCKET)
        await socket
        errors, reasons = Calls(), Calls()
        socket.on("disconnect", reasons)

        def failed(error: Exception) -> None:
            errors(type(error))
            assert not socket.connected
            socket.disconnect()
            if again:
                socket.connect()

        await socket.timeout(5).emit("question", ack=failed)
        await until(lambda: len(server.talks[0].heard) == 2)
        if end == "lost":
            server.talks[0].end()
        elif end == "disconnected":
            server.talks[0].say("1")
        else:
            socket.disconnect()
        await until(lambda: reasons.all)
        assert errors.first == [Disconnected]
        assert len(reasons.all) == 1
        assert not socket.connected
        await socket.disconnect()
        assert not socket.active
        await socket  # nothing of that stands in the way of the next connection
        assert socket.id is not None
        await socket.disconnect()
