"""Handlers that do what nobody expects while sockets are being served."""

from __future__ import annotations

import asyncio
import gc
import socket as sockets
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest

from telex.engine.packet import message
from telex.engine.session import Session
from telex.events.handlers import Handler
from telex.fronts.websocket.native import NativeWebSocket
from telex.native import _telex
from telex.server.socket import Socket
from telex.types import Request
from telex.wire import EncodedPacket
from tests.native.scenes import Client, Server, frames_in, logged, said
from tests.support.raw import CLOSE, TEXT, frame


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:

        @server.root.event
        def echo(socket: Socket, value: Any) -> Any:
            return value

        yield server


@pytest.fixture
def four(server: Server) -> list[Client]:
    return [server.client() for _ in range(4)]


def write_all(clients: list[Client], *messages: str) -> None:
    """All are ready in the same turn."""
    for client in clients:
        client.write(said(*messages))


class TestEnds:
    """Ends of one's own socket and of others', which have been read but not been handled."""

    @pytest.mark.parametrize(
        "how", ["disconnect", "close", "end", "hang up", "everybody", "sockets"]
    )
    @pytest.mark.parametrize("who", range(4))
    def test_in_the_midst_of_a_turn(
        self, server: Server, four: list[Client], how: str, who: int
    ) -> None:
        heard: list[int] = []
        numbers = {client.socket.id: number for number, client in enumerate(four)}

        @server.root.event
        def end(socket: Socket) -> str:
            number = numbers[socket.id]
            heard.append(number)
            if number != who:
                return "spared"
            for client in four:
                ends: dict[str, Callable[[], object]] = {
                    "disconnect": client.session.close,
                    "close": lambda: server.root.disconnect_sockets(close=True),
                    "end": partial(client.session.end, "forced close"),
                    "hang up": client.websocket.hang_up,
                    "everybody": server.core.close_connections,
                    "sockets": server.root.disconnect_sockets,
                }
                ends[how]()
            return "ended"

        write_all(four, '421["echo",1]', '422["end"]', '423["echo",3]')
        server.settle()
        assert heard == list(range(who + 1))
        for number, client in enumerate(four):
            packets = frames_in(client.sent())
            answers = [packet.payload for packet in packets if packet.payload.startswith(b"43")]
            if number < who:
                assert answers in ([b"431[1]", b'432["spared"]', b"433[3]"], [])
            else:
                assert answers in ([b"431[1]"], [])
            opcodes = [packet.opcode for packet in packets]
            assert CLOSE not in opcodes[:-1], "nothing is said behind a close frame"
            assert len(client.reasons) == (how != "sockets" or number >= who)

    def test_of_a_client_that_was_heard_before(self, server: Server, four: list[Client]) -> None:
        """What it was answered in this turn is not lost."""

        @server.root.event
        def cut(socket: Socket) -> None:
            four[0].session.close()

        four[0].write(said('421["echo",1]'))
        four[1].write(said('42["cut"]'))
        server.settle()
        answer, close = frames_in(four[0].sent())
        assert (answer.payload, close.opcode) == (b"431[1]", CLOSE)

    def test_of_the_descriptor_a_newcomer_gets(self, server: Server, four: list[Client]) -> None:
        """What was read for the old connection is not the new one's."""
        newcomers: list[Client] = []

        @server.root.event
        def replace(socket: Socket) -> None:
            four[1].websocket.hang_up()
            newcomers.append(server.client(joined=False))

        four[0].write(said('42["replace"]'))
        four[1].write(said('421["echo",1]'))
        server.settle()
        assert four[1].sent() == b""
        assert four[1].reasons == ["transport close"]
        (newcomer,) = newcomers
        newcomer.join()
        newcomer.say('422["echo",2]')
        assert newcomer.heard() == ["432[2]"]

    def test_pausing_others(self, server: Server, four: list[Client]) -> None:
        """What has been read is handled; nothing more is read."""

        @server.root.event
        def pause(socket: Socket) -> None:
            for client in four[1:]:
                client.session.pause()

        four[0].write(said('42["pause"]'))
        write_all(four[1:], '421["echo",1]')
        server.settle()
        write_all(four[1:], '422["echo",2]')
        server.settle()
        assert [client.heard() for client in four[1:]] == [["431[1]"]] * 3
        for client in four[1:]:
            client.session.resume()
        server.settle()
        assert [client.heard() for client in four[1:]] == [["432[2]"]] * 3

    def test_clients_that_leave_without_a_word(self, server: Server, four: list[Client]) -> None:
        """Ready for more than reading: they are read by themselves, behind what others sent."""
        texts = [f'42{number}["echo","{"x" * 12_000}"]' for number in range(4)]
        heard: list[int] = []

        @server.root.event
        def count(socket: Socket, value: str) -> None:
            heard.append(len(value))

        for client in four[:3]:
            client.write(said(*texts))
        four[3].write(said(*['42["count","' + "y" * 60_000 + '"]'] * 2))
        four[3].raw.close()
        server.settle(30)
        assert heard == [60_000] * 2
        assert four[3].reasons == ["transport close"]
        for client in four[:3]:
            assert len(client.heard()) == 4


