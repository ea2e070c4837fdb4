"""Dispatch: one socket's events, handled one after the other in the order they came."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Coroutine, Iterable, Mapping
from functools import partial
from types import CoroutineType
from typing import Any, Protocol

from msgspec.msgpack import Ext

from .._log import logger, shown
from ..codec import json
from ..errors import ConnectError
from ..loop.cancellation import cancelled_from_outside, reraise_fatal
from ..parser.packet import RESERVED_EVENTS, event_arguments
from .acks import Ack
from .beside import CONCURRENT_LIMIT, Begin, Beside
from .failures import explain
from .handlers import Handler, Handlers
from .parameters import InvalidArguments
from .runtime import Runtime

WAITING_LIMIT = 1024 * 1024
"""How many bytes of events may wait for a handler before the client is read no further."""

ITEM_WEIGHT = 256
"""What an event that waits takes beside its text, about."""

WAITING_LONG = 10.0
"""After so many seconds of waiting, the event that is waited for is named in a warning."""

LONG = 192
"""From so many characters on, events are decoded straight into the types of their handlers."""

LONGEST_NAME = 64
"""Among the first so many characters, the name of such an event has to end."""

_HARD_LIMIT = 4 * WAITING_LIMIT

_DATA = frozenset({type(None), str, bool, int, float, list, dict, tuple, bytes})
"""What handlers return to be sent, and never to be awaited."""

_NOT_YET: tuple[Any, ...] = ()
"""In the place of an answer, while the first step of a coroutine runs."""

_RESUME_AFTER = 0.1
"""How long the next event waits when the task of the one before was cancelled, in seconds."""

Event = tuple["int | None", "list[Any]"]
Work = partial[Any]
PacketMiddleware = Callable[[str, list[Any]], Any]
ExceptionHandlers = Mapping[type[BaseException], Handler]


class Recipient(Protocol):
    """The socket, as its dispatch sees it."""

    def answer(self, ack_id: int, result: Any) -> None:
        """Send the acknowledgement of an event."""
        ...

    def refused(self, error: Exception) -> None:
        """A packet middleware has kept an event from its handlers."""
        ...

    def left(self) -> None:
        """The handlers of ``disconnecting`` have run."""
        ...

    def settled(self) -> None:
        """None of its handlers runs at present."""
        ...

    def unhandled(self, event: Any) -> None:
        """Nobody listens to an event that has come."""
        ...

    @property
    def expects_answers(self) -> bool:
        """Whether the client owes acknowledgements."""
        ...


class Source(Protocol):
    """Where a socket's events come from, as its dispatch sees it."""

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def end(self, reason: str) -> None: ...


class Interceptors:
    """What few sockets have: listeners for every event, middleware for packets."""

    __slots__ = ("listeners", "middlewares")

    def __init__(self) -> None:
        self.listeners: list[Handler] = []
        self.middlewares: list[PacketMiddleware] = []


