"""What a process has beside the event loop: something to wait with, something to work with."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol


class Signal(Protocol):
    """Something that happens once. Made by the one who waits, set from any thread."""

    def set(self) -> None: ...

    def wait(self) -> None: ...


class Worker(Protocol):
    """Does one thing after the other, beside the event loop."""

    def submit(self, work: Callable[[], object]) -> None: ...

    def close(self) -> None:
        """End when nothing is left to do; what is submitted later begins anew."""
        ...


class Concurrency(Protocol):
    """How this process waits and works beside the event loop."""

    def signal(self) -> Signal: ...

    def worker(self) -> Worker: ...

    def spawn(self, work: Callable[[], object]) -> None:
        """Do something in a thread, or greenlet, of its own."""
        ...

    def stay(self, staying: bool) -> None:
        """Whether handlers may still be called."""
        ...

    def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """On the loop, before anything else: make it fit."""
        ...

    def start_loop(self, run: Callable[[], None]) -> Callable[[], None]:
        """Run an event loop in a thread; what is returned waits for its end."""
        ...
