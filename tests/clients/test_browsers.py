"""The browser builds of every generation in a real browser.

A browser is not Node: its XMLHttpRequest carries bytes, so that polling has other forms for 1.x
and 2.x, and bytes are ArrayBuffers.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

import pytest

from tests.clients import topics
from tests.clients.javascript import Drivers, Generation, Transport
from tests.clients.subject import expected_of_server, start_server
from tests.clients.topics import Site, Topic
from tests.support.servers import ServerProcess

# WebSocket alone is no different from Node.
TRANSPORTS: tuple[Transport, ...] = ("polling", "upgrade")

OF_A_BROWSER: tuple[Topic, ...] = (
    topics.connect,
    topics.text,
    topics.text_acks,
    topics.binary,
    topics.binary_acks,
    topics.rooms,
    topics.refusal,
    topics.server_close,
)

CASES = [
    pytest.param(generation, transport, topic, id=f"{generation}-{transport}-{topic.__name__}")
    for generation in get_args(Generation)
    for transport in TRANSPORTS
    for topic in OF_A_BROWSER
    if expected_of_server(generation, transport, topic)
]


@pytest.fixture(scope="module")
def server() -> Iterator[ServerProcess]:
    with start_server() as server:
        yield server


@pytest.fixture(scope="module")
def browsers(server: ServerProcess) -> Iterator[Drivers]:
    browsers = Drivers(browser=True)
    yield browsers
    browsers.close()


@pytest.mark.parametrize(("generation", "transport", "topic"), CASES)
def test_topic(
    server: ServerProcess,
    browsers: Drivers,
    generation: Generation,
    transport: Transport,
    topic: Topic,
) -> None:
    browser = browsers[generation]
    browser.visit(f"{server.url}/socket.io/?a=page")  # the server has none better
    topic(Site(browser, transport, server.url))


OVER_JSONP: tuple[Topic, ...] = (
    topics.connect,
    topics.order,
    topics.text,
    topics.binary,
    topics.server_close,
)

OLD_CASES = [
    pytest.param(generation, topic, id=f"{generation}-{topic.__name__}")
    for generation in get_args(Generation)[:2]
    for topic in OVER_JSONP
    if expected_of_server(generation, "polling", topic)
]


@pytest.mark.parametrize(("generation", "topic"), OLD_CASES)
def test_jsonp(
    server: ServerProcess, browsers: Drivers, generation: Generation, topic: Topic
) -> None:
    """Scripts and forms, for browsers that could not do better in the days of 1.x and 2.x."""
    browser = browsers[generation]
    browser.visit(f"{server.url}/socket.io/?a=page")
    topic(Site(browser, "polling", server.url, force_jsonp=True))
