"""Namespaces: names, registration, handlers that sockets share, dynamic ones."""

from __future__ import annotations

import asyncio
import inspect
import re
from typing import Any

import pytest

from telex import ConnectError, Namespace, Socket
from telex.errors import ConfigurationError
from telex.parser.packet import MAX_NAMESPACE
from telex.server import core
from telex.server.class_based import NamespaceHandlers, register
from tests.server.scenes import Scene, note, returns, settle


class TestNames:
    async def test_are_normalised(self) -> None:
        core = Scene().core
        assert core.of("/chat") is core.of("chat")
        assert core.of("") is core.of("/")
        assert core.of("/a?b=c").name == "/a?b=c"
        assert core.of("/中文").name == "/中文"

    @pytest.mark.parametrize(
        "name", ["/a,b", "/" + "x" * 255, "/a\x1eb", "/a\nb", "/\x00", "/\ud800", 5, None, b"/x"]
    )
    async def test_that_no_namespace_can_have(self, name: Any) -> None:
        with pytest.raises(ConfigurationError, match="namespace"):
            Scene().core.of(name)

    async def test_new_ones_are_told(self) -> None:
        scene = Scene()
        scene.root.on("new_namespace", scene.log.append)
        chat = scene.core.of("/chat")
        scene.core.of("/chat")
        assert scene.log == [chat]


class TestConnection:
    @pytest.mark.parametrize("event", ["connection", "connect"])
    async def test_both_names(self, event: str) -> None:
        scene = Scene()
        scene.root.on(event, scene.log.append)
        _, socket = scene.joined()
        assert scene.log == [socket]

    async def test_as_an_event(self) -> None:
        scene = Scene()

        @scene.root.event
        def connect(socket: Socket) -> None:
            scene.log.append(socket)

        @scene.root.event("connection")
        def without_a_parameter() -> None:
            scene.log.append("too")

        _, socket = scene.joined()
        assert scene.log == [socket, "too"]

    async def test_several_run_in_order(self) -> None:
        scene = Scene()

        @scene.root.on("connection")
        def first(socket: Socket) -> None:
            scene.log.append(1)

        @scene.root.on("connection")
        async def second(socket: Socket) -> None:
            await asyncio.sleep(0)
            scene.log.append(2)

        @scene.root.on("connection")
        def third(socket: Socket) -> None:
            scene.log.append(3)

        client = scene.client()
        client.say("0", '2["x"]')
        await settle()
        assert scene.log == [1, 2, 3]

    async def test_once(self) -> None:
        scene = Scene()
        scene.root.once("connection", note(scene.log, "once"))
        scene.joined()
        scene.joined()
        assert scene.log == ["once"]

    async def test_off(self) -> None:
        scene = Scene()
        scene.root.on("connection", scene.log.append)
        assert scene.root.listeners("connection") == [scene.log.append]
        scene.root.off("connect", scene.log.append)
        scene.joined()
        assert scene.log == []

    async def test_the_client_is_told_before_anything_is_sent_by_it(self) -> None:
        scene = Scene()

        @scene.root.on("connection")
        def connection(socket: Socket) -> None:
            socket.emit("hello")

        client = scene.client()
        client.say("0")
        connect, hello = client.heard()
        assert str(connect).startswith("0{")
        assert hello == '2["hello"]'


