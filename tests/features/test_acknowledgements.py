"""Acknowledgements between one client and the server."""

from __future__ import annotations

import asyncio
import gc
from typing import Any

import pytest

from telex import Ack, AckTimeout, Disconnected, Server, Socket
from tests.features.scripts import Calls, Site


async def test_the_server_answers(site: Site) -> None:
    """By returning: nothing, a value, a tuple of several, bytes; by the function `Ack`."""
    io = Server()

    @io.event
    def nothing(_: Socket) -> None: ...

    @io.event
    def value(_: Socket, given: Any) -> Any:
        return given

    @io.event
    async def several(_: Socket, *given: Any) -> tuple[Any, ...]:
        await asyncio.sleep(0)
        return given

    @io.event("by function")
    async def by_function(_: Socket, given: Any, ack: Ack) -> None:
        await asyncio.sleep(0)
        ack(given, "by function")
        ack("a second time, in vain")

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const call = (...args) => new Promise((resolve) =>
          socket.emit(...args, (...answer) => resolve(answer)));
        return [
          await call("nothing"), await call("value", { a: [null] }), await call("value", null),
          await call("value", Buffer.from([0, 255])), await call("several", 1, "two", [3]),
          await call("by function", "woot"),
        ];
    """) == [[], [{"a": [None]}], [], [b"\x00\xff"], [1, "two", [3]], ["woot", "by function"]]


async def test_a_client_that_asks_for_no_answer_gets_none(site: Site) -> None:
    """The parameter `Ack` is then its default, or `None`."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("plain")
        def plain() -> str:
            return "not sent"

        @socket.on("by function")
        def by_function(value: str, ack: Ack | None) -> None:
            seen(value, ack)

        @socket.on("with default")
        def with_default(value: str, *, ack: Ack | None = None) -> None:
            seen(value, ack)
            socket.emit("done")

    page = await site.page(io)
    assert (
        await page.run("""
        const socket = await connect();
        let acks = 0;
        socket.io.on("packet", ({ type }) => { if (type === 3) acks += 1; });
        socket.emit("plain");
        socket.emit("by function", "a");
        socket.emit("with default", "b");
        await until(socket, "done");
        return acks;
    """)
        == 0
    )
    assert seen.all == [("a", None), ("b", None)]


async def test_an_answer_for_a_client_that_has_left_goes_nowhere(site: Site) -> None:
    io = Server()
    asked: asyncio.Queue[Ack] = asyncio.Queue()
    gone = Calls()
    io.event("disconnect")(gone)

    @io.event
    def ask(_: Socket, ack: Ack) -> None:
        asked.put_nowait(ack)

    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        socket.emit("ask", () => {});
        socket.disconnect();
    """)
    ack = await asked.get()
    await gone.next()
    ack("too late")
    assert ack.sent


async def test_the_client_answers(site: Site) -> None:
    """A callback, or `emit_with_ack`: nothing, one value, several, bytes."""
    io = Server()
    page = await site.page(io)
    await page.run("""
        page.socket = await connect();
        page.socket.on("nothing", (ack) => ack());
        page.socket.on("value", (value, ack) => ack(value));
        page.socket.on("several", (...args) => args.pop()(...args));
    """)
    [socket] = io.sockets.sockets.values()
    assert await socket.emit_with_ack("nothing") is None
    assert await socket.emit_with_ack("value", {"a": [None]}) == {"a": [None]}
    assert await socket.emit_with_ack("value", b"\x00\xff") == b"\x00\xff"
    assert await socket.emit_with_ack("several", 1, b"two", [3]) == (1, b"two", [3])
    answered = Calls()
    socket.emit("several", "tobi", 1, ack=answered)
    assert await answered.next() == ("tobi", 1)
    socket.emit("nothing", ack=answered)
    assert await answered.next() == ()

    async def answered_later(value: str) -> None:
        await asyncio.sleep(0)
        answered(value)

    socket.emit("value", "async", ack=answered_later)
    assert await answered.next() == ("async",)


async def test_a_client_that_does_not_answer_in_time(site: Site) -> None:
    """`emit_with_ack(timeout=…)`, `timeout(…).emit_with_ack`, and the callback's error."""
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect(); page.socket.on('late', (a) => page.ack = a)")
    [socket] = io.sockets.sockets.values()
    with pytest.raises(AckTimeout, match=r"0\.01 s"):
        await socket.emit_with_ack("unknown", timeout=0.01)
    with pytest.raises(TimeoutError):
        await socket.timeout(0.01).emit_with_ack("unknown")
    answered = Calls()
    socket.timeout(0.01).emit("late", ack=answered)
    [error] = await answered.next()
    assert isinstance(error, AckTimeout)
    assert not socket.expects_answers


