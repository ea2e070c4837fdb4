"""Three servers and a broker: servers that leave or die, brokers that fail, strange messages."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest

from telex import ClusterTimeout, Disconnected, PublishError
from telex.adapter import publications
from telex.adapter.messages import ClusterMessage, MessageType, to_values
from tests.adapter.contract.test_contract import begun
from tests.adapter.contract.world import World
from tests.server.scenes import Scene, returns

STRANGER = "f" * 16
EVERYBODY: dict[str, Any] = {"rooms": [], "except": [], "flags": {}}


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = await World(3).open()
    yield world
    await world.close()


class TestMembers:
    async def test_know_each_other(self, world: World) -> None:
        ids = [world.node(index) for index in range(3)]
        assert len(set(ids)) == 3
        assert all(len(each) == 16 and int(each, 16) >= 0 for each in ids)
        for index in range(3):
            assert world.adapter(index).nodes[0] == ids[index]
            assert set(world.adapter(index).nodes) == set(ids)

    async def test_one_id_for_all_namespaces(self, world: World) -> None:
        chat: Any = world.scenes[0].core.of("/chat").adapter
        assert chat.nodes[0] == world.node(0)

    async def test_stay_while_they_are_heard(self, world: World) -> None:
        await world.pass_time(12)
        assert await world.adapter(0).server_count() == 3
        assert world.broker.kinds().count(MessageType.HEARTBEAT) >= 6

    async def test_what_is_published_is_a_heartbeat(self, world: World) -> None:
        world.broker.kinds()
        for _ in range(3):
            await world.pass_time(3)
            for index in range(3):
                world.nsp_of(index).emit("x")
        assert MessageType.HEARTBEAT not in world.broker.kinds()
        assert await world.adapter(0).server_count() == 3

    async def test_those_who_are_not_heard_are_gone(self, world: World) -> None:
        world.broker.cut.add(world.node(2))
        await world.pass_time(12)
        assert world.adapter(0).nodes[1:] == [world.node(1)]
        world.broker.cut.clear()
        await world.pass_time(5)
        assert await world.adapter(0).server_count() == 3

    async def test_those_who_close_say_so(self, world: World) -> None:
        await world.scenes[2].core.close()
        await world.calm()
        assert world.adapter(0).nodes[1:] == [world.node(1)]
        assert world.broker.log[-1].type is MessageType.ADAPTER_CLOSE

    async def test_those_who_start_again_are_back(self, world: World) -> None:
        await world.scenes[2].core.close()
        world.scenes[2].core.start(asyncio.get_running_loop())
        await world.calm()
        assert await world.adapter(0).server_count() == 3
        world.nsp.emit("x")
        assert (await world.heard())[1] == [["x"]]

    async def test_emitters_are_none(self, world: World) -> None:
        packet = {"type": 2, "data": ["x", 1], "nsp": "/"}
        data: dict[str, Any] = {"opts": EVERYBODY, "packet": packet}
        world.broker.inject(ClusterMessage("emitter", "/", MessageType.BROADCAST, data))
        assert await world.heard() == [[["x", 1]]] * 3
        assert await world.adapter(0).server_count() == 3

    async def test_leave_no_deadlines_behind(self, world: World) -> None:
        for scene in world.scenes:
            schedule: Any = scene.core.engine.schedule
            before = len(schedule._timeouts)
            await scene.core.close()
            assert len(schedule._timeouts) == before - 2


class TestAcknowledgements:
    async def test_a_server_that_leaves_is_not_waited_for(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        await world.scenes[2].core.close()
        await world.answer([1], [2], ...)
        assert sorted(await asked) == [1, 2]

    async def test_nor_one_that_dies(self, world: World) -> None:
        world.broker.cut.add(world.node(2))
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        await world.answer([1], [2], ...)
        assert not asked.done()
        await world.pass_time(12)
        assert sorted(await asked) == [1, 2]

    async def test_nor_one_that_dies_before_its_clients_answer(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        world.broker.cut.add(world.node(2))
        await world.answer([1], [2], [3])
        assert not asked.done()
        await world.pass_time(12)
        assert sorted(await asked) == [1, 2]

    async def test_nobody_is_asked_for_a_server_that_has_left(self, world: World) -> None:
        await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        assert world.sockets[1].expects_answers
        await world.scenes[0].core.close()
        await world.calm()
        assert not world.sockets[1].expects_answers

    async def test_ids_are_those_of_each_server(self, world: World) -> None:
        """Two servers that ask at the same time get their own answers."""
        world.sockets[1].emit("own", ack=lambda *args: None)
        one = await begun(world.nsp_of(0).timeout(5).emit_with_ack("x"), world)
        two = await begun(world.nsp_of(1).timeout(5).emit_with_ack("y"), world)
        await world.answer([1], [2], [3])
        assert sorted(await one) == sorted(await two) == [1, 2, 3]

    async def test_more_answers_than_recipients_do_not_count(self, world: World) -> None:
        asked = await begun(world.nsp.timeout(5).emit_with_ack("x"), world)
        [request] = [m for m in world.broker.log if m.type is MessageType.BROADCAST]
        data = {"requestId": request.data["requestId"], "packet": "false"}
        for _ in range(5):
            world.broker.inject(ClusterMessage(STRANGER, "/", MessageType.BROADCAST_ACK, data))
        await world.answer([1], [2], [3])
        assert sorted(await asked) == [1, 2, 3]


class TestRequests:
    async def test_a_silent_server(self) -> None:
        world = await World(3, request_timeout=0.5).open()
        world.broker.cut.add(world.node(2))
        with pytest.raises(ClusterTimeout, match="1 other server") as caught:
            await world.nsp.fetch_sockets()
        found = {each["id"] for each in caught.value.responses}
        assert found == {world.sockets[0].id, world.sockets[1].id}
        assert caught.value.missing == [world.node(2)]
        assert isinstance(caught.value, TimeoutError)
        await world.close()

    async def test_an_event_that_one_does_not_answer(self, world: World) -> None:
        """Which has no handler for it."""
        world.nsp_of(1).on("hello", lambda: "here")
        with pytest.raises(ClusterTimeout) as caught:
            await world.nsp.server_side_emit_with_ack("hello", timeout=0.5)
        assert caught.value.responses == ["here"]
        assert caught.value.missing == [world.node(2)]

    async def test_a_server_that_leaves_meanwhile(self, world: World) -> None:
        world.nsp_of(1).on("hello", lambda: "here")
        asked = await begun(world.nsp.server_side_emit_with_ack("hello", timeout=5), world)
        assert not asked.done()
        await world.scenes[2].core.close()
        assert await asked == ["here"]

    async def test_the_own_server_ends(self, world: World) -> None:
        asked = await begun(world.nsp.server_side_emit_with_ack("hello", timeout=5), world)
        await world.scenes[0].core.close()
        with pytest.raises(Disconnected, match="shutting down"):
            await asked

    async def test_data_that_cannot_be_sent(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.sockets[1].data["db"] = object()
        with caplog.at_level(logging.WARNING, "telex"):
            found = await world.nsp.fetch_sockets()
        assert {each.id for each in found} == {socket.id for socket in world.sockets}
        [one] = [each for each in found if each.id == world.sockets[1].id]
        assert one.data is None
        assert "is not shown to other servers" in caplog.text

    async def test_reserved_events_are_refused(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        greeted: list[Any] = []
        world.nsp_of(1).on("connection", greeted.append)
        data: dict[str, Any] = {"packet": ["connection", {"admin": True}]}
        world.broker.inject(ClusterMessage("emitter", "/", MessageType.SERVER_SIDE_EMIT, data))
        await world.calm()
        assert greeted == []
        assert "reserved event" in caplog.text

    async def test_a_handler_that_fails(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fails(number: int) -> None:
            raise RuntimeError("no")

        world.nsp_of(1).on("hello", fails)
        world.nsp_of(2).on("hello", fails)
        world.nsp.server_side_emit("hello", 1)
        world.nsp.server_side_emit("hello")
        await world.calm()
        assert caplog.text.count("RuntimeError: no") == 2
        assert caplog.text.count("expected 1 argument, got 0") == 2


class TestBroker:
    async def test_that_fails(self, world: World, caplog: pytest.LogCaptureFixture) -> None:
        """The clients of the server itself are reached, and the log says so once."""
        world.broker.failure = OSError("no route")
        with caplog.at_level(logging.ERROR, "telex"):
            one = world.nsp.emit("x", 1)
            with pytest.raises(PublishError, match="no route"):
                await one
            with pytest.raises(PublishError):
                await world.nsp.sockets_join("room")
        assert await world.heard() == [[["x", 1]], [], []]
        assert "room" in world.sockets[0].rooms
        assert world.adapter(0).lost == 2
        assert len(caplog.records) == 1
        world.broker.failure = None
        await world.nsp.emit("x", 2)
        assert await world.heard() == [[["x", 2]]] * 3

    async def test_that_takes_no_more(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(publications, "MAX_PENDING", 2)
        world.broker.open.clear()
        results = [world.nsp.emit("x", number) for number in range(10)]
        assert world.adapter(0).pending == 2
        with pytest.raises(PublishError, match="wait for it already"):
            await results[-1]
        world.broker.open.set()
        first, second, _ = await world.heard()
        assert len(first) == 10
        assert second == [["x", 0], ["x", 1]]
        assert world.adapter(0).lost == 8

    async def test_that_hangs(self, world: World, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not waited for without an end, neither for a message nor at the close."""
        monkeypatch.setattr(publications, "PUBLISH_TIMEOUT", 0.05)
        monkeypatch.setattr(publications, "CLOSE_TIMEOUT", 0.05)
        world.broker.open.clear()
        with pytest.raises(PublishError, match="TimeoutError"):
            await world.nsp.emit("x")
        result = world.nsp.emit("x")
        monkeypatch.setattr(publications, "PUBLISH_TIMEOUT", 60)
        await asyncio.gather(*[scene.core.close() for scene in world.scenes])
        with pytest.raises(PublishError):
            await result

    async def test_that_cannot_be_started(self, caplog: pytest.LogCaptureFixture) -> None:
        world = World(3)
        world.broker.failure = OSError("wrong password")
        await world.open()
        with pytest.raises(PublishError, match="wrong password"):
            await world.nsp.emit("x")
        assert await world.heard() == [[["x"]], [], []]
        assert "wrong password" in caplog.text
        await world.close()

    async def test_what_was_published_before_the_start(self) -> None:
        world = await World(3).open()
        await world.scenes[0].core.close()
        world.nsp.emit("lost")
        world.scenes[0].core.start(asyncio.get_running_loop())
        world.nsp.emit("x")
        assert await world.heard() == [[], [["x"]], [["x"]]]
        await world.close()

    async def test_a_server_that_closes_publishes_what_waits(self, world: World) -> None:
        world.nsp.emit("x", 1)
        world.nsp.emit("x", 2)
        await world.scenes[0].core.close()
        got = await world.heard()
        assert got[1] == got[2] == [["x", 1], ["x", 2]]


