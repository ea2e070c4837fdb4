"""What a socket knows of the request that opened it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from ..types import Headers, Request

HandshakeExtra = Callable[[Request], Mapping[str, Any]]


class Handshake:
    """Details of the handshake (Node: ``socket.handshake``).

    ``issued`` is in milliseconds since 1970, ``time`` the same moment as text, ``auth``
    what the client sent to the namespace, ``xdomain`` whether a page of another origin
    asked, ``secure`` whether the request came over TLS.
    """

    __slots__ = ("_extra", "_make_extra", "_query", "auth", "issued", "request")

    def __init__(
        self,
        request: Request,
        auth: dict[str, Any],
        issued: int,
        extra: HandshakeExtra | None = None,
        query: Mapping[str, str] | None = None,
    ) -> None:
        self.request = request
        self.auth = auth
        self.issued = issued
        self._query = query
        self._make_extra = extra
        self._extra: dict[str, Any] | None = None

    @property
    def extra(self) -> dict[str, Any]:
        """What ``Server(handshake_extra=callable(request) -> dict)`` knows of the request."""
        if self._extra is None:
            self._extra = dict(self._make_extra(self.request)) if self._make_extra else {}
        return self._extra

    @property
    def eos(self) -> Any:
        """The key ``eos`` of ``extra`` (its place on EdgerOS); ``AttributeError`` without it."""
        if "eos" not in self.extra:
            raise AttributeError("handshake_extra gives no 'eos'")
        return self.extra["eos"]

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self.request.headers

    @property
    def query(self) -> dict[str, str]:
        """The request's query parameters.

        For clients of Socket.IO 1 and 2 also those they have given to the namespace.
        """
        if self._query:
            return {**self.request.query, **self._query}
        return self.request.query

    @property
    def time(self) -> str:
        """The moment of the handshake, as JavaScript's ``Date`` prints it."""
        moment = datetime.fromtimestamp(self.issued / 1000, UTC)
        return moment.strftime("%a %b %d %Y %H:%M:%S GMT+0000 (Coordinated Universal Time)")

    @property
    def address(self) -> str:
        """The client's address."""
        return self.request.client[0] if self.request.client else ""

    @property
    def xdomain(self) -> bool:
        """Whether the request has an ``Origin`` header."""
        return "origin" in self.headers

    @property
    def secure(self) -> bool:
        """Whether the request came over TLS."""
        return self.request.secure

    @property
    def url(self) -> str:
        """Path and query of the request."""
        return self.request.url

    def to_dict(self) -> dict[str, Any]:
        """The form that other servers of a cluster read."""
        return {
            "headers": dict(self.headers),
            "time": self.time,
            "address": self.address,
            "xdomain": self.xdomain,
            "secure": self.secure,
            "issued": self.issued,
            "url": self.url,
            "query": dict(self.query),
            "auth": self.auth,
        }
