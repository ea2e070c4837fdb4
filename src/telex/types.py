"""Types shared by every floor: requests, headers, responses."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, MutableMapping
from typing import Any, NamedTuple
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
HeaderList = list[tuple[str, str]]
Buffer = bytes | bytearray | memoryview


class Headers(Mapping[str, str]):
    """Request headers: names in lower case, looked up without regard to case.

    A header that came several times is joined with ``", "`` (``Cookie`` with ``"; "``).
    """

    __slots__ = ("_values",)

    def __init__(self, raw: list[tuple[bytes, bytes]]) -> None:
        values: dict[str, str] = {}
        for raw_name, raw_value in raw:
            name = raw_name.decode("latin-1").lower()
            value = raw_value.decode("latin-1")
            if name in values:
                value = values[name] + ("; " if name == "cookie" else ", ") + value
            values[name] = value
        self._values = values

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"Headers({self._values!r})"


class Request:
    """The HTTP request behind a connection, made from its ASGI ``scope``.

    ``query`` maps each parameter to its last value, ``path`` is the decoded path
    without the mount point, ``client`` the peer's ``(host, port)`` if it is known.
    """

    __slots__ = ("client", "headers", "path", "query", "scope")

    def __init__(self, scope: Scope) -> None:
        self.scope = scope
        self.path = local_path(scope)
        self.headers = Headers(scope["headers"])
        self.query: dict[str, str] = dict(
            parse_qsl(
                scope["query_string"].decode("latin-1"), keep_blank_values=True, errors="replace"
            )
        )
        client = scope.get("client")
        self.client: tuple[str, int] | None = (client[0], client[1]) if client else None

    @property
    def method(self) -> str:
        """The HTTP method; ``GET`` for WebSocket requests."""
        return str(self.scope.get("method", "GET"))

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS, as far as the host server knows."""
        return self.scope.get("scheme") in ("https", "wss")

    @property
    def url(self) -> str:
        """Path and query as they were requested."""
        raw = self.scope.get("raw_path")
        path = raw.decode("latin-1") if raw else str(self.scope["path"])
        query = self.scope["query_string"].decode("latin-1")
        return f"{path}?{query}" if query else path

    def __repr__(self) -> str:
        return f"<Request {self.method} {self.path!r} from {self.client}>"


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


class Response(NamedTuple):
    """An HTTP answer: status code, headers, body."""

    status: int
    headers: HeaderList
    body: bytes


Clock = Callable[[], float]