WRONG: list[tuple[MessageType, dict[str, Any]]] = [
    (MessageType.BROADCAST, {}),
    (MessageType.BROADCAST, {"opts": {"rooms": [], "except": []}, "packet": "x"}),
    (MessageType.BROADCAST, {"opts": {"rooms": [[]], "except": []}, "packet": {}}),
    (MessageType.SOCKETS_JOIN, {"opts": {"rooms": [], "except": []}, "rooms": "room"}),
    (MessageType.FETCH_SOCKETS, {"opts": {"rooms": [], "except": []}}),
    (MessageType.FETCH_SOCKETS_RESPONSE, {"requestId": "1", "sockets": [None]}),
    (MessageType.SERVER_SIDE_EMIT, {"packet": []}),
    (MessageType.SERVER_SIDE_EMIT_RESPONSE, {}),
    (MessageType.BROADCAST_CLIENT_COUNT, {"requestId": "1", "clientCount": -1}),
    (MessageType.BROADCAST_ACK, {"requestId": 7}),
]


class TestMessages:
    @pytest.mark.parametrize(("kind", "data"), WRONG)
    async def test_that_are_wrong_have_no_effect(
        self, world: World, kind: MessageType, data: Any, caplog: pytest.LogCaptureFixture
    ) -> None:
        world.broker.inject(ClusterMessage(STRANGER, "/", kind, data))
        await world.calm()
        assert "has no effect" in caplog.text
        world.nsp.emit("x")
        assert await world.heard() == [[["x"]]] * 3

    async def test_rooms_that_are_numbers(self, world: World) -> None:
        """In Node a room may be one; here it is text."""
        world.sockets[1].join("5")
        data: dict[str, Any] = {
            "opts": {"rooms": [5], "except": [], "flags": {"volatile": True}},
            "packet": {"type": 2, "data": ["x"], "nsp": "/"},
        }
        world.broker.inject(ClusterMessage("emitter", "/", MessageType.BROADCAST, data))
        assert await world.heard() == [[], [["x"]], []]

    async def test_are_those_of_node(self, world: World) -> None:
        broker, uid = world.broker, world.node(0)
        broker.log.clear()
        world.nsp.to("b").to("a").except_("c").volatile.compress(False).emit("x", 1)
        world.nsp.in_("a").sockets_join(["r", "s"])
        world.nsp.in_("a").sockets_leave("r")
        world.nsp.in_("a").disconnect_sockets(True)
        world.nsp.server_side_emit("hello", 1)
        await world.calm()
        opts: dict[str, Any] = {"rooms": ["a"], "except": [], "flags": {}}
        flags = {"volatile": True, "compress": False}
        broadcast = {
            "opts": {"rooms": ["a", "b"], "except": ["c"], "flags": flags},
            "packet": {"type": 2, "data": ["x", 1], "nsp": "/"},
        }
        assert [to_values(message) for message in broker.log] == [
            {"uid": uid, "nsp": "/", "type": kind, "data": data}
            for kind, data in [
                (3, broadcast),
                (4, {"opts": opts, "rooms": ["r", "s"]}),
                (5, {"opts": opts, "rooms": ["r"]}),
                (6, {"opts": opts, "close": True}),
                (9, {"packet": ["hello", 1]}),
            ]
        ]

    async def test_with_answers_are_those_of_node(self, world: World) -> None:
        broker = world.broker
        broker.log.clear()
        asked = await begun(world.nsp.to(world.sockets[1].id).timeout(5).emit_with_ack("x"), world)
        await world.answer(..., ["yes"], ...)
        assert await asked == ["yes"]
        request, *counts, answer = broker.log
        request_id = request.data["requestId"]
        assert len(request_id) == 16
        assert request.data["opts"]["flags"] == {"timeout": 5000}
        assert sorted((m.type, m.data["clientCount"]) for m in counts) == [(11, 0), (11, 1)]
        assert answer.type == 12
        assert answer.data == {"requestId": request_id, "packet": "yes"}

    async def test_a_node_server_is_not_told_who_left(self, world: World) -> None:
        """It would take that for an answer."""
        data: dict[str, Any] = {
            "opts": {"rooms": [], "except": [], "flags": {"timeout": 60_000}},
            "packet": {"type": 2, "data": ["x"], "nsp": "/"},
            "requestId": "0123456789abcdef",
        }
        world.broker.inject(ClusterMessage(STRANGER, "/", MessageType.BROADCAST, data))
        await world.calm()
        world.broker.kinds()
        world.clients[1].session.end("transport close")
        await world.answer([1], ..., [3])
        assert world.broker.kinds() == [MessageType.BROADCAST_ACK] * 2


