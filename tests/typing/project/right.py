"""What a user may write: no type checker has anything to say."""

from __future__ import annotations

import re
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Unpack

from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware

import telex
from telex import EngineServer, Manager, Request, Server, Socket
from telex.options import ClientKeywords, ServerKeywords


async def admitted(request: Request) -> bool | str:
    return request.headers.get("x-token") == "secret" or "no token"


def chosen(protocols: list[str], request: Request) -> str | None:
    return protocols[0] if request.secure else None


def extra(request: Request) -> Mapping[str, object]:
    return {"ip": request.client}


io = Server(
    path="/chat",
    transports=["websocket"],
    ping_interval=10,
    origins=["https://a.example", re.compile(r"https://[a-z]+\.example")],
    cookie={"name": "io", "same_site": "strict", "max_age": 60},
    allow_request=admitted,
    handle_protocols=chosen,
    http_compression=False,
    slow_consumer="drop_volatile",
    parser="msgpack",
    connection_state_recovery={"max_disconnection_duration": 60},
    handshake_extra=extra,
    id_source="random_for_all",
    max_dynamic_namespaces=100,
)
other = Server(3000, cors={"origins": "*", "methods": ["GET"]}, connection_state_recovery=True)
engine = EngineServer(other, path="/engine.io", origins=lambda origin, request: request.secure)


@io.on("connection")
async def connection(socket: Socket) -> None:
    server = socket.server
    name: str = socket.conn.transport.name
    await server.emit("hi", name, server.path, server.engine.clients_count)
    server.of("/other").to("room").emit("hi")


def served(**options: Unpack[ServerKeywords]) -> Server:
    return Server(**options)


io.engine.use(CORSMiddleware, allow_origins=["https://a.example"])
io.engine.use(GZipMiddleware)
served(ping_timeout=5).run(3000, host="0.0.0.0", log_level="info", drain=2.5, workers=1)


async def auth() -> Mapping[str, str]:
    return {"token": "secret"}


async def client(options: ClientKeywords, wrap: Callable[[], Awaitable[None]]) -> float:
    await io.listen(0, access_log=True, ssl_certfile="cert.pem")
    socket = telex.connect(
        "http://localhost:3000",
        auth=auth,
        query={"a": 1, "b": "c"},
        transports=("polling", "websocket"),
        transport_options={"polling": {"headers": {"X-Trace": "1"}}},
        ssl=ssl.create_default_context(),
        reconnection_attempts=3,
        retries=2,
        timeout=None,
    )
    manager = socket.io
    manager.socket("/admin").emit("hi")
    connected = await telex.connect_engine("http://localhost:3000", protocol=3)
    name: str | None = None if connected.transport is None else connected.transport.name
    print(name, Manager("http://localhost:3000", **options).options.retries)
    return manager.reconnection_delay


def blocking() -> telex.sync.ClientSocket:
    manager = telex.sync.Manager("http://localhost:3000", auth={"token": 1}, parser="json")
    manager.socket("/admin")
    telex.sync.connect_engine("http://localhost:3000", proxy="http://localhost:8080").close()
    socket = telex.sync.connect("http://localhost:3000", reconnection_delay=0.5)
    socket.io.socket("/admin").emit("hi")
    socket.io.close()
    return socket
