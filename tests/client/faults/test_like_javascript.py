"""Faults in every phase: the same events, reasons and recovery as from the JavaScript client.

Every scene of `matrix` is played twice, by socket.io-client 4 and by ours, each through a proxy
of its own in front of the same server; what the two say is compared.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from telex import Server
from tests.client.faults import matrix
from tests.client.faults.elsewhere import Elsewhere
from tests.client.faults.scenes import Scene, in_javascript, in_python, server
from tests.features.scripts import Site

BRISK = {"ping_interval": 1.0, "ping_timeout": 0.5}


def port_of(io: Server) -> Iterator[int]:
    """The port of a server in a loop of its own."""
    there = Elsewhere.start(io)
    assert io.port is not None
    yield io.port
    there.close()


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server."""
    yield from port_of(server())


@pytest.fixture(scope="module")
def brisk() -> Iterator[int]:
    """The port of a server that sends many pings."""
    yield from port_of(server(**BRISK))


async def play(site: Site, scene: Scene, port: int) -> None:
    """Both clients say the same."""
    async with asyncio.TaskGroup() as group:
        their_task = group.create_task(in_javascript(site, scene, port))
        our_task = group.create_task(in_python(scene, port))
    theirs, ours = their_task.result(), our_task.result()
    assert ours.socket == theirs.socket
    assert ours.manager == theirs.manager
    assert ours.upgrade == theirs.upgrade


@pytest.mark.parametrize("scene", [*matrix.cuts()], ids=str)
async def test_a_cut(site: Site, port: int, scene: Scene) -> None:
    """The connection is cut in one phase; the next attempt succeeds."""
    await play(site, scene, port)


@pytest.mark.parametrize("scene", [*matrix.answers()], ids=str)
async def test_an_answer_of_somebody_else(site: Site, port: int, scene: Scene) -> None:
    """A balancer refuses, or a web server has got the address."""
    await play(site, scene, port)


@pytest.mark.parametrize("scene", [*matrix.silences()], ids=str)
async def test_silence_before_the_connection_is_open(site: Site, port: int, scene: Scene) -> None:
    """`timeout` ends an attempt; a silent probe disturbs nobody."""
    await play(site, scene, port)


@pytest.mark.parametrize("scene", [*matrix.heartbeats()], ids=str)
async def test_a_server_that_falls_silent(site: Site, brisk: int, scene: Scene) -> None:
    """The missing ping is noticed, whatever else is under way."""
    await play(site, scene, brisk)


@pytest.mark.parametrize("scene", [*matrix.packets()], ids=str)
async def test_what_a_server_should_not_say(site: Site, port: int, scene: Scene) -> None:
    """Broken packets, farewells, half-closed connections."""
    await play(site, scene, port)


@pytest.mark.parametrize("scene", [*matrix.frames()], ids=str)
async def test_unusual_frames_and_answers(site: Site, port: int, scene: Scene) -> None:
    """What WebSocket and HTTP allow is understood, what they forbid ends the connection."""
    await play(site, scene, port)
