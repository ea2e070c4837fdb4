"""The same behaviour under every kind of host.

`io.listen`, with the fast WebSocket path, is what test_generations.py runs on; here are the other
hosts, and what an application has around telex: neighbours, mounts, a proxy's prefix.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from http.client import HTTPConnection

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect as connect_websocket

from tests.clients import topics
from tests.clients.javascript import Drivers, Generation, Transport
from tests.clients.topics import Site, Topic
from tests.support.servers import HostKind, ServerProcess, start_application

GENERATIONS: tuple[Generation, ...] = (2, 4)
TRANSPORTS: tuple[Transport, ...] = ("polling", "websocket", "upgrade")

# Every topic that depends on how a host hands over requests, frames, or their end.
OF_A_HOST: tuple[Topic, ...] = (
    topics.connect,
    topics.events,
    topics.order,
    topics.server_acks,
    topics.client_acks,
    topics.text,
    topics.binary,
    topics.binary_acks,
    topics.rooms,
    topics.namespace,
    topics.client_disconnect,
    topics.server_disconnect,
    topics.server_close,
    topics.client_close,
    topics.connection_lost,
    topics.refusal,
    topics.unknown_namespace,
)

OF_A_MOUNT: tuple[Topic, ...] = (
    topics.connect,
    topics.order,
    topics.server_acks,
    topics.client_acks,
    topics.text,
    topics.binary,
    topics.rooms,
    topics.server_close,
    topics.connection_lost,
    topics.refusal,
)

OF_THE_SAME_HOST: tuple[Topic, ...] = (topics.connect, topics.order, topics.server_close)

HOSTS: dict[HostKind, tuple[str, tuple[Topic, ...]]] = {
    "run": ("/socket.io", OF_THE_SAME_HOST),
    "uvicorn": ("/socket.io", OF_A_HOST),
    "hypercorn": ("/socket.io", OF_A_HOST),
    "starlette": ("/rt/socket.io", OF_A_MOUNT),
    # FastAPI mounts as Starlette does.
    "fastapi": ("/rt/socket.io", (topics.connect, topics.binary, topics.server_close)),
}

CASES = [
    pytest.param(
        kind, generation, transport, topic, id=f"{kind}-{generation}-{transport}-{topic.__name__}"
    )
    for kind, (_, host_topics) in HOSTS.items()
    for generation in GENERATIONS
    for transport in TRANSPORTS
    for topic in host_topics
]


class Servers:
    """One server of each kind, started when it is first needed."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        self._servers: dict[tuple[str, ...], ServerProcess] = {}

    def get(self, kind: HostKind, *arguments: str) -> ServerProcess:
        key = (kind, *arguments)
        if key not in self._servers:
            server = start_application("behaviour", *arguments, host_kind=kind)
            self._servers[key] = self._stack.enter_context(server)
        return self._servers[key]


@pytest.fixture(scope="module")
def servers() -> Iterator[Servers]:
    with ExitStack() as stack:
        yield Servers(stack)


def get(server: ServerProcess, path: str) -> tuple[int, str]:
    """Status and body of a GET request."""
    connection = HTTPConnection("127.0.0.1", server.port, timeout=5)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        return response.status, response.read().decode()
    finally:
        connection.close()


@pytest.mark.parametrize(("kind", "generation", "transport", "topic"), CASES)
def test_topic(
    servers: Servers,
    drivers: Drivers,
    kind: HostKind,
    generation: Generation,
    transport: Transport,
    topic: Topic,
) -> None:
    path, _ = HOSTS[kind]
    topic(Site(drivers[generation], transport, servers.get(kind).url, path))


@pytest.mark.parametrize("kind", ["fast", "uvicorn", "hypercorn"])
def test_neighbour(servers: Servers, drivers: Drivers, kind: HostKind) -> None:
    """`Server(app=…)` passes on what is not its own: requests, WebSockets, the lifespan."""
    server = servers.get(kind, "--neighbour")
    # It answers so only after its lifespan has started.
    assert get(server, "/hello") == (200, "hello from the neighbour")
    assert get(server, "/") == (404, "nothing here")
    assert get(server, "/socket.iox/") == (404, "nothing here")
    with connect_websocket(f"ws://127.0.0.1:{server.port}/echo") as websocket:
        websocket.send("你好")
        assert websocket.recv(timeout=5) == "neighbour: 你好"
    with pytest.raises(InvalidStatus, match="403"):
        connect_websocket(f"ws://127.0.0.1:{server.port}/elsewhere")
    for transport in TRANSPORTS:
        topics.connect(Site(drivers[4], transport, server.url))


@pytest.mark.parametrize("kind", ["fast", "uvicorn", "hypercorn"])
def test_alone(servers: Servers, kind: HostKind) -> None:
    """Without another application, other paths do not exist."""
    server = servers.get(kind)
    status, _ = get(server, "/hello")
    assert status == 404
    with pytest.raises(InvalidStatus):
        connect_websocket(f"ws://127.0.0.1:{server.port}/echo")


@pytest.mark.parametrize(
    ("kind", "home"), [("starlette", "hello from starlette"), ("fastapi", '"hello from fastapi"')]
)
def test_mounted(servers: Servers, kind: HostKind, home: str) -> None:
    """Mounted at a sub-path, telex answers there and nowhere else."""
    server = servers.get(kind)
    assert get(server, "/") == (200, home)
    for foreign in ("/socket.io/?EIO=4&transport=polling", "/rt/", "/rt/hello"):
        status, _ = get(server, foreign)
        assert status == 404, foreign
    status, body = get(server, "/rt/socket.io/?EIO=4&transport=polling")
    assert status == 200
    assert body.startswith('0{"sid":"')


@pytest.mark.parametrize("transport", TRANSPORTS)
def test_root_path(servers: Servers, drivers: Drivers, transport: Transport) -> None:
    """Behind a proxy that takes a prefix off, which the host puts back as `root_path`."""
    server = servers.get("uvicorn", "--root-path", "/behind/a/proxy")
    topics.connect(Site(drivers[4], transport, server.url))


@pytest.mark.parametrize("kind", ["fast", *HOSTS])
def test_shutdown(drivers: Drivers, kind: HostKind) -> None:
    """A server that is told to stop ends within its grace period, and no client waits for it."""
    path, _ = HOSTS.get(kind, ("/socket.io", ()))
    with start_application("behaviour", host_kind=kind) as server:
        clients = [
            Site(drivers[generation], transport, server.url, path).join()
            for generation in GENERATIONS
            for transport in TRANSPORTS
        ]
        server.stop()
        for client in clients:
            assert client.next("disconnect") == ["transport close"]
