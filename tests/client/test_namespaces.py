"""Namespaces over one connection, and what servers ask for at their doors."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from telex import ConnectError
from tests.client.counterparts import BRISK, TRANSPORTS, Clients, Counterpart, Scene
from tests.features.scripts import Calls

modern = pytest.mark.parametrize("kind", ["socket.io-3", "socket.io-4", "telex"])
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


class TestJoining:
    @modern
    @pytest.mark.parametrize("transport", list(TRANSPORTS))
    async def test_without_the_main_namespace(self, scene: Scene) -> None:
        """Only what is asked for is joined."""
        manager = scene.manager()
        chat = await manager.socket("/chat")
        assert await chat.emit_with_ack("sockets in", "/chat") != []
        who: Any = await chat.emit_with_ack("who")
        assert who["namespace"] == "/chat"
        assert chat.id not in await chat.emit_with_ack("sockets in", "/")
        main = manager.socket("/")
        await main
        assert main.id in await chat.emit_with_ack("sockets in", "/")

    @modern
    async def test_dynamic_ones(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server)
        one, two = await manager.socket("/room-1"), await manager.socket("/room-22")
        whos: list[Any] = [await socket.emit_with_ack("who") for socket in (one, two)]
        assert [who["namespace"] for who in whos] == ["/room-1", "/room-22"]
        with pytest.raises(ConnectError, match="Invalid namespace"):
            await manager.socket("/room-x")
        assert one.connected

    @modern
    async def test_the_same_namespace_is_the_same_socket(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """One that has left joins again, one that is active is left alone."""
        manager = clients.manager(server)
        chat = manager.socket("/chat")
        assert manager.socket("/chat") is chat
        connected = Calls()
        chat.on("connect", connected)
        await chat
        assert manager.socket("/chat") is chat
        chat.connect()
        await chat.emit_with_ack("answer")
        assert len(connected.all) == 1
        main = await manager.socket("/")
        await chat.disconnect()
        # Node's server wants to have dealt with the leave before it hears of the next one.
        await main.emit_with_ack("answer")
        assert manager.socket("/chat") is chat
        await chat
        assert len(connected.all) == 2
        assert main.connected

    @modern
    async def test_the_slash_may_be_left_out(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server)
        assert manager.socket("chat").nsp in {"/chat", "chat"}
        with pytest.raises(ConnectError):
            await manager.socket("nowhere")

    @modern
    async def test_joining_after_the_connection_was_closed(
        self, clients: Clients, server: Counterpart
    ) -> None:
        manager = clients.manager(server)
        main = await manager.socket("/")
        await main.disconnect()
        assert manager.engine is None
        chat = await manager.socket("/chat")
        assert chat.connected
        await main.connect()
        assert main.connected

    @modern
    async def test_the_connection_goes_with_the_last_socket(
        self, clients: Clients, server: Counterpart
    ) -> None:
        manager = clients.manager(server)
        main, chat = await manager.socket("/"), await manager.socket("/chat")
        closed = Calls()
        manager.on("close", closed)
        await main.disconnect()
        assert closed.all == []
        assert await chat.emit_with_ack("answer", 1) == 1
        await chat.disconnect()
        assert [args[0] for args in closed.all] == ["forced close"]

    @modern
    async def test_many_at_once(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server)
        sockets = [manager.socket(f"/room-{number}") for number in range(30)]
        names: list[str] = []

        async def ask(socket: Any) -> None:
            await socket
            names.append((await socket.emit_with_ack("who"))["namespace"])

        await asyncio.gather(*(ask(socket) for socket in sockets))
        assert sorted(names) == sorted(f"/room-{number}" for number in range(30))

    @modern
    async def test_leaving_before_the_server_has_answered(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """It is not joined afterwards, and can be joined again."""
        manager = clients.manager(server)
        main = await manager.socket("/")
        slow = manager.socket("/slow")
        connected = Calls()
        slow.on("connect", connected)
        await main.emit_with_ack("answer")
        await slow.disconnect()
        await asyncio.sleep(0.2)
        assert connected.all == []
        assert not slow.connected
        assert await main.emit_with_ack("answer", "untouched") == "untouched"

    @modern
    async def test_emits_wait_for_their_own_namespace(
        self, clients: Clients, server: Counterpart
    ) -> None:
        manager = clients.manager(server)
        main, slow = manager.socket("/"), manager.socket("/slow")
        waiting = asyncio.ensure_future(slow.emit_with_ack("who"))
        await main
        assert await main.emit_with_ack("answer", 1) == 1
        who: Any = await waiting
        assert who["namespace"] == "/slow"

    @modern
    async def test_what_the_server_says_at_once_is_heard(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server, "/greeting")
        welcome, answered = Calls(), Calls()
        socket.on("welcome", welcome).on("answered", answered)

        @socket.on("question")
        def question(number: int) -> int:
            return number + 1

        assert await welcome.next() == ("to", "/greeting")
        assert await answered.next() == ([2],)


class TestTheDoor:
    @modern
    @pytest.mark.parametrize("transport", list(TRANSPORTS))
    async def test_auth(self, scene: Scene) -> None:
        auth = {"token": "let me in", "nested": {"list": [1, None, "🙂"]}}
        socket = await scene.connect("/guarded", auth=auth)
        known: Any = await socket.emit_with_ack("handshake")
        assert known["auth"] == auth

    @modern
    async def test_auth_for_each_namespace(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server, auth={"who": "everybody"})
        main = await manager.socket("/")
        guarded = await manager.socket("/guarded", auth={"token": "let me in"})
        known: Any = await guarded.emit_with_ack("handshake")
        assert known["auth"] == {"token": "let me in"}
        assert main.connected

    @modern
    async def test_no_auth(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        known: Any = await socket.emit_with_ack("handshake")
        assert known["auth"] == {}

    @modern
    async def test_auth_of_a_function_is_asked_for_again(
        self, clients: Clients, server: Counterpart
    ) -> None:
        asked = 0

        def auth() -> dict[str, object]:
            nonlocal asked
            asked += 1
            return {"token": "let me in", "number": asked}

        socket = await clients.connect(server, "/guarded", auth=auth, reconnection=True, **BRISK)
        connected = Calls()
        socket.on("connect", connected)
        known: Any = await socket.emit_with_ack("handshake")
        assert known["auth"]["number"] == 1
        socket.emit("close the transport")
        await connected.next()
        known = await socket.emit_with_ack("handshake")
        assert known["auth"]["number"] == 2
        await socket.disconnect()
        await socket.connect()
        known = await socket.emit_with_ack("handshake")
        assert known["auth"]["number"] == 3

    @modern
    async def test_auth_of_a_coroutine(self, clients: Clients, server: Counterpart) -> None:
        async def auth() -> dict[str, object]:
            await asyncio.sleep(0.01)
            return {"token": "let me in"}

        socket = await clients.connect(server, "/guarded", auth=auth)
        known: Any = await socket.emit_with_ack("handshake")
        assert known["auth"] == {"token": "let me in"}

    @telex_and_node
    async def test_auth_that_fails(self, clients: Clients, server: Counterpart) -> None:
        """The failure is told, not swallowed."""

        def auth() -> object:
            raise LookupError("no token in the drawer")

        socket = clients.make(server, auth=auth)
        failed = Calls()
        socket.on("connect_error", failed)
        with pytest.raises(ConnectError, match="LookupError") as raised:
            await socket
        assert failed.all == [(raised.value,)]
        assert not socket.active

    @telex_and_node
    async def test_leaving_while_auth_is_being_fetched(
        self, clients: Clients, server: Counterpart
    ) -> None:
        asked = asyncio.Event()

        async def auth() -> object:
            asked.set()
            await asyncio.sleep(60)
            return {}

        socket = clients.make(server, auth=auth)
        await asked.wait()
        await socket.disconnect()
        assert not socket.connected

    @telex_and_node
    async def test_trying_again_with_another_auth(
        self, clients: Clients, server: Counterpart
    ) -> None:
        manager = clients.manager(server)
        main = await manager.socket("/")
        guarded = manager.socket("/guarded", auth={"token": "wrong"})
        with pytest.raises(ConnectError) as raised:
            await guarded
        assert raised.value.message == "not authorized"
        assert main.connected
        guarded.auth = {"token": "let me in"}
        await guarded.connect()
        assert guarded.connected

    @telex_and_node
    async def test_a_refusal_without_data(self, clients: Clients, server: Counterpart) -> None:
        with pytest.raises(ConnectError) as raised:
            await clients.connect(server, "/closed")
        assert raised.value.message == "closed for today"
        assert raised.value.data is None

    @telex_and_node
    async def test_no_second_try_by_itself(self, clients: Clients, server: Counterpart) -> None:
        socket = clients.make(server, "/closed", **BRISK)
        refused, attempts = Calls(), Calls()
        socket.on("connect_error", refused)
        socket.io.on("reconnect_attempt", attempts)
        await refused.next()
        assert not socket.active
        await asyncio.sleep(0.1)
        assert len(refused.all) == 1
        assert attempts.all == []
