"""Packet types of Engine.IO and the packets that are always the same."""

from __future__ import annotations

from ..errors import EncodeError
from ..wire import EncodedPacket

OPEN = "0"
CLOSE = "1"
PING = "2"
PONG = "3"
MESSAGE = "4"
UPGRADE = "5"
NOOP = "6"

TYPES = "0123456"

CLOSE_PACKET = EncodedPacket(b"1")
PING_PACKET = EncodedPacket(b"2")
NOOP_PACKET = EncodedPacket(b"6")
PROBE = "2probe"
PROBE_ANSWER = EncodedPacket(b"3probe")


def message(data: str | bytes | bytearray | memoryview) -> EncodedPacket:
    """A message: text, or binary data."""
    try:
        if isinstance(data, str):
            return EncodedPacket(b"4" + data.encode())
        return EncodedPacket(None, (memoryview(data).tobytes(),))
    except (TypeError, UnicodeEncodeError) as error:
        raise EncodeError(f"a message is text or binary data: {error}") from None
