"""What strangers try: half packets, private names, resets, noise in the log."""

from __future__ import annotations

import asyncio
import logging
import re
import resource
from collections.abc import Callable
from typing import Any, TypeVar

import pytest

from telex import NamespaceHandlers, Server, Socket
from tests.limits.test_slow_clients import stuck
from tests.rules.clients import PollingClient, WebSocketClient, target
from tests.support.raw import BINARY, CLOSE, PING, Connection, frame, upgrade_request

T = TypeVar("T")

HALF = '51-["x",{"_placeholder":true,"num":0}]'


async def in_thread(function: Callable[..., T], *args: Any) -> T:
    return await asyncio.to_thread(function, *args)


async def listening(io: Server) -> int:
    await io.listen(port=0)
    assert io.port is not None
    return io.port


async def until(condition: Callable[[], object]) -> None:
    """Wait until something has come true."""
    async with asyncio.timeout(30):
        while not condition():
            await asyncio.sleep(0.01)


def joined(port: int) -> WebSocketClient:
    client = WebSocketClient(port)
    client.connect()
    return client


async def test_half_packets_of_namespaces_that_are_left() -> None:
    """V-06: what has come of a packet goes with its namespace, whoever ends it."""
    io = Server()
    heard: list[Any] = []

    @io.of("/a").event("x")
    def half(_: Socket, data: Any) -> None:
        heard.append(data)

    @io.event
    def x(_: Socket, data: bytes) -> str:
        return f"{len(data)} bytes"

    port = await listening(io)
    client = await in_thread(joined, port)

    for _ in range(2):
        await in_thread(client.connect, "/a")
        await in_thread(client.send, f"4{HALF}".replace("51-", "52-/a,"))
        await in_thread(client.websocket.send, frame(BINARY, b"first"))
        await until(lambda: len(io._core._attachment_deadlines) == 1)
        [socket] = io.of("/a").sockets.values()
        socket.disconnect()
        assert await in_thread(client.text) == "41/a,"
        assert len(io._core._attachment_deadlines) == 0
        await in_thread(client.send, f"4{HALF}".replace("51-", "51-7"))
        await in_thread(client.websocket.send, frame(BINARY, b"whole"))
        assert await in_thread(client.text) == '437["5 bytes"]'
    assert heard == []
    client.websocket.connection.close()
    await io.close()


async def test_names_of_methods_are_no_events() -> None:
    """V-11: an object with handlers shows these, and nothing else of itself."""
    io = Server()
    called: list[str] = []

    class Chat(NamespaceHandlers):
        name = "chat"

        def on_disconnect(self, socket: Socket, reason: str) -> None:
            called.append(reason)

        def on_hello(self, socket: Socket) -> str:
            return "hello"

        def on_(self, socket: Socket) -> None:
            called.append("nothing")

        def _on_secret(self, socket: Socket) -> None:
            called.append("secret")

        def helper(self, socket: Socket) -> None:
            called.append("helper")

    io.register("/", Chat())
    port = await listening(io)

    def attack() -> None:
        with joined(port) as client:
            for name in ("helper", "_on_secret", "secret", "on_hello", "name", "__init__", "*"):
                client.send(f'421["{name}"]')
            client.send('422["hello"]')
            assert client.text() == '432["hello"]'
        for name in ("disconnect", "connect", "disconnecting"):
            with joined(port) as client:
                client.send(f'42["{name}","forged"]')
                assert client.websocket.close_code() == 1000

    await in_thread(attack)
    await io.close()
    assert called == ["transport close", *["forced close"] * 3]


@pytest.mark.parametrize("sid", ["nope", "__proto__"])
async def test_resets_while_an_upgrade_is_refused(
    sid: str, caplog: pytest.LogCaptureFixture
) -> None:
    """V-17: nobody hears of it, and nothing is left."""
    io = Server()

    @io.event
    def echo(socket: Socket, value: str) -> None:
        socket.emit("echo", value)

    def attack(port: int) -> None:
        for _ in range(200):
            connection = Connection(port)
            connection.send(upgrade_request(target("websocket", sid=sid)))
            connection.reset()
        with joined(port) as client:
            assert client.echoes()

    port = await listening(io)
    with caplog.at_level(logging.WARNING):
        await in_thread(attack, port)
    assert not [record for record in caplog.records if record.name != "asyncio"]
    await io.close()


async def test_secrets_and_noise_stay_out_of_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """V-26, V-33, V-57: no session ids, no raw control characters, few lines for a bad client."""
    io = Server(connection_state_recovery=True)
    secrets: list[str] = []

    @io.event
    def fails(_: Socket, text: str) -> None:
        raise ValueError("no")

    def attack(port: int) -> None:
        for bad in ('42["\\u001b[2J\\nFAKE",', "42\x1b[2J\nFAKE", '42["disconnect"]', "40/\x1b,"):
            with WebSocketClient(port) as client:
                secrets.append(client.sid)
                client.send("40")
                answer = client.text()
                secrets.extend(re.findall(r'"pid":"([^"]+)"', answer))
                client.send('42["fails","\\u001b[2J\\nFAKE"]', '42["\\u001b[2J\\nFAKE"]')
                client.send(*[bad] * 100)
                client.send("4 nonsense")
                while client.websocket.receive().opcode != CLOSE:
                    pass
        with PollingClient(port) as polling:
            secrets.append(polling.sid)

    port = await listening(io)
    with caplog.at_level(logging.INFO, "telex"):
        await in_thread(attack, port)
        await io.close()
    assert len(secrets) == 4 * 2 + 1
    lines = [record.getMessage() for record in caplog.records if record.name == "telex"]
    # A line for each handler that failed and each connection that was closed; of the hundred
    # namespaces that one client has asked for, ten and their sum.
    assert len(lines) == 4 + 4 + 10 + 1
    assert lines[-1] == "90 more within 60 s: refused, there is no such namespace"
    for line in lines:
        assert len(line) < 400
        assert line.isprintable()
        assert not [secret for secret in secrets if secret in line]


async def test_pings_of_a_client_that_does_not_read_the_pongs() -> None:
    """V-45: the answers do not pile up."""
    io = Server()
    port = await listening(io)
    client = await in_thread(stuck, port)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    def attack() -> None:
        pings = frame(PING, b"x" * 125) * 500
        client.websocket.connection._socket.settimeout(0.5)
        try:
            for _ in range(600):
                client.websocket.connection._socket.sendall(pings)
        except (TimeoutError, ConnectionError):
            pass

    await in_thread(attack)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 16 * 1024
    client.websocket.connection.close()
    await io.close()