class TestErrors:
    @pytest.mark.parametrize("how", ["raise", "await", "raise now"])
    @pytest.mark.parametrize("error", [KeyboardInterrupt, SystemExit, asyncio.CancelledError])
    def test_what_is_no_exception(
        self, server: Server, four: list[Client], how: str, error: type[BaseException]
    ) -> None:
        """It ends the turn at most: what else has been read in it is handled, and answered."""

        async def fail_later() -> None:
            if how == "await":
                await asyncio.sleep(0)
            raise error

        def fail(socket: Socket) -> Any:
            if how == "raise":
                raise error
            return fail_later()

        server.root.event("fail")(fail)
        for client in four:
            client.write(said('421["echo",1]', '422["fail"]', '423["echo",3]'))
        interrupted = 0
        with logged():
            for _ in range(30):
                try:
                    server.settle(1)
                except KeyboardInterrupt:
                    interrupted += 1
            write_all(four, '424["echo",4]')
            for _ in range(30):
                try:
                    server.settle(1)
                except KeyboardInterrupt:
                    interrupted += 1
        assert (interrupted > 0) is (error is KeyboardInterrupt)
        for client in four:
            heard = [str(message)[:3] for message in client.heard()]
            if error is KeyboardInterrupt:
                assert heard == ["431", "433", "434"] or how != "raise"
                assert heard[0] == "431"
            else:
                assert heard == ["431", "432", "433", "434"]
        server.failures.clear()

    def test_answers_are_nobody_elses_when_a_flush_is_interrupted(
        self, server: Server, four: list[Client]
    ) -> None:
        class Interrupting(EncodedPacket):
            __slots__ = ()

            def frames(self) -> bytes:
                raise KeyboardInterrupt

        @server.root.event
        def interrupt(socket: Socket) -> None:
            four[0].session.send(Interrupting(b"4"))

        large = '42{}["echo","' + "x" * 20_000 + '"]'
        four[0].write(said(large.format(1), '42["interrupt"]'))
        four[1].write(said('42222["echo","secret"]'))
        with pytest.raises(KeyboardInterrupt):
            server.poll()
        server.settle()
        four[0].say('423["echo",3]')
        heard = [message[:20] for message in four[0].heard()]
        assert heard == ['431["xxxxxxxxxxxxxxx', "433[3]"]
        assert four[1].heard() == ['43222["secret"]']

    def test_a_log_that_fails_closes_the_connection(
        self, server: Server, four: list[Client], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(socket: Socket) -> None:
            raise ValueError("private")

        def broken(*_: object) -> None:
            raise OSError("disk full")

        server.root.event("fail")(fail)
        monkeypatch.setattr(four[0].socket.dispatch.__class__, "_failed", broken)
        with logged() as log:
            write_all(four, '421["echo",1]', '42["fail"]')
            server.settle()
        for client in four:
            *answers, close = frames_in(client.sent())
            assert [answer.payload for answer in answers] in ([b"431[1]"], [])
            assert close.payload == b"\x03\xf3"
        assert len(log) == 4

    def test_a_cork_that_cannot_wake(self, server: Server, four: list[Client]) -> None:
        calls: list[str] = []

        def wake() -> None:
            calls.append("wake")
            raise OSError("no loop")

        four[0].session._cork = _telex.Cork(wake)
        with pytest.raises(OSError, match="no loop"):
            four[0].socket.emit("news")
        assert calls == ["wake"]


class TestLoops:
    def test_polling_within_a_handler_does_nothing(
        self, server: Server, four: list[Client]
    ) -> None:
        @server.root.event
        def poll(socket: Socket) -> str:
            server.watch.reactor.poll()
            return "polled"

        write_all(four, '421["poll"]', '422["echo",2]')
        server.settle()
        assert [client.heard() for client in four] == [['431["polled"]', "432[2]"]] * 4

    def test_a_client_asked_within_a_handler(self, server: Server, four: list[Client]) -> None:
        """Flushing by hand, oneself and others, in the midst of a turn."""

        @server.root.event
        def flush(socket: Socket) -> str:
            for client in four:
                client.session.flush()
                client.session.send(EncodedPacket(b'42["said"]'))
                client.session.flush()
            return "flushed"

        write_all(four, '421["echo",1]', '422["flush"]', '423["echo",3]')
        server.settle()
        for number, client in enumerate(four):
            heard = client.heard()
            assert [message for message in heard if message != '42["said"]'] == [
                "431[1]",
                '432["flushed"]',
                "433[3]",
            ]
            assert heard.count('42["said"]') == 4
            assert heard.index('42["said"]') == (1 if number == 0 else 0)

    def test_garbage_is_collected_within_a_handler(
        self, server: Server, four: list[Client]
    ) -> None:
        @server.root.event
        def collect(socket: Socket) -> int:
            four[3].websocket.hang_up()
            four[2].session.end("forced close")
            gc.collect()
            return 1

        write_all(four, '421["echo",1]', '422["collect"]', '423["echo",3]')
        server.settle()
        gc.collect()
        assert four[0].heard() == ["431[1]", "432[1]", "433[3]"]
        assert four[3].reasons == ["transport close"]

    def test_a_handler_that_replaces_itself(self, server: Server, four: list[Client]) -> None:
        def first(socket: Socket) -> str:
            def second(socket: Socket) -> str:
                server.root.registry.events.remove("turn")
                gc.collect()
                return "second"

            server.root.registry.events.remove("turn")
            server.root.event("turn")(second)
            gc.collect()
            return "first"

        server.root.event("turn")(first)
        del first
        four[0].say('421["turn"]', '422["turn"]', '423["turn"]', '424["echo",4]')
        assert four[0].heard() == ['431["first"]', '432["second"]', "434[4]"]


class TestUpgrade:
    def test_events_in_the_same_read(self, server: Server) -> None:
        """A probe and all that follows it come at once."""
        scope: dict[str, Any] = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/socket.io/",
            "query_string": b"EIO=4&transport=polling",
            "headers": [],
            "client": ("127.0.0.1", 1),
        }
        session, polling = server.core.engine.open_polling(Request(scope), "polling")
        session.receive("40")
        (socket,) = server.root.sockets.values()
        socket.emit("early", 1)
        said_before = [packet.text for packet in session.waiting]
        client = _over(server, session)
        client.say("2probe", "5", '421["echo",1]', '422["echo",2]')
        assert client.heard() == [
            "3probe",
            *[text.decode() for text in said_before if text is not None],
            "431[1]",
            "432[2]",
        ]
        assert session.transport is client.websocket
        assert polling.name == "polling"


