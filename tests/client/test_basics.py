"""What every server does, over every transport: events, answers, binary data, namespaces."""

from __future__ import annotations

import asyncio
import datetime as dt
import math
from itertools import product
from typing import Any

import pytest

from telex import Ack, ConnectError, Disconnected
from tests.client.counterparts import KINDS, TRANSPORTS, Kind, Scene, Transport, upgraded
from tests.features.scripts import Calls, until

COMBINATIONS: list[tuple[Kind, Transport]] = list(product(KINDS, TRANSPORTS))

pytestmark = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)

VALUES: list[Any] = [
    None,
    True,
    False,
    0,
    -1.5,
    2**53,
    "",
    "naïve 🙂 漢字 \u2028 \x00 \x1e",
    [],
    {},
    [[], [None, {"a": [1]}]],
    {"": None, "ключ": {"nested": ["deep", {"er": 1e-9}]}},
]


async def test_connecting(scene: Scene) -> None:
    socket = await scene.connect()
    assert socket.connected
    assert not socket.disconnected
    assert socket.active
    assert socket.nsp == "/"
    if scene.transport == "upgrade":
        await upgraded(socket)
    who: Any = await socket.emit_with_ack("who")
    assert who == {
        "id": socket.id,
        "namespace": "/",
        "transport": "polling" if scene.transport == "polling" else "websocket",
        "protocol": 3 if scene.server.protocol == 4 else 4,
    }
    await socket.disconnect()
    assert (socket.connected, socket.id) == (False, None)


async def test_the_event_connect(scene: Scene) -> None:
    socket = scene.make()
    connected = Calls()
    socket.on("connect", connected)
    assert (socket.connected, socket.id) == (False, None)
    assert await connected.next() == ()
    assert socket.connected
    assert isinstance(socket.id, str)
    assert await socket is socket


async def test_events_both_ways(scene: Scene) -> None:
    socket = await scene.connect()
    echoed = Calls()
    socket.on("echo", echoed)
    socket.emit("echo", *VALUES)
    assert list(await echoed.next()) == VALUES
    socket.emit("echo")
    assert await echoed.next() == ()


async def test_values_as_javascript_writes_them(scene: Scene) -> None:
    socket = await scene.connect()
    moment = dt.datetime(2024, 2, 29, 12, 30, 1, 250_000, tzinfo=dt.UTC)
    answer = await socket.emit_with_ack("answer", (1, 2), math.nan, -math.inf, {"at": moment})
    assert answer == ([1, 2], None, None, {"at": "2024-02-29T12:30:01.250Z"})


async def test_messages(scene: Scene) -> None:
    """`send` is `emit("message")`; flags are for one event."""
    socket = await scene.connect()
    messages = Calls()
    socket.on("message", messages)
    socket.send("one", b"two", 3)
    assert await messages.next() == ("one", b"two", 3)
    socket.compress(False).send("not compressed")
    assert await messages.next() == ("not compressed",)
    assert await socket.compress(True).binary(False).emit_with_ack("answer", "flags") == "flags"
    socket.timeout(30).send("with a limit")
    assert await messages.next() == ("with a limit",)


async def test_order(scene: Scene) -> None:
    """Events keep their order in both directions, an upgrade in their midst or not."""
    socket = await scene.connect()
    numbers, echoed = Calls(), Calls()
    socket.on("number", numbers)
    socket.on("echo", echoed)
    socket.emit("push", 100)
    for number in range(100):
        socket.emit("echo", number, b"x" * number if number % 5 == 0 else "x" * (number % 7))
        if number % 10 == 0:
            await asyncio.sleep(0.001)
    await until(lambda: len(echoed.all) == len(numbers.all) == 100)
    assert numbers.first == list(range(100))
    assert echoed.first == list(range(100))


