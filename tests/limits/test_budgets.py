"""How much of one client is handled in a turn of the loop, and how much of it waits meanwhile."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import tracemalloc
import zlib
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Self

import pytest
import trustme
import uvloop

from telex import Server, Socket, native
from telex.fronts.asgi import websocket
from telex.fronts.uvicorn import pacing, serve
from telex.fronts.websocket import pacing as websocket_pacing
from tests.support.raw import (
    BINARY,
    CLOSE,
    CONTINUATION,
    TEXT,
    frame,
    upgrade_request,
)

EVENTS = 3000
COMPRESSED = 4
"""The reserved bit of a compressed message."""

SMALLEST = len(frame(TEXT, '42["noise",0]'))
PICOWS = websocket_pacing.FRAMES + websocket_pacing.LARGEST_PORTION // SMALLEST
COMPILED = 256  # FRAMES in reactor.c
MOST = {
    "fast": PICOWS if native.core is None else COMPILED,
    "tls": PICOWS,
    "uvicorn": websocket.MESSAGES,
    "deflate": websocket.MESSAGES,
}
LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}


class Turns:
    """Counts in turns of the loop."""

    def __init__(self) -> None:
        self._now = 0
        self._turning = True
        self.most = 0

    def count(self, number: int = 1) -> None:
        self._now += number
        self.most = max(self.most, self._now)

    def begin(self) -> None:
        """Look at the running loop."""
        self._now = 0
        if self._turning:
            asyncio.get_running_loop().call_soon(self.begin)

    def stop(self) -> None:
        self._turning = False


class Client:
    """A WebSocket client in a thread, which sends all it has and then reads."""

    def __init__(self, port: int, road: str) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), 20)
        if road == "tls":
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
            self.socket = context.wrap_socket(self.socket)
        headers = [("Sec-WebSocket-Extensions", "permessage-deflate")] if road == "deflate" else []
        self.socket.sendall(upgrade_request("/socket.io/?EIO=4&transport=websocket", headers))
        self._data = b""
        head = self._until(b"\r\n\r\n").lower()
        assert (b"permessage-deflate" in head) is (road == "deflate")
        self.socket.sendall(frame(TEXT, "40"))

    def _until(self, end: bytes) -> bytes:
        while end not in self._data:
            data = self.socket.recv(65536)
            assert data, self._data[-200:]
            self._data += data
        before, _, self._data = self._data.partition(end)
        return before

    def send(self, data: bytes) -> None:
        """Send while the server reads; it may hang up before it has everything."""
        try:
            self.socket.sendall(data)
        except OSError:
            pass

    def ask(self, handled: threading.Event) -> None:
        """Send a last event, and wait until it has been handled."""
        self.socket.sendall(frame(TEXT, '42["last"]'))
        assert handled.wait(20)
        handled.clear()

    def to_the_end(self) -> bytes:
        """What the server says until it hangs up."""
        try:
            while data := self.socket.recv(65536):
                self._data += data
        except ConnectionResetError:
            pass
        return self._data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a server with TLS is told."""
    folder: Path = tmp_path_factory.mktemp("tls")
    issued = trustme.CA().issue_cert("127.0.0.1")
    issued.private_key_and_cert_chain_pem.write_to_path(str(folder / "all.pem"))
    return {"ssl_certfile": str(folder / "all.pem")}


@asynccontextmanager
async def listening(io: Server, road: str, tls: dict[str, str]) -> AsyncGenerator[int]:
    """The port of a server, on this road."""
    options: dict[str, Any] = tls if road == "tls" else {}
    if road == "uvicorn":
        options = {"http": "httptools"}
    listening = await serve.listen(io, host="127.0.0.1", port=0, **options)
    try:
        yield listening.port
    finally:
        await io.close()
        await listening.stop()


def server(deflate: bool) -> tuple[Server, threading.Event]:
    """A server, and what tells that it has handled the event `last`."""
    io, handled = Server(per_message_deflate=deflate), threading.Event()

    @io.event
    def last(_: Socket) -> None:
        handled.set()

    return io, handled


