"""The event loop of this process's blocking clients, in a thread of its own.

It runs while a client is in use or a call is under way; a child process, after a fork,
begins with none.
"""

from __future__ import annotations

import asyncio
import atexit
import os
import selectors
import sys
import weakref
from _thread import allocate_lock
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from ..errors import ConfigurationError
from .call import NULL_SIGNAL, Call
from .choice import choose
from .concurrency import Concurrency

T = TypeVar("T")

_FAREWELL = 1.0
"""How long, at most, the end of the program is held up by connections that close, in seconds."""


def _real_lock() -> Any:
    """A lock between threads of the operating system, under gevent too."""
    monkey: Any = sys.modules.get("gevent.monkey")
    lock: Any = allocate_lock if monkey is None else monkey.get_original("_thread", "allocate_lock")
    return lock()


class LoopThread:
    """A thread with an event loop."""

    def __init__(self, concurrency: Concurrency) -> None:
        self.holders = 0
        self.homes: weakref.WeakSet[LoopLease] = weakref.WeakSet()
        self.loop: asyncio.AbstractEventLoop | None = None
        self._concurrency = concurrency
        self._lock = _real_lock()
        self._early: list[Call] = []
        self._failure: BaseException | None = None
        self._stopping: asyncio.Event | None = None
        self._selector: selectors.BaseSelector | None = None
        self._join: Callable[[], None] = _nothing

    def start(self) -> None:
        """Begin; what is submitted before the loop runs is done as soon as it does."""
        self._join = self._concurrency.start_loop(self._run)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=self._new_loop) as runner:
                runner.run(self._main())
        except BaseException as error:
            with self._lock:
                self._failure = error
                early, self._early = self._early, []
            for call in early:
                call.fail(error)
            raise

    def _new_loop(self) -> asyncio.AbstractEventLoop:
        if os.name == "nt":
            return asyncio.new_event_loop()
        self._selector = selectors.DefaultSelector()
        return asyncio.SelectorEventLoop(self._selector)

    async def _main(self) -> None:
        loop = asyncio.get_running_loop()
        stopping = self._stopping = asyncio.Event()
        self._concurrency.prepare(loop)
        self._begin(loop)
        await stopping.wait()

    def _begin(self, loop: asyncio.AbstractEventLoop) -> None:
        """Do what has been submitted before."""
        with self._lock:
            self.loop = loop
            early, self._early = self._early, []
        for call in early:
            call.begin()

    def submit(self, call: Call) -> None:
        """Let a call begin on the loop."""
        if self.loop is None:
            with self._lock:
                if self._failure is not None:
                    raise RuntimeError("there is no event loop") from self._failure
                if self.loop is None:
                    self._early.append(call)
                    return
        self.loop.call_soon_threadsafe(call.begin)

    def soon(self, function: Callable[[], object]) -> None:
        """Call something on the loop, if it still runs."""
        try:
            self.submit(Call(function, NULL_SIGNAL, None))
        except RuntimeError:
            pass  # closed meanwhile

    def stop(self) -> None:
        """End the loop. What still runs on it is cancelled."""
        self.soon(self._stop)

    def _stop(self) -> None:
        if self._stopping is not None:
            self._stopping.set()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if not self.is_ours():
            self._join()

    def is_ours(self) -> bool:
        """Whether this is the loop that runs here and now."""
        return self.loop is not None and _running_loop() is self.loop

    def run(
        self,
        function: Callable[[], Any],
        concurrency: Concurrency,
        keep: Callable[[Any], object] | None = None,
    ) -> Any:
        """Do something on the loop, a coroutine too, and wait for what comes of it.

        A caller that is interrupted waits no longer: the call is cancelled; ``keep`` receives a
        result that has come all the same.
        """
        call = Call(function, concurrency.signal(), keep)
        try:
            self.submit(call)
            call.wait()
        except BaseException:
            self.soon(call.abandon)
            raise
        return call.outcome()

    def inherited(self) -> None:
        """This process is a child: the thread lives in its parent only.

        Its connections are the parent's. Here each of them is replaced by nothing, so that
        they end when the parent ends them, and nothing that is left here disturbs them.
        """
        if self._selector is None:
            return
        nothing = os.open(os.devnull, os.O_RDWR)
        try:
            for key in list((self._selector.get_map() or {}).values()):
                os.dup2(nothing, key.fd, inheritable=False)
            fileno = getattr(self._selector, "fileno", None)
            if fileno is not None:
                os.dup2(nothing, fileno(), inheritable=False)
        except (OSError, RuntimeError):
            pass  # the fork came while a connection was closing
        finally:
            os.close(nothing)