async def test_answers_of_the_server(scene: Scene) -> None:
    socket = await scene.connect()
    assert await socket.emit_with_ack("answer") is None
    assert await socket.emit_with_ack("answer", "one") == "one"
    assert await socket.emit_with_ack("answer", ["one"]) == ["one"]
    assert await socket.emit_with_ack("answer", 1, "two", {"three": 3}) == (1, "two", {"three": 3})
    several = [socket.emit_with_ack("answer", number) for number in range(200)]
    assert await asyncio.gather(*several) == list(range(200))
    answered = Calls()
    socket.emit("answer", 1, 2, ack=answered)
    assert await answered.next() == (1, 2)


async def test_answers_of_the_client(scene: Scene) -> None:
    """A return value, of plain functions and coroutines, or a call of `Ack`."""
    socket = await scene.connect()
    answered = Calls()
    socket.on("answered", answered)

    @socket.on("question")
    async def question(way: str, *args: object, ack: Ack | None = None) -> None:
        await asyncio.sleep(0)
        assert ack is not None
        match way:
            case "none":
                ack()
            case "one":
                ack(*args)
            case _:
                ack(way, *args)
                ack("never")

    socket.emit("ask", "none", 1)
    socket.emit("ask", "one", {"a": 1})
    socket.emit("ask", "several", 1, "two")
    assert [await answered.next() for _ in range(3)] == [
        ([],),
        ([{"a": 1}],),
        (["several", 1, "two"],),
    ]

    def returned(*args: object) -> object:
        return args[0] if len(args) == 1 else args

    socket.off("question").on("question", returned)
    socket.emit("ask", "one")
    socket.emit("ask", 1, "two", [3])
    assert [await answered.next() for _ in range(2)] == [(["one"],), ([1, "two", [3]],)]


async def test_binary_data_both_ways(scene: Scene) -> None:
    socket = await scene.connect()
    echoed = Calls()
    socket.on("echo", echoed)
    socket.emit("echo", b"\x00\x01\xff", {"a": [b"", {"b": b"4"}], "c": "text"}, b"b" * 3000)
    assert await echoed.next() == (
        b"\x00\x01\xff",
        {"a": [b"", {"b": b"4"}], "c": "text"},
        b"b" * 3000,
    )
    socket.emit("echo", bytearray(b"array"), memoryview(b"view"))
    assert await echoed.next() == (b"array", b"view")
    socket.emit("echo", "after", "them")
    assert await echoed.next() == ("after", "them")


async def test_binary_data_in_answers(scene: Scene) -> None:
    socket = await scene.connect()
    assert await socket.emit_with_ack("answer", b"\x80", {"a": b"\n"}) == (b"\x80", {"a": b"\n"})
    answered = Calls()
    socket.on("answered", answered)

    @socket.on("question")
    async def question(*args: object) -> object:
        return [b"bytes", *args]

    socket.emit("ask", b"asked")
    assert await answered.next() == ([[b"bytes", b"asked"]],)


async def test_large_events(scene: Scene) -> None:
    socket = await scene.connect()
    text = "漢字🙂" * 20_000
    assert await socket.emit_with_ack("answer", text) == text
    data = bytes(range(256)) * 1000
    assert await socket.emit_with_ack("answer", data) == data


async def test_namespaces_over_one_connection(scene: Scene) -> None:
    """Joined and left at any time; one does not hear the events of another."""
    manager = scene.manager()
    main = await manager.socket("/")
    engine = manager.engine
    # Servers of Socket.IO 2 take the name of a namespace for a URL.
    odd_name = "/news" if scene.server.protocol == 4 else "/café ☕"
    chat, odd = manager.socket("/chat"), manager.socket(odd_name)
    await asyncio.gather(chat, odd)
    assert manager.engine is engine
    names = [await socket.emit_with_ack("who") for socket in (main, chat, odd)]
    assert [name["namespace"] for name in names] == ["/", "/chat", odd_name]
    assert [name["id"] for name in names] == [main.id, chat.id, odd.id]
    assert len({main.id, chat.id, odd.id}) == 3

    heard = {socket: Calls() for socket in (main, chat)}
    for socket, calls in heard.items():
        socket.on("echo", calls)
    chat.emit("echo", "of the chat", b"binary")
    assert await heard[chat].next() == ("of the chat", b"binary")
    assert heard[main].all == []

    await chat.disconnect()
    assert not chat.connected
    assert await main.emit_with_ack("answer", "still here") == "still here"
    await chat.connect()
    assert await chat.emit_with_ack("answer", "again") == "again"
    assert manager.engine is engine