async def test_a_client_that_answers_in_time(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("(await connect()).on('ask', (ack) => ack(1, '2', [3]))")
    [socket] = io.sockets.sockets.values()
    assert await socket.timeout(5).emit_with_ack("ask") == (1, "2", [3])
    answered = Calls()
    socket.timeout(5).emit("ask", ack=answered)
    assert await answered.next() == (None, 1, "2", [3])


async def test_late_and_double_answers_are_ignored(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("""
        page.socket = await connect();
        page.socket.on("late", (ack) => page.late = ack);
        page.socket.on("twice", (ack) => {
          ack("first");
          page.socket.io.engine.write("30[\\"second\\"]");
          page.socket.io.engine.write("3999[\\"of nothing\\"]");
        });
    """)
    [socket] = io.sockets.sockets.values()
    answered = Calls()
    socket.emit("twice", ack=answered)
    with pytest.raises(AckTimeout):
        await socket.emit_with_ack("late", timeout=0.05)
    await page.run("page.late('too late'); await sleep(20)")
    assert answered.all == [("first",)]
    assert socket.connected
    assert not socket.expects_answers


async def test_answers_settle_when_the_client_leaves(site: Site) -> None:
    """Node waits for ever there."""
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    [socket] = io.sockets.sockets.values()
    answered, never = Calls(), Calls()
    waiting = asyncio.create_task(socket.emit_with_ack("ask"))
    await asyncio.sleep(0)
    socket.timeout(5).emit("ask", ack=answered)
    socket.emit("ask", ack=never)
    await page.run("page.socket.disconnect()")
    with pytest.raises(Disconnected) as caught:
        await waiting
    assert caught.value.reason == "client namespace disconnect"
    [error] = await answered.next()
    assert isinstance(error, Disconnected)
    assert never.all == []
    assert not socket.expects_answers
    with pytest.raises(Disconnected):
        await socket.emit_with_ack("ask")


async def test_waiting_may_be_given_up(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    [socket] = io.sockets.sockets.values()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await socket.emit_with_ack("ask")
    assert not socket.expects_answers


async def test_answers_are_not_held_back_by_a_handler(site: Site) -> None:
    """A handler may ask its own client something while its next events wait."""
    io = Server()
    seen: list[Any] = []

    @io.event
    async def first(socket: Socket) -> None:
        seen.append(await socket.emit_with_ack("name?", timeout=5))

    @io.event
    def second(socket: Socket) -> None:
        seen.append("second")
        socket.emit("done")

    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        socket.on("name?", (ack) => ack("ana"));
        socket.emit("first");
        socket.emit("second");
        await until(socket, "done");
    """)
    assert seen == ["ana", "second"]


async def test_nothing_is_kept_of_settled_acknowledgements(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect(); page.socket.on('ask', (ack) => ack(1))")
    [socket] = io.sockets.sockets.values()
    await asyncio.gather(*[socket.emit_with_ack("ask") for _ in range(50)])
    for _ in range(10):
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("unknown", timeout=0.001)
    assert not socket.expects_answers
    gc.collect()
    assert not [task for task in asyncio.all_tasks() if "emit_with_ack" in repr(task)]
