"""The msgpack format: a whole packet in one binary message (Node: ``socket.io-msgpack-parser``).

A packet is a map with ``type``, ``nsp`` and, where there are any, ``data`` and ``id``;
keys that are not known are ignored. The JavaScript encoder writes ``undefined``, dates and
array buffers as extension type 0: the first two in the forms for 1 and 8 bytes, buffers in
the forms with a length, whatever it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import chain
from typing import Any

import msgspec

from ..codec.json import MAX_DEPTH, without_collector
from ..codec.values import BINARY, bytes_of, is_moment, key_text, simpler
from ..errors import EncodeError, PacketError
from ..wire import EncodedPacket
from .packet import ACK, CONNECT, CONNECT_ERROR, DISCONNECT, EVENT, MAX_NAMESPACE, Packet

_MAX_ACK_ID = 10**16
_JAVASCRIPT = 0
_CONTAINERS: frozenset[type] = frozenset((list, dict, tuple))
_READY = frozenset((str, int, float, bool, bytes, type(None)))
"""The types of values that are sent as they are."""
_TEXT = frozenset((str,))

_LIKE_DATES = re.compile(rb"(?:\xc7|\xc8\x00|\xc9\x00\x00\x00)[\x01\x08]\x00").search
"""Finds what may be a buffer of 1 or 8 bytes, or lies within other data."""

_BINARY = b"\xc4"
_EXTENSIONS = (0xC7, 0xC8, 0xC9)
_LENGTH_BYTES = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xC7: 1, 0xC8: 2, 0xC9: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}


def _fixed_sizes() -> list[int]:
    """By first byte: the size of a value, or of a container's head; 0 where a length follows."""
    sizes = [1] * 256
    for length in range(32):
        sizes[0xA0 + length] = 1 + length
    for kind in (0xC1, *_LENGTH_BYTES):  # 0xC1 means nothing
        sizes[kind] = 0
    numbers = {0xCA: 5, 0xCB: 9, 0xCC: 2, 0xCD: 3, 0xCE: 5, 0xCF: 9, 0xD0: 2, 0xD1: 3, 0xD2: 5}
    extensions = {0xD4: 3, 0xD5: 4, 0xD6: 6, 0xD7: 10, 0xD8: 18}
    containers = {0xDC: 3, 0xDD: 5, 0xDE: 3, 0xDF: 5}
    for kind, size in (numbers | {0xD3: 9} | extensions | containers).items():
        sizes[kind] = size
    return sizes


_FIXED_SIZES = _fixed_sizes()


def _of_fixed_size() -> str:
    """A pattern for one value whose first byte tells its size, or for a container's head."""
    kinds: dict[int, str] = {}
    for kind, size in enumerate(_FIXED_SIZES):
        kinds[size] = kinds.get(size, "") + f"\\x{kind:02x}"
    return "|".join(f"[{kinds[size]}].{{{size - 1}}}" for size in sorted(kinds) if size)


_skip_fixed = re.compile(f"(?:{_of_fixed_size()})++".encode(), re.DOTALL).match
_MANY = 100_000
"""Size from which it is asked how many values a message holds, in bytes."""
_HEADS = bytes(range(0x80, 0xA0)) + b"\xdc\xdd\xde\xdf"


def _crowded(message: bytes) -> bool:
    """Whether a message is little else than arrays and objects with nothing in them.

    Each takes one byte here and sixty where it is decoded. Text can have such bytes, too,
    but not so many values.
    """
    if 2 * len(message.translate(None, _HEADS)) > len(message):
        return False
    at = values = 0
    end, most = len(message), len(message) // 5
    while at < end and values <= most:
        kind = message[at]
        size = _FIXED_SIZES[kind]
        if not size:
            width = _LENGTH_BYTES.get(kind, 0)
            size = 1 + width + int.from_bytes(message[at + 1 : at + 1 + width], "big")
        at += size
        values += 1
    return values > most


def _with_plain_buffers(message: bytes) -> bytes:
    """The same message, with buffers of 1 and 8 bytes written as binary data.

    msgspec does not tell in which form an extension came. Heads need no order to be read one
    after the other, so this is one pass without a stack. What is no msgpack is left to msgspec.
    """
    pieces: list[bytes] = []
    copied = at = 0
    end = len(message)
    while at < end:
        skipped = _skip_fixed(message, at)
        if skipped is not None:
            at = skipped.end()
            continue
        kind = message[at]
        width = _LENGTH_BYTES.get(kind)
        if width is None:
            return message
        length = int.from_bytes(message[at + 1 : at + 1 + width], "big")
        size = 1 + width + length
        if kind in _EXTENSIONS:
            size += 1
            if length in (1, 8) and message[at + 1 + width : at + 2 + width] == b"\0":
                pieces += message[copied:at], _BINARY, bytes([length])
                copied = at + 2 + width
        at += size
    return b"".join([*pieces, message[copied:]])


def _read_extension(code: int, data: memoryview[int]) -> Any:
    """Extension type 0: ``undefined`` (1 byte), a date (8 bytes), or a buffer."""
    if code != _JAVASCRIPT:
        return msgspec.msgpack.Ext(code, bytes(data))
    if len(data) == 1:
        return None
    if len(data) == 8:
        try:
            return datetime.fromtimestamp(int.from_bytes(data, "big", signed=True) / 1000, UTC)
        except (OverflowError, OSError, ValueError):
            return None  # beyond what a date can hold, as JavaScript's invalid date
    return bytes(data)


