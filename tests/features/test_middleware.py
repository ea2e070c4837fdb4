"""Middleware: who is let in."""

from __future__ import annotations

import asyncio

import pytest

from telex import ConfigurationError, ConnectError, Server, Socket
from tests.features.scripts import Calls, Site, until


async def test_middlewares_run_in_order_before_the_connection(site: Site) -> None:
    io = Server()
    seen: list[str] = []

    @io.use
    def first(socket: Socket) -> None:
        seen.append("first")
        assert not socket.connected
        assert socket.id not in io.sockets.sockets

    @io.use
    async def second(socket: Socket) -> None:
        await asyncio.sleep(0.02)
        seen.append("second")

    @io.use
    def third(socket: Socket) -> None:
        seen.append("third")

    @io.on("connection")
    def connection(socket: Socket) -> None:
        seen.append("connection")
        assert socket.connected

    page = await site.page(io)
    await page.run("await connect()")
    assert seen == ["first", "second", "third", "connection"]


async def test_a_refusal_says_why(site: Site) -> None:
    """`ConnectError` is told as it is: the message, and the data if there are any."""
    io = Server()
    later = Calls()

    @io.use
    async def authenticate(socket: Socket) -> None:
        if "token" not in socket.handshake.auth:
            raise ConnectError("not authorized", data={"content": "Please retry later"})
        if socket.handshake.auth["token"] != "abc":
            raise ConnectError("wrong token")

    io.use(later)
    io.on("connection", later)
    page = await site.page(io)
    assert await page.run("""
        const refused = async (options) => {
          const socket = open("/", options);
          const [error] = await once(socket, "connect_error");
          return [error instanceof Error, error.message, error.data, socket.active];
        };
        return [await refused({}), await refused({ auth: { token: "x" } })];
    """) == [
        [True, "not authorized", {"content": "Please retry later"}, False],
        [True, "wrong token", None, False],
    ]
    assert later.all == []
    assert await page.run("return (await connect('/', { auth: { token: 'abc' } })).connected")
    assert len(later.all) == 2


