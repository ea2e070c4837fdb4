"""Starting coroutines, awaiting nothing, and telling cancellations apart."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import ContextVar
from typing import Any

import pytest
import uvloop

from telex.loop.cancellation import cancelled_from_outside, reraise_fatal
from telex.loop.results import DONE, all_of
from telex.loop.tasks import discard, start
from telex.loop.turns import in_turns
from tests.support.calls import EAGER

Scenario = Callable[[asyncio.AbstractEventLoop], Coroutine[Any, Any, None]]
Run = Callable[[Scenario], None]


MARK: ContextVar[str] = ContextVar("MARK", default="unset")


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def runner(request: pytest.FixtureRequest) -> Iterator[asyncio.Runner]:
    with asyncio.Runner(debug=True, loop_factory=request.param) as runner:
        yield runner


@pytest.fixture(params=["in a task", "in a callback"])
def run(request: pytest.FixtureRequest, runner: asyncio.Runner) -> Callable[[Scenario], None]:
    """Lets a coroutine function begin tasks: in a task of its own, or where no task is running."""

    def run(scenario: Scenario) -> None:
        async def main() -> None:
            loop = asyncio.get_running_loop()
            if request.param == "in a task":
                await scenario(loop)
                return
            result: asyncio.Future[None] = loop.create_future()
            coro = scenario(loop)

            def step() -> None:
                assert asyncio.current_task() is None
                try:
                    coro.send(None)
                except StopIteration:
                    result.set_result(None)
                except BaseException as error:
                    result.set_exception(error)
                else:
                    loop.call_soon(step)

            loop.call_soon(step)
            await result

        runner.run(main())

    return run


class TestStart:
    def test_begins_at_once_and_runs_to_the_end(self, run: Run) -> None:
        steps: list[str] = []

        async def work() -> int:
            steps.append("begin")
            await asyncio.sleep(0)
            steps.append("end")
            return 5

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            task = start(loop, work())
            assert steps == (["begin"] if EAGER else [])
            assert task in asyncio.all_tasks()
            await turns()
            assert task.result() == 5
            assert steps == ["begin", "end"]
            assert task not in asyncio.all_tasks()

        run(scenario)

    def test_is_done_at_once(self, run: Run) -> None:
        async def work() -> int:
            return 5

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            task = start(loop, work())
            if not EAGER:
                await asyncio.sleep(0)
            assert task.done()
            assert task.result() == 5
            assert task not in asyncio.all_tasks()

        run(scenario)

    def test_is_a_task_like_any_other(self, run: Run) -> None:
        seen: list[object] = []

        async def work() -> None:
            seen.append(asyncio.current_task())
            start(asyncio.get_running_loop(), inner())
            seen.append(asyncio.current_task())
            await asyncio.sleep(0)
            seen.append(asyncio.current_task())

        async def inner() -> None:
            seen.append(asyncio.current_task())

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            before = asyncio.current_task()
            task = start(loop, work())
            assert asyncio.current_task() is before
            assert task.get_loop() is loop
            await turns()
            outer = [each for each in seen if each is task]
            inner_task: Any
            (inner_task,) = [each for each in seen if each is not task]
            assert len(outer) == 3
            assert isinstance(inner_task, asyncio.Task)
            assert seen[0] is task
            assert [each is inner_task for each in seen].index(True) == (1 if EAGER else 2)

        run(scenario)

    def test_has_a_context_of_its_own(self, run: Run) -> None:
        seen: list[str] = []

        async def work() -> None:
            seen.append(MARK.get())
            MARK.set("inside")
            await asyncio.sleep(0)
            seen.append(MARK.get())

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            token = MARK.set("outside")
            start(loop, work())
            assert MARK.get() == "outside"
            MARK.reset(token)
            await turns()
            assert seen == ["outside", "inside"]

        run(scenario)

    def test_fails_as_a_task_does(self, run: Run) -> None:
        failure = ValueError("x")

        async def work() -> None:
            raise failure

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            task = start(loop, work())
            await turns()
            assert task.exception() is failure

        run(scenario)

    def test_hands_on_what_ends_the_program(self, run: Run) -> None:
        async def work() -> None:
            raise SystemExit(1)

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            before = asyncio.current_task()
            if EAGER:
                with pytest.raises(SystemExit):
                    start(loop, work())
            assert asyncio.current_task() is before

        run(scenario)
        gc.collect()  # asyncio says that nobody has asked the task for its exception

    def test_is_cancelled_as_a_task_is(self, run: Run) -> None:
        seen: list[object] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                seen.append(cancelled_from_outside())
                raise

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            task = start(loop, work())
            await turns()
            task.cancel()
            await turns()
            assert task.cancelled()
            assert seen == [True]

        run(scenario)

    def test_timeouts_and_groups_work_inside(self, run: Run) -> None:
        seen: list[object] = []

        async def work() -> None:
            async with asyncio.TaskGroup() as group:
                group.create_task(asyncio.sleep(0))
            async with asyncio.timeout(0):
                await asyncio.Event().wait()

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            task = start(loop, work())
            task.add_done_callback(lambda task: seen.append(task.exception()))
            while not seen:
                await asyncio.sleep(0)
            assert isinstance(seen[0], TimeoutError)

        run(scenario)

    def test_leaves_the_making_to_a_loop_with_a_way_of_its_own(self, run: Run) -> None:
        made: list[object] = []

        def factory(
            loop: asyncio.AbstractEventLoop, coro: Any, **options: Any
        ) -> asyncio.Task[Any]:
            task = asyncio.Task(coro, loop=loop, **options)
            made.append(task)
            return task

        async def scenario(loop: asyncio.AbstractEventLoop) -> None:
            loop.set_task_factory(factory)
            task = start(loop, asyncio.sleep(0, 5))
            loop.set_task_factory(None)
            assert made == [task]
            await turns()
            assert task.result() == 5

        run(scenario)

    def test_waits_for_a_loop_that_is_not_running(self, runner: asyncio.Runner) -> None:
        steps: list[str] = []

        async def work() -> None:
            steps.append("begin")

        task = start(runner.get_loop(), work())
        assert steps == []

        async def main() -> None:
            await task

        runner.run(main())
        assert steps == ["begin"]

    def test_in_threads_at_the_same_time(self) -> None:
        """Each has its loop, and none begins another's task."""
        count = 2000

        async def work(number: int) -> tuple[int, asyncio.AbstractEventLoop]:
            return number, asyncio.get_running_loop()

        async def main() -> None:
            loop = asyncio.get_running_loop()
            for number in range(count):
                assert await start(loop, work(number)) == (number, loop)

        interval = sys.getswitchinterval()
        sys.setswitchinterval(1e-6)
        try:
            with ThreadPoolExecutor(3) as pool:
                for done in [pool.submit(asyncio.run, main()) for _ in range(3)]:
                    done.result()
        finally:
            sys.setswitchinterval(interval)


