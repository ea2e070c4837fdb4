"""One socket's events: one after the other, whatever handlers do."""

from __future__ import annotations

import asyncio
import functools
import gc
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgspec
import pytest
from msgspec.msgpack import Ext

from telex import Ack, Socket
from telex.errors import ConfigurationError
from telex.events import inbox, runtime
from telex.events.acks import call
from telex.events.handlers import Handler
from tests.server.scenes import Scene, note, note_args, returns, settle
from tests.support.calls import EAGER


class Strict(msgspec.Struct, forbid_unknown_fields=True):
    a: int = 0


class OneClient:
    """A server with one client, and a log of what its handlers did."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.client, self.socket = self.scene.joined()
        self.log: list[Any] = []

    def say(self, *messages: str | bytes) -> None:
        self.client.say(*messages)

    def heard(self) -> list[str | bytes]:
        return self.client.heard()

    def paused(self) -> bool:
        """Whether the client is not read at present."""
        return self.client.transport.paused


@pytest.fixture
async def room() -> AsyncIterator[OneClient]:
    room = OneClient()
    yield room
    room.client.session.end("transport close")
    await settle()
    assert room.scene.core.runtime.tasks == set()


class TestAnswers:
    @pytest.mark.parametrize(
        ("result", "answer"),
        [(None, "[]"), (1, "[1]"), ((), "[]"), ((1, 2), "[1,2]"), ([1, 2], "[[1,2]]"), (b"", "b")],
    )
    async def test_are_what_handlers_return(
        self, room: OneClient, result: Any, answer: str
    ) -> None:
        async def later() -> Any:
            await asyncio.sleep(0)
            return result

        room.socket.on("plain", returns(result))
        room.socket.on("async", later)
        for event in ("plain", "async"):
            room.say(f'27["{event}"]')
            await settle()
            expected: list[str | bytes] = [f"37{answer}"]
            if answer == "b":
                expected = ['61-7[{"_placeholder":true,"num":0}]', b""]
            assert room.heard() == expected

    async def test_of_a_coroutine_that_waits_for_nothing(self, room: OneClient) -> None:
        @room.socket.on("x")
        async def x(value: int) -> int:
            room.log.append(asyncio.current_task())
            return value

        room.say('27["x",1]', '28["x",2]')
        if not EAGER:
            await settle()
        assert room.heard() == ["37[1]", "38[2]"]
        assert len(set(room.log)) == (2 if EAGER else 1), "what waits goes on in the same task"
        assert room.scene.core.runtime.tasks == set()

    async def test_of_a_coroutine_come_before_those_of_what_waits_behind_it(
        self, room: OneClient
    ) -> None:
        @room.socket.on("x")
        async def x() -> int:
            room.socket.dispatch.receive(8, None, ["y"])
            return 1

        room.socket.on("y", returns(2))
        room.say('27["x"]', '29["x"]')
        await settle()
        in_turn = ["38[2]", "39[1]"] if EAGER else ["39[1]", "38[2]"]
        assert room.heard() == ["37[1]", *in_turn, "38[2]"]

    async def test_nobody_asked_for_are_not_sent(self, room: OneClient) -> None:
        room.socket.on("x", returns(1))
        room.say('2["x"]')
        await settle()
        assert room.heard() == []

    async def test_events_without_handlers_are_not_answered(self, room: OneClient) -> None:
        room.say('27["unknown"]', "27[1]", '27[""]')
        await settle()
        assert room.heard() == []
        assert room.client.connected

    async def test_by_hand(self, room: OneClient) -> None:
        kept: list[Ack] = []

        @room.socket.on("x")
        def x(value: int, ack: Ack) -> str:
            kept.append(ack)
            return "ignored"

        room.say('27["x",1]')
        await settle()
        assert room.heard() == []
        kept[0]("later", 1)
        kept[0]("twice")
        assert room.heard() == ['37["later",1]']

    async def test_by_hand_without_being_asked(self, room: OneClient) -> None:
        @room.socket.on("required")
        def required(ack: Ack) -> None:
            room.log.append(ack)

        @room.socket.on("default")
        async def default(ack: Ack | None = None) -> None:
            room.log.append(ack)

        room.say('2["required"]', '2["default"]')
        await settle()
        assert room.log == [None, None]

    async def test_the_first_of_several_handlers_that_has_one(self, room: OneClient) -> None:
        for result in (None, "first", "second"):
            room.socket.on("x", returns(result))
        room.say('27["x"]')
        await settle()
        assert room.heard() == ['37["first"]']

    async def test_that_cannot_be_sent(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        room.socket.on("x", object)
        with caplog.at_level(logging.ERROR, "telex"):
            room.say('27["x"]')
            await settle()
        assert room.heard() == [
            '37[{"error":{"type":"HandlerError","message":"the handler failed"}}]'
        ]
        assert "what a handler of <Socket" in caplog.text
        assert "object cannot be sent as JSON" in caplog.text
        assert "During handling" not in caplog.text, "the encoder's own attempt"

    @pytest.mark.parametrize("suspends", [None, False, True])
    async def test_that_fail_while_they_are_encoded(
        self, room: OneClient, suspends: bool | None, caplog: pytest.LogCaptureFixture
    ) -> None:
        """The client hears of it, and its next event has its turn."""

        class Model:
            def model_dump(self) -> Any:
                raise KeyError("private")

        async def later() -> Model:
            if suspends:
                await asyncio.sleep(0)
            return Model()

        room.socket.on("x", Model if suspends is None else later)
        room.socket.on("next", returns("next"))
        with caplog.at_level(logging.ERROR, "telex"):
            room.say('27["x"]', '28["next"]')
            await settle()
        assert room.heard() == [
            '37[{"error":{"type":"HandlerError","message":"the handler failed"}}]',
            '38["next"]',
        ]
        assert "KeyError" in caplog.text
        assert room.client.transport.closes == 0

    async def test_after_the_client_has_left(self, room: OneClient) -> None:
        kept: list[Ack] = []
        room.socket.on("x", functools.partial(keep, kept))
        room.say('27["x"]')
        room.client.session.end("transport close")
        kept[0]("late")
        assert room.client.transport.messages == []

    async def test_of_a_function_that_hands_on_a_coroutine(self, room: OneClient) -> None:
        async def work(value: int) -> int:
            await asyncio.sleep(0)
            return value + 1

        def hands_on(value: int) -> object:
            return work(value)

        room.socket.on("x", hands_on)
        room.socket.on("y", note(room.log, "y"))
        room.say('27["x",1]', '2["y"]')
        assert room.log == []
        await settle()
        assert room.heard() == ["37[2]"]
        assert room.log == ["y"]

    @pytest.mark.parametrize("listens", [False, True])
    async def test_of_a_function_that_hands_on_something_else_to_await(
        self, room: OneClient, listens: bool
    ) -> None:
        if listens:
            room.socket.on_any(note([], "any"))
        loop = asyncio.get_running_loop()
        room.socket.on("task", lambda: loop.create_task(asyncio.sleep(0, "done")))
        room.socket.on("emit", lambda: room.scene.root.emit("news", 1))
        room.socket.on("own emit", lambda: room.socket.emit("news", 2))
        room.socket.on("join", lambda: room.socket.join("room"))
        room.say('27["task"]', '28["emit"]', '29["own emit"]', '210["join"]', '2["emit"]')
        await settle()
        assert sorted(map(str, room.heard())) == sorted(
            [
                *('37["done"]', '2["news",1]', "38[]", '2["news",2]', "39[]"),
                *("310[]", '2["news",1]'),
            ]
        )

    async def test_of_a_sync_function_around_an_async_one(self, room: OneClient) -> None:
        async def original() -> str:
            return "async"

        @functools.wraps(original)
        def wrapper() -> str:
            return "sync"

        room.socket.on("x", wrapper)
        room.say('27["x"]')
        await settle()
        assert room.heard() == ['37["sync"]']


def keep(kept: list[Ack], ack: Ack) -> None:
    kept.append(ack)


class TestOrder:
    async def test_a_handler_holds_back_the_next_event(self, room: OneClient) -> None:
        gates = {number: asyncio.Event() for number in range(3)}

        @room.socket.on("slow")
        async def slow(number: int) -> int:
            room.log.append(("begin", number))
            await gates[number].wait()
            room.log.append(("end", number))
            return number

        @room.socket.on("fast")
        def fast() -> str:
            room.log.append("fast")
            return "fast"

        room.say('20["slow",0]', '21["fast"]', '22["slow",1]', '23["fast"]')
        await settle()
        assert room.log == [("begin", 0)]
        gates[0].set()
        await settle()
        assert room.log[1:] == [("end", 0), "fast", ("begin", 1)]
        gates[1].set()
        await settle()
        assert room.heard() == ["30[0]", '31["fast"]', "32[1]", '33["fast"]']

    async def test_events_that_have_waited_are_handled_as_others_are(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        gate = asyncio.Event()
        loop = asyncio.get_running_loop()

        @room.socket.on("slow")
        async def slow() -> None:
            await gate.wait()

        @room.socket.on("by hand")
        async def by_hand(value: int, ack: Ack) -> str:
            ack("by hand", value)
            await asyncio.sleep(0)
            return "ignored"

        @room.socket.on("fails")
        async def fails(value: int) -> None:
            await asyncio.sleep(0)
            raise RuntimeError

        @room.scene.root.event
        async def shared(socket: Socket, value: int = 0, *rest: int) -> list[object]:
            await asyncio.sleep(0)
            return [socket is room.socket, value, *rest]

        room.socket.on("by hand later", functools.partial(keep, room.log))
        room.socket.on("task", lambda: loop.create_task(asyncio.sleep(0, "done")))
        room.socket.on("twice", note(room.log, "first"))
        room.socket.on("twice", returns("second"))
        room.socket.once("once", note(room.log, "once"))
        room.say('2["slow"]')
        room.say('20["by hand",1]', '2["by hand",1]', '21["by hand","x"]', '22["by hand"]')
        room.say('23["fails",1]', '24["shared"]', '25["shared",1,2,3]', '26["by hand later"]')
        room.say('27["task"]', '2["task"]', '28["twice"]', '29["once"]', '210["once"]')
        room.say('211["unknown"]', '212["shared",4,5]')
        await settle()
        assert room.heard() == []
        with caplog.at_level(logging.CRITICAL, "telex"):
            gate.set()
            await settle()
            await settle()
        invalid = '{"error":{"type":"ValidationError","message":'
        failed = '{"error":{"type":"HandlerError","message":"the handler failed"}}'
        assert room.heard() == [
            '30["by hand",1]',
            f'31[{invalid}"value: Expected `int`, got `str`"}}}}]',
            f'32[{invalid}"expected 1 argument, got 0"}}}}]',
            f"33[{failed}]",
            "34[[true,0]]",
            "35[[true,1,2,3]]",
            '37["done"]',
            '38["second"]',
            "39[]",
            "312[[true,4,5]]",
        ]
        ack, *others = room.log
        assert others == ["first", "once"]
        ack("late")
        assert room.heard() == ['36["late"]']

    async def test_listeners_that_have_come_meanwhile_see_what_waits(self, room: OneClient) -> None:
        gate = asyncio.Event()

        @room.socket.on("slow")
        async def slow() -> None:
            await gate.wait()
            room.socket.on_any(note_args(room.log))

        room.socket.on("x", room.log.append)
        room.say('2["slow"]', '2["x",1]')
        gate.set()
        await settle()
        assert room.log == [("x", 1), 1]

    async def test_sockets_do_not_wait_for_each_other(self, room: OneClient) -> None:
        other, socket = room.scene.joined()
        gate = asyncio.Event()

        @room.socket.on("x")
        async def waits() -> None:
            await gate.wait()

        socket.on("x", note(room.log, "other"))
        room.say('2["x"]')
        await settle()
        other.say('2["x"]')
        assert room.log == ["other"]
        gate.set()
        other.session.end("transport close")

    async def test_acknowledgements_are_never_held_back(self, room: OneClient) -> None:
        @room.socket.on("x")
        async def asks() -> None:
            room.log.append(await room.socket.emit_with_ack("question"))

        room.say('2["x"]', '2["x"]')
        await settle()
        (question,) = room.heard()
        assert question == '20["question"]'
        room.say('30["answer"]')
        await settle()
        assert room.log == ["answer"]
        room.say('31["another"]')
        await settle()
        assert room.log == ["answer", "another"]

    async def test_the_connection_handler_comes_first(self) -> None:
        scene = Scene()
        gate = asyncio.Event()

        @scene.root.on("connection")
        async def connection(socket: Socket) -> None:
            scene.log.append("connection")
            await gate.wait()
            socket.on("x", scene.log.append)

        client = scene.client()
        client.say("0", '2["x",1]', '2["x",2]')
        await settle()
        assert scene.log == ["connection"]
        gate.set()
        await settle()
        assert scene.log == ["connection", 1, 2]

    async def test_concurrent_handlers_wait_for_the_connection_handler_only(self) -> None:
        scene = Scene()
        gate = asyncio.Event()
        never = asyncio.Event()

        @scene.root.on("connection")
        async def connection(socket: Socket) -> None:
            socket.on("slow", slow, concurrent=True)
            await gate.wait()

        async def slow() -> None:
            scene.log.append("slow")
            await never.wait()

        @scene.root.event
        async def x(socket: Socket) -> None:
            await asyncio.sleep(0)
            scene.log.append("x")

        client = scene.client()
        client.say("0", '2["slow"]', '2["x"]')
        await settle()
        assert scene.log == []
        gate.set()
        await settle()
        assert scene.log == ["slow", "x"]
        never.set()
        await settle()
        assert scene.core.runtime.tasks == set()

    @pytest.mark.parametrize("listens", [False, True])
    async def test_concurrent_handlers_wait_for_nobody(
        self, room: OneClient, listens: bool
    ) -> None:
        gate = asyncio.Event()
        if listens:
            room.socket.on_any(note([], "any"))

        @room.socket.on("slow")
        async def slow(number: int) -> None:
            room.log.append(("begin", number))
            await gate.wait()
            room.log.append(("end", number))

        @room.socket.on("fast", concurrent=True)
        async def fast() -> None:
            room.log.append("fast")

        room.say('2["slow",1]')
        await settle()
        room.say('2["fast"]')
        await settle()
        room.say('2["slow",2]')
        await settle()
        assert room.log == [("begin", 1), "fast"], "the second waits for the first"
        gate.set()
        await settle()
        assert room.log[2:] == [("end", 1), ("begin", 2), ("end", 2)]

    async def test_threads(self, room: OneClient) -> None:
        import threading

        here = threading.get_ident()
        done = asyncio.Event()

        @room.socket.on("x", thread=True)
        def x(value: int) -> int:
            return value if threading.get_ident() != here else -1

        room.socket.on("y", done.set)
        room.say('27["x",5]', '2["y"]')
        async with asyncio.timeout(30):
            await done.wait()
        assert room.heard() == ["37[5]"]

    async def test_events_that_had_arrived_are_handled_before_the_end(
        self, room: OneClient
    ) -> None:
        gate = asyncio.Event()

        @room.socket.on("x")
        async def x(number: int) -> None:
            await gate.wait()
            room.log.append(number)

        room.socket.on("disconnecting", note(room.log, "disconnecting"))
        room.socket.on("disconnect", room.log.append)
        room.say('2["x",1]', '2["x",2]', "1")
        await settle()
        gate.set()
        await settle()
        assert room.log == [1, 2, "disconnecting", "client namespace disconnect"]


class TestFailures:
    FAILED = '37[{"error":{"type":"HandlerError","message":"the handler failed"}}]'

    @pytest.mark.parametrize(
        "error", [RuntimeError("secret"), SystemExit(1), TimeoutError("secret")]
    )
    @pytest.mark.parametrize("is_async", [False, True])
    async def test_of_handlers_are_logged_and_answered(
        self,
        room: OneClient,
        caplog: pytest.LogCaptureFixture,
        error: BaseException,
        is_async: bool,
    ) -> None:
        def fails() -> None:
            raise error

        async def fails_later() -> None:
            raise error

        room.socket.on("x", fails_later if is_async else fails)
        room.socket.on("error", room.log.append)
        with caplog.at_level(logging.ERROR, "telex"):
            room.say('27["x"]')
            await settle()
        assert room.heard() == [self.FAILED]
        assert room.log == [error]
        assert "handler of 'x' failed" in caplog.text
        assert room.client.connected

    @pytest.mark.parametrize("hands_on", [False, True])
    async def test_awaiting_what_was_cancelled_is_a_failure_like_any_other(
        self, room: OneClient, caplog: pytest.LogCaptureFixture, hands_on: bool
    ) -> None:
        async def x(number: int) -> None:
            if number == 1:
                job = asyncio.get_running_loop().create_task(asyncio.sleep(1000))
                await asyncio.sleep(0)
                job.cancel()
                await job
            room.log.append(number)

        def plain(number: int) -> object:
            return x(number)

        room.socket.on("x", plain if hands_on else x)
        room.socket.on("disconnect", room.log.append)
        with caplog.at_level(logging.ERROR, "telex"):
            room.say('27["x",1]', '2["x",2]', '2["x",3]')
            await settle()
            room.say('2["x",4]', "1")
            await settle()
        assert room.heard() == [self.FAILED]
        assert room.log == [2, 3, 4, "client namespace disconnect"]

    @pytest.mark.parametrize("waits", [False, True])
    async def test_what_a_plain_function_finds_cancelled_is_one_as_well(
        self, room: OneClient, caplog: pytest.LogCaptureFixture, waits: bool
    ) -> None:
        future = asyncio.get_running_loop().create_future()
        future.cancel()
        room.socket.on("first", functools.partial(asyncio.sleep, 0))
        room.socket.on("x", future.result)
        room.socket.on("y", note(room.log, "y"))
        with caplog.at_level(logging.CRITICAL, "telex"):
            if waits:
                room.say('2["first"]')
            room.say('27["x"]', '2["y"]')
            await settle()
        assert room.heard() == [self.FAILED]
        assert room.log == ["y"]

    async def test_of_one_handler_end_the_event(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails() -> None:
            raise RuntimeError

        room.socket.on("x", fails)
        room.socket.on("x", note(room.log, "second"))
        with caplog.at_level(logging.CRITICAL, "telex"):
            room.say('27["x"]')
            await settle()
        assert (room.log, room.heard()) == ([], [self.FAILED])

    async def test_arguments_that_do_not_fit(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        @room.socket.on("plain")
        def plain(a: int, b: int) -> None:
            room.log.append("called")

        @room.socket.on("async")
        async def later(a: int) -> None:
            room.log.append("called")

        with caplog.at_level(logging.WARNING, "telex"):
            room.say('27["plain",1]', '28["async","secret"]')
            await settle()
        assert room.log == []
        assert room.heard() == [
            '37[{"error":{"type":"ValidationError","message":"expected 2 arguments, got 1"}}]',
            '38[{"error":{"type":"ValidationError","message":"a: Expected `int`, got `str`"}}]',
        ]
        assert "secret" not in caplog.text
        assert {record.levelname for record in caplog.records} == {"WARNING"}

    async def test_names_that_clients_choose_are_escaped_and_cut(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        @room.socket.on("struct")
        def struct(value: Strict) -> None: ...

        @room.socket.on("raises")
        def raises(value: str) -> None:
            raise ValueError(value)

        hostile = "\\u000aERROR FAKE\\u001b[2J\\u202e\\u009b"
        with caplog.at_level(logging.WARNING, "telex"):
            room.say(f'27["struct",{{"{hostile}{"x" * 100_000}":1}}]')
            room.say(f'28["raises","{hostile}{"x" * 100_000}"]', f'29["{hostile}"]')
            await settle()
        assert len(caplog.records) == 2
        assert all(record.getMessage().isprintable() for record in caplog.records)
        assert all(line.isprintable() for line in caplog.text.splitlines())
        assert len(caplog.text) < 8000
        assert max(map(len, room.heard())) < 700

    async def test_exception_handlers_answer(self) -> None:
        scene = Scene()

        @scene.root.exception_handler(LookupError)
        async def missing(socket: Socket, error: LookupError) -> dict[str, str]:
            return {"missing": str(error)}

        @scene.root.event
        async def x(socket: Socket) -> None:
            raise IndexError("it")

        client, _ = scene.joined()
        client.say('27["x"]')
        await settle()
        assert client.heard() == ['37[{"missing":"it"}]']

    async def test_of_the_connection_handler_end_the_socket(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        for is_async in (False, True):
            scene = Scene()

            def fails(socket: Socket) -> None:
                raise RuntimeError("secret")

            async def fails_later(socket: Socket) -> None:
                raise RuntimeError("secret")

            scene.root.on("connection", fails_later if is_async else fails)
            client = scene.client()
            with caplog.at_level(logging.CRITICAL, "telex"):
                client.say("0")
                await settle()
            connect, disconnect = client.heard()
            assert str(connect).startswith('0{"sid"')
            assert disconnect == "1"
            assert scene.root.sockets == {}

    async def test_a_connection_handler_that_is_cancelled_from_within(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene()

        @scene.root.on("connection")
        async def connection(socket: Socket) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        client = scene.client()
        with caplog.at_level(logging.CRITICAL, "telex"):
            client.say("0")
            await settle()
        assert client.heard()[-1] == "1"
        assert scene.root.sockets == {}


def handing_on(function: Callable[[], Any]) -> Callable[..., Any]:
    """A plain function that hands on what another returns."""
    return lambda *_: function()


def begun_later(loop: asyncio.AbstractEventLoop, coro: Any, **options: Any) -> asyncio.Task[Any]:
    """A loop's own way to make tasks; none has its first step at once."""
    return asyncio.Task(coro, loop=loop, **options)