_decode = msgspec.msgpack.Decoder(ext_hook=_read_extension).decode


_encode = msgspec.msgpack.Encoder().encode


class MsgpackDecoder:
    """Decodes the packets of one connection; there are never attachments to wait for."""

    waiting_for: str | None = None

    def receive(self, data: str | bytes, pos: int) -> Packet | None:
        """Take one message and return its packet."""
        if isinstance(data, str):
            raise PacketError("a text message: this server speaks msgpack")
        message = data[pos:] if pos else data
        if len(message) >= _MANY and _crowded(message):
            raise PacketError("invalid payload: more arrays and objects than its size allows")
        if _LIKE_DATES(message) is not None:
            message = _with_plain_buffers(message)
        try:
            packet: Any = without_collector(_decode, message)
        except (msgspec.MsgspecError, RecursionError, ValueError, TypeError) as error:
            raise PacketError(f"invalid payload: {error}") from None
        if packet.__class__ is not dict:
            raise PacketError("invalid payload: a packet is a map")
        return _read(packet, deep=len(message) > MAX_DEPTH)

    def drop(self) -> None:
        """Nothing waits."""


def _read(packet: dict[Any, Any], *, deep: bool) -> Packet:
    """Check a packet; its data may be ``deep`` if the message has enough bytes for that."""
    kind: Any = packet.get("type")
    if kind.__class__ is not int or not CONNECT <= kind <= CONNECT_ERROR:
        raise PacketError(f"unknown packet type {kind!r:.20}")
    nsp: Any = packet.get("nsp")
    if nsp.__class__ is not str:
        raise PacketError("invalid payload: the namespace is text")
    nsp = nsp or "/"
    if not nsp.startswith("/") or len(nsp) > MAX_NAMESPACE:
        raise PacketError("invalid payload: a namespace begins with a slash")
    ack_id: Any = packet.get("id")
    if ack_id is not None and (ack_id.__class__ is not int or not 0 <= ack_id < _MAX_ACK_ID):
        raise PacketError("invalid payload: the id is a whole number")
    data: Any = packet.get("data")
    if kind in (EVENT, ACK) and data.__class__ is not list:
        raise PacketError("invalid payload: an event or acknowledgement is a list")
    if kind == DISCONNECT and "data" in packet and data is not None:
        raise PacketError("invalid payload: DISCONNECT carries nothing")
    if deep and data:
        _check_depth([[data]])
    return kind, nsp, ack_id, None, data


def _check_depth(level: list[Any]) -> None:
    for _ in range(MAX_DEPTH + 2):  # level by level, which takes no stack and less time
        if _CONTAINERS.isdisjoint(map(type, _within(level))):
            return
        level = [item for item in _within(level) if item and item.__class__ in _CONTAINERS]
    raise PacketError(f"invalid payload: nested deeper than {MAX_DEPTH} levels")


def _within(level: list[Any]) -> Iterator[Any]:
    """What arrays and objects hold; an array may be a key of an object, as a tuple."""
    objects: list[dict[Any, Any]] = [each for each in level if each.__class__ is dict]
    arrays = level if not objects else [each for each in level if each.__class__ is not dict]
    values = chain.from_iterable(map(dict[Any, Any].values, objects))
    return chain(chain.from_iterable(arrays), chain.from_iterable(objects), values)


class MsgpackParser:
    """Packets as msgpack; both ends must use it."""

    def decoder(self, *, max_attachments: int, max_bytes: int) -> MsgpackDecoder:
        """A decoder for a new connection."""
        return MsgpackDecoder()

    def loads(self, text: str) -> Any:
        """Packets of this format have no text."""
        raise AssertionError("msgpack packets are decoded at once")

    def encode(
        self, kind: int, nsp: str, data: Any = None, ack_id: int | None = None
    ) -> EncodedPacket:
        """Encode a packet as one binary message."""
        packet: dict[str, Any] = {"type": kind, "nsp": nsp}
        if data is not None:
            packet["data"] = _plain(data, 0)
        if ack_id is not None:
            packet["id"] = ack_id
        try:
            return EncodedPacket(None, (_encode(packet),))
        except (TypeError, ValueError, OverflowError, RecursionError) as error:
            raise EncodeError(f"cannot be sent as msgpack: {error}") from None


def _plain(value: Any, depth: int) -> Any:
    """A copy made of what JavaScript's decoder knows: keys are text, dates are extensions."""
    if depth > 2 * MAX_DEPTH:
        raise EncodeError("the data is nested too deeply, or contains itself")
    deeper = depth + 1
    kind = value.__class__
    if kind in (list, tuple):
        if _READY.issuperset(map(type, value)):
            return value
        return [item if item.__class__ in _READY else _plain(item, deeper) for item in value]
    if kind is dict:
        if not _TEXT.issuperset(map(type, value)):
            return {key_text(key): _plain(item, deeper) for key, item in value.items()}
        if _READY.issuperset(map(type, value.values())):
            return value
        return {
            key: item if item.__class__ in _READY else _plain(item, deeper)
            for key, item in value.items()
        }
    if kind in _READY:
        return value
    if isinstance(value, BINARY):
        return bytes_of(value)
    if is_moment(value):
        milliseconds = round(value.timestamp() * 1000)
        return msgspec.msgpack.Ext(_JAVASCRIPT, milliseconds.to_bytes(8, "big", signed=True))
    return _plain(simpler(value, "msgpack"), deeper)


MSGPACK_PARSER = MsgpackParser()
