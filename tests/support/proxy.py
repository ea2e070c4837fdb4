"""A TCP proxy that fails as networks, balancers and servers do, where a test says so.

It reads what it forwards, and cuts it into units: an HTTP request with its body, an answer, a
WebSocket frame. A `Fault` names a unit and what happens there:

>>> proxy = await Proxy.start(port)
>>> proxy.add(Fault("poll answer", "reset", share=0.5))  # the connection breaks within an answer
>>> proxy.add(Fault("probe", Answer(502), times=math.inf))  # WebSocket refused, polling allowed
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl
import struct
import zlib
from collections import deque
from collections.abc import Generator, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Self, TypeAlias

Phase: TypeAlias = Literal[
    "tcp",  # a connection has been accepted
    "handshake",  # a GET by polling without a session
    "poll",  # a GET by polling with a session
    "post",
    "open",  # a WebSocket handshake without a session
    "probe",  # a WebSocket handshake with a session
    "request",  # any other request
    "handshake answer",
    "poll answer",
    "post answer",
    "open answer",
    "probe answer",
    "request answer",
    "client frame",
    "server frame",
    "raw",  # what is not HTTP
]

_GUARDED = 64 * 1024


@dataclass(frozen=True)
class Answer:
    """What the proxy answers with itself, whereupon it closes the connection."""

    status: int
    body: str = "<html><h1>the balancer says no</h1></html>"
    headers: tuple[tuple[str, str], ...] = (("Content-Type", "text/html"),)

    def encoded(self) -> bytes:
        """The bytes of the answer."""
        body = self.body.encode()
        lines = [f"HTTP/1.1 {self.status} Balancer", *(f"{k}: {v}" for k, v in self.headers)]
        lines += [f"Content-Length: {len(body)}", "Connection: close", "", ""]
        return "\r\n".join(lines).encode() + body


@dataclass(frozen=True)
class Instead:
    """What the client gets instead of the server's answer or frame; the connection goes on.

    Text is sent as the body of an answer, or as a frame; bytes are sent as they are.
    """

    data: str | bytes

    def encoded(self, phase: Phase) -> bytes:
        """The bytes in place of a unit of this phase."""
        if isinstance(self.data, bytes):
            return self.data
        data = self.data.encode()
        if phase == "server frame":
            return frame(data)
        head = f"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {len(data)}"
        return f"{head}\r\n\r\n".encode() + data


def frame(data: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A frame as servers send them."""
    size = len(data)
    head = bytes([fin << 7 | opcode])
    return head + bytes([size] if size < 126 else [126, *divmod(size, 256)]) + data


@dataclass(frozen=True)
class After:
    """A unit that has to come first: until then this one is held back."""

    phase: Phase
    match: str = ""


Action: TypeAlias = Literal["reset", "end", "half", "silence"] | Answer | Instead | After
"""`reset` cuts the client's connection (RST) and `end` closes it (FIN); `half` closes only the
direction towards the client; after `silence` nothing is forwarded any more, while the connection
stays."""


class Unit(NamedTuple):
    """A piece of the traffic; `text` is the target of a request with its body, the body of an
    answer, or what is in a frame; `data` are its bytes."""

    link: int
    phase: Phase
    text: str
    data: bytes


@dataclass(eq=False)
class Fault:
    """What happens at a unit of `phase` in whose text the pattern `match` is found.

    The first `skip` such units pass, then `times` are hit; of these, this `share` is forwarded
    before it happens. Unless it is `told`, the server does not notice that a connection ends.
    """

    phase: Phase
    action: Action
    share: float = 0.0
    match: str = ""
    skip: int = 0
    times: float = 1
    told: bool = False
    fired: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    def hits(self, phase: Phase, text: str) -> bool:
        """Whether it happens here; counts."""
        if phase != self.phase or not self.times or not re.search(self.match, text):
            return False
        if self.skip:
            self.skip -= 1
            return False
        self.times -= 1
        self.fired.set()
        return True


class Cut(Exception):
    """The end of a connection, by a fault."""


# -- reading --------------------------------------------------------------------------------

