"""Acting on many sockets at once: fetch, join, leave, disconnect."""

from __future__ import annotations

from typing import Any

from telex import Server, Socket
from tests.features.scripts import Calls, Page, Site


async def three(site: Site) -> tuple[Server, Page, list[Socket]]:
    """Three clients; the first is in a and b, the second in b, the third in c."""
    io = Server()
    page = await site.page(io)
    await page.run("page.sockets = [await connect(), await connect(), await connect()]")
    sockets = list(io.sockets.sockets.values())
    for socket, rooms in zip(sockets, (["a", "b"], ["b"], ["c"]), strict=True):
        socket.join(rooms)
    return io, page, sockets


async def test_fetch_sockets(site: Site) -> None:
    """Ids, rooms, data and handshake, of everybody or of those who are chosen."""
    io, _, [first, second, third] = await three(site)
    first.data["username"] = "alice"
    second.data = {"list": [1, 2]}
    fetched = {socket.id: socket for socket in await io.fetch_sockets()}
    assert fetched.keys() == {first.id, second.id, third.id}
    assert fetched[first.id].data == {"username": "alice"}
    assert fetched[second.id].data == {"list": [1, 2]}
    assert fetched[third.id].data == {}
    assert fetched[first.id].rooms == {first.id, "a", "b"}
    handshake = fetched[first.id].handshake
    assert handshake["headers"]["host"].startswith("127.0.0.1:")
    assert handshake["query"]["EIO"] == "4"
    assert {socket.id for socket in await io.in_("b").fetch_sockets()} == {first.id, second.id}
    assert {socket.id for socket in await io.except_("b").fetch_sockets()} == {third.id}
    assert {socket.id for socket in await first.to("b").fetch_sockets()} == {second.id}
    assert {socket.id for socket in await io.local.fetch_sockets()} == fetched.keys()


async def test_what_was_fetched_can_be_acted_on(site: Site) -> None:
    io, page, [first, second, third] = await three(site)
    await page.run("page.sockets[0].on('name?', (...args) => args.pop()('first', ...args))")
    [remote] = await io.in_("a").fetch_sockets()
    assert remote.id == first.id
    remote.emit("x", 1, b"\x01")
    remote.send("sent")
    assert await remote.emit_with_ack("name?", timeout=5) == "first"
    assert await remote.emit_with_ack("name?", 2, timeout=5) == ("first", 2)
    assert await remote.timeout(5).emit_with_ack("name?") == "first"
    answered = Calls()
    remote.timeout(5).emit("name?", ack=answered)
    assert await answered.next() == (None, "first")
    remote.join(["d", "e"])
    remote.leave("a")
    assert first.rooms == {first.id, "b", "d", "e"}
    assert "d" not in second.rooms
    io.emit("done")
    assert await page.run(
        "return await Promise.all(page.sockets.map((s) => until(s, 'done')))"
    ) == [
        [["x", 1, b"\x01"], ["message", "sent"], *[["name?"], ["name?", 2], ["name?"], ["name?"]]],
        [],
        [],
    ]
    ended = await page.begin("return (await once(page.sockets[0], 'disconnect'))[0]")
    await remote.disconnect()
    assert await ended == "io server disconnect"
    assert set(io.sockets.sockets) == {second.id, third.id}


async def test_clients(site: Site) -> None:
    """`clients(callback)` of 2.x: ids, of the namespace, of rooms, of the server."""
    io, page, [first, second, third] = await three(site)
    io.of("/chat")
    await page.run("await connect('/chat')")
    assert await io.clients() == [first.id, second.id, third.id]
    assert await io.in_("b").clients() == [first.id, second.id]
    assert set(await io.in_("a").in_("c").clients()) == {first.id, third.id}
    assert await io.of("/chat").clients() == list(io.of("/chat").sockets)
    assert await io.of("/chat").in_("general").clients() == []


async def test_sockets_join_and_leave(site: Site) -> None:
    io, _, [first, second, third] = await three(site)
    io.sockets_join("all")
    assert all("all" in socket.rooms for socket in (first, second, third))
    await io.in_("b").sockets_join(["d", "e"])
    assert first.rooms == {first.id, "a", "b", "all", "d", "e"}
    assert third.rooms == {third.id, "c", "all"}
    io.except_("c").sockets_leave(["all", "b"])
    assert first.rooms == {first.id, "a", "d", "e"}
    assert second.rooms == {second.id, "d", "e"}
    assert third.rooms == {third.id, "c", "all"}
    first.broadcast.sockets_join("others")
    assert ["others" in socket.rooms for socket in (first, second, third)] == [False, True, True]
    await io.sockets_leave("others")
    io.to([]).sockets_join("nobody")
    assert "nobody" not in io.sockets.adapter.rooms()


async def test_disconnect_sockets(site: Site) -> None:
    """After what was emitted before; with `close`, the whole connection."""
    io, page, [first, second, third] = await three(site)
    chat = io.of("/chat")
    await page.run("page.chat = await share(page.sockets[2], '/chat')")
    ended = await page.begin("""
        const reasons = page.sockets.slice(0, 2).map((socket) =>
          Promise.all([once(socket, "bye"), once(socket, "disconnect")]));
        return (await Promise.all(reasons)).map(([, [reason]]) => reason);
    """)
    io.in_("b").emit("bye")
    await io.in_("b").disconnect_sockets()
    assert await ended == ["io server disconnect", "io server disconnect"]
    assert list(io.sockets.sockets) == [third.id]
    closed = await page.begin("return (await once(page.chat, 'disconnect'))[0]")
    io.disconnect_sockets(close=True)
    assert await closed == "io server disconnect"
    assert not chat.sockets
    assert not first.connected
    assert not second.connected


async def test_server_side_emit_in_one_process(site: Site) -> None:
    """It is for the other servers: a single one hears nothing of its own, and nobody answers."""
    io = Server()
    heard: list[Any] = []

    @io.on("hello")
    def hello(value: Any) -> None:
        heard.append(value)

    await site.serve(io)
    await io.server_side_emit("hello", "world")
    io.server_side_emit("hello", 1)
    assert await io.server_side_emit_with_ack("hello", "world") == []
    assert heard == []
