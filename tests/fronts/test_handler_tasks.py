"""Coroutine handlers have a task of their own, with its context, from the first step on."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import json
import logging
import traceback
import weakref
from collections.abc import AsyncGenerator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import Any

import anyio
import pytest
import uvloop
from websockets.asyncio.client import ClientConnection, connect

from telex import Server, Socket
from telex.server import core

MARK: contextvars.ContextVar[Any] = contextvars.ContextVar("MARK", default="unset")

FAILED = {"error": {"type": "HandlerError", "message": "the handler failed"}}

Handler = Callable[..., Coroutine[Any, Any, Any]]
Scene = Callable[[], Coroutine[Any, Any, None]]
Play = Callable[[Scene], None]


@pytest.fixture(
    params=[
        (asyncio.new_event_loop, False),
        (asyncio.new_event_loop, True),
        (uvloop.new_event_loop, False),
    ],
    ids=["asyncio", "debug", "uvloop"],
)
def play(request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture) -> Iterator[Play]:
    """Runs a scene to the end of its loop, about which asyncio has nothing to say."""
    make, debug = request.param

    def play(scene: Scene) -> None:
        with asyncio.Runner(debug=debug, loop_factory=make) as runner:
            runner.run(scene())
        gc.collect()

    yield play
    said = [record for record in caplog.records if record.name == "asyncio"]
    assert [entry for entry in said if entry.levelno >= logging.ERROR] == []


class Client:
    """One that asks by acknowledgement."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection
        self._asked = 0

    async def ask(self, event: str, *args: Any) -> Any:
        """What the server acknowledges."""
        self._asked += 1
        await self.connection.send(f"42{self._asked}{json.dumps([event, *args])}")
        return await self.answer(self._asked)

    async def answer(self, ack_id: int) -> Any:
        async with asyncio.timeout(2):
            text = str(await self.connection.recv())
        head = f"43{ack_id}"
        assert text.startswith(head), text
        (value,) = json.loads(text[len(head) :]) or [None]
        return value


@asynccontextmanager
async def served(*handlers: Handler, server: Server | None = None) -> AsyncGenerator[Client]:
    """A client of a server with these handlers; each is called by its name, with its socket."""
    server = server or Server()
    for handler in handlers:
        server.event(handler)
    await server.listen(port=0)
    try:
        async with connected(server) as client:
            yield client
    finally:
        await server.close()


@asynccontextmanager
async def connected(server: Server) -> AsyncGenerator[Client]:
    uri = f"ws://127.0.0.1:{server.port}/socket.io/?EIO=4&transport=websocket"
    async with connect(uri, compression=None, ping_interval=None) as connection:
        assert str(await connection.recv()).startswith("0{")
        await connection.send("40")
        assert str(await connection.recv()).startswith("40{")
        yield Client(connection)


async def settled(condition: Callable[[], object]) -> None:
    """Wait until something is so."""
    async with asyncio.timeout(2):
        while not condition():
            await asyncio.sleep(0.001)


def current() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    assert task is not None
    return task


async def at_once(socket: Socket) -> str:
    return "at once"


async def later(socket: Socket) -> str:
    await asyncio.sleep(0)
    return "later"


