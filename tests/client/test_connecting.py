"""The first connection: what may be in its way, and what awaiting it means."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import telex
from telex import ConnectError
from telex.options import TransportName
from tests.client.counterparts import (
    BRISK,
    TRANSPORTS,
    Clients,
    Counterpart,
    Scene,
    engine_of,
    new_name,
    transport_of,
    upgraded,
)
from tests.client.ports import refusing_port, silent_port
from tests.features.scripts import Calls

every_transport = pytest.mark.parametrize("transport", ["polling", "websocket"])
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])

WORDS = {"polling": "xhr poll error", "websocket": "websocket error"}


class TestNobodyThere:
    @every_transport
    async def test_the_first_failure_is_raised(
        self, clients: Clients, transport: TransportName
    ) -> None:
        """Unless reconnection is asked for, awaiting ends there and nothing goes on."""
        with refusing_port() as port:
            socket = clients.keep(
                telex.connect(f"http://127.0.0.1:{port}", transports=(transport,), force_new=True)
            )
            failed, attempts = Calls(), Calls()
            socket.on("connect_error", failed)
            socket.io.on("reconnect_attempt", attempts)
            with pytest.raises(ConnectError) as raised:
                await socket
            assert raised.value.message == WORDS[transport]
            assert str(port) in str(raised.value.description)
            assert failed.all == [(raised.value,)]
            assert not socket.active
            assert attempts.all == []

    @every_transport
    async def test_attempts_that_are_asked_for(
        self, clients: Clients, transport: TransportName
    ) -> None:
        """Awaiting waits through them; the events of manager and socket tell of each."""
        with refusing_port() as port:
            socket = clients.keep(
                telex.connect(
                    f"http://127.0.0.1:{port}",
                    transports=(transport,),
                    force_new=True,
                    reconnection_attempts=2,
                    **BRISK,
                )
            )
            log: list[tuple[Any, ...]] = []

            def listen(target: Any, event: str, name: str) -> None:
                def heard(*args: object) -> None:
                    numbers = [arg for arg in args if isinstance(arg, int)]
                    log.append((name, *numbers))

                target.on(event, heard)

            for event in (
                *("error", "reconnect_attempt", "reconnect_error", "reconnect_failed"),
                *("reconnect", "open"),
            ):
                listen(socket.io, event, f"manager {event}")
            for event in ("connect_error", "reconnect_attempt", "reconnecting", "reconnect_failed"):
                listen(socket, event, event)
            with pytest.raises(ConnectError) as raised:
                await socket
            assert raised.value.message == WORDS[transport]
            managers = [line for line in log if line[0].startswith("manager")]
            assert managers == [
                ("manager error",),
                ("manager reconnect_attempt", 1),
                ("manager error",),
                ("manager reconnect_error",),
                ("manager reconnect_attempt", 2),
                ("manager error",),
                ("manager reconnect_failed",),
                ("manager reconnect_error",),
            ]
            sockets = [line for line in log if not line[0].startswith("manager")]
            assert sockets.count(("connect_error",)) == 3
            for number in (1, 2):
                assert ("reconnect_attempt", number) in sockets
                assert ("reconnecting", number) in sockets
            assert sockets.count(("reconnect_failed",)) == 1
            assert not socket.active

    async def test_no_attempts_with_reconnection_off(self, clients: Clients) -> None:
        with refusing_port() as port:
            manager = telex.Manager(f"http://127.0.0.1:{port}", reconnection=False)
            socket = clients.keep(manager.socket("/"))
            failed, attempts = Calls(), Calls()
            socket.on("connect_error", failed)
            manager.on("reconnect_attempt", attempts)
            await failed.next()
            await asyncio.sleep(0.05)
            assert attempts.all == []
            assert len(failed.all) == 1

    async def test_never_awaited_it_goes_on_for_ever(self, clients: Clients) -> None:
        with refusing_port() as port:
            options: Any = {"reconnection_delay": 0.005, "reconnection_delay_max": 0.01}
            socket = clients.keep(
                telex.connect(f"http://127.0.0.1:{port}", force_new=True, **options)
            )
            attempts = Calls()
            socket.io.on("reconnect_attempt", attempts)
            for number in range(1, 8):
                assert await attempts.next() == (number,)
            assert socket.active
            assert not socket.connected

    async def test_delays_grow(self, clients: Clients) -> None:
        """The delay doubles from attempt to attempt, up to the largest."""
        loop = asyncio.get_running_loop()
        with refusing_port() as port:
            socket = clients.keep(
                telex.connect(
                    f"http://127.0.0.1:{port}",
                    force_new=True,
                    reconnection_attempts=4,
                    reconnection_delay=0.02,
                    reconnection_delay_max=0.05,
                    randomization_factor=0,
                )
            )
            failures: list[float] = []
            waited: list[float] = []

            def failed(_: ConnectError) -> None:
                failures.append(loop.time())

            def tried(_: int) -> None:
                waited.append(loop.time() - failures[-1])

            # Both are heard when they happen: the wait lies between them.
            socket.io.on("error", failed)
            socket.io.on("reconnect_attempt", tried)
            with pytest.raises(ConnectError):
                await socket
            resolution = 0.002
            for least, delay in zip((0.02, 0.04, 0.05, 0.05), waited, strict=True):
                assert delay >= least - resolution

    @every_transport
    async def test_a_server_that_never_answers(
        self, clients: Clients, transport: TransportName
    ) -> None:
        with silent_port() as port:
            socket = clients.keep(
                telex.connect(
                    f"http://127.0.0.1:{port}",
                    transports=(transport,),
                    force_new=True,
                    timeout=0.05,
                )
            )
            with pytest.raises(ConnectError) as raised:
                await socket
            assert raised.value.message == "timeout"

    async def test_requests_have_a_time_limit_of_their_own(self, clients: Clients) -> None:
        with silent_port() as port:
            socket = clients.keep(
                telex.connect(
                    f"http://127.0.0.1:{port}", force_new=True, timeout=None, request_timeout=0.05
                )
            )
            with pytest.raises(ConnectError) as raised:
                await socket
            assert raised.value.message == "xhr poll error"

    async def test_leaving_before_it_is_open(self, clients: Clients) -> None:
        """No error, and nobody waits for ever."""
        with silent_port() as port:
            socket = clients.keep(telex.connect(f"http://127.0.0.1:{port}", force_new=True))
            failed, gone = Calls(), Calls()
            socket.on("connect_error", failed).on("disconnect", gone)
            await asyncio.sleep(0.02)
            await socket.disconnect()
            assert failed.all == []
            assert gone.all == []
            assert not socket.active

    async def test_nobody_waits_for_a_socket_that_is_left(self, clients: Clients) -> None:
        with silent_port() as port:
            socket = clients.keep(telex.connect(f"http://127.0.0.1:{port}", force_new=True))
            waiting = asyncio.ensure_future(_wait_for(socket))
            await asyncio.sleep(0.02)
            await socket.disconnect()
            with pytest.raises((ConnectError, telex.Disconnected)):
                await waiting

    async def test_no_transport_at_all(self, clients: Clients) -> None:
        socket = clients.keep(
            telex.connect("http://127.0.0.1:1", transports=(), force_new=True, reconnection=False)
        )
        with pytest.raises(ConnectError) as raised:
            await socket
        assert raised.value.message == "No transports available"


async def _wait_for(socket: telex.ClientSocket) -> None:
    await socket


class TestTheServerSaysNo:
    @telex_and_node
    @every_transport
    async def test_a_request_that_is_refused(self, scene: Scene) -> None:
        """The status and the body of the answer are told, and it is tried again."""
        socket = scene.make(site="refusing", **BRISK)
        failed = Calls()
        socket.on("connect_error", failed)
        errors: list[Any] = [(await failed.next())[0] for _ in range(3)]
        for error in errors:
            assert error.message == WORDS[scene.transport]
            assert "403" in str(error.description) or "400" in str(error.description)
        if scene.transport == "polling":
            assert errors[0].description == 403
            assert "not with this token" in str(errors[0].context)
        assert socket.active

    @telex_and_node
    @every_transport
    async def test_a_header_opens_the_door(self, scene: Scene) -> None:
        await scene.connect(site="refusing", headers={"X-Token": "let me in"})

    @telex_and_node
    async def test_a_path_where_nothing_is(self, clients: Clients, server: Counterpart) -> None:
        socket = clients.make(server, path="/nothing/here")
        with pytest.raises(ConnectError) as raised:
            await socket
        assert raised.value.message == "xhr poll error"
        assert raised.value.description == 404
        assert "nothing here" in str(raised.value.context)

    @pytest.mark.parametrize("kind", ["socket.io-3", "socket.io-4", "telex"])
    @every_transport
    async def test_a_client_for_old_servers(self, scene: Scene) -> None:
        """Node's servers do not take clients of 2 unless told to; telex does."""
        mute = (scene.server.kind, scene.transport) == ("socket.io-3", "websocket")
        socket = scene.make(protocol=4, timeout=0.5 if mute else 20.0)
        if scene.server.kind == "telex":
            assert await (await socket).emit_with_ack("answer", b"bytes", 1) == (b"bytes", 1)
            return
        with pytest.raises(ConnectError) as raised:
            await socket
        if scene.transport == "polling":
            assert raised.value.description == 400
            assert "Unsupported protocol version" in str(raised.value.context)


