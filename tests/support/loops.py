"""An event loop that turns when a test says so, by a virtual clock."""

from __future__ import annotations

import asyncio
from typing import Any

from tests.support.doubles import VirtualClock


class VirtualLoop(asyncio.SelectorEventLoop):
    """A real loop in which time passes only by `advance` and `sleep`.

    What callbacks raise is in `failures`.
    """

    def __init__(self, clock: VirtualClock) -> None:
        super().__init__()
        self.clock = clock
        self.failures: list[str] = []
        self.set_exception_handler(self._failed)

    def _failed(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        self.failures.append(str(context.get("exception", context)))

    def time(self) -> float:
        return self.clock.now

    def _timers(self) -> list[asyncio.TimerHandle]:
        scheduled: Any = vars(self)["_scheduled"]
        return [handle for handle in scheduled if not handle.cancelled()]

    @property
    def timers(self) -> int:
        """How many timers are set."""
        return len(self._timers())

    @property
    def callbacks(self) -> int:
        """How many callbacks wait for the next turn."""
        ready: Any = vars(self)["_ready"]
        return len(ready)

    def turn(self) -> None:
        """One turn: the timers that are due, and what was to be called soon."""
        self.call_soon(self.stop)
        self.run_forever()

    def advance(self, seconds: float) -> None:
        """Let time pass, turning at every timer."""
        end = self.clock.now + seconds
        while timers := self._timers():
            first = min(handle.when() for handle in timers)
            if first > end:
                break
            self.clock.now = max(self.clock.now, first)
            self.turn()
        self.clock.now = end

    def sleep(self, seconds: float) -> None:
        """The process is held up for so long; then the loop turns once."""
        self.clock.now += seconds
        self.turn()
