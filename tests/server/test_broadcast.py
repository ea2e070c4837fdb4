"""Broadcast operators: immutable chains that say whom an emit is for."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import AckTimeout, Socket
from telex.errors import ConfigurationError
from telex.server.broadcast import BroadcastOperator, room_names
from telex.server.peer import SocketPeer
from tests.server.scenes import Client, Scene, note_args, settle


class Crowd:
    """Four sockets: a and b in room x, b and c in room y, d in none."""

    def __init__(self) -> None:
        self.scene = Scene()
        self.io = self.scene.root
        self.clients: dict[str, Client] = {}
        self.sockets: dict[str, Socket] = {}
        for name in "abcd":
            self.clients[name], self.sockets[name] = self.scene.joined()
        for name in "ab":
            self.sockets[name].join("x")
        for name in "bc":
            self.sockets[name].join("y")

    def reached(self, operator: BroadcastOperator) -> str:
        operator.emit("x")
        return "".join([name for name, client in self.clients.items() if client.heard()])


class TestTargets:
    async def test_from_the_server(self) -> None:
        crowd = Crowd()
        io, sockets = crowd.io, crowd.sockets
        reached = {
            "everybody": crowd.reached(io.local),
            "one room": crowd.reached(io.to("x")),
            "in": crowd.reached(io.in_("x")),
            "two rooms": crowd.reached(io.to("x").to("y")),
            "a list": crowd.reached(io.to(["x", "y"])),
            "a set": crowd.reached(io.to({"x", "y"})),
            "nobody": crowd.reached(io.to([])),
            "an unknown room": crowd.reached(io.to("unknown")),
            "a socket": crowd.reached(io.to(sockets["d"].id)),
            "except a room": crowd.reached(io.except_("x")),
            "except rooms": crowd.reached(io.except_(["x"]).except_("y")),
            "a room except": crowd.reached(io.to("x").except_("y")),
            "except nobody": crowd.reached(io.to("x").except_([])),
        }
        assert reached == {
            "everybody": "abcd",
            "one room": "ab",
            "in": "ab",
            "two rooms": "abc",
            "a list": "abc",
            "a set": "abc",
            "nobody": "",
            "an unknown room": "",
            "a socket": "d",
            "except a room": "cd",
            "except rooms": "d",
            "a room except": "a",
            "except nobody": "ab",
        }

    async def test_from_a_socket(self) -> None:
        crowd = Crowd()
        socket = crowd.sockets["a"]
        reached = [
            crowd.reached(operator)
            for operator in (
                socket.broadcast,
                socket.to("x"),
                socket.in_(["x", "y"]),
                socket.except_("y"),
                socket.to("x").except_("y"),
                socket.local,
                socket.volatile.broadcast,
                socket.compress(False).to("y"),
                socket.timeout(1).to("y"),
            )
        ]
        assert reached == ["bcd", "b", "bc", "d", "", "bcd", "bcd", "bc", "bc"]

    async def test_volatile(self) -> None:
        crowd = Crowd()
        crowd.clients["a"].transport.writable = False
        assert crowd.reached(crowd.io.volatile) == "bcd"
        crowd.clients["a"].transport.writable = True
        assert crowd.reached(crowd.io.to("x").volatile) == "ab"

    async def test_chains_are_immutable(self) -> None:
        crowd = Crowd()
        x = crowd.io.to("x")
        x.to("y")
        x.except_("y")
        assert crowd.reached(x) == "ab"

    async def test_other_namespaces_are_not_reached(self) -> None:
        crowd = Crowd()
        chat = crowd.scene.core.of("/chat")
        client, socket = crowd.scene.joined("/chat")
        socket.join("x")
        assert crowd.reached(crowd.io.to("x")) == "ab"
        assert client.heard() == []
        assert crowd.reached(chat.to("x")) == ""
        assert client.heard() == ['2/chat,["x"]']

    @pytest.mark.parametrize("rooms", [1, None, [1], [None], [b"x"]])
    async def test_names_of_rooms_are_text(self, rooms: Any) -> None:
        with pytest.raises(TypeError):
            Scene().root.to(rooms)

    def test_one_room_is_not_a_list_of_letters(self) -> None:
        assert room_names("room") == ("room",)
        assert room_names(name for name in ("a", "b")) == ("a", "b")


class TestEmit:
    async def test_encodes_once(self) -> None:
        crowd = Crowd()
        crowd.io.emit("x", b"data")
        packets = {
            id(packet)
            for client in crowd.clients.values()
            for batch in client.transport.batches
            for packet in batch
        }
        assert len(packets) == 1

    async def test_can_be_awaited(self) -> None:
        crowd = Crowd()
        await crowd.io.emit("x")
        await crowd.io.to("x").send("text")
        assert crowd.clients["a"].heard() == ['2["x"]', '2["message","text"]']

    async def test_nothing_is_changed_by_those_who_leave_meanwhile(self) -> None:
        crowd = Crowd()

        @crowd.sockets["a"].on_any_outgoing
        def disconnect_other(event: str) -> None:
            crowd.sockets["b"].disconnect()

        assert crowd.reached(crowd.io.to("x")) == "ab"
        assert crowd.reached(crowd.io.to("x")) == "a"


class TestAcknowledgements:
    @staticmethod
    def answer(client: Client, value: str) -> None:
        (question,) = client.heard()
        ack_id = str(question)[1:].partition("[")[0]
        client.say(f"3{ack_id}[{value}]")

    async def test_are_collected(self) -> None:
        crowd = Crowd()
        task = asyncio.ensure_future(crowd.io.timeout(1000).to("x").emit_with_ack("question"))
        await settle()
        self.answer(crowd.clients["b"], "2")
        self.answer(crowd.clients["a"], "1")
        assert await task == [2, 1]

    async def test_nobody_is_told_to_stop_when_all_have_answered(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        crowd = Crowd()
        monkeypatch.delattr(SocketPeer, "forget")
        task = asyncio.ensure_future(crowd.io.timeout(1000).to("x").emit_with_ack("question"))
        await settle()
        self.answer(crowd.clients["a"], "1")
        crowd.clients["b"].session.end("transport close")
        assert await task == [1]
        task = asyncio.ensure_future(crowd.io.timeout(1000).to("x").emit_with_ack("question"))
        await settle()
        task.cancel()
        with pytest.raises(AttributeError, match="forget"):
            await task

    async def test_those_that_came_in_time(self) -> None:
        crowd = Crowd()
        heard: asyncio.Future[tuple[AckTimeout | None, list[Any]]] = (
            asyncio.get_running_loop().create_future()
        )

        def callback(error: AckTimeout | None, responses: list[Any]) -> None:
            heard.set_result((error, responses))

        crowd.io.timeout(0.001).emit("question", ack=callback)
        self.answer(crowd.clients["a"], "1")
        error, responses = await heard
        assert isinstance(error, AckTimeout)
        assert "3 of 4" in str(error)
        assert error.responses == responses == [1]
        assert not any(socket.expects_answers for socket in crowd.sockets.values())

    async def test_that_nobody_gives(self) -> None:
        crowd = Crowd()
        with pytest.raises(AckTimeout, match="4 of 4") as caught:
            await crowd.io.timeout(0.001).emit_with_ack("question")
        assert caught.value.responses == []
        assert not any(socket.expects_answers for socket in crowd.sockets.values())

    async def test_by_callback(self) -> None:
        crowd = Crowd()
        log: list[Any] = []
        crowd.io.to("x").timeout(1000).emit("question", ack=note_args(log))
        self.answer(crowd.clients["a"], "1")
        crowd.clients["b"].session.end("transport close")
        assert log == [(None, [1])]

    async def test_of_nobody(self) -> None:
        crowd = Crowd()
        assert await crowd.io.to([]).timeout(1000).emit_with_ack("question") == []

    async def test_need_a_limit(self) -> None:
        crowd = Crowd()
        with pytest.raises(ConfigurationError, match="timeout"):
            await crowd.io.emit_with_ack("question")
        with pytest.raises(ConfigurationError, match="timeout"):
            crowd.io.emit("question", ack=print)
        assert crowd.clients["a"].heard() == []

    async def test_do_not_mix_with_those_of_a_socket(self) -> None:
        crowd = Crowd()
        log: list[Any] = []
        crowd.sockets["a"].emit("one", ack=log.append)
        task = asyncio.ensure_future(crowd.io.to("x").timeout(1000).emit_with_ack("many"))
        await settle()
        one, many = crowd.clients["a"].heard()
        for question in (many, one):
            ack_id = str(question)[1:].partition("[")[0]
            crowd.clients["a"].say(f"3{ack_id}[{ack_id}]")
        self.answer(crowd.clients["b"], "7")
        assert sorted(await task) == sorted([int(str(many)[1]), 7])
        assert log == [int(str(one)[1])]


class TestUtilityMethods:
    async def test_fetch(self) -> None:
        crowd = Crowd()
        crowd.sockets["a"].data["name"] = "a"
        found = {socket.id: socket for socket in await crowd.io.in_("x").fetch_sockets()}
        assert set(found) == {crowd.sockets["a"].id, crowd.sockets["b"].id}
        remote = found[crowd.sockets["a"].id]
        assert remote.data == {"name": "a"}
        assert remote.rooms == {remote.id, "x"}
        await remote.emit("x", 1)
        assert crowd.clients["a"].heard() == ['2["x",1]']
        assert crowd.clients["b"].heard() == []

    async def test_join_leave_disconnect(self) -> None:
        crowd = Crowd()
        await crowd.io.in_("x").sockets_join(["z", "w"])
        assert crowd.reached(crowd.io.to("z")) == "ab"
        await crowd.io.in_("y").sockets_leave("z")
        assert crowd.reached(crowd.io.to("z")) == "a"
        await crowd.io.except_("z").disconnect_sockets()
        assert crowd.clients["b"].heard() == ["1"]
        assert list(crowd.io.sockets) == [crowd.sockets["a"].id]
        await crowd.io.disconnect_sockets(close=True)
        assert crowd.clients["a"].reasons == ["forced close"]
