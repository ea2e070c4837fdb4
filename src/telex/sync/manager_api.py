"""The manager of a connection, as the users of its blocking sockets see it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Generic, Self, TypeVar

from ..client.manager import Manager as AsyncManager
from ..client.options import Auth
from .engine import ClientEngine
from .events import BlockingEvents

S = TypeVar("S")


class ManagerApi(BlockingEvents, ABC, Generic[S]):
    """What a manager shows, for sockets of the class ``S``: ``socket.io``."""

    _manager: AsyncManager
    _sockets: dict[str, S]

    # -- what it is -----------------------------------------------------------------------

    @property
    def ready_state(self) -> str:
        """``opening``, ``open`` or ``closed``."""
        return self._manager.ready_state if self._home.is_here else "closed"

    @property
    def reconnecting(self) -> bool:
        """Whether the connection was lost and is being made again."""
        return self._manager.reconnecting

    @property
    def sockets(self) -> dict[str, S]:
        """The sockets by the names of their namespaces."""
        return dict(self._sockets)

    # -- options that may change ------------------------------------------------------------

    @property
    def reconnection(self) -> bool:
        """Whether a connection that is lost is made again."""
        return self._manager.reconnection

    @reconnection.setter
    def reconnection(self, reconnection: bool) -> None:
        self._manager.reconnection = reconnection

    @property
    def reconnection_attempts(self) -> float:
        """How often it is tried to reconnect before giving up."""
        return self._manager.reconnection_attempts

    @reconnection_attempts.setter
    def reconnection_attempts(self, attempts: float) -> None:
        self._manager.reconnection_attempts = attempts

    @property
    def reconnection_delay(self) -> float:
        """The first delay before reconnecting, in seconds."""
        return self._manager.reconnection_delay

    @reconnection_delay.setter
    def reconnection_delay(self, seconds: float) -> None:
        self._manager.reconnection_delay = seconds

    @property
    def reconnection_delay_max(self) -> float:
        """The longest delay before reconnecting, in seconds."""
        return self._manager.reconnection_delay_max

    @reconnection_delay_max.setter
    def reconnection_delay_max(self, seconds: float) -> None:
        self._manager.reconnection_delay_max = seconds

    @property
    def randomization_factor(self) -> float:
        """How much the delays vary, from 0 to 1."""
        return self._manager.randomization_factor

    @randomization_factor.setter
    def randomization_factor(self, factor: float) -> None:
        self._manager.randomization_factor = factor

    @property
    def timeout(self) -> float | None:
        """How long an attempt to connect may take, in seconds."""
        return self._manager.timeout

    @timeout.setter
    def timeout(self, seconds: float | None) -> None:
        self._manager.timeout = seconds

    # -- what it does -----------------------------------------------------------------------

    @property
    @abstractmethod
    def engine(self) -> ClientEngine | None:
        """The present connection."""

    @abstractmethod
    def socket(
        self,
        nsp: str = "/",
        *,
        auth: Auth = None,
        ack_timeout: float | None = None,
        retries: int | None = None,
    ) -> S:
        """The socket of a namespace.

        It begins to connect, unless ``auto_connect`` is off; its ``connect()``, or ``with``,
        waits for that.
        """

    @abstractmethod
    def open(self) -> Self:
        """Connect, unless that has been done, and wait for it; raises ``ConnectError``.

        In an async handler it only begins.
        """

    def connect(self) -> Self:
        """Connect: an alias of ``open``."""
        return self.open()

    @abstractmethod
    def close(self) -> Self:
        """Disconnect all sockets, close the connection, and wait until it has gone."""

    def disconnect(self) -> Self:
        """Disconnect: an alias of ``close``."""
        return self.close()

    # -- staying at home as long as the connection is in use --------------------------------

    @abstractmethod
    def settle(self) -> None:
        """On the loop: leave it, if nothing is in use any more and no handler runs."""

    @abstractmethod
    def stay(self) -> None:
        """On the loop: stay until nothing is in use any more."""
