"""The engine of a server, as users see it: ``io.engine``."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from ..config import GenerateId
from ..engine.engine import Engine
from ..errors import ConfigurationError
from ..events.handlers import Function, registering
from ..types import App
from .engine_socket import EngineSocket

F = TypeVar("F", bound=Callable[..., Any])
P = ParamSpec("P")


class Hooks(Protocol):
    """Functions of the user for what the front does."""

    connection_error: list[Any]
    headers: list[Any]
    initial_headers: list[Any]


class EngineFront(Protocol):
    """The front of the engine, as far as users may change it."""

    generate_id: GenerateId | None

    @property
    def hooks(self) -> Hooks: ...

    def use(self, middleware: Callable[[App], App]) -> None: ...


class EngineApi:
    """The engine of a server, as users see it: ``io.engine``.

    Events: ``connection(engine_socket)``, ``connection_error(info)`` with ``request``,
    ``code``, ``message`` and ``context``, ``initial_headers(headers, request)`` for the
    first answer of a session, ``headers(headers, request)`` for every answer. ``headers``
    is a list of name and value pairs to append to. These handlers are plain functions.
    """

    def __init__(
        self, engine: Engine, front: EngineFront, opened: list[Callable[[EngineSocket], Any]]
    ) -> None:
        self._engine = engine
        self._front = front
        self._opened = opened

    @property
    def clients_count(self) -> int:
        """How many connections are open."""
        return len(self._engine.sessions)

    @property
    def generate_id(self) -> GenerateId | None:
        """``callable(request) -> str``, plain or async, that makes session ids.

        They must be unique and hard to guess: a client that knows one can take over the session.
        """
        return self._front.generate_id

    @generate_id.setter
    def generate_id(self, function: GenerateId | None) -> None:
        self._front.generate_id = function

    def use(
        self, middleware: Callable[Concatenate[App, P], App], *args: P.args, **options: P.kwargs
    ) -> None:
        """Wrap the engine's requests, WebSockets included, in an ASGI middleware.

        ``middleware(app, *args, **options)`` returns the wrapped application; the first one
        registered is the outermost.
        """
        self._front.use(lambda app: middleware(app, *args, **options))

    @overload
    def on(self, event: str) -> Callable[[F], F]: ...
    @overload
    def on(self, event: str, handler: Function) -> EngineApi: ...
    def on(self, event: str, handler: Function | None = None) -> Any:
        """Register a handler, as a decorator or with the handler given."""
        hooks: dict[str, list[Any]] = {
            "connection": self._opened,
            "connection_error": self._front.hooks.connection_error,
            "headers": self._front.hooks.headers,
            "initial_headers": self._front.hooks.initial_headers,
        }
        if event not in hooks:
            raise ConfigurationError(f"the engine has no event {event!r}: there are {list(hooks)}")
        return registering(self, lambda each: hooks[event].append(_plain(each)), handler)


def _plain(function: Function) -> Function:
    if inspect.iscoroutinefunction(function):
        raise ConfigurationError("handlers of the engine's events are plain functions")
    return function
