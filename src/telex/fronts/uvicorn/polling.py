"""Long-polling without the machinery of an HTTP server.

A usual request (``head.py``) of long-polling that only the engine sees is served in the call
that has read it, and its answer is one write. Every other request goes back to the HTTP
server, on the same connection and in order: nothing is refused here but a pipeline that
is no HTTP.
"""

from __future__ import annotations

import asyncio
from collections.abc import Generator

import httptools

from ..._log import logger
from ...engine.polling import BAD_REQUEST, PollingTransport
from ...engine.reasons import TRANSPORT_ERROR
from ...engine.session import Session
from ...types import HeaderList, Response
from ..asgi import compression
from .closing import LingeringClose
from .polling_requests import HeaderFacts, PollingRequest, encode_headers
from .polling_server import ACCESS, ERRORS, PollingServer

SHARED = 64 * 1024
"""Bodies from this size on are written as they are: a broadcast's is that of all who poll."""

PAUSE = 0.05
"""The time between two looks at a session that is not read at present, in seconds."""

LONGEST_PIPELINE = 4096
"""How much may wait here behind a request, in bytes; the HTTP server gets what is more."""

_TIMED_OUT = Response(408, [("connection", "close")], b"")
_PLAIN: HeaderList = [("content-type", "text/plain; charset=utf-8")]
_INVALID = Response(400, _PLAIN, b"Invalid HTTP request received.")
_FAILED = Response(500, _PLAIN, b"Internal Server Error")


