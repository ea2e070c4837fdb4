"""HTTP/1.1 and WebSocket over plain sockets: exact bytes out, parsed answers in.

Nothing is corrected on the way out, so that tests can say what no proper client would say; what
comes back is read strictly, so that a server's mistake is not overlooked.
"""

from __future__ import annotations

import base64
import hashlib
import json
import socket
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self, TypeAlias

HeaderLines: TypeAlias = Sequence[tuple[str, str]]

TIMEOUT = 10.0
"""How long to wait for a byte of the server, in seconds."""

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0x0, 0x1, 0x2, 0x8, 0x9, 0xA
NO_STATUS = 1005
"""What a close frame without a code stands for (RFC 6455, 7.1.5)."""

KEY = "dGhlIHNhbXBsZSBub25jZQ=="
MASK = b"\x37\xfa\x21\x3d"
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


class RawError(AssertionError):
    """The server did not answer, or its answer is malformed."""


class Ended(RawError):
    """The connection ended where an answer was expected; `how` is `eof` or `reset`."""

    def __init__(self, how: str, read: bytes = b"") -> None:
        self.how = how
        super().__init__(f"the connection ended ({how}) after {read[:300]!r}")


@dataclass(frozen=True)
class Answer:
    """An HTTP response."""

    status: int
    headers: HeaderLines
    body: bytes

    def all(self, name: str) -> list[str]:
        """The values of every header with this name."""
        return [value for key, value in self.headers if key.lower() == name]

    def header(self, name: str) -> str | None:
        """The value of a header that may come once at most."""
        values = self.all(name)
        assert len(values) <= 1, f"{name} came {len(values)} times: {values}"
        return values[0] if values else None

    @property
    def content_type(self) -> str | None:
        return self.header("content-type")

    @property
    def text(self) -> str:
        return self.body.decode()

    def json(self) -> Any:
        """The body of a JSON answer."""
        assert self.content_type == "application/json", self
        return json.loads(self.body)


def request(
    method: str,
    target: str,
    headers: HeaderLines = (),
    body: bytes | None = None,
    *,
    host: str | None = "127.0.0.1",
    version: str = "1.1",
) -> bytes:
    """The bytes of a request; with a body, its length is told."""
    lines = [f"{method} {target} HTTP/{version}"]
    if host is not None:
        lines.append(f"Host: {host}")
    lines += [f"{name}: {value}" for name, value in headers]
    if body is not None:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + (body or b"")


