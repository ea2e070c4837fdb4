"""What is emitted while there is no connection, and answers that do not come."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

import telex
from telex import AckTimeout, Disconnected
from tests.client.counterparts import BRISK, Clients, Counterpart, Scene, new_name
from tests.client.ports import refusing_port
from tests.features.scripts import Calls

modern = pytest.mark.parametrize("kind", ["socket.io-3", "socket.io-4", "telex"])
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
every_transport = pytest.mark.parametrize("transport", ["polling", "websocket", "upgrade"])


class TestBuffering:
    @pytest.mark.parametrize("kind", ["socket.io-2", "socket.io-3", "socket.io-4", "telex"])
    @every_transport
    async def test_events_wait_for_the_connection(self, scene: Scene) -> None:
        socket = scene.make()
        name = new_name()
        for number in range(20):
            socket.emit("note", name, number)
        socket.emit("note", name, [b"binary", {"a": b"data"}])
        assert await socket.emit_with_ack("notes", name) == [
            *range(20),
            [b"binary", {"a": b"data"}],
        ]

    @telex_and_node
    async def test_they_come_before_those_of_the_handler_of_connect(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server)
        name = new_name()
        socket.emit("note", name, "before")
        connected = Calls()
        socket.on("connect", lambda: socket.emit("note", name, "in connect"))
        socket.on("connect", connected)
        await connected.next()
        assert await socket.emit_with_ack("notes", name) == ["before", "in connect"]

    @telex_and_node
    async def test_a_socket_that_has_left_keeps_them_for_its_return(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        name = new_name()
        await socket.disconnect()
        socket.emit("note", name, "while away")
        await socket.connect()
        assert await socket.emit_with_ack("notes", name) == ["while away"]

    @pytest.mark.parametrize("kind", ["telex"])
    @every_transport
    async def test_what_was_emitted_before_leaving_arrives(self, scene: Scene) -> None:
        """Whatever the connection is about to do: open, upgrade, send something else.

        Node's servers handle events a tick late, and drop them if the socket has left by then.
        """
        ana, bert = await scene.connect(), await scene.connect()
        told = Calls()
        ana.on("told", told)
        for moment in (0, 0.001, 0.005, 0.02):
            for number in range(10):
                bert.emit("tell", [ana.id], moment, number)
            await bert.disconnect()
            assert [await told.next() for _ in range(10)] == [(moment, n) for n in range(10)]
            await bert.connect()
            await asyncio.sleep(moment)

    @telex_and_node
    async def test_what_cannot_be_sent_is_refused_at_once(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """Offline as online: the caller hears of it, and nothing else is held up."""
        socket = clients.make(server)
        circular: list[Any] = []
        circular.append(circular)
        for value in (object(), circular, {1, 2}):
            with pytest.raises((telex.EncodeError, TypeError, ValueError)):
                socket.emit("echo", value)
        await socket
        with pytest.raises((telex.EncodeError, TypeError, ValueError)):
            socket.emit("echo", object())
        assert await socket.emit_with_ack("answer", 1) == 1

    @telex_and_node
    async def test_reserved_names(self, clients: Clients, server: Counterpart) -> None:
        socket = clients.make(server)
        for name in ("connect", "connect_error", "disconnect", "disconnecting"):
            with pytest.raises(ValueError, match=name):
                socket.emit(name)


class TestVolatile:
    @telex_and_node
    @every_transport
    async def test_dropped_while_there_is_no_connection(self, scene: Scene) -> None:
        socket = scene.make()
        name = new_name()
        socket.volatile.emit("note", name, "before")
        socket.emit("note", name, "kept")
        await socket
        assert await socket.emit_with_ack("notes", name) == ["kept"]

    @telex_and_node
    @pytest.mark.parametrize("transport", ["polling", "websocket"])
    async def test_sent_when_the_transport_is_ready(self, scene: Scene) -> None:
        socket = await scene.connect()
        name = new_name()
        for number in range(3):
            socket.volatile.emit("note", name, number)
            # An answer has come: everything before has been written.
            await socket.emit_with_ack("answer")
        assert await socket.emit_with_ack("notes", name) == [0, 1, 2]

    @telex_and_node
    async def test_dropped_while_a_request_is_on_its_way(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """Over polling only one request goes at a time; a second one would wait."""
        socket = await clients.connect(server, transports=("polling",))
        name = new_name()
        await socket.emit_with_ack("answer")
        socket.emit("note", name, "first")
        await asyncio.sleep(0)
        socket.volatile.emit("note", name, "too soon")
        assert await socket.emit_with_ack("notes", name) == ["first"]

    @telex_and_node
    async def test_the_flag_is_for_one_event(self, clients: Clients, server: Counterpart) -> None:
        socket = clients.make(server)
        name = new_name()
        volatile = socket.volatile
        volatile.emit("note", name, "dropped")
        socket.emit("note", name, "kept")
        await socket
        assert await socket.emit_with_ack("notes", name) == ["kept"]


class TestTimeouts:
    @modern
    async def test_no_answer_in_time(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("keep silent", timeout=0.02)
        with pytest.raises(TimeoutError):
            await socket.timeout(0.02).emit_with_ack("keep silent")
        called = Calls()
        socket.timeout(0.02).emit("keep silent", ack=called)
        (error,) = await called.next()
        assert isinstance(error, AckTimeout)

    @modern
    async def test_an_answer_in_time(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server)
        called = Calls()
        socket.timeout(30).emit("answer", 1, b"two", ack=called)
        assert await called.next() == (None, 1, b"two")
        socket.timeout(30).emit("answer", ack=called)
        assert await called.next() == (None,)
        assert await socket.timeout(30).emit_with_ack("answer", 1, 2) == (1, 2)

    @modern
    async def test_the_time_limit_of_the_socket(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """`ack_timeout` holds for every event that says nothing else."""
        socket = await clients.connect(server, ack_timeout=0.03)
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("keep silent")
        called = Calls()
        socket.emit("keep silent", ack=called)
        (error,) = await called.next()
        assert isinstance(error, AckTimeout)
        assert await socket.emit_with_ack("answer later", 60, "late", timeout=30) == "late"
        socket.timeout(30).emit("answer", "in time", ack=called)
        assert await called.next() == (None, "in time")

    @modern
    async def test_late_and_double_answers_are_ignored(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        called = Calls()
        socket.timeout(0.02).emit("answer later", 300, "late", ack=called)
        assert len(await called.next()) == 1
        await socket.emit_with_ack("answer later", 350)
        assert len(called.all) == 1
        socket.emit("answer twice", ack=called)
        assert await called.next() == ("once",)
        await socket.emit_with_ack("answer")
        assert len(called.all) == 2

    async def test_a_timeout_while_offline_takes_the_event_back(
        self, clients: Clients, counterparts: Any
    ) -> None:
        """What timed out before it was sent is never sent."""
        server = counterparts["telex"]
        socket = clients.make(server, auto_connect=False)
        name = new_name()
        with pytest.raises(AckTimeout):
            await socket.emit_with_ack("stubborn", name, 1, "given up", timeout=0.01)
        called = Calls()
        socket.timeout(0.01).emit("stubborn", name, 1, "given up", ack=called)
        assert isinstance((await called.next())[0], AckTimeout)
        waiting = asyncio.ensure_future(socket.emit_with_ack("stubborn", name, 1, "kept"))
        await asyncio.sleep(0)
        await socket.connect()
        assert await waiting == "kept"
        assert await socket.emit_with_ack("notes", name) == ["kept"]

    async def test_a_timeout_without_a_server(self, clients: Clients) -> None:
        with refusing_port() as port:
            socket = clients.keep(
                telex.connect(f"http://127.0.0.1:{port}", force_new=True, **BRISK)
            )
            with pytest.raises(AckTimeout):
                await socket.emit_with_ack("anything", timeout=0.05)


class TestAnswersThatCannotCome:
    """The connection goes while they are awaited."""

    @modern
    @pytest.mark.parametrize("event", ["close the transport", "throw me out"])
    async def test_they_fail(self, clients: Clients, server: Counterpart, event: str) -> None:
        socket = await clients.connect(server, reconnection=False)
        with_error, without = Calls(), Calls()
        socket.timeout(60).emit("keep silent", ack=with_error)
        socket.emit("keep silent", ack=without)
        waiting = [
            asyncio.ensure_future(socket.emit_with_ack("keep silent")),
            asyncio.ensure_future(socket.emit_with_ack("keep silent", timeout=60)),
        ]
        await asyncio.sleep(0)
        socket.emit(event)
        for asked in waiting:
            with pytest.raises(Disconnected):
                await asked
        (error,) = await with_error.next()
        assert isinstance(error, Disconnected)
        assert without.all == []

    @telex_and_node
    async def test_what_was_not_sent_yet_is_not_lost(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(server)
        await socket.disconnect()
        waiting = asyncio.ensure_future(socket.emit_with_ack("answer", "kept"))
        called = Calls()
        socket.timeout(60).emit("answer", "kept, too", ack=called)
        await asyncio.sleep(0.02)
        assert not waiting.done()
        await socket.connect()
        assert await waiting == "kept"
        assert await called.next() == (None, "kept, too")

    @telex_and_node
    async def test_our_own_answer_after_the_connection(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """It belongs to a connection that is no more: it is dropped, and harms nobody."""
        socket = await clients.connect(server, reconnection=True, **BRISK)
        started, goes_on = asyncio.Event(), asyncio.Event()
        reconnected, failed = Calls(), Calls()
        socket.io.on("reconnect", reconnected)
        socket.on("error", failed)

        @socket.on("question")
        async def question() -> str:
            started.set()
            await goes_on.wait()
            return "too late"

        socket.emit("ask")
        await started.wait()
        socket.emit("close the transport")
        await reconnected.next()
        goes_on.set()
        assert await socket.emit_with_ack("answer", 1) == 1
        assert failed.all == []


class TestRetries:
    @modern
    async def test_events_go_one_after_another(self, clients: Clients, server: Counterpart) -> None:
        """Each is repeated until it is answered; the next waits for that."""
        socket = await clients.connect(server, retries=50, ack_timeout=0.05)
        name = new_name()
        answers = Calls()
        socket.emit("stubborn", name, 3, "first", ack=answers)
        socket.emit("stubborn", name, 1, "second", ack=answers)
        socket.emit("stubborn", name, 2, "third", ack=answers)
        assert [await answers.next() for _ in range(3)] == [
            (None, "first"),
            (None, "second"),
            (None, "third"),
        ]
        notes: Any = await socket.emit_with_ack("notes", name)
        # A slow answer is asked for once more: each comes often enough, none out of turn.
        assert sorted(notes, key=["first", "second", "third"].index) == notes
        assert notes.count("first") >= 3
        assert notes.count("third") >= 2

    @modern
    async def test_giving_up(self, clients: Clients, server: Counterpart) -> None:
        """After as many retries, with the error; the next has its turn."""
        socket = await clients.connect(server, retries=2, ack_timeout=0.2)
        name = new_name()
        answers = Calls()
        socket.emit("stubborn", name, 100, "in vain", ack=answers)
        socket.emit("stubborn", name, 1, "next", ack=answers)
        (error,) = await answers.next()
        assert isinstance(error, AckTimeout)
        assert await answers.next() == (None, "next")
        notes: Any = await socket.emit_with_ack("notes", name)
        assert notes.count("in vain") == 3

    @modern
    async def test_awaiting(self, clients: Clients, server: Counterpart) -> None:
        socket = await clients.connect(server, retries=50, ack_timeout=0.05)
        name = new_name()
        first, second = await asyncio.gather(
            socket.emit_with_ack("stubborn", name, 2, "first"),
            socket.emit_with_ack("stubborn", name, 1, "second"),
        )
        assert (first, second) == ("first", "second")

    @modern
    async def test_offline_they_wait(self, clients: Clients, server: Counterpart) -> None:
        """Without a connection no try is lost."""
        socket = clients.make(server, auto_connect=False, retries=1, ack_timeout=10)
        name = new_name()
        answers = Calls()
        for number in range(5):
            socket.emit("stubborn", name, 1, number, ack=answers)
        await asyncio.sleep(0.05)
        assert answers.all == []
        await socket.connect()
        assert [await answers.next() for _ in range(5)] == [(None, n) for n in range(5)]
        assert await socket.emit_with_ack("notes", name) == list(range(5))

    @modern
    async def test_not_twice_from_the_handler_of_connect(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = clients.make(server, auto_connect=False, retries=3, ack_timeout=10)
        name = new_name()
        answers = Calls()

        def connected() -> None:
            socket.emit("stubborn", name, 1, "once", ack=answers)

        socket.on("connect", connected)
        await socket.connect()
        await answers.next()
        assert await socket.emit_with_ack("notes", name) == ["once"]

    @modern
    async def test_a_lost_connection_is_another_try(
        self, clients: Clients, server: Counterpart
    ) -> None:
        socket = await clients.connect(
            server,
            transports=("websocket",),
            retries=5,
            ack_timeout=10,
            reconnection=True,
            **BRISK,
        )
        name = new_name()
        answers = Calls()
        socket.emit("stubborn", name, 2, "again", ack=answers)
        socket.emit("stubborn", name, 1, "next", ack=answers)
        helper = await clients.connect(server)
        async with asyncio.timeout(10):
            while await helper.emit_with_ack("notes", name) != ["again"]:
                await asyncio.sleep(0.01)
        # Past the queue: the first event still waits for its answer.
        socket.volatile.emit("close the transport")
        assert await answers.next() == (None, "again")
        assert await answers.next() == (None, "next")
        assert await helper.emit_with_ack("notes", name) == ["again", "again", "next"]

    @modern
    async def test_events_without_an_answer_wanted(
        self, clients: Clients, server: Counterpart
    ) -> None:
        """They are delivered for sure, too."""
        socket = await clients.connect(server, retries=50, ack_timeout=0.05)
        name = new_name()
        for number in range(3):
            socket.emit("stubborn", name, 2, number)
        assert await socket.emit_with_ack("answer", "done") == "done"
        notes: Any = await socket.emit_with_ack("notes", name)
        assert notes == sorted(notes)
        assert {n for n in notes if notes.count(n) >= 2} == {0, 1, 2}
