"""Lines about clients in the log: each one while they are few, a sum if they are many."""

from __future__ import annotations

import logging

from .._log import logger, shown
from ..deadlines import Schedule

PERIOD = 60.0
"""After so many seconds what has happened more often is summed up."""

FEW = 10
"""How many lines of one kind are logged in a period."""

LONGEST = 500


class Tally:
    """Logs at most ``FEW`` lines of a kind in a ``PERIOD``, then how many more there were."""

    __slots__ = ("_counts", "_timeout", "_logger")

    def __init__(self, schedule: Schedule, log: logging.Logger = logger) -> None:
        self._counts: dict[tuple[int, str], int] = {}
        self._timeout = schedule.timeout(PERIOD, self._sum_up)
        self._logger = log

    def note(
        self,
        kind: str,
        text: str = "",
        level: int = logging.INFO,
        error: BaseException | None = None,
    ) -> None:
        """Log a line of this kind; ``kind`` is chosen by telex, ``text`` may quote a peer."""
        if not self._logger.isEnabledFor(level):
            return
        key = level, kind
        count = self._counts.get(key, 0)
        self._counts[key] = count + 1
        if not count:
            self._timeout.start(key)
        if count < FEW:
            told = f"{kind}: {text}" if text else kind
            self._logger.log(level, "%s", shown(told, LONGEST), exc_info=error)

    def flush(self) -> None:
        """Sum up now."""
        for key in list(self._counts):
            self._timeout.stop(key)
            self._sum_up(key)

    def _sum_up(self, key: tuple[int, str]) -> None:
        more = self._counts.pop(key, 0) - FEW
        if more > 0:
            level, kind = key
            self._logger.log(level, "%d more within %d s: %s", more, PERIOD, shown(kind))
