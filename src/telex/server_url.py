"""URLs of servers, as the client and the commands read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from .errors import ConfigurationError

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


class UrlError(ConfigurationError):
    """A text that is no URL of a server.

    ``fault`` tells what is wrong: its ``form``, its ``scheme``, that it names no ``server``,
    or the ``name`` of it; ``part`` is the part of the URL that is meant.
    """

    def __init__(
        self, message: str, fault: Literal["form", "scheme", "server", "name"], part: str = ""
    ) -> None:
        super().__init__(message)
        self.fault = fault
        self.part = part


class ServerUrl(NamedTuple):
    """A server, and what the URL says beside it."""

    secure: bool
    host: str
    port: int
    path: str
    query: dict[str, str]

    @property
    def authority(self) -> str:
        """Host and port as they stand in URLs."""
        host = bracketed(self.host)
        return host if self.port == default_port(self.secure) else f"{host}:{self.port}"

    @property
    def origin(self) -> str:
        """The origin of pages that this server serves itself."""
        return f"{'https' if self.secure else 'http'}://{self.authority}"

    def url(self, path: str, query: Mapping[str, str], *, websocket: bool) -> str:
        """A URL of this server."""
        scheme = "ws" if websocket else "http"
        tail = f"?{urlencode(query)}" if query else ""
        return f"{scheme}{'s' if self.secure else ''}://{self.authority}{path}{tail}"


def parse(url: str) -> ServerUrl:
    """Take a URL apart. ``ws`` and ``http`` mean the same; a bare host means ``http``,
    unless its port is 443.

    Raises ``UrlError``, a ``ConfigurationError``, if there is nothing to connect to.
    """
    if not isinstance(url, str):
        raise UrlError(f"a URL is text, not {url!r}", "form")
    text = url.strip()
    bare = "://" not in text
    try:
        parts = urlsplit(("http:" if text.startswith("//") else "http://") + text if bare else text)
        port = parts.port
    except ValueError as error:
        raise UrlError(f"{url!r} is no URL: {error}", "form") from None
    if parts.scheme not in _SECURE:
        message = f"{url!r}: the scheme must be http, https, ws or wss"
        raise UrlError(message, "scheme", parts.scheme)
    if not parts.hostname:
        message = f"{url!r} names no server: write it like 'http://localhost:3000'"
        raise UrlError(message, "server")
    if not all(char > " " and char != "\x7f" for char in parts.netloc):
        message = f"{url!r} is no URL: the server's name has blanks in it"
        raise UrlError(message, "name", parts.hostname)
    secure = _SECURE[parts.scheme] or (bare and port == 443)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return ServerUrl(secure, parts.hostname, port or default_port(secure), parts.path, query)


def default_port(secure: bool) -> int:
    """The port that goes without saying."""
    return 443 if secure else 80


def bracketed(host: str) -> str:
    """A host as it stands in URLs: addresses of IPv6 in brackets."""
    return f"[{host}]" if ":" in host else host
