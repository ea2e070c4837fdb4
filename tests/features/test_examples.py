"""The two applications of examples/, run with the clients that they were written for."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from examples import seed_v2, seed_v4
from telex import ConfigurationError, Server
from tests.features.scripts import Page, Site


async def v2(site: Site) -> Page:
    return await site.page(seed_v2.create(), "2")


async def test_v2_main_namespace(site: Site) -> None:
    """What everybody sees: news, everyone, broadcasts, the chat, acknowledgements."""
    page = await v2(site)
    result = await page.run("""
        const ana = await connect();
        ana.emit("my other event", { my: "data" });
        ana.emit("private message", "ana", "hi");
        const ben = await connect();
        const call = (...args) => new Promise((resolve) => ana.emit(...args, resolve));
        const answers = [
          await call("ferret", "tobi"), await call("ferret with a function", "tobi"),
          await call("req", "req:"),
        ];
        ana.send("hi");
        const [message] = await once(ana, "message");
        ben.emit("chat", "hello");
        const [chat] = await once(ana, "chat");
        ben.disconnect();
        await once(ana, "user disconnected");
        const seen = (await until(ana, "user disconnected")).map(([name]) => name);
        return { answers, message, chat: chat === `client_${ben.id} says: hello` || chat, seen };
    """)
    assert result["answers"] == ["woot", "woot", "hello world"]
    assert result["message"] == "you said hi"
    assert result["chat"] is True or "says: hello" in result["chat"]
    assert result["seen"] == ["news", "this", "this", "user connected", "hi", "message", "chat"]


async def test_v2_page(site: Site) -> None:
    """The page is served beside the client that it loads."""
    page = await v2(site)
    assert await page.run("""
        const html = await request("/");
        const script = await request("/socket.io/socket.io.js");
        return [html.headers["content-type"], html.text.includes("/socket.io/socket.io.js"),
          script.status];
    """) == ["text/html; charset=utf-8", True, 200]


async def test_v2_namespaces(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const chat = open("/chat");
        const news = open("/news");
        const messages = [];
        chat.on("a message", (message) => messages.push(message));
        const [item] = await once(news, "item");
        while (messages.length < 2) await sleep(5);
        return [messages, item];
    """) == [
        [{"that": "only", "/chat": "will get"}, {"everyone": "in", "/chat": "will get"}],
        {"news": "item"},
    ]


async def test_v2_volatile(site: Site) -> None:
    page = await v2(site)
    assert await page.run("return await once(open('/tweets'), 'bieber tweet')") == [
        "baby, baby, baby"
    ]


async def test_v2_ways_to_make_a_server(site: Site) -> None:
    for io in seed_v2.ways_to_make_a_server():
        page = await site.page(io, "2")
        assert await page.run("return (await connect('/', { path })).connected", path=io.path), (
            io.path
        )


async def test_v2_settings(site: Site) -> None:
    page = await site.page(seed_v2.settings_by_property(), "2")
    outcomes = """
        const outcomes = [];
        for (const origin of origins) {
          const socket = open("/", {
            path, transportOptions: { websocket: { extraHeaders: { origin } } },
          });
          outcomes.push(await Promise.race([
            once(socket, "connect").then(() => true),
            once(socket, "connect_error").then(() => false),
          ]));
        }
        return outcomes;
    """
    origins = ["https://foo.example.com", "https://bar.example.com"]
    assert await page.run(outcomes, path="/myownpath", origins=origins) == [True, False]
    assert await page.run("return (await request('/myownpath/socket.io.js')).status") == 404
    page = await site.page(seed_v2.origins_by_function(), "2")
    assert await page.run(outcomes, path="/socket.io", origins=origins) == [True, False]


async def test_v2_ids(site: Site) -> None:
    page = await site.page(seed_v2.ids_by_function(), "2")
    assert await page.run("return [(await connect()).id, (await connect()).id]") == [
        "custom:id:1",
        "custom:id:2",
    ]