class Connection:
    """A TCP connection to a server on this machine.

    A server may close it while we still send: what it has said can then still be read.
    """

    def __init__(self, port: int, *, timeout: float = TIMEOUT) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = bytearray()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    # -- out ------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        """Send exactly these bytes."""
        try:
            self._socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_each(self, pieces: Iterable[bytes]) -> None:
        """Send each piece in a segment of its own."""
        for piece in pieces:
            self.send(piece)

    def half_close(self) -> None:
        """Say that nothing more will be sent, and go on reading."""
        self._socket.shutdown(socket.SHUT_WR)

    def close(self) -> None:
        """Close the connection politely (FIN)."""
        self._socket.close()

    def reset(self) -> None:
        """Cut the connection (RST)."""
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._socket.close()

    # -- in -------------------------------------------------------------------------------

    def _more(self) -> None:
        try:
            data = self._socket.recv(65536)
        except TimeoutError:
            raise RawError(f"nothing came after {bytes(self._buffer[:300])!r}") from None
        except ConnectionResetError:
            raise Ended("reset", bytes(self._buffer)) from None
        if not data:
            raise Ended("eof", bytes(self._buffer))
        self._buffer += data

    def read(self, size: int) -> bytes:
        """Exactly `size` bytes."""
        while len(self._buffer) < size:
            self._more()
        data = bytes(self._buffer[:size])
        del self._buffer[:size]
        return data

    def read_to(self, delimiter: bytes) -> bytes:
        """Everything before `delimiter`, which is taken off too."""
        while (end := self._buffer.find(delimiter)) < 0:
            self._more()
        data = bytes(self._buffer[:end])
        del self._buffer[: end + len(delimiter)]
        return data

    def read_to_end(self) -> bytes:
        """Everything until the server has closed the connection."""
        try:
            while True:
                self._more()
        except Ended:
            data = bytes(self._buffer)
            self._buffer.clear()
            return data

    def ended(self) -> Literal["eof", "reset"]:
        """Wait until the server has closed the connection, which it must do without a word."""
        try:
            self._more()
        except Ended as end:
            return "reset" if end.how == "reset" else "eof"
        raise RawError(f"the connection goes on with {bytes(self._buffer[:300])!r}")

    def silent(self, seconds: float = 0.05) -> bool:
        """Whether the server says nothing, and does not hang up, for a moment."""
        if self._buffer:
            return False
        self._socket.settimeout(seconds)
        try:
            self._more()
        except Ended:
            return False
        except RawError:
            return True
        finally:
            self._socket.settimeout(TIMEOUT)
        return False

    def answer(self, *, head: bool = False) -> Answer:
        """The next response; `head` says that the request was HEAD, which has no body."""
        lines = self.read_to(b"\r\n\r\n").decode("latin-1").split("\r\n")
        version, status, *_ = lines[0].split(" ", 2)
        assert version == "HTTP/1.1", lines[0]
        headers: list[tuple[str, str]] = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            assert name, line
            assert colon, line
            headers.append((name.lower(), value.strip()))
        answer = Answer(int(status), headers, b"")
        if head or status.startswith("1") or status in {"204", "304"}:
            return answer
        if answer.header("transfer-encoding") == "chunked":
            return Answer(int(status), headers, self._read_chunked())
        length = answer.header("content-length")
        assert length is not None, f"an answer without a length: {answer}"
        return Answer(int(status), headers, self.read(int(length)))

    def _read_chunked(self) -> bytes:
        body = b""
        while (size := int(self.read_to(b"\r\n"), 16)) > 0:
            body += self.read(size)
            assert self.read(2) == b"\r\n"
        assert self.read_to(b"\r\n") == b""
        return body


def exchange(port: int, data: bytes, *, head: bool = False) -> Answer:
    """The answer to one request on a connection of its own."""
    with Connection(port) as connection:
        connection.send(data)
        return connection.answer(head=head)


# -- WebSocket ------------------------------------------------------------------------------


@dataclass(frozen=True)
class Frame:
    """A WebSocket frame as it came from the server."""

    opcode: int
    payload: bytes = b""
    fin: bool = True


