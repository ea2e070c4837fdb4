"""Threads: every call belongs to that of the event loop; `threadsafe` is for the others.

Real servers and clients on one loop, which is in debug mode as all loops of the tests are.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import gc
import logging
import threading
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

import telex
from telex import Ack, AckTimeout, ConfigurationError, EngineServer, Server, Socket
from telex.errors import Disconnected, EncodeError
from telex.events import threadsafe

in_thread = asyncio.to_thread


class Scene:
    """A server, a client, and the two ends of their connection."""

    def __init__(self) -> None:
        self.io = Server()
        self.joined: asyncio.Future[Socket] = asyncio.get_running_loop().create_future()
        self.io.on("connection", self.joined.set_result)
        self.client: telex.ClientSocket
        self.socket: Socket
        self.events: list[Any] = []

    async def open(self) -> None:
        await self.io.listen(port=0)
        self.client = telex.connect(f"http://127.0.0.1:{self.io.port}", transports=["websocket"])
        await self.client
        self.socket = await self.joined

    @property
    def engine(self) -> telex.ClientEngine:
        """The client's end of the connection."""
        engine = self.client.io.engine
        assert engine is not None
        return engine

    async def close(self) -> None:
        await self.client.disconnect()
        await self.io.close()

    async def hears(self, *events: list[Any]) -> None:
        """The client's next events."""
        for event in events:
            assert await self.client.receive(timeout=30) == event


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    made = Scene()
    await made.open()
    yield made
    await made.close()


Call = Callable[[Scene], object]


def runs(call: Callable[[Scene], Any]) -> Call:
    """A thread that has an event loop of its own, on which it awaits the call."""

    async def wait(scene: Scene) -> None:
        await call(scene)

    return lambda scene: asyncio.run(wait(scene))


PLAIN: dict[str, Call] = {
    "io.emit": lambda s: s.io.emit("news"),
    "io.send": lambda s: s.io.send("news"),
    "io.emit ack=": lambda s: s.io.timeout(1).emit("news", ack=print),
    "io.emit_with_ack": runs(lambda s: s.io.timeout(1).emit_with_ack("news")),
    "io.fetch_sockets": runs(lambda s: s.io.fetch_sockets()),
    "io.clients": runs(lambda s: s.io.clients()),
    "io.sockets_join": lambda s: s.io.sockets_join("room"),
    "io.sockets_leave": lambda s: s.io.sockets_leave("room"),
    "io.disconnect_sockets": lambda s: s.io.disconnect_sockets(),
    "io.server_side_emit": lambda s: s.io.server_side_emit("news"),
    "io.server_side_emit_with_ack": runs(lambda s: s.io.server_side_emit_with_ack("news")),
    "io.of": lambda s: s.io.of("/new"),
    "io.close": runs(lambda s: s.io.close()),
    "socket.emit": lambda s: s.socket.emit("news"),
    "socket.send": lambda s: s.socket.send("news"),
    "socket.emit ack=": lambda s: s.socket.emit("news", ack=print),
    "socket.emit_with_ack": runs(lambda s: s.socket.emit_with_ack("news")),
    "socket.volatile": lambda s: s.socket.volatile.emit("news"),
    "socket.broadcast": lambda s: s.socket.broadcast.emit("news"),
    "socket.join": lambda s: s.socket.join("room"),
    "socket.leave": lambda s: s.socket.leave("room"),
    "socket.disconnect": lambda s: s.socket.disconnect(),
    "socket.disconnect close": lambda s: s.socket.disconnect(close=True),
    "socket.conn.send": lambda s: s.socket.conn.send("x"),
    "socket.conn.close": lambda s: s.socket.conn.close(),
    "client.emit": lambda s: s.client.emit("news"),
    "client.emit_with_ack": runs(lambda s: s.client.emit_with_ack("news")),
    "client.timeout.emit": lambda s: s.client.timeout(1).emit("news"),
    "client.disconnect": lambda s: s.client.disconnect(),
    "client.connect": lambda s: s.client.connect(),
    "manager.open": lambda s: s.client.io.open(),
    "manager.close": lambda s: s.client.io.close(),
    "engine.send": lambda s: s.engine.send("x"),
    "engine.close": lambda s: s.engine.close(),
}


async def test_calls_from_another_thread_are_refused(scene: Scene) -> None:
    """They name what to use there, and nothing happens: the event after each is the next one."""
    for name, call in PLAIN.items():
        with pytest.raises(ConfigurationError) as caught:
            await in_thread(call, scene)
        assert "in a thread other than" in str(caught.value), name
        assert "io.threadsafe" in str(caught.value), name
        assert scene.socket.rooms == {scene.socket.id}, name
        scene.io.emit("then", name)
        await scene.hears(["then", name])