def _over(server: Server, session: Session) -> Client:
    """A WebSocket to which a session may move."""
    client = Client.__new__(Client)
    client.server, client.session, client.reasons = server, session, []
    client.raw, other = sockets.socketpair()
    client.raw.setblocking(False)
    client.websocket = NativeWebSocket(server.driver, server.watch, b"")
    client.websocket.open(server.watch.reactor, other.detach(), b"", None, 1_000_000)
    server.watch.opened(client.websocket)
    client.websocket.start(session.start_probe(client.websocket), session)
    server.clients.append(client)
    return client


def test_several_that_are_behind(server: Server, four: list[Client]) -> None:
    """Each has its turn, and one that leaves meanwhile is no obstacle."""
    heard: dict[str, int] = {}

    @server.root.event
    def count(socket: Socket) -> None:
        heard[socket.id] = heard.get(socket.id, 0) + 1
        if heard[socket.id] == 300 and socket is leader:
            four[1].websocket.hang_up()

    leader = four[2].socket
    ids = [client.socket.id for client in four]
    write_all(four, *['42["count"]'] * 1000)
    server.watch.reactor.poll()
    assert heard == dict.fromkeys(ids, 256)
    server.watch.reactor.poll()
    most = [heard[one] for one in ids]
    assert most[0] == 512, "whoever has waited longest is the first"
    assert max(most) == 512, "the others may have to wait for another turn"
    server.settle()
    server.settle(20)
    assert [heard[one] for one in ids] == [1000, most[1], 1000, 1000]


