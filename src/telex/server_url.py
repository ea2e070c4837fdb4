"""What a client makes of a URL: where the server is, which namespace is meant."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple
from urllib.parse import parse_qsl, urlencode, urlsplit

from .errors import ConfigurationError

_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


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
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.secure else 80) else f"{host}:{self.port}"

    def url(self, path: str, query: Mapping[str, str], *, websocket: bool) -> str:
        """A URL of this server."""
        scheme = "ws" if websocket else "http"
        tail = f"?{urlencode(query)}" if query else ""
        return f"{scheme}{'s' if self.secure else ''}://{self.authority}{path}{tail}"


def parse(url: str) -> ServerUrl:
    """Take a URL apart. ``ws`` and ``http`` mean the same; a bare host means ``http``,
    unless its port is 443.

    Raises ``ConfigurationError`` if there is nothing to connect to.
    """
    if not isinstance(url, str):
        raise ConfigurationError(f"a URL is text, not {url!r}")
    text = url.strip()
    bare = "://" not in text
    try:
        parts = urlsplit(("http:" if text.startswith("//") else "http://") + text if bare else text)
        port = parts.port
    except ValueError as error:
        raise ConfigurationError(f"{url!r} is no URL: {error}") from None
    if parts.scheme not in _SECURE:
        raise ConfigurationError(f"{url!r}: the scheme must be http, https, ws or wss")
    if not parts.hostname:
        raise ConfigurationError(f"{url!r} names no server: write it like 'http://localhost:3000'")
    if not all(char > " " and char != "\x7f" for char in parts.netloc):
        raise ConfigurationError(f"{url!r} is no URL: the server's name has blanks in it")
    secure = _SECURE[parts.scheme] or (bare and port == 443)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    return ServerUrl(secure, parts.hostname, port or (443 if secure else 80), parts.path, query)
