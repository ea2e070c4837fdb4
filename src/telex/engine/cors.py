"""Which origins may connect, and what a browser is told about it.

The check guards every request of every transport: a WebSocket is not covered by CORS,
so a server that leaves the check to the browser is open to every page of the web.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from .._log import logger
from ..config import hint
from ..errors import ConfigurationError
from ..types import HeaderList, Request

OriginCheck = Callable[[str, Request], bool]
Origin = str | re.Pattern[str]
Origins = Origin | Iterable[Origin] | OriginCheck | None

_ILLEGAL = re.compile(r"[\x00-\x20\x7f]")
# What programs and pages without a host say: "file://", for example.
_HOSTLESS = re.compile(r"(?!(?:http|ws)s?:)[a-z][a-z0-9+.-]*://\Z")
_ASKED = re.compile(r"[!#$%&'+.^_`|~0-9A-Za-z-]{1,64}\Z")
MOST_ASKED = 32
"""How many headers a preflight may ask for."""
_ENTRY = re.compile(r"(?:([a-z][a-z0-9+.-]*)://)?(\[[0-9a-f:.]+\]|[^:/\[\]]+)(?::([0-9]+|\*))?/?\Z")
# An origin as browsers write it: lower case, no port that goes without saying, no path.
_ORIGIN = re.compile(r"([a-z][a-z0-9+.-]*)://(\[[0-9a-f:.]+\]|[^:/\[\]A-Z]+)(?::([0-9]+))?\Z")
_DEFAULT_PORTS = {"http": "80", "ws": "80", "https": "443", "wss": "443"}
_METHODS = ("GET", "POST")
_PATTERN: Any = re.Pattern  # which type checkers take for one of unknown text
_KEYS = ("origins", "methods", "allowed_headers", "exposed_headers", "credentials", "max_age")


LONGEST_NAME = 100
LONGEST = 300
"""How many characters an origin may have that a pattern is to match."""


class CorsPolicy:
    """Decides about origins and makes the headers for browsers.

    ``origins`` is ``None`` (same origin only), ``"*"``, an origin, several of them, or
    ``callable(origin, request) -> bool``. An entry is an origin (``https://a.example``),
    one of the forms of Socket.IO 2: ``a.example:443``, ``a.example:*``, ``*:443``, or a
    compiled regular expression, which has to match the whole ``Origin`` header.
    """

    __slots__ = (
        "_allowed_headers",
        "_any",
        "_callable",
        "_credentials",
        "_entries",
        "_exposed_headers",
        "_literal",
        "_max_age",
        "_methods",
        "_patterns",
        "enabled",
    )

    def __init__(
        self,
        origins: Origins = None,
        *,
        methods: Iterable[str] = _METHODS,
        allowed_headers: Iterable[str] = (),
        exposed_headers: Iterable[str] = (),
        credentials: bool = False,
        max_age: int | None = None,
    ) -> None:
        self.enabled = origins is not None
        self._any = False
        self._callable: OriginCheck | None = None
        self._entries: set[tuple[str | None, str, str | None]] = set()
        self._patterns: list[re.Pattern[str]] = []
        self._literal: set[str] = set()
        if callable(origins):
            self._callable = origins
        elif origins is not None:
            self._admit(_entries_of(origins))
            if origins == "":
                raise ConfigurationError("origins='' names no page: write origins=['…'], or None")
        if self._any and credentials:
            raise ConfigurationError(
                "origins='*' cannot be combined with credentials: name the origins that may"
                " send cookies, for example origins=['https://app.example']"
            )
        self._credentials = credentials
        self._methods = _tokens(methods, "methods")
        self._allowed_headers = _tokens(allowed_headers, "allowed_headers")
        self._exposed_headers = _tokens(exposed_headers, "exposed_headers")
        self._max_age = max_age

    def _admit(self, entries: list[Any]) -> None:
        for entry in entries:
            if isinstance(entry, _PATTERN) and isinstance(entry.pattern, str):
                self._patterns.append(entry)
            elif entry in ("*", "*:*"):
                self._any = True
            else:
                if entry != "" and not (isinstance(entry, str) and _HOSTLESS.match(entry)):
                    self._entries.add(_parse_entry(entry))
                self._literal.add(entry)
        if not entries:
            logger.warning(
                "origins=[] refuses every page of a browser, also those of the server itself:"
                " leave origins out to admit those, or name the pages"
            )

    @classmethod
    def from_options(cls, origins: Origins, cors: Mapping[str, Any] | None) -> CorsPolicy:
        """From the options ``origins`` and ``cors`` of a server; at most one may be given."""
        if cors is None:
            return cls(origins)
        given: Any = cors
        if not isinstance(given, Mapping):
            raise ConfigurationError(
                f"cors must be a dict such as {{'origins': '*'}}, not {cors!r}"
            )
        options = dict(cors)
        if origins is not None:
            raise ConfigurationError("give either origins or cors={'origins': …}, not both")
        for name in options:
            if name not in _KEYS:
                raise ConfigurationError(f"unknown key {name!r} in cors: {hint(name, _KEYS)}")
        return cls(options.pop("origins", None), **options)

    @property
    def asks(self) -> bool:
        """Whether a function of the user decides."""
        return self._callable is not None

    @property
    def admits_any(self) -> bool:
        """Whether pages of every origin are served (``"*"``)."""
        return self._any

    def allows(self, origin: str | None, request: Request) -> bool:
        """Whether a request with this ``Origin`` header is served.

        Clients other than browsers send none and are served.
        """
        if origin is None or self._any:
            return True
        if self._callable is not None:
            return bool(self._callable(origin, request))
        if self._lists(origin):
            return True
        return not self.enabled and _same_origin(origin, request)

    def _lists(self, origin: str) -> bool:
        if any(len(origin) <= LONGEST and each.fullmatch(origin) for each in self._patterns):
            return True
        if origin in self._literal:
            return True
        match = _ORIGIN.match(origin)
        if match is None:
            return False
        scheme, host, port = match.groups()
        default = _DEFAULT_PORTS.get(scheme)
        if port is not None and port == default:
            return False
        port = port or default
        return any(
            allowed_scheme in (None, scheme)
            and allowed_host in ("*", host)
            and allowed_port in ("*", port)
            for allowed_scheme, allowed_host, allowed_port in self._entries
        )

    @staticmethod
    def cure(origin: str) -> str:
        """How a server admits an origin that has been refused, said with the option's name."""
        try:
            named = "*" not in origin and len(origin) <= LONGEST_NAME and origin.isascii()
            named = named and CorsPolicy([origin])._lists(origin)
        except ConfigurationError:
            named = False
        return f"origins=[{origin!r}]" if named else "a function, origins=check(origin, request)"

    def headers(self, request: Request) -> HeaderList:
        """What a browser is told about an allowed request."""
        if not self.enabled:
            return []
        if self._any:
            headers: HeaderList = [("access-control-allow-origin", "*")]
        else:
            origin = request.origin
            headers = [("vary", "Origin")]
            if origin is None:
                return headers
            headers.append(("access-control-allow-origin", origin))
            # Browsers with Socket.IO 1.x and 2.x always send credentials, and refuse the
            # answer without this header.
            if self._credentials or request.query.get("EIO") == "3":
                headers.append(("access-control-allow-credentials", "true"))
        if self._exposed_headers:
            headers.append(("access-control-expose-headers", self._exposed_headers))
        return headers

    def preflight_headers(self, request: Request) -> HeaderList:
        """The answer to an OPTIONS request.

        Unless ``allowed_headers`` names some, a page may send the headers it asks for, as
        with Node: ``Authorization``, for example.
        """
        headers = self.headers(request)
        headers.append(("access-control-allow-methods", self._methods))
        allowed = self._allowed_headers or _asked_for(request) or "content-type"
        headers.append(("access-control-allow-headers", allowed))
        if self._max_age is not None:
            headers.append(("access-control-max-age", str(self._max_age)))
        return headers


def legal(origin: str) -> bool:
    """Whether an ``Origin`` header has only characters that an origin can have."""
    return _ILLEGAL.search(origin) is None


def _asked_for(request: Request) -> str:
    """The headers that a preflight asks for; nothing, if it is none that a browser sends."""
    names = request.headers.get("access-control-request-headers", "").split(",", MOST_ASKED)
    names = [name.strip() for name in names]
    proper = len(names) <= MOST_ASKED and all(map(_ASKED.match, names))
    return ", ".join(names) if proper else ""


def _entries_of(origins: Any) -> list[Any]:
    if isinstance(origins, str | re.Pattern):
        return [origins]
    if not hasattr(origins, "__iter__") or isinstance(origins, bytes | Mapping):
        raise ConfigurationError(
            "origins must be '*', an origin, a compiled pattern, several of them, or a function"
            f" (origin, request) -> bool, not {origins!r}"
        )
    entries: Iterable[Any] = origins
    return list(entries)


def _parse_entry(entry: Any) -> tuple[str | None, str, str | None]:
    match = _ENTRY.match(entry.lower()) if isinstance(entry, str) else None
    if match is None or (match[2] != "*" and "*" in match[2]):
        raise ConfigurationError(
            f"{entry!r} is not an origin: write 'https://app.example',"
            " 'app.example:443', a compiled pattern, or '*'"
        )
    scheme, host, port = match.groups()
    if port is None:
        port = _DEFAULT_PORTS.get(scheme) if scheme else "*"
    return scheme, host, port


def _same_origin(origin: str, request: Request) -> bool:
    """Whether the origin is the host that the request was sent to.

    A proxy that ends TLS hides the scheme from us, so it only counts when we see TLS.
    """
    host = request.host.lower()
    scheme, _, authority = origin.lower().partition("://")
    if not authority or (request.secure and scheme != "https"):
        return False
    suffix = ":" + _DEFAULT_PORTS.get(scheme, "")
    return authority.removesuffix(suffix) == host.removesuffix(suffix)


def _tokens(values: Iterable[str], option: str) -> str:
    if isinstance(values, str):
        values = values.split(",")
    names = [value.strip() for value in values]
    for name in names:
        if not re.fullmatch(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+", name):
            raise ConfigurationError(f"{name!r} in {option} is no header or method name")
    return ", ".join(names)