async def test_threads_that_have_no_loop_yet(scene: Scene) -> None:
    """A server that is not running has nothing to protect: it may be prepared anywhere."""
    await in_thread(lambda: Server().of("/chat").emit("news"))


async def test_coroutines_that_are_spawned(scene: Scene) -> None:
    async def work() -> None: ...

    coro = work()
    with pytest.raises(ConfigurationError, match=r"io\.threadsafe\.call"):
        await in_thread(lambda: scene.socket.spawn(coro))
    await asyncio.wrap_future(await in_thread(scene.io.threadsafe.call, scene.socket.spawn, coro))


SAFE: dict[str, Call] = {
    "io": lambda s: s.io.threadsafe.emit("news", 1),
    "io.of": lambda s: s.io.threadsafe.of("/").emit("news", 1),
    "namespace": lambda s: s.io.of("/").threadsafe.emit("news", 1),
    "operators": lambda s: (
        s.io.threadsafe.local.compress(False)
        .binary(True)
        .in_(s.socket.id)
        .except_("x")
        .emit("news", 1)
    ),
    "volatile": lambda s: s.io.threadsafe.volatile.to(s.socket.id).emit("news", 1),
    "call": lambda s: s.io.threadsafe.call(s.io.emit, "news", 1),
    "socket": lambda s: s.socket.threadsafe.emit("news", 1),
    "socket flags": lambda s: (
        s.socket.threadsafe.volatile.compress(False).binary(True).emit("news", 1)
    ),
    "timeout": lambda s: s.socket.threadsafe.timeout(5).emit("news", 1),
    "conn": lambda s: s.io.threadsafe.call(s.socket.conn.send, '2["news",1]'),
}


async def test_threadsafe_emits(scene: Scene) -> None:
    for call in SAFE.values():
        handed: Any = await in_thread(call, scene)
        await in_thread(handed.result, 30)
        await scene.hears(["news", 1])


async def test_in_order(scene: Scene) -> None:
    """From one thread: with calls of every kind among them, and none waited for."""

    def work() -> None:
        scene.io.threadsafe.send(1)
        scene.socket.threadsafe.send(2)
        for number in range(50):
            scene.socket.threadsafe.join("even" if number % 2 == 0 else "odd")
            scene.io.threadsafe.to("even").emit("even", number)
            scene.socket.threadsafe.leave("even")

    await in_thread(work)
    await scene.hears(["message", 1], ["message", 2])
    await scene.hears(*(["even", number] for number in range(0, 50, 2)))


async def test_callbacks_are_called_on_the_loop(scene: Scene) -> None:
    scene.client.event("ask")(lambda: 7)
    answers: asyncio.Queue[Any] = asyncio.Queue()
    await in_thread(lambda: scene.socket.threadsafe.emit("ask", ack=answers.put_nowait))
    assert await answers.get() == 7

    def all_have_answered(error: object, responses: list[Any]) -> None:
        answers.put_nowait(responses)

    safe = scene.io.threadsafe.timeout(30)
    await in_thread(lambda: safe.emit("ask", ack=all_have_answered))
    assert await answers.get() == [7]


async def test_many_threads_while_sockets_come_and_go(scene: Scene) -> None:
    """Rooms are joined, left and emitted to on the loop while other threads do the same."""

    def work() -> None:
        safe = scene.io.threadsafe
        mine = str(threading.get_ident())
        for number in range(100):
            safe.sockets_join([mine, "a", str(number)])
            safe.to(mine).except_("b").emit("news", number)
            safe.sockets_leave([mine, "a"])

    threads = [asyncio.ensure_future(in_thread(work)) for _ in range(3)]
    while not all(thread.done() for thread in threads):
        await scene.socket.join("a")
        scene.io.to("a").emit("own")
        await scene.socket.leave("a")
        await asyncio.sleep(0)
    await asyncio.gather(*threads)
    scene.io.emit("last")
    news = 0
    while (event := await scene.client.receive(timeout=30))[0] != "last":
        news += event[0] == "news"
    assert news == 300


