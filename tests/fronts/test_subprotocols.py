"""WebSocket subprotocols, refusals and their log, on every road and host."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import pytest
from hypercorn import asyncio as hypercorn
from hypercorn.config import Config
from starlette.applications import Starlette
from starlette.routing import Mount

from telex import ConfigurationError, EngineServer, Request, Server
from telex.types import App
from tests.fronts.wires import Wire, call, hosting, upgrade

Connect = Callable[[], Awaitable[Wire]]

WEBSOCKET = "/socket.io/?EIO=4&transport=websocket"
HOSTS: dict[str, dict[str, Any]] = {
    "fast": {},
    "without lifespan": {"lifespan": "off"},
    "mounted": {},
    "compressed": {},
    "uvicorn": {"http": "httptools"},
    "wsproto": {"http": "h11", "ws": "wsproto"},
    "hypercorn": {},
}


@asynccontextmanager
async def served(host: str, **options: Any) -> AsyncGenerator[Connect]:
    server = Server(per_message_deflate=host == "compressed", **options)
    app: App = Starlette(routes=[Mount("/", server)]) if host == "mounted" else server
    if host == "hypercorn":
        async with in_hypercorn(app) as connect:
            yield connect
    else:
        async with hosting(app, **HOSTS[host]) as connect:
            yield connect
    await server.close()


@asynccontextmanager
async def in_hypercorn(app: App) -> AsyncGenerator[Connect]:
    config = Config()
    config.graceful_timeout = 1
    stop = asyncio.Event()
    async with AsyncExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        port = listener.getsockname()[1]
        config.bind = [f"fd://{os.dup(listener.fileno())}"]  # which hypercorn closes itself
        hosted: Any = app
        serve: Any = vars(hypercorn)["serve"]
        serving = asyncio.create_task(
            serve(hosted, config, shutdown_trigger=stop.wait, mode="asgi")
        )
        stack.push_async_callback(lambda: serving)
        stack.callback(stop.set)
        yield lambda: call(port, stack)


def header(answer: bytes, name: bytes) -> list[bytes]:
    lines = [line.partition(b": ") for line in answer.split(b"\r\n")]
    return [value for key, _, value in lines if key.lower() == name]


@pytest.mark.parametrize("host", HOSTS)
async def test_the_first_offer_is_accepted(host: str) -> None:
    """Browsers close a connection that answers none of the subprotocols they have offered."""
    first = b"b" if host == "hypercorn" else b"a"  # it takes the last of two headers
    async with served(host) as connect:
        for offer, answered in [
            (["Sec-WebSocket-Protocol: chat.v2, chat"], [b"chat.v2"]),
            (["Sec-WebSocket-Protocol: a", "Sec-WebSocket-Protocol: b,c"], [first]),
            ([], []),
        ]:
            wire = await connect()
            answer = await wire.ask(upgrade(WEBSOCKET, *offer))
            assert answer.split()[1] == b"101", answer
            assert header(answer, b"sec-websocket-protocol") == answered


@pytest.mark.parametrize("host", HOSTS)
async def test_the_application_chooses(host: str) -> None:
    asked: list[tuple[list[str], str]] = []

    def choose(protocols: list[str], request: Request) -> str | None:
        asked.append((protocols, request.query["transport"]))
        if "fail" in protocols:
            raise RuntimeError("no choice")
        return "other" if "odd" in protocols else next((p for p in protocols if p == "b"), None)

    async with served(host, handle_protocols=choose) as connect:
        for offer, status, answered in [
            ("a, b", b"101", [b"b"]),
            ("a", b"101", []),
            ("odd", b"400", []),
            ("fail", b"400", []),
        ]:
            answer = await (await connect()).ask(
                upgrade(WEBSOCKET, f"Sec-WebSocket-Protocol: {offer}")
            )
            assert answer.split()[1] == status
            assert header(answer, b"sec-websocket-protocol") == answered
        assert b" 101 " in await (await connect()).ask(upgrade(WEBSOCKET))
    assert asked == [(offer, "websocket") for offer in (["a", "b"], ["a"], ["odd"], ["fail"])]


@pytest.mark.parametrize("host", HOSTS)
async def test_what_is_no_list_is_refused(host: str) -> None:
    offers = ["a b", "a, a", "a,,b", '"a"']
    if host not in ("wsproto", "hypercorn"):  # hosts that fail at what is not ASCII themselves
        offers += ["caf\xe9", ""]
    async with served(host) as connect:
        for offer in offers:
            wire = await connect()
            answer = await wire.ask(upgrade(WEBSOCKET, f"Sec-WebSocket-Protocol: {offer}"))
            assert answer.split()[1] == b"400", offer


@pytest.mark.parametrize("host", HOSTS)
async def test_a_refusal_is_no_error_of_the_host(
    host: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    async with served(host, origins=["https://a.example"]) as connect:
        for target, lines, status in [
            (WEBSOCKET + "&sid=nobody", (), b"400"),
            (WEBSOCKET.replace("EIO=4", "EIO=9"), (), b"400"),
            (WEBSOCKET, ("Origin: https://evil.example",), b"403"),
            (WEBSOCKET.replace("socket.io", "elsewhere"), (), b"404"),
        ]:
            wire = await connect()
            answer = await wire.ask(upgrade(target, *lines))
            assert answer.split()[1] == status
            assert await wire.ended()
    assert [record.message for record in caplog.records if record.levelno > logging.WARNING] == []


async def test_only_plain_functions_choose() -> None:
    async def later(protocols: list[str], request: Request) -> str | None:
        return None

    wrong: Any
    for wrong in (later, "chat", ["chat"]):
        with pytest.raises(ConfigurationError, match="handle_protocols must be a plain callable"):
            EngineServer(handle_protocols=wrong)
