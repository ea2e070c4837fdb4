"""The same script for servers of every form: what a client sends, and what comes of it."""

from __future__ import annotations

import asyncio
import logging
import os
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import IO, Any, NamedTuple, Self

import msgspec

from telex import Ack, native
from telex.engine.session import Session
from telex.engine.session_core import OPEN
from telex.events import runtime
from telex.server.namespace import Namespace
from telex.server.socket import Socket
from tests.native.scenes import Server, frames_in, logged
from tests.support.doubles import RecordingTransport
from tests.support.doubles import request as asked

ROOT = Path(__file__).parent.parent.parent


class Script(NamedTuple):
    """What a client sends after it has joined `/`: pieces, each of which is read at once."""

    pieces: tuple[bytes, ...]
    messages: tuple[str | bytes, ...]
    """The same where a transport hands over whole messages."""
    revision: int = 4


class Transcript(NamedTuple):
    """What came of a script."""

    calls: list[str]
    sent: list[Any]
    reasons: list[str]
    log: list[str]
    state: tuple[str, int, bool, bool]


COUNT: ContextVar[int] = ContextVar("COUNT", default=0)


class Order(msgspec.Struct):
    """A typed argument."""

    number: int
    name: str = "unnamed"


class KnownError(Exception):
    """An error that has a handler."""


class _Unsendable:
    """Nothing that JSON knows."""


def register(server: Server, calls: list[str]) -> None:
    """Handlers of every kind; each notes what it is called with."""

    def note(name: str, *args: Any) -> None:
        calls.append(f"{name}{args!r}")

    for root in (server.root, server.core.of("/chat")):
        _register_shared(server, root, note)


def _register_shared(server: Server, root: Namespace, note: Callable[..., None]) -> None:
    kept: list[asyncio.Task[Any]] = []

    @root.on("connection")
    def connection(socket: Socket) -> None:
        _register_own(socket, note)

    @root.exception_handler(KnownError)
    def known(socket: Socket, error: KnownError) -> Any:
        return {"known": str(error)}

    @root.event
    def echo(socket: Socket, value: Any = None) -> Any:
        note("echo", value)
        return value

    @root.event
    def typed(socket: Socket, number: int, name: str = "x") -> str:
        note("typed", number, name)
        return f"{name} {number}"

    @root.event
    def order(socket: Socket, order: Order) -> Order:
        note("order", order)
        return order

    @root.event
    def orders(socket: Socket, orders: list[Order], /, number: int | None = None) -> list[Order]:
        note("orders", orders, number)
        return orders

    @root.event
    def blob(socket: Socket, data: Any) -> Any:
        note("blob", data)
        return {"size": len(data) if isinstance(data, bytes) else -1, "data": data}

    @root.event
    def say(socket: Socket, text: Any = None) -> Any:
        socket.emit("said", text)
        return text

    @root.event
    def everybody(socket: Socket, text: Any = None) -> Any:
        root.emit("news", text)
        return None

    @root.event
    async def later(socket: Socket, value: Any = None) -> Any:
        note("later", value)
        await asyncio.sleep(0)
        socket.emit("late", value)
        return value

    @root.event
    async def task(socket: Socket, kind: int = 0) -> Any:
        """Do with its task what a handler may do with its own."""
        own = asyncio.current_task()
        assert own is not None
        if kind == 0:
            kept.append(own)
        elif kind == 1:
            own.add_done_callback(lambda task: note("done", task.cancelled()))
        elif kind == 2:
            own.set_name("mine")
        elif kind == 3:
            own.cancel()
        elif kind == 4:
            COUNT.set(COUNT.get() + 1)
            return COUNT.get()
        elif kind == 5:
            raise KnownError("at once")
        elif kind == 6:
            async with asyncio.timeout(10):
                await asyncio.sleep(0)
        elif kind == 7:
            await asyncio.gather(asyncio.sleep(0), asyncio.sleep(0))
        elif kind == 8:
            raise asyncio.CancelledError
        elif kind == 9:
            socket.disconnect()
        elif kind == 10:
            own.cancel()
            await asyncio.sleep(0)
        elif kind == 11:
            socket.emit("said", kind)
        elif kind == 12:
            socket.client.session.end("transport error")
        return [kind, own.get_name() == "mine", len(kept)]

    @root.event
    async def soon(socket: Socket, value: Any = None) -> Any:
        note("soon", value)
        return value

    @root.event
    def future(socket: Socket, value: Any = None) -> Any:
        made = server.loop.create_future()
        server.loop.call_soon(made.set_result, value)
        return made

    @root.event(concurrent=True)
    async def beside(socket: Socket, value: Any = None) -> Any:
        await asyncio.sleep(0)
        return value


