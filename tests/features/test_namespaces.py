"""Namespaces: their names, their events, who is in them."""

from __future__ import annotations

import asyncio

import pytest

from telex import ConfigurationError, Namespace, Server, Socket
from tests.features.scripts import Calls, Site


async def test_the_main_namespace_has_many_names(site: Site) -> None:
    """`io`, `io.sockets`, `io.of("/")` and `io.of("")` are the same namespace."""
    io = Server()
    connection = Calls()
    assert io.sockets is io.of("/") is io.of("")
    assert io.sockets.name == "/"
    io.on("connection", connection)
    io.sockets.on("connection", connection)
    io.of("").on("connection", connection)
    page = await site.page(io)
    socket_id = await page.run("return (await connect()).id")
    assert [socket.id for socket in connection.first] == [socket_id] * 3


async def test_the_leading_slash_may_be_left_out(site: Site) -> None:
    io = Server()
    assert io.of("chat") is io.of("/chat")
    assert io.of("chat").name == "/chat"
    page = await site.page(io)
    assert await page.run("return (await connect('/chat')).connected")


async def test_what_cannot_be_a_name() -> None:
    io = Server()
    with pytest.raises(ConfigurationError, match="cannot be a namespace"):
        io.of("/a,b")
    with pytest.raises(ConfigurationError, match="cannot be a namespace"):
        io.of("/" + "x" * 5000)


async def test_connect_and_connection_are_the_same_event(site: Site) -> None:
    io = Server()
    seen: list[str] = []

    @io.on("connect")
    def connect(_: Socket) -> None:
        seen.append("connect")

    @io.on("connection")
    def connection(_: Socket) -> None:
        seen.append("connection")

    page = await site.page(io)
    await page.run("await connect()")
    assert seen == ["connect", "connection"]


async def test_of_and_on_chain_as_in_node(site: Site) -> None:
    """`chat = io.of("/chat").on("connection", …)` gives the namespace, as in the seeds."""
    io = Server()

    def connection(socket: Socket) -> None:
        socket.emit("a message", {"that": "only", "/chat": "will get"})
        chat.emit("a message", {"everyone": "in", "/chat": "will get"})
        socket.emit("done")

    chat = io.of("/chat").on("connection", connection)
    assert chat is io.of("/chat")
    page = await site.page(io)
    assert await page.run("return await until(await connect('/chat'), 'done')") == [
        ["a message", {"that": "only", "/chat": "will get"}],
        ["a message", {"everyone": "in", "/chat": "will get"}],
    ]


async def test_several_namespaces_share_a_connection(site: Site) -> None:
    io = Server()
    io.of("/chat")
    io.of("/news")
    page = await site.page(io)
    assert await page.run("""
        const root = await connect();
        const chat = await share(root, "/chat");
        const news = await share(root, "/news");
        const ids = new Set([root.id, chat.id, news.id]);
        const managers = new Set([root.io, chat.io, news.io]);
        return [ids.size, managers.size];
    """) == [3, 1]
    assert io.engine.clients_count == 1
    [socket] = io.sockets.sockets.values()
    assert [other.nsp.name for other in socket.client.sockets] == ["/", "/chat", "/news"]


