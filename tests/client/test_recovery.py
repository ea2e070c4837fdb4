"""Connection state recovery: the id comes back, and what was missed."""

from __future__ import annotations

import asyncio
from itertools import product
from typing import Any

import pytest

import telex
from tests.client.counterparts import BRISK, TRANSPORTS, Clients, Counterpart, Kind, Transport
from tests.client.counterparts import upgraded as wait_for_upgrade
from tests.features.scripts import Calls, until

COMBINATIONS: list[tuple[Kind, Transport]] = list(product(("socket.io-4", "telex"), TRANSPORTS))
every_kind = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])
everywhere = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)


async def away(socket: telex.ClientSocket, observer: telex.ClientSocket) -> None:
    """Lose the connection; both sides know it when this returns."""
    identity = socket.id
    socket.emit("close the transport")
    await observer.emit_with_ack("fate of", identity)
    await until(lambda: not socket.connected)


async def told(socket: telex.ClientSocket, observer: telex.ClientSocket) -> Calls:
    """What a socket is told from now on. It has been told something, as Node's server needs."""
    calls = Calls()
    socket.on("told", calls)
    await socket.emit_with_ack("join", "club")
    observer.emit("tell", [socket.id], "hello")
    assert await calls.next() == ("hello",)
    calls.all.clear()
    return calls


@everywhere
async def test_the_session_and_what_was_missed(
    clients: Clients, server: Counterpart, transport: Transport
) -> None:
    """In order, before `connect`, to rooms and to the socket itself; without an offset."""
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(
        server, site="recovery", transports=TRANSPORTS[transport], reconnection=False
    )
    if transport == "upgrade":
        await wait_for_upgrade(socket)
    assert (socket.connected, socket.recovered) == (True, False)
    calls = await told(socket, observer)
    connected = Calls()
    first = socket.id
    missed_at_connect: list[int] = []
    socket.on("connect", connected)
    socket.on("connect", lambda: missed_at_connect.append(len(calls.all)))
    await away(socket, observer)
    observer.emit("tell", ["club"], "to the club", {"number": 1})
    observer.emit("tell", [first], "text", "at the end")
    observer.emit("tell", [], b"binary", "to all")
    observer.emit("tell", ["another club"], "to others")
    await observer.emit_with_ack("answer")
    await socket.connect()
    await connected.next()
    assert socket.recovered
    assert socket.id == first
    assert [await calls.next() for _ in range(3)] == [
        ("to the club", {"number": 1}),
        ("text", "at the end"),
        (b"binary", "to all"),
    ]
    assert missed_at_connect == [3]
    observer.emit("tell", ["club"], "still in the club")
    assert await calls.next() == ("still in the club",)


@every_kind
async def test_again_and_again(clients: Clients, server: Counterpart) -> None:
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(server, site="recovery", reconnection=False)
    calls = await told(socket, observer)
    connected = Calls()
    socket.on("connect", connected)
    first = socket.id
    for number in range(2):
        await away(socket, observer)
        observer.emit("tell", ["club"], "missed", number)
        await observer.emit_with_ack("answer")
        await socket.connect()
        await connected.next()
        assert socket.recovered
        assert socket.id == first
        assert await calls.next() == ("missed", number)


@every_kind
async def test_every_namespace_for_itself(clients: Clients, server: Counterpart) -> None:
    observers = clients.manager(server, site="recovery")
    manager = clients.manager(server, site="recovery", reconnection=False)
    names = ("/", "/chat")
    pairs = [(await manager.socket(name), await observers.socket(name)) for name in names]
    calls = [await told(socket, observer) for socket, observer in pairs]
    ids = [socket.id for socket, _ in pairs]
    await away(*pairs[0])
    await pairs[1][1].emit_with_ack("fate of", ids[1])
    for _, observer in pairs:
        observer.emit("tell", ["club"], observer.nsp)
        await observer.emit_with_ack("answer")
    for socket, _ in pairs:
        await socket.connect()
    assert [socket.recovered for socket, _ in pairs] == [True, True]
    assert [await heard.next() for heard in calls] == [("/",), ("/chat",)]
    assert [socket.id for socket, _ in pairs] == ids


