"""How the parts of a socket move each other: membership, inbox, outbox, dispatch, tasks."""

from __future__ import annotations

from typing import Any

from ..events.dispatch import Dispatch
from ..events.tasks import Tasks
from .inbox import Inbox
from .link import HoldingLink
from .outbox import Outbox


class SocketParts:
    """What each step of a membership sets going in the other parts (``Member``).

    ``inbox`` and ``outbox`` are set when they have been made.
    """

    __slots__ = ("_dispatch", "_socket", "_tasks", "inbox", "outbox")

    inbox: Inbox
    outbox: Outbox

    def __init__(self, socket: object, dispatch: Dispatch, tasks: Tasks) -> None:
        self._socket = socket
        self._dispatch = dispatch
        self._tasks = tasks

    def __repr__(self) -> str:
        return repr(self._socket)

    def wanted(self) -> None:
        """The socket wants in: ``receive`` may wait again."""
        self.inbox.queue.reopen()

    def joined(self) -> None:
        """The server has let the socket in: deliver, then send, what has waited for that."""
        self.inbox.joined()
        self.outbox.joined()

    def dropped(self, reason: str) -> None:
        """The membership has ended on this connection: answers of the server will not come."""
        self.inbox.forget_early()
        self.outbox.dropped(reason)
        self._dispatch.read_on()

    def finished(self, reason: str) -> None:
        """The socket is not going to get in again by itself: nothing waits for that any more."""
        self.inbox.forget_early()
        self.inbox.queue.close(reason)
        self.outbox.finished(reason)
        self._tasks.cancel()

    def fire(self, event: str, *args: Any) -> None:
        """Fire an event of the socket itself."""
        self._dispatch.lifecycle(event, *args)


class ConnectionSource:
    """What a dispatch sees of the connection: it can be held up (``Source``)."""

    __slots__ = ("_link", "dispatch")

    dispatch: Dispatch

    def __init__(self, link: HoldingLink) -> None:
        self._link = link

    def pause(self) -> None:
        """The handlers are behind."""
        self._link.hold(self.dispatch)

    def resume(self) -> None:
        """The handlers have caught up."""
        self._link.release(self.dispatch)

    def end(self, reason: str) -> None:
        """Too much waits for the handlers."""
        engine = self._link.engine
        if engine is not None:
            engine.session.end(reason)