def run(loop: str, main: Callable[[], Any]) -> None:
    with asyncio.Runner(loop_factory=LOOPS[loop]) as runner:
        runner.run(main())


@pytest.mark.parametrize(
    ("road", "loop"),
    [
        ("fast", "asyncio"),
        ("fast", "uvloop"),
        ("tls", "asyncio"),
        ("tls", "uvloop"),
        ("uvicorn", "uvloop"),
        ("deflate", "uvloop"),
    ],
)
@pytest.mark.parametrize("kind", ["text", "fragments", "big first"])
def test_messages_in_a_turn(road: str, loop: str, kind: str, certificate: dict[str, str]) -> None:
    """Whatever a client sends, others have their turn behind a bounded number of messages."""
    io, handled = server(road == "deflate")
    numbers: list[int] = []
    turns = Turns()

    @io.event
    def noise(_: Socket, number: int) -> None:
        numbers.append(number)
        turns.count()

    def attack(port: int) -> None:
        stream = b""
        if kind == "big first":  # a read buffer that has grown once
            stream = frame(BINARY, bytes(900_000)) + frame(TEXT, '42["other"]')
            stream = frame(TEXT, '451-["other",{"_placeholder":true,"num":0}]') + stream
        for number in range(EVENTS):
            text = f'42["noise",{number}]'
            if kind == "fragments" and number % 10 == 0:
                stream += frame(TEXT, text[:5], fin=False) + frame(CONTINUATION, text[5:])
            else:
                stream += frame(TEXT, text)
        with Client(port, road) as client:
            client.send(stream)
            client.ask(handled)

    async def main() -> None:
        async with listening(io, road, certificate) as port:
            turns.begin()
            await asyncio.to_thread(attack, port)
            turns.stop()

    run(loop, main)
    assert numbers == list(range(EVENTS))
    assert turns.most <= MOST[road]


def deflated(data: bytes) -> bytes:
    """A message as permessage-deflate sends it."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -12)
    return (packer.compress(data) + packer.flush(zlib.Z_SYNC_FLUSH))[:-4]


def in_fragments(payload: bytes, count: int) -> bytes:
    """A compressed message in so many frames."""
    size = len(payload) // count + 1
    pieces = [payload[i : i + size] for i in range(0, len(payload), size)]
    stream = b""
    for number, piece in enumerate(pieces):
        first = number == 0
        kind, rsv = (TEXT, COMPRESSED) if first else (CONTINUATION, 0)
        stream += frame(kind, piece, fin=number == len(pieces) - 1, rsv=rsv)
    return stream


@pytest.mark.parametrize("fragments", [1, 3])
@pytest.mark.parametrize("road", ["deflate", "uvicorn"])
def test_bombs_in_instalments(road: str, fragments: int, certificate: dict[str, str]) -> None:
    """Messages that are small on the wire wait there, not inflated."""
    size, count = 500_000, 100
    io, handled = server(True)
    came = 0
    turns = Turns()

    @io.event
    def bomb(_: Socket, text: str) -> None:
        nonlocal came
        came += 1
        turns.count(len(text))

    payload = deflated(b'42["bomb","' + b"x" * size + b'"]')

    def attack(port: int) -> None:
        with Client(port, "deflate") as client:
            client.send(in_fragments(payload, fragments) * count)
            client.ask(handled)

    async def main() -> None:
        async with listening(io, road, certificate) as port:
            turns.begin()
            tracemalloc.start()
            await asyncio.to_thread(attack, port)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            turns.stop()
        assert peak < 10 * size, f"{peak} of {size * count} bytes"

    run("uvloop", main)
    assert came == count
    assert turns.most <= pacing.BYTES + size


BROKEN = {
    "too large": (frame(TEXT, deflated(b"4" + b"x" * 30_000_000), rsv=COMPRESSED), 1009),
    "too large in pieces": (in_fragments(deflated(b"4" + b"x" * 30_000_000), 5), 1009),
    "too large in the end": (
        frame(TEXT, deflated(b"4" + b"x" * 900_000) + b"\0\0\xff\xff", rsv=COMPRESSED, fin=False)
        + frame(CONTINUATION, deflated(b"x" * 900_000)),
        1009,
    ),
    "no stream": (frame(TEXT, b"\xff\xff\xff\xff", rsv=COMPRESSED), 1002),
    "no stream in the end": (
        frame(TEXT, deflated(b"4" + b"x" * 5000), rsv=COMPRESSED, fin=False)
        + frame(CONTINUATION, b"\xff\xff\xff\xff"),
        1002,
    ),
    "a bit in a continuation": (
        frame(TEXT, b"4", fin=False) + frame(CONTINUATION, b"x", rsv=COMPRESSED),
        1002,
    ),
    "no text": (frame(TEXT, deflated(b"4\xff\xfe"), rsv=COMPRESSED), 1007),
}


@pytest.mark.parametrize("name", BROKEN)
def test_broken_streams(name: str, certificate: dict[str, str]) -> None:
    """The session ends with the close code that says why, and others go on."""
    stream, code = BROKEN[name]
    io, handled = server(True)
    reasons: list[str] = []

    @io.event
    def disconnect(_: Socket, reason: str) -> None:
        reasons.append(reason)

    def attack(port: int) -> None:
        with Client(port, "deflate") as other, Client(port, "deflate") as client:
            client.ask(handled)
            client.send(stream)
            assert bytes((0x80 | CLOSE,)) in (said := client.to_the_end())
            assert code.to_bytes(2, "big") in said
            other.ask(handled)

    async def main() -> None:
        async with listening(io, "deflate", certificate) as port:
            tracemalloc.start()
            await asyncio.to_thread(attack, port)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 10_000_000

    run("uvloop", main)
    assert reasons[0] == ("transport error" if code == 1009 else "transport close")


class Host(asyncio.Protocol):
    """A host's protocol, which notes what it gets."""

    def __init__(self) -> None:
        self.portions: list[bytes] = []

    def data_received(self, data: bytes) -> None:
        self.portions.append(data)


