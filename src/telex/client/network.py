"""What all connections of one client share: where to, with which headers and cookies.

A redirect is followed when a session begins, if it stays with the server: to another path, or
from HTTP to HTTPS. Headers and cookies are meant for one server, so any other is an error that
names the target.
"""

from __future__ import annotations

import errno
import ipaddress
import itertools
import json
import os
import ssl
import time
from typing import TYPE_CHECKING, Any, NamedTuple, cast
from urllib.parse import parse_qsl, quote, urljoin, urlsplit
from urllib.request import getproxies_environment

from .._log import shown
from .._version import __version__
from ..errors import ConfigurationError, TransportError
from ..server_url import ServerUrl, parse
from .options import EngineClientOptions

if TYPE_CHECKING:
    import aiohttp

MAX_MESSAGE = 100 * 1024 * 1024
"""Largest message a server may send, in bytes (as JavaScript's client has it)."""

KEEP_ALIVE = 1.5
"""How long an idle HTTP connection is kept, in seconds: shorter than servers keep it (2 to 5),
for what is sent over one that the server is just closing is lost."""

MAX_REDIRECTS = 5
"""How many redirects one handshake follows."""

_REDIRECTS = (301, 302, 307, 308)
_IN_PATHS = "/%:@!$&'()*+,;="
_STAMPS = itertools.count()


class Answer(NamedTuple):
    """An answer to a request: its status, where it redirects to, its body and their type."""

    status: int
    moved: str
    body: bytes
    kind: str = ""


