"""Registrations that could never run, and refusals by habit: said when they are made."""

from __future__ import annotations

import asyncio
import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from telex import EngineServer, NamespaceHandlers, Socket
from telex.errors import ConfigurationError
from telex.server.class_based import register
from telex.server.middleware import NEUTRAL
from tests.server.scenes import Scene, note, returns, settle


def refused(sentence: str) -> Any:
    return pytest.raises(ConfigurationError, match=sentence)


class TestNeverComing:
    @pytest.mark.parametrize("event", ["disconnect", "disconnecting", "error"])
    async def test_events_of_sockets_on_a_namespace(self, event: str) -> None:
        root = Scene().root
        for register_it in (root.on, root.once):
            with refused(rf"{event}.*event of sockets.*socket\.on"):
                register_it(event)

    @pytest.mark.parametrize("event", ["connect_error", "newListener", "removeListener", "*"])
    async def test_anywhere(self, event: str) -> None:
        scene = Scene()
        _, socket = scene.joined()
        places = (scene.root.on, scene.root.event, socket.on, socket.once, scene.core.of("/x").on)
        for register_it in places:
            with refused(f"{re.escape(event)}.*never comes"):
                register_it(event)

    async def test_the_catch_all_has_another_name(self) -> None:
        with refused(r"on_any\(\)"):
            Scene().root.event("*")

    async def test_connect_on_a_socket(self) -> None:
        _, socket = Scene().joined()
        with refused("'connect' never comes.*connection"):
            socket.on("connect")

    async def test_decorators_without_their_name(self) -> None:
        """``@io.on`` above a function registered nothing."""
        scene = Scene()
        _, socket = scene.joined()
        places: tuple[Any, ...] = (scene.root.on, scene.root.once, socket.on, EngineServer().on)
        for register_it in places:
            with refused("on"):
                register_it(note(scene.log, 1))

    async def test_functions_without_a_name(self) -> None:
        root = Scene().root
        nameless: list[Any] = [lambda: None, functools.partial(returns(1))]
        for function in nameless:
            for register_it in (root.event, root.event()):
                with refused("no name"):
                    register_it(function)
        root.event("named")(nameless[1])


class TestTooManyParameters:
    def handlers(self) -> list[tuple[str, Callable[..., Any]]]:
        def with_environ(sid: Any, environ: Any) -> None: ...
        def with_auth(sid: Any, environ: Any, auth: Any = None) -> None: ...

        both = (with_environ, with_auth)
        return [(event, each) for event in ("connect", "connection") for each in both]

    async def test_connect_with_environ(self) -> None:
        scene = Scene()
        for event, handler in self.handlers():
            root = scene.root
            for register_it in (root.on(event), root.once(event), root.event(event)):
                with refused(r"needs 2 arguments.*has 1.*socket\.handshake\.auth.*socket\.request"):
                    register_it(handler)

    async def test_in_a_class(self) -> None:
        class Chat(NamespaceHandlers):
            def on_connect(self, sid: Any, environ: Any) -> None: ...

        with refused("on_connect: it needs 2 arguments"):
            register(Scene().root.registry, Chat())

    async def test_disconnect(self) -> None:
        scene = Scene()
        _, socket = scene.joined()

        def three(socket: Any, reason: Any, details: Any) -> None: ...
        def two(reason: Any, details: Any) -> None: ...

        with refused("needs 3 arguments, and 'disconnect' has 2"):
            scene.root.event("disconnect")(three)
        with refused("needs 2 arguments, and 'disconnect' has 1"):
            socket.on("disconnect", two)
        scene.root.event("disconnect")(two)
        scene.root.event("disconnect")(returns(None))

    async def test_optional_ones_are_fine(self) -> None:
        scene = Scene()

        @scene.root.event
        def connect(socket: Socket, environ: Any = None, *more: Any) -> None:
            scene.log.append((environ, more))

        scene.joined()
        assert scene.log == [(None, ())]


