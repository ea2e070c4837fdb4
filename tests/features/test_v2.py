"""What applications and clients of Socket.IO 2 rely on, with client 2.5."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from telex import ConnectError, Server, Socket
from tests.features.scripts import Calls, Site

OLD = pytest.mark.parametrize("client", ["1", "2"])


@OLD
async def test_ids_are_those_of_the_connection(site: Site, client: Any) -> None:
    """`/` has the id of the engine, other namespaces add their name to it."""
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    io.of("/chat").on("connection", connection)
    page = await site.page(io, client)
    engine_id, root_id, chat_id = await page.run("""
        const socket = await connect();
        const chat = await share(socket, "/chat");
        return [socket.io.engine.id, socket.id, chat.id];
    """)
    root, chat = connection.first
    assert root.id == engine_id == root_id
    assert chat.id == f"/chat#{engine_id}"
    if client == "2":
        assert chat_id == chat.id
    assert root.conn.protocol == 3


async def test_ids_that_are_not_those_of_the_connection(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """`id_source="random_for_all"`: the server's ids are public, the client's own its secret."""
    io = Server(id_source="random_for_all")
    connection = Calls()
    io.on("connection", connection)
    io.of("/chat").on("connection", connection)
    page = await site.page(io, "2")
    own_id = await page.run("""
        const socket = await connect();
        const chat = await share(socket, "/chat");
        globalThis.told = once(socket, "told");
        return socket.id;
    """)
    root, chat = connection.first
    assert len({root.id, chat.id, own_id}) == 3
    assert own_id not in chat.id
    io.to(root.id).emit("told", 1)
    assert await page.run("return await globalThis.told;") == [1]
    assert "socket.id" not in caplog.text


@OLD
async def test_every_client_is_in_the_main_namespace(site: Site, client: Any) -> None:
    """Without asking, before any other; whoever is refused there gets nowhere."""
    io = Server()
    order: list[str] = []

    @io.use
    async def slow(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        if socket.handshake.query.get("who") == "eve":
            raise ConnectError("not you")

    @io.on("connection")
    def root(socket: Socket) -> None:
        order.append("/")

    @io.of("/chat").on("connection")
    def chat(socket: Socket) -> None:
        order.append("/chat")

    page = await site.page(io, client)
    assert await page.run("""
        const chat = await connect("/chat", { query: { who: "ana" } });
        const eve = open("/chat", { query: { who: "eve" } });
        const refused = once(eve.io.socket("/"), "error");
        return [chat.connected, (await refused)[0], eve.connected];
    """) == [True, "not you", False]
    assert order == ["/", "/chat"]


async def test_the_query_of_a_namespace(site: Site) -> None:
    """`io("/admin", {query})` over a shared connection: in `handshake.query`, and in `auth`."""
    io = Server()
    connection = Calls()
    io.of("/admin").on("connection", connection)
    page = await site.page(io, "2")
    await page.run("""
        const socket = await connect("/", { query: { who: "ana", a: "1" } });
        await share(socket, "/admin", { query: { token: "x y", a: "2" } });
    """)
    [socket] = connection.first
    query = socket.handshake.query
    assert [query["who"], query["token"], query["a"]] == ["ana", "x y", "2"]
    assert socket.handshake.auth == {"token": "x y", "a": "2"}
    [root] = io.sockets.sockets.values()
    assert root.handshake.query["a"] == "1"
    assert "token" not in root.handshake.query


async def test_a_function_gets_the_query(site: Site) -> None:
    """`io.of((name, query, next) => …)` of the seed."""
    io = Server()

    def check_token(name: str, query: Any) -> bool:
        return bool(query.get("token") == "abc")

    connection = Calls()
    io.of(check_token).on("connect", connection)
    page = await site.page(io, "2")
    assert await page.run("""
        const root = await connect();
        const good = await share(root, "/good", { query: { token: "abc" } });
        const [refused] = await once(root.io.socket("/bad", { query: { token: "x" } }), "error");
        return [good.connected, refused];
    """) == [True, "Invalid namespace"]
    assert [socket.nsp.name for socket in connection.first] == ["/good"]


async def test_dynamic_namespaces(site: Site) -> None:
    io = Server()
    dynamic = io.of(re.compile(r"^/dynamic-\d+$"))
    page = await site.page(io, "2")
    await page.run("page.socket = await connect('/dynamic-101')")
    dynamic.emit("hello", 1)
    dynamic.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == [["hello", 1]]


@OLD
async def test_refusals_are_errors(site: Site, client: Any) -> None:
    """The ERROR packet has the message, or the data alone."""
    io = Server()

    @io.of("/plain").use
    def plain(socket: Socket) -> None:
        raise ConnectError("Authentication error")

    @io.of("/data").use
    def data(socket: Socket) -> None:
        raise ConnectError("not told", data={"code": 5})

    page = await site.page(io, client)
    assert await page.run("""
        const errors = [];
        for (const name of ["/plain", "/data", "/nowhere"]) {
          errors.push((await once(open(name), "error"))[0]);
        }
        return errors;
    """) == ["Authentication error", {"code": 5}, "Invalid namespace"]


@OLD
@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_binary_data_in_nested_objects(site: Site, client: Any, transport: str) -> None:
    """The seed's `socket.emit('with-binary', 1, '2', { 3: '4', 5: new Buffer(6) })`."""
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.emit("with-binary", 1, "2", {3: "4", 5: bytes(6)})
        socket.binary(False).emit("without", {"some": "data"})

        @socket.on("back")
        def back(*args: Any) -> tuple[Any, ...]:
            return args

    page = await site.page(io, client)
    assert await page.run(
        """
        const socket = open("/", { transports: [transport] });
        const both = [once(socket, "with-binary"), once(socket, "without")];
        const [args, [plain]] = await Promise.all(both);
        const back = await new Promise((resolve) =>
          socket.emit("back", ...args, (...answer) => resolve(answer)));
        return [args, plain, back];
        """,
        transport=transport,
    ) == [
        [1, "2", {"3": "4", "5": bytes(6)}],
        {"some": "data"},
        [1, "2", {"3": "4", "5": bytes(6)}],
    ]


