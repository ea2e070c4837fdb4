"""Constraints in ``Annotated``: those that msgspec does not check, pydantic does, or nothing."""

from __future__ import annotations

import dataclasses
import sys
import typing
from collections.abc import Iterator
from typing import Any

import msgspec

_DATA = (str, bytes, int, float, list, tuple, dict, set, frozenset, type(None))
"""What people write beside a type to describe it."""

_ENFORCED = frozenset(
    {"Gt", "Ge", "Lt", "Le", "Interval", "MultipleOf", "MinLen", "MaxLen", "Len", "Predicate"}
)
"""Those of ``annotated_types`` that pydantic checks."""

_INJECTING = frozenset({"fastapi.params", "dependency_injector.wiring"})


def is_dependency(thing: Any) -> bool:
    """Whether something asks a framework to fill a parameter: ``Depends(…)`` and its like."""
    kinds = thing.__mro__ if isinstance(thing, type) else type(thing).__mro__
    return any("Depends" in kind.__name__ or kind.__module__ in _INJECTING for kind in kinds)


def is_constraint(thing: Any) -> bool:
    """Whether something says what values may be, and is no value itself."""
    return isinstance(thing, msgspec.Meta) or _is_field(thing)


def needs_pydantic(annotation: Any) -> bool:
    """Whether an annotation has types or constraints that only pydantic checks.

    Raises ``TypeError`` if nothing would check one of them.
    """
    found = list(_constraints(annotation, {}))
    foreign = [each for each, _ in found if not isinstance(each, msgspec.Meta)]
    for each in foreign:
        if is_dependency(each):
            raise TypeError(
                f"{_name(each)} is resolved by nothing here, so that clients would fill it"
            )
        if not _is_checked_by_pydantic(each):
            raise TypeError(
                f"nothing checks {_name(each)}: use msgspec.Meta(…) or pydantic.Field(…), or check"
                " the value in the handler"
            )
    if not foreign:
        return False
    for each, owner in found:
        if isinstance(each, msgspec.Meta):
            if _limits(each):
                raise TypeError("msgspec.Meta is unknown to pydantic: use pydantic.Field(…)")
        elif owner is not None:
            raise TypeError(
                f"{_name(each)} in the struct {owner.__name__} is unknown to msgspec: use"
                " msgspec.Meta(…)"
            )
    return True


def _name(thing: Any) -> str:
    return str(thing.__name__) if isinstance(thing, type) else f"{type(thing).__name__}(…)"


def _limits(meta: msgspec.Meta) -> bool:
    """Whether it does more than describe."""
    limits = ("gt", "ge", "lt", "le", "multiple_of", "pattern", "min_length", "max_length", "tz")
    return any(getattr(meta, limit) is not None for limit in limits)


def _is_field(thing: Any) -> bool:
    fields: Any = sys.modules.get("pydantic.fields")
    return fields is not None and isinstance(thing, fields.FieldInfo)


def _is_checked_by_pydantic(thing: Any) -> bool:
    kind = thing if isinstance(thing, type) else type(thing)
    if kind.__module__ == "annotated_types":
        return kind.__name__ in _ENFORCED
    return (
        _is_field(thing)
        or hasattr(thing, "__get_pydantic_core_schema__")
        or (kind.__module__.partition(".")[0] == "pydantic")
    )


def _constraints(annotation: Any, seen: dict[int, Any]) -> Iterator[tuple[Any, Any]]:
    """What annotations say beside their types, and in which struct of msgspec they do.

    A type that pydantic knows how to check is among it.
    """
    if id(annotation) in seen:
        return
    seen[id(annotation)] = annotation
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return
    kind = origin or annotation
    if isinstance(kind, type) and hasattr(kind, "__get_pydantic_core_schema__"):
        yield kind, None
        return
    if origin is typing.Annotated:
        for each in annotation.__metadata__:
            if not isinstance(each, _DATA) and type(each).__name__ not in ("Doc", "DocInfo"):
                yield each, None
        yield from _constraints(annotation.__origin__, seen)
        return
    for part in (
        *typing.get_args(annotation),
        getattr(annotation, "__value__", None),
        getattr(annotation, "__supertype__", None),
    ):
        yield from _constraints(part, seen)
    for part, default in _fields(kind):
        inner = [*_constraints(part, seen), *([(default, None)] if _is_field(default) else [])]
        for each, owner in inner:
            yield each, owner or (kind if _is_struct(kind) else None)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)


def _has_fields(kind: Any) -> bool:
    if _is_struct(kind) or typing.is_typeddict(kind):
        return True
    return dataclasses.is_dataclass(kind) or hasattr(kind, "_field_defaults")  # a named tuple


def _fields(kind: Any) -> list[tuple[Any, Any]]:
    """The annotations of a class's fields, and their defaults."""
    if not _has_fields(kind):
        return []
    try:
        hints = typing.get_type_hints(kind, include_extras=True)
    except NameError:
        return []  # msgspec says so
    if _is_struct(kind):
        fields: Any = msgspec.structs.fields(kind)
        return [(hints.get(field.name), field.default) for field in fields]
    return [(hint, getattr(kind, name, None)) for name, hint in hints.items()]
