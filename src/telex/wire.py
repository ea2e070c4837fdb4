"""What goes over the wire: packets that are encoded once and shared by every recipient.

An ``EncodedPacket`` is one item for a transport: an Engine.IO text packet followed by
the binary messages that belong to it. Header and attachments are one item so that
nothing can ever come between them. Each wire form is built on first need and kept.
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Callable
from typing import Any

_SMALL_TEXT_HEADERS = tuple(bytes((0x81, n)) for n in range(126))
_TEXT, _BINARY = 0x81, 0x82


def _frame(first_byte: int, payload: bytes) -> bytes:
    """One final, unmasked WebSocket frame (RFC 6455, 5.2)."""
    size = len(payload)
    if size < 126:
        return bytes((first_byte, size)) + payload
    if size < 65536:
        return bytes((first_byte, 126)) + size.to_bytes(2, "big") + payload
    return bytes((first_byte, 127)) + size.to_bytes(8, "big") + payload


class EncodedPacket:
    """An Engine.IO text packet and its attachments, with a slot per wire form.

    ``text`` is the packet in UTF-8 with its type digit (``b'42["hi"]'``), or ``None``
    for a message that is only binary. ``size`` is what it counts in a write buffer.
    ``compress`` says whether it may be compressed; ``event`` keeps what a broadcast was
    made of, for those who listen to what is sent.
    """

    __slots__ = ("_frames", "_others", "attachments", "compress", "event", "size", "text")

    def __init__(self, text: bytes | None, attachments: tuple[bytes, ...] = ()) -> None:
        self.text = text
        self.attachments = attachments
        self.size = 0 if text is None else len(text)
        if attachments:
            self.size += sum(map(len, attachments))
        self.compress = True
        self.event: list[Any] | None = None
        self._frames: bytes | None = None
        self._others: _OtherForms | None = None

    def has_offset(self) -> None:
        """The event's last argument is its offset (connection state recovery)."""
        self._other_forms().has_offset = True

    def without_offset(self, encode: Callable[[list[Any]], EncodedPacket]) -> EncodedPacket:
        """The event for clients that cannot recover; ``encode`` is asked once, if at all."""
        forms = self._others
        if forms is None or not forms.has_offset or self.event is None:
            return self
        if forms.plain is None:
            forms.plain = encode(self.event)
            forms.plain.event = self.event
            forms.plain.compress = self.compress
        return forms.plain

    def frames(self) -> bytes:
        """WebSocket frames for Engine.IO 4 (for 3 as well if nothing is binary)."""
        frames = self._frames
        if frames is None:
            text = self.text
            if text is None:
                frames = b""
            elif len(text) < 126:
                frames = _SMALL_TEXT_HEADERS[len(text)] + text
            else:
                frames = _frame(_TEXT, text)
            if self.attachments:
                frames += b"".join([_frame(_BINARY, data) for data in self.attachments])
            self._frames = frames
        return frames

    def _other_forms(self) -> _OtherForms:
        if self._others is None:
            self._others = _OtherForms()
        return self._others

    def frames3(self) -> bytes:
        """WebSocket frames for Engine.IO 3: binary messages carry their type byte."""
        if not self.attachments:
            return self.frames()
        forms = self._other_forms()
        if forms.frames3 is None:
            text = b"" if self.text is None else _frame(_TEXT, self.text)
            binary = [_frame(_BINARY, b"\x04" + data) for data in self.attachments]
            forms.frames3 = text + b"".join(binary)
        return forms.frames3

    def messages(self) -> list[str | bytes]:
        """WebSocket messages, for servers that build the frames themselves."""
        forms = self._other_forms()
        if forms.messages is None:
            text: list[str | bytes] = [] if self.text is None else [self.text.decode()]
            forms.messages = text + list(self.attachments)
        return forms.messages

    def part(self) -> bytes:
        """The items of an Engine.IO 4 polling payload, joined by the record separator."""
        if not self.attachments and self.text is not None:
            return self.text
        forms = self._other_forms()
        if forms.part is None:
            text = [] if self.text is None else [self.text]
            forms.part = b"\x1e".join(text + [b"b" + b64encode(a) for a in self.attachments])
        return forms.part


class _OtherForms:
    """The wire forms of a packet that most packets never need."""

    __slots__ = ("frames3", "has_offset", "messages", "part", "plain")

    def __init__(self) -> None:
        self.has_offset = False
        self.plain: EncodedPacket | None = None
        self.frames3: bytes | None = None
        self.messages: list[str | bytes] | None = None
        self.part: bytes | None = None
