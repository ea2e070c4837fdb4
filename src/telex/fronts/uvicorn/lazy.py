"""What is kept of a request for as long as its connection lasts: one string of bytes, mostly."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from functools import lru_cache
from typing import Any
from urllib.parse import unquote

from ...types import Headers, Request, Scope, parse_query

USUAL_QUERY = 32
"""Queries up to this length come again and again; longer ones hold a client's own words."""

_VERSION = len(b" HTTP/1.1")


class LazyScope(MutableMapping[str, Any]):
    """An ASGI scope that is put together again whenever somebody looks.

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
    """The request of a handshake that nobody else has seen, kept as it came over the wire.

    ``head`` begins with its target and ends with its last header, without the end of the
    line; ``base`` is what the scopes of one server have in common, ``foreign`` whether there
    is an ``Origin``. Everything else is read from the head when somebody asks.
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

    def seen_as(self, scope: Scope) -> LazyRequest:
        """The same with the client that a proxy has named."""
        client, scheme = scope["client"], scope["scheme"]
        return LazyRequest(self._base, self._head, client, scheme, self._foreign)

    def unpacked(self) -> dict[str, Any]:
        """The scope, made anew."""
        line, *lines = self._head.split(b"\r\n")
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
            "headers": _parsed(lines),
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
        """Read the query again when somebody asks again."""
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
            if len(text) > USUAL_QUERY:
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
            return Headers(_parsed(self._head.split(b"\r\n")[1:]))
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


def _parsed(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    headers: list[tuple[bytes, bytes]] = []
    for line in lines:
        name, _, value = line.partition(b":")
        headers.append((name.lower(), value.strip(b" \t")))
    return headers