@pytest.mark.filterwarnings("error")
class TestCancelledTasks:
    """Whoever ends the loop cancels tasks, some of them before their first step."""

    def cancel(self, room: OneClient) -> None:
        tasks = room.scene.core.runtime.tasks
        assert tasks
        for task in list(tasks):
            task.cancel()

    @pytest.mark.parametrize("at_once", [True, False])
    async def test_of_coroutines_that_had_been_made(self, room: OneClient, at_once: bool) -> None:
        async def never() -> None:
            await asyncio.Event().wait()

        scene = room.scene
        if not at_once:
            asyncio.get_running_loop().set_task_factory(begun_later)

        async def matches(name: str, _: Any) -> bool:
            await never()
            return True

        scene.core.dynamic(matches)
        scene.core.of("/greets").registry.events.add("connection", Handler(never))
        room.socket.on("handed on", handing_on(never))
        room.socket.on("error", handing_on(never))
        room.say('2["handed on"]')
        room.socket.dispatch.fire("error", ValueError())
        room.say("0/dynamic,", "0/greets,")
        call(scene.core.runtime, never)
        room.socket.spawn(never())
        self.cancel(room)
        await settle()
        gc.collect()
        assert scene.core.runtime.tasks == set()

    async def test_let_the_farewell_finish_and_nothing_else_begin(self, room: OneClient) -> None:
        async def x(number: int) -> None:
            room.log.append(number)
            await asyncio.Event().wait()

        async def disconnect(reason: str) -> None:
            await asyncio.sleep(0)
            room.log.append(reason)

        room.socket.on("x", x)
        room.socket.on("disconnect", disconnect)
        room.say('2["x",1]', '2["x",2]', '2["x",3]')
        await settle()
        room.client.session.end("transport close")
        self.cancel(room)
        await settle()
        assert room.log == [1, "transport close"]

    @pytest.mark.parametrize(("after", "begun"), [(1000.0, [1]), (0.0, [1, 2, 3])])
    async def test_begin_no_new_ones_at_once(
        self, room: OneClient, monkeypatch: pytest.MonkeyPatch, after: float, begun: list[int]
    ) -> None:
        monkeypatch.setattr(runtime, "RESUME_AFTER", after)

        async def x(number: int) -> None:
            room.log.append(number)
            if number == 1:
                await asyncio.Event().wait()

        room.socket.on("x", x)
        room.say('2["x",1]', '2["x",2]', '2["x",3]')
        await settle()
        self.cancel(room)
        await settle()
        assert room.log == begun
        assert room.scene.core.runtime.tasks == set()

    async def test_spawned_after_the_end_never_begin(self, room: OneClient) -> None:
        async def work() -> None:
            room.log.append("begun")

        room.client.session.end("transport close")
        task = room.socket.spawn(work())
        await settle()
        gc.collect()
        assert task.cancelled()
        assert room.log == []


