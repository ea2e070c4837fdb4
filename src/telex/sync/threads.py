"""Beside the event loop, in a process without gevent: threads."""

from __future__ import annotations

import asyncio
import os
import threading
from collections import deque
from collections.abc import Callable

from .concurrency import Signal, Worker

_GLANCE = 0.1 if os.name == "nt" else -1.0
"""How long a wait lasts before it looks around: Ctrl-C interrupts no lock of Windows."""

_JOIN = 5.0
"""How long an ending event loop is waited for, in seconds."""


class Threads:
    """A process without gevent."""

    def signal(self) -> Signal:
        """Something to wait for."""
        return _Lock()

    def worker(self) -> Worker:
        """A thread that handles one thing after the other; started when it is needed."""
        return _Thread()

    def spawn(self, work: Callable[[], object]) -> None:
        """Do something in a thread of its own."""
        threading.Thread(target=work, name="telex handler", daemon=True).start()

    def stay(self, staying: bool) -> None:
        """Nothing to do: threads wait as long as it takes."""

    def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Nothing to do."""

    def start_loop(self, run: Callable[[], None]) -> Callable[[], None]:
        """Run an event loop in a thread."""
        thread = threading.Thread(target=run, name="telex loop", daemon=True)
        thread.start()
        return lambda: thread.join(_JOIN)


class _Lock:
    __slots__ = ("_lock",)

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lock.acquire()

    def set(self) -> None:
        self._lock.release()

    def wait(self) -> None:
        while not self._lock.acquire(timeout=_GLANCE):
            pass


class _Thread:
    __slots__ = ("_changed", "_closed", "_running", "_work")

    def __init__(self) -> None:
        self._changed = threading.Condition(threading.Lock())
        self._work: deque[Callable[[], object]] = deque()
        self._running = False
        self._closed = False

    def submit(self, work: Callable[[], object]) -> None:
        with self._changed:
            self._work.append(work)
            self._closed = False
            if self._running:
                self._changed.notify()
                return
            self._running = True
        try:
            threading.Thread(target=self._run, name="telex handlers", daemon=True).start()
        except RuntimeError:  # the program ends (Python 3.12): no other thread needs the loop now
            self._closed = True
            self._run()

    def close(self) -> None:
        with self._changed:
            self._closed = True
            self._changed.notify()

    def _run(self) -> None:
        while True:
            with self._changed:
                while not self._work:
                    if self._closed:
                        self._running = False
                        return
                    self._changed.wait()
                work = self._work.popleft()
            work()
            del work  # it must not live on while this thread is idle