class Dispatch:
    """Finds and runs the handlers of one socket's events.

    A handler that has not finished holds back the next event, unless it is concurrent. What
    waits is bounded, and so are the tasks of concurrent handlers: beyond ``WAITING_LIMIT``, or
    with ``CONCURRENT_LIMIT`` tasks, the client is not read, unless it owes an acknowledgement
    that a handler may be waiting for.
    """

    __slots__ = (
        "_at_once",
        "_beside",
        "_busy",
        "_exceptions",
        "_connecting",
        "_inbox",
        "_loads",
        "_paused",
        "_reads_json",
        "_recipient",
        "_running",
        "_runtime",
        "_source",
        "_shared",
        "_since",
        "_waiting",
        "interceptors",
        "handlers",
    )

    def __init__(
        self,
        recipient: Recipient,
        source: Source,
        runtime: Runtime,
        shared: Mapping[str, tuple[Handler, ...]],
        exceptions: ExceptionHandlers,
    ) -> None:
        self.handlers: Handlers | None = None
        self.interceptors: Interceptors | None = None
        self._recipient = recipient
        self._source = source
        self._runtime = runtime
        self._loads = runtime.parser.loads
        self._reads_json = self._loads is json.loads
        self._shared = shared
        self._exceptions = exceptions
        self._at_once: tuple[Any, ...] | None = None
        self._beside: Beside | None = None
        self._busy = False
        self._connecting = False
        self._inbox: deque[tuple[Event | str | Work, int]] | None = None
        self._waiting = 0
        self._paused = False
        self._since: float | None = None
        self._running: Any = "connection"

    def retired(self) -> Dispatch:
        """What is left of it for a socket that has gone: what was registered, and no way back.

        The two would refer to each other for ever, and only the garbage collector would end
        that. What still runs goes on here.
        """
        if self._recipient is _NULL_RECIPIENT:
            return self
        after = Dispatch(
            _NULL_RECIPIENT, self._source, self._runtime, self._shared, self._exceptions
        )
        after.handlers = self.handlers
        after.interceptors = self.interceptors
        return after

    @property
    def load(self) -> tuple[int, int]:
        """How many tasks its handlers have, and how many bytes of events wait for them."""
        beside = self._beside
        if beside is None:
            return int(self._busy), self._waiting
        return self._busy + beside.running, self._waiting + beside.weight

    # -- registration -------------------------------------------------------------------

    def own_handlers(self) -> Handlers:
        """The socket's own handlers, made on first need."""
        if self.handlers is None:
            self.handlers = Handlers()
        return self.handlers

    def own_interceptors(self) -> Interceptors:
        """The socket's interceptors, made on first need."""
        if self.interceptors is None:
            self.interceptors = Interceptors()
        return self.interceptors

    def find(self, event: Any) -> tuple[Handler, ...] | None:
        """The handlers of an event: the namespace's, then the socket's own."""
        own = self.handlers.by_event.get(event) if self.handlers is not None else None
        shared = self._shared.get(event)
        if own is None or shared is None:
            return own or shared
        return shared + own

    # -- events of the client -----------------------------------------------------------

    def receive(self, ack_id: int | None, text: str | None, data: Any) -> None:
        """Handle an EVENT, or queue it behind the handler that is running.

        Raises ``PacketError`` if its payload is not an event's.
        """
        if text is not None:
            if len(text) >= LONG and self._reads_json and self._receive_typed(ack_id, text):
                return
            data = self._loads(text)
        self.take(ack_id, event_arguments(data), -1 if text is None else len(text))

    def take(self, ack_id: int | None, data: list[Any], size: int) -> None:
        """Handle an event whose name clients may send; ``size`` is its text's, or negative."""
        name = data[0]
        handlers = self._shared.get(name) if self.handlers is None else self.find(name)
        concurrent = handlers is not None and handlers[0].concurrent
        if self._busy and (self._connecting or not concurrent):
            self._queue((ack_id, data), weight_of(data) if size < 0 else size)
            return
        if concurrent:
            weight = size if size >= 0 else None
            self._begin_beside(partial(self._handle, ack_id, data), name, data, weight)
            return
        if self.interceptors is None:
            if handlers is None:
                self._recipient.unhandled(name)
                return
            handler = handlers[0]
            if handler.direct and len(handlers) == 1:
                self._call_directly(handler, ack_id, data)
                return
        self._busy = True
        self._running = name
        self._runtime.start(self._work((ack_id, data)))

    def _receive_typed(self, ack_id: int | None, text: str) -> bool:
        """Handle an event whose handler has types to decode it into; whether that was possible.

        What must be queued, seen by others or explained to the client is not decoded here.
        """
        if self._busy or self.interceptors is not None or text[:2] != '["':
            return False
        name = text[2 : text.find('"', 2, 2 + LONGEST_NAME)]
        handlers = self._shared.get(name) if self.handlers is None else self.find(name)
        if handlers is None or len(handlers) != 1 or name in RESERVED_EVENTS:
            return False
        handler = handlers[0]
        if handler.decode is None or not handler.direct:
            return False
        event = json.read_into(handler.decode, text)
        if event is None or event[0] != name:
            return False
        self._call_directly(handler, ack_id, list(event), fitted=True)
        return True

    def _call_directly(
        self, handler: Handler, ack_id: int | None, data: list[Any], *, fitted: bool = False
    ) -> None:
        """The usual event: one function, called here and now."""
        name = data[0]
        del data[0]
        ack = None
        if handler.ack is not None and ack_id is not None:
            ack = self._new_ack(ack_id)
        try:
            if handler.ack is not None:
                result = self._call(handler, ack, data, fitted=fitted)
            else:  # the same, here
                if not fitted and (len(data) != handler.limit or handler.typed):
                    data = handler.fit(data)
                if handler.with_socket:
                    result = handler.call(self._recipient, *data)
                else:
                    result = handler.call(*data)
        except BaseException as error:
            self._failed(name, _owed(ack_id, ack), reraise_fatal(error))
            return
        if result.__class__ not in _DATA:
            answer = self.returned(handler, name, ack_id, ack, result)
            if answer is None:
                return
            (result,) = answer
        if ack_id is not None and handler.ack is None:
            self._recipient.answer(ack_id, result)

    def raised(self, name: Any, ack_id: int | None, error: BaseException) -> None:
        """The only handler of an event has raised; no acknowledgement has been given."""
        self._failed(name, ack_id, reraise_fatal(error))

    def returned(
        self, handler: Handler, name: Any, ack_id: int | None, ack: Ack | None, result: Any
    ) -> tuple[Any, ...] | None:
        """The only handler of an event has been called: what its caller has to answer now.

        A coroutine is begun. If it suspends, or something waits behind it, its task answers.
        """
        wanted = ack_id is not None and handler.ack is None
        if result.__class__ is CoroutineType or _is_work(result, wanted=wanted or handler.is_async):
            self._busy = True
            self._running = name
            self._at_once = _NOT_YET
            self._runtime.start(self._finish(handler, name, ack_id, ack, result), held=result)
            answer, self._at_once = self._at_once, None
            return answer or None
        return (result,) if wanted else None

    async def _finish(
        self, handler: Handler, name: Any, ack_id: int | None, ack: Ack | None, work: Any
    ) -> None:
        """Await what a handler has handed on, answer, and go on with what waits."""
        try:
            result = await work
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_from_outside():
                await self._cancelled()
                raise
            self._failed(name, _owed(ack_id, ack), reraise_fatal(error))
        else:
            if ack_id is not None and handler.ack is None:
                if self._at_once is _NOT_YET and not self._inbox:
                    self._at_once = (result,)
                else:
                    self._recipient.answer(ack_id, result)
        if self._inbox:
            await self._work(self._next())
        else:
            self._busy = False

    # -- the queue ----------------------------------------------------------------------

    def _queue(self, item: Event | str | Work, weight: int) -> None:
        if self._inbox is None:
            self._inbox = deque()
        weight += ITEM_WEIGHT
        self._inbox.append((item, weight))
        self._waiting += weight
        now = self._runtime.loop.time()
        if self._since is None:
            self._since = now
        elif now - self._since > WAITING_LONG:
            self._since = now
            logger.warning(
                "%d events of %s wait for the handler of '%s': let socket.spawn() do what"
                " lasts, or register it with concurrent=True",
                len(self._inbox),
                shown(self._recipient),
                shown(self._running),
            )
        if isinstance(item, str):
            return  # the client has left
        within = self._check_limits(self._running)
        if within and self._waiting > WAITING_LIMIT and not self._recipient.expects_answers:
            self._pause()

    # -- beside the queue ---------------------------------------------------------------

    def _begin_beside(
        self, begin: Begin, name: Any, data: list[Any] | None = None, weight: int | None = None
    ) -> None:
        """Begin what does not wait for the queue, or keep it until there are fewer tasks.

        It holds ``data`` meanwhile, whose ``weight`` may be known.
        """
        beside = self._beside
        if beside is None:
            beside = self._beside = Beside()
        if beside.is_full:
            beside.wait(begin, ITEM_WEIGHT + (weight_of(data) if weight is None else weight))
            self._check_limits(name)
        else:
            beside.running += 1
            self._runtime.start(self._work_beside(begin, beside))
        if beside.is_full and not self._paused and not self._recipient.expects_answers:
            self._pause()
            if f"beside {name}" not in self._runtime.explained:
                self._runtime.explained.add(f"beside {name}")
                logger.warning(
                    "%s has %d tasks of handlers that do not wait for each other, %s the last:"
                    " it is read no further until one has ended (this is logged once)",
                    shown(self._recipient),
                    CONCURRENT_LIMIT,
                    shown(name),
                )

    async def _work_beside(self, begin: Begin | None, beside: Beside) -> None:
        try:
            while begin is not None:
                await begin()
                begin = beside.next()
        except BaseException:  # the task has been cancelled, or the program ends
            self._runtime.call_later(_RESUME_AFTER, partial(self._go_on_beside, beside))
            raise
        self._ended_beside(beside)

    def _go_on_beside(self, beside: Beside) -> None:
        """A task beside the queue has gone before its time: another takes its place."""
        begin = beside.next()
        if begin is not None:
            self._runtime.start(self._work_beside(begin, beside))
        else:
            self._ended_beside(beside)

    def _ended_beside(self, beside: Beside) -> None:
        self._read_on_if_possible()
        if not beside.running and not self._busy:
            self._recipient.settled()

    def _read_on_if_possible(self) -> None:
        """Read the client again, if few enough of its events are here."""
        if self._paused and self._waiting < WAITING_LIMIT // 2:
            beside = self._beside
            if beside is None or not beside.is_full:
                self.read_on()

    def _check_limits(self, name: Any) -> bool:
        """Whether what waits is within the last of the limits; otherwise the client has to go."""
        waiting = self._waiting if self._beside is None else self._waiting + self._beside.weight
        if waiting <= _HARD_LIMIT:
            return True
        logger.error(
            "too many events of %s wait for the handler of '%s' (%d bytes, %d are allowed):"
            " it is disconnected",
            shown(self._recipient),
            shown(name),
            waiting,
            _HARD_LIMIT,
        )
        self._source.end("forced close")
        return False

    def _pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._source.pause()

    def read_on(self) -> None:
        """Read the client again, because something from it is awaited."""
        if self._paused:
            self._paused = False
            self._source.resume()

    async def _work(self, item: Event | str | Work | None) -> None:
        """Handle one event after the other until none is waiting."""
        try:
            while item is not None:
                if isinstance(item, tuple):
                    ack_id, data = item
                    handlers = self.find(data[0])
                    if handlers and handlers[0].concurrent:
                        begin = partial(self._handle, ack_id, data)
                        self._begin_beside(begin, data[0], data)
                    elif (
                        handlers is not None
                        and len(handlers) == 1
                        and (handler := handlers[0]).direct
                        and self.interceptors is None
                    ):
                        # As _handle does it, without a coroutine of its own.
                        name = data.pop(0)
                        ack = None
                        if handler.ack is not None and ack_id is not None:
                            ack = self._new_ack(ack_id)
                        try:
                            result = self._call(handler, ack, data)
                            if result.__class__ is CoroutineType or _is_work(
                                result, wanted=handler.is_async or ack_id is not None
                            ):
                                result = await result
                        except BaseException as error:
                            self._failed(name, _owed(ack_id, ack), reraise_fatal(error))
                        else:
                            if ack_id is not None and handler.ack is None:
                                self._recipient.answer(ack_id, result)
                    else:
                        await self._handle(ack_id, data)
                elif isinstance(item, str):
                    await self._leave(item)
                else:
                    await item()
                item = self._next()
        except asyncio.CancelledError:
            await self._cancelled()
            raise

    async def _cancelled(self) -> None:
        """The running task itself has been cancelled, by its handler or by who ends the loop.

        If the client has gone, what it sent is not begun any more, and its farewell is part
        of this task. Otherwise the next event begins a little later: a loop that is ending
        must not be given new tasks.
        """
        last = self._inbox[-1][0] if self._inbox else None
        if isinstance(last, str):
            self._drop_waiting()
            await self._leave(last)
        elif last is None:
            self.go_on()
        else:
            self._runtime.call_later(_RESUME_AFTER, self.go_on)

    def _drop_waiting(self) -> None:
        if self._inbox is not None:
            self._inbox.clear()
        if self._beside is not None:
            self._beside.clear()
        self._waiting = 0
        self._since = None
        self._next()

    def forget_waiting(self) -> None:
        """Drop the peer's events that wait; what is our own has its turn."""
        if self._beside is not None:
            self._beside.clear()
        inbox = self._inbox
        if inbox:
            kept = [item for item in inbox if item[0].__class__ is not tuple]
            inbox.clear()
            inbox.extend(kept)
            self._waiting = sum(weight for _, weight in kept)
            if not kept:
                self._since = None

    def _next(self) -> Event | str | Work | None:
        """The next event that waits; without one, the socket is not busy any more."""
        self._connecting = False
        if not self._inbox:
            self._busy = False
            return None
        item, weight = self._inbox.popleft()
        self._waiting -= weight
        if not self._inbox:
            self._since = None
        if self._paused:
            self._read_on_if_possible()
        if isinstance(item, partial):
            self._running = item.args[0]
        else:
            self._running = "disconnect" if isinstance(item, str) else item[1][0]
        return item

    def go_on(self) -> None:
        """The running handler has ended: begin with the next event, if one waits."""
        item = self._next()
        if item is not None:
            self._runtime.start(self._work(item))

    async def _handle(self, ack_id: int | None, data: list[Any]) -> None:
        name, args = data[0], data[1:]
        if self.interceptors is not None and not await self._passes(name, args):
            return
        handlers = self.find(name) or ()
        answer: Any = None
        ack: Ack | None = None
        for handler in handlers:
            if handler.once and not self._use_up(name, handler):
                continue
            if handler.ack is not None and ack is None and ack_id is not None:
                ack = self._new_ack(ack_id)
            try:
                result = self._call(handler, ack, args)
                if _is_work(result, wanted=handler.is_async or ack_id is not None):
                    result = await result
            except BaseException as error:
                self._failed(name, _owed(ack_id, ack), reraise_fatal(error))
                return
            if handler.ack is None and answer is None:
                answer = result
        if ack_id is None or not handlers:
            return
        if ack is None or (answer is not None and _owed(ack_id, ack) is not None):
            self._recipient.answer(ack_id, answer)

    def _new_ack(self, ack_id: int) -> Ack:
        runtime = self._runtime
        return Ack(lambda answer: runtime.anywhere(self._recipient.answer, ack_id, answer))

    def _call(
        self, handler: Handler, ack: Ack | None, args: list[Any], *, fitted: bool = False
    ) -> Any:
        """Call a handler with what it takes of an event."""
        if not fitted and (len(args) != handler.limit or handler.typed):
            args = handler.fit(args)
        if handler.with_socket:
            args = [self._recipient, *args]
        if handler.ack is None or (ack is None and not handler.ack_required):
            return handler.call(*args)
        return handler.call(*args, **{handler.ack: ack})

    async def _passes(self, name: Any, args: list[Any]) -> bool:
        """Show an event to the listeners, then ask the packet middlewares about it."""
        interceptors = self.interceptors
        if interceptors is None:
            return True
        for listener in list(interceptors.listeners):
            try:
                result = listener.call(*listener.most(name, *args))
                if result.__class__ is CoroutineType:
                    await result
            except BaseException as error:
                logger.error("a listener failed", exc_info=reraise_fatal(error))
        for middleware in list(interceptors.middlewares):
            try:
                result = middleware(name, args)
                if result.__class__ is CoroutineType or hasattr(result, "__await__"):
                    result = await result
                if result is not None and result is not True:
                    explain(middleware, result, "refuses the event", self._runtime.explained)
                    raise ConnectError("the event was refused by the server")
            except Exception as error:
                self._recipient.refused(error)
                return False
            except BaseException as error:
                logger.error("a packet middleware failed", exc_info=reraise_fatal(error))
                return False
        return True

    def _use_up(self, event: str, handler: Handler) -> bool:
        return self.handlers is not None and self.handlers.discard(event, handler)

    # -- failures -----------------------------------------------------------------------

    def _failed(self, event: Any, ack_id: int | None, error: BaseException) -> None:
        """A handler failed. The client is told nothing private."""
        handler = next(
            (self._exceptions[kind] for kind in type(error).__mro__ if kind in self._exceptions),
            None,
        )
        if handler is not None:
            self._begin_beside(partial(self._explain, handler, event, ack_id, error), event)
            return
        if isinstance(error, InvalidArguments):
            logger.warning(
                "event '%s' of %s: %s", shown(event), shown(self._recipient), shown(error)
            )
            answer = {"type": "ValidationError", "message": str(error)}
        else:
            logger.error("handler of '%s' failed", shown(event), exc_info=error)
            answer = {"type": "HandlerError", "message": "the handler failed"}
        self.fire("error", error)
        if ack_id is not None:
            self._recipient.answer(ack_id, {"error": answer})

    async def _explain(
        self, handler: Handler, event: Any, ack_id: int | None, error: BaseException
    ) -> None:
        """Let the user's exception handler answer."""
        try:
            args = (self._recipient, error) if handler.with_socket else (error,)
            result = handler.call(*handler.most(*args))
            if result.__class__ is CoroutineType:
                result = await result
        except BaseException as failure:
            logger.error("the exception handler for '%s' failed", shown(event), exc_info=failure)
            reraise_fatal(failure)
            result = {"error": {"type": "HandlerError", "message": "the handler failed"}}
        if ack_id is not None:
            self._recipient.answer(ack_id, result)

    # -- events of our own --------------------------------------------------------------

    def fire(self, event: str, *args: Any) -> None:
        """Call the handlers of an event of our own at once, outside the queue."""
        if self._recipient is _NULL_RECIPIENT:
            return
        for handler in self.find(event) or ():
            if handler.once and not self._use_up(event, handler):
                continue
            arguments = (self._recipient, *args) if handler.with_socket else args
            if handler.is_async:
                self._begin_beside(partial(self._fired, event, handler, arguments), event)
                continue
            try:
                result = handler.call(*handler.most(*arguments))
            except (Exception, SystemExit) as error:
                logger.error("handler of '%s' failed", shown(event), exc_info=error)
                continue
            if result.__class__ is CoroutineType:
                self._runtime.watch(result, f"handler of {event!r}")

    async def _fired(self, event: str, handler: Handler, args: tuple[Any, ...]) -> None:
        try:
            await handler.call(*handler.most(*args))
        except BaseException as error:
            logger.error("handler of '%s' failed", shown(event), exc_info=reraise_fatal(error))

    def lifecycle(self, event: str, *args: Any) -> None:
        """Run the handlers of an event of our own in its turn, behind what is waiting."""
        if self.find(event) is None:
            return
        work = partial(self._run_lifecycle, event, args)
        if self._busy:
            self._queue(work, 0)
        else:
            self._busy = True
            self._running = event
            self._runtime.start(self._work(work))

    async def _run_lifecycle(self, event: str, args: tuple[Any, ...]) -> None:
        for handler in self.find(event) or ():
            if handler.once and not self._use_up(event, handler):
                continue
            try:
                result = handler.call(*handler.most(*args))
                if result.__class__ is CoroutineType:
                    await result
            except BaseException as error:
                self._failed(event, None, reraise_fatal(error))

    def run_connection_handlers(
        self, handlers: Iterable[Handler], failed: Callable[[BaseException | None], None]
    ) -> None:
        """Run the handlers of ``connection``; the client's events wait until they are done.

        One that raises has ``failed``, and so has one that returns False, without an error.
        """
        self._busy = True
        self._connecting = True
        rest = list(handlers)
        while rest:
            handler = rest.pop(0)
            try:
                result = handler.call(*handler.most(self._recipient))
            except (Exception, SystemExit) as error:
                failed(error)
                break
            if result.__class__ is CoroutineType:
                work = partial(self._go_on_connecting, handler, result, rest, failed)
                self._runtime.start(self._work(work), held=result)
                return
            if result is False:
                self._refuse(handler, failed)
                break
        self.go_on()

    def _refuse(self, handler: Handler, failed: Callable[[None], None]) -> None:
        explain(handler.function, False, "disconnects the socket", self._runtime.explained)
        failed(None)

    async def _go_on_connecting(
        self,
        handler: Handler,
        begun: Coroutine[Any, Any, Any],
        rest: list[Handler],
        failed: Callable[[BaseException | None], None],
    ) -> None:
        try:
            result = await begun
            while result is not False and rest:
                handler = rest.pop(0)
                result = handler.call(*handler.most(self._recipient))
                if result.__class__ is CoroutineType:
                    result = await result
        except BaseException as error:
            failed(reraise_fatal(error))
        else:
            if result is False:
                self._refuse(handler, failed)

    def leave(self, reason: str) -> None:
        """Run the handlers of ``disconnecting`` and ``disconnect`` after what is waiting."""
        self.read_on()
        if self._busy:
            self._queue(reason, 0)
        elif self.find("disconnecting") or self.find("disconnect"):
            self._busy = True
            self._running = "disconnect"
            self._runtime.start(self._work(reason))
        else:
            self._recipient.left()

    async def _leave(self, reason: str) -> None:
        try:
            for event in ("disconnecting", "disconnect"):
                for handler in self.find(event) or ():
                    if handler.once and not self._use_up(event, handler):
                        continue
                    args = (self._recipient, reason) if handler.with_socket else (reason,)
                    try:
                        result = handler.call(*handler.most(*args))
                        if result.__class__ is CoroutineType:
                            await result
                    except BaseException as error:
                        logger.error(
                            "handler of '%s' failed", shown(event), exc_info=reraise_fatal(error)
                        )
                self._recipient.left()
        finally:
            if self._beside is None or not self._beside.running:
                self._recipient.settled()


