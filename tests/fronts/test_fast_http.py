"""The door to the fast WebSocket: what it takes itself, and many who come at once."""

from __future__ import annotations

import asyncio
import gc
import socket as sockets
import weakref
from collections.abc import AsyncIterator
from contextlib import ExitStack

import pytest

from telex import Server, Socket
from telex.fronts import fast_http
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
    look = vars(fast_http.FastHttpProtocol)["_taken_at_once"]

    def note(protocol: fast_http.FastHttpProtocol, data: bytes) -> bool:
        taken.append(look(protocol, data))
        return taken[-1]

    monkeypatch.setattr(fast_http.FastHttpProtocol, "_taken_at_once", note)
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
        monkeypatch.setattr(fast_http, "GREETINGS", 4)
        with ExitStack() as stack:
            clients = [call(io, stack) for _ in range(40)]
            for client in clients:
                client.sendall(usual())
            for client in clients:
                await answer(client, b'0{"sid"')

    async def test_those_who_leave_while_they_wait(
        self, io: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(fast_http, "GREETINGS", 1)
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
        monkeypatch.setattr(fast_http, "GREETINGS", 1)
        with ExitStack() as stack:
            clients = [call(io, stack) for _ in range(10)]
            for client in clients:
                client.sendall(b"GET /nothing HTTP/1.1\r\nHost: here\r\n\r\n")
            for client in clients:
                assert b"404" in await answer(client, b"Not Found")
