"""``threadsafe``, at both ends: what any thread may call. Calls are handed to the event loop."""

from __future__ import annotations

import concurrent.futures
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from inspect import isawaitable
from time import monotonic
from typing import Any, Generic, Self, TypeVar, overload

from .._log import logger
from ..errors import ConfigurationError, Disconnected
from ..loop.cancellation import cancelled_from_outside
from ..parser.packet import EVENT
from .flags import Emitting, FlaggedEmitter
from .reserved import check_event
from .runtime import Runtime

T = TypeVar("T")
S = TypeVar("S", bound=Emitting)
E = TypeVar("E", bound=FlaggedEmitter[Any])

GLANCE = 1.0
"""How long a thread waits before it looks whether the loop is still running, in seconds."""

NOT_RUNNING = "the event loop is not running: the server has not been started, or has ended"


class Handed(concurrent.futures.Future[T]):
    """A call that has been handed to the event loop.

    Waiting is optional: ``result(timeout)`` waits until the call has taken effect, for as
    long as awaiting the same call would wait, and raises what it has raised. An error that
    is not asked for is logged.
    """

    def __init__(self, runtime: Runtime) -> None:
        super().__init__()
        self._runtime = runtime
        self._asked = False

    def result(self, timeout: float | None = None) -> T:
        """Wait for what the call returns; ``TimeoutError`` after ``timeout`` seconds."""
        return super().result(self._wait(timeout))

    def exception(self, timeout: float | None = None) -> BaseException | None:
        """Wait for the call to end: the error that it has raised, or ``None``."""
        return super().exception(self._wait(timeout))

    def _wait(self, timeout: float | None) -> float:
        """Wait for the end of the call, at most so long; no more time remains."""
        self._asked = True
        end = None if timeout is None else monotonic() + timeout
        while not self.done():
            if self._runtime.runs_here:
                raise ConfigurationError(
                    "waiting here would stop the event loop: await the same call of io, of the"
                    " namespace or of the socket, without threadsafe"
                )
            left = GLANCE if end is None else min(end - monotonic(), GLANCE)
            if left <= 0:
                break
            concurrent.futures.wait([self], left)
            if not self.done() and not self._runtime.is_running:
                raise ConfigurationError(NOT_RUNNING)
        return 0.0

    def __del__(self) -> None:
        if self.done() and not self.cancelled() and not self._asked:
            error = super().exception(0)
            if error is not None:
                logger.error("a call from another thread failed", exc_info=error)


def _do(handed: Handed[Any], runtime: Runtime, function: Callable[..., Any], *args: Any) -> None:
    """On the loop: the call itself."""
    if not handed.set_running_or_notify_cancel():
        return
    try:
        result = function(*args)
    except BaseException as error:
        handed.set_exception(error)
        if not isinstance(error, Exception):
            raise
    else:
        if not isawaitable(result):
            handed.set_result(result)
        elif runtime.is_bound:
            runtime.start(_settle(handed, result))
        else:
            _settle_at_once(handed, result)
    finally:
        del handed  # the error refers to this frame: what refers to the error must not stay in it


async def _settle(handed: Handed[Any], awaitable: Awaitable[Any]) -> None:
    try:
        result = await awaitable
    except BaseException as error:
        ended = cancelled_from_outside()
        handed.set_exception(Disconnected("server shutting down") if ended else error)
        if not isinstance(error, Exception):
            raise
    else:
        handed.set_result(result)
    finally:
        del handed


def _settle_at_once(handed: Handed[Any], awaitable: Awaitable[Any]) -> None:
    """Without a loop: what does not wait for anything has its result."""
    steps = awaitable.__await__()
    try:
        next(steps)
    except StopIteration as done:
        handed.set_result(done.value)
    except Exception as error:
        handed.set_exception(error)
    else:
        handed.set_exception(ConfigurationError(NOT_RUNNING))


