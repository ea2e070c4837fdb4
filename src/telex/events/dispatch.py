"""Dispatch: one socket's events, handled one after the other in the order they came."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import CoroutineType
from typing import Any

from ..codec import json
from ..loop.cancellation import cancelled_from_outside, reraise_fatal
from ..parser.packet import RESERVED_EVENTS, event_arguments
from .acks import Ack, owed
from .concurrent import Begin
from .failures import ExceptionHandlers, exception_handler, log_error, log_failure
from .handlers import Handler
from .inbox import Departure, Inbox, Item, LifecycleEvent, PeerEvent, weight_of
from .invoke import (
    DATA,
    ConnectionHandlers,
    answer_failure,
    call_handler,
    must_be_awaited,
    run_in_order,
)
from .recipient import NULL_RECIPIENT, Recipient, Source
from .runtime import Runtime
from .socket_handlers import SocketHandlers

LONG = 192
"""From so many characters on, events are decoded straight into the types of their handlers."""

LONGEST_NAME = 64
"""Among the first so many characters, the name of such an event has to end."""

_NOT_YET: tuple[Any, ...] = ()
"""In the place of an answer, while the first step of a coroutine runs."""


class Dispatch(SocketHandlers):
    """Finds and runs the handlers of one socket's events.

    A handler that has not finished holds back the next event, unless it is concurrent. What
    waits is in the ``Inbox``, made on first need; one task at a time works through it.
    """

    __slots__ = (
        "_at_once",
        "_busy",
        "_connecting",
        "_exceptions",
        "_inbox",
        "_loads",
        "_reads_json",
        "_recipient",
        "_running",
        "_runtime",
        "_source",
    )

    def __init__(
        self,
        recipient: Recipient,
        source: Source,
        runtime: Runtime,
        shared: Mapping[str, tuple[Handler, ...]],
        exceptions: ExceptionHandlers,
    ) -> None:
        super().__init__(shared)
        self._recipient = recipient
        self._source = source
        self._runtime = runtime
        self._loads = runtime.parser.loads
        self._reads_json = self._loads is json.loads
        self._exceptions = exceptions
        self._at_once: tuple[Any, ...] | None = None
        self._busy = False
        self._connecting = False
        self._inbox: Inbox | None = None
        self._running: Any = "connection"

    def retired(self) -> Dispatch:
        """Make what a socket that has gone keeps: what was registered, and no way back to it.

        The two would refer to each other for ever, and only the garbage collector would end
        that. What still runs goes on here.
        """
        if self._recipient is NULL_RECIPIENT:
            return self
        rest = Dispatch(NULL_RECIPIENT, self._source, self._runtime, self._shared, self._exceptions)
        rest.handlers = self.handlers
        rest.interceptors = self.interceptors
        return rest

    # -- events of the peer -------------------------------------------------------------

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
        """Handle an event whose name peers may send; ``size`` is its text's, or negative."""
        name = data[0]
        own = self.handlers
        alone = own is None or name not in own.by_event
        handlers = self._shared.get(name) if alone else self.find(name)
        concurrent = handlers is not None and handlers[0].concurrent
        if self._busy and (self._connecting or not concurrent):
            weight = weight_of(data) if size < 0 else size
            self._open_inbox().put(PeerEvent(ack_id, data), weight, self._running)
            return
        if concurrent:
            event = PeerEvent(ack_id, data)
            self._start_concurrent(partial(self._handle, event), name, data, size)
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
        self._runtime.start(self._work(PeerEvent(ack_id, data), handlers))

    def _receive_typed(self, ack_id: int | None, text: str) -> bool:
        """Handle an event whose handler has types to decode it into; whether that was possible.

        What must be queued, intercepted or explained to the peer is not decoded here.
        """
        if self._busy or self.interceptors is not None or text[:2] != '["':
            return False
        name = text[2 : text.find('"', 2, 2 + LONGEST_NAME)]
        own = self.handlers
        alone = own is None or name not in own.by_event
        handlers = self._shared.get(name) if alone else self.find(name)
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
        self, handler: Handler, ack_id: int | None, data: list[Any], fitted: bool = False
    ) -> None:
        """Call the only handler of an event here and now: what most events are."""
        name = data[0]
        del data[0]
        ack = None
        if handler.ack is not None and ack_id is not None:
            ack = self._new_ack(ack_id)
        try:
            result = call_handler(handler, self._recipient, data, ack, fitted)
        except BaseException as error:
            self._failed(name, owed(ack_id, ack), reraise_fatal(error))
            return
        if result.__class__ not in DATA:
            answer = self.returned(handler, name, ack_id, ack, result)
            if answer is None:
                return
            (result,) = answer
        if ack_id is not None and handler.ack is None:
            self._recipient.answer(ack_id, result)

    def raised(self, name: Any, ack_id: int | None, error: BaseException) -> None:
        """Answer for the only handler of an event, which has raised."""
        self._failed(name, ack_id, reraise_fatal(error))

    def returned(
        self, handler: Handler, name: Any, ack_id: int | None, ack: Ack | None, result: Any
    ) -> tuple[Any, ...] | None:
        """Take the result of an event's only handler; return what the caller has to answer now.

        A coroutine is begun. If it suspends, or something waits behind it, its task answers.
        """
        wanted = ack_id is not None and handler.ack is None
        if result.__class__ is CoroutineType or must_be_awaited(
            result, wanted=wanted or handler.is_async
        ):
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
        """Await what a handler has returned, answer, and go on with what waits."""
        try:
            result = await work
        except BaseException as error:
            if isinstance(error, asyncio.CancelledError) and cancelled_from_outside():
                await self._cancelled()
                raise
            self._failed(name, owed(ack_id, ack), reraise_fatal(error))
        else:
            if ack_id is not None and handler.ack is None:
                inbox = self._inbox
                if self._at_once is _NOT_YET and (inbox is None or not inbox.items):
                    self._at_once = (result,)
                else:
                    self._recipient.answer(ack_id, result)
        inbox = self._inbox
        if inbox is not None and inbox.items:
            await self._work(self._next())
        else:
            self._busy = False

    async def _handle(self, event: PeerEvent, handlers: tuple[Handler, ...] | None = None) -> None:
        """Run the handlers of an event, of which there may be several, and answer."""
        ack_id = event.ack_id
        name, *args = event.data
        if self.interceptors is not None:
            handlers = None
            explained = self._runtime.explained
            if not await self.interceptors.admit(name, args, self._recipient, explained):
                return
        if handlers is None:
            handlers = self.find(name) or ()
        answer: Any = None
        ack: Ack | None = None
        for handler in handlers:
            if handler.once and not self.use_up(name, handler):
                continue
            if handler.ack is not None and ack is None and ack_id is not None:
                ack = self._new_ack(ack_id)
            try:
                result = call_handler(handler, self._recipient, args, ack)
                if result.__class__ not in DATA:
                    wanted = handler.is_async or (ack_id is not None and handler.ack is None)
                    if must_be_awaited(result, wanted=wanted):
                        result = await result
            except BaseException as error:
                self._failed(name, owed(ack_id, ack), reraise_fatal(error))
                return
            if handler.ack is None and answer is None:
                answer = result
        if ack_id is None or not handlers:
            return
        if ack is None or (answer is not None and owed(ack_id, ack) is not None):
            self._recipient.answer(ack_id, answer)

    def _new_ack(self, ack_id: int) -> Ack:
        runtime = self._runtime
        return Ack(lambda answer: runtime.anywhere(self._recipient.answer, ack_id, answer))

    # -- what waits ---------------------------------------------------------------------

    @property
    def load(self) -> tuple[int, int]:
        """How many tasks its handlers have, and how many bytes of events wait for them."""
        inbox = self._inbox
        return (self._busy, 0) if inbox is None else (self._busy + inbox.tasks, inbox.weight)

    def _open_inbox(self) -> Inbox:
        inbox = self._inbox = self._inbox or Inbox(self._recipient, self._source, self._runtime)
        return inbox

    def _start_concurrent(
        self, begin: Begin, name: Any, data: list[Any] | None = None, size: int = -1
    ) -> None:
        self._open_inbox().start_concurrent(begin, self._task_ended, name, data, size)

    def _task_ended(self) -> None:
        """A concurrent handler has ended, and no other has taken its task."""
        inbox = self._open_inbox()
        inbox.read_on_if_possible()
        if not inbox.tasks and not self._busy:
            self._recipient.settled()

    def read_on(self) -> None:
        """Read the peer again, because something that it has to send is awaited."""
        if self._inbox is not None:
            self._inbox.read_on()

    def forget_waiting(self) -> None:
        """Drop the peer's events that wait; those of the socket itself have their turn."""
        if self._inbox is not None:
            self._inbox.drop_peer_events()

    def _start(self, item: Item | ConnectionHandlers, name: Any, held: Any = None) -> None:
        """Begin a task that handles an item and then what waits behind it."""
        self._busy = True
        self._running = name
        self._runtime.start(self._work(item), held)

    async def _work(
        self,
        item: Item | ConnectionHandlers | None,
        handlers: tuple[Handler, ...] | None = None,
    ) -> None:
        """Handle one item after the other until none is waiting.

        ``handlers`` are those of the first one, if it is an event that has not waited.
        """
        try:
            while item is not None:
                if isinstance(item, PeerEvent):
                    if handlers is None:
                        handlers = self.find(item.data[0])
                    if handlers is not None and handlers[0].concurrent:
                        begin = partial(self._handle, item)
                        self._start_concurrent(begin, item.data[0], item.data)
                    else:
                        await self._handle(item, handlers)
                elif isinstance(item, Departure):
                    await self._leave(item.reason)
                elif isinstance(item, LifecycleEvent):
                    failed = partial(self._failed, item.name, None)
                    due = self.due(item.name)
                    await run_in_order(due, self._recipient, [*item.args], failed)
                else:
                    await item.finish()
                handlers = None
                item = self._next()
        except asyncio.CancelledError:
            await self._cancelled()
            raise

    def _next(self) -> Item | None:
        """Take the item that has waited longest; without one, be busy no more."""
        self._connecting = False
        inbox = self._inbox
        if inbox is None or not inbox.items:
            self._busy = False
            return None
        item = inbox.take()
        self._running = item.data[0] if isinstance(item, PeerEvent) else item.name
        return item

    def _go_on(self) -> None:
        """The running handler has ended: begin with the next item, if one waits."""
        item = self._next()
        if item is not None:
            self._runtime.start(self._work(item))

    async def _cancelled(self) -> None:
        """The running task itself has been cancelled, by its handler or by who ends the loop.

        If the peer has gone, what it sent is not begun any more, and ``disconnect`` is handled
        in this task. Otherwise the next event begins a little later: a loop that is ending
        must not be given new tasks.
        """
        inbox = self._inbox
        last = None if inbox is None else inbox.last
        if inbox is not None and isinstance(last, Departure):
            inbox.clear()
            self._next()
            await self._leave(last.reason)
        elif last is None:
            self._go_on()
        else:
            self._runtime.resume_later(self._go_on)

    def _failed(self, event: Any, ack_id: int | None, error: BaseException) -> None:
        """Answer for a handler that has failed, or let the user's exception handler do that."""
        handler = exception_handler(self._exceptions, error)
        if handler is not None:
            begin = partial(answer_failure, handler, self._recipient, event, ack_id, error)
            self._start_concurrent(begin, event)
            return
        answer = log_failure(event, self._recipient, error)
        self.fire("error", error)
        if ack_id is not None:
            self._recipient.answer(ack_id, answer)

    # -- events of the socket itself ----------------------------------------------------

    def fire(self, event: str, *args: Any) -> None:
        """Call the handlers of an event of the socket itself at once, outside the queue."""
        if self._recipient is NULL_RECIPIENT:
            return
        for handler in self.due(event):
            if handler.is_async:
                failed = partial(log_error, event)
                begin = partial(run_in_order, [handler], self._recipient, [*args], failed)
                self._start_concurrent(begin, event)
                continue
            try:
                result = call_handler(handler, self._recipient, [*args])
            except (Exception, SystemExit) as error:
                log_error(event, error)
                continue
            if result.__class__ is CoroutineType:
                self._runtime.watch(result, f"handler of {event!r}")

    def lifecycle(self, event: str, *args: Any) -> None:
        """Run the handlers of an event of the socket itself in its turn, behind what waits."""
        if self.find(event) is None:
            return
        if self._busy:
            self._open_inbox().put(LifecycleEvent(event, args), 0, self._running)
        else:
            self._start(LifecycleEvent(event, args), event)

    def run_connection_handlers(
        self, handlers: Iterable[Handler], failed: Callable[[BaseException | None], None]
    ) -> None:
        """Run the handlers of ``connection``; the peer's events wait until they are done.

        One that raises has ``failed``, and so has one that returns False, without an error.
        """
        self._busy = True
        self._connecting = True
        connection = ConnectionHandlers(handlers, self._recipient, failed, self._runtime.explained)
        work = connection.begin()
        if work is None:
            self._go_on()
        else:
            self._start(connection, "connection", work)

    def leave(self, reason: str) -> None:
        """Run the handlers of ``disconnecting`` and ``disconnect`` after what is waiting."""
        if self._inbox is not None:
            self._inbox.read_on()
        if self._busy:
            self._open_inbox().put(Departure(reason), 0, self._running)
        elif self.find("disconnecting") or self.find("disconnect"):
            self._start(Departure(reason), "disconnect")
        else:
            self._recipient.left()

    async def _leave(self, reason: str) -> None:
        try:
            for event in ("disconnecting", "disconnect"):
                failed = partial(log_error, event)
                await run_in_order(self.due(event), self._recipient, [reason], failed)
                self._recipient.left()
        finally:
            if self._inbox is None or not self._inbox.tasks:
                self._recipient.settled()
