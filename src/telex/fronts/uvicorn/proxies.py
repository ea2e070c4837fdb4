"""Whose request it is: the addresses of a connection, and what a trusted proxy says instead.

Which proxies are trusted is uvicorn's option ``forwarded_allow_ips``.
"""

from __future__ import annotations

import asyncio
from typing import Any, Literal

from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from ...types import FORWARDED_HOST
from .head import RawHeaders


def address(transport: asyncio.Transport, end: Literal["peername", "sockname"]) -> Any:
    """Host and port of one end of a connection; ``None`` for other kinds of sockets."""
    name = transport.get_extra_info(end)
    kind = name.__class__
    return (str(name[0]), int(name[1])) if kind is tuple else None


def are_forwarded(headers: RawHeaders) -> bool:
    """Whether a proxy says for which client it asks."""
    return any(b"forwarded" in name for name, _ in headers)


def forwarded_host(
    proxy: ProxyHeadersMiddleware | None, peer: tuple[str, int] | None, headers: RawHeaders
) -> dict[str, str]:
    """The scope extension with the host that a proxy was asked for, if the proxy is trusted.

    Each proxy adds to the header: the first entry is what the client has asked for.
    """
    if proxy is None:
        return {}
    hosts = [value for name, value in headers if name == b"x-forwarded-host"]
    if not hosts or (peer[0] if peer else None) not in proxy.trusted_hosts:
        return {}
    return {FORWARDED_HOST: hosts[0].partition(b",")[0].strip().decode("latin-1")}
