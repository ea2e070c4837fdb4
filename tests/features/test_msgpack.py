"""The msgpack parser, with the JavaScript client's own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from telex import ConnectError, Server, Socket
from tests.features.scripts import Calls, Site

BOTH = pytest.mark.parametrize("transport", ["polling", "websocket"])


@BOTH
async def test_events_and_acknowledgements(site: Site, transport: str) -> None:
    """All kinds of values, in both directions; bytes need no attachments."""
    io = Server(parser="msgpack")
    values: list[Any] = [
        *(None, True, False, 0, -1, 127, 128, 65536, 2**31, 2**53 - 1, -(2**53) + 1, 1.5, 1e-7),
        *("", "€ 😀", "x" * 300, [], [1, [2]], {}, {"a": {"b": None}}, b"", b"\x00\xff" * 200),
    ]

    @io.event
    def echo(socket: Socket, *args: Any) -> tuple[Any, ...]:
        socket.emit("echo", *args)
        return args

    page = await site.page(io, "msgpack")
    told, answered = await page.run(
        """
        const socket = await connect("/", { transports: [transport] });
        const told = once(socket, "echo");
        const answered = new Promise((resolve) =>
          socket.emit("echo", ...values, (...answer) => resolve(answer)));
        return [await told, await answered];
        """,
        transport=transport,
        values=values,
    )
    assert told == values
    assert answered == values


async def test_dates_and_undefined(site: Site) -> None:
    """JavaScript's dates are dates on both sides, which JSON cannot do."""
    io = Server(parser="msgpack")
    received = Calls()
    io.event("dates")(received)
    page = await site.page(io, "msgpack")
    await page.run("""
        page.socket = await connect();
        const { buffer } = new Uint8Array([1, 2]);
        page.socket.emit("dates", new Date(1924990245678), undefined, buffer);
    """)
    _, date, undefined, buffer = await received.next()
    moment = datetime(2030, 12, 31, 23, 30, 45, 678000, UTC)
    assert [date, undefined, buffer] == [moment, None, b"\x01\x02"]
    dates = await page.begin("return await once(page.socket, 'more')")
    io.emit("more", moment, {"in": [moment]})
    assert await dates == [{"$date": 1924990245678}, {"in": [{"$date": 1924990245678}]}]


async def test_buffers_as_long_as_dates(site: Site) -> None:
    """Buffers and typed arrays of 8 bytes are no dates, those of one byte not `undefined`."""
    io = Server(parser="msgpack")
    received = Calls()
    io.event("buffers")(received)
    page = await site.page(io, "msgpack")
    await page.run("""
        page.socket = await connect();
        const { buffer } = new Uint8Array(8);
        const floats = new Float64Array([1.5]);
        const short = new Uint8Array([0]);
        page.socket.emit("buffers", buffer, new Date(0), [{ floats, short }], undefined, short);
    """)
    floats = bytes.fromhex("000000000000f83f")
    assert (await received.next())[1:] == (
        bytes(8),
        datetime(1970, 1, 1, tzinfo=UTC),
        [{"floats": floats, "short": b"\0"}],
        None,
        b"\0",
    )


async def test_the_rest_of_the_protocol(site: Site) -> None:
    """Namespaces, auth, refusals, rooms, broadcasts with answers, leaving."""
    io = Server(parser="msgpack")
    chat = io.of("/chat")
    gone = Calls()
    chat.event("disconnect")(gone)

    @chat.use
    def authenticate(socket: Socket) -> None:
        if socket.handshake.auth.get("token") != b"key":
            raise ConnectError("no", data={"bytes": b"\x01"})

    page = await site.page(io, "msgpack")
    assert await page.run("""
        const root = await connect();
        const [unknown] = await once(root.io.socket("/nowhere"), "connect_error");
        const [refused] = await once(open("/chat"), "connect_error");
        page.socket = await connect("/chat", { auth: { token: Buffer.from("key") } });
        page.socket.on("name?", (ack) => ack(Buffer.from("ana")));
        return [unknown.message, refused.message, refused.data];
    """) == ["Invalid namespace", "no", {"bytes": b"\x01"}]
    [socket] = chat.sockets.values()
    socket.join("room")
    assert await chat.to("room").timeout(5).emit_with_ack("name?") == [b"ana"]
    assert await socket.emit_with_ack("name?") == b"ana"
    await page.run("page.socket.disconnect()")
    assert await gone.next() == (socket, "client namespace disconnect")


async def test_recovery_over_msgpack(site: Site) -> None:
    io = Server(parser="msgpack", connection_state_recovery=True)
    gone = Calls()
    io.event("disconnect")(gone)
    page = await site.page(io, "msgpack")
    await page.run("""
        page.socket = await connect();
        page.socket.io.engine.transport.ws._socket.destroy();
    """)
    await gone.next()
    io.emit("missed", b"\x01")
    assert await page.run("""
        page.socket.connect();
        await once(page.socket, "connect");
        return page.socket.recovered;
    """)
    io.emit("done")
    [event] = await page.run("return await until(page.socket, 'done')")
    assert event[:2] == ["missed", b"\x01"]


async def test_a_client_that_speaks_json_is_sent_away(site: Site) -> None:
    """Both ends have to use the same parser."""
    io = Server(parser="msgpack")
    page = await site.page(io)
    assert await page.run("""
        const socket = open();
        const [reason] = await once(socket.io, "close");
        return [reason, socket.connected];
    """) == ["transport close", False]
