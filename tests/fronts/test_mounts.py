"""telex mounted in frameworks, at other paths than the usual one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from litestar import Litestar, asgi
from starlette.applications import Starlette
from starlette.routing import Mount

from telex import Server
from telex.types import App
from tests.fronts.wires import get, hosting, upgrade


def in_starlette(mount: str, io: Server) -> App:
    return Starlette(routes=[Mount(mount, io)])


def in_litestar(mount: str, io: Server) -> Any:
    handler: Any = io
    mounted = asgi(mount, is_mount=True, copy_scope=True)(handler)
    return Litestar([mounted], lifespan=[io.lifespan], logging_config=None)


@pytest.mark.parametrize("make", [in_starlette, in_litestar])
@pytest.mark.parametrize("host", [{}, {"http": "httptools"}])
@pytest.mark.parametrize(
    ("mount", "path", "client"),
    [
        ("/ws", "/socket.io", "/ws/socket.io"),
        ("/ws", "/ws/socket.io", "/ws/socket.io"),
        ("/socket.io", "/socket.io", "/socket.io"),
    ],
)
async def test_a_mount(
    make: Callable[[str, Server], App], host: dict[str, Any], mount: str, path: str, client: str
) -> None:
    async with hosting(make(mount, Server(path=path)), **host) as connect:
        polling = await connect()
        for target in (f"{client}/?EIO=4&transport=polling", f"{client}/socket.io.min.js"):
            assert b" 200 " in (await polling.ask(get(target))).partition(b"\r\n")[0]
        opened = await (await connect()).ask(upgrade(f"{client}/?EIO=4&transport=websocket"))
        assert opened.startswith(b"HTTP/1.1 101 ")
        wrong = await (await connect()).ask(get(f"{mount}/other/?EIO=4&transport=polling"))
        assert wrong.startswith(b"HTTP/1.1 404 ")
        assert f'option path: "{client}"'.encode() in wrong
