"""Handshakes of WebSockets on uvicorn: their verdicts, and those that need no HTTP server.

A handshake is *synchronous* if no function of the user and no middleware takes part in it: it
is answered in the very call that has read the request, without a task.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from binascii import Error as Base64Error
from binascii import a2b_base64
from typing import Any, Protocol

from uvicorn.config import Config

from ...deadlines import Timeout
from ...native import core
from ...types import HeaderList, Request, Response, Scope
from ..driver import Driver, Leaving
from ..host import TelexServer
from ..upgrade import EXTENSION, Accepted
from ..websocket.picows import PicowsWebSocket, accept
from .closing import LingeringClose
from .head import ENGINE_QUERY, LazyRequest, RawHeaders, are_well_formed, scan
from .proxies import address, forwarded_host
from .shared import ERRORS, Shared

_native: Any = None
if core is not None:
    from ..websocket import native as _native

# What a handshake depends on, in header lines in lower case.
_TELLING = re.compile(
    rb"(?m)^(host|connection|upgrade|sec-websocket-(?:key|version|protocol)|content-length|expect"
    rb"|transfer-encoding|x-forwarded-(?:for|host|proto)):[\t ]*+([^\r]*+)"
)
_NEEDED = {b"connection", b"host", b"sec-websocket-key", b"sec-websocket-version", b"upgrade"}
_FORWARDED = {b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto"}
# 16 bytes in base64.
_KEY = re.compile(rb"(?m)^(?i:sec-websocket-key):[\t ]*+([0-9A-Za-z+/]{22}==)[\t ]*+\r")
_REASONS = {
    400: "Bad Request",
    403: "Forbidden",
    404: "Not Found",
    426: "Upgrade Required",
    503: "Service Unavailable",
}
PLAIN: HeaderList = [("content-type", "text/plain; charset=utf-8")]


class HandshakeConnection(Protocol):
    """The HTTP connection that a request for a WebSocket has come on."""

    @property
    def config(self) -> Config: ...

    @property
    def app_state(self) -> dict[str, Any]:
        """What the applications of this server share."""
        ...

    @property
    def application(self) -> Any:
        """The ASGI application that the server serves."""
        ...

    @property
    def transport(self) -> asyncio.Transport: ...

    @property
    def leaving(self) -> Timeout[Leaving]:
        """The deadlines of connections that are to end."""
        ...

    rest: bytes
    """What the client has sent behind the request."""

    def taken_by(self, driver: Driver) -> None:
        """Count the connection for the telex server that takes it."""
        ...

    def hand_over(self) -> asyncio.Transport:
        """Let go of the connection; the caller reads and writes on it from now on."""
        ...


class UvicornUpgrade:
    """A request for a WebSocket that waits for a verdict.

    ``mistake`` is how its WebSocket part is refused, if it is wrong; otherwise ``key`` is
    what the client wants to have confirmed.
    """

    __slots__ = ("_decided", "_key", "_lazy", "_protocol", "mistake")

    def __init__(
        self,
        protocol: HandshakeConnection,
        key: bytes,
        mistake: Response | None = None,
        lazy: LazyRequest | None = None,
    ) -> None:
        self._protocol: HandshakeConnection | None = protocol
        self._key = key
        self._lazy = lazy
        self._decided = False
        self.mistake = mistake

    def _settle(self) -> asyncio.Transport:
        """Take the connection over, and let go of everything that belonged to HTTP."""
        self._decided = True
        protocol, self._protocol = self._protocol, None
        if protocol is None:
            raise AssertionError("an upgrade is decided once")
        return protocol.hand_over()

    @property
    def gone(self) -> bool:
        """Whether the client has not waited for the verdict."""
        return self._protocol is None or self._protocol.transport.is_closing()

    def request(self, scope: Scope) -> Request:
        """The request as it is going to be kept."""
        return Request(scope) if self._lazy is None else self._lazy.with_client_of(scope)

    def accept(self, driver: Driver, revision: int, max_size: int, headers: HeaderList) -> Accepted:
        """Answer with 101; the connection belongs to the returned transport."""
        key = self._key
        rest = b"" if self._protocol is None else self._protocol.rest
        if self._protocol is not None:
            self._protocol.taken_by(driver)
        transport = self._settle()
        if _native is not None:
            websocket: Accepted | None = _native.accept(
                driver, transport, key, headers, revision, max_size, rest
            )
            if websocket is not None:
                return websocket
        picows = PicowsWebSocket(driver, revision, max_size)
        accept(transport, key.decode("latin-1"), headers, picows, rest)
        return picows

    def refuse(self, response: Response) -> None:
        """Answer with a refusal and close the connection."""
        if self._protocol is None:
            raise AssertionError("an upgrade is decided once")
        leaving = self._protocol.leaving
        transport = self._settle()
        lines = [f"HTTP/1.1 {response.status} {_REASONS.get(response.status, 'Refused')}"]
        lines += [f"{name}: {value}" for name, value in response.headers]
        lines += [f"content-length: {len(response.body)}", "connection: close", "", ""]
        transport.write("\r\n".join(lines).encode("latin-1") + response.body)
        LingeringClose(transport, leaving)

    def release(self, request: Request) -> None:
        """Take the upgrade out of the request's scope, where it would keep the HTTP side alive."""
        if isinstance(request, LazyRequest):
            request.drop_query()
            return
        scope = request.scope
        scope["extensions"] = {}
        request.pack(scope)

    @property
    def decided(self) -> bool:
        """Whether a telex server has taken or refused the connection."""
        return self._decided


class _NotOurs(Exception):
    """The request has reached an application that speaks plain ASGI."""


async def _receive_nothing() -> Any:
    raise _NotOurs


async def _send_nothing(message: Any) -> None:
    raise _NotOurs


