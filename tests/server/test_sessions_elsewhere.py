"""Sessions that an adapter fetches from elsewhere: a client that comes back waits for them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import Any

from telex.adapter.base import AdapterHost, Restored
from telex.adapter.memory import InMemoryAdapter
from tests.server.scenes import Client, Scene, settle


class SessionsElsewhere:
    """Answers when `answered` is set."""

    def __init__(self, log: Any, answered: asyncio.Event) -> None:
        self._log = log
        self._answered = answered

    async def _restore(self, pid: object, offset: object) -> Restored | None:
        await self._answered.wait()
        restored: Restored | None = self._log.restore_session(pid, offset)
        return restored

    def restore_session(self, pid: object, offset: object) -> Awaitable[Restored | None]:
        return self._restore(pid, offset)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)


class Elsewhere:
    """A server whose sessions are elsewhere, and a client that it has lost."""

    def __init__(self) -> None:
        self.answered = asyncio.Event()
        self.scene = Scene(connection_state_recovery=True, adapter=self.make)
        self.client, self.socket = self.scene.joined()
        self.client.session.end("transport close")

    def make(self, host: AdapterHost) -> InMemoryAdapter:
        adapter = InMemoryAdapter(host)
        elsewhere: Any = SessionsElsewhere(host.recovery, self.answered)
        adapter.sessions = elsewhere
        return adapter

    def come_back(self) -> Client:
        client = self.scene.client()
        client.say(f'0{{"pid":"{self.socket.pid}"}}')
        return client

    @property
    def there(self) -> Any:
        [socket] = self.scene.root.sockets.values()
        return socket


async def test_the_client_waits_and_misses_nothing() -> None:
    it = Elsewhere()
    it.scene.root.emit("before")
    client = it.come_back()
    await settle()
    assert client.heard() == []
    it.scene.root.emit("meanwhile")
    it.answered.set()
    await settle()
    one, two, connect = client.heard()
    assert str(one).startswith('2["before"')
    assert str(two).startswith('2["meanwhile"')
    assert it.socket.id in str(connect)
    assert it.there.recovered


async def test_a_second_connect_meanwhile_ends_the_connection() -> None:
    it = Elsewhere()
    client = it.come_back()
    client.say("0")
    assert client.reasons == ["forced server close"]
    it.answered.set()
    await settle()
    assert not it.scene.root.sockets


async def test_a_client_that_goes_meanwhile_may_come_back() -> None:
    it = Elsewhere()
    it.come_back().session.end("transport close")
    it.answered.set()
    await settle()
    assert not it.scene.root.sockets
    it.come_back()
    await settle()
    assert it.there.recovered


async def test_who_brings_no_secret_does_not_wait() -> None:
    it = Elsewhere()
    client = it.scene.client()
    client.join()
    assert not it.there.recovered
