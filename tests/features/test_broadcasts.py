"""Rooms, and emitting to many."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import AckTimeout, BroadcastOperator, ConfigurationError, Server, Socket
from telex.parser.default import DEFAULT_PARSER
from tests.features.scripts import Calls, Page, Site


class OneClient:
    """A server with clients that have names; each is in the rooms that it asks for."""

    def __init__(self, io: Server, page: Page) -> None:
        self.io = io
        self._page = page
        self.sockets: dict[str, Socket] = {}

    @classmethod
    async def open(cls, site: Site, clients: dict[str, list[str]], **options: Any) -> OneClient:
        io = Server(**options)

        @io.event
        def join(socket: Socket, rooms: list[str]) -> None:
            socket.join(rooms)

        page = await site.page(io)
        room = cls(io, page)
        ids = await page.run(
            """
            page.clients = {};
            const ids = {};
            for (const [name, rooms] of Object.entries(clients)) {
              const socket = await connect();
              await socket.emitWithAck("join", rooms);
              page.clients[name] = socket;
              ids[name] = socket.id;
              socket.on("name?", (...args) => args.pop()(name, ...args));
            }
            return ids;
            """,
            clients=clients,
        )
        for name, identity in ids.items():
            room.sockets[name] = io.sockets.sockets[identity]
        return room

    def __getitem__(self, name: str) -> Socket:
        return self.sockets[name]

    async def received(self) -> dict[str, list[list[Any]]]:
        """What each client has received so far, those who have received something."""
        self.io.emit("done")
        everything: dict[str, list[list[Any]]] = await self._page.run("""
            const received = {};
            for (const [name, socket] of Object.entries(page.clients)) {
              received[name] = await until(socket, "done");
            }
            return received;
        """)
        return {name: events for name, events in everything.items() if events}

    async def reached(self) -> dict[str, list[Any]]:
        """The first arguments of what each client has received."""
        received = await self.received()
        return {name: [event[1] for event in events] for name, events in received.items()}


async def test_to_rooms(site: Site) -> None:
    """One room, several, in one call or a chain; nobody receives anything twice."""
    room = await OneClient.open(site, {"ana": ["a"], "ben": ["a", "b"], "eve": ["b"], "ida": []})
    io = room.io
    io.to("a").emit("x", "a")
    io.in_("b").emit("x", "b")
    io.to("a").to("b").emit("x", "a or b")
    io.to(["a", "b"]).emit("x", "list")
    io.in_(["a"]).in_("b").emit("x", "chain", b"\x01")
    io.to(room["ida"].id).emit("x", "ida alone")
    io.to("nowhere").emit("x", "nobody")
    io.to([]).emit("x", "nobody")
    assert await room.reached() == {
        "ana": ["a", "a or b", "list", "chain"],
        "ben": ["a", "b", "a or b", "list", "chain"],
        "eve": ["b", "a or b", "list", "chain"],
        "ida": ["ida alone"],
    }


async def test_to_the_others(site: Site) -> None:
    """A socket's broadcasts do not reach itself, whatever the room."""
    room = await OneClient.open(site, {"ana": ["a"], "ben": ["a"], "eve": []})
    ana = room["ana"]
    ana.broadcast.emit("x", "broadcast", b"\xff")
    ana.to("a").emit("x", "to")
    ana.in_("a").emit("x", "in")
    ana.to("a").to(room["eve"].id).emit("x", "room and socket")
    ana.to(ana.id).emit("x", "nobody")
    ana.except_("a").emit("x", "except")
    ana.broadcast.except_(room["eve"].id).emit("x", "except eve")
    ana.broadcast.send("sent")
    assert await room.reached() == {
        "ben": ["broadcast", "to", "in", "room and socket", "except eve", "sent"],
        "eve": ["broadcast", "room and socket", "except", "sent"],
    }