class Network:
    """Makes URLs, headers and HTTP sessions.

    Cookies that the server sets are kept here, over transports and reconnections.
    """

    def __init__(self, target: ServerUrl, options: EngineClientOptions) -> None:
        self.target = target
        self.options = options
        self.remembered_websocket = False
        self._cookies: aiohttp.CookieJar | None = None
        self._context: ssl.SSLContext | None = None
        self._moved: ServerUrl | None = None
        self._path = quote(options.path, safe=_IN_PATHS) + (
            "/" if options.add_trailing_slash else ""
        )
        self._query: dict[str, str] = {
            "EIO": str(options.revision),
            **target.query,
            **options.query,
        }

    @property
    def place(self) -> ServerUrl:
        """The server that requests go to at present: the user's, or where it has sent us."""
        return self._moved or self.target

    def url(self, transport: str, sid: str | None) -> str:
        """The URL of a request; the first one of a session goes where the user has said."""
        if sid is None:
            self._moved = None
        return self._url(transport, sid)

    def follow(self, transport: str, url: str, status: int, location: str) -> str | None:
        """The URL that the first request of a session is redirected to; ``None`` if it is not.

        The session's other requests go to the same place.
        """
        if status not in _REDIRECTS or not location:
            return None
        moved = _joined(url, location)
        try:
            target = parse(moved)
        except ConfigurationError:
            return None
        here = self.place
        ports = (here.port, target.port)
        upgraded = target.secure and not here.secure
        if (
            "@" in urlsplit(moved).netloc
            or target.host != here.host
            or (here.secure and not target.secure)
            or (ports[0] != ports[1] and not (upgraded and ports == (80, 443)))
        ):
            return None
        sent = {name for name, _ in parse_qsl(urlsplit(url).query, keep_blank_values=True)}
        more = {name: value for name, value in target.query.items() if name not in sent}
        self._moved = target._replace(path=quote(target.path or "/", safe=_IN_PATHS), query=more)
        return self._url(transport, None)

    def _url(self, transport: str, sid: str | None) -> str:
        options = self.options
        moved = self._moved
        query = {**self._query, **options.for_transport(transport, "query"), "transport": transport}
        if moved is not None:
            query = {**moved.query, **query}
        if sid is not None:
            query["sid"] = sid
        stamped = options.timestamp_requests
        if stamped or (stamped is None and transport == "polling"):
            query[options.timestamp_param] = f"{time.time_ns() // 1_000_000:x}.{next(_STAMPS):x}"
        path = self._path if moved is None else moved.path
        return self.place.url(path, query, websocket=transport == "websocket")

    def headers(self, transport: str) -> dict[str, str]:
        """The headers of a request; without cookies, which the HTTP client adds."""
        own = self.options.for_transport(transport, "headers")
        if not any(name.lower() == "user-agent" for name in own):
            own["User-Agent"] = f"telex/{__version__}"
        return own

    @property
    def cookies(self) -> aiohttp.CookieJar:
        """The cookies that have come from the server."""
        if self._cookies is None:
            from aiohttp import CookieJar

            self._cookies = CookieJar(unsafe=True)  # cookies of bare addresses, too
        return self._cookies

    def cookie_header(self) -> str:
        """The cookies to send with a WebSocket's handshake."""
        if self._cookies is None:
            return ""
        from yarl import URL

        found = self._cookies.filter_cookies(URL(self._http_url()))
        return "; ".join(f"{name}={morsel.coded_value}" for name, morsel in found.items())

    def take_cookies(self, headers: list[str]) -> None:
        """Keep the cookies of ``Set-Cookie`` headers."""
        if headers:
            from yarl import URL

            self.cookies.update_cookies_from_headers(headers, URL(self._http_url()))

    def _http_url(self) -> str:
        return self.place.url(self._path, {}, websocket=False)

    def ssl(self) -> ssl.SSLContext | None:
        """How TLS is done; ``None`` without TLS."""
        if not self.place.secure:
            return None
        if self._context is None:  # it reads all certificates of the system
            self._context = self.options.ssl or ssl.create_default_context()
            if self.options.ssl is False:
                self._context.check_hostname = False
                self._context.verify_mode = ssl.CERT_NONE
        return self._context

    def http(self) -> aiohttp.ClientSession:
        """An HTTP client for one polling transport."""
        import aiohttp

        context: ssl.SSLContext | bool | None = self.ssl()
        if context is None:  # a redirect may lead to TLS
            context = True if self.options.ssl is None else self.options.ssl
        connector = aiohttp.TCPConnector(
            limit=4,
            ssl=context,
            enable_cleanup_closed=False,
            keepalive_timeout=KEEP_ALIVE,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=self.cookies,
            headers=self.headers("polling"),
            timeout=aiohttp.ClientTimeout(total=self.options.request_timeout),
        )
        # aiohttp would repeat a poll whose connection breaks: what the server had written
        # to the broken one would be lost without an error. It has no option for it.
        vars(session)["_retry_connection"] = False
        return session

    def cause(self, error: Exception) -> str:
        """Why a request or a connection has failed, in words."""
        system: Any = getattr(error, "os_error", error)  # aiohttp has it inside
        if not isinstance(system, OSError) or isinstance(system, ssl.SSLError | TimeoutError):
            return str(error) or type(error).__name__
        number = system.errno or 0
        why = os.strerror(number) if number in errno.errorcode else system.strerror or str(system)
        proxy = self.proxy()
        if proxy is None:
            return f"no connection to {self.place.authority}: {why}"
        place = urlsplit(proxy).netloc.rpartition("@")[2]  # without its password
        past = "" if self.options.proxy else " (trust_env=False connects without it)"
        return f"no connection to {self.place.authority} through the proxy {place}{past}: {why}"

    def proxy(self) -> str | None:
        """The proxy that requests go through."""
        options = self.options
        if options.proxy is not None or not options.trust_env:
            return options.proxy
        return environment_proxy(self.place)

    def refusal(self, message: str, url: str, answer: Answer) -> TransportError:
        """The error that an answer stands for, with what the server says of it."""
        status, moved, body, _ = answer
        text = body.decode("utf-8", "replace")
        if status not in _REDIRECTS or not moved:
            return TransportError(message, status, text, _sentence(text))
        place = _joined(url, moved).partition("?")[0].partition("#")[0]
        sentence = f"redirected to {shown(place)}: connect to that place itself"
        return TransportError(message, status, text, sentence)


def _joined(url: str, location: str) -> str:
    """Where a redirect leads; what is no URL stays as it is."""
    try:
        return urljoin(url, location)
    except ValueError:
        return location


def environment_proxy(target: ServerUrl) -> str | None:
    """The proxy that the environment has for a server; loopback is reached without one."""
    proxies = getproxies_environment()
    proxy = proxies.get("https" if target.secure else "http")
    if not proxy or _is_loopback(target.host):
        return None
    if any(_is_meant(name, target) for name in proxies.get("no", "").split(",")):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


def _is_meant(name: str, target: ServerUrl) -> bool:
    """Whether an entry of ``NO_PROXY`` means a server: a domain, an address, a network, ``*``."""
    name = name.strip().lower()
    if name in ("*", target.authority, f"{target.host}:{target.port}"):
        return True
    try:
        return ipaddress.ip_address(target.host) in ipaddress.ip_network(name, strict=False)
    except ValueError:
        domain = name.removeprefix("*").removeprefix(".")
        return bool(domain) and (target.host == domain or target.host.endswith(f".{domain}"))


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _sentence(text: str) -> str:
    """What a server says in an answer: its JSON's message, or plain words."""
    text = text.strip()
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):
        return "" if text.startswith(("<", "{")) else shown(text)
    message: Any = cast("dict[str, Any]", found).get("message") if isinstance(found, dict) else None
    return shown(message) if isinstance(message, str) else shown(text)