_Step: TypeAlias = Generator[None, None, "tuple[bytes, Phase, str]"]


class _Stream:
    """One direction of a connection, cut into units."""

    def __init__(self, exchange: _Exchange, *, up: bool) -> None:
        self._exchange = exchange
        self._up = up
        self._data = b""
        self._step: _Step | None = None
        self._at = 0

    def feed(self, data: bytes) -> Iterator[tuple[bytes, Phase, str]]:
        """The units that are complete with this data."""
        self._data += data
        while self._data:
            if self._step is None:
                self._step, self._at = self._next(), 0
            try:
                next(self._step)
                return
            except StopIteration as done:
                self._step = None
                self._data = self._data[self._at :]
                yield done.value

    def rest(self) -> bytes:
        """What is left of an incomplete unit."""
        data, self._data, self._step = self._data, b"", None
        return data

    def _next(self) -> _Step:
        if self._exchange.websocket:
            return self._frame()
        if not self._data[:1].isupper():
            return self._raw()
        return self._request() if self._up else self._answer()

    def _take(self, size: int) -> Generator[None, None, bytes]:
        while len(self._data) < self._at + size:
            yield
        self._at += size
        return self._data[self._at - size : self._at]

    def _take_to(self, mark: bytes) -> Generator[None, None, bytes]:
        while (end := self._data.find(mark, self._at)) < 0:
            yield
        taken = self._data[self._at : end]
        self._at = end + len(mark)
        return taken

    def _raw(self) -> _Step:
        return (yield from self._take(len(self._data))), "raw", ""

    def _head(self) -> Generator[None, None, tuple[str, dict[str, str]]]:
        head = (yield from self._take_to(b"\r\n\r\n")).decode("latin-1")
        first, *lines = head.split("\r\n")
        pairs = (line.partition(":") for line in lines)
        return first, {name.lower(): value.strip() for name, _, value in pairs}

    def _body(self, headers: dict[str, str]) -> Generator[None, None, bytes]:
        if headers.get("transfer-encoding", "").lower() == "chunked":
            body = b""
            while size := int((yield from self._take_to(b"\r\n")), 16):
                body += yield from self._take(size)
                yield from self._take(2)
            yield from self._take(2)
            return body
        return (yield from self._take(int(headers.get("content-length", 0))))

    def _request(self) -> _Step:
        first, headers = yield from self._head()
        method, target, _ = first.split(" ")
        body = yield from self._body(headers)
        phase: Phase = "request"
        joined = "sid=" in target
        if headers.get("upgrade", "").lower() == "websocket":
            phase = "probe" if joined else "open"
        elif method == "POST":
            phase = "post"
        elif "transport=polling" in target:
            phase = "poll" if joined else "handshake"
        self._exchange.requests.append(phase)
        return self._data[: self._at], phase, f"{target}\n{body.decode(errors='replace')}"

    def _answer(self) -> _Step:
        first, headers = yield from self._head()
        status = int(first.split(" ")[1])
        body = b""
        if status == 101:
            self._exchange.websocket = True
        elif status not in (204, 304):
            body = yield from self._body(headers)
        if headers.get("content-encoding") in ("gzip", "deflate"):
            body = zlib.decompress(body, wbits=47)
        request = self._exchange.requests.popleft() if self._exchange.requests else "request"
        phase: Phase = _ANSWERS[request]
        return self._data[: self._at], phase, body.decode(errors="replace")

    def _frame(self) -> _Step:
        first, second = yield from self._take(2)
        size = second & 0x7F
        if size > 125:
            size = int.from_bytes((yield from self._take(2 if size == 126 else 8)), "big")
        mask = (yield from self._take(4)) if second & 0x80 else b""
        payload = yield from self._take(size)
        if mask:
            key = (mask * (size // 4 + 1))[:size]
            plain = int.from_bytes(payload, "big") ^ int.from_bytes(key, "big")
            payload = plain.to_bytes(size, "big")
        text = payload.decode(errors="replace") if first & 0x0F == 1 else f"opcode {first & 0x0F}"
        return self._data[: self._at], "client frame" if self._up else "server frame", text


_ANSWERS: dict[Phase, Phase] = {
    "handshake": "handshake answer",
    "poll": "poll answer",
    "post": "post answer",
    "open": "open answer",
    "probe": "probe answer",
    "request": "request answer",
}


@dataclass(eq=False)
class _Exchange:
    """What the two directions of a connection know of each other."""

    requests: deque[Phase] = field(default_factory=deque[Phase])
    websocket: bool = False


# -- forwarding -----------------------------------------------------------------------------


class _Link:
    """A connection of a client, and the one to the server that it is forwarded to."""

    def __init__(self, proxy: Proxy, number: int, accepted: socket.socket) -> None:
        self._proxy = proxy
        self._number = number
        self._accepted = accepted
        self._writer: asyncio.StreamWriter | None = None
        self._server: asyncio.StreamWriter | None = None
        self._never = asyncio.Event()
        self._silent = False
        self._untold = False
        self._end: Action = "end"
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        """Forward until both sides have closed, or a fault has."""
        try:
            upper, self._writer = await _streams(self._accepted, self._proxy.tls)
            await self._check("tcp", "", b"", self._writer)
            lower, self._server = await asyncio.open_connection("127.0.0.1", self._proxy.target)
            exchange = _Exchange()
            async with asyncio.TaskGroup() as group:
                group.create_task(self._pump(upper, self._server, _Stream(exchange, up=True)))
                group.create_task(self._pump(lower, self._writer, _Stream(exchange, up=False)))
        except* (OSError, Cut):
            if self._untold:
                await self._close(self._writer)
                await self._never.wait()
        finally:
            await self._close(self._writer, self._server)

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, stream: _Stream
    ) -> None:
        """Forward one direction; the end of it, too."""
        try:
            while data := await reader.read(_GUARDED):
                for unit, phase, text in stream.feed(data):
                    await self._forward(writer, await self._check(phase, text, unit, writer))
            await self._forward(writer, stream.rest())
        except ConnectionError:
            self._end = "reset"  # as it came, so it goes on
            raise
        if writer.can_write_eof():
            writer.write_eof()
        else:  # TLS knows no half of a connection
            raise Cut

    async def _check(
        self, phase: Phase, text: str, unit: bytes, writer: asyncio.StreamWriter
    ) -> bytes:
        """What is to be forwarded; does not return if that is nothing any more."""
        self._proxy.units.append(Unit(self._number, phase, text, unit))
        if self._proxy.cut_at == len(self._proxy.units) - 1:
            self._proxy.cut_at = None
            self._end = "reset"
            raise Cut
        fault = next((item for item in self._proxy.faults if item.hits(phase, text)), None)
        if fault is None:
            return unit
        if isinstance(fault.action, Instead):
            return fault.action.encoded(phase)
        if isinstance(fault.action, After):
            while not self._proxy.seen(fault.action.phase, fault.action.match):
                await asyncio.sleep(0.001)
            return unit
        assert self._writer is not None
        await self._forward(writer, unit[: int(len(unit) * fault.share)])
        self._untold = not fault.told
        match fault.action:
            case Answer():
                self._end = "end"
                await self._forward(self._writer, fault.action.encoded())
                raise Cut
            case "half":
                self._writer.write_eof()
                self._silent = True
            case "silence":
                self._silent = True
            case "reset" | "end":
                self._end = fault.action
                raise Cut
        await self._never.wait()
        raise AssertionError("a silent connection has come to life")

    async def _forward(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        if self._silent:
            await self._never.wait()
        size, pause = self._proxy.pace or (len(data) or 1, 0.0)
        for start in range(0, len(data), size):
            writer.write(data[start : start + size])
            await writer.drain()
            if self._proxy.pace:
                await asyncio.sleep(pause)

    def silence(self) -> None:
        """Forward nothing any more, in no direction."""
        self._silent = True

    def cut(self, how: Literal["reset", "end"]) -> None:
        """End the connection."""
        self._end = how
        if self.task is not None:
            self.task.cancel()

    async def _close(self, *writers: asyncio.StreamWriter | None) -> None:
        there = [writer for writer in writers if writer is not None]
        for writer in there:
            if self._end == "reset":
                _reset(writer)
            else:
                writer.close()
        for writer in there:
            with suppress(OSError, ssl.SSLError):
                await writer.wait_closed()

    def abandon(self) -> None:
        """Close what is open, if the task was cancelled before it could."""
        if self._writer is None:
            self._accepted.close()


async def _streams(
    accepted: socket.socket, tls: ssl.SSLContext | None
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    protocol = asyncio.StreamReaderProtocol(reader)
    transport, _ = await loop.connect_accepted_socket(lambda: protocol, accepted, ssl=tls)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)


def _reset(writer: asyncio.StreamWriter) -> None:
    inner = writer.get_extra_info("socket")
    if inner is not None:
        with suppress(OSError):
            inner.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


class Proxy:
    """Forwards connections to a server on this machine.

    Attributes:
        target: the port of the server.
        tls: what ends TLS here, if anything does.
        faults: what happens where; the first fault that fits a unit hits it.
        units: what was seen, in order.
        cut_at: the number of the unit, from 0 on, at which a connection is cut; `None` when it was.
        pace: how many bytes are forwarded at once, and the pause after them in seconds.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.faults: list[Fault] = []
        self.units: list[Unit] = []
        self.cut_at: int | None = None
        self.pace: tuple[int, float] | None = None
        self.port = 0
        self.url = ""
        self.tls: ssl.SSLContext | None = None
        self._listener: socket.socket | None = None
        self._links: dict[int, _Link] = {}
        self._count = 0

    @classmethod
    async def start(cls, target: int, *, tls: ssl.SSLContext | None = None) -> Self:
        """Listen on a free port; with a context, TLS ends here."""
        proxy = cls(target)
        proxy.tls = tls
        await proxy.admit()
        return proxy

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def add(self, fault: Fault) -> Fault:
        """Let something happen."""
        self.faults.append(fault)
        return fault

    async def admit(self) -> None:
        """Listen, on the same port as before."""
        # Not asyncio's server: it fails if a connection comes in the turn in which it closes.
        self._listener = listener = socket.create_server(("127.0.0.1", self.port), backlog=128)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        self.url = f"http{'s' if self.tls else ''}://127.0.0.1:{self.port}"
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)

    async def refuse(self) -> None:
        """Listen no more: who connects is refused. Connections that are there stay."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()

    def _accept(self, listener: socket.socket) -> None:
        try:
            accepted, _ = listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        accepted.setblocking(False)
        self._count += 1
        number = self._count
        link = self._links[number] = _Link(self, number, accepted)
        link.task = asyncio.get_running_loop().create_task(link.run())

        def gone(task: asyncio.Task[None]) -> None:
            del self._links[number]
            link.abandon()
            if not task.cancelled():
                task.result()

        link.task.add_done_callback(gone)

    @property
    def sound(self) -> bool:
        """Whether the unit of the number `cut_at` is still to come."""
        return self.cut_at is not None

    @property
    def listening(self) -> bool:
        """Whether who connects is not refused."""
        return self._listener is not None

    @property
    def connections(self) -> int:
        """How many connections of clients are open."""
        return len(self._links)

    @property
    def accepted(self) -> int:
        """How many connections there have been."""
        return self._count

    def seen(self, phase: Phase, match: str) -> bool:
        """Whether there was such a unit."""
        return any(unit.phase == phase and re.search(match, unit.text) for unit in self.units)

    def phases(self) -> list[Phase]:
        """The phases of the units that were seen."""
        return [unit.phase for unit in self.units]

    def cut(self, how: Literal["reset", "end"] = "reset") -> int:
        """End all connections; how many there were."""
        for link in self._links.values():
            link.cut(how)
        return len(self._links)

    def silence(self) -> None:
        """Let all connections that are open become black holes."""
        for link in self._links.values():
            link.silence()

    async def close(self) -> None:
        """End everything."""
        await self.refuse()
        tasks = [link.task for link in self._links.values() if link.task is not None]
        self.cut()
        await asyncio.gather(*tasks, return_exceptions=True)
