"""Sockets: emitting, acknowledgements, rooms, tasks, and the end."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

import pytest

from telex import AckTimeout, ConfigurationError, Disconnected, EncodeError, Socket
from telex.server.peer import HIGH_WATER
from tests.server.scenes import Client, Scene, note_args, settle


async def joined(**options: Any) -> tuple[Scene, Client, Socket]:
    scene = Scene(**options)
    client, socket = scene.joined()
    return scene, client, socket


class TestEmit:
    async def test_takes_effect_when_it_is_called(self) -> None:
        _, client, socket = await joined()
        socket.emit("x", 1, {"a": b"y"})
        socket.send("text", None)
        assert client.heard() == [
            '51-["x",1,{"a":{"_placeholder":true,"num":0}}]',
            b"y",
            '2["message","text",null]',
        ]

    async def test_can_be_awaited_and_chained(self) -> None:
        _, client, socket = await joined()
        await socket.emit("a")
        socket.emit("b").emit("c")
        await socket.join("room").emit("d")
        assert client.heard() == ['2["a"]', '2["b"]', '2["c"]', '2["d"]']

    @pytest.mark.parametrize("event", ["connect", "disconnect", "disconnecting", "newListener"])
    async def test_reserved_names(self, event: str) -> None:
        scene, client, socket = await joined()
        for emit in (socket.emit, socket.volatile.emit, scene.root.emit, socket.broadcast.emit):
            with pytest.raises(ValueError, match="reserved event name"):
                emit(event)
        with pytest.raises(ValueError, match="reserved event name"):
            await socket.emit_with_ack(event)
        assert client.heard() == []

    @pytest.mark.parametrize("event", [1, None, b"x", ["x"]])
    async def test_names_are_text(self, event: Any) -> None:
        scene, _, socket = await joined()
        for emit in (socket.emit, scene.root.emit):
            with pytest.raises(TypeError, match="is text"):
                emit(event)

    async def test_data_that_cannot_be_sent_raises_here(self) -> None:
        scene, client, socket = await joined()
        for emit in (socket.emit, scene.root.emit, scene.root.to("x").emit):
            with pytest.raises(EncodeError):
                emit("x", object())
        with pytest.raises(EncodeError):
            socket.emit("x", object(), ack=print)
        with pytest.raises(EncodeError):
            await socket.emit_with_ack("x", object())
        assert not socket.expects_answers
        assert client.heard() == []

    async def test_after_the_end_goes_nowhere(self) -> None:
        _, client, socket = await joined()
        socket.disconnect()
        await socket.emit("x")
        socket.volatile.emit("x")
        assert client.heard() == ["1"]

    async def test_volatile_events_are_for_those_who_can_take_them(self) -> None:
        _, client, socket = await joined()
        client.transport.writable = False
        socket.volatile.emit("dropped")
        socket.emit("waits")
        client.transport.writable = True
        socket.volatile.emit("sent")
        assert client.heard() == ['2["waits"]', '2["sent"]']

    async def test_flags_hold_for_questions_too(self) -> None:
        _, client, socket = await joined()
        client.transport.writable = False
        dropped = asyncio.ensure_future(socket.volatile.emit_with_ack("dropped"))
        await settle()
        client.transport.writable = True
        asked = asyncio.ensure_future(socket.timeout(60).compress(False).emit_with_ack("asked"))
        await settle()
        client.session.flush()
        [[packet]] = client.transport.batches
        assert packet.compress is False
        assert client.heard() == ['21["asked"]']
        client.say('31["answer"]')
        assert await asked == "answer"
        socket.disconnect()
        with pytest.raises(Disconnected):
            await dropped

    async def test_to_a_namespace(self) -> None:
        scene = Scene()
        scene.core.of("/chat")
        client, socket = scene.joined("/chat")
        socket.emit("x", b"y")
        assert client.heard() == ['51-/chat,["x",{"_placeholder":true,"num":0}]', b"y"]


class TestBackpressure:
    async def test_awaiting_waits_until_the_client_has_read(self) -> None:
        _, client, socket = await joined()
        client.transport.writable = False
        text = "x" * HIGH_WATER

        async def produce() -> None:
            for _ in range(3):
                await socket.emit("x", text)

        task = asyncio.ensure_future(produce())
        for count in (1, 2, 3):
            await settle()
            assert not task.done()
            client.transport.writable = True
            client.session.drained()
            assert len(client.heard()) == 1, count
            client.transport.writable = False
        await settle()
        assert task.done()

    async def test_the_end_of_the_client_ends_the_wait(self) -> None:
        _, client, socket = await joined()
        client.transport.writable = False
        sent = socket.emit("x", "x" * HIGH_WATER)
        task = asyncio.ensure_future(_await(sent))
        await settle()
        assert not task.done()
        client.session.end("transport close")
        await settle()
        assert task.done()
        await sent


async def _await(awaitable: Any) -> None:
    await awaitable


class TestAcknowledgements:
    async def test_awaited(self) -> None:
        _, client, socket = await joined()
        for answer, expected in (("[]", None), ("[1]", 1), ('[1,"a"]', (1, "a"))):
            task = asyncio.ensure_future(socket.emit_with_ack("x"))
            await settle()
            (question,) = client.heard()
            ack_id = str(question)[1:].partition("[")[0]
            client.say(f"3{ack_id}{answer}")
            assert await task == expected
            client.say(f"3{ack_id}[2]")  # once only
        assert not socket.expects_answers

    async def test_by_callback(self) -> None:
        scene, client, socket = await joined()
        socket.emit("x", ack=note_args(scene.log))
        client.say("30[1,2]", "30[3]")
        assert scene.log == [(1, 2)]

    async def test_with_binary_data(self) -> None:
        scene, client, socket = await joined()
        socket.emit("x", ack=scene.log.append)
        client.say('61-0[{"_placeholder":true,"num":0}]', b"y")
        assert scene.log == [b"y"]

    async def test_only_by_the_socket_that_was_asked(self) -> None:
        scene, client, socket = await joined()
        other, _ = scene.joined()
        socket.emit("x", ack=scene.log.append)
        other.say("30[1]")
        assert scene.log == []
        client.say("30[2]")
        assert scene.log == [2]

    async def test_that_do_not_come_in_time(self) -> None:
        scene, client, socket = await joined()
        with pytest.raises(AckTimeout, match=r"within 0\.001 s"):
            await socket.emit_with_ack("x", timeout=0.001)
        with pytest.raises(TimeoutError):
            await socket.timeout(0.001).emit_with_ack("x")
        called = asyncio.Event()

        def callback(*args: Any) -> None:
            scene.log.append(args)
            called.set()

        socket.timeout(0.001).emit("x", ack=callback)
        async with asyncio.timeout(30):
            await called.wait()
        ((error,),) = scene.log
        assert isinstance(error, AckTimeout)
        assert not socket.expects_answers
        client.say("30[1]", "31[1]", "32[1]")
        assert len(scene.log) == 1

    async def test_that_come_in_time(self) -> None:
        scene, client, socket = await joined()
        socket.timeout(1000).emit("x", ack=note_args(scene.log))
        client.say("30[1,2]")
        assert scene.log == [(None, 1, 2)]

    async def test_of_a_client_that_leaves(self) -> None:
        scene, client, socket = await joined()
        task = asyncio.ensure_future(socket.emit_with_ack("x"))
        socket.timeout(1000).emit("x", ack=scene.log.append)
        socket.emit("x", ack=scene.log.append)
        await settle()
        client.session.end("ping timeout")
        with pytest.raises(Disconnected, match="ping timeout"):
            await task
        (error,) = scene.log
        assert isinstance(error, Disconnected)
        with pytest.raises(Disconnected):
            await socket.emit_with_ack("x")

    async def test_nobody_waits_for_any_more(self) -> None:
        _, _, socket = await joined()
        task = asyncio.ensure_future(socket.emit_with_ack("x"))
        await settle()
        assert socket.expects_answers
        task.cancel()
        await settle()
        assert not socket.expects_answers

    async def test_malformed_ones_close_the_connection(self) -> None:
        _, client, socket = await joined()
        task = asyncio.ensure_future(socket.emit_with_ack("x"))
        await settle()
        client.say("30{}")
        assert client.reasons == ["forced close"]
        with pytest.raises(Disconnected):
            await task


class TestRooms:
    async def test_are_a_live_set(self) -> None:
        _, _, socket = await joined()
        rooms = socket.rooms
        assert list(rooms) == [socket.id]
        socket.join("a")
        socket.join(["b", "c"])
        socket.leave(["b", "unknown"])
        assert list(rooms) == [socket.id, "a", "c"]
        assert "a" in rooms
        assert len(rooms) == 3
        assert rooms | {"x"} == {socket.id, "a", "c", "x"}

    @pytest.mark.parametrize("room", [1, None, ["a", 1], [b"x"]])
    async def test_names_are_text(self, room: Any) -> None:
        _, _, socket = await joined()
        with pytest.raises(TypeError):
            socket.join(room)

    async def test_are_left_at_the_end(self) -> None:
        scene, client, socket = await joined()
        seen: list[set[str]] = []
        socket.join("a")

        def note_rooms(reason: str) -> None:
            seen.append(set(socket.rooms))

        socket.on("disconnecting", note_rooms)
        socket.on("disconnect", note_rooms)
        client.session.end("transport close")
        await settle()
        assert seen == [{socket.id, "a"}, set()]
        socket.join("late")
        assert scene.root.adapter.rooms() == {}

    async def test_the_id_of_another_socket_is_no_room_to_join(self) -> None:
        """A name from a client would let it read what is meant for that one alone."""
        scene, client, socket = await joined()
        victim_client, victim = scene.joined()
        [remote] = await scene.root.in_(socket.id).fetch_sockets()
        joins: list[Callable[..., object]] = [
            socket.join,
            scene.root.in_(socket.id).sockets_join,
            scene.root.sockets_join,
            remote.join,
            socket.threadsafe.join,
            scene.root.threadsafe.in_(socket.id).sockets_join,
        ]
        for join in joins:
            handed = None
            with pytest.raises(ConfigurationError, match="other_ids"):
                handed = join(["a", victim.id])
                assert isinstance(handed, Future)
                handed.result()
        assert socket.rooms == {socket.id}
        scene.root.to(victim.id).emit("secret")
        assert client.heard() == []
        assert victim_client.heard() == ['2["secret"]']
        socket.join(socket.id)
        scene.root.in_(victim.id).sockets_join(victim.id)
        socket.join(victim.id, other_ids=True)
        assert socket.rooms == {socket.id, victim.id}
        victim.disconnect()
        scene.joined()[1].join(victim.id)  # a name like any other now

    async def test_nor_is_that_of_one_who_may_come_back(self) -> None:
        scene, _, socket = await joined(connection_state_recovery=True)
        victim_client, victim = scene.joined()
        victim_client.session.end("transport close")
        with pytest.raises(ConfigurationError):
            socket.join(victim.id)
        returned: list[str] = []
        decided = asyncio.Event()

        @scene.root.use
        async def think(newcomer: Socket) -> None:
            with pytest.raises(ConfigurationError):
                newcomer.join(socket.id)
            await decided.wait()
            returned.append(newcomer.id)

        again = scene.client()
        again.say(f'0{{"pid":"{victim.pid}"}}')
        await settle()
        with pytest.raises(ConfigurationError):
            socket.join(victim.id)
        decided.set()
        await settle()
        assert returned == [victim.id]
        scene.root.sockets[victim.id].disconnect()
        socket.join(victim.id)

    async def test_a_parent_namespace_knows_the_ids_of_its_children(self) -> None:
        scene = Scene()
        parent = scene.core.dynamic(re.compile(r"\A/x"))
        client = scene.client()
        client.say("0/x,")
        await settle()
        [sid] = scene.core.of("/x").sockets
        with pytest.raises(ConfigurationError):
            parent.sockets_join(sid)


class TestTasks:
    async def test_end_with_the_socket(self) -> None:
        scene, client, socket = await joined()

        async def work() -> None:
            try:
                await asyncio.Event().wait()
            finally:
                scene.log.append("ended")

        task = socket.spawn(work())
        await settle()
        client.session.end("transport close")
        await settle()
        assert scene.log == ["ended"]
        assert task.cancelled()
        late = socket.spawn(work())
        await settle()
        assert late.cancelled()

    async def test_failures_are_logged(self, caplog: pytest.LogCaptureFixture) -> None:
        _, _, socket = await joined()

        async def fails() -> None:
            raise RuntimeError("secret")

        with caplog.at_level(logging.ERROR, "telex"):
            socket.spawn(fails())
            await settle()
        assert "a task of" in caplog.text

    async def test_give_their_result(self) -> None:
        _, _, socket = await joined()

        async def work() -> int:
            return 5

        assert await socket.spawn(work()) == 5


class TestTheEnd:
    async def test_is_told_once(self) -> None:
        scene, client, socket = await joined()
        socket.on("disconnect", scene.log.append)
        socket.disconnect()
        socket.disconnect()
        client.session.end("transport close")
        await settle()
        assert scene.log == ["server namespace disconnect"]
        assert client.transport.messages == ["41"]
        assert socket.disconnected

    async def test_comes_after_the_running_handler(self) -> None:
        scene, client, socket = await joined()

        @socket.on("x")
        async def x() -> None:
            socket.disconnect()
            await asyncio.sleep(0)
            scene.log.append("handler")

        socket.on("disconnect", scene.log.append)
        client.say('2["x"]')
        await settle()
        assert scene.log == ["handler", "server namespace disconnect"]

    async def test_handlers_of_the_namespace_hear_of_it(self) -> None:
        scene = Scene()

        @scene.root.event
        async def disconnecting(socket: Socket, reason: str) -> None:
            scene.log.append(("disconnecting", set(socket.rooms) == {socket.id}, reason))

        @scene.root.event
        def disconnect(socket: Socket) -> None:
            scene.log.append("disconnect")

        client, _ = scene.joined()
        client.session.end("transport close")
        await settle()
        assert scene.log == [("disconnecting", True, "transport close"), "disconnect"]

    async def test_failures_of_its_handlers_harm_nobody(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene, client, socket = await joined()

        def fails(reason: str) -> None:
            raise RuntimeError

        socket.on("disconnecting", fails)
        socket.on("disconnect", fails)
        socket.on("disconnect", scene.log.append)
        with caplog.at_level(logging.CRITICAL, "telex"):
            client.session.end("transport close")
            await settle()
        assert scene.log == ["transport close"]


class TestWhatItIs:
    async def test_properties(self) -> None:
        scene, client, socket = await joined()
        assert socket.connected
        assert not socket.disconnected
        assert socket.remote_address == "192.0.2.1"
        assert socket.conn.id == client.session.id
        assert socket.conn.protocol == 4
        assert socket.conn.transport.name == "websocket"
        assert socket.nsp is scene.root
        assert socket.data == {}
        assert not socket.recovered
        socket.user = "theirs"  # type: ignore[attr-defined]
        described = socket.describe()
        assert described["id"] == socket.id
        assert described["rooms"] == [socket.id]

    async def test_outgoing_listeners(self) -> None:
        scene, client, socket = await joined()
        socket.on_any_outgoing(note_args(scene.log))
        socket.emit("x", 1)
        scene.root.emit("y", 2)
        assert scene.log == [("x", 1), ("y", 2)]
        assert client.heard() == ['2["x",1]', '2["y",2]']
        socket.off_any_outgoing()
        socket.emit("z")
        assert len(scene.log) == 2
