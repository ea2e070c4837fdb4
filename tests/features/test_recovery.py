"""Connection state recovery: a client that comes back finds what it has missed."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest

from telex import AckTimeout, ConfigurationError, ConnectError, Disconnected, Server, Socket
from telex.adapter.base import AdapterHost
from telex.adapter.memory import InMemoryAdapter
from tests.features.scripts import Calls, Page, Site

# `lose` cuts the connection without a word, `back` comes back.
SETUP = """
    page.lose = () => page.socket.io.engine.transport.ws._socket.destroy();
    page.back = async () => {
      const connected = once(page.socket, "connect");
      page.socket.connect();
      await connected;
      return page.socket.recovered;
    };
    page.socket = await connect();
"""


async def recovering(site: Site, io: Server) -> Page:
    page = await site.page(io)
    await page.run(SETUP)
    return page


def only(io: Server) -> Socket:
    [socket] = io.sockets.sockets.values()
    return socket


async def lose(io: Server, page: Page) -> None:
    """Cut the connection; returns when the server knows."""
    gone = Calls()
    only(io).on("disconnect", gone)
    await page.run("page.lose()")
    await gone.next()


async def test_the_session_and_the_packets_come_back(site: Site) -> None:
    """Same id, rooms, data; everything that was missed, once, in order, bytes too."""
    io = Server(connection_state_recovery=True)
    connection = Calls()
    io.on("connection", connection)
    page = await recovering(site, io)
    socket = only(io)
    identity = socket.id
    socket.join(["a", "b"])
    socket.data["name"] = "ana"
    socket.emit("seen", 1)
    await page.run("await until(page.socket, 'seen')")
    await lose(io, page)
    assert not io.sockets.sockets
    io.emit("to all", 1, b"\x01")
    io.to("a").emit("to a", {"x": [2]})
    io.to("c").emit("to c")
    io.to("a").except_("b").emit("a but not b")
    io.to(identity).emit("to the socket", 3)
    io.volatile.emit("volatile")
    missed = await page.run("""
        await page.back();
        const { id, recovered } = page.socket;
        return [id, recovered];
    """)
    assert missed == [identity, True]
    back = only(io)
    assert back is not socket
    assert back.recovered
    assert back.rooms == {identity, "a", "b"}
    assert back.data == {"name": "ana"}
    assert connection.first == [socket, back]
    io.to("a").emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    # JavaScript's handlers see the offset, too: it is an extra last argument.
    assert [event[:-1] for event in received] == [
        ["to all", 1, b"\x01"],
        ["to a", {"x": [2]}],
        ["to the socket", 3],
    ]


async def test_a_quiet_connection_recovers_too(site: Site) -> None:
    """Node needs at least one event first."""
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    identity = only(io).id
    await lose(io, page)
    io.emit("missed")
    assert await page.run("await page.back(); return [page.socket.id, page.socket.recovered]") == [
        identity,
        True,
    ]
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[0] for event in received] == ["missed"]


async def test_it_works_again_and_again(site: Site) -> None:
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    identity = only(io).id
    for number in range(3):
        await lose(io, page)
        io.emit("missed", number)
        assert await page.run("return await page.back()")
        assert only(io).id == identity
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[1] for event in received] == [0, 1, 2]


async def test_it_is_off_unless_asked_for(site: Site) -> None:
    io = Server()
    page = await recovering(site, io)
    identity = only(io).id
    await lose(io, page)
    io.emit("missed")
    again, recovered, pid = await page.run(
        "await page.back(); return [page.socket.id, page.socket.recovered, page.socket._pid]"
    )
    assert again != identity
    assert not recovered
    assert pid is None
    assert not only(io).recovered


async def test_leaving_on_purpose_is_final(site: Site) -> None:
    """Neither side's `disconnect()` can be recovered from."""
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    identity = only(io).id
    await page.run("""
        page.socket.disconnect();
        await page.back();
    """)
    assert only(io).id != identity
    identity = only(io).id
    ended = await page.begin("await once(page.socket, 'disconnect')")
    only(io).disconnect()
    await ended
    assert (
        await page.run("""
        const back = once(page.socket, "connect");
        page.socket.connect();
        await back;
        return page.socket.recovered;
    """)
        is False
    )
    assert only(io).id != identity


async def test_being_away_too_long(site: Site) -> None:
    io = Server(connection_state_recovery={"max_disconnection_duration": 0.01})
    page = await recovering(site, io)
    identity = only(io).id
    await lose(io, page)
    await asyncio.sleep(0.02)
    assert await page.run("return await page.back()") is False
    assert only(io).id != identity


@pytest.mark.parametrize(
    "auth",
    [
        {"pid": "unknown", "offset": "1-1"},
        {"pid": "unknown"},
        {"pid": 5, "offset": ["x"]},
        {"offset": "1-1"},
        {"pid": {"__proto__": 1}, "offset": None},
    ],
)
async def test_what_is_unknown_begins_anew(site: Site, auth: dict[str, Any]) -> None:
    io = Server(connection_state_recovery=True)
    page = await site.page(io)
    assert await page.run("return (await connect('/', { auth })).recovered", auth=auth) is False
    assert not only(io).recovered
    assert only(io).handshake.auth.keys() == set()


