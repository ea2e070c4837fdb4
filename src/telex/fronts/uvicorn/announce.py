"""The line that tells where a server listens, and whom it admits."""

from __future__ import annotations

import re
from ipaddress import ip_address
from typing import Any

from ...client_bundle import directory
from ..asgi.app import AsgiFront

_ONLY_HERE = (
    "only this machine can connect: host='0.0.0.0' (telex serve --host 0.0.0.0) admits containers,"
    " phones and devices"
)
_NO_CLIENT = (
    "the JavaScript client is not part of this installation, so %s/socket.io.js is not served"
)


def announcement(front: AsgiFront | None, address: str, host: str | None) -> list[str]:
    """What to say when connections are accepted at ``address``.

    ``front`` is that of a telex server, ``None`` if another application is served, ``host``
    what the server listens on, ``None`` for a socket of the file system.
    """
    lines: list[str] = []
    if front is not None:
        engine = front.engine
        lines.append(
            f"telex at {address}{front.path}/; transports: {', '.join(engine.options.transports)};"
            f" origins: {_named(engine.origins)}"
        )
        if front.serve_client and directory() is None:
            lines.append(_NO_CLIENT % front.path)
    if host is not None and _is_loopback(host):
        lines.append(_ONLY_HERE)
    return lines


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _named(origins: Any) -> str:
    """Which pages may connect, in a few words."""
    if origins is None:
        return "the server's own (option origins)"
    if isinstance(origins, str):
        return "every one" if origins == "*" else origins
    if callable(origins):
        return "what the function of option origins admits"
    given: list[Any] = [origins] if isinstance(origins, re.Pattern) else list(origins)
    named = [str(getattr(one, "pattern", one)) for one in given]
    return ", ".join(named) or "none, so that no page of a browser may connect"
