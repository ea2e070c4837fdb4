"""Middleware: who is let in, who is not, and what they are told."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from telex import ConnectError, Socket
from telex.errors import ConfigurationError
from telex.server.middleware import NEUTRAL
from tests.server.scenes import Scene, note, settle


class TestAdmission:
    async def test_in_order_plain_and_async(self) -> None:
        scene = Scene()

        @scene.root.use
        async def first(socket: Socket) -> None:
            await asyncio.sleep(0)
            scene.log.append(("first", socket.state))

        @scene.root.use
        def second(socket: Socket) -> None:
            scene.log.append(("second", socket.state))

        @scene.root.on("connection")
        def connection(socket: Socket) -> None:
            scene.log.append(("in", socket.state))

        client = scene.client()
        client.say("0")
        await settle()
        assert scene.log == [("first", "pending"), ("second", "pending"), ("in", "connected")]
        assert str(client.heard()[0]).startswith("0{")

    async def test_what_it_does_with_the_socket_holds_when_it_is_let_in(self) -> None:
        scene = Scene()

        @scene.root.use
        def prepare(socket: Socket) -> None:
            socket.data["user"] = "x"
            socket.join(["a", "b"])
            socket.leave("b")
            socket.emit("hello", 1)
            assert set(socket.rooms) == {"a"}

        client = scene.client()
        client.say("0")
        await settle()
        connect, hello = client.heard()
        assert str(connect).startswith("0{")
        assert hello == '2["hello",1]'
        (socket,) = scene.root.sockets.values()
        assert set(socket.rooms) == {socket.id, "a"}
        assert socket.data == {"user": "x"}

    async def test_broadcasts_do_not_reach_who_is_not_in_yet(self) -> None:
        scene = Scene()
        gate = asyncio.Event()

        @scene.root.use
        async def wait(socket: Socket) -> None:
            await gate.wait()

        client = scene.client()
        client.say("0")
        await settle()
        scene.root.emit("news")
        gate.set()
        await settle()
        assert len(client.heard()) == 1

    async def test_each_namespace_has_its_own(self) -> None:
        scene = Scene()
        scene.core.of("/open")

        @scene.root.use
        def refuse(socket: Socket) -> None:
            raise ConnectError("no")

        scene.client().join("/open")


class TestRefusal:
    @pytest.mark.parametrize(
        ("error", "answer"),
        [
            (ConnectError("not authorized"), '4{"message":"not authorized"}'),
            (
                ConnectError("no", data={"retry": False}),
                '4{"message":"no","data":{"retry":false}}',
            ),
        ],
    )
    async def test_is_told_as_it_is(self, error: ConnectError, answer: str) -> None:
        scene = Scene()

        @scene.root.use
        async def refuse(socket: Socket) -> None:
            raise error

        client = scene.client()
        client.say("0")
        await settle()
        assert client.heard() == [answer]
        assert scene.root.sockets == {}
        assert client.connected

    @pytest.mark.parametrize(
        "error", [RuntimeError("secret"), SystemExit(1), TimeoutError("secret")]
    )
    async def test_anything_else_is_logged_and_told_to_nobody(
        self, error: BaseException, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene()

        @scene.root.use
        def fail(socket: Socket) -> None:
            raise error

        client = scene.client()
        with caplog.at_level(logging.ERROR, "telex"):
            client.say("0")
            await settle()
        assert client.heard() == [f'4{{"message":"{NEUTRAL}"}}']
        assert len(caplog.records) == 1

    async def test_the_next_one_is_not_asked(self) -> None:
        scene = Scene()

        @scene.root.use
        def refuse(socket: Socket) -> None:
            raise ConnectError("no")

        scene.root.use(scene.log.append)
        scene.client().say("0")
        await settle()
        assert scene.log == []

    async def test_a_middleware_that_is_cancelled_from_within(
        self, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene()

        @scene.root.use
        async def awaits(socket: Socket) -> None:
            future = asyncio.get_running_loop().create_future()
            future.cancel()
            await future

        client = scene.client()
        with caplog.at_level(logging.CRITICAL, "telex"):
            client.say("0")
            await settle()
        assert client.heard() == [f'4{{"message":"{NEUTRAL}"}}']

    async def test_a_client_may_try_again(self) -> None:
        scene = Scene()
        tries: list[int] = []

        @scene.root.use
        def second_time(socket: Socket) -> None:
            tries.append(1)
            if len(tries) == 1:
                raise ConnectError("no")

        client = scene.client()
        client.say("0")
        await settle()
        client.say("0")
        await settle()
        refusal, connect = client.heard()
        assert refusal == '4{"message":"no"}'
        assert str(connect).startswith("0{")

    async def test_a_client_that_was_refused_does_not_stay(self) -> None:
        scene = Scene(connect_timeout=3.0)

        @scene.root.use
        def refuse(socket: Socket) -> None:
            raise ConnectError("no")

        client = scene.client()
        client.say("0")
        await settle()
        scene.pass_time(3)
        assert client.reasons == ["forced server close"]

    async def test_nor_one_whose_middleware_never_decides(self) -> None:
        scene = Scene(connect_timeout=3.0)

        @scene.root.use
        async def never(socket: Socket) -> None:
            await asyncio.Event().wait()

        client = scene.client()
        client.say("0")
        await settle()
        scene.pass_time(3)
        assert client.reasons == ["forced server close"]
        for task in scene.core.runtime.tasks:
            task.cancel()

    async def test_emits_of_one_who_was_refused_go_nowhere(self) -> None:
        scene = Scene()
        sockets: list[Socket] = []

        @scene.root.use
        def refuse(socket: Socket) -> None:
            sockets.append(socket)
            socket.emit("hello")
            socket.join("room")
            raise ConnectError("no")

        client = scene.client()
        client.say("0")
        await settle()
        sockets[0].emit("late")
        sockets[0].join("room")
        assert client.heard() == ['4{"message":"no"}']
        assert scene.root.adapter.rooms() == {}


class TestRaces:
    async def start(self, scene: Scene) -> asyncio.Event:
        gate = asyncio.Event()

        @scene.root.use
        async def wait(socket: Socket) -> None:
            await gate.wait()
            scene.log.append("decided")

        scene.root.on("connection", note(scene.log, "connection"))
        return gate

    async def test_a_client_that_leaves_meanwhile(self) -> None:
        scene = Scene()
        gate = await self.start(scene)
        client = scene.client()
        client.say("0")
        await settle()
        client.say("1")
        gate.set()
        await settle()
        assert scene.log == ["decided"]
        assert client.heard() == []
        assert scene.root.sockets == {}

    async def test_a_connection_that_ends_meanwhile(self) -> None:
        scene = Scene()
        gate = await self.start(scene)
        client = scene.client()
        client.say("0")
        await settle()
        client.session.end("transport close")
        gate.set()
        await settle()
        assert scene.root.sockets == {}
        assert scene.root.adapter.rooms() == {}

    @pytest.mark.parametrize("packet", ["0", '2["x"]', "30[]"])
    async def test_a_client_that_does_not_wait(self, packet: str) -> None:
        scene = Scene()
        gate = await self.start(scene)
        client = scene.client()
        client.say("0", packet)
        await settle()
        assert client.reasons == ["forced server close"]
        gate.set()
        await settle()
        assert "connection" not in scene.log

    async def test_leaving_and_coming_back_meanwhile(self) -> None:
        scene = Scene()
        gate = await self.start(scene)
        client = scene.client()
        client.say("0", "1", "0")
        gate.set()
        await settle()
        assert scene.log == ["decided", "decided", "connection"]
        assert len(client.heard()) == 1
        assert len(scene.root.sockets) == 1


class TestRegistration:
    @pytest.mark.parametrize("middleware", ["x", None, 1])
    async def test_must_be_callable(self, middleware: Any) -> None:
        with pytest.raises(ConfigurationError, match="middleware"):
            Scene().root.use(middleware)

    async def test_must_take_the_socket(self) -> None:
        def without() -> None: ...

        def express(socket: Socket, proceed: object) -> None: ...

        for middleware in (without, express):
            with pytest.raises(ConfigurationError, match="socket"):
                Scene().root.use(middleware)