class PollingConnection(asyncio.Protocol):
    """A connection on which a client polls, one request after the other.

    It is what polls are answered with: ``PollingTransport`` calls it with the response.
    """

    __slots__ = (
        "_body",
        "_reading_paused",
        "_gzip",
        "_pending",
        "_jsonp",
        "_line",
        "_more",
        "_compressing",
        "_body_timer",
        "_polling",
        "_rest",
        "_server",
        "_session",
        "_steps",
        "_stuck",
        "transport",
    )

    def __init__(self, server: PollingServer, transport: asyncio.Transport) -> None:
        self.transport = transport
        self._more = b""  # header lines of the next answer only
        self._server = server
        self._pending: HeaderFacts | None = None  # of the request that has not been answered yet
        self._gzip = False
        self._compressing = False
        self._jsonp = False
        self._line: tuple[str, str, str] | None = None
        self._session: Session | None = None
        self._polling: PollingTransport | None = None
        self._body: bytearray | None = None
        self._body_timer: asyncio.TimerHandle | None = None
        self._steps: Generator[None, None, Response] | None = None
        self._rest = b""
        self._reading_paused = False  # nothing is read
        self._stuck = False  # the client has not read the last answer

    def begin(self, request: PollingRequest, data: bytes) -> None:
        """Take the connection over, with a request that has come."""
        self._server.state.connections.add(self)
        self.transport.set_protocol(self)
        self.transport.set_write_buffer_limits(1)  # say so when more than a byte has to wait
        self._serve(request, data)

    # -- the connection -----------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        """Serve a request, or leave it to the HTTP server."""
        if self._pending is not None or self._stuck:
            self._more_received(data)
            return
        server = self._server
        request = server.requests.read(data, self.transport)
        if request is not None:
            self._serve(request, data)
        else:
            self._go_back(data)

    def _go_back(self, data: bytes) -> None:
        """Hand the connection, and what has come on it, to the HTTP server."""
        server = self._server
        server.idle.stop(self)
        server.state.connections.discard(self)
        self.transport.set_write_buffer_limits()
        server.go_back(self.transport, data)

    def _hold(self, data: bytes) -> None:
        """Keep what a client sends before it has its answer, unless it is no HTTP."""
        self._keep(data)
        self._judge_rest()

    def _keep(self, data: bytes) -> None:
        """Keep what a client sends before it has its answer; it is read no further meanwhile."""
        self._rest += data
        self._pause_reading()

    def _judge_rest(self) -> None:
        """Refuse what is kept if it is no HTTP, before its turn comes.

        Only the beginning is judged: a long pipeline is for the HTTP server, which takes it apart
        in portions.
        """
        if not _proper(self._rest[:LONGEST_PIPELINE]):
            self._server.notes.note(_INVALID.body.decode())
            self.transport.write(self._server.answer(_INVALID, b"", last=True))
            self._linger()

    def _pause_reading(self) -> None:
        self._reading_paused = True
        if not self.transport.is_closing():
            self.transport.pause_reading()

    def _go_on(self) -> None:
        """Serve what has been held, and read again."""
        if self._pending is not None or self._stuck or self.transport.is_closing():
            return
        data, self._rest = self._rest, b""
        self._reading_paused = False
        self.transport.resume_reading()
        if len(data) > LONGEST_PIPELINE:
            self._go_back(data)
        elif data:
            self.data_received(data)

    def pause_writing(self) -> None:
        """The client does not read its answer: its requests are not read either."""
        self._stuck = True
        self._pause_reading()

    def resume_writing(self) -> None:
        """The client has read."""
        self._stuck = False
        if self._polling is not None and self._pending is None:
            self._polling.read(self)
            self._session = self._polling = None
        if not self.transport.is_closing():
            self._server.front.driver.left(self)
            self._server.idle.start(self)
        self._go_on()

    def eof_received(self) -> None:
        """The client sends no more: what it does not read soon is dropped."""
        self.leave()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client has gone."""
        server = self._server
        server.idle.stop(self)
        server.front.driver.left(self)
        server.state.connections.discard(self)
        facts, self._pending = self._pending, None
        session, polling = self._session, self._polling
        if session is None or polling is None or self._steps is not None:
            return  # what has been posted is still handed on
        self._session = self._polling = None
        if facts is None or self._compressing:
            polling.abort(session)
        elif self._body is not None:
            self._end_body()
            polling.abort_post(session)
        else:
            polling.abort_poll(session, self)

    def leave(self) -> None:
        """The connection is to end: the client has a moment to read."""
        self._server.front.driver.leave(self)

    def hang_up(self) -> None:
        """Wait no longer for the client. What it has not read by now is dropped."""
        self.transport.abort()

    def _close(self) -> None:
        """Close the connection when the client has read everything, if that is soon."""
        self.leave()
        self.transport.close()

    def _linger(self) -> None:
        """Close the connection of a client that may still be sending."""
        self.connection_lost(None)
        LingeringClose(self.transport, self._server.front.driver.leaving)

    def idle_timed_out(self) -> None:
        """Nothing has been answered for a while: has the client asked for anything?"""
        if self._pending is None and not self._stuck:
            self._close()

    def shutdown(self) -> None:
        """The server stops (called by uvicorn)."""
        self._server.shutdown()
        if self._pending is None:
            self._close()

    # -- requests -----------------------------------------------------------------------

    def _serve(self, request: PollingRequest, data: bytes) -> None:
        """Serve a request; ``data`` begins with it."""
        facts = self._pending = request.facts
        if self._server.logs:
            self._line = self._server.log_line(request, self.transport)
        session, polling = request.session, request.polling
        try:
            begin = request.head.size
            end = begin + max(facts.length, 0)
            if len(data) > end:
                self._keep(data[end:])
            if request.head.method == b"POST":
                self._post(request, data[begin:end])
            else:
                self._gzip = facts.gzip
                if session is None or polling is None:
                    session, polling, self._more = self._server.open(request, self.transport)
                    self._poll(session, polling, request.query.get("j"))
                    session.flush()
                else:
                    self._poll(session, polling, request.query.get("j"))
            if self._rest and self._pending is facts:  # not answered yet, and may never be
                self._judge_rest()
        except Exception:
            self._fail()

    def _poll(self, session: Session, polling: PollingTransport, jsonp: str | None) -> None:
        """A poll of this session: its answer comes now or later."""
        self._session = session
        self._polling = polling
        polling.poll(session, self, jsonp)

    def _post(self, request: PollingRequest, body: bytes) -> None:
        session, polling = request.session, request.polling
        if session is None or polling is None:
            raise AssertionError("only a session has a POST")
        if not polling.start_post(session):
            self(BAD_REQUEST)
            return
        self._session = session
        self._polling = polling
        self._jsonp = "j" in request.query
        if len(body) < request.facts.length:
            self._body = bytearray(body)
            server = self._server
            self._body_timer = server.loop.call_later(
                server.front.body_timeout, self._body_timed_out
            )
        else:
            self._take_body(body)

    def _more_received(self, data: bytes) -> None:
        """The client sends more before it has been answered."""
        facts, body = self._pending, self._body
        if facts is None or body is None:
            self._hold(data)
            return
        body += data
        if len(body) < facts.length:
            return
        if len(body) > facts.length:
            self._hold(bytes(body[facts.length :]))
            if self._pending is not facts:
                return
        self._end_body()
        try:
            self._take_body(bytes(body[: facts.length]))
        except Exception:
            self._fail()

    def _end_body(self) -> None:
        """The body is complete, or is not waited for any more."""
        self._body = None
        if self._body_timer is not None:
            self._body_timer.cancel()
            self._body_timer = None

    def _body_timed_out(self) -> None:
        facts, session, polling = self._pending, self._session, self._polling
        self._end_body()
        if facts is None or session is None or polling is None:
            raise AssertionError("the timer of a body ends with its connection")
        self._session = self._polling = None
        polling.abort_post(session)
        answer = self._server.answer(_TIMED_OUT, facts.answer_lines, last=False)
        self._finish(408, answer, last=True, unread=True)

    def _take_body(self, body: bytes) -> None:
        facts, session, polling = self._pending, self._session, self._polling
        if facts is None or session is None or polling is None:
            raise AssertionError("a body belongs to a request")
        self._steps = polling.post(session, body, binary=facts.binary, jsonp=self._jsonp)
        self._step()

    def _step(self) -> None:
        """Hand on what was posted; the answers to it leave together."""
        steps, session = self._steps, self._session
        if steps is None or session is None:
            raise AssertionError("a POST has steps and a session")
        session.corked = True
        try:
            next(steps)
        except StopIteration as done:
            self._steps = None
            self(done.value)
        except Exception:
            self._steps = None
            self._fail()
        try:
            session.flush()
        except Exception:
            logger.exception("a session could not be flushed")
            session.end(TRANSPORT_ERROR)
        if self._steps is None:
            return
        if session.paused:
            self._server.loop.call_later(PAUSE, self._step)
        else:
            self._server.loop.call_soon(self._step)

    # -- answers ------------------------------------------------------------------------

    def __call__(self, response: Response) -> None:
        """Answer the request."""
        if self._gzip:
            self._gzip = False
            threshold = self._server.options.http_compression
            if threshold and response.compress and len(response.body) >= threshold:
                self._compressing = True
                tasks = self._server.state.tasks
                compressing = self._server.loop.create_task(self._answer_compressed(response))
                tasks.add(compressing)
                compressing.add_done_callback(tasks.discard)
                return
        self._compressing = False
        facts = self._pending
        if facts is None:  # the client has not waited
            self._session = self._polling = None
            return
        server = self._server
        lines = facts.answer_lines + self._more if self._more else facts.answer_lines
        last = facts.close or server.stopping
        if len(response.body) < SHARED:
            self._finish(response.status, server.answer(response, lines, last=last), last=last)
        else:
            answer = server.answer(response, lines, last=last, head_only=True)
            self._finish(response.status, answer, response.body, last=last)

    def _finish(
        self, status: int, answer: bytes, body: bytes = b"", *, last: bool, unread: bool = False
    ) -> None:
        """Write an answer; ``unread`` says that the client may still be sending its request."""
        server = self._server
        self._pending = None
        self._more = b""
        if self._line is not None:
            ACCESS.info('%s - "%s %s HTTP/%s" %d', *self._line, "1.1", status)
            self._line = None
        self.transport.write(answer)
        if body:
            self.transport.write(body)
        server.state.total_requests += 1
        session, polling = self._session, self._polling
        if not self._stuck:
            self._session = self._polling = None
        elif session is None or polling is None:
            self.leave()
        else:
            polling.reading(session, self)
        if unread:
            self._linger()
            return
        if last:
            if self._polling is None:
                self.leave()
            # Otherwise the client still reads, and its session says when that has to end.
            self.transport.close()
            return
        server.idle.start(self)
        if self._reading_paused:
            server.loop.call_soon(self._go_on)

    def _fail(self) -> None:
        """A request could not be served."""
        ERRORS.exception("Exception in ASGI application\n")
        self._session = self._polling = None
        self._gzip = self._compressing = False
        if self._pending is None:
            self._close()
        else:
            self._finish(500, self._server.answer(_FAILED, b"", last=True), last=True)

    async def _answer_compressed(self, response: Response) -> None:
        """Answer with a body that is compressed."""
        compressed = await compression.compressed(response._replace(headers=[]))
        self._more += encode_headers(compressed.headers)
        self(response._replace(body=compressed.body))


class _Upgrades:
    """Whether requests ask for a WebSocket."""

    websocket = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header has come (called by httptools)."""
        if name.lower() == b"upgrade" and value.lower() == b"websocket":
            self.websocket = True


def _proper(data: bytes) -> bool:
    """Whether requests may wait behind another one; an upgrade may not."""
    upgrades = _Upgrades()
    try:
        httptools.HttpRequestParser(upgrades).feed_data(data)
    except httptools.HttpParserUpgrade:
        return not upgrades.websocket
    except httptools.HttpParserError:
        return False
    return True
