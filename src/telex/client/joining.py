"""Joining a namespace, and leaving it: what each step from one state to another needs.

The states and the steps are explained in ``membership.py``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from inspect import isawaitable
from typing import Any, Protocol
from urllib.parse import urlencode

from .._log import logger, shown
from ..engine.client_host import Details
from ..errors import ConnectError, Disconnected, EncodeError, TransportError
from ..events.runtime import Runtime
from ..loop.cancellation import reraise_fatal
from ..parser.packet import CONNECT, CONNECT_ERROR, DISCONNECT
from ..wire import EncodedPacket
from .engine import ClientEngine
from .link import ManagerLink
from .membership import DEAF, WANTED, State, Step, next_state
from .options import Auth, ClientOptions
from .session_host import running_loop

IO_CLIENT_DISCONNECT = "io client disconnect"
IO_SERVER_DISCONNECT = "io server disconnect"

_RETURN = 0.25
"""How long a server of Socket.IO 2 may take to let a socket into ``/`` again, in seconds."""

_OLD_SERVER = (
    "It seems you are trying to reach a Socket.IO server in v2.x with a v3.x client, but they"
    " are not compatible: connect with protocol=4"
)


class Member(Protocol):
    """The socket, as its membership sees it."""

    def wanted(self) -> None:
        """The socket wants in."""
        ...

    def joined(self) -> None:
        """The server has let the socket in; ``connect`` is fired next."""
        ...

    def dropped(self, reason: str) -> None:
        """The membership has ended on this connection."""
        ...

    def finished(self, reason: str) -> None:
        """The socket is not going to get in again by itself."""
        ...

    def fire(self, event: str, *args: Any) -> None:
        """Fire an event of the socket itself."""
        ...


class Membership:
    """The state of one socket, and what it knows of its membership.

    ``id`` and ``recovered`` are the socket's; ``joins`` counts how often it got in;
    ``pid`` and ``offset`` are what recovery needs.
    """

    def __init__(
        self,
        member: Member,
        link: ManagerLink,
        runtime: Runtime,
        options: ClientOptions,
        nsp: str,
        auth: Auth,
        leave_manager: Callable[[], object],
    ) -> None:
        self.state = State.LEFT
        self.id: str | None = None
        self.recovered = False
        self.joins = 0
        self.pid: str | None = None
        self.offset: str | None = None
        self.auth = auth
        self.reason = "not connected"
        self._member = member
        self._link = link
        self._runtime = runtime
        self._options = options
        self._nsp = nsp
        self._leave_manager = leave_manager
        self._encode = runtime.parser.encode
        self._attempt = 0
        self._authenticating: asyncio.Task[Any] | None = None
        self._dropped_on: ClientEngine | None = None
        self._verdicts: list[asyncio.Future[None]] = []
        self._ends: list[asyncio.Future[None]] = []
        self._last_error: ConnectError | None = None

    @property
    def active(self) -> bool:
        """Whether the socket is in, or wants in."""
        return self.state in WANTED

    @property
    def joined(self) -> bool:
        """Whether the server has let the socket in."""
        return self.state is State.JOINED

    @property
    def deaf(self) -> bool:
        """Whether events that come are meant for an earlier membership."""
        return self.state in DEAF

    def _step(self, step: Step) -> None:
        self.state = next_state(self.state, step)

    # -- waiting --------------------------------------------------------------------------

    async def wait_joined(self) -> None:
        """Want in, if that is not so yet, and wait for the verdict; raises ``ConnectError``."""
        if not self.active:
            error, self._last_error = self._last_error, None
            if error is not None:
                raise error  # once: awaiting again means another attempt
            self.want()
        if not self.joined:
            verdict: asyncio.Future[None] = running_loop().create_future()
            self._verdicts.append(verdict)
            try:
                await verdict
            except ConnectError:
                await self._link.wait_closed()
                raise
            finally:
                if verdict in self._verdicts:
                    self._verdicts.remove(verdict)

    async def wait_left(self, timeout: float | None) -> str:
        """Wait until the socket does not want in any more; the reason."""
        if self.active:
            end: asyncio.Future[None] = running_loop().create_future()
            self._ends.append(end)
            try:
                async with asyncio.timeout(timeout):
                    await end
            finally:
                if end in self._ends:
                    self._ends.remove(end)
        return self.reason

    def _settle(self, error: Exception | None) -> None:
        verdicts, self._verdicts = self._verdicts, []
        for verdict in verdicts:
            if verdict.done():
                continue
            self._last_error = None
            if error is None:
                verdict.set_result(None)
            else:
                verdict.set_exception(error)

    # -- getting in -----------------------------------------------------------------------

    def want(self) -> None:
        """Want in; without a connection, the manager makes one."""
        if self.active:
            return
        running_loop()
        self._step(Step.WANT)
        self._last_error = None
        self._member.wanted()
        if not self._link.reconnecting:
            self._link.open()
        if self._link.ready_state == "open":
            self.opened()

    def opened(self) -> None:
        """The connection to the server is open: join the namespace."""
        self._link.read_on()
        if self.state is not State.WAITING:
            return  # CONNECT has been sent; its answer comes first
        if self._options.protocol == 4 and self._nsp == "/":
            self._join_root()
        elif callable(self.auth):
            self._step(Step.AUTHENTICATE)
            self._attempt += 1
            self._stop_authenticating()
            attempt = self._authenticate(self.auth, self._attempt)
            self._authenticating = self._runtime.start(attempt)
        else:
            self._send_connect(self.auth)

    async def _authenticate(self, auth: Callable[[], Any], attempt: int) -> None:
        try:
            found = auth()
            if isawaitable(found):
                found = await found
        except BaseException as error:
            logger.error(
                "the auth callable of %s failed", shown(self._member), exc_info=reraise_fatal(error)
            )
            if self._authenticates(attempt):
                refusal = ConnectError(f"the auth callable failed: {type(error).__name__}")
                refusal.__cause__ = error
                self._refused(refusal)
            return
        if self._authenticates(attempt):
            self._send_connect(found)

    def _authenticates(self, attempt: int) -> bool:
        return self.state is State.AUTHENTICATING and self._attempt == attempt

    def _stop_authenticating(self) -> None:
        task, self._authenticating = self._authenticating, None
        if task is not None and task is not asyncio.current_task():
            task.cancel()

    def _join_root(self) -> None:
        """Socket.IO 2: each client is in ``/`` from the beginning, unless it has left."""
        engine = self._link.engine
        if self._dropped_on is engine:
            self._link.send(self._encode(CONNECT, self._nsp))  # often without an answer
            self._runtime.loop.call_later(_RETURN, self._claim_root, engine)
        elif self._link.root_joined:
            self._runtime.loop.call_soon(self._claim_root, engine)

    def _claim_root(self, engine: ClientEngine | None) -> None:
        if self.active and engine is self._link.engine:
            self.accepted(None)

    def _send_connect(self, auth: Any) -> None:
        state = self.state
        try:
            packet = self._connect_packet(auth)
        except (EncodeError, TypeError, ValueError) as error:
            self._refused(ConnectError(f"auth must be a dict that can be sent: {error}"))
            return
        if self.state is state:  # encoding runs code of the user's
            self._step(Step.SEND)
            self._link.send(packet)

    def _connect_packet(self, auth: Any) -> EncodedPacket:
        if self._options.protocol == 4:  # Socket.IO 2 reads a query
            query = urlencode(auth) if auth else ""
            return self._encode(CONNECT, f"{self._nsp}?{query}" if query else self._nsp)
        data: dict[str, Any] = {}
        if self.pid is not None:
            data["pid"] = self.pid
            if self.offset is not None:
                data["offset"] = self.offset
        if auth is not None:
            data.update(auth)
        return self._encode(CONNECT, self._nsp, data or None)

    # -- what the server says -------------------------------------------------------------

    def accepted(self, data: Any) -> None:
        """CONNECT has come, with this payload."""
        if self.joined:
            return
        if self._options.protocol == 4:
            engine = self._link.engine
            sid = None if engine is None else engine.id
            root = self._nsp == "/" or sid is None
            self._join(sid if root else f"{self._nsp}#{sid}", None)
            return
        answer: dict[str, Any] = data if data.__class__ is dict else {}
        sid = answer.get("sid")
        if isinstance(sid, str):
            self._join(sid, answer.get("pid"))
        else:
            self._refused(ConnectError(_OLD_SERVER))

    def _join(self, sid: str | None, pid: Any) -> None:
        self._step(Step.ACCEPTED)
        self.id = sid
        self.recovered = pid is not None and pid == self.pid
        self.pid = pid if isinstance(pid, str) else None
        if not self.recovered:
            self.offset = None
        self._last_error = None
        self.joins += 1
        self._member.joined()
        if self.joined:
            self._member.fire("connect")
        if self.joined:
            self._settle(None)

    def error_received(self, data: Any) -> None:
        """CONNECT_ERROR has come, with this payload."""
        error = _connect_error(data, self._options.protocol)
        if self.joined:  # Socket.IO 2: a packet middleware has refused an event
            self._member.fire("error", error)
        else:
            self._refused(error)

    def disconnect_received(self) -> None:
        """DISCONNECT has come."""
        self._drop(IO_SERVER_DISCONNECT)
        if self.active:
            self._leave(Step.LEAVE, IO_SERVER_DISCONNECT, Disconnected(IO_SERVER_DISCONNECT))
        self._member.fire("disconnect", IO_SERVER_DISCONNECT, None)

    def answered_late(self, kind: int) -> None:
        """A packet has come while the socket is deaf; an answer to CONNECT ends that."""
        if self.state is not State.LEFT and kind in (CONNECT, CONNECT_ERROR):
            self._step(Step.ACCEPTED if kind == CONNECT else Step.REFUSED)
            if kind == CONNECT:
                self._link.send(self._encode(DISCONNECT, self._nsp))
                self._dropped_on = self._link.engine
            if self.active:
                self.opened()
        elif kind == CONNECT:
            self._link.root_joined = True

    def _refused(self, error: ConnectError) -> None:
        """The server has refused the socket; there is no use in trying again."""
        self._last_error = error
        self._leave(Step.REFUSED, IO_SERVER_DISCONNECT, error)
        self._member.fire("connect_error", error)

    # -- what the manager says ------------------------------------------------------------

    def connection_failed(self, error: ConnectError) -> None:
        """The connection could not be made, or has an error."""
        if self.joined:
            return
        self._last_error = error
        if self._verdicts and not self._waits_through_failures():
            self._give_up(error)
        self._member.fire("connect_error", error)

    def _waits_through_failures(self) -> bool:
        """Whether ``await socket`` goes on waiting after an attempt has failed."""
        return self._options.waits_through_failures or self.joins > 0

    def gave_up(self) -> None:
        """The manager makes no further attempt."""
        if self.active and not self.joined:
            self._give_up(self._last_error or ConnectError("the attempts are used up"))

    def _give_up(self, error: Exception) -> None:
        """Fail what waits for the connection, and end the attempts that it was waiting for."""
        self._leave(Step.LEAVE, IO_CLIENT_DISCONNECT, error)

    def connection_lost(self, reason: str, details: object) -> None:
        """The connection has gone; the manager may make another."""
        if not self.active:
            self._step(Step.DROPPED)
            return
        self._drop(reason)
        if self.state is State.LEFT:
            pass  # a callback has left the namespace meanwhile
        elif not self._link.reconnection:
            self._step(Step.LEAVE)
            self._finish(reason, Disconnected(reason))
        elif self._verdicts and not self._waits_through_failures():
            error = ConnectError(reason)
            if isinstance(details, (Details, TransportError)):
                error.description, error.context = details.description, details.context
            self._give_up(error)
        self._member.fire("disconnect", reason, details)

    def loop_closed(self) -> None:
        """The event loop of the connection has been closed, and the connection with it."""
        self._step(Step.DROPPED)
        self.id = None
        self._authenticating = None

    # -- getting out ----------------------------------------------------------------------

    def leave(self) -> None:
        """Leave the namespace, and do not get in again by itself."""
        if not self.active:
            return
        joined = self.joined
        if joined:
            self._link.send(self._encode(DISCONNECT, self._nsp))
            self._drop(IO_CLIENT_DISCONNECT)
        if self.active:
            self._leave(Step.LEAVE, IO_CLIENT_DISCONNECT, Disconnected(IO_CLIENT_DISCONNECT))
        if joined:
            self._member.fire("disconnect", IO_CLIENT_DISCONNECT, None)

    def _drop(self, reason: str) -> None:
        """The membership has ended on this connection; ``disconnect`` is fired later.

        Callbacks of acknowledgements that will not come are called meanwhile: they may leave.
        """
        self._step(Step.DROPPED)
        self.id = None
        self._dropped_on = self._link.engine
        self._member.dropped(reason)

    def _leave(self, step: Step, reason: str, error: Exception) -> None:
        self._step(step)
        self._finish(reason, error)
        self._leave_manager()

    def _finish(self, reason: str, error: Exception) -> None:
        """The socket does not want in any more: what waits for it is told."""
        self.reason = reason
        self._stop_authenticating()
        self._settle(error)
        ends, self._ends = self._ends, []
        for end in ends:
            if not end.done():
                end.set_result(None)
        self._member.finished(reason)


def _connect_error(data: Any, protocol: int) -> ConnectError:
    """What a refusal says. Socket.IO 2 sends either a message or data."""
    answer: dict[str, Any] = data if data.__class__ is dict else {}
    if "message" in answer and (protocol == 5 or answer.keys() <= {"message", "data"}):
        return ConnectError(str(answer["message"]), answer.get("data"))
    if isinstance(data, str):
        return ConnectError(data, None if protocol == 5 else data)
    return ConnectError("the server has refused the connection", data)
