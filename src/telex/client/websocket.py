"""WebSocket, the client's end, on picows."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from picows import WSCloseCode, WSFrame, WSListener, WSMsgType, WSTransport

from .._log import logger, shown
from ..engine.client_host import Details
from ..engine.client_session import ClientSession
from ..errors import TransportError
from ..websocket import close, picows
from ..websocket.messages import MessageAssembler, Violation
from ..wire import EncodedPacket
from .network import MAX_MESSAGE, MAX_REDIRECTS, Answer, Network

_QUIET = (close.OK, WSCloseCode.NO_INFO.value, 1005)
"""Close codes that say nothing."""

GOODBYE_TIMEOUT = 2.0
"""How long the server may take to answer our close frame, in seconds."""

_TEXT, _BINARY, _CONTINUATION = WSMsgType.TEXT, WSMsgType.BINARY, WSMsgType.CONTINUATION
_CLOSE = WSMsgType.CLOSE
_DATA = frozenset((_TEXT, _BINARY, _CONTINUATION))


class _Protocol(picows.PicowsProtocol):  # type: ignore[misc]  # picows has no types for it
    """picows' protocol, which also tells why a connection was lost."""

    lost: BaseException | None = None

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = exc
        picows.PicowsProtocol.connection_lost(self, exc)