class TestTheCurrentTask:
    def test_is_the_same_before_and_after_a_suspension(self, play: Play) -> None:
        async def same(socket: Socket) -> bool:
            first = current()
            known = first in asyncio.all_tasks()
            await asyncio.sleep(0)
            return known and first is current() and first in asyncio.all_tasks()

        async def scene() -> None:
            async with served(same) as client:
                for _ in range(3):
                    assert await client.ask("same") is True

        play(scene)

    def test_is_known_only_as_long_as_the_handler_runs(self, play: Play) -> None:
        async def others(socket: Socket) -> int:
            tasks = asyncio.all_tasks()
            tasks.remove(current())
            return len(tasks)

        async def scene() -> None:
            async with served(others) as client:
                before = len(asyncio.all_tasks())
                for _ in range(3):
                    assert await client.ask("others") in (before, before - 1, before + 1)
                assert all(task.get_name() != "telex" for task in asyncio.all_tasks())

        play(scene)

    def test_that_is_kept_ends(self, play: Play) -> None:
        kept: list[asyncio.Task[Any]] = []
        told: list[asyncio.Task[Any]] = []

        async def keep(socket: Socket) -> None:
            kept.append(current())

        async def listen(socket: Socket) -> None:
            kept.append(current())
            current().add_done_callback(told.append)

        async def fail(socket: Socket) -> None:
            kept.append(current())
            raise ValueError("x")

        async def scene() -> None:
            async with served(keep, listen, fail) as client:
                for _ in range(2):
                    assert await client.ask("keep") is None
                    assert await client.ask("listen") is None
                    assert await client.ask("fail") == FAILED
                await settled(lambda: len(told) == 2)
                assert len(set(kept)) == 6
                assert told == [kept[1], kept[4]]
                assert all(task.done() for task in kept)
                assert all(task.exception() is None and task.result() is None for task in kept)

        play(scene)

    def test_forgets_what_it_was_called(self, play: Play) -> None:
        async def name(socket: Socket) -> str:
            before = current().get_name()
            current().set_name("mine")
            return before

        async def scene() -> None:
            async with served(name) as client:
                for _ in range(3):
                    assert await client.ask("name") != "mine"

        play(scene)

    def test_forgets_what_was_written_on_it(self, play: Play) -> None:
        notes: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

        async def write(socket: Socket) -> list[Any]:
            task: Any = current()
            before = [notes.get(task), getattr(task, "note", None)]
            notes[task] = 1
            return before

        async def attribute(socket: Socket) -> Any:
            task: Any = current()
            before = getattr(task, "note", None)
            task.note = 1
            return before

        async def scene() -> None:
            async with served(write, attribute) as client:
                for _ in range(3):
                    assert await client.ask("write") == [None, None]
                    assert await client.ask("attribute") is None

        play(scene)

    def test_cannot_wait_for_itself(self, play: Play) -> None:
        async def wait(socket: Socket) -> str:
            try:
                await current()
            except RuntimeError as error:
                return str(error)
            return "waited"

        async def scene() -> None:
            async with served(wait) as client:
                assert "cannot await on itself" in await client.ask("wait")

        play(scene)

    def test_may_be_cancelled_and_end(self, play: Play) -> None:
        kept: list[asyncio.Task[Any]] = []

        async def cancel(socket: Socket) -> str:
            kept.append(current())
            current().cancel()
            return "answered"

        async def forget(socket: Socket) -> str:
            current().cancel()
            current().uncancel()
            return "answered"

        async def scene() -> None:
            async with served(cancel, forget, at_once) as client:
                for _ in range(3):
                    assert await client.ask("cancel") == "answered"
                    assert await client.ask("forget") == "answered"
                    assert await client.ask("at_once") == "at once"
                assert all(task.cancelled() for task in kept)

        play(scene)

    @pytest.mark.parametrize("wait", [asyncio.sleep, asyncio.Event.wait], ids=["turn", "event"])
    def test_may_be_cancelled_and_suspend(self, play: Play, wait: Any) -> None:
        seen: list[Any] = []

        async def cancel(socket: Socket, catch: bool) -> str:
            task = current()
            task.cancel("enough")
            try:
                await wait(0 if wait is asyncio.sleep else asyncio.Event())
            except asyncio.CancelledError as error:
                seen.append((error.args, task is current(), task.cancelling()))
                if not catch:
                    raise
                task.uncancel()
            await asyncio.sleep(0)
            return "caught"

        async def scene() -> None:
            async with served(cancel, at_once) as client:
                for number in range(3):
                    assert await client.ask("cancel", True) == "caught"
                    await client.connection.send('42["cancel",false]')
                    assert await client.ask("at_once") == "at once"
                    assert len(seen) == 2 * number + 2
            assert seen == [(("enough",), True, 1)] * 6

        play(scene)

    def test_may_be_cancelled_while_what_it_waits_for_is_done(self, play: Play) -> None:
        class Deaf(asyncio.Future[None]):
            def cancel(self, msg: Any = None) -> bool:
                return False

        async def cancel(socket: Socket, fail: bool) -> str:
            future = Deaf()
            end = partial(future.set_exception, ValueError("x"))
            asyncio.get_running_loop().call_soon(end if fail else partial(future.set_result, None))
            current().cancel()
            try:
                await future
            except asyncio.CancelledError:
                current().uncancel()
                return "cancelled"
            finally:
                future.exception()
            return "not cancelled"

        async def scene() -> None:
            async with served(cancel) as client:
                assert await client.ask("cancel", False) == "cancelled"
                assert await client.ask("cancel", True) == "cancelled"

        play(scene)

    def test_may_be_cancelled_and_say_so(
        self, play: Play, caplog: pytest.LogCaptureFixture
    ) -> None:
        async def cancel(socket: Socket) -> None:
            current().cancel()
            raise asyncio.CancelledError

        async def claim(socket: Socket) -> None:
            raise asyncio.CancelledError

        async def scene() -> None:
            async with served(cancel, claim, at_once) as client:
                await client.connection.send('42["cancel"]')
                assert await client.ask("at_once") == "at once"
                assert [each for each in caplog.records if each.name == "telex"] == []
                assert await client.ask("claim") == FAILED

        play(scene)

    def test_may_be_cancelled_from_outside(self, play: Play) -> None:
        tasks: list[asyncio.Task[Any]] = []

        async def wait(socket: Socket) -> None:
            tasks.append(current())
            await asyncio.Event().wait()

        async def scene() -> None:
            async with served(wait, at_once) as client:
                await client.connection.send('42["wait"]')
                await settled(lambda: tasks)
                tasks[0].cancel()
                assert await client.ask("at_once") == "at once"
                assert tasks[0].cancelled()

        play(scene)


