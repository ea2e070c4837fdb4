"""Payloads of long-polling: several packets in one HTTP body.

Revision 4 joins the packets with the record separator. Revision 3 has three forms: a
string (lengths in UTF-16 code units), a binary one (lengths in bytes) for clients that
can read it, and JSONP, a string inside a script.

Every decoder returns the packets before a mistake together with the mistake, because
the protocol handles those packets before it ends the session.
"""

from __future__ import annotations

import json
import re
from base64 import b64decode, b64encode
from binascii import Error as Base64Error
from binascii import a2b_qp
from collections.abc import Callable, Iterator, Sequence

from ..errors import PacketError
from ..wire import EncodedPacket
from .packet import TYPES

SEPARATOR = "\x1e"
MAX_LENGTH_DIGITS = 15
"""More digits than any length that fits a message; the reference gives up at 310."""

_NO_ESCAPE = re.compile(rb"%(?![0-9A-Fa-f]{2})")
_BASE64_URL = bytes.maketrans(b"-_", b"+/")
_NOT_BASE64 = bytes(
    byte for byte in range(256) if not (byte < 128 and chr(byte).isalnum()) and byte not in b"+/-_"
)
_NOT_DIGITS = re.compile(r"[^0-9]")
_EMPTY_PACKETS = re.compile(rf"(?:0{{1,{MAX_LENGTH_DIGITS}}}:)*+")
_SHORT = "a packet of the payload is shorter than announced"
_SCRIPT_UNSAFE = {
    ord("<"): "\\u003c",
    ord(">"): "\\u003e",
    0x2028: "\\u2028",
    0x2029: "\\u2029",
}


def decode_base64(text: str) -> bytes:
    """Base64 as Node reads it: either alphabet, up to the first ``=``; the rest is nothing."""
    try:
        return b64decode(text, validate=True)
    except (Base64Error, ValueError):
        written = text.partition("=")[0].encode("ascii", "ignore")
        digits = written.translate(_BASE64_URL, _NOT_BASE64)
        whole = len(digits) - (len(digits) % 4 == 1)  # six bits are not a byte
        return b64decode(digits[:whole] + b"=" * (-whole % 4))


# -- revision 4 ---------------------------------------------------------------------


def encode(packets: Sequence[EncodedPacket]) -> bytes:
    """A payload of revision 4."""
    if len(packets) == 1:
        return packets[0].part()
    return b"\x1e".join([packet.part() for packet in packets])


def decode(body: bytes) -> Iterator[str | bytes]:
    """The packets of a payload of revision 4, binary messages as bytes."""
    try:
        text = body.decode()
    except UnicodeDecodeError:
        raise PacketError("the payload is not UTF-8") from None
    start, end = 0, 0
    while end >= 0:  # cut off one after the other: there can be as many as there are bytes
        end = text.find(SEPARATOR, start)
        item = text[start:] if end < 0 else text[start:end]
        start = end + 1
        if item[:1] == "b":
            yield decode_base64(item[1:])
        elif item[:1] and item[0] in TYPES:
            yield item
        else:
            raise PacketError("unknown packet type in the payload")


# -- revision 3 ---------------------------------------------------------------------


