"""What namespaces and sockets name as their server."""

from __future__ import annotations

from abc import abstractmethod

from .engine_api import EngineApi
from .namespace_api import NamespaceApi


class ServerApi(NamespaceApi):
    """A Socket.IO server (``telex.Server``); what a namespace can do, it does on ``/``."""

    engine: EngineApi

    @property
    @abstractmethod
    def path(self) -> str:
        """The path that the engine answers at."""

    @property
    @abstractmethod
    def sockets(self) -> NamespaceApi:
        """The namespace ``/``."""

    @abstractmethod
    def of(self, name: str) -> NamespaceApi:
        """The namespace with this name, made when it is first asked for."""

    @abstractmethod
    async def close(self, drain: float = 0.0) -> None:
        """End all connections, let handlers finish, and stop listening."""
