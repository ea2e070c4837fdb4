"""The user's part in a handshake: may it be opened, and under which id."""

from __future__ import annotations

import asyncio
import inspect
import logging
import re
from collections.abc import Callable
from typing import Any, NamedTuple

from ..._log import logger, shown
from ...config import AllowRequest, GenerateId, HandleProtocols
from ...engine.handshake import BAD_REQUEST, FORBIDDEN, MESSAGES, Refused, offered_protocols
from ...engine.tally import Tally
from ...errors import ConfigurationError
from ...ids import new_id
from ...types import HeaderList, Request

TIMEOUT = 10.0
"""How long ``allow_request`` and ``generate_id`` may take, in seconds."""


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


def chosen_protocol(choose: HandleProtocols | None, request: Request) -> str | None:
    """The subprotocol of a new WebSocket: the user's choice, or the client's first offer."""
    offered = offered_protocols(request)
    if not offered or choose is None:
        return offered[0] if offered else None
    try:
        chosen = choose(offered.copy(), request)
        if not chosen:
            return None
        if chosen not in offered:
            raise ConfigurationError(
                f"handle_protocols must return one of {shown(offered)}, or None;"
                f" not {shown(chosen)}"
            )
    except Exception as error:
        raise Refused(BAD_REQUEST, name="PROTOCOL_CHOICE_FAILED", error=error) from error
    return chosen


def checked_id(sid: object) -> str:
    """What a user's function gave as an id; ``Refused`` if it is none."""
    if not isinstance(sid, str) or not sid:
        raise Refused(BAD_REQUEST, name="ID_GENERATION_ERROR")
    return sid


class ConnectionErrorInfo(NamedTuple):
    """A refused request (Node: the argument of ``connection_error``)."""

    request: Request
    code: int
    message: str
    context: dict[str, Any]


HeaderHook = Callable[[HeaderList, Request], Any]

_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*\Z")


class EngineHooks:
    """What users have registered with ``io.engine``."""

    __slots__ = ("_notes", "connection_error", "headers", "initial_headers")

    def __init__(self, notes: Tally) -> None:
        self._notes = notes
        self.connection_error: list[Callable[[ConnectionErrorInfo], Any]] = []
        self.headers: list[HeaderHook] = []
        self.initial_headers: list[HeaderHook] = []

    def refused(self, request: Request, refused: Refused) -> None:
        """Tell the ``connection_error`` hooks about a refusal; log it."""
        error = refused.context.get("error")
        if isinstance(error, BaseException):
            self._notes.note(refused.context["name"], "", logging.ERROR, error)
        else:
            level = logging.WARNING if refused.code == FORBIDDEN else logging.INFO
            name = refused.context.get("name") or MESSAGES[refused.code]
            why = "" if refused.message == name else f": {refused.message}"
            self._notes.note(f"refused ({name})", f"{shown(request)}{why}", level)
        info = ConnectionErrorInfo(request, refused.code, refused.message, refused.context)
        for hook in self.connection_error:
            try:
                hook(info)
            except Exception:
                logger.exception("a connection_error hook failed")

    def add_headers(self, headers: HeaderList, request: Request, *, initial: bool) -> HeaderList:
        """Let the hooks add headers; ``Refused`` if they add what cannot be sent."""
        if not (self.headers or self.initial_headers):
            return headers
        try:
            for hook in self.initial_headers if initial else ():
                hook(headers, request)
            for hook in self.headers:
                hook(headers, request)
            for name, value in headers:
                if not _NAME.match(name) or not _VALUE.match(value):
                    raise ConfigurationError(f"header {name!r}: {value!r} cannot be sent")
        except Exception as error:
            raise Refused(BAD_REQUEST, name="HEADERS_FAILED", error=error) from error
        return headers
