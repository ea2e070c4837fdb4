"""One socket: what it is, what it sends and receives, how it ends."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import pytest

from telex import ConfigurationError, EncodeError, Server, Socket
from tests.features.scripts import Calls, Site

ANY_TRANSPORT = pytest.mark.parametrize("transport", ["polling", "websocket"])


async def test_both_sides_know_the_same_random_id(site: Site) -> None:
    """Twenty characters, another one in each namespace, and never the id of the connection."""
    io = Server()
    io.of("/chat")
    page = await site.page(io)
    root, chat, engine = await page.run("""
        const root = await connect();
        const chat = await share(root, "/chat");
        return [root.id, chat.id, root.io.engine.id];
    """)
    assert root in io.sockets.sockets
    assert chat in io.of("/chat").sockets
    for identity in (root, chat):
        assert re.fullmatch(r"[0-9A-Za-z_-]{20}", identity)
    assert len({root, chat, engine}) == 3
    assert io.sockets.sockets[root].conn.id == engine


async def test_what_a_socket_is_made_of(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("await connect('/', { query: { color: 'red' } })")
    [socket] = io.sockets.sockets.values()
    assert socket.nsp is io.sockets
    assert socket.connected
    assert not socket.disconnected
    assert not socket.recovered
    assert socket.data == {}
    assert socket.conn is socket.client.conn
    assert socket.request is socket.client.request is socket.conn.request
    assert socket.request.headers["Host"].startswith("127.0.0.1:")
    assert socket.request.query["color"] == "red"
    assert socket.remote_address == socket.handshake.address == "127.0.0.1"
    assert socket.client.sockets == [socket]


async def test_attributes_of_ones_own(site: Site) -> None:
    """As in the seed: `socket.user` in a middleware, `socket.username` in a listener."""
    io = Server()

    @io.use
    async def middleware(socket: Any) -> None:
        await asyncio.sleep(0)
        socket.user = {"name": "ana"}

    @io.event("set username")
    def set_username(socket: Any, username: str) -> list[Any]:
        socket.username = username
        return [socket.user["name"], socket.username]

    page = await site.page(io)
    assert await page.run(
        "return await (await connect()).emitWithAck('set username', 'annie')"
    ) == ["ana", "annie"]


@ANY_TRANSPORT
async def test_events_of_every_kind_in_both_directions(site: Site, transport: str) -> None:
    """Several arguments, nothing, null, text in many scripts, bytes at any depth, none at all."""
    io = Server()
    received = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("echo")
        def echo(*args: Any) -> None:
            received(*args)
            socket.emit("echo", *args)

    everything: list[list[Any]] = [
        [],
        [None],
        ["text", 1, 2.5, True, {"a": [None, {"b": "c"}]}],
        ["utf8 — 亜 ИМЯ Ærø 😀"],
        [b"\x00\xff", {"file": b"abc", "list": [b"", {"deep": b"d"}]}, "after"],
        [b""],
    ]
    page = await site.page(io)
    answers = await page.run(
        """
        const socket = await connect("/", { transports: [transport] });
        const seen = [];
        const end = new Promise((resolve) => socket.on("echo", (...args) => {
          if (args[0] === "end") resolve();
          else seen.push(args);
        }));
        for (const args of everything) socket.emit("echo", ...args);
        socket.emit("echo", "end");
        await end;
        return seen;
        """,
        transport=transport,
        everything=everything,
    )
    assert answers == everything
    assert [list(args) for args in received.all] == [*everything, ["end"]]


async def test_values_that_only_python_or_javascript_has(site: Site) -> None:
    """JSON as JavaScript reads it: dates as ISO 8601, `undefined` as null, keys as text."""
    io = Server()
    received = Calls()
    io.event("values")(received)
    page = await site.page(io)
    await page.run("""
        page.socket = await connect();
        page.socket.emit("values", new Date(Date.UTC(2031, 0, 2)), undefined, { a: undefined }, -0);
    """)
    _, date, undefined, fields, zero = await received.next()
    assert [date, undefined, fields, zero] == ["2031-01-02T00:00:00.000Z", None, {}, 0]
    moment = datetime(2031, 1, 2, 3, 4, 5, 678000, UTC)
    io.emit("values", moment, None, ("a", 1), {5: bytearray(b"six"), "7": memoryview(b"8")})
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == [
        ["values", "2031-01-02T03:04:05.678Z", None, ["a", 1], {"5": b"six", "7": b"8"}]
    ]


async def test_what_cannot_be_sent_is_an_error_and_harms_nobody(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    circular: list[Any] = []
    circular.append(circular)
    [socket] = io.sockets.sockets.values()
    for value in (object(), circular):
        with pytest.raises(EncodeError):
            socket.emit("x", value)
        with pytest.raises(EncodeError):
            io.emit("x", value)
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == []


async def test_reserved_names_cannot_be_emitted(site: Site) -> None:
    """Neither by the server nor, whatever a client tries, to the handlers of the server."""
    io = Server()
    called = Calls()
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    [socket] = io.sockets.sockets.values()
    for name in (
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    ):
        with pytest.raises(ValueError, match="reserved"):
            socket.emit(name)
        if name in ("disconnect", "disconnecting"):
            socket.on(name, called)
        else:
            with pytest.raises(ConfigurationError, match="never comes"):
                socket.on(name, called)
        assert (
            await page.run(
                """
            const socket = await connect();
            const ended = once(socket, "disconnect");
            socket.io.engine.write("2" + JSON.stringify([name, "forged"]));
            return (await ended)[0];
            """,
                name=name,
            )
            == "transport close"
        )
    assert socket.connected
    assert called.all == []


@ANY_TRANSPORT
async def test_large_messages(site: Site, transport: str) -> None:
    io = Server(max_http_buffer_size=5_000_000)

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("big")
        def big(data: Any) -> Any:
            return data

    page = await site.page(io)
    assert await page.run(
        """
        const socket = await connect("/", { transports: [transport] });
        const text = { line: "€".repeat(100), lines: Array(3000).fill("0123456789".repeat(10)) };
        const bytes = Buffer.alloc(1000000, 7);
        const a = await socket.emitWithAck("big", text);
        const b = await socket.emitWithAck("big", bytes);
        return [JSON.stringify(a) === JSON.stringify(text), bytes.equals(Buffer.from(b))];
        """,
        transport=transport,
    ) == [True, True]


async def test_too_large_a_message_ends_the_connection(site: Site) -> None:
    """Node: `maxHttpBufferSize`; over polling the request is answered with 413."""
    io = Server(max_http_buffer_size=1000)
    page = await site.page(io)
    assert await page.run("""
        const outcomes = [];
        for (const transport of ["websocket", "polling"]) {
          const socket = await connect("/", { transports: [transport] });
          const ended = once(socket, "disconnect");
          socket.emit("big", "x".repeat(1001));
          const [reason, { description }] = await ended;
          outcomes.push([reason, description && (description.description ?? description)]);
        }
        return [outcomes[0][0], outcomes[1][0], outcomes[1][1]];
    """) == ["transport close", "transport error", 413]


async def test_a_socket_that_is_not_connected_yet_gets_what_was_emitted_later(site: Site) -> None:
    """What a middleware emits to its socket comes after the connection."""
    io = Server()

    @io.use
    def middleware(socket: Socket) -> None:
        assert not socket.connected
        socket.emit("from the middleware", 1)
        socket.join("room")

    @io.on("connection")
    def connection(socket: Socket) -> None:
        assert socket.connected
        io.to("room").emit("in the room")
        socket.emit("done")

    page = await site.page(io)
    assert await page.run("return await until(await connect(), 'done')") == [
        ["from the middleware", 1],
        ["in the room"],
    ]


async def test_the_life_cycle(site: Site) -> None:
    """`disconnecting` still sees the rooms, `disconnect` does not; both come once, in order."""
    io = Server()
    seen: list[Any] = []
    ended = asyncio.Event()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        seen.append(("connection", socket.connected))
        socket.join(["a", "b"])

        @socket.on("disconnecting")
        async def disconnecting(reason: str) -> None:
            await asyncio.sleep(0)
            seen.append(("disconnecting", reason, sorted(socket.rooms - {socket.id})))
            for room in socket.rooms:
                if room != socket.id:
                    socket.to(room).emit("user has left", room)

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            rooms = sorted(socket.rooms)
            seen.append(("disconnect", reason, rooms, socket.id in io.sockets.sockets))
            ended.set()

    page = await site.page(io)
    assert await page.run("""
        const witness = await connect();
        const leaver = await connect();
        leaver.disconnect();
        const [room] = await once(witness, "user has left");
        return ["a", "b"].includes(room);
    """)
    await ended.wait()
    assert seen[2:] == [
        ("disconnecting", "client namespace disconnect", ["a", "b"]),
        ("disconnect", "client namespace disconnect", [], False),
    ]


async def test_nothing_is_received_from_a_socket_that_has_left(site: Site) -> None:
    """Even if its packets were on their way."""
    io = Server()
    seen: list[str] = []

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("one")
        def one() -> None:
            seen.append("one")
            socket.disconnect()

        @socket.on("two")
        def two() -> None:
            seen.append("two")

    io.of("/chat")
    page = await site.page(io)
    await page.run("""
        const socket = await connect();
        const chat = await share(socket, "/chat");
        const ended = once(socket, "disconnect");
        socket.emit("one");
        await ended;
    """)
    assert seen == ["one"]


async def test_nothing_is_sent_to_a_socket_that_has_left(site: Site) -> None:
    """Emitting, joining and disconnecting again has no effect, and is no error."""
    io = Server()
    gone = Calls()
    io.event("disconnect")(gone)
    page = await site.page(io)
    await page.run("(await connect()).disconnect()")
    socket: Socket
    socket, reason = await gone.next()
    assert reason == "client namespace disconnect"
    await socket.emit("x", 1)
    await socket.join("room")
    await socket.leave("room")
    socket.disconnect()
    socket.volatile.emit("x")
    assert socket.rooms == set()
    assert io.sockets.adapter.rooms() == {}


async def test_disconnect_leaves_the_connection_to_others(site: Site) -> None:
    io = Server()
    io.of("/chat")
    page = await site.page(io)
    await page.run("page.root = await connect(); page.chat = await share(page.root, '/chat')")
    [socket] = io.sockets.sockets.values()
    ended = await page.begin("return (await once(page.root, 'disconnect'))[0]")
    socket.disconnect()
    assert await ended == "io server disconnect"
    assert await page.run("return [page.root.connected, page.chat.connected]") == [False, True]


async def test_disconnect_true_closes_the_connection(site: Site) -> None:
    io = Server()
    io.of("/chat")
    gone = Calls()
    io.event("disconnect")(gone)
    io.of("/chat").event("disconnect")(gone)
    page = await site.page(io)
    await page.run("page.root = await connect(); page.chat = await share(page.root, '/chat')")
    [socket] = io.sockets.sockets.values()
    ended = await page.begin("""
        const ended = [page.root, page.chat].map((socket) => once(socket, "disconnect"));
        return (await Promise.all(ended)).map(([reason]) => reason);
    """)
    socket.disconnect(close=True)
    assert await ended == ["io server disconnect", "io server disconnect"]
    reasons = {await gone.next(), await gone.next()}
    assert {reason for _, reason in reasons} == {"server namespace disconnect"}
    assert io.engine.clients_count == 0


async def test_a_client_connects_again_and_hears_everything_once(site: Site) -> None:
    io = Server()

    @io.event
    def ask(socket: Socket) -> None:
        socket.emit("answer")
        socket.emit("done")

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const first = socket.id;
        socket.disconnect();
        const again = once(socket, "connect");
        socket.connect();
        await again;
        socket.emit("ask");
        return [await until(socket, "done"), first !== socket.id];
    """) == [[["answer"]], True]


