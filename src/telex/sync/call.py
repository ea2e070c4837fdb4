"""A call that a thread hands to the event loop, and waits for."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from ..errors import Disconnected
from ..loop.tasks import start
from .concurrency import Signal

ENDED = "the program ends"


class NullSignal:
    """A signal without a waiting thread."""

    def set(self) -> None:
        """Nothing to do."""

    def wait(self) -> None:
        """Nothing to wait for."""


NULL_SIGNAL = NullSignal()


class Call:
    """Something that a thread wants done on the loop, and waits for."""

    __slots__ = ("_abandoned", "_error", "_function", "_keep", "_result", "_signal", "_task")

    def __init__(
        self,
        function: Callable[[], Any],
        signal: Signal,
        keep: Callable[[Any], object] | None,
    ) -> None:
        self._function = function
        self._signal = signal
        self._keep = keep
        self._task: asyncio.Task[Any] | None = None
        self._result: Any = None
        self._error: BaseException | None = None
        self._abandoned = False

    def begin(self) -> None:
        """On the loop: do it."""
        if self._abandoned:
            return
        try:
            result = self._function()
        except (Exception, SystemExit) as error:
            self.fail(error)
            return
        if asyncio.iscoroutine(result):
            self._task = start(asyncio.get_running_loop(), result)
            self._task.add_done_callback(self._done)
        else:
            self._succeed(result)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._task = None
        if task.cancelled():
            self.fail(Disconnected(ENDED))
        elif (error := task.exception()) is not None:
            self.fail(error)
        else:
            self._succeed(task.result())

    def _succeed(self, result: Any) -> None:
        if self._abandoned:
            if self._keep is not None:
                self._keep(result)
            return
        self._result = result
        self._signal.set()

    def fail(self, error: BaseException) -> None:
        """It could not be done."""
        self._error = error
        if not self._abandoned:
            self._signal.set()

    def abandon(self) -> None:
        """On the loop: the caller waits no more. A result that it has not seen is kept."""
        if self._abandoned:
            return
        self._abandoned = True
        if self._task is not None:
            self._task.cancel()
        elif self._result is not None and self._keep is not None:
            self._keep(self._result)

    def wait(self) -> None:
        """Wait until it has been done, or has failed."""
        self._signal.wait()

    def outcome(self) -> Any:
        """What has come of it."""
        error = self._error
        if error is not None:
            try:
                raise error
            finally:
                del self, error  # they hold each other
        return self._result
