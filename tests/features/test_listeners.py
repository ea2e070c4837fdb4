"""Listeners: for one event, once, for any, for what goes out; packet middleware."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import ConnectError, Server, Socket
from tests.features.scripts import Calls, Site


async def test_the_methods_of_an_event_emitter(site: Site) -> None:
    """`on`, `once`, `off` (= `remove_listener`), `remove_all_listeners`, and what they list."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        def first(value: int) -> None:
            seen("first", value)

        def second(value: int) -> None:
            seen("second", value)

        def third(value: int) -> None:
            seen("third", value)

        assert socket.on("a", first).on("a", second).once("b", third) is socket
        assert socket.event_names() == ["a", "b"]
        assert socket.listeners("a") == [first, second]
        socket.off("a", first)
        socket.on("c", first).on("c", second).remove_listener("c")
        socket.on("d", first).remove_all_listeners("d")
        assert socket.event_names() == ["a", "b"]
        assert socket.listeners("c") == []

        @socket.once("e")
        def fourth(value: int) -> None:
            seen("fourth", value)
            socket.remove_all_listeners()
            socket.emit("done")

    page = await site.page(io)
    assert (
        await page.run("""
        const socket = await connect();
        for (const name of ["a", "b", "b", "c", "d", "e", "e", "a"]) socket.emit(name, 1);
        return await until(socket, "done");
    """)
        == []
    )
    await page.run("await connect()")
    assert seen.all == [("second", 1), ("third", 1), ("fourth", 1)]


async def test_several_handlers_of_an_event(site: Site) -> None:
    """In the order of registration, those of the namespace first; the first answer counts."""
    io = Server()
    seen: list[str] = []

    @io.event("ask")
    async def of_the_namespace(_: Socket) -> None:
        await asyncio.sleep(0.01)
        seen.append("namespace")

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("ask")
        def second() -> str:
            seen.append("second")
            return "second"

        @socket.on("ask")
        def third() -> str:
            seen.append("third")
            return "third"

    page = await site.page(io)
    assert await page.run("return await (await connect()).emitWithAck('ask')") == "second"
    assert seen == ["namespace", "second", "third"]


async def test_listeners_registered_after_an_await_miss_nothing(site: Site) -> None:
    """The handler of `connection` comes first, however long it takes."""
    io = Server()

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        await asyncio.sleep(0.02)

        @socket.on("early")
        def early(value: int) -> int:
            return value

    page = await site.page(io)
    assert await page.run("""
        const socket = open();
        const answers = [1, 2, 3].map((value) => socket.emitWithAck("early", value));
        return await Promise.all(answers);
    """) == [1, 2, 3]


async def test_on_any(site: Site) -> None:
    """Sees every event, known or not, before its handlers; also those that are refused."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on_any
        def first(event: str, *args: Any) -> None:
            seen("first", event, *args)

        @socket.prepend_any
        async def before(event: str, *args: Any) -> None:
            await asyncio.sleep(0)
            seen("before", event, *args)

        @socket.on_any
        def removed(event: str) -> None:
            seen("removed", event)

        socket.off_any(removed)
        assert socket.listeners_any() == [before, first]

        @socket.use
        def middleware(event: str, args: list[Any]) -> None:
            seen("use", event)
            if event == "forbidden":
                raise ValueError("forbidden")

        @socket.on("known")
        def known(value: int) -> None:
            seen("handler", value)

        @socket.on("stop")
        def stop() -> None:
            socket.off_any()
            assert socket.listeners_any() == []

        @socket.on("done?")
        def done() -> None:
            socket.emit("done")

    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        socket.emit("known", 1);
        socket.emit("unknown", { a: Buffer.from([1]) });
        socket.emit("forbidden");
        socket.emit("stop");
        socket.emit("known", 2);
        socket.emit("done?");
        await until(socket, "done");
    """)
    assert seen.all == [
        ("before", "known", 1),
        ("first", "known", 1),
        ("use", "known"),
        ("handler", 1),
        ("before", "unknown", {"a": b"\x01"}),
        ("first", "unknown", {"a": b"\x01"}),
        ("use", "unknown"),
        ("before", "forbidden"),
        ("first", "forbidden"),
        ("use", "forbidden"),
        ("before", "stop"),
        ("first", "stop"),
        ("use", "stop"),
        ("use", "known"),
        ("handler", 2),
        ("use", "done?"),
    ]


