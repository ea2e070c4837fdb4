"""HTTP long-polling as a transport, without the HTTP.

A client has at most one GET (*poll*) and one POST in flight. Packets for it leave as the
answer to its poll, so the transport is writable while a poll is pending.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Protocol

from ..errors import PacketError
from ..types import HeaderList, Response
from ..wire import EncodedPacket
from . import payload
from .legacy import LegacyText
from .packet import CLOSE_PACKET
from .reasons import PARSE_ERROR, TRANSPORT_ERROR
from .session import Session
from .session_core import CLOSED

Respond = Callable[[Response], None]


class Unread(Protocol):
    """An answer that the client has not read completely."""

    def leave(self) -> None:
        """The session has gone: wait for the client, but not for long."""
        ...


BAD_REQUEST = Response(400, [], b"")
DONE = Response(200, [("content-type", "text/html"), ("cache-control", "no-store")], b"ok")
TEXT: HeaderList = [
    ("content-type", "text/plain; charset=UTF-8"),
    ("cache-control", "no-store"),
]
"""The headers of nearly every answer to a poll; nobody may change this list."""
_STEP = 1000


def _answer(content_type: str, body: bytes, *more: tuple[str, str]) -> Response:
    headers: HeaderList = [("content-type", content_type), ("cache-control", "no-store"), *more]
    return Response(200, headers, body)


class PollingTransport:
    """The polling transport of one session.

    ``base64`` says that the client cannot read binary answers (revision 3). ``legacy``
    is the text codec of revision 3, ``None`` for revision 4. It is ``writable`` while a
    poll is pending.
    """

    __slots__ = ("_base64", "_jsonp", "_legacy", "_posting", "_respond", "_unread", "writable")

    name = "polling"

    def __init__(self, *, base64: bool = True, legacy: LegacyText | None = None) -> None:
        self._base64 = base64
        self._legacy = legacy
        self._respond: Respond | None = None
        self._unread: Unread | None = None
        self.writable = False
        self._jsonp: str | None = None
        self._posting = False

    # -- to the client ----------------------------------------------------------------

    def send(self, packets: list[EncodedPacket]) -> None:
        """Answer the pending poll."""
        respond, self._respond = self._respond, None
        self.writable = False
        if respond is None:
            raise AssertionError("send is only called while writable")
        if len(packets) == 1:
            compress = packets[0].compress
        else:
            compress = any(packet.compress for packet in packets)
        legacy = self._legacy
        if legacy is None:
            respond(Response(200, TEXT, payload.encode(packets), compress))
        else:
            respond(self._encode3(packets, legacy)._replace(compress=compress))

    def _encode3(self, packets: list[EncodedPacket], legacy: LegacyText) -> Response:
        if self._jsonp is not None:
            script = payload.encode_jsonp(payload.encode3(packets, legacy.write), self._jsonp)
            # A browser runs it as a script: nothing else may be read into it.
            sniff = ("x-content-type-options", "nosniff")
            return _answer("text/javascript; charset=UTF-8", script, sniff)
        if not self._base64 and not all(map(_is_ascii, packets)):
            return _answer("application/octet-stream", payload.encode3_binary(packets))
        return Response(200, TEXT, payload.encode3(packets, legacy.write))

    def close(self) -> None:
        """Tell a waiting client that the session has ended; wait no longer for one that reads."""
        unread, self._unread = self._unread, None
        if unread is not None:
            unread.leave()
        if self._respond is not None:
            self.send([CLOSE_PACKET])

    def pause(self) -> None:
        """The answer to the running POST is held back: the client sends no other."""

    def resume(self) -> None:
        """The held POST is looked at again by whoever handles it."""

    # -- from the client ----------------------------------------------------------------

    def poll(self, session: Session, respond: Respond, jsonp: str | None = None) -> None:
        """A GET of the session: ``respond`` is called once, now or later."""
        if self._respond is not None:
            respond(BAD_REQUEST)
            session.transport_ended(self, TRANSPORT_ERROR)
            return
        if session.state is CLOSED:
            respond(BAD_REQUEST)  # nothing will ever be sent
            return
        self._respond = respond
        self.writable = True
        self._jsonp = None if jsonp is None else payload.jsonp_index(jsonp)
        session.drained()

    def abort_poll(self, session: Session, respond: Respond) -> None:
        """The client has gone away from its poll."""
        if respond is self._respond:
            self._respond = None
            self.writable = False
            session.transport_ended(self, TRANSPORT_ERROR)

    def reading(self, session: Session, answer: Unread) -> None:
        """The client has not read an answer completely."""
        if session.transport is self and session.state is not CLOSED:
            self._unread = answer
        else:
            answer.leave()

    def read(self, answer: Unread) -> None:
        """The client has read an answer completely."""
        if self._unread is answer:
            self._unread = None

    def abort(self, session: Session) -> None:
        """An answer has not reached the client: what was in it is lost."""
        self._unread = None
        session.transport_ended(self, TRANSPORT_ERROR)

    def start_post(self, session: Session) -> bool:
        """A POST begins; ``False`` (and the end of the session) if one is running."""
        if self._posting:
            session.transport_ended(self, TRANSPORT_ERROR)
            return False
        self._posting = True
        return True

    def abort_post(self, session: Session) -> None:
        """The client has gone away before its POST was complete."""
        self._posting = False
        session.transport_ended(self, TRANSPORT_ERROR)

    def refuse_post(self) -> None:
        """The POST was answered without looking into it; the session goes on."""
        self._posting = False

    def post(
        self, session: Session, body: bytes, *, binary: bool, jsonp: bool
    ) -> Generator[None, None, Response]:
        """Handle the body of a POST and return its answer; yields so that others get a turn."""
        try:
            if session.state is CLOSED:  # while the body was on its way
                return BAD_REQUEST
            if binary and self._legacy is None:
                session.transport_ended(self, TRANSPORT_ERROR)  # revision 4 has no such body
                return BAD_REQUEST
            for count, packet in enumerate(self._decode(body, binary=binary, jsonp=jsonp), 1):
                if session.state is CLOSED:
                    break
                session.receive(packet)
                if count % _STEP == 0:
                    yield
                while session.paused:
                    yield
        except PacketError:
            session.transport_ended(self, PARSE_ERROR)
            return BAD_REQUEST
        finally:
            self._posting = False
        return DONE

    def _decode(self, body: bytes, *, binary: bool, jsonp: bool) -> Iterator[str | bytes]:
        legacy = self._legacy
        if legacy is None:
            return payload.decode(body)
        if binary:
            return _prefixed(payload.decode3_binary(body))
        if jsonp:
            text = payload.decode_jsonp(body)
            if text is None:
                return iter(())
        else:
            try:
                text = body.decode()
            except UnicodeDecodeError:
                raise PacketError("the payload is not UTF-8") from None
        return _prefixed(legacy.read(text, payload.decode3(text)))


def _is_ascii(packet: EncodedPacket) -> bool:
    return not packet.attachments and (packet.text is None or packet.text.isascii())


def _prefixed(packets: Iterator[str | bytes]) -> Iterator[str | bytes]:
    """Binary messages as a WebSocket of revision 3 would bring them: with their type byte."""
    return (packet if isinstance(packet, str) else b"\x04" + packet for packet in packets)
