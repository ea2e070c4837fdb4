"""docs/differences.md: the same bytes sent to Node's server and to telex, and what each answers.

Node's side is tested so that the page stays true when its server changes. What both do alike is
for other tests.
"""

from __future__ import annotations

import asyncio
import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from telex import Ack, Server, Socket
from tests.rules.clients import PollingClient, WebSocketClient, target
from tests.support.node import node
from tests.support.raw import (
    CLOSE,
    Connection,
    Ended,
    Refused,
    WebSocket,
    exchange,
    request,
)
from tests.support.servers import ServerProcess

CLOSED = "the connection is closed"
ENDED = "the process has ended"
MARKER = '42["echo","marker"]'
EVIL = ("Origin", "https://evil.example")

Run = Callable[[int], object]


class NodeServers:
    """Node's server with some options, started again when a test has ended it."""

    def __init__(self) -> None:
        self._running: dict[str, ServerProcess] = {}

    def port(self, **options: object) -> int:
        key = json.dumps(options)
        server = self._running.get(key)
        if server is None or not server.running:
            if server is not None:
                server.kill()
            script = Path(__file__).with_name("node_server.js")
            server = self._running[key] = ServerProcess([node(), str(script), key])
        return server.port

    def close(self) -> None:
        for server in self._running.values():
            server.kill()


@pytest.fixture(scope="module")
def node_servers() -> Iterator[NodeServers]:
    servers = NodeServers()
    yield servers
    servers.close()


def application(**options: Any) -> Server:
    """The application of node_server.js."""
    io = Server(origins=["https://ok.example"], **options)
    asked = ["nothing"]

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("echo")
        def echo(*args: object, ack: Ack | None = None) -> None:
            if ack is not None:
                ack(*args)
            else:
                socket.emit("echo", *args)

        @socket.on("nobody")
        def nobody() -> None:
            io.to([]).emit("everybody")

        @socket.on("ask")
        def ask() -> None:
            def settled(error: Exception | None, *answer: object) -> None:
                asked[0] = "settled"

            asked[0] = "waits"
            socket.timeout(60).emit("question", ack=settled)

        @socket.on("asked")
        def outcome() -> str:
            return asked[0]

        @socket.on("late")
        async def late() -> None:
            await asyncio.sleep(0.05)
            socket.emit("late")

        @socket.on("early")
        async def early() -> None:
            socket.emit("early")

        @socket.on("fail")
        def fail() -> None:
            raise RuntimeError("a mistake of the application")

    return io


@pytest.fixture
async def telex_server() -> AsyncIterator[Server]:
    io = application()
    await io.listen(port=0)
    yield io
    await io.close()


async def both(node_port: int, io: Server, run: Run) -> tuple[object, object]:
    """What Node's server and telex answer."""
    assert io.port is not None
    return await asyncio.to_thread(run, node_port), await asyncio.to_thread(run, io.port)


# -- packets ----------------------------------------------------------------------------------


def answers(client: WebSocketClient, last: str = MARKER) -> list[str]:
    """What comes until `last`, or until the end."""
    found: list[str] = []
    try:
        while True:
            received = client.websocket.receive()
            if received.opcode == CLOSE:
                return [*found, CLOSED]
            text = received.payload.decode()
            if text == last:
                return found
            found.append(text)
    except Ended:
        return [*found, ENDED]


def say(*messages: str | bytes) -> Run:
    """Send messages over a WebSocket that has joined `/`; the answers before that to a marker."""

    def run(port: int) -> list[str]:
        with WebSocketClient(port) as client:
            client.connect()
            for message in messages:
                if isinstance(message, bytes):
                    client.websocket.send_binary(message)
                else:
                    client.send(message)
            client.send(MARKER)
            return answers(client)

    return run


class Packet(NamedTuple):
    """Messages, and the answers of Node's server and of telex."""

    id: str
    messages: list[str | bytes]
    node: list[str]
    telex: list[str]


PLACEHOLDER = '["echo",{"_placeholder":true,"num":%s}]'
DEEP = "[" * 5000 + "]" * 5000
FAILURE = '437[{"error":{"type":"HandlerError","message":"the handler failed"}}]'

