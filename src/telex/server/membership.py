"""A client's membership of a namespace: let in or refused, restored, gone."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from typing import Any

from .._log import connections, logger, shown
from ..adapter.base import Kept, Restored, Sessions
from ..engine.reasons import TRANSPORT_CLOSE
from ..engine.session_core import OPEN
from ..events.dispatch import Dispatch
from ..events.handlers import Handler
from ..events.runtime import Runtime
from ..events.tasks import Tasks
from ..ids import tag
from ..loop.results import Completion
from ..parser.packet import DISCONNECT
from ..wire import EncodedPacket
from .handshake import Handshake
from .peer import CONNECTED, DISCONNECTED, PENDING, SocketPeer, drop_packet
from .socket_host import SocketClient, SocketNamespace

RECOVERABLE = frozenset(
    {
        "transport error",
        "over max_http_buffer_size",
        "transport close",
        "forced close",
        "forced server close",
        "ping timeout",
        "server shutting down",
    }
)
"""The reasons after which a client may come back to its session."""

REFUSED = "refused"
"""The reason of a socket that the middlewares have not let in."""

_DISCONNECT = "use socket.threadsafe.disconnect(), or io.threadsafe for many sockets"

_NO_ROOMS: AbstractSet[str] = frozenset()


class Membership(SocketPeer):
    """A socket from CONNECT to its last handler: pending, then connected, then disconnected.

    ``closed`` is called once, when it has left, or was not let in.
    """

    __slots__ = (
        "_closed",
        "_data",
        "_early_rooms",
        "_last_rooms",
        "_pid",
        "_returned",
        "_tasks",
        "handshake",
        "recovered",
    )

    def __init__(
        self,
        sid: str,
        nsp: SocketNamespace[Any],
        client: SocketClient[Any],
        handshake: Handshake,
        runtime: Runtime,
        closed: Callable[[Any], None],
        pid: str | None = None,
    ) -> None:
        self.handshake = handshake
        self.recovered = False
        self._closed = closed
        self._data: Any = None
        self._early_rooms: list[str] | None = None
        self._last_rooms: AbstractSet[str] = _NO_ROOMS
        self._tasks: Tasks | None = None
        self._pid = pid
        self._returned: Restored | None = None
        super().__init__(sid, nsp, client, runtime)
        self.dispatch = Dispatch(self, client.session, runtime, nsp.events, nsp.exceptions)

    def __repr__(self) -> str:
        name = self.id
        if name.endswith(self._session.id):  # a credential, which has no place in a log
            name = f"of connection {tag(self._session.id)}"
        return f"<Socket {name} of {self.nsp.name!r} {self.state.value}>"

    @property
    def connected(self) -> bool:
        """Whether the client has been accepted and has not left."""
        return self.state is CONNECTED

    @property
    def disconnected(self) -> bool:
        """The opposite of ``connected``."""
        return self.state is not CONNECTED

    @property
    def data(self) -> Any:
        """Data of the application, an empty dict at first; ``fetch_sockets`` returns it, too."""
        if self._data is None:
            self._data = {}
        return self._data

    @data.setter
    def data(self, data: Any) -> None:
        self._data = data

    @property
    def rooms(self) -> AbstractSet[str]:
        """The rooms that the socket is in, its own first: a live set."""
        if self.state is CONNECTED:
            return self.nsp.adapter.rooms_of(self.id)
        if self.state is PENDING:
            return dict.fromkeys(self._early_rooms or ()).keys()
        return self._last_rooms

    def describe(self) -> dict[str, Any]:
        """The form in which other servers see the socket."""
        return {
            "id": self.id,
            "handshake": self.handshake.to_dict(),
            "rooms": list(self.rooms),
            "data": self.data,
        }

    # -- joining ------------------------------------------------------------------------

    def accepted(self, packet: EncodedPacket) -> None:
        """Join the namespace, which has accepted the socket; ``packet`` tells the client."""
        self.state = CONNECTED
        session = self._session
        if self._log is not None and self._pid is not None:
            self._begin(self._log, self._pid)
        session.send(packet)
        if self.state is not CONNECTED:
            return  # what was missed was too much at once: the session has ended
        self._deliver_now()
        if self._early_rooms:
            self.nsp.adapter.join(self.id, self._early_rooms)
            self._early_rooms = None

    def rejected(self, packet: EncodedPacket) -> None:
        """Leave the namespace, which has refused the socket; ``packet`` tells the client."""
        self._session.send(packet)
        self.closed(REFUSED)

    def run_connection_handlers(self, handlers: Iterable[Handler]) -> None:
        """Run the handlers of ``connection``; the client's events wait until they are done."""
        self.dispatch.run_connection_handlers(handlers, self._connection_failed)

    def _connection_failed(self, error: BaseException | None) -> None:
        if error is not None:
            logger.error("a connection handler failed; its socket is disconnected", exc_info=error)
        self.disconnect()

    # -- leaving ------------------------------------------------------------------------

    def disconnect(self, close: bool = False) -> Completion:
        """Disconnect this socket; with ``close``, the whole connection of its client."""
        self._runtime.here("disconnect", _DISCONNECT)
        if close:
            self.client.disconnect()
        elif self.state is not DISCONNECTED:
            self._session.send(self._encode(DISCONNECT, self.nsp.name))
            self.closed("server namespace disconnect")
        return self._sent or self._remember_sent()

    def closed(self, reason: str) -> None:
        """Leave the namespace, for this reason; later calls have no effect.

        Events that had arrived before are still handled; then the handlers of
        ``disconnecting`` see the rooms as they were, then those of ``disconnect`` run.
        """
        if self.state is DISCONNECTED:
            return
        was_connected = self.state is CONNECTED
        if was_connected and connections.isEnabledFor(logging.INFO):
            connections.info("%s: left, %s", shown(self), shown(reason))
        if was_connected:
            self._last_rooms = dict.fromkeys(self.nsp.adapter.rooms_of(self.id)).keys()
        if self._log is not None and self._pid is not None:
            self._keep(self._log, self._pid, reason)
        self.state = DISCONNECTED
        self.deliver = drop_packet
        self._early = None
        self._closed(self)
        if self._acks is not None:
            self._acks.lost(reason)
        if self._tasks is not None:
            self._tasks.cancel()
        dispatch = self.dispatch
        if was_connected:
            dispatch.leave(reason)
        if self._session.state is not OPEN:
            return
        # The client stays, and may come back as another socket: what still runs is counted.
        tasks, size = dispatch.load
        if not was_connected and reason != REFUSED:
            tasks = 1  # a middleware has not decided yet
        if tasks:
            self.client.departed(self, tasks, size)

    def left(self) -> None:
        """Give up the rooms, when the handlers of ``disconnecting`` have run."""
        self._last_rooms = _NO_ROOMS
        self.dispatch = self.dispatch.retired()

    def settled(self) -> None:
        """Tell the connection that no handler or middleware of the socket runs any more."""
        if self.state is DISCONNECTED:
            self.client.settled(self)

    # -- connection state recovery ------------------------------------------------------

    @property
    def pid(self) -> str | None:
        """The secret with which the client may come back, if recovery is on."""
        return self._pid

    def restore(self, returned: Restored) -> None:
        """Take up the session that the client has come back to: rooms, data, missed packets."""
        self.recovered = True
        self._returned = returned
        self._data = returned.data
        self._early_rooms = [room for room in returned.rooms if room != self.id]
        returned.hold(self._cut)

    def outdated(self) -> bool:
        """Whether something was forgotten, while the middlewares ran, that the client has missed.

        Its connection is cut then: it begins a new session with the next one.
        """
        returned = self._returned
        if returned is None or returned.complete():
            return False
        self._returned = None
        self._cut()
        return True

    def _begin(self, log: Sessions, pid: str) -> None:
        """Keep what is sent from now on; send what the client has missed if it has come back."""
        returned, self._returned = self._returned, None
        if returned is None:
            log.begin(pid, self.id, self._cut)
            return
        adapter, wanted = self.nsp.adapter, self._early_rooms or []
        adapter.join(self.id, returned.rooms - {self.id})
        if self.id not in returned.rooms:
            adapter.leave(self.id, (self.id,))
        returned.begin(self._cut)
        adapter.leave(self.id, returned.rooms.difference(wanted, (self.id,)))
        # Socket.IO, connection state recovery: what was missed comes before CONNECT.
        for missed in returned.missed():
            self._session.send(missed)

    def _keep(self, log: Sessions, pid: str, reason: str) -> None:
        """Keep the session, if the client has neither left on purpose nor been disconnected."""
        kept = None
        if reason in RECOVERABLE and self.state is CONNECTED and self.deliver is not drop_packet:
            kept = Kept(self._last_rooms, self._data, self._session.confirmed)
        elif self._returned is not None and (reason in RECOVERABLE or reason == REFUSED):
            self._returned.give_back()
            return
        log.persist_session(pid, self.id, kept)

    def _cut(self) -> None:
        """End the connection of a client that is back on another one."""
        self._session.end(TRANSPORT_CLOSE)
