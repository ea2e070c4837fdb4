"""Starting coroutines, awaiting nothing, and telling cancellations apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from telex import _aio


class TestStart:
    async def test_runs_to_the_end(self) -> None:
        steps: list[str] = []

        async def work() -> int:
            steps.append("begin")
            await asyncio.sleep(0)
            steps.append("end")
            return 5

        task = _aio.start(asyncio.get_running_loop(), work())
        assert steps == ["begin"]
        assert await task == 5
        assert steps == ["begin", "end"]

    async def test_timeouts_work_inside(self) -> None:
        async def work() -> None:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

        with pytest.raises(TimeoutError):
            await _aio.start(asyncio.get_running_loop(), work())


class TestDiscard:
    @pytest.mark.filterwarnings("error")
    async def test_closes_what_has_not_begun(self) -> None:
        async def work() -> None:
            raise AssertionError("begun")

        coro = work()
        _aio.discard(coro)
        with pytest.raises(RuntimeError, match="already awaited"):
            await coro

    async def test_leaves_alone_what_has_begun(self) -> None:
        async def work() -> int:
            await asyncio.sleep(0)
            return 5

        coro = work()
        task = asyncio.ensure_future(coro)
        await asyncio.sleep(0)
        _aio.discard(coro)
        assert await task == 5
        for other in (coro, task, None):
            _aio.discard(other)


class TestDone:
    async def test_may_be_awaited_often_or_never(self) -> None:
        assert await _aio.DONE is None  # type: ignore[func-returns-value]
        await _aio.DONE


class TestHarmless:
    """A CancelledError is an error like any other, unless it is the task that is cancelled."""

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), TimeoutError()])
    async def test_errors(self, error: BaseException) -> None:
        assert _aio.harmless(error) is error

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
    async def test_what_ends_the_program(self, kind: Callable[[], BaseException]) -> None:
        error = kind()
        with pytest.raises(type(error)):
            _aio.harmless(error)

    async def test_a_cancellation_that_came_out_of_something_else(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await future
        assert not _aio.cancelled_from_outside()
        assert _aio.harmless(caught.value) is caught.value

    async def test_a_cancellation_of_the_task_itself(self) -> None:
        outcome: list[bool] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                outcome.append(_aio.cancelled_from_outside())
                _aio.harmless(error)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert outcome == [True]
