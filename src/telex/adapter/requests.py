"""What a server has asked the others, and what they have asked it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from typing import Any

from ..errors import ClusterTimeout, Disconnected
from .base import Answers
from .messages import MessageType, acknowledgement, snapshot


class Request:
    """One question to other servers; ``answered`` is a future with all responses.

    They are added to those that this server has ``found`` itself.
    """

    def __init__(
        self, nodes: Iterable[str], found: list[Any], loop: asyncio.AbstractEventLoop
    ) -> None:
        self.responses = found
        self.answered: asyncio.Future[list[Any]] = loop.create_future()
        self._missing = dict.fromkeys(nodes)
        self._check()

    def answer(self, node: str, responses: list[Any]) -> None:
        """A server has answered; only its first answer counts."""
        if node in self._missing:
            del self._missing[node]
            self.responses.extend(responses)
            self._check()

    def leave(self, node: str) -> None:
        """A server has gone: it is not waited for."""
        self._missing.pop(node, None)
        self._check()

    def _check(self) -> None:
        if not self._missing and not self.answered.done():
            self.answered.set_result(self.responses)

    def expire(self) -> None:
        """The time is over."""
        if not self.answered.done():
            missing = list(self._missing)
            error = ClusterTimeout(
                f"{len(missing)} other servers have not answered in time", self.responses, missing
            )
            self.answered.set_exception(error)

    def close(self) -> None:
        """The server ends."""
        if not self.answered.done():
            self.answered.set_exception(Disconnected("server shutting down"))


class Collection:
    """The acknowledgements of a broadcast that other servers collect for this one.

    Each server counts its recipients, then sends so many answers.
    """

    def __init__(self, answers: Answers, nodes: Iterable[str]) -> None:
        self._answers = answers
        self._left: dict[str, int | None] = dict.fromkeys(nodes)
        answers.asked(len(self._left))

    @property
    def complete(self) -> bool:
        """Whether every server has counted, and sent all answers."""
        return not self._left

    def counted(self, node: str, recipients: int) -> None:
        """A server has so many recipients."""
        if node in self._left and self._left[node] is None:
            self._left[node] = recipients
            if not recipients:
                del self._left[node]
            self._answers.counted(recipients)

    def settle(self, node: str, args: list[Any] | None) -> None:
        """A recipient has answered, or has left (``None``)."""
        left = self._left.get(node)
        if left:
            self._left[node] = left - 1
            if left == 1:
                del self._left[node]
            error = Disconnected("the socket has left its server") if args is None else None
            self._answers.settle(args, error)

    def leave(self, node: str) -> None:
        """A server has gone, and its clients with it."""
        if node in self._left:
            left = self._left.pop(node)
            if left is None:
                self._answers.counted(0)
            for _ in range(left or 0):
                self._answers.settle(None, Disconnected("the server has left the cluster"))


class RemoteAnswers:
    """Sends the acknowledgements of this server's sockets to the server that asked (``node``).

    Recipients that leave without an answer are reported to servers that know of that
    (``tells_departures``). It ends by itself when all have settled, or the time is over.
    """

    def __init__(
        self,
        node: str,
        request_id: str,
        respond: Callable[[str, MessageType, dict[str, Any]], None],
        *,
        tells_departures: bool,
    ) -> None:
        self.node = node
        self._request_id = request_id
        self._respond = respond
        self._tells_departures = tells_departures
        self._recipients = 0
        self._stop: Callable[[], None] | None = None
        self._ended: Callable[[RemoteAnswers], None] | None = None
        self._timer: asyncio.TimerHandle | None = None

    def asked(self, servers: int) -> None:
        """Only this server is asked."""

    def counted(self, recipients: int) -> None:
        """Tell how many recipients there are."""
        self._recipients = recipients
        data = {"requestId": self._request_id, "clientCount": recipients}
        self._respond(self.node, MessageType.BROADCAST_CLIENT_COUNT, data)

    def settle(self, args: list[Any] | None, error: Exception | None) -> None:
        """Pass on the answer of one recipient."""
        self._recipients -= 1
        if error is None:
            data = acknowledgement(self._request_id, snapshot(args or []))
            self._respond(self.node, MessageType.BROADCAST_ACK, data)
        elif self._tells_departures:
            data = acknowledgement(self._request_id, None)
            self._respond(self.node, MessageType.BROADCAST_ACK, data)
        self._check()

    def begin(
        self,
        stop: Callable[[], None],
        loop: asyncio.AbstractEventLoop,
        timeout: float,
        ended: Callable[[RemoteAnswers], None],
    ) -> None:
        """The sockets have been asked; ``stop`` forgets them, ``ended`` is told of the end."""
        self._stop, self._ended = stop, ended
        self._timer = loop.call_later(timeout, self.stop)
        self._check()

    def _check(self) -> None:
        if self._recipients <= 0 and self._stop is not None:
            self._stop = None
            self._end()

    def stop(self) -> None:
        """Nothing is answered any more."""
        stop, self._stop = self._stop, None
        if stop is not None:
            stop()
            self._end()

    def _end(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if self._ended is not None:
            self._ended(self)