def _register_own(socket: Socket, note: Callable[..., None]) -> None:
    @socket.on("args")
    def args(*args: Any) -> Any:
        note("args", *args)
        return args

    @socket.on("number")
    def number(value: int) -> int:
        return value * 2**60

    @socket.on("nothing")
    def nothing() -> None:
        note("nothing")

    @socket.on("odd")
    def odd(kind: int = 0) -> Any:
        return {
            0: b"bytes",
            1: datetime(2020, 1, 2, 3, 4, 5, 678_000, tzinfo=UTC),
            2: {1: "a", None: "b", False: "c"},
            3: float("nan"),
            4: {1, 2},
            5: _Unsendable(),
            6: "\ud800",
            7: (),
            8: (1, (2, 3)),
            9: [b"a", {"b": bytearray(b"b")}],
            10: 2**200,
            11: "x" * 70_000,
            12: "y" * 200_000,
            13: Order(1),
            14: "",
            15: True,
        }.get(kind)

    @socket.on("fail")
    def fail(kind: int = 0) -> None:
        raise [ValueError("private"), KnownError("public"), SystemExit(1), RecursionError()][kind]

    @socket.on("fail later")
    async def fail_later(kind: int = 0) -> None:
        await asyncio.sleep(0)
        fail(kind)

    @socket.on("ack")
    def acked(value: Any, ack: Ack) -> None:
        ack(value, "acknowledged")

    @socket.on("ack maybe")
    def acked_maybe(value: Any = 1, ack: Ack | None = None) -> str:
        if ack is not None and value == 1:
            ack(value)
        return "ignored"

    @socket.once("once")
    def once(value: Any = None) -> Any:
        note("once", value)
        return value

    socket.on("twice", lambda *args: note("first", *args))
    socket.on("twice", lambda *args: args)

    @socket.on("use")
    def use(what: int = 0) -> str:
        """Change what happens to later events, or end it all."""
        changes: list[Callable[[], object]] = [
            lambda: socket.on_any(partial(note, "any")),
            socket.off_any,
            lambda: socket.on_any_outgoing(partial(note, "outgoing")),
            lambda: socket.use(partial(note, "middleware")),
            lambda: socket.on("echo", lambda *args: note("second echo", *args)),
            lambda: socket.off("args"),
            socket.remove_all_listeners,
            lambda: socket.conn.on("packet", partial(note, "packet")),
            lambda: socket.conn.on("packet_create", partial(note, "created")),
            lambda: socket.conn.on("drain", lambda: note("drain")),
            lambda: socket.on("args", Ellipsis.__class__),
            lambda: socket.on("new", lambda *args: args),
            socket.disconnect,
            lambda: socket.disconnect(close=True),
            socket.conn.close,
            socket.client.session.close,
            lambda: socket.emit("ask", ack=lambda *answer: note("answer", *answer)),
            socket.client.session.pause,
            socket.client.session.send_ping,
        ]
        changes[what]()
        return f"used {what}"

    socket.on("error", partial(note, "error"))
    socket.on("disconnect", partial(note, "disconnect"))


@contextmanager
def _no_second_wind() -> Generator[None]:
    """What waits behind a handler that was cancelled goes on later: here, too late to matter."""
    module: Any = runtime
    given = module.RESUME_AFTER
    module.RESUME_AFTER = 3600
    try:
        yield
    finally:
        module.RESUME_AFTER = given


def transcript(script: Script, *, websocket: bool = True) -> Transcript:
    """Play a script, over a WebSocket or a transport that hands over whole messages."""
    calls: list[str] = []
    reasons: list[str] = []
    with logged() as log, _no_second_wind(), Server() as server:
        register(server, calls)
        other = server.client()
        if websocket:
            client = server.client(script.revision, joined=script.revision == 4)
            client.say("40/chat,")
            client.sent()
            for piece in script.pieces:
                client.send(piece)
                _let_run(server)
            if client.session.paused:
                client.session.resume()
            _let_run(server)
            session, reasons = client.session, client.reasons
            sent: list[Any] = [(found.opcode, found.payload) for found in frames_in(client.sent())]
        else:
            transport = RecordingTransport()
            engine = server.core.engine
            session = engine.open(asked(f"EIO={script.revision}"), transport, "recorded")
            told = session.on_close

            def on_close(session: Session, reason: str) -> None:
                reasons.append(reason)
                told(session, reason)

            session.on_close = on_close
            session.receive("40")
            session.receive("40/chat,")
            server.settle()
            transport.take()
            for message in script.messages:
                session.receive(message)
                _let_run(server)
            sent = list(transport.take())
        news = other.heard()
        queued = session.queued if session.state is OPEN else 0
        state = (session.state, queued, session._awaiting_pong, session._ping_extended)
        session.end("the end")
    sent = [_anonymous(item) for item in sent]
    return Transcript(calls, [*sent, news], reasons, log, state)


def _anonymous(item: Any) -> Any:
    if isinstance(item, tuple):
        return item[0], _anonymous(item[1])
    if isinstance(item, str):
        return re.sub(r'"sid":"[^"]*"', '"sid"', item)
    return re.sub(rb'"sid":"[^"]*"', b'"sid"', item)


def _let_run(server: Server) -> None:
    for _ in range(20):
        if not server.core.runtime.tasks:
            break
        server.settle(1)


class Pure:
    """A process in which nothing is compiled; it plays scripts."""

    def __init__(self) -> None:
        environment = {**os.environ, "TELEX_PURE": "1", "PYTHONASYNCIODEBUG": "0"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", "from tests.native.transcripts import serve; serve()"],
            cwd=ROOT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def transcript(self, script: Script, *, websocket: bool = True) -> Transcript:
        """Play a script there."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        _write(self._process.stdin, (script, websocket))
        result = pickle.load(self._process.stdout)
        assert isinstance(result, Transcript), result
        return result

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()
        self._process.wait()
        self._process.stdout.close()


def _write(file: IO[bytes], value: object) -> None:
    pickle.dump(value, file)
    file.flush()


def serve() -> None:
    """Play what `Pure` sends, in its process."""
    assert native.core is None
    logging.getLogger("asyncio").setLevel(logging.ERROR)
    while True:
        try:
            script, websocket = pickle.load(sys.stdin.buffer)
        except EOFError:
            return
        try:
            result: object = transcript(script, websocket=websocket)
        except BaseException as error:
            result = f"{error!r}"
        _write(sys.stdout.buffer, result)
