"""What one namespace publishes: one message after the other, in the order of the calls."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

from .._log import logger, shown
from ..errors import PublishError
from ..loop.results import Completion
from ..loop.tasks import start
from .messages import ClusterMessage

MAX_PENDING = 65_536
"""How many messages of one namespace may wait for the broker."""

PUBLISH_TIMEOUT = 10.0
"""How long a broker may take for one message, in seconds."""

CLOSE_TIMEOUT = 5.0
"""How long messages are still published when the server closes, in seconds."""

Send = Callable[[ClusterMessage, "str | None"], Awaitable[None]]


class _Publication:
    """A message that waits for the broker, or has been taken, or not."""

    __slots__ = ("_waiting", "error", "message", "node", "over")

    def __init__(self, message: ClusterMessage, node: str | None) -> None:
        self.message = message
        self.node = node
        self.over = False
        self.error: Exception | None = None
        self._waiting: list[asyncio.Future[None]] = []

    def settle(self, error: Exception | None) -> None:
        self.over = True
        self.error = error
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_result(None)

    async def wait(self) -> None:
        if not self.over:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append(waiting)
            await waiting
        if self.error is not None:
            cause = str(self.error) or type(self.error).__name__
            raise PublishError(
                f"the broker has not taken a message: {cause}"
                " (this server's clients have received what it emits)"
            ) from self.error


class Publications:
    """A queue to a broker; ``send(message, node)`` hands over one message.

    What fails is not tried again: ``PublishError`` for those who await it, and counted in
    ``lost``. Messages wait until ``begin`` is called.
    """

    def __init__(self, send: Send) -> None:
        self.lost = 0
        self._send = send
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiting: deque[_Publication] = deque()
        self._worker: asyncio.Task[None] | None = None
        self._error: Exception | None = None
        self._working = False
        self._failing = False

    @property
    def pending(self) -> int:
        """How many messages wait for the broker."""
        return len(self._waiting)

    def hold(self) -> None:
        """The broker is about to be there: messages wait for it."""
        self._error = None

    def begin(self, loop: asyncio.AbstractEventLoop, first: ClusterMessage) -> None:
        """The broker takes messages from now on, ``first`` before those that wait."""
        self._loop = loop
        self._waiting.appendleft(_Publication(first, None))
        self._work()

    def publish(self, message: ClusterMessage, node: str | None = None) -> Completion:
        """Publish a message, for one server if ``node`` names it.

        The result is done when the broker has taken it.
        """
        publication = _Publication(message, node)
        if self._error is not None:
            self._lose(publication, self._error)
        elif len(self._waiting) >= MAX_PENDING:
            self._lose(publication, PublishError(f"{MAX_PENDING} messages wait for it already"))
        else:
            self._waiting.append(publication)
            self._work()
        return Completion(None, publication.wait)

    def fail(self, error: Exception) -> None:
        """The broker cannot be used: neither what waits nor what comes is published."""
        self._error = error
        waiting, self._waiting = self._waiting, deque()
        for publication in waiting:
            self._lose(publication, error)

    def _work(self) -> None:
        if self._loop is not None and self._waiting and not self._working:
            self._working = True  # the first step may run now, and publish more
            self._worker = start(self._loop, self._publish_all())

    async def _publish_all(self) -> None:
        try:
            while self._waiting:
                publication = self._waiting[0]
                try:
                    async with asyncio.timeout(PUBLISH_TIMEOUT):
                        await self._send(publication.message, publication.node)
                except Exception as error:
                    self._taken(publication)
                    self._lose(publication, error)
                else:
                    self._taken(publication)
                    self._failing = False
                    publication.settle(None)
        finally:
            self._working = False

    def _taken(self, publication: _Publication) -> None:
        if self._waiting and self._waiting[0] is publication:
            self._waiting.popleft()

    def _lose(self, publication: _Publication, error: Exception) -> None:
        self.lost += 1
        publication.settle(error)
        if not self._failing:
            self._failing = True
            logger.error(
                "a message for the other servers was lost (%s), and so may be more, until the"
                " broker takes messages again",
                shown(str(error) or type(error).__name__),
            )

    async def close(self) -> None:
        """Publish what waits, as far as that is possible in ``CLOSE_TIMEOUT`` seconds."""
        worker, self._worker = self._worker, None
        if worker is not None:
            await asyncio.wait([worker], timeout=CLOSE_TIMEOUT)
            worker.cancel()
            await asyncio.wait([worker])
        self._loop = None
        self.fail(PublishError("the server has been closed"))
