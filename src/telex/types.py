"""Types shared by every floor: requests, headers, responses."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
"""An ASGI application."""
HeaderList = list[tuple[str, str]]
Buffer = bytes | bytearray | memoryview

FORWARDED_HOST = "telex.forwarded_host"
"""Name of the scope extension with the host that clients ask a trusted proxy for."""


class Headers(Mapping[str, str]):
    """Request headers: names in lower case, looked up without regard to case.

    A header that came several times is joined with ``", "`` (``Cookie`` with ``"; "``).
    The headers stay as the host server gave them and are decoded when they are read.
    """

    __slots__ = ("_raw",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        self._raw = raw

    def __getitem__(self, name: str) -> str:
        wanted = name.lower().encode("latin-1", "replace")
        values = [value for key, value in self._raw if key == wanted or key.lower() == wanted]
        if not values:
            raise KeyError(name)
        return (b"; " if wanted == b"cookie" else b", ").join(values).decode("latin-1")

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys([name.decode("latin-1").lower() for name, _ in self._raw]))

    def __len__(self) -> int:
        return len({name.lower() for name, _ in self._raw})

    def __repr__(self) -> str:
        return f"Headers({dict(self)!r})"


class Request:
    """The HTTP request behind a connection, made from its ASGI ``scope``.

    ``query`` maps each parameter to its last value, ``path`` is the decoded path
    without the mount point, ``client`` the peer's ``(host, port)`` if it is known.
    """

    __slots__ = ("_query", "_scope")

    def __init__(self, scope: Scope) -> None:
        self._scope: Scope | None = scope
        self._query: dict[str, str] | None = None

    def pack(self, scope: Scope) -> None:
        """Keep another form of the scope from now on, and nothing that was made from it."""
        self._scope = scope
        self._query = None

    @property
    def scope(self) -> Scope:
        """What the host server knows of the request, in the words of ASGI."""
        return self._seen()

    def _seen(self) -> Scope:
        """The scope, to look at."""
        if self._scope is None:
            raise AssertionError("whoever does without a scope makes one here")
        return self._scope

    @property
    def query(self) -> dict[str, str]:
        """The query parameters, each with its last value."""
        query = self._query
        if query is None:
            query = self._query = parse_query(self._query_string().decode("latin-1"))
        return query

    def _query_string(self) -> bytes:
        query: bytes = self._seen()["query_string"]
        return query

    @property
    def path(self) -> str:
        """The decoded path, without the mount point."""
        return local_path(self._seen())

    @property
    def headers(self) -> Headers:
        """The headers."""
        return Headers(self._seen()["headers"])

    @property
    def origin(self) -> str | None:
        """The header ``Origin``, if there is one."""
        return self.headers.get("origin")

    @property
    def host(self) -> str:
        """The host that was asked for: what a trusted proxy says, or the header ``Host``."""
        forwarded: str | None = self._seen().get("extensions", {}).get(FORWARDED_HOST)
        return self.headers.get("host", "") if forwarded is None else forwarded

    @property
    def client(self) -> tuple[str, int] | None:
        """The peer's host and port, as far as the host server knows them."""
        client = self._seen().get("client")
        return (client[0], client[1]) if client else None

    @property
    def method(self) -> str:
        """The HTTP method; ``GET`` for WebSocket requests."""
        return str(self._seen().get("method", "GET"))

    @property
    def subprotocols(self) -> list[str]:
        """The WebSocket subprotocols that the client offers, as the host server gives them."""
        return list(self._seen().get("subprotocols", ()))

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS, as far as the host server knows."""
        return self._seen().get("scheme") in ("https", "wss")

    @property
    def url(self) -> str:
        """Path and query as they were requested."""
        scope = self._seen()
        raw = scope.get("raw_path")
        path = raw.decode("latin-1") if raw else str(scope["path"])
        query = scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path!r} from {self.client}>"


def parse_query(text: str) -> dict[str, str]:
    """The parameters of a query, each with its last value."""
    if "%" in text or "+" in text:
        return dict(parse_qsl(text, keep_blank_values=True, errors="replace"))
    query: dict[str, str] = {}
    for item in text.split("&"):
        if item:
            name, _, value = item.partition("=")
            query[name] = value
    return query


def local_path(scope: Scope) -> str:
    """The path below the mount point (``root_path``).

    Hosts disagree on whether ``path`` contains ``root_path``: ASGI says it does, older
    servers strip it, so both are read.
    """
    path: str = scope["path"]
    root: str = scope.get("root_path", "")
    if root and path.startswith(root) and path[len(root) : len(root) + 1] in ("", "/"):
        return path[len(root) :]
    return path


class TransportView(Protocol):
    """What carries a connection, as users see it."""

    @property
    def name(self) -> str:
        """``polling`` or ``websocket``."""
        ...

    @property
    def writable(self) -> bool:
        """Whether it would send at once."""
        ...


class Response(NamedTuple):
    """An HTTP answer: status code, headers, body, and whether it may be compressed."""

    status: int
    headers: HeaderList
    body: bytes
    compress: bool = True


Clock = Callable[[], float]
