"""Why connections end, and who comes back."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest

import telex
from telex import ConnectError
from tests.client.counterparts import (
    BRISK,
    TRANSPORTS,
    Clients,
    Counterpart,
    Kind,
    Scene,
    Transport,
    engine_of,
    new_name,
    upgraded,
)
from tests.client.ports import refusing_port
from tests.features.scripts import Calls, until

KINDS: tuple[Kind, ...] = ("socket.io-2", "socket.io-3", "socket.io-4", "telex")
COMBINATIONS: list[tuple[Kind, Transport]] = list(product(KINDS, TRANSPORTS))

everywhere = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)
every_kind = pytest.mark.parametrize("kind", KINDS)
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


async def ready(scene: Scene, **options: Any) -> telex.ClientSocket:
    """A connected socket that comes back soon; upgraded if that is the way."""
    socket = await scene.connect(reconnection=True, **{**BRISK, **options})
    if scene.transport == "upgrade":
        await upgraded(socket)
    return socket


class TestReasons:
    @everywhere
    async def test_the_server_closes_the_connection(self, scene: Scene) -> None:
        """Without a word about the namespace: the client comes back, as another socket."""
        socket = await ready(scene)
        first = socket.id
        gone, connected, reconnected = Calls(), Calls(), Calls()
        socket.on("disconnect", gone).on("connect", connected)
        socket.io.on("reconnect", reconnected)
        socket.emit("close the transport")
        assert (await gone.next())[0] == "transport close"
        await connected.next()
        assert socket.id != first
        assert not socket.recovered
        assert reconnected.all == [(1,)]
        assert await socket.emit_with_ack("answer", "back") == "back"

    @every_kind
    async def test_the_server_closes_every_namespace(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server, reconnection=True, **BRISK)
        gone, attempts = Calls(), Calls()
        socket.on("disconnect", gone)
        socket.io.on("reconnect_attempt", attempts)
        socket.emit("close my connection")
        assert (await gone.next())[0] == "io server disconnect"
        await asyncio.sleep(0.1)
        assert attempts.all == []
        assert not socket.active

    @every_kind
    @pytest.mark.parametrize("namespace", ["/thrown-out", "/cut-off"])
    async def test_thrown_out_at_once(
        self, clients: Clients, server: Counterpart, namespace: str
    ) -> None:
        """What the server has said before is heard."""
        socket = clients.make(server, namespace)
        welcome, gone = Calls(), Calls()
        socket.on("welcome", welcome).on("disconnect", gone)
        assert await welcome.next() == (namespace,)
        assert (await gone.next())[0] == "io server disconnect"

    @telex_and_node
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_a_server_that_talks_nonsense(self, scene: Scene) -> None:
        """The connection is of no use any more; a new one is made."""
        socket = await ready(scene)
        gone, connected = Calls(), Calls()
        socket.on("disconnect", gone).on("connect", connected)
        socket.emit("send nonsense")
        assert (await gone.next())[0] == "parse error"
        await connected.next()

    @every_kind
    async def test_the_engine_closed_by_hand(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server, reconnection=True, **BRISK)
        gone, connected = Calls(), Calls()
        socket.on("disconnect", gone).on("connect", connected)
        await engine_of(socket).close()
        assert (await gone.next())[0] == "forced close"
        await connected.next()

    @every_kind
    async def test_the_manager_closed_by_hand(self, clients: Clients, server: Counterpart) -> None:
        """All its sockets leave, and none comes back by itself."""
        manager = clients.manager(server, **BRISK)
        main, chat = await manager.socket("/"), await manager.socket("/chat")
        gone: dict[Any, Calls] = {main: Calls(), chat: Calls()}
        for socket, calls in gone.items():
            socket.on("disconnect", calls)
        closed, attempts = Calls(), Calls()
        manager.on("close", closed).on("reconnect_attempt", attempts)
        await manager.close()
        assert [[args[0] for args in calls.all] for calls in gone.values()] == [
            ["io client disconnect"],
            ["io client disconnect"],
        ]
        assert [args[0] for args in closed.all] == ["forced close"]
        await asyncio.sleep(0.1)
        assert attempts.all == []
        assert not main.active
        await main.connect()
        assert not chat.connected
        assert await main.emit_with_ack("answer", 1) == 1


class TestManager:
    @every_kind
    async def test_its_events(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server, **BRISK)
        log: list[str] = []

        def note(event: str) -> None:
            def noted(*_: object) -> None:
                log.append(event)

            manager.on(event, noted)

        for event in ("open", "close", "reconnect_attempt", "reconnect", "error"):
            note(event)
        packets, opened = Calls(), Calls()
        manager.on("packet", packets).once("open", opened)
        socket = manager.socket("/chat")
        await socket
        assert len(packets.all) >= 1
        socket.emit("close the transport")
        await until(lambda: "reconnect" in log)
        await socket
        manager.off("close")
        await manager.close()
        assert log == ["open", "close", "reconnect_attempt", "open", "reconnect"]
        assert len(opened.all) == 1

    @every_kind
    async def test_as_a_context(self, server: Counterpart) -> None:
        before = asyncio.all_tasks()
        async with telex.Manager(server.url(), protocol=server.protocol) as manager:
            main, chat = manager.socket("/"), manager.socket("/chat")
            await main
            assert await chat.emit_with_ack("answer", 1) == 1
        assert (main.connected, chat.connected) == (False, False)
        assert manager.engine is None
        assert asyncio.all_tasks() == before


class TestComingBack:
    @telex_and_node
    async def test_not_unless_wanted(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server, reconnection=False)
        gone, attempts = Calls(), Calls()
        socket.on("disconnect", gone)
        socket.io.on("reconnect_attempt", attempts)
        socket.emit("close the transport")
        await gone.next()
        await asyncio.sleep(0.05)
        assert attempts.all == []
        assert not socket.connected
        await socket.connect()
        assert socket.connected

    @telex_and_node
    async def test_by_hand(self, clients: Clients, server: Counterpart) -> None:
        """And again by itself after that."""
        socket = await clients.connect(server, reconnection=True, **BRISK)
        await socket.disconnect()
        await socket.connect()
        first = socket.id
        connected = Calls()
        socket.on("connect", connected)
        socket.emit("close the transport")
        await connected.next()
        assert socket.id != first

    @telex_and_node
    async def test_disconnect_and_connect_at_once(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        gone = Calls()
        socket.on("disconnect", gone)
        socket.disconnect()
        socket.connect()
        await socket
        assert socket.connected
        assert [args[0] for args in gone.all] == ["io client disconnect"]
        assert await socket.emit_with_ack("answer", 1) == 1

    @telex_and_node
    async def test_leaving_while_coming_back(self, clients: Clients, server: Counterpart) -> None:
        """At the event of the attempt, too."""
        socket = await clients.connect(server, reconnection=True, **BRISK)
        connected, attempts = Calls(), Calls()
        socket.on("connect", connected)
        socket.io.on("reconnect_attempt", attempts)

        def leave(_: int) -> None:
            socket.disconnect()

        socket.io.on("reconnect_attempt", leave)
        socket.emit("close the transport")
        await attempts.next()
        await asyncio.sleep(0.1)
        assert len(attempts.all) == 1
        assert connected.all == []
        assert not socket.active

    async def test_leaving_between_two_attempts(self, clients: Clients) -> None:
        with refusing_port() as port:
            manager = telex.Manager(f"http://127.0.0.1:{port}", **BRISK)
            socket = clients.keep(manager.socket("/"))
            errors, attempts = Calls(), Calls()
            manager.on("reconnect_error", errors).on("reconnect_attempt", attempts)
            await errors.next()
            await socket.disconnect()
            count = len(attempts.all)
            await asyncio.sleep(0.15)
            assert len(attempts.all) == count

    @telex_and_node
    async def test_reconnection_turned_off_and_on(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server, reconnection=True, **BRISK)
        gone, connected = Calls(), Calls()
        socket.on("disconnect", gone).on("connect", connected)
        socket.io.reconnection = False
        socket.emit("close the transport")
        await gone.next()
        await asyncio.sleep(0.1)
        assert connected.all == []
        socket.io.reconnection = True
        await socket.connect()
        await connected.next()
        socket.emit("close the transport")
        await connected.next()

    @telex_and_node
    async def test_one_socket_leaves_another_comes_back(
        self, clients: Clients, server: Counterpart
    ) -> None:
        manager = clients.manager(server, **BRISK)
        main, chat = await manager.socket("/"), await manager.socket("/chat")
        connected = Calls()
        chat.on("connect", connected)
        main.on("disconnect", lambda *_: main.disconnect())
        main.emit("close the transport")
        await connected.next()
        assert chat.connected
        assert not main.connected
        assert not main.active

    @telex_and_node
    async def test_refused_when_it_comes_back(self, clients: Clients, server: Counterpart) -> None:
        """As at the first time: the server's word is final."""
        tokens = iter(["let me in", "expired"])
        socket = await clients.connect(
            server,
            "/guarded",
            reconnection=True,
            auth=lambda: {"token": next(tokens)},
            **BRISK,
        )
        refused = Calls()
        socket.on("connect_error", refused)
        socket.emit("close the transport")
        error: Any = (await refused.next())[0]
        assert isinstance(error, ConnectError)
        assert error.data == {"code": 401, "hint": "la clé, 请"}
        assert not socket.active

    async def test_from_one_server_to_another_in_its_place(
        self, clients: Clients, counterparts: Any
    ) -> None:
        """Two managers know nothing of each other's troubles."""
        with refusing_port() as port:
            lost = clients.keep(telex.connect(f"http://127.0.0.1:{port}", **BRISK))
            found = await clients.connect(counterparts["telex"])
            failed, gone = Calls(), Calls()
            lost.on("connect_error", failed)
            found.on("disconnect", gone)
            await failed.next()
            await failed.next()
            assert found.connected
            assert gone.all == []


class TestHeartbeat:
    @pytest.mark.parametrize("transport", list(TRANSPORTS))
    @pytest.mark.parametrize("kind", ["socket.io-3", "socket.io-4", "telex"])
    async def test_the_server_pings(self, scene: Scene) -> None:
        socket = await scene.connect(site="quick")
        pings, gone = Calls(), Calls()
        socket.io.on("ping", pings)
        socket.on("disconnect", gone)
        for _ in range(3):
            await pings.next()
        assert gone.all == []
        assert await socket.emit_with_ack("answer", 1) == 1

    @pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
    async def test_a_loop_that_stood_still(self, clients: Clients, server: Counterpart) -> None:
        """The server has given the client up; what is emitted now waits for the next connection."""
        import time

        socket = await clients.connect(server, site="strict", reconnection=True, **BRISK)
        await upgraded(socket)
        first, name = socket.id, new_name()
        connected = Calls()
        socket.on("connect", connected)
        time.sleep(0.6)  # noqa: ASYNC251 - nothing of the loop runs meanwhile
        socket.emit("note", name, "after the pause")
        await connected.next()
        assert socket.id != first
        assert await socket.emit_with_ack("notes", name) == ["after the pause"]