class TestContexts:
    def test_are_of_one_event(self, play: Play) -> None:
        async def note(socket: Socket, suspend: bool) -> list[Any]:
            before = MARK.get()
            MARK.set("inside")
            if suspend:
                await asyncio.sleep(0)
            return [before, MARK.get()]

        async def scene() -> None:
            async with served(note) as client:
                for number in range(6):
                    assert await client.ask("note", bool(number % 2)) == ["unset", "inside"]

        play(scene)

    def test_do_not_take_equal_for_the_same(self, play: Play) -> None:
        outside: list[Any] = []

        async def note(socket: Socket) -> bool:
            same = MARK.get() is outside
            MARK.set([])
            return same

        async def restore(socket: Socket) -> bool:
            same = MARK.get() is outside
            token = MARK.set([1])
            MARK.reset(token)
            return same

        async def scene() -> None:
            MARK.set(outside)
            async with served(note, restore) as client:
                for _ in range(3):
                    assert await client.ask("note") is True
                    assert await client.ask("restore") is True

        play(scene)


class TestWhatHandlersDo:
    def test_groups_timeouts_shields_threads(self, play: Play) -> None:
        async def group(socket: Socket) -> list[int]:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(asyncio.sleep(0, number)) for number in range(3)]
            return [task.result() for task in tasks]

        async def failing(socket: Socket) -> str:
            async def fail() -> None:
                raise ValueError("x")

            try:
                async with asyncio.TaskGroup() as group:
                    group.create_task(fail())
                    await asyncio.Event().wait()
            except ExceptionGroup:
                return "failed"
            return "ended"

        async def timeout(socket: Socket, delay: float | None) -> str:
            try:
                async with asyncio.timeout(delay):
                    if delay is not None:
                        await asyncio.Event().wait()
            except TimeoutError:
                return "late"
            return "in time"

        async def shield(socket: Socket) -> int:
            return await asyncio.shield(asyncio.sleep(0, 5))

        async def thread(socket: Socket) -> int:
            return await asyncio.to_thread(lambda: 5)

        async def scene() -> None:
            async with served(group, failing, timeout, shield, thread) as client:
                for _ in range(2):
                    assert await client.ask("group") == [0, 1, 2]
                    assert await client.ask("failing") == "failed"
                    for delay, outcome in (
                        (-1, "late"),
                        (0, "late"),
                        (30, None),
                        (None, "in time"),
                    ):
                        if outcome is not None:
                            assert await client.ask("timeout", delay) == outcome
                    assert await client.ask("shield") == 5
                    assert await client.ask("thread") == 5

        play(scene)

    def test_anyio(self, play: Play) -> None:
        async def scope(socket: Socket, suspend: bool) -> bool:
            with anyio.CancelScope() as scope:
                scope.cancel()
                if suspend:
                    await anyio.sleep(30)
            return scope.cancelled_caught

        async def late(socket: Socket) -> bool:
            with anyio.move_on_after(0) as scope:
                await anyio.sleep(30)
            return scope.cancelled_caught

        async def group(socket: Socket) -> str:
            async with anyio.create_task_group() as group:
                group.start_soon(anyio.sleep, 0)
            return anyio.get_current_task().name or "none"

        async def scene() -> None:
            async with served(scope, late, group, at_once) as client:
                for _ in range(3):
                    assert await client.ask("scope", True) is True
                    assert await client.ask("scope", False) is False
                    assert await client.ask("late") is True
                    assert await client.ask("group")
                    assert await client.ask("at_once") == "at once"

        play(scene)

    def test_run_is_an_error(self, play: Play) -> None:
        async def run(socket: Socket) -> str:
            coro = asyncio.sleep(0)
            try:
                asyncio.run(coro)
            except RuntimeError as error:
                coro.close()
                return str(error)
            return "ran"

        async def scene() -> None:
            async with served(run) as client:
                assert "cannot be called" in await client.ask("run")

        play(scene)

    def test_disconnecting_with_events_that_wait(self, play: Play) -> None:
        seen: list[str] = []

        async def leave(socket: Socket) -> None:
            socket.disconnect()
            seen.append("left")

        async def after(socket: Socket) -> None:
            seen.append("after")

        async def disconnect(socket: Socket, reason: str) -> None:
            seen.append(reason)

        async def scene() -> None:
            async with served(leave, after, disconnect) as client:
                await client.connection.send('42["leave"]')
                await client.connection.send('42["after"]')
                await settled(lambda: seen[-1:] == ["server namespace disconnect"])
            assert [each for each in seen if each != "after"] == [
                "left",
                "server namespace disconnect",
            ]

        play(scene)

    def test_a_coroutine_that_somebody_else_has_begun(self, play: Play) -> None:
        async def scene() -> None:
            gate = asyncio.Event()

            async def wait() -> int:
                await gate.wait()
                return 5

            coro = wait()
            task = asyncio.ensure_future(coro)
            server = Server()

            @server.event
            def twice(socket: Socket) -> Coroutine[Any, Any, int]:
                return coro

            async with served(server=server) as client:
                assert await client.ask("twice") == FAILED
                gate.set()
                assert await task == 5

        play(scene)

    def test_bad_yields(self, play: Play) -> None:
        class Bad:
            def __await__(self) -> Generator[Any, Any, Any]:
                yield 5

        async def bad(socket: Socket) -> str:
            try:
                await Bad()
            except RuntimeError as error:
                return str(error)
            return "fine"

        async def scene() -> None:
            async with served(bad) as client:
                assert "bad yield" in await client.ask("bad")

        play(scene)


