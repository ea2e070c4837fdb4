"""What the HTTP server limits holds for WebSockets on every road, too."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from telex import EngineServer, Server
from telex.types import App
from tests.fronts.wires import get, hosting, upgrade
from tests.support.raw import close_frame

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
POLLING = "/socket.io/?EIO=4&transport=polling"

APPS: dict[str, Callable[[], App]] = {
    "alone": Server,
    "an engine": lambda: EngineServer(path="/socket.io"),
    "compressed": lambda: Server(per_message_deflate=True),
    "mounted": lambda: Starlette(routes=[Mount("/", Server())]),
    "two servers": lambda: Server(Server(path="/other")),
}


@pytest.fixture(params=APPS)
def app(request: pytest.FixtureRequest) -> App:
    return APPS[request.param]()


async def test_limit_concurrency(app: App) -> None:
    """WebSockets count as connections, and there are no more of them than of others."""
    async with hosting(app, limit_concurrency=4) as connect:
        first, second, third = [await connect() for _ in range(3)]
        for wire in (first, second):
            assert b" 101 " in await wire.ask(upgrade(WEBSOCKET))
        assert b" 200 " in await third.ask(get(POLLING))
        for request in (upgrade(WEBSOCKET), get(POLLING), upgrade("/elsewhere")):
            wire = await connect()
            assert b" 503 " in await wire.ask(request)
            assert await wire.ended()
        await first.send(close_frame(1000))
        await first.ended()
        assert b" 101 " in await (await connect()).ask(upgrade(WEBSOCKET))


@pytest.mark.parametrize("target", [WEBSOCKET, "/elsewhere"])
async def test_a_websocket_needs_http_1_1(app: App, target: str) -> None:
    async with hosting(app) as connect:
        wire = await connect()
        answer = await wire.ask(upgrade(target).replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert b" 400 " in answer
        assert b"HTTP/1.1" in answer
        assert await wire.ended()