async def test_except(site: Site) -> None:
    """Sockets and rooms can be left out, from a room and from everybody."""
    room = await OneClient.open(site, {"ana": ["a"], "ben": ["a", "b"], "eve": ["b"]})
    io = room.io
    io.except_("a").emit("x", "not a")
    io.except_(["a", "b"]).emit("x", "nobody")
    io.to("a").except_("b").emit("x", "a but not b")
    io.to("b").except_(room["ben"].id).emit("x", "b but not ben")
    io.except_(room["ana"].id).except_(room["ben"].id).emit("x", "eve")
    io.except_([]).emit("x", "all")
    assert await room.reached() == {
        "ana": ["a but not b", "all"],
        "ben": ["all"],
        "eve": ["not a", "b but not ben", "eve", "all"],
    }


async def test_operators_are_immutable(site: Site) -> None:
    room = await OneClient.open(site, {"ana": ["a"], "ben": ["b"], "eve": []})
    io = room.io
    to_a = io.to("a")
    to_both = to_a.to("b")
    assert isinstance(to_a, BroadcastOperator)
    assert to_a is not to_both
    io.emit("x", "all")
    to_a.emit("x", "a")
    to_both.emit("x", "both")
    to_a.emit("x", "a again")
    others = room["ana"].broadcast
    others.to("b")
    others.except_("b")
    others.emit("x", "others")
    assert await room.reached() == {
        "ana": ["all", "a", "both", "a again"],
        "ben": ["all", "both", "others"],
        "eve": ["all", "others"],
    }


async def test_modifiers_combine(site: Site) -> None:
    """`local`, `compress`, `binary` and `volatile` choose nobody else."""
    room = await OneClient.open(site, {"ana": ["a"], "ben": []})
    io, ana = room.io, room["ana"]
    io.local.emit("x", "local")
    io.to("a").local.emit("x", "local a")
    io.compress(False).to("a").emit("x", "compress")
    io.binary(False).emit("x", "binary")
    io.to("a").binary(True).compress(True).emit("x", "binary a")
    ana.local.emit("x", "local others")
    ana.compress(False).binary(True).emit("x", "myself")
    ana.compress(False).broadcast.emit("x", "compressed others")
    ana.compress(False).to("a").emit("x", "nobody")
    assert await room.reached() == {
        "ana": ["local", "local a", "compress", "binary", "binary a", "myself"],
        "ben": ["local", "binary", "local others", "compressed others"],
    }


async def test_room_names_are_text(site: Site) -> None:
    """Numbers and numeric text are different rooms in Node, until an adapter makes them one."""
    room = await OneClient.open(site, {"ana": ["5"]})
    wrong: Any = 5
    for call in (room.io.to, room.io.except_, room["ana"].join, room["ana"].leave):
        with pytest.raises(TypeError, match=r"text, not 5: use str\(\)"):
            call(wrong)


async def test_a_second_argument_of_to_is_an_error(site: Site) -> None:
    """The seeds' `io.to('room 237', 'a new user has joined')` never sent anything."""
    io = Server()
    to: Any = io.to
    with pytest.raises(TypeError):
        to("room 237", "a new user has joined the room")


async def test_a_socket_knows_its_rooms(site: Site) -> None:
    """A live set, its own room first; also as the seeds read it, `Object.keys(socket.rooms)`."""
    room = await OneClient.open(site, {"ana": []})
    ana = room["ana"]
    rooms = ana.rooms
    assert list(rooms) == [ana.id]
    ana.join("room 237")
    ana.join(["b", "a", "b"])
    assert list(rooms) == [ana.id, "room 237", "b", "a"]
    assert "b" in rooms
    assert len(rooms) == 4
    assert rooms - {ana.id} == {"room 237", "a", "b"}
    ana.leave("b")
    ana.leave("never joined")
    assert rooms == {ana.id, "room 237", "a"}
    ana.disconnect()
    assert rooms == set()


