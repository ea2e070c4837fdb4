"""Handlers: a signature becomes a plan once, when the handler is registered."""

from __future__ import annotations

import asyncio
import functools
import inspect
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, TypeVar

from ..errors import ConfigurationError
from ..parser.packet import RESERVED_EVENTS
from .acks import Ack
from .parameters import (
    MISTAKES,
    Convert,
    DecodeEvent,
    InvalidArguments,
    converter,
    event_decoder,
    explain,
)
from .signature import check_defaults, name_of, resolved, signature_of

Function = Callable[..., Any]
F = TypeVar("F", bound=Function)

LIFE_CYCLE: Mapping[str, int] = {"disconnecting": 1, "disconnect": 1, "error": 1}
"""Events of a socket whose arguments come from us, and how many these are."""

_CURES = {
    "*": "on_any() listens to every event",
    "connect": 'io.on("connection") is told of new sockets',
    "connection": "what a client sends is in socket.handshake.auth, its request is socket.request",
}


_VALUES = (str, int, float, bool, bytes, list, dict, "str", "int", "float", "bool", "bytes")
"""Annotations of what clients send: a first parameter that has one is not meant for the socket."""


class Handler:
    """A function and how to call it.

    ``function`` is what the user registered, ``call`` what is called (the same, unless it
    runs in a thread). ``limit`` is how many of the event's arguments it takes (further
    ones are dropped, as in JavaScript; ``None``: all), ``required`` how many it must get.
    ``ack`` names the parameter that takes the acknowledgement, if there is one.
    ``direct`` says that ``call`` may be called as soon as its event's turn has come, with no
    task around it: it is neither used up nor concurrent. What ``is_async`` returns something
    to await. ``typed`` says that arguments are checked first; ``decode`` does that to the text
    of a whole event, if there is such a thing. ``concurrent`` handlers do not wait for the
    socket's earlier events. Handlers that are not ``checked`` are for events whose
    arguments do not come from a client, and may annotate them in any way.
    """

    __slots__ = (
        "_checked",
        "ack",
        "ack_required",
        "call",
        "concurrent",
        "converters",
        "decode",
        "direct",
        "function",
        "is_async",
        "limit",
        "once",
        "required",
        "rest",
        "typed",
        "with_socket",
    )

    def __init__(
        self,
        function: Function,
        *,
        with_socket: bool = False,
        once: bool = False,
        concurrent: bool = False,
        thread: bool = False,
        checked: bool = True,
    ) -> None:
        if not callable(function):
            raise ConfigurationError(f"a handler must be callable, not {function!r}")
        self.function = function
        self.call = function
        self.with_socket = with_socket
        self.once = once
        self.concurrent = concurrent
        self.is_async = _is_async(function)
        if thread:
            if self.is_async:
                raise self._wrong("a coroutine function does not run in a thread")
            self.call = functools.partial(asyncio.to_thread, function)
            self.is_async = True
        self.ack: str | None = None
        self.ack_required = False
        self.limit: int | None = 0
        self.required = 0
        self._checked = checked
        self.converters: list[tuple[str, Convert | None]] = []
        self.rest: tuple[str, Convert] | None = None
        self.decode: DecodeEvent | None = None
        self._read_signature()
        self.typed = any(convert for _, convert in self.converters) or self.rest is not None
        self.direct = not (once or concurrent)

    def _read_signature(self) -> None:
        try:
            signature = signature_of(self.function)
        except (TypeError, ValueError):  # some builtins have none: they get everything
            self.limit = None
            return
        check_defaults(self.function, signature)
        hints: dict[str, Any] = {}
        positional: list[inspect.Parameter] = []
        ack: inspect.Parameter | None = None
        for parameter in signature.parameters.values():
            kind = parameter.kind
            is_socket = self.with_socket and not positional
            if is_socket and kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
                if parameter.annotation in _VALUES:
                    raise self._wrong(
                        f"its first parameter is the socket: add one before {parameter.name!r}"
                    )
                positional.append(parameter)
                continue
            annotation = hints[parameter.name] = self._annotation(parameter)
            if _is_ack(annotation):
                if kind is parameter.POSITIONAL_ONLY:
                    raise self._wrong(f"{parameter.name!r} (telex.Ack) cannot be positional-only")
                ack = parameter
            elif kind is parameter.KEYWORD_ONLY:
                if parameter.default is parameter.empty:
                    raise self._wrong(f"nothing fills the parameter {parameter.name!r}")
            elif kind is not parameter.VAR_KEYWORD:
                if ack is not None:
                    raise self._wrong(f"{ack.name!r} (telex.Ack) must come last")
                positional.append(parameter)
        if ack is not None:
            self.ack = ack.name
            self.ack_required = ack.default is ack.empty
        if self.with_socket:
            if not positional:
                raise self._wrong("its first parameter is the socket: add one")
            if positional[0].kind is not inspect.Parameter.VAR_POSITIONAL:
                del positional[0]
        named = [p for p in positional if p.kind is not p.VAR_POSITIONAL]
        self.limit = len(named) if len(named) == len(positional) else None
        self.required = sum(p.default is p.empty for p in named)
        if not self._checked:
            return
        for parameter in positional:
            annotation = hints[parameter.name]
            convert = converter(annotation, f"{self.name}: the annotation of {parameter.name!r}")
            if parameter.kind is not parameter.VAR_POSITIONAL:
                self.converters.append((parameter.name, convert))
            elif convert is not None:
                self.rest = parameter.name, convert
        if self.limit is not None and any(convert for _, convert in self.converters):
            self.decode = event_decoder(tuple(hints[p.name] for p in named))

    def _annotation(self, parameter: inspect.Parameter) -> Any:
        """What the annotation of a parameter names; what is ours to give may have any."""
        try:
            return resolved(self.function, parameter)
        except ConfigurationError:
            if self._checked:
                raise
            return parameter.empty

    @property
    def name(self) -> str:
        """The function's name, for people."""
        return name_of(self.function)

    def _wrong(self, what: str) -> ConfigurationError:
        return ConfigurationError(f"handler {self.name}: {what}")

    def fit(self, args: list[Any]) -> list[Any]:
        """The arguments that the function takes, of those that came, checked and converted.

        Raises ``InvalidArguments`` if they do not fit.
        """
        if len(args) < self.required:
            plural = "" if self.required == 1 else "s"
            raise InvalidArguments(f"expected {self.required} argument{plural}, got {len(args)}")
        if self.limit is not None and len(args) > self.limit:
            args = args[: self.limit]
        if not self.typed:
            return args
        result = list(args)
        for index, (name, convert) in enumerate(self.converters[: len(args)]):
            if convert is not None:
                result[index] = _converted(args[index], convert, name)
        if self.rest is not None:
            name, convert = self.rest
            first = len(self.converters)
            for index, value in enumerate(args[first:]):
                result[first + index] = _converted(value, convert, f"{name}[{index}]")
        return result

    def check_lifecycle(self, event: str, given: int) -> None:
        """Refuse a handler of an event of our own that needs more arguments than that has."""
        needed = self.required + self.with_socket
        if needed > given:
            cure = f": {_CURES[event]}" if event in _CURES else ""
            raise self._wrong(f"it needs {needed} arguments, and {event!r} has {given}{cure}")

    def __repr__(self) -> str:
        return f"<Handler {self.name}>"


