"""The handshake: what a socket knows of the request that opened it."""

from __future__ import annotations

import re
import time
from typing import Any

import pytest

from telex import Request, Server
from tests.features.scripts import Calls, Site


@pytest.mark.parametrize("transport", ["polling", "websocket"])
async def test_the_handshake(site: Site, transport: str) -> None:
    io = Server(origins="*")
    connection = Calls()
    io.on("connection", connection)
    before = time.time() * 1000 - 1
    page = await site.page(io)
    await page.run(
        """
        await connect("/", {
          transports: [transport], query: { color: "red", empty: "", "ключ": "знач=&" },
          auth: { token: "123", nested: { a: [1] } }, extraHeaders: { Origin: "https://a.example" },
        });
        """,
        transport=transport,
    )
    [socket] = connection.first
    handshake = socket.handshake
    assert handshake.headers["origin"] == "https://a.example"
    assert handshake.query["EIO"] == "4"
    assert handshake.query["transport"] == transport
    assert [handshake.query[key] for key in ("color", "empty", "ключ")] == ["red", "", "знач=&"]
    assert handshake.auth == {"token": "123", "nested": {"a": [1]}}
    assert before <= handshake.issued <= time.time() * 1000 + 1
    assert re.match(
        r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d 20\d\d \d\d:\d\d:\d\d GMT\+0000", handshake.time
    )
    assert handshake.url.startswith("/socket.io/?")
    assert f"transport={transport}" in handshake.url
    assert handshake.address == "127.0.0.1"
    assert handshake.xdomain
    assert not handshake.secure
    assert handshake.to_dict() == {
        "headers": dict(handshake.headers),
        "query": dict(handshake.query),
        "auth": handshake.auth,
        "time": handshake.time,
        "issued": handshake.issued,
        "url": handshake.url,
        "address": "127.0.0.1",
        "xdomain": True,
        "secure": False,
    }


async def test_without_an_origin_and_without_auth(site: Site) -> None:
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    page = await site.page(io)
    await page.run("await connect()")
    [socket] = connection.first
    assert not socket.handshake.xdomain
    assert socket.handshake.auth == {}


async def test_auth_belongs_to_the_namespace(site: Site) -> None:
    """The request is shared by all namespaces of a connection, what they say is not."""
    io = Server()
    connection = Calls()
    io.on("connection", connection)
    io.of("/chat").on("connection", connection)
    page = await site.page(io)
    await page.run("""
        const auth = (done) => done({ who: "root" });
        const root = await connect("/", { query: { a: "1" }, auth });
        await share(root, "/chat", { auth: { who: "chat" } });
    """)
    root, chat = connection.first
    assert root.handshake.auth == {"who": "root"}
    assert chat.handshake.auth == {"who": "chat"}
    assert root.handshake.query["a"] == chat.handshake.query["a"] == "1"
    assert root.handshake.issued == chat.handshake.issued


async def test_auth_is_an_object_or_nothing(site: Site) -> None:
    """Anything else breaks the protocol."""
    page = await site.page(Server())
    for payload in ("5", '"text"', "[1]", "null", "true"):
        assert (
            await page.run(
                """
            const manager = new io.Manager(url, { reconnection: false, autoConnect: false });
            await new Promise((resolve) => manager.open(resolve));
            const closed = once(manager, "close");
            manager.engine.write("40" + payload);
            return (await closed)[0];
            """,
                payload=payload,
            )
            == "transport close"
        ), payload


async def test_extra(site: Site) -> None:
    """`handshake_extra`: what the host knows of the request; EdgerOS has `handshake.eos` there."""
    io = Server(handshake_extra=users)
    connection = Calls()
    io.on("connection", connection)
    page = await site.page(io)
    await page.run("await connect('/', { extraHeaders: { 'X-User': 'ana' } })")
    [socket] = connection.first
    assert socket.handshake.extra == {"eos": {"user": {"acoid": "1", "nickname": "ana"}}}
    assert socket.handshake.eos["user"]["nickname"] == "ana"
    plain = Server()
    connection = Calls()
    plain.on("connection", connection)
    page = await site.page(plain)
    await page.run("await connect()")
    [socket] = connection.first
    assert socket.handshake.extra == {}
    with pytest.raises(AttributeError, match="eos"):
        _ = socket.handshake.eos


def users(request: Request) -> dict[str, Any]:
    return {"eos": {"user": {"acoid": "1", "nickname": request.headers["x-user"]}}}