async def test_what_2x_chains(site: Site) -> None:
    """Emits of the server, of a namespace, of rooms return something to go on with."""
    io = Server()
    page = await site.page(io, "2")
    await page.run("page.socket = await connect()")
    [socket] = io.sockets.sockets.values()
    socket.join("a").join("b").leave("a")
    everybody: Any = io.emit("one")
    everybody.emit("two")
    room: Any = io.to("b").emit("three")
    room.emit("four")
    own: Any = socket.emit("five")
    own.emit("six").send("seven")
    await everybody
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[0] for event in received] == [
        *("one", "two", "three", "four", "five", "six", "message")
    ]


async def test_clients_of_every_generation_in_one_room(site: Site) -> None:
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("room")

        @socket.on("name?")
        def name() -> str:
            return socket.id

    url = await site.serve(io)
    pages = [site.page_at(url, client) for client in ("1", "2", "3", "4")]
    for page in pages:
        await page.run("""
            page.socket = await connect();
            page.socket.on("ask", (...args) => args.pop()(args[0]));
        """)
    io.to("room").emit("told", "€", b"\x01")
    answers = await io.to("room").timeout(5).emit_with_ack("ask", b"\x02")
    assert answers == [b"\x02"] * 4
    io.emit("done")
    for page in pages:
        received = await page.run("return await until(page.socket, 'done')")
        assert received == [["told", "€", b"\x01"], ["ask", b"\x02"]]


@OLD
async def test_leaving_and_coming_back(site: Site, client: Any) -> None:
    """A namespace is joined again under the same id; the rooms of before are gone."""
    io = Server()
    chat = io.of("/chat")
    gone = Calls()
    chat.event("disconnect")(gone)
    page = await site.page(io, client)
    await page.run("page.root = await connect(); page.chat = await share(page.root, '/chat')")
    [first] = chat.sockets.values()
    first.join("room")
    await page.run("page.chat.disconnect()")
    assert await gone.next() == (first, "client namespace disconnect")
    await page.run("const back = once(page.chat, 'connect'); page.chat.connect(); await back")
    [second] = chat.sockets.values()
    assert second is not first
    assert second.id == first.id
    assert second.rooms == {second.id}
    first.leave(second.id)
    assert second.rooms == {second.id}
