"""Every limit that ends or refuses something says so: which option it was, and how much came."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

import telex
from telex import Server, Socket
from telex.deadlines import Schedule
from telex.engine.tally import FEW, PERIOD, Tally
from telex.native import core
from telex.wire import EncodedPacket
from tests.engine.scenes import Scene
from tests.features.scripts import Calls
from tests.limits.test_strangers import in_thread, listening
from tests.rules.clients import PollingClient, WebSocketClient
from tests.support.doubles import RecordingTransport, VirtualClock
from tests.support.raw import CLOSE, exchange, request

LIMIT = 1000
OVER = "over max_http_buffer_size"


@pytest.fixture(autouse=True)
def at_info(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    with caplog.at_level(logging.INFO, "telex"):
        yield


def said(caplog: pytest.LogCaptureFixture) -> list[str]:
    """What has been logged, without connections that are opened and closed."""
    return [record.getMessage() for record in caplog.records if record.name == "telex"]


async def test_a_message_that_is_too_big(caplog: pytest.LogCaptureFixture) -> None:
    """The log, the handlers of `disconnect` and the close frame name the option."""
    io = Server(max_http_buffer_size=LIMIT)
    left = Calls()

    @io.on("connection")
    def connection(socket: Socket) -> None:
        socket.on("disconnect", left)

    port = await listening(io)

    def whole() -> bytes:
        with WebSocketClient(port) as client:
            client.connect()
            client.send("4" + "x" * LIMIT)
            closing = client.websocket.receive()
            assert closing.opcode == CLOSE
            return closing.payload

    closing = await in_thread(whole)
    assert closing[:2] == (1009).to_bytes(2, "big")
    # picows tells the sizes in words of its own.
    assert closing[2:] == OVER.encode() or (core is None and b"1001 > 1000" in closing)
    assert (await left.next())[-1] == OVER
    (line,) = said(caplog)
    assert f"{OVER}: 1001 bytes came, 1000 are allowed" in line or "more than 1000" in line
    await io.close()


async def test_a_client_is_told_what_was_too_big() -> None:
    """The details of `disconnect` have the code and the words of the close frame."""
    io = Server(max_http_buffer_size=LIMIT)
    port = await listening(io)
    gone = Calls()
    url = f"http://127.0.0.1:{port}"
    async with telex.connect(url, transports=["websocket"], reconnection=False) as socket:
        socket.on("disconnect", gone)
        socket.emit("big", "x" * LIMIT)
        reason, details = await gone.next()
    assert reason == "transport close"
    assert details.description.startswith("websocket connection closed: code 1009, ")
    assert OVER in details.description or core is None
    await io.close()


async def test_a_body_that_is_too_big(caplog: pytest.LogCaptureFixture) -> None:
    """Announced, or come in chunks; the answer names the option."""
    io = Server(max_http_buffer_size=LIMIT)
    port = await listening(io)

    def visit() -> list[tuple[int, bytes]]:
        with PollingClient(port) as client:
            announced = client.post("4" + "x" * LIMIT)
            target = client.target("polling")
            chunked = request("POST", target, [("Transfer-Encoding", "chunked")])
            chunk = b"7d0\r\n" + b"x" * 2000 + b"\r\n0\r\n\r\n"
            answers = [announced, exchange(port, chunked + chunk)]
            return [(answer.status, answer.body) for answer in answers]

    assert await in_thread(visit) == [(413, OVER.encode())] * 2
    first, second = said(caplog)
    assert f"{OVER}: 1001 bytes came, 1000 are allowed" in first
    assert f"{OVER}: more than 1000 bytes came" in second
    await io.close()


async def test_packets_against_the_limits_of_the_server(caplog: pytest.LogCaptureFixture) -> None:
    io = Server(max_attachments=3)
    port = await listening(io)

    def visit() -> None:
        with WebSocketClient(port) as client:
            client.connect()
            client.send('454-["x"]')
            while client.websocket.receive().opcode != CLOSE:
                pass

    await in_thread(visit)
    assert "4 are announced, the limit is 3 (option max_attachments)" in said(caplog)[0]
    await io.close()


def test_a_slow_consumer(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene(send_buffer_limit=1000)
    session, transport = scene.open_websocket()
    transport.writable = False
    for _ in range(3):
        session.send(EncodedPacket(b"4" + b"x" * 600))
    scene.pass_time(3)
    session, transport = scene.open_websocket()
    transport.writable = False
    for _ in range(30):
        session.send(EncodedPacket(b"4" + b"x" * 600))
    assert scene.reasons == ["slow consumer"] * 2
    patient, burst = said(caplog)
    assert "over send_buffer_limit: 1803 bytes wait for the client, 1000 are allowed" in patient
    assert "8 times 1000 are allowed for a moment" in burst


def test_silence(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    scene.open_websocket()
    scene.pass_time(50)
    scene.open_websocket("EIO=3")
    scene.pass_time(50)
    session, _ = scene.open_websocket()
    session.pause()
    scene.pass_time(301)
    assert scene.reasons == ["ping timeout"] * 3
    new, old, busy = said(caplog)
    assert "ping_timeout: nothing came within 20 s" in new
    assert "ping_timeout: nothing came within 45 s" in old
    assert "handlers too busy" in busy


def test_an_upgrade_that_does_not_come(caplog: pytest.LogCaptureFixture) -> None:
    scene = Scene()
    session = scene.open_polling()
    assert session.start_probe(RecordingTransport()) is not None
    scene.pass_time(11)
    assert said(caplog) == ["upgrade_timeout: no upgrade within 10 s"]


def test_many_lines_of_a_kind_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    clock = VirtualClock()
    schedule = Schedule(clock)
    tally = Tally(schedule)
    for number in range(1000):
        tally.note("refused", f"number {number}\n")
        tally.note("other", level=logging.WARNING)
    assert len(said(caplog)) == 2 * FEW
    clock.now += PERIOD
    schedule.tick(clock.now)
    sums = [f"990 more within 60 s: {kind}" for kind in ("refused", "other")]
    assert said(caplog)[2 * FEW :] == sums
    assert schedule.pending() == 0
    tally.note("refused")
    tally.flush()
    assert len(said(caplog)) == 2 * FEW + 3
    assert schedule.pending() == 0


async def test_refused_requests_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    """On every road: unknown sessions, foreign origins, what is no HTTP."""
    io = Server()
    port = await listening(io)
    unknown = request("GET", "/socket.io/?EIO=4&transport=polling&sid=nobody")
    foreign = request("GET", "/socket.io/?EIO=4&transport=polling", [("Origin", "http://a.b")])

    def attack() -> None:
        for data in (unknown, foreign, b"NONSENSE\r\n\r\n"):
            for _ in range(4 * FEW):
                assert exchange(port, data).status in (400, 403)

    with caplog.at_level(logging.INFO):
        await in_thread(attack)
        await io.close()
    lines = [record.getMessage() for record in caplog.records if record.name != "asyncio"]
    assert not any(line.endswith(": Session ID unknown") for line in lines), "the reason twice"
    for kind in ("refused (Session ID unknown)", "refused (ORIGIN_NOT_ALLOWED)"):
        assert len([line for line in lines if line.startswith(kind)]) == FEW
        assert f"{3 * FEW} more within 60 s: {kind}" in lines
    assert lines.count("Invalid HTTP request received.") == FEW
