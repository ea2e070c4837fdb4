"""The keyword arguments of the servers: one type and one line of documentation for each option.

``docs/options.md`` and the docstrings of the constructors are written from this file and from
``client/options.py`` by ``make options``; defaults come from the frozen options in ``config.py``.
Durations are seconds, sizes bytes; Node's durations are milliseconds.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, Literal, TypedDict

from .adapter.base import Adapter, AdapterHost
from .client.options import (
    ClientKeywords,
    EngineClientKeywords,
    TransportKeywords,
)
from .config import Origins, TransportName
from .parser.packet import Parser
from .types import Request

__all__ = [
    "ClientKeywords",
    "CookieKeywords",
    "CorsKeywords",
    "EngineClientKeywords",
    "EngineKeywords",
    "ListenKeywords",
    "RecoveryKeywords",
    "RunKeywords",
    "ServerKeywords",
    "TransportKeywords",
    "TransportName",
]


class CorsKeywords(TypedDict, total=False):
    """The parts of ``cors``."""

    origins: Origins
    """As the option ``origins``. Node: ``origin``."""
    methods: Iterable[str]
    """Methods that a preflight allows; ``GET`` and ``POST`` if left out. Node: ``methods``."""
    allowed_headers: Iterable[str]
    """Headers that a preflight allows; those it asks for if left out. Node: ``allowedHeaders``."""
    exposed_headers: Iterable[str]
    """Headers of answers that pages may read; none if left out. Node: ``exposedHeaders``."""
    credentials: bool
    """Whether pages may send cookies; ``False`` if left out. Node: ``credentials``."""
    max_age: int | None
    """Seconds for which browsers keep a preflight; not said if left out. Node: ``maxAge``."""


class CookieKeywords(TypedDict, total=False):
    """The parts of ``cookie``."""

    name: str
    """Name of the cookie; ``"io"`` if left out. Node: ``name``."""
    path: str | Literal[False] | None
    """``Path``; ``"/"`` if left out, ``False`` for none. Node: ``path``."""
    domain: str | None
    """``Domain``; none if left out. Node: ``domain``."""
    http_only: bool
    """``HttpOnly``: scripts cannot read it; ``True`` if left out. Node: ``httpOnly``."""
    secure: bool
    """``Secure``: sent over TLS only; ``False`` if left out. Node: ``secure``."""
    same_site: Literal["strict", "lax", "none", "Strict", "Lax", "None"] | bool | None
    """``SameSite``; ``"lax"`` if left out. Node: ``sameSite``."""
    max_age: int | None
    """``Max-Age`` in seconds; until the browser is closed if left out. Node: ``maxAge`` (ms)."""
    partitioned: bool
    """``Partitioned``; ``False`` if left out. Node: ``partitioned``."""


class RecoveryKeywords(TypedDict, total=False):
    """The parts of ``connection_state_recovery``."""

    max_disconnection_duration: float
    """Seconds for which a lost connection can be recovered. Node: ``maxDisconnectionDuration``."""
    skip_middlewares: bool
    """Whether middlewares do not run for a recovered socket. Node: ``skipMiddlewares``."""


class EngineKeywords(TypedDict, total=False):
    """The options of ``telex.EngineServer``."""

    path: str
    """URL path that clients connect to. Node: ``path``."""
    transports: TransportName | Iterable[TransportName]
    """Transports that clients may use: ``"polling"``, ``"websocket"``. Node: ``transports``."""
    allow_upgrades: bool
    """Whether clients are offered to go from polling to WebSocket. Node: ``allowUpgrades``."""
    allow_eio3: bool
    """Whether clients of Socket.IO 1 and 2 may connect. Node: ``allowEIO3`` (there off)."""
    ping_interval: float
    """Seconds from one heartbeat to the next. Node: ``pingInterval``."""
    ping_timeout: float
    """Seconds that a client has to answer a heartbeat. Node: ``pingTimeout``."""
    upgrade_timeout: float
    """Seconds that an upgrade to WebSocket may take. Node: ``upgradeTimeout``."""
    max_http_buffer_size: int
    """Bytes of the largest message or request body of a client. Node: ``maxHttpBufferSize``."""
    origins: Origins
    """Pages that may connect: ``None`` (same origin only), ``"*"``, origins, compiled regular
    expressions, or a plain ``callable(origin, request) -> bool``. Node: ``cors.origin``."""
    cors: CorsKeywords | None
    """The whole CORS policy, in place of ``origins``. Node: ``cors``."""
    cookie: bool | str | CookieKeywords
    """Session cookie for balancers: ``True``, its name, or its attributes. Node: ``cookie``."""
    allow_request: Callable[[Request], bool | str | Awaitable[bool | str]] | None
    """``callable(request)``, plain or async: ``True`` admits a handshake, ``False`` or a text for
    the client refuses it. Node: ``allowRequest``."""
    handle_protocols: Callable[[list[str], Request], str | None] | None
    """Plain ``callable(protocols, request)`` that chooses a WebSocket subprotocol; ``None`` takes
    the client's first. Node: ``handleProtocols`` of ``ws``."""
    http_compression: int | bool
    """Bytes from which answers to polls are compressed, or ``False``. Node: ``httpCompression``."""
    per_message_deflate: bool
    """Whether WebSocket messages are compressed. Node: ``perMessageDeflate``."""
    send_buffer_limit: int
    """Bytes that may wait for a client that does not read. Node: none."""
    slow_consumer: Literal["disconnect", "drop_volatile"]
    """What happens beyond ``send_buffer_limit``: the client is disconnected after two seconds, or
    loses volatile messages first. Node: none."""