class Meddling(EncodedPacket):
    """A packet that takes away what it lies in when its frames are made."""

    __slots__ = ("packets",)

    def __init__(self, text: bytes, packets: list[EncodedPacket]) -> None:
        super().__init__(text)
        self.packets = packets

    def frames(self) -> bytes:
        self.packets.clear()
        gc.collect()
        return super().frames()


def test_packets_that_vanish_while_they_are_sent(server: Server) -> None:
    client = server.client()
    client.heard()
    packets: list[EncodedPacket] = []
    packets += [EncodedPacket(b"4a"), Meddling(b"4b", packets), EncodedPacket(b"4c")]
    client.websocket.send(packets)
    assert client.heard() == ["4a", "4b"]


class Peers(type):
    """A class whose slots nobody knows before they are asked for."""

    def __getattribute__(cls, name: str) -> Any:
        if name == "deliver":
            for peers in EVERYBODY:
                peers.clear()
            gc.collect()
        return super().__getattribute__(name)


EVERYBODY: list[list[Any]] = []


class Plain:
    """The same, without surprises."""

    __slots__ = ("deliver",)


@pytest.mark.parametrize("count", [1, 20])
@pytest.mark.parametrize("before", [0, 3])
def test_peers_that_vanish_while_they_are_asked(count: int, before: int) -> None:
    """Before anything is borrowed of a class that is new to the compiled part, it is asked."""
    heard: list[Any] = []
    kind: Any = Peers("Peer", (), {"__slots__": ("deliver",)})
    peers: list[Any] = [*(Plain() for _ in range(before)), *(kind() for _ in range(count))]
    for peer in peers:
        peer.deliver = heard.append
    EVERYBODY.append(peers)
    try:
        vars(_telex)["deliver_all"](peers, message("x"))
    finally:
        EVERYBODY.clear()
    assert len(heard) == before + 1


class Generous(Handler):
    """A handler that makes many arguments out of few."""

    __slots__ = ()

    def fit(self, args: list[Any]) -> list[Any]:
        return super().fit(args) * 200


def test_a_handler_that_makes_more_of_its_arguments(server: Server) -> None:
    with logged() as lines:

        @server.root.event
        def generous(socket: Socket, number: int) -> int:
            return number

        (handler,) = server.root.registry.events.by_event["generous"]
        handler.__class__ = Generous
        client = server.client()
        client.say('421["generous",1]', '422["echo",2]')
        failed, echoed = client.heard()
    assert "HandlerError" in str(failed)
    assert echoed == "432[2]"
    assert [line for line in lines if "generous" in line and line.startswith("ERROR")]


def test_a_connection_that_is_not_open_sends_nothing(server: Server) -> None:
    fresh = NativeWebSocket(server.driver, server.watch, b"")
    fresh.send([EncodedPacket(b"4x")])
    fresh.feed(frame(TEXT, "4x"))
    fresh.pause()
    fresh.resume()
    assert fresh.unsent == 0
