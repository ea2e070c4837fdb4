"""The door to the fast WebSocket: what it takes itself, and many who come at once."""

from __future__ import annotations

import asyncio
import gc
import socket as sockets
import weakref
from collections.abc import AsyncIterator
from contextlib import ExitStack
from typing import Any

import pytest

from telex import Server, Socket
from telex.fronts.asgi.hooks import ConnectionErrorInfo
from telex.fronts.uvicorn import handshake, protocol, shared
from telex.fronts.uvicorn.protocol import FastHttpProtocol
from telex.fronts.uvicorn.shared import Shared
from telex.types import Request

USUAL = (
    "GET /socket.io/?EIO=4&transport=websocket{query} HTTP/1.1\r\n"
    "Host: here\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{more}\r\n"
)
REQUESTS: list[Request] = []


def usual(query: str = "", more: str = "") -> bytes:
    return USUAL.format(query=query, more=more).encode()


@pytest.fixture
async def io() -> AsyncIterator[Server]:
    server = Server()
    REQUESTS.clear()

    @server.event
    def connection(socket: Socket) -> None:
        REQUESTS.append(socket.request)

    await server.listen(port=0)
    yield server
    await server.close()


def call(io: Server, stack: ExitStack) -> sockets.socket:
    """A connection to the server, made while its loop rests."""
    assert io.port is not None
    client = stack.enter_context(sockets.create_connection(("127.0.0.1", io.port)))
    client.setblocking(False)
    return client


async def answer(client: sockets.socket, until: bytes) -> bytes:
    """What the client receives until this has come."""
    loop = asyncio.get_running_loop()
    received = b""
    async with asyncio.timeout(30):
        while until not in received:
            data = await loop.sock_recv(client, 65536)
            assert data, received
            received += data
    return received


