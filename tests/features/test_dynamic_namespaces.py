"""Namespaces that are made when a client asks for them."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from telex import ConfigurationError, ConnectError, Server, Socket
from tests.features.scripts import Calls, Site


async def test_a_regular_expression(site: Site) -> None:
    """As in the seed: `/^\\/dynamic-\\d+$/`; events, emits and middleware of the parent."""
    io = Server()
    dynamic = io.of(re.compile(r"^/dynamic-\d+$"))
    asked: list[str] = []

    @dynamic.use
    def middleware(socket: Socket) -> None:
        asked.append(socket.nsp.name)

    @dynamic.on("connect")
    def connect(socket: Socket) -> None:
        namespace = socket.nsp
        namespace.emit("hello", namespace.name)

    page = await site.page(io)
    assert (
        await page.run("""
        page.first = await connect("/dynamic-101");
        page.second = await connect("/dynamic-102");
        const [error] = await once(open("/dynamic-x"), "connect_error");
        return error.message;
    """)
        == "Invalid namespace"
    )
    assert asked == ["/dynamic-101", "/dynamic-102"]
    assert sorted(child.name for child in dynamic.children) == ["/dynamic-101", "/dynamic-102"]
    dynamic.emit("to all", b"\x01")
    dynamic.emit("done")
    assert await page.run(
        "return [await until(page.first, 'done'), await until(page.second, 'done')]"
    ) == [
        [["hello", "/dynamic-101"], ["to all", b"\x01"]],
        [["hello", "/dynamic-102"], ["to all", b"\x01"]],
    ]


async def test_a_function(site: Site) -> None:
    """`(name, auth)`: Node's third parameter `next` is the return value here."""
    io = Server()
    asked: list[tuple[str, Any]] = []

    def matches(name: str, auth: Any) -> bool:
        asked.append((name, auth))
        return bool(auth.get("token") == "abc")

    parent = io.of(matches)
    page = await site.page(io)
    assert await page.run("""
        const socket = await connect("/any", { auth: { token: "abc" } });
        const [error] = await once(open("/other", { auth: { token: "x" } }), "connect_error");
        return [socket.nsp, error.message];
    """) == ["/any", "Invalid namespace"]
    assert asked == [("/any", {"token": "abc"}), ("/other", {"token": "x"})]
    assert [child.name for child in parent.children] == ["/any"]


async def test_a_coroutine_function(site: Site) -> None:
    io = Server()

    async def matches(name: str, auth: Any) -> bool:
        await asyncio.sleep(0.01)
        return name == "/found"

    io.of(matches)
    page = await site.page(io)
    assert await page.run("""
        const found = await connect("/found");
        const [error] = await once(open("/lost"), "connect_error");
        return [found.connected, error.message];
    """) == [True, "Invalid namespace"]


