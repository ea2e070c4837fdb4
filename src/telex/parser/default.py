"""The text format: ``<type>[<attachments>-][<namespace>,][<ack id>][<JSON>]``.

One format serves revisions 5 and 4. The header is scanned when the packet arrives; the
payload stays text until somebody wants it.
"""

from __future__ import annotations

import re
from typing import Any

from ..codec import json
from ..errors import PacketError
from ..wire import EncodedPacket
from .attachments import restore
from .packet import ACK, BINARY_ACK, BINARY_EVENT, EVENT, MAX_NAMESPACE, Packet

# All protocol digits are ASCII: \d would take every digit of Unicode. An ack id has at
# most 16 digits, like every integer JavaScript can hold. A namespace ends at the first
# comma or at the end of the packet.
_HEADER = re.compile(r"([0-6])(?:([0-9]+)-)?(?:(/[^,]*)(?:,|\Z))?([0-9]{1,16}(?![0-9]))?")
MAX_ACK_DIGITS = 16
_MAX_COUNT_DIGITS = 16

_TYPES = tuple(b"4%d" % kind for kind in range(7))


class TextDecoder:
    """Decodes the packets of one connection.

    ``receive`` is called with every message, in order. ``waiting_for`` is the namespace
    of a packet whose attachments are still to come. After ``PacketError`` the decoder
    is of no further use: the connection must be closed.
    """

    __slots__ = (
        "_buffers",
        "_expected",
        "_header",
        "_max_attachments",
        "_max_bytes",
        "_size",
        "waiting_for",
    )

    def __init__(self, max_attachments: int, max_bytes: int) -> None:
        self._max_attachments = max_attachments
        self._max_bytes = max_bytes
        self.waiting_for: str | None = None
        self._header: tuple[int, int | None, str] | None = None
        self._buffers: list[bytes] = []
        self._expected = 0
        self._size = 0

    def drop(self) -> None:
        """Forget a packet that waits for attachments."""
        self.waiting_for = self._header = None
        self._buffers = []
        self._expected = self._size = 0

    def receive(self, data: str | bytes, pos: int) -> Packet | None:
        """Take one message; return the packet it completes, if it completes one."""
        if not isinstance(data, str):
            return self._receive_attachment(data[pos:] if pos else data)
        if self.waiting_for is not None:
            raise PacketError("got plaintext data when reconstructing a packet")
        # Most packets are events or acknowledgements: no regex for them.
        digit = data[pos : pos + 1]
        if digit == "2" or digit == "3":  # noqa: PLR1714 - a set would have to be hashed
            kind = EVENT if digit == "2" else ACK
            at = pos + 1
            nsp = "/"
            if data[at : at + 1] == "/":
                comma = data.find(",", at, at + MAX_NAMESPACE + 1)
                if comma < 0:
                    return self._receive_any(data, pos)
                nsp = data[at:comma]
                at = comma + 1
            start = data.find("[", at, at + MAX_ACK_DIGITS + 1)
            if start == at:
                return kind, nsp, None, data[start:], None
            if start > 0:
                ack_digits = data[at:start]
                if ack_digits.isdecimal() and ack_digits.isascii():
                    return kind, nsp, int(ack_digits), data[start:], None
        return self._receive_any(data, pos)

    def _receive_any(self, data: str, pos: int) -> Packet | None:
        match = _HEADER.match(data, pos)
        if match is None:
            raise PacketError(f"unknown packet type {data[pos : pos + 1]!r}")
        digit, announced, nsp, ack_digits = match.groups()
        kind = int(digit)
        nsp = nsp or "/"
        if len(nsp) > MAX_NAMESPACE:
            raise PacketError(f"a namespace has at most {MAX_NAMESPACE} characters")
        ack_id = None if ack_digits is None else int(ack_digits)
        text = data[match.end() :]
        if kind not in (BINARY_EVENT, BINARY_ACK):
            if announced is not None:
                raise PacketError("invalid payload: only binary packets have attachments")
            return kind, nsp, ack_id, text or None, None
        digits = (announced or "").lstrip("0")
        if not digits:
            raise PacketError("Illegal attachments")
        # int() refuses thousands of digits by an error of its own.
        count = int(digits) if len(digits) <= _MAX_COUNT_DIGITS else None
        if count is None or count > self._max_attachments:
            came = f"a number of {len(digits)} digits" if count is None else count
            raise PacketError(
                f"too many attachments: {came} are announced,"
                f" the limit is {self._max_attachments} (option max_attachments)"
            )
        if len(text) > self._max_bytes:
            raise PacketError(
                f"the packet has {len(text)} characters, the limit is {self._max_bytes}"
                " (option max_http_buffer_size)"
            )
        self._expected = count
        self._header = (kind - 3, ack_id, text)
        self._size = len(text)
        self.waiting_for = nsp
        return None

    def _receive_attachment(self, data: bytes) -> Packet | None:
        if self._header is None or self.waiting_for is None:
            raise PacketError("got binary data when not reconstructing a packet")
        self._size += len(data)
        if self._size > self._max_bytes:
            raise PacketError(
                f"the attachments of a packet exceed {self._max_bytes} bytes"
                " (option max_http_buffer_size)"
            )
        self._buffers.append(data)
        if len(self._buffers) < self._expected:
            return None
        (kind, ack_id, text), nsp, buffers = self._header, self.waiting_for, self._buffers
        self.drop()
        payload = restore(json.loads(text), buffers)
        return kind, nsp, ack_id, None, payload


class TextParser:
    """The default parser (Node: ``socket.io-parser``)."""

    decoder = TextDecoder
    loads = staticmethod(json.loads)

    def encode(
        self, kind: int, nsp: str, data: Any = None, ack_id: int | None = None
    ) -> EncodedPacket:
        """Encode a packet as an Engine.IO message, its attachments beside it."""
        attachments: list[bytes] = []
        text = b"" if data is None else json.dumps_with(data, attachments)
        if ack_id is not None:
            text = b"%d%b" % (ack_id, text)
        if nsp != "/":
            text = b"%b,%b" % (nsp.encode(), text)
        if not attachments:
            return EncodedPacket(_TYPES[kind] + text)
        header = b"%b%d-" % (_TYPES[kind + 3], len(attachments))
        return EncodedPacket(header + text, tuple(attachments))


DEFAULT_PARSER = TextParser()
