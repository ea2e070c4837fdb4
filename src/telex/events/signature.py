"""The signature of a function that is registered, each annotation resolved on its own."""

from __future__ import annotations

import builtins
import functools
import inspect
import sys
import typing
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

from ..errors import ConfigurationError
from .acks import Ack
from .constraints import is_constraint, is_dependency

Function = Callable[..., Any]


if sys.version_info >= (3, 14):  # where annotations would be evaluated, all or none
    from annotationlib import Format

    def signature_of(function: Function) -> inspect.Signature:
        """The signature, whatever its annotations name; raises as ``inspect.signature`` does."""
        return inspect.signature(function, annotation_format=Format.FORWARDREF)

else:
    signature_of = inspect.signature


def name_of(function: Function) -> str:
    """A function's name, for people."""
    return str(getattr(function, "__qualname__", repr(function)))


def check_defaults(function: Function, signature: inspect.Signature) -> None:
    """Refuse defaults that are no values: what asks for dependency injection, constraints."""
    for parameter in signature.parameters.values():
        default = parameter.default
        if default is inspect.Parameter.empty or default is None:
            continue
        where = f"{name_of(function)}: the parameter {parameter.name!r} has the default"
        if is_dependency(default):
            raise ConfigurationError(
                f"{where} {type(default).__name__}(…), which nothing resolves here, so that clients"
                " would fill it: call what it names in the body of the function"
            )
        if is_constraint(default):
            raise ConfigurationError(
                f"{where} {type(default).__name__}(…), which is a constraint and no value: write it"
                " into the annotation, as Annotated[int, …]"
            )


def resolved(function: Function, parameter: inspect.Parameter) -> Any:
    """What the annotation of a parameter names; ``Ack`` is known by its name alone.

    Raises ``ConfigurationError`` if it names what is not there when the program runs.
    """
    annotation = parameter.annotation
    if isinstance(annotation, type):
        return annotation
    inner = _innermost(function)
    module, around = _module_names(inner), _names_around(inner)
    if isinstance(annotation, str):
        for names in (around, module, vars(builtins)):
            if annotation in names:
                if isinstance(names[annotation], type):
                    return names[annotation]  # as most are; evaluating takes ten times as long
                break
    try:
        try:
            return _evaluated(annotation, module, around)
        except NameError:
            return _evaluated(annotation, module, {**_class_names(function), **around})
    except Exception as error:  # whatever evaluating what users wrote raises
        if names_ack(annotation):
            return Ack
        raise ConfigurationError(
            f"handler {name_of(function)}: the annotation of {parameter.name!r} cannot be resolved"
            f" ({error}): import or define what it names where the module has it when it runs, not"
            " under TYPE_CHECKING or in a function, or leave the annotation out"
        ) from None


def names_ack(annotation: Any) -> bool:
    """Whether an annotation that has not been resolved names ``Ack``, alone or with ``None``."""
    text = getattr(annotation, "__forward_arg__", annotation)
    if not isinstance(text, str):
        return False
    return text.replace(" ", "").removesuffix("|None").rpartition(".")[2] == "Ack"


def _evaluated(annotation: Any, names: dict[str, Any], nonlocals: dict[str, Any]) -> Any:
    holder = SimpleNamespace(__annotations__={"it": annotation})
    return typing.get_type_hints(holder, names, nonlocals, include_extras=True)["it"]


def _module_names(inner: Any) -> dict[str, Any]:
    """The names of the module that a function comes from."""
    if inspect.isfunction(inner):
        return inner.__globals__
    module = sys.modules.get(getattr(inner, "__module__", None) or "")
    return dict(vars(module)) if module is not None else {}


def _names_around(inner: Any) -> dict[str, Any]:
    """The variables of the functions around a function that it uses."""
    names: dict[str, Any] = {}
    if inspect.isfunction(inner) and inner.__closure__:
        for name, cell in zip(inner.__code__.co_freevars, inner.__closure__, strict=True):
            with suppress(ValueError):  # it has no value yet
                names[name] = cell.cell_contents
    return names


def _class_names(function: Function) -> dict[str, Any]:
    """The names in the class of a method, which its annotations may use, too."""
    names: dict[str, Any] = {}
    for kind in reversed(type(getattr(function, "__self__", None)).__mro__):
        names.update(vars(kind))
    return names


def _innermost(function: Any) -> Any:
    """The function that was written, in whatever it has been wrapped since."""
    while True:
        if isinstance(function, functools.partial):
            function = function.func
        elif hasattr(function, "__wrapped__"):
            function = function.__wrapped__
        elif inspect.ismethod(function):
            function = function.__func__
        elif inspect.isroutine(function):
            return function
        else:
            call = function.__call__
            if not inspect.ismethod(call):
                return function
            function = call