async def test_v2_closing() -> None:
    assert await seed_v2.closing()


async def test_v2_namespace_members(site: Site) -> None:
    page = await v2(site)
    events, [admins, level1, everybody], ids = await page.run("""
        const root = await connect();
        const admin = await connect("/admin");
        const clients = await new Promise((resolve) => admin.emit("clients", resolve));
        return [
          (await until(admin, "an event")).length, clients,
          [`/admin#${admin.io.engine.id}`, root.io.engine.id, admin.io.engine.id],
        ];
    """)
    assert events == 0
    assert admins == level1 == ids[:1]
    assert everybody == ids[1:]


async def test_v2_dynamic_namespaces(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const socket = open("/dynamic-101");
        await once(socket, "hello");
        const token = await connect("/token/x", { query: { token: "abc" } });
        const [error] = await once(open("/token/y", { query: { token: "x" } }), "error");
        return [token.connected, error];
    """) == [True, "Invalid namespace"]


async def test_v2_namespace_middleware(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const [error] = await once(open("/cookies"), "error");
        const cookies = await connect("/cookies", {
          transportOptions: { websocket: { extraHeaders: { cookie: "a=b" } } },
        });
        return [error, cookies.connected];
    """) == ["Authentication error", True]


async def test_v2_rooms(site: Site, capsys: pytest.CaptureFixture[str]) -> None:
    page = await v2(site)
    ids, seen = await page.run("""
        const ana = await connect("/rooms");
        const ben = await connect("/rooms");
        ben.emit("say to someone", `/rooms#${ana.io.engine.id}`, "hey");
        await once(ana, "my message");
        ben.disconnect();
        await once(ana, "is leaving");
        return [
          [ana.io.engine.id, ben.io.engine.id], await until(ana, "is leaving"),
        ];
    """)
    assert [event[0] for event in seen] == [
        "a new user has joined the room",
        "a new user has joined the room",
        "hello",
        "my message",
    ]
    assert seen[-1] == ["my message", "hey"]
    assert str([f"/rooms#{ids[0]}", "room 237"]) in capsys.readouterr().out


async def test_v2_handshake(site: Site) -> None:
    page = await v2(site)
    handshake = await page.run("""
        const socket = await connect("/", {
          query: { a: "b" }, transportOptions: { websocket: { extraHeaders: { "x-user": "ana" } } },
        });
        return await new Promise((resolve) => socket.emit("handshake", resolve));
    """)
    assert handshake["user"] == {"acoid": "1", "nickname": "ana"}
    assert handshake["remote"] == handshake["address"] == "127.0.0.1"
    assert handshake["query"]["a"] == "b"
    assert handshake["xdomain"] is handshake["secure"] is False


async def test_v2_packet_middleware(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const socket = await connect("/doge");
        const refused = once(socket, "error");
        socket.emit("wow", { doge: false });
        const answer = await new Promise((resolve) => socket.emit("wow", { doge: true }, resolve));
        return [await refused, answer];
    """) == [["Not a doge error"], "such event"]


async def test_v2_emitting(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const socket = open("/emits");
        socket.on("ferret", (name, fn) => fn("woot"));
        socket.on("chat", (name, fn) => fn("i got"));
        const [first] = await once(socket, "it said");
        socket.emit("ask me");
        const [second] = await once(socket, "it said");
        const seen = await until(socket, "it said");
        return [first, second, seen.filter(([name]) => name !== "an event")];
    """) == [
        "woot",
        "i got",
        [
            ["hello", "world"],
            ["with-binary", 1, "2", {"3": "4", "5": bytes(6)}],
            ["uncompressed", "that's rough"],
            ["ferret", "tobi"],
        ],
    ]


