"""Handlers: a signature becomes a plan once, when the handler is registered."""

from __future__ import annotations

import inspect
import types
import typing
from collections.abc import Callable
from typing import Any

from ..errors import ConfigurationError
from .acks import Ack

Function = Callable[..., Any]


class MissingArguments(Exception):
    """A client sent fewer arguments than a handler needs."""


class Handler:
    """A function and how to call it.

    ``function`` is what the user registered. ``limit`` is how many arguments it takes
    (further ones are dropped, as in JavaScript), ``required`` how many it must get;
    ``plain`` says that calling it with the event's arguments is all there is to do.
    ``ack`` is ``None``, or the name of the parameter that takes the acknowledgement.
    """

    __slots__ = (
        "ack",
        "ack_required",
        "function",
        "is_async",
        "limit",
        "once",
        "plain",
        "required",
        "with_socket",
    )

    def __init__(
        self, function: Function, *, with_socket: bool = False, once: bool = False
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"a handler must be callable, not {function!r}")
        self.function = function
        self.with_socket = with_socket
        self.once = once
        self.is_async = _is_async(function)
        self.ack: str | None = None
        self.ack_required = False
        self.limit: int | None = 0
        self.required = 0
        self._read_signature()
        self.plain = not (self.is_async or once or self.ack is not None)

    def _read_signature(self) -> None:
        try:
            signature = inspect.signature(self.function)
        except (TypeError, ValueError):  # some builtins have none: they get everything
            self.limit = None
            return
        hints = _hints(self.function)
        positional: list[inspect.Parameter] = []
        ack: inspect.Parameter | None = None
        for parameter in signature.parameters.values():
            kind = parameter.kind
            if _is_ack(hints.get(parameter.name, parameter.annotation)):
                if kind is parameter.POSITIONAL_ONLY:
                    raise self._wrong(f"{parameter.name!r} (telex.Ack) cannot be positional-only")
                ack = parameter
            elif kind is parameter.KEYWORD_ONLY:
                if parameter.default is parameter.empty:
                    raise self._wrong(
                        f"nothing fills the keyword-only parameter {parameter.name!r}"
                    )
            elif kind is not parameter.VAR_KEYWORD:
                if ack is not None:
                    raise self._wrong(f"{ack.name!r} (telex.Ack) must come last")
                positional.append(parameter)
        if ack is not None:
            self.ack = ack.name
            self.ack_required = ack.default is ack.empty
        named = [p for p in positional if p.kind is not p.VAR_POSITIONAL]
        self.limit = len(named) if len(named) == len(positional) else None
        self.required = sum(p.default is p.empty for p in named)
        if self.with_socket:
            if self.limit == 0:
                raise self._wrong("its first parameter is the socket: add one")
            self.limit = None if self.limit is None else self.limit - 1
            self.required = max(0, self.required - 1)

    def _wrong(self, what: str) -> ConfigurationError:
        name = getattr(self.function, "__qualname__", repr(self.function))
        return ConfigurationError(f"handler {name}: {what}")

    def fit(self, args: list[Any]) -> list[Any]:
        """The arguments that the function takes, of those that came.

        Raises ``MissingArguments`` if it needs more.
        """
        if self.limit is not None and len(args) > self.limit:
            return args[: self.limit]
        if len(args) < self.required:
            raise self.missing(args)
        return args

    def missing(self, args: list[Any]) -> MissingArguments:
        """Fewer arguments have come than the function needs."""
        return MissingArguments(f"expected {self.required} arguments, got {len(args)}")

    def __repr__(self) -> str:
        return f"<Handler {getattr(self.function, '__qualname__', self.function)!r}>"


class Handlers:
    """Handlers by event name, in the order in which they were registered."""

    __slots__ = ("by_event",)

    def __init__(self) -> None:
        self.by_event: dict[str, tuple[Handler, ...]] = {}

    def add(self, event: str, handler: Handler) -> None:
        """Register a handler."""
        if not isinstance(event, str):
            raise ConfigurationError(f"the name of an event is text, not {event!r}")
        self.by_event[event] = (*self.by_event.get(event, ()), handler)

    def remove(self, event: str, function: Function | None = None) -> None:
        """Remove one function's first registration, or all handlers of an event."""
        handlers = self.by_event.get(event, ())
        for index, handler in enumerate(handlers):
            if function is not None and handler.function == function:
                handlers = handlers[:index] + handlers[index + 1 :]
                break
        else:
            handlers = () if function is None else handlers
        if handlers:
            self.by_event[event] = handlers
        else:
            self.by_event.pop(event, None)

    def discard(self, event: str, handler: Handler) -> bool:
        """Remove a handler that has been used up; whether it was still there."""
        handlers = self.by_event.get(event, ())
        if handler not in handlers:
            return False
        rest = tuple(other for other in handlers if other is not handler)
        if rest:
            self.by_event[event] = rest
        else:
            del self.by_event[event]
        return True

    def clear(self) -> None:
        """Remove every handler."""
        self.by_event.clear()


def _is_async(function: Function) -> bool:
    call = getattr(function, "__call__", None)  # noqa: B004 - the method, to see if it is async
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or inspect.iscoroutinefunction(
        call
    )


def _hints(function: Function) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # annotations may name things that exist for type checkers only
        return {}


def _is_ack(annotation: Any) -> bool:
    if annotation is Ack:
        return True
    if isinstance(annotation, str):
        return annotation.replace(" ", "").removesuffix("|None").rpartition(".")[2] == "Ack"
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return Ack in typing.get_args(annotation)
    return False