class LoopLease:
    """Where a client lives: the loop's thread, which runs as long as the client is at home."""

    def __init__(self) -> None:
        self.concurrency = choose()
        self.close: Callable[[], Coroutine[Any, Any, object]] | None = None
        self.on_leave: list[Callable[[], None]] = []
        self._process = _process
        self._thread: LoopThread | None = None

    def __del__(self) -> None:
        thread = self._thread
        if thread is not None and self._process is _process:
            thread.soon(lambda: let_go(thread))

    @property
    def is_here(self) -> bool:
        """Whether the client was made in this process, and not before a fork."""
        return self._process is _process

    def enter(self) -> None:
        """The client is going to be used."""
        self._check()
        with _process.lock:
            if self._thread is not None:
                return
            self._thread = _hold()
            self._thread.homes.add(self)
        self.concurrency.stay(True)

    def leave(self) -> None:
        """The client is not in use any more."""
        if not self.is_here:
            return
        with _process.lock:
            thread, self._thread = self._thread, None
        if thread is not None:
            thread.homes.discard(self)
            self.concurrency.stay(False)
            for function in self.on_leave:
                function()
            let_go(thread)

    @property
    def is_entered(self) -> bool:
        """Whether the client is at home."""
        self._check()
        return self._thread is not None

    def soon(self, function: Callable[[], object]) -> None:
        """Do something on the loop, if the client is at home, and do not wait for it."""
        thread = self._thread
        if thread is not None:
            thread.soon(function)

    def ask(self, function: Callable[[], T]) -> T:
        """Do something on the loop that waits for nothing."""
        self._check()
        thread = hold()
        try:
            if thread.is_ours():
                return function()
            _no_loop()
            result: T = thread.run(function, self.concurrency)
            return result
        finally:
            let_go(thread)

    def call(
        self,
        function: Callable[[], Coroutine[Any, Any, T]],
        keep: Callable[[T], object] | None = None,
    ) -> T:
        """Run a coroutine on the loop and wait for what it returns."""
        self._check()
        _no_loop()
        thread = hold()
        try:
            result: T = thread.run(function, self.concurrency, keep)
            return result
        finally:
            let_go(thread)

    def hand_over(self, function: Callable[[], Awaitable[object]]) -> None:
        """Do something and wait for it, unless this is the loop itself: then go on at once."""

        async def wait() -> None:
            await function()

        if self.on_loop:
            self._check()
            function()
        else:
            self.call(wait)

    @property
    def on_loop(self) -> bool:
        """Whether the caller is an async handler of ours."""
        thread = _process.thread
        return thread is not None and thread.is_ours()

    def _check(self) -> None:
        if not self.is_here:
            raise ConfigurationError(
                "this client belongs to the process that has made it, not to a child of that:"
                " connect anew after the fork"
            )


class _Process:
    """What there is once in each process."""

    def __init__(self) -> None:
        self.lock = _real_lock()
        self.thread: LoopThread | None = None
        self.waits_for_exit = False


_process = _Process()
_inherited: list[LoopThread] = []


def hold() -> LoopThread:
    """The thread of this process, which does not end until ``let_go``."""
    with _process.lock:
        return _hold()


def _hold() -> LoopThread:
    thread = _process.thread
    if thread is None:
        thread = LoopThread(choose())
        thread.start()
        _process.thread = thread
        if not _process.waits_for_exit:
            _process.waits_for_exit = True
            atexit.register(_say_goodbye)
    thread.holders += 1
    return thread


def let_go(thread: LoopThread) -> None:
    """Hold the thread no longer. It ends with the last one, and that is waited for."""
    with _process.lock:
        thread.holders -= 1
        if thread.holders or thread is not _process.thread:
            return
        _process.thread = None
    thread.stop()
    thread.join()


def _running_loop() -> asyncio.AbstractEventLoop | None:
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None


def _no_loop() -> None:
    """Blocking a thread that runs an event loop would stop everything on it."""
    loop = _running_loop()
    if loop is None:
        return
    thread = _process.thread
    if thread is not None and thread.loop is loop:
        raise ConfigurationError(
            "an async handler must not wait with telex.sync: make it a plain function,"
            " which runs in a thread of its own"
        )
    raise ConfigurationError(
        "telex.sync blocks the thread that calls it, and this one runs an event loop:"
        " use telex.connect"
    )


def _say_goodbye() -> None:
    """The program ends: close what is open."""
    thread = _process.thread
    if thread is None:
        return

    async def close() -> None:
        homes = list(thread.homes)
        closing = [asyncio.ensure_future(home.close()) for home in homes if home.close]
        if closing:
            await asyncio.wait(closing, timeout=_FAREWELL)

    try:
        thread.run(close, choose())
        thread.stop()
    except RuntimeError:
        return  # the loop has ended meanwhile
    thread.join()


def _after_fork() -> None:
    """In a child process: it has no loop, and the parent's connections are not its own."""
    global _process
    parent, _process = _process, _Process()
    if parent.thread is not None:
        _inherited.append(parent.thread)  # nothing of it is destroyed here
        parent.thread.inherited()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _nothing() -> None:
    """A thread that has not been started need not be waited for."""
