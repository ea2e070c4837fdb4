"""What an annotation consists of, in msgspec's terms."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from msgspec import inspect

SCALARS = (
    *(inspect.NoneType, inspect.BoolType, inspect.IntType, inspect.FloatType, inspect.StrType),
    *(inspect.DateTimeType, inspect.DateType, inspect.TimeType, inspect.UUIDType),
    *(inspect.EnumType, inspect.LiteralType),
)
"""Types whose values contain no others, and are no binary data."""


def types_in(annotation: Any) -> list[inspect.Type]:
    """A type and all that it consists of; raises whatever msgspec does if it cannot tell."""
    found: dict[int, inspect.Type] = {}
    new = [inspect.type_info(annotation)]
    while new:
        info = new.pop()
        if id(info) not in found:  # types may contain themselves
            found[id(info)] = info
            new += _inner_types(info)
    return list(found.values())


def _inner_types(info: inspect.Type) -> Iterable[inspect.Type]:
    match info:
        case inspect.Metadata():
            return (info.type,)
        case inspect.UnionType():
            return info.types
        case (
            inspect.ListType()
            | inspect.VarTupleType()
            | inspect.SetType()
            | inspect.FrozenSetType()
        ):
            return (info.item_type,)
        case inspect.TupleType():
            return info.item_types
        case inspect.DictType():
            return info.key_type, info.value_type
        case (
            inspect.StructType()
            | inspect.DataclassType()
            | inspect.TypedDictType()
            | inspect.NamedTupleType()
        ):
            return [field.type for field in info.fields]
        case _:
            return ()