async def test_on_any_outgoing(site: Site) -> None:
    """Sees what is emitted to its socket, broadcasts and bytes too, but no acknowledgements."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on_any_outgoing
        def first(event: str, *args: Any) -> None:
            seen("first", event, *args)

        @socket.prepend_any_outgoing
        def before(event: str, *args: Any) -> None:
            seen("before", event, *args)

        @socket.on_any_outgoing
        def removed(event: str) -> None:
            seen("removed", event)

        socket.off_any_outgoing(removed)
        assert socket.listeners_any_outgoing() == [before, first]

        @socket.on("ask")
        def ask() -> str:
            socket.emit("hello", 1)
            socket.timeout(5).emit("with ack", 2, ack=Calls())
            socket.volatile.emit("volatile", 3)
            socket.off_any_outgoing(before)
            io.emit("to all", b"\x01")
            io.to(socket.id).emit("to the room")
            socket.off_any_outgoing()
            io.emit("unseen")
            return "answer"

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const answer = await socket.emitWithAck("ask");
        return [answer, await until(socket, "unseen")];
    """) == [
        "answer",
        [["hello", 1], ["with ack", 2], ["volatile", 3], ["to all", b"\x01"], ["to the room"]],
    ]
    assert seen.all == [
        ("before", "hello", 1),
        ("first", "hello", 1),
        ("before", "with ack", 2),
        ("first", "with ack", 2),
        ("before", "volatile", 3),
        ("first", "volatile", 3),
        ("first", "to all", b"\x01"),
        ("first", "to the room"),
    ]


async def test_packet_middleware(site: Site) -> None:
    """`socket.use`: in order, may look, change, wait and refuse; a refusal fires `error`."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        async def log(event: str, args: list[Any]) -> None:
            await asyncio.sleep(0)
            seen("first", event, *args)
            args.append("seen")

        @socket.use
        def authorize(event: str, args: list[Any]) -> None:
            seen("second", event, *args)
            if event == "secret":
                raise PermissionError("unauthorized event")

        @socket.on("public")
        def public(*args: Any) -> list[Any]:
            return list(args)

        @socket.on("secret")
        def secret(*args: Any) -> None:
            seen("secret handler", *args)

        @socket.on("error")
        def error(error: Exception) -> None:
            seen("error", type(error), str(error))
            if str(error) == "unauthorized event":
                socket.disconnect()

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const answer = await socket.emitWithAck("public", 1);
        socket.emit("secret", 2);
        const [reason] = await once(socket, "disconnect");
        return [answer, reason];
    """) == [[1, "seen"], "io server disconnect"]
    assert seen.all == [
        ("first", "public", 1),
        ("second", "public", 1, "seen"),
        ("first", "secret", 2),
        ("second", "secret", 2, "seen"),
        ("error", PermissionError, "unauthorized event"),
    ]


@pytest.mark.parametrize("client", ["1", "2", "4"])
async def test_refused_packets_and_old_clients(site: Site, client: Any) -> None:
    """1.x and 2.x are told with an ERROR packet, as their servers did; there is none in 4.x."""
    io = Server()
    errors = Calls()
    io.event("error")(errors)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.use
        def not_a_doge(event: str, args: list[Any]) -> None:
            if event == "plain":
                raise ValueError("Not a doge error")
            if event == "with data":
                raise ConnectError("not sent", data={"code": 7})

        @socket.on("ask")
        def ask() -> None:
            socket.emit("done")

    page = await site.page(io, client)
    told = await page.run("""
        const socket = await connect();
        const errors = [];
        socket.on("error", (error) => errors.push(error));
        socket.emit("plain");
        socket.emit("with data");
        socket.emit("ask");
        await until(socket, "done");
        return [errors, socket.connected];
    """)
    assert told == [[] if client == "4" else ["Not a doge error", {"code": 7}], True]
    assert [str(error) for _, error in errors.all] == ["Not a doge error", "not sent"]


async def test_listeners_that_fail_harm_nobody(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on_any
        def incoming(event: str) -> None:
            raise RuntimeError("incoming listener")

        @socket.on_any_outgoing
        def outgoing(event: str) -> None:
            raise RuntimeError("outgoing listener")

        @socket.on("ask")
        def ask() -> str:
            socket.emit("said")
            return "answer"

    page = await site.page(io)
    assert await page.run("return await (await connect()).emitWithAck('ask')") == "answer"
    assert "incoming listener" in caplog.text
    assert "outgoing listener" in caplog.text


async def test_events_named_by_numbers(site: Site) -> None:
    """JavaScript may emit them; only listeners for any event hear of them."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on_any(seen)

    page = await site.page(io)
    await page.run("(await connect()).emit(5, 'x')")
    assert await seen.next() == (5, "x")


async def test_a_client_may_emit_error(site: Site) -> None:
    """It is an ordinary name for clients: Node calls the same listeners."""
    io = Server()
    errors = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("error", errors)

    page = await site.page(io)
    await page.run("(await connect()).emit('error', 'from the client')")
    assert await errors.next() == ("from the client",)


async def test_packets_that_cannot_be_decoded(site: Site) -> None:
    """The `error` handlers hear of it, then the connection ends; without handlers, it ends."""
    io = Server()
    seen = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("error")
        def error(error: Exception) -> None:
            seen("error", type(error).__name__)

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            seen("disconnect", reason)

    io.of("/silent")
    page = await site.page(io)
    assert await page.run("""
        const reasons = [];
        for (const [namespace, packet] of [["/", "2not json"], ["/silent", "2/silent,{}"]]) {
          const socket = await connect(namespace);
          const ended = once(socket, "disconnect");
          socket.io.engine.write(packet);
          reasons.push((await ended)[0]);
        }
        return reasons;
    """) == ["transport close", "transport close"]
    assert [await seen.next(), await seen.next()] == [
        ("error", "PacketError"),
        ("disconnect", "forced close"),
    ]
