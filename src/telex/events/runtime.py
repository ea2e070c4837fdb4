"""What the parts of one server or client share: its loop, its parser, its running tasks."""

from __future__ import annotations

import asyncio
from _thread import get_ident
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from types import CoroutineType
from typing import Any

from .._log import logger, shown
from ..errors import ConfigurationError
from ..loop.cancellation import reraise_fatal
from ..loop.tasks import discard, start
from ..parser.packet import Parser

RESUME_AFTER = 0.1
"""How long the next event waits when the task of the one before was cancelled, in seconds."""


class Runtime:
    """Starts coroutines of handlers and keeps them until they are done.

    ``thread`` identifies the thread that the loop runs in, to compare it with ``get_ident()``;
    ``explained`` names the functions whose mistakes the log has explained.
    """

    __slots__ = ("_loop", "explained", "parser", "server", "tasks", "thread")

    def __init__(self, parser: Parser) -> None:
        self.parser = parser
        self.server: Any = None
        self.tasks: set[asyncio.Task[Any]] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.thread = get_ident()
        self.explained: set[str] = set()

    @property
    def loop(self) -> asyncio.AbstractEventLoop:
        """The loop that the server runs on."""
        if self._loop is None:
            raise ConfigurationError("the server is not running: start it first")
        return self._loop

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Run on this loop from now on."""
        if loop is not self._loop:
            self._loop = loop
            self.thread = get_ident()

    # -- threads ------------------------------------------------------------------------

    def here(self, call: str, cure: str) -> None:
        """Raise ``ConfigurationError`` unless this is the thread of the loop."""
        if get_ident() != self.thread:
            self.elsewhere(call, cure)

    def elsewhere(self, call: str, cure: str) -> None:
        """``call`` comes from a thread that is not ``thread``: refuse it if the loop is running.

        ``cure`` is what to call instead.
        """
        if self.is_running:
            if self.runs_here:  # the loop has moved to this thread
                self.thread = get_ident()
                return
            raise ConfigurationError(
                f"{call}() was called in a thread other than that of the event loop: {cure}"
            )

    @property
    def is_bound(self) -> bool:
        """Whether there has been a loop."""
        return self._loop is not None

    @property
    def is_running(self) -> bool:
        """Whether the loop is known, and running."""
        return self._loop is not None and self._loop.is_running()

    @property
    def runs_here(self) -> bool:
        """Whether the caller runs on the loop."""
        try:
            return asyncio.get_running_loop() is self._loop
        except RuntimeError:
            return False

    def hand_over(self, function: Callable[[], object]) -> bool:
        """Call a function on the loop, from any thread; whether the loop takes it."""
        if self._loop is None or not self._loop.is_running():
            return False
        try:
            self._loop.call_soon_threadsafe(function)
        except RuntimeError:  # it has been closed meanwhile
            return False
        return True

    def anywhere(self, function: Callable[..., object], *args: Any) -> None:
        """Call a function, from any thread: at once in that of the loop, else soon."""
        if get_ident() == self.thread:
            function(*args)
        elif not self.hand_over(partial(function, *args)):
            logger.warning(
                "%s() was called after the event loop had ended", shown(function.__name__)
            )

    # -- coroutines ---------------------------------------------------------------------

    def start(self, coro: Coroutine[Any, Any, Any], held: Any = None) -> asyncio.Task[Any]:
        """Run a coroutine; its first step runs at once, unless the loop has it otherwise.

        ``held`` is a coroutine that ``coro`` is going to await: without it, a task that is
        cancelled before its first step would leave a coroutine that was never begun.
        """
        loop = self._loop
        if loop is None:
            coro.close()
            discard(held)
            loop = self.loop  # says what is missing
        task = start(loop, coro)
        if not task.done():
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            if held.__class__ is CoroutineType and not held.cr_suspended:
                task.add_done_callback(lambda _: discard(held))
        return task

    def watch(self, coro: Awaitable[Any], what: str) -> None:
        """Run a coroutine whose result is not used; what it raises is logged."""
        self.start(_logged(coro, what), coro)

    def call_later(self, delay: float, callback: Callable[[], object]) -> asyncio.TimerHandle:
        """Call back after ``delay`` seconds."""
        return self.loop.call_later(delay, callback)

    def resume_later(self, callback: Callable[[], object]) -> None:
        """Call back a little after a task was cancelled: a loop that ends gets no new tasks."""
        self.call_later(RESUME_AFTER, callback)


async def _logged(coro: Awaitable[Any], what: str) -> None:
    try:
        await coro
    except BaseException as error:
        logger.error("%s failed", shown(what), exc_info=reraise_fatal(error))