async def test_the_same_namespace_twice_takes_two_connections(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    assert await page.run("""
        const first = await connect("/", { forceNew: false });
        const second = await connect("/", { forceNew: false });
        return first.io !== second.io && first.id !== second.id;
    """)
    assert len(io.sockets.sockets) == 2
    assert io.engine.clients_count == 2


async def test_sockets_by_id(site: Site) -> None:
    """`namespace.sockets`, and `connected` as it was called in 2.x."""
    io = Server()
    chat = io.of("/chat")
    page = await site.page(io)
    ids = await page.run(
        "return [(await connect('/chat')).id, (await connect('/chat')).id, (await connect()).id]"
    )
    assert list(chat.sockets) == ids[:2]
    assert list(chat.connected) == ids[:2]
    assert chat.sockets[ids[0]].id == ids[0]
    assert list(io.sockets.sockets) == ids[2:]


async def test_an_unknown_namespace_is_refused(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    assert await page.run("""
        const [error] = await once(open("/nowhere"), "connect_error");
        return [error instanceof Error, error.message];
    """) == [True, "Invalid namespace"]
    assert not io.sockets.sockets


async def test_a_packet_for_a_namespace_not_joined_ends_the_connection(site: Site) -> None:
    io = Server()
    io.of("/chat")
    page = await site.page(io)
    assert (
        await page.run("""
        const socket = await connect();
        socket.io.engine.write('2/chat,["hello"]');
        return await once(socket, "disconnect").then(([reason]) => reason);
    """)
        == "transport close"
    )


async def test_a_client_that_joins_no_namespace_is_sent_away(site: Site) -> None:
    """Node: `connectTimeout`."""
    io = Server(connect_timeout=0.05)
    page = await site.page(io)
    assert (
        await page.run("""
        const { Manager } = io;
        const manager = new Manager(url, { reconnection: false, autoConnect: false });
        await new Promise((resolve) => manager.open(resolve));
        const [reason] = await once(manager, "close");
        return reason;
    """)
        == "transport close"
    )
    assert io.engine.clients_count == 0


async def test_a_client_that_has_joined_stays(site: Site) -> None:
    io = Server(connect_timeout=0.05)
    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        await sleep(150);
        return socket.connected;
    """)


async def test_new_namespace_is_announced() -> None:
    io = Server()
    new_namespace = Calls()
    io.on("new_namespace", new_namespace)
    chat, same, news = io.of("/chat"), io.of("/chat"), io.of("/news")
    assert same is chat
    assert new_namespace.first == [chat, news]


async def test_once_listens_for_one_connection(site: Site) -> None:
    io = Server()
    connection = Calls()
    io.once("connection", connection)
    page = await site.page(io)
    ids = await page.run("return [(await connect()).id, (await connect()).id]")
    assert [socket.id for socket in connection.first] == ids[:1]


async def test_off_forgets_a_handler(site: Site) -> None:
    io = Server()
    seen: list[str] = []

    def first(_: Socket) -> None:
        seen.append("first")

    def second(_: Socket) -> None:
        seen.append("second")

    io.on("connection", first).on("connection", second)
    assert io.listeners("connection") == [first, second]
    io.off("connection", first)
    page = await site.page(io)
    await page.run("await connect()")
    io.remove_listener("connect")
    await page.run("await connect()")
    assert seen == ["second"]
    io.on("connection", first).on("hello", first).once("world", second)
    assert io.event_names() == ["connection", "hello", "world"]
    io.remove_all_listeners("hello")
    assert io.event_names() == ["connection", "world"]
    io.remove_all_listeners()
    assert io.event_names() == []
    await page.run("await connect()")
    assert seen == ["second"]


async def test_handlers_of_a_namespace_serve_all_its_sockets(site: Site) -> None:
    """`@io.event`: the first parameter is the socket, the name is the function's."""
    io = Server()

    @io.event
    def rename(socket: Socket, name: str) -> str:
        socket.data["name"] = name
        return name

    @io.of("/chat").event("private message")
    async def private_message(socket: Socket, text: str) -> list[str]:
        await asyncio.sleep(0)
        return [socket.nsp.name, text]

    page = await site.page(io)
    assert await page.run("""
        const root = await connect();
        const chat = await share(root, "/chat");
        return [
          await root.emitWithAck("rename", "ana"),
          await chat.emitWithAck("private message", "hi"),
        ];
    """) == ["ana", ["/chat", "hi"]]
    [socket] = io.sockets.sockets.values()
    assert socket.data == {"name": "ana"}


async def test_a_transport_that_ends_takes_every_namespace_with_it(site: Site) -> None:
    io = Server()
    gone = Calls()

    def watch(socket: Socket) -> None:
        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            gone(socket.nsp.name, reason)

    io.on("connection", watch)
    io.of("/chat").on("connection", watch)
    page = await site.page(io)
    await page.run("(await share(await connect(), '/chat')).io.engine.close()")
    assert {await gone.next(), await gone.next()} == {
        ("/", "transport close"),
        ("/chat", "transport close"),
    }


async def test_emitting_to_a_namespace(site: Site) -> None:
    """`io.emit` and `send` reach everybody in `/`, those of another namespace only theirs."""
    io = Server()
    chat = io.of("/chat")
    page = await site.page(io)
    await page.run("""
        page.ana = await connect();
        page.ben = await connect();
        page.eve = await connect("/chat");
    """)
    io.emit("news", {"a": [1]}, b"\x00\xff")
    io.send("a message", 2)
    chat.emit("only", "in chat")
    io.emit("done")
    chat.emit("done")
    root = [["news", {"a": [1]}, b"\x00\xff"], ["message", "a message", 2]]
    assert await page.run("""
        return [
          await until(page.ana, "done"),
          await until(page.ben, "done"),
          await until(page.eve, "done"),
        ];
    """) == [root, root, [["only", "in chat"]]]


async def test_reserved_names_cannot_be_emitted(site: Site) -> None:
    io = Server()
    names = (
        "connect",
        "connect_error",
        "disconnect",
        "disconnecting",
        "newListener",
        "removeListener",
    )
    for name in names:
        with pytest.raises(ValueError, match="reserved"):
            io.emit(name)
        with pytest.raises(ValueError, match="reserved"):
            io.to("room").emit(name)
    for name in ("connect", "connection", "new_namespace"):
        with pytest.raises(ValueError, match="reserved"):
            io.server_side_emit(name)


async def test_message_is_an_ordinary_name(site: Site) -> None:
    """One of the seeds says it could not be used; `send` emits it, in both directions."""
    io = Server()

    @io.event
    def message(socket: Socket, text: str) -> None:
        socket.emit("message", text.upper())
        socket.send("sent", 1)
        socket.emit("done")

    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        socket.send("hi");
        return await until(socket, "done");
    """) == [["message", "HI"], ["message", "sent", 1]]


async def test_a_namespace_of_its_own_is_typed() -> None:
    io = Server()
    assert isinstance(io.of("/chat"), Namespace)
    assert repr(io.of("/chat")) == "<Namespace '/chat' with 0 sockets>"
