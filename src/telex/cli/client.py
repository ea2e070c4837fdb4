"""The client of `telex connect` and `telex emit`: what was asked for, and failures in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from telex import ClientSocket, ConnectError, connect
from telex.errors import TransportError

from ..config import TRANSPORTS, TransportName
from .doctor.finding import PROBLEMS, UNREACHABLE
from .place import Place
from .values import show_value


@dataclass(frozen=True, slots=True)
class Wanted:
    """A connection as it was asked for on the command line."""

    url: str
    place: Place
    auth: Any = None
    headers: Mapping[str, str] | None = None
    transport: TransportName | None = None
    msgpack: bool = False
    protocol: int = 5
    insecure: bool = False
    reconnect: bool = True

    def connect(self, **more: Any) -> ClientSocket:
        """A socket of the namespace; it does not connect by itself."""
        place = self.place
        namespace = "" if place.namespace == "/" else place.namespace
        return connect(
            place.origin + namespace,
            path=place.path,
            auth=self.auth,
            query=dict(place.query),
            headers=dict(self.headers or {}),
            transports=(self.transport,) if self.transport else TRANSPORTS,
            parser="msgpack" if self.msgpack else "json",
            protocol=self.protocol,
            ssl=False if self.insecure else None,
            reconnection=None if self.reconnect else False,
            auto_connect=False,
            force_new=True,
            **more,
        )

    def explain(self, error: ConnectError) -> tuple[str, int]:
        """Why the connection was not made, in a sentence, and the exit status for it."""
        place = self.place
        if isinstance(error, TransportError) or error.message == "timeout":
            why = f"`telex doctor {self.url}` finds out why."
            return f"{place.origin} cannot be reached: {error}. {why}", UNREACHABLE
        if error.message == "Invalid namespace":
            hint = "the path of the URL is the namespace, that of the engine is --path"
            return f"The server has no namespace {place.namespace} ({hint}).", PROBLEMS
        data = "" if error.data is None else f" ({show_value(error.data)})"
        return f"The server refuses the connection: {error.message}{data}", PROBLEMS