class TestOrder:
    def test_of_events_behind_one_that_suspends(self, play: Play) -> None:
        seen: list[int] = []

        async def number(socket: Socket, number: int) -> int:
            if number % 3 == 0:
                await asyncio.sleep(0.001)
            seen.append(number)
            return number

        async def scene() -> None:
            async with served(number) as client:
                for asked in range(1, 31):
                    await client.connection.send(f'42{asked}["number",{asked}]')
                for asked in range(1, 31):
                    assert await client.answer(asked) == asked
            assert seen == list(range(1, 31))

        play(scene)


class TestErrors:
    @pytest.mark.parametrize("suspend", [False, True])
    @pytest.mark.parametrize("kind", [ValueError, SystemExit, asyncio.CancelledError])
    def test_know_where_they_come_from(
        self, play: Play, caplog: pytest.LogCaptureFixture, kind: type[BaseException], suspend: bool
    ) -> None:
        heard: list[BaseException] = []

        async def inner() -> None:
            if suspend:
                await asyncio.sleep(0)
            raise kind("x")

        async def fail(socket: Socket) -> None:
            await inner()

        async def scene() -> None:
            server = Server()

            @server.on("connection")
            def connection(socket: Socket) -> None:
                socket.on("error", heard.append)

            async with served(fail, at_once, server=server) as client:
                assert await client.ask("fail") == FAILED
                assert await client.ask("at_once") == "at once"

        play(scene)
        (error,) = heard
        assert type(error) is kind
        frames = [frame.name for frame in traceback.extract_tb(error.__traceback__)]
        assert frames[-2:] == ["fail", "inner"]
        caplog.clear()


