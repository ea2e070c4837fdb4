"""From a request to a verdict: who may open a session, and how it is answered."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from ..config import EngineOptions, hint
from ..errors import ConfigurationError
from ..types import Request, Response
from ..wire import EncodedPacket
from .cors import CorsPolicy, legal

UNKNOWN_TRANSPORT = 0
UNKNOWN_SID = 1
BAD_HANDSHAKE_METHOD = 2
BAD_REQUEST = 3
FORBIDDEN = 4
UNSUPPORTED_PROTOCOL = 5

MESSAGES = (
    "Transport unknown",
    "Session ID unknown",
    "Bad handshake method",
    "Bad request",
    "Forbidden",
    "Unsupported protocol version",
)


_encode = json.JSONEncoder().encode


class Refused(Exception):
    """A request that is not served.

    ``code`` and ``message`` are what the client is told, ``context`` says more to the
    server's own log and hooks (Node: ``connection_error``).
    """

    def __init__(self, code: int, message: str | None = None, **context: Any) -> None:
        self.code = code
        self.message = MESSAGES[code] if message is None else message
        self.context = context
        super().__init__(self.message)

    def response(self) -> Response:
        """The HTTP answer: 403 for code 4, 400 for the others, with a JSON body."""
        body = json.dumps({"code": self.code, "message": self.message}, separators=(",", ":"))
        status = 403 if self.code == FORBIDDEN else 400
        return Response(status, [("content-type", "application/json")], body.encode())


def check_origin(request: Request, policy: CorsPolicy) -> None:
    """Refuse a request from a page that may not connect."""
    origin = request.origin
    if origin is not None:
        _judge(origin, request, policy)


def check_page(request: Request, policy: CorsPolicy) -> None:
    """Refuse a request of long-polling from a page that may not connect.

    Browsers send no ``Origin`` for what a page embeds or links to: the scripts of JSONP,
    whose answers the page can read, images, frames. Then ``Sec-Fetch-Site`` tells whether
    the page is one of ours; older browsers, which do not send it, name the page in
    ``Referer``.
    """
    if request.origin is not None:
        check_origin(request, policy)
        return
    headers = request.headers
    site = headers.get("sec-fetch-site")
    if "j" not in request.query or request.query.get("EIO") != "3":
        if site in ("cross-site", "same-site"):
            raise Refused(FORBIDDEN, _EMBEDDED, name="ORIGIN_UNKNOWN")
        return
    if site in ("same-origin", "none") or policy.admits_any:
        return
    page = _PAGE.match(headers.get("referer", ""))
    if page is None or (site is not None and not policy.enabled):
        raise Refused(FORBIDDEN, _NO_PAGE, name="ORIGIN_UNKNOWN")
    _judge(page[1].lower(), request, policy)


_PAGE = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://[^/?#\\]+)")
_EMBEDDED = (
    "a script, an image, a form or a link of another site does not open a connection: the page has"
    " to use a Socket.IO client"
)
_NO_PAGE = (
    "JSONP is served to pages of the same origin, by the headers Sec-Fetch-Site or Referer;"
    " other pages are admitted with origins=['https://page.example'] if they send a Referer"
)


def _judge(origin: str, request: Request, policy: CorsPolicy) -> None:
    if not legal(origin):
        raise Refused(BAD_REQUEST, name="INVALID_ORIGIN")
    try:
        allowed = policy.allows(origin, request)
    except Exception as error:
        raise Refused(FORBIDDEN, name="ORIGIN_CHECK_FAILED", error=error) from error
    if not allowed:
        name = origin[:100].encode("ascii", "backslashreplace").decode() or "''"
        raise Refused(
            FORBIDDEN,
            f"origin {name} is not allowed: the server admits it with {policy.cure(origin)}",
            name="ORIGIN_NOT_ALLOWED",
            origin=origin,
        )


def offered_protocols(request: Request) -> list[str]:
    """The WebSocket subprotocols that a client offers, its favourite first (RFC 6455, 4.1).

    A host accepts only those that it has understood itself, and need not pass on the header.
    """
    header = request.headers.get("sec-websocket-protocol")
    understood: list[str] = request.subprotocols
    if header is None:
        names = understood
    else:
        names = [name.strip(" \t") for name in header.split(",")]
    if len(set(names)) < len(names) or not all(map(_TOKEN.match, names)):
        message = "Sec-WebSocket-Protocol must be a list of different names"
        raise Refused(BAD_REQUEST, message, name="INVALID_SUBPROTOCOLS")
    return [name for name in names if name in understood]


def check_transport(query: Mapping[str, str], options: EngineOptions) -> str:
    """The transport that a request names, if it is enabled."""
    transport = query.get("transport", "")
    if transport not in options.transports:
        raise Refused(UNKNOWN_TRANSPORT, transport=transport)
    return transport


def check_protocol(query: Mapping[str, str], options: EngineOptions) -> int:
    """The revision of a handshake: 4, or 3 if it is allowed. A missing one is refused."""
    revision = query.get("EIO")
    if revision == "4":
        return 4
    if revision == "3" and options.allow_eio3:
        return 3
    raise Refused(UNSUPPORTED_PROTOCOL, protocol=revision)


class OpenPacket:
    """What a client is told first; wire units are milliseconds."""

    __slots__ = ("_final", "_upgradable")

    def __init__(self, options: EngineOptions) -> None:
        names = [name for name in options.transports if name != "polling"]
        upgrades = json.dumps(names if options.allow_upgrades else [])
        rest = (
            f'"pingInterval":{round(options.ping_interval * 1000)},'
            f'"pingTimeout":{round(options.ping_timeout * 1000)},'
            f'"maxPayload":{options.max_http_buffer_size}}}'
        )
        self._upgradable = f',"upgrades":{upgrades},{rest}'
        self._final = f',"upgrades":[],{rest}'

    def encode(self, sid: str, transport: str) -> EncodedPacket:
        """The open packet of a new session; only polling can be upgraded."""
        rest = self._upgradable if transport == "polling" else self._final
        return EncodedPacket(f'0{{"sid":{_encode(sid)}{rest}'.encode())


# -- the session cookie -------------------------------------------------------------------

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*\Z")
_ATTRIBUTE = re.compile(r"[\x20-\x3a\x3c-\x7e]*\Z")
_SAME_SITE = {"strict": "Strict", "lax": "Lax", "none": "None"}
_KEYS = ("name", "path", "domain", "http_only", "secure", "same_site", "max_age", "partitioned")


class SessionCookie:
    """The cookie by which a balancer can send a client to the same server again."""

    __slots__ = ("_attributes", "_name")

    def __init__(self, option: str | bool | Mapping[str, Any]) -> None:
        if isinstance(option, Mapping):
            given = dict(option)
        else:
            given = {} if option is True else {"name": option}
        for name in given:
            if name not in _KEYS:
                raise ConfigurationError(f"unknown key {name!r} in cookie: {hint(name, _KEYS)}")
        settings = {"name": "io", "path": "/", "http_only": True, "same_site": "lax", **given}
        self._name = str(settings["name"])
        if not _TOKEN.match(self._name):
            raise ConfigurationError(f"cookie name {self._name!r} has characters no name may have")
        self._attributes = _attributes(settings)

    def header(self, sid: str) -> str:
        """The value of ``Set-Cookie`` for a new session."""
        if not _VALUE.match(sid):
            raise ConfigurationError("a session id with such characters cannot be a cookie")
        return f"{self._name}={sid}{self._attributes}"


def _attributes(settings: Mapping[str, Any]) -> str:
    parts: list[str] = []
    for key, name in (("max_age", "Max-Age"), ("domain", "Domain"), ("path", "Path")):
        value = settings.get(key)
        if value is None or value is False:
            continue
        if not _ATTRIBUTE.match(str(value)):
            raise ConfigurationError(f"cookie {key} {value!r} has characters it may not have")
        parts.append(f"{name}={value}")
    for key, name in (("http_only", "HttpOnly"), ("secure", "Secure")):
        if settings.get(key):
            parts.append(name)
    if settings.get("partitioned"):
        parts.append("Partitioned")
    same_site = settings.get("same_site")
    if same_site:
        known = _SAME_SITE.get("strict" if same_site is True else str(same_site).lower())
        if known is None:
            raise ConfigurationError(f"cookie same_site must be strict, lax or none: {same_site!r}")
        parts.append(f"SameSite={known}")
    return "".join([f"; {part}" for part in parts])
