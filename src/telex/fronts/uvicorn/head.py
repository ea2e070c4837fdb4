"""The head of a request: scanned once, and kept as it came.

A head is *usual* if it has the method GET or POST, a path without escapes, a query, the
version HTTP/1.1, and at most ``MOST_LINES`` well-formed header lines in at most
``LONGEST_HEAD`` bytes, all of which have come in one read. ``scan`` finds such heads, and is
the only scanner beside the HTTP server's own. Every other head belongs to that server, which
decides whether it is valid: nothing is refused here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import unquote

from ...types import Headers, Request, Scope, parse_query

RawHeaders = list[tuple[bytes, bytes]]
"""Header names in lower case, and values, as ASGI has them."""

LONGEST_HEAD = 8 * 1024
MOST_LINES = 64

ENGINE_QUERY = re.compile(rb"[?&]EIO=")
"""What tells a request to an Engine.IO server, in a URL."""

# Possessive throughout: what does not match is told in one pass.
_REQUEST_LINE = re.compile(rb"(GET|POST) (/[!-\"$->@-~]*+)(\?[!-\"$-~]*+) HTTP/1\.1\r\n")
_LINES = re.compile(rb"(?:[!#$%&'*+.^_`|~0-9A-Za-z-]++:[\t\x20-\x7e\x80-\xff]*+\r\n)++")


class RequestHead(NamedTuple):
    """A request line, and the header lines below it, which ``are_well_formed`` has to judge."""

    method: bytes
    path: bytes
    query: bytes
    """The query with its question mark."""
    lines: bytes
    """The header lines, each with its end."""
    size: int
    """The size of the whole head: where the body begins."""


def scan(data: bytes) -> RequestHead | None:
    """The head that ``data`` begins with; ``None`` if it is not usual, or not complete."""
    line = _REQUEST_LINE.match(data)
    if line is None:
        return None
    start = line.end()
    end = data.find(b"\r\n\r\n", start - 2, LONGEST_HEAD)
    if end < start:  # no header at all, or no end
        return None
    method, path, query = line.groups()
    return RequestHead(method, path, query, data[start : end + 2], end + 4)


def are_well_formed(lines: bytes) -> bool:
    """Whether header lines, each with its end, are those of a usual head."""
    return lines.count(b"\n") <= MOST_LINES and _LINES.fullmatch(lines) is not None


def parse_headers(lines: bytes) -> RawHeaders:
    """Header lines as the HTTP server would give them to an application."""
    headers: RawHeaders = []
    for line in lines.splitlines():
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers


LONGEST_SHARED_QUERY = 32
"""Queries up to this length are the same for many clients; longer ones hold a client's own data."""

_VERSION = len(b" HTTP/1.1")


