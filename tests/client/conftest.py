"""Fixtures of the client's tests with real servers."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from tests.client.counterparts import Clients, Counterpart, Counterparts, Kind, Scene, Transport


@pytest.fixture(scope="session")
def counterparts() -> Iterator[Counterparts]:
    """Servers of every kind, shared by all tests."""
    counterparts = Counterparts()
    yield counterparts
    counterparts.stop()


@pytest.fixture
def server(kind: Kind, counterparts: Counterparts) -> Counterpart:
    """The server of the kind that the test is run with."""
    return counterparts[kind]


@pytest.fixture
async def clients() -> AsyncIterator[Clients]:
    """Clients that are closed after the test."""
    clients = Clients()
    yield clients
    await clients.close()


@pytest.fixture
def scene(server: Counterpart, transport: Transport, clients: Clients) -> Scene:
    """The server, reached over the transport that the test is run with."""
    return Scene(server, transport, clients)
