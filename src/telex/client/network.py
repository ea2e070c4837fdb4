"""What all connections of one client share: where to, with which headers and cookies."""

from __future__ import annotations

import errno
import itertools
import os
import ssl
import time
from typing import TYPE_CHECKING, Any

from .._version import __version__
from .options import EngineClientOptions
from .url import Target

if TYPE_CHECKING:
    import aiohttp

MAX_MESSAGE = 100 * 1024 * 1024
"""Largest message a server may send, in bytes (as JavaScript's client has it)."""

KEEP_ALIVE = 1.5
"""How long an idle HTTP connection is kept, in seconds: shorter than servers keep it (2 to 5),
for what is sent over one that the server is just closing is lost."""

_STAMPS = itertools.count()


class Network:
    """Makes URLs, headers and HTTP sessions.

    Cookies that the server sets are kept here, over transports and reconnections.
    """

    def __init__(self, target: Target, options: EngineClientOptions) -> None:
        self.target = target
        self.options = options
        self.remembered_websocket = False
        self._cookies: aiohttp.CookieJar | None = None
        self._context: ssl.SSLContext | None = None
        self._path = options.path + ("/" if options.add_trailing_slash else "")
        self._query = {"EIO": str(options.revision), **target.query, **options.query}

    def url(self, transport: str, sid: str | None) -> str:
        """The URL of a request."""
        options = self.options
        query = {**self._query, **options.own(transport, "query"), "transport": transport}
        if sid is not None:
            query["sid"] = sid
        stamped = options.timestamp_requests
        if stamped or (stamped is None and transport == "polling"):
            query[options.timestamp_param] = f"{time.time_ns() // 1_000_000:x}.{next(_STAMPS):x}"
        return self.target.url(self._path, query, websocket=transport == "websocket")

    def headers(self, transport: str) -> dict[str, str]:
        """The headers of a request; without cookies, which the HTTP client adds."""
        own = self.options.own(transport, "headers")
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
        return self.target.url(self._path, {}, websocket=False)

    def ssl(self) -> ssl.SSLContext | None:
        """How TLS is done; ``None`` without TLS."""
        if not self.target.secure:
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

        context = self.ssl()
        connector = aiohttp.TCPConnector(
            limit=4,
            ssl=True if context is None else context,
            enable_cleanup_closed=False,
            keepalive_timeout=KEEP_ALIVE,
        )
        session = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=self.cookies,
            headers=self.headers("polling"),
            timeout=aiohttp.ClientTimeout(total=self.options.request_timeout),
            proxy=self.options.proxy,
        )
        # aiohttp would repeat a poll whose connection breaks: what the server had written
        # to the broken one would be lost, and nobody would know. It has no option for it.
        vars(session)["_retry_connection"] = False
        return session

    def cause(self, error: Exception) -> str:
        """Why a request or a connection has failed, in words."""
        system: Any = getattr(error, "os_error", error)  # aiohttp has it inside
        if not isinstance(system, OSError) or isinstance(system, ssl.SSLError | TimeoutError):
            return str(error) or type(error).__name__
        number = system.errno or 0
        why = os.strerror(number) if number in errno.errorcode else system.strerror or str(system)
        return f"no connection to {self.target.authority}: {why}"