async def test_rooms_and_sockets(scene: Scene) -> None:
    def work() -> None:
        safe = scene.io.threadsafe
        safe.sockets_join("room").result()
        (found,) = safe.to("room").fetch_sockets()
        assert found.rooms == {scene.socket.id, "room"}
        safe.sockets_leave("room")
        assert safe.to("room").clients() == []
        assert safe.clients() == [scene.socket.id]
        assert safe.of("/new").clients() == []
        assert safe.server_side_emit_with_ack("anybody", timeout=1) == []
        safe.server_side_emit("anybody").result()
        assert scene.socket.threadsafe.local.to("room").clients() == []
        assert scene.socket.threadsafe.in_("room").except_("a").clients() == []
        safe.disconnect_sockets().result()
        assert safe.clients() == []

    await in_thread(work)
    assert "/new" in scene.io._core.namespaces
    assert await scene.client.wait(timeout=30) == "io server disconnect"


async def test_disconnecting_one_socket(scene: Scene) -> None:
    await in_thread(lambda: scene.socket.threadsafe.disconnect(close=True).result(30))
    assert not scene.socket.connected


async def test_a_handler_in_a_thread_asks_its_client(scene: Scene) -> None:
    """A `thread=True` handler waits for an acknowledgement, and gives one."""

    @scene.io.event(thread=True)
    def quiz(socket: Socket, ack: Ack) -> None:
        answer = socket.threadsafe.emit_with_ack("question", 6, timeout=30)
        (again,) = scene.io.threadsafe.timeout(30).emit_with_ack("question", answer)
        socket.threadsafe.emit("told", threading.current_thread() is threading.main_thread())
        ack(again, socket.connected)

    @scene.client.event
    def question(number: int) -> int:
        return number + 1

    assert await scene.client.emit_with_ack("quiz", timeout=30) == (8, True)
    await scene.hears(["told", False])


async def test_a_client_s_handler_in_a_thread(scene: Scene) -> None:
    @scene.client.event(thread=True)
    def work(ack: Ack) -> None:
        assert scene.client.threadsafe.emit_with_ack("echo", 1, timeout=30) == 1
        scene.client.threadsafe.emit("echo", 2).result(30)
        ack("done")

    @scene.io.event
    def echo(_: Socket, value: int) -> int:
        return value

    assert await scene.socket.emit_with_ack("work", timeout=30) == "done"
    engine = scene.engine
    await in_thread(lambda: engine.threadsafe.call(engine.send, "42[]").result(30))
    await in_thread(lambda: scene.client.threadsafe.disconnect().result(30))
    assert not scene.client.connected
    await in_thread(lambda: scene.client.io.threadsafe.call(scene.client.io.close).result(30))


async def test_an_answer_for_receive_in_a_thread(scene: Scene) -> None:
    answer = asyncio.ensure_future(scene.socket.emit_with_ack("question", timeout=30))
    event = await scene.client.receive(timeout=30)
    await in_thread(event.ack, "late")
    assert await answer == "late"


async def test_what_cannot_be_sent_fails_where_it_was_called(scene: Scene) -> None:
    safe = scene.io.threadsafe
    with pytest.raises(EncodeError):
        await in_thread(safe.emit, "news", object())
    with pytest.raises(ValueError, match="reserved"):
        await in_thread(scene.socket.threadsafe.emit, "disconnect")
    with pytest.raises(ConfigurationError, match="limit"):
        await in_thread(safe.emit_with_ack, "news")
    with pytest.raises(AckTimeout):
        await in_thread(safe.timeout(0.01).emit_with_ack, "news")


async def test_later_changes_are_not_sent(scene: Scene) -> None:
    """Lists and dicts are copied: the thread may go on with its own."""
    value = {"list": [1, (2, bytearray(b"x"))]}

    def work() -> None:
        scene.io.threadsafe.emit("news", value)
        value["list"].append(3)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the loop stands still: the event waits
    await scene.hears(["news", {"list": [1, [2, b"x"]]}])


async def test_on_the_loop_itself(scene: Scene) -> None:
    """What waits for nothing takes effect at once; what waits would stop everything."""
    safe = scene.io.threadsafe
    handed = safe.emit("news", 1)
    await asyncio.sleep(0)
    assert handed.done()
    scene.io.emit("news", 2)
    await scene.hears(["news", 1], ["news", 2])
    with pytest.raises(ConfigurationError, match="block the event loop"):
        safe.timeout(1).emit_with_ack("news")
    go_on = asyncio.Event()
    slow = safe.call(go_on.wait)
    with pytest.raises(ConfigurationError, match="stop the event loop"):
        slow.result()
    go_on.set()


