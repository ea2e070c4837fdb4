"""The user's part in a handshake: may it be opened, and under which id."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Awaitable, Callable

from ..config import AllowRequest
from ..engine.handshake import BAD_REQUEST, FORBIDDEN, Refused
from ..ids import new_id
from ..types import Request

TIMEOUT = 10.0
"""How long ``allow_request`` and ``generate_id`` may take, in seconds."""

GenerateId = Callable[[Request], "str | Awaitable[str]"]


async def allow(check: AllowRequest, request: Request) -> None:
    """Ask ``allow_request``; ``Refused`` if it says no, fails, or does not answer."""
    try:
        verdict = check(request)
        if inspect.isawaitable(verdict):
            async with asyncio.timeout(TIMEOUT):
                verdict = await verdict
    except Exception as error:
        raise Refused(FORBIDDEN, name="ALLOW_REQUEST_FAILED", error=error) from error
    if isinstance(verdict, str):
        raise Refused(FORBIDDEN, verdict)
    if verdict is not True:
        raise Refused(FORBIDDEN)


async def generate_id(generate: GenerateId | None, request: Request) -> str:
    """The id of a new session; ``Refused`` if the user's function does not give one."""
    if generate is None:
        return new_id()
    try:
        sid = generate(request)
        if inspect.isawaitable(sid):
            async with asyncio.timeout(TIMEOUT):
                sid = await sid
    except Exception as error:
        raise Refused(BAD_REQUEST, name="ID_GENERATION_ERROR", error=error) from error
    return checked_id(sid)


def checked_id(sid: object) -> str:
    """What a user's function gave as an id; ``Refused`` if it is none."""
    if not isinstance(sid, str) or not sid:
        raise Refused(BAD_REQUEST, name="ID_GENERATION_ERROR")
    return sid
