"""The JSON seam: strict text in, JavaScript's reading of Python values out.

orjson encodes, because its hook sees ``bytes``; msgspec decodes, because it can decode
straight into types. Nothing else in telex imports either for JSON.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import UTC, date, datetime, time
from enum import Enum
from functools import partial
from itertools import accumulate
from typing import Any
from uuid import UUID

import msgspec
import orjson

from ._structs import parts_of
from .errors import EncodeError, PacketError

MAX_DEPTH = 128
"""How deep arrays and objects may nest in what a peer sends."""

OPTIONS = orjson.OPT_PASSTHROUGH_DATETIME
encode = orjson.dumps
"""JSON of plain values; the options are ``OPTIONS``. ``dumps_with`` knows the others."""
decode: Callable[[str | bytes], Any] = msgspec.json.Decoder().decode
"""Strict JSON and nothing else: ``loads`` knows what to make of the rest."""
# A string that does not end takes the rest of the text: searching on would cost a square.
_STRINGS = re.compile(r'"(?:[^"\\]++|\\.)*+"?', re.DOTALL)
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")
_BRACKETS = str.maketrans({"[": "(", "{": "(", "]": ")", "}": ")"})
_OTHER = re.compile(r"[^()]+")


def loads(text: str) -> Any:
    """Decode strict JSON; whatever is wrong with it raises ``PacketError``."""
    if len(text) > MAX_DEPTH and text.count("[") + text.count("{") > MAX_DEPTH:
        _check_depth(text)
    try:
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
        return json.loads(text, parse_float=_finite, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise PacketError(f"invalid payload: {error}") from None


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise ValueError("number out of range")
    return number


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no JSON")


def _check_depth(text: str) -> None:
    brackets = _OTHER.sub("", _STRINGS.sub("", text).translate(_BRACKETS))
    steps = (1 if bracket == "(" else -1 for bracket in brackets)
    if max(accumulate(steps), default=0) > MAX_DEPTH:
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
        # orjson's limits that JavaScript does not have: keys that are not text, integers
        # beyond 64 bits, lone surrogates. Rare, so the fast path does not pay for them.
        attachments.clear()
        return _dumps_slowly(value, attachments, error)


STRUCT: type = msgspec.Struct
"""What ``take_apart`` knows."""


def take_apart(value: Any) -> Any:
    """What ``encode`` asks about values that are not plain: structs. Others are refused."""
    if isinstance(value, msgspec.Struct):
        return parts_of(value)
    raise TypeError


def _default(attachments: list[bytes], value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return parts_of(value)
    if isinstance(value, datetime):
        return _iso(value)
    if isinstance(value, (date, time)):
        return value.isoformat()
    if _is(value, Mapping):
        return dict(value)
    dump: Any = None if _is(value, type) else getattr(value, "model_dump", None)
    if dump is not None:  # a pydantic model
        return dump()
    try:
        view: memoryview[Any] = memoryview(value)
        attachments.append(view.tobytes())  # array.array, mmap, numpy arrays, …
    except TypeError:
        pass
    else:
        return {"_placeholder": True, "num": len(attachments) - 1}
    hint = " (make it a list)" if _is(value, AbstractSet) else ""
    raise EncodeError(f"{type(value).__name__} cannot be sent as JSON{hint}")


def _is(value: Any, *kinds: type) -> bool:
    """``isinstance`` for values of which nothing else is known."""
    return isinstance(value, kinds)


def _iso(value: datetime) -> str:
    """``Date.prototype.toJSON``: UTC with milliseconds; naive values are local time."""
    try:
        moment = value.astimezone(UTC)
    except (OverflowError, ValueError):
        raise EncodeError(f"the datetime {value} is out of range in UTC") from None
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _dumps_slowly(value: Any, attachments: list[bytes], error: TypeError) -> bytes:
    try:
        plain = _plain(value, attachments, 0)
        return json.dumps(plain, separators=(",", ":"), allow_nan=False).encode()
    except RecursionError:
        raise EncodeError("the data is nested too deeply, or contains itself") from None
    except EncodeError:
        raise
    except (TypeError, ValueError):
        raise EncodeError(f"cannot be sent as JSON: {error}") from None


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
        return value if math.isfinite(value) else None
    if _is(value, dict):
        return {_key(k): _plain(v, attachments, deeper) for k, v in value.items()}
    if _is(value, list, tuple):
        return [_plain(item, attachments, deeper) for item in value]
    if isinstance(value, UUID):
        return str(value)
    if is_dataclass(value) and not isinstance(value, type):
        members = {field.name: getattr(value, field.name) for field in fields(value)}
        return _plain(members, attachments, deeper)
    return _plain(_default(attachments, value), attachments, deeper)


def _key(key: Any) -> str:
    """An object's key as JavaScript would write it: ``{3: "x"}`` has the key ``"3"``."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return key
    if key is None or isinstance(key, (bool, float)):
        return orjson.dumps(key).decode()
    if isinstance(key, int):
        return str(int(key))
    raise EncodeError(f"{type(key).__name__} cannot be a key of an object: use text")
