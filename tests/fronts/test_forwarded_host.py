"""Behind a trusted proxy, the host that it was asked for decides what the same origin is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount

from telex import Server
from telex.types import App
from tests.fronts.wires import hosting, visit


def mounted() -> App:
    return Starlette(routes=[Mount("/", Server())])


SERVED = [200, 200, 200, 101, 200, 101, 101]

ORIGIN = "Origin: https://public.example"
PROTO = "X-Forwarded-Proto: https"
HOST = "X-Forwarded-Host: public.example"


@pytest.mark.parametrize(
    ("make", "options"),
    [
        (Server, {}),
        (Server, {"lifespan": "off"}),
        (Server, {"root_path": "/behind"}),
        (Server, {"limit_concurrency": 100}),
        (mounted, {}),
    ],
)
async def test_a_trusted_proxy(make: Callable[[], App], options: dict[str, Any]) -> None:
    async with hosting(make(), **options) as connect:
        assert await visit(connect, ORIGIN, PROTO, HOST) == SERVED
        assert await visit(connect, ORIGIN, PROTO, f"{HOST}, inner.example") == SERVED
        assert (await visit(connect, ORIGIN, PROTO))[0] == 403
        assert (await visit(connect, ORIGIN, PROTO, "X-Forwarded-Host: other.example"))[0] == 403
        assert (await visit(connect, "Origin: http://here", HOST))[0] == 403


@pytest.mark.parametrize("make", [Server, mounted])
@pytest.mark.parametrize(
    "options", [{"forwarded_allow_ips": "192.0.2.1"}, {"proxy_headers": False, "lifespan": "off"}]
)
async def test_others_are_not_believed(make: Callable[[], App], options: dict[str, Any]) -> None:
    async with hosting(make(), **options) as connect:
        assert set(await visit(connect, ORIGIN, PROTO, HOST)) <= {400, 403}
        assert await visit(connect, "Origin: http://here", HOST) == SERVED
