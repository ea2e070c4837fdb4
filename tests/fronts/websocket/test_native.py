"""The compiled WebSocket against a socket: every cut of the stream, every kind of frame."""

from __future__ import annotations

import asyncio
import gc
import os
import socket as sockets
import sys
import weakref
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import pairwise
from typing import Any

import hypothesis.strategies as st
import pytest
import uvloop
from hypothesis import given

from telex import native
from telex.config import EngineOptions
from telex.engine.engine import Engine
from telex.engine.packet import message
from telex.engine.session import Session
from telex.fronts.driver import Driver
from telex.fronts.uvicorn import handshake
from telex.wire import EncodedPacket
from tests.support.doubles import VirtualClock
from tests.support.doubles import request as asked
from tests.support.raw import BINARY, CLOSE, CONTINUATION, PING, TEXT, frame

LIMIT = 200_000
PIECE = 50_000

if sys.platform == "linux":
    from telex.fronts.websocket.native import NativeWebSocket, Watch
else:  # pragma: no cover
    pytest.fail("the compiled WebSocket is for Linux: these tests have nothing to test here")


def test_the_compiled_part_is_there() -> None:
    """`make native` compiles it; TELEX_PURE=1 leaves it aside."""
    pure = os.environ.get("TELEX_PURE", "0") not in ("", "0")
    assert (native.core is None) is pure
    assert (vars(handshake)["_native"] is None) is pure


