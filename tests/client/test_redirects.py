"""Servers that send clients somewhere else: followed to the same server, named otherwise."""

from __future__ import annotations

import math
from typing import Literal

import pytest

import telex
from telex.options import TransportName
from tests.client.counterparts import Clients, Counterpart
from tests.support.proxy import Answer, Fault, Phase, Proxy

FIRST: dict[str, Phase] = {"polling": "handshake", "websocket": "open"}

pytestmark = pytest.mark.parametrize("kind", ["telex"])
transports = pytest.mark.parametrize("transport", list(FIRST))


def redirect(status: int, location: str) -> Answer:
    return Answer(status, "", (("Location", location),))


@transports
@pytest.mark.parametrize("status", [301, 302, 307, 308])
async def test_to_another_path(
    clients: Clients, server: Counterpart, transport: Literal["polling", "websocket"], status: int
) -> None:
    async with await Proxy.start(int(server.url().rpartition(":")[2])) as proxy:
        proxy.add(Fault(FIRST[transport], redirect(status, "/socket.io/?EIO=4")))
        socket = clients.keep(
            telex.connect(proxy.url, path="/old", transports=[transport], force_new=True)
        )
        await socket
        assert await socket.emit_with_ack("answer", 1) == 1
        await socket.disconnect()
        asked = [unit.data.split(b"?")[0] for unit in proxy.units if b" HTTP/1.1" in unit.data]
        paths = [line.split(b" ")[1] for line in asked if line[:4] in (b"GET ", b"POST")]
        assert paths[0] == b"/old/"
        assert set(paths[1:]) == {b"/socket.io/"}


@transports
async def test_for_ever(clients: Clients, server: Counterpart, transport: TransportName) -> None:
    async with await Proxy.start(int(server.url().rpartition(":")[2])) as proxy:
        phase = FIRST[transport]
        proxy.add(Fault(phase, redirect(302, "/socket.io/"), times=math.inf))
        socket = clients.keep(
            telex.connect(proxy.url, transports=[transport], force_new=True, reconnection=False)
        )
        with pytest.raises(telex.ConnectError, match="redirected to"):
            await socket
        assert proxy.phases().count(phase) == 6


@transports
async def test_elsewhere(clients: Clients, server: Counterpart, transport: TransportName) -> None:
    async with await Proxy.start(int(server.url().rpartition(":")[2])) as proxy:
        place = "https://chat.example/socket.io/"
        proxy.add(Fault(FIRST[transport], redirect(308, f"{place}?EIO=4"), times=math.inf))
        socket = clients.keep(
            telex.connect(proxy.url, transports=[transport], force_new=True, reconnection=False)
        )
        with pytest.raises(telex.ConnectError, match=f"308: redirected to {place}: connect to"):
            await socket


@transports
async def test_refusals_are_told_in_the_words_of_the_server(
    clients: Clients, server: Counterpart, transport: TransportName
) -> None:
    async with await Proxy.start(int(server.url().rpartition(":")[2])) as proxy:
        body = '{"code":4,"message":"come back with a token"}'
        said = Answer(403, body, (("Content-Type", "application/json"),))
        proxy.add(Fault(FIRST[transport], said, times=math.inf))
        socket = clients.keep(
            telex.connect(proxy.url, transports=[transport], force_new=True, reconnection=False)
        )
        with pytest.raises(telex.ConnectError, match="403: come back with a token") as raised:
            await socket
        assert raised.value.context == body
