"""Long-polling on its own road: what it takes, and that nobody can tell it by the answers."""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket as sockets
import ssl
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trustme

from telex import EngineServer, Server, Socket
from telex.engine.polling import PollingTransport
from telex.fronts.asgi import messages
from telex.fronts.uvicorn import polling, polling_requests
from telex.fronts.uvicorn.polling_requests import RequestReader
from telex.fronts.uvicorn.protocol import FastHttpProtocol
from telex.server.engine_socket import EngineSocket
from telex.types import App, HeaderList, Request

ORIGIN = "https://page.example"
ROADS: list[RequestReader] = []
_DATE = re.compile(rb"(?m)^date: .*\r\n")
_ID = re.compile(rb'(sid\\?":\\?"|io=|sticky=)[\w-]+')


class Wire:
    """A client's connection, on which anything can be said."""

    def __init__(self, client: sockets.socket) -> None:
        self._client = client
        self._loop = asyncio.get_running_loop()
        self._read = bytearray()

    async def send(self, data: bytes) -> None:
        await self._loop.sock_sendall(self._client, data)

    async def _more(self) -> bool:
        async with asyncio.timeout(30):
            data = await self._loop.sock_recv(self._client, 65536)
        self._read += data
        return bool(data)

    async def answer(self) -> bytes:
        """The bytes of the next answer."""
        while b"\r\n\r\n" not in self._read:
            assert await self._more(), self._read
        head, _, _ = self._read.partition(b"\r\n\r\n")
        length = re.search(rb"(?m)^content-length: (\d+)\r?$", head)
        assert length is not None or b" 204 " in head or b" 100 " in head, head
        size = len(head) + 4 + (int(length[1]) if length else 0)
        while len(self._read) < size:
            assert await self._more(), self._read
        answer = bytes(self._read[:size])
        del self._read[:size]
        return answer

    async def ask(self, data: bytes) -> bytes:
        """The bytes of the answer to a request."""
        await self.send(data)
        return await self.answer()

    async def rest(self) -> bytes:
        """Everything until the server hangs up."""
        try:
            while await self._more():
                pass
        except ConnectionResetError:
            pass
        return bytes(self._read)

    async def until(self, end: bytes) -> bytes:
        """Everything until this has come."""
        while end not in self._read:
            assert await self._more(), self._read
        return bytes(self._read)

    def close(self) -> None:
        self._client.close()


class Host:
    """A server, and clients of it."""

    def __init__(self, io: Server | EngineServer, stack: AsyncExitStack) -> None:
        self.io = io
        self.requests: list[Request] = []
        self.reasons: list[str] = []
        self.sockets: list[Socket] = []
        self._stack = stack

    def call(self, *, buffer: int = 0) -> Wire:
        """Another connection."""
        assert self.io.port is not None
        client = sockets.socket()
        if buffer:
            client.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, buffer)
        client.connect(("127.0.0.1", self.io.port))
        client.setblocking(False)
        wire = Wire(client)
        self._stack.callback(wire.close)
        return wire

    async def open(self, wire: Wire, revision: int = 4, more: str = "", *lines: str) -> str:
        """The target of the requests of a new session, whose socket is connected."""
        target = f"/socket.io/?EIO={revision}&transport=polling{more}"
        opened = await wire.ask(get(target, *lines))
        sid = re.search(rb'"sid\\?":\\?"([^"\\]+)', opened)
        assert sid is not None, opened
        target += f"&sid={sid[1].decode()}"
        if revision == 4:
            assert (await wire.ask(post(target, "40"))).endswith(b"ok")
            assert b'40{"sid":' in await wire.ask(get(target))
        return target


def get(target: str, *lines: str, host: str = "Host: here") -> bytes:
    return "\r\n".join([f"GET {target} HTTP/1.1", host, *lines, "", ""]).encode("latin-1")


def post(target: str, body: str | bytes, *lines: str) -> bytes:
    data = body.encode() if isinstance(body, str) else body
    head = [f"POST {target} HTTP/1.1", "Host: here", f"Content-Length: {len(data)}", *lines]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + data


def plain(answer: bytes) -> bytes:
    """An answer without what is never the same twice."""
    return _ID.sub(rb"\1*", _DATE.sub(b"date: now\r\n", answer))


def _no_road(*_: object) -> None:
    """Everything goes to the HTTP server."""


