"""Whatever stands in front of the engine sees every request, whichever road it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from telex import EngineServer, EngineSocket, Request, Server
from telex.types import App
from tests.fronts.wires import hosting, visit

Seen = list[str]
"""The requests that an observer was called for, as `told` writes them."""


def told(scope: Any) -> str:
    query: str = scope["query_string"].decode()
    kind = "WS" if scope["type"] == "websocket" else scope["method"]
    sid = " of a session" if "sid=" in query else ""
    return f"{kind} {'JSONP' if '&j=' in query else 'EIO=' + query[4]}{sid}"


ALL = [
    "GET EIO=4",
    "POST EIO=4 of a session",
    "GET EIO=4 of a session",
    "WS EIO=4 of a session",
    "GET JSONP",
    "WS EIO=4",
    "WS EIO=3",
]
LINES = ("Origin: http://here", "X-Forwarded-For: 192.0.2.1")
HANDSHAKES = [request for request in ALL if "session" not in request]


async def inner(scope: Any, receive: Any, send: Any) -> None:
    """The application behind: it only says what its requests share."""
    assert scope["type"] == "lifespan"
    while True:
        message = await receive()
        scope["state"]["shared"] = 1
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


class Watching:
    """An ASGI middleware as people write them."""

    def __init__(self, app: App, seen: Seen) -> None:
        self.app = app
        self.seen = seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(told(scope))
        await self.app(scope, receive, send)


class Delegating(Watching):
    """One that has every attribute of what is within it."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.app, name)


def disguise(self: Delegating) -> Any:
    return type(self.app)


class Disguised(Delegating):
    """One that also says that it is what is within it, as proxies of the package wrapt do."""

    __class__: Any = property(disguise)


class Proxied(ProxyHeadersMiddleware):
    seen: Seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(told(scope))
        await super().__call__(scope, receive, send)


class Overriding(Server):
    seen: Seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(told(scope))
        await super().__call__(scope, receive, send)


class Asking(Overriding):
    """One that waits, for a database say, before it lets requests through."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0)
        await super().__call__(scope, receive, send)


class OverridingEngine(EngineServer):
    seen: Seen

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            self.seen.append(told(scope))
        await super().__call__(scope, receive, send)


def subclass(kind: Any) -> Callable[[Any, Seen], App]:
    def make(options: Any, seen: Seen) -> Any:
        server = kind(inner, path="/socket.io", **options)
        server.seen = seen
        if isinstance(server, EngineServer):
            server.on("connection", echo)
        return server

    return make


def echo(socket: EngineSocket) -> None:
    socket.on("message", socket.send)


def around(kind: Any) -> Callable[[Any, Seen], App]:
    def make(options: Any, seen: Seen) -> Any:
        return kind(Server(inner, **options), seen)

    return make


def around_with_proxy(options: Any, seen: Seen) -> Any:
    app: Any = Proxied(Server(inner, **options), "127.0.0.1")  # type: ignore[arg-type]
    app.seen = seen
    return app


def function(options: Any, seen: Seen) -> Any:
    watching = Watching(Server(inner, **options), seen)

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await watching(scope, receive, send)

    return app


def mounted(options: Any, seen: Seen) -> App:
    middleware: Any = Middleware(Watching, seen=seen)
    return Starlette(routes=[Mount("/", Server(**options))], middleware=[middleware])


def engine_use(options: Any, seen: Seen) -> App:
    server = Server(inner, **options)
    server.engine.use(Watching, seen=seen)
    return server


def hook(event: str) -> Callable[[Any, Seen], App]:
    def make(options: Any, seen: Seen) -> App:
        server = Server(inner, **options)

        @server.engine.on(event)
        def _(_headers: object, request: Request) -> None:
            note(request, seen)

        return server

    return make


def note(request: Request, seen: Seen) -> bool:
    scope = dict(request.scope)
    if scope["type"] == "websocket":
        scope.pop("method", None)
    seen.append(told(scope))
    return True


def allow_request(options: Any, seen: Seen) -> App:
    def allow(request: Request) -> bool:
        return note(request, seen)

    return Server(inner, allow_request=allow, **options)


def generate_id(options: Any, seen: Seen) -> App:
    server = Server(inner, **options)

    def generate(request: Request) -> str:
        note(request, seen)
        return f"id{len(seen)}"

    server.engine.generate_id = generate
    return server


def origins(options: Any, seen: Seen) -> App:
    def admit(_: str, request: Request) -> bool:
        return note(request, seen)

    return Server(inner, origins=admit, **options)


OBSERVERS: dict[str, tuple[Callable[[Any, Seen], App], list[str]]] = {
    "a server that overrides __call__": (subclass(Overriding), ALL),
    "a server that overrides __call__ and waits": (subclass(Asking), ALL),
    "an engine that overrides __call__": (subclass(OverridingEngine), ALL),
    "a middleware": (around(Watching), ALL),
    "a middleware with the server's attributes": (around(Delegating), ALL),
    "a middleware in the server's clothes": (around(Disguised), ALL),
    "a middleware that extends uvicorn's": (around_with_proxy, ALL),
    "a function": (function, ALL),
    "an application that telex is mounted in": (mounted, ALL),
    "engine.use": (engine_use, ALL),
    "the headers hook": (hook("headers"), ALL),
    "the initial_headers hook": (hook("initial_headers"), HANDSHAKES),
    "allow_request": (allow_request, HANDSHAKES),
    "generate_id": (generate_id, HANDSHAKES),
    "a function that decides about origins": (origins, ALL),
}

HOSTS: dict[str, dict[str, Any]] = {
    "fast": {},
    "without lifespan": {"lifespan": "off"},  # then applications share nothing, see `inner`
    "root path": {"root_path": "/behind"},
    "limited": {"limit_concurrency": 1000},
    "uvicorn": {"http": "httptools"},
}
WAITING = "a server that overrides __call__ and waits"
CASES = [
    *((observer, host) for observer in OBSERVERS for host in list(HOSTS)[:2]),
    *((observer, host) for observer in (WAITING, "engine.use") for host in list(HOSTS)[2:]),
]


@pytest.mark.parametrize(("observer", "host"), CASES)
async def test_seen(observer: str, host: str) -> None:
    make, expected = OBSERVERS[observer]
    seen: Seen = []
    async with hosting(make({}, seen), **HOSTS[host]) as connect:
        answers = await visit(connect, *LINES)
    assert answers == [200, 200, 200, 101, 200, 101, 101]
    assert seen == expected


@pytest.mark.parametrize("host", ["fast", "without lifespan"])
@pytest.mark.parametrize("refuses", [subclass, around])
async def test_refused(refuses: Callable[[Any], Callable[[Any, Seen], App]], host: str) -> None:
    """What stands in front can keep everybody out."""

    async def closed(self: Any, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await base.__call__(self, scope, receive, send)
        elif scope["type"] == "websocket":
            await receive()
            await send({"type": "websocket.close"})
        else:
            headers = [(b"content-length", b"0")]
            await send({"type": "http.response.start", "status": 403, "headers": headers})
            await send({"type": "http.response.body", "body": b"", "more_body": False})

    base: Any = Server if refuses is subclass else Delegating
    kind = type("Closed", (base,), {"__call__": closed})
    app = refuses(kind)({}, [])
    async with hosting(app, **HOSTS[host]) as connect:
        assert set(await visit(connect, *LINES)) == {403}
