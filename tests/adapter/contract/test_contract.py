"""What holds for every adapter: the same cases with one server, and with three and a broker."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Coroutine
from typing import Any

import pytest

from telex import Ack, AckTimeout, EncodeError
from tests.adapter.contract.world import World
from tests.server.scenes import Client, note_args, returns

SERVERS = [pytest.param(1, id="memory"), pytest.param(3, id="loopback")]


@pytest.fixture(params=SERVERS)
async def world(request: pytest.FixtureRequest) -> AsyncIterator[World]:
    world = await World(request.param).open()
    yield world
    await world.close()


async def begun(coro: Coroutine[Any, Any, Any], world: World) -> asyncio.Task[Any]:
    task = asyncio.create_task(coro)
    await world.calm()
    return task


class TestBroadcast:
    async def test_to_everybody(self, world: World) -> None:
        await world.nsp.emit("x", 1, {"a": [None, "é"]})
        assert await world.heard() == [[["x", 1, {"a": [None, "é"]}]]] * 3

    @pytest.mark.parametrize("servers", SERVERS)
    async def test_to_a_namespace(self, servers: int) -> None:
        world = await World(servers).open("/chat")
        root, _ = world.scenes[0].joined()
        world.nsp.emit("x")
        assert await world.heard() == [[["x"]]] * 3
        assert root.heard() == []
        await world.close()

    async def test_to_rooms_once(self, world: World) -> None:
        world.sockets[1].join(["a", "b"])
        world.sockets[2].join("b")
        world.nsp.to(["a", "b"]).emit("x")
        assert await world.heard() == [[], [["x"]], [["x"]]]

    async def test_to_one_socket(self, world: World) -> None:
        world.nsp.to(world.sockets[2].id).emit("x")
        assert await world.heard() == [[], [], [["x"]]]

    async def test_to_no_rooms(self, world: World) -> None:
        world.nsp.to([]).emit("x")
        assert await world.heard() == [[], [], []]

    async def test_except_rooms_and_sockets(self, world: World) -> None:
        world.sockets[1].join("muted")
        world.nsp.except_("muted").emit("x")
        world.nsp.except_(world.sockets[2].id).emit("y")
        world.sockets[0].broadcast.emit("z")
        assert await world.heard() == [[["x"], ["y"]], [["y"], ["z"]], [["x"], ["z"]]]

    async def test_local(self, world: World) -> None:
        world.nsp.local.emit("x")
        got = await world.heard()
        assert [index for index in range(3) if got[index]] == world.neighbours

    async def test_volatile(self, world: World) -> None:
        world.clients[1].transport.writable = False
        world.nsp.volatile.emit("x")
        await world.calm()
        world.clients[1].transport.writable = True
        assert await world.heard() == [[["x"]], [], [["x"]]]

    async def test_binary(self, world: World) -> None:
        world.nsp.emit("x", b"\x00\xff", [bytearray(b"two")])
        for one, *attachments in await world.heard():
            assert one[0] == "x"
            assert attachments == [b"\x00\xff", b"two"]

    async def test_arguments_are_those_of_the_call(self, world: World) -> None:
        mine = [1]
        world.nsp.emit("x", mine)
        mine.append(2)
        assert await world.heard() == [[["x", [1]]]] * 3

    async def test_what_cannot_be_sent_reaches_nobody(self, world: World) -> None:
        with pytest.raises(EncodeError):
            world.nsp.emit("x", object())
        assert await world.heard() == [[], [], []]

    async def test_order(self, world: World) -> None:
        world.nsp.emit("x", 0)
        world.nsp.in_(world.sockets[1].id).sockets_join("room")
        world.nsp.to("room").emit("x", 1)
        world.nsp.in_("room").sockets_leave("room")
        world.nsp.to("room").emit("x", 2)
        world.nsp.emit("x", 3)
        first, second, third = await world.heard()
        assert first == third == [["x", 0], ["x", 3]]
        assert second == [["x", 0], ["x", 1], ["x", 3]]


class TestAcknowledgements:
    async def test_of_everybody(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        await world.answer([1], [], ["a", {"b": 2}])
        assert sorted(await asked, key=repr) == [("a", {"b": 2}), 1, None]

    async def test_binary(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x", b"\x00"), world)
        for client in world.clients:
            head, body = client.heard()
            assert body == b"\x00"
            ack_id = str(head).removeprefix("51-").partition("[")[0]
            client.say(f'61-{ack_id}[{{"_placeholder":true,"num":0}}]', b"\x01")
        assert await asked == [b"\x01"] * 3

    async def test_of_nobody(self, world: World) -> None:
        assert await world.nsp.to("nobody").timeout(5).emit_with_ack("x") == []
        assert await world.nsp.to([]).timeout(5).emit_with_ack("x") == []

    @pytest.mark.parametrize("index", [0, 1])
    async def test_of_one_socket(self, world: World, index: int) -> None:
        """A neighbour, or where there are several servers the client of another one."""
        to_one = world.nsp.to(world.sockets[index].id).timeout(5)
        asked = await begun(to_one.emit_with_ack("x"), world)
        await world.answer(*[[number] for number in range(3)])
        assert await asked == [index]

    async def test_not_all_answer(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(0.5).emit_with_ack("x"), world)
        await world.answer([1], ..., [3])
        with pytest.raises(AckTimeout, match="1 of 3") as caught:
            await asked
        assert sorted(caught.value.responses) == [1, 3]

    async def test_a_client_that_leaves_is_not_waited_for(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        world.clients[1].session.end("transport close")
        await world.answer([1], ..., [3])
        assert sorted(await asked) == [1, 3]

    async def test_with_a_callback(self, world: World) -> None:
        got: list[Any] = []
        world.nsp.timeout(5).emit("x", ack=note_args(got))
        await world.answer([1], [1], [1])
        assert got == [(None, [1, 1, 1])]

    async def test_nothing_is_left_behind(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(0.05).emit_with_ack("x"), world)
        with pytest.raises(AckTimeout):
            await asked
        while any(socket.expects_answers for socket in world.sockets):
            await asyncio.sleep(0.01)


class TestSockets:
    async def test_all_join_and_leave(self, world: World) -> None:
        await world.nsp.sockets_join(["a", "b"])
        await world.calm()
        assert all({"a", "b"} <= set(socket.rooms) for socket in world.sockets)
        await world.nsp.sockets_leave("a")
        await world.calm()
        assert [sorted(set(s.rooms) - {s.id}) for s in world.sockets] == [["b"]] * 3

    async def test_some_join_and_leave(self, world: World) -> None:
        world.sockets[1].join("a")
        world.nsp.in_("a").sockets_join("b")
        world.nsp.in_(world.sockets[2].id).sockets_join("c")
        await world.calm()
        assert [sorted(set(s.rooms) - {s.id}) for s in world.sockets] == [[], ["a", "b"], ["c"]]
        world.nsp.except_("c").sockets_leave(["a", "b", "c"])
        await world.calm()
        assert [sorted(set(s.rooms) - {s.id}) for s in world.sockets] == [[], [], ["c"]]

    async def test_local(self, world: World) -> None:
        world.nsp.local.sockets_join("a")
        await world.calm()
        assert [i for i in range(3) if "a" in world.sockets[i].rooms] == world.neighbours

    @pytest.mark.parametrize("close", [True, False])
    async def test_disconnect(self, world: World, close: bool) -> None:
        """What was sent before arrives before."""
        world.sockets[2].join("stay")
        world.nsp.emit("bye")
        await world.nsp.except_("stay").disconnect_sockets(close)
        got = await world.heard()
        assert [each[0] for each in got] == [["bye"]] * 3
        assert [socket.connected for socket in world.sockets] == [False, False, True]
        assert [client.connected for client in world.clients] == [not close, not close, True]

    async def test_fetch(self, world: World) -> None:
        world.sockets[1].join("a")
        world.sockets[1].data["name"] = "ana"
        found = await world.nsp.fetch_sockets()
        assert {each.id for each in found} == {socket.id for socket in world.sockets}
        [one] = await world.nsp.in_("a").fetch_sockets()
        assert one.id == world.sockets[1].id
        assert one.rooms == {one.id, "a"}
        assert one.data == {"name": "ana"}
        assert one.handshake["url"] == world.sockets[1].handshake.to_dict()["url"]
        one.emit("x")
        one.join("b")
        assert await world.heard() == [[], [["x"]], []]
        assert "b" in world.sockets[1].rooms

    async def test_a_fetched_socket_answers(self, world: World) -> None:
        [one] = await world.nsp.in_(world.sockets[1].id).fetch_sockets()
        asked = await begun(one.emit_with_ack("x", timeout=5), world)
        await world.answer(..., ["yes"], ...)
        assert await asked == "yes"

    async def test_fetch_and_count_locally(self, world: World) -> None:
        assert len(await world.nsp.local.fetch_sockets()) == len(world.neighbours)
        assert await world.nsp.local.count() == len(world.neighbours)

    async def test_count(self, world: World) -> None:
        world.sockets[1].join("a")
        assert await world.nsp.count() == 3
        assert await world.nsp.in_("a").count() == 1
        assert await world.nsp.in_([]).count() == 0


class TestServers:
    async def test_count(self, world: World) -> None:
        assert await world.adapter(0).server_count() == len(world.scenes)

    async def test_events_reach_the_other_servers(self, world: World) -> None:
        got: list[list[Any]] = [[] for _ in world.scenes]
        for scene, mine in zip(world.scenes, got, strict=True):
            scene.root.on("hello", note_args(mine))
        await world.nsp.server_side_emit("hello", 1, b"2")
        await world.calm()
        assert got == [[], *[[(1, b"2")]] * (len(world.scenes) - 1)]

    async def test_events_are_answered(self, world: World) -> None:
        """By what a handler returns, or gives to its `Ack`."""

        async def answers_later(number: int) -> list[int]:
            return [number]

        def acknowledges(number: int, ack: Ack) -> None:
            ack(number + 1)

        handlers: list[Any] = [answers_later, acknowledges, answers_later]
        for scene, handler in zip(world.scenes, handlers, strict=False):
            scene.root.on("hello", handler)
        answers = await world.nsp.server_side_emit_with_ack("hello", 1)
        assert sorted(answers, key=repr) == ([2, [1]] if world.clustered else [])


class TestDynamicNamespaces:
    @pytest.mark.parametrize("servers", SERVERS)
    async def test_a_parent_reaches_the_children_of_all_servers(self, servers: int) -> None:
        world = World(servers)
        parents = [scene.core.dynamic(returns(True)) for scene in world.scenes]
        clients: list[Client] = []
        for index in range(3):
            client = world.scenes[index % servers].client()
            client.say("0/game,")
            await world.calm()
            client.heard()
            clients.append(client)
        parents[0].emit("x", 1)
        asked = await begun(parents[0].timeout(5).emit_with_ack("y"), world)
        for client in clients:
            event, question = client.heard()
            assert event == '2/game,["x",1]'
            ack_id = str(question).removeprefix("2/game,").partition("[")[0]
            client.say(f"3/game,{ack_id}[1]")
        assert await asked == [1, 1, 1]
        await world.close()


class TestRecovery:
    @pytest.mark.parametrize("servers", SERVERS)
    async def test_what_any_server_sent_was_missed(self, servers: int) -> None:
        """The client returns to the server that it had lost."""
        world = await World(servers, connection_state_recovery=True).open()
        socket = world.sockets[0]
        world.sockets[0].join("room")
        world.clients[0].session.end("transport close")
        for index in range(3):
            world.nsp_of(index).to("room").emit("x", index)
            world.nsp_of(index).to("elsewhere").emit("y", index)
            await world.calm()
        again = world.scenes[0].client()
        again.say(f'0{{"pid":"{socket.pid}"}}')
        *missed, connect = again.heard()
        assert [str(each)[:7] for each in missed] == [f'2["x",{index}' for index in range(3)]
        assert socket.id in str(connect)
        await world.close()
