"""Typed parameters: what a client sends is checked and converted before a handler runs.

Annotations that msgspec understands (scalars, lists, dicts, unions, dataclasses,
TypedDict, ``msgspec.Struct``, ``datetime``, …) are checked by msgspec, those that name a
model or a constraint of pydantic by pydantic. What nothing would check is refused.
"""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import msgspec
from msgspec import inspect as kinds

from .._log import shown
from ..codec.annotations import SCALARS, types_in
from ..codec.json import decoder
from ..errors import ConfigurationError
from .constraints import needs_pydantic

LONGEST = 500
"""How many characters of a mistake are shown, to the client and in the log."""

_BINARY = (bytes, bytearray, memoryview)
_DECODED = (str, int, float, bool, bytes, list, dict, type(None))
_EXACT: tuple[Any, ...] = (str, int, float, bool, bytes)

_USUAL = (
    *SCALARS,
    *(kinds.AnyType, kinds.Metadata, kinds.UnionType, kinds.ListType, kinds.VarTupleType),
    *(kinds.TupleType, kinds.SetType, kinds.FrozenSetType, kinds.DictType, kinds.TypedDictType),
    *(kinds.NamedTupleType, kinds.DataclassType, kinds.StructType),
)
"""Types that msgspec converts to in the same way whatever it is told of keys and binary data."""

Convert = Callable[[Any], Any]
DecodeEvent = Callable[["str | bytes"], "tuple[Any, ...]"]


class InvalidArguments(Exception):
    """A client's arguments do not fit a handler; the text names the place of the mistake."""


def converter(annotation: Any, where: str) -> Convert | None:
    """What checks and converts a value for a parameter; ``None`` if anything will do.

    Raises ``ConfigurationError`` if the annotation cannot be checked.
    """
    if _takes_anything(annotation):
        return None
    if (typing.get_origin(annotation) or annotation) is Callable:
        raise ConfigurationError(
            f"{where} names a function, which a client cannot send: telex.Ack is what answers a"
            " client"
        )
    try:
        hash(annotation)
    except TypeError:
        make = _converter.__wrapped__
    else:
        make = _converter  # sockets that register the same handler share what it needs
    try:
        return make(annotation)
    except Exception as error:  # msgspec, pydantic and what users wrote raise whatever they do
        raise ConfigurationError(f"{where} cannot be checked: {error}") from None


@lru_cache(maxsize=1024)
def _converter(annotation: Any) -> Convert:
    if _is_plain_union(annotation):
        return _instance_of(typing.get_args(annotation))
    if needs_pydantic(annotation):
        return _pydantic(annotation)
    for part in types_in(annotation):
        if isinstance(part, kinds.CustomType) and not _can_be_sent(part.cls):
            raise TypeError(f"a client cannot send a {part.cls.__name__}")
    try:
        msgspec.convert(None, annotation, builtin_types=_BINARY)
    except msgspec.ValidationError:
        pass

    def convert(value: Any) -> Any:
        return msgspec.convert(value, annotation, builtin_types=_BINARY, str_keys=True)

    check = _quickly(annotation, convert) if _is_usual(annotation) else convert
    return _unless_it_is(annotation, check) if annotation in _EXACT else check


def _unless_it_is(kind: type, convert: Convert) -> Convert:
    """Leave values of this very type as they are; convert others."""

    def check(value: Any) -> Any:
        return value if value.__class__ is kind else convert(value)

    return check


def _is_usual(annotation: Any) -> bool:
    return all(
        isinstance(part, _USUAL)
        and not (isinstance(part, kinds.DictType) and _has_other_keys(part))
        and not hasattr(getattr(part, "cls", None), "__post_init__")  # it would be called twice
        for part in types_in(annotation)
    )


def _has_other_keys(info: kinds.DictType) -> bool:
    return not isinstance(info.key_type, (kinds.StrType, kinds.AnyType))