class ServerKeywords(EngineKeywords, total=False):
    """The options of ``telex.Server``."""

    serve_client: bool
    """Whether the JavaScript client is served below ``path``. Node: ``serveClient``."""
    adapter: Callable[[AdapterHost], Adapter] | None
    """``callable(host)`` that makes the adapter of a namespace; ``None`` keeps rooms in memory.
    Node: ``adapter``."""
    parser: Literal["json", "msgpack"] | Parser
    """Wire format, the same as the clients': ``"json"``, ``"msgpack"`` or a parser object. Node:
    ``parser``."""
    connect_timeout: float
    """Seconds that a client has to join its first namespace. Node: ``connectTimeout``."""
    max_attachments: int
    """Binary attachments that one packet of a client may have. Node: ``maxAttachments``."""
    cleanup_empty_child_namespaces: bool
    """Whether dynamic namespaces are removed when they are empty. Node:
    ``cleanupEmptyChildNamespaces``."""
    max_dynamic_namespaces: int
    """Dynamic namespaces that may exist at a time. Node: none."""
    connection_state_recovery: bool | RecoveryKeywords
    """Whether a client that was cut off returns to its rooms and gets what it missed, or the
    parts of this option. Node: ``connectionStateRecovery``."""
    handshake_extra: Callable[[Request], Mapping[str, Any]] | None
    """``callable(request)`` that makes ``socket.handshake.extra``. Node: none."""
    id_source: Literal["random", "engine", "random_for_all"]
    """Ids of sockets: ``"random"``, but made from the session's id for clients of Socket.IO 1 and
    2; ``"random_for_all"`` for these, too; ``"engine"``: made from it for all. Node: none."""


