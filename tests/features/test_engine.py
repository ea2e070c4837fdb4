"""The engine below: ids, hooks, middleware, cookies, compression, its sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from telex import ConfigurationError, EngineServer, EngineSocket, Request, Server, Socket
from tests.features.scripts import Calls, Site
from tests.support.raw import exchange, request

BOTH = pytest.mark.parametrize("transport", ["polling", "websocket"])

App = Callable[[Any, Any, Any], Awaitable[None]]


@BOTH
async def test_ids_of_ones_own(site: Site, transport: str) -> None:
    """`engine.generateId` of the seed; plain or async, made of the request if one likes."""
    io = Server()
    count = iter(range(10))

    def custom(request: Request) -> str:
        return f"custom:id:{request.query['who']}:{next(count)}"

    async def custom_later(request: Request) -> str:
        await asyncio.sleep(0)
        return f"later:{next(count)}"

    io.engine.generate_id = custom
    assert io.engine.generate_id is custom
    page = await site.page(io)
    code = """
        const socket = await connect("/", { transports: [transport], query: { who: "ana" } });
        return [socket.io.engine.id, socket.id];
    """
    engine_id, socket_id = await page.run(code, transport=transport)
    assert engine_id == "custom:id:ana:0"
    assert socket_id != engine_id  # the id of the engine is a credential
    io.engine.generate_id = custom_later
    engine_id, _ = await page.run(code, transport=transport)
    assert engine_id == "later:1"


@BOTH
async def test_ids_that_cannot_be(
    site: Site, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A function that fails, an id that is taken, one that is none."""
    io = Server()
    answers: list[Any] = [RuntimeError("no ids left"), "", None, "taken", "taken"]

    def custom(_: Request) -> Any:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    io.engine.generate_id = custom
    page = await site.page(io)
    assert await page.run(
        """
        const outcomes = [];
        for (let i = 0; i < 5; i++) {
          const socket = open("/", { transports: [transport] });
          outcomes.push(await Promise.race([
            once(socket, "connect").then(() => "connected"),
            once(socket, "connect_error").then(() => "refused"),
          ]));
        }
        return outcomes;
        """,
        transport=transport,
    ) == ["refused", "refused", "refused", "connected", "refused"]
    assert "no ids left" in caplog.text


