"""The engine: all sessions by id, and the verdict on every request.

It does no I/O. A front asks ``verify`` about a request, opens sessions with ``open``,
and lends the engine its timer (``schedule.wake``) and its cork.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from .._log import connections, packets, shown
from ..config import EngineOptions
from ..deadlines import Schedule
from ..errors import ConfigurationError
from ..types import Clock, HeaderList, Request
from .cors import CorsPolicy, Origins
from .handshake import (
    BAD_HANDSHAKE_METHOD,
    BAD_REQUEST,
    FORBIDDEN,
    UNKNOWN_SID,
    OpenPacket,
    Refused,
    SessionCookie,
    check_origin,
    check_page,
    check_protocol,
    check_transport,
)
from .heartbeat import Heartbeat
from .legacy import LegacyText
from .polling import PollingTransport
from .session import Session
from .session_core import OPEN
from .trace import PacketLog
from .transport import Transport


class Engine:
    """All sessions of one server.

    ``clock`` gives seconds from any origin. ``json_text`` says that the messages are
    JSON behind a header (Socket.IO), which settles how text is sent to old clients.
    The owner sets ``on_session``, which is called with every new session before
    anything is received on it.
    """

    def __init__(self, options: EngineOptions, clock: Clock, *, json_text: bool) -> None:
        self.options = options
        self.cors = CorsPolicy.from_options(options.origins, options.cors)
        given = options.cors or {}
        self._origins: Origins = given.get("origins", options.origins)
        self.cookie = SessionCookie(options.cookie) if options.cookie else None
        self.schedule = Schedule(clock)
        self.heartbeat = Heartbeat(
            self.schedule,
            ping_interval=options.ping_interval,
            ping_timeout=options.ping_timeout,
            upgrade_timeout=options.upgrade_timeout,
        )
        self.notes = self.heartbeat.notes
        self.sessions: dict[str, Session] = {}
        self.closing = False
        self.on_session: Callable[[Session], None] = _nobody
        self.cork: Callable[[Session], None] = Session.flush
        self._json_text = json_text
        self._open_packet = OpenPacket(options)
        self._ended = self._session_ended  # one bound method for all sessions

    @property
    def origins(self) -> Origins:
        """The origins that may connect, as they were given."""
        return self._origins

    def allow_origins(self, origins: Origins) -> None:
        """Set the origins that may connect; only before the first connection."""
        if self.sessions:
            raise ConfigurationError("origins can be set before the first connection only")
        self.cors = CorsPolicy(origins)
        self._origins = origins

    def verify(self, request: Request, *, upgrade: bool) -> Session | None:
        """Check a request; the session it belongs to, or ``None`` for a handshake.

        ``upgrade`` says that it asks for a WebSocket. Whatever is wrong raises
        ``Refused``. The order of the checks is the reference's.
        """
        query = request.query
        transport = check_transport(query, self.options)
        if transport == "polling":
            check_page(request, self.cors)
        elif request.origin is not None:
            check_origin(request, self.cors)
        sid = query.get("sid")
        if sid:
            return self._verify_session(request, sid, transport, upgrade=upgrade)
        if request.method != "GET":
            raise Refused(BAD_HANDSHAKE_METHOD, method=request.method)
        if (transport == "websocket") is not upgrade:
            raise Refused(BAD_REQUEST, name="TRANSPORT_HANDSHAKE_ERROR")
        check_protocol(query, self.options)
        return None

    def _verify_session(
        self, request: Request, sid: str, transport: str, *, upgrade: bool
    ) -> Session:
        session = self.sessions.get(sid)
        if session is None:
            raise Refused(UNKNOWN_SID, sid=sid)
        if upgrade is not (transport == "websocket"):
            raise Refused(BAD_REQUEST, name="TRANSPORT_HANDSHAKE_ERROR")
        if upgrade and not self.options.allow_upgrades:
            raise Refused(BAD_REQUEST, name="UPGRADE_NOT_ALLOWED")
        if not upgrade and session.transport.name != transport:
            raise Refused(
                BAD_REQUEST,
                name="TRANSPORT_MISMATCH",
                transport=transport,
                previous_transport=session.transport.name,
            )
        if request.query.get("EIO") != str(session.protocol):
            raise Refused(
                BAD_REQUEST,
                name="PROTOCOL_MISMATCH",
                protocol=request.query.get("EIO"),
                previous_protocol=session.protocol,
            )
        return session

    def open_polling(self, request: Request, sid: str) -> tuple[Session, PollingTransport]:
        """Open a session for a verified handshake over polling."""
        if request.query["EIO"] == "3":
            legacy = LegacyText(json_text=self._json_text)
            transport = PollingTransport(base64=bool(request.query.get("b64")), legacy=legacy)
        else:
            transport = PollingTransport()
        return self.open(request, transport, sid), transport

    def open(self, request: Request, transport: Transport, sid: str) -> Session:
        """Open a session for a verified handshake; its open packet is queued."""
        if not sid or sid in self.sessions:
            raise Refused(BAD_REQUEST, name="ID_GENERATION_ERROR")
        if self.closing:
            raise Refused(FORBIDDEN, "the server is shutting down")
        session = Session(
            sid,
            int(request.query["EIO"]),
            request,
            transport,
            self.heartbeat,
            cork=self.cork,
            ended=self._ended,
            send_buffer_limit=self.options.send_buffer_limit,
            volatile_waits=self.options.slow_consumer == "drop_volatile",
        )
        self.sessions[sid] = session
        if connections.isEnabledFor(logging.INFO):
            connections.info("%s: opened over %s", shown(session.name), shown(transport.name))
        if packets.isEnabledFor(logging.DEBUG):
            session.observer = PacketLog(session.name)
        session.send(self._open_packet.encode(sid, transport.name))
        session.opened()
        self.on_session(session)
        return session

    def cookie_headers(self, sid: str) -> HeaderList:
        """The header that gives a new session its cookie, if there is to be one."""
        if self.cookie is None:
            return []
        try:
            return [("set-cookie", self.cookie.header(sid))]
        except ConfigurationError as error:
            raise Refused(BAD_REQUEST, name="ID_GENERATION_ERROR", error=error) from error

    def _session_ended(self, session: Session) -> None:
        if self.sessions.get(session.id) is session:
            del self.sessions[session.id]

    def close(self, reason: str) -> None:
        """End every session at once; later handshakes are refused by the fronts."""
        self.closing = True
        for session in list(self.sessions.values()):
            end(session, reason)
        self.notes.flush()


def end(session: Session, reason: str) -> None:
    """End a session at once, but for what is queued."""
    if session.state is OPEN:
        session.flush()
    session.end(reason)


def _nobody(session: Session) -> None:
    """An engine whose owner does not listen."""
