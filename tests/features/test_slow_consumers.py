"""Clients that read slowly, or not at all, and what that costs others: nothing."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path
from typing import Any

import pytest

from telex import ConfigurationError, Server, Socket
from telex.engine.session import HARD_LIMIT
from tests.features.scripts import Calls, Page, Site

# `deaf` reads nothing more from the network; `hear` reads on.
CODE = """
    page.raw = (socket) => socket.io.engine.transport.ws._socket;
    page.deaf = (socket) => page.raw(socket).pause();
    page.hear = (socket) => page.raw(socket).resume();
    page.socket = await connect();
"""


async def listening(site: Site, io: Server) -> tuple[Page, Socket]:
    page = await site.page(io)
    await page.run(CODE)
    [socket] = io.sockets.sockets.values()
    return page, socket


async def test_one_client_that_stops_reading_is_disconnected(site: Site) -> None:
    """Others are served meanwhile, and what waits for it is bounded."""
    io = Server(send_buffer_limit=100_000)
    gone = Calls()
    io.event("disconnect")(gone)
    page, socket = await listening(site, io)
    await page.run("page.other = await connect(); page.deaf(page.socket)")
    queued: list[int] = []
    for number in range(3000):
        io.emit("data", number, "x" * 10_000)
        queued.append(socket.client.session.queued)
        await asyncio.sleep(0)
        if gone.all:
            break
    left, reason = await gone.next()
    assert left is socket
    assert reason == "slow consumer"
    assert max(queued) <= (HARD_LIMIT + 1) * 100_000
    io.emit("done")
    received = await page.run("return (await until(page.other, 'done')).length")
    assert received == len(queued)
    assert len(io.sockets.sockets) == 1


async def test_awaiting_emit_waits_for_the_client(site: Site) -> None:
    """So a sender that awaits never outruns its client, and nothing is lost."""
    io = Server(send_buffer_limit=300_000)
    page, socket = await listening(site, io)
    await page.run("page.deaf(page.socket)")
    sent = 0

    async def pour() -> None:
        nonlocal sent
        for number in range(1000):
            await socket.emit("data", number, "x" * 10_000)
            sent = number + 1
        await socket.emit("done")

    pouring = asyncio.create_task(pour())
    async with asyncio.timeout(10):
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.1)
    assert 0 < sent < 1000
    assert not pouring.done()
    await page.run("page.hear(page.socket)")
    await pouring
    numbers = await page.run("return (await until(page.socket, 'done')).map(([, n]) => n)")
    assert numbers == list(range(1000))


@pytest.mark.parametrize("policy", ["disconnect", "drop_volatile"])
async def test_volatile_events_are_dropped_before_others(site: Site, policy: Any) -> None:
    """With either policy: a flood of volatile events costs nobody the connection."""
    io = Server(send_buffer_limit=100_000, slow_consumer=policy)
    page, socket = await listening(site, io)
    await page.run("page.deaf(page.socket)")
    for number in range(3000):
        io.volatile.emit("data", number, "x" * 10_000)
        await asyncio.sleep(0)
    assert socket.connected
    await page.run("page.hear(page.socket)")
    await socket.emit("kept")
    received = await page.run("return (await until(page.socket, 'kept')).map(([, n]) => n)")
    assert 0 < len(received) < 3000
    assert received == sorted(received)


async def test_drain_tells_when_there_is_room(site: Site) -> None:
    io = Server()
    page, socket = await listening(site, io)
    drained = Calls()
    socket.conn.on("drain", drained)
    socket.emit("data", "x" * 100_000)
    await drained.next()
    io.emit("done")
    assert await page.run("return (await until(page.socket, 'done')).length") == 1


def open_sockets() -> set[str]:
    """The sockets of this process."""
    names: set[str] = set()
    for fd in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            names.add(str(fd.readlink()))
    return {name for name in names if name.startswith("socket:")}


async def test_nothing_of_a_deaf_client_is_left(site: Site) -> None:
    """Closing the server also ends connections whose clients will never read the rest."""
    before = open_sockets()
    io = Server(send_buffer_limit=50_000_000)
    page, socket = await listening(site, io)
    await page.run("page.deaf(page.socket)")
    socket.emit("data", "x" * 20_000_000)
    await asyncio.sleep(0.05)
    await io.close()
    assert open_sockets() <= before


async def test_options_that_cannot_work() -> None:
    wrong: Any = "wait"
    with pytest.raises(ConfigurationError, match="slow_consumer"):
        Server(slow_consumer=wrong)
    with pytest.raises(ConfigurationError, match="send_buffer_limit"):
        Server(send_buffer_limit=0)
