"""Options of a client: JavaScript's, in snake_case and seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Literal

from ..config import duration, path_option, transports_option
from ..errors import ConfigurationError

Auth = Any | Callable[[], Any | Awaitable[Any]]
Texts = Mapping[str, Any]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_NO_HEADER_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_PATH = re.compile(r"[\x00-\x20\x7f]")


@dataclass(frozen=True, kw_only=True)
class EngineClientOptions:
    """Options of an Engine.IO connection.

    ``protocol`` is Engine.IO's revision: 4, or 3 for servers of Socket.IO 2. ``ssl`` is an
    ``ssl.SSLContext``, or ``False`` to trust any certificate. ``transport_options`` maps a
    transport to ``headers`` and ``query`` of its own. Without ``proxy``, ``HTTP_PROXY``,
    ``HTTPS_PROXY`` and ``NO_PROXY`` say what goes through one, unless ``trust_env`` is off.
    """

    path: str = "/engine.io"
    query: Texts = field(default_factory=dict[str, Any])
    headers: Texts = field(default_factory=dict[str, Any])
    transports: tuple[str, ...] = ("polling", "websocket")
    upgrade: bool = True
    try_all_transports: bool = False
    remember_upgrade: bool = False
    add_trailing_slash: bool = True
    timestamp_requests: bool | None = None
    timestamp_param: str = "t"
    request_timeout: float | None = None
    transport_options: Mapping[str, Mapping[str, Any]] = field(
        default_factory=dict[str, Mapping[str, Any]]
    )
    ssl: SSLContext | Literal[False] | None = None
    proxy: str | None = None
    trust_env: bool = True
    protocol: int = 4

    def __post_init__(self) -> None:
        object.__setattr__(self, "path", path_option(self.path))
        if _NO_PATH.search(self.path):
            raise ConfigurationError(
                f"path {self.path!r} has blanks or control characters: write them as %20 and so on"
            )
        names = transports_option(self.transports) if self.transports else ()
        object.__setattr__(self, "transports", names)
        for name in ("query", "headers"):
            object.__setattr__(self, name, _texts(name, getattr(self, name)))
        if self.request_timeout is not None:
            duration("request_timeout", self.request_timeout)
        for name, own in self.transport_options.items():
            if unknown := set(own) - {"headers", "query"}:
                raise ConfigurationError(
                    f"transport_options[{name!r}] may have 'headers' and 'query', not {unknown}"
                )
            for kind in own:
                _texts(kind, own[kind])
        if self.ssl is not None and self.ssl is not False and not isinstance(self.ssl, SSLContext):
            raise ConfigurationError("ssl must be an ssl.SSLContext, or False to verify nothing")
        self._check_protocol()

    def _check_protocol(self) -> None:
        if self.protocol not in (3, 4):
            raise ConfigurationError(f"protocol must be 4 or 3, not {self.protocol!r}")

    @property
    def revision(self) -> int:
        """The revision of Engine.IO to speak."""
        return self.protocol

    def own(self, transport: str, kind: str) -> dict[str, str]:
        """Headers or query of one transport."""
        both = {**getattr(self, kind), **self.transport_options.get(transport, {}).get(kind, {})}
        return _texts(kind, both)


@dataclass(frozen=True, kw_only=True)
class ClientOptions(EngineClientOptions):
    """Options of a Socket.IO client on top of those of Engine.IO.

    ``protocol`` is Socket.IO's revision: 5, or 4 for servers of Socket.IO 2.
    ``reconnection=None`` reconnects, too, but whoever awaits the first connection hears
    of its first failure. ``receive_limit`` bounds the events that wait for ``receive()``.
    """

    path: str = "/socket.io"
    protocol: int = 5
    auth: Auth = None
    reconnection: bool | None = None
    reconnection_attempts: float | None = None
    reconnection_delay: float = 1.0
    reconnection_delay_max: float = 5.0
    randomization_factor: float = 0.5
    timeout: float | None = 20.0
    auto_connect: bool = True
    force_new: bool = False
    multiplex: bool = True
    parser: Any = "json"
    ack_timeout: float | None = None
    retries: int | None = None
    receive_limit: int = 1000

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("reconnection_delay", "reconnection_delay_max"):
            duration(name, getattr(self, name))
        for name in ("timeout", "ack_timeout"):
            if getattr(self, name) is not None:
                duration(name, getattr(self, name))
        if not 0 <= self.randomization_factor <= 1:
            raise ConfigurationError("randomization_factor must be between 0 and 1")
        attempts = self.reconnection_attempts
        if attempts is not None and attempts != math.inf and not _whole(attempts):
            raise ConfigurationError("reconnection_attempts must be a whole number, or math.inf")
        if self.retries is not None and not _whole(self.retries):
            raise ConfigurationError("retries must be a whole number")
        if not _whole(self.receive_limit) or not self.receive_limit:
            raise ConfigurationError("receive_limit must be a positive whole number of events")

    def _check_protocol(self) -> None:
        if self.protocol not in (4, 5):
            raise ConfigurationError(
                f"protocol must be 5, or 4 for servers of Socket.IO 2, not {self.protocol!r}"
            )

    @property
    def revision(self) -> int:
        """The revision of Engine.IO to speak."""
        return self.protocol - 1

    @property
    def patient(self) -> bool:
        """Whether whoever awaits the connection waits through failed attempts."""
        asked = self.reconnection is True or self.reconnection_attempts is not None
        return asked and self.reconnection is not False


def _whole(value: Any) -> bool:
    return type(value) is int and value >= 0


def _texts(name: str, value: Any) -> dict[str, str]:
    try:
        items = dict[Any, Any](value)
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"{name} must be a mapping of names to texts, not {value!r}"
        ) from None
    texts: dict[str, str] = {}
    for key, item in items.items():
        if item is None:
            raise ConfigurationError(
                f"{name}: {str(key)!r} is None: leave it out, or give it a text"
            )
        if isinstance(item, bool):
            item = "true" if item else "false"  # as JavaScript writes them
        texts[str(key)] = str(item)
        if name == "headers":
            _check_header(str(key), texts[str(key)])
    return texts


def _check_header(name: str, value: str) -> None:
    """Refuse what would end a header, and begin another one of somebody else's choice."""
    if not _HEADER_NAME.match(name):
        raise ConfigurationError(f"headers: {name!r} has characters that no name of a header has")
    if _NO_HEADER_VALUE.search(value):
        raise ConfigurationError(
            f"headers: the value of {name!r} has line breaks or other control characters"
        )
