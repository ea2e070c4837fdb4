"""One rule for every call of a handler, and handlers of the life cycle in order."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import Ack
from telex.events.handlers import Handler
from telex.events.invoke import ConnectionHandlers, call_handler, run_handler, run_in_order
from telex.events.parameters import InvalidArguments


def nothing() -> tuple[Any, ...]:
    return ()


def one(first: Any) -> tuple[Any, ...]:
    return (first,)


def two(first: Any, second: Any) -> tuple[Any, ...]:
    return first, second


def everything(*args: Any) -> tuple[Any, ...]:
    return args


class TestArguments:
    @pytest.mark.parametrize(
        ("handler", "taken"),
        [
            (Handler(nothing), ()),
            (Handler(one), (1,)),
            (Handler(one, with_socket=True), ("socket",)),
            (Handler(two, with_socket=True), ("socket", 1)),
            (Handler(everything), (1, 2)),
            (Handler(everything, with_socket=True), ("socket", 1, 2)),
        ],
    )
    def test_are_as_many_as_it_takes(self, handler: Handler, taken: tuple[Any, ...]) -> None:
        assert call_handler(handler, "socket", [1, 2]) == taken

    def test_that_are_too_few_are_a_mistake(self) -> None:
        with pytest.raises(InvalidArguments, match="expected 2 arguments, got 1"):
            call_handler(Handler(two, checked=False), "socket", [1])

    def test_that_were_converted_are_not_converted_again(self) -> None:
        def typed(number: int) -> int:
            return number

        assert call_handler(Handler(typed), None, ["as it is"], None, True) == "as it is"

    def test_the_acknowledgement_is_given_by_name(self) -> None:
        def required(value: Any, ack: Ack) -> Any:
            return ack

        def optional(value: Any, ack: Ack | None = None) -> Any:
            return ack

        ack = Ack(print)
        assert call_handler(Handler(required), None, [1], ack) is ack
        assert call_handler(Handler(required), None, [1]) is None
        assert call_handler(Handler(optional), None, [1]) is None


async def test_an_async_handler_may_be_anything_that_returns_an_awaitable() -> None:
    """What wraps a coroutine function may return a future instead of its coroutine."""

    async def later(value: Any) -> Any:
        return value

    def wrapper(value: Any) -> Any:
        return asyncio.ensure_future(later(value))

    wrapper.__wrapped__ = later  # type: ignore[attr-defined]  # as functools.wraps does
    assert await run_handler(Handler(wrapper), None, [1]) == 1


async def test_a_failure_does_not_keep_the_next_from_running() -> None:
    seen: list[Any] = []
    failed: list[BaseException] = []

    def fails(reason: str) -> None:
        raise ValueError(reason)

    async def works(reason: str) -> None:
        seen.append(reason)

    await run_in_order([Handler(fails), Handler(works)], None, ["gone"], failed.append)
    assert seen == ["gone"]
    assert [str(error) for error in failed] == ["gone"]


class TestConnection:
    """The handlers of ``connection`` run in order, until one refuses."""

    @staticmethod
    async def run(*functions: Any) -> list[BaseException | None]:
        failed: list[BaseException | None] = []
        handlers = [Handler(function, checked=False) for function in functions]
        connection = ConnectionHandlers(handlers, "socket", failed.append, set())
        if connection.begin() is not None:
            await connection.finish()
        return failed

    async def test_plain_and_async_ones_take_turns(self) -> None:
        seen: list[int] = []

        def plain(socket: Any) -> None:
            seen.append(len(seen))

        async def later(socket: Any) -> None:
            await asyncio.sleep(0)
            seen.append(len(seen))

        assert await self.run(plain, later, later, plain, later) == []
        assert seen == [0, 1, 2, 3, 4]

    @pytest.mark.parametrize("before", ["nothing", "plain", "async"])
    @pytest.mark.parametrize("how", ["plain", "async"])
    @pytest.mark.parametrize("raises", [True, False])
    async def test_one_refuses(self, before: str, how: str, raises: bool) -> None:
        seen: list[str] = []

        def plain(socket: Any) -> Any:
            if raises:
                raise LookupError
            return False

        async def later(socket: Any) -> Any:
            return plain(socket)

        async def welcome(socket: Any) -> None:
            seen.append("welcome")

        first: dict[str, list[Any]] = {"nothing": [], "plain": [nothing], "async": [welcome]}
        failed = await self.run(*first[before], plain if how == "plain" else later, welcome)
        assert [type(error) for error in failed] == [LookupError if raises else type(None)]
        assert seen == (["welcome"] if before == "async" else [])

    async def test_a_plain_one_that_finds_something_cancelled_refuses(self) -> None:
        def finds(socket: Any) -> None:
            raise asyncio.CancelledError

        [error] = await self.run(finds)
        assert isinstance(error, asyncio.CancelledError)
