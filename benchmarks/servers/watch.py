"""How long an event loop did not run."""

import asyncio


class Watch:
    """The longest time for which the loop did not run, while somebody wants to know."""

    def __init__(self) -> None:
        self._timer: asyncio.TimerHandle | None = None
        self._before = self._longest = 0.0

    def start(self) -> None:
        """Look every twenty milliseconds."""
        self.stop()
        self._longest = 0.0
        self._before = asyncio.get_running_loop().time()
        self._again()

    def stop(self) -> float:
        """Look no more; the longest stall in milliseconds."""
        if self._timer is not None:
            self._timer.cancel()
        return self._longest * 1000

    def _again(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(0.02, self._look)

    def _look(self) -> None:
        now = asyncio.get_running_loop().time()
        self._longest = max(self._longest, now - self._before - 0.02)
        self._before = now
        self._again()
