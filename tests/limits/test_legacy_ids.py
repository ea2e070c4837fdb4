"""Clients of Socket.IO 1 and 2 are known by the ids of their sessions: what that is worth."""

from __future__ import annotations

import logging

import pytest

from telex import Server, Socket
from telex.ids import tag
from tests.limits.test_strangers import in_thread, listening
from tests.rules.clients import PollingClient, WebSocketClient, upgrade
from tests.support.raw import CLOSE, WebSocket, exchange


async def test_the_log_says_so_once_and_names_none(caplog: pytest.LogCaptureFixture) -> None:
    io = Server()
    seen: list[str] = []

    @io.event
    def x(socket: Socket, number: int) -> None: ...

    @io.on("connection")
    def connection(socket: Socket) -> None:
        seen.append(repr(socket))

    port = await listening(io)

    def visit() -> list[str]:
        with WebSocketClient(port, 3) as one, PollingClient(port, 3) as other:
            one.send('42["x","no number"]')
            one.send("4 nonsense")  # breaks the protocol: the connection ends
            while one.websocket.receive().opcode != CLOSE:
                pass
            return [one.sid, other.sid]

    with caplog.at_level(logging.INFO, "telex"):
        sids = await in_thread(visit) + await in_thread(visit)
        await io.close()
    assert caplog.text.count("its socket.id is the id of its session") == 1
    assert not [sid for sid in sids if sid in caplog.text or sid in "".join(seen)]
    assert all(f"of connection {tag(sid)} of" in "".join(seen) for sid in sids)


async def test_over_websocket_an_id_is_of_no_use_to_others() -> None:
    """Neither to read, nor to send, nor to take the session over."""
    io = Server()
    port = await listening(io)

    @io.event
    def echo(socket: Socket, text: str) -> None:
        socket.emit("echo", text)

    def attack() -> None:
        with PollingClient(port, 3) as polling:
            polling.connect()
            client = upgrade(polling)
            poll = exchange(port, polling.get_request())
            post = exchange(port, polling.post_request('9:42["echo"]'))
            assert (poll.status, post.status) == (400, 400)
            with WebSocket(port, polling.target("websocket")) as other:
                other.send_text("2probe", "5")
                assert other.receive().opcode == CLOSE
            client.send('42["echo","still here"]')
            while client.text() != '42["echo","still here"]':
                pass
            client.websocket.close()

    await in_thread(attack)
    await io.close()