async def test_the_room_of_ones_own_can_be_left(site: Site) -> None:
    room = await OneClient.open(site, {"ana": [], "ben": []})
    ana = room["ana"]
    ana.leave(ana.id)
    room.io.to(ana.id).emit("x", "nobody")
    ana.join(ana.id)
    room.io.to(ana.id).emit("x", "ana")
    assert await room.reached() == {"ana": ["ana"]}


async def test_empty_rooms_are_gone(site: Site) -> None:
    room = await OneClient.open(site, {"ana": ["a", "b"], "ben": ["b"]})
    adapter = room.io.sockets.adapter
    own = {room["ana"].id, room["ben"].id}
    assert adapter.rooms().keys() == {"a", "b"} | own
    assert adapter.rooms()["b"] == own
    room["ana"].leave("a")
    assert adapter.rooms().keys() == {"b"} | own
    room["ana"].disconnect()
    assert adapter.rooms() == {"b": {room["ben"].id}, room["ben"].id: {room["ben"].id}}
    room["ben"].leave("b")
    assert adapter.rooms().keys() == {room["ben"].id}


async def test_rooms_belong_to_their_namespace(site: Site) -> None:
    io = Server()
    io.of("/chat")
    for name in ("/", "/chat"):

        @io.of(name).on("connection")
        def connection(socket: Socket) -> None:
            socket.join("room")

    page = await site.page(io)
    await page.run("page.root = await connect(); page.chat = await connect('/chat')")
    io.to("room").emit("x", "root")
    io.of("/chat").to("room").emit("x", "chat")
    io.emit("done")
    io.of("/chat").emit("done")
    assert await page.run(
        "return [await until(page.root, 'done'), await until(page.chat, 'done')]"
    ) == [[["x", "root"]], [["x", "chat"]]]


async def test_private_messages(site: Site) -> None:
    """As in the seeds: `socket.to(id)` reaches the socket with that id."""
    io = Server()

    @io.event("say to someone")
    def say_to_someone(socket: Socket, identity: str, text: str) -> None:
        socket.to(identity).emit("my message", socket.id, text)

    page = await site.page(io)
    assert await page.run("""
        const [ana, ben] = [await connect(), await connect()];
        ana.emit("say to someone", ben.id, "hi");
        const [from, text] = await once(ben, "my message");
        return [from === ana.id, text];
    """) == [True, "hi"]


async def test_a_broadcast_that_expects_answers(site: Site) -> None:
    room = await OneClient.open(site, {"ana": ["a"], "ben": ["a"], "eve": []})
    io = room.io
    everybody = await io.timeout(5).emit_with_ack("name?")
    assert sorted(everybody) == ["ana", "ben", "eve"]
    several = await io.timeout(5).to("a").emit_with_ack("name?", 1, b"2")
    assert sorted(several) == [("ana", 1, b"2"), ("ben", 1, b"2")]
    others = await room["ana"].timeout(5).broadcast.emit_with_ack("name?")
    assert sorted(others) == ["ben", "eve"]
    answered = Calls()
    io.to("a").timeout(5).emit("name?", ack=answered)
    error, responses = await answered.next()
    assert error is None
    assert sorted(responses) == ["ana", "ben"]
    assert not any(socket.expects_answers for socket in room.sockets.values())


async def test_a_broadcast_to_nobody_is_answered_at_once(site: Site) -> None:
    room = await OneClient.open(site, {"ana": []})
    answered = Calls()
    assert await room.io.to("nowhere").timeout(5).emit_with_ack("name?") == []
    room.io.to("nowhere").timeout(5).emit("name?", ack=answered)
    assert await answered.next() == (None, [])


async def test_a_broadcast_that_not_all_answer(site: Site) -> None:
    """What came in time is part of the error; nothing is kept of the rest."""
    io = Server()
    page = await site.page(io)
    await page.run("""
        for (const name of ["ana", "ben", "eve"]) {
          const socket = await connect();
          if (name !== "eve") socket.on("name?", (ack) => ack(name));
        }
    """)
    with pytest.raises(AckTimeout) as caught:
        await io.timeout(0.1).emit_with_ack("name?")
    assert sorted(caught.value.responses) == ["ana", "ben"]
    answered = Calls()
    io.timeout(0.1).emit("name?", ack=answered)
    error, responses = await answered.next()
    assert isinstance(error, TimeoutError)
    assert sorted(responses) == ["ana", "ben"]
    assert not any(socket.expects_answers for socket in io.sockets.sockets.values())