@pytest.mark.parametrize("cut", [1, 2, 3, 7, 13, 1000, 100_000])
async def test_portions_are_the_stream(cut: int) -> None:
    """However it is cut, what is handed on is what has come, and so many frames at most."""
    frames = [frame(TEXT, "x" * size) for size in (0, 1, 125, 126, 200, 65_535, 65_536, 3)]
    frames += [frame(TEXT, "x", mask=None)] * 300 + [frame(TEXT, deflated(b"y"), rsv=COMPRESSED)]
    stream = b"".join(frames)
    server, client = socket.socketpair()
    loop = asyncio.get_running_loop()
    host = Host()
    transport, _ = await loop.create_connection(asyncio.Protocol, sock=server)
    pacer = pacing.Pacer(transport)
    pacer.set_protocol(host)
    assert pacer.get_protocol() is host

    def send() -> None:
        for start in range(0, len(stream), cut):
            client.sendall(stream[start : start + cut])

    sending = threading.Thread(target=send)
    sending.start()
    async with asyncio.timeout(20):
        while sum(map(len, host.portions)) < len(stream):
            await asyncio.sleep(0)
    sending.join()
    assert b"".join(host.portions) == stream
    transport.abort()
    client.close()


async def test_nothing_is_handed_on_while_the_host_has_paused() -> None:
    """Its messages wait as they came over the wire."""
    server, client = socket.socketpair()
    host = Host()
    transport, _ = await asyncio.get_running_loop().create_connection(asyncio.Protocol, sock=server)
    pacer = pacing.Pacer(transport)
    pacer.set_protocol(host)
    one = frame(TEXT, "3")
    client.sendall(one)
    while not host.portions:
        await asyncio.sleep(0)
    pacer.pause_reading()
    pacer.data_received(one * 200)  # what had been read before
    for _ in range(10):
        await asyncio.sleep(0)
    assert host.portions == [one]
    pacer.resume_reading()
    pacer.resume_reading()
    assert host.portions == [one], "not in the turn of whoever has handled the last"
    for _ in range(5):
        await asyncio.sleep(0)
    assert host.portions == [one, one * 64, one * 64, one * 64, one * 8]
    transport.abort()
    client.close()