class TestListeners:
    async def test_see_every_event_before_its_handlers(self, room: OneClient) -> None:
        room.socket.on_any(note_args(room.log))

        @room.socket.prepend_any
        def first(event: str) -> None:
            room.log.append(("first", event))

        room.socket.on("x", room.log.append)
        room.say('2["x",1]', '2["unknown",2]')
        await settle()
        assert room.log == [
            ("first", "x"),
            ("x", 1),
            1,
            ("first", "unknown"),
            ("unknown", 2),
        ]

    async def test_middleware_may_keep_an_event_from_its_handlers(self, room: OneClient) -> None:
        refusal = RuntimeError("no")

        @room.socket.use
        async def check(event: str, args: list[Any]) -> None:
            await asyncio.sleep(0)
            if args == ["bad"]:
                raise refusal
            args[0] = args[0].upper()

        room.socket.on("x", room.log.append)
        room.socket.on("error", room.log.append)
        room.say('21["x","good"]', '22["x","bad"]', '23["x","good"]')
        await settle()
        assert room.log == ["GOOD", refusal, "GOOD"]
        assert room.heard() == ["31[]", "33[]"]

    async def test_are_removed(self, room: OneClient) -> None:
        def listener(*args: Any) -> None:
            room.log.append(args)

        room.socket.on_any(listener)
        room.socket.on_any(listener)
        room.socket.off_any(listener)
        assert room.socket.listeners_any() == [listener]
        room.socket.off_any()
        assert room.socket.listeners_any() == []
        room.say('2["x"]')
        await settle()
        assert room.log == []


