"""Acknowledgements, in both directions."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from types import CoroutineType
from typing import Any

from .._log import logger
from ..errors import AckTimeout
from .pending_acks import AckCallback
from .runtime import Runtime


class Ack:
    """Answers one event of a client: call it with the answer's arguments.

    A handler that has a parameter annotated with ``telex.Ack`` receives one, if the
    client asked for an acknowledgement. Only the first call counts; a call after the
    client has left has no effect. It may be called in any thread.
    """

    __slots__ = ("_send",)

    def __init__(self, send: Callable[[tuple[Any, ...]], None]) -> None:
        self._send: Callable[[tuple[Any, ...]], None] | None = send

    def __call__(self, *args: Any) -> None:
        send, self._send = self._send, None
        if send is not None:
            send(args)

    def withdraw(self) -> bool:
        """Take back the right to answer; whether it had not been used yet."""
        send, self._send = self._send, None
        return send is not None

    @property
    def sent(self) -> bool:
        """Whether the answer has been given."""
        return self._send is None


def owed(ack_id: int | None, ack: Ack | None) -> int | None:
    """The id of an answer that is still owed; the handler cannot give it any more."""
    if ack is None:
        return ack_id
    return ack_id if ack.withdraw() else None


def as_answer(args: Sequence[Any]) -> Any:
    """An acknowledgement's arguments as one value: none, the value, or a tuple of them."""
    if len(args) == 1:
        return args[0]
    return tuple(args) if args else None


def into_future(answer: asyncio.Future[Any]) -> AckCallback:
    """Make a callback that gives a future its answer."""

    def settle(args: list[Any] | None, error: Exception | None) -> None:
        if answer.done():
            return
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(as_answer(args or []))

    return settle


def into_callback(
    runtime: Runtime, function: Callable[..., Any], *, error_first: bool
) -> AckCallback:
    """Make a callback that calls a user's function; what that raises is logged.

    With ``error_first`` it is called ``(error, *answer)``; otherwise only with an answer.
    """
    if not callable(function):
        raise TypeError(f"ack must be callable, not {function!r}")

    def settle(args: list[Any] | None, error: Exception | None) -> None:
        if error_first:
            call(runtime, function, error, *(args or []))
        elif error is None:
            call(runtime, function, *(args or []))

    return settle


def call(runtime: Runtime, function: Callable[..., Any], *args: Any) -> None:
    """Call a user's acknowledgement callback, plain or async."""
    try:
        result = function(*args)
    except (Exception, SystemExit) as error:
        logger.error("an acknowledgement callback failed", exc_info=error)
        return
    if result.__class__ is CoroutineType:
        runtime.watch(result, "an acknowledgement callback")


class AckCollector:
    """The acknowledgements of a broadcast, as they come in.

    ``done(error, responses)`` is called once: when every server that was asked has counted its
    recipients and every recipient has answered or left, or after ``timeout`` seconds,
    then with ``AckTimeout`` and the answers that came.
    """

    __slots__ = ("_done", "_expected", "_servers", "_settled", "_timeout", "_timer", "responses")

    def __init__(
        self,
        runtime: Runtime,
        timeout: float,
        done: Callable[[AckTimeout | None, list[Any]], None],
    ) -> None:
        self.responses: list[Any] = []
        self._done: Callable[[AckTimeout | None, list[Any]], None] | None = done
        self._servers = 0
        self._expected = 0
        self._settled = 0
        self._timeout = timeout
        self._timer = runtime.call_later(timeout, self._expired)

    def asked(self, servers: int) -> None:
        """So many more servers are asked; each is going to count its recipients."""
        self._servers += servers

    def counted(self, recipients: int) -> None:
        """A server has so many recipients."""
        self._servers -= 1
        self._expected += recipients
        self._check()

    def settle(self, args: list[Any] | None, error: Exception | None) -> None:
        """A recipient has answered, or has left."""
        self._settled += 1
        if error is None:
            self.responses.append(args[0] if args and len(args) == 1 else as_answer(args or ()))
        if self._settled >= self._expected:
            self._check()

    def abandon(self) -> None:
        """Nothing was sent: ``done`` is not called."""
        self._done = None
        self._timer.cancel()

    @property
    def complete(self) -> bool:
        """Whether every recipient has answered or left."""
        return self._servers <= 0 and self._settled >= self._expected

    def _check(self) -> None:
        if self.complete:
            self._finish(None)

    def _expired(self) -> None:
        missing = self._expected - self._settled
        self._finish(
            AckTimeout(
                f"{missing} of {self._expected} clients have not answered within {self._timeout} s",
                self.responses,
            )
        )

    def _finish(self, error: AckTimeout | None) -> None:
        done, self._done = self._done, None
        self._timer.cancel()
        if done is not None:
            done(error, self.responses)