PACKETS = [
    Packet(
        "ack id of 22 digits",
        ['429999999999999999999999["echo",1]'],
        ["431e+22[1]"],
        [CLOSED],
    ),
    Packet("ack id of 400 digits", [f'42{"9" * 400}["echo",1]'], ["43Infinity[1]"], [CLOSED]),
    Packet("space before the payload", ['42 ["echo",1]'], ["430[1]"], ['42["echo",1]']),
    Packet("event without payload", ["42"], [], [CLOSED]),
    Packet(
        "fractional placeholder",
        ["451-" + PLACEHOLDER % 0.5, b"data"],
        ['42["echo",null]'],
        [CLOSED],
    ),
    Packet("number out of range", ['42["echo",1e400]'], ['42["echo",null]'], [CLOSED]),
    Packet(
        "integer beyond 2^53",
        ['42["echo",9007199254740993]'],
        ['42["echo",9007199254740992]'],
        ['42["echo",9007199254740993]'],
    ),
    Packet("5,000 arrays in one another", [f'42["echo",{DEEP}]'], [ENDED], [CLOSED]),
    Packet("close packet over a WebSocket", ["1"], [], [CLOSED]),
    Packet("handler that raises", ['427["fail"]'], [ENDED], [FAILURE]),
    Packet("broadcast to no rooms", ['42["nobody"]'], ['42["everybody"]'], []),
]


@pytest.mark.parametrize("packet", [pytest.param(packet, id=packet.id) for packet in PACKETS])
async def test_packet(packet: Packet, node_servers: NodeServers, telex_server: Server) -> None:
    found = await both(node_servers.port(), telex_server, say(*packet.messages))
    assert found == (packet.node, packet.telex)


async def test_attachments_are_counted_in_digits(
    node_servers: NodeServers, telex_server: Server
) -> None:
    """Node reads `1e0` as 1, and the event arrives with its attachment."""

    def run(port: int) -> object:
        with WebSocketClient(port) as client:
            client.connect()
            client.send("451e0-" + PLACEHOLDER % 0)
            client.websocket.send_binary(b"data")
            found = answers(client, '451-["echo",{"_placeholder":true,"num":0}]')
            return found or client.message()

    assert await both(node_servers.port(), telex_server, run) == (b"data", [CLOSED])


async def test_a_second_connect_before_the_first_is_answered(
    node_servers: NodeServers, telex_server: Server
) -> None:
    """Node makes two sockets, of which the connection knows the second only."""

    def run(port: int) -> object:
        with WebSocketClient(port) as client:
            client.send("40", "40")
            assert client.text().startswith('40{"sid":')
            received = client.websocket.receive()
            return CLOSED if received.opcode == CLOSE else received.payload[:9].decode()

    assert await both(node_servers.port(), telex_server, run) == ('40{"sid":', CLOSED)


async def test_the_name_of_a_namespace_is_limited(
    node_servers: NodeServers, telex_server: Server
) -> None:
    def run(port: int) -> object:
        with WebSocketClient(port) as client:
            client.connect()
            client.send(f"40/{name},", MARKER)
            return answers(client)

    name = "n" * 300
    refusal = f'44/{name},{{"message":"Invalid namespace"}}'
    assert await both(node_servers.port(), telex_server, run) == ([refusal], [CLOSED])


async def test_order(node_servers: NodeServers, telex_server: Server) -> None:
    """An event behind one whose handler waits."""

    def run(port: int) -> object:
        with WebSocketClient(port) as client:
            client.connect()
            client.send('42["late"]', '42["early"]')
            return [client.text(), client.text()]

    early, late = '42["early"]', '42["late"]'
    found = await both(node_servers.port(), telex_server, run)
    assert found == ([early, late], [late, early])