@pytest.fixture
def looked(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the door has taken what came first on each connection."""
    taken: list[bool] = []
    look = handshake.take_handshake

    def note(connection: FastHttpProtocol, shared: Shared, data: bytes) -> bool:
        taken.append(look(connection, shared, data))
        return taken[-1]

    monkeypatch.setattr(protocol, "take_handshake", note)
    return taken


class TestDoor:
    @pytest.mark.parametrize(
        ("head", "taken"),
        [
            (usual(), True),
            (usual(more="Cookie: a=b; c=d\r\nX-Long: " + "x" * 4000 + "\r\n"), True),
            (usual("&who=me%20too"), True),
            (usual(more="Content-Length: 0\r\n"), False),
            (usual(more="Expect: 100-continue\r\n"), False),
            (usual().replace(b"HTTP/1.1", b"HTTP/1.0"), False),
            (usual().replace(b"Host: here", b"Host : here"), False),
            (usual().replace(b"Host: here", b"Host:\x01here"), False),
            (usual().replace(b"keep-alive, Upgrade", b"keep-alive"), False),
            (usual(more="Upgrade: websocket\r\n"), False),
            (usual().replace(b"/socket.io/", b"/elsewhere/"), False),
            (usual().replace(b"EIO=4", b"XEIO=4"), False),
            (usual().replace(b"GET", b"POST"), False),
            (usual(more="X-Long: " + "x" * 20_000 + "\r\n"), False),
            (usual()[:-2], False),
        ],
    )
    async def test_only_what_is_usual_is_taken_at_once(
        self, io: Server, looked: list[bool], head: bytes, taken: bool
    ) -> None:
        with ExitStack() as stack:
            client = call(io, stack)
            client.sendall(head)
            async with asyncio.timeout(30):
                while not looked:
                    await asyncio.sleep(0)
            assert looked[0] is taken
            if taken:
                assert b"101 Switching Protocols" in await answer(client, b'0{"sid"')

    @pytest.mark.parametrize("cut", [None, 30])
    async def test_both_ways_give_the_same_request(
        self, io: Server, looked: list[bool], cut: int | None
    ) -> None:
        head = usual("&who=me%20too&x=", "X-Header:  spaced  \r\nX-HEADER: twice\r\n")
        with ExitStack() as stack:
            client = call(io, stack)
            client.sendall(head[:cut])
            while cut is not None and not looked:
                await asyncio.sleep(0.001)
            if cut is not None:
                client.sendall(head[cut:])
            await answer(client, b'0{"sid"')
            client.sendall(b"\x81\x82\0\0\0\x0040")
            await answer(client, b'40{"sid"')
            address = client.getsockname()
        (request,) = REQUESTS
        assert looked == [cut is None]
        assert request.headers["x-header"] == "spaced, twice"
        assert request.query["who"] == "me too"
        assert request.query["x"] == ""
        assert request.client == address
        assert request.path == "/socket.io/"
        assert request.url == "/socket.io/?EIO=4&transport=websocket&who=me%20too&x="
        assert dict(request.scope)["method"] == "GET"
        assert request.scope["server"] == ("127.0.0.1", io.port)
        assert request.scope["scheme"] == "ws"


@pytest.fixture
def direct(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the telex server has taken the handshakes that came without a scope."""
    taken: list[bool] = []
    take = vars(handshake)["_take_directly"]

    def note(*arguments: Any) -> bool:
        taken.append(take(*arguments))
        return taken[-1]

    monkeypatch.setattr(handshake, "_take_directly", note)
    return taken


class Wrapped(Server):
    """A server whose user sees every request."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "websocket":
            scope["seen"] = True
        await super().__call__(scope, receive, send)


class TestWithoutAScope:
    @pytest.mark.parametrize(
        ("head", "taken"),
        [
            (usual(), [True]),
            (usual(more="Origin: http://here\r\n"), [True]),
            (usual(more="X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"), []),
            (usual().replace(b"/socket.io/", b"/socket%2Eio/"), [False]),
        ],
    )
    async def test_what_is_taken(
        self, io: Server, direct: list[bool], head: bytes, taken: list[bool]
    ) -> None:
        with ExitStack() as stack:
            client = call(io, stack)
            client.sendall(head)
            await answer(client, b'0{"sid"')
            client.sendall(b"\x81\x82\0\0\0\x0040")
            await answer(client, b'40{"sid"')
            address = client.getsockname()
        assert direct == taken
        (request,) = REQUESTS
        proxied = b"Forwarded" in head
        assert request.client == (("192.0.2.1", 0) if proxied else address)
        assert request.secure is proxied
        assert request.scope["extensions"] == {}

    async def test_hooks_are_asked(self, direct: list[bool]) -> None:
        async def allow_request(request: Request) -> str | bool:
            return "not today" if "no" in request.query else True

        server = Server(allow_request=allow_request)
        await server.listen(port=0)
        with ExitStack() as stack:
            first, second = call(server, stack), call(server, stack)
            first.sendall(usual("&no="))
            assert b"not today" in await answer(first, b"}")
            second.sendall(usual())
            await answer(second, b'0{"sid"')
        await server.close()
        assert direct == [False, False]

    async def test_a_server_of_the_users_sees_everything(self, direct: list[bool]) -> None:
        server = Wrapped()
        seen: list[Request] = []

        @server.event
        def connection(socket: Socket) -> None:
            seen.append(socket.request)

        await server.listen(port=0)
        with ExitStack() as stack:
            client = call(server, stack)
            client.sendall(usual())
            await answer(client, b'0{"sid"')
            client.sendall(b"\x81\x82\0\0\0\x0040")
            await answer(client, b'40{"sid"')
        await server.close()
        assert direct == []
        assert seen[0].scope["seen"]

    async def test_what_the_applications_share(self, direct: list[bool]) -> None:
        async def app(scope: Any, receive: Any, send: Any) -> None:
            assert scope["type"] == "lifespan"
            for phase in ("startup", "shutdown"):
                assert (await receive())["type"] == f"lifespan.{phase}"
                scope["state"]["shared"] = phase
                await send({"type": f"lifespan.{phase}.complete"})

        server = Server(app)
        seen: list[Request] = []

        @server.event
        def connection(socket: Socket) -> None:
            seen.append(socket.request)

        await server.listen(port=0)
        with ExitStack() as stack:
            client = call(server, stack)
            client.sendall(usual())
            await answer(client, b'0{"sid"')
            client.sendall(b"\x81\x82\0\0\0\x0040")
            await answer(client, b'40{"sid"')
        await server.close()
        assert direct == []
        assert seen[0].scope["state"] == {"shared": "startup"}

    @pytest.mark.parametrize(
        ("head", "status"),
        [
            (usual(more="Origin: http://elsewhere\r\n"), b"403"),
            (usual("&sid=unknown"), b"400"),
            (usual().replace(b"EIO=4", b"EIO=2"), b"400"),
            (usual().replace(b"transport=websocket", b"transport=pigeon"), b"400"),
        ],
    )
    async def test_refusals(
        self, io: Server, direct: list[bool], head: bytes, status: bytes
    ) -> None:
        errors: list[ConnectionErrorInfo] = []
        io.engine.on("connection_error", errors.append)
        with ExitStack() as stack:
            client = call(io, stack)
            client.sendall(head)
            assert (await answer(client, b"}")).startswith(b"HTTP/1.1 " + status)
        assert direct == [True]
        assert len(errors) == 1

    async def test_whoever_comes_when_the_server_closes(
        self, io: Server, direct: list[bool]
    ) -> None:
        with ExitStack() as stack:
            client = call(io, stack)
            io.front.close_at_once()
            client.sendall(usual())
            assert b"shutting down" in await answer(client, b"}")
        assert direct == [True]

    async def test_a_hook_that_fails(
        self, io: Server, direct: list[bool], caplog: pytest.LogCaptureFixture
    ) -> None:
        @io.engine.on("connection")
        def connection(conn: object) -> None:
            raise ValueError("a mistake of the user's")

        with ExitStack() as stack:
            client = call(io, stack)
            client.sendall(usual())
            await answer(client, b"101 Switching Protocols")
        assert direct == [True]
        assert "a mistake of the user's" in caplog.text


class TestEnd:
    @pytest.mark.parametrize("heard", [False, True])
    async def test_nothing_is_left_to_the_garbage_collector(self, io: Server, heard: bool) -> None:
        left: list[weakref.ref[Socket]] = []

        @io.event
        def connection(socket: Socket) -> None:
            left.append(weakref.ref(socket))

        if heard:

            @io.event
            def disconnect(socket: Socket, reason: str) -> None:
                assert socket.disconnected

        gc.disable()
        try:
            with ExitStack() as stack:
                client = call(io, stack)
                client.sendall(usual())
                await answer(client, b'0{"sid"')
                client.sendall(b"\x81\x82\0\0\0\x0040")
                await answer(client, b'40{"sid"')
            REQUESTS.clear()
            async with asyncio.timeout(30):
                while left[0]() is not None:
                    await asyncio.sleep(0.01)
        finally:
            gc.enable()


class TestManyAtOnce:
    async def test_all_are_served_a_turn_at_a_time(
        self, io: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared, "ACCEPTS_PER_TURN", 4)
        with ExitStack() as stack:
            clients = [call(io, stack) for _ in range(40)]
            for client in clients:
                client.sendall(usual())
            for client in clients:
                await answer(client, b'0{"sid"')

    async def test_those_who_leave_while_they_wait(
        self, io: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared, "ACCEPTS_PER_TURN", 1)
        with ExitStack() as stack:
            clients = [call(io, stack) for _ in range(20)]
            for client in clients:
                client.sendall(usual())
            for client in clients[5:15]:
                client.close()
            for client in clients[:5] + clients[15:]:
                await answer(client, b'0{"sid"')
        async with asyncio.timeout(30):
            while io.engine.clients_count:
                await asyncio.sleep(0.01)

    async def test_other_requests_wait_their_turn_too(
        self, io: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(shared, "ACCEPTS_PER_TURN", 1)
        with ExitStack() as stack:
            clients = [call(io, stack) for _ in range(10)]
            for client in clients:
                client.sendall(b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n")
            for client in clients:
                assert b"404" in await answer(client, b"Not Found")
