"""What values look like to JavaScript, in whichever format they are sent.

A type is decided by what it is, never by what it can do: much has a buffer that is no binary
data. Both formats ask here about whatever is more than text, numbers, lists and dicts.
"""

from __future__ import annotations

import inspect
import math
import sys
from array import array
from collections import deque
from collections.abc import Iterator, Mapping, MappingView
from collections.abc import Set as AbstractSet
from dataclasses import fields, is_dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from enum import Enum
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec

from ..errors import EncodeError
from .structs import parts_of

BINARY = (bytes, bytearray, memoryview, array)
"""The types that are sent as binary data: of an array, its machine values, as of a typed array."""


def bytes_of(value: Any) -> bytes:
    """A copy of binary data."""
    return value.tobytes() if isinstance(value, (memoryview, array)) else bytes(value)


def simpler(value: Any, form: str) -> Any:
    """A value in simpler terms, which both formats know or ask about again.

    Raises ``EncodeError``, which names the ``form``, for a type that cannot be sent.
    """
    if isinstance(value, msgspec.Struct):
        return parts_of(value)
    if is_dataclass_value(value):
        return _members(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, datetime):
        raise EncodeError(f"{value} cannot be sent as {form}: it is no moment")
    if isinstance(value, (date, time)):
        return value.isoformat()
    if isinstance(value, UUID):
        return str(value)
    if isinstance(value, str):
        return str.__str__(value)
    if _is(value, Mapping):
        return dict(value)
    if _is(value, list, tuple):
        return list(value)
    number = plain_number(value)
    if number is not None:
        return number
    dump: Any = getattr(_kind_of(value), "model_dump", None)
    if dump is not None:  # of pydantic's models
        return dump(value)
    raise EncodeError(f"{type(value).__name__} cannot be sent as {form}{_cure(value)}")


def plain_number(value: Any) -> bool | int | float | None:
    """A number of Python for one of a subclass, or of numpy; ``None`` for what is no number."""
    if isinstance(value, bool):
        return value
    if isinstance(value, int):
        return int(value)
    if isinstance(value, float):
        return float(value)
    numpy: Any = sys.modules.get("numpy")  # its values cannot exist before it
    if numpy is None or not isinstance(value, numpy.generic):
        return None
    if isinstance(value, numpy.bool_):
        return bool(value)
    if isinstance(value, numpy.integer) and not isinstance(value, numpy.timedelta64):
        return int(value)
    return float(value) if isinstance(value, numpy.floating) else None


def key_text(key: Any) -> str:
    """An object's key as JavaScript would write it: ``{3: "x"}`` has the key ``"3"``."""
    if isinstance(key, Enum):
        key = key.value
    if isinstance(key, str):
        return str.__str__(key)
    if key is None:
        return "null"
    number = plain_number(key)
    if number is None or (isinstance(number, float) and not math.isfinite(number)):
        raise EncodeError(f"{type(key).__name__} cannot be a key of an object: use text")
    if isinstance(number, bool):
        return "true" if number else "false"
    return repr(number)


def is_moment(value: Any) -> bool:
    """Whether a value is a datetime; that of pandas for a missing one is not."""
    same = value
    return isinstance(value, datetime) and value == same


def _is(value: Any, *kinds: type) -> bool:
    """``isinstance`` for values of which nothing else is known."""
    return isinstance(value, kinds)


def _kind_of(value: Any) -> Any:
    """The class of a value, of which nothing is known."""
    kind: Any = type  # which does not lie about proxies, as their __class__ does
    return kind(value)


def is_dataclass_value(value: Any) -> bool:
    """Whether a value is a dataclass, and no such class itself."""
    return is_dataclass(value) and not isinstance(value, type)


def _members(value: Any) -> dict[str, Any]:
    try:
        return {name: getattr(value, name) for name in _names(_kind_of(value))}
    except AttributeError as error:
        raise EncodeError(f"{type(value).__name__} cannot be sent: {error}") from None


@lru_cache(maxsize=1024)
def _names(kind: Any) -> tuple[str, ...]:
    """The names of a dataclass's fields; those that begin with ``_`` are its own affair."""
    return tuple([field.name for field in fields(kind) if field.name[0] != "_"])


def _cure(value: Any) -> str:
    """What to send instead."""
    numpy: Any = sys.modules.get("numpy")
    if numpy is not None and isinstance(value, numpy.ndarray):
        return ": send its tolist(), or its tobytes() if its machine values are meant"
    if isinstance(value, (AbstractSet, MappingView, deque, range, Iterator)):
        return " (make it a list)"
    if isinstance(value, timedelta):
        return ": send its total_seconds()"
    if isinstance(value, Decimal):
        return ": send str() of it, which is exact, or float()"
    if inspect.isawaitable(value):
        return ": await it first"
    return ""