class TestAnotherHandler:
    def once_each(self, scene: Scene) -> None:
        def talk(socket: Any) -> int:
            return 1

        scene.root.event(talk)

    async def test_of_the_same_name_is_warned_of(self, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene()
        self.once_each(scene)
        assert caplog.messages == []
        self.once_each(scene)
        (message,) = caplog.messages
        assert "'talk' has a second handler" in message
        client, _ = scene.joined()
        client.say('21["talk"]')
        await settle()
        assert client.heard() == ["31[1]"]

    async def test_of_the_life_cycle_is_usual(self, caplog: pytest.LogCaptureFixture) -> None:
        root = Scene().root
        for _ in range(2):
            root.event("disconnect")(returns(None))
            root.event("connection")(returns(None))
        assert caplog.messages == []

    async def test_concurrent_beside_one_that_is_not(self) -> None:
        """The first would decide for both."""
        scene = Scene()
        _, socket = scene.joined()
        for register_it in (scene.root.event, socket.on):
            register_it("x", concurrent=True)(returns(1))
            with refused("concurrent=True is for all handlers"):
                register_it("x")(returns(1))

    @pytest.mark.parametrize("option", ["concurrent", "thread"])
    async def test_options_of_connection(self, option: str) -> None:
        """They had no effect."""
        with refused(r"neither concurrent nor in a thread.*spawn"):
            Scene().root.event("connect", **{option: True})(note([], 1))


class TestClasses:
    async def test_static_methods_are_handlers(self) -> None:
        """They were left out in silence."""

        class Chat(NamespaceHandlers):
            @staticmethod
            def on_static(socket: Socket) -> str:
                return "static"

            @classmethod
            def on_class(cls, socket: Socket) -> str:
                return cls.__name__

            on_number = 3

        scene = Scene()
        register(scene.root.registry, Chat())
        client, _ = scene.joined()
        client.say('21["static"]', '22["class"]', '23["number"]')
        assert client.heard() == ['31["static"]', '32["Chat"]']


class TestRefusingByHabit:
    """Returning false refuses, as it does elsewhere."""

    @pytest.mark.parametrize("result", [False, 0, "no", [], ValueError("no")])
    @pytest.mark.parametrize("later", [False, True])
    async def test_a_middleware(
        self, result: Any, later: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene()
        loop = asyncio.get_running_loop()

        def guard(socket: Socket) -> Any:
            if not later:
                return result
            future = loop.create_future()
            future.set_result(result)
            return future

        scene.root.use(guard)
        scene.root.on("connection", note(scene.log, "in"))
        for _ in range(3):
            client = scene.client()
            client.say("0")
            await settle()
            assert client.heard() == [f'4{{"message":"{NEUTRAL}"}}']
        assert scene.log == []
        (message,) = caplog.messages
        assert "guard" in message
        assert "raise ConnectError" in message

    @pytest.mark.parametrize("result", [None, True])
    async def test_a_middleware_that_accepts(self, result: Any) -> None:
        scene = Scene()
        scene.root.use(returns(result))

        @scene.root.use
        def join(socket: Socket) -> Any:
            return socket.join("room")  # an awaitable of ours

        client = scene.client()
        client.say("0")
        await settle()
        assert "sid" in str(client.heard()[0])

    async def test_a_middleware_of_children(self, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene()
        scene.core.dynamic(re.compile(r"\A/room-[0-9]+\Z")).use(returns(False))
        client = scene.client()
        for number in range(3):
            client.say(f"0/room-{number},")
            await settle()
        assert len(client.heard()) == 3
        assert len(caplog.messages) == 1

    @pytest.mark.parametrize("later", [False, True])
    async def test_a_connection_handler(
        self, later: bool, caplog: pytest.LogCaptureFixture
    ) -> None:
        scene = Scene()

        async def soon(socket: Socket) -> bool:
            await asyncio.sleep(0)
            return False

        scene.root.on("connection", soon if later else returns(False))
        scene.root.on("connection", note(scene.log, "the next one"))
        scene.root.event("x")(returns(1))
        for _ in range(3):
            client = scene.client()
            client.say("0", '21["x"]')
            await settle()
            joined, left = client.heard()
            assert str(joined).startswith("0")
            assert left == "1"
        assert scene.log == []
        assert not scene.root.sockets
        (message,) = caplog.messages
        assert "disconnects the socket" in message

    @pytest.mark.parametrize("result", [None, True, 0, "x", []])
    async def test_a_connection_handler_may_return_anything_else(self, result: Any) -> None:
        scene = Scene()
        scene.root.on("connection", returns(result))
        _, socket = scene.joined()
        await settle()
        assert socket.connected

    @pytest.mark.parametrize("later", [False, True])
    async def test_a_packet_middleware(self, later: bool, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene()
        client, socket = scene.joined()

        async def soon(event: str, args: list[Any]) -> bool:
            return False

        socket.use(soon if later else returns(False))
        socket.on("error", scene.log.append)
        socket.on("x", note(scene.log, "handled"))
        client.say('2["x"]', '2["x"]')
        await settle()
        assert [str(error) for error in scene.log] == ["the event was refused by the server"] * 2
        warnings = [each.getMessage() for each in caplog.records if each.levelname == "WARNING"]
        assert len(warnings) == 1
        assert "refuses the event" in warnings[0]
