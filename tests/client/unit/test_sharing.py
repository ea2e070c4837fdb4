"""Which sockets share a connection."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import pytest

import telex
from telex import ClientSocket
from tests.client.ports import silent_port


class Connecting:
    """Makes sockets that connect to a server that says nothing."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: list[ClientSocket] = []

    def __call__(self, namespace: str = "", **options: Any) -> ClientSocket:
        socket = telex.connect(self.url + namespace, **options)
        self._made.append(socket)
        return socket

    async def close(self) -> None:
        for socket in self._made:
            await socket.disconnect()


@pytest.fixture
async def connect() -> AsyncIterator[Connecting]:
    with silent_port() as port:
        connecting = Connecting(f"http://127.0.0.1:{port}")
        yield connecting
        await connecting.close()


async def test_namespaces_share_a_connection(connect: Connecting) -> None:
    first = connect()
    for nsp in ("/chat", "/chat/", "/a/b/c"):
        socket = connect(nsp)
        assert socket.nsp == nsp
        assert socket.io is first.io
    assert list(first.io.sockets) == ["/", "/chat", "/chat/", "/a/b/c"]
    assert connect("/news?token=a").io is not first.io, "its requests have another query"


async def test_what_belongs_to_a_socket_may_differ(connect: Connecting) -> None:
    first = connect(auth={"a": 1})
    second = connect("/chat", auth={"b": 2}, ack_timeout=5, retries=3)
    assert first.io is second.io
    assert (first.auth, second.auth) == ({"a": 1}, {"b": 2})
    assert (first.ack_timeout, second.ack_timeout) == (None, 5)


@pytest.mark.parametrize(
    "options",
    [
        {"force_new": True},
        {"multiplex": False},
        {"path": "/other"},
        {"transports": ["websocket"]},
        {"headers": {"a": "b"}},
        {"reconnection_delay": 2},
    ],
    ids=str,
)
async def test_connections_of_their_own(connect: Connecting, options: dict[str, Any]) -> None:
    assert connect("/chat", **options).io is not connect().io
    assert connect("/news").io is not connect("/news", **options).io


async def test_the_same_namespace_twice(connect: Connecting) -> None:
    first, second = connect("/chat"), connect("/chat")
    assert first is not second
    assert first.io is not second.io
    assert connect("/news").io in (first.io, second.io)


async def test_urls_of_one_server(connect: Connecting) -> None:
    first = connect()
    connect.url = connect.url.replace("http", "ws")
    assert connect("/chat").io is first.io
    connect.url = connect.url.replace("127.0.0.1", "localhost")
    assert connect("/news").io is not first.io


async def test_a_connection_that_is_not_used_may_be_shared(connect: Connecting) -> None:
    first = connect()
    await first.disconnect()
    second = connect("/chat")
    assert second.io is first.io
    assert not first.active
    assert connect().io is not first.io


async def test_sockets_that_have_not_been_told_to_connect(connect: Connecting) -> None:
    first = connect(auto_connect=False)
    second = connect("/chat", auto_connect=False)
    assert second.io is first.io
    assert not first.active
    assert not second.active
    assert connect("/news").io is first.io
    assert not first.active


def test_loops_do_not_meet() -> None:
    """Neither shares connections with the other, and neither is kept for ever."""
    loops: list[weakref.ref[asyncio.AbstractEventLoop]] = []
    managers: list[weakref.ref[Any]] = []

    async def run(url: str) -> None:
        socket = telex.connect(url)
        loops.append(weakref.ref(asyncio.get_running_loop()))
        managers.append(weakref.ref(socket.io))
        await asyncio.sleep(0)
        await socket.disconnect()

    with silent_port() as port:
        for _ in range(2):
            asyncio.run(run(f"http://127.0.0.1:{port}"))
    gc.collect()
    assert [loop() for loop in loops] == [None, None]
    assert [manager() for manager in managers] == [None, None]
