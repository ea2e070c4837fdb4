"""Calling handlers: what one takes, what has to be awaited, and several of them in order."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import CoroutineType
from typing import Any

from .._log import logger, shown
from ..loop.cancellation import reraise_fatal
from .acks import Ack
from .failures import HANDLER_FAILED, explain
from .handlers import Handler
from .recipient import Recipient

DATA = frozenset({type(None), str, bool, int, float, list, dict, tuple, bytes})
"""What handlers return to be sent, and never to be awaited."""


def call_handler(
    handler: Handler,
    socket: object,
    args: list[Any],
    ack: Ack | None = None,
    fitted: bool = False,
) -> Any:
    """Call a handler with what it takes of an event's arguments; return what it returns.

    ``fitted`` arguments have been checked and converted already. Raises ``InvalidArguments`` if
    they do not fit, and whatever the handler raises. The result has to be awaited if
    ``must_be_awaited`` says so.
    """
    if not fitted and (len(args) != handler.limit or handler.typed):
        args = handler.fit(args)
    if handler.with_socket:
        args = [socket, *args]
    if handler.ack is None or (ack is None and not handler.ack_required):
        return handler.call(*args)
    return handler.call(*args, **{handler.ack: ack})


def must_be_awaited(result: Any, *, wanted: bool) -> bool:
    """Whether a handler has returned a coroutine, or something else to await that is ``wanted``.

    A future, or what ``emit`` returns, is wanted of an async handler, and where the result is an
    acknowledgement.
    """
    return result.__class__ is CoroutineType or (wanted and hasattr(result, "__await__"))


async def run_handler(handler: Handler, socket: object, args: list[Any]) -> Any:
    """Call a handler, await what it returns if that is work, and return the result."""
    result = call_handler(handler, socket, args)
    if must_be_awaited(result, wanted=handler.is_async):
        result = await result
    return result


async def run_in_order(
    handlers: Iterable[Handler],
    socket: object,
    args: list[Any],
    failed: Callable[[BaseException], None],
) -> None:
    """Run the handlers of a life-cycle event one after the other; ``failed`` is told of errors."""
    for handler in handlers:
        try:
            await run_handler(handler, socket, args)
        except BaseException as error:
            failed(reraise_fatal(error))


async def answer_failure(
    handler: Handler, socket: Recipient, event: Any, ack_id: int | None, error: BaseException
) -> None:
    """Acknowledge an event whose handler has raised with what the user's exception handler says."""
    try:
        answer = await run_handler(handler, socket, [error])
    except BaseException as failure:
        logger.error("the exception handler for '%s' failed", shown(event), exc_info=failure)
        reraise_fatal(failure)
        answer = HANDLER_FAILED
    if ack_id is not None:
        socket.answer(ack_id, answer)


class ConnectionHandlers:
    """The handlers of ``connection`` for one socket, in order, until one refuses the socket.

    One that raises refuses it, and so does one that returns False; then ``failed`` is called
    with the error, or with ``None``, and no further handler.
    """

    __slots__ = ("_explained", "_failed", "_rest", "_running", "_socket", "_work")

    def __init__(
        self,
        handlers: Iterable[Handler],
        socket: object,
        failed: Callable[[BaseException | None], None],
        explained: set[str],
    ) -> None:
        self._rest = list(handlers)
        self._socket = socket
        self._failed = failed
        self._explained = explained
        self._running: Handler | None = None
        self._work: Any = None

    def begin(self) -> Any:
        """Call handlers up to the first that has to be awaited; return what it has returned.

        Await ``finish`` then. ``None``: no handler is left.
        """
        while self._rest:
            handler = self._running = self._rest.pop(0)
            try:
                result = call_handler(handler, self._socket, [self._socket])
            except BaseException as error:
                self._refuse(reraise_fatal(error))
                break
            if must_be_awaited(result, wanted=handler.is_async):
                self._work = result
                return result
            self._check(handler, result)
        return None

    async def finish(self) -> None:
        """Await what ``begin`` has returned, and run the handlers that are left."""
        while self._work is not None and self._running is not None:
            work, self._work = self._work, None
            try:
                result = await work
            except BaseException as error:
                self._refuse(reraise_fatal(error))
            else:
                self._check(self._running, result)
                self.begin()

    def _check(self, handler: Handler, result: Any) -> None:
        if result is False:
            explain(handler.function, False, "disconnects the socket", self._explained)
            self._refuse(None)

    def _refuse(self, error: BaseException | None) -> None:
        self._rest.clear()
        self._failed(error)
