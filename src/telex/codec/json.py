"""The JSON seam: strict text in, JavaScript's reading of Python values out.

orjson encodes, because its hook sees ``bytes``; msgspec decodes, because it can decode
straight into types. Nothing else in telex imports either for JSON.
"""

from __future__ import annotations

import gc
import json
import math
import re
from collections.abc import Callable
from datetime import UTC, datetime
from enum import Enum
from functools import partial
from itertools import accumulate
from operator import add
from typing import Any

import msgspec
import orjson

from ..errors import EncodeError, PacketError
from .values import BINARY, bytes_of, is_dataclass_value, is_moment, key_text, simpler

MAX_DEPTH = 128
"""How deep arrays and objects may nest in what a peer sends."""

# orjson sends attributes of dataclasses that are no fields, too.
OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME | orjson.OPT_PASSTHROUGH_DATACLASS
encode = orjson.dumps
"""JSON of plain values; the options are ``OPTIONS``. ``dumps_with`` knows the others."""
decode: Callable[[str | bytes], Any] = msgspec.json.Decoder().decode
"""Strict JSON and nothing else: ``loads`` knows what to make of the rest."""
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")

_UP_OR_DOWN = bytes(b"1"[0] if byte in b"[{" else b"0"[0] for byte in range(256))
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")


def _steps(bits: int) -> list[int]:
    """How deep each of eight brackets leads; a set bit opens one."""
    return list(accumulate(1 if bits & bit else -1 for bit in (128, 64, 32, 16, 8, 4, 2, 1)))


_LEADS = bytes(_steps(bits)[-1] % 256 for bits in range(256))
_REACHES = bytes(max(_steps(bits)) % 256 for bits in range(256))


def loads(text: str) -> Any:
    """Decode strict JSON; whatever is wrong with it raises ``PacketError``."""
    try:
        if len(text) > MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH:
            _check_depth(text)
            return without_collector(decode, text)
        return decode(text)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        if _SURROGATE.search(text):
            return _loads_slowly(text)
        raise PacketError(f"invalid payload: {error}") from None


def decoder(kind: Any) -> Callable[[str | bytes], Any]:
    """What decodes JSON straight into a type; it raises whatever msgspec does."""
    return msgspec.json.Decoder(kind).decode


def read_into(decode: Callable[[str | bytes], Any], text: str) -> Any:
    """What a ``decoder`` makes of strict JSON; ``None`` for what ``loads`` has to look at."""
    if text.count("[") + text.count("{") > MAX_DEPTH:
        return None
    try:
        return decode(text)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return None


def _loads_slowly(text: str) -> Any:
    """JavaScript can cut an emoji in two; half of it is legal JSON, and comes back as it was."""
    try:
        return without_collector(_decode_slowly, text)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"invalid payload: {error}") from None


def _decode_slowly(text: str) -> Any:
    return json.loads(text, parse_float=_finite, parse_constant=_no_number)


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def without_collector(decode: Callable[[Any], Any], data: str | bytes) -> Any:
    """Decode what holds many arrays and objects.

    None of them can be garbage yet, and the collector would look at them again and again.
    """
    if not gc.isenabled():
        return decode(data)
    gc.disable()
    try:
        return decode(data)
    finally:
        gc.enable()


def _signed(data: bytes) -> memoryview[int]:
    return memoryview(data).cast("b")


def _check_depth(text: str) -> None:
    if '"' in text:  # what is in quotes does not nest
        text = "".join(text.replace("\\\\", "").replace('\\"', "").split('"')[::2])
    brackets = text.encode("utf-8", "replace").translate(_UP_OR_DOWN, _NO_BRACKETS)
    whole = -(-len(brackets) // 8)
    # Eight at a time, each eight as the bits of a byte: there can be a million of them.
    eights = int(brackets.ljust(8 * whole, b"0") or b"0", 2).to_bytes(whole, "big")
    starts = accumulate(_signed(eights.translate(_LEADS)), initial=0)
    if max(map(add, starts, _signed(eights.translate(_REACHES))), default=0) > MAX_DEPTH:
        raise PacketError(f"invalid payload: nested deeper than {MAX_DEPTH} levels")


def dumps(value: Any) -> bytes:
    """Encode a value that holds no binary data; ``EncodeError`` if it cannot be sent."""
    found: list[bytes] = []
    text = dumps_with(value, found)
    if found:
        raise EncodeError("binary data is not possible here: send it in an event's arguments")
    return text


def dumps_with(value: Any, attachments: list[bytes]) -> bytes:
    """Encode a value; binary data leaves placeholders and is appended to ``attachments``."""
    try:
        return encode(value, partial(_default, attachments), OPTIONS)
    except TypeError as error:
        problem = str(error)
    # orjson's limits that JavaScript does not have: keys that are not text, integers beyond
    # 64 bits, lone surrogates. Rare, so the fast path does not pay for them. What fails here
    # has a traceback of its own, without orjson's.
    attachments.clear()
    return _dumps_slowly(value, attachments, problem)


STRUCT: type = msgspec.Struct
"""What ``take_apart`` knows."""


def take_apart(value: Any) -> Any:
    """What ``encode`` asks about values that are not plain: structs, dataclasses.

    Others are refused.
    """
    if isinstance(value, STRUCT) or is_dataclass_value(value):
        return simpler(value, "JSON")
    raise TypeError


def _default(attachments: list[bytes], value: Any) -> Any:
    if isinstance(value, BINARY):
        attachments.append(bytes_of(value))
        return {"_placeholder": True, "num": len(attachments) - 1}
    if is_moment(value):
        return _iso(value)
    return simpler(value, "JSON")


def _iso(value: datetime) -> str:
    """``Date.prototype.toJSON``: UTC with milliseconds; naive values are local time."""
    try:
        moment = value.astimezone(UTC)
    except (OverflowError, ValueError):
        raise EncodeError(f"the datetime {value} is out of range in UTC") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dumps_slowly(value: Any, attachments: list[bytes], problem: str) -> bytes:
    try:
        plain = _plain(value, attachments, 0)
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise EncodeError("the data is nested too deeply, or contains itself") from None
    except EncodeError:
        raise
    except (TypeError, ValueError):
        raise EncodeError(f"cannot be sent as JSON: {problem}") from None


def _plain(value: Any, attachments: list[bytes], depth: int) -> Any:
    """A copy made of what the standard library's encoder takes, as JavaScript reads it."""
    if depth > 2 * MAX_DEPTH:
        raise RecursionError
    deeper = depth + 1
    if value is None or isinstance(value, (str, bool)):
        return value
    if isinstance(value, Enum):
        return _plain(value.value, attachments, deeper)
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    kind = value.__class__
    if kind is dict:
        return {key_text(k): _plain(v, attachments, deeper) for k, v in value.items()}
    if kind in (list, tuple):
        return [_plain(item, attachments, deeper) for item in value]
    return _plain(_default(attachments, value), attachments, deeper)