def _quickly(annotation: Any, thoroughly: Convert) -> Convert:
    """Make a converter that does what ``thoroughly`` does, in a third of the time.

    msgspec keeps what it knows of structs, while it studies other types again for every
    value; and looking at options takes it longer than most values. A mistake is looked for
    again, so that its place is that in the value.
    """
    holder: Any = msgspec.defstruct("Argument", [("value", annotation)], array_like=True, gc=False)
    convert = msgspec.convert

    def quickly(value: Any) -> Any:
        try:
            return convert([value], holder).value
        except msgspec.ValidationError:
            return thoroughly(value)

    return quickly


def event_decoder(annotations: tuple[Any, ...]) -> DecodeEvent | None:
    """What decodes the text of an event straight into the types of a handler's parameters.

    It returns the event's name and arguments, and raises whatever msgspec does if anything is
    not just so: then the event is to be decoded and converted step by step. There is no such
    thing for types that could look different that way.
    """
    try:
        hash(annotations)
    except TypeError:
        return None
    return _event_decoder(annotations)


@lru_cache(maxsize=1024)
def _event_decoder(annotations: tuple[Any, ...]) -> DecodeEvent | None:
    wanted = [Any if _takes_anything(annotation) else annotation for annotation in annotations]
    if any(needs_pydantic(annotation) for annotation in annotations):
        return None
    try:
        if all(annotation is Any for annotation in wanted) or not all(map(_is_usual, wanted)):
            return None
    except TypeError:  # there are unions that are checked here, and not by msgspec
        return None
    event: Any = tuple.__class_getitem__((str, *wanted))
    return decoder(event)


def _takes_anything(annotation: Any) -> bool:
    return annotation in (Any, object, inspect.Parameter.empty)


def _is_plain_union(annotation: Any) -> bool:
    """Whether it is a union of text and binary types, which msgspec cannot tell apart."""
    if typing.get_origin(annotation) not in (typing.Union, types.UnionType):
        return False
    plain = (str, *_BINARY, type(None))
    parts = typing.get_args(annotation)
    return str in parts and all(part in plain for part in parts)


def _instance_of(kinds: tuple[type, ...]) -> Convert:
    def check(value: Any) -> Any:
        if not isinstance(value, kinds):
            names = " | ".join([kind.__name__ for kind in kinds])
            raise msgspec.ValidationError(f"Expected `{names}`, got `{type(value).__name__}`")
        return value

    return check


def _can_be_sent(kind: type) -> bool:
    """Whether anything that is decoded can be of a type that msgspec does not know."""
    try:
        return any(issubclass(each, kind) for each in _DECODED)
    except TypeError:  # a protocol, say
        return True


def _pydantic(annotation: Any) -> Convert:
    from pydantic import TypeAdapter

    validate: Convert = TypeAdapter(annotation).validate_python
    return validate


def explain(error: Exception, name: str) -> InvalidArguments:
    """The mistake in one sentence, without the values that were sent."""
    mistakes: Any = getattr(error, "errors", None)
    if mistakes is not None:  # pydantic's
        first = mistakes(include_url=False, include_input=False, include_context=False)[0]
        path = "".join([f"[{p}]" if isinstance(p, int) else f".{p}" for p in first["loc"]])
        return InvalidArguments(shown(f"{name}{path}: {first['msg']}", LONGEST))
    message = str(error)
    text, marker, place = message.rpartition(" - at `")
    if not marker:
        return InvalidArguments(shown(f"{name}: {message}", LONGEST))
    key, _, path = place.rpartition("$")
    what = "a key of " if key else ""
    return InvalidArguments(shown(f"{what}{name}{path.rstrip('`')}: {text}", LONGEST))


MISTAKES: tuple[type[Exception], ...] = (msgspec.ValidationError, ValueError, RecursionError)
"""What converting can raise about a value (pydantic's ``ValidationError`` is a ``ValueError``)."""
