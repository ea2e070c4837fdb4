"""Handlers of blocking users: plain functions run in order, in a thread beside the loop."""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any

from .._log import logger, shown
from ..client.inbox import ReceivedEvent
from ..events.acks import Ack
from .loop import LoopLease

Function = Callable[..., Any]


class Work:
    """What one client does beside the loop.

    Its handlers run one after the other. The functions that take acknowledgements, and
    those that are shown what is sent, have another thread: a handler may wait for them.
    """

    def __init__(self, home: LoopLease) -> None:
        self.under_way: set[asyncio.Future[Any]] = set()
        self._home = home
        self._handlers = home.concurrency.worker()
        self._callbacks = home.concurrency.worker()
        home.on_leave.append(self._close)

    def _close(self) -> None:
        self._handlers.close()
        self._callbacks.close()

    async def run(
        self, function: Function, args: Any, named: dict[str, Any], *, apart: bool = False
    ) -> Any:
        """Call a function in the handlers' thread, ``apart`` in one of its own."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()
        self.under_way.add(future)
        future.add_done_callback(self.under_way.discard)

        def work() -> None:
            try:
                settle = partial(_succeed, future, function(*args, **named))
            except BaseException as error:
                settle = partial(_fail, future, error)
            try:
                loop.call_soon_threadsafe(settle)
            except RuntimeError:
                logger.warning(
                    "%s has ended too late: its caller does not wait any more", shown(function)
                )

        (self._home.concurrency.spawn if apart else self._handlers.submit)(work)
        result = await future
        return await result if inspect.iscoroutine(result) else result

    def handler(self, function: Any, *, concurrent: bool = False) -> Any:
        """What to register for a handler; a coroutine function runs on the loop."""
        if not callable(function) or is_async(function):
            return function
        return Elsewhere(function, self, concurrent=concurrent)

    def listener(self, function: Any) -> Any:
        """What to register for a function that is shown something, and answers nothing."""
        if not callable(function) or is_async(function):
            return function
        return Shown(function, self)

    def callback(self, function: Function | None) -> Function | None:
        """What to register for a function that takes an acknowledgement."""
        return None if function is None else self.listener(function)

    def auth(self, auth: Any) -> Any:
        """What to give as ``auth``: a plain function is asked in a thread of its own."""
        if not callable(auth) or is_async(auth):
            return auth
        return Elsewhere(auth, self, concurrent=True)

    def later(self, function: Function, args: Any) -> None:
        """Call a function in the callbacks' thread."""

        def work() -> None:
            try:
                result = function(*args)
                if inspect.iscoroutine(result):
                    self._home.call(lambda: result)
            except BaseException as error:
                logger.error("%s failed", shown(function), exc_info=error)

        self._callbacks.submit(work)

    def ack(self, ack: Ack) -> Ack:
        """Wrap an acknowledgement so that any thread may call it."""
        return Ack(lambda args: self._home.ask(lambda: ack(*args)))

    def received(self, event: ReceivedEvent) -> ReceivedEvent:
        """An event that can be answered in any thread."""
        event.ack = Ack(partial(_answer, self._home, event.ack))
        return event


class _Wrapped:
    """Stands for a user's function, and looks like it."""

    __wrapped__: Function

    def __init__(self, function: Function, work: Work) -> None:
        wrapper: Any = self
        functools.update_wrapper(wrapper, function, updated=())
        self._work = work

    def __eq__(self, other: object) -> bool:
        return self is other or self.__wrapped__ == other

    def __hash__(self) -> int:
        return hash(self.__wrapped__)


class Elsewhere(_Wrapped):
    """A function that is called in a thread beside the loop."""

    def __init__(self, function: Function, work: Work, *, concurrent: bool = False) -> None:
        super().__init__(function, work)
        self._apart = concurrent

    async def __call__(self, *args: Any, **named: Any) -> Any:
        for name, value in named.items():
            if isinstance(value, Ack):
                named[name] = self._work.ack(value)
        return await self._work.run(self.__wrapped__, args, named, apart=self._apart)


class Shown(_Wrapped):
    """A function that is called in the callbacks' thread, without being waited for."""

    def __call__(self, *args: Any) -> None:
        self._work.later(self.__wrapped__, args)


def original(given: Any) -> Any:
    """What the user gave."""
    return given.__wrapped__ if isinstance(given, _Wrapped) else given


def is_async(function: Function) -> bool:
    """Whether calling it gives something to await."""
    given: Any = function
    functions = (inspect.unwrap(function), getattr(given, "__call__", None))  # noqa: B004
    return any(map(inspect.iscoroutinefunction, functions))


def _answer(home: LoopLease, ack: Callable[..., None], args: tuple[Any, ...]) -> None:
    home.ask(lambda: ack(*args))


def _succeed(future: asyncio.Future[Any], result: Any) -> None:
    if not future.done():
        future.set_result(result)
    elif inspect.iscoroutine(result):
        result.close()


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if future.done():
        return
    if not isinstance(error, Exception) or isinstance(error, StopIteration):
        # The loop would end with one of these, or never hear of it.
        failure = RuntimeError(f"the handler raised {type(error).__name__}")
        failure.__cause__ = error
        error = failure
    future.set_exception(error)