class TestLoops:
    def test_ways_to_make_tasks_are_respected(self, play: Play) -> None:
        made: list[asyncio.Task[Any]] = []

        def factory(loop: asyncio.AbstractEventLoop, coro: Any, **more: Any) -> asyncio.Task[Any]:
            made.append(asyncio.Task(coro, loop=loop, **more))
            return made[-1]

        async def mine(socket: Socket) -> bool:
            return current() in made

        async def scene() -> None:
            loop = asyncio.get_running_loop()
            async with served(mine) as client:
                assert await client.ask("mine") is False
                loop.set_task_factory(factory)
                assert await client.ask("mine") is True
                loop.set_task_factory(None)
                assert await client.ask("mine") is False

        play(scene)

    def test_one_after_the_other(self) -> None:
        server = Server()

        async def loop(socket: Socket, suspend: bool) -> bool:
            if suspend:
                await asyncio.sleep(0)
            return asyncio.get_running_loop() is current().get_loop()

        async def scene() -> None:
            async with served(server=server) as client:
                for suspend in (False, True, False):
                    assert await client.ask("loop", suspend) is True

        server.event(loop)
        for run in (asyncio.run, uvloop.run, asyncio.run):
            run(scene())

    def test_two_servers_on_one(self, play: Play) -> None:
        async def scene() -> None:
            async with served(at_once, later) as one, served(at_once, later) as two:
                for _ in range(3):
                    answers = await asyncio.gather(
                        *[client.ask(event) for client, event in ((one, "later"), (two, "at_once"))]
                    )
                    assert answers == ["later", "at once"]

        play(scene)

    async def test_in_threads(self) -> None:
        async def scene() -> None:
            async with served(at_once, later) as client:
                for _ in range(100):
                    assert await client.ask("at_once") == "at once"
                    assert await client.ask("later") == "later"

        await asyncio.gather(*[asyncio.to_thread(asyncio.run, scene()) for _ in range(3)])

    @pytest.mark.parametrize("run", [asyncio.run, uvloop.run])
    @pytest.mark.filterwarnings("error")
    def test_end_with_a_handler_that_waits(
        self,
        run: Callable[[Any], Any],
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(core, "GRACE", 0.2)  # what handlers have to end by themselves
        begun: list[bool] = []
        ended: list[bool] = []

        async def wait(socket: Socket) -> None:
            begun.append(True)
            try:
                await asyncio.Event().wait()
            finally:
                ended.append(current().cancelling() > 0)

        async def scene() -> None:
            server = Server()
            server.event(wait)
            server.event(at_once)
            await server.listen(port=0)
            client = connected(server)
            asked = await client.__aenter__()
            assert await asked.ask("at_once") == "at once"
            await asked.connection.send('42["wait"]')
            await settled(lambda: begun)
            await server.close()
            await client.__aexit__(None, None, None)

        run(scene())
        gc.collect()
        assert len(ended) == 1
        assert [record for record in caplog.records if record.name == "asyncio"] == []
