"""The server as a whole: options that reach it, its end, what it is made of."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from telex.adapter.memory import InMemoryAdapter
from telex.errors import ConfigurationError
from tests.server.scenes import Scene, echo, settle


class TestOptions:
    @pytest.mark.parametrize("parser", ["xml", 5, None, object()])
    async def test_parsers_that_are_none(self, parser: Any) -> None:
        with pytest.raises(ConfigurationError, match="parser must be"):
            Scene(parser=parser)

    async def test_an_adapter_for_each_namespace(self) -> None:
        made: list[str] = []

        def make(namespace: Any) -> InMemoryAdapter:
            made.append(namespace.name)
            return InMemoryAdapter(namespace)

        scene = Scene(adapter=make)
        scene.core.of("/a")
        assert made == ["/", "/a"]
        assert scene.root.adapter is not scene.core.of("/a").adapter


class TestClose:
    async def test_newcomers_are_refused(self) -> None:
        scene = Scene()
        await scene.core.close()
        assert scene.core.engine.closing

    async def test_handlers_may_finish(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        gate = asyncio.Event()

        @socket.on("x")
        async def x() -> None:
            await gate.wait()
            scene.log.append("handler")

        socket.on("disconnect", scene.log.append)
        client.say('2["x"]')
        await settle()
        closing = asyncio.ensure_future(scene.core.close())
        await settle()
        assert not closing.done()
        assert client.reasons == ["server shutting down"]
        gate.set()
        await closing
        assert scene.log == ["handler", "server shutting down"]

    async def test_from_within_a_handler(self) -> None:
        scene = Scene()
        client, socket = scene.joined()

        @socket.on("stop")
        async def stop() -> None:
            await scene.core.close()
            scene.log.append("closed")

        client.say('2["stop"]')
        await settle()
        assert scene.log == ["closed"]

    async def test_what_is_queued_is_still_sent(self) -> None:
        scene = Scene()
        client, socket = scene.joined()
        socket.emit("bye")
        await scene.core.close()
        assert client.transport.messages[-1] == '42["bye"]'
        assert client.transport.closes == 1

    async def test_twice(self) -> None:
        scene = Scene()
        scene.joined()
        await scene.core.close()
        await scene.core.close()


async def test_events_of_the_application_keep_clients_apart(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """One client's trouble, of every kind at once, is not another's."""
    scene = Scene()

    def fails(*args: Any) -> None:
        raise RuntimeError

    honest, friend = scene.joined()
    friend.on("echo", echo)
    trouble, socket = scene.joined()
    for event in ("x", "disconnecting", "disconnect", "error"):
        socket.on(event, fails)
    socket.join("room")
    friend.join("room")
    with caplog.at_level(logging.CRITICAL, "telex"):
        trouble.say('2["x"]', "2[]")
        await settle()
    assert trouble.reasons == ["forced close"]
    scene.root.to("room").emit("news")
    honest.say('21["echo","é"]')
    assert honest.heard() == ['2["news"]', '31["é"]']