async def test_namespaces_do_not_hear_each_other() -> None:
    world = await World(3).open("/a")
    world.scenes[1].core.of("/b")
    other, _ = world.scenes[1].joined("/b")
    world.nsp.emit("x")
    await world.calm()
    assert other.heard() == []
    await world.close()


async def test_a_dynamic_namespace_that_is_made_again_while_it_ends() -> None:
    world = World(2, cleanup_empty_child_namespaces=True)
    for scene in world.scenes:
        scene.core.dynamic(returns(True))
    kept = world.scenes[1].client()
    kept.say("0/game,")
    client = world.scenes[0].client()
    client.say("0/game,")
    await world.calm()
    world.broker.open.clear()
    client.say("1/game,")
    await world.calm()
    assert "/game" not in world.scenes[0].core.namespaces
    client.say("0/game,")
    await world.calm()
    world.broker.open.set()
    await world.calm()
    client.heard()
    world.scenes[1].core.of("/game").emit("x")
    await world.calm()
    assert client.heard() == ['2/game,["x"]']
    await world.close()


async def test_an_adapter_that_is_replaced_while_the_server_runs() -> None:
    world = World(2)
    await world.calm()
    for scene in world.scenes:
        scene.core.use_adapter(world.adapter_for)
    await world.calm()
    client, _ = world.scenes[0].joined()
    world.scenes[1].root.emit("x")
    await world.calm()
    assert client.heard() == ['2["x"]']
    await world.close()


async def test_a_server_has_one_id() -> None:
    """The id is made when it is first needed, and stays."""
    scene = Scene()
    host: Any = scene.root._host
    assert host.server_id == host.server_id
    assert host.server_id != Scene().root._host.server_id