async def test_a_client_comes_back_to_a_server_that_was_started_again(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    port = io.port
    await page.run("""
        page.socket = await connect("/", {
          reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50,
        });
    """)
    [first] = io.sockets.sockets
    back = await page.begin("await once(page.socket, 'connect'); return page.socket.id")
    await io.close()
    await io.listen(port=port)
    second = await back
    assert second != first
    assert list(io.sockets.sockets) == [second]
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == []


async def test_emit_returns_what_can_be_awaited_and_chained(site: Site) -> None:
    """As in 2.x, where `emit`, `join` and `leave` returned the socket."""
    io = Server()

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        sent: Any = socket.emit("one")
        sent.emit("two").join("a").join("b").leave("a").send("three")
        await socket.emit("four")
        assert sent
        await socket.join("c")
        await socket.join(["d", "e"])
        await socket.leave("d")
        socket.emit("rooms", sorted(socket.rooms - {socket.id}))
        socket.emit("done")

    page = await site.page(io)
    assert await page.run("return await until(await connect(), 'done')") == [
        ["one"],
        ["two"],
        ["message", "three"],
        ["four"],
        ["rooms", ["b", "c", "e"]],
    ]


async def test_what_is_done_can_be_awaited(site: Site) -> None:
    """Or not: every call takes effect when it is called."""
    io = Server()
    page = await site.page(io)
    await page.run("page.socket = await connect(); page.gone = once(page.socket, 'disconnect')")
    [socket] = io.sockets.sockets.values()
    await io.emit("one")
    await io.to(socket.id).volatile.emit("two")
    await socket.send("three")
    await socket.volatile.emit("four")
    await io.sockets_join("room")
    await io.sockets_leave("room")
    await socket.disconnect()
    assert not socket.connected
    assert await page.run("return (await page.gone)[0]") == "io server disconnect"
    await io.disconnect_sockets()


async def test_work_that_ends_with_its_socket(site: Site) -> None:
    io = Server()
    ended = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        async def tick() -> None:
            try:
                number = 0
                while True:
                    await socket.emit("tick", number)
                    number += 1
                    await asyncio.sleep(0.005)
            finally:
                ended(socket.id)

        socket.spawn(tick())

    page = await site.page(io)
    identity = await page.run("""
        const socket = await connect();
        await once(socket, "tick");
        await once(socket, "tick");
        const { id } = socket;
        socket.disconnect();
        return id;
    """)
    assert await ended.next() == (identity,)


async def test_the_object_prototype_is_left_alone(site: Site) -> None:
    """Names that mean something in JavaScript or Python are names like others here."""
    io = Server()
    names = ["__proto__", "constructor", "toString", "__class__", "emit", "error", "hasOwnProperty"]

    @io.on("connection")
    def connection(socket: Socket) -> None:
        for name in names:

            @socket.on(name)
            def handler(*args: Any, name: str = name) -> list[Any]:
                return [name, *args]

            socket.join(name)
        socket.emit("rooms", sorted(socket.rooms - {socket.id}))

    page = await site.page(io)
    assert await page.run(
        """
        const socket = open();
        const [rooms] = await once(socket, "rooms");
        const answers = [];
        for (const name of names) answers.push(await socket.emitWithAck(name, { [name]: 1 }.name));
        return [rooms, answers.map(([name]) => name)];
        """,
        names=names,
    ) == [sorted(names), names]