async def test_engine_ids_as_socket_ids(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    """`id_source="engine"`: as in 2.x, for everybody; a warning says what that means."""
    io = Server(id_source="engine")
    io.of("/chat")
    assert "take over the session" in caplog.text
    io.engine.generate_id = lambda _: "custom:id:1"
    page = await site.page(io)
    assert await page.run("""
        const socket = await connect();
        const chat = await share(socket, "/chat");
        return [socket.id, chat.id];
    """) == ["custom:id:1", "/chat#custom:id:1"]


@BOTH
async def test_headers_of_answers(site: Site, transport: str) -> None:
    """`initial_headers` once per session, `headers` with every answer."""
    io = Server()
    initial, every = Calls(), Calls()

    @io.engine.on("initial_headers")
    def initial_headers(headers: list[tuple[str, str]], request: Request) -> None:
        initial(request.query.get("sid"))
        headers.append(("Set-Cookie", "test=123; path=/"))

    @io.engine.on("headers")
    def headers(headers: list[tuple[str, str]], request: Request) -> None:
        every(request.query.get("sid"))
        headers.append(("X-Test", request.query["transport"]))

    page = await site.page(io)
    if transport == "polling":
        first, second = await page.run("""
            const query = "/socket.io/?EIO=4&transport=polling";
            const first = await request(query);
            const { sid } = JSON.parse(first.text.slice(1));
            const posted = await request(`${query}&sid=${sid}`, { method: "POST", body: "40" });
            const second = await request(`${query}&sid=${sid}`);
            return [first.headers, second.headers];
        """)
        assert first["set-cookie"] == ["test=123; path=/"]
        assert first["x-test"] == "polling"
        assert "set-cookie" not in second
        assert second["x-test"] == "polling"
        assert len(every.all) == 3
    else:
        headers_seen = await page.run("""
            const socket = open();
            const { ws } = socket.io.engine.transport;
            const [response] = await once(ws, "upgrade");
            await once(socket, "connect");
            return response.headers;
        """)
        assert headers_seen["set-cookie"] == ["test=123; path=/"]
        assert headers_seen["x-test"] == "websocket"
        assert len(every.all) == 1
    assert initial.all == [(None,)]


async def test_subprotocols(site: Site) -> None:
    """JavaScript's `protocols`: a client is answered with one of those it has offered."""
    code = """
        const socket = await connect("/", { transports: ["websocket"], protocols: ["v2", "v1"] });
        return socket.io.engine.transport.ws.protocol;
    """
    assert await (await site.page(Server())).run(code) == "v2"

    def last(offered: list[str], request: Request) -> str:
        return offered[-1] if request.query["transport"] == "websocket" else ""

    assert await (await site.page(Server(handle_protocols=last))).run(code) == "v1"


async def test_the_events_of_an_engine_on_its_own() -> None:
    """An `EngineServer` takes them itself, and through `engine`."""
    engine = EngineServer(origins=["https://a.example"])
    seen: list[str] = []

    @engine.on("initial_headers")
    def initial_headers(headers: list[tuple[str, str]], request: Request) -> None:
        headers.append(("x-initial", "yes"))

    @engine.on("connection_error")
    def connection_error(info: Any) -> None:
        seen.append(info.message)

    def every(headers: list[tuple[str, str]], request: Request) -> None:
        headers.append(("x-every", "yes"))

    def opened(socket: EngineSocket) -> None:
        seen.append("opened")

    assert engine.on("headers", every) is engine
    engine.engine.on("connection", opened)
    with pytest.raises(ConfigurationError, match="no event 'headres'"):
        engine.on("headres")
    await engine.listen(port=0)
    assert engine.port is not None
    target = "/engine.io/?EIO=4&transport=polling"
    answer = await asyncio.to_thread(exchange, engine.port, request("GET", target))
    assert (answer.header("x-initial"), answer.header("x-every")) == ("yes", "yes")
    evil = request("GET", target, [("Origin", "https://evil.example")])
    assert (await asyncio.to_thread(exchange, engine.port, evil)).status == 403
    await engine.close()
    assert seen[0] == "opened"
    assert "https://evil.example is not allowed" in seen[1]


async def test_handlers_of_the_engine_are_plain_functions() -> None:
    io = Server()

    async def headers(headers: Any, request: Any) -> None: ...

    with pytest.raises(ConfigurationError, match="plain functions"):
        io.engine.on("headers", headers)
    with pytest.raises(ConfigurationError, match="no event 'flush'"):
        io.engine.on("flush", print)


async def test_connection_errors_are_told(site: Site) -> None:
    """`connection_error` with code, message, request and context, for every refusal."""
    io = Server(allow_eio3=False)
    errors = Calls()
    io.engine.on("connection_error", errors)
    page = await site.page(io)
    answers = await page.run("""
        const answers = [];
        for (const [query, options] of [
          ["EIO=4&transport=unknown"], ["EIO=4&transport=constructor"],
          ["EIO=4&transport=__proto__"],
          ["EIO=4&transport=polling&sid=unknown"], ["EIO=4&transport=polling", { method: "POST" }],
          ["EIO=4&transport=polling", { headers: { origin: "a b" } }],
          ["EIO=4&transport=polling", { headers: { origin: "http://evil.example" } }],
          ["EIO=3&transport=polling"], ["transport=polling"], ["EIO=4&transport=websocket"],
        ]) {
          const { status, text } = await request("/socket.io/?" + query, options);
          answers.push([status, JSON.parse(text)]);
        }
        return answers;
    """)
    codes = [0, 0, 0, 1, 2, 3, 4, 5, 5, 3]
    assert [answer["code"] for _, answer in answers] == codes
    assert [status for status, _ in answers] == [403 if code == 4 else 400 for code in codes]
    infos = errors.first
    assert [info.code for info in infos] == codes
    assert [info.message for info in infos] == [answer["message"] for _, answer in answers]
    assert infos[0].context == {"transport": "unknown"}
    assert infos[3].context == {"sid": "unknown"}
    assert infos[4].context == {"method": "POST"}
    assert infos[5].context["name"] == "INVALID_ORIGIN"
    assert infos[0].request.query["transport"] == "unknown"


async def test_a_refusal_reaches_the_client(site: Site) -> None:
    """`allow_request`: plain or async, a reason or a plain no; both transports."""
    verdicts: list[Any] = [True, False, "too many", RuntimeError("secret")]
    verdicts += [True, False, "too many", False, "too many"]

    async def allow_request(request: Request) -> Any:
        await asyncio.sleep(0)
        verdict = verdicts.pop(0)
        if isinstance(verdict, Exception):
            raise verdict
        return verdict

    page = await site.page(Server(allow_request=allow_request))
    assert await page.run("""
        const outcomes = [];
        for (const [transport, count] of [["polling", 4], ["websocket", 3]]) {
          for (let i = 0; i < count; i++) {
            const socket = open("/", { transports: [transport] });
            outcomes.push(await Promise.race([
              once(socket, "connect").then(() => "connected"),
              once(socket, "connect_error").then(([{ message, description }]) =>
                transport === "websocket" ? message : description),
            ]));
          }
        }
        for (let i = 0; i < 2; i++) {
          const { text } = await request("/socket.io/?EIO=4&transport=polling");
          outcomes.push(JSON.parse(text));
        }
        return outcomes;
    """) == [
        *("connected", 403, 403, 403),
        *("connected", "websocket error", "websocket error"),
        {"code": 4, "message": "Forbidden"},
        {"code": 4, "message": "too many"},
    ]


async def test_a_plain_allow_request(site: Site) -> None:
    def allow_request(request: Request) -> bool:
        return "x-key" in request.headers

    page = await site.page(Server(allow_request=allow_request))
    assert await page.run("""
        const [error] = await once(open(), "connect_error");
        return [error.message, (await connect("/", { extraHeaders: { "X-Key": "1" } })).connected];
    """) == ["websocket error", True]


@BOTH
async def test_engine_middleware(site: Site, transport: str) -> None:
    """`io.engine.use`: ASGI middleware around every request, the first one outermost."""
    io = Server()
    seen: list[str] = []

    def naming(app: App, *, name: str) -> App:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            seen.append(f"{name} {scope['type']}")
            scope["state"] = {**scope.get("state", {}), name: True}
            await app(scope, receive, send)

        return wrapped

    io.engine.use(naming, name="first")
    io.engine.use(naming, name="second")
    connection = Calls()
    io.on("connection", connection)
    page = await site.page(io)
    await page.run("await connect('/', { transports: [transport] })", transport=transport)
    kind = "http" if transport == "polling" else "websocket"
    assert seen[:2] == [f"first {kind}", f"second {kind}"]
    [socket] = connection.first
    assert socket.request.scope["state"] == {"first": True, "second": True}


@BOTH
async def test_engine_middleware_may_answer_itself(site: Site, transport: str) -> None:
    io = Server()

    def keys_only(app: App) -> App:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            if dict(scope["headers"]).get(b"x-key") == b"1":
                await app(scope, receive, send)
            elif scope["type"] == "websocket":
                await receive()
                await send({"type": "websocket.close", "code": 1008})
            else:
                await send({"type": "http.response.start", "status": 503, "headers": []})
                await send({"type": "http.response.body", "body": b"no key"})

        return wrapped

    io.engine.use(keys_only)
    page = await site.page(io)
    assert await page.run(
        """
        const options = { transports: [transport] };
        const [error] = await once(open("/", options), "connect_error");
        const socket = await connect("/", { ...options, extraHeaders: { "X-Key": "1" } });
        return [error.message, await new Promise((resolve) => resolve(socket.connected))];
        """,
        transport=transport,
    ) == ["xhr poll error" if transport == "polling" else "websocket error", True]


@BOTH
async def test_engine_middleware_that_fails(
    site: Site, transport: str, caplog: pytest.LogCaptureFixture
) -> None:
    """It is the host's business: 500, and a line in its log; nothing private is told."""
    io = Server()

    def failing(app: App) -> App:
        async def wrapped(scope: Any, receive: Any, send: Any) -> None:
            raise RuntimeError("password of the database")

        return wrapped

    io.engine.use(failing)
    page = await site.page(io)
    told = await page.run(
        """
        const socket = open("/", { transports: [transport] });
        const [error] = await once(socket, "connect_error");
        const { status, text } = await request("/socket.io/?EIO=4&transport=polling");
        return [error.message, status, text];
        """,
        transport=transport,
    )
    assert told[1:] == [500, "Internal Server Error"]
    assert told[0] == ("xhr poll error" if transport == "polling" else "websocket error")
    assert "password of the database" in caplog.text
    assert io.engine.clients_count == 0


@pytest.mark.parametrize(
    ("cookie", "header"),
    [
        (True, "io=SID; Path=/; HttpOnly; SameSite=Lax"),
        ("woot", "woot=SID; Path=/; HttpOnly; SameSite=Lax"),
        ({"name": "woot", "path": "/custom"}, "woot=SID; Path=/custom; HttpOnly; SameSite=Lax"),
        ({"path": False}, "io=SID; HttpOnly; SameSite=Lax"),
        ({"http_only": False, "same_site": "strict"}, "io=SID; Path=/; SameSite=Strict"),
        (
            {"domain": "a.example", "secure": True, "same_site": "none", "max_age": 60},
            "io=SID; Max-Age=60; Domain=a.example; Path=/; HttpOnly; Secure; SameSite=None",
        ),
        (
            {"secure": True, "partitioned": True, "same_site": False},
            "io=SID; Path=/; HttpOnly; Secure; Partitioned",
        ),
        (False, None),
    ],
)
async def test_the_session_cookie(site: Site, cookie: Any, header: str | None) -> None:
    """Once per session, with every attribute."""
    page = await site.page(Server(cookie=cookie))
    sid, first, second = await page.run("""
        const query = "/socket.io/?EIO=4&transport=polling";
        const first = await request(query);
        const { sid } = JSON.parse(first.text.slice(1));
        await request(`${query}&sid=${sid}`, { method: "POST", body: "40" });
        const second = await request(`${query}&sid=${sid}`);
        return [sid, first.headers["set-cookie"] ?? [], second.headers["set-cookie"] ?? []];
    """)
    assert first == ([] if header is None else [header.replace("SID", sid)])
    assert second == []


async def test_the_cookie_comes_back(site: Site) -> None:
    """The client keeps it (`withCredentials`) and shows it with each of its requests."""
    io = Server(cookie={"name": "node", "max_age": 60})
    shown = Calls()

    @io.engine.on("headers")
    def headers(headers: list[tuple[str, str]], request: Request) -> None:
        shown(request.headers.get("cookie"))

    page = await site.page(io)
    sid = await page.run("""
        const transports = ["polling"];
        const socket = await connect("/", { transports, withCredentials: true });
        return socket.io.engine.id;
    """)
    assert shown.all[0] == (None,)
    assert set(shown.all[1:]) == {(f"node={sid}",)}


async def test_compression_of_polling_answers(site: Site) -> None:
    """From 1 KiB on, for those who read gzip, unless `compress(False)` says otherwise."""
    io = Server()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("ask")
        def ask(size: int, compress: bool) -> None:
            socket.compress(compress).emit("answer", "a" * size)

    page = await site.page(io)
    code = """
        const query = "/socket.io/?EIO=4&transport=polling";
        const headers = encoding ? { "accept-encoding": encoding } : {};
        const { sid } = JSON.parse((await request(query)).text.slice(1));
        const post = (body) => request(`${query}&sid=${sid}`, { method: "POST", body });
        await post("40");
        await request(`${query}&sid=${sid}`);
        await post(`42["ask",${size},${compress}]`);
        const answer = await request(`${query}&sid=${sid}`, { headers });
        return [answer.headers["content-encoding"] ?? null, answer.bytes.length];
    """
    for encoding, size, compress, expected in (
        ("gzip, deflate", 2000, True, "gzip"),
        ("gzip;q=0", 2000, True, None),
        ("", 2000, True, None),
        ("gzip", 10, True, None),
        ("gzip", 2000, False, None),
    ):
        coding, length = await page.run(code, encoding=encoding, size=size, compress=compress)
        assert coding == expected, (encoding, size, compress)
        assert (length < 1000) is (coding == "gzip" or size == 10)

    page = await site.page(Server(http_compression=False))
    assert await page.run("""
        const headers = { "accept-encoding": "gzip" };
        return (await request("/socket.io/?EIO=4&transport=polling", { headers })).headers;
    """) | {"content-encoding": None} == await page.run("""
        const { headers } = await request("/socket.io/?EIO=4&transport=polling");
        return { ...headers, "content-encoding": null };
    """)


@pytest.mark.parametrize("deflate", [True, False])
async def test_compression_of_websockets(site: Site, deflate: bool) -> None:
    """Node: `perMessageDeflate`, off unless asked for."""
    io = Server(per_message_deflate=deflate)
    assert io.front.per_message_deflate is deflate

    @io.on("connection")
    def connection(socket: Socket) -> None:
        @socket.on("echo")
        def echo(data: str, raw: bytes) -> tuple[str, bytes]:
            return data, raw

    page = await site.page(io)
    extensions, answer, received = await page.run("""
        const socket = await connect();
        const data = "a".repeat(100000);
        const raw = Buffer.alloc(100000, 5);
        const { ws } = socket.io.engine.transport;
        const before = ws._socket.bytesRead;
        const answer = await new Promise((resolve) =>
          socket.emit("echo", data, raw, (text, bytes) =>
            resolve(text === data && raw.equals(Buffer.from(bytes)))));
        return [ws.extensions, answer, ws._socket.bytesRead - before];
    """)
    assert answer
    assert extensions.startswith("permessage-deflate") is deflate
    assert (received < 50000) is deflate


async def test_the_address_behind_a_trusted_proxy(site: Site) -> None:
    """`X-Forwarded-For` counts only if it comes from a proxy that is trusted."""
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    code = """
        const extraHeaders = { "X-Forwarded-For": "203.0.113.7" };
        await connect("/", { extraHeaders });
        await connect("/", { extraHeaders, transports: ["polling"] });
    """
    page = await site.page(io, forwarded_allow_ips="127.0.0.1")
    await page.run(code)
    assert {socket.remote_address for socket in connection.first} == {"203.0.113.7"}
    assert {socket.handshake.address for socket in connection.first} == {"203.0.113.7"}

    strict = Server()
    connection = Calls()
    strict.on("connection", connection)
    page = await site.page(strict, forwarded_allow_ips="192.0.2.1")
    await page.run(code)
    assert {socket.remote_address for socket in connection.first} == {"127.0.0.1"}


async def test_the_sockets_of_the_engine(site: Site) -> None:
    """`socket.conn`: transport, protocol, and the events of the seed."""
    io = Server()
    seen: list[Any] = []
    closed = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        conn = socket.conn
        seen.append(("initial transport", conn.transport.name, conn.protocol, conn.ready_state))

        @conn.once("upgrade")
        def upgrade(name: str) -> None:
            seen.append(("upgraded transport", name, conn.transport.name))

        @conn.on("packet")
        def packet(packet: dict[str, Any]) -> None:
            seen.append(("packet", packet["type"], packet["data"]))

        @conn.on("packet_create")
        def packet_create(packet: dict[str, Any]) -> None:
            seen.append(("packet_create", packet["type"], packet["data"]))

        drained = Calls()
        conn.once("drain", drained)
        conn.on("close", closed)

        @socket.on("ask")
        def ask(data: bytes) -> bytes:
            assert drained.all == [()]
            return data

    page = await site.page(io)
    await page.run("""
        const socket = await upgraded(
          await connect("/", { transports: ["polling", "websocket"] }));
        await socket.emitWithAck("ask", Buffer.from([1, 2]));
        socket.io.engine.close();
    """)
    assert await closed.next() == ("transport close",)
    assert seen[0] == ("initial transport", "polling", 4, "open")
    assert ("upgraded transport", "websocket", "websocket") in seen
    assert ("packet", "message", '51-0["ask",{"_placeholder":true,"num":0}]') in seen
    assert ("packet", "message", b"\x01\x02") in seen
    assert ("packet_create", "message", '61-0[{"_placeholder":true,"num":0}]') in seen
    assert ("packet_create", "message", b"\x01\x02") in seen


async def test_the_engine_hears_of_connections(site: Site) -> None:
    io = Server()
    opened = Calls()
    io.engine.on("connection", opened)
    page = await site.page(io)
    engine_id = await page.run("return (await connect()).io.engine.id")
    [conn] = opened.first
    assert conn.id == engine_id
    await opened.next()
    await page.run("page.socket = await connect()")
    [conn] = await opened.next()
    ended = await page.begin("return (await once(page.socket, 'disconnect'))[0]")
    conn.close()
    assert await ended == "transport close"


async def test_the_engine_on_its_own(site: Site) -> None:
    """Engine.IO without Socket.IO: text and bytes, both ways, and how it ends."""
    engine = EngineServer(path="/engine.io")
    closed = Calls()

    @engine.on("connection")
    def connection(socket: EngineSocket) -> None:
        socket.on("close", closed)

        @socket.on("message")
        def message(data: str | bytes) -> None:
            socket.send(data)

    await engine.listen(port=0)
    try:
        page = site.page_at(f"http://127.0.0.1:{engine.port}")
        assert (
            await page.run("""
            const answers = [];
            for (const transport of ["polling", "websocket"]) {
              const socket = new eio.Socket(url, { transports: [transport], path: "/engine.io" });
              await once(socket, "open");
              socket.send("text €");
              answers.push((await once(socket, "message"))[0]);
              socket.send(Buffer.from([1, 255]));
              answers.push((await once(socket, "message"))[0]);
              socket.close();
            }
            return answers;
        """)
            == ["text €", b"\x01\xff"] * 2
        )
        assert await closed.next() == ("transport close",)
        assert await closed.next() == ("transport close",)
        assert engine.clients_count == 0
    finally:
        await engine.close()


@BOTH
async def test_headers_of_the_client(site: Site, transport: str) -> None:
    """Node: `extraHeaders`; they are those of the request and of the handshake."""
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    page = await site.page(io)
    await page.run(
        "await connect('/', { transports: [transport], extraHeaders: { 'X-Custom': 'Ünïcode' } })",
        transport=transport,
    )
    [socket] = connection.first
    for headers in (socket.request.headers, socket.handshake.headers):
        assert headers["x-custom"] == headers["X-CUSTOM"] == "Ünïcode"