class ListenKeywords(TypedDict, total=False):
    """The options of ``listen``: those of ``uvicorn.Config`` that a telex server can use."""

    loop: str
    """Event loop: ``"auto"`` (uvloop if it is installed), ``"asyncio"``, ``"uvloop"``."""
    http: str | type[asyncio.Protocol]
    """HTTP protocol; another one than telex's own makes messages dearer."""
    ws: str | type[asyncio.Protocol]
    """WebSocket protocol for what telex's own does not serve."""
    ws_max_size: int
    """Bytes of the largest message there; ``max_http_buffer_size`` if left out."""
    ws_max_queue: int
    """Messages that may wait there; 32 if left out."""
    ws_ping_interval: float | None
    """Seconds between two pings there; 20 if left out."""
    ws_ping_timeout: float | None
    """Seconds for the answer to such a ping; 20 if left out."""
    ws_per_message_deflate: bool
    """Whether messages are compressed there; ``True`` if left out."""
    lifespan: Literal["auto", "on", "off"]
    """Whether the application hears of start and end; ``"auto"`` if left out."""
    log_config: dict[str, Any] | str | os.PathLike[str] | None
    """Configuration of logging; ``listen`` has none unless it is given."""
    log_level: str | int | None
    """Level of uvicorn's loggers."""
    access_log: bool
    """Whether requests are logged; ``run``: ``True``, ``listen``: ``False`` if left out."""
    use_colors: bool | None
    """Whether the log has colours; on terminals if left out."""
    proxy_headers: bool
    """Whether ``X-Forwarded-…`` of trusted proxies are believed; ``True`` if left out."""
    forwarded_allow_ips: list[str] | str | None
    """Addresses of trusted proxies; ``"127.0.0.1"`` if left out."""
    server_header: bool
    """Whether answers name the server; ``False`` if left out."""
    date_header: bool
    """Whether answers have a date; ``True`` if left out."""
    headers: list[tuple[str, str]] | None
    """Headers of every answer."""
    root_path: str
    """Path below which a proxy serves the application."""
    backlog: int
    """Connections that may wait to be accepted; 4096 if left out."""
    limit_concurrency: int | None
    """Connections at a time, beyond which clients are refused with 503; no limit if left out."""
    limit_max_requests: int | None
    """Requests after which the process ends; no limit if left out."""
    limit_max_requests_jitter: int
    """Random requests on top of that; 0 if left out."""
    timeout_keep_alive: int
    """Seconds for which an idle connection is kept; 5 if left out."""
    callback_notify: Callable[[], Awaitable[None]] | None
    """Async function to call once every ``timeout_notify`` seconds."""
    timeout_notify: int
    """Seconds between two such calls; 30 if left out."""
    timeout_graceful_shutdown: int | None
    """Seconds that open requests may take at the end; 10 if left out."""
    ssl_keyfile: str | os.PathLike[str] | None
    """File with the private key for TLS."""
    ssl_certfile: str | os.PathLike[str] | None
    """File with the certificate for TLS."""
    ssl_keyfile_password: str | None
    """Password of the private key."""
    ssl_version: int
    """Version of TLS (``ssl.PROTOCOL_…``)."""
    ssl_cert_reqs: int
    """Whether clients need a certificate (``ssl.CERT_…``); not if left out."""
    ssl_ca_certs: str | os.PathLike[str] | None
    """File with the authorities that sign certificates of clients."""
    ssl_ciphers: str | None
    """Ciphers for TLS, as OpenSSL names them."""


class RunKeywords(ListenKeywords, total=False):
    """The options of ``run``: those of ``listen``, and of a process of its own."""

    drain: float
    """Seconds over which the disconnections are spread at the end; 0 if left out."""
    workers: int
    """Processes; more than one need ``import_string``; 1 if left out."""
    reload: bool
    """Whether to start anew when a file changes; needs ``import_string``."""
    import_string: str
    """Where other processes find the application: ``"module:name"``."""
    reload_dirs: list[str] | str | None
    """Folders that ``reload`` watches; the working folder if left out."""
    reload_delay: float
    """Seconds between two looks of ``reload``; 0.25 if left out."""
    reload_includes: list[str] | str | None
    """Patterns of files that ``reload`` watches; ``*.py`` if left out."""
    reload_excludes: list[str] | str | None
    """Patterns of files that ``reload`` does not watch."""
    uds: str | None
    """Path of a Unix socket to listen on, in place of host and port."""
    fd: int | None
    """File descriptor of a socket to listen on, in place of host and port."""
    env_file: str | os.PathLike[str] | None
    """File with environment variables."""
    timeout_worker_healthcheck: int
    """Seconds that a worker has to answer; 5 if left out."""