def utf16_length(text: str) -> int:
    """What JavaScript's ``length`` says: characters beyond U+FFFF count twice."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def encode3(packets: Sequence[EncodedPacket], write_text: Callable[[str], str]) -> bytes:
    """A string payload of revision 3; binary messages become base64.

    ``write_text`` puts text beyond ASCII into a form that the client reads correctly
    (see ``legacy``).
    """
    items: list[str] = []
    for packet in packets:
        if packet.text is not None:
            text = packet.text.decode()
            items.append(text if text.isascii() else write_text(text))
        items += ["b4" + b64encode(data).decode() for data in packet.attachments]
    return "".join([f"{utf16_length(item)}:{item}" for item in items]).encode()


def encode3_binary(packets: Sequence[EncodedPacket]) -> bytes:
    """A binary payload of revision 3, for clients with binary XHR."""
    items: list[bytes] = []
    for packet in packets:
        if packet.text is not None:
            items += (_length3(0, len(packet.text)), packet.text)
        for data in packet.attachments:
            items += (_length3(1, len(data) + 1), b"\x04", data)
    return b"".join(items)


def _length3(marker: int, length: int) -> bytes:
    return bytes((marker, *(ord(digit) - 48 for digit in str(length)), 255))


def decode3(text: str) -> Iterator[str | bytes]:
    """The packets of a string payload of revision 3.

    Lengths are UTF-16 code units, so a text with characters beyond U+FFFF is cut where
    JavaScript would cut it. A packet of length zero is skipped, as in the reference.
    """
    if not text:
        raise PacketError("empty payload")
    wide = not text.isascii() and len(text) != utf16_length(text)
    start, end = 0, len(text)
    while start < end:
        head = text[start : start + MAX_LENGTH_DIGITS + 1]
        digits, colon, _ = head.partition(":")
        if not colon or not digits.isascii() or not digits.isdigit():
            raise PacketError("a packet of the payload has no proper length")
        start += len(digits) + 1
        length = int(digits)
        item = text[start : start + length]
        if wide and not item.isascii():
            item = _cut(item, length)
        elif len(item) < length:
            raise PacketError(_SHORT)
        start += len(item)
        if item:
            yield _packet3(item)
        elif (more := _EMPTY_PACKETS.match(text, start)) is not None:
            start = more.end()  # they count for nothing: no step would ever end


def _cut(text: str, length: int) -> str:
    """The first code units of a text that has at least as many characters as are wanted."""
    units = text.encode("utf-16-le", "surrogatepass")
    if len(units) < 2 * length:
        raise PacketError(_SHORT)
    try:
        return units[: 2 * length].decode("utf-16-le")
    except UnicodeDecodeError:
        raise PacketError("a length of the payload cuts a character in two") from None


def _packet3(item: str) -> str | bytes:
    if item[0] in TYPES:
        return item
    if item[:2] == "b4":
        return decode_base64(item[2:])
    raise PacketError("unknown packet type in the payload")


def decode3_binary(body: bytes) -> Iterator[str | bytes]:
    """The packets of a binary payload of revision 3."""
    if not body:
        raise PacketError("empty payload")
    pos, end = 0, len(body)
    while pos < end:
        marker = body[pos]
        stop = body.find(b"\xff", pos + 1, pos + MAX_LENGTH_DIGITS + 2)
        digits = body[pos + 1 : stop]
        if marker > 1 or stop < 0 or not digits or max(digits) > 9:
            raise PacketError("a packet of the payload has no proper length")
        start = stop + 1
        pos = start + int(bytes(digit + 48 for digit in digits))
        if pos > end:
            raise PacketError(_SHORT)
        data = body[start:pos]
        if marker == 1:
            if data[:1] != b"\x04":
                raise PacketError("binary packets are messages")
            yield data[1:]
            continue
        try:
            item = data.decode()
        except UnicodeDecodeError:
            raise PacketError("a text packet is not UTF-8") from None
        if not item:
            raise PacketError("empty packet")
        yield _packet3(item)


def fitting(packets: Sequence[EncodedPacket], limit: int, protocol: int) -> int:
    """How many packets of a client fit into a payload of ``limit`` bytes: at least one."""
    size = count = 0
    for packet in packets:
        size += _size(packet, protocol)
        if count and size > limit:
            break
        count += 1
    return count


def _size(packet: EncodedPacket, protocol: int) -> int:
    """How many bytes a packet adds to a payload of a client, or a few more."""
    if protocol == 4 and packet.text is not None and not packet.attachments:
        return len(packet.text) + 1
    size = 16 if packet.text is None else len(packet.text) + 16
    return size + sum(16 + (len(data) + 2) // 3 * 4 for data in packet.attachments)


# -- JSONP (revision 3) ----------------------------------------------------------------


def jsonp_index(value: str) -> str:
    """The number of the callback: whatever else stands in ``j`` is dropped."""
    return _NOT_DIGITS.sub("", value)


def encode_jsonp(payload: bytes, index: str) -> bytes:
    """The script that hands a string payload to the client's callback."""
    text = json.dumps(payload.decode(), ensure_ascii=False).translate(_SCRIPT_UNSAFE)
    return f"___eio[{index}]({text});".encode()


def decode_jsonp(body: bytes) -> str | None:
    """The payload in a JSONP form; ``None`` if the form is not one field ``d``.

    The client escapes newlines because forms rewrite them (Engine.IO 3, JSONP).
    """
    if not body.isascii():
        raise PacketError("the form has characters beyond ASCII")
    name, _, value = body.partition(b"=")
    if name != b"d" or b"&" in value:
        return None
    if _NO_ESCAPE.search(value):
        raise PacketError("the form has a percent sign that escapes nothing")
    try:
        # Percent signs escape as the equals signs of quoted-printable do.
        escaped = value.replace(b"=", b"=3D").replace(b"+", b" ").replace(b"%", b"=")
        text = a2b_qp(escaped).decode()
    except UnicodeDecodeError:
        raise PacketError("the form is not UTF-8") from None
    # Half of a surrogate pair stands for what the client has escaped: UTF-8 has none.
    return text.replace(r"\\n", "\ud800").replace(r"\n", "\n").replace("\ud800", r"\n")