async def ask_application(application: Any, upgrade: UvicornUpgrade, scope: Scope) -> None:
    """Run a handshake through the ASGI application.

    Afterwards the upgrade is ``decided``, unless the client has gone or the application is no
    telex server: then the connection belongs to the host's own WebSocket protocol.
    """
    try:
        await application(scope, _receive_nothing, _send_nothing)
    except _NotOurs:
        pass
    except asyncio.CancelledError:
        raise
    except Exception:
        _failed(upgrade)


def _failed(upgrade: UvicornUpgrade) -> None:
    """Log what the application has raised, and answer with 500 if nothing was answered."""
    ERRORS.exception("Exception in ASGI application\n")
    if not upgrade.decided and not upgrade.gone:
        upgrade.refuse(Response(500, [], b""))


def answer_synchronously(application: Any, upgrade: UvicornUpgrade, scope: Scope) -> None:
    """Run a synchronous handshake through the application, without a task."""
    run = ask_application(application, upgrade, scope)
    with contextlib.suppress(StopIteration):
        run.send(None)
        raise AssertionError("a synchronous handshake waits for nothing")
    if not upgrade.decided and not upgrade.gone:
        raise AssertionError("a synchronous handshake is decided when it returns")


def take_handshake(connection: HandshakeConnection, shared: Shared, data: bytes) -> bool:
    """Answer a usual and synchronous handshake that has come in one piece; whether it is one.

    It needs no HTTP parser. Every other request is uvicorn's.
    """
    way = shared.way
    server = way.server
    if server is None or not (way.handshakes and shared.takes_websockets):
        return False
    head = scan(data)
    if head is None or head.method != b"GET" or ENGINE_QUERY.search(head.query) is None:
        return False
    lines = head.lines.lower()
    telling = _TELLING.findall(lines)
    told = dict(telling)
    if len(told) != len(telling) or not _asks_for_websocket(told):
        return False
    key = _KEY.search(head.lines)
    if key is None or not are_well_formed(head.lines):
        return False
    transport = connection.transport
    base = shared.base_of(address(transport, "sockname"), connection.config)
    scheme = "ws" if transport.get_extra_info("sslcontext") is None else "wss"
    foreign = b"\norigin:" in lines or lines.startswith(b"origin:")
    client = address(transport, "peername")
    request = LazyRequest(base, data[4 : head.size - 4], client, scheme, foreign)
    connection.rest = data[head.size :]
    if way.direct and not connection.app_state and _FORWARDED.isdisjoint(told):
        upgrade = UvicornUpgrade(connection, key[1])
        taken = _take_directly(server, head.path, request, upgrade)
    else:
        scope = request.unpacked()
        extensions = forwarded_host(way.proxy, scope["client"], scope["headers"])
        lazy = request if not (connection.app_state or extensions) else None
        upgrade = UvicornUpgrade(connection, key[1], lazy=lazy)
        scope["state"] = connection.app_state.copy()
        scope["extensions"] = {EXTENSION: upgrade, **extensions}
        taken = server.front.is_synchronous_handshake(scope)
        if taken:
            answer_synchronously(connection.application, upgrade, scope)
    if not taken:
        connection.rest = b""
    return taken


def _take_directly(
    server: TelexServer[Any], path: bytes, request: Request, upgrade: UvicornUpgrade
) -> bool:
    """Let the telex server answer a handshake that has no scope; whether it is synchronous."""
    try:
        if not server.front.take_synchronously(path, request, upgrade):
            return False
    except Exception:
        _failed(upgrade)
    if not upgrade.decided and not upgrade.gone:
        raise AssertionError("a synchronous handshake is decided when it returns")
    return True


def judge(method: bytes, headers: RawHeaders) -> tuple[bytes, Response | None]:
    """The key of a request for a WebSocket, and what is wrong with it (RFC 6455, 4.2.1)."""
    keys: list[bytes] = []
    versions: list[bytes] = []
    hosts = 0
    for name, value in headers:
        if name == b"sec-websocket-key":
            keys.append(value)
        elif name == b"sec-websocket-version":
            versions.append(value)
        elif name == b"host":
            hosts += 1
    key = keys[0] if len(keys) == 1 else b""
    if method != b"GET":
        return key, Response(400, PLAIN, b"a WebSocket is opened with GET")
    if hosts != 1:
        return key, Response(400, PLAIN, b"a request has exactly one Host header")
    if versions != [b"13"]:
        more = ("sec-websocket-version", "13")
        return key, Response(426, [*PLAIN, more], b"the WebSocket version must be 13")
    if not _is_key(key):
        return key, Response(400, PLAIN, b"Sec-WebSocket-Key must be 16 bytes in base64")
    return key, None


def offered_subprotocols(headers: RawHeaders) -> list[str]:
    """The subprotocols that a client offers, as hosts give them to applications."""
    lists = [value for name, value in headers if name == b"sec-websocket-protocol"]
    names = b",".join(lists).decode("latin-1").split(",") if lists else []
    return [name.strip() for name in names]


def _asks_for_websocket(told: dict[bytes, bytes]) -> bool:
    """Whether a head says what a request for a WebSocket has to say, and nothing unusual."""
    connection = told.get(b"connection", b"")
    return (
        told.get(b"upgrade") == b"websocket"
        and told.get(b"sec-websocket-version") == b"13"
        and b"host" in told
        and (connection == b"upgrade" or b"upgrade" in connection.replace(b" ", b"").split(b","))
        and (len(told) == len(_NEEDED) or told.keys() <= _NEEDED | _FORWARDED)
    )


def _is_key(key: bytes) -> bool:
    try:
        return len(a2b_base64(key, strict_mode=True)) == 16
    except (Base64Error, ValueError):
        return False
