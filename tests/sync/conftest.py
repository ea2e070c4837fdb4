"""Fixtures of the blocking client's tests: real servers, and nothing left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import telex
from telex.sync import ClientSocket
from tests.client.conftest import counterparts
from tests.client.counterparts import Counterpart, Counterparts, Kind
from tests.sync.waiting import threads, until

__all__ = ["counterparts"]

KINDS: tuple[Kind, ...] = ("telex", "socket.io-4")


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    """After each test no thread of telex is left."""
    yield
    until(lambda: not threads())


@pytest.fixture(params=KINDS)
def server(request: pytest.FixtureRequest, counterparts: Counterparts) -> Counterpart:
    """A server of telex, and one of Node."""
    return counterparts[request.param]


@pytest.fixture
def telex_server(counterparts: Counterparts) -> Counterpart:
    """A server of telex, where it does not matter."""
    return counterparts["telex"]


@pytest.fixture
def socket(telex_server: Counterpart) -> Iterator[ClientSocket]:
    """A connected socket."""
    with telex.sync.connect(telex_server.url(), force_new=True) as socket:
        yield socket