async def test_results(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    safe = scene.io.threadsafe

    async def fail() -> None:
        await asyncio.sleep(0)
        raise KeyError("late")

    def work() -> None:
        with pytest.raises(KeyError, match="late"):
            safe.call(fail).result()
        assert isinstance(safe.call(fail).exception(), KeyError)
        with pytest.raises(ZeroDivisionError):
            safe.call(lambda: 1 // 0).result(30)
        with pytest.raises(TimeoutError):
            safe.call(go_on.wait).result(0.01)
        with pytest.raises(Disconnected):
            scene.socket.threadsafe.disconnect()
            scene.socket.threadsafe.emit_with_ack("news")

    go_on = asyncio.Event()
    await in_thread(work)
    go_on.set()
    assert not caplog.records
    await in_thread(safe.call, lambda: 1 // 0)
    while "a call from another thread failed" not in caplog.text:
        await asyncio.sleep(0.001)
        gc.collect()
    assert "ZeroDivisionError" in caplog.text


async def test_a_call_that_is_cancelled_before_it_begins(scene: Scene) -> None:
    called: list[int] = []

    def work() -> concurrent.futures.Future[None]:
        handed = scene.io.threadsafe.call(called.append, 1)
        assert handed.cancel()
        return handed

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()  # the loop stands still: nothing has begun
    await in_thread(lambda: scene.io.threadsafe.call(called.append, 2).result(30))
    assert called == [2]


def test_before_and_after() -> None:
    """Before its first request, a mounted server has no clients; after its end, it refuses."""
    io = Server()
    io.threadsafe.emit("news").result()
    io.threadsafe.of("/chat").sockets_join("room").result()
    assert io.threadsafe.clients() == []
    assert io.threadsafe.to("room").fetch_sockets() == []
    with pytest.raises(ConfigurationError, match="not running"):
        io.threadsafe.timeout(1).emit_with_ack("news")
    with pytest.raises(ConfigurationError, match="not running"):
        io.threadsafe.call(asyncio.sleep, 0).result()

    async def serve() -> None:
        await io.listen(port=0)
        await io.close()

    asyncio.run(serve())
    with pytest.raises(ConfigurationError, match="not running"):
        io.threadsafe.emit("news")


def test_a_loop_that_ends_lets_threads_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threadsafe, "GLANCE", 0.01)
    io = Server()
    failures: list[BaseException] = []
    waiting = threading.Event()
    ended = asyncio.Event()

    async def for_ever() -> None:
        waiting.set()
        await ended.wait()

    def work() -> None:
        try:
            io.threadsafe.call(for_ever).result()
        except ConfigurationError as error:
            failures.append(error)

    thread = threading.Thread(target=work)
    loop = asyncio.new_event_loop()

    async def serve() -> None:
        await io.listen(port=0)
        thread.start()
        await in_thread(waiting.wait, 30)

    loop.run_until_complete(serve())
    thread.join(30)
    assert "not running" in str(failures[0])
    ended.set()
    loop.run_until_complete(io.close())
    loop.run_until_complete(loop.shutdown_default_executor())
    loop.close()


def test_a_server_may_move_to_another_thread_s_loop() -> None:
    """One loop after the other, each in a thread of its own."""
    io = Server()
    seen: list[Any] = []

    async def serve() -> None:
        await io.listen(port=0)
        async with telex.connect(f"http://127.0.0.1:{io.port}") as client:
            io.emit("news", 1)
            seen.append(await client.receive(timeout=30))
        await io.close()

    for _ in range(2):
        thread = threading.Thread(target=asyncio.run, args=(serve(),))
        thread.start()
        thread.join()
    asyncio.run(serve())
    assert seen == [["news", 1]] * 3


async def test_engine_servers() -> None:
    engine = EngineServer()
    opened: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    engine.on("connection", opened.set_result)
    await engine.listen(port=0)
    async with telex.connect_engine(f"http://127.0.0.1:{engine.port}/engine.io") as client:
        socket = await opened
        with pytest.raises(ConfigurationError, match=r"threadsafe\.call"):
            await in_thread(socket.send, "no")
        with pytest.raises(ConfigurationError, match="threadsafe"):
            await in_thread(lambda: asyncio.run(engine.close()))
        await in_thread(engine.threadsafe.call, socket.send, "yes")
        assert await client.receive(timeout=30) == "yes"
    await engine.close()


async def test_an_acknowledgement_after_the_end(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    acks: list[Ack] = []

    @io.event
    def ask(socket: Socket, ack: Ack) -> None:
        acks.append(ack)

    async def serve() -> None:
        await io.listen(port=0)
        async with telex.connect(f"http://127.0.0.1:{io.port}") as client:
            client.emit("ask", ack=print)
            while not acks:
                await asyncio.sleep(0.001)
        await io.close()

    await in_thread(lambda: asyncio.run(serve()))
    with caplog.at_level(logging.WARNING, "telex"):
        acks[0](1)
    assert "after the event loop had ended" in caplog.text
