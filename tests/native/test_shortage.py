"""Where memory runs out: what is lost is not lost without a word."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from importlib import import_module
from typing import Any

import pytest

from telex.engine.packet import message
from telex.fronts.websocket.native import NativeWebSocket
from telex.native import _telex
from telex.server.socket import Socket
from tests.native.scenes import Server, frames_in, logged, said
from tests.native.test_session_core import made
from tests.support.raw import PING, TEXT, frame

_testcapi: Any = import_module("_testcapi")


@pytest.fixture
def server() -> Iterator[Server]:
    with Server() as server:
        yield server


def starved(call: Callable[[], object], first: int = 0, behind: int = 0) -> None:
    """Call something; so many allocations succeed, then none does, or none before another."""
    _testcapi.set_nomemory(first, behind)
    try:
        call()
    finally:
        _testcapi.remove_mem_hooks()


READ_SIZE = 64 * 1024
"""So much is read at once."""

COMING = {
    "message": (b"", said("4x" * 300)),
    "ping": (b"", frame(PING, b"ping")),
    "fragment": (b"", frame(TEXT, b"42[", fin=False)),
    "half a frame": (b"", said('42["echo",1]')[:-3]),
    "the other half": (said("4x" * 300)[:100], said("4x" * 300)[100:]),
    "violation": (b"", frame(3, b"")),
}


class TestWhatComes:
    @pytest.mark.parametrize(("before", "data"), COMING.values(), ids=COMING)
    def test_ends_its_connection(self, server: Server, before: bytes, data: bytes) -> None:
        client = server.client()
        client.send(before)
        client.write(data)
        with logged() as log:
            starved(server.watch.reactor.poll, 0, 1)
        assert log == [
            "ERROR: a message could not be handled; its connection is closed MemoryError()"
        ]
        client.send(said('421["echo",1]'))
        assert frames_in(client.sent())[-1].payload == b"\x03\xf3"

    @pytest.mark.parametrize(("before", "data"), COMING.values(), ids=COMING)
    def test_ends_its_connection_when_nobody_can_be_told(
        self, server: Server, before: bytes, data: bytes
    ) -> None:
        client, other = server.client(), server.client()
        client.send(before)
        client.write(data)
        with pytest.raises(MemoryError):
            starved(server.watch.reactor.poll)
        server.settle()
        assert client.sent() == b""
        assert client.reasons == ["transport close"]
        assert other.reasons == []

    def test_is_not_continued_in_the_midst_of_a_frame(self, server: Server) -> None:
        heard: list[int] = []

        @server.root.event
        def secret(socket: Socket) -> None:
            heard.append(1)

        client = server.client()
        head = b"\x81\xff" + (100_000).to_bytes(8, "big") + bytes(4)
        client.write(head + b"x" * (READ_SIZE - len(head)) + said('42["secret"]'))
        with pytest.raises(MemoryError):
            starved(server.watch.reactor.poll)
        server.settle()
        assert client.reasons == ["transport close"]
        assert heard == []


def test_an_error_that_cannot_be_told_ends_the_connection(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise OSError("disk full")

    client = server.client()
    monkeypatch.setattr(client.session, "on_message", broken)
    monkeypatch.setattr(NativeWebSocket, "on_error", broken)
    client.write(said("4x"))
    with pytest.raises(OSError, match="disk full"):
        server.watch.reactor.poll()
    server.settle()
    assert client.reasons == ["transport close"]


@pytest.mark.parametrize("unsent", [False, True])
def test_what_cannot_be_kept_for_a_client_ends_its_connection(server: Server, unsent: bool) -> None:
    """It has got the beginning of a frame, perhaps, and must not take the next for its rest."""
    client = server.client()
    data = b"\x82\x7f" + (1 << 22).to_bytes(8, "big") + bytes(1 << 22)
    if unsent:
        client.websocket.write(data)
    with pytest.raises(MemoryError):
        starved(partial(client.websocket.write, data))
    server.settle()
    assert client.reasons == ["transport close"]
    client.websocket.write(b"\x81\x01x")
    assert data.startswith(client.sent())


def test_a_packet_that_cannot_be_queued_is_not_queued() -> None:
    for allocations in range(20):
        log: list[Any] = []
        flow = made(_telex.SessionCore, log)
        packets = [message("a"), message("b")]
        flow.send(packets[0])
        flow.on_drain = bool  # somebody wants to know which was the last
        log.clear()
        try:
            starved(partial(flow._put, packets[1]), allocations, allocations + 1)
        except MemoryError:
            packets.pop()
        flow.flush()
        texts = [packet.text for packet in packets]
        assert log == [("sent", texts), ("flushed", texts[-1])]