class WebSocketTransport(WSListener):
    """A session's WebSocket."""

    name = "websocket"

    def __init__(
        self, session: ClientSession, network: Network, keep: Callable[[asyncio.Task[None]], None]
    ) -> None:
        self.writable = False
        self._session = session
        self._network = network
        self._keep = keep
        self._protocol: Any = None
        self._socket: WSTransport | None = None
        self._url = ""
        self._ended = False
        self._corking = False
        self._messages = MessageAssembler(MAX_MESSAGE)
        self._life = asyncio.get_running_loop().create_task(self._run())
        self._close_timer: asyncio.TimerHandle | None = None
        keep(self._life)

    # -- opening and the end --------------------------------------------------------------

    async def _run(self) -> None:
        """Connect, then wait until the connection has gone."""
        try:
            protocol = await self._connect()
            transport: WSTransport = protocol.transport
        except Exception as error:
            if not self._ended:
                self._session.failed(self, _explain(error, self._network, self._url))
            return
        try:
            await transport.wait_disconnected()
        except Exception as error:
            logger.debug("a WebSocket was closed: %s", shown(error))
        finally:
            if not transport.is_disconnected:
                transport.disconnect(graceful=False)

    async def _connect(self) -> Any:
        """Open the WebSocket, wherever the server has it."""
        network, sid = self._network, self._session.id
        url = self._url = network.url(self.name, sid)
        for _ in range(MAX_REDIRECTS):
            try:
                return await self._open(url)
            except Exception as error:
                answer = _answer(error)
                if answer is None or sid is not None:
                    raise
                moved = network.follow(self.name, url, answer.status, answer.moved)
                if moved is None:
                    raise
                url = self._url = moved
        return await self._open(url)

    async def _open(self, url: str) -> Any:
        problem = picows.problem()
        if problem is not None:
            raise RuntimeError(problem)
        network = self._network
        target = network.place
        headers = network.headers(self.name)
        cookies = network.cookie_header()
        if cookies:
            names = [name for name in headers if name.lower() == "cookie"]
            theirs = "; ".join([headers.pop(name) for name in names])
            headers["Cookie"] = f"{theirs}; {cookies}" if theirs else cookies
        resource = "/" + url.split("://", 1)[1].partition("/")[2]

        def create() -> Any:
            protocol = self._protocol = _Protocol.__new__(_Protocol)
            picows.init_client(
                protocol,
                target.authority,
                resource,
                lambda: self,
                network.options.request_timeout,
                MAX_MESSAGE,
                headers,
            )
            return protocol

        loop = asyncio.get_running_loop()
        context = network.ssl()
        server = target.host if context is not None else None
        proxy = network.proxy()
        if proxy is None:
            transport, protocol = await loop.create_connection(
                create, target.host, target.port, ssl=context, server_hostname=server
            )
        else:
            from python_socks.async_.asyncio import Proxy

            sock = await Proxy.from_url(proxy).connect(target.host, target.port)
            transport, protocol = await loop.create_connection(
                create, sock=sock, ssl=context, server_hostname=server
            )
        try:
            await protocol.wait_until_handshake_complete()
        except BaseException:
            transport.abort()
            raise
        if protocol.listener is None:
            raise protocol.lost or ConnectionResetError("the server closed the connection")
        return protocol

    def on_ws_connected(self, transport: WSTransport) -> None:
        """The handshake is complete."""
        self._socket = transport
        if self._ended:
            transport.disconnect(graceful=False)
            return
        headers: Any = transport.response.headers
        self._network.take_cookies(headers.getall("Set-Cookie", []))
        self.writable = True
        self._session.opened(self)

    def on_ws_disconnected(self, transport: WSTransport) -> None:
        """The connection has gone."""
        self.writable = False
        if self._close_timer is not None:
            self._close_timer.cancel()
            self._close_timer = None
        if self._ended:
            return
        handshake: Any = transport.close_handshake  # None if the connection was cut
        ours = handshake and handshake.sent and not handshake.recv_then_sent
        if ours and handshake.sent.code in close.VIOLATIONS:
            what = f"the server broke the WebSocket protocol (code {int(handshake.sent.code)})"
            self._session.failed(self, TransportError("websocket error", what))
        else:
            self._session.closed(self, Details(_told(handshake), self._protocol.lost))

    def close(self) -> None:
        """Send a close frame, and give the server a moment to answer it."""
        socket = self._socket
        if self._ended or socket is None or socket.is_disconnected:
            self.abandon()
            return
        self._ended = True
        self.writable = False
        socket.send_close(WSCloseCode.OK)
        self._close_timer = asyncio.get_running_loop().call_later(GOODBYE_TIMEOUT, self._hang_up)

    def _hang_up(self) -> None:
        if self._socket is not None and not self._socket.is_disconnected:
            self._socket.disconnect(graceful=False)

    def abandon(self) -> None:
        """Let go without a word."""
        self._ended = True
        self.writable = False
        if self._socket is None:
            self._life.cancel()
        else:
            self._hang_up()

    # -- to the server --------------------------------------------------------------------

    def send(self, packets: list[EncodedPacket]) -> None:
        """Write a batch of packets."""
        socket = self._socket
        if socket is None:
            return
        prefix = b"\x04" if self._session.protocol == 3 else b""
        for packet in packets:
            if packet.text is not None:
                socket.send(_TEXT, packet.text)
            for data in packet.attachments:
                socket.send(_BINARY, prefix + data if prefix else data)

    def pause_writing(self) -> None:
        """The server does not read as fast as we write."""
        self.writable = False

    def resume_writing(self) -> None:
        """The server has read enough."""
        if not self._ended:
            self.writable = True
            self._session.drained(self)

    def pause(self, paused: Callable[[], None]) -> None:
        """Only polling is paused for an upgrade."""
        paused()

    def unpause(self) -> None:
        """Only polling is paused for an upgrade."""

    def hold(self) -> None:
        """Read no further until ``release``."""
        if self._socket is not None:
            self._socket.underlying_transport.pause_reading()

    def release(self) -> None:
        """Read again."""
        if self._socket is not None and not self._socket.is_disconnected:
            self._socket.underlying_transport.resume_reading()

    # -- from the server ------------------------------------------------------------------

    def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
        """A frame has come. What is sent meanwhile leaves at the end of this read."""
        kind = frame.msg_type
        if kind == _CLOSE:
            if not transport.is_close_frame_sent:
                transport.send_close(WSCloseCode.OK)
            transport.disconnect()
            return
        if self._ended:
            return
        session = self._session
        if not session.corked:
            session.corked = self._corking = True
        try:
            data = self._message(kind, frame)
            if data is not None:
                session.receive(self, data)
        except Violation as violation:
            self._refuse(violation)
        except Exception:
            logger.exception("a message could not be handled; its connection is closed")
            self._refuse(Violation(close.INTERNAL_ERROR, "what could not be handled"))
        if self._corking and frame.last_in_buffer:
            self._corking = False
            session.flush()

    def _message(self, kind: WSMsgType, frame: WSFrame) -> str | bytes | None:
        """The message that a frame completes, if it completes one."""
        if frame.rsv1 or frame.rsv2 or frame.rsv3:
            raise Violation(close.PROTOCOL_ERROR, "reserved bits, without an extension")
        if kind == _TEXT and frame.fin and self._messages.fragments is None:
            try:
                return frame.get_payload_as_utf8_text()
            except UnicodeDecodeError:
                raise Violation(close.INVALID_TEXT, "a text that is not UTF-8") from None
        if kind not in _DATA:
            return None
        return self._messages.take(kind.value, frame.fin, frame.get_payload_as_memoryview())

    def _refuse(self, violation: Violation) -> None:
        """The server breaks the protocol of WebSockets: it is told, and left."""
        if self._socket is not None:
            self._socket.send_close(WSCloseCode(violation.code))
        error = TransportError("websocket error", f"the server sent {violation}")
        self._session.failed(self, error)


def _told(handshake: Any) -> str:
    """How a connection has ended, with what the server has said about it."""
    told = "websocket connection closed"
    said = handshake and handshake.recv
    code: Any = said and getattr(said.code, "value", said.code)
    if not said or code in _QUIET:
        return told
    return shown(f"{told}: code {code}" + (f", {said.reason}" if said.reason else ""))


def _answer(error: Exception) -> Answer | None:
    """What a handshake was answered with instead of a WebSocket."""
    response: Any = getattr(error, "response", None)
    if response is None:
        return None
    moved = str(response.headers.get("Location", ""))
    body: bytes = getattr(error, "raw_body", None) or b""  # what has come with the head
    if "chunked" in response.headers.get("Transfer-Encoding", "").lower():
        size, _, chunk = body.partition(b"\r\n")
        body = chunk[: int(size, 16)] if re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size) else b""
    return Answer(int(response.status), moved, body)


def _explain(error: Exception, network: Network, url: str) -> TransportError:
    """Why no WebSocket could be opened."""
    answer = _answer(error)
    if answer is not None:
        return network.refusal("websocket error", url, answer)
    return TransportError("websocket error", network.cause(error), error)