class TestTransports:
    @telex_and_node
    async def test_the_order_is_the_callers(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server, transports=("websocket", "polling"))
        assert transport_of(socket) == "websocket"

    @telex_and_node
    async def test_polling_first_then_websocket(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server)
        upgrades = Calls()
        engine_of(socket).on("upgrade", upgrades)
        assert transport_of(socket) == "polling"
        await socket
        await upgraded(socket)
        assert len(upgrades.all) == 1

    @telex_and_node
    @pytest.mark.parametrize(
        ("site", "options"),
        [("no upgrades", {}), ("polling only", {}), ("main", {"upgrade": False})],
        ids=["no upgrades", "polling only", "upgrade off"],
    )
    async def test_staying_with_polling(
        self, clients: Clients, server: Counterpart, site: str, options: dict[str, Any]
    ) -> None:
        socket = await clients.connect(server, site=site, **options)
        for number in range(5):
            assert await socket.emit_with_ack("answer", number) == number
        assert transport_of(socket) == "polling"
        who: Any = await socket.emit_with_ack("who")
        assert who["transport"] == "polling"

    @telex_and_node
    async def test_only_the_first_is_tried(self, clients: Clients, server: Counterpart) -> None:
        with pytest.raises(ConnectError) as raised:
            await clients.connect(server, site="websocket only")
        assert raised.value.message == "xhr poll error"

    @telex_and_node
    async def test_all_are_tried_if_asked_to(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server, site="websocket only", try_all_transports=True)
        assert transport_of(socket) == "websocket"
        assert await socket.emit_with_ack("answer", 1) == 1

    @telex_and_node
    async def test_all_are_tried_and_none_works(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """The last one tells why."""
        with pytest.raises(ConnectError) as raised:
            await clients.connect(
                server,
                site="polling only",
                transports=("websocket",),
                try_all_transports=True,
            )
        assert raised.value.message == "websocket error"

    @telex_and_node
    async def test_an_upgrade_that_worked_is_remembered(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """The next connection begins with a WebSocket."""
        visit = new_name()
        socket = await clients.connect(server, remember_upgrade=True, query={"visit": visit})
        await upgraded(socket)
        await socket.disconnect()
        await socket.connect()
        requests: list[Any] = await socket.emit_with_ack("requests", visit)
        firsts = [request["transport"] for request in requests if request["first"]]
        assert firsts == ["polling", "websocket"]

    @telex_and_node
    async def test_an_upgrade_on_a_connection_that_leaves(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """Whatever the moment, the socket leaves and nothing is left."""
        for moment in range(10):
            socket = await clients.connect(server)
            await asyncio.sleep(moment * 0.002)
            gone = Calls()
            socket.on("disconnect", gone)
            await socket.disconnect()
            assert [args[0] for args in gone.all] == ["io client disconnect"]


class TestAwaiting:
    @telex_and_node
    async def test_the_context_closes_what_it_opened(self, server: Counterpart) -> None:
        before = asyncio.all_tasks()
        async with telex.connect(server.url(), force_new=True) as socket:
            identity = socket.id
            assert await socket.emit_with_ack("answer", 1) == 1
        assert (socket.connected, socket.id) == (False, None)
        assert asyncio.all_tasks() == before
        async with telex.connect(server.url(), force_new=True) as other:
            fate = await other.emit_with_ack("fate of", identity)
            assert fate == "client namespace disconnect"

    @telex_and_node
    async def test_an_error_inside_goes_through(self, server: Counterpart) -> None:
        socket = telex.connect(server.url(), force_new=True)
        with pytest.raises(ZeroDivisionError):
            async with socket:
                _ = 1 / 0
        assert not socket.connected

    @telex_and_node
    async def test_it_can_be_awaited_again_and_by_many(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server)
        await asyncio.gather(*(_wait_for(socket) for _ in range(5)))
        await socket
        assert socket.connected

    @telex_and_node
    async def test_who_gives_up_waiting_harms_nothing(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server, "/slow")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await socket
        await socket
        assert socket.connected
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await socket.emit_with_ack("keep silent")
        assert await socket.emit_with_ack("answer", 1) == 1

    @telex_and_node
    async def test_connecting_by_hand(self, clients: Clients, server: Counterpart) -> None:
        socket = clients.make(server, auto_connect=False)
        connected = Calls()
        socket.on("connect", connected)
        await asyncio.sleep(0.05)
        assert not socket.active
        assert not socket.connected
        socket.connect()
        await connected.next()
        assert socket.connected

    @telex_and_node
    async def test_a_manager_by_hand(self, clients: Clients, server: Counterpart) -> None:
        manager = clients.manager(server, auto_connect=False)
        socket = manager.socket("/")
        opened = Calls()
        manager.on("open", opened)
        await asyncio.sleep(0.05)
        assert opened.all == []
        await manager.open()
        assert opened.all == [()]
        await socket.connect()
        assert socket.connected

    def test_without_a_running_loop(self) -> None:
        with pytest.raises(Exception, match=r"telex\.sync"):
            telex.connect("http://127.0.0.1:1")


class TestOldServers:
    @pytest.mark.parametrize("transport", list(TRANSPORTS))
    async def test_a_server_of_2_explains_itself(
        self, clients: Clients, counterparts: Any, transport: Any
    ) -> None:
        """A client of today is told what to do; JavaScript's that they are not compatible."""
        server = counterparts["socket.io-2"]
        socket = clients.make(server, protocol=5, transports=TRANSPORTS[transport])
        with pytest.raises(ConnectError) as raised:
            await socket
        error = raised.value
        if transport == "websocket":  # over polling not even the payload can be read
            assert "v2.x" in error.message
            assert not socket.active
        assert "protocol=4" in f"{error.message} {error.description}"
