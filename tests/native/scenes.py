"""A Socket.IO server whose clients are the other ends of sockets, all in one process.

With `TELEX_PURE=1` the frames are still the compiled part's; the floors above are in Python.
"""

from __future__ import annotations

import asyncio
import logging
import re
import socket as sockets
import sys
from collections.abc import Generator
from contextlib import contextmanager
from typing import Any, Self

import pytest

from telex.config import ServerOptions, read
from telex.engine.session import Session
from telex.fronts.driver import Driver
from telex.parser.packet import Parser
from telex.server import connection
from telex.server.core import Core
from telex.server.socket import Socket
from telex.types import Request
from telex.wire import EncodedPacket
from tests.support.raw import BINARY, TEXT, Frame, frame

if sys.platform == "linux":
    from telex.fronts.websocket.native import NativeWebSocket, Watch
else:  # pragma: no cover
    pytest.fail("the compiled part is for Linux: these tests have nothing to test here")

PIECE = 50_000
"""So many bytes fit in a socket that nobody reads meanwhile."""

TURNS = 8


@contextmanager
def compiled_dispatch(wanted: bool) -> Generator[None]:
    """With or without the compiled dispatch; without, Python handles every event."""
    module: Any = connection
    given = module.fast_dispatch_of
    if not wanted:
        module.fast_dispatch_of = _no_dispatch
    try:
        yield
    finally:
        module.fast_dispatch_of = given


def _no_dispatch(parser: Parser, socket: Socket | None) -> None:
    """What a server has of a compiled dispatch where nothing is compiled."""


class Logged(logging.Handler):
    """What telex logs, without what differs from run to run."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        text = re.sub(r"<Socket \S+ of", "<Socket of", record.getMessage())
        text = re.sub(r"connection [0-9a-f]{8}", "connection", text)
        error = record.exc_info[1] if record.exc_info else None
        self.lines.append(f"{record.levelname}: {text} {error!r}")


class Server:
    """A server on a loop of its own, which runs only while it is told to."""

    def __init__(self, **options: Any) -> None:
        self.loop = asyncio.new_event_loop()
        self.loop.set_debug(False)  # hundreds are made, and some handlers take long
        self.core = Core(read(ServerOptions, options))
        self.core.runtime.bind(self.loop)
        self.driver = Driver(self.core.engine)
        self.driver.bind(self.loop)
        self.watch = Watch(self.driver, self.loop)
        self.root = self.core.of("/")
        self.clients: list[Client] = []
        self.failures: list[dict[str, Any]] = []
        self.loop.set_exception_handler(lambda _, context: self.failures.append(context))

    def settle(self, turns: int = TURNS) -> None:
        """Let the loop read what there is, and do what follows from it."""
        for _ in range(turns):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def poll(self) -> None:
        """Serve the sockets that are ready, once."""
        self.loop.call_soon(self.watch.reactor.poll)
        self.loop.call_soon(self.loop.stop)
        self.loop.run_forever()

    def client(self, revision: int = 4, *, joined: bool = True) -> Client:
        """A client over WebSocket."""
        client = Client(self, revision)
        self.clients.append(client)
        if joined:
            client.join()
        return client

    def end(self) -> None:
        """End everything that is left."""
        for client in self.clients:
            client.end()
        self.settle()
        for _ in range(100):
            if not self.core.runtime.tasks:
                break
            self.settle()
        self.driver.stop()
        self.loop.close()
        assert self.failures == []
        assert self.watch.reactor.count == 0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()


class Client:
    """The client's end of a WebSocket, and the server's session."""

    def __init__(self, server: Server, revision: int) -> None:
        self.server = server
        self.reasons: list[str] = []
        self.raw, other = sockets.socketpair()
        self.raw.setblocking(False)
        self.websocket = NativeWebSocket(server.driver, server.watch, b"")
        frames = EncodedPacket.frames3 if revision == 3 else None
        self.websocket.open(server.watch.reactor, other.detach(), b"", frames, 1_000_000)
        server.watch.opened(self.websocket)
        scope = {
            "type": "http",
            "method": "GET",
            "scheme": "http",
            "path": "/socket.io/",
            "query_string": f"EIO={revision}&transport=websocket".encode(),
            "headers": [(b"host", b"localhost")],
            "client": ("127.0.0.1", 1),
        }
        sid = f"session{len(server.clients)}"
        self.session: Session = server.core.engine.open(Request(scope), self.websocket, sid)
        told = self.session.on_close

        def on_close(session: Session, reason: str) -> None:
            self.reasons.append(reason)
            told(session, reason)

        self.session.on_close = on_close
        self.websocket.start(self.session, None)
        if not server.loop.is_running():
            server.settle()

    def join(self) -> None:
        """Join `/`, and forget what has been said until then."""
        self.say("40")
        self.sent()

    @property
    def socket(self) -> Socket:
        """The server's socket in `/`."""
        (found,) = [
            socket
            for socket in self.server.root.sockets.values()
            if socket.client.session is self.session
        ]
        return found

    def write(self, data: bytes) -> None:
        """Send bytes; nobody reads them yet."""
        self.raw.sendall(data)

    def send(self, data: bytes) -> None:
        """Send bytes, and let them be read."""
        for start in range(0, len(data), PIECE):
            try:
                self.write(data[start : start + PIECE])
            except (BrokenPipeError, ConnectionResetError):
                return  # the server has hung up
            self.server.settle()

    def say(self, *messages: str | bytes) -> None:
        """Send messages, all in one piece."""
        self.send(said(*messages))

    def sent(self) -> bytes:
        """What has come from the server since it was last asked."""
        data = b""
        try:
            while chunk := self.raw.recv(1 << 20):
                data += chunk
        except (BlockingIOError, ConnectionResetError):
            pass
        return data

    def heard(self) -> list[str | bytes]:
        """The messages among what has come."""
        return [
            found.payload.decode() if found.opcode == TEXT else found.payload
            for found in frames_in(self.sent())
            if found.opcode in (TEXT, BINARY)
        ]

    def end(self) -> None:
        """Go without a word."""
        self.raw.close()
        self.server.settle()
        self.websocket.hang_up()


def said(*messages: str | bytes) -> bytes:
    """The frames of messages."""
    return b"".join(
        frame(TEXT if isinstance(message, str) else BINARY, message) for message in messages
    )


def frames_in(data: bytes) -> list[Frame]:
    """The frames that a server has sent; nothing may be cut off."""
    found: list[Frame] = []
    start = 0
    while start < len(data):
        size, head = data[start + 1], 2
        assert size < 128, "a server does not mask"
        if size == 126:
            size, head = int.from_bytes(data[start + 2 : start + 4], "big"), 4
        elif size == 127:
            size, head = int.from_bytes(data[start + 2 : start + 10], "big"), 10
        payload = data[start + head : start + head + size]
        assert len(payload) == size, "the last frame is cut off"
        assert data[start] & 0xF0 == 0x80, "whole frames only, without reserved bits"
        found.append(Frame(data[start] & 15, payload))
        start += head + size
    return found


@contextmanager
def logged() -> Generator[list[str]]:
    """What telex logs meanwhile."""
    handler = Logged()
    logger = logging.getLogger("telex")
    level, propagate = logger.level, logger.propagate
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    try:
        yield handler.lines
    finally:
        logger.setLevel(level)
        logger.propagate = propagate
        logger.removeHandler(handler)