async def test_an_offset_that_is_unknown_begins_anew(site: Site) -> None:
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    for offset in ("nonsense", "1-1", "99999999999999-1"):
        await page.run("page.socket._lastOffset = offset", offset=offset)
        await lose(io, page)
        assert await page.run("return await page.back()") is False, offset


@pytest.mark.parametrize("skip", [True, False])
async def test_middlewares_run_unless_told_otherwise(site: Site, skip: bool) -> None:
    """Node skips them by default."""
    io = Server(connection_state_recovery={"skip_middlewares": True} if skip else True)
    asked = Calls()
    io.use(asked)
    page = await recovering(site, io)
    await lose(io, page)
    assert await page.run("return await page.back()")
    assert len(asked.all) == (1 if skip else 2)


async def test_a_user_who_is_locked_out_meanwhile_receives_nothing(site: Site) -> None:
    """Node sends what was missed before it asks the middlewares."""
    io = Server(connection_state_recovery=True)
    locked_out = False

    @io.use
    async def authenticate(socket: Socket) -> None:
        await asyncio.sleep(0)
        if locked_out:
            raise ConnectError("locked out")

    page = await recovering(site, io)
    only(io).join("room")
    await lose(io, page)
    locked_out = True
    io.to("room").emit("secret")
    assert await page.run("""
        const packets = [];
        page.socket.io.on("packet", (packet) => packets.push(packet.type));
        page.socket.connect();
        const [error] = await once(page.socket, "connect_error");
        return [error.message, packets];
    """) == ["locked out", [4]]


async def test_what_is_sent_while_a_middleware_thinks_is_not_lost(site: Site) -> None:
    io = Server(connection_state_recovery=True)
    asked, decided = asyncio.Event(), asyncio.Event()
    decided.set()

    @io.use
    async def think(socket: Socket) -> None:
        asked.set()
        await decided.wait()

    page = await recovering(site, io)
    only(io).join("room")
    await lose(io, page)
    io.to("room").emit("missed", 1)
    asked.clear()
    decided.clear()
    back = await page.begin("return await page.back()")
    await asked.wait()
    io.to("room").emit("missed", 2)
    io.emit("missed", 3)
    decided.set()
    assert await back
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[1] for event in received] == [1, 2, 3]


def _own_adapter(host: AdapterHost) -> InMemoryAdapter:
    return InMemoryAdapter(host)


def _no_adapter(namespace: object) -> Any:
    return object()


async def test_with_an_adapter_of_the_users(site: Site) -> None:
    """What was sent to a room before the socket had left it was missed; what came later was not."""
    io = Server(connection_state_recovery=True, adapter=_own_adapter)
    page = await recovering(site, io)
    socket = only(io)
    socket.join("room")
    socket.emit("seen", "text")
    await page.run("await until(page.socket, 'seen')")
    await page.run("page.socket.io.engine.transport.ws._socket.pause()")
    io.to("room").emit("before")
    socket.leave("room")
    io.to("room").emit("after")
    await lose(io, page)
    assert await page.run("return await page.back()")
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[0] for event in received] == ["before"]


def test_an_adapter_that_keeps_no_sessions() -> None:
    with pytest.raises(ConfigurationError, match="sessions"):
        Server(connection_state_recovery=True, adapter=_no_adapter)


async def test_a_session_belongs_to_its_namespace(site: Site) -> None:
    """The secret of one namespace opens no other, whatever its middleware would have said."""
    io = Server(connection_state_recovery={"skip_middlewares": True})
    asked = Calls()
    io.of("/admin").use(asked)
    page = await recovering(site, io)
    await page.run("page.pid = page.socket._pid")
    await lose(io, page)
    io.of("/admin").emit("secret")
    assert (
        await page.run("""
        const auth = { pid: page.pid };
        const admin = await connect("/admin", { auth });
        return admin.recovered ?? false;
    """)
        is False
    )
    assert len(asked.all) == 1
    [admin] = io.of("/admin").sockets.values()
    assert not admin.recovered


async def test_two_clients_cannot_share_a_session(site: Site) -> None:
    """The second one with the same secret ends the first."""
    io = Server(connection_state_recovery=True)
    page = await site.page(io)
    first, second, reason, count = await page.run("""
        const first = await connect();
        const { id, _pid: pid } = first;
        const ended = once(first, "disconnect");
        const second = await connect("/", { auth: { pid } });
        return [id, second.id, (await ended)[0], 1];
    """)
    assert second == first
    assert reason == "transport close"
    assert len(io.sockets.sockets) == count