async def test_a_namespace_in_the_url(scene: Scene) -> None:
    socket = await scene.connect("/chat")
    assert socket.nsp == "/chat"
    who: Any = await socket.emit_with_ack("who")
    assert who["namespace"] == "/chat"


async def test_rooms(scene: Scene) -> None:
    ana, bert = await scene.connect(), await scene.connect()
    told = {socket: Calls() for socket in (ana, bert)}
    for socket, calls in told.items():
        socket.on("told", calls)
    await ana.emit_with_ack("join", room := f"room of {ana.id}")
    await bert.emit_with_ack("join", f"room of {bert.id}")
    bert.emit("tell", [room], "to ana", b"binary")
    assert await told[ana].next() == ("to ana", b"binary")
    await bert.emit_with_ack("answer")
    assert told[bert].all == []


async def test_a_refusal_with_data(scene: Scene) -> None:
    """It is raised, nothing goes on in the background, and it can be tried again."""
    socket = scene.make("/guarded", reconnection=True)
    refused, connected = Calls(), Calls()
    socket.on("connect_error", refused).on("connect", connected)
    with pytest.raises(ConnectError) as raised:
        await socket
    error = raised.value
    assert error.data == {"code": 401, "hint": "la clé, 请"}
    if scene.server.protocol == 5:  # in Socket.IO 2 the data take the place of the message
        assert error.message == "not authorized"
    assert await refused.next() == (error,)
    assert not socket.active
    assert not socket.connected
    assert connected.all == []


async def test_an_unknown_namespace(scene: Scene) -> None:
    socket = scene.make("/nowhere", reconnection=True)
    with pytest.raises(ConnectError) as raised:
        await socket
    expected = {"python-socketio": "Unable to connect"}
    assert raised.value.message == expected.get(scene.server.kind, "Invalid namespace")
    assert not socket.active


async def test_being_thrown_out(scene: Scene) -> None:
    """The server's word is final: the socket does not come back by itself, yet it can."""
    socket = await scene.connect(reconnection=True)
    first = socket.id
    gone, connected = Calls(), Calls()
    socket.on("disconnect", gone).on("connect", connected)
    asked = asyncio.ensure_future(socket.emit_with_ack("keep silent"))
    socket.emit("throw me out")
    assert (await gone.next())[0] == "io server disconnect"
    assert socket.id is None
    assert not socket.active
    with pytest.raises(Disconnected):
        await asked
    await socket.connect()
    assert connected.all == [()]
    assert socket.connected
    if scene.server.protocol == 5:
        assert socket.id != first


async def test_awaiting_what_was_emitted(scene: Scene) -> None:
    """It waits until the connection has room for more, and not for the next heartbeat."""
    socket = await scene.connect()
    echoed = Calls()
    socket.on("echo", echoed)
    async with asyncio.timeout(10):
        for number in range(20):
            await socket.emit("echo", number, "x" * 50_000)
    for number in range(20):
        assert (await echoed.next())[0] == number


async def test_leaving(scene: Scene) -> None:
    socket = await scene.connect()
    gone = Calls()
    socket.on("disconnect", gone)
    waiting = asyncio.ensure_future(socket.emit_with_ack("keep silent"))
    await asyncio.sleep(0)
    await socket.disconnect()
    assert [args[0] for args in gone.all] == ["io client disconnect"]
    assert not socket.active
    assert not socket.connected
    with pytest.raises(Disconnected):
        await waiting
    await socket.disconnect()
    assert len(gone.all) == 1
