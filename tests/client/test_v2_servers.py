"""What only servers of Socket.IO 2 do; the rest is in the other modules, with `protocol=4`."""

from __future__ import annotations

from typing import Any

import pytest

from telex import ConnectError
from tests.client.counterparts import BRISK, TRANSPORTS, Clients, Scene, engine_of, upgraded
from tests.features.scripts import Calls

pytestmark = [
    pytest.mark.parametrize("kind", ["socket.io-2"]),
    pytest.mark.parametrize("transport", list(TRANSPORTS)),
]


async def test_ids_are_those_of_the_engine(scene: Scene) -> None:
    manager = scene.manager()
    main, chat = await manager.socket("/"), await manager.socket("/chat")
    assert main.id == engine_of(main).id
    assert chat.id == f"/chat#{main.id}"


async def test_the_query_of_a_namespace(scene: Scene) -> None:
    """What is `auth` today went into the query of the namespace."""
    manager = scene.manager(query={"everywhere": "yes"})
    guarded = await manager.socket("/guarded", auth={"token": "let me in", "a b": "ü&=?/,"})
    assert guarded.nsp == "/guarded"
    known: Any = await guarded.emit_with_ack("handshake")
    assert known["query"]["token"] == "let me in"
    assert known["query"]["a b"] == "ü&=?/,"
    assert known["query"]["everywhere"] == "yes"
    assert await guarded.emit_with_ack("answer", b"binary", 1) == (b"binary", 1)


async def test_a_function_for_the_query(scene: Scene) -> None:
    tokens = iter(["let me in", "let me in", "too old"])

    async def auth() -> dict[str, str]:
        return {"token": next(tokens)}

    socket = await scene.connect("/guarded", auth=auth, reconnection=True, **BRISK)
    connected, refused = Calls(), Calls()
    socket.on("connect", connected).on("connect_error", refused)
    socket.emit("close the transport")
    await connected.next()
    socket.emit("close the transport")
    error: Any = (await refused.next())[0]
    assert error.data == {"code": 401, "hint": "la clé, 请"}
    assert not socket.active


async def test_a_refusal_in_words(scene: Scene) -> None:
    socket = scene.make("/closed")
    errors = Calls()
    socket.on("error", errors)
    with pytest.raises(ConnectError) as raised:
        await socket
    assert raised.value.message == "closed for today"


async def test_an_event_that_is_refused(scene: Scene) -> None:
    """Servers of Socket.IO 2 say so, and the connection goes on."""
    socket = await scene.connect()
    errors, gone = Calls(), Calls()
    socket.on("error", errors).on("disconnect", gone)
    socket.emit("forbidden", 1)
    error: Any = (await errors.next())[0]
    assert error.data == {"event": "forbidden"}
    assert await socket.emit_with_ack("answer", 1) == 1
    assert gone.all == []


async def test_the_client_pings(scene: Scene) -> None:
    """And learns how long the answer takes, in seconds."""
    socket = await scene.connect(site="quick")
    pings, pongs, gone = Calls(), Calls(), Calls()
    socket.on("ping", pings).on("pong", pongs).on("disconnect", gone)
    latencies: list[Any] = [(await pongs.next())[0] for _ in range(2)]
    assert all(0 <= latency < 10 for latency in latencies)
    assert len(pings.all) >= 2
    assert gone.all == []
    assert await socket.emit_with_ack("answer", 1) == 1


async def test_dynamic_namespaces(scene: Scene) -> None:
    manager = scene.manager()
    room = await manager.socket("/room-7")
    who: Any = await room.emit_with_ack("who")
    assert who["namespace"] == "/room-7"
    with pytest.raises(ConnectError) as raised:
        await manager.socket("/room-x")
    assert raised.value.message == "Invalid namespace"


async def test_text_of_every_kind(scene: Scene, clients: Clients) -> None:
    """Lengths of payloads count in units of UTF-16, in bytes where binary data are beside."""
    socket = await scene.connect()
    other = await clients.connect(scene.server)
    texts = ["ascii", "é", "漢字", "🙂", "\u0080\uffff", "4:2", "\x00", "mixed é 漢 🙂"]
    for text in texts:
        assert await socket.emit_with_ack("answer", text) == text
    echoed = Calls()
    socket.on("echo", echoed)
    for number, text in enumerate(texts):
        socket.emit("echo", text)
        socket.emit("echo", text, bytes([number]) * 300)
    for number, text in enumerate(texts):
        assert await echoed.next() == (text,)
        assert await echoed.next() == (text, bytes([number]) * 300)
    if scene.transport == "upgrade":
        await upgraded(socket)
        assert await socket.emit_with_ack("answer", texts) == texts
    assert await other.emit_with_ack("answer", texts) == texts
