"""The manager of a connection, as the users of its sockets see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, TypeVar

from ..events.emitter import Events
from ..events.threadsafe import Threadsafe
from ..loop.results import Completion
from .backoff import ReconnectionDelays
from .engine import ClientEngine
from .options import Auth

S = TypeVar("S")


class ManagerApi(Events, ReconnectionDelays, ABC, Generic[S]):
    """What a manager shows, for sockets of the class ``S``: ``socket.io``.

    ``engine`` is the present connection, ``sockets`` those of its namespaces by their names,
    ``ready_state`` is ``opening``, ``open`` or ``closed``. ``reconnection``,
    ``reconnection_attempts`` and ``timeout`` (in seconds) may be set, for the next attempt.
    """

    engine: ClientEngine | None
    ready_state: str
    reconnection: bool
    reconnection_attempts: float
    sockets: dict[str, S]
    timeout: float | None

    _reconnecting: bool

    @property
    def reconnecting(self) -> bool:
        """Whether the connection was lost and is being made again."""
        return self._reconnecting

    @property
    def threadsafe(self) -> Threadsafe:
        """For any other thread: ``threadsafe.call(function, *args)`` runs on the event loop."""
        return Threadsafe(self._runtime)

    # -- what it does -----------------------------------------------------------------------

    @abstractmethod
    def socket(
        self,
        nsp: str = "/",
        *,
        auth: Auth = None,
        ack_timeout: float | None = None,
        retries: int | None = None,
    ) -> S:
        """The socket of a namespace; it connects at once, unless ``auto_connect`` is off."""

    @abstractmethod
    def open(self) -> Completion:
        """Connect, unless that has been done (JavaScript: also ``connect``).

        Awaiting the result waits until the connection is open; raises ``ConnectError``.
        """

    def connect(self) -> Completion:
        """Connect: an alias of ``open``."""
        return self.open()

    @abstractmethod
    def close(self) -> Completion:
        """Disconnect all sockets and close the connection (JavaScript: ``disconnect``).

        Awaiting the result waits until the connection has gone.
        """

    def disconnect(self) -> Completion:
        """Disconnect: an alias of ``close``."""
        return self.close()