async def test_a_client_that_leaves_is_not_waited_for(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    await page.run("""
        (await connect()).on("name?", (ack) => ack("ana"));
        const ben = await connect();
        ben.on("name?", () => ben.disconnect());
    """)
    assert await io.timeout(10).emit_with_ack("name?") == ["ana"]


async def test_answers_of_a_broadcast_need_a_limit(site: Site) -> None:
    room = await OneClient.open(site, {"ana": []})
    with pytest.raises(ConfigurationError, match=r"timeout\(5\)"):
        await room.io.emit_with_ack("name?")
    with pytest.raises(ConfigurationError, match=r"timeout\(5\)"):
        room.io.to("a").emit("name?", ack=Calls())


async def test_a_broadcast_is_encoded_once(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    encoded: list[Any] = []
    parser = type(DEFAULT_PARSER)
    original = parser.encode

    def encode(self: Any, *args: Any) -> Any:
        packet = original(self, *args)
        encoded.append(packet)
        return packet

    monkeypatch.setattr(parser, "encode", encode)
    room = await OneClient.open(site, {"ana": [], "ben": [], "eve": []})
    encoded.clear()
    room.io.emit("x", "all")
    assert len(encoded) == 1
    assert await room.reached() == {name: ["all"] for name in room.sockets}


async def test_order_is_kept_between_rooms_sockets_and_everybody(site: Site) -> None:
    room = await OneClient.open(site, {"ana": ["a"]})
    for number in range(0, 40, 4):
        room.io.emit("x", number)
        room["ana"].emit("x", number + 1)
        await room.io.to("a").emit("x", number + 2, b"binary")
        room["ana"].volatile.emit("x", number + 3)
        await asyncio.sleep(0)
    reached = (await room.reached())["ana"]
    assert [number for number in reached if number % 4 != 3] == [
        number for number in range(40) if number % 4 != 3
    ]
    assert reached == sorted(reached)


async def test_volatile_events_are_sent_to_those_who_can_take_them(site: Site) -> None:
    room = await OneClient.open(site, {"ana": ["a"], "ben": []})
    room.io.volatile.emit("x", "all")
    room.io.to("a").volatile.emit("x", "a")
    room["ben"].volatile.emit("x", "ben")
    assert await room.reached() == {"ana": ["all", "a"], "ben": ["all", "ben"]}


async def test_volatile_events_are_dropped_for_those_who_cannot(site: Site) -> None:
    """A polling client between two polls; a client that is not connected."""
    io = Server()
    gone = Calls()
    io.event("disconnect")(gone)
    page = await site.page(io)
    await page.run("""
        page.socket = await connect("/", { transports: ["polling"] });
        while (!page.socket.io.engine.transport._polling) await sleep(1);
        await sleep(50);
    """)
    [socket] = io.sockets.sockets.values()
    socket.volatile.emit("x", "taken by the poll")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert not socket.conn.transport.writable
    socket.volatile.emit("x", "dropped")
    io.volatile.emit("x", "dropped, too")
    socket.emit("x", "kept")
    socket.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == [
        ["x", "taken by the poll"],
        ["x", "kept"],
    ]
    await page.run("page.socket.disconnect()")
    await gone.next()
    socket.volatile.emit("x", "nobody")


async def test_names_with_a_meaning_in_patterns(site: Site) -> None:
    """OneClient names are compared, not matched."""
    room = await OneClient.open(site, {"ana": ["a*"], "ben": ["ab"]})
    room.io.to("a*").emit("x", "star")
    assert await room.reached() == {"ana": ["star"]}
