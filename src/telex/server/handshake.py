"""What a socket knows of the request that opened it."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ..types import Headers, Request


class Handshake:
    """Details of the handshake (Node: ``socket.handshake``).

    ``issued`` is in milliseconds since 1970, ``time`` the same moment as text, ``auth``
    what the client sent to the namespace, ``xdomain`` whether a page of another origin
    asked, ``secure`` whether the request came over TLS.
    """

    __slots__ = ("auth", "issued", "request")

    def __init__(self, request: Request, auth: dict[str, Any], issued: int) -> None:
        self.request = request
        self.auth = auth
        self.issued = issued

    @property
    def headers(self) -> Headers:
        """The request's headers."""
        return self.request.headers

    @property
    def query(self) -> dict[str, str]:
        """The request's query parameters."""
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
