"""Servers that die and come back: what their clients have emitted meanwhile, and who hears what."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from itertools import product

import pytest

import telex
from tests.client.counterparts import (
    BRISK,
    TRANSPORTS,
    Clients,
    Counterpart,
    Kind,
    Scene,
    Transport,
    new_name,
    upgraded,
)
from tests.features.scripts import Calls, until

KINDS: tuple[Kind, ...] = ("socket.io-2", "socket.io-3", "socket.io-4", "telex")
COMBINATIONS: list[tuple[Kind, Transport]] = list(product(KINDS, TRANSPORTS))

everywhere = pytest.mark.parametrize(
    ("kind", "transport"), COMBINATIONS, ids=["-".join(both) for both in COMBINATIONS]
)
telex_and_node = pytest.mark.parametrize("kind", ["socket.io-4", "telex"])


@pytest.fixture(scope="module")
def mortals() -> Iterator[dict[Kind, Counterpart]]:
    """Servers that die and come back."""
    mortals: dict[Kind, Counterpart] = {}
    yield mortals
    for mortal in mortals.values():
        mortal.stop()


@pytest.fixture
def server(kind: Kind, mortals: dict[Kind, Counterpart]) -> Counterpart:
    """One of them, alive, whatever became of the test before."""
    if kind not in mortals:
        mortals[kind] = Counterpart(kind, only="main")
    if not mortals[kind].process.running:
        mortals[kind].start_again()
    return mortals[kind]


@everywhere
async def test_what_is_emitted_meanwhile_arrives_once_and_in_order(
    scene: Scene, server: Counterpart
) -> None:
    socket = await scene.connect(reconnection=True, **BRISK)
    if scene.transport == "upgrade":
        await upgraded(socket)
    first, name = socket.id, new_name()
    gone, failed, attempts, connected = Calls(), Calls(), Calls(), Calls()
    socket.on("disconnect", gone).on("connect_error", failed).on("connect", connected)
    socket.io.on("reconnect_attempt", attempts)

    await server.die()
    reason, *_ = await gone.next()
    assert reason == ("transport error" if scene.transport == "polling" else "transport close")
    assert socket.active
    for number in range(10):
        socket.emit("note", name, number)
    socket.volatile.emit("note", name, "volatile")
    await failed.next()
    await failed.next()
    asked = asyncio.ensure_future(socket.emit_with_ack("answer", b"asked meanwhile"))
    for number in range(10, 20):
        socket.emit("note", name, number)
    await server.come_back()

    await connected.next()
    assert await socket.emit_with_ack("notes", name) == list(range(20))
    assert await asked == b"asked meanwhile"
    assert socket.id != first
    assert [number for (number,) in attempts.all] == list(range(1, len(attempts.all) + 1))


@telex_and_node
async def test_every_namespace_comes_back(clients: Clients, server: Counterpart) -> None:
    manager = clients.manager(server, **BRISK)
    sockets = [manager.socket(name) for name in ("/", "/chat", "/room-1")]
    for socket in sockets:
        await socket
    left = await manager.socket("/news")
    await left.disconnect()
    connected = {socket: Calls() for socket in (*sockets, left)}
    for socket, calls in connected.items():
        socket.on("connect", calls)
    await server.die()
    await until(lambda: not any(socket.connected for socket in sockets))
    await server.come_back()
    for socket in sockets:
        await connected[socket].next()
    await sockets[0].emit_with_ack("answer")
    assert connected[left].all == []
    assert not left.connected


@telex_and_node
async def test_attempts_run_out(clients: Clients, server: Counterpart) -> None:
    socket = await clients.connect(server, reconnection_attempts=2, **BRISK)
    attempts, errors, failed = Calls(), Calls(), Calls()
    socket.io.on("reconnect_attempt", attempts).on("reconnect_error", errors)
    socket.io.on("reconnect_failed", failed)
    await server.die()
    assert await failed.next() == ()
    assert attempts.all == [(1,), (2,)]
    assert len(errors.all) == 2
    await server.come_back()
    await socket.connect()
    assert socket.connected


@telex_and_node
async def test_who_asks_is_told(clients: Clients, server: Counterpart) -> None:
    """What waits for an answer when the connection goes fails; what was not sent stays."""
    socket = await clients.connect(server, reconnection=True, **BRISK)
    answered = Calls()
    timed = Calls()
    socket.emit("keep silent", ack=answered)
    socket.timeout(60).emit("keep silent", ack=timed)
    waiting = asyncio.ensure_future(socket.emit_with_ack("keep silent"))
    await socket.emit_with_ack("answer")
    await server.die()
    with pytest.raises(telex.Disconnected):
        await waiting
    error, *rest = await timed.next()
    assert isinstance(error, telex.Disconnected)
    assert rest == []
    unsent = Calls()
    socket.emit("answer", "unsent", ack=unsent)
    await server.come_back()
    assert await unsent.next() == ("unsent",)
    assert answered.all == []
    assert len(timed.all) == 1
