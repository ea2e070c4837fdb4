"""Addresses to connect to, as the commands read them."""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

from ..server_url import ServerUrl, UrlError, bracketed, default_port, parse

_PATH = "/%:@!$&'()*+,;=~"  # what may stand in a path as it is
_FAULTS = {
    "form": "{url!r} is not an address: write http://host:port.",
    "scheme": "{part}:// is not an address of a server: write http or https.",
    "server": "{url!r} names no host: write http://host:port.",
    "name": "{part!r} cannot be the name of a host.",
}


class PlaceError(Exception):
    """This is no address of a server; the message says what to write instead."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a Socket.IO server is said to be.

    ``path`` is the engine's, without a slash at its end, which requests have if ``slash``;
    ``namespace`` is what a Socket.IO client makes of the path of a URL.
    """

    server: ServerUrl
    path: str = "/socket.io"
    namespace: str = "/"
    query: tuple[tuple[str, str], ...] = ()
    slash: bool = True

    @property
    def secure(self) -> bool:
        """Whether the server speaks TLS."""
        return self.server.secure

    @property
    def host(self) -> str:
        """The name or address of the server, in ASCII."""
        return self.server.host

    @property
    def port(self) -> int:
        """The port of the server."""
        return self.server.port

    @property
    def authority(self) -> str:
        """The host, and the port unless it goes without saying."""
        return self.server.authority

    @property
    def origin(self) -> str:
        """The origin of pages that this server serves itself."""
        return self.server.origin

    def url(self, query: dict[str, str] | None = None, *, path: str | None = None) -> str:
        """The address of the engine, with the user's query and then ``query``."""
        path = quote(self.path if path is None else path, safe=_PATH)
        pairs = [*self.query, *(query or {}).items()]
        tail = f"?{urlencode(pairs)}" if pairs else ""
        return f"{self.origin}{path}{'/' if self.slash and not path.endswith('/') else ''}{tail}"


def read(
    url: str, *, path: str = "/socket.io", namespace: str | None = None, query: list[str]
) -> Place:
    """The place that a URL names.

    Raises:
        PlaceError: it names none.
    """
    try:
        server = parse(url if "://" in url else f"http://{url}")
    except UrlError as error:
        raise PlaceError(_FAULTS[error.fault].format(url=url, part=error.part)) from None
    host = _ascii(server.host)
    if host is None:
        raise PlaceError(_FAULTS["name"].format(part=server.host))
    named = server.path.rstrip("/") or "/"
    if namespace is not None:
        named = "/" + namespace.lstrip("/")
    given = urlsplit(url).query
    return Place(
        ServerUrl(server.secure, host, server.port, "", {}),
        path="/" + path.strip("/"),
        namespace=named,
        query=(*parse_qsl(given, keep_blank_values=True), *pairs_of(query)),
    )


def _ascii(host: str) -> str | None:
    """A host as it is written on the wire; ``None`` if that is not possible."""
    if host.isascii():
        return None if any(c.isspace() or not c.isprintable() for c in host) else host
    try:
        return host.encode("idna").decode()
    except UnicodeError:
        return None


def pairs_of(given: list[str]) -> list[tuple[str, str]]:
    """``--query`` as pairs: ``key=value``, several of them joined by ``&``."""
    pairs: list[tuple[str, str]] = []
    for text in given:
        found = parse_qsl(text, keep_blank_values=True)
        if not found or "=" not in text:
            raise PlaceError(f"--query {text!r} is not of the form key=value.")
        pairs += found
    return pairs


def headers_of(given: list[str]) -> dict[str, str]:
    """``--header`` as a dict: ``Name: value``."""
    headers: dict[str, str] = {}
    for text in given:
        name, colon, value = text.partition(":")
        if not colon or not name.strip():
            raise PlaceError(f"--header {text!r} is not of the form 'Name: value'.")
        headers[name.strip()] = value.strip()
    return headers


def origin_of(given: str) -> str:
    """``--origin`` as browsers write it: lower case, without the port that goes without saying.

    Raises:
        PlaceError: no page can have this origin.
    """
    if given == "null":
        return given
    try:
        parts = urlsplit(given)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    if not parts.scheme or not parts.hostname or parts.path not in ("", "/"):
        raise PlaceError(f"--origin {given!r} is not an origin: write https://app.example.")
    host = bracketed(_ascii(parts.hostname) or parts.hostname)
    default = {"http": default_port(False), "https": default_port(True)}.get(parts.scheme)
    shown = "" if port in (None, default) else f":{port}"
    return f"{parts.scheme}://{host}{shown}"
