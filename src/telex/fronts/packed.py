"""What is kept of a request for as long as its connection lasts: one string of bytes, mostly."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from typing import Any

from ..types import Scope


class PackedScope(MutableMapping[str, Any]):
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
        return {
            **self._base,
            "path": self._path,
            "raw_path": self._path.encode("utf-8") if self._raw_path is None else self._raw_path,
            "query_string": query,
            "client": self._client,
            "scheme": self._scheme,
            "headers": list(zip(lines[::2], lines[1::2], strict=True)),
            "extensions": {},
            "subprotocols": [],
            "asgi": dict(self._base["asgi"]),
            "state": dict(self._base["state"]),
        }

    def __getitem__(self, key: str) -> Any:
        if self._scope is None and key == "client":
            return self._client
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
