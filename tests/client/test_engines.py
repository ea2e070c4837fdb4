"""Engine.IO on its own: `telex.connect_engine` with the engines of Node and of telex."""

from __future__ import annotations

import asyncio
import json
from itertools import product
from typing import Any

import pytest

import telex
from telex import ClientEngine
from tests.client.counterparts import TRANSPORTS, Clients, Counterpart, Kind, Transport, new_name
from tests.client.ports import refusing_port
from tests.features.scripts import Calls, until

KINDS: tuple[Kind, ...] = ("socket.io-2", "socket.io-3", "socket.io-4", "telex")
COMBINATIONS: list[tuple[Kind, Transport]] = list(product(KINDS, TRANSPORTS))
everywhere = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


def make(server: Counterpart, transport: Transport = "upgrade", **options: Any) -> ClientEngine:
    given: dict[str, Any] = {
        "protocol": server.protocol - 1,
        "transports": TRANSPORTS[transport],
        **options,
    }
    return telex.connect_engine(server.url("engine"), **given)


def name_of_transport(engine: ClientEngine) -> str | None:
    return None if engine.transport is None else engine.transport.name


@everywhere
async def test_messages(server: Counterpart, transport: Transport) -> None:
    async with make(server, transport) as engine:
        assert engine.ready_state == "open"
        engine.send("who am I")
        identity, name = json.loads(str(await engine.receive()))
        assert identity == engine.id
        assert name in TRANSPORTS[transport]
        for data in ("text", "é 漢字 🙂", b"\x00\xff", "", b"", "x" * 100_000, b"y" * 100_000):
            engine.send(data)
            assert await engine.receive() == data
    assert engine.ready_state == "closed"
    assert engine.id is None


@everywhere
async def test_order(server: Counterpart, transport: Transport) -> None:
    """Whatever the transport does meanwhile."""
    async with make(server, transport) as engine:
        engine.send("push")
        sent: list[str | bytes] = [str(n) if n % 3 else bytes([n]) for n in range(100)]
        for number, data in enumerate(sent):
            engine.send(data)
            if number % 10 == 0:
                await asyncio.sleep(0.001)
        received = [await engine.receive() for _ in range(200)]
    pushed = [str(number) for number in range(100)]
    assert received[:100] == pushed
    assert received[100:] == sent


@everywhere
async def test_heartbeat(server: Counterpart, transport: Transport) -> None:
    engine = make(server, transport)
    beats, pongs, closed = Calls(), Calls(), Calls()
    engine.on("heartbeat", beats).on("pong", pongs).on("close", closed)
    async with engine:
        for _ in range(2):
            await pongs.next()
        assert closed.all == []
        assert len(beats.all) >= 2
    assert [args[0] for args in closed.all] == ["forced close"]


@everywhere
async def test_the_server_closes(server: Counterpart, transport: Transport) -> None:
    """Who receives is told; the loop ends."""
    engine = await make(server, transport)
    closed = Calls()
    engine.on("close", closed)
    engine.send("last")
    engine.send("close me")
    assert [message async for message in engine] == ["last"]
    assert [args[0] for args in closed.all] == ["transport close"]
    with pytest.raises(telex.Disconnected, match="transport close"):
        await engine.receive()
    assert engine.ready_state == "closed"
    engine.send("nobody hears")
    await engine.close()
    assert len(closed.all) == 1


@telex_and_node
async def test_the_order_of_events(server: Counterpart) -> None:
    engine = make(server)
    log: list[str] = []
    for event in ("handshake", "open", "upgrading", "upgrade", "message", "drain", "close"):

        def heard(*_: object, event: str = event) -> None:
            log.append(event)

        engine.on(event, heard)
    await engine
    await until(lambda: "upgrade" in log)
    assert name_of_transport(engine) == "websocket"
    engine.send("hello")
    await until(lambda: "message" in log)
    await engine.close()
    assert [event for event in log if event != "drain"] == [
        *("handshake", "open", "upgrading", "upgrade", "message", "close"),
    ]


@telex_and_node
async def test_the_handshake(server: Counterpart) -> None:
    engine = make(server, "polling")
    handshake, packets, created = Calls(), Calls(), Calls()
    engine.on("handshake", handshake).on("packet", packets).on("packet_create", created)
    async with engine:
        data: Any = (await handshake.next())[0]
        assert data["sid"] == engine.id
        assert data["upgrades"] == ["websocket"]
        assert data["pingInterval"] == 150
        engine.send("hello")
        assert await engine.receive() == "hello"
        texts = [args[0] for args in packets.all]
        assert texts[0].startswith('0{"sid":')
        assert "4hello" in texts
        assert len(created.all) >= 1


@telex_and_node
async def test_what_is_sent_before_it_is_open(server: Counterpart) -> None:
    engine = make(server)
    engine.send("early")
    assert engine.ready_state == "opening"
    async with engine:
        assert await engine.receive() == "early"


@telex_and_node
@pytest.mark.parametrize("transport", list(TRANSPORTS))
async def test_closing_sends_what_is_queued(
    server: Counterpart, transport: Transport, clients: Clients
) -> None:
    """Then nothing more, though the connection may be in the midst of its upgrade."""
    observer = await clients.connect(server)
    for moment in range(6):
        name = new_name()
        engine = await make(server, transport)
        await asyncio.sleep(moment * 0.002)
        for number in range(20):
            engine.send(f"note {name} {number}")
        closing = engine.close()
        engine.send(f"note {name} late")
        await closing
        engine.send(f"note {name} later")
        assert engine.ready_state == "closed"
        async with asyncio.timeout(10):
            while len(notes := await observer.emit_with_ack("notes", name)) < 20:
                await asyncio.sleep(0.005)
        assert notes == [str(number) for number in range(20)]


@telex_and_node
async def test_closing_before_it_is_open(server: Counterpart) -> None:
    before = asyncio.all_tasks()
    engine = make(server)
    opened, closed = Calls(), Calls()
    engine.on("open", opened).on("close", closed)
    await engine.close()
    assert opened.all == []
    assert engine.ready_state == "closed"
    assert asyncio.all_tasks() == before


@telex_and_node
async def test_no_upgrade_if_not_wanted(server: Counterpart) -> None:
    async with make(server, upgrade=False) as engine:
        for number in range(5):
            engine.send(str(number))
            assert await engine.receive() == str(number)
        assert name_of_transport(engine) == "polling"


async def test_nobody_there() -> None:
    with refusing_port() as port:
        engine = telex.connect_engine(f"http://127.0.0.1:{port}")
        errors, closed = Calls(), Calls()
        engine.on("error", errors).on("close", closed)
        with pytest.raises(telex.ConnectError, match="xhr poll error"):
            await engine
        assert len(errors.all) == 1
        assert [args[0] for args in closed.all] == ["transport error"]
        assert engine.ready_state == "closed"


async def test_options_that_do_not_exist() -> None:
    unknown: Any = {"auth": {"token": 1}}
    with pytest.raises(telex.UnknownOptionError, match="auth"):
        telex.connect_engine("http://127.0.0.1:1", **unknown)


@telex_and_node
async def test_another_path(server: Counterpart) -> None:
    with pytest.raises(telex.ConnectError, match="xhr poll error"):
        await make(server, path="/nowhere")