class Threadsafe:
    """Calls on the event loop of a server or client, from any thread, in order."""

    __slots__ = ("_runtime",)

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime

    @overload
    def call(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> Handed[T]: ...
    @overload
    def call(self, function: Callable[..., T], *args: Any) -> Handed[T]: ...
    def call(self, function: Callable[..., Any], *args: Any) -> Handed[Any]:
        """Call any function on the event loop: plain, async, or one that returns an awaitable.

        A server that has not run yet has no loop, and no clients: the call takes effect at
        once. Raises ``ConfigurationError`` if the loop has ended.
        """
        runtime = self._runtime
        handed = Handed[Any](runtime)
        step = partial(_do, handed, runtime, function, *args)
        if runtime.runs_here or not runtime.is_bound:
            step()
        elif not runtime.hand_over(step):
            raise ConfigurationError(NOT_RUNNING)
        return handed

    def _done(self, function: Callable[..., Any], *args: Any) -> Handed[None]:
        """Call a function on the event loop, and wait for its result without returning it."""
        return self.call(function, *args)

    def _wait(self, function: Callable[..., Coroutine[Any, Any, T]], *args: Any) -> T:
        """Call a function on the event loop, and wait for its result."""
        if self._runtime.runs_here:
            raise ConfigurationError(
                "this would block the event loop: await the same call of io, of the namespace or"
                " of the socket, without threadsafe"
            )
        return self.call(function, *args).result()

    def _checked(self, event: str, args: tuple[Any, ...]) -> list[Any]:
        """Raise what emitting an event would raise; copies of its lists and dicts."""
        check_event(event)
        self._runtime.parser.encode(EVENT, "/", [event, *args])
        return [event, *map(copied, args)]


def copied(value: Any) -> Any:
    """A value that does not change when the caller goes on with its own."""
    kind = value.__class__
    if kind is dict:
        return {key: copied(item) for key, item in value.items()}
    if kind is list or kind is tuple:
        return [copied(item) for item in value]
    return bytes(value) if kind is bytearray else value


class ThreadsafeEmitter(Threadsafe, Generic[S, E]):
    """Emits to one socket from any thread (see ``FlaggedEmitter``)."""

    __slots__ = ("_emitter", "_socket")

    def __init__(self, runtime: Runtime, socket: S, emitter: E) -> None:
        super().__init__(runtime)
        self._socket = socket
        self._emitter = emitter

    def _with(self, emitter: E) -> Self:
        return self.__class__(self._runtime, self._socket, emitter)

    @property
    def volatile(self) -> Self:
        """Drop the event if the peer cannot take it at once."""
        return self._with(self._emitter.volatile)

    def compress(self, compress: bool) -> Self:
        """Whether the event may be compressed."""
        return self._with(self._emitter.compress(compress))

    def binary(self, binary: bool) -> Self:
        """Accepted from Socket.IO 2; binary data is found without being announced."""
        return self

    def timeout(self, seconds: float) -> Self:
        """Set the limit for the acknowledgement, in seconds."""
        return self._with(self._emitter.timeout(seconds))

    def emit(self, event: str, *args: Any, ack: Callable[..., Any] | None = None) -> Handed[None]:
        """Emit an event; ``ack`` is called on the event loop. Raises as ``io.threadsafe.emit``."""
        return self._done(partial(self._emitter.emit, ack=ack), *self._checked(event, args))

    def send(self, *args: Any) -> Handed[None]:
        """Emit the event ``message``."""
        return self.emit("message", *args)

    def emit_with_ack(self, event: str, *args: Any, timeout: float | None = None) -> Any:
        """Emit an event and wait for the answer: one value, a tuple of several, or ``None``.

        Raises ``AckTimeout`` after ``timeout`` seconds, ``Disconnected`` if the peer leaves.
        """
        emitter = self._emitter if timeout is None else self._emitter.timeout(timeout)
        return self._wait(emitter.emit_with_ack, *self._checked(event, args))