@every_kind
async def test_by_itself(clients: Clients, server: Counterpart) -> None:
    """As it goes in practice: the connection is lost, and made again."""
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(server, site="recovery", reconnection=True, **BRISK)
    calls = await told(socket, observer)
    first = socket.id
    connected = Calls()
    socket.on("connect", connected)
    socket.emit("close the transport")
    observer.emit("tell", ["club"], "missed, or not")
    await connected.next()
    assert await calls.next() == ("missed, or not",)
    assert (socket.recovered, socket.id) == (True, first)


@pytest.mark.parametrize("kind", ["telex"])
async def test_a_quiet_connection(clients: Clients, server: Counterpart) -> None:
    """Node's server needs to have sent something first."""
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(server, site="recovery", reconnection=False)
    calls, connected = Calls(), Calls()
    socket.on("told", calls).on("connect", connected)
    first = socket.id
    await away(socket, observer)
    observer.emit("tell", [first], "missed")
    await observer.emit_with_ack("answer")
    await socket.connect()
    await connected.next()
    assert socket.recovered
    assert await calls.next() == ("missed",)


@every_kind
async def test_away_too_long(clients: Clients, server: Counterpart) -> None:
    observer = await clients.connect(server, site="brief recovery")
    socket = await clients.connect(server, site="brief recovery", reconnection=False)
    calls = await told(socket, observer)
    connected = Calls()
    socket.on("connect", connected)
    first = socket.id
    await away(socket, observer)
    observer.emit("tell", ["club"], "missed for ever")
    await asyncio.sleep(0.06)
    await socket.connect()
    await connected.next()
    assert not socket.recovered
    assert socket.id != first
    assert calls.all == []


@every_kind
async def test_leaving_on_purpose_is_final(clients: Clients, server: Counterpart) -> None:
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(server, site="recovery")
    await told(socket, observer)
    first = socket.id
    await socket.disconnect()
    await socket.connect()
    assert not socket.recovered
    assert socket.id != first


@every_kind
async def test_no_offset_reaches_anybody(clients: Clients, server: Counterpart) -> None:
    """Handlers, `on_any`, `receive`: arguments are those that were emitted."""
    socket = await clients.connect(server, site="recovery", **BRISK)
    anything, strict = Calls(), Calls()
    socket.on_any(anything)

    @socket.on("number")
    def number(number: int) -> None:
        strict(number)

    socket.emit("push", 3)
    assert [await strict.next() for _ in range(3)] == [(0,), (1,), (2,)]
    assert anything.all == [("number", 0), ("number", 1), ("number", 2)]
    samples: list[list[Any]] = [
        [],
        ["text"],
        [1, "text"],
        [{"a": 1}],
        [b"binary"],
        ["1234-5"],
        ["OaBcDeF"],
        [""],
    ]
    for sample in samples:
        socket.emit("echo", *sample)
        assert await socket.receive(timeout=10) == ["echo", *sample]


@every_kind
async def test_nor_do_arguments_get_lost(clients: Clients, server: Counterpart) -> None:
    """Where the server adds no offset, a text at the end is an argument, whatever it looks like."""
    socket = await clients.connect(server, site="recovery")
    questions, answered = Calls(), Calls()
    socket.on("answered", answered)

    @socket.on("question")
    def question(*args: object) -> object:
        questions(*args)
        return "1234-5"

    socket.emit("ask", 1, "1234-5")
    assert await questions.next() == (1, "1234-5")
    assert await answered.next() == (["1234-5"],)
    assert await socket.emit_with_ack("answer", "OaBcDeF") == "OaBcDeF"


@every_kind
async def test_what_is_emitted_meanwhile_comes_after_what_was_missed(
    clients: Clients, server: Counterpart
) -> None:
    observer = await clients.connect(server, site="recovery")
    socket = await clients.connect(server, site="recovery", reconnection=False)
    calls = await told(socket, observer)
    await away(socket, observer)
    observer.emit("tell", ["club"], "missed")
    await observer.emit_with_ack("answer")
    socket.emit("tell", ["club"], "emitted while away")
    waiting = asyncio.ensure_future(socket.emit_with_ack("answer", 1))
    await asyncio.sleep(0)
    await socket.connect()
    assert [await calls.next() for _ in range(2)] == [("missed",), ("emitted while away",)]
    assert await waiting == 1
    assert socket.recovered
