"""Structs of msgspec: what a value of one looks like to JavaScript.

A struct is sent as msgspec writes it, by the names that ``rename`` gives its fields, with its
tag, as an array if it is ``array_like``. What is in it is left as it is wherever JavaScript
reads it otherwise than msgspec would write it: binary data, moments.
"""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from uuid import UUID

import msgspec
from msgspec import inspect

from .annotations import SCALARS, types_in

_KEPT = (bytes, bytearray, memoryview, datetime, date, time, timedelta, UUID, Decimal)

_SENT_ALIKE = (
    *SCALARS,
    *(inspect.BytesType, inspect.ByteArrayType, inspect.MemoryViewType),
    *(inspect.Metadata, inspect.UnionType, inspect.ListType, inspect.VarTupleType),
    *(inspect.TupleType, inspect.DictType, inspect.NamedTupleType, inspect.TypedDictType),
    inspect.StructType,
)
"""The kinds of types that msgspec takes apart as it is done here.

It makes lists of sets, which cannot be sent, and has other ideas about dataclasses.
"""


def parts_of(value: msgspec.Struct) -> Any:
    """A struct as a dict or a list; what is in it is taken apart as well, or left for later."""
    if _is_plain(type(value)):
        try:
            return msgspec.to_builtins(value, builtin_types=_KEPT)
        except TypeError:
            pass  # something in it is not what its annotation says
    return _fields_of(value)


@lru_cache(maxsize=1024)
def _is_plain(kind: type[msgspec.Struct]) -> bool:
    """Whether msgspec does with everything in a struct what is to be done with it here."""
    try:
        return all(isinstance(part, _SENT_ALIKE) for part in types_in(kind))
    except Exception:  # annotations may name things that exist for type checkers only
        return False


def _fields_of(value: msgspec.Struct) -> dict[str, Any] | list[Any]:
    kind = type(value)
    if _is_bare(kind):
        members = msgspec.structs.asdict(value)
        if msgspec.UnsetType not in map(type, members.values()):
            return members
    config = kind.__struct_config__
    names = kind.__struct_fields__
    tag = config.tag
    if config.array_like:
        items = [getattr(value, name) for name in names]
        return items if tag is None else [tag, *items]
    defaults = kind.__struct_defaults__
    no_defaults = (msgspec.NODEFAULT,) * (len(names) - len(defaults))
    members = {} if tag is None else {config.tag_field or "type": tag}
    for name, sent_name, default in zip(
        names, kind.__struct_encode_fields__, no_defaults + defaults, strict=True
    ):
        item = getattr(value, name)
        if item is not msgspec.UNSET and not (config.omit_defaults and _is_default(item, default)):
            members[sent_name] = item
    return members


@lru_cache(maxsize=1024)
def _is_bare(kind: type[msgspec.Struct]) -> bool:
    """Whether a struct is sent with its fields as they are, and nothing else."""
    config = kind.__struct_config__
    own_form = config.array_like or config.omit_defaults or config.tag is not None
    return not own_form and kind.__struct_fields__ == kind.__struct_encode_fields__


def _is_default(value: Any, default: Any) -> bool:
    """Whether msgspec takes a value for its field's default: the same object, or as empty."""
    if value is default:
        return True
    kind = value.__class__
    return kind in (list, dict, set) and not value and kind is getattr(default, "factory", None)
