"""The ASGI front: serves an engine from any ASGI host, at any mount point.

``messages.py`` speaks ASGI, ``lifespan.py`` starts and stops, ``websocket.py`` is the transport of
a WebSocket that the host frames.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import Context, copy_context
from functools import partial

from ...client_bundle import FILES
from ...config import GenerateId
from ...engine.engine import Engine
from ...engine.handshake import BAD_REQUEST as BAD_HANDSHAKE
from ...engine.handshake import FORBIDDEN, Refused, check_origin
from ...engine.polling import BAD_REQUEST, PollingTransport
from ...engine.session import Session
from ...engine.transport import Transport
from ...engine.upgrade import Probe
from ...ids import new_id
from ...loop.turns import DISCONNECTS_PER_TURN, in_turns
from ...types import App, HeaderList, Message, Receive, Request, Response, Scope, Send
from ..driver import Driver
from ..upgrade import EXTENSION, Upgrade
from . import bundle, messages
from .hooks import EngineHooks, allow, chosen_protocol, generate_id
from .lifespan import run_lifespan
from .messages import (
    disconnected,
    encode,
    refuse_websocket,
    respond,
)
from .mount import below_path, not_found
from .polling import answer_poll, take_post
from .websocket import AsgiWebSocket


class AsgiFront:
    """An ASGI 3 application in front of an engine.

    ``other`` gets every request outside the engine's path. ``serve_client`` also serves
    the JavaScript client below the path.
    """

    def __init__(
        self, engine: Engine, *, other: App | None = None, serve_client: bool = False
    ) -> None:
        self.engine = engine
        self.driver = Driver(engine)
        self.other = other
        self.serve_client = serve_client
        self.generate_id: GenerateId | None = None
        self.on_bind: Callable[[asyncio.AbstractEventLoop], None] | None = None
        self._made_in = copy_context()
        self.close_at_once: Callable[[], None] = partial(engine.close, "forced close")
        self.close_connections: Callable[[float], Awaitable[None]] = _close_nothing
        self.pace: Callable[[Receive], None] = _unpaced
        self.hooks = EngineHooks(engine.notes)
        self._path = engine.options.path
        self.targets = _targets(self._path)
        self._middlewares: list[Callable[[App], App]] = []
        self._served: App = self._serve_engine

    @property
    def per_message_deflate(self) -> bool:
        """Whether WebSockets are compressed; then they take the plain ASGI path."""
        return self.engine.options.per_message_deflate

    @property
    def path(self) -> str:
        """The path that the engine answers at."""
        return self._path

    @path.setter
    def path(self, path: str) -> None:
        self._path = path
        self.targets = _targets(path)

    def bind(self, context: Context | None = None) -> None:
        """Run on the running loop from now on, in this context or the current one."""
        loop = asyncio.get_running_loop()
        if loop is not self.driver.loop:
            self.driver.bind(loop, context)
            if self.on_bind is not None:
                self.on_bind(loop)

    def reopen(self) -> None:
        """Accept connections on the running loop, also after the server has been closed."""
        self.bind()
        self.engine.closing = False
        if self.on_bind is not None and self.driver.loop is not None:
            self.on_bind(self.driver.loop)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        kind = scope["type"]
        if kind == "lifespan":
            await run_lifespan(
                self.other, self.reopen, scope, self._closing_at_shutdown(receive), send
            )
            return
        self.bind(self._made_in)  # not in what the host has set for the first request
        rest = self.below_path(scope)
        if rest is None or (rest and kind == "websocket"):
            await self._elsewhere(scope, receive, send)
        elif rest:
            await self._bundle(rest, scope, send)
        else:
            await self._served(scope, receive, send)

    def use(self, middleware: Callable[[App], App]) -> None:
        """Wrap the requests of the engine in an ASGI middleware; the first is the outermost."""
        self._middlewares.append(middleware)
        served: App = self._serve_engine
        for wrap in reversed(self._middlewares):
            served = wrap(served)
        self._served = served

    async def _serve_engine(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        else:
            await self._http(scope, receive, send)

    async def _bundle(self, name: str, scope: Scope, send: Send) -> None:
        request = Request(scope)
        response = bundle.answer(name, request)
        if response is not None:
            headers = [*response.headers, *_safe_cors(self.engine, request)]
            await respond(send, response._replace(headers=headers))

    def is_synchronous_handshake(self, scope: Scope) -> bool:
        """Whether this is a handshake of the engine that no function of the user takes part in."""
        return self._handshakes_are_synchronous and self.below_path(scope) == ""

    @property
    def _handshakes_are_synchronous(self) -> bool:
        return self.admits_synchronously and not self._middlewares

    @property
    def is_unobserved(self) -> bool:
        """Whether no middleware sees the requests, and no hook adds to their answers."""
        hooks = self.hooks
        return not (self._middlewares or hooks.headers or hooks.initial_headers)

    @property
    def admits_synchronously(self) -> bool:
        """Whether no function of the user takes part in a handshake."""
        return self.generate_id is None and self.engine.options.allow_request is None

    @property
    def body_timeout(self) -> float:
        """How long the body of a POST may take, in seconds."""
        return messages.BODY_TIMEOUT

    def take_synchronously(self, path: bytes, request: Request, upgrade: Upgrade) -> bool:
        """Answer a synchronous handshake over WebSocket; ``False`` if it is none, or not ours."""
        if path not in self.targets or not self._handshakes_are_synchronous:
            return False
        self.bind()
        engine = self.engine
        try:
            session = engine.verify(request, upgrade=True)
            if session is None and engine.closing:
                raise Refused(FORBIDDEN, "the server is shutting down")
            sid = new_id() if session is None else ""
            headers = self._headers(request, initial=session is None)
            if session is None and engine.cookie is not None:
                headers += engine.cookie_headers(sid)
        except Refused as refused:
            self.hooks.refused(request, refused)
            upgrade.refuse(refused.response())
        else:
            self._take_over(upgrade, request, session, sid, headers)
        return True

    def below_path(self, scope: Scope) -> str | None:
        """What follows the engine's path: ``""`` for itself, a file's name, or ``None``."""
        return below_path(self._path, scope, FILES if self.serve_client else ())

    async def _elsewhere(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.other is not None:
            await self.other(scope, receive, send)
        elif scope["type"] == "websocket":
            await refuse_websocket(scope, receive, send, not_found(self._path, scope))
        else:
            await respond(send, not_found(self._path, scope))

    def _closing_at_shutdown(self, receive: Receive) -> Receive:
        async def receive_and_close() -> Message:
            message = await receive()
            if message["type"] == "lifespan.shutdown":
                await self.close_connections(0.0)
            return message

        return receive_and_close

    # -- the end ------------------------------------------------------------------------

    async def hang_up(self) -> None:
        """Wait no longer for the clients of connections that are to end."""
        driver = self.driver
        await asyncio.sleep(0)  # uvloop writes at the end of a turn
        leaving = list(driver.leaving.deadlines)
        await in_turns(leaving, lambda connection: connection.hang_up(), DISCONNECTS_PER_TURN)
        driver.hang_up()

    # -- HTTP ---------------------------------------------------------------------------

    async def _http(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope)
        if not _one_host(scope):
            await respond(send, BAD_REQUEST._replace(headers=[("connection", "close")]))
            return
        cors = self.engine.cors
        try:
            if request.method == "OPTIONS" and cors.enabled:
                check_origin(request, cors)
                await respond(send, Response(204, cors.preflight_headers(request), b""))
                return
            session = self.engine.verify(request, upgrade=False)
            if session is None:
                await self._open(request, receive, send)
            else:
                await self._serve(session, request, receive, send)
        except Refused as refused:
            self.hooks.refused(request, refused)
            response = refused.response()
            if refused.code != FORBIDDEN:
                response.headers.extend(_safe_cors(self.engine, request))
            await respond(send, response)

    def _headers(self, request: Request, *, initial: bool) -> HeaderList:
        """What every answer of the engine carries; ``initial`` for a session's first."""
        cors = self.engine.cors
        headers = cors.headers(request) if cors.enabled else []
        return self.hooks.add_headers(headers, request, initial=initial)

    async def _serve(
        self, session: Session, request: Request, receive: Receive, send: Send
    ) -> None:
        """A request of an open polling session."""
        transport = session.transport
        headers = self._headers(request, initial=False)
        if not isinstance(transport, PollingTransport):
            raise AssertionError("verify lets only polling requests through")
        if request.method == "GET":
            await answer_poll(self.engine, session, transport, request, headers, receive, send)
        elif request.method == "POST":
            response = await take_post(self.engine, session, transport, request, receive)
            if response is not None:
                await respond(send, response._replace(headers=[*response.headers, *headers]))
        else:
            await respond(send, Response(405, [("allow", "GET, POST"), *headers], b""))

    async def _open(self, request: Request, receive: Receive, send: Send) -> None:
        """A handshake over polling. The open packet is the answer to this very request."""
        engine = self.engine
        headers = self._headers(request, initial=True)
        if engine.closing:
            await respond(send, Response(503, [("retry-after", "5"), *headers], b""))
            return
        watch: asyncio.Task[None] | None = None
        if engine.options.allow_request is not None or self.generate_id is not None:
            watch = asyncio.ensure_future(disconnected(receive))
        try:
            sid = await self.admit(request)
            if watch is not None and watch.done():
                return  # the client has not waited for the verdict
            headers += engine.cookie_headers(sid)
            session, transport = engine.open_polling(request, sid)
        finally:
            if watch is not None:
                watch.cancel()
        await answer_poll(
            self.engine, session, transport, request, headers, receive, send, opening=True
        )

    async def admit(self, request: Request) -> str:
        """Ask the user's hooks about a handshake; the id of the new session."""
        allow_request = self.engine.options.allow_request
        if allow_request is not None:
            await allow(allow_request, request)
        return await generate_id(self.generate_id, request)

    # -- WebSocket ------------------------------------------------------------------------

    async def _websocket(self, scope: Scope, receive: Receive, send: Send) -> None:
        upgrade: Upgrade | None = scope.get("extensions", {}).get(EXTENSION)
        request = Request(scope) if upgrade is None else upgrade.request(scope)
        try:
            if scope.get("http_version") == "1.0":  # RFC 6455, 4.2.1
                raise Refused(BAD_HANDSHAKE, "a WebSocket is opened with HTTP/1.1")
            session = self.engine.verify(request, upgrade=True)
            protocol = chosen_protocol(self.engine.options.handle_protocols, request)
            sid = "" if session is not None else await self._admit_websocket(request)
            headers = self._headers(request, initial=session is None)
            if session is None:
                headers += self.engine.cookie_headers(sid)
        except Refused as refused:
            self.hooks.refused(request, refused)
            await refuse_websocket(scope, receive, send, refused.response())
            return
        if upgrade is not None:
            if protocol is not None:
                headers.append(("sec-websocket-protocol", protocol))
            self._take_over(upgrade, request, session, sid, headers)
            return
        self.pace(receive)
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        websocket = AsgiWebSocket(send, self.driver, int(request.query["EIO"]))
        accept = {"type": "websocket.accept", "subprotocol": protocol, "headers": encode(headers)}
        await send(accept)
        receiver = self._receiver(request, websocket, session, sid)
        await websocket.read(receive, receiver, session, self.engine.options.max_http_buffer_size)

    def _take_over(
        self,
        upgrade: Upgrade,
        request: Request,
        session: Session | None,
        sid: str,
        headers: HeaderList,
    ) -> None:
        """The host server hands over the whole connection: nothing runs here any more."""
        if upgrade.gone:
            return
        if upgrade.mistake is not None:
            upgrade.refuse(upgrade.mistake)
            return
        limit = self.engine.options.max_http_buffer_size
        websocket = upgrade.accept(self.driver, int(request.query["EIO"]), limit, headers)
        receiver = self._receiver(request, websocket, session, sid)
        upgrade.release(request)
        websocket.start(receiver, session)

    def _receiver(
        self, request: Request, websocket: Transport, session: Session | None, sid: str
    ) -> Session | Probe | None:
        """What receives from a new WebSocket; ``None`` if its session has ended meanwhile."""
        if session is not None:
            return session.start_probe(websocket)
        try:
            return self.engine.open(request, websocket, sid)
        except Refused as refused:  # since the request was verified
            self.hooks.refused(request, refused)
            return None

    async def _admit_websocket(self, request: Request) -> str:
        if self.engine.closing:
            raise Refused(FORBIDDEN, "the server is shutting down")
        sid = await self.admit(request)
        if sid in self.engine.sessions:
            raise Refused(BAD_HANDSHAKE, name="ID_GENERATION_ERROR")
        return sid


# -- ASGI ------------------------------------------------------------------------------------


def _targets(path: str) -> frozenset[bytes]:
    """The plainest ways to ask for the engine at this path."""
    plain = path.encode()
    return frozenset((plain, plain + b"/"))


def _one_host(scope: Scope) -> bool:
    """RFC 9112, 3.2: a request of HTTP/1.1 has exactly one Host header."""
    if scope.get("http_version") != "1.1":
        return True
    hosts = [value for name, value in scope["headers"] if name.lower() == b"host"]
    return len(hosts) == 1


def _safe_cors(engine: Engine, request: Request) -> HeaderList:
    """CORS headers of what is answered to everybody; only allowed origins may read it."""
    try:
        check_origin(request, engine.cors)
    except Refused:
        return [("vary", "Origin")]
    return engine.cors.headers(request)


def _unpaced(receive: Receive) -> None:
    """Leave the pace of a WebSocket to its host."""


async def _close_nothing(drain: float) -> None:
    """No server has said how its connections are closed."""
