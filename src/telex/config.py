"""Options: keyword-only, validated once, frozen. Durations are seconds, sizes bytes."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields
from inspect import iscoroutinefunction
from typing import Any, Literal, NoReturn, TypeVar, cast

from .errors import ConfigurationError, UnknownOptionError
from .types import Request

C = TypeVar("C")

HandleProtocols = Callable[[list[str], Request], str | None]
"""Chooses one of the WebSocket subprotocols that a client offers (``ws``: ``handleProtocols``)."""
AllowRequest = Callable[[Request], "bool | str | Awaitable[bool | str]"]
GenerateId = Callable[[Request], "str | Awaitable[str]"]
Origins = (
    str | re.Pattern[str] | Iterable[str | re.Pattern[str]] | Callable[[str, Request], bool] | None
)

TransportName = Literal["polling", "websocket"]
TRANSPORTS: tuple[TransportName, ...] = ("polling", "websocket")

LONGEST_DURATION = 3600.0
"""What is longer is not meant in seconds."""

LONGEST_DISCONNECTION = 24 * 3600.0
"""For how long a connection may be recovered at most, in seconds."""

_LOG = "what happens is logged: telex.log('info') shows connections, telex.log('debug') packets"
_NAMESPACES = (
    "leave it out: io.of(name) makes a namespace, the path of a client's URL names its own"
)

_OTHER_UPGRADES = "leave it out: upgrades outside the path go to the other application"

ELSEWHERE = {
    # python-socketio, python-engineio, Flask-SocketIO
    "cors_allowed_origins": "origins",
    "cors_origins": "origins",
    "cors_credentials": "write cors={'origins': …, 'credentials': True}",
    "socketio_path": "path",
    "engineio_path": "path",
    "resource": "path",
    "logger": _LOG,
    "engineio_logger": _LOG,
    "log_output": _LOG,
    "debug": _LOG,
    "async_mode": "leave it out: telex runs on asyncio (telex.sync has a blocking client)",
    "async_handlers": "register handlers with concurrent=True that need not run in order",
    "always_connect": "leave it out: a middleware (io.use) refuses a client by raising",
    "client_manager": "adapter",
    "message_queue": "adapter",
    "serializer": "parser",
    "json": "leave it out: telex encodes JSON itself (parser='msgpack' is the other format)",
    "monitor_clients": "leave it out: a silent client is always disconnected after ping_timeout",
    "compression_threshold": "http_compression",
    "namespaces": _NAMESPACES,
    "namespace": _NAMESPACES,
    "static_files": "leave it out: Server(app) passes other requests to an ASGI application",
    "other_asgi_app": "give it as the first argument: Server(app)",
    "ssl_verify": "ssl",
    "http_session": "leave it out: headers=, ssl= and proxy= say how requests are made",
    "websocket_extra_options": "transport_options",
    "handle_sigint": "leave it out: telex installs no signal handlers in clients",
    "wait": "leave it out: await the socket to wait until it is connected",
    "wait_timeout": "timeout",
    "retry": "reconnection",
    # Node and JavaScript
    "max_payload": "max_http_buffer_size",
    "destroy_upgrade": _OTHER_UPGRADES,
    "destroy_upgrade_timeout": _OTHER_UPGRADES,
    "add_trailing_slash": "leave it out: the path is answered with and without a slash at its end",
    "ws_engine": "leave it out: telex has its own WebSocket",
    "initial_packet": "leave it out: emit in a 'connection' handler of io.engine instead",
    "generate_id": "set it on the engine: io.engine.generate_id = function",
    "host": "give it to run() or listen()",
    "port": "give it to run() or listen()",
    "extra_headers": "headers",
    "reject_unauthorized": "ssl",
    "ca": "ssl",
    "cert": "ssl",
    "key": "ssl",
    "agent": "proxy",
    "with_credentials": "leave it out: the server's cookies are kept and sent back",
    "reconnect": "reconnection",
    "connect_timeout": "timeout",
}
"""Names of options elsewhere, in snake_case: the name here, or a sentence (it has a blank)."""


@dataclass(frozen=True, kw_only=True)
class EngineOptions:
    """Options of Engine.IO; api names as in the Node documentation, in snake_case."""

    path: str = "/engine.io"
    transports: tuple[TransportName, ...] = TRANSPORTS
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
    handle_protocols: HandleProtocols | None = None
    http_compression: int | Literal[False] = 1024
    per_message_deflate: bool = False
    send_buffer_limit: int = 1024 * 1024
    slow_consumer: Literal["disconnect", "drop_volatile"] = "disconnect"

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_option(self.path))
        object.__setattr__(self, "transports", transports_option(self.transports))
        for name in ("ping_interval", "ping_timeout", "upgrade_timeout"):
            duration(name, getattr(self, name))
        for name in ("allow_upgrades", "allow_eio3", "per_message_deflate"):
            _flag(name, getattr(self, name))
        object.__setattr__(self, "http_compression", _threshold(self.http_compression))
        for name in ("max_http_buffer_size", "send_buffer_limit"):
            _count(name, getattr(self, name), "bytes")
        _one_of("slow_consumer", self.slow_consumer, ("disconnect", "drop_volatile"))
        if self.allow_request is not None and not callable(self.allow_request):
            raise ConfigurationError("allow_request must be callable(request) -> bool | str")
        choose: Any = self.handle_protocols
        if choose is not None and (not callable(choose) or iscoroutinefunction(choose)):
            raise ConfigurationError(
                "handle_protocols must be a plain callable(protocols, request) -> str | None"
            )


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
    max_dynamic_namespaces: int = 10_000
    connection_state_recovery: bool | Mapping[str, Any] = False
    handshake_extra: Callable[[Request], Mapping[str, Any]] | None = None
    id_source: Literal["random", "engine", "random_for_all"] = "random"
    recovery: Recovery = field(default=Recovery(), init=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        duration("connect_timeout", self.connect_timeout)
        for name in ("serve_client", "cleanup_empty_child_namespaces"):
            _flag(name, getattr(self, name))
        _count("max_attachments", self.max_attachments, "attachments")
        _count("max_dynamic_namespaces", self.max_dynamic_namespaces, "namespaces")
        if self.adapter is not None and not callable(self.adapter):
            raise ConfigurationError("adapter must be callable(host) -> adapter")
        if self.handshake_extra is not None and not callable(self.handshake_extra):
            raise ConfigurationError("handshake_extra must be callable(request) -> dict")
        _one_of("id_source", self.id_source, ("random", "engine", "random_for_all"))
        object.__setattr__(self, "recovery", _recovery(self.connection_state_recovery))


def read(kind: type[C], options: Mapping[str, Any]) -> C:
    """Make options of ``kind``; a name that does not exist raises ``UnknownOptionError``."""
    described: Any = kind  # a dataclass: no type variable can say so
    known = [item.name for item in fields(described) if item.init]
    for name in options:
        if name not in known:
            raise UnknownOptionError(f"unknown option {name!r}: {hint(name, known)}")
    return kind(**options)


_EMITTING = {
    "room": "write io.to(room).emit(…), or socket.to(room).emit(…)",
    "to": "write io.to(room).emit(…), or socket.to(room).emit(…)",
    "skip_sid": "write io.except_(sid).emit(…)",
    "include_self": "socket.broadcast.emit(…) leaves the sender out, io.emit(…) does not",
    "broadcast": "io.emit(…) reaches everybody, socket.broadcast.emit(…) everybody but the sender",
    "namespace": "write io.of(namespace).emit(…)",
    "callback": "write ack=callback",
    "timeout": "write socket.timeout(seconds).emit(…)",
    "volatile": "write socket.volatile.emit(…)",
    "data": "arguments follow the name: emit('event', data)",
    "args": "arguments follow the name: emit('event', *args)",
}


def refuse_keywords(names: Iterable[str]) -> NoReturn:
    """Say what to write instead of a keyword argument that ``emit`` does not have."""
    for name in names:
        told = _EMITTING.get(name, "arguments for the other side follow the name of the event")
        raise UnknownOptionError(f"emit() takes no {name!r}: {told}")
    raise AssertionError("no keyword was given")


def hint(name: str, known: Collection[str]) -> str:
    """What to write instead of a name that is unknown here, but perhaps elsewhere."""
    snake = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower().replace("eio_3", "eio3")
    if snake in known:
        return f"did you mean {snake!r}?"
    elsewhere = ELSEWHERE.get(snake, "")
    if " " in elsewhere:
        return elsewhere
    if elsewhere in known:
        return f"it is called {elsewhere!r} here"
    near = difflib.get_close_matches(snake, known, 1)
    if near:
        return f"did you mean {near[0]!r}?"
    # A name of other libraries, misspelt: its counterpart here, if there is one.
    others = [other for other, name in ELSEWHERE.items() if name in known]
    meant = difflib.get_close_matches(snake, others, 1)
    return hint(meant[0], known) if meant else "there is none of a similar name"


def positive(name: str, value: Any, unit: str) -> None:
    """Check a positive number."""
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if not number or not 0 < value < math.inf:
        raise ConfigurationError(f"{name} must be a positive number of {unit}, not {value!r}")


def duration(name: str, value: Any, most: float = LONGEST_DURATION) -> None:
    """Check a duration in seconds; one that is meant in milliseconds is found by its size."""
    positive(name, value, "seconds")
    if value > most:
        raise ConfigurationError(
            f"{name} is in seconds, and at most {most:g}: {value!r} would be"
            f" {_in_words(value)} (for milliseconds, write {value / 1000:g})"
        )


def _in_words(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "hours"), (60, "minutes")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:g} seconds"


def _flag(name: str, value: Any) -> None:
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} must be True or False, not {value!r}")


def _threshold(value: Any) -> int | Literal[False]:
    if value is True:
        return EngineOptions.http_compression
    if value is not False:
        _count("http_compression", value, "bytes (or False)")
    return cast("int | Literal[False]", value)


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
    duration(
        "max_disconnection_duration", recovery.max_disconnection_duration, LONGEST_DISCONNECTION
    )
    _flag("skip_middlewares", recovery.skip_middlewares)
    return recovery


def path_option(path: Any) -> str:
    """Check the path of an engine; a slash at its end is dropped."""
    if not isinstance(path, str) or not path.strip("/"):
        raise ConfigurationError(f"path must be a path such as '/socket.io', not {path!r}")
    return "/" + path.strip("/")


def transports_option(transports: Any) -> tuple[TransportName, ...]:
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