async def test_a_function_that_fails_refuses(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    io = Server()

    def fails(name: str, auth: Any) -> bool:
        raise RuntimeError("a database secret")

    io.of(fails)
    page = await site.page(io)
    assert (
        await page.run("""
        const [error] = await once(open("/any"), "connect_error");
        return error.message;
    """)
        == "Invalid namespace"
    )
    assert "a database secret" in caplog.text


async def test_the_second_that_matches_is_asked_too(site: Site) -> None:
    io = Server()
    first, second = io.of(re.compile("^/a")), io.of(re.compile("b$"))
    page = await site.page(io)
    await page.run("await connect('/ab'); await connect('/xb')")
    assert [child.name for child in first.children] == ["/ab"]
    assert [child.name for child in second.children] == ["/xb"]


async def test_two_first_connections_share_one_child(site: Site) -> None:
    """Node had two namespaces of one name there (issue 4136)."""
    io = Server()
    made = Calls()
    io.on("new_namespace", made)

    async def matches(name: str, auth: Any) -> bool:
        await asyncio.sleep(0.01)
        return True

    io.of(matches)
    page = await site.page(io)
    assert await page.run("""
        page.both = await Promise.all([connect("/game"), connect("/game")]);
        return page.both.map((socket) => socket.connected);
    """) == [True, True]
    assert made.first == [io.of("/game")]
    assert len(io.of("/game").sockets) == 2
    io.of("/game").emit("done")
    await page.run("for (const socket of page.both) await until(socket, 'done')")


async def test_new_namespace_is_announced_for_children(site: Site) -> None:
    io = Server()
    made = Calls()
    io.of(re.compile("^/game-"))
    io.on("new_namespace", made)
    page = await site.page(io)
    await page.run("await connect('/game-1'); await connect('/game-1'); await connect('/game-2')")
    assert made.first == [io.of("/game-1"), io.of("/game-2")]


async def test_a_child_made_by_hand_belongs_to_its_parent(site: Site) -> None:
    io = Server()
    parent = io.of(re.compile("^/game-"))
    connection = Calls()
    parent.on("connection", connection)
    child = io.of("/game-1")
    assert parent.children == {child}
    page = await site.page(io)
    await page.run("await connect('/game-1')")
    assert [socket.nsp for socket in connection.first] == [child]


async def test_what_is_registered_later_holds_for_children(site: Site) -> None:
    io = Server()
    parent = io.of(re.compile("^/game-"))
    page = await site.page(io)
    await page.run("page.socket = await connect('/game-1')")

    @parent.event
    def later(socket: Socket) -> str:
        return socket.nsp.name

    @parent.use
    def closed(socket: Socket) -> None:
        raise ConnectError("closed")

    assert await page.run("""
        const [error] = await once(open("/game-1"), "connect_error");
        return [await page.socket.emitWithAck("later"), error.message];
    """) == ["/game-1", "closed"]


async def test_rooms_of_children(site: Site) -> None:
    """A room of the parent is that room in every child; each child also has its own."""
    io = Server()
    parent = io.of(re.compile("^/game-"))

    @parent.on("connection")
    def connection(socket: Socket) -> None:
        socket.join("players")

    page = await site.page(io)
    await page.run("page.a = await connect('/game-1'); page.b = await connect('/game-2')")
    parent.to("players").emit("both")
    io.of("/game-1").to("players").emit("first")
    parent.except_("players").emit("nobody")
    parent.sockets_leave("players")
    parent.to("players").emit("nobody any more")
    parent.emit("done")
    assert await page.run("return [await until(page.a, 'done'), await until(page.b, 'done')]") == [
        [["both"], ["first"]],
        [["both"]],
    ]


async def test_acknowledgements_of_all_children(site: Site) -> None:
    io = Server()
    parent = io.of(re.compile("^/game-"))
    page = await site.page(io)
    await page.run("""
        for (const name of ["/game-1", "/game-2"]) {
          (await connect(name)).on("name?", (ack) => ack(name));
        }
    """)
    answers = await parent.timeout(5).emit_with_ack("name?")
    assert sorted(answers) == ["/game-1", "/game-2"]


async def test_disconnecting_all_children(site: Site) -> None:
    io = Server()
    parent = io.of(re.compile("^/game-"))
    page = await site.page(io)
    await page.run("page.a = await connect('/game-1'); page.b = await connect('/game-2')")
    ended = await page.begin("""
        return await Promise.all([page.a, page.b].map((socket) =>
          socket.disconnected ? "early" : once(socket, "disconnect").then(([reason]) => reason)));
    """)
    parent.disconnect_sockets()
    assert set(await ended) <= {"io server disconnect", "early"}


async def test_sockets_are_fetched_of_children_only(site: Site) -> None:
    io = Server()
    with pytest.raises(ConfigurationError, match="children"):
        await io.of(re.compile("^/game-")).fetch_sockets()


async def test_empty_children_go_if_asked_to(site: Site) -> None:
    """Node: `cleanupEmptyChildNamespaces`."""
    io = Server(cleanup_empty_child_namespaces=True)
    parent = io.of(re.compile("^/game-"))
    gone = Calls()
    parent.event("disconnect")(gone)
    page = await site.page(io)
    await page.run("page.a = await connect('/game-1'); page.b = await connect('/game-1')")
    first = io.of("/game-1")
    await page.run("page.a.disconnect()")
    await gone.next()
    assert parent.children == {first}
    await page.run("page.b.disconnect()")
    await gone.next()
    assert parent.children == set()
    await page.run("page.a = await connect('/game-1')")
    assert io.of("/game-1") is not first


async def test_empty_children_stay_otherwise(site: Site) -> None:
    io = Server()
    parent = io.of(re.compile("^/game-"))
    gone = Calls()
    parent.event("disconnect")(gone)
    page = await site.page(io)
    await page.run("(await connect('/game-1')).disconnect()")
    await gone.next()
    assert [child.name for child in parent.children] == ["/game-1"]


async def test_a_child_that_lets_nobody_in_goes(site: Site) -> None:
    io = Server(cleanup_empty_child_namespaces=True)
    parent = io.of(re.compile("^/game-"))

    @parent.use
    def refuse(socket: Socket) -> None:
        raise ConnectError("no")

    page = await site.page(io)
    assert (
        await page.run("""
        const [error] = await once(open("/game-1"), "connect_error");
        return error.message;
    """)
        == "no"
    )
    assert parent.children == set()


async def test_what_cannot_be_a_pattern() -> None:
    io = Server()
    wrong: Any = 5
    with pytest.raises(ConfigurationError, match="regular expression"):
        io.of(wrong)


async def test_those_in_use_are_limited(site: Site) -> None:
    io = Server(max_dynamic_namespaces=2)
    io.of(re.compile(r"\A/game-[0-9]+\Z"))
    page = await site.page(io)
    assert await page.run("""
        const [first, second] = [await connect("/game-1"), await connect("/game-2")];
        const [error] = await once(open("/game-3"), "connect_error");
        first.disconnect();
        await connect("/game-4");
        return error.message;
    """) == ("Invalid namespace")
    assert [name for name in ("/game-2", "/game-4") if io.of(name).sockets] == [
        "/game-2",
        "/game-4",
    ]