async def test_an_answer_of_a_client_that_leaves(
    node_servers: NodeServers, telex_server: Server
) -> None:
    def run(port: int) -> object:
        with WebSocketClient(port) as client:
            client.connect()
            client.send('42["ask"]')
            assert client.text().endswith('["question"]')
            client.send("41")
        with WebSocketClient(port) as client:
            client.connect()
            client.send('427["asked"]')
            return client.text()

    found = await both(node_servers.port(), telex_server, run)
    assert found == ('437["waits"]', '437["settled"]')


# -- requests ---------------------------------------------------------------------------------


def websocket_status(port: int, to: str, *headers: tuple[str, str]) -> int:
    """The status with which a WebSocket is opened or refused."""
    try:
        with WebSocket(port, to, headers):
            return 101
    except Refused as refused:
        return refused.answer.status


async def test_origin_of_a_websocket(node_servers: NodeServers, telex_server: Server) -> None:
    def run(port: int) -> object:
        return websocket_status(port, target("websocket"), EVIL)

    assert await both(node_servers.port(), telex_server, run) == (101, 403)


async def test_origin_of_a_poll(node_servers: NodeServers, telex_server: Server) -> None:
    def run(port: int) -> object:
        return exchange(port, request("GET", target("polling"), [EVIL])).status

    assert await both(node_servers.port(), telex_server, run) == (200, 403)


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_request_without_eio(
    transport: str, node_servers: NodeServers, telex_server: Server
) -> None:
    """With `allowEIO3`, Node takes it for Engine.IO 3."""
    to = f"/socket.io/?transport={transport}"

    def run(port: int) -> object:
        if transport == "websocket":
            return websocket_status(port, to)
        return exchange(port, request("GET", to)).status

    node_status = 101 if transport == "websocket" else 200
    assert await both(node_servers.port(), telex_server, run) == (node_status, 400)


async def test_a_websocket_that_says_polling(
    node_servers: NodeServers, telex_server: Server
) -> None:
    def run(port: int) -> object:
        return websocket_status(port, target("polling"))

    assert await both(node_servers.port(), telex_server, run) == (101, 400)


async def test_upgrades_that_are_not_allowed(node_servers: NodeServers) -> None:
    io = application(allow_upgrades=False)
    await io.listen(port=0)

    def run(port: int) -> object:
        with PollingClient(port) as polling:
            assert polling.open["upgrades"] == []
            return websocket_status(port, polling.target("websocket"))

    assert await both(node_servers.port(allowUpgrades=False), io, run) == (101, 400)
    await io.close()


async def test_an_id_that_is_taken(node_servers: NodeServers) -> None:
    io = application()
    io.engine.generate_id = lambda request: "the only one"
    await io.listen(port=0)

    def run(port: int) -> object:
        handshake = request("GET", target("polling"))
        return [exchange(port, handshake).status for _ in range(2)]

    assert await both(node_servers.port(oneId=True), io, run) == ([200, 200], [200, 400])
    await io.close()


async def test_methods(node_servers: NodeServers, telex_server: Server) -> None:
    def run(port: int) -> object:
        with PollingClient(port) as polling:
            return exchange(port, request("PUT", polling.target("polling"))).status

    assert await both(node_servers.port(), telex_server, run) == (500, 405)


async def test_compressed_bodies(node_servers: NodeServers, telex_server: Server) -> None:
    def run(port: int) -> object:
        with PollingClient(port) as polling:
            status = polling.post(gzip.compress(b"40"), [("Content-Encoding", "gzip")]).status
            gone = exchange(port, polling.post_request("40")).status == 400
            return status, "gone" if gone else "goes on"

    found = await both(node_servers.port(), telex_server, run)
    assert found == ((200, "gone"), (415, "goes on"))


@pytest.mark.parametrize(
    ("to", "status"), [("/elsewhere", 404), (target("polling", path="/socket.io"), 200)]
)
async def test_paths(to: str, status: int, node_servers: NodeServers, telex_server: Server) -> None:
    """Another path, and that of the engine without the slash: Node leaves them to others."""

    def run(port: int) -> object:
        with Connection(port) as connection:
            connection.send(request("GET", to))
            return None if connection.silent(0.3) else connection.answer().status

    assert await both(node_servers.port(), telex_server, run) == (None, status)
