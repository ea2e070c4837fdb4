"""The servers of the protocol tests: many small ones with different settings, in one process.

    python tests/apps/rules.py --host-kind uvicorn --servers rules

Prints `PORT <n>`, then what happens as lines of JSON: the ports of all servers, the sessions they
open and why these end, connections, events and disconnections. Ends on SIGTERM.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import signal
import sys
from collections.abc import Mapping
from typing import Any, TypeAlias

from telex import Ack, AckTimeout, ConnectError, EngineServer, Request, Server, Socket
from telex.engine import heartbeat, tally
from telex.engine.engine import Engine
from telex.engine.session import Session
from telex.fronts import driver
from telex.fronts.asgi import hooks, messages
from telex.fronts.uvicorn import shared
from telex.ids import new_id
from telex.server import core, middleware
from telex.server.engine_socket import EngineSocket

AnyServer: TypeAlias = Server | EngineServer

UNDER_TEST: Mapping[str, Any] = {
    "max_http_buffer_size": 100_000,
    "connect_timeout": 1.5,
    "upgrade_timeout": 2.0,
    "ping_interval": 25.0,
    "ping_timeout": 20.0,
    "origins": ["https://ok.example"],
}
QUICK: Mapping[str, Any] = {"ping_interval": 0.3, "ping_timeout": 0.8}

CORS = {
    "origins": ["https://ok.example", "https://two.example:8443"],
    "methods": ["GET", "POST", "PUT"],
    "allowed_headers": ["X-Token", "Content-Type"],
    "exposed_headers": ["X-Trace"],
    "credentials": True,
    "max_age": 600,
}
COOKIE = {
    "name": "sticky",
    "path": "/socket.io",
    "domain": "example.org",
    "http_only": False,
    "secure": True,
    "same_site": "none",
    "max_age": 3600,
    "partitioned": True,
}

LONG_NAME = "x" * 50_000


def report(what: str, at: str, **details: object) -> None:
    """One line of what happens; in order, as the loop does one thing at a time."""
    print(json.dumps({"what": what, "at": at, **details}, default=repr), flush=True)


def watch(engine: Engine, at: str) -> None:
    """Report the sessions of an engine, and why they end, joined to a namespace or not."""
    opened = engine.on_session

    def session_opened(session: Session) -> None:
        report("open", at, sid=session.id, transport=session.transport.name)
        opened(session)
        on_close = session.on_close

        def closed(session: Session, reason: str) -> None:
            report("closed", at, sid=session.id, reason=reason)
            on_close(session, reason)

        session.on_close = closed

    engine.on_session = session_opened


def equip(io: Server, at: str, name: str) -> None:
    """Add the events that the tests use to a namespace."""
    namespace = io.of(name)

    @namespace.on("connection")
    def connection(socket: Socket) -> None:
        sid = socket.conn.id
        report("connection", at, sid=sid, id=socket.id, nsp=name, auth=socket.handshake.auth)

        def happened(what: str, **details: object) -> None:
            report(what, at, sid=sid, nsp=name, **details)

        @socket.on("echo")
        def echo(*args: object, ack: Ack | None = None) -> None:
            happened("event", count=len(args))
            if ack is None:
                socket.emit("echo", *args)
            else:
                ack(*args)

        @socket.on("say")
        def say(*args: object) -> None:
            socket.emit("said", *args)

        @socket.on("ask")
        def ask(*args: object) -> None:
            socket.emit("question", *args, ack=answered)

        def answered(*args: object) -> None:
            happened("answer", args=args)

        @socket.on("ask briefly")
        async def ask_briefly() -> None:
            try:
                await socket.emit_with_ack("question", timeout=0.05)
            except AckTimeout:
                socket.emit("too late")

        @socket.on("tell all")
        def tell_all(*args: object) -> None:
            namespace.emit("told", *args)

        @socket.on("join")
        def join(room: str) -> None:
            socket.join(room)

        @socket.on("tell room")
        def tell_room(room: str, *args: object) -> None:
            namespace.to(room).emit("told", *args)

        @socket.on("send bytes")
        def send_bytes(*numbers: int) -> None:
            socket.emit("bytes", bytes(numbers))

        @socket.on("send a likeness")
        def send_a_likeness() -> None:
            # What a placeholder looks like, beside what a placeholder stands for.
            socket.emit("likeness", {"_placeholder": True, "num": 0}, b"\x01")

        @socket.on("throw me out")
        def throw_me_out() -> None:
            socket.disconnect()

        @socket.on("close my connection")
        def close_my_connection() -> None:
            socket.disconnect(close=True)

        @socket.on(LONG_NAME)
        def long_name(*args: object) -> None:
            socket.emit("long", *args)

        @socket.on("error")
        def error(*args: object) -> None:
            happened("error", args=[str(arg) for arg in args])

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            happened("disconnect", id=socket.id, reason=reason)


def conform(io: Server, at: str) -> None:
    """The application that the suites of the Socket.IO protocol ask for."""
    for name in ("/", "/custom"):
        namespace = io.of(name)

        @namespace.on("connection")
        def connection(socket: Socket) -> None:
            socket.emit("auth", socket.handshake.auth)

            @socket.on("message")
            def message(*args: object) -> None:
                socket.emit("message-back", *args)

            @socket.on("message-with-ack")
            def message_with_ack(*args: object, ack: Ack) -> None:
                ack(*args)

    watch_server(io, at)


def watch_server(server: AnyServer, at: str) -> None:
    engine: Any = server._engine if isinstance(server, EngineServer) else server._core.engine
    watch(engine, at)


def socket_io(at: str, *options: Mapping[str, Any], **more: Any) -> Server:
    """A Socket.IO server that echoes."""
    settings: dict[str, Any] = {}
    for mapping in (*options, more):
        settings.update(mapping)
    io = Server(**settings)
    for name in ("/", "/custom", "/slow", "/refusing"):
        equip(io, at, name)

    @io.of("/slow").use
    async def slow(_: Socket) -> None:
        await asyncio.sleep(0.2)

    @io.of("/refusing").use
    def refuse(_: Socket) -> None:
        raise ConnectError("not today", data={"code": 7})

    watch_server(io, at)
    return io


def engine_io(at: str, **options: Any) -> EngineServer:
    """An Engine.IO server that echoes, and does what some messages say."""
    engine = EngineServer(**options)

    @engine.on("connection")
    def connection(socket: EngineSocket) -> None:
        @socket.on("message")
        def message(data: str | bytes) -> None:
            report("message", at, sid=socket.id, data=data)
            if data == "close me":
                socket.close()
            elif data == "close me at once":
                socket.close(discard=True)
            elif data == "last words":
                socket.send("one")
                socket.send("two")
                socket.close()
                socket.send("never")
            else:
                socket.send(data)

        @socket.on("upgrade")
        def upgrade(transport: str) -> None:
            report("upgrade", at, sid=socket.id, transport=transport)

        @socket.on("close")
        def close(reason: str) -> None:
            report("close", at, sid=socket.id, reason=reason)

    watch_server(engine, at)
    return engine


def rules() -> dict[str, AnyServer]:
    """The servers of most tests."""
    suite = Server(cors={"origins": "*"}, connect_timeout=1.0)
    conform(suite, "suite")
    return {
        "main": socket_io("main", UNDER_TEST),
        "eio4": socket_io("eio4", UNDER_TEST, allow_eio3=False),
        "large": socket_io(
            "large", UNDER_TEST, max_http_buffer_size=1_000_000, connect_timeout=45.0
        ),
        "suite": suite,
        "engine": engine_io("engine", upgrade_timeout=2.0),
        "engine beat": engine_io("engine beat", **QUICK),
        "defaults": socket_io("defaults"),
        "any origin": socket_io("any origin", origins="*"),
        "cors": socket_io("cors", cors=CORS),
        "patterns": socket_io("patterns", origins=["ok.example:*", "*:8443", "null"]),
        "cookie": socket_io("cookie", cookie=True),
        "named cookie": socket_io("named cookie", cookie="sticky"),
        "cookie attributes": socket_io("cookie attributes", cookie=COOKIE),
        "polling only": socket_io("polling only", transports=("polling",)),
        "websocket only": socket_io("websocket only", transports=("websocket",)),
        "no upgrades": socket_io("no upgrades", allow_upgrades=False),
        "no client": socket_io("no client", serve_client=False),
        "attachments": socket_io("attachments", max_attachments=64),
        "no compression": socket_io("no compression", http_compression=False),
    }


# -- servers whose application fails, and servers without patience ---------------------------


def limits() -> dict[str, AnyServer]:
    """Servers with failing hooks; every limit that has no option is one second."""
    for module, name in (
        (messages, "BODY_TIMEOUT"),
        (shared, "HEADER_TIMEOUT"),
        (driver, "CLOSE_TIMEOUT"),
        (hooks, "TIMEOUT"),
        (core, "ATTACHMENT_TIMEOUT"),
        (heartbeat, "CLOSE_TIMEOUT"),
        (middleware, "TIMEOUT"),
    ):
        assert vars(module)[name] > 1
        vars(module)[name] = 1.0
    return {
        "main": failing(socket_io("main", UNDER_TEST, allow_request=allow), "main"),
        "origins": socket_io("origins", origins=origin_check),
        "leaving": leaving(),
        "headers": decorated(),
    }


async def allow(request: Request) -> bool | str:
    """Does what the query says."""
    match request.query.get("verdict", "yes"):
        case "yes":
            return True
        case "no":
            return False
        case "none":
            return None  # type: ignore[return-value]  # as one does by mistake
        case "text":
            return 'not you, "Jörg" </b>'
        case "raise":
            raise ValueError("the check failed")
        case "slow":
            await asyncio.sleep(0.3)
            report("allowed", "main")
            return True
        case _:
            await asyncio.sleep(60)
            return True


def origin_check(origin: str, request: Request) -> bool:
    """As some users write it: it fails on origins it does not expect."""
    return {"https://ok.example": True, "https://no.example": False}[origin]


def failing(io: Server, at: str) -> Server:
    """Add an id generator, and namespaces that fail, to a server."""

    def generate_id(request: Request) -> str:
        wish = request.query.get("wish")
        if wish is None:
            return new_id()
        if wish == "raise":
            raise ValueError("no id")
        if wish == "number":
            return 42  # type: ignore[return-value]  # as one does by mistake
        return wish

    io.engine.generate_id = generate_id

    @io.of("/broken").use
    def broken(_: Socket) -> None:
        raise KeyError("secret")

    @io.of("/stuck").use
    async def stuck(_: Socket) -> None:
        await asyncio.sleep(60)

    @io.of("/falling").on("connection")
    def falling(_: Socket) -> None:
        raise KeyError("secret")

    return io


def decorated() -> Server:
    """A server whose application adds headers, and wants to know who was refused."""
    io = Server(allow_request=allow)

    @io.engine.on("initial_headers")
    def initial_headers(headers: list[tuple[str, str]], request: Request) -> None:
        headers.append(("x-initial", request.query.get("initial", "yes")))

    @io.engine.on("headers")
    def every_headers(headers: list[tuple[str, str]], request: Request) -> None:
        headers.append((request.query.get("name", "x-every"), request.query.get("every", "yes")))

    @io.engine.on("connection_error")
    def connection_error(info: Any) -> None:
        path, context = info.request.path, info.context
        report("refused", "headers", code=info.code, why=info.message, path=path, context=context)

    watch_server(io, "headers")
    return io


def leaving() -> Server:
    """A server whose application raises where it can."""
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        report("connection", "leaving", sid=socket.conn.id, id=socket.id)

        @socket.on("raise")
        def raises() -> None:
            raise ValueError("secret")

        @socket.on("raise later")
        async def raises_later() -> None:
            await asyncio.sleep(0)
            raise ValueError("secret")

        @socket.on("recurse")
        def recurse() -> None:
            recurse()

        @socket.on("exit")
        def leave() -> None:
            sys.exit(3)

        @socket.on("echo")
        def echo(*args: object) -> tuple[object, ...]:
            return args

        @socket.on("send a set")
        def send_a_set() -> None:
            socket.emit("set", {1, 2})

        @socket.on("return a set")
        def return_a_set() -> set[int]:
            return {1, 2}

        @socket.on("disconnecting")
        def disconnecting(_: str) -> None:
            raise ValueError("secret")

        @socket.on("disconnect")
        def disconnect(reason: str) -> None:
            report("disconnect", "leaving", sid=socket.conn.id, id=socket.id, reason=reason)

    watch_server(io, "leaving")
    return io


class OneLine(logging.Formatter):
    """Log records of one line, so that tests can count them; also exceptions are one line."""

    def formatException(self, ei: Any) -> str:  # noqa: N802 - the name that logging has
        return repr(ei[1])

    def format(self, record: logging.LogRecord) -> str:
        return super().format(record).replace("\n", " | ")


async def main() -> None:
    tally.FEW = sys.maxsize  # tests count every line
    parser = argparse.ArgumentParser()
    parser.add_argument("--host-kind", choices=["fast", "uvicorn"], default="fast")
    parser.add_argument("--servers", choices=["rules", "limits"], default="rules")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()

    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    for name in ("asyncio", "uvicorn"):
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("telex.connections").setLevel(logging.WARNING)
    if options.servers == "limits":
        # Here the application fails on purpose: a traceback is nothing to wonder at.
        one_line = OneLine("%(levelname)s %(name)s %(message)s")
        logging.getLogger().handlers[0].setFormatter(one_line)

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)

    servers = rules() if options.servers == "rules" else limits()
    # With uvicorn's own HTTP protocol, and its own limits, telex is one ASGI application of many.
    plain: dict[str, Any] = {"http": "httptools", "ws_max_size": 16 * 1024 * 1024}
    how = plain if options.host_kind == "uvicorn" else {}
    for name, server in servers.items():
        await server.listen(port=options.port if name == "main" else 0, **how)
    print(f"PORT {servers['main'].port}", flush=True)
    report("ports", "all", ports={name: server.port for name, server in servers.items()})
    await stop.wait()
    await asyncio.gather(*(server.close() for server in servers.values()))


if __name__ == "__main__":
    asyncio.run(main())