@asynccontextmanager
async def hosting(
    *,
    road: bool,
    listen: dict[str, Any] | None = None,
    prepare: Callable[[Server], object] | None = None,
    **options: Any,
) -> AsyncGenerator[Host]:
    """A server, with or without the road."""
    io = Server(**options)
    if prepare is not None:
        prepare(io)
    async with AsyncExitStack() as stack:
        host = Host(io, stack)

        @io.on("connection")
        def connection(socket: Socket) -> None:
            host.requests.append(socket.request)
            host.sockets.append(socket)

            @socket.on("disconnect")
            def disconnect(reason: str) -> None:
                host.reasons.append(reason)

            @socket.on("echo")
            def echo(value: Any) -> Any:
                return value

        patch = stack.enter_context(pytest.MonkeyPatch.context())
        if not road:
            patch.setattr(FastHttpProtocol, "_polling_server", _no_road)
        given: Any = listen or {}
        await io.listen(port=0, **given)
        stack.push_async_callback(io.close)
        yield host


@pytest.fixture
def taken(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Whether the road has taken each request that it was asked about."""
    looks: list[bool] = []
    read = RequestReader.read

    def note(road: RequestReader, data: bytes, transport: asyncio.Transport) -> Any:
        ROADS[:] = [road]
        asked = read(road, data, transport)
        looks.append(asked is not None)
        return asked

    monkeypatch.setattr(RequestReader, "read", note)
    return looks


@pytest.fixture
async def host(taken: list[bool]) -> AsyncIterator[Host]:
    async with hosting(road=True) as host:
        taken.clear()
        yield host


Story = Callable[[Host], Awaitable[list[bytes]]]


@pytest.fixture
def both(taken: list[bool]) -> Callable[..., Awaitable[list[bytes]]]:
    """Plays a story on both roads; the answers, which must be the same."""

    async def play(story: Story, **options: Any) -> list[bytes]:
        async with hosting(road=False, **options) as host:
            usual = [plain(answer) for answer in await story(host)]
        assert taken == []
        async with hosting(road=True, **options) as host:
            taken.clear()
            assert [plain(answer) for answer in await story(host)] == usual
        return usual

    return play


HANDSHAKE = "/socket.io/?EIO=4&transport=polling"


class TestHandshakes:
    @pytest.mark.parametrize(
        ("request_", "is_taken"),
        [
            (get(HANDSHAKE), True),
            (get("/socket.io?transport=polling&t=Ab.-_1&EIO=4"), True),
            (get(HANDSHAKE + "&who=me%20too&who=you"), True),
            (get("/socket.io/?EIO=3&transport=polling&b64=1"), True),
            (get("/socket.io/?EIO=3&transport=polling&j=4x", "Sec-Fetch-Site: same-origin"), True),
            (get("/socket.io/?EIO=3&transport=polling&j=4", f"Referer: {ORIGIN}/page"), True),
            (get("/socket.io/?EIO=3&transport=polling&j=4"), False),
            (get("/socket.io/?EIO=3&transport=polling&j=4", "Sec-Fetch-Site: cross-site"), False),
            (get(HANDSHAKE, "Sec-Fetch-Site: same-origin"), True),
            (get(HANDSHAKE, "Sec-Fetch-Site: cross-site"), False),
            (get(HANDSHAKE, f"Origin: {ORIGIN}"), True),
            (get(HANDSHAKE, "Connection: Keep-Alive", "Cookie: a=b"), True),
            (get(HANDSHAKE, "Connection: close"), True),
            (get(HANDSHAKE, "X-Forwarded-For: 1.2.3.4", "X-Forwarded-Proto: https"), True),
            (get(HANDSHAKE, "X-Odd: \xe4\xf6"), True),
            (get(HANDSHAKE, "Origin: https://other.example"), False),
            (get(HANDSHAKE, "User-Agent: Mozilla/4.0 (compatible; MSIE 8.0)"), False),
            (get(HANDSHAKE, "Connection: keep-alive, x"), False),
            (get(HANDSHAKE, "Content-Length: 0"), False),
            (get(HANDSHAKE, "Host: there"), False),
            (get(HANDSHAKE, host="X-Host: here"), False),
            (get(HANDSHAKE, "X : y"), False),
            (get(HANDSHAKE, *[f"X-{n}: {n}" for n in range(100)]), False),
            (get(HANDSHAKE, "X-Long: " + "x" * 9000), False),
            (get("/socket.io/?EIO=5&transport=polling"), False),
            (get("/socket.io/?transport=polling"), False),
            (get(HANDSHAKE + "&sid=nobody"), False),
            (get("/socket.io/?EIO=4&transport=polling&transport=other"), False),
            (get("/elsewhere/?EIO=4&transport=polling"), False),
            (get("/%73ocket.io/?EIO=4&transport=polling"), False),
            (get("http://here" + HANDSHAKE), False),
            (post(HANDSHAKE, "40"), False),
            (b"OPTIONS" + get(HANDSHAKE, f"Origin: {ORIGIN}")[3:], False),
            (get(HANDSHAKE).replace(b"HTTP/1.1", b"HTTP/1.0"), False),
        ],
    )
    async def test_only_what_is_usual_is_taken(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        taken: list[bool],
        request_: bytes,
        is_taken: bool,
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            return [await host.call().ask(request_)]

        await both(story, origins=[ORIGIN])
        assert taken == [is_taken]

    @pytest.mark.parametrize(
        "options",
        [
            {"origins": "*"},
            {"cors": {"origins": [ORIGIN], "credentials": True, "exposed_headers": ["x-a"]}},
            {"cookie": True, "origins": "*"},
            {"cookie": "sticky", "origins": [ORIGIN]},
            {"path": "/a/b", "origins": "*"},
            {"listen": {"root_path": "/mount"}, "origins": "*"},
            {"listen": {"headers": [("X-Served-By", "me")], "date_header": False}, "origins": "*"},
            {"listen": {"server_header": True}, "origins": "*"},
            {"http_compression": 100, "cookie": True, "origins": [ORIGIN]},
        ],
    )
    async def test_the_answer_has_the_same_headers(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        taken: list[bool],
        options: dict[str, Any],
    ) -> None:
        path = options.get("path", "/socket.io")

        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            first = get(f"{path}/?EIO=4&transport=polling", f"Origin: {ORIGIN}")
            packed = first[:-2] + b"Accept-Encoding: deflate, gzip\r\n\r\n"
            old = get(f"{path}/?EIO=3&transport=polling", f"Origin: {ORIGIN}")
            answers = [await wire.ask(first), await wire.ask(old)]
            if "http_compression" in options:  # the ids are different
                answers.append((await wire.ask(packed)).partition(b"content-length")[0])
            return answers

        await both(story, **options)
        assert taken
        assert all(taken)

    @pytest.mark.parametrize(
        "lines",
        [
            (),
            ("X-Forwarded-For: 1.2.3.4, 5.6.7.8", "X-Forwarded-Proto: https"),
            ("User-Agent:  spaced  ", "COOKIE: a=b", "Cookie: c=d"),
        ],
    )
    async def test_the_request_is_the_same(self, lines: tuple[str, ...]) -> None:
        scopes: list[dict[str, Any]] = []
        for road in (False, True):
            async with hosting(road=road) as host:
                wire = host.call()
                first = get(HANDSHAKE + "&who=me%20too", *lines)
                sid = re.search(rb'"sid":"([^"]+)', await wire.ask(first))
                assert sid is not None
                target = f"{HANDSHAKE}&sid={sid[1].decode()}"
                await wire.ask(post(target, "40"))
                (request,) = host.requests
                assert request.query["who"] == "me too"
                scopes.append(dict(request.scope))
                assert scopes[-1].pop("server") == ("127.0.0.1", host.io.port)
                if not lines:
                    assert scopes[-1].pop("client")[0] == "127.0.0.1"
                elif "X-F" not in lines[0]:
                    scopes[-1].pop("client")
        assert scopes[0] == scopes[1]

    async def test_what_is_added_to_the_request_stays(self, taken: list[bool]) -> None:
        engine = EngineServer()
        seen: list[Request] = []

        @engine.on("connection")
        def connection(socket: EngineSocket) -> None:
            assert socket.request.query["EIO"] == "4"
            socket.request.scope["user"] = "me"
            socket.request.scope["state"]["user"] = len(seen)
            seen.append(socket.request)

        await engine.listen(port=0)
        try:
            async with AsyncExitStack() as stack:
                wire = Host(engine, stack).call()
                for _ in range(2):
                    await wire.ask(get("/engine.io/?EIO=4&transport=polling"))
        finally:
            await engine.close()
        assert taken == [True, True]
        assert [request.scope["user"] for request in seen] == ["me", "me"]
        assert [request.scope["state"] for request in seen] == [{"user": 0}, {"user": 1}]

    async def test_a_proxy_that_is_not_trusted_is_not_believed(self) -> None:
        listen = {"forwarded_allow_ips": "10.0.0.1"}
        async with hosting(road=True, listen=listen) as host:
            wire = host.call()
            await wire.ask(get(HANDSHAKE, "X-Forwarded-For: 1.2.3.4"))
            engine: Any = host.io.engine
            (session,) = engine._engine.sessions.values()
            assert session.request.client[0] == "127.0.0.1"

    @pytest.mark.parametrize("scheme", ["http", "https"])
    async def test_the_same_origin_behind_a_proxy(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool], scheme: str
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            proto = f"X-Forwarded-Proto: {scheme}"
            return [await host.call().ask(get(HANDSHAKE, proto, "Origin: http://here"))]

        (answer,) = await both(story)
        assert taken == [scheme == "http"]
        assert answer.startswith(b"HTTP/1.1 200" if scheme == "http" else b"HTTP/1.1 403")


def _same(app: App) -> App:
    return app


def _add(headers: HeaderList, request: Request) -> None:
    headers.append(("x-a", "b"))


def _middleware(io: Server) -> None:
    io.engine.use(_same)


def _headers(io: Server) -> None:
    io.engine.on("headers", _add)


def _initial_headers(io: Server) -> None:
    io.engine.on("initial_headers", _add)


def _generate_id(io: Server) -> None:
    ids = iter(range(100))

    def make(request: Request) -> str:
        return f"id{next(ids)}"

    io.engine.generate_id = make


def _any_origin(origin: str, request: Request) -> bool:
    return True


def _anybody(request: Request) -> bool:
    return True


@pytest.fixture
def _levels() -> Iterator[None]:
    """What uvicorn does to its loggers is undone."""
    loggers = [logging.getLogger(f"uvicorn.{name}") for name in ("error", "access", "asgi")]
    before = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.usefixtures("_levels")
class TestSeenByOthers:
    @pytest.mark.parametrize(
        "options",
        [
            {"prepare": _middleware},
            {"prepare": _headers},
            {"prepare": _initial_headers},
            {"listen": {"limit_concurrency": 100}},
            {"listen": {"log_level": 5}},
            {"origins": _any_origin},
        ],
    )
    async def test_the_road_is_closed(self, taken: list[bool], options: dict[str, Any]) -> None:
        async with hosting(road=True, **options) as host:
            wire = host.call()
            answer = await wire.ask(get(HANDSHAKE, f"Origin: {ORIGIN}", "X-Forwarded-For: ::1"))
            assert answer.startswith(b"HTTP/1.1 200 OK" if "origins" in options else b"HTTP/1.1")
        assert not any(taken)

    @pytest.mark.parametrize("options", [{"prepare": _generate_id}, {"allow_request": _anybody}])
    async def test_only_handshakes_are_asked_about(
        self, taken: list[bool], options: dict[str, Any]
    ) -> None:
        async with hosting(road=True, **options) as host:
            wire = host.call()
            await host.open(wire)
        assert taken == [False, True, True]


class TestPolls:
    @pytest.mark.parametrize("lines", [(), (f"Origin: {ORIGIN}", "Accept-Encoding: gzip")])
    async def test_events_and_answers(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool], lines: tuple[str, ...]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            polls, posts = host.call(), host.call()
            target = await host.open(polls)
            await polls.send(get(target, *lines))
            answers = [await posts.ask(post(target, '420["echo",1]\x1e421["echo","ä"]', *lines))]
            answers.append(await polls.answer())
            long = "x" * 3000
            await posts.ask(post(target, f'420["echo","{long}"]', *lines))
            return [*answers, await polls.ask(get(target, *lines))]

        _, _, last = await both(story, origins="*")
        assert all(taken)
        assert (b"content-encoding: gzip" in last) is bool(lines)

    async def test_a_large_answer_is_compressed_beside_the_loop(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = await host.open(wire)
            host.sockets[0].emit("news", "x" * 100_000)
            return [await wire.ask(get(target, "Accept-Encoding: gzip"))]

        (answer,) = await both(story)
        assert all(taken)
        assert len(answer) < 2000

    @pytest.mark.parametrize(
        ("revision", "more", "lines", "body"),
        [
            (3, "", ("Content-Type: application/octet-stream",), b"\x00\x01\xff2"),
            (3, "", ("Content-Type: text/plain",), b"1:2"),
            (3, "&b64=1", (), b"1:2"),
            (3, "&j=1", ("Content-Type: application/x-www-form-urlencoded",), b"d=1%3A2"),
            (3, "", (), b"nonsense"),
            (4, "", ("Content-Type: application/octet-stream",), b"2"),
            (4, "", (), b""),
            (4, "", (), b"9"),
            (4, "", (), b"\xff"),
            (4, "", (), b"1"),
        ],
    )
    async def test_every_form_of_payload(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        taken: list[bool],
        revision: int,
        more: str,
        lines: tuple[str, ...],
        body: bytes,
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            polls, posts = host.call(), host.call()
            more_lines = ("Sec-Fetch-Site: same-origin",) if "j=" in more else ()
            target = await host.open(polls, revision, more, *more_lines)
            posted = await posts.ask(post(target, body, *lines, *more_lines))
            return [posted, await polls.ask(get(target, *more_lines))]

        await both(story)
        assert all(taken[:-1])

    @pytest.mark.parametrize(
        "lines",
        [
            ("Transfer-Encoding: chunked",),
            ("Expect: 100-continue",),
            ("Content-Encoding: identity",),
            ("Content-Length: 1",),
            ("Content-Length: 1x",),
            ("Upgrade: h2c", "Connection: Upgrade"),
        ],
    )
    async def test_odd_bodies_are_left_to_the_http_server(
        self, host: Host, taken: list[bool], lines: tuple[str, ...]
    ) -> None:
        wire = host.call()
        target = await host.open(wire)
        taken.clear()
        odd = post(target, "3", *lines)
        if b"chunked" in odd:
            odd = odd.replace(b"Content-Length: 1\r\n", b"").removesuffix(b"3")
            odd += b"1\r\n3\r\n0\r\n\r\n"
        await wire.ask(odd)
        assert taken[:1] == [False]

    async def test_bodies_that_are_too_large(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = await host.open(wire)
            large = await wire.ask(post(target, "4" + "x" * 150))
            return [large, await wire.ask(post(target, '420["echo",1]'))]

        large, fine = await both(story, max_http_buffer_size=100)
        assert taken == [True, True, True, False, True]
        assert large.startswith(b"HTTP/1.1 413")
        assert fine.endswith(b"ok")

    @pytest.mark.parametrize(
        "change",
        [
            ("EIO=4", "EIO=3"),
            ("EIO=4&", ""),
            ("transport=polling", "transport=websocket"),
            ("&sid=", "&sid=x"),
        ],
    )
    async def test_who_does_not_belong_to_the_session_is_refused(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        taken: list[bool],
        change: tuple[str, str],
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = (await host.open(wire)).replace(*change)
            return [await wire.ask(get(target)), await wire.ask(post(target, "3"))]

        first, second = await both(story)
        assert not any(taken[3:])
        assert first.startswith(b"HTTP/1.1 400")
        assert second.startswith(b"HTTP/1.1 400")

    async def test_two_polls_at_once(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            one, two = host.call(), host.call()
            target = await host.open(one)
            await one.send(get(target))
            while not host.sockets[0].connected or not _pending(host):
                await asyncio.sleep(0.001)
            refused = await two.ask(get(target))
            return [refused, await one.answer(), *map(str.encode, host.reasons)]

        answers = await both(story)
        assert all(taken)
        assert answers[0].startswith(b"HTTP/1.1 400")
        assert answers[1].endswith(b"\r\n\r\n1")
        assert answers[2] == b"transport error"

    async def test_two_posts_at_once(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            one, two = host.call(), host.call()
            target = await host.open(one)
            whole = post(target, '42["echo",1]')
            await one.send(whole[:-3])
            while not _posting(host):
                await asyncio.sleep(0.001)
            refused = await two.ask(post(target, "3"))
            return [refused, await one.ask(whole[-3:]), *map(str.encode, host.reasons)]

        answers = await both(story)
        assert all(taken)
        assert answers[0].startswith(b"HTTP/1.1 400")
        assert answers[2] == b"transport error"

    async def test_a_failure_is_told(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        monkeypatch: pytest.MonkeyPatch,
        caplog: pytest.LogCaptureFixture,
        taken: list[bool],
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise RuntimeError("of ours")

        async def story(host: Host) -> list[bytes]:
            answers: list[bytes] = []
            for method in ("poll", "post"):
                wire = host.call()
                target = await host.open(wire)
                with monkeypatch.context() as patch:
                    patch.setattr(PollingTransport, method, fail)
                    data = get(target) if method == "poll" else post(target, "3")
                    await wire.send(data)
                    answers.append(await wire.rest())
            return answers

        for answer in await both(story):
            assert answer.startswith(b"HTTP/1.1 500")
            assert answer.endswith(b"Internal Server Error")
        assert all(taken)
        failures = [record for record in caplog.records if "Exception in ASGI" in record.message]
        assert len(failures) == 4

    async def test_the_access_log_is_the_same(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        logs: list[list[str]] = []
        monkeypatch.setattr(logging.getLogger("uvicorn.access"), "propagate", True)
        for road in (False, True):
            caplog.clear()
            with caplog.at_level(logging.INFO, "uvicorn.access"):
                listen = {"access_log": True, "root_path": "/a b"}
                async with hosting(road=road, listen=listen) as host:
                    wire = host.call()
                    proxied = get(HANDSHAKE + "&x=%20", "X-Forwarded-For: 1.2.3.4")
                    await wire.ask(proxied)
                    await host.open(wire)
            lines = [r.getMessage() for r in caplog.records if r.name == "uvicorn.access"]
            lines = [re.sub(r"127.0.0.1:\d+|sid=[\w-]+", "*", line) for line in lines]
            logs.append(lines)
        assert logs[0] == logs[1]
        assert (
            '1.2.3.4:0 - "GET /a%20b/socket.io/?EIO=4&transport=polling&x=%20 HTTP/1.1" 200'
            in logs[0]
        )


def _sessions(host: Host) -> list[Any]:
    engine: Any = host.io.engine
    return list(engine._engine.sessions.values())


def _pending(host: Host) -> bool:
    return any(session.transport.writable for session in _sessions(host))


def _posting(host: Host) -> bool:
    return any(session.transport._posting for session in _sessions(host))


class TestOneConnection:
    async def test_a_body_in_pieces(self, host: Host, taken: list[bool]) -> None:
        wire = host.call()
        target = await host.open(wire)
        request = post(target, '420["echo",1]')
        for cut in (len(request) - 13, len(request) - 12, len(request) - 5):
            await wire.send(request[:cut])
            while not _posting(host):
                await asyncio.sleep(0.001)
            answer = await wire.ask(request[cut:])
            assert answer.endswith(b"ok")
            assert (await wire.ask(get(target))).endswith(b"430[1]")
        assert all(taken)

    async def test_a_head_in_pieces_goes_to_the_http_server_and_the_next_one_comes_back(
        self, host: Host, taken: list[bool]
    ) -> None:
        wire = host.call()
        target = await host.open(wire)
        request = post(target, '420["echo",1]')
        taken.clear()
        await wire.send(request[:40])
        while not taken:
            await asyncio.sleep(0.001)
        assert (await wire.ask(request[40:])).endswith(b"ok")
        assert (await wire.ask(get(target))).endswith(b"430[1]")
        assert taken == [False, True]

    async def test_what_is_not_long_polling_in_between(self, host: Host, taken: list[bool]) -> None:
        wire = host.call()
        for _ in range(2):
            target = await host.open(wire)
            assert b"404" in await wire.ask(get("/elsewhere"))
            assert b"200 OK" in await wire.ask(get("/socket.io/socket.io.min.js"))
            assert (await wire.ask(post(target, "3"))).endswith(b"ok")
        assert taken == [True, True, True, False, True, *[True] * 3, False, True]

    async def test_a_websocket_behind_polls(self, host: Host) -> None:
        wire = host.call()
        target = (await host.open(wire)).replace("polling", "websocket")
        await wire.send(
            get(
                target,
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
            )
            + b"\x81\x86\0\0\0\x002probe"
        )
        assert b"101 Switching" in await wire.until(b"3probe")

    async def test_requests_that_do_not_wait(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool]
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            wire, other = host.call(), host.call()
            target = await host.open(wire)
            await wire.send(
                post(target, "3") + get(target) + get(HANDSHAKE) + get("/elsewhere") + get(target)
            )
            answers = [await wire.answer()]
            await other.ask(post(target, '420["echo",1]'))
            answers += [await wire.answer() for _ in range(3)]
            await other.ask(post(target, '421["echo",1]'))
            return [*answers, await wire.answer()]

        answers = await both(story)
        assert answers[1].endswith(b"430[1]")
        assert answers[4].endswith(b"431[1]")
        assert taken[3:] == [True, True, True, True, False, True] or len(taken) > 6

    @pytest.mark.parametrize("nonsense", [b"nonsense\r\n\r\n", b"\x16\x03\x01"])
    @pytest.mark.parametrize("pieces", [1, 2])
    async def test_nonsense_behind_a_poll(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        taken: list[bool],
        nonsense: bytes,
        pieces: int,
    ) -> None:
        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = await host.open(wire)
            if pieces == 1:
                await wire.send(get(target) + nonsense)
            else:
                await wire.send(get(target))
                while not _pending(host):
                    await asyncio.sleep(0.001)
                await wire.send(nonsense)
            answer = await wire.rest()
            while not host.reasons:
                await asyncio.sleep(0.001)
            return [answer, *map(str.encode, host.reasons)]

        answer, reason = await both(story)
        assert answer.startswith(b"HTTP/1.1 400")
        assert reason == b"transport error"
        assert all(taken)

    @pytest.mark.parametrize("late", [0, 2])
    async def test_nonsense_behind_a_body(
        self, both: Callable[..., Awaitable[list[bytes]]], taken: list[bool], late: int
    ) -> None:
        """What was posted before it is handled, unless a part of it has come with the nonsense."""

        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = await host.open(wire)
            request = post(target, '420["echo",1]') + b"\x16\x03\x01"
            split = len(request) - 3 - late
            await wire.send(request[:split])
            if late:
                while not _posting(host):
                    await asyncio.sleep(0.001)
            await wire.send(request[split:])
            return [await wire.rest(), (await host.call().ask(get(target)))[-6:]]

        answers, polled = await both(story)
        assert answers.startswith(b"HTTP/1.1 400" if late else b"HTTP/1.1 200 OK")
        assert (b"\r\n\r\nokHTTP/1.1 400" in answers) is not bool(late)
        assert (polled == b"430[1]") is not bool(late)

    @pytest.mark.parametrize("sent", ["poll", "body"])
    async def test_a_client_that_goes_away_ends_its_session(
        self, host: Host, taken: list[bool], sent: str
    ) -> None:
        wire, other = host.call(), host.call()
        target = await host.open(wire)
        await other.send(get(target) if sent == "poll" else post(target, "12345")[:-2])
        while not (_pending(host) or _posting(host)):
            await asyncio.sleep(0.001)
        other.close()
        while not host.reasons:
            await asyncio.sleep(0.001)
        assert host.reasons == ["transport error"]
        assert all(taken)

    async def test_a_body_that_does_not_come(
        self,
        both: Callable[..., Awaitable[list[bytes]]],
        monkeypatch: pytest.MonkeyPatch,
        taken: list[bool],
    ) -> None:
        monkeypatch.setattr(messages, "BODY_TIMEOUT", 0.05)

        async def story(host: Host) -> list[bytes]:
            wire = host.call()
            target = await host.open(wire)
            await wire.send(post(target, "12345")[:-2])
            return [await wire.rest(), *map(str.encode, host.reasons)]

        answer, reason = await both(story, origins="*")
        assert answer.startswith(b"HTTP/1.1 408")
        assert reason == b"transport error"
        assert all(taken)

    async def test_who_asks_for_nothing_more_is_let_go(self, taken: list[bool]) -> None:
        listen = {"timeout_keep_alive": 0.05}
        async with hosting(road=True, listen=listen) as host:
            wire, poll = host.call(), host.call()
            target = await host.open(wire)
            await poll.send(get(target))
            assert await wire.rest() == b""
            assert _pending(host)
            host.sockets[0].emit("news")
            assert b'42["news"]' in await poll.rest()
        assert all(taken)

    async def test_who_was_slow_to_read_is_let_go_later(self, taken: list[bool]) -> None:
        async with hosting(road=True, listen={"timeout_keep_alive": 1}) as host:
            wire = host.call(buffer=4096)
            target = await host.open(wire)
            host.sockets[0].emit("news", "x" * 8_000_000)
            await wire.send(get(target))
            assert len(await wire.answer()) > 8_000_000
            assert await wire.rest() == b""
        assert all(taken)

    async def test_a_session_that_is_not_read_holds_the_answer(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
    ) -> None:
        monkeypatch.setattr(polling, "PAUSE", 0.001)
        wire, other = host.call(), host.call()
        target = await host.open(wire)
        (session,) = _sessions(host)
        host.sockets[0].on("pause", session.pause)
        await other.send(post(target, '42["pause"]\x1e420["echo",1]'))
        while not session.paused:
            await asyncio.sleep(0.001)
        await wire.send(get(target))
        await asyncio.sleep(0.01)
        assert _posting(host)
        assert _pending(host)
        session.resume()
        assert (await other.answer()).endswith(b"ok")
        assert (await wire.answer()).endswith(b"430[1]")
        assert all(taken)

    async def test_others_get_a_turn_during_a_long_payload(self, host: Host) -> None:
        wire, other = host.call(), host.call()
        target = await host.open(wire)
        body = "\x1e".join(['42["echo",1]'] * 2500)
        turns = 0
        await other.send(post(target, body))
        while not _posting(host):
            await asyncio.sleep(0)
        while _posting(host):
            turns += 1
            await asyncio.sleep(0)
        assert turns >= 2
        assert (await other.answer()).endswith(b"ok")

    async def test_who_does_not_read_is_not_listened_to(
        self, host: Host, taken: list[bool]
    ) -> None:
        wire = host.call(buffer=4096)
        target = await host.open(wire)
        host.sockets[0].emit("news", "x" * 8_000_000)
        taken.clear()
        await wire.send(get(target) + post(target, '420["echo",1]'))
        await asyncio.sleep(0.05)
        assert taken == [True]
        news = await wire.answer()
        assert len(news) > 8_000_000
        assert (await wire.answer()).endswith(b"ok")
        assert taken == [True, True]

    async def test_the_end_of_the_server_is_told(self, taken: list[bool]) -> None:
        ends: list[list[bytes]] = []
        for road in (False, True):
            async with hosting(road=road) as host:
                wire, idle = host.call(), host.call()
                target = await host.open(wire)
                await idle.ask(post(target, "3"))
                await wire.send(get(target))
                while not _pending(host):
                    await asyncio.sleep(0.001)
                server: Any = host.io
                stopping = asyncio.ensure_future(server._stop_listening())
                ends.append([plain(await wire.rest()), await idle.rest()])
                await stopping
                assert host.reasons == ["server shutting down"]
        assert ends[0] == ends[1]
        assert b"connection: close" in ends[0][0]
        assert ends[0][0].endswith(b"\r\n\r\n1")

    async def test_nothing_is_left_of_a_client(self, host: Host) -> None:
        wire, poll = host.call(), host.call()
        target = await host.open(wire)
        await poll.send(get(target))
        while not _pending(host):
            await asyncio.sleep(0.001)
        (session,) = _sessions(host)
        alive = weakref.ref(session)
        del session
        host.sockets.clear()
        gc.collect()
        gc.disable()
        try:
            poll.close()
            wire.close()
            while alive() is not None:
                await asyncio.sleep(0.001)
        finally:
            gc.enable()
        assert host.reasons == ["transport error"]


async def test_over_tls(taken: list[bool], tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("here")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    chain.write_bytes(b"".join([pem.bytes() for pem in certificate.cert_chain_pems]))
    certificate.private_key_pem.write_to_path(key)
    context = ssl.create_default_context(cadata=authority.cert_pem.bytes().decode())
    io = Server()
    await io.listen(port=0, ssl_certfile=str(chain), ssl_keyfile=str(key))
    try:
        reader, writer = await asyncio.open_connection(
            "127.0.0.1", io.port, ssl=context, server_hostname="here"
        )
        for origin, status in (("https://here", 200), ("http://here", 403), ("https://here", 200)):
            writer.write(get(HANDSHAKE, f"Origin: {origin}"))
            head = await reader.readuntil(b"\r\n\r\n")
            assert head.startswith(b"HTTP/1.1 %d" % status)
            await reader.readuntil(b"}")
        large = get(HANDSHAKE) + get("/elsewhere") + get(HANDSHAKE)
        writer.write(large)
        for wanted in (b"}", b"Not Found", b"}"):
            await reader.readuntil(wanted)
        engine: Any = io.engine
        assert {each.request.secure for each in engine._engine.sessions.values()} == {True}
        writer.close()
    finally:
        await io.close()
    assert taken == [True, False, True, True, False]


class TestHeads:
    async def test_what_is_remembered_is_bounded(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, taken: list[bool]
    ) -> None:
        monkeypatch.setattr(polling_requests, "REMEMBERED", 5000)
        wire = host.call()
        target = await host.open(wire)
        for number in range(20):
            answer = await wire.ask(post(target, "3", f"X-Number: {number}"))
            assert answer.endswith(b"ok")
        heads: dict[Any, Any] = vars(ROADS[-1])["_facts"]
        assert 0 < len(heads) < 10
        assert all(taken)

    async def test_origins_that_are_set_later_count(self, taken: list[bool]) -> None:
        async with hosting(road=True) as host:
            wire = host.call()
            line = f"Origin: {ORIGIN}"
            assert b"403" in await wire.ask(get(HANDSHAKE, line))
            assert isinstance(host.io, Server)
            host.io.origins = [ORIGIN]
            assert b"access-control-allow-origin" in await wire.ask(get(HANDSHAKE, line))

    async def test_a_path_that_is_set_later_counts(self, taken: list[bool]) -> None:
        async with hosting(road=True) as host:
            wire = host.call()
            taken.clear()
            assert isinstance(host.io, Server)
            host.io.path = "/other"
            assert b"404" in await wire.ask(get(HANDSHAKE))
            assert b"200" in await wire.ask(get(HANDSHAKE.replace("socket.io", "other")))
        assert taken == [False, True]
