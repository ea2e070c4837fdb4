"""Beside the event loop, under gevent: greenlets, which run while other greenlets wait.

The event loop itself has a thread of the operating system, with a hub of its own.
"""

from __future__ import annotations

import asyncio
import importlib
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from .concurrency import Signal, Worker

T = TypeVar("T")

_LOOK = 0.002
"""How often it is looked whether an event loop has ended, in seconds."""

_LOOKS = 2500


class Greenlets:
    """A process whose threads gevent has replaced."""

    def __init__(self) -> None:
        self._gevent: Any = importlib.import_module("gevent")
        self._hub: Any = self._gevent.get_hub()
        self._presence: Any = self._hub.loop.async_()

    def signal(self) -> Signal:
        """Something to wait for."""
        return _Watched(self._gevent)

    def worker(self) -> Worker:
        """A greenlet that handles one thing after the other; started when it is needed."""
        return _Greenlet(self._hub, self.spawn)

    def spawn(self, work: Callable[[], object]) -> None:
        """Do something in a greenlet of the hub that this was made in, from any thread."""
        self._hub.loop.run_callback_threadsafe(self._gevent.spawn, work)

    def stay(self, staying: bool) -> None:
        """Whether the hub, with nothing else to wait for, waits for handlers to be called."""
        change = self._presence.start if staying else self._presence.stop
        self._hub.loop.run_callback_threadsafe(change, *([_nothing] if staying else []))

    def prepare(self, loop: asyncio.AbstractEventLoop) -> None:
        """Let names be looked up in greenlets of the loop's own hub."""
        loop.set_default_executor(_Executor(self._gevent))

    def start_loop(self, run: Callable[[], None]) -> Callable[[], None]:
        """Run an event loop in a thread of the operating system."""
        get_original = importlib.import_module("gevent.monkey").get_original
        ended: list[bool] = []

        def thread() -> None:
            try:
                run()
            finally:
                self._gevent.get_hub().destroy(destroy_loop=True)
                ended.append(True)

        def join() -> None:
            for _ in range(_LOOKS):
                if ended:
                    return
                self._gevent.sleep(_LOOK)

        get_original("_thread", "start_new_thread")(thread, ())
        return join


class _Watched:
    """An event of the waiting greenlet's hub.

    The watcher, which nothing ever wakes, tells the hub that something may still come.
    """

    def __init__(self, gevent: Any) -> None:
        self._loop: Any = gevent.get_hub().loop
        self._event: Any = importlib.import_module("gevent.event").Event()

    def set(self) -> None:
        self._loop.run_callback_threadsafe(self._event.set)

    def wait(self) -> None:
        watcher = self._loop.async_()
        watcher.start(_nothing)
        try:
            self._event.wait()
        finally:
            watcher.stop()
            watcher.close()


class _Executor(ThreadPoolExecutor):
    """Has no threads. Those of the original would be greenlets, and Python waits for them
    when the program ends: but not in the thread in which they can run.
    """

    def __init__(self, gevent: Any) -> None:
        super().__init__(1)
        self._gevent = gevent

    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        future: Future[T] = Future()

        def work() -> None:
            try:
                result = fn(*args, **kwargs)
            except BaseException as error:
                future.set_exception(error)
            else:
                future.set_result(result)

        self._gevent.spawn(work)
        return future


class _Greenlet:
    def __init__(self, hub: Any, spawn: Callable[[Callable[[], object]], None]) -> None:
        self._hub = hub
        self._spawn = spawn
        self._work: deque[Callable[[], object]] = deque()
        self._running = False

    def submit(self, work: Callable[[], object]) -> None:
        self._work.append(work)
        self._hub.loop.run_callback_threadsafe(self._go_on)

    def close(self) -> None:
        """Nothing to do: it runs only while there is work."""

    def _go_on(self) -> None:
        if not self._running and self._work:
            self._running = True
            self._spawn(self._run)

    def _run(self) -> None:
        try:
            while self._work:
                self._work.popleft()()
        finally:
            self._running = False
            self._go_on()


def _nothing() -> None:
    """What a watcher calls that only has to be there."""