async def turns() -> None:
    """Let what has been begun run on."""
    for _ in range(5):
        await asyncio.sleep(0)


class TestDiscard:
    @pytest.mark.filterwarnings("error")
    async def test_closes_what_has_not_begun(self) -> None:
        async def work() -> None:
            raise AssertionError("begun")

        coro = work()
        discard(coro)
        with pytest.raises(RuntimeError, match="already awaited"):
            await coro

    async def test_leaves_alone_what_has_begun(self) -> None:
        async def work() -> int:
            await asyncio.sleep(0)
            return 5

        coro = work()
        task = asyncio.ensure_future(coro)
        await asyncio.sleep(0)
        discard(coro)
        assert await task == 5
        for other in (coro, task, None):
            discard(other)


class TestDone:
    async def test_may_be_awaited_often_or_never(self) -> None:
        assert await DONE is None  # type: ignore[func-returns-value]
        await DONE


class TestReraiseFatal:
    """A CancelledError is an error like any other, unless it is the task that is cancelled."""

    @pytest.mark.parametrize("error", [ValueError("x"), SystemExit(1), TimeoutError()])
    async def test_errors(self, error: BaseException) -> None:
        assert reraise_fatal(error) is error

    @pytest.mark.parametrize("kind", [KeyboardInterrupt, GeneratorExit])
    async def test_what_ends_the_program(self, kind: Callable[[], BaseException]) -> None:
        error = kind()
        with pytest.raises(type(error)):
            reraise_fatal(error)

    async def test_a_cancellation_that_came_out_of_something_else(self) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await future
        assert not cancelled_from_outside()
        assert reraise_fatal(caught.value) is caught.value

    async def test_a_cancellation_of_the_task_itself(self) -> None:
        outcome: list[bool] = []

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError as error:
                outcome.append(cancelled_from_outside())
                reraise_fatal(error)

        task = asyncio.ensure_future(work())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert outcome == [True]


class TestInTurns:
    async def test_so_many_in_a_turn(self) -> None:
        done: list[int] = []
        result = in_turns(range(7), done.append, 3)
        steps = [list(done)]
        for _ in range(2):
            await asyncio.sleep(0)
            steps.append(list(done))
        assert steps == [[0, 1, 2], [0, 1, 2, 3, 4, 5], [0, 1, 2, 3, 4, 5, 6]]
        await result

    async def test_awaiting_waits_for_all(self) -> None:
        done: list[int] = []
        await in_turns(range(100), done.append, 3)
        assert done == list(range(100))

    async def test_few_are_done_at_once(self) -> None:
        done: list[int] = []
        assert in_turns(range(3), done.append, 3) is DONE
        assert done == [0, 1, 2]

    def test_without_a_loop_all_are_done_at_once(self) -> None:
        done: list[int] = []
        assert in_turns(range(10), done.append, 3) is DONE
        assert done == list(range(10))

    async def test_an_error_keeps_no_others_back(self) -> None:
        done: list[float] = []
        errors: list[object] = []
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
        await in_turns([2, 1, 0, 4, 5], lambda number: done.append(1 / number), 2)
        assert done == [0.5, 1, 0.25, 0.2]
        assert [type(error) for error in errors] == [ZeroDivisionError]

    async def test_who_waits_no_longer_stops_nothing(self) -> None:
        done: list[int] = []

        async def wait() -> None:
            await in_turns(range(10), done.append, 3)

        task = asyncio.ensure_future(wait())
        await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        while len(done) < 10:
            await asyncio.sleep(0)
        await asyncio.sleep(0)


async def test_all_waits_for_each() -> None:
    done: list[int] = []
    results = [in_turns(range(5), done.append, 1), DONE]
    await all_of(results)
    assert done == list(range(5))
