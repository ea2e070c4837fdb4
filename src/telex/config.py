"""Options: keyword-only, validated once, frozen. Durations are seconds, sizes bytes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, TypeVar

from .errors import ConfigurationError, UnknownOptionError
from .types import Request

C = TypeVar("C")

AllowRequest = Callable[[Request], "bool | str | Awaitable[bool | str]"]
Origins = str | Iterable[str] | Callable[[str, Request], bool] | None

TRANSPORTS = ("polling", "websocket")


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Options of Engine.IO; api names as in the Node documentation, in snake_case."""

    path: str = "/engine.io"
    transports: tuple[str, ...] = TRANSPORTS
    allow_upgrades: bool = True
    allow_eio3: bool = True
    ping_interval: float = 25.0
    ping_timeout: float = 20.0
    upgrade_timeout: float = 10.0
    max_http_buffer_size: int = 1_000_000
    origins: Origins = None
    cors: Mapping[str, Any] | None = None
    cookie: bool | str | Mapping[str, Any] = False
    allow_request: AllowRequest | None = None
    http_compression: int | Literal[False] = 1024
    per_message_deflate: bool = False
    send_buffer_limit: int = 1024 * 1024
    slow_consumer: Literal["disconnect", "drop_volatile"] = "disconnect"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_option(self.path))
        object.__setattr__(self, "transports", transports_option(self.transports))
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout"):
            positive(name, getattr(self, name), "seconds")
        for name in ("max_http_buffer_size", "send_buffer_limit"):
            _count(name, getattr(self, name), "bytes")
        _one_of("slow_consumer", self.slow_consumer, ("disconnect", "drop_volatile"))
        if self.allow_request is not None and not callable(self.allow_request):
            raise ConfigurationError("allow_request must be callable(request) -> bool | str")


@dataclass(frozen=True, kw_only=True)
class Recovery:
    """Connection state recovery: for how long, and whether past the middlewares."""

    enabled: bool = False
    max_disconnection_duration: float = 120.0
    skip_middlewares: bool = False


@dataclass(frozen=True, kw_only=True)
class ServerOptions(EngineOptions):
    """Options of Socket.IO on top of those of Engine.IO."""

    path: str = "/socket.io"
    serve_client: bool = True
    adapter: Callable[[Any], Any] | None = None
    parser: Any = "json"
    connect_timeout: float = 45.0
    max_attachments: int = 10
    cleanup_empty_child_namespaces: bool = False
    connection_state_recovery: bool | Mapping[str, Any] = False
    handshake_extra: Callable[[Request], Mapping[str, Any]] | None = None
    id_source: Literal["random", "engine"] = "random"
    recovery: Recovery = field(default=Recovery(), init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("connect_timeout", self.connect_timeout, "seconds")
        _count("max_attachments", self.max_attachments, "attachments")
        if self.adapter is not None and not callable(self.adapter):
            raise ConfigurationError("adapter must be callable(namespace) -> adapter")
        if self.handshake_extra is not None and not callable(self.handshake_extra):
            raise ConfigurationError("handshake_extra must be callable(request) -> dict")
        _one_of("id_source", self.id_source, ("random", "engine"))
        object.__setattr__(self, "recovery", _recovery(self.connection_state_recovery))


def read(kind: type[C], options: Mapping[str, Any]) -> C:
    """Make options of ``kind``; a name that does not exist raises ``UnknownOptionError``."""
    described: Any = kind  # a dataclass: no type variable can say so
    known = [item.name for item in fields(described) if item.init]
    for name in options:
        if name not in known:
            raise UnknownOptionError(_unknown(name, known))
    return kind(**options)


def _unknown(name: str, known: list[str]) -> str:
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("eio_3", "eio3")
    near = [snake] if snake in known else difflib.get_close_matches(snake, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(known)}"
    return f"unknown option {name!r}: {hint}"


def positive(name: str, value: Any, unit: str) -> None:
    """Check a positive number."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} must be a positive number of {unit}, not {value!r}")


def _count(name: str, value: Any, unit: str) -> None:
    if type(value) is not int or value < 1:
        raise ConfigurationError(f"{name} must be a positive whole number of {unit}, not {value!r}")


def _one_of(name: str, value: Any, allowed: tuple[str, ...]) -> None:
    if value not in allowed:
        raise ConfigurationError(f"{name} must be one of {allowed}, not {value!r}")


def _recovery(option: bool | Mapping[str, Any]) -> Recovery:
    if isinstance(option, bool):
        return Recovery(enabled=option)
    recovery = read(Recovery, {**option, "enabled": True})
    duration = recovery.max_disconnection_duration
    positive("max_disconnection_duration", duration, "seconds")
    return recovery


def path_option(path: Any) -> str:
    """Check the path of an engine; a slash at its end is dropped."""
    if not isinstance(path, str) or not path.strip("/"):
        raise ConfigurationError(f"path must be a path such as '/socket.io', not {path!r}")
    return "/" + path.strip("/")


def transports_option(transports: Any) -> tuple[str, ...]:
    """Check the names of transports: one, or several in order."""
    names: tuple[Any, ...] = (transports,)
    if not isinstance(transports, str):
        try:
            names = tuple(dict.fromkeys(transports))
        except TypeError:
            raise ConfigurationError(f"transports must be names, not {transports!r}") from None
    for name in names:
        if name not in TRANSPORTS:
            raise ConfigurationError(f"unknown transport {name!r}: there are {TRANSPORTS}")
    if not names:
        raise ConfigurationError(f"transports must name at least one of {TRANSPORTS}")
    return names
