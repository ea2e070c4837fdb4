"""What the sockets of one connection that have left are still doing, within the limits of one."""

from __future__ import annotations

from .._log import logger, shown
from ..engine.session import Session
from ..events.concurrent import CONCURRENT_LIMIT
from ..events.inbox import WAITING_LIMIT
from ..events.runtime import Runtime


class Departed:
    """Counts tasks and waiting events of sockets that have left, until they have ended.

    A client that joins and leaves in a loop makes a new socket each time. While those of them
    that have not finished have ``CONCURRENT_LIMIT`` tasks, or more than ``WAITING_LIMIT`` bytes
    of events wait for their handlers, the client is read no further.
    """

    __slots__ = ("_bytes", "_loads", "_paused", "_runtime", "_session", "_tasks")

    def __init__(self, session: Session, runtime: Runtime) -> None:
        self._session = session
        self._runtime = runtime
        self._loads: dict[object, tuple[int, int]] = {}
        self._tasks = 0
        self._bytes = 0
        self._paused = False

    def add(self, socket: object, tasks: int, size: int) -> None:
        """A socket has left with so many tasks, and so many bytes of events that wait."""
        self._loads[socket] = (tasks, size)
        self._tasks += tasks
        self._bytes += size
        if not self._paused and self._is_full:
            self._paused = True
            self._session.pause()
            if "departed" not in self._runtime.explained:
                self._runtime.explained.add("departed")
                logger.warning(
                    "%s joins and leaves faster than middlewares and handlers end, which have %d"
                    " tasks for sockets that have left: it is read no further until one has ended"
                    " (this is logged once)",
                    shown(self._session.name),
                    self._tasks,
                )

    def settled(self, socket: object) -> None:
        """Nothing of a socket runs any more."""
        tasks, size = self._loads.pop(socket, (0, 0))
        self._tasks -= tasks
        self._bytes -= size
        if self._paused and not self._is_full:
            self._paused = False
            self._session.resume()

    @property
    def _is_full(self) -> bool:
        return self._tasks >= CONCURRENT_LIMIT or self._bytes > WAITING_LIMIT
