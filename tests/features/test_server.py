"""The server: how it is made, its options, what it serves."""

from __future__ import annotations

import gzip
import json
from typing import Any

import pytest

from telex import ConfigurationError, EngineServer, Server, Socket, UnknownOptionError
from telex.adapter.memory import InMemoryAdapter
from telex.client_bundle import FILES, directory, version
from tests.features.scripts import Calls, Page, Site


async def hello(scope: Any, receive: Any, send: Any) -> None:
    """Another ASGI application."""
    if scope["type"] == "lifespan":
        while (message := await receive())["type"] != "lifespan.shutdown":
            await send({"type": f"{message['type']}.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"hello from " + scope["path"].encode()})


async def test_the_ways_to_make_one(site: Site) -> None:
    """With another application, with a port, with options only, with nothing."""
    page = await site.page(Server(hello, path="/test"))
    assert await page.run("""
        const { text } = await request("/index.html");
        return [text, (await connect("/", { path: "/test" })).connected];
    """) == ["hello from /index.html", True]
    attached = Server()
    assert attached.attach(hello) is attached
    page = await site.page(attached)
    assert await page.run("""
        const { text } = await request("/elsewhere");
        return [text, (await connect()).connected];
    """) == ["hello from /elsewhere", True]
    assert Server(3000).path == "/socket.io"


async def test_a_port_given_first_is_the_one_of_listen(site: Site) -> None:
    free = Server()
    await free.listen(port=0)
    port = free.port
    await free.close()
    assert port is not None
    io = Server(port, serve_client=False)
    await io.listen()
    try:
        assert io.port == port
        page = site.page_at(f"http://127.0.0.1:{port}")
        assert await page.run("return (await connect()).connected")
    finally:
        await io.close()


async def test_what_is_no_application_is_refused() -> None:
    def flask(environ: Any, start_response: Any) -> list[bytes]:
        return []

    wrong: list[Any] = [flask, "module:app"]
    for app in wrong:
        with pytest.raises(ConfigurationError):
            Server(app)
        with pytest.raises(ConfigurationError):
            Server().attach(app)


async def test_misspelt_options_name_the_right_one() -> None:
    """`serverClient` is the spelling of one of the seeds."""
    for wrong, right in (
        ("serverClient", "serve_client"),
        ("pingTimeout", "ping_timeout"),
        ("maxHttpBufferSize", "max_http_buffer_size"),
        ("allowEIO3", "allow_eio3"),
        ("origin", "origins"),
    ):
        options: Any = {wrong: 1}
        with pytest.raises(UnknownOptionError, match=f"did you mean '{right}'"):
            Server(**options)


async def test_the_path(site: Site) -> None:
    """As an option and as a property; with and without a slash at its end."""
    io = Server()
    io.path = "/myownpath/"
    assert io.path == "/myownpath"
    page = await site.page(io)
    assert await page.run("""
        const statuses = [];
        for (const path of ["/socket.io/", "/myownpath/", "/myownpath", "/myownpathXYZ/"]) {
          statuses.push((await request(`${path}?EIO=4&transport=polling`)).status);
        }
        return [statuses, (await connect("/", { path: "/myownpath" })).connected];
    """) == [[404, 200, 200, 404], True]
    with pytest.raises(ConfigurationError, match="before the first connection"):
        io.path = "/too-late"


@pytest.mark.parametrize("name", sorted(FILES))
async def test_the_client_is_served(site: Site, name: str) -> None:
    """Every file, with its type, compressed if the client reads that, not twice if it has it."""
    folder = directory()
    assert folder is not None, "`make client` fetches the bundle"
    page = await site.page(Server())
    plain, packed, known = await page.run(
        """
        const path = `/socket.io/${name}`;
        const plain = await request(path);
        const { etag } = plain.headers;
        return [
          plain,
          await request(path, { headers: { "accept-encoding": "br, gzip" } }),
          [
            (await request(path, { headers: { "if-none-match": etag } })).status,
            (await request(path, { headers: { "if-none-match": `W/${etag}` } })).status,
            (await request(path + "?v=1")).status,
            (await request(path, { method: "HEAD" })).text,
          ],
        ];
        """,
        name=name,
    )
    content = (folder / name).read_bytes()
    assert plain["status"] == 200
    assert plain["bytes"] == content
    kind = "application/json" if name.endswith(".map") else "application/javascript"
    assert plain["headers"]["content-type"] == f"{kind}; charset=utf-8"
    assert plain["headers"]["etag"] == f'"{version()}"'
    assert plain["headers"]["cache-control"] == "public, max-age=0"
    assert packed["headers"]["content-encoding"] == "gzip"
    assert gzip.decompress(packed["bytes"]) == content
    assert known == [304, 304, 200, ""]


async def test_the_client_need_not_be_served(site: Site) -> None:
    io = Server(serve_client=False)
    assert not io.serve_client
    page = await site.page(io)
    status = "return (await request('/socket.io/socket.io.js')).status"
    assert await page.run(status) == 404
    io.serve_client = True
    assert await page.run(status) == 200


async def test_only_files_of_the_client_are_served(site: Site) -> None:
    page = await site.page(Server())
    assert (
        await page.run("""
        const statuses = [];
        for (const name of ["package.json", "VERSION", "../__init__.py", "%2e%2e/app.py", "x.js"]) {
          statuses.push((await request(`/socket.io/${name}`)).status);
        }
        return statuses;
    """)
        == [404] * 5
    )


async def open_packet(page: Page, query: str) -> Any:
    text = await page.run("return (await request('/socket.io/?' + query)).text", query=query)
    return json.loads(text[1:]) if text.startswith("0") else json.loads(text)


async def test_what_the_client_is_told_at_the_start(site: Site) -> None:
    """Durations in milliseconds, sizes in bytes; for old clients too."""
    page = await site.page(
        Server(ping_interval=10, ping_timeout=5, max_http_buffer_size=5000, cookie=False)
    )
    for revision in (4, 3):
        text = await page.run(
            "return (await request(`/socket.io/?EIO=${revision}&transport=polling&b64=1`)).text",
            revision=revision,
        )
        told = json.loads(text[text.index("{") :][: text.index("}") - text.index("{") + 1])
        del told["sid"]
        assert told == {
            "upgrades": ["websocket"],
            "pingInterval": 10000,
            "pingTimeout": 5000,
            "maxPayload": 5000,
        }
    defaults = await open_packet(await site.page(Server()), "EIO=4&transport=polling")
    assert defaults["pingInterval"] == 25000
    assert defaults["pingTimeout"] == 20000
    assert defaults["maxPayload"] == 1_000_000


async def test_transports(site: Site) -> None:
    page = await site.page(Server(transports=["websocket"]))
    assert await page.run("""
        const [error] = await once(open("/", { transports: ["polling"] }), "connect_error");
        return [error.message, error.description, (await connect()).connected];
    """) == ["xhr poll error", 400, True]
    page = await site.page(Server(transports="polling"))
    assert await page.run("""
        const [error] = await once(open(), "connect_error");
        const socket = await connect("/", { transports: ["polling", "websocket"] });
        await sleep(30);
        return [error.message, socket.io.engine.transport.name];
    """) == ["websocket error", "polling"]
    unknown: Any = ["flashsocket"]
    with pytest.raises(ConfigurationError, match="unknown transport"):
        Server(transports=unknown)


async def test_upgrades_may_be_off(site: Site) -> None:
    """Node only does not offer them then; telex refuses those who try anyway."""
    page = await site.page(Server(allow_upgrades=False))
    assert await page.run("""
        const socket = await connect("/", { transports: ["polling", "websocket"] });
        await sleep(30);
        const sid = socket.io.engine.id;
        const { status } = await request(`/socket.io/?EIO=4&transport=websocket&sid=${sid}`, {
          headers: {
            connection: "upgrade", upgrade: "websocket",
            "sec-websocket-version": "13", "sec-websocket-key": "x3JJHMbDL1EzLkh9GBhXDw==",
          },
        });
        return [socket.io.engine.transport.name, socket.connected, status];
    """) == ["polling", True, 400]


async def test_an_upgrade(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    assert await page.run("""
        const socket = await connect("/", { transports: ["polling", "websocket"] });
        await upgraded(socket);
        return socket.connected;
    """)


async def test_old_clients_may_be_kept_out(site: Site) -> None:
    """Node: `allowEIO3`, which is off there and on here."""
    url = await site.serve(Server(allow_eio3=False))
    assert await site.page_at(url, "2").run("""
        const [error] = await once(open("/", { transports: ["polling"] }), "connect_error");
        return [error.type, error.description];
    """) == ["TransportError", 400]
    answer = await open_packet(site.page_at(url), "EIO=3&transport=polling")
    assert answer == {"code": 5, "message": "Unsupported protocol version"}
    url = await site.serve(Server())
    assert await site.page_at(url, "2").run("return (await connect()).connected")


async def test_the_limit_of_attachments(site: Site) -> None:
    page = await site.page(Server(max_attachments=2))
    assert (
        await page.run("""
        const socket = await connect();
        socket.emit("two", Buffer.from([1]), Buffer.from([2]));
        const ended = once(socket, "disconnect");
        socket.emit("three", Buffer.from([1]), Buffer.from([2]), Buffer.from([3]));
        return (await ended)[0];
    """)
        == "transport close"
    )


async def test_a_parser_of_ones_own(site: Site) -> None:
    unknown: Any = "xml"
    with pytest.raises(ConfigurationError, match="parser must be"):
        Server(parser=unknown)
    from telex.parser.default import DEFAULT_PARSER

    page = await site.page(Server(parser=DEFAULT_PARSER))
    assert await page.run("return (await connect()).connected")


async def test_an_adapter_of_ones_own(site: Site) -> None:
    """As an option, and set as `io.adapter(redis(…))` in the seeds: one for each namespace."""
    made: list[str] = []

    class Counting(InMemoryAdapter):
        broadcasts = 0

        def broadcast(self, event: Any, target: Any) -> Any:
            Counting.broadcasts += 1
            return super().broadcast(event, target)

    def make(namespace: Any) -> Counting:
        made.append(namespace.name)
        return Counting(namespace)

    io = Server(adapter=make)
    chat = io.of("/chat")
    assert made == ["/", "/chat"]
    assert isinstance(chat.adapter, Counting)
    io.adapter = make
    assert sorted(made) == ["/", "/", "/chat", "/chat"]
    page = await site.page(io)
    await page.run("page.socket = await connect()")
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == []
    assert Counting.broadcasts == 1


async def test_counting_clients(site: Site) -> None:
    io = Server()
    page = await site.page(io)
    assert io.engine.clients_count == 0
    await page.run("page.a = await connect(); page.b = await connect(); page.b.disconnect()")
    await page.run("await sleep(20)")
    assert io.engine.clients_count == 1


async def test_socket_io_over_an_engine_of_ones_own(site: Site) -> None:
    """`io.bind(engine)` and `io.on_connection(engine_socket)`."""
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    engine = EngineServer(path="/socket.io")
    assert io.bind(engine) is io
    await engine.listen(port=0)
    try:
        page = site.page_at(f"http://127.0.0.1:{engine.port}")
        assert await page.run("return (await connect()).connected")
        assert len(connection.all) == 1
    finally:
        await engine.close()

    other = EngineServer(path="/socket.io")
    other.on("connection", io.on_connection)
    await other.listen(port=0)
    try:
        page = site.page_at(f"http://127.0.0.1:{other.port}")
        assert await page.run("return (await connect()).connected")
        assert len(connection.all) == 2
    finally:
        await other.close()


async def test_modules_find_the_server(site: Site) -> None:
    """`socket.server`, `namespace.server`: what code in another module needs."""
    io = Server()
    page = await site.page(io)

    @io.event
    def ask(socket: Socket) -> list[bool]:
        return [socket.server is io, socket.nsp.server is io, socket.adapter is socket.nsp.adapter]

    assert await page.run("return await (await connect()).emitWithAck('ask')") == [True] * 3
