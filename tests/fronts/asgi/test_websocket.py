"""A WebSocket given by an ASGI host: one batch at a time, and an end in every case."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest

from telex.config import EngineOptions
from telex.engine.engine import Engine
from telex.engine.packet import message
from telex.engine.session import Session
from telex.engine.session_core import OPEN
from telex.fronts.asgi.websocket import AsgiWebSocket, Message
from telex.fronts.driver import Driver
from tests.server.scenes import settle
from tests.support.calls import counted_calls
from tests.support.doubles import VirtualClock, poll, request

LIMIT = 1000


class Host:
    """An ASGI host with one WebSocket: what comes from the client, and what was sent to it."""

    def __init__(self, *, revision: int = 4) -> None:
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        self.open = asyncio.Event()  # closed: the client does not read
        self.open.set()
        self.broken = False
        self.reasons: list[str] = []
        self.engine = Engine(EngineOptions(), VirtualClock(), json_text=False)
        self.driver = Driver(self.engine)
        self.driver.bind(asyncio.get_running_loop())
        self.websocket = AsgiWebSocket(self.send, self.driver, revision)
        self.revision = revision

    async def send(self, sent: Message) -> None:
        await self.open.wait()
        if self.broken:
            raise OSError("the client has gone")
        self.sent.append(sent)

    def say(self, data: str | bytes) -> None:
        key = "text" if isinstance(data, str) else "bytes"
        self.incoming.put_nowait({"type": "websocket.receive", key: data})

    def leave(self) -> None:
        self.incoming.put_nowait({"type": "websocket.disconnect", "code": 1005})

    def connect(self) -> tuple[Session, asyncio.Task[None]]:
        """A session over this WebSocket, and the task that reads it."""
        asked = request(f"EIO={self.revision}&transport=websocket")
        session = self.engine.open(asked, self.websocket, "abc")
        self.watch(session)
        return session, self.read(session, session)

    def watch(self, session: Session) -> None:
        session.on_close = lambda ended, reason: self.reasons.append(reason)

    def read(self, receiver: Any, session: Session | None) -> asyncio.Task[None]:
        reading = self.websocket.read(self.incoming.get, receiver, session, LIMIT)
        return asyncio.ensure_future(reading)

    def texts(self) -> list[Any]:
        """What the client has received, and the code of a close frame."""
        texts = [one.get("text", one.get("bytes", one.get("code"))) for one in self.sent]
        self.sent.clear()
        return texts


class TestWriting:
    async def test_one_batch_at_a_time(self) -> None:
        host = Host()
        session, reading = host.connect()
        await settle()
        host.texts()
        host.open.clear()
        session.send(message("a"))
        await settle()
        writable = [host.websocket.writable]
        session.send(message("b"))
        session.send(message(b"c"))
        await settle()
        assert host.texts() == []
        host.open.set()
        await settle()
        assert host.texts() == ["4a", "4b", b"c"]
        assert [*writable, host.websocket.writable] == [False, True]
        host.leave()
        await reading

    async def test_one_task_for_a_batch(self) -> None:
        host = Host()
        session, reading = host.connect()
        await settle()
        host.texts()
        loop = asyncio.get_running_loop()
        for reading_on in (True, False):
            if not reading_on:
                host.open.clear()
            with counted_calls() as calls:
                session.send(message("here"))
                loop.call_soon(session.send, message("by itself"))
                await settle()
            assert len(calls.tasks) <= 2, calls
            host.open.set()
            await settle()
            assert host.texts() == ["4here", "4by itself"]
        host.leave()
        await reading

    async def test_binary_messages_of_revision_3_have_a_type(self) -> None:
        host = Host(revision=3)
        session, reading = host.connect()
        await settle()
        host.texts()
        session.send(message(b"x"))
        await settle()
        assert host.texts() == [b"\x04x"]
        host.leave()
        await reading

    async def test_the_close_frame_comes_last(self) -> None:
        host = Host()
        session, reading = host.connect()
        await settle()
        host.texts()
        host.open.clear()
        session.send(message("a"))
        await settle()
        session.close()
        session.close()
        host.open.set()
        await settle()
        assert host.texts() == ["4a", 1000]
        host.leave()
        await reading
        assert host.reasons == ["forced close"]

    async def test_a_client_that_has_gone(self) -> None:
        host = Host()
        session, reading = host.connect()
        await settle()
        host.broken = True
        session.send(message("a"))
        await settle()
        assert not host.websocket.writable
        host.leave()
        await reading
        assert host.reasons == ["transport close"]


class TestReading:
    async def test_messages(self) -> None:
        host = Host()
        session, reading = host.connect()
        came: list[str | bytes] = []
        session.on_message = lambda data, pos: came.append(data[pos:])
        for data in ("4a", b"b", "4é"):
            host.say(data)
        host.leave()
        await reading
        assert came == ["a", b"b", "é"]
        assert host.reasons == ["transport close"]

    @pytest.mark.parametrize(
        "data", ["4" + "x" * LIMIT, b"x" * (LIMIT + 1), "4" + "é" * (LIMIT // 2)]
    )
    async def test_messages_that_are_too_big(self, data: str | bytes) -> None:
        host = Host()
        _, reading = host.connect()
        host.say(data)
        host.say("4late")
        await settle()
        assert host.texts()[-1] == 1009
        host.leave()
        await reading
        assert host.reasons == ["over max_http_buffer_size"]

    async def test_a_pause(self) -> None:
        host = Host()
        session, reading = host.connect()
        came: list[str | bytes] = []
        session.on_message = lambda data, pos: came.append(data[pos:])
        await settle()
        session.pause()
        for text in ("4a", "4b", "4c"):
            host.say(text)
        await settle()
        assert len(came) <= 1, "at most what was being read already"
        session.resume()
        host.leave()
        await reading
        assert came == ["a", "b", "c"]

    async def test_the_end_of_a_session_that_is_paused(self) -> None:
        host = Host()
        session, reading = host.connect()
        session.pause()
        await settle()
        session.end("forced close")
        host.leave()
        await reading
        assert host.reasons == ["forced close"]

    async def test_a_failure_ends_the_session(self, caplog: pytest.LogCaptureFixture) -> None:
        host = Host()
        session, reading = host.connect()

        def fails(data: str | bytes, pos: int) -> None:
            raise RuntimeError("a bug")

        session.on_message = fails
        host.say("4a")
        host.leave()
        with caplog.at_level(logging.CRITICAL, "telex"):
            await asyncio.wait([reading])
        reading.exception()  # the host may hear of it, or not
        assert len(host.reasons) == 1
        assert host.engine.sessions == {}

    async def test_a_host_that_stops_ends_the_session(self) -> None:
        host = Host()
        _, reading = host.connect()
        await settle()
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert len(host.reasons) == 1
        assert host.engine.sessions == {}


class TestUpgrade:
    async def test_the_session_moves(self) -> None:
        host = Host()
        session, _ = host.engine.open_polling(request(), "abc")
        host.watch(session)
        came: list[str | bytes] = []
        session.on_message = lambda data, pos: came.append(data[pos:])
        poll(session)
        reading = host.read(session.start_probe(host.websocket), session)
        host.say("2probe")
        await settle()
        assert host.texts() == ["3probe"]
        session.send(message("queued"))
        for text in ("5", "4a"):
            host.say(text)
        await settle()
        assert host.texts() == ["4queued"]
        assert came == ["a"]
        assert session.transport is host.websocket
        host.leave()
        await reading
        assert host.reasons == ["transport close"]

    async def test_everything_in_one_read(self) -> None:
        host = Host()
        session, _ = host.engine.open_polling(request(), "abc")
        came: list[str | bytes] = []
        session.on_message = lambda data, pos: came.append(data[pos:])
        poll(session)
        session.send(message("queued"))
        reading = host.read(session.start_probe(host.websocket), session)
        for text in ("2probe", "5", "4a"):
            host.say(text)
        await settle()
        assert host.texts() == ["3probe", "4queued"]
        assert came == ["a"]
        host.leave()
        await reading

    async def test_a_probe_that_fails_harms_nobody(self) -> None:
        host = Host()
        session, _ = host.engine.open_polling(request(), "abc")
        poll(session)
        reading = host.read(session.start_probe(host.websocket), session)
        host.say("4a")
        await settle()
        assert host.texts() == [1000]
        host.leave()
        await reading
        assert session.state is OPEN
        assert session.probe is None

    async def test_nobody_to_read_for(self) -> None:
        host = Host()
        reading = host.read(None, None)
        host.say("2probe")
        await settle()
        assert host.texts() == [1000]
        host.leave()
        await reading