class TestHandlersComeAndGo:
    async def test_once(self, room: OneClient) -> None:
        room.socket.once("x", room.log.append)
        room.say('21["x",1]', '22["x",2]')
        await settle()
        assert room.log == [1]
        assert room.heard() == ["31[]"]
        assert room.socket.event_names() == []

    async def test_off(self, room: OneClient) -> None:
        room.socket.on("x", room.log.append)
        room.socket.on("x", print)
        assert room.socket.listeners("x") == [room.log.append, print]
        room.socket.off("x", print)
        room.say('2["x",1]')
        room.socket.remove_all_listeners("x")
        room.say('2["x",2]')
        assert room.log == [1]
        assert room.socket.listeners("x") == []

    async def test_those_of_the_namespace_come_before_the_socket_s_own(
        self, room: OneClient
    ) -> None:
        @room.scene.root.event
        def x(socket: Socket, value: int) -> None:
            room.log.append((socket.id, value))

        room.socket.on("x", room.log.append)
        room.say('2["x",1]')
        await settle()
        assert room.log == [(room.socket.id, 1), 1]

    async def test_a_socket_has_no_catch_all_and_no_private_names(self, room: OneClient) -> None:
        with pytest.raises(ConfigurationError, match="on_any"):
            room.socket.on("*", note(room.log, "*"))
        room.say('2["x"]', '2["__class__"]', '2["on"]')
        await settle()
        assert room.log == []