class TestSockets:
    async def test_by_id(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        assert dict(scene.root.sockets) == {socket.id: socket}
        assert scene.root.connected is scene.root.sockets
        client.say("1")
        assert scene.root.sockets == {}

    async def test_from_within_the_connection_handler(self) -> None:
        scene = Scene()

        @scene.root.on("connection")
        def connection(socket: Socket) -> None:
            scene.log.append(list(scene.root.sockets))

        _, socket = scene.joined()
        assert scene.log == [[socket.id]]


class TestSharedHandlers:
    async def test_names(self) -> None:
        scene = Scene()

        @scene.root.event
        def rename(socket: Socket, name: str) -> str:
            return f"{socket.id} is {name}"

        @scene.root.event("private message")
        async def private(socket: Socket) -> str:
            return "async"

        client, socket = scene.joined()
        client.say('21["rename","x"]', '22["private message"]')
        await settle()
        assert client.heard() == [f'31["{socket.id} is x"]', '32["async"]']

    async def test_concurrent(self) -> None:
        scene = Scene()
        gate = asyncio.Event()

        @scene.root.event(concurrent=True)
        async def waits(socket: Socket) -> None:
            await gate.wait()

        client, _ = scene.joined()
        client.say('21["waits"]', '22["waits"]')
        await settle()
        assert len(scene.core.runtime.tasks) == 2
        gate.set()
        await settle()
        assert client.heard() == ["31[]", "32[]"]

    async def test_registered_later_hold_for_sockets_that_are_there(self) -> None:
        scene = Scene()
        client, _ = scene.joined()
        scene.root.event("x")(returns("late"))
        client.say('21["x"]')
        assert client.heard() == ['31["late"]']

    async def test_by_a_class(self) -> None:
        scene = Scene()

        class Chat(NamespaceHandlers):
            def on_connection(self, socket: Socket) -> None:
                scene.log.append(socket)

            async def on_message(self, socket: Socket, text: str) -> str:
                return text.upper()

            def helper(self) -> None: ...

        register(scene.root.registry, Chat())
        client, socket = scene.joined()
        client.say('21["message","x"]', '22["helper"]', '23["connection"]')
        await settle()
        assert scene.log == [socket]
        assert client.heard() == ['31["X"]']

    async def test_by_a_class_that_has_none(self) -> None:
        with pytest.raises(ConfigurationError, match="no method on_"):
            register(Scene().root.registry, NamespaceHandlers())
        with pytest.raises(ConfigurationError, match="not the class"):
            register(Scene().root.registry, NamespaceHandlers)


class TestDynamic:
    async def test_by_an_expression(self) -> None:
        scene = Scene()
        games = scene.core.dynamic(re.compile(r"^/game-\d+$"))

        @games.on("connection")
        def connection(socket: Socket) -> None:
            scene.log.append(socket.nsp.name)

        first, second = scene.client(), scene.client()
        first.say("0/game-1,")
        second.say("0/game-2,", "0/game-x,")
        await settle()
        assert scene.log == ["/game-1", "/game-2"]
        assert second.heard()[1:] == ['4/game-x,{"message":"Invalid namespace"}']
        assert {child.name for child in games.children} == {"/game-1", "/game-2"}

    @pytest.mark.parametrize("is_async", [False, True])
    async def test_by_a_function(self, is_async: bool) -> None:
        scene = Scene()

        def plain(name: str, auth: Any) -> bool:
            return bool(auth.get("ok"))

        async def later(name: str, auth: Any) -> bool:
            await asyncio.sleep(0)
            return bool(auth.get("ok"))

        scene.core.dynamic(later if is_async else plain)
        client = scene.client()
        client.say('0/x,{"ok":true}', "0/y,")
        await settle()
        joined, refused = sorted(map(str, client.heard()))
        assert joined.startswith('0/x,{"sid"')
        assert refused == '4/y,{"message":"Invalid namespace"}'

    async def test_what_is_registered_holds_for_all_children(self) -> None:
        scene = Scene()
        parent = scene.core.dynamic(re.compile("^/x"))
        client = scene.client()
        client.say("0/x1,")
        await settle()
        client.heard()

        @parent.use
        def check(socket: Socket) -> None:
            raise ConnectError("full")

        @parent.event
        def late(socket: Socket) -> str:
            return socket.nsp.name

        client.say('2/x1,1["late"]', "0/x2,")
        await settle()
        assert client.heard() == ['3/x1,1["/x1"]', '4/x2,{"message":"full"}']

    async def test_names_that_nobody_was_let_into_leave_nothing(self) -> None:
        scene = Scene()
        parent = scene.core.dynamic(re.compile("^/x"))

        @parent.use
        def refuse(socket: Socket) -> None:
            raise ConnectError("no")

        client = scene.client()
        for number in range(50):
            client.say(f"0/x{number},")
        await settle()
        assert list(scene.core.namespaces) == ["/"]
        assert parent.children == set()

    @pytest.mark.parametrize("cleanup", [False, True])
    async def test_empty_children(self, cleanup: bool) -> None:
        scene = Scene(cleanup_empty_child_namespaces=cleanup)
        parent = scene.core.dynamic(re.compile("^/x"))
        client = scene.client()
        client.say("0/x,")
        await settle()
        client.say("1/x,")
        await settle()
        assert ("/x" in scene.core.namespaces) is not cleanup
        assert len(parent.children) == (0 if cleanup else 1)

    async def test_the_longest_empty_ones_go_when_there_are_many(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(core, "MAX_EMPTY", 3)
        scene = Scene()
        parent = scene.core.dynamic(re.compile(r"\A/x"))
        scene.core.of("/x-of-the-application")
        stays = scene.client()
        stays.say("0/x0,")
        await settle()
        for number in range(8):
            client = scene.client()
            client.say(f"0/x{number},")
            await settle()
            client.say(f"1/x{number},")
            await settle()
        left = ["/", "/x-of-the-application", "/x0", "/x5", "/x6", "/x7"]
        assert list(scene.core.namespaces) == left
        assert {child.name for child in parent.children} == set(left[1:])
        assert len(parent.registry.children) == len(left) - 1

    async def test_there_is_a_limit_to_those_in_use(self, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene(max_dynamic_namespaces=3)
        scene.core.dynamic(re.compile(r"\A/x"))
        clients = [scene.client() for _ in range(6)]
        for number, client in enumerate(clients):
            client.say(f"0/x{number},")
        await settle()
        said = [str(client.heard()[0])[0] for client in clients]
        assert said == ["0"] * 3 + ["4"] * 3
        assert [record.levelname for record in caplog.records] == ["WARNING"]
        assert "max_dynamic_namespaces" in caplog.text
        clients[1].say("1/x1,")  # an empty one makes room
        clients[5].say("0/x5,")
        clients[2].say("0/x0,")  # one that exists needs none
        await settle()
        assert str(clients[5].heard()[0]).startswith("0/x5,")
        assert str(clients[2].heard()[0]).startswith("0/x0,")
        assert list(scene.core.namespaces) == ["/", "/x0", "/x2", "/x5"]

    @pytest.mark.parametrize("name", ["/a\x1b[31m", "/a\u202e", "/" + "a" * MAX_NAMESPACE])
    async def test_names_that_cannot_be(self, name: str) -> None:
        """They reach neither patterns nor functions, whatever the parser lets through."""
        scene = Scene()
        asked: list[str] = []

        def matches(name: str, auth: object) -> bool:
            asked.append(name)
            return True

        scene.core.dynamic(matches)
        assert scene.core.find(name, {}) is None
        assert asked == []
        found = scene.core.find("/a b-ö", {})
        assert inspect.isawaitable(found)
        assert await found is scene.core.of("/a b-ö")

    async def test_emitting_to_all_children(self) -> None:
        scene = Scene()
        parent = scene.core.dynamic(re.compile("^/x"))
        client = scene.client()
        client.say("0/x1,", "0/x2,")
        await settle()
        client.heard()
        parent.emit("news", 1)
        assert sorted(map(str, client.heard())) == ['2/x1,["news",1]', '2/x2,["news",1]']

    async def test_asking_twice_while_the_function_decides(self) -> None:
        scene = Scene()
        gate = asyncio.Event()

        async def decide(name: str, auth: Any) -> bool:
            await gate.wait()
            return True

        scene.core.dynamic(decide)
        client = scene.client()
        client.say("0/x,", "0/x,")
        assert client.reasons == ["forced server close"]
        gate.set()
        await settle()
        assert all(not namespace.sockets for namespace in scene.core.namespaces.values())

    async def test_asking_twice_while_somebody_else_makes_it(self) -> None:
        scene = Scene()
        gate = asyncio.Event()

        async def decide(name: str, auth: Any) -> bool:
            if not auth:
                await gate.wait()
            return True

        scene.core.dynamic(decide)
        client, other = scene.client(), scene.client()
        client.say("0/x,")
        await settle()
        other.say('0/x,{"quick":true}')
        await settle()
        client.say("0/x,")
        gate.set()
        await settle()
        namespace: Namespace = scene.core.namespaces["/x"]
        for each in (client, other):
            each.session.end("transport close")
        await settle()
        assert namespace.sockets == {}
        assert namespace.adapter.rooms() == {}

    async def test_undecided_names_count(self) -> None:
        scene = Scene()

        async def decide(name: str, auth: Any) -> bool:
            await asyncio.Event().wait()
            return True

        scene.core.dynamic(decide)
        client = scene.client()
        for number in range(1000):
            client.say(f"0/x{number},")
        await settle()
        assert client.reasons == ["forced server close"]
        assert len(scene.core.runtime.tasks) <= 100
        for task in scene.core.runtime.tasks:
            task.cancel()

    async def test_a_function_that_fails_refuses(self, caplog: pytest.LogCaptureFixture) -> None:
        scene = Scene()

        def fails(name: str, auth: Any) -> bool:
            raise RuntimeError("secret")

        scene.core.dynamic(fails)
        client = scene.client()
        client.say("0/x,")
        await settle()
        assert client.heard() == ['4/x,{"message":"Invalid namespace"}']
        assert "dynamic namespace failed" in caplog.text

    async def test_other_patterns(self) -> None:
        with pytest.raises(ConfigurationError, match="regular expression, or a function"):
            Scene().core.dynamic(5)
