"""The servers of a cluster, as one adapter knows them from their messages."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from ..deadlines import Schedule, Timeout

HEARTBEAT_INTERVAL = 5.0
"""A server that has published nothing for so long says that it is there, in seconds."""

HEARTBEAT_TIMEOUT = 10.0
"""A server that has said nothing for so long is no member any more, in seconds."""


class Members:
    """The other servers. ``beat`` publishes a heartbeat; ``left(uid)`` is told who has gone."""

    def __init__(
        self,
        schedule: Schedule,
        beat: Callable[[], object],
        left: Callable[[str], None],
        *,
        interval: float = HEARTBEAT_INTERVAL,
        timeout: float = HEARTBEAT_TIMEOUT,
    ) -> None:
        self._schedule = schedule
        self._left = left
        self._publish_beat = beat
        self._beat: Timeout[Members] = schedule.timeout(interval, Members._is_due)
        self._silent = schedule.timeout(timeout, left)

    def __len__(self) -> int:
        return len(self._silent)

    def __iter__(self) -> Iterator[str]:
        return iter(list(self._silent.deadlines))

    def __contains__(self, uid: str) -> bool:
        return uid in self._silent

    def published(self) -> None:
        """All servers have been sent something: that is a heartbeat, too."""
        self._beat.start(self)

    def heard(self, uid: str) -> None:
        """A server has sent something."""
        self._silent.start(uid)

    def leave(self, uid: str) -> None:
        """A server has said that it leaves."""
        if uid in self._silent:
            self._silent.stop(uid)
            self._left(uid)

    def _is_due(self) -> None:
        self._publish_beat()

    def close(self) -> None:
        """Forget all servers, and their deadlines."""
        self._beat.deadlines.clear()
        self._silent.deadlines.clear()
        self._schedule.remove(self._beat)
        self._schedule.remove(self._silent)
