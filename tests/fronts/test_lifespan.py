"""Applications beside telex that know of a start and an end, or do not: telex closes in order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telex import Server

STARTED, STOPPED = "lifespan.startup.complete", "lifespan.shutdown.complete"


async def knows_nothing(scope: Any, receive: Any, send: Any) -> None:
    """As Django."""
    raise ValueError(f"Django can only handle ASGI/HTTP connections, not {scope['type']}.")


async def says_nothing(scope: Any, receive: Any, send: Any) -> None:
    return


async def starts_only(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": STARTED})


async def fails_later(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": STARTED})
    raise RuntimeError("a background task has failed")


async def takes_part(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": STARTED})
    await receive()
    await send({"type": STOPPED})


async def cannot_start(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no database"})
    raise RuntimeError("no database")


async def life(app: Callable[..., Awaitable[None]]) -> tuple[list[str], bool]:
    """What a host is told, and whether the server has closed before it was told the last."""
    io = Server(app)
    told: list[str] = []
    closed: list[bool] = []
    coming = iter(("lifespan.startup", "lifespan.shutdown"))

    async def receive() -> Any:
        return {"type": next(coming)}

    async def send(message: Any) -> None:
        told.append(message["type"])
        closed.append(io._core.engine.closing)

    await io({"type": "lifespan"}, receive, send)
    return told, closed[-1]


@pytest.mark.parametrize("app", [knows_nothing, says_nothing, starts_only, fails_later, takes_part])
async def test_it_closes_in_order(app: Any) -> None:
    assert await life(app) == ([STARTED, STOPPED], True)


async def test_an_application_that_cannot_start() -> None:
    with pytest.raises(RuntimeError, match="no database"):
        await life(cannot_start)