async def test_v2_listening(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const socket = await connect("/listeners");
        const call = (...args) => new Promise((resolve) => socket.emit(...args, resolve));
        return [
          await call("news", 1), await call("news", 1, 2, 3), await call("once"),
          await call("event names"),
        ];
    """) == [1, 3, "the first time", ["news", "event names"]]


async def test_v2_disconnecting(site: Site) -> None:
    page = await v2(site)
    assert await page.run("""
        const witness = await connect();
        const left = once(witness, "has left");
        const [reason] = await once(await connect("/short"), "disconnect");
        return [reason, (await left)[0]];
    """) == ["io server disconnect", "server namespace disconnect"]


async def test_v2_what_the_documentation_has_wrong() -> None:
    """Its misspelt option is named, and its `io.to('room', 'text')` is an error."""
    wrong: Any = Server
    with pytest.raises(ConfigurationError, match="did you mean 'serve_client'"):
        wrong(serverClient=False)
    with pytest.raises(TypeError):
        wrong().to("room 237", "a new user has joined the room")


@pytest.fixture
async def v4(site: Site) -> Page:
    return await site.page(seed_v4.io)


async def test_v4_id(v4: Page) -> None:
    identity, other, told = await v4.run("""
        const [ana, ben] = [await connect(), await connect()];
        const told = once(ben, "private message");
        ana.emit("private message", ben.id, "hi");
        return [ana.id, ben.id, await told];
    """)
    assert re.fullmatch(r"[\w-]{20}", identity)
    assert identity != other
    assert told == [identity, "hi"]


async def test_v4_handshake_rooms_and_data(v4: Page) -> None:
    identity, handshake, rooms, names = await v4.run("""
        const socket = await connect("/", { auth: { token: "123" } });
        const handshake = await socket.emitWithAck("handshake");
        const rooms = await socket.emitWithAck("rooms");
        socket.emit("alice");
        return [socket.id, handshake, rooms, await socket.emitWithAck("usernames")];
    """)
    assert handshake["auth"] == {"token": "123"}
    assert handshake.keys() == {
        *("headers", "query", "auth", "time", "issued", "url", "address", "xdomain", "secure")
    }
    assert rooms == [[identity], [identity, "room1"]]
    assert names == ["alice"]


async def test_v4_conn(v4: Page) -> None:
    seen = await v4.run("""
        const socket = await connect("/", { transports: ["polling", "websocket"] });
        await upgraded(socket);
        socket.emit("rooms");
        return await socket.emitWithAck("seen");
    """)
    assert seen[0] == ["initial transport", "polling"]
    for event in (["upgraded transport", "websocket"], ["packet", "message"], ["drain"]):
        assert event in seen


async def test_v4_attributes_and_middleware(v4: Page) -> None:
    assert await v4.run("""
        const [error] = await once(open("/users"), "connect_error");
        const socket = open("/users", { auth: { user: "7" } });
        const [user] = await once(socket, "you are");
        return [error.message, user, await socket.emitWithAck("set username", "annie")];
    """) == ["unknown user", {"id": "7"}, "7 is annie"]


async def test_v4_socket_middleware(v4: Page) -> None:
    assert await v4.run("""
        const socket = await connect("/guarded");
        const answer = await socket.emitWithAck("allowed", 1);
        socket.emit("forbidden");
        const [reason] = await once(socket, "disconnect");
        return [answer, reason];
    """) == [1, "io server disconnect"]


async def test_v4_leaving(v4: Page) -> None:
    seed_v4.reasons.clear()
    identity, told = await v4.run("""
        const [ana, ben] = [await connect("/leaving"), await connect("/leaving")];
        const { id } = ana;
        const told = once(ben, "user has left");
        ana.disconnect();
        const [other] = await told;
        ben.io.engine.close();
        return [id, other];
    """)
    assert told == identity
    async with asyncio.timeout(5):
        while len(seed_v4.reasons) < 2:
            await asyncio.sleep(0.005)
    assert seed_v4.reasons == ["client namespace disconnect", "transport close"]


async def test_v4_reserved_names(v4: Page) -> None:
    assert await v4.run("return await (await connect()).emitWithAck('bad')") == (
        "'disconnect' is a reserved event name"
    )
