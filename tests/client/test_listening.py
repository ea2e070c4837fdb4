"""Handlers of a client's events, and events without handlers."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import dataclass
from typing import Any

import pytest

import telex
from telex import Ack, Disconnected
from tests.client.counterparts import BRISK, Clients, Counterpart
from tests.features.scripts import Calls, until

pytestmark = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


class TestListeners:
    async def test_once_and_off(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        always, once, never = Calls(), Calls(), Calls()
        socket.on("echo", always).once("echo", once).on("echo", never)
        socket.off("echo", never)
        for number in range(3):
            socket.emit("echo", number)
            await always.next()
        assert always.first == [0, 1, 2]
        assert once.first == [0]
        assert never.all == []
        assert socket.listeners("echo") == [always]
        assert "echo" in socket.event_names()
        socket.remove_listener("echo", always)
        assert socket.listeners("echo") == []
        socket.on("echo", always).on("number", never)
        socket.off("echo")
        assert socket.listeners("echo") == []
        assert socket.listeners("number") == [never]
        socket.remove_all_listeners()
        assert socket.event_names() == []
        socket.emit("echo", "unheard")
        await socket.emit_with_ack("answer")
        assert len(always.all) == 3

    async def test_several_in_order(self, clients: Clients, server: Counterpart) -> None:
        """All handlers hear an event before any of them hears the next."""
        socket = await clients.connect(server)
        heard: list[tuple[str, int]] = []

        @socket.on("echo")
        async def slow(number: int) -> None:
            await asyncio.sleep(0.005)
            heard.append(("slow", number))

        @socket.on("echo")
        def quick(number: int) -> None:
            heard.append(("quick", number))

        for number in range(3):
            socket.emit("echo", number)
        await until(lambda: len(heard) == 6)
        assert heard == [(name, n) for n in range(3) for name in ("slow", "quick")]

    async def test_the_decorator(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        heard: asyncio.Queue[tuple[Any, ...]] = asyncio.Queue()

        @socket.event
        def echo(*args: object) -> None:
            heard.put_nowait(("echo", *args))

        @socket.event("number")
        async def numbered(number: int) -> None:
            heard.put_nowait(("number", number))

        socket.emit("echo", 1, 2)
        assert await heard.get() == ("echo", 1, 2)
        socket.emit("push", 1)
        assert await heard.get() == ("number", 0)

    async def test_in_order_or_not(self, clients: Clients, server: Counterpart) -> None:
        """A handler holds back the next event, unless it says otherwise."""
        socket = await clients.connect(server)
        release = asyncio.Event()
        echoed, numbers = Calls(), Calls()

        @socket.event("echo", concurrent=True)
        async def echo(word: str) -> None:
            await release.wait()
            echoed(word)

        socket.on("number", numbers)
        socket.emit("echo", "waits")
        socket.emit("push", 2)
        await numbers.next()
        await numbers.next()
        assert echoed.all == []
        release.set()
        assert await echoed.next() == ("waits",)

    async def test_in_a_thread(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        answered = Calls()
        socket.on("answered", answered)

        @socket.event("question", thread=True)
        def question() -> bool:
            return threading.current_thread() is not threading.main_thread()

        socket.emit("ask")
        assert await answered.next() == ([True],)

    async def test_emitting_and_asking_inside(self, clients: Clients, server: Counterpart) -> None:
        """Answers come even while the events wait for the handler that asks."""
        socket = await clients.connect(server)
        answers = Calls()

        @socket.on("echo")
        async def echo(number: int) -> None:
            answers(await socket.emit_with_ack("answer", number * 2, timeout=10))

        for number in range(3):
            socket.emit("echo", number)
        assert [await answers.next() for _ in range(3)] == [(0,), (2,), (4,)]

    async def test_connect_and_disconnect(self, clients: Clients, server: Counterpart) -> None:
        """Handlers of the life cycle hear it once each time."""
        socket = clients.make(server, reconnection=True, **BRISK)
        log: list[str] = []

        @socket.on("connect")
        async def connect() -> None:
            log.append(f"connect {socket.connected}")

        @socket.on("disconnect")
        async def disconnect(reason: str, _details: object) -> None:
            log.append(f"disconnect {reason} {socket.connected} {socket.id}")

        await socket
        await until(lambda: len(log) == 1)
        socket.emit("close the transport")
        await until(lambda: len(log) == 3)
        await socket.disconnect()
        await until(lambda: len(log) == 4)
        assert log == [
            "connect True",
            "disconnect transport close False None",
            "connect True",
            "disconnect io client disconnect False None",
        ]

    async def test_the_first_parameter_of_disconnect_is_enough(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        reasons: list[str] = []

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            reasons.append(reason)

        await socket.disconnect()
        assert reasons == ["io client disconnect"]

    async def test_disconnecting_in_a_handler(self, clients: Clients, server: Counterpart) -> None:
        """What comes after it is not heard."""
        socket = await clients.connect(server)
        heard: list[int] = []
        gone = Calls()
        socket.on("disconnect", gone)

        @socket.on("number")
        async def number(number: int) -> None:
            heard.append(number)
            if number == 2:
                await socket.disconnect()

        socket.emit("push", 10)
        assert (await gone.next())[0] == "io client disconnect"
        await asyncio.sleep(0.02)
        assert heard == [0, 1, 2]

    async def test_tasks_of_the_socket_end_with_it(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        ended = asyncio.Event()

        async def work() -> None:
            try:
                await asyncio.sleep(60)
            finally:
                ended.set()

        socket.spawn(work())
        await asyncio.sleep(0)
        await socket.disconnect()
        await asyncio.wait_for(ended.wait(), 10)


class TestAny:
    async def test_incoming(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        order: list[str] = []
        first, second = Calls(), Calls()
        socket.on_any(second)
        socket.prepend_any(first)

        def anything(*_: object) -> None:
            order.append("any")

        def echo(*_: object) -> None:
            order.append("echo")

        socket.on_any(anything)
        socket.on("echo", echo)
        assert socket.listeners_any()[:2] == [first, second]
        socket.emit("echo", 1, b"binary")
        assert await first.next() == ("echo", 1, b"binary")
        assert await second.next() == ("echo", 1, b"binary")
        await until(lambda: len(order) == 2)
        assert order == ["any", "echo"]
        socket.off_any(first)
        socket.emit("echo", 2)
        await second.next()
        assert len(first.all) == 1
        socket.off_any()
        assert socket.listeners_any() == []
        socket.emit("echo", 3)
        await socket.emit_with_ack("answer")
        assert len(second.all) == 2

    async def test_outgoing(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        first, second = Calls(), Calls()
        socket.on_any_outgoing(second)
        socket.prepend_any_outgoing(first)
        assert socket.listeners_any_outgoing() == [first, second]
        socket.emit("echo", 1, b"binary")
        assert await socket.emit_with_ack("answer", 2) == 2
        assert first.all == second.all == [("echo", 1, b"binary"), ("answer", 2)]
        socket.off_any_outgoing(first)
        socket.emit("echo")
        assert len(first.all) == 2
        assert len(second.all) == 3
        socket.off_any_outgoing()
        assert socket.listeners_any_outgoing() == []

    async def test_outgoing_when_it_goes(self, clients: Clients, server: Counterpart) -> None:
        """What waits for the connection is heard when it leaves, dropped events never."""
        socket = clients.make(server)
        outgoing = Calls()
        socket.on_any_outgoing(outgoing)
        socket.emit("note", "nobody", 1)
        socket.volatile.emit("note", "nobody", 2)
        assert outgoing.all == []
        await socket
        assert outgoing.all == [("note", "nobody", 1)]


class TestReceiving:
    async def test_one_after_another(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        socket.emit("push", 3)
        socket.emit("echo", "text", b"binary")
        received = [await socket.receive(timeout=10) for _ in range(4)]
        assert received == [
            ["number", 0],
            ["number", 1],
            ["number", 2],
            ["echo", "text", b"binary"],
        ]
        event, *args = await _echo(socket, "a", 1)
        assert (event, args) == ("echo", ["a", 1])

    async def test_nothing_comes(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        with pytest.raises(TimeoutError):
            await socket.receive(timeout=0.02)
        assert await _echo(socket, "later") == ["echo", "later"]

    async def test_events_with_a_handler_are_not_received(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        numbers = Calls()
        socket.on("number", numbers)
        socket.emit("push", 2)
        socket.emit("echo", "end")
        assert await socket.receive(timeout=10) == ["echo", "end"]
        assert numbers.first == [0, 1]

    async def test_answering(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        socket.emit("ask", 20)
        question = await socket.receive(timeout=10)
        assert question == ["question", 20]
        question.ack(question[1] + 1, b"binary")
        assert await socket.receive(timeout=10) == ["answered", [21, b"binary"]]

    async def test_the_loop_ends_with_the_socket(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        socket.emit("push", 3)
        socket.emit("throw me out")
        received = [event async for event in socket]
        assert received == [["number", 0], ["number", 1], ["number", 2]]
        with pytest.raises(Disconnected, match="io server disconnect"):
            await socket.receive()

    async def test_who_waits_hears_of_the_end(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        waiting = asyncio.ensure_future(socket.receive())
        await asyncio.sleep(0.01)
        await socket.disconnect()
        with pytest.raises(Disconnected, match="io client disconnect"):
            await waiting

    async def test_it_goes_on_after_a_reconnection(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server, reconnection=True, **BRISK)
        socket.emit("close the transport")
        connected = Calls()
        socket.on("connect", connected)
        waiting = asyncio.ensure_future(socket.receive(timeout=10))
        await connected.next()
        socket.emit("echo", "back")
        assert await waiting == ["echo", "back"]

    async def test_the_queue_is_bounded(
        self, clients: Clients, server: Counterpart, caplog: pytest.LogCaptureFixture
    ) -> None:
        """What nobody fetches is dropped, the oldest first, and said so in the log."""
        socket = await clients.connect(server, receive_limit=5)
        with caplog.at_level(logging.WARNING):
            socket.emit("push", 20)
            await socket.emit_with_ack("answer")
        assert [await socket.receive(timeout=10) for _ in range(5)] == [
            ["number", number] for number in range(15, 20)
        ]
        warnings = [record for record in caplog.records if record.levelno == logging.WARNING]
        assert len(warnings) == 1
        assert "receive_limit" in warnings[0].getMessage()

    async def test_cancelling_loses_nothing(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        for number in range(20):
            waiting = asyncio.ensure_future(socket.receive())
            socket.emit("echo", number)
            await asyncio.sleep(0.0005 * (number % 5))
            if waiting.cancel():
                await asyncio.wait([waiting])
            if not waiting.cancelled():
                assert waiting.result() == ["echo", number]
            else:
                assert await socket.receive(timeout=10) == ["echo", number]


async def _echo(socket: telex.ClientSocket, *args: object) -> list[Any]:
    socket.emit("echo", *args)
    return await socket.receive(timeout=10)


@dataclass
class Point:
    x: int
    y: int = 0


class TestTypedHandlers:
    async def test_conversion(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        points = Calls()

        @socket.on("echo")
        def echo(point: Point, data: bytes) -> None:
            points(point, data)

        socket.emit("echo", {"x": 1, "y": 2}, b"data")
        assert await points.next() == (Point(1, 2), b"data")

    async def test_what_does_not_fit(self, clients: Clients, server: Counterpart) -> None:
        """The handler is not called; whoever asked for an answer gets the reason."""
        socket = await clients.connect(server)
        answered, points = Calls(), Calls()
        socket.on("answered", answered)

        @socket.on("question")
        def question(point: Point) -> str:
            points(point)
            return "fine"

        socket.emit("ask", {"x": "one"})
        (answers,) = await answered.next()
        assert answers[0]["error"]["type"] == "ValidationError"
        assert points.all == []
        socket.emit("ask", {"x": 1})
        assert await answered.next() == (["fine"],)

    async def test_the_answer_function(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        answered, given = Calls(), Calls()
        socket.on("answered", answered)

        @socket.on("question")
        def question(number: int, ack: Ack) -> None:
            asyncio.get_running_loop().call_later(0.005, ack, number + 1)

        @socket.on("echo")
        def echo(number: int, ack: Ack | None = None) -> None:
            given(ack)

        socket.emit("ask", 1)
        assert await answered.next() == ([2],)
        socket.emit("echo", 1)
        assert await given.next() == (None,)


class TestFailures:
    @pytest.mark.parametrize("way", ["plain", "coroutine"])
    async def test_a_handler_that_fails(
        self, clients: Clients, server: Counterpart, caplog: pytest.LogCaptureFixture, way: str
    ) -> None:
        """It is reported with its traceback and to the handlers of `error`; nothing ends."""
        socket = await clients.connect(server)
        errors, numbers = Calls(), Calls()
        socket.on("error", errors).on("number", numbers)

        def plain() -> None:
            raise LookupError(way)

        async def coroutine() -> None:
            await asyncio.sleep(0)
            raise LookupError(way)

        socket.on("echo", plain if way == "plain" else coroutine)
        with caplog.at_level(logging.ERROR):
            socket.emit("echo")
            assert str((await errors.next())[0]) == way
        reports = [record for record in caplog.records if record.name == "telex"]
        assert [report.exc_info is not None for report in reports] == [True]
        socket.emit("push", 1)
        assert await numbers.next() == (0,)
        assert socket.connected

    async def test_asked_for_an_answer(self, clients: Clients, server: Counterpart) -> None:
        """The server hears that it failed, and nothing private."""
        socket = await clients.connect(server)
        answered = Calls()
        socket.on("answered", answered)

        @socket.on("question")
        async def question() -> None:
            raise LookupError("secret")

        socket.emit("ask")
        (answers,) = await answered.next()
        assert set(answers[0]) == {"error"}
        assert "secret" not in str(answers)

    async def test_a_handler_for_the_failure(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        answered, handled = Calls(), Calls()
        socket.on("answered", answered)

        @socket.exception_handler(LookupError)
        def lookup_error(error: LookupError) -> dict[str, str]:
            handled(error)
            return {"sorry": str(error)}

        @socket.on("question")
        async def question() -> None:
            raise KeyError("drawer")

        socket.emit("ask")
        assert await answered.next() == ([{"sorry": "'drawer'"}],)
        assert len(handled.all) == 1

    async def test_handlers_of_the_life_cycle_that_fail(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """The connection is none of their business."""
        socket = clients.make(server, reconnection=True, **BRISK)
        errors = Calls()
        socket.on("error", errors)

        @socket.on("connect")
        async def connect() -> None:
            raise LookupError("connect")

        @socket.on("disconnect")
        def disconnect() -> None:
            raise LookupError("disconnect")

        await socket
        assert str((await errors.next())[0]) == "connect"
        socket.emit("close the transport")
        assert [str((await errors.next())[0]) for _ in range(2)] == ["disconnect", "connect"]
        assert socket.connected

    async def test_callbacks_that_fail(
        self, clients: Clients, server: Counterpart, caplog: pytest.LogCaptureFixture
    ) -> None:
        socket = await clients.connect(server)

        def answered(*_: object) -> None:
            raise LookupError("callback")

        with caplog.at_level(logging.ERROR):
            socket.emit("answer", 1, ack=answered)
            assert await socket.emit_with_ack("answer", 1) == 1
        assert [str((record.exc_info or (0, 0))[1]) for record in caplog.records] == ["callback"]