async def test_what_fails_tells_nothing_private(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Any other exception refuses, too; the log has the traceback, the client a neutral word."""
    io = Server()

    @io.use
    async def fails(socket: Socket) -> None:
        raise RuntimeError("password of the database")

    page = await site.page(io)
    message = await page.run("return (await once(open(), 'connect_error'))[0].message")
    assert "password" not in message
    assert message == "the connection was refused by the server"
    assert "password of the database" in caplog.text
    assert not io.sockets.sockets


async def test_a_refused_client_may_try_again(site: Site) -> None:
    """As the documentation of the client shows it: new credentials, then `connect()`."""
    io = Server()

    @io.use
    def authenticate(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != "abc":
            raise ConnectError("invalid credentials")

    page = await site.page(io)
    assert await page.run("""
        const socket = open("/", { auth: { token: "wrong" } });
        await once(socket, "connect_error");
        socket.auth.token = "abc";
        socket.connect();
        await once(socket, "connect");
        return socket.connected;
    """)


async def test_a_client_that_leaves_meanwhile_never_connects(site: Site) -> None:
    io = Server()
    connection, asked, finished = Calls(), Calls(), Calls()
    go_on = asyncio.Event()

    @io.use
    async def slow(socket: Socket) -> None:
        asked(socket)
        await go_on.wait()
        finished(socket)

    io.on("connection", connection)
    page = await site.page(io)
    await page.run("page.socket = open()")
    [socket] = await asked.next()
    await page.run("page.socket.io.engine.close()")
    await until(lambda: not io.engine.clients_count)
    go_on.set()
    await finished.next()
    assert connection.all == []
    assert not socket.connected
    assert not io.sockets.sockets


async def test_a_socket_that_is_not_let_in_yet_receives_nothing(site: Site) -> None:
    """Neither broadcasts nor what is sent to rooms it has asked for: it is in none."""
    io = Server()
    asked = Calls()
    let_in = asyncio.Event()

    @io.use
    async def slow(socket: Socket) -> None:
        socket.join("room")
        asked(socket)
        await let_in.wait()

    page = await site.page(io)
    await page.run("page.socket = open()")
    [socket] = await asked.next()
    io.emit("to all")
    io.to("room").emit("to the room")
    io.to(socket.id).emit("to the socket")
    assert await io.fetch_sockets() == []
    assert io.sockets.adapter.rooms() == {}
    let_in.set()
    await page.run("if (!page.socket.connected) await once(page.socket, 'connect')")
    io.to("room").emit("in the room")
    io.emit("done")
    assert await page.run("return await until(page.socket, 'done')") == [["in the room"]]


async def test_a_refused_socket_is_in_no_room(site: Site) -> None:
    io = Server()

    @io.use
    def refuse(socket: Socket) -> None:
        socket.join(["a", "b"])
        raise ConnectError("no")

    page = await site.page(io)
    await page.run("await once(open(), 'connect_error')")
    assert io.sockets.adapter.rooms() == {}


async def test_middleware_of_one_namespace_is_not_that_of_another(site: Site) -> None:
    io = Server()
    io.of("/open")
    asked = Calls()

    @io.of("/closed").use
    def refuse(socket: Socket) -> None:
        asked(socket.nsp.name)
        raise ConnectError("closed")

    page = await site.page(io)
    assert await page.run("""
        const root = await connect();
        const free = await share(root, "/open");
        const [error] = await once(root.io.socket("/closed"), "connect_error");
        return [root.connected, free.connected, error.message];
    """) == [True, True, "closed"]
    assert asked.first == ["/closed"]


async def test_a_connection_handler_that_fails_ends_the_connection(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    """Fail closed: a socket without its listeners is of no use."""
    io = Server()

    @io.on("connection")
    async def connection(socket: Socket) -> None:
        await asyncio.sleep(0)
        raise RuntimeError("half way")

    page = await site.page(io)
    assert await page.run("return (await once(open(), 'disconnect'))[0]") == "io server disconnect"
    assert "half way" in caplog.text


async def test_there_is_no_next(site: Site) -> None:
    """Node's second parameter: returning accepts, raising refuses."""
    io = Server()
    with pytest.raises(ConfigurationError, match="socket"):

        @io.use
        async def middleware(socket: Socket, next: object) -> None:  # noqa: A002 - as in Node
            ...


async def test_a_coroutine_middleware_accepts_by_returning(site: Site) -> None:
    """The example of the seed never calls `next()`, and never lets anybody in with Node."""
    io = Server()

    @io.use
    async def authenticate(socket: Socket) -> None:
        try:
            user = await fetch_user(socket)
            socket.data["user"] = user
        except KeyError:
            raise ConnectError("unknown user") from None

    async def fetch_user(socket: Socket) -> str:
        await asyncio.sleep(0)
        return str(socket.handshake.auth["user"])

    page = await site.page(io)
    assert await page.run("""
        const [error] = await once(open(), "connect_error");
        return [(await connect("/", { auth: { user: "ana" } })).connected, error.message];
    """) == [True, "unknown user"]


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_a_cookie_decides(site: Site, transport: str) -> None:
    """As in the seeds: `socket.request.headers.cookie`."""
    io = Server()

    @io.use
    def need_cookie(socket: Socket) -> None:
        if "cookie" not in socket.request.headers:
            raise ConnectError("Authentication error")

    page = await site.page(io)
    assert await page.run(
        """
        const transports = [transport];
        const [error] = await once(open("/", { transports }), "connect_error");
        const extraHeaders = { cookie: "user=ana" };
        return [(await connect("/", { transports, extraHeaders })).connected, error.message];
        """,
        transport=transport,
    ) == [True, "Authentication error"]