class NullRecipient:
    """The recipient of a socket that has gone: it drops what it is given."""

    expects_answers = False

    def answer(self, ack_id: int, result: Any) -> None:
        """Drop it."""

    def refused(self, error: Exception) -> None:
        """Drop it."""

    def unhandled(self, event: Any) -> None:
        """Drop it."""

    def left(self) -> None:
        """Drop it."""

    def settled(self) -> None:
        """Drop it."""


_NULL_RECIPIENT = NullRecipient()


def _is_work(result: Any, *, wanted: bool) -> bool:
    """Whether a handler has returned what has to be awaited first: a coroutine, in any case.

    A future, or what ``emit`` returns, is awaited if somebody ``wanted`` an answer.
    """
    return result.__class__ is CoroutineType or (wanted and hasattr(result, "__await__"))


def _owed(ack_id: int | None, ack: Ack | None) -> int | None:
    """The id of an answer that is still owed; the handler cannot give it any more."""
    if ack is None:
        return ack_id
    return ack_id if ack.withdraw() else None


def weight_of(value: Any) -> int:
    """About how many bytes a decoded payload takes."""
    kind = value.__class__
    if kind is list or kind is tuple:
        return 8 + sum(map(weight_of, value))
    if kind is dict:  # whose keys can be anything in msgpack, arrays (tuples) among them
        return 16 + sum(map(weight_of, value)) + sum(map(weight_of, value.values()))
    if kind is str or kind is bytes:
        return 8 + len(value)
    if kind is Ext:
        return 8 + len(value.data)
    return 8
