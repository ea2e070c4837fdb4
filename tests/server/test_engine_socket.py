"""The engine's end of a connection, as users see it: `socket.conn`, and an engine of its own."""

from __future__ import annotations

import asyncio
import logging

import pytest

from telex import EngineServer, connect_engine
from telex.engine.session import Session
from telex.errors import ConfigurationError, EncodeError
from telex.events.runtime import Runtime
from telex.parser.default import DEFAULT_PARSER
from telex.server.engine_socket import EngineSocket
from tests.engine.scenes import Scene
from tests.server.scenes import note, settle
from tests.support.doubles import RecordingTransport


def connect() -> tuple[EngineSocket, Session, RecordingTransport]:
    session, transport = Scene(json_text=False).open_websocket()
    runtime = Runtime(DEFAULT_PARSER)
    runtime.bind(asyncio.get_running_loop())
    socket = EngineSocket(session, runtime)
    session.on_message = socket.received
    session.on_close = socket.closed
    return socket, session, transport


class TestMessages:
    async def test_come_in_and_go_out(self) -> None:
        socket, session, transport = connect()
        socket.on("message", socket.send)
        for message in ("4a", b"b", "4"):
            session.receive(message)
        assert transport.messages == ["4a", b"b", "4"]

    async def test_that_cannot_be_sent(self) -> None:
        socket, _, _ = connect()
        with pytest.raises(EncodeError):
            socket.send(5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]

    async def test_to_async_handlers(self) -> None:
        socket, session, _ = connect()
        seen: list[str] = []

        @socket.on("message")
        async def message(data: str) -> None:
            await asyncio.sleep(0)
            seen.append(data)

        session.receive("4a")
        await settle()
        assert seen == ["a"]

    async def test_failures_of_handlers_harm_nobody(self, caplog: pytest.LogCaptureFixture) -> None:
        socket, session, _ = connect()
        seen: list[str] = []

        def fails(data: str) -> None:
            raise RuntimeError("secret")

        socket.on("message", fails)
        socket.on("message", seen.append)
        with caplog.at_level(logging.ERROR, "telex"):
            session.receive("4a")
        assert seen == ["a"]
        assert "handler of the event 'message'" in caplog.text


class TestEvents:
    async def test_close(self) -> None:
        socket, session, _ = connect()
        seen: list[str] = []
        socket.once("close", seen.append)
        states = [(socket.is_open, socket.ready_state)]
        session.end("ping timeout")
        assert seen == ["ping timeout"]
        assert [*states, (socket.is_open, socket.ready_state)] == [
            (True, "open"),
            (False, "closed"),
        ]

    async def test_drain(self) -> None:
        socket, _, _ = connect()
        seen: list[str] = []
        socket.on("drain", note(seen, "drain"))
        socket.send("a")
        assert seen == ["drain"]

    async def test_packets(self) -> None:
        socket, session, _ = connect()
        seen: list[object] = []
        socket.on("packet", seen.append)
        socket.on("packet_create", seen.append)
        session.receive("4a")
        socket.send(b"b")
        assert seen == [{"type": "message", "data": "a"}, {"type": "message", "data": b"b"}]

    async def test_unknown_ones(self) -> None:
        socket, _, _ = connect()
        with pytest.raises(ConfigurationError, match=r"no event 'data'.*message"):
            socket.on("data", print)

    async def test_are_removed(self) -> None:
        socket, session, _ = connect()
        seen: list[str] = []
        socket.on("message", seen.append).off("message", seen.append)
        session.receive("4a")
        assert seen == []


class TestClose:
    async def test_politely(self) -> None:
        socket, _, transport = connect()
        socket.close()
        assert transport.closes == 1
        socket.send("late")
        assert transport.messages == []

    async def test_shows_no_id(self) -> None:
        socket, session, _ = connect()
        assert socket.id == session.id
        assert session.id not in repr(socket)


async def test_an_engine_server_spreads_the_disconnections() -> None:
    """Those who are still there are served while the first have gone."""
    engine = EngineServer()
    reasons: list[str] = []

    @engine.on("connection")
    def connection(socket: EngineSocket) -> None:
        socket.on("message", socket.send)
        socket.on("close", reasons.append)

    await engine.listen(port=0)
    url = f"http://127.0.0.1:{engine.port}/engine.io"
    clients = [await connect_engine(url, transports=["websocket"]) for _ in range(2)]
    closing = asyncio.ensure_future(engine.close(drain=1))
    while all(client.ready_state == "open" for client in clients):
        await asyncio.sleep(0)
    left = next(client for client in clients if client.ready_state == "open")
    left.send("still here")
    assert await left.receive(timeout=30) == "still here"
    await closing
    assert reasons == ["forced close"] * 2
    for client in clients:
        await client.close()
