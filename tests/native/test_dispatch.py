"""Which events are handled in C, which are only decoded there, and which are left to Python."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from telex import Ack, native
from telex.server.socket import Socket
from tests.native.scenes import Client, Server, said
from tests.support.calls import Calls, counted_calls
from tests.support.raw import TEXT, frame

COMPILED = native.core is not None
"""With `TELEX_PURE=1` nothing is compiled: then Python handles every event."""

LONG_NAME = "n" * 254

NAMESPACES = ("/chat", f"/{LONG_NAME}", "/ä")

ROAD = "server/connection.py:Connection.receive"
DECODED = "events/dispatch.py:Dispatch.take"
ENCODING = "parser/default.py:TextParser.encode"


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        root = server.root

        @root.event
        def echo(socket: Socket, value: Any = None) -> Any:
            return value

        @root.event
        def typed(socket: Socket, number: int, *more: str) -> str:
            return f"{number}{more}"

        @root.event
        async def later(socket: Socket) -> None:
            await asyncio.sleep(0)

        @root.event
        def fail(socket: Socket) -> None:
            raise ValueError("private")

        @root.event
        def acked(socket: Socket, ack: Ack) -> None:
            ack(1)

        @root.event(concurrent=True)
        def beside(socket: Socket) -> int:
            return 1

        @root.on("connection")
        def connection(socket: Socket) -> None:
            socket.on("own", lambda *args: args)
            socket.once("once", lambda: 1)
            socket.on("twice", lambda: 1)
            socket.on("twice", lambda: 2)

        for name in NAMESPACES:

            @server.core.of(name).event
            def where(socket: Socket) -> str:
                return socket.nsp.name

        yield server


@pytest.fixture
def client(server: Server) -> Client:
    client = server.client()
    client.say(*[f"40{name}," for name in NAMESPACES])
    client.sent()
    return client


def calls_of(client: Client, *messages: str | bytes) -> Calls:
    """What these messages call in telex, until their answers have left."""
    client.write(said(*messages))
    with counted_calls() as calls:
        client.server.poll()
    return calls


def is_handled(client: Client, *messages: str | bytes) -> bool:
    return not {ROAD, DECODED} & set(calls_of(client, *messages).names)


def is_decoded(client: Client, *messages: str | bytes) -> bool:
    """Whether C hands on what the text says, and does not do the rest."""
    names = calls_of(client, *messages).names
    return DECODED in names and ROAD not in names


EVENTS = {
    '42["echo",1]': None,
    '427["echo",1]': "437[1]",
    '42007["echo",{"a":[1,"é😀"]}]': '437[{"a":[1,"é😀"]}]',
    '421234567890123456["echo"]': "431234567890123456[]",
    '427[ "echo" , 1 ]': "437[1]",
    '427["own",1,2,3]': "437[1,2,3]",
    '427["own"]': "437[]",
    '427["echo","' + "x" * 70_000 + '"]': '437["' + "x" * 70_000 + '"]',
    '42/chat,["where"]': None,
    '42/chat,7["where"]': '43/chat,7["/chat"]',
    '42/chat,007["where"]': '43/chat,7["/chat"]',
    f'42/{LONG_NAME},7["where"]': f'43/{LONG_NAME},7["/{LONG_NAME}"]',
    '42/ä,7["where"]': '43/ä,7["/ä"]',
    '427["fail"]': '437[{"error":{"type":"HandlerError","message":"the handler failed"}}]',
    '427["typed",1,"a"]': "437[\"1('a',)\"]",
    '427["typed","x"]': '437[{"error":{"type":"ValidationError",'
    '"message":"number: Expected `int`, got `str`"}}]',
}

OTHER_HANDLERS = (
    '42["unknown",1]',
    '42["typed"]',
    '42["once"]',
    '42["twice"]',
    '42["acked"]',
    '42["beside"]',
    '42["own",' + ",".join("1" * 15) + "]",
    '42["twice","' + "x" * 200 + '"]',
)
OTHERS = (
    '4212345678901234567["echo"]',
    '42/,["echo"]',
    '42/other,["echo"]',
    '42/chat,12345678901234567["echo"]',
    '42["connect"]',
    "42[1,2]",
    '42["echo","' + "[" * 128 + '"]',
    '42["echo","\\ud800"]',
    '42["echo",1',
    '42{"echo":1}',
    "43[1]",
)


class TestTaken:
    @pytest.mark.parametrize("event", EVENTS)
    def test_usual_events(self, client: Client, event: str) -> None:
        calls = calls_of(client, event)
        assert (ROAD not in calls.names) is COMPILED, calls
        answer = EVENTS[event]
        assert client.heard() == ([] if answer is None else [answer])

    def test_without_a_call(self, client: Client) -> None:
        calls_of(client, '427["echo",1]')
        assert (len(calls_of(client, '427["echo",1]')) == 0) is COMPILED

    def test_what_a_coroutine_returns(self, client: Client) -> None:
        assert is_handled(client, '427["later"]') is COMPILED
        client.server.settle()
        assert client.heard() == ["437[]"]

    @pytest.mark.parametrize("revision", [3, 4])
    def test_in_both_revisions(self, server: Server, revision: int) -> None:
        client = server.client(revision, joined=revision == 4)
        client.sent()
        assert is_handled(client, '427["echo",1]') is COMPILED
        assert client.heard() == ["437[1]"]

    def test_in_fragments(self, client: Client) -> None:
        client.write(frame(TEXT, '427["ec', fin=False) + frame(0, 'ho",1]'))
        with counted_calls() as calls:
            client.server.poll()
        assert (ROAD not in calls.names) is COMPILED
        assert client.heard() == ["437[1]"]


class TestDecoded:
    @pytest.mark.parametrize("event", OTHER_HANDLERS)
    def test_of_unusual_handlers(self, client: Client, event: str) -> None:
        assert is_decoded(client, event) is COMPILED

    def test_behind_a_handler_that_is_running(self, client: Client) -> None:
        assert is_decoded(client, '42["later"]', '427["echo",1]', '428["own"]') is COMPILED
        client.server.settle()
        assert client.heard() == ["437[1]", "438[]"]
        assert is_handled(client, '42["echo"]') is COMPILED

    @pytest.mark.parametrize("name", ["x", "é", "😀"])
    def test_what_waits_has_the_same_weight(self, client: Client, name: str) -> None:
        """Characters count, whatever they take on the wire."""
        dispatch = client.socket.dispatch
        client.say('42["later"]', f'42["{name}"]')
        weight = dispatch.load[1]
        client.server.settle()
        client.say('42["later"]', '42["x"]')
        assert weight == dispatch.load[1]

    def test_when_all_is_shown_to_somebody(self, client: Client) -> None:
        seen: list[Any] = []

        def see(*args: Any) -> None:
            seen.append(args)

        client.socket.on_any(see)
        assert is_decoded(client, '42["echo",1]') is COMPILED
        client.server.settle()
        assert seen == [("echo", 1)]

    def test_with_a_packet_middleware(self, client: Client) -> None:
        def add(event: str, args: list[Any]) -> None:
            args.append("more")

        client.socket.use(add)
        assert is_decoded(client, '427["own",1]') is COMPILED
        client.server.settle()
        assert client.heard() == ['437[1,"more"]']


class TestNotTaken:
    @pytest.mark.parametrize("event", OTHERS)
    def test_unusual_events(self, client: Client, event: str) -> None:
        assert ROAD in calls_of(client, event).names

    def test_before_the_namespace_is_joined(self, server: Server) -> None:
        client = server.client(joined=False)
        assert not is_handled(client, '42["echo"]')

    def test_while_the_middleware_thinks(self, server: Server) -> None:
        decided = server.loop.create_future()

        async def wait(socket: Socket) -> None:
            await decided

        server.root.use(wait)
        client = server.client(joined=False)
        client.say("40")
        assert client.session.fast_dispatch is None
        decided.set_result(None)
        server.settle()
        assert is_handled(client, '42["echo"]') is COMPILED

    def test_while_attachments_are_missing(self, client: Client) -> None:
        first = '452-["echo",{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]'
        client.say(first)
        assert client.session.fast_dispatch is None
        client.say(b"a")
        assert client.session.fast_dispatch is None
        client.say(b"b")
        assert is_handled(client, '42["echo"]') is COMPILED
        assert is_handled(client, '42/chat,["where"]') is COMPILED

    def test_when_packets_are_observed(self, client: Client) -> None:
        seen: list[Any] = []
        client.socket.conn.on("packet", seen.append)
        assert not is_handled(client, '42["echo",1]')
        assert seen == [{"type": "message", "data": '2["echo",1]'}]

    def test_while_a_pong_is_awaited(self, client: Client) -> None:
        client.session.send_ping()
        assert not is_handled(client, '42["echo",1]')
        client.say("3")
        assert is_handled(client, '42["echo",1]') is COMPILED

    def test_when_the_socket_has_left(self, client: Client) -> None:
        socket = client.socket
        client.say("41")
        assert client.session.fast_dispatch is None
        assert socket.disconnected
        assert not is_handled(client, '42["echo",1]')

    def test_when_it_comes_again(self, client: Client) -> None:
        client.say("41", "40", "41/chat,", "40/chat,")
        assert is_handled(client, '42["echo",1]') is COMPILED
        assert is_handled(client, '42/chat,["where"]') is COMPILED

    def test_another_socket_that_leaves_changes_nothing(self, client: Client) -> None:
        client.say("41/chat,")
        assert is_handled(client, '42["echo",1]') is COMPILED
        assert is_handled(client, '42/ä,["where"]') is COMPILED
        assert not is_handled(client, '42/chat,["where"]')

    def test_with_another_parser(self) -> None:
        with Server(parser="msgpack") as server:
            client = server.client(joined=False)
            client.say(b"\x82\xa4type\x00\xa3nsp\xa1/")
            assert client.socket.connected
            assert client.session.fast_dispatch is None


class TestAnswersThatGoStraight:
    """Into the frame that leaves; the others are packets that wait for their turn."""

    def straight(self, client: Client, *messages: str) -> bool:
        return ENCODING not in calls_of(client, *messages).names

    def test_usual_answers(self, client: Client) -> None:
        assert self.straight(client, '427["echo",1]') is COMPILED

    def test_not_behind_what_waits(self, client: Client) -> None:
        socket = client.socket

        @socket.on("say")
        def say() -> None:
            socket.emit("said")

        assert not self.straight(client, '427["say"]')
        assert client.heard() == ['42["said"]', "437[]"]

    def test_not_to_those_who_listen_to_what_goes(self, client: Client) -> None:
        def ignore(*args: Any) -> None:
            """Sees what goes."""

        client.socket.on_any_outgoing(ignore)
        assert not self.straight(client, '427["echo",1]')
        assert client.heard() == ["437[1]"]

    def test_not_when_somebody_waits_for_the_drain(self, client: Client) -> None:
        drained: list[int] = []
        client.socket.conn.on("drain", lambda: drained.append(1))
        assert not self.straight(client, '427["echo",1]')
        assert drained == [1]

    def test_not_when_packets_are_observed(self, client: Client) -> None:
        seen: list[Any] = []

        def begin() -> int:
            client.socket.conn.on("packet_create", seen.append)
            return 1

        client.socket.on("begin", begin)
        assert not self.straight(client, '427["begin"]')
        assert seen == [{"type": "message", "data": "37[1]"}]

    def test_not_what_only_we_can_encode(self, client: Client) -> None:
        client.socket.on("blob", lambda: b"x")
        assert not self.straight(client, '427["blob"]')
        assert client.heard() == ['461-7[{"_placeholder":true,"num":0}]', b"x"]

    def test_not_to_a_socket_that_has_gone(self, client: Client) -> None:
        socket = client.socket

        @socket.on("leave")
        def leave() -> None:
            socket.disconnect()

        calls_of(client, '427["leave"]')
        assert client.heard() == ["41"]

    def test_not_to_a_client_that_does_not_read(self, client: Client) -> None:
        asked = '427["echo","' + "x" * 20_000 + '"]'
        while client.websocket.writable:
            client.say(asked)
        assert not self.straight(client, asked)