async def test_a_server_that_was_started_again(site: Site) -> None:
    """Its memory is gone: a new session, and no mistake about old offsets."""
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    port = io.port
    ended = await page.begin("await once(page.socket, 'disconnect')")
    await io.close()
    await ended
    other = Server(connection_state_recovery=True)
    await other.listen(port=port)
    try:
        assert await page.run("return await page.back()") is False
        assert len(other.sockets.sockets) == 1
    finally:
        await other.close()


async def test_handlers_of_ours_do_not_see_offsets(site: Site) -> None:
    """What a client says has none, and acknowledgements work as ever."""
    io = Server(connection_state_recovery=True)

    @io.event
    async def echo(socket: Socket, *args: Any) -> Any:
        return [*args, await socket.emit_with_ack("ask", 1, timeout=5)]

    page = await recovering(site, io)
    assert await page.run("""
        page.socket.on("ask", (...args) => args.pop()(args));
        return await page.socket.emitWithAck("echo", "a");
    """) == ["a", [1]]


async def test_whatever_was_sent_can_be_recovered_from(site: Site) -> None:
    """A text as last argument is never mistaken for an offset, however it was sent."""
    io = Server(connection_state_recovery=True)

    @io.use
    def early(socket: Socket) -> None:
        socket.emit("from the middleware", "text")

    page = await recovering(site, io)
    socket = only(io)
    io.emit("broadcast", "text")
    io.volatile.emit("volatile", "text")
    socket.volatile.emit("volatile", "text")
    socket.compress(False).emit("flagged", "text")
    io.to(socket.id).emit("room", "text")
    socket.send("text")
    [remote] = await io.fetch_sockets()
    remote.emit("remote", "text")
    with pytest.raises(AckTimeout):
        await socket.emit_with_ack("asked", "text", timeout=0.01)
    await lose(io, page)
    io.emit("missed")
    assert await page.run("return await page.back()")
    io.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[0] for event in received] == [
        *("from the middleware", "broadcast", "volatile", "volatile", "flagged"),
        *("room", "message", "remote", "asked", "missed", "from the middleware"),
    ]


async def test_a_packet_that_asks_for_an_answer_is_not_repeated(site: Site) -> None:
    """Who asked knows that there will be no answer."""
    io = Server(connection_state_recovery=True)
    page = await recovering(site, io)
    socket = only(io)
    asking = asyncio.create_task(socket.emit_with_ack("ask"))
    await page.run("await until(page.socket, 'ask')")
    await lose(io, page)
    with pytest.raises(Disconnected):
        await asking
    assert await io.timeout(5).emit_with_ack("ask") == []
    assert await page.run("return await page.back()")
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == []


async def test_emits_of_a_parent_namespace_come_back(site: Site) -> None:
    io = Server(connection_state_recovery=True)
    parent = io.of(re.compile("^/game-"))
    gone = Calls()
    parent.event("disconnect")(gone)
    page = await site.page(io)
    await page.run(SETUP.replace("await connect()", "await connect('/game-1')"))
    parent.emit("seen", "text")
    await page.run("await until(page.socket, 'seen')")
    await page.run("page.lose()")
    await gone.next()
    parent.emit("missed", 1)
    io.of("/game-1").emit("missed", 2)
    assert await page.run("return await page.back()")
    parent.emit("done")
    received = await page.run("return await until(page.socket, 'done')")
    assert [event[1] for event in received] == [1, 2]


@pytest.mark.parametrize("watched", [False, True])
async def test_old_clients_are_left_in_peace(site: Site, watched: bool) -> None:
    """There is no recovery in 2.x, and no extra argument, whoever else is in the room."""
    io = Server(connection_state_recovery=True)
    page = await site.page(io, "2")
    await page.run("page.socket = await connect()")
    socket = only(io)
    shown: list[Any] = []
    if watched:

        @socket.on_any_outgoing
        def show(*event: Any) -> None:
            shown.append(list(event))

    new = site.page_at(page.url)
    await new.run(SETUP)
    socket.join("room")
    socket.emit("direct", 1)
    socket.volatile.emit("volatile", 2)
    socket.compress(False).emit("flagged", 3)
    io.emit("to all", 4, b"\x01")
    io.volatile.emit("volatile to all", 5)
    io.to("room").compress(False).emit("to a room", "6-6")
    io.timeout(5).emit("question", 7, ack=lambda *answer: None)
    io.emit("done")
    expected = [
        *(["direct", 1], ["volatile", 2], ["flagged", 3], ["to all", 4, b"\x01"]),
        *(["volatile to all", 5], ["to a room", "6-6"], ["question", 7]),
    ]
    heard = await page.run("return await until(page.socket, 'done')")
    assert heard == expected
    assert shown == ([*expected, ["done"]] if watched else [])
    [to_all, volatile, _] = await new.run("return await until(page.socket, 'done')")
    assert to_all[:3] == ["to all", 4, b"\x01"]
    assert re.fullmatch(r"[0-9]+-[0-9]+", to_all[3])
    assert volatile[2] == to_all[3]
