"""Acknowledgements: given once, taken once, collected from many."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telex.errors import AckTimeout, Disconnected
from telex.events.acks import Ack, AckCollector, as_answer, call, into_callback, into_future
from telex.events.runtime import Runtime
from telex.parser.default import DEFAULT_PARSER
from tests.server.scenes import settle
from tests.support.doubles import VirtualClock
from tests.support.loops import VirtualLoop


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    runtime = Runtime(DEFAULT_PARSER)
    runtime.bind(asyncio.get_running_loop())
    yield runtime
    assert runtime.tasks == set()


class TestAck:
    def test_answers_once(self) -> None:
        sent: list[tuple[Any, ...]] = []
        ack = Ack(sent.append)
        states = [ack.sent]
        ack("a", 1)
        ack("b")
        assert [*states, ack.sent] == [False, True]
        assert sent == [("a", 1)]


@pytest.mark.parametrize(
    ("args", "answer"), [([], None), ([1], 1), ([None], None), ([1, 2], (1, 2)), ([[1]], [1])]
)
def test_answers_as_one_value(args: list[Any], answer: Any) -> None:
    assert as_answer(args) == answer


class TestFutures:
    async def test_get_the_answer(self) -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        settle_it = into_future(future)
        settle_it([1, 2], None)
        settle_it([3], None)
        settle_it(None, Disconnected("late"))
        assert await future == (1, 2)

    async def test_get_the_error(self) -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        into_future(future)(None, Disconnected("ping timeout"))
        with pytest.raises(Disconnected, match="ping timeout"):
            await future

    async def test_that_were_cancelled_stay_so(self) -> None:
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.cancel()
        into_future(future)([1], None)
        assert future.cancelled()


class TestCallbacks:
    async def test_get_the_answer(self, runtime: Runtime) -> None:
        calls: list[tuple[Any, ...]] = []

        def callback(*args: Any) -> None:
            calls.append(args)

        into_callback(runtime, callback, error_first=False)([1, 2], None)
        into_callback(runtime, callback, error_first=True)([1, 2], None)
        assert calls == [(1, 2), (None, 1, 2)]

    async def test_get_the_error_if_they_have_a_place_for_it(self, runtime: Runtime) -> None:
        calls: list[tuple[Any, ...]] = []

        def callback(*args: Any) -> None:
            calls.append(args)

        error = Disconnected("gone")
        into_callback(runtime, callback, error_first=False)(None, error)
        assert calls == []
        into_callback(runtime, callback, error_first=True)(None, error)
        assert calls == [(error,)]

    async def test_may_be_async(self, runtime: Runtime) -> None:
        calls: list[int] = []

        async def callback(value: int) -> None:
            await asyncio.sleep(0)
            calls.append(value)

        into_callback(runtime, callback, error_first=False)([1], None)

        def hands_on(value: int) -> object:
            return callback(value)

        into_callback(runtime, hands_on, error_first=False)([2], None)
        await settle()
        assert calls == [1, 2]

    async def test_what_they_raise_is_logged(
        self, runtime: Runtime, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails() -> None:
            raise RuntimeError("plain")

        async def fails_later() -> None:
            raise RuntimeError("async")

        async def is_cancelled() -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        with caplog.at_level(logging.ERROR, "telex"):
            for function in (fails, fails_later, is_cancelled):
                call(runtime, function)
            await settle()
        assert len(caplog.records) == 3
        assert "plain" in caplog.text
        assert "async" in caplog.text

    def test_must_be_callable(self) -> None:
        wrong: Any = "callback"
        with pytest.raises(TypeError, match="ack must be callable"):
            into_callback(Runtime(DEFAULT_PARSER), wrong, error_first=False)


class Collection:
    """Acknowledgements of a broadcast with a limit of 5 seconds, on a virtual loop."""

    def __init__(self, *, servers: int = 1) -> None:
        self.loop = VirtualLoop(VirtualClock())
        runtime = Runtime(DEFAULT_PARSER)
        runtime.bind(self.loop)
        self.done: list[tuple[AckTimeout | None, list[Any]]] = []
        self.all = AckCollector(
            runtime, 5, lambda error, responses: self.done.append((error, responses))
        )
        self.all.asked(servers)


@pytest.fixture
def collection() -> Any:
    collection = Collection()
    yield collection
    collection.loop.close()


class TestCollected:
    def test_when_all_have_answered(self, collection: Collection) -> None:
        collection.all.counted(2)
        collection.all.settle(["a"], None)
        assert collection.done == []
        collection.all.settle([], None)
        assert collection.done == [(None, ["a", None])]
        assert collection.loop.timers == 0

    def test_those_who_leave_are_not_waited_for(self, collection: Collection) -> None:
        collection.all.counted(2)
        collection.all.settle(None, Disconnected("gone"))
        collection.all.settle(["a", "b"], None)
        assert collection.done == [(None, [("a", "b")])]

    def test_nobody_answers_at_once(self, collection: Collection) -> None:
        collection.all.counted(0)
        assert collection.done == [(None, [])]

    def test_answers_may_come_before_the_count(self, collection: Collection) -> None:
        collection.all.settle(["a"], None)
        assert collection.done == []
        collection.all.counted(1)
        assert collection.done == [(None, ["a"])]

    def test_those_who_are_late(self, collection: Collection) -> None:
        collection.all.counted(3)
        collection.all.settle(["a"], None)
        collection.loop.advance(5)
        ((error, responses),) = collection.done
        assert isinstance(error, AckTimeout)
        assert "2 of 3 clients" in str(error)
        assert error.responses == responses == ["a"]
        collection.all.settle(["late"], None)
        collection.all.settle(["late"], None)
        assert len(collection.done) == 1

    def test_every_server_is_waited_for(self) -> None:
        collection = Collection(servers=2)
        collection.all.counted(0)
        collection.all.counted(1)
        assert collection.done == []
        collection.all.settle([], None)
        assert collection.done == [(None, [None])]
        collection.loop.close()