class LazyScope(MutableMapping[str, Any]):
    """An ASGI scope that is put together again for each read access.

    ``base`` holds what the scopes of one server have in common. A scope that is changed
    stays a dictionary from then on.
    """

    __slots__ = ("_base", "_client", "_head", "_path", "_raw_path", "_scheme", "_scope")

    def __init__(self, base: Scope, scope: Scope) -> None:
        self._base = base
        self._path: str = scope["path"]
        raw_path: bytes = scope["raw_path"]
        # Most paths are plain, and then one is made from the other.
        self._raw_path = None if raw_path == self._path.encode("utf-8") else raw_path
        self._client: tuple[str, int] | None = scope["client"]
        self._scheme: str = scope["scheme"]
        lines = [scope["query_string"]]
        for name, value in scope["headers"]:
            lines += (name, value)
        self._head = b"\n".join(lines)  # neither may hold a line feed
        self._scope: dict[str, Any] | None = None

    def _unpacked(self) -> dict[str, Any]:
        if self._scope is not None:
            return self._scope
        query, *lines = self._head.split(b"\n")
        scope: dict[str, Any] = {
            **self._base,
            "path": self._path,
            "raw_path": self._path.encode("utf-8") if self._raw_path is None else self._raw_path,
            "query_string": query,
            "client": self._client,
            "scheme": self._scheme,
            "headers": list(zip(lines[::2], lines[1::2], strict=True)),
            "asgi": dict(self._base["asgi"]),
            "state": dict(self._base["state"]),
        }
        if scope["type"] == "websocket":
            scope.update(extensions={}, subprotocols=[])
        return scope

    def __getitem__(self, key: str) -> Any:
        if self._scope is None:
            if key == "client":
                return self._client
            if key == "query_string":
                return self._head.partition(b"\n")[0]
        return self._unpacked()[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self._scope = self._unpacked()
        self._scope[key] = value

    def __delitem__(self, key: str) -> None:
        self._scope = self._unpacked()
        del self._scope[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._unpacked())

    def __len__(self) -> int:
        return len(self._unpacked())

    def __repr__(self) -> str:
        return repr(self._unpacked())


class LazyRequest(Request):
    """The request of a synchronous handshake, kept as it came over the wire.

    ``head`` begins with its target and ends with its last header, without the end of the
    line; ``base`` is what the scopes of one server have in common, ``foreign`` whether there
    is an ``Origin``. Everything else is read from the head on access.
    """

    __slots__ = ("_base", "_client", "_foreign", "_head", "_scheme")

    def __init__(
        self,
        base: Scope,
        head: bytes,
        client: tuple[str, int] | None,
        scheme: str,
        foreign: bool,
    ) -> None:
        self._base = base
        self._head = head
        self._client = client
        self._scheme = scheme
        self._foreign = foreign
        self._scope = None
        self._query = None

    def with_client_of(self, scope: Scope) -> LazyRequest:
        """This request with the client and the scheme that a proxy has named in ``scope``."""
        client, scheme = scope["client"], scope["scheme"]
        return LazyRequest(self._base, self._head, client, scheme, self._foreign)

    def unpacked(self) -> dict[str, Any]:
        """A new scope with everything that the head says."""
        line, _, lines = self._head.partition(b"\r\n")
        raw_path, _, query = line[:-_VERSION].partition(b"?")
        base = self._base
        root_path: str = base["root_path"]
        return {
            **base,
            "path": root_path + unquote(raw_path.decode("latin-1")),
            "raw_path": root_path.encode("ascii") + raw_path,
            "query_string": query,
            "client": self._client,
            "scheme": self._scheme,
            "headers": parse_headers(lines),
            "extensions": {},
            "subprotocols": [],
            "asgi": dict(base["asgi"]),
            "state": dict(base["state"]),
        }

    @property
    def scope(self) -> Scope:
        """What the host server knows of the request, in the words of ASGI."""
        if self._scope is None:  # it may be changed: from now on it is kept
            self._scope = LazyScope(self._base, self.unpacked())
        return self._scope

    def _seen(self) -> Scope:
        return self.unpacked() if self._scope is None else self._scope

    def drop_query(self) -> None:
        """Forget the decoded query; the next access decodes it again."""
        self._query = None

    def _query_string(self) -> bytes:
        if self._scope is not None:
            return super()._query_string()
        head = self._head
        start = head.find(b"?") + 1
        end = head.index(b" ")
        return head[start:end] if 0 < start <= end else b""

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, each with its last value."""
        query = self._query
        if query is None:
            text = self._query_string()
            if len(text) > LONGEST_SHARED_QUERY:
                return super().query
            query = self._query = _parsed_query(text).copy()
        return query

    @property
    def method(self) -> str:
        """The HTTP method of the handshake."""
        return "GET" if self._scope is None else super().method

    @property
    def headers(self) -> Headers:
        """The headers."""
        if self._scope is None:
            return Headers(parse_headers(self._head.partition(b"\r\n")[2]))
        return super().headers

    @property
    def origin(self) -> str | None:
        """The header ``Origin``, if there is one."""
        return None if self._scope is None and not self._foreign else super().origin

    @property
    def host(self) -> str:
        """The host that was asked for."""
        return self.headers.get("host", "") if self._scope is None else super().host

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's host and port, as far as the host server knows them."""
        return self._client if self._scope is None else super().client


@lru_cache(maxsize=64)
def _parsed_query(text: bytes) -> dict[str, str]:
    return parse_query(text.decode("latin-1"))
