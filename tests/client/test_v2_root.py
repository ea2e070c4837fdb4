"""The namespace ``/`` of Socket.IO 2, in which everybody is without asking."""

from __future__ import annotations

import pytest

from tests.client.counterparts import Scene

pytestmark = [
    pytest.mark.parametrize("kind", ["socket.io-2"]),
    pytest.mark.parametrize("transport", ["polling", "websocket"]),
]


async def test_wanted_after_others(scene: Scene) -> None:
    """The server has let us in long ago."""
    manager = scene.manager()
    await manager.socket("/greeting").connect()
    root = manager.socket("/")
    await root.connect()
    assert root.connected
    assert manager.engine is not None
    assert root.id == manager.engine.id
    assert await root.emit_with_ack("answer", 1) == 1


async def test_left_and_joined_again(scene: Scene) -> None:
    manager = scene.manager()
    root = manager.socket("/")
    await root.connect()
    other = manager.socket("/greeting")
    await other.connect()
    root.disconnect()
    assert not root.connected
    await root.connect()
    assert await root.emit_with_ack("answer", 1) == 1
    assert other.connected
