"""The msgpack parser, with servers that use socket.io-msgpack-parser, and telex."""

from __future__ import annotations

import datetime as dt
from itertools import product
from typing import Any

import pytest

from telex import ConnectError
from tests.client.counterparts import BRISK, TRANSPORTS, Kind, Scene, Transport, new_name, upgraded
from tests.features.scripts import Calls

KINDS: tuple[Kind, ...] = ("socket.io-3", "socket.io-4", "telex")
COMBINATIONS: list[tuple[Kind, Transport]] = list(product(KINDS, TRANSPORTS))

pytestmark = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)

MSGPACK: dict[str, Any] = {"site": "msgpack", "parser": "msgpack"}


async def test_events_and_answers(scene: Scene) -> None:
    socket = await scene.connect(**MSGPACK)
    if scene.transport == "upgrade":
        await upgraded(socket)
    echoed, answered = Calls(), Calls()
    socket.on("echo", echoed).on("answered", answered)
    values: list[Any] = [
        None,
        True,
        -1.5,
        2**40,
        "naïve 🙂",
        [],
        {},
        {"a": [1, {"b": None}]},
        b"\x00\xff",
    ]
    socket.emit("echo", *values)
    assert list(await echoed.next()) == values
    assert await socket.emit_with_ack("answer") is None
    assert await socket.emit_with_ack("answer", [b"bytes", {"deep": b"er"}]) == [
        b"bytes",
        {"deep": b"er"},
    ]
    socket.on("question", lambda *args: args)
    socket.emit("ask", 1, b"two")
    assert await answered.next() == ([1, b"two"],)


async def test_dates(scene: Scene) -> None:
    socket = await scene.connect(**MSGPACK)
    moment = dt.datetime(2024, 2, 29, 12, 30, tzinfo=dt.UTC)
    answer: Any = await socket.emit_with_ack("answer", moment)
    assert answer in (moment, "2024-02-29T12:30:00.000Z")


async def test_namespaces_and_refusals(scene: Scene) -> None:
    manager = scene.manager(**MSGPACK)
    main = await manager.socket("/")
    guarded = manager.socket("/guarded", auth={"token": "wrong"})
    with pytest.raises(ConnectError) as raised:
        await guarded
    assert raised.value.data == {"code": 401, "hint": "la clé, 请"}
    guarded.auth = {"token": "let me in"}
    await guarded.connect()
    await guarded.disconnect()
    assert await main.emit_with_ack("answer", 1) == 1


async def test_coming_back(scene: Scene) -> None:
    socket = await scene.connect(**MSGPACK, reconnection=True, **BRISK)
    name = new_name()
    connected, gone = Calls(), Calls()
    socket.on("connect", connected).on("disconnect", gone)
    socket.emit("close the transport")
    await gone.next()
    socket.emit("note", name, b"meanwhile")
    await connected.next()
    assert await socket.emit_with_ack("notes", name) == [b"meanwhile"]
    socket.emit("throw me out")
    assert (await gone.next())[0] == "io server disconnect"


async def test_a_server_with_another_parser(scene: Scene) -> None:
    """The server takes it for nonsense and ends the connection; nobody hangs."""
    socket = scene.make(parser="msgpack", timeout=5.0, **BRISK)
    attempts = Calls()
    socket.io.on("reconnect_attempt", attempts)
    await attempts.next()
    assert not socket.connected