class TestWaiting:
    """What waits for a handler is bounded: the client is not read any further."""

    def start(self, room: OneClient) -> asyncio.Event:
        gate = asyncio.Event()

        @room.socket.on("slow")
        async def slow() -> None:
            await gate.wait()

        room.socket.on("x", note(room.log, 1))
        room.say('2["slow"]')
        return gate

    async def test_the_client_is_paused_and_read_again(self, room: OneClient) -> None:
        gate = self.start(room)
        await settle()
        text = '2["x","' + "x" * 100_000 + '"]'
        sent = 0
        while not room.paused():
            room.say(text)
            sent += 1
            assert sent < 20
        assert sent * len(text) <= 2 * inbox.WAITING_LIMIT
        gate.set()
        await settle()
        assert not room.paused()
        assert room.log == [1] * sent

    async def test_small_events_count_for_what_they_take(self, room: OneClient) -> None:
        gate = self.start(room)
        await settle()
        sent = 0
        while not room.paused():
            room.say('2["x"]')
            sent += 1
            assert sent < 20_000
        gate.set()
        await settle()
        assert room.log == [1] * sent

    async def test_a_client_that_owes_an_answer_is_read_on(self, room: OneClient) -> None:
        @room.socket.on("ask")
        async def ask() -> None:
            room.log.append(await room.socket.emit_with_ack("question"))

        room.say('2["ask"]')
        await settle()
        text = '2["y","' + "x" * 100_000 + '"]'
        for _ in range(15):
            room.say(text)
        assert not room.paused()
        room.say('30["answer"]')
        await settle()
        assert room.log == ["answer"]

    async def test_but_not_without_end(
        self, room: OneClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        @room.socket.on("ask")
        async def ask() -> None:
            await room.socket.emit_with_ack("question")

        text = '2["y","' + "x" * 500_000 + '"]'
        with caplog.at_level(logging.CRITICAL, "telex"):
            room.say('2["ask"]')
            await settle()
            for _ in range(10):
                room.say(text)
            await settle()
        assert room.client.reasons == ["forced close"]

    async def test_the_end_of_the_client_ends_the_pause(self, room: OneClient) -> None:
        gate = self.start(room)
        room.socket.on("disconnect", room.log.append)
        await settle()
        text = '2["x","' + "x" * 500_000 + '"]'
        for _ in range(3):
            room.say(text)
        assert room.paused()
        room.client.session.transport_ended(room.client.transport, "transport close")
        gate.set()
        await settle()
        assert room.log == [1, 1, 1, "transport close"]


@pytest.mark.parametrize(
    ("value", "weight"),
    [
        (["a", {"b": 1}], 8 + 9 + 16 + 9 + 8),
        # What msgpack has for keys and JSON has not.
        ({1: "a", None: b"b", (1, "cd"): 2.5}, 16 + 8 + 9 + 8 + 9 + (8 + 8 + 10) + 8),
        (Ext(5, b"12345"), 13),
    ],
)
def test_what_waits_is_weighed(value: object, weight: int) -> None:
    assert inbox.weight_of(value) == weight
