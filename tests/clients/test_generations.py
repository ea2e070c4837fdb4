"""Every released generation of the JavaScript client over every transport."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import get_args

import pytest

from tests.clients.javascript import Client, Drivers, Generation, Transport
from tests.clients.subject import (
    expected_of_server,
    expected_to_notice_silence,
    start_server,
)
from tests.clients.topics import TOPICS, Site, Topic
from tests.support.servers import ServerProcess

GENERATIONS: tuple[Generation, ...] = get_args(Generation)
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)
COMBINATIONS: list[tuple[Generation, Transport]] = [
    (generation, transport) for generation in GENERATIONS for transport in TRANSPORTS
]

CASES = [
    pytest.param(generation, transport, topic, id=f"{generation}-{transport}-{topic.__name__}")
    for generation, transport in COMBINATIONS
    for topic in TOPICS
    if expected_of_server(generation, transport, topic)
]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with start_server() as server:
        yield server


@pytest.mark.parametrize(("generation", "transport", "topic"), CASES)
def test_topic(
    server: ServerProcess,
    drivers: Drivers,
    generation: Generation,
    transport: Transport,
    topic: Topic,
) -> None:
    topic(Site(drivers[generation], transport, server.url))


class MortalServer:
    """A server that dies and comes back on the same port."""

    def __init__(self) -> None:
        self.process = start_server()
        self.port = self.process.port
        self.url = self.process.url

    def die(self) -> None:
        self.process.kill()

    def come_back(self) -> None:
        self.process = start_server(port=self.port)


@pytest.fixture(scope="module")
def mortal_of_module() -> Iterator[MortalServer]:
    server = MortalServer()
    yield server
    server.process.stop()


@pytest.fixture
def mortal(mortal_of_module: MortalServer) -> MortalServer:
    """The server, alive, whatever became of the test before."""
    if not mortal_of_module.process.running:
        mortal_of_module.come_back()
    return mortal_of_module


@pytest.mark.parametrize(("generation", "transport"), COMBINATIONS)
def test_reconnection(
    mortal: MortalServer,
    drivers: Drivers,
    generation: Generation,
    transport: Transport,
) -> None:
    """Clients come back by themselves after the server has died and been started again."""
    site = Site(drivers[generation], transport, mortal.url)
    client = site.join(
        reconnection=True,
        reconnectionDelay=50,
        reconnectionDelayMax=100,
        randomizationFactor=0,
    )
    chat = site.javascript.share(client, "/chat")
    chat.next("connect")
    first_id = client.id

    mortal.die()
    # A poll that fails is an error of the transport, a WebSocket that ends is its close.
    reason = "transport error" if transport == "polling" else "transport close"
    assert client.next("disconnect") == [reason]
    assert chat.next("disconnect") == [reason]
    client.emit("echo", "said while away")

    mortal.come_back()
    assert client.next("connect", timeout=10) == []
    assert chat.next("connect") == []
    assert client.next("echo") == ["said while away"]
    assert chat.call("answer", "back") == ["back"]
    assert client.id != first_id
    if transport == "upgrade":
        client.upgraded()
        assert client.call("answer", "upgraded again") == ["upgraded again"]


@pytest.fixture
def pulsing() -> Iterator[ServerProcess]:
    """A server that wants a sign of life every 0.3 s, and misses it after one second more."""
    with start_server("--heartbeat", "0.3", "1") as server:
        yield server


def everywhere(drivers: Drivers, url: str) -> list[tuple[Site, Client]]:
    """A client of every generation over every transport."""
    sites = [Site(drivers[generation], transport, url) for generation, transport in COMBINATIONS]
    return [(site, site.join()) for site in sites]


def test_heartbeat(pulsing: ServerProcess, drivers: Drivers) -> None:
    """Clients and server that have nothing to say stay connected."""
    clients = everywhere(drivers, pulsing.url)
    time.sleep(2.5)
    for _, client in clients:
        assert client.call("answer", "alive") == ["alive"]
        assert client.state["history"] == ["connect", "welcome"]


def test_clients_that_fall_silent(pulsing: ServerProcess, drivers: Drivers) -> None:
    """The server notices that clients live no more, though their connections do."""
    witness = Site(drivers[4], "websocket", pulsing.url).join()
    doomed = Drivers()
    try:
        clients = everywhere(doomed, pulsing.url)
        ids = {client: client.call("who")[0]["id"] for _, client in clients}
        doomed.freeze()
        for site, client in clients:
            if not expected_to_notice_silence(site.generation, site.transport):
                continue
            fate = witness.call("fate of", ids[client])
            assert fate == ["ping timeout", []], (site.generation, site.transport)
    finally:
        doomed.close()


def test_a_server_that_falls_silent(pulsing: ServerProcess, drivers: Drivers) -> None:
    """Clients notice that the server lives no more, by the figures it has announced."""
    clients = everywhere(drivers, pulsing.url)
    pulsing.freeze()
    for site, client in clients:
        reason = client.next("disconnect", timeout=10)
        assert reason == ["ping timeout"], (site.generation, site.transport)
    pulsing.thaw()