def test_a_part_that_is_older_than_its_source_is_not_used(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """After an update that nobody has compiled, telex does without."""
    monkeypatch.setenv("TELEX_PURE", "0")
    assert native.load() is not None
    monkeypatch.setattr(native, "SOURCES", native.SOURCES[1:])
    assert native.load() is None
    assert "make native" in caplog.text


class Scene:
    """A session on a socket; the client's end is `client`, what has come is in `received`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, revision: int = 4) -> None:
        self.loop = loop
        self.engine = Engine(EngineOptions(allow_eio3=True), VirtualClock(), json_text=True)
        self.driver = Driver(self.engine)
        self.driver.bind(loop)
        self.watch = Watch(self.driver, loop)
        self.client, server = sockets.socketpair()
        self.client.settimeout(30)
        self.websocket = NativeWebSocket(self.driver, self.watch, b"")
        frames = EncodedPacket.frames3 if revision == 3 else None
        self.websocket.open(self.watch.reactor, server.detach(), b"HEAD", frames, LIMIT)
        self.watch.opened(self.websocket)
        self.received: list[str | bytes] = []
        self.reasons: list[str] = []
        self.session = self.engine.open(asked(f"EIO={revision}"), self.websocket, "sid")
        self.session.on_message = lambda data, pos: self.received.append(data[pos:])
        self.session.on_close = lambda _, reason: self.reasons.append(reason)
        self.websocket.start(self.session, None)
        self.settle()

    def settle(self) -> None:
        """Let the loop read what there is."""
        for _ in range(6):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()

    def send(self, data: bytes) -> None:
        for start in range(0, len(data), PIECE):  # more would not fit, and nobody reads meanwhile
            self.client.sendall(data[start : start + PIECE])
            self.settle()

    def sent(self) -> bytes:
        """What the client has been sent."""
        self.client.setblocking(False)
        data = b""
        try:
            while chunk := self.client.recv(1 << 20):
                data += chunk
        except BlockingIOError:
            pass
        finally:
            self.client.settimeout(30)
        return data

    def writable(self) -> bool:
        return self.websocket.writable

    def end(self) -> None:
        self.client.close()
        self.session.end("test")
        self.websocket.hang_up()
        self.settle()


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def loop(request: pytest.FixtureRequest) -> Iterator[asyncio.AbstractEventLoop]:
    loop: asyncio.AbstractEventLoop = request.param()
    yield loop
    loop.close()


@pytest.fixture
def scene(loop: asyncio.AbstractEventLoop) -> Iterator[Scene]:
    scene = Scene(loop)
    yield scene
    scene.end()


TEXTS = st.text(max_size=300)
MESSAGES = st.lists(
    st.one_of(TEXTS, st.binary(max_size=300), st.sampled_from(["x" * 126, b"y" * 70_000])),
    max_size=5,
)


def frames_of(data: str | bytes, cuts: list[int]) -> bytes:
    """A message in so many frames, a ping in the midst of them."""
    kind = TEXT if isinstance(data, str) else BINARY
    payload = b"4" + data.encode() if isinstance(data, str) else data
    edges = sorted({min(cut, len(payload)) for cut in cuts} | {0, len(payload)})
    pieces = [payload[a:b] for a, b in pairwise(edges)] or [b""]
    stream = b""
    for number, piece in enumerate(pieces):
        fin = number == len(pieces) - 1
        stream += frame(kind if number == 0 else CONTINUATION, piece, fin=fin)
        if not fin:
            stream += frame(PING, b"in between")
    return stream


class TestFrames:
    @given(
        messages=MESSAGES,
        cuts=st.lists(st.integers(1, 400), max_size=3),
        segments=st.lists(st.integers(1, 5000), max_size=8),
    )
    def test_however_messages_are_cut(
        self, messages: list[str | bytes], cuts: list[int], segments: list[int]
    ) -> None:
        loop = asyncio.new_event_loop()
        scene = Scene(loop)
        stream = b"".join(frames_of(data, cuts) for data in messages)
        start = 0
        for size in [*segments, len(stream)]:
            scene.send(stream[start : start + size])
            start += size
        for _ in range(20):
            scene.settle()
        assert scene.received == messages
        assert scene.reasons == []
        scene.end()
        loop.close()

    @pytest.mark.parametrize("revision", [3, 4])
    def test_what_is_sent(self, loop: asyncio.AbstractEventLoop, revision: int) -> None:
        scene = Scene(loop, revision)
        assert scene.sent().startswith(b"HEAD\x81")
        packets = [message("a"), EncodedPacket(b"451-", (b"xyz",)), message("b" * 200)]
        for packet in packets:
            scene.session.send(packet)
        scene.session.flush()
        binary = b"\x82\x04\x04xyz" if revision == 3 else b"\x82\x03xyz"
        assert scene.sent() == b"\x81\x024a\x81\x04451-" + binary + (
            b"\x81\x7e\x00\xc9" + b"4" + b"b" * 200
        )
        scene.end()

    def test_batches_larger_than_the_small_buffer(self, scene: Scene) -> None:
        scene.sent()
        texts = [str(number) + "x" * size for number, size in enumerate([10, 9000, 9000, 50_000])]
        for text in texts:
            scene.session.send(message(text))
        scene.session.flush()
        expected = b"".join(message(text).frames() for text in texts)
        assert scene.sent() == expected

    @pytest.mark.parametrize(
        ("data", "code"),
        [
            (frame(TEXT, b"4x", rsv=4), 1002),
            (frame(3), 1002),
            (frame(TEXT, b"4x", mask=None), 1002),
            (frame(PING, b"x" * 126), 1002),
            (frame(CONTINUATION, b"x"), 1002),
            (frame(TEXT, b"4\xff"), 1007),
            (frame(TEXT, b"", length=LIMIT + 1), 1009),
            (frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"", length=LIMIT), 1009),
            (frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"x", fin=False) * 16384, 1008),
        ],
    )
    def test_violations(self, scene: Scene, data: bytes, code: int) -> None:
        scene.sent()
        scene.send(frame(TEXT, b"4before") + data + frame(TEXT, b"4after"))
        for _ in range(30):
            scene.settle()
        assert scene.received == ["before"]
        reason = "over max_http_buffer_size" if code == 1009 else "transport error"
        text = reason.encode() if code == 1009 else b""
        closing = bytes((0x88, 2 + len(text))) + code.to_bytes(2, "big") + text
        assert scene.sent()[: len(closing)] == closing
        assert scene.reasons == [reason]

    def test_close_is_answered_and_told_once(self, scene: Scene) -> None:
        scene.sent()
        scene.send(frame(CLOSE, b"\x03\xe8bye") + frame(TEXT, b"4after"))
        assert scene.client.recv(100) == b"\x88\x05\x03\xe8bye"
        assert scene.client.recv(100) == b""
        assert scene.received == []
        assert scene.reasons == ["transport close"]

    def test_closing_waits_for_the_client(self, scene: Scene) -> None:
        scene.sent()
        scene.session.close()
        assert scene.sent() == b"\x88\x02\x03\xe8"
        scene.send(frame(TEXT, b"4late") + frame(CLOSE, b"\x03\xe8"))
        assert scene.client.recv(100) == b""
        assert scene.received == []
        assert not scene.driver.leaving.deadlines

    def test_a_handler_that_fails(self, scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
        scene.sent()

        def fail(data: str | bytes, pos: int) -> None:
            raise RuntimeError(data)

        scene.session.on_message = fail
        scene.send(frame(TEXT, b"4x"))
        assert scene.sent()[:4] == b"\x88\x02\x03\xf3"
        assert "could not be handled" in caplog.text

    def test_what_is_no_error_ends_the_loop_and_loses_nothing(self, scene: Scene) -> None:
        def interrupt(data: str | bytes, pos: int) -> None:
            scene.session.on_message = lambda data, pos: scene.received.append(data[pos:])
            raise KeyboardInterrupt

        scene.session.on_message = interrupt
        with pytest.raises(KeyboardInterrupt):
            scene.send(frame(TEXT, b"4first") + frame(TEXT, b"4second"))
        scene.send(frame(TEXT, b"4third"))
        assert scene.received == ["second", "third"]


class TestFlow:
    def test_a_client_that_does_not_read(self, scene: Scene) -> None:
        scene.sent()
        texts = [str(number) + "x" * 100_000 for number in range(20)]
        for text in texts:
            scene.session.send(message(text))
            scene.session.flush()
        assert not scene.writable()
        assert scene.websocket.unsent > 0
        expected = b"".join(message(text).frames() for text in texts)
        found = b""
        while len(found) < len(expected):
            found += scene.sent()
            scene.settle()
        assert found == expected
        assert scene.writable()
        assert scene.websocket.unsent == 0

    def test_only_the_newest_pong_is_owed(self, scene: Scene) -> None:
        scene.sent()
        for _ in range(20):
            scene.session.send(message("x" * 100_000))
            scene.session.flush()
        for number in range(50):
            scene.send(frame(PING, b"%d" % number))
        found = b""
        while b"\x8a\x0249" not in found:
            found += scene.sent()
            scene.settle()
        assert found.count(b"\x8a\x02") == 1

    def test_a_client_that_is_not_read(self, scene: Scene) -> None:
        scene.websocket.pause()
        scene.send(frame(TEXT, b"4x"))
        assert scene.received == []
        scene.websocket.resume()
        scene.settle()
        assert scene.received == ["x"]

    def test_a_connection_that_is_cut(self, scene: Scene) -> None:
        scene.client.close()
        scene.settle()
        assert scene.reasons == ["transport close"]
        scene.session.send(message("nobody"))
        scene.session.flush()

    def test_writing_to_a_client_that_has_gone(self, scene: Scene) -> None:
        scene.client.close()
        for _ in range(3):
            scene.session.send(message("x" * 100_000))
            scene.session.flush()
        scene.settle()
        assert scene.reasons == ["transport close"]

    def test_hanging_up_drops_what_is_not_read(self, scene: Scene) -> None:
        for _ in range(20):
            scene.session.send(message("x" * 100_000))
            scene.session.flush()
        scene.websocket.close()
        scene.websocket.hang_up()
        scene.settle()
        assert scene.reasons == ["transport close"]
        assert scene.watch.reactor.count == 0


class TestTurns:
    """A client that sends more than FRAMES frames at once is behind, and not read meanwhile."""

    NUMBERS = tuple(str(number) for number in range(1000))

    def write(self, scene: Scene, *more: bytes) -> None:
        stream = b"".join(frame(TEXT, "4" + number) for number in self.NUMBERS)
        scene.client.sendall(stream + b"".join(more))

    def behind(self, scene: Scene) -> None:
        """Let the client fall behind."""
        self.write(scene)
        scene.watch.reactor.poll()
        assert scene.received == list(self.NUMBERS[:256])

    def test_frames_in_a_turn(self, scene: Scene) -> None:
        self.behind(scene)
        for end in (512, 768, 1000):
            scene.watch.reactor.poll()
            assert scene.received == list(self.NUMBERS[:end])

    def test_frames_that_are_no_messages(self, scene: Scene) -> None:
        scene.sent()
        scene.client.sendall(frame(PING) * 600)
        for count in (256, 256, 88):
            scene.watch.reactor.poll()
            assert scene.sent() == b"\x8a\x00" * count

    def test_one_that_is_not_read(self, scene: Scene) -> None:
        self.behind(scene)
        scene.websocket.pause()
        scene.settle()
        assert len(scene.received) == 256
        scene.websocket.resume()
        scene.websocket.pause()
        scene.settle()
        assert len(scene.received) == 256
        scene.websocket.resume()
        scene.settle()
        assert scene.received == list(self.NUMBERS)

    def test_one_whose_handler_stops_it(self, scene: Scene) -> None:
        def receive(data: str | bytes, pos: int) -> None:
            scene.received.append(data[pos:])
            if len(scene.received) == 7:
                scene.websocket.pause()

        scene.session.on_message = receive
        self.write(scene)
        scene.settle()
        assert len(scene.received) == 256
        scene.websocket.resume()
        scene.settle()
        assert scene.received == list(self.NUMBERS)

    def test_what_comes_meanwhile_comes_behind(self, scene: Scene) -> None:
        self.behind(scene)
        scene.client.sendall(frame(TEXT, "4and") + frame(CLOSE, b"\x03\xe8"))
        scene.client.shutdown(sockets.SHUT_WR)
        scene.settle()
        assert scene.received == [*self.NUMBERS, "and"]
        assert scene.reasons == ["transport close"]

    def test_one_that_has_gone(self, scene: Scene) -> None:
        """What it has sent before is still handled."""
        self.behind(scene)
        scene.client.close()
        scene.settle()
        assert scene.received == list(self.NUMBERS)
        assert scene.reasons == ["transport close"]

    @pytest.mark.parametrize("how", ["hang up", "close", "end"])
    def test_one_that_is_sent_away(self, scene: Scene, how: str) -> None:
        self.behind(scene)
        if how == "hang up":
            scene.websocket.hang_up()
        elif how == "close":
            scene.session.close()
        else:
            scene.session.end("parse error")
        if how != "hang up":
            scene.client.sendall(frame(CLOSE, b"\x03\xe8"))
        scene.settle()
        assert len(scene.received) == 256
        assert scene.watch.reactor.count == 0
        assert scene.driver.leaving.deadlines == {}


class TestLife:
    def test_channels_that_end_each_other(self, loop: asyncio.AbstractEventLoop) -> None:
        """All are ready in one poll, and the first ends the others."""
        with ExitStack() as stack:
            scenes = [Scene(loop) for _ in range(5)]
            for scene in scenes:
                stack.callback(scene.end)
            driver, watch = scenes[0].driver, scenes[0].watch
            ends: list[tuple[sockets.socket, NativeWebSocket, Session]] = []

            def end_all(data: str | bytes, pos: int) -> None:
                for _, websocket, session in ends:
                    session.end("forced close")
                    websocket.hang_up()

            for number in range(5):
                client, server = sockets.socketpair()
                stack.callback(client.close)
                websocket = NativeWebSocket(driver, watch, b"")
                websocket.open(watch.reactor, server.detach(), b"", None, LIMIT)
                session = scenes[0].engine.open(asked("EIO=4"), websocket, f"{number}")
                session.on_message = end_all
                websocket.start(session, None)
                ends.append((client, websocket, session))
            scenes[0].settle()
            for client, _, _ in ends:
                client.sendall(frame(TEXT, b"4x") * 3)
            scenes[0].settle()
            assert watch.reactor.count == 1
            assert scenes[0].reasons == []

    def test_nothing_refers_to_a_channel_that_has_ended(
        self, loop: asyncio.AbstractEventLoop
    ) -> None:
        class Weak(NativeWebSocket):
            __slots__ = ("__weakref__",)

        scene = Scene(loop)
        client, server = sockets.socketpair()
        websocket = Weak(scene.driver, scene.watch, b"")
        websocket.open(scene.watch.reactor, server.detach(), b"", None, LIMIT)
        session = scene.engine.open(asked("EIO=4"), websocket, "other")
        websocket.start(session, None)
        left = weakref.ref(websocket)
        scene.settle()
        client.close()
        gc.disable()
        try:
            scene.settle()
            del websocket, session
            scene.settle()
            assert left() is None
        finally:
            gc.enable()
        scene.end()

    def test_misuse(self, scene: Scene) -> None:
        websocket: Any = scene.websocket
        with pytest.raises(RuntimeError):
            websocket.open(scene.watch.reactor, 0, b"", None, 1)
        for wrong in ("text", None, 1):
            with pytest.raises(TypeError):
                websocket.write(wrong)
            with pytest.raises(TypeError):
                websocket.feed(wrong)
            with pytest.raises(TypeError):
                websocket.send(wrong)
        with pytest.raises(AttributeError):
            websocket.send([object()])
        fresh: Any = NativeWebSocket(scene.driver, scene.watch, b"")
        with pytest.raises(OSError):
            fresh.open(scene.watch.reactor, 999_999, b"", None, 1)
        fresh.write(b"nobody")
        assert fresh.finish() is False
