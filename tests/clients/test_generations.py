"""Every released generation of the JavaScript client over every transport."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from tests.clients.javascript import Drivers, Generation, Transport
from tests.clients.subject import expected_of_server, start_server
from tests.clients.topics import TOPICS, Site, Topic
from tests.support.servers import ServerProcess

GENERATIONS: tuple[Generation, ...] = get_args(Generation)
TRANSPORTS: tuple[Transport, ...] = get_args(Transport)

CASES = [
    pytest.param(generation, transport, topic, id=f"{generation}-{transport}-{topic.__name__}")
    for generation in GENERATIONS
    for transport in TRANSPORTS
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
        self.process = start_server(self.port)


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


@pytest.mark.parametrize("transport", TRANSPORTS)
@pytest.mark.parametrize("generation", GENERATIONS)
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