def masked(data: bytes, mask: bytes = MASK) -> bytes:
    """Data under a mask (RFC 6455, 5.3)."""
    size = len(data)
    key = (mask * (size // 4 + 1))[:size]
    return (int.from_bytes(data, "big") ^ int.from_bytes(key, "big")).to_bytes(size, "big")


def frame(
    opcode: int,
    payload: bytes | str = b"",
    *,
    fin: bool = True,
    rsv: int = 0,
    mask: bytes | None = MASK,
    length: int | None = None,
    length_bits: Literal[7, 16, 64] | None = None,
) -> bytes:
    """Any frame, proper or not.

    `rsv` are the reserved bits (4, 2, 1), `mask` may be `None`, `length` is announced instead of
    the payload's own, and `length_bits` chooses the form of the length.
    """
    data = payload.encode() if isinstance(payload, str) else payload
    size = len(data) if length is None else length
    if length_bits is None:
        length_bits = 7 if size < 126 else 16 if size < 65536 else 64
    bit = 0 if mask is None else 0x80
    head = bytes([(0x80 if fin else 0) | (rsv << 4) | opcode])
    if length_bits == 7:
        head += bytes([bit | size])
    elif length_bits == 16:
        head += bytes([bit | 126]) + size.to_bytes(2, "big")
    else:
        head += bytes([bit | 127]) + size.to_bytes(8, "big")
    return head + data if mask is None else head + mask + masked(data, mask)


def close_frame(code: int | None = None, reason: bytes = b"") -> bytes:
    """A close frame of a client; without a code, an empty one."""
    return frame(CLOSE, b"" if code is None else code.to_bytes(2, "big") + reason)


def upgrade_request(target: str, headers: HeaderLines = (), *, key: str = KEY) -> bytes:
    """A proper request for a WebSocket."""
    proper = [
        ("Connection", "Upgrade"),
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", key),
    ]
    return request("GET", target, [*proper, *headers])


class WebSocket:
    """An open WebSocket, on which anything can be sent.

    Raises:
        Refused: the server answered with something else than 101.
    """

    def __init__(
        self, port: int, target: str, headers: HeaderLines = (), *, glued: bytes = b""
    ) -> None:
        self.connection = Connection(port)
        try:
            # What is glued to the request travels in the same segment.
            self.connection.send(upgrade_request(target, headers) + glued)
            self.handshake = self.connection.answer()
            if self.handshake.status != 101:
                raise Refused(self.handshake)
            expected = base64.b64encode(hashlib.sha1((KEY + _GUID).encode()).digest()).decode()
            assert self.handshake.header("sec-websocket-accept") == expected
            assert self.handshake.header("sec-websocket-extensions") is None
            offered = [value for name, value in headers if name == "Sec-WebSocket-Protocol"]
            first = offered[0].partition(",")[0] if offered else None
            assert self.handshake.header("sec-websocket-protocol") == first
        except BaseException:
            self.connection.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.connection.close()

    def send(self, *frames: bytes) -> None:
        """Send frames, all in one segment."""
        self.connection.send(b"".join(frames))

    def send_text(self, *texts: str) -> None:
        """Send text messages, all in one segment."""
        self.send(*(frame(TEXT, text) for text in texts))

    def send_binary(self, *messages: bytes) -> None:
        """Send binary messages, all in one segment."""
        self.send(*(frame(BINARY, message) for message in messages))

    def receive(self) -> Frame:
        """The next frame, which must be one a server may send."""
        first, second = self.connection.read(2)
        assert first & 0x70 == 0, f"reserved bits in {first:#x}"
        assert second & 0x80 == 0, "a server does not mask"
        size = second & 0x7F
        if size == 126:
            size = int.from_bytes(self.connection.read(2), "big")
            assert size > 125, "not the shortest form of the length"
        elif size == 127:
            size = int.from_bytes(self.connection.read(8), "big")
            assert size > 65535, "not the shortest form of the length"
        received = Frame(first & 0x0F, self.connection.read(size), bool(first & 0x80))
        if received.opcode >= CLOSE:
            assert received.fin, f"a control frame in pieces: {received}"
            assert size <= 125, f"a long control frame: {received}"
        return received

    def message(self) -> str | bytes:
        """The next message, which must come in one frame."""
        received = self.receive()
        assert received.fin, received
        if received.opcode == TEXT:
            return received.payload.decode()
        assert received.opcode == BINARY, f"instead of a message: {received}"
        return received.payload

    def texts(self, count: int) -> list[str]:
        """The next messages, which must be text."""
        messages = [self.message() for _ in range(count)]
        assert all(isinstance(message, str) for message in messages), messages
        return [str(message) for message in messages]

    def close_code(self) -> int:
        """Wait for the close frame, which must come next, and tell its code."""
        received = self.receive()
        assert received.opcode == CLOSE, f"instead of a close frame: {received}"
        if not received.payload:
            return NO_STATUS
        assert len(received.payload) >= 2, received
        received.payload[2:].decode()
        return int.from_bytes(received.payload[:2], "big")

    def close(self) -> None:
        """Close as a proper client does: close frame, answer, end."""
        self.send(close_frame(1000))
        while self.receive().opcode != CLOSE:
            pass
        assert self.connection.ended() == "eof"
        self.connection.close()


class Refused(RawError):
    """The server did not open a WebSocket; `answer` is what it said."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        super().__init__(f"no WebSocket: {answer}")