def check_name(event: Any, own: Collection[str] = LIFE_CYCLE) -> None:
    """Refuse the name of an event that never comes; ``own`` are events of ours that do."""
    if not isinstance(event, str):
        hint = ': write @….on("name") above a function' if callable(event) else ""
        raise ConfigurationError(f"the name of an event is text, not {event!r}{hint}")
    if event == "*" or (event in RESERVED_EVENTS and event not in own):
        cure = f": {_CURES[event]}" if event in _CURES else ""
        raise ConfigurationError(f"the event {event!r} never comes{cure}")


def _converted(value: Any, convert: Convert, name: str) -> Any:
    try:
        return convert(value)
    except MISTAKES as error:
        raise explain(error, name) from None


class Handlers:
    """Handlers by event name, in the order in which they were registered."""

    __slots__ = ("by_event",)

    def __init__(self) -> None:
        self.by_event: dict[str, tuple[Handler, ...]] = {}

    def add(self, event: str, handler: Handler, *, first: bool = False) -> None:
        """Register a handler."""
        given: Any = event
        if not isinstance(given, str):
            check_name(given)
        known = self.by_event.get(event, ())
        if known and known[0].concurrent != handler.concurrent:
            raise ConfigurationError(
                f"{event!r} has another handler, {known[0].name}: concurrent=True is for all"
                " handlers of an event, or for none"
            )
        self.by_event[event] = (handler, *known) if first else (*known, handler)

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

    def functions(self, event: str) -> list[Function]:
        """The functions registered for an event."""
        return [handler.function for handler in self.by_event.get(event, ())]

    def clear(self) -> None:
        """Remove every handler."""
        self.by_event.clear()


def registering(owner: Any, add: Callable[[Function], object], handler: Function | None) -> Any:
    """Register a handler that was given, or be the decorator that registers one."""
    if handler is not None:
        add(handler)
        return owner

    def decorate(function: F) -> F:
        add(function)
        return function

    return decorate


def _is_async(function: Function) -> bool:
    given: Any = function
    functions = (inspect.unwrap(function), given.__call__)  # objects may have an async __call__
    return any(map(inspect.iscoroutinefunction, functions))


def _is_ack(annotation: Any) -> bool:
    if annotation is Ack:
        return True
    if isinstance(annotation, types.UnionType) or typing.get_origin(annotation) is typing.Union:
        return Ack in typing.get_args(annotation)
    return False
