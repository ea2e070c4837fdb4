"""Options of a client: JavaScript's, in snake_case and seconds."""

from __future__ import annotations

import math
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from ssl import SSLContext
from typing import Any, Literal, TypedDict

from ..config import TRANSPORTS, TransportName, duration, path_option, transports_option
from ..errors import ConfigurationError
from ..parser.packet import Parser

Auth = Any | Callable[[], Any | Awaitable[Any]]
Texts = Mapping[str, str | int | float | bool]

_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+\Z")
_NO_HEADER_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_NO_PATH = re.compile(r"[\x00-\x20\x7f]")


# The keyword arguments. ``make options`` writes docs/options.md and docstrings from them.


class TransportKeywords(TypedDict, total=False):
    """The parts of ``transport_options`` for one transport."""

    headers: Texts
    """Headers of this transport's requests, on top of ``headers``. JavaScript: ``extraHeaders``."""
    query: Texts
    """Query of this transport's requests, on top of ``query``. JavaScript: ``query``."""


class EngineClientKeywords(TypedDict, total=False):
    """The options of ``telex.connect_engine``."""

    path: str
    """URL path that the server answers at. JavaScript: ``path``."""
    query: Texts
    """Query of every request. JavaScript: ``query``."""
    headers: Texts
    """Headers of every request; cookies that the server sets are kept, too. JavaScript:
    ``extraHeaders``."""
    transports: TransportName | Iterable[TransportName]
    """Transports to use, in this order: ``"polling"``, ``"websocket"``. JavaScript:
    ``transports``."""
    upgrade: bool
    """Whether to go from polling to WebSocket. JavaScript: ``upgrade``."""
    try_all_transports: bool
    """Whether to try the next transport if the first cannot connect. JavaScript:
    ``tryAllTransports``."""
    remember_upgrade: bool
    """Whether to begin with WebSocket once an upgrade has succeeded. JavaScript:
    ``rememberUpgrade``."""
    add_trailing_slash: bool
    """Whether ``path`` is sent with a slash at its end. JavaScript: ``addTrailingSlash``."""
    timestamp_requests: bool | None
    """Whether requests have a stamp against caches; ``None``: over polling only. JavaScript:
    ``timestampRequests``."""
    timestamp_param: str
    """Name of that stamp in the query. JavaScript: ``timestampParam``."""
    request_timeout: float | None
    """Seconds that one HTTP request may take; ``None`` for no limit. JavaScript:
    ``requestTimeout``."""
    transport_options: Mapping[TransportName, TransportKeywords]
    """Headers and query of single transports, by name. JavaScript: ``transportOptions``."""
    ssl: SSLContext | Literal[False] | None
    """An ``ssl.SSLContext``; ``False`` trusts any certificate, ``None`` those that the system
    trusts. JavaScript: ``ca``, ``cert``, ``key``, ``rejectUnauthorized``."""
    proxy: str | None
    """URL of a proxy, such as ``http://host:port``. JavaScript: ``agent``."""
    trust_env: bool
    """Whether, without ``proxy``, ``HTTP_PROXY``, ``HTTPS_PROXY`` and ``NO_PROXY`` are heeded, for
    servers on other machines. JavaScript: none."""
    protocol: int
    """Revision of the protocol: 5 with Socket.IO, 4 with Engine.IO alone; one less for servers of
    Socket.IO 2. JavaScript: none."""


class ClientKeywords(EngineClientKeywords, total=False):
    """The options of ``telex.connect``, ``telex.Manager`` and their blocking forms."""

    auth: Auth
    """Credentials for the server's middleware: a dict, or a callable, plain or async, that is
    called for each connection. JavaScript: ``auth``."""
    reconnection: bool | None
    """Whether to reconnect. With ``None`` it does as well, but awaiting the first connection
    raises its first failure. JavaScript: ``reconnection``."""
    reconnection_attempts: float | None
    """Attempts before giving up: a whole number; ``None`` or ``math.inf`` for no end. JavaScript:
    ``reconnectionAttempts``."""
    reconnection_delay: float
    """Seconds before the first attempt to reconnect; they double. JavaScript:
    ``reconnectionDelay``."""
    reconnection_delay_max: float
    """Seconds before an attempt at most. JavaScript: ``reconnectionDelayMax``."""
    randomization_factor: float
    """How much the delays vary, from 0 to 1. JavaScript: ``randomizationFactor``."""
    timeout: float | None
    """Seconds that an attempt to connect may take; ``None`` for no limit. JavaScript:
    ``timeout``."""
    auto_connect: bool
    """Whether sockets connect as soon as they are made. JavaScript: ``autoConnect``."""
    force_new: bool
    """Whether the connection is shared with no other socket. JavaScript: ``forceNew``."""
    multiplex: bool
    """Whether it may be shared with sockets of other namespaces. JavaScript: ``multiplex``."""
    parser: Literal["json", "msgpack"] | Parser
    """Wire format, the same as the server's: ``"json"``, ``"msgpack"`` or a parser object.
    JavaScript: ``parser``."""
    ack_timeout: float | None
    """Seconds that the server has for each acknowledgement; ``None`` for no limit. JavaScript:
    ``ackTimeout``."""
    retries: int | None
    """Times that an event is sent again until it is acknowledged, one event after the other;
    ``None`` sends it once. JavaScript: ``retries``."""
    receive_limit: int
    """Events that may wait for ``receive()``. JavaScript: none."""


@dataclass(frozen=True, kw_only=True)
class EngineClientOptions:
    """Options of an Engine.IO connection.

    ``protocol`` is Engine.IO's revision: 4, or 3 for servers of Socket.IO 2. ``ssl`` is an
    ``ssl.SSLContext``, or ``False`` to trust any certificate. ``transport_options`` maps a
    transport to ``headers`` and ``query`` of its own. Without ``proxy``, ``HTTP_PROXY``,
    ``HTTPS_PROXY`` and ``NO_PROXY`` say what goes through one, unless ``trust_env`` is off.
    """

    path: str = "/engine.io"
    query: Mapping[str, str] = field(default_factory=dict[str, str])
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    transports: tuple[TransportName, ...] = TRANSPORTS
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

    def for_transport(self, transport: str, kind: str) -> dict[str, str]:
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
    def waits_through_failures(self) -> bool:
        """Whether ``await socket`` waits through failed attempts to make the first connection."""
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
    """Refuse what would end a header, and begin another one that its sender has chosen."""
    if not _HEADER_NAME.match(name):
        raise ConfigurationError(f"headers: {name!r} has characters that no name of a header has")
    if _NO_HEADER_VALUE.search(value):
        raise ConfigurationError(
            f"headers: the value of {name!r} has line breaks or other control characters"
        )
